//! What holds for every policy: made at random, from few words so that they meet.

use super::{ACCOUNT, FAR_ACCOUNT, KEY, OTHER_KEY, caller_named};
use crate::policy::{
    Action, Caller, Context, Decision, Document, DocumentKind, Grant, GrantTerms, KeyFacts,
    NamedPolicy, Request, Until,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Everything that a decision depends on.
#[derive(Debug, Clone)]
struct World {
    key: Vec<Value>,
    own: Vec<Value>,
    grants: Vec<(String, Vec<&'static str>)>,
    caller: &'static str,
    action: Action,
    now: u64,
    /// What the call brings along.
    call: Vec<(&'static str, Vec<&'static str>)>,
}

const CALLERS: &[&str] = &["@root", "@anna", "@Producer/web", "@eve", "@eve-root"];

fn second(number: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(number)
}

fn documents(kind: DocumentKind, statements: &[Value]) -> Option<Document> {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    (!statements.is_empty()).then(|| Document::parse(kind, &text).unwrap())
}

impl World {
    fn decide(&self) -> Decision {
        let mut caller: Caller = caller_named(self.caller);
        // A policy of its own for each half.
        for half in self.own.chunks(self.own.len().div_ceil(2).max(1)) {
            let document = Arc::new(documents(DocumentKind::Identity, half).unwrap());
            caller.policies.push(NamedPolicy { name: "own".into(), document });
        }
        let mut context = Context::new(&caller, second(self.now));
        context.set("kms:KeySpec", ["HMAC_256"]);
        context.set("aws:ResourceTag/team", ["payments"]);
        for (key, values) in &self.call {
            context.set(key, values.iter().copied());
        }
        let nobody = json!({ "Effect": "Allow", "Principal": "*" });
        let policy = documents(DocumentKind::Key, &self.key)
            .unwrap_or_else(|| documents(DocumentKind::Key, &[nobody]).unwrap());
        let grants = self.grants.iter().enumerate().map(|(number, (to, operations))| Grant {
            id: format!("g{number}"),
            terms: GrantTerms::new(None, to, None, operations).unwrap(),
            created: UNIX_EPOCH,
            issuing_account: ACCOUNT.into(),
        });
        let grants: Vec<_> = grants.collect();
        let grants: Vec<_> = grants.iter().collect();
        let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &grants };
        Request { caller: &caller, action: self.action, context: &context }.on_key(&key)
    }

    fn allows(&self) -> bool {
        self.decide().allowed
    }
}

fn principal() -> impl Strategy<Value = Value> {
    let arn = |account: &str, name: &str| format!("arn:aws:iam::{account}:{name}");
    let names = vec![
        json!("*"),
        json!({ "AWS": arn(ACCOUNT, "root") }),
        json!({ "AWS": FAR_ACCOUNT }),
        json!({ "AWS": arn(ACCOUNT, "user/anna") }),
        json!({ "AWS": [arn(ACCOUNT, "role/Producer"), arn(FAR_ACCOUNT, "user/eve")] }),
        json!({ "AWS": format!("arn:aws:sts::{ACCOUNT}:assumed-role/Producer/web") }),
        json!({ "AWS": [arn(ACCOUNT, "user/anna"), ACCOUNT] }),
    ];
    select(names)
}

fn condition() -> impl Strategy<Value = Value> {
    let operator = select(vec![
        ("DateLessThan", "aws:CurrentTime"),
        ("DateLessThanEquals", "aws:CurrentTime"),
        ("DateGreaterThan", "aws:EpochTime"),
        ("DateGreaterThanEquals", "aws:CurrentTime"),
        ("DateEquals", "aws:CurrentTime"),
        ("DateNotEquals", "aws:EpochTime"),
        ("NumericLessThan", "aws:EpochTime"),
        ("NumericNotEquals", "aws:EpochTime"),
        ("ForAllValues:DateGreaterThan", "aws:CurrentTime"),
    ]);
    let time = (operator, prop::collection::vec(0_u32..8, 1..3))
        .prop_map(|((operator, key), seconds)| json!({ operator: { key: seconds } }));
    let fixed = select(vec![
        json!({ "StringEquals": { "kms:KeySpec": "HMAC_256" } }),
        json!({ "StringNotEquals": { "kms:KeySpec": ["HMAC_256", "HMAC_512"] } }),
        json!({ "StringLike": { "aws:PrincipalTag/team": "${aws:ResourceTag/team}" } }),
        json!({ "Null": { "aws:username": true } }),
    ]);
    let of_call = select(vec![
        json!({ "IpAddress": { "aws:SourceIp": "203.0.113.0/24" } }),
        json!({ "NotIpAddress": { "aws:SourceIp": "203.0.113.5" } }),
        json!({ "Bool": { "aws:SecureTransport": true } }),
        json!({ "Null": { "kms:RequestAlias": false } }),
        json!({ "StringNotLikeIfExists": { "kms:RequestAlias": "alias/j*" } }),
        json!({ "ForAnyValue:StringEquals": { "kms:X": ["a", "b"] } }),
        json!({ "ForAllValues:StringNotEquals": { "kms:X": "a" } }),
        json!({ "StringEquals": { "kms:KeySpec": "${kms:RequestAlias, 'HMAC_256'}" } }),
    ]);
    prop_oneof![5 => time, 1 => fixed, 3 => of_call, 2 => Just(json!({}))]
}

/// A statement, of a key's policy or of a principal's.
fn statement(of_key: bool) -> impl Strategy<Value = Value> {
    let actions = vec!["*", "*", "kms:*", "kms:*Mac", "kms:GenerateMac", "kms:Verify*", "signet:*"];
    let resources = vec![
        "*",
        "*",
        "*",
        KEY,
        OTHER_KEY,
        "arn:aws:kms:*:*:key/*",
        "arn:aws:kms:*:*:key/${kms:X}*",
    ];
    let action = (prop::bool::weighted(0.1), select(actions));
    let resource = (prop::bool::weighted(0.1), select(resources));
    let effect = select(vec!["Allow", "Allow", "Allow", "Deny"]);
    let whom = (prop::bool::weighted(0.2), principal());
    (effect, whom, action, resource, condition()).prop_map(
        move |(effect, (but, whom), (not, action), (other, resource), condition)| {
            let mut statement = json!({
                "Effect": effect,
                if not { "NotAction" } else { "Action" }: action,
                if other { "NotResource" } else { "Resource" }: resource,
                "Condition": condition,
            });
            if of_key {
                statement[if but { "NotPrincipal" } else { "Principal" }] = whom;
            }
            statement
        },
    )
}

fn call() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let values = |key: &'static str, values: Vec<&'static str>| {
        prop::collection::vec(select(values), 0..2).prop_map(move |values| (key, values))
    };
    let many = prop::collection::vec(select(vec!["a", "b", "c"]), 0..3);
    (
        values("aws:SourceIp", vec!["203.0.113.5", "203.0.113.6", "2001:db8::1"]),
        values("aws:SecureTransport", vec!["true", "false"]),
        values("kms:RequestAlias", vec!["alias/jwt", "HMAC_256", "HMAC_512"]),
        many.prop_map(|values| ("kms:X", values)),
    )
        .prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

fn world() -> impl Strategy<Value = World> {
    let anna = format!("arn:aws:iam::{ACCOUNT}:user/anna");
    let grantees = vec![
        anna,
        format!("arn:aws:iam::{ACCOUNT}:role/Producer"),
        format!("arn:aws:iam::{FAR_ACCOUNT}:root"),
    ];
    let grant =
        (select(grantees), select(vec![vec!["GenerateMac"], vec!["VerifyMac", "DescribeKey"]]));
    (
        prop::collection::vec(statement(true), 0..7),
        prop::collection::vec(statement(false), 0..4),
        prop::collection::vec(grant, 0..2),
        select(CALLERS),
        select(vec![Action::GenerateMac, Action::GenerateMac, Action::VerifyMac, Action::CopyKey]),
        0_u64..8,
        call(),
    )
        .prop_map(|(key, own, grants, caller, action, now, call)| World {
            key,
            own,
            grants,
            caller,
            action,
            now,
            call,
        })
}

/// The statement with this effect.
fn having(mut statement: Value, effect: &str) -> Value {
    statement["Effect"] = json!(effect);
    statement
}

/// A place inside, so many levels down.
fn inside<'a>(value: &'a mut Value, path: &[Index]) -> &'a mut Value {
    let Some((index, path)) = path.split_first() else { return value };
    let length = match &*value {
        Value::Array(list) => list.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if length == 0 {
        return value;
    }
    let member = match value {
        Value::Array(list) => list.get_mut(index.index(length)),
        Value::Object(members) => members.values_mut().nth(index.index(length)),
        _ => None,
    };
    inside(member.unwrap(), path)
}

proptest! {
    #[test]
    fn another_deny_never_widens(
        world in world(), in_key in any::<bool>(),
        of_key in statement(true), own in statement(false),
    ) {
        let mut narrower = world.clone();
        if in_key {
            narrower.key.push(having(of_key, "Deny"));
        } else {
            narrower.own.push(having(own, "Deny"));
        }
        prop_assert!(world.allows() || !narrower.allows());
    }

    #[test]
    fn another_allow_never_narrows(
        world in world(), in_key in any::<bool>(),
        of_key in statement(true), own in statement(false),
    ) {
        let mut wider = world.clone();
        if in_key {
            wider.key.push(having(of_key, "Allow"));
        } else {
            wider.own.push(having(own, "Allow"));
        }
        prop_assert!(!world.allows() || wider.allows());
    }

    #[test]
    fn another_grant_never_narrows(world in world()) {
        let fewer = World { grants: Vec::new(), ..world.clone() };
        prop_assert!(!fewer.allows() || world.allows());
    }

    #[test]
    fn the_order_of_statements_says_nothing(
        world in world(), from in any::<Index>(), to in any::<Index>(), turn in any::<bool>(),
    ) {
        let mut other = world.clone();
        other.own.reverse();
        other.grants.reverse();
        if turn {
            other.key.reverse();
        } else if !other.key.is_empty() {
            let statements = other.key.len();
            other.key.swap(from.index(statements), to.index(statements));
        }
        let (one, other) = (world.decide(), other.decide());
        prop_assert_eq!((one.allowed, one.holds), (other.allowed, other.holds));
    }

    #[test]
    fn the_order_in_lists_says_nothing(world in world()) {
        fn reverse(value: &mut Value) {
            match value {
                Value::Array(list) => list.reverse(),
                Value::Object(members) => members.values_mut().for_each(reverse),
                _ => {}
            }
        }
        let mut other = world.clone();
        other.key.iter_mut().chain(&mut other.own).for_each(reverse);
        other.call.iter_mut().for_each(|(_, values)| values.reverse());
        let (one, other) = (world.decide(), other.decide());
        prop_assert_eq!((one.allowed, one.holds), (other.allowed, other.holds));
    }

    #[test]
    fn an_answer_holds_as_long_as_it_says(
        world in world(), later in 0_u64..10, call in call(),
    ) {
        let decision = world.decide();
        let then = World { now: world.now + later, ..world.clone() };
        let holds = match decision.holds {
            Until::ThisCall => None,
            Until::Instant(end) if end <= second(then.now) => None,
            // Any call will be answered the same.
            Until::Instant(_) | Until::Changed => Some(World { call, ..then }),
        };
        if let Some(later) = holds {
            prop_assert_eq!(later.allows(), decision.allowed);
        }
        if let Until::Instant(end) = decision.holds {
            prop_assert!(end > second(world.now));
        }
    }

    #[test]
    fn any_text_is_a_policy_or_not(text in "[-{}\\[\\]\":, a-zA-Z0-9é$*]{0,200}") {
        for kind in [DocumentKind::Key, DocumentKind::Identity, DocumentKind::Trust] {
            let _ = Document::parse(kind, &text);
        }
    }

    #[test]
    fn any_json_is_a_policy_or_not(
        path in prop::collection::vec(any::<Index>(), 0..6), put in any::<Index>(), world in world(),
    ) {
        // A sound policy with something else somewhere inside.
        let strange = [
            json!(null), json!(0), json!(-1.5e300), json!(true), json!("${"), json!("*"),
            json!([]), json!([[]]), json!({}), json!({ "AWS": {} }), json!("\u{1f511}"),
        ];
        let mut text = json!({ "Version": "2012-10-17", "Statement": world.key });
        *inside(&mut text, &path) = strange[put.index(strange.len())].clone();
        for kind in [DocumentKind::Key, DocumentKind::Identity, DocumentKind::Trust] {
            let _ = Document::parse(kind, &text.to_string());
        }
    }
}

#[test]
fn the_worlds_are_of_every_kind() {
    // Properties of worlds that are all refused would say little.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        let world = world().new_tree(&mut runner).unwrap().current();
        let decision = world.decide();
        let holds = match decision.holds {
            Until::ThisCall => "this call",
            Until::Instant(_) => "until",
            Until::Changed => "changed",
        };
        *seen.entry((decision.allowed, holds)).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 20), "{seen:?}");
}
