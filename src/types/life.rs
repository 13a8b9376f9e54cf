//! The words of a key's life cycle.

use std::fmt;

/// Whether a key may be used (KMS API: `KeyState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// May be used.
    Enabled,
    /// Kept, but not used until it is enabled again.
    Disabled,
    /// Waits for its key material.
    PendingImport,
    /// Waits for the end of its deletion window.
    PendingDeletion,
    /// A multi-Region primary that waits for the deletion of its replicas.
    PendingReplicaDeletion,
    /// Its key material cannot be reached.
    Unavailable,
    /// A replica that is being made.
    Creating,
    /// Its primary Region is being changed; it may be used.
    Updating,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Enabled,
        Self::Disabled,
        Self::PendingImport,
        Self::PendingDeletion,
        Self::PendingReplicaDeletion,
        Self::Unavailable,
        Self::Creating,
        Self::Updating,
    ];

    /// The name in KMS's replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingImport => "PendingImport",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingReplicaDeletion => "PendingReplicaDeletion",
            Self::Unavailable => "Unavailable",
            Self::Creating => "Creating",
            Self::Updating => "Updating",
        }
    }

    /// Whether it waits to be deleted.
    #[must_use]
    pub const fn is_pending_deletion(self) -> bool {
        matches!(self, Self::PendingDeletion | Self::PendingReplicaDeletion)
    }
}

/// As it stands behind "the key is": `pending deletion`, for both ways to wait for it,
/// as KMS has it.
impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::PendingImport => "pending import",
            Self::PendingDeletion | Self::PendingReplicaDeletion => "pending deletion",
            Self::Unavailable => "unavailable",
            Self::Creating => "creating",
            Self::Updating => "updating",
        })
    }
}

/// Where a key's material came from (KMS API: `Origin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Made inside the token.
    Generated,
    /// Brought in from outside.
    External,
}

impl Origin {
    /// The name in KMS's replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "AWS_KMS",
            Self::External => "EXTERNAL",
        }
    }
}
