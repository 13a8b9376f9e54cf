//! Both back-ends, written here from what the modules say of them. What Debian's
//! SoftHSM2 itself writes is taken over in `tests/cli/migrate.rs`.

mod hostile;
mod source;

use super::*;
use crate::mechanism::digest;
use crate::object::foreign;
use crate::types::{AttributeType, KeyType, ObjectClass};
use source::{Attribute, PIN, Source};
use std::time::UNIX_EPOCH;

/// What a new token would add.
fn contribute(value: &SecretBytes) -> Result<Contribution> {
    let check_value = digest::check_value(value);
    Ok(Contribution { unique_id: "id".into(), check_value, now: UNIX_EPOCH })
}

/// The only token there, opened, and what is in it.
fn found(source: &Source) -> Result<Vec<Found>> {
    let [token] = <[_; 1]>::try_from(tokens(source.path())?).expect("one token");
    let token = token?;
    let key = token.unlock(&Pin::copied(PIN))?;
    token.objects(Some(&key), &contribute)?.collect()
}

/// The only object there, which is taken.
#[track_caller]
fn taken(source: &Source) -> Taken {
    let mut found = found(source).unwrap();
    match found.pop() {
        Some(Found::Taken(taken)) if found.is_empty() => taken,
        other => panic!("{other:?} behind {found:?}"),
    }
}

/// Why the only object there is left behind.
#[track_caller]
fn left(source: &Source) -> String {
    let mut found = found(source).unwrap();
    match found.pop() {
        Some(Found::Left(left)) if found.is_empty() => left.why,
        other => panic!("{other:?} behind {found:?}"),
    }
}

/// Each back-end with these objects.
fn each(objects: &[Vec<(u64, Attribute)>], test: impl Fn(&Source)) {
    test(&Source::file(objects));
    test(&Source::database(objects));
}

#[test]
fn a_key_comes_over_with_all_that_it_had() {
    for private in [true, false] {
        let mut key = source::key(private);
        key.extend([
            (0x40, Attribute::Flag(true)),
            (0x4000_0600, Attribute::Mechanisms(vec![0x251, 0x271])),
        ]);
        // An attribute of another class's, with nothing in it, is nothing to tell of.
        source::set(&mut key, 0x40, None);
        source::set(&mut key, 0x110, Some(Attribute::Plain(b"20260131".to_vec())));
        each(&[key], |source| {
            let Taken { name, object, without } = taken(source);
            assert_eq!(without, [""; 0]);
            assert_eq!(object.class(), ObjectClass::SecretKey);
            assert_eq!(object.key_type(), Some(KeyType::GenericSecret));
            assert_eq!(object.is_private(), private);
            assert!(object.is_token_object());
            assert_eq!(foreign::check(&object, 1..=512), Ok(()), "a backup restores it");
            assert!(object.value().equals(source::VALUE));
            for (attribute, value) in [
                (AttributeType::Label, &b"a label"[..]),
                (AttributeType::Id, &[1, 2, 3]),
                (AttributeType::StartDate, b"20260131"),
                (AttributeType::EndDate, b""),
                (
                    AttributeType::AllowedMechanisms,
                    &[0x251, 0x271].map(Ulong::to_ne_bytes).concat(),
                ),
                (AttributeType::KeyGenMechanism, &Ulong::to_ne_bytes(0x350)),
                (AttributeType::ValueLen, &Ulong::to_ne_bytes(source::VALUE.len() as Ulong)),
            ] {
                assert_eq!(*object.read(attribute.to_ck()).unwrap(), value, "{attribute}");
            }
            for attribute in [
                AttributeType::Sensitive,
                AttributeType::AlwaysSensitive,
                AttributeType::NeverExtractable,
                AttributeType::Local,
                AttributeType::Sign,
                AttributeType::Copyable,
            ] {
                assert!(object.flag(attribute), "{attribute}");
            }
            for attribute in [
                AttributeType::Extractable,
                AttributeType::Verify,
                AttributeType::Modifiable,
                AttributeType::Destroyable,
            ] {
                assert!(!object.flag(attribute), "{attribute}");
            }
            assert_eq!((name.label, name.id), (b"a label".to_vec(), vec![1, 2, 3]));
        });
    }
}

#[test]
fn data_comes_over_private_or_not() {
    for private in [true, false] {
        each(&[source::data(private, b"content")], |source| {
            let Taken { object, .. } = taken(source);
            assert_eq!((object.class(), object.is_private()), (ObjectClass::Data, private));
            assert!(object.value().equals(b"content"));
            assert_eq!(object.bytes(AttributeType::Application), b"app");
            assert_eq!(object.bytes(AttributeType::ObjectId), [6, 1, 5]);
        });
    }
}

#[test]
fn the_token_is_known_before_the_pin() {
    each(&[], |source| {
        let [token] = <[_; 1]>::try_from(tokens(source.path()).unwrap()).expect("one token");
        let token = token.unwrap();
        assert_eq!((token.label(), token.serial()), (Some("source"), "0123456789abcdef"));
        assert!(token.has_user_pin());
        assert_eq!(token.unlock(&Pin::copied(b"wrong")).unwrap_err(), Error::PinIncorrect);
        assert_eq!(token.unlock(&Pin::copied(b"")).unwrap_err(), Error::PinIncorrect);
        assert!(found(source).unwrap().is_empty());
    });
}

/// 72 bytes that SoftHSM2 2.6.1 stored for the PIN "1234", and 32 that it then stored
/// for a label, "k1".
#[test]
fn what_softhsm2_encrypted_opens() {
    const SEALED: &str = "b563d369fe3d594f3ab3eeeefbc6c0e9b6e4597d923fbd476da3816c6730370421d849f7\
         5d64e4f8dcd2e37002b5e9c369c3411703100cd49b51a8eb7f1c4dd75a168a1262247dfe";
    const LABEL: &str = "abed2bf5e8763ee5e16f71ba8177144b03663f25168bb17ab68632da50e72ede";
    let bytes = |digits: &str| -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let key = TokenKey::open(&bytes(SEALED), &Pin::copied(b"1234")).unwrap();
    assert_eq!(*key.decrypt(&bytes(LABEL)).unwrap(), b"k1");
    assert!(TokenKey::open(&bytes(SEALED), &Pin::copied(b"1235")).is_none());
}

#[test]
fn what_cannot_be_held_is_named_with_the_reason() {
    let with = |attribute, value| {
        let mut key = source::key(true);
        source::set(&mut key, attribute, value);
        key
    };
    for (object, why) in [
        (with(0, Some(Attribute::Number(3))), "no objects of this class"),
        (with(0x100, Some(Attribute::Number(0x1f))), "no keys of this type"),
        (with(0, None), "has no CKA_CLASS"),
        (with(0x100, None), "has no CKA_KEY_TYPE"),
        (with(2, None), "has no CKA_PRIVATE"),
        (with(0x11, None), "has no CKA_VALUE: it was cut short or edited"),
        (with(0x4000_0212, None), "has no CKA_UNWRAP_TEMPLATE"),
        (with(0x103, Some(Attribute::Number(1))), "has a CKA_SENSITIVE that is none"),
        (with(0x11, Some(Attribute::Bytes(vec![1; 65_537]))), "a key has 1 to 65536 bytes"),
        (with(0x11, Some(Attribute::Bytes(vec![1; 16]))), "CKA_CHECK_VALUE is another value's"),
        (with(0x11, Some(Attribute::Plain(vec![1; 48]))), "CKA_VALUE was edited"),
        (
            with(0x110, Some(Attribute::Plain(b"20261301".to_vec()))),
            "a CKA_START_DATE that is none",
        ),
        (source::data(true, &vec![1; 1_048_577]), "more than 1048576 bytes"),
    ] {
        each(&[object], |source| {
            let told = left(source);
            assert!(told.contains(why), "{told:?} instead of {why:?}");
        });
    }
}

#[test]
fn a_template_that_cannot_be_held_is_told_of() {
    let mut key = source::key(true);
    source::set(&mut key, 0x4000_0211, Some(Attribute::Template(vec![0; 17])));
    each(&[key], |source| assert_eq!(taken(source).without, ["CKA_WRAP_TEMPLATE"]));
}

/// Keys that were unwrapped have no check value, and those of machines with 32 bits
/// another word for "none".
#[test]
fn a_key_without_a_history_comes_over() {
    for unavailable in [u64::MAX, 0xffff_ffff] {
        let mut key = source::key(true);
        source::set(&mut key, 0x166, Some(Attribute::Number(unavailable)));
        source::set(&mut key, 0x90, Some(Attribute::Plain(Vec::new())));
        each(&[key], |source| {
            let object = taken(source).object;
            let read = |attribute: AttributeType| object.read(attribute.to_ck());
            assert_eq!(*read(AttributeType::KeyGenMechanism).unwrap(), Ulong::MAX.to_ne_bytes());
            assert!(read(AttributeType::CheckValue).is_err());
        });
    }
}

#[test]
fn without_a_user_pin_there_are_only_public_objects() {
    let objects = [source::key(false), source::data(true, b"x")];
    for source in [Source::file(&objects), Source::database(&objects)] {
        source.forget_user_pin();
        let [token] = <[_; 1]>::try_from(tokens(source.path()).unwrap()).expect("one token");
        let token = token.unwrap();
        assert!(!token.has_user_pin());
        assert_eq!(token.unlock(&Pin::copied(PIN)).unwrap_err(), Error::UserPinNotInitialized);
        let found: Vec<_> = token.objects(None, &contribute).unwrap().collect();
        assert!(matches!(
            &found[..],
            [Ok(Found::Taken(_)), Ok(Found::Left(Left { why, .. }))] if why.contains("does not open")
        ));
    }
}

#[test]
fn a_set_of_mechanisms_is_read_as_either_width_wrote_it() {
    let narrow = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let wide = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    for bytes in [narrow(&[0x251, 0x261]), wide(&[0x251, 0x261])] {
        assert_eq!(database::mechanisms(&bytes), Some(vec![0x251, 0x261]));
    }
    assert_eq!(database::mechanisms(&narrow(&[0, 0x251])), Some(vec![0, 0x251]));
    assert_eq!(database::mechanisms(&wide(&[0, 0x8000_0001])), Some(vec![0, 0x8000_0001]));
    assert_eq!(database::mechanisms(&[]), Some(vec![]));
    let swapped: Vec<u8> = [0x251_u64, 0x261].iter().flat_map(|n| n.to_be_bytes()).collect();
    for wrong in [&swapped[..], &[0x51, 2, 0], &narrow(&[0x261, 0x251]), &narrow(&[7, 7])] {
        assert_eq!(database::mechanisms(wrong), None, "{wrong:?}");
    }
}

#[test]
fn of_several_rows_the_first_counts_but_a_refusal_stays() {
    let mut key = source::key(true);
    source::set(&mut key, 0x172, Some(Attribute::Flag(true)));
    key.extend([(0x172, Attribute::Flag(false)), (0x172, Attribute::Flag(true))]);
    key.push((0x108, Attribute::Flag(false)));
    let object = taken(&Source::database(&[key.clone()])).object;
    assert!(object.flag(AttributeType::Sign) && !object.flag(AttributeType::Destroyable));
    assert!(left(&Source::file(&[key])).contains("cut short or was edited"));
}
