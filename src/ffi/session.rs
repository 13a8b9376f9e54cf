//! Session management: PKCS#11 v3.2 §5.6; relics of parallel sessions: §5.22.

use super::arg;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::policy::Principal;
use crate::secret::Pin;
use crate::session::Cancel;
use crate::types::{SessionHandle, SlotId, UserType};
use cryptoki_sys::*;
use std::os::raw::c_void;

/// `C_OpenSession`. There are no slot events to call back about, so the
/// application's callback is accepted and never called.
pub unsafe fn open(
    module: &Module,
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> Result<()> {
    arg::require(session)?;
    if flags & CKF_SERIAL_SESSION == 0 {
        return Err(Error::SessionParallelNotSupported);
    }
    if flags & CKF_ASYNC_SESSION != 0 {
        return Err(Error::SessionAsyncNotSupported);
    }
    let handle = module.open_session(SlotId(slot), flags & CKF_RW_SESSION != 0)?;
    // SAFETY: the caller answers for `session`.
    unsafe { arg::put(session, handle.0) }
}

/// `C_CloseSession`.
pub unsafe fn close(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.close_session(SessionHandle(session))
}

/// `C_CloseAllSessions`.
pub unsafe fn close_all(module: &Module, slot: CK_SLOT_ID) -> Result<()> {
    module.close_all_sessions(SlotId(slot))
}

/// `C_GetSessionInfo`.
pub unsafe fn info(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_SESSION_INFO,
) -> Result<()> {
    let info = module.session_info(SessionHandle(session))?;
    let state = match (info.principal, info.read_write) {
        (Principal::Public, false) => CKS_RO_PUBLIC_SESSION,
        (Principal::Public, true) => CKS_RW_PUBLIC_SESSION,
        (Principal::Owner | Principal::Named(_), false) => CKS_RO_USER_FUNCTIONS,
        (Principal::Owner | Principal::Named(_), true) => CKS_RW_USER_FUNCTIONS,
        (Principal::SecurityOfficer, _) => CKS_RW_SO_FUNCTIONS,
    };
    let info = CK_SESSION_INFO {
        slotID: info.slot.0,
        state,
        flags: CKF_SERIAL_SESSION | if info.read_write { CKF_RW_SESSION } else { 0 },
        ulDeviceError: 0,
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, info) }
}

/// `C_Login`.
pub unsafe fn login(
    module: &Module,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> Result<()> {
    let user = UserType::from_ck(user).ok_or(Error::UserTypeInvalid)?;
    // SAFETY: the caller answers for the PIN.
    let pin = unsafe { arg::pin(pin, pin_len) }?;
    module.login(SessionHandle(session), user, &Pin::copied(pin))
}

/// `C_LoginUser`. No name is an empty one.
pub unsafe fn login_user(
    module: &Module,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    name: *mut CK_UTF8CHAR,
    name_len: CK_ULONG,
) -> Result<()> {
    let user = UserType::from_ck(user).ok_or(Error::UserTypeInvalid)?;
    // SAFETY: the caller answers for the PIN and the name.
    let (pin, name) = unsafe { (arg::pin(pin, pin_len)?, arg::user_name(name, name_len)?) };
    let name = String::from_utf8_lossy(name);
    module.login_user(SessionHandle(session), user, &name, &Pin::copied(pin))
}

/// `C_Logout`.
pub unsafe fn logout(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.logout(SessionHandle(session))
}

/// `C_SessionCancel`. Flags of operations that the token does not offer name
/// nothing that could be under way.
pub unsafe fn cancel(module: &Module, session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> Result<()> {
    let named: [(CK_FLAGS, &[Cancel]); 4] = [
        (CKF_DIGEST, &[Cancel::Digest]),
        (CKF_FIND_OBJECTS, &[Cancel::Search]),
        (CKF_SIGN, Cancel::SIGN),
        (CKF_VERIFY, Cancel::VERIFY),
    ];
    let what: Vec<_> = named
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .flat_map(|(_, operations)| operations.iter().copied())
        .collect();
    module.session_cancel(SessionHandle(session), &what)
}

/// A call that fails for its arguments ends the operation, as every call does
/// that neither asks for the length nor lacks room (§5.12.2, §5.13.2, §5.15.2).
pub fn or_end<T>(
    module: &Module,
    session: CK_SESSION_HANDLE,
    operation: Cancel,
    parsed: Result<T>,
) -> Result<T> {
    if parsed.is_err() {
        module.session_cancel(SessionHandle(session), &[operation])?;
    }
    parsed
}

/// `C_GetFunctionStatus`.
pub unsafe fn function_status(_module: &Module, _session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Error::FunctionNotParallel)
}

/// `C_CancelFunction`.
pub unsafe fn cancel_function(_module: &Module, _session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Error::FunctionNotParallel)
}
