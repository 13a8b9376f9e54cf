//! Named users: IAM's users at the KMS door, `C_LoginUser`'s at the C door.

use super::access_keys::AccessKey;
use super::entity::{Entity, HasEntity, Identity};
use super::record::{ACCESS_KEY, CREDENTIAL, USER};
use super::sealed::{self, SealedValue};
use super::{Name, PinState, Token, credential, record_id};
use crate::error::{Error, Result};
use crate::policy::Principal;
use crate::secret::Pin;
use minicbor::{CborLen, Decode, Encode};
use std::collections::HashSet;

/// A named user. The PIN is in a record of its own: the credential `user/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct User {
    /// Name, tags, policies; the unique id begins with `AIDA`.
    #[n(0)]
    pub entity: Entity,
}

impl SealedValue for User {
    const KIND: crate::store::Kind = USER;

    fn name(&self) -> &str {
        self.entity.name.folded()
    }
}

impl HasEntity for User {
    fn entity_mut(&mut self) -> &mut Entity {
        &mut self.entity
    }
}

impl Token {
    /// Makes a named user with this PIN.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::EntityExists`]; [`Error::PinLenRange`]; or why it could not be stored.
    pub fn add_user(&self, principal: Principal, name: &Name, pin: &Pin) -> Result<User> {
        self.may_administer(principal)?;
        self.require_writable()?;
        if !pin.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        // Nobody derives a key who may not store it.
        self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        let (now, entropy) = (self.surroundings.clock.now(), &*self.surroundings.entropy);
        let user = User { entity: Entity::new(name, "AIDA", now, entropy)? };
        let holder = name.clone().into();
        let (lock, _) = self.new_lock(&holder, pin)?;
        self.change_sealed(principal, |reader, vault, changes| {
            if sealed::get::<User>(reader, vault, name.folded())?.is_some() {
                return Err(Identity::User(name.clone()).exists());
            }
            changes.push(sealed::put(vault, &user, 0, entropy)?);
            // One whose user was set aside as damaged may be left.
            let left = reader.get(CREDENTIAL, &credential::id(&holder)?)?;
            let expected = left.map_or(0, |record| record.version);
            changes.push(credential::record(&holder, vault, &lock, expected, entropy)?);
            Ok(())
        })?;
        // Of one who had the name before.
        self.store.forgive(&credential::id(&holder)?)?;
        Ok(user)
    }

    /// All named users, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn users(&self, principal: Principal) -> Result<Vec<User>> {
        self.values(principal)
    }

    /// The user of this name.
    ///
    /// # Errors
    /// As for [`Token::users`]; [`Error::EntityUnknown`].
    pub fn user(&self, principal: Principal, name: &Name) -> Result<User> {
        let user = self.value(principal, name.folded())?;
        user.ok_or_else(|| Identity::User(name.clone()).unknown())
    }

    /// The state of a user's PIN.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks; the
    /// store could not be read.
    pub fn user_pin(&self, principal: Principal, name: &Name) -> Result<PinState> {
        self.may_administer(principal)?;
        self.pin_state(name.clone())
    }

    /// Sets a user's PIN without the present one, and forgets its failures. Whoever is
    /// logged in stays until the root key is replaced, and the old PIN opens copies of the
    /// token's file.
    ///
    /// # Errors
    /// As for [`Token::add_user`]; [`Error::EntityUnknown`].
    pub fn set_user_pin(&self, principal: Principal, name: &Name, pin: &Pin) -> Result<()> {
        self.may_administer(principal)?;
        self.require_writable()?;
        if !pin.has_valid_length() {
            return Err(Error::PinLenRange);
        }
        self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        let (holder, entropy) = (name.clone().into(), &*self.surroundings.entropy);
        let (lock, _) = self.new_lock(&holder, pin)?;
        let id = credential::id(&holder)?;
        self.change_sealed(principal, |reader, vault, changes| {
            if sealed::get::<User>(reader, vault, name.folded())?.is_none() {
                return Err(Identity::User(name.clone()).unknown());
            }
            let expected = reader.get(CREDENTIAL, &id)?.map_or(0, |record| record.version);
            changes.push(credential::record(&holder, vault, &lock, expected, entropy)?);
            Ok(())
        })?;
        self.store.forgive(&id)
    }

    /// Removes a user with PIN and access keys, and replaces the root key in the same
    /// commit: the PIN opens nothing any more that is stored from now on. Copies of the
    /// token's file that were made before stay open to it.
    ///
    /// # Errors
    /// [`Error::EntityUnknown`], and as for [`Token::rotate_root_key`]. Nothing has
    /// changed then.
    pub fn remove_user(&self, principal: Principal, name: &Name) -> Result<()> {
        self.may_administer(principal)?;
        let credential = (CREDENTIAL, credential::id(&name.clone().into())?);
        self.rotate_without(principal, &|reader, vault| {
            let mut gone = HashSet::new();
            if let Some(user) = sealed::get::<User>(reader, vault, name.folded())? {
                gone.insert((USER, record_id(name.folded())?));
                let id = user.value.entity.unique_id;
                for key in AccessKey::of(reader, vault, Some(&id))? {
                    gone.insert((ACCESS_KEY, record_id(key.name())?));
                }
            }
            if reader.get(credential.0, &credential.1)?.is_some() {
                gone.insert(credential.clone());
            }
            if gone.is_empty() {
                return Err(Identity::User(name.clone()).unknown());
            }
            Ok(gone)
        })
        .map(|_| ())
    }
}
