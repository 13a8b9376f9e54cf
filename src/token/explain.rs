//! What somebody else could do, and why: the same decision as when it is asked for, with
//! its reason.

use super::authorization::{Ask, Circumstances};
use super::{Name, Token};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::policy::{Action, Caller, Concern, Decision, Principal, Resource};

/// Somebody of the token's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The account root: the token's owner.
    Root,
    /// A named user.
    User(Name),
    /// Somebody who has taken this role, in a session of this name.
    Role(Name, Name),
}

/// A decision and what it was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision: yes or no, which statement decided, how long that holds.
    pub decision: Decision,
    /// Who, as an ARN.
    pub caller: String,
    /// On what: an ARN, or `*`.
    pub resource: String,
    /// Why the user or role cannot act at all, whatever policies say.
    pub disabled: Option<Error>,
    /// Why it cannot be done now, whatever policies say: the key's state.
    pub state: Option<Error>,
}

impl Explanation {
    /// Whether it would be done.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.decision.allowed && self.disabled.is_none() && self.state.is_none()
    }
}

impl Token {
    /// Whether `who` could do `action` to `object`, or to nothing in particular, and what
    /// decides that. Nothing is done and nothing recorded.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`], [`Error::ActionProhibited`] unless the owner asks;
    /// [`Error::EntityUnknown`]; [`Error::ArgumentsBad`] when the action needs a key and
    /// there is none, or is none that policies decide about; the store could not be read.
    pub fn explain(
        &self,
        principal: Principal,
        who: &Who,
        action: Action,
        object: Option<&Object>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Explanation> {
        self.authorize(principal, Action::ManageIdentities, Resource::Token)?;
        match (action.concern(), object) {
            (Concern::Role, _) => return Err(Error::ArgumentsBad("roles are taken at a login")),
            (Concern::Key | Concern::Alias, None) => {
                return Err(Error::ArgumentsBad("this action is done to a key"));
            }
            _ => {}
        }
        let (caller, disabled) = self.caller_of(principal, who)?;
        let vault = self.vault_of(principal)?;
        let ask = Ask { circumstances, ..Ask::new(principal, action) };
        let (decision, resource) = self.decide_for(vault.as_deref(), &caller, ask, object)?;
        let state = object.and_then(|object| self.require_state(action, object).err());
        Ok(Explanation { decision, caller: caller.arn(), resource, disabled, state })
    }

    fn caller_of(&self, principal: Principal, who: &Who) -> Result<(Caller, Option<Error>)> {
        let home = self.home();
        let disabled =
            |is_disabled: bool, what: String| is_disabled.then_some(Error::EntityDisabled(what));
        Ok(match who {
            Who::Root => (super::authorization::root(home), None),
            Who::User(name) => {
                let user = self.user(principal, name)?;
                (user.caller(home)?, disabled(user.entity.is_disabled, format!("user {name}")))
            }
            Who::Role(name, session) => {
                let role = self.role(principal, name)?;
                let caller = role.caller(session.as_str(), home)?;
                (caller, disabled(role.entity.is_disabled, format!("role {name}")))
            }
        })
    }
}
