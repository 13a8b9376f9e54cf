//! PKCS#11 3.2 §5.5: slots and tokens, PINs and their locks.

use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

cases! {
    slot_list_counts_and_fills,
    slot_list_says_when_the_buffer_is_too_small,
    slot_list_refuses_null_count,
    one_empty_slot_waits,
    one_more_empty_slot_waits_beside_each_token,
    slot_numbers_are_small_and_never_move
        softhsm2: departs("moved", "SoftHSM2 derives slot numbers from serial numbers"),
    slot_info_describes_a_slot_with_a_token,
    token_info_of_an_empty_slot_says_not_initialised,
    token_info_follows_the_tokens_life,
    token_info_counts_sessions
        softhsm2: departs("left: (18446744073709551615", "SoftHSM2 does not count"),
    tokens_have_serial_numbers_of_their_own,
    slot_that_is_not_there_is_refused,
    slot_functions_refuse_null,
    empty_slot_opens_no_session,
    init_token_refuses_null,
    init_token_refuses_a_pin_out_of_range,
    init_token_again_destroys_objects_and_the_user_pin,
    init_token_again_needs_the_so_pin,
    init_token_is_refused_while_a_session_is_open,
    init_token_is_refused_while_another_process_has_a_session
        softhsm2: departs("got CKR_OK", "SoftHSM2 knows its own process alone"),
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
    slot_events_without_blocking
        softhsm2: departs("got CKR_NO_EVENT", "SoftHSM2 overlooks the reserved pointer"),
}

/// §5.5.1, both ways to call.
fn slot_list_counts_and_fills(w: &World) {
    let module = w.start();
    let (mut count, mut list) = (0, [0; 16]);
    ck!(module, C_GetSlotList(CK_FALSE, null_mut(), &mut count)).unwrap();
    let mut room = list.len() as CK_ULONG;
    ck!(module, C_GetSlotList(CK_FALSE, list.as_mut_ptr(), &mut room)).unwrap();
    assert_eq!(room, count);
}

/// §5.5.1: CKR_BUFFER_TOO_SMALL, and the count is set all the same.
fn slot_list_says_when_the_buffer_is_too_small(w: &World) {
    let module = w.start();
    w.make_token("first");
    let count = module.slots(false).unwrap().len() as CK_ULONG;
    assert_eq!(count, 2);
    let (mut room, mut list) = (1, [CK_SLOT_ID::MAX; 2]);
    let answer = ck!(module, C_GetSlotList(CK_FALSE, list.as_mut_ptr(), &mut room));
    refused(answer, CKR_BUFFER_TOO_SMALL);
    assert_eq!(room, count);
    assert_eq!(list[1], CK_SLOT_ID::MAX, "written past the buffer");
}

/// §5.5.1.
fn slot_list_refuses_null_count(w: &World) {
    let mut list = [0; 4];
    let module = w.start();
    refused(ck!(module, C_GetSlotList(CK_TRUE, null_mut(), null_mut())), CKR_ARGUMENTS_BAD);
    refused(ck!(module, C_GetSlotList(CK_TRUE, list.as_mut_ptr(), null_mut())), CKR_ARGUMENTS_BAD);
}

/// Design §2: one empty slot invites C_InitToken.
fn one_empty_slot_waits(w: &World) {
    let module = w.start();
    let slots = module.slots(true).unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!(module.slots(false).unwrap(), slots);
    assert_eq!(module.empty_slot(), slots[0]);
}

/// Design §2, once there are tokens.
fn one_more_empty_slot_waits_beside_each_token(w: &World) {
    let module = w.start();
    for (made, label) in ["first", "second", "third"].into_iter().enumerate() {
        w.make_token(label);
        assert_eq!(module.slots(true).unwrap().len(), made + 2);
        module.empty_slot();
        module.slot_of(label);
    }
}

/// Design §2: "random slot numbers are SoftHSM users' oldest complaint".
fn slot_numbers_are_small_and_never_move(w: &World) {
    let module = w.start();
    let mut made = Vec::new();
    for label in ["first", "second", "third"] {
        let slot = module.empty_slot();
        assert!(slot < 100, "slot {slot}");
        module.init_token(slot, SO_PIN, label).unwrap();
        made.push((label, slot));
    }
    module.finalize().unwrap();
    module.initialize().unwrap();
    for (label, slot) in &made {
        assert_eq!(module.slot_of(label), *slot, "{label} moved");
    }
    // Made again: the token is new, its place is not.
    module.init_token(made[1].1, SO_PIN, "second").unwrap();
    for (label, slot) in &made {
        assert_eq!(module.slot_of(label), *slot, "{label} moved");
    }
    module.finalize().unwrap();
    module.initialize().unwrap();
    for (label, slot) in &made {
        assert_eq!(module.slot_of(label), *slot, "{label} moved");
    }
}

/// §3.2 CK_SLOT_INFO.
fn slot_info_describes_a_slot_with_a_token(w: &World) {
    let slot = w.token();
    for slot in [slot, w.module().empty_slot()] {
        let info = w.module().slot_info(slot).unwrap();
        assert_eq!(info.flags, CKF_TOKEN_PRESENT);
        assert!(!info.slotDescription.contains(&0));
        assert!(!info.manufacturerID.contains(&0));
        assert_ne!(info.slotDescription, [b' '; 64]);
    }
}

/// §3.2 CK_TOKEN_INFO: CKF_TOKEN_INITIALIZED tells what C_InitToken will do.
fn token_info_of_an_empty_slot_says_not_initialised(w: &World) {
    let module = w.start();
    let info = module.token_info(module.empty_slot()).unwrap();
    assert_eq!(info.flags & (CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED), 0);
    assert_eq!(info.label, [b' '; 32]);
}

/// §3.2 CK_TOKEN_INFO, before and after C_InitPIN.
fn token_info_follows_the_tokens_life(w: &World) {
    let slot = w.bare_token();
    let info = w.module().token_info(slot).unwrap();
    assert_eq!(&info.label, b"behaviour                       ");
    for text in [&info.label[..], &info.manufacturerID, &info.model, &info.serialNumber] {
        assert!(!text.contains(&0), "{text:?}");
    }
    let always = CKF_TOKEN_INITIALIZED | CKF_RNG | CKF_LOGIN_REQUIRED;
    assert_eq!(info.flags & always, always);
    let never = CKF_WRITE_PROTECTED | CKF_PROTECTED_AUTHENTICATION_PATH | CKF_ERROR_STATE;
    assert_eq!(info.flags & never, 0);
    assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
    assert!(info.ulMinPinLen >= 1 && info.ulMinPinLen <= SO_PIN.len() as CK_ULONG);
    assert!(info.ulMaxPinLen >= 32);
    w.login(slot, CKU_SO, SO_PIN).unwrap().init_pin(USER_PIN).unwrap();
    let flags = w.module().token_flags(slot);
    assert_eq!(flags & (always | CKF_USER_PIN_INITIALIZED), always | CKF_USER_PIN_INITIALIZED);
    let counts = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    assert_eq!(flags & (counts | counts << 4), 0);
}

/// §3.2 CK_TOKEN_INFO: the session counts.
fn token_info_counts_sessions(w: &World) {
    let slot = w.token();
    let counts = || {
        let info = w.module().token_info(slot).unwrap();
        for (limit, count) in [
            (info.ulMaxSessionCount, info.ulSessionCount),
            (info.ulMaxRwSessionCount, info.ulRwSessionCount),
        ] {
            let unlimited = [CK_EFFECTIVELY_INFINITE, CK_UNAVAILABLE_INFORMATION];
            assert!(unlimited.contains(&limit) || count <= limit);
        }
        (info.ulSessionCount, info.ulRwSessionCount)
    };
    assert_eq!(counts(), (0, 0));
    w.open(slot, RO);
    let s = w.open(slot, RW);
    assert_eq!(counts(), (2, 1));
    s.close().unwrap();
    assert_eq!(counts(), (1, 0));
    w.module().close_all(slot).unwrap();
    assert_eq!(counts(), (0, 0));
}

/// §3.2 CK_TOKEN_INFO: p11-kit and PKCS#11 URIs tell tokens apart by serial number.
fn tokens_have_serial_numbers_of_their_own(w: &World) {
    let module = w.start();
    w.make_token("same");
    w.make_token("same");
    let mut serials: Vec<_> = module
        .slots(true)
        .unwrap()
        .iter()
        .map(|slot| module.token_info(*slot).unwrap())
        .filter(|info| info.flags & CKF_TOKEN_INITIALIZED != 0)
        .map(|info| info.serialNumber)
        .collect();
    serials.sort_unstable();
    assert_eq!(serials.len(), 2);
    assert_ne!(serials[0], serials[1]);
}

/// CKR_SLOT_ID_INVALID wherever a slot is named.
fn slot_that_is_not_there_is_refused(w: &World) {
    let module = w.start();
    for slot in [9999, CK_SLOT_ID::MAX] {
        refused(module.slot_info(slot), CKR_SLOT_ID_INVALID);
        refused(module.token_info(slot), CKR_SLOT_ID_INVALID);
        refused(module.mechanisms(slot), CKR_SLOT_ID_INVALID);
        refused(module.mechanism_info(slot, CKM_SHA256), CKR_SLOT_ID_INVALID);
        refused(module.init_token(slot, SO_PIN, "nowhere"), CKR_SLOT_ID_INVALID);
        refused(Session::open(module, slot, RW).map(|_| ()), CKR_SLOT_ID_INVALID);
        refused(module.close_all(slot), CKR_SLOT_ID_INVALID);
    }
}

/// A NULL that the standard forbids is CKR_ARGUMENTS_BAD.
fn slot_functions_refuse_null(w: &World) {
    let slot = w.token();
    let m = w.module();
    refused(ck!(m, C_GetSlotInfo(slot, null_mut())), CKR_ARGUMENTS_BAD);
    refused(ck!(m, C_GetTokenInfo(slot, null_mut())), CKR_ARGUMENTS_BAD);
    refused(ck!(m, C_GetMechanismList(slot, null_mut(), null_mut())), CKR_ARGUMENTS_BAD);
    refused(ck!(m, C_GetMechanismInfo(slot, CKM_SHA256, null_mut())), CKR_ARGUMENTS_BAD);
}

/// §5.1.3: of the three return values that tell it, any will do.
fn empty_slot_opens_no_session(w: &World) {
    let module = w.start();
    let opened = Session::open(module, module.empty_slot(), RW).map(|_| ());
    let expected = [CKR_TOKEN_NOT_INITIALIZED, CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_NOT_PRESENT];
    refused_any(opened, &expected);
}

/// §5.5.7: there is no protected authentication path, so there is a PIN.
fn init_token_refuses_null(w: &World) {
    let module = w.start();
    let slot = module.empty_slot();
    let mut label = [b' '; 32];
    let pin = SO_PIN.as_ptr().cast_mut();
    let length = SO_PIN.len() as CK_ULONG;
    let no_pin = ck!(module, C_InitToken(slot, null_mut(), length, label.as_mut_ptr()));
    refused(no_pin, CKR_ARGUMENTS_BAD);
    let no_label = ck!(module, C_InitToken(slot, pin, length, null_mut()));
    refused(no_label, CKR_ARGUMENTS_BAD);
    assert_eq!(module.token_flags(slot) & CKF_TOKEN_INITIALIZED, 0);
}

/// §5.5.7 lists CKR_PIN_INCORRECT alone; CKR_PIN_LEN_RANGE says it better.
fn init_token_refuses_a_pin_out_of_range(w: &World) {
    let module = w.start();
    let slot = module.empty_slot();
    let info = module.token_info(slot).unwrap();
    for length in [0, info.ulMinPinLen - 1, info.ulMaxPinLen + 1] {
        let pin = "1".repeat(length as usize);
        let expected = [CKR_PIN_LEN_RANGE, CKR_PIN_INCORRECT];
        refused_any(module.init_token(slot, &pin, "never"), &expected);
    }
    assert_eq!(module.token_flags(slot) & CKF_TOKEN_INITIALIZED, 0);
}

fn data(label: &str) -> Template {
    template![
        CKA_CLASS => CKO_DATA,
        CKA_TOKEN => true,
        CKA_PRIVATE => false,
        CKA_LABEL => label,
        CKA_VALUE => "value",
    ]
}

fn hmac_key() -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_TOKEN => true,
        CKA_PRIVATE => true,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_VALUE => [3; 64],
    ]
}

/// §5.5.7: objects go, the user's PIN goes, the SO's stays, the label is the new one.
fn init_token_again_destroys_objects_and_the_user_pin(w: &World) {
    let s = w.user();
    s.create(&data("public")).unwrap();
    s.create(&hmac_key()).unwrap();
    w.module().close_all(s.slot).unwrap();
    w.module().init_token(s.slot, SO_PIN, "renewed").unwrap();
    let slot = w.module().slot_of("renewed");
    assert_eq!(w.module().token_flags(slot) & CKF_USER_PIN_INITIALIZED, 0);
    let s = w.open(slot, RW);
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    assert!(s.find(&template![]).unwrap().is_empty());
    s.login(CKU_SO, SO_PIN).unwrap();
    s.init_pin(USER_PIN).unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    assert!(s.find(&template![]).unwrap().is_empty());
}

/// §5.5.7: CKR_PIN_INCORRECT, and everything is as it was.
fn init_token_again_needs_the_so_pin(w: &World) {
    let s = w.user();
    let (slot, _) = (s.slot, s.create(&hmac_key()).unwrap());
    w.module().close_all(slot).unwrap();
    refused(w.module().init_token(slot, "not-the-pin", "stolen"), CKR_PIN_INCORRECT);
    refused(w.module().init_token(slot, USER_PIN, "stolen"), CKR_PIN_INCORRECT);
    let s = w.user_again();
    assert_eq!(s.find(&template![]).unwrap().len(), 1);
}

/// §5.5.7: CKR_SESSION_EXISTS.
fn init_token_is_refused_while_a_session_is_open(w: &World) {
    let slot = w.token();
    for flags in [RO, RW] {
        let s = w.open(slot, flags);
        refused(w.module().init_token(slot, SO_PIN, "renewed"), CKR_SESSION_EXISTS);
        s.close().unwrap();
    }
    w.module().init_token(slot, SO_PIN, "renewed").unwrap();
}

/// §5.5.7: "any application"; ours detects it (design §4). A process that was
/// killed is no longer an application.
fn init_token_is_refused_while_another_process_has_a_session(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RO);
        w.say("open");
        w.hear();
        s.close().unwrap();
        w.say("closed");
        w.hear();
        w.open(s.slot, RW);
        w.say("open again");
        w.hear();
        return;
    }
    let slot = w.token();
    let mut other = w.other("has a session");
    assert_eq!(other.hear(), "open");
    refused(w.module().init_token(slot, SO_PIN, "renewed"), CKR_SESSION_EXISTS);
    other.say("close");
    assert_eq!(other.hear(), "closed");
    w.module().init_token(slot, SO_PIN, "renewed").unwrap();
    other.say("open");
    assert_eq!(other.hear(), "open again");
    refused(w.module().init_token(slot, SO_PIN, "again"), CKR_SESSION_EXISTS);
    other.kill();
    w.module().init_token(slot, SO_PIN, "again").unwrap();
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
    let key = s.create(&hmac_key()).unwrap();
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
    let key = s.create(&hmac_key()).unwrap();
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

/// §5.5.4.
fn slot_events_without_blocking(w: &World) {
    let module = w.start();
    let mut slot = 0;
    let wait = |flags, slot, reserved| ck!(module, C_WaitForSlotEvent(flags, slot, reserved));
    refused(wait(CKF_DONT_BLOCK, &mut slot, null_mut()), CKR_NO_EVENT);
    refused(wait(CKF_DONT_BLOCK, null_mut(), null_mut()), CKR_ARGUMENTS_BAD);
    let reserved = (&raw mut slot).cast();
    let mut event = 0;
    refused(wait(CKF_DONT_BLOCK, &mut event, reserved), CKR_ARGUMENTS_BAD);
}
