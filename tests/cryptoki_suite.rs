//! The test suite that the crate `cryptoki` publishes with its source, run on
//! our module, and on SoftHSM2 as a reference.
//!
//! The suite excuses a module whose path contains `softhsm` or `kryoptic` from
//! many of its checks; ours runs under a path that contains neither. Every test
//! runs in a process and on a token directory of its own, so that one failure
//! does not spoil the next test. What must not pass here, and why, stands in the
//! tables below; everything else must.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/client.rs"]
mod client;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use client::{Client, signet_module, softhsm2_module};

/// A test that uses a mechanism or an object that Signet does not offer: its
/// name, what it uses, and the function that must refuse that.
type NotOffered = (&'static str, &'static str, &'static str);

/// These must fail, in the named function and nowhere else.
const NOT_OFFERED: &[NotOffered] = &[
    ("basic::aes_cbc_encrypt", "CKK_AES", "CreateObject"),
    ("basic::aes_cbc_pad_encrypt", "CKK_AES", "CreateObject"),
    ("basic::aes_cmac_sign", "CKK_AES", "CreateObject"),
    ("basic::aes_cmac_verify", "CKK_AES", "CreateObject"),
    ("basic::aes_gcm_no_aad", "CKK_AES", "CreateObject"),
    ("basic::aes_gcm_with_aad", "CKK_AES", "CreateObject"),
    ("basic::aes_key_attributes_test", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::derive_key", "CKM_EC_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::derive_key_concatenation_key_and_data", "CKM_CONCATENATE_BASE_AND_DATA", "DeriveKey"),
    ("basic::derive_key_concatenation_two_keys", "CKM_CONCATENATE_BASE_AND_KEY", "DeriveKey"),
    ("basic::derive_key_extract_from_key", "CKM_EXTRACT_KEY_FROM_KEY", "DeriveKey"),
    ("basic::derive_key_sp800", "CKK_EC_MONTGOMERY", "CreateObject"),
    ("basic::derive_key_xor_key_and_data", "CKM_XOR_BASE_AND_DATA", "DeriveKey"),
    ("basic::ekdf_aes_cbc_encrypt_data", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::encrypt_decrypt", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::encrypt_decrypt_gcm_message_no_aad", "CKK_AES", "CreateObject"),
    ("basic::encrypt_decrypt_gcm_message_with_aad", "CKK_AES", "CreateObject"),
    ("basic::encrypt_decrypt_multipart", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::encrypt_decrypt_multipart_already_initialized", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::get_attribute_info_test", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::get_attributes_test", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::import_export", "CKO_PUBLIC_KEY", "CreateObject"),
    ("basic::kbkdf_additional_keys_counter_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_additional_keys_double_pipeline_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_additional_keys_feedback_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_counter_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_double_pipeline_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_feedback_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_invalid_data_params_counter_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::kbkdf_invalid_data_params_feedback_mode", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::object_handle_new_from_raw", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::ro_rw_session_test", "CKO_PUBLIC_KEY", "CreateObject"),
    ("basic::rsa_pkcs_oaep_empty", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::rsa_pkcs_oaep_with_data", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::session_copy_object", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::session_find_objects", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::session_objecthandle_iterator", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::sha256_digest_multipart_with_key", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::sign_verify", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::sign_verify_eddsa", "CKM_EC_EDWARDS_KEY_PAIR_GEN", "GenerateKeyPair"),
    (
        "basic::sign_verify_eddsa_with_ed25519_schemes",
        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
        "GenerateKeyPair",
    ),
    (
        "basic::sign_verify_eddsa_with_ed448_schemes",
        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
        "GenerateKeyPair",
    ),
    ("basic::sign_verify_multipart", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    (
        "basic::sign_verify_multipart_already_initialized",
        "CKM_RSA_PKCS_KEY_PAIR_GEN",
        "GenerateKeyPair",
    ),
    ("basic::update_attributes_key", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("basic::wrap_and_unwrap_key", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("basic::wrap_and_unwrap_key_oaep", "CKM_AES_KEY_GEN", "GenerateKey"),
    ("doc::src/lib.rs", "CKM_RSA_PKCS_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("ml_dsa::ml_dsa", "CKM_ML_DSA_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("ml_dsa::ml_dsa_hash", "CKM_ML_DSA_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("ml_dsa::ml_dsa_hashes", "CKM_ML_DSA_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("ml_dsa::ml_dsa_multipart", "CKM_ML_DSA_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("ml_kem::ml_kem", "CKM_ML_KEM_KEY_PAIR_GEN", "GenerateKeyPair"),
    ("wycheproof::aes_gcm_message_wycheproof", "CKK_AES", "CreateObject"),
    ("wycheproof::aes_gcm_wycheproof", "CKK_AES", "CreateObject"),
];

/// These pass without having tried anything: the test, why, and what it prints
/// then.
const VACUOUS: &[(&str, &str, &str)] = &[
    ("basic::kbkdf_invalid_data_params_double_pipeline_mode", "returns at once, always", ""),
    ("slh_dsa::slh_dsa", "returns without CKM_SLH_DSA_KEY_PAIR_GEN", "SKIP"),
    ("slh_dsa::slh_dsa_hash", "returns without CKM_SLH_DSA_KEY_PAIR_GEN", "SKIP"),
    ("slh_dsa::slh_dsa_hashes", "returns without CKM_SLH_DSA_KEY_PAIR_GEN", "SKIP"),
    ("slh_dsa::slh_dsa_multipart", "returns without CKM_SLH_DSA_KEY_PAIR_GEN", "SKIP"),
];

/// These must fail because the suite asks for something else than the standard.
const DEPARTURES: &[(&str, &str)] = &[
    (
        "basic::get_slot_event",
        "expects every module but SoftHSM2 to fail; C_WaitForSlotEvent with CKF_DONT_BLOCK \
         answers CKR_NO_EVENT (PKCS#11 v3.2 §5.5.4), which the crate reports as success",
    ),
    (
        "basic::unique_id",
        "expects CKR_ATTRIBUTE_TYPE_INVALID for CKA_UNIQUE_ID in a template; PKCS#11 v3.2 §4.5.1 \
         says CKR_ATTRIBUTE_READ_ONLY",
    ),
    (
        "basic::validation",
        "expects CKR_ATTRIBUTE_TYPE_INVALID for CKA_OBJECT_VALIDATION_FLAGS in a template; the \
         attribute is the standard's, and read-only: CKR_ATTRIBUTE_READ_ONLY (PKCS#11 v3.2 §4.1.1)",
    ),
];

/// Tests for which an AES key is just some secret key. They run once more with
/// a generic secret in its place, and must then pass.
const WITH_A_GENERIC_SECRET: &[&str] = &[
    "aes_key_attributes_test",
    "session_copy_object",
    "session_find_objects",
    "session_objecthandle_iterator",
    "sha256_digest_multipart_with_key",
];

/// The suite, compiled: each test's full name and the executable that has it.
struct Suite {
    source: PathBuf,
    tests: Vec<(String, PathBuf)>,
    ignored: Vec<String>,
}

/// How one test ended, and what it printed.
struct Run {
    passed: bool,
    output: String,
}

fn suite() -> &'static Suite {
    static SUITE: OnceLock<Suite> = OnceLock::new();
    SUITE.get_or_init(|| {
        let source = copy_of_the_source();
        let mut build = cargo(&source);
        build.args(["test", "--locked", "--no-run", "--message-format=json-render-diagnostics"]);
        let messages = output_of(&mut build);
        let mut suite = Suite { source, tests: Vec::new(), ignored: Vec::new() };
        for line in messages.lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(executable) = message["executable"].as_str() else { continue };
            if message["profile"]["test"] == false {
                continue;
            }
            let target = message["target"]["name"].as_str().unwrap();
            let full = |name: String| format!("{target}::{name}");
            suite.ignored.extend(listed(executable, "--ignored").into_iter().map(full));
            for name in listed(executable, "--include-ignored") {
                suite.tests.push((full(name), executable.into()));
            }
        }
        assert!(suite.tests.len() > 100, "only {} tests found", suite.tests.len());
        suite
    })
}

/// Copies the published package to where it may be built. What is there already
/// and the same is left alone, so that cargo need not build it again.
fn copy_of_the_source() -> PathBuf {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--format-version", "1"]);
    metadata.current_dir(env!("CARGO_MANIFEST_DIR"));
    let metadata: serde_json::Value = serde_json::from_str(&output_of(&mut metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "cryptoki").unwrap();
    let published = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();

    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cryptoki-suite");
    copy_tree(published, &copy);

    // A package of its own inside our target directory, with one more test.
    let adapted = "[[test]]\nname = \"adapted\"\npath = \"tests/adapted.rs\"\n";
    let manifest = fs::read_to_string(published.join("Cargo.toml")).unwrap();
    write(&copy.join("Cargo.toml"), format!("{manifest}\n{adapted}\n[workspace]\n").as_bytes());
    let basic = fs::read_to_string(published.join("tests/basic.rs")).unwrap();
    let generic = basic
        .replace("Mechanism::AesKeyGen", "Mechanism::GenericSecretKeyGen")
        .replace("KeyType::AES", "KeyType::GENERIC_SECRET");
    write(&copy.join("tests/adapted.rs"), generic.as_bytes());
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if entry.file_name() != "Cargo.toml" {
            write(&target, &fs::read(entry.path()).unwrap());
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return;
    }
    fs::write(path, bytes).unwrap();
}

/// Cargo in the copied package, building under our own target directory.
fn cargo(source: &Path) -> Command {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(source)
        .env("CARGO_TARGET_DIR", source.with_file_name("cryptoki-suite-target"))
        // As for any dependency: its lints are its own affair.
        .env("RUSTFLAGS", format!("{flags} --cap-lints=warn"));
    command
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn listed(executable: &str, which: &str) -> Vec<String> {
    let mut list = Command::new(executable);
    list.args(["--list", "--format=terse", which]);
    let lines = output_of(&mut list);
    lines.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect()
}

/// Tells the suite which module to load; the tokens are the client's own.
fn prepared(command: &mut Command, module: &Path) {
    command.env("TEST_PKCS11_MODULE", module).env("RUST_BACKTRACE", "0");
}

/// Runs the tests that `wanted` names on a module, as many at once as there are
/// processors.
fn run(
    module: &Path,
    client: fn(&Path) -> Client,
    wanted: impl Fn(&str) -> bool + Sync,
) -> BTreeMap<String, Run> {
    let tests: Vec<_> = suite().tests.iter().filter(|(name, _)| wanted(name)).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((name, executable)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let client = client(module);
            let mut test = client.command(executable);
            prepared(&mut test, module);
            let short = name.split_once("::").unwrap().1;
            test.args(["--exact", short, "--include-ignored", "--show-output"]);
            let output = test.output().unwrap();
            let printed = [output.stdout, output.stderr].concat();
            let output_text = String::from_utf8_lossy(&printed).into_owned();
            let run = Run { passed: output.status.success(), output: output_text };
            results.lock().unwrap().insert(name.clone(), run);
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap()
}

/// Runs the examples in the crate's documentation, which cargo compiles and
/// runs itself, one after the other on one token directory.
fn run_documentation(module: &Path, client: &Client) -> BTreeMap<String, Run> {
    // The examples expect the token that the suite's own tests leave behind.
    client.init_token("abcdef654321", "fedcba123456");
    let mut settings = client.command("true");
    prepared(&mut settings, module);
    let mut doc = cargo(&suite().source);
    doc.args(["test", "--locked", "--doc", "--", "--test-threads=1"]);
    for (name, value) in settings.get_envs() {
        match value {
            Some(value) => doc.env(name, value),
            None => doc.env_remove(name),
        };
    }
    let output = doc.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut runs = BTreeMap::new();
    for line in stdout.lines() {
        // "test src/lib.rs - (line 37) ... ok"; line numbers are not names.
        let Some((name, result)) =
            line.strip_prefix("test ").and_then(|line| line.split_once(" ... "))
        else {
            continue;
        };
        let name = name.split(" (line").next().unwrap().trim_end_matches([' ', '-']);
        let passed = result == "ok";
        runs.insert(format!("doc::{name}"), Run { passed, output: stdout.clone() });
    }
    assert!(runs.len() > 5, "no documentation tests:\n{stdout}{:?}", output.stderr);
    runs
}

fn is_adapted(name: &str) -> bool {
    name.starts_with("adapted::")
}

/// Our module under a path that the suite excuses nothing for.
fn plain_copy_of_ours() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("libsignet_pkcs11.so");
    fs::copy(signet_module(), &module).unwrap();
    let path = module.to_str().unwrap();
    for excuse in ["softhsm", "kryoptic"] {
        assert!(!path.contains(excuse), "{path} would excuse the module: set TMPDIR elsewhere");
    }
    (directory, module)
}

/// Keeps the complaints of a whole run, so that all are seen at once.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn note(&mut self, wrong: bool, name: &str, what: impl std::fmt::Display, run: &Run) {
        if wrong {
            self.0.push(format!("{name}: {what}\n{}", run.output));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} complaints:\n\n{}", self.0.len(), self.0.join("\n\n"));
    }
}

#[test]
fn every_test_passes_whose_mechanisms_are_offered() {
    let (_directory, module) = plain_copy_of_ours();
    let mut runs = run(&module, Client::with_signet, |name| !is_adapted(name));
    runs.extend(run_documentation(&module, &Client::with_signet(&module)));
    let mut complaints = Complaints::default();

    for (name, reason, function) in NOT_OFFERED {
        let run = runs.remove(*name).unwrap_or_else(|| panic!("the suite has no {name}"));
        complaints.note(run.passed, name, format!("passes without {reason}: unlist it"), &run);
        let elsewhere = !run.passed && !run.output.contains(function);
        complaints.note(elsewhere, name, format!("{reason} not refused by C_{function}"), &run);
    }
    for (name, reason) in DEPARTURES {
        let run = runs.remove(*name).unwrap_or_else(|| panic!("the suite has no {name}"));
        complaints.note(run.passed, name, format!("passes ({reason}): unlist it"), &run);
    }
    for (name, reason, prints) in VACUOUS {
        let run = runs.remove(*name).unwrap_or_else(|| panic!("the suite has no {name}"));
        let tried = !run.passed || !run.output.contains(prints);
        complaints.note(tried, name, format!("no longer {reason}: unlist it"), &run);
    }
    assert!(runs.len() >= 50, "only {} tests are left to pass", runs.len());
    for (name, run) in &runs {
        complaints.note(!run.passed, name, "fails", run);
        complaints.note(run.output.contains("SKIP"), name, "passes by skipping itself", run);
    }
    complaints.none();
}

#[test]
fn what_any_secret_key_can_do_a_generic_secret_can() {
    let (_directory, module) = plain_copy_of_ours();
    let wanted: Vec<String> =
        WITH_A_GENERIC_SECRET.iter().map(|name| format!("adapted::{name}")).collect();
    let runs = run(&module, Client::with_signet, |name| wanted.iter().any(|test| test == name));
    assert_eq!(runs.len(), wanted.len(), "{:?}", runs.keys());
    let mut complaints = Complaints::default();
    for (name, run) in &runs {
        complaints.note(!run.passed, name, "fails", run);
    }
    complaints.none();
}

#[test]
fn softhsm2_passes_the_suite_that_makes_excuses_for_it() {
    let ignored = &suite().ignored;
    let runs = run(&softhsm2_module(), Client::like_softhsm2, |name| {
        !is_adapted(name) && !ignored.iter().any(|test| test == name)
    });
    let mut complaints = Complaints::default();
    for (name, run) in &runs {
        complaints.note(!run.passed, name, "fails", run);
    }
    complaints.none();
}
