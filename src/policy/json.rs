//! JSON (RFC 8259) as policies need it: a member may not stand twice, for nobody
//! could say which one counts.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// In decimal.
    Number(String),
    String(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads a text, at most 128 levels deep.
    ///
    /// # Errors
    /// What is wrong, and where: line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            let is_json = error.is_data();
            if is_json { error.to_string() } else { format!("not JSON: {error}") }
        })
    }

    /// The members of a list, or the one value that stands for a list of one.
    pub fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            one => vec![one],
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = members.next_element()? {
            list.push(member);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("\"{name}\" stands twice")));
            }
            object.insert(name, members.next_value()?);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"a": [null, true, 5, -5, 2.5, "x\u00e9"], "b": {}}"#;
        let number = |text: &str| Json::Number(text.into());
        let list = vec![
            Json::Null,
            Json::Bool(true),
            number("5"),
            number("-5"),
            number("2.5"),
            Json::String("xé".into()),
        ];
        let empty = Json::Object(BTreeMap::new());
        let members = [("a".into(), Json::List(list)), ("b".into(), empty)];
        assert_eq!(Json::parse(text), Ok(Json::Object(members.into())));
    }

    #[test]
    fn faults_are_shown_with_their_place() {
        let twice = Json::parse("{\"a\": 1,\n \"\\u0061\": 2}").unwrap_err();
        assert_eq!(twice, "\"a\" stands twice at line 2 column 9");
        let cut = Json::parse("{\"a\"").unwrap_err();
        assert_eq!(cut, "not JSON: EOF while parsing an object at line 1 column 4");
        assert!(Json::parse("{} {}").unwrap_err().contains("trailing"));
        assert!(Json::parse(&"[".repeat(30_000)).unwrap_err().contains("recursion"));
    }
}
