//! Key management: PKCS#11 v3.2 §5.18.

use super::arg;
use crate::error::Result;
use crate::module::Module;
use crate::types::SessionHandle;
use cryptoki_sys::*;

/// `C_GenerateKey`.
pub unsafe fn generate(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    arg::require(key)?;
    // SAFETY: the caller answers for mechanism and template.
    let (mechanism, template) =
        unsafe { (arg::mechanism(mechanism)?, arg::template(template, count)?) };
    let new = module.generate_key(SessionHandle(session), mechanism, &template)?;
    // SAFETY: the caller answers for `key`.
    unsafe { arg::put(key, new.0) }
}
