//! Credentials: PINs, how they are checked, counted, set and changed.

use super::record::{CREDENTIAL, to_vec};
use super::{Access, PinState, Settings, Token, record_id};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::{Action, Principal, Resource, authorize};
use crate::secret::Pin;
use crate::store::{Change, RecordId};
use crate::types::UserType;
use crate::vault::{PinParameters, Vault, WrappedRoot};
use std::sync::Arc;

/// The record that holds a user's credential.
fn name(user: UserType) -> Result<&'static str> {
    match user {
        UserType::SecurityOfficer => Ok("so"),
        UserType::User => Ok("user"),
        UserType::ContextSpecific => Err(Error::UserTypeInvalid),
    }
}

fn id(user: UserType) -> Result<RecordId> {
    record_id(name(user)?)
}

/// The change that stores a credential over version `expected`.
pub fn record(
    user: UserType,
    vault: &Vault,
    pin: &Pin,
    expected: u64,
    settings: Settings,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let wrapped = WrappedRoot::wrap(vault, name(user)?, pin, settings.pin_parameters, entropy)?;
    Ok(Change::Put {
        kind: CREDENTIAL,
        id: id(user)?,
        expected,
        body: to_vec(&wrapped)?,
        tags: Vec::new(),
    })
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
        let principal = match user {
            UserType::SecurityOfficer => Principal::SecurityOfficer,
            UserType::User => Principal::Owner,
            // Only for keys with CKA_ALWAYS_AUTHENTICATE, of which there are none.
            UserType::ContextSpecific => return Err(Error::OperationNotInitialized),
        };
        let _one_at_a_time = self.login.lock();
        match self.principal() {
            Principal::Public => {}
            present if present == principal => return Err(Error::UserAlreadyLoggedIn),
            _ => return Err(Error::UserAnotherAlreadyLoggedIn),
        }
        let vault = Some(Arc::new(self.unlock(user, pin)?));
        self.access.store(Arc::new(Access { principal, vault }));
        self.registry.lock().retire_sealed();
        Ok(())
    }

    /// Forgets the login and with it the root key (`C_Logout`).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`].
    pub fn logout(&self) -> Result<()> {
        let _one_at_a_time = self.login.lock();
        let before = self.access.swap(Arc::new(Access::PUBLIC));
        if before.principal == Principal::Public {
            return Err(Error::UserNotLoggedIn);
        }
        self.registry.lock().retire_sealed();
        Ok(())
    }

    /// Sets the user's PIN and forgets its failures (`C_InitPIN`, PKCS#11 v3.2
    /// §5.5.8).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the SO asks; [`Error::PinLenRange`].
    pub fn init_pin(&self, principal: Principal, pin: &Pin) -> Result<()> {
        authorize(principal, Action::InitializePin, Resource::Token)?;
        self.require_writable()?;
        if !pin.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        let vault = self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        self.put_credential(UserType::User, &vault, pin, None)?;
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
        let version = self.store.get(CREDENTIAL, &id(user)?)?.map(|record| record.version);
        let vault = self.unlock(user, old)?;
        self.put_credential(user, &vault, new, version)
    }

    /// Stores a credential; with `only_over`, only if nobody changed it meanwhile.
    fn put_credential(
        &self,
        user: UserType,
        vault: &Vault,
        pin: &Pin,
        only_over: Option<u64>,
    ) -> Result<()> {
        let id = id(user)?;
        let entropy = &*self.surroundings.entropy;
        // The derivation is slow: it runs before the writer's lock is taken.
        let change = record(user, vault, pin, 0, self.settings, entropy)?;
        self.commit(Some(vault), &mut |reader| {
            let present = reader.get(CREDENTIAL, &id)?.map_or(0, |record| record.version);
            if only_over.is_some_and(|version| version != present) {
                return Err(Error::PinIncorrect);
            }
            let mut change = change.clone();
            if let Change::Put { expected, .. } = &mut change {
                *expected = present;
            }
            Ok(vec![change])
        })?;
        Ok(())
    }

    /// Checks a PIN, counting the attempt, and opens the vault with it. What the
    /// derivation itself fails at is not counted: it is no answer to a guess. Nor
    /// is what is longer than any PIN: it is none.
    pub(super) fn unlock(&self, user: UserType, pin: &Pin) -> Result<Vault> {
        let id = id(user)?;
        if self.settings.require_counter && !self.store.is_writable() {
            return Err(Error::TokenWriteProtected);
        }
        let wrapped = self.wrapped_root(&id)?.ok_or(Error::UserPinNotInitialized)?;
        let serial = self.header().serial.clone();
        // Spares the derivation; what counts is the reservation.
        if self.store.attempts(&id)?.failures >= self.settings.pin_attempts {
            return Err(Error::PinLocked);
        }
        if pin.is_too_long() {
            return Err(Error::PinIncorrect);
        }
        let key = wrapped.key(pin)?;
        let reservation = self.store.reserve(&id, self.settings.pin_attempts)?;
        match wrapped.open(&serial, name(user)?, &key) {
            Ok(vault) => {
                reservation.succeed()?;
                Ok(vault)
            }
            Err(error) => {
                reservation.fail()?;
                Err(error)
            }
        }
    }

    /// The cost at which a user's PIN was set; `None` when it is not set.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn pin_parameters(&self, user: UserType) -> Result<Option<PinParameters>> {
        Ok(self.wrapped_root(&id(user)?)?.map(|wrapped| wrapped.parameters()))
    }

    /// The stored credential of this name; `None` when the PIN is not set.
    fn wrapped_root(&self, id: &RecordId) -> Result<Option<WrappedRoot>> {
        let Some(record) = self.store.get(CREDENTIAL, id)? else { return Ok(None) };
        let damaged = |_| Error::RecordDamaged(id.as_str().to_owned());
        minicbor::decode(&record.body).map(Some).map_err(damaged)
    }

    pub(super) fn pin_state(&self, user: UserType) -> Result<PinState> {
        let id = id(user)?;
        Ok(PinState {
            initialized: self.store.get(CREDENTIAL, &id)?.is_some(),
            failures: self.store.attempts(&id)?.failures,
            limit: self.settings.pin_attempts,
        })
    }
}
