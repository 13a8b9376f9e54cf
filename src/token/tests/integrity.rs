//! What was done to the records outside the token is found.

use super::wrapped::WrappedPlace;
use super::*;
use crate::store::{Kind, Record, Tag};
use crate::token::record::{CREDENTIAL, HEADER, MANIFEST, PRIVATE, PUBLIC, SET};
use crate::token::set::Set;

/// A token with three keys and a data object, and its store as a program that
/// knows nothing of tokens has it.
struct Victim {
    token: Token,
    store: Arc<dyn Store>,
    ids: Vec<String>,
}

impl Victim {
    fn new(world: &World) -> Self {
        let token = world.create_for_user();
        let objects =
            [key("a", true, &[]), key("b", true, &[]), key("c", false, &[]), data("d", false)];
        let ids = objects.map(|object| id_of(&insert(&token, object))).to_vec();
        let store = world.other_place().open(SLOT.number()).unwrap();
        assert_eq!(token.check().unwrap().findings, []);
        Self { token, store, ids }
    }

    fn record(&self, kind: Kind, id: &str) -> Record {
        self.store.get(kind, &RecordId::new(id).unwrap()).unwrap().unwrap()
    }

    fn write(&self, batch: &[Change]) {
        self.store.write(&mut |_| Ok(batch.to_vec())).unwrap();
    }

    /// Puts `body` in the place of a record's own.
    fn replace(&self, record: &Record, body: &[u8]) {
        self.write(&[Change::Put {
            kind: record.kind,
            id: record.id.clone(),
            expected: record.version,
            body: body.to_vec(),
            tags: Vec::new(),
        }]);
    }

    fn remove(&self, record: &Record) {
        let (kind, id, expected) = (record.kind, record.id.clone(), record.version);
        self.write(&[Change::Remove { kind, id, expected }]);
    }

    /// The names of what is wrong, and what is.
    fn findings(&self) -> Vec<(String, Damage)> {
        let report = self.token.check().unwrap();
        report.findings.into_iter().map(|finding| (finding.id, finding.damage)).collect()
    }

    /// Puts `record` in the place of what is there, version and all.
    fn put_back(&self, record: &Record) {
        let Record { kind, id, version, body } = record.clone();
        let tags = self.store.tags(kind, &id).unwrap();
        if let Some(present) = self.store.get(kind, &id).unwrap() {
            self.remove(&present);
        }
        for expected in 0..version {
            let (id, body, tags) = (id.clone(), body.clone(), tags.clone());
            self.write(&[Change::Put { kind, id, expected, body, tags }]);
        }
    }

    /// All pages of the manifest.
    fn pages(&self) -> Vec<Record> {
        let mut pages = Vec::new();
        crate::store::for_each(&*self.store, MANIFEST, &[], |page| {
            pages.push(page.clone());
            Ok(())
        })
        .unwrap();
        pages
    }

    /// The objects with these numbers are as good as ever.
    fn assert_sound(&self, numbers: &[usize]) {
        for &number in numbers {
            let live = get(&self.token, &self.ids[number]).unwrap();
            assert_eq!(label_of(&live), ["a", "b", "c", "d"][number]);
            assert!(live.is_complete());
        }
    }

    fn assert_refused(&self, number: usize) {
        let error = self.token.get(Principal::Owner, &self.ids[number]).unwrap_err();
        assert_eq!(error, Error::RecordDamaged(self.ids[number].clone()));
    }
}

fn flipped(record: &Record, at: usize) -> Vec<u8> {
    let mut body = record.body.clone();
    body[at] ^= 1;
    body
}

#[test]
fn edited_records_are_found_and_refused_and_the_others_work() {
    each_place(|world| {
        for (number, kind) in [(0, PRIVATE), (2, PUBLIC), (3, PUBLIC)] {
            let world = &world.anew();
            let victim = Victim::new(world);
            let record = victim.record(kind, &victim.ids[number]);
            victim.replace(&record, &flipped(&record, record.body.len() - 1));
            assert_eq!(victim.findings(), [(victim.ids[number].clone(), Damage::Altered)]);
            victim.assert_refused(number);
            let others: Vec<_> = (0..4).filter(|other| *other != number).collect();
            victim.assert_sound(&others);
            let labels = found(&victim.token, &[(AttributeType::Sign, TRUE)]);
            assert!(labels.len() >= 2, "a damaged record is passed over in a search");
        }
    });
}

#[test]
fn edited_look_up_columns_lead_to_no_other_key() {
    each_place(|world| {
        for (number, kind) in [(0, PRIVATE), (2, PUBLIC)] {
            let world = &world.anew();
            let victim = Victim::new(world);
            let Record { id, body, .. } = victim.record(kind, &victim.ids[number]);
            // The same record in the same version, but findable as "other".
            let tag = match kind {
                PRIVATE => {
                    let vault = victim.token.vault_of(Principal::Owner).unwrap().unwrap();
                    vault.tag(3, b"other").unwrap()
                }
                _ => crate::vault::public_tag(3, b"other"),
            };
            let tags = vec![Tag { property: 3, hash: tag }];
            victim.write(&[
                Change::Remove { kind, id: id.clone(), expected: 1 },
                Change::Put { kind, id: id.clone(), expected: 0, body, tags },
            ]);
            for token in [&victim.token, &world.open_for_user()] {
                let by_label = query(&[(AttributeType::Label, b"other")]);
                let error = find_all(token, by_label).unwrap_err();
                assert_eq!(error, Error::RecordDamaged(id.to_string()));
            }
            victim.assert_sound(&[0, 1, 2, 3]);
            assert_eq!(victim.findings(), [(victim.ids[number].clone(), Damage::LookUp)]);
        }
    });
}

/// The token's file as SQL sees it.
fn sql(world: &World, batch: &str) {
    let directory = world.directory.as_ref().unwrap().path().join("slot-3");
    let connection = rusqlite::Connection::open(directory.join("token.db")).unwrap();
    connection.execute_batch(batch).unwrap();
}

#[test]
fn a_look_up_table_that_leads_elsewhere_is_found() {
    let of_b = "(SELECT number FROM records WHERE id = '$b')";
    for (change, found) in [
        ("DELETE FROM tags WHERE property = 3 AND number = $b", &[1][..]),
        ("UPDATE tags SET number = $b WHERE property = 3 AND number = $a", &[0, 1]),
        (
            "INSERT INTO tags SELECT kind, property, zeroblob(16), number FROM tags \
          WHERE property = 3 AND number = $a",
            &[0],
        ),
    ] {
        let world = World::in_directory();
        let victim = Victim::new(&world);
        let of = |number: usize| of_b.replace("$b", &victim.ids[number]);
        sql(&world, &change.replace("$a", &of(0)).replace("$b", &of(1)));
        let expected: Vec<_> =
            found.iter().map(|number| (victim.ids[*number].clone(), Damage::LookUp)).collect();
        assert_eq!(victim.findings(), expected, "{change}");
        assert_eq!(victim.token.check().unwrap().flaws, [""; 0]);
    }
    let world = World::in_directory();
    let victim = Victim::new(&world);
    sql(&world, "INSERT INTO tags VALUES (3, 3, zeroblob(16), 12345)");
    let report = victim.token.check().unwrap();
    assert_eq!(report.flaws, ["the look-up table leads to no record"]);
    assert!(!report.is_clean() && report.findings.is_empty());
}

#[test]
fn swapped_records_are_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let (a, b) =
            (victim.record(PRIVATE, &victim.ids[0]), victim.record(PRIVATE, &victim.ids[1]));
        victim.replace(&a, &b.body);
        victim.replace(&b, &a.body);
        let [a, b] = [0, 1].map(|number| victim.ids[number].clone());
        let swapped = [(a.clone(), Damage::Copied(b.clone())), (b, Damage::Copied(a))];
        assert_eq!(victim.findings(), swapped);
        victim.assert_refused(0);
        victim.assert_refused(1);
        victim.assert_sound(&[2, 3]);
    });
}

#[test]
fn a_removed_record_is_missed() {
    each_place(|world| {
        let victim = Victim::new(world);
        victim.remove(&victim.record(PRIVATE, &victim.ids[0]));
        assert_eq!(victim.findings(), [(victim.ids[0].clone(), Damage::Missing)]);
        victim.assert_sound(&[1, 2, 3]);
    });
}

#[test]
fn a_duplicated_record_is_found() {
    each_place(|world| {
        for (number, kind) in [(0, PRIVATE), (3, PUBLIC)] {
            let world = &world.anew();
            let victim = Victim::new(world);
            let record = victim.record(kind, &victim.ids[number]);
            let id = RecordId::new("another").unwrap();
            let (expected, body, tags) = (0, record.body, Vec::new());
            victim.write(&[Change::Put { kind, id, expected, body, tags }]);
            let copied = Damage::Copied(victim.ids[number].clone());
            assert_eq!(victim.findings(), [("another".into(), copied)]);
            victim.assert_sound(&[0, 1, 2, 3]);
        }
    });
}

#[test]
fn a_record_rolled_back_to_an_earlier_version_is_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let first = victim.record(PRIVATE, &victim.ids[0]);
        relabel(&victim.token, &get(&victim.token, &victim.ids[0]).unwrap(), "x").unwrap();
        // Under the number of the later version the earlier one does not open.
        let second = victim.record(PRIVATE, &victim.ids[0]);
        victim.replace(&second, &first.body);
        assert_eq!(victim.findings(), [(victim.ids[0].clone(), Damage::Altered)]);
        victim.assert_refused(0);
        // Under its own number it does, but it is not what should be there.
        victim.put_back(&first);
        victim.assert_sound(&[0, 1, 2, 3]);
        let rolled_back = Damage::RolledBack { found: 1, newest: 2 };
        assert_eq!(victim.findings(), [(victim.ids[0].clone(), rolled_back)]);
    });
}

#[test]
fn an_edited_header_or_credential_is_found() {
    each_place(|world| {
        for (kind, id) in [(HEADER, "token"), (CREDENTIAL, "so")] {
            let world = &world.anew();
            let victim = Victim::new(world);
            // Put back as a first version, so that the version tells nothing.
            let record = victim.record(kind, id);
            assert_eq!(record.version, 1);
            let at = if kind == HEADER { 3 } else { record.body.len() - 1 };
            victim.write(&[
                Change::Remove { kind, id: record.id.clone(), expected: 1 },
                Change::Put {
                    kind,
                    id: record.id.clone(),
                    expected: 0,
                    body: flipped(&record, at),
                    tags: Vec::new(),
                },
            ]);
            assert_eq!(victim.findings(), [(id.into(), Damage::Altered)]);
        }
    });
}

#[test]
fn a_damaged_or_missing_set_hash_is_found_and_stops_nothing() {
    each_place(|world| {
        let victim = Victim::new(world);
        let record = victim.record(SET, "records");
        victim.replace(&record, &flipped(&record, 0));
        let damaged = [("records".into(), Damage::Unlisted)];
        assert_eq!(victim.findings(), damaged);
        insert(&victim.token, key("e", true, &[]));
        assert_eq!(victim.findings(), damaged, "it is not mended by the next commit");
        victim.remove(&victim.record(SET, "records"));
        insert(&victim.token, key("f", true, &[]));
        assert_eq!(victim.findings(), damaged);
        victim.assert_sound(&[0, 1, 2, 3]);
    });
}

#[test]
fn a_foreign_record_is_found() {
    each_place(|world| {
        let elsewhere = world.anew();
        let (victim, other) = (Victim::new(world), Victim::new(&elsewhere));
        let theirs = other.record(PRIVATE, &other.ids[0]);
        victim.put_back(&theirs);
        assert_eq!(victim.findings(), [(other.ids[0].clone(), Damage::Foreign)]);
        // What was made without a login is nobody's to judge.
        let public = world.open();
        insert(&public, data("unbound", false));
        let report = victim.token.check().unwrap();
        assert_eq!((report.findings.len(), report.objects, report.unbound), (1, 6, 1));
    });
}

#[test]
fn a_destroyed_record_that_comes_back_is_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let record = victim.record(PRIVATE, &victim.ids[0]);
        let live = get(&victim.token, &victim.ids[0]).unwrap();
        victim.token.remove(Principal::Owner, &live).unwrap();
        victim.put_back(&record);
        assert_eq!(victim.findings(), [(victim.ids[0].clone(), Damage::Returned)]);
        let label = victim.token.check().unwrap().findings[0].label.clone();
        assert_eq!(label.as_deref(), Some("a"));
    });
}

#[test]
fn a_record_that_lost_its_seal_is_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let bound = victim.record(PUBLIC, &victim.ids[3]);
        let unbound = id_of(&insert(&world.open(), data("d", false)));
        let body = victim.record(PUBLIC, &unbound).body;
        victim.put_back(&Record { body, ..bound });
        assert_eq!(victim.findings(), [(victim.ids[3].clone(), Damage::Altered)]);
    });
}

#[test]
fn records_rolled_back_together_with_what_lists_them_are_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let (record, set) = (victim.record(PRIVATE, &victim.ids[0]), victim.record(SET, "records"));
        let pages = victim.pages();
        relabel(&victim.token, &get(&victim.token, &victim.ids[0]).unwrap(), "x").unwrap();
        let (pages_now, set_now) = (victim.pages(), victim.record(SET, "records"));
        victim.put_back(&record);
        pages.iter().for_each(|page| victim.put_back(page));
        let names = || victim.findings().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert!(pages.iter().all(|page| names().contains(&page.id.to_string())));
        // The set record alone, or with the pages, but not the record.
        pages_now.iter().for_each(|page| victim.put_back(page));
        victim.put_back(&set);
        assert_ne!(names(), [""; 0]);
        victim.put_back(&set_now);
        assert_eq!(names(), [victim.ids[0].clone()]);
        victim.assert_sound(&[0, 1, 2, 3]);
    });
}

#[test]
fn a_damaged_page_stops_nothing_and_hides_no_more_than_it_lists() {
    each_place(|world| {
        let victim = Victim::new(world);
        for number in 0..60 {
            insert(&victim.token, key(&format!("{number}"), true, &[]));
        }
        let page = victim.pages().into_iter().find(|page| page.id.as_str().contains('.')).unwrap();
        victim.replace(&page, &flipped(&page, 20));
        let damaged = [(page.id.to_string(), Damage::Unlisted)];
        assert_eq!(victim.findings(), damaged);
        for number in 0..40 {
            let live = insert(&victim.token, key(&format!("more {number}"), true, &[]));
            victim.token.remove(Principal::Owner, &live).unwrap();
        }
        insert(&victim.token, key("stays", true, &[]));
        assert_eq!(victim.findings(), damaged);
    });
}

/// Makes the token one of the time before there were manifests.
fn without_manifest(victim: &Victim) {
    let vault = victim.token.vault_of(Principal::Owner).unwrap().unwrap();
    let (set, version) = Set::read(&vault, &*victim.store).unwrap().unwrap();
    let place = crate::vault::Place { kind: SET.0, id: "records", version: version + 1 };
    let plain = minicbor::to_vec(set.hash).unwrap();
    let sealed = vault.seal(place, &[], &plain, &OsEntropy).unwrap();
    victim.replace(&victim.record(SET, "records"), &sealed);
    victim.pages().iter().for_each(|page| victim.remove(page));
}

#[test]
fn a_token_without_a_manifest_gets_one_with_the_first_commit_or_check() {
    each_place(|world| {
        for by_check in [true, false] {
            let world = &world.anew();
            let victim = Victim::new(world);
            without_manifest(&victim);
            if by_check {
                assert_eq!(victim.findings(), []);
            } else {
                insert(&victim.token, key("e", true, &[]));
            }
            assert_eq!(victim.pages().len(), 1);
            assert_eq!(victim.findings(), []);
            victim.remove(&victim.record(PRIVATE, &victim.ids[0]));
            assert_eq!(victim.findings(), [(victim.ids[0].clone(), Damage::Missing)]);
        }
    });
}

#[test]
fn what_is_wrong_is_not_listed_as_right() {
    each_place(|world| {
        let victim = Victim::new(world);
        without_manifest(&victim);
        victim.remove(&victim.record(PRIVATE, &victim.ids[0]));
        let differs = |expected| {
            let damage = Damage::SetDiffers { expected, found: expected - 1 };
            [("records".to_owned(), damage)]
        };
        assert_eq!(victim.findings(), differs(8));
        insert(&victim.token, key("e", true, &[]));
        assert_eq!((victim.findings(), victim.pages()), (differs(9).to_vec(), vec![]));
    });
}

#[test]
fn a_check_needs_a_login_and_either_will_do() {
    each_place(|world| {
        let token = world.create();
        assert_eq!(token.check().unwrap_err(), Error::UserNotLoggedIn);
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_check_among_writers_finds_nothing_that_is_not_there() {
    each_place(|world| {
        let there = world.create_for_user();
        insert(&there, key("k", true, &[]));
        let place = WrappedPlace::new(world);
        let here = place.open(world, settings());
        here.login(UserType::User, &pin(USER_PIN)).unwrap();
        let mut written = 0;
        let (count, counted) = std::sync::mpsc::channel();
        place.store.after_find(PRIVATE, move || {
            insert(&there, key("made meanwhile", true, &[]));
            written += 1;
            count.send(written).unwrap();
        });
        assert_eq!(here.check().unwrap().findings, []);
        assert_eq!(counted.try_iter().last(), Some(1), "somebody did write");
    });
}

impl World {
    /// Another one of the same sort.
    fn anew(&self) -> Self {
        if self.directory.is_some() { Self::in_directory() } else { Self::in_memory() }
    }
}

#[test]
fn everything_damaged_is_set_aside_at_once_and_kept() {
    each_place(|world| {
        let victim = Victim::new(world);
        let first = victim.record(PRIVATE, &victim.ids[1]);
        relabel(&victim.token, &get(&victim.token, &victim.ids[1]).unwrap(), "x").unwrap();
        let (a, c) =
            (victim.record(PRIVATE, &victim.ids[0]), victim.record(PUBLIC, &victim.ids[2]));
        victim.replace(&a, &c.body);
        victim.put_back(&first);
        victim.remove(&c);
        victim.put_back(&Record { id: RecordId::new("another").unwrap(), ..c.clone() });
        victim.remove(&victim.record(SET, "records"));
        let page = victim.pages().remove(0);
        victim.replace(&page, &flipped(&page, 0));
        let found = victim.token.quarantine().unwrap();
        assert!(!found.is_clean());
        let report = victim.token.check().unwrap();
        assert!(report.is_clean(), "{report:?}");
        // Without the set record nobody could tell that b was rolled back and c removed.
        victim.assert_sound(&[1, 3]);
        let kept = victim.token.quarantined().unwrap();
        let names: Vec<_> = kept.iter().map(|kept| kept.id.clone()).collect();
        assert_eq!(names, [victim.ids[0].clone(), "another".into()]);
        assert_eq!(
            kept[1].size,
            victim.record(PUBLIC, &victim.ids[3]).body.len().max(kept[1].size)
        );
        // It is as good as before.
        insert(&victim.token, key("e", true, &[]));
        victim.remove(&victim.record(PRIVATE, &victim.ids[1]));
        assert_eq!(victim.findings(), [(victim.ids[1].clone(), Damage::Missing)]);
        victim.token.quarantine().unwrap();
        assert_eq!(victim.findings(), []);
        assert!(victim.token.discard("another").unwrap());
        assert!(!victim.token.discard("another").unwrap());
        assert_eq!(victim.token.quarantined().unwrap().len(), 1);
        assert_eq!(victim.findings(), []);
    });
}

#[test]
fn several_damaged_records_of_one_name_are_all_kept() {
    each_place(|world| {
        let victim = Victim::new(world);
        for round in 1..4_usize {
            let body = vec![7; round];
            let id = RecordId::new(&"long".repeat(16)).unwrap();
            let (kind, tags) = (PRIVATE, Vec::new());
            victim.write(&[Change::Put { kind, id, expected: 0, body, tags }]);
            victim.token.quarantine().unwrap();
            let sizes: Vec<_> =
                victim.token.quarantined().unwrap().iter().map(|kept| kept.size).collect();
            assert_eq!(sizes, (1..=round).collect::<Vec<_>>());
        }
        assert_eq!(victim.findings(), []);
    });
}

#[test]
fn a_credential_that_asks_for_endless_work_is_damaged() {
    each_place(|world| {
        let victim = Victim::new(world);
        let record = victim.record(CREDENTIAL, "user");
        let PinParameters { memory_kib: 8, iterations: 1, lanes: 1 } = settings().pin_parameters
        else {
            panic!("encoded otherwise")
        };
        let at = record.body.windows(4).position(|bytes| bytes == [0x83, 8, 1, 1]).unwrap();
        // 4 GiB and 100 passes, each as much as can be set.
        let asked = [0x83, 0x1a, 0, 0x40, 0, 0, 0x18, 100, 1];
        let body = [&record.body[..at], &asked, &record.body[at + 4..]].concat();
        victim.replace(&record, &body);
        let token = world.open();
        let damaged = Err(Error::RecordDamaged("user".into()));
        assert_eq!(token.login(UserType::User, &pin(USER_PIN)), damaged);
        let user = token.info().unwrap().user;
        assert_eq!((user.failures, user.cost), (0, None));
    });
}
