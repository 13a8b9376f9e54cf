//! Many threads in one application.

use super::*;
use crate::session::Cancel;
use crate::types::AttributeType as A;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const THREADS: usize = 8;

/// Runs `work` with the numbers of that many threads.
fn each_thread(work: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

#[test]
fn threads_with_sessions_of_their_own_get_the_right_macs() {
    let module = ready();
    let first = user_session(&module);
    let shared = [token_key(&module, first), public_key(&module, first)];
    each_thread(|_| {
        let session = module.open_session(SLOT, true).unwrap();
        for _ in 0..30 {
            let own = token_key(&module, session);
            for key in [shared[0], shared[1], own] {
                assert_signs(&module, session, key);
            }
            module.destroy_object(session, own).unwrap();
        }
        module.close_session(session).unwrap();
    });
    assert_eq!(found(&module, first, &[]).len(), 2);
}

#[test]
fn logins_and_logouts_in_between_give_errors_that_say_so_and_never_a_wrong_mac() {
    // Few, so that keys are closed and opened all the time.
    let module = ready_keeping(4);
    let keeper = module.open_session(SLOT, true).unwrap();
    let signed = AtomicUsize::new(0);
    let expected = |error: &Error| {
        matches!(
            error,
            Error::UserNotLoggedIn
                | Error::UserAlreadyLoggedIn
                | Error::KeyHandleInvalid(_)
                | Error::ObjectHandleInvalid(_)
                | Error::OperationNotInitialized
        )
    };
    let tolerate = |result: Result<()>| {
        if let Err(error) = result {
            assert!(expected(&error), "{error:?}");
        }
    };
    each_thread(|thread| {
        let session = module.open_session(SLOT, true).unwrap();
        for round in 0..60 {
            tolerate(module.login(session, USER, &pin(USER_PIN)));
            let private: &[u8] = if round % 2 == 0 { TRUE } else { FALSE };
            match try_key(&module, session, &[(A::Token, TRUE), (A::Private, private)]) {
                Ok(key) => {
                    match sign(&module, session, key, QUESTION) {
                        Ok(mac) => {
                            assert_eq!(hex(&mac), JEFE);
                            signed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => assert!(expected(&error), "{error:?}"),
                    }
                    tolerate(module.destroy_object(session, key));
                }
                Err(error) => assert!(expected(&error), "{error:?}"),
            }
            // Whatever the logout of another thread has left under way.
            module.session_cancel(session, Cancel::SIGN).unwrap();
            if (round + thread) % 7 == 0 {
                tolerate(module.logout(session));
            }
        }
    });
    assert!(signed.load(Ordering::Relaxed) > 0);
    if let Err(error) = module.login(keeper, USER, &pin(USER_PIN)) {
        assert_eq!(error, Error::UserAlreadyLoggedIn);
    }
    let key = token_key(&module, keeper);
    assert_signs(&module, keeper, key);
}

#[test]
fn a_login_in_another_thread_disturbs_no_public_key() {
    let module = ready();
    let session = module.open_session(SLOT, true).unwrap();
    // Takes so long to prepare that a login falls into it.
    let value = vec![7; 65_536];
    let (class, kind) = (ck(ObjectClass::SecretKey.to_ck()), ck(KeyType::GenericSecret.to_ck()));
    let long =
        [(A::Class, &class[..]), (A::KeyType, &kind), (A::Value, &value), (A::Private, FALSE)];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let session = module.open_session(SLOT, true).unwrap();
            for _ in 0..200 {
                module.login(session, USER, &pin(USER_PIN)).unwrap();
                module.logout(session).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let key = module.create_object(session, &raw(&long)).unwrap();
            sign(&module, session, key, QUESTION).unwrap();
            module.destroy_object(session, key).unwrap();
        }
    });
}

#[test]
fn of_many_threads_that_destroy_one_key_one_succeeds() {
    let module = ready();
    let first = user_session(&module);
    for more in [&[(A::Token, TRUE)][..], &[]] {
        for _ in 0..20 {
            let key = key(&module, first, more);
            let destroyed = AtomicUsize::new(0);
            each_thread(|_| {
                let session = module.open_session(SLOT, true).unwrap();
                match module.destroy_object(session, key) {
                    Ok(()) => {
                        destroyed.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => assert_eq!(error, Error::ObjectHandleInvalid(key)),
                }
            });
            assert_eq!(destroyed.load(Ordering::SeqCst), 1);
        }
    }
}

/// Whichever comes first, the beginning or the destruction, nothing goes on with a key
/// that is gone.
#[test]
fn no_operation_outlives_a_key_that_is_destroyed_while_it_begins() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, true).unwrap());
    for _ in 0..5000 {
        let key = public_key(&module, one);
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                if let Err(error) = sign_init(&module, two, key) {
                    assert_eq!(error, Error::KeyHandleInvalid(key));
                }
            });
            start.wait();
            module.destroy_object(one, key).unwrap();
        });
        let goes_on = module.mac_update(two, Purpose::Sign, b"text");
        assert_eq!(goes_on, Err(Error::OperationNotInitialized));
    }
}

#[test]
fn no_private_session_object_outlives_a_logout_that_comes_while_it_is_made() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, true).unwrap());
    for _ in 0..2000 {
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                if let Err(error) = try_key(&module, two, &[]) {
                    assert_eq!(error, Error::UserNotLoggedIn);
                }
            });
            start.wait();
            module.logout(one).unwrap();
        });
        module.login(one, USER, &pin(USER_PIN)).unwrap();
        assert!(found(&module, two, &[]).is_empty());
    }
}

/// A key that was opened before the login lacks its value: nobody may take that for a
/// value of no bytes.
#[test]
fn a_key_that_is_used_while_the_user_logs_in_has_its_value_or_none() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, true).unwrap());
    let open =
        [(A::Token, TRUE), (A::Private, FALSE), (A::Sensitive, FALSE), (A::Extractable, TRUE)];
    let key = key(&module, one, &open);
    module.logout(one).unwrap();
    for _ in 0..1000 {
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                match read(&module, two, key, A::Value) {
                    Ok(value) => assert_eq!(value, b"Jefe"),
                    Err(error) => assert_eq!(error, Error::AttributeSensitive(A::Value)),
                }
                match module.copy_object(two, key, &raw(&[(A::Token, FALSE)])) {
                    Ok(copy) => {
                        assert_eq!(read(&module, two, copy, A::ValueLen).unwrap(), ck(4));
                        assert_signs(&module, two, copy);
                        module.destroy_object(two, copy).unwrap();
                    }
                    Err(error) => assert_eq!(error, Error::UserNotLoggedIn),
                }
            });
            start.wait();
            module.login(one, USER, &pin(USER_PIN)).unwrap();
        });
        module.logout(one).unwrap();
    }
}

#[test]
fn sessions_open_and_close_while_others_close_them_all() {
    let module = ready();
    each_thread(|thread| {
        for _ in 0..100 {
            let session = module.open_session(SLOT, thread % 2 == 0).unwrap();
            let made = try_key(&module, session, &[(A::Private, FALSE)]);
            if let Err(error) = made {
                assert_eq!(error, Error::SessionHandleInvalid(session));
            }
            if thread == 0 {
                module.close_all_sessions(SLOT).unwrap();
            } else if let Err(error) = module.close_session(session) {
                assert_eq!(error, Error::SessionHandleInvalid(session));
            }
        }
    });
    module.close_all_sessions(SLOT).unwrap();
    let info = module.token_info(SLOT).unwrap();
    assert_eq!((info.sessions, info.read_write_sessions), (0, 0));
    let session = module.open_session(SLOT, false).unwrap();
    assert!(found(&module, session, &[]).is_empty(), "no object outlived its session");
}
