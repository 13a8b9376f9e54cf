//! `signet mac`: make and check MACs over files and streams of any size.

use crate::Failure;
use crate::context::{Bytes, Context, KeyName, Login, hex, to_hex};
use crate::key::Place;
use signet_pkcs11::error::Error;
use signet_pkcs11::mechanism::{CATALOGUE, Hash, Kind, RawMechanism};
use signet_pkcs11::module::Signing;
use signet_pkcs11::session::{Output, Purpose, Room};
use signet_pkcs11::types::{AttributeType, KeyState, KeyType, ObjectHandle, Ulong};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The message is read in parts of this many bytes.
const PART: usize = 65_536;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make the MAC of a message and print it
    Sign {
        #[command(flatten)]
        what: What,
        /// Write the MAC's bytes instead of hexadecimal digits
        #[arg(long)]
        raw: bool,
    },
    /// Check the MAC of a message; the exit status says whether it is right
    Verify {
        #[command(flatten)]
        what: What,
        /// The MAC in hexadecimal
        #[arg(long, value_name = "HEX", value_parser = hex)]
        mac: Bytes,
    },
}

/// The key, the mechanism and the message.
#[derive(clap::Args)]
pub struct What {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    name: KeyName,
    /// The hash: sha256, sha512, sha3-256, …; by default the one that the key is
    /// for, and sha256 for a generic key
    #[arg(long, value_parser = hash)]
    hash: Option<Hash>,
    /// The message; standard input when there is none, or -
    file: Option<PathBuf>,
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Sign { what, raw } => {
            let (login, key) = what.key(&context)?;
            what.begin(&login, key, Signing::Sign)?;
            what.feed(&login, Purpose::Sign)?;
            let room = Room::Bytes(Hash::MAX_OUTPUT_LEN);
            let Output::Bytes(tag) = login.module.sign_final(login.session, room)? else {
                return Err("no MAC was made".into());
            };
            if raw {
                let mut output = std::io::stdout();
                output
                    .write_all(tag.expose())
                    .and_then(|()| output.flush())
                    .map_err(|error| format!("standard output: {error}"))?;
            } else {
                say!("{}", to_hex(tag.expose()));
            }
        }
        Command::Verify { what, mac } => {
            let (login, key) = what.key(&context)?;
            what.begin(&login, key, Signing::Verify)?;
            what.feed(&login, Purpose::Verify)?;
            match login.module.verify_final(login.session, &mac.0) {
                Ok(()) => say!("The MAC is right."),
                Err(Error::SignatureInvalid | Error::SignatureLenRange) => {
                    return Err("the MAC is wrong".into());
                }
                Err(other) => return Err(other.into()),
            }
        }
    }
    Ok(())
}

impl What {
    fn key<'a>(&self, context: &'a Context) -> Result<(Login<'a>, ObjectHandle), Failure> {
        let login = self.place.log_in(context, false)?;
        let key = login.key(&self.name)?;
        Ok((login, key))
    }

    fn begin(
        &self,
        login: &Login<'_>,
        key: ObjectHandle,
        signing: Signing<'_>,
    ) -> Result<(), Failure> {
        let key_type = login.attribute(key, AttributeType::KeyType)?;
        let key_type =
            key_type.try_into().ok().map(Ulong::from_ne_bytes).and_then(KeyType::from_ck);
        let own = Hash::ALL.into_iter().find(|hash| Some(hash.key_type()) == key_type);
        let hash = self.hash.or(own).unwrap_or(Hash::Sha256);
        let row = CATALOGUE.iter().find(|row| row.kind == Kind::Hmac(hash));
        let number = row.ok_or("no such mechanism")?.mechanism.to_ck();
        let mechanism = RawMechanism { number, parameter: &[] };
        match login.module.mac_init(login.session, signing, mechanism, key) {
            Err(refused @ Error::KeyFunctionNotPermitted) => Err(unusable(login, key, refused)),
            other => Ok(other?),
        }
    }

    fn feed(&self, login: &Login<'_>, purpose: Purpose) -> Result<(), Failure> {
        let path = self.file.as_deref().filter(|path| *path != Path::new("-"));
        let name = path.map_or("standard input".into(), |path| path.display().to_string());
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let mut input: Box<dyn Read> = match path {
            Some(path) => Box::new(File::open(path).map_err(failed)?),
            None => Box::new(std::io::stdin()),
        };
        let mut part = vec![0; PART];
        loop {
            let length = input.read(&mut part).map_err(failed)?;
            if length == 0 {
                return Ok(());
            }
            login.module.mac_update(login.session, purpose, &part[..length])?;
        }
    }
}

/// Why a key may not be used: its state, if that is the reason.
fn unusable(login: &Login<'_>, key: ObjectHandle, refused: Error) -> Failure {
    let state = || -> Result<Option<String>, Failure> {
        let (token, principal) = login.token()?;
        let id = String::from_utf8(login.attribute(key, AttributeType::UniqueId)?)?;
        let live = token.key(principal, &id)?;
        let state = live.object().lifecycle().state_at(SystemTime::now());
        Ok(state.filter(|state| *state != KeyState::Enabled).map(|state| match state {
            KeyState::Disabled => {
                format!("the key {id} is disabled; `signet key enable` enables it")
            }
            other => format!("the key {id} is {other}; `signet key describe` tells more"),
        }))
    };
    match state() {
        Ok(Some(why)) => why.into(),
        _ => refused.into(),
    }
}

/// A hash by its name on the command line: that of the standard in small
/// letters, with or without the first hyphen, slashes as hyphens.
fn hash(name: &str) -> Result<Hash, String> {
    let plain = |name: &str| name.to_lowercase().replace("sha-", "sha").replace('/', "-");
    let wanted = plain(name);
    Hash::ALL.into_iter().find(|hash| plain(hash.name()) == wanted).ok_or_else(|| {
        let names: Vec<_> = Hash::ALL.iter().map(|hash| plain(hash.name())).collect();
        format!("one of {}", names.join(", "))
    })
}
