//! Searches that are given in portions, and what happens between them.

use super::*;
use crate::module::token_objects::TokenObjects;
use crate::types::AttributeType as A;
use std::collections::BTreeSet;

/// More than are looked for at once, among the session's and the token's objects.
const MANY: usize = 600;

fn data(module: &Module, session: SessionHandle, number: usize, more: &[(A, &[u8])]) {
    let class = ck(ObjectClass::Data.to_ck());
    let label = format!("data {number}");
    let mut template = vec![(A::Class, &class[..]), (A::Label, label.as_bytes())];
    template.extend(more);
    module.create_object(session, &raw(&template)).unwrap();
}

/// A user's session with that many public and private objects of the token, by turns.
fn filled(module: &Module, count: usize) -> SessionHandle {
    let session = user_session(module);
    for number in 0..count {
        let private = [u8::from(number % 2 == 0)];
        data(module, session, number, &[(A::Token, TRUE), (A::Private, &private)]);
    }
    session
}

/// What a search still gives, asked for in portions.
fn rest(module: &Module, session: SessionHandle, portion: usize) -> Vec<ObjectHandle> {
    let mut all = Vec::new();
    loop {
        let some = module.find_objects(session, portion).unwrap();
        assert!(some.len() <= portion);
        if some.is_empty() {
            module.find_objects_final(session).unwrap();
            return all;
        }
        all.extend(some);
    }
}

fn distinct(handles: &[ObjectHandle]) -> usize {
    handles.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn portions_of_every_size_give_everything_once() {
    let module = ready();
    let session = filled(&module, MANY);
    for number in 0..MANY {
        data(&module, session, number, &[]);
    }
    let expected = found(&module, session, &[]);
    assert_eq!(expected.len(), 2 * MANY);
    for portion in [1, 7, 63, 64, 65, 256, 257, 2 * MANY, usize::MAX] {
        module.find_objects_init(session, &[]).unwrap();
        let mut all = rest(&module, session, portion);
        all.sort();
        assert!(all == expected, "by {portion}");
    }
}

#[test]
fn a_search_makes_handles_only_of_what_is_asked_for() {
    let place = place();
    filled(&ready_on(&place), MANY);
    let module = module_on(&place);
    let session = user_session(&module);
    let handles = || {
        let mut count = 0;
        module.slot(SLOT).unwrap().state.lock().token_objects.retain(|_| {
            count += 1;
            true
        });
        count
    };
    module.find_objects_init(session, &[]).unwrap();
    assert_eq!(handles(), 0);
    module.find_objects(session, 10).unwrap();
    assert_eq!(handles(), 10);
    module.find_objects_final(session).unwrap();
    assert_eq!(handles(), 10);
}

#[test]
fn a_search_holds_one_page_however_much_it_finds() {
    let module = ready();
    let session = filled(&module, MANY);
    module.find_objects_init(session, &[]).unwrap();
    for _ in 0..MANY {
        let search = module.session(session).unwrap().state.lock().search().unwrap();
        assert!(search.lock().found.len() <= 64);
        assert_eq!(module.find_objects(session, 1).unwrap().len(), 1);
    }
}

#[test]
fn what_is_made_changed_and_destroyed_meanwhile_disturbs_nothing_else() {
    let place = place();
    let module = ready_on(&place);
    let session = filled(&module, MANY);
    let other = module_on(&place);
    let other_session = user_session(&other);
    let before = found(&module, session, &[]);

    module.find_objects_init(session, &[]).unwrap();
    let mut all = module.find_objects(session, 5).unwrap();
    // One that was found, one of the page that was read, one further on.
    let waiting = |number: usize| before.iter().filter(|key| !all.contains(key)).nth(number);
    let victims = [all[0], *waiting(3).unwrap(), *waiting(MANY - 100).unwrap()];
    let changed = [all[1], *waiting(4).unwrap(), *waiting(MANY - 99).unwrap()];
    for victim in victims {
        let label = read(&module, session, victim, A::Label).unwrap();
        let there = found(&other, other_session, &[(A::Label, &label)]);
        other.destroy_object(other_session, there[0]).unwrap();
    }
    for object in changed {
        module.set_attributes(session, object, &raw(&[(A::Label, b"changed")])).unwrap();
    }
    filled_again(&module, session);
    all.extend(rest(&module, session, 50));

    assert_eq!(distinct(&all), all.len(), "none twice");
    for object in before.iter().filter(|object| !victims.contains(object)) {
        assert!(all.contains(object), "{object:?} was there all the time");
    }
    for victim in victims {
        let gone = Err(Error::ObjectHandleInvalid(victim));
        assert_eq!(read(&module, session, victim, A::Label), gone);
    }
}

fn filled_again(module: &Module, session: SessionHandle) {
    for number in MANY..MANY + 10 {
        data(module, session, number, &[(A::Token, TRUE)]);
    }
}

#[test]
fn after_a_logout_a_search_goes_on_with_what_is_public() {
    let module = ready();
    let session = filled(&module, MANY);
    module.find_objects_init(session, &[]).unwrap();
    // The next private ones have been read already.
    let private = module.find_objects(session, 10).unwrap();
    module.logout(session).unwrap();
    let public = rest(&module, session, 7);
    assert_eq!(public.len(), MANY / 2);
    assert_eq!(distinct(&public), public.len());
    for object in &public {
        assert_eq!(read(&module, session, *object, A::Private).unwrap(), FALSE);
    }
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    for object in private {
        let gone = Err(Error::ObjectHandleInvalid(object));
        assert_eq!(read(&module, session, object, A::Private), gone);
    }
}

#[test]
fn a_login_during_a_search_disturbs_it_not() {
    let module = ready();
    let session = filled(&module, MANY);
    module.logout(session).unwrap();
    module.find_objects_init(session, &[]).unwrap();
    let mut all = module.find_objects(session, 10).unwrap();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    all.extend(rest(&module, session, 10));
    assert_eq!(all.len(), MANY / 2, "what was public");
    assert_eq!(distinct(&all), all.len());
}

#[test]
fn threads_that_share_a_search_get_everything_once_between_them() {
    let module = ready();
    let session = filled(&module, MANY);
    module.find_objects_init(session, &[]).unwrap();
    let portions = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut all = Vec::new();
                    loop {
                        let some = module.find_objects(session, 3).unwrap();
                        if some.is_empty() {
                            return all;
                        }
                        all.extend(some);
                    }
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!((portions.len(), distinct(&portions)), (MANY, MANY));
}

#[test]
fn what_was_found_before_a_failure_is_given_before_it() {
    let place = place();
    let module = ready_on(&place);
    let session = filled(&module, MANY);
    module.find_objects_init(session, &[]).unwrap();
    place.remove(SLOT.number()).unwrap();
    let some = module.find_objects(session, usize::MAX).unwrap();
    assert!((1..MANY).contains(&some.len()));
    for _ in 0..2 {
        let failure = module.find_objects(session, usize::MAX).unwrap_err();
        assert_eq!(failure, Error::TokenNotPresent(SLOT));
    }
    module.find_objects_final(session).unwrap();
}

/// One that nobody asks for any more must not stay for ever.
#[test]
fn handles_of_what_others_have_destroyed_are_forgotten() {
    const KEPT: usize = 10;
    let place = place();
    let module = ready_on(&place);
    let count = TokenObjects::SWEEP_MIN - 1;
    let session = filled(&module, count);
    let handles = found(&module, session, &[]);
    let (kept, gone) = handles.split_at(KEPT);
    let kept_ids: Vec<_> =
        kept.iter().map(|object| read(&module, session, *object, A::UniqueId).unwrap()).collect();
    let store = place.open(SLOT.number()).unwrap();
    let mut changes = Vec::new();
    for kind in [3, 4] {
        crate::store::for_each(&*store, crate::store::Kind(kind), &[], |record| {
            if !kept_ids.iter().any(|id| id == record.id.as_str().as_bytes()) {
                let (kind, id, expected) = (record.kind, record.id.clone(), record.version);
                changes.push(crate::store::Change::Remove { kind, id, expected });
            }
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(changes.len(), gone.len());
    store.write(&mut |_| Ok(changes.clone())).unwrap();

    let known = || handles.iter().filter(|handle| module.objects.get(handle.0).is_some()).count();
    data(&module, session, 0, &[(A::Token, TRUE)]);
    assert_eq!(known(), count, "not yet many");
    data(&module, session, 1, &[(A::Token, TRUE)]);
    assert_eq!(known(), KEPT);
    for object in kept {
        read(&module, session, *object, A::Label).unwrap();
    }
}
