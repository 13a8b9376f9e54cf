//! The mapped page that tells every process when something was committed.
//!
//! ```text
//! byte  0   magic and format version, "SGNTGEN" 1
//!       8   incarnation: drawn at random when the page was made
//!      16   count: odd while a commit is under way; u64::MAX: removed for good
//!      24   zeros up to 4096, all allocated on disk
//! ```
//!
//! Numbers are in the machine's byte order: the page means nothing elsewhere,
//! and its magic does not match there.
//!
//! Only who holds the writer's lock changes the page. Nobody shrinks or removes
//! it while the token is in use: the directory is ours alone, and a page found
//! foreign is rewritten in place, so that those who have it mapped see the new
//! incarnation.

// The one file of the store with unsafe code: reading mapped memory.
#![allow(unsafe_code)]

use super::Generation;
use super::files;
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const SIZE: usize = 4096;
const MAGIC: u64 = u64::from_ne_bytes(*b"SGNTGEN\x01");
const INCARNATION_AT: usize = 8;
const COUNT_AT: usize = 16;
/// The count of a page whose token was removed; odd, so nobody trusts a cache.
const RETIRED: u64 = u64::MAX;

/// A mapped generation page.
#[derive(Debug)]
pub(super) struct GenerationPage {
    map: MmapRaw,
    writable: bool,
}

impl GenerationPage {
    /// Maps the page; `None` when there is none, or one that is not ours.
    pub(super) fn open(path: &Path, writable: bool) -> Result<Option<Self>> {
        if !files::check_file(path)? {
            return Ok(None);
        }
        // Rust promises atomic loads from read-only memory only up to the word size.
        if !writable && cfg!(not(target_pointer_width = "64")) {
            return Ok(None);
        }
        let file = match files::open(path, writable) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, "open", &error)),
        };
        Self::map(&file, writable).map_err(|error| Error::io(path, "map", &error))
    }

    /// Maps the page for writing, or makes it. The caller holds the writer's lock.
    pub(super) fn open_or_make(path: &Path, entropy: &dyn Entropy) -> Result<Self> {
        match Self::open(path, true)? {
            Some(page) => Ok(page),
            None => Self::make(path, entropy),
        }
    }

    /// Makes the page, or rewrites one that is not ours. The caller holds the
    /// writer's lock and has found [`Self::open`] answering `None` under it.
    pub(super) fn make(path: &Path, entropy: &dyn Entropy) -> Result<Self> {
        files::check_file(path)?;
        let incarnation: [u8; 8] = entropy::array(entropy)?;
        // A random even start: an old incarnation read together with the new
        // count must not look like anything seen before.
        let count = u64::from(u32::from_ne_bytes(entropy::array(entropy)?)) * 2;
        let mut content = [0; SIZE];
        content[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        content[INCARNATION_AT..COUNT_AT].copy_from_slice(&incarnation);
        content[COUNT_AT..COUNT_AT + 8].copy_from_slice(&count.to_ne_bytes());
        let write = || {
            let file = files::open(path, true)?;
            // Written whole, not left sparse: a store to a mapped hole would
            // raise SIGBUS on a full disk.
            file.write_all_at(&content, 0)?;
            file.sync_all()?;
            Self::map(&file, true)?.ok_or_else(|| ErrorKind::InvalidData.into())
        };
        write().map_err(|error: std::io::Error| Error::io(path, "make the generation page", &error))
    }

    fn map(file: &File, writable: bool) -> std::io::Result<Option<Self>> {
        let found = file.metadata()?;
        // The size first: touching a mapping beyond the file's end raises SIGBUS.
        if !found.is_file() || found.len() < SIZE as u64 {
            return Ok(None);
        }
        let mut options = MmapOptions::new();
        options.len(SIZE);
        let map = if writable { options.map_raw(file) } else { options.map_raw_read_only(file) }?;
        let page = Self { map, writable };
        Ok((page.word(0).load(Ordering::Acquire) == MAGIC).then_some(page))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= SIZE);
        // SAFETY: `map` mapped SIZE bytes of a file that was at least that long and
        // that no process of ours shrinks; `at` is one of this file's constants, a
        // multiple of 8 with at + 8 <= SIZE, and a mapping starts at a page, so the
        // word is aligned and inside. The mapping lives as long as `self`, which the
        // returned reference borrows. All accesses here are atomic; other processes
        // share the memory and use this very code. On a read-only mapping only loads
        // happen (`change` checks), on 64-bit targets only (`open` checks).
        unsafe { &*self.map.as_ptr().add(at).cast::<AtomicU64>() }
    }

    /// What the page says now.
    pub(super) fn read(&self) -> Generation {
        let incarnation = self.word(INCARNATION_AT).load(Ordering::Acquire);
        let count = self.word(COUNT_AT).load(Ordering::Acquire);
        Generation { incarnation, count }
    }

    /// A commit begins. What a killed writer left odd stays odd.
    pub(super) fn begin(&self) {
        self.change(|count| if count % 2 == 0 { count + 1 } else { count });
    }

    /// The commit is over, whatever became of it.
    pub(super) fn end(&self) {
        self.change(|count| if count % 2 == 1 { count + 1 } else { count });
    }

    /// The token is gone; irrevocable.
    pub(super) fn retire(&self) {
        self.change(|_| RETIRED);
    }

    /// Whether the token is gone.
    pub(super) fn is_retired(&self) -> bool {
        self.word(COUNT_AT).load(Ordering::Acquire) == RETIRED
    }

    /// Under the writer's lock there is no other writer: load and store suffice.
    fn change(&self, next: impl FnOnce(u64) -> u64) {
        debug_assert!(self.writable);
        let word = self.word(COUNT_AT);
        let count = word.load(Ordering::Acquire);
        if self.writable && count != RETIRED {
            // SeqCst: the odd count must be visible before the commit that follows.
            word.store(next(count), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    fn page() -> (tempfile::TempDir, std::path::PathBuf, GenerationPage) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("generation");
        let page = GenerationPage::make(&path, &OsEntropy).unwrap();
        (directory, path, page)
    }

    #[test]
    fn a_commit_is_odd_meanwhile_and_even_afterwards_in_every_mapping() {
        let (_directory, path, page) = page();
        let other = GenerationPage::open(&path, false).unwrap().unwrap();
        let before = other.read();
        assert!(before.is_settled());
        page.begin();
        assert!(!other.read().is_settled());
        page.end();
        let after = other.read();
        assert!(after.is_settled());
        assert_ne!(after, before);
        assert_eq!(after.incarnation, before.incarnation);
    }

    #[test]
    fn a_page_left_odd_is_repaired_to_a_count_that_nobody_has_seen() {
        let (_directory, _, page) = page();
        let before = page.read();
        page.begin();
        let left_by_the_dead = page.read();
        page.begin();
        assert_eq!(page.read(), left_by_the_dead);
        page.end();
        assert!(page.read().is_settled());
        assert_ne!(page.read(), before);
    }

    #[test]
    fn retired_is_for_ever() {
        let (_directory, _, page) = page();
        page.retire();
        page.begin();
        page.end();
        assert!(page.is_retired());
        assert!(!page.read().is_settled());
    }

    #[test]
    fn foreign_truncated_and_missing_pages_are_told_apart_from_ours() {
        let (_directory, path, page) = page();
        let first = page.read();
        drop(page);
        for content in [&b""[..], &[7; 100], &[0; SIZE], &[0xff; SIZE]] {
            std::fs::write(&path, content).unwrap();
            assert!(GenerationPage::open(&path, true).unwrap().is_none());
        }
        let remade = GenerationPage::make(&path, &OsEntropy).unwrap();
        assert_ne!(remade.read().incarnation, first.incarnation);
        assert_eq!(GenerationPage::open(&path, true).unwrap().unwrap().read(), remade.read());
        std::fs::remove_file(&path).unwrap();
        assert!(GenerationPage::open(&path, true).unwrap().is_none());
    }

    #[test]
    fn a_link_in_the_page_s_place_is_refused() {
        let (directory, path, page) = page();
        drop(page);
        let elsewhere = directory.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(matches!(GenerationPage::open(&path, true), Err(Error::StoreIo { .. })));
        assert!(matches!(GenerationPage::make(&path, &OsEntropy), Err(Error::StoreIo { .. })));
    }
}
