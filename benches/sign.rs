//! `C_SignInit` + `C_Sign` and `C_VerifyInit` + `C_Verify` through the C ABI,
//! beside the limit: cloning a prepared `Hmac<Sha256>`, which is what any
//! implementation over that crate must at least do.
//!
//! Run with `cargo bench --bench sign`; compare medians of one run with each
//! other, not with those of another machine.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, missing_docs)]

use cryptoki_sys::*;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use signet_pkcs11::ffi::*;
use std::ptr::null_mut;
use std::sync::Mutex;

const SIZES: [usize; 3] = [32, 4096, 65_536];
const PIN: &[u8] = b"1234";

fn main() {
    let directory = tempfile::tempdir().unwrap();
    // No thread has been started yet.
    unsafe {
        std::env::set_var("SIGNET_TOKENDIR", directory.path());
        std::env::remove_var("SIGNET_CONF");
        std::env::remove_var("SOFTHSM2_CONF");
        ok(C_Initialize(null_mut()));
    }
    divan::main();
    ok(unsafe { C_Finalize(null_mut()) });
}

#[track_caller]
fn ok(answer: CK_RV) {
    assert_eq!(answer, CKR_OK);
}

fn len(bytes: usize) -> CK_ULONG {
    bytes.try_into().unwrap()
}

/// A token whose user is logged in, with a token key and a session key.
#[derive(Clone, Copy)]
struct World {
    slot: CK_SLOT_ID,
    token_key: CK_OBJECT_HANDLE,
    session_key: CK_OBJECT_HANDLE,
}

/// As the module is without a configuration.
fn world() -> World {
    world_that_records("summary")
}

/// With this value of `audit.mac`.
fn world_that_records(mac: &'static str) -> World {
    static PRESENT: Mutex<Option<(&str, World)>> = Mutex::new(None);
    let mut present = PRESENT.lock().unwrap();
    if let Some((_, world)) = present.filter(|(recording, _)| *recording == mac) {
        return world;
    }
    let is_first = present.is_none();
    let world = unsafe {
        ok(C_Finalize(null_mut()));
        std::env::set_var("SIGNET_AUDIT_MAC", mac);
        ok(C_Initialize(null_mut()));
        let pin = PIN.as_ptr().cast_mut();
        if is_first {
            let mut label = *b"bench                           ";
            ok(C_InitToken(0, pin, len(PIN.len()), label.as_mut_ptr()));
            let session = open(0);
            ok(C_Login(session, CKU_SO, pin, len(PIN.len())));
            ok(C_InitPIN(session, pin, len(PIN.len())));
            ok(C_CloseSession(session));
        }
        // The session stays open: it keeps the login and the session key.
        let session = open(0);
        ok(C_Login(session, CKU_USER, pin, len(PIN.len())));
        let (token_key, session_key) = (generate(session, 1), generate(session, 0));
        World { slot: 0, token_key, session_key }
    };
    *present = Some((mac, world));
    world
}

unsafe fn open(slot: CK_SLOT_ID) -> CK_SESSION_HANDLE {
    let mut session = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    ok(unsafe { C_OpenSession(slot, flags, null_mut(), None, &raw mut session) });
    session
}

unsafe fn generate(session: CK_SESSION_HANDLE, mut token: CK_BBOOL) -> CK_OBJECT_HANDLE {
    let mut length: CK_ULONG = 32;
    let mut template = [attribute(CKA_TOKEN, &mut token), attribute(CKA_VALUE_LEN, &mut length)];
    let mut mechanism = mechanism(CKM_GENERIC_SECRET_KEY_GEN);
    let (pointer, count) = (template.as_mut_ptr(), len(template.len()));
    let mut key = 0;
    ok(unsafe { C_GenerateKey(session, &raw mut mechanism, pointer, count, &raw mut key) });
    key
}

fn attribute<T>(type_: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_, pValue: (&raw mut *value).cast(), ulValueLen: len(size_of::<T>()) }
}

fn mechanism(mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism, pParameter: null_mut(), ulParameterLen: 0 }
}

fn sign(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, data: &[u8]) -> [u8; 32] {
    let mut mechanism = mechanism(CKM_SHA256_HMAC);
    let mut mac = [0; 32];
    let mut length = len(mac.len());
    unsafe {
        ok(C_SignInit(session, &raw mut mechanism, key));
        let pointer = data.as_ptr().cast_mut();
        ok(C_Sign(session, pointer, len(data.len()), mac.as_mut_ptr(), &raw mut length));
    }
    mac
}

fn bench_sign(bencher: Bencher, size: usize, key: CK_OBJECT_HANDLE) {
    let session = unsafe { open(world().slot) };
    let data = vec![0x5a; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| sign(session, key, black_box(&data)));
    ok(unsafe { C_CloseSession(session) });
}

#[divan::bench(args = SIZES)]
fn sign_token_key(bencher: Bencher, size: usize) {
    bench_sign(bencher, size, world().token_key);
}

/// What the audit trail costs: `off` and `summary` lie a few nanoseconds apart.
#[divan::bench(args = ["off", "summary", "each"], sample_size = 1000)]
fn sign_recording(bencher: Bencher, mac: &'static str) {
    let world = world_that_records(mac);
    let session = unsafe { open(world.slot) };
    let data = [0x5a; 32];
    bencher.bench_local(|| sign(session, world.token_key, black_box(&data)));
    ok(unsafe { C_CloseSession(session) });
}

#[divan::bench(args = SIZES)]
fn sign_session_key(bencher: Bencher, size: usize) {
    bench_sign(bencher, size, world().session_key);
}

#[divan::bench(args = SIZES)]
fn verify_token_key(bencher: Bencher, size: usize) {
    let key = world().token_key;
    let session = unsafe { open(world().slot) };
    let mut data = vec![0x5a; size];
    let mut mac = sign(session, key, &data);
    let mut mechanism = mechanism(CKM_SHA256_HMAC);
    bencher.counter(BytesCount::new(size)).bench_local(|| unsafe {
        ok(C_VerifyInit(session, &raw mut mechanism, key));
        let (data, length) = (black_box(data.as_mut_ptr()), len(data.len()));
        ok(C_Verify(session, data, length, mac.as_mut_ptr(), len(mac.len())));
    });
    ok(unsafe { C_CloseSession(session) });
}

#[divan::bench(args = SIZES)]
fn limit_prepared_hmac(bencher: Bencher, size: usize) {
    let prepared = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    let data = vec![0x5a; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let mut mac = black_box(&prepared).clone();
        mac.update(black_box(&data));
        mac.finalize().into_bytes()
    });
}

#[divan::bench]
fn open_and_close_session(bencher: Bencher) {
    let slot = world().slot;
    bencher.bench_local(|| unsafe { ok(C_CloseSession(open(slot))) });
}

#[divan::bench]
fn generate_and_destroy_session_key(bencher: Bencher) {
    let session = unsafe { open(world().slot) };
    bencher.bench_local(|| unsafe { ok(C_DestroyObject(session, generate(session, 0))) });
    ok(unsafe { C_CloseSession(session) });
}

#[divan::bench(sample_count = 20, sample_size = 5)]
fn generate_token_key(bencher: Bencher) {
    let session = unsafe { open(world().slot) };
    bencher.bench_local(|| unsafe { generate(session, 1) });
    ok(unsafe { C_CloseSession(session) });
}
