use super::*;
use crate::object::foreign;
use crate::types::UNAVAILABLE;

const KEY_LEN: RangeInclusive<usize> = 1..=512;

fn ulong(number: Ulong) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

fn raw(entries: &[(AttributeType, Vec<u8>)]) -> Vec<RawAttribute<'_>> {
    entries
        .iter()
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value })
        .collect()
}

fn contribution() -> Contribution {
    Contribution { unique_id: "id".into(), check_value: [1, 2, 3], now: SystemTime::UNIX_EPOCH }
}

fn key_template() -> Vec<(AttributeType, Vec<u8>)> {
    vec![
        (AttributeType::Class, ulong(ObjectClass::SecretKey.to_ck())),
        (AttributeType::KeyType, ulong(KeyType::Sha256Hmac.to_ck())),
        (AttributeType::Value, b"Jefe".to_vec()),
    ]
}

fn create(extra: &[(AttributeType, Vec<u8>)]) -> Result<Object> {
    let entries = [key_template(), extra.to_vec()].concat();
    NewObject::create(&raw(&entries), KEY_LEN)?.into_created(contribution())
}

fn generate(extra: &[(AttributeType, Vec<u8>)]) -> Result<Object> {
    let (new, length) = NewObject::generate(&raw(extra), KeyType::GenericSecret, 14..=512)?;
    let value = SecretBytes::copied(&vec![9; length]);
    new.into_generated(value, MechanismType::GenericSecretKeyGen, contribution())
}

#[test]
fn a_created_key_is_sensitive_and_unextractable_unless_asked_otherwise() {
    let key = create(&[]).unwrap();
    assert!(key.flag(AttributeType::Sensitive) && !key.flag(AttributeType::Extractable));
    assert!(key.flag(AttributeType::Sign) && key.flag(AttributeType::Verify));
    assert!(!key.flag(AttributeType::AlwaysSensitive) && !key.flag(AttributeType::Local));
    assert_eq!(key.lifecycle().origin, Origin::External);
    let generation = key.read(AttributeType::KeyGenMechanism.to_ck()).unwrap();
    assert_eq!(*generation, ulong(UNAVAILABLE));
}

#[test]
fn a_generated_key_remembers_how_it_was_made() {
    let key = generate(&[(AttributeType::ValueLen, ulong(32))]).unwrap();
    for attribute in
        [AttributeType::Local, AttributeType::AlwaysSensitive, AttributeType::NeverExtractable]
    {
        assert!(key.flag(attribute), "{attribute}");
    }
    assert_eq!(*key.read(AttributeType::ValueLen.to_ck()).unwrap(), ulong(32));
    assert_eq!(key.lifecycle().origin, Origin::Generated);
}

#[test]
fn the_value_of_a_sensitive_key_cannot_be_read() {
    let value = AttributeType::Value;
    let sensitive = create(&[(AttributeType::Extractable, vec![1])]).unwrap();
    assert_eq!(sensitive.read(value.to_ck()).unwrap_err(), Error::AttributeSensitive(value));
    let unextractable = create(&[(AttributeType::Sensitive, vec![0])]).unwrap();
    assert_eq!(unextractable.read(value.to_ck()).unwrap_err(), Error::AttributeSensitive(value));
    let open =
        create(&[(AttributeType::Sensitive, vec![0]), (AttributeType::Extractable, vec![1])]);
    assert_eq!(**open.unwrap().read(value.to_ck()).unwrap(), *b"Jefe");
}

#[test]
fn what_the_template_must_and_must_not_name() {
    for missing in 0..3 {
        let mut entries = key_template();
        let (attribute, _) = entries.remove(missing);
        let error = NewObject::create(&raw(&entries), KEY_LEN).unwrap_err();
        assert_eq!(error, Error::TemplateIncomplete(attribute));
    }
    for (attribute, value) in [
        (AttributeType::ValueLen, ulong(4)),
        (AttributeType::Local, vec![1]),
        (AttributeType::UniqueId, b"mine".to_vec()),
        (AttributeType::AlwaysSensitive, vec![1]),
    ] {
        let error = create(&[(attribute, value)]).unwrap_err();
        assert_eq!(error, Error::AttributeReadOnly(attribute));
    }
    let error = generate(&[]).unwrap_err();
    assert_eq!(error, Error::TemplateIncomplete(AttributeType::ValueLen));
    let error = create(&[(AttributeType::Application, vec![])]).unwrap_err();
    assert_eq!(error, Error::TemplateInconsistent(AttributeType::Application));
}

#[test]
fn lengths_out_of_range_are_invalid_values() {
    for length in [0, 13, 513, 1 << 31, UNAVAILABLE] {
        let error = generate(&[(AttributeType::ValueLen, ulong(length))]).unwrap_err();
        assert_eq!(error, Error::AttributeValueInvalid(AttributeType::ValueLen));
    }
    let mut entries = key_template();
    entries[2].1.clear();
    let error = NewObject::create(&raw(&entries), KEY_LEN).unwrap_err();
    assert_eq!(error, Error::AttributeValueInvalid(AttributeType::Value));
}

#[test]
fn the_same_attribute_twice_must_agree() {
    let label = |text: &[u8]| (AttributeType::Label, text.to_vec());
    assert!(create(&[label(b"a"), label(b"a")]).is_ok());
    let error = create(&[label(b"a"), label(b"b")]).unwrap_err();
    assert_eq!(error, Error::TemplateInconsistent(AttributeType::Label));
}

#[test]
fn a_check_value_must_match_and_can_be_declined() {
    let check = AttributeType::CheckValue;
    assert_eq!(create(&[]).unwrap().bytes(check), [1, 2, 3]);
    assert!(create(&[(check, vec![1, 2, 3])]).is_ok());
    assert!(create(&[(check, vec![9, 9, 9])]).is_err());
    let without = create(&[(check, vec![])]).unwrap();
    assert_eq!(
        without.read(check.to_ck()).unwrap_err(),
        Error::AttributeTypeInvalid(check.to_ck())
    );
}

#[test]
fn one_way_attributes_go_one_way() {
    let key = create(&[(AttributeType::Sensitive, vec![0]), (AttributeType::Extractable, vec![1])])
        .unwrap();
    let set = |object: &Object, attribute: AttributeType, value: u8| {
        let entries = [(attribute, vec![value])];
        Changes::set(object, &raw(&entries), false).map(|changes| changes.applied(object))
    };
    let closed = set(&key, AttributeType::Sensitive, 1).unwrap();
    let closed = set(&closed, AttributeType::Extractable, 0).unwrap();
    for (attribute, value) in [(AttributeType::Sensitive, 0), (AttributeType::Extractable, 1)] {
        let error = set(&closed, attribute, value).unwrap_err();
        assert_eq!(error, Error::AttributeReadOnly(attribute));
    }
    assert!(!closed.flag(AttributeType::AlwaysSensitive));
    for attribute in [AttributeType::Token, AttributeType::Private, AttributeType::Modifiable] {
        let error = set(&key, attribute, 1).unwrap_err();
        assert_eq!(error, Error::AttributeReadOnly(attribute));
    }
}

#[test]
fn only_the_security_officer_trusts_a_key() {
    let key = create(&[]).unwrap();
    let entries = [(AttributeType::Trusted, vec![1])];
    let error = Changes::set(&key, &raw(&entries), false).unwrap_err();
    assert_eq!(error, Error::AttributeReadOnly(AttributeType::Trusted));
    let trusted = Changes::set(&key, &raw(&entries), true).unwrap().applied(&key);
    assert!(trusted.flag(AttributeType::Trusted));
}

#[test]
fn an_object_can_forbid_change_and_copy() {
    let fixed = create(&[(AttributeType::Modifiable, vec![0])]).unwrap();
    let entries = [(AttributeType::Label, b"new".to_vec())];
    assert!(matches!(Changes::set(&fixed, &raw(&entries), false), Err(Error::ActionProhibited(_))));
    let single = create(&[(AttributeType::Copyable, vec![0])]).unwrap();
    assert!(matches!(Changes::copy(&single, &[], false), Err(Error::ActionProhibited(_))));
}

#[test]
fn a_copy_keeps_its_history_and_gets_its_own_name() {
    let key = generate(&[(AttributeType::ValueLen, ulong(32))]).unwrap();
    let entries = [(AttributeType::Token, vec![1])];
    let changes = Changes::copy(&key, &raw(&entries), false).unwrap();
    let copy = changes.copied(&key, "copy".into(), SystemTime::UNIX_EPOCH);
    assert!(copy.is_token_object() && copy.flag(AttributeType::Local));
    assert_eq!(copy.unique_id(), "copy");
    assert!(copy.value().equals(key.value().expose()));
}

fn in_token(more: &[(AttributeType, Vec<u8>)]) -> Vec<(AttributeType, Vec<u8>)> {
    [&[(AttributeType::Token, vec![1])], more].concat()
}

fn adopt(extra: &[(AttributeType, Vec<u8>)]) -> Result<Object> {
    let entries = [key_template(), extra.to_vec()].concat();
    NewObject::adopt(&raw(&entries), KEY_LEN)?.into_created(contribution())
}

#[test]
fn an_adopted_key_brings_its_history_along() {
    let history = [
        (AttributeType::Local, vec![1]),
        (AttributeType::AlwaysSensitive, vec![1]),
        (AttributeType::NeverExtractable, vec![1]),
        (AttributeType::KeyGenMechanism, ulong(MechanismType::GenericSecretKeyGen.to_ck())),
    ];
    let key = adopt(&history).unwrap();
    for (attribute, value) in &history {
        assert_eq!(*key.read(attribute.to_ck()).unwrap(), *value, "{attribute}");
        let alone = create(&[(*attribute, value.clone())]);
        assert_eq!(alone.unwrap_err(), Error::AttributeReadOnly(*attribute));
    }
    assert_eq!(key.lifecycle().origin, Origin::Generated);
    assert_eq!(adopt(&history[1..]).unwrap().lifecycle().origin, Origin::External);
    assert_eq!(foreign::check(&adopt(&in_token(&history)).unwrap(), KEY_LEN), Ok(()));
    assert!(adopt(&[(AttributeType::UniqueId, b"x".to_vec())]).is_err());
}

#[test]
fn a_history_that_the_present_contradicts_is_not_believed() {
    for (present, history) in [
        ((AttributeType::Sensitive, vec![0]), AttributeType::AlwaysSensitive),
        ((AttributeType::Extractable, vec![1]), AttributeType::NeverExtractable),
    ] {
        assert!(adopt(&[(history, vec![1])]).unwrap().flag(history));
        assert!(!adopt(&[present, (history, vec![1])]).unwrap().flag(history), "{history}");
    }
}
