//! Where PINs come from, and what a wrong one costs.

use super::place::*;
use std::process::Command;

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
    let answers = place.says(&["selftest"], "All 26 self-tests passed.");
    for name in ["SHA-1 ", "HMAC-SHA3-512 ", "AES-256-GCM ", "Argon2id ", "X25519 "] {
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
