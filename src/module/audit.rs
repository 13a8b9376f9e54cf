//! The audit trails of tokens, for those who look at them: no function of the standard.

use super::Module;
use crate::audit::{Archive, Verifier};
use crate::error::{Error, Result};
use crate::types::{SessionHandle, SlotId};
use std::time::Duration;

/// How long to wait for another process that signs a checkpoint.
const PATIENCE: Duration = Duration::from_secs(30);

impl Module {
    /// The trail of a slot's token, and what verifies its checkpoints, as it stands in the
    /// token's file: for nobody to rely on who fears that the file was changed.
    ///
    /// # Errors
    /// [`Error::TokenNotPresent`] when the slot is empty; the token could not be read.
    pub fn audit_trail(&self, slot: SlotId) -> Result<(Archive, Option<Verifier>)> {
        let slot = self.slot(slot)?;
        let token = self.token(&slot, &mut slot.state.lock())?;
        let token = token.ok_or(Error::TokenNotPresent(slot.id))?;
        Ok((token.trail().archive(), token.claimed_audit_verifier()?))
    }

    /// What verifies the checkpoints; see
    /// [`Token::audit_verifier`](crate::token::Token::audit_verifier).
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], and as there.
    pub fn audit_verifier(&self, session: SessionHandle) -> Result<Verifier> {
        let session = self.session(session)?;
        session.token.audit_verifier(session.principal())
    }

    /// Signs how far the trail has come, all processes' records included: a signed note.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`]; [`Error::FunctionFailed`] when another process
    /// keeps doing so; and as for [`Token::audit_checkpoint`](crate::token::Token::audit_checkpoint).
    pub fn audit_checkpoint(&self, session: SessionHandle) -> Result<String> {
        let session = self.session(session)?;
        let note = session.token.audit_checkpoint(session.principal(), PATIENCE)?;
        note.ok_or_else(|| {
            Error::FunctionFailed("another process keeps making checkpoints of the trail".into())
        })
    }
}
