//! PINs: checked, counted, locked, changed.

use super::*;

const USER: UserType = UserType::User;
const SO: UserType = UserType::SecurityOfficer;

#[test]
fn each_user_logs_in_with_the_own_pin_and_out_again() {
    each_place(|world| {
        let token = world.create();
        for (user, right, wrong, principal) in [
            (USER, USER_PIN, SO_PIN, Principal::Owner),
            (SO, SO_PIN, USER_PIN, Principal::SecurityOfficer),
        ] {
            assert_eq!(token.login(user, &pin(wrong)), Err(Error::PinIncorrect));
            assert_eq!(token.principal(), Principal::Public);
            token.login(user, &pin(right)).unwrap();
            assert_eq!(token.principal(), principal);
            token.logout().unwrap();
            assert_eq!(token.principal(), Principal::Public);
            assert_eq!(token.logout(), Err(Error::UserNotLoggedIn));
        }
    });
}

#[test]
fn one_user_is_logged_in_at_a_time() {
    let token = World::in_memory().create_for_user();
    assert_eq!(token.login(USER, &pin(USER_PIN)), Err(Error::UserAlreadyLoggedIn));
    assert_eq!(token.login(SO, &pin(SO_PIN)), Err(Error::UserAnotherAlreadyLoggedIn));
    // Who is logged in already is not told whether the PIN was right, nor is it counted.
    assert_eq!(token.login(USER, &pin(b"wrong")), Err(Error::UserAlreadyLoggedIn));
    assert_eq!(token.info().unwrap().user.failures, 0);
}

#[test]
fn logins_of_two_processes_are_apart() {
    each_place(|world| {
        let (token, other) = (world.create_for_user(), world.open());
        assert_eq!(other.principal(), Principal::Public);
        other.login(SO, &pin(SO_PIN)).unwrap();
        token.logout().unwrap();
        assert_eq!(other.principal(), Principal::SecurityOfficer);
    });
}

#[test]
fn a_context_specific_login_has_nothing_to_authenticate() {
    let token = World::in_memory().create_for_user();
    let refused = token.login(UserType::ContextSpecific, &pin(USER_PIN));
    assert_eq!(refused, Err(Error::OperationNotInitialized));
}

#[test]
fn wrong_pins_are_counted_shown_and_lock_at_the_limit() {
    each_place(|world| {
        let (token, other) = (world.create(), world.open());
        let flags = |token: &Token| {
            let user = token.info().unwrap().user;
            (user.is_count_low(), user.is_final_try(), user.is_locked())
        };
        for expected in [(false, false, false), (true, false, false), (true, true, false)] {
            assert_eq!(flags(&token), expected);
            assert_eq!(flags(&other), expected);
            assert_eq!(token.login(USER, &pin(b"wrong")), Err(Error::PinIncorrect));
        }
        assert_eq!(flags(&token), (true, false, true));
        for token in [&token, &other, &world.open()] {
            assert_eq!(token.login(USER, &pin(USER_PIN)), Err(Error::PinLocked));
        }
        assert_eq!(token.info().unwrap().security_officer.failures, 0);
    });
}

#[test]
fn a_right_pin_forgets_the_wrong_ones() {
    each_place(|world| {
        let token = world.create();
        for _ in 0..4 {
            for _ in 1..settings().pin_attempts {
                assert_eq!(token.login(USER, &pin(b"wrong")), Err(Error::PinIncorrect));
            }
            token.login(USER, &pin(USER_PIN)).unwrap();
            token.logout().unwrap();
        }
        assert_eq!(token.info().unwrap().user.failures, 0);
    });
}

#[test]
fn the_so_unlocks_by_setting_a_new_pin_and_the_keys_stay() {
    each_place(|world| {
        let token = world.create_for_user();
        insert(&token, key("k", true, &[]));
        token.logout().unwrap();
        for _ in 0..settings().pin_attempts {
            token.login(USER, &pin(b"wrong")).unwrap_err();
        }
        token.login(SO, &pin(SO_PIN)).unwrap();
        token.init_pin(Principal::SecurityOfficer, &pin(b"new-pin")).unwrap();
        token.logout().unwrap();
        assert_eq!(token.login(USER, &pin(USER_PIN)), Err(Error::PinIncorrect));
        token.login(USER, &pin(b"new-pin")).unwrap();
        assert_eq!(found(&token, &[]), ["k"]);
    });
}

#[test]
fn only_the_so_sets_the_user_pin() {
    each_place(|world| {
        let token = world.create();
        for principal in [Principal::Public, Principal::Owner] {
            let refused = token.init_pin(principal, &pin(b"new-pin"));
            assert_eq!(refused, Err(Error::UserNotLoggedIn));
        }
        // Who claims to be the SO without being logged in has no root key to wrap.
        let claimed = token.init_pin(Principal::SecurityOfficer, &pin(b"new-pin"));
        assert_eq!(claimed, Err(Error::UserNotLoggedIn));
        token.login(SO, &pin(SO_PIN)).unwrap();
        for wrong in [&b""[..], b"123", &[b'1'; Pin::MAX_LEN + 1]] {
            let refused = token.init_pin(Principal::SecurityOfficer, &pin(wrong));
            assert_eq!(refused, Err(Error::PinLenRange));
        }
        token.logout().unwrap();
        token.login(USER, &pin(USER_PIN)).unwrap();
    });
}

#[test]
fn a_changed_pin_replaces_the_old_one_in_every_process() {
    each_place(|world| {
        let (token, other) = (world.create(), world.open());
        for (user, old) in [(USER, USER_PIN), (SO, SO_PIN)] {
            token.set_pin(user, &pin(old), &pin(b"changed")).unwrap();
            assert_eq!(token.principal(), Principal::Public);
            for token in [&token, &other] {
                assert_eq!(token.login(user, &pin(old)), Err(Error::PinIncorrect));
                token.login(user, &pin(b"changed")).unwrap();
                token.logout().unwrap();
            }
        }
        assert_eq!(world.open_with(b"changed").check().unwrap().findings, []);
    });
}

#[test]
fn changing_a_pin_checks_and_counts_the_old_one() {
    each_place(|world| {
        let token = world.create();
        let change = |old: &[u8], new: &[u8]| token.set_pin(USER, &pin(old), &pin(new));
        assert_eq!(change(USER_PIN, b"123"), Err(Error::PinLenRange));
        for _ in 0..settings().pin_attempts {
            assert_eq!(change(b"wrong", b"changed"), Err(Error::PinIncorrect));
        }
        assert_eq!(change(USER_PIN, b"changed"), Err(Error::PinLocked));
        let of_nobody = token.set_pin(UserType::ContextSpecific, &pin(USER_PIN), &pin(b"changed"));
        assert_eq!(of_nobody, Err(Error::UserTypeInvalid));
    });
    let bare = World::in_memory().create_bare();
    let unset = bare.set_pin(USER, &pin(USER_PIN), &pin(b"changed"));
    assert_eq!(unset, Err(Error::UserPinNotInitialized));
}

#[test]
fn a_pin_may_hold_any_bytes_up_to_the_longest() {
    let token = World::in_memory().create();
    let longest: Vec<u8> = (0..=254).collect();
    token.set_pin(USER, &pin(USER_PIN), &pin(&longest)).unwrap();
    token.login(USER, &pin(&longest)).unwrap();
    token.logout().unwrap();
    let one_byte_less = token.login(USER, &pin(&longest[..254]));
    assert_eq!(one_byte_less, Err(Error::PinIncorrect));
}

#[test]
fn what_is_longer_than_any_pin_is_wrong_and_no_guess() {
    let token = World::in_memory().create();
    let (long, longer) = (pin(&[b'1'; Pin::MAX_LEN]), pin(&[b'1'; Pin::MAX_LEN + 1]));
    for _ in 0..=settings().pin_attempts {
        assert_eq!(token.login(USER, &longer), Err(Error::PinIncorrect));
        assert_eq!(token.set_pin(USER, &longer, &long), Err(Error::PinIncorrect));
        assert_eq!(token.reinitialize("label", &longer), Err(Error::PinIncorrect));
    }
    let info = token.info().unwrap();
    assert_eq!((info.user.failures, info.security_officer.failures), (0, 0));
    for _ in 0..settings().pin_attempts {
        assert_eq!(token.login(USER, &long), Err(Error::PinIncorrect));
    }
    assert_eq!(token.login(USER, &longer), Err(Error::PinLocked));
}

#[test]
fn many_right_logins_at_once_do_not_lock_and_many_wrong_ones_do() {
    each_place(|world| {
        world.create();
        let login = |with: &[u8]| {
            let tokens: Vec<_> = (0..8).map(|_| world.open()).collect();
            std::thread::scope(|scope| {
                let logins: Vec<_> = tokens
                    .iter()
                    .map(|token| scope.spawn(move || token.login(USER, &pin(with))))
                    .collect();
                logins.into_iter().map(|login| login.join().unwrap()).collect::<Vec<_>>()
            })
        };
        assert!(login(USER_PIN).iter().all(Result::is_ok));
        let wrong = login(b"wrong");
        let counted = wrong.iter().filter(|result| **result == Err(Error::PinIncorrect)).count();
        assert_eq!(counted, settings().pin_attempts as usize);
        let locked = wrong.iter().filter(|result| **result == Err(Error::PinLocked)).count();
        assert_eq!(counted + locked, wrong.len());
    });
}

impl World {
    fn open_with(&self, user_pin: &[u8]) -> Token {
        let token = self.open();
        token.login(USER, &pin(user_pin)).unwrap();
        token
    }
}
