//! Replacing the root key, and how those who are logged in follow.
//!
//! All that the root key seals is opened and sealed under the new one in a single
//! commit, a page of records at a time: whoever interrupts it finds the token as it
//! was. Nothing is taken over that was not in order before, and what was written is
//! opened again before it is committed.

use super::check::Check;
use super::credential::{self, decode, place_of};
use super::live::Registry;
use super::record::{
    ACCESS_KEY, ALIAS, AUDIT_KEY, CREDENTIAL, GRANT, Header, PRIVATE, PUBLIC, ROLE, TRANSPORT, USER,
};
use super::{Access, Token, audit, sealed, set, transport};
use crate::error::{Error, Result};
use crate::policy::{Action, Principal, Resource};
use crate::store::{Change, Cursor, Kind, Reader, Record, RecordId};
use crate::vault::Vault;
use std::collections::HashSet;
use std::sync::Arc;

/// How a record is sealed anew; `None` for one that no root key binds.
type Reseal = fn(&Rotation<'_>, &Record) -> Result<Option<Change>>;

/// Names records of the state that it is shown.
type Without<'a> = dyn Fn(&dyn Reader, &Vault) -> Result<HashSet<(Kind, RecordId)>> + 'a;

/// Every kind of record that the root key seals, apart from the header and the set.
const SEALED: &[(Kind, Reseal)] = &[
    (CREDENTIAL, reseal_credential),
    (PRIVATE, reseal_object),
    (PUBLIC, reseal_object),
    (TRANSPORT, reseal_transport_key),
    (USER, reseal_value),
    (ROLE, reseal_value),
    (ACCESS_KEY, reseal_value),
    (GRANT, reseal_value),
    (ALIAS, reseal_value),
    (AUDIT_KEY, reseal_audit_key),
];

/// How many records are held in memory at once.
const PAGE: usize = 256;

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
    /// the login if that cannot be, because its PIN was set anew since, or the user removed.
    /// The caller has the header up to date, or will call again once it is.
    pub(super) fn follow(&self, registry: &mut Registry) -> Result<()> {
        if let Some(next) = self.followed(&self.access.load_full())? {
            self.access.store(Arc::new(next));
            registry.retire_sealed();
        }
        Ok(())
    }

    /// The same login under the present root key, or no login if that cannot be; `None` when
    /// it is so already.
    pub(super) fn followed(&self, access: &Access) -> Result<Option<Access>> {
        let Some(vault) = &access.vault else { return Ok(None) };
        if self.header().is_of(vault) {
            return Ok(None);
        }
        Ok(match self.vault_by_key(access)? {
            // The header is wrong, and the check says so.
            Some(next) if next.root_name() == vault.root_name() => None,
            Some(next) => Some(Access { vault: Some(Arc::new(next)), ..access.clone() }),
            None => Some(Access::PUBLIC),
        })
    }

    /// The vault of the present root key; `None` when no key of the login opens it.
    fn vault_by_key(&self, access: &Access) -> Result<Option<Vault>> {
        let Some(holder) = &access.holder else { return Ok(None) };
        let record = self.store.get(CREDENTIAL, &credential::id(holder)?)?;
        let Some(record) = record else { return Ok(None) };
        let Ok(stored) = decode(&record) else { return Ok(None) };
        let serial = &self.header().serial;
        let mut keys = [&access.key, &access.coming].into_iter().flatten();
        Ok(keys.find_map(|key| stored.vault(serial, place_of(&record), key).ok()))
    }
}

impl Token {
    /// Replaces the root key by a new one and seals everything under it, in one commit.
    /// PINs stay, and so does who is logged in, in other processes too. How many objects
    /// were sealed anew.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] unless the user asks; [`Error::CredentialOutdated`];
    /// [`Error::RecordDamaged`] and [`Error::FunctionFailed`] when the records are not
    /// what was written; or why it could not be stored. Nothing has changed then.
    pub fn rotate_root_key(&self, principal: Principal) -> Result<u64> {
        self.authorize(principal, Action::RotateRootKey, Resource::Token)?;
        self.rotate_without(principal, &|_, _| Ok(HashSet::new()))
    }

    /// The same, leaving out the records that `without` names when it is shown all of them.
    pub(super) fn rotate_without(&self, principal: Principal, without: &Without) -> Result<u64> {
        self.require_writable()?;
        let objects = self.with_vault(principal, |old| {
            let old = old.ok_or(Error::UserNotLoggedIn)?;
            let new = Vault::new(&self.header().serial, &*self.surroundings.entropy)?;
            let mut rotation = Rotation {
                token: self,
                old,
                new,
                without,
                gone: HashSet::new(),
                step: Step::Begin,
                objects: 0,
            };
            self.store.write_in_parts(&mut |reader| rotation.next(reader))?;
            Ok(rotation.objects)
        })?;
        self.refresh()?;
        Ok(objects)
    }
}

/// A root key that is being replaced.
struct Rotation<'a> {
    token: &'a Token,
    old: &'a Vault,
    new: Vault,
    without: &'a Without<'a>,
    /// The records that are left out.
    gone: HashSet<(Kind, RecordId)>,
    step: Step,
    objects: u64,
}

/// What comes next.
enum Step {
    Begin,
    /// A page of this row of [`SEALED`].
    Records(usize, Option<Cursor>),
    Count,
    Verify,
}

impl Rotation<'_> {
    /// The next part of the commit.
    fn next(&mut self, reader: &dyn Reader) -> Result<Vec<Change>> {
        loop {
            let changes = match self.step {
                Step::Begin => {
                    self.step = Step::Records(0, None);
                    self.begin(reader)?
                }
                Step::Records(row, after) => match SEALED.get(row) {
                    Some(&(kind, reseal)) => self.records(reader, row, kind, reseal, after)?,
                    None => {
                        self.step = Step::Count;
                        continue;
                    }
                },
                Step::Count => {
                    self.step = Step::Verify;
                    self.count(reader)?
                }
                Step::Verify => {
                    self.verify(reader)?;
                    return Ok(Vec::new());
                }
            };
            // An empty part would end the commit.
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// Makes sure that all is in order, and names the new root key.
    fn begin(&mut self, reader: &dyn Reader) -> Result<Vec<Change>> {
        require_present(reader, self.old)?;
        if !Check::begin(self.old, reader)?.records()?.findings.is_empty() {
            return Err(Error::FunctionFailed(
                "nothing was replaced: the token's records are not what was written; \
                 `signet token check` names what is wrong"
                    .into(),
            ));
        }
        self.gone = (self.without)(reader, self.old)?;
        let stored = Header::read_with_version(reader)?;
        let (header, version) = stored.ok_or_else(Header::damaged)?;
        let now = self.token.surroundings.clock.now();
        Ok(vec![header.under(&self.new, now).put(version)?])
    }

    fn records(
        &mut self,
        reader: &dyn Reader,
        row: usize,
        kind: Kind,
        reseal: Reseal,
        after: Option<Cursor>,
    ) -> Result<Vec<Change>> {
        let page = reader.find(kind, &[], after, PAGE)?;
        let mut changes = Vec::with_capacity(page.records.len());
        for record in &page.records {
            let (id, expected) = (record.id.clone(), record.version);
            if self.gone.contains(&(kind, id.clone())) {
                changes.push(Change::Remove { kind, id, expected });
            } else {
                changes.extend(reseal(self, record)?);
            }
        }
        if matches!(kind, PRIVATE | PUBLIC) {
            self.objects += changes.len() as u64;
        }
        self.step = match page.next {
            Some(next) => Step::Records(row, Some(next)),
            None => Step::Records(row + 1, None),
        };
        Ok(changes)
    }

    /// Last, what counts and lists all the records.
    fn count(&self, reader: &dyn Reader) -> Result<Vec<Change>> {
        let entropy = &*self.token.surroundings.entropy;
        set::anew(&self.new, reader, &HashSet::new(), &[], entropy)
    }

    /// Opens all that was written.
    fn verify(&self, reader: &dyn Reader) -> Result<()> {
        match Check::begin(&self.new, reader)?.records()?.findings.pop() {
            Some(finding) => Err(Error::RecordDamaged(finding.id)),
            None => Ok(()),
        }
    }
}

fn reseal_credential(rotation: &Rotation<'_>, record: &Record) -> Result<Option<Change>> {
    let entropy = &*rotation.token.surroundings.entropy;
    let body = decode(record)?
        .resealed(place_of(record), rotation.old, &rotation.new, entropy)?
        .ok_or_else(|| Error::CredentialOutdated(record.id.as_str().to_owned()))?;
    let (kind, id, expected) = (record.kind, record.id.clone(), record.version);
    Ok(Some(Change::Put { kind, id, expected, body, tags: Vec::new() }))
}

fn reseal_object(rotation: &Rotation<'_>, record: &Record) -> Result<Option<Change>> {
    rotation.token.resealed(record, rotation.old, &rotation.new)
}

fn reseal_transport_key(rotation: &Rotation<'_>, record: &Record) -> Result<Option<Change>> {
    let entropy = &*rotation.token.surroundings.entropy;
    let private = transport::open(record, rotation.old)?;
    transport::put(&rotation.new, &private, record.version, entropy).map(Some)
}

fn reseal_value(rotation: &Rotation<'_>, record: &Record) -> Result<Option<Change>> {
    let entropy = &*rotation.token.surroundings.entropy;
    sealed::resealed(record, rotation.old, &rotation.new, entropy).map(Some)
}

fn reseal_audit_key(rotation: &Rotation<'_>, record: &Record) -> Result<Option<Change>> {
    let entropy = &*rotation.token.surroundings.entropy;
    let key = audit::open(record, rotation.old)?;
    audit::put(&rotation.new, &key, record.version, entropy).map(Some)
}
