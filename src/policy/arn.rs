//! Names of principals and resources.

/// The parts of an ARN: `arn:partition:service:region:account:resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN of one of the partitions there are.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let known = next()? == "arn" && matches!(next()?, "aws" | "aws-cn" | "aws-us-gov");
        let (service, region, account) = (next()?, next()?, next()?);
        let resource = next().filter(|resource| known && !resource.is_empty())?;
        Some(Self { service, region, account, resource })
    }
}

/// Whether this is an account's number: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts() {
        let arn = Arn::parse("arn:aws:iam::111122223333:user/a:b").unwrap();
        assert_eq!((arn.service, arn.region), ("iam", ""));
        assert_eq!((arn.account, arn.resource), ("111122223333", "user/a:b"));
        assert!(Arn::parse("arn:aws-cn:kms:cn-north-1:111122223333:key/x").is_some());
        for text in
            ["", "arn", "arn:aws:iam::1", "arn:aws:iam::1:", "arn:*:iam::1:root", "x:aws:a:b:c:d"]
        {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_account_is_twelve_digits() {
        assert!(is_account("000000000000"));
        assert!(!is_account("1234") && !is_account("11112222333x") && !is_account("²²²²²²"));
    }
}
