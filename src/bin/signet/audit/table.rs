//! Records as rows.

use serde_json::Value;
use signet_pkcs11::log::Escaped;
use std::io::{self, Write};

/// The names of the columns.
pub fn head(out: &mut dyn Write) -> io::Result<()> {
    print(out, ["TIME", "USER", "ACTION", "RESOURCE", "OUTCOME"].map(str::to_owned))
}

/// One record.
pub fn row(out: &mut dyn Write, record: &Value) -> io::Result<()> {
    let text = |value: &Value| value.as_str().map(|text| Escaped(text).to_string());
    let time = text(&record["eventTime"]).unwrap_or_default();
    let action = text(&record["eventName"]).unwrap_or_default();
    let key = text(&record["additionalEventData"]["label"])
        .or_else(|| text(&record["resources"][0]["ARN"]).map(|arn| name_of(&arn).to_owned()));
    print(out, [time, user(record), action, key.unwrap_or_default(), outcome(record)])
}

/// What stands behind the account.
fn name_of(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

fn user(record: &Value) -> String {
    let identity = &record["userIdentity"];
    let name =
        ["userName", "invokedBy", "type"].into_iter().find_map(|name| identity[name].as_str());
    let name = match name {
        Some("Root") => "root",
        Some("SecurityOfficer") => "so",
        Some("Public") => "public",
        Some("AWS Internal") => "signet",
        other => other.unwrap_or_default(),
    };
    Escaped(name).to_string()
}

fn outcome(record: &Value) -> String {
    if let Some(code) = record["errorCode"].as_str() {
        return Escaped(code).to_string();
    }
    let noted = &record["additionalEventData"];
    let number = |name: &str| noted[name].as_u64();
    match (number("succeeded"), number("failed")) {
        (Some(succeeded), Some(failed)) => format!("{succeeded} ok, {failed} failed"),
        (Some(succeeded), None) => format!("{succeeded} ok"),
        _ => "ok".into(),
    }
}

fn print(out: &mut dyn Write, [time, user, action, key, outcome]: [String; 5]) -> io::Result<()> {
    writeln!(out, "{time:<20}  {user:<16}  {action:<22}  {key:<40}  {outcome}")
}
