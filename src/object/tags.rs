//! The tags of a key (KMS API: TagResource, CreateKey).

use crate::error::{Error, Refusal, Result, TagFault};
use std::collections::BTreeMap;

/// The most tags that a key has.
pub const TAGS_MAX: usize = 50;
/// The longest key of a tag, in characters.
pub const TAG_KEY_MAX: usize = 128;
/// The longest value of a tag, in characters.
pub const TAG_VALUE_MAX: usize = 256;

/// A key's tags by their keys, which are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The tags of a list.
    ///
    /// # Errors
    /// As for [`Tags::with`].
    pub fn of(list: &[(String, String)]) -> Result<Self> {
        Self::new().with(list)
    }

    /// These tags and those of a list, which take the place of others of the same key.
    ///
    /// # Errors
    /// [`Refusal::Tag`] for a key that is there twice in the list, is reserved
    /// (`aws:`), and for more than [`TAGS_MAX`]; [`Error::ValidationFailed`] for a length or a
    /// character that no tag has.
    pub fn with(&self, list: &[(String, String)]) -> Result<Self> {
        let mut all = self.0.clone();
        let mut seen = BTreeMap::new();
        for (key, value) in list {
            require_key(key)?;
            require_text("tag value", value, 0..=TAG_VALUE_MAX)?;
            if seen.insert(key, value).is_some() {
                return Err(Error::Refused(Refusal::Tag(TagFault::Duplicate)));
            }
            all.insert(key.clone(), value.clone());
        }
        if all.len() > TAGS_MAX {
            return Err(Error::Refused(Refusal::Tag(TagFault::TooMany)));
        }
        Ok(Self(all))
    }

    /// These tags without those of the keys in the list, known or not.
    ///
    /// # Errors
    /// As for [`Tags::with`], for a key that no tag has.
    pub fn without(&self, keys: &[String]) -> Result<Self> {
        let mut left = self.0.clone();
        for key in keys {
            require_key(key)?;
            left.remove(key);
        }
        Ok(Self(left))
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Every key and value, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn require_key(key: &str) -> Result<()> {
    require_text("tag key", key, 1..=TAG_KEY_MAX)?;
    let is_reserved = key.as_bytes().get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"aws:"));
    if is_reserved { Err(Error::Refused(Refusal::Tag(TagFault::Reserved))) } else { Ok(()) }
}

fn require_text(
    what: &'static str,
    text: &str,
    lengths: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    let allowed = |letter: char| letter.is_alphanumeric() || " _./=+-:@".contains(letter);
    let length = text.chars().count();
    if !lengths.contains(&length) {
        let (least, most) = lengths.into_inner();
        let why = format!("a {what} has {least} to {most} characters, not {length}");
        return Err(Error::ValidationFailed(why));
    }
    if !text.chars().all(allowed) {
        let why = format!("a {what} consists of letters, digits, spaces and _ . / = + - : @");
        return Err(Error::ValidationFailed(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    fn faulty(fault: TagFault) -> Result<Tags> {
        Err(Error::Refused(Refusal::Tag(fault)))
    }

    #[test]
    fn a_tag_takes_the_place_of_another_of_its_key() {
        let tags = Tags::of(&[tag("a", "1"), tag("A", "2")]).unwrap();
        let tags = tags.with(&[tag("a", "3"), tag("b", "")]).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("A", "2"), ("a", "3"), ("b", "")]);
        let left = tags.without(&["a".into(), "unknown".into()]).unwrap();
        assert_eq!((left.get("a"), left.get("A"), left.len()), (None, Some("2"), 2));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let none = Tags::new();
        let with = |list: &[(String, String)]| none.with(list);
        assert_eq!(with(&[tag("a", "1"), tag("a", "1")]), faulty(TagFault::Duplicate));
        for reserved in ["aws:x", "AWS:x", "aWs:"] {
            assert_eq!(with(&[tag(reserved, "")]), faulty(TagFault::Reserved));
        }
        let long = |length: usize| "é".repeat(length);
        for wrong in [
            tag("", "x"),
            tag(&long(129), ""),
            tag("x", &long(257)),
            tag("a\u{1}", ""),
            tag("a", "b\n"),
            tag("a,b", ""),
        ] {
            assert!(matches!(with(&[wrong]), Err(Error::ValidationFailed(_))));
        }
        assert!(none.with(&[tag(&long(128), &long(256))]).is_ok());
    }

    #[test]
    fn there_are_at_most_fifty() {
        let list = |range: std::ops::Range<u32>| -> Vec<_> {
            range.map(|number| tag(&number.to_string(), "")).collect()
        };
        let full = Tags::of(&list(0..50)).unwrap();
        assert_eq!(full.with(&list(50..51)), faulty(TagFault::TooMany));
        assert_eq!(full.with(&list(49..50)).unwrap(), full);
    }
}
