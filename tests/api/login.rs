//! PKCS#11 3.2 §5.6.8 to §5.6.10: who is logged in, and what they see.

use crate::common::*;
use cryptoki_sys::*;
use std::ptr::null_mut;

const NEEDS_NO_LOGIN: &str = "SoftHSM2 keeps public keys readable to everybody; ours are sealed";

cases! {
    second_login_is_refused,
    second_logout_is_refused
        softhsm2: departs("got CKR_OK", "SoftHSM2 lets everybody log out"),
    wrong_pin_is_refused,
    pin_of_an_impossible_length_is_incorrect,
    unknown_user_type_is_refused,
    context_specific_login_needs_an_operation,
    login_refuses_null,
    user_without_a_pin_cannot_log_in,
    login_is_for_one_token,
    private_objects_need_a_login,
    private_handles_stay_dead_after_the_next_login,
    private_session_objects_die_at_logout,
    public_session_objects_survive_logout,
    logout_ends_an_operation_with_a_private_key
        softhsm2: departs("got CKR_OK", "SoftHSM2 goes on with the key of the one who left"),
    logout_ends_a_search_for_private_objects,
    so_sees_no_private_objects,
    public_session_makes_no_private_object,
    so_makes_no_private_object,
    public_session_keeps_public_data,
    secret_token_key_is_made_after_login_even_if_public
        softhsm2: departs("got CKR_OK", NEEDS_NO_LOGIN),
    secret_token_key_is_used_after_login_even_if_public
        softhsm2: departs("got CKR_OK", NEEDS_NO_LOGIN),
    secret_token_value_is_read_after_login_even_if_public
        softhsm2: departs("got CKR_OK", NEEDS_NO_LOGIN),
    public_session_key_needs_no_login,
    login_while_logged_in_counts_no_wrong_pin,
}

/// §5.6.8: CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN.
fn second_login_is_refused(w: &World) {
    let s = w.user();
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    refused(s.another(RO).unwrap().login(CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
    w.module().close_all(s.slot).unwrap();
    let s = w.login(s.slot, CKU_USER, USER_PIN).unwrap();
    refused(s.login(CKU_SO, SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    refused(s.login(CKU_SO, SO_PIN), CKR_USER_ALREADY_LOGGED_IN);
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

/// §5.6.10: CKR_USER_NOT_LOGGED_IN.
fn second_logout_is_refused(w: &World) {
    let s = w.open(w.token(), RW);
    refused(s.logout(), CKR_USER_NOT_LOGGED_IN);
    s.login(CKU_USER, USER_PIN).unwrap();
    s.logout().unwrap();
    refused(s.logout(), CKR_USER_NOT_LOGGED_IN);
}

/// §5.6.8: CKR_PIN_INCORRECT, and nobody is logged in.
fn wrong_pin_is_refused(w: &World) {
    let s = w.open(w.token(), RW);
    refused(s.login(CKU_USER, SO_PIN), CKR_PIN_INCORRECT);
    refused(s.login(CKU_SO, USER_PIN), CKR_PIN_INCORRECT);
    assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
    s.login(CKU_USER, USER_PIN).unwrap();
}

/// §5.6.8 knows no CKR_PIN_LEN_RANGE: such a PIN is just wrong.
fn pin_of_an_impossible_length_is_incorrect(w: &World) {
    let s = w.open(w.token(), RW);
    refused(s.login(CKU_USER, ""), CKR_PIN_INCORRECT);
    refused(s.login(CKU_USER, &"1".repeat(5000)), CKR_PIN_INCORRECT);
    refused(s.login(CKU_SO, "1"), CKR_PIN_INCORRECT);
}

/// §5.6.8: CKR_USER_TYPE_INVALID.
fn unknown_user_type_is_refused(w: &World) {
    let s = w.open(w.token(), RW);
    for user in [3, 99, CK_USER_TYPE::MAX] {
        refused(s.login(user, USER_PIN), CKR_USER_TYPE_INVALID);
    }
}

/// §5.6.8: CKR_OPERATION_NOT_INITIALIZED.
fn context_specific_login_needs_an_operation(w: &World) {
    let s = w.user();
    refused(s.login(CKU_CONTEXT_SPECIFIC, USER_PIN), CKR_OPERATION_NOT_INITIALIZED);
}

/// There is no protected authentication path, so there is a PIN.
fn login_refuses_null(w: &World) {
    let s = w.open(w.token(), RW);
    for user in [CKU_USER, CKU_SO] {
        refused(ck!(s.module, C_Login(s.handle, user, null_mut(), 8)), CKR_ARGUMENTS_BAD);
    }
    assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
}

/// §5.6.8: CKR_USER_PIN_NOT_INITIALIZED.
fn user_without_a_pin_cannot_log_in(w: &World) {
    let s = w.open(w.bare_token(), RW);
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    refused(s.login(CKU_USER, SO_PIN), CKR_USER_PIN_NOT_INITIALIZED);
}

/// §5.6.8: the state is the token's.
fn login_is_for_one_token(w: &World) {
    let s = w.user();
    w.make_token("neighbour");
    let neighbour = w.open(w.module().slot_of("neighbour"), RW);
    assert_eq!(neighbour.state(), CKS_RW_PUBLIC_SESSION);
    neighbour.login(CKU_SO, SO_PIN).unwrap();
    assert_eq!(s.state(), CKS_RW_USER_FUNCTIONS);
    neighbour.logout().unwrap();
    assert_eq!(s.state(), CKS_RW_USER_FUNCTIONS);
}

fn data(label: &str, private: bool, token: bool) -> Template {
    template![
        CKA_CLASS => CKO_DATA,
        CKA_TOKEN => token,
        CKA_PRIVATE => private,
        CKA_LABEL => label,
        CKA_VALUE => "value",
    ]
}

fn key(private: bool, token: bool) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_TOKEN => token,
        CKA_PRIVATE => private,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_VALUE => [9; 64],
    ]
}

/// §4.4: "may not access the object until the user has been authenticated".
fn private_objects_need_a_login(w: &World) {
    let s = w.user();
    let private = s.create(&data("private", true, true)).unwrap();
    let public = s.create(&data("public", false, true)).unwrap();
    let key = s.create(&key(true, true)).unwrap();
    s.logout().unwrap();
    assert_eq!(s.find(&template![]).unwrap(), [public]);
    assert!(s.find(&template![CKA_PRIVATE => true]).unwrap().is_empty());
    for object in [private, key] {
        refused(s.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
        refused(s.size(object), CKR_OBJECT_HANDLE_INVALID);
        refused(s.set(object, &template![CKA_LABEL => "b"]), CKR_OBJECT_HANDLE_INVALID);
        refused(s.copy(object, &template![]), CKR_OBJECT_HANDLE_INVALID);
        refused(s.destroy(object), CKR_OBJECT_HANDLE_INVALID);
    }
    let no_key = [CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];
    refused_any(s.sign_init(CKM_SHA256_HMAC, key), &no_key);
    assert_eq!(s.get(public, CKA_VALUE).unwrap(), b"value");
    s.login(CKU_USER, USER_PIN).unwrap();
    assert_eq!(s.find(&template![]).unwrap().len(), 3);
}

/// §5.6.10: "even if a user is later logged back into the token".
fn private_handles_stay_dead_after_the_next_login(w: &World) {
    let s = w.user();
    let before = s.create(&data("private", true, true)).unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    refused(s.get(before, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    let found = s.find(&template![CKA_LABEL => "private"]).unwrap();
    assert_eq!(found.len(), 1);
    assert_ne!(found[0], before);
}

/// §5.6.10: "all private session objects … are destroyed".
fn private_session_objects_die_at_logout(w: &World) {
    let s = w.user();
    let other = s.another(RW).unwrap();
    s.create(&data("private", true, false)).unwrap();
    other.create(&key(true, false)).unwrap();
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    assert!(s.find(&template![]).unwrap().is_empty());
}

/// §5.6.10 destroys private ones alone.
fn public_session_objects_survive_logout(w: &World) {
    let s = w.user();
    let object = s.create(&data("public", false, false)).unwrap();
    let key = s.create(&key(false, false)).unwrap();
    s.logout().unwrap();
    assert_eq!(s.get(object, CKA_LABEL).unwrap(), b"public");
    s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
}

/// Design §4: "C_Sign after C_Logout on a private key fails".
fn logout_ends_an_operation_with_a_private_key(w: &World) {
    let s = w.user();
    let other = s.another(RW).unwrap();
    let gone = [CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID];
    for token in [true, false] {
        let key = s.create(&key(true, token)).unwrap();
        s.sign_init(CKM_SHA256_HMAC, key).unwrap();
        other.verify_init(CKM_SHA256_HMAC, key).unwrap();
        other.verify_update(b"text").unwrap();
        s.logout().unwrap();
        refused_any(s.sign(b"text"), &gone);
        refused_any(other.verify_final(&[0; 32]), &gone);
        s.login(CKU_USER, USER_PIN).unwrap();
        refused_any(s.sign(b"text"), &gone);
    }
}

/// §5.6.10 leaves open whether the search goes on; what it finds must not be private.
fn logout_ends_a_search_for_private_objects(w: &World) {
    let s = w.user();
    s.create(&data("private", true, true)).unwrap();
    s.find_init(&template![]).unwrap();
    s.logout().unwrap();
    match s.find_next(10) {
        Err(refusal) => refused::<()>(Err(refusal), CKR_OPERATION_NOT_INITIALIZED),
        Ok(found) => {
            for object in found {
                refused(s.get(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
            }
        }
    }
}

/// PKCS#11 UG §2.4: the SO has access to public objects.
fn so_sees_no_private_objects(w: &World) {
    let s = w.user();
    s.create(&data("private", true, true)).unwrap();
    s.create(&key(true, true)).unwrap();
    let public = s.create(&data("public", false, true)).unwrap();
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    assert_eq!(s.find(&template![]).unwrap(), [public]);
}

/// §5.7.1: "Only public objects can be created unless the normal user is logged in".
fn public_session_makes_no_private_object(w: &World) {
    let s = w.open(w.token(), RW);
    for token in [true, false] {
        refused(s.create(&data("private", true, token)), CKR_USER_NOT_LOGGED_IN);
        refused(s.create(&key(true, token)), CKR_USER_NOT_LOGGED_IN);
        let generated = template![CKA_VALUE_LEN => 32, CKA_TOKEN => token, CKA_PRIVATE => true];
        let made = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated);
        refused(made, CKR_USER_NOT_LOGGED_IN);
        let public = s.create(&data("public", false, false)).unwrap();
        refused(s.copy(public, &template![CKA_PRIVATE => true]), CKR_USER_NOT_LOGGED_IN);
    }
}

/// §5.7.1: the SO is not the normal user.
fn so_makes_no_private_object(w: &World) {
    let s = w.officer();
    refused(s.create(&data("private", true, true)), CKR_USER_NOT_LOGGED_IN);
    refused(s.create(&key(true, true)), CKR_USER_NOT_LOGGED_IN);
}

/// §5.7.1, and design §3: "readable by public sessions".
fn public_session_keeps_public_data(w: &World) {
    let s = w.open(w.token(), RW);
    let object = s.create(&data("public", false, true)).unwrap();
    assert_eq!(s.get(object, CKA_VALUE).unwrap(), b"value");
    w.module().finalize().unwrap();
    w.start();
    let s = w.open(w.known_token(), RW);
    let found = s.find(&template![CKA_LABEL => "public"]).unwrap();
    assert_eq!(s.get(found[0], CKA_VALUE).unwrap(), b"value");
    s.set(found[0], &template![CKA_LABEL => "renamed"]).unwrap();
    s.destroy(s.find(&template![CKA_LABEL => "renamed"]).unwrap()[0]).unwrap();
}

/// A stated departure (design §3): the value is sealed whatever CKA_PRIVATE
/// says, so that somebody who can seal must be there.
fn secret_token_key_is_made_after_login_even_if_public(w: &World) {
    let s = w.open(w.token(), RW);
    refused(s.create(&key(false, true)), CKR_USER_NOT_LOGGED_IN);
    let generated = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_PRIVATE => false];
    refused(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated), CKR_USER_NOT_LOGGED_IN);
    let session_key = s.create(&key(false, false)).unwrap();
    refused(s.copy(session_key, &template![CKA_TOKEN => true]), CKR_USER_NOT_LOGGED_IN);
}

/// The same for its use; the key is seen, for CKA_PRIVATE governs that.
fn secret_token_key_is_used_after_login_even_if_public(w: &World) {
    let s = w.user();
    let made = s.create(&key(false, true)).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, made, b"text").unwrap();
    s.logout().unwrap();
    let seen = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
    assert_eq!(seen, [made]);
    refused(s.sign_init(CKM_SHA256_HMAC, made), CKR_USER_NOT_LOGGED_IN);
    refused(s.verify_init(CKM_SHA256_HMAC, made), CKR_USER_NOT_LOGGED_IN);
    s.login(CKU_USER, USER_PIN).unwrap();
    assert_eq!(s.mac(CKM_SHA256_HMAC, made, b"text").unwrap(), mac);
}

/// The same for its value, be it extractable: no clause gives a code to it.
fn secret_token_value_is_read_after_login_even_if_public(w: &World) {
    let s = w.user();
    let open = template![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_LABEL => "name"];
    let key = s.create(&key(false, true).and(&open)).unwrap();
    assert_eq!(s.get(key, CKA_VALUE).unwrap(), [9; 64]);
    s.logout().unwrap();
    assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"name");
    refused_any(s.get(key, CKA_VALUE), &[CKR_USER_NOT_LOGGED_IN, CKR_ATTRIBUTE_SENSITIVE]);
}

/// Nothing of a public session key is on the token.
fn public_session_key_needs_no_login(w: &World) {
    let s = w.open(w.token(), RW);
    let key = s.create(&key(false, false)).unwrap();
    let mac = s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
    s.check(CKM_SHA256_HMAC, key, b"text", &mac).unwrap();
    let generated = template![CKA_VALUE_LEN => 64, CKA_PRIVATE => false, CKA_SIGN => true];
    let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated).unwrap();
    s.mac(CKM_SHA256_HMAC, key, b"text").unwrap();
}

/// §5.6.8: who is logged in already is told so, and no PIN is tried.
fn login_while_logged_in_counts_no_wrong_pin(w: &World) {
    let s = w.user();
    refused(s.login(CKU_USER, "not-the-pin"), CKR_USER_ALREADY_LOGGED_IN);
    assert_eq!(w.module().token_flags(s.slot) & CKF_USER_PIN_COUNT_LOW, 0);
}
