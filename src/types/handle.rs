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
