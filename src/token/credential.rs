//! Credentials: PINs, how they are checked, counted, set and changed.

use super::record::{CREDENTIAL, Header};
use super::{Access, Name, PinState, Settings, Token, record_id};
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

/// Whose PIN it is: one of the standard's users, or a named one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The security officer, or the token's owner.
    Standard(UserType),
    /// A named user.
    Named(Name),
}

impl From<UserType> for Holder {
    fn from(user: UserType) -> Self {
        Self::Standard(user)
    }
}

impl From<Name> for Holder {
    fn from(name: Name) -> Self {
        Self::Named(name)
    }
}

/// The record that holds a credential.
pub(super) fn id(holder: &Holder) -> Result<RecordId> {
    match holder {
        Holder::Standard(UserType::SecurityOfficer) => record_id("so"),
        Holder::Standard(UserType::User) => record_id("user"),
        Holder::Standard(UserType::ContextSpecific) => Err(Error::UserTypeInvalid),
        Holder::Named(name) => record_id(&format!("user/{}", name.folded())),
    }
}

/// A pair under a PIN. Of the owner's it is noted whether it has a colon: see
/// [`Token::login`].
fn lock(
    holder: &Holder,
    serial: &str,
    pin: &Pin,
    parameters: PinParameters,
    key: &PrivateKey,
    entropy: &dyn Entropy,
) -> Result<PinLock> {
    let lock = PinLock::new(serial, id(holder)?.as_str(), pin, parameters, key, entropy)?;
    Ok(if has_noted_colon(holder, pin) { lock.noting_a_colon() } else { lock })
}

fn has_noted_colon(holder: &Holder, pin: &Pin) -> bool {
    *holder == Holder::Standard(UserType::User) && pin.has_colon()
}

/// The change that stores a credential over version `expected`.
pub fn record(
    holder: &Holder,
    vault: &Vault,
    lock: &PinLock,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let id = id(holder)?;
    let place = Place { kind: CREDENTIAL.0, id: id.as_str(), version: expected + 1 };
    let body = lock.credential(vault, place, entropy)?;
    Ok(Change::Put { kind: CREDENTIAL, id, expected, body, tags: Vec::new() })
}

/// The first credential of a user of a new token.
pub fn first(
    holder: &Holder,
    vault: &Vault,
    serial: &str,
    pin: &Pin,
    settings: Settings,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let key = PrivateKey::new(entropy)?;
    let lock = lock(holder, serial, pin, settings.pin_parameters, &key, entropy)?;
    record(holder, vault, &lock, 0, entropy)
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
pub(super) struct Unlocked {
    pub opened: Opened,
    version: u64,
    parameters: PinParameters,
    has_colon: bool,
}

impl Token {
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
        let owner = Holder::Standard(UserType::User);
        // Nobody derives a key who may not store it.
        self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        let (lock, _) = self.new_lock(&owner, pin)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            self.put_credential(&owner, vault, &lock, None)
        })?;
        self.store.forgive(&id(&owner)?)
    }

    /// Changes a PIN; the old one is checked and counted like a login
    /// (`C_SetPIN`, PKCS#11 v3.2 §5.5.9).
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::PinLenRange`].
    pub fn set_pin(&self, holder: impl Into<Holder>, old: &Pin, new: &Pin) -> Result<()> {
        let holder = &holder.into();
        self.require_writable()?;
        if !new.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        let mut before = None;
        loop {
            let Unlocked { opened, version, .. } = self.unlock(holder, old)?;
            if before.replace(version) == Some(version) {
                // Not replaced after all: the header claims it.
                return Err(Header::damaged());
            }
            let (lock, key) = self.new_lock(holder, new)?;
            let key = Arc::new(key);
            // Before it is stored: at that moment it is all that follows a root key which
            // somebody else has replaced since the last look.
            self.expect_key(holder, Some(Arc::clone(&key)));
            match self.put_credential(holder, &opened.vault, &lock, Some(version)) {
                Ok(true) => {
                    self.adopt_key(holder, key);
                    return Ok(());
                }
                // Another PIN, the same one at another cost, or another root key: does
                // the old PIN still open it?
                Ok(false) | Err(Error::RootKeyReplaced) => self.expect_key(holder, None),
                // Whether it is stored is not known.
                Err(other) => return Err(other),
            }
        }
    }

    /// A new pair under `pin`. The derivation is slow: it runs before the writer's lock
    /// is taken.
    pub(super) fn new_lock(&self, holder: &Holder, pin: &Pin) -> Result<(PinLock, PrivateKey)> {
        let entropy = &*self.surroundings.entropy;
        let key = PrivateKey::new(entropy)?;
        Ok((self.lock(holder, pin, self.settings.pin_parameters, &key)?, key))
    }

    fn lock(
        &self,
        holder: &Holder,
        pin: &Pin,
        parameters: PinParameters,
        key: &PrivateKey,
    ) -> Result<PinLock> {
        let entropy = &*self.surroundings.entropy;
        lock(holder, &self.header().serial, pin, parameters, key, entropy)
    }

    /// Stores a credential; with `only_over`, only if nobody replaced that version
    /// meanwhile. Whether it did.
    fn put_credential(
        &self,
        holder: &Holder,
        vault: &Vault,
        lock: &PinLock,
        only_over: Option<u64>,
    ) -> Result<bool> {
        let (id, entropy) = (id(holder)?, &*self.surroundings.entropy);
        let mut stored = false;
        self.commit(Some(vault), &mut |reader| {
            let present = reader.get(CREDENTIAL, &id)?.map_or(0, |record| record.version);
            stored = only_over.is_none_or(|version| version == present);
            if !stored {
                return Ok(Vec::new());
            }
            Ok(vec![record(holder, vault, lock, present, entropy)?])
        })?;
        Ok(stored)
    }

    /// Whoever is logged in here and is changing the own PIN may follow by the new pair.
    fn expect_key(&self, holder: &Holder, coming: Option<Arc<PrivateKey>>) {
        self.change_keys(holder, |access| Access { coming, ..access });
    }

    /// Whoever is logged in here and has changed the own PIN follows by the new pair.
    fn adopt_key(&self, holder: &Holder, key: Arc<PrivateKey>) {
        self.change_keys(holder, |access| Access { key: Some(key), coming: None, ..access });
    }

    fn change_keys(&self, holder: &Holder, change: impl FnOnce(Access) -> Access) {
        let _registry = self.registry.lock();
        let access = self.access.load();
        if access.holder.as_ref() == Some(holder) {
            self.access.store(Arc::new(change(Access::clone(&access))));
        }
    }

    /// After a login: rewrites a credential of an old format, one whose PIN costs less
    /// than the configuration asks, and the owner's if nothing is noted of its colon. What keeps it from that is no reason not to log
    /// in: the next login tries again.
    pub(super) fn brought_up_to_date(
        &self,
        holder: &Holder,
        pin: &Pin,
        mut unlocked: Unlocked,
    ) -> Unlocked {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let raised = unlocked.parameters.raised_to(self.settings.pin_parameters);
            let is_noted = unlocked.has_colon == has_noted_colon(holder, pin);
            let is_present = raised.is_none() && is_noted && unlocked.opened.key.is_some();
            if !self.store.is_writable() || is_present {
                break;
            }
            match self.rewrite(holder, pin, raised, &mut unlocked) {
                Ok(true) => break,
                // Somebody else was faster. Theirs may be up to date.
                Ok(false) | Err(Error::RootKeyReplaced) => match self.reopened(holder, pin) {
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
        holder: &Holder,
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
        let lock = self.lock(holder, pin, parameters, key)?;
        let vault = &unlocked.opened.vault;
        let stored = self.put_credential(holder, vault, &lock, Some(unlocked.version))?;
        if let Some(new) = new.filter(|_| stored) {
            unlocked.opened.key = Some(new);
        }
        Ok(stored)
    }

    /// The credential as it is stored now, opened with a PIN that was right before.
    pub(super) fn reopened(&self, holder: &Holder, pin: &Pin) -> Result<Unlocked> {
        let stored = self.credential(holder)?.ok_or(Error::UserPinNotInitialized)?;
        let key = stored.credential.key(pin)?;
        stored.open(&self.header().serial, &key)
    }

    /// Checks a PIN, counting the attempt, without logging in.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::UserPinNotInitialized`].
    pub fn verify(&self, holder: impl Into<Holder>, pin: &Pin) -> Result<()> {
        self.unlock(&holder.into(), pin).map(|_| ())
    }

    /// Checks a PIN, counting the attempt, and opens the vault with it. What the
    /// derivation itself fails at is not counted: it is no answer to a guess. Nor
    /// is what is longer than any PIN: it is none.
    pub(super) fn unlock(&self, holder: &Holder, pin: &Pin) -> Result<Unlocked> {
        let id = id(holder)?;
        if self.settings.require_counter && !self.store.is_writable() {
            return Err(Error::TokenWriteProtected);
        }
        let Some(stored) = self.credential(holder)? else {
            return Err(match holder {
                Holder::Standard(_) => Error::UserPinNotInitialized,
                Holder::Named(_) => self.unlock_nothing(pin),
            });
        };
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

    /// The answer to a name that nobody has, after the work of a wrong PIN, so that neither
    /// it nor the time it takes tells who is there.
    pub(super) fn unlock_nothing(&self, pin: &Pin) -> Error {
        let work = || {
            if pin.is_too_long() {
                return Ok(());
            }
            self.new_lock(&UserType::User.into(), pin)?;
            // Counted as others are, but as nobody's and without a limit.
            self.store.reserve(&record_id("user/")?, u32::MAX)?.fail().map(|_| ())
        };
        work().err().unwrap_or(Error::PinIncorrect)
    }

    /// Whether a PIN was set for this holder.
    pub(super) fn has_credential(&self, holder: &Holder) -> Result<bool> {
        Ok(self.store.get(CREDENTIAL, &id(holder)?)?.is_some())
    }

    /// The stored credential of a user; `None` when the PIN is not set.
    pub(super) fn credential(&self, holder: &Holder) -> Result<Option<Stored>> {
        let Some(record) = self.store.get(CREDENTIAL, &id(holder)?)? else { return Ok(None) };
        decode(&record).map(|credential| Some(Stored { record, credential }))
    }

    pub(super) fn pin_state(&self, holder: impl Into<Holder>) -> Result<PinState> {
        let id = id(&holder.into())?;
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
pub(super) struct Stored {
    record: Record,
    pub credential: Credential,
}

impl Stored {
    fn open(&self, serial: &str, key: &WrappingKey) -> Result<Unlocked> {
        let opened = self.credential.open(serial, place_of(&self.record), key)?;
        let (version, parameters) = (self.record.version, self.credential.parameters());
        let has_colon = self.credential.has_colon();
        Ok(Unlocked { opened, version, parameters, has_colon })
    }
}
