//! Who asks, as policies know them.

use super::Document;
use std::sync::Arc;

/// Who asks, as policies know them.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What kind of principal.
    pub kind: CallerKind,
    /// The partition of its ARNs: `aws`, unless the token's region lies in another.
    pub partition: &'static str,
    /// Its account, 12 digits.
    pub account: String,
    /// A user's or a session's name; `root`.
    pub name: String,
    /// The name that is never given again: a user's `AIDA…`, the `AROA…` of the role
    /// behind a session, the account of the root.
    pub unique_id: String,
    /// Tags of the user, or of the role and the session.
    pub tags: Vec<(String, String)>,
    /// Policies of the user or the role. The account root has none.
    pub policies: Vec<NamedPolicy>,
}

/// What kind of principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The account itself: the token's owner.
    Root,
    /// A user.
    User,
    /// Somebody who has taken a role.
    AssumedRole {
        /// The role's name.
        role: String,
    },
}

/// A policy of a user or a role.
#[derive(Debug, Clone)]
pub struct NamedPolicy {
    /// Its name.
    pub name: String,
    /// What it says: a document of kind [`super::DocumentKind::Identity`].
    pub document: Arc<Document>,
}

impl Caller {
    /// The root of this account.
    #[must_use]
    pub fn root(account: &str) -> Self {
        Self::new(CallerKind::Root, account, "root", account)
    }

    /// A user, without tags and policies.
    #[must_use]
    pub fn user(account: &str, name: &str, unique_id: &str) -> Self {
        Self::new(CallerKind::User, account, name, unique_id)
    }

    /// A session of a role, without tags and policies.
    #[must_use]
    pub fn assumed_role(account: &str, role: &str, session: &str, role_id: &str) -> Self {
        Self::new(CallerKind::AssumedRole { role: role.into() }, account, session, role_id)
    }

    fn new(kind: CallerKind, account: &str, name: &str, unique_id: &str) -> Self {
        Self {
            kind,
            partition: "aws",
            account: account.into(),
            name: name.into(),
            unique_id: unique_id.into(),
            tags: Vec::new(),
            policies: Vec::new(),
        }
    }

    /// The principal's ARN: of a session, the session's.
    #[must_use]
    pub fn arn(&self) -> String {
        let (partition, account, name) = (self.partition, &self.account, &self.name);
        match &self.kind {
            CallerKind::Root => format!("arn:{partition}:iam::{account}:root"),
            CallerKind::User => format!("arn:{partition}:iam::{account}:user/{name}"),
            CallerKind::AssumedRole { role } => {
                format!("arn:{partition}:sts::{account}:assumed-role/{role}/{name}")
            }
        }
    }

    /// The ARN of the role behind a session.
    #[must_use]
    pub fn role_arn(&self) -> Option<String> {
        let (partition, account) = (self.partition, &self.account);
        match &self.kind {
            CallerKind::AssumedRole { role } => {
                Some(format!("arn:{partition}:iam::{account}:role/{role}"))
            }
            CallerKind::Root | CallerKind::User => None,
        }
    }

    /// `aws:userid`: the unique id, with the session's name behind a role's.
    #[must_use]
    pub fn user_id(&self) -> String {
        match self.kind {
            CallerKind::AssumedRole { .. } => format!("{}:{}", self.unique_id, self.name),
            CallerKind::Root | CallerKind::User => self.unique_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_have_arns_of_their_partition() {
        let account = "111122223333";
        let mut session = Caller::assumed_role(account, "Producer", "web", "AROAPROD");
        assert_eq!(session.arn(), "arn:aws:sts::111122223333:assumed-role/Producer/web");
        session.partition = "aws-cn";
        assert_eq!(session.arn(), "arn:aws-cn:sts::111122223333:assumed-role/Producer/web");
        let role = "arn:aws-cn:iam::111122223333:role/Producer";
        assert_eq!(session.role_arn().as_deref(), Some(role));
        let mut anna = Caller::user(account, "anna", "AIDAANNA");
        anna.partition = "aws-us-gov";
        assert_eq!(anna.arn(), "arn:aws-us-gov:iam::111122223333:user/anna");
        assert_eq!(Caller::root(account).arn(), "arn:aws:iam::111122223333:root");
        assert_eq!(Caller::root(account).role_arn(), None);
    }
}
