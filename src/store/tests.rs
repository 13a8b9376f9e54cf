//! What is promised at the top of `store.rs`, asked of every implementation.

mod conformance;
mod hostile;
mod model;
mod processes;
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

pub(super) fn names(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.id.as_str()).collect()
}

pub(super) fn failures(store: &dyn Store, credential: &str) -> u32 {
    store.attempts(&id(credential)).unwrap().failures
}
