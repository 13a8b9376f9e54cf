//! The one table from uses to actions.

use crate::error::RefusedKind;
use std::fmt;

/// What an action is done to, and so who decides: see [`super::Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Nothing that is there already: `Resource` is `*`, identity policies decide.
    Account,
    /// An alias, and the keys that it names or will name.
    Alias,
    /// A key: its policy decides.
    Key,
    /// A role: its trust policy decides.
    Role,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal on $concern:ident,)+) => {
        /// What a principal asks to do. KMS's own actions bear KMS's names; uses
        /// that KMS does not know are `signet:…`, which `kms:*` does not contain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in a policy.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it is done to.
            #[must_use]
            pub const fn concern(self) -> Concern {
                match self {
                    $(Self::$name => Concern::$concern,)+
                }
            }
        }
    };
}

actions! {
    // Using a key
    /// `C_SignInit`.
    GenerateMac = "kms:GenerateMac" on Key,
    /// `C_VerifyInit`, `C_VerifySignatureInit`.
    VerifyMac = "kms:VerifyMac" on Key,
    /// `C_DigestKey`.
    DigestKey = "signet:DigestKey" on Key,
    /// `C_GetAttributeValue` of `CKA_VALUE`.
    ReadValue = "signet:ReadValue" on Key,
    /// `C_CopyObject`.
    CopyKey = "signet:CopyKey" on Key,

    // Seeing and changing a key
    /// `C_GetAttributeValue`, `C_FindObjects`, `C_GetObjectSize`.
    DescribeKey = "kms:DescribeKey" on Key,
    /// When the key was used last.
    GetKeyLastUsage = "kms:GetKeyLastUsage" on Key,
    /// Whether the key rotates: an HMAC key never does.
    GetKeyRotationStatus = "kms:GetKeyRotationStatus" on Key,
    /// `C_SetAttributeValue`.
    UpdateAttributes = "signet:UpdateAttributes" on Key,
    /// A description is set.
    UpdateKeyDescription = "kms:UpdateKeyDescription" on Key,
    /// Tags are listed.
    ListResourceTags = "kms:ListResourceTags" on Key,
    /// Tags are set.
    TagResource = "kms:TagResource" on Key,
    /// Tags are removed.
    UntagResource = "kms:UntagResource" on Key,

    // A key's life
    /// The key may be used again.
    EnableKey = "kms:EnableKey" on Key,
    /// The key may not be used until it is enabled.
    DisableKey = "kms:DisableKey" on Key,
    /// `C_DestroyObject`.
    DestroyKey = "signet:DestroyKey" on Key,
    /// The key will be destroyed after a waiting period.
    ScheduleKeyDeletion = "kms:ScheduleKeyDeletion" on Key,
    /// The key will not be destroyed after all.
    CancelKeyDeletion = "kms:CancelKeyDeletion" on Key,
    /// What is needed to wrap key material for import.
    GetParametersForImport = "kms:GetParametersForImport" on Key,
    /// Key material is imported into a key that has none.
    ImportKeyMaterial = "kms:ImportKeyMaterial" on Key,
    /// Imported key material is destroyed, the key stays.
    DeleteImportedKeyMaterial = "kms:DeleteImportedKeyMaterial" on Key,
    /// A multi-Region key is given a replica in another Region.
    ReplicateKey = "kms:ReplicateKey" on Key,
    /// A replica becomes the primary key.
    UpdatePrimaryRegion = "kms:UpdatePrimaryRegion" on Key,

    // Who may use a key
    /// The key policy is read.
    GetKeyPolicy = "kms:GetKeyPolicy" on Key,
    /// The names of the key's policies are listed: there is one, `default`.
    ListKeyPolicies = "kms:ListKeyPolicies" on Key,
    /// The key policy is replaced.
    PutKeyPolicy = "kms:PutKeyPolicy" on Key,
    /// A grant is made.
    CreateGrant = "kms:CreateGrant" on Key,
    /// The key's grants are listed.
    ListGrants = "kms:ListGrants" on Key,
    /// A grant is given back: see [`super::Request::to_retire`].
    RetireGrant = "kms:RetireGrant" on Key,
    /// A grant is taken back.
    RevokeGrant = "kms:RevokeGrant" on Key,

    // Aliases
    /// An alias is made.
    CreateAlias = "kms:CreateAlias" on Alias,
    /// An alias is given another key.
    UpdateAlias = "kms:UpdateAlias" on Alias,
    /// An alias is removed.
    DeleteAlias = "kms:DeleteAlias" on Alias,

    // Everything else
    /// `C_GenerateKey`.
    CreateKey = "kms:CreateKey" on Account,
    /// `C_CreateObject`.
    ImportObject = "signet:ImportObject" on Account,
    /// Random bytes are asked for.
    GenerateRandom = "kms:GenerateRandom" on Account,
    /// Keys are listed.
    ListKeys = "kms:ListKeys" on Account,
    /// Aliases are listed.
    ListAliases = "kms:ListAliases" on Account,
    /// The grants that a principal may retire are listed.
    ListRetirableGrants = "kms:ListRetirableGrants" on Account,
    /// A user takes a role.
    AssumeRole = "sts:AssumeRole" on Role,

    // The token
    /// Every object, values included, sealed for elsewhere: `signet backup create`.
    BackUp = "signet:BackUp" on Account,
    /// Objects with the history they had elsewhere: `signet backup restore`.
    Restore = "signet:Restore" on Account,
    /// What is sealed to the token: its transport key is made, shown and used.
    ReceiveBackup = "signet:ReceiveBackup" on Account,
    /// `C_InitPIN`.
    InitializePin = "signet:InitializePin" on Account,
    /// Every record is held against what was written: `signet token check`.
    CheckToken = "signet:CheckToken" on Account,
    /// Damaged records are set aside, listed and discarded: `signet token quarantine`.
    Quarantine = "signet:Quarantine" on Account,
    /// Users, roles and access keys are made, changed and removed: `signet user`,
    /// `signet role`.
    ManageIdentities = "signet:ManageIdentities" on Account,
    /// The audit trail's checkpoints are signed, and the key for that is shown: `signet audit`.
    SignCheckpoint = "signet:SignCheckpoint" on Account,
    /// `signet token rotate-root-key`.
    RotateRootKey = "signet:RotateRootKey" on Account,
}

impl Action {
    /// How PKCS#11 calls it to be refused this.
    #[must_use]
    pub const fn refused(self) -> RefusedKind {
        match self {
            Self::GenerateMac | Self::VerifyMac | Self::DigestKey => RefusedKind::Use,
            Self::CreateKey | Self::ImportObject => RefusedKind::Creation,
            _ => RefusedKind::Change,
        }
    }

    /// The action of this name, in whatever case: policies do not tell cases
    /// apart either.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn actions_are_found_by_their_names() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(action.name()), Some(*action));
            assert_eq!(Action::from_name(&action.name().to_uppercase()), Some(*action));
        }
        assert_eq!(Action::from_name("kms:DestroyKey"), None, "KMS has no such action");
        assert_eq!(Action::from_name("GenerateMac"), None);
        assert_eq!(Action::from_name("kms:*"), None);
        let names: BTreeSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }

    #[test]
    fn every_operation_on_hmac_keys_is_an_action() {
        // KMS API: the operations that apply to HMAC keys.
        let of_kms = Action::ALL.iter().filter(|action| action.name().starts_with("kms:"));
        assert_eq!(of_kms.count(), 33);
        let without_a_key = [
            "kms:CreateKey",
            "kms:GenerateRandom",
            "kms:ListAliases",
            "kms:ListKeys",
            "kms:ListRetirableGrants",
        ];
        for action in Action::ALL.iter().filter(|action| action.name().starts_with("kms:")) {
            let expected = match action.name() {
                name if without_a_key.contains(&name) => Concern::Account,
                "kms:CreateAlias" | "kms:UpdateAlias" | "kms:DeleteAlias" => Concern::Alias,
                _ => Concern::Key,
            };
            assert_eq!(action.concern(), expected, "{action}");
        }
    }
}
