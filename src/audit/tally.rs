//! Counting MAC operations by key, for those who do not want a record of each.
//!
//! A session has a tally of its own. An operation gets a [`Slot`] when it begins, by the
//! handle of its key; counting its end adds one to a number there: no allocation, no lock,
//! no system call, and no look at the key but the first time.

use super::event::{Event, Identity, Resource, Text, code};
use crate::error::Error;
use crate::types::ObjectHandle;

/// After so many operations a tally wants to be recorded.
const OPERATIONS_MAX: u32 = 65_536;
/// With so many keys a tally wants to be recorded.
const KEYS_MAX: usize = 256;

/// What an operation was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A MAC was made.
    GenerateMac,
    /// A MAC was verified.
    VerifyMac,
}

impl Use {
    const fn action(self) -> &'static str {
        match self {
            Self::GenerateMac => "kms:GenerateMac",
            Self::VerifyMac => "kms:VerifyMac",
        }
    }
}

/// A key as the trail names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyName<'a> {
    /// Its unique id.
    pub unique_id: &'a str,
    /// Whether it is the token's and not a session's.
    pub is_token_object: bool,
}

impl KeyName<'_> {
    /// The key as a resource: of a session's key nobody outside knows.
    fn on(self, event: Event) -> Event {
        if self.is_token_object {
            event.on(Resource::Key(Text::new(self.unique_id)))
        } else {
            event.noting("sessionObject", self.unique_id)
        }
    }
}

/// Where an operation is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

/// The counts of one session since they were last recorded.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Vec<Count>,
    /// Operations that were begun.
    begun: u32,
}

/// The operations of one sort with one key.
#[derive(Debug)]
pub struct Count {
    handle: ObjectHandle,
    unique_id: Box<str>,
    is_token_object: bool,
    sort: Use,
    succeeded: u64,
    wrong_mac: u64,
    wrong_length: u64,
    /// Other errors, by code.
    others: Vec<(String, u64)>,
}

impl Tally {
    /// Where the operations of this sort with the key behind this handle are counted. Asks
    /// for the key's name, and allocates, when there is no count yet.
    #[inline]
    pub fn slot<'k>(
        &mut self,
        handle: ObjectHandle,
        sort: Use,
        name: impl FnOnce() -> KeyName<'k>,
    ) -> Slot {
        self.begun = self.begun.saturating_add(1);
        let is = |count: &Count| count.handle == handle && count.sort == sort;
        match self.counts.iter().position(is) {
            Some(known) => Slot(known),
            None => self.add(handle, sort, name()),
        }
    }

    #[cold]
    fn add(&mut self, handle: ObjectHandle, sort: Use, name: KeyName<'_>) -> Slot {
        self.counts.push(Count::new(handle, name.unique_id.into(), name.is_token_object, sort));
        Slot(self.counts.len() - 1)
    }

    /// Counts an operation that ended well.
    pub fn succeeded(&mut self, slot: Slot) {
        if let Some(count) = self.counts.get_mut(slot.0) {
            count.succeeded += 1;
        }
    }

    /// Counts one that was refused or failed.
    pub fn failed(&mut self, slot: Slot, error: &Error) {
        let Some(count) = self.counts.get_mut(slot.0) else { return };
        match error {
            Error::SignatureInvalid => count.wrong_mac += 1,
            Error::SignatureLenRange => count.wrong_length += 1,
            other => count.add_other(code(other), 1),
        }
    }

    /// Whether it is time to record the counts.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.begun >= OPERATIONS_MAX || self.counts.len() >= KEYS_MAX
    }

    /// Takes counts back that could not be recorded: it is due again.
    pub fn put_back(&mut self, counts: impl IntoIterator<Item = Count>) {
        for count in counts {
            let is = |known: &&mut Count| known.handle == count.handle && known.sort == count.sort;
            match self.counts.iter_mut().find(is) {
                Some(known) => known.add(count),
                None => self.counts.push(count),
            }
        }
        self.begun = OPERATIONS_MAX;
    }

    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(Count::is_empty)
    }

    /// The counts, which begin anew. Slots stay what they are, unless there are too many keys:
    /// then no operation may be under way.
    pub fn take(&mut self) -> Vec<Count> {
        self.begun = 0;
        let counts = if self.counts.len() >= KEYS_MAX {
            std::mem::take(&mut self.counts)
        } else {
            self.counts.iter_mut().map(Count::take).collect()
        };
        counts.into_iter().filter(|count| !count.is_empty()).collect()
    }
}

impl Count {
    fn new(handle: ObjectHandle, unique_id: Box<str>, is_token_object: bool, sort: Use) -> Self {
        let (succeeded, wrong_mac, wrong_length, others) = (0, 0, 0, Vec::new());
        Self {
            handle,
            unique_id,
            is_token_object,
            sort,
            succeeded,
            wrong_mac,
            wrong_length,
            others,
        }
    }

    fn take(&mut self) -> Self {
        let Self { handle, unique_id, is_token_object, sort, .. } = self;
        let empty = Self::new(*handle, unique_id.clone(), *is_token_object, *sort);
        std::mem::replace(self, empty)
    }

    fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.wrong_mac += other.wrong_mac;
        self.wrong_length += other.wrong_length;
        for (code, more) in other.others {
            self.add_other(code, more);
        }
    }

    fn add_other(&mut self, code: String, more: u64) {
        match self.others.iter_mut().find(|(known, _)| *known == code) {
            Some((_, number)) => *number += more,
            None => self.others.push((code, more)),
        }
    }

    fn is_empty(&self) -> bool {
        self.succeeded + self.wrong_mac + self.wrong_length == 0 && self.others.is_empty()
    }

    /// The record of the counts of a session of `identity`.
    #[must_use]
    pub fn event(&self, identity: Identity) -> Event {
        let Self { unique_id, is_token_object, .. } = self;
        let key = KeyName { unique_id, is_token_object: *is_token_object };
        let mut event = key.on(Event::new(self.sort.action(), identity).read_only());
        event = event.noting("summary", true).noting("succeeded", self.succeeded);
        let [mac, length] = [Error::SignatureInvalid, Error::SignatureLenRange].map(|e| code(&e));
        let named = [(mac, self.wrong_mac), (length, self.wrong_length)];
        let failures = named.iter().chain(&self.others).filter(|(_, number)| *number > 0);
        let failures: Vec<_> = failures.collect();
        if failures.is_empty() {
            return event;
        }
        let failed: u64 = failures.iter().map(|(_, number)| number).sum();
        let list = failures.iter().map(|(code, number)| {
            let number = ("count", (*number).into());
            super::Value::Members(vec![("errorCode", (&**code).into()), number])
        });
        event.noting("failed", failed).noting("failures", super::Value::List(list.collect()))
    }
}

/// The record of one operation.
#[must_use]
pub fn single<T>(
    identity: Identity,
    key: KeyName<'_>,
    sort: Use,
    outcome: &Result<T, Error>,
) -> Event {
    key.on(Event::new(sort.action(), identity).read_only()).ended(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Value;

    const ONE: ObjectHandle = ObjectHandle(1);
    const TWO: ObjectHandle = ObjectHandle(2);

    const fn key(unique_id: &str) -> KeyName<'_> {
        KeyName { unique_id, is_token_object: true }
    }

    #[test]
    fn operations_are_counted_by_key_sort_and_outcome() {
        let mut tally = Tally::default();
        let (one, two) = (|| key("one"), || key("two"));
        let slot = tally.slot(ONE, Use::GenerateMac, one);
        tally.succeeded(slot);
        for _ in 0..2 {
            let slot = tally.slot(ONE, Use::GenerateMac, || panic!("it is known"));
            tally.succeeded(slot);
        }
        let verify = tally.slot(ONE, Use::VerifyMac, one);
        assert_ne!(verify, tally.slot(ONE, Use::GenerateMac, one));
        tally.failed(verify, &Error::SignatureInvalid);
        tally.failed(verify, &Error::UserNotLoggedIn);
        tally.failed(verify, &Error::UserNotLoggedIn);
        // Begun, and not ended.
        tally.slot(TWO, Use::GenerateMac, two);
        let counts = tally.take();
        assert_eq!(counts.len(), 2);
        let made = Event::new("kms:GenerateMac", Identity::Root).read_only();
        let made = made.on(Resource::Key("one".into())).noting("summary", true);
        assert_eq!(counts[0].event(Identity::Root), made.noting("succeeded", 3));
        let failure = |code: &str, number: u64| {
            Value::Members(vec![("errorCode", code.into()), ("count", number.into())])
        };
        let verified = Event::new("kms:VerifyMac", Identity::Root).read_only();
        let verified = verified.on(Resource::Key("one".into())).noting("summary", true);
        let verified = verified.noting("succeeded", 0).noting("failed", 3);
        let failures = vec![failure("SignatureInvalid", 1), failure("UserNotLoggedIn", 2)];
        assert_eq!(
            counts[1].event(Identity::Root),
            verified.noting("failures", Value::List(failures))
        );
        assert!(tally.is_empty());
        // An operation that began before is counted in its place.
        tally.succeeded(verify);
        assert_eq!(tally.take()[0].event(Identity::Root), {
            let event = Event::new("kms:VerifyMac", Identity::Root).read_only();
            event.on(Resource::Key("one".into())).noting("summary", true).noting("succeeded", 1)
        });
    }

    #[test]
    fn counts_that_could_not_be_recorded_are_kept() {
        let mut tally = Tally::default();
        let slot = tally.slot(ONE, Use::GenerateMac, || key("one"));
        tally.succeeded(slot);
        tally.failed(slot, &Error::UserNotLoggedIn);
        let taken = tally.take();
        let again = tally.slot(ONE, Use::GenerateMac, || key("one"));
        tally.succeeded(again);
        tally.failed(again, &Error::UserNotLoggedIn);
        tally.put_back(taken);
        assert!(tally.is_due());
        let [count] = &tally.take()[..] else { panic!("of one key") };
        assert_eq!((count.succeeded, &count.others[..]), (2, &[("UserNotLoggedIn".into(), 2)][..]));
    }

    #[test]
    fn a_tally_is_due_after_many_operations_or_keys() {
        let mut tally = Tally::default();
        let one = || key("one");
        for _ in 1..OPERATIONS_MAX {
            tally.slot(ONE, Use::GenerateMac, one);
        }
        assert!(!tally.is_due());
        tally.slot(ONE, Use::GenerateMac, one);
        assert!(tally.is_due());
        tally.take();
        assert!(!tally.is_due());
        for number in 0..KEYS_MAX {
            let handle = ObjectHandle(number.try_into().unwrap());
            tally.slot(handle, Use::GenerateMac, || key("one"));
        }
        assert!(tally.is_due());
    }
}
