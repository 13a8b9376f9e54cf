//! PKCS#11 3.2 §5.4: general-purpose functions, and what is true of every function.

use crate::common::*;
use cryptoki_sys::*;
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::{size_of, zeroed};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

const TWO_FORTY_ONLY: Reference =
    departs("exports no C_GetInterface", "SoftHSM2 2.6 speaks PKCS#11 2.40 alone");

cases! {
    second_initialise_is_refused,
    initialise_works_again_after_finalise,
    initialise_takes_null,
    initialise_refuses_reserved_pointer,
    initialise_takes_no_locking,
    initialise_takes_operating_system_locking,
    initialise_uses_or_refuses_the_applications_mutexes,
    initialise_takes_either_kind_of_locking,
    initialise_refuses_some_of_the_mutex_functions,
    initialise_takes_the_no_threads_flag,
    finalise_refuses_reserved_pointer_and_changes_nothing,
    finalise_without_initialise_is_refused,
    finalise_ends_sessions_and_logins,
    handles_stay_dead_after_finalise,
    process_may_end_without_finalise
        softhsm2: departs("SIGSEGV", "SoftHSM2's destructors use the mutexes once more"),
    info_names_the_library,
    info_refuses_null,
    function_list_is_two_forty_and_full,
    function_list_refuses_null,
    every_function_is_exported softhsm2: TWO_FORTY_ONLY_BY_SYMBOL,
    every_listed_function_is_the_exported_one softhsm2: TWO_FORTY_ONLY,
    only_the_standards_functions_are_exported
        softhsm2: departs("_Z", "SoftHSM2 exports its C++ symbols too"),
    every_function_waits_for_initialise
        softhsm2: departs("C_WaitForSlotEvent", "SoftHSM2's stubs do not look"),
    functions_not_offered_say_so
        softhsm2: departs("C_EncryptInit", "SoftHSM2 offers encryption, key pairs and the like"),
    legacy_parallel_functions_say_not_parallel,
    interface_list_counts_and_fills softhsm2: TWO_FORTY_ONLY_BY_SYMBOL,
    interface_lists_have_every_function softhsm2: TWO_FORTY_ONLY,
    interfaces_are_chosen_by_name_and_version softhsm2: TWO_FORTY_ONLY,
    unknown_interfaces_are_refused softhsm2: TWO_FORTY_ONLY,
    interface_refuses_null softhsm2: TWO_FORTY_ONLY_BY_SYMBOL,
    module_can_be_unloaded_and_loaded_again,
}

const TWO_FORTY_ONLY_BY_SYMBOL: Reference =
    departs("C_GetInterfaceList", "SoftHSM2 2.6 speaks PKCS#11 2.40 alone");

/// §5.4.1: CKR_CRYPTOKI_ALREADY_INITIALIZED.
fn second_initialise_is_refused(w: &World) {
    let module = w.start();
    refused(module.initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    refused(ck!(module, C_Initialize(null_mut())), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    module.slots(false).unwrap();
}

/// §5.4.2: every C_Initialize is followed by a C_Finalize, as often as one likes.
fn initialise_works_again_after_finalise(w: &World) {
    for _ in 0..10 {
        w.start().finalize().unwrap();
    }
}

/// §5.4.1: NULL_PTR means no locking.
fn initialise_takes_null(w: &World) {
    ck!(w.module(), C_Initialize(null_mut())).unwrap();
    w.module().finalize().unwrap();
}

/// §5.4.1: pReserved MUST be NULL_PTR.
fn initialise_refuses_reserved_pointer(w: &World) {
    let mut something = 0_u8;
    let mut arguments = no_arguments();
    arguments.pReserved = (&raw mut something).cast::<c_void>();
    refused(w.module().initialize_with(&mut arguments), CKR_ARGUMENTS_BAD);
    refused(w.module().slots(false), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/// §5.4.1, combination 1: one thread.
fn initialise_takes_no_locking(w: &World) {
    w.module().initialize_with(&mut no_arguments()).unwrap();
}

/// §5.4.1, combination 2.
fn initialise_takes_operating_system_locking(w: &World) {
    let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..no_arguments() };
    w.module().initialize_with(&mut arguments).unwrap();
}

static LOCKS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn create_mutex(mutex: *mut *mut c_void) -> CK_RV {
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
    NUMBER.set(NUMBER.get() + 1);
    unsafe { *mutex = NUMBER.get() as *mut c_void };
    CKR_OK
}

unsafe extern "C" fn destroy_mutex(_: *mut c_void) -> CK_RV {
    CKR_OK
}

unsafe extern "C" fn lock_mutex(_: *mut c_void) -> CK_RV {
    LOCKS.fetch_add(1, Ordering::Relaxed);
    CKR_OK
}

unsafe extern "C" fn unlock_mutex(_: *mut c_void) -> CK_RV {
    CKR_OK
}

fn application_mutexes(flags: CK_FLAGS) -> CK_C_INITIALIZE_ARGS {
    CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(create_mutex),
        DestroyMutex: Some(destroy_mutex),
        LockMutex: Some(lock_mutex),
        UnlockMutex: Some(unlock_mutex),
        flags,
        pReserved: null_mut(),
    }
}

/// §5.4.1, combination 3: a library that cannot use them says CKR_CANT_LOCK;
/// to take them and not to use them would be a promise broken.
fn initialise_uses_or_refuses_the_applications_mutexes(w: &World) {
    match w.module().initialize_with(&mut application_mutexes(0)) {
        Ok(()) => {
            w.module().slots(false).unwrap();
            assert!(LOCKS.load(Ordering::Relaxed) > 0, "taken, but never used");
            w.module().finalize().unwrap();
        }
        Err(refusal) => {
            refused::<()>(Err(refusal), CKR_CANT_LOCK);
            w.module().initialize().unwrap();
        }
    }
}

/// §5.4.1, combination 4.
fn initialise_takes_either_kind_of_locking(w: &World) {
    w.module().initialize_with(&mut application_mutexes(CKF_OS_LOCKING_OK)).unwrap();
    w.module().slots(false).unwrap();
    w.module().finalize().unwrap();
}

/// §5.4.1: "some, but not all" is CKR_ARGUMENTS_BAD, with and without the flag.
fn initialise_refuses_some_of_the_mutex_functions(w: &World) {
    for set in 1..15_u8 {
        for flags in [0, CKF_OS_LOCKING_OK] {
            let mut arguments = application_mutexes(flags);
            if set & 1 == 0 {
                arguments.CreateMutex = None;
            }
            if set & 2 == 0 {
                arguments.DestroyMutex = None;
            }
            if set & 4 == 0 {
                arguments.LockMutex = None;
            }
            if set & 8 == 0 {
                arguments.UnlockMutex = None;
            }
            refused(w.module().initialize_with(&mut arguments), CKR_ARGUMENTS_BAD);
        }
    }
}

/// §5.4.1: the module starts no threads, so CKR_NEED_TO_CREATE_THREADS never comes.
fn initialise_takes_the_no_threads_flag(w: &World) {
    let flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK;
    w.module().initialize_with(&mut CK_C_INITIALIZE_ARGS { flags, ..no_arguments() }).unwrap();
}

/// §5.4.2: pReserved must be NULL_PTR.
fn finalise_refuses_reserved_pointer_and_changes_nothing(w: &World) {
    let module = w.start();
    let mut something = 0_u8;
    refused(ck!(module, C_Finalize((&raw mut something).cast())), CKR_ARGUMENTS_BAD);
    module.slots(false).unwrap();
}

/// §5.4.2.
fn finalise_without_initialise_is_refused(w: &World) {
    refused(w.module().finalize(), CKR_CRYPTOKI_NOT_INITIALIZED);
    w.start().finalize().unwrap();
    refused(w.module().finalize(), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/// §5.4.2: nothing of the application outlives C_Finalize.
fn finalise_ends_sessions_and_logins(w: &World) {
    let before = w.user();
    w.module().finalize().unwrap();
    refused(before.info(), CKR_CRYPTOKI_NOT_INITIALIZED);
    w.start();
    refused(before.info(), CKR_SESSION_HANDLE_INVALID);
    let session = w.open(w.known_token(), RW);
    assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
}

/// A handle kept over C_Finalize must not name a stranger's session afterwards.
fn handles_stay_dead_after_finalise(w: &World) {
    let before = w.user();
    w.module().finalize().unwrap();
    w.start();
    let after = w.open(w.known_token(), RW);
    assert_ne!(before.handle, after.handle, "a handle came back");
    refused(before.info(), CKR_SESSION_HANDLE_INVALID);
}

/// Whatever the state at exit: nothing of ours runs then.
fn process_may_end_without_finalise(w: &World) {
    let mut arguments = application_mutexes(CKF_OS_LOCKING_OK);
    w.module().initialize_with(&mut arguments).unwrap();
    w.make_token("left behind");
    let s = w.open(w.module().slot_of("left behind"), RW);
    s.login(CKU_SO, SO_PIN).unwrap();
}

/// §3.1 CK_INFO: strings padded with blanks, no flags.
fn info_names_the_library(w: &World) {
    let module = w.start();
    let mut info: CK_INFO = unsafe { zeroed() };
    ck!(module, C_GetInfo(&mut info)).unwrap();
    let version = (info.cryptokiVersion.major, info.cryptokiVersion.minor);
    assert_eq!(version, if w.is_reference() { (2, 40) } else { (3, 2) });
    assert_eq!(info.flags, 0);
    for text in [info.manufacturerID, info.libraryDescription] {
        padded(&text);
        assert_ne!(text, [b' '; 32]);
    }
}

/// Blank-padded text: no zero byte anywhere.
fn padded(text: &[u8]) {
    assert!(!text.contains(&0), "{text:?}");
}

/// §5.4.3.
fn info_refuses_null(w: &World) {
    refused(ck!(w.start(), C_GetInfo(null_mut())), CKR_ARGUMENTS_BAD);
}

/// A function list as the pointers after its version.
unsafe fn pointers<T>(list: *const T) -> &'static [*const c_void] {
    // The version takes one pointer's place, padding included.
    let count = size_of::<T>() / size_of::<*const c_void>() - 1;
    unsafe { std::slice::from_raw_parts(list.cast::<*const c_void>().add(1), count) }
}

/// §5.4.4, §3.6: version 2.40 has minor 40, and no entry is missing.
fn function_list_is_two_forty_and_full(w: &World) {
    let list = w.module().v2();
    assert_eq!((list.version.major, list.version.minor), (2, 40));
    let entries = unsafe { pointers(list) };
    assert_eq!(entries.len(), FUNCTIONS_2_40);
    assert!(entries.iter().all(|entry| !entry.is_null()));
}

/// §5.4.4.
fn function_list_refuses_null(w: &World) {
    refused(ck!(w.module(), C_GetFunctionList(null_mut())), CKR_ARGUMENTS_BAD);
}

/// The exported function of this name, as a plain address.
fn exported(module: &Module, name: &str) -> *const c_void {
    unsafe { module.symbol::<*const c_void>(name) }.unwrap_or_else(|| panic!("no {name}"))
}

/// §5.4.4: programs that link by name (Python's and Go's wrappers) find every function.
fn every_function_is_exported(w: &World) {
    for name in ["C_GetInterfaceList", "C_GetInterface"].iter().chain(FUNCTIONS) {
        assert!(!exported(w.module(), name).is_null());
    }
}

/// One list drives both: an export and its entry cannot be two functions.
fn every_listed_function_is_the_exported_one(w: &World) {
    let list = unsafe { pointers(w.module().v3()) };
    assert_eq!(list.len(), FUNCTIONS.len());
    for (entry, name) in list.iter().zip(FUNCTIONS) {
        assert_eq!(*entry, exported(w.module(), name), "{name}");
    }
}

/// A module shares its process with its application: no other name may clash.
fn only_the_standards_functions_are_exported(w: &World) {
    let output = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(w.module_path())
        .output()
        .expect("nm runs: it comes with the linker, in Debian's package binutils");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split(' ').next_back()).collect();
    let foreign: Vec<_> = names.iter().filter(|name| !FUNCTIONS.contains(name)).collect();
    assert!(foreign.is_empty(), "exported besides: {foreign:?}");
    let mut standard = FUNCTIONS.to_vec();
    names.sort_unstable();
    standard.sort_unstable();
    assert_eq!(names, standard);
}

/// Calls a function with nothing but zeroes. No function of the standard takes
/// more than eleven arguments, and those that take fewer do not look at the
/// rest: in the C ABI of every platform that we build for the caller cleans up.
fn call_with_zeroes(function: *const c_void) -> Rv {
    type Any = unsafe extern "C" fn(
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
    ) -> CK_RV;
    Ckr::check(unsafe {
        let function: Any = std::mem::transmute(function);
        function(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    })
}

/// §5.1.6: CKR_CRYPTOKI_NOT_INITIALIZED from every function but the four that
/// come before, offered or not.
fn every_function_waits_for_initialise(w: &World) {
    let before = ["C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];
    let known = if w.is_reference() { &FUNCTIONS[..FUNCTIONS_2_40] } else { FUNCTIONS };
    for name in known.iter().filter(|name| !before.contains(name)) {
        let answer = call_with_zeroes(exported(w.module(), name));
        assert_eq!(answer, Err(Ckr(CKR_CRYPTOKI_NOT_INITIALIZED)), "{name}");
    }
}

/// §5.1.6: "even unsupported functions should have a stub".
fn functions_not_offered_say_so(w: &World) {
    w.start();
    for name in NOT_OFFERED {
        let answer = call_with_zeroes(exported(w.module(), name));
        assert_eq!(answer, Err(Ckr(CKR_FUNCTION_NOT_SUPPORTED)), "{name}");
    }
}

/// §5.20.
fn legacy_parallel_functions_say_not_parallel(w: &World) {
    let s = w.user();
    refused(ck!(s.module, C_GetFunctionStatus(s.handle)), CKR_FUNCTION_NOT_PARALLEL);
    refused(ck!(s.module, C_CancelFunction(s.handle)), CKR_FUNCTION_NOT_PARALLEL);
}

type GetInterfaceList = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_RV;

fn interface_list(w: &World) -> GetInterfaceList {
    unsafe { w.module().symbol("C_GetInterfaceList") }.expect("C_GetInterfaceList is exported")
}

/// §5.4.5: count, fill, and too small a buffer; 2.40, 3.0 and 3.2 are there.
fn interface_list_counts_and_fills(w: &World) {
    let get = interface_list(w);
    let mut count = 0;
    Ckr::check(unsafe { get(null_mut(), &mut count) }).unwrap();
    let mut list: Vec<CK_INTERFACE> = vec![unsafe { zeroed() }; count as usize];
    let mut too_small = count - 1;
    refused(Ckr::check(unsafe { get(list.as_mut_ptr(), &mut too_small) }), CKR_BUFFER_TOO_SMALL);
    assert_eq!(too_small, count);
    Ckr::check(unsafe { get(list.as_mut_ptr(), &mut count) }).unwrap();
    assert_eq!(list.len(), count as usize);
    let mut versions: Vec<(u8, u8)> = list.iter().map(version_of).collect();
    versions.sort_unstable();
    assert_eq!(versions, [(2, 40), (3, 0), (3, 2)]);
    refused(Ckr::check(unsafe { get(list.as_mut_ptr(), null_mut()) }), CKR_ARGUMENTS_BAD);
}

/// The version of a standard interface.
fn version_of(interface: &CK_INTERFACE) -> (u8, u8) {
    let name = unsafe { CStr::from_ptr(interface.pInterfaceName.cast()) };
    assert_eq!(name, c"PKCS 11");
    let version = unsafe { *interface.pFunctionList.cast::<CK_VERSION>() };
    (version.major, version.minor)
}

/// §3.6: no entry of any list is missing, and the lists agree.
fn interface_lists_have_every_function(w: &World) {
    let get = |version| {
        let interface = w.module().interface(Some(c"PKCS 11"), Some(version), 0).unwrap();
        assert_eq!(version_of(&interface), version);
        interface.pFunctionList
    };
    let two_forty = unsafe { pointers(get((2, 40)).cast::<CK_FUNCTION_LIST>()) };
    let three_zero = unsafe { pointers(get((3, 0)).cast::<CK_FUNCTION_LIST_3_0>()) };
    let three_two = unsafe { pointers(get((3, 2)).cast::<CK_FUNCTION_LIST_3_2>()) };
    assert!(three_two.iter().all(|entry| !entry.is_null()));
    assert_eq!(two_forty, &three_two[..FUNCTIONS_2_40]);
    assert_eq!(three_zero, &three_two[..three_zero.len()]);
}

/// §5.4.6: name and version must match where given.
fn interfaces_are_chosen_by_name_and_version(w: &World) {
    for name in [None, Some(c"PKCS 11")] {
        version_of(&w.module().interface(name, None, 0).unwrap());
        for version in [(2, 40), (3, 0), (3, 2)] {
            let interface = w.module().interface(name, Some(version), 0).unwrap();
            assert_eq!(version_of(&interface), version);
        }
    }
}

/// §5.4.6 lists no return value of its own for "there is none".
fn unknown_interfaces_are_refused(w: &World) {
    let none = [CKR_ARGUMENTS_BAD, CKR_FUNCTION_FAILED];
    let module = w.module();
    refused_any(module.interface(Some(c"Vendor Signet"), None, 0), &none);
    refused_any(module.interface(Some(c"PKCS 1"), None, 0), &none);
    refused_any(module.interface(Some(c"PKCS 111"), None, 0), &none);
    refused_any(module.interface(Some(c""), None, 0), &none);
    for version in [(2, 4), (3, 1), (3, 3), (1, 0), (4, 0)] {
        refused_any(module.interface(Some(c"PKCS 11"), Some(version), 0), &none);
    }
    // The child must initialise again, so the interface is not fork-safe in the
    // standard's sense (§3.6), and no other flag is defined.
    for flags in [CKF_INTERFACE_FORK_SAFE, 1 << 5, CK_FLAGS::MAX] {
        refused_any(module.interface(None, None, flags), &none);
    }
}

/// §5.4.6.
fn interface_refuses_null(w: &World) {
    interface_list(w);
    type GetInterface = unsafe extern "C" fn(
        *mut CK_UTF8CHAR,
        *mut CK_VERSION,
        *mut *mut CK_INTERFACE,
        CK_FLAGS,
    ) -> CK_RV;
    let get: GetInterface = unsafe { w.module().symbol("C_GetInterface") }.unwrap();
    let answer = unsafe { get(null_mut(), null_mut(), null_mut(), 0) };
    refused(Ckr::check(answer), CKR_ARGUMENTS_BAD);
}

/// Applications that load modules on demand unload them, finalised or not.
fn module_can_be_unloaded_and_loaded_again(w: &World) {
    let module = Module::load(w.module_path());
    module.initialize().unwrap();
    module.slots(false).unwrap();
    module.finalize().unwrap();
    module.unload();
    let module = Module::load(w.module_path());
    // The case's own copy keeps the library mapped, so this is the same module again.
    module.initialize().unwrap();
    refused(w.module().initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    module.unload();
    w.module().slots(false).unwrap();
}

/// How many of `FUNCTIONS` the 2.40 list holds.
const FUNCTIONS_2_40: usize = 68;

/// What needs encryption, key pairs, wrapping, derivation, messages, saved
/// states, named users or asynchronous sessions, none of which is offered.
const NOT_OFFERED: &[&str] = &[
    "C_EncryptInit",
    "C_Encrypt",
    "C_EncryptUpdate",
    "C_EncryptFinal",
    "C_DecryptInit",
    "C_Decrypt",
    "C_DecryptUpdate",
    "C_DecryptFinal",
    "C_SignRecoverInit",
    "C_SignRecover",
    "C_VerifyRecoverInit",
    "C_VerifyRecover",
    "C_DigestEncryptUpdate",
    "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate",
    "C_DecryptVerifyUpdate",
    "C_GenerateKeyPair",
    "C_WrapKey",
    "C_UnwrapKey",
    "C_DeriveKey",
    "C_MessageEncryptInit",
    "C_EncryptMessage",
    "C_EncryptMessageBegin",
    "C_EncryptMessageNext",
    "C_MessageEncryptFinal",
    "C_MessageDecryptInit",
    "C_DecryptMessage",
    "C_DecryptMessageBegin",
    "C_DecryptMessageNext",
    "C_MessageDecryptFinal",
    "C_MessageSignInit",
    "C_SignMessage",
    "C_SignMessageBegin",
    "C_SignMessageNext",
    "C_MessageSignFinal",
    "C_MessageVerifyInit",
    "C_VerifyMessage",
    "C_VerifyMessageBegin",
    "C_VerifyMessageNext",
    "C_MessageVerifyFinal",
    "C_EncapsulateKey",
    "C_DecapsulateKey",
    "C_AsyncComplete",
    "C_AsyncGetID",
    "C_AsyncJoin",
    "C_WrapKeyAuthenticated",
    "C_UnwrapKeyAuthenticated",
    "C_GetOperationState",
    "C_SetOperationState",
    "C_GetSessionValidationFlags",
];

/// Every function, in the order of the 3.2 list.
const FUNCTIONS: &[&str] = &[
    "C_Initialize",
    "C_Finalize",
    "C_GetInfo",
    "C_GetFunctionList",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_GetMechanismInfo",
    "C_InitToken",
    "C_InitPIN",
    "C_SetPIN",
    "C_OpenSession",
    "C_CloseSession",
    "C_CloseAllSessions",
    "C_GetSessionInfo",
    "C_GetOperationState",
    "C_SetOperationState",
    "C_Login",
    "C_Logout",
    "C_CreateObject",
    "C_CopyObject",
    "C_DestroyObject",
    "C_GetObjectSize",
    "C_GetAttributeValue",
    "C_SetAttributeValue",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_EncryptInit",
    "C_Encrypt",
    "C_EncryptUpdate",
    "C_EncryptFinal",
    "C_DecryptInit",
    "C_Decrypt",
    "C_DecryptUpdate",
    "C_DecryptFinal",
    "C_DigestInit",
    "C_Digest",
    "C_DigestUpdate",
    "C_DigestKey",
    "C_DigestFinal",
    "C_SignInit",
    "C_Sign",
    "C_SignUpdate",
    "C_SignFinal",
    "C_SignRecoverInit",
    "C_SignRecover",
    "C_VerifyInit",
    "C_Verify",
    "C_VerifyUpdate",
    "C_VerifyFinal",
    "C_VerifyRecoverInit",
    "C_VerifyRecover",
    "C_DigestEncryptUpdate",
    "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate",
    "C_DecryptVerifyUpdate",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_WrapKey",
    "C_UnwrapKey",
    "C_DeriveKey",
    "C_SeedRandom",
    "C_GenerateRandom",
    "C_GetFunctionStatus",
    "C_CancelFunction",
    "C_WaitForSlotEvent",
    "C_GetInterfaceList",
    "C_GetInterface",
    "C_LoginUser",
    "C_SessionCancel",
    "C_MessageEncryptInit",
    "C_EncryptMessage",
    "C_EncryptMessageBegin",
    "C_EncryptMessageNext",
    "C_MessageEncryptFinal",
    "C_MessageDecryptInit",
    "C_DecryptMessage",
    "C_DecryptMessageBegin",
    "C_DecryptMessageNext",
    "C_MessageDecryptFinal",
    "C_MessageSignInit",
    "C_SignMessage",
    "C_SignMessageBegin",
    "C_SignMessageNext",
    "C_MessageSignFinal",
    "C_MessageVerifyInit",
    "C_VerifyMessage",
    "C_VerifyMessageBegin",
    "C_VerifyMessageNext",
    "C_MessageVerifyFinal",
    "C_EncapsulateKey",
    "C_DecapsulateKey",
    "C_VerifySignatureInit",
    "C_VerifySignature",
    "C_VerifySignatureUpdate",
    "C_VerifySignatureFinal",
    "C_GetSessionValidationFlags",
    "C_AsyncComplete",
    "C_AsyncGetID",
    "C_AsyncJoin",
    "C_WrapKeyAuthenticated",
    "C_UnwrapKeyAuthenticated",
];
