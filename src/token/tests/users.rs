//! Named users as records.

use super::wrapped::WrappedPlace;
use super::*;
use crate::token::record::{ACCESS_KEY, HEADER, PRIVATE, ROLE, SET, USER};

const OWNER: Principal = Principal::Owner;

fn names(token: &Token) -> Vec<String> {
    let users = token.users(token.principal()).unwrap();
    users.iter().map(|user| user.entity.name.to_string()).collect()
}

fn unknown(what: &str) -> Error {
    Error::EntityUnknown(what.into())
}

/// Every record as it stands in the store.
fn records(token: &Token) -> Vec<crate::store::Record> {
    [HEADER, CREDENTIAL, SET, PRIVATE, USER, ROLE, ACCESS_KEY]
        .into_iter()
        .flat_map(|kind| token.store.find(kind, &[], None, usize::MAX).unwrap().records)
        .collect()
}

#[test]
fn users_are_added_listed_and_removed() {
    each_place(|world| {
        let token = with_bob(world);
        assert_eq!(names(&token), ["Bob"]);
        for taken in ["bob", "Bob", "BOB"] {
            let refused = token.add_user(OWNER, &name(taken), &pin(b"1234"));
            assert_eq!(refused, Err(Error::EntityExists(format!("user {taken}"))));
        }
        world.clock.advance(Duration::from_secs(60));
        let long = "x".repeat(64);
        let user = token.add_user(OWNER, &name(&long), &pin(b"1234")).unwrap();
        assert_eq!(user.entity.created(), world.clock.now());
        let there = world.open_for_user();
        assert_eq!(names(&there), ["Bob", &long]);
        assert_eq!(there.user(OWNER, &name(&long)).unwrap(), user);
        token.remove_user(OWNER, &name("bob")).unwrap();
        assert_eq!(names(&there), [&*long]);
        assert_eq!(there.user(OWNER, &name("bob")), Err(unknown("user bob")));
        assert_eq!(token.remove_user(OWNER, &name("bob")), Err(unknown("user bob")));
        assert_eq!(
            token.set_user_pin(OWNER, &name("bob"), &pin(b"1234")),
            Err(unknown("user bob"))
        );
        assert_eq!(there.check().unwrap().findings, []);
    });
}

#[test]
fn a_unique_id_is_iam_s_and_another_each_time() {
    let token = with_bob(&World::in_memory());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..4 {
        let user = token.user(OWNER, &name("bob")).unwrap();
        let (prefix, drawn) = user.entity.unique_id.split_at(4);
        assert_eq!((prefix, drawn.len()), ("AIDA", 17));
        assert!(drawn.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')));
        assert!(seen.insert(user.entity.unique_id));
        token.remove_user(OWNER, &name("bob")).unwrap();
        token.add_user(OWNER, &name("bob"), &pin(b"1234")).unwrap();
    }
}

#[test]
fn a_user_s_pin_has_the_length_of_a_pin() {
    let token = with_bob(&World::in_memory());
    for wrong in [&b"123"[..], &[b'1'; 256]] {
        let refused = token.add_user(OWNER, &name("eve"), &pin(wrong));
        assert_eq!(refused, Err(Error::PinLenRange));
        assert_eq!(token.set_user_pin(OWNER, &name("bob"), &pin(wrong)), Err(Error::PinLenRange));
    }
    assert_eq!(names(&token), ["Bob"]);
}

#[test]
fn only_who_is_logged_in_as_the_owner_administers() {
    each_place(|world| {
        let token = with_bob(world);
        token.logout().unwrap();
        for principal in [Principal::Public, Principal::SecurityOfficer, OWNER] {
            assert_eq!(token.users(principal), Err(Error::UserNotLoggedIn));
            let refused = token.add_user(principal, &name("eve"), &pin(b"1234"));
            assert_eq!(refused, Err(Error::UserNotLoggedIn));
            let refused = token.remove_user(principal, &name("bob"));
            assert_eq!(refused, Err(Error::UserNotLoggedIn));
        }
    });
}

#[test]
fn policies_are_put_replaced_and_deleted_within_bounds() {
    each_place(|world| {
        let token = with_bob(world);
        let bob = Identity::User(name("BOB"));
        let put = |policy: &str, text: &str| token.put_identity_policy(OWNER, &bob, policy, text);
        let stored = || token.user(OWNER, &name("bob")).unwrap().entity.policies;
        put("use", POLICY).unwrap();
        put("A+=,.@_-9", POLICY).unwrap();
        let other = POLICY.replace("Generate", "Verify");
        put("use", &other).unwrap();
        assert_eq!(stored().keys().collect::<Vec<_>>(), ["A+=,.@_-9", "use"]);
        assert_eq!(stored()["use"], other);
        for wrong in ["", "two words", &"x".repeat(POLICY_NAME_MAX + 1)] {
            assert!(matches!(put(wrong, POLICY), Err(Error::ValidationFailed(_))), "{wrong}");
        }
        assert!(matches!(put("use", ""), Err(Error::ValidationFailed(_))));
        for wrong in ["{}", TRUST] {
            assert!(matches!(put("use", wrong), Err(Error::MalformedPolicy(_))), "{wrong}");
        }
        let long = POLICY.replace("kms:GenerateMac", &"x".repeat(6144));
        assert!(matches!(put("use", &long), Err(Error::LimitExceeded(_))));
        for number in 2..POLICIES_MAX {
            put(&format!("p{number}"), POLICY).unwrap();
        }
        let full = Error::LimitExceeded(format!("there may be {POLICIES_MAX} policies"));
        assert_eq!(put("one-more", POLICY), Err(full));
        put("use", POLICY).unwrap();
        token.delete_identity_policy(OWNER, &bob, "use").unwrap();
        let gone = token.delete_identity_policy(OWNER, &bob, "use");
        assert_eq!(gone, Err(unknown("policy use of user BOB")));
        let nobody = Identity::User(name("nobody"));
        let refused = token.put_identity_policy(OWNER, &nobody, "p", POLICY);
        assert_eq!(refused, Err(unknown("user nobody")));
        assert_eq!(stored().len(), POLICIES_MAX - 1);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn tags_are_iam_s() {
    let token = with_bob(&World::in_memory());
    let bob = Identity::User(name("bob"));
    let tag = |key: &str, value: &str| token.tag_identity(OWNER, &bob, key, value);
    let stored = || token.user(OWNER, &name("bob")).unwrap().entity.tags;
    tag("Team", "tokens").unwrap();
    tag("team", "").unwrap();
    assert_eq!(stored().into_iter().collect::<Vec<_>>(), [("team".to_owned(), String::new())]);
    tag("Größe _.:/=+-@1", &"ü".repeat(256)).unwrap();
    for (key, value) in [
        ("", "v"),
        ("aws:x", "v"),
        ("AWS:x", "v"),
        ("a*", "v"),
        ("a", "line\n"),
        (&*"k".repeat(129), "v"),
        ("k", &*"v".repeat(257)),
    ] {
        assert!(matches!(tag(key, value), Err(Error::ValidationFailed(_))), "{key}={value}");
    }
    for number in 2..TAGS_MAX {
        tag(&format!("k{number}"), "v").unwrap();
    }
    assert_eq!(
        tag("another", "v"),
        Err(Error::LimitExceeded(format!("there may be {TAGS_MAX} tags")))
    );
    tag("TEAM", "changed").unwrap();
    token.untag_identity(OWNER, &bob, "team").unwrap();
    let gone = token.untag_identity(OWNER, &bob, "team");
    assert_eq!(gone, Err(unknown("tag team of user bob")));
}

#[test]
fn removing_a_user_replaces_the_root_key_and_seals_the_rest_anew() {
    each_place(|world| {
        let token = with_bob(world);
        insert(&token, key("k", true, &[]));
        token.add_user(OWNER, &name("alice"), &pin(b"alice-pin")).unwrap();
        allow_everything(&token, "alice");
        let kept = token.create_access_key(OWNER, Some(&name("alice"))).unwrap();
        let gone = token.create_access_key(OWNER, Some(&name("bob"))).unwrap();
        token.add_role(OWNER, &name("r"), TRUST).unwrap();
        let alice = world.open();
        alice.login_user(UserType::User, "alice", &pin(b"alice-pin")).unwrap();
        let vault = open_for_bob(world).access.load().vault.clone().unwrap();
        let sequence = token.store.sequence().unwrap();
        world.clock.advance(Duration::from_secs(60));
        token.remove_user(OWNER, &name("bob")).unwrap();
        assert_eq!(token.store.sequence().unwrap().0, sequence.0 + 1, "one commit");
        assert_eq!(token.info().unwrap().root_key_made, world.clock.now());
        // What he had opens nothing that is there now.
        for record in token.store.find(PRIVATE, &[], None, usize::MAX).unwrap().records {
            assert!(crate::token::objects::open(&record, Some(&vault)).is_err());
        }
        let ids: Vec<_> = records(&token).into_iter().map(|record| record.id.to_string()).collect();
        assert!(!ids.iter().any(|id| id.contains("bob") || *id == gone.id), "{ids:?}");
        assert!(ids.contains(&kept.id));
        assert_eq!(token.check().unwrap().findings, []);
        // Everybody else goes on.
        assert_eq!(found(&alice, &[]), ["k"]);
        insert(&alice, key("by alice", true, &[]));
        assert_eq!(found(&world.open_for_user(), &[]), ["by alice", "k"]);
    });
}

#[test]
fn a_removal_that_fails_half_way_leaves_everything_as_it_was() {
    each_place(|world| {
        let token = with_bob(world);
        insert(&token, key("k", true, &[]));
        token.create_access_key(OWNER, Some(&name("bob"))).unwrap();
        let before = records(&token);
        let mut failures = 0;
        for parts in 0.. {
            let place = WrappedPlace::new(world);
            let here = place.open(world, settings());
            here.login(UserType::User, &pin(USER_PIN)).unwrap();
            place.store.fail_after_parts(parts);
            if here.remove_user(OWNER, &name("bob")).is_ok() {
                break;
            }
            failures += 1;
            assert_eq!(records(&token), before, "after {parts} parts");
            assert_eq!(token.check().unwrap().findings, []);
            open_for_bob(world);
        }
        assert!(failures > 4);
        assert_eq!(names(&token), [""; 0]);
    });
}

#[test]
fn a_user_whose_pin_was_set_anew_loses_the_login_with_the_root_key() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = open_for_bob(world);
        owner.set_user_pin(OWNER, &name("bob"), &pin(b"anew")).unwrap();
        token.refresh().unwrap();
        assert_ne!(token.principal(), Principal::Public);
        owner.rotate_root_key(OWNER).unwrap();
        token.refresh().unwrap();
        assert_eq!(token.principal(), Principal::Public);
        token.login_user(UserType::User, "bob", &pin(b"anew")).unwrap();
    });
}

#[test]
fn a_new_token_in_the_place_of_the_old_has_no_users() {
    each_place(|world| {
        let token = with_bob(world);
        token.logout().unwrap();
        token.reinitialize("again", &pin(SO_PIN)).unwrap();
        let refused = token.login_user(UserType::User, "bob", &pin(BOB_PIN));
        assert_eq!(refused, Err(Error::PinIncorrect));
    });
}
