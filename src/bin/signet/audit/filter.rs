//! Which records are wanted.

use super::time;
use serde_json::Value;
use signet_pkcs11::audit::{Beginning, Millis};

/// Which records are wanted: those for which all of these are true.
#[derive(clap::Args)]
pub struct Filter {
    /// Of this key: its unique id, ARN or alias; the label of one that is not private
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// By this user: name, ARN, access key, `root`, `so` or `public`
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Of this action: `CreateKey`, `kms:CreateKey`
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// From this time on: 2026-11-24, 2026-11-24T01:56:53Z, or 15m, 12h, 7d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Millis>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Millis>,
    /// Refused or failed
    #[arg(long)]
    errors: bool,
}

/// What the trail says of itself: which process writes a segment from when to when.
const OF_SEGMENTS: [&str; 3] = ["StartAuditSegment", "ContinueAuditSegment", "EndAuditSegment"];

impl Filter {
    /// Whether time and action, which stand at the beginning of a line, are right.
    pub fn may_take(&self, beginning: &Beginning<'_>) -> bool {
        let action = self.action.as_deref();
        let action = action.map(|action| action.split_once(':').map_or(action, |(_, name)| name));
        self.since.is_none_or(|since| beginning.time >= since)
            && self.until.is_none_or(|until| beginning.time < until)
            && action.is_none_or(|action| beginning.event_name.eq_ignore_ascii_case(action))
    }

    /// Whether a record would only be in the way of a person who has not asked for it.
    pub fn is_in_the_way(&self, beginning: &Beginning<'_>) -> bool {
        self.action.is_none() && OF_SEGMENTS.contains(&beginning.event_name)
    }

    /// What to say to whoever has found nothing.
    pub const fn advice(&self) -> &'static str {
        if self.key.is_none() {
            return "";
        }
        "; the trail does not know private keys by label: `signet key list` shows unique ids"
    }

    /// Whether the rest is right.
    pub fn takes(&self, record: &Value) -> bool {
        (!self.errors || is_failure(record))
            && self.key.as_ref().is_none_or(|key| is_of_key(record, key))
            && self.user.as_ref().is_none_or(|user| is_by(record, user))
    }
}

/// Whether a call was refused or failed, or a summary counts one.
fn is_failure(record: &Value) -> bool {
    record.get("errorCode").is_some() || record.pointer("/additionalEventData/failed").is_some()
}

fn is_of_key(record: &Value, key: &str) -> bool {
    let of_resource = |resource: &Value| {
        let arn = resource["ARN"].as_str().unwrap_or_default();
        let name = arn.splitn(6, ':').nth(5).unwrap_or_default();
        arn == key || name == key || name.strip_prefix("key/") == Some(key)
    };
    record["additionalEventData"]["label"] == *key
        || record["requestParameters"]["keyId"] == *key
        || record["resources"].as_array().is_some_and(|all| all.iter().any(of_resource))
}

fn is_by(record: &Value, user: &str) -> bool {
    let identity = &record["userIdentity"];
    let is = |name: &str| identity[name].as_str().is_some_and(|it| it == user);
    ["userName", "arn", "principalId", "accessKeyId"].into_iter().any(is)
        || identity["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(user))
}
