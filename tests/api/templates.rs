//! The objects that the chapters make over and over.

use crate::common::*;
use cryptoki_sys::*;

/// The least that C_CreateObject takes for a secret key.
pub fn least() -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_VALUE => [5; 64],
    ]
}

/// A key that every HMAC takes, on SoftHSM2 too.
pub fn mac_key() -> Template {
    least().and(&template![CKA_SIGN => true, CKA_VERIFY => true])
}

/// A user with such a key.
pub fn with_mac_key(w: &World) -> (Session<'_>, CK_OBJECT_HANDLE) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    (s, key)
}

/// Such a key that stays.
pub fn token_mac_key() -> Template {
    mac_key().with(CKA_TOKEN, true).with(CKA_PRIVATE, true)
}

/// A key that signs, verifies and can be read, whatever the defaults.
pub fn open_key() -> Template {
    mac_key().with(CKA_SENSITIVE, false).with(CKA_EXTRACTABLE, true)
}

/// A key whose value stays.
pub fn closed_key() -> Template {
    mac_key().with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false)
}

/// A data object of the session.
pub fn data(label: &str) -> Template {
    template![CKA_CLASS => CKO_DATA, CKA_LABEL => label, CKA_VALUE => "value"]
}

/// One that stays and that everybody sees.
pub fn public_token_data(label: &str) -> Template {
    data(label).with(CKA_TOKEN, true).with(CKA_PRIVATE, false)
}

/// The attributes of a secret key that SoftHSM2 gives and searches for too.
pub const KEY_ATTRIBUTES: [CK_ATTRIBUTE_TYPE; 26] = [
    CKA_CLASS,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_DERIVE,
    CKA_LOCAL,
    CKA_KEY_GEN_MECHANISM,
    CKA_SENSITIVE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_CHECK_VALUE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_TRUSTED,
    CKA_VALUE_LEN,
];
