//! Who may set which attribute when: the standard's footnote table (PKCS#11
//! v3.2 §4.2, table 13) for the objects of this token, in one place.
//!
//! Footnote numbers stand behind each row. Two defaults depart from the
//! standard on purpose: `CKA_SENSITIVE` is true and `CKA_EXTRACTABLE` is false
//! unless the caller says otherwise.

use crate::types::{AttributeType, AttributeValue, ObjectClass, Shape};

/// Whether a template that makes an object names the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It must.
    Must,
    /// It may.
    May,
    /// It must not.
    Never,
}

/// How an attribute of an existing object may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// To any value.
    Free,
    /// Not at all.
    Never,
    /// From true to false, never back.
    OnlyToFalse,
    /// From false to true, never back.
    OnlyToTrue,
    /// To the empty value, which removes it.
    OnlyToNothing,
    /// By the security officer only.
    BySecurityOfficer,
}

/// The value where the template names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// No value: the attribute is absent, or is supplied by the token.
    Absent,
    /// A `CK_BBOOL`.
    Bool(bool),
    /// A number.
    Zero,
    /// The empty byte array, date or list.
    Empty,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The attribute.
    pub attribute: AttributeType,
    /// The class it belongs to; `None`: every class.
    pub class: Option<ObjectClass>,
    /// The shape of its value.
    pub shape: Shape,
    /// In the template of `C_CreateObject`.
    pub create: Given,
    /// In the template of `C_GenerateKey`.
    pub generate: Given,
    /// In the template of `C_SetAttributeValue`.
    pub change: Change,
    /// In the template of `C_CopyObject`.
    pub copy: Change,
    /// When the template does not name it.
    pub default: Default,
}

impl Rule {
    /// The value where the template names none; `None` when there is none.
    #[must_use]
    pub fn default_value(&self) -> Option<AttributeValue> {
        match (self.default, self.shape) {
            (Default::Absent, _) => None,
            (Default::Bool(value), _) => Some(AttributeValue::Bool(value)),
            (Default::Zero, _) => Some(AttributeValue::Ulong(0)),
            (Default::Empty, Shape::Date) => Some(AttributeValue::Date(None)),
            (Default::Empty, Shape::Mechanisms) => Some(AttributeValue::Mechanisms(Vec::new())),
            (Default::Empty, _) => Some(AttributeValue::Bytes(Vec::new())),
        }
    }
}

/// The rule for an attribute of objects of `class`; `None` when such objects
/// have no such attribute.
#[must_use]
pub fn find(class: ObjectClass, attribute: AttributeType) -> Option<&'static Rule> {
    of_class(class).find(|rule| rule.attribute == attribute)
}

/// Every rule for objects of `class`.
pub fn of_class(class: ObjectClass) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.class.is_none_or(|only| only == class))
}

macro_rules! rules {
    ($($attribute:ident, $class:expr, $shape:ident, $create:ident, $generate:ident, $change:ident,
       $copy:ident, $default:expr;)+) => {
        static RULES: &[Rule] = &[$(Rule {
            attribute: AttributeType::$attribute,
            class: $class,
            shape: Shape::$shape,
            create: Given::$create,
            generate: Given::$generate,
            change: Change::$change,
            copy: Change::$copy,
            default: $default,
        },)+];
    };
}

const ANY: Option<ObjectClass> = None;
const DATA: Option<ObjectClass> = Some(ObjectClass::Data);
const KEY: Option<ObjectClass> = Some(ObjectClass::SecretKey);
const YES: Default = Default::Bool(true);
const NO: Default = Default::Bool(false);
const EMPTY: Default = Default::Empty;
const ABSENT: Default = Default::Absent;
const ZERO: Default = Default::Zero;

#[rustfmt::skip]
rules! {
//  attribute,             class, shape,      create, generate, change,        copy,          default; footnotes
    Class,                 ANY,   Ulong,      Must,   May,      Never,         Never,         ABSENT; // 1
    UniqueId,              ANY,   Bytes,      Never,  Never,    Never,         Never,         ABSENT; // 2 4 6
    Token,                 ANY,   Bool,       May,    May,      Never,         Free,          NO;
    Private,               KEY,   Bool,       May,    May,      Never,         OnlyToTrue,    YES;
    Private,               DATA,  Bool,       May,    May,      Never,         OnlyToTrue,    NO;
    Modifiable,            ANY,   Bool,       May,    May,      Never,         Free,          YES;
    Label,                 ANY,   Bytes,      May,    May,      Free,          Free,          EMPTY;
    Copyable,              ANY,   Bool,       May,    May,      OnlyToFalse,   OnlyToFalse,   YES;    // 12
    Destroyable,           ANY,   Bool,       May,    May,      Never,         Free,          YES;

    Application,           DATA,  Bytes,      May,    Never,    Never,         Never,         EMPTY;
    ObjectId,              DATA,  Bytes,      May,    Never,    Never,         Never,         EMPTY;
    Value,                 DATA,  Bytes,      May,    Never,    Never,         Never,         ABSENT;

    KeyType,               KEY,   Ulong,      Must,   May,      Never,         Never,         ABSENT; // 1 5
    Id,                    KEY,   Bytes,      May,    May,      Free,          Free,          EMPTY;  // 8
    StartDate,             KEY,   Date,       May,    May,      Free,          Free,          EMPTY;  // 8
    EndDate,               KEY,   Date,       May,    May,      Free,          Free,          EMPTY;  // 8
    Derive,                KEY,   Bool,       May,    May,      Free,          Free,          NO;     // 8
    Local,                 KEY,   Bool,       Never,  Never,    Never,         Never,         NO;     // 2 4 6
    KeyGenMechanism,       KEY,   Ulong,      Never,  Never,    Never,         Never,         ABSENT; // 2 4 6
    AllowedMechanisms,     KEY,   Mechanisms, May,    May,      Never,         Never,         EMPTY;
    ObjectValidationFlags, KEY,   Ulong,      Never,  Never,    Never,         Never,         ZERO;   // 4 6 9
    Sensitive,             KEY,   Bool,       May,    May,      OnlyToTrue,    OnlyToTrue,    YES;    // 8 11
    Encrypt,               KEY,   Bool,       May,    May,      Free,          Free,          NO;     // 8
    Decrypt,               KEY,   Bool,       May,    May,      Free,          Free,          NO;     // 8
    Sign,                  KEY,   Bool,       May,    May,      Free,          Free,          YES;    // 8 9
    Verify,                KEY,   Bool,       May,    May,      Free,          Free,          YES;    // 8 9
    Wrap,                  KEY,   Bool,       May,    May,      Free,          Free,          NO;     // 8
    Unwrap,                KEY,   Bool,       May,    May,      Free,          Free,          NO;     // 8
    Extractable,           KEY,   Bool,       May,    May,      OnlyToFalse,   OnlyToFalse,   NO;     // 8 9 12
    AlwaysSensitive,       KEY,   Bool,       Never,  Never,    Never,         Never,         NO;     // 2 4 6
    NeverExtractable,      KEY,   Bool,       Never,  Never,    Never,         Never,         NO;     // 2 4 6
    CheckValue,            KEY,   Bytes,      May,    May,      OnlyToNothing, OnlyToNothing, ABSENT;
    WrapWithTrusted,       KEY,   Bool,       May,    May,      OnlyToTrue,    OnlyToTrue,    NO;     // 11
    Trusted,               KEY,   Bool,       May,    May,      BySecurityOfficer, BySecurityOfficer, NO; // 10
    Value,                 KEY,   Bytes,      Must,   Never,    Never,         Never,         ABSENT; // 1 4 6 7
    ValueLen,              KEY,   Ulong,      Never,  Must,     Never,         Never,         ABSENT; // 2 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_has_two_rules_for_one_attribute() {
        for &class in ObjectClass::ALL {
            let mut seen: Vec<_> = of_class(class).map(|rule| rule.attribute).collect();
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "{class}");
        }
    }

    #[test]
    fn every_attribute_has_a_rule() {
        for &attribute in AttributeType::ALL {
            assert!(RULES.iter().any(|rule| rule.attribute == attribute), "{attribute}");
        }
    }

    #[test]
    fn defaults_fit_their_shapes() {
        for rule in RULES {
            let fits = match rule.default_value() {
                None => true,
                Some(AttributeValue::Bool(_)) => rule.shape == Shape::Bool,
                Some(AttributeValue::Ulong(_)) => rule.shape == Shape::Ulong,
                Some(AttributeValue::Bytes(_)) => rule.shape == Shape::Bytes,
                Some(AttributeValue::Date(_)) => rule.shape == Shape::Date,
                Some(AttributeValue::Mechanisms(_)) => rule.shape == Shape::Mechanisms,
            };
            assert!(fits, "{}", rule.attribute);
        }
    }
}
