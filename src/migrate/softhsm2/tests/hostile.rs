//! Sources that somebody has edited.

use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;

/// Whatever the answer, it is one.
fn look(source: &Source) {
    for token in tokens(source.path()).unwrap().into_iter().flatten() {
        let Ok(key) = token.unlock(&Pin::copied(PIN)) else { continue };
        if let Ok(found) = token.objects(Some(&key), &contribute) {
            found.for_each(drop);
        }
    }
}

fn reason(source: &Source) -> String {
    match tokens(source.path()).unwrap().pop().expect("one token") {
        Ok(token) => found(source).expect_err(&format!("{token:?}")).to_string(),
        Err(error) => error.to_string(),
    }
}

/// Changes bytes, and perhaps cuts off the rest.
fn edited(mut bytes: Vec<u8>, edits: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    let length = bytes.len();
    for (place, byte) in edits {
        bytes[place % length] = *byte;
    }
    bytes.truncate(cut.map_or(length, |cut| cut % length));
    bytes
}

fn edits() -> impl Strategy<Value = (Vec<(usize, u8)>, Option<usize>)> {
    (proptest::collection::vec(any::<(usize, u8)>(), 1..8), any::<Option<usize>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn edited_files_are_judged((edits, cut) in edits(), the_token in any::<bool>()) {
        let source = Source::file(&[source::key(true), source::data(false, b"content")]);
        let name = if the_token { "token.object" } else { "00000000.object" };
        let bytes = fs::read(source.token().join(name)).unwrap();
        source.write(name, edited(bytes, &edits, cut));
        look(&source);
    }

    #[test]
    fn edited_databases_are_judged((edits, cut) in edits()) {
        let source = Source::database(&[source::key(true), source::data(false, b"content")]);
        let bytes = fs::read(source.token().join("sqlite3.db")).unwrap();
        source.write("sqlite3.db", edited(bytes, &edits, cut));
        look(&source);
    }
}

/// Every cut is noticed, but for the one behind all that every version writes.
#[test]
fn a_file_that_is_cut_short_is_never_taken_for_whole() {
    let mut key = source::key(true);
    key.sort_by_key(|(number, _)| *number);
    let whole = source::encoded(&key);
    let source = Source::file(&[]);
    for length in 0..whole.len() {
        source.write("a.object", &whole[..length]);
        left(&source);
    }
    source.write("a.object", &whole);
    taken(&source);
}

#[test]
fn huge_counts_are_refused_before_memory_is_taken() {
    for kind in [3_u64, 4, 5] {
        for count in [u64::MAX, u64::MAX / 8 + 1, 1 << 40, 1 << 61] {
            let source = Source::file(&[]);
            let numbers = [7, 0x11, kind, count].map(u64::to_be_bytes).concat();
            source.write("a.object", &numbers);
            assert_eq!(left(&source), "is cut short or was edited", "{kind} {count}");
        }
    }
    let source = Source::file(&[]);
    let sparse = fs::File::create(source.token().join("a.object")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert_eq!(left(&source), "has 1099511627776 bytes, more than any object that could be taken");
}

#[test]
fn links_pipes_and_directories_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, source::encoded(&source::key(false))).unwrap();
    let source = Source::file(&[]);
    let place = source.token().join("a.object");
    symlink(&secret, &place).unwrap();
    assert_eq!(left(&source), "is a symbolic link");
    fs::remove_file(&place).unwrap();
    nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(left(&source), "is not a regular file");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    assert_eq!(left(&source), "is not a regular file");

    for (source, name) in
        [(Source::file(&[]), "token.object"), (Source::database(&[]), "sqlite3.db")]
    {
        let file = source.token().join(name);
        let moved = outside.path().join(name);
        fs::rename(&file, &moved).unwrap();
        symlink(&moved, &file).unwrap();
        assert!(reason(&source).contains("it is "), "{}", reason(&source));
    }
    let elsewhere = Source::file(&[]);
    symlink(source.token(), elsewhere.path().join("a link")).unwrap();
    let found = tokens(elsewhere.path()).unwrap();
    let reasons: Vec<_> = found.iter().map(|one| one.as_ref().map_err(Error::to_string)).collect();
    assert!(
        matches!(&reasons[..], [Ok(_), Err(why)] if why.contains("is a symbolic link")),
        "{reasons:?}"
    );
}

#[test]
fn only_tables_are_read() {
    let replaced = |statements: &str| {
        let source = Source::database(&[source::key(true)]);
        let connection = rusqlite::Connection::open(source.token().join("sqlite3.db")).unwrap();
        connection.execute_batch(statements).unwrap();
        reason(&source)
    };
    for statements in [
        "DROP TABLE attribute_array",
        "ALTER TABLE attribute_binary RENAME TO a; \
         CREATE VIEW attribute_binary AS SELECT zeroblob(1000000000) AS value, type, object_id FROM a",
        "DROP TABLE attribute_integer; CREATE VIRTUAL TABLE attribute_integer USING fts5(value, type, object_id)",
        "DROP TABLE attribute_binary; CREATE TABLE attribute_binary (type, object_id, \
         value GENERATED ALWAYS AS (zeroblob(1000000000)))",
    ] {
        assert!(replaced(statements).contains("has no table attribute_"), "{statements}");
    }
    let long = "UPDATE attribute_binary SET value = zeroblob(3000000)";
    assert!(
        replaced(long).contains("holds a value of more than 2097152 bytes"),
        "{}",
        replaced(long)
    );
}

#[test]
fn rows_of_other_types_are_an_edited_object() {
    for (table, value) in [
        ("attribute_boolean", "'yes'"),
        ("attribute_integer", "1.5"),
        ("attribute_binary", "'text'"),
        ("attribute_array", "17"),
    ] {
        let source = Source::database(&[source::key(true)]);
        let connection = rusqlite::Connection::open(source.token().join("sqlite3.db")).unwrap();
        let update = format!("UPDATE {table} SET value = {value} WHERE object_id = 2");
        connection.execute_batch(&update).unwrap();
        assert!(left(&source).contains(&format!("a row in {table}")));
    }
}

#[test]
fn nothing_is_written_to_the_source() {
    for source in [Source::file(&[source::key(true)]), Source::database(&[source::key(true)])] {
        let state = || {
            let entries = fs::read_dir(source.token()).unwrap().map(Result::unwrap);
            let mut state: Vec<_> = entries
                .map(|entry| {
                    let changed = entry.metadata().unwrap().modified().unwrap();
                    (entry.file_name(), fs::read(entry.path()).unwrap(), changed)
                })
                .collect();
            state.sort();
            state
        };
        let before = state();
        taken(&source);
        assert_eq!(state(), before);
    }
}

#[test]
fn an_object_made_meanwhile_ends_it() {
    let source = Source::file(&[source::key(true), source::key(true)]);
    let token = tokens(source.path()).unwrap().pop().unwrap().unwrap();
    let key = token.unlock(&Pin::copied(PIN)).unwrap();
    let mut objects = token.objects(Some(&key), &contribute).unwrap();
    assert!(objects.next().unwrap().is_ok());
    source.write("generation", [0, 0, 0, 0, 0, 0, 0, 2]);
    assert!(objects.next().unwrap().is_ok());
    let ended = objects.next().unwrap().unwrap_err().to_string();
    assert!(ended.contains("objects were made or destroyed meanwhile"), "{ended}");
    assert!(objects.next().is_none());
}

#[test]
fn what_is_no_database_is_called_damaged() {
    let source = Source::database(&[]);
    for bytes in [vec![2; 8192], vec![0; 8192], b"SQLite format 3".to_vec()] {
        source.write("sqlite3.db", bytes);
        assert!(reason(&source).contains("is damaged: "), "{}", reason(&source));
    }
}

/// A directory in which nobody may look is not an empty one.
#[test]
fn a_directory_that_cannot_be_looked_into_is_named() {
    let name = "x".repeat(300);
    let error = SourceToken::at(Path::new(&name)).unwrap_err().to_string();
    assert!(error.contains("look for a token: File name too long"), "{error}");
}

/// SQLite would make files beside it.
#[test]
fn a_database_with_a_log_is_refused() {
    let source = Source::database(&[source::key(true)]);
    let mut bytes = fs::read(source.token().join("sqlite3.db")).unwrap();
    bytes[18..20].fill(2);
    source.write("sqlite3.db", bytes);
    assert!(reason(&source).contains("write-ahead log"), "{}", reason(&source));
    assert_eq!(fs::read_dir(source.token()).unwrap().count(), 1);
}

/// A database that a program left in the middle of a change: SoftHSM2 puts it right
/// when it opens it, who may only read cannot.
#[test]
fn an_unfinished_change_is_named() {
    let source = Source::database(&[source::key(true)]);
    let copy = Source::database(&[]);
    let connection = rusqlite::Connection::open(source.token().join("sqlite3.db")).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE attribute_binary SET type = 1")
        .unwrap();
    connection.cache_flush().unwrap();
    for name in ["sqlite3.db", "sqlite3.db-journal"] {
        copy.write(name, fs::read(source.token().join(name)).unwrap());
    }
    let before = fs::read(copy.token().join("sqlite3.db")).unwrap();
    assert!(reason(&copy).contains("let SoftHSM2 open it once"), "{}", reason(&copy));
    assert_eq!(fs::read(copy.token().join("sqlite3.db")).unwrap(), before);
}
