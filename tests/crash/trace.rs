//! What a process did to its files, call by call.

use std::fs;
use std::path::{Path, PathBuf};

/// One call that succeeded, or a mark.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its number among those that are counted; 0: before or after these.
    pub ordinal: u64,
    pub inode: u64,
    pub deed: What,
}

/// What was done. Paths are relative to the place.
#[derive(Debug, Clone)]
pub enum What {
    /// A file or a directory was made.
    Make(PathBuf),
    Directory(PathBuf),
    Write {
        at: usize,
        data: Vec<u8>,
        path: PathBuf,
    },
    Truncate {
        to: usize,
    },
    Sync,
    Rename(PathBuf, PathBuf),
    /// The new name.
    Link(PathBuf),
    Remove(PathBuf),
    /// A word of the actor.
    Mark(String),
}

/// Reads what the shim wrote.
pub fn read(path: &Path, place: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a whole line");
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let mut words = line.splitn(6, ' ');
        let mut word = || words.next().expect("six words");
        let what = word();
        let mut number = || word().parse::<u64>().unwrap();
        let (ordinal, inode, at, length) = (number(), number(), number(), number());
        let (at, length) = (at as usize, length as usize);
        let name = word();
        let relative = |name: &str| Path::new(name).strip_prefix(place).unwrap().to_path_buf();
        let pair = || {
            let (old, new) = name.split_once('\t').unwrap();
            (relative(old), relative(new))
        };
        let deed = match what {
            "mark" => What::Mark(name.into()),
            "make" => What::Make(relative(name)),
            "mkdir" => What::Directory(relative(name)),
            "write" => {
                let (data, behind) = rest.split_at(length);
                rest = behind;
                What::Write { at, data: data.to_vec(), path: relative(name) }
            }
            "truncate" => What::Truncate { to: at },
            "sync" => What::Sync,
            "rename" => What::Rename(pair().0, pair().1),
            "link" => What::Link(pair().1),
            "remove" => What::Remove(relative(name)),
            other => panic!("{other} in the trace"),
        };
        events.push(Event { ordinal, inode, deed });
    }
    events
}
