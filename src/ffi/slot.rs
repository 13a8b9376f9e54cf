//! Slot and token management: PKCS#11 v3.2 §5.5.

use super::arg;
use super::general::{MANUFACTURER, module_version};
use crate::error::{Error, Result};
use crate::mechanism::{Kind, Row};
use crate::module::Module;
use crate::secret::Pin;
use crate::token::PinState;
use crate::types::{LABEL_LEN, SessionHandle, SlotId, padded};
use cryptoki_sys::*;
use std::os::raw::c_void;

/// The model in `CK_TOKEN_INFO`.
const MODEL: &str = "Signet HMAC";

/// `C_GetSlotList`. Every slot holds a token: the last one a token that waits
/// for `C_InitToken`.
pub unsafe fn list(
    module: &Module,
    _token_present: CK_BBOOL,
    out: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> Result<()> {
    let out = arg::OutBuf::new(out, count)?;
    let slots: Vec<_> = module.slot_list()?.into_iter().map(|slot| slot.0).collect();
    // SAFETY: the caller answers for the buffer.
    unsafe { out.write(&slots) }
}

/// `C_GetSlotInfo`.
pub unsafe fn info(module: &Module, slot: CK_SLOT_ID, out: *mut CK_SLOT_INFO) -> Result<()> {
    let info = module.slot_info(SlotId(slot))?;
    let removable = if info.removable { CKF_REMOVABLE_DEVICE } else { 0 };
    let info = CK_SLOT_INFO {
        slotDescription: padded(&format!("Signet slot {}", info.slot)),
        manufacturerID: padded(MANUFACTURER),
        flags: CKF_TOKEN_PRESENT | removable,
        hardwareVersion: module_version(),
        firmwareVersion: module_version(),
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, info) }
}

/// The flags that tell of one PIN: count low, final try, locked.
fn pin_flags(pin: PinState, flags: [CK_FLAGS; 3]) -> CK_FLAGS {
    if !pin.initialized {
        return 0;
    }
    [pin.is_count_low(), pin.is_final_try(), pin.is_locked()]
        .into_iter()
        .zip(flags)
        .filter_map(|(set, flag)| set.then_some(flag))
        .fold(0, |all, flag| all | flag)
}

/// `C_GetTokenInfo`.
pub unsafe fn token_info(module: &Module, slot: CK_SLOT_ID, out: *mut CK_TOKEN_INFO) -> Result<()> {
    let info = module.token_info(SlotId(slot))?;
    let mut flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED;
    let (mut label, mut serial) = (String::new(), String::new());
    if let Some(token) = info.token {
        flags |= CKF_TOKEN_INITIALIZED;
        flags |= if token.user.initialized { CKF_USER_PIN_INITIALIZED } else { 0 };
        flags |= if token.writable { 0 } else { CKF_WRITE_PROTECTED };
        flags |= pin_flags(
            token.user,
            [CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED],
        );
        flags |= pin_flags(
            token.security_officer,
            [CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED],
        );
        (label, serial) = (token.label, token.serial);
    }
    let info = CK_TOKEN_INFO {
        label: padded(&label),
        manufacturerID: padded(MANUFACTURER),
        model: padded(MODEL),
        serialNumber: padded(&serial),
        flags,
        ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
        ulSessionCount: arg::ulong(info.sessions)?,
        ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
        ulRwSessionCount: arg::ulong(info.read_write_sessions)?,
        ulMaxPinLen: arg::ulong(Pin::MAX_LEN)?,
        ulMinPinLen: arg::ulong(Pin::MIN_LEN)?,
        ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: module_version(),
        firmwareVersion: module_version(),
        // There is no clock on the token (CKF_CLOCK_ON_TOKEN is not set).
        utcTime: padded(""),
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, info) }
}

/// `C_GetMechanismList`.
pub unsafe fn mechanism_list(
    module: &Module,
    slot: CK_SLOT_ID,
    out: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> Result<()> {
    module.slot_info(SlotId(slot))?;
    let out = arg::OutBuf::new(out, count)?;
    let list: Vec<_> = module.mechanisms().map(|row| row.mechanism.to_ck()).collect();
    // SAFETY: the caller answers for the buffer.
    unsafe { out.write(&list) }
}

/// `C_GetMechanismInfo`.
pub unsafe fn mechanism_info(
    module: &Module,
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    out: *mut CK_MECHANISM_INFO,
) -> Result<()> {
    module.slot_info(SlotId(slot))?;
    let row = module.mechanism_info(mechanism)?;
    let (min, max) = row.key_sizes();
    let info = CK_MECHANISM_INFO {
        ulMinKeySize: arg::ulong(min)?,
        ulMaxKeySize: arg::ulong(max)?,
        flags: uses(row),
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, info) }
}

/// What a mechanism can be used for, in the standard's flags.
const fn uses(row: &Row) -> CK_FLAGS {
    match row.kind {
        Kind::Digest(_) => CKF_DIGEST,
        Kind::Hmac(_) | Kind::HmacGeneral(_) => CKF_SIGN | CKF_VERIFY,
        Kind::KeyGen(_) => CKF_GENERATE,
    }
}

/// `C_InitToken`.
pub unsafe fn init_token(
    module: &Module,
    slot: CK_SLOT_ID,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    label: *mut CK_UTF8CHAR,
) -> Result<()> {
    // SAFETY: the caller answers for the PIN and the label.
    let (pin, label) = unsafe { (arg::pin(pin, pin_len)?, arg::padded_text::<LABEL_LEN>(label)?) };
    module.init_token(SlotId(slot), &Pin::copied(pin), &label)
}

/// `C_InitPIN`.
pub unsafe fn init_pin(
    module: &Module,
    session: CK_SESSION_HANDLE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the PIN.
    let pin = unsafe { arg::pin(pin, pin_len) }?;
    module.init_pin(SessionHandle(session), &Pin::copied(pin))
}

/// `C_SetPIN`.
pub unsafe fn set_pin(
    module: &Module,
    session: CK_SESSION_HANDLE,
    old: *mut CK_UTF8CHAR,
    old_len: CK_ULONG,
    new: *mut CK_UTF8CHAR,
    new_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for both PINs.
    let (old, new) = unsafe { (arg::pin(old, old_len)?, arg::pin(new, new_len)?) };
    module.set_pin(SessionHandle(session), &Pin::copied(old), &Pin::copied(new))
}

/// `C_WaitForSlotEvent`. Waiting is not offered, looking is.
pub unsafe fn wait_for_event(
    module: &Module,
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: *mut c_void,
) -> Result<()> {
    if !reserved.is_null() {
        return Err(Error::ArgumentsBad("pReserved is not null"));
    }
    arg::require(slot)?;
    if flags & CKF_DONT_BLOCK == 0 {
        return Err(Error::FunctionNotSupported);
    }
    let event = module.slot_event()?;
    // SAFETY: the caller answers for `slot`.
    unsafe { arg::put(slot, event.0) }
}
