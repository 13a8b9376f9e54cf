//! From a caller's pointers to slices, templates and mechanisms, and back: the
//! one file in which they are dereferenced.
//!
//! Every pointer may be null, unaligned or paired with a length that lies. What
//! can be checked is: null with a length, a length beyond what the module takes.
//! That a non-null pointer holds as many bytes as its length says is the
//! caller's side of the standard.

use crate::error::{Error, Result};
use crate::mechanism::RawMechanism;
use crate::secret::Pin;
use crate::session::{Output, Room};
use crate::types::{AttributeType, RawAttribute};
use cryptoki_sys::{CK_ATTRIBUTE, CK_BYTE, CK_MECHANISM, CK_ULONG};
use std::ffi::CStr;
use std::ptr;
use std::slice;

/// The most data that one call takes, in bytes: 2 GiB less one.
const DATA_MAX: CK_ULONG = (1 << 31) - 1;
/// The most attributes in one template.
const TEMPLATE_MAX: CK_ULONG = 4096;
/// The longest attribute value, in bytes: 16 MiB.
const VALUE_MAX: CK_ULONG = 1 << 24;
/// The longest mechanism parameter, in bytes.
const PARAMETER_MAX: CK_ULONG = 65_536;
/// More bytes than any MAC has.
const SIGNATURE_MAX: usize = 1024;
/// More bytes than any PIN has, with the names of a role and of a user before it.
const PIN_MAX: usize = Pin::MAX_LEN + 136;
/// More bytes than the name of any user has, or of a role with `role/` before it.
const USER_NAME_MAX: usize = 70;
/// The most random bytes that one call gives: 256 MiB.
const RANDOM_MAX: CK_ULONG = 1 << 28;

/// A slice of bytes; `(null, 0)` is an empty one. More than `max` of them are not
/// even looked at: `too_long` is the answer.
///
/// # Safety
/// A non-null `data` points to `len` readable bytes that stay unchanged as
/// long as the slice is used.
unsafe fn bytes(
    data: *const CK_BYTE,
    len: CK_ULONG,
    max: CK_ULONG,
    too_long: Result<&[u8]>,
) -> Result<&[u8]> {
    if data.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(Error::ArgumentsBad("null with a length")) };
    }
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= max) else {
        return too_long;
    };
    // SAFETY: not null, and the caller of this function answers for the length,
    // which is far below isize::MAX. Bytes need no alignment.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// Message data.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn data<'a>(data: *const CK_BYTE, len: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same contract.
    unsafe { bytes(data, len, DATA_MAX, Err(Error::DataLenRange)) }
}

/// A MAC to be verified. One of more than [`SIGNATURE_MAX`] bytes is as wrong as
/// any of exactly so many, which stands for it.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn signature<'a>(data: *const CK_BYTE, len: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same contract.
    unsafe { bytes(data, len, ulong(SIGNATURE_MAX)?, Ok(&[0; SIGNATURE_MAX])) }
}

/// A PIN. One of more than [`PIN_MAX`] bytes is as wrong as any of exactly so
/// many, which stands for it. Null, which asks for a protected authentication
/// path, is refused: there is none.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn pin<'a>(data: *const CK_BYTE, len: CK_ULONG) -> Result<&'a [u8]> {
    if data.is_null() {
        return Err(Error::ArgumentsBad("no PIN, and no protected authentication path"));
    }
    // SAFETY: the same contract.
    unsafe { bytes(data, len, ulong(PIN_MAX)?, Ok(&[0; PIN_MAX])) }
}

/// A user's name. One of more than [`USER_NAME_MAX`] bytes is as unknown as any of
/// exactly so many, which stands for it.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn user_name<'a>(data: *const CK_BYTE, len: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same contract.
    unsafe { bytes(data, len, ulong(USER_NAME_MAX)?, Ok(&[b'?'; USER_NAME_MAX])) }
}

/// A seed of any length.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn seed<'a>(data: *const CK_BYTE, len: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same contract.
    unsafe { bytes(data, len, DATA_MAX, Err(Error::ArgumentsBad("too long a seed"))) }
}

/// A caller's buffer for random bytes, filled by `fill`.
///
/// # Safety
/// A non-null `out` points to `len` writable bytes that nobody else uses.
pub unsafe fn fill(
    out: *mut CK_BYTE,
    len: CK_ULONG,
    fill: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<()> {
    if out.is_null() {
        return Err(Error::ArgumentsBad("no buffer"));
    }
    let len = usize::try_from(len)
        .ok()
        .filter(|_| len <= RANDOM_MAX)
        .ok_or(Error::ArgumentsBad("more random bytes than one call gives"))?;
    // SAFETY: not null; the caller answers for the length, which is bounded. It
    // may be uninitialised memory, so it is written before a reference is made.
    let out = unsafe {
        ptr::write_bytes(out, 0, len);
        slice::from_raw_parts_mut(out, len)
    };
    fill(out)
}

/// A text field of fixed length, blanks at its end cut off. Bytes that are not
/// UTF-8 are refused: nothing else could be kept and shown again unchanged.
///
/// # Safety
/// A non-null `data` points to `N` readable bytes.
pub unsafe fn padded_text<const N: usize>(data: *const CK_BYTE) -> Result<String> {
    let length = CK_ULONG::try_from(N).map_err(|_| Error::ArgumentsBad("length"))?;
    if data.is_null() {
        return Err(Error::ArgumentsBad("no label"));
    }
    // SAFETY: the same contract.
    let field = unsafe { bytes(data, length, length, Err(Error::ArgumentsBad("length"))) }?;
    let text = str::from_utf8(field).map_err(|_| Error::ArgumentsBad("a label not in UTF-8"))?;
    Ok(text.trim_end_matches([' ', '\0']).to_owned())
}

/// A template whose values are slices.
///
/// # Safety
/// A non-null `template` points to `count` attributes whose values fulfil the
/// contract of [`bytes`].
pub unsafe fn template<'a>(
    template: *const CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<Vec<RawAttribute<'a>>> {
    // SAFETY: the same contract.
    let attributes = unsafe { attributes(template, count) }?;
    attributes
        .map(|attribute| {
            let number = attribute.type_;
            let too_long = AttributeType::from_ck(number)
                .map_or(Error::AttributeTypeInvalid(number), Error::AttributeValueInvalid);
            // SAFETY: the caller answers for each value.
            let value = unsafe {
                bytes(attribute.pValue.cast(), attribute.ulValueLen, VALUE_MAX, Err(too_long))
            }?;
            Ok(RawAttribute { number, value })
        })
        .collect()
}

/// The attributes of a template, read one by one: the array may be unaligned.
///
/// # Safety
/// A non-null `template` points to `count` readable attributes.
unsafe fn attributes(
    template: *const CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<impl Iterator<Item = CK_ATTRIBUTE>> {
    if template.is_null() && count != 0 {
        return Err(Error::ArgumentsBad("no template"));
    }
    let count = usize::try_from(count)
        .ok()
        .filter(|_| count <= TEMPLATE_MAX)
        .ok_or(Error::ArgumentsBad("more attributes than any object has"))?;
    // SAFETY: `index` is below `count`, so the element is inside the caller's
    // array; when the pointer is null the count is 0 and nothing is read.
    Ok((0..count).map(move |index| unsafe { template.add(index).read_unaligned() }))
}

/// The numbers of the attributes that a template asks for.
///
/// # Safety
/// As for [`attributes`].
pub unsafe fn wanted(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<Vec<CK_ULONG>> {
    if template.is_null() {
        return Err(Error::ArgumentsBad("no template"));
    }
    // SAFETY: the same contract.
    let attributes = unsafe { attributes(template, count) }?;
    Ok(attributes.map(|attribute| attribute.type_).collect())
}

/// Writes one attribute's value, or its length, or that there is none, into
/// entry `index` of a template (`C_GetAttributeValue`, PKCS#11 v3.2 §5.7.5).
///
/// # Safety
/// `template` points to more than `index` attributes; a non-null value points
/// to as many writable bytes as its length says.
pub unsafe fn answer(
    template: *mut CK_ATTRIBUTE,
    index: usize,
    value: Result<&[u8], Error>,
) -> Result<()> {
    // SAFETY: the caller answers for the index.
    let entry = unsafe { template.add(index) };
    // SAFETY: as above; the entry may be unaligned.
    let mut attribute = unsafe { entry.read_unaligned() };
    let room = attribute.ulValueLen;
    let outcome = match value {
        Err(error) => {
            attribute.ulValueLen = cryptoki_sys::CK_UNAVAILABLE_INFORMATION;
            Err(error)
        }
        Ok(value) => {
            let length = ulong(value.len())?;
            let fits = attribute.pValue.is_null() || room >= length;
            attribute.ulValueLen =
                if fits { length } else { cryptoki_sys::CK_UNAVAILABLE_INFORMATION };
            if fits && !attribute.pValue.is_null() {
                // SAFETY: not null, and the caller's buffer has `room` bytes, which
                // is no less than the value has.
                unsafe {
                    ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len());
                }
            }
            if fits { Ok(()) } else { Err(Error::BufferTooSmall(value.len())) }
        }
    };
    // SAFETY: the entry is the caller's to be written.
    unsafe { entry.write_unaligned(attribute) };
    outcome
}

/// A mechanism; `None` for null, which in an `…Init` call means "cancel".
///
/// # Safety
/// A non-null pointer points to a mechanism whose parameter fulfils the
/// contract of [`bytes`].
pub unsafe fn optional_mechanism<'a>(
    mechanism: *const CK_MECHANISM,
) -> Result<Option<RawMechanism<'a>>> {
    if mechanism.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; it may be unaligned.
    let mechanism = unsafe { mechanism.read_unaligned() };
    let wrong = Error::MechanismParamInvalid;
    if mechanism.pParameter.is_null() && mechanism.ulParameterLen != 0 {
        return Err(wrong);
    }
    // SAFETY: the caller answers for the parameter.
    let parameter = unsafe {
        bytes(mechanism.pParameter.cast(), mechanism.ulParameterLen, PARAMETER_MAX, Err(wrong))
    }?;
    Ok(Some(RawMechanism { number: mechanism.mechanism, parameter }))
}

/// A mechanism that must be there.
///
/// # Safety
/// As for [`optional_mechanism`].
pub unsafe fn mechanism<'a>(mechanism: *const CK_MECHANISM) -> Result<RawMechanism<'a>> {
    // SAFETY: the same contract.
    unsafe { optional_mechanism(mechanism) }?.ok_or(Error::ArgumentsBad("no mechanism"))
}

/// A structure that may be left out.
///
/// # Safety
/// A non-null pointer points to a readable `T`.
pub unsafe fn optional<T: Copy>(value: *const T) -> Option<T> {
    if value.is_null() {
        return None;
    }
    // SAFETY: not null; it may be unaligned.
    Some(unsafe { value.read_unaligned() })
}

/// Writes a structure or a number for the caller.
///
/// # Safety
/// A non-null `out` points to writable memory for a `T`.
pub unsafe fn put<T>(out: *mut T, value: T) -> Result<()> {
    if out.is_null() {
        return Err(Error::ArgumentsBad("nowhere to put the answer"));
    }
    // SAFETY: not null; it may be unaligned.
    unsafe { out.write_unaligned(value) };
    Ok(())
}

/// Writes a run of values for the caller.
///
/// # Safety
/// A non-null `out` points to writable memory for all of `values`.
pub unsafe fn put_all<T: Copy>(out: *mut T, values: &[T]) {
    if out.is_null() {
        return;
    }
    // SAFETY: not null; copied as bytes because it may be unaligned.
    unsafe {
        ptr::copy_nonoverlapping(
            values.as_ptr().cast::<u8>(),
            out.cast::<u8>(),
            size_of_val(values),
        );
    }
}

/// Whether a caller's C string is `text`.
///
/// # Safety
/// `string` points to bytes that end with a zero.
pub unsafe fn c_string_equals(string: *const CK_BYTE, text: &CStr) -> bool {
    // SAFETY: read up to the first difference, at the latest the caller's final
    // zero or that of `text`.
    text.to_bytes_with_nul()
        .iter()
        .enumerate()
        .all(|(index, byte)| unsafe { *string.add(index) } == *byte)
}

/// Refuses an output pointer that is null, before anything is done.
pub fn require<T>(out: *mut T) -> Result<()> {
    if out.is_null() { Err(Error::ArgumentsBad("nowhere to put the answer")) } else { Ok(()) }
}

/// A Rust length as the standard's number.
pub fn ulong(length: usize) -> Result<CK_ULONG> {
    CK_ULONG::try_from(length).map_err(|_| Error::HostMemory)
}

/// A caller's output buffer by the standard's convention (PKCS#11 v3.2 §5.2):
/// no buffer asks for the length; too small a one is told the length.
pub struct OutBuf<T> {
    data: *mut T,
    length: *mut CK_ULONG,
}

impl<T: Copy> OutBuf<T> {
    /// # Errors
    /// [`Error::ArgumentsBad`] when there is no place for the length.
    pub fn new(data: *mut T, length: *mut CK_ULONG) -> Result<Self> {
        require(length)?;
        Ok(Self { data, length })
    }

    /// The room that the caller has, in elements.
    ///
    /// # Safety
    /// The length points to a readable number.
    pub unsafe fn room(&self) -> Room {
        if self.data.is_null() {
            return Room::Query;
        }
        // SAFETY: checked not to be null in `new`; it may be unaligned.
        let room = unsafe { self.length.read_unaligned() };
        // More room than there is address space is as good as all of it.
        Room::Bytes(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Writes `values` if there is room, and their number in any case.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], the needed length being written.
    ///
    /// # Safety
    /// The buffer has as many writable elements as its length says.
    pub unsafe fn write(&self, values: &[T]) -> Result<()> {
        // SAFETY: the same contract.
        let takes = unsafe { self.room() }.takes(values.len());
        // SAFETY: checked not to be null in `new`.
        unsafe { self.write_length(values.len()) }?;
        if takes? {
            // SAFETY: there is room for all values, by the caller's own count.
            unsafe { put_all(self.data, values) };
        }
        Ok(())
    }

    /// Writes a length alone.
    ///
    /// # Safety
    /// The length points to a writable number.
    unsafe fn write_length(&self, length: usize) -> Result<()> {
        // SAFETY: checked not to be null in `new`; it may be unaligned.
        unsafe { self.length.write_unaligned(ulong(length)?) };
        Ok(())
    }
}

impl OutBuf<CK_BYTE> {
    /// Writes what an operation gave: its bytes, or the length that it needs.
    ///
    /// # Errors
    /// The operation's own error; the needed length is written for
    /// [`Error::BufferTooSmall`].
    ///
    /// # Safety
    /// As for [`OutBuf::write`].
    pub unsafe fn finish(&self, output: Result<Output>) -> Result<()> {
        match output {
            // SAFETY: the same contract.
            Ok(Output::Bytes(tag)) => unsafe { self.write(tag.expose()) },
            // SAFETY: the same contract.
            Ok(Output::Length(length)) => unsafe { self.write_length(length) },
            Err(Error::BufferTooSmall(needed)) => {
                // SAFETY: the same contract.
                unsafe { self.write_length(needed) }?;
                Err(Error::BufferTooSmall(needed))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
