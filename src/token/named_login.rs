//! Who acts through the login of a named user, as policies know it.

use super::entity::HasEntity;
use super::{Entity, Name, Role, User, rotation, sealed};
use crate::error::{Error, Result};
use crate::policy::{
    Action, Caller, Context, Decision, Document, DocumentKind, NamedPolicy, PrincipalName, Request,
    RoleFacts,
};
use crate::store::Reader;
use crate::types::Home;
use crate::vault::Vault;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

/// A named user who is logged in, as of the last look at the token.
#[derive(Debug)]
pub struct NamedLogin {
    /// The user whose PIN it was.
    pub user: User,
    /// The role that the user has taken.
    pub role: Option<Role>,
    /// Who acts: the user, or a session of the role that bears the user's name.
    pub caller: Caller,
}

impl NamedLogin {
    /// Reads user and role, of one state with the root key that `vault` is of. `before`:
    /// what they were at the last look; without one it is asked whether the user may take
    /// the role.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] when one of them is not there any more;
    /// [`Error::EntityDisabled`]; [`Error::ActionProhibited`] when the user may not take
    /// the role, or there is none of that name; [`Error::MalformedPolicy`],
    /// [`Error::RecordDamaged`], [`Error::RootKeyReplaced`]; the store could not be read.
    pub(super) fn read(
        reader: &dyn Reader,
        vault: &Vault,
        (name, role): (&Name, Option<&Name>),
        before: Option<&Self>,
        home: Home,
        now: SystemTime,
    ) -> Result<Self> {
        rotation::require_present(reader, vault)?;
        let user = sealed::get::<User>(reader, vault, name.folded())?.map(|stored| stored.value);
        let user = user.ok_or(Error::UserNotLoggedIn)?;
        // One of the same name who came later is somebody else.
        require_same(&user.entity, before.map(|before| &before.user.entity))?;
        require_enabled("user", &user.entity)?;
        let own = user.caller(home)?;
        let Some(role) = role else {
            return Ok(Self { user, role: None, caller: own });
        };
        let found = sealed::get::<Role>(reader, vault, role.folded())?.map(|stored| stored.value);
        let role = match (before, found) {
            (None, Some(role)) if may_assume(&own, &role, home, now)? => role,
            (None, _) => {
                return Err(Error::ActionProhibited("this user may not take this role"));
            }
            (Some(before), Some(role)) => {
                require_same(&role.entity, before.role.as_ref().map(|role| &role.entity))?;
                role
            }
            (Some(_), None) => return Err(Error::UserNotLoggedIn),
        };
        require_enabled("role", &role.entity)?;
        let caller = role.caller(user.entity.name.as_str(), home)?;
        Ok(Self { user, role: Some(role), caller })
    }
}

/// Whether a user who logs in may take the role.
fn may_assume(user: &Caller, role: &Role, home: Home, now: SystemTime) -> Result<bool> {
    let context = Context::new(user, now).with("sts:RoleSessionName", [&*user.name]);
    Ok(role.decide(user, &context, home)?.allowed)
}

/// Whether there is somebody of each of these names. Who belongs to another account, nobody
/// here can tell.
///
/// # Errors
/// [`Error::RecordDamaged`]; the store could not be read.
pub(super) fn are_there<'a>(
    reader: &dyn Reader,
    vault: &Vault,
    names: impl Iterator<Item = &'a PrincipalName>,
    home: Home,
) -> Result<bool> {
    let mut ids = BTreeSet::new();
    for name in names {
        match name {
            PrincipalName::Arn(arn) if !is_there(reader, vault, arn, home)? => return Ok(false),
            PrincipalName::UniqueId(id) => {
                ids.insert(&**id);
            }
            _ => {}
        }
    }
    // Nobody is found by an id: all are looked at, once.
    if !ids.is_empty() {
        strike::<User>(reader, vault, &mut ids)?;
        strike::<Role>(reader, vault, &mut ids)?;
    }
    Ok(ids.is_empty())
}

fn is_there(reader: &dyn Reader, vault: &Vault, arn: &str, home: Home) -> Result<bool> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [_, partition, service, _, account, who] = parts[..] else { return Ok(false) };
    if account != home.account.as_str() {
        return Ok(true);
    }
    if partition != home.partition() {
        return Ok(false);
    }
    match (service, who.split_once('/')) {
        ("iam", Some(("user", name))) => has_name::<User>(reader, vault, name),
        ("iam", Some(("role", name))) => has_name::<Role>(reader, vault, name),
        ("sts", Some(("assumed-role", session))) => {
            let role = session.split_once('/').map_or(session, |(role, _)| role);
            has_name::<Role>(reader, vault, role)
        }
        // A federated user comes from elsewhere.
        _ => Ok(true),
    }
}

/// Whether there is one that is spelled just so: so ARNs are compared.
fn has_name<T: HasEntity>(reader: &dyn Reader, vault: &Vault, name: &str) -> Result<bool> {
    let Some(key) = Name::new(name) else { return Ok(false) };
    let stored = sealed::get::<T>(reader, vault, key.folded())?;
    Ok(stored.is_some_and(|mut stored| stored.value.entity_mut().name.as_str() == name))
}

/// Strikes out the ids of those who are there.
fn strike<T: HasEntity>(
    reader: &dyn Reader,
    vault: &Vault,
    ids: &mut BTreeSet<&str>,
) -> Result<()> {
    sealed::for_each(reader, vault, None, |mut stored: sealed::Stored<T>| {
        ids.remove(&*stored.value.entity_mut().unique_id);
        Ok(())
    })
}

fn require_same(entity: &Entity, before: Option<&Entity>) -> Result<()> {
    match before {
        Some(before) if before.unique_id != entity.unique_id => Err(Error::UserNotLoggedIn),
        _ => Ok(()),
    }
}

fn require_enabled(what: &str, entity: &Entity) -> Result<()> {
    if entity.is_disabled {
        return Err(Error::EntityDisabled(format!("{what} {}", entity.name)));
    }
    Ok(())
}

impl User {
    /// The user as policies know it.
    ///
    /// # Errors
    /// [`Error::MalformedPolicy`] when a policy is one that this version cannot read.
    pub fn caller(&self, home: Home) -> Result<Caller> {
        let Entity { name, unique_id, .. } = &self.entity;
        let caller = Caller::user(home.account.as_str(), name.as_str(), unique_id);
        with_tags_and_policies(caller, &self.entity, home)
    }
}

impl Role {
    /// A session of the role, by this name, as policies know it.
    ///
    /// # Errors
    /// As for [`User::caller`].
    pub fn caller(&self, session: &str, home: Home) -> Result<Caller> {
        let Entity { name, unique_id, .. } = &self.entity;
        let account = home.account.as_str();
        let caller = Caller::assumed_role(account, name.as_str(), session, unique_id);
        with_tags_and_policies(caller, &self.entity, home)
    }

    /// Whether `caller` may take the role: the one place that asks. The trust policy
    /// decides by naming the caller, or by naming the account where a policy of the caller's
    /// allows it too.
    ///
    /// # Errors
    /// As for [`User::caller`].
    pub fn decide(&self, caller: &Caller, context: &Context, home: Home) -> Result<Decision> {
        let trust = Document::parse(DocumentKind::Trust, &self.trust)?;
        let mut context = context.clone();
        for (tag, value) in &self.entity.tags {
            for prefix in ["aws", "iam"] {
                context.set(&format!("{prefix}:ResourceTag/{tag}"), [&**value]);
            }
        }
        let arn = home.iam_arn(&format!("role/{}", self.entity.name));
        let facts = RoleFacts { account: home.account.as_str(), arn: &arn, trust: &trust };
        Ok(Request { caller, action: Action::AssumeRole, context: &context }.on_role(&facts))
    }
}

fn with_tags_and_policies(mut caller: Caller, entity: &Entity, home: Home) -> Result<Caller> {
    caller.partition = home.partition();
    let tags = entity.tags.iter();
    caller.tags = tags.map(|(key, value)| (key.clone(), value.clone())).collect();
    let policies = entity.policies.iter().map(|(name, text)| {
        let document = Arc::new(Document::parse(DocumentKind::Identity, text)?);
        Ok(NamedPolicy { name: name.clone(), document })
    });
    caller.policies = policies.collect::<Result<_>>()?;
    Ok(caller)
}
