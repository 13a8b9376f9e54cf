//! Random numbers: PKCS#11 v3.2 §5.21.

use super::Module;
use crate::error::Result;
use crate::types::SessionHandle;

impl Module {
    /// Stirs a seed into the random source (`C_SeedRandom`).
    ///
    /// # Errors
    /// [`SessionHandleInvalid`](crate::error::Error::SessionHandleInvalid).
    pub fn seed_random(&self, session: SessionHandle, seed: &[u8]) -> Result<()> {
        self.session(session)?;
        self.surroundings.entropy.stir(seed);
        Ok(())
    }

    /// Fills `out` with random bytes (`C_GenerateRandom`).
    ///
    /// # Errors
    /// [`EntropyUnavailable`](crate::error::Error::EntropyUnavailable).
    pub fn generate_random(&self, session: SessionHandle, out: &mut [u8]) -> Result<()> {
        self.session(session)?;
        self.surroundings.entropy.fill(out)
    }
}
