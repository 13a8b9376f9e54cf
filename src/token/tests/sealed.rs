//! Values in records of their own.

use super::*;
use crate::store::Change;
use crate::token::record::GRANT;
use crate::token::sealed::{self, Property, SealedValue, Stored};
use minicbor::{CborLen, Decode, Encode};

const OWNER: UserType = UserType::User;
const COLOUR: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
struct Thing {
    #[n(0)]
    name: String,
    #[n(1)]
    colour: String,
}

impl SealedValue for Thing {
    const KIND: crate::store::Kind = GRANT;

    fn name(&self) -> &str {
        &self.name
    }

    fn properties(&self) -> Vec<Property<'_>> {
        vec![(COLOUR, &self.colour)]
    }
}

fn thing(name: &str, colour: &str) -> Thing {
    Thing { name: name.into(), colour: colour.into() }
}

fn with_things(world: &World) -> Token {
    let token = world.create();
    token.login(OWNER, &pin(USER_PIN)).unwrap();
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        put(&token, &thing(name, colour), 0).unwrap();
    }
    token
}

fn put(token: &Token, thing: &Thing, expected: u64) -> Result<()> {
    token.change_sealed(token.principal(), |_, vault, changes| {
        changes.push(sealed::put(vault, thing, expected, &OsEntropy)?);
        Ok(())
    })
}

fn named(token: &Token, name: &str) -> Result<Option<Stored<Thing>>> {
    token.read_sealed(token.principal(), |reader, vault| sealed::get(reader, vault, name))
}

fn of_colour(token: &Token, colour: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    token.read_sealed(token.principal(), |reader, vault| {
        names.clear();
        sealed::for_each(reader, vault, Some((COLOUR, colour)), |stored: Stored<Thing>| {
            names.push(stored.value.name);
            Ok(())
        })
    })?;
    Ok(names)
}

#[test]
fn values_are_found_by_name_and_by_property() {
    each_place(|world| {
        let token = with_things(world);
        assert_eq!(named(&token, "b").unwrap().unwrap().value, thing("b", "blue"));
        assert_eq!(named(&token, "d").unwrap(), None);
        assert_eq!(named(&token, "not a name").unwrap(), None);
        assert_eq!(of_colour(&token, "red").unwrap(), ["a", "c"]);
        assert_eq!(of_colour(&token, "green").unwrap(), [""; 0]);
        put(&token, &thing("a", "blue"), 1).unwrap();
        assert_eq!(of_colour(&token, "blue").unwrap(), ["a", "b"]);
        assert_eq!(named(&token, "a").unwrap().unwrap().version, 2);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_removed_value_is_gone() {
    each_place(|world| {
        let token = with_things(world);
        token
            .change_sealed(token.principal(), |reader, vault, changes| {
                let stored: Option<Stored<Thing>> = sealed::get(reader, vault, "a")?;
                changes.push(sealed::remove(&stored.unwrap())?);
                Ok(())
            })
            .unwrap();
        assert_eq!(of_colour(&token, "red").unwrap(), ["c"]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn nobody_reads_or_writes_without_a_login() {
    each_place(|world| {
        let token = with_things(world);
        token.logout().unwrap();
        assert!(matches!(named(&token, "a"), Err(Error::UserNotLoggedIn)));
        assert!(matches!(put(&token, &thing("d", "red"), 0), Err(Error::UserNotLoggedIn)));
    });
}

#[test]
fn values_are_there_under_a_new_root_key() {
    each_place(|world| {
        let token = with_things(world);
        token.rotate_root_key(token.principal()).unwrap();
        assert_eq!(of_colour(&token, "red").unwrap(), ["a", "c"]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn values_that_were_changed_outside_are_named() {
    each_place(|world| {
        let token = with_things(world);
        let record = |name| token.store.get(GRANT, &record_id(name).unwrap()).unwrap().unwrap();
        let tags = token.store.tags(GRANT, &record("a").id).unwrap();
        let change = |from: &str, body: Vec<u8>, tags: Vec<_>| {
            let id = record_id(from).unwrap();
            let change = Change::Put { kind: GRANT, id, expected: 1, body, tags };
            token.store.write(&mut |_| Ok(vec![change.clone()])).unwrap();
        };
        // Another's content, and the content of its own led to by another's property.
        change("b", record("a").body, tags.clone());
        assert!(matches!(named(&token, "b"), Err(Error::RecordDamaged(_))));
        assert!(matches!(of_colour(&token, "red"), Err(Error::RecordDamaged(_))));
        let findings = token.check().unwrap().findings;
        let named: Vec<_> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(named, ["b"]);
    });
}

#[test]
fn a_value_led_to_by_a_property_that_it_has_not_is_refused() {
    // In a file: its tags are edited behind the store's back.
    let world = World::in_directory();
    let token = with_things(&world);
    let path = world.directory.as_ref().unwrap().path().join("slot-3/token.db");
    let file = rusqlite::Connection::open(path).unwrap();
    let number = |name| format!("(SELECT number FROM records WHERE kind = 11 AND id = '{name}')");
    let (a, b) = (number("a"), number("b"));
    let edit = format!("UPDATE tags SET number = {b} WHERE kind = 11 AND number = {a}");
    let edited = file.execute(&edit, []).unwrap();
    assert_eq!(edited, 1);
    assert!(matches!(of_colour(&token, "red"), Err(Error::RecordDamaged(id)) if id == "b"));
    let findings = token.check().unwrap().findings;
    let found: Vec<_> = findings.iter().map(|one| (one.id.as_str(), &one.damage)).collect();
    assert_eq!(found, [("a", &Damage::LookUp), ("b", &Damage::LookUp)]);
}
