//! `signet key enable, schedule-deletion, policy, tag, describe …`: the life of keys that
//! are there.

use crate::Failure;
use crate::context::{Context, KeyName, to_hex};
use crate::identity::{read_text, refused, tag};
use crate::json;
use crate::key::{Place, type_name};
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::object::{DELETION_WINDOW, DELETION_WINDOW_DEFAULT, KeySpec, Object, Origin};
use signet_pkcs11::policy::Principal;
use signet_pkcs11::token::{LiveObject, Token};
use signet_pkcs11::types::{AttributeType, Ulong};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Let a key be used again
    Enable {
        #[command(flatten)]
        key: Key,
    },
    /// Keep a key from being used, by every program from its next operation on
    Disable {
        #[command(flatten)]
        key: Key,
    },
    /// Have a key destroyed after a waiting period, in which it cannot be used
    ScheduleDeletion {
        #[command(flatten)]
        key: Key,
        /// The waiting period, 7 to 30 days
        #[arg(
            long,
            default_value_t = DELETION_WINDOW_DEFAULT,
            value_parser = clap::value_parser!(u8).range(
                i64::from(*DELETION_WINDOW.start())..=i64::from(*DELETION_WINDOW.end())
            )
        )]
        days: u8,
    },
    /// Keep a key that waits to be destroyed; it is disabled then
    CancelDeletion {
        #[command(flatten)]
        key: Key,
    },
    /// Who may do what with a key: its policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Say what a key is for
    SetDescription {
        #[command(flatten)]
        key: Key,
        /// At most 8,192 characters; none removes what was there
        text: String,
    },
    /// Set tags of a key
    Tag {
        #[command(flatten)]
        key: Key,
        /// The tags
        #[arg(value_name = "KEY=VALUE", value_parser = tag, required = true)]
        tags: Vec<(String, String)>,
    },
    /// Remove tags of a key
    Untag {
        #[command(flatten)]
        key: Key,
        /// The keys of the tags
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// Tell everything about a key but its value
    Describe {
        #[command(flatten)]
        key: Key,
        /// As JSON, in the words of the KMS API
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Subcommand)]
pub enum PolicyCommand {
    /// Print the policy, or the default one
    Get {
        #[command(flatten)]
        key: Key,
    },
    /// Replace the policy
    Put {
        #[command(flatten)]
        key: Key,
        /// The file that holds the document; - is standard input
        file: PathBuf,
        /// Take the policy even if it does not let you replace it again
        #[arg(long)]
        bypass_lockout_check: bool,
    },
}

/// Which key of which token.
#[derive(clap::Args)]
pub struct Key {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    name: KeyName,
}

/// A key, for whoever is logged in.
struct Found {
    token: Arc<Token>,
    principal: Principal,
    id: String,
}

impl Key {
    fn find(&self, context: &Context, read_write: bool) -> Result<Found, Failure> {
        let login = self.place.log_in(context, read_write)?;
        let (token, principal) = login.token()?;
        let id = login.key_id(&self.name)?;
        Ok(Found { token, principal, id })
    }

    /// Does something to the key; what is said then.
    fn change(
        &self,
        context: &Context,
        change: impl FnOnce(&Token, Principal, &str) -> Result<String, Error>,
    ) -> Result<(), Failure> {
        let found = self.find(context, true)?;
        let done = change(&found.token, found.principal, &found.id)?;
        say!("The key {} {done}.", found.id);
        Ok(())
    }
}

pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Enable { key } => key.change(context, |token, principal, id| {
            token.enable_key(principal, id)?;
            Ok("is enabled".into())
        }),
        Command::Disable { key } => key.change(context, |token, principal, id| {
            token.disable_key(principal, id)?;
            Ok("is disabled".into())
        }),
        Command::ScheduleDeletion { key, days } => key.change(context, |token, principal, id| {
            let scheduled = token.schedule_key_deletion(principal, id, days)?;
            Ok(match scheduled.deletion.date {
                Some(date) => format!("will be destroyed at {}", Timestamp(date)),
                None => format!("will be destroyed {days} days after its last replica"),
            })
        }),
        Command::CancelDeletion { key } => key.change(context, |token, principal, id| {
            token.cancel_key_deletion(principal, id)?;
            Ok("stays, and is disabled until it is enabled or gets its material".into())
        }),
        Command::SetDescription { key, text } => key.change(context, |token, principal, id| {
            token.update_key_description(principal, id, &text)?;
            Ok("is described".into())
        }),
        Command::Tag { key, tags } => key.change(context, |token, principal, id| {
            token.tag_key(principal, id, &tags)?;
            Ok("is tagged".into())
        }),
        Command::Untag { key, keys } => key.change(context, |token, principal, id| {
            token.untag_key(principal, id, &keys)?;
            Ok("has these tags no more".into())
        }),
        Command::Policy(PolicyCommand::Put { key, file, bypass_lockout_check }) => {
            let text = read_text(&file)?;
            let found = key.find(context, true)?;
            found
                .token
                .put_key_policy(found.principal, &found.id, &text, bypass_lockout_check)
                .map_err(|why| refused_policy(&file, &why))?;
            say!("The key {} has this policy.", found.id);
            Ok(())
        }
        Command::Policy(PolicyCommand::Get { key }) => {
            let found = key.find(context, false)?;
            say!("{}", found.token.get_key_policy(found.principal, &found.id)?.trim_end());
            Ok(())
        }
        Command::Describe { key, json } => {
            let found = key.find(context, false)?;
            let live = found.token.get(found.principal, &found.id)?;
            let live = live.ok_or_else(|| format!("the key {} is gone", found.id))?;
            let aliases = found.token.alias_names(found.principal, &found.id)?;
            tell(&found.token, &live, &aliases, json)
        }
    }
}

/// Why the policy of a file was refused, or could not be set.
fn refused_policy(file: &Path, why: &Error) -> Failure {
    let refused = refused(file, why);
    // A policy like any other, but for whom it names or leaves outside.
    let advice = match why {
        Error::MalformedPolicy(why) if why.ends_with("update the key policy in the future.") => {
            "With --bypass-lockout-check it is taken all the same."
        }
        Error::MalformedPolicy(why) if why.ends_with("one or more invalid principals.") => {
            "`signet user list` and `signet role list` show who is there."
        }
        _ => return refused,
    };
    format!("{refused} {advice}").into()
}

fn tell(token: &Token, live: &LiveObject, aliases: &[String], json: bool) -> Result<(), Failure> {
    if json {
        say!("{}", as_json(token, live, aliases))
    } else {
        tell_person(token, live, aliases)?
    }
    Ok(())
}

fn key_type(object: &Object) -> &'static str {
    object.key_type().map_or("?", type_name)
}

fn length(object: &Object) -> usize {
    let bytes = object.read(AttributeType::ValueLen.to_ck()).unwrap_or_default();
    let number = bytes.as_slice().try_into().map(Ulong::from_ne_bytes);
    number.ok().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

fn label(object: &Object) -> String {
    String::from_utf8_lossy(object.bytes(AttributeType::Label)).into_owned()
}

fn tell_person(token: &Token, live: &LiveObject, aliases: &[String]) -> Result<(), Failure> {
    let (object, life) = (live.object(), live.object().lifecycle());
    let now = SystemTime::now();
    say!("unique id:    {}", live.id());
    say!("ARN:          {}", token.home().kms_arn(&format!("key/{}", live.id())));
    say!("label:        {}", Escaped(&label(object)));
    let id = to_hex(object.bytes(AttributeType::Id));
    say!("id:           {}", if id.is_empty() { "-" } else { &id });
    say!("type:         {}, {} bytes", key_type(object), length(object));
    say!("KMS spec:     {}", KeySpec::of(object).map_or("none", KeySpec::name));
    say!("state:        {}", life.state_at(now).map_or("gone", |state| state.name()));
    say!("origin:       {}", life.origin.name());
    say!("created:      {}", Timestamp(life.created));
    if let Some(date) = life.valid_to.filter(|date| *date > now) {
        say!("expires:      {}", Timestamp(date));
    }
    if let Some(deletion) = life.deletion {
        match deletion.date {
            Some(date) => say!("destroyed at: {}", Timestamp(date)),
            None => say!("destroyed:    {} days after the last replica", deletion.window_days),
        }
    }
    if let Some(place) = &life.multi_region {
        let kind = if place.is_primary { "primary" } else { "replica" };
        let replicas: Vec<_> = place.replicas.iter().map(ToString::to_string).collect();
        say!("Regions:      {kind}; primary {}, replicas {}", place.primary, replicas.join(" "));
    }
    say!("policy:       {}", if life.policy.is_some() { "its own" } else { "the default one" });
    if !life.description.is_empty() {
        say!("description:  {}", Escaped(&life.description));
    }
    for (key, value) in life.tags.iter() {
        say!("tag:          {}={}", Escaped(key), Escaped(value));
    }
    for alias in aliases {
        say!("alias:        {alias}");
    }
    Ok(())
}

fn as_json(token: &Token, live: &LiveObject, aliases: &[String]) -> String {
    let (object, life) = (live.object(), live.object().lifecycle());
    let (home, now) = (token.home(), SystemTime::now());
    let time = |time: SystemTime| json::string(&Timestamp(time).to_string());
    let state = life.state_at(now);
    let mut members = vec![
        ("AWSAccountId", json::string(home.account.as_str())),
        ("KeyId", json::string(live.id())),
        ("Arn", json::string(&home.kms_arn(&format!("key/{}", live.id())))),
        ("CreationDate", time(life.created)),
        ("Description", json::string(&life.description)),
        ("KeyState", json::string(state.map_or("", |state| state.name()))),
        ("Origin", json::string(life.origin.name())),
        ("KeyManager", json::string("CUSTOMER")),
        ("MultiRegion", life.multi_region.is_some().to_string()),
    ];
    if let Some(known) = token.metadata(live) {
        let spec = json::string(known.spec.name());
        members.extend([
            ("Enabled", known.is_enabled().to_string()),
            ("KeyUsage", json::string(KeySpec::USAGE)),
            ("KeySpec", spec.clone()),
            ("CustomerMasterKeySpec", spec),
            ("MacAlgorithms", json::list([json::string(known.spec.mac_algorithm())])),
        ]);
        let model = match known.valid_to {
            Some(_) => "KEY_MATERIAL_EXPIRES",
            None => "KEY_MATERIAL_DOES_NOT_EXPIRE",
        };
        if known.has_material && known.origin == Origin::External {
            members.push(("ExpirationModel", json::string(model)));
        }
        members.extend(known.valid_to.map(|date| ("ValidTo", time(date))));
        members.extend(known.deletion_date.map(|date| ("DeletionDate", time(date))));
        let window = known.pending_window_days;
        members.extend(window.map(|days| ("PendingDeletionWindowInDays", days.to_string())));
    }
    if let Some(place) = &life.multi_region {
        let kind = if place.is_primary { "PRIMARY" } else { "REPLICA" };
        let replicas = place.replicas.iter().map(|region| json::string(region.as_str()));
        members.push((
            "MultiRegionConfiguration",
            json::object([
                ("MultiRegionKeyType", json::string(kind)),
                ("PrimaryRegion", json::string(place.primary.as_str())),
                ("ReplicaRegions", json::list(replicas)),
            ]),
        ));
    }
    let tags = life.tags.iter().map(|(key, value)| {
        json::object([("TagKey", json::string(key)), ("TagValue", json::string(value))])
    });
    members.extend([
        ("Tags", json::list(tags)),
        ("Aliases", json::list(aliases.iter().map(|alias| json::string(alias)))),
        ("HasOwnPolicy", life.policy.is_some().to_string()),
        ("Label", json::string(&label(object))),
        ("Id", json::string(&to_hex(object.bytes(AttributeType::Id)))),
        ("Type", json::string(key_type(object))),
        ("Bytes", length(object).to_string()),
    ]);
    json::object(members)
}
