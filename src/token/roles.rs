//! Roles: what users become for a while. A role has no PIN; who may take it, its trust
//! policy says.

use super::entity::{Entity, HasEntity, Identity};
use super::record::ROLE;
use super::sealed::{self, SealedValue};
use super::{Name, Token};
use crate::error::{Error, Result};
use crate::policy::{Document, DocumentKind, Principal};
use minicbor::{CborLen, Decode, Encode};
use std::ops::RangeInclusive;

/// How long a session of a role may last, in seconds (IAM: `MaxSessionDuration`).
pub const SESSION_SECONDS: RangeInclusive<u32> = 3600..=43_200;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Role {
    /// Name, tags, policies; the unique id begins with `AROA`.
    #[n(0)]
    pub entity: Entity,
    /// Who may take it: JSON.
    #[n(1)]
    pub trust: String,
    /// How long a session may last at most that AssumeRole gives, in seconds.
    #[n(2)]
    pub session_seconds: u32,
}

impl SealedValue for Role {
    const KIND: crate::store::Kind = ROLE;

    fn name(&self) -> &str {
        self.entity.name.folded()
    }
}

impl HasEntity for Role {
    fn entity_mut(&mut self) -> &mut Entity {
        &mut self.entity
    }
}

impl Token {
    /// Makes a role with this trust policy, whose sessions last for an hour at most.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::EntityExists`]; as for [`Document::parse`]; or why it could not be stored.
    pub fn add_role(&self, principal: Principal, name: &Name, trust: &str) -> Result<Role> {
        self.may_administer(principal)?;
        Document::parse(DocumentKind::Trust, trust)?;
        let (now, entropy) = (self.surroundings.clock.now(), &*self.surroundings.entropy);
        let role = Role {
            entity: Entity::new(name, "AROA", now, entropy)?,
            trust: trust.to_owned(),
            session_seconds: *SESSION_SECONDS.start(),
        };
        self.change_sealed(principal, |reader, vault, changes| {
            if sealed::get::<Role>(reader, vault, name.folded())?.is_some() {
                return Err(Identity::Role(name.clone()).exists());
            }
            changes.push(sealed::put(vault, &role, 0, entropy)?);
            Ok(())
        })?;
        Ok(role)
    }

    /// All roles, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`], [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn roles(&self, principal: Principal) -> Result<Vec<Role>> {
        self.values(principal)
    }

    /// The role of this name.
    ///
    /// # Errors
    /// As for [`Token::roles`]; [`Error::EntityUnknown`].
    pub fn role(&self, principal: Principal, name: &Name) -> Result<Role> {
        let role = self.value(principal, name.folded())?;
        role.ok_or_else(|| Identity::Role(name.clone()).unknown())
    }

    /// Replaces a role's trust policy.
    ///
    /// # Errors
    /// As for [`Token::add_role`]; [`Error::EntityUnknown`].
    pub fn put_trust_policy(&self, principal: Principal, name: &Name, trust: &str) -> Result<()> {
        Document::parse(DocumentKind::Trust, trust)?;
        self.change_value(principal, name, &Identity::Role(name.clone()), |role: &mut Role| {
            role.trust = trust.to_owned();
            Ok(())
        })
    }

    /// Says how long a session of a role may last at most, in seconds:
    /// [`SESSION_SECONDS`].
    ///
    /// # Errors
    /// As for [`Token::put_trust_policy`]; [`Error::ValidationFailed`].
    pub fn set_role_session(&self, principal: Principal, name: &Name, seconds: u32) -> Result<()> {
        if !SESSION_SECONDS.contains(&seconds) {
            let (least, most) = (SESSION_SECONDS.start(), SESSION_SECONDS.end());
            return Err(Error::ValidationFailed(format!(
                "a session of a role lasts {least} to {most} seconds"
            )));
        }
        self.change_value(principal, name, &Identity::Role(name.clone()), |role: &mut Role| {
            role.session_seconds = seconds;
            Ok(())
        })
    }

    /// Removes a role. It opened nothing, so the root key stays.
    ///
    /// # Errors
    /// As for [`Token::role`]; or why it could not be stored.
    pub fn remove_role(&self, principal: Principal, name: &Name) -> Result<()> {
        self.may_administer(principal)?;
        self.change_sealed(principal, |reader, vault, changes| {
            let stored = sealed::get::<Role>(reader, vault, name.folded())?;
            let stored = stored.ok_or_else(|| Identity::Role(name.clone()).unknown())?;
            changes.push(sealed::remove(&stored)?);
            Ok(())
        })
    }
}
