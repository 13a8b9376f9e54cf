//! Named users.

use super::place::*;

/// The PIN of the named user.
pub const BOB_PIN: &str = "bob-4116";

const POLICY: &str = r#"{"Version": "2012-10-17",
 "Statement": {"Effect": "Allow", "Action": "kms:GenerateMac", "Resource": "*"}}
"#;

/// A token with a key "k" and a user "Bob".
pub fn with_bob() -> Place {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "k"], "Generated");
    let pin = place.file("bob-pin", format!("{BOB_PIN}\n"));
    let add = user("add", &["Bob", "--user-pin-file", &pin]);
    place.says(&add, "User Bob made: arn:aws:iam::000000000000:user/Bob\n");
    let policy = place.file("use", USE);
    place.says(&user("policy put", &["Bob", "use", &policy]), "is set");
    place
}

/// A policy that lets a user make MACs with every key.
pub const USE: &str =
    r#"{"Statement":{"Effect":"Allow","Action":["kms:GenerateMac"],"Resource":"*"}}"#;

/// `signet user COMMAND --token demo …`
pub fn user<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["user"], &*command.split(' ').collect::<Vec<_>>(), &["--token", "demo"], rest].concat()
}

/// Makes a MAC as this user, by a PIN in the environment.
pub fn sign(place: &Place, pin: &str, who: &[&str]) -> std::process::Output {
    let sign = ["mac", "sign", "--token", "demo", "--key", "k"];
    place.run_with(&[&sign, who].concat(), Some(pin), b"message")
}

#[test]
fn a_user_is_made_and_uses_keys_by_name() {
    let place = with_bob();
    let by_owner = sign(&place, PIN, &[]);
    for (pin, who) in [
        (BOB_PIN, &["--user", "bob"][..]),
        (BOB_PIN, &["--user", "BOB"]),
        (&format!("bob:{BOB_PIN}"), &[]),
    ] {
        assert_eq!(texts(&sign(&place, pin, who)), texts(&by_owner), "{who:?}");
    }
    let list = ["key", "list", "--token", "demo", "--user", "bob"];
    let listed = place.run_with(&list, Some(BOB_PIN), b"");
    assert!(texts(&listed).0.contains("label \"k\""), "{:?}", texts(&listed));
    let file = place.file("pin", BOB_PIN);
    let by_file = [&list[..], &["--pin-file", &file]].concat();
    assert!(place.run_with(&by_file, None, b"").status.success());
    fails(&place.run_with(&list, None, b""), 1, "PIN of bob of \"demo\" is needed");

    for (pin, who) in [("wrong", "bob"), (BOB_PIN, "alice")] {
        let refused = sign(&place, pin, &["--user", who]);
        fails(&refused, 1, &format!("wrong PIN, or no user is called {who}"));
    }
    fails(&sign(&place, BOB_PIN, &["--user", "no name"]), 2, "a name has 1 to 64 of");
    fails(&sign(&place, BOB_PIN, &["--role", "r"]), 2, "--user");
    let administer = place.run_with(&user("list", &[]), Some(&format!("bob:{BOB_PIN}")), b"");
    fails(&administer, 1, "not allowed: only the token's owner may do this");
}

#[test]
fn a_user_who_may_nothing_is_told_whom_to_ask() {
    let place = with_bob();
    place.says(&user("policy delete", &["bob", "use"]), "removed");
    let bob = |words: &[&str]| {
        let words = [words, &["--token", "demo", "--user", "bob"]].concat();
        place.run_with(&words, Some(BOB_PIN), b"")
    };
    let none = "No keys that this user may see. `signet policy check` tells the owner why.\n";
    assert_eq!(texts(&bob(&["key", "list"])).0, none);
    for words in [&["mac", "sign"][..], &["key", "describe"], &["grant", "list"]] {
        let refused = bob(&[words, &["--key", "k"]].concat());
        fails(&refused, 1, "no key that this user may see is labelled \"k\"");
    }
    let refused = bob(&["key", "generate", "--key", "mine"]);
    fails(&refused, 1, "because no identity-based policy allows the kms:CreateKey action\n");
    fails(&refused, 1, "`signet policy check` tells the token's owner");
}

/// What a wrong PIN costs is told of the one whose it is.
#[test]
fn a_wrong_pin_that_names_a_user_is_counted_there() {
    let place = with_bob();
    let refused = sign(&place, "bob:wrong", &[]);
    fails(&refused, 1, "wrong PIN of the user whose name it begins with");
    place.says(&user("list", &[]), "9 of 10 attempts left");
    fails(&sign(&place, "eve:wrong", &[]), 1, "wrong PIN; 9 attempts left");
}

#[test]
fn a_user_lists_aliases_and_grants_as_far_as_policies_go() {
    let place = with_bob();
    place.says(&["alias", "create", "--token", "demo", "alias/a", "--key", "k"], "alias/a");
    let bob = |words: &[&str]| {
        let words = [words, &["--token", "demo", "--user", "bob"]].concat();
        place.run_with(&words, Some(BOB_PIN), b"")
    };
    fails(&bob(&["alias", "list"]), 1, "no identity-based policy allows the kms:ListAliases");
    let retirable = ["grant", "list", "--retiring", "bob"];
    fails(&bob(&retirable), 1, "no identity-based policy allows the kms:ListRetirableGrants");
    let list = r#"{"Statement":{"Effect":"Allow","Resource":"*",
        "Action":["kms:ListAliases","kms:ListRetirableGrants"]}}"#;
    place.says(&user("policy put", &["bob", "list", &place.file("list", list)]), "is set");
    assert!(texts(&bob(&["alias", "list"])).0.contains("  alias/a  "));
    assert_eq!(texts(&bob(&retirable)).0, "No grants.\n");
}

#[test]
fn users_are_listed_shown_and_told_apart() {
    let place = Place::with_token();
    place.says(&user("list", &[]), "No named users. `signet user add --token \"demo\" NAME`");
    assert_eq!(place.says(&user("list", &["--json"]), ""), "");
    let place = with_bob();
    let pin = place.file("pin", "1234");
    let add = |name| place.run(&user("add", &[name, "--user-pin-file", &pin]));
    fails(&add("bob"), 1, "user bob is there already");
    assert!(add("alice").status.success());
    let list = place.says(&user("list", &[]), "NAME");
    let rows: Vec<_> = list.lines().skip(1).collect();
    assert!(rows.len() == 2 && rows[0].starts_with("Bob ") && rows[1].starts_with("alice "));
    assert!(rows.iter().all(|row| row.contains("  enabled ") && row.ends_with("  set")));

    place.says(&user("tag", &["bob", "team=tokens", "floor=3"]), "The tags of user bob are set.");
    place.says(&user("tag", &["bob", "--remove", "floor"]), "The tags of user bob are set.");
    place.fails(&user("tag", &["bob"]), 2, "KEY=VALUE");
    place.fails(&user("tag", &["bob", "novalue"]), 2, "a tag is KEY=VALUE");
    let show = place.says(&user("show", &["BOB"]), "name:        Bob\n");
    for line in [
        "ARN:         arn:aws:iam::000000000000:user/Bob\n",
        "unique id:   AIDA",
        "state:       enabled\n",
        "tag:         team=tokens\n",
        "PIN:         set\n",
    ] {
        assert!(show.contains(line), "{line}: {show}");
    }
    assert!(!show.contains("floor"), "{show}");
    let shown = place.says(&user("show", &["bob", "--json"]), "{");
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&json["UserName"], &json["Disabled"]), (&"Bob".into(), &false.into()));
    assert_eq!(json["Arn"], "arn:aws:iam::000000000000:user/Bob");
    assert_eq!(json["Tags"], serde_json::json!([{"Key": "team", "Value": "tokens"}]));
    assert_eq!(json["PolicyNames"], serde_json::json!(["use"]));
    assert_eq!(json["PinAttemptsLeft"], 10);
    let listed = place.says(&user("list", &["--json"]), &shown);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    place.fails(&user("show", &["eve"]), 1, "there is no user eve");
}

#[test]
fn policies_are_put_printed_and_deleted() {
    let place = with_bob();
    let file = place.file("policy", POLICY);
    let policy = |command: &'static str, rest: &[&'static str]| {
        user(&format!("policy {command}"), rest).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run =
        |arguments: &[String]| place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    place.says(&user("policy put", &["bob", "use", &file]), "Policy use of user bob is set.");
    let put = user("policy put", &["bob", "piped", "-"]);
    assert!(place.run_with(&put, Some(PIN), POLICY.as_bytes()).status.success());
    let listed = run(&policy("list", &["bob"]));
    assert_eq!(texts(&listed).0, "piped\nuse\n");
    let got = run(&policy("get", &["bob", "use"]));
    assert_eq!(texts(&got).0, POLICY);
    let deleted = run(&policy("delete", &["bob", "piped"]));
    assert_eq!(texts(&deleted).0, "Policy piped of user bob is removed.\n");
    place.says(&user("policy delete", &["bob", "use"]), "removed");
    place.says(&user("policy list", &["bob"]), "No policies of user bob.\n");
    place.says(&user("policy put", &["bob", "use", &file]), "is set");
    fails(&run(&policy("get", &["bob", "piped"])), 1, "there is no policy piped of user bob");
    fails(&run(&policy("delete", &["bob", "piped"])), 1, "there is no policy piped of user bob");

    let malformed = place.file("malformed", POLICY.replace("Effect", "Affect"));
    place.fails(&user("policy put", &["bob", "use", &malformed]), 1, &format!("{malformed}: "));
    place.fails(&user("policy put", &["bob", "use", "/nonexistent"]), 1, "No such file");
    place.fails(&user("policy put", &["eve", "use", &file]), 1, "signet: there is no user eve");
    place.fails(&user("policy put", &["bob", "two words", &file]), 1, "a policy's name has");
    assert_eq!(texts(&run(&policy("get", &["bob", "use"]))).0, POLICY);
}

#[test]
fn a_pin_is_set_anew_by_the_owner_and_unlocked() {
    let place = with_bob();
    for _ in 0..10 {
        let refused = sign(&place, "wrong", &["--user", "bob"]);
        fails(&refused, 1, "wrong PIN, or no user is called bob");
    }
    fails(
        &sign(&place, BOB_PIN, &["--user", "bob"]),
        1,
        "the owner sets it anew with `signet user pin`",
    );
    place.says(&user("list", &[]), "  locked\n");
    let mut set = place.command(&user("pin", &["bob"]));
    set.env("SIGNET_USER_PIN", "another");
    assert_eq!(texts(&fed(set, b"")).0, "The PIN of user bob is set.\n");
    assert!(sign(&place, "another", &["--user", "bob"]).status.success());
    let short = place.file("short", "123");
    let refused = user("pin", &["bob", "--user-pin-file", &short]);
    place.fails(&refused, 1, &format!("{short}: a PIN has 4 to 255 bytes"));
    place.fails(&user("pin", &["bob"]), 1, "set SIGNET_USER_PIN");
    let pin = place.file("pin", "1234");
    place.fails(&user("pin", &["eve", "--user-pin-file", &pin]), 1, "there is no user eve");
}

/// The objects of the token, as they stand in the file.
fn sealed(place: &Place) -> Vec<Vec<u8>> {
    let file = rusqlite::Connection::open(place.database()).unwrap();
    let mut bodies = file.prepare("SELECT body FROM records WHERE kind IN (3, 4)").unwrap();
    let rows = bodies.query_map((), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_user_is_disabled_enabled_and_removed() {
    let place = with_bob();
    let bob = || sign(&place, BOB_PIN, &["--user", "bob"]);
    place.says(&user("disable", &["bob"]), "The user bob is disabled now.");
    fails(&bob(), 1, "user Bob is disabled");
    place.says(&user("enable", &["bob"]), "The user bob is enabled now.");
    assert!(bob().status.success());
    let before = sealed(&place);
    place.says(
        &user("remove", &["bob"]),
        "User bob is removed, and the root key of \"demo\" is a new one.",
    );
    let after = sealed(&place);
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|body| !before.contains(body)), "as sealed as it was");
    fails(&bob(), 1, "no user is called bob");
    place.fails(&user("remove", &["bob"]), 1, "there is no user bob");
    place.says(&["token", "check", "demo"], "Nothing is wrong");
    assert!(sign(&place, PIN, &[]).status.success());
}

#[test]
fn access_keys_are_made_listed_switched_and_removed() {
    let place = with_bob();
    place.says(&user("access-key list", &["bob"]), "No access keys.\n");
    let created = place.run(&user("access-key create", &["bob"]));
    let (out, err) = texts(&created);
    assert_eq!(err, "Keep the secret: it is not shown again.\n");
    let lines: Vec<_> = out.lines().collect();
    let id = lines[0].strip_prefix("access key id:      ").unwrap().to_owned();
    let secret = lines[1].strip_prefix("secret access key:  ").unwrap();
    assert!(id.starts_with("AKIA") && id.len() == 20 && secret.len() == 40, "{out}");
    let list = place.says(&user("access-key list", &["bob"]), &format!("{id}  enabled  20"));
    let show = place.says(&user("show", &["bob"]), &format!("access key:  {id}  enabled"));
    assert!(!list.contains(secret) && !show.contains(secret));
    place.says(&user("access-key disable", &[&id]), &format!("Access key {id} is disabled now."));
    place.says(&user("access-key list", &["bob"]), &format!("{id}  disabled"));
    place.says(&user("access-key enable", &[&id]), "enabled now");
    place.says(&user("access-key create", &["bob"]), "access key id: ");
    place.fails(&user("access-key create", &["bob"]), 1, "access-key delete` makes room");
    place.fails(&user("access-key create", &[]), 2, "<NAME|--owner>");
    place.says(&user("access-key delete", &[&id]), &format!("Access key {id} is removed."));
    place.fails(&user("access-key delete", &[&id]), 1, &format!("there is no access key {id}"));
    place.says(&user("access-key create", &["--owner"]), "access key id: ");
    assert_eq!(place.says(&user("access-key list", &["--owner"]), "AKIA").lines().count(), 1);
    place.fails(&user("access-key list", &["bob", "--owner"]), 2, "cannot be used with");
    place.fails(&user("access-key create", &["eve"]), 1, "there is no user eve");
    place.fails(&user("access-key create", &[]), 2, "required");
}
