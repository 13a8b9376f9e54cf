//! Slots and tokens: PKCS#11 v3.2 §5.5.

use super::Module;
use super::token_objects::TokenObjects;
use crate::audit::{Event, Identity};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::secret::Pin;
use crate::store::Presence;
use crate::token::{Draft, Info, NewToken, Token};
use crate::types::{ObjectHandle, SessionHandle, SlotId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often another empty slot is looked for when the one found is taken.
const SLOT_TRIES: usize = 100;

/// A place for a token, and what this application has open there.
pub(super) struct Slot {
    pub id: SlotId,
    pub state: Mutex<SlotState>,
}

#[derive(Default)]
pub(super) struct SlotState {
    /// Opened when it is first needed.
    pub token: Option<Arc<Token>>,
    pub sessions: BTreeSet<SessionHandle>,
    pub read_only_sessions: usize,
    /// Held while there are sessions, so that nobody initialises the token.
    pub presence: Option<Box<dyn Presence>>,
    /// The handles of token objects that this application has seen.
    pub token_objects: TokenObjects,
    /// The handles of session objects.
    pub session_objects: BTreeSet<ObjectHandle>,
}

impl Slot {
    fn new(id: SlotId) -> Self {
        Self { id, state: Mutex::default() }
    }
}

/// What `C_GetSlotInfo` tells.
#[derive(Debug, Clone)]
pub struct SlotInfo {
    /// The slot.
    pub slot: SlotId,
    /// Whether the configuration calls its device removable.
    pub removable: bool,
}

/// What `C_GetTokenInfo` tells.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    /// The token; `None` when the slot waits for `C_InitToken`.
    pub token: Option<Info>,
    /// Open sessions of this application.
    pub sessions: usize,
    /// Those of them that are read/write.
    pub read_write_sessions: usize,
}

impl Module {
    /// All slots in ascending order (`C_GetSlotList`): those with a token, and
    /// one more that invites `C_InitToken`.
    ///
    /// # Errors
    /// The place could not be read.
    pub fn slot_list(&self) -> Result<Vec<SlotId>> {
        self.refresh_slots()?;
        Ok(self.slots.read().keys().copied().collect())
    }

    /// Brings the slots up to date with the place; the slots that hold tokens.
    pub(super) fn refresh_slots(&self) -> Result<BTreeSet<SlotId>> {
        let (present, wanted) = self.wanted_slots()?;
        if self.slots.read().keys().eq(wanted.iter()) {
            return Ok(present);
        }
        let mut slots = self.slots.write();
        // Looked at again: what was seen before the lock may be older than what
        // another thread has made of it.
        let (present, wanted) = self.wanted_slots()?;
        // A slot stays until its sessions are closed and nobody is about to open one:
        // while the map is locked nobody new gets hold of it.
        slots.retain(|id, slot| {
            wanted.contains(id)
                || Arc::strong_count(slot) > 1
                || !slot.state.lock().sessions.is_empty()
        });
        for &id in &wanted {
            slots.entry(id).or_insert_with(|| Arc::new(Slot::new(id)));
        }
        Ok(present)
    }

    /// The slots that hold tokens; and these with an empty one.
    fn wanted_slots(&self) -> Result<(BTreeSet<SlotId>, BTreeSet<SlotId>)> {
        let present: BTreeSet<_> =
            self.place.slots()?.into_iter().filter_map(SlotId::from_number).collect();
        let empty = (0..).map(SlotId).find(|slot| !present.contains(slot));
        let wanted = present.iter().copied().chain(empty).collect();
        Ok((present, wanted))
    }

    pub(super) fn slot(&self, id: SlotId) -> Result<Arc<Slot>> {
        if let Some(slot) = self.slots.read().get(&id) {
            return Ok(Arc::clone(slot));
        }
        self.refresh_slots()?;
        self.slots.read().get(&id).cloned().ok_or(Error::SlotIdInvalid(id))
    }

    /// The token in `slot`, opened if it has not been; `None` when the slot is
    /// empty.
    pub(super) fn token(&self, slot: &Slot, state: &mut SlotState) -> Result<Option<Arc<Token>>> {
        let outdated = |token: &Arc<Token>| token.store().is_outdated();
        if state.sessions.is_empty() && state.token.as_ref().is_some_and(outdated) {
            // It was removed, by whoever and however. Another may be in its place by now.
            self.forget_token_objects(state);
            state.token = None;
        }
        if state.token.is_none() && self.place.slots()?.contains(&slot.id.number()) {
            let token = Token::open(&*self.place, slot.id, &self.surroundings, self.settings)?;
            state.token = Some(Arc::new(token));
        }
        Ok(state.token.clone())
    }

    /// What is known of a slot.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`].
    pub fn slot_info(&self, slot: SlotId) -> Result<SlotInfo> {
        Ok(SlotInfo { slot: self.slot(slot)?.id, removable: self.removable })
    }

    /// What is known of a slot's token.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`]; the store could not be read.
    pub fn token_info(&self, slot: SlotId) -> Result<TokenInfo> {
        let slot = self.slot(slot)?;
        let mut state = slot.state.lock();
        let token = self.token(&slot, &mut state)?;
        let sessions = state.sessions.len();
        let read_write_sessions = sessions - state.read_only_sessions;
        drop(state);
        let token = token.map(|token| token.info()).transpose()?;
        Ok(TokenInfo { token, sessions, read_write_sessions })
    }

    /// Makes the token of an empty slot, or empties a token whose SO PIN this
    /// is (`C_InitToken`, PKCS#11 v3.2 §5.5.7). The label is unpadded.
    ///
    /// # Errors
    /// [`Error::SessionExists`] while any process has a session;
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::PinLenRange`];
    /// [`Error::FunctionFailed`] when the empty slot was taken by another
    /// process meanwhile.
    pub fn init_token(&self, slot: SlotId, so_pin: &Pin, label: &str) -> Result<()> {
        let slot = self.slot(slot)?;
        let mut state = slot.state.lock();
        if !state.sessions.is_empty() {
            return Err(Error::SessionExists);
        }
        if let Some(token) = self.token(&slot, &mut state)? {
            let event = initializing(label, slot.id);
            token.recorded(event, || token.reinitialize(label, so_pin))?;
            self.forget_token_objects(&mut state);
            Ok(())
        } else {
            let new = NewToken { label, so_pin, user_pin: None };
            let made = self.make_token(&slot, &mut state, new, &mut std::iter::empty());
            made.map_err(|error| match error {
                Error::SlotIdInvalid(slot) => Error::FunctionFailed(format!(
                    "another process has made a token in slot {slot} meanwhile"
                )),
                other => other,
            })
        }
    }

    /// Makes a token by `make`, which is given an empty slot, and the next one when another
    /// process has taken that meanwhile; the slot, and what `make` gave.
    ///
    /// # Errors
    /// Those of `make`, but for [`Error::SlotIdInvalid`]; [`Error::FunctionFailed`] when
    /// others take every slot; the place could not be read.
    pub fn in_empty_slot<T>(
        &self,
        mut make: impl FnMut(SlotId) -> Result<T>,
    ) -> Result<(SlotId, T)> {
        for _ in 0..SLOT_TRIES {
            for slot in self.slot_list()? {
                // Of a token that cannot be read the directory is there all the same.
                if self.token_info(slot).is_ok_and(|info| info.token.is_none()) {
                    match make(slot) {
                        Err(Error::SlotIdInvalid(_)) => {}
                        made => return made.map(|made| (slot, made)),
                    }
                }
            }
        }
        let reason = "no slot stays empty for long enough to make a token";
        Err(Error::FunctionFailed(reason.into()))
    }

    /// Makes a token in an empty slot, with the user's PIN if one is given. Unlike
    /// [`Module::init_token`] it never empties a token that is there.
    ///
    /// # Errors
    /// [`Error::SlotIdInvalid`] when the slot is not empty, perhaps not any more;
    /// [`Error::PinLenRange`].
    pub fn create_token(
        &self,
        slot: SlotId,
        label: &str,
        so_pin: &Pin,
        user_pin: Option<&Pin>,
    ) -> Result<()> {
        let new = NewToken { label, so_pin, user_pin };
        self.create_token_holding(slot, new, &mut std::iter::empty())
    }

    /// Makes a token in an empty slot with these objects in it: nobody sees it without
    /// them.
    ///
    /// # Errors
    /// As for [`Module::create_token`]; what an object is in its place.
    pub fn create_token_holding(
        &self,
        slot: SlotId,
        new: NewToken<'_>,
        objects: &mut dyn Iterator<Item = Result<Object>>,
    ) -> Result<()> {
        self.with_empty(slot, |slot, state| self.make_token(slot, state, new, objects))
    }

    /// Runs `make` on a slot that is empty.
    fn with_empty(
        &self,
        slot: SlotId,
        make: impl FnOnce(&Slot, &mut SlotState) -> Result<()>,
    ) -> Result<()> {
        let slot = self.slot(slot)?;
        let mut state = slot.state.lock();
        if self.token(&slot, &mut state)?.is_some() {
            return Err(Error::SlotIdInvalid(slot.id));
        }
        make(&slot, &mut state)
    }

    /// Puts a token that was drafted into an empty slot.
    pub(super) fn put_token(&self, slot: SlotId, draft: &Draft) -> Result<()> {
        self.with_empty(slot, |slot, state| self.place_token(slot, state, draft))
    }

    fn make_token(
        &self,
        slot: &Slot,
        state: &mut SlotState,
        new: NewToken<'_>,
        objects: &mut dyn Iterator<Item = Result<Object>>,
    ) -> Result<()> {
        let mut draft = Draft::new(new, &self.surroundings, self.settings)?;
        for object in objects {
            draft.objects.add(&object?, true)?;
        }
        self.place_token(slot, state, &draft)
    }

    fn place_token(&self, slot: &Slot, state: &mut SlotState, draft: &Draft) -> Result<()> {
        let token = Arc::new(draft.create(&*self.place, slot.id)?);
        state.token = Some(Arc::clone(&token));
        // Whoever made the token does not need to be told of it.
        self.announced.lock().insert(slot.id);
        let event = initializing(&token.info()?.label, slot.id);
        token.record(&event.noting("objects", draft.objects.len() as u64))
    }

    fn forget_token_objects(&self, state: &mut SlotState) {
        for handle in state.token_objects.drain() {
            self.objects.remove(handle.0);
        }
    }

    /// A slot whose token has appeared since the application was last told
    /// (`C_WaitForSlotEvent` with `CKF_DONT_BLOCK`, PKCS#11 v3.2 §5.5.4).
    ///
    /// # Errors
    /// [`Error::NoEvent`].
    pub fn slot_event(&self) -> Result<SlotId> {
        let present = self.refresh_slots()?;
        let mut announced = self.announced.lock();
        announced.retain(|slot| present.contains(slot));
        let new = present.into_iter().find(|slot| !announced.contains(slot));
        let new = new.ok_or(Error::NoEvent)?;
        announced.insert(new);
        Ok(new)
    }
}

/// A token is made or emptied: whoever does so sets, or knows, the SO's PIN.
fn initializing(label: &str, slot: SlotId) -> Event {
    let event = Event::new("signet:InitializeToken", Identity::SecurityOfficer);
    event.with("label", label).with("slot", slot.number())
}
