//! Finding objects, a page at a time.
//!
//! A search holds where it stands and not what it will find, so its cost in
//! memory is that of a page however many objects match. What is made, changed or
//! destroyed while it is under way may or may not be found (PKCS#11 v3.2
//! §5.7.7); everything else that matches is found once.

use super::live::Stamp;
use super::objects::{Dated, INDEXED, kind_of, open, tag, visible_kinds};
use super::record::{PRIVATE, PUBLIC};
use super::{LiveObject, Token};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::object::query::Query;
use crate::policy::{Action, Principal, Resource};
use crate::store::{Cursor, Kind, Record, RecordId};
use crate::types::AttributeType;
use crate::vault::Vault;
use std::sync::Arc;

/// How many records are read at a time.
const PAGE: usize = 64;

/// A search under way.
#[derive(Debug)]
pub struct Search {
    query: Query,
    /// `None` when everything has been looked through.
    stage: Option<Stage>,
}

/// Where a search goes on. A record keeps its place among those of its kind for as
/// long as it lives, so none comes twice.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The one object of a unique id.
    Named,
    /// Objects of this kind.
    Of(Kind, Option<Cursor>),
}

/// An object that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its unique id.
    pub unique_id: String,
    /// Whether it is private.
    pub is_private: bool,
    /// The object, if it is the only one of its page and was opened to see whether it
    /// is asked for: whoever looks for one key uses it next.
    pub opened: Option<Arc<LiveObject>>,
}

/// The same object, opened or not.
impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.unique_id == other.unique_id && self.is_private == other.is_private
    }
}

impl Found {
    /// What is found of an open object.
    #[must_use]
    pub fn of(live: Arc<LiveObject>) -> Self {
        let object = live.object();
        let (unique_id, is_private) = (object.unique_id().to_owned(), object.is_private());
        Self { unique_id, is_private, opened: Some(live) }
    }
}

impl Search {
    /// A search that has not looked anywhere yet.
    #[must_use]
    pub fn new(query: Query) -> Self {
        let nothing =
            query.matches_nothing() || query.wanted_flag(AttributeType::Token) == Some(false);
        let stage = if query.wanted(AttributeType::UniqueId).is_some() {
            Stage::Named
        } else {
            Stage::Of(PRIVATE, None)
        };
        Self { query, stage: (!nothing).then_some(stage) }
    }

    /// What is searched for.
    #[must_use]
    pub const fn query(&self) -> &Query {
        &self.query
    }
}

impl Token {
    /// The next objects that `search` finds and that `principal` may see, private
    /// ones first, oldest first within each visibility. None when there are no more.
    /// Whoever has logged out meanwhile goes on with what the public sees, and whoever
    /// has logged in with what is still to come.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`] for a record that is asked for by its unique id
    /// and does not open, or that the look-up columns name for a label or an id
    /// that is not its own; the store could not be read. The search then stands where
    /// it stood. Other damaged records are passed over, or are found and refuse to be
    /// used.
    pub fn find_next(&self, principal: Principal, search: &mut Search) -> Result<Vec<Found>> {
        self.refresh()?;
        while let Some(stage) = search.stage {
            let (found, next) = match stage {
                Stage::Named => (self.find_named(principal, &search.query)?, None),
                Stage::Of(kind, after) => {
                    self.find_in_present(principal, &search.query, kind, after)?
                }
            };
            search.stage = next;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Keeps what was opened as far as it is worth it, and as far as it is still what
    /// the store has.
    fn with_the_only_one_kept(&self, mut found: Vec<Found>, stamp: Stamp) -> Vec<Found> {
        let is_alone = found.len() == 1;
        for found in &mut found {
            let opened = found.opened.take().filter(|_| is_alone);
            found.opened = opened.and_then(|live| {
                let id = RecordId::new(&found.unique_id)?;
                self.registry.lock().keep(id, &live, stamp)
            });
        }
        found
    }

    fn find_named(&self, principal: Principal, query: &Query) -> Result<Vec<Found>> {
        let id = query.wanted(AttributeType::UniqueId).unwrap_or_default();
        let id = std::str::from_utf8(id).unwrap_or_default();
        let live = self.get(principal, id)?;
        let live = live.filter(|live| self.matches(principal, query, live.object()));
        Ok(live.map(Found::of).into_iter().collect())
    }

    /// What one page holds, looked for once more when the root key, and with it every
    /// tag, was replaced meanwhile.
    fn find_in_present(
        &self,
        principal: Principal,
        query: &Query,
        kind: Kind,
        after: Option<Cursor>,
    ) -> Result<(Vec<Found>, Option<Stage>)> {
        loop {
            let stamp = self.registry.lock().stamp();
            let vault = self.vault_of(principal)?;
            let page = self.find_page(principal, vault.as_deref(), query, kind, after);
            let page = page.map(|(found, next)| (self.with_the_only_one_kept(found, stamp), next));
            if vault.is_none() {
                return page;
            }
            self.refresh()?;
            if self.principal() != principal || self.registry.lock().stamp().is_of_login(stamp) {
                return page;
            }
        }
    }

    /// Spares searches the look at public objects, as long as there are none: most tokens
    /// hold private ones only. What keeps it from that is no reason not to log in.
    pub(super) fn look_for_public_objects(&self) {
        let stamp = self.registry.lock().stamp();
        if self.store.find(PUBLIC, &[], None, 1).is_ok_and(|page| page.records.is_empty()) {
            self.registry.lock().found_none_public(stamp);
        }
    }

    /// What one page of records holds, and where to go on.
    fn find_page(
        &self,
        principal: Principal,
        vault: Option<&Vault>,
        query: &Query,
        kind: Kind,
        after: Option<Cursor>,
    ) -> Result<(Vec<Found>, Option<Stage>)> {
        let after_this = (kind == PRIVATE).then_some(Stage::Of(PUBLIC, None));
        let wanted = query.wanted_flag(AttributeType::Private);
        if !visible_kinds(principal).contains(&kind)
            || (kind == PUBLIC && self.registry.lock().are_all_private())
            || wanted.is_some_and(|private| kind != kind_of(private))
        {
            return Ok((Vec::new(), after_this));
        }
        let tags = INDEXED
            .iter()
            .filter_map(|&(attribute, property)| Some((property, query.wanted(attribute)?)))
            .map(|(property, value)| tag(kind, vault, property, value))
            .collect::<Result<Vec<_>>>()?;
        let page = self.store.find(kind, &tags, after, PAGE)?;
        // No seal protects the look-up columns, so what is asked for by label or id is
        // opened: who edits the file must not make a program use another key than it named.
        let names = [AttributeType::Label, AttributeType::Id];
        let by_name = names.iter().any(|name| query.wanted(*name).is_some());
        // A named user sees what policies show, and only the object tells.
        let opens = by_name
            || !is_indexed(query)
            || !sees_all(principal)
            || (!page.records.is_empty() && self.one_may_be_gone(kind, vault)?);
        let mut found = Vec::new();
        for record in &page.records {
            found.extend(if opens {
                self.judged(principal, query, record, vault)?
            } else {
                Some(unopened(record))
            });
        }
        let next = page.next.map(|cursor| Stage::Of(kind, Some(cursor)));
        Ok((found, next.or(after_this)))
    }

    /// Whether an object of this kind may have been deleted by its date.
    fn one_may_be_gone(&self, kind: Kind, vault: Option<&Vault>) -> Result<bool> {
        let dated = Dated::Deletion.tag(kind, vault)?;
        Ok(!self.store.find(kind, &[dated], None, 1)?.records.is_empty())
    }

    /// What is found by a record that bears the query's tags, once it is opened.
    fn judged(
        &self,
        principal: Principal,
        query: &Query,
        record: &Record,
        vault: Option<&Vault>,
    ) -> Result<Option<Found>> {
        let is_indexed = is_indexed(query);
        let known = self.registry.lock().get(record.kind, &record.id);
        let known = known.filter(|live| {
            live.version == record.version && (live.is_complete() || vault.is_none())
        });
        let Ok(live) = known.map_or_else(|| open(record, vault).map(Arc::new), Ok) else {
            return Ok((is_indexed && sees_all(principal)).then(|| unopened(record)));
        };
        if self.is_gone(&live) || !self.may_see(principal, live.object())? {
            return Ok(None);
        }
        match self.matches(principal, query, live.object()) {
            false if is_indexed => Err(Error::RecordDamaged(record.id.as_str().to_owned())),
            fits => Ok(fits.then(|| Found::of(live))),
        }
    }

    /// Whether an object that `principal` may see is what `query` asks for; who may not
    /// read its value cannot find it by that either.
    #[must_use]
    pub fn matches(&self, principal: Principal, query: &Query, object: &Object) -> bool {
        query.matches(object)
            && (query.wanted(AttributeType::Value).is_none()
                || (self.authorize(principal, Action::ReadValue, Resource::Object(object)).is_ok()
                    && self.require_state(Action::ReadValue, object).is_ok()))
    }

    /// Whether `principal` may still see what `finder` has found.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn may_be_given(
        &self,
        principal: Principal,
        found: &Found,
        finder: Principal,
    ) -> Result<bool> {
        if !visible_kinds(principal).contains(&kind_of(found.is_private)) {
            return Ok(false);
        }
        if principal == finder || sees_all(principal) {
            return Ok(true);
        }
        match self.get(principal, &found.unique_id) {
            Err(Error::UserNotLoggedIn) => Ok(false),
            got => Ok(got?.is_some()),
        }
    }
}

/// What is found of a record that nobody needs to open.
fn unopened(record: &Record) -> Found {
    Found {
        unique_id: record.id.as_str().to_owned(),
        is_private: record.kind == PRIVATE,
        opened: None,
    }
}

/// Whether no policy hides an object from somebody.
const fn sees_all(principal: Principal) -> bool {
    !matches!(principal, Principal::Named(_))
}

/// Whether the look-up columns say all that is asked for.
fn is_indexed(query: &Query) -> bool {
    query.needs_only(INDEXED.iter().map(|(attribute, _)| *attribute))
}
