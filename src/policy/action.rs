//! The one table from uses to actions.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What a principal asks to do. KMS's own actions bear KMS's names; uses
        /// that KMS does not know are `signet:…`, which `kms:*` does not contain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// The name in a policy.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

actions! {
    /// `C_GenerateKey`.
    CreateKey = "kms:CreateKey",
    /// `C_GetAttributeValue`, `C_FindObjects`, `C_GetObjectSize`.
    DescribeKey = "kms:DescribeKey",
    /// `C_SignInit`.
    GenerateMac = "kms:GenerateMac",
    /// `C_VerifyInit`, `C_VerifySignatureInit`.
    VerifyMac = "kms:VerifyMac",
    /// `C_CreateObject`.
    ImportObject = "signet:ImportObject",
    /// `C_CopyObject`.
    CopyKey = "signet:CopyKey",
    /// `C_DestroyObject`.
    DestroyKey = "signet:DestroyKey",
    /// `C_SetAttributeValue`.
    UpdateAttributes = "signet:UpdateAttributes",
    /// `C_GetAttributeValue` of `CKA_VALUE`.
    ReadValue = "signet:ReadValue",
    /// `C_DigestKey`.
    DigestKey = "signet:DigestKey",
    /// Every object, values included, sealed for elsewhere: `signet backup create`.
    BackUp = "signet:BackUp",
    /// Objects with the history they had elsewhere: `signet backup restore`.
    Restore = "signet:Restore",
    /// What is sealed to the token: its transport key is made, shown and used.
    ReceiveBackup = "signet:ReceiveBackup",
    /// `C_InitPIN`.
    InitializePin = "signet:InitializePin",
    /// Every record is held against what was written: `signet token check`.
    CheckToken = "signet:CheckToken",
    /// Damaged records are set aside, listed and discarded: `signet token quarantine`.
    Quarantine = "signet:Quarantine",
    /// `signet token rotate-root-key`.
    RotateRootKey = "signet:RotateRootKey",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
