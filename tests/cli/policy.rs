//! `signet policy`: what policies allow, and why.

use super::place::{Place, fails, texts};

const KEY_POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    { "Sid": "Administrators", "Effect": "Allow", "Principal": { "AWS": "000000000000" },
      "Action": ["kms:PutKeyPolicy", "kms:DescribeKey", "kms:CreateAlias"], "Resource": "*" },
    { "Sid": "Producers", "Effect": "Allow",
      "Principal": { "AWS": "arn:aws:iam::000000000000:user/producer" },
      "Action": "kms:GenerateMac", "Resource": "*",
      "Condition": { "StringEquals": { "kms:MacAlgorithm": "HMAC_SHA_256" } } }
  ]
}"#;

/// A token with a key `jwt` under [`KEY_POLICY`] and a user `producer`.
fn place() -> Place {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "jwt", "--id", "01"], "jwt");
    let pin = place.file("producer-pin", "producer-pin\n");
    let add = ["user", "add", "--token", "demo", "--user-pin-file", &pin, "producer"];
    place.says(&add, "producer");
    let policy = place.file("policy.json", KEY_POLICY);
    place.says(&["key", "policy", "put", "--token", "demo", "--key", "jwt", &policy], "policy");
    place
}

fn check<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["policy", "check", "--token", "demo"], more].concat()
}

#[test]
fn the_statement_that_decides_is_named() {
    let place = place();
    let ask = ["--principal", "producer", "--action", "kms:GenerateMac", "--key", "jwt"];
    let sha256 = [&ask[..], &["--context", "kms:MacAlgorithm=HMAC_SHA_256"]].concat();
    let allowed = place.says(&check(&sha256), "Allowed: arn:aws:iam::000000000000:user/producer");
    assert!(allowed.contains("statement 2 \"Producers\" of the key policy allows it"), "{allowed}");
    let output = place.run(&check(&ask));
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), &*err), (Some(5), ""), "{out}");
    assert!(out.starts_with("Denied: "), "{out}");
    let root = ["--principal", "root", "--action", "KMS:generatemac", "--key", "jwt"];
    assert_eq!(place.run(&check(&root)).status.code(), Some(5), "the owner is not named");
    let root = ["--principal", "root", "--action", "kms:PutKeyPolicy", "--key", "jwt"];
    place.says(&check(&root), "statement 1 \"Administrators\"");
}

#[test]
fn keys_and_principals_have_many_names() {
    let place = place();
    place.says(
        &["alias", "create", "--token", "demo", "--key", "jwt", "alias/signing"],
        "alias/signing",
    );
    let user = "arn:aws:iam::000000000000:user/producer";
    for key in
        ["jwt", "alias/signing", "pkcs11:object=jwt", "pkcs11:token=demo;id=%01;type=secret-key"]
    {
        for who in ["producer", "user/Producer", user] {
            let ask = [
                "--principal",
                who,
                "--action",
                "kms:GenerateMac",
                "--key",
                key,
                "--context",
                "kms:MacAlgorithm=HMAC_SHA_256",
            ];
            place.says(&check(&ask), user);
        }
    }
    let by_uri = [
        "policy",
        "check",
        "--principal",
        "root",
        "--action",
        "kms:DescribeKey",
        "--key",
        "pkcs11:token=demo;object=jwt",
    ];
    place.says(&by_uri, "Allowed");
}

#[test]
fn states_are_told_beside_policies_and_programs_read_json() {
    let place = place();
    place.says(&["key", "list", "--token", "demo"], "jwt");
    let mine = place.file(
        "mine.json",
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}"#,
    );
    place.says(&["key", "policy", "put", "--token", "demo", "--key", "jwt", &mine], "policy");
    place.says(&["key", "disable", "--token", "demo", "--key", "jwt"], "disabled");
    let ask = ["--principal", "producer", "--action", "kms:VerifyMac", "--key", "jwt"];
    let (out, _) = texts(&place.run(&check(&ask)));
    assert!(
        out.starts_with("Denied") && out.contains("But the key") && out.contains("disabled"),
        "{out}"
    );
    let output = place.run(&check(&[&ask[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(5));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["allowed"], false);
    assert_eq!(json["policiesAllow"], true);
    assert_eq!(json["action"], "kms:VerifyMac");
    assert!(json["keyState"].as_str().unwrap().contains("disabled"), "{json}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let place = place();
    let ask = |who: &'static str, action: &'static str, key: &'static str| {
        check(&["--principal", who, "--action", action, "--key", key])
    };
    place.fails(&ask("nobody", "kms:GenerateMac", "jwt"), 1, "nobody");
    place.fails(&ask("role/none", "kms:GenerateMac", "jwt"), 1, "none");
    place.fails(&ask("producer", "kms:Fly", "jwt"), 2, "no such action");
    place.fails(&ask("producer", "kms:GenerateMac", "none"), 1, "no key");
    let stranger = "arn:aws:iam::111122223333:user/producer";
    place.fails(&ask(stranger, "kms:GenerateMac", "jwt"), 1, "nobody of this token's account");
    // What the command line alone shows to be wrong is told by the status.
    place.fails(&ask("producer", "kms:CreateKey", "jwt"), 2, "leave --key out");
    place.fails(&ask("producer", "kms:GenerateMac", "pkcs11:serial=1"), 2, "serial is not taken");
    place.fails(&ask("producer", "kms:CreateAlias", "jwt"), 2, "name it with --alias");
    place.fails(&ask("producer", "sts:AssumeRole", "jwt"), 2, "`signet role trust` prints");
    let ask = ["--principal", "producer", "--action", "kms:GenerateMac"];
    place.fails(&check(&ask), 2, "kms:GenerateMac is done to a key: name it with --key");
    let alias = [&ask[..], &["--key", "jwt", "--alias", "alias/a"]].concat();
    place.fails(&check(&alias), 2, "leave --alias out");
    let no_token = [&["policy", "check"], &ask[..], &["--key", "jwt"]].concat();
    place.fails(&no_token, 2, "--token, or a URI");
    let by_user = check(&[&ask[..], &["--key", "jwt"]].concat());
    let by_user = place.run_with(&by_user, Some("producer:producer-pin"), b"");
    fails(&by_user, 1, "only the token's owner may do this");
}

/// The alias's half of the decision, and the key's.
#[test]
fn of_an_alias_both_halves_are_asked() {
    let place = place();
    let key = place.says(&["key", "describe", "--token", "demo", "--key", "jwt"], "key/");
    let key = key.split_whitespace().find(|word| word.starts_with("arn:")).unwrap();
    let allow = |resource: &str| {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"kms:*","Resource":{resource}}}}}"#
        );
        let file = place.file("aliases.json", policy);
        let put = ["user", "policy", "put", "--token", "demo", "producer", "aliases", &file];
        place.says(&put, "is set");
    };
    let ask = ["--principal", "producer", "--action", "kms:CreateAlias", "--key", "jwt"];
    let ask = check(&[&ask[..], &["--alias", "alias/new"]].concat());
    let alias = "arn:aws:kms:us-east-1:000000000000:alias/new";
    allow(&format!("\"{key}\""));
    let denied = place.run(&ask);
    assert_eq!(denied.status.code(), Some(5), "{:?}", texts(&denied));
    assert!(texts(&denied).0.contains(alias), "{:?}", texts(&denied));
    allow(&format!("[\"{key}\", \"{alias}\"]"));
    place.says(&ask, "Allowed");
}

#[test]
fn what_is_the_owners_alone_no_policy_gives() {
    let place = place();
    let all = r#"{"Statement":{"Effect":"Allow","Action":"signet:*","Resource":"*"}}"#;
    let all = place.file("all.json", all);
    place.says(&["user", "policy", "put", "--token", "demo", "producer", "all", &all], "is set");
    for (who, action, why) in [
        ("producer", "signet:ManageIdentities", "But only the token's owner may do this."),
        ("root", "signet:InitializePin", "But only the security officer may do this."),
    ] {
        let output = place.run(&check(&["--principal", who, "--action", action]));
        assert_eq!(output.status.code(), Some(5), "{action}");
        let (out, _) = texts(&output);
        assert!(out.starts_with("Denied: ") && out.contains(why), "{out}");
    }
    place.says(&check(&["--principal", "producer", "--action", "signet:ImportObject"]), "Allowed");
}

#[test]
fn documents_are_validated_without_a_token() {
    let place = Place::new();
    let good = place.file("good.json", KEY_POLICY);
    place.says(&["policy", "validate", &good], "can be used");
    place.fails(&["policy", "validate", "--type", "identity", &good], 1, &format!("{good}: "));
    let bad = place.file("bad.json", KEY_POLICY.replace("Allow", "Permit"));
    place.fails(&["policy", "validate", &bad], 1, "Statement 1: Effect");
    let none = place.file("none.json", "Effect: Allow");
    place.fails(&["policy", "validate", &none], 1, &format!("{none}: not JSON: "));
}
