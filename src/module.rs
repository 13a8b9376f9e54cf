//! One application's view of all tokens: one method per function of the
//! standard that the module offers, in safe Rust. An application holds one
//! [`Module`]; the C door keeps it in its global, the daemon and tests may have
//! many.
//!
//! # Locks
//!
//! In this order, never upward: search → slots → slot state → session state → token.
//! Handle tables are read without a lock. A session's own state is the only lock
//! held while a MAC is computed; while a PIN is checked the token's login lock
//! is, and a slot's only where the token is emptied or destroyed. The module starts no threads.

#![forbid(unsafe_code)]

mod audit;
mod backup;
mod check;
mod digest;
mod handle_table;
mod keys;
mod maintenance;
mod objects;
mod open_objects;
mod permissions;
mod prepared;
mod random;
mod search;
mod sessions;
mod slots;
mod token_objects;

pub use keys::Signing;
pub use sessions::SessionInfo;
pub use slots::{SlotInfo, TokenInfo};

use crate::config::{Config, Mechanisms};
use crate::error::{Error, Result};
use crate::mechanism::{self, CATALOGUE, Row};
use crate::secret::Pin;
use crate::session::Session;
use crate::store::{CounterFile, GuardedPlace, Place};
use crate::token::{Settings, Surroundings, Token};
use crate::types::{MechanismType, SlotId, Ulong, UserType};
use handle_table::HandleTable;
use objects::ObjectEntry;
use open_objects::OpenObjects;
use parking_lot::{Mutex, RwLock};
use slots::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The tokens, sessions and objects of one application.
pub struct Module {
    place: Arc<dyn Place>,
    surroundings: Surroundings,
    settings: Settings,
    mechanisms: Mechanisms,
    removable: bool,
    slots: RwLock<BTreeMap<SlotId, Arc<Slot>>>,
    sessions: HandleTable<Session>,
    objects: HandleTable<ObjectEntry>,
    open_objects: OpenObjects,
    /// The slots whose tokens the application has been told of.
    announced: Mutex<BTreeSet<SlotId>>,
}

impl Module {
    /// A module over the tokens of `place`.
    ///
    /// # Errors
    /// The place could not be read.
    pub fn new(place: Arc<dyn Place>, surroundings: Surroundings, config: &Config) -> Result<Self> {
        let place = match &config.rollback_counter {
            Some(path) => {
                let counter = CounterFile::new(path, config.busy_timeout);
                Arc::new(GuardedPlace::new(place, counter, Token::name_in_counter))
            }
            None => place,
        };
        let module = Self {
            place,
            surroundings,
            settings: Settings {
                pin_attempts: config.max_pin_attempts,
                pin_parameters: config.argon2,
                require_counter: config.pin_counter_required,
                home: config.home,
                audit: config.audit,
            },
            mechanisms: config.mechanisms.clone(),
            removable: config.slots_removable,
            slots: RwLock::default(),
            sessions: HandleTable::in_life(0),
            objects: HandleTable::in_life(0),
            open_objects: OpenObjects::new(config.cache_objects),
            announced: Mutex::default(),
        };
        let present = module.refresh_slots()?;
        *module.announced.lock() = present;
        Ok(module)
    }

    /// The same, with handles that no module of another life gives: for a process
    /// that has one module after the other.
    #[must_use]
    pub fn in_life(self, life: u32) -> Self {
        Self { sessions: HandleTable::in_life(life), objects: HandleTable::in_life(life), ..self }
    }

    /// The mechanisms that are offered, in the order of the catalogue.
    pub fn mechanisms(&self) -> impl Iterator<Item = &'static Row> + '_ {
        CATALOGUE.iter().filter(|row| self.mechanisms.offers(row.mechanism))
    }

    /// What is known of a mechanism (`C_GetMechanismInfo`).
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] when it is not offered.
    pub fn mechanism_info(&self, number: Ulong) -> Result<&'static Row> {
        MechanismType::from_ck(number)
            .and_then(mechanism::find)
            .filter(|row| self.mechanisms.offers(row.mechanism))
            .ok_or(Error::MechanismInvalid(number))
    }

    /// Makes a token with this label and these PINs unless there is one
    /// already: what a container does at its first start. One that has no user PIN
    /// yet gets it: whoever made it by other means may have been stopped half-way.
    ///
    /// # Errors
    /// Why the token could not be made.
    pub fn ensure_token(&self, label: &str, so_pin: &Pin, user_pin: &Pin) -> Result<()> {
        // Looked for again each time: another process may have taken the slot for it.
        let made = self.in_empty_slot(|empty| match self.labelled(label)? {
            Some((_, true)) => Ok(()),
            Some((slot, false)) => self.add_user_pin(slot, so_pin, user_pin),
            None => self.create_token(empty, label, so_pin, Some(user_pin)),
        });
        made.map(|_| ())
    }

    /// The slot of the token with this label, and whether its user has a PIN.
    fn labelled(&self, label: &str) -> Result<Option<(SlotId, bool)>> {
        let mut unread = Ok(());
        for slot in self.slot_list()? {
            match self.token_info(slot).map(|info| info.token) {
                Ok(Some(info)) if info.label == label => {
                    return Ok(Some((slot, info.user.initialized)));
                }
                Ok(_) | Err(Error::SlotIdInvalid(_) | Error::TokenNotPresent(_)) => {}
                Err(error) => unread = unread.and(Err(error)),
            }
        }
        // One that cannot be read may be the one: no second of its label.
        unread.map(|()| None)
    }

    fn add_user_pin(&self, slot: SlotId, so_pin: &Pin, user_pin: &Pin) -> Result<()> {
        let session = self.open_session(slot, true)?;
        let added = self
            .login(session, UserType::SecurityOfficer, so_pin)
            .and_then(|()| self.init_pin(session, user_pin));
        // With its only session the login ends too.
        self.close_session(session)?;
        added
    }
}

#[cfg(test)]
mod tests;
