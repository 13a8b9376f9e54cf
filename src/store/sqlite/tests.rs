//! What can only be seen from inside: plans, steps, limits and claims.

use super::*;
use crate::entropy::OsEntropy;
use crate::store::tests::processes::{say, wait};
use crate::store::tests::{KIND, commit, directory, failures, id, place, put, tag};
use crate::store::{DirectoryPlace, Place};
use rusqlite::StatementStatus;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A store opened directly, so that its connections are at hand.
fn store(place: &DirectoryPlace, directory: &tempfile::TempDir) -> SqliteStore {
    drop(place.create(0, vec![]).unwrap());
    open(directory).unwrap()
}

fn open(directory: &tempfile::TempDir) -> Result<SqliteStore> {
    let path = directory.path().canonicalize().unwrap().join("slot-0");
    SqliteStore::open(&path, 0, &OsEntropy, TIMEOUT)
}

/// A commit of the record "theirs" that stops before the last step, the page, or with
/// `committed` false before the last but one, until this process is killed.
pub(in crate::store) fn stop_amid_a_commit(path: &Path, committed: bool, opened: impl FnOnce()) {
    let path = path.canonicalize().unwrap().join("slot-0");
    let store = SqliteStore::open(&path, 0, &OsEntropy, TIMEOUT).unwrap();
    commit(&store, &[]).unwrap();
    opened();
    let writing = store.begin().unwrap();
    let state = writing.snapshot().unwrap();
    let mut commit = state.commit().unwrap();
    commit.apply(vec![put("theirs", 0, b"", &[])]).unwrap();
    commit.finish().unwrap();
    let Noticing::Page(page) = &store.noticing else { panic!("no page") };
    assert!(page.begin());
    if committed {
        writing.commit().unwrap();
    }
    say("stopped");
    wait();
}

/// The virtual machine's steps that `look` costs in the statements of a look-up.
fn steps(store: &SqliteStore, look: impl Fn(&SqliteStore)) -> i32 {
    let count = |store: &SqliteStore| -> i32 {
        let guard = store.handles.reader.lock();
        let statements = [records::GET, records::BY_NUMBER, records::IN_ORDER, records::BY_TAG];
        let steps = statements.iter().map(|sql| {
            let statement = guard.as_ref().unwrap().prepare_cached(sql).unwrap();
            assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0, "{sql}");
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
            statement.reset_status(StatementStatus::VmStep)
        });
        steps.sum()
    };
    count(store);
    look(store);
    count(store)
}

#[test]
fn a_look_up_costs_the_same_however_many_records_there_are() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    // A class that all share, and a label of its own for each.
    let tags = |n| [tag(1, 1), tag(2, n)];
    commit(&store, &[put("0", 0, b"", &tags(0))]).unwrap();
    let looks: [&dyn Fn(&SqliteStore); 5] = [
        &|store| assert!(store.get(KIND, &id("0")).unwrap().is_some()),
        &|store| assert_eq!(store.find(KIND, &[tag(2, 0)], None, 9).unwrap().records.len(), 1),
        &|store| assert_eq!(store.find(KIND, &tags(0), None, 9).unwrap().records.len(), 1),
        &|store| {
            let tags = [tag(2, 0), tag(1, 1)];
            assert_eq!(store.find(KIND, &tags, None, 9).unwrap().records.len(), 1);
        },
        &|store| assert_eq!(store.find(KIND, &[tag(2, 9)], None, 9).unwrap().records.len(), 0),
    ];
    let alone: Vec<_> = looks.iter().map(|look| steps(&store, look)).collect();
    assert!(alone.iter().all(|steps| *steps > 0));
    let batch: Vec<_> = (10..20_000).map(|n| put(&n.to_string(), 0, b"", &tags(n))).collect();
    commit(&store, &batch).unwrap();
    let among_many: Vec<_> = looks.iter().map(|look| steps(&store, look)).collect();
    for (alone, among_many) in alone.iter().zip(&among_many) {
        // One more seek: the common list goes on behind the match.
        assert!(*among_many <= alone + 24, "{alone} steps became {among_many}");
    }
}

#[test]
fn every_look_up_uses_its_index() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    let guard = store.handles.reader.lock();
    let plan = |sql: &str| -> String {
        let mut statement =
            guard.as_ref().unwrap().prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for parameter in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(parameter, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get::<_, String>(3).unwrap());
        }
        lines.join("; ")
    };
    for (sql, wanted) in [
        (records::GET, "SEARCH records USING INDEX sqlite_autoindex_records_1 (kind=? AND id=?)"),
        (records::BY_NUMBER, "SEARCH records USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            records::IN_ORDER,
            "SEARCH records USING COVERING INDEX records_in_order (kind=? AND number>?)",
        ),
        (
            records::BY_TAG,
            "SEARCH tags USING PRIMARY KEY (kind=? AND property=? AND hash=? AND number>?)",
        ),
        (
            records::COUNT,
            "CO-ROUTINE (subquery-1); SEARCH tags USING PRIMARY KEY (kind=? AND property=? AND \
             hash=?); SCAN (subquery-1)",
        ),
    ] {
        assert_eq!(plan(sql), wanted);
    }
}

#[test]
fn the_log_of_changes_stays_short() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    let batch = |from: u64, len| -> Vec<_> {
        (from..from + len).map(|n| put(&n.to_string(), 0, b"", &[])).collect()
    };
    for round in 0..3 {
        commit(&store, &batch(round * 4000, 4000)).unwrap();
    }
    assert_eq!(store.changes(Sequence(0)).unwrap(), Changes::Everything { now: Sequence(3) });
    let Changes::Records { records, .. } = store.changes(Sequence(2)).unwrap() else {
        panic!("the last commit was forgotten")
    };
    assert_eq!(records.len(), 4000);
    // More than the log may hold: not even logged.
    commit(&store, &batch(20_000, records::LOG_LIMIT)).unwrap();
    assert_eq!(store.changes(Sequence(3)).unwrap(), Changes::Everything { now: Sequence(4) });
    commit(&store, &batch(40_000, 1)).unwrap();
    assert!(matches!(store.changes(Sequence(4)).unwrap(), Changes::Records { .. }));
    let guard = store.handles.reader.lock();
    let count = |sql| guard.as_ref().unwrap().query_row(sql, (), |row| row.get::<_, i64>(0));
    assert_eq!(count("SELECT count(*) FROM changes"), count("SELECT log_rows FROM meta"));
}

#[test]
fn a_full_disk_refuses_the_commit_and_nothing_else() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    commit(&store, &[put("one", 0, b"", &[])]).unwrap();
    let generation = store.generation();
    let limit = |pages: u32| {
        let guard = store.handles.writer.lock();
        guard.as_ref().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    };
    limit(1);
    let refused = commit(&store, &[put("two", 0, &[0; 100_000], &[])]);
    assert_eq!(refused, Err(Error::StoreFull(store.database.clone())));
    assert_eq!(store.sequence(), Ok(Sequence(1)));
    assert!(store.generation().is_settled());
    assert_eq!(store.generation(), generation);
    limit(1_000_000);
    assert_eq!(commit(&store, &[put("two", 0, &[0; 100_000], &[])]), Ok(Sequence(2)));
}

#[test]
fn a_foreign_program_s_lock_is_waited_for_and_then_named() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    commit(&store, &[put("one", 0, b"", &[])]).unwrap();
    let guard = store.handles.writer.lock();
    guard.as_ref().unwrap().busy_timeout(std::time::Duration::from_millis(1)).unwrap();
    drop(guard);
    // Through the same copy of SQLite, as a careless thread of this process would.
    let foreign = Connection::open(&store.database).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Err(Error::FunctionFailed(reason)) = commit(&store, &[put("two", 0, b"", &[])]) else {
        panic!("not refused")
    };
    assert!(reason.contains("another program keeps it locked"), "{reason}");
    assert_eq!(store.sequence(), Ok(Sequence(1)), "reading goes on");
    foreign.execute_batch("ROLLBACK").unwrap();
    assert_eq!(commit(&store, &[put("two", 0, b"", &[])]), Ok(Sequence(2)));
}

#[test]
fn a_second_copy_of_the_library_in_the_process_is_refused() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    // Stores of one copy share the claim.
    drop(open(&directory).unwrap());
    drop(store);
    // Another copy would hold this lock, and not be in our list.
    let claim = files::open(&directory.path().join("slot-0").join(COPIES_FILE), true).unwrap();
    assert!(files::lock_byte(&claim, process::process_byte()).unwrap());
    let Err(Error::StoreIo { reason, .. }) = open(&directory) else { panic!("not refused") };
    assert!(reason.contains("another copy of this library"), "{reason}");
    drop(claim);
    open(&directory).unwrap();
}

#[test]
fn an_older_schema_is_migrated_whole_or_not_at_all() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    let failing: &[schema::Step] = &[schema::STEPS[0], |connection| {
        connection.execute_batch("CREATE TABLE second (x); SELECT * FROM absent")
    }];
    assert!(matches!(store.migrate(failing), Err(Error::StoreIo { .. })));
    commit(&store, &[put("one", 0, b"", &[])]).unwrap();
    let steps: &[schema::Step] =
        &[schema::STEPS[0], |connection| connection.execute_batch("CREATE TABLE second (x)")];
    store.migrate(steps).unwrap();
    let guard = store.handles.reader.lock();
    let version = guard.as_ref().unwrap().query_row("PRAGMA user_version", (), |row| row.get(0));
    assert_eq!(version, Ok(2));
    drop(guard);
    // And that is what an older version of the program refuses.
    assert_eq!(open(&directory).err(), Some(Error::TokenNotRecognized(SlotId(0))));
}

#[test]
fn a_panicking_closure_leaves_the_store_usable() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(&mut |_| std::panic::resume_unwind(Box::new(())))
    }));
    assert!(panicked.is_err());
    assert_eq!(commit(&store, &[put("one", 0, b"", &[])]), Ok(Sequence(1)));
    assert_eq!(failures(&store, "user"), 0);
}

#[test]
fn connections_are_set_up_as_promised() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    commit(&store, &[put("one", 0, b"", &[])]).unwrap();
    for (connection, query_only) in [(&store.handles.reader, 1), (&store.handles.writer, 0)] {
        let guard = connection.lock();
        let setting = |name: &str| -> i64 {
            guard
                .as_ref()
                .unwrap()
                .query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
                .unwrap()
        };
        assert_eq!(setting("synchronous"), 2);
        assert_eq!(setting("trusted_schema"), 0);
        assert_eq!(setting("cell_size_check"), 1);
        assert_eq!(setting("query_only"), query_only);
        assert_eq!(setting("secure_delete"), 1 - query_only);
        let mode: String =
            guard.as_ref().unwrap().query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn an_abandoned_store_answers_with_errors_and_closes_nothing_twice() {
    let directory = directory();
    let store = store(&place(directory.path()), &directory);
    commit(&store, &[put("one", 0, b"", &[])]).unwrap();
    let present = store.present().unwrap().unwrap();
    store.handles.abandon();
    // The descriptors' numbers are given out again, here or to another test.
    let path = directory.path().join("other");
    let others: Vec<_> = (0..8).map(|_| files::open(&path, true).unwrap()).collect();
    assert!(matches!(store.sequence(), Err(Error::StoreIo { .. })));
    assert!(matches!(commit(&store, &[]), Err(Error::StoreIo { .. })));
    assert!(matches!(store.reserve(&id("user"), 3).err(), Some(Error::StoreIo { .. })));
    store.handles.abandon();
    drop(present);
    drop(store);
    for other in &others {
        other.sync_all().unwrap();
    }
    assert_eq!(open(&directory).unwrap().sequence(), Ok(Sequence(1)));
}
