//! Keys as the KMS API makes them: no template, no attribute of the caller's choice.
//!
//! At the C door such a key signs and verifies with its one mechanism, and cannot be
//! copied, changed or destroyed: who may do that, and when, its policy and its deletion
//! window say. `CKA_ID` holds the 16 bytes that its id is written with.

use super::{Attributes, KeySpec, KeyState, Lifecycle, MultiRegion, Object, Origin, Tags, rules};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use crate::types::{AttributeType, AttributeValue, ObjectClass, Ulong};
use std::time::SystemTime;

/// What a key is made with (KMS API: CreateKey).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The spec.
    pub spec: KeySpec,
    /// Whether it is generated here or waits for material.
    pub origin: Origin,
    /// At most [`DESCRIPTION_MAX`](super::DESCRIPTION_MAX) characters.
    pub description: String,
    /// The tags.
    pub tags: Tags,
    /// The key policy; `None` is the default policy.
    pub policy: Option<String>,
    /// For one of several Regions: its place among them.
    pub multi_region: Option<MultiRegion>,
}

impl NewKey {
    /// A generated key without anything else.
    #[must_use]
    pub const fn new(spec: KeySpec) -> Self {
        Self {
            spec,
            origin: Origin::Generated,
            description: String::new(),
            tags: Tags::new(),
            policy: None,
            multi_region: None,
        }
    }

    /// The key of this id. `value`: what was generated; nothing if it waits for material.
    ///
    /// # Errors
    /// [`Error::AttributeValueInvalid`] for a value of another length than the spec's.
    pub fn into_object(self, id: &str, value: SecretBytes, now: SystemTime) -> Result<Object> {
        let is_generated = self.origin == Origin::Generated;
        let wanted = if is_generated { self.spec.key_len() } else { 0 };
        if value.len() != wanted {
            return Err(Error::AttributeValueInvalid(AttributeType::Value));
        }
        let mut attributes: Attributes = rules::of_class(ObjectClass::SecretKey)
            .filter_map(|rule| Some((rule.attribute, rule.default_value()?)))
            .collect();
        let number = AttributeValue::Ulong;
        let length = Ulong::try_from(wanted).map_err(|_| Error::HostMemory)?;
        attributes.extend([
            (AttributeType::Class, number(ObjectClass::SecretKey.to_ck())),
            (AttributeType::KeyType, number(self.spec.key_type().to_ck())),
            (AttributeType::ValueLen, number(length)),
            (AttributeType::UniqueId, AttributeValue::Bytes(id.into())),
            (AttributeType::Id, AttributeValue::Bytes(bytes_of(id))),
            (
                AttributeType::AllowedMechanisms,
                AttributeValue::Mechanisms(vec![self.spec.mechanism().to_ck()]),
            ),
        ]);
        for (attribute, flag) in [
            (AttributeType::Token, true),
            (AttributeType::Private, true),
            (AttributeType::Sensitive, true),
            (AttributeType::Extractable, false),
            (AttributeType::Modifiable, false),
            (AttributeType::Copyable, false),
            (AttributeType::Destroyable, false),
            (AttributeType::Sign, true),
            (AttributeType::Verify, true),
            (AttributeType::Derive, false),
            (AttributeType::Wrap, false),
            (AttributeType::Unwrap, false),
            (AttributeType::Local, is_generated),
            (AttributeType::AlwaysSensitive, is_generated),
            (AttributeType::NeverExtractable, is_generated),
        ] {
            attributes.insert(attribute, AttributeValue::Bool(flag));
        }
        if is_generated {
            let generator = number(self.spec.generator().to_ck());
            attributes.insert(AttributeType::KeyGenMechanism, generator);
        }
        let state = if is_generated { KeyState::Enabled } else { KeyState::PendingImport };
        let lifecycle = Box::new(Lifecycle {
            state,
            policy: self.policy,
            description: self.description,
            tags: self.tags,
            multi_region: self.multi_region,
            ..Lifecycle::new(self.origin, now)
        });
        Ok(Object { class: ObjectClass::SecretKey, attributes, value, lifecycle })
    }
}

/// Whether a text has the form of a key's id: a UUID in lower case, or `mrk-` and 32
/// hexadecimal digits.
#[must_use]
pub fn is_key_id(id: &str) -> bool {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    match id.strip_prefix("mrk-") {
        Some(digits) => digits.len() == 32 && digits.bytes().all(is_digit),
        None => {
            id.len() == 36
                && id.bytes().enumerate().all(|(place, byte)| match place {
                    8 | 13 | 18 | 23 => byte == b'-',
                    _ => is_digit(byte),
                })
        }
    }
}

/// The bytes that an id's hexadecimal digits stand for.
fn bytes_of(id: &str) -> Vec<u8> {
    let digits = id.strip_prefix("mrk-").unwrap_or(id);
    let digits: Vec<_> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

impl Object {
    /// The key with this material, which it takes in for good.
    #[must_use]
    pub fn with_material(&self, value: SecretBytes, lifecycle: Lifecycle) -> Self {
        let mut attributes = self.attributes.clone();
        let length = AttributeValue::Ulong(Ulong::try_from(value.len()).unwrap_or(Ulong::MAX));
        attributes.insert(AttributeType::ValueLen, length);
        let lifecycle = Box::new(lifecycle);
        Self { class: self.class, attributes, value, lifecycle }
    }

    /// The key without its material, which `lifecycle` no longer counts on either.
    #[must_use]
    pub fn without_material(&self, lifecycle: Lifecycle) -> Self {
        let mut bare = self.with_material(SecretBytes::copied(&[]), lifecycle);
        // It was computed from the value.
        bare.attributes.remove(&AttributeType::CheckValue);
        bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::foreign;
    use std::time::UNIX_EPOCH;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn a_generated_key_has_what_its_spec_says_and_no_more_rights() {
        for spec in KeySpec::ALL {
            let value = SecretBytes::copied(&vec![9; spec.key_len()]);
            let key = NewKey::new(spec).into_object(ID, value, UNIX_EPOCH).unwrap();
            assert_eq!(KeySpec::of(&key), Some(spec));
            assert_eq!(foreign::check(&key, 1..=512), Ok(()));
            assert_eq!(key.lifecycle().state, KeyState::Enabled);
            assert!(key.is_private() && key.is_token_object() && !key.is_value_readable());
            assert!(key.allows(spec.mechanism()) && key.flag(AttributeType::Local));
            for never in [
                AttributeType::Copyable,
                AttributeType::Modifiable,
                AttributeType::Destroyable,
                AttributeType::Extractable,
                AttributeType::Derive,
                AttributeType::Wrap,
                AttributeType::Unwrap,
            ] {
                assert!(!key.flag(never), "{never}");
            }
            let id = [0x12, 0x34, 0xab, 0xcd, 0x12, 0xab, 0x34, 0xcd];
            assert_eq!(key.bytes(AttributeType::Id)[..8], id);
            assert_eq!(key.bytes(AttributeType::Id).len(), 16);
        }
    }

    #[test]
    fn material_comes_and_goes() {
        let new = NewKey { origin: Origin::External, ..NewKey::new(KeySpec::Hmac256) };
        let nothing = || SecretBytes::copied(&[]);
        let key = new.clone().into_object(ID, nothing(), UNIX_EPOCH).unwrap();
        assert!(key.lacks_material());
        assert_eq!(key.lifecycle().state, KeyState::PendingImport);
        assert_eq!(KeySpec::of(&key), Some(KeySpec::Hmac256));
        assert_eq!(foreign::check(&key, 1..=512), Ok(()));
        let full = key.with_material(SecretBytes::copied(&[3; 40]), key.lifecycle().clone());
        assert!(!full.lacks_material());
        assert_eq!(full.size(), key.size() + 40);
        let bare = full.without_material(full.lifecycle().clone());
        assert!(bare.lacks_material() && bare.value().is_empty());
        assert!(new.into_object(ID, SecretBytes::copied(&[1]), UNIX_EPOCH).is_err());
        assert!(NewKey::new(KeySpec::Hmac256).into_object(ID, nothing(), UNIX_EPOCH).is_err());
    }

    #[test]
    fn an_id_is_a_uuid_or_one_of_several_regions() {
        for (id, expected) in [
            (ID, true),
            ("mrk-1234abcd12ab34cd56ef1234567890ab", true),
            ("1234abcd12ab34cd56ef1234567890ab", false),
            ("mrk-fake-key-id", false),
            ("1234ABCD-12ab-34cd-56ef-1234567890ab", false),
            ("1234abcd-12ab-34cd-56ef-1234567890a", false),
            ("", false),
        ] {
            assert_eq!(is_key_id(id), expected, "{id}");
        }
        assert_eq!(bytes_of("mrk-0102").len(), 2);
    }
}
