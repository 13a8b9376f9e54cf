//! `signet` as the person at the terminal meets it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PIN: &str = "1234";

/// A token directory of its own, and `signet` run in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a token labelled "demo".
    fn with_token() -> Self {
        let place = Self::new();
        place.says(&["token", "init", "--label", "demo"], "Token \"demo\" made in slot 0.");
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `signet` with both PINs in its environment and no terminal.
    fn command(&self, arguments: &[&str]) -> Command {
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

    fn run_with(&self, arguments: &[&str], pin: Option<&str>, input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        match pin {
            Some(pin) => command.env("SIGNET_PIN", pin),
            None => command.env_remove("SIGNET_PIN"),
        };
        fed(command, input)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, Some(PIN), b"")
    }

    /// Succeeds and prints something that contains `expected`.
    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &str) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success() && out.contains(expected), "{arguments:?}: {out}{err}");
        out
    }

    /// Ends with `status` and a message that contains `expected`.
    #[track_caller]
    fn fails(&self, arguments: &[&str], status: i32, expected: &str) {
        fails(&self.run(arguments), status, expected);
    }
}

/// Runs a command to its end on this input.
fn fed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses before it reads closes the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn fails(output: &Output, status: i32, expected: &str) {
    let (out, err) = texts(output);
    assert!(output.status.code() == Some(status) && err.contains(expected), "{out}{err}");
    assert!(out.is_empty(), "printed in spite of the failure: {out}");
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_token_is_made_listed_and_shown() {
    let place = Place::new();
    let none = format!(
        "No tokens in {}. `signet token init --label NAME` makes one.",
        place.path().join("tokens").display()
    );
    place.says(&["token", "list"], &none);
    place.says(&["token", "init", "--label", "demo"], "slot 0");
    place.says(&["token", "init", "--label", "second"], "slot 1");
    let list = place.says(&["token", "list"], "demo");
    assert_eq!(list.lines().count(), 3, "{list}");
    place.says(&["token", "show", "demo"], "user PIN:              set\n");
}

#[test]
fn a_label_names_one_token() {
    let place = Place::with_token();
    place.fails(
        &["token", "init", "--label", "demo"],
        1,
        "slot 0 holds a token labelled \"demo\" already",
    );
    place.fails(&["token", "show", "domo"], 1, "no token is labelled \"domo\"; there is demo in");
    for label in ["", "ends with a blank ", "more than thirty-two bytes of a label"] {
        place.fails(&["token", "init", "--label", label], 1, "a label has 1 to 32 bytes");
    }
}

#[test]
fn a_label_does_not_steer_the_terminal() {
    let place = Place::new();
    place.says(&["token", "init", "--label", "one\x1b[2J\u{202e}"], "slot 0");
    let shown = "one\\u{1b}[2J\\u{202e}";
    place.says(&["token", "list"], shown);
    place.says(&["token", "show", "one\x1b[2J\u{202e}"], shown);
    place.fails(&["token", "show", "two"], 1, shown);
}

#[test]
fn a_damaged_token_keeps_nobody_from_the_others() {
    let place = Place::with_token();
    place.says(&["token", "init", "--label", "second"], "slot 1");
    place.says(&["key", "generate", "--token", "second", "--key", "a"], "Generated");
    std::fs::write(place.path().join("tokens/slot-0/token.db"), [0x5a; 4096]).unwrap();
    let output = place.run(&["token", "list"]);
    let (out, err) = texts(&output);
    assert!(output.status.success() && out.contains("second"), "{out}{err}");
    assert!(err.contains("slot 0 is passed over") && err.contains("is damaged"), "{err}");
    place.says(&["key", "list", "--token", "second"], "label \"a\"");
    place.fails(
        &["key", "list", "--token", "demo"],
        1,
        "no token is labelled \"demo\"; there is second, 1 that cannot be read in",
    );
    place.says(&["token", "init", "--label", "third"], "slot 2");
}

/// Nobody is told that there is nothing, and to make a token, where there is one.
#[test]
fn a_damaged_token_is_not_taken_for_none() {
    let place = Place::with_token();
    std::fs::write(place.path().join("tokens/slot-0/token.db"), [0x5a; 4096]).unwrap();
    let output = place.run(&["token", "list"]);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), &*out), (Some(1), ""), "{err}");
    assert!(err.contains("slot 0 is passed over") && err.contains("can be read"), "{err}");
    place.fails(&["token", "show", "demo"], 1, "there is 1 that cannot be read in");
}

#[test]
fn output_that_goes_nowhere_is_a_failure() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    for arguments in [
        &["token", "list"][..],
        &["mac", "sign", "--token", "demo", "--key", "a"],
        &["mac", "sign", "--token", "demo", "--key", "a", "--raw"],
        &["selftest"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = place.command(arguments).stdout(full).stdin(Stdio::null()).output().unwrap();
        fails(&output, 1, "signet: standard output: No space left");
    }
}

#[test]
fn keys_are_made_listed_and_used() {
    let place = Place::with_token();
    let token = ["--token", "demo"];
    let with = |rest: &[&'static str]| [rest, &token].concat();
    place.says(&with(&["key", "list"]), "No keys.");
    place.says(&with(&["key", "generate", "--key", "a"]), "generic  32 bytes  sign+verify");
    let typed = ["key", "generate", "--key", "b", "--type", "sha512", "--bytes", "64"];
    place.says(&with(&typed), "sha512  64 bytes  sign+verify  unreadable");
    let list = place.says(&with(&["key", "list"]), "label \"a\"");
    assert_eq!(list.lines().count(), 2, "{list}");

    let message = place.file("message", "hello");
    let mac = place.says(&[&with(&["mac", "sign", "--key", "b"])[..], &[&message]].concat(), "");
    assert_eq!(mac.trim().len(), 128, "the MAC of the key's own hash");
    let verify = with(&["mac", "verify", "--key", "b", "--mac"]);
    let (command, token) = verify.split_at(5);
    let check = |mac: &str| place.run(&[command, &[mac], token, &[&message]].concat());
    assert!(check(mac.trim()).status.success());
    let flipped = if mac.starts_with('0') { "1" } else { "0" }.to_owned() + &mac.trim()[1..];
    fails(&check(&flipped), 1, "the MAC is wrong");
    fails(&check("abcd"), 1, "the MAC is wrong");
    fails(&check("xyz"), 2, "hexadecimal");
}

#[test]
fn an_imported_key_gives_the_known_mac() {
    let place = Place::with_token();
    let raw = place.file("raw", "Jefe");
    let digits = place.file("digits", "4a65\n6665\n");
    let import = |name, file, rest: &[&str]| {
        let command = ["key", "import", "--token", "demo", "--key", name, "--file", file];
        place.says(&[&command, rest].concat(), "generic  4 bytes");
    };
    import("raw", &raw, &[]);
    import("hex", &digits, &["--hex"]);
    let message = place.file("message", "what do ya want for nothing?");
    for key in ["raw", "hex"] {
        // RFC 4231, test case 2.
        place.says(
            &["mac", "sign", "--token", "demo", "--key", key, &message],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
    }
    place.says(
        &["mac", "sign", "--token", "demo", "--key", "raw", "--hash", "SHA-224", &message],
        "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    );
}

#[test]
fn a_stream_of_any_size_is_read_from_standard_input() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    let message = vec![0x5a; 1_000_003];
    let file = place.file("message", &message);
    let sign = ["mac", "sign", "--token", "demo", "--key", "a"];
    let from_file = place.run(&[&sign[..], &[&file]].concat());
    let from_input = place.run_with(&sign, Some(PIN), &message);
    assert!(from_file.status.success(), "{:?}", texts(&from_file));
    assert_eq!(texts(&from_file), texts(&from_input));
    let raw = place.run_with(&[&sign[..], &["--raw", "-"]].concat(), Some(PIN), &message);
    let digits: String = raw.stdout.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, texts(&from_file).0.trim());
}

#[test]
fn a_key_is_named_exactly() {
    let place = Place::with_token();
    let generate = ["key", "generate", "--token", "demo"];
    for name in [["--key", "a"], ["--id", "0a"]] {
        place.says(&[&generate[..], &name].concat(), "Generated");
        place.fails(&[&generate[..], &name].concat(), 1, "is there already");
    }
    place.fails(&generate, 2, "--key <LABEL>|--id <HEX>");
    place.fails(
        &["mac", "sign", "--token", "demo", "--key", "b"],
        1,
        "no key is labelled \"b\"; `signet key list` shows what is there",
    );
    place.fails(&[&generate[..], &["--key", "c", "--bytes", "13"]].concat(), 2, "14..=512");
    place.fails(&[&generate[..], &["--key", "c", "--type", "aes"]].concat(), 2, "one of generic");
}

#[test]
fn a_pin_comes_from_a_file_or_the_environment() {
    let place = Place::with_token();
    let list = ["key", "list", "--token", "demo"];
    fails(&place.run_with(&list, None, b""), 1, "set SIGNET_PIN");
    let file = place.file("pin", format!("{PIN}\nsecond line\n"));
    let output = place.run_with(&[&list[..], &["--pin-file", &file]].concat(), None, b"");
    assert!(output.status.success(), "{:?}", texts(&output));
    let missing = [&list[..], &["--pin-file", "/nonexistent/pin"]].concat();
    place.fails(&missing, 1, "/nonexistent/pin: No such file");
}

#[test]
fn wrong_pins_are_counted_and_the_last_chance_is_told() {
    let place = Place::with_token();
    let list = ["key", "list", "--token", "demo"];
    let wrong = || place.run_with(&list, Some("4321"), b"");
    for left in (2..10).rev() {
        fails(&wrong(), 1, &format!("wrong PIN; {left} attempts left"));
    }
    fails(&wrong(), 1, "wrong PIN; the next wrong one locks it");
    place.says(&["token", "show", "demo"], "1 of 10 attempts left");
    fails(&wrong(), 1, "wrong PIN; it is now locked");
    place.fails(&list, 1, "locked after too many wrong attempts");
    place.says(&["token", "show", "demo"], "user PIN:              locked");
}

/// A service that is restarted over and over with an empty secret locks nothing.
#[test]
fn a_pin_that_none_can_be_is_not_tried() {
    let place = Place::with_token();
    for content in ["", "\n", "123", &"1".repeat(256)] {
        let file = place.file("pin", content);
        let list = ["key", "list", "--token", "demo", "--pin-file", &file];
        place.fails(&list, 1, &format!("{file}: a PIN has 4 to 255 bytes"));
    }
    place.says(&["token", "show", "demo"], "user PIN:              set\n");
}

#[test]
fn what_cannot_be_read_is_named() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    place.fails(
        &["mac", "sign", "--token", "demo", "--key", "a", "/nonexistent/message"],
        1,
        "/nonexistent/message: No such file",
    );
    place.fails(
        &["key", "import", "--token", "demo", "--key", "b", "--file", "/nonexistent/key"],
        1,
        "/nonexistent/key: No such file",
    );
    let long = place.file("long", vec![0; (1 << 20) + 1]);
    place.fails(
        &["key", "import", "--token", "demo", "--key", "b", "--file", &long],
        1,
        "too long for a key",
    );
    let text = place.file("text", "zz");
    place.fails(
        &["key", "import", "--token", "demo", "--key", "b", "--hex", "--file", &text],
        1,
        &format!("{text}: not hexadecimal"),
    );
    let empty = place.file("empty", "");
    place.fails(
        &["key", "import", "--token", "demo", "--key", "b", "--file", &empty],
        1,
        "CKA_VALUE",
    );
}

#[test]
fn the_self_test_names_every_answer() {
    let place = Place::new();
    let answers = place.says(&["selftest"], "All 25 self-tests passed.");
    for name in ["SHA-1 ", "HMAC-SHA3-512 ", "AES-256-GCM ", "Argon2id "] {
        assert!(answers.lines().any(|line| line.starts_with(name) && line.ends_with(" ok")));
    }
}

#[test]
fn a_pin_is_asked_for_at_the_terminal_while_the_message_comes_from_a_pipe() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    let expected =
        place.run_with(&["mac", "sign", "--token", "demo", "--key", "a"], Some(PIN), b"x");
    let sign = format!("printf x | {} mac sign --token demo --key a", env!("CARGO_BIN_EXE_signet"));
    // A terminal of its own, at which the PIN is typed.
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command", &sign, "/dev/null"])
        .env_clear()
        .env("SIGNET_TOKENDIR", place.path().join("tokens"));
    let output = fed(command, format!("{PIN}\n").as_bytes());
    let (out, err) = texts(&output);
    assert!(output.status.success() && out.contains("PIN of \"demo\": "), "{out}{err}");
    assert!(out.contains(texts(&expected).0.trim()), "{out}{err}");
}
