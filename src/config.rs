//! Configuration: files and environment variables become one checked value.
//!
//! **Where settings come from.** One file at most is read: the one that
//! `SIGNET_CONF` names, else the one that `SOFTHSM2_CONF` names, else
//! `$XDG_CONFIG_HOME/signet/signet.conf` (`~/.config/signet/signet.conf`), else
//! `/etc/signet/signet.conf`; without a file the defaults serve. Each setting's
//! own environment variable wins over the file. A variable that is set but
//! empty counts as not set. A file that a variable names must be readable; one
//! that is only looked for may be absent, and one that this user may not read
//! is noted and passed over.
//!
//! **Syntax** (SoftHSM 2's): one `key = value` a line; `#` starts a comment
//! anywhere; blanks around key and value do not count; a line without a key, a
//! `=` or a value is noted and passed over, as are unknown keys; the last of
//! several values counts. Unlike SoftHSM's, a value reaches to the end of its
//! line even where it holds another `=`.
//!
//! **Settings.** [`SETTINGS`] lists every key with its variable; the fields of
//! [`Config`] say what they mean.
#![forbid(unsafe_code)]

mod file;
mod value;

use crate::audit;
use crate::error::{Error, Result};
use crate::log::{Level, LogTarget};
use crate::secret::Pin;
use crate::types::{Home, MechanismType};
use crate::vault::PinParameters;
use file::File;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// What the configuration asks of the process and machine it is read in.
pub trait Environment {
    /// An environment variable's value.
    fn var(&self, name: &str) -> Option<OsString>;

    /// A file's content, cut at `limit` bytes.
    ///
    /// # Errors
    /// The system's answer; a directory is an error.
    fn read_file(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The user's home directory, if there is one.
    fn home(&self) -> Option<PathBuf>;

    /// Whether the process runs as the superuser.
    fn is_root(&self) -> bool;

    /// The directory that relative paths start from.
    ///
    /// # Errors
    /// The system's answer, when the directory is gone or out of reach.
    fn current_dir(&self) -> io::Result<PathBuf>;
}

/// The largest configuration file accepted, in bytes.
pub const MAX_FILE_LEN: usize = 1024 * 1024;

/// The largest file accepted for a PIN or a label, in bytes.
const MAX_VALUE_FILE_LEN: usize = 4096;

/// The configuration for the whole machine.
const SYSTEM_FILE: &str = "/etc/signet/signet.conf";

/// The token directory of the superuser where none is set.
const SYSTEM_TOKEN_DIR: &str = "/var/lib/signet/tokens";

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The directory that holds the tokens, absolute. It need not exist yet.
    pub token_dir: PathBuf,
    /// `objectstore.umask` as given. It changes nothing: the store's files have
    /// mode 0600 in a directory of mode 0700, whatever it allows.
    pub umask: u32,
    /// Messages at this level or more important are logged; `None`: none.
    pub log_level: Option<Level>,
    /// Where they go.
    pub log_target: LogTarget,
    /// Whether slots report `CKF_REMOVABLE_DEVICE`.
    pub slots_removable: bool,
    /// The mechanisms that the module offers of those it has.
    pub mechanisms: Mechanisms,
    /// `library.reset_on_fork` as given. It changes nothing: a forked child
    /// must always initialise the module again, and can.
    pub reset_on_fork: Option<bool>,
    /// Wrong PINs in a row that lock a PIN; 3 to 100.
    pub max_pin_attempts: u32,
    /// Whether a login fails when the store is read-only, so that its attempt
    /// cannot be counted.
    pub pin_counter_required: bool,
    /// The cost of deriving a key from a PIN that is set from now on.
    pub argon2: PinParameters,
    /// Token objects that are kept open at a time; 1 to 1,000,000. One that is
    /// used again after that is read and opened anew.
    pub cache_objects: u32,
    /// How long to wait for another process that keeps a token locked and does not
    /// get on: 1 to 3,600 seconds.
    pub busy_timeout: Duration,
    /// Account and region of the tokens that are made.
    pub home: Home,
    /// The file that remembers how far each token has come, outside the token
    /// directory, so that an old copy of a token is refused.
    pub rollback_counter: Option<PathBuf>,
    /// What is recorded in the audit trail of each token, and for how long.
    pub audit: audit::Settings,
    /// The token to make at the first start, if any.
    pub auto_init: Option<AutoInit>,
    /// What was odd but usable, for the log.
    pub notices: Vec<Notice>,
}

/// Which mechanisms are offered (`slots.mechanisms`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanisms {
    /// Every one that the module has.
    All,
    /// These only.
    Only(Vec<MechanismType>),
    /// Every one but these.
    AllBut(Vec<MechanismType>),
}

impl Mechanisms {
    /// Whether `mechanism` is offered.
    #[must_use]
    pub fn offers(&self, mechanism: MechanismType) -> bool {
        match self {
            Self::All => true,
            Self::Only(list) => list.contains(&mechanism),
            Self::AllBut(list) => !list.contains(&mechanism),
        }
    }
}

/// A token that the module makes when no token bears the label yet.
#[derive(Debug)]
pub struct AutoInit {
    /// The token's label: 1 to 32 bytes of UTF-8.
    pub label: String,
    /// The security officer's PIN, of a valid length.
    pub so_pin: Pin,
    /// The user's PIN, of a valid length.
    pub user_pin: Pin,
}

/// Something to tell the administrator that does not stop the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// The message, beginning with the file and line or the variable.
    pub text: String,
}

/// One setting: how a file and how the environment call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The key in a file.
    pub key: &'static str,
    /// The environment variable that wins over the file.
    pub variable: &'static str,
}

macro_rules! settings {
    ($($name:ident: $key:literal, $variable:literal;)+) => {
        $(const $name: Setting = Setting { key: $key, variable: $variable };)+
        /// Every setting. The variable of a key is `SIGNET_` and the key in
        /// capitals with `_` for `.`; only the token directory's is shorter.
        pub const SETTINGS: &[Setting] = &[$($name,)+];
    };
}

settings! {
    TOKEN_DIR: "directories.tokendir", "SIGNET_TOKENDIR";
    BACKEND: "objectstore.backend", "SIGNET_OBJECTSTORE_BACKEND";
    UMASK: "objectstore.umask", "SIGNET_OBJECTSTORE_UMASK";
    LOG_LEVEL: "log.level", "SIGNET_LOG_LEVEL";
    LOG_FILE: "log.file", "SIGNET_LOG_FILE";
    REMOVABLE: "slots.removable", "SIGNET_SLOTS_REMOVABLE";
    MECHANISMS: "slots.mechanisms", "SIGNET_SLOTS_MECHANISMS";
    RESET_ON_FORK: "library.reset_on_fork", "SIGNET_LIBRARY_RESET_ON_FORK";
    PIN_ATTEMPTS: "pin.max_attempts", "SIGNET_PIN_MAX_ATTEMPTS";
    PIN_COUNTER: "pin.require_counter", "SIGNET_PIN_REQUIRE_COUNTER";
    ARGON2_MEMORY: "pin.argon2_memory_kib", "SIGNET_PIN_ARGON2_MEMORY_KIB";
    ARGON2_ITERATIONS: "pin.argon2_iterations", "SIGNET_PIN_ARGON2_ITERATIONS";
    ARGON2_LANES: "pin.argon2_lanes", "SIGNET_PIN_ARGON2_LANES";
    CACHE_OBJECTS: "cache.objects", "SIGNET_CACHE_OBJECTS";
    ACCOUNT: "kms.account", "SIGNET_KMS_ACCOUNT";
    REGION: "kms.region", "SIGNET_KMS_REGION";
    BUSY_TIMEOUT: "store.busy_timeout", "SIGNET_STORE_BUSY_TIMEOUT";
    ROLLBACK_COUNTER: "rollback.counter", "SIGNET_ROLLBACK_COUNTER";
    AUDIT_MAC: "audit.mac", "SIGNET_AUDIT_MAC";
    AUDIT_REQUIRED: "audit.required", "SIGNET_AUDIT_REQUIRED";
    AUDIT_RETENTION: "audit.retention", "SIGNET_AUDIT_RETENTION";
    AUDIT_SEGMENT_SIZE: "audit.segment_size", "SIGNET_AUDIT_SEGMENT_SIZE";
    LABEL: "auto_init.label", "SIGNET_AUTO_INIT_LABEL";
    LABEL_FILE: "auto_init.label_file", "SIGNET_AUTO_INIT_LABEL_FILE";
    SO_PIN_FILE: "auto_init.so_pin_file", "SIGNET_AUTO_INIT_SO_PIN_FILE";
    USER_PIN_FILE: "auto_init.user_pin_file", "SIGNET_AUTO_INIT_USER_PIN_FILE";
}

/// The variable that holds the SO PIN itself: no file may.
pub const SO_PIN_VARIABLE: &str = "SIGNET_AUTO_INIT_SO_PIN";

/// The variable that holds the user PIN itself: no file may.
pub const USER_PIN_VARIABLE: &str = "SIGNET_AUTO_INIT_USER_PIN";

impl Config {
    /// The configuration of `environment`.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a named file that cannot be read, a file
    /// larger than [`MAX_FILE_LEN`] or not UTF-8, and a value that cannot be
    /// used. The message begins with file, line and key, or with the variable.
    pub fn load(environment: &dyn Environment) -> Result<Self> {
        let mut notices = Vec::new();
        let file = find_file(environment, &mut notices)?;
        Reader { environment, file, notices }.config()
    }

    /// The built-in values for every setting but the token directory.
    #[must_use]
    pub fn with_token_dir(token_dir: PathBuf) -> Self {
        Self {
            token_dir,
            umask: 0o077,
            log_level: Some(Level::Warning),
            log_target: LogTarget::Stderr,
            slots_removable: false,
            mechanisms: Mechanisms::All,
            reset_on_fork: None,
            max_pin_attempts: 10,
            pin_counter_required: false,
            argon2: PinParameters::DEFAULT,
            cache_objects: 1024,
            busy_timeout: Duration::from_secs(30),
            home: Home::DEFAULT,
            rollback_counter: None,
            audit: audit::Settings::DEFAULT,
            auto_init: None,
            notices: Vec::new(),
        }
    }
}

/// An environment variable that is not empty.
fn variable(environment: &dyn Environment, name: &str) -> Option<OsString> {
    environment.var(name).filter(|value| !value.is_empty())
}

/// The one file that counts, parsed.
fn find_file(environment: &dyn Environment, notices: &mut Vec<Notice>) -> Result<File> {
    for name in ["SIGNET_CONF", "SOFTHSM2_CONF"] {
        if let Some(path) = variable(environment, name) {
            let path = PathBuf::from(path);
            let content = environment
                .read_file(&path, MAX_FILE_LEN + 1)
                .map_err(|error| refused(&format!("{name}: {}", path.display()), &error))?;
            return File::parse(&path, content, notices);
        }
    }
    let user_file = user_directory(environment, "XDG_CONFIG_HOME", ".config")
        .map(|directory| directory.join("signet/signet.conf"));
    for path in user_file.into_iter().chain([SYSTEM_FILE.into()]) {
        match environment.read_file(&path, MAX_FILE_LEN + 1) {
            Ok(content) => return File::parse(&path, content, notices),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {}
                io::ErrorKind::PermissionDenied => notices.push(Notice {
                    level: Level::Warning,
                    text: format!("{}: passed over: {error}", path.display()),
                }),
                _ => return Err(refused(&path.display().to_string(), &error)),
            },
        }
    }
    Ok(File::default())
}

/// A directory of the XDG Base Directory Specification, which says to disregard
/// a variable that holds a relative path.
fn user_directory(
    environment: &dyn Environment,
    variable_name: &str,
    below_home: &str,
) -> Option<PathBuf> {
    variable(environment, variable_name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| environment.home().map(|home| home.join(below_home)))
}

fn refused(origin: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Configuration(format!("{origin}: {why}"))
}

/// A value as it was given, and where. Not printable: it may be a PIN.
struct Given {
    origin: String,
    value: OsString,
}

impl Given {
    fn refused(&self, why: &dyn std::fmt::Display) -> Error {
        refused(&self.origin, why)
    }

    /// The text, without blanks around it.
    fn text(&self) -> Result<&str> {
        let text = self.value.to_str().ok_or_else(|| self.refused(&"is not UTF-8"))?;
        Ok(value::trimmed(text))
    }
}

struct Reader<'a> {
    environment: &'a dyn Environment,
    file: File,
    notices: Vec<Notice>,
}

impl Reader<'_> {
    fn config(mut self) -> Result<Config> {
        let mut config = Config::with_token_dir(self.token_dir()?);
        self.parse(BACKEND, value::backend)?;
        self.set(&mut config.umask, UMASK, value::umask)?;
        if config.umask != 0o077 {
            let text = "has no effect: the store's files are their owner's alone, as with 077";
            self.notice(Level::Warning, UMASK, text);
        }
        self.set(&mut config.log_level, LOG_LEVEL, value::log_level)?;
        if let Some(path) = self.path(LOG_FILE)? {
            config.log_target = LogTarget::File(path);
        }
        self.set(&mut config.slots_removable, REMOVABLE, value::boolean)?;
        if let Some((mechanisms, unknown)) = self.parse(MECHANISMS, value::mechanisms)? {
            config.mechanisms = mechanisms;
            for name in unknown {
                let text = format!("the module has no mechanism {name:?}: passed over");
                self.notice(Level::Warning, MECHANISMS, &text);
            }
        }
        config.reset_on_fork = self.parse(RESET_ON_FORK, value::boolean)?;
        if config.reset_on_fork == Some(false) {
            let text = "has no effect: a forked child must initialise the module again";
            self.notice(Level::Info, RESET_ON_FORK, text);
        }
        self.set(&mut config.max_pin_attempts, PIN_ATTEMPTS, value::number(3, 100))?;
        self.set(&mut config.pin_counter_required, PIN_COUNTER, value::boolean)?;
        config.argon2 = self.argon2()?;
        self.set(&mut config.cache_objects, CACHE_OBJECTS, value::number(1, 1_000_000))?;
        if let Some(seconds) = self.parse(BUSY_TIMEOUT, value::number(1, 3600))? {
            config.busy_timeout = Duration::from_secs(seconds.into());
        }
        self.set(&mut config.home.account, ACCOUNT, value::account)?;
        self.set(&mut config.home.region, REGION, value::region)?;
        config.rollback_counter = self.rollback_counter(&config.token_dir)?;
        self.set(&mut config.audit.mac, AUDIT_MAC, value::mac_mode)?;
        self.set(&mut config.audit.required, AUDIT_REQUIRED, value::boolean)?;
        self.set(&mut config.audit.retention, AUDIT_RETENTION, value::retention)?;
        let sizes = value::size(64 << 10, 1 << 30);
        self.set(&mut config.audit.segment_size, AUDIT_SEGMENT_SIZE, sizes)?;
        config.auto_init = self.auto_init()?;
        config.notices = self.notices;
        Ok(config)
    }

    /// The setting's value from its variable, else from the file.
    fn given(&self, setting: Setting) -> Option<Given> {
        variable(self.environment, setting.variable)
            .map(|value| Given { origin: setting.variable.into(), value })
            .or_else(|| self.file.given(setting.key))
    }

    fn parse<T>(
        &self,
        setting: Setting,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(given) = self.given(setting) else { return Ok(None) };
        parse(given.text()?).map(Some).map_err(|why| given.refused(&why))
    }

    fn set<T>(
        &self,
        field: &mut T,
        setting: Setting,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<()> {
        if let Some(value) = self.parse(setting, parse)? {
            *field = value;
        }
        Ok(())
    }

    fn notice(&mut self, level: Level, setting: Setting, text: &str) {
        if let Some(given) = self.given(setting) {
            self.notices.push(Notice { level, text: format!("{}: {text}", given.origin) });
        }
    }

    /// A path, made absolute now: the application may change its directory
    /// later.
    fn path(&self, setting: Setting) -> Result<Option<PathBuf>> {
        let Some(given) = self.given(setting) else { return Ok(None) };
        if given.value.as_encoded_bytes().iter().any(u8::is_ascii_control) {
            return Err(given.refused(&"a path holds no control characters"));
        }
        self.absolute(&given.origin, PathBuf::from(&given.value)).map(Some)
    }

    fn absolute(&self, origin: &str, path: PathBuf) -> Result<PathBuf> {
        if path.is_absolute() {
            return Ok(path);
        }
        match self.environment.current_dir() {
            Ok(directory) => Ok(directory.join(path)),
            Err(error) => {
                Err(refused(origin, &format!("relative, and the directory is gone: {error}")))
            }
        }
    }

    fn token_dir(&self) -> Result<PathBuf> {
        if let Some(path) = self.path(TOKEN_DIR)? {
            return Ok(path);
        }
        if self.environment.is_root() {
            return Ok(SYSTEM_TOKEN_DIR.into());
        }
        let directory = user_directory(self.environment, "XDG_DATA_HOME", ".local/share");
        let directory = directory.ok_or_else(|| {
            refused(TOKEN_DIR.variable, &"must be set: this user has no home directory")
        })?;
        self.absolute("HOME", directory.join("signet/tokens"))
    }

    fn argon2(&self) -> Result<PinParameters> {
        let mut cost = PinParameters::DEFAULT;
        let most = PinParameters::MAX;
        self.set(&mut cost.memory_kib, ARGON2_MEMORY, value::number(7_168, most.memory_kib))?;
        self.set(&mut cost.iterations, ARGON2_ITERATIONS, value::number(1, most.iterations))?;
        self.set(&mut cost.lanes, ARGON2_LANES, value::number(1, most.lanes))?;
        cost.checked().map_err(|why| {
            let given = [ARGON2_MEMORY, ARGON2_ITERATIONS].map(|setting| self.given(setting));
            let origins: Vec<String> =
                given.into_iter().flatten().map(|given| given.origin).collect();
            refused(&origins.join(" and "), &why)
        })
    }

    /// In the token directory it would be copied and restored with the tokens.
    fn rollback_counter(&self, token_dir: &Path) -> Result<Option<PathBuf>> {
        let path = self.path(ROLLBACK_COUNTER)?;
        match self.given(ROLLBACK_COUNTER) {
            Some(given) if path.as_ref().is_some_and(|path| path.starts_with(token_dir)) => {
                Err(given.refused(&"must lie outside the token directory"))
            }
            _ => Ok(path),
        }
    }

    fn auto_init(&self) -> Result<Option<AutoInit>> {
        let label = self.label()?;
        let so_pin = self.pin(SO_PIN_VARIABLE, SO_PIN_FILE)?;
        let user_pin = self.pin(USER_PIN_VARIABLE, USER_PIN_FILE)?;
        match (label, so_pin, user_pin) {
            (None, None, None) => Ok(None),
            (Some(label), Some(so_pin), Some(user_pin)) => {
                Ok(Some(AutoInit { label, so_pin, user_pin }))
            }
            (label, so_pin, user_pin) => {
                let parts = [
                    (label.is_none(), LABEL.variable),
                    (so_pin.is_none(), SO_PIN_VARIABLE),
                    (user_pin.is_none(), USER_PIN_VARIABLE),
                ];
                let missing: Vec<&str> =
                    parts.into_iter().filter_map(|(absent, name)| absent.then_some(name)).collect();
                let why = "is missing: auto-init needs a label and both PINs, \
                           each in its variable or in the file that <variable>_FILE names";
                Err(refused(&missing.join(" and "), &why))
            }
        }
    }

    fn label(&self) -> Result<Option<String>> {
        // The environment wins, also when it names a file and the file holds a label.
        let found = match self.file.given(LABEL.key) {
            Some(given)
                if [LABEL, LABEL_FILE]
                    .iter()
                    .all(|setting| variable(self.environment, setting.variable).is_none()) =>
            {
                Some((given.origin, Zeroizing::new(given.value.into_encoded_bytes())))
            }
            _ => self.either(LABEL.variable, LABEL_FILE)?,
        };
        let Some((origin, bytes)) = found else { return Ok(None) };
        value::label(&bytes).map(Some).map_err(|why| refused(&origin, &why))
    }

    fn pin(&self, name: &str, file: Setting) -> Result<Option<Pin>> {
        let Some((origin, bytes)) = self.either(name, file)? else { return Ok(None) };
        let pin = Pin::copied(&bytes);
        if pin.has_valid_length() {
            return Ok(Some(pin));
        }
        let (least, most) = (Pin::MIN_LEN, Pin::MAX_LEN);
        Err(refused(&origin, &format!("a PIN has {least} to {most} bytes")))
    }

    /// A value from its own variable, else from the file that the setting names;
    /// and how to call it.
    fn either(&self, name: &str, file: Setting) -> Result<Option<(String, Zeroizing<Vec<u8>>)>> {
        let Some(value) = variable(self.environment, name) else { return self.value_file(file) };
        if variable(self.environment, file.variable).is_some() {
            return Err(refused(name, &format!("set together with {}", file.variable)));
        }
        Ok(Some((name.into(), Zeroizing::new(value.into_encoded_bytes()))))
    }

    /// The content, less one line end, of the file that the setting names; and
    /// how to call it.
    fn value_file(&self, setting: Setting) -> Result<Option<(String, Zeroizing<Vec<u8>>)>> {
        let Some(path) = self.path(setting)? else { return Ok(None) };
        let origin = self.given(setting).map(|given| given.origin).unwrap_or_default();
        let origin = format!("{origin}: {}", path.display());
        let content = self
            .environment
            .read_file(&path, MAX_VALUE_FILE_LEN + 1)
            .map_err(|error| refused(&origin, &error))?;
        let mut content = Zeroizing::new(content);
        if content.len() > MAX_VALUE_FILE_LEN {
            return Err(refused(&origin, &format!("longer than {MAX_VALUE_FILE_LEN} bytes")));
        }
        let rest = content.strip_suffix(b"\n").unwrap_or(&content);
        let length = rest.strip_suffix(b"\r").unwrap_or(rest).len();
        content.truncate(length);
        Ok(Some((origin, content)))
    }
}

#[cfg(test)]
mod tests;
