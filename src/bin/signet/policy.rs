//! `signet policy`: what policies say, before anybody relies on it.

use crate::context::{Bytes, Context, KeyName, Login, name};
use crate::identity::{read_text, refused};
use crate::json;
use crate::pins::PinFile;
use crate::uri::{KeyUri, is_uri};
use crate::{Failure, Misused};
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::policy::{Action, Concern, Document, DocumentKind, Until};
use signet_pkcs11::token::{Explanation, Name, Question, Who};
use signet_pkcs11::types::Home;
use std::fmt;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Say whether somebody may do something, and which statement decides; status 0 if
    /// so, 5 if not
    Check(Check),
    /// Say whether a policy document can be used, without a token
    Validate {
        /// Whose policy it is
        #[arg(long = "type", value_enum, default_value_t = Kind::Key)]
        kind: Kind,
        /// The file that holds the document; - is standard input
        file: PathBuf,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// A key's
    Key,
    /// A user's or a role's
    Identity,
    /// Who may take a role
    Trust,
}

#[derive(clap::Args)]
pub struct Check {
    /// The token's label; a pkcs11: URI may name it instead
    #[arg(long, value_name = "LABEL")]
    token: Option<String>,
    #[command(flatten)]
    pin: PinFile,
    /// Who: root, user/NAME, role/NAME, a user's bare name, or an ARN
    #[arg(long, value_name = "PRINCIPAL")]
    principal: String,
    /// What: kms:GenerateMac, signet:CopyKey …
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Action,
    /// On which key: its label, unique id, ARN, alias/NAME, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// And on which alias: for kms:CreateAlias, kms:UpdateAlias and kms:DeleteAlias
    #[arg(long, value_name = "alias/NAME")]
    alias: Option<String>,
    /// What the request brings along; several values are several of these
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The answer was no.
#[derive(Debug)]
pub struct Denied;

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not allowed")
    }
}

impl std::error::Error for Denied {}

fn action(text: &str) -> Result<Action, String> {
    Action::from_name(text).ok_or_else(|| {
        "no such action; they are called like the KMS API's, kms:GenerateMac, or signet:CopyKey"
            .into()
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("KEY=VALUE is expected")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(check) => run_check(&check),
        Command::Validate { kind, file } => {
            let kind = match kind {
                Kind::Key => DocumentKind::Key,
                Kind::Identity => DocumentKind::Identity,
                Kind::Trust => DocumentKind::Trust,
            };
            let parsed = Document::parse(kind, &read_text(&file)?);
            parsed.map_err(|why| refused(&file, &why))?;
            say!("The policy can be used.");
            Ok(())
        }
    }
}

fn run_check(check: &Check) -> Result<(), Failure> {
    let uri = check.key.as_deref().filter(|key| is_uri(key)).map(KeyUri::parse).transpose();
    let uri = uri.map_err(Misused)?.unwrap_or_default();
    let label = match (&check.token, &uri.token) {
        (Some(given), Some(named)) if given != named => {
            return misused(format!("--token says \"{given}\", the URI \"{named}\""));
        }
        (Some(label), _) | (None, Some(label)) => label,
        (None, None) => return misused("--token, or a URI that names the token, is missing"),
    };
    let alias = check.subject()?;
    let context = Context::open()?;
    let login = context.log_in(label, false, &check.pin)?;
    let (token, owner) = login.token()?;
    // Before a key is looked for that somebody else may not see.
    if login.is_named()? {
        return Err("not allowed: only the token's owner may do this".into());
    }
    let who = who(&check.principal, token.home())?;
    let key = check.key.as_ref().map(|key| key_id(&login, key, uri, token.home())).transpose()?;
    let object = key.map(|key| token.key(owner, &key)).transpose()?;
    let mut given: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, value) in &check.context {
        match given.iter_mut().find(|(known, _)| known == key) {
            Some((_, values)) => values.push(value),
            None => given.push((key, vec![value])),
        }
    }
    let circumstances: Vec<_> = given.iter().map(|(key, values)| (*key, &**values)).collect();
    let object = object.as_ref().map(|live| live.object());
    let (who, circumstances) = (&who, &*circumstances);
    let asked = Question { who, action: check.action, object, alias, circumstances };
    let explanation = token.explain(owner, asked)?;
    if check.json {
        say!("{}", as_json(check.action, &explanation));
    } else {
        print(check.action, &explanation)?;
    }
    if explanation.is_allowed() { Ok(()) } else { Err(Box::new(Denied)) }
}

fn misused<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Misused(why.into()).into())
}

impl Check {
    /// Whether key and alias go with the action; the alias.
    fn subject(&self) -> Result<Option<&str>, Failure> {
        let Self { action, key, alias, .. } = self;
        let by_alias = key.as_deref().filter(|key| key.starts_with("alias/"));
        match (action.concern(), key, alias.as_deref()) {
            (Concern::Role, ..) => misused(
                "whether a user may take a role is asked at a login; `signet role trust` prints \
                 whom it lets",
            ),
            (Concern::Account, Some(_), _) => {
                misused(format!("{action} is done to no key: leave --key out"))
            }
            (Concern::Key | Concern::Alias, None, _) => {
                misused(format!("{action} is done to a key: name it with --key"))
            }
            (Concern::Alias, Some(_), None) if by_alias.is_none() => {
                misused(format!("{action} is done to an alias too: name it with --alias"))
            }
            (Concern::Alias, Some(_), alias) => Ok(alias.or(by_alias)),
            (_, _, Some(_)) => misused(format!("{action} is done to no alias: leave --alias out")),
            (_, _, None) => Ok(None),
        }
    }
}

/// Whom a text names.
fn who(text: &str, home: Home) -> Result<Who, Failure> {
    let given = |text: &str| name(text).map_err(|why| format!("{text}: {why}"));
    let here = text.strip_prefix(&home.iam_arn(""));
    let session = text.strip_prefix(&home.session_arn("", "").trim_end_matches('/').to_owned());
    if let Some(rest) = session {
        let (role, session) = rest.trim_start_matches('/').split_once('/').unwrap_or((rest, ""));
        return Ok(Who::Role(given(role)?, given(session)?));
    }
    let is_foreign = text.starts_with("arn:") && here.is_none();
    if is_foreign {
        return Err(format!("{text} is nobody of this token's account").into());
    }
    let text = here.unwrap_or(text);
    Ok(match text.split_once('/') {
        None if text == "root" => Who::Root,
        None => Who::User(given(text)?),
        Some(("user", user)) => Who::User(given(user)?),
        Some(("role", role)) => Who::Role(given(role)?, Name::new("session").ok_or("no name")?),
        Some(_) => return Err(format!("{text}: root, user/NAME or role/NAME is expected").into()),
    })
}

/// The unique id of the key that a text names.
fn key_id(login: &Login<'_>, text: &str, uri: KeyUri, home: Home) -> Result<String, Failure> {
    if let Some(id) = text.strip_prefix(&home.kms_arn("key/")) {
        return Ok(id.to_owned());
    }
    if !is_uri(text) {
        return login.key_id(&KeyName { key: Some(text.to_owned()), id: None });
    }
    if uri.object.is_none() && uri.id.is_none() {
        return Err("the URI names no key: object or id is missing".into());
    }
    login.key_id(&KeyName { key: uri.object, id: uri.id.map(Bytes) })
}

fn until(explanation: &Explanation) -> Option<String> {
    match explanation.decision.holds {
        Until::Instant(instant) => Some(Timestamp(instant).to_string()),
        Until::Changed | Until::ThisCall => None,
    }
}

fn print(action: Action, explanation: &Explanation) -> Result<(), Failure> {
    let Explanation { decision, caller, resource, reserved, disabled, state } = explanation;
    let answer = if explanation.is_allowed() { "Allowed" } else { "Denied" };
    say!("{answer}: {caller} {action} on {resource}");
    say!("  {}.", decision.because);
    if let Some(until) = until(explanation) {
        say!("  That holds until {until}.");
    }
    let but = if decision.allowed { "But " } else { "Besides, " };
    if let Some(why) = reserved {
        say!("  {but}{why}.");
    }
    for obstacle in [disabled, state].into_iter().flatten() {
        say!("  {but}{obstacle}.");
    }
    Ok(())
}

fn as_json(action: Action, explanation: &Explanation) -> String {
    let Explanation { decision, caller, resource, reserved, disabled, state } = explanation;
    let text = |text: &dyn fmt::Display| json::string(&text.to_string());
    let mut members = vec![
        ("allowed", explanation.is_allowed().to_string()),
        ("principal", json::string(caller)),
        ("action", text(&action)),
        ("resource", json::string(resource)),
        ("policiesAllow", decision.allowed.to_string()),
        ("because", text(&decision.because)),
    ];
    members.extend(until(explanation).map(|until| ("holdsUntil", json::string(&until))));
    members.extend(reserved.map(|why| ("reserved", json::string(why))));
    members.extend(disabled.as_ref().map(|why| ("disabled", text(why))));
    members.extend(state.as_ref().map(|why| ("keyState", text(why))));
    json::object(members)
}
