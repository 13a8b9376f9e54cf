//! Who may do what with this token and its objects.

use super::Token;
use crate::error::Result;
use crate::object::Object;
use crate::policy::{self, Action, Principal, Resource};
use std::time::UNIX_EPOCH;

impl Token {
    /// Whether `principal` may do `action` to `resource`: everybody who does something
    /// with the token or with an object asks here.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`](crate::error::Error::UserNotLoggedIn) when another
    /// login would be needed.
    pub fn authorize(
        &self,
        principal: Principal,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<()> {
        policy::authorize(principal, action, resource)
    }

    /// Whether the present state of an object goes with an action. Asks the clock only
    /// where that makes a difference.
    ///
    /// # Errors
    /// As for [`policy::require_state`].
    pub fn require_state(&self, action: Action, object: &Object) -> Result<()> {
        let has_dates = object.lifecycle().has_dates();
        let now = if has_dates { self.surroundings.clock.now() } else { UNIX_EPOCH };
        policy::require_state(action, object, now)
    }
}
