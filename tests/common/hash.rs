//! The hashes of the module, with the standard's numbers for what each serves.

use cryptoki_sys::*;

/// One hash and its mechanisms and key type.
#[derive(Debug)]
pub struct Hash {
    pub name: &'static str,
    /// The length of a digest, and of a full MAC, in bytes.
    pub length: usize,
    pub digest: CK_MECHANISM_TYPE,
    pub hmac: CK_MECHANISM_TYPE,
    pub general: CK_MECHANISM_TYPE,
    pub key_gen: CK_MECHANISM_TYPE,
    pub key_type: CK_KEY_TYPE,
}

macro_rules! hashes {
    ($($name:literal $length:literal $digest:ident $hmac:ident $general:ident $key_gen:ident $key_type:ident;)+) => {
        /// Every hash that the module offers.
        pub const HASHES: &[Hash] = &[$(Hash {
            name: $name,
            length: $length,
            digest: $digest,
            hmac: $hmac,
            general: $general,
            key_gen: $key_gen,
            key_type: $key_type,
        },)+];
    };
}

hashes! {
    "SHA-1" 20 CKM_SHA_1 CKM_SHA_1_HMAC CKM_SHA_1_HMAC_GENERAL CKM_SHA_1_KEY_GEN CKK_SHA_1_HMAC;
    "SHA-224" 28 CKM_SHA224 CKM_SHA224_HMAC CKM_SHA224_HMAC_GENERAL CKM_SHA224_KEY_GEN CKK_SHA224_HMAC;
    "SHA-256" 32 CKM_SHA256 CKM_SHA256_HMAC CKM_SHA256_HMAC_GENERAL CKM_SHA256_KEY_GEN CKK_SHA256_HMAC;
    "SHA-384" 48 CKM_SHA384 CKM_SHA384_HMAC CKM_SHA384_HMAC_GENERAL CKM_SHA384_KEY_GEN CKK_SHA384_HMAC;
    "SHA-512" 64 CKM_SHA512 CKM_SHA512_HMAC CKM_SHA512_HMAC_GENERAL CKM_SHA512_KEY_GEN CKK_SHA512_HMAC;
    "SHA-512/224" 28 CKM_SHA512_224 CKM_SHA512_224_HMAC CKM_SHA512_224_HMAC_GENERAL CKM_SHA512_224_KEY_GEN CKK_SHA512_224_HMAC;
    "SHA-512/256" 32 CKM_SHA512_256 CKM_SHA512_256_HMAC CKM_SHA512_256_HMAC_GENERAL CKM_SHA512_256_KEY_GEN CKK_SHA512_256_HMAC;
    "SHA3-224" 28 CKM_SHA3_224 CKM_SHA3_224_HMAC CKM_SHA3_224_HMAC_GENERAL CKM_SHA3_224_KEY_GEN CKK_SHA3_224_HMAC;
    "SHA3-256" 32 CKM_SHA3_256 CKM_SHA3_256_HMAC CKM_SHA3_256_HMAC_GENERAL CKM_SHA3_256_KEY_GEN CKK_SHA3_256_HMAC;
    "SHA3-384" 48 CKM_SHA3_384 CKM_SHA3_384_HMAC CKM_SHA3_384_HMAC_GENERAL CKM_SHA3_384_KEY_GEN CKK_SHA3_384_HMAC;
    "SHA3-512" 64 CKM_SHA3_512 CKM_SHA3_512_HMAC CKM_SHA3_512_HMAC_GENERAL CKM_SHA3_512_KEY_GEN CKK_SHA3_512_HMAC;
}
