//! PKCS#11 3.2 §4.1.2, §4.1.3 and §5.7: objects changed, copied and destroyed.

use crate::api::templates::{closed_key, data, least, open_key};
use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

const NO_UNIQUE_ID: &str = "CKA_UNIQUE_ID came with PKCS#11 3.0";

cases! {
    label_and_id_can_be_changed,
    change_reaches_every_session,
    usage_flags_can_be_changed_and_count_at_once,
    sensitive_cannot_be_undone,
    extractable_cannot_be_undone,
    value_is_withheld_once_sensitive,
    fixed_attributes_cannot_be_changed,
    value_length_cannot_be_set,
    class_never_changes,
    unique_id_never_changes softhsm2: departs("CKR_ATTRIBUTE_TYPE_INVALID", NO_UNIQUE_ID),
    wrong_values_cannot_be_set
        softhsm2: departs("got CKR_OK", "SoftHSM2 looks at the size of some attributes only"),
    change_is_all_or_nothing
        softhsm2: departs("left: [110, 101, 119]", "SoftHSM2 stops half way"),
    unmodifiable_object_stays,
    undestroyable_object_stays,
    uncopyable_object_stays_single,
    trusted_is_for_the_so_alone,
    so_makes_a_key_trusted
        softhsm2: departs("CKR_ATTRIBUTE_READ_ONLY", "SoftHSM2 lets nobody set it afterwards"),
    wrap_with_trusted_cannot_be_undone,
    copy_is_another_object,
    copy_changes_what_may_be_changed,
    copy_may_be_locked_against_change_and_destruction
        softhsm2: departs("CKR_ATTRIBUTE_READ_ONLY", "SoftHSM2 copies both flags as they are"),
    copy_can_become_a_token_object,
    copy_gives_away_nothing,
    copy_takes_no_fixed_attribute,
    copy_keeps_the_keys_history,
    copy_uses_the_same_value,
    refused_copy_leaves_nothing,
    copy_refuses_null,
    destroyed_object_is_gone_for_every_session,
    object_that_is_not_there_is_refused,
    key_destroyed_during_its_use_does_no_harm,
}

/// What says that an attribute does not belong into a template.
const NOT_YOURS: &[CK_RV] = &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT];

/// Footnote 8, §4.4.
fn label_and_id_can_be_changed(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let key = s.create(&least().with(CKA_TOKEN, token).with(CKA_LABEL, "old")).unwrap();
        s.set(key, &template![CKA_LABEL => "new", CKA_ID => [9, 9]]).unwrap();
        assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"new");
        assert_eq!(s.get(key, CKA_ID).unwrap(), [9, 9]);
        assert_eq!(s.find(&template![CKA_LABEL => "new"]).unwrap(), [key]);
        assert_eq!(s.find(&template![CKA_ID => [9, 9]]).unwrap(), [key]);
        assert!(s.find(&template![CKA_LABEL => "old"]).unwrap().is_empty());
        s.destroy(key).unwrap();
    }
}

fn change_reaches_every_session(w: &World) {
    let s = w.user();
    let other = s.another(RO).unwrap();
    for token in [true, false] {
        let key = s.create(&least().with(CKA_TOKEN, token)).unwrap();
        assert!(other.get(key, CKA_LABEL).unwrap().is_empty());
        s.set(key, &template![CKA_LABEL => "new"]).unwrap();
        assert_eq!(other.get(key, CKA_LABEL).unwrap(), b"new");
    }
}

/// Footnote 8: the next …Init asks again.
fn usage_flags_can_be_changed_and_count_at_once(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let key = s.create(&open_key().with(CKA_TOKEN, token)).unwrap();
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        s.set(key, &template![CKA_SIGN => false]).unwrap();
        refused(s.sign_init(CKM_SHA256_HMAC, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
        s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
        s.set(key, &template![CKA_SIGN => true, CKA_VERIFY => false]).unwrap();
        refused(s.verify_init(CKM_SHA256_HMAC, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
        s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    }
}

/// Footnote 11.
fn sensitive_cannot_be_undone(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    s.set(key, &template![CKA_SENSITIVE => true]).unwrap();
    refused(s.set(key, &template![CKA_SENSITIVE => false]), CKR_ATTRIBUTE_READ_ONLY);
    assert!(s.flag(key, CKA_SENSITIVE));
    assert!(!s.flag(key, CKA_ALWAYS_SENSITIVE), "it was open once");
}

/// Footnote 12.
fn extractable_cannot_be_undone(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    s.set(key, &template![CKA_EXTRACTABLE => false]).unwrap();
    refused(s.set(key, &template![CKA_EXTRACTABLE => true]), CKR_ATTRIBUTE_READ_ONLY);
    assert!(!s.flag(key, CKA_EXTRACTABLE));
    assert!(!s.flag(key, CKA_NEVER_EXTRACTABLE), "it was open once");
}

/// Footnote 7, after a change.
fn value_is_withheld_once_sensitive(w: &World) {
    let s = w.user();
    for token in [true, false] {
        for closing in [template![CKA_SENSITIVE => true], template![CKA_EXTRACTABLE => false]] {
            let key = s.create(&open_key().with(CKA_TOKEN, token)).unwrap();
            s.get(key, CKA_VALUE).unwrap();
            s.set(key, &closing).unwrap();
            refused(s.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
        }
    }
}

/// No footnote 8; CKA_COPYABLE "Can't be set to TRUE once it is set to FALSE".
fn fixed_attributes_cannot_be_changed(w: &World) {
    let s = w.user();
    let key = s.create(&open_key().with(CKA_COPYABLE, false)).unwrap();
    for (fixed, name) in [
        (template![CKA_KEY_TYPE => CKK_SHA256_HMAC], "CKA_KEY_TYPE"),
        (template![CKA_TOKEN => true], "CKA_TOKEN"),
        (template![CKA_PRIVATE => false], "CKA_PRIVATE"),
        (template![CKA_MODIFIABLE => false], "CKA_MODIFIABLE"),
        (template![CKA_LOCAL => true], "CKA_LOCAL"),
        (template![CKA_ALWAYS_SENSITIVE => true], "CKA_ALWAYS_SENSITIVE"),
        (template![CKA_NEVER_EXTRACTABLE => true], "CKA_NEVER_EXTRACTABLE"),
        (template![CKA_KEY_GEN_MECHANISM => CKM_SHA256_KEY_GEN], "CKA_KEY_GEN_MECHANISM"),
        (template![CKA_VALUE => [1; 64]], "CKA_VALUE"),
        (template![CKA_COPYABLE => true], "CKA_COPYABLE"),
    ] {
        assert_eq!(s.set(key, &fixed), Err(Ckr(CKR_ATTRIBUTE_READ_ONLY)), "{name}");
    }
    let allowed = mechanism_list(&[CKM_SHA256_HMAC]);
    refused(s.set(key, &template![CKA_ALLOWED_MECHANISMS => allowed]), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(s.get(key, CKA_VALUE).unwrap(), [5; 64]);
}

/// Footnotes 2 and 3 without 8.
fn value_length_cannot_be_set(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    refused(s.set(key, &template![CKA_VALUE_LEN => 16]), CKR_ATTRIBUTE_READ_ONLY);
    assert_eq!(s.number(key, CKA_VALUE_LEN), 64);
    assert_eq!(s.get(key, CKA_VALUE).unwrap().len(), 64);
}

/// §4.3.1, whatever the object and the value.
fn class_never_changes(w: &World) {
    let s = w.user();
    for object in [s.create(&least()).unwrap(), s.create(&data("a")).unwrap()] {
        for class in [CKO_DATA, CKO_SECRET_KEY, CKO_PRIVATE_KEY] {
            let change = template![CKA_CLASS => class];
            refused(s.set(object, &change), CKR_ATTRIBUTE_READ_ONLY);
        }
    }
}

/// §4.3.2.
fn unique_id_never_changes(w: &World) {
    let s = w.user();
    let key = s.create(&least()).unwrap();
    let id = s.get(key, CKA_UNIQUE_ID).unwrap();
    refused(s.set(key, &template![CKA_UNIQUE_ID => &id]), CKR_ATTRIBUTE_READ_ONLY);
}

/// CKR_ATTRIBUTE_VALUE_INVALID.
fn wrong_values_cannot_be_set(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    for flag in [CKA_SIGN, CKA_VERIFY, CKA_DERIVE, CKA_SENSITIVE, CKA_ENCRYPT] {
        for wrong in [&[][..], &[2], &[1, 0, 0, 0]] {
            refused(s.set(key, &template![flag => wrong]), CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
    refused(s.set(key, &template![CKA_END_DATE => "20261301"]), CKR_ATTRIBUTE_VALUE_INVALID);
}

/// The issue: "all or nothing", wherever the refused attribute stands.
fn change_is_all_or_nothing(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let key = s.create(&open_key().with(CKA_LABEL, "old").with(CKA_TOKEN, token)).unwrap();
        for bad in [
            template![CKA_CLASS => CKO_DATA],
            template![CKA_VENDOR_DEFINED => true],
            template![CKA_LOCAL => true],
        ] {
            let good = template![CKA_LABEL => "new", CKA_ID => [1], CKA_SIGN => false];
            refused_somehow(s.set(key, &good.clone().and(&bad)));
            refused_somehow(s.set(key, &bad.and(&good)));
            assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"old");
            assert!(s.get(key, CKA_ID).unwrap().is_empty());
            assert!(s.flag(key, CKA_SIGN));
        }
        assert_eq!(s.find(&template![CKA_LABEL => "old"]).unwrap().len(), 1);
        s.destroy(key).unwrap();
    }
}

/// §5.7.6: CKR_ACTION_PROHIBITED.
fn unmodifiable_object_stays(w: &World) {
    let s = w.user();
    for template in [least(), data("a")] {
        let object = s.create(&template.with(CKA_MODIFIABLE, false)).unwrap();
        refused(s.set(object, &template![CKA_LABEL => "new"]), CKR_ACTION_PROHIBITED);
        assert_ne!(s.get(object, CKA_LABEL).unwrap(), b"new");
    }
}

/// §5.7.3: CKR_ACTION_PROHIBITED.
fn undestroyable_object_stays(w: &World) {
    let s = w.user();
    for template in [least(), data("a").with(CKA_TOKEN, true)] {
        let object = s.create(&template.with(CKA_DESTROYABLE, false)).unwrap();
        refused(s.destroy(object), CKR_ACTION_PROHIBITED);
        s.get(object, CKA_LABEL).unwrap();
    }
}

/// §5.7.2: CKR_ACTION_PROHIBITED.
fn uncopyable_object_stays_single(w: &World) {
    let s = w.user();
    for template in [least(), data("a")] {
        let object = s.create(&template.with(CKA_COPYABLE, false)).unwrap();
        refused(s.copy(object, &template![]), CKR_ACTION_PROHIBITED);
    }
    assert_eq!(s.find(&template![]).unwrap().len(), 2);
}

/// Footnote 10.
fn trusted_is_for_the_so_alone(w: &World) {
    let s = w.user();
    let trusted = template![CKA_TRUSTED => true];
    refused(s.create(&least().and(&trusted)), CKR_ATTRIBUTE_READ_ONLY);
    let key = s.create(&least()).unwrap();
    refused(s.set(key, &trusted), CKR_ATTRIBUTE_READ_ONLY);
    refused(s.copy(key, &trusted), CKR_ATTRIBUTE_READ_ONLY);
    let generated = template![CKA_VALUE_LEN => 32].and(&trusted);
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated), CKR_ATTRIBUTE_READ_ONLY);
    assert!(!s.flag(key, CKA_TRUSTED));
}

/// Footnote 10, from the other side.
fn so_makes_a_key_trusted(w: &World) {
    let s = w.user();
    s.create(&least().and(&template![CKA_TOKEN => true, CKA_PRIVATE => false])).unwrap();
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    s.set(keys[0], &template![CKA_TRUSTED => true]).unwrap();
    assert!(s.flag(keys[0], CKA_TRUSTED));
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    let keys = s.find(&template![CKA_TRUSTED => true]).unwrap();
    assert_eq!(keys.len(), 1);
    s.mac(CKM_SHA256_HMAC, keys[0], b"text").unwrap();
}

/// Footnote 11.
fn wrap_with_trusted_cannot_be_undone(w: &World) {
    let s = w.user();
    let key = s.create(&least().with(CKA_WRAP_WITH_TRUSTED, true)).unwrap();
    assert!(s.flag(key, CKA_WRAP_WITH_TRUSTED));
    let undo = template![CKA_WRAP_WITH_TRUSTED => false];
    refused(s.set(key, &undo), CKR_ATTRIBUTE_READ_ONLY);
    refused(s.copy(key, &undo), CKR_ATTRIBUTE_READ_ONLY);
}

/// §5.7.2.
fn copy_is_another_object(w: &World) {
    let s = w.user();
    for template in [open_key().with(CKA_LABEL, "same"), data("same")] {
        let object = s.create(&template).unwrap();
        let copy = s.copy(object, &template![]).unwrap();
        assert_ne!(copy, object);
        for attribute in [CKA_CLASS, CKA_LABEL, CKA_VALUE, CKA_PRIVATE, CKA_TOKEN] {
            assert_eq!(s.get(copy, attribute), s.get(object, attribute), "{attribute:#x}");
        }
        s.set(copy, &template![CKA_LABEL => "other"]).unwrap();
        assert_eq!(s.get(object, CKA_LABEL).unwrap(), b"same");
        s.destroy(object).unwrap();
        assert_eq!(s.get(copy, CKA_LABEL).unwrap(), b"other");
    }
}

/// §4.1.3: what C_SetAttributeValue can, and CKA_TOKEN and CKA_PRIVATE.
fn copy_changes_what_may_be_changed(w: &World) {
    let s = w.user();
    let key = s.create(&open_key().with(CKA_PRIVATE, false)).unwrap();
    let changes = template![
        CKA_LABEL => "copy",
        CKA_ID => [4],
        CKA_SIGN => false,
        CKA_DERIVE => true,
        CKA_TOKEN => true,
        CKA_PRIVATE => true,
    ];
    let copy = s.copy(key, &changes).unwrap();
    assert_eq!(s.get(copy, CKA_LABEL).unwrap(), b"copy");
    assert_eq!(s.get(copy, CKA_ID).unwrap(), [4]);
    assert!(!s.flag(copy, CKA_SIGN));
    for flag in [CKA_DERIVE, CKA_TOKEN, CKA_PRIVATE] {
        assert!(s.flag(copy, flag), "{flag:#x}");
    }
}

/// §4.1.3: CKA_MODIFIABLE and CKA_DESTROYABLE, both ways.
fn copy_may_be_locked_against_change_and_destruction(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    let lock = template![CKA_MODIFIABLE => false, CKA_DESTROYABLE => false];
    let copy = s.copy(key, &lock).unwrap();
    refused(s.set(copy, &template![CKA_LABEL => "again"]), CKR_ACTION_PROHIBITED);
    refused(s.destroy(copy), CKR_ACTION_PROHIBITED);
    let unlock = template![CKA_MODIFIABLE => true, CKA_DESTROYABLE => true];
    let other = s.copy(copy, &unlock).unwrap();
    s.set(other, &template![CKA_LABEL => "again"]).unwrap();
    s.destroy(other).unwrap();
}

/// §5.7.2: "to copy a session object to a token object".
fn copy_can_become_a_token_object(w: &World) {
    let s = w.user();
    let key = s.create(&open_key().with(CKA_LABEL, "session")).unwrap();
    s.copy(key, &template![CKA_TOKEN => true, CKA_LABEL => "token"]).unwrap();
    w.module().close_all(s.slot).unwrap();
    let s = w.user_again();
    let left = s.find(&template![]).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(s.get(left[0], CKA_LABEL).unwrap(), b"token");
    assert_eq!(s.get(left[0], CKA_VALUE).unwrap(), [5; 64]);
}

/// Footnotes 11 and 12 hold for copies.
fn copy_gives_away_nothing(w: &World) {
    let s = w.user();
    let key = s.create(&closed_key()).unwrap();
    refused(s.copy(key, &template![CKA_SENSITIVE => false]), CKR_ATTRIBUTE_READ_ONLY);
    refused(s.copy(key, &template![CKA_EXTRACTABLE => true]), CKR_ATTRIBUTE_READ_ONLY);
    let copy = s.copy(key, &template![]).unwrap();
    refused(s.get(copy, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    let open = s.create(&open_key()).unwrap();
    let closed = s.copy(open, &template![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false]).unwrap();
    refused(s.get(closed, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    assert!(!s.flag(closed, CKA_ALWAYS_SENSITIVE) && !s.flag(closed, CKA_NEVER_EXTRACTABLE));
}

/// §4.1.3.
fn copy_takes_no_fixed_attribute(w: &World) {
    let s = w.user();
    let key = s.create(&open_key()).unwrap();
    for fixed in [
        template![CKA_CLASS => CKO_DATA],
        template![CKA_KEY_TYPE => CKK_SHA256_HMAC],
        template![CKA_VALUE => [1; 64]],
        template![CKA_VALUE_LEN => 16],
        template![CKA_LOCAL => true],
        template![CKA_ALWAYS_SENSITIVE => true],
        template![CKA_NEVER_EXTRACTABLE => true],
    ] {
        refused_any(s.copy(key, &fixed), NOT_YOURS);
    }
    let unknown = template![CKA_VENDOR_DEFINED => true];
    refused(s.copy(key, &unknown), CKR_ATTRIBUTE_TYPE_INVALID);
}

/// §4.7: CKA_LOCAL is true for the copy of a generated key; so with the rest.
fn copy_keeps_the_keys_history(w: &World) {
    let s = w.user();
    let made = template![CKA_VALUE_LEN => 32, CKA_SENSITIVE => true, CKA_EXTRACTABLE => false];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &made).unwrap();
    for source in [key, s.create(&closed_key()).unwrap()] {
        let copy = s.copy(source, &template![CKA_TOKEN => true]).unwrap();
        for history in
            [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_KEY_GEN_MECHANISM]
        {
            assert_eq!(s.get(copy, history), s.get(source, history), "{history:#x}");
        }
    }
}

fn copy_uses_the_same_value(w: &World) {
    let s = w.user();
    let key = s.create(&closed_key()).unwrap();
    let copy = s.copy(key, &template![CKA_TOKEN => true]).unwrap();
    let mac = s.mac(CKM_SHA512_HMAC, key, b"text").unwrap();
    s.check(CKM_SHA512_HMAC, copy, b"text", &mac).unwrap();
}

/// §5.7.2: "will fail and return without creating any object".
fn refused_copy_leaves_nothing(w: &World) {
    let s = w.user();
    let key = s.create(&closed_key()).unwrap();
    refused_somehow(s.copy(key, &template![CKA_TOKEN => true, CKA_SENSITIVE => false]));
    refused_somehow(s.copy(key, &template![CKA_TOKEN => true, CKA_CLASS => CKO_DATA]));
    assert_eq!(s.find(&template![]).unwrap(), [key]);
}

/// §5.7.2.
fn copy_refuses_null(w: &World) {
    let s = w.user();
    let (key, mut copy) = (s.create(&least()).unwrap(), 0);
    let none = ck!(s.module, C_CopyObject(s.handle, key, null_mut(), 1, &mut copy));
    refused(none, CKR_ARGUMENTS_BAD);
    let template = template![CKA_LABEL => "copy"];
    let nowhere =
        ck!(s.module, C_CopyObject(s.handle, key, template.raw().as_mut_ptr(), 1, null_mut()));
    refused(nowhere, CKR_ARGUMENTS_BAD);
    assert_eq!(s.find(&template![]).unwrap(), [key]);
}

/// §5.7.3.
fn destroyed_object_is_gone_for_every_session(w: &World) {
    let s = w.user();
    let other = s.another(RW).unwrap();
    for template in
        [least(), least().with(CKA_TOKEN, true), data("a"), data("b").with(CKA_TOKEN, true)]
    {
        let object = s.create(&template).unwrap();
        other.get(object, CKA_LABEL).unwrap();
        s.destroy(object).unwrap();
        for session in [&s, &other] {
            refused(session.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
            refused(session.destroy(object), CKR_OBJECT_HANDLE_INVALID);
            assert!(session.find(&template![]).unwrap().is_empty());
        }
    }
}

/// CKR_OBJECT_HANDLE_INVALID.
fn object_that_is_not_there_is_refused(w: &World) {
    let s = w.user();
    for object in [CK_INVALID_HANDLE, 4711, s.handle + 1000, CK_OBJECT_HANDLE::MAX] {
        refused(s.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
        refused(s.set(object, &template![CKA_LABEL => "a"]), CKR_OBJECT_HANDLE_INVALID);
        refused(s.copy(object, &template![]), CKR_OBJECT_HANDLE_INVALID);
        refused(s.destroy(object), CKR_OBJECT_HANDLE_INVALID);
        refused(s.size(object), CKR_OBJECT_HANDLE_INVALID);
    }
}

/// No clause says what an operation does whose key is gone: it may finish or
/// fail; the next one finds no key.
fn key_destroyed_during_its_use_does_no_harm(w: &World) {
    let s = w.user();
    let other = s.another(RW).unwrap();
    for token in [true, false] {
        let key = s.create(&open_key().with(CKA_TOKEN, token)).unwrap();
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
        s.sign_init(CKM_SHA256_HMAC, key).unwrap();
        other.sign_init(CKM_SHA256_HMAC, key).unwrap();
        other.sign_update(b"te").unwrap();
        other.destroy(key).unwrap();
        if let Ok(late) = s.sign(b"text") {
            assert_eq!(late, mac);
        }
        if let Ok(late) = other.sign_update(b"xt").and_then(|()| other.sign_final()) {
            assert_eq!(late, mac);
        }
        for session in [&s, &other] {
            let no_key = [CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];
            refused_any(session.sign_init(CKM_SHA256_HMAC, key), &no_key);
        }
    }
}
