//! Keys as the KMS API makes them, their policies and their material; and the whole life
//! of a key against a model of it.

use super::key_life::{OWNER, is_in_state, refusal, state};
use super::*;
use crate::error::Refusal;
use crate::object::kms::{NewKey, is_key_id};
use crate::object::{KeySpec, KeyState, Lifecycle, MultiRegion, Origin, Tags};
use crate::secret::SecretBytes;
use crate::token::Acted;
use crate::types::Region;
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

fn made(token: &Token, new: NewKey) -> String {
    id_of(&token.create_kms_key(OWNER, new, false).unwrap())
}

fn external(spec: KeySpec) -> NewKey {
    NewKey { origin: Origin::External, ..NewKey::new(spec) }
}

fn material(byte: u8, length: usize) -> SecretBytes {
    SecretBytes::copied(&vec![byte; length])
}

fn no_key_of_kms(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Unsupported(_))
}

#[test]
fn a_key_is_described_as_it_was_made() {
    each_place(|world| {
        let token = world.create_for_user();
        let tags = Tags::of(&[("team".into(), "red".into())]).unwrap();
        let new = NewKey {
            description: "for tokens".into(),
            tags: tags.clone(),
            ..NewKey::new(KeySpec::Hmac384)
        };
        let id = made(&token, new);
        assert!(is_key_id(&id));
        let other = world.open_for_user();
        let known = other.describe_key(OWNER, &id).unwrap();
        assert_eq!(known.arn, format!("arn:aws:kms:us-east-1:000000000000:key/{id}"));
        assert_eq!((known.spec, known.origin), (KeySpec::Hmac384, Origin::Generated));
        assert_eq!((known.state, known.is_enabled()), (KeyState::Enabled, true));
        assert_eq!(known.created, world.clock.now());
        assert_eq!(known.description, "for tokens");
        assert!(known.has_material && known.multi_region.is_none());
        assert_eq!(other.key_tags(OWNER, &id).unwrap(), tags);
        assert_eq!(get(&other, &id).unwrap().object().value().len(), 48);
        let attribute = get(&other, &id).unwrap().object().bytes(AttributeType::Id).to_vec();
        assert_eq!(found(&other, &[(AttributeType::Id, &attribute)]).len(), 1);

        other.schedule_key_deletion(OWNER, &id, 9).unwrap();
        let known = token.describe_key(OWNER, &id).unwrap();
        assert_eq!(known.deletion_date, Some(world.clock.now() + 9 * DAY));
        assert_eq!((known.pending_window_days, known.is_enabled()), (None, false));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_key_of_the_c_door_is_described_if_it_has_a_spec() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let short = id_of(&insert(&token, key("20 bytes", true, &[])));
    assert!(no_key_of_kms(&refusal(token.describe_key(OWNER, &short))));
    let key_type: [u8; size_of::<Ulong>()] = KeyType::Sha256Hmac.to_ck().to_ne_bytes();
    let attributes = [
        (AttributeType::KeyType, &key_type[..]),
        (AttributeType::Private, FALSE),
        (AttributeType::Value, &[7; 40]),
    ];
    let long = insert(&token, object(ObjectClass::SecretKey, &attributes));
    let known = token.describe_key(OWNER, &id_of(&long)).unwrap();
    assert_eq!((known.spec, known.origin), (KeySpec::Hmac256, Origin::External));
    assert!(known.has_material && known.valid_to.is_none());
    // A mark of a public key's material could be read by all.
    let id = id_of(&long);
    assert!(no_key_of_kms(&refusal(token.delete_imported_key_material(OWNER, &id))));
}

#[test]
fn every_key_with_a_spec_is_listed_once() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let mut expected: Vec<_> = (0..5)
        .map(|_| {
            insert(&token, key("of another length", true, &[]));
            insert(&token, data("no key", false));
            made(&token, NewKey::new(KeySpec::Hmac256))
        })
        .collect();
    expected.push(made(&token, external(KeySpec::Hmac512)));
    let gone = made(&token, NewKey::new(KeySpec::Hmac256));
    token.schedule_key_deletion(OWNER, &gone, 7).unwrap();
    world.clock.advance(7 * DAY);
    for limit in [1, 3, 100] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = token.kms_keys(OWNER, after.as_deref(), limit).unwrap();
            listed.extend(page.into_iter().map(|known| known.id));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "{limit} at a time");
    }
    for wrong in ["", "x", "9.0", "0.x", "0"] {
        let refused = token.kms_keys(OWNER, Some(wrong), 9);
        assert_eq!(refusal(refused), Refusal::Marker, "{wrong:?}");
    }
}

#[test]
fn a_key_without_material_waits_for_it_and_is_used_by_nobody() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let id = made(&token, external(KeySpec::Hmac256));
    let known = token.describe_key(OWNER, &id).unwrap();
    assert_eq!((known.state, known.has_material), (KeyState::PendingImport, false));
    let live = get(&token, &id).unwrap();
    assert!(live.object().lacks_material() && live.is_complete());
    let use_it = token.require_state(Action::GenerateMac, live.object());
    assert_eq!(refusal(use_it), is_in_state(&id, KeyState::PendingImport));

    let import = |value: &SecretBytes| token.import_key_material(OWNER, &id, value, None);
    for wrong in [0, 31, 129] {
        assert_eq!(refusal(import(&material(1, wrong))), Refusal::KeyMaterial, "{wrong} bytes");
    }
    import(&material(1, 40)).unwrap();
    let live = get(&world.open_for_user(), &id).unwrap();
    assert!(live.object().value().equals(&[1; 40]));
    assert_eq!(state(&token, &id), Some(KeyState::Enabled));

    token.disable_key(OWNER, &id).unwrap();
    import(&material(1, 40)).unwrap();
    assert_eq!(state(&token, &id), Some(KeyState::Disabled), "it had its material");
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn only_the_first_material_ever_comes_back() {
    each_place(|world| {
        let token = world.create_for_user();
        let id = made(&token, external(KeySpec::Hmac512));
        let import = |value: &SecretBytes| token.import_key_material(OWNER, &id, value, None);
        let first = material(1, 64);
        import(&first).unwrap();
        assert_eq!(refusal(import(&material(2, 64))), Refusal::KeyMaterial);
        for _ in 0..2 {
            token.delete_imported_key_material(OWNER, &id).unwrap();
            let live = get(&token, &id).unwrap();
            assert!(live.object().value().is_empty());
            assert_eq!(state(&token, &id), Some(KeyState::PendingImport));
        }
        token.rotate_root_key(OWNER).unwrap();
        assert_eq!(refusal(import(&material(2, 64))), Refusal::KeyMaterial);
        assert_eq!(refusal(import(&material(1, 65))), Refusal::KeyMaterial);
        import(&first).unwrap();
        assert_eq!(state(&token, &id), Some(KeyState::Enabled));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn expired_material_is_gone_for_every_process_at_once_and_from_the_record_soon() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let id = made(&token, external(KeySpec::Hmac224));
        let until = world.clock.now() + DAY;
        let import = |until| token.import_key_material(OWNER, &id, &material(1, 28), Some(until));
        for wrong in [world.clock.now(), world.clock.now() + 366 * DAY] {
            assert!(matches!(import(wrong), Err(Error::ValidationFailed(_))));
        }
        import(until + Duration::from_millis(999)).unwrap();
        let held = get(&other, &id).unwrap();
        assert_eq!(held.next_change(world.clock.now()), Some(until));
        assert_eq!(other.describe_key(OWNER, &id).unwrap().valid_to, Some(until));

        world.clock.set(until);
        assert!(held.is_current());
        let refused = other.require_state(Action::VerifyMac, held.object());
        assert_eq!(refusal(refused), is_in_state(&id, KeyState::PendingImport));
        assert_eq!(held.next_change(until), None);
        let known = other.describe_key(OWNER, &id).unwrap();
        assert_eq!((known.state, known.has_material), (KeyState::PendingImport, false));
        assert_eq!(known.valid_to, None);
        let refused = refusal(other.enable_key(OWNER, &id));
        assert_eq!(refused, is_in_state(&id, KeyState::PendingImport));
        let mut seen = 0;
        token
            .export(OWNER, &mut |live| {
                assert!(live.unwrap().object().value().is_empty(), "no backup has it either");
                seen += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, 1);

        assert_eq!(other.act_on_dates().unwrap(), [Acted::MaterialExpired(id.clone())]);
        assert!(get(&token, &id).unwrap().object().value().is_empty());
        let wrong = token.import_key_material(OWNER, &id, &material(2, 28), None);
        assert_eq!(refusal(wrong), Refusal::KeyMaterial);
        token.import_key_material(OWNER, &id, &material(1, 28), None).unwrap();
        world.clock.advance(400 * DAY);
        assert_eq!(state(&token, &id), Some(KeyState::Enabled), "this time without an end");
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn material_of_a_generated_key_neither_comes_nor_goes() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = made(&token, NewKey::new(KeySpec::Hmac256));
    let by_origin = Refusal::Origin { key: id.clone(), origin: Origin::Generated };
    let import = token.import_key_material(OWNER, &id, &material(1, 32), None);
    assert_eq!(refusal(import), by_origin);
    assert_eq!(refusal(token.delete_imported_key_material(OWNER, &id)), by_origin);
}

#[test]
fn a_deletion_is_cancelled_without_the_material_that_went_meanwhile() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = made(&token, external(KeySpec::Hmac256));
    let import = |days| {
        let until = world.clock.now() + days * DAY;
        token.import_key_material(OWNER, &id, &material(1, 32), Some(until))
    };
    import(5).unwrap();
    token.schedule_key_deletion(OWNER, &id, 30).unwrap();
    assert_eq!(refusal(import(5)), is_in_state(&id, KeyState::PendingDeletion));
    world.clock.advance(6 * DAY);
    token.act_on_dates().unwrap();
    assert_eq!(state(&token, &id), Some(KeyState::PendingDeletion), "that goes on");
    token.cancel_key_deletion(OWNER, &id).unwrap();
    assert_eq!(state(&token, &id), Some(KeyState::PendingImport));

    import(300).unwrap();
    token.schedule_key_deletion(OWNER, &id, 30).unwrap();
    token.delete_imported_key_material(OWNER, &id).unwrap();
    assert_eq!(state(&token, &id), Some(KeyState::PendingDeletion));
    world.clock.advance(30 * DAY);
    assert_eq!(token.act_on_dates().unwrap(), [Acted::Deleted(id.clone())]);
}

#[test]
fn a_primary_is_deleted_when_its_replicas_are_gone() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let region = |name| Region::new(name).unwrap();
    let place = MultiRegion { is_primary: true, primary: Region::DEFAULT, replicas: Vec::new() };
    let new = NewKey { multi_region: Some(place), ..NewKey::new(KeySpec::Hmac256) };
    let id = made(&token, new);
    assert!(is_key_id(&id) && id.starts_with("mrk-"), "{id}");
    let replicas = [region("eu-west-1"), region("ap-south-1"), region("eu-west-1")];
    token.set_replicas(OWNER, &id, &replicas).unwrap();
    let scheduled = token.schedule_key_deletion(OWNER, &id, 10).unwrap();
    assert_eq!(scheduled.state, KeyState::PendingReplicaDeletion);
    let known = token.describe_key(OWNER, &id).unwrap();
    assert_eq!((known.deletion_date, known.pending_window_days), (None, Some(10)));
    let known = known.multi_region.unwrap().replicas;
    assert_eq!(known, [region("ap-south-1"), region("eu-west-1")]);
    world.clock.advance(100 * DAY);
    assert_eq!(state(&token, &id), Some(KeyState::PendingReplicaDeletion));
    let more = token.set_replicas(OWNER, &id, &[region("us-west-2")]);
    assert_eq!(refusal(more), is_in_state(&id, KeyState::PendingReplicaDeletion));
    token.set_replicas(OWNER, &id, &known[..1]).unwrap();
    token.set_replicas(OWNER, &id, &[]).unwrap();
    let known = token.describe_key(OWNER, &id).unwrap();
    assert_eq!(known.deletion_date, Some(world.clock.now() + 10 * DAY));
    let other = made(&token, NewKey::new(KeySpec::Hmac256));
    let refused = refusal(token.set_replicas(OWNER, &other, &[]));
    assert_eq!(refused, Refusal::NotPrimary(other));
}

fn policy(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
            "Principal":{{"AWS":"{principal}"}},"Action":"kms:*","Resource":"*"}}}}"#
    )
}

#[test]
fn there_are_so_many_keys_and_no_more() {
    each_place(|world| {
        let token = world.create_for_user();
        made(&token, NewKey::new(KeySpec::Hmac256));
        insert(&token, key("private", true, &[]));
        insert(&token, key("public", false, &[]));
        insert(&token, data("no key", true));
        for most in [1, 2, 3] {
            let refused = token.require_room(OWNER, most);
            assert!(matches!(refused, Err(Error::LimitExceeded(_))), "{most}: {refused:?}");
        }
        assert_eq!(token.require_room(OWNER, 4), Ok(()));
        token.rotate_root_key(OWNER).unwrap();
        assert!(token.require_room(OWNER, 3).is_err());
    });
}

#[test]
fn a_policy_is_kept_as_it_was_given_unless_it_locks_out_who_gives_it() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let id = made(&token, NewKey::new(KeySpec::Hmac256));
    assert!(token.get_key_policy(OWNER, &id).unwrap().contains("arn:aws:iam::000000000000:root"));
    let (root, user) = ("arn:aws:iam::000000000000:root", "arn:aws:iam::000000000000:user/a");
    token.add_user(OWNER, &name("a"), &pin(BOB_PIN)).unwrap();
    token.put_key_policy(OWNER, &id, &policy(root), false).unwrap();
    assert_eq!(world.open_for_user().get_key_policy(OWNER, &id).unwrap(), policy(root));

    let locked_out = token.put_key_policy(OWNER, &id, &policy(user), false);
    assert!(matches!(locked_out, Err(Error::MalformedPolicy(_))));
    for (wrong, bypass) in [("{}", false), ("{}", true), ("no JSON", true)] {
        let refused = token.put_key_policy(OWNER, &id, wrong, bypass);
        assert!(matches!(refused, Err(Error::MalformedPolicy(_))), "{wrong}");
    }
    let long = policy(root) + &" ".repeat(32_768);
    let refused = token.put_key_policy(OWNER, &id, &long, false);
    assert!(matches!(refused, Err(Error::LimitExceeded(_))));
    assert_eq!(token.get_key_policy(OWNER, &id).unwrap(), policy(root), "none of it was kept");

    let new = || NewKey { policy: Some(policy(user)), ..NewKey::new(KeySpec::Hmac256) };
    let refused = token.create_kms_key(OWNER, new(), false);
    assert!(matches!(refused, Err(Error::MalformedPolicy(_))));
    assert!(token.create_kms_key(OWNER, new(), true).is_ok());
    token.put_key_policy(OWNER, &id, &policy(user), true).unwrap();
}

#[test]
fn a_copy_inherits_policy_state_and_dates() {
    let now = UNIX_EPOCH + 20_000 * DAY;
    let original = key("k", true, &[]);
    let life = Lifecycle {
        policy: Some("a policy".into()),
        state: KeyState::Disabled,
        valid_to: Some(now),
        description: "for tokens".into(),
        tags: Tags::of(&[("a".into(), "b".into())]).unwrap(),
        ..original.lifecycle().clone()
    };
    let original = original.with_lifecycle(life.clone());
    let changes = crate::object::request::Changes::copy(&original, &[], false).unwrap();
    let copy = changes.copied(&original, "copy".into(), now);
    assert_eq!(*copy.lifecycle(), Lifecycle { created: now, ..life });
}

/// What is done to the key of the model.
#[derive(Debug, Clone)]
enum Deed {
    Enable,
    Disable,
    Schedule(u8),
    Cancel,
    Import { byte: u8, days: Option<u32> },
    DeleteMaterial,
    Describe,
    Tag,
    Wait(u32),
}

/// A key as the KMS API's documents tell of it.
#[derive(Debug, Clone)]
struct Model {
    origin: Origin,
    state: KeyState,
    /// In days since the beginning.
    today: u32,
    deletion: Option<u32>,
    expiry: Option<u32>,
    present: Option<u8>,
    first: Option<u8>,
    is_gone: bool,
}

impl Model {
    fn new(origin: Origin) -> Self {
        let (state, present) = match origin {
            Origin::Generated => (KeyState::Enabled, Some(0)),
            Origin::External => (KeyState::PendingImport, None),
        };
        let (today, deletion, expiry) = (0, None, None);
        Self { origin, state, today, deletion, expiry, present, first: None, is_gone: false }
    }

    fn lose_material(&mut self) {
        (self.present, self.expiry) = (None, None);
        if self.state != KeyState::PendingDeletion {
            self.state = KeyState::PendingImport;
        }
    }

    fn wait(&mut self, days: u32) {
        self.today += days;
        if self.expiry.is_some_and(|day| day <= self.today) {
            self.lose_material();
        }
        self.is_gone |= self.deletion.is_some_and(|day| day <= self.today);
    }

    fn apply(&mut self, deed: &Deed, id: &str) -> Result<(), Refusal> {
        use KeyState::{Disabled, Enabled, PendingDeletion, PendingImport};
        let wrong_state = Err(is_in_state(id, self.state));
        let wrong_origin = || Err(Refusal::Origin { key: id.into(), origin: self.origin });
        if self.is_gone && !matches!(deed, Deed::Wait(_)) {
            return Err(Refusal::NoSuchKey(id.into()));
        }
        match (deed, self.state) {
            (Deed::Wait(days), _) => self.wait(*days),
            (Deed::Describe, _) => {}
            (Deed::Enable, Enabled | Disabled) => self.state = Enabled,
            (Deed::Disable, Enabled | Disabled) => self.state = Disabled,
            (Deed::Enable | Deed::Disable, _) => return wrong_state,
            (Deed::Schedule(_) | Deed::Tag, PendingDeletion) => return wrong_state,
            (Deed::Tag, _) => {}
            (Deed::Schedule(days), _) => {
                self.state = PendingDeletion;
                self.deletion = Some(self.today + u32::from(*days));
            }
            (Deed::Cancel, PendingDeletion) => {
                self.state = if self.present.is_some() { Disabled } else { PendingImport };
                self.deletion = None;
            }
            (Deed::Cancel, _) => return Err(Refusal::NotPendingDeletion(id.into())),
            (Deed::Import { .. } | Deed::DeleteMaterial, _) if self.origin == Origin::Generated => {
                return wrong_origin();
            }
            (Deed::Import { .. }, PendingDeletion) => return wrong_state,
            (Deed::Import { byte, .. }, _) if self.first.is_some_and(|first| first != *byte) => {
                return Err(Refusal::KeyMaterial);
            }
            (Deed::Import { byte, days }, state) => {
                (self.first, self.present) = (Some(*byte), Some(*byte));
                self.expiry = days.map(|days| self.today + days);
                self.state = if state == PendingImport { Enabled } else { state };
            }
            (Deed::DeleteMaterial, PendingImport) => {}
            (Deed::DeleteMaterial, _) => self.lose_material(),
        }
        Ok(())
    }
}

fn done(token: &Token, world: &World, deed: &Deed, id: &str) -> Result<()> {
    match deed {
        Deed::Enable => token.enable_key(OWNER, id),
        Deed::Disable => token.disable_key(OWNER, id),
        Deed::Schedule(days) => token.schedule_key_deletion(OWNER, id, *days).map(drop),
        Deed::Cancel => token.cancel_key_deletion(OWNER, id),
        Deed::Import { byte, days } => {
            let until = days.map(|days| world.clock.now() + days * DAY);
            token.import_key_material(OWNER, id, &material(*byte, 32), until)
        }
        Deed::DeleteMaterial => token.delete_imported_key_material(OWNER, id),
        Deed::Describe => token.describe_key(OWNER, id).map(drop),
        Deed::Tag => token.tag_key(OWNER, id, &[("a".into(), "b".into())]),
        Deed::Wait(days) => {
            world.clock.advance(*days * DAY);
            Ok(())
        }
    }
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, bool)>> {
    let deed = prop_oneof![
        1 => Just(Deed::Enable),
        1 => Just(Deed::Disable),
        1 => (7..=30_u8).prop_map(Deed::Schedule),
        2 => Just(Deed::Cancel),
        4 => (1..=2_u8, prop::option::of(1..=20_u32))
            .prop_map(|(byte, days)| Deed::Import { byte, days }),
        1 => Just(Deed::DeleteMaterial),
        1 => Just(Deed::Describe),
        1 => Just(Deed::Tag),
        3 => (1..=12_u32).prop_map(Deed::Wait),
    ];
    prop::collection::vec((deed, any::<bool>()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Two processes, in turn, at one key: each sees at once what the other did, and what
    /// time did.
    #[test]
    fn a_key_lives_as_documented(imported in any::<bool>(), deeds in deeds()) {
        let world = World::in_memory();
        let tokens = [world.create_for_user(), world.open_for_user()];
        let origin = if imported { Origin::External } else { Origin::Generated };
        let id = made(&tokens[0], NewKey { origin, ..NewKey::new(KeySpec::Hmac256) });
        let mut model = Model::new(origin);
        for (deed, by_other) in deeds {
            let expected = model.apply(&deed, &id);
            let answer = done(&tokens[usize::from(by_other)], &world, &deed, &id);
            prop_assert_eq!(answer, expected.map_err(Error::Refused), "{:?} {:?}", deed, model);
            for token in &tokens {
                let known = token.describe_key(OWNER, &id);
                if model.is_gone {
                    prop_assert_eq!(refusal(known), Refusal::NoSuchKey(id.clone()));
                    continue;
                }
                let known = known.unwrap();
                prop_assert_eq!(known.state, model.state, "{:?}", model);
                prop_assert_eq!(known.has_material, model.present.is_some());
                let days = |date: SystemTime| {
                    let since = date.duration_since(world.clock.now()).unwrap().as_secs();
                    model.today + u32::try_from(since / 86_400).unwrap()
                };
                prop_assert_eq!(known.valid_to.map(days), model.expiry);
                prop_assert_eq!(known.deletion_date.map(days), model.deletion);
                let live = get(token, &id).unwrap();
                let usable = token.require_state(Action::GenerateMac, live.object()).is_ok();
                prop_assert_eq!(usable, model.state == KeyState::Enabled);
                if let (true, Some(byte)) = (usable && imported, model.present) {
                    prop_assert!(live.object().value().equals(&[byte; 32]));
                }
            }
        }
        prop_assert_eq!(tokens[0].check().unwrap().findings, []);
    }
}
