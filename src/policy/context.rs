//! What a request brings along: condition keys and their values.

use super::caller::{Caller, CallerKind};
use super::date::Moment;
use super::decision::Until;
use crate::clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// The time as text and as seconds.
pub(super) const CURRENT_TIME: &str = "aws:currenttime";
pub(super) const EPOCH_TIME: &str = "aws:epochtime";

/// An alias may be moved any time, which a key policy must not depend on.
const RESOURCE_ALIASES: &str = "kms:resourcealiases";

/// Keys whose values belong to the caller or the KMS key and stay as they are
/// until one of them is changed. All others may differ from call to call.
const LASTING: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:userid",
    "aws:username",
    "kms:calleraccount",
    "kms:customermasterkeyspec",
    "kms:customermasterkeyusage",
    "kms:keyorigin",
    "kms:keyspec",
    "kms:keyusage",
    "kms:multiregion",
    "kms:multiregionkeytype",
    RESOURCE_ALIASES,
];

/// The same, with the name of a tag behind them.
const LASTING_TAGS: &[&str] = &["aws:principaltag/", "aws:resourcetag/"];

/// What a request brings along. Keys do not tell cases apart, values do. A key
/// without a value is absent.
///
/// What a key makes true stays true until a fact changes, until a moment, or for
/// this call only ([`Until`]): `aws:CurrentTime` and `aws:EpochTime` pass, what
/// belongs to the caller or the KMS key (`aws:username`, `kms:KeySpec`,
/// `aws:ResourceTag/…`) lasts, everything else (`aws:SourceIp`,
/// `kms:RequestAlias`) is of this call, whether present or absent.
#[derive(Debug, Clone)]
pub struct Context {
    now: Moment,
    values: BTreeMap<String, Vec<String>>,
    /// Keys whose values stand for parameters that were not given.
    omitted: BTreeSet<String>,
    settled: bool,
    /// Keys that are of this call whatever else is settled.
    varying: BTreeSet<String>,
}

impl Context {
    /// What every request has: who calls, and when (in whole seconds).
    #[must_use]
    pub fn new(caller: &Caller, now: SystemTime) -> Self {
        let now = Moment::second_of(now);
        let mut context = Self {
            now,
            values: BTreeMap::new(),
            omitted: BTreeSet::new(),
            settled: false,
            varying: BTreeSet::new(),
        };
        context.set("aws:CurrentTime", [Timestamp(now.time()).to_string()]);
        context.set("aws:EpochTime", [now.seconds().to_string()]);
        context.set("aws:PrincipalAccount", [&*caller.account]);
        context.set("kms:CallerAccount", [&*caller.account]);
        context.set("aws:userid", [caller.user_id()]);
        for (tag, value) in &caller.tags {
            context.set(&format!("aws:PrincipalTag/{tag}"), [&**value]);
        }
        match &caller.kind {
            CallerKind::Root => {
                context.set("aws:PrincipalType", ["Account"]);
                context.set("aws:PrincipalArn", [caller.arn()]);
            }
            CallerKind::User => {
                context.set("aws:PrincipalType", ["User"]);
                context.set("aws:PrincipalArn", [caller.arn()]);
                context.set("aws:username", [&*caller.name]);
            }
            CallerKind::AssumedRole { .. } => {
                context.set("aws:PrincipalType", ["AssumedRole"]);
                context.set("aws:PrincipalArn", caller.role_arn());
            }
        }
        context
    }

    /// Sets the values of a key: texts, `true` or `false`, numbers in decimal, times
    /// as ISO 8601 or seconds, binary as base64. None removes it.
    pub fn set<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let values: Vec<_> = values.into_iter().map(Into::into).collect();
        let key = key.to_lowercase();
        self.omitted.remove(&key);
        self.values.insert(key, values);
    }

    /// Sets what a parameter that was not given counts as: operators see the value,
    /// but for Null, which finds the key absent (KMS API:
    /// `BypassPolicyLockoutSafetyCheck`, `ExpirationModel`).
    pub fn set_default(&mut self, key: &str, value: &str) {
        self.set(key, [value]);
        self.omitted.insert(key.to_lowercase());
    }

    /// As [`Self::set`], for a chain.
    #[must_use]
    pub fn with<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.set(key, values);
        self
    }

    /// Says that all calls which the decision is asked for look like this one, but
    /// for the time and what is [varying](Self::varying): at a door that has no source
    /// addresses and the like.
    #[must_use]
    pub const fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// Says that the next call may have another value under this key, or none: the
    /// MAC algorithm, where one answer is kept for all mechanisms of a key.
    #[must_use]
    pub fn varying(mut self, key: &str) -> Self {
        self.varying.insert(key.to_lowercase());
        self
    }

    /// The values under this key, without regard to case.
    #[must_use]
    pub fn values(&self, key: &str) -> &[String] {
        self.values.get(&key.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// When the request was made.
    pub(super) const fn now(&self) -> Moment {
        self.now
    }
}

/// What the conditions of a document may see of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    context: &'a Context,
    sees_aliases: bool,
}

impl<'a> Facts<'a> {
    /// For a policy of a principal.
    pub const fn of(context: &'a Context) -> Self {
        Self { context, sees_aliases: true }
    }

    /// For a policy of a key, which does not see the key's aliases.
    pub const fn without_aliases(context: &'a Context) -> Self {
        Self { context, sees_aliases: false }
    }

    /// When the request was made.
    pub const fn now(&self) -> Moment {
        self.context.now()
    }

    /// What the request has under a key in lower case.
    pub fn look_up(&self, key: &str) -> Found<'a> {
        if key == RESOURCE_ALIASES && !self.sees_aliases {
            return Found { values: &[], omitted: false, lasts: Lasts::Always };
        }
        let values = self.context.values.get(key).map_or(&[][..], Vec::as_slice);
        let lasting = self.context.settled
            || LASTING.contains(&key)
            || LASTING_TAGS.iter().any(|prefix| key.starts_with(prefix));
        let lasts = match key {
            CURRENT_TIME | EPOCH_TIME => Lasts::Passes,
            _ if lasting && !self.context.varying.contains(key) => Lasts::Always,
            _ => Lasts::ThisCall,
        };
        Found { values, omitted: self.context.omitted.contains(key), lasts }
    }
}

/// The values of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// In no particular order.
    pub values: &'a [String],
    /// Whether they stand for a parameter that was not given.
    pub omitted: bool,
    /// How long they stay these.
    pub lasts: Lasts,
}

/// How long a key's values stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    /// Until the caller or the KMS key is changed.
    Always,
    /// It is the time.
    Passes,
    /// For this call.
    ThisCall,
}

impl Found<'_> {
    /// How long something stays true that looks at these values as text.
    pub const fn until(&self) -> Until {
        match self.lasts {
            Lasts::Always => Until::Changed,
            Lasts::Passes | Lasts::ThisCall => Until::ThisCall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn values(caller: &Caller, keys: &[&str]) -> Vec<String> {
        let now = UNIX_EPOCH + Duration::from_millis(1_767_225_600_999);
        let context = Context::new(caller, now);
        keys.iter().map(|key| context.values(key).join(",")).collect()
    }

    #[test]
    fn every_request_tells_who_and_when() {
        const KEYS: [&str; 5] = [
            "aws:PrincipalArn",
            "aws:PrincipalType",
            "aws:userid",
            "aws:username",
            "aws:PrincipalAccount",
        ];
        let account = "111122223333";
        let root = Caller::root(account);
        let arn = "arn:aws:iam::111122223333:root";
        assert_eq!(values(&root, &KEYS), [arn, "Account", account, "", account]);
        let mut anna = Caller::user(account, "anna", "AIDAANNA");
        anna.tags = vec![("Team".into(), "payments".into())];
        let arn = "arn:aws:iam::111122223333:user/anna";
        assert_eq!(values(&anna, &KEYS), [arn, "User", "AIDAANNA", "anna", account]);
        let session = Caller::assumed_role(account, "Producer", "web", "AROAPROD");
        let arn = "arn:aws:iam::111122223333:role/Producer";
        assert_eq!(values(&session, &KEYS), [arn, "AssumedRole", "AROAPROD:web", "", account]);

        let rest =
            ["aws:CurrentTime", "AWS:epochtime", "aws:principaltag/TEAM", "kms:CallerAccount"];
        let expected = ["2026-01-01T00:00:00.000Z", "1767225600", "payments", account];
        assert_eq!(values(&anna, &rest), expected);
    }

    #[test]
    fn facts_last_or_are_of_one_call() {
        let context = Context::new(&Caller::root("111122223333"), UNIX_EPOCH);
        let settled = context.clone().settled();
        let varying = settled.clone().varying("kms:MacAlgorithm");
        assert_eq!(Facts::of(&settled).look_up("kms:macalgorithm").lasts, Lasts::Always);
        assert_eq!(Facts::of(&varying).look_up("kms:macalgorithm").lasts, Lasts::ThisCall);
        for (key, alone, settled_too) in [
            ("aws:username", Lasts::Always, Lasts::Always),
            ("aws:principaltag/any", Lasts::Always, Lasts::Always),
            ("aws:resourcetag/any", Lasts::Always, Lasts::Always),
            ("aws:requesttag/any", Lasts::ThisCall, Lasts::Always),
            ("kms:keyspec", Lasts::Always, Lasts::Always),
            ("kms:requestalias", Lasts::ThisCall, Lasts::Always),
            ("aws:sourceip", Lasts::ThisCall, Lasts::Always),
            ("unknown:key", Lasts::ThisCall, Lasts::Always),
            ("aws:currenttime", Lasts::Passes, Lasts::Passes),
            ("aws:epochtime", Lasts::Passes, Lasts::Passes),
        ] {
            assert_eq!(Facts::of(&context).look_up(key).lasts, alone, "{key}");
            assert_eq!(Facts::of(&settled).look_up(key).lasts, settled_too, "{key}");
        }
    }
}
