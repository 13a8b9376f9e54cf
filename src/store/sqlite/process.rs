//! What must be known about this process as a whole, whoever opens stores in it.
//!
//! SQLite's locks are POSIX record locks, which belong to the process: they
//! vanish when *any* descriptor of the file is closed in it. SQLite guards
//! against that with a table of the files it has open, one table for each copy
//! of SQLite. Two things follow, and both are process-wide facts, which is why
//! this file has the store's only statics:
//!
//! - Two *copies of this library* in one process (each with its SQLite) must not
//!   open one file. A copy therefore claims the file with an open-file-description
//!   lock, which does conflict within a process, on a byte that is derived
//!   from the process; the stores of one copy share the claim.
//! - A forked child inherits the table but not the locks. It may open a file
//!   again only after every inherited connection to it was closed (closing is
//!   harmless while the connection is idle, see [`abandon_inherited`]), and not at
//!   all when some thread was inside SQLite at the moment of the fork: that
//!   thread's mutexes stay locked in the child for ever. So a fork waits until
//!   nobody is inside, and nobody enters until it is over: [`before_fork`] and
//!   [`after_fork`], for whoever can have them called.

#![forbid(unsafe_code)]

use super::handles::Handles;
use crate::error::{Error, Result};
use crate::store::files::{self, FileId};
use arc_swap::ArcSwapOption;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The claims of this copy of the library. Swapped, never locked: a child forked
/// in the middle of a change must still be able to read it.
static CLAIMS: ArcSwapOption<Vec<Weak<Claim>>> = ArcSwapOption::const_empty();

/// What this process has open, and what it has inherited. Swapped, never locked,
/// for the same reason.
static OPEN: ArcSwapOption<Vec<Arc<Handles>>> = ArcSwapOption::const_empty();

/// How many threads are inside SQLite (the low half) and how many are forking (the
/// high half). One word, so that nobody is inside for as much as a moment while
/// somebody forks: the child would take that for a thread at work.
static USE: AtomicU64 = AtomicU64::new(0);
const ONE_FORKING: u64 = 1 << 32;

/// How often a fork looks whether nobody is inside any more, and whoever would enter
/// whether the fork is over: about ten seconds in all. A slow disk must not spoil a
/// child; a thread that is stopped inside must not stop the application's forks for
/// ever; its child is then refused its tokens.
const FORK_TRIES: u32 = 20_000;
const FORK_PAUSE: Duration = Duration::from_micros(500);

/// What the first [`is_sqlite_sound`] of this process found: its process id, doubled,
/// plus one when SQLite cannot be used in it. Inherited by its children.
static VERDICT: AtomicU64 = AtomicU64::new(0);

/// How often a claim is tried again before another copy is blamed for it: a
/// thread of this copy may hold the lock and be about to register it, or to drop it.
const CLAIM_TRIES: u32 = 100;
const CLAIM_PAUSE: Duration = Duration::from_millis(1);

/// The right of this copy of the library, in this process, to open one file with
/// SQLite; shared by its stores.
#[derive(Debug)]
pub(super) struct Claim {
    database: FileId,
    pid: u32,
    /// Holds the lock for as long as it is open. `None`: nothing to lock, on a
    /// read-only store.
    file: Option<File>,
}

impl Claim {
    /// Claims `database`, with `lock_file` for the lock.
    pub(super) fn new(database: &Path, lock_file: &Path, writable: bool) -> Result<Arc<Self>> {
        // Looked at, never opened: closing it would drop SQLite's locks.
        let found =
            database.symlink_metadata().map_err(|error| Error::io(database, "look at", &error))?;
        let (id, pid) = (FileId::of(&found), std::process::id());
        for _ in 0..CLAIM_TRIES {
            let registered = Self::registered(id);
            if registered.iter().any(|claim| claim.pid != pid) {
                return Err(inherited(database));
            }
            // One without a lock serves those only who need none.
            let mut serving = registered.into_iter();
            if let Some(claim) = serving.find(|claim| claim.file.is_some() || !writable) {
                return Ok(claim);
            }
            let file = if writable { Some(lock(lock_file)?) } else { None };
            // Nobody writes a read-only file, so nobody's locks matter there.
            if file.as_ref().is_none_or(Option::is_some) {
                let claim = Arc::new(Self { database: id, pid, file: file.flatten() });
                register(&claim);
                return Ok(claim);
            }
            std::thread::sleep(CLAIM_PAUSE);
        }
        Err(Error::StoreIo {
            path: database.into(),
            reason: "another copy of this library has it open in this process".into(),
        })
    }

    /// Whether the file is still the one of this name.
    pub(super) fn standing(&self, database: &Path) -> Standing {
        match database.symlink_metadata() {
            Ok(found) if FileId::of(&found) == self.database => Standing::There,
            Ok(_) => Standing::Replaced,
            Err(error) if error.kind() == ErrorKind::NotFound => Standing::Gone,
            Err(_) => Standing::There,
        }
    }

    fn registered(database: FileId) -> Vec<Arc<Self>> {
        let claims = CLAIMS.load();
        let alive = claims.iter().flat_map(|claims| claims.iter()).filter_map(Weak::upgrade);
        alive.filter(|claim| claim.database == database).collect()
    }
}

/// What has become of the name of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the file's, as far as this process may look.
    There,
    /// It is another file's.
    Replaced,
    /// It is nobody's.
    Gone,
}

fn register(claim: &Arc<Claim>) {
    CLAIMS.rcu(|claims| {
        let alive = claims.iter().flat_map(|claims| claims.iter());
        let alive = alive.filter(|claim| claim.strong_count() > 0).cloned();
        Some(Arc::new(alive.chain([Arc::downgrade(claim)]).collect::<Vec<_>>()))
    });
}

fn inherited(database: &Path) -> Error {
    let reason = "this process was forked while the file was open; start a new program to use it";
    Error::StoreIo { path: database.into(), reason: reason.into() }
}

/// The lock file with this process's byte locked; `None` when it is taken.
fn lock(lock_file: &Path) -> Result<Option<File>> {
    let file = files::open_lock_file(lock_file)?;
    let locked = files::lock_byte(&file, process_byte())
        .map_err(|error| Error::io(lock_file, "lock", &error))?;
    Ok(locked.then_some(file))
}

/// The byte that stands for this process: a hash (FNV-1a, 62 bits of it, the same
/// in every copy and version of this library) of process id, time of start and pid
/// namespace, so that processes of different containers differ. Without
/// `/proc` only the process id is left, and two containers may be taken for one
/// process: a refusal too many, never one too few.
pub(super) fn process_byte() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Field 22, counted behind the parenthesised program name, which is field 2.
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let name = format!("{} {} {}", std::process::id(), started.unwrap_or(""), namespace.display());
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 2
}

/// Registers what is being opened. The caller is [`Inside`].
pub(super) fn remember(handles: &Arc<Handles>) {
    OPEN.rcu(|open| {
        let open = open.iter().flat_map(|open| open.iter()).chain([handles]);
        Some(Arc::new(open.cloned().collect::<Vec<_>>()))
    });
}

/// Takes `handles` from the register.
pub(super) fn forget(handles: &Arc<Handles>) {
    OPEN.rcu(|open| {
        let open = open.iter().flat_map(|open| open.iter());
        let others = open.filter(|other| !Arc::ptr_eq(other, handles));
        Some(Arc::new(others.cloned().collect::<Vec<_>>()))
    });
}

/// To be called in the child of a `fork` before it opens a token: lets go of what
/// the child must not keep of its parent's stores (presence) and touches nothing
/// that the parent still uses. Those stores answer with errors from then on. If a
/// thread was at work in one when the process forked, this process can open no
/// token, and is told so.
pub fn abandon_inherited() {
    let open = OPEN.load_full();
    for handles in open.iter().flat_map(|open| open.iter()).filter(|open| open.is_inherited()) {
        handles.abandon();
        forget(handles);
    }
}

/// A thread is inside SQLite while this lives.
#[derive(Debug)]
pub(in crate::store) struct Inside(());

impl Inside {
    /// The same for what may be this process's first use of SQLite.
    pub(in crate::store) fn enter_first(database: &Path) -> Result<Self> {
        if is_sqlite_sound() { Ok(Self::enter()) } else { Err(inherited(database)) }
    }

    /// Enters, after the forks that are under way. Before any lock is taken that
    /// the child of a fork would find locked.
    pub(super) fn enter() -> Self {
        if !patiently(Self::count_in) {
            USE.fetch_add(1, SeqCst);
        }
        Self(())
    }

    /// Counts one more inside, unless somebody forks.
    fn count_in() -> bool {
        let one_more = |now| (now < ONE_FORKING).then_some(now + 1);
        USE.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // In the child of a fork that came from inside there is nothing left to take.
        let one_less = |now| (inside(now) > 0).then(|| now - 1);
        let _ = USE.fetch_update(SeqCst, SeqCst, one_less);
    }
}

const fn inside(now: u64) -> u64 {
    now % ONE_FORKING
}

/// Waits until no thread is inside SQLite, and lets none in until [`after_fork`];
/// whether nobody is inside, so that the child can open tokens. To be called in the
/// thread that is about to fork.
pub fn before_fork() -> bool {
    USE.fetch_add(ONE_FORKING, SeqCst);
    patiently(|| inside(USE.load(SeqCst)) == 0)
}

/// Waits until `done`, for as long as a fork may take; whether it came to that.
fn patiently(done: impl Fn() -> bool) -> bool {
    for _ in 0..FORK_TRIES {
        if done() {
            return true;
        }
        std::thread::sleep(FORK_PAUSE);
    }
    false
}

/// Lets threads in again. To be called in the thread that forked, in the parent
/// and in the child, where it is the only one.
pub fn after_fork(in_child: bool) {
    if in_child {
        // Whoever was inside stayed in the parent and never leaves here.
        if inside(USE.swap(0, SeqCst)) != 0 {
            VERDICT.fetch_or(1, SeqCst);
        }
    } else {
        USE.fetch_sub(ONE_FORKING, SeqCst);
    }
}

/// Whether SQLite can be used in this process. Asked before it is used for the
/// first time, and again in a child of `fork` before it touches SQLite there.
pub(super) fn is_sqlite_sound() -> bool {
    let me = u64::from(std::process::id()) * 2;
    let judged = VERDICT.load(SeqCst);
    if judged & !1 == me {
        return judged == me;
    }
    // Zero: nobody asked before, so there was nothing to break. Otherwise this is a
    // child; one of an unsound process is unsound too.
    let unsound = judged != 0 && (judged & 1 == 1 || inside(USE.load(SeqCst)) != 0);
    // When two threads ask first at once, the one that wins may use SQLite already.
    let verdict = me | u64::from(unsound);
    match VERDICT.compare_exchange(judged, verdict, SeqCst, SeqCst) {
        Ok(_) => !unsound,
        Err(other) => other & 1 == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn nobody_is_inside_for_a_moment_while_somebody_forks() {
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !enough.load(SeqCst) {
                        if Inside::count_in() {
                            drop(Inside(()));
                        }
                    }
                });
            }
            let mut seen = Vec::new();
            for _ in 0..200 {
                if before_fork() {
                    seen.extend((0..2000).map(|_| inside(USE.load(SeqCst))).max());
                }
                after_fork(false);
            }
            enough.store(true, SeqCst);
            assert!(!seen.is_empty());
            assert!(seen.iter().all(|&inside| inside == 0), "{seen:?}");
        });
    }
}
