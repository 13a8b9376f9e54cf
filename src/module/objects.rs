//! Objects: PKCS#11 v3.2 §5.7.
//!
//! A token object that an application has seen has one handle until it is
//! destroyed or, if it is private, until logout. Behind the handle the opened
//! object may be kept: see [`open_objects`](super::open_objects).

use super::Module;
use super::prepared::PreparedKey;
use super::slots::{Slot, SlotState};
use crate::audit::{Event, Value};
use crate::error::{Error, Result};
use crate::mechanism::{IMPORTED_KEY_MAX, IMPORTED_KEY_MIN, digest};
use crate::object::Object;
use crate::object::request::{Changes, Contribution, NewObject};
use crate::policy::{Action, Principal, Resource};
use crate::secret::SecretBytes;
use crate::session::Session;
use crate::token::Found;
use crate::types::{AttributeType, ObjectHandle, SessionHandle, SlotId, Template, Ulong};
use arc_swap::ArcSwapOption;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// What an object handle stands for.
pub(super) struct ObjectEntry {
    slot: SlotId,
    private: bool,
    home: Home,
}

enum Home {
    /// Lives in the store; opened when needed. `queued`: it stands in the queue of
    /// opened objects, once, and is closed when its turn comes. `used`: since its
    /// last turn.
    Token {
        unique_id: Arc<str>,
        opened: ArcSwapOption<PreparedKey>,
        queued: AtomicBool,
        used: AtomicBool,
    },
    /// Lives here until its session ends. Changing it swaps in a new object.
    Session { owner: SessionHandle, object: ArcSwapOption<PreparedKey> },
}

impl ObjectEntry {
    pub const fn is_private(&self) -> bool {
        self.private
    }

    /// Lets go of the opened token object; it is opened again when needed.
    pub fn close(&self) {
        if let Home::Token { opened, .. } = &self.home {
            opened.store(None);
        }
    }

    /// Takes what a search has opened, if it is needed; whether it was.
    fn is_opened_by(&self, key: Arc<PreparedKey>) -> bool {
        let Home::Token { opened, .. } = &self.home else { return false };
        let is_current = |key: &PreparedKey| key.live().is_some_and(|live| live.is_current());
        let needed = !opened.load().as_ref().is_some_and(|now| is_current(now));
        if needed {
            opened.store(Some(key));
        }
        needed
    }

    /// Whether it must be put into the queue now: it was not there yet.
    pub fn enters_queue(&self) -> bool {
        match &self.home {
            Home::Token { queued, .. } => !queued.swap(true, Ordering::Relaxed),
            Home::Session { .. } => false,
        }
    }

    /// Whether it is open and has been used since this was last asked.
    pub fn was_used(&self) -> bool {
        match &self.home {
            Home::Token { opened, used, .. } => {
                used.swap(false, Ordering::Relaxed) && opened.load().is_some()
            }
            Home::Session { .. } => false,
        }
    }

    /// Its turn in the queue has come.
    pub fn leave_queue(&self) {
        if let Home::Token { queued, .. } = &self.home {
            queued.store(false, Ordering::Relaxed);
        }
        self.close();
    }

    /// What a session object's handle stands for.
    pub const fn session_object(&self) -> Option<&ArcSwapOption<PreparedKey>> {
        match &self.home {
            Home::Session { object, .. } => Some(object),
            Home::Token { .. } => None,
        }
    }

    pub const fn owner(&self) -> Option<SessionHandle> {
        match self.home {
            Home::Session { owner, .. } => Some(owner),
            Home::Token { .. } => None,
        }
    }
}

/// One attribute as `C_GetAttributeValue` gives it.
pub type AttributeRead = Result<Zeroizing<Vec<u8>>>;

impl Module {
    /// Makes an object from a template (`C_CreateObject`).
    ///
    /// # Errors
    /// As for [`NewObject::create`]; [`Error::SessionReadOnly`] for a token
    /// object in a read-only session; [`Error::UserNotLoggedIn`].
    pub fn create_object(
        &self,
        handle: SessionHandle,
        template: &Template<'_>,
    ) -> Result<ObjectHandle> {
        let session = self.session(handle)?;
        let new = NewObject::create(template, IMPORTED_KEY_MIN..=IMPORTED_KEY_MAX)?;
        let principal = session.principal();
        require_trust(&new, principal == Principal::SecurityOfficer)?;
        let nothing = SecretBytes::copied(&[]);
        let contribution = self.contribution(new.value().unwrap_or(&nothing))?;
        let object = new.into_created(contribution)?;
        self.keep(handle, &session, (principal, Action::ImportObject), object)
    }

    /// What the token adds to a new object with this value.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`].
    pub fn contribution(&self, value: &SecretBytes) -> Result<Contribution> {
        let check_value = digest::check_value(value);
        let now = self.surroundings.clock.now();
        Ok(Contribution { unique_id: self.unique_id()?, check_value, now })
    }

    fn unique_id(&self) -> Result<String> {
        let random = crate::entropy::array(&*self.surroundings.entropy)?;
        Ok(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
    }

    /// Keeps a new object, which `principal` made by `action`, in the token or in the
    /// session.
    pub(super) fn keep(
        &self,
        handle: SessionHandle,
        session: &Session,
        (principal, action): (Principal, Action),
        object: Object,
    ) -> Result<ObjectHandle> {
        let slot = self.slot_of(session)?;
        let private = object.is_private();
        if object.is_token_object() {
            if !session.read_write {
                return Err(Error::SessionReadOnly);
            }
            let token = &session.token;
            let event = token.event_on(principal, action, &object);
            let live = token.recorded(event, || token.insert(principal, action, object))?;
            return self.token_handle(session, &slot, &mut slot.state.lock(), Found::of(live));
        }
        let needs_login = private || object.is_governed();
        if needs_login {
            // The login may have ended elsewhere.
            session.refresh()?;
        }
        let mut state = slot.state.lock();
        // Logout destroys under this lock what needed the login: nobody makes more of
        // it behind its back.
        if needs_login && principal != session.principal() {
            return Err(Error::UserNotLoggedIn);
        }
        session.token.authorize_new(principal, action, &object)?;
        let object = ArcSwapOption::new(Some(Arc::new(PreparedKey::of_session(object))));
        if !state.sessions.contains(&handle) {
            return Err(Error::SessionHandleInvalid(handle));
        }
        let entry =
            ObjectEntry { slot: slot.id, private, home: Home::Session { owner: handle, object } };
        let new = ObjectHandle(self.objects.insert(entry).ok_or(Error::HostMemory)?);
        state.session_objects.insert(new);
        Ok(new)
    }

    /// The handle of a token object, a new one if it has none yet.
    fn token_handle(
        &self,
        session: &Session,
        slot: &Slot,
        state: &mut SlotState,
        found: Found,
    ) -> Result<ObjectHandle> {
        // Not what a logout meanwhile has taken away.
        let opened = found.opened.filter(|live| live.is_current());
        let opened = opened.map(|live| Arc::new(PreparedKey::of_token(live)));
        let is_open = opened.is_some();
        if let Some(known) = state.token_objects.get(&found.unique_id) {
            let entry = self.objects.get(known.0);
            if entry.zip(opened).is_some_and(|(entry, opened)| entry.is_opened_by(opened)) {
                self.open_objects.note(&self.objects, known);
            }
            return Ok(known);
        }
        if state.token_objects.are_many() {
            self.sweep(session, state);
        }
        let unique_id: Arc<str> = found.unique_id.into();
        let home = Home::Token {
            unique_id: Arc::clone(&unique_id),
            opened: ArcSwapOption::new(opened),
            queued: AtomicBool::new(false),
            used: AtomicBool::new(false),
        };
        let entry = ObjectEntry { slot: slot.id, private: found.is_private, home };
        let new = ObjectHandle(self.objects.insert(entry).ok_or(Error::HostMemory)?);
        state.token_objects.insert(unique_id, new);
        if is_open {
            self.open_objects.note(&self.objects, new);
        }
        Ok(new)
    }

    /// Gives the handles of token objects that were found by `finder`, but for those that
    /// whoever is logged in now may not see.
    pub(super) fn give_token_objects(
        &self,
        session: &Session,
        slot: &Slot,
        (found, finder): (impl Iterator<Item = Found>, Principal),
        given: &mut Vec<ObjectHandle>,
    ) -> Result<()> {
        // A logout takes the handles of private objects away under this lock.
        let mut state = slot.state.lock();
        let principal = session.principal();
        for found in found {
            if session.token.may_be_given(principal, &found, finder)? {
                given.push(self.token_handle(session, slot, &mut state, found)?);
            }
        }
        Ok(())
    }

    /// The object behind a handle, as `principal`, who is logged in to the session,
    /// may see it: what is asked of the object afterwards is asked for the same one,
    /// whoever logs in or out meanwhile. Costs no lock while the object is open and
    /// nothing has changed.
    ///
    /// # Errors
    /// `missing` when there is no such object, or none that the session sees.
    pub(super) fn object(
        &self,
        session: &Session,
        principal: Principal,
        handle: ObjectHandle,
        missing: fn(ObjectHandle) -> Error,
    ) -> Result<arc_swap::Guard<Option<Arc<PreparedKey>>>> {
        let entry = self.objects.get(handle.0).ok_or_else(|| missing(handle))?;
        if entry.slot != session.token.slot() {
            return Err(missing(handle));
        }
        let opened = match &entry.home {
            Home::Session { object, .. } => {
                let now = object.load();
                // A login, and what policies say of a copy, may have ended elsewhere.
                if now.as_ref().is_some_and(|key| key.needs_login()) {
                    session.refresh()?;
                }
                now
            }
            Home::Token { unique_id, opened, used, .. } => {
                session.refresh()?;
                let now = opened.load();
                match &*now {
                    Some(key)
                        if key.is_usable(principal)
                            && !key.live().is_some_and(|live| session.token.is_gone(live)) =>
                    {
                        // Written once in a while only: other threads read this line.
                        if !used.load(Ordering::Relaxed) {
                            used.store(true, Ordering::Relaxed);
                        }
                        now
                    }
                    _ => {
                        let Some(live) = session.token.look_up(principal, unique_id)? else {
                            self.forget_gone(session, handle, unique_id)?;
                            return Err(missing(handle));
                        };
                        let key = Some(Arc::new(PreparedKey::of_token(live)));
                        opened.store(key.clone());
                        self.open_objects.note(&self.objects, handle);
                        // Not loaded again: there may be no room to keep it.
                        arc_swap::Guard::from_inner(key)
                    }
                }
            }
        };
        let key = opened.as_ref().ok_or_else(|| missing(handle))?;
        match key.authorize_description(&session.token, principal) {
            Ok(()) => Ok(opened),
            Err(Error::AccessDenied(_) | Error::UserNotLoggedIn) => Err(missing(handle)),
            Err(other) => Err(other),
        }
    }

    /// Forgets the handle of a token object that the store has no more.
    fn forget_gone(&self, session: &Session, handle: ObjectHandle, unique_id: &str) -> Result<()> {
        let slot = self.slot_of(session)?;
        let mut state = slot.state.lock();
        // After a logout and a login the object may have another handle, which stays.
        state.token_objects.remove(unique_id, handle);
        self.objects.remove(handle.0);
        self.end_operations(&state, |mac| mac.key() == handle);
        Ok(())
    }

    /// Forgets the handles of token objects that other processes have destroyed.
    fn sweep(&self, session: &Session, state: &mut SlotState) {
        let is_private = |handle: ObjectHandle| {
            self.objects.get(handle.0).is_some_and(|entry| entry.is_private())
        };
        // When the store cannot be read, whoever needs an object is told so.
        let gone = state.token_objects.sweep(&session.token, is_private).unwrap_or_default();
        for handle in &gone {
            self.objects.remove(handle.0);
        }
        if !gone.is_empty() {
            let gone: BTreeSet<_> = gone.into_iter().collect();
            self.end_operations(state, |mac| gone.contains(&mac.key()));
        }
    }

    /// Reads attributes (`C_GetAttributeValue`): one answer for each.
    ///
    /// # Errors
    /// [`Error::ObjectHandleInvalid`].
    pub fn attributes(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        wanted: &[Ulong],
    ) -> Result<Vec<AttributeRead>> {
        let session = self.session(session)?;
        let principal = session.principal();
        let key = self.object(&session, principal, object, Error::ObjectHandleInvalid)?;
        let key = key.as_ref().ok_or(Error::ObjectHandleInvalid(object))?;
        let is_token_key = key.live().is_some() && key.object().key_type().is_some();
        wanted
            .iter()
            .map(|&number| {
                if AttributeType::from_ck(number) != Some(AttributeType::Value) {
                    return Ok(key.object().read(number));
                }
                let read = session
                    .token
                    .authorize(principal, Action::ReadValue, Resource::Object(key.object()))
                    .and_then(|()| session.token.require_state(Action::ReadValue, key.object()))
                    .map_err(|_| Error::AttributeSensitive(AttributeType::Value))
                    .and_then(|()| key.object().read(number));
                if is_token_key {
                    session.token.trail().require()?;
                    let event = session
                        .token
                        .event_on(principal, Action::ReadValue, key.object())
                        .read_only();
                    session.token.record(&event.ended(&read))?;
                }
                Ok(read)
            })
            .collect()
    }

    /// The size of an object in bytes (`C_GetObjectSize`).
    ///
    /// # Errors
    /// [`Error::ObjectHandleInvalid`].
    pub fn object_size(&self, session: SessionHandle, object: ObjectHandle) -> Result<usize> {
        let session = self.session(session)?;
        let principal = session.principal();
        let key = self.object(&session, principal, object, Error::ObjectHandleInvalid)?;
        key.as_ref().map(|key| key.object().size()).ok_or(Error::ObjectHandleInvalid(object))
    }

    /// Changes attributes, all or none (`C_SetAttributeValue`).
    ///
    /// # Errors
    /// As for [`Changes::set`]; [`Error::SessionReadOnly`] for a token object
    /// in a read-only session.
    pub fn set_attributes(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        template: &Template<'_>,
    ) -> Result<()> {
        let session = self.session(session)?;
        let principal = session.principal();
        let key = self.object(&session, principal, object, Error::ObjectHandleInvalid)?;
        let key = key.as_ref().ok_or(Error::ObjectHandleInvalid(object))?;
        let security_officer = principal == Principal::SecurityOfficer;
        if let Some(live) = key.live() {
            if !session.read_write {
                return Err(Error::SessionReadOnly);
            }
            let event = session.token.event_on(principal, Action::UpdateAttributes, key.object());
            return session.token.recorded(naming(event, template), || {
                session
                    .token
                    .update(principal, live, &mut |present| {
                        Ok(Changes::set(present, template, security_officer)?.applied(present))
                    })?
                    .ok_or(Error::ObjectHandleInvalid(object))
            });
        }
        session.token.authorize(
            principal,
            Action::UpdateAttributes,
            Resource::Object(key.object()),
        )?;
        let slot = self.slot_of(&session)?;
        // Under the lock, so that of two changes at once none is lost.
        let _state = slot.state.lock();
        let entry = self.objects.get(object.0).ok_or(Error::ObjectHandleInvalid(object))?;
        if let Home::Session { object: home, .. } = &entry.home {
            let present = home.load_full().ok_or(Error::ObjectHandleInvalid(object))?;
            let present = present.object();
            let changed = Changes::set(present, template, security_officer)?.applied(present);
            home.store(Some(Arc::new(PreparedKey::of_session(changed))));
        }
        Ok(())
    }

    /// Copies an object (`C_CopyObject`).
    ///
    /// # Errors
    /// As for [`Changes::copy`], [`Error::AttributeReadOnly`] when a private
    /// object is to become public; [`Error::SessionReadOnly`],
    /// [`Error::UserNotLoggedIn`].
    pub fn copy_object(
        &self,
        handle: SessionHandle,
        object: ObjectHandle,
        template: &Template<'_>,
    ) -> Result<ObjectHandle> {
        let session = self.session(handle)?;
        let principal = session.principal();
        let key = self.object(&session, principal, object, Error::ObjectHandleInvalid)?;
        let key = key.as_ref().ok_or(Error::ObjectHandleInvalid(object))?;
        session.token.authorize(principal, Action::CopyKey, Resource::Object(key.object()))?;
        let security_officer = principal == Principal::SecurityOfficer;
        let changes = Changes::copy(key.object(), template, security_officer)?;
        let copy = changes.copied(key.object(), self.unique_id()?, self.surroundings.clock.now());
        let copy = session.token.governed_as(key.object(), copy);
        // What no policy has governed yet comes into the token as what is new does.
        let is_governed = key.object().is_governed();
        let action = if is_governed { Action::CopyKey } else { Action::ImportObject };
        self.keep(handle, &session, (principal, action), copy)
    }

    /// Destroys an object (`C_DestroyObject`).
    ///
    /// # Errors
    /// [`Error::ActionProhibited`] when `CKA_DESTROYABLE` is false;
    /// [`Error::SessionReadOnly`] for a token object in a read-only session.
    pub fn destroy_object(&self, session: SessionHandle, object: ObjectHandle) -> Result<()> {
        let session = self.session(session)?;
        let principal = session.principal();
        let key = self.object(&session, principal, object, Error::ObjectHandleInvalid)?;
        let key = key.as_ref().ok_or(Error::ObjectHandleInvalid(object))?;
        if let Some(live) = key.live() {
            if !session.read_write {
                return Err(Error::SessionReadOnly);
            }
            let event = session.token.event_on(principal, Action::DestroyKey, live.object());
            return session.token.recorded(event, || {
                let removed = session.token.remove(principal, live)?;
                self.forget_gone(&session, object, live.object().unique_id())?;
                removed.ok_or(Error::ObjectHandleInvalid(object))
            });
        }
        session.token.authorize(principal, Action::DestroyKey, Resource::Object(key.object()))?;
        if !key.object().flag(AttributeType::Destroyable) {
            return Err(Error::ActionProhibited("CKA_DESTROYABLE is false"));
        }
        let slot = self.slot_of(&session)?;
        let mut state = slot.state.lock();
        state.session_objects.remove(&object);
        // First the handle, then the operations: see `mac_init`.
        let removed = self.objects.remove(object.0);
        self.end_operations(&state, |mac| mac.key() == object);
        if removed { Ok(()) } else { Err(Error::ObjectHandleInvalid(object)) }
    }

    /// Destroys the session objects of a slot that pass `test`.
    pub(super) fn destroy_session_objects(
        &self,
        state: &mut SlotState,
        test: impl Fn(&ObjectEntry) -> bool,
    ) {
        let mut gone = BTreeSet::new();
        state.session_objects.retain(|&handle| {
            let keep = self.objects.get(handle.0).is_some_and(|entry| !test(&entry));
            if !keep {
                gone.insert(handle);
            }
            keep
        });
        if gone.is_empty() {
            return;
        }
        for handle in &gone {
            self.objects.remove(handle.0);
        }
        self.end_operations(state, |mac| gone.contains(&mac.key()));
    }
}

/// The record of a change names the attributes, and no value.
fn naming(event: Event, template: &Template<'_>) -> Event {
    let names = template.iter().filter_map(|attribute| {
        let known = AttributeType::from_ck(attribute.number)?;
        Some(Value::from(&*known.to_string()))
    });
    event.with("attributes", Value::List(names.collect()))
}

/// Only the SO may make a trusted key.
pub(super) fn require_trust(new: &NewObject, security_officer: bool) -> Result<()> {
    if new.flag(AttributeType::Trusted) && !security_officer {
        return Err(Error::AttributeReadOnly(AttributeType::Trusted));
    }
    Ok(())
}
