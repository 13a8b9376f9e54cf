//! What becomes of a generation page that was cut off while it was mapped.
//!
//! The kernel raises SIGBUS in the thread that touches it, and an application that did
//! not foresee this ends. There is no way around the signal: whatever processes can
//! share by a name and read without a system call is a mapped file, and no file that
//! its owner may write can be kept from being cut off. (Memory that cannot shrink, a sealed
//! `memfd` or System V's, has no name that reaches into another container.) So the signal
//! is taken, for the addresses of our pages alone; everything else goes to the
//! handler that was there before, as if we were not there.

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

/// Addresses of pages; 0: free. A chain without locks and without an end: the handler
/// may read it at any moment.
struct Addresses {
    pages: [AtomicUsize; 62],
    more: AtomicPtr<Addresses>,
}

impl Addresses {
    const fn new() -> Self {
        Self { pages: [const { AtomicUsize::new(0) }; 62], more: AtomicPtr::new(ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: null, or what `grow` leaked.
        unsafe { self.more.load(SeqCst).as_ref() }
    }

    /// The next part of the chain, made when there is none.
    fn grow(&self) -> &'static Self {
        let new = Box::into_raw(Box::new(Self::new()));
        match self.more.compare_exchange(ptr::null_mut(), new, SeqCst, SeqCst) {
            // SAFETY: leaked, never freed.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: made here and seen by nobody; the other was leaked by its maker.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }

    /// The page, if it is one of ours, in which `address` lies.
    fn page_of(&self, address: usize) -> Option<usize> {
        let mut part = Some(self);
        while let Some(here) = part {
            for page in &here.pages {
                let start = page.load(SeqCst);
                if start != 0 && (start..start + super::SIZE).contains(&address) {
                    return Some(start);
                }
            }
            part = here.next();
        }
        None
    }
}

static ADDRESSES: Addresses = Addresses::new();

/// How many different handlers one process may have had below ours.
const LEVELS: usize = 16;

/// What was there when the handler of each level was first installed, and what that
/// handler therefore passes on to, for ever: somebody else may pass on to it
/// for ever. Each passes on only to what was there before it, in every copy of this
/// library, so they make no loop. Leaked.
static PREVIOUS: [AtomicPtr<libc::sigaction>; LEVELS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS];

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// Our handlers, one for each of `PREVIOUS`.
static HANDLERS: [Handler; LEVELS] = [
    on_bus_error::<0>,
    on_bus_error::<1>,
    on_bus_error::<2>,
    on_bus_error::<3>,
    on_bus_error::<4>,
    on_bus_error::<5>,
    on_bus_error::<6>,
    on_bus_error::<7>,
    on_bus_error::<8>,
    on_bus_error::<9>,
    on_bus_error::<10>,
    on_bus_error::<11>,
    on_bus_error::<12>,
    on_bus_error::<13>,
    on_bus_error::<14>,
    on_bus_error::<15>,
];

/// Which process has [`PageGuard`]s (the high half), and how many (the low half). The
/// child of a fork drops none of its parent's.
static GUARDS: AtomicU64 = AtomicU64::new(0);

/// `count` guards of this process.
fn guards(count: u64) -> u64 {
    u64::from(std::process::id()) << 32 | count
}

/// How many there are in this process, of `found`.
fn count(found: u64) -> u64 {
    found.checked_sub(guards(0)).filter(|count| count >> 32 == 0).unwrap_or(0)
}

/// While this lives, a fault in the page at its address is mended, if there is a
/// [`PageGuard`]. Dropped before the address is given up.
#[derive(Debug)]
pub(super) struct Guarded(&'static AtomicUsize);

impl Guarded {
    pub(super) fn new(address: usize) -> Self {
        let mut part = &ADDRESSES;
        loop {
            let free = part
                .pages
                .iter()
                .find(|page| page.compare_exchange(0, address, SeqCst, SeqCst).is_ok());
            if let Some(page) = free {
                return Self(page);
            }
            part = part.next().unwrap_or_else(|| part.grow());
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.store(0, SeqCst);
    }
}

/// Keeps a generation page that was cut off from ending the program: takes SIGBUS
/// for the pages of open tokens while it lives, and passes on every other. For the
/// whole process; several are as good as one. The child of a fork takes the signal for
/// itself, and what it inherits means nothing there.
#[derive(Debug)]
pub struct PageGuard {
    pid: u32,
}

impl PageGuard {
    /// Takes the signal.
    #[must_use]
    pub fn new() -> Self {
        let one_more = |found| Some(guards(count(found) + 1));
        let _ = GUARDS.fetch_update(SeqCst, SeqCst, one_more);
        take();
        Self { pid: std::process::id() }
    }
}

impl Default for PageGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PageGuard {
    /// Gives the signal back, unless somebody else has taken it meanwhile and passes
    /// on to us.
    fn drop(&mut self) {
        if self.pid != std::process::id() || count(GUARDS.fetch_sub(1, SeqCst)) > 1 {
            return;
        }
        let Some(previous) = level(&present()).map(|level| PREVIOUS[level].load(SeqCst)) else {
            return;
        };
        if !previous.is_null() {
            // SAFETY: what `passes_on_to` leaked, and sigaction gave.
            unsafe { libc::sigaction(libc::SIGBUS, previous, ptr::null_mut()) };
        }
        // Another thread may have begun to rely on it since it was asked.
        if count(GUARDS.load(SeqCst)) > 0 {
            take();
        }
    }
}

/// How the process takes SIGBUS now.
fn present() -> libc::sigaction {
    let mut found = MaybeUninit::zeroed();
    // SAFETY: changes nothing, and writes a whole structure; should it fail, zeros are
    // a structure too: the default.
    unsafe {
        libc::sigaction(libc::SIGBUS, ptr::null(), found.as_mut_ptr());
        found.assume_init()
    }
}

/// Which of our handlers it is, if it is one.
fn level(action: &libc::sigaction) -> Option<usize> {
    HANDLERS.iter().position(|&ours| action.sa_sigaction == ours as libc::sighandler_t)
}

fn take() {
    let before = present();
    if level(&before).is_some() {
        return;
    }
    stay_loaded();
    // With none left, those that are installed below go on.
    let Some(level) = (0..LEVELS).find(|&level| passes_on_to(level, &before)) else { return };
    let mut ours = before;
    ours.sa_sigaction = HANDLERS[level] as libc::sighandler_t;
    // On the stack that the thread has set aside, as runtimes with small stacks demand;
    // the mask is that of the handler before.
    ours.sa_flags = libc::SA_SIGINFO
        | libc::SA_ONSTACK
        | (before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER));
    // SAFETY: `on_bus_error` has the type that SA_SIGINFO asks for, and calls nothing
    // that a signal handler may not.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) };
}

/// Whether the handler of `level` passes on to `before`; one that was never installed does
/// from now on.
fn passes_on_to(level: usize, before: &libc::sigaction) -> bool {
    if PREVIOUS[level].load(SeqCst).is_null() {
        let new = Box::into_raw(Box::new(*before));
        if PREVIOUS[level].compare_exchange(ptr::null_mut(), new, SeqCst, SeqCst).is_err() {
            // SAFETY: made here and seen by nobody.
            drop(unsafe { Box::from_raw(new) });
        }
    }
    // SAFETY: null, or leaked above.
    let known = unsafe { PREVIOUS[level].load(SeqCst).as_ref() };
    known.is_some_and(|known| {
        known.sa_sigaction == before.sa_sigaction && known.sa_flags == before.sa_flags
    })
}

/// Keeps the library mapped when the application unloads it: somebody else's handler
/// may pass on to ours for ever.
fn stay_loaded() {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let here: *const c_void = HANDLERS[0] as *const c_void;
    // SAFETY: `info` is filled when the answer is not 0; its name is a C string that
    // lives as long as the library. Opening what is loaded runs nothing of it.
    unsafe {
        if libc::dladdr(here, info.as_mut_ptr()) != 0 {
            let name = info.assume_init().dli_fname;
            libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

extern "C" fn on_bus_error<const LEVEL: usize>(
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    let errno = Errno::last_raw();
    if !mend(info) {
        pass_on(&PREVIOUS[LEVEL], signal, info, context);
    }
    Errno::set_raw(errno);
}

/// Maps zeros where a page of ours was touched; whether it was one.
fn mend(info: *const siginfo_t) -> bool {
    // SAFETY: the kernel's, for as long as the handler runs. The address is there when the
    // code says that a fault and not a process sent the signal.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    let page = if code > 0 { ADDRESSES.page_of(address) } else { None };
    let Some(page) = page else { return false };
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a page that a `GenerationPage` owns, which lives: this thread is using it.
    // Nothing else lies there. A system call, which a handler may make.
    let mapped = unsafe {
        libc::mmap(
            ptr::with_exposed_provenance_mut(page),
            super::SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}

/// Does what would have happened without us.
fn pass_on(
    previous: &AtomicPtr<libc::sigaction>,
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: null, or what `passes_on_to` leaked.
    let previous = unsafe { previous.load(SeqCst).as_ref() };
    // SAFETY: as in `mend`.
    let sent = unsafe { (*info).si_code } <= 0;
    let handler = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    match previous {
        Some(previous) if handler != libc::SIG_DFL && handler != libc::SIG_IGN => {
            if previous.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: the application's handler; SA_SIGINFO says that it is of this type.
                let handler: Handler = unsafe { std::mem::transmute(handler) };
                handler(signal, info, context);
            } else {
                // SAFETY: without SA_SIGINFO it is of this type.
                let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
                handler(signal);
            }
        }
        _ if sent && handler == libc::SIG_IGN => {}
        // The kernel lets nobody ignore a fault: it comes again at once, and ends the
        // process as it would have. What was sent is sent again.
        _ => {
            // SAFETY: the default action; both calls may be made in a handler.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if sent {
                    libc::raise(signal);
                }
            }
        }
    }
}
