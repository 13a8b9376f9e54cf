//! Writing JSON (RFC 8259), in one line and with nothing in it that could end a line,
//! hide text or steer a terminal.

use crate::log::steers;
use std::fmt::Write;

/// The members of an object that is being written.
pub(super) struct Members<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl Members<'_> {
    /// Writes an object into `out`.
    pub fn write(out: &mut String, members: impl FnOnce(&mut Members<'_>)) {
        out.push('{');
        members(&mut Members { out, is_empty: true });
        out.push('}');
    }

    fn name(&mut self, name: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        text(self.out, name);
        self.out.push(':');
        self.out
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        text(self.name(name), value);
        self
    }

    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        shown(self.name(name), value);
        self
    }

    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        shown(self.name(name), value);
        self
    }

    pub fn object(&mut self, name: &str, members: impl FnOnce(&mut Members<'_>)) -> &mut Self {
        Members::write(self.name(name), members);
        self
    }

    pub fn list<T>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut String, T),
    ) -> &mut Self {
        list(self.name(name), values, write);
        self
    }

    /// A member that `write` writes.
    pub fn value(&mut self, name: &str, write: impl FnOnce(&mut String)) -> &mut Self {
        write(self.name(name));
        self
    }
}

/// Writes a list.
pub(super) fn list<T>(
    out: &mut String,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (number, value) in values.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write(out, value);
    }
    out.push(']');
}

/// Writes something that needs no quotes.
pub(super) fn shown(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Writes a string.
pub(super) fn text(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if steers(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_lists_and_values_are_written_as_json_has_them() {
        let mut out = String::new();
        Members::write(&mut out, |members| {
            members.text("a", "b\"\\\n\u{1b}[2J\u{202e}é").number("n", 7).flag("f", true);
            members.object("o", |inner| {
                inner.value("null", |out| out.push_str("null"));
            });
            members.list("l", [1, 2], shown).object("empty", |_| ());
        });
        let expected = r#"{"a":"b\"\\\n\u001b[2J\u202eé","n":7,"f":true,"o":{"null":null},"l":[1,2],"empty":{}}"#;
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_none_steers(value in any::<String>()) {
            let mut out = String::new();
            text(&mut out, &value);
            prop_assert!(!out.chars().any(steers), "{out:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
        }
    }
}
