//! A session: which token, what it may do, and the operations under way.
//!
//! One MAC operation, one digest and no search, or a search alone: what the
//! standard lets a session do at a time (PKCS#11 v3.2 §5.1.6,
//! CKR_OPERATION_ACTIVE). A digest beside a MAC serves the dual functions.

#![forbid(unsafe_code)]

mod operation;
mod recording;
mod search;

pub use operation::{MacOperation, Operation, Output, Purpose, Room};
pub use search::Search;

use crate::audit::Tally;
use crate::error::{Error, Result};
use crate::mechanism::digest::Digest;
use crate::mechanism::hmac::Tag;
use crate::policy::Principal;
use crate::token::Token;
use parking_lot::Mutex;
use recording::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A session with a token.
#[derive(Debug)]
pub struct Session {
    /// The token.
    pub token: Arc<Token>,
    /// Whether token objects may be made and changed.
    pub read_write: bool,
    /// What is under way. Taken by the thread that uses the session.
    pub state: Mutex<State>,
    /// How often the session has asked for news.
    asked: AtomicU32,
}

/// What it has counted is recorded.
impl Drop for Session {
    fn drop(&mut self) {
        // There is nobody to refuse it to.
        let _ = self.record_counts();
    }
}

/// Each time of so many a session asks the store itself for news.
const CATCH_UP_EVERY: u32 = 4096;

impl Session {
    /// A session in which nothing is under way.
    #[must_use]
    pub fn new(token: Arc<Token>, read_write: bool) -> Self {
        Self { token, read_write, state: Mutex::default(), asked: AtomicU32::new(0) }
    }

    /// Notices what was committed: [`Token::refresh`], and once in 4,096 times
    /// [`Token::catch_up`], so that a session that does nothing but make MACs notices
    /// even when the page that tells was replaced, or the whole token.
    ///
    /// # Errors
    /// As for both.
    pub fn refresh(&self) -> Result<()> {
        // Not one step: a lost count only delays, and the session is one thread's.
        let asked = self.asked.load(Ordering::Relaxed).wrapping_add(1);
        self.asked.store(asked, Ordering::Relaxed);
        if asked.is_multiple_of(CATCH_UP_EVERY) {
            self.token.catch_up()
        } else {
            self.token.refresh()
        }
    }

    /// Who acts through this session.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.token.principal()
    }
}

/// The operations of one session.
#[derive(Debug, Default)]
pub struct State {
    operation: Option<Operation>,
    digest: Option<DigestOperation>,
    search: Option<Arc<Mutex<Search>>>,
    tally: Tally,
    /// An operation that is to be recorded, now that it has ended.
    ended: Option<Ended>,
}

#[derive(Debug)]
struct DigestOperation {
    digest: Digest,
    in_parts: bool,
}

/// An operation that can be ended before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// A digest.
    Digest,
    /// A search.
    Search,
    /// A MAC operation.
    Mac(Purpose),
}

impl Cancel {
    /// A MAC being made.
    pub const SIGN: &[Self] = &[Self::Mac(Purpose::Sign)];
    /// A MAC being verified, either way.
    pub const VERIFY: &[Self] = &[Self::Mac(Purpose::Verify), Self::Mac(Purpose::VerifySignature)];
}

impl State {
    /// Whether a MAC operation may begin.
    ///
    /// # Errors
    /// [`Error::OperationActive`].
    pub const fn may_begin(&self) -> Result<()> {
        if self.operation.is_some() || self.search.is_some() {
            return Err(Error::OperationActive);
        }
        Ok(())
    }

    /// Begins a MAC operation; [`State::may_begin`] has been asked.
    pub fn begin(&mut self, operation: Operation) {
        self.operation = Some(operation);
    }

    /// Ends what `cancel` names, if it is under way.
    pub fn cancel(&mut self, cancel: Cancel) {
        match cancel {
            Cancel::Digest => self.digest = None,
            Cancel::Search => self.search = None,
            Cancel::Mac(purpose) => drop(self.operation.take_if(|now| now.purpose() == purpose)),
        }
    }

    /// Ends an operation whose key may not be used any more.
    pub fn end_if(&mut self, unusable: impl Fn(&MacOperation) -> bool) {
        self.operation.take_if(|now| unusable(now.mac()));
    }

    fn mac(&mut self, purpose: Purpose) -> Result<&mut MacOperation> {
        match &mut self.operation {
            Some(now) if now.purpose() == purpose => Ok(now.mac_mut()),
            _ => Err(Error::OperationNotInitialized),
        }
    }

    /// Takes in a part of the message (`C_SignUpdate`, `C_VerifyUpdate`,
    /// `C_VerifySignatureUpdate`).
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn mac_update(&mut self, purpose: Purpose, part: &[u8]) -> Result<()> {
        self.mac(purpose)?.update(part);
        Ok(())
    }

    /// The MAC over `data` (`C_Sign`). Stays under way when only the length is
    /// asked for or the room is too small.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`Error::OperationActive`] after an update,
    /// which ends the operation as every other outcome of `C_Sign` does.
    pub fn sign(&mut self, data: &[u8], room: Room) -> Result<Output> {
        self.whole_message(Purpose::Sign)?;
        self.sign_rest(data, room)
    }

    /// The MAC over all parts (`C_SignFinal`).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], [`Error::OperationNotInitialized`].
    pub fn sign_final(&mut self, room: Room) -> Result<Output> {
        self.sign_rest(&[], room)
    }

    fn sign_rest(&mut self, data: &[u8], room: Room) -> Result<Output> {
        let length = self.mac(Purpose::Sign)?.length();
        if !room.takes(length)? {
            return Ok(Output::Length(length));
        }
        let Some(Operation::Sign(mut mac)) = self.operation.take() else {
            return Err(Error::OperationNotInitialized);
        };
        mac.update(data);
        let trace = mac.trace.take();
        let made = Ok(Output::Bytes(mac.finish()));
        self.count(trace, &made);
        made
    }

    /// Whether `claimed` is the MAC over `data` (`C_Verify`). Ends the
    /// operation whatever comes out.
    ///
    /// # Errors
    /// [`Error::SignatureLenRange`], [`Error::SignatureInvalid`];
    /// [`Error::OperationActive`] after an update.
    pub fn verify(&mut self, data: &[u8], claimed: &[u8]) -> Result<()> {
        self.whole_message(Purpose::Verify)?;
        self.mac_update(Purpose::Verify, data)?;
        self.verify_final(claimed)
    }

    /// Whether `claimed` is the MAC over all parts (`C_VerifyFinal`).
    ///
    /// # Errors
    /// As for [`State::verify`].
    pub fn verify_final(&mut self, claimed: &[u8]) -> Result<()> {
        self.mac(Purpose::Verify)?;
        match self.operation.take() {
            Some(Operation::Verify(mut mac)) => {
                let trace = mac.trace.take();
                let verified = mac.verify(claimed);
                self.count(trace, &verified);
                verified
            }
            _ => Err(Error::OperationNotInitialized),
        }
    }

    /// Whether the MAC given at the beginning is that over `data`
    /// (`C_VerifySignature`).
    ///
    /// # Errors
    /// As for [`State::verify`].
    pub fn verify_signature(&mut self, data: &[u8]) -> Result<()> {
        self.whole_message(Purpose::VerifySignature)?;
        self.mac_update(Purpose::VerifySignature, data)?;
        self.verify_signature_final()
    }

    /// Whether the MAC given at the beginning is that over all parts
    /// (`C_VerifySignatureFinal`).
    ///
    /// # Errors
    /// As for [`State::verify`].
    pub fn verify_signature_final(&mut self) -> Result<()> {
        self.mac(Purpose::VerifySignature)?;
        match self.operation.take() {
            Some(Operation::VerifySignature(mut mac, claimed)) => {
                let trace = mac.trace.take();
                let verified = mac.verify(&claimed);
                self.count(trace, &verified);
                verified
            }
            _ => Err(Error::OperationNotInitialized),
        }
    }

    /// A single-part call cannot end a multi-part operation; it ends with the
    /// error (PKCS#11 v3.2 §5.13.2: "always terminates").
    fn whole_message(&mut self, purpose: Purpose) -> Result<()> {
        if self.mac(purpose)?.is_in_parts() {
            let operation = self.operation.take();
            let trace = operation.and_then(|mut operation| operation.mac_mut().trace.take());
            let refused = Err(Error::OperationActive);
            self.count(trace, &refused);
            return refused;
        }
        Ok(())
    }

    /// Begins a digest (`C_DigestInit`).
    ///
    /// # Errors
    /// [`Error::OperationActive`].
    pub fn digest_init(&mut self, digest: Digest) -> Result<()> {
        if self.digest.is_some() || self.search.is_some() {
            return Err(Error::OperationActive);
        }
        self.digest = Some(DigestOperation { digest, in_parts: false });
        Ok(())
    }

    /// Takes in a part of the message (`C_DigestUpdate`, `C_DigestKey`).
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn digest_update(&mut self, part: &[u8]) -> Result<()> {
        let digest = self.digest.as_mut().ok_or(Error::OperationNotInitialized)?;
        digest.in_parts = true;
        digest.digest.update(part);
        Ok(())
    }

    /// Whether a digest is under way.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub const fn digest_is_active(&self) -> Result<()> {
        if self.digest.is_some() { Ok(()) } else { Err(Error::OperationNotInitialized) }
    }

    /// The digest of `data` (`C_Digest`).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`Error::OperationActive`] after an update,
    /// which ends the digest.
    pub fn digest(&mut self, data: &[u8], room: Room) -> Result<Output> {
        if self.digest.as_ref().is_some_and(|now| now.in_parts) {
            self.digest = None;
            return Err(Error::OperationActive);
        }
        self.digest_rest(data, room)
    }

    /// The digest of all parts (`C_DigestFinal`).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], [`Error::OperationNotInitialized`].
    pub fn digest_final(&mut self, room: Room) -> Result<Output> {
        self.digest_rest(&[], room)
    }

    fn digest_rest(&mut self, data: &[u8], room: Room) -> Result<Output> {
        let now = self.digest.as_ref().ok_or(Error::OperationNotInitialized)?;
        let length = now.digest.hash().output_len();
        if !room.takes(length)? {
            return Ok(Output::Length(length));
        }
        let mut now = self.digest.take().ok_or(Error::OperationNotInitialized)?;
        now.digest.update(data);
        let tag: Tag = now.digest.finish();
        Ok(Output::Bytes(tag))
    }

    /// Whether a search may begin.
    ///
    /// # Errors
    /// [`Error::OperationActive`].
    pub const fn may_search(&self) -> Result<()> {
        if self.search.is_some() || self.operation.is_some() || self.digest.is_some() {
            return Err(Error::OperationActive);
        }
        Ok(())
    }

    /// Begins a search; [`State::may_search`] has been asked.
    pub fn search_init(&mut self, search: Search) {
        self.search = Some(Arc::new(Mutex::new(search)));
    }

    /// The search under way, to be locked once the session is not any more: going
    /// on with it (`C_FindObjects`) reads the store.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn search(&self) -> Result<Arc<Mutex<Search>>> {
        self.search.clone().ok_or(Error::OperationNotInitialized)
    }

    /// Ends the search (`C_FindObjectsFinal`).
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn search_final(&mut self) -> Result<()> {
        self.search.take().map(|_| ()).ok_or(Error::OperationNotInitialized)
    }
}

#[cfg(test)]
mod tests;
