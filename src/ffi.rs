//! The C door: every function of PKCS#11 3.2, from the caller's pointers to
//! [`Module`] and back.
//!
//! Every call passes `call`: panics are caught, the module must be
//! initialised in this very process, an error becomes the standard's return
//! value and one line in the log. Chapter files parse arguments, call one
//! method of [`Module`] and write outputs; pointers are dereferenced in
//! `arg.rs` alone.

#![allow(unsafe_code)]

mod arg;
mod digest;
mod fork;
mod general;
mod instance;
mod key;
mod mutex;
mod object;
mod random;
mod rv;
mod session;
mod sign;
mod slot;
mod table;

pub use table::*;

use crate::error::{Error, RefusedKind, Result};
use crate::log::{Level, Log};
use crate::module::Module;
use cryptoki_sys::{CK_RV, CKR_OK};
use mutex::ApplicationMutex;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call that needs the module.
fn call(name: &'static str, body: impl FnOnce(&Module) -> Result<()>) -> CK_RV {
    let Ok(instance) = instance::current() else {
        return rv::of(&Error::CryptokiNotInitialized);
    };
    let Some(instance) = &*instance else {
        return rv::of(&Error::CryptokiNotInitialized);
    };
    if instance.has_failed() {
        return rv::of(&Error::ModuleFailed);
    }
    let _hold = match instance.mutex.as_ref().map(ApplicationMutex::hold).transpose() {
        Ok(hold) => hold,
        Err(error) => return finish(&*instance.log, name, Err(error)),
    };
    // What a panic may have left half done is never used again: the instance
    // serves nothing after it.
    let result = catch_unwind(AssertUnwindSafe(|| body(&instance.module))).unwrap_or_else(|_| {
        instance.fail();
        Err(Error::Panicked)
    });
    finish(&*instance.log, name, result)
}

/// A call that is served without the module.
fn call_without_module(body: impl FnOnce() -> Result<()>) -> CK_RV {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(error)) => rv::of(&error),
        Err(_) => rv::of(&Error::Panicked),
    }
}

fn finish(log: &dyn Log, name: &str, result: Result<()>) -> CK_RV {
    match result {
        Ok(()) => CKR_OK,
        Err(error) => {
            log.record(level(&error), format_args!("{name}: {error}"));
            rv::of(&error)
        }
    }
}

/// How much an error matters to whoever runs the machine.
const fn level(error: &Error) -> Level {
    match error {
        Error::Panicked
        | Error::EntropyUnavailable
        | Error::RecordDamaged(_)
        | Error::StoreDamaged { .. }
        | Error::StoreFull(_)
        | Error::StoreIo { .. }
        | Error::StoreRolledBack { .. } => Level::Error,
        Error::PinLocked | Error::FunctionFailed(_) => Level::Warning,
        // The return value of a refused creation tells nobody why; the others' do.
        Error::AccessDenied(refused) => match refused.kind {
            RefusedKind::Creation => Level::Warning,
            RefusedKind::Use | RefusedKind::Change => Level::Info,
        },
        Error::PinIncorrect | Error::EntityDisabled(_) => Level::Info,
        _ => Level::Debug,
    }
}

#[cfg(test)]
mod tests;
