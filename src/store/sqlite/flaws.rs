//! What is wrong with the file: SQLite's own judgement, and whether the look-up table
//! says of every record what the record says of itself.

#![forbid(unsafe_code)]

use super::failure::At;
use super::records::{Snapshot, unpacked};
use crate::error::{Error, Result};
use crate::store::{Flaw, Kind, RecordId, Tag};
use rusqlite::Row;

const RECORDS: &str = "SELECT number, kind, id, tags FROM records";
const IS_FOUND: &str = "SELECT EXISTS (SELECT 1 FROM tags \
     WHERE kind = ?1 AND property = ?2 AND hash = ?3 AND number = ?4)";
const COUNT: &str = "SELECT count(*) FROM tags";
const FOUND: &str = "SELECT t.kind, t.property, t.hash, r.kind, r.id, r.tags FROM tags t \
     LEFT JOIN records r ON r.number = t.number";

const FORGET: &str = "DELETE FROM tags";
const ADD: &str = "INSERT OR IGNORE INTO tags (kind, property, hash, number) \
     VALUES (?1, ?2, ?3, ?4)";

/// A row of `tags`, and the record it leads to.
struct Found {
    kind: i64,
    property: i64,
    hash: Vec<u8>,
    record: Option<(i64, String, Vec<u8>)>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let record = match row.get::<_, Option<i64>>(3)? {
            Some(kind) => Some((kind, row.get(4)?, row.get(5)?)),
            None => None,
        };
        Ok(Self { kind: row.get(0)?, property: row.get(1)?, hash: row.get(2)?, record })
    }

    /// Whether the record that it leads to was stored with it.
    fn is_right(&self) -> bool {
        self.record.as_ref().is_some_and(|(kind, _, packed)| {
            let is_it =
                |tag: &Tag| i64::from(tag.property) == self.property && tag.hash[..] == self.hash;
            *kind == self.kind && unpacked(packed).iter().any(is_it)
        })
    }
}

impl Snapshot<'_> {
    pub(super) fn find_flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        let mut flaws = self.integrity(most)?;
        // What SQLite finds broken need not be readable to the end.
        match self.look_up_flaws(most) {
            Ok(found) => flaws.extend(found),
            Err(Error::StoreDamaged { reason, .. }) => {
                flaws.push(Flaw { record: None, what: reason })
            }
            Err(other) => return Err(other),
        }
        Ok(flaws)
    }

    fn integrity(&self, most: usize) -> Result<Vec<Flaw>> {
        let at = "check the file's integrity";
        let sql = format!("PRAGMA integrity_check({most})");
        let mut statement = self.connection.prepare(&sql).at(self.path, at)?;
        let mut rows = statement.query(()).at(self.path, at)?;
        let mut flaws = Vec::new();
        loop {
            match rows.next().and_then(|row| row.map(|row| row.get::<_, String>(0)).transpose()) {
                Ok(None) => return Ok(flaws),
                Ok(Some(what)) if what == "ok" => {}
                Ok(Some(what)) => flaws.push(Flaw { record: None, what }),
                Err(error) => {
                    // So broken that not even the check gets through.
                    flaws.push(Flaw { record: None, what: error.to_string() });
                    return Ok(flaws);
                }
            }
        }
    }

    fn look_up_flaws(&self, most: usize) -> Result<Vec<Flaw>> {
        let at = "compare the look-up table";
        let mut flaws = Vec::new();
        let mut said: u64 = 0;
        let mut statement = self.statement(RECORDS)?;
        let mut is_found = self.statement(IS_FOUND)?;
        let mut rows = statement.query(()).at(self.path, at)?;
        while let Some(row) = rows.next().at(self.path, at)? {
            let (number, kind, id, packed) =
                <(i64, i64, String, Vec<u8>)>::try_from(row).at(self.path, at)?;
            for tag in unpacked(&packed) {
                said += 1;
                let found: bool = is_found
                    .query_row((kind, tag.property, tag.hash, number), |row| row.get(0))
                    .at(self.path, at)?;
                if !found && flaws.len() < most {
                    let what = "the look-up table does not lead to it".to_owned();
                    flaws.push(Flaw { record: Some(self.name(kind, &id)?), what });
                }
            }
        }
        let there: u64 = self
            .statement(COUNT)?
            .query_row((), |row| super::records::unsigned(row, 0))
            .at(self.path, at)?;
        if there != said || !flaws.is_empty() {
            self.look_up_leads_astray(most, &mut flaws)?;
        }
        flaws.sort_unstable();
        flaws.dedup();
        Ok(flaws)
    }

    fn look_up_leads_astray(&self, most: usize, flaws: &mut Vec<Flaw>) -> Result<()> {
        let at = "compare the look-up table";
        let mut statement = self.statement(FOUND)?;
        let found = statement.query_map((), Found::read).at(self.path, at)?;
        for found in found {
            let found = found.at(self.path, at)?;
            if found.is_right() {
                continue;
            }
            if flaws.len() >= 2 * most {
                return Ok(());
            }
            flaws.push(match found.record {
                Some((kind, id, _)) => Flaw {
                    record: Some(self.name(kind, &id)?),
                    what: "the look-up table leads to it for what it is not".to_owned(),
                },
                None => {
                    Flaw { record: None, what: "the look-up table leads to no record".to_owned() }
                }
            });
        }
        Ok(())
    }

    /// Makes the look-up table anew from what the records say of themselves.
    pub(super) fn rebuild_look_up(&self) -> Result<()> {
        let at = "make the look-up table anew";
        self.statement(FORGET)?.execute(()).at(self.path, at)?;
        let mut statement = self.statement(RECORDS)?;
        let mut add = self.statement(ADD)?;
        let mut rows = statement.query(()).at(self.path, at)?;
        while let Some(row) = rows.next().at(self.path, at)? {
            let (number, kind, _, packed) =
                <(i64, i64, String, Vec<u8>)>::try_from(row).at(self.path, at)?;
            for tag in unpacked(&packed) {
                add.execute((kind, tag.property, tag.hash, number)).at(self.path, at)?;
            }
        }
        Ok(())
    }

    fn name(&self, kind: i64, id: &str) -> Result<(Kind, RecordId)> {
        Ok((self.kind(kind)?, self.record_id(id)?))
    }
}
