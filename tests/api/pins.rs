//! PKCS#11 3.2 §5.5.8, §5.5.9 and §3.2: PINs set, changed, locked and unlocked.

use crate::api::templates::token_mac_key;
use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

cases! {
    init_pin_is_for_the_so_alone,
    init_pin_checks_the_length,
    init_pin_refuses_null,
    init_pin_again_replaces_the_pin_and_keeps_the_keys,
    set_pin_changes_the_users_pin,
    set_pin_changes_the_sos_pin,
    set_pin_in_a_public_session_changes_the_users_pin,
    set_pin_needs_a_read_write_session,
    set_pin_needs_the_old_pin,
    set_pin_checks_the_length,
    present_pin_of_an_impossible_length_is_incorrect,
    set_pin_refuses_null,
    pins_may_be_utf8_of_any_length_in_range,
    wrong_user_pins_lock_step_by_step
        softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
    right_pin_clears_the_count,
    so_unlocks_the_users_pin softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
    lock_outlives_the_process softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
    old_pin_guesses_at_set_pin_count_too
        softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
    wrong_so_pins_lock_step_by_step
        softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
    init_token_guesses_count_too,
    locked_so_leaves_the_user_alone
        softhsm2: departs("no lock after", "SoftHSM2 never locks a PIN"),
}

/// §5.5.8: any state but R/W SO Functions is CKR_USER_NOT_LOGGED_IN.
fn init_pin_is_for_the_so_alone(w: &World) {
    let slot = w.token();
    let s = w.open(slot, RW);
    refused(s.init_pin("another-pin"), CKR_USER_NOT_LOGGED_IN);
    s.login(CKU_USER, USER_PIN).unwrap();
    refused(s.init_pin("another-pin"), CKR_USER_NOT_LOGGED_IN);
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
}

/// §5.5.8: CKR_PIN_LEN_RANGE, by the lengths that C_GetTokenInfo states.
fn init_pin_checks_the_length(w: &World) {
    let s = w.officer();
    let info = w.module().token_info(s.slot).unwrap();
    let pin = |length: CK_ULONG| "7".repeat(length as usize);
    refused(s.init_pin(&pin(0)), CKR_PIN_LEN_RANGE);
    refused(s.init_pin(&pin(info.ulMinPinLen - 1)), CKR_PIN_LEN_RANGE);
    refused(s.init_pin(&pin(info.ulMaxPinLen + 1)), CKR_PIN_LEN_RANGE);
    s.init_pin(&pin(info.ulMinPinLen)).unwrap();
    s.init_pin(&pin(info.ulMaxPinLen)).unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, &pin(info.ulMaxPinLen)).unwrap();
}

/// §5.5.8.
fn init_pin_refuses_null(w: &World) {
    let s = w.officer();
    refused(ck!(s.module, C_InitPIN(s.handle, null_mut(), 8)), CKR_ARGUMENTS_BAD);
}

/// §5.5.8: the SO hands out a new PIN; the user's keys are still there.
fn init_pin_again_replaces_the_pin_and_keeps_the_keys(w: &World) {
    let s = w.user();
    let key = s.create(&token_mac_key()).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    s.init_pin("replaced-pin").unwrap();
    s.logout().unwrap();
    refused(s.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_USER, "replaced-pin").unwrap();
    let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    assert_eq!(s.mac(CKM_SHA256_HMAC, keys[0], b"text").unwrap(), mac);
}

/// §5.5.9 in the state R/W User Functions.
fn set_pin_changes_the_users_pin(w: &World) {
    let s = w.user();
    let key = s.create(&token_mac_key()).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.set_pin(USER_PIN, "changed-pin").unwrap();
    s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
    s.logout().unwrap();
    refused(s.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_USER, "changed-pin").unwrap();
    let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    s.check(CKM_SHA256_HMAC, keys[0], b"text", &mac).unwrap();
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
}

/// §5.5.9 in the state R/W SO Functions.
fn set_pin_changes_the_sos_pin(w: &World) {
    let s = w.officer();
    s.set_pin(SO_PIN, "changed-pin").unwrap();
    s.logout().unwrap();
    refused(s.login(CKU_SO, SO_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_SO, "changed-pin").unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    s.close().unwrap();
    w.module().init_token(s.slot, "changed-pin", "renewed").unwrap();
}

/// §5.5.9: "or the CKU_USER PIN if the session is not logged in".
fn set_pin_in_a_public_session_changes_the_users_pin(w: &World) {
    let s = w.open(w.token(), RW);
    s.set_pin(USER_PIN, "changed-pin").unwrap();
    assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
    refused(s.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_USER, "changed-pin").unwrap();
}

/// §5.5.9: any other state is CKR_SESSION_READ_ONLY.
fn set_pin_needs_a_read_write_session(w: &World) {
    let s = w.open(w.token(), RO);
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_SESSION_READ_ONLY);
    s.login(CKU_USER, USER_PIN).unwrap();
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_SESSION_READ_ONLY);
}

/// §5.5.9: CKR_PIN_INCORRECT, in every state.
fn set_pin_needs_the_old_pin(w: &World) {
    let s = w.open(w.token(), RW);
    refused(s.set_pin("not-the-pin", "changed-pin"), CKR_PIN_INCORRECT);
    s.login(CKU_USER, USER_PIN).unwrap();
    refused(s.set_pin("not-the-pin", "changed-pin"), CKR_PIN_INCORRECT);
    refused(s.set_pin(SO_PIN, "changed-pin"), CKR_PIN_INCORRECT);
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    refused(s.set_pin("not-the-pin", "changed-pin"), CKR_PIN_INCORRECT);
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_PIN_INCORRECT);
}

/// §5.5.9: CKR_PIN_LEN_RANGE for the new PIN.
fn set_pin_checks_the_length(w: &World) {
    let s = w.user();
    let info = w.module().token_info(s.slot).unwrap();
    for length in [0, info.ulMinPinLen - 1, info.ulMaxPinLen + 1] {
        let pin = "7".repeat(length as usize);
        refused(s.set_pin(USER_PIN, &pin), CKR_PIN_LEN_RANGE);
    }
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
}

/// §5.5.7, §5.5.9: CKR_PIN_LEN_RANGE is for a new PIN. No PIN is so long, so the
/// present one is another, and nothing has been guessed.
fn present_pin_of_an_impossible_length_is_incorrect(w: &World) {
    let s = w.open(w.token(), RW);
    let info = w.module().token_info(s.slot).unwrap();
    for length in [info.ulMaxPinLen + 1, 4096, 4097, 5000] {
        let long = "7".repeat(length as usize);
        refused(s.set_pin(&long, "changed-pin"), CKR_PIN_INCORRECT);
        refused(s.set_pin(USER_PIN, &long), CKR_PIN_LEN_RANGE);
    }
    s.login(CKU_USER, USER_PIN).unwrap();
    let slot = s.slot;
    s.close().unwrap();
    for length in [info.ulMaxPinLen + 1, 4096, 4097, 5000] {
        let long = "7".repeat(length as usize);
        refused(w.module().init_token(slot, &long, "stolen"), CKR_PIN_INCORRECT);
    }
    w.module().init_token(slot, SO_PIN, "renewed").unwrap();
}

/// §5.5.9.
fn set_pin_refuses_null(w: &World) {
    let s = w.user();
    let (pin, length) = (USER_PIN.as_ptr().cast_mut(), USER_PIN.len() as CK_ULONG);
    let no_old = ck!(s.module, C_SetPIN(s.handle, null_mut(), 8, pin, length));
    refused(no_old, CKR_ARGUMENTS_BAD);
    let no_new = ck!(s.module, C_SetPIN(s.handle, pin, length, null_mut(), 8));
    refused(no_new, CKR_ARGUMENTS_BAD);
}

/// §5.5.8: "any valid UTF8 character"; the length is in bytes, and no zero ends it.
fn pins_may_be_utf8_of_any_length_in_range(w: &World) {
    let s = w.user();
    let mut old = USER_PIN.to_owned();
    for new in ["Schlüssel-鍵-🔑", "with spaces and % signs", "nul\0inside"] {
        s.set_pin(&old, new).unwrap();
        s.logout().unwrap();
        let shorter = new.strip_suffix(|_| true).expect("a PIN has a last character");
        refused(s.login(CKU_USER, shorter), CKR_PIN_INCORRECT);
        s.login(CKU_USER, new).unwrap();
        new.clone_into(&mut old);
    }
}

/// What the token says of one PIN's count.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Count {
    low: bool,
    last: bool,
    locked: bool,
}

const FULL: Count = Count { low: false, last: false, locked: false };
const LOW: Count = Count { low: true, last: false, locked: false };
const LAST: Count = Count { low: true, last: true, locked: false };
const LOCKED: Count = Count { low: true, last: false, locked: true };

/// The SO's flags stand four bits above the user's.
fn count(w: &World, slot: CK_SLOT_ID, user: CK_USER_TYPE) -> Count {
    let flags = w.module().token_flags(slot) >> if user == CKU_SO { 4 } else { 0 };
    Count {
        low: flags & CKF_USER_PIN_COUNT_LOW != 0,
        last: flags & CKF_USER_PIN_FINAL_TRY != 0,
        locked: flags & CKF_USER_PIN_LOCKED != 0,
    }
}

/// Guesses until the PIN is locked; how many guesses that took.
fn lock(w: &World, slot: CK_SLOT_ID, user: CK_USER_TYPE, guess: impl Fn() -> Rv) -> usize {
    for guesses in 1..=20 {
        refused(guess(), CKR_PIN_INCORRECT);
        let now = count(w, slot, user);
        if now.locked {
            refused(guess(), CKR_PIN_LOCKED);
            return guesses;
        }
    }
    panic!("no lock after 20 wrong PINs");
}

/// §3.2 CK_TOKEN_INFO: COUNT_LOW after the first, FINAL_TRY before the last.
fn locks_step_by_step(w: &World, user: CK_USER_TYPE, pin: &str) {
    let slot = w.token();
    let s = w.open(slot, RW);
    assert_eq!(count(w, slot, user), FULL);
    let mut seen = Vec::new();
    loop {
        assert!(seen.len() < 20, "no lock after 20 wrong PINs");
        refused(s.login(user, "not-the-pin"), CKR_PIN_INCORRECT);
        let now = count(w, slot, user);
        if now.locked {
            break;
        }
        seen.push(now);
    }
    let (last, before) = seen.split_last().expect("more than one guess is free");
    assert_eq!(*last, LAST);
    assert!(before.iter().all(|count| *count == LOW), "{before:?}");
    assert_eq!((seen.len(), count(w, slot, user)), (9, LOCKED));
    refused(s.login(user, "not-the-pin"), CKR_PIN_LOCKED);
    refused(s.login(user, pin), CKR_PIN_LOCKED);
    let other = if user == CKU_SO { CKU_USER } else { CKU_SO };
    assert_eq!(count(w, slot, other), FULL);
}

fn wrong_user_pins_lock_step_by_step(w: &World) {
    locks_step_by_step(w, CKU_USER, USER_PIN);
}

fn wrong_so_pins_lock_step_by_step(w: &World) {
    locks_step_by_step(w, CKU_SO, SO_PIN);
}

/// §3.2: COUNT_LOW means "since the last successful authentication".
fn right_pin_clears_the_count(w: &World) {
    let slot = w.token();
    let s = w.open(slot, RW);
    for (user, pin) in [(CKU_USER, USER_PIN), (CKU_SO, SO_PIN)] {
        refused(s.login(user, "not-the-pin"), CKR_PIN_INCORRECT);
        assert!(count(w, slot, user).low);
        s.login(user, pin).unwrap();
        assert_eq!(count(w, slot, user), FULL);
        s.logout().unwrap();
    }
}

/// Design §3: "SO can unlock".
fn so_unlocks_the_users_pin(w: &World) {
    let slot = w.token();
    let s = w.open(slot, RW);
    lock(w, slot, CKU_USER, || s.login(CKU_USER, "not-the-pin"));
    s.login(CKU_SO, SO_PIN).unwrap();
    s.init_pin("unlocked-pin").unwrap();
    s.logout().unwrap();
    assert_eq!(count(w, slot, CKU_USER), FULL);
    s.login(CKU_USER, "unlocked-pin").unwrap();
}

/// Design §3: attempts are durable, or restarting would be guessing anew.
fn lock_outlives_the_process(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        refused(s.login(CKU_USER, USER_PIN), CKR_PIN_LOCKED);
        return;
    }
    let slot = w.token();
    let s = w.open(slot, RW);
    let free = lock(w, slot, CKU_USER, || s.login(CKU_USER, "not-the-pin"));
    w.other("knows the PIN").join();
    s.login(CKU_SO, SO_PIN).unwrap();
    s.init_pin(USER_PIN).unwrap();
    // Guesses with a restart after each are as many as without.
    for guess in 0..free {
        w.module().finalize().unwrap();
        w.start();
        let s = w.open(w.known_token(), RW);
        assert!(!count(w, slot, CKU_USER).locked, "locked after {guess}");
        refused(s.login(CKU_USER, "not-the-pin"), CKR_PIN_INCORRECT);
    }
    assert!(count(w, slot, CKU_USER).locked);
}

/// §5.5.9 returns CKR_PIN_LOCKED too: C_SetPIN is no way around the count.
fn old_pin_guesses_at_set_pin_count_too(w: &World) {
    let slot = w.token();
    let s = w.open(slot, RW);
    lock(w, slot, CKU_USER, || s.set_pin("not-the-pin", "changed-pin"));
    refused(s.login(CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_PIN_LOCKED);
}

/// §5.5.7 returns CKR_PIN_LOCKED too.
fn init_token_guesses_count_too(w: &World) {
    let slot = w.token();
    refused(w.module().init_token(slot, "not-the-pin", "stolen"), CKR_PIN_INCORRECT);
    assert_eq!(count(w, slot, CKU_SO), LOW, "CKF_SO_PIN_COUNT_LOW alone");
    w.module().init_token(slot, SO_PIN, "renewed").unwrap();
}

/// SECURITY.md: no function of the standard opens a locked SO PIN again; the keys stay
/// in use.
fn locked_so_leaves_the_user_alone(w: &World) {
    let s = w.user();
    let key = s.create(&token_mac_key()).unwrap();
    s.logout().unwrap();
    lock(w, s.slot, CKU_SO, || s.login(CKU_SO, "not-the-pin"));
    s.login(CKU_USER, USER_PIN).unwrap();
    let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    assert_eq!(keys.len(), 1, "{key}");
    s.mac(CKM_SHA256_HMAC, keys[0], b"text").unwrap();
    s.close().unwrap();
    refused(w.module().init_token(s.slot, SO_PIN, "renewed"), CKR_PIN_LOCKED);
    assert_eq!(count(w, s.slot, CKU_SO), LOCKED);
}
