//! What outlives C_Finalize, what other processes see, and fork.

use crate::api::templates::{KEY_ATTRIBUTES, public_token_data};
use crate::common::*;
use cryptoki_sys::*;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

cases! {
    token_objects_outlive_finalise,
    session_objects_do_not_outlive_finalise,
    attributes_outlive_finalise,
    key_made_here_is_used_there,
    key_made_there_is_used_here,
    key_destroyed_there_is_refused_here,
    key_changed_there_is_changed_here,
    data_changed_there_is_changed_here,
    session_objects_are_not_seen_there,
    login_here_is_no_login_there,
    pin_changed_there_counts_here
        softhsm2: departs("got CKR_OK", "SoftHSM2 keeps the old PIN in memory"),
    token_made_there_appears_here
        softhsm2: departs("left: 2", "SoftHSM2 reads its directory at the start"),
    token_made_anew_there_is_new_here
        softhsm2: departs("got CKR_OK", "SoftHSM2 keeps the old PIN in memory"),
    killed_process_loses_nothing_acknowledged
        softhsm2: unasked("a kill tears SoftHSM2's keys in some runs and not in others"),
    files_show_no_secret_and_no_private_object
        softhsm2: departs("is readable", "SoftHSM2 writes public keys in the clear"),
    files_are_the_owners_alone,
    second_copy_of_the_module_touches_no_token,
    token_whose_files_vanish_is_an_error,
    token_destroyed_there_is_gone_here
        softhsm2: unasked("SoftHSM2 deletes no token that is in use"),
    root_key_replaced_there_is_followed_here
        softhsm2: unasked("SoftHSM2 never replaces a token's keys"),
    child_of_fork_must_initialise
        softhsm2: departs("CKR_CRYPTOKI_NOT_INITIALIZED", "SoftHSM2's child goes on with what it inherits"),
    child_of_fork_can_initialise_and_the_parent_goes_on
        softhsm2: departs("CKR_CRYPTOKI_ALREADY_INITIALIZED", "SoftHSM2's child is initialised by inheritance"),
    child_of_fork_can_initialise_where_a_token_is_made_at_the_start
        softhsm2: unasked("SoftHSM2 makes no token at its start"),
    child_of_fork_ends_without_harm,
}

const HMAC: CK_MECHANISM_TYPE = CKM_SHA256_HMAC;

fn key(label: &str) -> Template {
    template![
        CKA_CLASS => CKO_SECRET_KEY,
        CKA_KEY_TYPE => CKK_GENERIC_SECRET,
        CKA_TOKEN => true,
        CKA_LABEL => label,
        CKA_SIGN => true,
        CKA_VERIFY => true,
        CKA_VALUE => [7; 64],
    ]
}

/// The only object with this label.
#[track_caller]
fn named(s: &Session<'_>, label: &str) -> CK_OBJECT_HANDLE {
    let found = s.find(&template![CKA_LABEL => label]).unwrap();
    assert_eq!(found.len(), 1, "{label}");
    found[0]
}

fn restart(w: &World) -> Session<'_> {
    w.module().finalize().unwrap();
    w.start();
    w.user_again()
}

fn token_objects_outlive_finalise(w: &World) {
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    s.create(&public_token_data("data")).unwrap();
    let mac = s.mac(HMAC, key, b"text").unwrap();
    let s = restart(w);
    s.check(HMAC, named(&s, "key"), b"text", &mac).unwrap();
    assert_eq!(s.get(named(&s, "data"), CKA_VALUE).unwrap(), b"value");
    s.destroy(named(&s, "key")).unwrap();
    let s = restart(w);
    assert!(s.find(&template![CKA_LABEL => "key"]).unwrap().is_empty());
}

fn session_objects_do_not_outlive_finalise(w: &World) {
    let s = w.user();
    s.create(&key("key").without(CKA_TOKEN)).unwrap();
    s.create(&public_token_data("data").without(CKA_TOKEN)).unwrap();
    assert!(restart(w).find(&template![]).unwrap().is_empty());
}

/// Every attribute of a key, from one start to the next.
fn attributes_outlive_finalise(w: &World) {
    let all = [&KEY_ATTRIBUTES[..], &[CKA_ALLOWED_MECHANISMS]].concat();
    let s = w.user();
    let template = key("key").and(&template![
        CKA_ID => [1, 2],
        CKA_DERIVE => true,
        CKA_COPYABLE => false,
        CKA_ALLOWED_MECHANISMS => mechanism_list(&[HMAC]),
    ]);
    let made = s.create(&template).unwrap();
    let generated = template![
        CKA_VALUE_LEN => 48,
        CKA_TOKEN => true,
        CKA_LABEL => "generated",
        CKA_VERIFY => false,
    ];
    let generated = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &generated).unwrap();
    let read = |s: &Session<'_>, object| -> Vec<_> {
        all.iter().map(|attribute| s.get(object, *attribute)).collect()
    };
    let before = [read(&s, made), read(&s, generated)];
    let s = restart(w);
    assert_eq!([read(&s, named(&s, "key")), read(&s, named(&s, "generated"))], before);
}

fn key_made_here_is_used_there(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.user_again();
        let mac: Vec<u8> = w.hear().split(' ').map(|byte| byte.parse().unwrap()).collect();
        s.check(HMAC, named(&s, "key"), b"text", &mac).unwrap();
        return;
    }
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    let mac: Vec<String> = s.mac(HMAC, key, b"text").unwrap().iter().map(u8::to_string).collect();
    let mut other = w.other("verifies");
    other.say(&mac.join(" "));
    other.join();
}

/// The first process is logged in already, and finds what came later.
fn key_made_there_is_used_here(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.user_again();
        s.create(&key("key")).unwrap();
        s.create(&public_token_data("data")).unwrap();
        return;
    }
    let s = w.user();
    assert!(s.find(&template![]).unwrap().is_empty());
    w.other("makes").join();
    s.mac(HMAC, named(&s, "key"), b"text").unwrap();
    assert_eq!(s.get(named(&s, "data"), CKA_VALUE).unwrap(), b"value");
}

/// Design §3: "refused by every other at the next …Init", although it was in
/// use here a moment ago.
fn key_destroyed_there_is_refused_here(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.user_again();
        s.destroy(named(&s, "key")).unwrap();
        return;
    }
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    s.mac(HMAC, key, b"text").unwrap();
    w.other("destroys").join();
    let no_key = [CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];
    refused_any(s.sign_init(HMAC, key), &no_key);
    refused_any(s.verify_init(HMAC, key), &no_key);
    refused(s.get(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    assert!(s.find(&template![]).unwrap().is_empty());
}

fn key_changed_there_is_changed_here(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.user_again();
        let key = named(&s, "key");
        s.set(key, &template![CKA_SIGN => false, CKA_LABEL => "renamed"]).unwrap();
        return;
    }
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, key, b"text").unwrap();
    w.other("changes").join();
    refused(s.sign_init(HMAC, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    s.check(HMAC, key, b"text", &mac).unwrap();
    assert_eq!(s.get(key, CKA_LABEL).unwrap(), b"renamed");
    assert_eq!(named(&s, "renamed"), key);
    assert!(s.find(&template![CKA_LABEL => "key"]).unwrap().is_empty());
}

/// Public objects reach public sessions.
fn data_changed_there_is_changed_here(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        s.set(named(&s, "changed"), &template![CKA_LABEL => "renamed"]).unwrap();
        s.destroy(named(&s, "destroyed")).unwrap();
        return;
    }
    let s = w.open(w.token(), RW);
    let changed = s.create(&public_token_data("changed")).unwrap();
    let destroyed = s.create(&public_token_data("destroyed")).unwrap();
    w.other("changes").join();
    assert_eq!(s.get(changed, CKA_LABEL).unwrap(), b"renamed");
    refused(s.get(destroyed, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
}

fn session_objects_are_not_seen_there(w: &World) {
    if w.part().is_some() {
        w.start();
        assert!(w.user_again().find(&template![]).unwrap().is_empty());
        return;
    }
    let s = w.user();
    s.create(&key("key").without(CKA_TOKEN)).unwrap();
    s.create(&public_token_data("data").without(CKA_TOKEN)).unwrap();
    w.other("looks").join();
}

/// PKCS#11 UG §2.5: a login is an application's.
fn login_here_is_no_login_there(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.open(w.known_token(), RW);
        assert_eq!(s.state(), CKS_RW_PUBLIC_SESSION);
        assert!(s.find(&template![]).unwrap().is_empty());
        s.login(CKU_SO, SO_PIN).unwrap();
        return;
    }
    let s = w.user();
    s.create(&key("key").with(CKA_PRIVATE, true)).unwrap();
    w.other("looks").join();
    assert_eq!(s.state(), CKS_RW_USER_FUNCTIONS);
}

fn pin_changed_there_counts_here(w: &World) {
    if w.part().is_some() {
        w.start();
        w.user_again().set_pin(USER_PIN, "changed-pin").unwrap();
        return;
    }
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    w.other("changes the PIN").join();
    // Who is logged in stays so.
    s.mac(HMAC, key, b"text").unwrap();
    s.logout().unwrap();
    refused(s.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
    s.login(CKU_USER, "changed-pin").unwrap();
    s.mac(HMAC, named(&s, "key"), b"text").unwrap();
}

/// Design §3: "so that new tokens appear".
fn token_made_there_appears_here(w: &World) {
    if w.part().is_some() {
        w.start();
        w.make_token("newcomer");
        return;
    }
    let slot = w.token();
    w.other("makes a token").join();
    assert_eq!(w.module().slots(true).unwrap().len(), 3);
    let newcomer = w.module().slot_of("newcomer");
    assert_ne!(newcomer, slot);
    w.open(newcomer, RW).login(CKU_SO, SO_PIN).unwrap();
}

fn token_made_anew_there_is_new_here(w: &World) {
    if w.part().is_some() {
        w.start();
        w.module().init_token(w.known_token(), SO_PIN, "anew").unwrap();
        return;
    }
    let s = w.user();
    s.create(&key("key")).unwrap();
    s.create(&public_token_data("data")).unwrap();
    w.module().close_all(s.slot).unwrap();
    w.other("initialises").join();
    let info = w.module().token_info(s.slot).unwrap();
    assert_eq!(&info.label[..5], b"anew ");
    assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
    let s = w.open(s.slot, RW);
    assert!(s.find(&template![]).unwrap().is_empty());
    refused(s.login(CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
}

/// CKR_OK is a promise: a kill right after it takes nothing back.
fn killed_process_loses_nothing_acknowledged(w: &World) {
    if w.part().is_some() {
        w.start();
        let s = w.user_again();
        for number in 0.. {
            s.create(&key(&format!("key {number}"))).unwrap();
            w.say(&number.to_string());
        }
    }
    let s = w.user();
    let mut acknowledged = 0;
    for round in 0..5 {
        let mut other = w.other("makes keys until killed");
        for number in 0..10 {
            assert_eq!(other.hear(), number.to_string());
        }
        other.kill();
        let keys = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap();
        assert!(keys.len() >= acknowledged + 10, "round {round}: {}", keys.len());
        for key in &keys {
            s.mac(HMAC, *key, b"text").unwrap();
        }
        acknowledged = keys.len();
    }
}

/// Every file below a directory.
fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Design §3: sealed are values always, and everything of a private object.
fn files_show_no_secret_and_no_private_object(w: &World) {
    let s = w.user();
    let secret: Vec<u8> = (0..64).map(|byte: u8| byte.wrapping_mul(37) ^ 0xA5).collect();
    let hidden = "Kennwort-Schublade";
    for (private, token) in [(true, true), (false, true), (true, false)] {
        // What is public may be seen: all of it but a secret key's value.
        let made = key(if private { hidden } else { "public" }).without(CKA_TOKEN);
        let made = made.without(CKA_VALUE).with(CKA_VALUE, &secret);
        s.create(&made.and(&template![CKA_PRIVATE => private, CKA_TOKEN => token])).unwrap();
    }
    let made = public_token_data(hidden).without(CKA_PRIVATE).with(CKA_PRIVATE, true);
    s.create(&made.without(CKA_VALUE).with(CKA_VALUE, &secret)).unwrap();
    let key = s.find(&template![CKA_CLASS => CKO_SECRET_KEY]).unwrap()[0];
    s.mac(HMAC, key, b"text").unwrap();
    let look = || {
        let all = files(w.directory());
        assert!(all.len() > 1, "no files to look at");
        for file in all {
            let content = fs::read(&file).unwrap();
            let shows = |what: &[u8]| content.windows(what.len()).any(|window| window == what);
            for piece in secret.chunks(16) {
                assert!(!shows(piece), "a value is readable in {}", file.display());
            }
            for text in [hidden, USER_PIN, SO_PIN] {
                assert!(!shows(text.as_bytes()), "{text} is readable in {}", file.display());
            }
        }
    };
    look();
    w.module().finalize().unwrap();
    look();
}

/// Design §3: "files 0600 in a 0700 directory".
fn files_are_the_owners_alone(w: &World) {
    let s = w.user();
    s.create(&key("key")).unwrap();
    let tokens = w.directory().join("tokens");
    let all = files(&tokens);
    assert!(!all.is_empty());
    for file in all {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
        let parent = file.parent().unwrap();
        if parent != tokens {
            let mode = fs::metadata(parent).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", parent.display());
        }
    }
}

/// Design §3: two copies "would void POSIX locks: detected and refused"; the
/// first copy goes on.
fn second_copy_of_the_module_touches_no_token(w: &World) {
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    let copy = w.directory().join("copy.so");
    fs::copy(w.module_path(), &copy).unwrap();
    let copy = Module::load(&copy);
    // Whether the module or the token is refused is the module's choice.
    if copy.initialize().is_ok() {
        let opened = Session::open(&copy, s.slot, RW).and_then(|session| {
            session.login(CKU_USER, USER_PIN)?;
            session.create(&public_token_data("data"))
        });
        refused_somehow(opened);
    }
    s.mac(HMAC, key, b"text").unwrap();
    assert_eq!(s.find(&template![]).unwrap(), [key]);
    s.create(&public_token_data("data")).unwrap();
}

/// Somebody cleans up under the module's feet: what could not be kept is refused,
/// nothing crashes, and a new token can be made.
fn token_whose_files_vanish_is_an_error(w: &World) {
    let s = w.user();
    s.create(&key("key")).unwrap();
    for entry in fs::read_dir(w.directory().join("tokens")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    let _ = s.find(&template![]).map(|found| found.len());
    refused_somehow(s.set_pin(USER_PIN, "changed-pin"));
    refused_somehow(s.create(&public_token_data("lost")));
    let lost = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true];
    refused_somehow(s.generate(CKM_GENERIC_SECRET_KEY_GEN, &lost));
    let _ = s.logout();
    w.module().finalize().unwrap();
    w.start();
    assert_eq!(w.module().slots(true).unwrap().len(), 1);
    w.make_token("new");
    w.module().slot_of("new");
}

/// Runs `signet` on the tokens of the case.
pub fn administer(w: &World, arguments: &[&str]) {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(arguments)
        .env_remove("SIGNET_CONF")
        .env("SIGNET_TOKENDIR", w.directory().join("tokens"))
        .env("SIGNET_PIN", USER_PIN)
        .env("SIGNET_SO_PIN", SO_PIN)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// PKCS#11 v3.2 §5.1.2: the token is not in its slot any more. Its place is free.
fn token_destroyed_there_is_gone_here(w: &World) {
    let s = w.user();
    let one = s.create(&key("key")).unwrap();
    s.mac(HMAC, one, b"text").unwrap();
    administer(w, &["token", "zeroize", "behaviour", "--yes"]);
    refused(s.sign_init(HMAC, one), CKR_TOKEN_NOT_PRESENT);
    refused(s.find(&template![]), CKR_TOKEN_NOT_PRESENT);
    refused(s.create(&key("lost")), CKR_TOKEN_NOT_PRESENT);
    refused(s.set_pin(USER_PIN, "changed-pin"), CKR_TOKEN_NOT_PRESENT);
    refused(s.another(RW), CKR_TOKEN_NOT_PRESENT);
    s.close().unwrap();
    assert_eq!(w.module().slots(true).unwrap().len(), 1, "the empty one");
    w.make_token("new");
    assert_eq!(w.module().slot_of("new"), s.slot);
}

/// Programs that are logged in need no PIN for it and see nothing of it.
fn root_key_replaced_there_is_followed_here(w: &World) {
    let s = w.user();
    let one = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, one, b"text").unwrap();
    for _ in 0..3 {
        administer(w, &["token", "rotate-root-key", "behaviour"]);
        assert_eq!(s.mac(HMAC, one, b"text").unwrap(), mac);
        let made = s.create(&key("made since")).unwrap();
        s.mac(HMAC, made, b"text").unwrap();
        s.destroy(made).unwrap();
    }
    s.logout().unwrap();
    s.login(CKU_USER, USER_PIN).unwrap();
    assert_eq!(s.mac(HMAC, named(&s, "key"), b"text").unwrap(), mac);
}

/// Runs a function in a fork; what it panics with is this process's failure.
fn in_child(child: impl FnOnce()) {
    // SAFETY: the process has one thread, and the child leaves by _exit.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let ended = catch_unwind(AssertUnwindSafe(child));
            let _ = std::io::stderr().flush();
            // SAFETY: ends the process without the parent's exit handlers.
            unsafe { nix::libc::_exit(i32::from(ended.is_err())) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).expect("waitpid") {
            WaitStatus::Exited(_, 0) => {}
            other => panic!("the child of fork: {other:?}"),
        },
    }
}

/// PKCS#11 UG §2.6; design §8: "the child is told CKR_CRYPTOKI_NOT_INITIALIZED".
fn child_of_fork_must_initialise(w: &World) {
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    s.sign_init(HMAC, key).unwrap();
    in_child(|| {
        refused(w.module().slots(true), CKR_CRYPTOKI_NOT_INITIALIZED);
        refused(s.info(), CKR_CRYPTOKI_NOT_INITIALIZED);
        refused(s.sign(b"text"), CKR_CRYPTOKI_NOT_INITIALIZED);
        refused(s.random(8), CKR_CRYPTOKI_NOT_INITIALIZED);
        refused(w.module().finalize(), CKR_CRYPTOKI_NOT_INITIALIZED);
    });
    s.sign(b"text").unwrap();
}

/// The issue: "After fork, C_Initialize in the child works".
fn child_of_fork_can_initialise_and_the_parent_goes_on(w: &World) {
    let s = w.user();
    let key = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, key, b"text").unwrap();
    s.sign_init(HMAC, key).unwrap();
    s.sign_update(b"te").unwrap();
    in_child(|| {
        w.start();
        refused(s.info(), CKR_SESSION_HANDLE_INVALID);
        let s = w.user_again();
        s.check(HMAC, named(&s, "key"), b"text", &mac).unwrap();
        let made = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_LABEL => "child's"];
        s.generate(CKM_GENERIC_SECRET_KEY_GEN, &made).unwrap();
        w.module().finalize().unwrap();
    });
    s.sign_update(b"xt").unwrap();
    assert_eq!(s.sign_final().unwrap(), mac);
    s.mac(HMAC, named(&s, "child's"), b"text").unwrap();
    // Each has written a segment of the audit trail of its own, and neither that of the other.
    s.create(&public_token_data("more")).unwrap();
    administer(w, &["audit", "verify", "behaviour"]);
}

/// The child looks for the token to be made, and so opens what the parent has open.
fn child_of_fork_can_initialise_where_a_token_is_made_at_the_start(w: &World) {
    for (name, value) in [
        ("SIGNET_AUTO_INIT_LABEL", "behaviour"),
        ("SIGNET_AUTO_INIT_SO_PIN", SO_PIN),
        ("SIGNET_AUTO_INIT_USER_PIN", USER_PIN),
    ] {
        // SAFETY: the process has one thread.
        unsafe { std::env::set_var(name, value) };
    }
    w.start();
    let s = w.user_again();
    let made = s.create(&key("key")).unwrap();
    let mac = s.mac(HMAC, made, b"text").unwrap();
    in_child(|| {
        w.start();
        let s = w.user_again();
        assert_eq!(s.mac(HMAC, named(&s, "key"), b"text").unwrap(), mac);
        w.module().finalize().unwrap();
    });
    assert_eq!(s.mac(HMAC, made, b"text").unwrap(), mac);
}

/// A child that never touches the module (and most do not) disturbs nobody.
fn child_of_fork_ends_without_harm(w: &World) {
    let s = w.user();
    for _ in 0..10 {
        in_child(|| {});
    }
    let key = s.create(&key("key")).unwrap();
    s.mac(HMAC, key, b"text").unwrap();
}
