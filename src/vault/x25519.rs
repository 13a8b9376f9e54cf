//! Sealing to a public key: whoever has it can seal, who has the private key
//! opens.
//!
//! ```text
//! ephemeral private key × public key ── X25519 (RFC 7748) ──> shared secret
//! shared secret ── HKDF-SHA-256 (RFC 5869) ──> key ── AES-256-GCM ──> sealed
//! ```
//!
//! The ephemeral public key stands before what is sealed. The key's derivation
//! takes in both public keys and the context, so that nothing opens in
//! another's place.

use super::{KEY_LEN, open, seal};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey as Point, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

/// An X25519 private key, wiped on drop.
pub struct PrivateKey(StaticSecret);

/// Prints no part of it.
impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// The length in bytes.
    pub const LEN: usize = KEY_LEN;

    /// A new key.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`].
    pub fn new(entropy: &dyn Entropy) -> Result<Self> {
        let bytes = Zeroizing::new(entropy::array::<{ Self::LEN }>(entropy)?);
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// The key of these bytes; `None` when they are not [`PrivateKey::LEN`].
    #[must_use]
    pub fn from_secret(secret: &SecretBytes) -> Option<Self> {
        let bytes: Zeroizing<[u8; Self::LEN]> = Zeroizing::new(secret.expose().try_into().ok()?);
        Some(Self(StaticSecret::from(*bytes)))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What seals to this key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(Point::from(&self.0).to_bytes())
    }

    /// Opens what [`PublicKey::seal`] made for the same context; `None` otherwise,
    /// without a reason.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<SecretBytes> {
        let (ephemeral, sealed) = sealed.split_first_chunk::<{ PublicKey::LEN }>()?;
        let shared = self.0.diffie_hellman(&Point::from(*ephemeral));
        let key = sealing_key(&shared, ephemeral, &self.public(), context).ok()?;
        open(&key, context, sealed)
    }
}

/// An X25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PublicKey::LEN]);

impl PublicKey {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// The key of these bytes; `None` when they are not [`PublicKey::LEN`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Seals `plain` to the holder of the private key. `context`: what it is for.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`]; [`Error::FunctionFailed`] when this is one of
    /// the few points that every private key agrees on the same secret with.
    pub fn seal(&self, context: &[u8], plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>> {
        let ephemeral = PrivateKey::new(entropy)?;
        let public = ephemeral.public();
        let shared = ephemeral.0.diffie_hellman(&Point::from(self.0));
        let key = sealing_key(&shared, &public.0, self, context)?;
        Ok([&public.0[..], &seal(&key, context, plain, entropy)?].concat())
    }
}

fn sealing_key(
    shared: &SharedSecret,
    ephemeral: &[u8],
    recipient: &PublicKey,
    context: &[u8],
) -> Result<SecretBytes> {
    let failed = || Error::FunctionFailed("agreeing on a key".into());
    if !shared.was_contributory() {
        return Err(failed());
    }
    let hkdf = Hkdf::<Sha256>::new(None, shared.as_bytes());
    let info = [b"signet sealed to x25519 v1\0", ephemeral, &recipient.0, context];
    SecretBytes::filled(KEY_LEN, |out| hkdf.expand_multi_info(&info, out).map_err(|_| failed()))
}

/// RFC 7748 §6.1: Alice's private key, her public key, and what she shares with
/// Bob.
pub(super) fn self_test() -> bool {
    const ALICE: [u8; 32] = [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66,
        0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9,
        0x2c, 0x2a,
    ];
    const ALICE_PUBLIC: [u8; 32] = [
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7,
        0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b,
        0x4e, 0x6a,
    ];
    const BOB_PUBLIC: [u8; 32] = [
        0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35,
        0x37, 0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88,
        0x2b, 0x4f,
    ];
    const SHARED: [u8; 32] = [
        0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e, 0x3b, 0xf4, 0x80, 0x35, 0x0f,
        0x25, 0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1, 0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16,
        0x17, 0x42,
    ];
    let alice = PrivateKey(StaticSecret::from(ALICE));
    let shared = alice.0.diffie_hellman(&Point::from(BOB_PUBLIC));
    alice.public().0 == ALICE_PUBLIC && *shared.as_bytes() == SHARED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    fn key() -> PrivateKey {
        PrivateKey::new(&OsEntropy).unwrap()
    }

    #[test]
    fn the_private_key_opens_what_was_sealed_to_its_public_one() {
        let key = key();
        let sealed = key.public().seal(b"context", b"plain", &OsEntropy).unwrap();
        assert_eq!(key.open(b"context", &sealed).unwrap().expose(), b"plain");
        let again = PrivateKey::from_secret(&SecretBytes::copied(key.expose())).unwrap();
        assert_eq!(again.open(b"context", &sealed).unwrap().expose(), b"plain");
        let twice = key.public().seal(b"context", b"plain", &OsEntropy).unwrap();
        assert_ne!(sealed[..PublicKey::LEN], twice[..PublicKey::LEN], "a pair for each");
    }

    #[test]
    fn no_other_key_context_or_text_opens() {
        let key = key();
        let sealed = key.public().seal(b"context", b"plain", &OsEntropy).unwrap();
        assert!(self::key().open(b"context", &sealed).is_none());
        assert!(key.open(b"contexT", &sealed).is_none());
        for index in 0..sealed.len() {
            let mut edited = sealed.clone();
            edited[index] ^= 1;
            // The highest bit of a public key is not looked at (RFC 7748 §5), but the
            // derivation takes in the bytes as they stand.
            assert!(key.open(b"context", &edited).is_none(), "{index}");
            assert!(key.open(b"context", &sealed[..index]).is_none());
        }
        let mut edited = sealed.clone();
        edited[PublicKey::LEN - 1] ^= 0x80;
        assert!(key.open(b"context", &edited).is_none());
    }

    #[test]
    fn points_that_agree_with_everybody_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            let public = PublicKey::from_bytes(&point).unwrap();
            assert!(public.seal(b"", b"plain", &OsEntropy).is_err());
            let sealed = [&point[..], &[0; 60]].concat();
            assert!(key().open(b"", &sealed).is_none());
        }
        assert!(PublicKey::from_bytes(&[0; 31]).is_none());
        assert!(PrivateKey::from_secret(&SecretBytes::copied(&[0; 33])).is_none());
    }

    #[test]
    fn debug_prints_no_key() {
        assert_eq!(format!("{:?}", key()), "PrivateKey");
    }
}
