//! The tables, how they came about, and how a connection is set up.
//!
//! ```text
//! meta          one row: the counters
//! records       number → kind, id, version, sequence of the last change, tags, body
//! tags          (kind, property, hash, number): the look-up index, nothing else
//! changes       (sequence, kind, id): the log that answers `Store::changes`
//! attempts      credential → settled failures
//! reservations  number → credential: counted attempts that are not settled
//! ```
//!
//! `records.tags` repeats a record's tags (17 bytes each) so that removing it
//! finds them without one more index to keep up.

#![forbid(unsafe_code)]

use super::failure::At;
use crate::error::{Error, Result};
use crate::types::SlotId;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, FileControl, MAIN_DB};
use sha2::{Digest, Sha256};
use std::path::Path;

/// "Sgnt": tells our files from other SQLite files.
pub(super) const APPLICATION_ID: i64 = 0x5367_6e74;

/// One more than any connection here prepares, so that none is prepared twice.
const STATEMENTS: usize = 40;

/// The largest record that is read or written, in bytes.
const RECORD_MAX: i32 = 256 << 20;

/// What SQLite may be brought to do by whoever edits the file.
const LIMITS: [(Limit, i32); 9] = [
    (Limit::SQLITE_LIMIT_LENGTH, RECORD_MAX),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 16_384),
    (Limit::SQLITE_LIMIT_COLUMN, 32),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 32),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 2),
    // For VACUUM, which attaches what it makes.
    (Limit::SQLITE_LIMIT_ATTACHED, 1),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 16),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Brings a file from the schema that is its place in the list to the next.
pub(super) type Step = fn(&Connection) -> rusqlite::Result<()>;

/// All steps there are; their number is the schema's.
pub(super) const STEPS: &[Step] = &[first];

/// The [`fingerprint`] that each step leads to; made anew in memory it costs half of
/// what opening a token does.
const FINGERPRINTS: [[u8; 32]; STEPS.len()] = [[
    0xa9, 0x4e, 0x10, 0x92, 0x04, 0x5e, 0x47, 0x65, 0x06, 0xd0, 0xd3, 0x11, 0xf1, 0x1a, 0xac, 0x74,
    0xb4, 0x13, 0xb7, 0x46, 0x53, 0x79, 0xd0, 0x5d, 0x63, 0x93, 0x64, 0xde, 0x92, 0x74, 0x7e, 0x09,
]];

fn first(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE meta (
             one INTEGER PRIMARY KEY CHECK (one = 1),
             sequence INTEGER NOT NULL,
             last_number INTEGER NOT NULL,
             log_start INTEGER NOT NULL,
             log_rows INTEGER NOT NULL,
             last_reservation INTEGER NOT NULL
         ) STRICT;
         INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0);
         CREATE TABLE records (
             number INTEGER PRIMARY KEY,
             kind INTEGER NOT NULL,
             id TEXT NOT NULL,
             version INTEGER NOT NULL,
             sequence INTEGER NOT NULL,
             tags BLOB NOT NULL,
             body BLOB NOT NULL,
             UNIQUE (kind, id)
         ) STRICT;
         CREATE INDEX records_in_order ON records (kind, number);
         CREATE TABLE tags (
             kind INTEGER NOT NULL,
             property INTEGER NOT NULL,
             hash BLOB NOT NULL,
             number INTEGER NOT NULL,
             PRIMARY KEY (kind, property, hash, number)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE changes (
             sequence INTEGER NOT NULL,
             kind INTEGER NOT NULL,
             id TEXT NOT NULL,
             PRIMARY KEY (sequence, kind, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE attempts (
             credential TEXT PRIMARY KEY,
             failures INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE reservations (
             number INTEGER PRIMARY KEY,
             credential TEXT NOT NULL
         ) STRICT;
         CREATE INDEX reservations_of ON reservations (credential);",
    )
}

/// Sets up a fresh connection. `writer`: it may commit.
pub(super) fn configure(connection: &Connection, writer: bool) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    for (limit, most) in LIMITS {
        connection.set_limit(limit, most)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A plan that depends on bound values would be made anew for each of them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The log and its index stay when the last connection closes: they need not
    // be made anew each time, and a read-only copy of the directory can be read.
    let mut persist = 1;
    connection.file_control(Some(MAIN_DB), FileControl::PersistWal(&mut persist))?;
    connection.execute_batch(if writer {
        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;
         PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 4194304;"
    } else {
        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;
         PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304; PRAGMA query_only = ON;"
    })
}

/// The schema of a file of ours, or why it is none.
pub(super) fn version(connection: &Connection, path: &Path, slot: SlotId) -> Result<usize> {
    let number = |pragma: &str| -> Result<i64> {
        connection
            .query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0))
            .at(path, "read the header")
    };
    let damaged = |reason: String| Error::StoreDamaged { path: path.into(), reason };
    let application = number("application_id")?;
    if application != APPLICATION_ID {
        return Err(damaged(format!("not a token store (application id {application:#x})")));
    }
    let version = number("user_version")?;
    match usize::try_from(version) {
        Ok(0) | Err(_) => Err(damaged(format!("it has the impossible schema {version}"))),
        Ok(version) if version > STEPS.len() => Err(Error::TokenNotRecognized(slot)),
        Ok(version) => Ok(version),
    }
}

/// Refuses a file whose schema is not to the letter, but for blanks, the one of its
/// version: no view, trigger, index or column of somebody else's is ever used.
pub(super) fn require_ours(connection: &Connection, path: &Path, version: usize) -> Result<()> {
    let found = fingerprint(connection).at(path, "read the schema")?;
    if version.checked_sub(1).and_then(|step| FINGERPRINTS.get(step)) == Some(&found) {
        return Ok(());
    }
    let reason = "its tables, indexes, views or triggers are not a token store's".to_owned();
    Err(Error::StoreDamaged { path: path.into(), reason })
}

/// A hash of what a file consists of: tables, indexes, and whatever somebody may have
/// added.
fn fingerprint(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
    // More than there are, so that some of whatever somebody may have added is among them.
    const MOST: u32 = 64;
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name LIMIT ?1",
    )?;
    let mut rows = statement.query([MOST])?;
    let mut hash = Sha256::new();
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            // An index that a constraint brings has no text.
            let text: Option<String> = row.get(column)?;
            for word in text.as_deref().unwrap_or_default().split_whitespace() {
                hash.update(word);
                hash.update(" ");
            }
            hash.update("\0");
        }
    }
    Ok(hash.finalize().into())
}

/// Runs the steps behind schema `from` and writes the new number, all in one
/// transaction that the caller has begun.
pub(super) fn migrate(
    connection: &Connection,
    from: usize,
    steps: &[Step],
) -> rusqlite::Result<()> {
    for step in &steps[from..] {
        step(connection)?;
    }
    connection.execute_batch(&format!("PRAGMA user_version = {}", steps.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_leads_to_its_fingerprint() {
        let connection = Connection::open_in_memory().unwrap();
        for (step, expected) in STEPS.iter().zip(FINGERPRINTS) {
            step(&connection).unwrap();
            assert_eq!(fingerprint(&connection).unwrap(), expected);
        }
    }
}
