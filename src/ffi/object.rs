//! Object management: PKCS#11 v3.2 §5.7.

use super::arg;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::types::{ObjectHandle, SessionHandle};
use cryptoki_sys::*;

/// `C_CreateObject`.
pub unsafe fn create(
    module: &Module,
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    arg::require(object)?;
    // SAFETY: the caller answers for the template.
    let template = unsafe { arg::template(template, count) }?;
    let new = module.create_object(SessionHandle(session), &template)?;
    // SAFETY: the caller answers for `object`.
    unsafe { arg::put(object, new.0) }
}

/// `C_CopyObject`.
pub unsafe fn copy(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    copy: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    arg::require(copy)?;
    // SAFETY: the caller answers for the template.
    let template = unsafe { arg::template(template, count) }?;
    let new = module.copy_object(SessionHandle(session), ObjectHandle(object), &template)?;
    // SAFETY: the caller answers for `copy`.
    unsafe { arg::put(copy, new.0) }
}

/// `C_DestroyObject`.
pub unsafe fn destroy(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> Result<()> {
    module.destroy_object(SessionHandle(session), ObjectHandle(object))
}

/// `C_GetObjectSize`.
pub unsafe fn size(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    out: *mut CK_ULONG,
) -> Result<()> {
    let size = module.object_size(SessionHandle(session), ObjectHandle(object))?;
    // SAFETY: the caller answers for `out`.
    unsafe { arg::put(out, arg::ulong(size)?) }
}

/// `C_GetAttributeValue`: every attribute that can be had is given, even when
/// others cannot; of several errors the first is returned.
pub unsafe fn attribute_value(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the template.
    let wanted = unsafe { arg::wanted(template, count) }?;
    let values = module.attributes(SessionHandle(session), ObjectHandle(object), &wanted)?;
    let mut outcome = Ok(());
    for (index, value) in values.iter().enumerate() {
        let value = value.as_ref().map(|bytes| bytes.as_slice()).map_err(Clone::clone);
        // SAFETY: there are as many values as the template has entries, for which
        // the caller answers.
        let answered = unsafe { arg::answer(template, index, value) };
        outcome = outcome.and(answered);
    }
    outcome
}

/// `C_SetAttributeValue`.
pub unsafe fn set_attribute_value(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    if template.is_null() {
        return Err(Error::ArgumentsBad("no template"));
    }
    // SAFETY: the caller answers for the template.
    let template = unsafe { arg::template(template, count) }?;
    module.set_attributes(SessionHandle(session), ObjectHandle(object), &template)
}

/// `C_FindObjectsInit`.
pub unsafe fn find_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller answers for the template.
    let template = unsafe { arg::template(template, count) }?;
    module.find_objects_init(SessionHandle(session), &template)
}

/// How many handles are looked for at a time.
const PAGE: usize = 1024;

/// `C_FindObjects`: page by page, straight into the caller's memory.
pub unsafe fn find(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_OBJECT_HANDLE,
    room: CK_ULONG,
    count: *mut CK_ULONG,
) -> Result<()> {
    if out.is_null() && room != 0 {
        return Err(Error::ArgumentsBad("nowhere to put the handles"));
    }
    arg::require(count)?;
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let mut given = 0;
    loop {
        let wanted = PAGE.min(room - given);
        let page = match module.find_objects(SessionHandle(session), wanted) {
            Ok(page) => page,
            Err(error) if given == 0 => return Err(error),
            // Asked again, it comes again.
            Err(_) => break,
        };
        let page: Vec<_> = page.into_iter().map(|object| object.0).collect();
        // SAFETY: the caller answers for `room` handles, of which fewer are given yet.
        unsafe { arg::put_all(out.wrapping_add(given), &page) };
        given += page.len();
        if page.len() < wanted || given == room {
            break;
        }
    }
    // SAFETY: the caller answers for `count`.
    unsafe { arg::put(count, arg::ulong(given)?) }
}

/// `C_FindObjectsFinal`.
pub unsafe fn find_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.find_objects_final(SessionHandle(session))
}
