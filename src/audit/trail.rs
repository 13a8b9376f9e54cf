//! Writing the trail of one token.
//!
//! Whoever writes has a segment that nobody else writes, held by a lock, so processes do not
//! wait for each other. A program that begins goes on with a segment of the same day that
//! nobody has any more, if that is whole; there are as many segments for a day as there were
//! writers at once, not one for each time that a command ran. Where the last line was torn, by a kill or
//! a power cut, it is left as it is and a new segment is begun.
//!
//! The first record of a segment, and that of a process that goes on with one, says who
//! writes, how far the newest other segment had come, and which checkpoint was there: removing
//! that segment whole is noticed, also where no checkpoint knows of it, and so is removing
//! the checkpoint.

use super::checkpoint::{Checkpoint, Mark, SigningKey, Verifier};
use super::event::{Event, Scope};
use super::line::{self, Head, LINE_MAX, Millis, Place, SegmentId};
use super::process::Process;
use super::read::{self, Lines, Tail};
use super::shelf::{CHECKPOINT, CHECKPOINT_MAX, Directory, Memory, Sheet, Shelf};
use super::{CONTINUE, END, REMOVE, Retention, START, Settings};
use crate::clock::Clock;
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::log::{Level, Log};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How many names are tried for a new segment.
const TRIES: usize = 16;
/// How many segments are tried before a new one is begun.
const CLAIMS: usize = 128;
/// How many segments are removed at a time.
const REMOVALS: usize = 256;
const DAY: u64 = 86_400_000;

/// What a trail needs from outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Random bytes, for names.
    pub entropy: Arc<dyn Entropy>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is said that the trail cannot be written.
    pub log: Arc<dyn Log>,
}

/// The id of an event, a UUID in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(String);

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record that has been written: how many this trail had then written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// What a checkpoint covers besides the segments that nobody writes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The own segment.
    Own,
    /// Every segment, those of other processes as they are now.
    All,
}

/// The trail of one token, as one process writes it.
pub struct Trail {
    shelf: Arc<dyn Shelf>,
    scope: Scope,
    process: Process,
    surroundings: Surroundings,
    settings: Settings,
    state: Mutex<State>,
    /// Signalled when a sync has ended.
    synced: Condvar,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// Where lines are put together.
    line: String,
    /// Records that were written, by this trail.
    written: u64,
    /// How many of them are durable.
    durable: u64,
    /// A thread is syncing.
    syncing: bool,
    /// Records after the first and up to the second may not be durable: a sync failed.
    failed: Vec<(u64, u64)>,
    /// The last record could not be written: the next one shows whether another can.
    is_stuck: bool,
    /// The log has been told that records are missing.
    told: bool,
    /// `written` when the last checkpoint was made.
    covered: u64,
}

impl State {
    /// Leaves the open segment as it is. What was not durable before may never be.
    fn abandon(&mut self) {
        self.open = None;
        match self.failed.last_mut().filter(|(first, _)| *first == self.durable) {
            Some((_, last)) => *last = self.written,
            None if self.durable < self.written => self.failed.push((self.durable, self.written)),
            None => {}
        }
    }

    /// Whether a record is one of those that may not be durable.
    fn has_failed(&self, position: Position) -> bool {
        self.failed.iter().any(|(first, last)| position.0 > *first && position.0 <= *last)
    }
}

/// The segment that is being written.
struct Open {
    id: SegmentId,
    sheet: Arc<dyn Sheet>,
    head: Head,
    day: u64,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Trail {
    /// The trail in a directory, which is made when the first record is written.
    #[must_use]
    pub fn in_directory(
        directory: PathBuf,
        scope: Scope,
        surroundings: Surroundings,
        settings: Settings,
    ) -> Self {
        Self::over(Arc::new(Directory(directory)), scope, surroundings, settings)
    }

    /// A trail in memory. Several may share one.
    #[must_use]
    pub fn in_memory(
        memory: Arc<Memory>,
        scope: Scope,
        surroundings: Surroundings,
        settings: Settings,
    ) -> Self {
        Self::over(memory, scope, surroundings, settings)
    }

    pub(super) fn over(
        shelf: Arc<dyn Shelf>,
        scope: Scope,
        surroundings: Surroundings,
        settings: Settings,
    ) -> Self {
        let process = Process::this();
        let (state, synced) = (Mutex::default(), Condvar::new());
        Self { shelf, scope, process, surroundings, settings, state, synced }
    }

    /// What the configuration says.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What there is to read.
    #[must_use]
    pub fn archive(&self) -> read::Archive {
        read::Archive::over(Arc::clone(&self.shelf))
    }

    /// Makes sure that a record can be written, if operations are to be refused otherwise:
    /// asked before they are done.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`].
    #[inline]
    pub fn require(&self) -> Result<()> {
        if self.settings.required { self.require_segment() } else { Ok(()) }
    }

    fn require_segment(&self) -> Result<()> {
        self.ready(&mut self.state.lock(), self.now()).map_err(|error| unavailable(&error))
    }

    /// Writes a record, so that it survives the death of this process.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`] where operations are to be refused when they cannot be
    /// recorded; otherwise the log is told, once, and the operation goes on.
    pub fn note(&self, event: &Event) -> Result<Option<EventId>> {
        self.excuse(self.append(event)).map(|written| written.map(|(id, _)| id))
    }

    /// Writes a record, so that it survives a power cut as well: those of several threads
    /// share one sync.
    ///
    /// # Errors
    /// As for [`Trail::note`].
    pub fn record(&self, event: &Event) -> Result<Option<EventId>> {
        let written = self.append(event);
        let durable = written.and_then(|(id, position)| self.commit(position).map(|()| id));
        self.excuse(durable)
    }

    /// Writes a record and tells where: it survives the death of this process, and a power
    /// cut after [`Trail::commit`].
    ///
    /// # Errors
    /// Why it could not be written. Nothing of it is left then.
    pub fn append(&self, event: &Event) -> Result<(EventId, Position)> {
        let id = EventId(self.event_id()?);
        let mut state = self.state.lock();
        // With the lock: the times in a segment follow each other as its records do.
        let now = self.now();
        self.ready(&mut state, now)?;
        self.put(&mut state, event, now, &id)?;
        Ok((id, Position(state.written)))
    }

    /// Waits until a record and all before it are durable: for one sync that is under way
    /// and one of its own at most.
    ///
    /// # Errors
    /// The disk could not write them.
    pub fn commit(&self, position: Position) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            if state.has_failed(position) {
                return Err(Error::FunctionFailed("a record could not be made durable".into()));
            }
            if position.0 <= state.durable {
                return Ok(());
            }
            if state.syncing {
                self.synced.wait(&mut state);
                continue;
            }
            // Written but in no segment: one whose end has failed.
            let Some(sheet) = state.open.as_ref().map(|open| Arc::clone(&open.sheet)) else {
                return Err(Error::FunctionFailed("a record could not be made durable".into()));
            };
            let reached = state.written;
            state.syncing = true;
            let done = MutexGuard::unlocked(&mut state, || sheet.sync());
            state.syncing = false;
            match &done {
                Ok(()) => state.durable = state.durable.max(reached),
                Err(_) => {
                    // What is in its pages now nobody knows.
                    state.abandon();
                }
            }
            self.synced.notify_all();
            done?;
        }
    }

    /// Whether records were written since the last checkpoint.
    #[must_use]
    pub fn is_uncovered(&self) -> bool {
        let state = self.state.lock();
        state.written > state.covered
    }

    /// Ends the segment that this process writes, if it writes one.
    ///
    /// # Errors
    /// It could not be written.
    pub fn close(&self) -> Result<()> {
        self.end(&mut self.state.lock(), self.now())
    }

    fn now(&self) -> Millis {
        Millis::of(self.surroundings.clock.now())
    }

    fn event_id(&self) -> Result<String> {
        let random = entropy::array(&*self.surroundings.entropy)?;
        Ok(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
    }

    /// What becomes of an operation whose record could not be written.
    fn excuse<T>(&self, written: Result<T>) -> Result<Option<T>> {
        let error = match written {
            Ok(written) => return Ok(Some(written)),
            Err(error) => error,
        };
        if self.settings.required {
            return Err(unavailable(&error));
        }
        if !std::mem::replace(&mut self.state.lock().told, true) {
            let text = format_args!(
                "the audit trail of token {} cannot be written; operations go on unrecorded \
                 (audit.required = true would refuse them): {error}",
                self.scope.serial
            );
            self.surroundings.log.record(Level::Error, text);
        }
        Ok(None)
    }

    /// Sees to it that a segment is open that this record may still go to.
    fn ready(&self, state: &mut State, now: Millis) -> Result<()> {
        let is_done =
            |open: &Open| open.head.bytes >= self.settings.segment_size || open.day != now.0 / DAY;
        // What cannot be written shows when it is tried.
        if state.is_stuck && state.open.is_some() || state.open.as_ref().is_some_and(is_done) {
            self.end(state, now)?;
        }
        if state.open.is_some() { Ok(()) } else { self.begin(state, now) }
    }

    fn begin(&self, state: &mut State, now: Millis) -> Result<()> {
        let segments = self.shelf.segments()?;
        // Where the clock has gone back, behind the oldest: retention has let go what sorts
        // before that.
        let oldest = segments.first().and_then(SegmentId::begun);
        let named = now.max(oldest.map_or(Millis(0), |oldest| Millis(oldest.0 + 1)));
        let day = now.0 / DAY;
        let (open, action, is_interrupted) = match self.take_over(&segments, named, day) {
            Some((open, is_interrupted)) => (open, CONTINUE, is_interrupted),
            None => (self.start(named, day)?, START, false),
        };
        let follows = segments.iter().rev().find(|id| **id != open.id);
        let follows = follows.and_then(|id| {
            let sheet = self.shelf.open(id).ok()??;
            let head = self.end_of(&sheet, id).ok()??.head;
            // A power cut must not take away what is relied on, not even an end that was
            // written this moment.
            sheet.sync().ok()?;
            (head.records > 0).then(|| read::Reference { segment: id.clone(), head }.to_string())
        });
        let mut event = Event::of_service(action)
            .noting("token", &*self.scope.serial)
            .noting("pid", u64::from(self.process.pid))
            .noting("program", &*self.process.program)
            .noting("uid", u64::from(self.process.uid));
        if is_interrupted {
            event = event.noting("interrupted", true);
        }
        if let Some(follows) = follows {
            event = event.noting("follows", &*follows);
        }
        if let Some(checkpoint) = self.newest_checkpoint() {
            event = event.noting("checkpoint", &*checkpoint.to_string());
        }
        state.open = Some(open);
        let id = EventId(self.event_id()?);
        self.put(state, &event, now, &id).inspect_err(|_| state.open = None)
    }

    /// A segment of today that nobody writes any more, and whether its writer did not end
    /// it. What keeps it from being taken is a reason to begin another.
    fn take_over(&self, segments: &[SegmentId], now: Millis, day: u64) -> Option<(Open, bool)> {
        let today = SegmentId::new(now, [0; 8]);
        let of_today = segments.iter().rev().filter(|id| id.day() == today.day());
        of_today.take(CLAIMS).find_map(|id| {
            let sheet = self.shelf.claim(id).ok()??;
            let tail = self.end_of(&sheet, id).ok()??;
            let is_sound = tail.is_ended || self.process.boot.is_still(tail.boot);
            let has_room = tail.head.bytes < self.settings.segment_size;
            let is_whole = tail.is_whole && is_sound && has_room;
            let open = Open { id: id.clone(), sheet, head: tail.head, day };
            is_whole.then_some((open, !tail.is_ended))
        })
    }

    /// The end of a segment, as far as its lines follow each other. They do during the start
    /// of the machine in which it was written; a power cut may leave holes before the last line.
    fn end_of(&self, sheet: &Arc<dyn Sheet>, id: &SegmentId) -> Result<Option<Tail>> {
        let Some(tail) = read::tail(&**sheet, id)? else { return Ok(None) };
        if self.process.boot.is_still(tail.boot) {
            return Ok(Some(tail));
        }
        let head = Lines::of(Arc::clone(sheet), id, Head::EMPTY).up_to(u64::MAX)?;
        let is_whole = tail.is_whole && head == tail.head;
        Ok(Some(Tail { head, is_whole, ..tail }))
    }

    fn start(&self, now: Millis, day: u64) -> Result<Open> {
        for _ in 0..TRIES {
            let id = SegmentId::new(now, entropy::array(&*self.surroundings.entropy)?);
            if let Some(sheet) = self.shelf.create(&id)? {
                return Ok(Open { id, sheet, head: Head::EMPTY, day });
            }
        }
        Err(Error::FunctionFailed("no name for a new segment of the audit trail is free".into()))
    }

    /// Ends the open segment: the last record, durable.
    fn end(&self, state: &mut State, now: Millis) -> Result<()> {
        if state.open.is_none() {
            return Ok(());
        }
        let id = EventId(self.event_id()?);
        self.put(state, &Event::of_service(END), now, &id)?;
        let Some(open) = state.open.take() else { return Ok(()) };
        let reached = state.written;
        let synced = open.sheet.sync();
        match &synced {
            Ok(()) => state.durable = state.durable.max(reached),
            Err(_) => state.abandon(),
        }
        synced
    }

    /// Writes one record behind the others of the open segment.
    fn put(&self, state: &mut State, event: &Event, now: Millis, id: &EventId) -> Result<()> {
        let State { open: Some(open), line, is_stuck, .. } = &mut *state else {
            return Err(Error::FunctionFailed("no segment is open".into()));
        };
        line.clear();
        let place = Place { segment: &open.id, after: open.head, boot: self.process.boot, now };
        line::write(line, event, &place, &self.scope, &self.process.program, &id.0);
        if line.len() > LINE_MAX {
            return Err(Error::FunctionFailed("a record of the audit trail is too long".into()));
        }
        let head = open.head.with(line.as_bytes());
        line.push('\n');
        *is_stuck = true;
        if let Err(error) = open.sheet.write_at(open.head.bytes, line.as_bytes()) {
            if open.sheet.cut(open.head.bytes).is_err() {
                // A torn line stays at its end, and nobody writes behind it.
                state.abandon();
            }
            return Err(error);
        }
        open.head = head;
        *is_stuck = false;
        state.written += 1;
        Ok(())
    }
}

fn unavailable(error: &Error) -> Error {
    match error {
        Error::AuditUnavailable(_) => error.clone(),
        other => Error::AuditUnavailable(other.to_string()),
    }
}

// ---- Checkpoints and retention ----

impl Trail {
    /// Signs how far the segments have come, and removes those that retention lets go. The
    /// signed note; `None` when another process does so at the moment, and goes on doing so
    /// for longer than `patience`.
    ///
    /// A segment that has become shorter, or different, since the checkpoint before stays
    /// in the new one as it was in the old: a checkpoint never covers up what was done to
    /// the trail.
    ///
    /// # Errors
    /// The trail could not be read or written.
    pub fn checkpoint(
        &self,
        key: &SigningKey,
        cover: Cover,
        patience: Duration,
    ) -> Result<Option<String>> {
        let Some(_managing) = self.shelf.manage(patience)? else { return Ok(None) };
        let present = self.present_checkpoint(&key.verifier(&self.scope.serial))?;
        let (mut checkpoint, aside) = match present {
            Present::Signed(checkpoint) => (checkpoint, None),
            Present::Foreign => (self.first_checkpoint(), Some(format!("{:016}", self.now().0))),
            Present::None => (self.first_checkpoint(), None),
        };
        let sizes = self.sizes()?;
        let leaving = self.leaving(&checkpoint, &sizes)?;
        if let Some((kept_from, count)) = leaving.kept_from {
            // First of all, so that the record is covered too.
            let last = leaving.segments.last().map_or("-", |(id, _)| id.as_str());
            let event = Event::of_service(REMOVE)
                .noting("keptFrom", kept_from.as_str())
                .noting("segments", count)
                .noting("last", last);
            self.append(&event)?;
            checkpoint.kept_from = Some(kept_from);
        }
        // One whose file stays, as this is killed, is covered again, and goes later.
        let leaves = |id: &SegmentId| leaving.segments.iter().any(|(leaving, _)| leaving == id);
        let is_there = |id: &SegmentId| sizes.binary_search_by(|(there, _)| there.cmp(id)).is_ok();
        let kept_from = checkpoint.kept_from.as_ref();
        let is_kept = |id: &SegmentId| kept_from.is_none_or(|from| id >= from) || is_there(id);
        checkpoint.heads.retain(|id, _| is_kept(id) && !leaves(id));
        let (own, written) = self.own_head()?;
        for (id, size) in &sizes {
            let known = checkpoint.heads.get(id).copied().unwrap_or(Head::EMPTY);
            let is_own = own.as_ref().is_some_and(|(own, _)| own == id);
            if !is_own && *size > known.bytes && !leaves(id) {
                let head = self.extended(id, known, cover)?;
                if head.records > 0 {
                    checkpoint.heads.insert(id.clone(), head);
                }
            }
        }
        // Unless it contradicts what was signed before: that is for verification to find.
        if let Some((id, head)) = own {
            let known = checkpoint.heads.get(&id).copied().unwrap_or(Head::EMPTY);
            let sheet = self.shelf.open(&id)?;
            let reached = sheet.map(|sheet| Lines::of(sheet, &id, known).up_to(head.records));
            checkpoint.heads.insert(id, reached.transpose()?.unwrap_or(known));
        }
        checkpoint.number += 1;
        checkpoint.time = self.now();
        let note = checkpoint.sign(key);
        if note.len() as u64 > CHECKPOINT_MAX {
            // Nobody could read it. The one that there is stays.
            let why = "the audit trail has more segments than a checkpoint can name";
            return Err(Error::FunctionFailed(why.into()));
        }
        self.shelf.put_checkpoint(&note, aside.as_deref())?;
        {
            let mut state = self.state.lock();
            state.covered = state.covered.max(written);
        }
        for (id, _) in &leaving.segments {
            // What stays is removed with the next checkpoint.
            let _ = self.shelf.remove(id);
        }
        Ok(Some(note))
    }

    fn first_checkpoint(&self) -> Checkpoint {
        let serial = self.scope.serial.clone();
        Checkpoint { serial, number: 0, time: Millis(0), kept_from: None, heads: BTreeMap::new() }
    }

    fn present_checkpoint(&self, verifier: &Verifier) -> Result<Present> {
        let Some(note) = self.present_note()? else { return Ok(Present::None) };
        Ok(Checkpoint::open(&note, verifier).map_or(Present::Foreign, Present::Signed))
    }

    fn present_note(&self) -> Result<Option<String>> {
        let is_there = self.shelf.checkpoints()?.iter().any(|name| name == CHECKPOINT);
        is_there.then(|| self.shelf.note(CHECKPOINT)).transpose()
    }

    /// Which checkpoint there is, durably.
    fn newest_checkpoint(&self) -> Option<Mark> {
        let mark = Checkpoint::mark(&self.present_note().ok()??)?;
        self.shelf.settle().ok().map(|()| mark)
    }

    fn sizes(&self) -> Result<Vec<(SegmentId, u64)>> {
        let mut sizes = Vec::new();
        for id in self.shelf.segments()? {
            if let Some(sheet) = self.shelf.open(&id)? {
                let size = sheet.len()?;
                sizes.push((id, size));
            }
        }
        Ok(sizes)
    }

    /// How far the own segment has come, durably; and how many records this trail has written.
    fn own_head(&self) -> Result<(Option<(SegmentId, Head)>, u64)> {
        let (own, written) = {
            let state = self.state.lock();
            (state.open.as_ref().map(|open| (open.id.clone(), open.head)), state.written)
        };
        self.commit(Position(written))?;
        Ok((own, written))
    }

    /// How far another segment has come, durably, as far as its lines follow each other.
    fn extended(&self, id: &SegmentId, known: Head, cover: Cover) -> Result<Head> {
        let sheet = match (self.shelf.claim(id)?, cover) {
            (Some(unowned), _) => unowned,
            (None, Cover::Own) => return Ok(known),
            (None, Cover::All) => match self.shelf.open(id)? {
                Some(sheet) => sheet,
                None => return Ok(known),
            },
        };
        sheet.sync()?;
        Lines::of(sheet, id, known).up_to(u64::MAX)
    }

    /// What retention lets go: the oldest segments, which the checkpoint covers whole and
    /// nobody writes any more, nor will before they are gone.
    fn leaving(&self, checkpoint: &Checkpoint, sizes: &[(SegmentId, u64)]) -> Result<Leaving> {
        let mut leaving = Leaving { kept_from: None, segments: Vec::new() };
        let kept_from = checkpoint.kept_from.as_ref();
        let is_gone = |id: &SegmentId| kept_from.is_some_and(|kept_from| id < kept_from);
        let (left, present) = sizes.split_at(sizes.partition_point(|(id, _)| is_gone(id)));
        // Left behind by one that was killed.
        for (id, _) in left.iter().take(REMOVALS) {
            leaving.segments.extend(self.covered(checkpoint, id)?);
        }
        let before = leaving.segments.len();
        let oldest = match self.settings.retention {
            Some(Retention::Days(days)) => {
                let age = u64::from(days).saturating_mul(DAY);
                Some(SegmentId::new(Millis(self.now().0.saturating_sub(age)), [0; 8]))
            }
            _ => None,
        };
        let most = match self.settings.retention {
            Some(Retention::Bytes(most)) => most,
            _ => u64::MAX,
        };
        let mut total: u64 = present.iter().map(|(_, size)| size).sum();
        for ((id, size), (next, _)) in present.iter().zip(present.iter().skip(1)).take(REMOVALS) {
            if oldest.as_ref().is_none_or(|oldest| id >= oldest) && total <= most {
                break;
            }
            let Some(covered) = self.covered(checkpoint, id)? else { break };
            total = total.saturating_sub(*size);
            leaving.segments.push(covered);
            let count = (leaving.segments.len() - before) as u64;
            leaving.kept_from = Some((next.clone(), count));
        }
        Ok(leaving)
    }

    /// A segment that the checkpoint covers up to its end, torn or not, and that nobody
    /// writes as long as it is held.
    fn covered(&self, checkpoint: &Checkpoint, id: &SegmentId) -> Result<Option<Covered>> {
        let Some(head) = checkpoint.heads.get(id) else { return Ok(None) };
        // One that cannot be opened stays, and all that were begun later.
        let Ok(Some(sheet)) = self.shelf.claim(id) else { return Ok(None) };
        let is_covered = read::ends_at(Arc::clone(&sheet), head.bytes)?;
        Ok(is_covered.then(|| (id.clone(), sheet)))
    }
}

#[cfg(test)]
impl Trail {
    /// Ends as a process does that is killed.
    pub(super) fn abandon(&self) {
        self.state.lock().abandon();
    }

    /// As if the machine had been started at another time.
    pub(super) fn of_boot(mut self, boot: super::Boot) -> Self {
        self.process.boot = boot;
        self
    }
}

/// The checkpoint that is there.
enum Present {
    None,
    Signed(Checkpoint),
    /// Signed with another key, or damaged.
    Foreign,
}

/// What goes, and from which segment on the others stay.
struct Leaving {
    kept_from: Option<(SegmentId, u64)>,
    segments: Vec<Covered>,
}

/// A segment, held.
type Covered = (SegmentId, Arc<dyn Sheet>);

impl Drop for Trail {
    fn drop(&mut self) {
        // What keeps it from being ended keeps nobody from going on with another.
        let _ = self.close();
    }
}
