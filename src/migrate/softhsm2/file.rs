//! The back-end `file`: one file for each object.
//!
//! Numbers have eight bytes, the first the highest, whatever the machine; a flag has
//! one byte. After the object's generation come its attributes:
//!
//! | Type | Kind | Value |
//! |---|---|---|
//! | number | 1 flag | the flag |
//! | | 2 number | the number |
//! | | 3 bytes | their count, the bytes |
//! | | 4 template | its length in bytes, attributes of this same layout |
//! | | 5 mechanisms | their count, the numbers |

use super::{Budget, Entries, Entry, OBJECT_COST, OBJECT_MAX, Stored, Value};
use crate::error::{Error, Result};
use crate::types::Ulong;
use nix::libc;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The file of the token itself.
pub(super) const TOKEN: &str = "token.object";
/// The file that is changed when an object is made or destroyed.
const GENERATION: &str = "generation";

/// The token's own attributes.
pub(super) fn token(directory: &Path) -> Result<Stored> {
    let path = directory.join(TOKEN);
    let bytes = read(&path)
        .map_err(|reason| Error::StoreIo { path: path.clone(), reason: format!("it {reason}") })?;
    parse(&bytes).ok_or_else(|| Error::StoreDamaged { path, reason: format!("it {CUT}") })
}

/// The objects, in the order of their names.
pub(super) fn objects(directory: &Path) -> Result<Entries<'_>> {
    let generation = read(&directory.join(GENERATION)).ok();
    let mut budget = Budget::of(directory);
    let io = |error| Error::io(directory, "list", &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != TOKEN && Path::new(&name).extension().is_some_and(|end| end == "object") {
            budget.spend(OBJECT_COST)?;
            names.push(name);
        }
    }
    names.sort_unstable();
    let entries = names.into_iter().map(move |name| {
        let bytes = read(&directory.join(&name));
        budget.spend(bytes.as_ref().map_or(0, |bytes| bytes.len()))?;
        let stored = bytes.and_then(|bytes| parse(&bytes).ok_or_else(|| CUT.into()));
        Ok(Entry { place: name.to_string_lossy().into_owned(), stored })
    });
    let still = std::iter::once_with(move || {
        if read(&directory.join(GENERATION)).ok() == generation {
            return None;
        }
        let reason = "objects were made or destroyed meanwhile; try again".into();
        Some(Err(Error::StoreIo { path: directory.into(), reason }))
    });
    Ok(Box::new(entries.chain(still.flatten())))
}

/// What a file is called that ends too early, or says what cannot be.
const CUT: &str = "is cut short or was edited";

/// A whole file, or what is wrong with it. Never follows a link, nor waits for a pipe.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: std::io::Error| match error.raw_os_error() {
        Some(libc::ELOOP) => "is a symbolic link".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let mut file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err("is not a regular file".into());
    }
    let length = usize::try_from(found.len()).unwrap_or(usize::MAX);
    if length > OBJECT_MAX {
        return Err(format!("has {length} bytes, more than any object that could be taken"));
    }
    // One more, so that the end is seen without a larger buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.by_ref().take(length as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() != length {
        return Err("was written to meanwhile".into());
    }
    Ok(bytes)
}

/// The attributes in a file; `None` when it is not one of an object.
fn parse(bytes: &[u8]) -> Option<Stored> {
    let mut reader = Reader(bytes);
    reader.number()?;
    let mut stored = Stored::new();
    while !reader.0.is_empty() {
        let attribute = Ulong::try_from(reader.number()?).ok()?;
        let value = match reader.number()? {
            1 => Value::Flag(reader.take(1)? != [0]),
            2 => Value::Number(reader.number()?),
            3 => Value::Bytes(reader.counted(1)?.to_vec().into()),
            4 => Value::Template { is_empty: reader.counted(1)?.is_empty() },
            5 => {
                let numbers = reader.counted(8)?.as_chunks().0;
                Value::Mechanisms(
                    numbers.iter().map(|number| u64::from_be_bytes(*number)).collect(),
                )
            }
            _ => return None,
        };
        if stored.insert(attribute, value).is_some() {
            return None;
        }
    }
    Some(stored)
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// A count, and so many items of `size` bytes.
    fn counted(&mut self, size: usize) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count.checked_mul(size)?)
    }
}
