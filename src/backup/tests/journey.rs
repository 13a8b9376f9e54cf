//! What goes into a backup comes out of it.

use super::super::format::{Method, VERSION};
use super::*;
use crate::object::kms::NewKey;
use crate::object::{KeySpec, Origin};
use crate::policy::default_key_policy;
use crate::secret::SecretBytes;
use proptest::prelude::*;

#[test]
fn everything_comes_back_by_passphrase_and_by_transport_key() {
    let (token, recipient) = (filled(), token());
    let public = recipient.transport_key(Principal::Owner).unwrap();
    let private = recipient.transport_private(Principal::Owner).unwrap().unwrap();
    let file = backup_of(&token, &[], &Seal::Recipient(&public)).unwrap();
    let locked = Locked::read(Box::new(&file[..]), Path::new(NAME)).unwrap();
    assert_eq!(locked.opens_with(), OpensWith::TransportKey(public));
    assert_eq!(contents(&file, &Opener::Recipient(&private)).unwrap(), all(&token));

    let file = sealed_backup(&token);
    let locked = Locked::read(Box::new(&file[..]), Path::new(NAME)).unwrap();
    assert_eq!(locked.opens_with(), OpensWith::Passphrase);
    assert_eq!(by_passphrase(&file).unwrap(), all(&token));
}

#[test]
fn a_backup_says_what_it_was_made_of() {
    let token = filled();
    let file = sealed_backup(&token);
    let backup = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE))).unwrap();
    let description = backup.description();
    assert_eq!(description.label, "demo");
    assert_eq!(description.serial, token.info().unwrap().serial);
    assert!(description.is_whole);
    let text = format!("\"demo\" ({}) as of 2027-01-15T08:00:00.000Z", description.serial);
    assert_eq!(description.to_string(), text);
}

#[test]
fn a_restored_token_has_the_same_objects_and_not_one_of_them_is_touched_twice() {
    let (from, token) = (filled(), token());
    let file = sealed_backup(&from);
    let owner = Principal::Owner;
    let restored = |skip| {
        let mut backup = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE)))?;
        restore(&token, owner, &mut backup, skip, &mut |_| ())
    };
    assert_eq!(restored(false).unwrap(), Restored { added: 5, skipped: 0 });
    assert_eq!(all(&token), all(&from));
    assert!(matches!(restored(false), Err(Error::UniqueIdTaken { others: 4, .. })));
    assert_eq!(restored(true).unwrap(), Restored { added: 0, skipped: 5 });
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn state_dates_policy_and_tags_go_along() {
    let (from, token, owner) = (filled(), token(), Principal::Owner);
    let new = |origin| NewKey { origin, ..NewKey::new(KeySpec::Hmac256) };
    let made = |origin| from.create_kms_key(owner, new(origin), false).unwrap().id().to_owned();
    let [kept, waiting, expiring] =
        [Origin::Generated, Origin::External, Origin::External].map(made);
    from.tag_key(owner, &kept, &[("team".into(), "red".into())]).unwrap();
    from.update_key_description(owner, &kept, "for tokens").unwrap();
    from.put_key_policy(owner, &kept, &default_key_policy("000000000000"), false).unwrap();
    from.schedule_key_deletion(owner, &kept, 9).unwrap();
    let until = UNIX_EPOCH + Duration::from_secs(1_800_086_400);
    let material = SecretBytes::copied(&[7; 32]);
    from.import_key_material(owner, &expiring, &material, Some(until)).unwrap();
    from.delete_imported_key_material(owner, &expiring).unwrap();
    from.import_key_material(owner, &expiring, &material, Some(until)).unwrap();
    let file = sealed_backup(&from);
    let mut backup = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE))).unwrap();
    restore(&token, owner, &mut backup, false, &mut |_| ()).unwrap();
    assert_eq!(all(&token), all(&from));
    for id in [&kept, &waiting, &expiring] {
        let known = |token: &Token| token.describe_key(owner, id).unwrap();
        assert_eq!(known(&token), known(&from));
    }
    assert_eq!(token.key_tags(owner, &kept).unwrap().get("team"), Some("red"));
    assert_eq!(token.describe_key(owner, &expiring).unwrap().valid_to, Some(until));
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn chosen_keys_are_all_that_is_in_it() {
    let token = filled();
    insert(&token, key(b"a", b"another of this label", &[]));
    let choice = |attribute, value: &[u8]| Choice { attribute, value: value.to_vec() };
    let labels = |choices: &[Choice]| -> Result<Vec<String>> {
        let file = backup_of(&token, choices, &Seal::Passphrase(&pin(PASSPHRASE), CHEAP))?;
        let mut backup = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE)))?;
        assert!(!backup.description().is_whole);
        let mut labels = Vec::new();
        while let Some(item) = backup.next_item()? {
            let label = item.object.bytes(AttributeType::Label).to_vec();
            labels.push(String::from_utf8(label).unwrap());
        }
        Ok(labels)
    };
    assert_eq!(labels(&[choice(AttributeType::Label, b"a")]).unwrap(), ["a", "a"]);
    assert_eq!(labels(&[choice(AttributeType::Id, b"\x01")]).unwrap(), ["a"]);
    let both = [choice(AttributeType::Id, b"\x01"), choice(AttributeType::Label, b"b")];
    assert_eq!(labels(&both).unwrap(), ["a", "b"]);
    for (missing, words) in [
        (choice(AttributeType::Label, b"c"), "no key is labelled \"c\""),
        (choice(AttributeType::Id, b"\x02"), "no key has the id 02"),
        (choice(AttributeType::UniqueId, b"x"), "no key has the unique id x"),
    ] {
        let error = labels(&[both[0].clone(), missing]).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn an_object_that_cannot_be_opened_is_named_and_no_backup_is_made() {
    let token = filled();
    let id = crate::store::RecordId::new(&"0".repeat(32)).unwrap();
    let put = crate::store::Change::Put {
        kind: crate::store::Kind(3),
        id: id.clone(),
        expected: 0,
        body: b"nonsense".to_vec(),
        tags: Vec::new(),
    };
    token.store().write(&mut |_| Ok(vec![put.clone()])).unwrap();
    let refused = backup_of(&token, &[], &Seal::Passphrase(&pin(PASSPHRASE), CHEAP));
    assert_eq!(refused, Err(Error::RecordDamaged(id.as_str().into())));
}

#[test]
fn nothing_of_a_secret_stands_in_the_file() {
    let token = filled();
    let file = sealed_backup(&token);
    let serial = token.info().unwrap().serial;
    for text in
        [&b"the value of a"[..], b"private data", b"public data", b"demo", serial.as_bytes()]
    {
        assert!(!file.windows(text.len()).any(|window| window == text));
    }
    assert_ne!(file, sealed_backup(&token), "another salt and other keys each time");
}

#[test]
fn an_output_that_takes_no_more_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let token = filled();
    let size = sealed_backup(&token).len();
    for room in [0, 20, 200, size - 1] {
        let (mut output, name) = (Full(room), Path::new(NAME));
        let seal = Seal::Passphrase(&pin(PASSPHRASE), CHEAP);
        let output = (&mut output as &mut dyn std::io::Write, name);
        let made =
            create(&token, Principal::Owner, &[], &seal, &surroundings(), output, &mut |_| ());
        assert_eq!(made, Err(Error::StoreFull(name.into())), "{room}");
    }
}

#[test]
fn a_passphrase_costs_at_least_as_much_as_configured_and_never_too_much() {
    assert_eq!(parameters(CHEAP), PARAMETERS);
    assert_eq!(parameters(PinParameters::DEFAULT), PARAMETERS);
    let more = PinParameters { memory_kib: 100_000, iterations: 5, lanes: 2 };
    assert_eq!(parameters(more), more);
    for configured in [CHEAP, PinParameters::DEFAULT, more, PinParameters::MAX] {
        let chosen = parameters(configured);
        let header = Method::Passphrase { parameters: chosen, salt: [0; 16] };
        let file = [header.header(VERSION), vec![0; 32]].concat();
        assert!(Locked::read(Box::new(&file[..]), Path::new(NAME)).is_ok(), "{chosen:?}");
    }
}

/// Objects of every class, visibility and length, lengths around a chunk's included.
fn any_object() -> impl Strategy<Value = Object> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    let value = prop_oneof![
        4 => (1_usize..80).boxed(),
        1 => (65_000_usize..=65_536).boxed(),
    ];
    (bytes(40), bytes(20), value, any::<u8>(), any::<[bool; 6]>()).prop_map(
        |(label, id, length, fill, [is_key, private, sensitive, extractable, copyable, sign])| {
            let flag = |flag: bool| if flag { YES } else { NO };
            let value = vec![fill; length];
            let (private, sensitive) = (flag(private), flag(sensitive));
            if !is_key {
                return data(&label, &value, private);
            }
            let more = [
                (AttributeType::Id, &id[..]),
                (AttributeType::Private, private),
                (AttributeType::Sensitive, sensitive),
                (AttributeType::Extractable, flag(extractable)),
                (AttributeType::Copyable, flag(copyable)),
                (AttributeType::Sign, flag(sign)),
                (AttributeType::StartDate, b"20260101"),
            ];
            key(&label, &value, &more)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_objects_come_back(objects in proptest::collection::vec(any_object(), 0..8)) {
        let (from, to) = (token(), token());
        objects.into_iter().for_each(|object| insert(&from, object));
        let file = sealed_backup(&from);
        let mut backup = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE))).unwrap();
        restore(&to, Principal::Owner, &mut backup, false, &mut |_| ()).unwrap();
        prop_assert_eq!(all(&to), all(&from));
        prop_assert_eq!(to.check().unwrap().findings, []);
    }
}
