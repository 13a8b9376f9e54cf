//! Logins of named users.

use super::wrapped::WrappedPlace;
use super::*;
use crate::policy::LoginNumber;

const USER: UserType = UserType::User;
const SO: UserType = UserType::SecurityOfficer;

/// As `C_Login` of `CKU_USER` does.
fn login(token: &Token, text: &str) -> Result<()> {
    token.login(USER, &pin(text.as_bytes()))
}

fn bob() -> String {
    format!("bob:{}", str::from_utf8(BOB_PIN).unwrap())
}

fn failures(token: &Token) -> (u32, u32) {
    (token.pin_state(USER).unwrap().failures, token.pin_state(name("bob")).unwrap().failures)
}

#[test]
fn a_named_user_logs_in_by_name_or_by_a_pin_that_begins_with_it() {
    each_place(|world| {
        let owner = with_mighty_bob(world);
        insert(&owner, key("k", true, &[]));
        let token = world.open();
        for round in 0..2 {
            token.login_user(USER, ["bob", "BOB"][round], &pin(BOB_PIN)).unwrap();
            assert_eq!(found(&token, &[]), ["k"]);
            assert_eq!(token.named_login().unwrap().user.entity.name.as_str(), "Bob");
            token.logout().unwrap();
            assert_eq!(token.principal(), Principal::Public);
            assert!(token.named_login().is_none());
            login(&token, &bob()).unwrap();
            assert_eq!(found(&token, &[]), ["k"]);
            token.logout().unwrap();
        }
        // Without a name it is the owner.
        token.login_user(USER, "", &pin(USER_PIN)).unwrap();
        assert_eq!(token.principal(), Principal::Owner);
    });
}

#[test]
fn each_login_has_a_number_of_its_own() {
    let token = with_bob(&World::in_memory());
    token.logout().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        login(&token, &bob()).unwrap();
        let principal = token.principal();
        assert!(matches!(principal, Principal::Named(LoginNumber(_))));
        assert!(!seen.contains(&principal));
        token.logout().unwrap();
        // What the login before could do, the next cannot do in its place.
        assert_eq!(token.vault_of(principal).unwrap_err(), Error::UserNotLoggedIn);
        seen.push(principal);
    }
}

#[test]
fn nobody_learns_from_the_answer_whether_a_name_is_there() {
    each_place(|world| {
        let token = with_bob(world);
        token.logout().unwrap();
        for unknown in ["alice", "no name", "role/x", "é", &"x".repeat(70)] {
            let refused = token.login_user(USER, unknown, &pin(BOB_PIN));
            assert_eq!(refused, Err(Error::PinIncorrect), "{unknown}");
        }
        let wrong = pin(b"wrong-pin");
        let before = token.store.reservations().unwrap();
        assert_eq!(token.login_user(USER, "bob", &wrong), Err(Error::PinIncorrect));
        let counted = token.store.reservations().unwrap();
        assert_eq!(token.login_user(USER, "alice", &wrong), Err(Error::PinIncorrect));
        assert_eq!(token.store.reservations().unwrap() - counted, counted - before);
        assert_eq!(failures(&token), (0, 1));
        for too_long in ["bob", "alice"] {
            let refused = token.login_user(USER, too_long, &pin(&[b'1'; 256]));
            assert_eq!(refused, Err(Error::PinIncorrect));
        }
        assert_eq!(failures(&token), (0, 1));
        let refused = token.login_user(SO, "bob", &pin(BOB_PIN));
        assert_eq!(refused, Err(Error::UserTypeInvalid));
        let refused = token.login_user(UserType::ContextSpecific, "bob", &pin(BOB_PIN));
        assert_eq!(refused, Err(Error::OperationNotInitialized));
    });
}

#[test]
fn each_user_has_a_counter_of_wrong_pins() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = world.open();
        for _ in 0..3 {
            assert_eq!(login(&token, "bob:wrong"), Err(Error::PinIncorrect));
        }
        assert_eq!(failures(&token), (0, 3));
        assert_eq!(login(&token, &bob()), Err(Error::PinLocked));
        let locked = token.login_user(USER, "bob", &pin(BOB_PIN));
        assert_eq!(locked, Err(Error::PinLocked));
        login(&token, str::from_utf8(USER_PIN).unwrap()).unwrap();
        token.logout().unwrap();
        owner.set_user_pin(Principal::Owner, &name("bob"), &pin(b"reset")).unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));
        login(&token, "bob:reset").unwrap();
        assert_eq!(failures(&token), (0, 0));
    });
}

#[test]
fn a_pin_with_a_colon_is_the_owner_s_where_it_names_nobody() {
    each_place(|world| {
        let token = with_bob(world);
        token.logout().unwrap();
        for wrong in ["alice:1234", "bo:b:1234", ":1234", "not a name:1234"] {
            token.store.forgive(&record_id("user").unwrap()).unwrap();
            assert_eq!(login(&token, wrong), Err(Error::PinIncorrect));
            assert_eq!(failures(&token), (1, 0), "{wrong}");
        }
        // A named user's own PIN may have colons.
        login(&token, &bob()).unwrap();
        token.set_pin(name("bob"), &pin(BOB_PIN), &pin(b"a:b:c")).unwrap();
        token.logout().unwrap();
        login(&token, "bob:a:b:c").unwrap();
    });
}

#[test]
fn while_the_owner_s_pin_has_a_colon_no_pin_names_a_user() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = world.open();
        owner.set_pin(USER, &pin(USER_PIN), &pin(b"bob:owner")).unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));
        assert_eq!(failures(&token), (1, 0), "it was taken for the owner's");
        login(&token, "bob:owner").unwrap();
        assert_eq!(token.principal(), Principal::Owner);
        token.logout().unwrap();
        token.login_user(USER, "bob", &pin(BOB_PIN)).unwrap();
        token.logout().unwrap();

        // The fact is part of what is sealed, and outlives another root key.
        owner.rotate_root_key(Principal::Owner).unwrap();
        assert_eq!(owner.check().unwrap().findings, []);
        login(&token, "bob:owner").unwrap();
        token.logout().unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));

        owner.set_pin(USER, &pin(b"bob:owner"), &pin(USER_PIN)).unwrap();
        login(&token, &bob()).unwrap();
        token.logout().unwrap();
        let officer = world.open();
        officer.login(SO, &pin(SO_PIN)).unwrap();
        officer.init_pin(Principal::SecurityOfficer, &pin(b"set:anew")).unwrap();
        login(&token, "set:anew").unwrap();
        token.logout().unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));
    });
}

/// A PIN that was set before anything was noted of it.
#[test]
fn the_owner_s_login_notes_a_colon_that_was_not_noted() {
    each_place(|world| {
        let token = world.create_for_user();
        token.set_pin(USER, &pin(USER_PIN), &pin(b"a:b-owner")).unwrap();
        outdate(&token, "user", b"a:b-owner");
        assert!(!token.credential(&USER.into()).unwrap().unwrap().credential.has_colon());
        token.logout().unwrap();
        login(&token, "a:b-owner").unwrap();
        assert!(token.credential(&USER.into()).unwrap().unwrap().credential.has_colon());
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn one_login_at_a_time() {
    each_place(|world| {
        let token = with_bob(world);
        token.add_user(Principal::Owner, &name("alice"), &pin(b"alice-pin")).unwrap();
        let (same, other) = (Error::UserAlreadyLoggedIn, Error::UserAnotherAlreadyLoggedIn);
        let owner = str::from_utf8(USER_PIN).unwrap();
        for (text, refusal) in [(owner, &same), (&bob(), &other), ("alice:wrong", &other)] {
            assert_eq!(login(&token, text).as_ref(), Err(refusal), "{text}");
        }
        let named = |who: &str| token.login_user(USER, who, &pin(BOB_PIN));
        assert_eq!(named("nobody"), Err(other.clone()));
        token.logout().unwrap();
        login(&token, &bob()).unwrap();
        for (text, refusal) in [(owner, &other), (&bob(), &same), ("alice:wrong", &other)] {
            assert_eq!(login(&token, text).as_ref(), Err(refusal), "{text}");
        }
        assert_eq!((named("BOB"), named("alice")), (Err(same), Err(other.clone())));
        assert_eq!(token.login(SO, &pin(SO_PIN)), Err(other));
        assert_eq!(failures(&token), (0, 0));
    });
}

#[test]
fn a_named_user_uses_keys_and_administers_nothing() {
    each_place(|world| {
        with_mighty_bob(world);
        let token = open_for_bob(world);
        let who = token.principal();
        let live = insert(&token, key("made by bob", true, &[]));
        relabel(&token, &live, "changed").unwrap().unwrap();
        assert_eq!(found(&token, &[]), ["changed"]);
        let bob = Identity::User(name("bob"));
        let refusals = [
            token.rotate_root_key(who).map(drop),
            token.add_user(who, &name("eve"), &pin(b"1234")).map(drop),
            token.users(who).map(drop),
            token.user(who, &name("bob")).map(drop),
            token.user_pin(who, &name("bob")).map(drop),
            token.set_user_pin(who, &name("bob"), &pin(b"1234")),
            token.remove_user(who, &name("bob")),
            token.put_identity_policy(who, &bob, "all", POLICY),
            token.set_identity_disabled(who, &bob, false),
            token.add_role(who, &name("r"), TRUST).map(drop),
            token.roles(who).map(drop),
            token.remove_role(who, &name("r")),
            token.create_access_key(who, Some(&name("bob"))).map(drop),
            token.access_keys(who, Some(&name("bob"))).map(drop),
            token.access_key(who, "AKIA").map(drop),
            token.set_access_key_active(who, "AKIA", true),
            token.delete_access_key(who, "AKIA"),
            token.check().map(drop),
            token.quarantine().map(drop),
            token.export(who, &mut |_| Ok(())),
            token.transport_key(who).map(drop),
        ];
        for (number, refusal) in refusals.into_iter().enumerate() {
            let prohibited = Error::ActionProhibited("only the token's owner may do this");
            assert_eq!(refusal, Err(prohibited), "{number}");
        }
        assert_eq!(token.init_pin(who, &pin(b"1234")), Err(Error::UserNotLoggedIn));
    });
}

#[test]
fn a_user_changes_the_own_pin_and_nobody_else_s() {
    each_place(|world| {
        let owner = with_mighty_bob(world);
        let token = open_for_bob(world);
        let wrong = token.set_pin(name("bob"), &pin(b"wrong"), &pin(b"changed"));
        assert_eq!(wrong, Err(Error::PinIncorrect));
        assert_eq!(failures(&token), (0, 1));
        token.set_pin(token.holder().unwrap(), &pin(BOB_PIN), &pin(b"changed")).unwrap();
        assert_eq!(failures(&token), (0, 0));
        // Whoever has changed it follows another root key, as before.
        owner.rotate_root_key(Principal::Owner).unwrap();
        insert(&token, key("k", true, &[]));
        assert_eq!(found(&owner, &[]), ["k"]);
        token.logout().unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));
        login(&token, "bob:changed").unwrap();
        let owner_s = token.set_pin(USER, &pin(b"changed"), &pin(b"taken over"));
        assert_eq!(owner_s, Err(Error::PinIncorrect));
    });
}

#[test]
fn a_login_brings_the_cost_of_the_own_pin_up_to_date() {
    each_place(|world| {
        with_bob(world);
        let dearer = PinParameters { memory_kib: 16, iterations: 2, lanes: 1 };
        let settings = Settings { pin_parameters: dearer, ..settings() };
        let surroundings = world.surroundings();
        let token = Token::open(&*world.other_place(), SLOT, &surroundings, settings).unwrap();
        assert_ne!(token.pin_state(name("bob")).unwrap().cost, Some(dearer));
        login(&token, &bob()).unwrap();
        assert_eq!(token.pin_state(name("bob")).unwrap().cost, Some(dearer));
        token.logout().unwrap();
        login(&token, &bob()).unwrap();
    });
}

#[test]
fn a_disabled_user_cannot_log_in_and_a_login_elsewhere_ends() {
    each_place(|world| {
        let owner = with_mighty_bob(world);
        insert(&owner, key("k", true, &[]));
        let token = open_for_bob(world);
        let (who, seen) = (token.principal(), find_all(&token, query(&[])).unwrap());
        let bob_ = Identity::User(name("BOB"));
        owner.set_identity_disabled(Principal::Owner, &bob_, true).unwrap();
        let refused = token.get(who, &seen[0].unique_id);
        assert_eq!(refused.unwrap_err(), Error::UserNotLoggedIn);
        assert_eq!(token.principal(), Principal::Public);
        assert!(token.named_login().is_none());
        assert_eq!(login(&token, "bob:wrong"), Err(Error::PinIncorrect), "the PIN comes first");
        assert_eq!(login(&token, &bob()), Err(Error::EntityDisabled("user Bob".into())));
        assert_eq!(failures(&token), (0, 0), "the PIN was right");
        owner.set_identity_disabled(Principal::Owner, &bob_, false).unwrap();
        assert_eq!(token.principal(), Principal::Public, "nobody is logged in by others");
        login(&token, &bob()).unwrap();
        assert_eq!(found(&token, &[]), ["k"]);
    });
}

#[test]
fn what_is_changed_of_a_user_is_seen_by_the_login() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = open_for_bob(world);
        let who = token.principal();
        let bob = Identity::User(name("bob"));
        owner.put_identity_policy(Principal::Owner, &bob, "all", POLICY).unwrap();
        owner.tag_identity(Principal::Owner, &bob, "team", "tokens").unwrap();
        token.refresh().unwrap();
        let user = token.named_login().unwrap().user.clone();
        assert_eq!(user.entity.policies["all"], POLICY);
        assert_eq!(user.entity.tags["team"], "tokens");
        // Another root key changes nothing of that, nor does another user.
        owner.rotate_root_key(Principal::Owner).unwrap();
        owner.add_user(Principal::Owner, &name("alice"), &pin(b"alice-pin")).unwrap();
        token.refresh().unwrap();
        assert_eq!((token.principal(), token.named_login().unwrap().user.clone()), (who, user));
    });
}

#[test]
fn a_removed_user_s_login_ends_also_when_another_has_the_name() {
    each_place(|world| {
        let owner = with_bob(world);
        let gone = open_for_bob(world);
        let (late, idle) = (open_for_bob(world), open_for_bob(world));
        let who = gone.principal();
        owner.remove_user(Principal::Owner, &name("bob")).unwrap();
        let refused = gone.find_next(who, &mut Search::new(query(&[])));
        assert_eq!(refused, Err(Error::UserNotLoggedIn));
        assert_eq!(login(&gone, &bob()), Err(Error::PinIncorrect));
        assert_eq!(
            late.set_pin(name("bob"), &pin(BOB_PIN), &pin(b"1234")),
            Err(Error::PinIncorrect)
        );
        owner.add_user(Principal::Owner, &name("bob"), &pin(BOB_PIN)).unwrap();
        let refused = idle.find_next(idle.principal(), &mut Search::new(query(&[])));
        assert_eq!(refused, Err(Error::UserNotLoggedIn), "it is somebody else of that name");
        login(&gone, &bob()).unwrap();
        assert_eq!(owner.check().unwrap().findings, []);
    });
}

/// The PIN is right whether or not something happens while it is checked.
#[test]
fn a_login_that_is_overtaken_is_of_what_is_there_then() {
    each_place(|world| {
        let owner = Arc::new(with_bob(world));
        let place = WrappedPlace::new(world);
        let token = Arc::new(place.open(world, settings()));
        let during = |deed: fn(&Token)| {
            let (owner, token) = (Arc::clone(&owner), Arc::clone(&token));
            move || {
                deed(&owner);
                token.refresh().unwrap();
            }
        };
        place.store.after_get(during(|owner| {
            owner.rotate_root_key(Principal::Owner).unwrap();
        }));
        token.login_user(USER, "bob", &pin(BOB_PIN)).unwrap();
        assert!(token.vault_of(token.principal()).unwrap().is_some());
        token.logout().unwrap();

        place.store.after_get(during(|owner| {
            let bob = Identity::User(name("bob"));
            owner.set_identity_disabled(Principal::Owner, &bob, true).unwrap();
        }));
        let disabled = Err(Error::EntityDisabled("user Bob".into()));
        assert_eq!(token.login_user(USER, "bob", &pin(BOB_PIN)), disabled);
        let bob = Identity::User(name("bob"));
        owner.set_identity_disabled(Principal::Owner, &bob, false).unwrap();

        place.store.after_get(during(|owner| {
            owner.remove_user(Principal::Owner, &name("bob")).unwrap();
        }));
        let refused = token.login_user(USER, "bob", &pin(BOB_PIN));
        assert_eq!(refused, Err(Error::PinIncorrect));
        assert_eq!(token.principal(), Principal::Public);
    });
}

#[test]
fn a_user_whose_record_is_damaged_does_not_log_in() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = open_for_bob(world);
        let record = owner.store.get(USER_KIND, &record_id("bob").unwrap()).unwrap().unwrap();
        let edit = |body: Vec<u8>, expected| {
            let (kind, id) = (USER_KIND, record.id.clone());
            let change = Change::Put { kind, id, expected, body, tags: Vec::new() };
            owner.store.write(&mut |_| Ok(vec![change.clone()])).unwrap();
        };
        edit(vec![0; 80], record.version);
        token.refresh().unwrap();
        assert_eq!(token.principal(), Principal::Public);
        assert_eq!(login(&token, &bob()), Err(Error::RecordDamaged("bob".into())));
        let findings = owner.check().unwrap().findings;
        assert_eq!(findings.iter().map(|f| &*f.id).collect::<Vec<_>>(), ["bob"]);
        let refused = owner.remove_user(Principal::Owner, &name("bob"));
        assert!(matches!(refused, Err(Error::FunctionFailed(_))), "{refused:?}");
        owner.quarantine().unwrap();
        assert_eq!(login(&token, &bob()), Err(Error::PinIncorrect));
        // What is left of it is taken over, or removed.
        owner.add_user(Principal::Owner, &name("bob"), &pin(b"another")).unwrap();
        login(&token, "bob:another").unwrap();
        assert_eq!(owner.check().unwrap().findings, []);
    });
}

const USER_KIND: crate::store::Kind = crate::token::record::USER;

#[test]
fn where_nothing_can_be_written_users_log_in_uncounted() {
    let world = World::in_directory();
    with_bob(&world);
    let place = WrappedPlace::new(&world);
    place.store.make_read_only();
    let token = place.open(&world, settings());
    assert_eq!(login(&token, "bob:wrong"), Err(Error::PinIncorrect));
    login(&token, &bob()).unwrap();
    let required = Settings { require_counter: true, ..settings() };
    let token = place.open(&world, required);
    assert_eq!(login(&token, &bob()), Err(Error::TokenWriteProtected));
}
