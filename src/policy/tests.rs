//! Tests of the policy language as a whole; those of its parts stand beside them.

mod conditions;
mod decisions;
mod documents;
mod holds;
mod properties;

use super::Caller;

const ACCOUNT: &str = "111122223333";
const FAR_ACCOUNT: &str = "999988887777";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/0d990263-018e-4e65-a703-eff731de951e";
const OTHER_KEY: &str =
    "arn:aws:kms:us-east-1:111122223333:key/9e1d8a44-5b1f-4e3b-9a3c-000000000000";

/// The callers of the tables, without policies: `@root`, `@anna`, `@Producer/web`.
fn caller_named(word: &str) -> Caller {
    let name = word.strip_prefix('@').unwrap();
    let unique = |prefix: &str, name: &str| format!("{prefix}{:0<15}1", name.to_uppercase());
    match (name, name.split_once('/')) {
        ("root", _) => Caller::root(ACCOUNT),
        ("eve-root", _) => Caller::root(FAR_ACCOUNT),
        (_, Some((role, session))) => {
            let account = if role == "Far" { FAR_ACCOUNT } else { ACCOUNT };
            Caller::assumed_role(account, role, session, &unique("AROA", role))
        }
        (user, None) => {
            let account = if user == "eve" { FAR_ACCOUNT } else { ACCOUNT };
            let mut caller = Caller::user(account, user, &unique("AIDA", user));
            caller.tags = vec![("team".into(), "payments".into())];
            caller
        }
    }
}
