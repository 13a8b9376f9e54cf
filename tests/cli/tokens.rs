//! Making, listing and showing tokens.

use super::place::*;
use std::process::Stdio;

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
    let account = "account, region:       000000000000, us-east-1\n";
    place.says(&["token", "show", "demo"], account);
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
    std::fs::write(place.database(), [0x5a; 4096]).unwrap();
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
    std::fs::write(place.database(), [0x5a; 4096]).unwrap();
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
fn help_says_where_pins_come_from_and_what_the_exit_status_means() {
    let help = Place::new().says(&["--help"], "Usage: signet <COMMAND>");
    for said in ["SIGNET_PIN", "--user-pin-file", "Exit status: 0 done", "5 `policy check`"] {
        assert!(help.contains(said), "{said}: {help}");
    }
}
