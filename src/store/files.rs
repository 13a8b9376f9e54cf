//! What the store does with files apart from SQLite: refusing those that
//! somebody else could have put there, locks, and making names durable.

#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::{AccessFlags, Uid, eaccess};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// The mode of every file made here.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The mode of every directory made here.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
/// Writable by the group or by everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Refuses a token directory that is a link, is not a directory, belongs to
/// somebody else or may be written by others.
pub(crate) fn check_directory(path: &Path) -> Result<()> {
    let found = path.symlink_metadata().map_err(|error| Error::io(path, "look at", &error))?;
    if !found.is_dir() && !found.is_symlink() {
        return Err(refused(path, "is not a directory"));
    }
    check_ownership(path, &found)
}

/// Refuses a file of the store for the same reasons; whether it is there at all.
pub(crate) fn check_file(path: &Path) -> Result<bool> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(path, "look at", &error)),
    };
    if !found.is_file() && !found.is_symlink() {
        return Err(refused(path, "is not a regular file"));
    }
    check_ownership(path, &found)?;
    Ok(true)
}

fn check_ownership(path: &Path, found: &Metadata) -> Result<()> {
    if found.is_symlink() {
        return Err(refused(path, "is a symbolic link"));
    }
    match objection(found.uid(), found.mode(), Uid::effective().as_raw()) {
        None => Ok(()),
        Some(why) => Err(refused(path, &why)),
    }
}

/// What speaks against a file of this owner and mode, for a process of uid `me`.
fn objection(owner: u32, mode: u32, me: u32) -> Option<String> {
    if owner != me && owner != 0 {
        return Some(format!("belongs to uid {owner}, not to {me} or root"));
    }
    let others = mode & WRITABLE_BY_OTHERS != 0;
    others.then(|| format!("may be written by others (mode {:04o})", mode & 0o7777))
}

fn refused(path: &Path, why: &str) -> Error {
    Error::StoreIo { path: path.into(), reason: format!("refused: it {why}") }
}

/// Whether this process could write `path`, as far as permissions and file system go: one
/// that is gone is not write-protected.
pub(super) fn may_write(path: &Path) -> bool {
    matches!(eaccess(path, AccessFlags::W_OK), Ok(()) | Err(Errno::ENOENT))
}

/// Opens a file of ours without following a link; std adds `O_CLOEXEC`.
pub(crate) fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(writable)
        .create(writable)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Opens a lock file, made if it is missing; refused as by [`check_file`].
pub(super) fn open_lock_file(path: &Path) -> Result<File> {
    check_file(path)?;
    open(path, true).map_err(|error| Error::io(path, "open", &error))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::io(path, "sync the directory", &error))
}

/// An exclusive `flock` on a description of its own, opened for this one time: the
/// child of an earlier `fork` has no copy that would keep the lock when this process
/// is killed. Released explicitly, for the sake of a child forked since.
pub(crate) struct Queue(File);

impl Queue {
    /// Takes the lock if nobody has it.
    pub(crate) fn try_join(path: &Path) -> Result<Option<Self>> {
        let file = open_lock_file(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io(path, "lock", &error)),
        }
        // Replaced since it was opened: the others lock another file.
        let (held, there) = (file.metadata(), path.symlink_metadata());
        let same = |(held, there)| FileId::of(&held) == FileId::of(&there);
        Ok(held.ok().zip(there.ok()).is_some_and(same).then_some(Self(file)))
    }

    /// Waits for the lock, for as long as `timeout` at most.
    pub(crate) fn join(path: &Path, timeout: Duration) -> Result<Self> {
        let mut pauses = Pauses::new(timeout);
        loop {
            if let Some(queue) = Self::try_join(path)? {
                return Ok(queue);
            }
            if !pauses.pause() {
                return Err(busy(path, timeout));
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Unlocking an open descriptor cannot fail in a way that could be mended here.
        let _ = self.0.unlock();
    }
}

/// Pauses between two tries at what nothing tells of, until their sum is reached.
pub(super) struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(16);

    pub(super) fn new(sum: Duration) -> Self {
        Self { next: Self::FIRST, left: sum }
    }

    /// Sleeps; false, at once, when the sum is reached.
    pub(super) fn pause(&mut self) -> bool {
        if self.left.is_zero() {
            return false;
        }
        std::thread::sleep(self.next);
        self.left = self.left.saturating_sub(self.next);
        self.next = (self.next * 2).min(Self::LONGEST);
        true
    }
}

/// Why a lock was not to be had within `timeout`, with the name of who has it as far
/// as the system tells.
pub(super) fn busy(path: &Path, timeout: Duration) -> Error {
    let holder = match lock_holder(path) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    Error::FunctionFailed(format!(
        "{}: {holder} has kept it locked for {} s and more; is it stopped?",
        path.display(),
        timeout.as_secs()
    ))
}

/// The process that has `flock`ed a file, by the number it has for this process. The
/// system tells of all locks a page at a time: one may be missed, or told twice, when
/// others come and go in between.
fn lock_holder(path: &Path) -> Option<u32> {
    const TRIES: usize = 5;
    let inode = path.symlink_metadata().ok()?.ino().to_string();
    (0..TRIES).find_map(|_| only_holder(&std::fs::read_to_string("/proc/locks").ok()?, &inode))
}

/// The process that has a file `flock`ed, if it is one.
fn only_holder(locks: &str, inode: &str) -> Option<u32> {
    // 1: FLOCK  ADVISORY  WRITE 2044 fe:01:1835015 0 EOF
    let mut holders = locks.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let flock = words.next()? == "FLOCK";
        let (pid, file) = (words.nth(2)?, words.next()?);
        // The device is not compared: some file systems show another one there.
        let same = flock && file.rsplit(':').next()? == inode;
        if same { pid.parse().ok() } else { None }
    });
    let holder = holders.next()?;
    holders.all(|other| other == holder).then_some(holder)
}

/// Locks one byte for the open file description; false when another one has it.
/// Unlike classic record locks, these do not vanish when the process closes some
/// other descriptor of the file, and they conflict within one process too.
pub(super) fn lock_byte(file: &File, byte: u64) -> io::Result<bool> {
    let lock = byte_lock(libc::F_WRLCK, byte)?;
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives up the lock on one byte.
pub(super) fn unlock_byte(file: &File, byte: u64) -> io::Result<()> {
    let lock = byte_lock(libc::F_UNLCK, byte)?;
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

/// Whether another open file description than `file`'s has the byte locked.
pub(super) fn is_byte_locked(file: &File, byte: u64) -> io::Result<bool> {
    let mut lock = byte_lock(libc::F_WRLCK, byte)?;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn byte_lock(kind: i32, byte: u64) -> io::Result<libc::flock> {
    let out_of_range = |_| io::Error::from(ErrorKind::InvalidInput);
    Ok(libc::flock {
        l_type: i16::try_from(kind).map_err(out_of_range)?,
        l_whence: i16::try_from(libc::SEEK_SET).map_err(out_of_range)?,
        l_start: libc::off_t::try_from(byte).map_err(out_of_range)?,
        l_len: 1,
        // The kernel refuses any other value for this kind of lock.
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_holds_a_lock_is_named_however_often_it_is_told() {
        let told = |holders: &[(u32, u32)]| {
            let line = |(pid, inode): &(u32, u32)| {
                format!("7: FLOCK  ADVISORY  WRITE {pid} fe:01:{inode} 0 EOF\n")
            };
            only_holder(&holders.iter().map(line).collect::<String>(), "41")
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[(7, 40)]), None);
        assert_eq!(told(&[(7, 40), (8, 41), (9, 411), (8, 41)]), Some(8));
        assert_eq!(told(&[(8, 41), (9, 41)]), None);
    }

    #[test]
    fn only_files_that_nobody_else_could_write_pass() {
        for (owner, mode, me) in [(1000, 0o100_600, 1000), (0, 0o100_644, 1000), (0, 0o40_700, 0)] {
            assert_eq!(objection(owner, mode, me), None);
        }
        // Not even root takes what belongs to another user.
        for (owner, mode, me) in [
            (1001, 0o100_600, 1000),
            (1000, 0o100_600, 0),
            (1000, 0o100_620, 1000),
            (0, 0o40_702, 0),
        ] {
            assert!(objection(owner, mode, me).is_some());
        }
    }

    #[test]
    fn a_lock_that_is_not_given_up_is_waited_for_and_its_holder_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Queue::join(&path, Duration::ZERO).unwrap();
        let Err(Error::FunctionFailed(why)) = Queue::join(&path, Duration::from_millis(3)) else {
            panic!("two have it")
        };
        let me = std::process::id();
        let named = format!("{}: process {me} has kept it locked for 0 s and more", path.display());
        assert!(why.starts_with(&named), "{why}");
        // Another file of this name is another lock; the old one serves nobody.
        std::fs::remove_file(&path).unwrap();
        let other = Queue::try_join(&path).unwrap().unwrap();
        drop(held);
        assert!(Queue::try_join(&path).unwrap().is_none());
        drop(other);
        Queue::join(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn byte_locks_conflict_within_a_process_and_end_with_their_description() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks");
        let [one, two] = [(); 2].map(|()| open(&path, true).unwrap());
        assert!(lock_byte(&one, 7).unwrap());
        assert!(!lock_byte(&two, 7).unwrap());
        assert!(lock_byte(&two, 8).unwrap());
        assert!(is_byte_locked(&two, 7).unwrap());
        // Closing another descriptor of the file does not end the lock.
        drop(open(&path, true).unwrap());
        assert!(is_byte_locked(&two, 7).unwrap());
        unlock_byte(&one, 7).unwrap();
        assert!(!is_byte_locked(&two, 7).unwrap());
        drop(two);
        assert!(!is_byte_locked(&one, 8).unwrap());
    }
}
