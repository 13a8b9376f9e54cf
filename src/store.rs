//! The store of one token: what it holds, what it promises, what it assumes.
//!
//! # Definitions
//!
//! A **record** is a body of opaque bytes with a [`Kind`], an [`RecordId`] that
//! is unique within its kind, a version and up to a few [`Tag`]s. The store
//! never learns what a body means: sealing is the vault's business, meaning the
//! token's.
//!
//! A **tag** is a short hash of one property of the record. Records are found
//! by tags and by nothing else; whoever reads the file learns which records
//! share a tag, not what it stands for.
//!
//! A **commit** changes any number of records at once. Commits are numbered
//! from 1 without gaps by their [`Sequence`].
//!
//! A **reservation** is a login attempt that has been counted but not settled.
//!
//! # Promises
//!
//! 1. *Atomic*: after a crash at any moment a commit is there whole or not at
//!    all, and no reader ever sees half of one.
//! 2. *Durable*: when [`Store::write`] returns a sequence, the commit survives
//!    the death of the process and of the machine. One sync per commit.
//! 3. *Serial*: the closure of [`Store::write`] sees the state that its batch
//!    will be applied to; no other writer, in this process or another, commits
//!    in between. A batch whose expected versions do not hold is refused whole.
//! 4. *Ordered*: a reader that has seen commit *n* never sees an older state.
//! 5. *Noticed*: when any process has committed, [`Store::generation`] differs
//!    from what it was before, in every process, at the cost of one atomic read.
//!    An odd count means "a commit is under way or its writer died": ask
//!    [`Store::changes`].
//! 6. *Counted*: failures of a credential plus its open reservations never
//!    exceed the limit, in all processes together, and a reservation whose
//!    holder died counts as a failure.
//! 7. *Found cheaply*: a look-up by tags costs the same in a token with one
//!    record and in one with 100,000.
//!
//! # Assumptions
//!
//! The file system keeps what `fdatasync` acknowledged, renames atomically and
//! implements POSIX record locks and `flock` for all processes that share the
//! directory (a local file system, not NFS). The directory belongs to one uid.

// No `forbid(unsafe_code)` here: the child `generation` maps memory. Every other
// child forbids it for itself.

mod counter;
mod directory;
pub(crate) mod files;
mod generation;
mod guarded;
mod memory;
mod sqlite;
#[cfg(test)]
mod tests;

pub use counter::{CounterFile, Progress};
pub use directory::DirectoryPlace;
pub use generation::guard::PageGuard;
pub use guarded::GuardedPlace;
pub use memory::{MemoryPlace, MemoryStore};
pub use sqlite::SqliteStore;
pub use sqlite::process::{abandon_inherited, after_fork, before_fork};

use crate::error::{Error, Result};
use crate::types::{SlotId, Ulong};
use std::fmt;
use std::path::PathBuf;

/// What sort of record: a number that the store compares and never interprets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

/// A record's name within its kind: 1 to 64 bytes of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(String);

impl RecordId {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 80;

    /// `name` as an id; `None` when it is empty, too long or not printable ASCII.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let valid = (1..=Self::MAX_LEN).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One searchable property: which one, and a hash of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Which property.
    pub property: u8,
    /// A hash of its value.
    pub hash: [u8; 16],
}

/// The number of a commit; 0 is the state before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub id: RecordId,
    /// Raised by one with every change of this record, from 1.
    pub version: u64,
    /// The opaque content.
    pub body: Vec<u8>,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes a record, or replaces it body and tags.
    Put {
        /// The kind.
        kind: Kind,
        /// The name.
        id: RecordId,
        /// The version that the record must have now; 0: must not exist.
        expected: u64,
        /// The new content.
        body: Vec<u8>,
        /// The new tags.
        tags: Vec<Tag>,
    },
    /// Removes a record.
    Remove {
        /// The kind.
        kind: Kind,
        /// The name.
        id: RecordId,
        /// The version that the record must have now.
        expected: u64,
    },
    /// Removes every record of every kind, and forgets all failures and
    /// reservations. Changes behind it in the batch apply to the empty store.
    Clear,
}

/// Where a listing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub u64);

/// Some of the records that a look-up found, in the order they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<Cursor>,
}

/// Something that is wrong with the store itself, whatever the records mean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// The record that is concerned, if it is one.
    pub record: Option<(Kind, RecordId)>,
    /// What is wrong, for the administrator.
    pub what: String,
}

/// What happened since a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These records were made, changed or removed, up to and including the
    /// commit `now`.
    Records {
        /// Each named once.
        records: Vec<(Kind, RecordId)>,
        /// The newest commit.
        now: Sequence,
    },
    /// Too much, or too long ago, to tell: forget everything.
    Everything {
        /// The newest commit.
        now: Sequence,
    },
}

/// What the mapped page says; see promise 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Drawn at random when the page was made.
    pub incarnation: u64,
    /// Odd while a commit is under way.
    pub count: u64,
}

impl Generation {
    /// Whether no commit was under way when this was read.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.count.is_multiple_of(2)
    }
}

/// The counters of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Settled failures since the last success, dead reservations included.
    pub failures: u32,
}

/// A counted login attempt. Dropping it without settling counts as a failure.
pub trait Reservation {
    /// The attempt succeeded: failures start from zero again.
    ///
    /// # Errors
    /// The store could not be written; the reservation then stays open and
    /// becomes a failure when this process ends.
    fn succeed(self: Box<Self>) -> Result<()>;

    /// The attempt failed; the counters after it.
    ///
    /// # Errors
    /// As for [`Reservation::succeed`].
    fn fail(self: Box<Self>) -> Result<Attempts>;
}

/// An attempt on a store that is not writable, which counts nothing.
pub(crate) struct Uncounted;

impl Reservation for Uncounted {
    fn succeed(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    fn fail(self: Box<Self>) -> Result<Attempts> {
        Ok(Attempts::default())
    }
}

/// What compacting a store has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// What its files took up before, in bytes.
    pub before: u64,
    /// What they take up now.
    pub after: u64,
    /// Somebody was reading: a part is given back only when they have done.
    pub is_partial: bool,
}

/// Keeps `C_InitToken` away (shared) or everybody else (exclusive) until dropped.
pub trait Presence: Send + Sync {}

/// What the closure of [`Store::write`] may read: the state that its batch will
/// be applied to.
pub trait Reader {
    /// The record, if there is one.
    ///
    /// # Errors
    /// The store could not be read.
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>>;

    /// Records of `kind` that bear all of `tags`, at most `limit` of them,
    /// from `after` on. Any order of the tags finds the same; the one that the
    /// fewest records bear is best named first.
    ///
    /// # Errors
    /// The store could not be read.
    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page>;

    /// How many records of `kind` bear `tag`, as the look-up columns have it; counted up
    /// to `most`.
    ///
    /// # Errors
    /// The store could not be read.
    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize>;

    /// The newest commit.
    ///
    /// # Errors
    /// The store could not be read.
    fn sequence(&self) -> Result<Sequence>;

    /// The tags that a record was stored with, sorted; none of one that is not there.
    ///
    /// # Errors
    /// The store could not be read.
    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>>;

    /// Looks at everything for what is wrong with the file, and with the look-up of
    /// records by the tags they were stored with; at most some `most` of each.
    ///
    /// # Errors
    /// The store could not be read at all.
    fn flaws(&self, most: usize) -> Result<Vec<Flaw>>;
}

/// Refuses a change that expects the record at version `expected` when it is at
/// `found`.
fn expect(id: &RecordId, expected: u64, found: u64) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::FunctionFailed(format!("record {id} has version {found}, not {expected}")))
}

/// The slot of this number; one that no `CK_SLOT_ID` can hold is nobody's.
fn slot_id(slot: u64) -> SlotId {
    SlotId::from_number(slot).unwrap_or(SlotId(Ulong::MAX))
}

/// Shows `visit` every record of `kind` that bears all of `tags`, in the order they
/// were made, a page at a time.
///
/// # Errors
/// What `visit` returns, which ends the listing; the store could not be read.
pub fn for_each(
    reader: &(impl Reader + ?Sized),
    kind: Kind,
    tags: &[Tag],
    mut visit: impl FnMut(&Record) -> Result<()>,
) -> Result<()> {
    const PAGE: usize = 256;
    let mut after = None;
    loop {
        let page = reader.find(kind, tags, after, PAGE)?;
        page.records.iter().try_for_each(&mut visit)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The records of one token. All methods may be called from any thread. Once the
/// token was removed, by whichever process, they answer
/// [`TokenNotPresent`](crate::error::Error::TokenNotPresent) and the generation
/// stays odd.
pub trait Store: Reader + Send + Sync {
    /// The generation; promise 5.
    fn generation(&self) -> Generation;

    /// What was committed after `since`.
    ///
    /// # Errors
    /// The store could not be read.
    fn changes(&self, since: Sequence) -> Result<Changes>;

    /// Runs `change` on the present state and commits the batch it returns; an
    /// empty batch commits nothing. `change` must not call the store.
    ///
    /// # Errors
    /// What `change` returns, nothing being written then; or why the commit
    /// failed: [`StoreFull`](crate::error::Error::StoreFull),
    /// [`StoreReadOnly`](crate::error::Error::StoreReadOnly),
    /// [`StoreIo`](crate::error::Error::StoreIo); or
    /// [`FunctionFailed`](crate::error::Error::FunctionFailed) when an expected
    /// version does not hold, which a closure that looked never meets.
    fn write(
        &self,
        change: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        let mut is_done = false;
        self.write_in_parts(&mut |reader| {
            if std::mem::replace(&mut is_done, true) { Ok(Vec::new()) } else { change(reader) }
        })
    }

    /// One commit that is too large to be held in memory: `next` is asked for a batch
    /// after the other, each time with the state that the batches before it have made,
    /// until it returns an empty one. Nobody else sees any of it before all is committed,
    /// and nobody else writes meanwhile.
    ///
    /// # Errors
    /// As for [`Store::write`].
    fn write_in_parts(
        &self,
        next: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence>;

    /// Shows `look` one state of the store for as long as it takes, while others go
    /// on writing. `look` must not call the store, and whoever forks waits for it.
    ///
    /// # Errors
    /// What `look` returns; the store could not be read.
    fn snapshot(&self, look: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()>;

    /// Gives back what removed and changed records took up. Needs about as much memory as
    /// the store has content; the other writers wait.
    ///
    /// # Errors
    /// As for [`Store::write`].
    fn compact(&self) -> Result<Compacted>;

    /// The counters of a credential, dead reservations counted in.
    ///
    /// # Errors
    /// The store could not be read.
    fn attempts(&self, credential: &RecordId) -> Result<Attempts>;

    /// Counts an attempt before it is made; promise 6. Waits while open
    /// reservations take up what is left of `limit`. A store that is not writable
    /// counts nothing, and refuses what was locked before.
    ///
    /// # Errors
    /// [`PinLocked`](crate::error::Error::PinLocked) when failures have reached
    /// `limit`.
    fn reserve(&self, credential: &RecordId, limit: u32) -> Result<Box<dyn Reservation + '_>>;

    /// How many login attempts were ever counted; the number never falls.
    ///
    /// # Errors
    /// The store could not be read.
    fn reservations(&self) -> Result<u64>;

    /// Forgets the failures of a credential.
    ///
    /// # Errors
    /// The store could not be written.
    fn forgive(&self, credential: &RecordId) -> Result<()>;

    /// Announces this process: while the answer lives, nobody gets
    /// [`Store::alone`]. `None` while somebody is alone, which does not last: ask
    /// again. Does not wait.
    ///
    /// # Errors
    /// The lock file could not be opened.
    fn present(&self) -> Result<Option<Box<dyn Presence>>>;

    /// Exclusive presence; `None` while anybody is [`Store::present`], this
    /// process included. Does not wait.
    ///
    /// # Errors
    /// The lock file could not be opened.
    fn alone(&self) -> Result<Option<Box<dyn Presence>>>;

    /// Makes the look-up by tags anew from what each record was stored with.
    ///
    /// # Errors
    /// As for [`Store::write`].
    fn mend(&self) -> Result<()>;

    /// Whether commits are possible now, as far as file system and permissions go. A
    /// store that was opened when they were not stays read-only for as long as it lives.
    fn is_writable(&self) -> bool;

    /// Whether it is worth letting go of this store and opening what lies in its place
    /// anew: it was removed or replaced, by whoever and however, or it was opened to be
    /// read only and could now be written.
    fn is_outdated(&self) -> bool;

    /// The files that hold the records, and their sizes in bytes.
    fn files(&self) -> Vec<(PathBuf, u64)>;

    /// The directory beside the records that outlives them: [`Place::remove`] sets it aside.
    /// Nobody makes it here; a store without files has none.
    fn lasting_directory(&self) -> Option<PathBuf> {
        None
    }
}

/// All tokens of one place: a directory, or memory. Slot numbers name them.
pub trait Place: Send + Sync {
    /// The slot numbers in use, ascending, as they are now: whoever has made, copied
    /// in, moved or removed a token, and however.
    ///
    /// # Errors
    /// The place could not be read; a place that does not exist yet is empty.
    fn slots(&self) -> Result<Vec<u64>>;

    /// The store in `slot`; the same `Store` value for as long as one lives and its
    /// files are the ones that lie there.
    ///
    /// # Errors
    /// [`TokenNotPresent`](crate::error::Error::TokenNotPresent): it is not there;
    /// [`TokenNotRecognized`](crate::error::Error::TokenNotRecognized): made by a
    /// newer version; [`StoreIo`](crate::error::Error::StoreIo) or
    /// [`StoreDamaged`](crate::error::Error::StoreDamaged): it is not ours, or may not
    /// be opened.
    fn open(&self, slot: u64) -> Result<std::sync::Arc<dyn Store>>;

    /// Makes a new store in `slot` with one first commit; durable and atomic:
    /// no other process sees a store without that commit.
    ///
    /// # Errors
    /// [`SlotIdInvalid`](crate::error::Error::SlotIdInvalid) when the slot was
    /// taken meanwhile; or why the files could not be made.
    fn create(&self, slot: u64, first: Vec<Change>) -> Result<std::sync::Arc<dyn Store>>;

    /// Removes the store in `slot`, overwriting what it holds, whether or not it can be
    /// opened. Whoever still has it open is told at the next call that it is gone.
    ///
    /// # Errors
    /// [`SlotIdInvalid`](crate::error::Error::SlotIdInvalid) when the slot is empty; or
    /// why the files could not be overwritten or removed.
    fn remove(&self, slot: u64) -> Result<()>;
}
