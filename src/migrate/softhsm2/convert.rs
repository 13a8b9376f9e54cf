//! From an object as SoftHSM2 stores it to one of ours.

use super::{Entry, Stored, TokenKey, Value};
use crate::error::{Error, Result};
use crate::mechanism::{IMPORTED_KEY_MAX, IMPORTED_KEY_MIN};
use crate::object::request::{ATTRIBUTE_MAX, Contribution, DATA_MAX, NewObject};
use crate::object::{Object, rules};
use crate::secret::SecretBytes;
use crate::types::{
    AttributeType, KeyType, ObjectClass, RawAttribute, Shape, Ulong, attribute_name, class_name,
    key_type_name,
};
use zeroize::Zeroizing;

/// `CK_UNAVAILABLE_INFORMATION` as machines of either width wrote it.
const UNAVAILABLE: [u64; 2] = [u64::MAX, 0xffff_ffff];

/// How much of a label or an id is told, in bytes.
const NAME_MAX: usize = 128;

/// What the source calls an object, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its file, or its row.
    pub place: String,
    /// `CKO_SECRET_KEY` and the like; `None` when there is no class.
    pub class: Option<String>,
    /// `CKK_GENERIC_SECRET` and the like; `None` when it is no key.
    pub key_type: Option<String>,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: Vec<u8>,
}

/// An object that can be held.
#[derive(Debug)]
pub struct Taken {
    /// What the source calls it.
    pub name: Name,
    /// The object, with a unique id of its own.
    pub object: Object,
    /// The names of attributes that cannot be held.
    pub without: Vec<String>,
}

/// An object that cannot be held.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// What the source calls it.
    pub name: Name,
    /// Why.
    pub why: String,
}

/// An object of the source.
#[derive(Debug)]
pub enum Found {
    /// It can be held.
    Taken(Taken),
    /// It cannot.
    Left(Left),
}

/// What every version of SoftHSM2 writes, of a key and of data: what lacks one of them
/// was cut off behind a whole attribute.
const OF_KEYS: [AttributeType; 11] = [
    AttributeType::Value,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Derive,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Trusted,
    AttributeType::Modifiable,
    AttributeType::WrapWithTrusted,
];
/// `CKA_UNWRAP_TEMPLATE`, the last attribute of a key that every version writes.
const LAST_OF_KEYS: Ulong = 0x4000_0212;
const OF_DATA: [AttributeType; 4] = [
    AttributeType::Value,
    AttributeType::Label,
    AttributeType::Application,
    AttributeType::Modifiable,
];

/// Judges an object.
///
/// # Errors
/// What `contribute` fails at.
pub(super) fn found(
    entry: Entry,
    key: Option<&TokenKey>,
    contribute: &dyn Fn(&SecretBytes) -> Result<Contribution>,
) -> Result<Found> {
    let Entry { place, stored } = entry;
    let unnamed = Name { place, class: None, key_type: None, id: Vec::new(), label: Vec::new() };
    let stored = match stored {
        Ok(stored) => stored,
        Err(why) => return Ok(Found::Left(Left { name: unnamed, why })),
    };
    let source = Source { stored: &stored, key };
    let name = source.name(unnamed);
    let (new, without) = match source.new_object() {
        Ok(new) => new,
        Err(why) => return Ok(Found::Left(Left { name, why })),
    };
    let nothing = SecretBytes::copied(&[]);
    let contribution = contribute(new.value().unwrap_or(&nothing))?;
    Ok(match new.into_created(contribution) {
        Ok(object) => Found::Taken(Taken { name, object, without }),
        Err(Error::AttributeValueInvalid(AttributeType::CheckValue)) => {
            let why = "is damaged: CKA_CHECK_VALUE is another value's";
            Found::Left(Left { name, why: why.into() })
        }
        Err(error) => return Err(error),
    })
}

/// An object and what opens it.
struct Source<'a> {
    stored: &'a Stored,
    key: Option<&'a TokenKey>,
}

impl Source<'_> {
    fn value(&self, attribute: AttributeType) -> Option<&Value> {
        self.stored.get(&attribute.to_ck())
    }

    fn number(&self, attribute: AttributeType) -> Option<u64> {
        match self.value(attribute) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether its byte strings are encrypted.
    fn is_private(&self) -> bool {
        matches!(self.value(AttributeType::Private), Some(Value::Flag(true)))
    }

    /// A byte string in the clear; `None` when it does not open.
    fn bytes(&self, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match (self.is_private(), self.key) {
            (false, _) => Some(stored.to_vec().into()),
            (true, key) => key?.decrypt(stored),
        }
    }

    /// As much of the name as can be read and is worth a line.
    fn name(&self, mut name: Name) -> Name {
        let known = |number: u64, known: fn(Ulong) -> Option<&'static str>| {
            let named = Ulong::try_from(number).ok().and_then(known);
            named.map_or_else(|| format!("{number:#x}"), str::to_owned)
        };
        let text = |attribute| match self.value(attribute) {
            Some(Value::Bytes(bytes)) => {
                self.bytes(bytes).map(|text| text[..text.len().min(NAME_MAX)].to_vec())
            }
            _ => None,
        };
        name.class = self.number(AttributeType::Class).map(|class| known(class, class_name));
        let key_type = self.number(AttributeType::KeyType);
        name.key_type = key_type.map(|key_type| known(key_type, key_type_name));
        name.label = text(AttributeType::Label).unwrap_or_default();
        name.id = text(AttributeType::Id).unwrap_or_default();
        name
    }

    /// The object, and the names of attributes that cannot be held; or why it cannot.
    fn new_object(&self) -> Result<(NewObject, Vec<String>), String> {
        let class = self.class()?;
        let mut values = vec![(AttributeType::Token, Zeroizing::new(vec![1]))];
        let mut without = Vec::new();
        for (&number, value) in self.stored {
            let rule =
                AttributeType::from_ck(number).and_then(|attribute| rules::find(class, attribute));
            let Some(rule) = rule else {
                if !is_nothing(value) {
                    let name = attribute_name(number);
                    without.push(name.map_or_else(|| format!("{number:#x}"), str::to_owned));
                }
                continue;
            };
            match rule.attribute {
                // Every object here is one of the token; the token computes the others.
                AttributeType::Token
                | AttributeType::UniqueId
                | AttributeType::ValueLen
                | AttributeType::ObjectValidationFlags => continue,
                AttributeType::KeyGenMechanism if matches!(value, Value::Number(number) if UNAVAILABLE.contains(number)) =>
                {
                    continue;
                }
                attribute => values.push((attribute, self.raw(attribute, rule.shape, value)?)),
            }
        }
        let template: Vec<_> = values
            .iter()
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
            .collect();
        let new = NewObject::adopt(&template, IMPORTED_KEY_MIN..=IMPORTED_KEY_MAX);
        Ok((new.map_err(|error| refusal(class, &error))?, without))
    }

    /// The class, if objects like this can be held and this one is whole.
    fn class(&self) -> Result<ObjectClass, String> {
        let stored = self.number(AttributeType::Class).ok_or("has no CKA_CLASS")?;
        let held = |number: u64| Ulong::try_from(number).ok();
        let class = held(stored).and_then(ObjectClass::from_ck);
        let class = class.ok_or("Signet holds no objects of this class")?;
        let needed: &[_] = match class {
            ObjectClass::Data => &OF_DATA,
            ObjectClass::SecretKey => {
                let key_type = self.number(AttributeType::KeyType).ok_or("has no CKA_KEY_TYPE")?;
                let key_type = held(key_type).and_then(KeyType::from_ck);
                key_type.ok_or("Signet holds no keys of this type")?;
                &OF_KEYS
            }
        };
        if !matches!(self.value(AttributeType::Private), Some(Value::Flag(_))) {
            return Err("has no CKA_PRIVATE".into());
        }
        let missing = needed.iter().find(|attribute| self.value(**attribute).is_none());
        let missing = missing.map(|attribute| attribute.name()).or_else(|| {
            let last = class == ObjectClass::SecretKey && !self.stored.contains_key(&LAST_OF_KEYS);
            last.then_some("CKA_UNWRAP_TEMPLATE")
        });
        match missing {
            Some(missing) => Err(format!("has no {missing}: it was cut short or edited")),
            None => Ok(class),
        }
    }

    /// An attribute as a caller's memory would hold it.
    fn raw(
        &self,
        attribute: AttributeType,
        shape: Shape,
        value: &Value,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let number = |number: u64| Ulong::try_from(number).map(Ulong::to_ne_bytes);
        let wrong = || format!("has a {attribute} that is none");
        Ok(match (shape, value) {
            (Shape::Bool, Value::Flag(flag)) => vec![u8::from(*flag)].into(),
            (Shape::Ulong, Value::Number(found)) => {
                number(*found).map_err(|_| wrong())?.to_vec().into()
            }
            // SoftHSM2 encrypts no dates, but takes them for encrypted.
            (Shape::Date, Value::Bytes(bytes)) if bytes.len() == 8 => bytes.clone(),
            (Shape::Bytes | Shape::Date, Value::Bytes(bytes)) => self
                .bytes(bytes)
                .ok_or_else(|| format!("does not open with the PIN: {attribute} was edited"))?,
            (Shape::Mechanisms, Value::Mechanisms(list)) => {
                let numbers: Result<Vec<_>, _> = list.iter().map(|found| number(*found)).collect();
                numbers.map_err(|_| wrong())?.concat().into()
            }
            _ => return Err(wrong()),
        })
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Mechanisms(list) => list.is_empty(),
        Value::Template { is_empty } => *is_empty,
        Value::Flag(_) | Value::Number(_) => false,
    }
}

/// Why an object that was read cannot be held.
fn refusal(class: ObjectClass, error: &Error) -> String {
    match (class, error) {
        (ObjectClass::SecretKey, Error::AttributeValueInvalid(AttributeType::Value)) => {
            format!("a key has {IMPORTED_KEY_MIN} to {IMPORTED_KEY_MAX} bytes")
        }
        (ObjectClass::Data, Error::AttributeValueInvalid(AttributeType::Value)) => {
            format!("its value has more than {DATA_MAX} bytes")
        }
        (_, Error::AttributeValueInvalid(attribute)) => {
            format!("has a {attribute} that is none, or longer than {ATTRIBUTE_MAX} bytes")
        }
        (_, error) => error.to_string(),
    }
}
