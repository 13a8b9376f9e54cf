//! The token's audit trail: what is recorded of the token's own operations, and the key
//! that signs the trail's checkpoints.

use super::record::{AUDIT_KEY, Header, to_vec};
use super::{Access, Role, Settings, Surroundings, Token, record_id, rotation};
use crate::audit::{
    self, Cover, Event, Identity, Resource as Named, Scope, SigningKey, Text, Trail, Verifier,
};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::policy::{Action, Principal, Resource};
use crate::store::{Change, Record, Store};
use crate::types::{AttributeType, ObjectClass, UserType};
use crate::vault::{Place, Vault};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::time::Duration;

const ID: &str = "ed25519";

#[derive(Encode, Decode)]
#[cbor(array)]
struct Body {
    /// The public half, readable by all.
    #[n(0)]
    public: ByteVec,
    /// The private half, sealed; the seal binds the public half too.
    #[n(1)]
    sealed: ByteVec,
}

/// The trail of the token that `store` holds.
pub(super) fn trail(
    store: &dyn Store,
    header: &Header,
    surroundings: &Surroundings,
    settings: Settings,
) -> Trail {
    let Surroundings { entropy, clock, log } = surroundings.clone();
    let scope = Scope::of(&header.serial, header.home());
    let surroundings = audit::Surroundings { entropy, clock, log };
    match store.lasting_directory() {
        Some(directory) => Trail::in_directory(directory, scope, surroundings, settings.audit),
        None => Trail::in_memory(Default::default(), scope, surroundings, settings.audit),
    }
}

fn damaged() -> Error {
    Error::RecordDamaged(ID.into())
}

/// Opens the record; the public half is that of the private one.
pub(super) fn open(record: &Record, vault: &Vault) -> Result<SigningKey> {
    let body: Body = minicbor::decode(&record.body).map_err(|_| damaged())?;
    let place = Place { kind: AUDIT_KEY.0, id: record.id.as_str(), version: record.version };
    let private = vault.open(place, &body.public, &body.sealed)?;
    SigningKey::from_secret(&private)
        .filter(|key| key.verifier("").public()[..] == body.public[..])
        .ok_or_else(damaged)
}

/// The change that stores the pair over version `expected`.
pub(super) fn put(
    vault: &Vault,
    key: &SigningKey,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let public = key.verifier("").public().to_vec();
    let place = Place { kind: AUDIT_KEY.0, id: ID, version: expected + 1 };
    let sealed = vault.seal(place, &public, key.expose(), entropy)?;
    let body = to_vec(&Body { public: public.into(), sealed: sealed.into() })?;
    Ok(Change::Put { kind: AUDIT_KEY, id: record_id(ID)?, expected, body, tags: Vec::new() })
}

impl Token {
    /// Who `principal` is in the trail.
    #[must_use]
    pub fn identity(&self, principal: Principal) -> Identity {
        let named = match principal {
            Principal::Owner => return Identity::Root,
            Principal::SecurityOfficer => return Identity::SecurityOfficer,
            Principal::Public => return Identity::Public,
            Principal::Named(_) if self.principal() == principal => self.named_login(),
            // Of a login that has ended meanwhile.
            Principal::Named(_) => None,
        };
        let Some(named) = named else { return Identity::Public };
        let user = &named.user.entity;
        let (name, access_key) = (Text::new(user.name.as_str()), None);
        match &named.role {
            None => Identity::User { name, unique_id: Text::new(&user.unique_id), access_key },
            Some(Role { entity, .. }) => Identity::Role {
                role: Text::new(entity.name.as_str()),
                unique_id: Text::new(&entity.unique_id),
                session: name,
                access_key,
            },
        }
    }

    /// What `principal` does, by the action's name.
    #[must_use]
    pub fn event(&self, principal: Principal, action: &'static str) -> Event {
        Event::new(action, self.identity(principal))
    }

    /// What `principal` does to `object`, which the trail names by its ARN and, unless it is
    /// private, by its label: whoever reads the token's files is not to learn that.
    #[must_use]
    pub fn event_on(&self, principal: Principal, action: Action, object: &Object) -> Event {
        let event = self.event(principal, action.name());
        let id = object.unique_id().into();
        let is_key = object.class() == ObjectClass::SecretKey;
        let event = event.on(if is_key { Named::Key(id) } else { Named::Object(id) });
        match object.read(AttributeType::Label.to_ck()) {
            Ok(label) if !object.is_private() && !label.is_empty() => {
                event.noting("label", &*String::from_utf8_lossy(&label))
            }
            _ => event,
        }
    }

    /// The audit trail. Nothing is made before the first record is written.
    pub const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Writes a record of what was done to the token, durably.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`], and only where operations are to be refused then.
    pub fn record(&self, event: &Event) -> Result<()> {
        if self.was_removed() {
            return Ok(());
        }
        self.trail.record(event).map(|_| ())
    }

    /// Writes a record of what changed nothing: durable before long.
    ///
    /// # Errors
    /// As for [`Token::record`].
    pub fn note(&self, event: &Event) -> Result<()> {
        if self.was_removed() {
            return Ok(());
        }
        self.trail.note(event).map(|_| ())
    }

    /// Whether the token was removed: in its place there may be another one, whose trail
    /// this is not.
    fn was_removed(&self) -> bool {
        matches!(self.store.sequence(), Err(Error::TokenNotPresent(_)))
    }

    /// Does `work` and records how it ended; `event` is what was tried.
    ///
    /// # Errors
    /// What `work` returns. [`Error::AuditUnavailable`]: it was not done, or, should the
    /// disk have failed in the middle, it was done and is not recorded.
    pub fn recorded<T>(&self, event: Event, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.trail.require()?;
        let done = work();
        let recorded = self.record(&event.ended(&done));
        let done = done?;
        recorded.map(|()| done)
    }

    /// Records how a login ended. One that cannot be recorded, where it must be, ends.
    ///
    /// # Errors
    /// What `login` is; [`Error::AuditUnavailable`].
    pub fn recorded_login(&self, user: UserType, login: Result<()>) -> Result<()> {
        let name = match user {
            UserType::SecurityOfficer => "so",
            UserType::User => "user",
            UserType::ContextSpecific => "context-specific",
        };
        let who = if login.is_ok() { self.principal() } else { Principal::Public };
        let event = self.event(who, "signet:Login").with("user", name);
        let recorded = self.record(&event.ended(&login));
        login?;
        // Whoever has logged out meanwhile is out all the same.
        recorded.inspect_err(|_| drop(self.logout()))
    }

    /// What verifies the checkpoints of the trail. The key is made if the token has none,
    /// as those have that were made before there were trails.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the owner or the security officer asks;
    /// [`Error::TokenWriteProtected`]; [`Error::RecordDamaged`].
    pub fn audit_verifier(&self, principal: Principal) -> Result<Verifier> {
        Ok(self.audit_key(principal)?.verifier(&self.header().serial))
    }

    /// The same as it stands in the store, for nobody to rely on who fears that the
    /// store was changed; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn claimed_audit_verifier(&self) -> Result<Option<Verifier>> {
        let Some(record) = self.store.get(AUDIT_KEY, &record_id(ID)?)? else { return Ok(None) };
        let body: Body = minicbor::decode(&record.body).map_err(|_| damaged())?;
        let verifier = Verifier::of_token(&self.header().serial, &body.public);
        verifier.map(Some).ok_or_else(damaged)
    }

    /// Signs how far the trail has come: a signed note. Waits for another process that
    /// does so, for as long as `patience`; `None` when it goes on doing so.
    ///
    /// # Errors
    /// As for [`Token::audit_verifier`]; the trail could not be read or written.
    pub fn audit_checkpoint(
        &self,
        principal: Principal,
        patience: Duration,
    ) -> Result<Option<String>> {
        let key = self.audit_key(principal)?;
        self.trail.checkpoint(&key, Cover::All, patience)
    }

    fn audit_key(&self, principal: Principal) -> Result<SigningKey> {
        if let Some(key) = self.stored_audit_key(principal)? {
            return Ok(key);
        }
        self.require_writable()?;
        let entropy = &*self.surroundings.entropy;
        let (key, id) = (SigningKey::new(entropy)?, record_id(ID)?);
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let change = put(vault, &key, 0, entropy)?;
            self.commit(Some(vault), &mut |reader| {
                // Another process may have made one meanwhile.
                let is_there = reader.get(AUDIT_KEY, &id)?.is_some();
                Ok(if is_there { Vec::new() } else { vec![change.clone()] })
            })
        })?;
        self.stored_audit_key(principal)?.ok_or_else(damaged)
    }

    fn stored_audit_key(&self, principal: Principal) -> Result<Option<SigningKey>> {
        self.authorize(principal, Action::SignCheckpoint, Resource::Token)?;
        let id = record_id(ID)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let mut key = None;
            // Both of one state: the root key may be replaced at any time.
            self.store.snapshot(&mut |reader| {
                rotation::require_present(reader, vault)?;
                key = reader.get(AUDIT_KEY, &id)?.map(|record| open(&record, vault)).transpose()?;
                Ok(())
            })?;
            Ok(key)
        })
    }

    /// Records that `access` ends, and signs how far the trail has come as long as there
    /// is what opens the key. Nothing that goes wrong here keeps a user logged in.
    pub(super) fn take_leave(&self, access: &Access) {
        // Durable with the checkpoint; without one it is not worth a wait.
        let _ = self.note(&self.event(access.principal, "signet:Logout"));
        self.sign_off(access);
    }

    /// Signs how far the trail has come, if there is something new and what opens the key.
    fn sign_off(&self, access: &Access) {
        let Some(vault) = access.vault.as_deref().filter(|_| self.trail.is_uncovered()) else {
            return;
        };
        let signed = || -> Result<()> {
            let record = self.store.get(AUDIT_KEY, &record_id(ID)?)?;
            let Some(record) = record else { return Ok(()) };
            let key = open(&record, vault)?;
            self.trail.checkpoint(&key, Cover::Own, Duration::ZERO).map(|_| ())
        };
        // The next one to log out does it.
        let _ = signed();
    }
}

/// Ends the trail of this process, covered by a checkpoint if somebody is still logged in.
impl Drop for Token {
    fn drop(&mut self) {
        let access = self.access.load_full();
        if access.vault.is_some() && self.trail.is_uncovered() {
            // What keeps it from being ended keeps nobody from going on with it.
            let _ = self.trail.close();
            self.sign_off(&access);
        }
    }
}
