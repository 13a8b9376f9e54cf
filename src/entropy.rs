//! Where random bytes come from: passed in, so that tests can repeat a run.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use rand::TryRng;
use std::io::Write;

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills `out` completely.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`]; `out` must then not be used.
    fn fill(&self, out: &mut [u8]) -> Result<()>;

    /// Mixes in what a caller offers. It never makes the source weaker and is
    /// never relied on.
    fn stir(&self, seed: &[u8]);
}

/// The operating system's generator (`getrandom(2)` on Linux).
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        rand::rngs::SysRng.try_fill_bytes(out).map_err(|_| Error::EntropyUnavailable)
    }

    /// What is written to `/dev/urandom` is mixed into the kernel's pool without
    /// being credited as entropy (random(4)). Where it cannot be written the
    /// seed is dropped: nothing depends on it.
    fn stir(&self, seed: &[u8]) {
        let device = std::fs::OpenOptions::new().write(true).open("/dev/urandom");
        let _ = device.and_then(|mut device| device.write_all(seed));
    }
}

/// `N` random bytes.
///
/// # Errors
/// [`Error::EntropyUnavailable`].
pub fn array<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_source_fills_and_does_not_repeat() {
        let (first, second): ([u8; 32], [u8; 32]) =
            (array(&OsEntropy).unwrap(), array(&OsEntropy).unwrap());
        assert_ne!(first, [0; 32]);
        assert_ne!(first, second);
    }
}
