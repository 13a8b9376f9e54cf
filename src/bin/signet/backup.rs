//! `signet backup`: make, restore and verify backups.

use crate::Failure;
use crate::context::{Bytes, Context, Login, hex, to_hex};
use crate::key::{Line, state, type_name};
use crate::pins::{self, PinFile};
use crate::token;
use signet_pkcs11::backup::{
    Backup, Choice, Item, Locked, Opener, OpensWith, OutputFile, PublicKey, Seal,
};
use signet_pkcs11::entropy::{self, OsEntropy};
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::object::Object;
use signet_pkcs11::token::Restored;
use signet_pkcs11::types::{AttributeType, ObjectClass, SlotId};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Write a token's objects, or single keys, into one sealed file
    Create {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        pin: PinFile,
        #[command(flatten)]
        passphrase: PassphraseFile,
        /// Seal to this transport key instead of a passphrase; the token that is to
        /// receive the backup prints it: `signet token transport-key LABEL`
        #[arg(long, value_name = "PUBLICKEY", conflicts_with = "passphrase_file")]
        to: Option<PublicKey>,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
        /// The file to write; - is standard output
        file: PathBuf,
    },
    /// Make a token of a backup, or bring its objects into a token that is there
    Restore {
        #[command(flatten)]
        place: Place,
        /// Read the security officer's PIN of the new token from this file (its first line)
        #[arg(long, value_name = "FILE", conflicts_with = "into")]
        so_pin_file: Option<PathBuf>,
        #[command(flatten)]
        pin: PinFile,
        #[command(flatten)]
        passphrase: PassphraseFile,
        /// Read the PIN of the token that the backup is sealed to from this file
        #[arg(long, value_name = "FILE")]
        recipient_pin_file: Option<PathBuf>,
        /// The backup; - is standard input
        file: PathBuf,
    },
    /// List what is in a backup and check that it is whole
    Verify {
        /// Read the PIN of the token that the backup is sealed to from this file (its
        /// first line)
        #[command(flatten)]
        pin: PinFile,
        #[command(flatten)]
        passphrase: PassphraseFile,
        /// The backup; - is standard input
        file: PathBuf,
    },
}

/// What goes into a backup.
#[derive(clap::Args)]
pub struct What {
    /// The token's label
    #[arg(long, value_name = "LABEL")]
    token: String,
    /// Only the keys of this label; can be given several times
    #[arg(long, value_name = "LABEL")]
    key: Vec<String>,
    /// Only the keys with this id (CKA_ID) in hexadecimal; can be given several times
    #[arg(long, value_name = "HEX", value_parser = hex)]
    id: Vec<Bytes>,
    /// Only the key with this unique id; can be given several times
    #[arg(long, value_name = "ID")]
    unique_id: Vec<String>,
}

impl What {
    fn choices(&self) -> Vec<Choice> {
        let choice = |attribute, value: &[u8]| Choice { attribute, value: value.to_vec() };
        let labels = self.key.iter().map(|label| choice(AttributeType::Label, label.as_bytes()));
        let ids = self.id.iter().map(|id| choice(AttributeType::Id, &id.0));
        let unique = self.unique_id.iter().map(|id| choice(AttributeType::UniqueId, id.as_bytes()));
        labels.chain(ids).chain(unique).collect()
    }
}

/// Where a backup is restored to.
#[derive(clap::Args)]
pub struct Place {
    /// The label of the new token; by default that of the token the backup was made of
    #[arg(long, value_name = "LABEL", conflicts_with = "into")]
    label: Option<String>,
    /// Bring the objects into this token instead
    #[arg(long, value_name = "LABEL")]
    into: Option<String>,
    /// Leave out the objects whose unique id is in the token already
    #[arg(long, requires = "into")]
    skip_existing: bool,
}

/// The file that holds the passphrase.
#[derive(clap::Args)]
pub struct PassphraseFile {
    /// Read the passphrase from this file (its first line)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Create { what, pin, passphrase, to, force, file } => {
            create(&context, &what, &pin, &passphrase, to.as_ref(), (&file, force))
        }
        Command::Restore { place, so_pin_file, pin, passphrase, recipient_pin_file, file } => {
            let locked = read(&file)?;
            let recipient_pin = PinFile { pin_file: recipient_pin_file };
            let recipient = Recipient { pin: &recipient_pin, of_recipient: true };
            match &place.into {
                Some(into) => {
                    let login = context.log_in(into, true, &pin)?;
                    let backup = open(
                        &context,
                        locked,
                        &file,
                        &passphrase,
                        &recipient,
                        Some((&login, into)),
                    )?;
                    bring_in(&login, into, backup, place.skip_existing)
                }
                None => {
                    let backup = open(&context, locked, &file, &passphrase, &recipient, None)?;
                    make(&context, place.label, so_pin_file.as_ref(), &pin, backup)
                }
            }
        }
        Command::Verify { pin, passphrase, file } => {
            let recipient = Recipient { pin: &pin, of_recipient: false };
            verify(open(&context, read(&file)?, &file, &passphrase, &recipient, None)?)
        }
    }
}

fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

/// What messages call a file.
fn name(file: &Path, standard: &str) -> PathBuf {
    if is_standard(file) { standard.into() } else { file.into() }
}

fn create(
    context: &Context,
    what: &What,
    pin: &PinFile,
    passphrase: &PassphraseFile,
    to: Option<&PublicKey>,
    (file, force): (&Path, bool),
) -> Result<(), Failure> {
    if is_standard(file) && std::io::stdout().is_terminal() {
        return Err("a backup is not for a terminal: name a file, or redirect the output".into());
    }
    if !is_standard(file) {
        OutputFile::check(file, force).map_err(|error| advise(&error, file))?;
    }
    let login = context.log_in(&what.token, false, pin)?;
    let passphrase = match to {
        Some(_) => None,
        None => Some(pins::new_passphrase(passphrase.passphrase_file.as_ref())?),
    };
    let parameters = login.module.backup_parameters();
    let (seal, sealed_to) = match (to, &passphrase) {
        (Some(key), _) => (
            Seal::Recipient(key),
            format!("the transport key with the fingerprint {}", key.fingerprint()),
        ),
        (None, Some(passphrase)) => {
            (Seal::Passphrase(passphrase, parameters), "the passphrase".to_owned())
        }
        (None, None) => return Err("there is nothing to seal it with".into()),
    };
    let choices = what.choices();
    let mut progress = Progress::new("written");
    let mut write = |output: &mut dyn Write, name: &Path| {
        let mut told = |count| progress.tell(count);
        let count =
            login.module.create_backup(login.session, &choices, &seal, (output, name), &mut told);
        progress.end();
        count
    };
    if is_standard(file) {
        let count = write(&mut std::io::stdout().lock(), Path::new("standard output"))?;
        eprintln!("Backed up {} of \"{}\", sealed to {sealed_to}.", objects(count), what.token);
        return Ok(());
    }
    let mut output =
        OutputFile::create(file, force, entropy::array(&OsEntropy).map(u64::from_ne_bytes)?)?;
    let count = write(&mut output, file)?;
    output.place().map_err(|error| advise(&error, file))?;
    say!(
        "Backed up {} of \"{}\" to {}, sealed to {sealed_to}.",
        objects(count),
        Escaped(&what.token),
        file.display()
    );
    Ok(())
}

/// The way out for somebody whose file is there already.
fn advise(error: &Error, file: &Path) -> Failure {
    let is_plain = file.symlink_metadata().is_ok_and(|found| found.is_file());
    match error {
        Error::BackupRefused { .. } if is_plain => format!("{error}; --force replaces it").into(),
        other => other.to_string().into(),
    }
}

fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

fn read(file: &Path) -> Result<Locked<'static>, Failure> {
    let input: Box<dyn Read> = if is_standard(file) {
        Box::new(std::io::stdin())
    } else {
        let opened = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Box::new(BufReader::new(opened))
    };
    Ok(Locked::read(input, &name(file, "standard input"))?)
}

/// How to log in to the token that a backup is sealed to.
struct Recipient<'a> {
    pin: &'a PinFile,
    /// Its PIN is one of two that are needed, and has a variable of its own.
    of_recipient: bool,
}

/// Opens a backup: by passphrase, or with the transport key of a token, perhaps the one
/// that is logged in to already.
fn open(
    context: &Context,
    locked: Locked<'static>,
    file: &Path,
    passphrase: &PassphraseFile,
    recipient: &Recipient<'_>,
    present: Option<(&Login<'_>, &str)>,
) -> Result<Backup<'static>, Failure> {
    let key = match locked.opens_with() {
        OpensWith::Passphrase => {
            let path = passphrase.passphrase_file.as_ref();
            let passphrase = pins::passphrase(path, &name(file, "standard input"))?;
            return Ok(locked.open(&Opener::Passphrase(&passphrase))?);
        }
        OpensWith::TransportKey(key) => key,
    };
    let holder = context.module.transport_key_holder(&key)?.ok_or_else(|| {
        format!(
            "{}: it is sealed to the transport key with the fingerprint {}, which no token in {} has",
            name(file, "standard input").display(),
            key.fingerprint(),
            context.directory.display()
        )
    })?;
    if let Some((login, label)) = present
        && context.token(label)?.0 == holder
    {
        return Ok(login.module.open_backup(login.session, locked)?);
    }
    let label = context.label(holder)?;
    let login = if recipient.of_recipient {
        context
            .log_in_with(&label, false, |label| pins::recipient(recipient.pin, label))
            .map_err(|why| format!("\"{}\": {why}", Escaped(&label)))?
    } else {
        context.log_in(&label, false, recipient.pin)?
    };
    Ok(login.module.open_backup(login.session, locked)?)
}

fn bring_in(
    login: &Login<'_>,
    into: &str,
    mut backup: Backup<'_>,
    skip_existing: bool,
) -> Result<(), Failure> {
    let source = backup.description().to_string();
    let mut progress = Progress::new("read");
    let restored =
        login.module.restore_backup(login.session, &mut backup, skip_existing, &mut |count| {
            progress.tell(count)
        });
    progress.end();
    let Restored { added, skipped } = match restored {
        Err(error @ Error::UniqueIdTaken { .. }) => {
            return Err(format!("{error}; --skip-existing leaves out what is there").into());
        }
        other => other?,
    };
    let left_out = match skipped {
        0 => String::new(),
        1 => "; 1 was there already".to_owned(),
        _ => format!("; {skipped} were there already"),
    };
    say!("Brought {} of {source} into \"{}\"{left_out}.", objects(added), Escaped(into));
    Ok(())
}

fn make(
    context: &Context,
    label: Option<String>,
    so_pin_file: Option<&PathBuf>,
    pin: &PinFile,
    mut backup: Backup<'_>,
) -> Result<(), Failure> {
    let source = backup.description().to_string();
    let label = label.unwrap_or_else(|| backup.description().label.clone());
    token::check_new_label(context, &label)
        .map_err(|why| format!("{why}; --label names another"))?;
    let so_pin = pins::new_security_officer(so_pin_file, &label)?;
    let pin = pins::new_user(pin, &label)?;
    token::check_pin_lengths([Some(&so_pin), Some(&pin)])?;
    let mut progress = Progress::new("read");
    let made = context.module.restore_token(&label, &so_pin, &pin, &mut backup, &mut |count| {
        progress.tell(count);
    });
    progress.end();
    let (slot, count): (SlotId, u64) = made?;
    let label = Escaped(&label);
    say!("Token \"{label}\" made in slot {slot} with {} of {source}.", objects(count));
    Ok(())
}

/// Lists nothing before everything has been proved.
fn verify(mut backup: Backup<'_>) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut progress = Progress::new("read");
    let (mut keys, mut data) = (0_u64, 0_u64);
    while let Some(item) = backup.next_item()? {
        match item.object.class() {
            ObjectClass::SecretKey => keys += 1,
            ObjectClass::Data => data += 1,
        }
        lines.push(describe(&item));
        progress.tell(keys + data);
    }
    progress.end();
    for line in lines {
        say!("{line}");
    }
    let description = backup.description();
    let what = if description.is_whole { "All of the token" } else { "Keys of the token" };
    let counts = match (keys, data) {
        (1, 1) => "1 key, 1 data object".to_owned(),
        (1, _) => format!("1 key, {data} data objects"),
        (_, 1) => format!("{keys} keys, 1 data object"),
        _ => format!("{keys} keys, {data} data objects"),
    };
    say!("{what} {description}: {counts}. The backup is whole.");
    Ok(())
}

/// One line about an object.
fn describe(item: &Item) -> String {
    let Item { object, bound } = item;
    let visible = if object.is_private() { "private" } else { "public" };
    let state = state(object.lifecycle().state);
    let open = if *bound { "" } else { "  open to change by all" };
    let label = String::from_utf8_lossy(object.bytes(AttributeType::Label)).into_owned();
    let text = match object.class() {
        ObjectClass::SecretKey => key_line(object, label),
        ObjectClass::Data => format!(
            "{}  data  {} bytes  label \"{}\"",
            object.unique_id(),
            object.value().len(),
            Escaped(&label)
        ),
    };
    format!("{text}  {visible}{state}{open}")
}

fn key_line(key: &Object, label: String) -> String {
    let uses = [(AttributeType::Sign, "sign"), (AttributeType::Verify, "verify")];
    let uses: Vec<_> =
        uses.into_iter().filter(|(use_, _)| key.flag(*use_)).map(|(_, name)| name).collect();
    Line {
        unique_id: key.unique_id().to_owned(),
        key_type: key.key_type().map_or("?", type_name),
        length: key.value().len(),
        uses: uses.join("+"),
        readable: key.is_value_readable(),
        id: to_hex(key.bytes(AttributeType::Id)),
        label,
    }
    .to_string()
}

/// Tells at a terminal how far it has come, once it takes longer than one likes to
/// wait without a word.
struct Progress {
    what: &'static str,
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_secs(2);
    const PACE: Duration = Duration::from_millis(250);

    fn new(what: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, began: Instant::now(), shown: None, is_terminal }
    }

    fn tell(&mut self, count: u64) {
        if !self.is_terminal || self.began.elapsed() < Self::PATIENCE {
            return;
        }
        if self.shown.is_none_or(|shown| shown.elapsed() >= Self::PACE) {
            eprint!("\r{} {}", objects(count), self.what);
            self.shown = Some(Instant::now());
        }
    }

    /// Clears the line.
    fn end(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
