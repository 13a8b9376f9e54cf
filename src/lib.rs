//! Signet: an HSM for HMAC keys.
//!
//! This crate is the core (module, session, token, object, mechanism, vault,
//! store), the PKCS#11 3.2 module `libsignet_pkcs11.so` built over it, and the
//! administration program `signet`. The core is plain Rust: no globals, no
//! `unsafe`, no environment and no clock below `ffi`; what it needs is passed
//! in.

pub mod audit;
pub mod backup;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod error;
pub mod ffi;
pub mod host;
pub mod log;
pub mod mechanism;
pub mod migrate;
pub mod module;
pub mod object;
pub mod policy;
pub mod secret;
pub mod selftest;
pub mod session;
pub mod store;
pub mod token;
pub mod types;
pub mod vault;
