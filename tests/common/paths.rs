//! Where the two modules are: ours and the reference. Taken in by `#[path]`
//! too; a harness need not use both.

#![allow(dead_code)]

use std::path::PathBuf;

/// Where Debian's package libsofthsm2 puts its module.
const SOFTHSM2: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The shared object that `cargo test` has just built.
///
/// Cargo builds it for every test run, because the test links the same library,
/// and leaves it beside the test's own executable. The copy one folder up is
/// made by `cargo build` only and may be of yesterday.
pub fn signet_module() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let module = executable.with_file_name("libsignet_pkcs11.so");
    assert!(module.is_file(), "cargo did not leave {} beside the test", module.display());
    module
}

/// The reference: what `SOFTHSM2_MODULE` names, else Debian's. That it is
/// missing is a failure. Absolute, as a program may run elsewhere.
pub fn softhsm2_module() -> PathBuf {
    let named = std::env::var_os("SOFTHSM2_MODULE").unwrap_or_else(|| SOFTHSM2.into());
    let module = std::path::absolute(named).unwrap();
    assert!(
        module.is_file(),
        "{} is missing: run `make deps`, or set SOFTHSM2_MODULE",
        module.display()
    );
    module
}
