//! A PKCS#11 module with a token directory of its own, and the real programs
//! that load it. Taken in by `#[path]`; a harness need not use all of it.

#![allow(dead_code)]

#[path = "paths.rs"]
mod paths;

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

#[allow(unused_imports, reason = "a harness need not use both")]
pub use paths::{signet_module, softhsm2_module};

/// Seconds after which a program that still runs is taken to hang.
const PATIENCE: &str = "300";

/// A module, its configuration, an empty token directory and a folder to work in.
pub struct Client {
    module: PathBuf,
    configured_by: &'static str,
    directory: TempDir,
}

impl Client {
    /// Our module, told where its tokens are by its own variable.
    pub fn signet() -> Self {
        Self::with_signet(&signet_module())
    }

    /// The same, with our module at another path.
    pub fn with_signet(module: &Path) -> Self {
        Self::new(module, "SIGNET_CONF")
    }

    /// A module that reads SoftHSM2's configuration from `SOFTHSM2_CONF`:
    /// SoftHSM2 itself, or ours in its place.
    pub fn like_softhsm2(module: &Path) -> Self {
        Self::new(module, "SOFTHSM2_CONF")
    }

    fn new(module: &Path, configured_by: &'static str) -> Self {
        assert!(module.is_file(), "no module at {}: run `make deps`", module.display());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let tokens = directory.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        fs::create_dir(directory.path().join("work")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(directory.path().join("module.conf"), configuration).unwrap();
        Self { module: module.to_owned(), configured_by, directory }
    }

    /// Where the tokens are.
    pub fn token_directory(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    /// The folder in which the programs run.
    pub fn folder(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Writes a file into the folder in which the programs run.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.folder().join(name), bytes).unwrap();
    }

    /// Reads a file that a program wrote there.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.folder().join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether a program wrote such a file.
    pub fn has(&self, name: &str) -> bool {
        self.folder().join(name).exists()
    }

    /// A command whose PKCS#11 settings are this module's and nobody else's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", PATIENCE]).arg(program);
        for (name, _) in std::env::vars_os() {
            let foreign = ["SIGNET_", "SOFTHSM2_", "PKCS11", "OPENSC", "TEST_P"];
            if foreign.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .env(self.configured_by, self.directory.path().join("module.conf"))
            .env("LC_ALL", "C")
            .current_dir(self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Runs pkcs11-tool on this module. The arguments are written as on a
    /// command line; none of them contains a space.
    pub fn tool(&self, arguments: &str) -> Outcome {
        let mut command = self.command("pkcs11-tool");
        command.arg("--module").arg(&self.module).args(arguments.split_whitespace());
        Outcome::of(format!("pkcs11-tool {arguments}"), &mut command)
    }

    /// Runs another program in the same folder and environment.
    pub fn run(&self, program: &str, arguments: &str) -> Outcome {
        let mut command = self.command(program);
        command.args(arguments.split_whitespace());
        Outcome::of(format!("{program} {arguments}"), &mut command)
    }

    /// Runs `signet` on the token `demo`, as its owner with the PIN 123456. The arguments
    /// are written as for [`Client::tool`], without the token.
    pub fn administer(&self, arguments: &str) -> Outcome {
        let mut command = self.command(env!("CARGO_BIN_EXE_signet"));
        command.args(arguments.split_whitespace()).args(["--token", "demo"]);
        command.env("SIGNET_PIN", "123456");
        Outcome::of(format!("signet {arguments}"), &mut command)
    }

    /// Makes the token `demo` with these PINs, in the first slot.
    pub fn init_token(&self, so_pin: &str, pin: &str) {
        self.tool(&format!("--init-token --slot-index 0 --label demo --so-pin {so_pin}"))
            .ok()
            .says("Token successfully initialized");
        self.tool(&format!(
            "--token-label demo --login --login-type so --so-pin {so_pin} --init-pin --new-pin {pin}"
        ))
        .ok()
        .says("User PIN successfully initialized");
    }
}

/// What a program did: its status and both its outputs.
pub struct Outcome {
    line: String,
    code: Option<i32>,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Outcome {
    pub fn of(line: String, command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command
            .output()
            .unwrap_or_else(|error| panic!("{line}: {error} (is coreutils' timeout missing?)"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let outcome =
            Self { line, code: status.code(), stdout: text(&stdout), stderr: text(&stderr) };
        assert!(outcome.code.is_some(), "killed by a signal:\n{outcome}");
        // What timeout(1) answers for itself, and for a program killed by a signal.
        match outcome.code {
            Some(124 | 137) => panic!("did not end within {PATIENCE} s:\n{outcome}"),
            Some(126 | 127) => panic!("the program is missing; run `make deps`:\n{outcome}"),
            Some(128..) => panic!("crashed:\n{outcome}"),
            _ => outcome,
        }
    }

    /// Whether the program said that it succeeded.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The program must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.succeeded(), "should have succeeded:\n{self}");
        self
    }

    /// The program must have failed and named this return value.
    #[track_caller]
    pub fn refused(self, value: &str) -> Self {
        assert!(!self.succeeded(), "should have failed with {value}:\n{self}");
        // With the space: one value's name may begin with another's.
        assert!(self.stderr.contains(&format!("{value} ")), "should have named {value}:\n{self}");
        self
    }

    /// pkcs11-tool must have failed with CKR_ACTION_PROHIBITED, which version 0.23 knows by
    /// number only.
    #[track_caller]
    pub fn prohibited(self) -> Self {
        assert!(!self.succeeded(), "should have failed with CKR_ACTION_PROHIBITED:\n{self}");
        self.says("rv = unknown PKCS11 error (0x1b)")
    }

    /// The program must have printed this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "should have printed {text:?}:\n{self}");
        self
    }

    /// The program must not have printed this.
    #[track_caller]
    pub fn silent_about(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!said, "should not have printed {text:?}:\n{self}");
        self
    }

    /// The names of the return values in its error lines.
    pub fn errors(&self) -> Vec<String> {
        let words = |line: &str| {
            line.split_whitespace()
                .filter(|word| word.starts_with("CKR_"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        self.stderr.lines().filter(|line| line.starts_with("error:")).flat_map(words).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, code, stdout, stderr } = self;
        write!(f, "$ {line}\n{stdout}{stderr}(status {code:?})")
    }
}
