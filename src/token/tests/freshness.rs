//! Two processes on one token, and what happens between two steps of one.

use super::wrapped::WrappedPlace;
use super::*;

#[test]
fn what_one_process_changes_the_other_sees_after_a_refresh() {
    each_place(|world| {
        let (here, there) = (world.create_for_user(), world.open_for_user());
        let id = id_of(&insert(&here, key("before", true, &[])));
        let seen = get(&there, &id).unwrap();
        let (other_id, other) = {
            let live = insert(&there, key("other", true, &[]));
            (id_of(&live), live)
        };
        relabel(&here, &get(&here, &id).unwrap(), "after").unwrap().unwrap();

        assert!(seen.is_current(), "nobody has looked yet");
        there.refresh().unwrap();
        assert!(!seen.is_current());
        assert!(other.is_current(), "only what has changed is outdated");
        assert_eq!(label_of(&get(&there, &id).unwrap()), "after");
        assert!(Arc::ptr_eq(&other, &get(&there, &other_id).unwrap()), "kept open");
    });
}

#[test]
fn what_one_process_destroys_vanishes_in_the_other() {
    each_place(|world| {
        let (here, there) = (world.create_for_user(), world.open_for_user());
        for private in [true, false] {
            let live = insert(&here, key("k", private, &[]));
            let seen = get(&there, &id_of(&live)).unwrap();
            here.remove(Principal::Owner, &live).unwrap().unwrap();
            assert!(get(&there, &id_of(&live)).is_none());
            assert!(!seen.is_current());
            assert!(found(&there, &[]).is_empty());
            assert_eq!(there.remove(Principal::Owner, &seen), Ok(None));
        }
    });
}

#[test]
fn an_object_that_is_held_is_opened_once() {
    each_place(|world| {
        let token = world.create_for_user();
        let live = insert(&token, key("k", true, &[]));
        assert!(Arc::ptr_eq(&live, &get(&token, &id_of(&live)).unwrap()));
    });
}

#[test]
fn more_changes_than_the_log_holds_outdate_everything() {
    each_place(|world| {
        let (here, there) = (world.create_for_user(), world.open_for_user());
        let live = insert(&here, key("k", true, &[]));
        let seen = get(&there, &id_of(&live)).unwrap();
        here.logout().unwrap();
        there.logout().unwrap();
        here.reinitialize("anew", &pin(SO_PIN)).unwrap();
        there.refresh().unwrap();
        assert!(!seen.is_current());
        assert_eq!(there.info().unwrap().label, "anew");
    });
}

/// The token seen through a wrapped store, and another process.
fn both(world: &World) -> (WrappedPlace, Arc<Token>, Arc<Token>) {
    let there = Arc::new(world.create_for_user());
    let place = WrappedPlace::new(world);
    let here = Arc::new(place.open(world, settings()));
    here.login(UserType::User, &pin(USER_PIN)).unwrap();
    (place, here, there)
}

#[test]
fn a_key_that_is_destroyed_while_it_is_opened_is_not_taken_for_current() {
    each_place(|world| {
        let (place, here, there) = both(world);
        let live = insert(&there, key("k", true, &[]));
        let id = id_of(&live);
        let step = {
            let here = Arc::clone(&here);
            move || {
                there.remove(Principal::Owner, &live).unwrap().unwrap();
                // Another thread of this process notices.
                here.refresh().unwrap();
            }
        };
        here.refresh().unwrap();
        place.store.after_get(step);
        assert!(get(&here, &id).is_none());
    });
}

#[test]
fn a_key_that_is_changed_while_it_is_opened_is_read_again() {
    each_place(|world| {
        let (place, here, there) = both(world);
        let live = insert(&there, key("before", true, &[]));
        let id = id_of(&live);
        let step = {
            let here = Arc::clone(&here);
            move || {
                relabel(&there, &live, "after").unwrap().unwrap();
                here.refresh().unwrap();
            }
        };
        here.refresh().unwrap();
        place.store.after_get(step);
        assert_eq!(label_of(&get(&here, &id).unwrap()), "after");
    });
}

#[test]
fn two_threads_that_open_one_key_hold_one_object() {
    each_place(|world| {
        let (place, here, there) = both(world);
        let id = id_of(&insert(&there, key("k", true, &[])));
        here.refresh().unwrap();
        let other = Arc::new(parking_lot::Mutex::new(None));
        let step = {
            let (here, id, other) = (Arc::clone(&here), id.clone(), Arc::clone(&other));
            move || *other.lock() = get(&here, &id)
        };
        place.store.after_get(step);
        let mine = get(&here, &id).unwrap();
        let other = other.lock().take().unwrap();
        relabel(&there, &get(&there, &id).unwrap(), "after").unwrap().unwrap();
        here.refresh().unwrap();
        assert!(!mine.is_current());
        assert!(!other.is_current());
    });
}

#[test]
fn a_key_that_is_destroyed_right_after_it_was_made_is_not_taken_for_current() {
    each_place(|world| {
        let (place, here, there) = both(world);
        let object = key("k", true, &[]);
        let id = object.unique_id().to_owned();
        let step = {
            let (here, id) = (Arc::clone(&here), id.clone());
            move || {
                let live = get(&there, &id).unwrap();
                there.remove(Principal::Owner, &live).unwrap().unwrap();
                here.refresh().unwrap();
            }
        };
        place.store.after_write(step);
        let made = insert(&here, object);
        here.refresh().unwrap();
        assert!(!made.is_current());
        assert!(get(&here, &id).is_none());
    });
}

#[test]
fn a_value_that_was_opened_before_a_logout_is_not_kept_after_it() {
    each_place(|world| {
        let (place, here, there) = both(world);
        let id = id_of(&insert(&there, key("k", false, &[])));
        here.refresh().unwrap();
        let step = {
            let here = Arc::clone(&here);
            move || here.logout().unwrap()
        };
        place.store.after_get(step);
        // What the login began it may end; nothing of it is there for the next.
        let before = here.get(Principal::Owner, &id);
        let live = here.get(Principal::Public, &id).unwrap().unwrap();
        assert!(!live.is_complete());
        assert!(before.is_err() || before.is_ok_and(|live| live.is_none_or(|l| !l.is_current())));
    });
}

#[test]
fn nobody_acts_as_somebody_who_is_not_logged_in() {
    each_place(|world| {
        let (there, here) = (world.create_for_user(), world.open());
        let public = insert(&there, key("public", false, &[]));
        let private = insert(&there, key("private", true, &[]));
        let refused = Error::UserNotLoggedIn;
        for principal in [Principal::Owner, Principal::SecurityOfficer] {
            for live in [&public, &private] {
                let got = here.get(principal, &id_of(live));
                assert_eq!(got.unwrap_err(), refused);
            }
            let searched = here.find_next(principal, &mut Search::new(query(&[])));
            assert_eq!(searched.unwrap_err(), refused);
            let made = here.insert(principal, Action::ImportObject, data("d", false));
            assert_eq!(made.unwrap_err(), refused);
        }
    });
}
