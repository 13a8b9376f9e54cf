//! Who may do what with this token and its objects.

use super::Token;
use crate::error::Result;
use crate::object::Object;
use crate::policy::{self, Action, Caller, Principal, Resource};
use std::sync::Arc;
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

    /// Who a principal is to policies; `None` for one that no policy is about.
    #[must_use]
    pub fn caller(&self, principal: Principal) -> Option<Arc<Caller>> {
        match principal {
            Principal::Owner => Some(Arc::new(Caller::root(self.home().account.as_str()))),
            Principal::Named(_) if self.principal() == principal => {
                Some(Arc::new(self.named_login()?.caller.clone()))
            }
            Principal::Named(_) | Principal::SecurityOfficer | Principal::Public => None,
        }
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
