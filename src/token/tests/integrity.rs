//! What was done to the records outside the token is found.

use super::wrapped::WrappedPlace;
use super::*;
use crate::store::{Kind, Record, Tag};
use crate::token::record::{CREDENTIAL, HEADER, PRIVATE, PUBLIC, SET};

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
        assert_eq!(token.check().unwrap(), []);
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

    fn damaged(&self, of: usize) -> Finding {
        Finding::Damaged(self.ids[of].clone())
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

fn count_differs(findings: &[Finding]) -> Option<(u64, u64)> {
    findings.iter().find_map(|finding| match finding {
        Finding::SetDiffers { expected, found } => Some((*expected, *found)),
        Finding::Damaged(_) => None,
    })
}

#[test]
fn edited_records_are_found_and_refused_and_the_others_work() {
    each_place(|world| {
        for (number, kind) in [(0, PRIVATE), (2, PUBLIC), (3, PUBLIC)] {
            let world = &world.anew();
            let victim = Victim::new(world);
            let record = victim.record(kind, &victim.ids[number]);
            victim.replace(&record, &flipped(&record, record.body.len() - 1));
            assert!(victim.token.check().unwrap().contains(&victim.damaged(number)));
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
        }
    });
}

#[test]
fn swapped_records_are_found() {
    each_place(|world| {
        let victim = Victim::new(world);
        let (a, b) =
            (victim.record(PRIVATE, &victim.ids[0]), victim.record(PRIVATE, &victim.ids[1]));
        victim.replace(&a, &b.body);
        victim.replace(&b, &a.body);
        let findings = victim.token.check().unwrap();
        assert!(findings.contains(&victim.damaged(0)) && findings.contains(&victim.damaged(1)));
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
        let findings = victim.token.check().unwrap();
        let (expected, found) = count_differs(&findings).unwrap();
        assert_eq!((findings.len(), expected), (1, found + 1));
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
            let findings = victim.token.check().unwrap();
            assert!(findings.contains(&Finding::Damaged("another".into())));
            let (expected, found) = count_differs(&findings).unwrap();
            assert_eq!(expected + 1, found);
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
        assert!(victim.token.check().unwrap().contains(&victim.damaged(0)));
        victim.assert_refused(0);
        // Under its own number it does, but it is not what should be there.
        victim.remove(&victim.record(PRIVATE, &victim.ids[0]));
        victim.write(&[Change::Put {
            kind: PRIVATE,
            id: first.id.clone(),
            expected: 0,
            body: first.body.clone(),
            tags: Vec::new(),
        }]);
        victim.assert_sound(&[0, 1, 2, 3]);
        let findings = victim.token.check().unwrap();
        let (expected, found) = count_differs(&findings).unwrap();
        assert_eq!((findings.len(), expected), (1, found));
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
            let findings = victim.token.check().unwrap();
            let (expected, found) = count_differs(&findings).unwrap();
            assert_eq!((findings.len(), expected), (1, found));
        }
    });
}

#[test]
fn a_damaged_or_missing_set_hash_is_found_and_stops_nothing() {
    each_place(|world| {
        let victim = Victim::new(world);
        let record = victim.record(SET, "records");
        victim.replace(&record, &flipped(&record, 0));
        let damaged = [Finding::Damaged("records".into())];
        assert_eq!(victim.token.check().unwrap(), damaged);
        insert(&victim.token, key("e", true, &[]));
        assert_eq!(victim.token.check().unwrap(), damaged, "it is not mended by the next commit");
        victim.remove(&victim.record(SET, "records"));
        insert(&victim.token, key("f", true, &[]));
        assert_eq!(victim.token.check().unwrap(), damaged);
        victim.assert_sound(&[0, 1, 2, 3]);
    });
}

#[test]
fn a_check_needs_a_login_and_either_will_do() {
    each_place(|world| {
        let token = world.create();
        assert_eq!(token.check(), Err(Error::UserNotLoggedIn));
        token.login(UserType::SecurityOfficer, &pin(SO_PIN)).unwrap();
        assert_eq!(token.check().unwrap(), []);
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
        assert_eq!(here.check().unwrap(), []);
        assert_eq!(counted.try_iter().last(), Some(1), "somebody did write");
    });
}

impl World {
    /// Another one of the same sort.
    fn anew(&self) -> Self {
        if self.directory.is_some() { Self::in_directory() } else { Self::in_memory() }
    }
}
