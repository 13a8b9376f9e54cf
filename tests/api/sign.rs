//! PKCS#11 3.2 §5.13 and §5.15: MACs made and verified.

use crate::common::*;
use cryptoki_sys::*;

cases! {
    every_hmac_signs_and_verifies,
}

/// A key that every HMAC takes, on SoftHSM2 too.
fn key(s: &Session<'_>) -> CK_OBJECT_HANDLE {
    s.create(&template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_VALUE => [7; 64],
    ])
    .unwrap()
}

/// §6.22.3.
fn every_hmac_signs_and_verifies(w: &World) {
    let s = w.user();
    let key = key(&s);
    for hash in w.hashes() {
        let mac = s.mac(hash.hmac, key, b"message").unwrap();
        assert_eq!(mac.len(), hash.length, "{}", hash.name);
        s.check(hash.hmac, key, b"message", &mac).unwrap();
    }
}
