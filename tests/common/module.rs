//! A PKCS#11 module loaded from a file, and the calls that need no session.

use super::{Ckr, Rv, ck};
use cryptoki_sys::*;
use libloading::{Library, Symbol};
use std::ffi::c_void;
use std::mem::{ManuallyDrop, zeroed};
use std::path::Path;
use std::ptr::null_mut;

/// The list of PKCS#11 2.40.
pub type FunctionListV2 = CK_FUNCTION_LIST;

/// The list of PKCS#11 3.2.
pub type FunctionListV3 = CK_FUNCTION_LIST_3_2;

/// A loaded module.
pub struct Module {
    /// Kept loaded until the process ends, as most applications do.
    library: ManuallyDrop<Library>,
    functions: *const FunctionListV2,
}

// SAFETY: the list is memory of the module that nobody writes, and the module
// stays loaded.
unsafe impl Sync for Module {}
// SAFETY: as above.
unsafe impl Send for Module {}

impl Module {
    /// Loads the module and asks it for its 2.40 function list.
    pub fn load(path: &Path) -> Self {
        // SAFETY: the module under test runs its initialisers, which is the point.
        let library = unsafe { Library::new(path) }
            .unwrap_or_else(|error| panic!("cannot load {}: {error}", path.display()));
        let mut functions = null_mut();
        // SAFETY: the symbol has the standard's type.
        let rv = unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut *mut FunctionListV2) -> CK_RV> =
                library.get(b"C_GetFunctionList\0").expect("C_GetFunctionList is exported");
            get(&mut functions)
        };
        Ckr::check(rv).expect("C_GetFunctionList");
        assert!(!functions.is_null(), "C_GetFunctionList gave no list");
        Self { library: ManuallyDrop::new(library), functions }
    }

    /// The 2.40 function list.
    pub fn v2(&self) -> &FunctionListV2 {
        // SAFETY: checked non-null when loaded; the module stays loaded.
        unsafe { &*self.functions }
    }

    /// The 3.2 function list.
    pub fn v3(&self) -> &FunctionListV3 {
        let list = self.interface(Some(c"PKCS 11"), Some((3, 2)), 0).expect("interface 3.2");
        // SAFETY: an interface "PKCS 11" of version 3.2 has this list.
        unsafe { &*list.pFunctionList.cast::<FunctionListV3>() }
    }

    /// An exported function by name, as `dlsym` finds it.
    ///
    /// # Safety
    /// `F` must be the function's type.
    pub unsafe fn symbol<F: Copy>(&self, name: &str) -> Option<F> {
        // SAFETY: the caller vouches for the type.
        unsafe { self.library.get::<F>(format!("{name}\0").as_bytes()).ok().map(|symbol| *symbol) }
    }

    /// Unloads the module.
    pub fn unload(mut self) {
        // SAFETY: `self` is consumed, so the library is not used again.
        let library = unsafe { ManuallyDrop::take(&mut self.library) };
        library.close().expect("dlclose");
    }

    /// `C_GetInterface`.
    pub fn interface(
        &self,
        name: Option<&std::ffi::CStr>,
        version: Option<(u8, u8)>,
        flags: CK_FLAGS,
    ) -> Rv<CK_INTERFACE> {
        type GetInterface = unsafe extern "C" fn(
            *mut CK_UTF8CHAR,
            *mut CK_VERSION,
            *mut *mut CK_INTERFACE,
            CK_FLAGS,
        ) -> CK_RV;
        // SAFETY: the symbol has the standard's type.
        let get = unsafe { self.symbol::<GetInterface>("C_GetInterface") }
            .expect("the module exports no C_GetInterface");
        let mut version = version.map(|(major, minor)| CK_VERSION { major, minor });
        let mut interface = null_mut();
        // SAFETY: every pointer is null or leads to a live value.
        Ckr::check(unsafe {
            get(
                name.map_or(null_mut(), |name| name.as_ptr().cast_mut().cast()),
                version.as_mut().map_or(null_mut(), |version| version),
                &mut interface,
                flags,
            )
        })?;
        assert!(!interface.is_null(), "CKR_OK without an interface");
        // SAFETY: non-null, and owned by the module, which stays loaded.
        Ok(unsafe { *interface })
    }

    /// `C_Initialize` as a program with threads calls it.
    pub fn initialize(&self) -> Rv {
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..no_arguments() };
        self.initialize_with(&mut arguments)
    }

    /// `C_Initialize` with these arguments.
    pub fn initialize_with(&self, arguments: &mut CK_C_INITIALIZE_ARGS) -> Rv {
        ck!(self, C_Initialize((&raw mut *arguments).cast::<c_void>()))
    }

    /// `C_Finalize`.
    pub fn finalize(&self) -> Rv {
        ck!(self, C_Finalize(null_mut()))
    }

    /// `C_GetSlotList`: asks for the count, then for the list.
    pub fn slots(&self, token_present: bool) -> Rv<Vec<CK_SLOT_ID>> {
        let present = CK_BBOOL::from(token_present);
        let mut count = 0;
        ck!(self, C_GetSlotList(present, null_mut(), &mut count))?;
        let mut slots = vec![0; count as usize];
        ck!(self, C_GetSlotList(present, slots.as_mut_ptr(), &mut count))?;
        slots.truncate(count as usize);
        Ok(slots)
    }

    /// `C_GetSlotInfo`.
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Rv<CK_SLOT_INFO> {
        // SAFETY: plain data, for which zeroes are values.
        let mut info = unsafe { zeroed() };
        ck!(self, C_GetSlotInfo(slot, &mut info))?;
        Ok(info)
    }

    /// `C_GetTokenInfo`.
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Rv<CK_TOKEN_INFO> {
        // SAFETY: plain data, for which zeroes are values.
        let mut info = unsafe { zeroed() };
        ck!(self, C_GetTokenInfo(slot, &mut info))?;
        Ok(info)
    }

    /// The flags of `C_GetTokenInfo`.
    pub fn token_flags(&self, slot: CK_SLOT_ID) -> CK_FLAGS {
        self.token_info(slot).unwrap().flags
    }

    /// `C_GetMechanismList`.
    pub fn mechanisms(&self, slot: CK_SLOT_ID) -> Rv<Vec<CK_MECHANISM_TYPE>> {
        let mut count = 0;
        ck!(self, C_GetMechanismList(slot, null_mut(), &mut count))?;
        let mut mechanisms = vec![0; count as usize];
        ck!(self, C_GetMechanismList(slot, mechanisms.as_mut_ptr(), &mut count))?;
        mechanisms.truncate(count as usize);
        Ok(mechanisms)
    }

    /// `C_GetMechanismInfo`.
    pub fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        mechanism: CK_MECHANISM_TYPE,
    ) -> Rv<CK_MECHANISM_INFO> {
        // SAFETY: plain data, for which zeroes are values.
        let mut info = unsafe { zeroed() };
        ck!(self, C_GetMechanismInfo(slot, mechanism, &mut info))?;
        Ok(info)
    }

    /// `C_InitToken`, the label padded with blanks.
    pub fn init_token(&self, slot: CK_SLOT_ID, so_pin: &str, label: &str) -> Rv {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        let (pin, length) = (so_pin.as_ptr().cast_mut(), so_pin.len() as CK_ULONG);
        ck!(self, C_InitToken(slot, pin, length, padded.as_mut_ptr()))
    }

    /// The first slot that waits for a token to be made.
    pub fn empty_slot(&self) -> CK_SLOT_ID {
        let waits = |slot: &CK_SLOT_ID| self.token_flags(*slot) & CKF_TOKEN_INITIALIZED == 0;
        self.slots(true).unwrap().into_iter().find(waits).expect("no empty slot is offered")
    }

    /// The slot of the token with this label.
    pub fn slot_of(&self, label: &str) -> CK_SLOT_ID {
        let named = |slot: &CK_SLOT_ID| {
            let info = self.token_info(*slot).unwrap();
            info.flags & CKF_TOKEN_INITIALIZED != 0
                && String::from_utf8_lossy(&info.label).trim_end() == label
        };
        self.slots(true).unwrap().into_iter().find(named).expect("no token has this label")
    }

    /// `C_CloseAllSessions`.
    pub fn close_all(&self, slot: CK_SLOT_ID) -> Rv {
        ck!(self, C_CloseAllSessions(slot))
    }
}

/// `CK_C_INITIALIZE_ARGS` with nothing set.
pub fn no_arguments() -> CK_C_INITIALIZE_ARGS {
    CK_C_INITIALIZE_ARGS {
        CreateMutex: None,
        DestroyMutex: None,
        LockMutex: None,
        UnlockMutex: None,
        flags: 0,
        pReserved: null_mut(),
    }
}
