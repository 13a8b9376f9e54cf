//! The set record: a sealed hash of the set of all bound records, and which manifest
//! lists them; how every commit keeps both.

use super::manifest::{Listed, Manifest, Root, counts};
use super::record::{CREDENTIAL, HEADER, MANIFEST, PUBLIC, QUARANTINED, SET, to_vec};
use super::{Token, objects, record_id, rotation};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::store::{self, Change, Kind, Reader, Record, RecordId, Sequence};
use crate::vault::{Place, SetHash, Vault};
use minicbor::{Decode, Encode};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// The set record's name.
pub(super) const ID: &str = "records";

/// What the set record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Set {
    #[n(0)]
    pub hash: SetHash,
    /// Absent of a token that was made before there were manifests.
    #[n(1)]
    pub manifest: Option<Root>,
}

impl Set {
    /// The stored one and its version; `None` if it is not there or does not open.
    pub fn read(vault: &Vault, reader: &dyn Reader) -> Result<Option<(Self, u64)>> {
        let Some(record) = reader.get(SET, &record_id(ID)?)? else { return Ok(None) };
        let version = record.version;
        let place = Place { kind: SET.0, id: ID, version };
        let Ok(plain) = vault.open(place, &[], &record.body) else { return Ok(None) };
        let set = minicbor::decode(plain.expose()).ok().or_else(|| {
            // Before there were manifests the hash stood alone.
            let hash = minicbor::decode(plain.expose()).ok()?;
            Some(Self { hash, manifest: None })
        });
        Ok(set.map(|set| (set, version)))
    }

    /// The change that stores it over version `expected`.
    pub fn put(&self, vault: &Vault, expected: u64, entropy: &dyn Entropy) -> Result<Change> {
        let place = Place { kind: SET.0, id: ID, version: expected + 1 };
        let body = vault.seal(place, &[], &to_vec(self)?, entropy)?;
        Ok(Change::Put { kind: SET, id: record_id(ID)?, expected, body, tags: Vec::new() })
    }
}

/// The set record and the manifest of a new token, whose first records are `changes`.
pub(super) fn first(
    vault: &Vault,
    changes: &[Change],
    entropy: &dyn Entropy,
) -> Result<Vec<Change>> {
    let nothing = |_: Kind, _: &RecordId| Ok(Vec::new());
    let hash = updated(vault, SetHash::default(), &nothing, changes)?;
    let mut manifest = Manifest::new(vault, entropy)?;
    list(vault, &mut manifest, changes)?;
    finish(vault, hash, manifest, 0, entropy)
}

/// The changes that store both.
pub(super) fn finish(
    vault: &Vault,
    hash: SetHash,
    manifest: Manifest<'_>,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Vec<Change>> {
    let (root, mut changes) = manifest.finish(entropy)?;
    changes.push(Set { hash, manifest: Some(root) }.put(vault, expected, entropy)?);
    Ok(changes)
}

/// The hash and the manifest of the records that `reader` shows but for `without`,
/// whatever is said of them.
pub(super) fn of_present<'v>(
    vault: &'v Vault,
    reader: &dyn Reader,
    without: &HashSet<(Kind, RecordId)>,
    entropy: &dyn Entropy,
) -> Result<(SetHash, Manifest<'v>)> {
    let (mut hash, mut manifest) = (SetHash::default(), Manifest::new(vault, entropy)?);
    for kind in (0..=u8::MAX).map(Kind).filter(|kind| counts(*kind)) {
        store::for_each(reader, kind, &[], |record| {
            let is_bound = kind != PUBLIC || objects::is_bound(record);
            if is_bound && !without.contains(&(kind, record.id.clone())) {
                hash.insert(&member_of(vault, record)?);
                manifest.list(
                    kind,
                    &record.id,
                    Some(listed(vault, record.version, &record.body)?),
                )?;
            }
            Ok(())
        })?;
    }
    Ok((hash, manifest))
}

/// What the manifest says of a record with this version and body.
pub(super) fn listed(vault: &Vault, version: u64, body: &[u8]) -> Result<Listed> {
    Ok(Listed { version, fingerprint: vault.fingerprint(body)? })
}

/// What of a record's body no seal protects. Objects bind theirs themselves.
fn unsealed(kind: Kind, body: &[u8]) -> &[u8] {
    if matches!(kind, HEADER | CREDENTIAL | QUARANTINED) { body } else { &[] }
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

/// A stored record's member of the set.
pub(super) fn member_of(vault: &Vault, record: &Record) -> Result<[u8; 32]> {
    let Record { kind, id, version, body } = record;
    member(vault, *kind, id, *version, unsealed(*kind, body))
}

/// The changes that count and list anew what is there, but for `without`, and what
/// `made` changes or adds.
pub(super) fn anew(
    vault: &Vault,
    reader: &dyn Reader,
    without: &HashSet<(Kind, RecordId)>,
    made: &[Change],
    entropy: &dyn Entropy,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    store::for_each(reader, MANIFEST, &[], |page| {
        let (kind, id, expected) = (MANIFEST, page.id.clone(), page.version);
        changes.push(Change::Remove { kind, id, expected });
        Ok(())
    })?;
    let (hash, mut manifest) = of_present(vault, reader, without, entropy)?;
    let nothing = |_: Kind, _: &RecordId| Ok(Vec::new());
    let hash = updated(vault, hash, &nothing, made)?;
    list(vault, &mut manifest, made)?;
    let expected = reader.get(SET, &record_id(ID)?)?.map_or(0, |record| record.version);
    changes.extend(finish(vault, hash, manifest, expected, entropy)?);
    Ok(changes)
}

/// Whether a change makes a record that the set counts: not so a public object that was
/// made without a login, and is restored so among others.
fn is_counted(change: &Change) -> bool {
    match change {
        Change::Put { kind, body, .. } => *kind != PUBLIC || objects::is_bound_body(body),
        Change::Remove { .. } | Change::Clear => true,
    }
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
        if let Some((version, unsealed)) = after.filter(|_| is_counted(change)) {
            hash.insert(&member(vault, kind, id, version, unsealed)?);
        }
    }
    Ok(hash)
}

/// Brings the manifest up to date with `changes`. What belongs on a page that is not the
/// one it should be is left out, for the check to find.
fn list(vault: &Vault, manifest: &mut Manifest<'_>, changes: &[Change]) -> Result<()> {
    for change in changes {
        let done = match change {
            Change::Put { .. } if !is_counted(change) => Ok(()),
            Change::Put { kind, id, expected, body, .. } => {
                manifest.list(*kind, id, Some(listed(vault, expected + 1, body)?))
            }
            Change::Remove { kind, id, .. } => manifest.list(*kind, id, None),
            Change::Clear => Ok(()),
        };
        match done {
            Ok(()) | Err(Error::RecordDamaged(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

impl Token {
    /// Commits changes of bound records, the set record and the manifest with them.
    /// Without a vault the records are unbound and not counted. The commit's number,
    /// which this token has then seen.
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
                changes.extend(self.next_set(vault, reader, &changes)?);
            }
            Ok(changes)
        })?;
        self.refresh()?;
        Ok(sequence)
    }

    /// The changes that keep set record and manifest up to date with `changes`. None when
    /// the stored set record does not open: it stays as it is, for the check to find.
    pub(super) fn next_set(
        &self,
        vault: &Vault,
        reader: &dyn Reader,
        changes: &[Change],
    ) -> Result<Vec<Change>> {
        let entropy = &*self.surroundings.entropy;
        let Some((set, version)) = Set::read(vault, reader)? else { return Ok(Vec::new()) };
        let present = |kind, id: &RecordId| {
            let record = reader.get(kind, id)?;
            Ok(record.map(|record| unsealed(kind, &record.body).to_vec()).unwrap_or_default())
        };
        let hash = updated(vault, set.hash, &present, changes)?;
        let manifest = match set.manifest {
            Some(root) => Some(Manifest::open(vault, reader, root)),
            None => self.adopted(vault, reader, set.hash)?,
        };
        let Some(mut manifest) = manifest else {
            return Ok(vec![Set { hash, manifest: None }.put(vault, version, entropy)?]);
        };
        list(vault, &mut manifest, changes)?;
        finish(vault, hash, manifest, version, entropy)
    }

    /// The first manifest of a token that was made before there were any. None when
    /// its records are not those that were written: what is wrong must not be
    /// listed as right. Reads everything, so it is tried once.
    fn adopted<'v>(
        &self,
        vault: &'v Vault,
        reader: &dyn Reader,
        expected: SetHash,
    ) -> Result<Option<Manifest<'v>>> {
        if self.unlistable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (hash, manifest) =
            of_present(vault, reader, &HashSet::new(), &*self.surroundings.entropy)?;
        let sound = hash == expected;
        self.unlistable.store(!sound, Ordering::Relaxed);
        Ok(sound.then_some(manifest))
    }
}
