//! The back-end `db`: an SQLite database, `sqlite3.db`.
//!
//! The table `object` has one row for each object, the first for the token itself.
//! `attribute_boolean`, `attribute_integer`, `attribute_binary` and `attribute_array`
//! hold rows of `(value, type, object_id)`, by the type of the value. A set of
//! mechanisms is binary: the numbers, of the width and order of the machine that wrote
//! them. An attribute may have several rows: SoftHSM2 writes one that it does not find,
//! reads the first, and never finds `CKA_DESTROYABLE`, of which it writes one after
//! the other.

use super::{Budget, Entries, Entry, OBJECT_COST, OBJECT_MAX, Stored, Value};
use crate::error::{Error, Result};
use crate::types::{AttributeType, Ulong};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The database.
pub(super) const FILE: &str = "sqlite3.db";
/// The row of the token itself.
const TOKEN_ROW: i64 = 1;
/// How long a writer at work is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tables of attributes that secret keys, data and tokens have.
const TABLES: [&str; 4] =
    ["attribute_boolean", "attribute_integer", "attribute_binary", "attribute_array"];

/// The attributes of one object, or why they are none.
type Row = Result<Stored, String>;

/// The token's own attributes.
pub(super) fn token(directory: &Path) -> Result<Stored> {
    let database = Database::open(directory)?;
    let mut rows = database.rows(Some(TOKEN_ROW))?;
    let row = rows.remove(&TOKEN_ROW).unwrap_or_else(|| Err("it has no token in it".into()));
    row.map_err(|reason| Error::StoreDamaged { path: database.path, reason })
}

/// The objects, in the order that they were made: as one moment saw them.
pub(super) fn objects(directory: &Path) -> Result<Entries<'_>> {
    let mut rows = Database::open(directory)?.rows(None)?;
    rows.remove(&TOKEN_ROW);
    let entries = rows.into_iter().map(|(id, stored)| Entry { place: format!("row {id}"), stored });
    Ok(Box::new(entries.map(Ok)))
}

struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens it to be read only. What may lie in the file instead of the tables (views,
    /// computed columns, virtual tables) is refused, and its values have a bound.
    fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let real =
            directory.canonicalize().map_err(|error| Error::io(directory, "find", &error))?;
        // SQLite would follow a link in the last place and wait for a pipe.
        if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
            return Err(Error::StoreIo { path, reason: "it is not a regular file".into() });
        }
        refuse_log(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let opened = Connection::open_with_flags(real.join(FILE), flags);
        let connection = opened.map_err(|error| failed(&path, &error))?;
        let database = Self { path, connection };
        database.prepare().map_err(|error| failed(&database.path, &error))?;
        database.examine()?;
        Ok(database)
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        let longest = i32::try_from(OBJECT_MAX).unwrap_or(i32::MAX);
        self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
        self.connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        self.connection.busy_timeout(PATIENCE)?;
        // What stands in the clear stays out of temporary files.
        self.connection.pragma_update(None, "temp_store", "MEMORY")
    }

    /// Whether the tables are tables with columns that hold what was put there.
    fn examine(&self) -> Result<()> {
        let sound = |name: &str| -> rusqlite::Result<bool> {
            let kind = "SELECT count(*) FROM pragma_table_list \
                        WHERE schema = 'main' AND name = ?1 AND type = 'table'";
            let columns = "SELECT count(*) FROM pragma_table_xinfo(?1) WHERE hidden = 0 \
                           AND name IN ('value', 'type', 'object_id')";
            let count =
                |query| self.connection.query_row(query, [name], |row| row.get::<_, i64>(0));
            Ok(count(kind)? == 1 && count(columns)? == 3)
        };
        for table in TABLES {
            if !sound(table).map_err(|error| failed(&self.path, &error))? {
                let reason = format!("it has no table {table} of SoftHSM2's");
                return Err(Error::StoreDamaged { path: self.path.clone(), reason });
            }
        }
        Ok(())
    }

    /// The attributes of every object, or of one.
    fn rows(&self, only: Option<i64>) -> Result<BTreeMap<i64, Row>> {
        let mut rows = BTreeMap::new();
        let mut budget = Budget::of(&self.path);
        let failed = |error| failed(&self.path, &error);
        let begin = rusqlite::Transaction::new_unchecked;
        let one_state = begin(&self.connection, TransactionBehavior::Deferred).map_err(failed)?;
        for table in TABLES {
            let all = format!("SELECT object_id, type, value FROM {table} ORDER BY rowid");
            let mut statement = one_state.prepare(&all).map_err(failed)?;
            let mut found = statement.query([]).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)? {
                let Ok(object) = row.get::<_, i64>(0) else { continue };
                if only.is_some_and(|only| only != object) {
                    continue;
                }
                let value = row.get_ref(2).map_err(failed)?;
                budget.spend(size_of::<Value>() + value.as_bytes().map_or(0, <[u8]>::len))?;
                let object = match rows.entry(object) {
                    Slot::Occupied(known) => known.into_mut(),
                    Slot::Vacant(new) => {
                        budget.spend(OBJECT_COST)?;
                        new.insert(Ok(Stored::new()))
                    }
                };
                let attribute = row.get::<_, i64>(1).ok().and_then(|number| number.try_into().ok());
                note(object, attribute, table, value);
            }
        }
        Ok(rows)
    }
}

/// Refuses a database with a write-ahead log, which SoftHSM2 never makes: to read one,
/// SQLite makes files beside it.
fn refuse_log(path: &Path) -> Result<()> {
    let mut header = [0; 20];
    let io = |error| Error::io(path, "open", &error);
    File::open(path).and_then(|mut file| file.read(&mut header)).map_err(io)?;
    // At their end the versions that a program must know to write and to read it.
    if !header.starts_with(b"SQLite format 3\0") || !header[18..].contains(&2) {
        return Ok(());
    }
    let reason = "it has a write-ahead log, which is not SoftHSM2's".into();
    Err(Error::StoreDamaged { path: path.into(), reason })
}

/// Adds an attribute to an object, or says what is wrong with it.
fn note(object: &mut Row, attribute: Option<Ulong>, table: &str, value: ValueRef<'_>) {
    let Ok(stored) = object else { return };
    let read = attribute.and_then(|attribute| Some((attribute, read(attribute, table, value)?)));
    let Some((attribute, value)) = read else {
        *object = Err(format!("has a row in {table} that is none of SoftHSM2's"));
        return;
    };
    match stored.entry(attribute) {
        Slot::Vacant(new) => drop(new.insert(value)),
        Slot::Occupied(mut first) => {
            // Whoever asked for FALSE once meant it.
            let is_destroyable = attribute == AttributeType::Destroyable.to_ck();
            if is_destroyable && matches!(value, Value::Flag(false)) {
                first.insert(value);
            }
        }
    }
}

fn read(attribute: Ulong, table: &str, value: ValueRef<'_>) -> Option<Value> {
    let bytes = match value {
        ValueRef::Blob(bytes) => Some(bytes),
        // Where there is nothing to store, there is no value at all.
        ValueRef::Null => Some(&[][..]),
        _ => None,
    };
    Some(match (table, value) {
        ("attribute_boolean", ValueRef::Integer(flag)) => Value::Flag(flag != 0),
        // Written as a signed number of 64 bits, read as what it was.
        ("attribute_integer", ValueRef::Integer(number)) => Value::Number(number.cast_unsigned()),
        ("attribute_binary", _) if attribute == AttributeType::AllowedMechanisms.to_ck() => {
            Value::Mechanisms(mechanisms(bytes?)?)
        }
        ("attribute_binary", _) => Value::Bytes(bytes?.to_vec().into()),
        ("attribute_array", _) => Value::Template { is_empty: bytes?.is_empty() },
        _ => return None,
    })
}

/// A set of mechanisms, in ascending order as a machine wrote it: numbers of eight
/// bytes, or of four. No mechanism has a number that needs more than four, so eight
/// bytes end with four zeros; four zeros behind another number of four bytes would be
/// a mechanism out of its order. The lowest byte comes first: what a big-endian machine
/// wrote looks like numbers that neither the standard nor a vendor gives.
pub(super) fn mechanisms(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: Vec<_> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (pairs, odd) = words.as_chunks::<2>();
    let wide = odd.is_empty() && pairs.iter().all(|pair| pair[1] == 0);
    let numbers: Vec<u64> = if wide {
        pairs.iter().map(|pair| pair[0].into()).collect()
    } else {
        words.into_iter().map(u64::from).collect()
    };
    let given = |number: &u64| *number < 0x1_0000 || *number >= 0x8000_0000;
    let ascending = numbers.is_sorted_by(|one, next| one < next);
    (rest.is_empty() && ascending && numbers.iter().all(given)).then_some(numbers)
}

fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::StoreDamaged { path, reason: error.to_string() }
        }
        Some(ErrorCode::TooBig) => {
            let reason = format!("it holds a value of more than {OBJECT_MAX} bytes");
            Error::StoreDamaged { path, reason }
        }
        Some(ErrorCode::DatabaseBusy) => {
            Error::StoreIo { path, reason: "another program is writing to it".into() }
        }
        // Its journal would have to be played back, which is for who may write.
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Error::StoreIo {
            path,
            reason: format!(
                "it cannot be read as it is ({error}); if a program died while writing to it, \
                 let SoftHSM2 open it once"
            ),
        },
        _ => Error::StoreIo { path, reason: error.to_string() },
    }
}
