//! SoftHSM2's tokens, of both of its back-ends (formats as of versions 2.0 to 2.7).
//!
//! # What is on the disk
//!
//! The token directory holds one directory for each token:
//!
//! | Back-end | Files |
//! |---|---|
//! | `file` | `token.object`, one `<uuid>.object` for each object, `generation` (8 bytes, raised when an object is made or destroyed), `*.lock` |
//! | `db` | `sqlite3.db`: the table `object` (the first row is the token itself) and a table of attributes for each type of value |
//!
//! Either holds objects as maps from `CK_ATTRIBUTE_TYPE` to a flag, a number, bytes, a
//! set of mechanisms, or a template. Those of the token itself are SoftHSM2's own
//! (`0x80005349` and what follows it): label, serial, flags, and the token's key
//! encrypted under each PIN (`pin.rs` says how). The byte strings of an object with
//! `CKA_PRIVATE` are encrypted under the token's key one by one, dates excepted; the
//! rest, and public objects with their values, stand in the clear. Nothing is
//! authenticated: the only witness of a value is its `CKA_CHECK_VALUE`.

mod convert;
mod database;
mod file;
mod pin;
#[cfg(test)]
mod tests;

pub use convert::{Found, Left, Name, Taken};
pub use pin::TokenKey;

use crate::error::{Error, Result};
use crate::object::request::Contribution;
use crate::secret::{Pin, SecretBytes};
use crate::types::Ulong;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// SoftHSM2's own attributes of the token itself (its file `OSAttributes.h`).
const TOKEN_LABEL: Ulong = 0x8000_5349;
const TOKEN_SERIAL: Ulong = 0x8000_534a;
const USER_PIN: Ulong = 0x8000_534d;

/// The most that is read of one token, in bytes; each object counts for
/// [`OBJECT_COST`] more.
const TOKEN_MAX: usize = 256 << 20;
/// What an object costs besides its bytes.
const OBJECT_COST: usize = 1024;
/// The longest object that is read, in bytes: a data object of the greatest length
/// that a token holds, and room for the rest of it.
const OBJECT_MAX: usize = 2 << 20;

/// The value of an attribute as it is stored. Bytes may be a key's.
enum Value {
    Flag(bool),
    Number(u64),
    Bytes(Zeroizing<Vec<u8>>),
    Mechanisms(Vec<u64>),
    /// An array of attributes, of which nothing is kept but whether there is any.
    Template {
        is_empty: bool,
    },
}

/// An object as it is stored.
type Stored = BTreeMap<Ulong, Value>;

/// An object's place in the source, and the object or what is wrong with it.
struct Entry {
    place: String,
    stored: Result<Stored, String>,
}

/// Every object of a token, or what keeps all from being read.
type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// What is known of a token before anybody gives a PIN.
pub struct SourceToken {
    path: PathBuf,
    backend: Backend,
    label: Vec<u8>,
    serial: String,
    user_pin: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backend {
    File,
    Database,
}

/// The tokens in `directory`, which is SoftHSM2's token directory or the directory
/// of one token, in the order of their names; or what is wrong with one of them.
///
/// # Errors
/// The directory could not be read.
pub fn tokens(directory: &Path) -> Result<Vec<Result<SourceToken>>> {
    if let Some(token) = SourceToken::at(directory).transpose() {
        return Ok(vec![token]);
    }
    let io = |error| Error::io(directory, "list", &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        names.push(entry.map_err(io)?.file_name());
    }
    names.sort_unstable();
    let paths = names.into_iter().map(|name| directory.join(name));
    Ok(paths.filter(|path| path.is_dir()).filter_map(|path| token_in(&path).transpose()).collect())
}

/// The token in an entry of the token directory, which may lead elsewhere.
fn token_in(path: &Path) -> Result<Option<SourceToken>> {
    if path.is_symlink() {
        let reason = "it is a symbolic link; name the directory that it leads to".into();
        return Err(Error::StoreIo { path: path.into(), reason });
    }
    SourceToken::at(path)
}

impl SourceToken {
    /// The token of this directory; `None` when there is none.
    fn at(path: &Path) -> Result<Option<Self>> {
        let has = |name: &str| match path.join(name).symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::io(path, "look for a token", &error)),
        };
        let backend = match (has(file::TOKEN)?, has(database::FILE)?) {
            (false, false) => return Ok(None),
            (true, false) => Backend::File,
            (false, true) => Backend::Database,
            (true, true) => {
                let (one, other) = (file::TOKEN, database::FILE);
                let reason = format!("it holds {one} and {other}; move aside the one not used");
                return Err(Error::StoreIo { path: path.into(), reason });
            }
        };
        let mut token = match backend {
            Backend::File => file::token(path)?,
            Backend::Database => database::token(path)?,
        };
        let mut bytes = |attribute| match token.remove(&attribute) {
            Some(Value::Bytes(bytes)) => Some(bytes.to_vec()),
            _ => None,
        };
        let mut label = bytes(TOKEN_LABEL).ok_or_else(|| Error::StoreDamaged {
            path: path.into(),
            reason: "the token has no label".into(),
        })?;
        label.truncate(label.trim_ascii_end().len());
        let serial = bytes(TOKEN_SERIAL).unwrap_or_default();
        let serial = String::from_utf8_lossy(&serial).trim_end().to_owned();
        // After C_InitToken by an earlier version the PIN may be there and empty.
        let user_pin = bytes(USER_PIN).filter(|sealed| !sealed.is_empty());
        Ok(Some(Self { path: path.into(), backend, label, serial, user_pin }))
    }

    /// The label, unpadded; `None` when it is not UTF-8.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        std::str::from_utf8(&self.label).ok()
    }

    /// The serial that SoftHSM2 gave it.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the user's PIN has been set; without it there are no private objects.
    #[must_use]
    pub const fn has_user_pin(&self) -> bool {
        self.user_pin.is_some()
    }

    /// The token's key, by the user's PIN.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], also when what the PIN should open was edited;
    /// [`Error::UserPinNotInitialized`].
    pub fn unlock(&self, pin: &Pin) -> Result<TokenKey> {
        let sealed = self.user_pin.as_deref().ok_or(Error::UserPinNotInitialized)?;
        TokenKey::open(sealed, pin).ok_or(Error::PinIncorrect)
    }

    /// Every object of the token, each read when its turn comes. `key`: what opens
    /// private ones. `contribute`: what the new token adds to one with this value.
    ///
    /// # Errors
    /// The token could not be read, or is longer than any that is taken; the same
    /// in place of an object ends the token: others are changing it.
    pub fn objects<'a>(
        &'a self,
        key: Option<&'a TokenKey>,
        contribute: &'a dyn Fn(&SecretBytes) -> Result<Contribution>,
    ) -> Result<impl Iterator<Item = Result<Found>> + 'a> {
        let entries = match self.backend {
            Backend::File => file::objects(&self.path)?,
            Backend::Database => database::objects(&self.path)?,
        };
        Ok(entries.map(move |entry| convert::found(entry?, key, contribute)))
    }
}

/// Prints neither the label nor what the PIN opens.
impl std::fmt::Debug for SourceToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceToken({})", self.path.display())
    }
}

/// Counts what is read of a token against [`TOKEN_MAX`].
struct Budget<'p> {
    path: &'p Path,
    left: usize,
}

impl<'p> Budget<'p> {
    const fn of(path: &'p Path) -> Self {
        Self { path, left: TOKEN_MAX }
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Error::StoreIo {
            path: self.path.into(),
            reason: format!("it holds more than {} MiB, more than is taken over", TOKEN_MAX >> 20),
        })?;
        Ok(())
    }
}
