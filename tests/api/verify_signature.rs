//! PKCS#11 3.2 §5.15.7 to §5.15.10: verification with the signature first.

use crate::api::templates::mac_key;
use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

const THREE_TWO: Reference =
    departs("exports no C_GetInterface", "C_VerifySignatureInit came with PKCS#11 3.2");

cases! {
    every_hmac_is_verified softhsm2: THREE_TWO,
    every_hmac_is_verified_in_parts softhsm2: THREE_TWO,
    general_hmacs_are_verified softhsm2: departs("CKR_MECHANISM_INVALID", "not in SoftHSM2 2.6"),
    wrong_mac_is_refused softhsm2: THREE_TWO,
    mac_of_a_wrong_length_is_refused softhsm2: THREE_TWO,
    callers_mac_is_not_needed_any_more softhsm2: THREE_TWO,
    verification_ends_the_operation softhsm2: THREE_TWO,
    second_init_is_refused softhsm2: THREE_TWO,
    operation_must_be_begun softhsm2: THREE_TWO,
    verification_of_the_other_kind_does_not_do softhsm2: THREE_TWO,
    single_part_after_update_is_refused softhsm2: THREE_TWO,
    verify_flag_is_needed softhsm2: THREE_TWO,
    typed_key_serves_its_own_hash_alone softhsm2: THREE_TWO,
    null_mechanism_cancels softhsm2: THREE_TWO,
    null_is_refused softhsm2: THREE_TWO,
    null_of_no_bytes_is_an_empty_message softhsm2: THREE_TWO,
    cancel_ends_it softhsm2: THREE_TWO,
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;

/// A session, a key and the key's MAC of "text".
fn with_mac(w: &World) -> (Session<'_>, CK_OBJECT_HANDLE, Vec<u8>) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    let mac = s.mac(HMAC, key, b"text").unwrap();
    (s, key, mac)
}

/// §5.15.7: "Any mechanism that supports C_VerifyInit".
fn every_hmac_is_verified(w: &World) {
    let (s, key, _) = with_mac(w);
    for hash in w.hashes() {
        for message in [&b"text"[..], b""] {
            let mac = s.mac(hash.hmac, key, message).unwrap();
            s.verify_signature_init(hash.hmac, key, &mac).unwrap();
            s.verify_signature(message).unwrap();
        }
    }
}

/// §5.15.9, §5.15.10.
fn every_hmac_is_verified_in_parts(w: &World) {
    let (s, key, _) = with_mac(w);
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, b"text").unwrap();
        s.verify_signature_init(hash.hmac, key, &mac).unwrap();
        for part in [&b"t"[..], b"", b"ext"] {
            s.verify_signature_update(part).unwrap();
        }
        s.verify_signature_final().unwrap();
        let mac = s.mac(hash.hmac, key, b"").unwrap();
        s.verify_signature_init(hash.hmac, key, &mac).unwrap();
        s.verify_signature_final().unwrap();
    }
}

fn general_hmacs_are_verified(w: &World) {
    let (s, key, _) = with_mac(w);
    for hash in w.hashes() {
        for length in [1, 16, hash.length] {
            let mechanism = Mech::general(hash.general, length);
            let mac = s.mac(&mechanism, key, b"text").unwrap();
            s.verify_signature_init(&mechanism, key, &mac).unwrap();
            s.verify_signature(b"text").unwrap();
        }
    }
}

/// §5.15.8: CKR_SIGNATURE_INVALID.
fn wrong_mac_is_refused(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    refused(s.verify_signature(b"taxt"), CKR_SIGNATURE_INVALID);
    let mut wrong = mac;
    wrong[31] ^= 0x80;
    s.verify_signature_init(HMAC, key, &wrong).unwrap();
    refused(s.verify_signature(b"text"), CKR_SIGNATURE_INVALID);
    s.verify_signature_init(HMAC, key, &wrong).unwrap();
    s.verify_signature_update(b"text").unwrap();
    refused(s.verify_signature_final(), CKR_SIGNATURE_INVALID);
}

/// §5.15.7: CKR_SIGNATURE_LEN_RANGE at once and nothing begun, or at the end.
fn mac_of_a_wrong_length_is_refused(w: &World) {
    let (s, key, mut mac) = with_mac(w);
    mac.push(0);
    for length in [0, 1, 31, 33] {
        match s.verify_signature_init(HMAC, key, &mac[..length]) {
            Ok(()) => refused(s.verify_signature(b"text"), CKR_SIGNATURE_LEN_RANGE),
            Err(refusal) => {
                refused::<()>(Err(refusal), CKR_SIGNATURE_LEN_RANGE);
                refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
            }
        }
    }
}

/// Nothing says that the caller keeps the memory.
fn callers_mac_is_not_needed_any_more(w: &World) {
    let (s, key, mut mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    mac.fill(0);
    drop(mac);
    s.verify_signature(b"text").unwrap();
}

/// §5.15.8, §5.15.10: "always terminates".
fn verification_ends_the_operation(w: &World) {
    let (s, key, mac) = with_mac(w);
    for message in [b"text", b"taxt"] {
        s.verify_signature_init(HMAC, key, &mac).unwrap();
        let _ = s.verify_signature(message);
        refused(s.verify_signature(message), CKR_OPERATION_NOT_INITIALIZED);
        s.verify_signature_init(HMAC, key, &mac).unwrap();
        s.verify_signature_update(message).unwrap();
        let _ = s.verify_signature_final();
        refused(s.verify_signature_final(), CKR_OPERATION_NOT_INITIALIZED);
    }
}

/// CKR_OPERATION_ACTIVE.
fn second_init_is_refused(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    refused(s.verify_signature_init(HMAC, key, &[0; 32]), CKR_OPERATION_ACTIVE);
    s.verify_signature(b"text").unwrap();
}

/// CKR_OPERATION_NOT_INITIALIZED.
fn operation_must_be_begun(w: &World) {
    let s = w.user();
    refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_signature_update(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_signature_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// "MUST have been initialized with C_VerifySignatureInit", and the other way round.
fn verification_of_the_other_kind_does_not_do(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_init(HMAC, key).unwrap();
    refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_signature_final(), CKR_OPERATION_NOT_INITIALIZED);
    s.verify(b"text", &mac).unwrap();
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    refused(s.verify(b"text", &mac), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_final(&mac), CKR_OPERATION_NOT_INITIALIZED);
    s.verify_signature(b"text").unwrap();
}

/// §5.15.8: "without intervening C_VerifySignatureUpdate calls".
fn single_part_after_update_is_refused(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    s.verify_signature_update(b"te").unwrap();
    refused(s.verify_signature(b"xt"), CKR_OPERATION_ACTIVE);
    refused(s.verify_signature_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.15.7: CKR_KEY_FUNCTION_NOT_PERMITTED.
fn verify_flag_is_needed(w: &World) {
    let s = w.user();
    s.module.v3();
    let key = s.create(&mac_key().without(CKA_VERIFY).with(CKA_VERIFY, false)).unwrap();
    let begun = s.verify_signature_init(HMAC, key, &[0; 32]);
    refused(begun, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

fn typed_key_serves_its_own_hash_alone(w: &World) {
    let s = w.user();
    let typed = mac_key().without(CKA_KEY_TYPE).with(CKA_KEY_TYPE, CKK_SHA512_HMAC);
    let key = s.create(&typed).unwrap();
    let begun = s.verify_signature_init(HMAC, key, &[0; 32]);
    refused(begun, CKR_KEY_TYPE_INCONSISTENT);
    let mac = s.mac(CKM_SHA512_HMAC, key, b"text").unwrap();
    s.verify_signature_init(CKM_SHA512_HMAC, key, &mac).unwrap();
    s.verify_signature(b"text").unwrap();
}

/// §5.15.7: "with pMechanism set to NULL_PTR to terminate".
fn null_mechanism_cancels(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    let cancelled = ck3!(s.module, C_VerifySignatureInit(s.handle, null_mut(), key, null_mut(), 0));
    cancelled.unwrap();
    refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    s.verify_signature(b"text").unwrap();
}

/// CKR_ARGUMENTS_BAD; an error ends the operation.
fn null_is_refused(w: &World) {
    let (s, key, mac) = with_mac(w);
    let mut mechanism = Mech::plain(HMAC).raw();
    let begun =
        ck3!(s.module, C_VerifySignatureInit(s.handle, &mut mechanism, key, null_mut(), 32));
    refused(begun, CKR_ARGUMENTS_BAD);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    refused(ck3!(s.module, C_VerifySignature(s.handle, null_mut(), 4)), CKR_ARGUMENTS_BAD);
    refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    let updated = ck3!(s.module, C_VerifySignatureUpdate(s.handle, null_mut(), 4));
    refused(updated, CKR_ARGUMENTS_BAD);
    refused(s.verify_signature_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// A stated departure (design §3).
fn null_of_no_bytes_is_an_empty_message(w: &World) {
    let (s, key, _) = with_mac(w);
    let mac = s.mac(HMAC, key, b"").unwrap();
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    ck3!(s.module, C_VerifySignature(s.handle, null_mut(), 0)).unwrap();
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    ck3!(s.module, C_VerifySignatureUpdate(s.handle, null_mut(), 0)).unwrap();
    s.verify_signature_final().unwrap();
}

/// §5.6.5 with CKF_VERIFY.
fn cancel_ends_it(w: &World) {
    let (s, key, mac) = with_mac(w);
    s.verify_signature_init(HMAC, key, &mac).unwrap();
    ck3!(s.module, C_SessionCancel(s.handle, CKF_VERIFY)).unwrap();
    refused(s.verify_signature(b"text"), CKR_OPERATION_NOT_INITIALIZED);
}
