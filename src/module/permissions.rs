//! Until when each use of an opened key is allowed, as far as anybody has asked.
//!
//! Policies are evaluated at the first use; the next ones compare one word. What could
//! change the answer retires the opened key, and its permissions go with it: a change of
//! the key, its policy, tags, aliases and grants, of a user or role, a login or logout. What
//! only the time changes is in the word.

use crate::error::Result;
use crate::mechanism::Hash;
use crate::policy::{Action, Until};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nobody has asked, or each use must be asked for.
const ASK: u64 = 0;
const ALWAYS: u64 = u64::MAX;

/// What is asked about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether it is there, and what it is.
    Description,
    /// A use.
    Mac(MacUse),
}

impl Asked {
    const ALL: usize = 1 + MacUse::ALL;

    const fn index(self) -> usize {
        match self {
            Self::Description => 0,
            Self::Mac(used) => 1 + used.index(),
        }
    }
}

/// A use of a key that policies can tell from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MacUse {
    /// Whether a MAC is made or verified.
    pub verifies: bool,
    /// The hash.
    pub hash: Hash,
    /// Whether the MAC is shorter than the hash makes it.
    pub truncated: bool,
}

impl MacUse {
    /// What policies call it.
    pub const fn action(self) -> Action {
        if self.verifies { Action::VerifyMac } else { Action::GenerateMac }
    }

    const ALL: usize = 4 * Hash::ALL.len();

    const fn index(self) -> usize {
        4 * self.hash as usize + 2 * self.verifies as usize + self.truncated as usize
    }
}

/// From when on, in seconds since 1970, and before when each use is allowed: two halves of
/// one word. Written once in a while, by whoever asks; read at every use.
pub(super) struct Permissions([AtomicU64; Asked::ALL]);

impl Permissions {
    pub const fn unknown() -> Self {
        Self([const { AtomicU64::new(ASK) }; Asked::ALL])
    }

    /// Succeeds if `asked` is allowed at the time that `now` tells; `ask` is asked when that
    /// is not known.
    ///
    /// # Errors
    /// What `ask` returns.
    pub fn check(
        &self,
        asked: Asked,
        now: impl Fn() -> SystemTime,
        ask: impl FnOnce() -> Result<Until>,
    ) -> Result<()> {
        // On its own: nothing else is read because of it.
        let word = &self.0[asked.index()];
        match word.load(Ordering::Relaxed) {
            ALWAYS => return Ok(()),
            ASK => {}
            span if holds(span, seconds(now())) => return Ok(()),
            _ => {}
        }
        let answer = ask()?;
        word.store(encoded(answer, now), Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a time is in a span. Clocks are set back, too: then it may come before it.
fn holds(span: u64, now: u64) -> bool {
    (span >> 32..span & u64::from(u32::MAX)).contains(&now)
}

/// Rounded down: never longer than it holds.
fn encoded(until: Until, now: impl Fn() -> SystemTime) -> u64 {
    match until {
        Until::Changed => ALWAYS,
        Until::ThisCall => ASK,
        Until::Instant(instant) => {
            let (from, until) = (seconds(now()), seconds(instant).min(u64::from(u32::MAX - 1)));
            if from < until { from << 32 | until } else { ASK }
        }
    }
}

/// Seconds since 1970, in which policies reckon.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::cell::Cell;
    use std::time::Duration;

    const SIGN: MacUse = MacUse { verifies: false, hash: Hash::Sha256, truncated: false };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Asks at this time, with this answer; whether the policies were asked.
    fn asked(permissions: &Permissions, used: MacUse, now: u64, answer: Result<Until>) -> bool {
        let asked = Cell::new(false);
        let ask = || {
            asked.set(true);
            answer
        };
        drop(permissions.check(Asked::Mac(used), || at(now), ask));
        asked.get()
    }

    #[test]
    fn every_use_has_a_word_of_its_own() {
        let mut indices = std::collections::BTreeSet::new();
        for hash in Hash::ALL {
            for (verifies, truncated) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let used = MacUse { verifies, hash, truncated };
                indices.insert(Asked::Mac(used).index());
            }
        }
        indices.insert(Asked::Description.index());
        assert_eq!(indices.into_iter().collect::<Vec<_>>(), (0..Asked::ALL).collect::<Vec<_>>());
    }

    #[test]
    fn what_lasts_is_asked_once() {
        let permissions = Permissions::unknown();
        assert!(asked(&permissions, SIGN, 5, Ok(Until::Changed)));
        assert!(!asked(&permissions, SIGN, u64::from(u32::MAX), Ok(Until::Changed)));
        let verify = MacUse { verifies: true, ..SIGN };
        assert!(asked(&permissions, verify, 5, Ok(Until::Changed)));
    }

    #[test]
    fn what_ends_is_asked_again_at_its_end() {
        let permissions = Permissions::unknown();
        assert!(asked(&permissions, SIGN, 5, Ok(Until::Instant(at(100)))));
        assert!(!asked(&permissions, SIGN, 99, Ok(Until::Changed)));
        assert!(asked(&permissions, SIGN, 100, Ok(Until::Instant(at(200)))));
        assert!(!asked(&permissions, SIGN, 199, Ok(Until::Changed)));
    }

    #[test]
    fn what_ends_is_asked_again_before_it_was_asked_first() {
        let permissions = Permissions::unknown();
        assert!(asked(&permissions, SIGN, 50, Ok(Until::Instant(at(100)))));
        assert!(!asked(&permissions, SIGN, 50, Ok(Until::Changed)));
        assert!(asked(&permissions, SIGN, 49, Err(Error::KeyFunctionNotPermitted)));
        assert!(asked(&permissions, SIGN, 49, Ok(Until::Instant(at(50)))));
        assert!(asked(&permissions, SIGN, 50, Ok(Until::Changed)));
    }

    #[test]
    fn ends_are_rounded_down_and_may_be_far() {
        let permissions = Permissions::unknown();
        let end = at(100) + Duration::from_millis(999);
        assert!(asked(&permissions, SIGN, 50, Ok(Until::Instant(end))));
        assert!(!asked(&permissions, SIGN, 99, Ok(Until::Changed)));
        assert!(asked(&permissions, SIGN, 100, Ok(Until::Instant(end))));
        for far in [u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40] {
            let permissions = Permissions::unknown();
            assert!(asked(&permissions, SIGN, 50, Ok(Until::Instant(at(far)))));
            assert!(!asked(&permissions, SIGN, 51, Ok(Until::Changed)), "{far}");
            assert!(asked(&permissions, SIGN, far, Ok(Until::Changed)), "{far}");
        }
    }

    #[test]
    fn a_refusal_and_what_holds_for_one_call_are_asked_each_time() {
        let permissions = Permissions::unknown();
        let refusal = || Err(Error::KeyFunctionNotPermitted);
        assert!(asked(&permissions, SIGN, 5, refusal()));
        assert!(asked(&permissions, SIGN, 5, Ok(Until::ThisCall)));
        assert!(asked(&permissions, SIGN, 5, Ok(Until::ThisCall)));
        let end = Permissions::unknown();
        assert!(asked(&end, SIGN, 5, Ok(Until::Instant(at(6)))));
        assert!(asked(&end, SIGN, 6, refusal()));
        assert!(asked(&end, SIGN, 6, refusal()));
    }
}
