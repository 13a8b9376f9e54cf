//! `signet role`: roles, and who may take them.

use crate::Failure;
use crate::context::{Context, Login};
use crate::identity::{self, Kind, Named, Owned, PolicyCommand, Tags, read_text, refused, state};
use crate::json;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::token::{Entity, Identity, Name, Role, SESSION_SECONDS};
use signet_pkcs11::types::Home;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a role
    Add {
        #[command(flatten)]
        of: Named,
        /// The file that holds the trust policy, which says who may take the role; - is
        /// standard input
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
    /// List the roles
    List {
        #[command(flatten)]
        place: Owned,
        /// Print JSON, in the words of the IAM API: an object for each
        #[arg(long)]
        json: bool,
    },
    /// Show a role
    Show {
        #[command(flatten)]
        of: Named,
        /// Print JSON, in the words of the IAM API
        #[arg(long)]
        json: bool,
    },
    /// Print who may take a role, or set it anew
    Trust {
        #[command(flatten)]
        of: Named,
        /// The file that holds the new trust policy; - is standard input
        file: Option<PathBuf>,
    },
    /// Say how long a session may last at most that AssumeRole gives
    Session {
        #[command(flatten)]
        of: Named,
        /// In seconds
        #[arg(value_parser = clap::value_parser!(u32).range(
            i64::from(*SESSION_SECONDS.start())..=i64::from(*SESSION_SECONDS.end())
        ))]
        seconds: u32,
    },
    /// What a role may do: IAM policies of the role's own
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Let a role not be taken, and end the logins of those who have
    Disable {
        #[command(flatten)]
        of: Named,
    },
    /// Let a role be taken again
    Enable {
        #[command(flatten)]
        of: Named,
    },
    /// Set or remove a role's tags
    Tag {
        #[command(flatten)]
        of: Named,
        #[command(flatten)]
        tags: Tags,
    },
    /// Remove a role
    Remove {
        #[command(flatten)]
        of: Named,
    },
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { of, trust } => add(&of, &trust),
        Command::List { place, json } => list(&place, json),
        Command::Show { of, json } => show(&of, json),
        Command::Trust { of, file } => trust(&of, file.as_ref()),
        Command::Session { of, seconds } => set_session(&of, seconds),
        Command::Policy(command) => identity::policy(command, Identity::Role, entity),
        Command::Disable { of } => {
            identity::set_disabled(&of.place, &Identity::Role(of.name), true)
        }
        Command::Enable { of } => {
            identity::set_disabled(&of.place, &Identity::Role(of.name), false)
        }
        Command::Tag { of, tags } => identity::set_tags(&of.place, &Identity::Role(of.name), &tags),
        Command::Remove { of } => remove(&of),
    }
}

fn entity(login: &Login<'_>, name: &Name) -> Result<Entity, Failure> {
    let (token, owner) = login.token()?;
    Ok(token.role(owner, name)?.entity)
}

fn add(of: &Named, trust: &Path) -> Result<(), Failure> {
    let context = Context::open()?;
    let text = read_text(trust)?;
    let login = of.place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    let made = token.add_role(owner, &of.name, &text);
    let role = made.map_err(|why| refused(trust, &why))?.entity;
    say!("Role {} made: {}", role.name, token.home().iam_arn(&format!("role/{}", role.name)));
    Ok(())
}

fn list(place: &Owned, json: bool) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = place.log_in(&context, false)?;
    let (token, owner) = login.token()?;
    let roles = token.roles(owner)?;
    if json {
        for role in roles {
            say!("{}", as_json(&role, token.home()));
        }
        return Ok(());
    }
    if roles.is_empty() {
        say!(
            "No roles. `signet role add --token \"{}\" NAME --trust FILE` makes one.",
            place.token
        );
        return Ok(());
    }
    say!("{:<24}  {:<8}  CREATED", "NAME", "STATE");
    for role in roles {
        let entity = role.entity;
        let created = Timestamp(entity.created());
        say!("{:<24}  {:<8}  {created}", entity.name.as_str(), state(entity.is_disabled));
    }
    Ok(())
}

fn show(of: &Named, json: bool) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, false)?;
    let (token, owner) = login.token()?;
    let role = token.role(owner, &of.name)?;
    if json {
        say!("{}", as_json(&role, token.home()));
        return Ok(());
    }
    let arn = token.home().iam_arn(&format!("role/{}", role.entity.name));
    identity::show(&role.entity, &arn)?;
    say!("session:     {} seconds at most", role.session_seconds);
    Ok(())
}

fn as_json(role: &Role, home: Home) -> String {
    let mut members = identity::members(&role.entity, Kind::Role, home);
    members.extend([
        ("MaxSessionDuration", role.session_seconds.to_string()),
        ("AssumeRolePolicyDocument", json::string(&role.trust)),
    ]);
    json::object(members)
}

fn trust(of: &Named, file: Option<&PathBuf>) -> Result<(), Failure> {
    let context = Context::open()?;
    let Some(file) = file else {
        let login = of.place.log_in(&context, false)?;
        let (token, owner) = login.token()?;
        say!("{}", token.role(owner, &of.name)?.trust.trim_end());
        return Ok(());
    };
    let text = read_text(file)?;
    let login = of.place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    let set = token.put_trust_policy(owner, &of.name, &text);
    set.map_err(|why| refused(file, &why))?;
    say!("The trust policy of role {} is set.", of.name);
    Ok(())
}

fn set_session(of: &Named, seconds: u32) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    token.set_role_session(owner, &of.name, seconds)?;
    say!("A session of role {} lasts {seconds} seconds at most.", of.name);
    Ok(())
}

fn remove(of: &Named) -> Result<(), Failure> {
    let context = Context::open()?;
    let login = of.place.log_in(&context, true)?;
    let (token, owner) = login.token()?;
    token.remove_role(owner, &of.name)?;
    say!("Role {} is removed.", of.name);
    Ok(())
}
