//! PKCS#11 3.2 §5.12: digests. Known answers stand in the harness `vectors`.

use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

cases! {
    every_hash_digests,
    every_hash_in_parts_is_the_same,
    digests_need_no_login,
    empty_message_has_a_digest,
    null_of_no_bytes_is_an_empty_message
        softhsm2: departs("CKR_ARGUMENTS_BAD", "SoftHSM2 wants a pointer to nothing"),
    length_query_keeps_the_operation,
    too_small_buffer_sets_the_length_and_keeps_the_operation,
    digest_may_overwrite_its_input,
    digest_ends_the_operation,
    digest_after_update_is_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 digests both"),
    second_init_is_refused,
    operation_must_be_begun,
    errors_end_the_operation softhsm2: departs("got CKR_OK", "SoftHSM2 goes on after an error"),
    parameter_is_refused softhsm2: departs("got CKR_OK", "SoftHSM2 overlooks it"),
    mechanism_of_another_kind_is_refused,
    open_key_is_digested,
    closed_key_is_indigestible
        softhsm2: departs("got CKR_OK", "SoftHSM2 digests every key: a guess can be checked"),
    key_and_data_are_digested_in_turn,
    key_that_is_not_there_is_refused,
}

fn digest(s: &Session<'_>, mechanism: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
    s.digest_init(mechanism).unwrap();
    s.digest(data).unwrap()
}

/// §6.20, §6.21: as long as it should be, and no constant.
fn every_hash_digests(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        let one = digest(&s, hash.digest, b"one");
        assert_eq!(one.len(), hash.length, "{}", hash.name);
        assert_ne!(one, digest(&s, hash.digest, b"two"));
        assert_eq!(one, digest(&s, hash.digest, b"one"));
    }
}

/// §5.12.2: "equivalent to".
fn every_hash_in_parts_is_the_same(w: &World) {
    let s = w.user();
    let message: Vec<u8> = (0..1000_u32).map(|byte| (byte % 253) as u8).collect();
    for hash in w.hashes() {
        let whole = digest(&s, hash.digest, &message);
        for step in [1, 64, 127, 144, 999] {
            s.digest_init(hash.digest).unwrap();
            for part in message.chunks(step) {
                s.digest_update(part).unwrap();
            }
            assert_eq!(s.digest_final().unwrap(), whole, "{} by {step}", hash.name);
        }
    }
}

fn digests_need_no_login(w: &World) {
    let s = w.open(w.token(), RO);
    assert_eq!(digest(&s, CKM_SHA256, b"text").len(), 32);
}

fn empty_message_has_a_digest(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        let empty = digest(&s, hash.digest, b"");
        s.digest_init(hash.digest).unwrap();
        s.digest_update(b"").unwrap();
        assert_eq!(s.digest_final().unwrap(), empty);
        s.digest_init(hash.digest).unwrap();
        assert_eq!(s.digest_final().unwrap(), empty);
    }
}

/// A stated departure (design §3).
fn null_of_no_bytes_is_an_empty_message(w: &World) {
    let s = w.user();
    let empty = digest(&s, CKM_SHA256, b"");
    s.digest_init(CKM_SHA256).unwrap();
    let digested = output(32, |buffer, length| {
        ck!(s.module, C_Digest(s.handle, null_mut(), 0, buffer, length))
    });
    assert_eq!(digested.unwrap(), empty);
    s.digest_init(CKM_SHA256).unwrap();
    ck!(s.module, C_DigestUpdate(s.handle, null_mut(), 0)).unwrap();
    assert_eq!(s.digest_final().unwrap(), empty);
}

fn digest_into(s: &Session<'_>, buffer: *mut u8, length: &mut CK_ULONG) -> Rv {
    ck!(s.module, C_Digest(s.handle, b"text".as_ptr().cast_mut(), 4, buffer, length))
}

/// §5.2.
fn length_query_keeps_the_operation(w: &World) {
    let s = w.user();
    let expected = digest(&s, CKM_SHA256, b"text");
    let mut length = 0;
    s.digest_init(CKM_SHA256).unwrap();
    digest_into(&s, null_mut(), &mut length).unwrap();
    assert_eq!(length, 32);
    assert_eq!(s.digest(b"text").unwrap(), expected);
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_update(b"text").unwrap();
    length = 0;
    ck!(s.module, C_DigestFinal(s.handle, null_mut(), &mut length)).unwrap();
    assert_eq!(length, 32);
    assert_eq!(s.digest_final().unwrap(), expected);
}

/// §5.2.
fn too_small_buffer_sets_the_length_and_keeps_the_operation(w: &World) {
    let s = w.user();
    let expected = digest(&s, CKM_SHA256, b"text");
    let (mut buffer, mut length) = ([0xEE; 64], 31);
    s.digest_init(CKM_SHA256).unwrap();
    refused(digest_into(&s, buffer.as_mut_ptr(), &mut length), CKR_BUFFER_TOO_SMALL);
    assert_eq!(length, 32);
    assert_eq!(buffer, [0xEE; 64]);
    assert_eq!(s.digest(b"text").unwrap(), expected);
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_update(b"text").unwrap();
    length = 0;
    let answer = ck!(s.module, C_DigestFinal(s.handle, buffer.as_mut_ptr(), &mut length));
    refused(answer, CKR_BUFFER_TOO_SMALL);
    assert_eq!(length, 32);
    assert_eq!(s.digest_final().unwrap(), expected);
}

/// §5.12.2: "it is OK if pData and pDigest point to the same location".
fn digest_may_overwrite_its_input(w: &World) {
    let s = w.user();
    let expected = digest(&s, CKM_SHA512, &[0x41; 64]);
    let (mut memory, mut length) = ([0x41; 64], 64);
    let place = memory.as_mut_ptr();
    s.digest_init(CKM_SHA512).unwrap();
    ck!(s.module, C_Digest(s.handle, place, 64, place, &mut length)).unwrap();
    assert_eq!(memory[..], expected);
}

fn digest_ends_the_operation(w: &World) {
    let s = w.user();
    digest(&s, CKM_SHA256, b"text");
    refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_final().unwrap();
    refused(s.digest_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.12.2: "MUST be called … without intervening C_DigestUpdate calls".
fn digest_after_update_is_refused(w: &World) {
    let s = w.user();
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_update(b"te").unwrap();
    refused(s.digest(b"xt"), CKR_OPERATION_ACTIVE);
    refused(s.digest_final(), CKR_OPERATION_NOT_INITIALIZED);
    digest(&s, CKM_SHA256, b"text");
}

/// CKR_OPERATION_ACTIVE.
fn second_init_is_refused(w: &World) {
    let s = w.user();
    let expected = digest(&s, CKM_SHA256, b"text");
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_update(b"te").unwrap();
    refused(s.digest_init(CKM_SHA512), CKR_OPERATION_ACTIVE);
    s.digest_update(b"xt").unwrap();
    assert_eq!(s.digest_final().unwrap(), expected);
}

/// CKR_OPERATION_NOT_INITIALIZED.
fn operation_must_be_begun(w: &World) {
    let s = w.user();
    refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.digest_update(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.digest_final(), CKR_OPERATION_NOT_INITIALIZED);
    let key = s.create(&key(false)).unwrap();
    refused(s.digest_key(key), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.12.2 to §5.12.5: an error is no exception from "terminates".
fn errors_end_the_operation(w: &World) {
    let s = w.user();
    let mut buffer = [0; 32];
    let text = b"text".as_ptr().cast_mut();
    s.digest_init(CKM_SHA256).unwrap();
    let digested = ck!(s.module, C_Digest(s.handle, text, 4, buffer.as_mut_ptr(), null_mut()));
    refused(digested, CKR_ARGUMENTS_BAD);
    refused(s.digest(b"text"), CKR_OPERATION_NOT_INITIALIZED);
    s.digest_init(CKM_SHA256).unwrap();
    refused(ck!(s.module, C_DigestUpdate(s.handle, null_mut(), 4)), CKR_ARGUMENTS_BAD);
    refused(s.digest_final(), CKR_OPERATION_NOT_INITIALIZED);
    s.digest_init(CKM_SHA256).unwrap();
    let digested = ck!(s.module, C_DigestFinal(s.handle, buffer.as_mut_ptr(), null_mut()));
    refused(digested, CKR_ARGUMENTS_BAD);
    refused(s.digest_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// §6.20.2: "It does not have a parameter".
fn parameter_is_refused(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        let mechanism = Mech::with(hash.digest, [1, 2, 3, 4]);
        refused(s.digest_init(&mechanism), CKR_MECHANISM_PARAM_INVALID);
    }
}

/// CKR_MECHANISM_INVALID.
fn mechanism_of_another_kind_is_refused(w: &World) {
    let s = w.user();
    for mechanism in [CKM_SHA256_HMAC, CKM_GENERIC_SECRET_KEY_GEN, CKM_SHA512_T, CKM_VENDOR_DEFINED]
    {
        refused(s.digest_init(mechanism), CKR_MECHANISM_INVALID);
    }
}

fn key(closed: bool) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_SENSITIVE => closed,
        CKA_EXTRACTABLE => !closed,
        CKA_VALUE => [0x6B; 40],
    ]
}

/// §5.12.4.
fn open_key_is_digested(w: &World) {
    let s = w.user();
    let key = s.create(&key(false)).unwrap();
    for hash in w.hashes() {
        s.digest_init(hash.digest).unwrap();
        s.digest_key(key).unwrap();
        let of_key = s.digest_final().unwrap();
        assert_eq!(of_key, digest(&s, hash.digest, &[0x6B; 40]), "{}", hash.name);
    }
}

/// CKR_KEY_INDIGESTIBLE: a digest would be a way to guess the value.
fn closed_key_is_indigestible(w: &World) {
    let s = w.user();
    let key = s.create(&key(true)).unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    refused(s.digest_key(key), CKR_KEY_INDIGESTIBLE);
}

/// §5.12.4: "may be interspersed any number of times in any order".
fn key_and_data_are_digested_in_turn(w: &World) {
    let s = w.user();
    let key = s.create(&key(false)).unwrap();
    s.digest_init(CKM_SHA256).unwrap();
    s.digest_update(b"before").unwrap();
    s.digest_key(key).unwrap();
    s.digest_update(b"after").unwrap();
    s.digest_key(key).unwrap();
    let parts = [&b"before"[..], &[0x6B; 40], b"after", &[0x6B; 40]].concat();
    let mixed = s.digest_final().unwrap();
    assert_eq!(mixed, digest(&s, CKM_SHA256, &parts));
}

/// CKR_KEY_HANDLE_INVALID.
fn key_that_is_not_there_is_refused(w: &World) {
    let s = w.user();
    s.digest_init(CKM_SHA256).unwrap();
    refused(s.digest_key(4711), CKR_KEY_HANDLE_INVALID);
}
