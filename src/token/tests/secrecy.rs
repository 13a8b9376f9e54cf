//! What stands in the files.

use super::*;
use std::path::Path;
use std::process::Command;

const LABEL: &str = "label-of-a-payment-key";
const ID: &[u8] = b"id-0815-of-a-payment-key";
const VALUE: &[u8] = b"value-of-a-payment-key-0123456789";
const PUBLIC_LABEL: &str = "label-that-everybody-may-read";
const PUBLIC_VALUE: &[u8] = b"value-of-a-key-with-a-public-label";

/// All bytes of all files below `path`.
fn bytes_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            bytes.extend(bytes_of(&entry.path()));
        } else {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    bytes
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn assert_sealed(bytes: &[u8], when: &str) {
    assert!(holds(bytes, PUBLIC_LABEL.as_bytes()), "{when}: the search finds what is there");
    for secret in [
        LABEL.as_bytes(),
        ID,
        VALUE,
        PUBLIC_VALUE,
        SO_PIN,
        USER_PIN,
        &VALUE[..12],
        &PUBLIC_VALUE[..12],
    ] {
        let text = String::from_utf8_lossy(secret);
        assert!(!holds(bytes, secret), "{when}: {text} stands in a file");
    }
}

#[test]
fn no_pin_value_or_private_attribute_stands_in_any_file() {
    let world = World::in_directory();
    let path = world.directory.as_ref().unwrap().path();
    let token = world.create_for_user();
    let value = (AttributeType::Value, VALUE);
    let private = object(
        ObjectClass::SecretKey,
        &[
            (AttributeType::KeyType, &KeyType::GenericSecret.to_ck().to_ne_bytes()),
            (AttributeType::Label, LABEL.as_bytes()),
            (AttributeType::Id, ID),
            value,
        ],
    );
    let public = object(
        ObjectClass::SecretKey,
        &[
            (AttributeType::KeyType, &KeyType::GenericSecret.to_ck().to_ne_bytes()),
            (AttributeType::Label, PUBLIC_LABEL.as_bytes()),
            (AttributeType::Private, FALSE),
            (AttributeType::Value, PUBLIC_VALUE),
        ],
    );
    let (private, public) = (insert(&token, private), insert(&token, public));
    relabel(&token, &private, &format!("{LABEL}-renamed")).unwrap().unwrap();
    relabel(&token, &get(&token, &id_of(&public)).unwrap(), PUBLIC_LABEL).unwrap().unwrap();
    assert_eq!(found(&token, &[(AttributeType::Id, ID)]).len(), 1);

    // While the files are open only another process may read them: closing a
    // descriptor of the database here would end SQLite's locks.
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(path).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    assert_sealed(&bytes_of(copy.path()), "open");
    drop(token);
    assert_sealed(&bytes_of(path), "closed");
}

#[test]
fn two_tokens_seal_the_same_object_differently() {
    let body = |world: &World| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        let id = RecordId::new(&id_of(&live)).unwrap();
        world
            .place
            .open(SLOT.number())
            .unwrap()
            .get(super::record::PRIVATE, &id)
            .unwrap()
            .unwrap()
            .body
    };
    assert_ne!(body(&World::in_memory()), body(&World::in_memory()));
}
