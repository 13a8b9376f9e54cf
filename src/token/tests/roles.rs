//! Roles as records, and how users take them.

use super::*;
use crate::policy::CallerKind;

const OWNER: Principal = Principal::Owner;

#[test]
fn roles_are_added_changed_and_removed() {
    each_place(|world| {
        let token = with_bob(world);
        // A user and a role may have one name.
        let made = token.add_role(OWNER, &name("Bob"), TRUST).unwrap();
        assert!(made.entity.unique_id.starts_with("AROA") && made.entity.unique_id.len() == 21);
        assert_eq!((&*made.trust, made.session_seconds), (TRUST, 3600));
        let taken = token.add_role(OWNER, &name("bob"), TRUST);
        assert_eq!(taken, Err(Error::EntityExists("role bob".into())));
        let role = || world.open_for_user().role(OWNER, &name("BOB"));
        assert_eq!(role().unwrap(), made);

        let identity = Identity::Role(name("bob"));
        let trust = TRUST.replace("\"*\"", "{\"AWS\":\"000000000000\"}");
        token.put_trust_policy(OWNER, &name("bob"), &trust).unwrap();
        token.set_role_session(OWNER, &name("bob"), 43_200).unwrap();
        token.put_identity_policy(OWNER, &identity, "p", POLICY).unwrap();
        token.tag_identity(OWNER, &identity, "k", "v").unwrap();
        token.set_identity_disabled(OWNER, &identity, true).unwrap();
        let changed = role().unwrap();
        assert_eq!((&*changed.trust, changed.session_seconds), (&*trust, 43_200));
        assert!(changed.entity.is_disabled);
        assert_eq!((&*changed.entity.policies["p"], &*changed.entity.tags["k"]), (POLICY, "v"));
        assert_eq!(changed.entity.unique_id, made.entity.unique_id);
        assert_eq!(token.roles(OWNER).unwrap(), [changed]);
        let user = token.user(OWNER, &name("bob")).unwrap();
        assert!(user.entity.policies.is_empty() && !user.entity.is_disabled);

        token.rotate_root_key(OWNER).unwrap();
        token.remove_role(OWNER, &name("bob")).unwrap();
        let unknown = Error::EntityUnknown("role BOB".into());
        assert_eq!(role(), Err(unknown));
        let gone = token.remove_role(OWNER, &name("bob"));
        assert_eq!(gone, Err(Error::EntityUnknown("role bob".into())));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_role_has_a_trust_policy_and_sessions_within_bounds() {
    let token = with_bob(&World::in_memory());
    for wrong in ["{}", POLICY, "no JSON"] {
        let refused = token.add_role(OWNER, &name("r"), wrong);
        assert!(matches!(refused, Err(Error::MalformedPolicy(_))), "{wrong}");
    }
    token.add_role(OWNER, &name("r"), TRUST).unwrap();
    let refused = token.put_trust_policy(OWNER, &name("r"), POLICY);
    assert!(matches!(refused, Err(Error::MalformedPolicy(_))));
    for wrong in [0, 3599, 43_201, u32::MAX] {
        let refused = token.set_role_session(OWNER, &name("r"), wrong);
        assert!(matches!(refused, Err(Error::ValidationFailed(_))), "{wrong}");
    }
    let role = token.role(OWNER, &name("r")).unwrap();
    assert_eq!((&*role.trust, role.session_seconds), (TRUST, 3600));
}

/// A token with the user Bob and a role `Producer` with this trust policy, whose owner is
/// logged in.
fn with_role(world: &World, trust: &str) -> Token {
    let token = with_bob(world);
    token.add_role(OWNER, &name("Producer"), trust).unwrap();
    token
}

fn trusting(principal: &str) -> String {
    TRUST.replace("\"*\"", &format!("{{\"AWS\":\"{principal}\"}}"))
}

/// As `C_Login` of `CKU_USER` does.
fn login(token: &Token, text: &str) -> Result<()> {
    token.login(UserType::User, &pin(text.as_bytes()))
}

/// As `C_LoginUser` does.
fn take(token: &Token, user: &str, text: &str) -> Result<()> {
    token.login_user(UserType::User, user, &pin(text.as_bytes()))
}

const BOB: &str = "bob:bob-pin-4116";

#[test]
fn a_role_is_taken_by_name_or_by_a_pin_that_begins_with_it() {
    each_place(|world| {
        let owner = with_role(world, TRUST);
        insert(&owner, key("k", true, &[]));
        let role = Identity::Role(name("producer"));
        owner.put_identity_policy(OWNER, &role, "of the role", POLICY).unwrap_err();
        owner.put_identity_policy(OWNER, &role, "of-the-role", POLICY).unwrap();
        owner.tag_identity(OWNER, &role, "team", "tokens").unwrap();
        let bob = Identity::User(name("bob"));
        owner.put_identity_policy(OWNER, &bob, "of-the-user", POLICY).unwrap();
        let id = owner.role(OWNER, &name("producer")).unwrap().entity.unique_id;
        let token = world.open();
        for way in [
            || ("role/producer", BOB),
            || ("role/PRODUCER", BOB),
            || ("", "role/producer:bob:bob-pin-4116"),
        ] {
            let (user, text) = way();
            take(&token, user, text).unwrap();
            assert_eq!(found(&token, &[]), ["k"]);
            let login = token.named_login().unwrap();
            let caller = &login.caller;
            assert_eq!(caller.kind, CallerKind::AssumedRole { role: "Producer".into() });
            assert_eq!(caller.arn(), "arn:aws:sts::000000000000:assumed-role/Producer/Bob");
            assert_eq!(caller.user_id(), format!("{id}:Bob"));
            assert_eq!(caller.tags, [("team".to_owned(), "tokens".to_owned())]);
            assert_eq!(caller.policies.len(), 1, "the user's own do not count");
            assert_eq!(caller.policies[0].name, "of-the-role");
            assert_eq!(login.user.entity.name, name("bob"));
            token.logout().unwrap();
        }
        login(&token, BOB).unwrap();
        let caller = &token.named_login().unwrap().caller;
        assert_eq!(caller.kind, CallerKind::User);
        assert_eq!(caller.policies[0].name, "of-the-user");
    });
}

#[test]
fn the_trust_policy_says_who_may_take_a_role() {
    let refused = Err(Error::ActionProhibited("this user may not take this role"));
    let assume = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
        "Resource":"arn:aws:iam::000000000000:role/Producer"}}"#;
    let deny = assume.replace("Allow", "Deny");
    let bob = "arn:aws:iam::000000000000:user/Bob";
    let alice = "arn:aws:iam::000000000000:user/alice";
    let account = "arn:aws:iam::000000000000:root";
    // Who is trusted; the user's own policy; whether the role may be taken.
    for (trusted, own, may) in [
        (bob, None, true),
        (bob, Some(assume), true),
        (bob, Some(&*deny), false),
        (alice, None, false),
        (alice, Some(assume), false),
        (account, None, false),
        (account, Some(assume), true),
        (account, Some(POLICY), false),
        ("000000000000", Some(assume), true),
        ("111122223333", Some(assume), false),
    ] {
        let world = World::in_memory();
        let owner = with_role(&world, &trusting(trusted));
        if let Some(own) = own {
            let bob = Identity::User(name("bob"));
            owner.put_identity_policy(OWNER, &bob, "own", own).unwrap();
        }
        let token = world.open();
        let expected = if may { Ok(()) } else { refused.clone() };
        assert_eq!(take(&token, "role/producer", BOB), expected, "{trusted} {own:?}");
        assert_eq!(token.principal() != Principal::Public, may);
        assert_eq!(token.pin_state(name("bob")).unwrap().failures, 0);
    }
}

#[test]
fn who_takes_a_role_gives_a_user_s_pin_first() {
    each_place(|world| {
        let owner = with_role(world, TRUST);
        let token = world.open();
        let failures = || {
            let of = |holder: Holder| token.pin_state(holder).unwrap().failures;
            (of(UserType::User.into()), of(name("bob").into()))
        };
        assert_eq!(take(&token, "role/producer", "bob:wrong"), Err(Error::PinIncorrect));
        assert_eq!(failures(), (0, 1));
        for nobody in ["alice:1234", "no colon", "role/producer:bob:bob-pin-4116", ""] {
            assert_eq!(take(&token, "role/producer", nobody), Err(Error::PinIncorrect), "{nobody}");
        }
        assert_eq!(failures(), (0, 1));
        // Whether there is such a role is said after the PIN.
        assert_eq!(take(&token, "role/nothing", "bob:wrong"), Err(Error::PinIncorrect));
        let refused = Err(Error::ActionProhibited("this user may not take this role"));
        assert_eq!(take(&token, "role/nothing", BOB), refused);
        assert_eq!(failures(), (0, 0));
        // What names no role is the owner's PIN.
        assert_eq!(login(&token, "role/nothing:bob:bob-pin-4116"), Err(Error::PinIncorrect));
        assert_eq!(failures(), (1, 0));
        let roles = Identity::Role(name("producer"));
        owner.set_identity_disabled(OWNER, &roles, true).unwrap();
        let disabled = Err(Error::EntityDisabled("role Producer".into()));
        assert_eq!(take(&token, "role/producer", BOB), disabled);
        owner.set_identity_disabled(OWNER, &roles, false).unwrap();
        let bob = Identity::User(name("bob"));
        owner.set_identity_disabled(OWNER, &bob, true).unwrap();
        let disabled = Err(Error::EntityDisabled("user Bob".into()));
        assert_eq!(take(&token, "role/producer", BOB), disabled);
    });
}

#[test]
fn a_user_and_the_same_user_in_a_role_are_two() {
    let world = World::in_memory();
    let token = with_role(&world, TRUST);
    token.add_role(OWNER, &name("other"), TRUST).unwrap();
    token.logout().unwrap();
    let (same, other) = (Err(Error::UserAlreadyLoggedIn), Err(Error::UserAnotherAlreadyLoggedIn));
    take(&token, "role/producer", BOB).unwrap();
    assert_eq!(take(&token, "role/producer", BOB), same);
    assert_eq!(take(&token, "role/other", BOB), other);
    assert_eq!(login(&token, BOB), other);
    token.logout().unwrap();
    login(&token, BOB).unwrap();
    assert_eq!(take(&token, "role/producer", BOB), other);
}

type Deed<'a> = &'a dyn Fn(&Token) -> Result<()>;

#[test]
fn a_role_that_is_disabled_or_removed_is_nobody_s_any_more() {
    each_place(|world| {
        let owner = with_role(world, TRUST);
        let producer = name("producer");
        let identity = Identity::Role(producer.clone());
        let disable = |token: &Token| {
            token.set_identity_disabled(OWNER, &identity, true).unwrap();
            token.set_identity_disabled(OWNER, &identity, false)
        };
        let replace = |token: &Token| {
            token.remove_role(OWNER, &producer)?;
            token.add_role(OWNER, &producer, TRUST).map(drop)
        };
        let disable_user =
            |token: &Token| token.set_identity_disabled(OWNER, &Identity::User(name("bob")), true);
        let ended: [(Deed<'_>, bool); 4] = [
            (&disable, false),
            (&|token| token.set_identity_disabled(OWNER, &identity, true), true),
            (&replace, true),
            (&disable_user, true),
        ];
        for (deed, ends) in ended {
            owner.set_identity_disabled(OWNER, &identity, false).unwrap();
            let (token, user) = (world.open(), open_for_bob(world));
            take(&token, "role/producer", BOB).unwrap();
            deed(&owner).unwrap();
            token.refresh().unwrap();
            assert_eq!(token.principal() == Principal::Public, ends);
            user.refresh().unwrap();
        }
    });
}

/// Who may take a role is asked when it is taken, as STS does.
#[test]
fn a_trust_policy_that_is_changed_ends_no_login() {
    let world = World::in_memory();
    let owner = with_role(&world, TRUST);
    let token = world.open();
    take(&token, "role/producer", BOB).unwrap();
    let alice = trusting("arn:aws:iam::000000000000:user/alice");
    owner.put_trust_policy(OWNER, &name("producer"), &alice).unwrap();
    token.refresh().unwrap();
    assert_eq!(token.named_login().unwrap().role.as_ref().unwrap().trust, alice);
    token.logout().unwrap();
    assert!(take(&token, "role/producer", BOB).is_err());
}
