//! Objects behind handles: opened, with what has been computed from their keys.

use super::permissions::{Asked, MacUse, Permissions};
use crate::error::Result;
use crate::mechanism::Hash;
use crate::mechanism::hmac::Hmac;
use crate::object::Object;
use crate::policy::{Principal, Resource, authorize};
use crate::token::{LiveObject, Token};
use std::sync::{Arc, OnceLock};

/// An opened object and, if it is a key, its prepared HMAC states: one for each
/// hash that it has been used with.
pub(super) struct PreparedKey {
    source: Source,
    states: [OnceLock<Box<Hmac>>; Hash::ALL.len()],
    permissions: Permissions,
}

enum Source {
    Token(Arc<LiveObject>),
    Session(Object),
}

impl PreparedKey {
    const fn new(source: Source) -> Self {
        let states = [const { OnceLock::new() }; Hash::ALL.len()];
        Self { source, states, permissions: Permissions::unknown() }
    }

    pub const fn of_token(live: Arc<LiveObject>) -> Self {
        Self::new(Source::Token(live))
    }

    pub const fn of_session(object: Object) -> Self {
        Self::new(Source::Session(object))
    }

    pub fn object(&self) -> &Object {
        match &self.source {
            Source::Token(live) => live.object(),
            Source::Session(object) => object,
        }
    }

    pub const fn live(&self) -> Option<&Arc<LiveObject>> {
        match &self.source {
            Source::Token(live) => Some(live),
            Source::Session(_) => None,
        }
    }

    /// Whether its use needs the login under which it was made or opened.
    pub fn needs_login(&self) -> bool {
        self.object().is_private() || self.object().is_governed()
    }

    /// Whether it is still what the store has, and has all that `principal`
    /// could get.
    pub fn is_usable(&self, principal: Principal) -> bool {
        match &self.source {
            Source::Token(live) => {
                live.is_current() && (live.is_complete() || principal == Principal::Public)
            }
            Source::Session(_) => true,
        }
    }

    /// Whether `principal` may use it so: what the policies have said, or say now. What
    /// they have said of an object of a session is of whoever was logged in then.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub fn authorize(&self, token: &Token, principal: Principal, used: MacUse) -> Result<()> {
        let action = used.action();
        let resource = Resource::Object(self.object());
        let ask = || {
            let algorithm = used.hash.mac_algorithm(used.truncated);
            token.permitted(principal, action, resource, &[("kms:MacAlgorithm", &[algorithm])])
        };
        match &self.source {
            Source::Token(_) => {
                // The standard's rules are of the session's login, and cost nothing.
                authorize(principal, action, resource)?;
                self.permissions.check(Asked::Mac(used), || token.now(), ask)
            }
            Source::Session(_) => ask().map(|_| ()),
        }
    }

    /// Whether `principal` may see it, likewise.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub fn authorize_description(&self, token: &Token, principal: Principal) -> Result<()> {
        let ask = || token.visible(principal, self.object());
        match &self.source {
            Source::Token(_) if matches!(principal, Principal::Named(_)) => {
                self.permissions.check(Asked::Description, || token.now(), ask)
            }
            _ => ask().map(|_| ()),
        }
    }

    /// The key's states for `hash`, computed at first use.
    pub fn prepared(&self, hash: Hash) -> &Hmac {
        self.states[hash as usize]
            .get_or_init(|| Box::new(Hmac::new(hash, self.object().value().expose())))
    }
}
