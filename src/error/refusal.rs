//! Why an administrative operation on a key, an alias or a grant was refused, with
//! what the KMS API's messages need.

use crate::types::{KeyState, Origin};
use std::fmt;

/// Why an operation on a key, an alias or a grant was refused. Each says which error of
/// the KMS API it is. Keys are named by their unique id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `NotFoundException`: no such key.
    NoSuchKey(String),
    /// The key's state forbids it: `DisabledException` for a disabled key,
    /// `KMSInvalidStateException` otherwise.
    State {
        /// The key.
        key: String,
        /// Its state.
        state: KeyState,
    },
    /// `KMSInvalidStateException`: there is no deletion to cancel.
    NotPendingDeletion(String),
    /// `UnsupportedOperationException`: not with material of this origin.
    Origin {
        /// The key.
        key: String,
        /// Where its material comes from.
        origin: Origin,
    },
    /// `UnsupportedOperationException`: not the primary of several Regions.
    NotPrimary(String),
    /// `UnsupportedOperationException`: why.
    Unsupported(&'static str),
    /// `IncorrectKeyMaterialException`: a length that the key cannot have, or other
    /// bytes than before.
    KeyMaterial,
    /// `TagException`.
    Tag(TagFault),
    /// `AlreadyExistsException`: the alias.
    AliasExists(String),
    /// `NotFoundException`: the alias.
    NoSuchAlias(String),
    /// `NotAuthorizedException`: aliases that begin with `alias/aws/` are the service's.
    AliasReserved,
    /// `InvalidGrantTokenException`.
    GrantToken,
    /// `InvalidGrantIdException`: what was given is no grant's id.
    GrantId,
    /// `NotFoundException`: the grant.
    NoSuchGrant(String),
    /// `InvalidMarkerException`.
    Marker,
}

/// What is wrong with tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagFault {
    /// Two of the same key.
    Duplicate,
    /// More than a key has.
    TooMany,
    /// A key that begins with `aws:`.
    Reserved,
}

/// In KMS's words.
impl fmt::Display for TagFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "Duplicate tag keys",
            Self::TooMany => "Too many tags",
            Self::Reserved => "Tags beginning with aws: are reserved",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchKey(key) => write!(f, "there is no key {}", key.escape_debug()),
            Self::State { key, state } => write!(f, "the key {key} is {state}"),
            Self::NotPendingDeletion(key) => write!(f, "the key {key} is not pending deletion"),
            Self::Origin { key, origin } => write!(
                f,
                "the origin of the key {key} is {}, which is not valid for this operation",
                origin.name()
            ),
            Self::NotPrimary(key) => {
                write!(f, "the key {key} is not a multi-Region primary key")
            }
            Self::Unsupported(why) => f.write_str(why),
            Self::KeyMaterial => f.write_str(
                "the key material has a length that this key cannot have, or is not the material \
                 that was imported before",
            ),
            Self::Tag(fault) => fault.fmt(f),
            Self::AliasExists(name) => {
                write!(f, "the alias {} exists already", name.escape_debug())
            }
            Self::NoSuchAlias(name) => write!(f, "there is no alias {}", name.escape_debug()),
            Self::AliasReserved => f.write_str("aliases that begin with alias/aws/ are reserved"),
            Self::GrantToken => f.write_str("the grant token is not one of this token's"),
            Self::GrantId => f.write_str("a grant's id consists of 64 hexadecimal digits"),
            Self::NoSuchGrant(id) => write!(f, "there is no grant {id}"),
            Self::Marker => f.write_str("the marker is none that a listing gave out"),
        }
    }
}
