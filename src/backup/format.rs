//! The bytes of a backup: `docs/backup-format.md`.

use super::{Description, PARAMETERS_MAX, WORK_MAX_KIB};
use crate::clock::Timestamp;
use crate::log::Escaped;
use crate::vault::{FileKey, PinParameters, PublicKey};
use minicbor::{Decode, Encode};
use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, UNIX_EPOCH};

/// What every backup begins with. The line end and the end-of-file mark show up
/// programs that take it for text.
pub const MAGIC: [u8; 16] = *b"signet backup\r\n\x1a";
/// The version that is written. Its objects may have dates, tags and places among Regions,
/// which a program that knows the first alone would pass over.
pub const VERSION: u8 = 2;
/// The oldest version that is read.
const FIRST_VERSION: u8 = 1;
/// The plain text in every chunk but the last, in bytes; that has 1 to as many.
pub const CHUNK_LEN: usize = 65_536;
/// The MAC behind the header, in bytes.
pub const MAC_LEN: usize = 32;
/// The longest frame, in bytes: more than the longest object there can be.
pub const FRAME_MAX: usize = 4 << 20;

const BY_PASSPHRASE: u8 = 1;
const BY_RECIPIENT: u8 = 2;

/// What a frame of the plain text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The first: the [`Description`].
    Description,
    /// An object that is sealed, or sealed against change, in its token.
    Bound,
    /// An object that a public session made, which anybody can change.
    Unbound,
    /// The last: how many objects there are.
    End,
}

impl Frame {
    const ALL: [Self; 4] = [Self::Description, Self::Bound, Self::Unbound, Self::End];
    /// The length of what stands before a frame's content: its kind, its length.
    pub const HEAD_LEN: usize = 5;

    /// The head of a frame; `None` when its content is too long.
    pub fn head(self, length: usize) -> Option<[u8; Self::HEAD_LEN]> {
        let length = u32::try_from(length).ok().filter(|_| length <= FRAME_MAX)?;
        let kind = Self::ALL.iter().position(|frame| *frame == self)?;
        let mut head = [u8::try_from(kind).ok()?; Self::HEAD_LEN];
        head[1..].copy_from_slice(&length.to_be_bytes());
        Some(head)
    }

    /// The frame and its length; `None` when there is no such frame.
    pub fn of_head(head: [u8; Self::HEAD_LEN]) -> Option<(Self, usize)> {
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let frame = *Self::ALL.get(usize::from(kind))?;
        (length <= FRAME_MAX).then_some((frame, length))
    }
}

/// What a backup begins with.
pub struct Header {
    /// The version of the format.
    pub version: u8,
    /// How the file key is had.
    pub method: Method,
    /// What binds both.
    pub mac: [u8; MAC_LEN],
}

/// How the file key is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Under a passphrase.
    Passphrase {
        /// The cost.
        parameters: PinParameters,
        /// The salt.
        salt: [u8; FileKey::SALT_LEN],
    },
    /// To a transport key.
    Recipient {
        /// Whose.
        recipient: PublicKey,
        /// The file key.
        sealed: Box<[u8; FileKey::SEALED_LEN]>,
    },
}

impl Method {
    /// The header of a backup of this version, up to its MAC.
    pub fn header(&self, version: u8) -> Vec<u8> {
        match self {
            Self::Passphrase { parameters, salt } => {
                let PinParameters { memory_kib, iterations, lanes } = parameters;
                let numbers = [memory_kib, iterations, lanes].map(|number| number.to_be_bytes());
                [&beginning(version, BY_PASSPHRASE)[..], &numbers.concat(), salt].concat()
            }
            Self::Recipient { recipient, sealed } => {
                [&recipient_context(version, recipient)[..], &sealed[..]].concat()
            }
        }
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Why it could not be read; inside: what is wrong with it.
    pub fn read(input: &mut dyn Read) -> io::Result<Result<Header, String>> {
        let mut start = [0; MAGIC.len() + 2];
        let length = read_up_to(input, &mut start)?;
        let magic = &start[..length.min(MAGIC.len())];
        let cut = || "it was cut off: a backup is longer".to_owned();
        if length == 0 {
            return Ok(Err("it is empty".into()));
        }
        if magic != &MAGIC[..magic.len()] {
            return Ok(Err("it is not a backup of a token".into()));
        }
        let [.., version, method] = start;
        if length < start.len() {
            return Ok(Err(cut()));
        }
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            return Ok(Err(format!("this version does not read format {version} of backups")));
        }
        let mut content = [0; PublicKey::LEN + FileKey::SEALED_LEN + MAC_LEN];
        let content = match method {
            BY_PASSPHRASE => &mut content[..12 + FileKey::SALT_LEN + MAC_LEN],
            BY_RECIPIENT => &mut content[..],
            _ => return Ok(Err("it is sealed in a way that this version does not know".into())),
        };
        if read_up_to(input, content)? < content.len() {
            return Ok(Err(cut()));
        }
        let parsed = Self::parse(method, content).unwrap_or_else(|| Err(cut()));
        Ok(parsed.map(|(method, mac)| Header { version, method, mac }))
    }

    /// `None` when `content` has not the length that the method's has.
    fn parse(method: u8, content: &[u8]) -> Option<Result<(Self, [u8; MAC_LEN]), String>> {
        let (content, mac) = content.split_last_chunk::<MAC_LEN>()?;
        let method = if method == BY_PASSPHRASE {
            let (numbers, salt) = content.split_last_chunk()?;
            let [memory_kib, iterations, lanes] = *numbers.as_chunks::<4>().0 else { return None };
            let [memory_kib, iterations, lanes] =
                [memory_kib, iterations, lanes].map(u32::from_be_bytes);
            let parameters = PinParameters { memory_kib, iterations, lanes };
            if !parameters.is_within(PARAMETERS_MAX, WORK_MAX_KIB.into()) {
                return Some(Err(format!(
                    "it asks for {memory_kib} KiB, {iterations} passes and {lanes} lanes of \
                     Argon2id, as no backup does"
                )));
            }
            Self::Passphrase { parameters, salt: *salt }
        } else {
            let (recipient, sealed) = content.split_at_checked(PublicKey::LEN)?;
            let sealed = Box::new(sealed.try_into().ok()?);
            Self::Recipient { recipient: PublicKey::from_bytes(recipient)?, sealed }
        };
        Some(Ok((method, *mac)))
    }
}

fn beginning(version: u8, method: u8) -> Vec<u8> {
    [&MAGIC[..], &[version, method]].concat()
}

/// What the seal to a recipient binds: the header in front of it.
pub fn recipient_context(version: u8, recipient: &PublicKey) -> Vec<u8> {
    [&beginning(version, BY_RECIPIENT)[..], recipient.as_bytes()].concat()
}

/// Fills `buffer` as far as the input goes; the length.
pub fn read_up_to(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The content of [`Frame::Description`].
#[derive(Encode, Decode)]
#[cbor(array)]
struct WireDescription {
    #[n(0)]
    label: String,
    #[n(1)]
    serial: String,
    #[n(2)]
    created: u64,
    #[n(3)]
    is_whole: bool,
}

impl Description {
    /// The content of its frame.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let wire = WireDescription {
            label: self.label.clone(),
            serial: self.serial.clone(),
            created: self.created.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            is_whole: self.is_whole,
        };
        minicbor::to_vec(wire).ok()
    }

    /// Reads it back; `None` when the bytes are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let wire: WireDescription = minicbor::decode(bytes).ok()?;
        let created = UNIX_EPOCH.checked_add(Duration::from_secs(wire.created))?;
        let WireDescription { label, serial, is_whole, .. } = wire;
        Some(Self { label, serial, created, is_whole })
    }
}

/// For people: `"demo" (0123456789abcdef) as of 2026-01-31T12:34:56.000Z`.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, serial) = (Escaped(&self.label), Escaped(&self.serial));
        write!(f, "\"{label}\" ({serial}) as of {}", Timestamp(self.created))
    }
}
