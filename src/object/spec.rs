//! The specs of HMAC keys (KMS API: `KeySpec`), and which objects are such keys.

use super::{Object, number};
use crate::types::{AttributeType, AttributeValue, KeyType, MechanismType, ObjectClass};
use std::ops::RangeInclusive;

/// What KMS calls a key for HMAC with a hash; its one algorithm goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySpec {
    /// `HMAC_224`.
    Hmac224,
    /// `HMAC_256`.
    Hmac256,
    /// `HMAC_384`.
    Hmac384,
    /// `HMAC_512`.
    Hmac512,
}

/// The longest imported material, in bytes.
const IMPORT_MAX: usize = 128;

impl KeySpec {
    /// What every such key is for (KMS API: `KeyUsage`).
    pub const USAGE: &'static str = "GENERATE_VERIFY_MAC";

    /// Every spec.
    pub const ALL: [Self; 4] = [Self::Hmac224, Self::Hmac256, Self::Hmac384, Self::Hmac512];

    /// The name of the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hmac224 => "HMAC_224",
            Self::Hmac256 => "HMAC_256",
            Self::Hmac384 => "HMAC_384",
            Self::Hmac512 => "HMAC_512",
        }
    }

    /// The name of its MAC algorithm.
    #[must_use]
    pub const fn mac_algorithm(self) -> &'static str {
        match self {
            Self::Hmac224 => "HMAC_SHA_224",
            Self::Hmac256 => "HMAC_SHA_256",
            Self::Hmac384 => "HMAC_SHA_384",
            Self::Hmac512 => "HMAC_SHA_512",
        }
    }

    /// The spec of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.name() == name)
    }

    /// The length of a generated key, in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Hmac224 => 28,
            Self::Hmac256 => 32,
            Self::Hmac384 => 48,
            Self::Hmac512 => 64,
        }
    }

    /// The lengths of imported material, in bytes.
    #[must_use]
    pub const fn import_len(self) -> RangeInclusive<usize> {
        self.key_len()..=IMPORT_MAX
    }

    /// The type of such keys.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Hmac224 => KeyType::Sha224Hmac,
            Self::Hmac256 => KeyType::Sha256Hmac,
            Self::Hmac384 => KeyType::Sha384Hmac,
            Self::Hmac512 => KeyType::Sha512Hmac,
        }
    }

    /// The mechanism that computes its MACs.
    #[must_use]
    pub const fn mechanism(self) -> MechanismType {
        match self {
            Self::Hmac224 => MechanismType::Sha224Hmac,
            Self::Hmac256 => MechanismType::Sha256Hmac,
            Self::Hmac384 => MechanismType::Sha384Hmac,
            Self::Hmac512 => MechanismType::Sha512Hmac,
        }
    }

    /// The mechanism that generates such keys.
    #[must_use]
    pub const fn generator(self) -> MechanismType {
        match self {
            Self::Hmac224 => MechanismType::Sha224KeyGen,
            Self::Hmac256 => MechanismType::Sha256KeyGen,
            Self::Hmac384 => MechanismType::Sha384KeyGen,
            Self::Hmac512 => MechanismType::Sha512KeyGen,
        }
    }

    /// The spec of an object, wherever it was made; `None` for one that is no key of
    /// KMS's. A key for HMAC with one hash has that hash's spec if it is as long as
    /// such material can be. A generic secret has that of the one mechanism that it is
    /// made for, or of its length. A key that does not both sign and verify, or not by
    /// its spec's mechanism, has none: KMS's replies could not tell that.
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let is_key = object.class() == ObjectClass::SecretKey
            && object.is_token_object()
            && object.flag(AttributeType::Sign)
            && object.flag(AttributeType::Verify);
        let key_type = object.key_type().filter(|_| is_key)?;
        let length = number(object.attributes(), AttributeType::ValueLen)?;
        let length = usize::try_from(length).ok()?;
        Self::ALL.into_iter().find(|spec| {
            let is_made_for_it = match key_type {
                KeyType::GenericSecret => {
                    spec.key_len() == length || spec.is_the_only_mechanism_of(object)
                }
                other => other == spec.key_type(),
            };
            let fits = object.lacks_material() || spec.import_len().contains(&length);
            is_made_for_it && fits && object.allows(spec.mechanism())
        })
    }

    fn is_the_only_mechanism_of(self, object: &Object) -> bool {
        matches!(
            object.attributes().get(&AttributeType::AllowedMechanisms),
            Some(AttributeValue::Mechanisms(list)) if **list == [self.mechanism().to_ck()]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::request::{Contribution, NewObject};
    use crate::types::{RawAttribute, Ulong};
    use std::time::UNIX_EPOCH;

    fn key(key_type: KeyType, length: usize, more: &[(AttributeType, &[u8])]) -> Object {
        let class = ObjectClass::SecretKey.to_ck().to_ne_bytes();
        let (key_type, value) = (key_type.to_ck().to_ne_bytes(), vec![7; length]);
        let mut template = vec![
            (AttributeType::Class, &class[..]),
            (AttributeType::KeyType, &key_type),
            (AttributeType::Value, &value),
            (AttributeType::Token, &[1]),
        ];
        template.retain(|(attribute, _)| more.iter().all(|(other, _)| other != attribute));
        template.extend(more);
        let template: Vec<_> = template
            .into_iter()
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
            .collect();
        let contribution =
            Contribution { unique_id: "id".into(), check_value: [0; 3], now: UNIX_EPOCH };
        NewObject::create(&template, 1..=512).unwrap().into_created(contribution).unwrap()
    }

    #[test]
    fn keys_of_the_c_door_have_the_spec_that_their_type_and_length_make() {
        use KeySpec::{Hmac224, Hmac256, Hmac384, Hmac512};
        use KeyType::{GenericSecret, Sha1Hmac, Sha3_256Hmac, Sha256Hmac, Sha512Hmac};
        for (key_type, length, expected) in [
            (Sha256Hmac, 32, Some(Hmac256)),
            (Sha256Hmac, 128, Some(Hmac256)),
            (Sha256Hmac, 31, None),
            (Sha256Hmac, 129, None),
            (Sha512Hmac, 32, None),
            (Sha1Hmac, 32, None),
            (Sha3_256Hmac, 32, None),
            (GenericSecret, 28, Some(Hmac224)),
            (GenericSecret, 32, Some(Hmac256)),
            (GenericSecret, 48, Some(Hmac384)),
            (GenericSecret, 64, Some(Hmac512)),
            (GenericSecret, 63, None),
        ] {
            assert_eq!(KeySpec::of(&key(key_type, length, &[])), expected, "{key_type} {length}");
        }
    }

    #[test]
    fn what_a_key_may_be_used_for_counts() {
        let only = |mechanism: MechanismType| Ulong::to_ne_bytes(mechanism.to_ck());
        let (sha512, sha512_general) =
            (only(MechanismType::Sha512Hmac), only(MechanismType::Sha512HmacGeneral));
        let spec = |length, more: &[(AttributeType, &[u8])]| {
            KeySpec::of(&key(KeyType::GenericSecret, length, more))
        };
        let allowed = AttributeType::AllowedMechanisms;
        assert_eq!(spec(100, &[(allowed, &sha512)]), Some(KeySpec::Hmac512));
        assert_eq!(spec(63, &[(allowed, &sha512)]), None, "shorter than such material");
        assert_eq!(spec(64, &[(allowed, &sha512_general)]), None);
        assert_eq!(spec(32, &[(allowed, &sha512)]), None);
        for missing in [AttributeType::Sign, AttributeType::Verify, AttributeType::Token] {
            assert_eq!(spec(32, &[(missing, &[0])]), None, "{missing}");
        }
    }
}
