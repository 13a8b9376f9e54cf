//! What keeps a token in order, for its administrator: no function of the
//! standard.

use super::Module;
use crate::audit::{Event, Identity};
use crate::error::{Error, Result};
use crate::policy::{Action, Principal};
use crate::secret::Pin;
use crate::store::Compacted;
use crate::token::Token;
use crate::types::{SessionHandle, SlotId, UserType};
use std::sync::Arc;

impl Module {
    /// The token of a session, and who acts through it: for what is done with a token
    /// beside the standard's functions.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn token_of(&self, handle: SessionHandle) -> Result<(Arc<Token>, Principal)> {
        let session = self.session(handle)?;
        Ok((Arc::clone(&session.token), session.principal()))
    }

    /// Replaces the token's root key and seals everything under the new one. How many
    /// objects were sealed anew.
    ///
    /// # Errors
    /// [`Error::SessionReadOnly`], and as for
    /// [`Token::rotate_root_key`](crate::token::Token::rotate_root_key).
    pub fn rotate_root_key(&self, handle: SessionHandle) -> Result<u64> {
        let session = self.read_write_session(handle)?;
        let (token, principal) = (&session.token, session.principal());
        let event = token.event(principal, Action::RotateRootKey.name());
        token.recorded(event, || token.rotate_root_key(principal))
    }

    /// Makes the files of a token as small as what they hold.
    ///
    /// # Errors
    /// [`Error::TokenNotPresent`] when the slot is empty;
    /// [`Error::TokenWriteProtected`]; or why they could not be written.
    pub fn compact_token(&self, slot: SlotId) -> Result<Compacted> {
        let slot = self.slot(slot)?;
        let token = self.token(&slot, &mut slot.state.lock())?;
        token.ok_or(Error::TokenNotPresent(slot.id))?.compact()
    }

    /// Destroys a token with everything in it, also while this and other applications use
    /// it: they are told that it is gone. `so_pin` is checked first; without one even a
    /// token that cannot be opened is destroyed.
    ///
    /// # Errors
    /// [`Error::TokenNotPresent`] when the slot is empty; [`Error::PinIncorrect`],
    /// [`Error::PinLocked`]; or why the files could not be overwritten or removed.
    pub fn zeroize_token(&self, slot: SlotId, so_pin: Option<&Pin>) -> Result<()> {
        let slot = self.slot(slot)?;
        let mut state = slot.state.lock();
        let event = |forced| {
            let event = Event::new("signet:ZeroizeToken", Identity::SecurityOfficer);
            event.with("force", forced)
        };
        match (so_pin, self.token(&slot, &mut state)) {
            (Some(pin), token) => {
                let token = token?.ok_or(Error::TokenNotPresent(slot.id))?;
                // Recorded beforehand: afterwards there is nothing to record it in but
                // what was set aside.
                let verified = || token.verify(UserType::SecurityOfficer, pin);
                token.recorded(event(false), verified)?;
            }
            // Whether it can be recorded or not.
            (None, Ok(Some(token))) => drop(token.record(&event(true))),
            (None, _) => {}
        }
        self.place.remove(slot.id.number()).map_err(|error| match error {
            Error::SlotIdInvalid(slot) => Error::TokenNotPresent(slot),
            other => other,
        })
    }
}
