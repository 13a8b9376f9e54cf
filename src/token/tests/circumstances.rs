//! What requests bring along, as conditions see it.

use super::*;
use crate::clock::Timestamp;
use crate::object::kms::NewKey;
use crate::object::{KeySpec, Origin, Tags};
use crate::policy::{GrantTerms, default_key_policy};
use crate::secret::SecretBytes;

const OWNER: Principal = Principal::Owner;
const BOB: &str = "arn:aws:iam::000000000000:user/Bob";

/// The owner's token, and Bob's with his principal.
struct Both {
    owner: Token,
    token: Token,
    key: String,
}

impl Both {
    fn new(new: NewKey) -> Self {
        let world = World::in_memory();
        let owner = with_bob(&world);
        let key = id_of(&owner.create_kms_key(OWNER, new, false).unwrap());
        Self { token: open_for_bob(&world), owner, key }
    }

    /// Asks for something that Bob may do under this condition.
    fn ask<R>(
        &self,
        action: &str,
        condition: &str,
        ask: impl FnOnce(&Token, Principal, &str) -> Result<R>,
    ) -> Result<R> {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":{action},"Resource":"*","Condition":{{{condition}}}}}}}"#
        );
        let bob = Identity::User(name("Bob"));
        self.owner.put_identity_policy(OWNER, &bob, "only", &policy).unwrap();
        ask(&self.token, self.token.principal(), &self.key)
    }
}

/// Bob is refused under the first condition and not under the second.
#[track_caller]
fn assert_tells<R: std::fmt::Debug>(
    action: &str,
    (refused, allowed): (&str, &str),
    new: NewKey,
    ask: impl Fn(&Token, Principal, &str) -> Result<R>,
) {
    let both = Both::new(new);
    let action = format!("\"{action}\"");
    let answer = both.ask(&action, refused, &ask);
    assert!(matches!(answer, Err(Error::AccessDenied(_))), "{refused}: {answer:?}");
    let answer = both.ask(&action, allowed, &ask);
    assert!(answer.is_ok(), "{allowed}: {answer:?}");
}

fn plain() -> NewKey {
    NewKey::new(KeySpec::Hmac256)
}

fn tag(key: &str, value: &str) -> (String, String) {
    (key.into(), value.into())
}

#[test]
fn the_days_until_a_deletion() {
    let days = |most: u8| {
        format!(
            r#""NumericLessThanEquals":{{"kms:ScheduleKeyDeletionPendingWindowInDays":"{most}"}}"#
        )
    };
    let conditions = (&*days(9), &*days(10));
    assert_tells("kms:ScheduleKeyDeletion", conditions, plain(), |token, bob, key| {
        token.schedule_key_deletion(bob, key, 10)
    });
}

#[test]
fn the_tags_that_are_set() {
    let tags = [tag("team", "red"), tag("cost", "5")];
    for conditions in [
        (
            r#""StringEquals":{"aws:RequestTag/team":"blue"}"#,
            r#""StringEquals":{"aws:RequestTag/team":"red"}"#,
        ),
        (
            r#""ForAllValues:StringEquals":{"aws:TagKeys":["team"]}"#,
            r#""ForAllValues:StringEquals":{"aws:TagKeys":["cost","team"]}"#,
        ),
        // The tags that it has are others.
        (
            r#""StringEquals":{"aws:ResourceTag/team":"red"}"#,
            r#""Null":{"aws:ResourceTag/team":"true"}"#,
        ),
    ] {
        assert_tells("kms:TagResource", conditions, plain(), |token, bob, key| {
            token.tag_key(bob, key, &tags)
        });
    }
}

#[test]
fn the_tags_that_are_taken_away() {
    let conditions = (
        r#""ForAllValues:StringEquals":{"aws:TagKeys":["cost"]}"#,
        r#""ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}"#,
    );
    assert_tells("kms:UntagResource", conditions, plain(), |token, bob, key| {
        token.untag_key(bob, key, &["team".into()])
    });
}

#[test]
fn what_a_key_is_made_with() {
    let made = |token: &Token, bob, _: &str| {
        let tags = Tags::of(&[tag("team", "red")]).unwrap();
        let policy = Some(default_key_policy("000000000000"));
        let new = NewKey { tags, policy, ..NewKey::new(KeySpec::Hmac512) };
        token.create_kms_key(bob, new, true)
    };
    for conditions in [
        (
            r#""StringEquals":{"aws:RequestTag/team":"blue"}"#,
            r#""StringEquals":{"aws:RequestTag/team":"red"}"#,
        ),
        (
            r#""ForAnyValue:StringEquals":{"aws:TagKeys":"cost"}"#,
            r#""ForAnyValue:StringEquals":{"aws:TagKeys":"team"}"#,
        ),
        (
            r#""StringEquals":{"aws:ResourceTag/team":"red"}"#,
            r#""StringEquals":{"kms:KeySpec":"HMAC_512","kms:KeyOrigin":"AWS_KMS"}"#,
        ),
        (r#""Bool":{"kms:MultiRegion":"true"}"#, r#""Bool":{"kms:MultiRegion":"false"}"#),
    ] {
        assert_tells("kms:*", conditions, plain(), made);
    }
    let conditions = (
        r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}"#,
        r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}"#,
    );
    assert_tells("kms:CreateKey", conditions, plain(), |token, bob, _| {
        token.create_kms_key(bob, plain(), true)
    });
}

#[test]
fn nobody_lets_himself_tag_the_key_that_he_makes() {
    let both = Both::new(plain());
    let own = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{BOB}"}},"Action":"kms:*","Resource":"*"}}}}"#
    );
    let make = |token: &Token, bob, tagged: bool| {
        let tags = if tagged { vec![tag("team", "red")] } else { Vec::new() };
        let tags = Tags::of(&tags).unwrap();
        token.create_kms_key(bob, NewKey { tags, policy: Some(own.clone()), ..plain() }, false)
    };
    let always = r#""Null":{"aws:CurrentTime":"false"}"#;
    let refused = both.ask("\"kms:CreateKey\"", always, |token, bob, _| make(token, bob, true));
    let Err(Error::AccessDenied(refused)) = refused else { panic!("{refused:?}") };
    assert!(refused.message.contains("kms:TagResource"), "{}", refused.message);
    both.ask("\"kms:CreateKey\"", always, |token, bob, _| make(token, bob, false)).unwrap();
    // Nor by the tags that it is to have.
    let by_tag = r#""StringEqualsIfExists":{"aws:ResourceTag/team":"red"},"Null":{"aws:ResourceTag/team":"false"}"#;
    let refused = both.ask("\"kms:*\"", by_tag, |token, bob, _| make(token, bob, true));
    assert!(matches!(refused, Err(Error::AccessDenied(_))), "{refused:?}");
    let both_actions = r#"["kms:CreateKey","kms:TagResource"]"#;
    both.ask(both_actions, always, |token, bob, _| make(token, bob, true)).unwrap();
}

#[test]
fn which_policy_is_put_and_whether_it_may_lock_out() {
    let put = |bypass| {
        move |token: &Token, bob, key: &str| {
            token.put_key_policy(bob, key, &default_key_policy("000000000000"), bypass)
        }
    };
    let named = (
        r#""StringEquals":{"kms:PolicyName":"other"}"#,
        r#""StringEquals":{"kms:PolicyName":"default"}"#,
    );
    assert_tells("kms:PutKeyPolicy", named, plain(), put(false));
    assert_tells("kms:GetKeyPolicy", named, plain(), |token, bob, key| {
        token.get_key_policy(bob, key)
    });
    let (no, yes) = (
        r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}"#,
        r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}"#,
    );
    assert_tells("kms:PutKeyPolicy", (yes, no), plain(), put(false));
    assert_tells("kms:PutKeyPolicy", (no, yes), plain(), put(true));
    // Left out, it is false, and absent.
    let (absent, there) = (
        r#""Null":{"kms:BypassPolicyLockoutSafetyCheck":"true"}"#,
        r#""Null":{"kms:BypassPolicyLockoutSafetyCheck":"false"}"#,
    );
    assert_tells("kms:PutKeyPolicy", (there, absent), plain(), put(false));
    assert_tells("kms:PutKeyPolicy", (absent, there), plain(), put(true));
}

#[test]
fn until_when_material_is_imported() {
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let until = start + Duration::from_secs(86_400);
    let import = |until| {
        move |token: &Token, bob, key: &str| {
            token.import_key_material(bob, key, &SecretBytes::copied(&[7; 32]), until)
        }
    };
    let external = || NewKey { origin: Origin::External, ..plain() };
    let action = "kms:ImportKeyMaterial";
    let before = |seconds| {
        let date = Timestamp(until + Duration::from_secs(seconds));
        format!(r#""DateLessThan":{{"kms:ValidTo":"{date}"}}"#)
    };
    assert_tells(action, (&before(0), &before(1)), external(), import(Some(until)));
    let model = |model: &str| format!(r#""StringEquals":{{"kms:ExpirationModel":"{model}"}}"#);
    let (ends, stays) = (model("KEY_MATERIAL_EXPIRES"), model("KEY_MATERIAL_DOES_NOT_EXPIRE"));
    assert_tells(action, (&stays, &ends), external(), import(Some(until)));
    assert_tells(action, (&ends, &stays), external(), import(None));
    let undated = r#""Null":{"kms:ValidTo":"true"}"#;
    assert_tells(action, (&before(1), undated), external(), import(None));
}

#[test]
fn what_a_grant_is_for() {
    let terms = GrantTerms::new(None, BOB, None, &["VerifyMac"]).unwrap();
    for conditions in [
        (
            r#""Bool":{"kms:GrantIsForAWSResource":"true"}"#,
            r#""Bool":{"kms:GrantIsForAWSResource":"false"}"#,
        ),
        (
            r#""ForAllValues:StringEquals":{"kms:GrantOperations":"GenerateMac"}"#,
            r#""ForAllValues:StringEquals":{"kms:GrantOperations":"VerifyMac"}"#,
        ),
        (
            r#""Null":{"kms:RetiringPrincipal":"false"}"#,
            r#""StringLike":{"kms:GranteePrincipal":"*:user/Bob"}"#,
        ),
    ] {
        assert_tells("kms:CreateGrant", conditions, plain(), |token, bob, key| {
            token.create_grant(bob, key, &terms)
        });
    }
}

#[test]
fn the_key_whose_grant_is_retired() {
    let both = Both::new(plain());
    both.owner.tag_key(OWNER, &both.key, &[tag("team", "red")]).unwrap();
    let terms = GrantTerms::new(None, BOB, Some(BOB), &["VerifyMac"]).unwrap();
    let grant = both.owner.create_grant(OWNER, &both.key, &terms).unwrap();
    let retire = |team: &str| {
        let deny = format!(
            r#"{{"Statement":{{"Effect":"Deny","Action":"kms:RetireGrant","Resource":"*","Condition":{{"StringEquals":{{"aws:ResourceTag/team":"{team}"}}}}}}}}"#
        );
        let bob = Identity::User(name("Bob"));
        both.owner.put_identity_policy(OWNER, &bob, "not", &deny).unwrap();
        both.token.retire_grant(both.token.principal(), &both.key, &grant.id)
    };
    let refused = retire("red");
    assert!(matches!(refused, Err(Error::AccessDenied(_))), "{refused:?}");
    assert_eq!(retire("blue"), Ok(()));
}

#[test]
fn the_role_that_is_taken() {
    let world = World::in_memory();
    let owner = with_bob(&world);
    let (role, bob) = (name("Producer"), name("Bob"));
    owner.add_role(OWNER, &role, TRUST).unwrap();
    owner.tag_identity(OWNER, &Identity::Role(role.clone()), "team", "red").unwrap();
    let take = |key: &str, team: &str| {
        let deny = format!(
            r#"{{"Statement":{{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*","Condition":{{"StringEquals":{{"{key}":"{team}"}}}}}}}}"#
        );
        owner.put_identity_policy(OWNER, &Identity::User(bob.clone()), "not", &deny).unwrap();
        world.open().login_in_role(&role, &bob, &pin(BOB_PIN))
    };
    for key in ["aws:ResourceTag/team", "iam:ResourceTag/Team"] {
        let refused = take(key, "red");
        assert!(matches!(refused, Err(Error::ActionProhibited(_))), "{key}: {refused:?}");
        assert_eq!(take(key, "blue"), Ok(()), "{key}");
    }
}
