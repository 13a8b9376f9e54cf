//! Whether a token is as it was left: no function of the standard.

use super::Module;
use crate::error::Result;
use crate::token::Report;
use crate::types::SessionHandle;

impl Module {
    /// Compares everything in the token with what was written; see
    /// [`Token::check`](crate::token::Token::check).
    ///
    /// # Errors
    /// [`SessionHandleInvalid`](crate::error::Error::SessionHandleInvalid),
    /// [`UserNotLoggedIn`](crate::error::Error::UserNotLoggedIn); the store could not be read.
    pub fn check_token(&self, session: SessionHandle) -> Result<Report> {
        self.session(session)?.token.check()
    }
}
