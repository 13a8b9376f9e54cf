//! A search under way.

use crate::policy::Principal;
use crate::token;
use crate::types::ObjectHandle;
use std::collections::VecDeque;

/// Where a search stands: first among the session objects, then among the token's.
#[derive(Debug)]
pub struct Search {
    /// The session object that was looked at last; `None` when all have been.
    pub session_objects: Option<ObjectHandle>,
    /// The search among the token's objects.
    pub token_objects: token::Search,
    /// Token objects that were found, a page at a time, and not asked for yet.
    pub found: VecDeque<token::Found>,
    /// Who has found them.
    pub finder: Principal,
}

impl Search {
    /// A search that has not looked anywhere yet.
    #[must_use]
    pub const fn new(token_objects: token::Search) -> Self {
        // No handle is 0.
        Self {
            session_objects: Some(ObjectHandle(0)),
            token_objects,
            found: VecDeque::new(),
            finder: Principal::Public,
        }
    }
}
