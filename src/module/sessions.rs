//! Sessions, logins and PINs: PKCS#11 v3.2 §5.6.

use super::Module;
use super::handle_table::Held;
use super::slots::{Slot, SlotState};
use crate::error::{Error, Result};
use crate::policy::{Action, Principal};
use crate::secret::Pin;
use crate::session::{Cancel, MacOperation, Session};
use crate::store::Presence;
use crate::token::{Holder, Name, Token};
use crate::types::{SessionHandle, SlotId, UserType};
use std::sync::Arc;
use std::time::Duration;

/// What `C_GetSessionInfo` tells.
#[derive(Debug, Clone, Copy)]
pub struct SessionInfo {
    /// The slot.
    pub slot: SlotId,
    /// Who is logged in.
    pub principal: Principal,
    /// Whether token objects may be changed.
    pub read_write: bool,
}

impl Module {
    /// Opens a session (`C_OpenSession`).
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`]; [`Error::TokenNotRecognized`] when the slot
    /// waits for `C_InitToken`; [`Error::TokenWriteProtected`];
    /// [`Error::SessionReadWriteSoExists`]; [`Error::SessionCount`].
    pub fn open_session(&self, slot: SlotId, read_write: bool) -> Result<SessionHandle> {
        let slot = self.slot(slot)?;
        let mut state = slot.state.lock();
        let token = self.token(&slot, &mut state)?.ok_or(Error::TokenNotRecognized(slot.id))?;
        if read_write && !token.store().is_writable() {
            return Err(Error::TokenWriteProtected);
        }
        if !read_write && token.principal() == Principal::SecurityOfficer {
            return Err(Error::SessionReadWriteSoExists);
        }
        let presence = match state.presence {
            Some(_) => None,
            None => Some(present(&token)?),
        };
        // It may have been initialised anew before we were present, or removed.
        token.refresh()?;
        let session = Session::new(token, read_write);
        let handle = self.sessions.insert(session).ok_or(Error::SessionCount)?;
        let handle = SessionHandle(handle);
        state.presence = state.presence.take().or(presence);
        state.sessions.insert(handle);
        state.read_only_sessions += usize::from(!read_write);
        Ok(handle)
    }

    pub(super) fn session(&self, handle: SessionHandle) -> Result<Held<Session>> {
        self.sessions.get(handle.0).ok_or(Error::SessionHandleInvalid(handle))
    }

    /// The session, if it may change the token.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], [`Error::SessionReadOnly`].
    pub(super) fn read_write_session(&self, handle: SessionHandle) -> Result<Held<Session>> {
        let session = self.session(handle)?;
        if session.read_write { Ok(session) } else { Err(Error::SessionReadOnly) }
    }

    /// Whether there is such a session: asked before a caller's other arguments
    /// are looked at.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn require_session(&self, handle: SessionHandle) -> Result<()> {
        self.session(handle).map(|_| ())
    }

    /// The slot of a session that exists.
    pub(super) fn slot_of(&self, session: &Session) -> Result<Arc<Slot>> {
        self.slot(session.token.slot())
    }

    /// Closes a session (`C_CloseSession`); with the last one the user is
    /// logged out.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn close_session(&self, handle: SessionHandle) -> Result<()> {
        let session = self.session(handle)?;
        let slot = self.slot_of(&session)?;
        let mut state = slot.state.lock();
        if !state.sessions.remove(&handle) {
            return Err(Error::SessionHandleInvalid(handle));
        }
        self.sessions.remove(handle.0);
        state.read_only_sessions -= usize::from(!session.read_write);
        self.destroy_session_objects(&mut state, |entry| entry.owner() == Some(handle));
        // What cannot be recorded does not keep a session open.
        let _ = session.record_counts();
        if state.sessions.is_empty() {
            self.end_login_if_any(&session.token, &mut state)?;
            state.presence = None;
        }
        Ok(())
    }

    /// Closes all sessions with a slot (`C_CloseAllSessions`).
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`].
    pub fn close_all_sessions(&self, slot: SlotId) -> Result<()> {
        let slot = self.slot(slot)?;
        let sessions = slot.state.lock().sessions.clone();
        for session in sessions {
            match self.close_session(session) {
                // Another thread has closed it meanwhile.
                Ok(()) | Err(Error::SessionHandleInvalid(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// What is known of a session.
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn session_info(&self, handle: SessionHandle) -> Result<SessionInfo> {
        let session = self.session(handle)?;
        Ok(SessionInfo {
            slot: session.token.slot(),
            principal: session.principal(),
            read_write: session.read_write,
        })
    }

    /// Ends operations (`C_SessionCancel`, PKCS#11 v3.2 §5.6.12).
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`].
    pub fn session_cancel(&self, handle: SessionHandle, what: &[Cancel]) -> Result<()> {
        let session = self.session(handle)?;
        let mut state = session.state.lock();
        what.iter().for_each(|&cancel| state.cancel(cancel));
        Ok(())
    }

    /// Logs a user in for all sessions with the token (`C_Login`).
    ///
    /// # Errors
    /// As for [`Token::login`]; [`Error::SessionReadOnlyExists`] for the SO
    /// while a read-only session is open.
    pub fn login(&self, handle: SessionHandle, user: UserType, pin: &Pin) -> Result<()> {
        self.login_user(handle, user, "", pin)
    }

    /// Logs in whoever has this name (`C_LoginUser`); without one it is
    /// [`Module::login`].
    ///
    /// # Errors
    /// As for [`Module::login`] and [`Token::login_user`].
    pub fn login_user(
        &self,
        handle: SessionHandle,
        user: UserType,
        name: &str,
        pin: &Pin,
    ) -> Result<()> {
        self.log_in(handle, user, |token| token.login_user(user, name, pin))
    }

    /// Logs in the user of this name in this role.
    ///
    /// # Errors
    /// As for [`Module::login_user`].
    pub fn login_in_role(
        &self,
        handle: SessionHandle,
        role: &Name,
        user: &Name,
        pin: &Pin,
    ) -> Result<()> {
        self.log_in(handle, UserType::User, |token| token.login_in_role(role, user, pin))
    }

    fn log_in(
        &self,
        handle: SessionHandle,
        user: UserType,
        log_in: impl FnOnce(&Token) -> Result<()>,
    ) -> Result<()> {
        let session = self.session(handle)?;
        let slot = self.slot_of(&session)?;
        let may_stay = |state: &SlotState| {
            if state.sessions.is_empty() {
                Err(Error::SessionHandleInvalid(handle))
            } else if user == UserType::SecurityOfficer && state.read_only_sessions > 0 {
                Err(Error::SessionReadOnlyExists)
            } else {
                Ok(())
            }
        };
        // A login ends by itself when its user is disabled, or the root key replaced and
        // its PIN was set anew before: nothing of it is there for the next.
        let was_out = {
            let mut state = slot.state.lock();
            may_stay(&state)?;
            let is_out = session.token.principal() == Principal::Public;
            if is_out {
                self.forget_login(&mut state);
            }
            is_out
        };
        session.token.trail().require()?;
        session.token.recorded_login(user, log_in(&session.token))?;
        // Checking the PIN took long; a read-only session may have come meanwhile,
        // or this session, the last one, may be gone.
        let mut state = slot.state.lock();
        if !was_out {
            // It has ended while the PIN was checked.
            self.forget_login(&mut state);
        }
        if let Err(error) = may_stay(&state) {
            self.end_login_if_any(&session.token, &mut state)?;
            return Err(error);
        }
        Ok(())
    }

    /// Logs the user out of all sessions with the token (`C_Logout`).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`].
    pub fn logout(&self, handle: SessionHandle) -> Result<()> {
        let session = self.session(handle)?;
        let slot = self.slot_of(&session)?;
        let mut state = slot.state.lock();
        self.end_login(&session.token, &mut state)
    }

    /// Logs out (PKCS#11 v3.2 §5.6.9).
    fn end_login(&self, token: &Token, state: &mut SlotState) -> Result<()> {
        for session in state.sessions.iter().filter_map(|handle| self.sessions.get(handle.0)) {
            // What cannot be recorded keeps nobody logged in.
            let _ = session.record_counts();
        }
        token.logout()?;
        self.forget_login(state);
        Ok(())
    }

    /// Destroys private session objects, forgets the handles of private token objects
    /// and ends operations with keys that needed the login.
    fn forget_login(&self, state: &mut SlotState) {
        self.destroy_session_objects(state, |entry| entry.is_private());
        state.token_objects.retain(|handle| match self.objects.get(handle.0) {
            Some(entry) if !entry.is_private() => {
                // Its value and its states go with the login.
                entry.close();
                true
            }
            _ => {
                self.objects.remove(handle.0);
                false
            }
        });
        self.end_operations(state, MacOperation::needs_login);
    }

    fn end_login_if_any(&self, token: &Token, state: &mut SlotState) -> Result<()> {
        match self.end_login(token, state) {
            Err(Error::UserNotLoggedIn) => Ok(()),
            ended => ended,
        }
    }

    /// Ends the operations of all sessions with a token whose key may not be used any
    /// more.
    pub(super) fn end_operations(
        &self,
        state: &SlotState,
        unusable: impl Fn(&MacOperation) -> bool,
    ) {
        for handle in &state.sessions {
            if let Some(session) = self.sessions.get(handle.0) {
                session.state.lock().end_if(&unusable);
            }
        }
    }

    /// Sets the user's PIN (`C_InitPIN`).
    ///
    /// # Errors
    /// [`Error::SessionHandleInvalid`], [`Error::UserNotLoggedIn`],
    /// [`Error::PinLenRange`], [`Error::TokenWriteProtected`].
    pub fn init_pin(&self, handle: SessionHandle, pin: &Pin) -> Result<()> {
        let session = self.session(handle)?;
        let (token, principal) = (&session.token, session.principal());
        let event = token.event(principal, Action::InitializePin.name());
        token.recorded(event, || token.init_pin(principal, pin))
    }

    /// Changes the PIN of whoever is logged in, or the owner's when nobody is
    /// (`C_SetPIN`).
    ///
    /// # Errors
    /// [`Error::SessionReadOnly`], and as for [`Token::set_pin`].
    pub fn set_pin(&self, handle: SessionHandle, old: &Pin, new: &Pin) -> Result<()> {
        let session = self.session(handle)?;
        if !session.read_write {
            return Err(Error::SessionReadOnly);
        }
        let holder = session.token.holder().unwrap_or(Holder::Standard(UserType::User));
        let event = session.token.event(session.principal(), "signet:ChangePin");
        session.token.recorded(event, || session.token.set_pin(holder, old, new))
    }
}

/// Announces this application to everybody who would initialise the token.
/// Whoever is initialising it now checks a PIN and writes one commit: wait for
/// that, for five seconds at most.
fn present(token: &Token) -> Result<Box<dyn Presence>> {
    const PATIENCE: u32 = 500;
    for _ in 0..PATIENCE {
        if let Some(presence) = token.store().present()? {
            return Ok(presence);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Error::FunctionFailed("another process keeps initialising the token".into()))
}
