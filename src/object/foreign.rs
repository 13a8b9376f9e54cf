//! Whether an object that comes from outside, out of a backup, is one that a token
//! could have made. Whoever sealed the backup may have written what they like.

use super::request::{ATTRIBUTE_MAX, DATA_MAX};
use super::{DESCRIPTION_MAX, KeyState, Object, Origin, POLICY_MAX, number, rules};
use crate::types::{AttributeType, AttributeValue, KeyType, ObjectClass, Shape};
use std::ops::RangeInclusive;

/// Checks a token object by the rules for templates, and that its attributes agree
/// with each other. Lengths in bytes. Whether its history is true nobody can see.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn check(object: &Object, key_len: RangeInclusive<usize>) -> Result<(), String> {
    let class = object.class;
    for (&attribute, value) in &object.attributes {
        let rule = rules::find(class, attribute)
            .filter(|rule| rule.attribute != AttributeType::Value)
            .ok_or_else(|| format!("{attribute} does not belong to it"))?;
        if shape(value) != rule.shape {
            return Err(format!("{attribute} has the wrong form"));
        }
        if value.to_bytes().len() > ATTRIBUTE_MAX {
            return Err(format!("{attribute} is too long"));
        }
    }
    // A token of an earlier version may lack attributes that came later; the defaults
    // stand for them.
    let is_true = |attribute| object.flag(attribute);
    let value_len = object.value.len();
    let agrees = number(&object.attributes, AttributeType::Class) == Some(class.to_ck())
        && !object.unique_id().is_empty()
        && is_true(AttributeType::Token);
    let fits = match class {
        ObjectClass::Data => value_len <= DATA_MAX,
        ObjectClass::SecretKey => {
            let stated = number(&object.attributes, AttributeType::ValueLen)
                .and_then(|length| usize::try_from(length).ok());
            let key_type = number(&object.attributes, AttributeType::KeyType);
            let life = &object.lifecycle;
            let may_lack_it = life.state == KeyState::PendingImport
                || (life.origin == Origin::External && life.state.is_pending_deletion());
            let has_material = key_len.contains(&value_len) || (value_len == 0 && may_lack_it);
            stated == Some(value_len)
                && has_material
                && key_type.and_then(KeyType::from_ck).is_some()
                && (!is_true(AttributeType::AlwaysSensitive) || is_true(AttributeType::Sensitive))
                && !(is_true(AttributeType::NeverExtractable)
                    && is_true(AttributeType::Extractable))
                && (!is_true(AttributeType::Local) || object.lifecycle.origin == Origin::Generated)
        }
    };
    let life = &object.lifecycle;
    let is_small = life.description.chars().count() <= DESCRIPTION_MAX
        && life.policy.as_ref().is_none_or(|policy| policy.len() <= POLICY_MAX);
    if agrees && fits && is_small {
        Ok(())
    } else {
        Err("its attributes contradict each other".into())
    }
}

const fn shape(value: &AttributeValue) -> Shape {
    match value {
        AttributeValue::Bool(_) => Shape::Bool,
        AttributeValue::Ulong(_) => Shape::Ulong,
        AttributeValue::Bytes(_) => Shape::Bytes,
        AttributeValue::Date(_) => Shape::Date,
        AttributeValue::Mechanisms(_) => Shape::Mechanisms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::request::{Contribution, NewObject};
    use crate::object::{Lifecycle, codec};
    use crate::secret::SecretBytes;
    use crate::types::{Date, MechanismType, RawAttribute, Ulong};
    use std::time::UNIX_EPOCH;

    fn contribution() -> Contribution {
        Contribution { unique_id: "id".into(), check_value: [1, 2, 3], now: UNIX_EPOCH }
    }

    fn key() -> Object {
        let length = Ulong::to_ne_bytes(32);
        let template = [(AttributeType::ValueLen, &length[..]), (AttributeType::Token, &[1])]
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value });
        let (new, _) = NewObject::generate(&template, KeyType::Sha256Hmac, 14..=512).unwrap();
        let value = SecretBytes::copied(&[7; 32]);
        new.into_generated(value, MechanismType::Sha256KeyGen, contribution()).unwrap()
    }

    fn data() -> Object {
        let class = ObjectClass::Data.to_ck().to_ne_bytes();
        let template = [(AttributeType::Class, &class[..]), (AttributeType::Token, &[1])]
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value });
        NewObject::create(&template, 1..=64).unwrap().into_created(contribution()).unwrap()
    }

    fn fits(object: &Object) -> bool {
        check(object, 1..=64).is_ok()
    }

    #[test]
    fn what_a_token_makes_fits_also_after_a_journey() {
        for object in [key(), data()] {
            assert_eq!(check(&object, 1..=64), Ok(()));
            let back = codec::decode(codec::encode(&object, true).unwrap().expose()).unwrap();
            assert_eq!(check(&back, 1..=64), Ok(()));
        }
    }

    #[test]
    fn material_is_missing_only_while_it_may() {
        let bare = |state, origin| {
            let life = Lifecycle { state, origin, ..Lifecycle::new(origin, UNIX_EPOCH) };
            let mut key = key().without_material(life);
            key.attributes.insert(AttributeType::Local, AttributeValue::Bool(false));
            key
        };
        for (state, origin, expected) in [
            (KeyState::PendingImport, Origin::External, true),
            (KeyState::PendingDeletion, Origin::External, true),
            (KeyState::PendingReplicaDeletion, Origin::External, true),
            (KeyState::PendingDeletion, Origin::Generated, false),
            (KeyState::Enabled, Origin::External, false),
            (KeyState::Disabled, Origin::External, false),
        ] {
            assert_eq!(fits(&bare(state, origin)), expected, "{state} {origin:?}");
        }
    }

    #[test]
    fn what_no_token_makes_does_not_fit() {
        use AttributeValue::{Bool, Bytes, Date as Day, Ulong as Number};
        let wrong = [
            (AttributeType::Class, Number(ObjectClass::Data.to_ck())),
            (AttributeType::Token, Bool(false)),
            (AttributeType::Token, Number(1)),
            (AttributeType::UniqueId, Bytes(Vec::new())),
            (AttributeType::KeyType, Number(0x1f)),
            (AttributeType::ValueLen, Number(31)),
            (AttributeType::Label, Bytes(vec![b'x'; ATTRIBUTE_MAX + 1])),
            (AttributeType::Label, Day(Some(Date(*b"20260101")))),
            (AttributeType::Application, Bytes(b"of a data object".to_vec())),
            (AttributeType::Value, Bytes(b"twice".to_vec())),
            (AttributeType::Sensitive, Bool(false)),
            (AttributeType::Extractable, Bool(true)),
        ];
        for (attribute, value) in wrong {
            let mut object = key();
            object.attributes.insert(attribute, value);
            assert!(!fits(&object), "{attribute}");
        }
        for missing in [AttributeType::Class, AttributeType::KeyType, AttributeType::ValueLen] {
            let mut object = key();
            object.attributes.remove(&missing);
            assert!(!fits(&object), "{missing}");
        }
        assert!(!fits(&key().with_value(SecretBytes::copied(&[7; 31]))));
        assert!(!fits(&data().with_value(SecretBytes::copied(&vec![0; DATA_MAX + 1]))));
        let mut brought = key();
        brought.lifecycle.origin = Origin::External;
        assert!(!fits(&brought), "CKA_LOCAL says that it was made in a token");
        for oversized in [
            Lifecycle { description: "x".repeat(8193), ..*key().lifecycle },
            Lifecycle { policy: Some("x".repeat(32_769)), ..*key().lifecycle },
        ] {
            assert!(!fits(&key().with_lifecycle(oversized)));
        }
        let mut long = key().with_value(SecretBytes::copied(&[7; 65]));
        long.attributes.insert(AttributeType::ValueLen, Number(65));
        assert!(!fits(&long), "longer than any key");
    }
}
