//! `signet migrate`: take over the tokens of other software.

use crate::Failure;
use crate::context::{Context, to_hex};
use crate::pins::{self, PinFile};
use crate::token::{check_new_label, check_pin_lengths};
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::migrate::softhsm2::{self, Found, Left, Name, SourceToken, Taken};
use signet_pkcs11::object::Object;
use signet_pkcs11::secret::SecretBytes;
use signet_pkcs11::token::NewToken;
use signet_pkcs11::types::ObjectClass;
use std::fmt;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Take over SoftHSM2's tokens
    ///
    /// Makes one new token for each, with its label, its user PIN, its secret keys and its data
    /// objects. The security officer's PIN is set anew.
    #[command(after_help = "\
Stop the programs that use the tokens first. Nothing is written to them: they stay as they are.

Exit status: 0 everything was taken over; 3 the tokens were made, and what standard error names \
was left behind; 1 a token was not made, the reason on standard error; 2 the command line was \
wrong.")]
    Softhsm2 {
        /// SoftHSM2's token directory (directories.tokendir), or the directory of one token
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Take over only the token with this label
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
        /// The label of the new token, where it cannot be the old one's
        #[arg(long, value_name = "NEW")]
        label: Option<String>,
        /// List what would be taken over, and make nothing
        #[arg(long)]
        dry_run: bool,
        /// Read the new security officer's PIN from this file (its first line)
        #[arg(long, value_name = "FILE")]
        so_pin_file: Option<PathBuf>,
        #[command(flatten)]
        pin: PinFile,
    },
}

/// What was asked for, besides the directory.
struct Wish {
    label: Option<String>,
    dry_run: bool,
    so_pin_file: Option<PathBuf>,
    pin: PinFile,
}

/// What is not in the new tokens, each piece named already.
#[derive(Debug, Default, Clone, Copy)]
pub struct LeftBehind {
    objects: usize,
    attributes: usize,
}

impl std::error::Error for LeftBehind {}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = [(self.objects, "object"), (self.attributes, "attribute")];
        let pieces = pieces.into_iter().filter(|(count, _)| *count > 0);
        let pieces: Vec<_> = pieces.map(|(count, what)| counted(count, what)).collect();
        write!(f, "left behind: {}", pieces.join(", "))
    }
}

pub fn run(command: Command) -> Result<(), Failure> {
    let Command::Softhsm2 { directory, token, label, dry_run, so_pin_file, pin } = command;
    let context = Context::open()?;
    let sources = chosen(&directory, token.as_deref())?;
    let alone = sources.len() == 1;
    if label.is_some() && !alone {
        let (place, count) = (directory.display(), sources.len());
        let why = format!("{place} holds {count} tokens, --label is for one: choose with --token");
        return Err(why.into());
    }
    let wish = Wish { label, dry_run, so_pin_file, pin };
    let (mut left, mut failed) = (LeftBehind::default(), 0);
    for source in sources {
        match source.map_err(Failure::from).and_then(|source| take(&context, &source, &wish)) {
            Ok(more) => {
                left.objects += more.objects;
                left.attributes += more.attributes;
            }
            Err(why) if alone => return Err(why),
            Err(why) => {
                eprintln!("signet: {why}");
                failed += 1;
            }
        }
    }
    match left {
        _ if failed > 0 => Err(format!("not taken over: {}", counted(failed, "token")).into()),
        LeftBehind { objects: 0, attributes: 0 } => Ok(()),
        _ => Err(left.into()),
    }
}

/// The tokens in `directory`, or the one of them that is labelled so.
fn chosen(
    directory: &Path,
    label: Option<&str>,
) -> Result<Vec<Result<SourceToken, Error>>, Failure> {
    let mut there = softhsm2::tokens(directory)?;
    if there.is_empty() {
        return Err(format!("there is no SoftHSM2 token in {}", directory.display()).into());
    }
    let Some(label) = label else { return Ok(there) };
    there.retain(|source| match source {
        Ok(source) => source.label() == Some(label),
        Err(error) => {
            // It may be the one.
            eprintln!("signet: passed over: {error}");
            false
        }
    });
    let (label, place) = (Escaped(label), directory.display());
    match there.len() {
        1 => Ok(there),
        0 => Err(format!("no token in {place} is labelled \"{label}\"").into()),
        _ => {
            let why = format!("several tokens in {place} are labelled \"{label}\"");
            Err(format!("{why}: name the directory of one").into())
        }
    }
}

/// Takes over one token, or says what would be; what is left behind.
fn take(context: &Context, source: &SourceToken, wish: &Wish) -> Result<LeftBehind, Failure> {
    let old = match source.label() {
        Some(label) => Escaped(label).to_string(),
        None => source.path().display().to_string(),
    };
    let label = wish.label.as_deref().or_else(|| source.label()).ok_or_else(|| {
        format!("the label of the token in {old} is not UTF-8: give it another by --label")
    })?;
    check_new_label(context, label)
        .map_err(|why| format!("\"{old}\": {why}; --label gives the new token another"))?;
    let pin = source.has_user_pin().then(|| pins::user(&wish.pin, &old)).transpose()?;
    let key = pin.as_ref().map(|pin| source.unlock(pin)).transpose();
    let key = key.map_err(|error| match error {
        Error::PinIncorrect => format!("wrong PIN of \"{old}\" in {}", source.path().display()),
        other => other.to_string(),
    })?;
    let contribute = |value: &SecretBytes| context.module.contribution(value);
    let mut report = Report::default();
    if wish.dry_run {
        for object in report.objects(source.objects(key.as_ref(), &contribute)?) {
            object?;
        }
        say!("Token \"{}\" would be made, with {}:", Escaped(label), report.held());
        for line in &report.lines {
            say!("  {line}");
        }
    } else {
        let so_pin = pins::new_security_officer(wish.so_pin_file.as_ref(), label)?;
        check_pin_lengths([Some(&so_pin), pin.as_ref()])?;
        let new = NewToken { label, so_pin: &so_pin, user_pin: pin.as_ref() };
        let (slot, ()) = context.module.in_empty_slot(|slot| {
            report = Report::default();
            let mut objects = report.objects(source.objects(key.as_ref(), &contribute)?);
            context.module.create_token_holding(slot, new, &mut objects)
        })?;
        say!("Token \"{}\" made in slot {slot}, with {}.", Escaped(label), report.held());
    }
    for line in &report.left {
        eprintln!("signet: \"{old}\": left behind: {line}");
    }
    Ok(report.behind)
}

/// What was found in a token.
#[derive(Default)]
struct Report {
    keys: usize,
    data: usize,
    /// A line for each object that is taken.
    lines: Vec<String>,
    /// A line for each object or attribute that is left behind.
    left: Vec<String>,
    behind: LeftBehind,
}

impl Report {
    /// The objects that are taken; all are noted.
    fn objects<'a>(
        &'a mut self,
        found: impl Iterator<Item = Result<Found, Error>> + 'a,
    ) -> impl Iterator<Item = Result<Object, Error>> + 'a {
        found.filter_map(|found| match found {
            Ok(found) => self.note(found).map(Ok),
            Err(error) => Some(Err(error)),
        })
    }

    fn note(&mut self, found: Found) -> Option<Object> {
        match found {
            Found::Taken(Taken { name, object, without }) => {
                let name = describe(&name);
                if !without.is_empty() {
                    self.left.push(format!("{} of {name}", without.join(", ")));
                    self.behind.attributes += without.len();
                }
                match object.class() {
                    ObjectClass::SecretKey => self.keys += 1,
                    ObjectClass::Data => self.data += 1,
                }
                self.lines.push(format!("{name}  {}", counted(object.value().len(), "byte")));
                Some(object)
            }
            Found::Left(Left { name, why }) => {
                self.left.push(format!("{}: {why}", describe(&name)));
                self.behind.objects += 1;
                None
            }
        }
    }

    /// How much of what is taken.
    fn held(&self) -> String {
        let (keys, data) = (counted(self.keys, "key"), counted(self.data, "data object"));
        format!("{keys} and {data}")
    }
}

/// What an object is called, with where it lies: labels are not unique.
fn describe(name: &Name) -> String {
    let mut words = Vec::new();
    words.extend(name.class.clone());
    words.extend(name.key_type.clone());
    if !name.id.is_empty() {
        words.push(format!("id {}", to_hex(&name.id)));
    }
    if !name.label.is_empty() {
        words.push(format!("label \"{}\"", Escaped(&String::from_utf8_lossy(&name.label))));
    }
    words.push(format!("({})", Escaped(&name.place)));
    words.join("  ")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
