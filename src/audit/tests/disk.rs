//! A disk for trails that fails, fills up, loses its power, or whose processes die, at one
//! of its calls; and that does not let go what no checkpoint covers.

use crate::audit::line::SegmentId;
use crate::audit::shelf::{CHECKPOINT, Managing, Sheet, Shelf};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What happens at one of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call does half of what it should, and the processes die.
    Kill,
    /// So many calls fail, the first of them half done.
    Fail(usize),
    /// What makes files longer fails from there on.
    Full,
}

/// What a power cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Everything: no power cut.
    All,
    /// Nothing.
    None,
    /// The first half.
    Half,
    /// The length, but zeros.
    Zeros,
    /// The end, and zeros before it.
    Holes,
}

#[derive(Default)]
struct File {
    content: Vec<u8>,
    /// So many bytes are durable.
    synced: usize,
    /// So is the name.
    named: bool,
    owned: bool,
}

#[derive(Default)]
struct State {
    files: BTreeMap<SegmentId, File>,
    checkpoint: Option<String>,
    /// Every checkpoint that there has been.
    history: Vec<String>,
    managed: bool,
    calls: usize,
    plan: Option<(usize, Fault)>,
    is_dead: bool,
    /// Processes of a start before this one have nothing any more.
    epoch: u32,
}

/// How a call is to end.
enum Turn {
    Whole,
    Half(Error),
    Not(Error),
}

impl State {
    fn turn(&mut self, extends: bool) -> Turn {
        let call = self.calls;
        self.calls += 1;
        let error = Error::FunctionFailed(format!("call {call}"));
        match self.plan {
            _ if self.is_dead => Turn::Not(error),
            Some((at, Fault::Kill)) if call == at => {
                self.is_dead = true;
                Turn::Half(error)
            }
            Some((at, Fault::Fail(many))) if call >= at && call < at + many => {
                if call == at {
                    Turn::Half(error)
                } else {
                    Turn::Not(error)
                }
            }
            Some((at, Fault::Full)) if call >= at && extends => Turn::Half(error),
            _ => Turn::Whole,
        }
    }

    /// A call that is done whole or not at all.
    fn whole(&mut self, extends: bool) -> Result<()> {
        match self.turn(extends) {
            Turn::Whole => Ok(()),
            Turn::Half(error) | Turn::Not(error) => Err(error),
        }
    }
}

#[derive(Default)]
pub struct Disk(Mutex<State>);

impl Disk {
    pub fn calls(&self) -> usize {
        self.0.lock().calls
    }

    pub fn plan(&self, at: usize, fault: Fault) {
        self.0.lock().plan = Some((at, fault));
    }

    /// Whether the processes have been killed.
    pub fn is_dead(&self) -> bool {
        self.0.lock().is_dead
    }

    /// Every checkpoint that was ever put.
    pub fn history(&self) -> Vec<String> {
        self.0.lock().history.clone()
    }

    /// Nothing fails any more; the processes are gone; of what was not synced this is left.
    pub fn restart(&self, left: Left) {
        let mut state = self.0.lock();
        (state.plan, state.is_dead, state.managed) = (None, false, false);
        state.epoch += 1;
        if left == Left::None {
            state.files.retain(|_, file| file.named);
        }
        for file in state.files.values_mut() {
            file.owned = false;
            let (synced, length) = (file.synced, file.content.len());
            let middle = synced.midpoint(length);
            match left {
                Left::All => {}
                Left::None => file.content.truncate(synced),
                Left::Half => file.content.truncate(middle),
                Left::Zeros => file.content[synced..].fill(0),
                Left::Holes => file.content[synced..middle].fill(0),
            }
            file.synced = file.content.len();
        }
    }
}

/// A segment that is open.
struct Opened {
    disk: Arc<Disk>,
    id: SegmentId,
    owned: bool,
    epoch: u32,
}

/// The disk, as one process has it.
#[derive(Clone)]
pub struct Seen(pub Arc<Disk>);

impl Seen {
    fn opened(&self, id: &SegmentId, owned: bool, epoch: u32) -> Arc<dyn Sheet> {
        Arc::new(Opened { disk: Arc::clone(&self.0), id: id.clone(), owned, epoch })
    }
}

struct Managed(Arc<Disk>, u32);

impl Managing for Managed {}

impl Drop for Managed {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        if state.epoch == self.1 {
            state.managed = false;
        }
    }
}

impl Shelf for Seen {
    fn segments(&self) -> Result<Vec<SegmentId>> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        Ok(state.files.keys().cloned().collect())
    }

    fn create(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        let mut state = self.0.0.lock();
        let turn = state.turn(true);
        if !matches!(turn, Turn::Not(_)) {
            state.files.insert(id.clone(), File::default());
        }
        match turn {
            Turn::Whole => {
                state.files.entry(id.clone()).or_default().owned = true;
                Ok(Some(self.opened(id, true, state.epoch)))
            }
            Turn::Half(error) | Turn::Not(error) => Err(error),
        }
    }

    fn claim(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        let epoch = state.epoch;
        let Some(file) = state.files.get_mut(id).filter(|file| !file.owned) else {
            return Ok(None);
        };
        file.owned = true;
        Ok(Some(self.opened(id, true, epoch)))
    }

    fn open(&self, id: &SegmentId) -> Result<Option<Arc<dyn Sheet>>> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        let is_there = state.files.contains_key(id);
        Ok(is_there.then(|| self.opened(id, false, state.epoch)))
    }

    fn remove(&self, id: &SegmentId) -> Result<()> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        if let Some(file) = state.files.get(id) {
            assert!(file.owned, "somebody may go on with {id} before it is removed");
            let text = String::from_utf8_lossy(&file.content);
            let is_whole = |line: &&str| line.starts_with('{') && line.ends_with("\"}\n");
            let records = text.split_inclusive('\n').take_while(is_whole);
            let expected = format!("{id} {} ", records.count());
            let is_covered = |note: &String| note.lines().any(|line| line.starts_with(&expected));
            assert!(state.history.iter().any(is_covered), "{expected} is removed uncovered");
        }
        state.files.remove(id);
        Ok(())
    }

    fn checkpoints(&self) -> Result<Vec<String>> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        Ok(state.checkpoint.iter().map(|_| CHECKPOINT.to_owned()).collect())
    }

    fn note(&self, _: &str) -> Result<String> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        Ok(state.checkpoint.clone().unwrap_or_default())
    }

    fn put_checkpoint(&self, note: &str, aside: Option<&str>) -> Result<()> {
        assert_eq!(aside, None);
        let mut state = self.0.0.lock();
        state.whole(true)?;
        state.checkpoint = Some(note.to_owned());
        state.history.push(note.to_owned());
        // It is there, and the process dies before it knows.
        state.whole(false)
    }

    fn settle(&self) -> Result<()> {
        self.0.0.lock().whole(false)
    }

    fn manage(&self, _: Duration) -> Result<Option<Box<dyn Managing>>> {
        let mut state = self.0.0.lock();
        state.whole(false)?;
        if std::mem::replace(&mut state.managed, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Managed(Arc::clone(&self.0), state.epoch))))
    }
}

impl Opened {
    /// Does something with the file, which the process has open even if it is gone.
    fn with<T>(&self, state: &mut State, work: impl FnOnce(&mut File) -> T) -> T {
        match state.files.get_mut(&self.id) {
            Some(file) => work(file),
            None => work(&mut File::default()),
        }
    }
}

impl Sheet for Opened {
    fn len(&self) -> Result<u64> {
        let mut state = self.disk.0.lock();
        state.whole(false)?;
        Ok(self.with(&mut state, |file| file.content.len() as u64))
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize> {
        // Not counted: what is read in pieces fails like what is read at once.
        let mut state = self.disk.0.lock();
        Ok(self.with(&mut state, |file| {
            let rest = file.content.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let length = rest.len().min(into.len());
            into[..length].copy_from_slice(&rest[..length]);
            length
        }))
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.disk.0.lock();
        let (done, result) = match state.turn(true) {
            Turn::Whole => (bytes.len(), Ok(())),
            Turn::Half(error) => (bytes.len() / 2, Err(error)),
            Turn::Not(error) => (0, Err(error)),
        };
        self.with(&mut state, |file| {
            let at = usize::try_from(at).unwrap();
            assert!(at == file.content.len() || done == 0, "what is there is not written over");
            file.content.extend_from_slice(&bytes[..done]);
        });
        result
    }

    fn cut(&self, at: u64) -> Result<()> {
        let mut state = self.disk.0.lock();
        state.whole(false)?;
        self.with(&mut state, |file| {
            file.content.truncate(usize::try_from(at).unwrap());
            file.synced = file.synced.min(file.content.len());
        });
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.disk.0.lock();
        state.whole(false)?;
        self.with(&mut state, |file| (file.synced, file.named) = (file.content.len(), true));
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if self.owned && state.epoch == self.epoch {
            self.with(&mut state, |file| file.owned = false);
        }
    }
}
