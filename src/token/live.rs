//! Objects that have been opened, and how they learn that they are outdated.

use super::record::PUBLIC;
use crate::object::Object;
use crate::store::{Changes, Kind, RecordId, Sequence};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

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

    /// The first time after `now` at which a date changes what it is.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        self.object.lifecycle().next_change(now)
    }

    /// When it is gone, if it waits for that: from then on it is not there, whether its
    /// record has been removed or not.
    #[must_use]
    pub fn gone_at(&self) -> Option<SystemTime> {
        self.object.lifecycle().gone_at()
    }

    /// The object.
    #[must_use]
    pub const fn object(&self) -> &Object {
        &self.object
    }

    /// Its unique id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.object.unique_id()
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

    /// Whether it was written after a login, and so is sealed or sealed against
    /// change.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    pub(super) fn retire(&self) {
        self.current.store(false, Ordering::Release);
    }
}

/// What the registry had seen when a record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    sequence: Sequence,
    logins: u64,
}

impl Stamp {
    /// Whether there was no login, logout or new root key between the two.
    pub const fn is_of_login(self, other: Self) -> bool {
        self.logins == other.logins
    }

    /// The same with the commit `sequence` seen, and nothing after it.
    pub const fn and_commit(self, sequence: Sequence) -> Self {
        Self { sequence, ..self }
    }
}

/// Whether a record of this kind may have changed.
pub(super) fn touches(changes: &Changes, kind: Kind) -> bool {
    match changes {
        Changes::Everything { .. } => true,
        Changes::Records { records, .. } => records.iter().any(|(changed, _)| *changed == kind),
    }
}

/// Every opened object that somebody still holds, one for each record, so that
/// whoever holds one learns of changes.
pub(super) struct Registry {
    sequence: Sequence,
    /// Logins, logouts and new root keys so far.
    logins: u64,
    /// Users were changed, and nobody has looked yet whether the present login goes on.
    login_in_doubt: bool,
    /// Somebody has looked, and as of `sequence` no object was public.
    all_private: bool,
    objects: HashMap<(Kind, RecordId), Weak<LiveObject>>,
    /// Dead entries are swept when there are more entries than this.
    sweep_at: usize,
}

impl Registry {
    const SWEEP_MIN: usize = 1024;

    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            logins: 0,
            login_in_doubt: false,
            all_private: false,
            objects: HashMap::new(),
            sweep_at: Self::SWEEP_MIN,
        }
    }

    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub fn get(&self, kind: Kind, id: &RecordId) -> Option<Arc<LiveObject>> {
        self.objects.get(&(kind, id.clone())).and_then(Weak::upgrade)
    }

    /// Taken before the vault is chosen and the record is read.
    pub const fn stamp(&self) -> Stamp {
        Stamp { sequence: self.sequence, logins: self.logins }
    }

    /// Keeps what was opened, or gives what another thread has opened instead.
    /// `None` when there was a commit, a login or a logout since `stamp`: what
    /// was opened may be outdated and nobody would ever tell.
    pub fn keep(
        &mut self,
        id: RecordId,
        live: &Arc<LiveObject>,
        stamp: Stamp,
    ) -> Option<Arc<LiveObject>> {
        if self.stamp() != stamp {
            return None;
        }
        if let Some(known) = self.get(live.kind, &id) {
            if known.complete || !live.complete {
                return Some(known);
            }
            known.retire();
        }
        if self.objects.len() >= self.sweep_at {
            self.objects.retain(|_, live| live.strong_count() > 0);
            self.sweep_at = Self::SWEEP_MIN.max(2 * self.objects.len());
        }
        self.objects.insert((live.kind, id), Arc::downgrade(live));
        Some(Arc::clone(live))
    }

    /// Whether it is known that there is no public object to look for.
    pub const fn are_all_private(&self) -> bool {
        self.all_private
    }

    /// No public object was found by a look after `stamp`.
    pub fn found_none_public(&mut self, stamp: Stamp) {
        // After a commit it may be that there is one and nobody would ever tell.
        self.all_private |= self.stamp() == stamp;
    }

    /// Retires what has changed.
    pub fn apply(&mut self, changes: &Changes) {
        self.all_private &= !touches(changes, PUBLIC);
        match changes {
            Changes::Everything { now } => {
                self.sequence = *now;
                self.retire_if(|_| true);
            }
            Changes::Records { records, now } => {
                self.sequence = *now;
                for key in records {
                    if let Some(live) = self.objects.remove(key).and_then(|live| live.upgrade()) {
                        live.retire();
                    }
                }
            }
        }
    }

    /// After a login, a logout or a new root key: what the vault opens has changed.
    pub fn retire_sealed(&mut self) {
        self.logins += 1;
        self.retire_if(|live| live.bound);
    }

    /// Users were changed: the present login may have ended.
    pub const fn doubt_login(&mut self) {
        self.login_in_doubt = true;
    }

    /// Whether that is so and nobody has looked yet.
    pub const fn is_login_in_doubt(&self) -> bool {
        self.login_in_doubt
    }

    /// Somebody has.
    pub const fn login_is_checked(&mut self) {
        self.login_in_doubt = false;
    }

    /// Grants, aliases, users or roles were changed: what was allowed may not be any more,
    /// and whoever holds an opened object may know that it was.
    pub fn retire_judged(&mut self) {
        self.retire_if(|_| true);
    }

    /// The token is gone.
    pub fn retire_all(&mut self) {
        self.logins += 1;
        self.retire_if(|_| true);
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
