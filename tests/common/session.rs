//! A session, with one method per call that a case makes often.

use super::{Mech, Module, Rv, Template, ck, ck3};
use cryptoki_sys::*;
use std::mem::zeroed;
use std::ptr::null_mut;

/// The flags of a read-only session.
pub const RO: CK_FLAGS = CKF_SERIAL_SESSION;
/// The flags of a read/write session.
pub const RW: CK_FLAGS = CKF_SERIAL_SESSION | CKF_RW_SESSION;

/// An open session. Copies name the same session; nothing closes it by itself.
#[derive(Clone, Copy)]
pub struct Session<'m> {
    pub module: &'m Module,
    pub slot: CK_SLOT_ID,
    pub handle: CK_SESSION_HANDLE,
}

impl<'m> Session<'m> {
    /// `C_OpenSession`.
    pub fn open(module: &'m Module, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Rv<Self> {
        let mut handle = 0;
        ck!(module, C_OpenSession(slot, flags, null_mut(), None, &mut handle))?;
        Ok(Self { module, slot, handle })
    }

    /// Another session with the same token.
    pub fn another(&self, flags: CK_FLAGS) -> Rv<Self> {
        Self::open(self.module, self.slot, flags)
    }

    /// `C_CloseSession`.
    pub fn close(&self) -> Rv {
        ck!(self.module, C_CloseSession(self.handle))
    }

    /// `C_GetSessionInfo`.
    pub fn info(&self) -> Rv<CK_SESSION_INFO> {
        // SAFETY: plain data, for which zeroes are values.
        let mut info = unsafe { zeroed() };
        ck!(self.module, C_GetSessionInfo(self.handle, &mut info))?;
        Ok(info)
    }

    /// The state of `C_GetSessionInfo`.
    pub fn state(&self) -> CK_STATE {
        self.info().unwrap().state
    }

    /// `C_Login`.
    pub fn login(&self, user: CK_USER_TYPE, pin: &str) -> Rv {
        let (pin, length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        ck!(self.module, C_Login(self.handle, user, pin, length))
    }

    /// `C_LoginUser`.
    pub fn login_user(&self, user: CK_USER_TYPE, name: &str, pin: &str) -> Rv {
        let (pin, length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        let (name, name_length) = (name.as_ptr().cast_mut(), name.len() as CK_ULONG);
        ck3!(self.module, C_LoginUser(self.handle, user, pin, length, name, name_length))
    }

    /// `C_Logout`.
    pub fn logout(&self) -> Rv {
        ck!(self.module, C_Logout(self.handle))
    }

    /// `C_InitPIN`.
    pub fn init_pin(&self, pin: &str) -> Rv {
        ck!(self.module, C_InitPIN(self.handle, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG))
    }

    /// `C_SetPIN`.
    pub fn set_pin(&self, old: &str, new: &str) -> Rv {
        let (old_pin, old_length) = (old.as_ptr().cast_mut(), old.len() as CK_ULONG);
        let (new_pin, new_length) = (new.as_ptr().cast_mut(), new.len() as CK_ULONG);
        ck!(self.module, C_SetPIN(self.handle, old_pin, old_length, new_pin, new_length))
    }

    /// `C_CreateObject`.
    pub fn create(&self, template: &Template) -> Rv<CK_OBJECT_HANDLE> {
        let (mut raw, mut object) = (template.raw(), 0);
        ck!(
            self.module,
            C_CreateObject(self.handle, raw.as_mut_ptr(), template.count(), &mut object)
        )?;
        Ok(object)
    }

    /// `C_CopyObject`.
    pub fn copy(&self, object: CK_OBJECT_HANDLE, template: &Template) -> Rv<CK_OBJECT_HANDLE> {
        let (mut raw, mut copy) = (template.raw(), 0);
        let count = template.count();
        ck!(self.module, C_CopyObject(self.handle, object, raw.as_mut_ptr(), count, &mut copy))?;
        Ok(copy)
    }

    /// `C_DestroyObject`.
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Rv {
        ck!(self.module, C_DestroyObject(self.handle, object))
    }

    /// `C_GetObjectSize`.
    pub fn size(&self, object: CK_OBJECT_HANDLE) -> Rv<CK_ULONG> {
        let mut size = 0;
        ck!(self.module, C_GetObjectSize(self.handle, object, &mut size))?;
        Ok(size)
    }

    /// `C_GetAttributeValue` of one attribute: asks for the length, then for the value.
    pub fn get(&self, object: CK_OBJECT_HANDLE, attribute: CK_ATTRIBUTE_TYPE) -> Rv<Vec<u8>> {
        let mut wanted = CK_ATTRIBUTE { type_: attribute, pValue: null_mut(), ulValueLen: 0 };
        ck!(self.module, C_GetAttributeValue(self.handle, object, &mut wanted, 1))?;
        let mut value = vec![0; wanted.ulValueLen as usize];
        wanted.pValue = value.as_mut_ptr().cast();
        ck!(self.module, C_GetAttributeValue(self.handle, object, &mut wanted, 1))?;
        value.truncate(wanted.ulValueLen as usize);
        Ok(value)
    }

    /// A `CK_BBOOL` attribute.
    #[track_caller]
    pub fn flag(&self, object: CK_OBJECT_HANDLE, attribute: CK_ATTRIBUTE_TYPE) -> bool {
        match self.get(object, attribute).expect("the object has this flag")[..] {
            [0] => false,
            [1] => true,
            ref other => panic!("not a CK_BBOOL: {other:?}"),
        }
    }

    /// A `CK_ULONG` attribute.
    #[track_caller]
    pub fn number(&self, object: CK_OBJECT_HANDLE, attribute: CK_ATTRIBUTE_TYPE) -> CK_ULONG {
        let value = self.get(object, attribute).expect("the object has this number");
        CK_ULONG::from_ne_bytes(value.try_into().expect("a CK_ULONG"))
    }

    /// `C_SetAttributeValue`.
    pub fn set(&self, object: CK_OBJECT_HANDLE, template: &Template) -> Rv {
        let (mut raw, count) = (template.raw(), template.count());
        ck!(self.module, C_SetAttributeValue(self.handle, object, raw.as_mut_ptr(), count))
    }

    /// A whole search: `C_FindObjectsInit`, `C_FindObjects` until empty, `C_FindObjectsFinal`.
    pub fn find(&self, template: &Template) -> Rv<Vec<CK_OBJECT_HANDLE>> {
        self.find_init(template)?;
        let mut all = Vec::new();
        loop {
            let some = self.find_next(16)?;
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        self.find_final()?;
        Ok(all)
    }

    /// `C_FindObjectsInit`.
    pub fn find_init(&self, template: &Template) -> Rv {
        let (mut raw, count) = (template.raw(), template.count());
        ck!(self.module, C_FindObjectsInit(self.handle, raw.as_mut_ptr(), count))
    }

    /// `C_FindObjects` for at most `room` handles.
    pub fn find_next(&self, room: usize) -> Rv<Vec<CK_OBJECT_HANDLE>> {
        let (mut found, mut count) = (vec![0; room], 0);
        ck!(
            self.module,
            C_FindObjects(self.handle, found.as_mut_ptr(), room as CK_ULONG, &mut count)
        )?;
        found.truncate(count as usize);
        Ok(found)
    }

    /// `C_FindObjectsFinal`.
    pub fn find_final(&self) -> Rv {
        ck!(self.module, C_FindObjectsFinal(self.handle))
    }

    /// `C_GenerateKey`.
    pub fn generate(
        &self,
        mechanism: impl Into<Mech>,
        template: &Template,
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mechanism = mechanism.into();
        let (mut raw_mechanism, mut raw, mut key) = (mechanism.raw(), template.raw(), 0);
        let count = template.count();
        ck!(
            self.module,
            C_GenerateKey(self.handle, &mut raw_mechanism, raw.as_mut_ptr(), count, &mut key)
        )?;
        Ok(key)
    }

    /// `C_SignInit`.
    pub fn sign_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Rv {
        let mechanism = mechanism.into();
        ck!(self.module, C_SignInit(self.handle, &mut mechanism.raw(), key))
    }

    /// `C_Sign` into a buffer with room to spare.
    pub fn sign(&self, data: &[u8]) -> Rv<Vec<u8>> {
        let (data, data_length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        output(128, |buffer, length| {
            ck!(self.module, C_Sign(self.handle, data, data_length, buffer, length))
        })
    }

    /// `C_SignUpdate`.
    pub fn sign_update(&self, part: &[u8]) -> Rv {
        let (part, length) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        ck!(self.module, C_SignUpdate(self.handle, part, length))
    }

    /// `C_SignFinal` into a buffer with room to spare.
    pub fn sign_final(&self) -> Rv<Vec<u8>> {
        output(128, |buffer, length| ck!(self.module, C_SignFinal(self.handle, buffer, length)))
    }

    /// `C_SignInit` and `C_Sign`.
    pub fn mac(
        &self,
        mechanism: impl Into<Mech>,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.sign_init(mechanism, key)?;
        self.sign(data)
    }

    /// `C_VerifyInit`.
    pub fn verify_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Rv {
        let mechanism = mechanism.into();
        ck!(self.module, C_VerifyInit(self.handle, &mut mechanism.raw(), key))
    }

    /// `C_Verify`.
    pub fn verify(&self, data: &[u8], mac: &[u8]) -> Rv {
        let (data, data_length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        let (mac, mac_length) = (mac.as_ptr().cast_mut(), mac.len() as CK_ULONG);
        ck!(self.module, C_Verify(self.handle, data, data_length, mac, mac_length))
    }

    /// `C_VerifyUpdate`.
    pub fn verify_update(&self, part: &[u8]) -> Rv {
        let (part, length) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        ck!(self.module, C_VerifyUpdate(self.handle, part, length))
    }

    /// `C_VerifyFinal`.
    pub fn verify_final(&self, mac: &[u8]) -> Rv {
        let (mac, length) = (mac.as_ptr().cast_mut(), mac.len() as CK_ULONG);
        ck!(self.module, C_VerifyFinal(self.handle, mac, length))
    }

    /// `C_VerifyInit` and `C_Verify`.
    pub fn check(
        &self,
        mechanism: impl Into<Mech>,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        mac: &[u8],
    ) -> Rv {
        self.verify_init(mechanism, key)?;
        self.verify(data, mac)
    }

    /// `C_VerifySignatureInit`.
    pub fn verify_signature_init(
        &self,
        mechanism: impl Into<Mech>,
        key: CK_OBJECT_HANDLE,
        mac: &[u8],
    ) -> Rv {
        let mechanism = mechanism.into();
        let (mac, length) = (mac.as_ptr().cast_mut(), mac.len() as CK_ULONG);
        ck3!(
            self.module,
            C_VerifySignatureInit(self.handle, &mut mechanism.raw(), key, mac, length)
        )
    }

    /// `C_VerifySignature`.
    pub fn verify_signature(&self, data: &[u8]) -> Rv {
        let (data, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        ck3!(self.module, C_VerifySignature(self.handle, data, length))
    }

    /// `C_VerifySignatureUpdate`.
    pub fn verify_signature_update(&self, part: &[u8]) -> Rv {
        let (part, length) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        ck3!(self.module, C_VerifySignatureUpdate(self.handle, part, length))
    }

    /// `C_VerifySignatureFinal`.
    pub fn verify_signature_final(&self) -> Rv {
        ck3!(self.module, C_VerifySignatureFinal(self.handle))
    }

    /// `C_DigestInit`.
    pub fn digest_init(&self, mechanism: impl Into<Mech>) -> Rv {
        let mechanism = mechanism.into();
        ck!(self.module, C_DigestInit(self.handle, &mut mechanism.raw()))
    }

    /// `C_Digest` into a buffer with room to spare.
    pub fn digest(&self, data: &[u8]) -> Rv<Vec<u8>> {
        let (data, data_length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        output(128, |buffer, length| {
            ck!(self.module, C_Digest(self.handle, data, data_length, buffer, length))
        })
    }

    /// `C_DigestUpdate`.
    pub fn digest_update(&self, part: &[u8]) -> Rv {
        let (part, length) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        ck!(self.module, C_DigestUpdate(self.handle, part, length))
    }

    /// `C_DigestKey`.
    pub fn digest_key(&self, key: CK_OBJECT_HANDLE) -> Rv {
        ck!(self.module, C_DigestKey(self.handle, key))
    }

    /// `C_DigestFinal` into a buffer with room to spare.
    pub fn digest_final(&self) -> Rv<Vec<u8>> {
        output(128, |buffer, length| ck!(self.module, C_DigestFinal(self.handle, buffer, length)))
    }

    /// `C_GenerateRandom`.
    pub fn random(&self, length: usize) -> Rv<Vec<u8>> {
        let mut bytes = vec![0; length];
        ck!(self.module, C_GenerateRandom(self.handle, bytes.as_mut_ptr(), length as CK_ULONG))?;
        Ok(bytes)
    }
}

/// Calls a function that fills a buffer of `room` bytes, and cuts the answer.
pub fn output(room: usize, call: impl FnOnce(*mut u8, *mut CK_ULONG) -> Rv) -> Rv<Vec<u8>> {
    let (mut buffer, mut length) = (vec![0; room], room as CK_ULONG);
    call(buffer.as_mut_ptr(), &mut length)?;
    buffer.truncate(length as usize);
    Ok(buffer)
}
