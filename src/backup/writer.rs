//! Making a backup: object by object, in constant memory.

use super::format::{self, CHUNK_LEN, Frame, Method, VERSION};
use super::{Choice, Description, Progress, Seal};
use crate::entropy::{self, Entropy};
use crate::error::{Error, Result};
use crate::log::Escaped;
use crate::object::{Object, codec};
use crate::policy::Principal;
use crate::token::{Surroundings, Token};
use crate::types::{AttributeType, ObjectClass};
use crate::vault::{FileKey, StreamCipher};
use std::fmt;
use std::io::Write;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Writes all objects of a token, or the secret keys that are chosen, as they are at
/// one moment, while others go on writing; how many. The path is what errors call the
/// output. What was written is of no use unless this succeeds.
///
/// # Errors
/// [`Error::UserNotLoggedIn`] unless the owner asks; [`Error::RecordDamaged`] for an
/// object that cannot be opened and is, or may be, among the chosen; [`Error::FunctionFailed`] when no key bears a
/// chosen name; why the output could not be written.
pub fn create(
    token: &Token,
    principal: Principal,
    choices: &[Choice],
    seal: &Seal<'_>,
    surroundings: &Surroundings,
    (output, name): (&mut dyn Write, &Path),
    progress: Progress<'_>,
) -> Result<u64> {
    let (key, method) = file_key(seal, &*surroundings.entropy)?;
    let header = method.header(VERSION);
    let mut writer = Writer {
        cipher: key.cipher(&header)?,
        chunk: Zeroizing::new(Vec::with_capacity(CHUNK_LEN + StreamCipher::OVERHEAD)),
        output,
        name,
    };
    writer.write(&[&header[..], &key.header_mac(&header)?].concat())?;
    let info = token.info()?;
    let description = Description {
        label: info.label,
        serial: info.serial,
        created: surroundings.clock.now(),
        is_whole: choices.is_empty(),
    };
    writer.frame(Frame::Description, &description.encode().ok_or_else(too_long)?)?;
    let mut count: u64 = 0;
    let mut found = vec![false; choices.len()];
    let mut damaged = None;
    token.export(principal, &mut |live| {
        let live = match live {
            // It keeps nobody from the keys that were chosen, if it is none of them.
            Err(error) if !choices.is_empty() => {
                damaged = damaged.take().or(Some(error));
                return Ok(());
            }
            live => live?,
        };
        if !choices.is_empty() && !is_chosen(live.object(), choices, &mut found) {
            return Ok(());
        }
        let frame = if live.is_bound() { Frame::Bound } else { Frame::Unbound };
        writer.frame(frame, codec::encode(live.object(), true)?.expose())?;
        count += 1;
        progress(count);
        Ok(())
    })?;
    if let Some(missing) = found.iter().position(|found| !found) {
        let none = || Error::FunctionFailed(format!("no key {}", choices[missing]));
        return Err(damaged.unwrap_or_else(none));
    }
    writer.frame(Frame::End, &count.to_be_bytes())?;
    writer.finish()?;
    Ok(count)
}

fn file_key(seal: &Seal<'_>, entropy: &dyn Entropy) -> Result<(FileKey, Method)> {
    match *seal {
        Seal::Passphrase(passphrase, parameters) => {
            let salt = entropy::array(entropy)?;
            let key = FileKey::of_passphrase(passphrase, &salt, parameters)?;
            Ok((key, Method::Passphrase { parameters, salt }))
        }
        Seal::Recipient(recipient) => {
            let context = format::recipient_context(VERSION, recipient);
            let (key, sealed) = FileKey::for_recipient(recipient, &context, entropy)?;
            Ok((key, Method::Recipient { recipient: *recipient, sealed: Box::new(sealed) }))
        }
    }
}

/// Whether an object is a key that is chosen; notes by which choices.
fn is_chosen(object: &Object, choices: &[Choice], found: &mut [bool]) -> bool {
    let mut is_chosen = false;
    for (choice, found) in choices.iter().zip(found) {
        let fits = object.class() == ObjectClass::SecretKey
            && object.bytes(choice.attribute) == choice.value;
        *found |= fits;
        is_chosen |= fits;
    }
    is_chosen
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.value);
        match self.attribute {
            AttributeType::Id => {
                f.write_str("has the id ")?;
                self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            AttributeType::Label => write!(f, "is labelled \"{}\"", Escaped(&text)),
            _ => write!(f, "has the unique id {}", Escaped(&text)),
        }
    }
}

fn too_long() -> Error {
    Error::FunctionFailed("an object is too long for a backup".into())
}

/// Cuts the frames into chunks and seals those.
struct Writer<'a> {
    cipher: StreamCipher,
    /// The plain text of the chunk to come: never grows, so no copy stays behind.
    chunk: Zeroizing<Vec<u8>>,
    output: &'a mut dyn Write,
    name: &'a Path,
}

impl Writer<'_> {
    fn frame(&mut self, frame: Frame, content: &[u8]) -> Result<()> {
        self.add(&frame.head(content.len()).ok_or_else(too_long)?)?;
        self.add(content)
    }

    fn add(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // Only when more follows: the last chunk is never empty.
            if self.chunk.len() == CHUNK_LEN {
                self.seal(false)?;
            }
            let room = bytes.len().min(CHUNK_LEN - self.chunk.len());
            let (now, later) = bytes.split_at(room);
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn seal(&mut self, is_last: bool) -> Result<()> {
        let tag = self.cipher.seal(&mut self.chunk, is_last)?;
        self.chunk.extend_from_slice(&tag);
        let written = self.output.write_all(&self.chunk);
        self.chunk.zeroize();
        written.map_err(|error| Error::io(self.name, "write", &error))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(|error| Error::io(self.name, "write", &error))
    }

    fn finish(mut self) -> Result<()> {
        self.seal(true)?;
        self.output.flush().map_err(|error| Error::io(self.name, "write", &error))
    }
}
