//! Where a token stands among others: an account and a region, as in every ARN.

use std::fmt;

/// An AWS account number: twelve decimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// `000000000000`: the account of tokens that were not told of another.
    pub const DEFAULT: Self = Self([b'0'; 12]);

    /// `None` unless `text` is twelve decimal digits.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let digits: [u8; 12] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits only: see `new`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The name of a region: `us-east-1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    text: [u8; Self::MAX_LEN],
    length: usize,
}

impl Region {
    /// The longest name, in bytes (KMS API: `RegionType`).
    pub const MAX_LEN: usize = 32;

    /// `us-east-1`: the region of tokens that were not told of another.
    pub const DEFAULT: Self =
        Self { text: *b"us-east-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", length: 9 };

    /// `None` unless `name` is of the form `^([a-z]+-){2,3}\d+$` (KMS API:
    /// `RegionType`) and of 32 bytes at most.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let (words, number) = name.rsplit_once('-')?;
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let fits = name.len() <= Self::MAX_LEN
            && (2..=3).contains(&words.split('-').count())
            && words.split('-').all(is_word)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit());
        if !fits {
            return None;
        }
        let mut text = [0; Self::MAX_LEN];
        text.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { text, length: name.len() })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII only: see `new`.
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// The account and the region of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

impl Home {
    /// Of tokens that were not told of another.
    pub const DEFAULT: Self = Self { account: AccountId::DEFAULT, region: Region::DEFAULT };

    /// The partition that the region belongs to: the second part of an ARN.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        let region = self.region.as_str();
        if region.starts_with("cn-") {
            "aws-cn"
        } else if region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }

    /// The ARN of something that AWS KMS keeps here: `key/<key id>`, `alias/<name>`.
    #[must_use]
    pub fn kms_arn(&self, resource: &str) -> String {
        format!("arn:{}:kms:{}:{}:{resource}", self.partition(), self.region, self.account)
    }

    /// The ARN of an identity: `root`, `user/<name>`, `role/<name>`.
    #[must_use]
    pub fn iam_arn(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition(), self.account)
    }

    /// The ARN of the session of a role: PKCS#11's login, STS's `AssumeRole`.
    #[must_use]
    pub fn session_arn(&self, role: &str, session: &str) -> String {
        format!("arn:{}:sts::{}:assumed-role/{role}/{session}", self.partition(), self.account)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_twelve_digits() {
        assert_eq!(AccountId::new("111122223333").unwrap().as_str(), "111122223333");
        assert_eq!(AccountId::new("000000000000"), Some(AccountId::DEFAULT));
        for wrong in ["", "11112222333", "1111222233334", "11112222333x", "１１１１"] {
            assert_eq!(AccountId::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn regions_have_two_or_three_words_and_a_number() {
        for right in ["us-east-1", "us-gov-west-1", "cn-north-1", "a-b-12"] {
            assert_eq!(Region::new(right).unwrap().as_str(), right);
        }
        assert_eq!(Region::new("us-east-1"), Some(Region::DEFAULT));
        let long = format!("{}-b-1", "a".repeat(29));
        for wrong in
            ["", "us", "us-1", "us-east", "us-east-", "US-east-1", "a-b-c-d-1", "-a-1", &long]
        {
            assert_eq!(Region::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn arns_name_partition_region_and_account() {
        let home = |account, region| Home {
            account: AccountId::new(account).unwrap(),
            region: Region::new(region).unwrap(),
        };
        let here = home("111122223333", "eu-west-2");
        assert_eq!(here.kms_arn("key/x"), "arn:aws:kms:eu-west-2:111122223333:key/x");
        assert_eq!(here.iam_arn("user/x"), "arn:aws:iam::111122223333:user/x");
        assert_eq!(here.session_arn("r", "s"), "arn:aws:sts::111122223333:assumed-role/r/s");
        let partitions = [("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov")];
        for (region, partition) in partitions {
            assert_eq!(home("000000000000", region).partition(), partition);
        }
    }
}
