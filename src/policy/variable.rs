//! Values of a policy that depend on the request: `${aws:username}`,
//! `${aws:PrincipalTag/team, 'none'}`. `${*}`, `${?}` and `${$}` are these
//! characters themselves.

use super::context::Facts;
use super::decision::Until;
use super::pattern::{Pattern, Token};
use std::borrow::Cow;

/// How many characters the variables of one value may stand for. The longest value
/// that a request brings is shorter; without a limit, a value of many variables
/// could grow beyond measure.
const MAX_CHARACTERS: usize = 32_768;

/// A value of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Template {
    /// Without variables.
    Fixed(Pattern),
    /// With variables.
    Variable(Vec<Piece>),
}

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands in the policy.
    Token(Token),
    /// What the request has under a key, in lower case; else the default.
    Variable { key: String, default: Option<String> },
}

impl Template {
    /// A value in which `${` is nothing special, as in documents of version
    /// 2008-10-17.
    pub fn plain(text: &str) -> Self {
        Self::Fixed(Pattern::written(text))
    }

    /// A value of a document of version 2012-10-17.
    ///
    /// # Errors
    /// What is wrong with a variable.
    pub fn with_variables(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, variable) = rest.split_at(start);
            let Some(end) = variable.find('}') else {
                return Err(format!("\"{variable}\" is not closed by a brace"));
            };
            pieces.extend(before.chars().map(Token::written).map(Piece::Token));
            pieces.push(piece(&variable[2..end])?);
            rest = &variable[end + 1..];
        }
        pieces.extend(rest.chars().map(Token::written).map(Piece::Token));
        let fixed = |piece: &Piece| match piece {
            Piece::Token(token) => Some(*token),
            Piece::Variable { .. } => None,
        };
        Ok(match pieces.iter().map(fixed).collect() {
            Some(tokens) => Self::Fixed(Pattern::new(tokens)),
            None => Self::Variable(pieces),
        })
    }

    /// The value for this request, and how long it stays that; `None` where the
    /// request has not exactly one value for a variable, and the policy no default,
    /// or they are too long: then nothing equals it. What a variable stands for has no wildcards.
    pub fn resolve(&self, facts: &Facts<'_>) -> (Option<Cow<'_, Pattern>>, Until) {
        let pieces = match self {
            Self::Fixed(pattern) => return (Some(Cow::Borrowed(pattern)), Until::Changed),
            Self::Variable(pieces) => pieces,
        };
        let (mut tokens, mut until) = (Some(Vec::with_capacity(pieces.len())), Until::Changed);
        let mut room = MAX_CHARACTERS;
        for piece in pieces {
            let (key, default) = match piece {
                Piece::Token(token) => {
                    tokens.iter_mut().for_each(|tokens| tokens.push(*token));
                    continue;
                }
                Piece::Variable { key, default } => (key, default),
            };
            let found = facts.look_up(key);
            until = until.min(found.until());
            let value = match (found.values, default) {
                ([value], _) => Some(value),
                ([], Some(default)) => Some(default),
                _ => None,
            };
            let left = value.and_then(|value| room.checked_sub(value.len()));
            tokens = tokens.zip(value).zip(left).map(|((mut tokens, value), left)| {
                tokens.extend(value.chars().map(Token::Char));
                room = left;
                tokens
            });
        }
        (tokens.map(|tokens| Cow::Owned(Pattern::new(tokens))), until)
    }
}

/// What stands between the braces.
fn piece(inside: &str) -> Result<Piece, String> {
    if let "*" | "?" | "$" = inside {
        return Ok(Piece::Token(Token::Char(inside.chars().next().unwrap_or_default())));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let default = default.trim();
            let quoted = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let Some(quoted) = quoted else {
                return Err(format!("the default of \"${{{inside}}}\" is not in single quotes"));
            };
            (key, Some(quoted.to_owned()))
        }
    };
    let key = key.trim();
    if !key.contains(':') || key.contains(['$', '{', '\'', '*', '?']) {
        return Err(format!("\"${{{inside}}}\" names no condition key"));
    }
    Ok(Piece::Variable { key: key.to_lowercase(), default })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Caller, Context};
    use std::time::UNIX_EPOCH;

    fn resolve(text: &str) -> Option<String> {
        let mut caller = Caller::user("111122223333", "anna", "AIDAEXAMPLE");
        caller.tags = vec![("Team".into(), "a*b".into())];
        let mut context = Context::new(&caller, UNIX_EPOCH);
        context.set("kms:GrantOperations", ["GenerateMac", "VerifyMac"]);
        let template = Template::with_variables(text).unwrap();
        let (pattern, _) = template.resolve(&Facts::of(&context));
        pattern.map(|pattern| {
            // What a text must be to equal the pattern, and whether it has wildcards.
            let text = pattern.text();
            let mark = if pattern.matches(&text.replace(['*', '?'], "xx")) { "~" } else { "" };
            format!("{mark}{text}")
        })
    }

    #[test]
    fn variables_stand_for_what_the_request_has() {
        for (template, expected) in [
            ("plain", Some("~plain")),
            ("", Some("~")),
            ("a*", Some("~a*")),
            ("a${*}", Some("a*")),
            ("a${?}${$}", Some("a?$")),
            ("$", Some("~$")),
            ("a}b", Some("~a}b")),
            ("${aws:username}", Some("~anna")),
            ("${AWS:UserName}-*", Some("~anna-*")),
            ("${aws:PrincipalTag/team}", Some("a*b")),
            ("${aws:PrincipalTag/none}", None),
            ("x${aws:PrincipalTag/none, 'no one'}y", Some("~xno oney")),
            ("${aws:PrincipalTag/none,''}", Some("~")),
            ("${aws:PrincipalTag/none, '*'}", Some("*")),
            ("${aws:PrincipalTag/team, 'x'}", Some("a*b")),
            ("${kms:GrantOperations}", None),
            ("${kms:GrantOperations, 'x'}", None),
            ("${aws:username}${aws:PrincipalTag/none}", None),
        ] {
            assert_eq!(resolve(template).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn what_variables_stand_for_has_an_end() {
        let mut caller = Caller::user("111122223333", "anna", "AIDAEXAMPLE");
        caller.tags = vec![("long".into(), "x".repeat(256))];
        let context = Context::new(&caller, UNIX_EPOCH);
        for (times, expected) in [(128, true), (129, false)] {
            let template = "${aws:PrincipalTag/long}".repeat(times);
            let template = Template::with_variables(&template).unwrap();
            let (pattern, _) = template.resolve(&Facts::of(&context));
            assert_eq!(pattern.is_some(), expected, "{times}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "${aws:username", "${}", "${username}", "${${aws:username}}"] {
            assert!(Template::with_variables(text).is_err(), "{text}");
        }
        for text in ["${aws:username, x}", "${aws:username, 'x}", "${aws:username,}"] {
            assert!(Template::with_variables(text).is_err(), "{text}");
        }
        assert_eq!(
            Template::plain("${aws:username}"),
            Template::Fixed(Pattern::written("${aws:username}"))
        );
    }
}
