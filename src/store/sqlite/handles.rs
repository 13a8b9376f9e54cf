//! What an open store has of the operating system: connections, lock files, the
//! claim. Registered for the whole process, because the child of a `fork` must
//! close all of it whoever owned it, and must not need a lock for that which
//! a thread of its parent may have held.

#![forbid(unsafe_code)]

use super::presence::Presences;
use super::process::{self, Claim, Inside, Standing};
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The handles of one store, from its opening until it is dropped.
#[derive(Debug)]
pub(super) struct Handles {
    pub reader: Mutex<Option<Connection>>,
    pub writer: Mutex<Option<Connection>>,
    /// Open on a writable store. Closed by number, once, while others may still borrow
    /// `self`; from then on the number may be somebody else's.
    pub attempts_file: ManuallyDrop<Option<File>>,
    pub presences: Presences,
    claim: Mutex<Option<Arc<Claim>>>,
    pid: u32,
    /// Closed, or abandoned by the child of a fork.
    released: AtomicBool,
}

impl Handles {
    /// Those of a store that is being opened. The caller is [`Inside`].
    pub fn register(
        claim: Arc<Claim>,
        attempts_file: Option<File>,
        presences: Presences,
    ) -> Arc<Self> {
        let handles = Arc::new(Self {
            reader: Mutex::new(None),
            writer: Mutex::new(None),
            attempts_file: ManuallyDrop::new(attempts_file),
            presences,
            claim: Mutex::new(Some(claim)),
            pid: std::process::id(),
            released: AtomicBool::new(false),
        });
        process::remember(&handles);
        handles
    }

    /// Whether the files are closed: their numbers must not be used.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// Whether a parent of this process opened the store.
    pub fn is_inherited(&self) -> bool {
        self.pid != std::process::id()
    }

    /// What has become of the name of the open file; `None` once it is closed.
    pub fn standing(&self, database: &Path) -> Option<Standing> {
        self.claim.lock().as_ref().map(|claim| claim.standing(database))
    }

    /// Ends the use of the store, whose last owner calls this.
    pub fn close(self: &Arc<Self>) {
        if self.is_inherited() {
            self.abandon();
        }
        let _inside = Inside::enter();
        if !self.released.swap(true, Ordering::SeqCst) {
            // Before the claim and the lock files go.
            drop(self.writer.lock().take());
            drop(self.reader.lock().take());
            drop(self.claim.lock().take());
            self.close_attempts_file();
        }
        process::forget(self);
    }

    /// Closes the inherited connections if no thread was inside SQLite when the
    /// process forked, which makes the token usable in the child: the locks are not
    /// inherited, so closing an idle connection gives up nothing of the parent's, and
    /// it is told not to write the log back. If one was inside, all is leaked, and
    /// this process and its children are refused every token from then on.
    pub fn abandon(&self) {
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        self.presences.abandon();
        self.close_attempts_file();
        if !process::is_sqlite_sound() {
            return;
        }
        for connection in [&self.reader, &self.writer] {
            let Some(mut guard) = connection.try_lock() else { return };
            if let Some(connection) = guard.take() {
                let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
                if !matches!(connection.set_db_config(option, true), Ok(true)) {
                    // Leaked with its claim, so that the child is refused the file.
                    std::mem::forget(connection);
                    return;
                }
                drop(connection);
            }
        }
        if let Some(mut claim) = self.claim.try_lock() {
            claim.take();
        }
    }

    /// Once only: `released` was false.
    fn close_attempts_file(&self) {
        if let Some(file) = self.attempts_file.as_ref() {
            // One that is no longer open has nothing to give up.
            let _ = nix::unistd::close(file.as_raw_fd());
        }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        // What neither `close` nor `abandon` took could not be closed safely.
        std::mem::forget(self.reader.get_mut().take());
        std::mem::forget(self.writer.get_mut().take());
        std::mem::forget(self.claim.get_mut().take());
    }
}
