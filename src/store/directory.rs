//! The tokens of one directory: `slot-<n>` for each, n decimal.
//!
//! Beside them lies `signet.lock`, which orders creation and removal. A token is made
//! as `.slot-<n>.new` and removed as `.slot-<n>.gone`; what is found under such a
//! name, with the lock held, was left behind by the dead. What of a token outlives it is
//! moved beside it before. All other entries are somebody else's and stay untouched.
//!
//! The directory is listed each time it is asked for, which is never on the way of a
//! signature. Tokens are also copied in, moved and removed by hand, and nothing cheaper
//! than a listing tells of all that: a directory's time of change is too coarse for two
//! changes in a row.

#![forbid(unsafe_code)]

use super::files::{self, Pauses, Queue};
use super::generation::GenerationPage;
use super::sqlite::process::Inside;
use super::sqlite::{
    DATABASE, DATABASE_LOG, GENERATION_FILE, LASTING_DIRECTORY, SqliteStore, WRITERS_FILE,
};
use super::{Change, Place, Store, slot_id};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

const LOCK_FILE: &str = "signet.lock";
/// How long to wait for a process that does not get on, unless told otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The tokens in one directory, each a [`SqliteStore`].
pub struct DirectoryPlace {
    path: PathBuf,
    entropy: Arc<dyn Entropy>,
    busy_timeout: Duration,
    open: Mutex<HashMap<u64, Weak<SqliteStore>>>,
}

impl fmt::Debug for DirectoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryPlace").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DirectoryPlace {
    /// The tokens in `path`, which is made when the first token is.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, entropy: Arc<dyn Entropy>) -> Self {
        Self { path: path.into(), entropy, busy_timeout: BUSY_TIMEOUT, open: Mutex::default() }
    }

    /// The same, where who waits for another process that does not get on gives up
    /// after `busy_timeout` and not after 30 seconds.
    #[must_use]
    pub fn with_busy_timeout(self, busy_timeout: Duration) -> Self {
        Self { busy_timeout, ..self }
    }

    /// The directory without links on its way, which SQLite refuses.
    fn real_path(&self) -> Result<PathBuf> {
        self.path.canonicalize().map_err(|error| Error::io(&self.path, "find", &error))
    }

    /// Does `work` with the place's lock. A fork waits for it: its child must not hold
    /// a copy of the lock.
    fn locked<T>(&self, directory: &Path, work: impl FnOnce(&Inside) -> Result<T>) -> Result<T> {
        let path = directory.join(LOCK_FILE);
        let mut pauses = Pauses::new(self.busy_timeout);
        loop {
            let inside = Inside::enter_first(directory)?;
            if let Some(_lock) = Queue::try_join(&path)? {
                return work(&inside);
            }
            drop(inside);
            if !pauses.pause() {
                return Err(files::busy(&path, self.busy_timeout));
            }
        }
    }

    fn open_store(&self, directory: &Path, slot: u64) -> Result<Arc<SqliteStore>> {
        let mut open = self.open.lock();
        let known = open.get(&slot).and_then(Weak::upgrade);
        if let Some(store) = known.filter(|store| store.is_current()) {
            return Ok(store);
        }
        let path = token_path(directory, slot);
        if matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
            return Err(Error::TokenNotPresent(slot_id(slot)));
        }
        let store = SqliteStore::open(&path, slot, &*self.entropy, self.busy_timeout)?;
        // A copy of the directory of a removed token: the page in it says so.
        if store.is_removed() {
            return Err(Error::TokenNotPresent(slot_id(slot)));
        }
        let store = Arc::new(store);
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(slot, Arc::downgrade(&store));
        Ok(store)
    }
}

impl Place for DirectoryPlace {
    fn slots(&self) -> Result<Vec<u64>> {
        let io = |error| Error::io(&self.path, "list", &error);
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut slots = Vec::new();
        for entry in entries {
            let name = entry.map_err(io)?.file_name();
            slots.extend(name.to_str().and_then(slot_number));
        }
        slots.sort_unstable();
        Ok(slots)
    }

    fn open(&self, slot: u64) -> Result<Arc<dyn Store>> {
        if matches!(self.path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound)
        {
            return Err(Error::TokenNotPresent(slot_id(slot)));
        }
        Ok(self.open_store(&self.real_path()?, slot)?)
    }

    fn create(&self, slot: u64, first: Vec<Change>) -> Result<Arc<dyn Store>> {
        make_directories(&self.path)?;
        let directory = self.real_path()?;
        self.locked(&directory, |inside| {
            clean(&directory, &*self.entropy)?;
            let (unfinished, finished) =
                (passing_path(&directory, slot, "new"), token_path(&directory, slot));
            if finished.symlink_metadata().is_ok() {
                return Err(Error::SlotIdInvalid(slot_id(slot)));
            }
            let made = make_directory(&unfinished)
                .and_then(|()| SqliteStore::create(&unfinished, &*self.entropy, first, inside))
                .and_then(|()| move_token(&directory, &unfinished, &finished));
            if made.is_err() {
                // Best effort: under this name the next creation removes it anyway.
                let _ = fs::remove_dir_all(&unfinished);
            }
            made
        })?;
        Ok(self.open_store(&directory, slot)?)
    }

    fn remove(&self, slot: u64) -> Result<()> {
        let directory = self.real_path()?;
        let mut pauses = Pauses::new(self.busy_timeout);
        // Nothing is kept locked between two tries: neither a fork nor the removal of
        // another token has to wait.
        while !self.locked(&directory, |_| self.try_remove(&directory, slot))? {
            if !pauses.pause() {
                let token = token_path(&directory, slot);
                let then = "then remove the token again";
                return Err(not_removed(&token, self.busy_timeout, then));
            }
        }
        Ok(())
    }
}

impl DirectoryPlace {
    /// Removes a token, with the place's lock; false, and nothing is changed, when a
    /// writer is at work in it.
    fn try_remove(&self, directory: &Path, slot: u64) -> Result<bool> {
        clean(directory, &*self.entropy)?;
        let (token, leaving) = (token_path(directory, slot), passing_path(directory, slot, "gone"));
        if leaving.symlink_metadata().is_ok() {
            let then = "it goes with the next token that is made or removed here";
            return Err(not_removed(&leaving, Duration::ZERO, then));
        }
        if token.symlink_metadata().is_err() {
            return Err(Error::SlotIdInvalid(slot_id(slot)));
        }
        files::check_directory(&token)?;
        // Before it loses its name: a writer that is stopped would wake up in what was
        // overwritten, and the token would be neither there nor gone.
        let Some(still) = Still::new(&token, &*self.entropy)? else { return Ok(false) };
        move_token(directory, &token, &leaving)?;
        self.open.lock().remove(&slot);
        bury(&leaving, still)?;
        Ok(true)
    }
}

/// Why the token in `directory` still holds all that it held, and what is to be done.
fn not_removed(directory: &Path, busy_timeout: Duration, then: &str) -> Error {
    match files::busy(&directory.join(WRITERS_FILE), busy_timeout) {
        Error::FunctionFailed(why) => Error::FunctionFailed(format!(
            "{why} Nothing of {} was removed or overwritten; end that process: {then}",
            directory.display()
        )),
        other => other,
    }
}

/// Renames a token's directory durably. The caller holds the place's lock.
fn move_token(directory: &Path, from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io(from, "rename", &error))?;
    files::sync_directory(directory)
}

/// Finishes what a killed creation or removal left behind, but for that in which a writer
/// is still at work; the lock is held.
fn clean(directory: &Path, entropy: &dyn Entropy) -> Result<()> {
    let io = |error| Error::io(directory, "list", &error);
    for entry in fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let inner = name.to_str().and_then(|name| name.strip_prefix('.'));
        let Some((token, state)) = inner.and_then(|name| name.rsplit_once('.')) else { continue };
        if slot_number(token).is_some() && matches!(state, "new" | "gone") {
            let leaving = entry.path();
            files::check_directory(&leaving)?;
            if let Some(still) = Still::new(&leaving, entropy)? {
                bury(&leaving, still)?;
            }
        }
    }
    Ok(())
}

/// The writer's lock of a token that is to go, with its page. Without a page there
/// is nobody to tell.
struct Still(Option<(GenerationPage, Queue)>);

impl Still {
    /// `None`: a writer is at work.
    fn new(token: &Path, entropy: &dyn Entropy) -> Result<Option<Self>> {
        let Some(page) = GenerationPage::open(&token.join(GENERATION_FILE), true, entropy)? else {
            return Ok(Some(Self(None)));
        };
        let queue = Queue::try_join(&token.join(WRITERS_FILE))?;
        Ok(queue.map(|queue| Self(Some((page, queue)))))
    }
}

/// Tells those who still have the token open that it is gone, and deletes it.
fn bury(leaving: &Path, still: Still) -> Result<()> {
    if let Some((page, _)) = &still.0 {
        page.retire();
    }
    let overwritten = overwrite(leaving);
    set_aside(leaving)?;
    fs::remove_dir_all(leaving).map_err(|error| Error::io(leaving, "remove", &error))?;
    overwritten
}

/// Moves what outlives a token out of its directory: `audit` in `.slot-<n>.gone` becomes
/// `slot-<n>.audit-<name>` beside it, called after the first file in it, whose name no other
/// token's has. An empty one goes with the rest.
fn set_aside(leaving: &Path) -> Result<()> {
    let lasting = leaving.join(LASTING_DIRECTORY);
    let first = match fs::read_dir(&lasting) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name()).min(),
        Err(_) => None,
    };
    let name = leaving.file_name().and_then(|name| name.to_str());
    let token = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(".gone"));
    let (Some(first), Some(token), Some(directory)) = (first, token, leaving.parent()) else {
        return Ok(());
    };
    let first = PathBuf::from(first).with_extension("");
    let name = format!("{token}.{LASTING_DIRECTORY}-{}", first.display());
    // It is there already if a copy of the token was removed before.
    let copies = (2..).map(|copy| format!("{name}.{copy}"));
    let mut names = std::iter::once(name.clone()).chain(copies).map(|name| directory.join(name));
    let Some(kept) = names.find(|kept| kept.symlink_metadata().is_err()) else { return Ok(()) };
    fs::rename(&lasting, &kept).map_err(|error| Error::io(&lasting, "rename", &error))?;
    files::sync_directory(directory)
}

/// Overwrites what a token holds, so that the disk does not give it away; as far as the
/// file system overwrites in place. The files keep their length, and `-shm`, which holds
/// page numbers only, its content: other processes may have it mapped. All that can be
/// is overwritten, also where a file has a mode that keeps the token from being opened.
fn overwrite(token: &Path) -> Result<()> {
    let mut done = Ok(());
    for name in [DATABASE, DATABASE_LOG] {
        let path = token.join(name);
        let write = || {
            match path.symlink_metadata() {
                Ok(found) if found.is_file() => {}
                Ok(_) => return Err(io::Error::other("it is not a plain file")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
            let mut file = files::open(&path, true)?;
            let length = file.metadata()?.len();
            io::copy(&mut io::repeat(0).take(length), &mut file)?;
            file.sync_all()
        };
        done = done.and(write().map_err(|error| {
            let reason = format!("it was deleted, but not overwritten before: {error}");
            Error::StoreIo { path, reason }
        }));
    }
    done
}

/// Makes the place, with all that lies above it, durably.
fn make_directories(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_directories(parent)?;
    }
    match make_directory(path) {
        // Another process was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => files::sync_directory(parent.unwrap_or(Path::new("."))),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .mode(files::DIRECTORY_MODE)
        .create(path)
        .map_err(|error| Error::io(path, "make the directory", &error))
}

fn token_path(directory: &Path, slot: u64) -> PathBuf {
    directory.join(format!("slot-{slot}"))
}

fn passing_path(directory: &Path, slot: u64, state: &str) -> PathBuf {
    directory.join(format!(".slot-{slot}.{state}"))
}

/// The slot that a name stands for: one spelling for each number.
fn slot_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("slot-")?;
    let slot = digits.parse::<u64>().ok()?;
    (slot.to_string() == digits).then_some(slot)
}
