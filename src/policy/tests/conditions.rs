//! The tables of what conditions mean, `conditions.txt`.

use super::{KEY, caller_named};
use crate::policy::{Action, Context, Document, DocumentKind, KeyFacts, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

/// Every operator but Null, and whether it is a negated one.
const OPERATORS: &[(&str, bool)] = &[
    ("ArnEquals", false),
    ("ArnLike", false),
    ("ArnNotEquals", true),
    ("ArnNotLike", true),
    ("BinaryEquals", false),
    ("Bool", false),
    ("DateEquals", false),
    ("DateGreaterThan", false),
    ("DateGreaterThanEquals", false),
    ("DateLessThan", false),
    ("DateLessThanEquals", false),
    ("DateNotEquals", true),
    ("IpAddress", false),
    ("NotIpAddress", true),
    ("NumericEquals", false),
    ("NumericGreaterThan", false),
    ("NumericGreaterThanEquals", false),
    ("NumericLessThan", false),
    ("NumericLessThanEquals", false),
    ("NumericNotEquals", true),
    ("StringEquals", false),
    ("StringEqualsIgnoreCase", false),
    ("StringLike", false),
    ("StringNotEquals", true),
    ("StringNotEqualsIgnoreCase", true),
    ("StringNotLike", true),
];

/// A row of the second table.
#[derive(Debug)]
struct Sample {
    operator: &'static str,
    policy: Value,
    meets: Option<&'static str>,
    fails: Option<&'static str>,
}

/// The lines of one table.
fn lines(title: &str) -> impl Iterator<Item = &'static str> {
    let table =
        include_str!("conditions.txt").split("\n== ").find(|table| table.starts_with(title));
    table.unwrap().lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn samples() -> Vec<Sample> {
    let sample = |line: &'static str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [operator, policy, meets, fails] = cells[..] else { panic!("{line}") };
        let value = |cell| (cell != "-").then_some(cell);
        let policy = serde_json::from_str(policy).unwrap_or_else(|_| json!(policy));
        Sample { operator, policy, meets: value(meets), fails: value(fails) }
    };
    lines("values").map(sample).collect()
}

/// Whether a request with these values under `kms:x` meets the condition.
fn holds(operator: &str, policy: &Value, values: &[&str]) -> bool {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": { operator: { "kms:x": policy } },
    });
    let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
    let policy =
        Document::parse(DocumentKind::Key, &text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut caller = caller_named("@anna");
    caller.tags = vec![("star".into(), "*".into())];
    let context = Context::new(&caller, UNIX_EPOCH).with("KMS:X", values.iter().copied());
    let request = Request { caller: &caller, action: Action::GenerateMac, context: &context };
    let account = &caller.account;
    request.on_key(&KeyFacts { account, arn: KEY, policy: &policy, grants: &[] }).allowed
}

#[test]
fn values_meet_operators_or_fail_them() {
    let samples = samples();
    let known: BTreeSet<_> = OPERATORS.iter().map(|(operator, _)| *operator).collect();
    let sampled: BTreeSet<_> = samples.iter().map(|sample| sample.operator).collect();
    assert_eq!(sampled, known);
    for Sample { operator, policy, meets, fails } in samples {
        for (value, expected) in [(meets, true), (fails, false)] {
            if let Some(value) = value {
                assert_eq!(
                    holds(operator, &policy, &[value]),
                    expected,
                    "{operator} {policy} {value}"
                );
            }
        }
    }
}

#[test]
fn every_operator_has_every_form() {
    let mut rows = 0;
    for line in lines("forms") {
        let (form, answers) = line.split_at(32);
        let answers: Vec<_> = answers.split_whitespace().map(|word| word == "yes").collect();
        let negated_row = form.contains("negated");
        let set = ["ForAnyValue", "ForAllValues"].into_iter().find(|set| form.contains(set));
        let prefix = set.map_or(String::new(), |set| format!("{set}:"));
        let suffix = if form.contains("IfExists") { "IfExists" } else { "" };
        for (base, negated) in OPERATORS.iter().filter(|(_, negated)| *negated == negated_row) {
            let operator = format!("{prefix}{base}{suffix}");
            let samples = samples();
            let full = samples.iter().find(|sample| {
                sample.operator == *base && sample.meets.is_some() && sample.fails.is_some()
            });
            let Sample { policy, meets, fails, .. } = full.unwrap();
            let (yes, no) = (meets.unwrap(), fails.unwrap());
            let columns: [&[&str]; 6] = [&[], &[yes], &[no], &[yes, yes], &[yes, no], &[no, no]];
            for (values, expected) in columns.into_iter().zip(&answers) {
                let answer = holds(&operator, policy, values);
                assert_eq!(answer, *expected, "{operator} {policy} {values:?} ({negated})");
            }
        }
        assert_eq!(answers.len(), 6, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 12);
}

#[test]
fn null_tells_whether_the_key_is_there() {
    for (policy, values, expected) in [
        (json!(true), &[][..], true),
        (json!("true"), &["x"], false),
        (json!(false), &["x"], true),
        (json!("false"), &[], false),
        (json!(false), &["", ""], true),
        (json!([true, false]), &[], true),
        (json!([true, false]), &["x"], true),
    ] {
        assert_eq!(holds("Null", &policy, values), expected, "{policy} {values:?}");
    }
}

#[test]
fn a_parameter_that_was_not_given_has_its_default_and_is_absent() {
    let key = "kms:BypassPolicyLockoutSafetyCheck";
    let caller = caller_named("@anna");
    let omitted = {
        let mut context = Context::new(&caller, UNIX_EPOCH);
        context.set_default(key, "false");
        context
    };
    let given = omitted.clone().with(key, ["false"]);
    for (operator, value, if_omitted, if_given) in [
        ("Bool", false, true, true),
        ("Bool", true, false, false),
        ("BoolIfExists", true, false, false),
        ("Null", true, true, false),
        ("Null", false, false, true),
    ] {
        let statement = json!({
            "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
            "Condition": { operator: { key: value } },
        });
        let policy = json!({ "Statement": statement }).to_string();
        let policy = Document::parse(DocumentKind::Key, &policy).unwrap();
        for (context, expected) in [(&omitted, if_omitted), (&given, if_given)] {
            let request = Request { caller: &caller, action: Action::PutKeyPolicy, context };
            let account = &caller.account;
            let key = KeyFacts { account, arn: KEY, policy: &policy, grants: &[] };
            assert_eq!(request.on_key(&key).allowed, expected, "{operator} {value}");
        }
    }
}

#[test]
fn several_operators_and_keys_must_all_hold() {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": {
            "StringEquals": { "kms:a": "1", "kms:b": "2" },
            "NumericLessThan": { "kms:a": 3 },
        },
    });
    let text = json!({ "Statement": [statement] }).to_string();
    let policy = Document::parse(DocumentKind::Key, &text).unwrap();
    let caller = caller_named("@anna");
    for (a, b, expected) in [("1", "2", true), ("1", "1", false), ("2", "2", false)] {
        let context = Context::new(&caller, UNIX_EPOCH).with("kms:a", [a]).with("kms:b", [b]);
        let request = Request { caller: &caller, action: Action::VerifyMac, context: &context };
        let account = &caller.account;
        let key = KeyFacts { account, arn: KEY, policy: &policy, grants: &[] };
        assert_eq!(request.on_key(&key).allowed, expected, "{a} {b}");
    }
}

#[test]
fn the_older_version_knows_no_variables() {
    let document = |version: &str| {
        let statement = json!({
            "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
            "Condition": { "StringEquals": { "aws:username": "${aws:username}" } },
        });
        let text = json!({ "Version": version, "Statement": statement }).to_string();
        Document::parse(DocumentKind::Key, &text).unwrap()
    };
    let caller = caller_named("@anna");
    let context = Context::new(&caller, UNIX_EPOCH);
    let request = Request { caller: &caller, action: Action::VerifyMac, context: &context };
    for (version, expected) in [("2012-10-17", true), ("2008-10-17", false)] {
        let account = &caller.account;
        let policy = document(version);
        let key = KeyFacts { account, arn: KEY, policy: &policy, grants: &[] };
        assert_eq!(request.on_key(&key).allowed, expected, "{version}");
    }
}
