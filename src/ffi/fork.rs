//! `fork`: noticed by reading one word, which stands in a page that the kernel
//! wipes in the child (`MADV_WIPEONFORK`) and costs no system call; and made to
//! wait until no thread is inside the store, so that the child finds it usable.

use crate::error::{Error, Result};
use crate::store::{after_fork, before_fork};
use memmap2::{MmapMut, MmapOptions};
use nix::libc::pthread_atfork;
use nix::sys::mman::{MmapAdvise, madvise};
use once_cell::sync::OnceCell;
use std::ptr::NonNull;

const SET: u8 = 1;

/// Has the C library call the store around every `fork` from now on. Once for as
/// long as the library is loaded; the C library forgets the handlers with it.
///
/// # Errors
/// [`Error::HostMemory`].
pub fn watch() -> Result<()> {
    static WATCHED: OnceCell<()> = OnceCell::new();
    WATCHED
        .get_or_try_init(|| {
            // SAFETY: the handlers are functions of this library that take nothing
            // and touch only atomics.
            match unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) } {
                0 => Ok(()),
                _ => Err(Error::HostMemory),
            }
        })
        .copied()
}

unsafe extern "C" fn prepare() {
    // The fork goes on in any case; the child asks for itself.
    let _ = before_fork();
}

unsafe extern "C" fn parent() {
    after_fork(false);
}

unsafe extern "C" fn child() {
    after_fork(true);
}

/// True in the process that made it, false in its children.
pub struct ForkWord(MmapMut);

impl ForkWord {
    /// # Errors
    /// [`Error::HostMemory`] when no such page can be had.
    pub fn new() -> Result<Self> {
        let refused = || Error::HostMemory;
        let mut page = MmapOptions::new().len(1).map_anon().map_err(|_| refused())?;
        page[0] = SET;
        let start = NonNull::new(page.as_mut_ptr()).ok_or_else(refused)?;
        // SAFETY: the whole of a private anonymous mapping that this value owns;
        // the advice changes what a child of a fork sees and nothing here.
        unsafe { madvise(start.cast(), page.len(), MmapAdvise::MADV_WIPEONFORK) }
            .map_err(|_| refused())?;
        Ok(Self(page))
    }

    /// Whether this is the process that made it.
    pub fn is_ours(&self) -> bool {
        // SAFETY: the first byte of a mapping that lives as long as this value.
        // Volatile: the kernel changes it behind the compiler's back.
        unsafe { self.0.as_ptr().read_volatile() == SET }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    #[test]
    fn a_child_reads_that_the_word_is_not_its_own() {
        let word = ForkWord::new().unwrap();
        assert!(word.is_ours());
        // SAFETY: the child reads memory and ends by _exit, nothing else.
        match unsafe { fork() }.unwrap() {
            // SAFETY: ends the process without the parent's exit handlers.
            ForkResult::Child => unsafe { nix::libc::_exit(i32::from(word.is_ours())) },
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
        }
        assert!(word.is_ours());
    }
}
