//! The syntax of a configuration file.

use super::value::trimmed;
use super::{Given, MAX_FILE_LEN, Notice, SETTINGS, refused};
use crate::error::Result;
use crate::log::Level;
use std::collections::BTreeMap;
use std::path::Path;

/// Notices kept about one file; a file with more is not a configuration.
const MAX_NOTICES: usize = 50;

/// The values of a file, by key.
#[derive(Default)]
pub(super) struct File {
    name: String,
    values: BTreeMap<&'static str, (usize, String)>,
}

impl File {
    pub(super) fn parse(path: &Path, content: Vec<u8>, notices: &mut Vec<Notice>) -> Result<Self> {
        let name = path.display().to_string();
        if content.len() > MAX_FILE_LEN {
            return Err(refused(&name, &format!("larger than {MAX_FILE_LEN} bytes")));
        }
        let text = String::from_utf8(content).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            refused(&format!("{name}:{line}"), &"is not UTF-8")
        })?;
        let mut file = Self { name, values: BTreeMap::new() };
        let mut found = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for (number, line) in (1..).zip(text.split('\n')) {
            if let Some(why) = file.line(number, line) {
                found.push(format!("{}:{number}: {why}", file.name));
            }
        }
        let more = found.len().saturating_sub(MAX_NOTICES);
        found.truncate(MAX_NOTICES);
        if more > 0 {
            found.push(format!("{}: {more} more lines were passed over", file.name));
        }
        notices.extend(found.into_iter().map(|text| Notice { level: Level::Warning, text }));
        Ok(file)
    }

    pub(super) fn given(&self, key: &str) -> Option<Given> {
        let (line, value) = self.values.get(key)?;
        let origin = format!("{}:{line}: {key}", self.name);
        Some(Given { origin, value: value.into() })
    }

    /// Keeps what a line says, or says what is odd about it. Values are not
    /// repeated: somebody may have written a PIN there.
    fn line(&mut self, number: usize, line: &str) -> Option<String> {
        let line = line.split(['#', '\r']).next().unwrap_or_default();
        let line = trimmed(line);
        if line.is_empty() {
            return None;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (trimmed(key), trimmed(value)),
            None => return Some("not of the form \"key = value\": passed over".into()),
        };
        if key.is_empty() {
            return Some("no key before \"=\": passed over".into());
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let shown: String = key.chars().take(64).collect();
            return Some(format!("unknown key {shown:?}: passed over"));
        };
        if value.is_empty() {
            return Some(format!("{key}: no value: passed over"));
        }
        let earlier = self.values.insert(setting.key, (number, value.into()));
        earlier.map(|(line, _)| format!("{key}: counts instead of the value in line {line}"))
    }
}
