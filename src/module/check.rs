//! Whether a token is as it was left: no function of the standard.

use super::Module;
use crate::error::Result;
use crate::token::{Quarantined, Report};
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

    /// Sets aside what is damaged; see [`Token::quarantine`](crate::token::Token::quarantine).
    ///
    /// # Errors
    /// As for [`Module::check_token`]; [`TokenWriteProtected`](crate::error::Error::TokenWriteProtected).
    pub fn quarantine(&self, session: SessionHandle) -> Result<Report> {
        self.session(session)?.token.quarantine()
    }

    /// What was set aside.
    ///
    /// # Errors
    /// [`SessionHandleInvalid`](crate::error::Error::SessionHandleInvalid); the store could not
    /// be read.
    pub fn quarantined(&self, session: SessionHandle) -> Result<Vec<Quarantined>> {
        self.session(session)?.token.quarantined()
    }

    /// Forgets what was set aside under this name; whether there was something.
    ///
    /// # Errors
    /// As for [`Module::quarantine`].
    pub fn discard_quarantined(&self, session: SessionHandle, id: &str) -> Result<bool> {
        self.session(session)?.token.discard(id)
    }
}
