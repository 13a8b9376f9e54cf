//! Keys whose state or dates another process has changed.

use crate::common::*;
use cryptoki_sys::*;
use signet_pkcs11::clock::{Clock, ManualClock, SystemClock};
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::object::kms::NewKey;
use signet_pkcs11::object::{KeySpec, Origin};
use signet_pkcs11::policy::Principal;
use signet_pkcs11::secret::{Pin, SecretBytes};
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::{Settings, Surroundings, Token};
use signet_pkcs11::types::{SlotId, UserType};
use std::sync::Arc;
use std::time::Duration;

cases! {
    key_disabled_there_is_refused_here
        softhsm2: unasked("SoftHSM2's keys have no state"),
    key_pending_deletion_there_is_refused_here
        softhsm2: unasked("SoftHSM2's keys have no state"),
    key_whose_date_has_passed_is_gone_here
        softhsm2: unasked("SoftHSM2's keys have no dates"),
    key_that_waits_for_material_is_refused_here
        softhsm2: unasked("SoftHSM2's keys always have a value"),
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;
const DAY: Duration = Duration::from_secs(86_400);

fn key(label: &str) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_TOKEN => true,
        CKA_LABEL => label,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_SENSITIVE => false,
        CKA_EXTRACTABLE => true,
        CKA_VALUE => [7; 64],
    ]
}

/// `signet key …` of the key "key", in a process of its own.
fn administer(w: &World, words: &[&str]) {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_signet"))
        .arg("key")
        .args(words)
        .args(["--token", "behaviour", "--key", "key"])
        .env_remove("SIGNET_CONF")
        .env("SIGNET_TOKENDIR", w.directory().join("tokens"))
        .env("SIGNET_PIN", USER_PIN)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The token as another process has it whose clock is behind by this much.
fn as_of(w: &World, behind: Duration) -> Token {
    let entropy = Arc::new(OsEntropy);
    let place = DirectoryPlace::new(w.directory().join("tokens"), entropy.clone());
    let clock = Arc::new(ManualClock::new(SystemClock.now() - behind));
    let surroundings = Surroundings { entropy, clock, log: Arc::new(NoLog) };
    let token = Token::open(&place, SlotId(0), &surroundings, Settings::default()).unwrap();
    token.login(UserType::User, &Pin::copied(USER_PIN.as_bytes())).unwrap();
    token
}

/// A use is refused with `refusal`, whatever it is.
#[track_caller]
fn refused_every_use(s: &Session<'_>, key: CK_OBJECT_HANDLE, refusal: CK_RV) {
    refused(s.sign_init(HMAC, key), refusal);
    refused(s.verify_init(HMAC, key), refusal);
}

fn key_disabled_there_is_refused_here(w: &World) {
    let s = w.user();
    let one = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, one, b"text").unwrap();
    administer(w, &["disable"]);
    refused_every_use(&s, one, CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(s.get(one, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    assert_eq!(s.get(one, CKA_LABEL).unwrap(), b"key");
    let copy = s.copy(one, &template![CKA_LABEL => "copy"]).unwrap();
    refused_every_use(&s, copy, CKR_KEY_FUNCTION_NOT_PERMITTED);
    administer(w, &["enable"]);
    assert_eq!(s.mac(HMAC, one, b"text").unwrap(), mac);
}

fn key_pending_deletion_there_is_refused_here(w: &World) {
    let s = w.user();
    let one = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, one, b"text").unwrap();
    administer(w, &["schedule-deletion", "--days", "7"]);
    refused_every_use(&s, one, CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(s.find(&template![CKA_LABEL => "key"]).unwrap(), [one]);
    administer(w, &["cancel-deletion"]);
    refused_every_use(&s, one, CKR_KEY_FUNCTION_NOT_PERMITTED);
    administer(w, &["enable"]);
    assert_eq!(s.mac(HMAC, one, b"text").unwrap(), mac);
}

fn key_whose_date_has_passed_is_gone_here(w: &World) {
    if w.part().is_some() {
        let token = as_of(w, 8 * DAY);
        token.schedule_key_deletion(Principal::Owner, &w.hear(), 7).unwrap();
        return;
    }
    let s = w.user();
    let one = s.create(&key("key")).unwrap();
    s.mac(HMAC, one, b"text").unwrap();
    let mut other = w.other("schedules in the past");
    other.say(std::str::from_utf8(&s.get(one, CKA_UNIQUE_ID).unwrap()).unwrap());
    other.join();
    refused_every_use(&s, one, CKR_KEY_HANDLE_INVALID);
    refused(s.get(one, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    assert!(s.find(&template![CKA_LABEL => "key"]).unwrap().is_empty());
    assert!(s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap().is_empty());
}

fn key_that_waits_for_material_is_refused_here(w: &World) {
    if w.part().is_some() {
        let token = as_of(w, 2 * DAY);
        let owner = Principal::Owner;
        let new = NewKey { origin: Origin::External, ..NewKey::new(KeySpec::Hmac256) };
        let made = token.create_kms_key(owner, new, false).unwrap();
        w.say(made.id());
        let import = |days| {
            let until = SystemClock.now() - 2 * DAY + days * DAY;
            let material = SecretBytes::copied(&[7; 32]);
            token.import_key_material(owner, made.id(), &material, Some(until)).unwrap();
        };
        // It expires tomorrow; then it has expired yesterday.
        for days in [3, 1] {
            w.hear();
            import(days);
            w.say("imported");
        }
        return;
    }
    let s = w.user();
    let mut other = w.other("imports");
    let id = other.hear();
    let [one] = s.find(&template![CKA_UNIQUE_ID => &*id]).unwrap()[..] else { panic!("{id}") };
    refused_every_use(&s, one, CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_eq!(s.number(one, CKA_VALUE_LEN), 0);
    let mut next = || {
        other.say("next");
        assert_eq!(other.hear(), "imported");
    };
    next();
    assert_eq!(s.mac(HMAC, one, b"text").unwrap().len(), 32);
    next();
    refused_every_use(&s, one, CKR_KEY_FUNCTION_NOT_PERMITTED);
    other.join();
}
