//! Damaged records are set aside, so that the rest of the token is whole again.

use super::check::{Check, Damage, Finding, Report};
use super::record::{CREDENTIAL, HEADER, MANIFEST, QUARANTINED, SET, to_vec};
use super::{Token, credential, objects, record_id, rotation, set};
use crate::error::{Error, Result};
use crate::policy::{Action, Resource};
use crate::store::{self, Change, Kind, Reader, Record, RecordId};
use crate::vault::Vault;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A damaged record that was set aside, with all that was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// What it is called here: its own name, with a number if several have one name.
    pub id: String,
    /// What was wrong with it.
    pub damage: String,
    /// When it was set aside.
    pub when: SystemTime,
    /// The size of its content in bytes.
    pub size: usize,
}

/// The body of a record of kind [`QUARANTINED`].
#[derive(Encode, Decode)]
#[cbor(array)]
struct Body {
    #[n(0)]
    kind: u8,
    #[n(1)]
    id: String,
    #[n(2)]
    version: u64,
    #[n(3)]
    damage: String,
    /// Seconds since 1970.
    #[n(4)]
    when: u64,
    #[n(5)]
    body: ByteVec,
}

impl Token {
    /// Sets every record aside that [`Token::check`] finds damaged, with its content for
    /// whoever wants to find out what happened, and lists the others anew: one commit.
    /// Look-up columns are made anew. The header and the credential of whoever is logged
    /// in stay: they have just proved to work. What was found.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Error::TokenWriteProtected`]; or why it could not be
    /// stored.
    pub fn quarantine(&self) -> Result<Report> {
        self.authorize(self.principal(), Action::Quarantine, Resource::Token)?;
        self.require_writable()?;
        let report = self.check()?;
        if report.is_clean() {
            return Ok(report);
        }
        self.store.mend()?;
        self.with_vault(self.principal(), |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            self.store.write(&mut |reader| {
                rotation::require_present(reader, vault)?;
                // Under the writer's lock: what others did meanwhile is not damage.
                let findings = Check::begin(vault, reader)?.records()?.findings;
                if findings.is_empty() {
                    return Ok(Vec::new());
                }
                self.set_aside(vault, reader, &findings)
            })
        })?;
        self.refresh()?;
        Ok(report)
    }

    fn set_aside(
        &self,
        vault: &Vault,
        reader: &dyn Reader,
        findings: &[Finding],
    ) -> Result<Vec<Change>> {
        let (mut gone, mut made, mut changes) = (HashSet::new(), Vec::new(), Vec::new());
        let mut names = HashSet::new();
        for finding in findings {
            let (kind, id) = (finding.kind, record_id(&finding.id)?);
            if matches!(kind, SET | MANIFEST) || self.stays(kind, &finding.id) {
                continue;
            }
            // A missing one leaves nothing to keep.
            let Some(record) = reader.get(kind, &id)? else { continue };
            if finding.damage == Damage::LookUp {
                // Written once more, with the tags that are its own.
                let live = objects::open(&record, Some(vault))?;
                let vault = live.bound.then_some(vault);
                let entropy = &*self.surroundings.entropy;
                let put = objects::put(vault, &live.object, record.version, entropy)?;
                if live.bound {
                    made.push(put)
                } else {
                    changes.push(put)
                };
            } else {
                made.push(self.kept(reader, &mut names, &record, &finding.damage)?);
                changes.push(Change::Remove { kind, id: id.clone(), expected: record.version });
                gone.insert((kind, id));
            }
        }
        let listing = set::anew(vault, reader, &gone, &made, &*self.surroundings.entropy)?;
        changes.extend(made);
        changes.extend(listing);
        Ok(changes)
    }

    /// Whether the token needs the record as it is.
    fn stays(&self, kind: Kind, id: &str) -> bool {
        let access = self.access.load();
        let own = access.holder.as_ref().and_then(|holder| credential::id(holder).ok());
        kind == HEADER || (kind == CREDENTIAL && own.is_some_and(|own| own.as_str() == id))
    }

    /// The change that keeps a damaged record under a name that is free; `names` are those
    /// given away in the same commit.
    fn kept(
        &self,
        reader: &dyn Reader,
        names: &mut HashSet<RecordId>,
        record: &Record,
        damage: &Damage,
    ) -> Result<Change> {
        let since = self.surroundings.clock.now().duration_since(UNIX_EPOCH);
        let body = Body {
            kind: record.kind.0,
            id: record.id.as_str().to_owned(),
            version: record.version,
            damage: damage.to_string(),
            when: since.map_or(0, |since| since.as_secs()),
            body: record.body.clone().into(),
        };
        let name: String = record.id.as_str().chars().take(RecordId::MAX_LEN - 8).collect();
        let mut id = record_id(&name)?;
        let mut number: u32 = 1;
        while names.contains(&id) || reader.get(QUARANTINED, &id)?.is_some() {
            number += 1;
            id = record_id(&format!("{name}.{number}"))?;
        }
        names.insert(id.clone());
        let (kind, body) = (QUARANTINED, to_vec(&body)?);
        Ok(Change::Put { kind, id, expected: 0, body, tags: Vec::new() })
    }

    /// The records that were set aside, in that order.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.authorize(self.principal(), Action::Quarantine, Resource::Token)?;
        let mut found = Vec::new();
        store::for_each(&*self.store, QUARANTINED, &[], |record| {
            let id = record.id.as_str().to_owned();
            let body: Option<Body> = minicbor::decode(&record.body).ok();
            found.push(match body {
                Some(Body { damage, when, body, .. }) => {
                    let when = UNIX_EPOCH.checked_add(Duration::from_secs(when));
                    let when = when.unwrap_or(UNIX_EPOCH);
                    Quarantined { id, damage, when, size: body.len() }
                }
                None => {
                    let damage = "it was damaged again in quarantine".to_owned();
                    Quarantined { id, damage, when: UNIX_EPOCH, size: record.body.len() }
                }
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Forgets a record that was set aside; whether there was one of this name.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Error::TokenWriteProtected`]; or why it could not be
    /// stored.
    pub fn discard(&self, id: &str) -> Result<bool> {
        self.authorize(self.principal(), Action::Quarantine, Resource::Token)?;
        self.require_writable()?;
        let Some(id) = RecordId::new(id) else { return Ok(false) };
        let mut was_there = false;
        self.with_vault(self.principal(), |vault| {
            self.commit(vault, &mut |reader| {
                let record = reader.get(QUARANTINED, &id)?;
                was_there = record.is_some();
                let removed = record.map(|record| Change::Remove {
                    kind: QUARANTINED,
                    id: id.clone(),
                    expected: record.version,
                });
                Ok(removed.into_iter().collect())
            })
        })?;
        Ok(was_there)
    }
}
