//! Digests: PKCS#11 v3.2 §5.12.

use super::Module;
use crate::error::{Error, Result};
use crate::mechanism::RawMechanism;
use crate::mechanism::digest::Digest;
use crate::policy::{Action, Resource};
use crate::session::{Output, Room};
use crate::types::{ObjectClass, ObjectHandle, SessionHandle};

impl Module {
    /// Begins a digest (`C_DigestInit`).
    ///
    /// # Errors
    /// [`Error::OperationActive`], [`Error::MechanismInvalid`],
    /// [`Error::MechanismParamInvalid`].
    pub fn digest_init(&self, session: SessionHandle, mechanism: RawMechanism<'_>) -> Result<()> {
        let session = self.session(session)?;
        let hash = self.mechanism_info(mechanism.number)?.as_digest(mechanism.parameter)?;
        session.state.lock().digest_init(Digest::new(hash))
    }

    /// The digest of a whole message (`C_Digest`).
    ///
    /// # Errors
    /// As for [`State::digest`](crate::session::State::digest).
    pub fn digest(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.session(session)?.state.lock().digest(data, room)
    }

    /// Takes in a part of the message (`C_DigestUpdate`).
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_update(&self, session: SessionHandle, part: &[u8]) -> Result<()> {
        self.session(session)?.state.lock().digest_update(part)
    }

    /// Takes in a key's value (`C_DigestKey`). Only a value that could be read
    /// anyway may be digested: a digest of a short or structured secret gives
    /// it away.
    ///
    /// # Errors
    /// [`Error::KeyIndigestible`], also for a key whose state forbids every use;
    /// [`Error::KeyHandleInvalid`],
    /// [`Error::OperationNotInitialized`].
    pub fn digest_key(&self, session: SessionHandle, key: ObjectHandle) -> Result<()> {
        let session = self.session(session)?;
        session.state.lock().digest_is_active()?;
        let principal = session.principal();
        let opened = self.object(&session, principal, key, Error::KeyHandleInvalid)?;
        let object = opened.as_ref().ok_or(Error::KeyHandleInvalid(key))?.object();
        if object.class() != ObjectClass::SecretKey {
            return Err(Error::KeyHandleInvalid(key));
        }
        session.token.authorize(principal, Action::DigestKey, Resource::Object(object))?;
        let state = session.token.require_state(Action::DigestKey, object);
        if !object.is_value_readable() || state.is_err() {
            return Err(Error::KeyIndigestible);
        }
        session.state.lock().digest_update(object.value().expose())
    }

    /// The digest of all parts (`C_DigestFinal`).
    ///
    /// # Errors
    /// As for [`State::digest_final`](crate::session::State::digest_final).
    pub fn digest_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.session(session)?.state.lock().digest_final(room)
    }
}
