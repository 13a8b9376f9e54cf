//! Objects that have been opened, and how they learn that they are outdated.

use super::record::HEADER;
use crate::object::Object;
use crate::store::{Changes, Kind, RecordId, Sequence};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// An opened record. It never changes; when the record does, it stops being
/// [`LiveObject::is_current`] and must be asked for again.
#[derive(Debug)]
pub struct LiveObject {
    pub(super) object: Object,
    pub(super) kind: Kind,
    pub(super) version: u64,
    /// Sealed, or sealed against change; see the module's documentation.
    pub(super) bound: bool,
    /// Opened with everything it has: a public object that was opened without
    /// the vault lacks its value and was not checked.
    complete: bool,
    current: AtomicBool,
}

impl LiveObject {
    pub(super) const fn new(
        object: Object,
        kind: Kind,
        version: u64,
        bound: bool,
        complete: bool,
    ) -> Self {
        Self { object, kind, version, bound, complete, current: AtomicBool::new(true) }
    }

    /// The object.
    #[must_use]
    pub const fn object(&self) -> &Object {
        &self.object
    }

    /// Whether the record is still what it was, as of the last
    /// [`Token::refresh`](super::Token::refresh). Read by every thread that
    /// uses the key; written once, when the record changes.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire)
    }

    /// Whether the value is there. False for a key that was opened without a
    /// login, which can be described but not used.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    fn retire(&self) {
        self.current.store(false, Ordering::Release);
    }
}

/// Every opened object that somebody still holds.
pub(super) struct Registry {
    sequence: Sequence,
    objects: HashMap<(Kind, RecordId), Weak<LiveObject>>,
    /// Dead entries are swept when there are more entries than this.
    sweep_at: usize,
}

impl Registry {
    const SWEEP_MIN: usize = 1024;

    pub fn new(sequence: Sequence) -> Self {
        Self { sequence, objects: HashMap::new(), sweep_at: Self::SWEEP_MIN }
    }

    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub fn get(&self, kind: Kind, id: &RecordId) -> Option<Arc<LiveObject>> {
        self.objects.get(&(kind, id.clone())).and_then(Weak::upgrade)
    }

    pub fn insert(&mut self, id: RecordId, live: &Arc<LiveObject>) {
        if self.objects.len() >= self.sweep_at {
            self.objects.retain(|_, live| live.strong_count() > 0);
            self.sweep_at = Self::SWEEP_MIN.max(2 * self.objects.len());
        }
        self.objects.insert((live.kind, id), Arc::downgrade(live));
    }

    /// Retires what has changed; whether the header is among it.
    pub fn apply(&mut self, changes: &Changes) -> bool {
        match changes {
            Changes::Everything { now } => {
                self.sequence = *now;
                self.retire_if(|_| true);
                true
            }
            Changes::Records { records, now } => {
                self.sequence = *now;
                for key in records {
                    if let Some(live) = self.objects.remove(key).and_then(|live| live.upgrade()) {
                        live.retire();
                    }
                }
                records.iter().any(|(kind, _)| *kind == HEADER)
            }
        }
    }

    /// After a login or a logout: what the vault opens has changed.
    pub fn retire_sealed(&mut self) {
        self.retire_if(|live| live.bound);
    }

    fn retire_if(&mut self, outdated: impl Fn(&LiveObject) -> bool) {
        self.objects.retain(|_, live| match live.upgrade() {
            Some(live) if outdated(&live) => {
                live.retire();
                false
            }
            Some(_) => true,
            None => false,
        });
    }
}
