//! The check: every record is opened and compared with the manifest.

use super::manifest::{Listed, Manifest, counts};
use super::record::{MANIFEST, PRIVATE, PUBLIC, SET, VALUES};
use super::set::{self, Set};
use super::{Token, objects, rotation, sealed};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::policy::{Action, Resource};
use crate::store::{self, Flaw, Kind, Reader, Record, RecordId, Tag};
use crate::types::AttributeType;
use crate::vault::{SetHash, Vault};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Keys and data objects that were looked at.
    pub objects: usize,
    /// Those of them that were made without a login, so that nothing tells whether
    /// somebody changed, added or removed one.
    pub unbound: usize,
    /// What is wrong with records.
    pub findings: Vec<Finding>,
    /// What is wrong with the file, in SQLite's words.
    pub flaws: Vec<String>,
    /// The files, and their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.flaws.is_empty()
    }
}

/// The most flaws of the file that are told.
const FLAWS_MAX: usize = 100;

/// Something that is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The record's name: of an object `CKA_UNIQUE_ID`, of a credential `so` or `user`.
    pub id: String,
    /// `CKA_LABEL`, if it can be read; if the record does not open, as it stands in the file.
    pub label: Option<String>,
    /// What is wrong.
    pub damage: Damage,
    pub(super) kind: Kind,
}

/// What was done to a record outside the token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Its content is not what was written.
    Altered,
    /// It holds the content of the record of this name.
    Copied(String),
    /// It was never one of the token's.
    Foreign,
    /// It is what the token wrote, but a search is led to it, or past it, by what it is not.
    LookUp,
    /// It is not there.
    Missing,
    /// It is the one that the token wrote under this version; the newest has another.
    RolledBack {
        /// Its version.
        found: u64,
        /// The version that it should have.
        newest: u64,
    },
    /// The token wrote it, but not in the course of events that led here.
    Replaced,
    /// The token destroyed it, and somebody put it back.
    Returned,
    /// A page of the manifest, or the set record that names them, is damaged or not the newest.
    Unlisted,
    /// All records together are not those that were written, and nothing tells which.
    SetDiffers {
        /// How many records there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("altered: its content is not what the token wrote"),
            Self::Copied(of) => write!(f, "swapped or copied: it holds the content of {of}"),
            Self::Foreign => f.write_str("foreign: it is not one of this token's records"),
            Self::LookUp => f.write_str(
                "look-up: its columns in the file are not those of its label, id, class or key type",
            ),
            Self::Missing => f.write_str("missing: it was removed outside the token"),
            Self::RolledBack { found, newest } => {
                write!(f, "rolled back: it is version {found}, and the newest is {newest}")
            }
            Self::Replaced => f.write_str(
                "replaced: the token wrote it, but the file was put together from several copies",
            ),
            Self::Returned => f.write_str("returned: the token had destroyed it"),
            Self::Unlisted => f.write_str(
                "part of the list of records is damaged or not the newest: \
                 what it lists cannot be compared",
            ),
            Self::SetDiffers { expected, found } => write!(
                f,
                "the records are not those that the token wrote ({expected} expected, {found} \
                 found); it has no list of records yet that could tell which"
            ),
        }
    }
}

impl Token {
    /// Opens every record and compares it with the manifest: finds what was edited, cut,
    /// swapped, copied, brought from elsewhere, rolled back, put back or removed outside
    /// the token. Reads everything, and keeps some 150 bytes for each record meanwhile.
    /// A token without a manifest gets one if nothing is wrong with it.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] without a login; the store could not be read.
    pub fn check(&self) -> Result<Report> {
        loop {
            self.authorize(self.principal(), Action::CheckToken, Resource::Token)?;
            let vault = self.access.load().vault.clone().ok_or(Error::UserNotLoggedIn)?;
            let mut report = Report::default();
            let mut is_listed = false;
            self.store.snapshot(&mut |reader| {
                let check = Check::begin(&vault, reader)?;
                is_listed = check.is_listed();
                report = check.run()?;
                Ok(())
            })?;
            report.files = self.store.files();
            self.refresh()?;
            let now = self.access.load().vault.clone();
            // A root key that has been replaced says nothing about the records.
            if report.findings.is_empty() || now.is_some_and(|now| Arc::ptr_eq(&now, &vault)) {
                if !is_listed && report.is_clean() && self.store.is_writable() {
                    self.get_manifest(&vault)?;
                }
                return Ok(report);
            }
        }
    }

    fn get_manifest(&self, vault: &Vault) -> Result<()> {
        self.store.write(&mut |reader| {
            rotation::require_present(reader, vault)?;
            self.next_set(vault, reader, &[])
        })?;
        self.refresh()
    }
}

/// What the manifest says of a record, and whether the record was there.
struct Expected {
    listed: Listed,
    seen: bool,
}

/// A check under way.
pub(super) struct Check<'a> {
    vault: &'a Vault,
    reader: &'a dyn Reader,
    set: Option<Set>,
    manifest: Option<Manifest<'a>>,
    expected: HashMap<(Kind, String), Expected>,
    /// Whether all pages of the manifest could be read.
    is_whole: bool,
    /// Finds the record that has this body; filled when it is needed.
    bodies: HashMap<[u8; 16], String>,
    hash: SetHash,
    /// Records that the look-up table does not agree with.
    led_astray: HashSet<(Kind, RecordId)>,
    report: Report,
}

impl<'a> Check<'a> {
    pub fn begin(vault: &'a Vault, reader: &'a dyn Reader) -> Result<Self> {
        let set = Set::read(vault, reader)?.map(|(set, _)| set);
        let root = set.and_then(|set| set.manifest);
        let mut check = Self {
            vault,
            reader,
            set,
            manifest: root.map(|root| Manifest::open(vault, reader, root)),
            expected: HashMap::new(),
            is_whole: true,
            bodies: HashMap::new(),
            hash: SetHash::default(),
            led_astray: HashSet::new(),
            report: Report::default(),
        };
        check.read_manifest()?;
        Ok(check)
    }

    /// Whether there is a manifest to compare with.
    const fn is_listed(&self) -> bool {
        self.manifest.is_some()
    }

    fn read_manifest(&mut self) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let mut missed = Vec::new();
        manifest.walk(
            &mut |kind, id, listed| {
                self.expected.insert((kind, id.to_owned()), Expected { listed, seen: false });
            },
            &mut |page| missed.push(page.as_str().to_owned()),
        )?;
        self.is_whole = missed.is_empty();
        for page in missed {
            self.add(MANIFEST, page, None, Damage::Unlisted);
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, id: String, label: Option<String>, damage: Damage) {
        self.report.findings.push(Finding { id, label, damage, kind });
    }

    /// Looks at the file and at the records.
    pub fn run(mut self) -> Result<Report> {
        for Flaw { record, what } in self.reader.flaws(FLAWS_MAX)? {
            match record {
                Some(record) => drop(self.led_astray.insert(record)),
                None => self.report.flaws.push(what),
            }
        }
        self.records()
    }

    /// Looks at the records alone.
    pub fn records(mut self) -> Result<Report> {
        for kind in (0..=u8::MAX).map(Kind).filter(|kind| counts(*kind)) {
            // Through a copy of the reference, so that the visit may change `self`.
            let reader = self.reader;
            store::for_each(reader, kind, &[], |record| self.look_at(record))?;
        }
        let gone = self.expected.iter().filter(|(_, expected)| !expected.seen);
        let mut gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        gone.sort_unstable();
        for (kind, id) in gone {
            self.add(kind, id, None, Damage::Missing);
        }
        match self.set {
            None => self.add(SET, set::ID.to_owned(), None, Damage::Unlisted),
            // A manifest that agrees with the records says more than the hash.
            Some(set)
                if set.hash != self.hash
                    && (self.manifest.is_none() || self.report.findings.is_empty()) =>
            {
                let (expected, found) = (set.hash.count(), self.hash.count());
                let damage = Damage::SetDiffers { expected, found };
                self.add(SET, set::ID.to_owned(), None, damage);
            }
            Some(_) => {}
        }
        Ok(self.report)
    }

    fn look_at(&mut self, record: &Record) -> Result<()> {
        let (kind, vault) = (record.kind, self.vault);
        let is_object = matches!(kind, PRIVATE | PUBLIC);
        let key = (kind, record.id.as_str().to_owned());
        let is_bound = kind != PUBLIC || objects::is_bound(record);
        self.report.objects += usize::from(is_object);
        if !is_bound && !self.expected.contains_key(&key) {
            self.report.unbound += 1;
        }
        if is_bound {
            self.hash.insert(&set::member_of(vault, record)?);
        }
        let opened = is_object.then(|| objects::open(record, Some(vault)));
        let tags = match &opened {
            Some(Ok(live)) => Some(objects::tags(live.object(), Some(vault))),
            Some(Err(_)) => None,
            None => VALUES.contains(&kind).then(|| sealed::tags(record, vault)),
        };
        let opens = (opened.is_some() || tags.is_some()).then_some(matches!(tags, Some(Ok(_))));
        let damage = match (self.damage(record, &key, is_bound, opens)?, tags) {
            (None, Some(tags)) => self.look_up(record, &tags?)?,
            (damage, _) => damage,
        };
        if let Some(damage) = damage {
            let label = match &opened {
                Some(Ok(live)) => label(live.object()),
                Some(Err(_)) => objects::readable(record).as_ref().and_then(label),
                None => None,
            };
            self.add(kind, key.1, label, damage);
        }
        Ok(())
    }

    /// `opens`: whether the record opens; nothing for kinds that are not sealed by
    /// themselves.
    fn damage(
        &mut self,
        record: &Record,
        key: &(Kind, String),
        is_bound: bool,
        opens: Option<bool>,
    ) -> Result<Option<Damage>> {
        let altered = || (opens == Some(false)).then_some(Damage::Altered);
        let is_genuine = is_bound && opens == Some(true);
        let fingerprint = self.vault.fingerprint(&record.body)?;
        let version = record.version;
        let Some(expected) = self.expected.get_mut(key) else {
            if !is_bound || !self.can_tell(record.kind, &record.id)? {
                return Ok(altered());
            }
            return Ok(Some(match self.twin(&fingerprint) {
                _ if is_genuine => Damage::Returned,
                Some(of) => Damage::Copied(of),
                None => Damage::Foreign,
            }));
        };
        let listed = expected.listed;
        let seen = std::mem::replace(&mut expected.seen, true);
        Ok(if seen {
            Some(Damage::Copied(key.1.clone()))
        } else if (listed.version, listed.fingerprint) == (version, fingerprint) {
            altered()
        } else if !is_genuine {
            let twin = self.twin(&fingerprint).filter(|of| *of != key.1);
            Some(twin.map_or(Damage::Altered, Damage::Copied))
        } else if version == listed.version {
            Some(Damage::Replaced)
        } else {
            Some(Damage::RolledBack { found: version, newest: listed.version })
        })
    }

    /// Compares the tags of a record that is right with those that it should have.
    fn look_up(&self, record: &Record, wanted: &[Tag]) -> Result<Option<Damage>> {
        let is_right = self.reader.tags(record.kind, &record.id)? == wanted
            && !self.led_astray.contains(&(record.kind, record.id.clone()));
        Ok((!is_right).then_some(Damage::LookUp))
    }

    /// Whether the manifest would list the record if it were one of the token's.
    fn can_tell(&mut self, kind: Kind, id: &RecordId) -> Result<bool> {
        match &mut self.manifest {
            None => Ok(false),
            Some(_) if self.is_whole => Ok(true),
            Some(manifest) => match manifest.find(kind, id) {
                Ok(_) => Ok(true),
                Err(Error::RecordDamaged(_)) => Ok(false),
                Err(other) => Err(other),
            },
        }
    }

    /// The record that should have the body with this fingerprint.
    fn twin(&mut self, fingerprint: &[u8; 16]) -> Option<String> {
        if self.bodies.is_empty() {
            let entries = self.expected.iter();
            self.bodies = entries
                .map(|((_, id), expected)| (expected.listed.fingerprint, id.clone()))
                .collect();
        }
        self.bodies.get(fingerprint).cloned()
    }
}

fn label(object: &Object) -> Option<String> {
    let label = object.bytes(AttributeType::Label);
    (!label.is_empty()).then(|| String::from_utf8_lossy(label).into_owned())
}
