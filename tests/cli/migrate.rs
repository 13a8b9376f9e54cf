//! Taking over SoftHSM2's tokens, made with the programs that Debian has for it.

use super::place::*;
use crate::paths::softhsm2_module;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// SoftHSM2 beside a place of Signet's.
struct Source<'p>(&'p Place);

impl Source<'_> {
    fn tokens(&self) -> PathBuf {
        self.0.path().join("softhsm2")
    }

    /// Its token directory, as an argument.
    fn argument(&self) -> String {
        self.tokens().to_str().unwrap().to_owned()
    }

    /// Runs a program of SoftHSM2's.
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let configuration = self.0.path().join("softhsm2.conf");
        let mut command = Command::new(program);
        command.args(arguments).env("SOFTHSM2_CONF", configuration).current_dir(self.0.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {:?}", texts(&output));
        output.stdout
    }

    /// Makes a token; its directory.
    fn token(&self, label: &str) -> PathBuf {
        let tokens = self.tokens();
        fs::create_dir_all(&tokens).unwrap();
        let entries = || -> Vec<_> {
            fs::read_dir(&tokens).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let lines = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        self.0.file("softhsm2.conf", lines);
        let before = entries();
        let init =
            ["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN];
        self.run("softhsm2-util", &init);
        entries().into_iter().find(|path| !before.contains(path)).unwrap()
    }

    fn tool(&self, token: &str, arguments: &[&str]) -> Vec<u8> {
        let module = softhsm2_module();
        let common =
            ["--module", module.to_str().unwrap(), "--token-label", token, "--login", "--pin", PIN];
        self.run("pkcs11-tool", &[&common, arguments].concat())
    }

    fn key(&self, token: &str, label: &str, id: &str) {
        let key = ["--keygen", "--key-type", "GENERIC:64", "--usage-sign", "--label", label];
        self.tool(token, &[&key[..], &["--id", id]].concat());
    }

    /// A token with a key and a data object, which is all that it has.
    fn with_token(place: &Place) -> Source<'_> {
        let source = Source(place);
        source.token("source");
        source.key("source", "webhooks", "01");
        let file = place.file("data", "content");
        source.tool("source", &["--write-object", &file, "--type", "data", "--label", "settings"]);
        source
    }
}

/// Every file of a directory, with what is in it.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut content = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            content.append(&mut self::content(&path));
        } else {
            content.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    content
}

#[test]
fn a_token_of_softhsm2_moves_in_with_its_macs() {
    let place = Place::new();
    let source = Source::with_token(&place);
    let message = place.file("message", "a message");
    let made = |mechanism: &str| {
        let mac = place.path().join("mac");
        let sign = ["--sign", "--mechanism", mechanism, "--label", "webhooks"];
        let files = ["--input-file", &*message, "--output-file", mac.to_str().unwrap()];
        source.tool("source", &[&sign[..], &files].concat());
        let digits = fs::read(mac).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let digits: String = digits;
        digits + "\n"
    };
    let macs = [("SHA-256", made("SHA256-HMAC")), ("SHA-512", made("SHA512-HMAC"))];
    let before = content(&source.tokens());

    let migrate = ["migrate", "softhsm2", &source.argument()];
    let dry = place.says(&[&migrate[..], &["--dry-run"]].concat(), "would be made, with 1 key and");
    for line in [
        "  CKO_SECRET_KEY  CKK_GENERIC_SECRET  id 01  label \"webhooks\"  (",
        "  CKO_DATA  label \"settings\"  (",
    ] {
        assert!(dry.contains(line), "{dry}");
    }
    place.says(&["token", "list"], "No tokens in");
    let made = "Token \"source\" made in slot 0, with 1 key and 1 data object.\n";
    assert_eq!(place.says(&migrate, made), made);
    place.says(&["token", "show", "source"], "user PIN:              set\n");
    let list = place.says(&["key", "list", "--token", "source"], "id 01  label \"webhooks\"");
    assert_eq!(list.lines().count(), 1, "{list}");
    for (hash, mac) in macs {
        let sign = ["mac", "sign", "--token", "source", "--key", "webhooks", "--hash", hash];
        assert_eq!(place.says(&[&sign[..], &[&message]].concat(), ""), mac);
    }
    assert_eq!(content(&source.tokens()), before, "the source was written to");
    place.fails(
        &migrate,
        1,
        "\"source\": slot 0 holds a token labelled \"source\" already; --label",
    );
    place.says(&[&migrate[..], &["--label", "copy"]].concat(), "Token \"copy\" made in slot 1");
}

#[test]
fn what_signet_cannot_hold_is_named_and_keeps_nobody_from_the_rest() {
    let place = Place::new();
    let source = Source::with_token(&place);
    for key in [["RSA:2048", "an RSA key", "0a"], ["AES:32", "an AES key", "0b"]] {
        let [kind, label, id] = key;
        let generate = if kind.starts_with("RSA") { "--keypairgen" } else { "--keygen" };
        source.tool("source", &[generate, "--key-type", kind, "--label", label, "--id", id]);
    }
    let migrate = ["migrate", "softhsm2", &source.argument()];
    let output = place.run(&migrate);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert_eq!(out, "Token \"source\" made in slot 0, with 1 key and 1 data object.\n");
    for (name, why) in [
        ("CKO_PRIVATE_KEY  CKK_RSA  id 0a  label \"an RSA key\"", "no objects of this class"),
        ("CKO_PUBLIC_KEY  CKK_RSA  id 0a  label \"an RSA key\"", "no objects of this class"),
        ("CKO_SECRET_KEY  CKK_AES  id 0b  label \"an AES key\"", "no keys of this type"),
    ] {
        let named =
            |line: &&str| line.contains(name) && line.ends_with(&format!("Signet holds {why}"));
        assert_eq!(err.lines().filter(named).count(), 1, "{err}");
    }
    assert!(err.ends_with("signet: left behind: 3 objects\n"), "{err}");
    assert_eq!(err.lines().count(), 4, "{err}");
    place.says(&["key", "list", "--token", "source"], "webhooks");
}

#[test]
fn one_of_several_tokens_is_chosen_and_the_others_fail_alone() {
    let place = Place::new();
    let source = Source::with_token(&place);
    let second = source.token("second");
    source.key("second", "b", "02");
    let broken = source.token("broken");
    fs::write(broken.join("token.object"), "too short").unwrap();
    symlink(&second, source.tokens().join("zz")).unwrap();
    // Signet's own tokens may lie there too, and other things.
    fs::create_dir(source.tokens().join("slot-0")).unwrap();
    fs::write(source.tokens().join("README"), "").unwrap();

    let tokens = source.argument();
    let migrate = ["migrate", "softhsm2", &tokens];
    let with = |more: &[&'static str]| [&migrate[..], more].concat();
    place.fails(&with(&["--token", "third"]), 1, "softhsm2 is labelled \"third\"");
    place.fails(&with(&["--label", "new"]), 1, "holds 4 tokens, --label is for one: choose with");
    let one = place.says(&with(&["--token", "second", "--label", "new"]), "Token \"new\" made");
    assert_eq!(one.lines().count(), 1, "{one}");

    let output = place.run(&migrate);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(out.contains("Token \"source\" made in slot"), "{out}");
    assert!(out.contains("Token \"second\" made in slot"), "{out}");
    for named in [
        "token.object is damaged: it is cut short or was edited",
        "zz: it is a symbolic link",
        "signet: not taken over: 2 tokens\n",
    ] {
        assert!(err.contains(named), "{err}");
    }
    // Again: what was made is there, and what was not is still not.
    place.fails(&migrate, 1, "signet: not taken over: 4 tokens\n");
    place.says(&["migrate", "softhsm2", second.to_str().unwrap(), "--label", "x"], "with 1 key");
    let twin = second.with_file_name("twin");
    fs::create_dir(&twin).unwrap();
    for (path, bytes) in content(&second) {
        fs::write(twin.join(path.file_name().unwrap()), bytes).unwrap();
    }
    place.fails(&with(&["--token", "second"]), 1, "are labelled \"second\": name the directory");
    place.says(&["migrate", "softhsm2", twin.to_str().unwrap(), "--label", "y"], "with 1 key");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_made() {
    let place = Place::new();
    let source = Source::with_token(&place);
    let tokens = source.argument();
    let migrate = ["migrate", "softhsm2", &tokens];
    let wrong = place.run_with(&migrate, Some("4321"), b"");
    fails(&wrong, 1, &format!("wrong PIN of \"source\" in {tokens}"));
    let short = place.file("so-pin", "123\n");
    let with = |more: &[&str]| {
        let all: Vec<_> = migrate.iter().chain(more).map(|&argument| argument.to_owned()).collect();
        all
    };
    for (more, why) in [
        (["--so-pin-file", &short], "a PIN has 4 to 255 bytes"),
        (["--so-pin-file", "/nonexistent"], "/nonexistent: No such file"),
        (["--label", "a label that is longer than 32 bytes"], "a label has 1 to 32 bytes"),
        (["--label", ""], "a label has 1 to 32 bytes"),
    ] {
        let arguments = with(&more);
        place.fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 1, why);
    }
    let missing = place.path().join("none");
    let missing = missing.to_str().unwrap();
    place.fails(&["migrate", "softhsm2", missing], 1, &format!("{missing}: list: No such file"));
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    place.fails(&["migrate", "softhsm2", empty], 1, "there is no SoftHSM2 token in");
    place.fails(&["migrate", "softhsm2", &short], 1, "list: Not a directory");
    place.says(&["token", "list"], "No tokens in");
}

/// Killed at whatever moment, it has made the whole token or nothing, and can be run
/// again.
#[test]
fn a_killed_migration_leaves_nothing_or_a_whole_token() {
    let place = Place::new();
    let source = Source(&place);
    let token = source.token("source");
    for number in 0..3 {
        source.key("source", &format!("key {number}"), "01");
    }
    // As many objects as make it last: copies of three.
    for (path, bytes) in content(&token) {
        if path.extension().is_some_and(|end| end == "object") && !path.ends_with("token.object") {
            for copy in 0..100 {
                let name = path.file_stem().unwrap().to_str().unwrap();
                fs::write(path.with_file_name(format!("{name}-{copy}.object")), &bytes).unwrap();
            }
        }
    }
    let tokens = source.argument();
    let migrate = ["migrate", "softhsm2", &tokens];
    // Each is killed when it has come to one of these.
    let signet = place.path().join("tokens");
    for sight in
        ["", "signet.lock", ".slot-0.new", ".slot-0.new/token.db", ".slot-0.new/token.db-wal"]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
            .args(migrate)
            .env_clear()
            .env("SIGNET_TOKENDIR", &signet)
            .env("SIGNET_PIN", PIN)
            .env("SIGNET_SO_PIN", "12345678")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !signet.join(sight).exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if signet.join("slot-0").exists() {
            let list = place.says(&["key", "list", "--token", "source"], "key 1");
            assert_eq!(list.lines().count(), 303, "{sight}");
            fs::remove_dir_all(&signet).unwrap();
        } else {
            place.says(&["token", "list"], "No tokens in");
        }
    }
    place.says(&migrate, "with 303 keys and 0 data objects");
    let left: Vec<_> = fs::read_dir(&signet).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{left:?}");
}
