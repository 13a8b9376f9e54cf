//! The one list of the standard's functions: exports and function lists come
//! from it. `not_offered` rows answer `CKR_FUNCTION_NOT_SUPPORTED`; `session`
//! rows look for the session before the caller's other arguments are read,
//! where the body alone would read them first.

#![allow(non_snake_case, clippy::missing_safety_doc)]

use super::{call, call_without_module, digest, general, key, object, random, session, sign, slot};
use crate::error::Error;
use crate::types::SessionHandle;
use cryptoki_sys::*;
use std::os::raw::c_void;

macro_rules! functions {
    (@body $name:ident ($($arg:ident),*) not_offered ()) => {{
        $(let _ = $arg;)*
        call(stringify!($name), |_| Err(Error::FunctionNotSupported))
    }};
    (@body $name:ident ($($arg:ident),*) alone ($body:path)) => {
        // SAFETY: the caller of the C function answers for its pointers.
        call_without_module(|| unsafe { $body($($arg),*) })
    };
    (@body $name:ident ($($arg:ident),*) module ($body:path)) => {
        // SAFETY: the caller of the C function answers for its pointers.
        call(stringify!($name), |module| unsafe { $body(module, $($arg),*) })
    };
    (@body $name:ident ($session:ident $(, $arg:ident)*) session ($body:path)) => {
        call(stringify!($name), |module| {
            module.require_session(SessionHandle($session))?;
            // SAFETY: the caller of the C function answers for its pointers.
            unsafe { $body(module, $session $(, $arg)*) }
        })
    };
    ($($group:ident { $($name:ident($($arg:ident: $type:ty),*) => $kind:ident($($body:path)?);)+ })+) => {
        $($(
            #[doc = concat!("PKCS#11's `", stringify!($name), "`. The caller answers for every pointer.")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
                functions!(@body $name ($($arg),*) $kind ($($body)?))
            }
        )+)+
        functions!(@lists $($group { $($name)+ })+);
    };
    (@lists v2_40 { $($two:ident)+ } v3_0 { $($three:ident)+ } v3_2 { $($four:ident)+ }) => {
        pub(super) static V2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 }, $($two: Some($two),)+
        };
        pub(super) static V3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: CK_VERSION { major: 3, minor: 0 }, $($two: Some($two),)+ $($three: Some($three),)+
        };
        pub(super) static V3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: CK_VERSION { major: 3, minor: 2 },
            $($two: Some($two),)+ $($three: Some($three),)+ $($four: Some($four),)+
        };
    };
}

#[rustfmt::skip]
functions! {
    v2_40 {
        C_Initialize(init_args: *mut c_void) => alone(general::initialize);
        C_Finalize(reserved: *mut c_void) => alone(general::finalize);
        C_GetInfo(info: *mut CK_INFO) => module(general::info);
        C_GetFunctionList(function_list: *mut *mut CK_FUNCTION_LIST) => alone(general::function_list);
        C_GetSlotList(token_present: CK_BBOOL, slot_list: *mut CK_SLOT_ID, count: *mut CK_ULONG) => module(slot::list);
        C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) => module(slot::info);
        C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) => module(slot::token_info);
        C_GetMechanismList(slot: CK_SLOT_ID, mechanism_list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) => module(slot::mechanism_list);
        C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) => module(slot::mechanism_info);
        C_InitToken(slot: CK_SLOT_ID, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, label: *mut CK_UTF8CHAR) => module(slot::init_token);
        C_InitPIN(session: CK_SESSION_HANDLE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG) => session(slot::init_pin);
        C_SetPIN(session: CK_SESSION_HANDLE, old_pin: *mut CK_UTF8CHAR, old_len: CK_ULONG, new_pin: *mut CK_UTF8CHAR, new_len: CK_ULONG) => session(slot::set_pin);
        C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE) => module(session::open);
        C_CloseSession(session: CK_SESSION_HANDLE) => module(session::close);
        C_CloseAllSessions(slot: CK_SLOT_ID) => module(session::close_all);
        C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) => module(session::info);
        C_GetOperationState(session: CK_SESSION_HANDLE, operation_state: *mut CK_BYTE, operation_state_len: *mut CK_ULONG) => not_offered();
        C_SetOperationState(session: CK_SESSION_HANDLE, operation_state: *mut CK_BYTE, operation_state_len: CK_ULONG, encryption_key: CK_OBJECT_HANDLE, authentication_key: CK_OBJECT_HANDLE) => not_offered();
        C_Login(session: CK_SESSION_HANDLE, user_type: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG) => session(session::login);
        C_Logout(session: CK_SESSION_HANDLE) => module(session::logout);
        C_CreateObject(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE) => session(object::create);
        C_CopyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, new_object: *mut CK_OBJECT_HANDLE) => session(object::copy);
        C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) => module(object::destroy);
        C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, size: *mut CK_ULONG) => module(object::size);
        C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => session(object::attribute_value);
        C_SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => session(object::set_attribute_value);
        C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => session(object::find_init);
        C_FindObjects(session: CK_SESSION_HANDLE, object: *mut CK_OBJECT_HANDLE, max_object_count: CK_ULONG, object_count: *mut CK_ULONG) => session(object::find);
        C_FindObjectsFinal(session: CK_SESSION_HANDLE) => module(object::find_final);
        C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, encrypted_data: *mut CK_BYTE, encrypted_data_len: *mut CK_ULONG) => not_offered();
        C_EncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, encrypted_part: *mut CK_BYTE, encrypted_part_len: *mut CK_ULONG) => not_offered();
        C_EncryptFinal(session: CK_SESSION_HANDLE, last_encrypted_part: *mut CK_BYTE, last_encrypted_part_len: *mut CK_ULONG) => not_offered();
        C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_Decrypt(session: CK_SESSION_HANDLE, encrypted_data: *mut CK_BYTE, encrypted_data_len: CK_ULONG, data: *mut CK_BYTE, data_len: *mut CK_ULONG) => not_offered();
        C_DecryptUpdate(session: CK_SESSION_HANDLE, encrypted_part: *mut CK_BYTE, encrypted_part_len: CK_ULONG, part: *mut CK_BYTE, part_len: *mut CK_ULONG) => not_offered();
        C_DecryptFinal(session: CK_SESSION_HANDLE, last_part: *mut CK_BYTE, last_part_len: *mut CK_ULONG) => not_offered();
        C_DigestInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM) => session(digest::init);
        C_Digest(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, digest: *mut CK_BYTE, digest_len: *mut CK_ULONG) => module(digest::digest);
        C_DigestUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => module(digest::update);
        C_DigestKey(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) => module(digest::key);
        C_DigestFinal(session: CK_SESSION_HANDLE, digest: *mut CK_BYTE, digest_len: *mut CK_ULONG) => module(digest::finish);
        C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => module(sign::sign_init);
        C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) => module(sign::sign);
        C_SignUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => module(sign::sign_update);
        C_SignFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) => module(sign::sign_final);
        C_SignRecoverInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_SignRecover(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) => not_offered();
        C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => module(sign::verify_init);
        C_Verify(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => module(sign::verify);
        C_VerifyUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => module(sign::verify_update);
        C_VerifyFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG) => module(sign::verify_final);
        C_VerifyRecoverInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_VerifyRecover(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG, data: *mut CK_BYTE, data_len: *mut CK_ULONG) => not_offered();
        C_DigestEncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, encrypted_part: *mut CK_BYTE, encrypted_part_len: *mut CK_ULONG) => not_offered();
        C_DecryptDigestUpdate(session: CK_SESSION_HANDLE, encrypted_part: *mut CK_BYTE, encrypted_part_len: CK_ULONG, part: *mut CK_BYTE, part_len: *mut CK_ULONG) => not_offered();
        C_SignEncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, encrypted_part: *mut CK_BYTE, encrypted_part_len: *mut CK_ULONG) => not_offered();
        C_DecryptVerifyUpdate(session: CK_SESSION_HANDLE, encrypted_part: *mut CK_BYTE, encrypted_part_len: CK_ULONG, part: *mut CK_BYTE, part_len: *mut CK_ULONG) => not_offered();
        C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => session(key::generate);
        C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public_key_template: *mut CK_ATTRIBUTE, public_key_attribute_count: CK_ULONG, private_key_template: *mut CK_ATTRIBUTE, private_key_attribute_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) => not_offered();
        C_WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping_key: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, wrapped_key: *mut CK_BYTE, wrapped_key_len: *mut CK_ULONG) => not_offered();
        C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, unwrapping_key: CK_OBJECT_HANDLE, wrapped_key: *mut CK_BYTE, wrapped_key_len: CK_ULONG, template: *mut CK_ATTRIBUTE, attribute_count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => not_offered();
        C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, base_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, attribute_count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => not_offered();
        C_SeedRandom(session: CK_SESSION_HANDLE, seed: *mut CK_BYTE, seed_len: CK_ULONG) => session(random::seed);
        C_GenerateRandom(session: CK_SESSION_HANDLE, random_data: *mut CK_BYTE, random_len: CK_ULONG) => session(random::generate);
        C_GetFunctionStatus(session: CK_SESSION_HANDLE) => session(session::function_status);
        C_CancelFunction(session: CK_SESSION_HANDLE) => session(session::cancel_function);
        C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: *mut c_void) => module(slot::wait_for_event);
    }
    v3_0 {
        C_GetInterfaceList(interfaces_list: *mut CK_INTERFACE, count: *mut CK_ULONG) => alone(general::interface_list);
        C_GetInterface(interface_name: *mut CK_UTF8CHAR, version: *mut CK_VERSION, interface: *mut *mut CK_INTERFACE, flags: CK_FLAGS) => alone(general::interface);
        C_LoginUser(session: CK_SESSION_HANDLE, user_type: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, username: *mut CK_UTF8CHAR, username_len: CK_ULONG) => session(session::login_user);
        C_SessionCancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS) => module(session::cancel);
        C_MessageEncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_EncryptMessage(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG, plaintext: *mut CK_BYTE, plaintext_len: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: *mut CK_ULONG) => not_offered();
        C_EncryptMessageBegin(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG) => not_offered();
        C_EncryptMessageNext(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, plaintext_part: *mut CK_BYTE, plaintext_part_len: CK_ULONG, ciphertext_part: *mut CK_BYTE, ciphertext_part_len: *mut CK_ULONG, flags: CK_FLAGS) => not_offered();
        C_MessageEncryptFinal(session: CK_SESSION_HANDLE) => not_offered();
        C_MessageDecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_DecryptMessage(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: CK_ULONG, plaintext: *mut CK_BYTE, plaintext_len: *mut CK_ULONG) => not_offered();
        C_DecryptMessageBegin(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG) => not_offered();
        C_DecryptMessageNext(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, ciphertext_part: *mut CK_BYTE, ciphertext_part_len: CK_ULONG, plaintext_part: *mut CK_BYTE, plaintext_part_len: *mut CK_ULONG, flags: CK_FLAGS) => not_offered();
        C_MessageDecryptFinal(session: CK_SESSION_HANDLE) => not_offered();
        C_MessageSignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_SignMessage(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) => not_offered();
        C_SignMessageBegin(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG) => not_offered();
        C_SignMessageNext(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: *mut CK_ULONG) => not_offered();
        C_MessageSignFinal(session: CK_SESSION_HANDLE) => not_offered();
        C_MessageVerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => not_offered();
        C_VerifyMessage(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => not_offered();
        C_VerifyMessageBegin(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG) => not_offered();
        C_VerifyMessageNext(session: CK_SESSION_HANDLE, parameter: *mut c_void, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => not_offered();
        C_MessageVerifyFinal(session: CK_SESSION_HANDLE) => not_offered();
    }
    v3_2 {
        C_EncapsulateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, attribute_count: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: *mut CK_ULONG, key: *mut CK_OBJECT_HANDLE) => not_offered();
        C_DecapsulateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, private_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, attribute_count: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => not_offered();
        C_VerifySignatureInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG) => session(sign::verify_signature_init);
        C_VerifySignature(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG) => module(sign::verify_signature);
        C_VerifySignatureUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => module(sign::verify_signature_update);
        C_VerifySignatureFinal(session: CK_SESSION_HANDLE) => module(sign::verify_signature_final);
        C_GetSessionValidationFlags(session: CK_SESSION_HANDLE, kind: CK_SESSION_VALIDATION_FLAGS_TYPE, flags: *mut CK_FLAGS) => not_offered();
        C_AsyncComplete(session: CK_SESSION_HANDLE, function_name: *mut CK_UTF8CHAR, result: *mut CK_ASYNC_DATA) => not_offered();
        C_AsyncGetID(session: CK_SESSION_HANDLE, function_name: *mut CK_UTF8CHAR, id: *mut CK_ULONG) => not_offered();
        C_AsyncJoin(session: CK_SESSION_HANDLE, function_name: *mut CK_UTF8CHAR, id: CK_ULONG, data: *mut CK_BYTE, data2: CK_ULONG) => not_offered();
        C_WrapKeyAuthenticated(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping_key: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG, wrapped_key: *mut CK_BYTE, wrapped_key_len: *mut CK_ULONG) => not_offered();
        C_UnwrapKeyAuthenticated(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, unwrapping_key: CK_OBJECT_HANDLE, wrapped_key: *mut CK_BYTE, wrapped_key_len: CK_ULONG, template: *mut CK_ATTRIBUTE, attribute_count: CK_ULONG, associated_data: *mut CK_BYTE, associated_data_len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => not_offered();
    }
}
