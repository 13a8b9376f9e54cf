//! `tests/c/bank.c`, a C program that knows nothing of Rust: compiled with our
//! header and with the distribution's, it does its day's work with our module,
//! and with SoftHSM 2 to show that it expects nothing special.

// Helpers outside the test functions fail a test by panicking, as those do.
#![allow(clippy::unwrap_used)]

#[path = "c/compiler.rs"]
mod compiler;
#[path = "common/paths.rs"]
mod paths;

use compiler::{INCLUDE, P11_KIT, compile};
use paths::{signet_module, softhsm2_module};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The headers that the program can be compiled with.
#[derive(Clone, Copy)]
enum Header {
    Ours,
    P11Kit,
}

fn compiled(header: Header, folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/bank.c");
    let program = folder.join("bank");
    let include: &[&str] = match header {
        Header::Ours => &["-I", INCLUDE],
        Header::P11Kit => &["-DWITH_P11_KIT", "-I", P11_KIT],
    };
    // dlopen stands in a library of its own before glibc 2.34.
    compile(&source, &program, &[include, &["-Wl,--no-as-needed", "-ldl"]].concat());
    program
}

/// The program, with nothing in its environment that could lead it elsewhere.
fn program(header: Header, folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(compiled(header, folder));
    command.args(arguments).env_clear().env("HOME", folder).current_dir(folder);
    command
}

fn finishes(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{said}{complained}", output.status);
    assert_eq!(said, "done\n");
}

fn with_softhsm(header: Header) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let sample = include_str!("../softhsm-config/reference-softhsm2.conf.in");
    let conf = folder.path().join("softhsm2.conf");
    std::fs::write(&conf, sample.replace("@TOKENDIR@", tokens.to_str().unwrap())).unwrap();
    finishes(program(header, folder.path(), &[softhsm2_module()]).env("SOFTHSM2_CONF", conf));
}

/// The program gets the variable for the token directory and nothing else.
fn with_signet(header: Header) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let arguments = [signet_module(), "signet".into()];
    finishes(program(header, folder.path(), &arguments).env("SIGNET_TOKENDIR", &tokens));
    assert!(tokens.is_dir());
}

#[test]
fn signet_serves_the_program_compiled_with_our_header() {
    with_signet(Header::Ours);
}

#[test]
fn signet_serves_the_program_compiled_with_the_distributions_header() {
    with_signet(Header::P11Kit);
}

#[test]
fn softhsm_serves_the_program_compiled_with_our_header() {
    with_softhsm(Header::Ours);
}

#[test]
fn softhsm_serves_the_program_compiled_with_the_distributions_header() {
    with_softhsm(Header::P11Kit);
}

#[test]
fn a_failed_expectation_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    // Without a configuration SoftHSM cannot be initialised.
    let missing = folder.path().join("missing.conf");
    let mut command = program(Header::Ours, folder.path(), &[softhsm2_module()]);
    let output = command.env("SOFTHSM2_CONF", missing).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("bank.c:") && said.contains("not CKR_OK"), "{said}");
}
