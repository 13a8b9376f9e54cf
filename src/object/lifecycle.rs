//! What an object carries besides its attributes: state, dates, policy, tags.
//!
//! Dates are acted on without anybody's help: [`Lifecycle::state_at`] says what a key
//! is at a time, whatever its record says.

use super::tags::Tags;
use crate::types::{KeyState, Origin, Region};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a key can wait for its deletion, in days (KMS API: `PendingWindowInDays`).
pub const DELETION_WINDOW: std::ops::RangeInclusive<u8> = 7..=30;
/// How long it waits if nobody says, in days.
pub const DELETION_WINDOW_DEFAULT: u8 = 30;
/// The longest description, in characters (KMS API: `Description`).
pub const DESCRIPTION_MAX: usize = 8192;
/// The longest key policy, in bytes.
pub const POLICY_MAX: usize = 32_768;

/// What an object carries besides its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Whether it may be used, as long as no date says otherwise.
    pub state: KeyState,
    /// Where its value came from.
    pub origin: Origin,
    /// The key policy, an IAM document; `None` is the default policy.
    pub policy: Option<String>,
    /// When it was made.
    pub created: SystemTime,
    /// What it is for, in its administrator's words.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
    /// How it waits for its deletion.
    pub deletion: Option<Deletion>,
    /// When imported material expires; `None`: never.
    pub valid_to: Option<SystemTime>,
    /// What imported material that is gone was: no other may follow it.
    pub material: Option<MaterialMark>,
    /// Its place among the keys of several Regions.
    pub multi_region: Option<MultiRegion>,
}

/// A deletion to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The waiting period, in days.
    pub window_days: u8,
    /// When it is due; `None` while a primary waits for its replicas.
    pub date: Option<SystemTime>,
}

impl Deletion {
    /// One that is due this many days after `now`.
    #[must_use]
    pub fn after(window_days: u8, now: SystemTime) -> Self {
        let window = Duration::from_secs(u64::from(window_days) * 86_400);
        Self { window_days, date: whole_seconds(now).checked_add(window) }
    }
}

/// A salted hash of key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaterialMark {
    /// The salt.
    pub salt: [u8; 16],
    /// HMAC-SHA-256 of the material under the salt.
    pub hash: [u8; 32],
}

/// The place of a key among those that share its id and material in other Regions
/// (KMS API: `MultiRegionConfiguration`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiRegion {
    /// Whether it is the primary key; the others are replicas.
    pub is_primary: bool,
    /// The primary key's Region.
    pub primary: Region,
    /// The replicas' Regions, sorted; of a replica its own among them.
    pub replicas: Vec<Region>,
}

impl Lifecycle {
    /// That of an enabled object, made now.
    #[must_use]
    pub const fn new(origin: Origin, now: SystemTime) -> Self {
        Self {
            state: KeyState::Enabled,
            origin,
            policy: None,
            created: now,
            description: String::new(),
            tags: Tags::new(),
            deletion: None,
            valid_to: None,
            material: None,
            multi_region: None,
        }
    }

    /// The state at this time; `None` once the deletion is due: nobody may see the
    /// object any more, whether its record has been removed or not.
    #[must_use]
    pub fn state_at(&self, now: SystemTime) -> Option<KeyState> {
        match self.state {
            KeyState::PendingDeletion if self.gone_at().is_some_and(|date| date <= now) => None,
            KeyState::Enabled | KeyState::Disabled | KeyState::Updating if self.is_expired(now) => {
                Some(KeyState::PendingImport)
            }
            state => Some(state),
        }
    }

    /// When the object is gone, if it waits for that.
    #[must_use]
    pub fn gone_at(&self) -> Option<SystemTime> {
        let deletion = self.deletion.filter(|_| self.state == KeyState::PendingDeletion);
        deletion.and_then(|deletion| deletion.date)
    }

    /// Whether its material has expired and may not be used, if it is still there.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.valid_to.is_some_and(|date| date <= now)
    }

    /// The first time after `now` at which a date changes what the key is.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        [self.gone_at(), self.valid_to].into_iter().flatten().filter(|date| *date > now).min()
    }

    /// Whether the time makes a difference: a deletion or an expiry is to come or over.
    #[must_use]
    pub fn has_dates(&self) -> bool {
        self.valid_to.is_some() || self.gone_at().is_some()
    }

    /// Whether a date that has passed is still to be acted on in the record.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.state_at(now).is_none() || self.is_expired(now)
    }

    /// A primary key that has replicas.
    #[must_use]
    pub fn has_replicas(&self) -> bool {
        self.multi_region.as_ref().is_some_and(|it| it.is_primary && !it.replicas.is_empty())
    }

    /// What a copy inherits: all but the age and the place among the Regions, which is
    /// that of an id.
    #[must_use]
    pub fn inherited(&self, now: SystemTime) -> Self {
        Self { created: now, multi_region: None, ..self.clone() }
    }
}

/// The time without its fraction of a second, as records keep it.
#[must_use]
pub fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyState::{Disabled, Enabled, PendingDeletion, PendingImport, PendingReplicaDeletion};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn life(state: KeyState) -> Lifecycle {
        Lifecycle { state, ..Lifecycle::new(Origin::External, at(0)) }
    }

    #[test]
    fn a_key_is_gone_from_its_deletion_date_on() {
        let life = Lifecycle {
            deletion: Some(Deletion { window_days: 7, date: Some(at(10)) }),
            ..life(PendingDeletion)
        };
        assert_eq!(life.state_at(at(9)), Some(PendingDeletion));
        assert_eq!(life.next_change(at(9)), Some(at(10)));
        for gone in [at(10), at(11)] {
            assert_eq!(life.state_at(gone), None);
            assert_eq!(life.next_change(gone), None);
            assert!(life.is_due(gone));
        }
        let cancelled = Lifecycle { state: Disabled, ..life };
        assert_eq!(cancelled.state_at(at(11)), Some(Disabled), "the state counts");
    }

    #[test]
    fn a_primary_waits_as_long_as_it_has_replicas() {
        let deletion = Some(Deletion { window_days: 7, date: None });
        let life = Lifecycle { deletion, ..life(PendingReplicaDeletion) };
        assert_eq!(life.state_at(at(1 << 40)), Some(PendingReplicaDeletion));
        assert_eq!(life.next_change(at(0)), None);
    }

    #[test]
    fn expired_material_waits_for_import_in_every_state_that_could_use_it() {
        for (state, then) in [
            (Enabled, PendingImport),
            (Disabled, PendingImport),
            (KeyState::Updating, PendingImport),
            (PendingReplicaDeletion, PendingReplicaDeletion),
            (KeyState::Creating, KeyState::Creating),
        ] {
            let life = Lifecycle { valid_to: Some(at(10)), ..life(state) };
            assert_eq!(life.state_at(at(9)), Some(state));
            assert_eq!(life.state_at(at(10)), Some(then), "{state}");
            assert!(life.is_due(at(10)) && !life.is_due(at(9)), "{state}");
        }
    }

    #[test]
    fn the_nearest_date_to_come_is_the_next_change() {
        let life = Lifecycle {
            deletion: Some(Deletion::after(7, at(0))),
            valid_to: Some(at(10)),
            ..life(PendingDeletion)
        };
        assert_eq!(life.next_change(at(0)), Some(at(10)));
        assert_eq!(life.next_change(at(10)), Some(at(7 * 86_400)));
        assert_eq!(life.next_change(at(7 * 86_400)), None);
    }
}
