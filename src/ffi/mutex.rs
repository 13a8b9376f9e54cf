//! The application's own mutex, for one that demands that its functions be
//! used and does not allow the operating system's (PKCS#11 v3.2 §5.4.1, the
//! third combination).
//!
//! Such an application gets what it asks for: one mutex of its making is held
//! during every call, so its calls run one after another. All others use the
//! module's own locks alone.

use crate::error::{Error, Result};
use cryptoki_sys::{CK_C_INITIALIZE_ARGS, CK_RV, CKF_OS_LOCKING_OK, CKR_HOST_MEMORY, CKR_OK};
use std::os::raw::c_void;
use std::ptr;

type Function = unsafe extern "C" fn(*mut c_void) -> CK_RV;

/// A mutex made by the application's functions.
pub struct ApplicationMutex {
    mutex: *mut c_void,
    destroy: Function,
    lock: Function,
    unlock: Function,
}

// SAFETY: the pointer is only ever handed back to the application's functions,
// which exist to be called from several threads.
unsafe impl Send for ApplicationMutex {}
// SAFETY: as above.
unsafe impl Sync for ApplicationMutex {}

impl ApplicationMutex {
    /// The mutex that `args` demand; `None` when they demand none.
    ///
    /// # Errors
    /// [`Error::ArgumentsBad`] when some functions are there and others are not;
    /// [`Error::HostMemory`] or [`Error::FunctionFailed`] when the application
    /// makes no mutex.
    ///
    /// # Safety
    /// The functions in `args` are what the standard says they are.
    pub unsafe fn demanded(args: &CK_C_INITIALIZE_ARGS) -> Result<Option<Self>> {
        let (create, destroy, lock, unlock) =
            match (args.CreateMutex, args.DestroyMutex, args.LockMutex, args.UnlockMutex) {
                (None, None, None, None) => return Ok(None),
                (Some(create), Some(destroy), Some(lock), Some(unlock)) => {
                    (create, destroy, lock, unlock)
                }
                _ => return Err(Error::ArgumentsBad("some mutex functions are missing")),
            };
        if args.flags & CKF_OS_LOCKING_OK != 0 {
            return Ok(None);
        }
        let mut mutex = ptr::null_mut();
        // SAFETY: the caller answers for the function; the place is ours.
        check(unsafe { create(&raw mut mutex) })?;
        Ok(Some(Self { mutex, destroy, lock, unlock }))
    }

    /// Holds the mutex until the answer is dropped.
    ///
    /// # Errors
    /// [`Error::HostMemory`], [`Error::FunctionFailed`].
    pub fn hold(&self) -> Result<Hold<'_>> {
        // SAFETY: the application made the mutex for this function.
        check(unsafe { (self.lock)(self.mutex) })?;
        Ok(Hold(self))
    }
}

impl Drop for ApplicationMutex {
    fn drop(&mut self) {
        // SAFETY: the application made the mutex for this function, and nobody
        // holds it: who does keeps this value alive. Nothing can be done if the
        // application fails to destroy it.
        let _ = unsafe { (self.destroy)(self.mutex) };
    }
}

/// The mutex, held.
pub struct Hold<'a>(&'a ApplicationMutex);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // SAFETY: held since `hold`; as there is nobody to tell, a failure stays
        // the application's.
        let _ = unsafe { (self.0.unlock)(self.0.mutex) };
    }
}

fn check(answer: CK_RV) -> Result<()> {
    match answer {
        CKR_OK => Ok(()),
        CKR_HOST_MEMORY => Err(Error::HostMemory),
        other => Err(Error::FunctionFailed(format!(
            "the application's mutex function answered {other:#x}"
        ))),
    }
}
