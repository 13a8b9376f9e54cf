//! PKCS#11 3.2 §5.13.1, §5.15.1 and §6.22: which key serves which mechanism,
//! and with which parameter.

use crate::api::templates::{mac_key, with_mac_key};
use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

cases! {
    full_hmac_refuses_a_parameter
        softhsm2: departs("got CKR_OK", "SoftHSM2 overlooks it"),
    general_hmac_needs_its_parameter
        softhsm2: departs("CKR_MECHANISM_INVALID", "SoftHSM2 2.6 has no HMAC of general length"),
    general_hmac_refuses_lengths_it_has_not
        softhsm2: departs("CKR_MECHANISM_INVALID", "SoftHSM2 2.6 has no HMAC of general length"),
    mechanism_of_another_kind_is_refused,
    key_handle_that_names_no_key_is_refused
        softhsm2: departs("CKR_OBJECT_HANDLE_INVALID", "SoftHSM2 speaks of an object"),
    data_object_is_no_key
        softhsm2: departs("CKR_KEY_FUNCTION_NOT_PERMITTED", "SoftHSM2 misses CKA_SIGN first"),
    sign_needs_the_sign_flag,
    verify_needs_the_verify_flag,
    typed_key_serves_its_own_hash_alone,
    allowed_mechanisms_are_all_that_is_allowed,
    no_allowed_mechanisms_are_no_limit
        softhsm2: departs("CKR_ATTRIBUTE_VALUE_INVALID", "SoftHSM2 takes no empty list"),
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;

/// §6.22.3: "It has no parameter".
fn full_hmac_refuses_a_parameter(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        for mechanism in [
            Mech::general(hash.hmac, hash.length),
            Mech::with(hash.hmac, [0; 1]),
            Mech::with(hash.hmac, [0; 100]),
        ] {
            refused(s.sign_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
            refused(s.verify_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

/// §6.22.2: a CK_MAC_GENERAL_PARAMS, which is a CK_ULONG.
fn general_hmac_needs_its_parameter(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        for mechanism in [
            Mech::plain(hash.general),
            Mech::with(hash.general, []),
            Mech::with(hash.general, [16]),
            Mech::with(hash.general, [16, 0, 0, 0]),
            Mech::with(hash.general, [16, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            refused(s.sign_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
            refused(s.verify_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        }
        // A length without memory: either code says it.
        let mut lost =
            CK_MECHANISM { mechanism: hash.general, pParameter: null_mut(), ulParameterLen: 8 };
        let begun = ck!(s.module, C_SignInit(s.handle, &mut lost, key));
        refused_any(begun, &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD]);
    }
}

/// §6.22.2: "This length should be in the range 1-n".
fn general_hmac_refuses_lengths_it_has_not(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        for length in [0, hash.length + 1, 1 << 31, usize::MAX] {
            let mechanism = Mech::general(hash.general, length);
            refused(s.sign_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
            refused(s.verify_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

/// CKR_MECHANISM_INVALID.
fn mechanism_of_another_kind_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    for mechanism in [
        CKM_SHA256,
        CKM_GENERIC_SECRET_KEY_GEN,
        CKM_VENDOR_DEFINED,
        CKM_SHA512_T_HMAC,
        CK_MECHANISM_TYPE::MAX,
    ] {
        refused(s.sign_init(mechanism, key), CKR_MECHANISM_INVALID);
        refused(s.verify_init(mechanism, key), CKR_MECHANISM_INVALID);
    }
}

/// CKR_KEY_HANDLE_INVALID.
fn key_handle_that_names_no_key_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    for handle in [CK_INVALID_HANDLE, key + 1000, CK_OBJECT_HANDLE::MAX] {
        refused(s.sign_init(HMAC, handle), CKR_KEY_HANDLE_INVALID);
        refused(s.verify_init(HMAC, handle), CKR_KEY_HANDLE_INVALID);
    }
    s.destroy(key).unwrap();
    refused(s.sign_init(HMAC, key), CKR_KEY_HANDLE_INVALID);
}

/// CKR_KEY_HANDLE_INVALID: the handle is of something else.
fn data_object_is_no_key(w: &World) {
    let s = w.user();
    let data = s.create(&template![CKA_CLASS => CKO_DATA, CKA_VALUE => [7; 64]]).unwrap();
    let codes = [CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT];
    refused_any(s.sign_init(HMAC, data), &codes);
    refused_any(s.verify_init(HMAC, data), &codes);
}

/// §5.13.1: CKR_KEY_FUNCTION_NOT_PERMITTED.
fn sign_needs_the_sign_flag(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key().without(CKA_SIGN).with(CKA_SIGN, false)).unwrap();
    refused(s.sign_init(HMAC, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(s.check(HMAC, key, b"text", &[0; 32]), CKR_SIGNATURE_INVALID);
}

/// §5.15.1.
fn verify_needs_the_verify_flag(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key().without(CKA_VERIFY).with(CKA_VERIFY, false)).unwrap();
    refused(s.verify_init(HMAC, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    s.mac(HMAC, key, b"text").unwrap();
}

/// §6.22.2: "generic secret keys and CKK_<hash>_HMAC keys".
fn typed_key_serves_its_own_hash_alone(w: &World) {
    let s = w.user();
    for own in w.hashes() {
        let typed = mac_key().without(CKA_KEY_TYPE).with(CKA_KEY_TYPE, own.key_type);
        let key = s.create(&typed).unwrap();
        for hash in w.hashes() {
            if hash.key_type == own.key_type {
                s.mac(hash.hmac, key, b"text").unwrap();
            } else {
                refused(s.sign_init(hash.hmac, key), CKR_KEY_TYPE_INCONSISTENT);
                refused(s.verify_init(hash.hmac, key), CKR_KEY_TYPE_INCONSISTENT);
            }
        }
    }
}

/// §4.7 CKA_ALLOWED_MECHANISMS; design §4: "a refusal is CKR_MECHANISM_INVALID".
fn allowed_mechanisms_are_all_that_is_allowed(w: &World) {
    let s = w.user();
    let list = mechanism_list(&[CKM_SHA256_HMAC, CKM_SHA512_HMAC]);
    for token in [true, false] {
        let limited = mac_key().with(CKA_ALLOWED_MECHANISMS, &list).with(CKA_TOKEN, token);
        let key = s.create(&limited).unwrap();
        assert_eq!(s.get(key, CKA_ALLOWED_MECHANISMS).unwrap(), list);
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
        s.mac(CKM_SHA512_HMAC, key, b"text").unwrap();
        refused(s.sign_init(CKM_SHA384_HMAC, key), CKR_MECHANISM_INVALID);
        refused(s.verify_init(CKM_SHA_1_HMAC, key), CKR_MECHANISM_INVALID);
    }
}

/// Design §4: "absent or empty: all".
fn no_allowed_mechanisms_are_no_limit(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key().with(CKA_ALLOWED_MECHANISMS, [])).unwrap();
    for hash in w.hashes() {
        s.mac(hash.hmac, key, b"text").unwrap();
    }
}
