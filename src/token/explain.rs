//! What somebody else could do, and why: the same decision as when it is asked for, with
//! its reason.

use super::authorization::{Ask, Circumstances};
use super::{Name, Token};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::policy::{self, Action, Caller, Concern, Decision, LoginNumber, Principal, Resource};

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

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whether this one ...
    pub who: &'a Who,
    /// ... could do this ...
    pub action: Action,
    /// ... to this, or to nothing in particular, ...
    pub object: Option<&'a Object>,
    /// ... and to this alias, `alias/…`, where it is about one, ...
    pub alias: Option<&'a str>,
    /// ... in a request that brings this along.
    pub circumstances: &'a Circumstances<'a>,
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
    /// Whose it is alone, whatever policies say.
    pub reserved: Option<&'static str>,
    /// Why the user or role cannot act at all, whatever policies say.
    pub disabled: Option<Error>,
    /// Why it cannot be done now, whatever policies say: the key's state.
    pub state: Option<Error>,
}

impl Explanation {
    /// Whether it would be done.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.decision.allowed
            && self.reserved.is_none()
            && self.disabled.is_none()
            && self.state.is_none()
    }
}

impl Token {
    /// Whether somebody could do something, and what decides that. Nothing is done and
    /// nothing recorded.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`], [`Error::ActionProhibited`] unless the owner asks;
    /// [`Error::EntityUnknown`]; [`Error::ArgumentsBad`] when the action needs a key or an
    /// alias and there is none, or is none that policies decide about; the store could not
    /// be read.
    pub fn explain(&self, principal: Principal, asked: Question<'_>) -> Result<Explanation> {
        self.authorize(principal, Action::ManageIdentities, Resource::Token)?;
        let Question { who, action, object, alias, circumstances } = asked;
        match (action.concern(), object, alias) {
            (Concern::Role, _, _) => return Err(Error::ArgumentsBad("roles are taken at a login")),
            (Concern::Key | Concern::Alias, None, _) => {
                return Err(Error::ArgumentsBad("this action is done to a key"));
            }
            (Concern::Alias, _, None) => {
                return Err(Error::ArgumentsBad("this action is done to an alias"));
            }
            _ => {}
        }
        let alias = alias.filter(|_| action.concern() == Concern::Alias);
        let (caller, disabled) = self.caller_of(principal, who)?;
        let ask = Ask { circumstances, alias, ..Ask::new(principal, action) };
        let (decision, resource) = self.decide_for(&caller, ask, object)?;
        let reserved = reserved(who, action, object);
        let state = object.and_then(|object| self.require_state(action, object).err());
        let caller = caller.arn();
        Ok(Explanation { decision, caller, resource, reserved, disabled, state })
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

/// Whose an action is alone by the standard's own rules, which come before every policy.
fn reserved(who: &Who, action: Action, object: Option<&Object>) -> Option<&'static str> {
    let principal = match who {
        Who::Root => Principal::Owner,
        Who::User(_) | Who::Role(..) => Principal::Named(LoginNumber(0)),
    };
    let resource = object.map_or(Resource::Token, Resource::Object);
    match policy::authorize(principal, action, resource) {
        Ok(()) => None,
        Err(Error::ActionProhibited(why)) => Some(why),
        Err(_) => Some("only the security officer may do this"),
    }
}
