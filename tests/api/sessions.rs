//! PKCS#11 3.2 §5.6: sessions, their states and their ends.

use crate::api::templates::mac_key;
use crate::common::*;
use cryptoki_sys::*;
use std::collections::HashSet;
use std::ptr::null_mut;

const NO_CANCEL: Reference =
    departs("exports no C_GetInterface", "C_SessionCancel came with PKCS#11 3.0");

cases! {
    sessions_are_serial,
    asynchronous_sessions_are_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 2.6 does not know the flag"),
    open_session_refuses_null,
    session_info_says_what_was_opened,
    session_info_refuses_null,
    login_moves_every_session_of_the_token,
    read_only_session_keeps_the_so_out,
    so_keeps_read_only_sessions_out,
    closed_session_is_gone,
    handle_that_was_never_given_is_refused,
    the_session_is_judged_before_other_arguments
        softhsm2: departs("CKR_ARGUMENTS_BAD", "SoftHSM2 looks at other arguments first"),
    handles_are_not_reused,
    handles_are_not_reused_after_finalize
        softhsm2: departs("given again", "SoftHSM2 begins anew with every C_Initialize"),
    last_close_logs_out,
    close_all_ends_sessions_and_logs_out,
    close_all_leaves_other_tokens_alone,
    session_objects_die_with_their_session,
    session_objects_are_seen_by_the_applications_other_sessions,
    close_all_destroys_session_objects,
    a_thousand_sessions_can_be_open,
    read_only_session_makes_session_objects_alone,
    read_only_session_changes_no_token_object,
    operations_of_two_sessions_do_not_meet,
    cancel_ends_what_the_flags_name softhsm2: NO_CANCEL,
    cancel_of_nothing_is_fine softhsm2: NO_CANCEL,
    cancel_ends_multi_part_operations softhsm2: NO_CANCEL,
    cancel_ends_a_search softhsm2: NO_CANCEL,
    cancel_of_one_half_leaves_the_other
        softhsm2: departs("CKR_OPERATION_ACTIVE", "SoftHSM2 does one operation in a session"),
    operation_state_of_a_key_does_not_leave,
}

/// What tells that a handle names no key; chapter `sign` is stricter.
const NO_KEY: &[CK_RV] = &[CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];

/// §5.6.1: CKR_SESSION_PARALLEL_NOT_SUPPORTED without CKF_SERIAL_SESSION.
fn sessions_are_serial(w: &World) {
    let slot = w.token();
    for flags in [0, CKF_RW_SESSION] {
        let opened = Session::open(w.module(), slot, flags).map(|_| ());
        refused(opened, CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    }
}

/// §5.6.1: CKR_SESSION_ASYNC_NOT_SUPPORTED.
fn asynchronous_sessions_are_refused(w: &World) {
    let slot = w.token();
    for flags in [RO, RW] {
        let opened = Session::open(w.module(), slot, flags | CKF_ASYNC_SESSION).map(|_| ());
        refused(opened, CKR_SESSION_ASYNC_NOT_SUPPORTED);
    }
    assert_eq!(w.module().token_flags(slot) & CKF_ASYNC_SESSION_SUPPORTED, 0);
}

/// §5.6.1.
fn open_session_refuses_null(w: &World) {
    let slot = w.token();
    let opened = ck!(w.module(), C_OpenSession(slot, RW, null_mut(), None, null_mut()));
    refused(opened, CKR_ARGUMENTS_BAD);
}

/// §3.4 CK_SESSION_INFO.
fn session_info_says_what_was_opened(w: &World) {
    let slot = w.token();
    for (flags, state) in [(RO, CKS_RO_PUBLIC_SESSION), (RW, CKS_RW_PUBLIC_SESSION)] {
        let info = w.open(slot, flags).info().unwrap();
        assert_eq!(info.slotID, slot);
        assert_eq!(info.flags, flags);
        assert_eq!(info.state, state);
        assert_eq!(info.ulDeviceError, 0);
    }
}

/// §5.6.4.
fn session_info_refuses_null(w: &World) {
    let s = w.open(w.token(), RW);
    refused(ck!(s.module, C_GetSessionInfo(s.handle, null_mut())), CKR_ARGUMENTS_BAD);
}

/// §5.6.8: "each of the application's sessions", also the ones opened later.
fn login_moves_every_session_of_the_token(w: &World) {
    let slot = w.token();
    let (read, write) = (w.open(slot, RO), w.open(slot, RW));
    read.login(CKU_USER, USER_PIN).unwrap();
    assert_eq!(read.state(), CKS_RO_USER_FUNCTIONS);
    assert_eq!(write.state(), CKS_RW_USER_FUNCTIONS);
    assert_eq!(w.open(slot, RO).state(), CKS_RO_USER_FUNCTIONS);
    write.logout().unwrap();
    assert_eq!(read.state(), CKS_RO_PUBLIC_SESSION);
    w.module().close_all(slot).unwrap();
    let (first, second) = (w.open(slot, RW), w.open(slot, RW));
    first.login(CKU_SO, SO_PIN).unwrap();
    assert_eq!(first.state(), CKS_RW_SO_FUNCTIONS);
    assert_eq!(second.state(), CKS_RW_SO_FUNCTIONS);
}

/// §5.6.8: CKR_SESSION_READ_ONLY_EXISTS.
fn read_only_session_keeps_the_so_out(w: &World) {
    let slot = w.token();
    let (read, write) = (w.open(slot, RO), w.open(slot, RW));
    refused(write.login(CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    refused(read.login(CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    read.close().unwrap();
    write.login(CKU_SO, SO_PIN).unwrap();
}

/// §5.6.1: CKR_SESSION_READ_WRITE_SO_EXISTS.
fn so_keeps_read_only_sessions_out(w: &World) {
    let s = w.officer();
    refused(s.another(RO).map(|_| ()), CKR_SESSION_READ_WRITE_SO_EXISTS);
    s.another(RW).unwrap();
    s.logout().unwrap();
    s.another(RO).unwrap();
}

/// §5.6.2; every call with the handle says CKR_SESSION_HANDLE_INVALID.
fn closed_session_is_gone(w: &World) {
    let s = w.open(w.token(), RW);
    s.another(RW).unwrap();
    s.close().unwrap();
    all_say_invalid(s);
}

/// §5.1.2, also for handles that never were.
fn handle_that_was_never_given_is_refused(w: &World) {
    let s = w.user();
    for handle in [CK_INVALID_HANDLE, s.handle + 1000, CK_SESSION_HANDLE::MAX] {
        all_say_invalid(Session { handle, ..s });
    }
}

fn all_say_invalid(s: Session<'_>) {
    let invalid = CKR_SESSION_HANDLE_INVALID;
    refused(s.close(), invalid);
    refused(s.info(), invalid);
    refused(s.login(CKU_USER, USER_PIN), invalid);
    refused(s.logout(), invalid);
    refused(s.init_pin(USER_PIN), invalid);
    refused(s.set_pin(USER_PIN, "changed-pin"), invalid);
    refused(s.create(&data("a")), invalid);
    refused(s.copy(1, &template![]), invalid);
    refused(s.destroy(1), invalid);
    refused(s.size(1), invalid);
    refused(s.get(1, CKA_LABEL), invalid);
    refused(s.set(1, &template![CKA_LABEL => "b"]), invalid);
    refused(s.find_init(&template![]), invalid);
    refused(s.find_next(1), invalid);
    refused(s.find_final(), invalid);
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template![CKA_VALUE_LEN => 32]), invalid);
    refused(s.sign_init(CKM_SHA256_HMAC, 1), invalid);
    refused(s.sign(b"text"), invalid);
    refused(s.sign_update(b"text"), invalid);
    refused(s.sign_final(), invalid);
    refused(s.verify_init(CKM_SHA256_HMAC, 1), invalid);
    refused(s.verify(b"text", &[0; 32]), invalid);
    refused(s.verify_update(b"text"), invalid);
    refused(s.verify_final(&[0; 32]), invalid);
    refused(s.digest_init(CKM_SHA256), invalid);
    refused(s.digest(b"text"), invalid);
    refused(s.digest_update(b"text"), invalid);
    refused(s.digest_key(1), invalid);
    refused(s.digest_final(), invalid);
    refused(s.random(8), invalid);
    let mut seed = [1];
    refused(ck!(s.module, C_SeedRandom(s.handle, seed.as_mut_ptr(), 1)), invalid);
}

/// Null with a length, where every session but this one would be told so.
fn the_session_is_judged_before_other_arguments(w: &World) {
    let s = w.user();
    let (m, none) = (s.module, CK_INVALID_HANDLE);
    let says_invalid = |call: Rv| refused(call, CKR_SESSION_HANDLE_INVALID);
    says_invalid(ck!(m, C_GetSessionInfo(none, null_mut())));
    says_invalid(ck!(m, C_InitPIN(none, null_mut(), 8)));
    says_invalid(ck!(m, C_SetPIN(none, null_mut(), 8, null_mut(), 8)));
    says_invalid(ck!(m, C_Login(none, CKU_USER, null_mut(), 8)));
    says_invalid(ck!(m, C_Login(none, CK_USER_TYPE::MAX, null_mut(), 8)));
    says_invalid(ck!(m, C_CreateObject(none, null_mut(), 1, null_mut())));
    says_invalid(ck!(m, C_CopyObject(none, 1, null_mut(), 1, null_mut())));
    says_invalid(ck!(m, C_GetObjectSize(none, 1, null_mut())));
    says_invalid(ck!(m, C_GetAttributeValue(none, 1, null_mut(), 1)));
    says_invalid(ck!(m, C_SetAttributeValue(none, 1, null_mut(), 1)));
    says_invalid(ck!(m, C_FindObjectsInit(none, null_mut(), 1)));
    says_invalid(ck!(m, C_FindObjects(none, null_mut(), 1, null_mut())));
    says_invalid(ck!(m, C_DigestInit(none, null_mut())));
    says_invalid(ck!(m, C_Digest(none, null_mut(), 1, null_mut(), null_mut())));
    says_invalid(ck!(m, C_DigestUpdate(none, null_mut(), 1)));
    says_invalid(ck!(m, C_DigestFinal(none, null_mut(), null_mut())));
    says_invalid(ck!(m, C_SignInit(none, null_mut(), 1)));
    says_invalid(ck!(m, C_Sign(none, null_mut(), 1, null_mut(), null_mut())));
    says_invalid(ck!(m, C_SignUpdate(none, null_mut(), 1)));
    says_invalid(ck!(m, C_SignFinal(none, null_mut(), null_mut())));
    says_invalid(ck!(m, C_VerifyInit(none, null_mut(), 1)));
    says_invalid(ck!(m, C_Verify(none, null_mut(), 1, null_mut(), 1)));
    says_invalid(ck!(m, C_VerifyUpdate(none, null_mut(), 1)));
    says_invalid(ck!(m, C_VerifyFinal(none, null_mut(), 1)));
    says_invalid(ck!(m, C_GenerateKey(none, null_mut(), null_mut(), 1, null_mut())));
    says_invalid(ck!(m, C_SeedRandom(none, null_mut(), 1)));
    says_invalid(ck!(m, C_GenerateRandom(none, null_mut(), 1)));
    says_invalid(ck!(m, C_GetFunctionStatus(none)));
    says_invalid(ck!(m, C_CancelFunction(none)));
    let mut lie =
        CK_MECHANISM { mechanism: CKM_SHA256_HMAC, pParameter: null_mut(), ulParameterLen: 1 };
    says_invalid(ck!(m, C_DigestInit(none, &mut lie)));
    says_invalid(ck!(m, C_SignInit(none, &mut lie, 1)));
    says_invalid(ck!(m, C_VerifyInit(none, &mut lie, 1)));
    says_invalid(ck3!(m, C_VerifySignatureInit(none, null_mut(), 1, null_mut(), 1)));
    says_invalid(ck3!(m, C_VerifySignatureInit(none, &mut lie, 1, null_mut(), 1)));
    says_invalid(ck3!(m, C_VerifySignature(none, null_mut(), 1)));
    says_invalid(ck3!(m, C_VerifySignatureUpdate(none, null_mut(), 1)));
    says_invalid(ck3!(m, C_VerifySignatureFinal(none)));
}

fn data(label: &str) -> Template {
    template![CKA_CLASS => CKO_DATA, CKA_PRIVATE => false, CKA_LABEL => label]
}

/// Design §4: a handle kept too long never names something else.
fn handles_are_not_reused(w: &World) {
    let s = w.user();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let session = s.another(RW).unwrap();
        assert!(seen.insert(session.handle), "session {}", session.handle);
        session.close().unwrap();
    }
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let object = s.create(&data("short life")).unwrap();
        assert!(seen.insert(object), "object {object}");
        s.destroy(object).unwrap();
        refused(s.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    }
}

/// Design §4: not within a process, whose C_Finalize does not end it.
fn handles_are_not_reused_after_finalize(w: &World) {
    let template = template![CKA_CLASS => CKO_DATA, CKA_PRIVATE => false];
    let (mut sessions, mut objects) = (HashSet::new(), HashSet::new());
    w.token();
    for _ in 0..3 {
        let s = w.open(w.known_token(), RW);
        assert!(sessions.insert(s.handle), "session {} is given again", s.handle);
        let object = s.create(&template).unwrap();
        assert!(objects.insert(object), "object {object} is given again");
        w.module().finalize().unwrap();
        w.start();
    }
}

/// §5.6.2: "the login state … returns to public sessions".
fn last_close_logs_out(w: &World) {
    let first = w.user();
    let second = first.another(RO).unwrap();
    first.close().unwrap();
    assert_eq!(second.state(), CKS_RO_USER_FUNCTIONS);
    second.close().unwrap();
    assert_eq!(w.open(first.slot, RW).state(), CKS_RW_PUBLIC_SESSION);
}

/// §5.6.3.
fn close_all_ends_sessions_and_logs_out(w: &World) {
    let first = w.user();
    let second = first.another(RO).unwrap();
    w.module().close_all(first.slot).unwrap();
    refused(first.info(), CKR_SESSION_HANDLE_INVALID);
    refused(second.info(), CKR_SESSION_HANDLE_INVALID);
    assert_eq!(w.open(first.slot, RW).state(), CKS_RW_PUBLIC_SESSION);
    w.module().close_all(first.slot).unwrap();
    w.module().close_all(first.slot).unwrap();
}

/// §5.6.3: "all sessions an application has with a token", and no others.
fn close_all_leaves_other_tokens_alone(w: &World) {
    let s = w.user();
    w.make_token("neighbour");
    let neighbour = w.open(w.module().slot_of("neighbour"), RW);
    neighbour.login(CKU_SO, SO_PIN).unwrap();
    w.module().close_all(s.slot).unwrap();
    assert_eq!(neighbour.state(), CKS_RW_SO_FUNCTIONS);
    // Logins belong to a token too.
    assert_eq!(w.open(s.slot, RW).state(), CKS_RW_PUBLIC_SESSION);
}

/// §5.6.2: "even if the application has other sessions using the objects".
fn session_objects_die_with_their_session(w: &World) {
    let s = w.user();
    let maker = s.another(RW).unwrap();
    let (mortal, key) = (maker.create(&data("mortal")).unwrap(), maker.create(&mac_key()).unwrap());
    let survivor = s.create(&data("survivor")).unwrap();
    let kept = maker.create(&data("kept").with(CKA_TOKEN, true)).unwrap();
    maker.close().unwrap();
    refused(s.get(mortal, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    refused_any(s.sign_init(CKM_SHA256_HMAC, key), NO_KEY);
    assert_eq!(s.get(survivor, CKA_LABEL).unwrap(), b"survivor");
    assert_eq!(s.get(kept, CKA_LABEL).unwrap(), b"kept");
    assert_eq!(s.find(&template![]).unwrap().len(), 2);
}

/// PKCS#11 UG §2.6.6: "visible to all of the application's sessions".
fn session_objects_are_seen_by_the_applications_other_sessions(w: &World) {
    let s = w.user();
    let other = s.another(RO).unwrap();
    let object = s.create(&data("shared")).unwrap();
    assert_eq!(other.find(&template![CKA_LABEL => "shared"]).unwrap(), [object]);
    let key = s.create(&mac_key()).unwrap();
    other.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
}

/// §5.6.3.
fn close_all_destroys_session_objects(w: &World) {
    let s = w.user();
    s.create(&data("mortal")).unwrap();
    s.create(&data("kept").with(CKA_TOKEN, true)).unwrap();
    w.module().close_all(s.slot).unwrap();
    let s = w.user_again();
    let left = s.find(&template![]).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(s.get(left[0], CKA_LABEL).unwrap(), b"kept");
}

/// Programs with a pool open hundreds; there is no limit below that.
fn a_thousand_sessions_can_be_open(w: &World) {
    let slot = w.token();
    let all: Vec<_> = (0..1000).map(|_| w.open(slot, RO)).collect();
    let distinct: HashSet<_> = all.iter().map(|session| session.handle).collect();
    assert_eq!(distinct.len(), 1000);
    all[999].info().unwrap();
}

/// §5.7.1, §5.7.2, §5.18.1: CKR_SESSION_READ_ONLY for token objects.
fn read_only_session_makes_session_objects_alone(w: &World) {
    let s = w.user().another(RO).unwrap();
    let read_only = CKR_SESSION_READ_ONLY;
    refused(s.create(&data("a").with(CKA_TOKEN, true)), read_only);
    refused(s.create(&mac_key().with(CKA_TOKEN, true)), read_only);
    let generated = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated), read_only);
    let object = s.create(&data("a")).unwrap();
    refused(s.copy(object, &template![CKA_TOKEN => true]), read_only);
    s.create(&mac_key()).unwrap();
    s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template![CKA_VALUE_LEN => 32]).unwrap();
    s.set(object, &template![CKA_LABEL => "b"]).unwrap();
    s.destroy(object).unwrap();
}

/// §5.7.3, §5.7.6.
fn read_only_session_changes_no_token_object(w: &World) {
    let s = w.user();
    let object = s.create(&data("kept").with(CKA_TOKEN, true)).unwrap();
    let read = s.another(RO).unwrap();
    refused(read.set(object, &template![CKA_LABEL => "b"]), CKR_SESSION_READ_ONLY);
    refused(read.destroy(object), CKR_SESSION_READ_ONLY);
    assert_eq!(read.get(object, CKA_LABEL).unwrap(), b"kept");
    let copy = read.copy(object, &template![CKA_TOKEN => false]).unwrap();
    read.destroy(copy).unwrap();
}

/// One session, one operation of a kind; two sessions, two.
fn operations_of_two_sessions_do_not_meet(w: &World) {
    let s = w.user();
    let (other, key) = (s.another(RW).unwrap(), s.create(&mac_key()).unwrap());
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    s.sign_update(b"one").unwrap();
    other.sign_init(CKM_SHA256_HMAC, key).unwrap();
    other.sign_update(b"two").unwrap();
    let one = s.sign_final().unwrap();
    let two = other.sign_final().unwrap();
    assert_eq!(one, s.mac(CKM_SHA256_HMAC, key, b"one").unwrap());
    assert_eq!(two, s.mac(CKM_SHA256_HMAC, key, b"two").unwrap());
}

fn cancel(s: &Session<'_>, flags: CK_FLAGS) -> Rv {
    ck3!(s.module, C_SessionCancel(s.handle, flags))
}

/// §5.6.5.
fn cancel_ends_what_the_flags_name(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    cancel(&s, CKF_SIGN).unwrap();
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.verify_init(CKM_SHA256_HMAC, key).unwrap();
    cancel(&s, CKF_VERIFY).unwrap();
    refused(s.verify(b"text", &[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
    s.digest_init(CKM_SHA256).unwrap();
    cancel(&s, CKF_DIGEST).unwrap();
    refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    cancel(&s, CKF_SIGN | CKF_VERIFY | CKF_DIGEST | CKF_ENCRYPT | CKF_DECRYPT).unwrap();
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.6.5: no flags, and flags of operations that are not under way.
fn cancel_of_nothing_is_fine(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    cancel(&s, 0).unwrap();
    cancel(&s, CKF_SIGN).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    cancel(&s, 0).unwrap();
    cancel(&s, CKF_VERIFY | CKF_DIGEST | CKF_ENCRYPT).unwrap();
    s.sign(b"text").unwrap();
    let gone = Session { handle: s.handle + 1000, ..s };
    refused(cancel(&gone, CKF_SIGN), CKR_SESSION_HANDLE_INVALID);
}

/// §5.6.5, part way through.
fn cancel_ends_multi_part_operations(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    s.sign_update(b"forgotten").unwrap();
    cancel(&s, CKF_SIGN).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
}

/// §5.6.5 with CKF_FIND_OBJECTS.
fn cancel_ends_a_search(w: &World) {
    let s = w.user();
    s.find_init(&template![]).unwrap();
    cancel(&s, CKF_FIND_OBJECTS).unwrap();
    refused(s.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    s.find(&template![]).unwrap();
}

/// §5.6.5: "the remaining operation should still be left in an active state".
fn cancel_of_one_half_leaves_the_other(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    cancel(&s, CKF_SIGN).unwrap();
    assert_eq!(s.digest(b"text").unwrap().len(), 32);
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    cancel(&s, CKF_DIGEST).unwrap();
    assert_eq!(s.sign(b"text").unwrap().len(), 32);
}

/// §5.6.6: what a MAC has taken in is key material; a module without the
/// function says so.
fn operation_state_of_a_key_does_not_leave(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    let saved =
        output(4096, |state, length| ck!(s.module, C_GetOperationState(s.handle, state, length)));
    refused_any(saved, &[CKR_STATE_UNSAVEABLE, CKR_FUNCTION_NOT_SUPPORTED]);
}
