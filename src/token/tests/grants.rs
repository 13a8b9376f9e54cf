//! Grants.

use super::key_life::{OWNER, is_in_state, refusal};
use super::*;
use crate::error::Refusal;
use crate::object::KeyState;
use crate::policy::{Grant, GrantOperation, GrantTerms};
use crate::token::{GrantFilter, NewGrant};

const DAY: Duration = Duration::from_secs(86_400);
const ANN: &str = "arn:aws:iam::111122223333:user/ann";
const BOB: &str = "arn:aws:iam::111122223333:user/bob";

fn new_key(token: &Token) -> String {
    id_of(&insert(token, key("k", true, &[])))
}

fn terms(name: Option<&str>, grantee: &str) -> GrantTerms {
    GrantTerms::new(name, grantee, Some(BOB), &["GenerateMac", "DescribeKey"]).unwrap()
}

fn granted(token: &Token, key: &str, terms: &GrantTerms) -> NewGrant {
    token.create_grant(OWNER, key, terms).unwrap()
}

fn ids(token: &Token, key: &str, filter: GrantFilter<'_>) -> Vec<String> {
    let (grants, next) = token.grants(OWNER, key, filter, None, 100).unwrap();
    assert_eq!(next, None);
    grants.into_iter().map(|grant| grant.id).collect()
}

fn all(token: &Token, key: &str) -> Vec<String> {
    ids(token, key, GrantFilter::default())
}

#[test]
fn a_grant_is_there_as_it_was_made_until_it_is_revoked() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let key = new_key(&token);
        let made = granted(&token, &key, &terms(Some("a"), ANN));
        assert_eq!(made.id.len(), 64);
        let (grants, _) = other.grants(OWNER, &key, GrantFilter::default(), None, 9).unwrap();
        let expected = Grant {
            id: made.id.clone(),
            terms: terms(Some("a"), ANN),
            created: world.clock.now(),
            issuing_account: "000000000000".into(),
        };
        assert_eq!(grants, [expected]);
        let operations = [GrantOperation::DescribeKey, GrantOperation::GenerateMac];
        assert!(grants[0].terms.operations.iter().eq(&operations));
        assert_eq!(other.grants_to(OWNER, &key, ANN).unwrap(), grants);
        assert_eq!(other.grants_to(OWNER, &key, BOB).unwrap(), []);

        token.rotate_root_key(OWNER).unwrap();
        assert_eq!(all(&other, &key), [made.id.as_str()]);
        other.revoke_grant(OWNER, &key, &made.id).unwrap();
        assert_eq!(all(&token, &key), [""; 0]);
        let again = token.revoke_grant(OWNER, &key, &made.id);
        assert_eq!(refusal(again), Refusal::NoSuchGrant(made.id));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_named_grant_of_the_same_terms_is_given_out_again() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let (key, other_key) = (new_key(&token), new_key(&token));
    let first = granted(&token, &key, &terms(Some("a"), ANN));
    let again = granted(&token, &key, &terms(Some("a"), ANN));
    assert_eq!(first.id, again.id);
    assert_ne!(first.token, again.token, "each token is another");
    for token_text in [&first.token, &again.token] {
        assert_eq!(token.grant_of_token(OWNER, token_text).unwrap().grant.id, first.id);
    }
    let more_operations =
        GrantTerms::new(Some("a"), ANN, Some(BOB), &["GenerateMac", "VerifyMac"]).unwrap();
    let retired_by_nobody =
        GrantTerms::new(Some("a"), ANN, None, &["GenerateMac", "DescribeKey"]).unwrap();
    let mut seen = vec![first.id];
    for (key, terms) in [
        (&key, terms(Some("b"), ANN)),
        (&key, terms(Some("a"), BOB)),
        (&key, more_operations),
        (&key, retired_by_nobody),
        (&other_key, terms(Some("a"), ANN)),
        (&key, terms(None, ANN)),
        (&key, terms(None, ANN)),
    ] {
        let id = granted(&token, key, &terms).id;
        assert!(!seen.contains(&id), "{terms:?}");
        seen.push(id);
    }
}

#[test]
fn grants_are_listed_by_key_id_and_grantee_and_by_who_retires_them() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let (first, second) = (new_key(&token), new_key(&token));
    let to_ann: Vec<_> = (0..5).map(|_| granted(&token, &first, &terms(None, ANN)).id).collect();
    let to_bob = granted(&token, &first, &terms(None, BOB)).id;
    let elsewhere = granted(&token, &second, &terms(None, ANN)).id;
    let by = |id, grantee| GrantFilter { id, grantee };
    assert_eq!(all(&token, &first).len(), 6);
    assert_eq!(ids(&token, &first, by(None, Some(ANN))), to_ann);
    assert_eq!(ids(&token, &first, by(Some(&to_bob), None)), [to_bob.as_str()]);
    assert_eq!(ids(&token, &first, by(Some(&to_bob), Some(ANN))), [""; 0]);
    assert_eq!(ids(&token, &first, by(Some(&elsewhere), None)), [""; 0]);
    for wrong in ["", "0", &"g".repeat(64), &"A".repeat(64)] {
        let refused = token.grants(OWNER, &first, by(Some(wrong), None), None, 9);
        assert_eq!(refusal(refused), Refusal::GrantId, "{wrong}");
    }

    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = token.retirable_grants(OWNER, BOB, after.as_deref(), 2).unwrap();
        found.extend(page.into_iter().map(|it| (it.key, it.grant.id)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 7);
    assert_eq!(found[6], (second, elsewhere));
    assert_eq!(token.retirable_grants(OWNER, ANN, None, 9).unwrap().0, []);
}

#[test]
fn a_grant_is_retired_by_its_key_and_id_alone() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let (key, other) = (new_key(&token), new_key(&token));
    let made = granted(&token, &key, &terms(None, ANN));
    let elsewhere = token.retire_grant(OWNER, &other, &made.id);
    assert_eq!(refusal(elsewhere), Refusal::NoSuchGrant(made.id.clone()));
    assert_eq!(refusal(token.retire_grant(OWNER, &key, "x")), Refusal::GrantId);
    // The account that made it may.
    token.retire_grant(OWNER, &key, &made.id).unwrap();
    assert_eq!(all(&token, &key), [""; 0]);
    assert_eq!(refusal(token.grant_of_token(OWNER, &made.token)), Refusal::GrantToken);
}

#[test]
fn a_token_that_was_changed_or_comes_from_elsewhere_is_none() {
    let (world, elsewhere) = (World::in_memory(), World::in_memory());
    let (token, other) = (world.create_for_user(), elsewhere.create_for_user());
    let key = new_key(&token);
    let made = granted(&token, &key, &terms(None, ANN));
    token.rotate_root_key(OWNER).unwrap();
    let found = token.grant_of_token(OWNER, &made.token).unwrap();
    assert_eq!((found.key, found.grant.id), (key.clone(), made.id));
    let second = granted(&token, &key, &terms(None, ANN));
    let swapped = format!("{}{}", &second.token[..64], &made.token[64..]);
    let mut wrong = vec![String::new(), "x".into(), made.token[2..].into(), swapped];
    for place in 0..made.token.len() {
        let mut changed = made.token.clone();
        let digit = if &changed[place..=place] == "0" { "1" } else { "0" };
        changed.replace_range(place..=place, digit);
        wrong.push(changed);
    }
    for text in wrong {
        let refused = refusal(token.grant_of_token(OWNER, &text));
        assert_eq!(refused, Refusal::GrantToken, "{text}");
    }
    assert_eq!(refusal(other.grant_of_token(OWNER, &made.token)), Refusal::GrantToken);
}

#[test]
fn grants_go_with_their_key_and_are_made_only_while_it_is_used() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let key = new_key(&token);
        let made = granted(&token, &key, &terms(None, ANN));
        token.disable_key(OWNER, &key).unwrap();
        let refused = other.create_grant(OWNER, &key, &terms(None, ANN));
        assert_eq!(refusal(refused), is_in_state(&key, KeyState::Disabled));
        let second = new_key(&token);
        let other_made = granted(&token, &second, &terms(None, ANN));
        token.schedule_key_deletion(OWNER, &key, 7).unwrap();
        assert_eq!(all(&other, &key), [made.id.as_str()]);
        world.clock.advance(7 * DAY);
        let gone = other.grants(OWNER, &key, GrantFilter::default(), None, 9);
        assert_eq!(refusal(gone), Refusal::NoSuchKey(key.clone()));
        assert_eq!(refusal(other.grant_of_token(OWNER, &made.token)), Refusal::GrantToken);
        assert_eq!(other.retirable_grants(OWNER, BOB, None, 9).unwrap().0.len(), 1);
        other.act_on_dates().unwrap();
        let mut left = Vec::new();
        crate::store::for_each(&*token.store, record::GRANT, &[], |record| {
            left.push(record.id.as_str().to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(left, [other_made.id]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn nobody_grants_anything_to_somebody_who_is_not_there() {
    each_place(|world| {
        let token = with_bob(world);
        let key = new_key(&token);
        let (bob, root) = ("arn:aws:iam::000000000000:user/Bob", "arn:aws:iam::000000000000:root");
        for missing in [
            "arn:aws:iam::000000000000:user/ann",
            "arn:aws:iam::000000000000:user/bob",
            "arn:aws:iam::000000000000:role/Bob",
            "arn:aws:sts::000000000000:assumed-role/Bob/any",
            "arn:aws-cn:iam::000000000000:user/Bob",
        ] {
            for (grantee, retiring) in [(missing, None), (bob, Some(missing))] {
                let terms = GrantTerms::new(None, grantee, retiring, &["VerifyMac"]).unwrap();
                let refused = token.create_grant(OWNER, &key, &terms);
                assert_eq!(refused, Err(Error::InvalidArn(missing.into())));
            }
        }
        let terms = GrantTerms::new(None, bob, Some(root), &["VerifyMac"]).unwrap();
        granted(&token, &key, &terms);
        assert_eq!(all(&token, &key).len(), 1);
    });
}
