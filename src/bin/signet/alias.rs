//! `signet alias`: other names of keys.

use crate::Failure;
use crate::context::{Context, KeyName};
use crate::json;
use crate::key::Place;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::token::Alias;
use signet_pkcs11::types::Home;

/// How many are asked for at a time.
const PAGE: usize = 100;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Give a key another name
    Create {
        #[command(flatten)]
        alias: Named,
        #[command(flatten)]
        key: KeyName,
    },
    /// Give an alias to another key
    Update {
        #[command(flatten)]
        alias: Named,
        #[command(flatten)]
        key: KeyName,
    },
    /// Take an alias away; its key stays
    Delete {
        #[command(flatten)]
        alias: Named,
    },
    /// List the aliases and the unique ids of their keys
    List {
        #[command(flatten)]
        place: Place,
        /// Those of this key only: its label, its unique id or another alias
        #[arg(long, value_name = "LABEL")]
        key: Option<String>,
        /// Print JSON, in the words of the KMS API: an object for each
        #[arg(long)]
        json: bool,
    },
}

/// An alias of a token.
#[derive(clap::Args)]
pub struct Named {
    #[command(flatten)]
    place: Place,
    /// The alias: alias/NAME
    #[arg(value_name = "alias/NAME")]
    alias: String,
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Create { alias: Named { place, alias }, key } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            let id = login.key_id(&key)?;
            token.create_alias(principal, &alias, &id)?;
            say!("{alias} names the key {id}.");
        }
        Command::Update { alias: Named { place, alias }, key } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            let id = login.key_id(&key)?;
            token.update_alias(principal, &alias, &id)?;
            say!("{alias} names the key {id} now.");
        }
        Command::Delete { alias: Named { place, alias } } => {
            let login = place.log_in(&context, true)?;
            let (token, principal) = login.token()?;
            token.delete_alias(principal, &alias)?;
            say!("{alias} is deleted.");
        }
        Command::List { place, key, json } => {
            let login = place.log_in(&context, false)?;
            let (token, principal) = login.token()?;
            let name = key.map(|key| KeyName { key: Some(key), id: None });
            let id = name.map(|name| login.key_id(&name)).transpose()?;
            let (mut after, mut count) = (None, 0);
            loop {
                let page = token.aliases(principal, id.as_deref(), after.as_deref(), PAGE)?;
                for alias in page.0 {
                    count += 1;
                    if json {
                        say!("{}", as_json(&alias, token.home()));
                    } else {
                        let updated = Timestamp(alias.updated());
                        say!("{}  {}  {updated}", alias.key, alias.alias_name);
                    }
                }
                after = page.1;
                if after.is_none() {
                    break;
                }
            }
            if count == 0 && !json {
                say!("No aliases.");
            }
        }
    }
    Ok(())
}

fn as_json(alias: &Alias, home: Home) -> String {
    let time = |time| json::string(&Timestamp(time).to_string());
    json::object([
        ("AliasName", json::string(&alias.alias_name)),
        ("AliasArn", json::string(&home.kms_arn(&alias.alias_name))),
        ("TargetKeyId", json::string(&alias.key)),
        ("CreationDate", time(alias.created())),
        ("LastUpdatedDate", time(alias.updated())),
    ])
}
