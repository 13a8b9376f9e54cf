//! Which token objects are kept open: at most as many as `cache.objects` says.
//!
//! Those that were opened first go first, but one that was used since it was last
//! looked at stays and is looked at again later: going once through all keys does
//! not close those that are in use all the time. A closed one is opened again when
//! it is needed, and an operation under way has all it needs by itself.

use super::handle_table::HandleTable;
use super::objects::ObjectEntry;
use crate::types::{ObjectHandle, Ulong};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// How many may stay when one must go: as long as all are in use, looking for one
/// that is not would take long.
const STAYING_MAX: usize = 16;

/// The open token objects of all slots, in the order in which they are looked at.
pub(super) struct OpenObjects {
    queue: Mutex<VecDeque<Ulong>>,
    /// How many at most.
    most: usize,
}

impl OpenObjects {
    pub fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { queue: Mutex::default(), most }
    }

    /// Notes that an object has been opened, and closes others if there are too many.
    pub fn note(&self, objects: &HandleTable<ObjectEntry>, handle: ObjectHandle) {
        let mut queue = self.queue.lock();
        if objects.get(handle.0).is_some_and(|entry| entry.enters_queue()) {
            queue.push_back(handle.0);
        }
        let mut staying = 0;
        while queue.len() > self.most {
            let Some(oldest) = queue.pop_front() else { break };
            let Some(entry) = objects.get(oldest) else { continue };
            if staying < STAYING_MAX && entry.was_used() {
                staying += 1;
                queue.push_back(oldest);
            } else {
                entry.leave_queue();
            }
        }
    }
}
