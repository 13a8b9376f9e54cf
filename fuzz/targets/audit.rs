//! Bytes become an audit trail; see `exercise.rs`.

#![no_main]

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Any answer will do.
    let _ = exercise::audit(bytes);
});
