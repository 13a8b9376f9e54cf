//! Values that have a record of their own, sealed: users, roles, access keys, grants,
//! aliases.
//!
//! The plain text of such a record is a CBOR array of what the record is found by, pairs
//! of property and value, and of the value. The store has keyed hashes of the former as
//! tags. So a record is sealed anew, and held against its tags, by one who does not know
//! what it means.

use super::{Token, record_id, rotation};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::Principal;
use crate::secret::SecretBytes;
use crate::store::{self, Change, Cursor, Kind, Reader, Record, RecordId, Tag};
use crate::vault::{Place, Vault};
use minicbor::bytes::ByteSlice;
use minicbor::{CborLen, Decode, Encode};

/// A value that a record of its own holds.
pub(super) trait SealedValue: Encode<()> + CborLen<()> + for<'b> Decode<'b, ()> {
    /// The kind of the record.
    const KIND: Kind;

    /// What the record is called, unique within its kind. It can be read in the file.
    fn name(&self) -> &str;

    /// By what it is found: a number of the property, which is stored, and its value.
    fn properties(&self) -> Vec<Property<'_>> {
        Vec::new()
    }
}

/// One property by which a record is found.
pub(super) type Property<'a> = (u8, &'a str);

/// The property by which all that belongs to a key is found: its unique id.
pub(super) const OF_KEY: u8 = 1;

/// A value and the version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored<T> {
    /// The value.
    pub value: T,
    /// The version of the record that holds it.
    pub version: u64,
}

/// The plain text of a record.
#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct Plain<'a> {
    #[b(0)]
    properties: Vec<WireProperty<'a>>,
    #[b(1)]
    value: &'a ByteSlice,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct WireProperty<'a> {
    #[n(0)]
    number: u8,
    #[b(1)]
    value: &'a str,
}

fn damaged(record: &Record) -> Error {
    Error::RecordDamaged(record.id.as_str().to_owned())
}

fn place_of(record: &Record) -> Place<'_> {
    Place { kind: record.kind.0, id: record.id.as_str(), version: record.version }
}

/// `value` as bytes, in memory that is wiped.
fn encoded<T: Encode<()> + CborLen<()>>(value: &T) -> Result<SecretBytes> {
    SecretBytes::filled(minicbor::len(value), |out| {
        minicbor::encode(value, out)
            .map_err(|error| Error::FunctionFailed(format!("encoding a record: {error}")))
    })
}

/// The tags of these properties, sorted.
fn tags_of<'a>(vault: &Vault, properties: impl Iterator<Item = Property<'a>>) -> Result<Vec<Tag>> {
    let mut tags = properties
        .map(|(property, value)| Ok(Tag { property, hash: vault.tag(property, value.as_bytes())? }))
        .collect::<Result<Vec<_>>>()?;
    tags.sort_unstable();
    Ok(tags)
}

/// Opens a record.
///
/// # Errors
/// [`Error::RecordDamaged`].
pub(super) fn open<T: SealedValue>(record: &Record, vault: &Vault) -> Result<Stored<T>> {
    let plain = vault.open(place_of(record), &[], &record.body)?;
    let plain: Plain<'_> = minicbor::decode(plain.expose()).map_err(|_| damaged(record))?;
    let value: T = minicbor::decode(plain.value).map_err(|_| damaged(record))?;
    if value.name() != record.id.as_str() {
        return Err(damaged(record));
    }
    Ok(Stored { value, version: record.version })
}

/// The value of this name; `None` if there is none.
///
/// # Errors
/// [`Error::RecordDamaged`]; the store could not be read.
pub(super) fn get<T: SealedValue>(
    reader: &(impl Reader + ?Sized),
    vault: &Vault,
    name: &str,
) -> Result<Option<Stored<T>>> {
    // What cannot be a name is nobody's.
    let Some(id) = RecordId::new(name) else { return Ok(None) };
    reader.get(T::KIND, &id)?.map(|record| open(&record, vault)).transpose()
}

/// Visits all values of a kind, or those with a property, in the order in which they
/// were made.
///
/// # Errors
/// What `visit` returns, which ends it; [`Error::RecordDamaged`] for a record that does
/// not open or does not have the property that its tag claims; the store could not be
/// read.
pub(super) fn for_each<T: SealedValue>(
    reader: &(impl Reader + ?Sized),
    vault: &Vault,
    by: Option<Property<'_>>,
    mut visit: impl FnMut(Stored<T>) -> Result<()>,
) -> Result<()> {
    let tags = tags_of(vault, by.into_iter())?;
    store::for_each(reader, T::KIND, &tags, |record| {
        let stored: Stored<T> = open(record, vault)?;
        if by.is_some_and(|by| !stored.value.properties().contains(&by)) {
            return Err(damaged(record));
        }
        visit(stored)
    })
}

/// Some of the values that have all of these properties, at most `limit`, in the order in
/// which they were made; and where to go on, if there may be more.
///
/// # Errors
/// As for [`for_each`].
pub(super) fn page<T: SealedValue>(
    reader: &(impl Reader + ?Sized),
    vault: &Vault,
    by: &[Property<'_>],
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<T>, Option<Cursor>)> {
    let tags = tags_of(vault, by.iter().copied())?;
    let page = reader.find(T::KIND, &tags, after, limit)?;
    let opened = page.records.iter().map(|record| {
        let stored: Stored<T> = open(record, vault)?;
        let properties = stored.value.properties();
        if by.iter().all(|by| properties.contains(by)) {
            drop(properties);
            Ok(stored.value)
        } else {
            Err(damaged(record))
        }
    });
    Ok((opened.collect::<Result<_>>()?, page.next))
}

/// How many values have a property, counted up to `most`.
///
/// # Errors
/// The store could not be read.
pub(super) fn count<T: SealedValue>(
    reader: &(impl Reader + ?Sized),
    vault: &Vault,
    (property, value): Property<'_>,
    most: usize,
) -> Result<usize> {
    let tag = Tag { property, hash: vault.tag(property, value.as_bytes())? };
    reader.count(T::KIND, tag, most)
}

/// The change that stores `value` over version `expected`.
///
/// # Errors
/// [`Error::EntropyUnavailable`].
pub(super) fn put<T: SealedValue>(
    vault: &Vault,
    value: &T,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let (kind, id) = (T::KIND, record_id(value.name())?);
    let properties = value.properties();
    let wire = properties.iter().map(|&(number, value)| WireProperty { number, value });
    let bytes = encoded(value)?;
    let plain = encoded(&Plain { properties: wire.collect(), value: bytes.expose().into() })?;
    let place = Place { kind: kind.0, id: id.as_str(), version: expected + 1 };
    let body = vault.seal(place, &[], plain.expose(), entropy)?;
    let tags = tags_of(vault, properties.into_iter())?;
    Ok(Change::Put { kind, id, expected, body, tags })
}

/// The change that removes a value.
///
/// # Errors
/// None for a value that was stored.
pub(super) fn remove<T: SealedValue>(stored: &Stored<T>) -> Result<Change> {
    let id = record_id(stored.value.name())?;
    Ok(Change::Remove { kind: T::KIND, id, expected: stored.version })
}

/// The tags that a record of any such kind should have.
///
/// # Errors
/// [`Error::RecordDamaged`] when it does not open.
pub(super) fn tags(record: &Record, vault: &Vault) -> Result<Vec<Tag>> {
    let plain = vault.open(place_of(record), &[], &record.body)?;
    tags_of_plain(&plain, record, vault)
}

fn tags_of_plain(plain: &SecretBytes, record: &Record, vault: &Vault) -> Result<Vec<Tag>> {
    let plain: Plain<'_> = minicbor::decode(plain.expose()).map_err(|_| damaged(record))?;
    tags_of(vault, plain.properties.iter().map(|property| (property.number, property.value)))
}

/// The change that seals a record of any such kind under another root key.
///
/// # Errors
/// [`Error::RecordDamaged`] when it does not open under the old one.
pub(super) fn resealed(
    record: &Record,
    old: &Vault,
    new: &Vault,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let plain = old.open(place_of(record), &[], &record.body)?;
    let tags = tags_of_plain(&plain, record, new)?;
    let (kind, id, expected) = (record.kind, record.id.clone(), record.version);
    let place = Place { kind: kind.0, id: id.as_str(), version: expected + 1 };
    let body = new.seal(place, &[], plain.expose(), entropy)?;
    Ok(Change::Put { kind, id, expected, body, tags })
}

impl Token {
    /// Reads under the present root key, all of one state.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] for one whose login opens nothing; what `look` returns.
    pub(super) fn read_sealed<R>(
        &self,
        principal: Principal,
        mut look: impl FnMut(&dyn Reader, &Vault) -> Result<R>,
    ) -> Result<R> {
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let mut seen = None;
            self.store.snapshot(&mut |reader| {
                rotation::require_present(reader, vault)?;
                seen = Some(look(reader, vault)?);
                Ok(())
            })?;
            seen.ok_or_else(|| Error::FunctionFailed("the store showed nothing".into()))
        })
    }

    /// Changes sealed values, all in one commit: `change` sees what is there under the
    /// writer's lock, and may be asked again.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`], [`Error::TokenWriteProtected`]; what `change` returns;
    /// or why it could not be stored.
    pub(super) fn change_sealed<R>(
        &self,
        principal: Principal,
        mut change: impl FnMut(&dyn Reader, &Vault, &mut Vec<Change>) -> Result<R>,
    ) -> Result<R> {
        self.refresh()?;
        self.require_writable()?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let mut made = None;
            self.commit(Some(vault), &mut |reader| {
                let mut changes = Vec::new();
                made = Some(change(reader, vault, &mut changes)?);
                Ok(changes)
            })?;
            made.ok_or_else(|| Error::FunctionFailed("the store changed nothing".into()))
        })
        .inspect(|_| self.act_on_dates_now_and_then())
    }
}
