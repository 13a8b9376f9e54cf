//! Access keys: what requests of the KMS API are signed with (Signature Version 4).

use super::entity::{Identity, time, unique_id};
use super::record::{ACCESS_KEY, seconds};
use super::sealed::{self, Property, SealedValue};
use super::{Name, Token, User};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::Principal;
use crate::secret::SecretBytes;
use crate::store::Reader;
use crate::vault::Vault;
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder};
use std::time::SystemTime;

/// The most access keys of one user, and of the owner.
pub const ACCESS_KEYS_MAX: usize = 2;

/// Finds the access keys of one owner: the user's unique id, [`ROOT`] for the token's owner.
const OWNER: u8 = 1;
const ROOT: &str = "root";

/// An access key.
#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct AccessKey {
    /// `AKIA` and 16 letters and digits. Not secret.
    #[n(0)]
    pub id: String,
    /// Whose it is; absent for the token's owner, the account root.
    #[n(1)]
    pub owner: Option<KeyOwner>,
    #[n(2)]
    secret: Secret,
    /// It may be used.
    #[n(3)]
    pub is_active: bool,
    /// Seconds since 1970.
    #[n(4)]
    created: u64,
}

/// The user who has an access key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct KeyOwner {
    /// The name.
    #[n(0)]
    pub name: Name,
    /// The unique id, `AIDA…`.
    #[n(1)]
    pub unique_id: String,
}

/// 40 characters of base64's alphabet.
#[derive(Debug)]
struct Secret(SecretBytes);

impl Secret {
    const LEN: usize = 40;

    fn new(entropy: &dyn Entropy) -> Result<Self> {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        // Each random byte becomes a character where it stands: six bits each, 240 in all.
        let secret = SecretBytes::filled(Self::LEN, |out| {
            entropy.fill(out)?;
            out.iter_mut().for_each(|byte| *byte = ALPHABET[usize::from(*byte % 64)]);
            Ok(())
        })?;
        Ok(Self(secret))
    }
}

impl<C> Encode<C> for Secret {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(self.0.expose())?.ok()
    }
}

impl<C> CborLen<C> for Secret {
    fn cbor_len(&self, context: &mut C) -> usize {
        minicbor::bytes::cbor_len(self.0.expose(), context)
    }
}

impl<'b, C> Decode<'b, C> for Secret {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        decoder.bytes().map(|bytes| Self(SecretBytes::copied(bytes)))
    }
}

impl SealedValue for AccessKey {
    const KIND: crate::store::Kind = ACCESS_KEY;

    fn name(&self) -> &str {
        &self.id
    }

    fn properties(&self) -> Vec<Property<'_>> {
        vec![(OWNER, self.owner.as_ref().map_or(ROOT, |owner| &owner.unique_id))]
    }
}

impl AccessKey {
    /// The secret, 40 characters. For those who show it once, and for those who check
    /// signatures.
    #[must_use]
    pub const fn secret(&self) -> &SecretBytes {
        &self.secret.0
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        time(self.created)
    }

    /// Those of the user with this unique id; without one, of the token's owner.
    pub(super) fn of(reader: &dyn Reader, vault: &Vault, user: Option<&str>) -> Result<Vec<Self>> {
        let mut keys = Vec::new();
        sealed::for_each(reader, vault, Some((OWNER, user.unwrap_or(ROOT))), |stored| {
            keys.push(stored.value);
            Ok(())
        })?;
        Ok(keys)
    }
}

/// Whose access keys are meant; an error if there is no such user.
fn owner(reader: &dyn Reader, vault: &Vault, user: Option<&Name>) -> Result<Option<KeyOwner>> {
    let Some(name) = user else { return Ok(None) };
    let user = sealed::get::<User>(reader, vault, name.folded())?;
    let entity = user.ok_or_else(|| Identity::User(name.clone()).unknown())?.value.entity;
    Ok(Some(KeyOwner { name: entity.name, unique_id: entity.unique_id }))
}

fn unknown(id: &str) -> Error {
    Error::EntityUnknown(format!("access key {id}"))
}

impl Token {
    /// Makes an access key for a user, or for the owner. Its secret is in the answer and
    /// can be had again by nobody but who checks signatures.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::EntityUnknown`]; [`Error::LimitExceeded`] for the third; or why it could not
    /// be stored.
    pub fn create_access_key(
        &self,
        principal: Principal,
        user: Option<&Name>,
    ) -> Result<AccessKey> {
        self.may_administer(principal)?;
        let entropy = &*self.surroundings.entropy;
        let mut key = AccessKey {
            id: unique_id("AKIA", 16, entropy)?,
            owner: None,
            secret: Secret::new(entropy)?,
            is_active: true,
            created: seconds(self.surroundings.clock.now()),
        };
        self.change_sealed(principal, |reader, vault, changes| {
            key.owner = owner(reader, vault, user)?;
            let id = key.owner.as_ref().map(|owner| &*owner.unique_id);
            if AccessKey::of(reader, vault, id)?.len() >= ACCESS_KEYS_MAX {
                return Err(Error::LimitExceeded(format!(
                    "there may be {ACCESS_KEYS_MAX} access keys"
                )));
            }
            changes.push(sealed::put(vault, &key, 0, entropy)?);
            Ok(())
        })?;
        Ok(key)
    }

    /// The access keys of a user, or of the owner.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::EntityUnknown`]; [`Error::RecordDamaged`]; the store could not be read.
    pub fn access_keys(&self, principal: Principal, user: Option<&Name>) -> Result<Vec<AccessKey>> {
        self.may_administer(principal)?;
        self.refresh()?;
        self.read_sealed(principal, |reader, vault| {
            let owner = owner(reader, vault, user)?;
            AccessKey::of(reader, vault, owner.as_ref().map(|owner| &*owner.unique_id))
        })
    }

    /// The access key of this id: one record is read.
    ///
    /// # Errors
    /// As for [`Token::access_keys`]; [`Error::EntityUnknown`].
    pub fn access_key(&self, principal: Principal, id: &str) -> Result<AccessKey> {
        self.value(principal, id)?.ok_or_else(|| unknown(id))
    }

    /// Lets an access key be used, or not.
    ///
    /// # Errors
    /// As for [`Token::access_key`]; or why it could not be stored.
    pub fn set_access_key_active(
        &self,
        principal: Principal,
        id: &str,
        is_active: bool,
    ) -> Result<()> {
        self.may_administer(principal)?;
        let entropy = &*self.surroundings.entropy;
        self.change_sealed(principal, |reader, vault, changes| {
            let stored = sealed::get::<AccessKey>(reader, vault, id)?;
            let mut stored = stored.ok_or_else(|| unknown(id))?;
            stored.value.is_active = is_active;
            changes.push(sealed::put(vault, &stored.value, stored.version, entropy)?);
            Ok(())
        })
    }

    /// Removes an access key.
    ///
    /// # Errors
    /// As for [`Token::access_key`]; or why it could not be stored.
    pub fn delete_access_key(&self, principal: Principal, id: &str) -> Result<()> {
        self.may_administer(principal)?;
        self.change_sealed(principal, |reader, vault, changes| {
            let stored = sealed::get::<AccessKey>(reader, vault, id)?;
            changes.push(sealed::remove(&stored.ok_or_else(|| unknown(id))?)?);
            Ok(())
        })
    }
}
