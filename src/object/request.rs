//! From a caller's template to an object that cannot be inconsistent:
//! PKCS#11 v3.2 §4.1.1 (create), §4.1.2 (modify), §4.1.3 (copy).

use super::rules::{self, Change, Given, Rule};
use super::{Attributes, Lifecycle, Object, Origin, flag, number};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use crate::types::{
    AttributeType, AttributeValue, KeyType, MechanismType, ObjectClass, RawAttribute, Template,
    Ulong,
};
use std::ops::RangeInclusive;
use std::time::SystemTime;

/// The longest byte-array attribute, in bytes; the value has its own limits.
pub const ATTRIBUTE_MAX: usize = 65_536;
/// The longest value of a data object, in bytes.
pub const DATA_MAX: usize = 1 << 20;

/// A checked template that makes an object.
#[derive(Debug)]
pub struct NewObject {
    class: ObjectClass,
    attributes: Attributes,
    value: Option<SecretBytes>,
}

/// What the token contributes to a new object.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// `CKA_UNIQUE_ID`.
    pub unique_id: String,
    /// Three bytes computed from the value (`CKA_CHECK_VALUE`).
    pub check_value: [u8; 3],
    /// The time.
    pub now: SystemTime,
}

impl NewObject {
    /// Checks the template of `C_CreateObject`. Lengths in bytes.
    ///
    /// # Errors
    /// As §4.1.1 says: [`Error::AttributeTypeInvalid`],
    /// [`Error::AttributeValueInvalid`], [`Error::AttributeReadOnly`],
    /// [`Error::TemplateIncomplete`], [`Error::TemplateInconsistent`].
    pub fn create(template: &Template<'_>, key_len: RangeInclusive<usize>) -> Result<Self> {
        Self::whole(template, key_len, |rule| rule.create)
    }

    /// Checks an object that another token held: it brings its history along
    /// (`CKA_LOCAL`, `CKA_KEY_GEN_MECHANISM`, `CKA_ALWAYS_SENSITIVE`,
    /// `CKA_NEVER_EXTRACTABLE`), which no caller may set. Lengths in bytes.
    ///
    /// # Errors
    /// As for [`NewObject::create`].
    pub fn adopt(template: &Template<'_>, key_len: RangeInclusive<usize>) -> Result<Self> {
        let mut new = Self::whole(template, key_len, |rule| match rule.attribute {
            AttributeType::Local
            | AttributeType::KeyGenMechanism
            | AttributeType::AlwaysSensitive
            | AttributeType::NeverExtractable => Given::May,
            _ => rule.create,
        })?;
        // A history that the present contradicts is not believed.
        let (sensitive, extractable) =
            (new.flag(AttributeType::Sensitive), new.flag(AttributeType::Extractable));
        for (history, possible) in [
            (AttributeType::AlwaysSensitive, sensitive),
            (AttributeType::NeverExtractable, !extractable),
        ] {
            if new.flag(history) && !possible {
                new.attributes.insert(history, AttributeValue::Bool(false));
            }
        }
        Ok(new)
    }

    /// A template that brings the value with it.
    fn whole(
        template: &Template<'_>,
        key_len: RangeInclusive<usize>,
        given: impl Fn(&Rule) -> Given,
    ) -> Result<Self> {
        let class = find_ulong(template, AttributeType::Class)?
            .ok_or(Error::TemplateIncomplete(AttributeType::Class))?;
        let class = ObjectClass::from_ck(class)
            .ok_or(Error::AttributeValueInvalid(AttributeType::Class))?;
        let new = Self::parse(class, template, given)?;
        let (length, allowed) = (
            new.value.as_ref().map_or(0, SecretBytes::len),
            match class {
                ObjectClass::Data => 0..=DATA_MAX,
                ObjectClass::SecretKey => key_len,
            },
        );
        if !allowed.contains(&length) {
            return Err(Error::AttributeValueInvalid(AttributeType::Value));
        }
        if class == ObjectClass::SecretKey {
            number(&new.attributes, AttributeType::KeyType)
                .and_then(KeyType::from_ck)
                .ok_or(Error::AttributeValueInvalid(AttributeType::KeyType))?;
        }
        Ok(new)
    }

    /// Checks the template of `C_GenerateKey` for a key of `key_type`, and the
    /// length in bytes that it asks for.
    ///
    /// # Errors
    /// As for [`NewObject::create`]; a class or key type that the mechanism
    /// does not make is [`Error::TemplateInconsistent`], a length outside
    /// `key_len` [`Error::AttributeValueInvalid`].
    pub fn generate(
        template: &Template<'_>,
        key_type: KeyType,
        key_len: RangeInclusive<usize>,
    ) -> Result<(Self, usize)> {
        let mut new = Self::parse(ObjectClass::SecretKey, template, |rule| rule.generate)?;
        for (attribute, made) in [
            (AttributeType::Class, ObjectClass::SecretKey.to_ck()),
            (AttributeType::KeyType, key_type.to_ck()),
        ] {
            let made = AttributeValue::Ulong(made);
            if new.attributes.insert(attribute, made.clone()).is_some_and(|asked| asked != made) {
                return Err(Error::TemplateInconsistent(attribute));
            }
        }
        let length = number(&new.attributes, AttributeType::ValueLen)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| key_len.contains(length))
            .ok_or(Error::AttributeValueInvalid(AttributeType::ValueLen))?;
        Ok((new, length))
    }

    fn parse(
        class: ObjectClass,
        template: &Template<'_>,
        given: impl Fn(&Rule) -> Given,
    ) -> Result<Self> {
        let (mut attributes, value) = parse(class, template, |rule, _| {
            if given(rule) == Given::Never {
                Err(Error::AttributeReadOnly(rule.attribute))
            } else {
                Ok(())
            }
        })?;
        for rule in rules::of_class(class) {
            let present = match rule.attribute {
                AttributeType::Value => value.is_some(),
                attribute => attributes.contains_key(&attribute),
            };
            if present {
                continue;
            }
            if given(rule) == Given::Must {
                return Err(Error::TemplateIncomplete(rule.attribute));
            }
            if let Some(default) = rule.default_value() {
                attributes.insert(rule.attribute, default);
            }
        }
        Ok(Self { class, attributes, value })
    }

    /// Whether the template asks for an attribute that is true.
    #[must_use]
    pub fn flag(&self, attribute: AttributeType) -> bool {
        flag(&self.attributes, attribute)
    }

    /// The class asked for.
    #[must_use]
    pub const fn class(&self) -> ObjectClass {
        self.class
    }

    /// The value that came with the template.
    #[must_use]
    pub const fn value(&self) -> Option<&SecretBytes> {
        self.value.as_ref()
    }

    /// The object of `C_CreateObject`, or an adopted one: what a token has generated
    /// keeps that origin.
    ///
    /// # Errors
    /// [`Error::AttributeValueInvalid`] when the template names another check
    /// value than the key has.
    pub fn into_created(mut self, contribution: Contribution) -> Result<Object> {
        let value = self.value.take().unwrap_or_else(|| SecretBytes::copied(&[]));
        let generated = self.flag(AttributeType::Local);
        let origin = if generated { Origin::Generated } else { Origin::External };
        self.finish(value, origin, contribution)
    }

    /// The object of `C_GenerateKey`.
    ///
    /// # Errors
    /// As for [`NewObject::into_created`].
    pub fn into_generated(
        mut self,
        value: SecretBytes,
        mechanism: MechanismType,
        contribution: Contribution,
    ) -> Result<Object> {
        let sensitive = self.flag(AttributeType::Sensitive);
        let extractable = self.flag(AttributeType::Extractable);
        for (attribute, flag) in [
            (AttributeType::Local, true),
            (AttributeType::AlwaysSensitive, sensitive),
            (AttributeType::NeverExtractable, !extractable),
        ] {
            self.attributes.insert(attribute, AttributeValue::Bool(flag));
        }
        self.attributes
            .insert(AttributeType::KeyGenMechanism, AttributeValue::Ulong(mechanism.to_ck()));
        self.finish(value, Origin::Generated, contribution)
    }

    fn finish(
        mut self,
        value: SecretBytes,
        origin: Origin,
        contribution: Contribution,
    ) -> Result<Object> {
        let Contribution { unique_id, check_value, now } = contribution;
        if self.class == ObjectClass::SecretKey {
            // Kept, so that the length of a public key is known before a login.
            let length = Ulong::try_from(value.len()).map_err(|_| Error::HostMemory)?;
            self.attributes.insert(AttributeType::ValueLen, AttributeValue::Ulong(length));
            let computed = AttributeValue::Bytes(check_value.to_vec());
            match self.attributes.get(&AttributeType::CheckValue) {
                None => {
                    self.attributes.insert(AttributeType::CheckValue, computed);
                }
                // No value: the caller wants no check value (§4.10).
                Some(AttributeValue::Bytes(asked)) if asked.is_empty() => {
                    self.attributes.remove(&AttributeType::CheckValue);
                }
                Some(asked) if *asked == computed => {}
                Some(_) => return Err(Error::AttributeValueInvalid(AttributeType::CheckValue)),
            }
        }
        self.attributes
            .insert(AttributeType::UniqueId, AttributeValue::Bytes(unique_id.into_bytes()));
        Ok(Object {
            class: self.class,
            attributes: self.attributes,
            value,
            lifecycle: Box::new(Lifecycle::new(origin, now)),
        })
    }
}

/// What changes an object: the template of `C_SetAttributeValue` or
/// `C_CopyObject`, checked against the object it is meant for.
#[derive(Debug)]
pub struct Changes(Attributes);

impl Changes {
    /// Checks the template of `C_SetAttributeValue`. `security_officer`: whether
    /// the SO asks.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`] when the object is not modifiable,
    /// [`Error::AttributeReadOnly`] where the attribute cannot change so,
    /// otherwise as §4.1.1 says.
    pub fn set(object: &Object, template: &Template<'_>, security_officer: bool) -> Result<Self> {
        if !object.flag(AttributeType::Modifiable) {
            return Err(Error::ActionProhibited("CKA_MODIFIABLE is false"));
        }
        Self::parse(object, template, security_officer, |rule| rule.change)
    }

    /// Checks the template of `C_CopyObject`.
    ///
    /// # Errors
    /// [`Error::ActionProhibited`] when the object is not copyable, otherwise
    /// as for [`Changes::set`].
    pub fn copy(object: &Object, template: &Template<'_>, security_officer: bool) -> Result<Self> {
        if !object.flag(AttributeType::Copyable) {
            return Err(Error::ActionProhibited("CKA_COPYABLE is false"));
        }
        Self::parse(object, template, security_officer, |rule| rule.copy)
    }

    fn parse(
        object: &Object,
        template: &Template<'_>,
        security_officer: bool,
        change: impl Fn(&Rule) -> Change,
    ) -> Result<Self> {
        let (attributes, _) = parse(object.class, template, |rule, value| {
            let attribute = rule.attribute;
            let wanted = value == Some(&AttributeValue::Bool(true));
            let allowed = match change(rule) {
                Change::Free => true,
                Change::Never => false,
                Change::OnlyToFalse => !wanted || object.flag(attribute),
                Change::OnlyToTrue => wanted || !object.flag(attribute),
                Change::OnlyToNothing => {
                    matches!(value, Some(AttributeValue::Bytes(bytes)) if bytes.is_empty())
                }
                Change::BySecurityOfficer => security_officer || wanted == object.flag(attribute),
            };
            if allowed { Ok(()) } else { Err(Error::AttributeReadOnly(attribute)) }
        })?;
        Ok(Self(attributes))
    }

    /// The object after the change; the value is copied.
    #[must_use]
    pub fn applied(self, object: &Object) -> Object {
        let mut attributes = object.attributes.clone();
        for (attribute, value) in self.0 {
            if attribute == AttributeType::CheckValue {
                attributes.remove(&attribute);
            } else {
                attributes.insert(attribute, value);
            }
        }
        Object {
            class: object.class,
            attributes,
            value: SecretBytes::copied(object.value.expose()),
            lifecycle: object.lifecycle.clone(),
        }
    }

    /// A copy with the change applied and a name of its own. State, dates, origin,
    /// policy and tags are inherited.
    #[must_use]
    pub fn copied(self, object: &Object, unique_id: String, now: SystemTime) -> Object {
        let mut copy = self.applied(object);
        let id = AttributeValue::Bytes(unique_id.into_bytes());
        copy.attributes.insert(AttributeType::UniqueId, id);
        *copy.lifecycle = object.lifecycle.inherited(now);
        copy
    }
}

/// Reads a template for objects of `class`; `check` is asked about each
/// attribute, with its value except for `CKA_VALUE`.
fn parse(
    class: ObjectClass,
    template: &Template<'_>,
    check: impl Fn(&Rule, Option<&AttributeValue>) -> Result<()>,
) -> Result<(Attributes, Option<SecretBytes>)> {
    let mut attributes = Attributes::new();
    let mut value: Option<SecretBytes> = None;
    for raw in template {
        let rule = rule_for(class, raw)?;
        if rule.attribute == AttributeType::Value {
            check(rule, None)?;
            if raw.value.len() > DATA_MAX {
                return Err(Error::AttributeValueInvalid(AttributeType::Value));
            }
            if value.as_ref().is_some_and(|first| !first.equals(raw.value)) {
                return Err(Error::TemplateInconsistent(AttributeType::Value));
            }
            value.get_or_insert_with(|| SecretBytes::copied(raw.value));
            continue;
        }
        if raw.value.len() > ATTRIBUTE_MAX {
            return Err(Error::AttributeValueInvalid(rule.attribute));
        }
        let parsed = AttributeValue::parse(rule.attribute, rule.shape, raw.value)?;
        check(rule, Some(&parsed))?;
        if attributes.get(&rule.attribute).is_some_and(|first| *first != parsed) {
            return Err(Error::TemplateInconsistent(rule.attribute));
        }
        attributes.insert(rule.attribute, parsed);
    }
    Ok((attributes, value))
}

fn rule_for(class: ObjectClass, raw: &RawAttribute<'_>) -> Result<&'static Rule> {
    let attribute =
        AttributeType::from_ck(raw.number).ok_or(Error::AttributeTypeInvalid(raw.number))?;
    rules::find(class, attribute).ok_or(Error::TemplateInconsistent(attribute))
}

/// The first number of this type in a template of which nothing is known yet.
fn find_ulong(template: &Template<'_>, attribute: AttributeType) -> Result<Option<Ulong>> {
    template
        .iter()
        .find(|raw| raw.number == attribute.to_ck())
        .map(|raw| crate::types::ulong(raw.value).ok_or(Error::AttributeValueInvalid(attribute)))
        .transpose()
}

#[cfg(test)]
mod tests;
