//! How people write, read and compare the public key that a backup is sealed to.

use super::PublicKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

impl PublicKey {
    /// What the text begins with.
    pub const PREFIX: &'static str = "signet-transport-1:";
    /// How many bytes of the fingerprint end the text.
    const CHECK_LEN: usize = 4;

    /// What people compare to be sure that they have the same key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = Sha256::new_with_prefix(Self::PREFIX).chain_update(self.as_bytes()).finalize();
        let mut fingerprint = [0; Fingerprint::LEN];
        fingerprint.copy_from_slice(&hash[..Fingerprint::LEN]);
        Fingerprint(fingerprint)
    }
}

/// [`PublicKey::PREFIX`], the 32 bytes in hexadecimal and the first four bytes of the
/// fingerprint, so that a slip of the hand is noticed: what is sealed to a mistyped
/// key nobody can ever open.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        let check = self.fingerprint().0;
        let bytes = self.as_bytes().iter().chain(&check[..Self::CHECK_LEN]);
        bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text
            .trim()
            .strip_prefix(Self::PREFIX)
            .ok_or_else(|| format!("a transport key begins with \"{}\"", Self::PREFIX))?;
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let bytes: Option<Vec<u8>> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => Some(value(high)? << 4 | value(low)?),
                _ => None,
            })
            .collect();
        let wanted = 2 * (Self::LEN + Self::CHECK_LEN);
        let not_whole =
            || format!("a transport key has {wanted} hexadecimal digits behind the colon");
        let bytes = bytes.filter(|_| digits.len() == wanted).ok_or_else(not_whole)?;
        let (key, check) = bytes.split_at(Self::LEN);
        let key = Self::from_bytes(key).ok_or_else(not_whole)?;
        if key.fingerprint().0[..Self::CHECK_LEN] != *check {
            return Err("its check digits are wrong: it was mistyped or cut".into());
        }
        Ok(key)
    }
}

/// The first 128 bits of a hash of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; Self::LEN]);

impl Fingerprint {
    const LEN: usize = 16;
}

/// Eight groups of four hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.as_chunks::<2>().0.iter().enumerate() {
            let blank = if index > 0 { " " } else { "" };
            write!(f, "{blank}{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::vault::PrivateKey;

    #[test]
    fn the_text_of_a_key_comes_back_and_a_slip_is_noticed() {
        let key = PrivateKey::new(&OsEntropy).unwrap().public();
        let text = key.to_string();
        assert_eq!(text.parse::<PublicKey>().unwrap(), key);
        let (prefix, digits) = text.split_at(PublicKey::PREFIX.len());
        let shouted = format!(" {prefix}{}\n", digits.to_uppercase());
        assert_eq!(shouted.parse::<PublicKey>().unwrap(), key);
        for index in PublicKey::PREFIX.len()..text.len() {
            let mut other = text.clone();
            let digit = if text.as_bytes()[index] == b'0' { "1" } else { "0" };
            other.replace_range(index..=index, digit);
            assert!(other.parse::<PublicKey>().unwrap_err().contains("mistyped"), "{other}");
            assert!(text[..index].parse::<PublicKey>().is_err());
        }
        for wrong in ["", "age1xyz", &format!("{text}00"), &text.replace(':', ":é")] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_eight_groups_of_digits_and_begins_as_the_text_ends() {
        let key = PrivateKey::new(&OsEntropy).unwrap().public();
        let fingerprint = key.fingerprint().to_string();
        assert_eq!(fingerprint.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8]);
        assert!(key.to_string().ends_with(&fingerprint.replace(' ', "")[..8]));
    }
}
