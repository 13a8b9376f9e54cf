//! Backups that come back as they went, and files that somebody meant ill with.

mod hostile;
mod journey;

use super::*;
use crate::clock::ManualClock;
use crate::entropy::{self, OsEntropy};
use crate::error::Error;
use crate::log::NoLog;
use crate::mechanism::digest::check_value;
use crate::object::request::{Contribution, NewObject};
use crate::object::{Object, codec};
use crate::policy::Action;
use crate::secret::SecretBytes;
use crate::store::MemoryPlace;
use crate::token::{Settings, Surroundings};
use crate::types::{KeyType, ObjectClass, RawAttribute, SlotId, Ulong, UserType};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const CHEAP: PinParameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };
const PASSPHRASE: &[u8] = b"a long passphrase";
const PIN: &[u8] = b"user pin";
const NAME: &str = "some.backup";
const YES: &[u8] = &[1];
const NO: &[u8] = &[0];

fn pin(bytes: &[u8]) -> Pin {
    Pin::copied(bytes)
}

fn surroundings() -> Surroundings {
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Surroundings {
        entropy: Arc::new(OsEntropy),
        clock: Arc::new(ManualClock::new(start)),
        log: Arc::new(NoLog),
    }
}

/// A token of its own, its owner logged in.
fn token() -> Token {
    let settings = Settings { pin_parameters: CHEAP, ..Settings::default() };
    let (place, surroundings) = (MemoryPlace::new(), surroundings());
    let so_pin = pin(b"so pin");
    let made =
        Token::create(&place, SlotId(0), "demo", &so_pin, Some(&pin(PIN)), &surroundings, settings);
    let token = made.unwrap();
    token.login(UserType::User, &pin(PIN)).unwrap();
    token
}

/// A token object as the module makes it.
fn object(class: ObjectClass, attributes: &[(AttributeType, &[u8])]) -> Object {
    let class = class.to_ck().to_ne_bytes();
    let own = [(AttributeType::Class, &class[..]), (AttributeType::Token, YES)];
    let template: Vec<_> = own
        .iter()
        .chain(attributes)
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
        .collect();
    let new = NewObject::create(&template, 1..=65_536).unwrap();
    let unique = u128::from_ne_bytes(entropy::array(&OsEntropy).unwrap());
    let contribution = Contribution {
        unique_id: format!("{unique:032x}"),
        check_value: new.value().map_or([0; 3], check_value),
        now: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    };
    new.into_created(contribution).unwrap()
}

fn key(label: &[u8], value: &[u8], more: &[(AttributeType, &[u8])]) -> Object {
    let key_type: [u8; size_of::<Ulong>()] = KeyType::Sha256Hmac.to_ck().to_ne_bytes();
    let own = [
        (AttributeType::KeyType, &key_type[..]),
        (AttributeType::Label, label),
        (AttributeType::Value, value),
    ];
    object(ObjectClass::SecretKey, &[&own[..], more].concat())
}

fn data(label: &[u8], value: &[u8], private: &[u8]) -> Object {
    let own = [
        (AttributeType::Label, label),
        (AttributeType::Value, value),
        (AttributeType::Private, private),
    ];
    object(ObjectClass::Data, &own)
}

fn insert(token: &Token, object: Object) {
    token.insert(token.principal(), Action::ImportObject, object).unwrap();
}

/// A token with an object of each sort.
fn filled() -> Token {
    let token = token();
    insert(&token, key(b"a", b"the value of a", &[(AttributeType::Id, b"\x01")]));
    insert(&token, key(b"b", b"b", &[(AttributeType::Private, NO)]));
    insert(&token, data(b"c", b"private data", YES));
    insert(&token, data(b"d", b"public data", NO));
    token.logout().unwrap();
    insert(&token, data(b"e", b"unbound data", NO));
    token.login(UserType::User, &pin(PIN)).unwrap();
    token
}

/// Everything of every object, and whether it is bound.
fn all(token: &Token) -> Vec<(bool, Vec<u8>)> {
    let mut all = Vec::new();
    let exported = token.export(Principal::Owner, &mut |live| {
        let live = live?;
        all.push((live.is_bound(), codec::encode(live.object(), true)?.expose().to_vec()));
        Ok(())
    });
    exported.unwrap();
    all
}

fn backup_of(token: &Token, choices: &[Choice], seal: &Seal<'_>) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let output = (&mut file as &mut dyn std::io::Write, Path::new(NAME));
    create(token, Principal::Owner, choices, seal, &surroundings(), output, &mut |_| ())?;
    Ok(file)
}

/// A whole backup under the passphrase.
fn sealed_backup(token: &Token) -> Vec<u8> {
    backup_of(token, &[], &Seal::Passphrase(&pin(PASSPHRASE), CHEAP)).unwrap()
}

fn opened<'a>(file: &'a [u8], opener: &Opener<'_>) -> Result<Backup<'a>> {
    Locked::read(Box::new(file), Path::new(NAME))?.open(opener)
}

/// Everything that is in a backup, read to its end.
fn contents(file: &[u8], opener: &Opener<'_>) -> Result<Vec<(bool, Vec<u8>)>> {
    let mut backup = opened(file, opener)?;
    let mut all = Vec::new();
    while let Some(Item { object, bound }) = backup.next_item()? {
        all.push((bound, codec::encode(&object, true)?.expose().to_vec()));
    }
    Ok(all)
}

fn by_passphrase(file: &[u8]) -> Result<Vec<(bool, Vec<u8>)>> {
    contents(file, &Opener::Passphrase(&pin(PASSPHRASE)))
}

/// Why the file is refused, without its name.
fn refusal<T>(outcome: Result<T>) -> String {
    match outcome.err().unwrap() {
        Error::BackupRefused { path, reason } => {
            assert_eq!(path, Path::new(NAME));
            reason
        }
        other => panic!("{other:?}"),
    }
}
