//! What a key policy must be to be put.

use super::*;
use crate::object::KeySpec;
use crate::object::kms::NewKey;

const OWNER: Principal = Principal::Owner;

fn kms_key(token: &Token) -> String {
    id_of(&token.create_kms_key(OWNER, NewKey::new(KeySpec::Hmac256), false).unwrap())
}

/// A policy of the root's that names these principals too.
fn naming(principals: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Principal":{{"AWS":"000000000000"}},"Action":"kms:*","Resource":"*"}},
            {{"Effect":"Deny",{principals},"Action":"kms:GenerateMac","Resource":"*"}}]}}"#
    )
}

#[test]
fn whoever_it_names_is_there() {
    each_place(|world| {
        let token = with_bob(world);
        let key = kms_key(&token);
        token.add_role(OWNER, &name("Producer"), TRUST).unwrap();
        let aws = |who: &str| naming(&format!(r#""Principal":{{"AWS":"{who}"}}"#));
        let user = token.user(OWNER, &name("Bob")).unwrap().entity.unique_id;
        let role = token.role(OWNER, &name("Producer")).unwrap().entity.unique_id;
        for there in [
            "*",
            "arn:aws:iam::000000000000:root",
            "arn:aws:iam::000000000000:user/Bob",
            "arn:aws:iam::000000000000:role/Producer",
            "arn:aws:sts::000000000000:assumed-role/Producer/any",
            "arn:aws:sts::000000000000:federated-user/any",
            // Nobody here knows who is in another account.
            "arn:aws:iam::111122223333:user/nobody",
            &user,
            &role,
        ] {
            assert_eq!(token.put_key_policy(OWNER, &key, &aws(there), false), Ok(()), "{there}");
        }
        let kept = token.get_key_policy(OWNER, &key).unwrap();
        let refused = |policy: &str| {
            for bypass in [false, true] {
                let answer = token.put_key_policy(OWNER, &key, policy, bypass);
                let Err(Error::MalformedPolicy(why)) = answer else { panic!("{policy}") };
                assert_eq!(why, "Policy contains a statement with one or more invalid principals.");
                let new = NewKey { policy: Some(policy.into()), ..NewKey::new(KeySpec::Hmac256) };
                let answer = token.create_kms_key(OWNER, new, bypass);
                assert!(matches!(answer, Err(Error::MalformedPolicy(_))), "{policy}");
            }
        };
        for missing in [
            "arn:aws:iam::000000000000:user/alice",
            // ARNs tell cases apart: a Deny for this one would deny nobody anything.
            "arn:aws:iam::000000000000:user/bob",
            "arn:aws:iam::000000000000:user/team/Bob",
            "arn:aws:iam::000000000000:role/Bob",
            "arn:aws:iam::000000000000:user/Producer",
            "arn:aws-cn:iam::000000000000:user/Bob",
            "arn:aws:sts::000000000000:assumed-role/Bob/any",
            "AIDAAAAAAAAAAAAAAAAAA",
            "AROAAAAAAAAAAAAAAAAAA",
        ] {
            refused(&aws(missing));
        }
        refused(&naming(
            r#""Principal":{"AWS":["arn:aws:iam::000000000000:user/Bob","arn:aws:iam::000000000000:user/alice"]}"#,
        ));
        refused(&naming(
            r#""NotPrincipal":{"AWS":["000000000000","arn:aws:iam::000000000000:user/alice"]}"#,
        ));
        assert_eq!(token.get_key_policy(OWNER, &key).unwrap(), kept);
        // Who was there when it was put may go.
        token.put_key_policy(OWNER, &key, &aws(&user), false).unwrap();
        token.remove_user(OWNER, &name("Bob")).unwrap();
        assert_eq!(token.get_key_policy(OWNER, &key).unwrap(), aws(&user));
        refused(&aws(&user));
    });
}

#[test]
fn whoever_puts_it_can_put_another() {
    let world = World::in_memory();
    let owner = with_mighty_bob(&world);
    let token = open_for_bob(&world);
    let bob = token.principal();
    let key = kms_key(&owner);
    owner.tag_key(OWNER, &key, &[("team".into(), "red".into())]).unwrap();
    let policy = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
                "Principal":{{"AWS":"arn:aws:iam::000000000000:user/Bob"}},
                "Action":"kms:*","Resource":"*","Condition":{{{condition}}}}}}}"#
        )
    };
    for (condition, locks_out) in [
        (r#""StringEquals":{"kms:PolicyName":"default"}"#, false),
        (r#""StringEquals":{"kms:PolicyName":"other"}"#, true),
        (r#""StringEquals":{"aws:ResourceTag/team":"red"}"#, false),
        (r#""StringEquals":{"aws:ResourceTag/team":"blue"}"#, true),
        (r#""StringEquals":{"aws:RequestedRegion":"us-east-1"}"#, false),
        (r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}"#, false),
        (r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}"#, true),
    ] {
        let put = || token.put_key_policy(bob, &key, &policy(condition), false);
        let answer = put();
        assert_eq!(matches!(answer, Err(Error::MalformedPolicy(_))), locks_out, "{answer:?}");
        // And so it is.
        assert_eq!(put().is_ok(), !locks_out, "{condition}");
    }
    // Not the owner, whom it leaves out.
    let own = policy(r#""Null":{"aws:username":"false"}"#);
    assert!(owner.put_key_policy(OWNER, &key, &own, false).is_err());
}
