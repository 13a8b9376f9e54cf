//! The life of keys: states, dates, policies, tags, aliases and grants.

use super::place::*;

/// A token with a key labelled "a", and its unique id.
fn with_key() -> (Place, String) {
    let place = Place::with_token();
    let made = place.says(
        &["key", "generate", "--token", "demo", "--key", "a", "--type", "sha256"],
        "Generated",
    );
    let id = made.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (place, id)
}

fn add_user(place: &Place, name: &str) {
    let pin = place.file("pin-of-user", "1234");
    let add = ["user", "add", "--token", "demo", "--user-pin-file", &pin, name];
    assert!(place.run(&add).status.success());
}

/// `signet key …` of the key "a".
fn key<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["key"], words, &["--token", "demo", "--key", "a"]].concat()
}

fn described(place: &Place) -> serde_json::Value {
    serde_json::from_str(&place.says(&key(&["describe", "--json"]), "{")).unwrap()
}

#[test]
fn a_disabled_key_makes_no_mac_until_it_is_enabled() {
    let (place, id) = with_key();
    let message = place.file("message", "hello");
    let sign = ["mac", "sign", "--token", "demo", "--key", "a", &message];
    let mac = place.says(&sign, "");
    let list = ["key", "list", "--token", "demo"];
    assert!(place.says(&list, "").ends_with("label \"a\"\n"));
    place.says(&key(&["disable"]), "is disabled");
    assert!(place.says(&list, "").ends_with("label \"a\"  disabled\n"));
    place.fails(&sign, 1, &format!("the key {id} is disabled; `signet key enable`"));
    assert_eq!(described(&place)["KeyState"], "Disabled");
    place.says(&key(&["enable"]), "is enabled");
    assert_eq!(place.says(&sign, ""), mac);
    place.says(&key(&["schedule-deletion"]), "will be destroyed");
    place.says(&list, "label \"a\"  waits to be deleted\n");
    place.fails(&sign, 1, &format!("the key {id} is pending deletion; `signet key describe`"));
}

#[test]
fn a_deletion_is_scheduled_and_cancelled() {
    let (place, id) = with_key();
    place.fails(&key(&["cancel-deletion"]), 1, "is not pending deletion");
    place.fails(&key(&["schedule-deletion", "--days", "6"]), 2, "7..=30");
    let said = place.says(&key(&["schedule-deletion", "--days", "7"]), "will be destroyed at 2");
    let date = said.trim().trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
    let known = described(&place);
    assert_eq!(
        (&known["KeyState"], &known["DeletionDate"]),
        (&"PendingDeletion".into(), &date.into())
    );
    let pending = format!("the key {id} is pending deletion");
    for refused in [&["enable"][..], &["schedule-deletion"], &["tag", "a=b"]] {
        place.fails(&key(refused), 1, &pending);
    }
    place.says(&key(&["cancel-deletion"]), "stays");
    assert_eq!(described(&place)["KeyState"], "Disabled");
}

#[test]
fn a_key_is_described_to_people_and_to_programs() {
    let (place, id) = with_key();
    place.says(&key(&["set-description", "for \"tokens\"\u{7}"]), "is described");
    place.says(&key(&["tag", "team=red", "stage=", "old=1"]), "is tagged");
    place.says(&key(&["untag", "old", "unknown"]), "no more");
    place.fails(&key(&["tag", "aws:x=1"]), 1, "Tags beginning with aws: are reserved");
    place.says(&["alias", "create", "--token", "demo", "alias/b", "--key", "a"], &id);
    let known = described(&place);
    for (name, value) in [
        ("KeyId", &*id),
        ("Arn", &format!("arn:aws:kms:us-east-1:000000000000:key/{id}")),
        ("KeyState", "Enabled"),
        ("KeySpec", "HMAC_256"),
        ("KeyUsage", "GENERATE_VERIFY_MAC"),
        ("Origin", "AWS_KMS"),
        ("Description", "for \"tokens\"\u{7}"),
        ("Label", "a"),
    ] {
        assert_eq!(known[name], value, "{name}");
    }
    assert_eq!(known["Enabled"], true);
    assert_eq!(known["MacAlgorithms"][0], "HMAC_SHA_256");
    assert_eq!(known["Aliases"][0], "alias/b");
    assert_eq!(known["Tags"].as_array().unwrap().len(), 2);
    assert_eq!(known["Tags"][1]["TagKey"], "team");
    let text = place.says(&key(&["describe"]), "KMS spec:     HMAC_256");
    for line in ["tag:          team=red", "alias:        alias/b", "policy:       the default one"]
    {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains('\u{7}'), "nothing rings");
}

#[test]
fn a_policy_is_given_out_as_it_was_put() {
    let (place, _) = with_key();
    let default = place.says(&key(&["policy", "get"]), "arn:aws:iam::000000000000:root");
    let file = place.file("policy.json", &default);
    place.says(&key(&["policy", "put", &file]), "has this policy");
    assert_eq!(place.says(&key(&["policy", "get"]), ""), default);
    let other = default.replace(":root", ":user/ann");
    let file = place.file("other.json", &other);
    let refused = place.run(&key(&["policy", "put", &file]));
    fails(&refused, 1, "invalid principals. `signet user list` and `signet role list` show");
    assert!(!texts(&refused).1.contains("--bypass"), "{:?}", texts(&refused));
    add_user(&place, "ann");
    let refused = place.run(&key(&["policy", "put", &file]));
    fails(&refused, 1, &format!("{file}: "));
    fails(&refused, 1, "in the future. With --bypass-lockout-check it is taken all the same.");
    let wrong = place.file("wrong.json", "{}");
    place.fails(&key(&["policy", "put", &wrong]), 1, &format!("{wrong}: Missing required field"));
    place.says(&key(&["policy", "put", &file, "--bypass-lockout-check"]), "has this policy");
}

#[test]
fn an_alias_names_a_key_wherever_a_key_is_named() {
    let (place, id) = with_key();
    let alias = |words: &[&str]| {
        let all: Vec<_> = [&["alias"], words, &["--token", "demo"]].concat();
        place.run(&all)
    };
    let done = |words: &[&str]| assert!(alias(words).status.success(), "{words:?}");
    place.says(&["key", "generate", "--token", "demo", "--key", "b"], "Generated");
    done(&["create", "alias/current", "--key", "a"]);
    fails(&alias(&["create", "alias/current", "--key", "b"]), 1, "exists already");
    fails(&alias(&["create", "current", "--key", "b"]), 1, "must start with the prefix");
    fails(&alias(&["delete", "alias/none"]), 1, "there is no alias alias/none");
    let message = place.file("message", "hello");
    let sign =
        |key: &str| place.says(&["mac", "sign", "--token", "demo", "--key", key, &message], "");
    let first = sign("a");
    assert_eq!(sign("alias/current"), first);
    assert_eq!(sign(&id), first, "by the unique id");
    assert!(texts(&alias(&["list", "--key", "alias/current"])).0.starts_with(&id));
    done(&["update", "alias/current", "--key", "b"]);
    assert_eq!(sign("alias/current"), sign("b"));
    assert_eq!(texts(&alias(&["list", "--key", "a"])).0, "No aliases.\n");
    assert_eq!(texts(&alias(&["list", "--key", "a", "--json"])).0, "");
    assert_eq!(texts(&alias(&["list"])).0.lines().count(), 1);
    let json: serde_json::Value =
        serde_json::from_slice(&alias(&["list", "--json"]).stdout).unwrap();
    assert_eq!(json["AliasArn"], "arn:aws:kms:us-east-1:000000000000:alias/current");
    assert_ne!(json["TargetKeyId"], id);
    done(&["delete", "alias/current"]);
    fails(&alias(&["list", "--key", "alias/current"]), 1, "there is no alias");
}

#[test]
fn grants_are_made_listed_retired_and_revoked() {
    let (place, id) = with_key();
    let grant = |words: &[&str]| place.run(&[&["grant"], words, &["--token", "demo"]].concat());
    let create = ["create", "--key", "a", "--grantee", "ann", "--operation", "kms:GenerateMac"];
    fails(&grant(&create), 1, "does not refer to a valid principal");
    add_user(&place, "ann");
    add_user(&place, "bob");
    let made = |more: &[&str]| {
        let (out, err) = texts(&grant(&[&create[..], more].concat()));
        let line = |number| {
            let line: Option<&str> = out.lines().nth(number);
            line.and_then(|line| line.split("  ").last())
                .unwrap_or_else(|| panic!("{err}"))
                .to_owned()
        };
        (line(0), line(1))
    };
    let (first, _) = made(&["--name", "n"]);
    assert_eq!(made(&["--name", "n"]).0, first);
    let (second, token) = made(&["--operation", "VerifyMac", "--retiring", "user/bob"]);
    let list = texts(&grant(&["list", "--key", &id])).0;
    assert_eq!(list.lines().count(), 2, "{list}");
    let expected = format!(
        "{second}  key {id}  to arn:aws:iam::000000000000:user/ann  GenerateMac+VerifyMac  \
         retired by arn:aws:iam::000000000000:user/bob  name -"
    );
    assert!(list.contains(&expected), "{list}");
    assert!(texts(&grant(&["list", "--retiring", "user/bob"])).0.starts_with(&second));
    let none = texts(&grant(&["list", "--key", "a", "--grantee", "root"])).0;
    assert_eq!(none, "No grants.\n");
    let json = grant(&["list", "--retiring", "bob", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["GrantId"], &json["KeyId"]), (&second.into(), &id.into()));
    assert_eq!(json["Operations"][1], "VerifyMac");
    assert_eq!(json["RetiringPrincipal"], "arn:aws:iam::000000000000:user/bob");
    let refused = [&create[..], &["--operation", "Encrypt"]].concat();
    fails(&grant(&refused), 1, "Encrypt is not valid for an HMAC key");

    let nobody = ["create", "--key", "a", "--grantee", "group/x", "--operation", "VerifyMac"];
    fails(&grant(&nobody), 1, "group/x; `signet user list` and `signet role list` show who is");

    fails(&grant(&["list"]), 2, "<--key <LABEL>|--retiring <PRINCIPAL>>");
    fails(&grant(&["retire"]), 2, "<--grant-token <TOKEN>|--key <LABEL>>");
    fails(&grant(&["retire", "--key", "a"]), 2, "--grant <ID>");
    fails(&grant(&["retire", "--grant-token", "00"]), 1, "not one of this token's");
    assert!(grant(&["retire", "--grant-token", &token]).status.success());
    assert!(grant(&["revoke", "--key", "a", "--grant", &first]).status.success());
    fails(&grant(&["revoke", "--key", "a", "--grant", &first]), 1, "there is no grant");
    assert_eq!(texts(&grant(&["list", "--key", "a"])).0, "No grants.\n");
    let json = texts(&grant(&[&create[..], &["--json"]].concat())).0;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let id = json["GrantId"].as_str().unwrap();
    assert!(json["GrantToken"].as_str().unwrap().starts_with(id), "{json}");
}
