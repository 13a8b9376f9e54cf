//! Published test vectors through the C ABI: Wycheproof's HMAC sets, RFC 4231,
//! RFC 2202, and the digests of NIST's examples. SoftHSM2 is asked what it can
//! answer (keys as long as the digest, full length), so that a slip of this
//! harness shows.

// A harness is not compiled as a test, so the leave that tests have is given here.
#![allow(unsafe_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod common;

use common::*;
use cryptoki_sys::*;
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

const NOT_OFFERED: Reference = unasked("SoftHSM2 2.6 has neither SHA-512/t nor SHA-3");

const WYCHEPROOF: &[Case] = &[
    Case::new("hmac_sha_1", |w| wycheproof(w, TestName::HmacSha1, "SHA-1")),
    Case::new("hmac_sha_224", |w| wycheproof(w, TestName::HmacSha224, "SHA-224")),
    Case::new("hmac_sha_256", |w| wycheproof(w, TestName::HmacSha256, "SHA-256")),
    Case::new("hmac_sha_384", |w| wycheproof(w, TestName::HmacSha384, "SHA-384")),
    Case::new("hmac_sha_512", |w| wycheproof(w, TestName::HmacSha512, "SHA-512")),
    Case::new("hmac_sha_512_224", |w| wycheproof(w, TestName::HmacSha512_224, "SHA-512/224"))
        .softhsm2(NOT_OFFERED),
    Case::new("hmac_sha_512_256", |w| wycheproof(w, TestName::HmacSha512_256, "SHA-512/256"))
        .softhsm2(NOT_OFFERED),
    Case::new("hmac_sha3_224", |w| wycheproof(w, TestName::HmacSha3_224, "SHA3-224"))
        .softhsm2(NOT_OFFERED),
    Case::new("hmac_sha3_256", |w| wycheproof(w, TestName::HmacSha3_256, "SHA3-256"))
        .softhsm2(NOT_OFFERED),
    Case::new("hmac_sha3_384", |w| wycheproof(w, TestName::HmacSha3_384, "SHA3-384"))
        .softhsm2(NOT_OFFERED),
    Case::new("hmac_sha3_512", |w| wycheproof(w, TestName::HmacSha3_512, "SHA3-512"))
        .softhsm2(NOT_OFFERED),
];

const RFC: &[Case] = &[
    Case::new("rfc2202", |w| assert_eq!(macs(w, include_str!("vectors/rfc2202.txt")), 8)),
    Case::new("rfc4231", |w| assert_eq!(macs(w, include_str!("vectors/rfc4231.txt")), 28)),
];

const NIST: &[Case] = &[Case::new("digests", digests)];

fn main() {
    common::main(&[("wycheproof", WYCHEPROOF), ("rfc", RFC), ("nist", NIST)]);
}

/// One vector: what a key makes of a message, cut to the tag's length.
struct Vector<'v> {
    hash: &'static Hash,
    key: &'v [u8],
    message: &'v [u8],
    tag: &'v [u8],
    /// The length that the tag should have.
    tag_length: usize,
    valid: bool,
}

fn hash_named(name: &str) -> &'static Hash {
    HASHES.iter().find(|hash| hash.name == name).expect("a hash of the table")
}

/// A whole set of Wycheproof's.
fn wycheproof(w: &World, set: TestName, hash: &str) {
    let (s, hash, set) = (w.user(), hash_named(hash), TestSet::load(set).unwrap());
    let (mut seen, mut valid) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let vector = Vector {
                hash,
                key: &test.key,
                message: &test.msg,
                tag: &test.tag,
                tag_length: group.tag_size / 8,
                valid: match test.result {
                    TestResult::Valid => true,
                    TestResult::Invalid => false,
                    TestResult::Acceptable => panic!("no HMAC is a matter of taste"),
                },
            };
            seen += 1;
            valid += usize::from(vector.valid);
            vector.check(w, &s, &format!("test {}", test.tc_id));
        }
    }
    assert_eq!(seen, set.number_of_tests);
    assert!(valid > 50 && seen - valid > 50, "{valid} of {seen} valid");
}

/// A file of vectors; how many there were.
fn macs(w: &World, file: &str) -> usize {
    let s = w.user();
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [hash, key, message, tag] = fields[..] else { panic!("four fields: {line}") };
            let (key, message, tag) = (bytes(key), bytes(message), bytes(tag));
            let vector = Vector {
                hash: hash_named(hash),
                key: &key,
                message: &message,
                tag: &tag,
                tag_length: tag.len(),
                valid: true,
            };
            vector.check(w, &s, line);
            let mut wrong = tag.clone();
            wrong[0] ^= 1;
            Vector { tag: &wrong, valid: false, ..vector }.check(w, &s, line);
        })
        .count()
}

impl Vector<'_> {
    /// Asks the module, with a generic and with a typed key.
    fn check(&self, w: &World, s: &Session<'_>, name: &str) {
        let full = self.tag_length == self.hash.length;
        if w.is_reference() && (!full || self.key.len() < self.hash.length) {
            return;
        }
        // Both say the same where the tag has its full length.
        let mut mechanisms = Vec::new();
        if full {
            mechanisms.push(Mech::plain(self.hash.hmac));
        }
        if !w.is_reference() {
            mechanisms.push(Mech::general(self.hash.general, self.tag_length));
        }
        for key_type in [CKK_GENERIC_SECRET, self.hash.key_type] {
            let key = s.create(&template![
                CKA_CLASS => CKO_SECRET_KEY,
                CKA_KEY_TYPE => key_type,
                CKA_SIGN => true,
                CKA_VERIFY => true,
                CKA_VALUE => self.key,
            ]);
            let key = key.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
            for mechanism in &mechanisms {
                self.sign(s, mechanism, key, name);
                self.verify(s, mechanism, key, name);
                if !w.is_reference() {
                    self.verify_signature(s, mechanism, key, name);
                }
            }
            s.destroy(key).unwrap();
        }
    }

    /// C_Sign, and C_SignUpdate with C_SignFinal.
    fn sign(&self, s: &Session<'_>, mechanism: &Mech, key: CK_OBJECT_HANDLE, name: &str) {
        let mac = s.mac(mechanism, key, self.message).unwrap();
        assert_eq!(mac == self.tag, self.valid, "{name}");
        s.sign_init(mechanism, key).unwrap();
        let (first, second) = self.message.split_at(self.message.len() / 3);
        s.sign_update(first).unwrap();
        s.sign_update(second).unwrap();
        assert_eq!(s.sign_final().unwrap(), mac, "{name}");
    }

    /// What every way to verify must answer.
    fn expected(&self) -> Rv {
        match self.valid {
            true => Ok(()),
            false if self.tag.len() != self.tag_length => Err(Ckr(CKR_SIGNATURE_LEN_RANGE)),
            false => Err(Ckr(CKR_SIGNATURE_INVALID)),
        }
    }

    /// C_Verify, and C_VerifyUpdate with C_VerifyFinal.
    fn verify(&self, s: &Session<'_>, mechanism: &Mech, key: CK_OBJECT_HANDLE, name: &str) {
        assert_eq!(s.check(mechanism, key, self.message, self.tag), self.expected(), "{name}");
        s.verify_init(mechanism, key).unwrap();
        s.verify_update(self.message).unwrap();
        assert_eq!(s.verify_final(self.tag), self.expected(), "{name}");
    }

    /// C_VerifySignatureInit with C_VerifySignature; a wrong length may show at once.
    fn verify_signature(
        &self,
        s: &Session<'_>,
        mechanism: &Mech,
        key: CK_OBJECT_HANDLE,
        name: &str,
    ) {
        let answer = s
            .verify_signature_init(mechanism, key, self.tag)
            .and_then(|()| s.verify_signature(self.message));
        assert_eq!(answer, self.expected(), "{name}");
    }
}

/// Every digest of the file, whole and in parts.
fn digests(w: &World) {
    let s = w.user();
    let mut answered = 0;
    for line in include_str!("vectors/digests.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [hash, message, repeated, digest] = fields[..] else { panic!("four fields: {line}") };
        let Some(hash) = w.hashes().find(|offered| offered.name == hash) else { continue };
        let message = bytes(message.trim_matches('-')).repeat(repeated.parse().unwrap());
        s.digest_init(hash.digest).unwrap();
        assert_eq!(s.digest(&message).unwrap(), bytes(digest), "{line}");
        s.digest_init(hash.digest).unwrap();
        for part in message.chunks(1009) {
            s.digest_update(part).unwrap();
        }
        assert_eq!(s.digest_final().unwrap(), bytes(digest), "{line}");
        answered += 1;
    }
    assert_eq!(answered, 5 * w.hashes().count());
}

/// Bytes from hexadecimal digits.
fn bytes(digits: &str) -> Vec<u8> {
    assert_eq!(digits.len() % 2, 0, "{digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}
