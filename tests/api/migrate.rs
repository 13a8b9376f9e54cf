//! Tokens of SoftHSM2, made by the Debian package, taken over by `signet migrate`:
//! every attribute and every MAC is what it was.

use crate::common::*;
use cryptoki_sys::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const OURS: Reference = unasked("both modules take part");
const LABEL: &str = "moved in";

cases! {
    keys_and_data_come_over_from_files softhsm2: OURS,
    keys_and_data_come_over_from_a_database softhsm2: OURS,
    what_softhsm2_refuses_is_refused_afterwards softhsm2: OURS,
}

/// The flags that keys have, and those that all objects have.
const KEY_FLAGS: [CK_ATTRIBUTE_TYPE; 15] = [
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_LOCAL,
    CKA_TRUSTED,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_PRIVATE,
];
const FLAGS: [CK_ATTRIBUTE_TYPE; 5] =
    [CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE];
/// The rest of what keys have, dates excepted: SoftHSM2 cannot read those of private keys.
const KEY_VALUES: [CK_ATTRIBUTE_TYPE; 6] = [
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_VALUE_LEN,
    CKA_CHECK_VALUE,
    CKA_KEY_GEN_MECHANISM,
    CKA_ALLOWED_MECHANISMS,
];
const DATA_VALUES: [CK_ATTRIBUTE_TYPE; 3] = [CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE];

/// What a module tells of its objects, by label: the attributes, then a MAC of each
/// mechanism that the key can be used with.
type Told = BTreeMap<Vec<u8>, Vec<(CK_ULONG, Rv<Vec<u8>>)>>;

fn tell(s: Session<'_>, objects: &Template) -> Told {
    let mut told = Told::new();
    for object in s.find(objects).unwrap() {
        let class = s.number(object, CKA_CLASS);
        let (flags, values) = match class {
            CKO_DATA => (&[][..], &DATA_VALUES[..]),
            _ => (&KEY_FLAGS[..], &KEY_VALUES[..]),
        };
        let attributes = [&[CKA_CLASS, CKA_LABEL], &FLAGS[..], flags, values].concat();
        let read = attributes.iter().map(|&attribute| (attribute, s.get(object, attribute)));
        let mut all: Vec<_> = read.collect();
        for hash in &HASHES[..5] {
            if class == CKO_SECRET_KEY && s.flag(object, CKA_SIGN) {
                all.push((hash.hmac, s.mac(hash.hmac, object, b"a message")));
            }
        }
        let label = s.get(object, CKA_LABEL).unwrap();
        assert!(told.insert(label, all).is_none(), "two objects of one label");
    }
    told
}

/// SoftHSM2 with a directory of its own; a session of the user with a token in it.
fn softhsm2(world: &World) -> Module {
    let configuration = world.directory().join("reference.conf");
    std::fs::create_dir(tokens(world)).unwrap();
    let lines = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens(world).display());
    std::fs::write(&configuration, lines).unwrap();
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("SOFTHSM2_CONF", configuration) };
    let module = Module::load(&softhsm2_module());
    module.initialize().unwrap();
    module.init_token(module.empty_slot(), SO_PIN, LABEL).unwrap();
    let session = Session::open(&module, module.slot_of(LABEL), RW).unwrap();
    session.login(CKU_SO, SO_PIN).unwrap();
    session.init_pin(USER_PIN).unwrap();
    session.close().unwrap();
    module
}

fn tokens(world: &World) -> PathBuf {
    world.directory().join("reference")
}

fn user(module: &Module) -> Session<'_> {
    let session = Session::open(module, module.slot_of(LABEL), RW).unwrap();
    session.login(CKU_USER, USER_PIN).unwrap();
    session
}

/// `signet migrate softhsm2`; what it says on standard error.
fn migrate(tokens: &Path, status: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["migrate", "softhsm2"])
        .arg(tokens)
        .env("SIGNET_PIN", USER_PIN)
        .env("SIGNET_SO_PIN", "another PIN of the SO")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

/// A token with one of every sort of object that both modules have, and some that
/// Signet has not.
fn fill(s: Session<'_>) {
    let common = |label: &str| template![CKA_TOKEN => true, CKA_LABEL => label];
    let imported = |label: &str, key_type: CK_KEY_TYPE| {
        common(label).and(&template![
            CKA_CLASS => CKO_SECRET_KEY,
            CKA_KEY_TYPE => key_type,
            CKA_VALUE => vec![0x42; 100],
            CKA_SIGN => true,
            CKA_VERIFY => true,
        ])
    };
    for hash in &HASHES[..5] {
        s.create(&imported(hash.name, hash.key_type)).unwrap();
    }
    let generic = |label| imported(label, CKK_GENERIC_SECRET);
    for (label, more) in [
        ("public", template![CKA_PRIVATE => false]),
        ("with an id", template![CKA_ID => [0, 1, 0xfe, 0xff]]),
        ("verifies only", template![CKA_DERIVE => true].with(CKA_WRAP, true)),
        ("open", template![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true]),
        ("hardened", template![CKA_MODIFIABLE => false, CKA_COPYABLE => false]),
        ("undestroyable", template![CKA_DESTROYABLE => false]),
        ("dated", template![CKA_START_DATE => b"20260102", CKA_END_DATE => b"20301231"]),
        ("wrapped with trusted", template![CKA_WRAP_WITH_TRUSTED => true]),
        (
            "two mechanisms",
            template![
                CKA_ALLOWED_MECHANISMS => mechanism_list(&[CKM_SHA256_HMAC, CKM_SHA512_HMAC]),
            ],
        ),
    ] {
        s.create(&generic(label).and(&more)).unwrap();
    }
    for (label, more) in [
        ("generated", template![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false]),
        ("generated open", template![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true]),
        ("generated public", template![CKA_PRIVATE => false]),
    ] {
        let size = template![CKA_VALUE_LEN => 64, CKA_SIGN => true];
        s.generate(CKM_GENERIC_SECRET_KEY_GEN, &common(label).and(&size).and(&more)).unwrap();
    }
    for private in [true, false] {
        let data = template![
            CKA_CLASS => CKO_DATA,
            CKA_PRIVATE => private,
            CKA_APPLICATION => "an application",
            CKA_OBJECT_ID => [6, 3, 42, 3, 4],
            CKA_VALUE => vec![0x17; 5000],
        ];
        s.create(&common(&format!("data {private}")).and(&data)).unwrap();
    }
    let aes = common("an AES key").and(&template![CKA_VALUE_LEN => 32, CKA_ID => [0xae]]);
    s.generate(CKM_AES_KEY_GEN, &aes).unwrap();
}

const LEFT: &str = "CKO_SECRET_KEY  CKK_AES  id ae  label \"an AES key\"";

fn keys_and_data_come_over(world: &World, prepare: impl Fn(&Path)) {
    let reference = softhsm2(world);
    fill(user(&reference));
    let ours = [CKK_GENERIC_SECRET].into_iter().chain(HASHES[..5].iter().map(|hash| hash.key_type));
    let mut before = tell(user_again(&reference), &template![CKA_CLASS => CKO_DATA]);
    for key_type in ours {
        before.append(&mut tell(user_again(&reference), &template![CKA_KEY_TYPE => key_type]));
    }
    assert_eq!(before.len(), 19);
    reference.finalize().unwrap();
    let token = std::fs::read_dir(tokens(world)).unwrap().next().unwrap().unwrap().path();
    prepare(&token);

    let said = migrate(&tokens(world), 3);
    assert!(said.contains(LEFT) && said.contains("left behind: 1 object\n"), "{said}");
    let s = user(world.start());
    let after = tell(s, &template![]);
    assert_eq!(after.len(), before.len());
    for (label, told) in &before {
        let name = String::from_utf8_lossy(label);
        for (was, is) in told.iter().zip(&after[label]) {
            assert_eq!(was, is, "{name}: {:#x}", was.0);
        }
    }
    let dated = s.find(&template![CKA_LABEL => "dated"]).unwrap()[0];
    assert_eq!(s.get(dated, CKA_START_DATE).unwrap(), b"20260102");
    assert_eq!(s.get(dated, CKA_END_DATE).unwrap(), b"20301231");
    let told = |label: &str, number| {
        let told = &after[label.as_bytes()];
        told.iter().find(|(told, _)| *told == number).unwrap().1.clone()
    };
    // That they agree shows nothing where neither has anything.
    for hash in &HASHES[..5] {
        assert_eq!(told(hash.name, hash.hmac).unwrap().len(), hash.length);
    }
    assert_eq!(told("generated", CKM_SHA256_HMAC).unwrap().len(), 32);
    assert_eq!(told("generated", CKA_NEVER_EXTRACTABLE), Ok(vec![1]));
    refused(told("two mechanisms", CKM_SHA_1_HMAC), CKR_MECHANISM_INVALID);
    assert_eq!(told("data true", CKA_VALUE).unwrap().len(), 5000);
    s.close().unwrap();
    let officer = Session::open(world.module(), world.module().slot_of(LABEL), RW).unwrap();
    officer.login(CKU_SO, "another PIN of the SO").unwrap();
}

/// A session of the user who has logged in already.
fn user_again(module: &Module) -> Session<'_> {
    Session::open(module, module.slot_of(LABEL), RW).unwrap()
}

fn keys_and_data_come_over_from_files(world: &World) {
    keys_and_data_come_over(world, |_| {});
}

fn keys_and_data_come_over_from_a_database(world: &World) {
    keys_and_data_come_over(world, to_database);
}

/// A key's protection moves in with it: nobody gains what SoftHSM2 did not give.
fn what_softhsm2_refuses_is_refused_afterwards(world: &World) {
    let reference = softhsm2(world);
    let attempts = |s: Session<'_>| {
        let one = |label: &str| s.find(&template![CKA_LABEL => label]).unwrap()[0];
        [
            s.get(one("generated"), CKA_VALUE).err(),
            s.get(one("hardened"), CKA_VALUE).err(),
            s.set(one("hardened"), &template![CKA_LABEL => "soft"]).err(),
            s.copy(one("hardened"), &template![CKA_TOKEN => false]).err(),
            s.destroy(one("undestroyable")).err(),
            s.set(one("generated"), &template![CKA_EXTRACTABLE => true]).err(),
        ]
    };
    fill(user(&reference));
    assert!(attempts(user_again(&reference)).iter().all(Option::is_some));
    reference.finalize().unwrap();
    migrate(&tokens(world), 3);
    let refused = attempts(user(world.start()));
    assert!(refused.iter().all(Option::is_some), "{refused:?}");
}
