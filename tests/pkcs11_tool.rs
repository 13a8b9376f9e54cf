//! pkcs11-tool, from OpenSC, as a user of the module: what people type, and
//! what they must see.
//!
//! pkcs11-tool 0.23 ends with status 0 when a signature is wrong, so what it
//! prints counts. It knows the truncated SHA-512s by number only, and signs only
//! with mechanisms that it knows by name; the C tests cover the rest.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/client.rs"]
mod client;
#[path = "common/jwt.rs"]
mod jwt;

use std::path::Path;

use client::{Client, Outcome, signet_module, softhsm2_module};

/// Logged in as the user of [`token`].
const USER: &str = "--token-label demo --login --pin 123456";
/// Logged in as the security officer of [`token`].
const SO: &str = "--token-label demo --login --login-type so --so-pin 87654321";

/// One hash: pkcs11-tool's name (the MAC's is this and `-HMAC`), OpenSSL's
/// name, bytes of its MAC.
const HASHES: [(&str, &str, usize); 9] = [
    ("SHA-1", "SHA1", 20),
    ("SHA224", "SHA224", 28),
    ("SHA256", "SHA256", 32),
    ("SHA384", "SHA384", 48),
    ("SHA512", "SHA512", 64),
    ("SHA3-224", "SHA3-224", 28),
    ("SHA3-256", "SHA3-256", 32),
    ("SHA3-384", "SHA3-384", 48),
    ("SHA3-512", "SHA3-512", 64),
];

/// A client of ours with a token that has both PINs.
fn token() -> Client {
    let client = Client::signet();
    client.init_token("87654321", "123456");
    client
}

/// Bytes that repeat late enough to show a part lost or taken twice.
fn message(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// The lines that `-O` prints for the key with this label, without its title.
fn listed<'a>(listing: &'a str, label: &str) -> Vec<&'a str> {
    let objects = listing.split("Secret Key Object;").skip(1);
    let mut found = objects.filter(|object| object.lines().any(|line| is_label(line, label)));
    let object = found.next().unwrap_or_else(|| panic!("no {label} in:\n{listing}"));
    assert!(found.next().is_none(), "{label} twice in:\n{listing}");
    object.lines().skip(1).map(str::trim).collect()
}

fn is_label(line: &str, label: &str) -> bool {
    line.trim().strip_prefix("label:").is_some_and(|rest| rest.trim() == label)
}

/// What a listing says after this word (`Access`, `Usage` …).
fn property<'a>(lines: &[&'a str], word: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {word} in {lines:?}")).trim()
}

// ---- Tokens, slots, the library ----

#[test]
fn a_token_is_made_in_the_empty_slot_and_another_empty_slot_follows() {
    let client = Client::signet();
    client.tool("-L").ok().says("uninitialized").silent_about("token label");

    client.init_token("87654321", "123456");

    let slots = client.tool("-L").ok();
    for flag in ["login required", "rng", "token initialized", "PIN initialized"] {
        assert!(slots.stdout.contains(flag), "no {flag:?}:\n{slots}");
    }
    let slots = slots.says("uninitialized");
    let label = slots.stdout.lines().find(|line| line.contains("token label")).unwrap();
    assert!(label.ends_with(": demo"), "{label}");
}

#[test]
fn a_token_is_made_anew_only_with_its_so_pin_and_loses_its_keys() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --label old --id 01")).ok();

    let again = "--init-token --slot-index 0 --label demo --so-pin";
    client.tool(&format!("{again} 11112222")).refused("CKR_PIN_INCORRECT");
    client.tool(&format!("{USER} -O")).ok().says("old");

    client.tool(&format!("{again} 87654321")).ok();
    client.tool(&format!("{USER} -O")).refused("CKR_USER_PIN_NOT_INITIALIZED");
    client.tool(&format!("{SO} --init-pin --new-pin 123456")).ok();
    client.tool(&format!("{USER} -O")).ok().silent_about("old");
}

#[test]
fn a_slot_keeps_its_number_when_its_token_is_made() {
    let client = Client::signet();
    let numbers = |outcome: Outcome| -> Vec<String> {
        let slots = outcome.stdout.lines().filter(|line| line.starts_with("Slot "));
        slots.map(|line| line.split(['(', ')']).nth(1).unwrap().to_owned()).collect()
    };
    let before = numbers(client.tool("-L").ok());
    client.init_token("87654321", "123456");
    let after = numbers(client.tool("-L").ok());
    assert_eq!(before.len(), 1);
    assert_eq!(after.len(), 2);
    assert_eq!(before[0], after[0]);
}

#[test]
fn the_library_speaks_of_itself_and_lists_its_three_interfaces() {
    let client = token();
    client.tool("-I").ok().says("Cryptoki version 3.2").says("Library");

    let interfaces = client.tool("--list-interfaces").ok();
    assert_eq!(interfaces.stdout.matches("Interface 'PKCS 11'").count(), 3, "{interfaces}");
    for version in ["3.2", "3.0", "2.40"] {
        let line = format!("  version: {version}");
        assert!(interfaces.stdout.lines().any(|found| found == line), "{version}:\n{interfaces}");
    }
}

#[test]
fn every_mechanism_is_listed_with_its_uses() {
    let mechanisms = token().tool("--token-label demo -M").ok();
    let uses = |name: &str| -> String {
        let start = format!("  {name},");
        let mut lines = mechanisms.stdout.lines().filter(|line| line.starts_with(&start));
        let line = lines.next().unwrap_or_else(|| panic!("no {name}:\n{mechanisms}"));
        assert!(lines.next().is_none(), "{name} twice:\n{mechanisms}");
        line.split("}, ").last().unwrap().trim_start_matches(&start).trim().to_owned()
    };
    for (name, _, _) in HASHES {
        assert_eq!(uses(name), "digest");
        assert_eq!(uses(&format!("{name}-HMAC")), "sign, verify");
    }
    assert_eq!(uses("SHA-1-HMAC-GENERAL"), "sign, verify");
    assert_eq!(uses("GENERIC-SECRET-KEY-GEN"), "generate");
    // CKM_SHA512_224, CKM_SHA512_256 and their MACs.
    for (digest, mac) in [("mechtype-0x48", "mechtype-0x49"), ("mechtype-0x4C", "mechtype-0x4D")] {
        assert_eq!(uses(digest), "digest");
        assert_eq!(uses(mac), "sign, verify");
    }
}

// ---- Keys ----

#[test]
fn a_generated_key_has_the_access_that_was_asked_for() {
    let client = token();
    let cases = [
        ("plain", "", "never extractable, local"),
        ("sensitive", "--sensitive", "sensitive, always sensitive, never extractable, local"),
        ("private", "--private", "never extractable, local"),
        ("both", "--sensitive --private", "sensitive, always sensitive, never extractable, local"),
        ("extractable", "--extractable", "extractable, local"),
        (
            "wrappable",
            "--sensitive --extractable",
            "sensitive, always sensitive, extractable, local",
        ),
    ];
    for (label, flags, access) in cases {
        let generated = client
            .tool(&format!(
                "{USER} --keygen --key-type GENERIC:32 --usage-sign --label {label} {flags}"
            ))
            .ok();
        let lines = listed(&generated.stdout, label);
        assert_eq!(property(&lines, "Access"), access, "{generated}");
    }

    let all = client.tool(&format!("{USER} -O")).ok();
    let public = client.tool("--token-label demo -O").ok();
    for (label, flags, access) in cases {
        let lines = listed(&all.stdout, label);
        assert_eq!(property(&lines, "Access"), access, "{label}:\n{all}");
        // The tool shows the uses of a secret key without "sign".
        assert!(property(&lines, "Usage").contains("verify"), "{label}:\n{all}");
        assert!(!property(&lines, "Unique ID").is_empty());
        let shows_value = lines.iter().any(|line| line.starts_with("VALUE:"));
        assert_eq!(shows_value, label == "extractable", "{label}:\n{all}");
        let hidden = !public.stdout.lines().any(|line| is_label(line, label));
        assert_eq!(hidden, flags.contains("--private"), "{label}:\n{public}");
    }
}

#[test]
fn a_key_needs_a_login_to_be_made_or_used_whatever_its_visibility() {
    let client = token();
    let generate = "--keygen --key-type GENERIC:32 --usage-sign --id 01";
    client.tool(&format!("--token-label demo {generate}")).refused("CKR_USER_NOT_LOGGED_IN");
    client.tool(&format!("{USER} {generate}")).ok();
    client.write("message", "seen by all, used by the user");
    client.tool(&format!("{USER} --sign -m SHA256-HMAC --id 01 -i message -o mac")).ok();
    // To sign, the tool insists on a login by itself; to verify, it does not.
    let verify = "--verify -m SHA256-HMAC --id 01 -i message --signature-file mac";
    client.tool(&format!("--token-label demo {verify}")).refused("CKR_USER_NOT_LOGGED_IN");
    client.tool(&format!("{USER} {verify}")).ok().says("Signature is valid");
}

#[test]
fn a_public_listing_tells_the_length_of_a_key_and_not_its_value() {
    let client = token();
    client
        .tool(&format!("{USER} --keygen --key-type GENERIC:32 --extractable --label open"))
        .ok()
        .says("VALUE:");
    client
        .tool("--token-label demo -O")
        .ok()
        .says("Generic secret length 32")
        .silent_about("VALUE:");
}

#[test]
fn generated_sizes_have_limits() {
    let client = token();
    let generate = |bytes: u32| {
        client.tool(&format!("{USER} --keygen --key-type GENERIC:{bytes} --usage-sign"))
    };
    for bytes in [14, 512] {
        generate(bytes).ok().says(&format!("length {bytes}"));
    }
    for bytes in [1, 13, 513, 4_000_000_000] {
        generate(bytes).refused("CKR_ATTRIBUTE_VALUE_INVALID");
    }
}

#[test]
fn a_key_made_without_usage_flags_signs() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --id 01")).ok();
    client.write("message", "as SunPKCS11 makes its keys");
    client.tool(&format!("{USER} --sign -m SHA256-HMAC --id 01 -i message -o mac")).ok();
    assert_eq!(client.read("mac").len(), 32);
}

#[test]
fn a_key_is_used_only_with_its_allowed_mechanisms() {
    let client = token();
    client
        .tool(&format!(
            "{USER} --keygen --key-type GENERIC:32 --usage-sign --id 01 \
             --allowed-mechanisms SHA256-HMAC,SHA384-HMAC"
        ))
        .ok();
    client.write("message", "m");
    let sign = |mechanism: &str| {
        client.tool(&format!("{USER} --sign -m {mechanism} --id 01 -i message -o mac"))
    };
    sign("SHA256-HMAC").ok();
    sign("SHA384-HMAC").ok();
    sign("SHA512-HMAC").refused("CKR_MECHANISM_INVALID");
}

#[test]
fn no_door_yields_a_sensitive_value() {
    let client = token();
    client.write("secret", [0x5a; 32]);
    for (id, flags) in
        [("01", "--sensitive --private"), ("02", "--sensitive --extractable"), ("03", "")]
    {
        client
            .tool(&format!(
                "{USER} --write-object secret --type secrkey --usage-sign --id {id} {flags}"
            ))
            .ok()
            .silent_about("5a5a");
        client
            .tool(&format!("{USER} --read-object --type secrkey --id {id} -o stolen"))
            .says("CKR_ATTRIBUTE_SENSITIVE")
            .silent_about("5a5a");
        assert!(!client.has("stolen"), "a value was written for {flags:?}");
    }
    // The same way in yields the value of a key that may be read.
    client
        .tool(&format!("{USER} --write-object secret --type secrkey --id 04 --extractable"))
        .ok()
        .says("5a5a");
    client.tool(&format!("{USER} --read-object --type secrkey --id 04 -o known")).ok();
    assert_eq!(client.read("known"), [0x5a; 32]);
}

#[test]
fn an_imported_key_was_never_only_here() {
    let client = token();
    client.write("secret", "Jefe");
    let imported = client
        .tool(&format!(
            "{USER} --write-object secret --type secrkey --usage-sign --label imported --sensitive"
        ))
        .ok();
    let lines = listed(&imported.stdout, "imported");
    assert_eq!(property(&lines, "Access"), "sensitive", "{imported}");
}

#[test]
fn a_deleted_key_is_gone() {
    let client = token();
    for id in ["01", "02"] {
        client
            .tool(&format!(
                "{USER} --keygen --key-type GENERIC:32 --usage-sign --id {id} --label k{id}"
            ))
            .ok();
    }
    client.tool(&format!("{USER} --delete-object --type secrkey --id 01")).ok();
    client.tool(&format!("{USER} -O")).ok().silent_about("k01").says("k02");
    client.write("message", "m");
    let sign = format!("{USER} --sign -m SHA256-HMAC -i message -o mac --id");
    assert!(!client.tool(&format!("{sign} 01")).succeeded());
    client.tool(&format!("{sign} 02")).ok();
    assert!(!client.tool(&format!("{USER} --delete-object --type secrkey --id 01")).succeeded());
}

// ---- Signing ----

#[test]
fn every_mac_signs_and_verifies_at_every_size() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --usage-sign --id 01")).ok();
    // The tool sends up to 1024 bytes in one call and more in parts of 1025.
    for length in [0, 3, 1024, 1025, (1 << 20) + 77] {
        client.write("message", message(length));
        let mut changed = message(length);
        match changed.last_mut() {
            Some(last) => *last ^= 1,
            None => changed.push(0),
        }
        client.write("changed", changed);
        for (name, _, mac_length) in HASHES {
            let with = format!("{USER} -m {name}-HMAC --id 01");
            client.tool(&format!("{with} --sign -i message -o mac")).ok();
            assert_eq!(client.read("mac").len(), mac_length, "{name}");
            let verify = format!("{with} --verify --signature-file mac -i");
            client.tool(&format!("{verify} message")).ok().says("Signature is valid");
            client
                .tool(&format!("{verify} changed"))
                .says("Invalid signature")
                .silent_about("Signature is valid");
        }
    }
}

#[test]
fn a_mac_of_the_wrong_length_is_told_apart_from_a_wrong_one() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --usage-sign --id 01")).ok();
    client.write("message", "m");
    for (name, _, length) in HASHES {
        let verify =
            format!("{USER} -m {name}-HMAC --id 01 --verify -i message --signature-file mac");
        client.write("mac", vec![0; length]);
        client.tool(&verify).says("Invalid signature").silent_about("Signature is valid");
        for wrong in [length - 1, length + 1] {
            client.write("mac", vec![0; wrong]);
            client.tool(&verify).refused("CKR_SIGNATURE_LEN_RANGE");
        }
    }
}

#[test]
fn a_mac_mechanism_that_needs_a_length_refuses_none() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --usage-sign --id 01")).ok();
    client.write("message", "m");
    client
        .tool(&format!("{USER} --sign -m SHA-1-HMAC-GENERAL --id 01 -i message -o mac"))
        .refused("CKR_MECHANISM_PARAM_INVALID");
}

#[test]
fn imported_keys_give_the_macs_of_openssl() {
    let client = token();
    client.write("message", message(5000));
    // Shorter than any digest, as long as one, as long as blocks, longer than any block.
    for (id, length) in [("01", 1), ("02", 4), ("03", 20), ("04", 64), ("05", 128), ("06", 200)] {
        let key: Vec<u8> = (1..=length).collect();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        client.write("key", &key);
        client
            .tool(&format!(
                "{USER} --write-object key --type secrkey --usage-sign --sensitive --id {id}"
            ))
            .ok();
        for (name, openssl, _) in HASHES {
            client.tool(&format!("{USER} --sign -m {name}-HMAC --id {id} -i message -o mac")).ok();
            client
                .run(
                    "openssl",
                    &format!(
                        "mac -digest {openssl} -macopt hexkey:{hex} -binary -in message -out expected HMAC"
                    ),
                )
                .ok();
            assert_eq!(client.read("mac"), client.read("expected"), "{name}, {length} bytes");
        }
    }
}

// ---- Who may do what ----

/// Logged in as a named user of [`jwt`].
fn named(user: &str) -> String {
    format!("--token-label demo --login --pin {user}:{user}-pin")
}

/// The labels that `-O` shows.
fn labels(listing: &Outcome) -> Vec<&str> {
    let labels = listing.stdout.lines().filter_map(|line| line.trim().strip_prefix("label:"));
    labels.map(str::trim).collect()
}

/// One signs and does not verify, the other verifies and does not sign. Both are logged
/// in by what stands here before their PINs.
fn producer_and_consumer_are_told_apart(client: &Client, producer: &str, consumer: &str) {
    let of_jwt = "-m SHA256-HMAC --label jwt -i message";
    let (signs, verifies) =
        (format!("--sign {of_jwt} -o mac"), format!("--verify {of_jwt} --signature-file mac"));
    let mut parts = jwt::TOKEN.rsplitn(2, '.');
    let (mac, message) = (parts.next().unwrap(), parts.next().unwrap());
    client.write("message", message);

    client.tool(&format!("{producer} {signs}")).ok();
    client.run("openssl", "base64 -A -in mac").ok().says(&in_base64(mac));
    client
        .tool(&format!("{producer} {verifies}"))
        .refused("CKR_KEY_FUNCTION_NOT_PERMITTED")
        .silent_about("Signature is valid");
    client.tool(&format!("{consumer} {verifies}")).ok().says("Signature is valid");
    std::fs::remove_file(client.folder().join("mac")).unwrap();
    client.tool(&format!("{consumer} {signs}")).refused("CKR_KEY_FUNCTION_NOT_PERMITTED");
    assert!(!client.has("mac"), "the consumer made a MAC");
}

/// Base64url without padding (RFC 7515 §2) as base64 with it.
fn in_base64(base64url: &str) -> String {
    let padding = "=".repeat((4 - base64url.len() % 4) % 4);
    base64url.replace('-', "+").replace('_', "/") + &padding
}

#[test]
fn one_user_makes_tokens_and_the_other_verifies_them() {
    let client = jwt::of_users();
    producer_and_consumer_are_told_apart(&client, &named("producer"), &named("consumer"));
    // The owner administers, and does neither: the policy does not say so.
    client
        .tool(&format!("{USER} --sign -m SHA256-HMAC --label jwt -i message -o mac"))
        .refused("CKR_KEY_FUNCTION_NOT_PERMITTED");
}

#[test]
fn one_role_makes_tokens_and_the_other_verifies_them() {
    let client = jwt::of_roles();
    let takes = |role: &str, user: &str| {
        format!("--token-label demo --login --pin role/{role}:{user}:{user}-pin")
    };
    producer_and_consumer_are_told_apart(
        &client,
        &takes("JwtProducer", "producer"),
        &takes("JwtConsumer", "consumer"),
    );
    // Without the role the user is nobody to this key, and who is not trusted takes none.
    client.tool(&format!("{} -O", named("producer"))).ok().silent_about("jwt");
    for user in ["consumer", "third"] {
        client.tool(&format!("{} -O", takes("JwtProducer", user))).prohibited();
    }
}

#[test]
fn everybody_sees_what_the_policy_lets_them_describe() {
    let client = jwt::of_users();
    client.administer("key generate --key other").ok();
    let policy = jwt::policy();
    let at_third =
        policy.replace("role/JwtConsumer", "user/third").replace("role/JwtProducer", "user/third");
    client.write("policy.json", at_third);
    client.administer("key policy put --key other policy.json").ok();
    for (login, sees) in [
        (named("producer"), &["jwt"][..]),
        (named("consumer"), &["jwt"]),
        (named("third"), &["other"]),
        (USER.to_owned(), &["jwt", "other"]),
        ("--token-label demo".to_owned(), &[]),
    ] {
        let listing = client.tool(&format!("{login} -O")).ok();
        let mut labels = labels(&listing);
        labels.sort_unstable();
        assert_eq!(labels, sees, "{listing}");
    }
}

#[test]
fn a_policy_protects_a_key_from_those_who_use_it() {
    let client = jwt::of_users();
    for user in ["producer", "consumer"] {
        client
            .tool(&format!("{} --delete-object --type secrkey --label jwt", named(user)))
            .prohibited();
        client
            .tool(&format!("{} --keygen --key-type GENERIC:32 --label own", named(user)))
            .refused("CKR_FUNCTION_FAILED");
    }
    client.tool(&format!("{USER} -O")).ok().says("jwt").silent_about("own");
    client.tool(&format!("{USER} --delete-object --type secrkey --label jwt")).ok();
    client.tool(&format!("{USER} -O")).ok().silent_about("jwt");
}

#[test]
fn a_key_of_the_kms_api_is_used_here_and_ends_only_after_its_waiting_period() {
    let client = jwt::of_users();
    let id = jwt::make_kms_key(&client);
    let hex = id.replace('-', "");
    client.write("message", "made there");
    let key = format!("-m SHA256-HMAC --id {hex} -i message");
    client.tool(&format!("{USER} --sign {key} -o mac")).ok();
    client
        .tool(&format!("{USER} --verify {key} --signature-file mac"))
        .ok()
        .says("Signature is valid");
    client.tool(&format!("{USER} --delete-object --type secrkey --id {hex}")).prohibited();
    client.administer(&format!("key schedule-deletion --key {id} --days 7")).ok();
    client.tool(&format!("{USER} --delete-object --type secrkey --id {hex}")).prohibited();
    client.tool(&format!("{USER} --sign {key} -o mac")).refused("CKR_KEY_FUNCTION_NOT_PERMITTED");
    client.administer(&format!("key cancel-deletion --key {id}")).ok();
    client.administer(&format!("key enable --key {id}")).ok();
    client.tool(&format!("{USER} --sign {key} -o mac")).ok();
}

// ---- Digests and random bytes ----

#[test]
fn digests_are_those_of_openssl() {
    let client = token();
    let by_number = [("0x48", "SHA512-224", 28), ("0x4C", "SHA512-256", 32)];
    for length in [0, 3, 1024, 1025, (1 << 20) + 77] {
        client.write("message", message(length));
        for (name, openssl, digest_length) in HASHES.into_iter().chain(by_number) {
            client.tool(&format!("--token-label demo --hash -m {name} -i message -o digest")).ok();
            let digest = openssl.to_lowercase();
            client.run("openssl", &format!("dgst -{digest} -binary -out expected message")).ok();
            assert_eq!(client.read("digest"), client.read("expected"), "{name}, {length} bytes");
            assert_eq!(client.read("digest").len(), digest_length);
        }
    }
}

#[test]
fn random_bytes_come_in_the_number_asked_for_and_differ() {
    let client = token();
    for length in [1, 32, 1 << 20] {
        for file in ["one", "two"] {
            client.tool(&format!("--token-label demo --generate-random {length} -o {file}")).ok();
            assert_eq!(client.read(file).len(), length);
        }
        // One byte may well come twice.
        assert!(length == 1 || client.read("one") != client.read("two"));
    }
}

// ---- PINs ----

#[test]
fn the_user_changes_the_pin_and_keeps_the_keys() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --label kept --private")).ok();
    client
        .tool(&format!("{USER} --change-pin --new-pin 654321"))
        .ok()
        .says("PIN successfully changed");
    client.tool(&format!("{USER} -O")).refused("CKR_PIN_INCORRECT");
    client.tool("--token-label demo --login --pin 654321 -O").ok().says("kept");
}

#[test]
fn the_so_changes_the_so_pin_and_keeps_the_office() {
    let client = token();
    client
        .tool(&format!("{SO} --change-pin --new-pin 11223344"))
        .ok()
        .says("PIN successfully changed");
    client.tool(&format!("{SO} --init-pin --new-pin 000000")).refused("CKR_PIN_INCORRECT");
    client
        .tool("--token-label demo --login --login-type so --so-pin 11223344 --init-pin --new-pin 222222")
        .ok();
    client.tool("--token-label demo --login --pin 222222 -O").ok();
}

#[test]
fn the_so_gives_the_user_a_new_pin_and_the_keys_stay() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --label kept --private")).ok();
    client.tool(&format!("{SO} --init-pin --new-pin 222222")).ok();
    client.tool(&format!("{USER} -O")).refused("CKR_PIN_INCORRECT");
    client.tool("--token-label demo --login --pin 222222 -O").ok().says("kept");
}

#[test]
fn unlock_pin_is_a_change_of_the_user_pin_without_a_login() {
    // The tool calls C_SetPIN in a public session, where the standard means
    // the user's PIN; the SO's does not fit.
    let client = token();
    for login_type in ["", "--login-type context-specific"] {
        client
            .tool(&format!(
                "--token-label demo --unlock-pin {login_type} --puk 87654321 --new-pin 222222"
            ))
            .refused("CKR_PIN_INCORRECT");
        client
            .tool(&format!(
                "--token-label demo --unlock-pin {login_type} --puk 123456 --new-pin 222222"
            ))
            .ok();
        client.tool("--token-label demo --login --pin 222222 --change-pin --new-pin 123456").ok();
    }
}

#[test]
fn a_pin_of_a_length_out_of_range_is_refused_and_the_old_one_stays() {
    let client = token();
    client.tool(&format!("{USER} --change-pin --new-pin 1")).refused("CKR_PIN_LEN_RANGE");
    client.tool(&format!("{SO} --init-pin --new-pin 1")).refused("CKR_PIN_LEN_RANGE");
    client.tool(&format!("{USER} -O")).ok();
}

/// Tries wrong PINs until the token says that the PIN is locked, and returns
/// the flags that `-L` showed after each failure before that.
fn lock(client: &Client, login: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..100 {
        let attempt = client.tool(&format!("--token-label demo --session-rw --login {login} -O"));
        assert!(!attempt.succeeded(), "{attempt}");
        if attempt.stderr.contains("CKR_PIN_LOCKED ") {
            return seen;
        }
        attempt.refused("CKR_PIN_INCORRECT");
        let slots = client.tool("-L").ok().stdout;
        let flags = slots.lines().find(|line| line.contains("token flags")).unwrap();
        seen.push(flags.to_owned());
    }
    panic!("100 wrong PINs do not lock the token: {seen:#?}");
}

#[test]
fn wrong_pins_lock_the_user_and_the_so_unlocks() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --label kept --private")).ok();

    let flags = lock(&client, "--pin 999999");
    assert!(flags.len() >= 3, "locked after {}", flags.len());
    let (last, before) = flags.split_last().unwrap();
    assert!(last.contains("user PIN locked"), "{last}");
    for flags in before {
        assert!(flags.contains("user PIN count low"), "{flags}");
        assert!(!flags.contains("user PIN locked"), "{flags}");
    }
    assert!(before.last().unwrap().contains("final user PIN try"), "{before:#?}");
    assert!(!before[0].contains("final user PIN try"), "{before:#?}");

    // The right PIN does not help, and the SO's own PIN was not touched.
    client.tool(&format!("{USER} -O")).refused("CKR_PIN_LOCKED");
    client.tool(&format!("{SO} --init-pin --new-pin 222222")).ok();
    client.tool("--token-label demo --login --pin 222222 -O").ok().says("kept");
    client.tool("-L").ok().silent_about("user PIN locked").silent_about("user PIN count low");
}

#[test]
fn a_right_pin_clears_the_count() {
    let client = token();
    client.tool("--token-label demo --login --pin 999999 -O").refused("CKR_PIN_INCORRECT");
    client.tool("-L").ok().says("user PIN count low");
    client.tool(&format!("{USER} -O")).ok();
    client.tool("-L").ok().silent_about("user PIN count low");
}

#[test]
fn wrong_pins_lock_the_so_and_leave_the_user_alone() {
    let client = token();
    let flags = lock(&client, "--login-type so --so-pin 99999999");
    assert!(flags.last().unwrap().contains("SO PIN locked"), "{flags:#?}");
    client.tool(&format!("{SO} --init-pin --new-pin 222222")).refused("CKR_PIN_LOCKED");
    client.tool(&format!("{USER} -O")).ok();
}

// ---- Data objects ----

#[test]
fn data_objects_are_written_read_and_deleted() {
    let client = token();
    for (label, flags, login) in [("open", "", "--token-label demo"), ("closed", "--private", USER)]
    {
        let content = message(3000);
        client.write("content", &content);
        client
            .tool(&format!(
                "{USER} --write-object content --type data --label {label} --application-label ours {flags}"
            ))
            .ok()
            .says("ours");
        let read =
            format!("--read-object --type data --label {label} --application-label ours -o back");
        client.tool(&format!("{login} {read}")).ok();
        assert_eq!(client.read("back"), content);
    }
    client.tool("--token-label demo -O").ok().says("open").silent_about("closed");
    client.tool(&format!("{USER} --delete-object --type data --label closed")).ok();
    client.tool(&format!("{USER} -O")).ok().says("open").silent_about("closed");
}

// ---- The tool's own tests ----

#[test]
fn the_tools_own_tests_find_nothing() {
    let client = token();
    client.tool(&format!("{USER} --keygen --key-type GENERIC:32 --usage-sign --id 01")).ok();
    let tested = client.tool(&format!("{USER} --test")).ok().says("No errors");
    for line in ["seems to be OK", "SHA-1: OK", "SHA256: OK"] {
        assert!(tested.stdout.contains(line), "no {line:?}:\n{tested}");
    }
    tested.silent_about("ERR");
}

#[test]
fn a_forked_child_initialises_again() {
    token().tool("--test-fork").ok().says("Calling C_Initialize in forked child process");
}

#[test]
fn threads_initialise_together() {
    let client = token();
    // Each thread: C_Initialize, C_GetInfo, C_GetSlotList, C_GetTokenInfo. The
    // tool's own main thread logs in meanwhile, so that it ends after them.
    let threads = "--test-threads ILGISLT0 --test-threads INGISLT0 --test-threads ILSLGIT0";
    let run = client.tool(&format!("--use-locking {threads} {USER} --test")).ok().says("No errors");
    assert!(run.stderr.contains("all threads have ended with CKR_OK"), "{run}");
}

// ---- The same commands with SoftHSM2 ----

/// What one command did, as far as two modules can agree on it.
#[derive(Debug, PartialEq)]
struct Effect {
    command: &'static str,
    succeeded: bool,
    errors: Vec<String>,
    says: Vec<String>,
    wrote: Option<Vec<u8>>,
}

/// A session at the command line, in the part of PKCS#11 that both offer.
const COMMANDS: &[&str] = &[
    "--init-token --slot-index 0 --label demo --so-pin 87654321",
    "--token-label demo --login --pin 123456 -O",
    "--token-label demo --login --login-type so --so-pin 87654321 --init-pin --new-pin 123456",
    "--token-label demo --login --login-type so --so-pin 11111111 --init-pin --new-pin 123456",
    "--token-label demo --login --pin 123456 --keygen --key-type GENERIC:64 --usage-sign --id 01 --label one",
    "--token-label demo --login --pin 123456 --keygen --key-type GENERIC:64 --usage-sign --id 02 --label two --sensitive --private",
    "--token-label demo --login --pin 123456 --keygen --key-type GENERIC:64 --id 03 --label three --extractable --sensitive",
    "--token-label demo --login --pin 123456 --write-object key --type secrkey --usage-sign --id 04 --label four --sensitive",
    "--token-label demo --login --pin 123456 --write-object key --type secrkey --usage-sign --id 05 --label five --extractable",
    "--token-label demo --login --pin 123456 -O",
    "--token-label demo -O",
    "--token-label demo --login --pin 123456 --read-object --type secrkey --id 02 -o out",
    "--token-label demo --login --pin 123456 --read-object --type secrkey --id 04 -o out",
    "--token-label demo --login --pin 123456 --read-object --type secrkey --id 05 -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA-1-HMAC --id 04 -i message -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA224-HMAC --id 04 -i message -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA256-HMAC --id 04 -i message -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA384-HMAC --id 04 -i message -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA512-HMAC --id 04 -i message -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA256-HMAC --id 04 -i empty -o out",
    "--token-label demo --login --pin 123456 --sign -m SHA256-HMAC --id 04 -i large -o kept",
    "--token-label demo --login --pin 123456 --verify -m SHA256-HMAC --id 04 -i large --signature-file kept",
    "--token-label demo --login --pin 123456 --verify -m SHA256-HMAC --id 04 -i message --signature-file kept",
    "--token-label demo --login --pin 123456 --verify -m SHA256-HMAC --id 02 -i large --signature-file kept",
    "--token-label demo --login --pin 123456 --verify -m SHA512-HMAC --id 04 -i large --signature-file kept",
    "--token-label demo --login --pin 123456 --sign -m SHA256-HMAC --id 09 -i message -o out",
    "--token-label demo --hash -m SHA-1 -i large -o out",
    "--token-label demo --hash -m SHA256 -i empty -o out",
    "--token-label demo --hash -m SHA512 -i message -o out",
    "--token-label demo --login --pin 123456 --write-object message --type data --label d --application-label a --private",
    "--token-label demo --login --pin 123456 --read-object --type data --label d -o out",
    "--token-label demo --read-object --type data --label d -o out",
    "--token-label demo --login --pin 123456 --delete-object --type data --label d",
    "--token-label demo --login --pin 123456 --delete-object --type secrkey --id 03",
    "--token-label demo --login --pin 123456 --delete-object --type secrkey --id 03",
    "--token-label demo --login --pin 123456 -O",
    "--token-label demo --login --pin 999999 -O",
    "--token-label demo --login --pin 123456 --change-pin --new-pin 222222",
    "--token-label demo --login --pin 123456 -O",
    "--token-label demo --unlock-pin --puk 87654321 --new-pin 333333",
    "--token-label demo --unlock-pin --puk 222222 --new-pin 333333",
    "--token-label demo --login --pin 333333 -O",
    "--token-label demo --login --login-type so --so-pin 87654321 --init-pin --new-pin 123456",
    "--token-label demo --login --pin 123456 -O",
    "--init-token --slot-index 0 --label demo --so-pin 11111111",
    "--init-token --slot-index 0 --label demo --so-pin 87654321",
    "--token-label demo --login --pin 123456 -O",
];

fn effects(module: &Path) -> Vec<Effect> {
    let client = Client::like_softhsm2(module);
    client.write("key", message(64));
    client.write("message", "one call");
    client.write("large", message(2_000_000));
    client.write("empty", "");
    let effect = |command: &'static str| {
        let outcome = client.tool(command);
        let wrote =
            ["out", "kept"].into_iter().find(|file| command.ends_with(&format!("-o {file}")));
        let wrote = wrote.filter(|file| client.has(file)).map(|file| {
            let bytes = client.read(file);
            if file == "out" {
                std::fs::remove_file(client.folder().join(file)).unwrap();
            }
            bytes
        });
        // Uses, unique ids and the order of objects are each module's own.
        let alike = ["label:", "ID:", "Access:", "; Generic", "Signature", "Invalid"];
        let listing = format!("\n{}", outcome.stdout);
        let objects = listing.split("\nSecret Key Object").map(|object| {
            let lines = object.lines().map(str::trim);
            lines.filter(|line| alike.iter().any(|word| line.starts_with(word))).collect::<Vec<_>>()
        });
        let mut says: Vec<String> = objects.map(|object| object.join("; ")).collect();
        says.sort();
        Effect { command, succeeded: outcome.succeeded(), errors: outcome.errors(), says, wrote }
    };
    COMMANDS.iter().copied().map(effect).collect()
}

#[test]
fn softhsm2_and_ours_agree_when_only_the_module_path_changes() {
    let theirs = effects(&softhsm2_module());
    let ours = effects(&signet_module());
    let differ = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours);
    let told: Vec<_> =
        differ.map(|(theirs, ours)| format!("SoftHSM2: {theirs:?}\n    ours: {ours:?}")).collect();
    assert!(told.is_empty(), "{} differences:\n{}", told.len(), told.join("\n"));
    // What they agree on is not that nothing works.
    assert!(ours.iter().filter(|effect| effect.succeeded).count() > 25);
    assert!(ours.iter().filter(|effect| effect.wrote.is_some()).count() > 10);
}
