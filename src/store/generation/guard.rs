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
use std::sync::atomic::{AtomicPtr, AtomicUsize};

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

/// The handler that was there before ours; leaked.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// How many [`PageGuard`]s there are.
static GUARDS: AtomicUsize = AtomicUsize::new(0);

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
/// whole process; several are as good as one.
#[derive(Debug)]
pub struct PageGuard(());

impl PageGuard {
    /// Takes the signal.
    #[must_use]
    pub fn new() -> Self {
        GUARDS.fetch_add(1, SeqCst);
        take();
        Self(())
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
        if GUARDS.fetch_sub(1, SeqCst) > 1 || !is_ours(&present()) {
            return;
        }
        let previous = PREVIOUS.load(SeqCst);
        if !previous.is_null() {
            // SAFETY: what `take` leaked, and sigaction gave.
            unsafe { libc::sigaction(libc::SIGBUS, previous, ptr::null_mut()) };
        }
        // Another thread may have begun to rely on it since it was asked.
        if GUARDS.load(SeqCst) > 0 {
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

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == (on_bus_error as Handler) as libc::sighandler_t
}

fn take() {
    let before = present();
    if is_ours(&before) {
        return;
    }
    stay_loaded();
    let known = PREVIOUS.load(SeqCst);
    // SAFETY: null, or leaked below.
    let same = unsafe { known.as_ref() }.is_some_and(|known| {
        known.sa_sigaction == before.sa_sigaction && known.sa_flags == before.sa_flags
    });
    if !same {
        // Leaked: the handler may be reading the one before.
        PREVIOUS.store(Box::into_raw(Box::new(before)), SeqCst);
    }
    let mut ours = before;
    ours.sa_sigaction = (on_bus_error as Handler) as libc::sighandler_t;
    // On the stack that the thread has set aside, as runtimes with small stacks demand;
    // the mask is that of the handler before.
    ours.sa_flags = libc::SA_SIGINFO
        | libc::SA_ONSTACK
        | (before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER));
    // SAFETY: `on_bus_error` has the type that SA_SIGINFO asks for, and calls nothing
    // that a signal handler may not.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) };
}

/// Keeps the library mapped when the application unloads it: somebody else's handler
/// may pass on to ours for ever.
fn stay_loaded() {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let here: *const c_void = (on_bus_error as Handler) as *const c_void;
    // SAFETY: `info` is filled when the answer is not 0; its name is a C string that
    // lives as long as the library. Opening what is loaded runs nothing of it.
    unsafe {
        if libc::dladdr(here, info.as_mut_ptr()) != 0 {
            let name = info.assume_init().dli_fname;
            libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    if !mend(info) {
        pass_on(signal, info, context);
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
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: null, or what `take` leaked.
    let previous = unsafe { PREVIOUS.load(SeqCst).as_ref() };
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
