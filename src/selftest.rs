//! Known-answer self-tests of everything that computes: each hash, each HMAC,
//! and what seals the store. They prove that this build on this machine gets
//! the published answers; they model the self-tests of FIPS 140-3 §10.

#![forbid(unsafe_code)]

use crate::mechanism::answers::ANSWERS;
use crate::mechanism::digest::digest;
use crate::mechanism::hmac::{Hmac, Tag};
use crate::vault;

/// One self-test and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was tested.
    pub name: String,
    /// Whether the answer was the known one.
    pub passed: bool,
}

/// Runs every self-test.
#[must_use]
pub fn run() -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut note = |name: String, passed| outcomes.push(Outcome { name, passed });
    for answer in &ANSWERS {
        let hash = answer.hash;
        note(hash.name().to_owned(), is(&digest(hash, b"abc"), answer.digest));
        let mut mac = Hmac::new(hash, b"Jefe");
        mac.update(b"what do ya want for nothing?");
        note(format!("HMAC-{}", hash.name()), is(&mac.finish(), answer.mac));
    }
    for (name, passed) in vault::self_tests() {
        note(name.to_owned(), passed);
    }
    outcomes
}

fn is(tag: &Tag, hex: &str) -> bool {
    let digits: String = tag.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    digits == hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_self_test_passes_and_has_its_own_name() {
        let mut outcomes = run();
        assert_eq!(outcomes.len(), 2 * ANSWERS.len() + 4);
        for outcome in &outcomes {
            assert!(outcome.passed, "{}", outcome.name);
        }
        outcomes.sort_by(|a, b| a.name.cmp(&b.name));
        outcomes.dedup_by(|a, b| a.name == b.name);
        assert_eq!(outcomes.len(), 2 * ANSWERS.len() + 4);
    }

    #[test]
    fn another_answer_is_noticed() {
        let right = &ANSWERS[2];
        assert!(is(&digest(right.hash, b"abc"), right.digest));
        assert!(!is(&digest(right.hash, b"abd"), right.digest));
    }
}
