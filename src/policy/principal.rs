//! Whom a policy names.

use super::arn::{Arn, is_account};
use super::caller::{Caller, CallerKind};

/// Somebody whom a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalName {
    /// `*`
    Everyone,
    /// An account, by its root's ARN or its 12 digits: everybody in it, as far as
    /// their own policies allow.
    Account(String),
    /// The ARN of a user, a role, a session of a role or a federated user.
    Arn(String),
    /// The unique id that a user or a role had, once removed (`AIDA…`, `AROA…`).
    UniqueId(String),
    /// A service or an identity provider: nobody here is one.
    Elsewhere(String),
}

/// How close a policy comes to naming a caller. The greater, the closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// Not at all.
    No,
    /// By the account.
    Account,
    /// The caller, the role behind a session, or everyone.
    Caller,
}

impl PrincipalName {
    /// What stands under `AWS` in a policy.
    pub(super) fn aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if is_account(text) {
            return Some(Self::Account(text.into()));
        }
        let is_id = |id: &str| id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if text.len() >= 16 && (text.starts_with("AIDA") || text.starts_with("AROA")) && is_id(text)
        {
            return Some(Self::UniqueId(text.into()));
        }
        Self::arn(text)
    }

    /// What an ARN names: an account, a user, a role, a session, a federated user.
    /// Wildcards and groups name nobody.
    #[must_use]
    pub fn arn(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        if !is_account(arn.account) || !arn.region.is_empty() || text.contains(['*', '?', ' ']) {
            return None;
        }
        if (arn.service, arn.resource) == ("iam", "root") {
            return Some(Self::Account(arn.account.into()));
        }
        let (kind, name) = arn.resource.split_once('/')?;
        let sound = match (arn.service, kind) {
            ("iam", "user" | "role") => !name.ends_with('/'),
            ("sts", "federated-user") => true,
            ("sts", "assumed-role") => name.split('/').filter(|part| !part.is_empty()).count() == 2,
            _ => false,
        };
        (sound && !name.is_empty()).then(|| Self::Arn(text.into()))
    }

    /// How close it comes to this caller.
    pub(super) fn names(&self, caller: &Caller) -> Named {
        let close = |near: bool, named| if near { named } else { Named::No };
        match self {
            Self::Everyone => Named::Caller,
            Self::Account(account) => close(*account == caller.account, Named::Account),
            Self::Arn(arn) => {
                let is_role = || caller.role_arn().is_some_and(|role| *arn == role);
                close(*arn == caller.arn() || is_role(), Named::Caller)
            }
            Self::UniqueId(id) => {
                close(caller.kind != CallerKind::Root && *id == caller.unique_id, Named::Caller)
            }
            Self::Elsewhere(_) => Named::No,
        }
    }
}

/// `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principals {
    Only(Vec<PrincipalName>),
    AllBut(Vec<PrincipalName>),
}

impl Principals {
    /// How close an Allow comes to this caller. `NotPrincipal` means all of whom
    /// neither they nor their role nor their account is listed.
    pub fn allows(&self, caller: &Caller) -> Named {
        match self {
            Self::Only(names) => {
                names.iter().map(|name| name.names(caller)).max().unwrap_or(Named::No)
            }
            Self::AllBut(names) => {
                let spared = names.iter().any(|name| name.names(caller) != Named::No);
                if spared { Named::No } else { Named::Caller }
            }
        }
    }

    /// Whether a Deny means this caller. `NotPrincipal` spares those of whom
    /// everything is listed: account, role and session, or account and user.
    pub fn denies(&self, caller: &Caller) -> bool {
        let names = match self {
            Self::Only(_) => return self.allows(caller) != Named::No,
            Self::AllBut(names) => names,
        };
        let everyone = names.contains(&PrincipalName::Everyone);
        let account = names.iter().any(|name| name.names(caller) == Named::Account);
        let listed = |arn: String| {
            names.iter().any(|name| matches!(name, PrincipalName::Arn(listed) if *listed == arn))
        };
        let id = PrincipalName::UniqueId(caller.unique_id.clone());
        let by_id = names.contains(&id);
        let spared = match caller.kind {
            CallerKind::Root => account,
            CallerKind::User => account && (by_id || listed(caller.arn())),
            CallerKind::AssumedRole { .. } => {
                account && (by_id || caller.role_arn().is_some_and(listed)) && listed(caller.arn())
            }
        };
        !everyone && !spared
    }

    /// Everybody who is listed.
    pub fn names(&self) -> &[PrincipalName] {
        match self {
            Self::Only(names) | Self::AllBut(names) => names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: &str = "arn:aws:iam::111122223333:user/anna";
    const ROLE: &str = "arn:aws:iam::111122223333:role/Producer";
    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/Producer/web";
    const ROOT: &str = "arn:aws:iam::111122223333:root";

    fn anna() -> Caller {
        Caller::user("111122223333", "anna", "AIDAANNAEXAMPLE00001")
    }

    fn session() -> Caller {
        Caller::assumed_role("111122223333", "Producer", "web", "AROAPRODUCEREXAMPLE1")
    }

    fn root() -> Caller {
        Caller::root("111122223333")
    }

    #[test]
    fn principals_are_told_from_what_is_none() {
        let account = PrincipalName::Account("111122223333".into());
        assert_eq!(PrincipalName::aws("*"), Some(PrincipalName::Everyone));
        assert_eq!(PrincipalName::aws("111122223333").as_ref(), Some(&account));
        assert_eq!(PrincipalName::aws(ROOT).as_ref(), Some(&account));
        for arn in [
            ANNA,
            ROLE,
            SESSION,
            "arn:aws:iam::111122223333:user/team/anna",
            "arn:aws:sts::111122223333:federated-user/anna",
        ] {
            assert_eq!(PrincipalName::aws(arn), Some(PrincipalName::Arn(arn.into())));
        }
        let id = "AIDAANNAEXAMPLE00001";
        assert_eq!(PrincipalName::aws(id), Some(PrincipalName::UniqueId(id.into())));
        assert_eq!(PrincipalName::arn("111122223333"), None, "a grant wants an ARN");
        for text in [
            "",
            "anna",
            "11112222333",
            "AIDA",
            "AKIAANNAEXAMPLE00001",
            "AIDAannaexample00001",
            "arn:aws:iam::111122223333:group/all",
            "arn:aws:iam::111122223333:user/*",
            "arn:aws:iam::111122223333:user/an?a",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:user",
            "arn:aws:iam::*:root",
            "arn:aws:iam::1234:root",
            "arn:aws:iam:us-east-1:111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/Producer",
            "arn:aws:sts::111122223333:assumed-role/Producer/*",
            "arn:aws:sts::111122223333:role/Producer",
            "arn:aws:kms:us-east-1:111122223333:key/1",
        ] {
            assert_eq!(PrincipalName::aws(text), None, "{text}");
        }
    }

    #[test]
    fn who_is_named_how_closely() {
        use Named::{Account, Caller, No};
        for (name, of_anna, of_session, of_root) in [
            ("*", Caller, Caller, Caller),
            (ROOT, Account, Account, Account),
            ("111122223333", Account, Account, Account),
            ("arn:aws:iam::999999999999:root", No, No, No),
            (ANNA, Caller, No, No),
            ("arn:aws:iam::111122223333:user/Anna", No, No, No),
            ("arn:aws:iam::999999999999:user/anna", No, No, No),
            (ROLE, No, Caller, No),
            (SESSION, No, Caller, No),
            ("arn:aws:sts::111122223333:assumed-role/Producer/other", No, No, No),
            ("AIDAANNAEXAMPLE00001", Caller, No, No),
            ("AROAPRODUCEREXAMPLE1", No, Caller, No),
            ("AIDAGONEEXAMPLE00001", No, No, No),
        ] {
            let name = PrincipalName::aws(name).unwrap();
            assert_eq!(name.names(&anna()), of_anna, "{name:?}");
            assert_eq!(name.names(&session()), of_session, "{name:?}");
            assert_eq!(name.names(&root()), of_root, "{name:?}");
        }
        let service = PrincipalName::Elsewhere("s3.amazonaws.com".into());
        assert_eq!(service.names(&root()), No);
    }

    #[test]
    fn not_principal_errs_on_the_side_of_no() {
        // Whether an Allow and a Deny mean anna, the session, the root.
        let table: &[(&[&str], [bool; 3], [bool; 3])] = &[
            (&[ANNA], [false, true, true], [true, true, true]),
            (&[ANNA, ROOT], [false, false, false], [false, true, false]),
            (&[ROOT], [false, false, false], [true, true, false]),
            (&[ROLE], [true, false, true], [true, true, true]),
            (&[ROLE, ROOT], [false, false, false], [true, true, false]),
            (&[ROLE, SESSION, ROOT], [false, false, false], [true, false, false]),
            (&["AROAPRODUCEREXAMPLE1", SESSION, ROOT], [false; 3], [true, false, false]),
            (&["AIDAANNAEXAMPLE00001", ROOT], [false; 3], [false, true, false]),
            (&["*"], [false; 3], [false; 3]),
            (&["arn:aws:iam::999999999999:root"], [true; 3], [true; 3]),
        ];
        for (names, allowed, denied) in table {
            let names: Vec<_> = names.iter().filter_map(|name| PrincipalName::aws(name)).collect();
            let all_but = Principals::AllBut(names);
            let callers = [anna(), session(), root()];
            let allows = callers.clone().map(|caller| all_but.allows(&caller) == Named::Caller);
            assert_eq!(allows, *allowed, "{all_but:?}");
            assert_eq!(callers.map(|caller| all_but.denies(&caller)), *denied, "{all_but:?}");
        }
    }
}
