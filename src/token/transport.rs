//! The token's transport key: what a backup is sealed to, so that no plain text
//! and no passphrase leaves either token.

use super::record::{TRANSPORT, to_vec};
use super::{Token, record_id, rotation};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::policy::{Action, Principal, Resource};
use crate::store::{Change, Record};
use crate::vault::{Place, PrivateKey, PublicKey, Vault};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

const ID: &str = "x25519";

#[derive(Encode, Decode)]
#[cbor(array)]
struct Body {
    /// The public half, readable by all.
    #[n(0)]
    public: ByteVec,
    /// The private half, sealed; the seal binds the public half too.
    #[n(1)]
    sealed: ByteVec,
}

fn read(record: &Record) -> Result<(PublicKey, Body)> {
    let damaged = || Error::RecordDamaged(ID.into());
    let body: Body = minicbor::decode(&record.body).map_err(|_| damaged())?;
    let public = PublicKey::from_bytes(&body.public).ok_or_else(damaged)?;
    Ok((public, body))
}

/// Opens the record; the public half is that of the private one.
pub(super) fn open(record: &Record, vault: &Vault) -> Result<PrivateKey> {
    let (public, body) = read(record)?;
    let place = Place { kind: TRANSPORT.0, id: record.id.as_str(), version: record.version };
    let private = vault.open(place, &body.public, &body.sealed)?;
    PrivateKey::from_secret(&private)
        .filter(|private| private.public() == public)
        .ok_or_else(|| Error::RecordDamaged(ID.into()))
}

/// The change that stores the pair over version `expected`.
pub(super) fn put(
    vault: &Vault,
    private: &PrivateKey,
    expected: u64,
    entropy: &dyn Entropy,
) -> Result<Change> {
    let public = private.public().as_bytes().to_vec();
    let place = Place { kind: TRANSPORT.0, id: ID, version: expected + 1 };
    let sealed = vault.seal(place, &public, private.expose(), entropy)?;
    let body = to_vec(&Body { public: public.into(), sealed: sealed.into() })?;
    Ok(Change::Put { kind: TRANSPORT, id: record_id(ID)?, expected, body, tags: Vec::new() })
}

impl Token {
    /// The public half of the token's transport key, which is made when it is first
    /// asked for.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Error::TokenWriteProtected`] when it would have
    /// to be made; [`Error::RecordDamaged`].
    pub fn transport_key(&self, principal: Principal) -> Result<PublicKey> {
        if let Some(private) = self.transport_private(principal)? {
            return Ok(private.public());
        }
        self.require_writable()?;
        let entropy = &*self.surroundings.entropy;
        let private = PrivateKey::new(entropy)?;
        let id = record_id(ID)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let change = put(vault, &private, 0, entropy)?;
            self.commit(Some(vault), &mut |reader| {
                // Another process may have made one meanwhile.
                let is_there = reader.get(TRANSPORT, &id)?.is_some();
                Ok(if is_there { Vec::new() } else { vec![change.clone()] })
            })
        })?;
        let made = self.transport_private(principal)?;
        Ok(made.ok_or_else(|| Error::RecordDamaged(ID.into()))?.public())
    }

    /// The private half; `None` when the token has no transport key yet.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`], [`Error::RecordDamaged`].
    pub fn transport_private(&self, principal: Principal) -> Result<Option<PrivateKey>> {
        self.authorize(principal, Action::ReceiveBackup, Resource::Token)?;
        let id = record_id(ID)?;
        self.with_vault(principal, |vault| {
            let vault = vault.ok_or(Error::UserNotLoggedIn)?;
            let mut private = None;
            // Both of one state: the root key may be replaced at any time.
            self.store.snapshot(&mut |reader| {
                rotation::require_present(reader, vault)?;
                let record = reader.get(TRANSPORT, &id)?;
                private = record.map(|record| open(&record, vault)).transpose()?;
                Ok(())
            })?;
            Ok(private)
        })
    }

    /// The public half as it stands in the store, for nobody to rely on: it tells
    /// which token to log in to.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`]; the store could not be read.
    pub fn claimed_transport_key(&self) -> Result<Option<PublicKey>> {
        let record = self.store.get(TRANSPORT, &record_id(ID)?)?;
        Ok(record.map(|record| read(&record)).transpose()?.map(|(public, _)| public))
    }
}
