//! Keys as the KMS API makes and describes them; their policies; imported material.

use super::aliases::{cursor, marker};
use super::authorization::{Ask, BYPASS, POLICY_NAME};
use super::key_life::{require_description, with_tags};
use super::objects::Seen;
use super::{LiveObject, Token, named_login, objects};
use crate::clock::Timestamp;
use crate::entropy;
use crate::error::{Error, Refusal, Result};
use crate::object::kms::NewKey;
use crate::object::{
    KeySpec, KeyState, Lifecycle, MultiRegion, Object, Origin, Tags, whole_seconds,
};
use crate::policy::{Action, Document, DocumentKind, Principal, Resource, default_key_policy};
use crate::secret::SecretBytes;
use crate::types::{ObjectClass, Region};
use crate::vault;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The most keys that a token may have for another to be made so (KMS API: quota). The
/// standard knows no such limit.
pub const KEYS_MAX: usize = 100_000;
/// How far ahead imported material may expire (KMS API: `ValidTo`).
const VALID_FOR_MAX: Duration = Duration::from_secs(365 * 86_400);

/// What may be known of a key (KMS API: `KeyMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMetadata {
    /// `KeyId`: `CKA_UNIQUE_ID`.
    pub id: String,
    /// `Arn`.
    pub arn: String,
    /// `CreationDate`.
    pub created: SystemTime,
    /// `Description`.
    pub description: String,
    /// `KeyState`.
    pub state: KeyState,
    /// `KeySpec`, and with it usage and MAC algorithm.
    pub spec: KeySpec,
    /// `Origin`.
    pub origin: Origin,
    /// Whether there is material: then that of origin EXTERNAL has an
    /// `ExpirationModel`.
    pub has_material: bool,
    /// `ValidTo`: when imported material expires, if it does.
    pub valid_to: Option<SystemTime>,
    /// `DeletionDate`.
    pub deletion_date: Option<SystemTime>,
    /// `PendingDeletionWindowInDays`, of a primary that waits for its replicas.
    pub pending_window_days: Option<u8>,
    /// `MultiRegionConfiguration`.
    pub multi_region: Option<MultiRegion>,
}

impl KeyMetadata {
    /// `Enabled`: also while the primary Region is being changed, when the key may be
    /// used.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        matches!(self.state, KeyState::Enabled | KeyState::Updating)
    }
}

/// A parameter that a request has or leaves out: what it says, what it counts as.
type Parameter<'a> = (Option<(&'a str, &'a [&'a str])>, &'a [(&'a str, &'a str)]);

/// `BypassPolicyLockoutSafetyCheck`.
const fn bypass_of(bypass: bool) -> Parameter<'static> {
    if bypass { (Some((BYPASS, &["true"])), &[]) } else { (None, &[(BYPASS, "false")]) }
}

fn no_key_of_kms() -> Error {
    let why = "the key's type, length or use is not one of a KMS key for HMAC";
    Error::Refused(Refusal::Unsupported(why))
}

impl Token {
    /// Makes a key (KMS API: CreateKey). One of origin EXTERNAL waits for its material.
    /// `bypass_lockout_check`: the policy may be one that `principal` could not replace.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Error::ValidationFailed`] for a description that is
    /// too long; [`Error::LimitExceeded`] where there are [`KEYS_MAX`] keys; as for
    /// [`Token::put_key_policy`]; or why it could not be stored.
    pub fn create_kms_key(
        &self,
        principal: Principal,
        new: NewKey,
        bypass_lockout_check: bool,
    ) -> Result<Arc<LiveObject>> {
        require_description(&new.description)?;
        self.require_room(principal, KEYS_MAX)?;
        let random: [u8; 16] = entropy::array(&*self.surroundings.entropy)?;
        let id = if new.multi_region.is_some() {
            format!("mrk-{:032x}", u128::from_be_bytes(random))
        } else {
            uuid::Builder::from_random_bytes(random).into_uuid().to_string()
        };
        let policy = new.policy.as_deref().map(|text| Document::parse(DocumentKind::Key, text));
        let policy = policy.transpose()?;
        let tags = new.tags.clone();
        let length = if new.origin == Origin::Generated { new.spec.key_len() } else { 0 };
        let value = SecretBytes::filled(length, |out| self.surroundings.entropy.fill(out))?;
        let object = new.into_object(&id, value, self.surroundings.clock.now())?;
        with_tags(&tags, |brought| {
            if !tags.is_empty() {
                // What its maker says of the key, and has tagged it with, lets nobody tag it.
                let life = object.lifecycle().clone();
                let blank = Lifecycle { policy: None, tags: Tags::new(), ..life };
                let blank = object.with_lifecycle(blank);
                let ask = Ask::new(principal, Action::TagResource).with(brought);
                self.answer(ask, Resource::Object(&blank))?;
            }
            let (bypass, defaults) = bypass_of(bypass_lockout_check);
            let circumstances: Vec<_> = brought.iter().copied().chain(bypass).collect();
            let ask = Ask::new(principal, Action::CreateKey).with(&circumstances);
            self.insert_as(Ask { defaults, ..ask }, object, &mut |object, view| {
                let Some(policy) = &policy else { return Ok(()) };
                self.require_policy(view, principal, object, policy, bypass_lockout_check)
            })
        })
    }

    /// Refuses another key where there are so many.
    pub(super) fn require_room(&self, principal: Principal, most: usize) -> Result<()> {
        let class = ObjectClass::SecretKey.to_ck().to_ne_bytes();
        let (class, property) = (&class[..], objects::CLASS);
        self.with_vault(principal, |vault| {
            let mut left = most;
            for &kind in objects::visible_kinds(principal) {
                let tag = objects::tag(kind, vault, property, class)?;
                left -= self.store.count(kind, tag, left)?;
            }
            if left > 0 {
                return Ok(());
            }
            Err(Error::LimitExceeded(format!("there may be {most} keys")))
        })
    }

    /// What may be known of a key (KMS API: DescribeKey). Of one that was made at the C
    /// door too, if it has a spec ([`KeySpec::of`]).
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Refusal::Unsupported`], [`Error::UserNotLoggedIn`]; the
    /// store could not be read.
    pub fn describe_key(&self, principal: Principal, key: &str) -> Result<KeyMetadata> {
        let live = self.key(principal, key)?;
        self.authorize(principal, Action::DescribeKey, Resource::Object(&live.object))?;
        self.metadata(&live).ok_or_else(no_key_of_kms)
    }

    /// The same of an opened key; `None` if it is none of KMS's, or gone.
    #[must_use]
    pub fn metadata(&self, live: &LiveObject) -> Option<KeyMetadata> {
        let now = self.surroundings.clock.now();
        let (object, life) = (&live.object, live.object.lifecycle());
        let state = life.state_at(now)?;
        let has_material = !object.lacks_material() && !life.is_expired(now);
        let deletion = life.deletion.filter(|_| state.is_pending_deletion());
        let date = deletion.and_then(|deletion| deletion.date);
        Some(KeyMetadata {
            id: object.unique_id().to_owned(),
            arn: self.home().kms_arn(&format!("key/{}", object.unique_id())),
            created: life.created,
            description: life.description.clone(),
            state,
            spec: KeySpec::of(object)?,
            origin: life.origin,
            has_material,
            valid_to: life.valid_to.filter(|_| has_material),
            deletion_date: date,
            pending_window_days: deletion
                .filter(|_| date.is_none())
                .map(|deletion| deletion.window_days),
            multi_region: life.multi_region.clone(),
        })
    }

    /// Some of the keys that have a spec, in whatever state, private ones first, oldest
    /// first within each visibility; and where to go on, if there may be more (KMS API:
    /// ListKeys). Looks at `limit` objects at most: a page may hold fewer keys, or none.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`]; [`Refusal::Marker`] for an `after` that this did not
    /// give; the store could not be read. Damaged keys are passed over.
    pub fn kms_keys(
        &self,
        principal: Principal,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<KeyMetadata>, Option<String>)> {
        self.authorize(principal, Action::ListKeys, Resource::Token)?;
        let kinds = objects::visible_kinds(principal);
        let (row, after) = match after.map(|marker| marker.split_once('.')) {
            None => (0, None),
            Some(Some((row, place))) => {
                let row = row.parse().ok().filter(|row| *row < kinds.len());
                let row = row.ok_or(Error::Refused(Refusal::Marker))?;
                (row, (place != "0").then(|| cursor(place)).transpose()?)
            }
            Some(None) => return Err(Error::Refused(Refusal::Marker)),
        };
        let Some(&kind) = kinds.get(row) else { return Ok((Vec::new(), None)) };
        self.read_sealed(principal, |reader, vault| {
            let page = reader.find(kind, &[], after, limit)?;
            let opened = page.records.iter().filter_map(|it| objects::open(it, Some(vault)).ok());
            let keys = opened.filter_map(|live| self.metadata(&live)).collect();
            let next = match page.next {
                Some(place) => Some(format!("{row}.{}", marker(place))),
                None if row + 1 < kinds.len() => Some(format!("{}.0", row + 1)),
                None => None,
            };
            Ok((keys, next))
        })
    }

    /// The key policy as it was given, or the default one (KMS API: GetKeyPolicy).
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Error::UserNotLoggedIn`]; the store could not be read.
    pub fn get_key_policy(&self, principal: Principal, key: &str) -> Result<String> {
        let live = self.key(principal, key)?;
        let ask = Ask::new(principal, Action::GetKeyPolicy);
        let ask = ask.with(&[("kms:PolicyName", &[POLICY_NAME])]);
        self.answer(ask, Resource::Object(&live.object))?;
        let policy = live.object.lifecycle().policy.clone();
        Ok(policy.unwrap_or_else(|| default_key_policy(self.home().account.as_str())))
    }

    /// Replaces the key policy (KMS API: PutKeyPolicy). Users and roles of the account that
    /// it names must be there. Unless `bypass_lockout_check`, it must let `principal`
    /// replace it again.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Error::UserNotLoggedIn`]; as for [`Document::parse`],
    /// [`Error::MalformedPolicy`] also for one that names nobody or locks out; or why it
    /// could not be stored.
    pub fn put_key_policy(
        &self,
        principal: Principal,
        key: &str,
        policy: &str,
        bypass_lockout_check: bool,
    ) -> Result<()> {
        let document = Document::parse(DocumentKind::Key, policy)?;
        let (bypass, defaults) = bypass_of(bypass_lockout_check);
        let name: (&str, &[&str]) = ("kms:PolicyName", &[POLICY_NAME]);
        let circumstances: Vec<_> = [name].into_iter().chain(bypass).collect();
        let ask = Ask::new(principal, Action::PutKeyPolicy).with(&circumstances);
        self.change_key(Ask { defaults, ..ask }, key, &mut |object, _, view| {
            self.require_policy(view, principal, object, &document, bypass_lockout_check)?;
            let life = object.lifecycle();
            let policy = Some(policy.to_owned());
            let is_new = life.policy != policy;
            Ok(is_new.then(|| object.with_lifecycle(Lifecycle { policy, ..life.clone() })))
        })
    }

    /// Refuses a policy that names somebody who is not there, or, unless told otherwise,
    /// that the principal could not replace again.
    fn require_policy(
        &self,
        (reader, vault): Seen<'_>,
        principal: Principal,
        object: &Object,
        policy: &Document,
        bypass_lockout_check: bool,
    ) -> Result<()> {
        let known = vault.ok_or(Error::UserNotLoggedIn)?;
        if !named_login::are_there(reader, known, policy.principals(), self.home())? {
            let why = "Policy contains a statement with one or more invalid principals.";
            return Err(Error::MalformedPolicy(why.into()));
        }
        if bypass_lockout_check {
            return Ok(());
        }
        self.check_lockout((reader, vault), principal, object, policy)
    }

    /// Brings material in for a key of origin EXTERNAL (KMS API: ImportKeyMaterial): the
    /// first, or the same once more, to change when it expires. `valid_to`: until when
    /// it may be used, in whole seconds; `None`: for ever.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Refusal::State`], [`Refusal::Origin`],
    /// [`Error::UserNotLoggedIn`]; [`Refusal::KeyMaterial`] for a length that is not the
    /// spec's, or other material than the first; [`Error::ValidationFailed`] for a date
    /// that is over or more than 365 days ahead; [`Refusal::Unsupported`] for a key of
    /// the C door that has no spec or is public; or why it could not be stored.
    pub fn import_key_material(
        &self,
        principal: Principal,
        key: &str,
        material: &SecretBytes,
        valid_to: Option<SystemTime>,
    ) -> Result<()> {
        let valid_to = valid_to.map(whole_seconds);
        let expiry = valid_to.map(|date| Timestamp(date).to_string());
        let expiry: Vec<_> = expiry.iter().map(|date| &**date).collect();
        let model = "kms:ExpirationModel";
        let never: (&str, &[&str]) = (model, &["KEY_MATERIAL_DOES_NOT_EXPIRE"]);
        let to: (&str, &[&str]) = ("kms:ValidTo", &expiry);
        let ask = Ask {
            circumstances: &[if expiry.is_empty() { never } else { to }],
            defaults: &[(model, "KEY_MATERIAL_EXPIRES")],
            ..Ask::new(principal, Action::ImportKeyMaterial)
        };
        self.change_key(ask, key, &mut |object, now, _| {
            require_importable(object)?;
            if let Some(date) = valid_to {
                let latest = now.checked_add(VALID_FOR_MAX).unwrap_or(now);
                if date <= now || date > latest {
                    let why = "ValidTo must be a time in the next 365 days";
                    return Err(Error::ValidationFailed(why.into()));
                }
            }
            if !is_the_material_of(object, material)? {
                return Err(Error::Refused(Refusal::KeyMaterial));
            }
            let life = object.lifecycle();
            let state = match life.state_at(now) {
                Some(KeyState::PendingImport) => KeyState::Enabled,
                _ => life.state,
            };
            let life = Lifecycle { state, valid_to, material: None, ..life.clone() };
            Ok(Some(object.with_material(SecretBytes::copied(material.expose()), life)))
        })
    }

    /// Removes imported material for good (KMS API: DeleteImportedKeyMaterial). Only the
    /// same can be imported again.
    ///
    /// # Errors
    /// As for [`Token::import_key_material`], but for what is about the material.
    pub fn delete_imported_key_material(&self, principal: Principal, key: &str) -> Result<()> {
        let ask = Ask::new(principal, Action::DeleteImportedKeyMaterial);
        self.change_key(ask, key, &mut |object, _, _| {
            require_importable(object)?;
            if object.lacks_material() {
                return Ok(None);
            }
            self.bare(object).map(Some)
        })
    }

    /// Says which Regions hold the replicas of a primary key: what making and removing
    /// replicas in other tokens leads to. A primary that has waited for its last replica
    /// to go begins its own deletion window.
    ///
    /// # Errors
    /// [`Refusal::NoSuchKey`], [`Refusal::State`], [`Refusal::NotPrimary`],
    /// [`Error::UserNotLoggedIn`]; or why it could not be stored.
    pub fn set_replicas(&self, principal: Principal, key: &str, replicas: &[Region]) -> Result<()> {
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        // No state of the primary keeps replicas from going.
        let action = Action::ReplicateKey;
        let live = self.key(principal, key)?;
        let grows = |object: &Object| {
            let known = object.lifecycle().multi_region.as_ref().map(|it| &it.replicas);
            sorted.iter().any(|region| known.is_none_or(|known| !known.contains(region)))
        };
        self.edit(Ask::new(principal, action), &live, &mut |present, vault, _| {
            let object = &present.object;
            let life = object.lifecycle();
            let Some(place) = life.multi_region.as_ref().filter(|it| it.is_primary) else {
                return Err(Error::Refused(Refusal::NotPrimary(key.to_owned())));
            };
            if grows(object) {
                self.require_state(action, object)?;
            }
            let multi_region = Some(MultiRegion { replicas: sorted.clone(), ..place.clone() });
            let mut life = Lifecycle { multi_region, ..life.clone() };
            if life.state == KeyState::PendingReplicaDeletion && sorted.is_empty() {
                let days = life.deletion.map_or(0, |deletion| deletion.window_days);
                let now = self.surroundings.clock.now();
                life.state = KeyState::PendingDeletion;
                life.deletion = Some(crate::object::Deletion::after(days, now));
            }
            Ok(vec![self.put(vault, &object.with_lifecycle(life), present.version)?])
        })?
        .ok_or_else(|| super::key_life::no_such_key(key))
    }
}

/// Refuses a key that no material comes to and goes from. The table of states has seen
/// to its origin.
fn require_importable(object: &Object) -> Result<()> {
    if KeySpec::of(object).is_some() && object.is_private() {
        return Ok(());
    }
    Err(no_key_of_kms())
}

/// Whether a key may have this material: it is as long as the spec says, and the same as
/// what the key has or had.
fn is_the_material_of(object: &Object, material: &SecretBytes) -> Result<bool> {
    let lengths = KeySpec::of(object).map(KeySpec::import_len);
    if !lengths.is_some_and(|lengths| lengths.contains(&material.len())) {
        return Ok(false);
    }
    if !object.lacks_material() {
        return Ok(object.value().equals(material.expose()));
    }
    let Some(mark) = object.lifecycle().material else { return Ok(true) };
    let hash = vault::hmac(&mark.salt, &[material.expose()])?;
    Ok(SecretBytes::copied(&hash).equals(&mark.hash))
}
