//! Reading a trail: line by line, all segments in the order of time, as it grows.

use super::checkpoint::Mark;
use super::line::{Beginning, Boot, Head, LINE_MAX, LineHash, Millis, SegmentId};
use super::shelf::{Directory, From, Sheet, Shelf};
use super::{CONTINUE, END, REMOVE, START};
use crate::error::{Error, Result};
use crate::log::steers;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// The name of an event as a line has it.
pub(super) fn name(action: &str) -> &str {
    action.split_once(':').map_or(action, |(_, name)| name)
}

/// A record of one segment that another one relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub segment: SegmentId,
    pub head: Head,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { records, bytes, hash } = self.head;
        write!(f, "{} {records} {bytes} {hash}", self.segment)
    }
}

impl FromStr for Reference {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut next = || words.next().ok_or(());
        let segment = SegmentId::parse(next()?).ok_or(())?;
        let number = |word: &str| word.parse().map_err(|_| ());
        let (records, bytes) = (number(next()?)?, number(next()?)?);
        let hash: LineHash = next()?.parse()?;
        if words.next().is_some() {
            return Err(());
        }
        Ok(Self { segment, head: Head { records, bytes, hash } })
    }
}

impl Reference {
    /// What the first record of a writer relies on.
    pub fn of(beginning: &Beginning<'_>, line: &[u8]) -> Option<Self> {
        if ![START, CONTINUE].map(name).contains(&beginning.event_name) {
            return None;
        }
        noted(line, ",\"follows\":\"")?.parse().ok()
    }
}

/// What the first record of a writer says of the token, and of the checkpoint that was there.
pub(super) fn origin<'l>(
    beginning: &Beginning<'_>,
    line: &'l [u8],
) -> Option<(&'l str, Option<Mark>)> {
    let is_origin = [START, CONTINUE].map(name).contains(&beginning.event_name);
    let token = noted(line, "\"token\":\"").filter(|_| is_origin)?;
    Some((token, noted(line, ",\"checkpoint\":\"").and_then(|mark| mark.parse().ok())))
}

/// What retention has left, if this record says so.
pub(super) fn kept_from(beginning: &Beginning<'_>, line: &[u8]) -> Option<SegmentId> {
    let is_removal = beginning.event_name == name(REMOVE);
    SegmentId::parse(noted(line, "\"keptFrom\":\"").filter(|_| is_removal)?)
}

/// The text of a member of a line, by how that begins: no string in a line holds an
/// unescaped quote.
fn noted<'l>(line: &'l [u8], member: &str) -> Option<&'l str> {
    let (_, rest) = std::str::from_utf8(line).ok()?.split_once(member)?;
    Some(rest.split_once('"')?.0)
}

/// Whether a line that is no record looks like what a kill or a power cut leaves.
pub(super) fn looks_torn(line: &[u8], is_whole: bool) -> bool {
    !is_whole || line.contains(&0)
}

/// Whether a segment holds nothing from there on, or what looks torn.
pub(super) fn ends_at(sheet: Arc<dyn Sheet>, at: u64) -> Result<bool> {
    let mut line = Vec::new();
    Ok(match RawLines::new(sheet, at).next(&mut line)? {
        Ending::Nothing => true,
        ending => looks_torn(&line, ending == Ending::Newline),
    })
}

/// The end of a segment.
pub(super) struct Tail {
    /// Up to the last line that has a newline.
    pub head: Head,
    /// Nothing stands behind that.
    pub is_whole: bool,
    /// Its writer has ended it.
    pub is_ended: bool,
    /// During which start of the machine the last line was written.
    pub boot: Boot,
}

/// The end of a segment; `None` when there is no line, or none of ours.
pub(super) fn tail(sheet: &dyn Sheet, id: &SegmentId) -> Result<Option<Tail>> {
    let len = sheet.len()?;
    let mut window = 4096;
    loop {
        let at = len.saturating_sub(window);
        let mut end = vec![0; usize::try_from(len - at).unwrap_or_default()];
        let read = read_full(sheet, at, &mut end)?;
        let end = &end[..read];
        let last = end.iter().rposition(|byte| *byte == b'\n');
        let before = last.and_then(|last| end[..last].iter().rposition(|byte| *byte == b'\n'));
        let start = match before {
            Some(before) => before + 1,
            None if at == 0 => 0,
            None if window > 2 * LINE_MAX as u64 => return Ok(None),
            None => {
                window *= 4;
                continue;
            }
        };
        let Some(last) = last else { return Ok(None) };
        let line = &end[start..last];
        let Some(beginning) = Beginning::read(line) else { return Ok(None) };
        // None goes on behind the last number.
        if beginning.segment != id.as_str() || beginning.sequence > u64::MAX / 2 {
            return Ok(None);
        }
        let (records, bytes) = (beginning.sequence, at + last as u64 + 1);
        return Ok(Some(Tail {
            head: Head { records, bytes, hash: LineHash::of(line) },
            is_whole: last + 1 == end.len(),
            is_ended: beginning.event_name == name(END),
            boot: beginning.boot,
        }));
    }
}

fn read_full(sheet: &dyn Sheet, at: u64, into: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match sheet.read_at(at + done as u64, &mut into[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// How many segments are open at once while all are shown.
const OPEN_MAX: usize = 128;
/// How much is put in the order of time at once while somebody follows, in bytes.
const SORTED_MAX: usize = 8 << 20;

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a newline.
    Newline,
    /// With the segment.
    Cut,
    /// There was none.
    Nothing,
}

/// How long a line is whose end is looked for, in bytes: what comes behind one that is longer
/// is not read.
const SKIPPED_MAX: u64 = 64 << 20;

/// The lines of a segment, whatever they are; memory is bounded by the longest line of ours.
pub(super) struct RawLines {
    from: BufReader<From>,
    /// Where in the segment the next line begins.
    pub at: u64,
}

impl RawLines {
    pub fn new(sheet: Arc<dyn Sheet>, at: u64) -> Self {
        Self { from: BufReader::with_capacity(1 << 16, From { sheet, at }), at }
    }

    /// The next line, without its newline.
    pub fn next(&mut self, line: &mut Vec<u8>) -> Result<Ending> {
        line.clear();
        let (mut is_empty, begun) = (true, self.at);
        loop {
            let some =
                self.from.fill_buf().map_err(|error| Error::FunctionFailed(error.to_string()))?;
            if some.is_empty() {
                return Ok(if is_empty { Ending::Nothing } else { Ending::Cut });
            }
            is_empty = false;
            let end = some.iter().position(|byte| *byte == b'\n');
            let part = &some[..end.unwrap_or(some.len())];
            // Of what is longer than any line of ours so much that it is seen to be none.
            let room = (LINE_MAX + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            self.at += used as u64;
            if end.is_none() && self.at - begun > SKIPPED_MAX {
                return Ok(Ending::Cut);
            }
            if end.is_some() {
                if line.len() > LINE_MAX {
                    // Not what a line ends with.
                    line.push(0xff);
                }
                return Ok(Ending::Newline);
            }
        }
    }
}

/// The lines of a segment that follow each other as they should.
pub(super) struct Lines {
    raw: RawLines,
    segment: SegmentId,
    head: Head,
}

impl Lines {
    /// Those behind `known`.
    pub fn of(sheet: Arc<dyn Sheet>, segment: &SegmentId, known: Head) -> Self {
        Self { raw: RawLines::new(sheet, known.bytes), segment: segment.clone(), head: known }
    }

    /// How far they go, this record at most.
    pub fn up_to(&mut self, record: u64) -> Result<Head> {
        let mut line = Vec::new();
        while self.head.records < record && self.raw.next(&mut line)? == Ending::Newline {
            let Some(beginning) = Beginning::read(&line) else { break };
            if !follows(&beginning, &self.segment, self.head) {
                break;
            }
            self.head = self.head.with(&line);
        }
        Ok(self.head)
    }
}

/// Whether a line is the next one of a segment that has come so far.
pub(super) fn follows(beginning: &Beginning<'_>, segment: &SegmentId, head: Head) -> bool {
    beginning.segment == segment.as_str()
        && beginning.sequence == head.records + 1
        && beginning.previous == head.hash
}

/// A trail that is there to be read, perhaps while it is written.
#[derive(Clone)]
pub struct Archive(pub(super) Arc<dyn Shelf>);

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Archive")
    }
}

/// What stands in a line.
#[derive(Debug)]
pub enum Read<'l> {
    /// A record: its beginning, and the whole line, which is one JSON object.
    Record(&'l Beginning<'l>, &'l str),
    /// Something else, in this segment; verification says more.
    Unreadable(&'l SegmentId),
}

impl Archive {
    pub(super) const fn over(shelf: Arc<dyn Shelf>) -> Self {
        Self(shelf)
    }

    /// The trail in this directory, a token's or a copy.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self(Arc::new(Directory(directory)))
    }

    /// The segments, in the order in which they were begun.
    ///
    /// # Errors
    /// The directory could not be read, or somebody else could have written it.
    pub fn segments(&self) -> Result<Vec<SegmentId>> {
        self.0.segments()
    }

    /// Shows `visit` all records in the order of time, those of one segment always in their
    /// own order. Needs memory for the segments that overlap in time, not for the records.
    /// `since`: segments of days before are not opened.
    ///
    /// # Errors
    /// What `visit` returns, which ends it; the trail could not be read.
    pub fn visit(
        &self,
        since: Option<Millis>,
        visit: &mut dyn FnMut(Read<'_>) -> Result<()>,
    ) -> Result<()> {
        let since = since.map(|since| SegmentId::new(since, [0; 8]));
        let mut waiting = self.0.segments()?;
        waiting.retain(|id| since.as_ref().is_none_or(|since| id.day() >= since.day()));
        let mut waiting = waiting.into_iter().peekable();
        let mut streams: HashMap<SegmentId, Stream> = HashMap::new();
        let (mut order, mut open) = (BinaryHeap::new(), VecDeque::new());
        loop {
            // A segment's name says when it begins.
            let next: Option<&Reverse<(Millis, SegmentId)>> = order.peek();
            let is_due = |id: &SegmentId| {
                next.is_none_or(|Reverse((time, _))| *id <= SegmentId::new(*time, [0xff; 8]))
            };
            let (id, mut stream) = match waiting.next_if(is_due) {
                Some(id) => (id, Stream::default()),
                None => {
                    let Some(Reverse((_, id))) = order.pop() else { return Ok(()) };
                    let Some(stream) = streams.remove(&id) else { continue };
                    (id, stream)
                }
            };
            let was_closed = stream.reader.is_none();
            if stream.last.is_some() && stream.open(&*self.0, &id)? {
                stream.show(visit)?;
            }
            match stream.advance(&*self.0, &id, visit) {
                Ok(Some(time)) => order.push(Reverse((time, id.clone()))),
                Ok(None) => continue,
                // One that is a link, or nobody's of ours.
                Err(error) if was_closed && matches!(error, Error::StoreIo { .. }) => {
                    visit(Read::Unreadable(&id))?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if was_closed {
                open.push_back(id.clone());
            }
            streams.insert(id, stream);
            if open.len() > OPEN_MAX
                && let Some(stream) = open.pop_front().and_then(|id| streams.get_mut(&id))
            {
                stream.close();
            }
        }
    }

    /// What will be written from now on.
    ///
    /// # Errors
    /// The trail could not be read.
    pub fn follow(&self) -> Result<Follower> {
        let mut seen = HashMap::new();
        for id in self.0.segments()? {
            if let Ok(Some(sheet)) = self.0.open(&id) {
                let end = match tail(&*sheet, &id)? {
                    Some(tail) => tail.head.bytes,
                    None => sheet.len()?,
                };
                seen.insert(id, end);
            }
        }
        Ok(Follower { archive: self.clone(), seen })
    }
}

/// One segment on its way through the order of time.
#[derive(Default)]
struct Stream {
    /// While it is open: its lines, and the one that is next.
    reader: Option<(RawLines, Vec<u8>)>,
    /// Where that one begins.
    at: u64,
    /// When that was written, or one before it, if that was later.
    last: Option<Millis>,
}

impl Stream {
    /// Opens it again where it was; whether it is there.
    fn open(&mut self, shelf: &dyn Shelf, id: &SegmentId) -> Result<bool> {
        if self.reader.is_none()
            && let Some(sheet) = shelf.open(id)?
        {
            let (mut raw, mut line) = (RawLines::new(sheet, self.at), Vec::new());
            raw.next(&mut line)?;
            self.reader = Some((raw, line));
        }
        Ok(self.reader.is_some())
    }

    fn close(&mut self) {
        self.reader = None;
    }

    /// Goes on to the next record; when it was written, as far as the order of the segment
    /// allows.
    fn advance(
        &mut self,
        shelf: &dyn Shelf,
        id: &SegmentId,
        visit: &mut dyn FnMut(Read<'_>) -> Result<()>,
    ) -> Result<Option<Millis>> {
        if self.reader.is_none() {
            let Some(sheet) = shelf.open(id)? else { return Ok(None) };
            self.reader = Some((RawLines::new(sheet, 0), Vec::new()));
        }
        let Some((raw, line)) = &mut self.reader else { return Ok(None) };
        loop {
            self.at = raw.at;
            match raw.next(line)? {
                Ending::Nothing => return Ok(None),
                // Torn, or being written.
                Ending::Cut => return Ok(None),
                Ending::Newline => {}
            }
            match to_be_shown(line) {
                Some(beginning) => {
                    self.last = self.last.max(Some(beginning.time));
                    return Ok(self.last);
                }
                None => visit(Read::Unreadable(id))?,
            }
        }
    }

    fn show(&self, visit: &mut dyn FnMut(Read<'_>) -> Result<()>) -> Result<()> {
        self.reader.as_ref().map_or(Ok(()), |(_, line)| show(line, visit))
    }
}

/// The beginning of a record in which nothing steers a terminal: ours have that escaped.
fn to_be_shown(line: &[u8]) -> Option<Beginning<'_>> {
    let beginning = Beginning::read(line)?;
    let is_plain = !std::str::from_utf8(line).ok()?.contains(steers);
    is_plain.then_some(beginning)
}

fn show(line: &[u8], visit: &mut dyn FnMut(Read<'_>) -> Result<()>) -> Result<()> {
    match (Beginning::read(line), std::str::from_utf8(line)) {
        (Some(beginning), Ok(text)) => visit(Read::Record(&beginning, text)),
        _ => Ok(()),
    }
}

/// Looks for what was written since it last looked.
#[derive(Debug)]
pub struct Follower {
    archive: Archive,
    seen: HashMap<SegmentId, u64>,
}

impl Follower {
    /// Shows `visit` the new records, those found at once in the order of time.
    ///
    /// # Errors
    /// What `visit` returns; the trail could not be read.
    pub fn look(&mut self, visit: &mut dyn FnMut(Read<'_>) -> Result<()>) -> Result<()> {
        let mut found = Found::default();
        for id in self.archive.0.segments()? {
            let seen = self.seen.get(&id).copied().unwrap_or_default();
            // What cannot be opened is for verification to tell.
            let Ok(Some(sheet)) = self.archive.0.open(&id) else { continue };
            if sheet.len()? <= seen {
                continue;
            }
            let (mut raw, mut line, mut at) = (RawLines::new(sheet, seen), Vec::new(), seen);
            while raw.next(&mut line)? == Ending::Newline {
                at = raw.at;
                match to_be_shown(&line) {
                    Some(beginning) => found.take(beginning.time, &line, visit)?,
                    None => visit(Read::Unreadable(&id))?,
                }
            }
            self.seen.insert(id, at);
        }
        found.show(visit)
    }
}

/// Records that were found at once.
#[derive(Default)]
struct Found {
    lines: Vec<(Millis, Vec<u8>)>,
    bytes: usize,
}

impl Found {
    fn take(
        &mut self,
        time: Millis,
        line: &[u8],
        visit: &mut dyn FnMut(Read<'_>) -> Result<()>,
    ) -> Result<()> {
        self.lines.push((time, line.to_owned()));
        self.bytes += line.len();
        if self.bytes < SORTED_MAX { Ok(()) } else { self.show(visit) }
    }

    fn show(&mut self, visit: &mut dyn FnMut(Read<'_>) -> Result<()>) -> Result<()> {
        let Self { mut lines, .. } = std::mem::take(self);
        lines.sort_by_key(|(time, _)| *time);
        lines.iter().try_for_each(|(_, line)| show(line, visit))
    }
}
