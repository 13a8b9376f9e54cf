//! PKCS#11 3.2 §5.18.1, §6.9 and §6.22: keys generated and imported.

use crate::common::*;
use cryptoki_sys::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashSet;
use std::ptr::null_mut;

const NO_TYPED: Reference =
    departs("CKR_MECHANISM_INVALID", "SoftHSM2 generates generic secrets alone");

cases! {
    generic_secret_is_generated,
    generic_secrets_of_14_to_512_bytes_are_generated,
    generated_length_out_of_range_is_refused
        softhsm2: departs("CKR_TEMPLATE_INCOMPLETE", "SoftHSM2 takes 0 for none, and 1 for a length"),
    typed_key_of_every_hash_is_generated softhsm2: NO_TYPED,
    typed_keys_of_14_to_512_bytes_are_generated softhsm2: NO_TYPED,
    typed_length_out_of_range_is_refused softhsm2: NO_TYPED,
    generated_key_has_a_history,
    generated_key_is_closed_by_default
        softhsm2: departs("CKA_SENSITIVE", "by the standard's default the value would leave"),
    generated_key_may_be_open_and_says_so,
    generated_keys_differ,
    generation_needs_a_length,
    generation_refuses_a_foreign_class_or_type
        softhsm2: departs("CKR_ATTRIBUTE_VALUE_INVALID", "SoftHSM2 has a code of its own for it"),
    generation_refuses_what_it_contributes,
    generation_refuses_a_parameter
        softhsm2: departs("got CKR_OK", "SoftHSM2 overlooks it"),
    generation_refuses_other_mechanisms,
    generation_refuses_null,
    refused_generation_leaves_nothing
        softhsm2: departs("is_empty", "SoftHSM2 leaves half an object in the token"),
    generated_token_key_stays,
    keys_from_1_byte_up_are_imported,
    short_keys_make_macs
        softhsm2: departs("CKR_KEY_SIZE_RANGE", "SoftHSM2 refuses keys shorter than the digest"),
    long_keys_make_macs,
    typed_keys_of_every_hash_are_imported
        softhsm2: departs("CKR_KEY_SIZE_RANGE", "SoftHSM2 refuses keys shorter than the digest"),
    keys_that_hmac_treats_alike_are_different_keys,
}

fn length(bytes: usize) -> Template {
    template![CKA_VALUE_LEN => bytes as CK_ULONG]
}

fn open(bytes: usize) -> Template {
    length(bytes).and(&template![
        CKA_SENSITIVE => false,
        CKA_EXTRACTABLE => true,
        CKA_SIGN => true,
        CKA_VERIFY => true,
    ])
}

/// HMAC-SHA-256 as the hash crates have it.
fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes every key");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// §6.9.3: class and type are contributed, or named and right.
fn generic_secret_is_generated(w: &World) {
    let s = w.user();
    let named = template![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET];
    for template in [open(32), open(32).and(&named), open(32).with(CKA_LABEL, "name")] {
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        assert_eq!(s.number(key, CKA_CLASS), CKO_SECRET_KEY);
        assert_eq!(s.number(key, CKA_KEY_TYPE), CKK_GENERIC_SECRET);
        assert_eq!(s.number(key, CKA_VALUE_LEN), 32);
        let value = s.get(key, CKA_VALUE).unwrap();
        assert_eq!(value.len(), 32);
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        assert_eq!(mac, hmac_sha256(&value, b"text"));
    }
}

const LENGTHS: [usize; 9] = [14, 15, 16, 20, 32, 64, 128, 511, 512];

/// Design §4.
fn generic_secrets_of_14_to_512_bytes_are_generated(w: &World) {
    let s = w.user();
    for bytes in LENGTHS {
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &open(bytes)).unwrap();
        assert_eq!(s.get(key, CKA_VALUE).unwrap().len(), bytes);
        assert_eq!(s.number(key, CKA_VALUE_LEN), bytes as CK_ULONG);
    }
}

/// CKR_ATTRIBUTE_VALUE_INVALID, not a key of another length.
fn generated_length_out_of_range_is_refused(w: &World) {
    let s = w.user();
    for bytes in [0, 1, 13, 513, 4096, usize::MAX] {
        let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &length(bytes));
        refused(made, CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

/// §6.22.4.
fn typed_key_of_every_hash_is_generated(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        let named = template![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => hash.key_type];
        for template in [length(hash.length), length(hash.length).and(&named)] {
            let key = s.generate(hash.key_gen, &template).unwrap();
            assert_eq!(s.number(key, CKA_CLASS), CKO_SECRET_KEY);
            assert_eq!(s.number(key, CKA_KEY_TYPE), hash.key_type);
            assert_eq!(s.number(key, CKA_KEY_GEN_MECHANISM), hash.key_gen);
            let mac = s.mac(hash.hmac, key, b"text").unwrap();
            s.check(hash.hmac, key, b"text", &mac).unwrap();
        }
    }
}

/// Design §4: no type is tied to its digest's length.
fn typed_keys_of_14_to_512_bytes_are_generated(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        for bytes in LENGTHS {
            let key = s.generate(hash.key_gen, &open(bytes)).unwrap();
            assert_eq!(s.get(key, CKA_VALUE).unwrap().len(), bytes);
            s.mac(hash.hmac, key, b"text").unwrap();
        }
    }
}

fn typed_length_out_of_range_is_refused(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        for bytes in [0, 1, 13, 513, usize::MAX] {
            let made = s.generate(hash.key_gen, &length(bytes));
            refused(made, CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
}

/// §4.7, §4.10.
fn generated_key_has_a_history(w: &World) {
    let s = w.user();
    let closed = template![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &length(32).and(&closed)).unwrap();
    for flag in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        assert!(s.flag(key, flag), "{flag:#x}");
    }
    assert_eq!(s.number(key, CKA_KEY_GEN_MECHANISM), CKM_GENERIC_SECRET_KEY_GEN);
    assert_eq!(s.get(key, CKA_CHECK_VALUE).unwrap().len(), 3);
}

/// A stated departure (design §3).
fn generated_key_is_closed_by_default(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let template = length(32).with(CKA_TOKEN, token);
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        assert!(s.flag(key, CKA_SENSITIVE) && !s.flag(key, CKA_EXTRACTABLE));
        assert!(s.flag(key, CKA_ALWAYS_SENSITIVE) && s.flag(key, CKA_NEVER_EXTRACTABLE));
        assert!(s.flag(key, CKA_SIGN) && s.flag(key, CKA_VERIFY));
        refused(s.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    }
}

fn generated_key_may_be_open_and_says_so(w: &World) {
    let s = w.user();
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &open(32)).unwrap();
    assert!(!s.flag(key, CKA_ALWAYS_SENSITIVE) && !s.flag(key, CKA_NEVER_EXTRACTABLE));
    s.set(key, &template![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false]).unwrap();
    assert!(!s.flag(key, CKA_ALWAYS_SENSITIVE) && !s.flag(key, CKA_NEVER_EXTRACTABLE));
}

fn generated_keys_differ(w: &World) {
    let s = w.user();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &open(16)).unwrap();
        assert!(seen.insert(s.get(key, CKA_VALUE).unwrap()));
    }
}

/// Footnote 3: MUST be specified.
fn generation_needs_a_length(w: &World) {
    let s = w.user();
    let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template![CKA_SIGN => true]);
    refused(made, CKR_TEMPLATE_INCOMPLETE);
    if !w.is_reference() {
        for hash in w.hashes() {
            refused(s.generate(hash.key_gen, &template![]), CKR_TEMPLATE_INCOMPLETE);
        }
    }
}

/// §6.9.3: "they must have the following values".
fn generation_refuses_a_foreign_class_or_type(w: &World) {
    let s = w.user();
    for foreign in [
        template![CKA_CLASS => CKO_DATA],
        template![CKA_CLASS => CKO_PRIVATE_KEY],
        template![CKA_KEY_TYPE => CKK_SHA256_HMAC],
        template![CKA_KEY_TYPE => CKK_AES],
    ] {
        let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &length(32).and(&foreign));
        refused(made, CKR_TEMPLATE_INCONSISTENT);
    }
}

/// Footnote 4: MUST not be specified.
fn generation_refuses_what_it_contributes(w: &World) {
    let s = w.user();
    for contributed in [
        template![CKA_VALUE => [1; 32]],
        template![CKA_LOCAL => true],
        template![CKA_ALWAYS_SENSITIVE => true],
        template![CKA_NEVER_EXTRACTABLE => true],
        template![CKA_KEY_GEN_MECHANISM => CKM_GENERIC_SECRET_KEY_GEN],
    ] {
        let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &length(32).and(&contributed));
        refused_any(made, &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT]);
    }
}

/// §6.9.3, §6.22.4: "It does not have a parameter".
fn generation_refuses_a_parameter(w: &World) {
    let s = w.user();
    let with = |mechanism| Mech::with(mechanism, [1, 2, 3, 4]);
    let made = s.generate(with(CKM_GENERIC_SECRET_KEY_GEN), &length(32));
    refused(made, CKR_MECHANISM_PARAM_INVALID);
    for hash in w.hashes() {
        refused(s.generate(with(hash.key_gen), &length(32)), CKR_MECHANISM_PARAM_INVALID);
    }
}

/// CKR_MECHANISM_INVALID.
fn generation_refuses_other_mechanisms(w: &World) {
    let s = w.user();
    for mechanism in [CKM_SHA256_HMAC, CKM_SHA256, CKM_VENDOR_DEFINED, CK_MECHANISM_TYPE::MAX] {
        refused(s.generate(mechanism, &length(32)), CKR_MECHANISM_INVALID);
    }
}

/// §5.18.1.
fn generation_refuses_null(w: &World) {
    let s = w.user();
    let (template, mechanism) = (length(32), Mech::plain(CKM_GENERIC_SECRET_KEY_GEN));
    let (mut raw, mut raw_mechanism, mut key) = (template.raw(), mechanism.raw(), 0);
    let raw = raw.as_mut_ptr();
    let no_mechanism = ck!(s.module, C_GenerateKey(s.handle, null_mut(), raw, 1, &mut key));
    refused(no_mechanism, CKR_ARGUMENTS_BAD);
    let no_template =
        ck!(s.module, C_GenerateKey(s.handle, &mut raw_mechanism, null_mut(), 1, &mut key));
    refused(no_template, CKR_ARGUMENTS_BAD);
    let nowhere = ck!(s.module, C_GenerateKey(s.handle, &mut raw_mechanism, raw, 1, null_mut()));
    refused(nowhere, CKR_ARGUMENTS_BAD);
    assert!(s.find(&template![]).unwrap().is_empty());
}

fn refused_generation_leaves_nothing(w: &World) {
    let s = w.user();
    let token = length(32).with(CKA_TOKEN, true);
    refused_somehow(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &token.clone().with(CKA_LOCAL, true)));
    let unknown = token.with(CKA_VENDOR_DEFINED, true);
    refused_somehow(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &unknown));
    assert!(s.find(&template![]).unwrap().is_empty());
}

fn generated_token_key_stays(w: &World) {
    let s = w.user();
    let template = open(64).and(&template![CKA_TOKEN => true, CKA_LABEL => "kept"]);
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let mac = s.mac(CKM_SHA512_HMAC, key, b"text").unwrap();
    w.module().finalize().unwrap();
    w.start();
    let s = w.user_again();
    let keys = s.find(&template![CKA_LABEL => "kept"]).unwrap();
    s.check(CKM_SHA512_HMAC, keys[0], b"text", &mac).unwrap();
    assert!(s.flag(keys[0], CKA_LOCAL));
}

fn import(value: &[u8]) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_SENSITIVE => false,
        CKA_EXTRACTABLE => true,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_VALUE => value,
    ]
}

/// Design §4: "any length from 1 byte imported".
fn keys_from_1_byte_up_are_imported(w: &World) {
    let s = w.user();
    for length in [1, 2, 4, 13, 64, 65, 128, 129, 512, 513, 4096] {
        for token in [true, false] {
            let value = vec![0x5A; length];
            let key = s.create(&import(&value).with(CKA_TOKEN, token)).unwrap();
            assert_eq!(s.number(key, CKA_VALUE_LEN), length as CK_ULONG);
            assert_eq!(s.get(key, CKA_VALUE).unwrap(), value);
        }
    }
}

/// Design §4: RFC 4231 uses "Jefe".
fn short_keys_make_macs(w: &World) {
    let s = w.user();
    for length in 1..32 {
        let value: Vec<u8> = (1..=length).collect();
        let key = s.create(&import(&value)).unwrap();
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        assert_eq!(mac, hmac_sha256(&value, b"text"), "{length} bytes");
    }
}

/// RFC 2104 §2: longer than a block is hashed first.
fn long_keys_make_macs(w: &World) {
    let s = w.user();
    for length in [32, 63, 64, 65, 127, 128, 129, 255, 256, 512, 513, 1024] {
        let value: Vec<u8> = (0..length).map(|byte: u32| (byte % 251) as u8).collect();
        let key = s.create(&import(&value)).unwrap();
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        assert_eq!(mac, hmac_sha256(&value, b"text"), "{length} bytes");
        s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
    }
}

/// §6.22.1: a typed key and a generic one of the same value make the same MAC.
fn typed_keys_of_every_hash_are_imported(w: &World) {
    let s = w.user();
    for hash in w.hashes() {
        for length in [64, 200, 1] {
            let generic = import(&vec![0x77; length]);
            let typed = generic.clone().without(CKA_KEY_TYPE).with(CKA_KEY_TYPE, hash.key_type);
            let (generic, typed) = (s.create(&generic).unwrap(), s.create(&typed).unwrap());
            let mac = s.mac(hash.hmac, typed, b"text").unwrap();
            assert_eq!(mac, s.mac(hash.hmac, generic, b"text").unwrap(), "{}", hash.name);
        }
    }
}

/// HMAC pads with zeroes: the MACs agree, the keys must not be confused.
fn keys_that_hmac_treats_alike_are_different_keys(w: &World) {
    let s = w.user();
    let short = s.create(&import(&[8; 40])).unwrap();
    let mut padded = vec![8; 40];
    padded.push(0);
    let long = s.create(&import(&padded)).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, short, b"text").unwrap();
    assert_eq!(s.mac(CKM_SHA256_HMAC, long, b"text").unwrap(), mac);
    assert_eq!(s.number(short, CKA_VALUE_LEN), 40);
    assert_eq!(s.number(long, CKA_VALUE_LEN), 41);
    assert_ne!(s.get(short, CKA_CHECK_VALUE), s.get(long, CKA_CHECK_VALUE));
}
