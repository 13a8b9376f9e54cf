//! Tokens that an earlier version made.

use super::place::*;
use std::os::unix::fs::PermissionsExt;

/// A copy of the token under `tests/fixtures/<fixture>`, whose README says what is in it.
fn stored(fixture: &str) -> Place {
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

#[test]
fn a_token_of_schema_1_opens_and_its_keys_give_the_same_macs() {
    let place = stored("store-1");
    place.says(&["token", "show", "fixture-1"], "9 of 10 attempts left");
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
    let generate = ["key", "generate", "--token", "fixture-1", "--key", "made later"];
    place.says(&generate, "made later");
    place.says(&["token", "show", "fixture-1"], "user PIN:              set\n");
}
