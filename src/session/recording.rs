//! What of a session's MAC operations goes into the audit trail.

use super::{Operation, Session, State};
use crate::audit::{self, KeyName, MacMode, Use};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::types::ObjectHandle;

/// How the end of an operation is recorded.
#[derive(Debug)]
pub enum Trace {
    /// As one more, there.
    Counted(audit::Slot),
    /// By itself.
    Single(Box<Named>),
}

/// An operation with a key.
#[derive(Debug)]
pub struct Named {
    unique_id: String,
    is_token_object: bool,
    sort: Use,
}

impl Named {
    fn new(key: &Object, sort: Use) -> Self {
        let KeyName { unique_id, is_token_object } = name(key);
        Self { unique_id: unique_id.to_owned(), is_token_object, sort }
    }

    fn key(&self) -> KeyName<'_> {
        KeyName { unique_id: &self.unique_id, is_token_object: self.is_token_object }
    }
}

fn name(key: &Object) -> KeyName<'_> {
    KeyName { unique_id: key.unique_id(), is_token_object: key.is_token_object() }
}

/// An operation that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    operation: Box<Named>,
    outcome: Result<()>,
}

impl Session {
    /// Sees to it that the end of an operation that is about to begin is recorded. Where
    /// it is counted, as it is unless the configuration says otherwise, this costs a look
    /// at the handles of the keys that were used before, and its end one addition.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`].
    pub fn trace(
        &self,
        state: &mut State,
        operation: &mut Operation,
        key: &Object,
        sort: Use,
    ) -> Result<()> {
        let trail = self.token.trail();
        let mac = operation.mac_mut();
        mac.trace = match trail.settings().mac {
            MacMode::Off => return Ok(()),
            MacMode::Summary => {
                trail.require()?;
                if state.tally.is_due() {
                    self.record(state)?;
                }
                Some(Trace::Counted(state.tally.slot(mac.key(), sort, || name(key))))
            }
            MacMode::Each => {
                trail.require()?;
                Some(Trace::Single(Box::new(Named::new(key, sort))))
            }
        };
        Ok(())
    }

    /// Records an operation that was refused before it began.
    ///
    /// # Errors
    /// What was; [`Error::AuditUnavailable`].
    pub fn judged<T>(
        &self,
        handle: ObjectHandle,
        key: &Object,
        sort: Use,
        verdict: Result<T>,
    ) -> Result<T> {
        let refused = match verdict {
            Ok(allowed) => return Ok(allowed),
            Err(refused) => refused,
        };
        match self.token.trail().settings().mac {
            MacMode::Off => {}
            MacMode::Summary => {
                let tally = &mut self.state.lock().tally;
                let slot = tally.slot(handle, sort, || name(key));
                tally.failed(slot, &refused);
            }
            MacMode::Each => {
                let operation = Box::new(Named::new(key, sort));
                self.record_end(&Ended { operation, outcome: Err(refused.clone()) })?;
            }
        }
        Err(refused)
    }

    /// Does a part of a MAC operation, and records it if that has ended it.
    ///
    /// # Errors
    /// What `part` returns; [`Error::AuditUnavailable`], and nothing of what came out is
    /// given away.
    pub fn mac<T>(&self, part: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        let done = part(&mut state);
        match state.ended.take() {
            None => done,
            Some(ended) => self.record_end(&ended).and(done),
        }
    }

    fn record_end(&self, ended: &Ended) -> Result<()> {
        let Ended { operation, outcome } = ended;
        let who = self.token.identity(self.principal());
        let event = audit::single(who, operation.key(), operation.sort, outcome);
        self.token.trail().note(&event).map(|_| ())
    }

    /// Records what was counted since it was last recorded.
    ///
    /// # Errors
    /// [`Error::AuditUnavailable`].
    pub fn record_counts(&self) -> Result<()> {
        self.record(&mut self.state.lock())
    }

    fn record(&self, state: &mut State) -> Result<()> {
        if state.tally.is_empty() {
            return Ok(());
        }
        let who = self.token.identity(self.principal());
        let mut counts = state.tally.take().into_iter();
        while let Some(count) = counts.next() {
            if let Err(error) = self.token.note(&count.event(who.clone())) {
                state.tally.put_back(std::iter::once(count).chain(counts));
                return Err(error);
            }
        }
        Ok(())
    }
}

impl State {
    /// Counts the end of an operation.
    pub(super) fn count<T>(&mut self, trace: Option<Trace>, outcome: &Result<T>) {
        match (trace, outcome) {
            (Some(Trace::Counted(slot)), Ok(_)) => self.tally.succeeded(slot),
            (Some(Trace::Counted(slot)), Err(error)) => self.tally.failed(slot, error),
            (Some(Trace::Single(operation)), outcome) => {
                let outcome = outcome.as_ref().map(|_| ()).map_err(Error::clone);
                self.ended = Some(Ended { operation, outcome });
            }
            (None, _) => {}
        }
    }
}
