//! Reading a backup: nothing that it states is believed before it is proved.

use super::format::{self, CHUNK_LEN, Frame, MAC_LEN, Method};
use super::{Description, Opener};
use crate::error::{Error, Result};
use crate::log::Escaped;
use crate::mechanism::{IMPORTED_KEY_MAX, IMPORTED_KEY_MIN, digest};
use crate::object::{Object, codec, foreign};
use crate::secret::SecretBytes;
use crate::store::RecordId;
use crate::types::{AttributeType, ObjectClass};
use crate::vault::{FileKey, PublicKey, StreamCipher};
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a backup wants to be opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpensWith {
    /// Its passphrase.
    Passphrase,
    /// The private half of this transport key.
    TransportKey(PublicKey),
}

/// A backup of which the header has been read, and nothing more.
pub struct Locked<'a> {
    input: Source<'a>,
    version: u8,
    method: Method,
    mac: [u8; MAC_LEN],
}

impl<'a> Locked<'a> {
    /// Reads the header. `name` is what errors call `input`.
    ///
    /// # Errors
    /// [`Error::BackupRefused`]; why it could not be read.
    pub fn read(input: Box<dyn Read + 'a>, name: &Path) -> Result<Self> {
        let mut input = Source { input, name: name.to_owned() };
        let header = Method::read(&mut *input.input).map_err(|error| input.failed(&error))?;
        let format::Header { version, method, mac } = header.map_err(|why| input.refused(why))?;
        Ok(Self { input, version, method, mac })
    }

    /// What opens it.
    #[must_use]
    pub const fn opens_with(&self) -> OpensWith {
        match &self.method {
            Method::Passphrase { .. } => OpensWith::Passphrase,
            Method::Recipient { recipient, .. } => OpensWith::TransportKey(*recipient),
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::BackupRefused`]; [`Error::HostMemory`] when the derivation cannot
    /// have its memory; why it could not be read.
    pub fn open(self, opener: &Opener<'_>) -> Result<Backup<'a>> {
        let Self { input, version, method, mac } = self;
        let (key, why) = match (&method, opener) {
            (Method::Passphrase { parameters, salt }, Opener::Passphrase(passphrase)) => {
                let key = FileKey::of_passphrase(passphrase, salt, *parameters)?;
                (Some(key), "wrong passphrase, or the beginning of the file was changed")
            }
            (Method::Recipient { recipient, sealed }, Opener::Recipient(private)) => {
                let context = format::recipient_context(version, recipient);
                let key = FileKey::of_recipient(private, &context, sealed);
                (key, "the transport key does not open it: the beginning of the file was changed")
            }
            (Method::Passphrase { .. }, _) => (None, "it is sealed to a passphrase"),
            (Method::Recipient { .. }, _) => (None, "it is sealed to a token's transport key"),
        };
        let header = method.header(version);
        let Some(key) = key else { return Err(input.refused(why)) };
        if !key.is_header_mac(&header, &mac)? {
            return Err(input.refused(why));
        }
        let mut plain = Plain::new(input, key.cipher(&header)?)?;
        let (frame, content) = plain.frame()?;
        let description = Description::decode(content.expose());
        let description = description.filter(|_| frame == Frame::Description);
        let description = description.ok_or_else(|| plain.nonsense())?;
        Ok(Backup { plain, description, seen: HashSet::new(), is_over: false })
    }
}

/// An object of a backup.
#[derive(Debug)]
pub struct Item {
    /// The object.
    pub object: Object,
    /// Whether it was sealed, or sealed against change, in its token.
    pub bound: bool,
}

/// A backup that has been opened.
pub struct Backup<'a> {
    plain: Plain<'a>,
    description: Description,
    /// The unique ids so far.
    seen: HashSet<String>,
    is_over: bool,
}

impl Backup<'_> {
    /// What it says about itself.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// The next object; `None` when there is none and the backup is proved whole:
    /// nothing is to be done with its objects before.
    ///
    /// # Errors
    /// [`Error::BackupRefused`]; why it could not be read.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        if self.is_over {
            return Ok(None);
        }
        let (frame, content) = self.plain.frame()?;
        let bound = match frame {
            Frame::Bound => true,
            Frame::Unbound => false,
            Frame::End => {
                let count = (self.seen.len() as u64).to_be_bytes();
                self.is_over = content.expose() == count && self.plain.is_at_end();
                return if self.is_over { Ok(None) } else { Err(self.plain.nonsense()) };
            }
            Frame::Description => return Err(self.plain.nonsense()),
        };
        let object = codec::decode(content.expose()).ok_or_else(|| {
            self.plain.refused("this version does not know one of the objects in it")
        })?;
        let refused = |why: &str| {
            let id = Escaped(object.unique_id()).to_string();
            Err(self.plain.refused(format!("the object {id} in it is none of a token: {why}")))
        };
        if let Err(why) = check(&object, bound) {
            return refused(&why);
        }
        if !self.seen.insert(object.unique_id().to_owned()) {
            return refused("its unique id stands there twice");
        }
        Ok(Some(Item { object, bound }))
    }
}

/// Whether a token could have made this object.
fn check(object: &Object, bound: bool) -> Result<(), String> {
    foreign::check(object, IMPORTED_KEY_MIN..=IMPORTED_KEY_MAX)?;
    if RecordId::new(object.unique_id()).is_none() {
        return Err("its unique id cannot be one".into());
    }
    let is_key = object.class() == ObjectClass::SecretKey;
    if !bound && (is_key || object.is_private()) {
        return Err("it would have been sealed".into());
    }
    let stated = object.bytes(AttributeType::CheckValue);
    if is_key && !stated.is_empty() && stated != digest::check_value(object.value()) {
        return Err("CKA_CHECK_VALUE is that of another key".into());
    }
    Ok(())
}

/// The file, and what errors call it.
struct Source<'a> {
    input: Box<dyn Read + 'a>,
    name: PathBuf,
}

impl Source<'_> {
    fn failed(&self, error: &io::Error) -> Error {
        Error::io(&self.name, "read", error)
    }

    fn refused(&self, reason: impl Into<String>) -> Error {
        Error::BackupRefused { path: self.name.clone(), reason: reason.into() }
    }
}

const SEALED_LEN: usize = CHUNK_LEN + StreamCipher::OVERHEAD;

/// The plain text, chunk by chunk.
struct Plain<'a> {
    input: Source<'a>,
    cipher: StreamCipher,
    /// A sealed chunk, opened in place, and the byte behind it.
    chunk: Zeroizing<Vec<u8>>,
    /// What of `chunk` is plain text that nobody has taken yet.
    rest: Range<usize>,
    /// The byte behind the chunk, which begins the next; `None`: it was the last.
    ahead: Option<u8>,
    /// The number of the chunk, from 1, for people.
    number: u64,
}

impl<'a> Plain<'a> {
    fn new(mut input: Source<'a>, cipher: StreamCipher) -> Result<Self> {
        let mut first = [0];
        let length = format::read_up_to(&mut *input.input, &mut first);
        let length = length.map_err(|error| input.failed(&error))?;
        if length == 0 {
            return Err(input.refused("it was cut off: nothing follows its header"));
        }
        let chunk = Zeroizing::new(vec![0; SEALED_LEN + 1]);
        Ok(Self { input, cipher, chunk, rest: 0..0, ahead: Some(first[0]), number: 0 })
    }

    fn refused(&self, reason: impl Into<String>) -> Error {
        self.input.refused(reason)
    }

    /// Whoever had the key sealed what is no backup.
    fn nonsense(&self) -> Error {
        self.refused("what is sealed in it is not a backup")
    }

    /// Whether the last chunk has been read to its end.
    const fn is_at_end(&self) -> bool {
        self.rest.start == self.rest.end && self.ahead.is_none()
    }

    fn frame(&mut self) -> Result<(Frame, SecretBytes)> {
        let mut head = [0; Frame::HEAD_LEN];
        self.take(&mut head)?;
        let (frame, length) = Frame::of_head(head).ok_or_else(|| self.nonsense())?;
        let content = SecretBytes::filled(length, |out| self.take(out))?;
        Ok((frame, content))
    }

    fn take(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            if self.rest.is_empty() {
                self.next_chunk()?;
            }
            let now = out.len().min(self.rest.len());
            let (filled, later) = out.split_at_mut(now);
            filled.copy_from_slice(&self.chunk[self.rest.start..self.rest.start + now]);
            self.rest.start += now;
            out = later;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<()> {
        let first = self.ahead.ok_or_else(|| self.nonsense())?;
        self.chunk[0] = first;
        let read = format::read_up_to(&mut *self.input.input, &mut self.chunk[1..]);
        let length = 1 + read.map_err(|error| self.input.failed(&error))?;
        let is_last = length <= SEALED_LEN;
        self.ahead = (!is_last).then_some(self.chunk[SEALED_LEN]);
        self.number += 1;
        let sealed = &mut self.chunk[..length.min(SEALED_LEN)];
        let opened = sealed.split_last_chunk_mut().is_some_and(|(chunk, tag)| {
            !chunk.is_empty() && self.cipher.open(chunk, *tag, is_last)
        });
        if !opened {
            let cut = if is_last { ", or the file was cut off there" } else { "" };
            let number = self.number;
            return Err(self.refused(format!("it is damaged: part {number} was changed{cut}")));
        }
        self.rest = 0..length.min(SEALED_LEN) - StreamCipher::OVERHEAD;
        Ok(())
    }
}
