//! A disk that loses its power: what was synced is there, of the rest anything may be.
//!
//! A file keeps what it held at its last sync; each write after that is there, or not,
//! or is torn between sectors. A directory keeps the names that it had at its last
//! sync; of the later changes of names, which a file system writes in order, the first
//! few are there. That a file was synced does not make its name durable.
//!
//! What processes write through mapped memory is not seen here: SQLite's index of its
//! log, which is made anew, and the generation page, which starts anew with whatever
//! it says.

use crate::trace::{Event, What};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The size that a disk writes whole.
const SECTOR: usize = 512;

/// What of the writes since the last sync a power cut leaves.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    /// None of them.
    Synced,
    /// The first half of them, in the order in which they were made, the last of these torn.
    Prefix,
    /// Some of them, drawn from this number, some of these torn.
    Some(u64),
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Truncate(usize),
}

/// The number of a file or directory: of the disk itself, as the system draws its
/// numbers anew.
type Number = usize;

#[derive(Debug, Clone)]
enum NameChange {
    Add(String, Number),
    Remove(String),
    Rename(String, String, Number),
}

#[derive(Debug, Clone)]
enum Item {
    File {
        durable: Vec<u8>,
        pending: Vec<Change>,
    },
    Directory {
        durable: BTreeMap<String, Number>,
        now: BTreeMap<String, Number>,
        pending: Vec<NameChange>,
    },
}

/// Files, and directories, which have no content.
pub type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A disk, and what is on its way to it.
#[derive(Debug, Clone)]
pub struct Disk {
    items: Vec<Item>,
    /// The system's numbers for what is there now.
    inodes: HashMap<u64, Number>,
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, data } => {
            let end = at + data.len();
            content.resize(content.len().max(end), 0);
            content[*at..end].copy_from_slice(data);
        }
        Change::Truncate(to) => content.resize(*to, 0),
    }
}

fn rename(names: &mut BTreeMap<String, Number>, change: &NameChange) {
    match change {
        NameChange::Add(name, number) => {
            names.insert(name.clone(), *number);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(old, new, number) => {
            names.remove(old);
            names.insert(new.clone(), *number);
        }
    }
}

impl Disk {
    /// With what is in a directory, all of it synced. `place` is the root.
    pub fn of(place: &Path) -> Self {
        let mut disk = Self { items: Vec::new(), inodes: HashMap::new() };
        disk.take_in(place);
        disk
    }

    fn take_in(&mut self, path: &Path) -> Number {
        let found = fs::symlink_metadata(path).unwrap();
        let number = self.items.len();
        self.inodes.insert(found.ino(), number);
        if found.is_file() {
            self.items.push(Item::File { durable: fs::read(path).unwrap(), pending: Vec::new() });
            return number;
        }
        let nothing = BTreeMap::new();
        self.items.push(Item::Directory {
            durable: nothing.clone(),
            now: nothing,
            pending: Vec::new(),
        });
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            names.insert(name, self.take_in(&entry.path()));
        }
        self.items[number] =
            Item::Directory { durable: names.clone(), now: names, pending: Vec::new() };
        number
    }

    /// The directory that a path is in, and its name there.
    fn parent(&self, path: &Path) -> (Number, String) {
        let mut number = 0;
        for part in path.parent().expect("below the root").iter() {
            let Item::Directory { now, .. } = &self.items[number] else { panic!("{path:?}") };
            number = now[part.to_str().unwrap()];
        }
        (number, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn change_name(&mut self, directory: Number, change: NameChange) {
        let Item::Directory { now, pending, .. } = &mut self.items[directory] else {
            panic!("names are in directories")
        };
        rename(now, &change);
        pending.push(change);
    }

    fn add(&mut self, inode: u64, path: &Path, item: Item) {
        let (directory, name) = self.parent(path);
        let number = self.items.len();
        self.items.push(item);
        self.inodes.insert(inode, number);
        self.change_name(directory, NameChange::Add(name, number));
    }

    fn change(&mut self, inode: u64, change: Change) {
        let number = self.inodes[&inode];
        let Item::File { pending, .. } = &mut self.items[number] else { panic!("not a file") };
        pending.push(change);
    }

    /// Does what the process did.
    pub fn follow(&mut self, event: &Event) {
        match &event.deed {
            What::Make(path) => {
                let item = Item::File { durable: Vec::new(), pending: Vec::new() };
                self.add(event.inode, path, item);
            }
            What::Directory(path) => {
                let (durable, now) = (BTreeMap::new(), BTreeMap::new());
                self.add(event.inode, path, Item::Directory { durable, now, pending: Vec::new() });
            }
            What::Write { at, data, .. } => {
                self.change(event.inode, Change::Write { at: *at, data: data.clone() });
            }
            What::Truncate { to } => self.change(event.inode, Change::Truncate(*to)),
            What::Sync => match &mut self.items[self.inodes[&event.inode]] {
                Item::File { durable, pending } => {
                    pending.drain(..).for_each(|change| apply(durable, &change));
                }
                Item::Directory { durable, now, pending } => {
                    durable.clone_from(now);
                    pending.clear();
                }
            },
            What::Rename(old, new) => {
                let ((from, old), (to, new)) = (self.parent(old), self.parent(new));
                let number = self.inodes[&event.inode];
                if from == to {
                    self.change_name(from, NameChange::Rename(old, new, number));
                } else {
                    // Of two directories either may be synced without the other.
                    self.change_name(to, NameChange::Add(new, number));
                    self.change_name(from, NameChange::Remove(old));
                }
            }
            What::Link(new) => {
                let ((directory, name), number) = (self.parent(new), self.inodes[&event.inode]);
                self.change_name(directory, NameChange::Add(name, number));
            }
            What::Remove(path) => {
                let (directory, name) = self.parent(path);
                self.change_name(directory, NameChange::Remove(name));
            }
            What::Mark(_) => {}
        }
    }

    /// What is on the disk after a power cut, file by file; directories have no content.
    pub fn image(&self, left: Left) -> Image {
        let mut image = BTreeMap::new();
        let mut random = Random(match left {
            Left::Some(seed) => seed,
            _ => 0,
        });
        self.collect(0, Path::new(""), left, &mut random, &mut image);
        image
    }

    fn collect(
        &self,
        number: Number,
        path: &Path,
        left: Left,
        random: &mut Random,
        image: &mut Image,
    ) {
        match &self.items[number] {
            Item::File { durable, pending } => {
                let mut content = durable.clone();
                for change in left_of(pending, left, random) {
                    apply(&mut content, &change);
                }
                image.insert(path.to_owned(), Some(content));
            }
            Item::Directory { durable, pending, .. } => {
                let count = match left {
                    Left::Synced => 0,
                    Left::Prefix => pending.len().div_ceil(2),
                    Left::Some(_) => random.below(pending.len() + 1),
                };
                let mut names = durable.clone();
                pending[..count].iter().for_each(|change| rename(&mut names, change));
                image.insert(path.to_owned(), None);
                for (name, number) in names {
                    self.collect(number, &path.join(name), left, random, image);
                }
            }
        }
    }
}

/// What is left of the changes of one file.
fn left_of(pending: &[Change], left: Left, random: &mut Random) -> Vec<Change> {
    let torn = |change: &Change, sectors: usize| match change {
        Change::Write { at, data } => {
            let first = (SECTOR - at % SECTOR).min(data.len());
            let length = (first + sectors * SECTOR).min(data.len());
            Change::Write { at: *at, data: data[..length].to_vec() }
        }
        other => other.clone(),
    };
    match left {
        Left::Synced => Vec::new(),
        Left::Prefix => {
            let mut kept = pending[..pending.len().div_ceil(2)].to_vec();
            if let Some(last) = kept.last_mut() {
                *last = torn(last, 0);
            }
            kept
        }
        Left::Some(_) => {
            let mut kept = Vec::new();
            for change in pending {
                match random.below(4) {
                    0 => {}
                    1 => kept.push(torn(change, random.below(8))),
                    _ => kept.push(change.clone()),
                }
            }
            kept
        }
    }
}

/// Writes an image into an empty directory.
pub fn write(image: &Image, place: &Path) {
    for (path, content) in image {
        let path = place.join(path);
        match content {
            None => fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap(),
            Some(content) => {
                use std::io::Write;
                let mut file = fs::OpenOptions::new();
                file.write(true).create_new(true).mode(0o600);
                file.open(path).unwrap().write_all(content).unwrap();
            }
        }
    }
}

/// Numbers that look random and are the same each time (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
