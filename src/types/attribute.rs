//! Attribute types, and attribute values by the shape the standard gives them.

use super::{Ulong, ck_numbers};
use crate::error::{Error, Result};

ck_numbers! {
    /// `CK_ATTRIBUTE_TYPE`: the attributes of the objects that a token holds.
    AttributeType {
        Class = CKA_CLASS,
        Token = CKA_TOKEN,
        Private = CKA_PRIVATE,
        Label = CKA_LABEL,
        UniqueId = CKA_UNIQUE_ID,
        Application = CKA_APPLICATION,
        Value = CKA_VALUE,
        ObjectId = CKA_OBJECT_ID,
        Trusted = CKA_TRUSTED,
        CheckValue = CKA_CHECK_VALUE,
        KeyType = CKA_KEY_TYPE,
        Id = CKA_ID,
        Sensitive = CKA_SENSITIVE,
        Encrypt = CKA_ENCRYPT,
        Decrypt = CKA_DECRYPT,
        Wrap = CKA_WRAP,
        Unwrap = CKA_UNWRAP,
        Sign = CKA_SIGN,
        Verify = CKA_VERIFY,
        Derive = CKA_DERIVE,
        StartDate = CKA_START_DATE,
        EndDate = CKA_END_DATE,
        ValueLen = CKA_VALUE_LEN,
        Extractable = CKA_EXTRACTABLE,
        Local = CKA_LOCAL,
        NeverExtractable = CKA_NEVER_EXTRACTABLE,
        AlwaysSensitive = CKA_ALWAYS_SENSITIVE,
        KeyGenMechanism = CKA_KEY_GEN_MECHANISM,
        Modifiable = CKA_MODIFIABLE,
        Copyable = CKA_COPYABLE,
        Destroyable = CKA_DESTROYABLE,
        WrapWithTrusted = CKA_WRAP_WITH_TRUSTED,
        AllowedMechanisms = CKA_ALLOWED_MECHANISMS,
        ObjectValidationFlags = CKA_OBJECT_VALIDATION_FLAGS,
    }
}

/// The shape of an attribute's value in the caller's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `CK_BBOOL`: one byte, 0 or 1.
    Bool,
    /// `CK_ULONG` and its kin.
    Ulong,
    /// Byte arrays and strings.
    Bytes,
    /// `CK_DATE`: eight digits, or nothing.
    Date,
    /// An array of `CK_MECHANISM_TYPE`.
    Mechanisms,
}

/// `CK_DATE`: year, month and day as eight ASCII digits (`YYYYMMDD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub [u8; 8]);

/// An attribute's value. Never a secret: key bytes live in `SecretBytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// `CK_BBOOL`.
    Bool(bool),
    /// `CK_ULONG` and its kin.
    Ulong(Ulong),
    /// Byte arrays and strings.
    Bytes(Vec<u8>),
    /// `CK_DATE`; `None` is the empty date.
    Date(Option<Date>),
    /// An array of `CK_MECHANISM_TYPE`, numbers kept as given.
    Mechanisms(Vec<Ulong>),
}

impl AttributeValue {
    /// Reads a caller's bytes as a value of `shape`.
    ///
    /// # Errors
    /// [`Error::AttributeValueInvalid`] when the length or the content does not
    /// fit: a `CK_BBOOL` must be one byte, 0 or 1; a `CK_ULONG` of its full
    /// width; a date eight digits or nothing; a list whole numbers.
    pub fn parse(attribute: AttributeType, shape: Shape, bytes: &[u8]) -> Result<Self> {
        let invalid = || Error::AttributeValueInvalid(attribute);
        Ok(match shape {
            Shape::Bool => match bytes {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                _ => return Err(invalid()),
            },
            Shape::Ulong => Self::Ulong(ulong(bytes).ok_or_else(invalid)?),
            Shape::Bytes => Self::Bytes(bytes.to_vec()),
            Shape::Date => match bytes {
                [] => Self::Date(None),
                _ => Self::Date(Some(Date::parse(bytes).ok_or_else(invalid)?)),
            },
            Shape::Mechanisms => {
                let chunks = bytes.chunks_exact(size_of::<Ulong>());
                if !chunks.remainder().is_empty() {
                    return Err(invalid());
                }
                Self::Mechanisms(chunks.filter_map(ulong).collect())
            }
        })
    }

    /// The value as the caller's memory holds it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Ulong(value) => value.to_ne_bytes().to_vec(),
            Self::Bytes(value) => value.clone(),
            Self::Date(None) => Vec::new(),
            Self::Date(Some(date)) => date.0.to_vec(),
            Self::Mechanisms(list) => list.iter().flat_map(|m| m.to_ne_bytes()).collect(),
        }
    }
}

impl Date {
    /// Eight digits that name a day: months 01 to 12, days 01 to 31.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let digits: [u8; 8] = bytes.try_into().ok()?;
        let number = |range: std::ops::Range<usize>| {
            digits[range].iter().try_fold(0_u32, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
            })
        };
        number(0..4)?;
        ((1..=12).contains(&number(4..6)?) && (1..=31).contains(&number(6..8)?))
            .then_some(Self(digits))
    }
}

/// A `CK_ULONG` in the machine's byte order; `None` unless of its exact width.
pub(crate) fn ulong(bytes: &[u8]) -> Option<Ulong> {
    bytes.try_into().ok().map(Ulong::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(shape: Shape, bytes: &[u8]) -> Result<AttributeValue> {
        AttributeValue::parse(AttributeType::Label, shape, bytes)
    }

    #[test]
    fn a_boolean_is_one_byte_of_zero_or_one() {
        assert_eq!(parse(Shape::Bool, &[1]).unwrap(), AttributeValue::Bool(true));
        for wrong in [&[][..], &[2], &[0, 0], &[1, 0, 0, 0]] {
            assert!(parse(Shape::Bool, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_has_its_full_width() {
        let seven: Ulong = 7;
        assert_eq!(parse(Shape::Ulong, &seven.to_ne_bytes()).unwrap(), AttributeValue::Ulong(7));
        assert!(parse(Shape::Ulong, &[7]).is_err());
        assert!(parse(Shape::Ulong, &[0; 9]).is_err());
    }

    #[test]
    fn a_date_is_a_day_or_nothing() {
        assert_eq!(parse(Shape::Date, b"").unwrap(), AttributeValue::Date(None));
        assert!(parse(Shape::Date, b"20261231").is_ok());
        for wrong in [&b"20261301"[..], b"20260132", b"2026123", b"2026123a", &[0; 8]] {
            assert!(parse(Shape::Date, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mechanism_list_holds_whole_numbers() {
        let list = [1, 2].map(Ulong::to_ne_bytes).concat();
        assert_eq!(
            parse(Shape::Mechanisms, &list).unwrap(),
            AttributeValue::Mechanisms(vec![1, 2])
        );
        assert!(parse(Shape::Mechanisms, &list[1..]).is_err());
    }

    #[test]
    fn values_come_back_as_the_bytes_they_were_read_from() {
        for (shape, bytes) in [
            (Shape::Bool, &[1][..]),
            (Shape::Bytes, b"label"),
            (Shape::Date, b"20260228"),
            (Shape::Ulong, &[9; size_of::<Ulong>()]),
            (Shape::Mechanisms, &[9; 2 * size_of::<Ulong>()]),
        ] {
            assert_eq!(parse(shape, bytes).unwrap().to_bytes(), bytes);
        }
    }
}
