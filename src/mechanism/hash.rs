//! The hashes.

use crate::types::KeyType;

/// A hash function of FIPS 180-4 or FIPS 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-512/224.
    Sha512_224,
    /// SHA-512/256.
    Sha512_256,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl Hash {
    /// Every hash, in the order of the declaration.
    pub const ALL: [Self; 11] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_224,
        Self::Sha512_256,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// The longest output of any hash, in bytes.
    pub const MAX_OUTPUT_LEN: usize = 64;

    /// What a policy calls HMAC with this hash: KMS's name if it has one (KMS API:
    /// `MacAlgorithmSpec`), else the standard's. `truncated`: not all of the MAC.
    #[must_use]
    pub const fn mac_algorithm(self, truncated: bool) -> &'static str {
        match (self, truncated) {
            (Self::Sha224, false) => "HMAC_SHA_224",
            (Self::Sha256, false) => "HMAC_SHA_256",
            (Self::Sha384, false) => "HMAC_SHA_384",
            (Self::Sha512, false) => "HMAC_SHA_512",
            (Self::Sha1, false) => "CKM_SHA_1_HMAC",
            (Self::Sha512_224, false) => "CKM_SHA512_224_HMAC",
            (Self::Sha512_256, false) => "CKM_SHA512_256_HMAC",
            (Self::Sha3_224, false) => "CKM_SHA3_224_HMAC",
            (Self::Sha3_256, false) => "CKM_SHA3_256_HMAC",
            (Self::Sha3_384, false) => "CKM_SHA3_384_HMAC",
            (Self::Sha3_512, false) => "CKM_SHA3_512_HMAC",
            (Self::Sha1, true) => "CKM_SHA_1_HMAC_GENERAL",
            (Self::Sha224, true) => "CKM_SHA224_HMAC_GENERAL",
            (Self::Sha256, true) => "CKM_SHA256_HMAC_GENERAL",
            (Self::Sha384, true) => "CKM_SHA384_HMAC_GENERAL",
            (Self::Sha512, true) => "CKM_SHA512_HMAC_GENERAL",
            (Self::Sha512_224, true) => "CKM_SHA512_224_HMAC_GENERAL",
            (Self::Sha512_256, true) => "CKM_SHA512_256_HMAC_GENERAL",
            (Self::Sha3_224, true) => "CKM_SHA3_224_HMAC_GENERAL",
            (Self::Sha3_256, true) => "CKM_SHA3_256_HMAC_GENERAL",
            (Self::Sha3_384, true) => "CKM_SHA3_384_HMAC_GENERAL",
            (Self::Sha3_512, true) => "CKM_SHA3_512_HMAC_GENERAL",
        }
    }

    /// The name in FIPS 180-4 or FIPS 202.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Sha512_224 => "SHA-512/224",
            Self::Sha512_256 => "SHA-512/256",
            Self::Sha3_224 => "SHA3-224",
            Self::Sha3_256 => "SHA3-256",
            Self::Sha3_384 => "SHA3-384",
            Self::Sha3_512 => "SHA3-512",
        }
    }

    /// The length of the output in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512_224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha512_256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The length of one input block in bytes.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha224 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 | Self::Sha512_224 | Self::Sha512_256 => 128,
            Self::Sha3_224 => 144,
            Self::Sha3_256 => 136,
            Self::Sha3_384 => 104,
            Self::Sha3_512 => 72,
        }
    }

    /// The key type made for HMAC with this hash.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Sha1 => KeyType::Sha1Hmac,
            Self::Sha224 => KeyType::Sha224Hmac,
            Self::Sha256 => KeyType::Sha256Hmac,
            Self::Sha384 => KeyType::Sha384Hmac,
            Self::Sha512 => KeyType::Sha512Hmac,
            Self::Sha512_224 => KeyType::Sha512_224Hmac,
            Self::Sha512_256 => KeyType::Sha512_256Hmac,
            Self::Sha3_224 => KeyType::Sha3_224Hmac,
            Self::Sha3_256 => KeyType::Sha3_256Hmac,
            Self::Sha3_384 => KeyType::Sha3_384Hmac,
            Self::Sha3_512 => KeyType::Sha3_512Hmac,
        }
    }

    /// Whether HMAC with this hash takes keys of `key_type`.
    #[must_use]
    pub fn accepts(self, key_type: KeyType) -> bool {
        key_type == KeyType::GenericSecret || key_type == self.key_type()
    }
}
