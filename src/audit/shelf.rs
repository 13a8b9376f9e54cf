//! Where the segments and checkpoints of a trail are kept: a directory, or memory.

use super::line::SegmentId;
use crate::error::{Error, Result};
use crate::store::files::{self, FileId, Queue};
use nix::libc;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The segments and checkpoints of one trail.
pub(super) trait Shelf: Send + Sync {
    /// The segments that are there, in the order of their names. None where there is no
    /// trail yet.
    fn segments(&self) -> Result<Vec<SegmentId>>;

    /// A new segment, which is this process's; `None` when somebody looks at it this moment.
    fn create(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>>;

    /// A segment that is there, to go on with it; `None` when it is another process's.
    fn claim(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>>;

    /// A segment that is there, to be read and, whoever writes it, synced.
    fn open(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>>;

    /// Removes a segment.
    fn remove(&self, id: &SegmentId) -> Result<()>;

    /// The names of the checkpoint, if there is one, and of those that were set aside.
    fn checkpoints(&self) -> Result<Vec<String>>;

    /// The checkpoint of this name.
    fn note(&self, name: &str) -> Result<String>;

    /// Puts a checkpoint in the place of the one before, durably. With a name, the one
    /// before is set aside under it.
    fn put_checkpoint(&self, note: &str, aside: Option<&str>) -> Result<()>;

    /// Makes the names of what is there durable.
    fn settle(&self) -> Result<()>;

    /// The right to put a checkpoint and to remove segments; `None` when another process
    /// has it for longer than `patience`.
    fn manage(&self, patience: Duration) -> Result<Option<Box<dyn Managing>>>;
}

/// Held by whoever manages a trail.
pub(super) trait Managing {}

/// The content of one segment.
pub(super) trait Sheet: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> Result<u64>;

    /// Reads from `at` on; how many bytes, 0 at the end.
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize>;

    /// Writes at `at`, which is the end.
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()>;

    /// Takes back what a failed write may have left behind `at`.
    fn cut(&self, at: u64) -> Result<()>;

    /// Makes durable what has been written, and the segment's name.
    fn sync(&self) -> Result<()>;
}

/// Reads a sheet from a place on.
pub(super) struct From {
    pub sheet: Arc<dyn Sheet>,
    pub at: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.sheet.read_at(self.at, into).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}

// ---- A directory ----

const ENDING: &str = ".jsonl";
/// The newest checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
const NEW_CHECKPOINT: &str = "checkpoint.new";
const ASIDE: &str = "checkpoint-";
const LOCK: &str = "lock";

/// The largest checkpoint that is read, in bytes: some 100,000 segments.
pub(super) const CHECKPOINT_MAX: u64 = 16 << 20;

/// What a segment is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Begin,
    GoOn,
    Read,
}

/// A trail in a directory of its own.
pub(super) struct Directory(pub PathBuf);

impl Directory {
    fn path(&self, id: &SegmentId) -> PathBuf {
        self.0.join(format!("{id}{ENDING}"))
    }

    /// Makes the directory, durably; refuses one that somebody else could write.
    fn make(&self) -> Result<()> {
        match DirBuilder::new().mode(files::DIRECTORY_MODE).create(&self.0) {
            Ok(()) => self.0.parent().map_or(Ok(()), files::sync_directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.check().map(|_| ()),
            Err(error) => Err(Error::io(&self.0, "make the directory", &error)),
        }
    }

    /// Whether there is a directory; refused as by [`Directory::make`].
    fn check(&self) -> Result<bool> {
        match self.0.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            _ => files::check_directory(&self.0).map(|()| true),
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        if !self.check()? {
            return Ok(Vec::new());
        }
        let list = |error| Error::io(&self.0, "list", &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(list)? {
            names.extend(entry.map_err(list)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A segment, for `purpose`; `None` if it is not there.
    fn sheet(&self, id: &SegmentId, purpose: Purpose) -> Result<Option<Paper>> {
        let path = self.path(id);
        let opened = match purpose {
            Purpose::Begin => files::open(&path, true),
            Purpose::Read => files::open(&path, false),
            Purpose::GoOn => OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path),
        };
        match opened {
            Ok(file) => {
                let named = AtomicBool::new(purpose == Purpose::Read);
                Ok(Some(Paper { file, path, named, locked: false }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, "open", &error)),
        }
    }

    fn owned(&self, id: &SegmentId, purpose: Purpose) -> Result<Option<Arc<dyn Sheet>>> {
        let Some(mut sheet) = self.sheet(id, purpose)? else { return Ok(None) };
        match sheet.file.try_lock() {
            Ok(()) => sheet.locked = true,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io(&sheet.path, "lock", &error)),
        }
        // Removed, or replaced, since it was opened?
        let (held, there) = (sheet.file.metadata(), sheet.path.symlink_metadata());
        let same = held.ok().zip(there.ok());
        let same = same.is_some_and(|(held, there)| FileId::of(&held) == FileId::of(&there));
        Ok(if same { Some(Arc::new(sheet)) } else { None })
    }
}

impl Shelf for Directory {
    fn segments(&self) -> Result<Vec<SegmentId>> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| SegmentId::parse(name.strip_suffix(ENDING)?)).collect())
    }

    fn create(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        self.make()?;
        self.owned(id, Purpose::Begin)
    }

    fn claim(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        if !self.check()? || !files::check_file(&self.path(id))? {
            return Ok(None);
        }
        self.owned(id, Purpose::GoOn)
    }

    fn open(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        if !self.check()? || !files::check_file(&self.path(id))? {
            return Ok(None);
        }
        Ok(self.sheet(id, Purpose::Read)?.map(|sheet| Arc::new(sheet) as Arc<dyn Sheet>))
    }

    fn remove(&self, id: &SegmentId) -> Result<()> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(&path, "remove", &error))
            }
            _ => Ok(()),
        }
    }

    fn checkpoints(&self) -> Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name == CHECKPOINT || name.starts_with(ASIDE));
        Ok(names)
    }

    fn note(&self, name: &str) -> Result<String> {
        let path = self.0.join(name);
        files::check_file(&path)?;
        let file = files::open(&path, false).map_err(|error| Error::io(&path, "open", &error))?;
        note_in(&path, file)
    }

    fn put_checkpoint(&self, note: &str, aside: Option<&str>) -> Result<()> {
        self.make()?;
        let (path, new) = (self.0.join(CHECKPOINT), self.0.join(NEW_CHECKPOINT));
        files::check_file(&new)?;
        let io = |error| Error::io(&new, "write", &error);
        let file = files::open(&new, true).map_err(io)?;
        // One that was left behind may be longer.
        file.set_len(0)
            .and_then(|()| file.write_all_at(note.as_bytes(), 0))
            .and_then(|()| file.sync_data())
            .map_err(io)?;
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|error| Error::io(from, "rename", &error))
        };
        if let Some(aside) = aside {
            rename(&path, &self.0.join(format!("{ASIDE}{aside}")))?;
        }
        rename(&new, &path)?;
        files::sync_directory(&self.0)
    }

    fn settle(&self) -> Result<()> {
        files::sync_directory(&self.0)
    }

    fn manage(&self, patience: Duration) -> Result<Option<Box<dyn Managing>>> {
        self.make()?;
        let path = self.0.join(LOCK);
        let queue = if patience.is_zero() {
            Queue::try_join(&path)?
        } else {
            Some(Queue::join(&path, patience)?)
        };
        Ok(queue.map(|queue| Box::new(queue) as Box<dyn Managing>))
    }
}

impl Managing for Queue {}

/// The text of a file that may be a checkpoint, and may be a pipe.
pub(super) fn read_note(path: &Path) -> Result<String> {
    note_in(path, File::open(path).map_err(|error| Error::io(path, "open", &error))?)
}

fn note_in(path: &Path, file: File) -> Result<String> {
    let mut text = Vec::new();
    let read = file.take(CHECKPOINT_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| Error::io(path, "read", &error))?;
    if text.len() as u64 > CHECKPOINT_MAX {
        return Err(Error::StoreDamaged {
            path: path.to_owned(),
            reason: "it is too large for a checkpoint".into(),
        });
    }
    // What is no text is no checkpoint, and its signature will not be one.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A segment in a file.
struct Paper {
    file: File,
    path: PathBuf,
    /// Its name has been made durable.
    named: AtomicBool,
    locked: bool,
}

impl Paper {
    fn io(&self, tried: &str, error: &io::Error) -> Error {
        Error::io(&self.path, tried, error)
    }
}

impl Sheet for Paper {
    fn len(&self) -> Result<u64> {
        let found = self.file.metadata().map_err(|error| self.io("look at", &error))?;
        Ok(found.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize> {
        self.file.read_at(into, at).map_err(|error| self.io("read", &error))
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|error| self.io("write", &error))
    }

    fn cut(&self, at: u64) -> Result<()> {
        self.file.set_len(at).map_err(|error| self.io("cut", &error))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.io("sync", &error))?;
        if !self.named.load(Ordering::Acquire) {
            self.path.parent().map_or(Ok(()), files::sync_directory)?;
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl Drop for Paper {
    fn drop(&mut self) {
        if self.locked {
            // For the sake of a child forked since, which has a copy of the descriptor.
            let _ = self.file.unlock();
        }
    }
}

// ---- Memory ----

/// A trail without files, for stores without files.
#[derive(Default)]
pub struct Memory {
    segments: Mutex<BTreeMap<SegmentId, Arc<Leaf>>>,
    checkpoints: Mutex<BTreeMap<String, String>>,
}

#[derive(Default)]
struct Leaf {
    content: Mutex<Vec<u8>>,
    taken: AtomicBool,
}

/// A segment in memory; `owned` by a writer.
struct Hold {
    leaf: Arc<Leaf>,
    owned: bool,
}

impl Memory {
    fn own(leaf: &Arc<Leaf>) -> Option<Arc<dyn Sheet>> {
        let free = !leaf.taken.swap(true, Ordering::AcqRel);
        free.then(|| Arc::new(Hold { leaf: Arc::clone(leaf), owned: true }) as Arc<dyn Sheet>)
    }
}

impl Shelf for Memory {
    fn segments(&self) -> Result<Vec<SegmentId>> {
        Ok(self.segments.lock().keys().cloned().collect())
    }

    fn create(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        Ok(Self::own(self.segments.lock().entry(id.clone()).or_default()))
    }

    fn claim(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        Ok(self.segments.lock().get(id).and_then(Self::own))
    }

    fn open(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        let leaf = self.segments.lock().get(id).cloned();
        Ok(leaf.map(|leaf| Arc::new(Hold { leaf, owned: false }) as Arc<dyn Sheet>))
    }

    fn remove(&self, id: &SegmentId) -> Result<()> {
        self.segments.lock().remove(id);
        Ok(())
    }

    fn checkpoints(&self) -> Result<Vec<String>> {
        Ok(self.checkpoints.lock().keys().cloned().collect())
    }

    fn note(&self, name: &str) -> Result<String> {
        Ok(self.checkpoints.lock().get(name).cloned().unwrap_or_default())
    }

    fn put_checkpoint(&self, note: &str, aside: Option<&str>) -> Result<()> {
        let mut notes = self.checkpoints.lock();
        let present = notes.insert(CHECKPOINT.into(), note.into());
        if let (Some(aside), Some(present)) = (aside, present) {
            notes.insert(format!("{ASIDE}{aside}"), present);
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn manage(&self, _: Duration) -> Result<Option<Box<dyn Managing>>> {
        Ok(Some(Box::new(())))
    }
}

impl Managing for () {}

impl Sheet for Hold {
    fn len(&self) -> Result<u64> {
        Ok(self.leaf.content.lock().len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize> {
        let content = self.leaf.content.lock();
        let rest = usize::try_from(at).ok().and_then(|at| content.get(at..)).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.cut(at)?;
        self.leaf.content.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&self, at: u64) -> Result<()> {
        self.leaf.content.lock().truncate(usize::try_from(at).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.owned {
            self.leaf.taken.store(false, Ordering::Release);
        }
    }
}
