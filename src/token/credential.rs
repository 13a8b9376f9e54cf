//! Credentials: PINs, how they are checked, counted, set and changed.

use super::record::{CREDENTIAL, Header};
use super::{Access, PinState, Settings, Token, record_id};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::{Action, Principal, Resource};
use crate::secret::Pin;
use crate::store::{Change, Record, RecordId};
use crate::types::UserType;
use crate::vault::{
    Credential, Opened, PinLock, PinParameters, Place, PrivateKey, Vault, WrappingKey,
};
use std::sync::Arc;

/// The record that holds a user's credential.
fn name(user: UserType) -> Result<&'static str> {
    match user {
        UserType::SecurityOfficer => Ok("so"),
        UserType::User => Ok("user"),
        UserType::ContextSpecific => Err(Error::UserTypeInvalid),
    }
}

/// Who that user is once logged in.
const fn principal(user: UserType) -> Option<Principal> {
    match user {
        UserType::SecurityOfficer => Some(Principal::SecurityOfficer),
        UserType::User => Some(Principal::Owner),
        UserType::ContextSpecific => None,
    }
}

/// The user whose login makes this principal.
pub(super) const fn user(principal: Principal) -> Option<UserType> {
    match principal {
        Principal::SecurityOfficer => Some(UserType::SecurityOfficer),
        Principal::Owner => Some(UserType::User),
        Principal::Public => None,
    }
}

pub(super) fn id(user: UserType) -> Result<RecordId> {
    record_id(name(user)?)
}

/// The change that stores a credential over version `expected`.
pub fn record(
    user: UserType,
    vault: &Vault,
    lock: &PinLock,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let place = Place { kind: CREDENTIAL.0, id: name(user)?, version: expected + 1 };
    let body = lock.credential(vault, place, entropy)?;
    Ok(Change::Put { kind: CREDENTIAL, id: id(user)?, expected, body, tags: Vec::new() })
}

/// The first credential of a user of a new token.
pub fn first(
    user: UserType,
    vault: &Vault,
    serial: &str,
    pin: &Pin,
    settings: Settings,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let key = PrivateKey::new(entropy)?;
    let lock = PinLock::new(serial, name(user)?, pin, settings.pin_parameters, &key, entropy)?;
    record(user, vault, &lock, 0, entropy)
}

/// Where a stored credential stands.
pub(super) fn place_of(record: &Record) -> Place<'_> {
    Place { kind: record.kind.0, id: record.id.as_str(), version: record.version }
}

/// A stored credential.
pub(super) fn decode(record: &Record) -> Result<Credential> {
    Credential::decode(&record.body)
        .ok_or_else(|| Error::RecordDamaged(record.id.as_str().to_owned()))
}

/// What a PIN has opened, and the credential that it opened.
struct Unlocked {
    opened: Opened,
    version: u64,
    parameters: PinParameters,
}

impl Token {
    /// Logs `user` in (`C_Login`, PKCS#11 v3.2 §5.6.8). The rules about other
    /// sessions are the caller's.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`],
    /// [`Error::UserPinNotInitialized`], [`Error::UserTypeInvalid`],
    /// [`Error::UserAlreadyLoggedIn`], [`Error::UserAnotherAlreadyLoggedIn`].
    pub fn login(&self, user: UserType, pin: &Pin) -> Result<()> {
        // Context specific: only for keys with CKA_ALWAYS_AUTHENTICATE, of which there
        // are none.
        let principal = principal(user).ok_or(Error::OperationNotInitialized)?;
        let _one_at_a_time = self.login.lock();
        match self.principal() {
            Principal::Public => {}
            present if present == principal => return Err(Error::UserAlreadyLoggedIn),
            _ => return Err(Error::UserAnotherAlreadyLoggedIn),
        }
        let unlocked = self.unlock(user, pin)?;
        let Opened { vault, key } = self.brought_up_to_date(user, pin, unlocked).opened;
        let (vault, key) = (Some(Arc::new(vault)), key.map(Arc::new));
        let mut registry = self.registry.lock();
        self.access.store(Arc::new(Access { principal, vault, key, coming: None }));
        registry.retire_sealed();
        // The root key may have been replaced since the PIN was checked.
        self.follow(&mut registry).inspect_err(|_| self.access.store(Arc::new(Access::PUBLIC)))
    }

    /// Forgets the login and with it the root key (`C_Logout`).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`].
    pub fn logout(&self) -> Result<()> {
        let _one_at_a_time = self.login.lock();
        let mut registry = self.registry.lock();
        let before = self.access.swap(Arc::new(Access::PUBLIC));
        if before.principal == Principal::Public {
            return Err(Error::UserNotLoggedIn);
        }
        registry.retire_sealed();
        Ok(())
    }

    /// Sets the user's PIN and forgets its failures (`C_InitPIN`, PKCS#11 v3.2
    /// §5.5.8).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the SO asks; [`Error::PinLenRange`].
    pub fn init_pin(&self, principal: Principal, pin: &Pin) -> Result<()> {
        self.authorize(principal, Action::InitializePin, Resource::Token)?;
        self.require_writable()?;
        if !pin.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        // Nobody derives a key who may not store it.
        self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        let (lock, _) = self.new_lock(UserType::User, pin)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            self.put_credential(UserType::User, vault, &lock, None)
        })?;
        self.store.forgive(&id(UserType::User)?)
    }

    /// Changes a PIN; the old one is checked and counted like a login
    /// (`C_SetPIN`, PKCS#11 v3.2 §5.5.9).
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::PinLenRange`].
    pub fn set_pin(&self, user: UserType, old: &Pin, new: &Pin) -> Result<()> {
        self.require_writable()?;
        if !new.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        let mut before = None;
        loop {
            let Unlocked { opened, version, .. } = self.unlock(user, old)?;
            if before.replace(version) == Some(version) {
                // Not replaced after all: the header claims it.
                return Err(Header::damaged());
            }
            let (lock, key) = self.new_lock(user, new)?;
            let key = Arc::new(key);
            // Before it is stored: at that moment it is all that follows a root key which
            // somebody else has replaced since the last look.
            self.expect_key(user, Some(Arc::clone(&key)));
            match self.put_credential(user, &opened.vault, &lock, Some(version)) {
                Ok(true) => {
                    self.adopt_key(user, key);
                    return Ok(());
                }
                // Another PIN, the same one at another cost, or another root key: does
                // the old PIN still open it?
                Ok(false) | Err(Error::RootKeyReplaced) => self.expect_key(user, None),
                // Whether it is stored is not known.
                Err(other) => return Err(other),
            }
        }
    }

    /// A new pair under `pin`. The derivation is slow: it runs before the writer's lock
    /// is taken.
    fn new_lock(&self, user: UserType, pin: &Pin) -> Result<(PinLock, PrivateKey)> {
        let entropy = &*self.surroundings.entropy;
        let key = PrivateKey::new(entropy)?;
        Ok((self.lock(user, pin, self.settings.pin_parameters, &key)?, key))
    }

    fn lock(
        &self,
        user: UserType,
        pin: &Pin,
        parameters: PinParameters,
        key: &PrivateKey,
    ) -> Result<PinLock> {
        let entropy = &*self.surroundings.entropy;
        PinLock::new(&self.header().serial, name(user)?, pin, parameters, key, entropy)
    }

    /// Stores a credential; with `only_over`, only if nobody replaced that version
    /// meanwhile. Whether it did.
    fn put_credential(
        &self,
        user: UserType,
        vault: &Vault,
        lock: &PinLock,
        only_over: Option<u64>,
    ) -> Result<bool> {
        let (id, entropy) = (id(user)?, &*self.surroundings.entropy);
        let mut stored = false;
        self.commit(Some(vault), &mut |reader| {
            let present = reader.get(CREDENTIAL, &id)?.map_or(0, |record| record.version);
            stored = only_over.is_none_or(|version| version == present);
            if !stored {
                return Ok(Vec::new());
            }
            Ok(vec![record(user, vault, lock, present, entropy)?])
        })?;
        Ok(stored)
    }

    /// Whoever is logged in here and is changing the own PIN may follow by the new pair.
    fn expect_key(&self, user: UserType, coming: Option<Arc<PrivateKey>>) {
        self.change_keys(user, |access| Access { coming, ..access });
    }

    /// Whoever is logged in here and has changed the own PIN follows by the new pair.
    fn adopt_key(&self, user: UserType, key: Arc<PrivateKey>) {
        self.change_keys(user, |access| Access { key: Some(key), coming: None, ..access });
    }

    fn change_keys(&self, user: UserType, change: impl FnOnce(Access) -> Access) {
        let _registry = self.registry.lock();
        let access = self.access.load();
        if principal(user) == Some(access.principal) {
            self.access.store(Arc::new(change(Access::clone(&access))));
        }
    }

    /// After a login: rewrites a credential of an old format, and one whose PIN costs
    /// less than the configuration asks. What keeps it from that is no reason not to log
    /// in: the next login tries again.
    fn brought_up_to_date(&self, user: UserType, pin: &Pin, mut unlocked: Unlocked) -> Unlocked {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let raised = unlocked.parameters.raised_to(self.settings.pin_parameters);
            if !self.store.is_writable() || (raised.is_none() && unlocked.opened.key.is_some()) {
                break;
            }
            match self.rewrite(user, pin, raised, &mut unlocked) {
                Ok(true) => break,
                // Somebody else was faster. Theirs may be up to date.
                Ok(false) | Err(Error::RootKeyReplaced) => match self.reopened(user, pin) {
                    Ok(theirs) => unlocked = theirs,
                    Err(_) => break,
                },
                Err(_) => break,
            }
        }
        unlocked
    }

    fn rewrite(
        &self,
        user: UserType,
        pin: &Pin,
        raised: Option<PinParameters>,
        unlocked: &mut Unlocked,
    ) -> Result<bool> {
        let new = match unlocked.opened.key {
            Some(_) => None,
            None => Some(PrivateKey::new(&*self.surroundings.entropy)?),
        };
        let parameters = raised.unwrap_or(unlocked.parameters);
        // The pair stays when there is one: those who are logged in follow by it.
        let Some(key) = new.as_ref().or(unlocked.opened.key.as_ref()) else { return Ok(false) };
        let lock = self.lock(user, pin, parameters, key)?;
        let vault = &unlocked.opened.vault;
        let stored = self.put_credential(user, vault, &lock, Some(unlocked.version))?;
        if let Some(new) = new.filter(|_| stored) {
            unlocked.opened.key = Some(new);
        }
        Ok(stored)
    }

    /// The credential as it is stored now, opened with a PIN that was right before.
    fn reopened(&self, user: UserType, pin: &Pin) -> Result<Unlocked> {
        let stored = self.credential(user)?.ok_or(Error::UserPinNotInitialized)?;
        let key = stored.credential.key(pin)?;
        stored.open(&self.header().serial, &key)
    }

    /// Checks a PIN, counting the attempt, without logging in.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::UserPinNotInitialized`].
    pub fn verify(&self, user: UserType, pin: &Pin) -> Result<()> {
        self.unlock(user, pin).map(|_| ())
    }

    /// Checks a PIN, counting the attempt, and opens the vault with it. What the
    /// derivation itself fails at is not counted: it is no answer to a guess. Nor
    /// is what is longer than any PIN: it is none.
    fn unlock(&self, user: UserType, pin: &Pin) -> Result<Unlocked> {
        let id = id(user)?;
        if self.settings.require_counter && !self.store.is_writable() {
            return Err(Error::TokenWriteProtected);
        }
        let stored = self.credential(user)?.ok_or(Error::UserPinNotInitialized)?;
        let serial = self.header().serial.clone();
        // Spares the derivation; what counts is the reservation.
        if self.store.attempts(&id)?.failures >= self.settings.pin_attempts {
            return Err(Error::PinLocked);
        }
        if pin.is_too_long() {
            return Err(Error::PinIncorrect);
        }
        let key = stored.credential.key(pin)?;
        let reservation = self.store.reserve(&id, self.settings.pin_attempts)?;
        let unlocked = stored.open(&serial, &key);
        match &unlocked {
            Err(Error::PinIncorrect) => drop(reservation.fail()?),
            // The PIN was right, whatever else is wrong.
            _ => reservation.succeed()?,
        }
        unlocked
    }

    /// The stored credential of a user; `None` when the PIN is not set.
    fn credential(&self, user: UserType) -> Result<Option<Stored>> {
        let Some(record) = self.store.get(CREDENTIAL, &id(user)?)? else { return Ok(None) };
        decode(&record).map(|credential| Some(Stored { record, credential }))
    }

    pub(super) fn pin_state(&self, user: UserType) -> Result<PinState> {
        let id = id(user)?;
        let record = self.store.get(CREDENTIAL, &id)?;
        Ok(PinState {
            initialized: record.is_some(),
            failures: self.store.attempts(&id)?.failures,
            limit: self.settings.pin_attempts,
            cost: record.and_then(|record| Some(decode(&record).ok()?.parameters())),
        })
    }
}

/// A credential and its record.
struct Stored {
    record: Record,
    credential: Credential,
}

impl Stored {
    fn open(&self, serial: &str, key: &WrappingKey) -> Result<Unlocked> {
        let opened = self.credential.open(serial, place_of(&self.record), key)?;
        let (version, parameters) = (self.record.version, self.credential.parameters());
        Ok(Unlocked { opened, version, parameters })
    }
}
