//! Sealing what is longer than memory: chunks of one size, each under AES-256-GCM
//! with its number for a nonce, the last one marked (the STREAM construction of
//! Hoang, Reyhanitabar, Rogaway and Vizár, 2015). A chunk that is edited, left
//! out, repeated, moved or brought from another file does not open, and a stream
//! without its last chunk is noticed.

use super::pin::wrapping_key;
use super::{
    KEY_LEN, NONCE_LEN, PinParameters, PrivateKey, PublicKey, TAG_LEN, derive, keyed_hash,
};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::secret::{Pin, SecretBytes};
use aes_gcm::aead::{AeadInOut, Tag};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};

/// What all keys of one file derive from.
pub struct FileKey(SecretBytes);

impl FileKey {
    /// The length of a salt, in bytes.
    pub const SALT_LEN: usize = 16;
    /// The length of a key that is sealed to a recipient, in bytes.
    pub const SEALED_LEN: usize = PublicKey::LEN + NONCE_LEN + KEY_LEN + TAG_LEN;

    /// The key under a passphrase.
    ///
    /// # Errors
    /// [`Error::HostMemory`] when the derivation cannot have its memory;
    /// [`Error::FunctionFailed`] for parameters that Argon2id does not take.
    pub fn of_passphrase(
        passphrase: &Pin,
        salt: &[u8; Self::SALT_LEN],
        parameters: PinParameters,
    ) -> Result<Self> {
        wrapping_key(passphrase, salt, parameters).map(|key| Self(key.0))
    }

    /// A new key, and what only the holder of `recipient`'s private half makes of it:
    /// the key sealed for this `context`.
    ///
    /// # Errors
    /// [`Error::FunctionFailed`] for a public key that no token has made;
    /// [`Error::EntropyUnavailable`].
    pub fn for_recipient(
        recipient: &PublicKey,
        context: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<(Self, [u8; Self::SEALED_LEN])> {
        let key = SecretBytes::filled(KEY_LEN, |out| entropy.fill(out))?;
        let foreign = || Error::FunctionFailed("no token has made this transport key".into());
        let sealed = match recipient.seal(context, key.expose(), entropy) {
            Err(Error::FunctionFailed(_)) => return Err(foreign()),
            sealed => sealed?,
        };
        Ok((Self(key), sealed.try_into().map_err(|_| foreign())?))
    }

    /// The key that [`FileKey::for_recipient`] sealed; `None` when this private key
    /// does not open it.
    #[must_use]
    pub fn of_recipient(
        private: &PrivateKey,
        context: &[u8],
        sealed: &[u8; Self::SEALED_LEN],
    ) -> Option<Self> {
        private.open(context, sealed).filter(|key| key.len() == KEY_LEN).map(Self)
    }

    /// What proves that `header` is the one the file was made with, and that this
    /// is its key.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of every length.
    pub fn header_mac(&self, header: &[u8]) -> Result<[u8; 32]> {
        keyed_hash(&derive(&self.0, &[b"signet backup v1 header"])?, &[header])
    }

    /// Whether [`FileKey::header_mac`] is `mac`.
    ///
    /// # Errors
    /// As for [`FileKey::header_mac`].
    pub fn is_header_mac(&self, header: &[u8], mac: &[u8; 32]) -> Result<bool> {
        Ok(SecretBytes::copied(&self.header_mac(header)?).equals(mac))
    }

    /// What seals and opens the chunks behind `header`.
    ///
    /// # Errors
    /// None in practice: the key has the length of one.
    pub fn cipher(&self, header: &[u8]) -> Result<StreamCipher> {
        let key = derive(&self.0, &[b"signet backup v1 chunks\0", header])?;
        let cipher = Aes256Gcm::new_from_slice(key.expose())
            .map_err(|_| Error::FunctionFailed("deriving a key".into()))?;
        Ok(StreamCipher { cipher, next: 0 })
    }
}

/// Seals or opens the chunks of one stream, in their order.
pub struct StreamCipher {
    cipher: Aes256Gcm,
    /// The number of the next chunk.
    next: u64,
}

impl StreamCipher {
    /// How much longer a sealed chunk is, in bytes.
    pub const OVERHEAD: usize = TAG_LEN;

    /// Seals the next chunk in place; the tag to put behind it.
    ///
    /// # Errors
    /// [`Error::FunctionFailed`], never for a chunk of less than 64 GiB.
    pub fn seal(&mut self, chunk: &mut [u8], is_last: bool) -> Result<[u8; TAG_LEN]> {
        let nonce = self.nonce(is_last);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &[], chunk.into())
            .map_err(|_| Error::FunctionFailed("sealing a chunk".into()))?;
        self.next += 1;
        Ok(tag.into())
    }

    /// Opens the next chunk in place, its tag cut off; false when it is not the one
    /// that belongs here: then nothing is known of its content.
    pub fn open(&mut self, chunk: &mut [u8], tag: [u8; TAG_LEN], is_last: bool) -> bool {
        let nonce = self.nonce(is_last);
        let tag: Tag<Aes256Gcm> = tag.into();
        self.next += 1;
        self.cipher.decrypt_inout_detached(&nonce, &[], chunk.into(), &tag).is_ok()
    }

    /// The number of the chunk, 11 bytes, and whether it is the last. The key is
    /// this stream's alone, so no nonce is used twice under it.
    fn nonce(&self, is_last: bool) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(is_last);
        Nonce::from(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    const CHEAP: PinParameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };

    fn key() -> FileKey {
        FileKey::of_passphrase(&Pin::copied(b"passphrase"), &[7; FileKey::SALT_LEN], CHEAP).unwrap()
    }

    fn sealed(cipher: &mut StreamCipher, plain: &[u8], is_last: bool) -> (Vec<u8>, [u8; TAG_LEN]) {
        let mut chunk = plain.to_vec();
        let tag = cipher.seal(&mut chunk, is_last).unwrap();
        (chunk, tag)
    }

    #[test]
    fn chunks_open_in_their_order_and_place_only() {
        let key = key();
        let mut cipher = key.cipher(b"header").unwrap();
        let chunks = [
            sealed(&mut cipher, b"first", false),
            sealed(&mut cipher, b"second", false),
            sealed(&mut cipher, b"last", true),
        ];
        let opens = |header: &[u8], order: &[(usize, bool)]| {
            let mut cipher = key.cipher(header).unwrap();
            order.iter().all(|&(index, is_last)| {
                let (mut chunk, tag) = chunks[index].clone();
                cipher.open(&mut chunk, tag, is_last)
            })
        };
        assert!(opens(b"header", &[(0, false), (1, false), (2, true)]));
        for order in [
            &[(1, false)][..],
            &[(0, false), (0, false)],
            &[(0, false), (2, true)],
            &[(0, true)],
            &[(0, false), (1, true)],
            &[(0, false), (1, false), (2, false)],
        ] {
            assert!(!opens(b"header", order), "{order:?}");
        }
        assert!(!opens(b"another header", &[(0, false)]));
    }

    #[test]
    fn the_recipient_has_the_senders_key_and_nobody_else_has() {
        let recipient = PrivateKey::new(&OsEntropy).unwrap();
        let (sent, sealed) =
            FileKey::for_recipient(&recipient.public(), b"context", &OsEntropy).unwrap();
        let mac = sent.header_mac(b"header").unwrap();
        let opened = FileKey::of_recipient(&recipient, b"context", &sealed).unwrap();
        assert!(opened.is_header_mac(b"header", &mac).unwrap());
        assert!(!opened.is_header_mac(b"headeR", &mac).unwrap());
        assert!(FileKey::of_recipient(&recipient, b"another", &sealed).is_none());
        let other = PrivateKey::new(&OsEntropy).unwrap();
        assert!(FileKey::of_recipient(&other, b"context", &sealed).is_none());
        let known = PublicKey::from_bytes(&[0; 32]).unwrap();
        let refused = FileKey::for_recipient(&known, b"context", &OsEntropy).err().unwrap();
        assert_eq!(refused.to_string(), "no token has made this transport key");
    }

    #[test]
    fn a_passphrase_and_its_salt_make_the_key() {
        let mac = key().header_mac(b"header").unwrap();
        let other = |passphrase: &[u8], salt| {
            FileKey::of_passphrase(&Pin::copied(passphrase), &salt, CHEAP).unwrap()
        };
        assert!(other(b"passphrase", [7; 16]).is_header_mac(b"header", &mac).unwrap());
        assert!(!other(b"passphrasE", [7; 16]).is_header_mac(b"header", &mac).unwrap());
        assert!(!other(b"passphrase", [8; 16]).is_header_mac(b"header", &mac).unwrap());
    }
}
