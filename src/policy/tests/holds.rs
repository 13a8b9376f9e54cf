//! For how long a decision holds, by example.

use super::{ACCOUNT, KEY, caller_named};
use crate::policy::{Action, Context, Document, DocumentKind, KeyFacts, Request, Until};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// Asked at second 100 with the address 203.0.113.5: whether it is allowed, for how
/// long, and for how long if every call is like this one.
fn answer(statements: &[Value]) -> (bool, Until, Until) {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let policy = Document::parse(DocumentKind::Key, &text).unwrap();
    let caller = caller_named("@anna");
    let context = Context::new(&caller, UNIX_EPOCH + Duration::from_secs(100))
        .with("aws:SourceIp", ["203.0.113.5"]);
    let ask = |context| {
        let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &[] };
        Request { caller: &caller, action: Action::GenerateMac, context }.on_key(&key)
    };
    let (decision, settled) = (ask(&context), ask(&context.clone().settled()));
    assert_eq!(decision.allowed, settled.allowed);
    (decision.allowed, decision.holds, settled.holds)
}

fn statement(effect: &str, condition: Value) -> Value {
    json!({
        "Effect": effect, "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": condition,
    })
}

#[test]
fn a_decision_says_for_how_long_it_holds() {
    use Until::{Changed, ThisCall};
    let at = |second| Until::Instant(UNIX_EPOCH + Duration::from_secs(second));
    let allow = |condition: Value| statement("Allow", condition);
    let deny = |condition: Value| statement("Deny", condition);
    let before = |second: u32| json!({ "DateLessThan": { "aws:CurrentTime": second } });
    let from = |second: u32| json!({ "NumericGreaterThanEquals": { "aws:EpochTime": second } });
    let here = json!({ "IpAddress": { "aws:SourceIp": "203.0.113.0/24" } });
    let elsewhere = json!({ "IpAddress": { "aws:SourceIp": "198.51.100.0/24" } });
    let named = json!({ "StringLike": { "aws:username": "a*" } });
    let alias = json!({ "StringEquals": { "kms:RequestAlias": "alias/jwt" } });
    let late = json!({ "StringLike": { "aws:CurrentTime": "1971-*" } });
    for (what, statements, expected) in [
        ("no condition", vec![allow(json!({}))], (true, Changed, Changed)),
        ("of the caller", vec![allow(named.clone())], (true, Changed, Changed)),
        ("until then", vec![allow(before(150))], (true, at(150), at(150))),
        ("past", vec![allow(before(100))], (false, Changed, Changed)),
        ("from then", vec![allow(from(150))], (false, at(150), at(150))),
        ("began", vec![allow(from(100))], (true, Changed, Changed)),
        (
            "the longer of two",
            vec![allow(before(150)), allow(before(170))],
            (true, at(170), at(170)),
        ),
        ("one without end", vec![allow(before(150)), allow(json!({}))], (true, Changed, Changed)),
        (
            "the first that begins",
            vec![allow(from(150)), allow(from(170))],
            (false, at(150), at(150)),
        ),
        ("ends before a Deny", vec![allow(before(150)), deny(from(170))], (true, at(150), at(150))),
        ("a Deny begins", vec![allow(json!({})), deny(from(170))], (true, at(170), at(170))),
        ("a Deny ends", vec![allow(json!({})), deny(before(170))], (false, at(170), at(170))),
        ("a Deny for good", vec![allow(before(150)), deny(json!({}))], (false, Changed, Changed)),
        ("from here", vec![allow(here.clone())], (true, ThisCall, Changed)),
        ("not from there", vec![allow(elsewhere.clone())], (false, ThisCall, Changed)),
        ("a Deny for there", vec![allow(json!({})), deny(elsewhere)], (true, ThisCall, Changed)),
        (
            "from anywhere too",
            vec![allow(here.clone()), allow(json!({}))],
            (true, Changed, Changed),
        ),
        ("from here, but never", vec![allow(here), deny(named)], (false, Changed, Changed)),
        ("whatever is absent", vec![allow(alias)], (false, ThisCall, Changed)),
        ("the time as a text", vec![allow(late)], (false, ThisCall, ThisCall)),
    ] {
        assert_eq!(answer(&statements), expected, "{what}");
    }
}
