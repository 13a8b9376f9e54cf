//! The audit trail of a token: what was done, by whom, when, and how it ended.
//!
//! A trail is a directory of *segments*. Each process that writes has one of its own, so
//! that processes do not wait for each other. A segment is a file of lines; a line is one
//! record, a JSON object in the form of AWS CloudTrail's records of KMS, that holds the
//! hash of the line before. *Checkpoints* say how far all segments had come, signed with a
//! key that the token keeps sealed.
//!
//! # Promises
//!
//! 1. *Written*: when [`Trail::note`] returns, the record survives the death of the process;
//!    when [`Trail::record`] returns, that of the machine.
//! 2. *Nothing secret*: an event is made of names, numbers and reasons; it has no part
//!    for a message, a MAC, a PIN or a key.
//! 3. *Found*: [`Archive::verify`] names the first record of a segment that was changed,
//!    removed, added or moved, and what was cut off behind what a checkpoint covers.
//! 4. *Not covered up*: a new checkpoint never contradicts the one before, whatever was
//!    done to the trail in between.
//!
//! # Assumptions
//!
//! Those of the store, of file system and directory. Whoever may write the directory may
//! remove what no checkpoint covers that is kept elsewhere, or write something else in its
//! place: `docs/audit.md` says what that means.

#![forbid(unsafe_code)]

mod checkpoint;
mod event;
mod json;
mod line;
mod process;
mod read;
mod shelf;
mod tally;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

pub use checkpoint::{Checkpoint, SigningKey, Verifier};
pub use event::{Document, Event, Identity, Origin, Resource, Scope, Text, Value, code};
pub use line::{Beginning, Boot, Head, LineHash, Millis, SegmentId};
pub use process::Process;
pub use read::{Archive, Follower, Read};
pub use shelf::Memory;
pub use tally::{Count, KeyName, Slot, Tally, Use, single};
pub use trail::{Cover, EventId, Position, Surroundings, Trail};
pub use verify::{Damage, Finding, Held, Report, Torn};

/// A segment begins.
const START: &str = "signet:StartAuditSegment";
/// Another process goes on with a segment.
const CONTINUE: &str = "signet:ContinueAuditSegment";
/// A segment has been ended.
const END: &str = "signet:EndAuditSegment";
/// Retention lets segments go.
const REMOVE: &str = "signet:RemoveAuditSegments";

/// What becomes of MAC operations of the C functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacMode {
    /// A record each.
    Each,
    /// Counted by key and session; the numbers are recorded now and then.
    Summary,
    /// Not recorded.
    Off,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Segments that were begun since so many days.
    Days(u32),
    /// The newest segments, of so many bytes together at most.
    Bytes(u64),
}

/// What the configuration says about trails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of MAC operations.
    pub mac: MacMode,
    /// Refuse what cannot be recorded.
    pub required: bool,
    /// What is kept; everything unless it is said.
    pub retention: Option<Retention>,
    /// From how many bytes on a segment is ended and another one begun.
    pub segment_size: u64,
}

impl Settings {
    /// What is done unless the configuration says otherwise.
    pub const DEFAULT: Self =
        Self { mac: MacMode::Summary, required: false, retention: None, segment_size: 16 << 20 };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
