//! The C compiler, as the tests that compile C use it; not all use all of it.

#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// Our header's folder.
pub const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");

/// The folder of the distribution's header (Debian: libp11-kit-dev).
pub const P11_KIT: &str = "/usr/include/p11-kit-1";

/// As strict as a careful C programmer's Makefile.
pub const STRICT: [&str; 5] = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];

/// Runs a compiler (`cc`, `c++`) and answers what it said.
pub fn run(compiler: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    match Command::new(compiler).args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{compiler} does not run ({error}); install build-essential"),
    }
}

/// Compiles `source` with all of [`STRICT`]; panics with the messages if there
/// are any.
pub fn compile(source: &Path, output: &Path, arguments: &[&str]) {
    assert!(
        Path::new(P11_KIT).join("p11-kit/pkcs11.h").exists(),
        "{P11_KIT}/p11-kit/pkcs11.h is missing; install libp11-kit-dev"
    );
    let mut all: Vec<&OsStr> = STRICT.iter().map(OsStr::new).collect();
    all.extend(arguments.iter().map(OsStr::new));
    all.extend([source.as_os_str(), OsStr::new("-o"), output.as_os_str()]);
    let said = run("cc", all);
    let messages = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{} does not compile:\n{messages}", source.display());
}
