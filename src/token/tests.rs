//! The token over both kinds of store.

mod access_keys;
mod aliases;
mod authorization;
mod circumstances;
mod credentials;
mod freshness;
mod grants;
mod integrity;
mod key_life;
mod key_policies;
mod kms_keys;
mod life;
mod named;
mod objects;
mod read_only;
mod renewal;
mod roles;
mod rotation;
mod scale;
mod sealed;
mod searching;
mod secrecy;
mod transfer;
mod users;
mod wrapped;

use super::*;
use crate::clock::ManualClock;
use crate::entropy::{self, OsEntropy};
use crate::log::NoLog;
use crate::object::Object;
use crate::object::query::Query;
use crate::object::request::{Contribution, NewObject};
use crate::policy::Action;
use crate::store::{DirectoryPlace, MemoryPlace, Reader};
use crate::token::record::CREDENTIAL;
use crate::types::{AttributeType, KeyType, ObjectClass, RawAttribute, Ulong};
use crate::vault::Credential;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

pub(super) const SLOT: SlotId = SlotId(3);
pub(super) const SO_PIN: &[u8] = b"so-pin-5521";
pub(super) const USER_PIN: &[u8] = b"user-pin-7304";
pub(super) const TRUE: &[u8] = &[1];
pub(super) const FALSE: &[u8] = &[0];

pub(super) fn settings() -> Settings {
    let pin_parameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };
    Settings { pin_attempts: 3, pin_parameters, ..Settings::default() }
}

pub(super) fn pin(bytes: &[u8]) -> Pin {
    Pin::copied(bytes)
}

/// Where a test's token lives, and how another process would see it.
pub(super) struct World {
    pub place: Arc<dyn Place>,
    pub directory: Option<TempDir>,
    pub clock: Arc<ManualClock>,
}

impl World {
    fn new(place: Arc<dyn Place>, directory: Option<TempDir>) -> Self {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self { place, directory, clock: Arc::new(ManualClock::new(start)) }
    }

    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryPlace::new()), None)
    }

    pub fn in_directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = DirectoryPlace::new(directory.path(), Arc::new(OsEntropy));
        Self::new(Arc::new(place), Some(directory))
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            entropy: Arc::new(OsEntropy),
            clock: self.clock.clone(),
            log: Arc::new(NoLog),
        }
    }

    /// The place with nothing of this process's state: a memory place keeps none.
    pub fn other_place(&self) -> Arc<dyn Place> {
        match &self.directory {
            Some(directory) => Arc::new(DirectoryPlace::new(directory.path(), Arc::new(OsEntropy))),
            None => Arc::clone(&self.place),
        }
    }

    /// A new token with the SO's PIN only.
    pub fn create_bare(&self) -> Token {
        let surroundings = self.surroundings();
        let so_pin = pin(SO_PIN);
        Token::create(&*self.place, SLOT, "token", &so_pin, None, &surroundings, settings())
            .unwrap()
    }

    /// A new token with both PINs set; nobody is logged in.
    pub fn create(&self) -> Token {
        let token = self.create_bare();
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        token.init_pin(Principal::SecurityOfficer, &pin(USER_PIN)).unwrap();
        token.logout().unwrap();
        token
    }

    /// A new token into which the user has logged in.
    pub fn create_for_user(&self) -> Token {
        let token = self.create();
        token.login(UserType::User, &pin(USER_PIN)).unwrap();
        token
    }

    /// The token as another process opens it.
    pub fn open(&self) -> Token {
        let place = self.other_place();
        Token::open(&*place, SLOT, &self.surroundings(), settings()).unwrap()
    }

    pub fn open_for_user(&self) -> Token {
        let token = self.open();
        token.login(UserType::User, &pin(USER_PIN)).unwrap();
        token
    }
}

/// Rewrites a credential in the format of version 0.1.0, as if that had set the PIN.
/// Somebody is logged in.
pub(super) fn outdate(token: &Token, name: &str, user_pin: &[u8]) {
    let vault = token.vault_of(token.principal()).unwrap().unwrap();
    let body = Credential::first(&vault, name, &pin(user_pin), settings().pin_parameters);
    let id = record_id(name).unwrap();
    let change = |reader: &dyn Reader| {
        let expected = reader.get(CREDENTIAL, &id)?.map_or(0, |record| record.version);
        let (id, body) = (id.clone(), body.clone());
        Ok(vec![Change::Put { kind: CREDENTIAL, id, expected, body, tags: Vec::new() }])
    };
    token.commit(Some(&vault), &mut { change }).unwrap();
}

/// Whether the stored credential is still in the format of version 0.1.0.
pub(super) fn is_outdated(token: &Token, name: &str) -> bool {
    let record = token.store.get(CREDENTIAL, &record_id(name).unwrap()).unwrap().unwrap();
    Credential::decode(&record.body).unwrap().is_outdated()
}

pub(super) const BOB_PIN: &[u8] = b"bob-pin-4116";

/// A policy of a user or a role.
pub(super) const POLICY: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"kms:GenerateMac","Resource":"*"}}"#;
/// A trust policy.
pub(super) const TRUST: &str =
    r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A token into which the owner has logged in, with a user `Bob` whom nothing is allowed.
pub(super) fn with_bob(world: &World) -> Token {
    let token = world.create_for_user();
    token.add_user(Principal::Owner, &name("Bob"), &pin(BOB_PIN)).unwrap();
    token
}

/// The same with a user `Bob` who may do everything.
pub(super) fn with_mighty_bob(world: &World) -> Token {
    let token = with_bob(world);
    allow_everything(&token, "Bob");
    token
}

/// Lets a user do everything.
pub(super) fn allow_everything(token: &Token, user: &str) {
    let everything = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let user = Identity::User(name(user));
    token.put_identity_policy(Principal::Owner, &user, "everything", everything).unwrap();
}

/// The token as the process of `Bob`'s opens it.
pub(super) fn open_for_bob(world: &World) -> Token {
    let token = world.open();
    token.login_user(UserType::User, "bob", &pin(BOB_PIN)).unwrap();
    token
}

/// Runs a test over each kind of store.
pub(super) fn each_place(test: impl Fn(&World)) {
    test(&World::in_memory());
    test(&World::in_directory());
}

/// A token object from a template, under a unique id of its own.
pub(super) fn object(class: ObjectClass, attributes: &[(AttributeType, &[u8])]) -> Object {
    let class = class.to_ck().to_ne_bytes();
    let mut template = vec![
        RawAttribute { number: AttributeType::Class.to_ck(), value: &class },
        RawAttribute { number: AttributeType::Token.to_ck(), value: TRUE },
    ];
    template.extend(
        attributes
            .iter()
            .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value }),
    );
    let unique = u128::from_ne_bytes(entropy::array(&OsEntropy).unwrap());
    let contribution = Contribution {
        unique_id: format!("{unique:032x}"),
        check_value: [1, 2, 3],
        now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    NewObject::create(&template, 1..=64).unwrap().into_created(contribution).unwrap()
}

/// A secret key of 20 bytes.
pub(super) fn key(label: &str, private: bool, more: &[(AttributeType, &[u8])]) -> Object {
    let key_type: [u8; size_of::<Ulong>()] = KeyType::Sha256Hmac.to_ck().to_ne_bytes();
    let mut attributes = vec![
        (AttributeType::KeyType, &key_type[..]),
        (AttributeType::Label, label.as_bytes()),
        (AttributeType::Private, if private { TRUE } else { FALSE }),
        (AttributeType::Value, b"20 bytes of a secret"),
    ];
    attributes.extend(more);
    object(ObjectClass::SecretKey, &attributes)
}

/// A data object.
pub(super) fn data(label: &str, private: bool) -> Object {
    let attributes = [
        (AttributeType::Label, label.as_bytes()),
        (AttributeType::Private, if private { TRUE } else { FALSE }),
        (AttributeType::Value, b"a data object's value"),
    ];
    object(ObjectClass::Data, &attributes)
}

pub(super) fn insert(token: &Token, object: Object) -> Arc<LiveObject> {
    token.insert(token.principal(), Action::ImportObject, object).unwrap()
}

/// The object's unique id.
pub(super) fn id_of(live: &LiveObject) -> String {
    live.object().unique_id().to_owned()
}

pub(super) fn get(token: &Token, unique_id: &str) -> Option<Arc<LiveObject>> {
    token.get(token.principal(), unique_id).unwrap()
}

pub(super) fn query(wanted: &[(AttributeType, &[u8])]) -> Query {
    let template: Vec<_> = wanted
        .iter()
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
        .collect();
    Query::parse(&template).unwrap()
}

/// Everything that a search finds, page after page.
pub(super) fn find_all(token: &Token, query: Query) -> Result<Vec<Found>> {
    let (mut search, mut all) = (Search::new(query), Vec::new());
    loop {
        let page = token.find_next(token.principal(), &mut search)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The labels of what a search finds, sorted.
pub(super) fn found(token: &Token, wanted: &[(AttributeType, &[u8])]) -> Vec<String> {
    let all = find_all(token, query(wanted)).unwrap();
    let mut labels: Vec<_> =
        all.iter().map(|found| label_of(&get(token, &found.unique_id).unwrap())).collect();
    labels.sort();
    labels
}

pub(super) fn label_of(live: &LiveObject) -> String {
    String::from_utf8(live.object().bytes(AttributeType::Label).to_vec()).unwrap()
}

/// Gives the object another label.
pub(super) fn relabel(token: &Token, live: &LiveObject, label: &str) -> Result<Option<()>> {
    token.update(token.principal(), live, &mut |present| {
        let template =
            [RawAttribute { number: AttributeType::Label.to_ck(), value: label.as_bytes() }];
        let changes = crate::object::request::Changes::set(present, &template, false)?;
        Ok(changes.applied(present))
    })
}
