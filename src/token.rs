//! A token: its label, its credentials, its objects. It knows no sessions and
//! no handles; whoever asks states a [`Principal`].
//!
//! # Records
//!
//! | Kind | Id | Body |
//! |---|---|---|
//! | `HEADER` | `token` | label, serial, date: readable by all |
//! | `CREDENTIAL` | `so`, `user`, `user/<name>` | what that PIN opens: in the end the root key |
//! | `SET` | `records` | sealed hash over (kind, id, version) of all bound records; which manifest |
//! | `PRIVATE` | unique id | an object, sealed |
//! | `PUBLIC` | unique id | an object, its attributes readable by all |
//! | `TRANSPORT` | `x25519` | the key pair that backups are sealed to, the private half sealed |
//! | `MANIFEST` | build and path | a sealed page that lists bound records, or pages below it |
//! | `USER`, `ROLE`, `ACCESS_KEY`, `GRANT`, `ALIAS` | see each | one sealed value: see `sealed` |
//! | `AUDIT_KEY` | `ed25519` | the key pair that signs checkpoints of the audit trail, the private half sealed |
//! | `QUARANTINED` | the record's own, numbered | a damaged record as it was found |
//!
//! What is written after a login is *bound*: sealed, or readable but sealed
//! against change. A public object that was made without a login is not.

#![forbid(unsafe_code)]

mod access_keys;
mod aliases;
mod audit;
mod authorization;
mod check;
mod credential;
mod dates;
mod entity;
mod explain;
mod grants;
mod key_life;
mod kms_keys;
mod live;
mod login;
mod manifest;
mod name;
mod named_login;
mod objects;
mod quarantine;
mod record;
mod roles;
mod rotation;
mod sealed;
mod search;
mod set;
mod transfer;
mod transport;
mod users;

pub use access_keys::{ACCESS_KEYS_MAX, AccessKey, KeyOwner};
pub use aliases::{ALIASES_MAX, Alias};
pub use authorization::Circumstances;
pub use check::{Damage, Finding, Report};
pub use credential::Holder;
pub use dates::Acted;
pub use entity::{Entity, Identity, POLICIES_MAX, POLICY_NAME_MAX, TAGS_MAX};
pub use explain::{Explanation, Question, Who};
pub use grants::{GRANTS_MAX, GrantFilter, KeyGrant, NewGrant};
pub use key_life::Scheduled;
pub use kms_keys::{KEYS_MAX, KeyMetadata};
pub use live::LiveObject;
pub use name::Name;
pub use named_login::NamedLogin;
pub use quarantine::Quarantined;
pub use roles::{Role, SESSION_SECONDS};
pub use search::{Found, Search};
pub use transfer::{Draft, Restored, Sealed};
pub use users::User;

use crate::audit::Trail;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::policy::{Document, Principal};
use crate::secret::Pin;
use crate::store::{Change, Compacted, CounterFile, Place, Progress, Reader, RecordId, Store};
use crate::types::{Home, SlotId, UserType};
use crate::vault::{PinParameters, PrivateKey, Vault};
use arc_swap::ArcSwap;
use live::Registry;
use parking_lot::{Mutex, RwLock};
use record::{ALIAS, GRANT, HEADER, Header, ROLE, USER};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// What a token needs from outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is said that the audit trail cannot be written.
    pub log: Arc<dyn Log>,
}

/// What the configuration says about tokens.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Wrong PINs in a row before the PIN is locked.
    pub pin_attempts: u32,
    /// The cost of a PIN set from now on, and at least that of one that logs in.
    pub pin_parameters: PinParameters,
    /// Refuse logins where attempts cannot be counted (a read-only store).
    pub require_counter: bool,
    /// Account and region of a token that is made.
    pub home: Home,
    /// What is recorded, and for how long.
    pub audit: crate::audit::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pin_attempts: 10,
            pin_parameters: PinParameters::DEFAULT,
            require_counter: false,
            home: Home::DEFAULT,
            audit: crate::audit::Settings::DEFAULT,
        }
    }
}

/// What a token is made with.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// The label, unpadded.
    pub label: &'a str,
    /// The security officer's PIN.
    pub so_pin: &'a Pin,
    /// The user's PIN, if it is set at once.
    pub user_pin: Option<&'a Pin>,
}

/// The state of one PIN, as the flags of `CK_TOKEN_INFO` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinState {
    /// The PIN has been set.
    pub initialized: bool,
    /// Wrong attempts since the last right one.
    pub failures: u32,
    /// Attempts before it is locked.
    pub limit: u32,
    /// What one attempt costs; absent when the PIN is not set, or its record damaged.
    pub cost: Option<PinParameters>,
}

impl PinState {
    /// Wrong attempts that can still be made before it is locked.
    #[must_use]
    pub const fn attempts_left(self) -> u32 {
        self.limit.saturating_sub(self.failures)
    }

    /// An incorrect PIN has been entered since the last login.
    #[must_use]
    pub const fn is_count_low(self) -> bool {
        self.failures > 0
    }

    /// One more incorrect PIN locks it.
    #[must_use]
    pub const fn is_final_try(self) -> bool {
        self.failures + 1 == self.limit
    }

    /// No PIN is accepted any more.
    #[must_use]
    pub const fn is_locked(self) -> bool {
        self.failures >= self.limit
    }
}

/// What anybody may know of a token.
#[derive(Debug, Clone)]
pub struct Info {
    /// The label, unpadded.
    pub label: String,
    /// 16 hexadecimal digits.
    pub serial: String,
    /// Account and region, for the ARNs of policies.
    pub home: Home,
    /// Whether it can be changed.
    pub writable: bool,
    /// The security officer's PIN.
    pub security_officer: PinState,
    /// The user's PIN.
    pub user: PinState,
    /// When the root key was made: with the token, or when it was last replaced.
    pub root_key_made: SystemTime,
}

/// Who is logged in, and with that which records can be opened.
#[derive(Clone)]
struct Access {
    principal: Principal,
    /// Whose PIN it was.
    holder: Option<Holder>,
    /// The role that a named user asked for.
    role: Option<Name>,
    vault: Option<Arc<Vault>>,
    /// What opens the root key that follows the present one.
    key: Option<Arc<PrivateKey>>,
    /// What does so once the change of the own PIN that is under way is stored.
    coming: Option<Arc<PrivateKey>>,
    /// The named user as of the last look at the token.
    named: Option<Arc<NamedLogin>>,
}

impl Access {
    const PUBLIC: Self = Self {
        principal: Principal::Public,
        holder: None,
        role: None,
        vault: None,
        key: None,
        coming: None,
        named: None,
    };
}

/// A token that has been initialised.
pub struct Token {
    slot: SlotId,
    store: Arc<dyn Store>,
    surroundings: Surroundings,
    settings: Settings,
    header: RwLock<Arc<Header>>,
    access: ArcSwap<Access>,
    /// Held during login and logout.
    login: Mutex<()>,
    /// How many named users have logged in here.
    logins: AtomicU64,
    registry: Mutex<Registry>,
    /// What decides about keys that have no policy of their own, once it was asked.
    default_policy: OnceLock<Arc<Document>>,
    /// The generation that the registry is right for: see [`Token::refresh`].
    seen_incarnation: AtomicU64,
    seen_count: AtomicU64,
    /// When the dates of keys are looked at next.
    dates_at: Mutex<SystemTime>,
    /// It has no manifest and cannot get one; see [`set`].
    unlistable: AtomicBool,
    trail: Trail,
}

impl Token {
    /// Makes the token of an empty slot (`C_InitToken`, PKCS#11 v3.2 §5.5.7),
    /// with the user's PIN if one is given: the token is never seen without it.
    ///
    /// # Errors
    /// [`Error::PinLenRange`]; [`Error::SlotIdInvalid`] when another process
    /// has made one meanwhile; or why it could not be stored.
    pub fn create(
        place: &dyn Place,
        slot: SlotId,
        label: &str,
        so_pin: &Pin,
        user_pin: Option<&Pin>,
        surroundings: &Surroundings,
        settings: Settings,
    ) -> Result<Self> {
        let new = NewToken { label, so_pin, user_pin };
        Draft::new(new, surroundings, settings)?.create(place, slot)
    }

    /// Opens the token that is in a slot.
    ///
    /// # Errors
    /// [`Error::TokenNotRecognized`] when the store holds no token; or why the
    /// store could not be opened.
    pub fn open(
        place: &dyn Place,
        slot: SlotId,
        surroundings: &Surroundings,
        settings: Settings,
    ) -> Result<Self> {
        Self::over(slot, place.open(slot.number())?, surroundings.clone(), settings)
    }

    fn over(
        slot: SlotId,
        store: Arc<dyn Store>,
        surroundings: Surroundings,
        settings: Settings,
    ) -> Result<Self> {
        // Read before the content: what changes later is noticed later.
        let generation = store.generation();
        let sequence = store.sequence()?;
        let header = Header::read(&*store)?.ok_or(Error::TokenNotRecognized(slot))?;
        let settled = if generation.is_settled() { generation.count } else { u64::MAX };
        let trail = audit::trail(&*store, &header, &surroundings, settings);
        Ok(Self {
            slot,
            store,
            surroundings,
            settings,
            header: RwLock::new(Arc::new(header)),
            access: ArcSwap::from_pointee(Access::PUBLIC),
            login: Mutex::new(()),
            logins: AtomicU64::new(0),
            registry: Mutex::new(Registry::new(sequence)),
            default_policy: OnceLock::new(),
            seen_incarnation: AtomicU64::new(generation.incarnation),
            seen_count: AtomicU64::new(settled),
            dates_at: Mutex::new(SystemTime::UNIX_EPOCH),
            unlistable: AtomicBool::new(false),
            trail,
        })
    }

    /// Destroys all objects and the user PIN and sets a new label; the SO PIN
    /// must be the present one (`C_InitToken` on an initialised token).
    ///
    /// # Errors
    /// [`Error::SessionExists`] while any process has a session;
    /// [`Error::PinIncorrect`], [`Error::PinLocked`]; or why it could not be
    /// stored.
    pub fn reinitialize(&self, label: &str, so_pin: &Pin) -> Result<()> {
        let _alone = self.store.alone()?.ok_or(Error::SessionExists)?;
        self.verify(UserType::SecurityOfficer, so_pin)?;
        let header = self.header();
        let mut changes = vec![Change::Clear];
        let new = NewToken { label, so_pin, user_pin: None };
        let (surroundings, settings) = (&self.surroundings, self.settings);
        let empty = Draft::of_serial(new, &header.serial, surroundings, settings)?;
        changes.extend(empty.first_commit()?);
        self.store.write(&mut |_| Ok(changes.clone()))?;
        self.access.store(Arc::new(Access::PUBLIC));
        self.refresh()
    }

    /// What a rollback counter calls the token: its serial number.
    ///
    /// # Errors
    /// The store could not be read, or holds no token.
    pub fn name_in_counter(reader: &dyn Reader) -> Result<String> {
        let header = Header::read(reader)?;
        header.map(|header| header.serial).ok_or_else(|| Error::RecordDamaged("token".into()))
    }

    /// Takes the token as it is for the newest; what `counter` knew before.
    ///
    /// # Errors
    /// The store could not be read, or the counter not be written.
    pub fn accept(&self, counter: &CounterFile) -> Result<(Progress, Option<Progress>)> {
        let commits = self.store.sequence()?.0;
        let now = Progress { commits, attempts: self.store.reservations()? };
        Ok((now, counter.accept(&self.header().serial, now)?))
    }

    /// The slot that the token is in.
    #[must_use]
    pub const fn slot(&self) -> SlotId {
        self.slot
    }

    /// The store, for presence.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Makes the files of the token as small as what they hold.
    ///
    /// # Errors
    /// [`Error::TokenWriteProtected`]; or why they could not be written.
    pub fn compact(&self) -> Result<Compacted> {
        self.require_writable()?;
        self.store.compact()
    }

    /// What anybody may know.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn info(&self) -> Result<Info> {
        self.refresh()?;
        let header = self.header();
        Ok(Info {
            label: header.label.clone(),
            serial: header.serial.clone(),
            home: header.home(),
            writable: self.store.is_writable(),
            security_officer: self.pin_state(UserType::SecurityOfficer)?,
            user: self.pin_state(UserType::User)?,
            root_key_made: header.root_made(),
        })
    }

    /// Who is logged in.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.access.load().principal
    }

    /// What opens records for `principal`: nothing for the public, and an error
    /// for somebody who is not logged in, perhaps not any more.
    fn vault_of(&self, principal: Principal) -> Result<Option<Arc<Vault>>> {
        let access = self.access.load();
        match principal {
            Principal::Public => Ok(None),
            present if present == access.principal => Ok(access.vault.clone()),
            _ => Err(Error::UserNotLoggedIn),
        }
    }

    fn header(&self) -> Arc<Header> {
        Arc::clone(&self.header.read())
    }

    /// Account and region.
    #[must_use]
    pub fn home(&self) -> Home {
        self.header().home()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.surroundings.clock.now()
    }

    fn require_writable(&self) -> Result<()> {
        if self.store.is_writable() { Ok(()) } else { Err(Error::TokenWriteProtected) }
    }

    /// Notices what other processes, or this one, have committed. Costs two
    /// loads of words that are rarely written while nothing has happened.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn refresh(&self) -> Result<()> {
        if self.is_up_to_date() { Ok(()) } else { self.catch_up() }
    }

    /// Whether nothing was committed that has not been noticed.
    fn is_up_to_date(&self) -> bool {
        let now = self.store.generation();
        now.is_settled()
            && now.count == self.seen_count.load(Ordering::Acquire)
            && now.incarnation == self.seen_incarnation.load(Ordering::Relaxed)
    }

    /// Asks the store what was committed, whatever its generation says: that is
    /// shown by a file, which somebody may have replaced or removed with the token.
    ///
    /// # Errors
    /// [`Error::TokenNotPresent`] when the token was removed; the store could not be
    /// read.
    pub fn catch_up(&self) -> Result<()> {
        let mut registry = self.registry.lock();
        // Whatever is committed after this line raises the generation again.
        let now = self.store.generation();
        let changes = self.store.changes(registry.sequence()).inspect_err(|error| {
            if matches!(error, Error::TokenNotPresent(_)) {
                // Nothing of it stays in memory.
                self.access.store(Arc::new(Access::PUBLIC));
                registry.retire_all();
            }
        })?;
        // Read first: what cannot be read now has not been seen.
        let header = if live::touches(&changes, HEADER) {
            Some(Header::read(&*self.store)?.ok_or(Error::TokenNotRecognized(self.slot))?)
        } else {
            None
        };
        if [USER, ROLE].into_iter().any(|kind| live::touches(&changes, kind)) {
            registry.doubt_login();
        }
        registry.apply(&changes);
        if [GRANT, ALIAS].into_iter().any(|kind| live::touches(&changes, kind)) {
            registry.retire_judged();
        }
        if let Some(header) = header {
            *self.header.write() = Arc::new(header);
        }
        self.follow(&mut registry)?;
        self.check_login(&mut registry)?;
        if now.is_settled() {
            self.seen_incarnation.store(now.incarnation, Ordering::Relaxed);
            self.seen_count.store(now.count, Ordering::Release);
        }
        Ok(())
    }
}

/// Prints the slot only.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(slot {})", self.slot)
    }
}

/// A name that is known to be one.
fn record_id(name: &str) -> Result<RecordId> {
    RecordId::new(name).ok_or_else(|| Error::RecordDamaged(name.escape_default().to_string()))
}

#[cfg(test)]
mod tests;
