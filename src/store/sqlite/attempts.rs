//! Login attempts, counted before they are made.
//!
//! A reservation is a row, written durably, and a lock on the byte of its number in
//! a lock file, taken before the row is visible and given up after the row is
//! gone. A row whose byte is free has lost its holder and counts as a failure;
//! whoever writes next turns it into one. The kernel frees the byte when the
//! holder dies, and the lock is seen across pid namespaces.

#![forbid(unsafe_code)]

use super::failure::At;
use super::records::{Snapshot, signed, unsigned};
use super::{ATTEMPTS_FILE, SqliteStore};
use crate::error::{Error, Result};
use crate::store::files::{self, Pauses};
use crate::store::{Attempts, RecordId, Reservation, Store, Uncounted};
use rusqlite::OptionalExtension;
use std::io::ErrorKind;

const FAILURES: &str = "SELECT failures FROM attempts WHERE credential = ?1";
const SET_FAILURES: &str = "INSERT INTO attempts (credential, failures) VALUES (?1, ?2) \
     ON CONFLICT (credential) DO UPDATE SET failures = excluded.failures";
const FORGET_FAILURES: &str = "DELETE FROM attempts WHERE credential = ?1";
const OPEN: &str = "SELECT number FROM reservations WHERE credential = ?1";
const RESERVE: &str = "INSERT INTO reservations (number, credential) VALUES (?1, ?2)";
const SETTLE: &str = "DELETE FROM reservations WHERE number = ?1";
const NEXT: &str =
    "UPDATE meta SET last_reservation = last_reservation + 1 RETURNING last_reservation";

/// What is known about one credential.
struct Standing {
    /// Settled failures.
    failures: u32,
    /// Reservations whose holder is gone.
    dead: Vec<u64>,
    /// Reservations whose holder is at work.
    open: Vec<u64>,
}

impl Standing {
    fn counted(&self) -> u32 {
        self.failures.saturating_add(u32::try_from(self.dead.len()).unwrap_or(u32::MAX))
    }

    fn used(&self) -> u32 {
        self.counted().saturating_add(u32::try_from(self.open.len()).unwrap_or(u32::MAX))
    }
}

impl SqliteStore {
    fn standing(&self, state: &Snapshot<'_>, credential: &RecordId) -> Result<Standing> {
        let failures = state
            .statement(FAILURES)?
            .query_row([credential.as_str()], |row| row.get(0))
            .optional()
            .at(state.path, "read the attempts")?;
        let mut statement = state.statement(OPEN)?;
        let numbers = statement
            .query_map([credential.as_str()], |row| unsigned(row, 0))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .at(state.path, "read the reservations")?;
        let mut standing =
            Standing { failures: failures.unwrap_or(0), dead: Vec::new(), open: Vec::new() };
        if numbers.is_empty() {
            return Ok(standing);
        }
        let path = self.path.join(ATTEMPTS_FILE);
        // Asked through a description of its own: the store's would not see its own locks.
        let probe = match files::open(&path, false) {
            Ok(probe) => probe,
            // Nobody can hold a lock on a file that is not there.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                standing.dead = numbers;
                return Ok(standing);
            }
            Err(error) => return Err(Error::io(&path, "open", &error)),
        };
        for number in numbers {
            let held = files::is_byte_locked(&probe, number)
                .map_err(|error| Error::io(&path, "ask for locks", &error))?;
            if held {
                standing.open.push(number);
            } else {
                standing.dead.push(number);
            }
        }
        Ok(standing)
    }

    pub(super) fn read_attempts(&self, credential: &RecordId) -> Result<Attempts> {
        self.read(|state| {
            let failures = self.standing(state, credential)?.counted();
            Ok(Attempts { failures })
        })
    }

    pub(super) fn make_reservation(
        &self,
        credential: &RecordId,
        limit: u32,
    ) -> Result<Box<dyn Reservation + '_>> {
        if !self.is_writable() {
            // What was counted before still locks.
            return if self.read_attempts(credential)?.failures < limit {
                Ok(Box::new(Uncounted))
            } else {
                Err(Error::PinLocked)
            };
        }
        // Nothing wakes a waiter in another process.
        let mut pauses = Pauses::new(self.busy_timeout);
        let mut waited_for = Vec::new();
        loop {
            let standing = self.read(|state| self.standing(state, credential))?;
            if (standing.counted() >= limit || standing.used() < limit)
                && let Some(reserved) = self.try_reserve(credential, limit)?
            {
                return Ok(Box::new(reserved));
            }
            if waited_for != standing.open {
                // As long as others come and go nobody is stuck.
                waited_for = standing.open;
                pauses = Pauses::new(self.busy_timeout);
            }
            if !pauses.pause() {
                return Err(files::busy(&self.path.join(ATTEMPTS_FILE), self.busy_timeout));
            }
        }
    }

    /// One try under the writer's lock; `None` when open reservations are in the way.
    fn try_reserve(&self, credential: &RecordId, limit: u32) -> Result<Option<Counted<'_>>> {
        let writing = self.begin()?;
        let state = writing.snapshot()?;
        let standing = self.standing(&state, credential)?;
        let failures = standing.counted();
        if !standing.dead.is_empty() {
            for number in &standing.dead {
                settle(&state, *number)?;
            }
            set_failures(&state, credential, failures)?;
        }
        if failures >= limit {
            writing.commit()?;
            return Err(Error::PinLocked);
        }
        if standing.used() >= limit {
            writing.commit()?;
            return Ok(None);
        }
        let number = state
            .statement(NEXT)?
            .query_row((), |row| unsigned(row, 0))
            .at(state.path, "number a reservation")?;
        // Locked before the row can be seen, so that it never looks dead.
        let counted = Counted::lock(self, credential, number)?;
        state
            .statement(RESERVE)?
            .execute((signed(number), credential.as_str()))
            .at(state.path, "write a reservation")?;
        writing.commit()?;
        Ok(Some(counted))
    }

    pub(super) fn forget_failures(&self, credential: &RecordId) -> Result<()> {
        let writing = self.begin()?;
        self.forget(&writing.snapshot()?, credential)?;
        writing.commit()
    }

    /// Removes what counts as a failure now.
    fn forget(&self, state: &Snapshot<'_>, credential: &RecordId) -> Result<()> {
        for number in self.standing(state, credential)?.dead {
            settle(state, number)?;
        }
        let mut statement = state.statement(FORGET_FAILURES)?;
        statement.execute([credential.as_str()]).at(state.path, "forget the failures")?;
        Ok(())
    }
}

fn set_failures(state: &Snapshot<'_>, credential: &RecordId, failures: u32) -> Result<()> {
    let mut statement = state.statement(SET_FAILURES)?;
    statement.execute((credential.as_str(), failures)).at(state.path, "count a failure")?;
    Ok(())
}

/// Removes a reservation; false when it was forgotten meanwhile.
fn settle(state: &Snapshot<'_>, number: u64) -> Result<bool> {
    let mut statement = state.statement(SETTLE)?;
    let gone = statement.execute([signed(number)]).at(state.path, "settle a reservation")?;
    Ok(gone > 0)
}

struct Counted<'s> {
    store: &'s SqliteStore,
    credential: RecordId,
    number: u64,
    /// The row could not be removed: the lock stays until the process ends.
    stuck: bool,
}

impl<'s> Counted<'s> {
    fn lock(store: &'s SqliteStore, credential: &RecordId, number: u64) -> Result<Self> {
        let path = || store.path.join(ATTEMPTS_FILE);
        let io = |error| Error::io(&path(), "lock a reservation", &error);
        let file = store.attempts_file()?;
        if !files::lock_byte(file, number).map_err(io)? {
            let reason = format!("reservation {number} is locked by somebody else");
            return Err(Error::StoreIo { path: path(), reason });
        }
        Ok(Self { store, credential: credential.clone(), number, stuck: false })
    }

    fn settle(&mut self, change: impl FnOnce(&Snapshot<'_>) -> Result<()>) -> Result<()> {
        let settled = || {
            let writing = self.store.begin()?;
            let state = writing.snapshot()?;
            // When the store was cleared meanwhile, this attempt is nobody's anymore.
            if settle(&state, self.number)? {
                change(&state)?;
            }
            writing.commit()
        };
        let settled = settled();
        self.stuck = settled.is_err();
        settled
    }
}

impl Reservation for Counted<'_> {
    fn succeed(mut self: Box<Self>) -> Result<()> {
        let (store, credential) = (self.store, self.credential.clone());
        self.settle(|state| store.forget(state, &credential))
    }

    fn fail(mut self: Box<Self>) -> Result<Attempts> {
        let (store, credential) = (self.store, self.credential.clone());
        self.settle(|state| {
            let failures = store.standing(state, &credential)?.failures;
            set_failures(state, &credential, failures.saturating_add(1))
        })?;
        store.read_attempts(&credential)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // In a forked child the lock is the parent's: both share the description.
        if self.stuck || self.store.handles.is_inherited() {
            return;
        }
        if let Ok(file) = self.store.attempts_file() {
            // Without it the row would stay open until the process ends: the safe side.
            let _ = files::unlock_byte(file, self.number);
        }
    }
}
