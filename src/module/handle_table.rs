//! Handles and what they stand for.
//!
//! Looking a handle up takes no lock and writes no memory that another thread
//! reads: a slot is an arc-swap cell. Slots stand in chunks that are made when
//! needed and never move; a freed slot is used again under a new generation, so
//! a handle is never the name of two things in one table. Tables of different
//! lives (`C_Initialize` counts them) draw on different generations, so that a
//! handle that was kept too long finds nothing there either.

use crate::types::Ulong;
use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Bits of a handle that name the slot, plus one; the others are the generation.
const INDEX_BITS: u32 = if Ulong::BITS == 64 { 32 } else { 20 };
/// The first chunk has this many slots, each next one twice as many.
const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = INDEX_BITS as usize - FIRST_CHUNK.ilog2() as usize - 1;
/// Half of the generation's bits name the life, the others count within it.
const LIFE_SHIFT: u32 = (Ulong::BITS - INDEX_BITS) / 2;
const GENERATIONS: Ulong = 1 << LIFE_SHIFT;

/// Things of one sort by their handles.
pub struct HandleTable<T> {
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    free: Mutex<Free>,
    /// The generation of a slot that is used for the first time.
    first: Ulong,
}

type Slot<T> = ArcSwapOption<Entry<T>>;

struct Entry<T> {
    handle: Ulong,
    value: T,
}

/// Which slots can be given out.
#[derive(Default)]
struct Free {
    /// Slots from here on have never been used.
    fresh: usize,
    /// Slots that were, and the generation that they get next.
    used: Vec<(usize, Ulong)>,
}

/// A thing that stays alive while this value does, even when its handle is
/// removed meanwhile.
pub struct Held<T>(Guard<Option<Arc<Entry<T>>>>);

impl<T> Deref for Held<T> {
    type Target = T;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &T {
        // A `Held` is made by `get` only, and only around an entry.
        &self.0.as_ref().expect("an entry").value
    }
}

impl<T> HandleTable<T> {
    /// An empty table, whose handles no table of another life gives; lives are
    /// told apart modulo 2^16 (2^6 where a handle has 32 bits).
    #[must_use]
    pub fn in_life(life: u32) -> Self {
        let first = (Ulong::from(life) % GENERATIONS) << LIFE_SHIFT;
        Self { chunks: [const { OnceLock::new() }; CHUNKS], free: Mutex::default(), first }
    }

    /// Keeps `value` under a new handle; `None` when the table is full.
    pub fn insert(&self, value: T) -> Option<Ulong> {
        self.insert_with(|_| value)
    }

    /// Keeps what `make` makes of the new handle; `None` when the table is full.
    pub fn insert_with(&self, make: impl FnOnce(Ulong) -> T) -> Option<Ulong> {
        let (index, generation) = {
            let mut free = self.free.lock();
            match free.used.pop() {
                Some(slot) => slot,
                None => {
                    let index = free.fresh;
                    self.make_slot(index)?;
                    free.fresh += 1;
                    (index, self.first)
                }
            }
        };
        let handle = generation << INDEX_BITS | Ulong::try_from(index + 1).ok()?;
        let entry = Entry { handle, value: make(handle) };
        self.slot(index)?.store(Some(Arc::new(entry)));
        Some(handle)
    }

    /// What `handle` stands for.
    pub fn get(&self, handle: Ulong) -> Option<Held<T>> {
        let entry = self.slot(index(handle)?)?.load();
        let current = entry.as_ref().is_some_and(|entry| entry.handle == handle);
        current.then_some(Held(entry))
    }

    /// Forgets a handle; whether it stood for anything.
    pub fn remove(&self, handle: Ulong) -> bool {
        let Some(index) = index(handle) else { return false };
        let Some(slot) = self.slot(index) else { return false };
        // Under the lock two removals of one handle cannot both succeed.
        let mut free = self.free.lock();
        let removed = {
            let entry = slot.load();
            entry.as_ref().is_some_and(|entry| entry.handle == handle)
        };
        if removed {
            slot.store(None);
            // A slot whose generations are used up is never given out again.
            let next = (handle >> INDEX_BITS) + 1;
            if next < self.first + GENERATIONS {
                free.used.push((index, next));
            }
        }
        removed
    }

    fn make_slot(&self, index: usize) -> Option<()> {
        let (chunk, _) = place(index);
        self.chunks
            .get(chunk)?
            .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| ArcSwapOption::empty()).collect());
        Some(())
    }

    fn slot(&self, index: usize) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

/// The slot that a handle names.
fn index(handle: Ulong) -> Option<usize> {
    let number = handle & ((1 << INDEX_BITS) - 1);
    usize::try_from(number).ok()?.checked_sub(1)
}

/// The chunk of a slot, and the place within it.
const fn place(index: usize) -> (usize, usize) {
    let position = index + FIRST_CHUNK;
    let chunk = (position.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, position - (FIRST_CHUNK << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_its_thing_until_it_is_removed() {
        let table = HandleTable::in_life(0);
        let (a, b) = (table.insert("a").unwrap(), table.insert("b").unwrap());
        assert_eq!((*table.get(a).unwrap(), *table.get(b).unwrap()), ("a", "b"));
        assert!(table.remove(a));
        assert!(!table.remove(a));
        assert!(table.get(a).is_none());
    }

    #[test]
    fn no_handle_is_zero_or_given_twice() {
        let table = HandleTable::in_life(0);
        let mut seen = std::collections::HashSet::new();
        for round in 0..1000 {
            let handle = table.insert(round).unwrap();
            assert!(handle != 0 && seen.insert(handle));
            if round % 3 != 0 {
                assert!(table.remove(handle));
            }
        }
    }

    #[test]
    fn no_handle_is_given_in_two_lives() {
        let mut seen = std::collections::HashSet::new();
        for life in [0, 1, 2, u32::from(u16::MAX >> (16 - LIFE_SHIFT))] {
            let table = HandleTable::in_life(life);
            for round in 0..2 * GENERATIONS {
                let handle = table.insert(round).unwrap();
                assert!(seen.insert(handle), "life {life}, round {round}");
                assert!(table.remove(handle));
            }
        }
    }

    #[test]
    fn foreign_numbers_find_nothing() {
        let table = HandleTable::in_life(0);
        let handle = table.insert(()).unwrap();
        for number in [0, handle + 1, handle | 1 << INDEX_BITS, 1 << 63, Ulong::MAX] {
            assert!(table.get(number).is_none(), "{number:#x}");
            assert!(!table.remove(number));
        }
    }

    #[test]
    fn slots_fill_their_chunks_without_gaps() {
        let places: Vec<_> = (0..FIRST_CHUNK * 7).map(place).collect();
        let expected =
            (0..3).flat_map(|chunk| (0..FIRST_CHUNK << chunk).map(move |offset| (chunk, offset)));
        assert!(places.into_iter().eq(expected));
    }

    #[test]
    fn what_is_held_outlives_its_handle() {
        let table = HandleTable::in_life(0);
        let handle = table.insert(String::from("alive")).unwrap();
        let held = table.get(handle).unwrap();
        assert!(table.remove(handle));
        let other = table.insert(String::from("other")).unwrap();
        assert_ne!(other, handle);
        assert_eq!(*held, "alive");
    }

    #[test]
    fn threads_share_a_table() {
        let table = HandleTable::in_life(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..2000 {
                        let handle = table.insert((thread, round)).unwrap();
                        assert_eq!(*table.get(handle).unwrap(), (thread, round));
                        assert!(table.remove(handle));
                    }
                });
            }
        });
    }
}
