//! Backups: the objects of a token in one sealed file, and back.
//!
//! `docs/backup-format.md` states the format byte by byte. In short:
//!
//! ```text
//! magic, version │ how it is sealed │ MAC of what stands before │ chunks of 64 KiB, each sealed
//! ```
//!
//! A backup is sealed to a passphrase or to the transport key of a token
//! ([`Token::transport_key`]); then no passphrase exists, and nobody but that token's
//! owner opens it. It holds one state of the token, whole objects with their unique
//! ids, history, state and policy, and no PIN, no root key and no transport key.
//!
//! Nothing that the file states about itself is believed before it is checked: a
//! derivation has its limit ([`PARAMETERS_MAX`]), an object its greatest length, and
//! every object is one that a token could have made. What [`Backup::next_item`] gave is
//! proved complete when it has given `None`: nobody acts on it before.

#![forbid(unsafe_code)]

mod file;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::vault::PublicKey;
pub use file::OutputFile;
pub use reader::{Backup, Item, Locked, OpensWith};
pub use writer::create;

use crate::error::Result;
use crate::policy::Principal;
use crate::secret::Pin;
use crate::token::{Restored, Sealed, Token};
use crate::types::AttributeType;
use crate::vault::{PinParameters, PrivateKey};
use std::time::SystemTime;

/// The shortest passphrase, in bytes: nobody counts the guesses at a file.
pub const PASSPHRASE_MIN_LEN: usize = 12;

/// The least that a passphrase is stretched with: the second choice of RFC 9106 §4,
/// in one lane.
pub const PARAMETERS: PinParameters = PinParameters { memory_kib: 65_536, iterations: 3, lanes: 1 };

/// The most that a file may ask for: it says so itself, to whoever tries to open it.
pub const PARAMETERS_MAX: PinParameters =
    PinParameters { memory_kib: 1_048_576, iterations: 64, lanes: 16 };

/// The most that memory times passes may be, in KiB: some seconds of work.
pub const WORK_MAX_KIB: u32 = 4 * 1_048_576 - 1;

/// The cost for a passphrase where `configured` is the cost for PINs: not less,
/// unless that is more than any backup may ask for.
#[must_use]
pub fn parameters(configured: PinParameters) -> PinParameters {
    let (least, most) = (PARAMETERS, PARAMETERS_MAX);
    let memory_kib = configured.memory_kib.clamp(least.memory_kib, most.memory_kib);
    let passes_max = most.iterations.min(WORK_MAX_KIB / memory_kib);
    let iterations = configured.iterations.clamp(least.iterations, passes_max);
    let lanes = configured.lanes.clamp(least.lanes, most.lanes);
    PinParameters { memory_kib, iterations, lanes }
}

/// What a backup is sealed with.
pub enum Seal<'a> {
    /// Whoever knows the passphrase opens it.
    Passphrase(&'a Pin, PinParameters),
    /// The owner of the token with this transport key opens it.
    Recipient(&'a PublicKey),
}

/// What opens a backup.
pub enum Opener<'a> {
    /// The passphrase.
    Passphrase(&'a Pin),
    /// The private half of the transport key.
    Recipient(&'a PrivateKey),
}

/// What a backup says about itself; written by whoever sealed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The label of the token it was made of.
    pub label: String,
    /// That token's serial.
    pub serial: String,
    /// When.
    pub created: SystemTime,
    /// Whether it holds everything of that token, or chosen keys.
    pub is_whole: bool,
}

/// A key, or several, chosen for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The attribute that names it: label, id or unique id.
    pub attribute: AttributeType,
    /// The attribute's value.
    pub value: Vec<u8>,
}

/// Told now and then how many objects have been done so far.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Seals all that is in a backup for a token that is being made or is there, with
/// [`NewToken`](crate::token::NewToken) or [`Token::restore`]. When it returns, the
/// backup has been read to its end and is whole.
///
/// # Errors
/// [`BackupRefused`](crate::error::Error::BackupRefused).
pub fn fill(sealed: &mut Sealed, backup: &mut Backup<'_>, progress: Progress<'_>) -> Result<()> {
    while let Some(Item { object, bound }) = backup.next_item()? {
        sealed.add(&object, bound)?;
        progress(sealed.len() as u64);
    }
    Ok(())
}

/// Brings all that is in a backup into a token, in one commit.
///
/// # Errors
/// As for [`fill`] and [`Token::restore`].
pub fn restore(
    token: &Token,
    principal: Principal,
    backup: &mut Backup<'_>,
    skip_existing: bool,
    progress: Progress<'_>,
) -> Result<Restored> {
    let mut sealed = token.sealed(principal)?;
    fill(&mut sealed, backup, progress)?;
    token.restore(sealed, skip_existing)
}
