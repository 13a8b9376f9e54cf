//! What a PIN opens, as it is stored.
//!
//! ```text
//! PIN ── Argon2id ──> wrapping key ── AES-256-GCM ──> private key of a pair
//! the pair's public key ── sealed to it ──> root key
//! root key ── seals against change ──> all of the above
//! ```
//!
//! So the root key can be replaced without any PIN: the new one is sealed to the
//! public key, which nobody can have exchanged who did not have the old one. And an
//! old root key opens no newer one. That is format 2. In format 1 the root key itself
//! is wrapped under the PIN; it is read, and rewritten at that PIN's next login.

use super::pin::{SALT_LEN, WrappingKey, wrapping_key};
use super::x25519::{PrivateKey, PublicKey};
use super::{KEY_LEN, PinParameters, Place, Vault, open, seal};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::secret::{Pin, SecretBytes};
use minicbor::bytes::ByteVec;
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode};

/// The number that a credential of format 2 begins with.
const FORMAT: u8 = 2;

/// A credential as it is stored.
#[derive(Debug, Clone)]
pub struct Credential(Format);

#[derive(Debug, Clone)]
enum Format {
    First(First),
    Second(Second),
}

/// The root key wrapped under a PIN.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct First {
    #[n(0)]
    parameters: PinParameters,
    #[n(1)]
    salt: ByteVec,
    #[n(2)]
    sealed: ByteVec,
}

#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Second {
    #[n(0)]
    format: u8,
    #[n(1)]
    lock: PinLock,
    /// The root key, sealed to the lock's public key.
    #[n(2)]
    root: ByteVec,
    /// Seals `lock` and `root` against change.
    #[n(3)]
    bound: ByteVec,
}

/// A key pair whose private key only a PIN opens.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
pub struct PinLock {
    #[n(0)]
    parameters: PinParameters,
    #[n(1)]
    salt: ByteVec,
    /// The private key under the PIN.
    #[n(2)]
    sealed: ByteVec,
    #[n(3)]
    public: ByteVec,
    /// The PIN has a colon in it. Absent where that was not noted.
    #[n(4)]
    colon: Option<bool>,
}

/// What a PIN has opened.
#[derive(Debug)]
pub struct Opened {
    /// The vault of the token.
    pub vault: Vault,
    /// What opens the root keys that follow this one; absent in format 1.
    pub key: Option<PrivateKey>,
}

impl PinLock {
    /// Locks `key` for the credential `name` of the token `serial`: the slow part of
    /// setting a PIN.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`]; [`Error::HostMemory`] when the derivation
    /// cannot have its memory.
    pub fn new(
        serial: &str,
        name: &str,
        pin: &Pin,
        parameters: PinParameters,
        key: &PrivateKey,
        entropy: &dyn Entropy,
    ) -> Result<Self> {
        let salt: [u8; SALT_LEN] = entropy::array(entropy)?;
        let wrapping = wrapping_key(pin, &salt, parameters)?;
        let public = key.public().as_bytes().to_vec();
        let context = context(b"signet credential v2\0", serial, name, &public);
        let sealed = seal(&wrapping.0, &context, key.expose(), entropy)?;
        let (salt, sealed) = (salt.to_vec().into(), sealed.into());
        Ok(Self { parameters, salt, sealed, public: public.into(), colon: None })
    }

    /// The same, noting for all to read that the PIN has a colon in it.
    #[must_use]
    pub fn noting_a_colon(self) -> Self {
        Self { colon: Some(true), ..self }
    }

    /// The body of a credential that opens `vault`, to be stored at `place`.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`].
    pub fn credential(
        &self,
        vault: &Vault,
        place: Place<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>> {
        let public = PublicKey::from_bytes(&self.public).ok_or_else(|| damaged(place))?;
        let context = context(b"signet root v2\0", &vault.serial, place.id, &[]);
        let root: ByteVec = public.seal(&context, vault.root.expose(), entropy)?.into();
        let bound = vault.seal(place, &binding(self, &root)?, &[], entropy)?.into();
        encoded(&Second { format: FORMAT, lock: self.clone(), root, bound })
    }
}

impl Credential {
    /// A stored credential; `None` when it is none that this version can read, or asks for
    /// work that is never set.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        Self::decode_format(body).filter(|credential| credential.parameters().is_bearable())
    }

    fn decode_format(body: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(body);
        decoder.array().ok()?;
        // Format 1 has no number; it begins with its parameters.
        if decoder.datatype().ok()? == Type::Array {
            return minicbor::decode(body).ok().map(|first| Self(Format::First(first)));
        }
        let second: Second = minicbor::decode(body).ok()?;
        (second.format == FORMAT).then_some(Self(Format::Second(second)))
    }

    /// The cost that was chosen when the PIN was set, or raised to since.
    #[must_use]
    pub const fn parameters(&self) -> PinParameters {
        match &self.0 {
            Format::First(first) => first.parameters,
            Format::Second(second) => second.lock.parameters,
        }
    }

    /// Whether its format does not let the root key be replaced.
    #[must_use]
    pub const fn is_outdated(&self) -> bool {
        matches!(self.0, Format::First(_))
    }

    /// Whether it was noted that the PIN has a colon in it; nobody has checked that.
    #[must_use]
    pub fn has_colon(&self) -> bool {
        matches!(&self.0, Format::Second(Second { lock: PinLock { colon: Some(true), .. }, .. }))
    }

    /// Derives the key that opens this from a PIN, right or wrong: the slow part,
    /// which tells nothing yet.
    ///
    /// # Errors
    /// [`Error::HostMemory`] when the derivation cannot have its memory;
    /// [`Error::FunctionFailed`] when the stored cost is one that is never set.
    pub fn key(&self, pin: &Pin) -> Result<WrappingKey> {
        match &self.0 {
            Format::First(First { parameters, salt, .. })
            | Format::Second(Second { lock: PinLock { parameters, salt, .. }, .. }) => {
                wrapping_key(pin, salt, *parameters)
            }
        }
    }

    /// Opens the credential at `place` of the token `serial`.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`] when the key does not open it, whatever the reason;
    /// [`Error::RecordDamaged`] when it does, and the rest was changed.
    pub fn open(&self, serial: &str, place: Place<'_>, key: &WrappingKey) -> Result<Opened> {
        match &self.0 {
            Format::First(first) => {
                let context = [b"signet root v1\0", serial.as_bytes(), b"\0", place.id.as_bytes()];
                let root = open(&key.0, &context.concat(), &first.sealed)
                    .filter(|root| root.len() == KEY_LEN)
                    .ok_or(Error::PinIncorrect)?;
                Ok(Opened { vault: Vault::over(serial, root)?, key: None })
            }
            Format::Second(Second { lock, .. }) => {
                let context = context(b"signet credential v2\0", serial, place.id, &lock.public);
                let key = open(&key.0, &context, &lock.sealed)
                    .and_then(|key| PrivateKey::from_secret(&key))
                    .ok_or(Error::PinIncorrect)?;
                Ok(Opened { vault: self.vault(serial, place, &key)?, key: Some(key) })
            }
        }
    }

    /// The vault that a private key opens which a PIN has opened before.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`] when it opens nothing, or the rest was changed.
    pub fn vault(&self, serial: &str, place: Place<'_>, key: &PrivateKey) -> Result<Vault> {
        let Format::Second(Second { lock, root, bound, .. }) = &self.0 else {
            return Err(damaged(place));
        };
        let context = context(b"signet root v2\0", serial, place.id, &[]);
        let opened: Option<SecretBytes> = key.open(&context, root);
        let opened = opened.filter(|root| root.len() == KEY_LEN).ok_or_else(|| damaged(place))?;
        let vault = Vault::over(serial, opened)?;
        vault.open(place, &binding(lock, root)?, bound)?;
        Ok(vault)
    }

    /// The body of the same credential under another root key, to be stored over
    /// this one at `place`; `None` when its format does not allow that.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`] when it was not bound by `old`;
    /// [`Error::EntropyUnavailable`].
    pub fn resealed(
        &self,
        place: Place<'_>,
        old: &Vault,
        new: &Vault,
        entropy: &dyn Entropy,
    ) -> Result<Option<Vec<u8>>> {
        let Format::Second(Second { lock, root, bound, .. }) = &self.0 else { return Ok(None) };
        old.open(place, &binding(lock, root)?, bound)?;
        let next = Place { version: place.version + 1, ..place };
        lock.credential(new, next, entropy).map(Some)
    }
}

/// Every part but the last ends with a zero or has a fixed length.
fn context(purpose: &[u8], serial: &str, name: &str, more: &[u8]) -> Vec<u8> {
    [purpose, serial.as_bytes(), b"\0", name.as_bytes(), b"\0", more].concat()
}

fn binding(lock: &PinLock, root: &ByteVec) -> Result<Vec<u8>> {
    encoded(&(lock, root))
}

fn encoded<T: Encode<()>>(value: &T) -> Result<Vec<u8>> {
    minicbor::to_vec(value).map_err(|error| Error::FunctionFailed(format!("encoding: {error}")))
}

fn damaged(place: Place<'_>) -> Error {
    Error::RecordDamaged(place.id.to_owned())
}

#[cfg(test)]
impl Credential {
    /// The body of a credential of format 1, as version 0.1.0 wrote it.
    pub(crate) fn first(
        vault: &Vault,
        name: &str,
        pin: &Pin,
        parameters: PinParameters,
    ) -> Vec<u8> {
        let salt = [7; SALT_LEN];
        let wrapping = wrapping_key(pin, &salt, parameters).unwrap();
        let context = [b"signet root v1\0", vault.serial.as_bytes(), b"\0", name.as_bytes()];
        let entropy = crate::entropy::OsEntropy;
        let sealed = seal(&wrapping.0, &context.concat(), vault.root.expose(), &entropy).unwrap();
        let (salt, sealed) = (salt.to_vec().into(), sealed.into());
        encoded(&First { parameters, salt, sealed }).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    const CHEAP: PinParameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };
    const AT: Place<'static> = Place { kind: 1, id: "user", version: 3 };

    fn vault() -> Vault {
        Vault::new("serial", &OsEntropy).unwrap()
    }

    fn lock() -> (PinLock, PrivateKey) {
        let key = PrivateKey::new(&OsEntropy).unwrap();
        let pin = Pin::copied(b"1234");
        (PinLock::new("serial", AT.id, &pin, CHEAP, &key, &OsEntropy).unwrap(), key)
    }

    /// Both formats of a credential of the same vault and PIN.
    fn both() -> (Vault, [Vec<u8>; 2]) {
        let vault = vault();
        let first = Credential::first(&vault, AT.id, &Pin::copied(b"1234"), CHEAP);
        let second = lock().0.credential(&vault, AT, &OsEntropy).unwrap();
        (vault, [first, second])
    }

    fn open_with(body: &[u8], serial: &str, place: Place<'_>, pin: &[u8]) -> Result<Opened> {
        let credential = Credential::decode(body).unwrap();
        credential.open(serial, place, &credential.key(&Pin::copied(pin))?)
    }

    #[test]
    fn the_right_pin_gives_the_same_vault() {
        let (vault, bodies) = both();
        for (body, follows) in bodies.iter().zip([false, true]) {
            let opened = open_with(body, "serial", AT, b"1234").unwrap();
            assert_eq!(opened.vault.root_name(), vault.root_name());
            assert_eq!(opened.key.is_some(), follows);
            assert_eq!(Credential::decode(body).unwrap().is_outdated(), !follows);
        }
    }

    #[test]
    fn another_pin_credential_or_token_is_a_wrong_pin() {
        let (_, bodies) = both();
        for (serial, name, pin) in [
            ("serial", "user", &b"1235"[..]),
            ("serial", "user", b""),
            ("serial", "so", b"1234"),
            ("other", "user", b"1234"),
        ] {
            for body in &bodies {
                let error = open_with(body, serial, Place { id: name, ..AT }, pin).unwrap_err();
                assert_eq!(error, Error::PinIncorrect);
            }
        }
    }

    #[test]
    fn a_credential_that_was_edited_opens_no_vault() {
        let (_, [_, body]) = both();
        for index in 0..body.len() {
            let mut edited = body.clone();
            edited[index] ^= 1;
            // Some edits leave no credential at all, or one that is too dear to open.
            let Some(credential) = Credential::decode(&edited) else { continue };
            if credential.parameters() == CHEAP {
                assert!(open_with(&edited, "serial", AT, b"1234").is_err(), "{index}");
            }
        }
        let moved = open_with(&body, "serial", Place { version: 4, ..AT }, b"1234");
        assert_eq!(moved.unwrap_err(), Error::RecordDamaged("user".into()));
    }

    #[test]
    fn the_root_key_is_replaced_without_the_pin() {
        let (old, new) = (vault(), vault());
        let (lock, key) = lock();
        let body = lock.credential(&old, AT, &OsEntropy).unwrap();
        let credential = Credential::decode(&body).unwrap();
        let body = credential.resealed(AT, &old, &new, &OsEntropy).unwrap().unwrap();
        let next = Place { version: 4, ..AT };
        let opened = open_with(&body, "serial", next, b"1234").unwrap();
        assert_eq!(opened.vault.root_name(), new.root_name());
        // Whoever was logged in follows by the private key.
        let followed = Credential::decode(&body).unwrap().vault("serial", next, &key).unwrap();
        assert_eq!(followed.root_name(), new.root_name());
        // A key that was exchanged for another does not.
        let other = PrivateKey::new(&OsEntropy).unwrap();
        assert!(Credential::decode(&body).unwrap().vault("serial", next, &other).is_err());
    }

    #[test]
    fn the_root_key_is_sealed_to_no_public_key_that_was_put_in_place_of_another() {
        let (old, new) = (vault(), vault());
        let mine = lock().0.credential(&old, AT, &OsEntropy).unwrap();
        // Whoever can write the file, but has no root key, makes one of their own.
        let theirs = lock().0.credential(&vault(), AT, &OsEntropy).unwrap();
        for (body, sound) in [(mine, true), (theirs, false)] {
            let resealed = Credential::decode(&body).unwrap().resealed(AT, &old, &new, &OsEntropy);
            assert_eq!(resealed.is_ok(), sound);
        }
    }

    #[test]
    fn the_first_format_is_told_apart_and_cannot_be_resealed() {
        let (vault, [first, second]) = both();
        let decoded = Credential::decode(&first).unwrap();
        assert!(decoded.resealed(AT, &vault, &vault, &OsEntropy).unwrap().is_none());
        // Version 0.1.0 takes a newer credential for a damaged one, not for a wrong PIN.
        assert!(minicbor::decode::<First>(&second).is_err());
        for unknown in [&b""[..], b"\x80", b"\x81\x03", b"\xa0", &second[..second.len() - 1]] {
            assert!(Credential::decode(unknown).is_none());
        }
    }
}
