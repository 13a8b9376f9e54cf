//! Objects as bytes: the plain text of what the vault seals.
//!
//! ```text
//! CBOR array (RFC 8949), indices are for ever:
//!   0  class            the standard's number
//!   1  attributes       array of [number, value]; the value of a secret excepted
//!   2  value            byte string
//!   3  state            number, see KeyState
//!   4  origin           number, see Origin
//!   5  policy           text or null
//!   6  created          seconds since 1970-01-01T00:00:00Z
//! value: [0, bool] | [1, number] | [2, bytes] | [3, bytes or null] | [4, array of numbers]
//! ```
//!
//! Fields that a later version adds get the next index; this version ignores
//! those, and a missing optional field has its default. An attribute, a state or
//! an origin that it does not know it cannot honour: such an object is not read,
//! and a version that adds one raises the store's schema.

#![allow(clippy::useless_conversion, reason = "CK_ULONG is 32 bits wide on some platforms")]

use super::{Attributes, KeyState, Lifecycle, Object, Origin};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use crate::types::{AttributeType, AttributeValue, Date, ObjectClass, Ulong};
use minicbor::bytes::{ByteArray, ByteSlice};
use minicbor::{CborLen, Decode, Encode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct Wire<'a> {
    #[n(0)]
    class: u64,
    #[b(1)]
    attributes: Vec<WireAttribute<'a>>,
    #[b(2)]
    value: &'a ByteSlice,
    #[n(3)]
    state: u8,
    #[n(4)]
    origin: u8,
    #[b(5)]
    policy: Option<&'a str>,
    #[n(6)]
    created: u64,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireAttribute<'a> {
    #[n(0)]
    number: u64,
    #[b(1)]
    value: WireValue<'a>,
}

#[derive(Encode, Decode, CborLen)]
enum WireValue<'a> {
    #[n(0)]
    Bool(#[n(0)] bool),
    #[n(1)]
    Ulong(#[n(0)] u64),
    #[n(2)]
    Bytes(#[b(0)] &'a ByteSlice),
    #[n(3)]
    Date(#[n(0)] Option<ByteArray<8>>),
    #[n(4)]
    Mechanisms(#[n(0)] Vec<u64>),
}

const STATES: [KeyState; 6] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingImport,
    KeyState::PendingDeletion,
    KeyState::PendingReplicaDeletion,
    KeyState::Unavailable,
];
const ORIGINS: [Origin; 2] = [Origin::Generated, Origin::External];

/// The position in a list of fixed order, and back.
fn code<T: PartialEq>(list: &[T], item: &T) -> u8 {
    let position = list.iter().position(|other| other == item).unwrap_or(list.len());
    u8::try_from(position).unwrap_or(u8::MAX)
}

/// `object` as bytes, in memory that is wiped. With `with_value` false the
/// value is left out.
///
/// # Errors
/// [`Error::FunctionFailed`], never for an object that is well-formed.
pub fn encode(object: &Object, with_value: bool) -> Result<SecretBytes> {
    let wire = Wire {
        class: object.class.to_ck().into(),
        attributes: object
            .attributes
            .iter()
            .map(|(attribute, value)| WireAttribute {
                number: attribute.to_ck().into(),
                value: match value {
                    AttributeValue::Bool(flag) => WireValue::Bool(*flag),
                    AttributeValue::Ulong(number) => WireValue::Ulong((*number).into()),
                    AttributeValue::Bytes(bytes) => WireValue::Bytes(bytes.as_slice().into()),
                    AttributeValue::Date(date) => WireValue::Date(date.map(|date| date.0.into())),
                    AttributeValue::Mechanisms(list) => {
                        WireValue::Mechanisms(list.iter().map(|&number| number.into()).collect())
                    }
                },
            })
            .collect(),
        value: if with_value { object.value.expose() } else { &[] }.into(),
        state: code(&STATES, &object.lifecycle.state),
        origin: code(&ORIGINS, &object.lifecycle.origin),
        policy: object.lifecycle.policy.as_deref(),
        created: object
            .lifecycle
            .created
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs()),
    };
    SecretBytes::filled(minicbor::len(&wire), |out| {
        minicbor::encode(&wire, out)
            .map_err(|error| Error::FunctionFailed(format!("encoding an object: {error}")))
    })
}

/// Reads an object back; `None` when the bytes are not one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Object> {
    let wire: Wire<'_> = minicbor::decode(bytes).ok()?;
    let number = |number: u64| Ulong::try_from(number).ok();
    let class = ObjectClass::from_ck(number(wire.class)?)?;
    let mut attributes = Attributes::new();
    for WireAttribute { number: attribute, value } in wire.attributes {
        let value = match value {
            WireValue::Bool(flag) => AttributeValue::Bool(flag),
            WireValue::Ulong(value) => AttributeValue::Ulong(number(value)?),
            WireValue::Bytes(bytes) => AttributeValue::Bytes(bytes.to_vec()),
            WireValue::Date(date) => AttributeValue::Date(date.map(|date| Date(date.into()))),
            WireValue::Mechanisms(list) => {
                AttributeValue::Mechanisms(list.into_iter().map(number).collect::<Option<_>>()?)
            }
        };
        attributes.insert(AttributeType::from_ck(number(attribute)?)?, value);
    }
    Some(Object {
        class,
        attributes,
        value: SecretBytes::copied(wire.value),
        lifecycle: Lifecycle {
            state: *STATES.get(usize::from(wire.state))?,
            origin: *ORIGINS.get(usize::from(wire.origin))?,
            policy: wire.policy.map(str::to_owned),
            created: created(wire.created)?,
        },
    })
}

fn created(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::request::{Contribution, NewObject};
    use crate::types::{KeyType, MechanismType};

    fn key() -> Object {
        let length = Ulong::to_ne_bytes(32);
        let template = [crate::types::RawAttribute {
            number: AttributeType::ValueLen.to_ck(),
            value: &length,
        }];
        let (new, _) = NewObject::generate(&template, KeyType::Sha256Hmac, 14..=512).unwrap();
        let contribution = Contribution {
            unique_id: "9f3c".into(),
            check_value: [1, 2, 3],
            now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        new.into_generated(SecretBytes::copied(&[7; 32]), MechanismType::Sha256KeyGen, contribution)
            .unwrap()
    }

    #[test]
    fn an_object_comes_back_as_it_went() {
        let object = key();
        let back = decode(encode(&object, true).unwrap().expose()).unwrap();
        assert_eq!(back.attributes, object.attributes);
        assert_eq!(back.lifecycle, object.lifecycle);
        assert_eq!(back.class, object.class);
        assert!(back.value.equals(object.value.expose()));
    }

    #[test]
    fn the_value_can_be_left_out() {
        let bytes = encode(&key(), false).unwrap();
        assert!(!bytes.expose().windows(8).any(|window| window == [7; 8]));
        let back = decode(bytes.expose()).unwrap();
        assert!(back.value.is_empty());
        let length = back.read(AttributeType::ValueLen.to_ck()).unwrap();
        assert_eq!(*length, Ulong::to_ne_bytes(32), "it is known all the same");
        assert_eq!(back.size(), key().size());
    }

    #[test]
    fn damaged_bytes_are_no_object() {
        let bytes = encode(&key(), true).unwrap();
        for end in 0..bytes.len() {
            assert!(decode(&bytes.expose()[..end]).is_none(), "{end}");
        }
        assert!(decode(&[0x87, 0x1b]).is_none());
    }
}
