//! Verifying a trail: whether every segment is as it was written, as far as the lines
//! themselves, the segments that rely on each other and signed checkpoints tell.
//!
//! # What is found
//!
//! A line follows the one before by number and hash. So a line that was changed, removed,
//! added or moved is found by the lines behind it, and which one it was is told from which
//! of its neighbours agree. Nothing in a segment says that its *end* is missing: that is
//! known from a checkpoint, or from a segment that was begun later. Such a segment also knows
//! which checkpoint there was when it was begun.
//!
//! # Torn ends
//!
//! A kill in the middle of a write, or a power cut, leaves a last line without a newline, or
//! zeros where a page was not written. Nobody writes behind such an end, and nothing signed
//! covers it, as only what is durable is covered. So a damaged end is taken for torn if no checkpoint
//! and no other segment knows of a record from there on, and if it looks like that. Whoever makes
//! damage look so has cut off the end of a segment back to what is covered, which is as
//! much as removing it, and can be done without leaving anything behind.

use super::checkpoint::{Checkpoint, Mark, Verifier};
use super::line::{Beginning, Head, LineHash, SegmentId};
use super::read::{self, Archive, Ending, Lines, RawLines, Reference, follows};
use super::shelf::{CHECKPOINT, Sheet, read_note};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What verification has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Segments that were looked at.
    pub segments: u64,
    /// Records in them that are as they were written.
    pub records: u64,
    /// Checkpoints that were believed: where each came from, and its number and time.
    pub checkpoints: Vec<String>,
    /// Checkpoints beside the trail that were signed with another key.
    pub passed_over: Vec<String>,
    /// What is wrong: of each segment the first record.
    pub findings: Vec<Finding>,
    /// Ends of segments as a kill or a power cut leaves them.
    pub torn: Vec<Torn>,
    /// Records that no checkpoint covers: whether more of them were there cannot be told.
    pub uncovered: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: the segment's name, or the checkpoint's file.
    pub place: String,
    /// Which record, counted from 1, if it is one.
    pub record: Option<u64>,
    /// The event, as the record itself says, if it can be read: id and time.
    pub event: Option<(String, String)>,
    /// What is wrong.
    pub damage: Damage,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The record is not what was written.
    Altered,
    /// The record was not there.
    Inserted,
    /// Records up to this one are missing.
    Missing {
        /// The last of them, if it is known.
        until: u64,
        /// How that is known.
        known_by: Option<String>,
    },
    /// Another record stands in its place, and it elsewhere.
    Moved,
    /// The segment is not there.
    Removed {
        /// How it is known.
        known_by: String,
    },
    /// A checkpoint, or another segment, knows another record there: what lies between this and the
    /// last one that was known was written anew.
    Rewritten {
        /// Who knows.
        known_by: String,
    },
    /// A checkpoint is not to be believed.
    Checkpoint(&'static str),
    /// The checkpoint is older than one that was there.
    PutBack {
        /// The number of that.
        number: u64,
        /// Who knows of it.
        known_by: String,
    },
    /// The segment is another token's.
    Foreign {
        /// The serial number of that, as it says.
        token: String,
    },
    /// It cannot be read as what it should be.
    Unreadable {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("altered: it is not what was written"),
            Self::Inserted => f.write_str("inserted: it was not there"),
            Self::Missing { until, known_by } => {
                write!(f, "missing, up to record {until}")?;
                known_by.as_ref().map_or(Ok(()), |known_by| write!(f, ": {known_by} knows of it"))
            }
            Self::Moved => f.write_str("moved: another record stands in its place"),
            Self::Removed { known_by } => write!(f, "removed as a whole: {known_by} knows of it"),
            Self::Rewritten { known_by } => {
                write!(f, "rewritten: {known_by} knows another record here")
            }
            Self::Checkpoint(why) => write!(f, "not to be believed: {why}"),
            Self::PutBack { number, known_by } => {
                write!(f, "an older one was put back: {known_by} knows of number {number}")
            }
            Self::Foreign { token } => {
                write!(f, "of another token, with the serial number {token}")
            }
            Self::Unreadable { why } => write!(f, "not readable: {why}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        if let Some((id, time)) = &self.event {
            write!(f, " (event {id} of {time})")?;
        }
        write!(f, ": {}", self.damage)
    }
}

/// An end that was torn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub segment: SegmentId,
    /// The record that was being written.
    pub record: u64,
}

/// A checkpoint that is held against the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is called in findings.
    pub name: String,
    /// The signed note.
    pub note: String,
}

impl Held {
    /// The one in this file.
    ///
    /// # Errors
    /// [`Error::StoreIo`]: it could not be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { name: path.display().to_string(), note: read_note(path)? })
    }
}

/// What is known of one record from elsewhere.
struct Known {
    hash: LineHash,
    by: String,
}

/// What is known of the records of each segment, by their numbers.
type Knowledge = BTreeMap<SegmentId, BTreeMap<u64, Known>>;

impl Archive {
    /// Verifies the trail: by the checkpoints that lie beside it and those that are `held`
    /// elsewhere, as far as `verifier` has signed them. Without one by the lines alone.
    /// Reads everything twice at most; needs memory for what is known from elsewhere, not
    /// for the records.
    ///
    /// # Errors
    /// The trail could not be read.
    pub fn verify(&self, verifier: Option<&Verifier>, held: &[Held]) -> Result<Report> {
        let mut verification = Verification { verifier: verifier.cloned(), ..Default::default() };
        for name in self.0.checkpoints()? {
            match self.0.note(&name) {
                Ok(note) => verification.believe(&Held { name, note }, false),
                Err(error) => verification.unreadable(name, &error),
            }
        }
        for held in held {
            verification.believe(held, true);
        }
        let segments = self.0.segments()?;
        for id in &segments {
            match self.0.open(id) {
                Ok(Some(sheet)) => verification.segment(id, sheet)?,
                Ok(None) => {}
                Err(error) => verification.unreadable(id.to_string(), &error),
            }
        }
        for id in &segments {
            if let Ok(Some(sheet)) = self.0.open(id) {
                verification.relied_on(id, sheet)?;
            }
        }
        // Another process may have made a checkpoint meanwhile, and let segments go.
        let newest = match self.0.checkpoints()?.iter().any(|name| name == CHECKPOINT) {
            true => self.0.note(CHECKPOINT).ok(),
            false => None,
        };
        verification.newer(newest.as_deref());
        verification.put_back(newest.is_some());
        verification.absent();
        let Verification { mut report, wrong, .. } = verification;
        report.torn.retain(|torn| !wrong.contains(&torn.segment));
        Ok(report)
    }
}

#[derive(Default)]
struct Verification {
    verifier: Option<Verifier>,
    report: Report,
    /// The segments of which something is wrong.
    wrong: HashSet<SegmentId>,
    /// The number of the newest checkpoint beside the trail that was believed.
    newest: u64,
    /// The newest of which segments know, in records that are right, and which these are.
    noted: Option<(u64, String)>,
    /// What checkpoints say.
    signed: Knowledge,
    /// What segments say of others on which they rely, in records that are right.
    relied_on: Knowledge,
    /// Retention has removed what was begun before, as checkpoints say.
    kept_from: Option<SegmentId>,
    /// The same as records say that are right, and covered if any checkpoint was believed.
    recorded: Option<SegmentId>,
}

/// A line, and what it says of itself if it is one of ours.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    is_whole: bool,
    is_there: bool,
}

impl Line {
    fn read(&mut self, raw: &mut RawLines) -> Result<()> {
        let ending = raw.next(&mut self.bytes)?;
        self.is_there = ending != Ending::Nothing;
        self.is_whole = ending == Ending::Newline;
        Ok(())
    }

    fn beginning(&self, segment: &SegmentId) -> Option<Beginning<'_>> {
        let ours = |beginning: &Beginning<'_>| beginning.segment == segment.as_str();
        Beginning::read(&self.bytes).filter(|_| self.is_whole).filter(ours)
    }
}

/// The event of a record: id and time.
fn event(beginning: &Beginning<'_>) -> Option<(String, String)> {
    Some((beginning.event_id.to_owned(), beginning.event_time.to_owned()))
}

impl Verification {
    /// `is_held`: somebody vouches for it.
    fn believe(&mut self, held: &Held, is_held: bool) {
        let Some(verifier) = &self.verifier else {
            self.report.passed_over.push(held.name.clone());
            return;
        };
        let checkpoint = match Checkpoint::open(&held.note, verifier) {
            Ok(checkpoint) => checkpoint,
            Err(Checkpoint::OTHER_KEY) if !is_held => {
                self.report.passed_over.push(held.name.clone());
                return;
            }
            Err(why) => {
                let (place, damage) = (held.name.clone(), Damage::Checkpoint(why));
                self.report.findings.push(Finding { place, record: None, event: None, damage });
                return;
            }
        };
        let time = Timestamp(checkpoint.time.time());
        let by = format!("{} (number {} of {time})", held.name, checkpoint.number);
        for (segment, Head { records, hash, .. }) in checkpoint.heads {
            let known = Known { hash, by: by.clone() };
            self.signed.entry(segment).or_default().insert(records, known);
        }
        self.kept_from = self.kept_from.take().max(checkpoint.kept_from);
        if !is_held {
            self.newest = self.newest.max(checkpoint.number);
        }
        self.report.checkpoints.push(by);
    }

    fn unreadable(&mut self, place: String, error: &Error) {
        let damage = Damage::Unreadable { why: error.to_string() };
        self.wrong.extend(SegmentId::parse(&place));
        self.report.findings.push(Finding { place, record: None, event: None, damage });
    }

    /// What the checkpoint says that was put last.
    fn newer(&mut self, note: Option<&str>) {
        let checkpoint = self.verifier.as_ref().zip(note);
        let checkpoint = checkpoint.map(|(verifier, note)| Checkpoint::open(note, verifier));
        if let Some(Ok(Checkpoint { number, kept_from, .. })) = checkpoint {
            self.newest = self.newest.max(number);
            self.kept_from = self.kept_from.take().max(kept_from);
        }
    }

    /// Whether there was a later checkpoint than there is.
    fn put_back(&mut self, is_there: bool) {
        let is_known = self.report.findings.iter().any(|finding| finding.place == CHECKPOINT);
        let Some((number, known_by)) = self.noted.take() else { return };
        if number <= self.newest || is_known {
            return;
        }
        let damage = match is_there {
            true => Damage::PutBack { number, known_by },
            false => Damage::Removed { known_by },
        };
        let place = CHECKPOINT.to_owned();
        self.report.findings.push(Finding { place, record: None, event: None, damage });
    }

    /// Follows the lines of a segment.
    fn segment(&mut self, id: &SegmentId, sheet: Arc<dyn Sheet>) -> Result<()> {
        self.report.segments += 1;
        let known = &self.signed.remove(id).unwrap_or_default();
        let mut raw = RawLines::new(sheet, 0);
        let (mut head, mut last) = (Head::EMPTY, None);
        let covered = known.last_key_value().map_or(0, |(record, _)| *record);
        let (mut reference, mut removal, mut mark) = (None, None, None);
        let (mut line, mut next) = (Line::default(), Line::default());
        line.read(&mut raw)?;
        let finding = loop {
            next.read(&mut raw)?;
            if !line.is_there {
                break missing(head, known);
            }
            let beginning = line.beginning(id);
            match beginning.as_ref().filter(|beginning| follows(beginning, id, head)) {
                None => {
                    let place = Place { id, head, last, known };
                    match place.damaged(&line, &next, beginning.as_ref()) {
                        Some(found) => break Some(found),
                        None => {
                            self.report
                                .torn
                                .push(Torn { segment: id.clone(), record: head.records + 1 });
                            break missing(head, known);
                        }
                    }
                }
                Some(beginning) => {
                    head = head.with(&line.bytes);
                    last = event(beginning);
                    // What the record before relies on, which this one finds as it was.
                    self.rely(reference.take());
                    self.recorded = self.recorded.take().max(removal.take());
                    self.noted = self.noted.take().max(mark.take());
                    let origin = read::origin(beginning, &line.bytes);
                    if let Some(token) = self.foreign(origin) {
                        break Some((head.records, last, Damage::Foreign { token }));
                    }
                    mark = self
                        .mark(origin)
                        .map(|number| (number, format!("{id}, record {}", head.records)));
                    if head.records <= covered || self.report.checkpoints.is_empty() {
                        removal = read::kept_from(beginning, &line.bytes);
                    }
                    reference = Reference::of(beginning, &line.bytes)
                        .map(|reference| (reference, format!("{id}, record {}", head.records)));
                    if let Some(known) = known.get(&head.records)
                        && known.hash != head.hash
                    {
                        let known_by = known.by.clone();
                        break Some((head.records, last, Damage::Rewritten { known_by }));
                    }
                }
            }
            std::mem::swap(&mut line, &mut next);
        };
        if finding.is_none() {
            self.rely(reference);
            self.recorded = self.recorded.take().max(removal);
            self.noted = self.noted.take().max(mark);
        }
        self.report.records += head.records;
        self.report.uncovered += head.records.saturating_sub(covered);
        if let Some((record, event, damage)) = finding {
            self.wrong.insert(id.clone());
            let (place, record) = (id.to_string(), Some(record));
            self.report.findings.push(Finding { place, record, event, damage });
        }
        Ok(())
    }

    /// Which other token a writer says it writes for.
    fn foreign(&self, origin: Option<(&str, Option<Mark>)>) -> Option<String> {
        let serial = self.verifier.as_ref()?.serial();
        origin.map(|(token, _)| token).filter(|token| *token != serial).map(str::to_owned)
    }

    /// The number of the checkpoint of this key of which a writer knows.
    fn mark(&self, origin: Option<(&str, Option<Mark>)>) -> Option<u64> {
        let key = self.verifier.as_ref()?.id();
        origin?.1.filter(|mark| mark.key == key).map(|mark| mark.number)
    }

    fn rely(&mut self, reference: Option<(Reference, String)>) {
        let Some((Reference { segment, head: Head { records, hash, .. } }, by)) = reference else {
            return;
        };
        self.relied_on.entry(segment).or_default().entry(records).or_insert(Known { hash, by });
    }

    /// Compares a segment with what others rely on, if nothing is wrong with it so far.
    fn relied_on(&mut self, id: &SegmentId, sheet: Arc<dyn Sheet>) -> Result<()> {
        let Some(known) = self.relied_on.remove(id) else { return Ok(()) };
        if self.wrong.contains(id) {
            return Ok(());
        }
        let mut lines = Lines::of(sheet, id, Head::EMPTY);
        for (record, expected) in &known {
            let head = lines.up_to(*record)?;
            let damage = match missing(head, &known) {
                Some((_, _, damage)) if head.records < *record => damage,
                _ if head.hash == expected.hash => continue,
                _ => Damage::Rewritten { known_by: expected.by.clone() },
            };
            let record = Some((*record).min(head.records + 1));
            self.wrong.insert(id.clone());
            self.report.findings.push(Finding {
                place: id.to_string(),
                record,
                event: None,
                damage,
            });
            break;
        }
        Ok(())
    }

    /// What is known of segments that are not there.
    fn absent(&mut self) {
        let is_gone = |segment: &SegmentId, kept_from: &Option<SegmentId>| {
            kept_from.as_ref().is_some_and(|kept_from| segment < kept_from)
        };
        // What a checkpoint has covered only a checkpoint lets go, the others a record too.
        let recorded = self.recorded.take().max(self.kept_from.clone());
        let mut absent = std::mem::take(&mut self.relied_on);
        absent.retain(|segment, _| !is_gone(segment, &recorded));
        let mut signed = std::mem::take(&mut self.signed);
        signed.retain(|segment, _| !is_gone(segment, &self.kept_from));
        absent.append(&mut signed);
        // There, but not readable.
        absent.retain(|segment, _| !self.wrong.contains(segment));
        for (segment, records) in absent {
            let Some((_, known)) = records.into_iter().next_back() else { continue };
            let damage = Damage::Removed { known_by: known.by };
            let place = segment.to_string();
            self.report.findings.push(Finding { place, record: None, event: None, damage });
        }
    }
}

/// Whether more is known than there is.
fn missing(head: Head, known: &BTreeMap<u64, Known>) -> Option<Found> {
    let (until, known) = known.last_key_value().filter(|(record, _)| **record > head.records)?;
    let known_by = Some(known.by.clone());
    Some((head.records + 1, None, Damage::Missing { until: *until, known_by }))
}

/// A record's number, its event, and what is wrong with it.
type Found = (u64, Option<(String, String)>, Damage);

/// How far a segment is right.
struct Place<'a> {
    id: &'a SegmentId,
    head: Head,
    /// The event of the last record that is right.
    last: Option<(String, String)>,
    known: &'a BTreeMap<u64, Known>,
}

impl Place<'_> {
    /// What is wrong with a line that does not follow the one before. `None`: it was torn.
    fn damaged(self, line: &Line, next: &Line, beginning: Option<&Beginning<'_>>) -> Option<Found> {
        let expected = self.head.records + 1;
        let own = beginning.and_then(event);
        let following = next.beginning(self.id);
        // The next line is the one that should be here.
        let is_pushed = following.as_ref().is_some_and(|next| follows(next, self.id, self.head));
        let hash = LineHash::of(&line.bytes);
        // Whether what relies on this line, elsewhere or behind it, finds it as it was; where
        // nothing does, it is believed rather than the one before.
        let is_right = |sequence| match (self.known.get(&sequence), &following) {
            (Some(known), _) => known.hash == hash,
            (None, Some(next)) => next.sequence == sequence + 1 && next.previous == hash,
            (None, None) => !next.is_there,
        };
        let Some(beginning) = beginning else {
            let is_known = self.known.last_key_value().is_some_and(|(last, _)| *last >= expected);
            if read::looks_torn(&line.bytes, line.is_whole) && !is_known {
                return None;
            }
            let damage = if is_pushed { Damage::Inserted } else { Damage::Altered };
            return Some((expected, None, damage));
        };
        let sequence = beginning.sequence;
        let found = if is_pushed {
            let is_next = beginning.previous == LineHash::of(&next.bytes);
            (expected, own, if is_next { Damage::Moved } else { Damage::Inserted })
        } else if sequence == expected && expected > 1 && is_right(expected) {
            // This one is right, so the one before is not.
            (expected - 1, self.last, Damage::Altered)
        } else if sequence == expected || beginning.previous == self.head.hash {
            (expected, own, Damage::Altered)
        } else if sequence < expected {
            // A copy of an earlier one, in the place of the right one or beside it.
            (expected, own, Damage::Inserted)
        } else if following.is_some_and(|next| next.sequence <= sequence) {
            (expected, own, Damage::Moved)
        } else {
            let (until, known_by) = (sequence - 1, None);
            (expected, None, Damage::Missing { until, known_by })
        };
        Some(found)
    }
}
