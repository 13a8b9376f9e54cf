//! Grants: what a key's administrator, or somebody whom a grant lets do so, gives another
//! principal to do with the key.
//!
//! Every call that makes a grant gives out a token of its own for it: the grant's id, a
//! number drawn for this token, and HMAC-SHA-256 of both under a secret of the grant's
//! record. So a token needs no record, outlives a new root key, and is nobody's once the
//! grant is gone.

use super::aliases::{cursor, marker};
use super::authorization::{Ask, Circumstances};
use super::objects::key_in;
use super::record::{GRANT, seconds};
use super::sealed::{self, OF_KEY, Property, SealedValue, Stored};
use super::{Token, entity, named_login};
use crate::entropy;
use crate::error::{Error, Refusal, Result};
use crate::object::Object;
use crate::policy::{
    Action, Grant, GrantOperation, GrantTerms, Principal, PrincipalName, Resource,
};
use crate::secret::SecretBytes;
use crate::store::Reader;
use crate::vault::{self, Vault};
use minicbor::bytes::ByteArray;
use minicbor::{CborLen, Decode, Encode};
use std::collections::BTreeSet;

/// The most grants of one key.
pub const GRANTS_MAX: usize = 50_000;

/// By whom a grant is found.
const GRANTEE: u8 = 2;
/// By who may retire it.
const RETIRING: u8 = 3;
/// By its name, with the key.
const NAMED: u8 = 4;

const SECRET_LEN: usize = 32;
const NUMBER_LEN: usize = 16;
const ID_LEN: usize = 32;
const MAC_LEN: usize = 32;

/// Operations as they are stored: the place in this list, which only grows.
const OPERATIONS: [GrantOperation; 5] = [
    GrantOperation::CreateGrant,
    GrantOperation::DescribeKey,
    GrantOperation::GenerateMac,
    GrantOperation::RetireGrant,
    GrantOperation::VerifyMac,
];

/// A grant and the key that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGrant {
    /// The key's unique id.
    pub key: String,
    /// What it says.
    pub grant: Grant,
}

/// A grant that was made, or was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Its id.
    pub id: String,
    /// A token for it, as no other call gives one.
    pub token: String,
}

/// Which grants of a key are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrantFilter<'a> {
    /// The one of this id.
    pub id: Option<&'a str>,
    /// Those of this grantee, an ARN.
    pub grantee: Option<&'a str>,
}

/// A grant's record.
#[derive(Encode, Decode, CborLen)]
#[cbor(array)]
struct StoredGrant {
    #[n(0)]
    id: String,
    #[n(1)]
    key: String,
    #[n(2)]
    name: Option<String>,
    #[n(3)]
    grantee: String,
    #[n(4)]
    retiring: Option<String>,
    #[n(5)]
    operations: Vec<u8>,
    #[n(6)]
    created: u64,
    #[n(7)]
    issuing_account: String,
    /// What its tokens are known by.
    #[n(8)]
    secret: ByteArray<SECRET_LEN>,
    /// Key and name, by which it is found.
    #[n(9)]
    named: Option<String>,
}

impl SealedValue for StoredGrant {
    const KIND: crate::store::Kind = GRANT;

    fn name(&self) -> &str {
        &self.id
    }

    fn properties(&self) -> Vec<Property<'_>> {
        let mut properties = vec![(OF_KEY, &*self.key), (GRANTEE, &*self.grantee)];
        properties.extend(self.retiring.as_deref().map(|arn| (RETIRING, arn)));
        properties.extend(self.named.as_deref().map(|named| (NAMED, named)));
        properties
    }
}

impl StoredGrant {
    fn new(key: &str, grant: Grant, secret: [u8; SECRET_LEN]) -> Self {
        let Grant { id, terms, created, issuing_account } = grant;
        Self {
            id,
            key: key.to_owned(),
            named: terms.name.as_deref().map(|name| named(key, name)),
            operations: codes(&terms.operations),
            name: terms.name,
            grantee: terms.grantee,
            retiring: terms.retiring,
            created: seconds(created),
            issuing_account,
            secret: secret.into(),
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Error::RecordDamaged`] for an operation that there is not.
    fn grant(self) -> Result<KeyGrant> {
        let operation = |place: u8| OPERATIONS.get(usize::from(place)).copied();
        let operations = self.operations.into_iter().map(operation).collect::<Option<_>>();
        let operations = operations.ok_or_else(|| Error::RecordDamaged(self.id.clone()))?;
        let (name, grantee, retiring) = (self.name, self.grantee, self.retiring);
        let grant = Grant {
            id: self.id,
            terms: GrantTerms { name, grantee, retiring, operations },
            created: entity::time(self.created),
            issuing_account: self.issuing_account,
        };
        Ok(KeyGrant { key: self.key, grant })
    }

    /// A token for it.
    fn token(&self, number: [u8; NUMBER_LEN]) -> Result<String> {
        let id = from_hex(&self.id).ok_or_else(|| Error::RecordDamaged(self.id.clone()))?;
        let mac = vault::hmac(&*self.secret, &[&id, &number])?;
        Ok(to_hex(&[&id[..], &number, &mac].concat()))
    }

    fn is_token(&self, token: &[u8]) -> Result<bool> {
        let (bound, mac) = token.split_at(token.len() - MAC_LEN);
        let expected = vault::hmac(&*self.secret, &[bound])?;
        Ok(SecretBytes::copied(&expected).equals(mac))
    }
}

/// Operations as they are stored, in order.
fn codes(operations: &BTreeSet<GrantOperation>) -> Vec<u8> {
    (0..).zip(OPERATIONS).filter(|(_, it)| operations.contains(it)).map(|(code, _)| code).collect()
}

/// A name of one key's grants; no id of a key has a blank in it.
fn named(key: &str, name: &str) -> String {
    format!("{key} {name}")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lower-case digits, in pairs.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

fn require_id(id: &str) -> Result<()> {
    match from_hex(id) {
        Some(bytes) if bytes.len() == ID_LEN => Ok(()),
        _ => Err(Error::Refused(Refusal::GrantId)),
    }
}

fn no_such_grant(id: &str) -> Error {
    Error::Refused(Refusal::NoSuchGrant(id.to_owned()))
}

/// Whether a grant on an object may be ended, as the token is under the writer's lock.
type Permit<'a> = dyn FnMut(&dyn Reader, &Vault, &Object, &Grant) -> Result<()> + 'a;

/// The grants on a key to this grantee.
///
/// # Errors
/// [`Error::RecordDamaged`]; the store could not be read.
pub(super) fn to(
    reader: &dyn Reader,
    vault: &Vault,
    key: &str,
    grantee: &str,
) -> Result<Vec<Grant>> {
    let (mut grants, mut after) = (Vec::new(), None);
    loop {
        let by = [(GRANTEE, grantee), (OF_KEY, key)];
        let (page, next) = sealed::page::<StoredGrant>(reader, vault, &by, after, 256)?;
        for stored in page {
            grants.push(stored.grant()?.grant);
        }
        after = next;
        if after.is_none() {
            return Ok(grants);
        }
    }
}

impl Token {
    /// Makes a grant (KMS API: CreateGrant). One of the same name and the same terms is
    /// not made twice: it is given out again, with another token. Users and roles of the
    /// account that it names must be there.
    ///
    /// # Errors
    /// [`Error::InvalidArn`];
    /// [`Refusal::NoSuchKey`], [`Refusal::State`], [`Error::UserNotLoggedIn`];
    /// [`Error::LimitExceeded`] for more than 50,000 of one key; or why it could
    /// not be stored.
    pub fn create_grant(
        &self,
        principal: Principal,
        key: &str,
        terms: &GrantTerms,
    ) -> Result<NewGrant> {
        let entropy = &*self.surroundings.entropy;
        let number: [u8; NUMBER_LEN] = entropy::array(entropy)?;
        let id: [u8; ID_LEN] = entropy::array(entropy)?;
        let secret: [u8; SECRET_LEN] = entropy::array(entropy)?;
        self.change_sealed(principal, |reader, vault, changes| {
            let now = self.surroundings.clock.now();
            let live = key_in(reader, vault, principal, key, now)?;
            let operations: Vec<_> = terms.operations.iter().map(|it| it.name()).collect();
            let retiring: Vec<_> = terms.retiring.as_deref().into_iter().collect();
            let circumstances: &Circumstances<'_> = &[
                ("kms:GrantOperations", &operations),
                ("kms:GranteePrincipal", &[&*terms.grantee]),
                ("kms:RetiringPrincipal", &retiring),
            ];
            let ask = Ask { circumstances, ..Ask::new(principal, Action::CreateGrant) };
            self.authorize_in(reader, Some(vault), ask, &live.object)?;
            self.require_state(Action::CreateGrant, &live.object)?;
            for arn in terms.retiring.iter().chain([&terms.grantee]) {
                let name = PrincipalName::arn(arn);
                let name = name.ok_or_else(|| Error::InvalidArn(arn.clone()))?;
                if !named_login::are_there(reader, vault, [&name].into_iter(), self.home())? {
                    return Err(Error::InvalidArn(arn.clone()));
                }
            }
            if let Some(same) = same(reader, vault, key, terms)? {
                return Ok(NewGrant { token: same.token(number)?, id: same.id });
            }
            let count = sealed::count::<StoredGrant>(reader, vault, (OF_KEY, key), GRANTS_MAX)?;
            if count >= GRANTS_MAX {
                let why = format!("a key has at most {GRANTS_MAX} grants");
                return Err(Error::LimitExceeded(why));
            }
            let grant = Grant {
                id: to_hex(&id),
                terms: terms.clone(),
                created: now,
                issuing_account: self.home().account.to_string(),
            };
            let stored = StoredGrant::new(key, grant, secret);
            changes.push(sealed::put(vault, &stored, 0, entropy)?);
            Ok(NewGrant { token: stored.token(number)?, id: stored.id })
        })
    }

    /// Some grants on a key, at most `limit`, oldest first; and where to go on, if there
    /// may be more (KMS API: ListGrants).
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Error::UserNotLoggedIn`]; [`Refusal::GrantId`],
    /// [`Refusal::Marker`] for what is none; the store could not be read.
    pub fn grants(
        &self,
        principal: Principal,
        key: &str,
        filter: GrantFilter<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Grant>, Option<String>)> {
        filter.id.map(require_id).transpose()?;
        let after = after.map(cursor).transpose()?;
        let now = self.surroundings.clock.now();
        self.read_sealed(principal, |reader, vault| {
            let live = key_in(reader, vault, principal, key, now)?;
            let ask = Ask::new(principal, Action::ListGrants);
            self.authorize_in(reader, Some(vault), ask, &live.object)?;
            if let Some(id) = filter.id {
                let of_grantee = |grant: &Grant| {
                    filter.grantee.is_none_or(|grantee| grant.terms.grantee == grantee)
                };
                let found = of_key(reader, vault, key, id)?;
                let found = found.map(|stored| stored.value.grant()).transpose()?;
                let found = found.map(|found| found.grant).filter(of_grantee);
                return Ok((found.into_iter().collect(), None));
            }
            let grantee = filter.grantee.map(|grantee| (GRANTEE, grantee));
            let by: Vec<_> = grantee.into_iter().chain([(OF_KEY, key)]).collect();
            let (page, next) = sealed::page::<StoredGrant>(reader, vault, &by, after, limit)?;
            let grants = page.into_iter().map(|stored| Ok(stored.grant()?.grant));
            Ok((grants.collect::<Result<_>>()?, next.map(marker)))
        })
    }

    /// All grants on a key to this grantee, an ARN, for whoever decides what they allow.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn grants_to(&self, principal: Principal, key: &str, grantee: &str) -> Result<Vec<Grant>> {
        self.read_sealed(principal, |reader, vault| to(reader, vault, key, grantee))
    }

    /// Some grants that `retiring`, an ARN, may retire, on whatever key, at most `limit`;
    /// and where to go on (KMS API: ListRetirableGrants).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Refusal::Marker`]; the store could not be read.
    pub fn retirable_grants(
        &self,
        principal: Principal,
        retiring: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<KeyGrant>, Option<String>)> {
        self.authorize(principal, Action::ListRetirableGrants, Resource::Token)?;
        let after = after.map(cursor).transpose()?;
        let now = self.surroundings.clock.now();
        self.read_sealed(principal, |reader, vault| {
            let by = [(RETIRING, retiring)];
            let (page, next) = sealed::page::<StoredGrant>(reader, vault, &by, after, limit)?;
            let mut grants = Vec::with_capacity(page.len());
            for stored in page {
                match key_in(reader, vault, principal, &stored.key, now) {
                    Ok(_) => grants.push(stored.grant()?),
                    // Gone by its date, and the grant with it.
                    Err(Error::Refused(Refusal::NoSuchKey(_))) => {}
                    Err(other) => return Err(other),
                }
            }
            Ok((grants, next.map(marker)))
        })
    }

    /// Gives a grant back (KMS API: RetireGrant): its retiring principal may, its grantee
    /// if it says so, and the account.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`]; [`Refusal::GrantId`], [`Refusal::NoSuchGrant`];
    /// [`Error::ActionProhibited`] for anybody else; or why it could not be stored.
    pub fn retire_grant(&self, principal: Principal, key: &str, id: &str) -> Result<()> {
        require_id(id)?;
        self.end_grant(principal, key, id, &mut |reader, vault, object, grant| {
            self.authorize_retirement((reader, Some(vault)), principal, object, grant)
        })
    }

    /// Takes a grant back (KMS API: RevokeGrant).
    ///
    /// # Errors
    /// As for [`Token::retire_grant`]; [`Error::UserNotLoggedIn`].
    pub fn revoke_grant(&self, principal: Principal, key: &str, id: &str) -> Result<()> {
        require_id(id)?;
        self.end_grant(principal, key, id, &mut |reader, vault, object, _| {
            self.authorize_in(reader, Some(vault), Ask::new(principal, Action::RevokeGrant), object)
        })
    }

    fn end_grant(
        &self,
        principal: Principal,
        key: &str,
        id: &str,
        permit: &mut Permit<'_>,
    ) -> Result<()> {
        self.change_sealed(principal, |reader, vault, changes| {
            let now = self.surroundings.clock.now();
            let live = key_in(reader, vault, principal, key, now)?;
            let stored = of_key(reader, vault, key, id)?.ok_or_else(|| no_such_grant(id))?;
            changes.push(sealed::remove(&stored)?);
            permit(reader, vault, &live.object, &stored.value.grant()?.grant)
        })
    }

    /// The grant that a token is for, and its key. The token itself allows nothing: the
    /// grant does, whoever holds a token.
    ///
    /// # Errors
    /// [`Refusal::GrantToken`] for one that is not this token's, or whose grant is gone;
    /// [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn grant_of_token(&self, principal: Principal, token: &str) -> Result<KeyGrant> {
        let refused = || Error::Refused(Refusal::GrantToken);
        let bytes = from_hex(token).filter(|bytes| bytes.len() == ID_LEN + NUMBER_LEN + MAC_LEN);
        let bytes = bytes.ok_or_else(refused)?;
        let now = self.surroundings.clock.now();
        self.read_sealed(principal, |reader, vault| {
            let stored = sealed::get::<StoredGrant>(reader, vault, &to_hex(&bytes[..ID_LEN]))?;
            let stored = stored.ok_or_else(refused)?.value;
            if !stored.is_token(&bytes)? {
                return Err(refused());
            }
            match key_in(reader, vault, principal, &stored.key, now) {
                Ok(_) => stored.grant(),
                Err(Error::Refused(Refusal::NoSuchKey(_))) => Err(refused()),
                Err(other) => Err(other),
            }
        })
    }
}

/// The grant of this id, if it is on this key.
fn of_key(
    reader: &dyn Reader,
    vault: &Vault,
    key: &str,
    id: &str,
) -> Result<Option<Stored<StoredGrant>>> {
    let stored = sealed::get::<StoredGrant>(reader, vault, id)?;
    Ok(stored.filter(|stored| stored.value.key == key))
}

/// A grant on the key of the same name and terms. Without a name every grant is another.
fn same(
    reader: &dyn Reader,
    vault: &Vault,
    key: &str,
    terms: &GrantTerms,
) -> Result<Option<StoredGrant>> {
    let Some(name) = &terms.name else { return Ok(None) };
    let (named, mut after) = (named(key, name), None);
    loop {
        let by = [(NAMED, &*named)];
        let (page, next) = sealed::page::<StoredGrant>(reader, vault, &by, after, 256)?;
        for stored in page {
            let is_same = stored.grantee == terms.grantee
                && stored.retiring == terms.retiring
                && stored.operations == codes(&terms.operations);
            if is_same {
                return Ok(Some(stored));
            }
        }
        after = next;
        if after.is_none() {
            return Ok(None);
        }
    }
}
