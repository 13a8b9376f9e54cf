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
//!   6  created          a time
//!   7  description      text; absent: empty
//!   8  tags             array of [key, value], both text; absent: none
//!   9  deletion         [window in days, time or null] or null
//!  10  valid to         a time or null
//!  11  material         [salt of 16 bytes, hash of 32 bytes] or null: of material that is gone
//!  12  multi-Region     [is primary, the primary's Region, array of the replicas'] or null
//! value: [0, bool] | [1, number] | [2, bytes] | [3, bytes or null] | [4, array of numbers]
//! a time: whole seconds since 1970-01-01T00:00:00Z
//! ```
//!
//! Behind 6 the array ends with the last field that has not its default, so that an
//! object without them is written as it always was. Fields that a later version adds get the next index; this version ignores
//! those, and a missing optional field has its default. An attribute, a state or
//! an origin that it does not know it cannot honour: such an object is not read,
//! and a version that adds one raises the store's schema.

#![allow(clippy::useless_conversion, reason = "CK_ULONG is 32 bits wide on some platforms")]

use super::{
    Attributes, Deletion, KeyState, Lifecycle, MaterialMark, MultiRegion, Object, Origin, Tags,
};
use crate::error::{Error, Result};
use crate::secret::SecretBytes;
use crate::types::{AttributeType, AttributeValue, Date, ObjectClass, Region, Ulong};
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
    #[b(7)]
    description: Option<&'a str>,
    #[b(8)]
    tags: Option<Vec<WireTag<'a>>>,
    #[n(9)]
    deletion: Option<WireDeletion>,
    #[n(10)]
    valid_to: Option<u64>,
    #[n(11)]
    material: Option<WireMark>,
    #[b(12)]
    multi_region: Option<WireMultiRegion<'a>>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireTag<'a> {
    #[b(0)]
    key: &'a str,
    #[b(1)]
    value: &'a str,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireDeletion {
    #[n(0)]
    window_days: u8,
    #[n(1)]
    date: Option<u64>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireMark {
    #[n(0)]
    salt: ByteArray<16>,
    #[n(1)]
    hash: ByteArray<32>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireMultiRegion<'a> {
    #[n(0)]
    is_primary: bool,
    #[b(1)]
    primary: &'a str,
    #[b(2)]
    replicas: Vec<&'a str>,
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

const STATES: [KeyState; 8] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingImport,
    KeyState::PendingDeletion,
    KeyState::PendingReplicaDeletion,
    KeyState::Unavailable,
    KeyState::Creating,
    KeyState::Updating,
];
const ORIGINS: [Origin; 2] = [Origin::Generated, Origin::External];

/// The position in a list of fixed order, and back.
fn code<T: PartialEq>(list: &[T], item: &T) -> u8 {
    let position = list.iter().position(|other| other == item).unwrap_or(list.len());
    u8::try_from(position).unwrap_or(u8::MAX)
}

/// A time as it is stored.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// `object` as bytes, in memory that is wiped. With `with_value` false the
/// value is left out.
///
/// # Errors
/// [`Error::FunctionFailed`], never for an object that is well-formed.
pub fn encode(object: &Object, with_value: bool) -> Result<SecretBytes> {
    let life = &object.lifecycle;
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
        state: code(&STATES, &life.state),
        origin: code(&ORIGINS, &life.origin),
        policy: life.policy.as_deref(),
        created: seconds(life.created),
        description: Some(&*life.description).filter(|text| !text.is_empty()),
        tags: (!life.tags.is_empty())
            .then(|| life.tags.iter().map(|(key, value)| WireTag { key, value }).collect()),
        deletion: life.deletion.map(|Deletion { window_days, date }| WireDeletion {
            window_days,
            date: date.map(seconds),
        }),
        valid_to: life.valid_to.map(seconds),
        material: life
            .material
            .map(|MaterialMark { salt, hash }| WireMark { salt: salt.into(), hash: hash.into() }),
        multi_region: life.multi_region.as_ref().map(|it| WireMultiRegion {
            is_primary: it.is_primary,
            primary: it.primary.as_str(),
            replicas: it.replicas.iter().map(Region::as_str).collect(),
        }),
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
    let deletion = match wire.deletion {
        Some(WireDeletion { window_days, date }) => {
            Some(Deletion { window_days, date: optional_time(date)? })
        }
        None => None,
    };
    let multi_region = match wire.multi_region {
        Some(WireMultiRegion { is_primary, primary, replicas }) => Some(MultiRegion {
            is_primary,
            primary: Region::new(primary)?,
            replicas: replicas.into_iter().map(Region::new).collect::<Option<_>>()?,
        }),
        None => None,
    };
    Some(Object {
        class,
        attributes,
        value: SecretBytes::copied(wire.value),
        lifecycle: Box::new(Lifecycle {
            state: *STATES.get(usize::from(wire.state))?,
            origin: *ORIGINS.get(usize::from(wire.origin))?,
            policy: wire.policy.map(str::to_owned),
            created: time(wire.created)?,
            description: wire.description.unwrap_or_default().to_owned(),
            tags: tags(wire.tags.unwrap_or_default())?,
            deletion,
            valid_to: optional_time(wire.valid_to)?,
            material: wire.material.map(|WireMark { salt, hash }| MaterialMark {
                salt: salt.into(),
                hash: hash.into(),
            }),
            multi_region,
        }),
    })
}

fn tags(wire: Vec<WireTag<'_>>) -> Option<Tags> {
    let list: Vec<_> =
        wire.into_iter().map(|WireTag { key, value }| (key.to_owned(), value.to_owned())).collect();
    Tags::of(&list).ok()
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// `None` for a time that there is not; inside: for none.
fn optional_time(seconds: Option<u64>) -> Option<Option<SystemTime>> {
    match seconds {
        Some(seconds) => time(seconds).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::request::{Contribution, NewObject};
    use crate::types::{KeyType, MechanismType};
    use proptest::prelude::*;

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

    /// A time in whole seconds, as records keep it.
    fn times() -> impl Strategy<Value = SystemTime> {
        (0..=253_402_300_799_u64).prop_map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn tag_lists() -> impl Strategy<Value = Tags> {
        let word = |least: usize| {
            prop::collection::vec(
                prop::sample::select(vec!['a', 'Z', 'é', ' ', '@', '0']),
                least..9,
            )
            .prop_map(|letters| letters.into_iter().collect::<String>())
        };
        prop::collection::btree_map(word(1), word(0), 0..6)
            .prop_map(|tags| Tags::of(&tags.into_iter().collect::<Vec<_>>()).unwrap())
    }

    fn regions() -> impl Strategy<Value = MultiRegion> {
        let region = prop::sample::select(vec!["us-east-1", "eu-west-1", "ap-south-1"])
            .prop_map(|name| Region::new(name).unwrap());
        (any::<bool>(), region.clone(), prop::collection::vec(region, 0..3)).prop_map(
            |(is_primary, primary, replicas)| MultiRegion { is_primary, primary, replicas },
        )
    }

    fn lives() -> impl Strategy<Value = Lifecycle> {
        let first = (
            prop::sample::select(&STATES[..]),
            prop::sample::select(&ORIGINS[..]),
            prop::option::of(".{0,40}"),
            times(),
            ".{0,40}",
        );
        let second = (
            tag_lists(),
            prop::option::of((any::<u8>(), prop::option::of(times()))),
            prop::option::of(times()),
            prop::option::of((any::<[u8; 16]>(), any::<[u8; 32]>())),
            prop::option::of(regions()),
        );
        (first, second).prop_map(|(first, second)| {
            let (state, origin, policy, created, description) = first;
            let (tags, deletion, valid_to, material, multi_region) = second;
            let deletion = deletion.map(|(window_days, date)| Deletion { window_days, date });
            let material = material.map(|(salt, hash)| MaterialMark { salt, hash });
            Lifecycle {
                state,
                origin,
                policy,
                created,
                description,
                tags,
                deletion,
                valid_to,
                material,
                multi_region,
            }
        })
    }

    proptest! {
        #[test]
        fn every_life_comes_back_as_it_went(life in lives()) {
            let object = key().with_lifecycle(life);
            let bytes = encode(&object, true).unwrap();
            let back = decode(bytes.expose()).unwrap();
            prop_assert_eq!(&back.lifecycle, &object.lifecycle);
            prop_assert_eq!(back.attributes, object.attributes);
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes.expose()[..end]).is_none(), "{}", end);
            }
        }

        #[test]
        fn changed_bytes_are_another_object_or_none(
            life in lives(), place in any::<prop::sample::Index>(), bits in 1..=u8::MAX,
        ) {
            let object = key().with_lifecycle(life);
            let mut bytes = encode(&object, true).unwrap().expose().to_vec();
            *place.get_mut(&mut bytes) ^= bits;
            // Sealed records never get here changed; this must only never panic.
            if let Some(other) = decode(&bytes) {
                encode(&other, true).unwrap();
            }
        }
    }

    /// As version 0.1.0 wrote a data object: seven fields.
    const OLD: &[u8] = &[
        0x87, 0x00, 0x81, 0x82, 0x00, 0x82, 0x01, 0x81, 0x00, 0x41, 0x76, 0x01, 0x00, 0xf6, 0x1a,
        0x6b, 0x49, 0xd2, 0x00,
    ];

    #[test]
    fn what_was_written_before_there_were_dates_and_tags_is_read_and_written_as_it_was() {
        let old = decode(OLD).unwrap();
        let made = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let life =
            Lifecycle { state: KeyState::Disabled, ..Lifecycle::new(Origin::Generated, made) };
        assert_eq!(*old.lifecycle, life);
        assert_eq!(old.value.expose(), b"v");
        assert_eq!(encode(&old, true).unwrap().expose(), OLD);
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
