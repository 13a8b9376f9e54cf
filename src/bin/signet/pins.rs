//! Where PINs come from: a file, the environment, the terminal. Never from the
//! command line itself, which other users of the machine can read.

use crate::Failure;
use signet_pkcs11::config::Environment;
use signet_pkcs11::host::OsEnvironment;
use signet_pkcs11::secret::Pin;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The longest PIN file that is read, in bytes.
const FILE_MAX: usize = 4096;

/// The file that holds the user PIN.
#[derive(clap::Args)]
pub struct PinFile {
    /// Read the user PIN from this file (its first line)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The user PIN of a token.
pub fn user(file: &PinFile, token: &str) -> Result<Pin, Failure> {
    present(file.pin_file.as_ref(), "SIGNET_PIN", &format!("PIN of \"{token}\""))
}

/// The security officer's PIN of a token.
pub fn security_officer(file: Option<&PathBuf>, token: &str) -> Result<Pin, Failure> {
    present(file, "SIGNET_SO_PIN", &format!("Security officer PIN of \"{token}\""))
}

/// A PIN that has been set. One that no PIN can be, an empty file's for example, is not
/// tried: it would only use up an attempt.
fn present(file: Option<&PathBuf>, variable: &str, what: &str) -> Result<Pin, Failure> {
    let pin = obtain(file, variable, what, false)?;
    if pin.has_valid_length() {
        return Ok(pin);
    }
    let source = match file {
        Some(path) => format!("{}: ", path.display()),
        None => String::new(),
    };
    Err(format!("{source}a PIN has {} to {} bytes", Pin::MIN_LEN, Pin::MAX_LEN).into())
}

/// A user PIN that is being set.
pub fn new_user(file: &PinFile, token: &str) -> Result<Pin, Failure> {
    obtain(file.pin_file.as_ref(), "SIGNET_PIN", &format!("New PIN of \"{token}\""), true)
}

/// A security officer's PIN that is being set.
pub fn new_security_officer(file: Option<&PathBuf>, token: &str) -> Result<Pin, Failure> {
    let what = format!("New security officer PIN of \"{token}\"");
    obtain(file, "SIGNET_SO_PIN", &what, true)
}

fn obtain(file: Option<&PathBuf>, variable: &str, what: &str, twice: bool) -> Result<Pin, Failure> {
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
        return Err(format!(
            "{what} is needed: name a file with --pin-file or --so-pin-file, or set {variable}"
        )
        .into());
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let pin = ask(format!("{what}: "))?;
    if twice && *ask(format!("{what} again: "))? != *pin {
        return Err("the two PINs differ".into());
    }
    Ok(Pin::copied(pin.as_bytes()))
}
