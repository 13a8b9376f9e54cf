//! Whether a token is as it was left: no function of the standard.

use super::Module;
use crate::audit::{Event, Identity};
use crate::error::{Error, Result};
use crate::policy::Action;
use crate::store::{CounterFile, Progress};
use crate::token::{Quarantined, Report};
use crate::types::{SessionHandle, SlotId};

impl Module {
    /// Compares everything in the token with what was written; see
    /// [`Token::check`](crate::token::Token::check).
    ///
    /// # Errors
    /// [`SessionHandleInvalid`](crate::error::Error::SessionHandleInvalid),
    /// [`UserNotLoggedIn`](crate::error::Error::UserNotLoggedIn); the store could not be read.
    pub fn check_token(&self, session: SessionHandle) -> Result<Report> {
        let session = self.session(session)?;
        let event = session.token.event(session.principal(), Action::CheckToken.name());
        session.token.recorded(event.read_only(), || session.token.check())
    }

    /// Sets aside what is damaged; see [`Token::quarantine`](crate::token::Token::quarantine).
    ///
    /// # Errors
    /// As for [`Module::check_token`]; [`TokenWriteProtected`](crate::error::Error::TokenWriteProtected).
    pub fn quarantine(&self, session: SessionHandle) -> Result<Report> {
        let session = self.read_write_session(session)?;
        let event = session.token.event(session.principal(), Action::Quarantine.name());
        session.token.recorded(event, || session.token.quarantine())
    }

    /// Takes a token as it is for the newest, and has the counter remember that: what
    /// the token is, and what the counter knew. Of a module without a counter of its own,
    /// which would refuse to open the token.
    ///
    /// # Errors
    /// [`TokenNotRecognized`](crate::error::Error::TokenNotRecognized) for an empty slot; the
    /// counter could not be written.
    pub fn accept_token(
        &self,
        slot: SlotId,
        counter: &CounterFile,
    ) -> Result<(Progress, Option<Progress>)> {
        let slot = self.slot(slot)?;
        let token = self.token(&slot, &mut slot.state.lock())?;
        let token = token.ok_or(Error::TokenNotRecognized(slot.id))?;
        // Nobody logs in for this.
        let event = Event::new("signet:AcceptToken", Identity::Public);
        token.recorded(event, || token.accept(counter))
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
        let session = self.read_write_session(session)?;
        let event = session.token.event(session.principal(), Action::Quarantine.name());
        session.token.recorded(event.with("discard", id), || session.token.discard(id))
    }
}
