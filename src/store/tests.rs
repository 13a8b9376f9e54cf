//! What is promised at the top of `store.rs`, asked of every implementation.

mod conformance;
mod hostile;
mod model;
pub(super) mod processes;
mod read_only;

use super::*;
use crate::entropy::OsEntropy;
use std::path::Path;
use std::sync::Arc;

pub(super) const KIND: Kind = Kind(1);

/// A directory of tokens for as long as the test runs.
pub(super) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn place(path: &Path) -> DirectoryPlace {
    DirectoryPlace::new(path, Arc::new(OsEntropy))
}

pub(super) fn id(name: &str) -> RecordId {
    RecordId::new(name).unwrap()
}

pub(super) fn tag(property: u8, value: u64) -> Tag {
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&value.to_be_bytes());
    Tag { property, hash }
}

pub(super) fn put(name: &str, expected: u64, body: &[u8], tags: &[Tag]) -> Change {
    let (body, tags) = (body.to_vec(), tags.to_vec());
    Change::Put { kind: KIND, id: id(name), expected, body, tags }
}

pub(super) fn remove(name: &str, expected: u64) -> Change {
    Change::Remove { kind: KIND, id: id(name), expected }
}

/// Commits a batch that does not depend on the state.
pub(super) fn commit(store: &dyn Store, batch: &[Change]) -> Result<Sequence> {
    store.write(&mut |_| Ok(batch.to_vec()))
}

/// Counts the record `counter` up by one and makes the record `name`, in one commit.
/// Commit n brings the counter, which commit 1 made, to n - 1: no number is left out,
/// and no update lost.
pub(super) fn count_up(store: &dyn Store, name: &str) {
    let sequence = store.write(&mut |state| {
        let counter = state.get(KIND, &id("counter"))?.unwrap();
        let value = u64::from_be_bytes(counter.body.try_into().unwrap()) + 1;
        Ok(vec![
            put("counter", counter.version, &value.to_be_bytes(), &[]),
            put(name, 0, &value.to_be_bytes(), &[]),
        ])
    });
    let made = store.get(KIND, &id(name)).unwrap().unwrap().body;
    assert_eq!(made, (sequence.unwrap().0 - 1).to_be_bytes());
}

pub(super) fn names(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.id.as_str()).collect()
}

pub(super) fn failures(store: &dyn Store, credential: &str) -> u32 {
    store.attempts(&id(credential)).unwrap().failures
}
