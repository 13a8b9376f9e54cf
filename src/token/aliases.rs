//! Aliases: other names of keys, which can be moved from one to another.
//!
//! The record's own name is drawn at random; the alias is found by a keyed hash of its
//! name, so that nobody reads it in the file. Under the writer's lock nobody else makes
//! one of the same name.

use super::authorization::Ask;
use super::objects::key_in;
use super::record::{ALIAS, seconds};
use super::sealed::{self, OF_KEY, Property, SealedValue, Stored};
use super::{LiveObject, Token, entity};
use crate::entropy;
use crate::error::{Error, Refusal, Result};
use crate::policy::{Action, Principal, Resource};
use crate::store::{Cursor, Reader};
use crate::vault::Vault;
use minicbor::{CborLen, Decode, Encode};
use std::time::SystemTime;

/// The most aliases of one key.
pub const ALIASES_MAX: usize = 50;
/// The longest name, in bytes, the prefix included.
const NAME_MAX: usize = 256;
/// What every name begins with.
const PREFIX: &str = "alias/";
/// What names begin with that are not given to anybody.
const RESERVED: &str = "alias/aws/";

/// By which an alias is found.
const NAME: u8 = 2;

/// Another name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Alias {
    #[n(0)]
    record: String,
    /// The name, with `alias/` in front.
    #[n(1)]
    pub alias_name: String,
    /// The unique id of the key that it names.
    #[n(2)]
    pub key: String,
    #[n(3)]
    created: u64,
    #[n(4)]
    updated: u64,
}

impl Alias {
    /// When it was made.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        entity::time(self.created)
    }

    /// When it was given its key.
    #[must_use]
    pub fn updated(&self) -> SystemTime {
        entity::time(self.updated)
    }
}

impl SealedValue for Alias {
    const KIND: crate::store::Kind = ALIAS;

    fn name(&self) -> &str {
        &self.record
    }

    fn properties(&self) -> Vec<Property<'_>> {
        vec![(OF_KEY, &self.key), (NAME, &self.alias_name)]
    }
}

/// The alias of this name.
fn named(reader: &dyn Reader, vault: &Vault, name: &str) -> Result<Option<Stored<Alias>>> {
    let mut found = None;
    sealed::for_each(reader, vault, Some((NAME, name)), |stored| {
        found = Some(stored);
        Ok(())
    })?;
    Ok(found)
}

fn no_such_alias(name: &str) -> Error {
    Error::Refused(Refusal::NoSuchAlias(name.to_owned()))
}

/// The names of a key's aliases, oldest first.
///
/// # Errors
/// [`Error::RecordDamaged`]; the store could not be read.
pub(super) fn names_of(reader: &dyn Reader, vault: &Vault, key: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    sealed::for_each(reader, vault, Some((OF_KEY, key)), |stored: Stored<Alias>| {
        names.push(stored.value.alias_name);
        Ok(())
    })?;
    Ok(names)
}

impl Token {
    /// Gives a key another name (KMS API: CreateAlias). `name` begins with `alias/`.
    ///
    /// # Errors
    /// [`Error::ValidationFailed`] for what is no name of an alias, or no key's id,
    /// [`Refusal::AliasReserved`]; [`Refusal::NoSuchKey`], [`Refusal::State`],
    /// [`Error::UserNotLoggedIn`]; [`Refusal::AliasExists`]; [`Error::LimitExceeded`] for
    /// more than 50 of one key; or why it could not be stored.
    pub fn create_alias(&self, principal: Principal, name: &str, key: &str) -> Result<()> {
        require_name(name)?;
        require_no_alias(key)?;
        self.change_sealed(principal, |reader, vault, changes| {
            let target =
                self.alias_key(reader, vault, principal, (Action::CreateAlias, name), key)?;
            self.require_state(Action::CreateAlias, &target.object)?;
            if let Some(stored) = named(reader, vault, name)? {
                if self.names_a_key(reader, vault, principal, &stored)? {
                    return Err(Error::Refused(Refusal::AliasExists(name.to_owned())));
                }
                // Its key went by its date, and it with it.
                changes.push(sealed::remove(&stored)?);
            }
            require_room(reader, vault, key)?;
            let record: [u8; 16] = entropy::array(&*self.surroundings.entropy)?;
            let now = seconds(self.surroundings.clock.now());
            let alias = Alias {
                record: format!("{:032x}", u128::from_be_bytes(record)),
                alias_name: name.to_owned(),
                key: key.to_owned(),
                created: now,
                updated: now,
            };
            changes.push(sealed::put(vault, &alias, 0, &*self.surroundings.entropy)?);
            Ok(())
        })
    }

    /// Gives an alias to another key (KMS API: UpdateAlias).
    ///
    /// # Errors
    /// As for [`Token::create_alias`]; [`Refusal::NoSuchAlias`].
    pub fn update_alias(&self, principal: Principal, name: &str, key: &str) -> Result<()> {
        require_name(name)?;
        require_no_alias(key)?;
        let (action, about) = (Action::UpdateAlias, (Action::UpdateAlias, name));
        self.change_sealed(principal, |reader, vault, changes| {
            let Stored { value: alias, version } = self.living(reader, vault, principal, name)?;
            self.alias_key(reader, vault, principal, about, &alias.key)?;
            let target = self.alias_key(reader, vault, principal, about, key)?;
            self.require_state(action, &target.object)?;
            if alias.key != key {
                require_room(reader, vault, key)?;
            }
            let updated = seconds(self.surroundings.clock.now());
            let alias = Alias { key: key.to_owned(), updated, ..alias };
            changes.push(sealed::put(vault, &alias, version, &*self.surroundings.entropy)?);
            Ok(())
        })
    }

    /// Takes an alias away; its key stays (KMS API: DeleteAlias).
    ///
    /// # Errors
    /// [`Error::ValidationFailed`], [`Refusal::AliasReserved`], [`Refusal::NoSuchAlias`],
    /// [`Error::UserNotLoggedIn`]; or why it could not be stored.
    pub fn delete_alias(&self, principal: Principal, name: &str) -> Result<()> {
        require_name(name)?;
        self.change_sealed(principal, |reader, vault, changes| {
            let stored = self.living(reader, vault, principal, name)?;
            let key = &stored.value.key;
            self.alias_key(reader, vault, principal, (Action::DeleteAlias, name), key)?;
            changes.push(sealed::remove(&stored)?);
            Ok(())
        })
    }

    /// Some aliases, at most `limit`, of a key or of all, oldest first; and where to go
    /// on, if there may be more (KMS API: ListAliases).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Refusal::NoSuchKey`]; [`Refusal::Marker`] for an
    /// `after` that this did not give; the store could not be read.
    pub fn aliases(
        &self,
        principal: Principal,
        key: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Alias>, Option<String>)> {
        self.authorize(principal, Action::ListAliases, Resource::Token)?;
        let after = after.map(cursor).transpose()?;
        let now = self.surroundings.clock.now();
        self.read_sealed(principal, |reader, vault| {
            if let Some(key) = key {
                key_in(reader, vault, principal, key, now)?;
            }
            let by: Vec<_> = key.map(|key| (OF_KEY, key)).into_iter().collect();
            let (mut page, next): (Vec<Alias>, _) = sealed::page(reader, vault, &by, after, limit)?;
            let mut failed = Ok(());
            page.retain(|alias| match key_in(reader, vault, principal, &alias.key, now) {
                Ok(_) => true,
                Err(Error::Refused(Refusal::NoSuchKey(_))) => false,
                Err(other) => {
                    failed = Err(other);
                    false
                }
            });
            failed?;
            Ok((page, next.map(marker)))
        })
    }

    /// The names of a key's aliases, oldest first, for whoever may know the key.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn alias_names(&self, principal: Principal, key: &str) -> Result<Vec<String>> {
        self.read_sealed(principal, |reader, vault| names_of(reader, vault, key))
    }

    /// The unique id of the key that an alias names.
    ///
    /// # Errors
    /// [`Refusal::NoSuchAlias`]; [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn key_of_alias(&self, principal: Principal, name: &str) -> Result<String> {
        self.read_sealed(principal, |reader, vault| {
            Ok(self.living(reader, vault, principal, name)?.value.key)
        })
    }

    /// The alias of this name whose key is still there.
    fn living(
        &self,
        reader: &dyn Reader,
        vault: &Vault,
        principal: Principal,
        name: &str,
    ) -> Result<Stored<Alias>> {
        let stored = named(reader, vault, name)?.ok_or_else(|| no_such_alias(name))?;
        if self.names_a_key(reader, vault, principal, &stored)? {
            return Ok(stored);
        }
        Err(no_such_alias(name))
    }

    fn names_a_key(
        &self,
        reader: &dyn Reader,
        vault: &Vault,
        principal: Principal,
        stored: &Stored<Alias>,
    ) -> Result<bool> {
        let now = self.surroundings.clock.now();
        match key_in(reader, vault, principal, &stored.value.key, now) {
            Ok(_) => Ok(true),
            Err(Error::Refused(Refusal::NoSuchKey(_))) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// A key that an alias names or will name, if `principal` may do that to it.
    fn alias_key(
        &self,
        reader: &dyn Reader,
        vault: &Vault,
        principal: Principal,
        (action, name): (Action, &str),
        key: &str,
    ) -> Result<LiveObject> {
        let live = key_in(reader, vault, principal, key, self.surroundings.clock.now())?;
        let ask = Ask { alias: Some(name), ..Ask::new(principal, action) };
        self.authorize_in(reader, Some(vault), ask, &live.object)?;
        Ok(live)
    }
}

fn require_room(reader: &dyn Reader, vault: &Vault, key: &str) -> Result<()> {
    if sealed::count::<Alias>(reader, vault, (OF_KEY, key), ALIASES_MAX)? < ALIASES_MAX {
        return Ok(());
    }
    Err(Error::LimitExceeded(format!("a key has at most {ALIASES_MAX} aliases")))
}

/// KMS API: `^alias/[a-zA-Z0-9/_-]+$`, 256 characters at most; not `alias/aws/…`.
fn require_name(name: &str) -> Result<()> {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Err(Error::ValidationFailed(
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .into(),
        ));
    };
    if name.starts_with(RESERVED) {
        return Err(Error::Refused(Refusal::AliasReserved));
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if rest.is_empty() || name.len() > NAME_MAX {
        let why = format!("an alias has 1 to {} characters behind alias/", NAME_MAX - PREFIX.len());
        return Err(Error::ValidationFailed(why));
    }
    if !rest.bytes().all(is_part) {
        let name = name.escape_debug();
        return Err(Error::ValidationFailed(format!(
            "{name} contains invalid characters for an alias"
        )));
    }
    Ok(())
}

fn require_no_alias(key: &str) -> Result<()> {
    if key.starts_with(PREFIX) {
        return Err(Error::ValidationFailed("Aliases must refer to keys. Not aliases".into()));
    }
    Ok(())
}

/// A place in a listing as callers hold it.
pub(super) fn marker(Cursor(place): Cursor) -> String {
    format!("{place:x}")
}

/// The place that a marker stands for.
///
/// # Errors
/// [`Refusal::Marker`] for what is none.
pub(super) fn cursor(marker: &str) -> Result<Cursor> {
    let is_one = marker.len() <= 16 && marker.bytes().all(|byte| byte.is_ascii_hexdigit());
    let place = is_one.then(|| u64::from_str_radix(marker, 16).ok()).flatten();
    place.map(Cursor).ok_or(Error::Refused(Refusal::Marker))
}
