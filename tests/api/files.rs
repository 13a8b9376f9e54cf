//! What somebody else may do to the files of a token that is in use, and what the
//! module does with the signal that comes of it.

use crate::common::*;
use cryptoki_sys::*;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

const WHY: &str = "SoftHSM2 maps no file";

const OURS: &str = "what SoftHSM2 does there is nobody's wish";

cases! {
    page_cut_off_is_no_signal softhsm2: unasked(WHY),
    page_replaced_is_noticed_by_who_only_signs softhsm2: unasked(WHY),
    token_moved_away_is_noticed_by_who_only_signs softhsm2: unasked(WHY),
    token_copied_in_by_hand_appears_and_one_taken_away_disappears
        softhsm2: unasked("SoftHSM2 reads its directory at the start"),
    read_only_file_system_signs_and_refuses_changes softhsm2: unasked_with_mounts(OURS),
    full_disk_is_named_and_loses_nothing softhsm2: unasked_with_mounts(OURS),
    bus_error_of_the_application_is_its_own softhsm2: unasked(WHY),
    bus_error_of_nobody_ends_the_program softhsm2: unasked(WHY),
    bus_error_reaches_the_application_through_whoever_came_between softhsm2: unasked(WHY),
    bus_error_handler_is_given_back_in_a_child_of_fork softhsm2: unasked(WHY),
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;

/// How often a program may sign before it notices what the page does not tell.
const BOUND: usize = 4096;

fn key(w: &World) -> (Session<'_>, CK_OBJECT_HANDLE) {
    let s = w.user();
    let template = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_LABEL => "key"];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    s.mac(HMAC, key, b"text").unwrap();
    (s, key)
}

/// The part of another process: destroys the key.
fn destroy(w: &World) {
    w.start();
    let s = w.user_again();
    let found = s.find(&template![CKA_LABEL => "key"]).unwrap();
    s.destroy(found[0]).unwrap();
}

fn token_directory(w: &World) -> PathBuf {
    w.directory().join("tokens").join("slot-0")
}

fn page_cut_off_is_no_signal(w: &World) {
    if w.part().is_some() {
        return destroy(w);
    }
    let (s, key) = key(w);
    let page = token_directory(w).join("generation");
    for content in [&b""[..], b"short", &[0; 4096], &[0xff; 9000]] {
        fs::write(&page, content).unwrap();
        s.mac(HMAC, key, b"text").unwrap();
        s.mac(HMAC, key, b"text").unwrap();
        s.set(key, &template![CKA_ID => b"id"]).unwrap();
        s.mac(HMAC, key, b"text").unwrap();
    }
    fs::write(&page, b"").unwrap();
    w.other("destroys").join();
    refused(s.sign_init(HMAC, key), CKR_KEY_HANDLE_INVALID);
}

fn page_replaced_is_noticed_by_who_only_signs(w: &World) {
    if w.part().is_some() {
        return destroy(w);
    }
    let (s, key) = key(w);
    let (page, copy) = (token_directory(w).join("generation"), w.directory().join("copy"));
    fs::copy(&page, &copy).unwrap();
    fs::rename(&copy, &page).unwrap();
    w.other("destroys").join();
    let refused_at = (0..=BOUND).find_map(|_| s.mac(HMAC, key, b"text").err());
    refused(
        Err::<(), _>(refused_at.expect("a destroyed key is used for ever")),
        CKR_KEY_HANDLE_INVALID,
    );
}

fn token_moved_away_is_noticed_by_who_only_signs(w: &World) {
    let (s, key) = key(w);
    let (token, away) = (token_directory(w), w.directory().join("away"));
    fs::rename(&token, &away).unwrap();
    let refused_at = (0..=BOUND).find_map(|_| s.mac(HMAC, key, b"text").err());
    let noticed = Err::<(), _>(refused_at.expect("a token that is gone is used for ever"));
    refused(noticed, CKR_TOKEN_NOT_PRESENT);
    // And not forgotten again.
    refused(s.sign_init(HMAC, key), CKR_TOKEN_NOT_PRESENT);
    refused(s.find(&template![]), CKR_TOKEN_NOT_PRESENT);
    // Put back, it is used as before, by who logs in again.
    fs::rename(&away, &token).unwrap();
    w.module().close_all(s.slot).unwrap();
    let s = w.user_again();
    let found = s.find(&template![CKA_LABEL => "key"]).unwrap();
    s.mac(HMAC, found[0], b"text").unwrap();
}

fn token_copied_in_by_hand_appears_and_one_taken_away_disappears(w: &World) {
    let slot = w.token();
    w.module().finalize().unwrap();
    let token = token_directory(w);
    let (aside, five) = (w.directory().join("aside"), token.with_file_name("slot-5"));
    let copied = Command::new("cp").arg("-a").args([&token, &aside]).status().unwrap();
    assert!(copied.success());
    let module = w.start();
    assert_eq!(module.slots(true).unwrap(), [slot, 1]);
    fs::rename(&aside, &five).unwrap();
    assert_eq!(module.token_info(5).unwrap().label, module.token_info(slot).unwrap().label);
    assert_eq!(module.slots(true).unwrap(), [slot, 1, 5]);
    assert_ne!(module.slot_info(5).unwrap().flags & CKF_TOKEN_PRESENT, 0);
    let s = w.login(5, CKU_USER, USER_PIN).unwrap();
    s.create(&template![CKA_CLASS => CKO_DATA, CKA_TOKEN => true]).unwrap();
    // With a session open the slot stays, and says that its token is gone.
    fs::rename(&five, &aside).unwrap();
    refused(module.token_info(5), CKR_TOKEN_NOT_PRESENT);
    refused(s.find(&template![]), CKR_TOKEN_NOT_PRESENT);
    assert_eq!(module.slots(true).unwrap(), [slot, 1, 5]);
    s.close().unwrap();
    assert_eq!(module.slots(true).unwrap(), [slot, 1]);
    refused(module.slot_info(5), CKR_SLOT_ID_INVALID);
    refused(module.token_info(5), CKR_SLOT_ID_INVALID);
    // A token in the place of another is opened for itself.
    fs::rename(&token, w.directory().join("first")).unwrap();
    fs::rename(&aside, &token).unwrap();
    let s = w.login(slot, CKU_USER, USER_PIN).unwrap();
    assert_eq!(s.find(&template![]).unwrap().len(), 1);
}

const READ_ONLY: &str = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro,nosuid,nodev "$0""#;
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=2m,mode=700 none "$0""#;

fn read_only_file_system_signs_and_refuses_changes(w: &World) {
    let mac = w.directory().join("mac");
    if w.part().is_none() {
        let (s, key) = key(w);
        fs::write(&mac, s.mac(HMAC, key, b"text").unwrap()).unwrap();
        let mut reader = w.other_after(READ_ONLY, "reads");
        // What the owner does meanwhile is seen there.
        assert_eq!(reader.hear(), "signed");
        s.destroy(key).unwrap();
        s.close().unwrap();
        reader.say("destroyed");
        return reader.join();
    }
    let module = w.start();
    let slot = w.known_token();
    assert_ne!(module.token_flags(slot) & CKF_WRITE_PROTECTED, 0);
    refused(Session::open(module, slot, RW), CKR_TOKEN_WRITE_PROTECTED);
    let s = w.open(slot, CKF_SERIAL_SESSION);
    // Uncounted: more than lock a PIN.
    for _ in 0..12 {
        refused(s.login(CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
    }
    assert_eq!(module.token_flags(slot) & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED), 0);
    s.login(CKU_USER, USER_PIN).unwrap();
    let found = s.find(&template![CKA_LABEL => "key"]).unwrap();
    let mac = fs::read(&mac).unwrap();
    assert_eq!(s.mac(HMAC, found[0], b"text").unwrap(), mac);
    s.check(HMAC, found[0], b"text", &mac).unwrap();
    let session_key = template![CKA_VALUE_LEN => 32, CKA_TOKEN => false];
    s.generate(CKM_GENERIC_SECRET_KEY_GEN, &session_key).unwrap();
    let token_key = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &token_key), CKR_SESSION_READ_ONLY);
    refused(module.init_token(module.empty_slot(), SO_PIN, "new"), CKR_TOKEN_WRITE_PROTECTED);
    w.say("signed");
    assert_eq!(w.hear(), "destroyed");
    refused(s.sign_init(HMAC, found[0]), CKR_KEY_HANDLE_INVALID);
    module.close_all(slot).unwrap();
    refused(module.init_token(slot, SO_PIN, "new"), CKR_TOKEN_WRITE_PROTECTED);
    // Where counting is required nobody logs in.
    module.finalize().unwrap();
    unsafe { std::env::set_var("SIGNET_PIN_REQUIRE_COUNTER", "true") };
    w.start();
    let s = w.open(slot, CKF_SERIAL_SESSION);
    refused(s.login(CKU_USER, USER_PIN), CKR_TOKEN_WRITE_PROTECTED);
}

fn full_disk_is_named_and_loses_nothing(w: &World) {
    if w.part().is_none() {
        return w.other_after(SMALL_DISK, "fills").join();
    }
    let (s, first) = key(w);
    let mac = s.mac(HMAC, first, b"text").unwrap();
    let filler = w.directory().join("tokens").join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let token_key = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &token_key), CKR_DEVICE_MEMORY);
    refused(s.set(first, &template![CKA_ID => b"id"]), CKR_DEVICE_MEMORY);
    refused(s.destroy(first), CKR_DEVICE_MEMORY);
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_DEVICE_MEMORY);
    assert_eq!(s.mac(HMAC, first, b"text").unwrap(), mac);
    let module = w.module();
    refused(module.init_token(module.empty_slot(), SO_PIN, "new"), CKR_DEVICE_MEMORY);
    assert_eq!(module.slots(true).unwrap(), [0, 1]);
    s.logout().unwrap();
    refused(s.login(CKU_USER, USER_PIN), CKR_DEVICE_MEMORY);
    drop(file);
    fs::remove_file(&filler).unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    let second = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &token_key).unwrap();
    let found = s.find(&template![]).unwrap();
    assert!(found.len() == 2 && found[1] == second);
    assert_eq!(s.mac(HMAC, found[0], b"text").unwrap(), mac);
}

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

/// An application's own handler: mends its own mapping.
extern "C" fn catch(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    CAUGHT.fetch_add(1, Ordering::SeqCst);
    let fixed = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    unsafe {
        if (*info).si_code > 0 {
            libc::mmap((*info).si_addr(), 4096, libc::PROT_READ, fixed, -1, 0);
        }
    }
}

fn handle(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_SIGINFO, SigSet::empty());
    unsafe { sigaction(Signal::SIGBUS, &action) }.unwrap();
}

/// How the process takes the signal now.
fn handler() -> libc::sighandler_t {
    let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut found) }, 0);
    found.sa_sigaction
}

/// Reads a mapping whose file was cut off.
fn touch_what_is_gone() -> u8 {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    let shared = libc::MAP_SHARED;
    unsafe {
        let map = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, shared, file.as_raw_fd(), 0);
        assert_ne!(map, libc::MAP_FAILED);
        file.set_len(0).unwrap();
        map.cast::<u8>().read_volatile()
    }
}

fn bus_error_of_the_application_is_its_own(w: &World) {
    handle(SigHandler::SigAction(catch));
    let theirs = handler();
    let (s, key) = key(w);
    assert_ne!(handler(), theirs);
    assert_eq!(touch_what_is_gone(), 0);
    assert_eq!(CAUGHT.load(Ordering::SeqCst), 1);
    raise(Signal::SIGBUS).unwrap();
    assert_eq!(CAUGHT.load(Ordering::SeqCst), 2);
    fs::write(token_directory(w).join("generation"), b"").unwrap();
    s.mac(HMAC, key, b"text").unwrap();
    assert_eq!(CAUGHT.load(Ordering::SeqCst), 2, "our own signal reached the application");
    // Given back, and taken again.
    w.module().finalize().unwrap();
    assert_eq!(handler(), theirs);
    w.start();
    assert_ne!(handler(), theirs);
    // One that was set later stays.
    handle(SigHandler::SigAction(catch));
    w.module().finalize().unwrap();
    assert_eq!(handler(), theirs);
    w.start();
    w.module().finalize().unwrap();
    assert_eq!(handler(), theirs);
}

fn bus_error_of_nobody_ends_the_program(w: &World) {
    // Rust's own handler of this program would swallow what is sent.
    handle(SigHandler::SigDfl);
    let (s, key) = key(w);
    let touch = || assert_eq!(touch_what_is_gone(), 0);
    let ends: [fn(); 2] = [|| raise(Signal::SIGBUS).unwrap(), touch];
    for end in ends {
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                end();
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                let ended = waitpid(child, None).unwrap();
                assert!(matches!(ended, WaitStatus::Signaled(_, Signal::SIGBUS, _)), "{ended:?}");
            }
        }
    }
    s.mac(HMAC, key, b"text").unwrap();
}

static BELOW: AtomicUsize = AtomicUsize::new(0);

/// Another library's handler: passes on to what was there before.
extern "C" fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let below = BELOW.load(Ordering::SeqCst);
    let below: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        unsafe { std::mem::transmute(below) };
    below(signal, info, context);
}

fn bus_error_reaches_the_application_through_whoever_came_between(w: &World) {
    handle(SigHandler::SigAction(catch));
    let slot = w.token();
    BELOW.store(handler(), Ordering::SeqCst);
    handle(SigHandler::SigAction(pass_on));
    let theirs = handler();
    for round in 1..=20 {
        w.module().finalize().unwrap();
        assert_eq!(handler(), theirs);
        w.start();
        assert_ne!(handler(), theirs);
        assert_eq!(touch_what_is_gone(), 0);
        assert_eq!(CAUGHT.load(Ordering::SeqCst), round);
    }
    let s = w.login(slot, CKU_USER, USER_PIN).unwrap();
    let key = template![CKA_VALUE_LEN => 32];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &key).unwrap();
    fs::write(token_directory(w).join("generation"), b"").unwrap();
    s.mac(HMAC, key, b"text").unwrap();
    assert_eq!(CAUGHT.load(Ordering::SeqCst), 20, "our own signal reached the application");
}

fn bus_error_handler_is_given_back_in_a_child_of_fork(w: &World) {
    handle(SigHandler::SigAction(catch));
    let theirs = handler();
    w.start();
    let ours = handler();
    assert_ne!(ours, theirs);
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(|| {
                w.start();
                assert_eq!(handler(), ours);
                w.module().finalize().unwrap();
                assert_eq!(handler(), theirs);
            });
            unsafe { libc::_exit(done.is_err().into()) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    assert_eq!(handler(), ours);
    w.module().finalize().unwrap();
    assert_eq!(handler(), theirs);
}
