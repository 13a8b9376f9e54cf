//! What is a policy, and what is none.

use super::{ACCOUNT, KEY, caller_named};
use crate::error::Error;
use crate::policy::DocumentKind::{Identity, Key, Trust};
use crate::policy::{
    Action, Caller, Context, Document, DocumentKind, KeyFacts, PrincipalName, Request,
    default_key_policy, owner_key_policy,
};
use std::time::UNIX_EPOCH;

/// A policy of one statement with these members.
fn one(statement: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": {{{statement}}}}}"#)
}

/// A sound statement of a key's policy with this Condition.
fn on(condition: &str) -> String {
    one(&format!(
        r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {condition}"#
    ))
}

const ALL: &str = r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*""#;
const OWN: &str = r#""Effect": "Allow", "Action": "*", "Resource": "*""#;

#[test]
fn these_are_policies() {
    for (kind, text) in [
        (Key, one(ALL)),
        (Key, format!(r#"{{"Statement": [{{{ALL}}}]}}"#)),
        (Key, format!(r#" {{"Version": "2008-10-17", "Id": "x y", "Statement": [{{{ALL}}}]}} "#)),
        (Key, one(&format!(r#"{ALL}, "Sid": "Allow it: all""#))),
        (Key, format!(r#"{{"Statement": [{{{ALL}, "Sid": "a"}}, {{{ALL}, "Sid": "a"}}]}}"#)),
        (
            Key,
            one(
                r#""Effect": "Deny", "NotPrincipal": {"AWS": ["111122223333"]}, "NotAction": ["kms:*"], "NotResource": "arn:aws:kms:*:*:key/*""#,
            ),
        ),
        (
            Key,
            one(
                r#""Effect": "Allow", "Principal": {"AWS": "*", "Service": "s3.amazonaws.com", "Federated": ["accounts.example.com"]}"#,
            ),
        ),
        (Key, one(r#""Effect": "Allow", "Principal": "*", "Action": [], "Resource": []"#)),
        (
            Key,
            one(
                r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*""#,
            ),
        ),
        (Key, on("{}")),
        (Key, on(r#"{"StringEquals": {}}"#)),
        (
            Key,
            on(
                r#"{"Bool": {"aws:SecureTransport": [true, "false"]}, "NumericEqualsIfExists": {"kms:x": 1.5}}"#,
            ),
        ),
        (Key, on(r#"{"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}"#)),
        (Identity, one(OWN)),
        (Identity, one(&format!(r#"{OWN}, "Sid": "a1""#))),
        (
            Identity,
            format!(r#"{{"Statement": [{{{OWN}}}, {{{OWN}, "Sid": ""}}, {{{OWN}, "Sid": ""}}]}}"#),
        ),
        (
            Trust,
            one(
                r#""Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole""#,
            ),
        ),
    ] {
        let document = Document::parse(kind, &text);
        assert!(document.is_ok(), "{text}: {document:?}");
        assert_eq!(document.unwrap().kind(), kind);
    }
}

#[test]
fn these_are_none_and_say_why() {
    let invalid = "Policy contains a statement with one or more invalid principals. ";
    let table: &[(DocumentKind, String, &str)] = &[
        (Key, "x".into(), "not JSON: expected value at line 1 column 1"),
        (Key, "[]".into(), "a policy is an object"),
        (Key, format!("{} x", one(ALL)), "not JSON: trailing characters at line 1 column 111"),
        (Key, "{}".into(), "Missing required field Statement"),
        (Key, r#"{"Statement": []}"#.into(), "Statement: is empty"),
        (Key, r#"{"Statement": [1]}"#.into(), "Statement 1: a statement is an object"),
        (
            Key,
            format!(r#"{{"Version": "2012-10-18", "Statement": {{{ALL}}}}}"#),
            "Version: is neither \"2012-10-17\" nor \"2008-10-17\"",
        ),
        (
            Key,
            format!(r#"{{"Version": 2012, "Statement": {{{ALL}}}}}"#),
            "Version: is neither \"2012-10-17\" nor \"2008-10-17\"",
        ),
        (Key, format!(r#"{{"Id": 1, "Statement": {{{ALL}}}}}"#), "Id: is not a string"),
        (
            Key,
            format!(r#"{{"statement": 1, "Statement": {{{ALL}}}}}"#),
            "a policy has no element \"statement\"",
        ),
        (
            Key,
            format!(r#"{{"Statement": [{{{ALL}}}, {{{ALL}, "Foo": 1}}]}}"#),
            "Statement 2: a statement has no element \"Foo\"",
        ),
        (
            Key,
            one(&format!(r#"{ALL}, "Effect": "Deny""#)),
            "\"Effect\" stands twice at line 1 column 117",
        ),
        (Key, one(&format!(r#"{ALL}, "Sid": 1"#)), "Statement 1: Sid: is not a string"),
        (Key, one(r#""Principal": "*""#), "Statement 1: Missing required field Effect"),
        (
            Key,
            one(r#""Effect": "allow", "Principal": "*""#),
            "Statement 1: Effect: is neither \"Allow\" nor \"Deny\"",
        ),
        (Key, one(OWN), "Statement 1: Missing required field Principal"),
        (
            Key,
            one(&format!(r#"{ALL}, "NotPrincipal": "*""#)),
            "Statement 1: Principal and NotPrincipal exclude each other",
        ),
        (
            Key,
            one(&format!(r#"{ALL}, "NotAction": "kms:*""#)),
            "Statement 1: Action and NotAction exclude each other",
        ),
        (
            Key,
            one(&format!(r#"{ALL}, "NotResource": "*""#)),
            "Statement 1: Resource and NotResource exclude each other",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "NotAction": []"#),
            "Statement 1: NotAction: is empty",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Action": 1"#),
            "Statement 1: Action: is neither a string nor a list of strings",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Action": ["kms:*", ["kms:*"]]"#),
            "Statement 1: Action: is neither a string nor a list of strings",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Action": "GenerateMac""#),
            "Statement 1: Action: \"GenerateMac\" is not of the form service:Action, as in \"kms:GenerateMac\"",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Action": "kms:${aws:username}""#),
            "Statement 1: Action: \"kms:${aws:username}\" is not of the form service:Action, as in \"kms:GenerateMac\"",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Resource": "key/1""#),
            "Statement 1: Resource: Resource key/1 must be in ARN format or \"*\".",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "*", "Resource": "arn:aws:kms:${""#),
            "Statement 1: Resource: \"${\" is not closed by a brace",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": "arn:aws:iam::111122223333:root""#),
            "Statement 1: Principal: is neither \"*\" nor an object",
        ),
        (Key, one(r#""Effect": "Allow", "Principal": {}"#), "Statement 1: Principal: names nobody"),
        (
            Key,
            one(r#""Effect": "Allow", "NotPrincipal": {"AWS": []}"#),
            "Statement 1: NotPrincipal: names nobody",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": {"AWS": 1}"#),
            "Statement 1: Principal.AWS: is neither a string nor a list of strings",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:group/x"}"#),
            "Statement 1: {invalid}Principal.AWS: \"arn:aws:iam::111122223333:group/x\"",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/*"}"#),
            "Statement 1: {invalid}Principal.AWS: \"arn:aws:iam::111122223333:user/*\"",
        ),
        (
            Key,
            one(r#""Effect": "Allow", "Principal": {"CanonicalUser": "x"}"#),
            "Statement 1: {invalid}Principal.CanonicalUser: \"x\"",
        ),
        (Key, on("[]"), "Statement 1: Condition: is not an object"),
        (
            Key,
            on(r#"{"StringIs": {"a:b": "c"}}"#),
            "Statement 1: Condition: there is no operator \"StringIs\"",
        ),
        (
            Key,
            on(r#"{"NullIfExists": {"a:b": true}}"#),
            "Statement 1: Condition: there is no operator \"NullIfExists\"",
        ),
        (
            Key,
            on(r#"{"ForAnyValue:Null": {"a:b": true}}"#),
            "Statement 1: Condition: there is no operator \"ForAnyValue:Null\"",
        ),
        (
            Key,
            on(r#"{"StringEquals": "a:b"}"#),
            "Statement 1: Condition.StringEquals: is not an object of keys and values",
        ),
        (
            Key,
            on(r#"{"StringEquals": {"b": "c"}}"#),
            "Statement 1: Condition.StringEquals.b: a condition key has a prefix, as in \"kms:MacAlgorithm\"",
        ),
        (
            Key,
            on(r#"{"StringEquals": {"a:b": "c", "A:B": "c"}}"#),
            "Statement 1: Condition.StringEquals.a:b: stands twice",
        ),
        (
            Key,
            on(r#"{"StringEquals": {"a:b": []}}"#),
            "Statement 1: Condition.StringEquals.a:b: has no value",
        ),
        (
            Key,
            on(r#"{"StringEquals": {"a:b": null}}"#),
            "Statement 1: Condition.StringEquals.a:b: a value is a string, a number or a boolean",
        ),
        (
            Key,
            on(r#"{"StringEquals": {"a:b": "${x}"}}"#),
            "Statement 1: Condition.StringEquals.a:b: \"${x}\" names no condition key",
        ),
        (
            Key,
            on(r#"{"NumericEquals": {"a:b": "x"}}"#),
            "Statement 1: Condition.NumericEquals.a:b: \"x\" is not a number",
        ),
        (
            Key,
            on(r#"{"NumericEquals": {"a:b": "inf"}}"#),
            "Statement 1: Condition.NumericEquals.a:b: \"inf\" is not a number",
        ),
        (
            Key,
            on(r#"{"DateEquals": {"a:b": "today"}}"#),
            "Statement 1: Condition.DateEquals.a:b: \"today\" is not a date",
        ),
        (
            Key,
            on(r#"{"Bool": {"a:b": "yes"}}"#),
            "Statement 1: Condition.Bool.a:b: \"yes\" is not true or false",
        ),
        (
            Key,
            on(r#"{"BinaryEquals": {"a:b": "?"}}"#),
            "Statement 1: Condition.BinaryEquals.a:b: \"?\" is not base64",
        ),
        (
            Key,
            on(r#"{"IpAddress": {"a:b": ["::1", "x"]}}"#),
            "Statement 1: Condition.IpAddress.a:b: \"x\" is not an IP address",
        ),
        (
            Key,
            on(r#"{"ForAllValues:StringEquals": {"aws:RequestTag/a": "b"}}"#),
            "Statement 1: Condition.ForAllValues:StringEquals.aws:RequestTag/a: OverlyPermissiveCondition: ForAllValues is true without the tag",
        ),
        (
            Identity,
            one(ALL),
            "Statement 1: Principal: has no place in a policy of a user or role, who is meant",
        ),
        (
            Identity,
            one(r#""Effect": "Allow", "Resource": "*""#),
            "Statement 1: Missing required field Action",
        ),
        (
            Identity,
            one(r#""Effect": "Allow", "Action": "*""#),
            "Statement 1: Missing required field Resource",
        ),
        (
            Identity,
            one(&format!(r#"{OWN}, "Sid": "a b""#)),
            "Statement 1: Sid: is not of letters and digits only",
        ),
        (
            Identity,
            format!(r#"{{"Statement": [{{{OWN}, "Sid": "a"}}, {{{OWN}, "Sid": "a"}}]}}"#),
            "Statement 2: Statement IDs (SID) in a single policy must be unique; statement 1 is \"a\" too",
        ),
        (
            Trust,
            one(ALL),
            "Statement 1: Resource: has no place in a trust policy, which means its role",
        ),
        (
            Trust,
            one(r#""Effect": "Allow", "Principal": "*""#),
            "Statement 1: Missing required field Action",
        ),
        (
            Trust,
            one(r#""Effect": "Allow", "Action": "sts:AssumeRole""#),
            "Statement 1: Missing required field Principal",
        ),
    ];
    for (kind, text, expected) in table {
        let reason = expected.replace("{invalid}", invalid);
        assert_eq!(Document::parse(*kind, text), Err(Error::MalformedPolicy(reason)), "{text}");
    }
}

#[test]
fn a_policy_has_a_size_and_characters() {
    // As long as asked, by a Sid.
    let long = |statement: &str, length: usize| {
        let text = one(&format!(r#"{statement}, "Sid": """#));
        text.replace(r#""Sid": """#, &format!(r#""Sid": "{}""#, "a".repeat(length - text.len())))
    };
    assert!(Document::parse(Key, &long(ALL, 32_768)).is_ok());
    let too_long = Error::LimitExceeded("the policy is 32769 long, and may be 32768".into());
    assert_eq!(Document::parse(Key, &long(ALL, 32_769)), Err(too_long));
    // Bytes, not characters.
    assert!(Document::parse(Key, &long(ALL, 32_768).replace("aa", "é")).is_ok());
    assert!(Document::parse(Key, &long(ALL, 32_768).replace("aa", "éé")).is_err());

    let trust = r#""Effect":"Allow","Principal":"*","Action":"sts:AssumeRole""#;
    for (kind, statement, most) in [(Identity, OWN, 6_144), (Trust, trust, 4_096)] {
        let spaces = one(statement).matches(' ').count() + 2;
        assert!(Document::parse(kind, &long(statement, most + spaces)).is_ok(), "{kind:?}");
        let answer = Document::parse(kind, &long(statement, most + spaces + 1));
        assert!(matches!(answer, Err(Error::LimitExceeded(_))), "{kind:?}: {answer:?}");
    }

    for text in ["", "{}\u{b}", "{}\u{1f511}", "{\"\u{100}\": 1}", &" ".repeat(131_073)] {
        let answer = Document::parse(Key, text);
        assert!(matches!(answer, Err(Error::ValidationFailed(_))), "{text}: {answer:?}");
    }
    assert!(matches!(Document::parse(Key, "\t\r\n ÿ"), Err(Error::MalformedPolicy(_))));
}

#[test]
fn the_default_policy_is_that_of_createkey() {
    // KMS API: recorded.
    let text = r#"{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}"#;
    assert_eq!(default_key_policy(ACCOUNT), text);
    let document = Document::parse(Key, text).unwrap();
    let named: Vec<_> = document.principals().collect();
    assert_eq!(named, [&PrincipalName::Account(ACCOUNT.into())]);
}

#[test]
fn without_a_policy_the_owner_may_do_what_pkcs11_knows_too() {
    let caller = caller_named("@root");
    let context = Context::new(&caller, UNIX_EPOCH);
    for (text, expected) in
        [(owner_key_policy(ACCOUNT), [true, true]), (default_key_policy(ACCOUNT), [true, false])]
    {
        let policy = Document::parse(Key, &text).unwrap();
        let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &[] };
        for (action, expected) in
            [Action::GenerateMac, Action::DestroyKey].into_iter().zip(expected)
        {
            let request = Request { caller: &caller, action, context: &context };
            assert_eq!(request.on_key(&key).allowed, expected, "{action}: {text}");
        }
    }
}

#[test]
fn who_puts_a_policy_must_be_able_to_replace_it() {
    let put = r#""Action": "kms:PutKeyPolicy", "Resource": "*""#;
    let anna = r#""Principal": {"AWS": "arn:aws:iam::111122223333:user/anna"}"#;
    let root = r#""Principal": {"AWS": "111122223333"}"#;
    let table = [
        (format!(r#"{{"Effect": "Allow", {anna}, {put}}}"#), [true, false]),
        (format!(r#"{{"Effect": "Allow", {root}, {put}}}"#), [true, true]),
        (
            format!(r#"{{"Effect": "Allow", {anna}, "Action": "kms:Get*", "Resource": "*"}}"#),
            [false; 2],
        ),
        (format!(r#"{{"Effect": "Allow", {anna}, "Action": "kms:PutKeyPolicy"}}"#), [false; 2]),
        (
            format!(r#"{{"Effect": "Allow", {root}, {put}}}, {{"Effect": "Deny", {anna}, {put}}}"#),
            [false, true],
        ),
        (
            format!(
                r#"{{"Effect": "Allow", {root}, {put}, "Condition": {{"StringEquals": {{"aws:username": "anna"}}}}}}"#
            ),
            [true, false],
        ),
    ];
    for (statements, expected) in table {
        let text = format!(r#"{{"Statement": [{statements}]}}"#);
        let policy = Document::parse(Key, &text).unwrap();
        for (who, expected) in ["@anna", "@ben"].into_iter().zip(expected) {
            let caller = caller_named(who);
            let context = Context::new(&caller, UNIX_EPOCH);
            // The answer does not depend on the action that is under way.
            let request = Request { caller: &caller, action: Action::CreateKey, context: &context };
            let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &[] };
            assert_eq!(request.check_lockout(&key).is_ok(), expected, "{who}: {text}");
        }
    }
}

#[test]
fn a_refusal_is_worded_as_kms_does() {
    let statements = r#"{"Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:GenerateMac", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": "kms:EnableKey", "Resource": "*"}]}"#;
    let policy = Document::parse(Key, statements).unwrap();
    let caller = caller_named("@Producer/web");
    let context = Context::new(&caller, UNIX_EPOCH);
    let who =
        "User: arn:aws:sts::111122223333:assumed-role/Producer/web is not authorized to perform:";
    for (action, why) in [
        (Action::GenerateMac, "because no identity-based policy allows the kms:GenerateMac action"),
        (Action::VerifyMac, "because no resource-based policy allows the kms:VerifyMac action"),
        (Action::EnableKey, "with an explicit deny in a resource-based policy"),
    ] {
        let request = Request { caller: &caller, action, context: &context };
        let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &[] };
        let decision = request.on_key(&key);
        assert!(!decision.allowed);
        let text = request.refusal(KEY, &decision.because);
        assert_eq!(text, format!("{who} {action} on resource: {KEY} {why}"));
    }
}

#[test]
fn the_example_of_the_documentation_does_what_it_says() {
    let page = include_str!("../../../docs/policies.md");
    let example = page.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let policy = Document::parse(Key, example).unwrap();
    let account = "000000000000";
    let session = |role| Caller::assumed_role(account, role, "x", "AROAEXAMPLE000000001");
    let table = [
        (Caller::root(account), [false, false, true, true]),
        (session("JwtProducer"), [true, false, true, false]),
        (session("JwtConsumer"), [false, true, true, false]),
        (session("Other"), [false, false, false, false]),
    ];
    for (caller, expected) in table {
        let context = Context::new(&caller, UNIX_EPOCH);
        let actions =
            [Action::GenerateMac, Action::VerifyMac, Action::DescribeKey, Action::PutKeyPolicy];
        let answers = actions.map(|action| {
            let request = Request { caller: &caller, action, context: &context };
            let key = KeyFacts { account, arn: KEY, policy: &policy, grants: &[] };
            request.on_key(&key).allowed
        });
        assert_eq!(answers, expected, "{}", caller.arn());
    }
}
