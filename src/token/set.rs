//! The set hash: how every commit keeps it, and how it finds what is missing.

use super::record::{CREDENTIAL, HEADER, PRIVATE, PUBLIC, SET, to_vec};
use super::{Token, objects, record_id};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::store::{Change, Kind, Reader, Record, Sequence};
use crate::vault::{Place, SetHash, Vault};

const ID: &str = "records";

/// Something that is wrong with the token's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// This record was edited, swapped or brought from elsewhere.
    Damaged(String),
    /// Each record opens, but together they are not what was written: one was
    /// removed, duplicated or rolled back.
    SetDiffers {
        /// How many records there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// The set hash of a new token, whose first records are `changes`.
pub(super) fn first(vault: &Vault, changes: &[Change], entropy: &dyn Entropy) -> Result<Change> {
    put(vault, updated(vault, SetHash::default(), changes)?, 0, entropy)
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
    put(vault, updated(vault, hash, changes)?, record.version, entropy).map(Some)
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

fn updated(vault: &Vault, mut hash: SetHash, changes: &[Change]) -> Result<SetHash> {
    for change in changes {
        let (kind, id, before, after) = match change {
            Change::Put { kind, id, expected, .. } => (kind, id, *expected, expected + 1),
            Change::Remove { kind, id, expected } => (kind, id, *expected, 0),
            Change::Clear => {
                hash = SetHash::default();
                continue;
            }
        };
        let member = |version| vault.member(Place { kind: kind.0, id: id.as_str(), version });
        if before > 0 {
            hash.remove(&member(before)?);
        }
        if after > 0 {
            hash.insert(&member(after)?);
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
        let vault = self.access.load().vault.clone().ok_or(Error::UserNotLoggedIn)?;
        let mut findings = Vec::new();
        let mut hash = SetHash::default();
        for kind in [HEADER, CREDENTIAL, PRIVATE, PUBLIC] {
            self.check_kind(&vault, kind, &mut hash, &mut findings)?;
        }
        let stored = self.store.get(SET, &record_id(ID)?)?;
        match stored.map(|record| open(&vault, &record)) {
            Some(Ok(expected)) if expected == hash => {}
            Some(Ok(expected)) => findings
                .push(Finding::SetDiffers { expected: expected.count(), found: hash.count() }),
            Some(Err(_)) | None => findings.push(Finding::Damaged(ID.into())),
        }
        Ok(findings)
    }

    fn check_kind(
        &self,
        vault: &Vault,
        kind: Kind,
        hash: &mut SetHash,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.find(kind, &[], after, 256)?;
            for record in &page.records {
                let bound = match kind {
                    PRIVATE | PUBLIC => match objects::open(record, Some(vault)) {
                        Ok(live) => live.bound,
                        Err(_) => {
                            findings.push(Finding::Damaged(record.id.as_str().to_owned()));
                            true
                        }
                    },
                    _ => true,
                };
                if bound {
                    let (id, version) = (record.id.as_str(), record.version);
                    hash.insert(&vault.member(Place { kind: kind.0, id, version })?);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
