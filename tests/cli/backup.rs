//! Backups: made, listed, restored, handed from token to token.

use super::place::*;
use super::stored::stored;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PASSPHRASE: &str = "correct horse battery";

/// `signet` with the passphrase in its environment.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command.env("SIGNET_BACKUP_PASSPHRASE", PASSPHRASE);
    command
}

fn run(place: &Place, arguments: &[&str]) -> Output {
    fed(command(place, arguments), b"")
}

#[track_caller]
fn says(place: &Place, arguments: &[&str], expected: &str) -> String {
    let output = run(place, arguments);
    let (out, err) = texts(&output);
    assert!(output.status.success() && out.contains(expected), "{arguments:?}: {out}{err}");
    out
}

#[track_caller]
fn refused(place: &Place, arguments: &[&str], expected: &str) {
    fails(&run(place, arguments), 1, expected);
}

/// A path in the place's directory.
fn path(place: &Place, name: &str) -> String {
    place.path().join(name).to_str().unwrap().to_owned()
}

fn create<'a>(file: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["backup", "create", "--token", "demo", file], rest].concat()
}

/// What a key makes of a message.
fn mac(place: &Place, token: &str, key: &str) -> String {
    let sign = ["mac", "sign", "--token", token, "--key", key];
    let output = place.run_with(&sign, Some(PIN), b"a message");
    assert!(output.status.success(), "{:?}", texts(&output));
    texts(&output).0
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_token_is_backed_up_verified_and_restored_as_another() {
    let place = stored("store-1");
    let file = path(&place, "backup");
    let made = "Backed up 7 objects of \"fixture-1\"";
    says(&place, &["backup", "create", "--token", "fixture-1", &file], made);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names(place.path()), ["backup", "tokens"]);

    let list = says(&place, &["backup", "verify", &file], "The backup is whole.");
    assert!(list.contains("4 keys, 3 data objects"), "{list}");
    assert!(list.contains("unreadable  id 04  label \"cards\"  public\n"), "{list}");
    assert!(list.contains("label \"unbound\"  public  open to change by all\n"), "{list}");
    assert!(list.contains("label \"bound\"  public\n"), "{list}");
    refused(&place, &["backup", "restore", &file], "\"fixture-1\" already; --label names another");

    let restore = ["backup", "restore", &file, "--label", "restored"];
    says(&place, &restore, "Token \"restored\" made in slot 1 with 7 objects of \"fixture-1\"");
    for label in ["invoices", "cards"] {
        assert_eq!(mac(&place, "restored", label), mac(&place, "fixture-1", label));
    }
    let keys = |token| place.says(&["key", "list", "--token", token], "");
    assert_eq!(keys("restored"), keys("fixture-1"), "unique ids and attributes");
    let serial = |token: &str| {
        let shown = place.says(&["token", "show", token], "serial");
        shown.lines().find(|line| line.starts_with("serial")).unwrap().to_owned()
    };
    assert_ne!(serial("restored"), serial("fixture-1"));

    // Elsewhere, under its own label.
    let elsewhere = Place::new();
    says(&elsewhere, &["backup", "restore", &file], "Token \"fixture-1\" made in slot 0");
    assert_eq!(mac(&elsewhere, "fixture-1", "invoices"), mac(&place, "fixture-1", "invoices"));
}

#[test]
fn objects_come_into_a_token_that_is_there() {
    let place = Place::with_token();
    for key in ["a", "b"] {
        place.says(&["key", "generate", "--token", "demo", "--key", key], "Generated");
    }
    let (one, all) = (path(&place, "one"), path(&place, "all"));
    says(&place, &create(&one, &["--key", "b"]), "Backed up 1 object of");
    says(&place, &["backup", "verify", &one], "Keys of the token \"demo\"");
    says(&place, &create(&all, &[]), "Backed up 2 objects of");
    place.says(&["token", "init", "--label", "other"], "slot 1");
    let into = |file, rest: &[&'static str]| {
        [&["backup", "restore", file, "--into", "other"], rest].concat()
    };
    says(&place, &into(&one, &[]), "Brought 1 object of \"demo\"");
    assert_eq!(mac(&place, "other", "b"), mac(&place, "demo", "b"));
    refused(&place, &into(&all, &[]), "is there already; --skip-existing leaves out what is there");
    let list = place.says(&["key", "list", "--token", "other"], "label \"b\"");
    assert_eq!(list.lines().count(), 1, "nothing came in");
    says(&place, &into(&all, &["--skip-existing"]), "Brought 1 object of");
    says(&place, &into(&all, &["--skip-existing"]), "0 objects of");
    assert_eq!(mac(&place, "other", "a"), mac(&place, "demo", "a"));
    refused(&place, &create(&one, &["--key", "c", "--force"]), "no key is labelled \"c\"");
    says(&place, &["backup", "verify", &one], "1 key");
}

#[test]
fn a_backup_is_sealed_to_another_token_and_no_passphrase_exists() {
    let (place, there) = (Place::with_token(), Place::new());
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    there.says(&["token", "init", "--label", "vault"], "slot 0");
    let (key, fingerprint) = texts(&there.run(&["token", "transport-key", "vault"]));
    assert_eq!(there.says(&["token", "transport-key", "vault"], ""), key, "made once");
    let public = key.trim_end();
    let file = path(&place, "sealed");
    let made = place.says(&create(&file, &["--to", public]), "sealed to the transport key");
    assert!(made.contains(fingerprint.trim().strip_prefix("fingerprint: ").unwrap()), "{made}");

    let whose = "is sealed to the transport key with the fingerprint";
    place.fails(&["backup", "verify", &file], 1, whose);
    there.says(&["backup", "verify", &file], "1 key, 0 data objects. The backup is whole.");
    there.says(&["backup", "restore", &file, "--into", "vault"], "Brought 1 object");
    assert_eq!(mac(&there, "vault", "a"), mac(&place, "demo", "a"));

    // As a token of its own: the recipient's PIN is asked for besides the new ones.
    let restore = ["backup", "restore", &file, "--label", "demo"];
    there.fails(&restore, 1, "set SIGNET_RECIPIENT_PIN");
    let pin = there.file("pin", "4321");
    let wrong = [&restore[..], &["--recipient-pin-file", &pin]].concat();
    there.fails(&wrong, 1, "\"vault\": wrong PIN; 9 attempts left");
    let pin = there.file("pin", PIN);
    let restore = [&restore[..], &["--recipient-pin-file", &pin]].concat();
    there.says(&restore, "Token \"demo\" made in slot 1 with 1 object");
    assert_eq!(mac(&there, "demo", "a"), mac(&place, "demo", "a"));

    let mistyped = public.replace(':', ":0");
    place.fails(&create(&file, &["--to", &mistyped]), 2, "hexadecimal digits behind the colon");
    let digit = if public.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{digit}", &public[..public.len() - 1]);
    place.fails(&create(&file, &["--to", &mistyped]), 2, "it was mistyped or cut");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let place = Place::with_token();
    let file = place.file("backup", "precious");
    refused(&place, &create(&file, &[]), "backup: it is there already; --force replaces it");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    says(&place, &create(&file, &["--force"]), "Backed up 0 objects");
    says(&place, &["backup", "verify", &file], "0 keys, 0 data objects");
    refused(&place, &create("/dev/null", &["--force"]), "not a plain file");
    refused(&place, &create(place.path().to_str().unwrap(), &[]), "not a plain file");
    let nowhere = path(&place, "no/backup");
    refused(&place, &create(&nowhere, &[]), "no/backup: make a file beside it: No such file");
    assert_eq!(names(place.path()), ["backup", "tokens"]);
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_no_token() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    let file = path(&place, "backup");
    says(&place, &create(&file, &[]), "Backed up 1 object");
    let good = std::fs::read(&file).unwrap();
    let mut edited = good.clone();
    *edited.last_mut().unwrap() ^= 1;
    let mut costly = good.clone();
    costly[18..22].fill(0xff);
    for (content, why) in [
        (&b""[..], "it is empty"),
        (b"something else", "it is not a backup of a token"),
        (&good[..good.len() - 1], "it is damaged: part 1 was changed, or the file was cut off"),
        (&edited, "it is damaged: part 1 was changed"),
        (&costly, "Argon2id, as no backup does"),
    ] {
        let damaged = place.file("damaged", content);
        refused(&place, &["backup", "verify", &damaged], why);
    }
    let damaged = place.file("damaged", edited);
    for rest in [["--label", "new"], ["--into", "demo"]] {
        refused(&place, &[&["backup", "restore", &damaged], &rest[..]].concat(), "is damaged");
    }
    let wrong = place.file("passphrase", "another passphrase");
    let verify = ["backup", "verify", &file, "--passphrase-file", &wrong];
    place.fails(&verify, 1, "wrong passphrase");
    let missing = path(&place, "missing");
    refused(&place, &["backup", "verify", &missing], "missing: No such file");
    refused(&place, &["backup", "verify", place.path().to_str().unwrap()], "directory");
    let list = place.says(&["token", "list"], "demo");
    assert_eq!(list.lines().count(), 2, "{list}");
    let slots = names(&place.path().join("tokens"));
    let slots: Vec<_> = slots.iter().filter(|name| name.contains("slot-")).collect();
    assert_eq!(slots, ["slot-0"], "no half a token");
}

/// What was made before stays readable: tests/fixtures/backup-1 says what is in it.
#[test]
fn a_backup_of_format_1_gives_the_same_macs() {
    let place = Place::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/backup-1/passphrase.backup");
    says(&place, &["backup", "restore", fixture], "Token \"fixture-1\" made in slot 0 with 7");
    let expected = "8b4d275c254b77751ca8b736ea45a637b4cd1d041aa896f788a22e473a2a078f\n";
    assert_eq!(mac(&place, "fixture-1", "invoices"), expected);
    let expected = "9071f65855483ff7265779cc9d272e13fab7c95eafc50ec1ceb761d072273c37\n";
    assert_eq!(mac(&place, "fixture-1", "cards"), expected);
}

#[test]
fn a_killed_restore_leaves_nothing() {
    let place = Place::with_token();
    for key in ["a", "b", "c"] {
        let long = place.file("long", vec![b'x'; 65_536]);
        let import = ["key", "import", "--token", "demo", "--key", key, "--file", &long];
        place.says(&import, "Imported");
    }
    let file = path(&place, "backup");
    says(&place, &create(&file, &[]), "Backed up 3 objects");
    let backup = std::fs::read(&file).unwrap();
    let there = Place::new();
    // Itself and not through another program: that would be killed in its place.
    let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["backup", "restore", "-"])
        .env_clear()
        .env("SIGNET_TOKENDIR", there.path().join("tokens"))
        .env("SIGNET_SO_PIN", "12345678")
        .env("SIGNET_PIN", PIN)
        .env("SIGNET_BACKUP_PASSPHRASE", PASSPHRASE)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // More than a pipe holds: when it is written, most of it has been read.
    child.stdin.as_mut().unwrap().write_all(&backup[..backup.len() - 1]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    there.says(&["token", "list"], "No tokens");
    says(&there, &["backup", "restore", &file], "Token \"demo\" made in slot 0 with 3 objects");
    assert_eq!(mac(&there, "demo", "c"), mac(&place, "demo", "c"));
}

#[test]
fn a_backup_goes_through_pipes() {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    let output = run(&place, &create("-", &[]));
    let (_, err) = texts(&output);
    assert!(output.status.success() && err.contains("Backed up 1 object"), "{err}");
    let restore = command(&place, &["backup", "restore", "-", "--label", "new"]);
    let restored = fed(restore, &output.stdout);
    assert!(texts(&restored).0.contains("made in slot 1"), "{:?}", texts(&restored));
    assert_eq!(mac(&place, "new", "a"), mac(&place, "demo", "a"));
    let cut = fed(command(&place, &["backup", "verify", "-"]), &output.stdout[..100]);
    fails(&cut, 1, "standard input: it is damaged");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(&place, &create("-", &[])).stdout(full).output().unwrap();
    fails(&output, 1, "signet: no space left for standard output");
}

#[test]
fn a_passphrase_is_asked_for_and_a_short_one_refused() {
    let place = Place::with_token();
    let file = path(&place, "backup");
    place.fails(&create(&file, &[]), 1, "set SIGNET_BACKUP_PASSPHRASE");
    let short = place.file("short", "eleven chars".get(..11).unwrap());
    let words = format!("{short}: a passphrase has at least 12 bytes");
    place.fails(&create(&file, &["--passphrase-file", &short]), 1, &words);
    let long = place.file("long", format!("{PASSPHRASE}\nsecond line\n"));
    place.says(&create(&file, &["--passphrase-file", &long]), "sealed to the passphrase");
    says(&place, &["backup", "verify", &file], "The backup is whole.");
    fails(&place.run_with(&create(&file, &["--force"]), Some("4321"), b""), 1, "wrong PIN; 9");
}
