//! The life of keys, and the dates that change it.

use super::*;
use crate::error::Refusal;
use crate::object::{KeyState, Tags};
use crate::token::{Acted, Scheduled};

pub(super) const OWNER: Principal = Principal::Owner;
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn no_such_key(id: &str) -> Refusal {
    Refusal::NoSuchKey(id.to_owned())
}

pub(super) fn is_in_state(id: &str, state: KeyState) -> Refusal {
    Refusal::State { key: id.to_owned(), state }
}

pub(super) fn state(token: &Token, id: &str) -> Option<KeyState> {
    let live = get(token, id)?;
    live.object().lifecycle().state_at(token.surroundings.clock.now())
}

/// Every record of the kinds that keys consist of.
fn records(token: &Token) -> usize {
    let mut count = 0;
    for kind in [record::PRIVATE, record::PUBLIC, record::GRANT, record::ALIAS] {
        crate::store::for_each(&*token.store, kind, &[], |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
    }
    count
}

#[test]
fn a_disabled_key_is_disabled_for_every_process_until_it_is_enabled_again() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        for private in [true, false] {
            let id = id_of(&insert(&token, key("k", private, &[])));
            let held = get(&other, &id).unwrap();
            for _ in 0..2 {
                token.disable_key(OWNER, &id).unwrap();
                other.refresh().unwrap();
                assert!(!held.is_current());
                assert_eq!(state(&other, &id), Some(KeyState::Disabled));
                assert_eq!(get(&other, &id).unwrap().object().value().len(), 20, "it is kept");
            }
            let refused =
                other.require_state(Action::GenerateMac, get(&other, &id).unwrap().object());
            assert_eq!(refusal(refused), is_in_state(&id, KeyState::Disabled));
            for _ in 0..2 {
                other.enable_key(OWNER, &id).unwrap();
                assert_eq!(state(&token, &id), Some(KeyState::Enabled));
            }
        }
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn what_stays_as_it_is_is_not_written() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", true, &[])));
    let before = token.store.sequence().unwrap();
    token.enable_key(OWNER, &id).unwrap();
    token.update_key_description(OWNER, &id, "").unwrap();
    token.untag_key(OWNER, &id, &["none".into()]).unwrap();
    assert_eq!(token.store.sequence().unwrap(), before);
}

#[test]
fn a_deleted_key_is_there_to_the_last_second_and_nowhere_after_it() {
    each_place(|world| {
        let token = world.create_for_user();
        let others = [world.open_for_user(), world.open_for_user()];
        let id = id_of(&insert(&token, key("k", true, &[])));
        let kept = id_of(&insert(&token, key("kept", true, &[])));
        let Scheduled { state: pending, deletion } =
            token.schedule_key_deletion(OWNER, &id, 7).unwrap();
        assert_eq!(pending, KeyState::PendingDeletion);
        let date = deletion.date.unwrap();
        assert_eq!(date, world.clock.now() + 7 * DAY);
        let held = get(&others[0], &id).unwrap();
        assert_eq!(held.next_change(world.clock.now()), Some(date));

        world.clock.set(date - Duration::from_secs(1));
        for token in &others {
            assert_eq!(state(token, &id), Some(KeyState::PendingDeletion));
            assert_eq!(found(token, &[]), ["k", "kept"]);
        }
        let again = token.schedule_key_deletion(OWNER, &id, 7);
        assert_eq!(refusal(again), is_in_state(&id, KeyState::PendingDeletion));

        world.clock.set(date);
        assert!(held.is_current() && others[0].is_gone(&held), "no commit was needed");
        for token in &others {
            assert!(get(token, &id).is_none());
            assert_eq!(found(token, &[]), ["kept"]);
            assert_eq!(found(token, &[(AttributeType::Label, b"k")]), [""; 0]);
            assert_eq!(found(token, &[(AttributeType::UniqueId, id.as_bytes())]), [""; 0]);
            for refused in [
                token.cancel_key_deletion(OWNER, &id),
                token.enable_key(OWNER, &id),
                token.tag_key(OWNER, &id, &[]),
            ] {
                assert_eq!(refusal(refused), no_such_key(&id));
            }
            assert_eq!(relabel(token, &held, "x"), Ok(None));
        }
        let mut exported = 0;
        others[0]
            .export(OWNER, &mut |live| {
                assert_eq!(live.unwrap().object().unique_id(), kept);
                exported += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(exported, 1);
    });
}

#[test]
fn the_next_login_or_change_removes_the_record() {
    each_place(|world| {
        let token = world.create_for_user();
        let make = || id_of(&insert(&token, key("k", true, &[])));
        let (first, second, kept) = (make(), make(), make());
        token.schedule_key_deletion(OWNER, &first, 7).unwrap();
        token.schedule_key_deletion(OWNER, &second, 8).unwrap();
        world.clock.advance(7 * DAY);
        assert_eq!(records(&token), 3, "nothing has happened but time");
        let other = world.open_for_user();
        assert_eq!(records(&token), 2);
        assert!(get(&other, &first).is_none());

        world.clock.advance(DAY);
        other.disable_key(OWNER, &kept).unwrap();
        assert_eq!(records(&token), 1);
        assert_eq!(token.act_on_dates().unwrap(), []);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn some_are_removed_at_a_time_until_none_is_left() {
    let world = World::in_memory();
    let token = world.create_for_user();
    for _ in 0..40 {
        let id = id_of(&insert(&token, key("k", true, &[])));
        token.schedule_key_deletion(OWNER, &id, 7).unwrap();
    }
    world.clock.advance(7 * DAY);
    let other = world.open_for_user();
    assert_eq!(records(&token), 40 - 16);
    insert(&other, key("new", true, &[]));
    assert_eq!(records(&token), 40 - 2 * 16 + 1);
    let acted = other.act_on_dates().unwrap();
    assert!(matches!(acted[..], [Acted::Deleted(_), ..]) && acted.len() == 8, "{acted:?}");
    assert_eq!(found(&token, &[]), ["new"]);
}

#[test]
fn nobody_acts_on_dates_without_a_login() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", false, &[])));
    token.schedule_key_deletion(OWNER, &id, 30).unwrap();
    world.clock.advance(30 * DAY);
    let public = world.open();
    assert!(get(&public, &id).is_none() && found(&public, &[]).is_empty());
    assert_eq!(public.act_on_dates().unwrap(), []);
    assert_eq!(records(&public), 1);
    public.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
    assert_eq!(records(&public), 0, "who is logged in puts the records right");
}

#[test]
fn a_cancelled_deletion_leaves_the_key_disabled() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", true, &[])));
    let cancel = || token.cancel_key_deletion(OWNER, &id);
    assert_eq!(refusal(cancel()), Refusal::NotPendingDeletion(id.clone()));
    token.schedule_key_deletion(OWNER, &id, 30).unwrap();
    cancel().unwrap();
    assert_eq!(state(&token, &id), Some(KeyState::Disabled));
    assert_eq!(get(&token, &id).unwrap().object().lifecycle().deletion, None);
    world.clock.advance(31 * DAY);
    assert_eq!(state(&token, &id), Some(KeyState::Disabled));
    assert_eq!(refusal(cancel()), Refusal::NotPendingDeletion(id.clone()));
}

#[test]
fn a_window_has_seven_to_thirty_days() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", true, &[])));
    for days in [0, 6, 31, 255] {
        let refused = token.schedule_key_deletion(OWNER, &id, days).unwrap_err();
        assert_eq!(refused.to_string(), "PendingWindowInDays must be between 7 and 30");
    }
}

#[test]
fn a_key_is_described_and_tagged_until_it_waits_for_deletion() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", true, &[])));
    let tags = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    };
    token.update_key_description(OWNER, &id, &"ß".repeat(8192)).unwrap();
    let long = token.update_key_description(OWNER, &id, &"ß".repeat(8193));
    assert!(matches!(long, Err(Error::ValidationFailed(_))));
    token.tag_key(OWNER, &id, &tags(&[("a", "1"), ("b", "2")])).unwrap();
    token.tag_key(OWNER, &id, &tags(&[("a", "3")])).unwrap();
    token.untag_key(OWNER, &id, &["b".into()]).unwrap();
    let expected = Tags::of(&tags(&[("a", "3")])).unwrap();
    assert_eq!(world.open_for_user().key_tags(OWNER, &id).unwrap(), expected);

    token.schedule_key_deletion(OWNER, &id, 7).unwrap();
    for refused in [
        token.update_key_description(OWNER, &id, ""),
        token.tag_key(OWNER, &id, &tags(&[("a", "4")])),
        token.untag_key(OWNER, &id, &["a".into()]),
        token.enable_key(OWNER, &id),
        token.disable_key(OWNER, &id),
    ] {
        assert_eq!(refusal(refused), is_in_state(&id, KeyState::PendingDeletion));
    }
    assert_eq!(token.key_tags(OWNER, &id).unwrap(), expected);
}

#[test]
fn a_life_survives_a_new_root_key() {
    let world = World::in_directory();
    let token = world.create_for_user();
    let id = id_of(&insert(&token, key("k", true, &[])));
    token.update_key_description(OWNER, &id, "for tokens").unwrap();
    token.schedule_key_deletion(OWNER, &id, 7).unwrap();
    let before = get(&token, &id).unwrap().object().lifecycle().clone();
    token.rotate_root_key(OWNER).unwrap();
    assert_eq!(*get(&token, &id).unwrap().object().lifecycle(), before);
    assert_eq!(token.check().unwrap().findings, []);
    world.clock.advance(7 * DAY);
    assert_eq!(token.act_on_dates().unwrap(), [Acted::Deleted(id)]);
}

#[test]
fn only_a_key_of_the_token_has_a_life_and_only_its_owner_changes_it() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let document = id_of(&insert(&token, data("d", true)));
    let public = id_of(&insert(&token, key("k", false, &[])));
    for none in [&*document, "unknown", "", "two words"] {
        assert_eq!(refusal(token.disable_key(OWNER, none)), no_such_key(none));
    }
    token.logout().unwrap();
    let refused = token.disable_key(Principal::Public, &public);
    assert_eq!(refused, Err(Error::UserNotLoggedIn));
    token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
    let refused = token.disable_key(Principal::SecurityOfficer, &public);
    assert_eq!(refused, Err(Error::UserNotLoggedIn));
}
