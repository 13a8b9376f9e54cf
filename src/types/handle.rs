//! Slot numbers and handles: three kinds of number that must not be mixed up.

use super::Ulong;
use std::fmt;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Ulong);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// `CK_SLOT_ID`: the place of a token. Small, assigned when the token is
    /// made, and never moved.
    SlotId
}
number! {
    /// `CK_SESSION_HANDLE`: never zero, never reused within a process.
    SessionHandle
}
number! {
    /// `CK_OBJECT_HANDLE`: never zero, never reused within a process.
    ObjectHandle
}

impl SlotId {
    /// The number as the store knows it.
    #[must_use]
    #[allow(clippy::useless_conversion, reason = "CK_ULONG is 32 bits wide on some platforms")]
    pub fn number(self) -> u64 {
        self.0.into()
    }

    /// The slot that the store knows by this number; `None` when a
    /// `CK_SLOT_ID` cannot hold it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Ulong::try_from(number).ok().map(Self)
    }
}
