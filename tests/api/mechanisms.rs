//! PKCS#11 3.2 §5.5.5, §5.5.6: which mechanisms there are, and what is said of them.

use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

const FEWER: &str = "SoftHSM2 2.6 has SHA-1 and SHA-2 HMACs of full length alone";

cases! {
    mechanism_list_counts_and_fills,
    mechanism_list_says_when_the_buffer_is_too_small,
    mechanism_list_names_each_once,
    every_mechanism_of_every_hash_is_listed softhsm2: departs("CKM of SHA-1", FEWER),
    every_listed_mechanism_has_information,
    digests_are_digests,
    hmacs_sign_and_verify_keys_of_any_length
        softhsm2: departs("from 1 byte", "SoftHSM2 asks for keys as long as the digest"),
    general_hmacs_are_as_their_full_length_ones
        softhsm2: departs("CKR_MECHANISM_INVALID", FEWER),
    generic_secrets_are_generated_in_bits
        softhsm2: departs("in bits", "SoftHSM2 states 1 to 2^31 - 1"),
    typed_keys_are_generated_in_bytes softhsm2: departs("CKR_MECHANISM_INVALID", FEWER),
    unknown_mechanism_has_no_information,
}

/// §5.5.5.
fn mechanism_list_counts_and_fills(w: &World) {
    let slot = w.token();
    let (mut count, mut list) = (0, [0; 512]);
    ck!(w.module(), C_GetMechanismList(slot, null_mut(), &mut count)).unwrap();
    let mut room = list.len() as CK_ULONG;
    ck!(w.module(), C_GetMechanismList(slot, list.as_mut_ptr(), &mut room)).unwrap();
    assert_eq!(room, count);
    assert!(list[..count as usize].contains(&CKM_SHA256_HMAC));
}

/// §5.5.5.
fn mechanism_list_says_when_the_buffer_is_too_small(w: &World) {
    let slot = w.token();
    let count = w.module().mechanisms(slot).unwrap().len() as CK_ULONG;
    let (mut list, mut room) = ([CK_MECHANISM_TYPE::MAX; 512], count - 1);
    let answer = ck!(w.module(), C_GetMechanismList(slot, list.as_mut_ptr(), &mut room));
    refused(answer, CKR_BUFFER_TOO_SMALL);
    assert_eq!(room, count);
    assert_eq!(list[count as usize - 1], CK_MECHANISM_TYPE::MAX);
}

fn mechanism_list_names_each_once(w: &World) {
    let mut list = w.module().mechanisms(w.token()).unwrap();
    let count = list.len();
    list.sort_unstable();
    list.dedup();
    assert_eq!(list.len(), count);
}

/// Design §4, "HMAC rules": four mechanisms of each hash, and the generic one.
fn every_mechanism_of_every_hash_is_listed(w: &World) {
    let list = w.module().mechanisms(w.token()).unwrap();
    for hash in HASHES {
        for mechanism in [hash.digest, hash.hmac, hash.general, hash.key_gen] {
            assert!(list.contains(&mechanism), "CKM of {}: {mechanism:#x}", hash.name);
        }
    }
    assert!(list.contains(&CKM_GENERIC_SECRET_KEY_GEN));
    assert_eq!(list.len(), 4 * HASHES.len() + 1);
}

/// §5.5.6.
fn every_listed_mechanism_has_information(w: &World) {
    let slot = w.token();
    for mechanism in w.module().mechanisms(slot).unwrap() {
        let info = w.module().mechanism_info(slot, mechanism).unwrap();
        assert!(info.ulMinKeySize <= info.ulMaxKeySize, "{mechanism:#x}");
        assert_eq!(info.flags & CKF_HW, 0, "{mechanism:#x} is done in software");
    }
}

/// §3.5 CK_MECHANISM_INFO.
fn digests_are_digests(w: &World) {
    let slot = w.token();
    for hash in w.hashes() {
        let info = w.module().mechanism_info(slot, hash.digest).unwrap();
        assert_eq!(info.flags, CKF_DIGEST, "{}", hash.name);
    }
}

/// §6.22.3; design §4: any length from 1 byte.
fn hmacs_sign_and_verify_keys_of_any_length(w: &World) {
    let slot = w.token();
    for hash in w.hashes() {
        let info = w.module().mechanism_info(slot, hash.hmac).unwrap();
        assert_eq!(info.flags, CKF_SIGN | CKF_VERIFY, "{}", hash.name);
        assert_eq!(info.ulMinKeySize, 1, "from 1 byte");
        assert!(info.ulMaxKeySize >= 512);
    }
}

/// §6.22.2.
fn general_hmacs_are_as_their_full_length_ones(w: &World) {
    let slot = w.token();
    for hash in w.hashes() {
        let full = w.module().mechanism_info(slot, hash.hmac).unwrap();
        let general = w.module().mechanism_info(slot, hash.general).unwrap();
        assert_eq!(general.flags, full.flags);
        assert_eq!(general.ulMinKeySize, full.ulMinKeySize);
        assert_eq!(general.ulMaxKeySize, full.ulMaxKeySize);
    }
}

/// §6.9.3: "in bits"; design §4: 14 to 512 bytes.
fn generic_secrets_are_generated_in_bits(w: &World) {
    let info = w.module().mechanism_info(w.token(), CKM_GENERIC_SECRET_KEY_GEN).unwrap();
    assert_eq!(info.flags, CKF_GENERATE);
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (14 * 8, 512 * 8), "in bits");
}

/// §6.22.4: "in bytes".
fn typed_keys_are_generated_in_bytes(w: &World) {
    let slot = w.token();
    for hash in w.hashes() {
        let info = w.module().mechanism_info(slot, hash.key_gen).unwrap();
        assert_eq!(info.flags, CKF_GENERATE);
        assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (14, 512), "{}", hash.name);
    }
}

/// §5.5.6: CKR_MECHANISM_INVALID.
fn unknown_mechanism_has_no_information(w: &World) {
    let slot = w.token();
    for mechanism in [CKM_VENDOR_DEFINED, CK_MECHANISM_TYPE::MAX, CKM_SHA512_T_HMAC] {
        refused(w.module().mechanism_info(slot, mechanism), CKR_MECHANISM_INVALID);
    }
}
