//! PKCS#11 3.2 §4 and §5.7: objects made, read, changed, copied and destroyed.

use crate::api::templates::{closed_key, data, least, open_key};
use crate::common::*;
use cryptoki_sys::*;
use std::collections::HashSet;
use std::ptr::null_mut;

const NO_UNIQUE_ID: &str = "CKA_UNIQUE_ID came with PKCS#11 3.0";

cases! {
    secret_key_is_created_and_read_back,
    secret_key_needs_class_type_and_value,
    created_key_has_the_standards_defaults
        softhsm2: departs("0x104", "SoftHSM2 lets a MAC key encrypt by default"),
    created_key_is_sensitive_and_not_extractable_by_default
        softhsm2: departs("CKA_SENSITIVE", "by the standard's default the value would leave"),
    created_key_signs_and_verifies_by_default,
    created_key_was_never_locked_up,
    created_key_is_private_by_default,
    what_the_token_contributes_cannot_be_given,
    unique_id_cannot_be_given softhsm2: departs("CKR_ATTRIBUTE_TYPE_INVALID", NO_UNIQUE_ID),
    unique_ids_are_unique softhsm2: departs("CKR_ATTRIBUTE_TYPE_INVALID", NO_UNIQUE_ID),
    unknown_attribute_is_refused,
    attribute_of_another_class_is_refused,
    unknown_class_or_key_type_is_refused,
    boolean_of_a_wrong_size_is_refused,
    boolean_that_is_neither_is_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 takes every byte for true"),
    number_of_a_wrong_size_is_refused
        softhsm2: departs("CKR_TEMPLATE_INCOMPLETE", "SoftHSM2 overlooks such a class"),
    dates_are_kept softhsm2: departs("CKR_GENERAL_ERROR", "SoftHSM2 cannot store them"),
    date_that_is_none_is_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 stores any eight bytes"),
    same_attribute_with_two_values_is_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 takes the last"),
    attribute_without_memory_is_refused
        softhsm2: departs("SIGSEGV", "SoftHSM2 reads it"),
    create_refuses_null,
    refused_creation_leaves_nothing
        softhsm2: departs("is_empty", "SoftHSM2 leaves half an object in the token"),
    empty_key_is_refused softhsm2: departs("got CKR_OK", "SoftHSM2 creates keys of no bytes"),
    check_value_is_of_the_value,
    wrong_check_value_is_refused,
    check_value_may_be_declined,
    data_object_is_created_and_read_back,
    data_object_has_the_standards_defaults,
    value_of_a_sensitive_key_is_withheld_and_the_rest_is_given,
    value_of_an_extractable_key_is_given,
    unknown_attribute_is_unavailable_and_the_rest_is_given,
    too_small_buffer_is_unavailable_and_the_rest_is_given,
    null_value_asks_for_the_length,
    read_refuses_null,
    size_is_something_or_unavailable,
}

/// §5.7.1, §4.10.
fn secret_key_is_created_and_read_back(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let template = open_key().and(&template![
            CKA_TOKEN => token,
            CKA_LABEL => "name",
            CKA_ID => [1, 2, 3],
            CKA_DERIVE => true,
        ]);
        let key = s.create(&template).unwrap();
        assert_eq!(s.number(key, CKA_CLASS), CKO_SECRET_KEY);
        assert_eq!(s.number(key, CKA_KEY_TYPE), CKK_GENERIC_SECRET);
        assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"name");
        assert_eq!(s.get(key, CKA_ID).unwrap(), [1, 2, 3]);
        assert_eq!(s.get(key, CKA_VALUE).unwrap(), [5; 64]);
        assert_eq!(s.number(key, CKA_VALUE_LEN), 64);
        assert_eq!(s.flag(key, CKA_TOKEN), token);
        for flag in [CKA_DERIVE, CKA_SIGN, CKA_VERIFY, CKA_EXTRACTABLE] {
            assert!(s.flag(key, flag), "{flag:#x}");
        }
        assert!(!s.flag(key, CKA_SENSITIVE));
    }
}

/// Footnote 1: MUST be specified.
fn secret_key_needs_class_type_and_value(w: &World) {
    let s = w.user();
    for missing in [CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE] {
        refused(s.create(&least().without(missing)), CKR_TEMPLATE_INCOMPLETE);
    }
    refused(s.create(&template![]), CKR_TEMPLATE_INCOMPLETE);
}

/// §4.4, §4.7, §4.10: the tables' defaults.
fn created_key_has_the_standards_defaults(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    for flag in [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE] {
        assert!(s.flag(key, flag), "{flag:#x}");
    }
    for flag in [
        CKA_TOKEN,
        CKA_DERIVE,
        CKA_LOCAL,
        CKA_ENCRYPT,
        CKA_DECRYPT,
        CKA_WRAP,
        CKA_UNWRAP,
        CKA_ALWAYS_SENSITIVE,
        CKA_NEVER_EXTRACTABLE,
        CKA_WRAP_WITH_TRUSTED,
        CKA_TRUSTED,
    ] {
        assert!(!s.flag(key, flag), "{flag:#x}");
    }
    for (empty, name) in [
        (CKA_LABEL, "CKA_LABEL"),
        (CKA_ID, "CKA_ID"),
        (CKA_START_DATE, "CKA_START_DATE"),
        (CKA_END_DATE, "CKA_END_DATE"),
        (CKA_ALLOWED_MECHANISMS, "CKA_ALLOWED_MECHANISMS"),
    ] {
        assert_eq!(s.get(key, empty), Ok(Vec::new()), "{name}");
    }
    assert_eq!(s.number(key, CKA_KEY_GEN_MECHANISM), CK_UNAVAILABLE_INFORMATION);
    assert_eq!(s.number(key, CKA_OBJECT_VALIDATION_FLAGS), 0);
}

/// A stated departure (design §3).
fn created_key_is_sensitive_and_not_extractable_by_default(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    assert!(s.flag(key, CKA_SENSITIVE), "CKA_SENSITIVE");
    assert!(!s.flag(key, CKA_EXTRACTABLE), "CKA_EXTRACTABLE");
    refused(s.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
}

/// Footnote 9: Java sends neither.
fn created_key_signs_and_verifies_by_default(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    assert!(s.flag(key, CKA_SIGN) && s.flag(key, CKA_VERIFY), "CKA_SIGN and CKA_VERIFY");
    let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
}

/// §4.4: "Default value is token-specific"; SoftHSM2's is ours.
fn created_key_is_private_by_default(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    assert!(s.flag(key, CKA_PRIVATE));
    let generated = template![CKA_VALUE_LEN => 32];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated).unwrap();
    assert!(s.flag(key, CKA_PRIVATE));
    let s = w.open(s.slot, RW);
    s.logout().unwrap();
    refused(s.create(&least()), CKR_USER_NOT_LOGGED_IN);
}

/// §5.7.1: CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are false.
fn created_key_was_never_locked_up(w: &World) {
    let s = w.user();
    let key = s.create(&closed_key()).unwrap();
    assert!(!s.flag(key, CKA_LOCAL));
    assert!(!s.flag(key, CKA_ALWAYS_SENSITIVE));
    assert!(!s.flag(key, CKA_NEVER_EXTRACTABLE));
}

/// What says that an attribute does not belong into a template.
const NOT_YOURS: &[CK_RV] = &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT];

/// Footnote 2: MUST not be specified; of two codes that say it either will do.
fn what_the_token_contributes_cannot_be_given(w: &World) {
    let s = w.user();
    for flag in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
        for value in [true, false] {
            refused_any(s.create(&least().with(flag, value)), NOT_YOURS);
        }
    }
    let mechanism = least().with(CKA_KEY_GEN_MECHANISM, CKM_GENERIC_SECRET_KEY_GEN);
    refused_any(s.create(&mechanism), NOT_YOURS);
    refused_any(s.create(&least().with(CKA_VALUE_LEN, 64)), NOT_YOURS);
}

/// §4.3.2: CKR_ATTRIBUTE_READ_ONLY, by name.
fn unique_id_cannot_be_given(w: &World) {
    let s = w.user();
    refused(s.create(&least().with(CKA_UNIQUE_ID, "mine")), CKR_ATTRIBUTE_READ_ONLY);
    refused(s.create(&data("a").with(CKA_UNIQUE_ID, "mine")), CKR_ATTRIBUTE_READ_ONLY);
    let key = s.create(&least()).unwrap();
    refused(s.copy(key, &template![CKA_UNIQUE_ID => "mine"]), CKR_ATTRIBUTE_READ_ONLY);
}

/// §4.3.2.
fn unique_ids_are_unique(w: &World) {
    let s = w.user();
    let mut seen = HashSet::new();
    for template in [least(), least().with(CKA_TOKEN, true), data("a"), data("a")] {
        let object = s.create(&template).unwrap();
        let id = s.get(object, CKA_UNIQUE_ID).unwrap();
        assert!(!id.is_empty() && String::from_utf8(id.clone()).is_ok());
        assert_eq!(s.find(&template![CKA_UNIQUE_ID => &id]).unwrap(), [object]);
        assert!(seen.insert(id));
    }
    let copy = s.copy(s.find(&data("a")).unwrap()[0], &template![]).unwrap();
    assert!(seen.insert(s.get(copy, CKA_UNIQUE_ID).unwrap()));
}

/// §4.1.1 rule 1.
fn unknown_attribute_is_refused(w: &World) {
    let s = w.user();
    for unknown in [CKA_VENDOR_DEFINED + 77, 0x0FFF_FFFF, CK_ATTRIBUTE_TYPE::MAX] {
        refused(s.create(&least().with(unknown, true)), CKR_ATTRIBUTE_TYPE_INVALID);
        let key = s.create(&least()).unwrap();
        refused(s.set(key, &template![unknown => true]), CKR_ATTRIBUTE_TYPE_INVALID);
    }
}

/// §4.1.1 rule 5 says inconsistent, rule 1 would say invalid.
fn attribute_of_another_class_is_refused(w: &World) {
    let s = w.user();
    let codes = [CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID];
    refused_any(s.create(&least().with(CKA_APPLICATION, "program")), &codes);
    refused_any(s.create(&least().with(CKA_MODULUS, [1; 128])), &codes);
    refused_any(s.create(&data("a").with(CKA_SIGN, true)), &codes);
    refused_any(s.create(&data("a").with(CKA_ID, [1])), &codes);
}

/// §4.1.1 rule 2; a class that a token does not make may also be inconsistent.
fn unknown_class_or_key_type_is_refused(w: &World) {
    let s = w.user();
    let codes = [CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT];
    for class in [CKO_VENDOR_DEFINED, CK_OBJECT_CLASS::MAX] {
        let template = least().without(CKA_CLASS).with(CKA_CLASS, class);
        refused_any(s.create(&template), &codes);
    }
    for key_type in [CKK_VENDOR_DEFINED, CK_KEY_TYPE::MAX] {
        let template = least().without(CKA_KEY_TYPE).with(CKA_KEY_TYPE, key_type);
        refused_any(s.create(&template), &codes);
    }
}

const FLAGS: [CK_ATTRIBUTE_TYPE; 12] = [
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_DERIVE,
    CKA_ENCRYPT,
    CKA_WRAP_WITH_TRUSTED,
];

/// CKR_ATTRIBUTE_VALUE_INVALID; C programs pass an `int` now and then.
fn boolean_of_a_wrong_size_is_refused(w: &World) {
    let s = w.user();
    for flag in FLAGS {
        for wrong in [&[][..], &[1, 0], &[1, 0, 0, 0]] {
            refused(s.create(&least().with(flag, wrong)), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
}

/// §3.1: a CK_BBOOL is CK_TRUE or CK_FALSE.
fn boolean_that_is_neither_is_refused(w: &World) {
    let s = w.user();
    for flag in FLAGS {
        refused(s.create(&least().with(flag, [2])), CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

/// CKR_ATTRIBUTE_VALUE_INVALID.
fn number_of_a_wrong_size_is_refused(w: &World) {
    let s = w.user();
    for number in [CKA_CLASS, CKA_KEY_TYPE] {
        for wrong in [&[][..], &[4], &[4, 0, 0, 0], &[4, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let template = least().without(number).with(number, wrong);
            refused(s.create(&template), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
    let short = template![CKA_VALUE_LEN => [32, 0, 0, 0]];
    let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &short);
    refused(made, CKR_ATTRIBUTE_VALUE_INVALID);
}

/// §4.7: for reference only, so that a date long gone hinders nothing.
fn dates_are_kept(w: &World) {
    let s = w.user();
    let dates = template![CKA_START_DATE => "19990101", CKA_END_DATE => "19991231"];
    let key = s.create(&open_key().and(&dates)).unwrap();
    assert_eq!(s.get(key, CKA_START_DATE).unwrap(), b"19990101");
    assert_eq!(s.get(key, CKA_END_DATE).unwrap(), b"19991231");
    s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.set(key, &template![CKA_START_DATE => "", CKA_END_DATE => "20260228"]).unwrap();
    assert!(s.get(key, CKA_START_DATE).unwrap().is_empty());
    assert_eq!(s.get(key, CKA_END_DATE).unwrap(), b"20260228");
}

/// §3.4 CK_DATE.
fn date_that_is_none_is_refused(w: &World) {
    let s = w.user();
    for date in [CKA_START_DATE, CKA_END_DATE] {
        for wrong in ["2026", "20261301", "20260132", "today!!!", "202601011"] {
            refused(s.create(&least().with(date, wrong)), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
}

/// §4.1.1 rule 5's first example; rule 6 lets twice the same pass or not.
fn same_attribute_with_two_values_is_refused(w: &World) {
    let s = w.user();
    let label = least().with(CKA_LABEL, "one").with(CKA_LABEL, "two");
    refused(s.create(&label), CKR_TEMPLATE_INCONSISTENT);
    refused(s.create(&least().with(CKA_VALUE, [6; 64])), CKR_TEMPLATE_INCONSISTENT);
    let twice = least().with(CKA_LABEL, "one").with(CKA_LABEL, "one");
    match s.create(&twice) {
        Ok(key) => assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"one"),
        Err(refusal) => refused::<()>(Err(refusal), CKR_TEMPLATE_INCONSISTENT),
    }
}

/// A NULL with a length is nobody's value.
fn attribute_without_memory_is_refused(w: &World) {
    let s = w.user();
    let codes = [CKR_ATTRIBUTE_VALUE_INVALID, CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCONSISTENT];
    for attribute in [CKA_TOKEN, CKA_SIGN, CKA_KEY_TYPE] {
        let template = least().without(attribute);
        let mut raw = template.raw();
        raw.push(CK_ATTRIBUTE { type_: attribute, pValue: null_mut(), ulValueLen: 8 });
        let (count, mut key) = (raw.len() as CK_ULONG, 0);
        let made = ck!(s.module, C_CreateObject(s.handle, raw.as_mut_ptr(), count, &mut key));
        refused_any(made, &codes);
    }
}

/// §5.7.1.
fn create_refuses_null(w: &World) {
    let s = w.user();
    let (template, mut key) = (least(), 0);
    let none = ck!(s.module, C_CreateObject(s.handle, null_mut(), 3, &mut key));
    refused(none, CKR_ARGUMENTS_BAD);
    let nowhere = ck!(
        s.module,
        C_CreateObject(s.handle, template.raw().as_mut_ptr(), template.count(), null_mut())
    );
    refused(nowhere, CKR_ARGUMENTS_BAD);
    assert!(s.find(&template![]).unwrap().is_empty());
}

/// §5.7.1: "will fail and return without creating any object".
fn refused_creation_leaves_nothing(w: &World) {
    let s = w.user();
    let token = least().with(CKA_TOKEN, true);
    refused_somehow(s.create(&token.clone().with(CKA_LOCAL, true)));
    refused_somehow(s.create(&token.clone().with(CKA_VENDOR_DEFINED, true)));
    refused_somehow(s.create(&token.without(CKA_VALUE)));
    assert!(s.find(&template![]).unwrap().is_empty());
}

/// Design §4: from 1 byte up.
fn empty_key_is_refused(w: &World) {
    let s = w.user();
    let empty = least().without(CKA_VALUE).with(CKA_VALUE, []);
    refused(s.create(&empty), CKR_ATTRIBUTE_VALUE_INVALID);
}

/// The first three bytes of SHA-1 over 64 bytes of 5.
const CHECK_VALUE: [u8; 3] = [0x05, 0x73, 0xa8];

/// §6.9.2: the first three bytes of the value's SHA-1.
fn check_value_is_of_the_value(w: &World) {
    let s = w.user();
    for template in [closed_key(), open_key(), closed_key().with(CKA_TOKEN, true)] {
        let key = s.create(&template).unwrap();
        assert_eq!(s.get(key, CKA_CHECK_VALUE).as_deref(), Ok(&CHECK_VALUE[..]), "CKA_CHECK_VALUE");
    }
    s.create(&least().with(CKA_CHECK_VALUE, CHECK_VALUE)).unwrap();
}

/// §4.10: "it MUST match".
fn wrong_check_value_is_refused(w: &World) {
    let s = w.user();
    for wrong in [&[0, 0, 0][..], &CHECK_VALUE[..2]] {
        let template = least().with(CKA_CHECK_VALUE, wrong);
        refused(s.create(&template), CKR_ATTRIBUTE_VALUE_INVALID);
    }
}

/// §4.10: "supplying the attribute in the template as a no-value", at creation
/// or later; then there is none to be had, which no clause gives a code to.
fn check_value_may_be_declined(w: &World) {
    let s = w.user();
    let none = |key| match s.get(key, CKA_CHECK_VALUE) {
        Ok(value) => assert!(value.is_empty()),
        Err(refusal) => refused::<()>(Err(refusal), CKR_ATTRIBUTE_TYPE_INVALID),
    };
    none(s.create(&least().with(CKA_CHECK_VALUE, [])).unwrap());
    let key = s.create(&least()).unwrap();
    let other = template![CKA_CHECK_VALUE => [1, 2, 3]];
    refused_somehow(s.set(key, &other));
    s.set(key, &template![CKA_CHECK_VALUE => []]).unwrap();
    none(key);
}

/// §4.5.
fn data_object_is_created_and_read_back(w: &World) {
    let s = w.user();
    for (token, private) in [(true, true), (true, false), (false, true), (false, false)] {
        let object = s
            .create(&data("name").and(&template![
                CKA_TOKEN => token,
                CKA_PRIVATE => private,
                CKA_APPLICATION => "program",
                CKA_OBJECT_ID => [6, 3, 0x2a, 3, 4],
            ]))
            .unwrap();
        assert_eq!(s.number(object, CKA_CLASS), CKO_DATA);
        assert_eq!(s.get(object, CKA_LABEL).unwrap(), b"name");
        assert_eq!(s.get(object, CKA_VALUE).unwrap(), b"value");
        assert_eq!(s.get(object, CKA_APPLICATION).unwrap(), b"program");
        assert_eq!(s.get(object, CKA_OBJECT_ID).unwrap(), [6, 3, 0x2a, 3, 4]);
        assert_eq!(s.flag(object, CKA_TOKEN), token);
        assert_eq!(s.flag(object, CKA_PRIVATE), private);
    }
}

/// §4.4, §4.5.
fn data_object_has_the_standards_defaults(w: &World) {
    let s = w.user();
    let object = s.create(&template![CKA_CLASS => CKO_DATA]).unwrap();
    for flag in [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE] {
        assert!(s.flag(object, flag));
    }
    assert!(!s.flag(object, CKA_TOKEN));
    for empty in [CKA_LABEL, CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE] {
        assert!(s.get(object, empty).unwrap().is_empty());
    }
}

/// A triple of C_GetAttributeValue with a buffer of this many bytes.
struct Wanted {
    attribute: CK_ATTRIBUTE_TYPE,
    buffer: Vec<u8>,
    length: CK_ULONG,
}

fn wanted(attribute: CK_ATTRIBUTE_TYPE, room: usize) -> Wanted {
    Wanted { attribute, buffer: vec![0xEE; room], length: room as CK_ULONG }
}

fn get_all<const N: usize>(s: &Session<'_>, object: CK_OBJECT_HANDLE, all: &mut [Wanted; N]) -> Rv {
    let mut raw: Vec<CK_ATTRIBUTE> = all
        .iter_mut()
        .map(|wanted| CK_ATTRIBUTE {
            type_: wanted.attribute,
            pValue: wanted.buffer.as_mut_ptr().cast(),
            ulValueLen: wanted.length,
        })
        .collect();
    let answer =
        ck!(s.module, C_GetAttributeValue(s.handle, object, raw.as_mut_ptr(), N as CK_ULONG));
    for (wanted, raw) in all.iter_mut().zip(raw) {
        wanted.length = raw.ulValueLen;
    }
    answer
}

/// §5.7.5 case 1.
fn value_of_a_sensitive_key_is_withheld_and_the_rest_is_given(w: &World) {
    let s = w.user();
    for (sensitive, extractable) in [(true, false), (true, true), (false, false)] {
        for token in [true, false] {
            let key = s
                .create(&least().and(&template![
                    CKA_SENSITIVE => sensitive,
                    CKA_EXTRACTABLE => extractable,
                    CKA_TOKEN => token,
                    CKA_LABEL => "name",
                ]))
                .unwrap();
            let mut all = [wanted(CKA_CLASS, 8), wanted(CKA_VALUE, 64), wanted(CKA_LABEL, 32)];
            refused(get_all(&s, key, &mut all), CKR_ATTRIBUTE_SENSITIVE);
            assert_eq!(all[0].buffer, CKO_SECRET_KEY.to_ne_bytes());
            assert_eq!(all[1].length, CK_UNAVAILABLE_INFORMATION);
            assert_eq!(all[1].buffer, [0xEE; 64]);
            assert_eq!(all[2].length, 4);
            assert_eq!(&all[2].buffer[..4], b"name");
        }
    }
}

fn value_of_an_extractable_key_is_given(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    assert_eq!(s.get(key, CKA_VALUE).unwrap(), [5; 64]);
}

/// §5.7.5 case 2.
fn unknown_attribute_is_unavailable_and_the_rest_is_given(w: &World) {
    let s = w.user();
    let key = s.create(&least().with(CKA_LABEL, "name")).unwrap();
    for strange in [CKA_VENDOR_DEFINED + 77, CKA_MODULUS, CKA_APPLICATION] {
        let mut all = [wanted(CKA_LABEL, 32), wanted(strange, 8), wanted(CKA_KEY_TYPE, 8)];
        refused(get_all(&s, key, &mut all), CKR_ATTRIBUTE_TYPE_INVALID);
        assert_eq!(&all[0].buffer[..4], b"name");
        assert_eq!(all[1].length, CK_UNAVAILABLE_INFORMATION);
        assert_eq!(all[2].buffer, CKK_GENERIC_SECRET.to_ne_bytes());
    }
}

/// §5.7.5 case 5.
fn too_small_buffer_is_unavailable_and_the_rest_is_given(w: &World) {
    let s = w.user();
    let key = s.create(&open_key().with(CKA_LABEL, "a longer name")).unwrap();
    let mut all = [
        wanted(CKA_LABEL, 12),
        wanted(CKA_CLASS, 8),
        wanted(CKA_VALUE, 63),
        wanted(CKA_KEY_TYPE, 7),
        wanted(CKA_SIGN, 1),
    ];
    refused(get_all(&s, key, &mut all), CKR_BUFFER_TOO_SMALL);
    for small in [0, 2, 3] {
        assert_eq!(all[small].length, CK_UNAVAILABLE_INFORMATION);
        assert!(all[small].buffer.iter().all(|byte| *byte == 0xEE));
    }
    assert_eq!(all[1].buffer, CKO_SECRET_KEY.to_ne_bytes());
    assert_eq!(all[4].buffer, [1]);
}

/// §5.7.5 case 3, and case 4 sets the exact length.
fn null_value_asks_for_the_length(w: &World) {
    let s = w.user();
    let key = s.create(&open_key().with(CKA_LABEL, "name")).unwrap();
    for (attribute, length) in
        [(CKA_LABEL, 4), (CKA_ID, 0), (CKA_VALUE, 64), (CKA_CLASS, 8), (CKA_TOKEN, 1)]
    {
        let mut asked = CK_ATTRIBUTE { type_: attribute, pValue: null_mut(), ulValueLen: 999 };
        ck!(s.module, C_GetAttributeValue(s.handle, key, &mut asked, 1)).unwrap();
        assert_eq!(asked.ulValueLen, length, "{attribute:#x}");
    }
    let mut all = [wanted(CKA_LABEL, 100)];
    get_all(&s, key, &mut all).unwrap();
    assert_eq!(all[0].length, 4);
}

/// §5.7.5, §5.7.6.
fn read_refuses_null(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    refused(ck!(s.module, C_GetAttributeValue(s.handle, key, null_mut(), 1)), CKR_ARGUMENTS_BAD);
    refused(ck!(s.module, C_SetAttributeValue(s.handle, key, null_mut(), 1)), CKR_ARGUMENTS_BAD);
    refused(ck!(s.module, C_GetObjectSize(s.handle, key, null_mut())), CKR_ARGUMENTS_BAD);
}

/// §5.7.4: "some measure"; CK_UNAVAILABLE_INFORMATION is how SoftHSM2 has none.
fn size_is_something_or_unavailable(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    assert!(s.size(key).unwrap() > 0);
    refused(s.size(key + 1000), CKR_OBJECT_HANDLE_INVALID);
}
