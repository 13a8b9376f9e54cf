//! Where random bytes come from: passed in, so that tests can repeat a run.

use crate::error::{Error, Result};
use rand::TryRng;

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills `out` completely.
    ///
    /// # Errors
    /// [`Error::EntropyUnavailable`]; `out` must then not be used.
    fn fill(&self, out: &mut [u8]) -> Result<()>;
}

/// The operating system's generator (`getrandom(2)` on Linux).
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        rand::rngs::SysRng.try_fill_bytes(out).map_err(|_| Error::EntropyUnavailable)
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
