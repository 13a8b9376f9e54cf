//! `signet user`: named users beside the token's owner.

use crate::Failure;
use crate::context::{Context, Login, name};
use crate::identity::{self, Kind, Named, Owned, PolicyCommand, Tags, state};
use crate::json;
use crate::pins;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::error::Error;
use signet_pkcs11::policy::Principal;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::token::{AccessKey, Entity, Identity, Name, PinState, Token};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a named user, who logs in by name and PIN
    Add {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        pin: UserPin,
    },
    /// List the named users
    List {
        #[command(flatten)]
        place: Owned,
        /// Print JSON, in the words of the IAM API: an object for each
        #[arg(long)]
        json: bool,
    },
    /// Show a user
    Show {
        #[command(flatten)]
        of: Named,
        /// Print JSON, in the words of the IAM API
        #[arg(long)]
        json: bool,
    },
    /// What a user may do: IAM policies of the user's own
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Set a user's PIN anew, and unlock it
    Pin {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        pin: UserPin,
    },
    /// Keys that requests of the KMS API are signed with
    #[command(subcommand)]
    AccessKey(AccessKeyCommand),
    /// Let a user log in no more, and end what logins there are
    Disable {
        #[command(flatten)]
        of: Named,
    },
    /// Let a user log in again
    Enable {
        #[command(flatten)]
        of: Named,
    },
    /// Set or remove a user's tags
    Tag {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        tags: Tags,
    },
    /// Remove a user with PIN and access keys, and seal the token under a new root key
    Remove {
        #[command(flatten)]
        of: Named,
    },
}

/// The PIN that the owner sets.
#[derive(clap::Args)]
pub struct UserPin {
    /// Read the named user's PIN from this file (its first line)
    #[arg(long, value_name = "FILE")]
    user_pin_file: Option<PathBuf>,
}

impl UserPin {
    fn obtain(&self, of: &Named) -> Result<Pin, Failure> {
        pins::new_named_user(self.user_pin_file.as_ref(), &of.name, &of.place.token)
    }
}

#[derive(clap::Subcommand)]
pub enum AccessKeyCommand {
    /// Make an access key and print its secret, this once
    Create {
        #[command(flatten)]
        whose: Whose,
    },
    /// List access keys
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Let an access key not be used
    Disable {
        #[command(flatten)]
        key: Key,
    },
    /// Let an access key be used again
    Enable {
        #[command(flatten)]
        key: Key,
    },
    /// Remove an access key
    Delete {
        #[command(flatten)]
        key: Key,
    },
}

/// Whose access keys, in which token.
#[derive(clap::Args)]
pub struct Whose {
    #[command(flatten)]
    place: Owned,
    #[command(flatten)]
    bearer: Bearer,
}

/// Whose they are.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Bearer {
    /// The user's name
    #[arg(value_parser = name)]
    name: Option<Name>,
    /// Of the token's owner, who is the account's root
    #[arg(long)]
    owner: bool,
}

/// Which access key.
#[derive(clap::Args)]
pub struct Key {
    #[command(flatten)]
    place: Owned,
    /// The access key's id
    id: String,
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { of, pin } => add(&of, &pin),
        Command::List { place, json } => list(&place, json),
        Command::Show { of, json } => show(&of, json),
        Command::Policy(command) => identity::policy(command, Identity::User, entity),
        Command::Pin { of, pin } => set_pin(&of, &pin),
        Command::AccessKey(command) => access_key(command),
        Command::Disable { of } => {
            identity::set_disabled(&of.place, &Identity::User(of.name), true)
        }
        Command::Enable { of } => {
            identity::set_disabled(&of.place, &Identity::User(of.name), false)
        }
        Command::Tag { of, tags } => identity::set_tags(&of.place, &Identity::User(of.name), &tags),
        Command::Remove { of } => remove(&of),
    }
}

fn entity(login: &Login<'_>, name: &Name) -> Result<Entity, Failure> {
    let (token, owner) = login.token()?;
    Ok(token.user(owner, name)?.entity)
}

fn add(of: &Named, pin: &UserPin) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, true)?;
    let pin = pin.obtain(of)?;
    let (token, owner) = login.token()?;
    let user = token.add_user(owner, &of.name, &pin)?.entity;
    say!("User {} made: {}", user.name, token.home().iam_arn(&format!("user/{}", user.name)));
    Ok(())
}

fn list(place: &Owned, json: bool) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = place.log_in(&context, false)?;
    let (token, owner) = login.token()?;
    let users = token.users(owner)?;
    if json {
        for user in users {
            say!("{}", as_json(&token, owner, &user.entity)?);
        }
        return Ok(());
    }
    if users.is_empty() {
        say!("No named users. `signet user add --token \"{}\" NAME` makes one.", place.token);
        return Ok(());
    }
    say!("{:<24}  {:<8}  {:<24}  PIN", "NAME", "STATE", "CREATED");
    for user in users {
        let entity = user.entity;
        let pin = pin_state(token.user_pin(owner, &entity.name)?);
        let created = Timestamp(entity.created()).to_string();
        say!("{:<24}  {:<8}  {created}  {pin}", entity.name.as_str(), state(entity.is_disabled));
    }
    Ok(())
}

fn pin_state(pin: PinState) -> String {
    match pin {
        PinState { initialized: false, .. } => "not set".into(),
        _ if pin.is_locked() => "locked".into(),
        PinState { failures: 0, .. } => "set".into(),
        _ => format!("set; {} of {} attempts left", pin.attempts_left(), pin.limit),
    }
}

fn show(of: &Named, json: bool) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, false)?;
    let (token, owner) = login.token()?;
    let user = token.user(owner, &of.name)?.entity;
    if json {
        say!("{}", as_json(&token, owner, &user)?);
        return Ok(());
    }
    identity::show(&user, &token.home().iam_arn(&format!("user/{}", user.name)))?;
    say!("PIN:         {}", pin_state(token.user_pin(owner, &of.name)?));
    for key in token.access_keys(owner, Some(&of.name))? {
        say!("access key:  {}", line(&key));
    }
    Ok(())
}

fn as_json(token: &Token, owner: Principal, user: &Entity) -> Result<String, Failure> {
    let pin = token.user_pin(owner, &user.name)?;
    let keys = token.access_keys(owner, Some(&user.name))?;
    let keys = keys.iter().map(|key| {
        json::object([
            ("AccessKeyId", json::string(&key.id)),
            ("Status", json::string(if key.is_active { "Active" } else { "Inactive" })),
            ("CreateDate", json::string(&Timestamp(key.created()).to_string())),
        ])
    });
    let mut members = identity::members(user, Kind::User, token.home());
    members.extend([
        ("PinAttemptsLeft", pin.attempts_left().to_string()),
        ("AccessKeys", json::list(keys)),
    ]);
    Ok(json::object(members))
}

fn set_pin(of: &Named, pin: &UserPin) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, true)?;
    let pin = pin.obtain(of)?;
    let (token, owner) = login.token()?;
    token.set_user_pin(owner, &of.name, &pin)?;
    say!("The PIN of user {} is set.", of.name);
    Ok(())
}

fn remove(of: &Named) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    token.remove_user(owner, &of.name).map_err(|error| match error {
        outdated @ Error::CredentialOutdated(_) => {
            format!("{outdated}; `signet token rotate-root-key` asks for it").into()
        }
        other => Failure::from(other),
    })?;
    say!("User {} is removed, and the root key of \"{}\" is a new one.", of.name, of.place.token);
    Ok(())
}

fn access_key(command: AccessKeyCommand) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        AccessKeyCommand::Create { whose } => {
            let login = whose.place.log_in(&context, true)?;
            let (token, owner) = login.token()?;
            let created = token.create_access_key(owner, whose.bearer.name.as_ref());
            print_once(&created.map_err(|why| match why {
                Error::LimitExceeded(_) => {
                    format!("{why}; `signet user access-key delete` makes room").into()
                }
                _ => Failure::from(why),
            })?)
        }
        AccessKeyCommand::List { whose } => {
            let login = whose.place.log_in(&context, false)?;
            let (token, owner) = login.token()?;
            let keys = token.access_keys(owner, whose.bearer.name.as_ref())?;
            if keys.is_empty() {
                say!("No access keys.");
            }
            for key in keys {
                say!("{}", line(&key));
            }
            Ok(())
        }
        AccessKeyCommand::Disable { key } => set_active(&context, &key, false),
        AccessKeyCommand::Enable { key } => set_active(&context, &key, true),
        AccessKeyCommand::Delete { key: Key { place, id } } => {
            let login = place.log_in(&context, true)?;
            let (token, owner) = login.token()?;
            token.delete_access_key(owner, &id)?;
            say!("Access key {id} is removed.");
            Ok(())
        }
    }
}

fn set_active(context: &Context, key: &Key, is_active: bool) -> Result<(), Failure> {
    let login = key.place.log_in(context, true)?;
    let (token, owner) = login.token()?;
    token.set_access_key_active(owner, &key.id, is_active)?;
    say!("Access key {} is {} now.", key.id, state(!is_active));
    Ok(())
}

fn line(key: &AccessKey) -> String {
    format!("{}  {}  {}", key.id, state(!key.is_active), Timestamp(key.created()))
}

/// Prints an access key with its secret, past the buffer of standard output, which
/// nobody wipes.
fn print_once(key: &AccessKey) -> Result<(), Failure> {
    say!("access key id:      {}", key.id);
    let failed = |error: std::io::Error| format!("standard output: {error}");
    let output = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let mut output = output.map_err(failed)?;
    output
        .write_all(b"secret access key:  ")
        .and_then(|()| output.write_all(key.secret().expose()))
        .and_then(|()| output.write_all(b"\n"))
        .map_err(failed)?;
    // Beside the answer, which a script takes as it is.
    eprintln!("Keep the secret: it is not shown again.");
    Ok(())
}
