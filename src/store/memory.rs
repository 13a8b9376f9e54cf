//! Stores without files, for tests and as the model that the real one is compared
//! with: the plainest code that keeps the promises, at any cost.

#![forbid(unsafe_code)]

use super::{
    Attempts, Change, Changes, Compacted, Cursor, Flaw, Generation, Kind, Page, Place, Presence,
    Reader, Record, RecordId, Reservation, Sequence, Store, Tag, expect, slot_id,
};
use crate::error::{Error, Result};
use crate::types::SlotId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    slot: SlotId,
    incarnation: u64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when a reservation ends.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    content: Content,
    log: Vec<(Sequence, Kind, RecordId)>,
    /// The log tells everything that happened after this.
    log_start: Sequence,
    credentials: BTreeMap<RecordId, Credential>,
    /// Raised by `Clear`: reservations from before are nobody's.
    era: u64,
    reservations: u64,
    present: usize,
    alone: bool,
    removed: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Credential {
    failures: u32,
    open: u32,
}

/// What a commit changes.
#[derive(Debug, Default, Clone)]
struct Content {
    sequence: u64,
    last_number: u64,
    records: BTreeMap<(Kind, RecordId), Entry>,
    order: BTreeMap<u64, (Kind, RecordId)>,
}

#[derive(Debug, Clone)]
struct Entry {
    number: u64,
    version: u64,
    body: Vec<u8>,
    tags: Vec<Tag>,
}

impl MemoryStore {
    /// An empty store that calls itself `slot`.
    #[must_use]
    pub fn new(slot: u64) -> Self {
        Self::with_incarnation(slot, 1)
    }

    fn with_incarnation(slot: u64, incarnation: u64) -> Self {
        Self { slot: slot_id(slot), incarnation, shared: Arc::default() }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.shared.state.lock();
        if state.removed { Err(Error::TokenNotPresent(self.slot)) } else { Ok(state) }
    }
}

impl Content {
    fn apply(&mut self, effects: &mut Effects, batch: Vec<Change>) -> Result<()> {
        for change in batch {
            match change {
                Change::Put { kind, id, expected, body, tags } => {
                    let found = self.records.get(&(kind, id.clone()));
                    let version = found.map_or(0, |entry| entry.version);
                    expect(&id, expected, version)?;
                    let number = found.map_or(self.last_number + 1, |entry| entry.number);
                    self.last_number = self.last_number.max(number);
                    self.order.insert(number, (kind, id.clone()));
                    effects.touched.insert((kind, id.clone()));
                    let entry = Entry { number, version: version + 1, body, tags };
                    self.records.insert((kind, id), entry);
                }
                Change::Remove { kind, id, expected } => {
                    let found = self.records.get(&(kind, id.clone()));
                    expect(&id, expected, found.map_or(0, |entry| entry.version))?;
                    if let Some(entry) = self.records.remove(&(kind, id.clone())) {
                        self.order.remove(&entry.number);
                    }
                    effects.touched.insert((kind, id));
                }
                Change::Clear => {
                    self.records.clear();
                    self.order.clear();
                    *effects = Effects { cleared: true, touched: BTreeSet::new() };
                }
            }
        }
        Ok(())
    }
}

/// What a batch does apart from the records.
#[derive(Default)]
struct Effects {
    cleared: bool,
    touched: BTreeSet<(Kind, RecordId)>,
}

impl Reader for Content {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        Ok(self.records.get(&(kind, id.clone())).map(|entry| record(kind, id, entry)))
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        let after = after.map_or(0, |cursor| cursor.0);
        let mut page = Page { records: Vec::new(), next: None };
        let mut last = after;
        for (number, key) in self.order.range(after.saturating_add(1)..) {
            let entry = &self.records[key];
            if key.0 != kind || !tags.iter().all(|tag| entry.tags.contains(tag)) {
                continue;
            }
            if page.records.len() == limit {
                page.next = Some(Cursor(last));
                break;
            }
            page.records.push(record(kind, &key.1, entry));
            last = *number;
        }
        Ok(page)
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        let all =
            self.records.iter().filter(|((of, _), entry)| *of == kind && entry.tags.contains(&tag));
        Ok(all.take(most).count())
    }

    fn sequence(&self) -> Result<Sequence> {
        Ok(Sequence(self.sequence))
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        let entry = self.records.get(&(kind, id.clone()));
        let mut tags = entry.map(|entry| entry.tags.clone()).unwrap_or_default();
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    fn flaws(&self, _: usize) -> Result<Vec<Flaw>> {
        Ok(Vec::new())
    }
}

fn record(kind: Kind, id: &RecordId, entry: &Entry) -> Record {
    Record { kind, id: id.clone(), version: entry.version, body: entry.body.clone() }
}

impl Reader for MemoryStore {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        self.state()?.content.get(kind, id)
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        self.state()?.content.find(kind, tags, after, limit)
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        self.state()?.content.count(kind, tag, most)
    }

    fn sequence(&self) -> Result<Sequence> {
        self.state()?.content.sequence()
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        self.state()?.content.tags(kind, id)
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.state()?.content.flaws(most)
    }
}

impl Store for MemoryStore {
    fn generation(&self) -> Generation {
        let state = self.shared.state.lock();
        // A commit happens in one step here, so only a removed store is odd.
        let count = if state.removed { u64::MAX } else { state.content.sequence * 2 };
        Generation { incarnation: self.incarnation, count }
    }

    fn changes(&self, since: Sequence) -> Result<Changes> {
        let state = self.state()?;
        let now = Sequence(state.content.sequence);
        if since < state.log_start || since > now {
            return Ok(Changes::Everything { now });
        }
        let later = state.log.iter().filter(|(sequence, ..)| *sequence > since);
        let mut records: Vec<_> = later.map(|(_, kind, id)| (*kind, id.clone())).collect();
        records.sort_unstable();
        records.dedup();
        Ok(Changes::Records { records, now })
    }

    fn write_in_parts(
        &self,
        next: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        let mut state = self.state()?;
        let mut batch = next(&state.content)?;
        if batch.is_empty() {
            return state.content.sequence();
        }
        let (mut content, mut effects) = (state.content.clone(), Effects::default());
        while !batch.is_empty() {
            content.apply(&mut effects, batch)?;
            batch = next(&content)?;
        }
        content.sequence += 1;
        let sequence = Sequence(content.sequence);
        state.content = content;
        if effects.cleared {
            state.log.clear();
            state.log_start = sequence;
            state.credentials.clear();
            state.era += 1;
            self.shared.settled.notify_all();
        }
        let touched = effects.touched.into_iter().map(|(kind, id)| (sequence, kind, id));
        state.log.extend(touched);
        Ok(sequence)
    }

    fn snapshot(&self, look: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        let content = self.state()?.content.clone();
        look(&content)
    }

    fn compact(&self) -> Result<Compacted> {
        drop(self.state()?);
        Ok(Compacted { before: 0, after: 0, is_partial: false })
    }

    fn attempts(&self, credential: &RecordId) -> Result<Attempts> {
        let state = self.state()?;
        let known = state.credentials.get(credential).copied().unwrap_or_default();
        Ok(Attempts { failures: known.failures })
    }

    fn reserve(&self, credential: &RecordId, limit: u32) -> Result<Box<dyn Reservation + '_>> {
        let mut state = self.state()?;
        loop {
            let era = state.era;
            let known = state.credentials.entry(credential.clone()).or_default();
            if known.failures >= limit {
                return Err(Error::PinLocked);
            }
            if known.failures + known.open < limit {
                known.open += 1;
                state.reservations += 1;
                let (credential, settled) = (credential.clone(), false);
                return Ok(Box::new(Counted { store: self, credential, era, settled }));
            }
            self.shared.settled.wait(&mut state);
            if state.removed {
                return Err(Error::TokenNotPresent(self.slot));
            }
        }
    }

    fn reservations(&self) -> Result<u64> {
        Ok(self.state()?.reservations)
    }

    fn forgive(&self, credential: &RecordId) -> Result<()> {
        if let Some(known) = self.state()?.credentials.get_mut(credential) {
            known.failures = 0;
        }
        self.shared.settled.notify_all();
        Ok(())
    }

    fn present(&self) -> Result<Option<Box<dyn Presence>>> {
        let mut state = self.state()?;
        if state.alone {
            return Ok(None);
        }
        state.present += 1;
        Ok(Some(Box::new(Held { shared: Arc::clone(&self.shared), alone: false })))
    }

    fn alone(&self) -> Result<Option<Box<dyn Presence>>> {
        let mut state = self.state()?;
        if state.alone || state.present > 0 {
            return Ok(None);
        }
        state.alone = true;
        Ok(Some(Box::new(Held { shared: Arc::clone(&self.shared), alone: true })))
    }

    fn mend(&self) -> Result<()> {
        self.state().map(drop)
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn is_outdated(&self) -> bool {
        self.state().is_err()
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        Vec::new()
    }
}

struct Counted<'s> {
    store: &'s MemoryStore,
    credential: RecordId,
    era: u64,
    settled: bool,
}

impl Counted<'_> {
    fn settle(&mut self, failures: impl FnOnce(u32) -> u32) -> Attempts {
        self.settled = true;
        let mut state = self.store.shared.state.lock();
        let era = state.era;
        let mut attempts = Attempts::default();
        if let Some(known) = state.credentials.get_mut(&self.credential) {
            if era == self.era {
                known.open -= 1;
                known.failures = failures(known.failures);
            }
            attempts.failures = known.failures;
        }
        self.store.shared.settled.notify_all();
        attempts
    }
}

impl Reservation for Counted<'_> {
    fn succeed(mut self: Box<Self>) -> Result<()> {
        self.settle(|_| 0);
        Ok(())
    }

    fn fail(mut self: Box<Self>) -> Result<Attempts> {
        Ok(self.settle(|failures| failures + 1))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(|failures| failures + 1);
        }
    }
}

struct Held {
    shared: Arc<Shared>,
    alone: bool,
}

impl Presence for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if self.alone {
            state.alone = false;
        } else {
            state.present -= 1;
        }
    }
}

/// Tokens in memory.
#[derive(Debug, Default)]
pub struct MemoryPlace {
    stores: Mutex<Stores>,
}

#[derive(Debug, Default)]
struct Stores {
    made: u64,
    by_slot: BTreeMap<u64, Arc<MemoryStore>>,
}

impl MemoryPlace {
    /// A place without tokens.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Place for MemoryPlace {
    fn slots(&self) -> Result<Vec<u64>> {
        Ok(self.stores.lock().by_slot.keys().copied().collect())
    }

    fn open(&self, slot: u64) -> Result<Arc<dyn Store>> {
        match self.stores.lock().by_slot.get(&slot) {
            Some(store) => Ok(Arc::<MemoryStore>::clone(store)),
            None => Err(Error::TokenNotPresent(slot_id(slot))),
        }
    }

    fn create(&self, slot: u64, first: Vec<Change>) -> Result<Arc<dyn Store>> {
        let mut stores = self.stores.lock();
        if stores.by_slot.contains_key(&slot) {
            return Err(Error::SlotIdInvalid(slot_id(slot)));
        }
        stores.made += 1;
        let store = Arc::new(MemoryStore::with_incarnation(slot, stores.made));
        let mut first = Some(first);
        store.write(&mut |_| Ok(first.take().unwrap_or_default()))?;
        stores.by_slot.insert(slot, Arc::clone(&store));
        Ok(store)
    }

    fn remove(&self, slot: u64) -> Result<()> {
        let Some(store) = self.stores.lock().by_slot.remove(&slot) else {
            return Err(Error::SlotIdInvalid(slot_id(slot)));
        };
        store.shared.state.lock().removed = true;
        store.shared.settled.notify_all();
        Ok(())
    }
}
