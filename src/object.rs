//! Objects: their attributes, the rules that govern them, their life cycle.
//!
//! An object is well-formed from the moment it exists (PKCS#11 v3.2 §4): the
//! only ways to one are [`request`], which checks a caller's template, and
//! [`codec`], which reads back what was written before.

#![forbid(unsafe_code)]

pub mod codec;
pub mod foreign;
pub mod kms;
mod lifecycle;
pub mod query;
pub mod request;
pub mod rules;
mod spec;
mod tags;

pub use crate::types::{KeyState, Origin};
pub use lifecycle::{
    DELETION_WINDOW, DELETION_WINDOW_DEFAULT, DESCRIPTION_MAX, Deletion, Lifecycle, MaterialMark,
    MultiRegion, POLICY_MAX, whole_seconds,
};
pub use spec::KeySpec;
pub use tags::{TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX, Tags};

use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use crate::types::{
    AttributeType, AttributeValue, KeyType, MechanismType, ObjectClass, UNAVAILABLE, Ulong,
};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Attributes and their values, the secret one excepted.
pub type Attributes = BTreeMap<AttributeType, AttributeValue>;

/// A `CK_ULONG` attribute.
fn number(attributes: &Attributes, attribute: AttributeType) -> Option<Ulong> {
    match attributes.get(&attribute) {
        Some(AttributeValue::Ulong(number)) => Some(*number),
        _ => None,
    }
}

/// A `CK_BBOOL` attribute; false when there is none of this type.
fn flag(attributes: &Attributes, attribute: AttributeType) -> bool {
    attributes.get(&attribute) == Some(&AttributeValue::Bool(true))
}

/// An object of a token or a session.
#[derive(Debug)]
pub struct Object {
    class: ObjectClass,
    attributes: Attributes,
    value: SecretBytes,
    /// Boxed: most of it is empty most of the time.
    lifecycle: Box<Lifecycle>,
}

impl Object {
    /// The class.
    #[must_use]
    pub const fn class(&self) -> ObjectClass {
        self.class
    }

    /// The key type; `None` for objects that are no keys.
    #[must_use]
    pub fn key_type(&self) -> Option<KeyType> {
        number(&self.attributes, AttributeType::KeyType).and_then(KeyType::from_ck)
    }

    /// A `CK_BBOOL` attribute; false when the object has none of this type.
    #[must_use]
    pub fn flag(&self, attribute: AttributeType) -> bool {
        flag(&self.attributes, attribute)
    }

    /// The bytes of a byte-array attribute; empty when there are none.
    #[must_use]
    pub fn bytes(&self, attribute: AttributeType) -> &[u8] {
        match self.attributes.get(&attribute) {
            Some(AttributeValue::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// `CKA_UNIQUE_ID`.
    #[must_use]
    pub fn unique_id(&self) -> &str {
        // Unique ids are made here and are always text.
        std::str::from_utf8(self.bytes(AttributeType::UniqueId)).unwrap_or_default()
    }

    /// `CKA_PRIVATE`: visible only to the user who has logged in.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.flag(AttributeType::Private)
    }

    /// `CKA_TOKEN`: outlives the session.
    #[must_use]
    pub fn is_token_object(&self) -> bool {
        self.flag(AttributeType::Token)
    }

    /// Whether policies decide about it: what the token keeps, and copies of it. Other
    /// session objects are their application's own.
    #[must_use]
    pub fn is_governed(&self) -> bool {
        self.is_token_object() || self.lifecycle.policy.is_some()
    }

    /// Whether the value may leave the token: neither sensitive nor
    /// unextractable (PKCS#11 v3.2 §4.10).
    #[must_use]
    pub fn is_value_readable(&self) -> bool {
        self.class != ObjectClass::SecretKey
            || (self.flag(AttributeType::Extractable) && !self.flag(AttributeType::Sensitive))
    }

    /// Whether `CKA_ALLOWED_MECHANISMS` lets `mechanism` use this key: an empty
    /// list allows all.
    #[must_use]
    pub fn allows(&self, mechanism: MechanismType) -> bool {
        match self.attributes.get(&AttributeType::AllowedMechanisms) {
            Some(AttributeValue::Mechanisms(list)) if !list.is_empty() => {
                list.contains(&mechanism.to_ck())
            }
            _ => true,
        }
    }

    /// `CKA_VALUE`, for use inside the token.
    #[must_use]
    pub const fn value(&self) -> &SecretBytes {
        &self.value
    }

    /// State, origin, policy and creation date.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Whether it is a key without a value, which may come or has gone; also where
    /// the value itself has not been opened.
    #[must_use]
    pub fn lacks_material(&self) -> bool {
        self.class == ObjectClass::SecretKey
            && number(&self.attributes, AttributeType::ValueLen) == Some(0)
    }

    /// All attributes but the value.
    #[must_use]
    pub const fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// An attribute as the caller's memory will hold it
    /// (`C_GetAttributeValue`, PKCS#11 v3.2 §5.7.5).
    ///
    /// # Errors
    /// [`Error::AttributeSensitive`] for the value of a sensitive or
    /// unextractable key, [`Error::AttributeTypeInvalid`] when the object has
    /// no such attribute.
    pub fn read(&self, number: Ulong) -> Result<Zeroizing<Vec<u8>>> {
        let missing = Error::AttributeTypeInvalid(number);
        let Some(attribute) = AttributeType::from_ck(number) else { return Err(missing) };
        if rules::find(self.class, attribute).is_none() {
            return Err(missing);
        }
        let bytes = match attribute {
            AttributeType::Value if !self.is_value_readable() => {
                return Err(Error::AttributeSensitive(attribute));
            }
            AttributeType::Value => self.value.expose().to_vec(),
            AttributeType::KeyGenMechanism if !self.attributes.contains_key(&attribute) => {
                UNAVAILABLE.to_ne_bytes().to_vec()
            }
            _ => self.attributes.get(&attribute).ok_or(missing)?.to_bytes(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The size that `C_GetObjectSize` reports: the bytes of all attributes,
    /// those of a key's value also where the value itself has not been opened.
    #[must_use]
    pub fn size(&self) -> usize {
        let attributes: usize = self.attributes.values().map(|value| value.to_bytes().len()).sum();
        let value = number(&self.attributes, AttributeType::ValueLen)
            .map_or(self.value.len(), |length| usize::try_from(length).unwrap_or(0));
        attributes + value
    }

    /// The same object at another point of its life.
    #[must_use]
    pub fn with_lifecycle(&self, lifecycle: Lifecycle) -> Self {
        Self {
            class: self.class,
            attributes: self.attributes.clone(),
            value: SecretBytes::copied(self.value.expose()),
            lifecycle: Box::new(lifecycle),
        }
    }

    /// The object with its value, which was stored apart from it.
    #[must_use]
    pub fn with_value(mut self, value: SecretBytes) -> Self {
        self.value = value;
        self
    }
}
