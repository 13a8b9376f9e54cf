//! SQLite's errors in the project's words.

#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use rusqlite::ErrorCode;
use std::path::Path;

/// Adds to a failure of SQLite which file it was and what was tried.
pub(super) trait At<T> {
    fn at(self, path: &Path, tried: &str) -> Result<T>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, path: &Path, tried: &str) -> Result<T> {
        self.map_err(|error| translate(path, tried, &error))
    }
}

fn translate(path: &Path, tried: &str, error: &rusqlite::Error) -> Error {
    use rusqlite::Error as Sql;
    let damaged = || Error::StoreDamaged { path: path.into(), reason: format!("{tried}: {error}") };
    match error {
        Sql::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Error::StoreFull(path.into()),
            ErrorCode::ReadOnly => Error::StoreReadOnly(path.into()),
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            // The limits of `schema` are far above what is ever written.
            | ErrorCode::TooBig
            | ErrorCode::OperationInterrupted => damaged(),
            ErrorCode::OutOfMemory => Error::HostMemory,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                let file = path.display();
                Error::FunctionFailed(format!("{file}: {tried}: another program keeps it locked"))
            }
            // Why, SQLite keeps to itself. The thread's last error is what
            // sqlite3_system_errno() would tell.
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
                Error::io(path, &format!("{tried}: {error}"), &std::io::Error::last_os_error())
            }
            _ => io(path, format!("{tried}: {error}")),
        },
        // A missing row or a value of a wrong type or range: not what we wrote.
        Sql::QueryReturnedNoRows
        | Sql::FromSqlConversionFailure(..)
        | Sql::IntegralValueOutOfRange(..)
        | Sql::InvalidColumnType(..)
        | Sql::Utf8Error(..) => damaged(),
        _ => io(path, format!("{tried}: {error}")),
    }
}

fn io(path: &Path, reason: String) -> Error {
    Error::StoreIo { path: path.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_failure_has_its_name() {
        let path = Path::new("/there");
        let of = |code| {
            translate(path, "try", &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
        };
        assert_eq!(of(ffi::SQLITE_FULL), Error::StoreFull(path.into()));
        assert_eq!(of(ffi::SQLITE_READONLY_DBMOVED), Error::StoreReadOnly(path.into()));
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_TOOBIG,
            ffi::SQLITE_INTERRUPT,
        ] {
            assert!(matches!(of(code), Error::StoreDamaged { .. }));
        }
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CANTOPEN] {
            assert!(matches!(of(code), Error::StoreIo { .. }));
        }
        let Error::FunctionFailed(reason) = of(ffi::SQLITE_BUSY) else { panic!("another error") };
        assert_eq!(reason, "/there: try: another program keeps it locked");
    }
}
