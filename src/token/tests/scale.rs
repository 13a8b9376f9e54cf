//! What must cost in a full token what it costs in one with a single key, counted in
//! reads of the store: times depend on the machine.

use super::wrapped::{Reads, WrappedPlace};
use super::*;
use crate::token::objects;
use crate::token::record::{PRIVATE, PUBLIC};

/// A token with keys of the labels "0", "1" and so on, and ids alike.
fn filled(count: usize) -> World {
    let world = World::in_directory();
    let token = world.create_for_user();
    let vault = token.vault_of(Principal::Owner).unwrap();
    let puts: Vec<_> = (0..count)
        .map(|number| {
            let name = number.to_string();
            let key = key(&name, true, &[(AttributeType::Id, name.as_bytes())]);
            objects::put(vault.as_deref(), &key, 0, &OsEntropy).unwrap()
        })
        .collect();
    token.commit(vault.as_deref(), &mut |_| Ok(puts.clone())).unwrap();
    world
}

/// What each step of a program reads that uses the key labelled `label`.
fn reads_of_a_program(world: &World, label: &str) -> Vec<(&'static str, Reads)> {
    let place = WrappedPlace::new(world);
    let mut steps = Vec::new();
    let mut note = |step| steps.push((step, place.store.reads()));
    let token = place.open(world, settings());
    note("open");
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    note("log in");
    let mut found = Vec::new();
    for attribute in [AttributeType::Label, AttributeType::Id] {
        found = find_all(&token, query(&[(attribute, label.as_bytes())])).unwrap();
        note("find");
    }
    let id = found.pop().unwrap().unique_id;
    find_all(&token, query(&[(AttributeType::UniqueId, id.as_bytes())])).unwrap();
    note("find by unique id");
    let key = get(&token, &id).unwrap();
    note("open the key");
    relabel(&token, &key, "renamed").unwrap().unwrap();
    note("change the key");
    token.remove(Principal::Owner, &get(&token, &id).unwrap()).unwrap().unwrap();
    note("destroy the key");
    insert(&token, super::key("new", true, &[]));
    note("make a key");
    steps
}

#[test]
fn a_full_token_is_read_no_more_than_one_with_a_single_key() {
    const MANY: usize = 5_000;
    let one = reads_of_a_program(&filled(1), "0");
    let many = reads_of_a_program(&filled(MANY), &(MANY / 2).to_string());
    assert_eq!(one, many);
    // In case nothing is counted at all.
    assert!(one.iter().any(|(step, reads)| *step == "find" && reads.records == 1), "{one:?}");
}

#[test]
fn a_search_reads_as_far_as_it_is_asked_to() {
    let world = filled(1_000);
    let place = WrappedPlace::new(&world);
    let token = place.open(&world, settings());
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    let mut search = Search::new(query(&[]));
    place.store.reads();
    let mut found = 0;
    while found < 1_000 {
        found += token.find_next(Principal::Owner, &mut search).unwrap().len();
        let Reads { looks, records } = place.store.reads();
        assert!(looks <= 2 && records <= 64, "{looks}, {records}");
    }
    assert!(token.find_next(Principal::Owner, &mut search).unwrap().is_empty());
}

#[test]
fn the_one_key_that_is_found_is_not_opened_again() {
    let world = filled(3);
    let place = WrappedPlace::new(&world);
    let token = place.open(&world, settings());
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    let found = find_all(&token, query(&[(AttributeType::Label, b"1")])).unwrap();
    place.store.reads();
    let live = get(&token, &found[0].unique_id).unwrap();
    assert!(Arc::ptr_eq(&live, found[0].opened.as_ref().unwrap()));
    assert_eq!(place.store.reads(), Reads::default());
    // It learns of what happens to it.
    relabel(&token, &live, "other").unwrap().unwrap();
    assert!(!live.is_current());
    let all = find_all(&token, query(&[(AttributeType::Sign, TRUE)])).unwrap();
    assert!(all.len() == 3 && all.iter().all(|found| found.opened.is_none()));
}

#[test]
fn a_search_by_label_is_one_look_while_nothing_is_public() {
    let world = filled(3);
    let place = WrappedPlace::new(&world);
    let token = place.open(&world, settings());
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    let looks = |label: &[u8], count| {
        place.store.reads();
        assert_eq!(find_all(&token, query(&[(AttributeType::Label, label)])).unwrap().len(), count);
        place.store.reads().looks
    };
    assert_eq!(looks(b"1", 1), 1);
    let there = world.open_for_user();
    let public = insert(&there, key("public", false, &[]));
    // Found by whoever knew that there is none, and looked for ever after.
    assert!(looks(b"public", 1) > 1);
    there.remove(Principal::Owner, &public).unwrap().unwrap();
    assert!(looks(b"public", 0) > 1);
    assert_eq!(looks(b"1", 1), 2);
    token.logout().unwrap();
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    assert_eq!(looks(b"1", 1), 1);
}

#[test]
fn a_public_object_is_found_that_was_made_amid_the_look_for_one() {
    let world = filled(1);
    let place = WrappedPlace::new(&world);
    let token = Arc::new(place.open(&world, settings()));
    // The first login looks for dates, too.
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    token.logout().unwrap();
    let there = world.open_for_user();
    let (count, counted) = std::sync::mpsc::channel();
    let here = Arc::downgrade(&token);
    place.store.after_find(PUBLIC, move || {
        insert(&there, key("public", false, &[]));
        // Another thread notices it before the look has its answer.
        here.upgrade().unwrap().refresh().unwrap();
        count.send(()).unwrap();
    });
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    assert_eq!(counted.try_iter().count(), 1, "looked once, before it was made");
    place.store.after_find(PRIVATE, || {});
    let found = find_all(&token, query(&[(AttributeType::Label, b"public")])).unwrap();
    assert_eq!(found.len(), 1);
}
