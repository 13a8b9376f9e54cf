//! The names of users and roles, as IAM has them.

use minicbor::decode::Error as DecodeError;
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder};
use std::fmt;

/// A user's or a role's name: 1 to 64 of `A-Z a-z 0-9 + = , . @ _ -`. Two that differ in
/// case only are the same.
#[derive(Clone)]
pub struct Name {
    text: String,
    folded: String,
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// `text` as a name, if it can be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let valid = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(is_name_byte);
        valid.then(|| Self { text: text.to_owned(), folded: text.to_ascii_lowercase() })
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name as all are called that are the same.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

/// What the names of users, roles and their policies are made of.
pub(super) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'=' | b',' | b'.' | b'@' | b'_' | b'-')
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.text)?.ok()
    }
}

impl<C> CborLen<C> for Name {
    fn cbor_len(&self, context: &mut C) -> usize {
        self.text.cbor_len(context)
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::new(decoder.str()?).ok_or_else(|| DecodeError::message("no name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_iam_takes_for_one() {
        for good in ["a", "Bob", "jwt-producer", "a+b=c,d.e@f_g-h", &"x".repeat(64)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "two words", "a/b", "a:b", "é", "a\0", "a*", &"x".repeat(65)] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn case_makes_no_difference_but_is_kept() {
        let (one, other) = (Name::new("Bob").unwrap(), Name::new("bOB").unwrap());
        assert_eq!(one, other);
        assert_eq!((one.as_str(), one.folded()), ("Bob", "bob"));
        assert_ne!(one, Name::new("bobby").unwrap());
    }

    #[test]
    fn a_stored_name_is_read_and_what_is_none_is_not() {
        let name = Name::new("Bob").unwrap();
        let bytes = minicbor::to_vec(&name).unwrap();
        assert_eq!(minicbor::len(&name), bytes.len());
        assert_eq!(minicbor::decode::<Name>(&bytes).unwrap().as_str(), "Bob");
        assert!(minicbor::decode::<Name>(&minicbor::to_vec("a/b").unwrap()).is_err());
    }
}
