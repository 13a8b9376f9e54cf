//! Access keys as records.

use super::*;
use crate::token::record::ACCESS_KEY;

const OWNER: Principal = Principal::Owner;

fn ids(token: &Token, user: Option<&Name>) -> Vec<String> {
    token.access_keys(OWNER, user).unwrap().into_iter().map(|key| key.id).collect()
}

#[test]
fn a_user_and_the_owner_have_two_access_keys_each() {
    each_place(|world| {
        let token = with_bob(world);
        let bob = name("bob");
        let created = token.surroundings.clock.now();
        for user in [None, Some(&bob)] {
            let made = [0; 2].map(|_| token.create_access_key(OWNER, user).unwrap());
            let third = token.create_access_key(OWNER, user).unwrap_err();
            assert_eq!(third, Error::LimitExceeded("there may be 2 access keys".into()));
            for key in &made {
                assert!(key.id.starts_with("AKIA") && key.id.len() == 20, "{}", key.id);
                assert!(key.is_active);
                assert_eq!(key.created(), created);
                let owner = key.owner.as_ref().map(|owner| owner.name.as_str());
                assert_eq!(owner, user.map(|_| "Bob"));
            }
            assert_eq!(ids(&world.open_for_user(), user), [&*made[0].id, &*made[1].id]);
            token.delete_access_key(OWNER, &made[0].id).unwrap();
            assert_eq!(ids(&token, user), [&*made[1].id]);
            token.create_access_key(OWNER, user).unwrap();
        }
        let refused = token.create_access_key(OWNER, Some(&name("eve"))).unwrap_err();
        assert_eq!(refused, Error::EntityUnknown("user eve".into()));
        assert!(token.access_keys(OWNER, Some(&name("eve"))).is_err());
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn the_secret_is_forty_characters_that_come_back_and_are_nowhere_shown() {
    each_place(|world| {
        let token = with_bob(world);
        let made = token.create_access_key(OWNER, None).unwrap();
        let secret = made.secret().expose();
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
        assert!(secret.len() == 40 && secret.iter().all(is_base64));
        let stored = world.open_for_user().access_key(OWNER, &made.id).unwrap();
        assert!(stored.secret().equals(secret));
        assert!(
            !made.secret().equals(token.create_access_key(OWNER, None).unwrap().secret().expose())
        );
        let shown = format!("{made:?}");
        assert!(!shown.contains(str::from_utf8(secret).unwrap()), "{shown}");
        for record in token.store.find(ACCESS_KEY, &[], None, 9).unwrap().records {
            assert!(!record.body.windows(8).any(|window| window == &secret[..8]));
        }
    });
}

#[test]
fn an_access_key_is_switched_off_and_on_and_outlives_a_root_key() {
    each_place(|world| {
        let token = with_bob(world);
        let made = token.create_access_key(OWNER, Some(&name("bob"))).unwrap();
        let is_active = || world.open_for_user().access_key(OWNER, &made.id).unwrap().is_active;
        for active in [false, true, false] {
            token.set_access_key_active(OWNER, &made.id, active).unwrap();
            assert_eq!(is_active(), active);
        }
        token.rotate_root_key(OWNER).unwrap();
        assert!(!is_active());
        let stored = token.access_key(OWNER, &made.id).unwrap();
        assert!(stored.secret().equals(made.secret().expose()));
        assert_eq!(ids(&token, Some(&name("bob"))), [&*made.id], "found under the new key too");
        for unknown in ["AKIAXXXXXXXXXXXXXXXX", "", "no id"] {
            let refused = Error::EntityUnknown(format!("access key {unknown}"));
            assert_eq!(token.access_key(OWNER, unknown).unwrap_err(), refused);
            assert_eq!(token.set_access_key_active(OWNER, unknown, true), Err(refused.clone()));
            assert_eq!(token.delete_access_key(OWNER, unknown), Err(refused));
        }
    });
}
