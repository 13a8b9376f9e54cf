//! The catalogue of mechanisms: one row per `CKM_*` that the token offers.
//!
//! Mechanism lists, `C_GetMechanismInfo`, key generation, key checks and the
//! README's table come from [`CATALOGUE`] and from nowhere else.

#![forbid(unsafe_code)]

pub mod answers;
pub mod digest;
mod hash;
pub mod hmac;

pub use hash::Hash;

use crate::error::{Error, Result};
use crate::types::{KeyType, MechanismType, Ulong};

/// The shortest key that is generated, in bytes: 112 bits, the least that
/// SP 800-131A Rev. 2 accepts for HMAC.
pub const GENERATED_KEY_MIN: usize = 14;
/// The longest key that is generated, in bytes.
pub const GENERATED_KEY_MAX: usize = 512;
/// The shortest key that is imported, in bytes (RFC 4231 uses "Jefe").
pub const IMPORTED_KEY_MIN: usize = 1;
/// The longest key that is imported, in bytes.
pub const IMPORTED_KEY_MAX: usize = 65_536;

/// What a mechanism does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `CKM_x`: a message digest.
    Digest(Hash),
    /// `CKM_x_HMAC`: a MAC of the hash's full length (RFC 2104 §2).
    Hmac(Hash),
    /// `CKM_x_HMAC_GENERAL`: a MAC cut to the length in the parameter
    /// (RFC 2104 §5).
    HmacGeneral(Hash),
    /// `CKM_x_KEY_GEN`: a key of this type.
    KeyGen(KeyType),
}

/// The unit in which `C_GetMechanismInfo` states key sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `CKM_GENERIC_SECRET_KEY_GEN` alone (PKCS#11 v3.2 §6.9).
    Bits,
    /// Everything else that takes a key.
    Bytes,
    /// The mechanism takes no key.
    None,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The mechanism.
    pub mechanism: MechanismType,
    /// What it does.
    pub kind: Kind,
    /// Key sizes are stated in this unit.
    pub unit: Unit,
    /// The smallest and the largest key, in bytes.
    pub key_bytes: (usize, usize),
}

impl Row {
    /// `ulMinKeySize` and `ulMaxKeySize`, in the unit of the standard.
    #[must_use]
    pub const fn key_sizes(&self) -> (usize, usize) {
        let factor = match self.unit {
            Unit::Bits => 8,
            Unit::Bytes | Unit::None => 1,
        };
        (self.key_bytes.0 * factor, self.key_bytes.1 * factor)
    }

    const fn invalid(&self) -> Error {
        Error::MechanismInvalid(self.mechanism.to_ck())
    }

    /// The mechanism with this parameter as a digest.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] when it is none,
    /// [`Error::MechanismParamInvalid`] when there is a parameter.
    pub const fn as_digest(&self, parameter: &[u8]) -> Result<Hash> {
        match self.kind {
            Kind::Digest(_) if !parameter.is_empty() => Err(Error::MechanismParamInvalid),
            Kind::Digest(hash) => Ok(hash),
            _ => Err(self.invalid()),
        }
    }

    /// The mechanism with this parameter as a MAC: its hash and the length of its
    /// tags in bytes.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] when it is none; [`Error::MechanismParamInvalid`]
    /// when a full-length HMAC has a parameter, or a general-length one anything
    /// but a `CK_ULONG` from 1 to the hash's length.
    pub fn as_mac(&self, parameter: &[u8]) -> Result<(Hash, usize)> {
        match self.kind {
            Kind::Hmac(_) if !parameter.is_empty() => Err(Error::MechanismParamInvalid),
            Kind::Hmac(hash) => Ok((hash, hash.output_len())),
            Kind::HmacGeneral(hash) => {
                let length = parameter
                    .try_into()
                    .ok()
                    .and_then(|bytes| usize::try_from(Ulong::from_ne_bytes(bytes)).ok())
                    .filter(|length| (1..=hash.output_len()).contains(length))
                    .ok_or(Error::MechanismParamInvalid)?;
                Ok((hash, length))
            }
            Kind::Digest(_) | Kind::KeyGen(_) => Err(self.invalid()),
        }
    }

    /// The mechanism with this parameter as a key generator: the type of its keys.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] when it is none,
    /// [`Error::MechanismParamInvalid`] when there is a parameter.
    pub const fn as_key_gen(&self, parameter: &[u8]) -> Result<KeyType> {
        match self.kind {
            Kind::KeyGen(_) if !parameter.is_empty() => Err(Error::MechanismParamInvalid),
            Kind::KeyGen(key_type) => Ok(key_type),
            _ => Err(self.invalid()),
        }
    }
}

const GENERATED: (usize, usize) = (GENERATED_KEY_MIN, GENERATED_KEY_MAX);
const USED: (usize, usize) = (IMPORTED_KEY_MIN, IMPORTED_KEY_MAX);

const fn row(mechanism: MechanismType, kind: Kind) -> Row {
    let (unit, key_bytes) = match kind {
        Kind::Digest(_) => (Unit::None, (0, 0)),
        Kind::Hmac(_) | Kind::HmacGeneral(_) => (Unit::Bytes, USED),
        Kind::KeyGen(KeyType::GenericSecret) => (Unit::Bits, GENERATED),
        Kind::KeyGen(_) => (Unit::Bytes, GENERATED),
    };
    Row { mechanism, kind, unit, key_bytes }
}

/// The four mechanisms of each hash, behind the one that is of no hash.
macro_rules! catalogue {
    ($($hash:ident: $digest:ident, $hmac:ident, $general:ident, $key_gen:ident;)+) => {
        /// Every mechanism that the token offers.
        pub static CATALOGUE: &[Row] = &[
            row(MechanismType::GenericSecretKeyGen, Kind::KeyGen(KeyType::GenericSecret)),
            $(
                row(MechanismType::$digest, Kind::Digest(Hash::$hash)),
                row(MechanismType::$hmac, Kind::Hmac(Hash::$hash)),
                row(MechanismType::$general, Kind::HmacGeneral(Hash::$hash)),
                row(MechanismType::$key_gen, Kind::KeyGen(KeyType::$hmac)),
            )+
        ];
    };
}

catalogue! {
    Sha1: Sha1, Sha1Hmac, Sha1HmacGeneral, Sha1KeyGen;
    Sha224: Sha224, Sha224Hmac, Sha224HmacGeneral, Sha224KeyGen;
    Sha256: Sha256, Sha256Hmac, Sha256HmacGeneral, Sha256KeyGen;
    Sha384: Sha384, Sha384Hmac, Sha384HmacGeneral, Sha384KeyGen;
    Sha512: Sha512, Sha512Hmac, Sha512HmacGeneral, Sha512KeyGen;
    Sha512_224: Sha512_224, Sha512_224Hmac, Sha512_224HmacGeneral, Sha512_224KeyGen;
    Sha512_256: Sha512_256, Sha512_256Hmac, Sha512_256HmacGeneral, Sha512_256KeyGen;
    Sha3_224: Sha3_224, Sha3_224Hmac, Sha3_224HmacGeneral, Sha3_224KeyGen;
    Sha3_256: Sha3_256, Sha3_256Hmac, Sha3_256HmacGeneral, Sha3_256KeyGen;
    Sha3_384: Sha3_384, Sha3_384Hmac, Sha3_384HmacGeneral, Sha3_384KeyGen;
    Sha3_512: Sha3_512, Sha3_512Hmac, Sha3_512HmacGeneral, Sha3_512KeyGen;
}

/// The row of a mechanism.
#[must_use]
pub fn find(mechanism: MechanismType) -> Option<&'static Row> {
    CATALOGUE.iter().find(|row| row.mechanism == mechanism)
}

/// A caller's mechanism: its number and its parameter, nothing checked yet.
#[derive(Debug, Clone, Copy)]
pub struct RawMechanism<'a> {
    /// `CK_MECHANISM_TYPE`, known to the module or not.
    pub number: Ulong,
    /// The parameter's bytes; empty where the caller gave none.
    pub parameter: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(mechanism: MechanismType, parameter: &[u8]) -> Result<(Hash, usize)> {
        find(mechanism).unwrap().as_mac(parameter)
    }

    #[test]
    fn every_mechanism_has_exactly_one_row() {
        for &mechanism in MechanismType::ALL {
            let rows = CATALOGUE.iter().filter(|row| row.mechanism == mechanism).count();
            assert_eq!(rows, 1, "{mechanism}");
        }
        assert_eq!(CATALOGUE.len(), MechanismType::ALL.len());
    }

    #[test]
    fn generic_key_sizes_are_in_bits_and_typed_ones_in_bytes() {
        assert_eq!(find(MechanismType::GenericSecretKeyGen).unwrap().key_sizes(), (112, 4096));
        assert_eq!(find(MechanismType::Sha256KeyGen).unwrap().key_sizes(), (14, 512));
    }

    #[test]
    fn a_full_length_hmac_takes_no_parameter() {
        let length = 16 as Ulong;
        let parameter = length.to_ne_bytes();
        assert!(mac(MechanismType::Sha256Hmac, &[]).is_ok());
        assert_eq!(
            mac(MechanismType::Sha256Hmac, &parameter).unwrap_err(),
            Error::MechanismParamInvalid
        );
    }

    #[test]
    fn a_general_hmac_takes_a_length_from_one_to_the_hash() {
        let general = |length: Ulong| {
            let parameter = length.to_ne_bytes();
            mac(MechanismType::Sha256HmacGeneral, &parameter).map(|(_, length)| length)
        };
        assert_eq!(general(1).unwrap(), 1);
        assert_eq!(general(32).unwrap(), 32);
        for wrong in [0, 33, Ulong::MAX] {
            assert_eq!(general(wrong).unwrap_err(), Error::MechanismParamInvalid);
        }
        for wrong in [&[][..], &[16], &[0; 16]] {
            assert!(mac(MechanismType::Sha256HmacGeneral, wrong).is_err());
        }
    }

    #[test]
    fn a_mechanism_serves_its_own_kind_only() {
        for row in CATALOGUE {
            let invalid = Some(Error::MechanismInvalid(row.mechanism.to_ck()));
            let refused = [
                (matches!(row.kind, Kind::Digest(_)), row.as_digest(&[]).err()),
                (matches!(row.kind, Kind::KeyGen(_)), row.as_key_gen(&[]).err()),
                (
                    matches!(row.kind, Kind::Hmac(_) | Kind::HmacGeneral(_)),
                    row.as_mac(&(1 as Ulong).to_ne_bytes()).err(),
                ),
            ];
            for (own, error) in refused {
                assert_eq!(own, error != invalid, "{}", row.mechanism);
            }
        }
    }

    #[test]
    fn digests_and_generators_take_no_parameter() {
        let wrong = Error::MechanismParamInvalid;
        let row = |mechanism| find(mechanism).unwrap();
        assert_eq!(row(MechanismType::Sha256).as_digest(&[0]), Err(wrong.clone()));
        assert_eq!(row(MechanismType::Sha256KeyGen).as_key_gen(&[0]), Err(wrong));
    }
}
