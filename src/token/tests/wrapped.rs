//! A store that lets a test act between two steps of the token, or that
//! refuses to be written.

use super::*;
use crate::store::{
    Attempts, Changes, Compacted, Cursor, Flaw, Generation, Kind, Page, Presence, Reader, Record,
    Reservation, Sequence, Tag, Uncounted,
};
use parking_lot::Mutex;
use std::path::PathBuf;

type Step = Box<dyn FnOnce() + Send>;
type EveryTime = Box<dyn FnMut() + Send>;

/// How often the store was read, and how many records it gave.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::token) struct Reads {
    pub looks: usize,
    pub records: usize,
}

/// Passes everything on.
pub(in crate::token) struct Wrapped {
    store: Arc<dyn Store>,
    reads: Mutex<Reads>,
    /// Run once, after the next look-up of a record outside a commit.
    after_get: Mutex<Option<Step>>,
    /// Run once, after the next commit.
    after_write: Mutex<Option<Step>>,
    /// Run after every page of records of this kind.
    after_find: Mutex<Option<(Kind, EveryTime)>>,
    read_only: AtomicBool,
    full: AtomicBool,
    /// Parts of a commit until one is refused.
    parts_left: Mutex<Option<usize>>,
}

/// The one store of a world, wrapped.
pub(in crate::token) struct WrappedPlace {
    place: Arc<dyn Place>,
    pub store: Arc<Wrapped>,
}

impl WrappedPlace {
    pub fn new(world: &World) -> Self {
        let place = world.other_place();
        let store = Wrapped {
            store: place.open(SLOT.number()).unwrap(),
            reads: Mutex::default(),
            after_get: Mutex::default(),
            after_write: Mutex::default(),
            after_find: Mutex::default(),
            read_only: AtomicBool::new(false),
            full: AtomicBool::new(false),
            parts_left: Mutex::default(),
        };
        Self { place, store: Arc::new(store) }
    }

    /// The token through the wrapped store.
    pub fn open(&self, world: &World, settings: Settings) -> Token {
        Token::open(self, SLOT, &world.surroundings(), settings).unwrap()
    }
}

impl Wrapped {
    pub fn after_get(&self, step: impl FnOnce() + Send + 'static) {
        *self.after_get.lock() = Some(Box::new(step));
    }

    pub fn after_write(&self, step: impl FnOnce() + Send + 'static) {
        *self.after_write.lock() = Some(Box::new(step));
    }

    pub fn after_find(&self, kind: Kind, step: impl FnMut() + Send + 'static) {
        *self.after_find.lock() = Some((kind, Box::new(step)));
    }

    /// What was read since this was last asked.
    pub fn reads(&self) -> Reads {
        std::mem::take(&mut self.reads.lock())
    }

    fn count(&self, records: usize) {
        let mut reads = self.reads.lock();
        reads.looks += 1;
        reads.records += records;
    }

    pub fn make_read_only(&self) {
        self.read_only.store(true, Ordering::SeqCst);
    }

    /// No space for any commit from now on, but for attempts.
    pub fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// The next commit fails after this many parts of it.
    pub fn fail_after_parts(&self, parts: usize) {
        *self.parts_left.lock() = Some(parts);
    }

    fn run(step: &Mutex<Option<Step>>) {
        // Taken out first: the step may come here again.
        let step = step.lock().take();
        if let Some(step) = step {
            step();
        }
    }

    fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst)
    }

    fn refused(&self) -> Error {
        Error::StoreReadOnly("wrapped".into())
    }
}

impl Place for WrappedPlace {
    fn slots(&self) -> Result<Vec<u64>> {
        self.place.slots()
    }

    fn open(&self, _: u64) -> Result<Arc<dyn Store>> {
        Ok(Arc::<Wrapped>::clone(&self.store))
    }

    fn create(&self, slot: u64, first: Vec<Change>) -> Result<Arc<dyn Store>> {
        self.place.create(slot, first)
    }

    fn remove(&self, slot: u64) -> Result<()> {
        self.place.remove(slot)
    }
}

impl Reader for Wrapped {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        let record = self.store.get(kind, id);
        self.count(record.iter().flatten().count());
        Self::run(&self.after_get);
        record
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        Watched { state: &*self.store, steps: self }.find(kind, tags, after, limit)
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        self.store.count(kind, tag, most)
    }

    fn sequence(&self) -> Result<Sequence> {
        self.count(0);
        self.store.sequence()
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        self.store.tags(kind, id)
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.store.flaws(most)
    }
}

/// A state of the store, read with the steps of the test in between.
struct Watched<'a> {
    state: &'a dyn Reader,
    steps: &'a Wrapped,
}

impl Reader for Watched<'_> {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        self.state.get(kind, id)
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        let page = self.state.find(kind, tags, after, limit);
        self.steps.count(page.as_ref().map_or(0, |page| page.records.len()));
        if let Some((_, step)) = self.steps.after_find.lock().as_mut().filter(|(of, _)| *of == kind)
        {
            step();
        }
        page
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        self.state.count(kind, tag, most)
    }

    fn sequence(&self) -> Result<Sequence> {
        self.state.sequence()
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        self.state.tags(kind, id)
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.state.flaws(most)
    }
}

impl Store for Wrapped {
    fn generation(&self) -> Generation {
        self.store.generation()
    }

    fn changes(&self, since: Sequence) -> Result<Changes> {
        self.count(0);
        self.store.changes(since)
    }

    fn write_in_parts(
        &self,
        next: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        if self.is_read_only() {
            return Err(self.refused());
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::StoreFull("wrapped".into()));
        }
        let mut parts_left = self.parts_left.lock().take();
        let sequence = self.store.write_in_parts(&mut |reader| match &mut parts_left {
            Some(0) => Err(Error::StoreFull("wrapped".into())),
            Some(left) => {
                *left -= 1;
                next(reader)
            }
            None => next(reader),
        });
        Self::run(&self.after_write);
        sequence
    }

    fn snapshot(&self, look: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        self.store.snapshot(&mut |state| look(&Watched { state, steps: self }))
    }

    fn compact(&self) -> Result<Compacted> {
        self.store.compact()
    }

    fn attempts(&self, credential: &RecordId) -> Result<Attempts> {
        self.store.attempts(credential)
    }

    fn reserve(&self, credential: &RecordId, limit: u32) -> Result<Box<dyn Reservation + '_>> {
        if self.is_read_only() {
            return Ok(Box::new(Uncounted));
        }
        self.store.reserve(credential, limit)
    }

    fn reservations(&self) -> Result<u64> {
        self.store.reservations()
    }

    fn forgive(&self, credential: &RecordId) -> Result<()> {
        if self.is_read_only() { Err(self.refused()) } else { self.store.forgive(credential) }
    }

    fn present(&self) -> Result<Option<Box<dyn Presence>>> {
        self.store.present()
    }

    fn alone(&self) -> Result<Option<Box<dyn Presence>>> {
        self.store.alone()
    }

    fn mend(&self) -> Result<()> {
        if self.is_read_only() { Err(self.refused()) } else { self.store.mend() }
    }

    fn is_writable(&self) -> bool {
        !self.is_read_only() && self.store.is_writable()
    }

    fn is_outdated(&self) -> bool {
        self.store.is_outdated()
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        self.store.files()
    }
}
