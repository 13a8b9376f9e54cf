//! A token is made, opened, emptied.

use super::*;

#[test]
fn a_new_token_tells_its_label_and_that_no_user_pin_is_set() {
    each_place(|world| {
        let token = world.create_bare();
        let info = token.info().unwrap();
        assert_eq!(info.label, "token");
        assert_eq!(info.serial.len(), 16);
        assert!(info.serial.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert!(info.writable);
        let limit = settings().pin_attempts;
        let cost = Some(settings().pin_parameters);
        let state = |initialized: bool| PinState {
            initialized,
            failures: 0,
            limit,
            cost: cost.filter(|_| initialized),
        };
        assert_eq!(info.security_officer, state(true));
        assert_eq!(info.user, state(false));
        assert_eq!((token.slot(), token.principal()), (SLOT, Principal::Public));
    });
}

#[test]
fn what_was_made_is_there_when_opened_again() {
    each_place(|world| {
        let made = world.create().info().unwrap();
        let opened = world.open().info().unwrap();
        assert_eq!((made.label, made.serial), (opened.label, opened.serial));
        assert!(opened.user.initialized);
    });
}

#[test]
fn a_token_can_be_made_with_both_pins_at_once() {
    each_place(|world| {
        let make = |user_pin: &[u8]| {
            let (so_pin, user_pin) = (pin(SO_PIN), pin(user_pin));
            let surroundings = world.surroundings();
            let user_pin = Some(&user_pin);
            Token::create(
                &*world.place,
                SLOT,
                "token",
                &so_pin,
                user_pin,
                &surroundings,
                settings(),
            )
        };
        assert_eq!(make(b"123").unwrap_err(), Error::PinLenRange);
        let token = make(USER_PIN).unwrap();
        assert!(token.info().unwrap().user.initialized);
        for (user, right) in [(UserType::User, USER_PIN), (UserType::SecurityOfficer, SO_PIN)] {
            token.login(user, &pin(right)).unwrap();
            assert_eq!(token.check().unwrap().findings, []);
            token.logout().unwrap();
        }
    });
}

#[test]
fn a_token_is_seen_with_its_objects_or_not_at_all() {
    each_place(|world| {
        let (so_pin, user_pin) = (pin(SO_PIN), pin(USER_PIN));
        let new = NewToken { label: "token", so_pin: &so_pin, user_pin: Some(&user_pin) };
        let mut draft = Draft::new(new, &world.surroundings(), settings()).unwrap();
        for (label, private) in [("private", true), ("public", false)] {
            draft.objects.add(&key(label, private, &[]), true).unwrap();
        }
        assert!(world.place.slots().unwrap().is_empty());
        draft.create(&*world.place, SLOT).unwrap();
        let token = world.open_for_user();
        let found = find_all(&token, Query::default()).unwrap();
        assert_eq!(found.iter().map(|found| found.is_private).collect::<Vec<_>>(), [true, false]);
        for Found { unique_id, .. } in found {
            let live = token.get(Principal::Owner, &unique_id).unwrap().unwrap();
            assert!(live.object().value().equals(b"20 bytes of a secret"));
        }
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn two_tokens_have_two_serials() {
    let (one, other) = (World::in_memory().create_bare(), World::in_memory().create_bare());
    assert_ne!(one.info().unwrap().serial, other.info().unwrap().serial);
}

#[test]
fn a_slot_takes_one_token_only() {
    each_place(|world| {
        world.create();
        let surroundings = world.surroundings();
        for place in [Arc::clone(&world.place), world.other_place()] {
            let again = Token::create(
                &*place,
                SLOT,
                "again",
                &pin(SO_PIN),
                None,
                &surroundings,
                settings(),
            );
            assert_eq!(again.unwrap_err(), Error::SlotIdInvalid(SLOT));
        }
        assert_eq!(world.open().info().unwrap().label, "token");
    });
}

#[test]
fn a_token_is_not_made_with_a_pin_of_a_wrong_length() {
    each_place(|world| {
        for wrong in [&b""[..], b"123", &[b'1'; Pin::MAX_LEN + 1]] {
            let surroundings = world.surroundings();
            let refused = Token::create(
                &*world.place,
                SLOT,
                "token",
                &pin(wrong),
                None,
                &surroundings,
                settings(),
            );
            assert_eq!(refused.unwrap_err(), Error::PinLenRange);
        }
        assert!(world.place.slots().unwrap().is_empty());
    });
}

#[test]
fn an_empty_slot_and_a_store_without_a_token_are_told_apart() {
    let world = World::in_memory();
    let open = || Token::open(&*world.place, SLOT, &world.surroundings(), settings());
    assert_eq!(open().unwrap_err(), Error::TokenNotPresent(SLOT));
    world.place.create(SLOT.number(), Vec::new()).unwrap();
    assert_eq!(open().unwrap_err(), Error::TokenNotRecognized(SLOT));
}

#[test]
fn initialising_again_destroys_objects_and_user_pin_and_keeps_the_serial() {
    each_place(|world| {
        let token = world.create_for_user();
        let serial = token.info().unwrap().serial;
        let (private, public) =
            (insert(&token, key("k", true, &[])), insert(&token, data("d", false)));
        token.logout().unwrap();
        let other = world.open();

        token.reinitialize("anew", &pin(SO_PIN)).unwrap();
        for token in [&token, &other] {
            let info = token.info().unwrap();
            assert_eq!((&*info.label, &info.serial), ("anew", &serial));
            assert!(!info.user.initialized);
            assert!(found(token, &[]).is_empty());
            assert!(get(token, &id_of(&public)).is_none());
            let no_pin = token.login(UserType::User, &pin(USER_PIN));
            assert_eq!(no_pin, Err(Error::UserPinNotInitialized));
        }
        assert!(!private.is_current() && !public.is_current());
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        token.init_pin(Principal::SecurityOfficer, &pin(b"other")).unwrap();
        token.logout().unwrap();
        token.login(UserType::User, &pin(b"other")).unwrap();
        assert!(found(&token, &[]).is_empty());
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn initialising_again_needs_the_present_so_pin_and_counts_wrong_ones() {
    each_place(|world| {
        let token = world.create_for_user();
        insert(&token, key("k", true, &[]));
        token.logout().unwrap();
        for _ in 0..settings().pin_attempts {
            assert_eq!(token.reinitialize("anew", &pin(b"wrong")), Err(Error::PinIncorrect));
        }
        assert_eq!(token.reinitialize("anew", &pin(SO_PIN)), Err(Error::PinLocked));
        assert!(token.info().unwrap().security_officer.is_locked());
        token.login(UserType::User, &pin(USER_PIN)).unwrap();
        assert_eq!(found(&token, &[]), ["k"]);
    });
}

#[test]
fn nothing_is_initialised_again_while_anybody_is_present() {
    each_place(|world| {
        let (token, other) = (world.create(), world.open());
        let presence = other.store().present().unwrap().unwrap();
        assert_eq!(token.reinitialize("anew", &pin(SO_PIN)), Err(Error::SessionExists));
        drop(presence);
        token.reinitialize("anew", &pin(SO_PIN)).unwrap();
    });
}

#[test]
fn a_removed_token_answers_that_it_is_gone() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        world.other_place().remove(SLOT.number()).unwrap();
        let gone = Error::TokenNotPresent(SLOT);
        assert_eq!(token.refresh(), Err(gone.clone()));
        assert_eq!(token.info().unwrap_err(), gone);
        assert_eq!(token.get(Principal::Owner, &id_of(&live)).unwrap_err(), gone);
        assert_eq!(relabel(&token, &live, "other"), Err(gone));
    });
}

#[test]
fn debug_output_names_the_slot_only() {
    let token = World::in_memory().create_for_user();
    assert_eq!(format!("{token:?}"), "Token(slot 3)");
}
