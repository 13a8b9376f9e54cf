//! PKCS#11 3.2 §5.5: slots and tokens, PINs and their locks.

use crate::api::templates::{public_token_data, token_mac_key};
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
    init_token_refuses_a_label_that_is_not_utf8
        softhsm2: departs("got CKR_OK", "SoftHSM2 takes any bytes"),
    init_token_refuses_a_pin_out_of_range,
    init_token_again_destroys_objects_and_the_user_pin,
    init_token_again_needs_the_so_pin,
    init_token_is_refused_while_a_session_is_open,
    init_token_is_refused_while_another_process_has_a_session
        softhsm2: departs("got CKR_OK", "SoftHSM2 knows its own process alone"),
    blocking_wait_for_slot_events_is_refused,
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

/// §5.5.7: a label is UTF-8. One that is not would have to be shown changed.
fn init_token_refuses_a_label_that_is_not_utf8(w: &World) {
    let module = w.start();
    let slot = module.empty_slot();
    let pin = SO_PIN.as_ptr().cast_mut();
    // Latin-1, and a character cut in its middle by the end of the field.
    let mut cut = [b'x'; 32];
    cut[31] = 0xc3;
    for mut label in [*b"t\xe9                              ", cut] {
        let length = SO_PIN.len() as CK_ULONG;
        let made = ck!(module, C_InitToken(slot, pin, length, label.as_mut_ptr()));
        refused(made, CKR_ARGUMENTS_BAD);
    }
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

/// §5.5.7: objects go, the user's PIN goes, the SO's stays, the label is the new one.
fn init_token_again_destroys_objects_and_the_user_pin(w: &World) {
    let s = w.user();
    s.create(&public_token_data("public")).unwrap();
    s.create(&token_mac_key()).unwrap();
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
    let (slot, _) = (s.slot, s.create(&token_mac_key()).unwrap());
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

/// §5.5.4: nothing plugs a token in, so the wait would never end.
fn blocking_wait_for_slot_events_is_refused(w: &World) {
    let (module, mut slot) = (w.start(), 0);
    let waited = ck!(module, C_WaitForSlotEvent(0, &mut slot, null_mut()));
    refused(waited, CKR_FUNCTION_NOT_SUPPORTED);
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
