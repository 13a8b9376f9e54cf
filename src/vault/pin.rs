//! From a PIN to the key that its credential is sealed with.

use super::KEY_LEN;
use crate::error::{Error, Result};
use crate::secret::{Pin, SecretBytes};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use minicbor::{Decode, Encode};
use zeroize::Zeroize;

/// The cost of guessing one PIN (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct PinParameters {
    /// Memory in KiB.
    #[n(0)]
    pub memory_kib: u32,
    /// Passes over the memory.
    #[n(1)]
    pub iterations: u32,
    /// Lanes that could be computed in parallel.
    #[n(2)]
    pub lanes: u32,
}

impl PinParameters {
    /// OWASP's minimum configuration of Argon2id: 19 MiB, 2 passes, 1 lane.
    pub const DEFAULT: Self = Self { memory_kib: 19_456, iterations: 2, lanes: 1 };

    /// The floor: OWASP's Password Storage Cheat Sheet gives these as equally
    /// strong (memory in KiB, passes; one lane). A setting must reach one of
    /// them in both numbers.
    pub const FLOORS: [(u32, u32); 5] =
        [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

    /// The most that can be set, each by itself; see [`PinParameters::WORK_MAX_KIB`].
    pub const MAX: Self = Self { memory_kib: 4 * 1024 * 1024, iterations: 100, lanes: 64 };

    /// The most that memory times passes can be, in KiB: some tens of seconds of work.
    pub const WORK_MAX_KIB: u64 = 16 * 1024 * 1024;

    /// Whether it can be set at all. A stored record that asks for anything else was
    /// edited, and must exhaust neither the host's memory nor anybody's patience.
    #[must_use]
    pub fn is_bearable(self) -> bool {
        self.is_within(Self::MAX, Self::WORK_MAX_KIB)
    }

    /// Whether Argon2id can be computed at this cost, and none of it is more than in
    /// `most`, nor memory times passes more than `work_kib`.
    #[must_use]
    pub fn is_within(self, most: Self, work_kib: u64) -> bool {
        let Self { memory_kib, iterations, lanes } = self;
        // Argon2id wants 8 KiB for each lane (RFC 9106 §3.1).
        (1..=most.lanes).contains(&lanes)
            && (8 * lanes..=most.memory_kib).contains(&memory_kib)
            && (1..=most.iterations).contains(&iterations)
            && self.work() <= work_kib
    }

    fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// The same, if it reaches one of the floors and is not too much work.
    ///
    /// # Errors
    /// Why it is too weak or too much, for whoever set it.
    pub fn checked(self) -> Result<Self, String> {
        if self.work() > Self::WORK_MAX_KIB {
            return Err(format!(
                "{} KiB x {} passes is more work than {} KiB in one pass",
                self.memory_kib,
                self.iterations,
                Self::WORK_MAX_KIB
            ));
        }
        let reached = Self::FLOORS
            .iter()
            .any(|&(memory, passes)| self.memory_kib >= memory && self.iterations >= passes);
        if reached {
            return Ok(self);
        }
        let floors: Vec<String> = Self::FLOORS.map(|(m, t)| format!("{m} KiB x {t}")).into();
        Err(format!(
            "{} KiB x {} passes is weaker than each of {}",
            self.memory_kib,
            self.iterations,
            floors.join(", ")
        ))
    }

    /// What a login should cost from now on that costs `self`, if that is more: the
    /// work is memory times passes.
    #[must_use]
    pub fn raised_to(self, configured: Self) -> Option<Self> {
        (configured.work() > self.work()).then_some(configured)
    }

    fn argon2(self) -> Result<Argon2<'static>> {
        let refused = |why: String| Error::FunctionFailed(format!("Argon2id: {why}"));
        if !self.is_bearable() {
            return Err(refused(format!("{self:?} is a cost that is never set")));
        }
        let parameters = Params::new(self.memory_kib, self.iterations, self.lanes, Some(KEY_LEN))
            .map_err(|error| refused(error.to_string()))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
    }
}

/// What Argon2id makes of a PIN.
pub struct WrappingKey(pub(super) SecretBytes);

/// The length of a new salt, in bytes (RFC 9106 §3.1).
pub(super) const SALT_LEN: usize = 16;

/// Work memory that is wiped: it holds what was derived from the PIN.
struct Work(Vec<Block>);

impl Work {
    fn new(blocks: usize) -> Result<Self> {
        let mut work = Vec::new();
        work.try_reserve_exact(blocks).map_err(|_| Error::HostMemory)?;
        work.resize(blocks, Block::default());
        Ok(Self(work))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|block| block.as_mut().zeroize());
    }
}

/// The slow step from a PIN, right or wrong, to what its credential is sealed with.
///
/// # Errors
/// [`Error::HostMemory`] when the derivation cannot have its memory;
/// [`Error::FunctionFailed`] when the cost is one that is never set.
pub(super) fn wrapping_key(
    pin: &Pin,
    salt: &[u8],
    parameters: PinParameters,
) -> Result<WrappingKey> {
    let argon2 = parameters.argon2()?;
    let mut work = Work::new(argon2.params().block_count())?;
    let key = SecretBytes::filled(KEY_LEN, |out| {
        argon2
            .hash_password_into_with_memory(pin.expose(), salt, out, &mut work.0)
            .map_err(|error| Error::FunctionFailed(format!("Argon2id: {error}")))
    })?;
    Ok(WrappingKey(key))
}

/// Argon2id against the answer of the reference implementation:
/// `printf password | argon2 somesaltsomesalt -id -t 2 -k 64 -p 1 -r`.
pub(super) fn self_test() -> bool {
    const ANSWER: [u8; KEY_LEN] = [
        0x1a, 0x98, 0xfb, 0xa8, 0xe6, 0x39, 0x44, 0x25, 0xc9, 0xbd, 0xc3, 0x33, 0xa9, 0xc7, 0x50,
        0xaa, 0xf8, 0x11, 0xdf, 0x07, 0x0f, 0x5f, 0xb4, 0xa5, 0x78, 0x8e, 0x1c, 0xf4, 0xdb, 0x57,
        0x93, 0xa1,
    ];
    let parameters = PinParameters { memory_kib: 64, iterations: 2, lanes: 1 };
    wrapping_key(&Pin::copied(b"password"), b"somesaltsomesalt", parameters)
        .is_ok_and(|key| key.0.equals(&ANSWER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: PinParameters = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };

    #[test]
    fn parameters_of_an_edited_file_cannot_exhaust_the_host() {
        for parameters in [
            PinParameters { memory_kib: u32::MAX, ..CHEAP },
            PinParameters { iterations: u32::MAX, ..CHEAP },
            PinParameters { lanes: u32::MAX, ..CHEAP },
            PinParameters { memory_kib: 0, ..CHEAP },
            PinParameters { memory_kib: 4 << 20, iterations: 5, lanes: 1 },
            PinParameters { memory_kib: 167_773, iterations: 100, lanes: 1 },
        ] {
            let error = wrapping_key(&Pin::copied(b"1234"), &[0; SALT_LEN], parameters).err();
            assert!(matches!(error, Some(Error::FunctionFailed(_))), "{parameters:?}");
        }
    }

    #[test]
    fn only_what_costs_more_raises_the_cost() {
        let cost = |memory_kib, iterations| PinParameters { memory_kib, iterations, lanes: 1 };
        let stored = cost(19_456, 2);
        for dearer in [cost(19_457, 2), cost(19_456, 3), cost(47_104, 1), cost(u32::MAX, u32::MAX)]
        {
            assert_eq!(stored.raised_to(dearer), Some(dearer));
            assert_eq!(dearer.raised_to(stored), None);
        }
        assert_eq!(stored.raised_to(stored), None);
        assert_eq!(stored.raised_to(PinParameters { lanes: 4, ..stored }), None);
    }
}
