//! The standard's nouns as Rust types, and their two-way maps to the numbers
//! of `pkcs11t.h`. Only this module and `ffi` name a `CK_*` constant.
#![forbid(unsafe_code)]

mod attribute;
mod handle;
mod home;
mod kind;
mod life;
mod mechanism;
mod name;
mod template;
mod text;

pub(crate) use attribute::ulong;
pub use attribute::{AttributeType, AttributeValue, Date, Shape};
pub use handle::{ObjectHandle, SessionHandle, SlotId};
pub use home::{AccountId, Home, Region};
pub use kind::{KeyType, ObjectClass, UserType};
pub use life::{KeyState, Origin};
pub use mechanism::MechanismType;
pub use name::{attribute_name, class_name, key_type_name};
pub use template::{RawAttribute, Template};
pub use text::{LABEL_LEN, padded};

/// `CK_ULONG`: 64 bits wide on LP64 platforms, 32 bits elsewhere.
pub type Ulong = cryptoki_sys::CK_ULONG;

/// `CK_UNAVAILABLE_INFORMATION`: the number that says "no value".
pub const UNAVAILABLE: Ulong = cryptoki_sys::CK_UNAVAILABLE_INFORMATION;

/// Declares an enum whose variants are numbers of the standard, with the maps
/// to and from them and the standard's own names.
macro_rules! ck_numbers {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $constant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", stringify!($constant), "`.")] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value with this number, if the module knows it.
            #[must_use]
            pub const fn from_ck(number: $crate::types::Ulong) -> Option<Self> {
                match number {
                    $(cryptoki_sys::$constant => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The standard's number.
            #[must_use]
            pub const fn to_ck(self) -> $crate::types::Ulong {
                match self {
                    $(Self::$variant => cryptoki_sys::$constant,)+
                }
            }

            /// The standard's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($constant),)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
use ck_numbers;
