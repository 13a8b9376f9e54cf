//! PKCS#11 3.2 §5.13 and §5.15: MACs made and verified.

use crate::api::templates::{mac_key, with_mac_key};
use crate::common::*;
use cryptoki_sys::*;
use std::fs;
use std::ptr::null_mut;

const NO_GENERAL: Reference =
    departs("CKR_MECHANISM_INVALID", "SoftHSM2 2.6 has no HMAC of general length");
const NULL_IS_BAD: Reference = departs("CKR_ARGUMENTS_BAD", "SoftHSM2 wants a pointer to nothing");

cases! {
    every_hmac_signs_and_verifies,
    more_keys_than_are_kept_open_sign,
    every_hmac_in_parts_is_the_same,
    every_general_hmac_cuts_the_full_one softhsm2: NO_GENERAL,
    every_general_length_is_verified_at_that_length softhsm2: NO_GENERAL,
    empty_message_has_a_mac,
    null_of_no_bytes_is_an_empty_message softhsm2: NULL_IS_BAD,
    length_query_keeps_the_operation,
    too_small_buffer_sets_the_length_and_keeps_the_operation,
    final_length_query_keeps_the_operation,
    final_too_small_buffer_keeps_the_operation,
    signature_ends_the_operation,
    verification_ends_the_operation,
    update_may_come_never_or_often,
    java_signs_by_update_and_final,
    wrong_mac_is_refused,
    mac_of_a_wrong_length_is_refused,
    mac_of_a_wrong_length_is_refused_in_parts,
    null_mac_is_refused,
    second_init_is_refused_and_the_first_goes_on,
    sign_after_update_is_refused
        softhsm2: departs("CKR_OPERATION_NOT_INITIALIZED", "SoftHSM2 denies the operation"),
    verify_after_update_is_refused
        softhsm2: departs("CKR_OPERATION_NOT_INITIALIZED", "SoftHSM2 denies the operation"),
    operation_must_be_begun,
    operation_of_another_kind_does_not_do,
    refused_init_begins_nothing,
    null_length_ends_the_signature
        softhsm2: departs("got CKR_OK", "SoftHSM2 goes on after an error"),
    null_data_ends_the_signature
        softhsm2: departs("got CKR_OK", "SoftHSM2 goes on after an error"),
    null_data_ends_the_verification
        softhsm2: departs("got CKR_OK", "SoftHSM2 goes on after an error"),
    null_mechanism_cancels
        softhsm2: departs("CKR_ARGUMENTS_BAD", "cancelling by …Init came with PKCS#11 3.0"),
    digest_goes_beside_a_signature
        softhsm2: departs("CKR_OPERATION_ACTIVE", "SoftHSM2 does one operation in a session"),
    large_message_in_one_part,
    message_in_uneven_parts,
    hundred_mebibytes_in_parts_take_constant_memory,
    many_operations_leak_nothing,
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;

/// §6.22.3.
fn every_hmac_signs_and_verifies(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, b"message").unwrap();
        assert_eq!(mac.len(), hash.length, "{}", hash.name);
        s.check(hash.hmac, key, b"message", &mac).unwrap();
        refused(s.check(hash.hmac, key, b"massage", &mac), CKR_SIGNATURE_INVALID);
    }
}

/// §5.13.2: C_Sign is C_SignUpdate and C_SignFinal; so with C_Verify.
fn every_hmac_in_parts_is_the_same(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, b"message").unwrap();
        s.sign_init(hash.hmac, key).unwrap();
        for part in [&b"me"[..], b"", b"ssag", b"e"] {
            s.sign_update(part).unwrap();
        }
        assert_eq!(s.sign_final().unwrap(), mac, "{}", hash.name);
        s.verify_init(hash.hmac, key).unwrap();
        for part in [&b"mes"[..], b"sage"] {
            s.verify_update(part).unwrap();
        }
        s.verify_final(&mac).unwrap();
    }
}

/// §6.22.2: "taken from the start".
fn every_general_hmac_cuts_the_full_one(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let full = s.mac(hash.hmac, key, b"message").unwrap();
        for length in 1..=hash.length {
            let mechanism = Mech::general(hash.general, length);
            let mac = s.mac(&mechanism, key, b"message").unwrap();
            assert_eq!(mac, full[..length], "{} to {length}", hash.name);
        }
    }
}

fn every_general_length_is_verified_at_that_length(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let full = s.mac(hash.hmac, key, b"message").unwrap();
        for length in 1..=hash.length {
            let mechanism = Mech::general(hash.general, length);
            s.check(&mechanism, key, b"message", &full[..length]).unwrap();
            let mut wrong = full[..length].to_vec();
            wrong[length - 1] ^= 1;
            let checked = s.check(&mechanism, key, b"message", &wrong);
            refused(checked, CKR_SIGNATURE_INVALID);
            let checked = s.check(&mechanism, key, b"message", &full[..length - 1]);
            refused(checked, CKR_SIGNATURE_LEN_RANGE);
            if length < hash.length {
                let checked = s.check(&mechanism, key, b"message", &full);
                refused(checked, CKR_SIGNATURE_LEN_RANGE);
            }
        }
    }
}

/// Design §4: "Empty messages are valid".
fn empty_message_has_a_mac(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, b"").unwrap();
        s.check(hash.hmac, key, b"", &mac).unwrap();
        s.sign_init(hash.hmac, key).unwrap();
        s.sign_update(b"").unwrap();
        assert_eq!(s.sign_final().unwrap(), mac, "{}", hash.name);
    }
}

/// A stated departure (design §3): "(NULL, 0) is an empty input".
fn null_of_no_bytes_is_an_empty_message(w: &World) {
    let (s, key) = with_mac_key(w);
    let mut mac = s.mac(HMAC, key, b"").unwrap();
    s.sign_init(HMAC, key).unwrap();
    let signed =
        output(32, |buffer, length| ck!(s.module, C_Sign(s.handle, null_mut(), 0, buffer, length)));
    assert_eq!(signed.unwrap(), mac);
    s.sign_init(HMAC, key).unwrap();
    ck!(s.module, C_SignUpdate(s.handle, null_mut(), 0)).unwrap();
    assert_eq!(s.sign_final().unwrap(), mac);
    s.verify_init(HMAC, key).unwrap();
    ck!(s.module, C_Verify(s.handle, null_mut(), 0, mac.as_mut_ptr(), 32)).unwrap();
    s.verify_init(HMAC, key).unwrap();
    ck!(s.module, C_VerifyUpdate(s.handle, null_mut(), 0)).unwrap();
    s.verify_final(&mac).unwrap();
}

/// `C_Sign` with this buffer and length.
fn sign_into(s: &Session<'_>, buffer: *mut u8, length: &mut CK_ULONG) -> Rv {
    ck!(s.module, C_Sign(s.handle, b"text".as_ptr().cast_mut(), 4, buffer, length))
}

/// §5.2.
fn length_query_keeps_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    let expected = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    for _ in 0..3 {
        let mut length = 0;
        sign_into(&s, null_mut(), &mut length).unwrap();
        assert_eq!(length, 32);
    }
    assert_eq!(s.sign(b"text").unwrap(), expected);
}

/// §5.2.
fn too_small_buffer_sets_the_length_and_keeps_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    let expected = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    for room in [0, 1, 31] {
        let (mut buffer, mut length) = ([0xEE; 64], room);
        refused(sign_into(&s, buffer.as_mut_ptr(), &mut length), CKR_BUFFER_TOO_SMALL);
        assert_eq!(length, 32);
        assert_eq!(buffer, [0xEE; 64], "written although too small");
    }
    let (mut buffer, mut length) = ([0xEE; 33], 33);
    sign_into(&s, buffer.as_mut_ptr(), &mut length).unwrap();
    assert_eq!(length, 32);
    assert_eq!(buffer[..32], expected);
    assert_eq!(buffer[32], 0xEE);
}

/// §5.13.4 with §5.2.
fn final_length_query_keeps_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    let expected = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    let mut length = 0;
    ck!(s.module, C_SignFinal(s.handle, null_mut(), &mut length)).unwrap();
    assert_eq!(length, 32);
    assert_eq!(s.sign_final().unwrap(), expected);
}

/// §5.13.4 with §5.2.
fn final_too_small_buffer_keeps_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    let expected = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    let (mut buffer, mut length) = ([0; 64], 31);
    let answer = ck!(s.module, C_SignFinal(s.handle, buffer.as_mut_ptr(), &mut length));
    refused(answer, CKR_BUFFER_TOO_SMALL);
    assert_eq!(length, 32);
    assert_eq!(s.sign_final().unwrap(), expected);
}

/// §5.13.2, §5.13.4.
fn signature_ends_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    s.mac(HMAC, key, b"text").unwrap();
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    s.sign_final().unwrap();
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.sign_update(b"text"), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.15.2: whatever it returns.
fn verification_ends_the_operation(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    for (mac, answer) in [
        (&mac[..], Ok(())),
        (&[0; 32], Err(Ckr(CKR_SIGNATURE_INVALID))),
        (&mac[..31], Err(Ckr(CKR_SIGNATURE_LEN_RANGE))),
    ] {
        s.verify_init(HMAC, key).unwrap();
        assert_eq!(s.verify(b"text", mac), answer);
        refused(s.verify(b"text", mac), CKR_OPERATION_NOT_INITIALIZED);
        s.verify_init(HMAC, key).unwrap();
        s.verify_update(b"text").unwrap();
        assert_eq!(s.verify_final(mac), answer);
        refused(s.verify_final(mac), CKR_OPERATION_NOT_INITIALIZED);
    }
}

/// §5.13.3: "any number of times".
fn update_may_come_never_or_often(w: &World) {
    let (s, key) = with_mac_key(w);
    let empty = s.mac(HMAC, key, b"").unwrap();
    s.sign_init(HMAC, key).unwrap();
    assert_eq!(s.sign_final().unwrap(), empty);
    s.verify_init(HMAC, key).unwrap();
    s.verify_final(&empty).unwrap();
    let long = s.mac(HMAC, key, &[b'a'; 1000]).unwrap();
    s.sign_init(HMAC, key).unwrap();
    for _ in 0..1000 {
        s.sign_update(b"a").unwrap();
    }
    assert_eq!(s.sign_final().unwrap(), long);
}

/// SunPKCS11: class, type and value alone; a length query never comes, the
/// buffer has the MAC's length.
fn java_signs_by_update_and_final(w: &World) {
    let s = w.user();
    let key = mac_key().without(CKA_SIGN).without(CKA_VERIFY);
    let key = s.create(&key).unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    let (mut mac, mut length) = ([0; 32], 32);
    ck!(s.module, C_SignFinal(s.handle, mac.as_mut_ptr(), &mut length)).unwrap();
    assert_eq!(length, 32);
    assert_eq!(s.mac(HMAC, key, b"text").unwrap(), mac);
}

/// §5.15.2: CKR_SIGNATURE_INVALID, for each bit.
fn wrong_mac_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    for bit in 0..256 {
        let mut wrong = mac.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        refused(s.check(HMAC, key, b"text", &wrong), CKR_SIGNATURE_INVALID);
    }
    let other = s.create(&mac_key().without(CKA_VALUE).with(CKA_VALUE, [8; 64])).unwrap();
    refused(s.check(HMAC, other, b"text", &mac), CKR_SIGNATURE_INVALID);
}

/// §5.15.2: CKR_SIGNATURE_LEN_RANGE.
fn mac_of_a_wrong_length_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    for hash in w.hashes() {
        let mut mac = s.mac(hash.hmac, key, b"text").unwrap();
        for length in [0, 1, hash.length - 1] {
            let checked = s.check(hash.hmac, key, b"text", &mac[..length]);
            refused(checked, CKR_SIGNATURE_LEN_RANGE);
        }
        mac.push(0);
        refused(s.check(hash.hmac, key, b"text", &mac), CKR_SIGNATURE_LEN_RANGE);
    }
}

/// §5.15.4.
fn mac_of_a_wrong_length_is_refused_in_parts(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    for length in [0, 16, 31] {
        s.verify_init(HMAC, key).unwrap();
        s.verify_update(b"text").unwrap();
        refused(s.verify_final(&mac[..length]), CKR_SIGNATURE_LEN_RANGE);
    }
}

/// A NULL with a length is CKR_ARGUMENTS_BAD.
fn null_mac_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    let text = b"text".as_ptr().cast_mut();
    s.verify_init(HMAC, key).unwrap();
    let checked = ck!(s.module, C_Verify(s.handle, text, 4, null_mut(), 32));
    refused(checked, CKR_ARGUMENTS_BAD);
    let again = s.another(RW).unwrap();
    again.verify_init(HMAC, key).unwrap();
    again.verify_update(b"text").unwrap();
    let checked = ck!(s.module, C_VerifyFinal(again.handle, null_mut(), 32));
    refused(checked, CKR_ARGUMENTS_BAD);
}

/// CKR_OPERATION_ACTIVE.
fn second_init_is_refused_and_the_first_goes_on(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"te").unwrap();
    refused(s.sign_init(HMAC, key), CKR_OPERATION_ACTIVE);
    refused(s.sign_init(CKM_SHA512_HMAC, key), CKR_OPERATION_ACTIVE);
    s.sign_update(b"xt").unwrap();
    assert_eq!(s.sign_final().unwrap(), mac);
    s.verify_init(HMAC, key).unwrap();
    s.verify_update(b"te").unwrap();
    refused(s.verify_init(HMAC, key), CKR_OPERATION_ACTIVE);
    s.verify_update(b"xt").unwrap();
    s.verify_final(&mac).unwrap();
}

/// §5.13.2: "MUST be called after C_SignInit without intervening C_SignUpdate
/// calls"; an error of C_Sign ends the operation.
fn sign_after_update_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"te").unwrap();
    refused(s.sign(b"xt"), CKR_OPERATION_ACTIVE);
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
    s.mac(HMAC, key, b"text").unwrap();
}

/// §5.15.2, the same.
fn verify_after_update_is_refused(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    s.verify_init(HMAC, key).unwrap();
    s.verify_update(b"te").unwrap();
    refused(s.verify(b"xt", &mac), CKR_OPERATION_ACTIVE);
    refused(s.verify_final(&mac), CKR_OPERATION_NOT_INITIALIZED);
    s.check(HMAC, key, b"text", &mac).unwrap();
}

/// CKR_OPERATION_NOT_INITIALIZED.
fn operation_must_be_begun(w: &World) {
    let s = w.user();
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.sign_update(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify(b"text", &[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_update(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify_final(&[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
}

fn operation_of_another_kind_does_not_do(w: &World) {
    let (s, key) = with_mac_key(w);
    s.sign_init(HMAC, key).unwrap();
    refused(s.verify(b"text", &[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    s.sign(b"text").unwrap();
    s.verify_init(HMAC, key).unwrap();
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.verify(b"text", &[0; 32]), CKR_SIGNATURE_INVALID);
}

fn refused_init_begins_nothing(w: &World) {
    let (s, key) = with_mac_key(w);
    refused_somehow(s.sign_init(CKM_VENDOR_DEFINED, key));
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused_somehow(s.verify_init(HMAC, key + 1000));
    refused(s.verify(b"text", &[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
    s.mac(HMAC, key, b"text").unwrap();
}

/// §5.13.2: "always terminates … unless": an error is none of the exceptions.
fn null_length_ends_the_signature(w: &World) {
    let (s, key) = with_mac_key(w);
    let mut buffer = [0; 32];
    let text = b"text".as_ptr().cast_mut();
    s.sign_init(HMAC, key).unwrap();
    let signed = ck!(s.module, C_Sign(s.handle, text, 4, buffer.as_mut_ptr(), null_mut()));
    refused(signed, CKR_ARGUMENTS_BAD);
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"text").unwrap();
    let signed = ck!(s.module, C_SignFinal(s.handle, buffer.as_mut_ptr(), null_mut()));
    refused(signed, CKR_ARGUMENTS_BAD);
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.13.2, §5.13.3.
fn null_data_ends_the_signature(w: &World) {
    let (s, key) = with_mac_key(w);
    let (mut buffer, mut length) = ([0; 32], 32);
    s.sign_init(HMAC, key).unwrap();
    let signed = ck!(s.module, C_Sign(s.handle, null_mut(), 4, buffer.as_mut_ptr(), &mut length));
    refused(signed, CKR_ARGUMENTS_BAD);
    refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.sign_init(HMAC, key).unwrap();
    refused(ck!(s.module, C_SignUpdate(s.handle, null_mut(), 4)), CKR_ARGUMENTS_BAD);
    refused(s.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.15.2, §5.15.3.
fn null_data_ends_the_verification(w: &World) {
    let (s, key) = with_mac_key(w);
    let mut mac = s.mac(HMAC, key, b"text").unwrap();
    s.verify_init(HMAC, key).unwrap();
    let checked = ck!(s.module, C_Verify(s.handle, null_mut(), 4, mac.as_mut_ptr(), 32));
    refused(checked, CKR_ARGUMENTS_BAD);
    refused(s.verify(b"text", &mac), CKR_OPERATION_NOT_INITIALIZED);
    s.verify_init(HMAC, key).unwrap();
    refused(ck!(s.module, C_VerifyUpdate(s.handle, null_mut(), 4)), CKR_ARGUMENTS_BAD);
    refused(s.verify_final(&mac), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.13.1, §5.15.1: "with pMechanism set to NULL_PTR to terminate".
fn null_mechanism_cancels(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    for part in [None, Some(b"forgotten")] {
        s.sign_init(HMAC, key).unwrap();
        if let Some(part) = part {
            s.sign_update(part).unwrap();
        }
        ck!(s.module, C_SignInit(s.handle, null_mut(), CK_INVALID_HANDLE)).unwrap();
        refused(s.sign(b"text"), CKR_OPERATION_NOT_INITIALIZED);
        s.verify_init(HMAC, key).unwrap();
        if let Some(part) = part {
            s.verify_update(part).unwrap();
        }
        ck!(s.module, C_VerifyInit(s.handle, null_mut(), key)).unwrap();
        refused(s.verify(b"text", &mac), CKR_OPERATION_NOT_INITIALIZED);
        s.digest_init(CKM_SHA256).unwrap();
        if let Some(part) = part {
            s.digest_update(part).unwrap();
        }
        ck!(s.module, C_DigestInit(s.handle, null_mut())).unwrap();
        refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    }
    assert_eq!(s.mac(HMAC, key, b"text").unwrap(), mac);
    // With nothing to cancel no clause says more than that nothing is cancelled.
    let _ = ck!(s.module, C_SignInit(s.handle, null_mut(), key));
    assert_eq!(s.mac(HMAC, key, b"text").unwrap(), mac);
}

/// §5.14: digest and sign go together, for the dual functions and for TLS stacks.
fn digest_goes_beside_a_signature(w: &World) {
    let (s, key) = with_mac_key(w);
    let mac = s.mac(HMAC, key, b"text").unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    let digest = s.digest(b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    for part in [b"te", b"xt"] {
        s.sign_update(part).unwrap();
        s.digest_update(part).unwrap();
    }
    assert_eq!(s.sign_final().unwrap(), mac);
    assert_eq!(s.digest_final().unwrap(), digest);
    s.digest_init(CKM_SHA256).unwrap();
    assert_eq!(s.mac(HMAC, key, b"text").unwrap(), mac);
    s.verify_init(HMAC, key).unwrap();
    assert_eq!(s.digest(b"text").unwrap(), digest);
    s.verify(b"text", &mac).unwrap();
}

fn large_message_in_one_part(w: &World) {
    let (s, key) = with_mac_key(w);
    let message = vec![0xA5; 20 << 20];
    let mac = s.mac(HMAC, key, &message).unwrap();
    s.sign_init(HMAC, key).unwrap();
    for part in message.chunks(1 << 20) {
        s.sign_update(part).unwrap();
    }
    assert_eq!(s.sign_final().unwrap(), mac);
}

/// Every boundary of the block may lie anywhere in a part.
fn message_in_uneven_parts(w: &World) {
    let (s, key) = with_mac_key(w);
    let message: Vec<u8> = (0..1000_u32).map(|byte| (byte % 253) as u8).collect();
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, &message).unwrap();
        for step in [1, 7, 63, 64, 65, 127, 128, 129, 143, 144, 145, 500, 999] {
            s.sign_init(hash.hmac, key).unwrap();
            for part in message.chunks(step) {
                s.sign_update(part).unwrap();
            }
            assert_eq!(s.sign_final().unwrap(), mac, "{} by {step}", hash.name);
        }
    }
}

/// `cache.objects`: what was let go is opened again, and an operation under way has
/// all it needs.
fn more_keys_than_are_kept_open_sign(w: &World) {
    // SAFETY: this process has one thread so far.
    unsafe { std::env::set_var("SIGNET_CACHE_OBJECTS", "2") };
    let s = w.user();
    let key = |byte: u8| {
        let value = template![CKA_VALUE => [byte; 32], CKA_TOKEN => true, CKA_SIGN => true];
        s.create(
            &template![
                CKA_CLASS => CKO_SECRET_KEY,
                CKA_KEY_TYPE => CKK_GENERIC_SECRET,
            ]
            .and(&value),
        )
        .unwrap()
    };
    let keys: Vec<_> = (0..20).map(key).collect();
    let mac = |key| s.mac(HMAC, key, b"text").unwrap();
    let macs: Vec<_> = keys.iter().map(|key| mac(*key)).collect();
    let other = s.another(RO).unwrap();
    other.sign_init(HMAC, keys[0]).unwrap();
    other.sign_update(b"te").unwrap();
    assert!(keys.iter().map(|key| mac(*key)).eq(macs.iter().cloned()));
    other.sign_update(b"xt").unwrap();
    assert_eq!(other.sign_final().unwrap(), macs[0]);
    let distinct: std::collections::HashSet<_> = macs.into_iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

/// The most memory that this process ever held, in KiB.
fn peak_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The issue: "a C_Sign of a 100 MiB stream in parts uses constant memory".
fn hundred_mebibytes_in_parts_take_constant_memory(w: &World) {
    let (s, key) = with_mac_key(w);
    let part = vec![0x3C; 1 << 20];
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(&part).unwrap();
    let before = peak_kib();
    for _ in 1..100 {
        s.sign_update(&part).unwrap();
    }
    let mac = s.sign_final().unwrap();
    s.verify_init(HMAC, key).unwrap();
    for _ in 0..100 {
        s.verify_update(&part).unwrap();
    }
    s.verify_final(&mac).unwrap();
    let growth = peak_kib() - before;
    assert!(growth < 8 << 10, "grew by {growth} KiB");
}

/// What an operation takes it gives back.
fn many_operations_leak_nothing(w: &World) {
    let (s, key) = with_mac_key(w);
    let round = || {
        for _ in 0..2000 {
            let mac = s.mac(HMAC, key, b"text").unwrap();
            s.check(HMAC, key, b"text", &mac).unwrap();
            let session = s.another(RW).unwrap();
            session.sign_init(HMAC, key).unwrap();
            session.close().unwrap();
            refused_somehow(s.sign_init(HMAC, CK_INVALID_HANDLE));
        }
    };
    round();
    let before = peak_kib();
    for _ in 0..4 {
        round();
    }
    let growth = peak_kib() - before;
    assert!(growth < 4 << 10, "grew by {growth} KiB");
}
