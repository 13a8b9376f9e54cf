//! Tokens that an earlier version made.

use super::place::*;
use std::os::unix::fs::PermissionsExt;

/// A copy of the token under `tests/fixtures/<fixture>`, whose README says what is in it.
pub fn stored(fixture: &str) -> Place {
    let place = Place::new();
    let slot = place.path().join("tokens/slot-0");
    std::fs::create_dir_all(&slot).unwrap();
    for directory in [place.path().join("tokens"), slot.clone()] {
        std::fs::set_permissions(directory, PermissionsExt::from_mode(0o700)).unwrap();
    }
    let database = slot.join("token.db");
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::copy(fixtures.join(fixture).join("slot-0/token.db"), &database).unwrap();
    std::fs::set_permissions(database, PermissionsExt::from_mode(0o600)).unwrap();
    place
}

/// MACs of "a message" with the keys of the token "fixture-1".
fn gives_the_same_macs(place: &Place) {
    let macs = [
        ("invoices", "01", "8b4d275c254b77751ca8b736ea45a637b4cd1d041aa896f788a22e473a2a078f"),
        ("webhooks", "02", "f4d09ae940a53088b28851858520f774d7210f16112965b91bb3f0d708a0ff98"),
        ("webhooks", "03", "cb5da5918210bd21d881e7b62058a05220d09807fdd82f6c4841b9ade78a4971"),
        ("cards", "04", "9071f65855483ff7265779cc9d272e13fab7c95eafc50ec1ceb761d072273c37"),
    ];
    for (label, id, mac) in macs {
        let sign = ["mac", "sign", "--token", "fixture-1", "--key", label, "--id", id];
        let output = place.run_with(&sign, Some(PIN), b"a message");
        assert_eq!(texts(&output), (format!("{mac}\n"), String::new()), "{label} {id}");
    }
}

#[test]
fn a_login_raises_what_guards_a_pin_of_version_0_1_0() {
    let place = stored("store-1");
    let [before, default] = ["m=7168 KiB, t=5, p=1", "m=19456 KiB, t=2, p=1"];
    let shown = place.says(&["token", "show", "fixture-1"], before);
    assert_eq!(shown.matches(before).count(), 2, "{shown}");
    place.says(&["key", "list", "--token", "fixture-1"], "invoices");
    let shown = place.says(&["token", "show", "fixture-1"], before);
    assert!(
        shown.contains(&format!(
            "user PIN:              set\n  guarded by:          Argon2id, {default}\n"
        )),
        "{shown}"
    );
}

#[test]
fn the_root_key_of_version_0_1_0_is_replaced_after_both_have_logged_in() {
    let place = stored("store-1");
    place.says(&["token", "show", "fixture-1"], "root key made:         2026-");
    let rotate = ["token", "rotate-root-key", "fixture-1"];
    let mut command = place.command(&rotate);
    command.env_remove("SIGNET_SO_PIN");
    let refused = "the security officer must log in once before the root key can be replaced";
    fails(&fed(command, b""), 1, refused);
    gives_the_same_macs(&place);

    let wrong = place.file("wrong", "12344321");
    let run = |file: &str| place.run(&[&rotate[..], &["--so-pin-file", file]].concat());
    fails(&run(&wrong), 1, "wrong security officer PIN; 9 attempts left");
    let right = place.file("right", "87654321");
    let (out, err) = texts(&run(&right));
    let done = "The root key of \"fixture-1\" is a new one; 6 objects sealed under it.\n";
    assert_eq!((&*out, &*err), (done, ""));
    gives_the_same_macs(&place);
    // From now on the user alone is enough.
    let mut command = place.command(&rotate);
    command.env_remove("SIGNET_SO_PIN");
    assert_eq!(texts(&fed(command, b"")), (done.to_owned(), String::new()));
    gives_the_same_macs(&place);
}

#[test]
fn a_token_of_schema_1_opens_and_its_keys_give_the_same_macs() {
    let place = stored("store-1");
    place.says(&["token", "show", "fixture-1"], "9 of 10 attempts left");
    gives_the_same_macs(&place);
    let generate = ["key", "generate", "--token", "fixture-1", "--key", "made later"];
    place.says(&generate, "made later");
    place.says(&["token", "show", "fixture-1"], "user PIN:              set\n");
}

#[test]
fn a_token_of_version_0_1_0_gets_named_users() {
    let place = stored("store-1");
    let pin = place.file("pin", "bob-4116");
    let add = ["user", "add", "--token", "fixture-1", "bob", "--user-pin-file", &pin];
    place.says(&add, "User bob made: arn:aws:iam::000000000000:user/bob\n");
    let policy = place.file("use", super::user::USE);
    let put = ["user", "policy", "put", "--token", "fixture-1", "bob", "use", &policy];
    place.says(&put, "is set");
    let list = ["key", "list", "--token", "fixture-1", "--user", "bob", "--pin-file", &pin];
    place.says(&list, "invoices");
    let remove = ["user", "remove", "--token", "fixture-1", "bob"];
    let refused = "set by an older version; `signet token rotate-root-key` asks for it";
    place.fails(&remove, 1, refused);
    place.says(&list, "invoices");
    let mut command = place.command(&["token", "rotate-root-key", "fixture-1"]);
    command.env("SIGNET_SO_PIN", "87654321");
    assert!(fed(command, b"").status.success());
    place.says(&remove, "User bob is removed");
    place.fails(&list, 1, "no user is called bob");
    gives_the_same_macs(&place);
}
