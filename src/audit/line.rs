//! One record is one line, and a line says where it belongs:
//!
//! ```text
//! {"trail":{"segment":"20261124T015653123Z-0123456789abcdef","sequence":12,
//!   "previous":"<SHA-256 of the line before, 64 digits>","boot":"1a2b3c4d","time":1795485413123},
//!   "eventVersion":"1.09","eventTime":"2026-11-24T01:56:53Z","eventID":"<UUID>",…}
//! ```
//!
//! (without the line breaks). This beginning is always written alike, so that it is read
//! without understanding the rest. The hash is over the exact bytes of a line without its
//! newline; 64 zeros stand before the first record of a segment.

use super::event::{Event, Scope};
use super::json::Members;
use crate::clock::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest line, in bytes: a policy of full size of which every character is escaped.
pub(super) const LINE_MAX: usize = 1 << 18;

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// `time`, or 1970 for one that comes before.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time.
    #[must_use]
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(UNIX_EPOCH)
    }
}

impl FromStr for Millis {
    type Err = ();

    /// Reads what [`Timestamp`] prints, also without the milliseconds, or a day in UTC.
    fn from_str(text: &str) -> Result<Self, ()> {
        const WHOLE: &str = "0000-00-00T00:00:00.000Z";
        let text = match text.len() {
            10 => format!("{text}{}", &WHOLE[10..]),
            20 => format!("{}{}", text.strip_suffix('Z').ok_or(())?, &WHOLE[19..]),
            _ => text.to_owned(),
        };
        // Up to the year 9999 the printed form sorts as the times do.
        let (mut low, mut high) = (0_u64, 253_402_300_799_999_u64);
        while low < high {
            let middle = low.midpoint(high);
            if Timestamp(Self(middle).time()).to_string() < text {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (Timestamp(Self(low).time()).to_string() == text).then_some(Self(low)).ok_or(())
    }
}

/// The hash of a line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What the first record of a segment has before it.
    pub const NONE: Self = Self([0; 32]);

    /// Of a line without its newline.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }
}

/// The value of a hexadecimal digit in lower case.
const fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for LineHash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::parse(text).ok_or(())
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The name of a segment: when it was begun and 64 random bits, so that names sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(String);

impl SegmentId {
    const PATTERN: &str = "00000000T000000000Z-xxxxxxxxxxxxxxxx";
    const DAY: usize = 8;

    /// One that is begun now.
    #[must_use]
    pub fn new(now: Millis, random: [u8; 8]) -> Self {
        let time = Timestamp(now.time()).to_string();
        let digits: String = time.chars().filter(char::is_ascii_digit).collect();
        // Of a year beyond 9999 the last digits.
        let digits = &digits[digits.len().saturating_sub(17)..];
        let (day, time) = digits.split_at(Self::DAY);
        Self(format!("{day}T{time}Z-{:016x}", u64::from_be_bytes(random)))
    }

    /// The segment of this name; `None` for what is the name of none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let fits = |(is, pattern)| match pattern {
            b'0' => u8::is_ascii_digit(&is),
            b'x' => digit(is).is_some(),
            other => is == other,
        };
        let alike =
            name.len() == Self::PATTERN.len() && name.bytes().zip(Self::PATTERN.bytes()).all(fits);
        alike.then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was begun; `None` where the name says a time that is none.
    #[must_use]
    pub fn begun(&self) -> Option<Millis> {
        let part = |from: usize, to: usize| &self.0[from..to];
        let (day, time) = ([part(0, 4), part(4, 6), part(6, 8)], [part(9, 11), part(11, 13)]);
        let text =
            format!("{}T{}:{}.{}Z", day.join("-"), time.join(":"), part(13, 15), part(15, 18));
        text.parse().ok()
    }

    /// The day on which it was begun, in UTC: `20261124`.
    #[must_use]
    pub fn day(&self) -> &str {
        &self.0[..Self::DAY]
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a segment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many records it has.
    pub records: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The hash of the last record.
    pub hash: LineHash,
}

impl Head {
    /// Of a segment that holds nothing.
    pub const EMPTY: Self = Self { records: 0, bytes: 0, hash: LineHash::NONE };

    /// With one more line, which is given without its newline.
    #[must_use]
    pub fn with(self, line: &[u8]) -> Self {
        Self {
            records: self.records + 1,
            bytes: self.bytes + line.len() as u64 + 1,
            hash: LineHash::of(line),
        }
    }
}

/// Which start of the machine: what was written since is there even if it was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot(u32);

impl Boot {
    /// One that the system does not name.
    pub const UNKNOWN: Self = Self(0);

    /// The start that the system calls so.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name.trim()).into();
        let [a, b, c, d, ..] = hash;
        Self(u32::from_be_bytes([a, b, c, d]).max(1))
    }

    /// Whether the machine has not been started since the other one.
    #[must_use]
    pub fn is_still(self, other: Self) -> bool {
        self != Self::UNKNOWN && self == other
    }
}

/// Appends the record of `event` to `out`, without a newline.
pub(super) fn write(
    out: &mut String,
    event: &Event,
    place: &Place<'_>,
    scope: &Scope,
    program: &str,
    id: &str,
) {
    Members::write(out, |line| {
        line.object("trail", |trail| {
            trail.text("segment", place.segment.as_str());
            trail.number("sequence", place.after.records + 1);
            trail.text("previous", &place.after.hash.to_string());
            trail.text("boot", &format!("{:08x}", place.boot.0)).number("time", place.now.0);
        });
        event.write(line, scope, program, place.now, id);
    });
}

/// Where and when a record is written.
pub(super) struct Place<'a> {
    pub segment: &'a SegmentId,
    pub after: Head,
    pub boot: Boot,
    pub now: Millis,
}

/// The beginning of a line, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning<'l> {
    /// The segment.
    pub segment: &'l str,
    /// The record's number in the segment, from 1.
    pub sequence: u64,
    /// The hash of the record before.
    pub previous: LineHash,
    /// The start of the machine during which it was written.
    pub boot: Boot,
    /// When.
    pub time: Millis,
    /// As it is written for people.
    pub event_time: &'l str,
    /// The event's id.
    pub event_id: &'l str,
    /// The event's name.
    pub event_name: &'l str,
}

/// What every line begins and ends with.
const OPENING: &str = "{\"trail\":{\"segment\":\"";
const CLOSING: &str = ",\"eventCategory\":\"Management\"}";

impl<'l> Beginning<'l> {
    /// Of a line without its newline; `None` if it is none of ours.
    #[must_use]
    pub fn read(line: &'l [u8]) -> Option<Self> {
        let mut rest = Rest(std::str::from_utf8(line).ok()?);
        rest.expect(OPENING)?;
        let segment = rest.until("\",\"sequence\":")?;
        let sequence = number(rest.until(",\"previous\":\"")?)?;
        let previous = LineHash::parse(rest.until("\",\"boot\":\"")?)?;
        let boot = rest.until("\",\"time\":")?;
        let boot = Boot(u32::from_str_radix(boot, 16).ok().filter(|_| boot.len() == 8)?);
        let time = Millis(number(rest.until("},\"eventVersion\":\"")?)?);
        rest.until("\",\"eventTime\":\"")?;
        let event_time = rest.until("\",\"eventID\":\"")?;
        let event_id = rest.until("\",\"eventSource\":\"")?;
        rest.until("\",\"eventName\":\"")?;
        let event_name = rest.until("\"")?;
        // Two lines whose newline was taken out are not one.
        let is_one = rest.0.ends_with(CLOSING) && !rest.0.contains(OPENING);
        is_one.then_some(Self {
            segment,
            sequence,
            previous,
            boot,
            time,
            event_time,
            event_id,
            event_name,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// What is still to be read of a line.
struct Rest<'l>(&'l str);

impl<'l> Rest<'l> {
    fn expect(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// What stands before the next `end`, which is passed too. No value that stands in the
    /// beginning holds a quote, escaped or not.
    fn until(&mut self, end: &str) -> Option<&'l str> {
        let (found, rest) = self.0.split_once(end)?;
        self.0 = rest;
        (!found.contains(['"', '\\']) || found.is_empty()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Identity;
    use crate::types::Home;

    const NOW: Millis = Millis(1_795_485_413_123);

    fn line(event: &Event) -> String {
        let mut out = String::new();
        let segment = SegmentId::new(NOW, [1; 8]);
        let after = Head { records: 11, bytes: 5, hash: LineHash::of(b"x") };
        let place = Place { segment: &segment, after, boot: Boot::of("boot\n"), now: NOW };
        write(
            &mut out,
            event,
            &place,
            &Scope::of("0011223344556677", Home::DEFAULT),
            "program",
            "id-1",
        );
        out
    }

    #[test]
    fn a_line_says_where_it_belongs_and_is_json() {
        let event = Event::new("kms:CreateKey", Identity::Root).with("description", "a \"label\"");
        let line = line(&event);
        let read = Beginning::read(line.as_bytes()).unwrap();
        assert_eq!((read.sequence, read.time, read.boot), (12, NOW, Boot::of("boot")));
        assert_eq!(read.previous, LineHash::of(b"x"));
        assert_eq!(read.segment, "20261124T015653123Z-0101010101010101");
        assert_eq!((read.event_time, read.event_id), ("2026-11-24T01:56:53Z", "id-1"));
        assert_eq!(read.event_name, "CreateKey");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["requestParameters"]["description"], "a \"label\"");
        assert_eq!(json["eventSource"], "kms.amazonaws.com");
        assert_eq!(json["userIdentity"]["arn"], "arn:aws:iam::000000000000:root");
    }

    #[test]
    fn what_is_not_one_line_of_ours_is_none() {
        let line = line(&Event::new("signet:CopyKey", Identity::Public));
        fn read(text: &str) -> Option<Beginning<'_>> {
            Beginning::read(text.as_bytes())
        }
        assert!(read(&line).is_some());
        for (found, put) in [
            ("sequence\":12", "sequence\":012"),
            ("boot\":\"", "boot\":\"0"),
            ("{\"trail", " {\"trail"),
        ] {
            assert_eq!(read(&line.replacen(found, put, 1)), None, "{put}");
        }
        assert_eq!(read(&format!("{line}{line}")), None);
        for cut in 0..line.len() {
            assert_eq!(read(&line[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn names_of_segments_sort_by_time() {
        let early = SegmentId::new(Millis(999), [255; 8]);
        let late = SegmentId::new(NOW, [0; 8]);
        assert!(early < late);
        assert_eq!(late.day(), "20261124");
        assert_eq!((early.begun(), late.begun()), (Some(Millis(999)), Some(NOW)));
        let never = SegmentId::parse("20261324T015653123Z-0101010101010101").unwrap();
        assert_eq!(never.begun(), None);
        for name in [early.as_str(), late.as_str()] {
            assert_eq!(SegmentId::parse(name).unwrap().as_str(), name);
        }
        let far = SegmentId::new(Millis(u64::MAX / 2), [0; 8]);
        assert_eq!(SegmentId::parse(far.as_str()), Some(far));
        for name in
            ["", "20261124T015653123Z-01010101010101010", "20261124T015653123Z-010101010101010G"]
        {
            assert_eq!(SegmentId::parse(name), None);
        }
    }

    #[test]
    fn times_are_read() {
        for (text, time) in [
            ("2026-11-24T01:56:53.123Z", Some(NOW.0)),
            ("2026-11-24T01:56:53Z", Some(NOW.0 - 123)),
            ("1970-01-02", Some(86_400_000)),
            ("2026-02-29", None),
            ("2026-11-24T01:56:53", None),
            ("2026-11-24T24:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(text.parse().ok(), time.map(Millis), "{text}");
        }
    }

    #[test]
    fn hashes_are_printed_and_read() {
        let hash = LineHash::of(b"line");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!("0".repeat(63).parse::<LineHash>().is_err());
        assert!("G".repeat(64).parse::<LineHash>().is_err());
        assert_eq!("0".repeat(64).parse(), Ok(LineHash::NONE));
    }
}
