//! Grants: what one principal may do with one key, apart from its policy. A grant
//! only ever allows.

use super::arn::Arn;
use super::caller::Caller;
use super::principal::{Named, PrincipalName};
use super::{Action, Context};
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

/// What a grant on an HMAC key may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantOperation {
    /// Make grants of no more than this one allows.
    CreateGrant,
    /// See the key.
    DescribeKey,
    /// Make MACs.
    GenerateMac,
    /// Give this grant back.
    RetireGrant,
    /// Verify MACs.
    VerifyMac,
}

impl GrantOperation {
    /// Every operation, in alphabetical order.
    pub const ALL: [Self; 5] = [
        Self::CreateGrant,
        Self::DescribeKey,
        Self::GenerateMac,
        Self::RetireGrant,
        Self::VerifyMac,
    ];

    /// The action that it allows.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::CreateGrant => Action::CreateGrant,
            Self::DescribeKey => Action::DescribeKey,
            Self::GenerateMac => Action::GenerateMac,
            Self::RetireGrant => Action::RetireGrant,
            Self::VerifyMac => Action::VerifyMac,
        }
    }

    /// The name at the KMS door: the action's without `kms:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let name = self.action().name();
        name.strip_prefix("kms:").unwrap_or(name)
    }

    /// The operation of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

impl fmt::Display for GrantOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What CreateGrant asks for. Two grants of one key that are equal in this and have
/// a name are the same grant. There are no constraints: KMS knows them for other
/// kinds of keys and for its own services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantTerms {
    /// A name that makes asking twice the same as asking once.
    pub name: Option<String>,
    /// Whom it allows something: an ARN.
    pub grantee: String,
    /// Who may give it back: an ARN.
    pub retiring: Option<String>,
    /// What it allows.
    pub operations: BTreeSet<GrantOperation>,
}

impl GrantTerms {
    /// Checks what CreateGrant was given.
    ///
    /// # Errors
    /// [`Error::InvalidArn`] for what is no ARN of an account, user, role, session or
    /// federated user; [`Error::ValidationFailed`] for a name of other characters,
    /// no operation, or one that an HMAC key does not know.
    pub fn new(
        name: Option<&str>,
        grantee: &str,
        retiring: Option<&str>,
        operations: &[&str],
    ) -> Result<Self> {
        if let Some(name) = name {
            check_name(name)?;
        }
        for arn in retiring.into_iter().chain([grantee]) {
            check_principal(arn)?;
        }
        let operations: BTreeSet<_> = operations
            .iter()
            .map(|name| {
                GrantOperation::from_name(name).ok_or_else(|| {
                    Error::ValidationFailed(format!(
                        "the grant operation {name} is not valid for an HMAC key"
                    ))
                })
            })
            .collect::<Result<_>>()?;
        if operations.is_empty() {
            return Err(Error::ValidationFailed("a grant needs an operation".into()));
        }
        Ok(Self {
            name: name.map(Into::into),
            grantee: grantee.into(),
            retiring: retiring.map(Into::into),
            operations,
        })
    }

    /// Puts what is asked for into the request's context.
    pub fn describe(&self, context: &mut Context) {
        let operations = self.operations.iter().map(|operation| operation.name());
        context.set("kms:GrantOperations", operations);
        context.set("kms:GranteePrincipal", [&*self.grantee]);
        context.set("kms:RetiringPrincipal", self.retiring.as_deref());
    }
}

/// A grant on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What it was asked for.
    pub terms: GrantTerms,
    /// When it was made.
    pub created: SystemTime,
    /// The account of whoever made it.
    pub issuing_account: String,
}

impl Grant {
    /// How close its grantee comes to naming the caller.
    pub(super) fn grants_to(&self, caller: &Caller) -> Named {
        names(&self.terms.grantee, caller)
    }

    /// How close its retiring principal comes to naming the caller.
    pub(super) fn retires_by(&self, caller: &Caller) -> Named {
        self.terms.retiring.as_deref().map_or(Named::No, |arn| names(arn, caller))
    }

    /// Whether it allows the action. Making grants: of what it allows itself, as
    /// `operations` tell (`kms:GrantOperations`).
    pub(super) fn allows(&self, action: Action, operations: &[String]) -> bool {
        let own = &self.terms.operations;
        let listed = own.iter().any(|operation| operation.action() == action);
        let passes_on_no_more = !operations.is_empty()
            && operations.iter().all(|name| {
                GrantOperation::from_name(name).is_some_and(|operation| own.contains(&operation))
            });
        listed && (action != Action::CreateGrant || passes_on_no_more)
    }
}

fn names(arn: &str, caller: &Caller) -> Named {
    PrincipalName::arn(arn).map_or(Named::No, |name| name.names(caller))
}

/// Whether this can be a grant's id: 64 hexadecimal digits.
#[must_use]
pub fn is_grant_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// KMS API: `^[a-zA-Z0-9:/_-]+$`, 1 to 256.
fn check_name(name: &str) -> Result<()> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    if (1..=256).contains(&name.len()) && name.bytes().all(is_part) {
        return Ok(());
    }
    Err(Error::ValidationFailed(
        "a grant's name is 1 to 256 letters, digits, `:`, `/`, `_` and `-`".into(),
    ))
}

/// KMS API: `^[\w+=,.@:/-]+$`, 1 to 256, and an ARN of somebody.
fn check_principal(arn: &str) -> Result<()> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    let sound = arn.len() <= 256 && arn.bytes().all(is_part) && Arn::parse(arn).is_some();
    match PrincipalName::arn(arn).filter(|_| sound) {
        Some(_) => Ok(()),
        None => Err(Error::InvalidArn(arn.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const ANNA: &str = "arn:aws:iam::111122223333:user/anna";
    const ROOT: &str = "arn:aws:iam::111122223333:root";

    #[test]
    fn operations_are_named_as_kms_does() {
        let names = GrantOperation::ALL.map(GrantOperation::name);
        assert_eq!(
            names,
            ["CreateGrant", "DescribeKey", "GenerateMac", "RetireGrant", "VerifyMac"]
        );
        for operation in GrantOperation::ALL {
            assert_eq!(GrantOperation::from_name(operation.name()), Some(operation));
        }
        assert!(GrantOperation::ALL.is_sorted());
    }

    #[test]
    fn terms_are_checked() {
        let terms =
            GrantTerms::new(Some("a:b/c_d-1"), ANNA, Some(ROOT), &["VerifyMac", "GenerateMac"]);
        let same = GrantTerms::new(
            Some("a:b/c_d-1"),
            ANNA,
            Some(ROOT),
            &["GenerateMac", "VerifyMac", "VerifyMac"],
        );
        assert_eq!(terms, same, "operations have no order");
        assert!(GrantTerms::new(None, ROOT, None, &["DescribeKey"]).is_ok());

        for name in ["", "a b", "é", &"x".repeat(257)] {
            let answer = GrantTerms::new(Some(name), ANNA, None, &["VerifyMac"]);
            assert!(matches!(answer, Err(Error::ValidationFailed(_))), "{name}: {answer:?}");
        }
        for operations in [&[][..], &["Encrypt"], &["VerifyMac", "Sign"], &["verifymac"]] {
            let answer = GrantTerms::new(None, ANNA, None, operations);
            assert!(matches!(answer, Err(Error::ValidationFailed(_))), "{operations:?}");
        }
        let long = format!("arn:aws:iam::111122223333:user/{}", "x".repeat(226));
        for arn in [
            "",
            "*",
            "111122223333",
            "AIDAANNAEXAMPLE00001",
            "arn:aws:iam::111122223333:group/x",
            "arn:aws:iam::111122223333:user/*",
            "arn:aws:iam::111122223333:user/a b",
            &long,
        ] {
            let answer = GrantTerms::new(None, arn, None, &["VerifyMac"]);
            assert_eq!(answer, Err(Error::InvalidArn(arn.into())));
            let answer = GrantTerms::new(None, ANNA, Some(arn), &["VerifyMac"]);
            assert_eq!(answer, Err(Error::InvalidArn(arn.into())));
        }
        assert!(GrantTerms::new(None, &long[..256], None, &["VerifyMac"]).is_ok());
    }

    #[test]
    fn a_request_tells_what_it_asks_for() {
        let mut context = Context::new(&Caller::root("111122223333"), UNIX_EPOCH);
        GrantTerms::new(None, ANNA, None, &["VerifyMac", "CreateGrant"])
            .unwrap()
            .describe(&mut context);
        assert_eq!(context.values("kms:GrantOperations"), ["CreateGrant", "VerifyMac"]);
        assert_eq!(context.values("kms:granteeprincipal"), [ANNA]);
        assert_eq!(context.values("kms:RetiringPrincipal"), [""; 0]);
    }

    #[test]
    fn an_id_is_64_digits() {
        assert!(is_grant_id(&"0aF9".repeat(16)));
        assert!(!is_grant_id(&"0aF9".repeat(15)) && !is_grant_id(&"0aG9".repeat(16)));
    }
}
