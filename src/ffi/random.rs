//! Random numbers: PKCS#11 v3.2 §5.21.

use super::arg;
use crate::error::Result;
use crate::module::Module;
use crate::types::SessionHandle;
use cryptoki_sys::*;

/// `C_SeedRandom`.
pub unsafe fn seed(
    module: &Module,
    session: CK_SESSION_HANDLE,
    seed: *mut CK_BYTE,
    seed_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the seed.
    let seed = unsafe { arg::seed(seed, seed_len) }?;
    module.seed_random(SessionHandle(session), seed)
}

/// `C_GenerateRandom`.
pub unsafe fn generate(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the buffer.
    unsafe { arg::fill(out, len, |out| module.generate_random(SessionHandle(session), out)) }
}
