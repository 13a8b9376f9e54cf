//! The decision table, `decisions.txt`: what a scene says, asked and compared.

use super::{ACCOUNT, FAR_ACCOUNT, KEY, OTHER_KEY, caller_named};
use crate::policy::{
    Action, Caller, Concern, Context, Decision, Document, DocumentKind, Grant, GrantTerms,
    KeyFacts, NamedPolicy, Request, RoleFacts, default_key_policy,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The names of the table.
fn name(word: &str) -> String {
    let at = |account: &str, rest: &str| format!("arn:aws:iam::{account}:{rest}");
    match word {
        "@root" => at(ACCOUNT, "root"),
        "@anna" => at(ACCOUNT, "user/anna"),
        "@ben" => at(ACCOUNT, "user/ben"),
        "@Producer" => at(ACCOUNT, "role/Producer"),
        "@Consumer" => at(ACCOUNT, "role/Consumer"),
        "@eve" => at(FAR_ACCOUNT, "user/eve"),
        "@eve-root" => at(FAR_ACCOUNT, "root"),
        "@Far" => at(FAR_ACCOUNT, "role/Far"),
        "@key" => KEY.into(),
        "@other-key" => OTHER_KEY.into(),
        "@alias" => format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/jwt"),
        _ => match word.strip_prefix('@').and_then(|session| session.split_once('/')) {
            Some((role, session)) => {
                let account = if role == "Far" { FAR_ACCOUNT } else { ACCOUNT };
                format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
            None => word.into(),
        },
    }
}

/// Everything that one scene sets up.
#[derive(Default)]
struct Scene {
    key: Vec<Value>,
    trust: Vec<Value>,
    own: BTreeMap<String, Vec<Value>>,
    grants: Vec<Grant>,
}

/// Puts an element into a statement; `!` is its negation, `-` leaves it out.
fn put(statement: &mut Map<String, Value>, element: &str, word: &str) {
    let (element, words) = match word.strip_prefix('!') {
        Some(words) => (format!("Not{element}"), words),
        None => (element.to_owned(), word),
    };
    let words: Vec<_> = words.split(',').map(name).collect();
    match words.as_slice() {
        [only] if only == "-" => {}
        [only] if only == "*" => drop(statement.insert(element, json!("*"))),
        _ if element.ends_with("Principal") => {
            statement.insert(element, json!({ "AWS": words }));
        }
        [only] => drop(statement.insert(element, json!(only))),
        _ => drop(statement.insert(element, json!(words))),
    }
}

fn statement(elements: &[&str], line: &str) -> Value {
    let mut statement = Map::new();
    let (words, condition) = match line.split_once(" {") {
        Some((words, condition)) => (words, Some(format!("{{{condition}"))),
        None => (line, None),
    };
    let words: Vec<_> = words.split_whitespace().collect();
    assert_eq!(words.len(), elements.len() + 1, "{line}");
    statement.insert("Effect".into(), json!(words[0]));
    for (element, word) in elements.iter().zip(&words[1..]) {
        put(&mut statement, element, word);
    }
    if let Some(mut condition) = condition {
        for word in ["@Producer", "@Consumer"] {
            condition = condition.replace(word, &name(word));
        }
        statement.insert("Condition".into(), serde_json::from_str(&condition).unwrap());
    }
    Value::Object(statement)
}

fn document(kind: DocumentKind, statements: &[Value]) -> Document {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    Document::parse(kind, &text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Scene {
    fn take(&mut self, line: &str) {
        let (first, rest) = line.split_once(' ').unwrap();
        match first {
            "key" => self.key.push(statement(&["Principal", "Action", "Resource"], rest)),
            "trust" => self.trust.push(statement(&["Principal", "Action"], rest)),
            "grant" => {
                let words: Vec<_> = rest.split_whitespace().collect();
                let operations: Vec<_> = words[1].split(',').collect();
                let retiring = words.get(2).copied().map(name);
                let terms =
                    GrantTerms::new(None, &name(words[0]), retiring.as_deref(), &operations);
                self.grants.push(Grant {
                    id: format!("g{}", self.grants.len() + 1),
                    terms: terms.unwrap(),
                    created: UNIX_EPOCH,
                    issuing_account: ACCOUNT.into(),
                });
            }
            who => {
                let own = self.own.entry(who.into()).or_default();
                own.push(statement(&["Action", "Resource"], rest));
            }
        }
    }

    fn caller(&self, word: &str) -> Caller {
        let mut caller = caller_named(word);
        // A session has the policies of its role.
        let holder = word.split_once('/').map_or(word, |(role, _)| role);
        if let Some(statements) = self.own.get(holder) {
            let document = Arc::new(document(DocumentKind::Identity, statements));
            caller.policies.push(NamedPolicy { name: "own".into(), document });
        }
        caller
    }

    fn ask(&self, question: &str) -> Decision {
        let mut words = question.split_whitespace();
        let caller = self.caller(words.next().unwrap());
        let action = words.next().unwrap();
        let action = Action::from_name(action).unwrap_or_else(|| panic!("{action}"));
        let mut brought: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            brought.entry(key).or_default().push(name(value));
        }
        let alias = brought.remove("on").map(|alias| alias[0].clone());
        let mut context = Context::new(&caller, UNIX_EPOCH);
        brought.into_iter().for_each(|(key, values)| context.set(key, values));

        let policy = match &*self.key {
            [] => Document::parse(DocumentKind::Key, &default_key_policy(ACCOUNT)).unwrap(),
            statements => document(DocumentKind::Key, statements),
        };
        let grants: Vec<_> = self.grants.iter().collect();
        let key = KeyFacts { account: ACCOUNT, arn: KEY, policy: &policy, grants: &grants };
        let request = Request { caller: &caller, action, context: &context };
        match action.concern() {
            Concern::Key if action == Action::RetireGrant => request.to_retire(KEY, grants[0]),
            Concern::Key => request.on_key(&key),
            Concern::Account => request.on_account(),
            Concern::Alias => {
                let alias = format!("arn:aws:kms:us-east-1:{ACCOUNT}:{}", alias.unwrap());
                request.on_alias(&alias, &[key])
            }
            Concern::Role => {
                let trust = document(DocumentKind::Trust, &self.trust);
                let arn = name("@Producer");
                request.on_role(&RoleFacts { account: ACCOUNT, arn: &arn, trust: &trust })
            }
        }
    }
}

#[test]
fn every_decision_is_that_of_the_table() {
    let (mut scene, mut title) = (Scene::default(), "");
    let (mut asked, mut titles) = (0, BTreeSet::new());
    let mut wrong = Vec::new();
    for line in include_str!("decisions.txt").lines() {
        if let Some(next) = line.strip_prefix("== ") {
            (scene, title) = (Scene::default(), next);
            assert!(titles.insert(next), "{next} stands twice");
        } else if let Some(line) = line.strip_prefix("? ") {
            let (question, expected) = line.split_once(" = ").unwrap();
            let decision = scene.ask(question);
            let word = if decision.allowed { "allow" } else { "deny" };
            let answer = format!("{word} {}", decision.because);
            if answer != expected {
                wrong.push(format!("{title}\n  {question}\n  expected {expected}\n  is {answer}"));
            }
            asked += 1;
        } else if !line.is_empty() && !line.starts_with('#') {
            scene.take(line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 150 && titles.len() > 40, "{asked} questions in {} scenes", titles.len());
}
