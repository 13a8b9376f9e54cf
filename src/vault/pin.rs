//! From a PIN to the root key.

use super::{KEY_LEN, Vault, open, seal};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::secret::{Pin, SecretBytes};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use zeroize::Zeroize;

/// The cost of guessing one PIN (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct PinParameters {
    /// Memory in KiB.
    #[n(0)]
    pub memory_kib: u32,
    /// Passes over the memory.
    #[n(1)]
    pub iterations: u32,
    /// Lanes that could be computed in parallel.
    #[n(2)]
    pub lanes: u32,
}

impl PinParameters {
    /// OWASP's minimum configuration of Argon2id: 19 MiB, 2 passes, 1 lane.
    pub const DEFAULT: Self = Self { memory_kib: 19_456, iterations: 2, lanes: 1 };

    /// The floor: OWASP's Password Storage Cheat Sheet gives these as equally
    /// strong (memory in KiB, passes; one lane). A setting must reach one of
    /// them in both numbers.
    pub const FLOORS: [(u32, u32); 5] =
        [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

    /// The most that can be set, beyond which a login takes minutes, and that a
    /// stored record may ask for, so that an edited file exhausts neither the host's
    /// memory nor anybody's patience.
    pub const MAX: Self = Self { memory_kib: 4 * 1024 * 1024, iterations: 100, lanes: 64 };

    /// The same, if it reaches one of the floors.
    ///
    /// # Errors
    /// Why it is too weak, for whoever set it.
    pub fn checked(self) -> Result<Self, String> {
        let reached = Self::FLOORS
            .iter()
            .any(|&(memory, passes)| self.memory_kib >= memory && self.iterations >= passes);
        if reached {
            return Ok(self);
        }
        let floors: Vec<String> = Self::FLOORS.map(|(m, t)| format!("{m} KiB x {t}")).into();
        Err(format!(
            "{} KiB x {} passes is weaker than each of {}",
            self.memory_kib,
            self.iterations,
            floors.join(", ")
        ))
    }

    fn argon2(self) -> Result<Argon2<'static>> {
        let refused = |why: String| Error::FunctionFailed(format!("Argon2id: {why}"));
        if self.memory_kib > Self::MAX.memory_kib
            || self.iterations > Self::MAX.iterations
            || self.lanes > Self::MAX.lanes
        {
            return Err(refused(format!("{self:?} is too much work")));
        }
        let parameters = Params::new(self.memory_kib, self.iterations, self.lanes, Some(KEY_LEN))
            .map_err(|error| refused(error.to_string()))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
    }
}

/// What Argon2id makes of a PIN.
pub struct WrappingKey(SecretBytes);

/// The root key wrapped under one credential's PIN.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct WrappedRoot {
    #[n(0)]
    parameters: PinParameters,
    #[n(1)]
    salt: ByteVec,
    #[n(2)]
    sealed: ByteVec,
}

const SALT_LEN: usize = 16;

impl WrappedRoot {
    /// Wraps the vault's root key for `credential`.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`]; [`Error::HostMemory`] when the derivation
    /// cannot have its memory.
    pub fn wrap(
        vault: &Vault,
        credential: &str,
        pin: &Pin,
        parameters: PinParameters,
        entropy: &dyn Entropy,
    ) -> Result<Self> {
        let salt: [u8; SALT_LEN] = entropy::array(entropy)?;
        let key = wrapping_key(pin, &salt, parameters)?;
        let associated = associated(&vault.serial, credential);
        let sealed = seal(&key, &associated, vault.root.expose(), entropy)?;
        Ok(Self { parameters, salt: salt.to_vec().into(), sealed: sealed.into() })
    }

    /// Derives the key that opens this from a PIN, right or wrong: the slow part,
    /// which tells nothing yet.
    ///
    /// # Errors
    /// [`Error::HostMemory`] as for [`WrappedRoot::wrap`];
    /// [`Error::FunctionFailed`] when the stored cost is one that is never set.
    pub fn key(&self, pin: &Pin) -> Result<WrappingKey> {
        wrapping_key(pin, &self.salt, self.parameters).map(WrappingKey)
    }

    /// Opens the vault of the token `serial` for `credential`.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`] when the key does not open it, whatever the reason.
    pub fn open(&self, serial: &str, credential: &str, key: &WrappingKey) -> Result<Vault> {
        let root = open(&key.0, &associated(serial, credential), &self.sealed)
            .filter(|root| root.len() == KEY_LEN)
            .ok_or(Error::PinIncorrect)?;
        Vault::over(serial, root)
    }

    /// The cost that was chosen when the PIN was set.
    #[must_use]
    pub const fn parameters(&self) -> PinParameters {
        self.parameters
    }
}

fn associated(serial: &str, credential: &str) -> Vec<u8> {
    [b"signet root v1\0", serial.as_bytes(), b"\0", credential.as_bytes()].concat()
}

/// Work memory that is wiped: it holds what was derived from the PIN.
struct Work(Vec<Block>);

impl Work {
    fn new(blocks: usize) -> Result<Self> {
        let mut work = Vec::new();
        work.try_reserve_exact(blocks).map_err(|_| Error::HostMemory)?;
        work.resize(blocks, Block::default());
        Ok(Self(work))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|block| block.as_mut().zeroize());
    }
}

fn wrapping_key(pin: &Pin, salt: &[u8], parameters: PinParameters) -> Result<SecretBytes> {
    let argon2 = parameters.argon2()?;
    let mut work = Work::new(argon2.params().block_count())?;
    SecretBytes::filled(KEY_LEN, |out| {
        argon2
            .hash_password_into_with_memory(pin.expose(), salt, out, &mut work.0)
            .map_err(|error| Error::FunctionFailed(format!("Argon2id: {error}")))
    })
}

/// Argon2id against the answer of the reference implementation:
/// `printf password | argon2 somesaltsomesalt -id -t 2 -k 64 -p 1 -r`.
pub(super) fn self_test() -> bool {
    const ANSWER: [u8; KEY_LEN] = [
        0x1a, 0x98, 0xfb, 0xa8, 0xe6, 0x39, 0x44, 0x25, 0xc9, 0xbd, 0xc3, 0x33, 0xa9, 0xc7, 0x50,
        0xaa, 0xf8, 0x11, 0xdf, 0x07, 0x0f, 0x5f, 0xb4, 0xa5, 0x78, 0x8e, 0x1c, 0xf4, 0xdb, 0x57,
        0x93, 0xa1,
    ];
    let parameters = PinParameters { memory_kib: 64, iterations: 2, lanes: 1 };
    wrapping_key(&Pin::copied(b"password"), b"somesaltsomesalt", parameters)
        .is_ok_and(|key| key.equals(&ANSWER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::vault::Place;

    const CHEAP: PinParameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };

    fn wrapped() -> (Vault, WrappedRoot) {
        let vault = Vault::new("serial", &OsEntropy).unwrap();
        let pin = Pin::copied(b"1234");
        let wrapped = WrappedRoot::wrap(&vault, "user", &pin, CHEAP, &OsEntropy).unwrap();
        (vault, wrapped)
    }

    fn unwrap(wrapped: &WrappedRoot, serial: &str, user: &str, pin: &[u8]) -> Result<Vault> {
        wrapped.open(serial, user, &wrapped.key(&Pin::copied(pin))?)
    }

    #[test]
    fn the_right_pin_gives_the_same_vault() {
        let (vault, wrapped) = wrapped();
        let again = unwrap(&wrapped, "serial", "user", b"1234").unwrap();
        let place = Place { kind: 1, id: "a", version: 1 };
        let sealed = vault.seal(place, b"", b"plain", &OsEntropy).unwrap();
        assert_eq!(again.open(place, b"", &sealed).unwrap().expose(), b"plain");
    }

    #[test]
    fn another_pin_credential_or_token_is_a_wrong_pin() {
        let (_, wrapped) = wrapped();
        for (serial, credential, pin) in [
            ("serial", "user", &b"1235"[..]),
            ("serial", "user", b""),
            ("serial", "so", b"1234"),
            ("other", "user", b"1234"),
        ] {
            let error = unwrap(&wrapped, serial, credential, pin).unwrap_err();
            assert_eq!(error, Error::PinIncorrect);
        }
    }

    #[test]
    fn parameters_of_an_edited_file_cannot_exhaust_the_host() {
        for parameters in [
            PinParameters { memory_kib: u32::MAX, ..CHEAP },
            PinParameters { iterations: u32::MAX, ..CHEAP },
            PinParameters { lanes: u32::MAX, ..CHEAP },
            PinParameters { memory_kib: 0, ..CHEAP },
        ] {
            let (_, mut wrapped) = wrapped();
            wrapped.parameters = parameters;
            let error = unwrap(&wrapped, "serial", "user", b"1234").unwrap_err();
            assert!(matches!(error, Error::FunctionFailed(_)), "{parameters:?}");
        }
    }
}
