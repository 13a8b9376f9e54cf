//! The behaviour suite: what the module does at the C ABI, chapter by chapter
//! of the standard, each case on ours and on SoftHSM2 as a reference.

// A harness is not compiled as a test, so the leave that tests have is given here.
#![allow(unsafe_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod common;

mod api {
    pub mod changes;
    pub mod digest;
    pub mod files;
    pub mod find;
    pub mod general;
    pub mod hostile;
    pub mod keys;
    pub mod life;
    pub mod login;
    pub mod mechanisms;
    pub mod migrate;
    pub mod objects;
    pub mod pins;
    pub mod processes;
    pub mod random;
    pub mod sessions;
    pub mod sign;
    pub mod sign_init;
    pub mod slots;
    pub mod templates;
    pub mod users;
    pub mod verify_signature;
}

fn main() {
    common::main(&[
        ("general", api::general::CASES),
        ("slots", api::slots::CASES),
        ("pins", api::pins::CASES),
        ("mechanisms", api::mechanisms::CASES),
        ("sessions", api::sessions::CASES),
        ("login", api::login::CASES),
        ("users", api::users::CASES),
        ("objects", api::objects::CASES),
        ("changes", api::changes::CASES),
        ("find", api::find::CASES),
        ("keys", api::keys::CASES),
        ("sign", api::sign::CASES),
        ("sign_init", api::sign_init::CASES),
        ("verify_signature", api::verify_signature::CASES),
        ("digest", api::digest::CASES),
        ("random", api::random::CASES),
        ("hostile", api::hostile::CASES),
        ("processes", api::processes::CASES),
        ("life", api::life::CASES),
        ("files", api::files::CASES),
        ("migrate", api::migrate::CASES),
    ]);
}
