//! Random operations on both stores and on a map that is obviously right.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Clone)]
enum Operation {
    Commit(Vec<Edit>),
    Find { tags: u8, limit: usize },
    Changes { back: u64 },
    Attempt { credential: u8, outcome: Outcome },
    Forgive { credential: u8 },
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Success,
    Failure,
    Dropped,
}

#[derive(Debug, Clone)]
enum Edit {
    /// `wrong`: expects a version that is not there.
    Put {
        name: u8,
        wrong: bool,
        tags: u8,
        body: Vec<u8>,
    },
    Remove {
        name: u8,
        wrong: bool,
    },
    Clear,
}

fn edit() -> impl Strategy<Value = Edit> {
    let wrong = || prop::bool::weighted(0.05);
    prop_oneof![
        20 => (0..8_u8, wrong(), 0..16_u8, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(name, wrong, tags, body)| Edit::Put { name, wrong, tags, body }),
        8 => (0..8_u8, wrong()).prop_map(|(name, wrong)| Edit::Remove { name, wrong }),
        1 => Just(Edit::Clear),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let outcome =
        prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Dropped)];
    prop_oneof![
        10 => prop::collection::vec(edit(), 0..5).prop_map(Operation::Commit),
        4 => (0..16_u8, 0..5_usize).prop_map(|(tags, limit)| Operation::Find { tags, limit }),
        3 => (0..6_u64).prop_map(|back| Operation::Changes { back }),
        3 => (0..2_u8, outcome)
            .prop_map(|(credential, outcome)| Operation::Attempt { credential, outcome }),
        1 => (0..2_u8).prop_map(|credential| Operation::Forgive { credential }),
        1 => Just(Operation::Reopen),
    ]
}

/// The tags of the set bits.
fn tags_of(bits: u8) -> Vec<Tag> {
    (0..4).filter(|bit| bits & 1 << bit != 0).map(|bit| tag(bit, bit.into())).collect()
}

fn name_of(number: u8) -> String {
    format!("record-{number}")
}

#[derive(Debug, Clone, Default)]
struct Model {
    records: HashMap<u8, ModelRecord>,
    /// What each commit touched; `None`: everything.
    history: Vec<Option<Vec<u8>>>,
    made: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelRecord {
    place: u64,
    version: u64,
    tags: u8,
    body: Vec<u8>,
}

impl Model {
    /// The batch for the stores, and the model after it unless it is refused.
    fn apply(&self, edits: &[Edit]) -> (Vec<Change>, Option<Self>) {
        let (mut next, mut refused, mut touched) = (self.clone(), false, Some(Vec::new()));
        let batch = edits.iter().map(|edit| {
            let version =
                |next: &Self, name| next.records.get(&name).map_or(0, |known| known.version);
            match edit {
                Edit::Put { name, wrong, tags, body } => {
                    let found = version(&next, *name);
                    refused |= wrong;
                    next.made += 1;
                    let place = next.records.get(name).map_or(next.made, |known| known.place);
                    let (version, body) = (found + 1, body.clone());
                    let record = ModelRecord { place, version, tags: *tags, body: body.clone() };
                    next.records.insert(*name, record);
                    touched.iter_mut().for_each(|touched| touched.push(*name));
                    let expected = found + u64::from(*wrong);
                    put(&name_of(*name), expected, &body, &tags_of(*tags))
                }
                Edit::Remove { name, wrong } => {
                    let found = version(&next, *name);
                    refused |= wrong;
                    next.records.remove(name);
                    touched.iter_mut().for_each(|touched| touched.push(*name));
                    remove(&name_of(*name), found + u64::from(*wrong))
                }
                Edit::Clear => {
                    next.records.clear();
                    touched = None;
                    Change::Clear
                }
            }
        });
        let batch: Vec<_> = batch.collect();
        if !batch.is_empty() {
            next.history.push(touched);
        }
        (batch, (!refused).then_some(next))
    }

    fn found(&self, bits: u8) -> Vec<(String, u64, Vec<u8>)> {
        let bearing = self.records.iter().filter(|(_, record)| record.tags & bits == bits);
        let ordered: BTreeMap<_, _> =
            bearing.map(|(name, record)| (record.place, (name, record))).collect();
        let row = |(name, record): (&u8, &ModelRecord)| {
            (name_of(*name), record.version, record.body.clone())
        };
        ordered.into_values().map(row).collect()
    }

    fn changed(&self, since: u64) -> Option<Vec<String>> {
        let later = &self.history[usize::try_from(since).unwrap()..];
        let mut names = Vec::new();
        for touched in later {
            names.extend(touched.as_ref()?.iter().map(|name| name_of(*name)));
        }
        names.sort();
        names.dedup();
        Some(names)
    }
}

/// All pages of a look-up.
fn listed(store: &dyn Store, tags: &[Tag], limit: usize) -> Vec<(String, u64, Vec<u8>)> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.find(KIND, tags, after, limit).unwrap();
        rows.extend(
            page.records.into_iter().map(|found| (found.id.to_string(), found.version, found.body)),
        );
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

fn run(operations: &[Operation]) {
    const LIMIT: u32 = 3;
    let directory = directory();
    let mut disk = place(directory.path());
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let mut stores = [memory, disk.create(0, vec![]).unwrap()];
    let (mut model, mut failures) = (Model::default(), HashMap::<u8, u32>::new());
    for operation in operations {
        let now = model.history.len() as u64;
        if let Operation::Reopen = operation {
            let [memory, old] = stores;
            drop(old);
            disk = place(directory.path());
            stores = [memory, disk.open(0).unwrap()];
        }
        let (batch, next) = match operation {
            Operation::Commit(edits) => model.apply(edits),
            _ => (vec![], None),
        };
        for store in &stores {
            let store = &**store;
            match operation {
                Operation::Commit(_) => {
                    let before = store.generation();
                    let done = commit(store, &batch);
                    assert_eq!(done.is_ok(), next.is_some());
                    assert_eq!(store.generation() != before, done.is_ok() && !batch.is_empty());
                }
                Operation::Find { tags, limit } => {
                    assert_eq!(listed(store, &tags_of(*tags), limit + 1), model.found(*tags));
                }
                Operation::Changes { back } => {
                    let since = now.saturating_sub(*back);
                    let told = match store.changes(Sequence(since)).unwrap() {
                        Changes::Everything { now: told } => {
                            assert_eq!(told.0, now);
                            None
                        }
                        Changes::Records { records, now: told } => {
                            assert_eq!(told.0, now);
                            let names = records.into_iter().map(|(_, id)| id.to_string());
                            let mut names: Vec<_> = names.collect();
                            names.sort();
                            Some(names)
                        }
                    };
                    assert_eq!(told, model.changed(since));
                }
                Operation::Attempt { credential, outcome } => {
                    let name = id(&name_of(*credential));
                    match (store.reserve(&name, LIMIT), outcome) {
                        (Err(error), _) => {
                            assert_eq!(error, crate::error::Error::PinLocked);
                            assert_eq!(failures.get(credential), Some(&LIMIT));
                        }
                        (Ok(reservation), Outcome::Success) => reservation.succeed().unwrap(),
                        (Ok(reservation), Outcome::Failure) => drop(reservation.fail().unwrap()),
                        (Ok(reservation), Outcome::Dropped) => drop(reservation),
                    }
                }
                Operation::Forgive { credential } => {
                    store.forgive(&id(&name_of(*credential))).unwrap();
                }
                Operation::Reopen => {}
            }
        }
        match operation {
            Operation::Commit(edits)
                if next.is_some() && edits.iter().any(|edit| matches!(edit, Edit::Clear)) =>
            {
                failures.clear();
            }
            Operation::Attempt { credential, outcome } => {
                let count = failures.entry(*credential).or_default();
                *count = match outcome {
                    _ if *count == LIMIT => LIMIT,
                    Outcome::Success => 0,
                    Outcome::Failure | Outcome::Dropped => *count + 1,
                };
            }
            Operation::Forgive { credential } => drop(failures.remove(credential)),
            _ => {}
        }
        model = next.unwrap_or(model);
        for store in &stores {
            assert_eq!(store.sequence().unwrap().0, model.history.len() as u64);
            for credential in 0..2 {
                let counted = super::failures(&**store, &name_of(credential));
                assert_eq!(counted, failures.get(&credential).copied().unwrap_or(0));
            }
        }
    }
    for store in &stores {
        assert_eq!(listed(&**store, &[], 100), model.found(0));
        for number in 0..8 {
            let found = store.get(KIND, &id(&name_of(number))).unwrap();
            let known = model.records.get(&number);
            assert_eq!(
                found.map(|record| (record.version, record.body)),
                known.map(|record| (record.version, record.body.clone()))
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_do_what_a_map_does(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        run(&operations);
    }
}
