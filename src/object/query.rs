//! What `C_FindObjectsInit` looks for (PKCS#11 v3.2 §5.7.7).

use super::{Object, rules};
use crate::error::Result;
use crate::types::{AttributeType, AttributeValue, ObjectClass, Shape, Template};
use zeroize::Zeroizing;

/// A checked search template: exact matches, all of which must hold.
#[derive(Clone, Default)]
pub struct Query {
    /// Wiped: a caller may look for a key by its value.
    wanted: Vec<(AttributeType, Zeroizing<Vec<u8>>)>,
    nothing: bool,
}

/// Prints the attributes without the values: one may be a key.
impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.wanted.iter().map(|(attribute, _)| attribute)).finish()
    }
}

impl Query {
    /// Reads a search template. An attribute that no object of this token has
    /// makes the query match nothing; programs probe for such attributes. So do
    /// two values for one attribute.
    ///
    /// # Errors
    /// [`AttributeValueInvalid`](crate::error::Error::AttributeValueInvalid) for a flag or a number of a wrong size.
    pub fn parse(template: &Template<'_>) -> Result<Self> {
        let mut query = Self::default();
        for raw in template {
            let Some(attribute) = AttributeType::from_ck(raw.number) else {
                query.nothing = true;
                continue;
            };
            let shape = ObjectClass::ALL
                .iter()
                .find_map(|&class| rules::find(class, attribute))
                .map(|rule| rule.shape);
            if let Some(shape @ (Shape::Bool | Shape::Ulong)) = shape {
                AttributeValue::parse(attribute, shape, raw.value)?;
            }
            match query.wanted(attribute) {
                None => query.wanted.push((attribute, raw.value.to_vec().into())),
                Some(first) => query.nothing |= first != raw.value,
            }
        }
        Ok(query)
    }

    /// The value that an attribute must have, where the query names one.
    #[must_use]
    pub fn wanted(&self, attribute: AttributeType) -> Option<&[u8]> {
        self.wanted.iter().find(|(named, _)| *named == attribute).map(|(_, value)| value.as_slice())
    }

    /// A flag that must have this value, where the query names one.
    #[must_use]
    pub fn wanted_flag(&self, attribute: AttributeType) -> Option<bool> {
        self.wanted(attribute).map(|value| value == [1])
    }

    /// Whether nothing can match.
    #[must_use]
    pub const fn matches_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether the query asks for these attributes and for what is certain of
    /// a token object that was found by its visibility.
    pub fn needs_only(&self, attributes: impl Iterator<Item = AttributeType> + Clone) -> bool {
        let certain = [AttributeType::Token, AttributeType::Private];
        self.wanted.iter().all(|(wanted, _)| {
            certain.contains(wanted) || attributes.clone().any(|attribute| attribute == *wanted)
        })
    }

    /// Whether `object` has every wanted value. The value of a key that cannot
    /// be read never matches, so that a search cannot guess it.
    #[must_use]
    pub fn matches(&self, object: &Object) -> bool {
        !self.nothing
            && self.wanted.iter().all(|(attribute, value)| {
                object.read(attribute.to_ck()).is_ok_and(|has| has == *value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::types::RawAttribute;

    fn parse(wanted: &[(AttributeType, &[u8])]) -> Result<Query> {
        let template: Vec<_> = wanted
            .iter()
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
            .collect();
        Query::parse(&template)
    }

    #[test]
    fn one_attribute_with_two_values_matches_nothing() {
        let label = AttributeType::Label;
        assert!(parse(&[(label, b"a"), (label, b"b")]).unwrap().matches_nothing());
        let twice = parse(&[(label, b"a"), (label, b"a")]).unwrap();
        assert!(!twice.matches_nothing());
        assert_eq!(twice.wanted(label), Some(&b"a"[..]));
    }

    #[test]
    fn debug_output_holds_no_value() {
        let query = parse(&[(AttributeType::Value, b"secret")]).unwrap();
        assert_eq!(format!("{query:?}"), "{Value}");
    }

    #[test]
    fn flags_and_numbers_have_their_size() {
        for (attribute, value) in [
            (AttributeType::Token, &[][..]),
            (AttributeType::Token, &[2]),
            (AttributeType::Private, &[1, 0]),
            (AttributeType::Class, &[4]),
            (AttributeType::ValueLen, &[0; 3]),
        ] {
            let refused = parse(&[(attribute, value)]).unwrap_err();
            assert_eq!(refused, Error::AttributeValueInvalid(attribute));
        }
    }
}
