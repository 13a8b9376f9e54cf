//! What computes with secrets leaves zeros behind: the bytes of dropped states
//! are looked at. No trait bound can promise this: the features `zeroize` of
//! `hmac` *and* of each hash crate must be on (`hmac` alone leaves half).

#![allow(unsafe_code, reason = "looks at memory after a drop")]

use hmac::{Hmac, KeyInit, Mac};
use sha2::Digest;
use signet_pkcs11::mechanism::{self, Hash};
use std::mem::MaybeUninit;

/// The bytes of a value before and after it is dropped.
fn around_drop<T>(value: T) -> (Vec<u8>, Vec<u8>) {
    let mut place = MaybeUninit::<T>::zeroed();
    place.write(value);
    let look = |place: &MaybeUninit<T>| {
        let start = place.as_ptr().cast::<u8>();
        (0..size_of::<T>())
            // SAFETY: inside `place`, which was zeroed before the value was written;
            // volatile, so that the compiler does not reason about a dropped value.
            .map(|index| unsafe { start.add(index).read_volatile() })
            .collect()
    };
    let before = look(&place);
    // SAFETY: written above, and not used as a value afterwards.
    unsafe { place.assume_init_drop() };
    (before, look(&place))
}

/// Moving a value copies the bytes between its fields too, with whatever stood
/// there: at most this many. A hash without its feature `zeroize` leaves 20 or more.
const PADDING: usize = 8;

/// Two values that differ in their secret only: where their bytes differ the
/// secret stands, and there zeros must stand after the drop.
#[track_caller]
fn assert_wiped<T>(what: &str, least: usize, make: impl Fn(u8) -> T) {
    let ((one, one_after), (other, other_after)) =
        (around_drop(make(0xa5)), around_drop(make(0x3c)));
    let secret: Vec<_> = (0..one.len()).filter(|&index| one[index] != other[index]).collect();
    assert!(secret.len() >= least, "{what} holds only {} secret bytes", secret.len());
    let left = secret.iter().filter(|&&index| one_after[index] != 0 || other_after[index] != 0);
    let left = left.count();
    assert!(left <= PADDING, "{what}: {left} secret bytes of {} are left", secret.len());
}

macro_rules! for_each_hash {
    ($(($module:ident, $($hash:ident),+)),+) => {
        #[test]
        fn a_prepared_key_leaves_zeros() {
            $($(assert_wiped(stringify!($hash), 38, |fill| {
                Hmac::<$module::$hash>::new_from_slice(&[fill; 32]).unwrap()
            });)+)+
        }

        #[test]
        fn a_mac_under_way_leaves_zeros() {
            $($(assert_wiped(stringify!($hash), 38 + 33, |fill| {
                let mut mac = Hmac::<$module::$hash>::new_from_slice(&[fill; 32]).unwrap();
                mac.update(&[fill; 33]);
                mac
            });)+)+
        }
    };
}

for_each_hash!((sha1, Sha1), (sha2, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256));

macro_rules! for_each_digest {
    ($(($module:ident, $($hash:ident),+)),+) => {
        #[test]
        fn a_digest_under_way_leaves_zeros() {
            $($(assert_wiped(stringify!($hash), 33, |fill| {
                $module::$hash::new_with_prefix(&[fill; 33])
            });)+)+
        }

        /// HMAC with SHA-3 keeps two of these, each past one block.
        #[test]
        fn a_digest_past_a_block_leaves_zeros() {
            $($(assert_wiped(stringify!($hash), 19, |fill| {
                $module::$hash::new_with_prefix(&[fill; 144])
            });)+)+
        }
    };
}

for_each_digest!(
    (sha1, Sha1),
    (sha2, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256),
    (sha3, Sha3_224, Sha3_256, Sha3_384, Sha3_512)
);

#[test]
fn a_tag_leaves_zeros() {
    assert_wiped("Tag", 28, |fill| {
        let mut mac = mechanism::hmac::Hmac::new(Hash::Sha256, &[fill; 32]);
        mac.update(b"message");
        mac.finish()
    });
}
