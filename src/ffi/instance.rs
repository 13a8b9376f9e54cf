//! The one global of the module: the application's [`Instance`], or nothing.

use super::fork::{self, ForkWord};
use super::mutex::ApplicationMutex;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::entropy::OsEntropy;
use crate::error::{Error, Result};
use crate::host::OsEnvironment;
use crate::log::{Level, Log, LogTarget, Logger};
use crate::module::Module;
use crate::store::{DirectoryPlace, PageGuard, abandon_inherited};
use crate::token::Surroundings;
use arc_swap::{ArcSwapOption, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Read by every call, written by `C_Initialize` and `C_Finalize` only. Never
/// dropped at exit: the module has no destructor with effects.
static INSTANCE: ArcSwapOption<Instance> = ArcSwapOption::const_empty();

/// How many instances this process has had: handles of one mean nothing to the next.
static LIVES: AtomicU32 = AtomicU32::new(0);

/// What `C_Initialize` makes and `C_Finalize` ends.
pub struct Instance {
    pub module: Module,
    pub log: Arc<Logger>,
    pub mutex: Option<ApplicationMutex>,
    process: ForkWord,
    /// Written once, by the call in which a panic was caught.
    failed: AtomicBool,
    // After the module, whose pages it guards.
    _pages: PageGuard,
}

impl Instance {
    fn new(mutex: Option<ApplicationMutex>) -> Result<Self> {
        let clock = Arc::new(SystemClock);
        let pid = std::process::id();
        // Until the configuration says where to log, its own faults go here.
        let early = Logger::open(Some(Level::Error), &LogTarget::Stderr, clock.clone(), pid)?;
        let explain = |error: Error| {
            early.record(Level::Error, format_args!("C_Initialize: {error}"));
            error
        };
        let config = Config::load(&OsEnvironment).map_err(explain)?;
        let log = Logger::open(config.log_level, &config.log_target, clock.clone(), pid)
            .map_err(explain)?;
        let log = Arc::new(log);
        for notice in &config.notices {
            log.record(notice.level, format_args!("{}", notice.text));
        }
        fork::watch()?;
        let pages = PageGuard::new();
        let module = Self::open(&config, clock, log.clone()).inspect_err(|error| {
            log.record(Level::Error, format_args!("C_Initialize: {error}"));
        })?;
        let process = ForkWord::new()?;
        Ok(Self { module, log, mutex, process, failed: AtomicBool::new(false), _pages: pages })
    }

    fn open(config: &Config, clock: Arc<SystemClock>, log: Arc<Logger>) -> Result<Module> {
        let entropy = Arc::new(OsEntropy);
        let place = DirectoryPlace::new(&config.token_dir, entropy.clone());
        let place = Arc::new(place.with_busy_timeout(config.busy_timeout));
        let module = Module::new(place, Surroundings { entropy, clock, log }, config)?
            .in_life(LIVES.fetch_add(1, Ordering::Relaxed));
        if let Some(auto) = &config.auto_init {
            module.ensure_token(&auto.label, &auto.so_pin, &auto.user_pin)?;
        }
        Ok(module)
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// The instance of this process.
///
/// # Errors
/// [`Error::CryptokiNotInitialized`]: there is none, or it is the parent's.
pub fn current() -> Result<Guard<Option<Arc<Instance>>>> {
    let instance = INSTANCE.load();
    match &*instance {
        Some(present) if present.process.is_ours() => Ok(instance),
        _ => Err(Error::CryptokiNotInitialized),
    }
}

/// `C_Initialize`. Of two at once one succeeds. In the child of a `fork` the
/// parent's instance is left alone and replaced.
pub fn initialize(mutex: Option<ApplicationMutex>) -> Result<()> {
    let before = INSTANCE.load_full();
    if before.as_ref().is_some_and(|present| present.process.is_ours()) {
        return Err(Error::CryptokiAlreadyInitialized);
    }
    // First of all: what the parent has open cannot be opened here before. It may
    // have stores open without an instance, in C_Initialize or after C_Finalize.
    abandon_inherited();
    let new = Arc::new(Instance::new(mutex)?);
    if !replace(&before, Some(new)) {
        return Err(Error::CryptokiAlreadyInitialized);
    }
    // Dropping it would close the parent's store from here.
    std::mem::forget(before);
    Ok(())
}

/// Puts `next` in the place of `present`, if that is what is there.
fn replace(present: &Option<Arc<Instance>>, next: Option<Arc<Instance>>) -> bool {
    let found = INSTANCE.compare_and_swap(present, next);
    found.as_ref().map(Arc::as_ptr) == present.as_ref().map(Arc::as_ptr)
}

/// `C_Finalize`. Of two at once one succeeds. Calls that are under way in other
/// threads go on; the last of them drops the instance.
pub fn finalize() -> Result<()> {
    let present = Guard::into_inner(current()?);
    if replace(&present, None) { Ok(()) } else { Err(Error::CryptokiNotInitialized) }
}
