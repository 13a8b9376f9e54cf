//! Who may do what with this token and its objects.

use super::Token;
use crate::error::Result;
use crate::policy::{self, Action, Principal, Resource};

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
}
