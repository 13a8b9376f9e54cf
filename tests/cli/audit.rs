//! The audit trail, as whoever looks at it meets it.

use super::place::*;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A token with a key, and a wrong login; the key's unique id.
fn with_history() -> (Place, String) {
    let place = Place::with_token();
    let id = generate(&place, "jwt");
    fails(&place.run_with(&["key", "list", "--token", "demo"], Some("9999"), b""), 1, "wrong PIN");
    (place, id)
}

/// Makes a key of this label; its unique id.
fn generate(place: &Place, label: &str) -> String {
    let said = place.says(&["key", "generate", "--token", "demo", "--key", label], "Generated");
    let line = said.lines().nth(1).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The directory of the token's trail.
fn directory(place: &Place) -> PathBuf {
    place.path().join("tokens/slot-0/audit")
}

/// The one segment of the trail.
fn segment(place: &Place) -> PathBuf {
    let files = fs::read_dir(directory(place)).unwrap().map(|entry| entry.unwrap().path());
    let mut segments = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let segment = segments.next().unwrap();
    assert_eq!(segments.next(), None);
    segment
}

/// The column of a table.
fn column(table: &str, from: usize, to: usize) -> Vec<&str> {
    table.lines().skip(1).map(|line| line[from..to].trim()).collect()
}

#[test]
fn what_was_done_is_shown_and_chosen_from() {
    let (place, id) = with_history();
    let own = ["StartAuditSegment", "ContinueAuditSegment", "EndAuditSegment"];
    let table = place.says(&["audit", "show", "demo"], "TIME");
    let expected = ["InitializeToken", "Login", "CreateKey", "Login"];
    assert_eq!(column(&table, 40, 62), expected);
    let table = place.says(&["audit", "show", "demo", "--all"], "TIME");
    let all = column(&table, 40, 62);
    assert!(own.iter().all(|action| all.contains(action)), "{table}");
    let others: Vec<_> = all.into_iter().filter(|action| !own.contains(action)).collect();
    assert_eq!(others, expected);
    let asked = ["audit", "show", "demo", "--action", own[0]];
    assert_eq!(column(&place.says(&asked, "TIME"), 40, 62), [own[0]]);
    for (filter, expected) in [
        (&["--action", "kms:CreateKey"][..], &["root"][..]),
        (&["--key", &id], &["root"]),
        (&["--user", "root"], &["root", "root"]),
        (&["--user", "so"], &["so"]),
        (&["--errors"], &["public"]),
        (&["--since", "1h", "--action", "InitializeToken"], &["so"]),
        (&["--until", "2020-01-01"], &[]),
        (&["--since", "1h", "--until", "30m"], &[]),
    ] {
        let table = place.says(&[&["audit", "show", "demo"], filter].concat(), "TIME");
        assert_eq!(column(&table, 22, 38), expected, "{filter:?}: {table}");
    }
    let errors = place.says(&["audit", "show", "--slot", "0", "--errors"], "PinIncorrect");
    assert_eq!(errors.lines().count(), 2, "{errors}");
    let lines = place.says(&["audit", "show", "demo", "--json", "--key", &id], "\"CreateKey\"");
    let record: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(record["userIdentity"]["arn"], "arn:aws:iam::000000000000:root");
    let arn = record["resources"][0]["ARN"].as_str().unwrap();
    assert!(arn.ends_with(&format!(":key/{id}")), "{arn}");
    place.says(&["audit", "show", "demo", "--key", arn], "CreateKey");
    assert!(!place.says(&["audit", "export", "demo"], "Records").contains("jwt"), "it is private");
    let none = texts(&place.run(&["audit", "show", "demo", "--key", "jwt"])).1;
    assert!(none.starts_with("signet: no record is of this kind; the trail does not"), "{none}");
    place.fails(&["audit", "show", "demo", "--since", "tomorrow"], 2, "none of 2026-11-24");
    place.fails(&["audit", "show", "other"], 1, "no token is labelled");
}

#[test]
fn all_of_it_is_exported_as_cloudtrail_has_it() {
    let (place, _) = with_history();
    let all = place.says(&["audit", "export", "demo"], "Records");
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    let all = all["Records"].as_array().unwrap();
    let lines = place.says(&["audit", "export", "demo", "--lines"], "eventVersion");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(*all, lines);
    let none = place.says(&["audit", "export", "demo", "--until", "2020-01-01"], "Records");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&none).unwrap()["Records"],
        serde_json::json!([])
    );
}

#[test]
fn what_was_done_to_the_trail_is_found_with_no_pin() {
    let (place, _) = with_history();
    let key = place.says(&["audit", "key", "demo"], "signet/");
    let checkpoint = place.says(&["audit", "checkpoint", "demo"], "signet audit trail ");
    let kept = place.file("kept", &checkpoint);
    let verify = ["audit", "verify", "demo", "--key", key.trim(), "--checkpoint", &kept];
    let verify_sound = |arguments: &[&str]| {
        let output = place.run_with(arguments, None, b"");
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains("Nothing is wrong with the trail."), "{out}");
        out
    };
    assert!(verify_sound(&verify).contains("kept (number "));
    assert!(verify_sound(&["audit", "verify", "demo"]).contains(key.trim()));
    let (segment, directory) = (segment(&place), directory(&place));
    let copy = directory.to_str().unwrap();
    verify_sound(&["audit", "verify", "--directory", copy, "--key", key.trim()]);

    let content = fs::read_to_string(&segment).unwrap();
    let name = segment.file_stem().unwrap().to_str().unwrap();
    let found = |changed: String, expected: &str| {
        fs::write(&segment, changed).unwrap();
        let output = place.run_with(&verify, None, b"");
        let (out, err) = texts(&output);
        assert!(out.contains(&format!("{name}, {expected}")), "{expected}: {out}");
        assert!(err.contains("1 thing is wrong with the trail"), "{err}");
        assert_eq!(output.status.code(), Some(1));
    };
    let lines: Vec<_> = content.split_inclusive('\n').collect();
    let created = lines.iter().position(|line| line.contains("\"CreateKey\"")).unwrap();
    let record: serde_json::Value = serde_json::from_str(lines[created]).unwrap();
    let id = record["eventID"].as_str().unwrap();
    let number = created + 1;
    found(
        content.replace("\"CreateKey\"", "\"CreateKez\""),
        &format!("record {number} (event {id} of "),
    );
    let without = [&lines[..created], &lines[created + 1..]].concat().concat();
    found(without, &format!("record {number}: missing"));
    found(lines[..created].concat(), &format!("record {number}: missing, up to record "));
    fs::write(&segment, &content).unwrap();
    verify_sound(&verify);
    let other = place.file("other", checkpoint.replacen("\ncheckpoint ", "\ncheckpoint 9", 1));
    let (out, err) = texts(&place.run(&["audit", "verify", "demo", "--checkpoint", &other]));
    assert!(out.contains("other: not to be believed: its signature is wrong"), "{out}{err}");
    place.fails(&["audit", "verify", "demo", "--key", "nonsense"], 2, "not a verifier key");
    place.fails(&["audit", "verify", "--directory", copy, "--checkpoint", &kept], 2, "--key");
    let elsewhere = place.path().join("tokens");
    let elsewhere = ["audit", "verify", "--directory", elsewhere.to_str().unwrap()];
    place.fails(&elsewhere, 4, "there is no trail");
    place.fails(&["audit", "verify", "--directory", &key], 4, "not a directory");
}

#[test]
fn a_key_that_is_not_the_tokens_is_told() {
    let (place, _) = with_history();
    place.says(&["token", "init", "--label", "other"], "made in slot 1");
    let other = place.says(&["audit", "key", "other"], "signet/");
    let verify = ["audit", "verify", "demo", "--key", other.trim()];
    let output = place.run_with(&verify, None, b"");
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(out.contains("has another key than the one given"), "{out}");
    assert!(out.contains(", record 1") && out.contains("of another token"), "{out}");
}

#[test]
fn what_somebody_has_put_into_the_trail_breaks_no_output() {
    let (place, id) = with_history();
    let segment = segment(&place);
    let content = fs::read_to_string(&segment).unwrap();
    let line = content.lines().nth(1).unwrap();
    // The beginning and the end are right, and what is between them is no JSON.
    let (start, rest) = line.split_once("\"userIdentity\":").unwrap();
    let (_, end) = rest.rsplit_once(",\"eventCategory\"").unwrap();
    for hostile in ["[".repeat(100_000), "\u{1b}[2J".into(), "}".into()] {
        let put = format!(
            "{content}{start}\"userIdentity\":{hostile},\"eventCategory\"{end}\n\u{fffd}\n"
        );
        fs::write(&segment, put).unwrap();
        for arguments in [&["export"][..], &["export", "--lines"], &["show"], &["show", "--json"]] {
            let arguments = [&["audit"], arguments, &["demo", "--key", &id]].concat();
            let output = place.run(&arguments);
            let (out, err) = texts(&output);
            assert!(output.status.success(), "{out}{err}");
            assert!(err.contains(" lines are no records"), "{arguments:?}: {err}");
            assert!(!out.contains('\u{1b}'), "{out}");
            if arguments.contains(&"export") && !arguments.contains(&"--lines") {
                let all: serde_json::Value = serde_json::from_str(&out).unwrap();
                assert_eq!(all["Records"].as_array().unwrap().len(), 1);
            }
        }
    }
}

#[test]
fn whoever_follows_sees_what_is_done() {
    let place = Place::with_token();
    let mut follow = Command::new(env!("CARGO_BIN_EXE_signet"));
    follow
        .args(["audit", "follow", "demo", "--action", "CreateKey"])
        .env("SIGNET_TOKENDIR", place.path().join("tokens"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // Once the head of the table is there, it follows.
    assert!(lines.next().unwrap().unwrap().starts_with("TIME"));
    let mut next = || lines.next().unwrap().unwrap();
    for label in ["one", "two"] {
        let id = generate(&place, label);
        let line = next();
        assert!(line.contains("CreateKey") && line.contains(&id), "{line}");
    }
    // In a segment that is begun, as somebody has the one that is there.
    let present = fs::File::open(segment(&place)).unwrap();
    present.lock().unwrap();
    let id = generate(&place, "three");
    assert!(next().contains(&id));
    let is_segment = |path: &Path| path.extension().is_some_and(|end| end == "jsonl");
    let files = fs::read_dir(directory(&place)).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(files.filter(|path| is_segment(path)).count(), 2);
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn a_destroyed_token_leaves_its_trail() {
    let (place, _) = with_history();
    let key = place.says(&["audit", "key", "demo"], "signet/");
    place.says(&["token", "zeroize", "demo", "--yes"], "destroyed");
    let tokens = fs::read_dir(place.path().join("tokens")).unwrap();
    let mut kept = tokens
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("slot-0.audit-"));
    let kept = kept.next().unwrap();
    let kept = kept.to_str().unwrap();
    let table = place.says(&["audit", "show", "--directory", kept], "ZeroizeToken");
    assert!(table.contains("CreateKey"), "{table}");
    let verify = ["audit", "verify", "--directory", kept, "--key", key.trim()];
    place.says(&verify, "Nothing is wrong");
    // The next token of this slot has a trail of its own.
    place.says(&["token", "init", "--label", "demo"], "made in slot 0");
    let table = place.says(&["audit", "show", "demo"], "InitializeToken");
    assert!(!table.contains("CreateKey"), "{table}");
}

#[test]
fn what_cannot_be_recorded_is_refused_if_it_must_be() {
    let (place, _) = with_history();
    let directory = directory(&place);
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    let generate = ["key", "generate", "--token", "demo", "--key", "more"];
    let output = place.run(&generate);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err.matches("operations go on unrecorded").count(), 1, "{err}");
    let mut required = place.command(&generate);
    required.env("SIGNET_AUDIT_REQUIRED", "true");
    fails(&fed(required, b""), 1, "refused, as the audit trail cannot be written");
    let keys = place.says(&["key", "list", "--token", "demo"], "jwt");
    assert_eq!(keys.matches("more").count(), 1, "{keys}");
}
