//! Keys and their MACs.

use super::place::*;
use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::mechanism::RawMechanism;
use signet_pkcs11::module::Module;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::{AttributeType, MechanismType, RawAttribute, SlotId, Ulong, UserType};
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn keys_are_made_listed_and_used() {
    let place = Place::with_token();
    let token = ["--token", "demo"];
    let with = |rest: &[&'static str]| [rest, &token].concat();
    place.says(&with(&["key", "list"]), "No keys.");
    place.says(&with(&["key", "generate", "--key", "a"]), "generic  32 bytes  sign+verify");
    let typed = ["key", "generate", "--key", "b", "--type", "sha512", "--bytes", "64"];
    place.says(&with(&typed), "sha512  64 bytes  sign+verify  unreadable");
    let list = place.says(&with(&["key", "list"]), "label \"a\"");
    assert_eq!(list.lines().count(), 2, "{list}");

    let message = place.file("message", "hello");
    let mac = place.says(&[&with(&["mac", "sign", "--key", "b"])[..], &[&message]].concat(), "");
    assert_eq!(mac.trim().len(), 128, "the MAC of the key's own hash");
    let verify = with(&["mac", "verify", "--key", "b", "--mac"]);
    let (command, token) = verify.split_at(5);
    let check = |mac: &str| place.run(&[command, &[mac], token, &[&message]].concat());
    assert!(check(mac.trim()).status.success());
    let flipped = if mac.starts_with('0') { "1" } else { "0" }.to_owned() + &mac.trim()[1..];
    fails(&check(&flipped), 1, "the MAC is wrong");
    fails(&check("abcd"), 1, "the MAC is wrong");
    fails(&check("xyz"), 2, "hexadecimal");
}

#[test]
fn an_imported_key_gives_the_known_mac() {
    let place = Place::with_token();
    let raw = place.file("raw", "Jefe");
    let digits = place.file("digits", "4a65\n6665\n");
    let import = |name, file, rest: &[&str]| {
        let command = ["key", "import", "--token", "demo", "--key", name, "--file", file];
        place.says(&[&command, rest].concat(), "generic  4 bytes");
    };
    import("raw", &raw, &[]);
    import("hex", &digits, &["--hex"]);
    let message = place.file("message", "what do ya want for nothing?");
    for key in ["raw", "hex"] {
        // RFC 4231, test case 2.
        place.says(
            &["mac", "sign", "--token", "demo", "--key", key, &message],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
    }
    place.says(
        &["mac", "sign", "--token", "demo", "--key", "raw", "--hash", "SHA-224", &message],
        "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    );
}

#[test]
fn a_stream_of_any_size_is_read_from_standard_input() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    let message = vec![0x5a; 1_000_003];
    let file = place.file("message", &message);
    let sign = ["mac", "sign", "--token", "demo", "--key", "a"];
    let from_file = place.run(&[&sign[..], &[&file]].concat());
    let from_input = place.run_with(&sign, Some(PIN), &message);
    assert!(from_file.status.success(), "{:?}", texts(&from_file));
    assert_eq!(texts(&from_file), texts(&from_input));
    let raw = place.run_with(&[&sign[..], &["--raw", "-"]].concat(), Some(PIN), &message);
    let digits: String = raw.stdout.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, texts(&from_file).0.trim());
}

#[test]
fn a_key_is_named_exactly() {
    let place = Place::with_token();
    let generate = ["key", "generate", "--token", "demo"];
    for name in [["--key", "a"], ["--id", "0a"]] {
        place.says(&[&generate[..], &name].concat(), "Generated");
        place.fails(&[&generate[..], &name].concat(), 1, "is there already");
    }
    place.fails(&generate, 2, "--key <LABEL>|--id <HEX>");
    place.fails(
        &["mac", "sign", "--token", "demo", "--key", "b"],
        1,
        "no key is labelled \"b\"; `signet key list` shows what is there",
    );
    place.fails(&[&generate[..], &["--key", "c", "--bytes", "13"]].concat(), 2, "14..=512");
    place.fails(&[&generate[..], &["--key", "c", "--type", "aes"]].concat(), 2, "one of generic");
}

/// Makes token keys in one process.
fn make_keys(place: &Place, count: usize) {
    let (directory, entropy) = (place.path().join("tokens"), Arc::new(OsEntropy));
    let tokens = Arc::new(DirectoryPlace::new(&directory, entropy.clone()));
    let surroundings = Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) };
    let module =
        Module::new(tokens, surroundings, &Config::with_token_dir(directory.clone())).unwrap();
    let session = module.open_session(SlotId(0), true).unwrap();
    module.login(session, UserType::User, &Pin::copied(PIN.as_bytes())).unwrap();
    let number = MechanismType::Sha256KeyGen.to_ck();
    let length: [u8; size_of::<Ulong>()] = Ulong::from(32_u8).to_ne_bytes();
    let template = [(AttributeType::Token, &[1][..]), (AttributeType::ValueLen, &length)]
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value });
    for _ in 0..count {
        module.generate_key(session, RawMechanism { number, parameter: &[] }, &template).unwrap();
    }
}

#[test]
fn a_long_list_names_every_key_once() {
    let place = Place::with_token();
    make_keys(&place, 150);
    let list = place.says(&["key", "list", "--token", "demo"], "sha256");
    let ids: BTreeSet<_> = list.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!((list.lines().count(), ids.len()), (150, 150));
}
