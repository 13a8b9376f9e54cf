//! The module that the configuration describes, and finding things in it.

use crate::Failure;
use crate::pins::{self, PinFile};
use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::error::Error;
use signet_pkcs11::host::OsEnvironment;
use signet_pkcs11::log::{Escaped, Log, Logger};
use signet_pkcs11::module::Module;
use signet_pkcs11::policy::Principal;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::{CounterFile, DirectoryPlace};
use signet_pkcs11::token::{Info, Name, PinState, Surroundings, Token};
use signet_pkcs11::types::{
    AttributeType, ObjectClass, ObjectHandle, RawAttribute, SessionHandle, SlotId, Ulong, UserType,
};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroize;

/// Why a role was not taken.
const NOT_TO_TAKE: &str = "this user may not take this role, or there is none of this name; \
    `signet role trust` tells the owner whom a role lets take it";

/// What every command needs.
pub struct Context {
    /// The tokens.
    pub module: Module,
    /// Where the tokens are.
    pub directory: PathBuf,
}

impl Context {
    /// Reads the configuration and opens the token directory.
    pub fn open() -> Result<Self, Failure> {
        let config = Config::load(&OsEnvironment)?;
        let log = Arc::new(Self::log(&config)?);
        for notice in &config.notices {
            log.record(notice.level, format_args!("{}", notice.text));
        }
        Self::over(config, log)
    }

    fn log(config: &Config) -> Result<Logger, Failure> {
        let (clock, pid) = (Arc::new(SystemClock), std::process::id());
        Ok(Logger::open(config.log_level, &config.log_target, clock, pid)?)
    }

    fn over(config: Config, log: Arc<Logger>) -> Result<Self, Failure> {
        let entropy = Arc::new(OsEntropy);
        let place = DirectoryPlace::new(&config.token_dir, entropy.clone());
        let place = Arc::new(place.with_busy_timeout(config.busy_timeout));
        let surroundings = Surroundings { entropy, clock: Arc::new(SystemClock), log };
        let module = Module::new(place, surroundings, &config)?;
        Ok(Self { module, directory: config.token_dir })
    }

    /// The same tokens without asking the rollback counter; and that counter.
    pub fn unguarded() -> Result<(Self, CounterFile), Failure> {
        let mut config = Config::load(&OsEnvironment)?;
        let (log, busy_timeout) = (Arc::new(Self::log(&config)?), config.busy_timeout);
        let counter = config.rollback_counter.take();
        let counter = counter.ok_or("no rollback counter is set (rollback.counter)")?;
        Ok((Self::over(config, log)?, CounterFile::new(counter, busy_timeout)))
    }

    /// Every initialised token and its slot. One that cannot be read is named on
    /// standard error and keeps nobody from the others.
    pub fn tokens(&self) -> Result<Tokens, Failure> {
        let mut tokens = Tokens::default();
        for slot in self.module.slot_list()? {
            match self.module.token_info(slot) {
                Ok(info) => tokens.readable.extend(info.token.map(|info| (slot, info))),
                Err(error) => {
                    eprintln!("signet: slot {slot} is passed over: {error}");
                    tokens.unreadable += 1;
                }
            }
        }
        Ok(tokens)
    }

    /// The token with this label. Several tokens may bear one label; then
    /// nobody can know which is meant.
    pub fn token(&self, label: &str) -> Result<(SlotId, Info), Failure> {
        let Tokens { readable, unreadable } = self.tokens()?;
        let mut there: Vec<_> =
            readable.iter().map(|(_, info)| Escaped(&info.label).to_string()).collect();
        there.extend((unreadable > 0).then(|| format!("{unreadable} that cannot be read")));
        let mut named: Vec<_> =
            readable.into_iter().filter(|(_, info)| info.label == label).collect();
        match (named.pop(), named.is_empty()) {
            (Some(token), true) => Ok(token),
            (Some(_), false) => Err(format!("several tokens are labelled \"{label}\"").into()),
            (None, _) => Err(format!(
                "no token is labelled \"{label}\"; there is {} in {}",
                if there.is_empty() { "none".to_owned() } else { there.join(", ") },
                self.directory.display()
            )
            .into()),
        }
    }

    /// The label of the token in this slot.
    pub fn label(&self, slot: SlotId) -> Result<String, Failure> {
        let info = self.module.token_info(slot)?.token;
        Ok(info.ok_or_else(|| format!("slot {slot} is empty now"))?.label)
    }

    /// A session with this token in which its owner is logged in.
    pub fn log_in(
        &self,
        label: &str,
        read_write: bool,
        pin: &PinFile,
    ) -> Result<Login<'_>, Failure> {
        self.log_in_with(label, read_write, |label| pins::user(pin, label))
    }

    /// The same, with the PIN that `pin` obtains.
    pub fn log_in_with(
        &self,
        label: &str,
        read_write: bool,
        pin: impl FnOnce(&str) -> Result<Pin, Failure>,
    ) -> Result<Login<'_>, Failure> {
        let (slot, info) = self.token(label)?;
        if !info.user.initialized {
            return Err(format!("the user PIN of \"{label}\" has not been set").into());
        }
        let session = self.module.open_session(slot, read_write)?;
        let pin = pin(label)?;
        self.log_in_to(slot, session, UserType::User, &pin)?;
        Ok(Login { module: &self.module, session })
    }

    /// A session with this token in which a named user is logged in, perhaps in a role.
    pub fn log_in_named(
        &self,
        label: &str,
        (user, role): (&Name, Option<&Name>),
        read_write: bool,
        pin: &PinFile,
    ) -> Result<Login<'_>, Failure> {
        let (slot, _) = self.token(label)?;
        let (module, session) = (&self.module, self.module.open_session(slot, read_write)?);
        let pin = pins::named_user(pin, user, label)?;
        let logged_in = match role {
            Some(role) => module.login_in_role(session, role, user, &pin),
            None => module.login_user(session, UserType::User, user.as_str(), &pin),
        };
        match logged_in {
            Err(Error::PinIncorrect) => {
                Err(format!("wrong PIN, or no user is called {user}").into())
            }
            Err(Error::ActionProhibited(_)) if role.is_some() => Err(NOT_TO_TAKE.into()),
            Err(Error::PinLocked) => Err(format!(
                "the PIN of {user} is locked after too many wrong attempts; the owner sets it \
                 anew with `signet user pin`"
            )
            .into()),
            other => {
                other?;
                Ok(Login { module, session })
            }
        }
    }

    /// A session with this token in which its security officer is logged in.
    pub fn log_in_security_officer(
        &self,
        label: &str,
        pin_file: Option<&PathBuf>,
    ) -> Result<Login<'_>, Failure> {
        let (slot, _) = self.token(label)?;
        let session = self.module.open_session(slot, true)?;
        let pin = pins::security_officer(pin_file, label)?;
        self.log_in_to(slot, session, UserType::SecurityOfficer, &pin)?;
        Ok(Login { module: &self.module, session })
    }

    /// Logs in to a session; a wrong PIN is told with what is left.
    pub fn log_in_to(
        &self,
        slot: SlotId,
        session: SessionHandle,
        user: UserType,
        pin: &Pin,
    ) -> Result<(), Failure> {
        let may_name_a_user = user == UserType::User && pin.has_colon();
        let left = |of: &Self| of.pin_state(slot, user).map(|pin| pin.attempts_left());
        let before = may_name_a_user.then(|| left(self)).flatten();
        match self.module.login(session, user, pin) {
            Err(Error::PinIncorrect) if before.is_some() && before == left(self) => {
                Err("wrong PIN of the user whose name it begins with".into())
            }
            Err(Error::PinIncorrect) => Err(self.wrong_pin(slot, user)),
            Err(Error::ActionProhibited(_)) if may_name_a_user => Err(NOT_TO_TAKE.into()),
            other => Ok(other?),
        }
    }

    /// How a PIN stands, if that can be told. Where nothing can be written, nothing is
    /// counted.
    fn pin_state(&self, slot: SlotId, user: UserType) -> Option<PinState> {
        let state = self.module.token_info(slot).ok().and_then(|info| info.token);
        state.filter(|info| info.writable).map(|info| match user {
            UserType::SecurityOfficer => info.security_officer,
            _ => info.user,
        })
    }

    /// What to say of a wrong PIN.
    pub fn wrong_pin(&self, slot: SlotId, user: UserType) -> Failure {
        let whose = match user {
            UserType::SecurityOfficer => "wrong security officer PIN",
            _ => "wrong PIN",
        };
        match self.pin_state(slot, user).map(|pin| pin.attempts_left()) {
            Some(0) => format!("{whose}; it is now locked").into(),
            Some(1) => format!("{whose}; the next wrong one locks it").into(),
            Some(left) => format!("{whose}; {left} attempts left").into(),
            None => whose.into(),
        }
    }
}

/// The tokens of a directory.
#[derive(Default)]
pub struct Tokens {
    /// Those that can be read, and their slots.
    pub readable: Vec<(SlotId, Info)>,
    /// How many cannot.
    pub unreadable: usize,
}

/// A session whose user is logged in.
pub struct Login<'a> {
    /// The module.
    pub module: &'a Module,
    /// The session.
    pub session: SessionHandle,
}

impl Login<'_> {
    /// The token, and who acts.
    pub fn token(&self) -> Result<(Arc<Token>, Principal), Failure> {
        Ok(self.module.token_of(self.session)?)
    }

    /// Whether a named user is logged in, whose policies decide, and not the owner.
    pub fn is_named(&self) -> Result<bool, Failure> {
        Ok(matches!(self.token()?.1, Principal::Named(_)))
    }

    /// The secret keys that match, by label, id or both.
    pub fn keys(&self, name: &KeyName) -> Result<Vec<ObjectHandle>, Failure> {
        let mut found = Vec::new();
        self.each_key(name, &mut |key| {
            found.push(key);
            Ok(())
        })?;
        Ok(found)
    }

    /// Shows `visit` the secret keys that match, as they are found.
    pub fn each_key(
        &self,
        name: &KeyName,
        visit: &mut dyn FnMut(ObjectHandle) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        const PORTION: usize = 64;
        let mut template = Attributes::default();
        template.number(AttributeType::Class, ObjectClass::SecretKey.to_ck());
        name.describe(&mut template);
        self.module.find_objects_init(self.session, &template.raw())?;
        loop {
            let some = self.module.find_objects(self.session, PORTION)?;
            if some.is_empty() {
                return Ok(self.module.find_objects_final(self.session)?);
            }
            some.into_iter().try_for_each(&mut *visit)?;
        }
    }

    /// The one key of this name. What is no key's label may be an alias, `alias/…`, or a
    /// unique id.
    pub fn key(&self, name: &KeyName) -> Result<ObjectHandle, Failure> {
        let found = match *self.keys(name)? {
            [key] => return Ok(key),
            [] => self.by_other_name(name)?,
            [..] => return Err(format!("several keys {name}; name one by label and id").into()),
        };
        let whose = if self.is_named()? { " that this user may see" } else { "" };
        let missing = || format!("no key{whose} {name}; `signet key list` shows what is there");
        found.ok_or_else(|| missing().into())
    }

    /// The unique id of the one key of this name.
    pub fn key_id(&self, name: &KeyName) -> Result<String, Failure> {
        Ok(String::from_utf8(self.attribute(self.key(name)?, AttributeType::UniqueId)?)?)
    }

    fn by_other_name(&self, name: &KeyName) -> Result<Option<ObjectHandle>, Failure> {
        let KeyName { key: Some(text), id: None } = name else { return Ok(None) };
        let id = if text.starts_with("alias/") {
            let (token, principal) = self.token()?;
            token.key_of_alias(principal, text)?
        } else {
            text.clone()
        };
        let mut template = Attributes::default();
        template.number(AttributeType::Class, ObjectClass::SecretKey.to_ck());
        template.bytes(AttributeType::UniqueId, id.as_bytes());
        self.module.find_objects_init(self.session, &template.raw())?;
        let found = self.module.find_objects(self.session, 1)?.pop();
        self.module.find_objects_final(self.session)?;
        Ok(found)
    }

    /// An attribute of an object; empty when it has none.
    pub fn attribute(
        &self,
        object: ObjectHandle,
        attribute: AttributeType,
    ) -> Result<Vec<u8>, Failure> {
        let mut values = self.module.attributes(self.session, object, &[attribute.to_ck()])?;
        match values.pop() {
            Some(Ok(value)) => Ok(value.to_vec()),
            Some(Err(Error::AttributeTypeInvalid(_))) | None => Ok(Vec::new()),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

/// How a token is named whose label may not do.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct TokenName {
    /// The token's label
    pub label: Option<String>,
    /// The token's slot, if it cannot be read or others bear its label
    #[arg(long)]
    pub slot: Option<Ulong>,
}

impl TokenName {
    /// The slot that is meant, whatever is in it if it was named itself.
    pub fn slot(&self, context: &Context) -> Result<SlotId, Failure> {
        match &self.label {
            Some(label) => Ok(context.token(label)?.0),
            None => Ok(SlotId(self.slot.unwrap_or_default())),
        }
    }
}

/// The name of a user or a role on the command line.
pub fn name(text: &str) -> Result<Name, String> {
    Name::new(text).ok_or_else(|| {
        let most = Name::MAX_LEN;
        format!("a name has 1 to {most} of A-Z a-z 0-9 + = , . @ _ -")
    })
}

/// How a key is named on the command line.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub struct KeyName {
    /// The key's label; of a key that is there also its unique id, or alias/NAME
    #[arg(long, value_name = "LABEL")]
    pub key: Option<String>,
    /// The key's id (CKA_ID) in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub id: Option<Bytes>,
}

impl KeyName {
    /// Every key.
    pub const ANY: Self = Self { key: None, id: None };

    /// Puts the name into a template.
    pub fn describe(&self, template: &mut Attributes) {
        if let Some(label) = &self.key {
            template.bytes(AttributeType::Label, label.as_bytes());
        }
        if let Some(id) = &self.id {
            template.bytes(AttributeType::Id, &id.0);
        }
    }
}

impl std::fmt::Display for KeyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.key, &self.id) {
            (Some(label), None) => write!(f, "is labelled \"{label}\""),
            (None, Some(id)) => write!(f, "has the id {}", to_hex(&id.0)),
            (Some(label), Some(id)) => {
                write!(f, "is labelled \"{label}\" and has the id {}", to_hex(&id.0))
            }
            (None, None) => f.write_str("is there"),
        }
    }
}

/// Attributes for a template.
#[derive(Default)]
pub struct Attributes(Vec<(AttributeType, zeroize::Zeroizing<Vec<u8>>)>);

impl Attributes {
    /// Adds a flag.
    pub fn flag(&mut self, attribute: AttributeType, value: bool) {
        self.bytes(attribute, &[u8::from(value)]);
    }

    /// Adds a number.
    pub fn number(&mut self, attribute: AttributeType, value: Ulong) {
        self.bytes(attribute, &value.to_ne_bytes());
    }

    /// Adds bytes.
    pub fn bytes(&mut self, attribute: AttributeType, value: &[u8]) {
        self.0.push((attribute, value.to_vec().into()));
    }

    /// The template.
    pub fn raw(&self) -> Vec<RawAttribute<'_>> {
        self.0
            .iter()
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
            .collect()
    }
}

/// Bytes given in hexadecimal.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

/// Hexadecimal digits of the command line.
pub fn hex(text: &str) -> Result<Bytes, String> {
    from_hex(text.as_bytes()).map(Bytes)
}

/// Reads hexadecimal digits, in pairs. They may be a key's: the answer is made at
/// its full length at once, and leaves no shorter copies behind.
pub fn from_hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err("an even number of hexadecimal digits is needed".into());
    }
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.as_chunks::<2>().0 {
        match pair.map(value) {
            [Some(high), Some(low)] => bytes.push(high << 4 | low),
            _ => {
                bytes.zeroize();
                return Err("not hexadecimal".into());
            }
        }
    }
    Ok(bytes)
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
