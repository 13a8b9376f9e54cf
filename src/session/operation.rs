//! One MAC operation, and the standard's convention on output (PKCS#11 v3.2
//! §5.2).

use super::recording::Trace;
use crate::error::{Error, Result};
use crate::mechanism::hmac::{Hmac, Tag};
use crate::types::ObjectHandle;

/// The room that the caller has for an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// No buffer: the caller asks for the length.
    Query,
    /// A buffer of this many bytes.
    Bytes(usize),
}

impl Room {
    /// Whether `length` bytes are to be written; false for a query.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub const fn takes(self, length: usize) -> Result<bool> {
        match self {
            Self::Query => Ok(false),
            Self::Bytes(room) if room < length => Err(Error::BufferTooSmall(length)),
            Self::Bytes(_) => Ok(true),
        }
    }
}

/// What a call with an output buffer gives.
#[derive(Debug)]
pub enum Output {
    /// The length that the output will have.
    Length(usize),
    /// The output.
    Bytes(Tag),
}

/// What a MAC operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `C_SignInit`.
    Sign,
    /// `C_VerifyInit`.
    Verify,
    /// `C_VerifySignatureInit`.
    VerifySignature,
}

/// A MAC operation under way.
#[derive(Debug)]
pub enum Operation {
    /// A MAC is being made.
    Sign(MacOperation),
    /// A MAC is being verified that comes at the end.
    Verify(MacOperation),
    /// A MAC is being verified that came at the beginning.
    VerifySignature(MacOperation, Vec<u8>),
}

impl Operation {
    /// What it is for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Sign(_) => Purpose::Sign,
            Self::Verify(_) => Purpose::Verify,
            Self::VerifySignature(..) => Purpose::VerifySignature,
        }
    }

    /// The computation.
    #[must_use]
    pub const fn mac(&self) -> &MacOperation {
        match self {
            Self::Sign(mac) | Self::Verify(mac) | Self::VerifySignature(mac, _) => mac,
        }
    }

    pub(super) const fn mac_mut(&mut self) -> &mut MacOperation {
        match self {
            Self::Sign(mac) | Self::Verify(mac) | Self::VerifySignature(mac, _) => mac,
        }
    }
}

/// The operation's own copy of the key's prepared states, wiped when it ends.
#[derive(Debug)]
pub struct MacOperation {
    state: Hmac,
    length: usize,
    in_parts: bool,
    key: ObjectHandle,
    needs_login: bool,
    /// How its end is recorded, if it is.
    pub(super) trace: Option<Trace>,
}

impl MacOperation {
    /// Begins with the prepared states of `key` and tags of `length` bytes.
    /// `needs_login`: the operation ends when its user logs out.
    #[must_use]
    pub const fn new(state: Hmac, length: usize, key: ObjectHandle, needs_login: bool) -> Self {
        Self { state, length, in_parts: false, key, needs_login, trace: None }
    }

    /// The key in use.
    #[must_use]
    pub const fn key(&self) -> ObjectHandle {
        self.key
    }

    /// Whether it ends when its user logs out.
    #[must_use]
    pub const fn needs_login(&self) -> bool {
        self.needs_login
    }

    /// The length of the tag in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Whether parts have been taken in.
    #[must_use]
    pub const fn is_in_parts(&self) -> bool {
        self.in_parts
    }

    pub(super) fn update(&mut self, part: &[u8]) {
        self.in_parts = true;
        self.state.update(part);
    }

    pub(super) fn finish(self) -> Tag {
        self.state.finish().truncated(self.length)
    }

    pub(super) fn verify(self, claimed: &[u8]) -> Result<()> {
        if claimed.len() != self.length {
            return Err(Error::SignatureLenRange);
        }
        if self.finish().equals(claimed) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}
