//! Other names of keys.

use super::key_life::{OWNER, is_in_state, refusal};
use super::*;
use crate::error::Refusal;
use crate::object::KeyState;
use crate::token::aliases::ALIASES_MAX;

const DAY: Duration = Duration::from_secs(86_400);

fn new_key(token: &Token) -> String {
    id_of(&insert(token, key("k", true, &[])))
}

fn names(token: &Token, key: Option<&str>) -> Vec<String> {
    let (page, next) = token.aliases(OWNER, key, None, 100).unwrap();
    assert_eq!(next, None);
    page.into_iter().map(|alias| alias.alias_name).collect()
}

fn target(token: &Token, name: &str) -> Result<String> {
    token.key_of_alias(OWNER, name)
}

fn no_such_alias(name: &str) -> Refusal {
    Refusal::NoSuchAlias(name.into())
}

#[test]
fn an_alias_names_one_key_at_a_time() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let (first, second) = (new_key(&token), new_key(&token));
        token.create_alias(OWNER, "alias/a", &first).unwrap();
        for (on, key) in [(&other, &first), (&token, &second)] {
            let taken = on.create_alias(OWNER, "alias/a", key);
            assert_eq!(refusal(taken), Refusal::AliasExists("alias/a".into()));
        }
        other.create_alias(OWNER, "alias/A", &first).unwrap();
        assert_eq!(target(&other, "alias/a").unwrap(), first);
        world.clock.advance(DAY);
        other.update_alias(OWNER, "alias/a", &second).unwrap();
        assert_eq!(target(&token, "alias/a").unwrap(), second);
        assert_eq!(names(&token, None), ["alias/a", "alias/A"]);
        assert_eq!(names(&token, Some(&first)), ["alias/A"]);
        let (page, _) = token.aliases(OWNER, Some(&second), None, 9).unwrap();
        let now = world.clock.now();
        assert_eq!((page[0].created(), page[0].updated()), (now - DAY, now));
        token.delete_alias(OWNER, "alias/a").unwrap();
        for gone in [
            other.delete_alias(OWNER, "alias/a"),
            other.update_alias(OWNER, "alias/a", &first),
            target(&other, "alias/a").map(drop),
        ] {
            assert_eq!(refusal(gone), no_such_alias("alias/a"));
        }
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_name_has_its_form_and_its_target_is_a_key() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let key = new_key(&token);
    let long = format!("alias/{}", "x".repeat(251));
    for (name, words) in [
        ("a", "must start with the prefix \"alias/\""),
        ("", "must start with the prefix \"alias/\""),
        ("alias/", "1 to 250 characters"),
        (&*long, "1 to 250 characters"),
        ("alias/my:alias", "alias/my:alias contains invalid characters for an alias"),
        ("alias/a b", "invalid characters"),
        ("alias/\u{e4}", "invalid characters"),
    ] {
        let error = token.create_alias(OWNER, name, &key).unwrap_err();
        assert!(matches!(error, Error::ValidationFailed(_)), "{name}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let reserved = token.create_alias(OWNER, "alias/aws/x", &key);
    assert_eq!(refusal(reserved), Refusal::AliasReserved);
    let document = id_of(&insert(&token, data("d", true)));
    for none in ["unknown", &document, "two words"] {
        let refused = refusal(token.create_alias(OWNER, "alias/a", none));
        assert_eq!(refused, Refusal::NoSuchKey(none.into()));
    }
    token.create_alias(OWNER, "alias/a/b_c-D9", &key).unwrap();
    let error = token.create_alias(OWNER, "alias/b", "alias/a/b_c-D9").unwrap_err();
    assert_eq!(error.to_string(), "Aliases must refer to keys. Not aliases");
}

#[test]
fn a_key_has_fifty_aliases() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let (full, other) = (new_key(&token), new_key(&token));
    for number in 0..ALIASES_MAX {
        token.create_alias(OWNER, &format!("alias/{number}"), &full).unwrap();
    }
    token.create_alias(OWNER, "alias/more", &other).unwrap();
    for refused in [
        token.create_alias(OWNER, "alias/another", &full),
        token.update_alias(OWNER, "alias/more", &full),
    ] {
        assert!(matches!(refused, Err(Error::LimitExceeded(_))));
    }
    token.update_alias(OWNER, "alias/7", &full).unwrap();
    assert_eq!(token.alias_names(OWNER, &full).unwrap().len(), ALIASES_MAX);

    // A page at a time, each once.
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = token.aliases(OWNER, None, after.as_deref(), 7).unwrap();
        assert!(page.len() <= 7);
        all.extend(page.into_iter().map(|alias| alias.alias_name));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), ALIASES_MAX + 1);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), ALIASES_MAX + 1);
    for marker in ["", "x", "-1", "0123456789abcdef0"] {
        let refused = token.aliases(OWNER, None, Some(marker), 7);
        assert_eq!(refusal(refused), Refusal::Marker, "{marker:?}");
    }
}

#[test]
fn an_alias_goes_with_its_key_on_the_day() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let (gone, kept) = (new_key(&token), new_key(&token));
        token.create_alias(OWNER, "alias/a", &gone).unwrap();
        token.create_alias(OWNER, "alias/b", &gone).unwrap();
        token.schedule_key_deletion(OWNER, &gone, 7).unwrap();
        let refused = token.create_alias(OWNER, "alias/c", &gone);
        assert_eq!(refusal(refused), is_in_state(&gone, KeyState::PendingDeletion));
        assert_eq!(target(&token, "alias/a").unwrap(), gone, "it points there to the last");
        token.update_alias(OWNER, "alias/b", &kept).unwrap();
        let refused = token.update_alias(OWNER, "alias/b", &gone);
        assert_eq!(refusal(refused), is_in_state(&gone, KeyState::PendingDeletion));

        world.clock.advance(7 * DAY);
        assert_eq!(refusal(target(&other, "alias/a")), no_such_alias("alias/a"));
        assert_eq!(names(&other, None), ["alias/b"]);
        // Before anybody has put the records right, and after.
        other.create_alias(OWNER, "alias/a", &kept).unwrap();
        assert_eq!(target(&token, "alias/a").unwrap(), kept);
        assert_eq!(refusal(token.key(OWNER, &gone)), Refusal::NoSuchKey(gone.clone()));
        assert_eq!(names(&token, Some(&kept)), ["alias/b", "alias/a"]);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn an_alias_goes_with_a_key_that_is_destroyed() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let live = insert(&token, key("k", true, &[]));
    token.create_alias(OWNER, "alias/a", &id_of(&live)).unwrap();
    token.remove(OWNER, &live).unwrap().unwrap();
    assert_eq!(refusal(target(&token, "alias/a")), no_such_alias("alias/a"));
    let mut left = 0;
    crate::store::for_each(&*token.store, record::ALIAS, &[], |_| {
        left += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(left, 0);
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn names_are_found_under_a_new_root_key_and_read_by_nobody() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let key = new_key(&token);
    token.create_alias(OWNER, "alias/conspicuous-name", &key).unwrap();
    token.rotate_root_key(OWNER).unwrap();
    assert_eq!(target(&world.open_for_user(), "alias/conspicuous-name").unwrap(), key);
    assert_eq!(token.check().unwrap().findings, []);
    for (path, _) in token.store.files() {
        let bytes = std::fs::read(&path).unwrap();
        let needle = b"conspicuous-name";
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{path:?}");
    }
    token.logout().unwrap();
    let refused = token.key_of_alias(Principal::Public, "alias/conspicuous-name");
    assert_eq!(refused, Err(Error::UserNotLoggedIn));
}
