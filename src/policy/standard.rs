//! The standard's own rules, under every policy: the public sees what is public,
//! the security officer administers, the owner uses, and so does a named user.

use super::Action;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::types::ObjectClass;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// Nobody has logged in.
    Public,
    /// `CKU_SO`: sets PINs and trust, uses no key.
    SecurityOfficer,
    /// `CKU_USER`: the token's owner.
    Owner,
    /// A named user. Who that is, the token knows for as long as the login lasts.
    Named(LoginNumber),
}

/// Tells a login of a named user from every other that a token has seen in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginNumber(pub u64);

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The token itself.
    Token,
    /// An object of the token or of a session.
    Object(&'a Object),
}

/// Whether `principal` may do `action` to `resource`. Pure: the answer depends
/// on the arguments alone.
///
/// # Errors
/// [`Error::UserNotLoggedIn`] when another login would be needed;
/// [`Error::ActionProhibited`] for a named user who asks for what is the owner's.
pub fn authorize(principal: Principal, action: Action, resource: Resource<'_>) -> Result<()> {
    let allowed = match (principal, resource) {
        (Principal::Owner, _) => !matches!(action, Action::InitializePin),
        (Principal::Named(_), Resource::Object(_)) => true,
        (Principal::Named(_), Resource::Token) if is_left_to_policies(action) => true,
        (Principal::Named(_), Resource::Token) if action != Action::InitializePin => {
            return Err(Error::ActionProhibited("only the token's owner may do this"));
        }
        (Principal::SecurityOfficer, Resource::Token) => {
            matches!(
                action,
                Action::InitializePin
                    | Action::CheckToken
                    | Action::Quarantine
                    | Action::SignCheckpoint
            )
        }
        (Principal::Named(_) | Principal::Public, Resource::Token) => false,
        (Principal::SecurityOfficer | Principal::Public, Resource::Object(object)) => {
            !object.is_private() && public_may(principal, action, object)
        }
    };
    if allowed { Ok(()) } else { Err(Error::UserNotLoggedIn) }
}

/// What users do to their account if their policies allow it: what KMS lets them do, and
/// PKCS#11's other way to make an object. The rest is administration.
const fn is_left_to_policies(action: Action) -> bool {
    use Action::{
        CreateKey, GenerateRandom, ImportObject, ListAliases, ListKeys, ListRetirableGrants,
    };
    matches!(
        action,
        CreateKey | ImportObject | GenerateRandom | ListKeys | ListAliases | ListRetirableGrants
    )
}

/// What may be done to a public object without being its owner. A secret token
/// key is used, made, copied and destroyed by the owner only, whatever its
/// `CKA_PRIVATE` says: that attribute governs who sees it.
fn public_may(principal: Principal, action: Action, object: &Object) -> bool {
    if !object.is_governed() || object.class() != ObjectClass::SecretKey {
        return true;
    }
    match action {
        Action::DescribeKey => true,
        Action::UpdateAttributes => principal == Principal::SecurityOfficer,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::request::{Contribution, NewObject};
    use crate::policy::Concern;
    use crate::types::{AttributeType, KeyType, RawAttribute, Ulong};
    use std::time::SystemTime;

    fn key(token: u8, private: u8) -> Object {
        let class = ObjectClass::SecretKey.to_ck().to_ne_bytes();
        let kind: [u8; size_of::<Ulong>()] = KeyType::GenericSecret.to_ck().to_ne_bytes();
        let (token, private) = ([token], [private]);
        let template = [
            (AttributeType::Class, &class[..]),
            (AttributeType::KeyType, &kind),
            (AttributeType::Value, b"key"),
            (AttributeType::Token, &token),
            (AttributeType::Private, &private),
        ]
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value });
        let contribution = Contribution {
            unique_id: "id".into(),
            check_value: [0; 3],
            now: SystemTime::UNIX_EPOCH,
        };
        NewObject::create(&template, 1..=64).unwrap().into_created(contribution).unwrap()
    }

    #[test]
    fn who_may_do_what_with_a_key() {
        use Action::{DescribeKey, DestroyKey, GenerateMac, UpdateAttributes};
        use Principal::{Named, Owner, Public, SecurityOfficer};
        let named = Named(LoginNumber(1));
        // (token, private): which actions each principal is allowed
        let all: &[Action] = &[DescribeKey, GenerateMac, UpdateAttributes, DestroyKey];
        let table: &[((u8, u8), Principal, &[Action])] = &[
            ((1, 1), Owner, all),
            ((1, 1), named, all),
            ((1, 1), SecurityOfficer, &[]),
            ((1, 1), Public, &[]),
            ((1, 0), Owner, all),
            ((1, 0), SecurityOfficer, &[DescribeKey, UpdateAttributes]),
            ((1, 0), Public, &[DescribeKey]),
            ((0, 1), Owner, all),
            ((0, 1), named, all),
            ((0, 1), Public, &[]),
            ((0, 0), Owner, all),
            ((0, 0), SecurityOfficer, all),
            ((0, 0), Public, all),
        ];
        for ((token, private), principal, allowed) in table {
            let key = key(*token, *private);
            for action in all {
                let answer = authorize(*principal, *action, Resource::Object(&key));
                assert_eq!(
                    answer.is_ok(),
                    allowed.contains(action),
                    "token={token} private={private} {principal:?} {action}"
                );
            }
        }
    }

    #[test]
    fn only_the_owner_replaces_the_root_key() {
        for (principal, expected) in [
            (Principal::Public, false),
            (Principal::SecurityOfficer, false),
            (Principal::Named(LoginNumber(1)), false),
            (Principal::Owner, true),
        ] {
            let answer = authorize(principal, Action::RotateRootKey, Resource::Token);
            assert_eq!(answer.is_ok(), expected, "{principal:?}");
        }
    }

    #[test]
    fn what_kms_leaves_to_users_is_asked_of_policies_and_administration_is_not() {
        let named = Principal::Named(LoginNumber(1));
        for action in Action::ALL.iter().filter(|action| action.concern() == Concern::Account) {
            let expected = action.name().starts_with("kms:") || *action == Action::ImportObject;
            let answer = authorize(named, *action, Resource::Token);
            assert_eq!(answer.is_ok(), expected, "{action}");
        }
    }

    #[test]
    fn only_the_security_officer_sets_the_first_pin() {
        for (principal, expected) in [
            (Principal::Public, false),
            (Principal::SecurityOfficer, true),
            (Principal::Named(LoginNumber(1)), false),
            (Principal::Owner, false),
        ] {
            let answer = authorize(principal, Action::InitializePin, Resource::Token);
            assert_eq!(answer.is_ok(), expected, "{principal:?}");
        }
    }
}
