//! The root key is replaced, and everybody goes on.

use super::wrapped::WrappedPlace;
use super::*;
use crate::token::record::{HEADER, PRIVATE, PUBLIC, SET};

const USER: UserType = UserType::User;
const SO: UserType = UserType::SecurityOfficer;

/// A token with objects of every sort, into which the user has logged in.
fn filled(world: &World) -> Token {
    let token = world.create();
    insert(&token, data("unbound", false));
    token.login(USER, &pin(USER_PIN)).unwrap();
    insert(&token, key("private", true, &[]));
    insert(&token, key("public", false, &[]));
    insert(&token, data("bound", false));
    insert(&token, data("secret", true));
    token
}

const LABELS: [&str; 5] = ["bound", "private", "public", "secret", "unbound"];

fn rotate(token: &Token) -> u64 {
    token.rotate_root_key(token.principal()).unwrap()
}

/// Every record as it stands in the store.
fn records(token: &Token) -> Vec<crate::store::Record> {
    [HEADER, CREDENTIAL, SET, PRIVATE, PUBLIC]
        .into_iter()
        .flat_map(|kind| token.store.find(kind, &[], None, usize::MAX).unwrap().records)
        .collect()
}

/// All is there, found by label, opens with its value, and is counted.
fn assert_whole(token: &Token) {
    assert_eq!(found(token, &[]), LABELS);
    for label in LABELS {
        assert_eq!(found(token, &[(AttributeType::Label, label.as_bytes())]), [label]);
    }
    for Found { unique_id, .. } in find_all(token, query(&[])).unwrap() {
        let live = get(token, &unique_id).unwrap();
        assert!(live.is_complete());
        assert!(!live.object().value().is_empty() || live.object().class() == ObjectClass::Data);
    }
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn everything_is_sealed_anew_in_one_commit_and_both_pins_stay() {
    each_place(|world| {
        let token = filled(world);
        let made = token.info().unwrap().root_key_made;
        let (before, sequence) = (records(&token), token.store.sequence().unwrap());
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(rotate(&token), 4);
        assert_eq!(token.store.sequence().unwrap().0, sequence.0 + 1);
        assert_eq!(token.info().unwrap().root_key_made, made + Duration::from_secs(3600));
        for (old, new) in before.iter().zip(records(&token)) {
            assert_eq!((old.kind, &old.id), (new.kind, &new.id));
            let anew = (new.version, old.body != new.body) == (old.version + 1, true);
            let unbound = old.kind == PUBLIC && *old == new;
            assert!(anew || unbound, "{:?} {}", old.kind, old.id);
        }
        assert_whole(&token);
        token.logout().unwrap();
        for (user, right) in [(SO, SO_PIN), (USER, USER_PIN)] {
            token.login(user, &pin(right)).unwrap();
            token.logout().unwrap();
        }
        assert_whole(&world.open_for_user());
    });
}

#[test]
fn whoever_is_logged_in_elsewhere_goes_on() {
    each_place(|world| {
        let here = filled(world);
        let (there, officer) = (world.open_for_user(), world.open());
        officer.login(SO, &pin(SO_PIN)).unwrap();
        let id = find_all(&there, query(&[])).unwrap().remove(0).unique_id;
        let seen = get(&there, &id).unwrap();
        for _ in 0..3 {
            rotate(&here);
            assert_whole(&there);
            assert!(!seen.is_current());
            // What they write is under the new key: the others read it.
            let made = insert(&there, key("made there", true, &[]));
            assert_eq!(label_of(&get(&here, &id_of(&made)).unwrap()), "made there");
            there.remove(Principal::Owner, &made).unwrap().unwrap();
        }
        officer.init_pin(Principal::SecurityOfficer, &pin(b"another")).unwrap();
        assert_eq!(here.check().unwrap().findings, []);
        let user = world.open();
        user.login(USER, &pin(b"another")).unwrap();
        assert_whole(&user);
    });
}

#[test]
fn whoever_logged_in_by_a_pin_that_was_set_anew_is_logged_out() {
    each_place(|world| {
        let there = filled(world);
        let seen = find_all(&there, query(&[])).unwrap();
        let here = world.open();
        here.set_pin(USER, &pin(USER_PIN), &pin(b"changed")).unwrap();
        here.login(USER, &pin(b"changed")).unwrap();
        assert_whole(&there);
        rotate(&here);
        let refused = there.find_next(Principal::Owner, &mut Search::new(query(&[])));
        assert_eq!(refused, Err(Error::UserNotLoggedIn));
        assert_eq!(there.principal(), Principal::Public);
        assert_eq!(there.login(USER, &pin(USER_PIN)), Err(Error::PinIncorrect));
        there.login(USER, &pin(b"changed")).unwrap();
        assert_eq!(find_all(&there, query(&[])).unwrap(), seen);
        assert_whole(&here);
    });
}

#[test]
fn whoever_has_changed_the_own_pin_while_logged_in_goes_on() {
    each_place(|world| {
        let there = filled(world);
        there.set_pin(USER, &pin(USER_PIN), &pin(b"changed")).unwrap();
        let here = world.open();
        here.login(USER, &pin(b"changed")).unwrap();
        rotate(&here);
        assert_whole(&there);
    });
}

#[test]
fn whoever_changes_the_own_pin_after_a_root_key_that_was_not_noticed_goes_on() {
    each_place(|world| {
        let here = filled(world);
        for (user, right) in [(SO, SO_PIN), (USER, USER_PIN)] {
            let there = world.open();
            there.login(user, &pin(right)).unwrap();
            rotate(&here);
            there.set_pin(user, &pin(right), &pin(b"changed")).unwrap();
            assert_ne!(there.principal(), Principal::Public);
            assert_eq!(there.check().unwrap().findings, []);
        }
    });
}

#[test]
fn those_who_logged_in_at_once_while_their_credential_was_renewed_go_on() {
    each_place(|world| {
        let token = filled(world);
        outdate(&token, "user", USER_PIN);
        token.logout().unwrap();
        let tokens: Vec<_> = (0..4).map(|_| world.open()).collect();
        std::thread::scope(|scope| {
            for token in &tokens {
                scope.spawn(|| token.login(USER, &pin(USER_PIN)).unwrap());
            }
        });
        rotate(&tokens[0]);
        tokens.iter().for_each(assert_whole);
    });
}

#[test]
fn a_credential_of_the_first_format_is_named_and_nothing_is_replaced() {
    each_place(|world| {
        let token = filled(world);
        outdate(&token, "so", SO_PIN);
        let before = records(&token);
        let refused = token.rotate_root_key(Principal::Owner);
        assert_eq!(refused, Err(Error::CredentialOutdated("so".into())));
        assert_eq!(records(&token), before);
        token.logout().unwrap();
        token.login(SO, &pin(SO_PIN)).unwrap();
        token.logout().unwrap();
        token.login(USER, &pin(USER_PIN)).unwrap();
        rotate(&token);
        assert_whole(&token);
    });
}

#[test]
fn only_the_user_may() {
    each_place(|world| {
        let token = world.create();
        for principal in [Principal::Public, Principal::SecurityOfficer, Principal::Owner] {
            assert_eq!(token.rotate_root_key(principal), Err(Error::UserNotLoggedIn));
        }
        token.login(SO, &pin(SO_PIN)).unwrap();
        let refused = token.rotate_root_key(Principal::SecurityOfficer);
        assert_eq!(refused, Err(Error::UserNotLoggedIn));
    });
}

#[test]
fn a_rotation_that_fails_half_way_leaves_everything_as_it_was() {
    each_place(|world| {
        let token = filled(world);
        let before = records(&token);
        let mut failures = 0;
        for parts in 0.. {
            let place = WrappedPlace::new(world);
            let here = place.open(world, settings());
            here.login(USER, &pin(USER_PIN)).unwrap();
            place.store.fail_after_parts(parts);
            if here.rotate_root_key(Principal::Owner).is_ok() {
                break;
            }
            failures += 1;
            assert_eq!(records(&token), before, "after {parts} parts");
            assert_whole(&here);
        }
        // Header, credentials, private and public objects, the audit key, the set, and the
        // end.
        assert_eq!(failures, 7);
        assert_whole(&token);
    });
}

#[test]
fn what_was_damaged_before_is_not_taken_over() {
    each_place(|world| {
        let token = filled(world);
        let record = token.store.find(PRIVATE, &[], None, 1).unwrap().records.remove(0);
        let (kind, id, expected) = (record.kind, record.id, record.version);
        let removal = Change::Remove { kind, id, expected };
        token.store.write(&mut |_| Ok(vec![removal.clone()])).unwrap();
        let before = records(&token);
        let refused = token.rotate_root_key(Principal::Owner);
        assert!(matches!(refused, Err(Error::FunctionFailed(_))), "{refused:?}");
        assert_eq!(records(&token), before);
    });
}

/// A process reads, then another replaces the root key, then the first goes on.
#[test]
fn a_root_key_that_is_replaced_between_two_steps_is_followed() {
    each_place(|world| {
        let there = Arc::new(filled(world));
        let place = WrappedPlace::new(world);
        let here = place.open(world, settings());
        here.login(USER, &pin(USER_PIN)).unwrap();
        let rotating = || {
            let there = Arc::clone(&there);
            move || assert!(rotate(&there) > 0)
        };
        let id = find_all(&here, query(&[])).unwrap().remove(0).unique_id;

        // A search whose tags are of the old key finds what is there all the same.
        let rotated = Arc::clone(&there);
        let mut once = Some(());
        place.store.after_find(PRIVATE, move || {
            if once.take().is_some() {
                rotate(&rotated);
            }
        });
        assert_eq!(found(&here, &[(AttributeType::Label, b"private")]), ["private"]);

        // A record that was read before opens all the same.
        place.store.after_get(rotating());
        assert_eq!(label_of(&get(&here, &id).unwrap()), "private");
        rotate(&there);
        assert_eq!(here.check().unwrap().findings, []);
        let rotated = Arc::clone(&there);
        let mut once = Some(());
        place.store.after_find(HEADER, move || {
            if once.take().is_some() {
                rotate(&rotated);
            }
        });
        assert_eq!(here.check().unwrap().findings, []);
        assert_eq!(label_of(&get(&here, &id).unwrap()), "private");

        // What is changed is sealed under the new one.
        let live = get(&here, &id).unwrap();
        rotate(&there);
        relabel(&here, &live, "changed").unwrap().unwrap();
        rotate(&there);
        insert(&here, key("made", true, &[]));
        assert_eq!(there.check().unwrap().findings, []);
        let labels = ["bound", "changed", "made", "public", "secret", "unbound"];
        assert_eq!(found(&there, &[]), labels);
    });
}

/// The PIN is right whether or not the root key is replaced while it is checked.
#[test]
fn a_root_key_that_is_replaced_during_a_login_or_a_change_of_pin_is_followed() {
    each_place(|world| {
        let there = Arc::new(filled(world));
        let place = WrappedPlace::new(world);
        let here = Arc::new(place.open(world, settings()));
        let rotating = || {
            let (there, here) = (Arc::clone(&there), Arc::clone(&here));
            move || {
                assert!(rotate(&there) > 0);
                // Another thread of this process notices before the login is there.
                here.refresh().unwrap();
            }
        };
        place.store.after_get(rotating());
        here.login(USER, &pin(USER_PIN)).unwrap();
        assert_whole(&here);
        here.logout().unwrap();
        place.store.after_get(rotating());
        here.set_pin(USER, &pin(USER_PIN), &pin(b"changed")).unwrap();
        here.login(USER, &pin(b"changed")).unwrap();
        assert_whole(&here);
        assert_eq!(here.info().unwrap().user.failures, 0);
    });
}

#[test]
fn a_header_that_claims_another_root_key_is_found_and_nothing_is_written_under_it() {
    each_place(|world| {
        let token = filled(world);
        rotate(&token);
        let store = world.other_place().open(SLOT.number()).unwrap();
        let record = store.get(HEADER, &record_id("token").unwrap()).unwrap().unwrap();
        let header: Header = minicbor::decode(&record.body).unwrap();
        let foreign = Vault::new(&header.serial, &OsEntropy).unwrap();
        let edited = header.under(&foreign, UNIX_EPOCH).put(record.version).unwrap();
        store.write(&mut |_| Ok(vec![edited.clone()])).unwrap();
        assert_eq!(found(&token, &[]), LABELS);
        assert!(!token.check().unwrap().findings.is_empty());
        let damaged = Error::RecordDamaged("token".into());
        let made = token.insert(Principal::Owner, Action::ImportObject, key("k", true, &[]));
        assert_eq!(made.unwrap_err(), damaged);
        assert_eq!(token.rotate_root_key(Principal::Owner), Err(damaged.clone()));
        assert_eq!(token.set_pin(USER, &pin(USER_PIN), &pin(b"changed")), Err(damaged));
    });
}
