//! Stores that are compared with a [`CounterFile`]: one that is older than it was
//! is refused.
//!
//! A commit is made first and remembered then, before anybody learns that it was made;
//! so is the counting of a login attempt, before anybody learns whether the PIN was
//! right. Who is killed in between leaves a store that is ahead of the counter. That is
//! no old copy, and is accepted: nobody is ever locked out by a crash. The counter is
//! opened for writing before the commit; should it fail all the same afterwards, the
//! caller gets its error although the commit was made. Programs that have the token open
//! may see a commit before it is remembered.
//!
//! Looked at when a token is opened, at every commit and at every login.

#![forbid(unsafe_code)]

use super::counter::{CounterFile, Progress};
use super::{
    Attempts, Change, Changes, Compacted, Cursor, Flaw, Generation, Kind, Page, Place, Presence,
    Reader, Record, RecordId, Reservation, Sequence, Store, Tag, slot_id,
};
use crate::error::{Error, Result};
use crate::types::SlotId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

/// How the counter calls the token that `Reader` shows.
pub type Name = fn(&dyn Reader) -> Result<String>;

/// The stores of a place, each guarded.
pub struct GuardedPlace {
    place: Arc<dyn Place>,
    counter: CounterFile,
    name: Name,
    open: Mutex<HashMap<u64, Weak<Guarded>>>,
}

impl GuardedPlace {
    /// Guards the stores of `place`.
    #[must_use]
    pub fn new(place: Arc<dyn Place>, counter: CounterFile, name: Name) -> Self {
        Self { place, counter, name, open: Mutex::default() }
    }

    fn guard(&self, slot: u64, store: Arc<dyn Store>) -> Result<Arc<dyn Store>> {
        let mut open = self.open.lock();
        let known = open.get(&slot).and_then(Weak::upgrade);
        if let Some(guarded) = known.filter(|known| Arc::ptr_eq(&known.store, &store)) {
            guarded.require_newest()?;
            return Ok(guarded);
        }
        let name = (self.name)(&*store)?;
        let guarded =
            Arc::new(Guarded { slot: slot_id(slot), store, counter: self.counter.clone(), name });
        guarded.require_newest()?;
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(slot, Arc::downgrade(&guarded));
        Ok(guarded)
    }
}

impl Place for GuardedPlace {
    fn slots(&self) -> Result<Vec<u64>> {
        self.place.slots()
    }

    fn open(&self, slot: u64) -> Result<Arc<dyn Store>> {
        self.guard(slot, self.place.open(slot)?)
    }

    fn create(&self, slot: u64, first: Vec<Change>) -> Result<Arc<dyn Store>> {
        self.counter.prepare()?;
        let store = self.place.create(slot, first)?;
        self.guard(slot, store).inspect_err(|_| {
            // Nobody may take for a token what its maker is told was not made. That it
            // cannot be removed either is the smaller part of the trouble.
            let _ = self.place.remove(slot);
        })
    }

    fn remove(&self, slot: u64) -> Result<()> {
        self.place.remove(slot)
    }
}

struct Guarded {
    slot: SlotId,
    store: Arc<dyn Store>,
    counter: CounterFile,
    name: String,
}

impl Guarded {
    /// Refuses a store that is behind the counter; how far the counter knows it to be, and
    /// how far it is.
    fn require_newest(&self) -> Result<(Progress, Progress)> {
        // The counter first: the store may have moved on until it is asked.
        let known = self.counter.read(&self.name)?.unwrap_or_default();
        let found = self.progress()?;
        self.require(known, found)?;
        Ok((known, found))
    }

    fn progress(&self) -> Result<Progress> {
        let commits = self.store.sequence()?.0;
        Ok(Progress { commits, attempts: self.store.reservations()? })
    }

    fn require(&self, known: Progress, found: Progress) -> Result<()> {
        if found.reaches(known) {
            return Ok(());
        }
        Err(Error::StoreRolledBack {
            slot: self.slot,
            counter: self.counter.path().to_owned(),
            found: (found.commits, found.attempts),
            newest: (known.commits, known.attempts),
        })
    }
}

impl Reader for Guarded {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        self.store.get(kind, id)
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        self.store.find(kind, tags, after, limit)
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        self.store.count(kind, tag, most)
    }

    fn sequence(&self) -> Result<Sequence> {
        self.store.sequence()
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        self.store.tags(kind, id)
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.store.flaws(most)
    }
}

impl Store for Guarded {
    fn generation(&self) -> Generation {
        self.store.generation()
    }

    fn changes(&self, since: Sequence) -> Result<Changes> {
        self.store.changes(since)
    }

    fn write_in_parts(
        &self,
        next: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        let (known, found) = self.require_newest()?;
        // Before anything is committed: a counter that cannot be written must not leave a
        // commit whose caller is told that it failed.
        self.counter.advance(&self.name, found)?;
        let mut is_empty = true;
        let sequence = self.store.write_in_parts(&mut |reader| {
            // Once more under the writer's lock.
            let commits = reader.sequence()?.0;
            self.require(known, Progress { commits, ..known })?;
            let batch = next(reader)?;
            is_empty &= batch.is_empty();
            Ok(batch)
        })?;
        if !is_empty {
            self.counter.advance(&self.name, Progress { commits: sequence.0, attempts: 0 })?;
        }
        Ok(sequence)
    }

    fn snapshot(&self, look: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        self.store.snapshot(look)
    }

    fn compact(&self) -> Result<Compacted> {
        self.store.compact()
    }

    fn attempts(&self, credential: &RecordId) -> Result<Attempts> {
        self.store.attempts(credential)
    }

    fn reserve(&self, credential: &RecordId, limit: u32) -> Result<Box<dyn Reservation + '_>> {
        let (_, found) = self.require_newest()?;
        if !self.is_writable() {
            // Nothing is counted there.
            return self.store.reserve(credential, limit);
        }
        // Before the attempt is counted: a counter that cannot be written must not use
        // up the attempts.
        self.counter.advance(&self.name, found)?;
        let reservation = self.store.reserve(credential, limit)?;
        let attempts = self.store.reservations()?;
        self.counter.advance(&self.name, Progress { commits: 0, attempts })?;
        Ok(reservation)
    }

    fn reservations(&self) -> Result<u64> {
        self.store.reservations()
    }

    fn forgive(&self, credential: &RecordId) -> Result<()> {
        self.require_newest()?;
        self.store.forgive(credential)
    }

    fn present(&self) -> Result<Option<Box<dyn Presence>>> {
        self.store.present()
    }

    fn alone(&self) -> Result<Option<Box<dyn Presence>>> {
        self.store.alone()
    }

    fn mend(&self) -> Result<()> {
        self.store.mend()
    }

    fn is_writable(&self) -> bool {
        self.store.is_writable()
    }

    fn is_outdated(&self) -> bool {
        self.store.is_outdated()
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        self.store.files()
    }

    fn lasting_directory(&self) -> Option<PathBuf> {
        self.store.lasting_directory()
    }
}
