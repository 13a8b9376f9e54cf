//! Memory for secrets: wiped when dropped, never printed, never cloned
//! silently, compared in constant time.
#![forbid(unsafe_code)]

use crate::error::Result;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Secret bytes in one allocation of fixed length, wiped on drop.
///
/// There is no `Clone`, `PartialEq` or serialisation. The bytes are read by
/// [`SecretBytes::expose`] alone.
pub struct SecretBytes(Box<[u8]>);

impl SecretBytes {
    /// `length` bytes filled in place by `fill`, so that no second copy exists.
    ///
    /// # Errors
    /// What `fill` returns; the partly filled memory is wiped.
    pub fn filled(length: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Self> {
        let mut secret = Self(vec![0; length].into_boxed_slice());
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// A copy of bytes that the caller owns and answers for.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both hold the same bytes; the time depends on the length only.
    #[must_use]
    pub fn equals(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Prints the length only.
impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({})", self.0.len())
    }
}

/// A PIN on its way to the key derivation. Any bytes; the standard means UTF-8.
#[derive(Debug)]
pub struct Pin(SecretBytes);

impl Pin {
    /// The shortest PIN accepted, in bytes.
    pub const MIN_LEN: usize = 4;
    /// The longest PIN accepted, in bytes.
    pub const MAX_LEN: usize = 255;

    /// A copy of the caller's PIN.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        Self(SecretBytes::copied(bytes))
    }

    /// The PIN itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Whether it has at least this many bytes.
    #[must_use]
    pub fn is_long_enough(&self, least: usize) -> bool {
        self.0.len() >= least
    }

    /// Whether no PIN is so long.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0.len() > Self::MAX_LEN
    }

    /// Whether what stands before a colon may name a user.
    #[must_use]
    pub fn has_colon(&self) -> bool {
        self.expose().contains(&b':')
    }

    /// Whether the length is one that a PIN may have.
    #[must_use]
    pub fn has_valid_length(&self) -> bool {
        (Self::MIN_LEN..=Self::MAX_LEN).contains(&self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn debug_prints_no_content() {
        let secret = SecretBytes::copied(b"hunter2");
        assert_eq!(format!("{secret:?}"), "SecretBytes(7)");
        assert_eq!(format!("{:?}", Pin::copied(b"1234")), "Pin(SecretBytes(4))");
    }

    #[test]
    fn a_failed_fill_gives_nothing() {
        let failed = SecretBytes::filled(4, |_| Err(Error::EntropyUnavailable));
        assert_eq!(failed.unwrap_err(), Error::EntropyUnavailable);
    }

    #[test]
    fn equality_needs_the_same_length_and_bytes() {
        let secret = SecretBytes::copied(b"abc");
        assert!(secret.equals(b"abc"));
        assert!(!secret.equals(b"abd"));
        assert!(!secret.equals(b"abcd"));
    }
}
