//! Who uses a token: a `flock` for each, shared or exclusive, on one file. Each has
//! its own open file description, so they conflict within a process too.

#![forbid(unsafe_code)]

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
use std::sync::atomic::{AtomicBool, Ordering};

/// The presences that one store gave out.
#[derive(Debug)]
pub(super) struct Presences {
    path: PathBuf,
    writable: bool,
    /// Swapped, never locked: a forked child must be able to read it.
    descriptors: ArcSwap<Vec<RawFd>>,
    abandoned: AtomicBool,
}

impl Presences {
    pub(super) fn new(path: PathBuf, writable: bool) -> Arc<Self> {
        let descriptors = ArcSwap::from_pointee(Vec::new());
        Arc::new(Self { path, writable, descriptors, abandoned: AtomicBool::new(false) })
    }

    /// A presence; `None` when the other sort is there.
    pub(super) fn enter(self: &Arc<Self>, alone: bool) -> Result<Option<Box<dyn Presence>>> {
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
                return Ok(Some(Box::new(Held { lock: None, pid: 0, all: Arc::clone(self) })));
            }
            Err(error) => return Err(Error::io(&self.path, "open", &error)),
        };
        match if alone { file.try_lock() } else { file.try_lock_shared() } {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io(&self.path, "lock", &error)),
        }
        let descriptor = file.as_raw_fd();
        self.descriptors.rcu(|held| held.iter().copied().chain([descriptor]).collect::<Vec<_>>());
        let lock = Some(ManuallyDrop::new(file));
        Ok(Some(Box::new(Held { lock, pid: std::process::id(), all: Arc::clone(self) })))
    }

    /// In a forked child: closes its copies of the descriptors. The locks stay, they
    /// belong to the open file descriptions that the parent still holds.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        for descriptor in self.descriptors.swap(Arc::new(Vec::new())).iter() {
            // A descriptor that is no longer open has nothing to give up.
            let _ = nix::unistd::close(*descriptor);
        }
    }
}

struct Held {
    lock: Option<ManuallyDrop<File>>,
    pid: u32,
    all: Arc<Presences>,
}

impl Presence for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(file) = self.lock.take() else { return };
        if self.all.abandoned.load(Ordering::SeqCst) {
            // Its number is closed already and may be somebody else's by now.
            return;
        }
        let _inside = Inside::enter();
        let descriptor = file.as_raw_fd();
        self.all
            .descriptors
            .rcu(|held| held.iter().copied().filter(|fd| *fd != descriptor).collect::<Vec<_>>());
        // A child of ours may hold a copy, so closing would not end the lock; but
        // such a child itself must not end it.
        if self.pid == std::process::id() {
            let _ = file.unlock();
        }
        drop(ManuallyDrop::into_inner(file));
    }
}
