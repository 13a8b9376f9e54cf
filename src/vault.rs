//! Sealing: from a PIN to the token's root key, and from the root key to
//! records that nobody else can read or change.
//!
//! ```text
//! PIN ── Argon2id (RFC 9106) ──> wrapping key ── AES-256-GCM ──> the credential's private key
//! the credential's key pair ── X25519 (RFC 7748) ── AES-256-GCM ──> root key (256 random bits)
//! root key ── HKDF-Expand-SHA-256 (RFC 5869) ──┬─ its name
//!                                              ├─ one key per record ── AES-256-GCM ──> record
//!                                              ├─ look-up key ── HMAC-SHA-256 ──> tags
//!                                              └─ set key ── HMAC-SHA-256 ──> set hash
//! passphrase ── Argon2id ───────────┐
//! 256 random bits, sealed by X25519 ┴─> file key ── HKDF-Expand ──> chunks of a backup
//! ```
//!
//! Nonces are random (96 bits); each record has a key of its own, so no key
//! comes near the 2³² uses that SP 800-38D §8.3 allows. The associated data
//! binds a record to its token, kind, id and version: a record that is edited,
//! swapped, or moved from another token does not open, and why it does not is
//! not said.

#![forbid(unsafe_code)]

mod credential;
mod pin;
mod set_hash;
mod stream;
mod transport;
mod x25519;

pub use credential::{Credential, Opened, PinLock};
pub use pin::{PinParameters, WrappingKey};
pub use set_hash::SetHash;
pub use stream::{FileKey, StreamCipher};
pub use transport::Fingerprint;
pub use x25519::{PrivateKey, PublicKey};

use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use aes_gcm::aead::{AeadInOut, Tag};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Which record: its kind, its name and its version.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The kind's number.
    pub kind: u8,
    /// The name.
    pub id: &'a str,
    /// The version that the record has when these bytes are stored.
    pub version: u64,
}

/// The name of a root key: it tells nothing of the key itself.
pub type RootName = [u8; 16];

/// Seals and opens the records of one token.
pub struct Vault {
    serial: String,
    root: SecretBytes,
    root_name: RootName,
    look_up: SecretBytes,
    set: SecretBytes,
}

/// Prints the serial only.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.serial)
    }
}

impl Vault {
    /// The vault of a new token, under a new root key.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`].
    pub fn new(serial: &str, entropy: &dyn Entropy) -> Result<Self> {
        let root = SecretBytes::filled(KEY_LEN, |out| entropy.fill(out))?;
        Self::over(serial, root)
    }

    /// Tells one root key from another; not secret.
    #[must_use]
    pub const fn root_name(&self) -> &RootName {
        &self.root_name
    }

    fn over(serial: &str, root: SecretBytes) -> Result<Self> {
        let look_up = derive(&root, &[b"signet look-up v1"])?;
        let set = derive(&root, &[b"signet set v1"])?;
        let mut root_name = RootName::default();
        root_name.copy_from_slice(&derive(&root, &[b"signet root name v1"])?.expose()[..16]);
        Ok(Self { serial: serial.to_owned(), root, root_name, look_up, set })
    }

    /// Seals `plain` for `place`; `open_part` is stored beside it by the caller
    /// and bound to it.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`].
    pub fn seal(
        &self,
        place: Place<'_>,
        open_part: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>> {
        let key = self.record_key(place)?;
        seal(&key, &self.associated(place, open_part), plain, entropy)
    }

    /// Opens what [`Vault::seal`] made for the same place and open part.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`], without a reason.
    pub fn open(&self, place: Place<'_>, open_part: &[u8], sealed: &[u8]) -> Result<SecretBytes> {
        let key = self.record_key(place)?;
        open(&key, &self.associated(place, open_part), sealed)
            .ok_or_else(|| Error::RecordDamaged(place.id.to_owned()))
    }

    /// A keyed hash of a property's value, for the store's look-up columns.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of every length.
    pub fn tag(&self, property: u8, value: &[u8]) -> Result<[u8; 16]> {
        let hash = keyed_hash(&self.look_up, &[&[property], value])?;
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash[..16]);
        Ok(tag)
    }

    /// The contribution of one record to the token's set hash. `open_part`: what
    /// of its content no seal protects.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of every length.
    pub fn member(&self, place: Place<'_>, open_part: &[u8]) -> Result<[u8; 32]> {
        keyed_hash(&self.set, &[&self.associated(place, open_part)])
    }

    /// A keyed hash of a record's body as it is stored, by which the token's list of
    /// records knows it again.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of every length.
    pub fn fingerprint(&self, body: &[u8]) -> Result<[u8; 16]> {
        let hash = keyed_hash(&self.set, &[b"signet body v1\0", body])?;
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&hash[..16]);
        Ok(fingerprint)
    }

    fn record_key(&self, place: Place<'_>) -> Result<SecretBytes> {
        derive(&self.root, &[b"signet record v1\0", &[place.kind], place.id.as_bytes()])
    }

    /// Every part but the last has a fixed or a stated length, so no two places
    /// share their associated data.
    fn associated(&self, place: Place<'_>, open_part: &[u8]) -> Vec<u8> {
        let mut data = b"signet v1\0".to_vec();
        for text in [&*self.serial, place.id] {
            data.extend((text.len() as u64).to_be_bytes());
            data.extend(text.as_bytes());
        }
        data.push(place.kind);
        data.extend(place.version.to_be_bytes());
        data.extend(open_part);
        data
    }
}

/// Subkeys by HKDF-Expand: the root key is uniformly random, so the extract
/// step may be left out (RFC 5869 §3.3).
fn derive(root: &SecretBytes, info: &[&[u8]]) -> Result<SecretBytes> {
    let failed = |_| Error::FunctionFailed("deriving a key".into());
    let hkdf = Hkdf::<Sha256>::from_prk(root.expose())
        .map_err(|_| Error::FunctionFailed("deriving a key".into()))?;
    SecretBytes::filled(KEY_LEN, |out| hkdf.expand_multi_info(info, out).map_err(failed))
}

fn keyed_hash(key: &SecretBytes, parts: &[&[u8]]) -> Result<[u8; 32]> {
    hmac(key.expose(), parts)
}

/// HMAC-SHA-256 under a key that the token keeps beside what it is about.
///
/// # Errors
/// None in practice: HMAC takes keys of every length.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| Error::FunctionFailed("hashing a property".into()))?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}

/// Nonce, ciphertext and tag in one.
fn seal(
    key: &SecretBytes,
    associated: &[u8],
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>> {
    let failed = || Error::FunctionFailed("sealing a record".into());
    let nonce: [u8; NONCE_LEN] = entropy::array(entropy)?;
    let cipher = Aes256Gcm::new_from_slice(key.expose()).map_err(|_| failed())?;
    // The plain text never stands in memory that could be moved or grown.
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + TAG_LEN);
    sealed.extend(nonce);
    sealed.extend(plain);
    let encrypted = cipher.encrypt_inout_detached(
        &Nonce::from(nonce),
        associated,
        (&mut sealed[NONCE_LEN..]).into(),
    );
    let Ok(tag) = encrypted else {
        sealed.zeroize();
        return Err(failed());
    };
    sealed.extend(tag);
    Ok(sealed)
}

fn open(key: &SecretBytes, associated: &[u8], sealed: &[u8]) -> Option<SecretBytes> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    let cipher = Aes256Gcm::new_from_slice(key.expose()).ok()?;
    SecretBytes::filled(ciphertext.len(), |out| {
        out.copy_from_slice(ciphertext);
        let tag: Tag<Aes256Gcm> = (*tag).into();
        cipher
            .decrypt_inout_detached(&Nonce::from(*nonce), associated, out.into(), &tag)
            .map_err(|_| Error::RecordDamaged(String::new()))
    })
    .ok()
}

/// Known answers for what seals the store, by name.
pub(crate) fn self_tests() -> [(&'static str, bool); 4] {
    [
        ("AES-256-GCM", gcm_self_test()),
        ("HKDF-SHA-256", hkdf_self_test()),
        ("Argon2id", pin::self_test()),
        ("X25519", x25519::self_test()),
    ]
}

/// The GCM specification's test case 14: key, nonce and plain text of zeros.
fn gcm_self_test() -> bool {
    const ANSWER: [u8; NONCE_LEN + 16 + TAG_LEN] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // nonce
        0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d,
        0x18, // ciphertext
        0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9,
        0x19, // tag
    ];
    let key = SecretBytes::copied(&[0; KEY_LEN]);
    let sealed = seal(&key, &[], &[0; 16], &ZeroNonce);
    let opened = open(&key, &[], &ANSWER);
    sealed.is_ok_and(|sealed| sealed == ANSWER)
        && opened.is_some_and(|plain| plain.equals(&[0; 16]))
}

/// The nonce of the known answer. Never used for a record.
struct ZeroNonce;

impl Entropy for ZeroNonce {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(0);
        Ok(())
    }

    fn stir(&self, _: &[u8]) {}
}

/// The expand step of RFC 5869's test case 1.
fn hkdf_self_test() -> bool {
    const PRK: [u8; KEY_LEN] = [
        0x07, 0x77, 0x09, 0x36, 0x2c, 0x2e, 0x32, 0xdf, 0x0d, 0xdc, 0x3f, 0x0d, 0xc4, 0x7b, 0xba,
        0x63, 0x90, 0xb6, 0xc7, 0x3b, 0xb5, 0x0f, 0x9c, 0x31, 0x22, 0xec, 0x84, 0x4a, 0xd7, 0xc2,
        0xb3, 0xe5,
    ];
    const INFO: [u8; 10] = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
    const ANSWER: [u8; KEY_LEN] = [
        0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f,
        0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4,
        0xc5, 0xbf,
    ];
    derive(&SecretBytes::copied(&PRK), &[&INFO]).is_ok_and(|key| key.equals(&ANSWER))
}

/// A hash without a key, for the look-up columns of public records.
#[must_use]
pub fn public_tag(property: u8, value: &[u8]) -> [u8; 16] {
    use sha2::Digest;
    let hash = Zeroizing::new(<[u8; 32]>::from(
        Sha256::new_with_prefix([property]).chain_update(value).finalize(),
    ));
    let mut tag = [0; 16];
    tag.copy_from_slice(&hash[..16]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    const PLACE: Place<'static> = Place { kind: 3, id: "record", version: 1 };

    fn vault() -> Vault {
        Vault::new("0123456789abcdef", &OsEntropy).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let vault = vault();
        let sealed = vault.seal(PLACE, b"open", b"secret", &OsEntropy).unwrap();
        assert_eq!(vault.open(PLACE, b"open", &sealed).unwrap().expose(), b"secret");
        for place in [
            Place { kind: 4, ..PLACE },
            Place { id: "recorD", ..PLACE },
            Place { version: 2, ..PLACE },
        ] {
            assert!(vault.open(place, b"open", &sealed).is_err(), "{place:?}");
        }
        assert!(vault.open(PLACE, b"changed", &sealed).is_err());
    }

    #[test]
    fn another_token_opens_nothing_even_under_the_same_root() {
        let vault = vault();
        let sealed = vault.seal(PLACE, b"", b"secret", &OsEntropy).unwrap();
        let other = Vault::over("fedcba9876543210", SecretBytes::copied(vault.root.expose()));
        assert!(other.unwrap().open(PLACE, b"", &sealed).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let vault = vault();
        let sealed = vault.seal(PLACE, b"", b"secret", &OsEntropy).unwrap();
        for index in 0..sealed.len() {
            let mut edited = sealed.clone();
            edited[index] ^= 1;
            let error = vault.open(PLACE, b"", &edited).unwrap_err();
            assert_eq!(error, Error::RecordDamaged("record".into()));
            assert!(vault.open(PLACE, b"", &sealed[..index]).is_err());
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes_that_hold_no_plain_text() {
        let vault = vault();
        let plain = [0x5a; 64];
        let first = vault.seal(PLACE, b"", &plain, &OsEntropy).unwrap();
        let second = vault.seal(PLACE, b"", &plain, &OsEntropy).unwrap();
        assert_ne!(first, second);
        assert!(!first.windows(8).any(|window| window == [0x5a; 8]));
    }

    #[test]
    fn tags_depend_on_property_value_and_token() {
        let (one, other) = (vault(), vault());
        let tag = one.tag(1, b"label").unwrap();
        assert_eq!(tag, one.tag(1, b"label").unwrap());
        assert_ne!(tag, one.tag(2, b"label").unwrap());
        assert_ne!(tag, one.tag(1, b"labeL").unwrap());
        assert_ne!(tag, other.tag(1, b"label").unwrap());
    }

    #[test]
    fn members_of_the_set_depend_on_the_place_and_on_what_is_not_sealed() {
        let vault = vault();
        let member = vault.member(PLACE, b"open").unwrap();
        assert_eq!(member, vault.member(PLACE, b"open").unwrap());
        for place in [
            Place { kind: 4, ..PLACE },
            Place { id: "recorD", ..PLACE },
            Place { version: 2, ..PLACE },
        ] {
            assert_ne!(member, vault.member(place, b"open").unwrap());
        }
        assert_ne!(member, vault.member(PLACE, b"").unwrap());
        // Where the name ends and the content begins makes a difference.
        let shifted = Place { id: "recordo", ..PLACE };
        assert_ne!(member, vault.member(shifted, b"pen").unwrap());
    }
}
