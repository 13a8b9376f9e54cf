//! Records, tags and the log of changes, within one transaction.

#![forbid(unsafe_code)]

use super::failure::At;
use crate::error::{Error, Result};
use crate::store::{
    Change, Changes, Cursor, Flaw, Kind, Page, Reader, Record, RecordId, Sequence, Tag, expect,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};
use std::collections::BTreeSet;
use std::path::Path;

/// The log is cut to half of this when it exceeds it, in rows.
pub(super) const LOG_LIMIT: u64 = 8192;

pub(super) const GET: &str =
    "SELECT number, id, version, body FROM records WHERE kind = ?1 AND id = ?2";
pub(super) const BY_NUMBER: &str =
    "SELECT number, id, version, body FROM records WHERE number = ?1";
pub(super) const IN_ORDER: &str = "SELECT number FROM records \
     WHERE kind = ?1 AND number > ?2 ORDER BY number LIMIT 1";
pub(super) const BY_TAG: &str = "SELECT number FROM tags \
     WHERE kind = ?1 AND property = ?2 AND hash = ?3 AND number > ?4 ORDER BY number LIMIT 1";
pub(super) const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM tags \
     WHERE kind = ?1 AND property = ?2 AND hash = ?3 LIMIT ?4)";
const EXISTING: &str = "SELECT number, version, tags FROM records WHERE kind = ?1 AND id = ?2";
const INSERT: &str = "INSERT INTO records (number, kind, id, version, sequence, tags, body) \
     VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)";
const UPDATE: &str =
    "UPDATE records SET version = ?2, sequence = ?3, tags = ?4, body = ?5 WHERE number = ?1";
const DELETE: &str = "DELETE FROM records WHERE number = ?1";
const ADD_TAG: &str = "INSERT INTO tags (kind, property, hash, number) VALUES (?1, ?2, ?3, ?4)";
const DROP_TAG: &str = "DELETE FROM tags \
     WHERE kind = ?1 AND property = ?2 AND hash = ?3 AND number = ?4";
const META: &str = "SELECT sequence, last_number, log_start, log_rows FROM meta";
const RESERVATIONS: &str = "SELECT last_reservation FROM meta";
const SET_META: &str =
    "UPDATE meta SET sequence = ?1, last_number = ?2, log_start = ?3, log_rows = ?4";
const LOG: &str = "INSERT INTO changes (sequence, kind, id) VALUES (?1, ?2, ?3)";
// Cut where an edited file holds more than is ever logged.
const LOGGED: &str = "SELECT DISTINCT kind, id FROM \
     (SELECT kind, id FROM changes WHERE sequence > ?1 LIMIT 16384)";
const LOG_CUT: &str =
    "SELECT sequence FROM changes ORDER BY sequence DESC, kind DESC, id DESC LIMIT 1 OFFSET ?1";
const LOG_PRUNE: &str = "DELETE FROM changes WHERE sequence <= ?1";

/// What an edited index is called.
const OUT_OF_ORDER: &str = "an index is out of order";

/// A page of records ends when it holds more bytes than this.
const PAGE_BYTES: usize = 4 << 20;

/// The bytes of a tag inside `records.tags`: property, hash.
pub(super) const TAG_LEN: usize = 17;

/// The tags of `records.tags`; what is left of a damaged one is left out.
pub(super) fn unpacked(packed: &[u8]) -> Vec<Tag> {
    let (tags, _) = packed.as_chunks::<TAG_LEN>();
    let tag = |[property, hash @ ..]: &[u8; TAG_LEN]| Tag { property: *property, hash: *hash };
    tags.iter().map(tag).collect()
}

/// The state that one transaction sees.
pub(super) struct Snapshot<'c> {
    pub(super) connection: &'c Connection,
    pub(super) path: &'c Path,
}

/// The counters of the one row of `meta`.
struct Meta {
    sequence: u64,
    last_number: u64,
    log_start: u64,
    log_rows: u64,
}

/// A number for SQLite, whose integers are signed. None that the store hands out
/// gets near the limit; one from outside that exceeds it matches nothing.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from SQLite that is never negative in a sound file.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

impl Snapshot<'_> {
    pub(super) fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql).at(self.path, "prepare a statement")
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::StoreDamaged { path: self.path.into(), reason: reason.into() }
    }

    pub(super) fn record_id(&self, id: &str) -> Result<RecordId> {
        RecordId::new(id).ok_or_else(|| self.damaged("a record has an impossible name"))
    }

    pub(super) fn kind(&self, kind: i64) -> Result<Kind> {
        u8::try_from(kind).map(Kind).map_err(|_| self.damaged("a record has an impossible kind"))
    }

    fn record(
        &self,
        statement: &mut CachedStatement<'_>,
        kind: Kind,
        parameters: impl rusqlite::Params,
    ) -> Result<Option<Record>> {
        let found = statement.query_row(parameters, |row| {
            Ok((row.get::<_, String>(1)?, unsigned(row, 2)?, row.get(3)?))
        });
        let Some((id, version, body)) = found.optional().at(self.path, "read a record")? else {
            return Ok(None);
        };
        Ok(Some(Record { kind, id: self.record_id(&id)?, version, body }))
    }

    fn meta(&self) -> Result<Meta> {
        self.statement(META)?
            .query_row((), |row| {
                Ok(Meta {
                    sequence: unsigned(row, 0)?,
                    last_number: unsigned(row, 1)?,
                    log_start: unsigned(row, 2)?,
                    log_rows: unsigned(row, 3)?,
                })
            })
            .at(self.path, "read the counters")
    }

    /// How many reservations were ever made.
    pub(super) fn reservations(&self) -> Result<u64> {
        self.statement(RESERVATIONS)?
            .query_row((), |row| unsigned(row, 0))
            .at(self.path, "read the counters")
    }

    /// What was committed after `since`.
    pub(super) fn changes(&self, since: Sequence) -> Result<Changes> {
        let meta = self.meta()?;
        let now = Sequence(meta.sequence);
        // A number from the future comes from another life of this file.
        if since.0 < meta.log_start || since > now {
            return Ok(Changes::Everything { now });
        }
        let mut statement = self.statement(LOGGED)?;
        let mut rows = statement.query([signed(since.0)]).at(self.path, "read the log")?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().at(self.path, "read the log")? {
            let (kind, id): (i64, String) =
                <(i64, String)>::try_from(row).at(self.path, "read the log")?;
            records.push((self.kind(kind)?, self.record_id(&id)?));
        }
        Ok(Changes::Records { records, now })
    }

    /// Begins the next commit.
    pub(super) fn commit(&self) -> Result<Commit<'_>> {
        let mut meta = self.meta()?;
        meta.sequence += 1;
        Ok(Commit { state: self, meta, touched: Touched::Each(BTreeSet::new()) })
    }

    fn put(
        &self,
        meta: &mut Meta,
        kind: Kind,
        id: &RecordId,
        expected: u64,
        body: &[u8],
        mut tags: Vec<Tag>,
    ) -> Result<()> {
        tags.sort_unstable();
        tags.dedup();
        let packed: Vec<u8> =
            tags.iter().flat_map(|tag| [tag.property].into_iter().chain(tag.hash)).collect();
        let (existing, sequence) = (self.existing(kind, id)?, signed(meta.sequence));
        let version = existing.as_ref().map_or(0, |(_, version, _)| *version);
        expect(id, expected, version)?;
        let number = if let Some((number, _, old)) = existing {
            if old != packed {
                self.drop_tags(kind, number, &old)?;
            }
            self.statement(UPDATE)?
                .execute((number, signed(version + 1), sequence, &packed, body))
                .at(self.path, "change a record")?;
            if old == packed {
                return Ok(());
            }
            number
        } else {
            meta.last_number += 1;
            let number = signed(meta.last_number);
            self.statement(INSERT)?
                .execute((number, kind.0, id.as_str(), sequence, &packed, body))
                .at(self.path, "add a record")?;
            number
        };
        let mut statement = self.statement(ADD_TAG)?;
        for tag in tags {
            statement
                .execute((kind.0, tag.property, tag.hash, number))
                .at(self.path, "add a tag")?;
        }
        Ok(())
    }

    fn remove(&self, kind: Kind, id: &RecordId, expected: u64) -> Result<()> {
        let existing = self.existing(kind, id)?;
        expect(id, expected, existing.as_ref().map_or(0, |(_, version, _)| *version))?;
        // Expecting the absence of what is absent: nothing to do.
        let Some((number, _, tags)) = existing else { return Ok(()) };
        self.drop_tags(kind, number, &tags)?;
        self.statement(DELETE)?.execute([number]).at(self.path, "remove a record")?;
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        for table in ["records", "tags", "changes", "attempts", "reservations"] {
            self.statement(&format!("DELETE FROM {table}"))?
                .execute(())
                .at(self.path, "clear the store")?;
        }
        Ok(())
    }

    /// Number, version and packed tags of a record.
    fn existing(&self, kind: Kind, id: &RecordId) -> Result<Option<(i64, u64, Vec<u8>)>> {
        self.statement(EXISTING)?
            .query_row((kind.0, id.as_str()), |row| {
                Ok((row.get(0)?, unsigned(row, 1)?, row.get(2)?))
            })
            .optional()
            .at(self.path, "read a record")
    }

    fn drop_tags(&self, kind: Kind, number: i64, packed: &[u8]) -> Result<()> {
        let mut statement = self.statement(DROP_TAG)?;
        let mut tags = packed.chunks_exact(TAG_LEN);
        for tag in &mut tags {
            statement.execute((kind.0, tag[0], &tag[1..], number)).at(self.path, "remove a tag")?;
        }
        if tags.remainder().is_empty() {
            Ok(())
        } else {
            Err(self.damaged("a record's tags are cut off"))
        }
    }

    /// Writes down what a commit touched, and keeps the log short.
    fn log(&self, meta: &mut Meta, touched: &Touched) -> Result<()> {
        let at = "write the log";
        let Touched::Each(touched) = touched else {
            self.statement(LOG_PRUNE)?.execute([i64::MAX]).at(self.path, at)?;
            (meta.log_start, meta.log_rows) = (meta.sequence, 0);
            return Ok(());
        };
        let mut statement = self.statement(LOG)?;
        for (kind, id) in touched {
            statement.execute((signed(meta.sequence), kind.0, id.as_str())).at(self.path, at)?;
        }
        meta.log_rows += touched.len() as u64;
        if meta.log_rows > LOG_LIMIT {
            let cut = self
                .statement(LOG_CUT)?
                .query_row([signed(LOG_LIMIT / 2)], |row| unsigned(row, 0))
                .at(self.path, at)?;
            let gone = self.statement(LOG_PRUNE)?.execute([signed(cut)]).at(self.path, at)?;
            meta.log_start = cut;
            meta.log_rows = meta.log_rows.saturating_sub(gone as u64);
        }
        Ok(())
    }

    /// The first record behind `after` that bears all tags. The tags' lists, each
    /// in order, are leapt through in turn: every step goes to the next candidate of
    /// one list, so the cost is that of the shortest list, however long the others.
    fn next_match(
        &self,
        seek: &mut CachedStatement<'_>,
        kind: Kind,
        tags: &[Tag],
        after: i64,
    ) -> Result<Option<i64>> {
        let at = "look up a tag";
        if tags.is_empty() {
            let found: Option<i64> =
                seek.query_row((kind.0, after), |row| row.get(0)).optional().at(self.path, at)?;
            return match found {
                Some(found) if found <= after => Err(self.damaged(OUT_OF_ORDER)),
                found => Ok(found),
            };
        }
        let (mut candidate, mut agreeing) = (after, 0);
        for tag in tags.iter().cycle() {
            // From the candidate itself on, but never back to `after`.
            let behind = if candidate == after { after } else { candidate - 1 };
            let found: Option<i64> = seek
                .query_row((kind.0, tag.property, tag.hash, behind), |row| row.get(0))
                .optional()
                .at(self.path, at)?;
            let Some(found) = found else { return Ok(None) };
            // It would be leapt through for ever.
            if found <= behind {
                return Err(self.damaged(OUT_OF_ORDER));
            }
            agreeing = if found == candidate { agreeing + 1 } else { 1 };
            candidate = found;
            if agreeing == tags.len() {
                break;
            }
        }
        Ok(Some(candidate))
    }
}

/// A commit that is being put together; what it has changed so far the state shows.
pub(super) struct Commit<'s> {
    state: &'s Snapshot<'s>,
    meta: Meta,
    touched: Touched,
}

/// The records that a commit touched.
enum Touched {
    Each(BTreeSet<(Kind, RecordId)>),
    /// More than the log takes of one commit.
    TooMany,
}

impl Touched {
    fn insert(&mut self, kind: Kind, id: RecordId) {
        let Self::Each(records) = self else { return };
        records.insert((kind, id));
        if records.len() as u64 > LOG_LIMIT / 2 {
            *self = Self::TooMany;
        }
    }
}

impl Commit<'_> {
    /// Applies a batch.
    pub(super) fn apply(&mut self, batch: Vec<Change>) -> Result<()> {
        for change in batch {
            match change {
                Change::Put { kind, id, expected, body, tags } => {
                    self.state.put(&mut self.meta, kind, &id, expected, &body, tags)?;
                    self.touched.insert(kind, id);
                }
                Change::Remove { kind, id, expected } => {
                    self.state.remove(kind, &id, expected)?;
                    self.touched.insert(kind, id);
                }
                Change::Clear => {
                    self.state.clear()?;
                    self.meta.log_start = self.meta.sequence;
                    self.meta.log_rows = 0;
                    self.touched = Touched::Each(BTreeSet::new());
                }
            }
        }
        Ok(())
    }

    /// Writes the log and the counters; the commit's number.
    pub(super) fn finish(mut self) -> Result<Sequence> {
        let state = self.state;
        state.log(&mut self.meta, &self.touched)?;
        let Meta { sequence, last_number, log_start, log_rows } = self.meta;
        state
            .statement(SET_META)?
            .execute([sequence, last_number, log_start, log_rows].map(signed))
            .at(state.path, "write the counters")?;
        Ok(Sequence(sequence))
    }
}

impl Reader for Snapshot<'_> {
    fn get(&self, kind: Kind, id: &RecordId) -> Result<Option<Record>> {
        self.record(&mut self.statement(GET)?, kind, (kind.0, id.as_str()))
    }

    fn find(&self, kind: Kind, tags: &[Tag], after: Option<Cursor>, limit: usize) -> Result<Page> {
        let mut seek = self.statement(if tags.is_empty() { IN_ORDER } else { BY_TAG })?;
        let mut by_number = self.statement(BY_NUMBER)?;
        let mut position = signed(after.map_or(0, |cursor| cursor.0));
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(number) = self.next_match(&mut seek, kind, tags, position)? {
            if records.len() == limit || bytes > PAGE_BYTES {
                let next = u64::try_from(position).ok().map(Cursor);
                return Ok(Page { records, next });
            }
            // What somebody has removed must not keep the others from being found.
            if let Some(record) = self.record(&mut by_number, kind, [number])? {
                bytes += record.body.len();
                records.push(record);
            }
            position = number;
        }
        Ok(Page { records, next: None })
    }

    fn count(&self, kind: Kind, tag: Tag, most: usize) -> Result<usize> {
        let parameters = (kind.0, tag.property, tag.hash, signed(most as u64));
        let count = self.statement(COUNT)?.query_row(parameters, |row| unsigned(row, 0));
        let count = count.at(self.path, "count records")?;
        Ok(usize::try_from(count).unwrap_or(most))
    }

    fn sequence(&self) -> Result<Sequence> {
        self.meta().map(|meta| Sequence(meta.sequence))
    }

    fn tags(&self, kind: Kind, id: &RecordId) -> Result<Vec<Tag>> {
        Ok(self.existing(kind, id)?.map(|(_, _, packed)| unpacked(&packed)).unwrap_or_default())
    }

    fn flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        self.find_flaws(most)
    }
}
