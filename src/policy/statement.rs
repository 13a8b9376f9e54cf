//! One statement of a policy: whom it means, what, on what and when.

use super::Action;
use super::condition::{Condition, Operator};
use super::context::Facts;
use super::decision::Truth;
use super::document::DocumentKind;
use super::json::Json;
use super::pattern::Pattern;
use super::principal::{PrincipalName, Principals};
use super::variable::Template;
use std::collections::BTreeMap;

/// What a statement does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub sid: Option<String>,
    pub effect: Effect,
    /// None in a policy of a principal, which means that one.
    pub principals: Option<Principals>,
    actions: Choice<Pattern>,
    resources: Choice<Template>,
    conditions: Vec<Condition>,
}

/// `X` or `NotX`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice<T> {
    Only(Vec<T>),
    AllBut(Vec<T>),
}

impl Statement {
    /// Whether it says something about this, whoever asks. `resource` is the ARN
    /// of what the action is done to, or `*`.
    pub fn applies(&self, action: Action, resource: &str, facts: &Facts<'_>) -> Truth {
        let name = action.name().to_lowercase();
        let named = match &self.actions {
            Choice::Only(actions) => actions.iter().any(|action| action.matches(&name)),
            Choice::AllBut(actions) => !actions.iter().any(|action| action.matches(&name)),
        };
        if !named {
            return Truth::always(false);
        }
        let matches = |template: &Template| {
            let (pattern, until) = template.resolve(facts);
            Truth { holds: pattern.is_some_and(|pattern| pattern.matches(resource)), until }
        };
        let meant = match &self.resources {
            Choice::Only(resources) => Truth::any(resources.iter().map(matches)),
            Choice::AllBut(resources) => Truth::any(resources.iter().map(matches)).not(),
        };
        meant.and(Truth::all(self.conditions.iter().map(|condition| condition.holds(facts))))
    }

    /// Reads a statement of a document of this kind; `variables` if its version
    /// knows them.
    ///
    /// # Errors
    /// What is wrong: the element, and why.
    pub fn read(json: Json, kind: DocumentKind, variables: bool) -> Result<Self, String> {
        let Json::Object(mut elements) = json else {
            return Err("a statement is an object".into());
        };
        let template = |text: &str| {
            if variables { Template::with_variables(text) } else { Ok(Template::plain(text)) }
        };
        let effect = match elements.remove("Effect") {
            Some(Json::String(text)) if text == "Allow" => Effect::Allow,
            Some(Json::String(text)) if text == "Deny" => Effect::Deny,
            Some(_) => return Err("Effect: is neither \"Allow\" nor \"Deny\"".into()),
            None => return Err("Missing required field Effect".into()),
        };
        let sid = sid(elements.remove("Sid"), kind)?;
        let principals = principals(&mut elements, kind)?;
        let actions = match choice(&mut elements, "Action", "NotAction", action)? {
            None if kind == DocumentKind::Key => Choice::Only(Vec::new()),
            None => return Err("Missing required field Action".into()),
            Some(actions) => actions,
        };
        let resource = |text: &str| resource(text, template);
        let resources = match (choice(&mut elements, "Resource", "NotResource", resource)?, kind) {
            (Some(_), DocumentKind::Trust) => {
                return Err("Resource: has no place in a trust policy, which means its role".into());
            }
            (Some(resources), _) => resources,
            (None, DocumentKind::Key) => Choice::Only(Vec::new()),
            (None, DocumentKind::Trust) => Choice::AllBut(Vec::new()),
            (None, DocumentKind::Identity) => return Err("Missing required field Resource".into()),
        };
        let conditions = match elements.remove("Condition") {
            None => Vec::new(),
            Some(json) => conditions(json, kind, variables)?,
        };
        match elements.into_keys().next() {
            Some(unknown) => Err(format!("a statement has no element \"{unknown}\"")),
            None => Ok(Self { sid, effect, principals, actions, resources, conditions }),
        }
    }
}

/// Only key policies may have more than letters and digits here.
fn sid(json: Option<Json>, kind: DocumentKind) -> Result<Option<String>, String> {
    match json {
        None => Ok(None),
        Some(Json::String(sid)) => {
            let simple = sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let sound = kind == DocumentKind::Key || simple;
            if sound { Ok(Some(sid)) } else { Err("Sid: is not of letters and digits only".into()) }
        }
        Some(_) => Err("Sid: is not a string".into()),
    }
}

/// `positive` or `negative`, whichever is there. An empty list says nothing; its
/// negation would say everything, and is refused.
fn choice<T>(
    elements: &mut BTreeMap<String, Json>,
    positive: &str,
    negative: &str,
    reader: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<Choice<T>>, String> {
    let read = |name: &str, json: Json| {
        let one = |json| match json {
            Json::String(text) => reader(&text).map_err(|reason| format!("{name}: {reason}")),
            _ => Err(format!("{name}: is neither a string nor a list of strings")),
        };
        json.into_list().into_iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    match (elements.remove(positive), elements.remove(negative)) {
        (None, None) => Ok(None),
        (Some(json), None) => read(positive, json).map(Choice::Only).map(Some),
        (None, Some(json)) => match read(negative, json)? {
            list if list.is_empty() => Err(format!("{negative}: is empty")),
            list => Ok(Some(Choice::AllBut(list))),
        },
        (Some(_), Some(_)) => Err(format!("{positive} and {negative} exclude each other")),
    }
}

/// `*`, or service and name with wildcards. Cases are the same.
fn action(text: &str) -> Result<Pattern, String> {
    let is_name = |name: &str, others: &[u8]| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
    };
    let sound = text == "*"
        || text.split_once(':').is_some_and(|(service, name)| {
            (service == "*" || is_name(service, b"-")) && is_name(name, b"*?-")
        });
    if sound {
        Ok(Pattern::written(&text.to_lowercase()))
    } else {
        Err(format!("\"{text}\" is not of the form service:Action, as in \"kms:GenerateMac\""))
    }
}

fn resource(
    text: &str,
    template: impl Fn(&str) -> Result<Template, String>,
) -> Result<Template, String> {
    if text == "*" || text.starts_with("arn:") {
        template(text)
    } else {
        Err(format!("Resource {text} must be in ARN format or \"*\"."))
    }
}

fn principals(
    elements: &mut BTreeMap<String, Json>,
    kind: DocumentKind,
) -> Result<Option<Principals>, String> {
    let found = match (elements.remove("Principal"), elements.remove("NotPrincipal")) {
        (None, None) => None,
        (Some(json), None) => Some(Principals::Only(principal_names("Principal", json)?)),
        (None, Some(json)) => Some(Principals::AllBut(principal_names("NotPrincipal", json)?)),
        (Some(_), Some(_)) => return Err("Principal and NotPrincipal exclude each other".into()),
    };
    match (found, kind) {
        (Some(_), DocumentKind::Identity) => {
            Err("Principal: has no place in a policy of a user or role, who is meant".into())
        }
        (None, DocumentKind::Key | DocumentKind::Trust) => {
            Err("Missing required field Principal".into())
        }
        (found, _) => Ok(found),
    }
}

/// `"*"`, or an object that tells principals by who vouches for them.
fn principal_names(element: &str, json: Json) -> Result<Vec<PrincipalName>, String> {
    let groups = match json {
        Json::String(text) if text == "*" => return Ok(vec![PrincipalName::Everyone]),
        Json::Object(groups) => groups,
        _ => return Err(format!("{element}: is neither \"*\" nor an object")),
    };
    let mut names = Vec::new();
    for (group, json) in groups {
        for json in json.into_list() {
            let Json::String(text) = json else {
                return Err(format!(
                    "{element}.{group}: is neither a string nor a list of strings"
                ));
            };
            let name = match &*group {
                "AWS" => PrincipalName::aws(&text),
                "Service" => text.contains('.').then(|| PrincipalName::Elsewhere(text.clone())),
                "Federated" => (!text.is_empty()).then(|| PrincipalName::Elsewhere(text.clone())),
                _ => None,
            };
            names
                .push(name.ok_or_else(|| invalid_principal(&format!("{element}.{group}"), &text))?);
        }
    }
    if names.is_empty() { Err(format!("{element}: names nobody")) } else { Ok(names) }
}

/// What KMS says of principals that there cannot be, and which one it is.
fn invalid_principal(place: &str, name: &str) -> String {
    format!("Policy contains a statement with one or more invalid principals. {place}: \"{name}\"")
}

/// Every line of a Condition element.
fn conditions(json: Json, kind: DocumentKind, variables: bool) -> Result<Vec<Condition>, String> {
    let Json::Object(operators) = json else {
        return Err("Condition: is not an object".into());
    };
    let mut conditions = Vec::new();
    for (name, json) in operators {
        let Some(operator) = Operator::from_name(&name) else {
            return Err(format!("Condition: there is no operator \"{name}\""));
        };
        let Json::Object(keys) = json else {
            return Err(format!("Condition.{name}: is not an object of keys and values"));
        };
        let mut seen = Vec::new();
        for (key, json) in keys {
            let at = |reason: String| format!("Condition.{name}.{key}: {reason}");
            if !key.contains(':') {
                return Err(at("a condition key has a prefix, as in \"kms:MacAlgorithm\"".into()));
            }
            let folded = key.to_lowercase();
            if seen.contains(&folded) {
                return Err(at("stands twice".into()));
            }
            if kind == DocumentKind::Key
                && operator.is_for_all_values()
                && folded.starts_with("aws:requesttag/")
            {
                return Err(at(
                    "OverlyPermissiveCondition: ForAllValues is true without the tag".into()
                ));
            }
            let values = condition_values(json).map_err(at)?;
            conditions.push(Condition::new(operator, &key, &values, variables).map_err(at)?);
            seen.push(folded);
        }
    }
    Ok(conditions)
}

/// Strings, numbers and booleans, one or a list. A list of none would never be
/// met, or always.
fn condition_values(json: Json) -> Result<Vec<String>, String> {
    let text = |json| match json {
        Json::String(text) | Json::Number(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        _ => Err("a value is a string, a number or a boolean".to_owned()),
    };
    match json.into_list() {
        list if list.is_empty() => Err("has no value".into()),
        list => list.into_iter().map(text).collect(),
    }
}
