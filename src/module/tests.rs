//! The module over places in memory, as one application or several see it.

mod audit;
mod first_start;
mod key_life;
mod keys;
mod objects;
mod policies;
mod processes;
mod search;
mod sessions;
mod slots;
mod threads;
mod verdicts;

use super::*;
use crate::clock::ManualClock;
use crate::entropy::OsEntropy;
use crate::log::NoLog;
use crate::mechanism::RawMechanism;
use crate::session::{Output, Purpose, Room};
use crate::store::MemoryPlace;
use crate::types::{
    AttributeType, KeyType, ObjectClass, ObjectHandle, RawAttribute, SessionHandle, UserType,
};
use crate::vault::PinParameters;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

pub(super) const SLOT: SlotId = SlotId(0);
pub(super) const SO_PIN: &[u8] = b"so-pin-5521";
pub(super) const USER_PIN: &[u8] = b"user-pin-7304";
pub(super) const TRUE: &[u8] = &[1];
pub(super) const FALSE: &[u8] = &[0];
pub(super) const SO: UserType = UserType::SecurityOfficer;
pub(super) const USER: UserType = UserType::User;
pub(super) const HMAC: MechanismType = MechanismType::Sha256Hmac;

pub(super) fn pin(bytes: &[u8]) -> Pin {
    Pin::copied(bytes)
}

pub(super) fn config() -> Config {
    let mut config = Config::with_token_dir(PathBuf::from("/nowhere"));
    config.argon2 = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };
    config.max_pin_attempts = 3;
    config
}

pub(super) fn module_with(place: &Arc<MemoryPlace>, config: &Config) -> Module {
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
    let surroundings = Surroundings { entropy: Arc::new(OsEntropy), clock, log: Arc::new(NoLog) };
    Module::new(Arc::<MemoryPlace>::clone(place), surroundings, config).unwrap()
}

/// Another application on the same tokens.
pub(super) fn module_on(place: &Arc<MemoryPlace>) -> Module {
    module_with(place, &config())
}

pub(super) fn place() -> Arc<MemoryPlace> {
    Arc::new(MemoryPlace::new())
}

/// An application with a token in slot 0 whose PINs are both set.
pub(super) fn ready_on(place: &Arc<MemoryPlace>) -> Module {
    let module = module_on(place);
    module.create_token(SLOT, "token", &pin(SO_PIN), Some(&pin(USER_PIN))).unwrap();
    module
}

pub(super) fn ready() -> Module {
    ready_on(&place())
}

/// The same, that keeps so many token objects open at most.
pub(super) fn ready_keeping(count: u32) -> Module {
    let place = place();
    ready_on(&place);
    module_with(&place, &Config { cache_objects: count, ..config() })
}

/// A read/write session into which the user has logged in.
pub(super) fn user_session(module: &Module) -> SessionHandle {
    let session = module.open_session(SLOT, true).unwrap();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    session
}

pub(super) fn raw<'a>(attributes: &'a [(AttributeType, &'a [u8])]) -> Vec<RawAttribute<'a>> {
    attributes
        .iter()
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
        .collect()
}

pub(super) fn ck(number: Ulong) -> [u8; size_of::<Ulong>()] {
    number.to_ne_bytes()
}

/// Creates a generic secret key with the value "Jefe".
pub(super) fn try_key(
    module: &Module,
    session: SessionHandle,
    more: &[(AttributeType, &[u8])],
) -> Result<ObjectHandle> {
    let (class, kind) = (ck(ObjectClass::SecretKey.to_ck()), ck(KeyType::GenericSecret.to_ck()));
    let mut template =
        vec![(AttributeType::Class, &class[..]), (AttributeType::Value, &b"Jefe"[..])];
    if !more.iter().any(|(attribute, _)| *attribute == AttributeType::KeyType) {
        template.push((AttributeType::KeyType, &kind));
    }
    template.extend(more);
    module.create_object(session, &raw(&template))
}

pub(super) fn key(
    module: &Module,
    session: SessionHandle,
    more: &[(AttributeType, &[u8])],
) -> ObjectHandle {
    try_key(module, session, more).unwrap()
}

/// A private key of the token.
pub(super) fn token_key(module: &Module, session: SessionHandle) -> ObjectHandle {
    key(module, session, &[(AttributeType::Token, TRUE)])
}

/// A public key of the session.
pub(super) fn public_key(module: &Module, session: SessionHandle) -> ObjectHandle {
    key(module, session, &[(AttributeType::Private, FALSE)])
}

pub(super) fn mechanism(mechanism: MechanismType) -> RawMechanism<'static> {
    RawMechanism { number: mechanism.to_ck(), parameter: &[] }
}

pub(super) fn sign_init(module: &Module, session: SessionHandle, key: ObjectHandle) -> Result<()> {
    module.mac_init(session, Signing::Sign, mechanism(HMAC), key)
}

pub(super) fn bytes(output: Output) -> Vec<u8> {
    match output {
        Output::Bytes(tag) => tag.expose().to_vec(),
        Output::Length(length) => panic!("only the length {length}"),
    }
}

pub(super) const ROOM: Room = Room::Bytes(64);

pub(super) fn finish(module: &Module, session: SessionHandle, data: &[u8]) -> Result<Vec<u8>> {
    module.sign(session, data, ROOM).map(bytes)
}

pub(super) fn sign(
    module: &Module,
    session: SessionHandle,
    key: ObjectHandle,
    data: &[u8],
) -> Result<Vec<u8>> {
    sign_init(module, session, key)?;
    finish(module, session, data)
}

/// The answer of RFC 4231, test case 2, in hexadecimal.
pub(super) const JEFE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
pub(super) const QUESTION: &[u8] = b"what do ya want for nothing?";

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that the key with the value "Jefe" signs, and does so rightly.
pub(super) fn assert_signs(module: &Module, session: SessionHandle, key: ObjectHandle) {
    assert_eq!(hex(&sign(module, session, key, QUESTION).unwrap()), JEFE);
}

pub(super) fn found(
    module: &Module,
    session: SessionHandle,
    wanted: &[(AttributeType, &[u8])],
) -> Vec<ObjectHandle> {
    module.find_objects_init(session, &raw(wanted)).unwrap();
    let mut found = module.find_objects(session, usize::MAX).unwrap();
    module.find_objects_final(session).unwrap();
    found.sort();
    found
}

pub(super) fn read(
    module: &Module,
    session: SessionHandle,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Vec<u8>> {
    let mut answers = module.attributes(session, object, &[attribute.to_ck()])?;
    answers.remove(0).map(|bytes| bytes.to_vec())
}
