//! Policy documents: IAM's JSON, read once and checked whole.

use super::json::Json;
use super::principal::{PrincipalName, Principals};
use super::statement::Statement;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A key's: it names principals, `"Resource": "*"` is the key. At most 32,768
    /// bytes.
    Key,
    /// A user's or role's: it names resources. At most 6,144 characters, white
    /// space not counted.
    Identity,
    /// Who may take a role: it names principals. At most 4,096 characters, white
    /// space not counted.
    Trust,
}

/// A policy that can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    kind: DocumentKind,
    statements: Vec<Statement>,
}

/// Characters of a policy, however long it may be where it is used.
const MAX_CHARACTERS: usize = 131_072;

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Error::ValidationFailed`] for characters that a policy may not hold,
    /// [`Error::LimitExceeded`] if it is too long for its kind,
    /// [`Error::MalformedPolicy`] with place and reason for everything else.
    pub fn parse(kind: DocumentKind, text: &str) -> Result<Self> {
        check_characters(text)?;
        check_size(kind, text)?;
        let json = Json::parse(text).map_err(Error::MalformedPolicy)?;
        Self::read(kind, json).map_err(Error::MalformedPolicy)
    }

    fn read(kind: DocumentKind, json: Json) -> Result<Self, String> {
        let Json::Object(mut elements) = json else {
            return Err("a policy is an object".into());
        };
        let variables = has_variables(elements.remove("Version"))?;
        if !matches!(elements.remove("Id"), None | Some(Json::String(_))) {
            return Err("Id: is not a string".into());
        }
        let Some(statements) = elements.remove("Statement") else {
            return Err("Missing required field Statement".into());
        };
        let statements: Vec<_> = statements
            .into_list()
            .into_iter()
            .enumerate()
            .map(|(index, json)| {
                Statement::read(json, kind, variables)
                    .map_err(|reason| format!("Statement {}: {reason}", index + 1))
            })
            .collect::<Result<_, _>>()?;
        if statements.is_empty() {
            return Err("Statement: is empty".into());
        }
        if kind != DocumentKind::Key {
            check_sids(&statements)?;
        }
        match elements.into_keys().next() {
            Some(unknown) => Err(format!("a policy has no element \"{unknown}\"")),
            None => Ok(Self { kind, statements }),
        }
    }

    /// Whose policy it is.
    #[must_use]
    pub const fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// Everybody whom it names, for those who can tell whether they exist.
    pub fn principals(&self) -> impl Iterator<Item = &PrincipalName> {
        let named = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        named.flat_map(Principals::names)
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// The key policy that CreateKey gives where it is given none (KMS API), written
/// as AWS does: the account root may do everything that KMS knows, and delegates.
#[must_use]
pub fn default_key_policy(account: &str) -> String {
    root_policy(account, "\"kms:*\"")
}

/// The policy of a key that was made without one at the C door: the same, and
/// everything that only PKCS#11 knows.
#[must_use]
pub fn owner_key_policy(account: &str) -> String {
    root_policy(account, "[ \"kms:*\", \"signet:*\" ]")
}

fn root_policy(account: &str, action: &str) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : {action},
    "Resource" : "*"
  }} ]
}}"#
    )
}

fn check_characters(text: &str) -> Result<()> {
    let refused = |constraint: &str| {
        Err(Error::ValidationFailed(format!(
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member \
             must {constraint}"
        )))
    };
    if text.is_empty() {
        return refused("have length greater than or equal to 1");
    }
    if text.chars().count() > MAX_CHARACTERS {
        return refused("have length less than or equal to 131072");
    }
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if text.chars().all(allowed) {
        Ok(())
    } else {
        refused("satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+")
    }
}

fn check_size(kind: DocumentKind, text: &str) -> Result<()> {
    let characters = || text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r' | ' ')).count();
    let (size, most) = match kind {
        DocumentKind::Key => (text.len(), 32_768),
        DocumentKind::Identity => (characters(), 6_144),
        DocumentKind::Trust => (characters(), 4_096),
    };
    if size > most {
        return Err(Error::LimitExceeded(format!("the policy is {size} long, and may be {most}")));
    }
    Ok(())
}

/// Whether the version of the policy language knows variables.
fn has_variables(version: Option<Json>) -> Result<bool, String> {
    match version {
        Some(Json::String(text)) if text == "2012-10-17" => Ok(true),
        Some(Json::String(text)) if text == "2008-10-17" => Ok(false),
        None => Ok(false),
        Some(_) => Err("Version: is neither \"2012-10-17\" nor \"2008-10-17\"".into()),
    }
}

fn check_sids(statements: &[Statement]) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for (index, statement) in statements.iter().enumerate() {
        let Some(sid) = statement.sid.as_ref().filter(|sid| !sid.is_empty()) else { continue };
        if let Some(first) = seen.insert(sid, index + 1) {
            return Err(format!(
                "Statement {}: Statement IDs (SID) in a single policy must be unique; statement \
                 {first} is \"{sid}\" too",
                index + 1
            ));
        }
    }
    Ok(())
}
