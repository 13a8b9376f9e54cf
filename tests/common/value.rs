//! Attribute templates and mechanisms that own the memory they point to.

use cryptoki_sys::*;
use std::ffi::c_void;
use std::ptr::null_mut;

/// A value of an attribute, as the bytes the module reads.
pub trait Value {
    fn bytes(self) -> Vec<u8>;
}

impl Value for bool {
    fn bytes(self) -> Vec<u8> {
        vec![u8::from(self)]
    }
}

impl Value for CK_ULONG {
    fn bytes(self) -> Vec<u8> {
        self.to_ne_bytes().to_vec()
    }
}

impl Value for &str {
    fn bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Value for &[u8] {
    fn bytes(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> Value for [u8; N] {
    fn bytes(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> Value for &[u8; N] {
    fn bytes(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Value for &Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self.clone()
    }
}

impl Value for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

/// The value of `CKA_ALLOWED_MECHANISMS` that lists these.
pub fn mechanism_list(mechanisms: &[CK_MECHANISM_TYPE]) -> Vec<u8> {
    mechanisms.iter().flat_map(|mechanism| mechanism.to_ne_bytes()).collect()
}

/// A template that owns its values.
#[derive(Debug, Clone, Default)]
pub struct Template(Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>);

impl Template {
    /// The empty template.
    pub fn new() -> Self {
        Self::default()
    }

    /// The template with one attribute more.
    pub fn with(mut self, attribute: CK_ATTRIBUTE_TYPE, value: impl Value) -> Self {
        self.0.push((attribute, value.bytes()));
        self
    }

    /// The template with another's attributes appended.
    pub fn and(mut self, more: &Self) -> Self {
        self.0.extend(more.0.iter().cloned());
        self
    }

    /// The template without an attribute.
    pub fn without(mut self, attribute: CK_ATTRIBUTE_TYPE) -> Self {
        self.0.retain(|(present, _)| *present != attribute);
        self
    }

    /// The number of attributes.
    pub fn count(&self) -> CK_ULONG {
        self.0.len() as CK_ULONG
    }

    /// The attributes as the C ABI takes them, pointing into this template.
    pub fn raw(&self) -> Vec<CK_ATTRIBUTE> {
        self.0
            .iter()
            .map(|(attribute, value)| CK_ATTRIBUTE {
                type_: *attribute,
                pValue: value.as_ptr().cast::<c_void>().cast_mut(),
                ulValueLen: value.len() as CK_ULONG,
            })
            .collect()
    }
}

/// A mechanism that owns its parameter.
#[derive(Debug, Clone)]
pub struct Mech {
    mechanism: CK_MECHANISM_TYPE,
    parameter: Option<Vec<u8>>,
}

impl Mech {
    /// A mechanism without a parameter.
    pub fn plain(mechanism: CK_MECHANISM_TYPE) -> Self {
        Self { mechanism, parameter: None }
    }

    /// A mechanism with these bytes as its parameter.
    pub fn with(mechanism: CK_MECHANISM_TYPE, parameter: impl Value) -> Self {
        Self { mechanism, parameter: Some(parameter.bytes()) }
    }

    /// An `_HMAC_GENERAL` mechanism that yields `length` bytes.
    pub fn general(mechanism: CK_MECHANISM_TYPE, length: usize) -> Self {
        Self::with(mechanism, length as CK_ULONG)
    }

    /// The mechanism as the C ABI takes it, pointing into this value.
    pub fn raw(&self) -> CK_MECHANISM {
        let (parameter, length) = match &self.parameter {
            Some(bytes) => (bytes.as_ptr().cast::<c_void>().cast_mut(), bytes.len()),
            None => (null_mut(), 0),
        };
        CK_MECHANISM {
            mechanism: self.mechanism,
            pParameter: parameter,
            ulParameterLen: length as CK_ULONG,
        }
    }
}

impl From<CK_MECHANISM_TYPE> for Mech {
    fn from(mechanism: CK_MECHANISM_TYPE) -> Self {
        Self::plain(mechanism)
    }
}

impl From<&Mech> for Mech {
    fn from(mechanism: &Mech) -> Self {
        mechanism.clone()
    }
}
