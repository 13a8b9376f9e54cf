//! PKCS#11 3.2 §5.19: random bytes and seeds.

use crate::common::*;
use cryptoki_sys::*;
use std::collections::HashSet;
use std::ptr::null_mut;

cases! {
    random_of_every_length_fills_the_buffer,
    random_does_not_repeat,
    random_needs_no_login,
    random_of_no_bytes_is_fine,
    random_refuses_null,
    seeds_of_every_length_are_taken,
    empty_seed_is_taken
        softhsm2: departs("CKR_ARGUMENTS_BAD", "SoftHSM2 wants a pointer to nothing"),
    seed_refuses_null,
    seed_does_not_decide,
}

/// §5.19.2: a short fill would leave the caller's zeroes for a key.
fn random_of_every_length_fills_the_buffer(w: &World) {
    let s = w.user();
    for length in [1, 2, 31, 32, 33, 255, 256, 257, 4096, 65_537, 1 << 20] {
        let bytes = s.random(length).unwrap();
        // Sixteen zeroes at the end come by chance once in 2^128 tries.
        let tail = &bytes[length.saturating_sub(16)..];
        assert!(length < 16 || tail.iter().any(|byte| *byte != 0), "{length}");
    }
    let kinds: HashSet<u8> = s.random(1 << 16).unwrap().into_iter().collect();
    assert_eq!(kinds.len(), 256);
}

fn random_does_not_repeat(w: &World) {
    let s = w.user();
    let other = s.another(RO).unwrap();
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        assert!(seen.insert(s.random(16).unwrap()));
        assert!(seen.insert(other.random(16).unwrap()));
    }
}

fn random_needs_no_login(w: &World) {
    let s = w.open(w.token(), RO);
    s.random(32).unwrap();
}

fn random_of_no_bytes_is_fine(w: &World) {
    let s = w.user();
    assert!(s.random(0).unwrap().is_empty());
}

/// §5.19.2.
fn random_refuses_null(w: &World) {
    let s = w.user();
    refused(ck!(s.module, C_GenerateRandom(s.handle, null_mut(), 32)), CKR_ARGUMENTS_BAD);
}

fn seed(s: &Session<'_>, bytes: &[u8]) -> Rv {
    let (bytes, length) = (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG);
    ck!(s.module, C_SeedRandom(s.handle, bytes, length))
}

/// The issue: "C_SeedRandom takes seeds of any length".
fn seeds_of_every_length_are_taken(w: &World) {
    let s = w.user();
    for length in [1, 2, 20, 48, 64, 65, 1000, 1 << 20] {
        seed(&s, &vec![0x11; length]).unwrap();
    }
    s.random(32).unwrap();
}

/// A stated departure (design §3).
fn empty_seed_is_taken(w: &World) {
    let s = w.user();
    seed(&s, b"").unwrap();
    ck!(s.module, C_SeedRandom(s.handle, null_mut(), 0)).unwrap();
}

/// §5.19.1.
fn seed_refuses_null(w: &World) {
    let s = w.user();
    refused(ck!(s.module, C_SeedRandom(s.handle, null_mut(), 32)), CKR_ARGUMENTS_BAD);
}

/// §5.19.1: "mixes additional seed material into": the same seed twice must
/// not give the same bytes.
fn seed_does_not_decide(w: &World) {
    let s = w.user();
    seed(&s, &[0; 64]).unwrap();
    let first = s.random(32).unwrap();
    seed(&s, &[0; 64]).unwrap();
    assert_ne!(s.random(32).unwrap(), first);
}
