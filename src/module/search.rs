//! Searches: PKCS#11 v3.2 §5.7.7 to §5.7.9.
//!
//! `C_FindObjects` reads as far as it is asked to. What one search keeps is a page
//! of unique ids; what the application is given keeps a handle, of about 220 bytes,
//! until the object is gone or, if it is private, until logout.

use super::objects::ObjectEntry;
use super::slots::Slot;
use super::{Module, handle_table::Held};
use crate::error::{Error, Result};
use crate::object::query::Query;
use crate::session::{Search, Session};
use crate::token;
use crate::types::{ObjectHandle, SessionHandle, Template};
use std::ops::Bound;

/// How many session objects are looked at between two looks at the slot.
const SESSION_PAGE: usize = 256;

impl Module {
    /// Begins a search (`C_FindObjectsInit`). The first page is looked for at once,
    /// so that this call tells what is wrong with a search for one key.
    ///
    /// # Errors
    /// [`Error::OperationActive`]; [`Error::AttributeValueInvalid`]; as for
    /// [`Token::find_next`](crate::token::Token::find_next).
    pub fn find_objects_init(&self, handle: SessionHandle, template: &Template<'_>) -> Result<()> {
        let session = self.session(handle)?;
        session.state.lock().may_search()?;
        let mut search = Search::new(token::Search::new(Query::parse(template)?));
        look_further(&session, &mut search)?;
        let mut state = session.state.lock();
        state.may_search()?;
        state.search_init(search);
        Ok(())
    }

    /// The next handles of a search (`C_FindObjects`): `limit` of them, or fewer when
    /// there are no more. After a logout they are those of public objects, after another
    /// login those that this one may see.
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`]; as for
    /// [`Token::find_next`](crate::token::Token::find_next), once what was found before
    /// has been given.
    pub fn find_objects(&self, session: SessionHandle, limit: usize) -> Result<Vec<ObjectHandle>> {
        let session = self.session(session)?;
        let search = session.state.lock().search()?;
        let mut search = search.lock();
        let slot = self.slot_of(&session)?;
        let mut given = Vec::new();
        self.give_session_objects(&session, &slot, &mut search, limit, &mut given);
        while given.len() < limit {
            if search.found.is_empty() {
                match look_further(&session, &mut search) {
                    Ok(()) => {}
                    Err(error) if given.is_empty() => return Err(error),
                    // Asked again, the same is found wrong again.
                    Err(_) => break,
                }
            }
            let wanted = search.found.len().min(limit - given.len());
            if wanted == 0 {
                break;
            }
            let finder = search.finder;
            let next = search.found.drain(..wanted);
            self.give_token_objects(&session, &slot, (next, finder), &mut given)?;
        }
        Ok(given)
    }

    /// Ends a search (`C_FindObjectsFinal`).
    ///
    /// # Errors
    /// [`Error::OperationNotInitialized`].
    pub fn find_objects_final(&self, session: SessionHandle) -> Result<()> {
        self.session(session)?.state.lock().search_final()
    }

    fn give_session_objects(
        &self,
        session: &Session,
        slot: &Slot,
        search: &mut Search,
        limit: usize,
        given: &mut Vec<ObjectHandle>,
    ) {
        while let Some(last) = search.session_objects.filter(|_| given.len() < limit) {
            let behind = (Bound::Excluded(last), Bound::Unbounded);
            let page: Vec<_> = {
                let state = slot.state.lock();
                state.session_objects.range(behind).take(SESSION_PAGE).copied().collect()
            };
            search.session_objects = page.last().copied();
            for handle in page {
                let query = search.token_objects.query();
                if self.session_object_matches(session, handle, query) {
                    given.push(handle);
                    if given.len() == limit {
                        search.session_objects = Some(handle);
                        break;
                    }
                }
            }
        }
    }

    fn session_object_matches(
        &self,
        session: &Session,
        handle: ObjectHandle,
        query: &Query,
    ) -> bool {
        let Some(entry): Option<Held<ObjectEntry>> = self.objects.get(handle.0) else {
            return false;
        };
        let Some(object) = entry.session_object() else { return false };
        object.load().as_ref().is_some_and(|key| {
            let principal = session.principal();
            key.authorize_description(&session.token, principal).is_ok()
                && session.token.matches(principal, query, key.object())
        })
    }
}

/// Looks for the next page of the token's objects; finds nothing when there are no
/// more.
fn look_further(session: &Session, search: &mut Search) -> Result<()> {
    loop {
        let principal = session.principal();
        match session.token.find_next(principal, &mut search.token_objects) {
            Ok(found) => {
                search.found.extend(found);
                search.finder = principal;
                return Ok(());
            }
            // Another thread has logged out or in at this moment.
            Err(Error::UserNotLoggedIn) if session.principal() != principal => {}
            Err(error) => return Err(error),
        }
    }
}
