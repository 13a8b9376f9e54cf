//! Old copies of a token, and the counter that knows them.

use super::place::*;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Output;

/// A place whose programs ask a rollback counter.
struct Guarded(Place);

impl Guarded {
    fn new() -> Self {
        let place = Self(Place::new());
        place.says(&["token", "init", "--label", "demo"], "made in slot 0");
        place
    }

    fn counter(&self) -> PathBuf {
        self.0.path().join("counter")
    }

    fn run(&self, arguments: &[&str], pin: &str) -> Output {
        let mut command = self.0.command(arguments);
        command.env("SIGNET_PIN", pin).env("SIGNET_ROLLBACK_COUNTER", self.counter());
        fed(command, b"")
    }

    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &str) {
        let output = self.run(arguments, PIN);
        let (out, err) = texts(&output);
        assert!(output.status.success() && out.contains(expected), "{arguments:?}: {out}{err}");
    }

    #[track_caller]
    fn is_refused(&self) {
        let list = self.run(&["key", "list", "--token", "demo"], PIN);
        let (_, err) = texts(&list);
        assert!(
            err.contains("slot 0 is passed over: the token in slot 0 is an older copy: "),
            "{err}"
        );
        assert!(err.contains("`signet token accept LABEL` accepts it as it is"), "{err}");
        fails(&list, 1, "1 that cannot be read");
    }

    /// The token's file, with the log written back into it.
    fn copy(&self) -> Vec<u8> {
        let file = rusqlite::Connection::open(self.0.database()).unwrap();
        file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(file);
        std::fs::read(self.0.database()).unwrap()
    }

    fn put_back(&self, copy: &[u8]) {
        self.copy();
        std::fs::write(self.0.database(), copy).unwrap();
    }
}

const GENERATE: [&str; 6] = ["key", "generate", "--token", "demo", "--key", "a"];
const LIST: [&str; 4] = ["key", "list", "--token", "demo"];

#[test]
fn an_old_copy_is_refused_until_it_is_accepted() {
    let place = Guarded::new();
    let old = place.copy();
    place.says(&GENERATE, "Generated");
    place.put_back(&old);
    place.is_refused();
    place.says(&["token", "accept", "demo"], "\"demo\" is accepted as it is, with 1 commits");
    place.says(&GENERATE, "Generated");
    place.says(&["token", "accept", "demo"], "nothing had to be accepted");
    place.0.fails(&["token", "accept", "demo"], 1, "no rollback counter is set");
}

#[test]
fn a_token_that_cannot_be_remembered_is_not_made() {
    let place = Guarded(Place::new());
    let full = "x 1 1 1 0\n".repeat(100_000);
    for (content, why) in [("somebody's notes\n", "not a rollback counter"), (&full, "counter")] {
        std::fs::write(place.counter(), content).unwrap();
        fails(&place.run(&["token", "init", "--label", "demo"], PIN), 1, why);
        place.0.says(&["token", "list"], "No tokens");
    }
    std::fs::remove_file(place.counter()).unwrap();
    place.says(&["token", "init", "--label", "demo"], "made in slot 0");
}

#[test]
fn of_two_copies_of_one_token_the_older_is_named_by_its_slot_and_accepted() {
    let place = Guarded::new();
    let copy = place.copy();
    let slot = place.0.path().join("tokens/slot-1");
    std::fs::DirBuilder::new().mode(0o700).create(&slot).unwrap();
    let file = slot.join("token.db");
    std::fs::write(&file, copy).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    fails(&place.run(&["token", "accept", "demo"], PIN), 1, "several tokens are labelled \"demo\"");
    place.says(&["token", "accept", "--slot", "1"], "nothing had to be accepted");
}

#[test]
fn a_copy_from_before_wrong_pins_is_refused() {
    let place = Guarded::new();
    let old = place.copy();
    fails(&place.run(&LIST, "4321"), 1, "9 attempts left");
    place.put_back(&old);
    place.is_refused();
}

#[test]
fn a_store_ahead_of_the_counter_is_no_old_copy() {
    let place = Guarded::new();
    // Somebody without the setting, or who was killed before it was remembered.
    place.0.says(&GENERATE, "Generated");
    place.says(&["key", "generate", "--token", "demo", "--key", "b"], "Generated");
    // A counter that was lost begins anew.
    std::fs::remove_file(place.counter()).unwrap();
    place.says(&LIST, "label \"a\"");
    let old = place.copy();
    place.says(&["key", "generate", "--token", "demo", "--key", "c"], "Generated");
    place.put_back(&old);
    place.is_refused();
}

#[test]
fn a_counter_that_cannot_be_used_is_named_and_costs_no_attempt() {
    let place = Guarded::new();
    for _ in 0..12 {
        std::fs::write(place.counter(), "somebody's notes\n").unwrap();
        let output = place.run(&LIST, PIN);
        let (_, err) = texts(&output);
        assert!(err.contains("counter is damaged: it is not a rollback counter"), "{err}");
        assert_eq!(output.status.code(), Some(1));
    }
    std::fs::remove_file(place.counter()).unwrap();
    place.says(&["token", "show", "demo"], "user PIN:              set\n");
    let inside = place.0.path().join("tokens/counter");
    let mut command = place.0.command(&LIST);
    command.env("SIGNET_ROLLBACK_COUNTER", inside);
    fails(&fed(command, b""), 1, "SIGNET_ROLLBACK_COUNTER: must lie outside the token directory");
}
