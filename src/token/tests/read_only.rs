//! A store that cannot be written.

use super::wrapped::WrappedPlace;
use super::*;

fn read_only(settings: Settings) -> Token {
    let world = World::in_memory();
    let token = world.create_for_user();
    insert(&token, key("k", true, &[]));
    let place = WrappedPlace::new(&world);
    place.store.make_read_only();
    place.open(&world, settings)
}

#[test]
fn keys_are_read_and_nothing_is_changed() {
    let token = read_only(settings());
    assert!(!token.info().unwrap().writable);
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    assert_eq!(found(&token, &[]), ["k"]);
    assert_eq!(token.check().unwrap().findings, []);
    let ids = find_all(&token, query(&[])).unwrap();
    let live = get(&token, &ids[0].unique_id).unwrap();

    let refused = Err(Error::TokenWriteProtected);
    assert_eq!(relabel(&token, &live, "other"), refused);
    assert_eq!(token.remove(Principal::Owner, &live), refused);
    let made = token.insert(Principal::Owner, Action::CreateKey, key("n", true, &[]));
    assert_eq!(made.unwrap_err(), Error::TokenWriteProtected);
    let changed = token.set_pin(UserType::User, &pin(USER_PIN), &pin(b"changed"));
    assert_eq!(changed, Err(Error::TokenWriteProtected));
    token.logout().unwrap();
    token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
    let set = token.init_pin(Principal::SecurityOfficer, &pin(b"changed"));
    assert_eq!(set, Err(Error::TokenWriteProtected));
}

#[test]
fn logins_are_not_counted_unless_counting_is_required() {
    let token = read_only(settings());
    for _ in 0..2 * settings().pin_attempts {
        assert_eq!(token.login(UserType::User, &pin(b"wrong")), Err(Error::PinIncorrect));
    }
    token.login(UserType::User, &pin(USER_PIN)).unwrap();

    let token = read_only(Settings { require_counter: true, ..settings() });
    let refused = token.login(UserType::User, &pin(USER_PIN));
    assert_eq!(refused, Err(Error::TokenWriteProtected));
}
