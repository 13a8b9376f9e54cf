//! `signet key`: make, import and list keys; the rest is in [`key_life`].

use crate::Failure;
use crate::context::{Attributes, Context, KeyName, Login, from_hex, name, to_hex};
use crate::key_life;
use crate::pins::PinFile;
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::mechanism::{CATALOGUE, Kind, RawMechanism};
use signet_pkcs11::token::Name;
use signet_pkcs11::types::{AttributeType, KeyState, KeyType, ObjectClass, ObjectHandle, Ulong};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// The longest key file that is read, in bytes.
const KEY_FILE_MAX: usize = 1 << 20;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Generate a key that never leaves the token
    Generate {
        #[command(flatten)]
        key: NewKey,
        /// The key's length in bytes, 14 to 512
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(14..=512))]
        bytes: u16,
    },
    /// Bring a key in; it cannot be read out again
    Import {
        #[command(flatten)]
        key: NewKey,
        /// The file that holds the key; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The file holds hexadecimal digits instead of the key itself
        #[arg(long)]
        hex: bool,
    },
    /// List the keys of a token
    List {
        #[command(flatten)]
        place: Place,
    },
    #[command(flatten)]
    Life(key_life::Command),
}

/// A key that is to be made.
#[derive(clap::Args)]
pub struct NewKey {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    name: KeyName,
    /// generic, or the hash that it is for: sha256, sha512, sha3-256, …
    #[arg(long = "type", value_name = "TYPE", default_value = "generic", value_parser = key_type)]
    key_type: KeyType,
}

/// Which token, and how to log in.
#[derive(clap::Args)]
pub struct Place {
    /// The token's label
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// Log in as this named user, with this user's PIN, instead of the token's owner
    #[arg(long, value_name = "NAME", value_parser = name)]
    user: Option<Name>,
    /// Log in as that user in this role
    #[arg(long, value_name = "NAME", value_parser = name, requires = "user")]
    role: Option<Name>,
    #[command(flatten)]
    pin: PinFile,
}

impl Place {
    /// A session in which whoever is meant is logged in.
    pub fn log_in<'c>(&self, context: &'c Context, read_write: bool) -> Result<Login<'c>, Failure> {
        match &self.user {
            Some(user) => {
                let who = (user, self.role.as_ref());
                context.log_in_named(&self.token, who, read_write, &self.pin)
            }
            None => context.log_in(&self.token, read_write, &self.pin),
        }
    }
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Life(command) => key_life::run(&context, command)?,
        Command::Generate { key: NewKey { place, name, key_type }, bytes } => {
            let login = place.log_in(&context, true)?;
            let mut template = named(&login, &name)?;
            template.number(AttributeType::ValueLen, bytes.into());
            let mechanism = generator(key_type).ok_or("no mechanism makes such keys")?;
            let mechanism = RawMechanism { number: mechanism, parameter: &[] };
            let key = login.module.generate_key(login.session, mechanism, &template.raw())?;
            say!("Generated:\n{}", describe(&login, key)?);
        }
        Command::Import { key: NewKey { place, name, key_type }, file, hex } => {
            let login = place.log_in(&context, true)?;
            let mut template = named(&login, &name)?;
            template.number(AttributeType::Class, ObjectClass::SecretKey.to_ck());
            template.number(AttributeType::KeyType, key_type.to_ck());
            template.bytes(AttributeType::Value, &read_key(&file, hex)?);
            let key = login.module.create_object(login.session, &template.raw())?;
            say!("Imported:\n{}", describe(&login, key)?);
        }
        Command::List { place } => {
            let login = place.log_in(&context, false)?;
            let (mut listed, mut damaged) = (0, 0);
            login.each_key(&KeyName::ANY, &mut |key| {
                match describe(&login, key) {
                    // Destroyed since it was found.
                    Err(failure) if is_gone(&failure) => return Ok(()),
                    // It keeps nobody from the others.
                    Err(failure) if is_damaged(&failure) => {
                        eprintln!("signet: {failure}");
                        damaged += 1;
                        return Ok(());
                    }
                    line => say!("{}", line?),
                }
                listed += 1;
                Ok(())
            })?;
            if damaged > 0 {
                let why = format!("{damaged} damaged; `signet token check` tells more");
                return Err(why.into());
            }
            if listed == 0 && login.is_named()? {
                say!("No keys that this user may see. `signet policy check` tells the owner why.");
            } else if listed == 0 {
                say!(
                    "No keys. `signet key generate --token \"{}\" --key NAME` makes one.",
                    place.token
                );
            }
        }
    }
    Ok(())
}

/// The attributes of every key made here. A name that is taken is refused: the
/// standard allows two keys of one name, but a person means one.
fn named(login: &Login<'_>, name: &KeyName) -> Result<Attributes, Failure> {
    if !login.keys(name)?.is_empty() {
        return Err(format!("a key that {name} is there already").into());
    }
    let mut template = Attributes::default();
    template.flag(AttributeType::Token, true);
    template.flag(AttributeType::Private, true);
    name.describe(&mut template);
    Ok(template)
}

/// A key from a file or from standard input, without a buffer between or one that
/// grows: they would leave copies behind.
fn read_key(path: &Path, is_hex: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = if path == Path::new("-") {
        std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_MAX + 1));
    let mut input = file.map_err(failed)?.take(KEY_FILE_MAX as u64 + 1);
    input.read_to_end(&mut content).map_err(failed)?;
    if content.len() > KEY_FILE_MAX {
        return Err(format!("{}: too long for a key", path.display()).into());
    }
    if !is_hex {
        return Ok(content);
    }
    content.retain(|byte| !byte.is_ascii_whitespace());
    Ok(from_hex(&content).map_err(|why| format!("{}: {why}", path.display()))?.into())
}

fn is_gone(failure: &Failure) -> bool {
    matches!(failure.downcast_ref(), Some(Error::ObjectHandleInvalid(_)))
}

fn is_damaged(failure: &Failure) -> bool {
    matches!(failure.downcast_ref(), Some(Error::RecordDamaged(_)))
}

/// One line about a key.
fn describe(login: &Login<'_>, key: ObjectHandle) -> Result<String, Failure> {
    let number = |attribute| -> Result<Ulong, Failure> {
        let bytes = login.attribute(key, attribute)?;
        Ok(bytes.try_into().map(Ulong::from_ne_bytes).unwrap_or_default())
    };
    let flag = |attribute| login.attribute(key, attribute).map(|value| value == [1]);
    let key_type = KeyType::from_ck(number(AttributeType::KeyType)?).map_or("?", type_name);
    let uses: Vec<_> = [(AttributeType::Sign, "sign"), (AttributeType::Verify, "verify")]
        .into_iter()
        .filter_map(|(attribute, name)| match flag(attribute) {
            Ok(true) => Some(Ok(name)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()?;
    let readable = !flag(AttributeType::Sensitive)? && flag(AttributeType::Extractable)?;
    let label = login.attribute(key, AttributeType::Label)?;
    let unique_id = String::from_utf8(login.attribute(key, AttributeType::UniqueId)?)?;
    let (token, principal) = login.token()?;
    let live = token.get(principal, &unique_id)?;
    let now = live.and_then(|live| live.object().lifecycle().state_at(SystemTime::now()));
    let line = Line {
        unique_id,
        key_type,
        length: number(AttributeType::ValueLen)?.try_into().unwrap_or_default(),
        uses: uses.join("+"),
        readable,
        id: to_hex(&login.attribute(key, AttributeType::Id)?),
        label: String::from_utf8_lossy(&label).into(),
    };
    Ok(format!("{line}{}", now.map_or("", state)))
}

/// What a line about a key ends with if its state is none of the usual.
pub const fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Enabled | KeyState::Updating => "",
        KeyState::Disabled => "  disabled",
        KeyState::PendingImport => "  waits for its value",
        KeyState::PendingDeletion | KeyState::PendingReplicaDeletion => "  waits to be deleted",
        KeyState::Unavailable => "  unavailable",
        KeyState::Creating => "  is being made",
    }
}

/// What a list tells about a key.
pub struct Line {
    pub unique_id: String,
    pub key_type: &'static str,
    /// The value's, in bytes.
    pub length: usize,
    pub uses: String,
    pub readable: bool,
    /// In hexadecimal.
    pub id: String,
    pub label: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unique_id, key_type, length, uses, readable, id, label } = self;
        let readable = if *readable { "readable" } else { "unreadable" };
        let id = if id.is_empty() { "-" } else { id };
        let label = Escaped(label);
        write!(
            f,
            "{unique_id}  {key_type}  {length} bytes  {uses}  {readable}  id {id}  label \"{label}\""
        )
    }
}

/// The name of a key type on the command line.
pub fn type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::GenericSecret => "generic",
        KeyType::Sha1Hmac => "sha1",
        KeyType::Sha224Hmac => "sha224",
        KeyType::Sha256Hmac => "sha256",
        KeyType::Sha384Hmac => "sha384",
        KeyType::Sha512Hmac => "sha512",
        KeyType::Sha512_224Hmac => "sha512-224",
        KeyType::Sha512_256Hmac => "sha512-256",
        KeyType::Sha3_224Hmac => "sha3-224",
        KeyType::Sha3_256Hmac => "sha3-256",
        KeyType::Sha3_384Hmac => "sha3-384",
        KeyType::Sha3_512Hmac => "sha3-512",
    }
}

fn key_type(name: &str) -> Result<KeyType, String> {
    let known = || KeyType::ALL.iter().copied();
    known().find(|known| type_name(*known) == name).ok_or_else(|| {
        let names: Vec<_> = known().map(type_name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn generator(key_type: KeyType) -> Option<Ulong> {
    let row = CATALOGUE.iter().find(|row| row.kind == Kind::KeyGen(key_type))?;
    Some(row.mechanism.to_ck())
}
