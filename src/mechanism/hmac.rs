//! HMAC over prepared states: RFC 2104 §4 ("the intermediate results of the
//! compression function on the keys can be precalculated").

use super::Hash;
use hmac::{Hmac as HmacState, KeyInit, Mac};
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// HMAC for hashes without a block-level interface: the two states after the
/// inner and the outer key block, so that the key itself need not be kept.
#[derive(Clone)]
pub struct TwoStates<D> {
    inner: D,
    outer: D,
}

impl<D: Digest + Clone> TwoStates<D> {
    fn new(hash: Hash, key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0_u8; 144]);
        let block = &mut block[..hash.block_len()];
        if key.len() > block.len() {
            let mut digest = D::digest(key);
            block[..digest.len()].copy_from_slice(&digest);
            digest.as_mut_slice().zeroize();
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        block.iter_mut().for_each(|byte| *byte ^= 0x36);
        let inner = D::new_with_prefix(&*block);
        block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        Self { inner, outer: D::new_with_prefix(&*block) }
    }

    fn update(&mut self, data: &[u8]) {
        self.inner.update(data);
    }

    fn finish(mut self) -> Tag {
        let mut inner = self.inner.finalize();
        self.outer.update(&inner);
        inner.as_mut_slice().zeroize();
        Tag::new(&self.outer.finalize())
    }
}

macro_rules! macs {
    (over blocks: $($block:ident,)+; over states: $($sponge:ident,)+) => {
        /// A MAC under way, or the prepared states of a key, which are the same
        /// thing before any data: clone them to begin. Wiped when dropped.
        #[derive(Clone)]
        pub enum Hmac {
            $(#[doc = concat!("Under way with `", stringify!($block), "`.")]
              $block(HmacState<$block>),)+
            $(#[doc = concat!("Under way with `", stringify!($sponge), "`.")]
              $sponge(TwoStates<$sponge>),)+
        }

        impl Hmac {
            /// Prepares the states of `key`, of any length.
            #[must_use]
            pub fn new(hash: Hash, key: &[u8]) -> Self {
                match hash {
                    $(Hash::$block => {
                        // HMAC takes keys of every length, so this never fails.
                        let state = HmacState::new_from_slice(key).expect("any length");
                        Self::$block(state)
                    })+
                    $(Hash::$sponge => Self::$sponge(TwoStates::new(hash, key)),)+
                }
            }

            /// Takes in more of the message.
            pub fn update(&mut self, data: &[u8]) {
                match self {
                    $(Self::$block(state) => Mac::update(state, data),)+
                    $(Self::$sponge(state) => state.update(data),)+
                }
            }

            /// The tag over all that was taken in.
            #[must_use]
            pub fn finish(self) -> Tag {
                match self {
                    $(Self::$block(state) => Tag::new(&state.finalize().into_bytes()),)+
                    $(Self::$sponge(state) => state.finish(),)+
                }
            }

            /// The hash in use.
            #[must_use]
            pub const fn hash(&self) -> Hash {
                match self {
                    $(Self::$block(_) => Hash::$block,)+
                    $(Self::$sponge(_) => Hash::$sponge,)+
                }
            }
        }
    };
}

macs! {
    over blocks: Sha1, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256,;
    over states: Sha3_224, Sha3_256, Sha3_384, Sha3_512,
}

/// Prints the hash only.
impl std::fmt::Debug for Hmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hmac({:?})", self.hash())
    }
}

/// The output of a hash or a MAC: secret until it is returned or compared.
/// Wiped when dropped.
pub struct Tag {
    bytes: [u8; Hash::MAX_OUTPUT_LEN],
    length: usize,
}

impl Tag {
    /// Holds `bytes`, at most [`Hash::MAX_OUTPUT_LEN`] of them.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut tag = Self { bytes: [0; Hash::MAX_OUTPUT_LEN], length: bytes.len() };
        tag.bytes[..bytes.len()].copy_from_slice(bytes);
        tag
    }

    /// The same tag cut to its first `length` bytes (RFC 2104 §5).
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.length = self.length.min(length);
        self
    }

    /// The bytes, to be handed to the caller.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether `claimed` is this tag; the time depends on the length only.
    #[must_use]
    pub fn equals(&self, claimed: &[u8]) -> bool {
        self.expose().ct_eq(claimed).into()
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Prints the length only.
impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tag({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(tag: &Tag) -> String {
        tag.expose().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn mac(hash: Hash, key: &[u8], data: &[u8]) -> Tag {
        let mut state = Hmac::new(hash, key);
        state.update(data);
        state.finish()
    }

    #[test]
    fn known_answers_of_rfc_4231_case_2() {
        let jefe = |hash| hex(&mac(hash, b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(
            jefe(Hash::Sha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(jefe(Hash::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }

    #[test]
    fn the_two_ways_of_keeping_states_agree_for_keys_of_every_length() {
        for length in [0, 1, 63, 64, 65, 127, 128, 129, 200] {
            let key = vec![0xa5; length];
            let mut two = TwoStates::<Sha256>::new(Hash::Sha256, &key);
            two.update(b"message");
            assert!(two.finish().equals(mac(Hash::Sha256, &key, b"message").expose()), "{length}");
        }
    }

    #[test]
    fn a_prepared_key_serves_any_number_of_messages() {
        for hash in Hash::ALL {
            let prepared = Hmac::new(hash, b"key");
            let tags: Vec<_> = (0..2)
                .map(|_| {
                    let mut state = prepared.clone();
                    state.update(b"message");
                    hex(&state.finish())
                })
                .collect();
            assert_eq!(tags[0], tags[1]);
            assert_eq!(tags[0].len(), 2 * hash.output_len());
        }
    }

    #[test]
    fn a_tag_equals_itself_and_nothing_else() {
        let tag = mac(Hash::Sha256, b"key", b"message").truncated(16);
        let mut claimed = tag.expose().to_vec();
        assert!(tag.equals(&claimed));
        claimed[15] ^= 1;
        assert!(!tag.equals(&claimed));
        assert!(!tag.equals(&claimed[..15]));
        assert_eq!(format!("{tag:?}"), "Tag(16 bytes)");
    }
}
