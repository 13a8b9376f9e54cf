//! Roles, and users who take them.

use super::place::*;
use super::user::{BOB_PIN, USE, sign, user, with_bob};

fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
            "Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#
    )
}

const BOB: &str = "arn:aws:iam::000000000000:user/Bob";

/// `signet role COMMAND --token demo …`
fn role<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["role"], &*command.split(' ').collect::<Vec<_>>(), &["--token", "demo"], rest].concat()
}

/// As [`with_bob`], with a role "Producer" that trusts him.
fn with_role() -> Place {
    let place = with_bob();
    let file = place.file("trust", trust(BOB));
    let made = "Role Producer made: arn:aws:iam::000000000000:role/Producer\n";
    place.says(&role("add", &["Producer", "--trust", &file]), made);
    let policy = place.file("use", USE);
    place.says(&role("policy put", &["Producer", "use", &policy]), "is set");
    place
}

#[test]
fn a_role_is_made_and_taken_by_whom_it_trusts() {
    let place = with_role();
    let expected = texts(&sign(&place, PIN, &[]));
    let taken = sign(&place, BOB_PIN, &["--user", "bob", "--role", "producer"]);
    assert_eq!(texts(&taken), expected);
    let by_pin = sign(&place, &format!("role/producer:bob:{BOB_PIN}"), &[]);
    assert_eq!(texts(&by_pin), expected);

    let pin = place.file("pin", "alice-pin");
    assert!(place.run(&user("add", &["alice", "--user-pin-file", &pin])).status.success());
    let alice = sign(&place, "alice-pin", &["--user", "alice", "--role", "producer"]);
    let may_not = "this user may not take this role, or there is none of this name; `signet role";
    fails(&alice, 1, may_not);
    fails(&sign(&place, "role/producer:alice:alice-pin", &[]), 1, may_not);
    fails(&sign(&place, BOB_PIN, &["--user", "bob", "--role", "none"]), 1, may_not);
    let wrong = sign(&place, "wrong", &["--user", "bob", "--role", "producer"]);
    fails(&wrong, 1, "wrong PIN, or no user is called bob");
}

#[test]
fn a_role_is_shown_changed_and_removed() {
    let place = with_role();
    let file = place.file("trust", trust(BOB));
    place.fails(&role("add", &["producer", "--trust", &file]), 1, "signet: role producer is there");
    place.says(&role("list", &[]), "Producer ");
    assert_eq!(place.says(&role("trust", &["producer"]), "").trim_end(), trust(BOB));
    let other = place.file("other", trust("000000000000"));
    place.says(&role("trust", &["producer", &other]), "The trust policy of role producer is set.");
    let taken = || sign(&place, BOB_PIN, &["--user", "bob", "--role", "producer"]);
    fails(&taken(), 1, "may not take this role");
    let assume = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
    let assume = place.file("assume", assume);
    place.says(&user("policy put", &["bob", "assume", &assume]), "is set");
    assert!(taken().status.success());

    let malformed = place.file("malformed", "{}");
    let refused = role("trust", &["producer", &malformed]);
    place.fails(&refused, 1, &format!("{malformed}: Missing required field Statement"));
    place.says(&role("session", &["producer", "7200"]), "lasts 7200 seconds at most");
    place.fails(&role("session", &["producer", "60"]), 2, "3600..=43200");
    place.says(
        &role("policy put", &["producer", "p", &assume]),
        "Policy p of role producer is set.",
    );
    place.says(&role("tag", &["producer", "team=tokens"]), "The tags of role producer are set.");
    let show = place.says(&role("show", &["producer"]), "name:        Producer\n");
    for line in [
        "ARN:         arn:aws:iam::000000000000:role/Producer\n",
        "unique id:   AROA",
        "tag:         team=tokens\n",
        "policy:      p\n",
        "session:     7200 seconds at most\n",
    ] {
        assert!(show.contains(line), "{line}: {show}");
    }
    let shown = place.says(&role("show", &["producer", "--json"]), "{");
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&json["RoleName"], &json["MaxSessionDuration"]),
        (&"Producer".into(), &7200.into())
    );
    assert!(json["AssumeRolePolicyDocument"].as_str().unwrap().contains("000000000000"), "{json}");
    assert_eq!(place.says(&role("list", &["--json"]), ""), shown);
    place.says(&role("disable", &["producer"]), "The role producer is disabled now.");
    fails(&taken(), 1, "role Producer is disabled");
    place.says(&role("enable", &["producer"]), "enabled");
    place.says(&role("remove", &["producer"]), "Role producer is removed.");
    fails(&taken(), 1, "may not take this role");
    place.fails(&role("show", &["producer"]), 1, "there is no role producer");
    place
        .says(&role("list", &[]), "No roles. `signet role add --token \"demo\" NAME --trust FILE`");
    place.says(&["token", "check", "demo"], "Nothing is wrong");
}
