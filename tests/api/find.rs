//! PKCS#11 3.2 §5.7.7 to §5.7.9: searches.

use crate::api::templates::{KEY_ATTRIBUTES, data};
use crate::common::*;
use cryptoki_sys::*;
use std::collections::HashSet;
use std::ptr::null_mut;

cases! {
    empty_template_finds_everything_visible,
    null_template_of_no_attributes_finds_everything,
    objects_are_found_by_label_id_class_and_key_type,
    every_attribute_must_match,
    flags_can_be_searched_for,
    every_attribute_that_can_be_read_can_be_searched_for,
    no_match_is_no_error,
    values_of_data_objects_can_be_searched_for,
    search_tells_nothing_of_a_sensitive_value
        softhsm2: departs("found by its value", "SoftHSM2 confirms a guessed value"),
    results_come_in_portions_without_repetition,
    many_objects_are_all_found,
    objects_that_stay_are_found_while_others_come_and_go,
    search_during_a_search_is_refused,
    search_must_be_begun,
    search_ends_with_final,
    unknown_attribute_matches_nothing,
    value_of_a_wrong_size_matches_nothing,
    find_refuses_null,
    refused_find_leaves_no_search,
    search_and_signature_keep_each_other_from_beginning,
    session_and_token_objects_are_found_together,
    objects_of_another_token_are_not_found,
    handles_of_another_token_name_nothing
        softhsm2: departs("got CKR_OK", "SoftHSM2 does not ask whose object it is"),
}

fn key(label: &str) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_LABEL => label,
        CKA_VALUE => [4; 64],
        CKA_SIGN => true,
    ]
}

fn sorted(mut found: Vec<CK_OBJECT_HANDLE>) -> Vec<CK_OBJECT_HANDLE> {
    found.sort_unstable();
    found
}

/// §5.7.7: "To find all objects, set ulCount to 0".
fn empty_template_finds_everything_visible(w: &World) {
    let s = w.user();
    assert!(s.find(&template![]).unwrap().is_empty());
    let mut made = Vec::new();
    for token in [true, false] {
        for private in [true, false] {
            let more = template![CKA_TOKEN => token, CKA_PRIVATE => private];
            made.push(s.create(&data("a").and(&more)).unwrap());
            made.push(s.create(&key("b").and(&more)).unwrap());
        }
    }
    assert_eq!(sorted(s.find(&template![]).unwrap()), sorted(made));
}

/// §5.7.7's own example passes NULL_PTR and 0.
fn null_template_of_no_attributes_finds_everything(w: &World) {
    let s = w.user();
    let object = s.create(&data("a")).unwrap();
    ck!(s.module, C_FindObjectsInit(s.handle, null_mut(), 0)).unwrap();
    assert_eq!(s.find_next(10).unwrap(), [object]);
    s.find_final().unwrap();
}

/// "an exact byte-for-byte match".
fn objects_are_found_by_label_id_class_and_key_type(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let token = template![CKA_TOKEN => token];
        let plain = s.create(&data("name").and(&token)).unwrap();
        let secret = s.create(&key("name").with(CKA_ID, [1, 0]).and(&token)).unwrap();
        let typed = key("Name").without(CKA_KEY_TYPE).with(CKA_KEY_TYPE, CKK_SHA256_HMAC);
        let typed = s.create(&typed.with(CKA_ID, [1]).and(&token)).unwrap();
        for (template, expected) in [
            (template![CKA_LABEL => "name"], vec![plain, secret]),
            (template![CKA_LABEL => "Name"], vec![typed]),
            (template![CKA_LABEL => "nam"], vec![]),
            (template![CKA_LABEL => "name\0"], vec![]),
            (template![CKA_LABEL => ""], vec![]),
            (template![CKA_ID => [1]], vec![typed]),
            (template![CKA_ID => [1, 0]], vec![secret]),
            (template![CKA_CLASS => CKO_DATA], vec![plain]),
            (template![CKA_CLASS => CKO_SECRET_KEY], vec![secret, typed]),
            (template![CKA_KEY_TYPE => CKK_GENERIC_SECRET], vec![secret]),
            (template![CKA_KEY_TYPE => CKK_SHA256_HMAC], vec![typed]),
        ] {
            assert_eq!(sorted(s.find(&template).unwrap()), sorted(expected), "{template:?}");
        }
        for object in [plain, secret, typed] {
            s.destroy(object).unwrap();
        }
    }
}

fn every_attribute_must_match(w: &World) {
    let s = w.user();
    s.create(&data("one")).unwrap();
    s.create(&key("two")).unwrap();
    let both = s.create(&key("one").with(CKA_ID, [7])).unwrap();
    let wanted = template![CKA_CLASS => CKO_SECRET_KEY, CKA_LABEL => "one", CKA_ID => [7]];
    assert_eq!(s.find(&wanted).unwrap(), [both]);
    assert!(s.find(&wanted.with(CKA_TOKEN, true)).unwrap().is_empty());
}

fn flags_can_be_searched_for(w: &World) {
    let s = w.user();
    let signs = s.create(&key("signs").with(CKA_VERIFY, false)).unwrap();
    let both = s.create(&key("both").with(CKA_VERIFY, true)).unwrap();
    assert_eq!(s.find(&template![CKA_VERIFY => true]).unwrap(), [both]);
    assert_eq!(s.find(&template![CKA_VERIFY => false]).unwrap(), [signs]);
    let signing = s.find(&template![CKA_SIGN => true]).unwrap();
    assert_eq!(sorted(signing), sorted(vec![signs, both]));
}

/// What C_GetAttributeValue gives, C_FindObjectsInit matches.
fn every_attribute_that_can_be_read_can_be_searched_for(w: &World) {
    let s = w.user();
    let mut all = KEY_ATTRIBUTES.to_vec();
    if !w.is_reference() {
        all.extend([CKA_UNIQUE_ID, CKA_START_DATE, CKA_END_DATE, CKA_ALLOWED_MECHANISMS]);
    }
    for token in [true, false] {
        let imported = s.create(&key("a").with(CKA_TOKEN, token)).unwrap();
        let length = template![CKA_VALUE_LEN => 48, CKA_TOKEN => token];
        let generated = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &length).unwrap();
        for object in [imported, generated] {
            for attribute in &all {
                let value = s.get(object, *attribute).unwrap();
                let found = s.find(&template![*attribute => &value]).unwrap();
                assert!(found.contains(&object), "{attribute:#x}");
            }
        }
    }
}

fn no_match_is_no_error(w: &World) {
    let s = w.user();
    s.create(&data("a")).unwrap();
    s.find_init(&template![CKA_LABEL => "b"]).unwrap();
    assert!(s.find_next(10).unwrap().is_empty());
    assert!(s.find_next(10).unwrap().is_empty());
    s.find_final().unwrap();
}

fn values_of_data_objects_can_be_searched_for(w: &World) {
    let s = w.user();
    let object = s.create(&data("a").with(CKA_APPLICATION, "program")).unwrap();
    assert_eq!(s.find(&template![CKA_VALUE => "value"]).unwrap(), [object]);
    assert_eq!(s.find(&template![CKA_APPLICATION => "program"]).unwrap(), [object]);
    assert!(s.find(&template![CKA_VALUE => "other"]).unwrap().is_empty());
}

/// Footnote 7: a search would be a way to guess it, byte string by byte string.
fn search_tells_nothing_of_a_sensitive_value(w: &World) {
    let s = w.user();
    for token in [true, false] {
        let template = key("closed").and(&template![
            CKA_TOKEN => token,
            CKA_SENSITIVE => true,
            CKA_EXTRACTABLE => false,
        ]);
        s.create(&template).unwrap();
    }
    match s.find(&template![CKA_VALUE => [4; 64]]) {
        Ok(found) => assert!(found.is_empty(), "found by its value"),
        Err(refusal) => refused::<()>(Err(refusal), CKR_ATTRIBUTE_SENSITIVE),
    }
}

/// §5.7.8.
fn results_come_in_portions_without_repetition(w: &World) {
    let s = w.user();
    let made: HashSet<_> = (0..10).map(|_| s.create(&data("a")).unwrap()).collect();
    s.find_init(&template![CKA_LABEL => "a"]).unwrap();
    let mut found = Vec::new();
    for portion in [1, 3, 4, 2] {
        let some = s.find_next(portion).unwrap();
        assert_eq!(some.len(), portion);
        found.extend(some);
    }
    assert!(s.find_next(5).unwrap().is_empty());
    s.find_final().unwrap();
    assert_eq!(found.len(), 10);
    assert_eq!(found.into_iter().collect::<HashSet<_>>(), made);
}

fn many_objects_are_all_found(w: &World) {
    let s = w.user();
    for number in 0..500 {
        let object = data("many").with(CKA_APPLICATION, number.to_string().as_str());
        s.create(&object.with(CKA_TOKEN, number % 10 == 0)).unwrap();
    }
    assert_eq!(s.find(&template![CKA_LABEL => "many"]).unwrap().len(), 500);
    assert_eq!(s.find(&template![CKA_APPLICATION => "499"]).unwrap().len(), 1);
}

/// §5.7.7: what is created or destroyed meanwhile "may or may not be found".
fn objects_that_stay_are_found_while_others_come_and_go(w: &World) {
    let s = w.user();
    let make = |number: usize| {
        s.create(&data("a").with(CKA_TOKEN, true).with(CKA_PRIVATE, number.is_multiple_of(2)))
            .unwrap()
    };
    let mut staying: Vec<_> = (0..300).map(make).collect();
    let going = staying.split_off(200);
    s.find_init(&template![CKA_LABEL => "a"]).unwrap();
    let mut found = s.find_next(10).unwrap();
    for object in going {
        s.destroy(object).unwrap();
        make(0);
    }
    loop {
        let some = s.find_next(7).unwrap();
        if some.is_empty() {
            break;
        }
        found.extend(some);
    }
    s.find_final().unwrap();
    let distinct: HashSet<_> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len(), "none twice");
    assert!(staying.iter().all(|object| distinct.contains(object)));
}

/// §5.7.7: "At most one search operation may be active".
fn search_during_a_search_is_refused(w: &World) {
    let s = w.user();
    let object = s.create(&data("a")).unwrap();
    s.find_init(&template![CKA_LABEL => "a"]).unwrap();
    refused(s.find_init(&template![]), CKR_OPERATION_ACTIVE);
    assert_eq!(s.find_next(10).unwrap(), [object]);
    s.another(RO).unwrap().find(&template![]).unwrap();
    s.find_final().unwrap();
}

/// §5.7.8, §5.7.9: CKR_OPERATION_NOT_INITIALIZED.
fn search_must_be_begun(w: &World) {
    let s = w.user();
    refused(s.find_next(10), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.find_final(), CKR_OPERATION_NOT_INITIALIZED);
}

fn search_ends_with_final(w: &World) {
    let s = w.user();
    s.find_init(&template![]).unwrap();
    s.find_final().unwrap();
    refused(s.find_final(), CKR_OPERATION_NOT_INITIALIZED);
    refused(s.find_next(10), CKR_OPERATION_NOT_INITIALIZED);
}

/// §5.7.7 leaves the choice: CKR_ATTRIBUTE_TYPE_INVALID, or no match.
fn unknown_attribute_matches_nothing(w: &World) {
    let s = w.user();
    s.create(&key("a")).unwrap();
    for strange in [CKA_VENDOR_DEFINED + 77, CKA_MODULUS] {
        match s.find(&template![strange => [1, 2, 3]]) {
            Ok(found) => assert!(found.is_empty()),
            Err(refusal) => refused::<()>(Err(refusal), CKR_ATTRIBUTE_TYPE_INVALID),
        }
    }
    s.find(&template![]).unwrap();
}

/// §5.7.7: CKR_ATTRIBUTE_VALUE_INVALID, or no match.
fn value_of_a_wrong_size_matches_nothing(w: &World) {
    let s = w.user();
    s.create(&key("a")).unwrap();
    for (attribute, wrong) in
        [(CKA_CLASS, &[4_u8, 0, 0, 0][..]), (CKA_SIGN, &[]), (CKA_SIGN, &[1, 0])]
    {
        match s.find(&template![attribute => wrong]) {
            Ok(found) => assert!(found.is_empty()),
            Err(refusal) => refused::<()>(Err(refusal), CKR_ATTRIBUTE_VALUE_INVALID),
        }
    }
}

/// §5.7.7, §5.7.8.
fn find_refuses_null(w: &World) {
    let s = w.user();
    refused(ck!(s.module, C_FindObjectsInit(s.handle, null_mut(), 1)), CKR_ARGUMENTS_BAD);
    s.find_init(&template![]).unwrap();
    let (mut found, mut count) = ([0; 4], 0);
    let nowhere = ck!(s.module, C_FindObjects(s.handle, null_mut(), 4, &mut count));
    refused(nowhere, CKR_ARGUMENTS_BAD);
    let uncounted = ck!(s.module, C_FindObjects(s.handle, found.as_mut_ptr(), 4, null_mut()));
    refused(uncounted, CKR_ARGUMENTS_BAD);
}

fn refused_find_leaves_no_search(w: &World) {
    let s = w.user();
    refused_somehow(ck!(s.module, C_FindObjectsInit(s.handle, null_mut(), 1)));
    refused(s.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    s.find(&template![]).unwrap();
}

/// CKR_OPERATION_ACTIVE: "an active object-searching operation would prevent
/// Cryptoki from activating" a cryptographic one.
fn search_and_signature_keep_each_other_from_beginning(w: &World) {
    let s = w.user();
    let key = s.create(&key("a")).unwrap();
    s.sign_init(CKM_SHA256_HMAC, key).unwrap();
    refused(s.find_init(&template![]), CKR_OPERATION_ACTIVE);
    s.sign_update(b"text").unwrap();
    let mac = s.sign_final().unwrap();
    s.find_init(&template![]).unwrap();
    refused(s.sign_init(CKM_SHA256_HMAC, key), CKR_OPERATION_ACTIVE);
    s.find_final().unwrap();
    assert_eq!(mac, s.mac(CKM_SHA256_HMAC, key, b"text").unwrap());
}

fn session_and_token_objects_are_found_together(w: &World) {
    let s = w.user();
    let session = s.create(&data("a")).unwrap();
    let token = s.create(&data("a").with(CKA_TOKEN, true)).unwrap();
    assert_eq!(sorted(s.find(&data("a")).unwrap()), sorted(vec![session, token]));
    assert_eq!(s.find(&template![CKA_TOKEN => true]).unwrap(), [token]);
    assert_eq!(s.find(&template![CKA_TOKEN => false]).unwrap(), [session]);
}

fn objects_of_another_token_are_not_found(w: &World) {
    let s = w.user();
    s.create(&public_token_data()).unwrap();
    assert!(neighbour(w).find(&template![]).unwrap().is_empty());
}

/// An object handle belongs to the token of its session.
fn handles_of_another_token_name_nothing(w: &World) {
    let s = w.user();
    let object = s.create(&public_token_data()).unwrap();
    let neighbour = neighbour(w);
    refused(neighbour.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    refused(neighbour.destroy(object), CKR_OBJECT_HANDLE_INVALID);
    s.get(object, CKA_LABEL).unwrap();
}

fn public_token_data() -> Template {
    data("here").and(&template![CKA_TOKEN => true, CKA_PRIVATE => false])
}

/// A session with a second token.
fn neighbour(w: &World) -> Session<'_> {
    w.make_token("neighbour");
    w.open(w.module().slot_of("neighbour"), RW)
}
