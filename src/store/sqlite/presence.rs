//! Who uses a token: a `flock` for each, shared or exclusive, on one file. Each has
//! its own open file description, so they conflict within a process too.

#![forbid(unsafe_code)]

use super::handles::Handles;
use super::process::Inside;
use crate::error::{Error, Result};
use crate::store::{Presence, files};
use arc_swap::ArcSwap;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// The presences that one store gave out.
#[derive(Debug)]
pub(super) struct Presences {
    path: PathBuf,
    writable: bool,
    /// Those that are open in this process. Swapped, never locked: a forked child must
    /// be able to read it.
    descriptors: ArcSwap<Vec<RawFd>>,
}

impl Presences {
    pub(super) fn new(path: PathBuf, writable: bool) -> Self {
        Self { path, writable, descriptors: ArcSwap::from_pointee(Vec::new()) }
    }

    /// In a forked child: closes its copies of the descriptors. The locks stay, they
    /// belong to the open file descriptions that the parent still holds.
    pub(super) fn abandon(&self) {
        for descriptor in self.descriptors.swap(Arc::new(Vec::new())).iter() {
            // A descriptor that is no longer open has nothing to give up.
            let _ = nix::unistd::close(*descriptor);
        }
    }

    /// Takes a descriptor from the list; false when it was abandoned before, so that its
    /// number may be somebody else's by now.
    fn forget(&self, descriptor: RawFd) -> bool {
        let others = |held: &Arc<Vec<RawFd>>| {
            held.iter().copied().filter(|fd| *fd != descriptor).collect::<Vec<_>>()
        };
        self.descriptors.rcu(others).contains(&descriptor)
    }

    fn open(&self) -> Result<Option<File>> {
        files::check_file(&self.path)?;
        // Read only, unless it must be made: a permission may have been lost since.
        let open = |writable| files::open(&self.path, writable);
        let missing = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        let opened = open(false).or_else(|error| {
            if missing(&error) && self.writable { open(true) } else { Err(error) }
        });
        let file = match opened {
            Ok(file) => file,
            // A read-only copy without the file: nobody can be alone on it anyway.
            Err(error) if missing(&error) && !self.writable => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io(&self.path, "open", &error)),
        };
        Ok(Some(file))
    }
}

/// A presence on the store of `handles`; `None` when the other sort is there. The
/// caller is [`Inside`].
pub(super) fn enter(handles: &Arc<Handles>, alone: bool) -> Result<Option<Box<dyn Presence>>> {
    let presences = &handles.presences;
    let Some(file) = presences.open()? else { return Ok(Some(Box::new(Unlocked))) };
    match if alone { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => {
            return Err(Error::io(&presences.path, "lock", &error));
        }
    }
    let descriptor = file.as_raw_fd();
    presences.descriptors.rcu(|held| held.iter().copied().chain([descriptor]).collect::<Vec<_>>());
    Ok(Some(Box::new(Held { file: ManuallyDrop::new(file), handles: Arc::clone(handles) })))
}

/// Where there is nothing to lock.
struct Unlocked;

impl Presence for Unlocked {}

struct Held {
    file: ManuallyDrop<File>,
    handles: Arc<Handles>,
}

impl Presence for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let _inside = Inside::enter();
        if !self.handles.presences.forget(self.file.as_raw_fd()) {
            return;
        }
        // A child of ours may hold a copy, so closing would not end the lock; but
        // such a child itself must not end it.
        if !self.handles.is_inherited() {
            let _ = self.file.unlock();
        }
        let _ = nix::unistd::close(self.file.as_raw_fd());
    }
}
