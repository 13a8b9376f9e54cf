//! The life of a key: enabled and disabled, scheduled for deletion, described, tagged.
//!
//! Each change is one commit that sees the key as it stands under the writer's lock: its
//! state, and whether the principal may, are asked there. A key is named by its unique id.

use super::authorization::{Ask, Circumstances};
use super::objects::Seen;
use super::{LiveObject, Token};
use crate::error::{Error, Refusal, Result};
use crate::object::{
    DELETION_WINDOW, DESCRIPTION_MAX, Deletion, KeyState, Lifecycle, Object, Tags,
};
use crate::policy::{Action, Principal, Resource};
use crate::types::ObjectClass;
use std::sync::Arc;
use std::time::SystemTime;

/// A deletion that was scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// [`KeyState::PendingDeletion`], or [`KeyState::PendingReplicaDeletion`] of a
    /// primary that has replicas.
    pub state: KeyState,
    /// The waiting period, and when it ends, if it has begun.
    pub deletion: Deletion,
}

pub(super) fn no_such_key(key: &str) -> Error {
    Error::Refused(Refusal::NoSuchKey(key.to_owned()))
}

impl Token {
    /// The secret key of this unique id, for whoever asks
    /// [`authorize`](Self::authorize) for what is done with it. To find out that it is
    /// there takes a login and nothing else.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], also once its deletion is due; [`Error::RecordDamaged`];
    /// the store could not be read.
    pub fn key(&self, principal: Principal, key: &str) -> Result<Arc<LiveObject>> {
        let live = self.look_up(principal, key)?;
        live.filter(|live| live.object.class() == ObjectClass::SecretKey)
            .ok_or_else(|| no_such_key(key))
    }

    /// Changes a key as `change` says, which is shown it as the token is under the writer's
    /// lock, and the time, and says `None` if it may stay as it is.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`]; what `authorize` and the table of states say
    /// ([`require_state`](crate::policy::require_state)); what `change` returns; or why it
    /// could not be stored.
    pub(super) fn change_key(
        &self,
        ask: Ask<'_>,
        key: &str,
        change: &mut ChangeKey<'_>,
    ) -> Result<()> {
        let live = self.key(ask.principal, key)?;
        self.edit(ask, &live, &mut |present, vault, reader| {
            let object = &present.object;
            self.require_state(ask.action, object)?;
            let now = self.surroundings.clock.now();
            let changed = change(object, now, (reader, vault))?;
            changed.map(|changed| self.put(vault, &changed, present.version)).into_iter().collect()
        })?
        .ok_or_else(|| no_such_key(key))
    }

    /// The same for what is not an attribute.
    fn change_life(
        &self,
        ask: Ask<'_>,
        key: &str,
        change: &mut dyn FnMut(&Object, SystemTime) -> Result<Lifecycle>,
    ) -> Result<()> {
        self.change_key(ask, key, &mut |object, now, _| {
            let life = change(object, now)?;
            Ok((life != *object.lifecycle()).then(|| object.with_lifecycle(life)))
        })
    }

    /// Lets a key be used again (KMS API: EnableKey). One that is enabled stays so.
    ///
    /// # Errors
    /// As for every change of a key's life: [`Refusal::NoSuchKey`], [`Refusal::State`],
    /// [`Error::UserNotLoggedIn`]; or why it could not be stored.
    pub fn enable_key(&self, principal: Principal, key: &str) -> Result<()> {
        self.change_life(Ask::new(principal, Action::EnableKey), key, &mut |object, _| {
            Ok(Lifecycle { state: KeyState::Enabled, ..object.lifecycle().clone() })
        })
    }

    /// Keeps a key from being used (KMS API: DisableKey), in every process from its next
    /// operation on. One that is disabled stays so.
    ///
    /// # Errors
    /// As for [`Token::enable_key`].
    pub fn disable_key(&self, principal: Principal, key: &str) -> Result<()> {
        self.change_life(Ask::new(principal, Action::DisableKey), key, &mut |object, _| {
            Ok(Lifecycle { state: KeyState::Disabled, ..object.lifecycle().clone() })
        })
    }

    /// Schedules the deletion of a key in `window_days` days, 7 to 30 (KMS API:
    /// ScheduleKeyDeletion). Until then it is kept and cannot be used. The window of a
    /// primary key that has replicas begins when the last of them is gone.
    ///
    /// # Errors
    /// As for [`Token::enable_key`]; [`Error::ValidationFailed`] for another number of days.
    pub fn schedule_key_deletion(
        &self,
        principal: Principal,
        key: &str,
        window_days: u8,
    ) -> Result<Scheduled> {
        if !DELETION_WINDOW.contains(&window_days) {
            let why = "PendingWindowInDays must be between 7 and 30";
            return Err(Error::ValidationFailed(why.into()));
        }
        let mut scheduled = None;
        let days = window_days.to_string();
        let circumstances: &Circumstances<'_> =
            &[("kms:ScheduleKeyDeletionPendingWindowInDays", &[&*days])];
        let ask = Ask::new(principal, Action::ScheduleKeyDeletion).with(circumstances);
        self.change_life(ask, key, &mut |object, now| {
            let life = object.lifecycle();
            let (state, deletion) = if life.has_replicas() {
                (KeyState::PendingReplicaDeletion, Deletion { window_days, date: None })
            } else {
                (KeyState::PendingDeletion, Deletion::after(window_days, now))
            };
            scheduled = Some(Scheduled { state, deletion });
            Ok(Lifecycle { state, deletion: Some(deletion), ..life.clone() })
        })?;
        scheduled.ok_or_else(|| no_such_key(key))
    }

    /// Keeps a key after all (KMS API: CancelKeyDeletion). It is disabled then, or waits
    /// for its material if that has gone meanwhile.
    ///
    /// # Errors
    /// As for [`Token::enable_key`]; [`Refusal::NotPendingDeletion`].
    pub fn cancel_key_deletion(&self, principal: Principal, key: &str) -> Result<()> {
        let ask = Ask::new(principal, Action::CancelKeyDeletion);
        self.change_life(ask, key, &mut |object, now| {
            let life = object.lifecycle();
            let has_material = !object.lacks_material() && !life.is_expired(now);
            let state = if has_material { KeyState::Disabled } else { KeyState::PendingImport };
            Ok(Lifecycle { state, deletion: None, ..life.clone() })
        })
    }

    /// Describes a key anew, in at most 8,192 characters (KMS API: UpdateKeyDescription).
    ///
    /// # Errors
    /// As for [`Token::enable_key`]; [`Error::ValidationFailed`] for a longer text.
    pub fn update_key_description(
        &self,
        principal: Principal,
        key: &str,
        description: &str,
    ) -> Result<()> {
        require_description(description)?;
        let ask = Ask::new(principal, Action::UpdateKeyDescription);
        self.change_life(ask, key, &mut |object, _| {
            Ok(Lifecycle { description: description.to_owned(), ..object.lifecycle().clone() })
        })
    }

    /// Sets tags of a key; others of the same keys are overwritten (KMS API: TagResource).
    ///
    /// # Errors
    /// As for [`Token::enable_key`], and for [`Tags::with`].
    pub fn tag_key(
        &self,
        principal: Principal,
        key: &str,
        tags: &[(String, String)],
    ) -> Result<()> {
        // What is wrong with the tags themselves is said whatever the key.
        let asked = Tags::of(tags)?;
        with_tags(&asked, |circumstances| {
            let ask = Ask::new(principal, Action::TagResource).with(circumstances);
            self.change_life(ask, key, &mut |object, _| {
                let life = object.lifecycle();
                Ok(Lifecycle { tags: life.tags.with(tags)?, ..life.clone() })
            })
        })
    }

    /// Removes tags of a key, of those keys that it has (KMS API: UntagResource).
    ///
    /// # Errors
    /// As for [`Token::enable_key`], and for [`Tags::without`].
    pub fn untag_key(&self, principal: Principal, key: &str, keys: &[String]) -> Result<()> {
        Tags::new().without(keys)?;
        let names: Vec<_> = keys.iter().map(|key| &**key).collect();
        let circumstances: &Circumstances<'_> = &[(TAG_KEYS, &names)];
        let ask = Ask::new(principal, Action::UntagResource).with(circumstances);
        self.change_life(ask, key, &mut |object, _| {
            let life = object.lifecycle();
            Ok(Lifecycle { tags: life.tags.without(keys)?, ..life.clone() })
        })
    }

    /// A key's tags (KMS API: ListResourceTags).
    ///
    /// # Errors
    /// As for [`Token::enable_key`].
    pub fn key_tags(&self, principal: Principal, key: &str) -> Result<Tags> {
        let live = self.key(principal, key)?;
        self.authorize(principal, Action::ListResourceTags, Resource::Object(&live.object))?;
        Ok(live.object.lifecycle().tags.clone())
    }
}

/// Under which conditions find the keys of the tags that a request brings along.
const TAG_KEYS: &str = "aws:TagKeys";

/// What a request brings along that sets these tags, passed to `work`.
pub(super) fn with_tags<R>(tags: &Tags, work: impl FnOnce(&Circumstances<'_>) -> R) -> R {
    let tags: Vec<_> =
        tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), key, [value])).collect();
    let keys: Vec<_> = tags.iter().map(|(_, key, _)| *key).collect();
    let each = tags.iter().map(|(name, _, value)| (&**name, &value[..]));
    let circumstances: Vec<_> = each.chain([(TAG_KEYS, &*keys)]).collect();
    work(&circumstances)
}

/// What changes a key, seen at a time with all else that is stored.
pub(super) type ChangeKey<'a> =
    dyn FnMut(&Object, SystemTime, Seen<'_>) -> Result<Option<Object>> + 'a;

/// Refuses a description that is too long.
pub(super) fn require_description(description: &str) -> Result<()> {
    if description.chars().count() <= DESCRIPTION_MAX {
        return Ok(());
    }
    let why = format!("a description has at most {DESCRIPTION_MAX} characters");
    Err(Error::ValidationFailed(why))
}
