//! Tokens that may be read and not written.
//!
//! Root may write everything, so the reader is another process, and of another uid
//! when the tests run as root.

use super::processes::{Player, say, wait};
use super::*;
use crate::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// "nobody", where root runs the tests.
const READER: u32 = 65534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_modes(token: &Path, directory: u32, files: u32) {
    for entry in fs::read_dir(token).unwrap() {
        set_mode(&entry.unwrap().path(), files);
    }
    set_mode(token, directory);
}

/// Takes away everybody's right to write, and gives the reader the right to read.
fn protect(token: &Path) {
    set_modes(token, 0o555, 0o444);
}

/// Makes the reader the owner of the place and of all that is in it.
fn give_away(directory: &tempfile::TempDir, token: &Path) {
    if nix::unistd::Uid::effective().is_root() {
        let mut command = Command::new("chown");
        command.arg("-R").arg(READER.to_string()).arg(directory.path());
        assert!(command.status().unwrap().success());
    }
    set_modes(token, 0o700, 0o600);
}

/// A process that reads the token of slot 0 as `variant` says.
fn reader(directory: &tempfile::TempDir, variant: usize) -> Player {
    player(directory, "read", variant)
}

/// A process that is not root's.
fn player(directory: &tempfile::TempDir, role: &str, variant: usize) -> Player {
    set_mode(directory.path(), 0o755);
    // The test program itself may lie where nobody else may look.
    let program = directory.path().join("program");
    // By another process: a descriptor that is open for writing here could be
    // inherited by a child that another test starts, and keep the file from running.
    let mut copy = Command::new("cp");
    copy.arg(std::env::current_exe().unwrap()).arg(&program);
    assert!(copy.status().unwrap().success());
    set_mode(&program, 0o755);
    let uid = nix::unistd::Uid::effective().is_root().then_some(READER);
    Player::start_program(&program, role, directory.path(), variant, uid)
}

/// A token with one record and one failure, and its directory.
fn token() -> (tempfile::TempDir, Arc<dyn Store>, std::path::PathBuf) {
    let directory = directory();
    let store = place(directory.path()).create(0, vec![]).unwrap();
    commit(&*store, &[put("one", 0, b"", &[tag(1, 1)])]).unwrap();
    store.reserve(&id("user"), 2).unwrap().fail().unwrap();
    let token = directory.path().join("slot-0");
    (directory, store, token)
}

/// The reader's part.
pub(super) fn read(path: &Path, variant: &str) {
    let place = place(path);
    assert_eq!(place.slots().unwrap(), [0]);
    let store = place.open(0).unwrap();
    assert!(!store.is_writable());
    assert_eq!(names(&store.find(KIND, &[tag(1, 1)], None, 9).unwrap()), ["one"]);
    let read_only = |error: Option<Error>| {
        assert!(matches!(error, Some(Error::StoreReadOnly(_))), "{error:?}");
    };
    read_only(commit(&*store, &[put("two", 0, b"", &[])]).err());
    read_only(store.forgive(&id("user")).err());
    // Logins work, uncounted, except where the limit was reached before.
    assert_eq!(failures(&*store, "user"), 1);
    store.reserve(&id("user"), 2).unwrap().fail().unwrap();
    drop(store.reserve(&id("user"), 2).unwrap());
    store.reserve(&id("user"), 2).unwrap().succeed().unwrap();
    assert_eq!(failures(&*store, "user"), 1);
    assert_eq!(store.reserve(&id("user"), 1).err(), Some(Error::PinLocked));
    let present = store.present().unwrap().unwrap();
    assert!(variant == "2" || store.alone().unwrap().is_none());
    drop(present);
    let before = store.generation();
    assert!(before.is_settled());
    assert_eq!(store.generation(), before);
    if variant == "1" {
        say("opened");
        wait();
        assert_ne!(store.generation(), before);
        assert_eq!(store.sequence(), Ok(Sequence(2)));
        assert!(store.get(KIND, &id("two")).unwrap().is_some());
    }
}

#[test]
fn a_closed_token_is_read() {
    let (directory, store, token) = token();
    drop(store);
    protect(&token);
    reader(&directory, 0).ends_well();
    set_mode(&token, 0o755);
}

#[test]
fn an_owner_who_may_only_read_reads() {
    let (directory, store, token) = token();
    drop(store);
    give_away(&directory, &token);
    set_modes(&token, 0o500, 0o400);
    reader(&directory, 0).ends_well();
    set_mode(&token, 0o700);
}

/// The part of an owner who loses the permission to write, and gets it back.
pub(super) fn lose_permission(path: &Path) {
    let (place, token) = (place(path), path.join("slot-0"));
    let store = place.open(0).unwrap();
    let read_only = |error: Option<Error>| {
        assert!(matches!(error, Some(Error::StoreReadOnly(_))), "{error:?}");
    };
    // Before the first commit of this process, and after it.
    for (round, (directory, files)) in (2..).zip([(0o500, 0o400), (0o500, 0o600), (0o700, 0o400)]) {
        assert!(store.is_writable());
        set_modes(&token, directory, files);
        assert!(!store.is_writable());
        read_only(commit(&*store, &[put("refused", 0, b"", &[])]).err());
        read_only(store.forgive(&id("user")).err());
        assert_eq!(failures(&*store, "user"), 1);
        store.reserve(&id("user"), 2).unwrap().fail().unwrap();
        assert_eq!(failures(&*store, "user"), 1, "nothing could be counted");
        assert_eq!(names(&store.find(KIND, &[tag(1, 1)], None, 9).unwrap()), ["one"]);
        assert!(store.generation().is_settled());
        drop(store.present().unwrap().unwrap());
        store.snapshot(&mut |state| state.sequence().map(drop)).unwrap();
        // One who comes now reads only, also when the permission is back.
        let other = super::place(path).open(0).unwrap();
        set_modes(&token, 0o700, 0o600);
        assert!(!other.is_writable());
        assert_eq!(other.sequence(), store.sequence());
        let sequence = commit(&*store, &[put(&round.to_string(), 0, b"", &[])]);
        assert_eq!(sequence, Ok(Sequence(round)));
        assert_eq!(other.sequence(), Ok(Sequence(round)));
    }
    // One that was opened to be read only tells when it is worth opening it anew.
    set_modes(&token, 0o500, 0o400);
    drop(store);
    let store = place.open(0).unwrap();
    assert!(!store.is_outdated());
    set_modes(&token, 0o700, 0o600);
    assert!(store.is_outdated());
    drop(store);
    let store = place.open(0).unwrap();
    commit(&*store, &[put("after", 0, b"", &[])]).unwrap();
    assert!(!store.is_outdated());
}

#[test]
fn permission_lost_at_run_time_is_named_and_comes_back() {
    let (directory, store, token) = token();
    drop(store);
    give_away(&directory, &token);
    player(&directory, "lose permission", 0).ends_well();
}

#[test]
fn what_its_owner_commits_meanwhile_is_seen() {
    for with_page in [true, false] {
        let (directory, store, token) = token();
        protect(&token);
        if !with_page {
            set_mode(&token, 0o755);
            fs::remove_file(token.join("generation")).unwrap();
            set_mode(&token, 0o555);
        }
        let mut reader = reader(&directory, 1);
        assert_eq!(reader.hear().as_deref(), Some("opened"));
        // The reader may write from now on, or its uid may, and does not notice.
        set_modes(&token, 0o755, 0o644);
        commit(&*store, &[put("two", 0, b"", &[])]).unwrap();
        reader.ends_well();
        drop(store);
    }
}

#[test]
fn a_database_copied_alone_is_read() {
    let (directory, store, token) = token();
    drop(store);
    for entry in fs::read_dir(&token).unwrap().map(|entry| entry.unwrap().path()) {
        if !entry.ends_with("token.db") {
            fs::remove_file(entry).unwrap();
        }
    }
    protect(&token);
    reader(&directory, 2).ends_well();
    set_mode(&token, 0o755);
}
