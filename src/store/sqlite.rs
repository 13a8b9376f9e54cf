//! The embedded store: one directory per token, SQLite inside.
//!
//! | File | What it is |
//! |---|---|
//! | `token.db`, `-wal`, `-shm` | the SQLite database. Nothing in this process but SQLite may open it: closing any descriptor of it drops SQLite's locks |
//! | `generation` | the mapped page, see `generation.rs` |
//! | `writers` | locked by the writer at work; the others wait for it instead of polling SQLite's lock, and are woken through the page |
//! | `attempts` | one locked byte for each open reservation |
//! | `presence` | `flock`ed shared by each presence, exclusively by who is alone |
//! | `copies` | one locked byte for each process, against two copies of this library in one |
//!
//! Two connections: one reads, one (opened at the first commit) writes, so that
//! nobody's look-up waits for another thread's sync. Locks are taken in the order
//! writer's mutex, `writers`, SQLite's; the reader's mutex is taken alone. Who finds
//! `writers` locked gives up the mutex, and is not [`Inside`], while he waits.

#![forbid(unsafe_code)]

mod attempts;
mod failure;
mod flaws;
mod handles;
mod presence;
pub(super) mod process;
mod records;
mod schema;
#[cfg(test)]
pub(super) mod tests;

use super::files::{self, Pauses, Queue};
use super::generation::GenerationPage;
use super::{
    Attempts, Change, Changes, Compacted, Cursor, Flaw, Generation, Kind, Page, Presence, Reader,
    Record, RecordId, Reservation, Sequence, Store, Tag, slot_id,
};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::types::SlotId;
use failure::At;
use handles::Handles;
use parking_lot::MutexGuard;
use presence::Presences;
use process::{Claim, Inside, Standing};
use records::Snapshot;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) const DATABASE: &str = "token.db";
pub(super) const DATABASE_LOG: &str = "token.db-wal";
pub(super) const GENERATION_FILE: &str = "generation";
pub(super) const WRITERS_FILE: &str = "writers";
/// What outlives the token: see [`Store::lasting_directory`].
pub(super) const LASTING_DIRECTORY: &str = "audit";
pub(super) const ATTEMPTS_FILE: &str = "attempts";
const PRESENCE_FILE: &str = "presence";
const COPIES_FILE: &str = "copies";

/// The longest that a writer sleeps before it looks for itself: who gave up the lock
/// may have been killed before it could wake anybody.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// How many steps of SQLite's machine whoever looks at a snapshot may need, and how
/// many more for each byte of the file. Reading everything ten times takes far
/// fewer. Looked at every so many steps.
const SNAPSHOT_STEPS: u64 = 20_000_000;
const SNAPSHOT_STEPS_PER_BYTE: u64 = 2000;
const STEPS_AT_ONCE: u16 = 10_000;

/// How changes are noticed.
#[derive(Debug)]
enum Noticing {
    /// By the mapped page.
    Page(GenerationPage),
    /// By asking SQLite: a read-only store without a page that could be mapped.
    Asking { incarnation: u64 },
}

/// The store of one token in one directory.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    database: PathBuf,
    slot: SlotId,
    /// When it was opened; see also [`SqliteStore::may_write`].
    writable: bool,
    noticing: Noticing,
    busy_timeout: Duration,
    handles: Arc<Handles>,
}

impl SqliteStore {
    /// Opens the token in `directory`, known as `slot`. `directory` holds no
    /// symbolic links on its way (see `std::fs::canonicalize`). Who waits for another
    /// process that does not get on gives up after `busy_timeout`.
    ///
    /// # Errors
    /// [`StoreIo`](Error::StoreIo): not there, not ours, writable by others, or open in
    /// another copy of this library; [`StoreDamaged`](Error::StoreDamaged): not a token
    /// store, or broken; [`TokenNotRecognized`](Error::TokenNotRecognized): made by a
    /// newer version.
    pub fn open(
        directory: &Path,
        slot: u64,
        entropy: &dyn Entropy,
        busy_timeout: Duration,
    ) -> Result<Self> {
        files::check_directory(directory)?;
        let database = directory.join(DATABASE);
        if !files::check_file(&database)? {
            let reason = "it does not exist".to_owned();
            return Err(Error::StoreIo { path: database, reason });
        }
        for suffix in ["-wal", "-shm"] {
            files::check_file(&with_suffix(&database, suffix))?;
        }
        for name in [GENERATION_FILE, WRITERS_FILE, ATTEMPTS_FILE, PRESENCE_FILE, COPIES_FILE] {
            files::check_file(&directory.join(name))?;
        }
        let writable = may_write(directory, &database);
        let noticing = open_page(directory, writable, entropy, busy_timeout)?;
        // From here on a fork must find what is open registered.
        let inside = Inside::enter_first(&database)?;
        let claim = Claim::new(&database, &directory.join(COPIES_FILE), writable)?;
        let attempts_file = directory.join(ATTEMPTS_FILE);
        let attempts_file =
            if writable { Some(files::open_lock_file(&attempts_file)?) } else { None };
        let presences = Presences::new(directory.join(PRESENCE_FILE), writable);
        let store = Self {
            path: directory.into(),
            slot: slot_id(slot),
            writable,
            noticing,
            busy_timeout,
            handles: Handles::register(claim, attempts_file, presences),
            database,
        };
        let version = store.connect();
        // Before the store, which enters by itself to be closed.
        drop(inside);
        if version? < schema::STEPS.len() {
            store.migrate(schema::STEPS)?;
        }
        Ok(store)
    }

    /// Opens the reading connection; the schema's version.
    fn connect(&self) -> Result<usize> {
        let connection = open_database(&self.database, self.writable, self.busy_timeout)?;
        schema::configure(&connection, false).at(&self.database, "set up")?;
        let version = schema::version(&connection, &self.database, self.slot)?;
        schema::require_ours(&connection, &self.database, version)?;
        *self.handles.reader.lock() = Some(connection);
        Ok(version)
    }

    fn migrate(&self, steps: &[schema::Step]) -> Result<()> {
        let writing = self.begin()?;
        let connection = writing.connection()?;
        // Read again under the lock: another process may have been first.
        let version = schema::version(connection, &self.database, self.slot)?;
        schema::migrate(connection, version, steps).at(&self.database, "migrate")?;
        writing.commit()
    }

    /// Makes the files of a token in the empty `directory`, with one first commit,
    /// and closes them; everything is durable except the directory's own name.
    pub(super) fn create(
        directory: &Path,
        entropy: &dyn Entropy,
        first: Vec<Change>,
        _: &Inside,
    ) -> Result<()> {
        let database = directory.join(DATABASE);
        for name in [DATABASE, WRITERS_FILE, ATTEMPTS_FILE, PRESENCE_FILE, COPIES_FILE] {
            let path = directory.join(name);
            files::open(&path, true)
                .and_then(|file| file.sync_all())
                .map_err(|error| Error::io(&path, "make", &error))?;
        }
        GenerationPage::open_or_make(&directory.join(GENERATION_FILE), entropy)?;
        let connection = open_database(&database, true, Duration::ZERO)?;
        let at = "make the database";
        let identify = format!(
            "PRAGMA journal_mode = WAL; PRAGMA application_id = {}",
            schema::APPLICATION_ID
        );
        connection.execute_batch(&identify).at(&database, at)?;
        schema::configure(&connection, true).at(&database, at)?;
        connection.execute_batch("BEGIN IMMEDIATE").at(&database, at)?;
        schema::migrate(&connection, 0, schema::STEPS).at(&database, at)?;
        if !first.is_empty() {
            let state = Snapshot { connection: &connection, path: &database };
            let mut commit = state.commit()?;
            commit.apply(first)?;
            commit.finish()?;
        }
        connection.execute_batch("COMMIT").at(&database, at)?;
        // The last connection: the log is written back and synced.
        connection.close().map_err(|(_, error)| error).at(&database, at)?;
        files::sync_directory(directory)
    }

    /// Whether the token was removed, here or by another process.
    pub(super) fn is_removed(&self) -> bool {
        matches!(&self.noticing, Noticing::Page(page) if page.is_retired())
    }

    /// Whether the token is still there under its name.
    pub(super) fn is_current(&self) -> bool {
        let there = self.handles.standing(&self.database) == Some(Standing::There);
        there && !self.is_removed()
    }

    /// Whether this process may write the files now.
    fn may_write(&self) -> bool {
        may_write(&self.path, &self.database)
    }

    /// Whether the files are still those that everybody finds, and the page is one of
    /// them. `repair`: the page may be made anew, for this thread holds the writer's
    /// lock; without, it is at least mapped if it is there. The caller is [`Inside`].
    fn check_present(&self, repair: bool) -> Result<()> {
        let standing = self.handles.standing(&self.database);
        if let Noticing::Page(page) = &self.noticing {
            if standing != Some(Standing::There) {
                // So that those who only look at the page come here too.
                page.distrust();
            } else if repair {
                page.repair()?;
            } else if !page.is_current() {
                // Not to be had: then everybody asks the store each time.
                let _ = page.adopt();
            }
        }
        match standing {
            None => Err(self.gone()),
            Some(Standing::There) if !self.is_removed() => Ok(()),
            Some(Standing::There | Standing::Gone) => Err(Error::TokenNotPresent(self.slot)),
            Some(Standing::Replaced) => {
                let reason = "it was replaced while it was open".into();
                Err(Error::StoreIo { path: self.database.clone(), reason })
            }
        }
    }

    fn attempts_file(&self) -> Result<&File> {
        self.handles
            .attempts_file
            .as_ref()
            .ok_or_else(|| Error::StoreReadOnly(self.database.clone()))
    }

    /// Runs `look` on one state of the store.
    fn read<T>(&self, look: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let _inside = Inside::enter();
        self.check_present(false)?;
        // What is found in a file that is being overwritten means nothing.
        self.look(look).map_err(|error| self.check_present(false).err().unwrap_or(error))
    }

    fn look<T>(&self, look: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let guard = self.handles.reader.lock();
        let connection = guard.as_ref().ok_or_else(|| self.gone())?;
        let transaction = Transaction::begin(connection, &self.database, "BEGIN")?;
        let answer = look(&Snapshot { connection, path: &self.database })?;
        transaction.commit()?;
        Ok(answer)
    }

    /// Waits for the writer's lock and begins a transaction.
    fn begin(&self) -> Result<Writing<'_>> {
        let writing = self.wait_to_write()?;
        execute(writing.connection()?, &self.database, "BEGIN IMMEDIATE")?;
        Ok(writing)
    }

    /// Waits for the writer's lock.
    fn wait_to_write(&self) -> Result<Writing<'_>> {
        let page = match &self.noticing {
            Noticing::Page(page) if self.writable => page,
            // Whoever can write has a page: `open_page` makes one.
            _ => return Err(Error::StoreReadOnly(self.database.clone())),
        };
        let ticket = Ticket { page, number: page.take_ticket() };
        let mut idle = Duration::ZERO;
        let soon = LONGEST_SLEEP.min(self.busy_timeout);
        loop {
            let (rings, turn) = (page.rings(ticket.number), page.turn());
            // Out of turn when nobody gets on: whose turn it is may be dead.
            if (turn >= ticket.number || idle >= soon)
                && let Some(mut writing) = self.try_to_write()?
            {
                writing._ticket = Some(ticket);
                return Ok(writing);
            }
            if idle >= self.busy_timeout {
                return Err(files::busy(&self.path.join(WRITERS_FILE), self.busy_timeout));
            }
            let rung = page.await_turn(ticket.number, rings, LONGEST_SLEEP);
            if turn != page.turn() {
                // As long as writers come and go nobody is stuck.
                idle = Duration::ZERO;
            } else if !rung {
                idle += LONGEST_SLEEP;
            }
        }
    }

    /// Takes the writer's lock, unless another process is at work.
    fn try_to_write(&self) -> Result<Option<Writing<'_>>> {
        let inside = Inside::enter();
        let mut guard = self.handles.writer.lock();
        if self.handles.is_released() {
            return Err(self.gone());
        }
        if !self.is_writable() {
            return Err(Error::StoreReadOnly(self.database.clone()));
        }
        let joined = Queue::try_join(&self.path.join(WRITERS_FILE));
        // A token that is gone has no such file either.
        let joined = joined.map_err(|error| self.check_present(false).err().unwrap_or(error));
        let Some(queue) = joined? else { return Ok(None) };
        // Nobody would find a commit to a file without its name again.
        self.check_present(true)?;
        if guard.is_none() {
            let connection = open_database(&self.database, true, self.busy_timeout)?;
            schema::configure(&connection, true).at(&self.database, "set up")?;
            // What SQLite could only open to be read would stay so.
            if connection.is_readonly(MAIN_DB).at(&self.database, "open")? {
                return Err(Error::StoreReadOnly(self.database.clone()));
            }
            *guard = Some(connection);
        }
        let writing = Writing { store: self, _queue: queue, _ticket: None, guard, _inside: inside };
        Ok(Some(writing))
    }

    /// What database and log take up, in bytes.
    fn size(&self) -> Result<u64> {
        let mut size = 0;
        for path in [self.database.clone(), with_suffix(&self.database, "-wal")] {
            match path.symlink_metadata() {
                Ok(found) => size += found.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&path, "look at", &error)),
            }
        }
        Ok(size)
    }

    fn gone(&self) -> Error {
        let reason = "this process was forked; open the token again".to_owned();
        Error::StoreIo { path: self.database.clone(), reason }
    }

    /// SQLite's own notion of change, for read-only stores without a page.
    fn ask(&self, incarnation: u64) -> Generation {
        let _inside = Inside::enter();
        let guard = self.handles.reader.lock();
        let version = guard.as_ref().and_then(|connection| {
            let mut statement = connection.prepare_cached("PRAGMA data_version").ok()?;
            statement.query_row((), |row| row.get::<_, u32>(0)).ok()
        });
        // Unknown is odd: the caller asks for changes, and learns what is wrong.
        let count = version.map_or(1, |version| u64::from(version) * 2);
        Generation { incarnation, count }
    }
}

fn may_write(directory: &Path, database: &Path) -> bool {
    files::may_write(directory) && files::may_write(database)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `busy_timeout`: how long SQLite waits for locks that our own queue does not order:
/// recovery, the last close, foreign programs.
fn open_database(database: &Path, writable: bool, busy_timeout: Duration) -> Result<Connection> {
    let connection = open_connection(database, writable)?;
    connection.busy_timeout(busy_timeout).at(database, "set up")?;
    Ok(connection)
}

fn open_connection(database: &Path, writable: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    if writable {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE;
        return Connection::open_with_flags(database, flags).at(database, "open");
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
    if files::check_file(&with_suffix(database, "-wal"))? {
        return Connection::open_with_flags(database, flags).at(database, "open");
    }
    // No log beside it: only the database was copied, to where nobody writes.
    // SQLite would want to make a log, unless told that nothing ever changes.
    let mut uri = "file://".to_owned();
    for byte in database.as_os_str().as_bytes() {
        match byte {
            b'/' => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).at(database, "open")
}

/// Maps the page, or makes it anew under the writer's lock. A fork waits for the
/// lock, not for whoever has it.
fn open_page(
    directory: &Path,
    writable: bool,
    entropy: &dyn Entropy,
    busy_timeout: Duration,
) -> Result<Noticing> {
    let path = directory.join(GENERATION_FILE);
    let writers = directory.join(WRITERS_FILE);
    let mut pauses = Pauses::new(busy_timeout);
    loop {
        let inside = Inside::enter_first(&directory.join(DATABASE))?;
        if let Some(page) = GenerationPage::open(&path, writable, entropy)? {
            return Ok(Noticing::Page(page));
        }
        if !writable {
            let incarnation = u64::from_ne_bytes(entropy::array(entropy)?);
            return Ok(Noticing::Asking { incarnation });
        }
        if let Some(_queue) = Queue::try_join(&writers)? {
            // Another process may have made it while this one waited.
            return Ok(Noticing::Page(GenerationPage::open_or_make(&path, entropy)?));
        }
        drop(inside);
        if !pauses.pause() {
            return Err(files::busy(&writers, busy_timeout));
        }
    }
}

fn execute(connection: &Connection, path: &Path, sql: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(sql).at(path, sql)?;
    statement.execute(()).at(path, sql)?;
    Ok(())
}

/// Ends a transaction that nobody ended: an error or a panic is on its way out.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // When even this fails, the next BEGIN says why.
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// A reading transaction, rolled back when dropped.
struct Transaction<'c> {
    connection: &'c Connection,
    path: &'c Path,
}

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection, path: &'c Path, sql: &str) -> Result<Self> {
        execute(connection, path, sql)?;
        Ok(Self { connection, path })
    }

    fn commit(self) -> Result<()> {
        execute(self.connection, self.path, "COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        roll_back(self.connection);
    }
}

/// A place in the queue for the writer's lock; dropped when the lock has been given up,
/// or is not wanted any more.
struct Ticket<'s> {
    page: &'s GenerationPage,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.page.pass_turn(self.number);
    }
}

/// The writer's lock and a transaction, rolled back when dropped.
struct Writing<'s> {
    store: &'s SqliteStore,
    // Dropped in this order, the reverse of how they were taken.
    _queue: Queue,
    _ticket: Option<Ticket<'s>>,
    guard: MutexGuard<'s, Option<Connection>>,
    _inside: Inside,
}

impl Writing<'_> {
    fn connection(&self) -> Result<&Connection> {
        self.guard.as_ref().ok_or_else(|| self.store.gone())
    }

    fn snapshot(&self) -> Result<Snapshot<'_>> {
        Ok(Snapshot { connection: self.connection()?, path: &self.store.database })
    }

    fn commit(&self) -> Result<()> {
        execute(self.connection()?, &self.store.database, "COMMIT")
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.guard.as_ref() {
            roll_back(connection);
        }
    }
}

impl Reader for SqliteStore {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        self.read(|state| state.get(kind, id))
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        self.read(|state| state.find(kind, tags, after, limit))
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        self.read(|state| state.count(kind, tag, most))
    }

    fn sequence(&self) -> Result<Sequence> {
        self.read(|state| state.sequence())
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        self.read(|state| state.tags(kind, id))
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.read(|state| state.flaws(most))
    }
}

impl Store for SqliteStore {
    fn generation(&self) -> Generation {
        match &self.noticing {
            Noticing::Page(page) => page.read(),
            Noticing::Asking { incarnation } => self.ask(*incarnation),
        }
    }

    fn changes(&self, since: Sequence) -> Result<Changes> {
        self.read(|state| state.changes(since))
    }

    fn write_in_parts(
        &self,
        next: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        let writing = self.begin()?;
        let state = writing.snapshot()?;
        let mut batch = next(&state)?;
        if batch.is_empty() {
            return state.sequence();
        }
        let mut commit = state.commit()?;
        while !batch.is_empty() {
            commit.apply(batch)?;
            batch = next(&state)?;
        }
        let sequence = commit.finish()?;
        let Noticing::Page(page) = &self.noticing else {
            return Err(Error::StoreReadOnly(self.database.clone()));
        };
        if !page.begin() {
            // Cut off or replaced since this writer began.
            page.repair()?;
            page.begin();
        }
        let committed = writing.commit();
        // After a failure too: that it failed may not be the whole truth.
        page.end();
        // Replaced amid the commit: whoever has mapped the new one already must notice. If
        // that fails, the next writer does it; the commit stands.
        let _ = page.repair();
        committed.map(|()| sequence)
    }

    fn snapshot(&self, look: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        let _inside = Inside::enter();
        if self.handles.is_released() {
            return Err(self.gone());
        }
        self.check_present(false)?;
        // A connection of its own: the other readers must not wait for this one.
        let mut connection = open_database(&self.database, self.writable, self.busy_timeout)?;
        schema::configure(&connection, false).at(&self.database, "set up")?;
        // In an edited file the pages may lead round in circles.
        let mut budget = SNAPSHOT_STEPS + self.size()?.saturating_mul(SNAPSHOT_STEPS_PER_BYTE);
        let is_spent = move || {
            budget = budget.saturating_sub(u64::from(STEPS_AT_ONCE));
            budget == 0
        };
        connection
            .progress_handler(STEPS_AT_ONCE.into(), Some(is_spent))
            .at(&self.database, "set up")?;
        let transaction = Transaction::begin(&connection, &self.database, "BEGIN")?;
        let state = Snapshot { connection: &connection, path: &self.database };
        // SQLite chooses the state at the first read, not at BEGIN.
        state.sequence()?;
        let looked = look(&state);
        // Nothing was written, and a damaged file that could be looked at may not commit.
        drop(transaction);
        looked
    }

    fn compact(&self) -> Result<Compacted> {
        let writing = self.wait_to_write()?;
        let before = self.size()?;
        let (connection, at) = (writing.connection()?, "compact");
        connection.execute_batch("VACUUM").at(&self.database, at)?;
        // The new content stands in the log: moved into the database, and the log emptied.
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
            .at(&self.database, at)?;
        Ok(Compacted { before, after: self.size()?, is_partial: busy != 0 })
    }

    fn attempts(&self, credential: &RecordId) -> Result<Attempts> {
        self.read_attempts(credential)
    }

    fn reserve(&self, credential: &RecordId, limit: u32) -> Result<Box<dyn Reservation + '_>> {
        self.make_reservation(credential, limit)
    }

    fn reservations(&self) -> Result<u64> {
        self.read(|state| state.reservations())
    }

    fn forgive(&self, credential: &RecordId) -> Result<()> {
        self.forget_failures(credential)
    }

    fn present(&self) -> Result<Option<Box<dyn Presence>>> {
        let _inside = Inside::enter();
        self.check_present(false)?;
        presence::enter(&self.handles, false)
    }

    fn alone(&self) -> Result<Option<Box<dyn Presence>>> {
        let _inside = Inside::enter();
        self.check_present(false)?;
        presence::enter(&self.handles, true)
    }

    fn mend(&self) -> Result<()> {
        let writing = self.begin()?;
        writing.snapshot()?.rebuild_look_up()?;
        // Nobody keeps what a look-up has found: the generation need not be raised.
        writing.commit()
    }

    fn is_writable(&self) -> bool {
        self.writable && self.may_write()
    }

    fn is_outdated(&self) -> bool {
        !self.is_current() || (!self.writable && self.may_write())
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        let with_size = |path: PathBuf| {
            let size = path.symlink_metadata().ok()?.len();
            Some((path, size))
        };
        [self.database.clone(), with_suffix(&self.database, "-wal")]
            .into_iter()
            .filter_map(with_size)
            .collect()
    }

    fn lasting_directory(&self) -> Option<PathBuf> {
        Some(self.database.parent()?.join(LASTING_DIRECTORY))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.handles.close();
    }
}
