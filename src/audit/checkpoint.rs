//! Checkpoints: how far every segment had come at a moment, signed with a key that is not
//! kept with the trail. In the form of C2SP's *signed note*:
//!
//! ```text
//! signet audit trail 0011223344556677
//! checkpoint 12
//! time 2026-11-24T01:56:53.123Z
//! kept from 20261101T000000000Z-0123456789abcdef
//! 20261124T015653123Z-0123456789abcdef 118 94210 <hash of record 118>
//!
//! — signet/0011223344556677 <base64: 4 bytes that name the key, 64 of signature>
//! ```
//!
//! One line for each segment: its name, how many records and bytes it had, the hash of the
//! last. `kept from`: retention has removed the segments whose names sort before this one;
//! `-` where it has removed none.

use super::line::{Head, LineHash, Millis, SegmentId};
use crate::clock::Timestamp;
use crate::entropy::{self, Entropy};
use crate::error::Result;
use crate::secret::SecretBytes;
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey as Ed25519, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The signature type of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// The key that signs a token's checkpoints. It is kept sealed in the token.
pub struct SigningKey(Ed25519);

/// Prints no part of it.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`](crate::error::Error::EntropyUnavailable).
    pub fn new(entropy: &dyn Entropy) -> Result<Self> {
        let seed = Zeroizing::new(entropy::array(entropy)?);
        Ok(Self(Ed25519::from_bytes(&seed)))
    }

    /// The key of these 32 bytes; `None` when they are not 32.
    #[must_use]
    pub fn from_secret(secret: &SecretBytes) -> Option<Self> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(secret.expose()).ok()?);
        Some(Self(Ed25519::from_bytes(&seed)))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What verifies its signatures, with the name of the token's trail.
    #[must_use]
    pub fn verifier(&self, serial: &str) -> Verifier {
        Verifier { name: name(serial), key: self.0.verifying_key() }
    }
}

/// What names begin with under which tokens sign.
const NAMED: &str = "signet/";

/// The name under which a token signs.
fn name(serial: &str) -> String {
    format!("{NAMED}{serial}")
}

/// What verifies the checkpoints of a token, in text as a signed note has it:
/// `signet/0011223344556677+a1b2c3d4+AXl…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// Of a token, by the 32 bytes of its public key; `None` when they are none.
    #[must_use]
    pub fn of_token(serial: &str, public: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(public.try_into().ok()?).ok()?;
        Some(Self { name: name(serial), key })
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The serial number of the token.
    pub(super) fn serial(&self) -> &str {
        self.name.strip_prefix(NAMED).unwrap_or(&self.name)
    }

    /// The four bytes that stand for the key in a signature.
    pub(super) fn id(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), &[b'\n', ED25519], self.key.as_bytes()].concat();
        let hash: [u8; 32] = Sha256::digest(named).into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let key = Base64::encode_string(&[&[ED25519][..], self.key.as_bytes()].concat());
        write!(f, "{}+{id:08x}+{key}", self.name)
    }
}

impl FromStr for Verifier {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NONE: &str = "not a verifier key of the form NAME+HASH+KEY";
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NONE);
        };
        let key = Base64::decode_vec(key).map_err(|_| NONE)?;
        let Some((&ED25519, key)) = key.split_first() else { return Err(NONE) };
        let key: &[u8; 32] = key.try_into().map_err(|_| NONE)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| NONE)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(NONE);
        }
        let verifier = Self { name: name.to_owned(), key };
        let hash = format!("{:08x}", u32::from_be_bytes(verifier.id()));
        if hash == id { Ok(verifier) } else { Err("its hash is not that of its name and key") }
    }
}

/// Which checkpoint: its number, and the four bytes that stand for the key. As text in the
/// first record of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub number: u64,
    pub key: [u8; 4],
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:08x}", self.number, u32::from_be_bytes(self.key))
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, key) = text.split_once(' ').ok_or(())?;
        let key = u32::from_str_radix(key, 16).map_err(|_| ())?;
        Ok(Self { number: number.parse().map_err(|_| ())?, key: key.to_be_bytes() })
    }
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which token: its serial number.
    pub serial: String,
    /// One more than that of the checkpoint before; from 1.
    pub number: u64,
    /// When.
    pub time: Millis,
    /// Retention has removed the segments before this one.
    pub kept_from: Option<SegmentId>,
    /// How far each segment had come.
    pub heads: BTreeMap<SegmentId, Head>,
}

const ORIGIN: &str = "signet audit trail ";
/// What a signature's line begins with.
const SIGNED_BY: &str = "\u{2014} ";

impl Checkpoint {
    /// Why a note is not to be believed that somebody else has signed.
    pub(super) const OTHER_KEY: &str = "it is not signed with this key";

    fn text(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        let kept_from = self.kept_from.as_ref().map_or("-", SegmentId::as_str);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{ORIGIN}{}\ncheckpoint {}\ntime {}\nkept from {kept_from}\n",
            self.serial,
            self.number,
            Timestamp(self.time.time())
        );
        for (segment, Head { records, bytes, hash }) in &self.heads {
            let _ = writeln!(text, "{segment} {records} {bytes} {hash}");
        }
        text
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let verifier = key.verifier(&self.serial);
        let signature = key.0.sign(text.as_bytes()).to_bytes();
        let signature = Base64::encode_string(&[&verifier.id()[..], &signature].concat());
        format!("{text}\n{SIGNED_BY}{} {signature}\n", verifier.name)
    }

    /// What a signed note says if `verifier`, perhaps among others, has signed it.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, &'static str> {
        let no_note = "it is no signed note";
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(no_note)?;
        let text = &note[..=text.len()];
        let mut is_signed = false;
        for line in signatures.strip_suffix('\n').ok_or(no_note)?.split('\n') {
            let line = line.strip_prefix(SIGNED_BY).ok_or(no_note)?;
            let (name, signature) = line.split_once(' ').ok_or(no_note)?;
            let signature = Base64::decode_vec(signature).map_err(|_| no_note)?;
            let (id, signature) = signature.split_first_chunk::<4>().ok_or(no_note)?;
            if name != verifier.name || *id != verifier.id() {
                continue;
            }
            let signature = Signature::from_slice(signature);
            let good = |signature| verifier.key.verify_strict(text.as_bytes(), &signature).is_ok();
            if !signature.is_ok_and(good) {
                return Err("its signature is wrong");
            }
            is_signed = true;
        }
        if !is_signed {
            return Err(Self::OTHER_KEY);
        }
        Self::parse(text).ok_or("it is signed, but of a form that this version does not know")
    }

    /// Which one a note is, as it says itself, whoever has signed it.
    pub(super) fn mark(note: &str) -> Option<Mark> {
        let number = note.lines().nth(1)?.strip_prefix("checkpoint ")?.parse().ok()?;
        let (_, signature) = note.strip_suffix('\n')?.rsplit_once(' ')?;
        let signature = Base64::decode_vec(signature).ok()?;
        Some(Mark { number, key: *signature.first_chunk()? })
    }

    /// Reads the text of a note, signed or not.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let serial = lines.next()?.strip_prefix(ORIGIN)?.to_owned();
        let number = lines.next()?.strip_prefix("checkpoint ")?.parse().ok()?;
        let time = lines.next()?.strip_prefix("time ")?.parse().ok()?;
        let kept_from = match lines.next()?.strip_prefix("kept from ")? {
            "-" => None,
            name => Some(SegmentId::parse(name)?),
        };
        let mut heads = BTreeMap::new();
        for line in lines {
            let mut words = line.split(' ');
            let segment = SegmentId::parse(words.next()?)?;
            let (records, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let hash: LineHash = words.next()?.parse().ok()?;
            if words.next().is_some() {
                return None;
            }
            heads.insert(segment, Head { records, bytes, hash });
        }
        let checkpoint = Self { serial, number, time, kept_from, heads };
        // One form for each content.
        (checkpoint.text() == text).then_some(checkpoint)
    }
}
