//! `signet` run in a token directory of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The user PIN of every token.
pub const PIN: &str = "1234";

/// A token directory of its own, and `signet` run in it.
pub struct Place(tempfile::TempDir);

impl Place {
    /// Empty.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a token labelled "demo".
    pub fn with_token() -> Self {
        let place = Self::new();
        place.says(&["token", "init", "--label", "demo"], "Token \"demo\" made in slot 0.");
        place
    }

    /// The directory that holds the token directory, `tokens`.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file of the token in slot 0.
    pub fn database(&self) -> PathBuf {
        self.path().join("tokens/slot-0/token.db")
    }

    /// Makes a file in [`Place::path`]; its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `signet` with both PINs in its environment and no terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command
            .args(["--wait", env!("CARGO_BIN_EXE_signet")])
            .args(arguments)
            .env_clear()
            .env("SIGNET_TOKENDIR", self.path().join("tokens"))
            .env("SIGNET_SO_PIN", "12345678")
            .env("SIGNET_PIN", PIN);
        command
    }

    /// Runs it on this input.
    pub fn run_with(&self, arguments: &[&str], pin: Option<&str>, input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        match pin {
            Some(pin) => command.env("SIGNET_PIN", pin),
            None => command.env_remove("SIGNET_PIN"),
        };
        fed(command, input)
    }

    /// Runs it without input.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, Some(PIN), b"")
    }

    /// Succeeds and prints something that contains `expected`.
    #[track_caller]
    pub fn says(&self, arguments: &[&str], expected: &str) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success() && out.contains(expected), "{arguments:?}: {out}{err}");
        out
    }

    /// Ends with `status` and a message that contains `expected`.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str], status: i32, expected: &str) {
        fails(&self.run(arguments), status, expected);
    }
}

/// Runs a command to its end on this input.
pub fn fed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses before it reads closes the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Checks that a command ended with `status` and a message that contains `expected`.
#[track_caller]
pub fn fails(output: &Output, status: i32, expected: &str) {
    let (out, err) = texts(output);
    assert!(output.status.code() == Some(status) && err.contains(expected), "{out}{err}");
    assert!(out.is_empty(), "printed in spite of the failure: {out}");
}

/// What a command printed, and its messages.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
