//! Replacing the root key: how those who are logged in notice, and follow.

use super::credential::{self, decode, place_of};
use super::live::Registry;
use super::record::{CREDENTIAL, Header};
use super::{Access, Token};
use crate::error::{Error, Result};
use crate::policy::Principal;
use crate::store::Reader;
use crate::vault::Vault;
use std::sync::Arc;

/// Refuses a vault of an earlier root key than that of the state that `reader` shows.
pub(super) fn require_present(reader: &dyn Reader, vault: &Vault) -> Result<()> {
    let header = Header::read(reader)?.ok_or_else(Header::damaged)?;
    if header.is_of(vault) { Ok(()) } else { Err(Error::RootKeyReplaced) }
}

impl Token {
    /// Does `work` with what opens records for `principal`, and once more if the root key
    /// was replaced under its hands.
    pub(super) fn with_vault<T>(
        &self,
        principal: Principal,
        mut work: impl FnMut(Option<&Vault>) -> Result<T>,
    ) -> Result<T> {
        loop {
            let vault = self.vault_of(principal)?;
            match work(vault.as_deref()) {
                Err(Error::RootKeyReplaced) => {}
                done => return done,
            }
            self.refresh()?;
            let now = self.vault_of(principal)?;
            if vault.as_ref().map(Arc::as_ptr) == now.as_ref().map(Arc::as_ptr) {
                // It was not: the header claims it.
                return Err(Header::damaged());
            }
        }
    }

    /// Opens the present root key when the one that the login opened was replaced. Ends
    /// the login if that cannot be, because its PIN was set anew since. The caller has
    /// the header up to date, or will call again once it is.
    pub(super) fn follow(&self, registry: &mut Registry) -> Result<()> {
        let access = self.access.load_full();
        let Some(vault) = &access.vault else { return Ok(()) };
        if self.header().is_of(vault) {
            return Ok(());
        }
        let next = match self.vault_by_key(&access)? {
            // The header is wrong, and the check says so.
            Some(next) if next.root_name() == vault.root_name() => return Ok(()),
            Some(next) => {
                let (principal, key) = (access.principal, access.key.clone());
                Access { principal, vault: Some(Arc::new(next)), key }
            }
            None => Access::PUBLIC,
        };
        self.access.store(Arc::new(next));
        registry.retire_sealed();
        Ok(())
    }

    /// The vault of the present root key; `None` when the key of the login does not
    /// open it.
    fn vault_by_key(&self, access: &Access) -> Result<Option<Vault>> {
        let (Some(key), Some(user)) = (&access.key, credential::user(access.principal)) else {
            return Ok(None);
        };
        let record = self.store.get(CREDENTIAL, &credential::id(user)?)?;
        let Some(record) = record else { return Ok(None) };
        let serial = &self.header().serial;
        Ok(decode(&record).and_then(|stored| stored.vault(serial, place_of(&record), key)).ok())
    }
}
