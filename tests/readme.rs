//! README.md says what is true: its mechanism table is that of the catalogue,
//! and the tests that it names exist.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/paths.rs"]
mod paths;

use signet_pkcs11::mechanism::{CATALOGUE, Kind};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn mechanism_table() -> String {
    let mut table = String::from("| Mechanism | Use | Key sizes |\n|---|---|---|\n");
    for row in CATALOGUE {
        let (min, max) = row.key_sizes();
        let (uses, sizes) = match row.kind {
            Kind::Digest(_) => ("digest", String::new()),
            Kind::Hmac(_) | Kind::HmacGeneral(_) => ("sign, verify", format!("{min}–{max}")),
            Kind::KeyGen(_) => ("generate", format!("{min}–{max}")),
        };
        table += &format!("| `{}` | {uses} | {sizes} |\n", row.mechanism);
    }
    table
}

#[test]
fn the_mechanism_table_is_that_of_the_catalogue() {
    let table = mechanism_table();
    assert!(readme().contains(&table), "README.md should contain\n\n{table}");
}

/// All Rust sources below `directory`, in one string.
fn sources(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// What the cells of the tables with tests name in back quotes.
fn named_tests(readme: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_table = false;
    for line in readme.lines() {
        in_table = line.starts_with('|') && (in_table || line.ends_with("| Tests |"));
        if let Some(cell) = line.trim_end_matches('|').rsplit('|').next().filter(|_| in_table) {
            names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_test_that_is_named_exists() {
    let sources = sources(&root().join("tests"));
    let names = named_tests(&readme());
    assert!(names.len() > 40, "only {} tests were found in the tables", names.len());
    for name in names {
        let exists = if name.starts_with("tests/") {
            root().join(&name).is_file()
        } else {
            let function = name.rsplit("::").next().unwrap();
            sources.contains(&format!("fn {function}("))
        };
        assert!(exists, "README.md names {name}, which does not exist");
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn everything_that_is_linked_exists() {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|page| page.unwrap().file_name());
    let pages = pages.map(|page| (format!("docs/{}", page.to_str().unwrap()), "docs"));
    let others = [("README.md", ""), ("SECURITY.md", ""), ("CHANGELOG.md", "")];
    let others = others.into_iter().chain([("softhsm-config/README.md", "softhsm-config")]);
    let others = others.map(|(document, folder)| (document.to_owned(), folder));
    for (document, folder) in pages.chain(others) {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = match file {
                "" => root().join(&document),
                _ => root().join(folder).join(file),
            };
            let exists = file.exists() && (heading.is_empty() || anchors(&file).contains(heading));
            assert!(exists, "{document} links to {link}, which does not exist");
        }
    }
}

/// The first block of this language below a heading.
fn block<'t>(text: &'t str, heading: &str, language: &str) -> &'t str {
    let below = text.split(&format!("# {heading}\n")).nth(1).unwrap();
    below.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap()
}

/// Passes commands as they stand in a document: one that is said to be refused must be,
/// every other must succeed. There is a token `demo`, all of whose PINs are `secret`. What
/// they print, and their messages.
fn pass(commands: &str, files: &[(&str, &str)]) -> (String, String) {
    let place = tempfile::tempdir().unwrap();
    let release = place.path().join("target/release");
    fs::create_dir_all(&release).unwrap();
    let module = release.join("libsignet_pkcs11.so");
    std::os::unix::fs::symlink(paths::signet_module(), module).unwrap();
    for (name, content) in files {
        fs::write(place.path().join(name), content).unwrap();
    }
    let line = |line: &str| match line.split_once("# refused") {
        Some((command, _)) => format!("if {command}; then echo not refused >&2; exit 9; fi\n"),
        None => format!("{line}\n"),
    };
    let lines: String = commands.lines().map(line).collect();
    let script = format!("set -eu; signet token init --label demo\n{lines}");
    let signet = Path::new(env!("CARGO_BIN_EXE_signet"));
    let output = Command::new("setsid")
        .args(["--wait", "bash", "-c", &script])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", signet.parent().unwrap().display()))
        .env("SIGNET_TOKENDIR", place.path().join("tokens"))
        .envs(["SIGNET_SO_PIN", "SIGNET_PIN", "SIGNET_USER_PIN"].map(|pin| (pin, "secret")))
        .envs([("PRODUCER", "producer:secret"), ("CONSUMER", "consumer:secret")])
        .envs([("header", "e30"), ("claims", "e30")])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    (out, err)
}

#[test]
fn the_commands_of_who_may_do_what_work() {
    let (out, err) = pass(block(&readme(), "Who may do what", "sh"), &[]);
    for said in ["Signature is valid", "Allowed: ", "Denied: ", "  0 ok, 1 failed"] {
        assert!(out.contains(said), "{said}: {out}{err}");
    }
    assert!(err.contains("C_SignInit failed: rv = CKR_KEY_FUNCTION_NOT_PERMITTED"), "{err}");
}

#[test]
fn the_commands_of_the_page_about_users_work() {
    let page = fs::read_to_string(root().join("docs/users.md")).unwrap();
    let (heading, key) = ("Named users and roles", "signet key generate --token demo --key jwt\n");
    let commands = format!("{key}{}", block(&page, heading, "sh"));
    let trust = block(&page, heading, "json");
    let (out, _) = pass(&commands, &[("trust.json", trust), ("message", "hello")]);
    let macs: Vec<_> = out.lines().filter(|line| line.len() == 64).collect();
    assert!(macs.len() == 2 && macs[0] == macs[1], "{out}");
}

#[test]
fn the_commands_of_the_page_about_policies_work() {
    let page = fs::read_to_string(root().join("docs/policies.md")).unwrap();
    let commands = format!(
        "signet key generate --token demo --key jwt\nsignet user add --token demo bob\n\
         signet role add --token demo JwtProducer --trust trust.json\n\
         signet role add --token demo JwtConsumer --trust trust.json\n{}",
        block(&page, "Policies and grants", "sh")
    );
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
    let macs = r#"{"Statement":{"Effect":"Allow","Action":"kms:GenerateMac","Resource":"*"}}"#;
    let key = block(&page, "One makes tokens, the other verifies them", "json");
    let (out, _) =
        pass(&commands, &[("trust.json", trust), ("macs.json", macs), ("jwt.json", key)]);
    assert!(out.contains("statement 2 \"Make tokens\" of the key policy allows it"), "{out}");
}
