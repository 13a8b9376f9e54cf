//! The token's objects as records: made, opened, changed, removed.

use super::authorization::Ask;
use super::key_life::no_such_key;
use super::record::{ALIAS, GRANT, PRIVATE, PUBLIC, to_vec};
use super::sealed::OF_KEY;
use super::{LiveObject, Token, record_id};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::object::{Object, codec};
use crate::policy::{Action, Principal, Resource};
use crate::secret::SecretBytes;
use crate::store::{self, Change, Changes, Kind, Reader, Record, RecordId, Sequence, Tag};
use crate::types::{AttributeType, ObjectClass};
use crate::vault::{Place, Vault, public_tag};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

/// The attributes that the store can look up, the most telling first. The
/// numbers are stored.
pub(super) const INDEXED: [(AttributeType, u8); 4] = [
    (AttributeType::Id, 4),
    (AttributeType::Label, 3),
    (AttributeType::KeyType, 2),
    (AttributeType::Class, CLASS),
];

/// By which objects of a class are found.
pub(super) const CLASS: u8 = 1;

/// By which objects are found that a date is to act on. Stored.
const DATED: u8 = 5;

/// The dates of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dated {
    /// A deletion.
    Deletion,
    /// The expiry of imported material.
    Expiry,
}

impl Dated {
    pub const ALL: [Self; 2] = [Self::Deletion, Self::Expiry];

    /// What the objects bear that such a date is to act on.
    pub fn tag(self, kind: Kind, vault: Option<&Vault>) -> Result<Tag> {
        let value: &[u8] = match self {
            Self::Deletion => b"deletion",
            Self::Expiry => b"expiry",
        };
        tag(kind, vault, DATED, value)
    }
}

/// An object's body: what everybody may read, and what needs the vault.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Body {
    /// Empty for a private object; otherwise the object, of a key all but its value.
    #[n(0)]
    open: ByteVec,
    /// Absent for a public object that was made without a login.
    #[n(1)]
    sealed: Option<ByteVec>,
}

pub(super) const fn kind_of(private: bool) -> Kind {
    if private { PRIVATE } else { PUBLIC }
}

/// Whether a public object was made after a login; so it is when nobody can tell.
pub(super) fn is_bound(record: &Record) -> bool {
    is_bound_body(&record.body)
}

/// The same of a public object's body.
pub(super) fn is_bound_body(body: &[u8]) -> bool {
    minicbor::decode::<Body>(body).map_or(true, |body| body.sealed.is_some())
}

/// What can be read of a public object that does not open, true or not.
pub(super) fn readable(record: &Record) -> Option<Object> {
    let body: Body = minicbor::decode(&record.body).ok()?;
    codec::decode(&body.open).filter(|_| record.kind == PUBLIC)
}

/// Opens a record. Without a vault only public objects open, unchecked and
/// without the value of a key.
pub(super) fn open(record: &Record, vault: Option<&Vault>) -> Result<LiveObject> {
    let id = record.id.as_str();
    let damaged = || Error::RecordDamaged(id.to_owned());
    let body: Body = minicbor::decode(&record.body).map_err(|_| damaged())?;
    let place = Place { kind: record.kind.0, id, version: record.version };
    let bound = body.sealed.is_some();
    let sealed = match (&body.sealed, vault) {
        (Some(sealed), Some(vault)) => Some(vault.open(place, &body.open, sealed)?),
        _ => None,
    };
    let object = if record.kind == PRIVATE {
        let sealed = sealed.ok_or(Error::UserNotLoggedIn)?;
        codec::decode(sealed.expose()).ok_or_else(damaged)?
    } else {
        let object = codec::decode(&body.open).ok_or_else(damaged)?;
        match (object.class(), sealed) {
            (ObjectClass::SecretKey, _) if !bound => return Err(damaged()),
            (ObjectClass::SecretKey, Some(value)) => object.with_value(value),
            _ => object,
        }
    };
    if object.unique_id() != id || object.is_private() != (record.kind == PRIVATE) {
        return Err(damaged());
    }
    let complete = !bound || vault.is_some();
    Ok(LiveObject::new(object, record.kind, record.version, bound, complete))
}

impl Token {
    /// Stores a new token object.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] when `principal` may not make it; or why it
    /// could not be stored.
    pub fn insert(
        &self,
        principal: Principal,
        action: Action,
        object: Object,
    ) -> Result<Arc<LiveObject>> {
        self.insert_as(Ask::new(principal, action), object, &mut |_, _| Ok(()))
    }

    /// The same of a request that brings something along. `check` sees what is there under
    /// the writer's lock.
    pub(super) fn insert_as(
        &self,
        ask: Ask<'_>,
        object: Object,
        check: &mut dyn FnMut(&Object, Seen<'_>) -> Result<()>,
    ) -> Result<Arc<LiveObject>> {
        // First: nobody is logged in to a token that is gone, and that is not the news.
        self.refresh()?;
        self.answer_new(ask, &object)?;
        self.require_writable()?;
        let (stamp, sequence, bound) = self.with_vault(ask.principal, |vault| {
            let stamp = self.registry.lock().stamp();
            let change = self.put(vault, &object, 0)?;
            let sequence = self.commit(vault, &mut |reader| {
                check(&object, (reader, vault))?;
                Ok(vec![change.clone()])
            })?;
            Ok((stamp, sequence, vault.is_some()))
        })?;
        let kind = kind_of(object.is_private());
        let id = record_id(object.unique_id())?;
        let live = Arc::new(LiveObject::new(object, kind, 1, bound, true));
        let kept = self.registry.lock().keep(id, &live, stamp.and_commit(sequence));
        self.act_on_dates_now_and_then();
        Ok(kept.unwrap_or_else(|| {
            // Somebody may have changed it already.
            live.retire();
            live
        }))
    }

    /// The object with this unique id, if `principal` may see it.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn get(&self, principal: Principal, unique_id: &str) -> Result<Option<Arc<LiveObject>>> {
        let Some(live) = self.look_up(principal, unique_id)? else { return Ok(None) };
        Ok(self.may_see(principal, live.object())?.then_some(live))
    }

    /// The object with this unique id, as far as the login of `principal` opens it.
    /// What may be done with it, and whether it may be seen, is asked for by whoever does
    /// that.
    ///
    /// # Errors
    /// As for [`Token::get`].
    pub fn look_up(
        &self,
        principal: Principal,
        unique_id: &str,
    ) -> Result<Option<Arc<LiveObject>>> {
        self.refresh()?;
        let Some(id) = RecordId::new(unique_id) else { return Ok(None) };
        for &kind in visible_kinds(principal) {
            if let Some(live) = self.opened(principal, kind, &id)? {
                return Ok(Some(live).filter(|live| !self.is_gone(live)));
            }
        }
        Ok(None)
    }

    /// Whether the deletion of an object is due. Asks the clock only where there is one.
    #[must_use]
    pub fn is_gone(&self, live: &LiveObject) -> bool {
        live.gone_at().is_some_and(|date| date <= self.surroundings.clock.now())
    }

    /// Which of these objects, by unique id and whether they are private, the token has
    /// no more, if it had them at the commit `since`; and the commit up to which that
    /// was found out. Reads as much as has changed, or about every one of them when
    /// that was too much or too long ago.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn gone_since<'o>(
        &self,
        since: Sequence,
        objects: impl Iterator<Item = (&'o str, bool)>,
    ) -> Result<(Vec<&'o str>, Sequence)> {
        let (changed, now) = match self.store.changes(since)? {
            Changes::Everything { now } => (None, now),
            Changes::Records { records, now } => {
                (Some(records.into_iter().collect::<HashSet<_>>()), now)
            }
        };
        let mut gone = Vec::new();
        for (unique_id, is_private) in objects {
            let key = (kind_of(is_private), record_id(unique_id)?);
            let asked = changed.as_ref().is_none_or(|changed| changed.contains(&key));
            if asked && self.store.get(key.0, &key.1)?.is_none() {
                gone.push(unique_id);
            }
        }
        Ok((gone, now))
    }

    /// The record as an object, if there is one, opened as far as `principal` can.
    fn opened(
        &self,
        principal: Principal,
        kind: Kind,
        id: &RecordId,
    ) -> Result<Option<Arc<LiveObject>>> {
        // Once more only when there was a commit or a login meanwhile.
        loop {
            let (stamp, known) = {
                let registry = self.registry.lock();
                (registry.stamp(), registry.get(kind, id))
            };
            let vault = self.vault_of(principal)?;
            if let Some(live) = known.filter(|live| live.is_complete() || vault.is_none()) {
                return Ok(Some(live));
            }
            let Some(record) = self.store.get(kind, id)? else { return Ok(None) };
            let live = match open(&record, vault.as_deref()) {
                Ok(live) => Arc::new(live),
                Err(error) => {
                    // Under a root key that came after the vault was chosen?
                    self.refresh()?;
                    if self.registry.lock().stamp().is_of_login(stamp) {
                        return Err(error);
                    }
                    continue;
                }
            };
            let kept = self.registry.lock().keep(id.clone(), &live, stamp);
            if kept.is_some() {
                return Ok(kept);
            }
        }
    }

    /// Replaces an object by what `change` makes of its present state.
    ///
    /// # Errors
    /// [`Error::ObjectHandleInvalid`] is the caller's to make of `None`; what
    /// `change` returns; [`Error::UserNotLoggedIn`].
    pub fn update(
        &self,
        principal: Principal,
        live: &LiveObject,
        change: &mut dyn FnMut(&Object) -> Result<Object>,
    ) -> Result<Option<()>> {
        let ask = Ask::new(principal, Action::UpdateAttributes);
        self.edit(ask, live, &mut |present, vault, _| {
            let changed = change(&present.object)?;
            Ok(vec![self.put(vault, &changed, present.version)?])
        })
    }

    /// Destroys an object, and a key's grants and aliases with it.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`] when `CKA_DESTROYABLE` is false;
    /// [`Error::UserNotLoggedIn`].
    pub fn remove(&self, principal: Principal, live: &LiveObject) -> Result<Option<()>> {
        let ask = Ask::new(principal, Action::DestroyKey);
        self.edit(ask, live, &mut |present, vault, reader| {
            if !present.object.flag(AttributeType::Destroyable) {
                return Err(Error::ActionProhibited("CKA_DESTROYABLE is false"));
            }
            removal(present, vault, reader)
        })
    }

    /// The changes that one object meets as it stands under the writer's lock; `None`
    /// when it is gone.
    pub(super) fn edit(
        &self,
        ask: Ask<'_>,
        live: &LiveObject,
        change: &mut Edit<'_>,
    ) -> Result<Option<()>> {
        self.refresh()?;
        self.answer(ask, Resource::Object(live.object()))?;
        self.require_writable()?;
        let id = record_id(live.object().unique_id())?;
        self.with_vault(ask.principal, |vault| {
            // Only a session that can bind a record again may touch a bound one.
            if live.bound && vault.is_none() {
                return Err(Error::UserNotLoggedIn);
            }
            let vault = vault.filter(|_| live.bound);
            let mut gone = false;
            self.commit(vault, &mut |reader: &dyn Reader| {
                gone = false;
                let Some(record) = reader.get(live.kind, &id)? else {
                    gone = true;
                    return Ok(Vec::new());
                };
                let present = open(&record, vault)?;
                if self.is_gone(&present) {
                    gone = true;
                    return Ok(Vec::new());
                }
                self.authorize_in(reader, vault, ask, &present.object)?;
                change(&present, vault, reader)
            })?;
            Ok((!gone).then_some(()))
        })
        .inspect(|_| self.act_on_dates_now_and_then())
    }

    /// The change that seals a record of an object under another root key; `None` for
    /// one that no root key binds.
    pub(super) fn resealed(
        &self,
        record: &Record,
        old: &Vault,
        new: &Vault,
    ) -> Result<Option<Change>> {
        let live = open(record, Some(old))?;
        if !live.bound {
            return Ok(None);
        }
        self.put(Some(new), &live.object, live.version).map(Some)
    }

    /// The change that stores `object` over version `expected`.
    pub(super) fn put(
        &self,
        vault: Option<&Vault>,
        object: &Object,
        expected: u64,
    ) -> Result<Change> {
        put(vault, object, expected, &*self.surroundings.entropy)
    }
}

/// The secret key of this unique id in the state that `reader` shows, as far as the login
/// of `principal` opens it.
///
/// # Errors
/// [`Refusal::NoSuchKey`](crate::error::Refusal::NoSuchKey), [`Error::RecordDamaged`]; the
/// store could not be read.
pub(super) fn key_in(
    reader: &dyn Reader,
    vault: &Vault,
    principal: Principal,
    key: &str,
    now: SystemTime,
) -> Result<LiveObject> {
    if let Some(id) = RecordId::new(key) {
        for &kind in visible_kinds(principal) {
            let Some(record) = reader.get(kind, &id)? else { continue };
            let live = open(&record, Some(vault))?;
            let is_there = live.object.lifecycle().state_at(now).is_some();
            if live.object.class() == ObjectClass::SecretKey && is_there {
                return Ok(live);
            }
        }
    }
    Err(no_such_key(key))
}

/// All that is stored, and what opens it.
pub(super) type Seen<'a> = (&'a dyn Reader, Option<&'a Vault>);

/// What changes an object, seen with what opens records and all else that is stored.
pub(super) type Edit<'a> =
    dyn FnMut(&LiveObject, Option<&Vault>, &dyn Reader) -> Result<Vec<Change>> + 'a;

/// The changes that remove an object, and of a key its grants and aliases.
pub(super) fn removal(
    present: &LiveObject,
    vault: Option<&Vault>,
    reader: &dyn Reader,
) -> Result<Vec<Change>> {
    let id = record_id(present.object.unique_id())?;
    let expected = present.version;
    let mut changes = vec![Change::Remove { kind: present.kind, id, expected }];
    let Some(vault) = vault else { return Ok(changes) };
    for kind in [GRANT, ALIAS] {
        // By their tags, so that a damaged one keeps nothing from going.
        let of_key = Tag { property: OF_KEY, hash: vault.tag(OF_KEY, present.id().as_bytes())? };
        store::for_each(reader, kind, &[of_key], |record| {
            let (id, expected) = (record.id.clone(), record.version);
            changes.push(Change::Remove { kind, id, expected });
            Ok(())
        })?;
    }
    Ok(changes)
}

/// The change that stores `object` over version `expected`.
pub(super) fn put(
    vault: Option<&Vault>,
    object: &Object,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let kind = kind_of(object.is_private());
    let id = record_id(object.unique_id())?;
    let is_key = object.class() == ObjectClass::SecretKey;
    if vault.is_none() && (is_key || object.is_private()) {
        return Err(Error::UserNotLoggedIn);
    }
    let place = Place { kind: kind.0, id: id.as_str(), version: expected + 1 };
    let seal = |open: &[u8], plain: &SecretBytes| {
        vault.map(|vault| vault.seal(place, open, plain.expose(), entropy)).transpose()
    };
    let (open, sealed) = if kind == PRIVATE {
        (Vec::new(), seal(&[], &codec::encode(object, true)?)?)
    } else {
        let open = codec::encode(object, !is_key)?.expose().to_vec();
        let nothing = SecretBytes::copied(&[]);
        let sealed = seal(&open, if is_key { object.value() } else { &nothing })?;
        (open, sealed)
    };
    let body = Body { open: open.into(), sealed: sealed.map(Into::into) };
    let tags = tags(object, vault)?;
    Ok(Change::Put { kind, id, expected, body: to_vec(&body)?, tags })
}

/// The kinds of object that `principal` can see at all.
pub(super) const fn visible_kinds(principal: Principal) -> &'static [Kind] {
    match principal {
        Principal::Owner | Principal::Named(_) => &[PRIVATE, PUBLIC],
        Principal::SecurityOfficer | Principal::Public => &[PUBLIC],
    }
}

/// The tags by which an object is found, sorted.
pub(super) fn tags(object: &Object, vault: Option<&Vault>) -> Result<Vec<Tag>> {
    let kind = kind_of(object.is_private());
    let mut tags = INDEXED
        .iter()
        .filter_map(|&(attribute, property)| {
            let value = object.read(attribute.to_ck()).ok()?;
            Some(tag(kind, vault, property, &value))
        })
        .collect::<Result<Vec<_>>>()?;
    let life = object.lifecycle();
    for (dated, is_so) in
        [(Dated::Deletion, life.gone_at().is_some()), (Dated::Expiry, life.valid_to.is_some())]
    {
        if is_so {
            tags.push(dated.tag(kind, vault)?);
        }
    }
    tags.sort_unstable();
    Ok(tags)
}

pub(super) fn tag(kind: Kind, vault: Option<&Vault>, property: u8, value: &[u8]) -> Result<Tag> {
    let hash = match vault {
        Some(vault) if kind == PRIVATE => vault.tag(property, value)?,
        _ => public_tag(property, value),
    };
    Ok(Tag { property, hash })
}
