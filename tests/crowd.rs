//! Eight processes of sixteen threads each work on one token at once: no call
//! fails, no key is lost, none comes back.

// A harness is not compiled as a test, so the leave that tests have is given here.
#![allow(unsafe_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod common;

use common::*;
use cryptoki_sys::*;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const FAILS: Reference = unasked("SoftHSM2 fails some of these runs and not others");

const NEVER_LOCKS: Reference = unasked("SoftHSM2 never locks a PIN");

/// Wrong PINs until one is locked, unless the configuration says otherwise.
const LIMIT: usize = 10;

const PROCESSES: usize = 8;
const THREADS: usize = 16;
/// How many keys each thread makes; it destroys every second one again.
const ROUNDS: usize = 6;

cases! {
    threads_of_one_process softhsm2: FAILS,
    processes_of_many_threads softhsm2: FAILS,
    threads_share_one_key softhsm2: FAILS,
    threads_come_and_go softhsm2: FAILS,
    threads_share_one_session softhsm2: FAILS,
    processes_log_in_together softhsm2: FAILS,
    processes_guess_together softhsm2: NEVER_LOCKS,
    killed_guessers_are_counted softhsm2: NEVER_LOCKS,
    processes_start_together softhsm2: FAILS,
    threads_initialise_at_once softhsm2: FAILS,
    finalise_comes_during_other_calls softhsm2: FAILS,
    fork_comes_while_threads_sign softhsm2: FAILS,
    fork_comes_while_threads_write softhsm2: FAILS,
    fork_comes_while_threads_open_sessions softhsm2: FAILS,
    logins_at_one_token_do_not_disturb_another softhsm2: FAILS,
}

fn main() {
    common::main(&[("crowd", CASES)]);
}

/// Runs the work in every thread at once; a panic in one is the case's failure.
fn in_threads(count: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..count {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

/// Makes keys, uses them, finds them, and destroys every second one. What is
/// left afterwards is `ROUNDS / 2` keys of this worker's name.
fn work(s: Session<'_>, worker: &str) {
    let s = s.another(RW).unwrap();
    for round in 0..ROUNDS {
        let label = format!("{worker} {round}");
        let template = template![
            CKA_VALUE_LEN => 32,
            CKA_TOKEN => true,
            CKA_LABEL => label.as_str(),
            CKA_SIGN => true,
            CKA_VERIFY => true,
        ];
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        let mac = s.mac(CKM_SHA256_HMAC, key, label.as_bytes()).unwrap();
        s.check(CKM_SHA256_HMAC, key, label.as_bytes(), &mac).unwrap();
        let wanted = template![CKA_CLASS => CKO_SECRET_KEY, CKA_LABEL => label.as_str()];
        assert_eq!(s.find(&wanted).unwrap(), [key], "{label}");
        if round % 2 == 1 {
            s.destroy(key).unwrap();
            refused(s.sign_init(CKM_SHA256_HMAC, key), CKR_KEY_HANDLE_INVALID);
            assert!(s.find(&wanted).unwrap().is_empty(), "{label} is back");
        }
    }
    s.close().unwrap();
}

/// Counts what is left: every label once, every key able to sign.
fn nothing_lost(s: &Session<'_>, workers: usize) {
    let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    let labels: HashSet<Vec<u8>> = keys.iter().map(|key| s.get(*key, CKA_LABEL).unwrap()).collect();
    assert_eq!(keys.len(), workers * ROUNDS / 2);
    assert_eq!(labels.len(), keys.len());
    for key in keys {
        s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    }
}

/// The module is one; PKCS#11 UG §2.6: threads with sessions of their own.
fn threads_of_one_process(w: &World) {
    let s = w.user();
    in_threads(THREADS, |number| work(s, &format!("thread {number}")));
    nothing_lost(&s, THREADS);
    w.module().finalize().unwrap();
    w.start();
    nothing_lost(&w.user_again(), THREADS);
}

/// All wait at the door, so that they really meet.
fn processes_of_many_threads(w: &World) {
    if let Some(part) = w.part() {
        w.start();
        let s = w.user_again();
        w.say("ready");
        w.hear();
        in_threads(THREADS, |number| work(s, &format!("{part} thread {number}")));
        w.module().finalize().unwrap();
        return;
    }
    let s = w.user();
    let mut others: Vec<_> =
        (0..PROCESSES).map(|number| w.other(&format!("process {number}"))).collect();
    for other in &mut others {
        assert_eq!(other.hear(), "ready");
    }
    for other in &mut others {
        other.say("go");
    }
    others.into_iter().for_each(Other::join);
    nothing_lost(&s, PROCESSES * THREADS);
}

/// One key, sixteen threads, a session each: the MACs are the right ones.
fn threads_share_one_key(w: &World) {
    let s = w.user();
    let template = template![CKA_VALUE_LEN => 64, CKA_TOKEN => true];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let macs: Vec<_> =
        (0..THREADS).map(|n| s.mac(CKM_SHA256_HMAC, key, &[n as u8]).unwrap()).collect();
    in_threads(THREADS, |number| {
        let s = s.another(RO).unwrap();
        for round in 0..500 {
            let message = (number + round) % THREADS;
            let mac = s.mac(CKM_SHA256_HMAC, key, &[message as u8]).unwrap();
            assert_eq!(mac, macs[message]);
            s.check(CKM_SHA256_HMAC, key, &[message as u8], &mac).unwrap();
        }
    });
}

/// Sessions and session keys appear and vanish under other threads' hands.
fn threads_come_and_go(w: &World) {
    let s = w.user();
    in_threads(THREADS, |_| {
        for _ in 0..100 {
            let s = s.another(RW).unwrap();
            let template = template![CKA_VALUE_LEN => 32];
            let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
            s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
            s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
            s.close().unwrap();
        }
    });
    assert!(s.find(&template![]).unwrap().is_empty());
    s.close().unwrap();
}

/// PKCS#11 UG §2.6.7 leaves it undefined; here each call is whole, so that it
/// succeeds rightly or is refused, and the session is fit for use afterwards.
fn threads_share_one_session(w: &World) {
    let s = w.user();
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template![CKA_VALUE_LEN => 32]).unwrap();
    let expected = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    in_threads(THREADS, |_| {
        for _ in 0..200 {
            match s.mac(CKM_SHA256_HMAC, key, b"text") {
                Ok(mac) => assert_eq!(mac, expected),
                busy => {
                    refused_any(busy, &[CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED]);
                }
            }
        }
    });
    // One thread's C_SignInit may be left without its C_Sign.
    let _ = s.sign(b"text");
    assert_eq!(s.mac(CKM_SHA256_HMAC, key, b"text").unwrap(), expected);
}

/// Design §3: "64 correct logins at once do not lock the token".
fn processes_log_in_together(w: &World) {
    const CROWD: usize = 64;
    if w.part().is_some() {
        w.say("ready");
        w.hear();
        w.start();
        w.user_again();
        return;
    }
    let slot = w.token();
    let mut others: Vec<_> = (0..CROWD).map(|_| w.other("logs in")).collect();
    for other in &mut others {
        assert_eq!(other.hear(), "ready");
    }
    for other in &mut others {
        other.say("go");
    }
    others.into_iter().for_each(Other::join);
    let flags = w.module().token_flags(slot);
    assert_eq!(flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED), 0);
}

/// Design §3: "failures plus open reservations never exceed the limit": of a hundred
/// who guess at once, as many get an answer as one after the other would.
fn processes_guess_together(w: &World) {
    const CROWD: usize = 100;
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        w.say("ready");
        w.hear();
        let guess = s.login(CKU_USER, "not-the-pin");
        w.say(if guess == Err(Ckr(CKR_PIN_INCORRECT)) { "wrong" } else { "none" });
        refused_any(guess, &[CKR_PIN_INCORRECT, CKR_PIN_LOCKED]);
        // While fewer than the limit have guessed, the right PIN is taken.
        assert_eq!(w.hear(), "all have guessed");
        refused(s.login(CKU_USER, USER_PIN), CKR_PIN_LOCKED);
        return;
    }
    let slot = w.token();
    let mut others: Vec<_> = (0..CROWD).map(|_| w.other("guesses")).collect();
    for other in &mut others {
        assert_eq!(other.hear(), "ready");
    }
    for other in &mut others {
        other.say("go");
    }
    let answers = others.iter_mut().filter_map(|other| (other.hear() == "wrong").then_some(()));
    assert_eq!(answers.count(), LIMIT);
    for other in &mut others {
        other.say("all have guessed");
    }
    others.into_iter().for_each(Other::join);
    let flags = w.module().token_flags(slot);
    let exact = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    assert_eq!(flags & exact, CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED);
    // The SO opens it again for everybody.
    let s = w.login(slot, CKU_SO, SO_PIN).unwrap();
    s.init_pin(USER_PIN).unwrap();
    s.close().unwrap();
    assert_eq!(w.module().token_flags(slot) & exact, 0);
    w.login(slot, CKU_USER, USER_PIN).unwrap();
}

/// Whoever kills a process before its wrong PIN is settled gains nothing by that.
fn killed_guessers_are_counted(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        loop {
            match s.login(CKU_USER, "not-the-pin") {
                Err(Ckr(CKR_PIN_INCORRECT)) => w.say("wrong"),
                locked => {
                    refused(locked, CKR_PIN_LOCKED);
                    w.say("locked");
                    w.hear();
                }
            }
        }
    }
    let slot = w.token();
    let mut answers = 0;
    for round in 0.. {
        let mut other = w.other("guesses until killed");
        let locked = other.hear() == "locked";
        // At once: it is about to guess again, or is at it.
        other.kill();
        if locked {
            break;
        }
        answers += 1;
        assert!(answers <= LIMIT, "{answers} answers after {round} kills");
    }
    assert_ne!(w.module().token_flags(slot) & CKF_USER_PIN_LOCKED, 0);
    refused(w.login(slot, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
    w.module().finalize().unwrap();
    w.start();
    refused(w.login(slot, CKU_USER, USER_PIN), CKR_PIN_LOCKED);
}

/// Design §10: "processes starting together", and each makes a token's first keys.
fn processes_start_together(w: &World) {
    const CROWD: usize = 32;
    if let Some(part) = w.part() {
        w.say("ready");
        w.hear();
        w.start();
        let s = w.user_again();
        let template = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_LABEL => part];
        s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        w.module().finalize().unwrap();
        return;
    }
    let s = w.user();
    let mut others: Vec<_> = (0..CROWD).map(|number| w.other(&number.to_string())).collect();
    for other in &mut others {
        assert_eq!(other.hear(), "ready");
    }
    for other in &mut others {
        other.say("go");
    }
    others.into_iter().for_each(Other::join);
    assert_eq!(s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap().len(), CROWD);
}

/// §5.4.1: one C_Initialize succeeds, the others are told.
fn threads_initialise_at_once(w: &World) {
    for _ in 0..20 {
        let answers: Vec<Rv> = thread::scope(|scope| {
            let all: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| w.module().initialize())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let told = Err(Ckr(CKR_CRYPTOKI_ALREADY_INITIALIZED));
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == told).count(), THREADS - 1);
        w.module().finalize().unwrap();
    }
}

/// What a call may answer when the module is finalised under its hands.
const GONE: &[CK_RV] = &[
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_CLOSED,
    CKR_KEY_HANDLE_INVALID,
    CKR_OPERATION_NOT_INITIALIZED,
    CKR_USER_NOT_LOGGED_IN,
    CKR_SLOT_ID_INVALID,
];

/// Design §8: "C_Finalize during other calls" is safe: each call ends, well or
/// with the news; none crashes, none hangs, no MAC is wrong.
fn finalise_comes_during_other_calls(w: &World) {
    w.user();
    w.module().finalize().unwrap();
    for _ in 0..10 {
        w.start();
        let s = w.user_again();
        let template = template![CKA_VALUE_LEN => 32];
        let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        let expected = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        let at_work = std::sync::Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (at_work, expected) = (&at_work, &expected);
                scope.spawn(move || {
                    let s = s.another(RW).unwrap();
                    at_work.wait();
                    loop {
                        let answer = if number % 2 == 0 {
                            s.mac(CKM_SHA256_HMAC, key, b"text")
                                .map(|mac| assert_eq!(mac, *expected))
                        } else {
                            let made = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
                            s.generate(CKM_GENERIC_SECRET_KEY_GEN, &made).map(|_| ())
                        };
                        if answer.is_err() {
                            return refused_any(answer, GONE);
                        }
                    }
                });
            }
            at_work.wait();
            w.module().finalize().unwrap();
        });
    }
    w.start();
    let s = w.user_again();
    for key in s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap() {
        s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    }
}

/// Runs `work` in threads over and over, forks meanwhile, and lets each child
/// begin anew: whether it got the MACs it should.
fn fork_among_threads(
    w: &World,
    forks: usize,
    work: impl Fn(&Session<'_>, CK_OBJECT_HANDLE) + Sync,
) -> Vec<bool> {
    let s = w.user();
    let template = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_LABEL => "shared"];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
    let expected = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    let enough = AtomicBool::new(false);
    let children = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let s = s.another(RW).unwrap();
                while !enough.load(Ordering::Relaxed) {
                    work(&s, key);
                }
            });
        }
        let children: Vec<_> = (0..forks).map(|_| forked(w, &expected)).collect();
        enough.store(true, Ordering::Relaxed);
        children
    });
    let judged = children.into_iter().map(|ended| match ended {
        WaitStatus::Exited(_, 0) => true,
        WaitStatus::Exited(_, 1) => false,
        other => panic!("the child of fork: {other:?}"),
    });
    let judged = judged.collect();
    assert_eq!(s.mac(CKM_SHA256_HMAC, key, b"text").unwrap(), expected);
    judged
}

/// A child of fork: it exits with 0 when it was told of its state, began anew and
/// made the MAC of its parent, and with 1 when it was refused.
fn forked(w: &World, expected: &[u8]) -> WaitStatus {
    let begin_anew = || {
        refused(w.module().slots(true), CKR_CRYPTOKI_NOT_INITIALIZED);
        w.module().initialize()?;
        let slot = *w.module().slots(true)?.first().expect("the token's slot");
        let s = Session::open(w.module(), slot, RW)?;
        s.login(CKU_USER, USER_PIN)?;
        let keys = s.find(&template![CKA_LABEL => "shared"])?;
        assert_eq!(s.mac(CKM_SHA256_HMAC, keys[0], b"text")?, expected);
        w.module().finalize()
    };
    // SAFETY: the child calls the module, which is what is tried here, and leaves
    // by _exit.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let ended = catch_unwind(AssertUnwindSafe(begin_anew));
            // SAFETY: ends the process without the parent's exit handlers.
            unsafe { nix::libc::_exit(ended.map_or(101, |answer| i32::from(answer.is_err()))) }
        }
        ForkResult::Parent { child } => waitpid(child, None).expect("waitpid"),
    }
}

/// Web servers fork while their threads sign: the child can begin anew.
fn fork_comes_while_threads_sign(w: &World) {
    let children = fork_among_threads(w, 8, |s, key| {
        let mac = s.mac(CKM_SHA256_HMAC, key, b"other text").unwrap();
        s.check(CKM_SHA256_HMAC, key, b"other text", &mac).unwrap();
        s.random(8).unwrap();
    });
    assert_eq!(children, [true; 8]);
}

/// What a thread holds at that moment would stay locked in the child for ever: so
/// the fork waits until nobody is inside the store.
fn fork_comes_while_threads_write(w: &World) {
    let template = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
    let children = fork_among_threads(w, 20, |s, _| {
        let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        s.mac(CKM_SHA256_HMAC, made, b"text").unwrap();
        s.destroy(made).unwrap();
    });
    assert_eq!(children, [true; 20]);
}

/// A thread may be anywhere outside the store: what it has locked there stays locked
/// in the child, which needs none of it.
fn fork_comes_while_threads_open_sessions(w: &World) {
    let children = fork_among_threads(w, 20, |s, _| {
        let other = s.another(RW).unwrap();
        other.find(&template![CKA_LABEL => "shared"]).unwrap();
        other.close().unwrap();
    });
    assert_eq!(children, [true; 20]);
}

/// A thread that closes the sessions and logs in again does not lock out another
/// token's users.
fn logins_at_one_token_do_not_disturb_another(w: &World) {
    let s = w.user();
    w.make_token("neighbour");
    let neighbour = w.module().slot_of("neighbour");
    let officer = w.login(neighbour, CKU_SO, SO_PIN).unwrap();
    officer.init_pin(USER_PIN).unwrap();
    w.module().close_all(neighbour).unwrap();
    in_threads(2, |number| {
        if number == 0 {
            for _ in 0..10 {
                w.login(neighbour, CKU_USER, USER_PIN).unwrap();
                w.module().close_all(neighbour).unwrap();
            }
        } else {
            work(s, "beside");
        }
    });
    let left = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    assert_eq!(left.len(), ROUNDS / 2);
}
