//! `signet grant`: what single principals may do with a key besides its policy.

use crate::Failure;
use crate::context::{Context, KeyName, Login};
use crate::json;
use crate::key::Place;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::error::Error;
use signet_pkcs11::policy::{Grant, GrantTerms};
use signet_pkcs11::token::GrantFilter;

/// How many are asked for at a time.
const PAGE: usize = 100;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Let a principal do something with a key
    Create {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        key: KeyName,
        /// Who: root, user/NAME, role/NAME, a user's bare name, or an ARN
        #[arg(long, value_name = "PRINCIPAL")]
        grantee: String,
        /// What: GenerateMac, VerifyMac, DescribeKey, CreateGrant, RetireGrant
        #[arg(long = "operation", value_name = "OPERATION", required = true)]
        operations: Vec<String>,
        /// Who else may retire it
        #[arg(long, value_name = "PRINCIPAL")]
        retiring: Option<String>,
        /// A name: the same grant is then not made twice
        #[arg(long)]
        name: Option<String>,
        /// Print JSON, in the words of the KMS API
        #[arg(long)]
        json: bool,
    },
    /// List grants
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        those: Those,
        /// To this principal only
        #[arg(long, value_name = "PRINCIPAL", requires = "key")]
        grantee: Option<String>,
        /// Print JSON, in the words of the KMS API: an object for each
        #[arg(long)]
        json: bool,
    },
    /// Give a grant back, as its retiring principal, its grantee or the account
    Retire {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
    },
    /// Take a grant back, as who administers the key
    Revoke {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        key: KeyName,
        /// The grant's id
        #[arg(long, value_name = "ID")]
        grant: String,
    },
}

/// Which grants are listed.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Those {
    /// Those on this key: its label, its unique id or an alias
    #[arg(long, value_name = "LABEL")]
    key: Option<String>,
    /// Those on all keys that this principal may retire
    #[arg(long, value_name = "PRINCIPAL")]
    retiring: Option<String>,
}

/// A grant by its token, or by its key and its id.
#[derive(clap::Args)]
pub struct Which {
    #[command(flatten)]
    by: By,
    /// The grant's id
    #[arg(long, value_name = "ID", requires = "key", required_unless_present = "grant_token")]
    grant: Option<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct By {
    /// A token that CreateGrant gave out
    #[arg(long, value_name = "TOKEN")]
    grant_token: Option<String>,
    /// The key: its label, its unique id or an alias; and --grant
    #[arg(long, value_name = "LABEL")]
    key: Option<String>,
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Create { place, key, grantee, operations, retiring, name, json } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            let id = login.key_id(&key)?;
            let retiring = retiring.map(|retiring| arn(&login, &retiring)).transpose()?;
            // As it is called, or as policies call it.
            let bare = |operation: &'_ String| operation.trim_start_matches("kms:").to_owned();
            let operations: Vec<_> = operations.iter().map(bare).collect();
            let operations: Vec<_> = operations.iter().map(String::as_str).collect();
            let grantee = arn(&login, &grantee)?;
            let terms =
                GrantTerms::new(name.as_deref(), &grantee, retiring.as_deref(), &operations);
            let made = terms.and_then(|terms| token.create_grant(principal, &id, &terms));
            let made = made.map_err(|why| match why {
                Error::InvalidArn(_) => {
                    format!("{why}; `signet user list` and `signet role list` show who is there")
                        .into()
                }
                _ => Failure::from(why),
            })?;
            if json {
                let (id, token) = (json::string(&made.id), json::string(&made.token));
                say!("{}", json::object([("GrantId", id), ("GrantToken", token)]));
            } else {
                say!("grant:  {}", made.id);
                say!("token:  {}", made.token);
            }
        }
        Command::List { place, those: Those { key, retiring }, grantee, json } => {
            let login = place.log_in(&context, false)?;
            let tell = if json { tell_program } else { tell_person };
            let mut count = 0;
            let mut each = |key: &str, grant: &Grant| {
                count += 1;
                tell(key, grant)
            };
            match (key, retiring) {
                (Some(key), _) => list(&login, key, grantee.as_deref(), &mut each)?,
                (None, Some(retiring)) => list_retirable(&login, &retiring, &mut each)?,
                (None, None) => {}
            }
            if count == 0 && !json {
                say!("No grants.");
            }
        }
        Command::Retire { place, which: Which { by: By { grant_token, key }, grant } } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            let (key, grant) = match (grant_token, key, grant) {
                (Some(text), ..) => {
                    let found = token.grant_of_token(principal, &text)?;
                    (found.key, found.grant.id)
                }
                (None, Some(key), Some(grant)) => (key_id(&login, key)?, grant),
                _ => return Err("a grant token, or a key and a grant's id are needed".into()),
            };
            token.retire_grant(principal, &key, &grant)?;
            say!("The grant {grant} is retired.");
        }
        Command::Revoke { place, key, grant } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            let id = login.key_id(&key)?;
            token.revoke_grant(principal, &id, &grant)?;
            say!("The grant {grant} is revoked.");
        }
    }
    Ok(())
}

fn key_id(login: &Login<'_>, key: String) -> Result<String, Failure> {
    login.key_id(&KeyName { key: Some(key), id: None })
}

/// The ARN of a principal that may be named more shortly.
fn arn(login: &Login<'_>, principal: &str) -> Result<String, Failure> {
    if principal.starts_with("arn:") {
        return Ok(principal.to_owned());
    }
    let home = login.token()?.0.home();
    let is_whole = principal == "root" || principal.contains('/');
    Ok(home.iam_arn(&if is_whole { principal.into() } else { format!("user/{principal}") }))
}

/// What is done with each grant, and its key's unique id.
type Each<'a> = &'a mut dyn FnMut(&str, &Grant) -> Result<(), Failure>;

fn list(
    login: &Login<'_>,
    key: String,
    grantee: Option<&str>,
    each: Each<'_>,
) -> Result<(), Failure> {
    let (token, principal) = login.token()?;
    let id = key_id(login, key)?;
    let grantee = grantee.map(|grantee| arn(login, grantee)).transpose()?;
    let filter = GrantFilter { id: None, grantee: grantee.as_deref() };
    let mut after = None;
    loop {
        let (page, next) = token.grants(principal, &id, filter, after.as_deref(), PAGE)?;
        page.iter().try_for_each(|grant| each(&id, grant))?;
        after = next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn list_retirable(login: &Login<'_>, retiring: &str, each: Each<'_>) -> Result<(), Failure> {
    let (token, principal) = login.token()?;
    let (retiring, mut after) = (arn(login, retiring)?, None);
    loop {
        let (page, next) = token.retirable_grants(principal, &retiring, after.as_deref(), PAGE)?;
        page.iter().try_for_each(|found| each(&found.key, &found.grant))?;
        after = next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// One line about a grant.
fn tell_person(key: &str, grant: &Grant) -> Result<(), Failure> {
    let Grant { id, terms, created, .. } = grant;
    let operations: Vec<_> = terms.operations.iter().map(|operation| operation.name()).collect();
    let retiring = terms.retiring.as_deref().unwrap_or("-");
    let name = terms.name.as_deref().unwrap_or("-");
    say!(
        "{id}  key {key}  to {}  {}  retired by {retiring}  name {name}  {}",
        terms.grantee,
        operations.join("+"),
        Timestamp(*created)
    );
    Ok(())
}

/// The same as JSON.
fn tell_program(key: &str, grant: &Grant) -> Result<(), Failure> {
    let Grant { id, terms, created, .. } = grant;
    let operations = terms.operations.iter().map(|operation| json::string(operation.name()));
    let mut members = vec![
        ("GrantId", json::string(id)),
        ("KeyId", json::string(key)),
        ("GranteePrincipal", json::string(&terms.grantee)),
        ("Operations", json::list(operations)),
        ("CreationDate", json::string(&Timestamp(*created).to_string())),
    ];
    let optional = [("RetiringPrincipal", &terms.retiring), ("Name", &terms.name)];
    for (name, value) in optional {
        members.extend(value.as_ref().map(|value| (name, json::string(value))));
    }
    say!("{}", json::object(members));
    Ok(())
}
