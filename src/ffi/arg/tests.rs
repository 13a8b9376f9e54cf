//! What callers hand over, right and wrong. These tests run under Miri too.

use super::*;
use crate::mechanism::Hash;
use crate::mechanism::digest::digest;
use cryptoki_sys::{CK_UNAVAILABLE_INFORMATION, CK_VERSION, CKA_LABEL, CKA_TOKEN, CKA_VALUE};
use std::ptr::{null, null_mut};

/// Puts what follows at an odd address.
#[repr(C, packed)]
struct Shifted<T>(u8, T);

/// A pointer that is not null and leads nowhere: no call may follow it.
fn nowhere<T>() -> *mut T {
    ptr::without_provenance_mut(0x1000)
}

const TOO_MUCH: [CK_ULONG; 4] = [1 << 31, 1 << 32, CK_ULONG::MAX - 1, CK_ULONG::MAX];

fn attribute(number: CK_ULONG, value: &mut [u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: number,
        pValue: value.as_mut_ptr().cast(),
        ulValueLen: value.len() as CK_ULONG,
    }
}

#[test]
fn miri_null_is_empty_alone_and_refused_with_a_length() {
    let refused = Err(Error::ArgumentsBad("null with a length"));
    for length in [1, 32, CK_ULONG::MAX] {
        // SAFETY: a null pointer is never followed.
        unsafe {
            assert_eq!(data(null(), length), refused);
            assert_eq!(signature(null(), length), refused);
            assert_eq!(user_name(null(), length), refused);
            assert_eq!(seed(null(), length), refused);
            assert!(matches!(pin(null(), length), Err(Error::ArgumentsBad(_))));
            assert!(matches!(template(null(), length), Err(Error::ArgumentsBad(_))));
            assert!(matches!(wanted(null(), length), Err(Error::ArgumentsBad(_))));
            let filled = fill(null_mut(), length, |_| panic!("nothing to fill"));
            assert!(matches!(filled, Err(Error::ArgumentsBad(_))));
        }
    }
    // SAFETY: as above.
    unsafe {
        assert_eq!(data(null(), 0), Ok(&[][..]));
        assert_eq!(signature(null(), 0), Ok(&[][..]));
        assert_eq!(user_name(null(), 0), Ok(&[][..]));
        assert_eq!(seed(null(), 0), Ok(&[][..]));
        assert!(template(null(), 0).unwrap().is_empty());
        assert!(matches!(pin(null(), 0), Err(Error::ArgumentsBad(_))), "there is no other path");
        assert!(matches!(wanted(null(), 0), Err(Error::ArgumentsBad(_))));
        assert!(matches!(padded_text::<32>(null()), Err(Error::ArgumentsBad(_))));
        assert!(optional_mechanism(null()).unwrap().is_none());
        assert!(matches!(mechanism(null()), Err(Error::ArgumentsBad(_))));
        assert_eq!(optional::<CK_ULONG>(null()), None);
        assert!(matches!(put(null_mut::<CK_ULONG>(), 1), Err(Error::ArgumentsBad(_))));
        put_all::<CK_ULONG>(null_mut(), &[]);
    }
    assert!(require(null_mut::<CK_ULONG>()).is_err());
    assert!(OutBuf::<CK_BYTE>::new(nowhere(), null_mut()).is_err());
}

#[test]
fn miri_lengths_beyond_all_bounds_are_refused_unread() {
    for length in TOO_MUCH {
        // SAFETY: the lengths are refused before the pointers are followed.
        unsafe {
            assert_eq!(data(nowhere(), length), Err(Error::DataLenRange));
            assert_eq!(signature(nowhere(), length).map(<[_]>::len), Ok(SIGNATURE_MAX));
            assert_eq!(pin(nowhere(), length).map(<[_]>::len), Ok(PIN_MAX));
            assert_eq!(user_name(nowhere(), length).map(<[_]>::len), Ok(USER_NAME_MAX));
            assert!(matches!(seed(nowhere(), length), Err(Error::ArgumentsBad(_))));
            assert!(matches!(template(nowhere(), length), Err(Error::ArgumentsBad(_))));
            assert!(matches!(wanted(nowhere(), length), Err(Error::ArgumentsBad(_))));
            let filled = fill(nowhere(), length, |_| panic!("nothing to fill"));
            assert!(matches!(filled, Err(Error::ArgumentsBad(_))));

            let value =
                |number| CK_ATTRIBUTE { type_: number, pValue: nowhere(), ulValueLen: length };
            let label = template(&value(CKA_LABEL), 1).unwrap_err();
            assert_eq!(label, Error::AttributeValueInvalid(AttributeType::Label));
            let unknown = template(&value(0x8000_1234), 1).unwrap_err();
            assert_eq!(unknown, Error::AttributeTypeInvalid(0x8000_1234));

            let parameter =
                CK_MECHANISM { mechanism: 0, pParameter: nowhere(), ulParameterLen: length };
            let refused = optional_mechanism(&parameter).unwrap_err();
            assert_eq!(refused, Error::MechanismParamInvalid);
        }
    }
}

#[test]
fn miri_bytes_are_read_where_and_as_long_as_they_are() {
    let buffer = *b"0123456789";
    // SAFETY: within the buffer.
    unsafe {
        assert_eq!(data(buffer.as_ptr(), 10), Ok(&b"0123456789"[..]));
        assert_eq!(data(buffer.as_ptr().add(3), 4), Ok(&b"3456"[..]));
        assert_eq!(data(buffer.as_ptr(), 0), Ok(&[][..]));
        assert_eq!(data(nowhere(), 0), Ok(&[][..]), "a pointer past an empty buffer");
        assert_eq!(pin(buffer.as_ptr(), 4), Ok(&b"0123"[..]));
        assert_eq!(pin(buffer.as_ptr(), 0), Ok(&[][..]), "its length is judged elsewhere");
    }
}

#[test]
fn miri_a_mac_longer_than_any_stays_longer_than_any_and_is_not_looked_at() {
    const { assert!(SIGNATURE_MAX > Hash::MAX_OUTPUT_LEN) };
    // SAFETY: nothing that is so long is read.
    let longer_than_any = unsafe { signature(nowhere(), 1025) };
    assert_eq!(longer_than_any.map(<[_]>::len), Ok(SIGNATURE_MAX));
}

#[test]
fn miri_a_pin_longer_than_any_stays_longer_than_any_and_is_not_looked_at() {
    let too_long = |pin: &[u8]| Pin::copied(pin).is_too_long();
    let longest = [b'1'; Pin::MAX_LEN];
    // SAFETY: the longest PIN is as long as it says; one that is longer is not read.
    let (longest, longer) = unsafe {
        (pin(longest.as_ptr(), 255).unwrap(), pin(nowhere(), ulong(PIN_MAX + 1).unwrap()).unwrap())
    };
    assert!(!too_long(longest) && too_long(longer));
}

#[test]
fn miri_templates_are_read_at_any_address() {
    let (mut label, mut flag) = (*b"label", [1]);
    let entries = [
        attribute(CKA_LABEL, &mut label),
        attribute(CKA_TOKEN, &mut flag),
        CK_ATTRIBUTE { type_: 0x8000_1234, pValue: null_mut(), ulValueLen: 0 },
    ];
    let shifted = Shifted(0, entries);
    // SAFETY: three entries, whose values are alive.
    let (template, wanted) = unsafe {
        let start = (&raw const shifted.1).cast();
        (template(start, 3).unwrap(), wanted(start, 3).unwrap())
    };
    let read: Vec<_> = template.iter().map(|entry| (entry.number, entry.value)).collect();
    assert_eq!(read, [(CKA_LABEL, &b"label"[..]), (CKA_TOKEN, &[1]), (0x8000_1234, &[])]);
    assert_eq!(wanted, [CKA_LABEL, CKA_TOKEN, 0x8000_1234]);
}

#[test]
fn miri_a_value_that_is_null_with_a_length_is_refused() {
    let entry = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 5 };
    // SAFETY: one entry.
    let refused = unsafe { template(&entry, 1) }.unwrap_err();
    assert_eq!(refused, Error::ArgumentsBad("null with a length"));
    let parameter = CK_MECHANISM { mechanism: 0, pParameter: null_mut(), ulParameterLen: 8 };
    // SAFETY: as above.
    let refused = unsafe { optional_mechanism(&parameter) }.unwrap_err();
    assert_eq!(refused, Error::MechanismParamInvalid);
}

#[test]
fn miri_structures_are_read_and_written_at_any_address() {
    let mut parameter = *b"parameter";
    let given = CK_MECHANISM {
        mechanism: 0x251,
        pParameter: parameter.as_mut_ptr().cast(),
        ulParameterLen: 9,
    };
    let shifted = Shifted(0, given);
    // SAFETY: a mechanism whose parameter is alive.
    let read = unsafe { mechanism(&raw const shifted.1) }.unwrap();
    assert_eq!((read.number, read.parameter), (0x251, &b"parameter"[..]));

    let mut number = Shifted(0, 0 as CK_ULONG);
    let mut list = Shifted(0, [0 as CK_ULONG; 3]);
    // SAFETY: the places are as large as what is written there.
    unsafe {
        put(&raw mut number.1, 7).unwrap();
        assert_eq!(optional(&raw const number.1), Some(7));
        put_all((&raw mut list.1).cast::<CK_ULONG>(), &[1, 2]);
    }
    assert_eq!({ list.1 }, [1, 2, 0]);
}

/// Answers the one entry of a template, at an odd address, and gives what the
/// entry's length and the buffer hold then.
fn answered(room: Option<usize>, value: Result<&[u8]>) -> (Result<()>, CK_ULONG, [u8; 8]) {
    let mut buffer = [0xee; 8];
    let value_pointer = if room.is_some() { buffer.as_mut_ptr().cast() } else { null_mut() };
    let entry = CK_ATTRIBUTE {
        type_: CKA_VALUE,
        pValue: value_pointer,
        ulValueLen: room.unwrap_or(0) as CK_ULONG,
    };
    let neighbour = attribute(CKA_LABEL, &mut []);
    let mut shifted = Shifted(0, [neighbour, entry, neighbour]);
    // SAFETY: the template has three entries, and the value as much room as it says.
    let outcome = unsafe { answer((&raw mut shifted.1).cast(), 1, value) };
    let entries = shifted.1;
    assert_eq!((entries[1].type_, entries[1].pValue), (CKA_VALUE, value_pointer));
    for other in [entries[0], entries[2]] {
        assert_eq!((other.type_, other.ulValueLen), (CKA_LABEL, 0));
    }
    (outcome, entries[1].ulValueLen, buffer)
}

#[test]
fn miri_an_attribute_is_answered_by_the_standard_s_convention() {
    let untouched = [0xee; 8];
    let written = |value: &[u8]| {
        let mut buffer = untouched;
        buffer[..value.len()].copy_from_slice(value);
        buffer
    };
    const NONE: CK_ULONG = CK_UNAVAILABLE_INFORMATION;
    assert_eq!(answered(None, Ok(b"value")), (Ok(()), 5, untouched), "only asked for");
    assert_eq!(answered(Some(5), Ok(b"value")), (Ok(()), 5, written(b"value")));
    assert_eq!(answered(Some(8), Ok(b"value")), (Ok(()), 5, written(b"value")), "more room");
    assert_eq!(answered(Some(4), Ok(b"value")), (Err(Error::BufferTooSmall(5)), NONE, untouched));
    assert_eq!(answered(Some(0), Ok(b"")), (Ok(()), 0, untouched));
    assert_eq!(answered(Some(0), Ok(b"v")), (Err(Error::BufferTooSmall(1)), NONE, untouched));
    for error in
        [Error::AttributeSensitive(AttributeType::Value), Error::AttributeTypeInvalid(CKA_VALUE)]
    {
        for room in [None, Some(8)] {
            let expected = (Err(error.clone()), NONE, untouched);
            assert_eq!(answered(room, Err(error.clone())), expected);
        }
    }
}

/// Writes through an `OutBuf`, both of whose pointers are at odd addresses.
fn written(
    room: Option<CK_ULONG>,
    write: impl FnOnce(&OutBuf<CK_ULONG>) -> Result<()>,
) -> (Result<()>, CK_ULONG, [CK_ULONG; 4]) {
    let mut buffer = Shifted(0, [9; 4]);
    let mut length = Shifted(0, room.unwrap_or(77));
    let data = if room.is_some() { (&raw mut buffer.1).cast() } else { null_mut() };
    let out = OutBuf::new(data, &raw mut length.1).unwrap();
    let outcome = write(&out);
    (outcome, length.1, buffer.1)
}

#[test]
fn miri_an_output_buffer_follows_the_standard_s_convention() {
    // SAFETY: the buffer has four elements, and no more than it says are written.
    let three = |out: &OutBuf<_>| unsafe { out.write(&[1, 2, 3]) };
    assert_eq!(written(None, three), (Ok(()), 3, [9; 4]), "only asked for");
    assert_eq!(written(Some(3), three), (Ok(()), 3, [1, 2, 3, 9]));
    assert_eq!(written(Some(4), three), (Ok(()), 3, [1, 2, 3, 9]));
    assert_eq!(written(Some(CK_ULONG::MAX), three), (Ok(()), 3, [1, 2, 3, 9]));
    for room in [0, 2] {
        assert_eq!(written(Some(room), three), (Err(Error::BufferTooSmall(3)), 3, [9; 4]));
    }
    // SAFETY: nothing is written but the length.
    let nothing = |out: &OutBuf<_>| unsafe { out.write(&[]) };
    assert_eq!(written(Some(0), nothing), (Ok(()), 0, [9; 4]));
    assert_eq!(written(None, nothing), (Ok(()), 0, [9; 4]));
}

#[test]
fn miri_the_room_is_what_the_caller_says() {
    let mut byte = 0;
    let room = |data: *mut CK_BYTE, mut length: CK_ULONG| {
        let out = OutBuf::new(data, &raw mut length).unwrap();
        // SAFETY: the length is readable.
        unsafe { out.room() }
    };
    assert_eq!(room(null_mut(), 5), Room::Query);
    assert_eq!(room(&raw mut byte, 0), Room::Bytes(0));
    assert_eq!(room(&raw mut byte, 5), Room::Bytes(5));
    assert_eq!(room(&raw mut byte, CK_ULONG::MAX), Room::Bytes(usize::MAX));
}

#[test]
fn miri_what_an_operation_gave_is_passed_on() {
    let finish = |room: usize, output: Result<Output>| {
        let (mut buffer, mut length) = ([0xee; 40], room as CK_ULONG);
        let out = OutBuf::new(buffer.as_mut_ptr(), &raw mut length).unwrap();
        // SAFETY: the buffer has at least as many bytes as its length says.
        let outcome = unsafe { out.finish(output) };
        (outcome, length, buffer)
    };
    let tag = digest(Hash::Sha1, b"abc");
    let expected = tag.expose().to_vec();
    let (outcome, length, buffer) = finish(40, Ok(Output::Bytes(tag)));
    assert_eq!((outcome, length), (Ok(()), 20));
    assert_eq!((&buffer[..20], &buffer[20..]), (&*expected, &[0xee; 20][..]));
    let untouched = [0xee; 40];
    assert_eq!(finish(0, Ok(Output::Length(20))), (Ok(()), 20, untouched));
    let small = Error::BufferTooSmall(20);
    assert_eq!(finish(3, Err(small.clone())), (Err(small), 20, untouched));
    let other = Error::OperationNotInitialized;
    assert_eq!(finish(3, Err(other.clone())), (Err(other), 3, untouched), "the length stays");
}

#[test]
fn miri_random_bytes_fill_memory_that_was_never_written() {
    let mut buffer = Box::<[u8; 16]>::new_uninit();
    let start = buffer.as_mut_ptr().cast::<CK_BYTE>();
    // SAFETY: 16 writable bytes; `fill` writes all of them.
    let filled = unsafe {
        fill(start, 16, |out| {
            assert_eq!(out, [0; 16]);
            out.fill(7);
            Ok(())
        })
        .unwrap();
        buffer.assume_init()
    };
    assert_eq!(*filled, [7; 16]);
    let mut byte = 1;
    // SAFETY: no byte is written; the error is passed on.
    let failed = unsafe { fill(&raw mut byte, 0, |_| Err(Error::EntropyUnavailable)) };
    assert_eq!(failed, Err(Error::EntropyUnavailable));
    assert_eq!(byte, 1);
}

#[test]
fn miri_labels_lose_their_padding() {
    // SAFETY: eight bytes each.
    let label = |field: &[u8; 8]| unsafe { padded_text::<8>(field.as_ptr()) }.unwrap();
    assert_eq!(label(b"label   "), "label");
    assert_eq!(label(b" a b    "), " a b");
    assert_eq!(label(b"12345678"), "12345678");
    assert_eq!(label(b"        "), "");
    assert_eq!(label(b"label\0\0\0"), "label");
    assert_eq!(label(b"caf\xc3\xa9   "), "caf\u{e9}");
    // SAFETY: eight bytes.
    let latin_1 = unsafe { padded_text::<8>(b"caf\xe9    ".as_ptr()) };
    assert!(matches!(latin_1, Err(Error::ArgumentsBad(_))));
}

#[test]
fn miri_c_strings_are_compared_up_to_the_first_difference() {
    let equals = |string: &[u8]| {
        assert_eq!(string.last(), Some(&0), "no C string");
        // SAFETY: it ends with a zero.
        unsafe { c_string_equals(string.as_ptr(), c"PKCS 11") }
    };
    assert!(equals(b"PKCS 11\0"));
    for other in [&b"\0"[..], b"PKCS 1\0", b"PKCS 11 \0", b"pkcs 11\0", b"PKCS\x0011\0"] {
        assert!(!equals(other), "{other:?}");
    }
}

#[test]
fn miri_small_structures_need_no_alignment_either() {
    let shifted = Shifted(0, CK_VERSION { major: 2, minor: 40 });
    // SAFETY: a readable version.
    let version = unsafe { optional(&raw const shifted.1) }.unwrap();
    assert_eq!((version.major, version.minor), (2, 40));
}
