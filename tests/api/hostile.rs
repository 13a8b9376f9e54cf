//! Lengths and counts that no caller means: 2^31, 2^32, 2^64 - 1. Each call must
//! answer at once with an error; none may hang, abort or read past what is there.

use crate::api::templates::mac_key;
use crate::common::*;
use cryptoki_sys::*;
use nix::time::ClockId;
use std::ptr::null_mut;
use std::time::Duration;

/// Reading past what is there may crash, go wrong or seem to go well.
const READS_ON: Reference = departs("", "SoftHSM2 believes every length");

cases! {
    template_counts softhsm2: READS_ON,
    attribute_lengths softhsm2: READS_ON,
    attribute_lengths_with_null softhsm2: READS_ON,
    search_template_counts softhsm2: READS_ON,
    read_template_counts softhsm2: READS_ON,
    change_template_counts softhsm2: READS_ON,
    generated_lengths,
    random_lengths softhsm2: unasked("SoftHSM2 makes gigabytes of random bytes for half a minute"),
    seed_lengths softhsm2: READS_ON,
    data_lengths_with_null,
    data_lengths_beyond_memory softhsm2: READS_ON,
    mac_lengths,
    parameter_lengths softhsm2: departs("CKR_OK", "SoftHSM2 overlooks parameters"),
    pin_lengths softhsm2: READS_ON,
    output_rooms_are_only_rooms,
    list_rooms_are_only_rooms,
    find_rooms_are_only_rooms,
}

/// Lengths that overflow an `i32`, a `u32`, a byte count or a pointer.
const LENGTHS: [CK_ULONG; 7] = [
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 61,
    CK_ULONG::MAX / 2 + 1,
    CK_ULONG::MAX - 1,
    CK_ULONG::MAX,
];

/// The call is refused with little work: a loop over 2^32 takes more of the
/// processor's time than this, on however busy a machine.
#[track_caller]
fn refused_at_once(call: impl FnOnce() -> Rv) {
    let used = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("a clock"));
    let before = used();
    refused_somehow(call());
    let work = used() - before;
    assert!(work < Duration::from_secs(2), "worked for {work:?}");
}

fn data() -> Template {
    template![CKA_CLASS => CKO_DATA, CKA_LABEL => "name", CKA_VALUE => "value"]
}

/// A page-sized template, so that a module that takes the count for true reads
/// past its end.
fn template_counts(w: &World) {
    let s = w.user();
    let (raw, mut object) = (&mut data().raw(), 0);
    let template = raw.as_mut_ptr();
    let mut mechanism = Mech::plain(CKM_GENERIC_SECRET_KEY_GEN).raw();
    let source = s.create(&data()).unwrap();
    for count in LENGTHS {
        refused_at_once(|| ck!(s.module, C_CreateObject(s.handle, template, count, &mut object)));
        refused_at_once(|| {
            ck!(s.module, C_CopyObject(s.handle, source, template, count, &mut object))
        });
        refused_at_once(|| {
            ck!(s.module, C_GenerateKey(s.handle, &mut mechanism, template, count, &mut object))
        });
    }
    assert_eq!(s.find(&template![]).unwrap(), [source]);
}

/// One attribute's length is a lie.
fn attribute_lengths(w: &World) {
    let s = w.user();
    let source = s.create(&data()).unwrap();
    let template = mac_key().and(&template![CKA_LABEL => "name", CKA_ID => [1]]);
    for lie in [CKA_CLASS, CKA_SIGN, CKA_LABEL, CKA_ID, CKA_VALUE] {
        for length in LENGTHS {
            let (mut raw, mut object) = (template.raw(), 0);
            let attribute = raw.iter_mut().find(|attribute| attribute.type_ == lie).unwrap();
            attribute.ulValueLen = length;
            let mut single = *attribute;
            let count = raw.len() as CK_ULONG;
            refused_at_once(|| {
                ck!(s.module, C_CreateObject(s.handle, raw.as_mut_ptr(), count, &mut object))
            });
            refused_at_once(|| {
                ck!(s.module, C_SetAttributeValue(s.handle, source, &mut single, 1))
            });
            refused_at_once(|| {
                ck!(s.module, C_CopyObject(s.handle, source, &mut single, 1, &mut object))
            });
        }
    }
    assert_eq!(s.find(&template![]).unwrap(), [source]);
}

/// One attribute's length is a lie about nothing.
fn attribute_lengths_with_null(w: &World) {
    let s = w.user();
    let source = s.create(&data()).unwrap();
    for lie in [CKA_CLASS, CKA_SIGN, CKA_LABEL, CKA_ID, CKA_VALUE] {
        for length in LENGTHS {
            let template = mac_key().without(lie);
            let (mut raw, mut object) = (template.raw(), 0);
            let mut single = CK_ATTRIBUTE { type_: lie, pValue: null_mut(), ulValueLen: length };
            raw.push(single);
            let count = raw.len() as CK_ULONG;
            refused_at_once(|| {
                ck!(s.module, C_CreateObject(s.handle, raw.as_mut_ptr(), count, &mut object))
            });
            refused_at_once(|| {
                ck!(s.module, C_SetAttributeValue(s.handle, source, &mut single, 1))
            });
        }
    }
    assert_eq!(s.find(&template![]).unwrap(), [source]);
}

fn search_template_counts(w: &World) {
    let s = w.user();
    let template = data();
    for count in LENGTHS {
        let mut raw = template.raw();
        let find = || ck!(s.module, C_FindObjectsInit(s.handle, raw.as_mut_ptr(), count));
        refused_at_once(find);
        refused(s.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    }
}

fn read_template_counts(w: &World) {
    let s = w.user();
    let object = s.create(&data()).unwrap();
    for count in LENGTHS {
        let mut wanted = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: null_mut(), ulValueLen: 0 };
        refused_at_once(|| {
            ck!(s.module, C_GetAttributeValue(s.handle, object, &mut wanted, count))
        });
        refused_at_once(|| ck!(s.module, C_GetAttributeValue(s.handle, object, null_mut(), count)));
    }
}

fn change_template_counts(w: &World) {
    let s = w.user();
    let object = s.create(&data()).unwrap();
    let template = template![CKA_LABEL => "new"];
    for count in LENGTHS {
        let mut raw = template.raw();
        refused_at_once(|| {
            ck!(s.module, C_SetAttributeValue(s.handle, object, raw.as_mut_ptr(), count))
        });
    }
    assert_eq!(s.get(object, CKA_LABEL).unwrap(), b"name");
}

/// CKA_VALUE_LEN: CKR_ATTRIBUTE_VALUE_INVALID.
fn generated_lengths(w: &World) {
    let s = w.user();
    for length in LENGTHS {
        let template = template![CKA_VALUE_LEN => length];
        refused_at_once(|| s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).map(|_| ()));
    }
}

/// A request is bounded; the buffer here is not that long.
fn random_lengths(w: &World) {
    let s = w.user();
    let mut buffer = [0xEE; 64];
    for length in LENGTHS {
        refused_at_once(|| ck!(s.module, C_GenerateRandom(s.handle, buffer.as_mut_ptr(), length)));
        refused_at_once(|| ck!(s.module, C_GenerateRandom(s.handle, null_mut(), length)));
    }
    assert_eq!(buffer, [0xEE; 64]);
}

fn seed_lengths(w: &World) {
    let s = w.user();
    let mut seed = [1; 64];
    for length in LENGTHS {
        refused_at_once(|| ck!(s.module, C_SeedRandom(s.handle, null_mut(), length)));
    }
    // What no memory holds can be told from what is only long.
    for length in [CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX] {
        refused_at_once(|| ck!(s.module, C_SeedRandom(s.handle, seed.as_mut_ptr(), length)));
    }
}

/// Every call that takes in data, with lengths of nothing.
fn data_lengths_with_null(w: &World) {
    let user = w.user();
    let key = user.create(&mac_key()).unwrap();
    let (mut buffer, mut room) = ([0; 64], 64);
    let (none, out) = (null_mut(), buffer.as_mut_ptr());
    for length in LENGTHS {
        // A session for each, so that no call is refused for another's sake.
        let begun = |begin: fn(&Session<'_>, CK_OBJECT_HANDLE) -> Rv| {
            let session = user.another(RW).unwrap();
            begin(&session, key).unwrap();
            session
        };
        let s = begun(|s, key| s.sign_init(CKM_SHA256_HMAC, key));
        refused_at_once(|| ck!(s.module, C_Sign(s.handle, none, length, out, &mut room)));
        let s = begun(|s, key| s.sign_init(CKM_SHA256_HMAC, key));
        refused_at_once(|| ck!(s.module, C_SignUpdate(s.handle, none, length)));
        let s = begun(|s, key| s.verify_init(CKM_SHA256_HMAC, key));
        refused_at_once(|| ck!(s.module, C_Verify(s.handle, none, length, out, 32)));
        let s = begun(|s, key| s.verify_init(CKM_SHA256_HMAC, key));
        refused_at_once(|| ck!(s.module, C_VerifyUpdate(s.handle, none, length)));
        let s = begun(|s, _| s.digest_init(CKM_SHA256));
        refused_at_once(|| ck!(s.module, C_Digest(s.handle, none, length, out, &mut room)));
        let s = begun(|s, _| s.digest_init(CKM_SHA256));
        refused_at_once(|| ck!(s.module, C_DigestUpdate(s.handle, none, length)));
    }
}

/// Lengths that no object in memory has; shorter lies cannot be told from truth.
fn data_lengths_beyond_memory(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    let text = b"text".as_ptr().cast_mut();
    let (mut buffer, mut room) = ([0; 64], 64);
    let out = buffer.as_mut_ptr();
    for length in [CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX - 1, CK_ULONG::MAX] {
        let fresh = || s.another(RW).unwrap();
        let (sign, update, digest) = (fresh(), fresh(), fresh());
        sign.sign_init(CKM_SHA256_HMAC, key).unwrap();
        refused_at_once(|| ck!(s.module, C_Sign(sign.handle, text, length, out, &mut room)));
        update.sign_init(CKM_SHA256_HMAC, key).unwrap();
        refused_at_once(|| ck!(s.module, C_SignUpdate(update.handle, text, length)));
        digest.digest_init(CKM_SHA256).unwrap();
        refused_at_once(|| ck!(s.module, C_Digest(digest.handle, text, length, out, &mut room)));
    }
}

/// A MAC is as long as its mechanism says: nothing is read beyond.
fn mac_lengths(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    let text = b"text".as_ptr().cast_mut();
    let mut mac = [0; 32];
    for length in LENGTHS {
        s.verify_init(CKM_SHA256_HMAC, key).unwrap();
        refused_at_once(|| ck!(s.module, C_Verify(s.handle, text, 4, mac.as_mut_ptr(), length)));
        s.verify_init(CKM_SHA256_HMAC, key).unwrap();
        refused_at_once(|| ck!(s.module, C_VerifyFinal(s.handle, mac.as_mut_ptr(), length)));
        let nothing_began = ck!(s.module, C_VerifyFinal(s.handle, mac.as_mut_ptr(), length));
        refused(nothing_began, CKR_OPERATION_NOT_INITIALIZED);
    }
}

fn parameter_lengths(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key()).unwrap();
    let mut parameter: CK_ULONG = 16;
    let template = template![CKA_VALUE_LEN => 32];
    for length in LENGTHS {
        for place in [(&raw mut parameter).cast(), null_mut()] {
            let with =
                |mechanism| CK_MECHANISM { mechanism, pParameter: place, ulParameterLen: length };
            for mechanism in [CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL] {
                let mut wrong = with(mechanism);
                refused_at_once(|| ck!(s.module, C_SignInit(s.handle, &mut wrong, key)));
                refused_at_once(|| ck!(s.module, C_VerifyInit(s.handle, &mut wrong, key)));
            }
            let mut wrong = with(CKM_SHA256);
            refused_at_once(|| ck!(s.module, C_DigestInit(s.handle, &mut wrong)));
            let mut wrong = with(CKM_GENERIC_SECRET_KEY_GEN);
            let (mut raw, mut made) = (template.raw(), 0);
            refused_at_once(|| {
                ck!(s.module, C_GenerateKey(s.handle, &mut wrong, raw.as_mut_ptr(), 1, &mut made))
            });
        }
    }
}

fn pin_lengths(w: &World) {
    let slot = w.token();
    let s = w.open(slot, RW);
    let (pin, m) = (USER_PIN.as_ptr().cast_mut(), s.module);
    let mut label = [b' '; 32];
    let empty = m.empty_slot();
    for length in LENGTHS {
        refused_at_once(|| ck!(m, C_Login(s.handle, CKU_USER, pin, length)));
        refused_at_once(|| ck!(m, C_SetPIN(s.handle, pin, length, pin, 8)));
        refused_at_once(|| ck!(m, C_SetPIN(s.handle, pin, 9, pin, length)));
        refused_at_once(|| ck!(m, C_InitToken(empty, pin, length, label.as_mut_ptr())));
    }
    // Not one of them may have cost an attempt so that the PIN is locked now.
    s.login(CKU_USER, USER_PIN).unwrap();
    s.logout().unwrap();
    s.login(CKU_SO, SO_PIN).unwrap();
    for length in LENGTHS {
        refused_at_once(|| ck!(m, C_InitPIN(s.handle, pin, length)));
    }
}

/// A buffer's size is what the caller says it is: only the output is written.
fn output_rooms_are_only_rooms(w: &World) {
    let s = w.user();
    let key = s.create(&mac_key().with(CKA_LABEL, "name")).unwrap();
    let text = b"text".as_ptr().cast_mut();
    for room in LENGTHS {
        let (mut buffer, mut length) = ([0xEE; 64], room);
        s.sign_init(CKM_SHA256_HMAC, key).unwrap();
        ck!(s.module, C_Sign(s.handle, text, 4, buffer.as_mut_ptr(), &mut length)).unwrap();
        assert_eq!((length, buffer[32]), (32, 0xEE));
        let (mut buffer, mut length) = ([0xEE; 64], room);
        s.digest_init(CKM_SHA256).unwrap();
        ck!(s.module, C_Digest(s.handle, text, 4, buffer.as_mut_ptr(), &mut length)).unwrap();
        assert_eq!((length, buffer[32]), (32, 0xEE));
        let mut wanted =
            CK_ATTRIBUTE { type_: CKA_LABEL, pValue: buffer.as_mut_ptr().cast(), ulValueLen: room };
        ck!(s.module, C_GetAttributeValue(s.handle, key, &mut wanted, 1)).unwrap();
        assert_eq!(wanted.ulValueLen, 4);
    }
}

fn list_rooms_are_only_rooms(w: &World) {
    let slot = w.token();
    let slots = w.module().slots(true).unwrap();
    let mechanisms = w.module().mechanisms(slot).unwrap();
    for room in LENGTHS {
        let (mut list, mut count) = ([0; 512], room);
        ck!(w.module(), C_GetSlotList(CK_TRUE, list.as_mut_ptr(), &mut count)).unwrap();
        assert_eq!(list[..count as usize], slots);
        let mut count = room;
        ck!(w.module(), C_GetMechanismList(slot, list.as_mut_ptr(), &mut count)).unwrap();
        assert_eq!(list[..count as usize], mechanisms);
    }
}

fn find_rooms_are_only_rooms(w: &World) {
    let s = w.user();
    let object = s.create(&data()).unwrap();
    for room in LENGTHS {
        let (mut found, mut count) = ([0; 4], 0);
        s.find_init(&template![]).unwrap();
        ck!(s.module, C_FindObjects(s.handle, found.as_mut_ptr(), room, &mut count)).unwrap();
        s.find_final().unwrap();
        assert_eq!((count, found), (1, [object, 0, 0, 0]));
    }
}
