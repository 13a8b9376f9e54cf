//! What dates do to keys without anybody's help: a deletion that is due removes a key
//! with its grants and aliases, an expiry its imported material.
//!
//! From its date on nobody finds, sees or uses the key or the material, in whatever
//! process ([`Lifecycle::state_at`](crate::object::Lifecycle::state_at)). The records are
//! put right at the next login or change of somebody whose login opens them: there is
//! no daemon that must be at work for that.

use super::objects::{Dated, kind_of, open, removal};
use super::record::{PRIVATE, PUBLIC};
use super::{LiveObject, Token};
use crate::entropy;
use crate::error::Result;
use crate::object::{KeyState, Lifecycle, MaterialMark, Object};
use crate::store::{Kind, Record, RecordId};
use crate::vault::{self, Vault};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// How many records with dates are looked at, of each kind and date, at a time.
const LOOK_AT: usize = 1024;
/// How many records are put right at a time, each in a commit of its own.
const ACT_ON: usize = 16;
/// When dates are looked at again, at the latest: another process may have set one.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// What a date has done to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// The key of this unique id was removed (KMS event: DeleteKey).
    Deleted(String),
    /// Its imported material was removed (KMS event: DeleteExpiredKeyMaterial).
    MaterialExpired(String),
}

/// Records that a date has made wrong.
type Due = BTreeSet<(Kind, RecordId)>;

impl Token {
    /// Acts on dates when it is time to look for them. What keeps it from that is no
    /// reason to fail at what else was done: it is tried again.
    pub(super) fn act_on_dates_now_and_then(&self) {
        let now = self.surroundings.clock.now();
        if *self.dates_at.lock() <= now {
            let _ = self.act_on_dates();
        }
    }

    /// Puts records right that a date has made wrong, some at a time; what it did. Does
    /// nothing without a login or where nothing can be written.
    ///
    /// # Errors
    /// The store could not be read or written.
    pub fn act_on_dates(&self) -> Result<Vec<Acted>> {
        let access = self.access.load_full();
        let Some(vault) = access.vault.as_deref() else { return Ok(Vec::new()) };
        if !self.store.is_writable() {
            return Ok(Vec::new());
        }
        let now = self.surroundings.clock.now();
        let (due, next) = self.dates(vault, now)?;
        let mut acted = Vec::new();
        for (kind, id) in due.iter().take(ACT_ON) {
            acted.extend(self.act_on(vault, *kind, id, now)?);
        }
        let again = now.checked_add(AGAIN_AFTER).unwrap_or(now);
        let is_done = due.len() <= ACT_ON;
        *self.dates_at.lock() =
            if is_done { next.map_or(again, |next| next.min(again)) } else { now };
        Ok(acted)
    }

    /// What is due now, and when the next will be.
    fn dates(&self, vault: &Vault, now: SystemTime) -> Result<(Due, Option<SystemTime>)> {
        let mut due = Due::new();
        let mut next: Option<SystemTime> = None;
        for kind in [PRIVATE, PUBLIC] {
            for dated in Dated::ALL {
                let tag = dated.tag(kind, Some(vault))?;
                for record in self.store.find(kind, &[tag], None, LOOK_AT)?.records {
                    // A damaged one is for the check.
                    let Ok(live) = open(&record, Some(vault)) else { continue };
                    let life = live.object.lifecycle();
                    if life.is_due(now) {
                        due.insert((kind, record.id));
                    } else {
                        next = next.into_iter().chain(life.next_change(now)).min();
                    }
                }
            }
        }
        Ok((due, next))
    }

    fn act_on(
        &self,
        vault: &Vault,
        kind: Kind,
        id: &RecordId,
        now: SystemTime,
    ) -> Result<Option<Acted>> {
        let mut acted = None;
        self.commit(Some(vault), &mut |reader| {
            acted = None;
            let Some(record): Option<Record> = reader.get(kind, id)? else { return Ok(Vec::new()) };
            let present = open(&record, Some(vault))?;
            let life = present.object.lifecycle();
            let name = id.as_str().to_owned();
            if life.state_at(now).is_none() {
                acted = Some(Acted::Deleted(name));
                removal(&present, Some(vault), reader)
            } else if life.is_expired(now) {
                acted = Some(Acted::MaterialExpired(name));
                let bare = self.bare(&present.object)?;
                Ok(vec![self.put(Some(vault), &bare, present.version)?])
            } else {
                Ok(Vec::new())
            }
        })?;
        Ok(acted)
    }

    /// The key without its imported material, of which a mark stays: only the same may
    /// follow it.
    pub(super) fn bare(&self, key: &Object) -> Result<Object> {
        let life = key.lifecycle();
        // The mark of a public key could be read by all, and short material guessed by it;
        // such a key never gets other material.
        let material = if key.is_private() && !key.lacks_material() {
            let salt = entropy::array(&*self.surroundings.entropy)?;
            let hash = vault::hmac(&salt, &[key.value().expose()])?;
            Some(MaterialMark { salt, hash })
        } else {
            life.material
        };
        let state =
            if life.state.is_pending_deletion() { life.state } else { KeyState::PendingImport };
        Ok(key.without_material(Lifecycle { state, material, valid_to: None, ..life.clone() }))
    }

    /// What an opened record is now, whatever of it has not been put right yet; `None` if
    /// it is gone.
    pub(super) fn as_of_now(&self, live: LiveObject) -> Result<Option<LiveObject>> {
        let now = self.surroundings.clock.now();
        let life = live.object.lifecycle();
        if life.state_at(now).is_none() {
            return Ok(None);
        }
        if !life.is_expired(now) {
            return Ok(Some(live));
        }
        let bare = self.bare(&live.object)?;
        debug_assert_eq!(kind_of(bare.is_private()), live.kind);
        Ok(Some(LiveObject::new(bare, live.kind, live.version, live.bound, live.is_complete())))
    }
}
