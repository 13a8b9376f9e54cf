//! Single values: from text to what it means, or why it cannot be used.

use super::Mechanisms;
use crate::audit::{MacMode, Retention};
use crate::log::Level;
use crate::types::{AccountId, LABEL_LEN, MechanismType, Region};

/// `text` without the blanks around it that C's `isspace` knows.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
}

/// `true` or `false` in any case, as SoftHSM has it.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A level's name in any case, or `off`.
pub(super) fn log_level(text: &str) -> Result<Option<Level>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let named = Level::ALL.into_iter().find(|level| text.eq_ignore_ascii_case(level.name()));
    named.map(Some).ok_or_else(|| {
        format!("{text:?} is none of \"off\", \"error\", \"warning\", \"info\", \"debug\"")
    })
}

/// A decimal number from `least` to `most`.
pub(super) fn number(least: u32, most: u32) -> impl Fn(&str) -> Result<u32, String> {
    move |text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("{text:?} is not a number from {least} to {most}"))
    }
}

/// An AWS account number.
pub(super) fn account(text: &str) -> Result<AccountId, String> {
    AccountId::new(text).ok_or_else(|| format!("{text:?} is not a number of 12 digits"))
}

/// The name of a region.
pub(super) fn region(text: &str) -> Result<Region, String> {
    Region::new(text).ok_or_else(|| format!("{text:?} is not a region's name, like \"us-east-1\""))
}

/// What becomes of MAC operations in the audit trail.
pub(super) fn mac_mode(text: &str) -> Result<MacMode, String> {
    match text {
        _ if text.eq_ignore_ascii_case("each") => Ok(MacMode::Each),
        _ if text.eq_ignore_ascii_case("summary") => Ok(MacMode::Summary),
        _ if text.eq_ignore_ascii_case("off") => Ok(MacMode::Off),
        _ => Err(format!("{text:?} is none of \"each\", \"summary\", \"off\"")),
    }
}

/// A size in bytes: a number, perhaps with `K`, `M` or `G` for powers of 1,024.
pub(super) fn size(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number = number(0, u32::MAX)(digits).ok().map(|number| u64::from(number) << shift);
        number.filter(|size| (least..=most).contains(size)).ok_or_else(|| {
            format!("{text:?} is not a number of bytes (or K, M, G) from {least} to {most}")
        })
    }
}

/// `forever`, `90d` for days, or a size in bytes.
pub(super) fn retention(text: &str) -> Result<Option<Retention>, String> {
    if text.eq_ignore_ascii_case("forever") {
        return Ok(None);
    }
    match text.strip_suffix('d') {
        Some(days) => number(1, 36_500)(days).map(Retention::Days),
        None => size(1 << 20, 1 << 50)(text).map(Retention::Bytes),
    }
    .map(Some)
    .map_err(|_| {
        format!(
            "{text:?} is none of \"forever\", days from \"1d\" to \"36500d\", and a size of at least \"1M\""
        )
    })
}

/// SoftHSM's object stores. The name says nothing here: there is one store.
pub(super) fn backend(text: &str) -> Result<(), String> {
    match text {
        "file" | "db" => Ok(()),
        _ => Err(format!("{text:?} is neither \"file\" nor \"db\"")),
    }
}

/// Octal permission bits that leave the owner's alone.
pub(super) fn umask(text: &str) -> Result<u32, String> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = if digits { u32::from_str_radix(text, 8).ok() } else { None };
    bits.filter(|bits| *bits <= 0o077)
        .ok_or_else(|| format!("{text:?} is not an octal number from 0 to 077"))
}

/// `ALL`, or names with commas between them; a `-` before the first turns the
/// list into what is left out. Also the names that the module does not know.
pub(super) fn mechanisms(text: &str) -> Result<(Mechanisms, Vec<String>), String> {
    if text.eq_ignore_ascii_case("ALL") {
        return Ok((Mechanisms::All, Vec::new()));
    }
    let (without, list) = match text.strip_prefix('-') {
        Some(list) => (true, list),
        None => (false, text),
    };
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for name in list.split(',').map(trimmed) {
        if name.is_empty() {
            return Err("a name is missing in the list of mechanisms".into());
        }
        if name.starts_with('-') {
            return Err("a minus sign stands before the whole list only".into());
        }
        match MechanismType::ALL.iter().find(|mechanism| mechanism.name() == name) {
            Some(mechanism) => known.push(*mechanism),
            None => unknown.push(name.chars().take(64).collect()),
        }
    }
    let mechanisms = if without { Mechanisms::AllBut(known) } else { Mechanisms::Only(known) };
    Ok((mechanisms, unknown))
}

/// A token's label.
pub(super) fn label(bytes: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let text = trimmed(text);
    if !(1..=LABEL_LEN).contains(&text.len()) {
        return Err(format!("a label has 1 to {LABEL_LEN} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("a label holds no control characters".into());
    }
    Ok(text.into())
}
