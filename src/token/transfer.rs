//! Objects on their way out of a token and into one, with all that they are: for
//! backups.

use super::record::{PRIVATE, PUBLIC};
use super::{
    Header, LiveObject, NewToken, Settings, Surroundings, Token, audit, credential, objects,
    rotation, set,
};
use crate::audit::SigningKey;
use crate::entropy;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::policy::{Action, Principal, Resource};
use crate::store::{self, Change, Place};
use crate::types::{SlotId, UserType};
use crate::vault::Vault;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What became of objects that were brought into a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// How many were added.
    pub added: u64,
    /// How many were left out because their unique id was there already.
    pub skipped: u64,
}

/// Objects that are sealed for one token and not stored yet.
pub struct Sealed {
    vault: Arc<Vault>,
    surroundings: Surroundings,
    changes: Vec<Change>,
}

impl Sealed {
    fn new(vault: Arc<Vault>, surroundings: &Surroundings) -> Self {
        Self { vault, surroundings: surroundings.clone(), changes: Vec::new() }
    }

    /// Adds an object. One that was not `bound` where it comes from was written by
    /// nobody in particular, and is not bound here either.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] for an unbound object that must be sealed.
    pub fn add(&mut self, object: &Object, bound: bool) -> Result<()> {
        let vault = Some(&*self.vault).filter(|_| bound);
        self.changes.push(objects::put(vault, object, 0, &*self.surroundings.entropy)?);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// A token that is being made: nobody sees it before [`Draft::create`].
pub struct Draft {
    settings: Settings,
    /// Its objects.
    pub objects: Sealed,
    /// Header and credentials.
    first: Vec<Change>,
}

impl Draft {
    /// A token of its own: a new serial and a new root key.
    ///
    /// # Errors
    /// [`Error::PinLenRange`]; [`Error::EntropyUnavailable`].
    pub fn new(new: NewToken<'_>, surroundings: &Surroundings, settings: Settings) -> Result<Self> {
        let serial: [u8; 8] = entropy::array(&*surroundings.entropy)?;
        let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::of_serial(new, &serial, surroundings, settings)
    }

    pub(super) fn of_serial(
        new: NewToken<'_>,
        serial: &str,
        surroundings: &Surroundings,
        settings: Settings,
    ) -> Result<Self> {
        let entropy = &*surroundings.entropy;
        let vault = Vault::new(serial, entropy)?;
        let header = Header::new(new.label, serial, settings.home, surroundings.clock.now());
        let mut first = vec![header.put(0)?];
        for (user, pin) in
            [(UserType::SecurityOfficer, Some(new.so_pin)), (UserType::User, new.user_pin)]
        {
            let Some(pin) = pin else { continue };
            if !pin.has_valid_length() {
                return Err(Error::PinLenRange);
            }
            first.push(credential::first(&user.into(), &vault, serial, pin, settings, entropy)?);
        }
        first.push(audit::put(&vault, &SigningKey::new(entropy)?, 0, entropy)?);
        Ok(Self { settings, objects: Sealed::new(Arc::new(vault), surroundings), first })
    }

    /// What the token begins with: header, credentials, objects, set record and
    /// manifest.
    pub(super) fn first_commit(&self) -> Result<Vec<Change>> {
        let Sealed { vault, surroundings, changes } = &self.objects;
        let mut commit = [&self.first[..], changes].concat();
        commit.extend(set::first(vault, &commit, &*surroundings.entropy)?);
        Ok(commit)
    }

    /// Makes the token in an empty slot, with all its objects at once.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`] when another process has made one there meanwhile:
    /// another slot may do; or why it could not be stored.
    pub fn create(&self, place: &dyn Place, slot: SlotId) -> Result<Token> {
        let store = place.create(slot.number(), self.first_commit()?)?;
        Token::over(slot, store, self.objects.surroundings.clone(), self.settings)
    }
}

impl Token {
    /// Shows `visit` every object as of one moment, oldest first within each
    /// visibility, while others go on writing.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the owner asks; what `visit` returns, which
    /// is shown a [`Error::RecordDamaged`] for an object that does not open.
    pub fn export(
        &self,
        principal: Principal,
        visit: &mut dyn FnMut(Result<&LiveObject>) -> Result<()>,
    ) -> Result<()> {
        self.authorize(principal, Action::BackUp, Resource::Token)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            self.store.snapshot(&mut |reader| {
                rotation::require_present(reader, vault)?;
                for kind in [PRIVATE, PUBLIC] {
                    store::for_each(reader, kind, &[], |record| {
                        let live = match objects::open(record, Some(vault)) {
                            Ok(live) => live,
                            Err(damaged) => return visit(Err(damaged)),
                        };
                        // What a date has ended goes nowhere any more.
                        let Some(live) = self.as_of_now(live)? else { return Ok(()) };
                        self.authorize(principal, Action::BackUp, Resource::Object(live.object()))?;
                        visit(Ok(&live))
                    })?;
                }
                Ok(())
            })
        })
    }

    /// What [`Token::restore`] takes; empty.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the owner asks;
    /// [`Error::TokenWriteProtected`].
    pub fn sealed(&self, principal: Principal) -> Result<Sealed> {
        self.authorize(principal, Action::Restore, Resource::Token)?;
        self.require_writable()?;
        let vault = self.vault_of(principal)?.ok_or(Error::UserNotLoggedIn)?;
        Ok(Sealed::new(vault, &self.surroundings))
    }

    /// Stores objects that were sealed for this token, all in one commit. Those whose
    /// unique id is there already are left out if `skip_existing`.
    ///
    /// # Errors
    /// [`Error::UniqueIdTaken`] names the first that is there;
    /// [`Error::RootKeyReplaced`] when they were sealed under an earlier root key.
    /// Nothing is stored then.
    pub fn restore(&self, sealed: Sealed, skip_existing: bool) -> Result<Restored> {
        let Sealed { vault, changes, .. } = sealed;
        let mut restored = Restored::default();
        self.commit(Some(&vault), &mut |reader| {
            let mut missing = Vec::with_capacity(changes.len() + 1);
            let mut taken = BTreeSet::new();
            for change in &changes {
                let Change::Put { id, .. } = change else { continue };
                // Under either kind: private and public objects share their names.
                if reader.get(PRIVATE, id)?.is_some() || reader.get(PUBLIC, id)?.is_some() {
                    taken.insert(id.as_str());
                } else {
                    missing.push(change.clone());
                }
            }
            if let Some(first) = taken.first().filter(|_| !skip_existing) {
                let (first, others) = ((*first).to_owned(), taken.len() - 1);
                return Err(Error::UniqueIdTaken { first, others });
            }
            restored = Restored { added: missing.len() as u64, skipped: taken.len() as u64 };
            Ok(missing)
        })?;
        Ok(restored)
    }
}
