//! The kinds of record, and the header.

use super::record_id;
use crate::error::{Error, Result};
use crate::store::{Change, Kind, Reader};
use minicbor::{Decode, Encode};
use std::time::{SystemTime, UNIX_EPOCH};

/// Label and serial.
pub const HEADER: Kind = Kind(0);
/// The root key wrapped under a PIN.
pub const CREDENTIAL: Kind = Kind(1);
/// The set hash.
pub const SET: Kind = Kind(2);
/// An object with `CKA_PRIVATE` true.
pub const PRIVATE: Kind = Kind(3);
/// An object with `CKA_PRIVATE` false.
pub const PUBLIC: Kind = Kind(4);

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
}

impl Header {
    const ID: &'static str = "token";

    /// The header of a token that is made now.
    pub fn new(label: &str, serial: &str, now: SystemTime) -> Self {
        let created = now.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Self { label: label.to_owned(), serial: serial.to_owned(), created }
    }

    /// The stored header, if there is one.
    pub fn read(reader: &(impl Reader + ?Sized)) -> Result<Option<Self>> {
        let Some(record) = reader.get(HEADER, &record_id(Self::ID)?)? else { return Ok(None) };
        minicbor::decode(&record.body).map(Some).map_err(|_| Error::RecordDamaged(Self::ID.into()))
    }

    /// The change that stores a first header.
    pub fn put(&self) -> Result<Change> {
        Ok(Change::Put {
            kind: HEADER,
            id: record_id(Self::ID)?,
            expected: 0,
            body: to_vec(self)?,
            tags: Vec::new(),
        })
    }
}

/// A value without secrets as CBOR.
pub fn to_vec<T: Encode<()>>(value: &T) -> Result<Vec<u8>> {
    minicbor::to_vec(value).map_err(|error| Error::FunctionFailed(format!("encoding: {error}")))
}
