//! Object classes, key types and user types that the token knows.

use super::ck_numbers;

ck_numbers! {
    /// `CK_OBJECT_CLASS`: the classes of object that a token can hold.
    ObjectClass {
        Data = CKO_DATA,
        SecretKey = CKO_SECRET_KEY,
    }
}

ck_numbers! {
    /// `CK_KEY_TYPE`: the types of secret key.
    KeyType {
        GenericSecret = CKK_GENERIC_SECRET,
        Sha1Hmac = CKK_SHA_1_HMAC,
        Sha224Hmac = CKK_SHA224_HMAC,
        Sha256Hmac = CKK_SHA256_HMAC,
        Sha384Hmac = CKK_SHA384_HMAC,
        Sha512Hmac = CKK_SHA512_HMAC,
        Sha512_224Hmac = CKK_SHA512_224_HMAC,
        Sha512_256Hmac = CKK_SHA512_256_HMAC,
        Sha3_224Hmac = CKK_SHA3_224_HMAC,
        Sha3_256Hmac = CKK_SHA3_256_HMAC,
        Sha3_384Hmac = CKK_SHA3_384_HMAC,
        Sha3_512Hmac = CKK_SHA3_512_HMAC,
    }
}

ck_numbers! {
    /// `CK_USER_TYPE`: who logs in.
    UserType {
        SecurityOfficer = CKU_SO,
        User = CKU_USER,
        ContextSpecific = CKU_CONTEXT_SPECIFIC,
    }
}
