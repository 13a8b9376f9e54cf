//! Objects: who sees, makes, changes and destroys them.

use super::*;

#[test]
fn a_private_object_exists_for_its_owner_only() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        let id = id_of(&live);
        assert!(live.is_complete() && live.is_current());
        assert_eq!(get(&token, &id).unwrap().object().value().expose(), b"20 bytes of a secret");
        token.logout().unwrap();
        assert!(!live.is_current(), "what the login opened is outdated");
        assert!(get(&token, &id).is_none());
        assert!(found(&token, &[]).is_empty());
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        assert!(get(&token, &id).is_none());
        assert!(found(&token, &[]).is_empty());
    });
}

#[test]
fn a_public_key_is_described_without_a_login_but_has_no_value_then() {
    each_place(|world| {
        let token = world.create_for_user();
        let id = id_of(&insert(&token, key("k", false, &[(AttributeType::Id, b"\x01")])));
        for token in [token, world.open()] {
            if token.principal() != Principal::Public {
                token.logout().unwrap();
            }
            let live = get(&token, &id).unwrap();
            assert_eq!(label_of(&live), "k");
            assert!(!live.is_complete());
            assert!(live.object().value().is_empty());
            let length = live.object().read(AttributeType::ValueLen.to_ck()).unwrap();
            assert_eq!(*length, Ulong::to_ne_bytes(20), "the length is no secret");
            let change = relabel(&token, &live, "other");
            assert_eq!(change, Err(Error::UserNotLoggedIn));
            assert_eq!(token.remove(Principal::Public, &live), Err(Error::UserNotLoggedIn));
            token.login(UserType::User, &pin(USER_PIN)).unwrap();
            assert!(!live.is_current());
            let live = get(&token, &id).unwrap();
            assert!(live.is_complete());
            assert_eq!(live.object().value().len(), 20);
        }
    });
}

#[test]
fn nobody_but_the_owner_makes_keys_or_private_objects() {
    each_place(|world| {
        let token = world.create();
        let make =
            |token: &Token, object| token.insert(token.principal(), Action::CreateKey, object);
        for object in [key("k", true, &[]), key("k", false, &[]), data("d", true)] {
            assert_eq!(make(&token, object).unwrap_err(), Error::UserNotLoggedIn);
        }
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        for object in [key("k", true, &[]), key("k", false, &[]), data("d", true)] {
            assert_eq!(make(&token, object).unwrap_err(), Error::UserNotLoggedIn);
        }
        token.logout().unwrap();
        assert!(found(&world.open_for_user(), &[]).is_empty());
    });
}

#[test]
fn a_public_session_changes_what_it_made_and_not_what_a_login_made() {
    each_place(|world| {
        let token = world.create_for_user();
        let bound = id_of(&insert(&token, data("bound", false)));
        token.logout().unwrap();
        let unbound = insert(&token, data("unbound", false));
        assert!(unbound.is_complete());
        relabel(&token, &unbound, "renamed").unwrap().unwrap();
        assert_eq!(label_of(&get(&token, &id_of(&unbound)).unwrap()), "renamed");

        let live = get(&token, &bound).unwrap();
        assert_eq!(live.object().value().expose(), b"a data object's value");
        assert_eq!(relabel(&token, &live, "renamed"), Err(Error::UserNotLoggedIn));
        assert_eq!(token.remove(Principal::Public, &live), Err(Error::UserNotLoggedIn));

        let unbound = get(&token, &id_of(&unbound)).unwrap();
        token.remove(Principal::Public, &unbound).unwrap().unwrap();
        token.login(UserType::User, &pin(USER_PIN)).unwrap();
        assert_eq!(found(&token, &[]), ["bound"]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn the_owner_changes_and_removes_what_a_public_session_made() {
    each_place(|world| {
        let token = world.create();
        let kept = id_of(&insert(&token, data("kept", false)));
        let gone = id_of(&insert(&token, data("gone", false)));
        token.login(UserType::User, &pin(USER_PIN)).unwrap();
        relabel(&token, &get(&token, &kept).unwrap(), "renamed").unwrap().unwrap();
        token.remove(Principal::Owner, &get(&token, &gone).unwrap()).unwrap().unwrap();
        assert_eq!(found(&token, &[]), ["renamed"]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_change_is_there_for_all_and_the_old_object_is_outdated() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("before", true, &[]));
        relabel(&token, &live, "after").unwrap().unwrap();
        assert!(!live.is_current());
        for token in [&token, &world.open_for_user()] {
            let now = get(token, &id_of(&live)).unwrap();
            assert_eq!(label_of(&now), "after");
            assert_eq!(now.object().value().expose(), b"20 bytes of a secret");
            assert_eq!(found(token, &[(AttributeType::Label, b"after")]), ["after"]);
            assert!(found(token, &[(AttributeType::Label, b"before")]).is_empty());
        }
    });
}

#[test]
fn a_refused_change_changes_nothing() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        let sequence = token.store().sequence().unwrap();
        let refused = token.update(Principal::Owner, &live, &mut |_| {
            Err(Error::AttributeReadOnly(AttributeType::Class))
        });
        assert_eq!(refused, Err(Error::AttributeReadOnly(AttributeType::Class)));
        token.refresh().unwrap();
        assert_eq!(token.store().sequence().unwrap(), sequence);
        assert!(live.is_current());
    });
}

#[test]
fn what_is_not_destroyable_stays() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[(AttributeType::Destroyable, FALSE)]));
        let refused = token.remove(Principal::Owner, &live);
        assert!(matches!(refused, Err(Error::ActionProhibited(_))), "{refused:?}");
        assert!(live.is_current());
        assert_eq!(found(&token, &[]), ["k"]);
    });
}

#[test]
fn what_is_gone_is_reported_as_gone() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        token.remove(Principal::Owner, &live).unwrap().unwrap();
        assert!(!live.is_current());
        assert!(get(&token, &id_of(&live)).is_none());
        assert_eq!(token.remove(Principal::Owner, &live), Ok(None));
        assert_eq!(relabel(&token, &live, "other"), Ok(None));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn no_update_is_lost_among_many_at_once() {
    each_place(|world| {
        let token = world.create_for_user();
        let id = id_of(&insert(&token, key("", true, &[])));
        let tokens = [token, world.open_for_user()];
        let letters = b"abcdefgh";
        std::thread::scope(|scope| {
            for (index, letter) in letters.iter().enumerate() {
                let (token, id) = (&tokens[index % 2], &*id);
                scope.spawn(move || append(token, id, *letter, 5));
            }
        });
        for token in &tokens {
            let mut label = label_of(&get(token, &id).unwrap()).into_bytes();
            label.sort_unstable();
            let expected: Vec<u8> = letters.iter().flat_map(|letter| [*letter; 5]).collect();
            assert_eq!(label, expected);
            assert_eq!(token.check().unwrap().findings, []);
        }
    });
}

/// Adds a letter to the label, some times.
fn append(token: &Token, id: &str, letter: u8, times: usize) {
    for _ in 0..times {
        let live = get(token, id).unwrap();
        let appended = token.update(Principal::Owner, &live, &mut |present| {
            let mut label = present.bytes(AttributeType::Label).to_vec();
            label.push(letter);
            let template = [RawAttribute { number: AttributeType::Label.to_ck(), value: &label }];
            Ok(crate::object::request::Changes::set(present, &template, false)?.applied(present))
        });
        appended.unwrap().unwrap();
    }
}
