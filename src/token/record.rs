//! The kinds of record, and the header.

use super::record_id;
use crate::error::{Error, Result};
use crate::store::{Change, Kind, Reader};
use crate::types::{AccountId, Home, Region};
use crate::vault::{RootName, Vault};
use minicbor::{Decode, Encode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Label and serial.
pub const HEADER: Kind = Kind(0);
/// What a PIN opens: in the end the root key.
pub const CREDENTIAL: Kind = Kind(1);
/// The set hash.
pub const SET: Kind = Kind(2);
/// An object with `CKA_PRIVATE` true.
pub const PRIVATE: Kind = Kind(3);
/// An object with `CKA_PRIVATE` false.
pub const PUBLIC: Kind = Kind(4);
/// A page of the manifest.
pub const MANIFEST: Kind = Kind(6);
/// A damaged record that was set aside.
pub const QUARANTINED: Kind = Kind(7);

/// The key pair that backups are sealed to.
pub const TRANSPORT: Kind = Kind(5);
/// A named user.
pub const USER: Kind = Kind(8);
/// A role that users may take.
pub const ROLE: Kind = Kind(9);
/// A pair by which requests of the KMS API are signed.
pub const ACCESS_KEY: Kind = Kind(10);
/// What a principal may do with a key besides its policy.
pub const GRANT: Kind = Kind(11);
/// Another name of a key.
pub const ALIAS: Kind = Kind(12);

/// The kinds whose records hold one sealed value each.
pub const VALUES: [Kind; 5] = [USER, ROLE, ACCESS_KEY, GRANT, ALIAS];

/// The key pair that signs the checkpoints of the audit trail.
pub const AUDIT_KEY: Kind = Kind(13);

/// What anybody may read of a token.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
pub struct Header {
    /// The label, unpadded.
    #[n(0)]
    pub label: String,
    /// 16 hexadecimal digits; part of what every seal binds.
    #[n(1)]
    pub serial: String,
    /// When it was initialised, in seconds since 1970.
    #[n(2)]
    pub created: u64,
    /// Absent until the first root key is replaced.
    #[n(3)]
    pub root: Option<RootKey>,
    /// The account; absent of a token that was made before there were any.
    #[n(4)]
    pub account: Option<String>,
    /// The region, likewise.
    #[n(5)]
    pub region: Option<String>,
}

/// A root key that replaced another.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
pub struct RootKey {
    /// Its name: says whether a vault is still the present one.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: RootName,
    /// When it was made, in seconds since 1970.
    #[n(1)]
    pub made: u64,
}

impl Header {
    const ID: &'static str = "token";

    /// The header of a token that is made now.
    pub fn new(label: &str, serial: &str, home: Home, now: SystemTime) -> Self {
        Self {
            label: label.to_owned(),
            serial: serial.to_owned(),
            created: seconds(now),
            root: None,
            account: Some(home.account.to_string()),
            region: Some(home.region.to_string()),
        }
    }

    /// Account and region.
    pub fn home(&self) -> Home {
        let account = self.account.as_deref().and_then(AccountId::new);
        let region = self.region.as_deref().and_then(Region::new);
        Home {
            account: account.unwrap_or(AccountId::DEFAULT),
            region: region.unwrap_or(Region::DEFAULT),
        }
    }

    /// The same token under another root key, made now.
    pub fn under(self, vault: &Vault, now: SystemTime) -> Self {
        Self { root: Some(RootKey { name: *vault.root_name(), made: seconds(now) }), ..self }
    }

    /// Whether the vault is of the present root key. The first has no name here: it
    /// is replaced only after every credential has seen to it that those who are logged
    /// in notice.
    pub fn is_of(&self, vault: &Vault) -> bool {
        self.root.as_ref().is_none_or(|root| root.name == *vault.root_name())
    }

    /// When the root key was made.
    pub fn root_made(&self) -> SystemTime {
        let made = self.root.as_ref().map_or(self.created, |root| root.made);
        UNIX_EPOCH.checked_add(Duration::from_secs(made)).unwrap_or(UNIX_EPOCH)
    }

    /// The stored header contradicts what it is about.
    pub fn damaged() -> Error {
        Error::RecordDamaged(Self::ID.into())
    }

    /// The stored header, if there is one.
    pub fn read(reader: &(impl Reader + ?Sized)) -> Result<Option<Self>> {
        Ok(Self::read_with_version(reader)?.map(|(header, _)| header))
    }

    /// The same and its record's version.
    pub fn read_with_version(reader: &(impl Reader + ?Sized)) -> Result<Option<(Self, u64)>> {
        let Some(record) = reader.get(HEADER, &record_id(Self::ID)?)? else { return Ok(None) };
        let header = minicbor::decode(&record.body).map_err(|_| Self::damaged())?;
        Ok(Some((header, record.version)))
    }

    /// The change that stores the header over version `expected`.
    pub fn put(&self, expected: u64) -> Result<Change> {
        Ok(Change::Put {
            kind: HEADER,
            id: record_id(Self::ID)?,
            expected,
            body: to_vec(self)?,
            tags: Vec::new(),
        })
    }
}

pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// A value without secrets as CBOR.
pub fn to_vec<T: Encode<()>>(value: &T) -> Result<Vec<u8>> {
    minicbor::to_vec(value).map_err(|error| Error::FunctionFailed(format!("encoding: {error}")))
}
