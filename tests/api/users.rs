//! PKCS#11 3.2 §5.6.9, and ours: named users and roles, by C_LoginUser and by PINs that
//! begin with a name.

use crate::api::processes::administer;
use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

const NO_NAMES: &str = "SoftHSM2 has no C_LoginUser and no named users";

cases! {
    named_user_logs_in_by_name_and_uses_keys softhsm2: unasked(NO_NAMES),
    pin_that_begins_with_a_name_is_that_user_s softhsm2: unasked(NO_NAMES),
    login_user_without_a_name_is_a_login softhsm2: unasked(NO_NAMES),
    login_user_refuses_what_is_no_user softhsm2: unasked(NO_NAMES),
    each_named_user_is_locked_alone softhsm2: unasked(NO_NAMES),
    two_named_users_are_two softhsm2: unasked(NO_NAMES),
    named_user_changes_the_own_pin softhsm2: unasked(NO_NAMES),
    named_user_sets_nobody_else_s_pin softhsm2: unasked(NO_NAMES),
    role_is_taken_by_name_or_by_pin softhsm2: unasked(NO_NAMES),
    user_disabled_there_is_logged_out_here softhsm2: unasked(NO_NAMES),
    user_removed_there_is_logged_out_here softhsm2: unasked(NO_NAMES),
    two_applications_act_as_two_users softhsm2: unasked(NO_NAMES),
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;
const BOB_PIN: &str = "bob-4116";

/// Runs `signet COMMAND --token behaviour …` as the token's owner.
fn signet(w: &World, command: &str, rest: &[&str]) {
    let command = command.split(' ');
    administer(
        w,
        &command.chain(["--token", "behaviour"]).chain(rest.iter().copied()).collect::<Vec<_>>(),
    );
}

/// Makes a user with [`BOB_PIN`], who may use every key.
fn add_user(w: &World, name: &str) {
    let file = w.directory().join("pin");
    std::fs::write(&file, BOB_PIN).unwrap();
    signet(w, "user add", &[name, "--user-pin-file", file.to_str().unwrap()]);
    let_use_keys(w, "user", name);
}

/// Gives a user or a role an identity policy that allows every action of KMS.
fn let_use_keys(w: &World, kind: &str, name: &str) {
    let file = w.directory().join("policy");
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;
    std::fs::write(&file, policy).unwrap();
    let file = file.to_str().unwrap();
    signet(w, &format!("{kind} policy put"), &[name, "keys", file]);
}

/// A session in which nobody is logged in, with a token that has a key and the user Bob.
fn with_bob(w: &World) -> (Session<'_>, Vec<u8>) {
    let s = w.user();
    let key = s
        .create(&template![
            CKA_CLASS => CKO_SECRET_KEY,
            CKA_KEY_TYPE => CKK_GENERIC_SECRET,
            CKA_TOKEN => true,
            CKA_LABEL => "key",
            CKA_SIGN => true,
            CKA_VALUE => [7; 64],
        ])
        .unwrap();
    let mac = s.mac(HMAC, key, b"text").unwrap();
    add_user(w, "Bob");
    s.logout().unwrap();
    (s, mac)
}

fn the_key(s: &Session<'_>) -> CK_OBJECT_HANDLE {
    let found = s.find(&template![CKA_LABEL => "key"]).unwrap();
    assert_eq!(found.len(), 1);
    found[0]
}

/// Makes a role that lets this user take it.
fn add_role(w: &World, name: &str, user: &str) {
    let trust = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"sts:AssumeRole",
            "Principal":{{"AWS":"arn:aws:iam::000000000000:user/{user}"}}}}}}"#
    );
    let file = w.directory().join("trust");
    std::fs::write(&file, trust).unwrap();
    signet(w, "role add", &[name, "--trust", file.to_str().unwrap()]);
    let_use_keys(w, "role", name);
}

fn named_user_logs_in_by_name_and_uses_keys(w: &World) {
    let (s, mac) = with_bob(w);
    for name in ["Bob", "bob"] {
        s.login_user(CKU_USER, name, BOB_PIN).unwrap();
        assert_eq!(s.state(), CKS_RW_USER_FUNCTIONS);
        assert_eq!(s.another(RO).unwrap().state(), CKS_RO_USER_FUNCTIONS);
        assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
        s.logout().unwrap();
        assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
        assert!(s.find(&template![CKA_LABEL => "key"]).unwrap().is_empty());
    }
}

fn pin_that_begins_with_a_name_is_that_user_s(w: &World) {
    let (s, mac) = with_bob(w);
    let named = format!("bob:{BOB_PIN}");
    s.login(CKU_USER, &named).unwrap();
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
    s.logout().unwrap();
    // Not the security officer's, and not while the owner's PIN has a colon.
    refused(s.login(CKU_SO, &named), CKR_PIN_INCORRECT);
    refused(s.login(CKU_USER, &format!("alice:{BOB_PIN}")), CKR_PIN_INCORRECT);
    s.set_pin(USER_PIN, "own:er").unwrap();
    refused(s.login(CKU_USER, &named), CKR_PIN_INCORRECT);
    s.login(CKU_USER, "own:er").unwrap();
    s.logout().unwrap();
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
}

fn login_user_without_a_name_is_a_login(w: &World) {
    let (s, _) = with_bob(w);
    let pin = |pin: &str| (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
    let (user_pin, length) = pin(USER_PIN);
    ck3!(s.module, C_LoginUser(s.handle, CKU_USER, user_pin, length, null_mut(), 0)).unwrap();
    s.logout().unwrap();
    s.login_user(CKU_SO, "", SO_PIN).unwrap();
    assert_eq!(s.state(), CKS_RW_SO_FUNCTIONS);
    s.logout().unwrap();
    s.login_user(CKU_USER, "", &format!("bob:{BOB_PIN}")).unwrap();
}

fn login_user_refuses_what_is_no_user(w: &World) {
    let (s, _) = with_bob(w);
    for name in ["alice", "two words", "b\u{f6}b", "role/nothing", &"x".repeat(5000)] {
        refused(s.login_user(CKU_USER, name, BOB_PIN), CKR_PIN_INCORRECT);
    }
    refused(s.login_user(CKU_USER, "bob", ""), CKR_PIN_INCORRECT);
    refused(s.login_user(CKU_USER, "bob", &"1".repeat(5000)), CKR_PIN_INCORRECT);
    refused(s.login_user(CKU_SO, "bob", BOB_PIN), CKR_USER_TYPE_INVALID);
    refused(s.login_user(99, "bob", BOB_PIN), CKR_USER_TYPE_INVALID);
    refused(s.login_user(CKU_CONTEXT_SPECIFIC, "bob", BOB_PIN), CKR_OPERATION_NOT_INITIALIZED);
    let (pin, length) = (BOB_PIN.as_ptr().cast_mut(), BOB_PIN.len() as CK_ULONG);
    let login = |pin, name: *mut u8, name_length| {
        ck3!(s.module, C_LoginUser(s.handle, CKU_USER, pin, length, name, name_length))
    };
    refused(login(null_mut(), b"bob".as_ptr().cast_mut(), 3), CKR_ARGUMENTS_BAD);
    refused(login(pin, null_mut(), 3), CKR_ARGUMENTS_BAD);
    let not_utf8 = [0xff, 0xfe];
    refused(login(pin, not_utf8.as_ptr().cast_mut(), 2), CKR_PIN_INCORRECT);
    s.close().unwrap();
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_SESSION_HANDLE_INVALID);
}

fn each_named_user_is_locked_alone(w: &World) {
    let (s, _) = with_bob(w);
    add_user(w, "alice");
    for _ in 0..10 {
        refused(s.login_user(CKU_USER, "bob", "wrong"), CKR_PIN_INCORRECT);
    }
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_PIN_LOCKED);
    refused(s.login(CKU_USER, &format!("bob:{BOB_PIN}")), CKR_PIN_LOCKED);
    let flags = w.module().token_info(s.slot).unwrap().flags;
    assert_eq!(flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED), 0);
    s.login_user(CKU_USER, "alice", BOB_PIN).unwrap();
    s.logout().unwrap();
    let file = w.directory().join("pin");
    signet(w, "user pin", &["bob", "--user-pin-file", file.to_str().unwrap()]);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
}

fn two_named_users_are_two(w: &World) {
    let (s, _) = with_bob(w);
    add_user(w, "alice");
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    refused(s.login_user(CKU_USER, "BOB", BOB_PIN), CKR_USER_ALREADY_LOGGED_IN);
    refused(s.login(CKU_USER, &format!("bob:{BOB_PIN}")), CKR_USER_ALREADY_LOGGED_IN);
    refused(s.login_user(CKU_USER, "alice", BOB_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    refused(s.login_user(CKU_USER, "nobody", "wrong"), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    refused(s.login(CKU_SO, SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

fn named_user_changes_the_own_pin(w: &World) {
    let (s, mac) = with_bob(w);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    refused(s.set_pin("wrong", "changed"), CKR_PIN_INCORRECT);
    refused(s.set_pin(USER_PIN, "changed"), CKR_PIN_INCORRECT);
    s.set_pin(BOB_PIN, "changed").unwrap();
    administer(w, &["token", "rotate-root-key", "behaviour"]);
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
    s.logout().unwrap();
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_PIN_INCORRECT);
    s.login_user(CKU_USER, "bob", "changed").unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
}

fn named_user_sets_nobody_else_s_pin(w: &World) {
    let (s, _) = with_bob(w);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    refused(s.init_pin("another-pin"), CKR_USER_NOT_LOGGED_IN);
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
}

fn role_is_taken_by_name_or_by_pin(w: &World) {
    let (s, mac) = with_bob(w);
    add_user(w, "alice");
    add_role(w, "Producer", "Bob");
    let named = |who: &str| format!("{who}:{BOB_PIN}");
    s.login_user(CKU_USER, "role/producer", &named("bob")).unwrap();
    assert_eq!(s.state(), CKS_RW_USER_FUNCTIONS);
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
    let again = s.login_user(CKU_USER, "role/producer", &named("bob"));
    refused(again, CKR_USER_ALREADY_LOGGED_IN);
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    s.logout().unwrap();
    s.login(CKU_USER, &named("role/producer:bob")).unwrap();
    s.logout().unwrap();
    let taken = |role: &str, pin: &str| s.login_user(CKU_USER, role, pin);
    refused(taken("role/producer", &named("alice")), CKR_ACTION_PROHIBITED);
    refused(taken("role/nothing", &named("bob")), CKR_ACTION_PROHIBITED);
    refused(taken("role/producer", "bob:wrong"), CKR_PIN_INCORRECT);
    refused(taken("role/producer", BOB_PIN), CKR_PIN_INCORRECT);
    refused(s.login(CKU_USER, &named("role/nothing:bob")), CKR_PIN_INCORRECT);
}

/// What a login that has ended may not do any more: everything that needs one.
fn is_logged_out(s: &Session<'_>, key: CK_OBJECT_HANDLE) {
    refused(s.sign_init(HMAC, key), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
    assert!(s.find(&template![CKA_LABEL => "key"]).unwrap().is_empty());
    refused(s.logout(), CKR_USER_NOT_LOGGED_IN);
}

fn user_disabled_there_is_logged_out_here(w: &World) {
    let (s, mac) = with_bob(w);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    let key = the_key(&s);
    s.mac(HMAC, key, b"text").unwrap();
    signet(w, "user disable", &["bob"]);
    is_logged_out(&s, key);
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_ACTION_PROHIBITED);
    refused(s.login_user(CKU_USER, "bob", "wrong"), CKR_PIN_INCORRECT);
    signet(w, "user enable", &["bob"]);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
}

fn user_removed_there_is_logged_out_here(w: &World) {
    let (s, mac) = with_bob(w);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    let key = the_key(&s);
    signet(w, "user remove", &["bob"]);
    is_logged_out(&s, key);
    refused(s.login_user(CKU_USER, "bob", BOB_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_USER, USER_PIN).unwrap();
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
}

fn two_applications_act_as_two_users(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        s.login_user(CKU_USER, "alice", BOB_PIN).unwrap();
        let key = the_key(&s);
        s.mac(HMAC, key, b"text").unwrap();
        w.say("alice is here");
        assert_eq!(w.hear(), "bob is disabled");
        s.mac(HMAC, key, b"text").unwrap();
        w.say("alice goes on");
        assert_eq!(w.hear(), "alice is removed");
        is_logged_out(&s, key);
        return;
    }
    let (s, mac) = with_bob(w);
    add_user(w, "alice");
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    let key = the_key(&s);
    let mut other = w.other("alice");
    assert_eq!(other.hear(), "alice is here");
    assert_eq!(s.mac(HMAC, key, b"text").unwrap(), mac);
    signet(w, "user disable", &["bob"]);
    is_logged_out(&s, key);
    other.say("bob is disabled");
    assert_eq!(other.hear(), "alice goes on");
    signet(w, "user enable", &["bob"]);
    s.login_user(CKU_USER, "bob", BOB_PIN).unwrap();
    signet(w, "user remove", &["alice"]);
    other.say("alice is removed");
    other.join();
    assert_eq!(s.mac(HMAC, the_key(&s), b"text").unwrap(), mac);
}
