//! Backups of tokens, and tokens from backups: what the administration program and
//! the daemon offer beside the standard's functions.

use super::Module;
use crate::backup::{self, Backup, Choice, Locked, Opener, Progress, PublicKey, Seal};
use crate::error::{Error, Result};
use crate::policy::Action;
use crate::secret::Pin;
use crate::token::{Draft, NewToken, Restored};
use crate::types::{SessionHandle, SlotId};
use crate::vault::PinParameters;
use std::io::Write;
use std::path::Path;

impl Module {
    /// The cost of a passphrase, from the configured cost of PINs.
    #[must_use]
    pub fn backup_parameters(&self) -> PinParameters {
        backup::parameters(self.settings.pin_parameters)
    }

    /// Writes the token's objects, or the keys that are chosen, as
    /// [`backup::create`] does; how many. The path is what errors call the output.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], and as for [`backup::create`].
    pub fn create_backup(
        &self,
        handle: SessionHandle,
        choices: &[Choice],
        seal: &Seal<'_>,
        output: (&mut dyn Write, &Path),
        progress: Progress<'_>,
    ) -> Result<u64> {
        let session = self.session(handle)?;
        let (token, principal) = (&session.token, session.principal());
        let event = token.event(principal, Action::BackUp.name()).read_only();
        token.recorded(event, || {
            backup::create(token, principal, choices, seal, &self.surroundings, output, progress)
        })
    }

    /// The public half of the token's transport key, which is made if there is none.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], [`Error::UserNotLoggedIn`],
    /// [`Error::TokenWriteProtected`].
    pub fn transport_key(&self, handle: SessionHandle) -> Result<PublicKey> {
        let session = self.session(handle)?;
        let (token, principal) = (&session.token, session.principal());
        let event = token.event(principal, Action::ReceiveBackup.name());
        token.recorded(event, || token.transport_key(principal))
    }

    /// The slot of a token that says that this transport key is its own; who logs in
    /// there learns whether it is true.
    ///
    /// # Errors
    /// No token that could be read says so, and one could not be read.
    pub fn transport_key_holder(&self, key: &PublicKey) -> Result<Option<SlotId>> {
        let mut unread = None;
        for slot in self.slot_list()? {
            let slot = self.slot(slot)?;
            let token = self.token(&slot, &mut slot.state.lock());
            let claimed = token.and_then(|token| match token {
                Some(token) => token.claimed_transport_key(),
                None => Ok(None),
            });
            match claimed {
                Ok(Some(claimed)) if claimed == *key => return Ok(Some(slot.id)),
                Ok(_) => {}
                Err(error) => unread = unread.or(Some(error)),
            }
        }
        // It may be the holder's.
        unread.map_or(Ok(None), Err)
    }

    /// Opens a backup that is sealed to this token's transport key.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], [`Error::UserNotLoggedIn`],
    /// [`Error::BackupRefused`].
    pub fn open_backup<'a>(&self, handle: SessionHandle, locked: Locked<'a>) -> Result<Backup<'a>> {
        let session = self.session(handle)?;
        let private = session.token.transport_private(session.principal())?;
        let none = || Error::FunctionFailed("the token has no transport key".into());
        locked.open(&Opener::Recipient(&private.ok_or_else(none)?))
    }

    /// Brings all that is in a backup into a token, in one commit.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], [`Error::SessionReadOnly`], and as for
    /// [`backup::restore`].
    pub fn restore_backup(
        &self,
        handle: SessionHandle,
        backup: &mut Backup<'_>,
        skip_existing: bool,
        progress: Progress<'_>,
    ) -> Result<Restored> {
        let session = self.read_write_session(handle)?;
        let (token, principal) = (&session.token, session.principal());
        let event = token.event(principal, Action::Restore.name());
        token.recorded(event.with("skipExisting", skip_existing), || {
            backup::restore(token, principal, backup, skip_existing, progress)
        })
    }

    /// Makes a token of a backup in the next empty slot, with all its objects at once;
    /// the slot, and how many objects.
    ///
    /// # Errors
    /// [`Error::PinLenRange`], [`Error::BackupRefused`]; why it could not be stored.
    /// Then there is no token.
    pub fn restore_token(
        &self,
        label: &str,
        so_pin: &Pin,
        user_pin: &Pin,
        backup: &mut Backup<'_>,
        progress: Progress<'_>,
    ) -> Result<(SlotId, u64)> {
        let new = NewToken { label, so_pin, user_pin: Some(user_pin) };
        let mut draft = Draft::new(new, &self.surroundings, self.settings)?;
        backup::fill(&mut draft.objects, backup, progress)?;
        let (slot, ()) = self.in_empty_slot(|slot| self.put_token(slot, &draft))?;
        Ok((slot, draft.objects.len() as u64))
    }
}
