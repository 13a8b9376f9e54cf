//! Objects behind handles: opened, with what has been computed from their keys.

use crate::mechanism::Hash;
use crate::mechanism::hmac::Hmac;
use crate::object::Object;
use crate::policy::Principal;
use crate::token::LiveObject;
use std::sync::{Arc, OnceLock};

/// An opened object and, if it is a key, its prepared HMAC states: one for each
/// hash that it has been used with.
pub(super) struct PreparedKey {
    source: Source,
    states: [OnceLock<Box<Hmac>>; Hash::ALL.len()],
}

enum Source {
    Token(Arc<LiveObject>),
    Session(Object),
}

impl PreparedKey {
    const fn new(source: Source) -> Self {
        Self { source, states: [const { OnceLock::new() }; Hash::ALL.len()] }
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

    /// The key's states for `hash`, computed at first use.
    pub fn prepared(&self, hash: Hash) -> &Hmac {
        self.states[hash as usize]
            .get_or_init(|| Box::new(Hmac::new(hash, self.object().value().expose())))
    }
}
