//! A template as the caller gave it: types and bytes, nothing checked yet.

use super::Ulong;
use std::fmt;

/// One entry of a caller's template: a `CK_ATTRIBUTE` whose value has been
/// bounded to a slice.
#[derive(Clone, Copy)]
pub struct RawAttribute<'a> {
    /// `CK_ATTRIBUTE_TYPE`, known to the module or not.
    pub number: Ulong,
    /// The caller's bytes; an absent pointer with length 0 is an empty value.
    pub value: &'a [u8],
}

/// Prints the type and the length: the value may be a key.
impl fmt::Debug for RawAttribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}[{} bytes]", self.number, self.value.len())
    }
}

/// A caller's template, in the caller's order.
pub type Template<'a> = [RawAttribute<'a>];
