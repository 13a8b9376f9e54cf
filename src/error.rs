//! What can go wrong, named for what happened. `ffi/rv.rs` turns each variant
//! into the standard's return value; a new variant breaks that map until
//! somebody decides.
#![forbid(unsafe_code)]

mod refusal;

pub use refusal::{Refusal, TagFault};

use crate::types::{AttributeType, ObjectHandle, SessionHandle, SlotId, Ulong};
use std::fmt;
use std::path::{Path, PathBuf};

/// The result of every fallible operation of the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or failed. No variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A policy forbids it, or none allows it: what it was, and the answer in words.
    AccessDenied(Box<Refused>),
    /// The object's or the token's rules forbid this action.
    ActionProhibited(&'static str),
    /// A pointer, a length or a flag that the standard forbids.
    ArgumentsBad(&'static str),
    /// The attribute exists but the caller may not set it here.
    AttributeReadOnly(AttributeType),
    /// The attribute's value never leaves the token.
    AttributeSensitive(AttributeType),
    /// The object has no such attribute, or the module does not know the number.
    AttributeTypeInvalid(Ulong),
    /// The value does not fit the attribute.
    AttributeValueInvalid(AttributeType),
    /// The audit trail cannot be written, and operations are to be refused then.
    AuditUnavailable(String),
    /// A backup cannot be used: its file, and why. Nothing of it was taken.
    BackupRefused {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The caller's buffer is too small; the needed size in bytes.
    BufferTooSmall(usize),
    /// A setting that cannot be used: where it was set, and why it is refused.
    Configuration(String),
    /// The credential of this name has a format in which the root key cannot be
    /// replaced; a login with its PIN renews it.
    CredentialOutdated(String),
    /// `C_Initialize` came twice.
    CryptokiAlreadyInitialized,
    /// `C_Initialize` has not come yet (or not yet in this process after `fork`).
    CryptokiNotInitialized,
    /// More data in one call than the module takes.
    DataLenRange,
    /// The user or role may not act until the owner enables it again: which.
    EntityDisabled(String),
    /// A user, a role, an access key, or something of theirs is there already: what.
    EntityExists(String),
    /// There is no such user, role or access key, or nothing of theirs: what.
    EntityUnknown(String),
    /// The operating system gave no random bytes.
    EntropyUnavailable,
    /// The operation failed for the stated reason.
    FunctionFailed(String),
    /// Functions are never executed in parallel (a relic of PKCS#11 1.0).
    FunctionNotParallel,
    /// The function is not offered by this token.
    FunctionNotSupported,
    /// Memory could not be had.
    HostMemory,
    /// An ARN that refers to no principal; what was given.
    InvalidArn(String),
    /// The key's attributes or policy forbid this use.
    KeyFunctionNotPermitted,
    /// No such key (anymore), or not visible to this session.
    KeyHandleInvalid(ObjectHandle),
    /// The key's value may not be digested.
    KeyIndigestible,
    /// The key's type does not go with the mechanism.
    KeyTypeInconsistent,
    /// More of something than there may be: what, and how many.
    LimitExceeded(String),
    /// A policy that says nothing, or something else than it means: where, and why.
    MalformedPolicy(String),
    /// The mechanism is unknown, of another kind, or not allowed for this key.
    MechanismInvalid(Ulong),
    /// The mechanism's parameter is missing, of a wrong size or out of range.
    MechanismParamInvalid,
    /// The module failed before (a caught panic) and serves nothing until it is
    /// initialised again.
    ModuleFailed,
    /// No slot event waits.
    NoEvent,
    /// No such object (anymore), or not visible to this session.
    ObjectHandleInvalid(ObjectHandle),
    /// Another operation of this kind is under way in the session.
    OperationActive,
    /// No operation of this kind is under way in the session.
    OperationNotInitialized,
    /// The code was found inconsistent and the call was abandoned.
    Panicked,
    /// Wrong PIN.
    PinIncorrect,
    /// The PIN is too short or too long.
    PinLenRange,
    /// Too many wrong PINs.
    PinLocked,
    /// A sealed record does not open: edited, swapped or foreign. The record's
    /// unique id.
    RecordDamaged(String),
    /// What was asked of a key, an alias or a grant does not go with what it is.
    Refused(Refusal),
    /// Asynchronous sessions are not offered.
    SessionAsyncNotSupported,
    /// Another process has replaced the token's root key meanwhile. The token tries
    /// again by itself; nobody else ever sees this.
    RootKeyReplaced,
    /// The limit on sessions is reached.
    SessionCount,
    /// Sessions are open, in this process or another.
    SessionExists,
    /// No such session (anymore).
    SessionHandleInvalid(SessionHandle),
    /// Sessions are always serial: the flag is missing.
    SessionParallelNotSupported,
    /// The session is read-only.
    SessionReadOnly,
    /// A read-only session is open, so the SO cannot log in.
    SessionReadOnlyExists,
    /// The SO is logged in, so no read-only session can be opened.
    SessionReadWriteSoExists,
    /// The MAC is wrong.
    SignatureInvalid,
    /// The MAC has a length that the mechanism never produces.
    SignatureLenRange,
    /// No such slot.
    SlotIdInvalid(SlotId),
    /// The store's file is not one of ours, or damaged beyond use.
    StoreDamaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// No space is left for the store.
    StoreFull(PathBuf),
    /// The operating system refused a file operation.
    StoreIo {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, and the system's answer.
        reason: String,
    },
    /// The store's file may not be written.
    StoreReadOnly(PathBuf),
    /// The store is older than it was: an old copy was put in its place.
    StoreRolledBack {
        /// Where the token is.
        slot: SlotId,
        /// The counter that knows.
        counter: PathBuf,
        /// The newest commit and the login attempts that the store knows of.
        found: (u64, u64),
        /// The same as the counter knows them.
        newest: (u64, u64),
    },
    /// A template lacks an attribute that it needs.
    TemplateIncomplete(AttributeType),
    /// A template contradicts itself, or an attribute does not belong to the object.
    TemplateInconsistent(AttributeType),
    /// The slot is empty.
    TokenNotPresent(SlotId),
    /// The token has been made but not by this version, or not finished.
    TokenNotRecognized(SlotId),
    /// The token cannot be changed now.
    TokenWriteProtected,
    /// Objects that are being brought in bear unique ids that the token has already.
    UniqueIdTaken {
        /// The first of these ids.
        first: String,
        /// How many more there are.
        others: usize,
    },
    /// The same user is logged in already.
    UserAlreadyLoggedIn,
    /// Another user is logged in.
    UserAnotherAlreadyLoggedIn,
    /// A login is needed.
    UserNotLoggedIn,
    /// The user's PIN has not been set yet.
    UserPinNotInitialized,
    /// No such type of user.
    UserTypeInvalid,
    /// A value outside what its kind may hold: which, and the constraint.
    ValidationFailed(String),
}

/// What policies have refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it was.
    pub kind: RefusedKind,
    /// Whether a policy forbids it; otherwise none allows it.
    pub explicitly: bool,
    /// The KMS API's words: who, what, on which key, and why not.
    pub message: String,
}

/// What was refused. The standard has another answer to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// A use of a key.
    Use,
    /// A key's copy, change or destruction, or an act of administration.
    Change,
    /// A new object.
    Creation,
}

impl Error {
    /// A failed file operation: what was tried, on which path.
    pub fn io(path: &Path, tried: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::StoreFull(path.into()),
            ErrorKind::ReadOnlyFilesystem => Self::StoreReadOnly(path.into()),
            _ => Self::StoreIo { path: path.into(), reason: format!("{tried}: {error}") },
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied(refused) => f.write_str(&refused.message),
            Self::ActionProhibited(why) => write!(f, "not allowed: {why}"),
            Self::ArgumentsBad(what) => write!(f, "bad argument: {what}"),
            Self::AttributeReadOnly(attribute) => write!(f, "{attribute} cannot be set here"),
            Self::AttributeSensitive(attribute) => {
                write!(f, "{attribute} of this object never leaves the token")
            }
            Self::AttributeTypeInvalid(number) => {
                write!(f, "the object has no attribute {number:#x}")
            }
            Self::AttributeValueInvalid(attribute) => {
                write!(f, "the value does not fit {attribute}")
            }
            Self::AuditUnavailable(why) => {
                write!(f, "refused, as the audit trail cannot be written: {why}")
            }
            Self::BackupRefused { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::BufferTooSmall(needed) => write!(f, "the output needs {needed} bytes"),
            Self::Configuration(why) => write!(f, "configuration: {why}"),
            Self::CredentialOutdated(name) => {
                let user = match &**name {
                    "so" => "the security officer",
                    "user" => "the user",
                    other => other.strip_prefix("user/").unwrap_or(other),
                };
                write!(
                    f,
                    "{user} must log in once before the root key can be replaced: that PIN was \
                     set by an older version"
                )
            }
            Self::CryptokiAlreadyInitialized => f.write_str("the module is initialised already"),
            Self::CryptokiNotInitialized => f.write_str("the module is not initialised"),
            Self::DataLenRange => f.write_str("too much data for one call"),
            Self::EntityDisabled(what) => write!(f, "{what} is disabled"),
            Self::EntityExists(what) => write!(f, "{what} is there already"),
            Self::EntityUnknown(what) => write!(f, "there is no {what}"),
            Self::EntropyUnavailable => f.write_str("the operating system gave no random bytes"),
            Self::FunctionFailed(why) => f.write_str(why),
            Self::FunctionNotParallel => f.write_str("no function runs in parallel"),
            Self::FunctionNotSupported => f.write_str("this function is not offered"),
            Self::HostMemory => f.write_str("out of memory"),
            Self::InvalidArn(arn) => write!(f, "ARN does not refer to a valid principal: {arn}"),
            Self::KeyFunctionNotPermitted => f.write_str("the key may not be used for this"),
            Self::KeyHandleInvalid(handle) => write!(f, "no key has the handle {handle}"),
            Self::KeyIndigestible => f.write_str("the key's value may not be digested"),
            Self::KeyTypeInconsistent => f.write_str("the key's type does not suit the mechanism"),
            Self::LimitExceeded(what)
            | Self::MalformedPolicy(what)
            | Self::ValidationFailed(what) => f.write_str(what),
            Self::MechanismInvalid(number) => {
                write!(f, "mechanism {number:#x} cannot be used for this")
            }
            Self::MechanismParamInvalid => f.write_str("the mechanism's parameter is wrong"),
            Self::ModuleFailed => {
                f.write_str("the module has failed and must be initialised again")
            }
            Self::NoEvent => f.write_str("no slot event"),
            Self::ObjectHandleInvalid(handle) => write!(f, "no object has the handle {handle}"),
            Self::OperationActive => f.write_str("an operation is under way in this session"),
            Self::OperationNotInitialized => f.write_str("no such operation is under way"),
            Self::Panicked => f.write_str("internal inconsistency: the call was abandoned"),
            Self::PinIncorrect => f.write_str("wrong PIN"),
            Self::PinLenRange => f.write_str("the PIN is too short or too long"),
            Self::PinLocked => f.write_str("the PIN is locked after too many wrong attempts"),
            Self::RecordDamaged(id) => {
                write!(f, "record {id} is damaged or was changed outside the token")
            }
            Self::Refused(refusal) => refusal.fmt(f),
            Self::RootKeyReplaced => f.write_str("the token's root key has just been replaced"),
            Self::SessionAsyncNotSupported => f.write_str("asynchronous sessions are not offered"),
            Self::SessionCount => f.write_str("too many sessions are open"),
            Self::SessionExists => {
                f.write_str("sessions are open on this token, here or in another process")
            }
            Self::SessionHandleInvalid(handle) => write!(f, "no session has the handle {handle}"),
            Self::SessionParallelNotSupported => f.write_str("CKF_SERIAL_SESSION must be set"),
            Self::SessionReadOnly => f.write_str("the session is read-only"),
            Self::SessionReadOnlyExists => f.write_str("a read-only session is open"),
            Self::SessionReadWriteSoExists => f.write_str("the security officer is logged in"),
            Self::SignatureInvalid => f.write_str("the MAC does not verify"),
            Self::SignatureLenRange => f.write_str("the MAC has a wrong length"),
            Self::SlotIdInvalid(slot) => write!(f, "there is no slot {slot}"),
            Self::StoreDamaged { path, reason } => {
                write!(f, "{} is damaged: {reason}", path.display())
            }
            Self::StoreFull(path) => write!(f, "no space left for {}", path.display()),
            Self::StoreIo { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::StoreReadOnly(path) => write!(f, "{} may not be written", path.display()),
            Self::StoreRolledBack { slot, counter, found, newest } => write!(
                f,
                "the token in slot {slot} is an older copy: it has seen {} commits and {} login attempts, and {} knows \
                 of {} and {}; `signet token accept LABEL` accepts it as it is",
                found.0,
                found.1,
                counter.display(),
                newest.0,
                newest.1
            ),
            Self::TemplateIncomplete(attribute) => write!(f, "the template lacks {attribute}"),
            Self::TemplateInconsistent(attribute) => {
                write!(f, "{attribute} contradicts the rest of the template or the object")
            }
            Self::TokenNotPresent(slot) => write!(f, "no token is in slot {slot}"),
            Self::TokenNotRecognized(slot) => {
                write!(f, "the token in slot {slot} is not one that this version can read")
            }
            Self::TokenWriteProtected => {
                f.write_str("the token cannot be changed: its file or file system is read-only")
            }
            Self::UniqueIdTaken { first, others } => {
                write!(f, "an object with the unique id {first} is there already")?;
                if *others > 0 { write!(f, ", and {others} more") } else { Ok(()) }
            }
            Self::UserAlreadyLoggedIn => f.write_str("this user is logged in already"),
            Self::UserAnotherAlreadyLoggedIn => f.write_str("another user is logged in"),
            Self::UserNotLoggedIn => f.write_str("a login is needed"),
            Self::UserPinNotInitialized => f.write_str("the user PIN has not been set"),
            Self::UserTypeInvalid => f.write_str("there is no such type of user"),
        }
    }
}
