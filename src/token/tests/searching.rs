//! Finding objects by their attributes.

use super::*;

fn number(value: Ulong) -> [u8; size_of::<Ulong>()] {
    value.to_ne_bytes()
}

/// Four objects: a and b private keys, c a public key, d public data.
fn filled(world: &World) -> Token {
    let token = world.create_for_user();
    let id = AttributeType::Id;
    insert(&token, key("a", true, &[(id, b"1")]));
    insert(&token, key("b", true, &[(id, b"2"), (AttributeType::Verify, FALSE)]));
    insert(&token, key("c", false, &[(id, b"1")]));
    insert(&token, data("d", false));
    token
}

#[test]
fn every_indexed_attribute_finds_and_so_do_their_combinations() {
    let secret_key = number(ObjectClass::SecretKey.to_ck());
    let data = number(ObjectClass::Data.to_ck());
    let sha256 = number(KeyType::Sha256Hmac.to_ck());
    let generic = number(KeyType::GenericSecret.to_ck());
    use AttributeType::{Class, Id, KeyType as Type, Label, Private, Token as OfToken, Verify};
    let length = number(20);
    type Row<'a> = (&'a [(AttributeType, &'a [u8])], &'a [&'a str]);
    let table: &[Row<'_>] = &[
        (&[], &["a", "b", "c", "d"]),
        (&[(Label, b"a")], &["a"]),
        (&[(Label, b"A")], &[]),
        (&[(Label, b"")], &[]),
        (&[(Id, b"1")], &["a", "c"]),
        (&[(Id, b"")], &[]),
        (&[(Class, &secret_key)], &["a", "b", "c"]),
        (&[(Class, &data)], &["d"]),
        (&[(Type, &sha256)], &["a", "b", "c"]),
        (&[(Type, &generic)], &[]),
        (&[(Class, &secret_key), (Type, &sha256), (Label, b"b"), (Id, b"2")], &["b"]),
        (&[(Label, b"b"), (Id, b"1")], &[]),
        (&[(Private, TRUE)], &["a", "b"]),
        (&[(Private, FALSE)], &["c", "d"]),
        (&[(Private, TRUE), (Id, b"1")], &["a"]),
        (&[(Private, FALSE), (Id, b"1")], &["c"]),
        (&[(OfToken, TRUE)], &["a", "b", "c", "d"]),
        (&[(OfToken, FALSE)], &[]),
        (&[(OfToken, TRUE), (Private, TRUE), (Label, b"a")], &["a"]),
        (&[(Verify, TRUE)], &["a", "c"]),
        (&[(Verify, FALSE), (Class, &secret_key)], &["b"]),
        (&[(AttributeType::ValueLen, &length)], &["a", "b", "c"]),
        (&[(AttributeType::Value, b"20 bytes of a secret")], &[]),
        (&[(AttributeType::Value, b"a data object's value")], &["d"]),
    ];
    each_place(|world| {
        let token = filled(world);
        for token in [&token, &world.open_for_user()] {
            for (wanted, expected) in table {
                assert_eq!(found(token, wanted), *expected, "{wanted:?}");
            }
        }
    });
}

#[test]
fn without_a_login_public_objects_are_found_and_no_others() {
    each_place(|world| {
        filled(world);
        let token = world.open();
        assert_eq!(found(&token, &[]), ["c", "d"]);
        assert_eq!(found(&token, &[(AttributeType::Id, b"1")]), ["c"]);
        assert!(found(&token, &[(AttributeType::Label, b"a")]).is_empty());
        assert!(found(&token, &[(AttributeType::Private, TRUE)]).is_empty());
        assert_eq!(found(&token, &[(AttributeType::ValueLen, &number(20))]), ["c"]);
    });
}

#[test]
fn a_unique_id_finds_its_object_if_the_rest_fits() {
    each_place(|world| {
        let token = filled(world);
        let unique = id_of(&insert(&token, key("e", true, &[])));
        let by = AttributeType::UniqueId;
        assert_eq!(found(&token, &[(by, unique.as_bytes())]), ["e"]);
        let label = AttributeType::Label;
        assert_eq!(found(&token, &[(by, unique.as_bytes()), (label, b"e")]), ["e"]);
        assert!(found(&token, &[(by, unique.as_bytes()), (label, b"a")]).is_empty());
        assert!(found(&token, &[(by, b"nobody")]).is_empty());
        assert!(found(&token, &[(by, b"")]).is_empty());
        assert!(found(&token, &[(by, b"\xff\x00")]).is_empty());
        token.logout().unwrap();
        assert!(found(&token, &[(by, unique.as_bytes())]).is_empty());
    });
}

#[test]
fn more_objects_than_a_page_holds_are_all_found() {
    let token = World::in_memory().create_for_user();
    for _ in 0..600 {
        insert(&token, data("many", true));
    }
    let by_label = query(&[(AttributeType::Label, b"many")]);
    assert_eq!(find_all(&token, by_label).unwrap().len(), 600);
}

#[test]
fn attributes_that_no_object_has_match_nothing() {
    let token = filled(&World::in_memory());
    let unknown = Query::parse(&[RawAttribute { number: 0x8000_1234, value: b"" }]).unwrap();
    assert!(find_all(&token, unknown).unwrap().is_empty());
}

#[test]
fn a_value_finds_its_key_only_for_who_may_read_it() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let readable = [(AttributeType::Sensitive, FALSE), (AttributeType::Extractable, TRUE)];
    insert(&token, key("k", false, &readable));
    let by_value = [(AttributeType::Value, &b"20 bytes of a secret"[..])];
    assert_eq!(found(&token, &by_value), ["k"]);
    token.logout().unwrap();
    assert!(found(&token, &by_value).is_empty());
    assert!(found(&token, &[(AttributeType::Value, b"")]).is_empty(), "nor by no value");
    token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
    assert!(found(&token, &by_value).is_empty());
}
