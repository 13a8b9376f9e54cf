//! Files that are damaged, foreign, or not ours to trust.

use super::*;
use crate::error::Error;
use crate::store::generation::GenerationPage;
use crate::types::SlotId;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

/// A place with one token in slot 0, closed again.
fn token() -> (tempfile::TempDir, PathBuf) {
    let directory = directory();
    let store = place(directory.path()).create(0, vec![]).unwrap();
    let batch: Vec<_> =
        (0..200).map(|n| put(&format!("{n}"), 0, &[7; 300], &[tag(1, n % 5)])).collect();
    commit(&*store, &batch).unwrap();
    drop(store);
    let token = directory.path().join("slot-0");
    (directory, token)
}

fn open(directory: &tempfile::TempDir) -> Result<Arc<dyn Store>> {
    place(directory.path()).open(0)
}

fn reason(failed: Result<Arc<dyn Store>>) -> String {
    match failed.err() {
        Some(Error::StoreIo { reason, .. } | Error::StoreDamaged { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_file_is_private() {
    let (directory, token) = token();
    let store = open(&directory).unwrap();
    let _present = store.present().unwrap().unwrap();
    store.reserve(&id("user"), 3).unwrap().succeed().unwrap();
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&token), 0o700);
    let mut names = Vec::new();
    for folder in [directory.path(), &token] {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry != token {
                assert_eq!(mode(&entry), 0o600, "{}", entry.display());
                names.push(entry.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    let mut expected = [&FILES[..], &["signet.lock"]].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn foreign_databases_are_named_damaged() {
    let (directory, token) = token();
    let database = token.join("token.db");
    fs::remove_file(token.join("token.db-wal")).unwrap();
    for content in [&b""[..], b"something else entirely", &[0; 8192]] {
        fs::write(&database, content).unwrap();
        let failed = open(&directory).err();
        assert!(matches!(failed, Some(Error::StoreDamaged { .. })), "{failed:?}");
    }
    fs::remove_file(&database).unwrap();
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("CREATE TABLE meta (sequence)").unwrap();
    drop(other);
    assert!(reason(open(&directory)).contains("not a token store"));
    fs::remove_file(&database).unwrap();
    assert_eq!(reason(open(&directory)), "it does not exist");
}

#[test]
fn a_newer_schema_is_refused() {
    let (directory, token) = token();
    let other = rusqlite::Connection::open(token.join("token.db")).unwrap();
    for (version, refused) in [
        (2, Error::TokenNotRecognized(SlotId(0))),
        (i32::MAX, Error::TokenNotRecognized(SlotId(0))),
    ] {
        other.execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
        assert_eq!(open(&directory).err(), Some(refused));
    }
    for version in [0, -1] {
        other.execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
        assert!(reason(open(&directory)).contains("impossible schema"));
    }
    other.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(other);
    assert_eq!(open(&directory).unwrap().sequence(), Ok(Sequence(1)));
}

#[test]
fn a_schema_that_is_not_ours_to_the_letter_is_refused() {
    let (directory, token) = token();
    let database = token.join("token.db");
    let edit = |batch: &str| {
        let other = rusqlite::Connection::open(&database).unwrap();
        other.execute_batch(batch).unwrap();
    };
    for (added, removed) in [
        ("CREATE VIEW more AS SELECT * FROM records", "DROP VIEW more"),
        (
            "CREATE TRIGGER more AFTER INSERT ON records BEGIN DELETE FROM attempts; END",
            "DROP TRIGGER more",
        ),
        ("CREATE INDEX more ON records (length(body))", "DROP INDEX more"),
        ("CREATE TABLE more (x)", "DROP TABLE more"),
        ("CREATE VIRTUAL TABLE more USING fts5 (x)", "DROP TABLE more"),
        (
            "ALTER TABLE attempts ADD COLUMN more BLOB AS (zeroblob(1000000))",
            "ALTER TABLE attempts DROP COLUMN more",
        ),
        ("DROP INDEX records_in_order", "CREATE INDEX records_in_order ON records (kind, number)"),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = \
             replace(sql, 'failures INTEGER NOT NULL', 'failures INTEGER DEFAULT 0') \
             WHERE name = 'attempts'",
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = \
             replace(sql, 'failures INTEGER DEFAULT 0', 'failures INTEGER NOT NULL') \
             WHERE name = 'attempts'",
        ),
    ] {
        edit(added);
        let reason = reason(open(&directory));
        assert!(reason.contains("views or triggers are not a token store's"), "{added}: {reason}");
        edit(removed);
        open(&directory).unwrap();
    }
}

#[test]
fn an_index_that_leads_back_is_damage_and_no_endless_walk() {
    let (directory, token) = token();
    let other = rusqlite::Connection::open(token.join("token.db")).unwrap();
    // Whoever looks behind any record finds the seventh.
    let batch = "DROP INDEX records_in_order;
         CREATE INDEX records_in_order ON records (kind, 300 + number % 7);
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '300 + number % 7', 'number')
             WHERE name = 'records_in_order'";
    other.execute_batch(batch).unwrap();
    drop(other);
    let store = open(&directory).unwrap();
    let listed = for_each(&*store, KIND, &[], |_| Ok(()));
    let Err(Error::StoreDamaged { reason, .. }) = listed else { panic!("{listed:?}") };
    assert_eq!(reason, "an index is out of order");
}

/// What can be asked of a store, for errors or answers but no panic.
fn exercise(directory: &tempfile::TempDir) -> Result<()> {
    let store = open(directory)?;
    let mut outcome = Ok(());
    let mut note = |result: Result<()>| {
        if result.is_err() {
            outcome = result;
        }
    };
    note(store.find(KIND, &[tag(1, 3)], None, 100).map(drop));
    note(store.find(KIND, &[], None, 1000).map(drop));
    note(store.get(KIND, &id("17")).map(drop));
    note(store.changes(Sequence(0)).map(drop));
    note(store.attempts(&id("user")).map(drop));
    note(store.reserve(&id("user"), 3).map(drop));
    note(commit(&*store, &[put("new", 0, &[1; 5000], &[tag(1, 3)])]).map(drop));
    note(commit(&*store, &[Change::Clear]).map(drop));
    outcome
}

#[test]
fn damage_anywhere_is_an_error_and_never_a_panic() {
    let (directory, token) = token();
    let database = token.join("token.db");
    let sound = fs::read(&database).unwrap();
    let noticed = |content: &[u8]| {
        for name in ["token.db-wal", "token.db-shm"] {
            let _ = fs::remove_file(token.join(name));
        }
        fs::write(&database, content).unwrap();
        match exercise(&directory) {
            Ok(()) => 0,
            Err(Error::StoreDamaged { path, .. } | Error::StoreIo { path, .. }) => {
                assert_eq!(path.file_name(), database.file_name());
                1
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let mut failed = 0;
    for eighth in 0..8 {
        failed += noticed(&sound[..sound.len() * eighth / 8]);
        failed += noticed(&sound[..sound.len() * eighth / 8 + 100]);
    }
    for page in 0..sound.len() / 4096 {
        for (from, len, value) in [(0, 4096, 0), (0, 8, 0xff), (8, 64, 0xff), (2000, 2096, 0x55)] {
            let mut damaged = sound.clone();
            damaged[page * 4096..][from..from + len].fill(value);
            failed += noticed(&damaged);
        }
    }
    assert!(failed > 20, "only {failed} kinds of damage were noticed");
    assert_eq!(noticed(&sound), 0);
    fs::write(&database, &sound).unwrap();
    for name in ["token.db-wal", "token.db-shm", "generation", "writers", "attempts"] {
        fs::write(token.join(name), [0x55; 5000]).unwrap();
    }
    assert_eq!(open(&directory).unwrap().sequence(), Ok(Sequence(1)));
}

#[test]
fn a_dead_writer_s_odd_count_is_repaired_by_the_next_commit() {
    let (directory, token) = token();
    let store = open(&directory).unwrap();
    let before = store.generation();
    let page = GenerationPage::open(&token.join("generation"), true, &OsEntropy).unwrap().unwrap();
    page.begin();
    assert!(!store.generation().is_settled());
    assert_eq!(store.get(KIND, &id("17")).unwrap().unwrap().version, 1);
    commit(&*store, &[remove("17", 1)]).unwrap();
    assert!(store.generation().is_settled());
    assert_ne!(store.generation(), before);
}

#[test]
fn a_lost_or_foreign_page_is_made_anew() {
    let (directory, token) = token();
    let path = token.join("generation");
    let before = open(&directory).unwrap().generation();
    fs::remove_file(&path).unwrap();
    let second = open(&directory).unwrap().generation();
    fs::write(&path, [1; 64]).unwrap();
    let third = open(&directory).unwrap().generation();
    assert_ne!(before.incarnation, second.incarnation);
    assert_ne!(second.incarnation, third.incarnation);
    assert!(third.is_settled());
    assert_eq!(open(&directory).unwrap().generation(), third);
}

/// The files of a token.
const FILES: [&str; 8] = [
    "attempts",
    "copies",
    "generation",
    "presence",
    "token.db",
    "token.db-shm",
    "token.db-wal",
    "writers",
];

#[test]
fn links_foreign_owners_and_files_that_others_may_write_are_refused() {
    let (directory, token) = token();
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o720, 0o702, 0o777] {
        set(&token, mode);
        assert!(reason(open(&directory)).contains("may be written by others"));
    }
    set(&token, 0o700);
    let root = nix::unistd::Uid::effective().is_root();
    for name in FILES {
        let (path, elsewhere) = (token.join(name), token.join("elsewhere"));
        let refused = |why: &str| match open(&directory).err() {
            Some(Error::StoreIo { path: named, reason }) => {
                assert_eq!(named.file_name(), path.file_name(), "{reason}");
                assert!(reason.starts_with("refused: it ") && reason.contains(why), "{reason}");
            }
            other => panic!("{name}: {other:?}"),
        };
        for mode in [0o620, 0o602, 0o666] {
            set(&path, mode);
            refused("may be written by others");
        }
        set(&path, 0o600);
        // Not even root takes what belongs to another user.
        if root {
            chown(&path, Some(65534), None).unwrap();
            refused("belongs to uid 65534, not to 0 or root");
            chown(&path, Some(0), None).unwrap();
        }
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        refused("is a symbolic link");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("is not a regular file");
        fs::remove_dir(&path).unwrap();
        // Opening a pipe would wait for somebody at its other end.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused("is not a regular file");
        fs::rename(&elsewhere, &path).unwrap();
    }
    if root {
        chown(&token, Some(65534), None).unwrap();
        assert!(reason(open(&directory)).contains("belongs to uid 65534"));
        chown(&token, Some(0), None).unwrap();
    }
    // Those that are opened each time are looked at each time.
    let store = open(&directory).unwrap();
    let elsewhere = token.join("elsewhere");
    for name in ["presence", "writers"] {
        fs::rename(token.join(name), &elsewhere).unwrap();
        symlink(&elsewhere, token.join(name)).unwrap();
    }
    assert!(matches!(store.present().err(), Some(Error::StoreIo { .. })));
    assert!(matches!(store.forgive(&id("user")).err(), Some(Error::StoreIo { .. })));
    drop(store);
    let moved = directory.path().join("moved");
    fs::rename(&token, &moved).unwrap();
    symlink(&moved, &token).unwrap();
    assert!(reason(open(&directory)).contains("symbolic link"));
    assert!(place(directory.path()).remove(0).is_err());
    fs::remove_file(&token).unwrap();
    fs::write(&token, b"").unwrap();
    assert!(reason(open(&directory)).contains("not a directory"));
    // The place's own file.
    let lock = directory.path().join("signet.lock");
    fs::rename(&lock, moved.join("lock")).unwrap();
    symlink(moved.join("lock"), &lock).unwrap();
    let refused = place(directory.path()).create(1, vec![]).err();
    assert!(matches!(refused, Some(Error::StoreIo { path, .. }) if path == lock));
}

#[test]
fn a_place_behind_a_link_and_with_odd_letters_works() {
    let directory = directory();
    let real = directory.path().join("a place%20? with #odd&letters");
    fs::create_dir(&real).unwrap();
    let link = directory.path().join("link");
    symlink(&real, &link).unwrap();
    place(&link).create(5, vec![put("one", 0, b"", &[])]).unwrap();
    assert_eq!(place(&link).open(5).unwrap().sequence(), Ok(Sequence(1)));
    assert_eq!(place(&real).slots().unwrap(), [5]);
}

#[test]
fn foreign_entries_stay_untouched_and_leftovers_are_cleaned() {
    let (directory, token) = token();
    let at = |name: &str| directory.path().join(name);
    for name in ["slot-007", "slot-", "slot-x", "slot--1", ".slot-x.new", ".slot-3.old", "9b1f"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("token.object"), b"theirs").unwrap();
    }
    fs::create_dir(at(".slot-3.new")).unwrap();
    fs::write(at(".slot-3.new").join("token.db"), b"half").unwrap();
    let place = place(directory.path());
    let store = place.open(0).unwrap();
    assert_eq!(place.slots().unwrap(), [0]);
    // A removal that was killed after its first step.
    fs::rename(&token, at(".slot-0.gone")).unwrap();
    place.create(3, vec![]).unwrap();
    assert_eq!(place.slots().unwrap(), [3]);
    assert_eq!(store.sequence(), Err(Error::TokenNotPresent(SlotId(0))));
    assert!(!at(".slot-3.new").exists() && !at(".slot-0.gone").exists());
    for name in ["slot-007", "slot-", "slot-x", "slot--1", ".slot-x.new", ".slot-3.old", "9b1f"] {
        assert_eq!(fs::read(at(name).join("token.object")).unwrap(), b"theirs");
    }
}

#[test]
fn what_is_copied_in_moved_and_removed_by_hand_is_seen_at_once() {
    let (directory, token) = token();
    let early = place(&directory.path().join("later"));
    assert_eq!(early.slots().unwrap(), [0_u64; 0]);
    place(&directory.path().join("later")).create(1, vec![]).unwrap();
    assert_eq!(early.slots().unwrap(), [1]);
    let place = place(directory.path());
    assert_eq!(place.slots().unwrap(), [0]);
    let [aside, four] = ["aside", "slot-4"].map(|name| directory.path().join(name));
    fs::create_dir(&aside).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(&token).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&entry, aside.join(entry.file_name().unwrap())).unwrap();
    }
    fs::rename(&aside, &four).unwrap();
    assert_eq!(place.slots().unwrap(), [0, 4]);
    let copy = place.open(4).unwrap();
    commit(&*copy, &[put("new", 0, b"", &[])]).unwrap();
    assert_eq!(place.open(0).unwrap().sequence(), Ok(Sequence(1)), "two tokens from now on");
    // Another in its place is another store, and the old one goes nowhere.
    let five = directory.path().join("slot-5");
    fs::rename(&four, &five).unwrap();
    fs::rename(&token, &four).unwrap();
    assert_eq!(place.slots().unwrap(), [4, 5]);
    assert!(matches!(copy.sequence(), Err(Error::StoreIo { .. })));
    assert_eq!(place.open(4).unwrap().sequence(), Ok(Sequence(1)));
    assert_eq!(place.open(5).unwrap().sequence(), Ok(Sequence(2)));
    fs::remove_dir_all(&four).unwrap();
    assert_eq!(place.slots().unwrap(), [5]);
    assert_eq!(place.open(4).err(), Some(Error::TokenNotPresent(SlotId(4))));
}

#[test]
fn several_places_of_one_process_share_a_token() {
    let (directory, _) = token();
    let [one, two] = [(); 2].map(|()| place(directory.path()));
    let [first, second] = [&one, &two].map(|place| place.open(0).unwrap());
    assert!(!Arc::ptr_eq(&first, &second));
    let generation = second.generation();
    commit(&*first, &[put("new", 0, b"", &[])]).unwrap();
    assert_ne!(second.generation(), generation);
    assert!(second.get(KIND, &id("new")).unwrap().is_some());
    let present = first.present().unwrap().unwrap();
    assert!(second.alone().unwrap().is_none());
    drop(present);
    let open = first.reserve(&id("user"), 2).unwrap();
    assert_eq!(failures(&*second, "user"), 0, "an open reservation is no failure yet");
    drop(first.reserve(&id("user"), 2).unwrap());
    assert_eq!(failures(&*second, "user"), 1);
    open.succeed().unwrap();
    assert_eq!(failures(&*second, "user"), 0);
    // One going does not disturb the other.
    drop(first);
    commit(&*second, &[put("newer", 0, b"", &[])]).unwrap();
    one.create(1, vec![]).unwrap();
    assert_eq!(two.slots().unwrap(), [0, 1]);
}

#[test]
fn nothing_is_committed_to_a_file_that_is_moved_removed_or_replaced() {
    let (directory, token) = token();
    let store = open(&directory).unwrap();
    let refused = |store: &dyn Store| match commit(store, &[put("new", 0, b"", &[])]) {
        Err(Error::StoreIo { path, reason }) => {
            assert_eq!(path, token.canonicalize().unwrap().join("token.db"));
            assert_eq!(reason, "it was replaced while it was open");
        }
        other => panic!("{other:?}"),
    };
    let gone = Error::TokenNotPresent(SlotId(0));
    let aside = directory.path().join("aside");
    fs::rename(&token, &aside).unwrap();
    assert_eq!(commit(&*store, &[put("new", 0, b"", &[])]), Err(gone.clone()));
    assert_eq!(store.reserve(&id("user"), 3).err(), Some(gone.clone()));
    assert_eq!(store.sequence(), Err(gone.clone()));
    assert_eq!(store.present().err(), Some(gone.clone()));
    // From now on the page sends everybody to the store.
    assert!(!store.generation().is_settled());
    // A copy in its place is another file.
    fs::create_dir(&token).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(aside.join("token.db"), token.join("token.db")).unwrap();
    refused(&*store);
    assert!(matches!(store.sequence(), Err(Error::StoreIo { .. })));
    // Put back, it is used as before.
    fs::remove_dir_all(&token).unwrap();
    fs::rename(&aside, &token).unwrap();
    commit(&*store, &[put("new", 0, b"", &[])]).unwrap();
    assert!(store.generation().is_settled());
    fs::remove_file(token.join("token.db")).unwrap();
    assert_eq!(commit(&*store, &[put("newer", 0, b"", &[])]), Err(gone));
}

#[test]
fn a_page_lost_under_open_stores_is_remade_and_no_commit_goes_unnoticed() {
    let _guard = PageGuard::new();
    let (directory, token) = token();
    let [reader, writer] = [(); 2].map(|()| open(&directory).unwrap());
    let path = token.join("generation");
    let old = fs::read(&path).unwrap();
    let losses: [&dyn Fn(); 6] = [
        // Cut off, and in the next breath written again, as `cp` does it.
        &|| fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap(),
        &|| fs::write(&path, &old).unwrap(),
        &|| fs::write(&path, [0xff; 4096]).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
        // Another file in its place, as `tar` and `rsync` do it.
        &|| {
            fs::write(token.join("copy"), &old).unwrap();
            fs::set_permissions(token.join("copy"), fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(token.join("copy"), &path).unwrap();
        },
        &|| fs::write(&path, b"").unwrap(),
    ];
    for (number, lose) in (1..).zip(losses) {
        let before = reader.generation();
        lose();
        // A writer that was there, and one that has just come.
        for (writer, name) in [(&writer, "old"), (&open(&directory).unwrap(), "new")] {
            commit(&**writer, &[put(&format!("{name} {number}").replace(' ', "-"), 0, b"", &[])])
                .unwrap();
            let seen = reader.generation();
            assert_ne!(seen, before, "loss {number}");
            // Asking the store maps the page that everybody uses now.
            let Changes::Records { now, .. } = reader.changes(Sequence(1)).unwrap() else {
                panic!("the log is short")
            };
            assert_eq!(now, writer.sequence().unwrap());
            assert_eq!(reader.generation(), writer.generation());
            assert!(reader.generation().is_settled());
        }
    }
}
