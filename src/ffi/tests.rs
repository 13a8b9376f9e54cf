//! The wall at the C edge. The module's one global is shared by all tests of
//! this program, so each of these runs in a process of its own: the program
//! again, with a filter for the one test.

use super::*;
use crate::error::Refused;
use cryptoki_sys::{
    CKR_ARGUMENTS_BAD, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_PIN_INCORRECT,
};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const ALONE: &str = "SIGNET_TEST_ALONE";

/// Runs `body` in a process of its own; `test` is the path of the test that
/// calls this. The process gets these variables besides a token directory.
fn alone(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|named| named == test) {
        return body();
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("ffi::tests::{test}"), "--nocapture"])
        .env(ALONE, test)
        .env("SIGNET_CONF", "/dev/null")
        .env("SIGNET_TOKENDIR", directory.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "no test is called {test}: {said}");
}

fn initialize() -> CK_RV {
    // SAFETY: there are no arguments.
    unsafe { C_Initialize(null_mut()) }
}

fn finalize() -> CK_RV {
    // SAFETY: the reserved pointer is null.
    unsafe { C_Finalize(null_mut()) }
}

#[test]
fn a_panic_is_a_general_error_and_fails_the_module_until_it_is_initialised_anew() {
    let name = "a_panic_is_a_general_error_and_fails_the_module_until_it_is_initialised_anew";
    alone(name, &[], || {
        let good = || call("good", |_| Ok(()));
        assert_eq!(initialize(), CKR_OK);
        assert_eq!(good(), CKR_OK);
        assert_eq!(call("bad", |_| panic!("on purpose")), CKR_GENERAL_ERROR);
        assert_eq!(good(), CKR_GENERAL_ERROR);
        // SAFETY: there is no such session, and no pointer is followed.
        assert_eq!(unsafe { C_CloseSession(1) }, CKR_GENERAL_ERROR);
        assert_eq!(initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
        assert_eq!(finalize(), CKR_OK);
        assert_eq!(good(), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(initialize(), CKR_OK);
        assert_eq!(good(), CKR_OK);
    });
}

#[test]
fn an_error_is_the_standard_s_value_and_fails_nothing() {
    alone("an_error_is_the_standard_s_value_and_fails_nothing", &[], || {
        let fails = |error: Error| call("fails", |_| Err(error));
        assert_eq!(fails(Error::PinIncorrect), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(initialize(), CKR_OK);
        assert_eq!(fails(Error::PinIncorrect), CKR_PIN_INCORRECT);
        assert_eq!(fails(Error::RecordDamaged("id".into())), CKR_DEVICE_ERROR);
        assert_eq!(call("good", |_| Ok(())), CKR_OK);
    });
}

#[test]
fn a_panic_in_a_call_without_the_module_is_a_general_error() {
    assert_eq!(call_without_module(|| panic!("on purpose")), CKR_GENERAL_ERROR);
    let bad = call_without_module(|| Err(Error::ArgumentsBad("on purpose")));
    assert_eq!(bad, CKR_ARGUMENTS_BAD);
    assert_eq!(call_without_module(|| Ok(())), CKR_OK);
}

#[test]
fn a_call_that_is_under_way_at_finalize_is_finished() {
    alone("a_call_that_is_under_way_at_finalize_is_finished", &[], || {
        assert_eq!(initialize(), CKR_OK);
        let done = call("slow", |module| {
            assert_eq!(finalize(), CKR_OK);
            assert_eq!(module.slot_list()?.len(), 1);
            Ok(())
        });
        assert_eq!(done, CKR_OK);
        assert_eq!(call("late", |_| Ok(())), CKR_CRYPTOKI_NOT_INITIALIZED);
    });
}

/// How many of these calls, made at once, succeed; the others give `otherwise`.
fn succeed_of(threads: usize, function: fn() -> CK_RV, otherwise: CK_RV) -> usize {
    let (barrier, succeeded) = (Barrier::new(threads), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                match function() {
                    CKR_OK => {
                        succeeded.fetch_add(1, Ordering::SeqCst);
                    }
                    other => assert_eq!(other, otherwise),
                }
            });
        }
    });
    succeeded.load(Ordering::SeqCst)
}

#[test]
fn of_initialisations_and_of_finalisations_at_once_one_succeeds() {
    alone("of_initialisations_and_of_finalisations_at_once_one_succeeds", &[], || {
        for _ in 0..200 {
            assert_eq!(succeed_of(4, initialize, CKR_CRYPTOKI_ALREADY_INITIALIZED), 1);
            assert_eq!(succeed_of(4, finalize, CKR_CRYPTOKI_NOT_INITIALIZED), 1);
        }
    });
}

#[test]
fn the_level_of_an_error_says_whom_it_concerns() {
    assert_eq!(level(&Error::Panicked), Level::Error);
    assert_eq!(level(&Error::StoreFull("there".into())), Level::Error);
    assert_eq!(level(&Error::PinLocked), Level::Warning);
    assert_eq!(level(&Error::PinIncorrect), Level::Info);
    assert_eq!(level(&Error::SignatureInvalid), Level::Debug);
    let denied = |kind| {
        let refused = Refused { kind, explicitly: false, message: String::new() };
        level(&Error::AccessDenied(Box::new(refused)))
    };
    assert_eq!(denied(RefusedKind::Creation), Level::Warning);
    assert_eq!(denied(RefusedKind::Use), Level::Info);
}
