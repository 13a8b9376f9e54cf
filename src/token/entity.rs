//! What users and roles have in common: IAM's entities, their tags and inline policies.

use super::name::is_name_byte;
use super::record::seconds;
use super::sealed::{self, SealedValue};
use super::{Name, Role, Token, User};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::{Action, Document, DocumentKind, Principal, Resource};
use minicbor::{CborLen, Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most inline policies of one user or role.
pub const POLICIES_MAX: usize = 20;
/// The longest name of a policy, in bytes.
pub const POLICY_NAME_MAX: usize = 128;
/// The most tags of one user or role.
pub const TAGS_MAX: usize = 50;
/// The longest key of a tag, in characters.
const TAG_KEY_MAX: usize = 128;
/// The longest value of a tag, in characters.
const TAG_VALUE_MAX: usize = 256;

/// A user or a role by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A named user.
    User(Name),
    /// A role.
    Role(Name),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Role(name) => write!(f, "role {name}"),
        }
    }
}

impl Identity {
    pub(super) fn unknown(&self) -> Error {
        Error::EntityUnknown(self.to_string())
    }

    pub(super) fn exists(&self) -> Error {
        Error::EntityExists(self.to_string())
    }
}

/// What a user and a role have in common.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Entity {
    /// The name.
    #[n(0)]
    pub name: Name,
    /// 21 characters, drawn when it was made: one that is made later under the same name
    /// has another.
    #[n(1)]
    pub unique_id: String,
    /// Seconds since 1970.
    #[n(2)]
    created: u64,
    /// Cannot log in, or be taken.
    #[n(3)]
    pub is_disabled: bool,
    /// Tags by their keys.
    #[n(4)]
    pub tags: BTreeMap<String, String>,
    /// The inline policies by their names: JSON.
    #[n(5)]
    pub policies: BTreeMap<String, String>,
}

impl Entity {
    /// A new one. `prefix`: four characters that tell what it is.
    pub(super) fn new(
        name: &Name,
        prefix: &str,
        now: SystemTime,
        entropy: &dyn Entropy,
    ) -> Result<Self> {
        Ok(Self {
            name: name.clone(),
            unique_id: unique_id(prefix, 17, entropy)?,
            created: seconds(now),
            is_disabled: false,
            tags: BTreeMap::new(),
            policies: BTreeMap::new(),
        })
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        time(self.created)
    }

    fn put_policy(&mut self, name: &str, text: &str) -> Result<()> {
        let valid = (1..=POLICY_NAME_MAX).contains(&name.len()) && name.bytes().all(is_name_byte);
        if !valid {
            return Err(Error::ValidationFailed(format!(
                "a policy's name has 1 to {POLICY_NAME_MAX} of A-Z a-z 0-9 + = , . @ _ -"
            )));
        }
        let others = self.policies.keys().filter(|other| *other != name).count();
        if others >= POLICIES_MAX {
            return Err(Error::LimitExceeded(format!("there may be {POLICIES_MAX} policies")));
        }
        self.policies.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    fn put_tag(&mut self, key: &str, value: &str) -> Result<()> {
        let is_text =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
        let valid = (1..=TAG_KEY_MAX).contains(&key.chars().count())
            && value.chars().count() <= TAG_VALUE_MAX
            && is_text(key)
            && is_text(value)
            && !key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        if !valid {
            return Err(Error::ValidationFailed(format!(
                "a tag has a key of 1 to {TAG_KEY_MAX} characters that does not begin with aws: \
                 and a value of at most {TAG_VALUE_MAX}: letters, digits, blanks and _ . : / = + - @"
            )));
        }
        // Keys do not tell cases apart, and are kept as they were given last.
        self.tags.retain(|other, _| !other.eq_ignore_ascii_case(key));
        if self.tags.len() >= TAGS_MAX {
            return Err(Error::LimitExceeded(format!("there may be {TAGS_MAX} tags")));
        }
        self.tags.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

/// Seconds since 1970 as a time.
pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

/// An identifier of IAM's: `prefix`, and so many letters and digits that were drawn.
pub(super) fn unique_id(prefix: &str, drawn: usize, entropy: &dyn Entropy) -> Result<String> {
    // The alphabet of base32 (RFC 4648 §6): 32 characters, so that each is as likely.
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = vec![0; drawn];
    entropy.fill(&mut bytes)?;
    let characters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(prefix.chars().chain(characters).collect())
}

/// A sealed value that is an entity.
pub(super) trait HasEntity: SealedValue {
    fn entity_mut(&mut self) -> &mut Entity;
}

impl Token {
    /// Whether `principal` may administer users, roles and access keys: the owner alone.
    pub(super) fn may_administer(&self, principal: Principal) -> Result<()> {
        self.authorize(principal, Action::ManageIdentities, Resource::Token)
    }

    /// Sets an inline policy of a user or a role, or replaces it.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::EntityUnknown`]; [`Error::ValidationFailed`], [`Error::MalformedPolicy`]
    /// for a name or a document that cannot be one; [`Error::LimitExceeded`]; or why it
    /// could not be stored.
    pub fn put_identity_policy(
        &self,
        principal: Principal,
        identity: &Identity,
        name: &str,
        text: &str,
    ) -> Result<()> {
        Document::parse(DocumentKind::Identity, text)?;
        self.change_identity(principal, identity, |entity| entity.put_policy(name, text))
    }

    /// Removes an inline policy of a user or a role.
    ///
    /// # Errors
    /// As for [`Token::put_identity_policy`]; [`Error::EntityUnknown`] also when there is
    /// no such policy.
    pub fn delete_identity_policy(
        &self,
        principal: Principal,
        identity: &Identity,
        name: &str,
    ) -> Result<()> {
        self.change_identity(principal, identity, |entity| {
            let gone = entity.policies.remove(name);
            gone.map(|_| ())
                .ok_or_else(|| Error::EntityUnknown(format!("policy {name} of {identity}")))
        })
    }

    /// Sets a tag of a user or a role. Keys of tags do not tell cases apart.
    ///
    /// # Errors
    /// As for [`Token::put_identity_policy`].
    pub fn tag_identity(
        &self,
        principal: Principal,
        identity: &Identity,
        key: &str,
        value: &str,
    ) -> Result<()> {
        self.change_identity(principal, identity, |entity| entity.put_tag(key, value))
    }

    /// Removes a tag of a user or a role.
    ///
    /// # Errors
    /// As for [`Token::put_identity_policy`]; [`Error::EntityUnknown`] also when there is
    /// no such tag.
    pub fn untag_identity(
        &self,
        principal: Principal,
        identity: &Identity,
        key: &str,
    ) -> Result<()> {
        self.change_identity(principal, identity, |entity| {
            let before = entity.tags.len();
            entity.tags.retain(|other, _| !other.eq_ignore_ascii_case(key));
            if entity.tags.len() < before {
                Ok(())
            } else {
                Err(Error::EntityUnknown(format!("tag {key} of {identity}")))
            }
        })
    }

    /// Lets a user log in no more, or a role not be taken, or lets them again. A login that
    /// is there ends at its next use, in whichever process.
    ///
    /// # Errors
    /// As for [`Token::put_identity_policy`].
    pub fn set_identity_disabled(
        &self,
        principal: Principal,
        identity: &Identity,
        is_disabled: bool,
    ) -> Result<()> {
        self.change_identity(principal, identity, |entity| {
            entity.is_disabled = is_disabled;
            Ok(())
        })
    }

    fn change_identity(
        &self,
        principal: Principal,
        identity: &Identity,
        mut change: impl FnMut(&mut Entity) -> Result<()>,
    ) -> Result<()> {
        match identity {
            Identity::User(name) => self
                .change_value::<User>(principal, name, identity, |user| change(user.entity_mut())),
            Identity::Role(name) => self
                .change_value::<Role>(principal, name, identity, |role| change(role.entity_mut())),
        }
    }

    /// Stores what `change` makes of a user or a role.
    pub(super) fn change_value<T: HasEntity>(
        &self,
        principal: Principal,
        name: &Name,
        identity: &Identity,
        mut change: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<()> {
        self.may_administer(principal)?;
        let entropy = &*self.surroundings.entropy;
        self.change_sealed(principal, |reader, vault, changes| {
            let stored = sealed::get::<T>(reader, vault, name.folded())?;
            let mut stored = stored.ok_or_else(|| identity.unknown())?;
            change(&mut stored.value)?;
            changes.push(sealed::put(vault, &stored.value, stored.version, entropy)?);
            Ok(())
        })
    }

    /// Every value of a kind, in the order in which they were made.
    pub(super) fn values<T: SealedValue>(&self, principal: Principal) -> Result<Vec<T>> {
        self.may_administer(principal)?;
        self.refresh()?;
        self.read_sealed(principal, |reader, vault| {
            let mut values = Vec::new();
            sealed::for_each(reader, vault, None, |stored| {
                values.push(stored.value);
                Ok(())
            })?;
            Ok(values)
        })
    }

    /// The value of this name.
    pub(super) fn value<T: SealedValue>(
        &self,
        principal: Principal,
        name: &str,
    ) -> Result<Option<T>> {
        self.may_administer(principal)?;
        self.refresh()?;
        self.read_sealed(principal, |reader, vault| {
            Ok(sealed::get(reader, vault, name)?.map(|stored| stored.value))
        })
    }
}
