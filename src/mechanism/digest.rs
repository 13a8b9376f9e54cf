//! Message digests: FIPS 180-4 and FIPS 202.

use super::Hash;
use super::hmac::Tag;
use crate::secret::SecretBytes;
use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

macro_rules! digests {
    ($($hash:ident,)+) => {
        /// A digest under way. Wiped when dropped.
        #[derive(Clone)]
        pub enum Digest {
            $(#[doc = concat!("Under way with `", stringify!($hash), "`.")] $hash($hash),)+
        }

        impl Digest {
            /// Starts a digest.
            #[must_use]
            pub fn new(hash: Hash) -> Self {
                match hash {
                    $(Hash::$hash => Self::$hash($hash::new()),)+
                }
            }

            /// Takes in more of the message.
            pub fn update(&mut self, data: &[u8]) {
                match self {
                    $(Self::$hash(state) => state.update(data),)+
                }
            }

            /// The digest of all that was taken in.
            #[must_use]
            pub fn finish(self) -> Tag {
                match self {
                    $(Self::$hash(state) => Tag::new(&state.finalize()),)+
                }
            }

            /// The hash in use.
            #[must_use]
            pub const fn hash(&self) -> Hash {
                match self {
                    $(Self::$hash(_) => Hash::$hash,)+
                }
            }
        }
    };
}

digests! {
    Sha1, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256,
    Sha3_224, Sha3_256, Sha3_384, Sha3_512,
}

/// Prints the hash only.
impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:?})", self.hash())
    }
}

/// The digest of `data` in one go.
#[must_use]
pub fn digest(hash: Hash, data: &[u8]) -> Tag {
    let mut state = Digest::new(hash);
    state.update(data);
    state.finish()
}

/// The check value of a secret key: the first three bytes of its SHA-1
/// (PKCS#11 v3.2 §6.9.3).
#[must_use]
pub fn check_value(key: &SecretBytes) -> [u8; 3] {
    let hash = digest(Hash::Sha1, key.expose());
    let mut check_value = [0; 3];
    check_value.copy_from_slice(&hash.expose()[..3]);
    check_value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_give_the_digest_of_the_whole_and_the_stated_length() {
        for hash in Hash::ALL {
            let mut parts = Digest::new(hash);
            parts.update(b"ab");
            parts.update(b"");
            parts.update(b"c");
            let whole = digest(hash, b"abc");
            assert!(parts.finish().equals(whole.expose()), "{hash:?}");
            assert_eq!(whole.expose().len(), hash.output_len(), "{hash:?}");
        }
    }

    #[test]
    fn sha_256_of_abc_is_the_answer_of_fips_180() {
        let hex: String = digest(Hash::Sha256, b"abc")
            .expose()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
