//! Keys in use: generation (PKCS#11 v3.2 §5.18), MACs (§5.13, §5.15).

use super::Module;
use super::objects::require_trust;
use super::permissions::MacUse;
use crate::audit::Use;
use crate::error::{Error, Result};
use crate::mechanism::{GENERATED_KEY_MAX, GENERATED_KEY_MIN, RawMechanism};
use crate::object::request::NewObject;
use crate::policy::{Action, Principal};
use crate::secret::SecretBytes;
use crate::session::{MacOperation, Operation, Output, Purpose, Room, Session};
use crate::types::{AttributeType, ObjectHandle, SessionHandle, Template};

/// How a MAC operation begins.
#[derive(Debug, Clone, Copy)]
pub enum Signing<'a> {
    /// `C_SignInit`.
    Sign,
    /// `C_VerifyInit`.
    Verify,
    /// `C_VerifySignatureInit` with this MAC.
    VerifySignature(&'a [u8]),
}

impl Module {
    /// Generates a key (`C_GenerateKey`).
    ///
    /// # Errors
    /// As for [`NewObject::generate`]; [`Error::MechanismInvalid`],
    /// [`Error::SessionReadOnly`], [`Error::UserNotLoggedIn`].
    pub fn generate_key(
        &self,
        handle: SessionHandle,
        mechanism: RawMechanism<'_>,
        template: &Template<'_>,
    ) -> Result<ObjectHandle> {
        let session = self.session(handle)?;
        let row = self.mechanism_info(mechanism.number)?;
        let key_type = row.as_key_gen(mechanism.parameter)?;
        let lengths = GENERATED_KEY_MIN..=GENERATED_KEY_MAX;
        let (new, length) = NewObject::generate(template, key_type, lengths)?;
        let principal = session.principal();
        require_trust(&new, principal == Principal::SecurityOfficer)?;
        let value = SecretBytes::filled(length, |out| self.surroundings.entropy.fill(out))?;
        let contribution = self.contribution(&value)?;
        let object = new.into_generated(value, row.mechanism, contribution)?;
        self.keep(handle, &session, (principal, Action::CreateKey), object)
    }

    /// Begins a MAC operation (`C_SignInit`, `C_VerifyInit`,
    /// `C_VerifySignatureInit`).
    ///
    /// # Errors
    /// [`Error::OperationActive`]; [`Error::MechanismInvalid`],
    /// [`Error::MechanismParamInvalid`]; [`Error::KeyHandleInvalid`];
    /// [`Error::UserNotLoggedIn`]; [`Error::KeyFunctionNotPermitted`],
    /// [`Error::KeyTypeInconsistent`]; [`Error::SignatureLenRange`] where the
    /// MAC comes first.
    pub fn mac_init(
        &self,
        session: SessionHandle,
        signing: Signing<'_>,
        mechanism: RawMechanism<'_>,
        key: ObjectHandle,
    ) -> Result<()> {
        let session = self.session(session)?;
        session.state.lock().may_begin()?;
        // Once more when others have changed the key, or who may use it, meanwhile.
        while !self.mac_init_as_of_now(&session, signing, mechanism, key)? {}
        Ok(())
    }

    /// Whether the key was still what it was when the operation was to begin.
    fn mac_init_as_of_now(
        &self,
        session: &Session,
        signing: Signing<'_>,
        mechanism: RawMechanism<'_>,
        key: ObjectHandle,
    ) -> Result<bool> {
        let row = self.mechanism_info(mechanism.number)?;
        let (hash, length) = row.as_mac(mechanism.parameter)?;
        let principal = session.principal();
        let opened = self.object(session, principal, key, Error::KeyHandleInvalid)?;
        let prepared = opened.as_ref().ok_or(Error::KeyHandleInvalid(key))?;
        let object = prepared.object();
        let verifies = !matches!(signing, Signing::Sign);
        let (usage, sort) = match verifies {
            true => (AttributeType::Verify, Use::VerifyMac),
            false => (AttributeType::Sign, Use::GenerateMac),
        };
        let key_type = object.key_type().ok_or(Error::KeyHandleInvalid(key))?;
        let used = MacUse { verifies, hash, truncated: length < hash.output_len() };
        session.judged(key, object, sort, prepared.authorize(&session.token, principal, used))?;
        if !object.flag(usage) || session.token.require_state(used.action(), object).is_err() {
            return session.judged(key, object, sort, Err(Error::KeyFunctionNotPermitted));
        }
        if !hash.accepts(key_type) {
            return Err(Error::KeyTypeInconsistent);
        }
        if !object.allows(row.mechanism) {
            return Err(Error::MechanismInvalid(mechanism.number));
        }
        let states = prepared.prepared(hash).clone();
        let mac = MacOperation::new(states, length, key, prepared.needs_login());
        let mut operation = match signing {
            Signing::Sign => Operation::Sign(mac),
            Signing::Verify => Operation::Verify(mac),
            Signing::VerifySignature(claimed) if claimed.len() != length => {
                return Err(Error::SignatureLenRange);
            }
            Signing::VerifySignature(claimed) => Operation::VerifySignature(mac, claimed.to_vec()),
        };
        let mut state = session.state.lock();
        // Logout and destruction first change what is asked here, then end the
        // operations they find: whichever comes second sees the other.
        let principal = session.principal();
        if self.objects.get(key.0).is_none() {
            return Err(Error::KeyHandleInvalid(key));
        }
        if !prepared.is_usable(principal) {
            return Ok(false);
        }
        prepared.authorize(&session.token, principal, used)?;
        state.may_begin()?;
        session.trace(&mut state, &mut operation, object, sort)?;
        state.begin(operation);
        Ok(true)
    }

    /// Takes in a part of the message.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn mac_update(&self, session: SessionHandle, purpose: Purpose, part: &[u8]) -> Result<()> {
        self.session(session)?.state.lock().mac_update(purpose, part)
    }

    /// The MAC over a whole message (`C_Sign`).
    ///
    /// # Errors
    /// As for [`State::sign`](crate::session::State::sign).
    pub fn sign(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.session(session)?.mac(|state| state.sign(data, room))
    }

    /// The MAC over all parts (`C_SignFinal`).
    ///
    /// # Errors
    /// As for [`State::sign_final`](crate::session::State::sign_final).
    pub fn sign_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.session(session)?.mac(|state| state.sign_final(room))
    }

    /// Checks a MAC over a whole message (`C_Verify`).
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`], [`Error::SignatureLenRange`].
    pub fn verify(&self, session: SessionHandle, data: &[u8], claimed: &[u8]) -> Result<()> {
        self.session(session)?.mac(|state| state.verify(data, claimed))
    }

    /// Checks a MAC over all parts (`C_VerifyFinal`).
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`], [`Error::SignatureLenRange`].
    pub fn verify_final(&self, session: SessionHandle, claimed: &[u8]) -> Result<()> {
        self.session(session)?.mac(|state| state.verify_final(claimed))
    }

    /// Checks the MAC given at the beginning over a whole message
    /// (`C_VerifySignature`).
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`].
    pub fn verify_signature(&self, session: SessionHandle, data: &[u8]) -> Result<()> {
        self.session(session)?.mac(|state| state.verify_signature(data))
    }

    /// Checks the MAC given at the beginning over all parts
    /// (`C_VerifySignatureFinal`).
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`].
    pub fn verify_signature_final(&self, session: SessionHandle) -> Result<()> {
        self.session(session)?.mac(|state| state.verify_signature_final())
    }
}
