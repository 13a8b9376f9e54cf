//! README.md says what is true: its mechanism table is that of the catalogue,
//! and the tests that it names exist.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use signet_pkcs11::mechanism::{CATALOGUE, Kind};
use std::fs;
use std::path::Path;

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

#[test]
fn every_file_that_is_linked_exists() {
    for (document, folder) in [("README.md", ""), ("softhsm-config/README.md", "softhsm-config")] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !link.contains("://") && !link.starts_with('#');
            assert!(
                !local || root().join(folder).join(link).exists(),
                "{document} links to {link}, which does not exist"
            );
        }
    }
}
