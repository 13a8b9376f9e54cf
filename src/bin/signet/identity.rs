//! What `signet user` and `signet role` have in common: policies, tags, and switching
//! off and on.

use crate::Failure;
use crate::context::{Context, Login, name};
use crate::json;
use crate::pins::PinFile;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::token::{Entity, Identity, Name};
use signet_pkcs11::types::Home;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest policy file that is read, in bytes.
const POLICY_FILE_MAX: u64 = 1 << 20;

/// Which token, and how its owner logs in.
#[derive(clap::Args)]
pub struct Owned {
    /// The token's label
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pin: PinFile,
}

impl Owned {
    /// A session in which the token's owner is logged in.
    pub fn log_in<'c>(&self, context: &'c Context, read_write: bool) -> Result<Login<'c>, Failure> {
        context.log_in(&self.token, read_write, &self.pin)
    }
}

/// A user's or a role's name and the token.
#[derive(clap::Args)]
pub struct Named {
    #[command(flatten)]
    pub place: Owned,
    /// The name; two that differ in case only are the same
    #[arg(value_parser = name)]
    pub name: Name,
}

#[derive(clap::Subcommand)]
pub enum PolicyCommand {
    /// Set an inline policy, or replace it
    Put {
        #[command(flatten)]
        of: Named,
        /// What the policy is called
        policy: String,
        /// The file that holds the document; - is standard input
        file: PathBuf,
    },
    /// Print a policy as it was set
    Get {
        #[command(flatten)]
        of: Named,
        /// What the policy is called
        policy: String,
    },
    /// Remove a policy
    Delete {
        #[command(flatten)]
        of: Named,
        /// What the policy is called
        policy: String,
    },
    /// List the policies
    List {
        #[command(flatten)]
        of: Named,
    },
}

/// What an entity is.
#[derive(Clone, Copy)]
pub enum Kind {
    User,
    Role,
}

/// Tags to be set and removed.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub struct Tags {
    /// Tags to be set: KEY=VALUE
    #[arg(value_name = "KEY=VALUE", value_parser = tag)]
    set: Vec<(String, String)>,
    /// A tag to be removed
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
}

/// A tag of the command line.
pub fn tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "a tag is KEY=VALUE".into())
}

/// Does what is asked to the policies of `identity`, whose entity `look_up` finds.
pub fn policy(
    command: PolicyCommand,
    identity: fn(Name) -> Identity,
    look_up: fn(&Login<'_>, &Name) -> Result<Entity, Failure>,
) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        PolicyCommand::Put { of, policy, file } => {
            let text = read_text(&file)?;
            let login = of.place.log_in(&context, true)?;
            let (token, owner) = login.token()?;
            let identity = identity(of.name);
            token
                .put_identity_policy(owner, &identity, &policy, &text)
                .map_err(|why| refused(&file, &why))?;
            say!("Policy {policy} of {identity} is set.");
        }
        PolicyCommand::Get { of, policy } => {
            let login = of.place.log_in(&context, false)?;
            let entity = look_up(&login, &of.name)?;
            let text = entity.policies.get(&policy);
            let identity = identity(of.name);
            let missing = || format!("there is no policy {} of {identity}", Escaped(&policy));
            say!("{}", text.ok_or_else(missing)?.trim_end());
        }
        PolicyCommand::Delete { of, policy } => {
            let login = of.place.log_in(&context, true)?;
            let (token, owner) = login.token()?;
            let identity = identity(of.name);
            token.delete_identity_policy(owner, &identity, &policy)?;
            say!("Policy {policy} of {identity} is removed.");
        }
        PolicyCommand::List { of } => {
            let login = of.place.log_in(&context, false)?;
            let policies = look_up(&login, &of.name)?.policies;
            if policies.is_empty() {
                say!("No policies of {}.", identity(of.name));
            }
            for name in policies.keys() {
                say!("{name}");
            }
        }
    }
    Ok(())
}

/// Sets and removes tags.
pub fn set_tags(place: &Owned, identity: &Identity, tags: &Tags) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    for (key, value) in &tags.set {
        token.tag_identity(owner, identity, key, value)?;
    }
    for key in &tags.remove {
        token.untag_identity(owner, identity, key)?;
    }
    say!("The tags of {identity} are set.");
    Ok(())
}

/// Switches a user or a role off or on.
pub fn set_disabled(place: &Owned, identity: &Identity, disabled: bool) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    token.set_identity_disabled(owner, identity, disabled)?;
    say!("The {identity} is {} now.", state(disabled));
    Ok(())
}

/// What the state is called.
pub const fn state(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "enabled" }
}

/// Shows what users and roles have in common.
pub fn show(entity: &Entity, arn: &str) -> Result<(), Failure> {
    say!("name:        {}", entity.name);
    say!("ARN:         {arn}");
    say!("unique id:   {}", entity.unique_id);
    say!("created:     {}", Timestamp(entity.created()));
    say!("state:       {}", state(entity.is_disabled));
    for (key, value) in &entity.tags {
        say!("tag:         {}={}", Escaped(key), Escaped(value));
    }
    for policy in entity.policies.keys() {
        say!("policy:      {policy}");
    }
    Ok(())
}

/// The same as JSON, in the words of the IAM API.
pub fn members(entity: &Entity, kind: Kind, home: Home) -> Vec<(&'static str, String)> {
    let (name, id, path) = match kind {
        Kind::User => ("UserName", "UserId", "user"),
        Kind::Role => ("RoleName", "RoleId", "role"),
    };
    let tags = entity.tags.iter().map(|(key, value)| {
        json::object([("Key", json::string(key)), ("Value", json::string(value))])
    });
    let policies = entity.policies.keys().map(|policy| json::string(policy));
    vec![
        (name, json::string(entity.name.as_str())),
        (id, json::string(&entity.unique_id)),
        ("Arn", json::string(&home.iam_arn(&format!("{path}/{}", entity.name)))),
        ("CreateDate", json::string(&Timestamp(entity.created()).to_string())),
        ("Disabled", entity.is_disabled.to_string()),
        ("Tags", json::list(tags)),
        ("PolicyNames", json::list(policies)),
    ]
}

/// Why the document of a file was refused; what has nothing to do with it, as it is.
pub fn refused(file: &Path, why: &Error) -> Failure {
    match why {
        Error::MalformedPolicy(_) | Error::LimitExceeded(_) => {
            format!("{}: {why}", file.display()).into()
        }
        _ => why.to_string().into(),
    }
}

/// A policy document from a file or from standard input.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    input.take(POLICY_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
