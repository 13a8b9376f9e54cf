//! Where PINs come from: a file, the environment, the terminal. Never from the
//! command line itself, which other users of the machine can read.

use crate::Failure;
use signet_pkcs11::backup::PASSPHRASE_MIN_LEN;
use signet_pkcs11::config::Environment;
use signet_pkcs11::host::OsEnvironment;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::token::Name;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest PIN file that is read, in bytes.
const FILE_MAX: usize = 4096;

/// The file that holds the PIN of whoever logs in.
#[derive(clap::Args)]
pub struct PinFile {
    /// Read the PIN of whoever logs in from this file (its first line)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The user PIN of a token.
pub fn user(file: &PinFile, token: &str) -> Result<Pin, Failure> {
    present(file.pin_file.as_ref(), &Source { what: &format!("PIN of \"{token}\""), ..USER })
}

/// The PIN of a named user of a token.
pub fn named_user(file: &PinFile, user: &Name, token: &str) -> Result<Pin, Failure> {
    let what = format!("PIN of {user} of \"{token}\"");
    present(file.pin_file.as_ref(), &Source { what: &what, ..USER })
}

/// The security officer's PIN of a token.
pub fn security_officer(file: Option<&PathBuf>, token: &str) -> Result<Pin, Failure> {
    let what = format!("Security officer PIN of \"{token}\"");
    present(file, &Source { what: &what, ..SECURITY_OFFICER })
}

/// The user PIN of the token that a backup is sealed to, where that of another token
/// is needed as well.
pub fn recipient(file: &PinFile, token: &str) -> Result<Pin, Failure> {
    let what = format!("PIN of \"{token}\" (the backup is sealed to it)");
    present(file.pin_file.as_ref(), &Source { what: &what, ..RECIPIENT })
}

/// A PIN that has been set. One that no PIN can be, an empty file's for example, is not
/// tried: it would only use up an attempt.
fn present(file: Option<&PathBuf>, source: &Source<'_>) -> Result<Pin, Failure> {
    let pin = obtain(file, source, false)?;
    if pin.has_valid_length() {
        return Ok(pin);
    }
    Err(impossible(file))
}

fn impossible(file: Option<&PathBuf>) -> Failure {
    let file = named(file);
    format!("{file}a PIN has {} to {} bytes", Pin::MIN_LEN, Pin::MAX_LEN).into()
}

/// A user PIN that is being set.
pub fn new_user(file: &PinFile, token: &str) -> Result<Pin, Failure> {
    let what = format!("New PIN of \"{token}\"");
    obtain(file.pin_file.as_ref(), &Source { what: &what, ..USER }, true)
}

/// A security officer's PIN that is being set.
pub fn new_security_officer(file: Option<&PathBuf>, token: &str) -> Result<Pin, Failure> {
    let what = format!("New security officer PIN of \"{token}\"");
    obtain(file, &Source { what: &what, ..SECURITY_OFFICER }, true)
}

/// A named user's PIN that is being set by the owner.
pub fn new_named_user(file: Option<&PathBuf>, user: &Name, token: &str) -> Result<Pin, Failure> {
    let what = format!("New PIN of {user} of \"{token}\"");
    let pin = obtain(file, &Source { what: &what, ..NAMED_USER }, true)?;
    if pin.has_valid_length() {
        return Ok(pin);
    }
    Err(impossible(file))
}

/// The passphrase of a backup.
pub fn passphrase(file: Option<&PathBuf>, backup: &Path) -> Result<Pin, Failure> {
    let what = format!("Passphrase of {}", backup.display());
    obtain(file, &Source { what: &what, ..PASSPHRASE }, false)
}

/// A passphrase that a backup is being sealed with.
pub fn new_passphrase(file: Option<&PathBuf>) -> Result<Pin, Failure> {
    let source = Source { what: "Passphrase for the backup", ..PASSPHRASE };
    let passphrase = obtain(file, &source, true)?;
    if passphrase.is_long_enough(PASSPHRASE_MIN_LEN) {
        return Ok(passphrase);
    }
    Err(format!(
        "{}a passphrase has at least {PASSPHRASE_MIN_LEN} bytes: nobody counts the guesses at a file",
        named(file)
    )
    .into())
}

/// Where a PIN or a passphrase comes from.
struct Source<'a> {
    /// What the prompt asks for.
    what: &'a str,
    /// The option that names a file.
    option: &'static str,
    variable: &'static str,
    /// What two that differ are.
    plural: &'static str,
}

const USER: Source<'static> =
    Source { what: "", option: "--pin-file", variable: "SIGNET_PIN", plural: "PINs" };
const SECURITY_OFFICER: Source<'static> =
    Source { option: "--so-pin-file", variable: "SIGNET_SO_PIN", ..USER };
const NAMED_USER: Source<'static> =
    Source { option: "--user-pin-file", variable: "SIGNET_USER_PIN", ..USER };
const RECIPIENT: Source<'static> =
    Source { option: "--recipient-pin-file", variable: "SIGNET_RECIPIENT_PIN", ..USER };
const PASSPHRASE: Source<'static> = Source {
    option: "--passphrase-file",
    variable: "SIGNET_BACKUP_PASSPHRASE",
    plural: "passphrases",
    ..USER
};

fn named(file: Option<&PathBuf>) -> String {
    file.map_or_else(String::new, |path| format!("{}: ", path.display()))
}

fn obtain(file: Option<&PathBuf>, source: &Source<'_>, twice: bool) -> Result<Pin, Failure> {
    let Source { what, option, variable, plural } = source;
    if let Some(path) = file {
        let content = OsEnvironment
            .read_file(path, FILE_MAX)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let content = Zeroizing::new(content);
        let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Ok(Pin::copied(line.strip_suffix(b"\r").unwrap_or(line)));
    }
    if let Some(value) = OsEnvironment.var(variable).filter(|value| !value.is_empty()) {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        return Ok(Pin::copied(&value));
    }
    // The terminal itself: standard input may be the message.
    if std::fs::File::open("/dev/tty").is_err() {
        return Err(
            format!("{what} is needed: name a file with {option}, or set {variable}").into()
        );
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let pin = ask(format!("{what}: "))?;
    if twice && *ask(format!("{what} again: "))? != *pin {
        return Err(format!("the two {plural} differ").into());
    }
    Ok(Pin::copied(pin.as_bytes()))
}
