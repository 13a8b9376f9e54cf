//! General-purpose functions: PKCS#11 v3.2 §5.4.

use super::mutex::ApplicationMutex;
use super::{arg, instance, table};
use crate::error::{Error, Result};
use crate::module::Module;
use crate::types::padded;
use cryptoki_sys::*;
use std::ffi::CStr;
use std::os::raw::c_void;
use std::ptr;

/// The maker, in every structure that names one.
pub const MANUFACTURER: &str = "Signet";
/// The version of the standard that the module implements.
const CRYPTOKI_VERSION: CK_VERSION = CK_VERSION { major: 3, minor: 2 };

/// The module's own version.
pub fn module_version() -> CK_VERSION {
    let number = |text: &str| text.parse().unwrap_or(0);
    CK_VERSION {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
    }
}

/// `C_Initialize`. All four combinations of locking demands are met; see
/// [`ApplicationMutex`] for the third. The module creates no threads.
pub unsafe fn initialize(args: *mut c_void) -> Result<()> {
    // SAFETY: a non-null argument is a CK_C_INITIALIZE_ARGS, by the caller's word.
    let args = unsafe { arg::optional(args.cast::<CK_C_INITIALIZE_ARGS>()) };
    let Some(args) = args else { return instance::initialize(None) };
    if !args.pReserved.is_null() {
        return Err(Error::ArgumentsBad("pReserved is not null"));
    }
    // SAFETY: the caller answers for its functions.
    let mutex = unsafe { ApplicationMutex::demanded(&args) }?;
    instance::initialize(mutex)
}

/// `C_Finalize`.
pub unsafe fn finalize(reserved: *mut c_void) -> Result<()> {
    drop(instance::current()?);
    if !reserved.is_null() {
        return Err(Error::ArgumentsBad("pReserved is not null"));
    }
    instance::finalize()
}

/// `C_GetInfo`.
pub unsafe fn info(_: &Module, out: *mut CK_INFO) -> Result<()> {
    let info = CK_INFO {
        cryptokiVersion: CRYPTOKI_VERSION,
        manufacturerID: padded(MANUFACTURER),
        flags: 0,
        libraryDescription: padded("Signet PKCS#11 module"),
        libraryVersion: module_version(),
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, info) }
}

/// `C_GetFunctionList`: version 2.40.
pub unsafe fn function_list(out: *mut *mut CK_FUNCTION_LIST) -> Result<()> {
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, (&raw const table::V2_40).cast_mut()) }
}

/// The interfaces, the preferred one first.
struct Interfaces([CK_INTERFACE; 3]);

// SAFETY: the pointers lead to immutable statics, and nothing writes through them.
unsafe impl Sync for Interfaces {}

const NAME: &CStr = c"PKCS 11";

const fn interface_of(list: *const c_void) -> CK_INTERFACE {
    CK_INTERFACE {
        pInterfaceName: NAME.as_ptr().cast_mut().cast(),
        pFunctionList: list.cast_mut(),
        // A forked child must initialise again, so CKF_INTERFACE_FORK_SAFE is not set.
        flags: 0,
    }
}

static INTERFACES: Interfaces = Interfaces([
    interface_of((&raw const table::V3_2).cast()),
    interface_of((&raw const table::V3_0).cast()),
    interface_of((&raw const table::V2_40).cast()),
]);

const VERSIONS: [CK_VERSION; 3] =
    [CRYPTOKI_VERSION, CK_VERSION { major: 3, minor: 0 }, CK_VERSION { major: 2, minor: 40 }];

/// `C_GetInterfaceList`.
pub unsafe fn interface_list(out: *mut CK_INTERFACE, count: *mut CK_ULONG) -> Result<()> {
    let out = arg::OutBuf::new(out, count)?;
    // SAFETY: the caller answers for the buffer.
    unsafe { out.write(&INTERFACES.0) }
}

/// `C_GetInterface`: of this name, version and flags; null stands for any, and
/// the newest is preferred.
pub unsafe fn interface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    out: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> Result<()> {
    arg::require(out)?;
    // SAFETY: a non-null name is a C string, by the caller's word.
    let known = name.is_null() || unsafe { arg::c_string_equals(name, NAME) };
    // SAFETY: the caller answers for `version`.
    let version = unsafe { arg::optional(version) };
    let index = VERSIONS.iter().position(|has| {
        version.is_none_or(|asked| (asked.major, asked.minor) == (has.major, has.minor))
    });
    let interface = match index {
        // No flag is set on any interface, so a demand for one is not met.
        Some(index) if known && flags == 0 => &raw const INTERFACES.0[index],
        _ => ptr::null(),
    };
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, interface.cast_mut()) }?;
    if interface.is_null() {
        return Err(Error::ArgumentsBad("no such interface"));
    }
    Ok(())
}
