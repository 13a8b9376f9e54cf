//! Message digesting: PKCS#11 v3.2 §5.12.

use super::arg;
use super::session::or_end;
use crate::error::Result;
use crate::module::Module;
use crate::session::Cancel;
use crate::types::{ObjectHandle, SessionHandle};
use cryptoki_sys::*;

/// `C_DigestInit`; a null mechanism ends a digest that is under way.
pub unsafe fn init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
) -> Result<()> {
    // SAFETY: the caller answers for the mechanism.
    match unsafe { arg::optional_mechanism(mechanism) }? {
        Some(mechanism) => module.digest_init(SessionHandle(session), mechanism),
        None => module.session_cancel(SessionHandle(session), &[Cancel::Digest]),
    }
}

/// `C_Digest`.
pub unsafe fn digest(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    digest: *mut CK_BYTE,
    digest_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the data.
    let parsed = unsafe { arg::data(data, data_len) }
        .and_then(|data| Ok((data, arg::OutBuf::new(digest, digest_len)?)));
    let (data, out) = or_end(module, session, Cancel::Digest, parsed)?;
    // SAFETY: the caller answers for the buffer.
    unsafe { out.finish(module.digest(SessionHandle(session), data, out.room())) }
}

/// `C_DigestUpdate`.
pub unsafe fn update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the data.
    let part = or_end(module, session, Cancel::Digest, unsafe { arg::data(part, part_len) })?;
    module.digest_update(SessionHandle(session), part)
}

/// `C_DigestKey`; an error ends the digest.
pub unsafe fn key(
    module: &Module,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let done = module.digest_key(SessionHandle(session), ObjectHandle(key));
    or_end(module, session, Cancel::Digest, done)
}

/// `C_DigestFinal`.
pub unsafe fn finish(
    module: &Module,
    session: CK_SESSION_HANDLE,
    digest: *mut CK_BYTE,
    digest_len: *mut CK_ULONG,
) -> Result<()> {
    let out = or_end(module, session, Cancel::Digest, arg::OutBuf::new(digest, digest_len))?;
    // SAFETY: the caller answers for the buffer.
    unsafe { out.finish(module.digest_final(SessionHandle(session), out.room())) }
}
