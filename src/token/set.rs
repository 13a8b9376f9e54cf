//! The set hash: how every commit keeps it, and how it finds what is missing.

use super::record::{CREDENTIAL, HEADER, PRIVATE, PUBLIC, SET, to_vec};
use super::{Token, objects, record_id, rotation};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::store::{self, Change, Kind, Reader, Record, RecordId, Sequence};
use crate::vault::{Place, SetHash, Vault};
use std::sync::Arc;

const ID: &str = "records";

/// The kinds that the set counts.
const COUNTED: [Kind; 4] = [HEADER, CREDENTIAL, PRIVATE, PUBLIC];

/// Something that is wrong with the token's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// This record was edited, swapped or brought from elsewhere.
    Damaged(String),
    /// Together the records are not what was written: one was removed, duplicated
    /// or rolled back, or the header or a credential was edited.
    SetDiffers {
        /// How many records there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// The set hash of a new token, whose first records are `changes`.
pub(super) fn first(vault: &Vault, changes: &[Change], entropy: &dyn Entropy) -> Result<Change> {
    let nothing = |_: Kind, _: &RecordId| Ok(Vec::new());
    put(vault, updated(vault, SetHash::default(), &nothing, changes)?, 0, entropy)
}

/// The change that brings the set hash up to date with `changes`. `None` when
/// the stored hash does not open: it stays as it is, for the check to find.
fn next(
    vault: &Vault,
    reader: &dyn Reader,
    changes: &[Change],
    entropy: &dyn Entropy,
) -> Result<Option<Change>> {
    let Some(record) = reader.get(SET, &record_id(ID)?)? else { return Ok(None) };
    let Ok(hash) = open(vault, &record) else { return Ok(None) };
    let present = |kind, id: &RecordId| {
        let record = reader.get(kind, id)?;
        Ok(record.map(|record| unsealed(kind, &record.body).to_vec()).unwrap_or_default())
    };
    put(vault, updated(vault, hash, &present, changes)?, record.version, entropy).map(Some)
}

/// The change that counts every record anew, once all are sealed under `vault`.
pub(super) fn recounted(
    vault: &Vault,
    reader: &dyn Reader,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let (mut hash, mut findings) = (SetHash::default(), Vec::new());
    for kind in COUNTED {
        examine_kind(vault, reader, kind, &mut hash, &mut findings)?;
    }
    if let Some(Finding::Damaged(id)) = findings.pop() {
        return Err(Error::RecordDamaged(id));
    }
    let present = reader.get(SET, &record_id(ID)?)?.map_or(0, |record| record.version);
    put(vault, hash, present, entropy)
}

fn open(vault: &Vault, record: &Record) -> Result<SetHash> {
    let place = Place { kind: SET.0, id: ID, version: record.version };
    let plain = vault.open(place, &[], &record.body)?;
    minicbor::decode(plain.expose()).map_err(|_| Error::RecordDamaged(ID.into()))
}

fn put(vault: &Vault, hash: SetHash, expected: u64, entropy: &dyn Entropy) -> Result<Change> {
    let place = Place { kind: SET.0, id: ID, version: expected + 1 };
    let body = vault.seal(place, &[], &to_vec(&hash)?, entropy)?;
    Ok(Change::Put { kind: SET, id: record_id(ID)?, expected, body, tags: Vec::new() })
}

/// What of a record's body no seal protects. Objects bind theirs themselves.
fn unsealed(kind: Kind, body: &[u8]) -> &[u8] {
    if matches!(kind, HEADER | CREDENTIAL) { body } else { &[] }
}

fn member(
    vault: &Vault,
    kind: Kind,
    id: &RecordId,
    version: u64,
    unsealed: &[u8],
) -> Result<[u8; 32]> {
    vault.member(Place { kind: kind.0, id: id.as_str(), version }, unsealed)
}

/// `hash` after `changes`. `present`: what is unsealed of a record as it is.
fn updated(
    vault: &Vault,
    mut hash: SetHash,
    present: &dyn Fn(Kind, &RecordId) -> Result<Vec<u8>>,
    changes: &[Change],
) -> Result<SetHash> {
    for change in changes {
        let (kind, id, before, after) = match change {
            Change::Put { kind, id, expected, body, .. } => {
                (*kind, id, *expected, Some((expected + 1, unsealed(*kind, body))))
            }
            Change::Remove { kind, id, expected } => (*kind, id, *expected, None),
            Change::Clear => {
                hash = SetHash::default();
                continue;
            }
        };
        if before > 0 {
            hash.remove(&member(vault, kind, id, before, &present(kind, id)?)?);
        }
        if let Some((version, unsealed)) = after {
            hash.insert(&member(vault, kind, id, version, unsealed)?);
        }
    }
    Ok(hash)
}

impl Token {
    /// Commits changes of bound records, the set hash with them. Without a
    /// vault the records are unbound and the set does not count them. The
    /// commit's number, which this token has then seen.
    pub(super) fn commit(
        &self,
        vault: Option<&Vault>,
        change: &mut dyn FnMut(&dyn Reader) -> Result<Vec<Change>>,
    ) -> Result<Sequence> {
        let sequence = self.store.write(&mut |reader| {
            if let Some(vault) = vault {
                rotation::require_present(reader, vault)?;
            }
            let mut changes = change(reader)?;
            if let Some(vault) = vault.filter(|_| !changes.is_empty()) {
                let set = next(vault, reader, &changes, &*self.surroundings.entropy)?;
                changes.extend(set);
            }
            Ok(changes)
        })?;
        self.refresh()?;
        Ok(sequence)
    }

    /// Opens every record and compares the whole with the set hash: finds what
    /// was edited, swapped, duplicated, rolled back or removed outside the
    /// token. Reads everything.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] without a login; the store could not be read.
    pub fn check(&self) -> Result<Vec<Finding>> {
        loop {
            let vault = self.access.load().vault.clone().ok_or(Error::UserNotLoggedIn)?;
            let mut findings = Vec::new();
            self.store.snapshot(&mut |reader| {
                findings = examine(&vault, reader)?;
                Ok(())
            })?;
            self.refresh()?;
            let now = self.access.load().vault.clone();
            // A root key that has been replaced says nothing about the records.
            if findings.is_empty() || now.is_some_and(|now| Arc::ptr_eq(&now, &vault)) {
                return Ok(findings);
            }
        }
    }
}

/// What is wrong with the records that `reader` shows.
pub(super) fn examine(vault: &Vault, reader: &dyn Reader) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut hash = SetHash::default();
    for kind in COUNTED {
        examine_kind(vault, reader, kind, &mut hash, &mut findings)?;
    }
    let stored = reader.get(SET, &record_id(ID)?)?;
    match stored.map(|record| open(vault, &record)) {
        Some(Ok(expected)) if expected == hash => {}
        Some(Ok(expected)) => {
            findings.push(Finding::SetDiffers { expected: expected.count(), found: hash.count() })
        }
        Some(Err(_)) | None => findings.push(Finding::Damaged(ID.into())),
    }
    Ok(findings)
}

fn examine_kind(
    vault: &Vault,
    reader: &dyn Reader,
    kind: Kind,
    hash: &mut SetHash,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    store::for_each(reader, kind, &[], |record| {
        let bound = match kind {
            PRIVATE | PUBLIC => objects::open(record, Some(vault)).map(|live| live.bound),
            _ => Ok(true),
        };
        if bound.is_err() {
            findings.push(Finding::Damaged(record.id.as_str().to_owned()));
        }
        if bound.unwrap_or(true) {
            let Record { id, version, body, .. } = record;
            hash.insert(&member(vault, kind, id, *version, unsealed(kind, body))?);
        }
        Ok(())
    })
}
