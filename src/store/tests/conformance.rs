//! One suite for the store in memory and the one on disk.

use super::*;
use crate::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};

/// One implementation, and what has to outlive it.
struct Bench {
    place: Box<dyn Place>,
    directory: Option<tempfile::TempDir>,
}

impl Bench {
    fn store(&self) -> Arc<dyn Store> {
        self.place.create(0, vec![]).unwrap()
    }
}

fn in_memory() -> Bench {
    Bench { place: Box::new(MemoryPlace::new()), directory: None }
}

fn on_disk() -> Bench {
    let directory = directory();
    let place = Box::new(place(&directory.path().join("tokens")));
    Bench { place, directory: Some(directory) }
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::in_memory()); })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::on_disk()); })*
        }
    };
}

suite! {
    a_record_is_made_changed_and_removed,
    a_batch_is_whole_or_not_at_all,
    commits_are_numbered_without_gaps,
    an_empty_batch_and_a_refusing_closure_commit_nothing,
    a_batch_may_build_on_itself,
    a_commit_in_parts_builds_on_itself_and_is_seen_whole,
    a_part_that_fails_takes_the_others_with_it,
    a_snapshot_stays_as_it_is_while_others_write,
    clear_forgets_records_failures_and_reservations,
    records_are_found_by_all_their_tags,
    changed_tags_find_and_old_ones_do_not,
    pages_follow_each_other_in_the_order_of_making,
    kinds_do_not_mix,
    changes_name_what_was_touched_once,
    changes_from_too_long_ago_or_the_future_are_everything,
    the_generation_differs_after_each_commit_only,
    failures_are_counted_until_a_success_or_pardon,
    a_dropped_reservation_is_a_failure,
    the_limit_locks_and_clear_opens_again,
    an_open_reservation_makes_others_wait_at_the_limit,
    sixty_four_correct_logins_at_once_lock_nobody_out,
    sixty_four_wrong_logins_at_once_count_to_the_limit_and_no_further,
    presence_and_solitude_exclude_each_other,
    a_place_lists_opens_and_removes,
    a_slot_is_made_once,
    a_first_batch_that_fails_leaves_no_token,
    threads_writing_at_once_lose_nothing,
}

fn a_record_is_made_changed_and_removed(bench: &Bench) {
    let store = bench.store();
    let (one, body) = (id("one"), vec![0, 255, 0]);
    assert_eq!(store.get(KIND, &one).unwrap(), None);
    commit(&*store, &[put("one", 0, &body, &[])]).unwrap();
    let found = store.get(KIND, &one).unwrap().unwrap();
    assert_eq!(found, Record { kind: KIND, id: one.clone(), version: 1, body });
    commit(&*store, &[put("one", 1, b"", &[])]).unwrap();
    let found = store.get(KIND, &one).unwrap().unwrap();
    assert_eq!((found.version, &found.body[..]), (2, &b""[..]));
    commit(&*store, &[remove("one", 2)]).unwrap();
    assert_eq!(store.get(KIND, &one).unwrap(), None);
    // Made again, it begins again.
    commit(&*store, &[put("one", 0, b"new", &[])]).unwrap();
    assert_eq!(store.get(KIND, &one).unwrap().unwrap().version, 1);
}

fn a_batch_is_whole_or_not_at_all(bench: &Bench) {
    let store = bench.store();
    commit(&*store, &[put("kept", 0, b"old", &[tag(1, 1)])]).unwrap();
    let (sequence, generation) = (store.sequence().unwrap(), store.generation());
    for wrong in [
        put("kept", 0, b"", &[]),
        put("kept", 2, b"", &[]),
        put("absent", 1, b"", &[]),
        remove("kept", 2),
        remove("absent", 1),
    ] {
        let batch = [put("first", 0, b"", &[]), put("kept", 1, b"new", &[]), wrong];
        // The second change makes `kept` version 2, so expecting 2 may hold: put it first.
        let [first, second, third] = batch;
        let refused = commit(&*store, &[first, third, second]);
        assert!(matches!(refused, Err(Error::FunctionFailed(_))), "{refused:?}");
        assert_eq!(store.get(KIND, &id("first")).unwrap(), None);
        assert_eq!(store.get(KIND, &id("kept")).unwrap().unwrap().body, b"old");
    }
    assert_eq!(names(&store.find(KIND, &[tag(1, 1)], None, 9).unwrap()), ["kept"]);
    assert_eq!(store.sequence().unwrap(), sequence);
    assert_eq!(store.generation(), generation);
}

fn commits_are_numbered_without_gaps(bench: &Bench) {
    let store = bench.store();
    assert_eq!(store.sequence().unwrap(), Sequence(0));
    for number in 1..=5 {
        let name = number.to_string();
        assert_eq!(commit(&*store, &[put(&name, 0, b"", &[])]).unwrap(), Sequence(number));
        assert_eq!(store.sequence().unwrap(), Sequence(number));
        commit(&*store, &[put(&name, 7, b"", &[])]).unwrap_err();
    }
}

fn an_empty_batch_and_a_refusing_closure_commit_nothing(bench: &Bench) {
    let store = bench.store();
    let generation = store.generation();
    assert_eq!(commit(&*store, &[]).unwrap(), Sequence(0));
    let refused = store.write(&mut |_| Err(Error::SessionReadOnly));
    assert_eq!(refused, Err(Error::SessionReadOnly));
    assert_eq!(store.generation(), generation);
    // The store is not left locked.
    assert_eq!(commit(&*store, &[put("one", 0, b"", &[])]).unwrap(), Sequence(1));
}

fn a_batch_may_build_on_itself(bench: &Bench) {
    let store = bench.store();
    let batch = [
        put("one", 0, b"1", &[tag(1, 1)]),
        put("one", 1, b"2", &[tag(1, 2)]),
        put("two", 0, b"1", &[]),
        remove("two", 1),
    ];
    assert_eq!(commit(&*store, &batch).unwrap(), Sequence(1));
    assert_eq!(store.get(KIND, &id("one")).unwrap().unwrap().version, 2);
    assert_eq!(store.get(KIND, &id("two")).unwrap(), None);
    assert!(store.find(KIND, &[tag(1, 1)], None, 9).unwrap().records.is_empty());
    // The closure reads the state that its batch is applied to.
    let sequence = store.write(&mut |state| {
        let now = state.get(KIND, &id("one"))?.unwrap();
        assert_eq!(names(&state.find(KIND, &[tag(1, 2)], None, 9)?), ["one"]);
        assert_eq!(state.sequence()?, Sequence(1));
        Ok(vec![put("one", now.version, b"3", &[])])
    });
    assert_eq!(sequence.unwrap(), Sequence(2));
}

fn a_commit_in_parts_builds_on_itself_and_is_seen_whole(bench: &Bench) {
    let store = bench.store();
    let before = commit(&*store, &[put("counter", 0, b"0", &[])]).unwrap();
    let mut part = 0_u64;
    let sequence = store.write_in_parts(&mut |state| {
        assert_eq!(state.sequence().unwrap(), before);
        let counter = state.get(KIND, &id("counter"))?.unwrap();
        assert_eq!(counter.body, part.to_string().as_bytes());
        assert_eq!(state.find(KIND, &[], None, 99)?.records.len() as u64, 1 + part);
        // The others wait for the end of it.
        if bench.directory.is_some() {
            let seen = store.get(KIND, &id("counter"))?.unwrap();
            assert_eq!(seen.body, b"0");
        }
        if part == 3 {
            return Ok(Vec::new());
        }
        part += 1;
        let counter = put("counter", part, part.to_string().as_bytes(), &[]);
        Ok(vec![counter, put(&part.to_string(), 0, b"", &[tag(1, part)])])
    });
    assert_eq!(sequence, Ok(Sequence(before.0 + 1)));
    assert_eq!(store.find(KIND, &[tag(1, 3)], None, 99).unwrap().records.len(), 1);
    let Changes::Records { records, now } = store.changes(before).unwrap() else { panic!() };
    assert_eq!((records.len(), now), (4, Sequence(before.0 + 1)));
}

fn a_part_that_fails_takes_the_others_with_it(bench: &Bench) {
    let store = bench.store();
    let generation = store.generation();
    for last in [Err(Error::HostMemory), Ok(vec![put("one", 7, b"", &[])])] {
        let mut parts = [Ok(vec![put("one", 0, b"", &[])]), last].into_iter();
        assert!(store.write_in_parts(&mut |_| parts.next().unwrap()).is_err());
    }
    assert_eq!(store.get(KIND, &id("one")).unwrap(), None);
    assert_eq!((store.sequence().unwrap(), store.generation()), (Sequence(0), generation));
}

fn a_snapshot_stays_as_it_is_while_others_write(bench: &Bench) {
    let store = bench.store();
    commit(&*store, &[put("one", 0, b"1", &[tag(1, 1)]), put("two", 0, b"", &[])]).unwrap();
    let refused = store.snapshot(&mut |state| {
        let write = || commit(&*store, &[put("one", 1, b"2", &[]), remove("two", 1)]).unwrap();
        std::thread::scope(|scope| scope.spawn(write).join()).unwrap();
        assert_eq!(state.get(KIND, &id("one"))?.unwrap().body, b"1");
        assert_eq!(names(&state.find(KIND, &[tag(1, 1)], None, 9)?), ["one"]);
        assert_eq!(names(&state.find(KIND, &[], None, 9)?), ["one", "two"]);
        assert_eq!(state.sequence()?, Sequence(1));
        Err(Error::FunctionFailed("no".into()))
    });
    assert_eq!(refused, Err(Error::FunctionFailed("no".into())));
    assert_eq!(names(&store.find(KIND, &[], None, 9).unwrap()), ["one"]);
}

fn clear_forgets_records_failures_and_reservations(bench: &Bench) {
    let store = bench.store();
    commit(&*store, &[put("one", 0, b"", &[tag(1, 1)]), put("two", 0, b"", &[])]).unwrap();
    store.reserve(&id("user"), 3).unwrap().fail().unwrap();
    let open = store.reserve(&id("user"), 3).unwrap();
    commit(&*store, &[Change::Clear, put("one", 0, b"again", &[])]).unwrap();
    assert_eq!(names(&store.find(KIND, &[], None, 9).unwrap()), ["one"]);
    assert_eq!(store.get(KIND, &id("one")).unwrap().unwrap().version, 1);
    assert!(store.find(KIND, &[tag(1, 1)], None, 9).unwrap().records.is_empty());
    assert_eq!(failures(&*store, "user"), 0);
    // Settled too late, it counts for nobody.
    assert_eq!(open.fail().unwrap(), Attempts::default());
    assert_eq!(failures(&*store, "user"), 0);
    assert_eq!(
        store.changes(Sequence(1)).unwrap(),
        Changes::Everything { now: Sequence(2) },
        "a cleared store is to be read anew"
    );
}

fn records_are_found_by_all_their_tags(bench: &Bench) {
    let store = bench.store();
    // Each record bears the tags of the divisors of its number.
    let batch: Vec<_> = (1..=60)
        .map(|number: u64| {
            let tags: Vec<_> =
                (1..=6).filter(|n| number.is_multiple_of(*n)).map(|n| tag(7, n)).collect();
            put(&format!("{number}"), 0, b"", &tags)
        })
        .collect();
    commit(&*store, &batch).unwrap();
    let found = |divisors: &[u64]| {
        let tags: Vec<_> = divisors.iter().map(|n| tag(7, *n)).collect();
        let page = store.find(KIND, &tags, None, usize::MAX).unwrap();
        assert_eq!(page.next, None);
        names(&page).iter().map(|name| name.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(found(&[]).len(), 60);
    assert_eq!(found(&[5]), (1..=12).map(|n| n * 5).collect::<Vec<_>>());
    assert_eq!(found(&[4, 6]), [12, 24, 36, 48, 60]);
    assert_eq!(found(&[6, 4]), [12, 24, 36, 48, 60]);
    assert_eq!(found(&[1, 2, 3, 4, 5, 6]), [60]);
    assert_eq!(found(&[5, 5]).len(), 12);
    assert_eq!(found(&[4, 9]), [0_u64; 0]);
    assert_eq!(store.count(KIND, tag(7, 5), 99).unwrap(), 12);
    assert_eq!(store.count(KIND, tag(7, 5), 11).unwrap(), 11, "no further than asked");
    for none in [tag(7, 9), tag(8, 5)] {
        assert_eq!(store.count(KIND, none, 99).unwrap(), 0);
    }
    assert_eq!(store.count(Kind(KIND.0 + 1), tag(7, 5), 99).unwrap(), 0);
    // The same hash of another property is another tag.
    assert!(store.find(KIND, &[tag(8, 1)], None, 9).unwrap().records.is_empty());
}

fn changed_tags_find_and_old_ones_do_not(bench: &Bench) {
    let store = bench.store();
    let count = |value| store.find(KIND, &[tag(1, value)], None, 9).unwrap().records.len();
    commit(&*store, &[put("one", 0, b"", &[tag(1, 1), tag(1, 2), tag(1, 1)])]).unwrap();
    assert_eq!([count(1), count(2), count(3)], [1, 1, 0]);
    commit(&*store, &[put("one", 1, b"", &[tag(1, 3), tag(1, 2)])]).unwrap();
    assert_eq!([count(1), count(2), count(3)], [0, 1, 1]);
    commit(&*store, &[put("one", 2, b"same tags", &[tag(1, 2), tag(1, 3)])]).unwrap();
    assert_eq!([count(1), count(2), count(3)], [0, 1, 1]);
    commit(&*store, &[remove("one", 3)]).unwrap();
    assert_eq!([count(1), count(2), count(3)], [0, 0, 0]);
}

fn pages_follow_each_other_in_the_order_of_making(bench: &Bench) {
    let store = bench.store();
    let wanted: Vec<String> = (0..7).map(|n| format!("{}", 9 - n)).collect();
    for name in &wanted {
        commit(&*store, &[put(name, 0, b"", &[tag(1, 1)])]).unwrap();
    }
    // A change does not move a record.
    commit(&*store, &[put("9", 1, b"new", &[tag(1, 1)])]).unwrap();
    for tags in [&[][..], &[tag(1, 1)]] {
        for limit in 1..9 {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = store.find(KIND, tags, after, limit).unwrap();
                assert!(page.records.len() <= limit);
                listed.extend(names(&page).iter().map(|name| (*name).to_owned()));
                after = page.next;
                if after.is_none() {
                    break;
                }
                assert_eq!(page.records.len(), limit);
            }
            assert_eq!(listed, wanted, "in pages of {limit}");
        }
    }
    let none = store.find(KIND, &[], None, 0).unwrap();
    assert!(none.records.is_empty() && none.next.is_some());
    // A record made anew while somebody lists comes last, even if it was last before.
    let page = store.find(KIND, &[], None, 6).unwrap();
    let page = store.find(KIND, &[], page.next, 1).unwrap();
    assert_eq!((names(&page), page.next), (vec!["3"], None));
    let cursor = store.find(KIND, &[], None, 6).unwrap().next;
    commit(&*store, &[remove("3", 1)]).unwrap();
    commit(&*store, &[put("0", 0, b"", &[])]).unwrap();
    assert_eq!(names(&store.find(KIND, &[], cursor, 9).unwrap()), ["0"]);
}

fn kinds_do_not_mix(bench: &Bench) {
    let store = bench.store();
    let other = |expected| Change::Put {
        kind: Kind(2),
        id: id("one"),
        expected,
        body: b"two".to_vec(),
        tags: vec![tag(1, 1)],
    };
    commit(&*store, &[put("one", 0, b"one", &[tag(1, 1)]), other(0), other(1)]).unwrap();
    for (kind, version, body) in [(KIND, 1, b"one"), (Kind(2), 2, b"two")] {
        let found = store.get(kind, &id("one")).unwrap().unwrap();
        assert_eq!((found.kind, found.version, &found.body[..]), (kind, version, &body[..]));
        for tags in [&[][..], &[tag(1, 1)]] {
            assert_eq!(
                store.find(kind, tags, None, 9).unwrap().records,
                std::slice::from_ref(&found)
            );
        }
    }
    commit(&*store, &[remove("one", 1)]).unwrap();
    assert_eq!(store.find(KIND, &[], None, 9).unwrap().records, []);
    assert_eq!(store.find(Kind(2), &[tag(1, 1)], None, 9).unwrap().records.len(), 1);
}

fn changes_name_what_was_touched_once(bench: &Bench) {
    let store = bench.store();
    let none = Changes::Records { records: vec![], now: Sequence(0) };
    assert_eq!(store.changes(Sequence(0)).unwrap(), none);
    commit(&*store, &[put("one", 0, b"", &[]), put("two", 0, b"", &[])]).unwrap();
    commit(&*store, &[put("one", 1, b"", &[])]).unwrap();
    commit(&*store, &[remove("two", 1), put("one", 2, b"", &[])]).unwrap();
    let since = |number| match store.changes(Sequence(number)).unwrap() {
        Changes::Records { mut records, now } => {
            assert_eq!(now, Sequence(3));
            records.sort();
            records.iter().map(|(kind, id)| (kind.0, id.to_string())).collect::<Vec<_>>()
        }
        everything @ Changes::Everything { .. } => panic!("{everything:?}"),
    };
    let (one, two) = ((1, "one".to_owned()), (1, "two".to_owned()));
    assert_eq!(since(0), [one.clone(), two.clone()]);
    assert_eq!(since(1), [one.clone(), two.clone()]);
    assert_eq!(since(2), [one, two]);
    assert_eq!(since(3), []);
}

fn changes_from_too_long_ago_or_the_future_are_everything(bench: &Bench) {
    let store = bench.store();
    commit(&*store, &[put("one", 0, b"", &[])]).unwrap();
    let everything = Changes::Everything { now: Sequence(1) };
    assert_eq!(store.changes(Sequence(2)).unwrap(), everything);
    assert_eq!(store.changes(Sequence(u64::MAX)).unwrap(), everything);
    commit(&*store, &[Change::Clear]).unwrap();
    let everything = Changes::Everything { now: Sequence(2) };
    assert_eq!(store.changes(Sequence(0)).unwrap(), everything);
    assert_eq!(store.changes(Sequence(1)).unwrap(), everything);
    let nothing = Changes::Records { records: vec![], now: Sequence(2) };
    assert_eq!(store.changes(Sequence(2)).unwrap(), nothing);
}

fn the_generation_differs_after_each_commit_only(bench: &Bench) {
    let store = bench.store();
    let mut seen = vec![store.generation()];
    for number in 0..5 {
        commit(&*store, &[put(&format!("{number}"), 0, b"", &[])]).unwrap();
        let now = store.generation();
        assert!(now.is_settled());
        assert!(!seen.contains(&now));
        seen.push(now);
        store.get(KIND, &id("0")).unwrap();
        store.reserve(&id("user"), 9).unwrap().fail().unwrap();
        store.reserve(&id("user"), 9).unwrap().succeed().unwrap();
        store.forgive(&id("user")).unwrap();
        assert_eq!(store.generation(), now);
    }
}

fn failures_are_counted_until_a_success_or_pardon(bench: &Bench) {
    let store = bench.store();
    let fail = || store.reserve(&id("user"), 5).unwrap().fail().unwrap().failures;
    assert_eq!(failures(&*store, "user"), 0);
    assert_eq!([fail(), fail(), fail()], [1, 2, 3]);
    store.reserve(&id("user"), 5).unwrap().succeed().unwrap();
    assert_eq!(failures(&*store, "user"), 0);
    assert_eq!([fail(), fail()], [1, 2]);
    assert_eq!(failures(&*store, "other"), 0);
    store.forgive(&id("user")).unwrap();
    assert_eq!(failures(&*store, "user"), 0);
    store.forgive(&id("nobody")).unwrap();
}

fn a_dropped_reservation_is_a_failure(bench: &Bench) {
    let store = bench.store();
    for count in 1..=3 {
        drop(store.reserve(&id("user"), 3).unwrap());
        assert_eq!(failures(&*store, "user"), count);
    }
    assert_eq!(store.reserve(&id("user"), 3).err(), Some(Error::PinLocked));
    assert_eq!(failures(&*store, "user"), 3);
    store.forgive(&id("user")).unwrap();
    assert_eq!(failures(&*store, "user"), 0);
    drop(store.reserve(&id("user"), 3).unwrap());
    store.forgive(&id("user")).unwrap();
    assert_eq!(failures(&*store, "user"), 0);
}

fn the_limit_locks_and_clear_opens_again(bench: &Bench) {
    let store = bench.store();
    for _ in 0..2 {
        store.reserve(&id("user"), 2).unwrap().fail().unwrap();
    }
    assert_eq!(store.reserve(&id("user"), 2).err(), Some(Error::PinLocked));
    // Another limit is another question, and another credential another count.
    drop(store.reserve(&id("user"), 4).unwrap());
    store.reserve(&id("other"), 1).unwrap().succeed().unwrap();
    assert_eq!(store.reserve(&id("user"), 0).err(), Some(Error::PinLocked));
    commit(&*store, &[Change::Clear]).unwrap();
    store.reserve(&id("user"), 2).unwrap().succeed().unwrap();
}

fn an_open_reservation_makes_others_wait_at_the_limit(bench: &Bench) {
    let store = bench.store();
    store.reserve(&id("user"), 2).unwrap().fail().unwrap();
    let open = store.reserve(&id("user"), 2).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.reserve(&id("user"), 2).map(drop));
        let elsewhere = store.reserve(&id("other"), 2).unwrap();
        assert!(!waiting.is_finished());
        elsewhere.succeed().unwrap();
        open.fail().unwrap();
        assert_eq!(waiting.join().unwrap(), Err(Error::PinLocked));
    });
}

fn sixty_four_correct_logins_at_once_lock_nobody_out(bench: &Bench) {
    let store = bench.store();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| store.reserve(&id("user"), 3).unwrap().succeed().unwrap());
        }
    });
    assert_eq!(failures(&*store, "user"), 0);
}

fn sixty_four_wrong_logins_at_once_count_to_the_limit_and_no_further(bench: &Bench) {
    let store = bench.store();
    let tried = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| match store.reserve(&id("user"), 10) {
                Ok(reservation) => {
                    tried.fetch_add(1, Ordering::SeqCst);
                    reservation.fail().unwrap();
                }
                Err(error) => assert_eq!(error, Error::PinLocked),
            });
        }
    });
    assert_eq!(tried.into_inner(), 10);
    assert_eq!(failures(&*store, "user"), 10);
}

fn presence_and_solitude_exclude_each_other(bench: &Bench) {
    let store = bench.store();
    let (one, two) = (store.present().unwrap().unwrap(), store.present().unwrap().unwrap());
    assert!(store.alone().unwrap().is_none());
    drop(one);
    assert!(store.alone().unwrap().is_none());
    drop(two);
    let alone = store.alone().unwrap().unwrap();
    assert!(store.alone().unwrap().is_none());
    assert!(store.present().unwrap().is_none());
    drop(alone);
    drop(store.present().unwrap().unwrap());
    assert!(store.alone().unwrap().is_some());
}

fn a_place_lists_opens_and_removes(bench: &Bench) {
    let place = &bench.place;
    assert_eq!(place.slots().unwrap(), [0_u64; 0]);
    assert_eq!(place.open(0).err(), Some(Error::TokenNotPresent(crate::types::SlotId(0))));
    for slot in [7, 0, 10, 2] {
        place.create(slot, vec![put(&format!("{slot}"), 0, b"", &[])]).unwrap();
    }
    assert_eq!(place.slots().unwrap(), [0, 2, 7, 10]);
    assert_eq!(place.slots().unwrap(), [0, 2, 7, 10]);
    let store = place.open(7).unwrap();
    assert_eq!(names(&store.find(KIND, &[], None, 9).unwrap()), ["7"]);
    assert!(Arc::ptr_eq(&store, &place.open(7).unwrap()));
    let alone = store.alone().unwrap().unwrap();
    place.remove(7).unwrap();
    drop(alone);
    assert_eq!(place.slots().unwrap(), [0, 2, 10]);
    let gone = Error::TokenNotPresent(crate::types::SlotId(7));
    assert_eq!(place.open(7).err(), Some(gone.clone()));
    assert_eq!(place.remove(7), Err(Error::SlotIdInvalid(crate::types::SlotId(7))));
    // Who still holds the removed store is told, and does not disturb a new one.
    assert!(!store.generation().is_settled());
    assert_eq!(store.get(KIND, &id("7")), Err(gone.clone()));
    assert_eq!(commit(&*store, &[put("8", 0, b"", &[])]), Err(gone.clone()));
    assert_eq!(store.present().err(), Some(gone.clone()));
    assert_eq!(store.reserve(&id("user"), 9).err(), Some(gone));
    place.create(7, vec![]).unwrap();
    drop(store);
    assert_eq!(place.open(7).unwrap().get(KIND, &id("7")), Ok(None));
    assert_eq!(place.slots().unwrap(), [0, 2, 7, 10]);
}

fn a_slot_is_made_once(bench: &Bench) {
    let place = &bench.place;
    place.create(3, vec![put("first", 0, b"", &[])]).unwrap();
    let again = place.create(3, vec![put("second", 0, b"", &[])]);
    assert_eq!(again.err(), Some(Error::SlotIdInvalid(crate::types::SlotId(3))));
    assert_eq!(place.open(3).unwrap().get(KIND, &id("second")), Ok(None));
    assert_eq!(place.open(3).unwrap().sequence(), Ok(Sequence(1)));
}

fn a_first_batch_that_fails_leaves_no_token(bench: &Bench) {
    let failed = bench.place.create(3, vec![put("one", 1, b"", &[])]);
    assert!(matches!(failed.err(), Some(Error::FunctionFailed(_))));
    assert_eq!(bench.place.slots().unwrap(), [0_u64; 0]);
    bench.place.create(3, vec![]).unwrap();
}

fn threads_writing_at_once_lose_nothing(bench: &Bench) {
    const THREADS: u64 = 8;
    const EACH: u64 = 10;
    let store = bench.store();
    commit(&*store, &[put("counter", 0, &0_u64.to_be_bytes(), &[])]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for number in 0..EACH {
                    count_up(&**store, &format!("{thread}.{number}"));
                }
            });
        }
    });
    assert_eq!(store.sequence().unwrap(), Sequence(1 + THREADS * EACH));
    let all = store.find(KIND, &[], None, usize::MAX).unwrap();
    assert_eq!(all.records.len() as u64, 1 + THREADS * EACH);
}
