//! The manifest: a list of all bound records, so that one that was removed, rolled
//! back or brought from elsewhere can be named.
//!
//! It is a tree of sealed pages. A leaf lists up to 48 records by kind, id, version
//! and a keyed hash of the body. One that grows beyond is split by six bits of a
//! keyed hash of kind and id, and becomes a branch that holds the versions of its
//! children; the set record holds the version of the root. Every page thus says
//! which of the pages below it are the newest, and none can be rolled back
//! together with the record that it lists. A commit writes the pages from the leaf
//! to the root: one page in a token with up to 48 records, two with up to 3,000,
//! three with up to 196,000.
//!
//! A flat list of pages under the set hash would write one page a commit. But whoever
//! put back an old record and the old page that lists it would leave only the
//! set hash to tell, and that names nobody.
//!
//! The pages' names begin with a number drawn when the manifest was built, so that no
//! page has the name and version of an earlier one, and none is ever removed
//! alone.

use super::record::{MANIFEST, SET, to_vec};
use super::record_id;
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::store::{Change, Kind, Reader, RecordId};
use crate::vault::{Place, Vault};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// The most records that a leaf lists, but for one of the last level.
const LEAF_MAX: usize = 48;
/// The children of a branch.
const FAN_OUT: usize = 64;
/// How often the hash of a name can be divided by [`FAN_OUT`].
const DEPTH_MAX: usize = 10;

/// Which manifest is the token's, as the set record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Root {
    /// What the names of its pages begin with.
    #[n(0)]
    build: u64,
    /// The version of the first page.
    #[n(1)]
    version: u64,
}

/// What the manifest knows of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The version.
    pub version: u64,
    /// A keyed hash of the body.
    pub fingerprint: [u8; 16],
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Entry {
    #[n(0)]
    kind: u8,
    #[n(1)]
    id: String,
    #[n(2)]
    version: u64,
    #[n(3)]
    fingerprint: ByteArray<16>,
}

impl Entry {
    fn is_of(&self, kind: Kind, id: &RecordId) -> bool {
        self.kind == kind.0 && self.id == id.as_str()
    }
}

#[derive(Encode, Decode)]
enum Page {
    #[n(0)]
    Leaf(#[n(0)] Vec<Entry>),
    /// The versions of the children, 0 for one that is not there.
    #[n(1)]
    Branch(#[n(0)] Vec<u64>),
}

/// The children to be taken from the root on.
type Path = Vec<u8>;

/// The whole way of a record, of which the first steps lead to its leaf.
fn way(vault: &Vault, kind: Kind, id: &RecordId) -> Result<[u8; DEPTH_MAX]> {
    // No record has the version 0.
    let hash = vault.member(Place { kind: kind.0, id: id.as_str(), version: 0 }, b"")?;
    let mut steps = [0; DEPTH_MAX];
    for (step, byte) in steps.iter_mut().zip(hash) {
        *step = byte % 64;
    }
    Ok(steps)
}

fn page_id(build: u64, path: &[u8]) -> Result<RecordId> {
    let mut name = format!("{build:016x}");
    for step in path {
        name.push_str(&format!(".{step:02}"));
    }
    record_id(&name)
}

/// A page as it was read, or made.
struct Open {
    page: Page,
    /// The version that is stored; 0 of a page that is not.
    version: u64,
    changed: bool,
}

/// The manifest in the state that `reader` shows, and changes to it.
pub struct Manifest<'a> {
    vault: &'a Vault,
    /// None of a manifest that is being built, all of whose pages are here.
    reader: Option<&'a dyn Reader>,
    root: Root,
    pages: BTreeMap<Path, Open>,
}

impl<'a> Manifest<'a> {
    /// The one that the set record names.
    pub fn open(vault: &'a Vault, reader: &'a dyn Reader, root: Root) -> Self {
        Self { vault, reader: Some(reader), root, pages: BTreeMap::new() }
    }

    /// An empty one under a new name.
    pub fn new(vault: &'a Vault, entropy: &dyn Entropy) -> Result<Self> {
        let root = Root { build: u64::from_ne_bytes(entropy::array(entropy)?), version: 0 };
        let page = Open { page: Page::Leaf(Vec::new()), version: 0, changed: true };
        Ok(Self { vault, reader: None, root, pages: BTreeMap::from([(Path::new(), page)]) })
    }

    /// Lists the record as it will be after the commit; `None` strikes it out.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`] with the page that is not the one it should be; then
    /// nothing has changed.
    pub fn list(&mut self, kind: Kind, id: &RecordId, listed: Option<Listed>) -> Result<()> {
        let way = way(self.vault, kind, id)?;
        let depth = self.leaf_of(&way)?;
        for above in 0..=depth {
            self.page(&way[..above]).changed = true;
        }
        let Page::Leaf(entries) = &mut self.page(&way[..depth]).page else { return Ok(()) };
        entries.retain(|entry| !entry.is_of(kind, id));
        if let Some(Listed { version, fingerprint }) = listed {
            let fingerprint = fingerprint.into();
            entries.push(Entry { kind: kind.0, id: id.as_str().to_owned(), version, fingerprint });
        }
        if entries.len() > LEAF_MAX && depth < DEPTH_MAX {
            let entries = std::mem::take(entries);
            self.split(&way[..depth], entries)?;
        }
        Ok(())
    }

    /// Makes a branch of a leaf and distributes its entries.
    fn split(&mut self, path: &[u8], entries: Vec<Entry>) -> Result<()> {
        self.page(path).page = Page::Branch(vec![0; FAN_OUT]);
        for entry in entries {
            let listed = Listed { version: entry.version, fingerprint: *entry.fingerprint };
            self.list(Kind(entry.kind), &record_id(&entry.id)?, Some(listed))?;
        }
        Ok(())
    }

    /// What the manifest says of the record; `None` when it does not list it.
    ///
    /// # Errors
    /// As for [`Manifest::list`].
    pub fn find(&mut self, kind: Kind, id: &RecordId) -> Result<Option<Listed>> {
        let way = way(self.vault, kind, id)?;
        let depth = self.leaf_of(&way)?;
        let Page::Leaf(entries) = &self.page(&way[..depth]).page else { return Ok(None) };
        let entry = entries.iter().find(|entry| entry.is_of(kind, id));
        Ok(entry.map(|entry| Listed { version: entry.version, fingerprint: *entry.fingerprint }))
    }

    /// Shows every entry as it is stored to `visit`, and each page that is not the one
    /// it should be to `missed`.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn walk(
        &self,
        visit: &mut dyn FnMut(Kind, &str, Listed),
        missed: &mut dyn FnMut(&RecordId),
    ) -> Result<()> {
        let mut waiting = vec![(Path::new(), self.root.version)];
        while let Some((path, version)) = waiting.pop() {
            let id = page_id(self.root.build, &path)?;
            match self.read(&id, version)? {
                Some(Page::Leaf(entries)) => {
                    for Entry { kind, id, version, fingerprint } in entries {
                        visit(Kind(kind), &id, Listed { version, fingerprint: *fingerprint });
                    }
                }
                Some(Page::Branch(children)) => {
                    for (step, &version) in (0_u8..).zip(&children) {
                        if version > 0 {
                            let mut path = path.clone();
                            path.push(step);
                            waiting.push((path, version));
                        }
                    }
                }
                None => missed(&id),
            }
        }
        Ok(())
    }

    /// What stores the changed pages, and the manifest as it is then.
    pub fn finish(mut self, entropy: &dyn Entropy) -> Result<(Root, Vec<Change>)> {
        let mut changes = Vec::new();
        let mut paths: Vec<_> = self
            .pages
            .iter()
            .filter(|(_, open)| open.changed)
            .map(|(path, _)| path.clone())
            .collect();
        // A page's children before the page itself.
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for path in paths {
            let Open { page, version: expected, .. } = self.page(&path);
            let (expected, plain) = (*expected, to_vec(page)?);
            let version = expected + 1;
            let id = page_id(self.root.build, &path)?;
            let place = Place { kind: MANIFEST.0, id: id.as_str(), version };
            let body = self.vault.seal(place, &[], &plain, entropy)?;
            changes.push(Change::Put { kind: MANIFEST, id, expected, body, tags: Vec::new() });
            match path.split_last() {
                None => self.root.version = version,
                Some((step, above)) => {
                    if let Page::Branch(children) = &mut self.page(above).page {
                        children[usize::from(*step)] = version;
                    }
                }
            }
        }
        Ok((self.root, changes))
    }

    /// Opens the pages down to the leaf; its depth.
    fn leaf_of(&mut self, way: &[u8; DEPTH_MAX]) -> Result<usize> {
        let mut version = self.root.version;
        for depth in 0..=DEPTH_MAX {
            let path = &way[..depth];
            if !self.pages.contains_key(path) {
                let id = page_id(self.root.build, path)?;
                let page = if version == 0 {
                    Some(Page::Leaf(Vec::new()))
                } else {
                    self.read(&id, version)?
                };
                let page = page.ok_or_else(|| Error::RecordDamaged(id.as_str().to_owned()))?;
                self.pages.insert(path.to_vec(), Open { page, version, changed: false });
            }
            match &self.page(path).page {
                Page::Leaf(_) => return Ok(depth),
                Page::Branch(children) => {
                    version = way.get(depth).map_or(0, |step| children[usize::from(*step)]);
                }
            }
        }
        Err(Error::RecordDamaged(page_id(self.root.build, &[])?.as_str().to_owned()))
    }

    /// The page of this name in this version; `None` if it is not there, is another
    /// version or does not open.
    fn read(&self, id: &RecordId, version: u64) -> Result<Option<Page>> {
        let Some(reader) = self.reader else { return Ok(None) };
        let Some(record) = reader.get(MANIFEST, id)? else { return Ok(None) };
        let place = Place { kind: MANIFEST.0, id: id.as_str(), version };
        let Ok(plain) = self.vault.open(place, &[], &record.body) else { return Ok(None) };
        let page = minicbor::decode(plain.expose()).ok();
        Ok(page.filter(|_| record.version == version).filter(|page| match page {
            Page::Leaf(_) => true,
            Page::Branch(children) => children.len() == FAN_OUT,
        }))
    }

    /// A page that [`Manifest::leaf_of`] has opened.
    fn page(&mut self, path: &[u8]) -> &mut Open {
        let nothing = || Open { page: Page::Leaf(Vec::new()), version: 0, changed: false };
        self.pages.entry(path.to_vec()).or_insert_with(nothing)
    }
}

/// Whether the set and the manifest count records of this kind: all but their own.
pub const fn counts(kind: Kind) -> bool {
    !matches!(kind, SET | MANIFEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::store::{self, MemoryStore, Store};
    use proptest::prelude::*;

    type Model = BTreeMap<(Kind, RecordId), Listed>;

    fn name(number: u32) -> RecordId {
        RecordId::new(&format!("record-{number}")).unwrap()
    }

    fn listed(version: u64) -> Listed {
        Listed { version, fingerprint: [u8::try_from(version % 251).unwrap(); 16] }
    }

    /// A manifest that was stored, and what it should list.
    struct Stored {
        vault: Vault,
        store: MemoryStore,
        root: Root,
        model: Model,
    }

    impl Stored {
        fn new() -> Self {
            let vault = Vault::new("0123456789abcdef", &OsEntropy).unwrap();
            let (root, changes) =
                Manifest::new(&vault, &OsEntropy).unwrap().finish(&OsEntropy).unwrap();
            let store = MemoryStore::new(0);
            store.write(&mut |_| Ok(changes.clone())).unwrap();
            Self { vault, store, root, model: Model::new() }
        }

        /// One commit; how many pages it wrote.
        fn commit(&mut self, changes: &[(u8, u32, Option<u64>)]) -> usize {
            let mut manifest = Manifest::open(&self.vault, &self.store, self.root);
            for &(kind, number, version) in changes {
                let key = (Kind(kind), name(number));
                manifest.list(key.0, &key.1, version.map(listed)).unwrap();
                match version {
                    Some(version) => self.model.insert(key, listed(version)),
                    None => self.model.remove(&key),
                };
            }
            let (root, changes) = manifest.finish(&OsEntropy).unwrap();
            self.root = root;
            let pages = changes.len();
            let mut changes = Some(changes);
            self.store.write(&mut |_| Ok(changes.take().unwrap())).unwrap();
            pages
        }

        fn assert_lists_the_model(&self) {
            let mut found = Model::new();
            let manifest = Manifest::open(&self.vault, &self.store, self.root);
            manifest
                .walk(
                    &mut |kind, id, listed| {
                        let key = (kind, RecordId::new(id).unwrap());
                        assert_eq!(found.insert(key, listed), None, "listed twice");
                    },
                    &mut |page| panic!("{page} is missed"),
                )
                .unwrap();
            assert_eq!(found, self.model);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_lists_what_was_listed_and_was_not_struck_out(
            commits in prop::collection::vec(
                prop::collection::vec((3..5_u8, 0..120_u32, prop::option::weighted(0.8, 1..9_u64)), 1..40),
                1..20,
            ),
        ) {
            let mut stored = Stored::new();
            for changes in &commits {
                stored.commit(changes);
            }
            stored.assert_lists_the_model();
            for (number, kind) in (0..120).zip([3, 4].into_iter().cycle()) {
                let key = (Kind(kind), name(number));
                let mut manifest = Manifest::open(&stored.vault, &stored.store, stored.root);
                prop_assert_eq!(manifest.find(key.0, &key.1).unwrap(), stored.model.get(&key).copied());
            }
        }
    }

    #[test]
    fn a_commit_writes_one_page_more_for_sixty_four_times_the_records() {
        let mut stored = Stored::new();
        let most = |stored: &mut Stored| {
            (0..20).map(|number| stored.commit(&[(3, number, Some(7))])).max().unwrap()
        };
        stored.commit(&(0..40).map(|number| (3, number, Some(1))).collect::<Vec<_>>());
        assert_eq!(most(&mut stored), 1);
        stored.commit(&(0..1500).map(|number| (3, number, Some(1))).collect::<Vec<_>>());
        assert_eq!(most(&mut stored), 2);
        stored.commit(&(0..8000).map(|number| (3, number, Some(1))).collect::<Vec<_>>());
        assert_eq!(most(&mut stored), 3);
        stored.assert_lists_the_model();
        // No page is larger than what 48 records of the longest names need.
        let mut longest = 0;
        store::for_each(&stored.store, MANIFEST, &[], |page| {
            longest = longest.max(page.body.len());
            Ok(())
        })
        .unwrap();
        assert!(longest < 5000, "{longest}");
    }

    #[test]
    fn a_page_of_another_version_or_another_place_is_missed() {
        let mut stored = Stored::new();
        stored.commit(&(0..60).map(|number| (3, number, Some(1))).collect::<Vec<_>>());
        let root = page_id(stored.root.build, &[]).unwrap();
        let old = Root { version: stored.root.version - 1, ..stored.root };
        let error = Manifest::open(&stored.vault, &stored.store, old).find(Kind(3), &name(1));
        assert_eq!(error, Err(Error::RecordDamaged(root.as_str().to_owned())));
        let leaf = page_id(stored.root.build, &way(&stored.vault, Kind(3), &name(1)).unwrap()[..1])
            .unwrap();
        let record = stored.store.get(MANIFEST, &leaf).unwrap().unwrap();
        let (kind, id, expected) = (MANIFEST, leaf.clone(), record.version);
        let put = Change::Put { kind, id, expected, body: record.body, tags: Vec::new() };
        stored.store.write(&mut |_| Ok(vec![put.clone()])).unwrap();
        let mut manifest = Manifest::open(&stored.vault, &stored.store, stored.root);
        let damaged = Err(Error::RecordDamaged(leaf.as_str().to_owned()));
        assert_eq!(manifest.find(Kind(3), &name(1)), damaged);
        assert_eq!(manifest.list(Kind(3), &name(1), None).map(|()| None), damaged);
        assert_eq!(manifest.finish(&OsEntropy).unwrap().1, [], "nothing has changed");
    }
}
