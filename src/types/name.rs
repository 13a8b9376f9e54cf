//! The standard's names of what other tokens hold and this one may not.

use super::Ulong;

/// Declares a function from numbers to the standard's names.
macro_rules! names {
    ($(#[$meta:meta])* $function:ident: $($constant:ident)+) => {
        $(#[$meta])*
        #[must_use]
        pub const fn $function(number: Ulong) -> Option<&'static str> {
            match number {
                $(cryptoki_sys::$constant => Some(stringify!($constant)),)+
                _ => None,
            }
        }
    };
}

names! {
    /// The name of a `CK_OBJECT_CLASS`, whether the token holds such objects or not.
    class_name:
    CKO_DATA CKO_CERTIFICATE CKO_PUBLIC_KEY CKO_PRIVATE_KEY CKO_SECRET_KEY CKO_HW_FEATURE
    CKO_DOMAIN_PARAMETERS CKO_MECHANISM CKO_OTP_KEY CKO_PROFILE
}

names! {
    /// The name of a `CK_KEY_TYPE`, whether the token holds such keys or not.
    key_type_name:
    CKK_RSA CKK_DSA CKK_DH CKK_EC CKK_X9_42_DH CKK_GENERIC_SECRET CKK_RC2 CKK_RC4 CKK_DES CKK_DES2
    CKK_DES3 CKK_AES CKK_BLOWFISH CKK_TWOFISH CKK_HOTP CKK_CAMELLIA CKK_ARIA CKK_MD5_HMAC
    CKK_SHA_1_HMAC CKK_SHA224_HMAC CKK_SHA256_HMAC CKK_SHA384_HMAC CKK_SHA512_HMAC
    CKK_SHA512_224_HMAC CKK_SHA512_256_HMAC CKK_SHA3_224_HMAC CKK_SHA3_256_HMAC CKK_SHA3_384_HMAC
    CKK_SHA3_512_HMAC CKK_SEED CKK_GOSTR3410 CKK_GOSTR3411 CKK_GOST28147 CKK_CHACHA20 CKK_POLY1305
    CKK_AES_XTS CKK_EC_EDWARDS CKK_EC_MONTGOMERY CKK_HKDF CKK_ML_KEM CKK_ML_DSA CKK_SLH_DSA
}

names! {
    /// The name of a `CK_ATTRIBUTE_TYPE` that secret keys and data may have elsewhere
    /// and not here.
    attribute_name:
    CKA_DERIVE_TEMPLATE CKA_UNWRAP_TEMPLATE CKA_WRAP_TEMPLATE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AttributeType, KeyType, ObjectClass};

    #[test]
    fn what_the_token_holds_has_its_own_name_here_too() {
        for class in ObjectClass::ALL {
            assert_eq!(class_name(class.to_ck()), Some(class.name()));
        }
        for key_type in KeyType::ALL {
            assert_eq!(key_type_name(key_type.to_ck()), Some(key_type.name()));
        }
    }

    #[test]
    fn attributes_named_here_are_not_held() {
        let held = |name| AttributeType::ALL.iter().any(|held| held.name() == name);
        // The last is a vendor's.
        for number in [0x4000_0211, 0x4000_0212, 0x4000_0213, 0x8000_5349] {
            assert!(!attribute_name(number).is_some_and(held));
        }
        assert_eq!(attribute_name(0x4000_0211), Some("CKA_WRAP_TEMPLATE"));
    }
}
