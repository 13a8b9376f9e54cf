//! Signing and verifying MACs: PKCS#11 v3.2 §5.13 and §5.15.

use super::arg;
use super::session::or_end;
use crate::error::Result;
use crate::module::{Module, Signing};
use crate::session::{Cancel, Purpose};
use crate::types::{ObjectHandle, SessionHandle};
use cryptoki_sys::*;

/// Any of the three `…Init` functions; a null mechanism ends the operation
/// that is under way.
unsafe fn init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signing: Signing<'_>,
) -> Result<()> {
    let session = SessionHandle(session);
    // SAFETY: the caller answers for the mechanism.
    let mechanism = unsafe { arg::optional_mechanism(mechanism) };
    match mechanism {
        Ok(Some(mechanism)) => module.mac_init(session, signing, mechanism, ObjectHandle(key)),
        Ok(None) => {
            let cancel = match signing {
                Signing::Sign => Cancel::SIGN,
                Signing::Verify | Signing::VerifySignature(_) => Cancel::VERIFY,
            };
            module.session_cancel(session, cancel)
        }
        Err(error) => {
            module.require_session(session)?;
            Err(error)
        }
    }
}

/// `C_SignInit`.
pub unsafe fn sign_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the same contract.
    unsafe { init(module, session, mechanism, key, Signing::Sign) }
}

/// `C_Sign`.
pub unsafe fn sign(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the data.
    let parsed = unsafe { arg::data(data, data_len) }
        .and_then(|data| Ok((data, arg::OutBuf::new(signature, signature_len)?)));
    let (data, out) = or_end(module, session, Cancel::Mac(Purpose::Sign), parsed)?;
    // SAFETY: the caller answers for the buffer.
    unsafe { out.finish(module.sign(SessionHandle(session), data, out.room())) }
}

/// `C_SignUpdate`.
pub unsafe fn sign_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the same contract.
    unsafe { update(module, session, Purpose::Sign, part, part_len) }
}

/// `C_SignFinal`.
pub unsafe fn sign_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> Result<()> {
    let parsed = arg::OutBuf::new(signature, signature_len);
    let out = or_end(module, session, Cancel::Mac(Purpose::Sign), parsed)?;
    // SAFETY: the caller answers for the buffer.
    unsafe { out.finish(module.sign_final(SessionHandle(session), out.room())) }
}

/// `C_VerifyInit`.
pub unsafe fn verify_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the same contract.
    unsafe { init(module, session, mechanism, key, Signing::Verify) }
}

/// `C_Verify`.
pub unsafe fn verify(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for data and signature.
    let parsed = unsafe { arg::data(data, data_len) }
        // SAFETY: as above.
        .and_then(|data| Ok((data, unsafe { arg::signature(signature, signature_len) }?)));
    let (data, signature) = or_end(module, session, Cancel::Mac(Purpose::Verify), parsed)?;
    module.verify(SessionHandle(session), data, signature)
}

/// `C_VerifyUpdate`.
pub unsafe fn verify_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the same contract.
    unsafe { update(module, session, Purpose::Verify, part, part_len) }
}

/// `C_VerifyFinal`.
pub unsafe fn verify_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the signature.
    let parsed = unsafe { arg::signature(signature, signature_len) };
    let signature = or_end(module, session, Cancel::Mac(Purpose::Verify), parsed)?;
    module.verify_final(SessionHandle(session), signature)
}

/// `C_VerifySignatureInit`.
pub unsafe fn verify_signature_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    let signature = if mechanism.is_null() {
        &[]
    } else {
        // SAFETY: the caller answers for the signature.
        unsafe { arg::signature(signature, signature_len) }?
    };
    // SAFETY: the same contract.
    unsafe { init(module, session, mechanism, key, Signing::VerifySignature(signature)) }
}

/// `C_VerifySignature`.
pub unsafe fn verify_signature(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the data.
    let parsed = unsafe { arg::data(data, data_len) };
    let data = or_end(module, session, Cancel::Mac(Purpose::VerifySignature), parsed)?;
    module.verify_signature(SessionHandle(session), data)
}

/// `C_VerifySignatureUpdate`.
pub unsafe fn verify_signature_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the same contract.
    unsafe { update(module, session, Purpose::VerifySignature, part, part_len) }
}

/// `C_VerifySignatureFinal`.
pub unsafe fn verify_signature_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.verify_signature_final(SessionHandle(session))
}

/// Any of the three `…Update` functions.
unsafe fn update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    purpose: Purpose,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the data.
    let part = or_end(module, session, Cancel::Mac(purpose), unsafe { arg::data(part, part_len) })?;
    module.mac_update(SessionHandle(session), purpose, part)
}
