//! What policies, grants and identities allow, and that others notice when it changes.

use super::*;
use crate::error::RefusedKind;
use crate::object::KeySpec;
use crate::object::kms::NewKey;
use crate::policy::{GrantTerms, Resource, Until};
use crate::types::{Home, Region};

const OWNER: Principal = Principal::Owner;
const BOB: &str = "arn:aws:iam::000000000000:user/Bob";
const ROOT: &str = "arn:aws:iam::000000000000:root";

fn bob() -> Identity {
    Identity::User(name("Bob"))
}

/// A key policy of these statements.
fn policy(statements: &[(&str, &str, &str)]) -> String {
    let statements: Vec<_> = statements
        .iter()
        .map(|(effect, who, what)| {
            format!(
                r#"{{"Effect":"{effect}","Principal":{{"AWS":"{who}"}},"Action":"{what}","Resource":"*"}}"#
            )
        })
        .collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

fn kms_key(token: &Token) -> String {
    id_of(&token.create_kms_key(OWNER, NewKey::new(KeySpec::Hmac256), false).unwrap())
}

/// Whether whoever is logged in may do this to the key as the token shows it.
fn may(token: &Token, key: &str, action: Action) -> bool {
    token.refresh().unwrap();
    let Some(live) = token.look_up(token.principal(), key).unwrap() else { return false };
    match token.authorize(token.principal(), action, Resource::Object(live.object())) {
        Ok(()) => true,
        Err(Error::AccessDenied(refused)) => {
            assert_eq!(refused.kind, action.refused());
            assert!(refused.message.contains(action.name()), "{}", refused.message);
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// Which of making and verifying MACs, and seeing.
fn uses(token: &Token, key: &str) -> (bool, bool, bool) {
    (
        may(token, key, Action::GenerateMac),
        may(token, key, Action::VerifyMac),
        get(token, key).is_some(),
    )
}

#[test]
fn a_key_without_a_policy_leaves_its_use_to_identity_policies() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        let token = open_for_bob(world);
        assert_eq!(uses(&owner, &key), (true, true, true));
        assert_eq!(uses(&token, &key), (false, false, false));
        owner.put_identity_policy(OWNER, &bob(), "sign", POLICY).unwrap();
        assert_eq!(uses(&token, &key), (true, false, true), "who uses it sees it");
        let denies = r#"{"Statement":{"Effect":"Deny","Action":"kms:DescribeKey","Resource":"*"}}"#;
        owner.put_identity_policy(OWNER, &bob(), "hide", denies).unwrap();
        assert_eq!(uses(&token, &key), (true, false, false), "unless it is hidden");
        owner.delete_identity_policy(OWNER, &bob(), "sign").unwrap();
        owner.delete_identity_policy(OWNER, &bob(), "hide").unwrap();
        assert_eq!(uses(&token, &key), (false, false, false));
    });
}

#[test]
fn a_key_policy_decides_for_the_owner_too() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        let token = open_for_bob(world);
        let both = policy(&[("Allow", BOB, "kms:VerifyMac"), ("Allow", ROOT, "kms:PutKeyPolicy")]);
        owner.put_key_policy(OWNER, &key, &both, false).unwrap();
        assert_eq!(uses(&token, &key), (false, true, true));
        assert_eq!(uses(&owner, &key), (false, false, true), "the owner sees everything");
        assert!(!may(&owner, &key, Action::ScheduleKeyDeletion));
        let denied = policy(&[
            ("Allow", BOB, "kms:*"),
            ("Deny", BOB, "kms:VerifyMac"),
            ("Allow", ROOT, "kms:*"),
        ]);
        owner.put_key_policy(OWNER, &key, &denied, false).unwrap();
        assert_eq!(uses(&token, &key), (true, false, true));
        assert!(!may(&owner, &key, Action::DestroyKey), "kms:* is not what only PKCS#11 knows");
    });
}

#[test]
fn grants_allow_what_they_list_until_they_are_revoked() {
    each_place(|world| {
        let owner = with_bob(world);
        let (key, other) = (kms_key(&owner), kms_key(&owner));
        let token = open_for_bob(world);
        assert_eq!(uses(&token, &key), (false, false, false));
        let terms = GrantTerms::new(None, BOB, None, &["VerifyMac"]).unwrap();
        let grant = owner.create_grant(OWNER, &key, &terms).unwrap();
        assert_eq!(uses(&token, &key), (false, true, true));
        assert_eq!(uses(&token, &other), (false, false, false));
        owner.revoke_grant(OWNER, &key, &grant.id).unwrap();
        assert_eq!(uses(&token, &key), (false, false, false));
    });
}

#[test]
fn who_may_make_grants_passes_on_no_more_than_was_given() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        let terms = |operations: &[&str]| GrantTerms::new(None, BOB, None, operations).unwrap();
        owner.create_grant(OWNER, &key, &terms(&["CreateGrant", "VerifyMac"])).unwrap();
        let token = open_for_bob(world);
        let who = token.principal();
        token.create_grant(who, &key, &terms(&["VerifyMac"])).unwrap();
        let refused = token.create_grant(who, &key, &terms(&["VerifyMac", "GenerateMac"]));
        assert!(matches!(refused, Err(Error::AccessDenied(_))), "{refused:?}");
    });
}

#[test]
fn aliases_and_tags_are_conditions() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        let token = open_for_bob(world);
        let allow = |condition: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Allow","Action":"kms:GenerateMac","Resource":"*","Condition":{{{condition}}}}}}}"#
            )
        };
        let by_alias = allow(r#""ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/jwt"}"#);
        owner.put_identity_policy(OWNER, &bob(), "alias", &by_alias).unwrap();
        assert!(!may(&token, &key, Action::GenerateMac));
        owner.create_alias(OWNER, "alias/jwt", &key).unwrap();
        assert!(may(&token, &key, Action::GenerateMac));
        owner.delete_alias(OWNER, "alias/jwt").unwrap();
        assert!(!may(&token, &key, Action::GenerateMac));

        let by_tag = allow(r#""StringEquals":{"aws:ResourceTag/team":"red"}"#);
        owner.put_identity_policy(OWNER, &bob(), "tag", &by_tag).unwrap();
        assert!(!may(&token, &key, Action::GenerateMac));
        owner.tag_key(OWNER, &key, &[("team".into(), "red".into())]).unwrap();
        assert!(may(&token, &key, Action::GenerateMac));
        owner.untag_key(OWNER, &key, &["team".into()]).unwrap();
        assert!(!may(&token, &key, Action::GenerateMac));

        let by_user = allow(r#""StringEquals":{"aws:PrincipalTag/team":"blue"}"#);
        owner.put_identity_policy(OWNER, &bob(), "tagged", &by_user).unwrap();
        assert!(!may(&token, &key, Action::GenerateMac));
        owner.tag_identity(OWNER, &bob(), "team", "blue").unwrap();
        assert!(may(&token, &key, Action::GenerateMac));
    });
}

#[test]
fn an_opened_key_is_retired_by_all_that_may_change_the_answer() {
    each_place(|world| {
        let owner = with_mighty_bob(world);
        let key = kms_key(&owner);
        let token = open_for_bob(world);
        let retires = |what: &str, change: &dyn Fn()| {
            let live = get(&token, &key).unwrap();
            assert!(live.is_current());
            change();
            token.refresh().unwrap();
            assert!(!live.is_current(), "{what}");
        };
        let terms = GrantTerms::new(None, BOB, None, &["VerifyMac"]).unwrap();
        let all = policy(&[("Allow", ROOT, "kms:*")]);
        retires("policy", &|| owner.put_key_policy(OWNER, &key, &all, false).unwrap());
        retires("grant", &|| drop(owner.create_grant(OWNER, &key, &terms).unwrap()));
        retires("alias", &|| owner.create_alias(OWNER, "alias/x", &key).unwrap());
        retires("tag", &|| owner.tag_key(OWNER, &key, &[("k".into(), "v".into())]).unwrap());
        retires("state", &|| owner.disable_key(OWNER, &key).unwrap());
        retires("deletion", &|| assert!(owner.schedule_key_deletion(OWNER, &key, 7).is_ok()));
        retires("user", &|| owner.put_identity_policy(OWNER, &bob(), "p", POLICY).unwrap());
    });
}

#[test]
fn an_answer_that_depends_on_the_time_ends_when_it_changes() {
    let world = World::in_memory();
    let owner = with_bob(&world);
    let key = kms_key(&owner);
    let until = world.clock.now() + Duration::from_secs(60);
    let allow = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"kms:GenerateMac","Resource":"*","Condition":{{"DateLessThan":{{"aws:CurrentTime":"{}"}}}}}}}}"#,
        crate::clock::Timestamp(until)
    );
    owner
        .put_identity_policy(OWNER, &bob(), "for a minute".replace(' ', "-").as_str(), &allow)
        .unwrap();
    let token = open_for_bob(&world);
    let live = get(&token, &key).unwrap();
    let ask = || {
        let resource = Resource::Object(live.object());
        token.permitted(token.principal(), Action::GenerateMac, resource, &[])
    };
    assert_eq!(ask().unwrap(), Until::Instant(until));
    world.clock.set(until);
    assert!(matches!(ask(), Err(Error::AccessDenied(_))));
}

#[test]
fn a_named_user_finds_what_policies_show() {
    each_place(|world| {
        let owner = with_bob(world);
        let mine = insert(&owner, key("mine", true, &[]));
        insert(&owner, key("hidden", true, &[]));
        insert(&owner, key("hidden and public", false, &[]));
        insert(&owner, data("note", false));
        insert(&owner, data("secret note", true));
        let allow = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"arn:aws:kms:us-east-1:000000000000:key/{}"}}}}"#,
            id_of(&mine)
        );
        owner.put_identity_policy(OWNER, &bob(), "mine", &allow).unwrap();
        let token = open_for_bob(world);
        assert_eq!(found(&token, &[]), ["mine", "note"]);
        let label = |text: &'static [u8]| [(AttributeType::Label, text)];
        assert_eq!(found(&token, &label(b"mine")), ["mine"]);
        assert_eq!(found(&token, &label(b"hidden")), [""; 0]);
        assert_eq!(found(&token, &label(b"secret note")), [""; 0]);
        assert_eq!(found(&owner, &[]).len(), 5);
    });
}

#[test]
fn a_named_user_makes_and_destroys_what_policies_allow() {
    each_place(|world| {
        let owner = with_bob(world);
        let token = open_for_bob(world);
        let who = token.principal();
        let refused = token.insert(who, Action::ImportObject, key("k", true, &[]));
        let Err(Error::AccessDenied(refused)) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.kind, RefusedKind::Creation);
        assert_eq!(
            refused.message,
            "User: arn:aws:iam::000000000000:user/Bob is not authorized to perform: \
             signet:ImportObject on resource: * because no identity-based policy allows the \
             signet:ImportObject action"
        );
        let allow = |action: &str| {
            format!(r#"{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*"}}}}"#)
        };
        owner.put_identity_policy(OWNER, &bob(), "a", &allow("signet:ImportObject")).unwrap();
        owner.put_identity_policy(OWNER, &bob(), "b", &allow("kms:DescribeKey")).unwrap();
        token.refresh().unwrap();
        let live = token.insert(who, Action::ImportObject, key("k", true, &[])).unwrap();
        assert!(matches!(token.remove(who, &live), Err(Error::AccessDenied(_))));
        assert!(matches!(relabel(&token, &live, "other"), Err(Error::AccessDenied(_))));
        owner.put_identity_policy(OWNER, &bob(), "c", &allow("signet:*")).unwrap();
        assert_eq!(relabel(&token, &live, "other"), Ok(Some(())));
        let live = get(&token, &id_of(&live)).unwrap();
        assert_eq!(token.remove(who, &live), Ok(Some(())));
    });
}

#[test]
fn in_other_partitions_the_owner_is_the_root_too() {
    let world = World::in_memory();
    let home = Home { region: Region::new("cn-north-1").unwrap(), ..Home::DEFAULT };
    let (so_pin, user_pin) = (pin(SO_PIN), pin(USER_PIN));
    let (surroundings, settings) = (world.surroundings(), Settings { home, ..settings() });
    let create = |place: &dyn Place| {
        Token::create(place, SLOT, "cn", &so_pin, Some(&user_pin), &surroundings, settings)
    };
    let owner = create(&*world.place).unwrap();
    owner.login(UserType::User, &user_pin).unwrap();
    let key = kms_key(&owner);
    assert_eq!(uses(&owner, &key), (true, true, true));
    let cn = "arn:aws-cn:iam::000000000000:root";
    owner.put_key_policy(OWNER, &key, &policy(&[("Allow", cn, "kms:*")]), false).unwrap();
    assert_eq!(uses(&owner, &key), (true, true, true));
}

#[test]
fn a_new_root_key_hides_neither_aliases_nor_grants_from_who_decides() {
    each_place(|world| {
        let owner = with_mighty_bob(world);
        let key = kms_key(&owner);
        owner.create_alias(OWNER, "alias/closed", &key).unwrap();
        let deny = r#"{"Statement":{"Effect":"Deny","Action":"kms:GenerateMac","Resource":"*",
            "Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/closed"}}}}"#;
        owner.put_identity_policy(OWNER, &bob(), "closed", deny).unwrap();
        let token = open_for_bob(world);
        let live = token.look_up(token.principal(), &key).unwrap().unwrap();
        let ask = |action| {
            token.authorize(token.principal(), action, Resource::Object(live.object())).is_ok()
        };
        assert!(!ask(Action::GenerateMac) && ask(Action::VerifyMac));
        owner.rotate_root_key(OWNER).unwrap();
        assert!(!ask(Action::GenerateMac));
        assert!(ask(Action::VerifyMac));
    });
}

#[test]
fn a_root_key_that_is_replaced_while_somebody_decides_loses_no_grant() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        let terms = GrantTerms::new(None, BOB, None, &["GenerateMac"]).unwrap();
        owner.create_grant(OWNER, &key, &terms).unwrap();
        let place = super::wrapped::WrappedPlace::new(world);
        let token = place.open(world, settings());
        token.login_user(UserType::User, "bob", &pin(BOB_PIN)).unwrap();
        let live = token.look_up(token.principal(), &key).unwrap().unwrap();
        // Between the look at the aliases and that at the grants.
        let mut turns = 0;
        place.store.after_find(crate::token::record::ALIAS, move || {
            turns += 1;
            if turns == 1 {
                owner.rotate_root_key(OWNER).unwrap();
            }
        });
        let resource = Resource::Object(live.object());
        assert_eq!(token.authorize(token.principal(), Action::GenerateMac, resource), Ok(()));
    });
}

#[test]
fn who_may_use_a_key_in_one_way_sees_it_as_long_as_that_lasts() {
    let world = World::in_memory();
    let owner = with_bob(&world);
    let key = kms_key(&owner);
    let token = open_for_bob(&world);
    let seen = || {
        token.refresh().unwrap();
        let live = token.look_up(token.principal(), &key).unwrap().unwrap();
        token.visible(token.principal(), live.object())
    };
    let put = |name: &str, effect: &str, action: &str, condition: &str| {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"*","Condition":{{{condition}}}}}}}"#
        );
        owner.put_identity_policy(OWNER, &bob(), name, &policy).unwrap();
    };
    assert!(seen().is_err());
    let one = r#""StringEquals":{"kms:MacAlgorithm":"HMAC_SHA_256"}"#;
    put("use", "Allow", "kms:VerifyMac", one);
    assert_eq!(seen(), Ok(Until::Changed));
    // It will be hidden.
    let then = world.clock.now() + Duration::from_secs(60);
    let later = format!(
        r#""DateGreaterThanEquals":{{"aws:CurrentTime":"{}"}}"#,
        crate::clock::Timestamp(then)
    );
    put("hide", "Deny", "kms:DescribeKey", &later);
    assert_eq!(seen(), Ok(Until::Instant(then)));
    world.clock.set(then);
    assert!(matches!(seen(), Err(Error::AccessDenied(refused)) if refused.explicitly));
}

#[test]
fn what_is_there_is_listed_for_whom_policies_let_as_of_now() {
    each_place(|world| {
        let owner = with_bob(world);
        let key = kms_key(&owner);
        owner.create_alias(OWNER, "alias/one", &key).unwrap();
        let terms = GrantTerms::new(None, BOB, Some(BOB), &["VerifyMac"]).unwrap();
        owner.create_grant(OWNER, &key, &terms).unwrap();
        let token = open_for_bob(world);
        let who = token.principal();
        let lists = || {
            [
                token.kms_keys(who, None, 10).map(|(keys, _)| keys.len()),
                token.aliases(who, None, None, 10).map(|(aliases, _)| aliases.len()),
                token.retirable_grants(who, BOB, None, 10).map(|(grants, _)| grants.len()),
            ]
        };
        let refused = |answer: &Result<usize>| matches!(answer, Err(Error::AccessDenied(_)));
        assert!(lists().iter().all(refused), "{:?}", lists());
        let allow = r#"{"Statement":{"Effect":"Allow","Action":"kms:List*","Resource":"*"}}"#;
        owner.put_identity_policy(OWNER, &bob(), "list", allow).unwrap();
        assert_eq!(lists(), [Ok(1), Ok(1), Ok(1)]);
        owner.delete_identity_policy(OWNER, &bob(), "list").unwrap();
        assert!(lists().iter().all(refused), "{:?}", lists());
    });
}
