//! PKCS#11 3.2 §5.4: general-purpose functions.

use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

cases! {
    second_initialise_is_refused,
}

/// §5.4.1: CKR_CRYPTOKI_ALREADY_INITIALIZED.
fn second_initialise_is_refused(w: &World) {
    let module = w.start();
    refused(module.initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    refused(ck!(module, C_Initialize(null_mut())), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    module.finalize().unwrap();
    module.initialize().unwrap();
}
