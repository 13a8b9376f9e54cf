//! The mapped page that tells every process when something was committed.
//!
//! ```text
//! byte  0   magic and format version, "SGNTGEN" 1
//!       8   incarnation: drawn at random when the page was made, never 0
//!      16   count: odd while a commit is under way, else drawn at random after
//!           each commit; u64::MAX: removed for good
//!      24   zeros up to 4096, all allocated on disk, but for
//!    2048   ticket: the number of the next who will wait for the writer's lock
//!    2056   turn: the number of who may try it
//!    2112   bells, 64 words of 4 bytes: whoever waits sleeps on one of them (`futex`)
//! ```
//!
//! Tickets only make the waiting fair and cheap, far from the words that readers look
//! at. The lock itself is the truth: who waits tries it now and then, whatever the page
//! says, so the dead and the stopped cost the others a moment each.
//!
//! Numbers are in the machine's byte order: the page means nothing elsewhere,
//! and its magic does not match there.
//!
//! Only who holds the writer's lock changes the page. But it is a file, and whoever
//! may write the directory can cut it off, overwrite it, or put another in its
//! place: an administrator who restores a copy, or a program gone wrong. Nobody may
//! take what he remembers for the present then, and nobody may die of it:
//!
//! - *Cut off*: touching it raises SIGBUS. [`guard`] answers by mapping a page of
//!   zeros there, whose incarnation 0 says "ask the store".
//! - *Overwritten*: counts are random, so that an old page put back says nothing
//!   that means something else by now; a page without its magic is remade.
//! - *Replaced* or removed: seen by whoever reads the store or writes to it, who
//!   then maps what lies there now, at the same address. Who only looks at the page
//!   cannot see it, and therefore reads the store now and then
//!   ([`Session::refresh`](crate::session::Session::refresh)).

// Reading memory that other processes share, and mapping it anew in place.
#![allow(unsafe_code)]

pub(super) mod guard;

use super::Generation;
use super::files::{self, FileId};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use guard::Guarded;
use memmap2::{MmapMut, MmapRaw};
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const SIZE: usize = 4096;
const MAGIC: u64 = u64::from_ne_bytes(*b"SGNTGEN\x01");
const INCARNATION_AT: usize = 8;
const COUNT_AT: usize = 16;
const TICKET_AT: usize = 2048;
const TURN_AT: usize = 2056;
const BELLS_AT: usize = 2112;
const BELLS: u64 = 64;
/// The count of a page whose token was removed; odd, so nobody trusts a cache.
const RETIRED: u64 = u64::MAX;
/// What a page says that is not there: odd, and no page's incarnation.
const LOST: Generation = Generation { incarnation: 0, count: 1 };

/// A generation page: one address for as long as the value lives, where either the
/// file is mapped or, when it is lost, a page of zeros.
#[derive(Debug)]
pub(super) struct GenerationPage {
    path: PathBuf,
    writable: bool,
    /// The file that is mapped; `None`: zeros.
    mapped: Mutex<Option<FileId>>,
    /// Where the next random number comes from.
    random: AtomicU64,
    // Dropped before the address is given up.
    _guarded: Guarded,
    map: MmapRaw,
}

impl GenerationPage {
    /// Maps the page; `None` when there is none, or one that is not ours.
    pub(super) fn open(path: &Path, writable: bool, entropy: &dyn Entropy) -> Result<Option<Self>> {
        // Rust promises atomic loads from read-only memory only up to the word size.
        if !writable && cfg!(not(target_pointer_width = "64")) {
            return Ok(None);
        }
        let page = Self::lost(path, writable, entropy)?;
        Ok(page.adopt()?.then_some(page))
    }

    /// Maps the page for writing, or makes it. The caller holds the writer's lock.
    pub(super) fn open_or_make(path: &Path, entropy: &dyn Entropy) -> Result<Self> {
        let page = Self::lost(path, true, entropy)?;
        page.repair()?;
        Ok(page)
    }

    /// A page of zeros.
    fn lost(path: &Path, writable: bool, entropy: &dyn Entropy) -> Result<Self> {
        let zeros = MmapMut::map_anon(SIZE).map_err(|error| Error::io(path, "map", &error))?;
        let map = MmapRaw::from(zeros);
        Ok(Self {
            path: path.into(),
            writable,
            mapped: Mutex::new(None),
            random: AtomicU64::new(u64::from_ne_bytes(entropy::array(entropy)?)),
            _guarded: Guarded::new(map.as_ptr().expose_provenance()),
            map,
        })
    }

    /// Maps the file that lies there now, in place; false, and zeros, when there is
    /// none, or one that is not ours.
    pub(super) fn adopt(&self) -> Result<bool> {
        let mut mapped = self.mapped.lock();
        let found = self.find();
        let put = |file: Option<&File>| {
            self.put(file).map_err(|error| Error::io(&self.path, "map", &error))
        };
        match &found {
            Ok(Some((id, file))) => {
                put(Some(file))?;
                *mapped = Some(*id);
            }
            Ok(None) | Err(_) if mapped.is_some() => {
                put(None)?;
                *mapped = None;
            }
            Ok(None) | Err(_) => {}
        }
        found.map(|found| found.is_some())
    }

    /// Opens the file if it is ours.
    fn find(&self) -> Result<Option<(FileId, File)>> {
        if !files::check_file(&self.path)? {
            return Ok(None);
        }
        let look = || -> io::Result<_> {
            let file = files::open(&self.path, self.writable)?;
            let mut head = [0; COUNT_AT];
            // The size first: a mapping is to be touched within the file only.
            if file.metadata()?.len() < SIZE as u64 {
                return Ok(None);
            }
            file.read_exact_at(&mut head, 0)?;
            let (magic, incarnation) = head.split_at(INCARNATION_AT);
            let ours = magic == MAGIC.to_ne_bytes() && incarnation != [0; 8];
            let id = FileId::of(&file.metadata()?);
            Ok(ours.then_some((id, file)))
        };
        match look() {
            Ok(found) => Ok(found),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(Error::io(&self.path, "open", &error)),
            },
        }
    }

    /// Maps `file`, or zeros, at the page's address.
    fn put(&self, file: Option<&File>) -> io::Result<()> {
        let (address, size) =
            (NonZeroUsize::new(self.map.as_ptr().addr()), NonZeroUsize::new(SIZE));
        let size = size.ok_or(ErrorKind::InvalidInput)?;
        let mut access = ProtFlags::PROT_READ;
        access.set(ProtFlags::PROT_WRITE, self.writable || file.is_none());
        let fixed = MapFlags::MAP_FIXED;
        match file {
            // SAFETY: exactly the range that `self.map` owns, so nothing else is
            // replaced, and the kernel replaces it in one step for whoever reads it
            // meanwhile: `word` is all that does.
            Some(file) => unsafe {
                mmap(address, size, access, fixed | MapFlags::MAP_SHARED, file, 0)
            },
            // SAFETY: the same.
            None => unsafe { mmap_anonymous(address, size, access, fixed | MapFlags::MAP_PRIVATE) },
        }?;
        Ok(())
    }

    /// Whether the file is whole and the one that lies there now. One that cannot be
    /// looked at any more, because a permission was lost, is still the one.
    pub(super) fn is_current(&self) -> bool {
        match self.path.symlink_metadata() {
            // The size first: what was cut off is not to be touched.
            Ok(found) => {
                found.is_file()
                    && found.len() >= SIZE as u64
                    && *self.mapped.lock() == Some(FileId::of(&found))
                    && self.is_whole()
            }
            Err(error) => error.kind() != ErrorKind::NotFound && self.is_whole(),
        }
    }

    /// Whether what is mapped is a page of ours.
    fn is_whole(&self) -> bool {
        self.word(0).load(Ordering::Acquire) == MAGIC
            && self.word(INCARNATION_AT).load(Ordering::Acquire) != 0
    }

    /// From now on the page says nothing but "ask the store", until it is adopted.
    pub(super) fn distrust(&self) {
        let mut mapped = self.mapped.lock();
        if mapped.is_some() && self.put(None).is_ok() {
            *mapped = None;
        }
    }

    /// Sees to it that the page is whole and the one that everybody finds. The caller
    /// holds the writer's lock.
    pub(super) fn repair(&self) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        let found = self.path.symlink_metadata().ok().map(|found| FileId::of(&found));
        if self.mapped.lock().is_some_and(|mapped| found != Some(mapped)) {
            // Whoever has the old file mapped is to ask the store from now on, and sees
            // there that it is not the one any more.
            self.begin();
        }
        if !self.adopt()? {
            self.write_new()
                .map_err(|error| Error::io(&self.path, "make the generation page", &error))?;
            if !self.adopt()? {
                let reason = "the generation page is being changed by somebody else".into();
                return Err(Error::StoreIo { path: self.path.clone(), reason });
            }
        }
        // What it says may have been true before, of another state.
        self.end();
        Ok(())
    }

    /// Makes the file, or rewrites one that is not ours.
    fn write_new(&self) -> io::Result<()> {
        let (incarnation, count) = (self.draw() | 1, self.draw() & !1);
        let mut content = [0; SIZE];
        content[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        content[INCARNATION_AT..COUNT_AT].copy_from_slice(&incarnation.to_ne_bytes());
        content[COUNT_AT..COUNT_AT + 8].copy_from_slice(&count.to_ne_bytes());
        let file = files::open(&self.path, true)?;
        // Written whole, not left sparse: a store to a mapped hole would raise SIGBUS on
        // a full disk.
        file.write_all_at(&content, 0)?;
        file.sync_all()
    }

    /// A random number (SplitMix64): nobody may foresee none of them, they only must
    /// not come again.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= SIZE);
        // SAFETY: `map` owns SIZE bytes at a page's boundary, where `put` keeps a
        // readable mapping, writable if `writable`; `at` is one of this file's
        // constants, a multiple of 8 with at + 8 <= SIZE, so the word is aligned and
        // inside. A file that was cut off raises SIGBUS, which `guard` mends; without it
        // the process ends. The mapping lives as long as `self`, which the returned
        // reference borrows. All accesses here are atomic; other processes share the
        // memory and use this very code. On a read-only mapping only loads happen
        // (`change` checks, and only writers take tickets), on 64-bit targets only
        // (`open` checks).
        unsafe { &*self.map.as_ptr().add(at).cast::<AtomicU64>() }
    }

    /// What the page says now.
    pub(super) fn read(&self) -> Generation {
        let incarnation = self.word(INCARNATION_AT).load(Ordering::Acquire);
        let count = self.word(COUNT_AT).load(Ordering::Acquire);
        if incarnation == 0 { LOST } else { Generation { incarnation, count } }
    }

    /// A commit begins; false when the page is lost, so that nobody would notice. What a
    /// killed writer left odd stays odd.
    pub(super) fn begin(&self) -> bool {
        self.change(|count| count | 1);
        self.is_whole()
    }

    /// The commit is over, whatever became of it.
    pub(super) fn end(&self) {
        self.change(|_| self.draw() & !1);
    }

    /// The token is gone; irrevocable.
    pub(super) fn retire(&self) {
        self.change(|_| RETIRED);
    }

    /// A number in the queue for the writer's lock. For those only who may write.
    pub(super) fn take_ticket(&self) -> u64 {
        debug_assert!(self.writable);
        self.word(TICKET_AT).fetch_add(1, Ordering::SeqCst)
    }

    /// The number whose turn it is.
    pub(super) fn turn(&self) -> u64 {
        self.word(TURN_AT).load(Ordering::SeqCst)
    }

    /// `ticket` is done with: it is the next one's turn.
    pub(super) fn pass_turn(&self, ticket: u64) {
        let next = ticket.wrapping_add(1);
        self.word(TURN_AT).fetch_max(next, Ordering::SeqCst);
        self.bell(next).fetch_add(1, Ordering::SeqCst);
        // That nobody sleeps there is no failure, and there is no other.
        let _ = self.futex(next, libc::FUTEX_WAKE, u32::MAX >> 1, None);
    }

    /// How often the bell of a ticket has rung. Read before the turn.
    pub(super) fn rings(&self, ticket: u64) -> u32 {
        self.bell(ticket).load(Ordering::SeqCst)
    }

    /// Sleeps until the bell of `ticket` has rung more often than `rings` says; false when
    /// `longest` has passed without, or, after a signal, may have.
    pub(super) fn await_turn(&self, ticket: u64, rings: u32, longest: Duration) -> bool {
        let timeout = libc::timespec {
            tv_sec: longest.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: longest.subsec_nanos().into(),
        };
        match self.futex(ticket, libc::FUTEX_WAIT, rings, Some(&timeout)) {
            Err(Errno::ETIMEDOUT) => false,
            Err(Errno::EINTR) => {
                // Through all signals that come, deaf to the bell: or a timer would keep
                // whoever waits from ever having waited.
                std::thread::sleep(longest);
                false
            }
            _ => true,
        }
    }

    fn futex(
        &self,
        ticket: u64,
        operation: libc::c_int,
        value: u32,
        timeout: Option<&libc::timespec>,
    ) -> nix::Result<()> {
        let timeout = timeout.map_or(std::ptr::null(), std::ptr::from_ref);
        let bell = std::ptr::from_ref(self.bell(ticket));
        // SAFETY: an aligned word of the mapping, and null or a live time.
        let answer = unsafe { libc::syscall(libc::SYS_futex, bell, operation, value, timeout) };
        Errno::result(answer).map(drop)
    }

    fn bell(&self, ticket: u64) -> &AtomicU32 {
        let number = usize::try_from(ticket % BELLS).unwrap_or_default();
        // SAFETY: as for `word`: aligned and inside, for there are BELLS of them from
        // BELLS_AT on, and accessed as this type only.
        unsafe { &*self.map.as_ptr().add(BELLS_AT + 4 * number).cast::<AtomicU32>() }
    }

    /// Whether the token is gone.
    pub(super) fn is_retired(&self) -> bool {
        self.word(COUNT_AT).load(Ordering::Acquire) == RETIRED && self.is_whole()
    }

    /// Under the writer's lock there is no other writer: load and store suffice.
    fn change(&self, next: impl FnOnce(u64) -> u64) {
        let word = self.word(COUNT_AT);
        let count = word.load(Ordering::Acquire);
        if self.writable && count != RETIRED {
            // SeqCst: the odd count must be visible before the commit that follows.
            word.store(next(count), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests;
