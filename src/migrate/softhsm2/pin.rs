//! From the user's PIN to what is encrypted.
//!
//! ```text
//! SHA-256(salt ‖ PIN), hashed again 1,499 + (last byte of the salt) times ──> PIN key
//! PIN key ── AES-256-CBC ──> "RJR" ‖ token key (256 bits)
//! token key ── AES-256-CBC ──> each byte string of a private object
//! ```
//!
//! Under the PIN: salt (8 bytes), initialisation vector (16), ciphertext. Under the
//! token key: initialisation vector, ciphertext. Padding is PKCS #7's.

use crate::secret::{Pin, SecretBytes};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const KEY_LEN: usize = 32;
const BLOCK_LEN: usize = 16;
const SALT_LEN: usize = 8;
/// What tells a right PIN from a wrong one.
const MAGIC: &[u8] = b"RJR";
/// How often the hash is computed at least.
const HASHES_MIN: usize = 1500;

/// What opens the private objects of a token.
pub struct TokenKey(SecretBytes);

impl TokenKey {
    /// Opens the key of a token by a PIN; `None` when the PIN is wrong or what it
    /// should open was edited.
    pub(super) fn open(sealed: &[u8], pin: &Pin) -> Option<Self> {
        let (salt, sealed) = sealed.split_first_chunk::<SALT_LEN>()?;
        let opened = decrypt(&pin_key(salt, pin), sealed)?;
        let key = opened.strip_prefix(MAGIC).filter(|key| key.len() == KEY_LEN)?;
        Some(Self(SecretBytes::copied(key)))
    }

    /// Opens a byte string of a private object; `None` when it was edited so that
    /// its padding is none.
    pub(super) fn decrypt(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        // SoftHSM2 leaves what is empty as it is.
        if sealed.is_empty() { Some(Zeroizing::default()) } else { decrypt(&self.0, sealed) }
    }
}

/// Prints nothing of it.
impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

fn pin_key(salt: &[u8; SALT_LEN], pin: &Pin) -> SecretBytes {
    let first = Sha256::new_with_prefix(salt).chain_update(pin.expose()).finalize();
    let mut hash = Zeroizing::new(<[u8; KEY_LEN]>::from(first));
    for _ in 1..HASHES_MIN + usize::from(salt[SALT_LEN - 1]) {
        *hash = Sha256::digest(*hash).into();
    }
    SecretBytes::copied(&*hash)
}

fn decrypt(key: &SecretBytes, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (vector, ciphertext) = sealed.split_first_chunk::<BLOCK_LEN>()?;
    let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(key.expose(), vector).ok()?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    // What is behind it is padding.
    buffer.truncate(length);
    Some(buffer)
}
