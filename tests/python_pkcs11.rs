//! python-pkcs11, a client that wraps every object in Python classes, as a user of the
//! module. The scripts stand in `tests/python`; `make test` installs what they need.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/client.rs"]
mod client;

use std::path::{Path, PathBuf};

use client::{Client, Outcome, signet_module};

/// A client of ours with a token that has both PINs.
fn token() -> Client {
    let client = Client::signet();
    client.init_token("87654321", "123456");
    client
}

/// The interpreter that `.ci/python` has made, beside the build that runs.
fn python() -> PathBuf {
    let target = signet_module().ancestors().nth(3).unwrap().to_owned();
    let python = target.join("python/bin/python");
    assert!(python.is_file(), "no {}: run `make test`, or `.ci/python`", python.display());
    python
}

/// Runs a script of `tests/python` on the module.
fn script(client: &Client, name: &str, arguments: &[&str]) -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = client.command(python());
    // Leaves no compiled scripts behind in the sources.
    command.args(["-B".as_ref(), folder.join(name).as_os_str()]).args(arguments);
    command.env("MODULE", signet_module());
    Outcome::of(format!("{name} {arguments:?}"), &mut command)
}

#[test]
fn macs_are_those_of_python_s_own_hmac_and_refusals_have_names() {
    script(&token(), "hmac_roundtrip.py", &[]).ok().says("ok");
}
