//! The rules of the house, checked by reading the source tree, the packages it
//! is built from and the shared object: a rule that nobody checks is a wish.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/paths.rs"]
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use paths::signet_module;

/// What one module of `src/` may know.
struct Row {
    /// The module; `bin` stands for the administration program.
    module: &'static str,
    /// The other modules that it may import, or single items of them.
    modules: &'static [&'static str],
    /// The crates that it may use, besides the standard library.
    crates: &'static [&'static str],
}

/// The base row: what everybody may import.
const BASE: &[&str] = &["error", "types", "secret", "entropy"];

/// Imports point downward: who may know whom, lowest first. Everybody may
/// import the base row too.
const TABLE: &[Row] = &[
    Row { module: "error", modules: &[], crates: &[] },
    Row { module: "types", modules: &[], crates: &["cryptoki_sys"] },
    Row { module: "secret", modules: &[], crates: &["subtle", "zeroize"] },
    Row { module: "entropy", modules: &[], crates: &["rand"] },
    Row { module: "clock", modules: &[], crates: &["parking_lot"] },
    Row { module: "log", modules: &["clock"], crates: &["nix"] },
    Row {
        module: "mechanism",
        modules: &[],
        crates: &["hmac", "sha1", "sha2", "sha3", "subtle", "zeroize"],
    },
    Row { module: "object", modules: &[], crates: &["minicbor", "zeroize"] },
    Row {
        module: "migrate",
        modules: &["mechanism", "object"],
        // Its SQL reads what other software has stored.
        crates: &["aes", "cbc", "nix", "rusqlite", "sha2", "zeroize"],
    },
    Row {
        module: "policy",
        modules: &["clock", "object"],
        crates: &["base64ct", "serde", "serde_json"],
    },
    Row {
        module: "store",
        modules: &[],
        // Its hash tells our schema from another.
        crates: &["arc_swap", "memmap2", "nix", "parking_lot", "rusqlite", "sha2"],
    },
    Row {
        module: "audit",
        modules: &["clock", "log", "store::files"],
        // Its hashes chain the records, its signatures are those of checkpoints.
        crates: &["base64ct", "ed25519_dalek", "nix", "parking_lot", "sha2", "uuid", "zeroize"],
    },
    Row {
        module: "vault",
        modules: &[],
        crates: &[
            "aes_gcm",
            "argon2",
            "hkdf",
            "hmac",
            "minicbor",
            "sha2",
            "x25519_dalek",
            "zeroize",
        ],
    },
    Row {
        module: "config",
        modules: &["audit", "log", "vault::PinParameters"],
        crates: &["zeroize"],
    },
    Row { module: "host", modules: &["config"], crates: &["nix"] },
    Row { module: "selftest", modules: &["mechanism", "vault"], crates: &[] },
    Row {
        module: "token",
        modules: &["audit", "clock", "log", "object", "policy", "store", "vault"],
        crates: &["arc_swap", "minicbor", "parking_lot", "uuid"],
    },
    Row {
        module: "backup",
        modules: &[
            "clock",
            "log",
            "mechanism",
            "object",
            "policy",
            "store::RecordId",
            "token",
            "vault",
        ],
        crates: &["minicbor", "zeroize"],
    },
    Row {
        module: "session",
        modules: &["audit", "mechanism", "object", "policy", "token"],
        crates: &["parking_lot"],
    },
    Row {
        module: "module",
        modules: &[
            "audit",
            "backup",
            "config",
            "mechanism",
            "object",
            "policy",
            "session",
            "store",
            "token",
            "vault::PinParameters",
        ],
        crates: &["arc_swap", "parking_lot", "uuid", "zeroize"],
    },
    Row {
        module: "ffi",
        // The items are what the methods of `Module` take and return.
        modules: &[
            "clock",
            "config",
            "host",
            "log",
            "mechanism::Kind",
            "mechanism::RawMechanism",
            "mechanism::Row",
            "module",
            "policy::Principal",
            "session::Cancel",
            "session::Output",
            "session::Purpose",
            "session::Room",
            "store::DirectoryPlace",
            "store::PageGuard",
            "store::abandon_inherited",
            "store::after_fork",
            "store::before_fork",
            "token::PinState",
            "token::Surroundings",
        ],
        crates: &["arc_swap", "cryptoki_sys", "memmap2", "nix", "once_cell"],
    },
    Row {
        module: "bin",
        // As for `ffi`, and the catalogue to list, and the objects of a backup.
        modules: &[
            "audit",
            "backup",
            "clock",
            "config",
            "host",
            "log",
            "mechanism::CATALOGUE",
            "mechanism::Hash",
            "mechanism::Kind",
            "mechanism::RawMechanism",
            "migrate",
            "module",
            "object",
            "policy::Action",
            "policy::Concern",
            "policy::Document",
            "policy::DocumentKind",
            "policy::Grant",
            "policy::GrantTerms",
            "policy::Principal",
            "policy::Until",
            "selftest",
            "session::Output",
            "session::Purpose",
            "session::Room",
            "store::CounterFile",
            "store::DirectoryPlace",
            "store::PageGuard",
            "store::Progress",
            "token",
        ],
        crates: &["clap", "rpassword", "serde_json", "zeroize"],
    },
];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] =
    &["src/ffi.rs", "src/ffi/", "src/store/generation.rs", "src/store/generation/"];

/// Files that cannot forbid `unsafe` because a module below them needs it.
const ABOVE_UNSAFE: &[&str] = &["src/lib.rs", "src/store.rs"];

/// What the core is given instead of taking it, and the files that may take it.
const PASSED_IN: &[(&str, &[&str])] = &[
    ("std::env", &["src/host.rs", "src/ffi.rs", "src/ffi/", "src/bin/"]),
    ("env::var", &["src/host.rs", "src/ffi.rs", "src/ffi/", "src/bin/"]),
    ("SystemTime::now", &["src/clock.rs", "src/ffi.rs", "src/ffi/", "src/bin/"]),
    ("Instant::now", &["src/clock.rs", "src/ffi.rs", "src/ffi/", "src/bin/"]),
    ("static mut", &[]),
    ("thread::spawn", &[]),
    ("dbg!", &[]),
];

/// The licences that the crates below us may have, as they write them.
const LICENCES: &[&str] = &[
    "(MIT OR Apache-2.0) AND Unicode-3.0",
    "Apache-2.0",
    "Apache-2.0 OR MIT",
    "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "ISC",
    "MIT",
    "MIT OR Apache-2.0",
    "MIT OR Apache-2.0 OR BSD-1-Clause",
    "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
    "MIT/Apache-2.0",
    "Unlicense OR MIT",
    "Zlib",
];

/// The one place that crates come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that the shared object must never contain: network, runtimes, and
/// other people's cryptographic libraries.
const NEVER_LINKED: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "curl",
    "curl-sys",
    "h2",
    "hyper",
    "native-tls",
    "openssl",
    "openssl-sys",
    "reqwest",
    "ring",
    "rustls",
    "smol",
    "tokio",
    "ureq",
];

/// The libraries that the shared object may ask the loader for.
const NEEDED: &[&str] = &["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

// ---- The source tree ----

/// A source file: its path below the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module of `src/` that the file belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap();
        let first = inside.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the file lies under one of these paths.
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || (place.ends_with('/') && self.path.starts_with(place))
        })
    }

    /// Whether the file holds tests only.
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The text without comments and without the tests at its foot; tests in a
    /// file of their own are declared anywhere and end nothing.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below these folders whose name ends so.
fn files(folders: &[&str], ending: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in folders.iter().map(|folder| root().join(folder)) {
        walk(&folder, &mut found);
    }
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
    };
    found.into_iter().map(source).collect()
}

fn sources() -> Vec<Source> {
    let sources = files(&["src"], ".rs");
    assert!(sources.len() > 10, "the source tree was not found");
    sources
}

const fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Where `word` stands by itself, not as a part of a longer word.
fn places_of<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(position, _)| position).filter(move |&position| {
        let before = code[..position].chars().next_back();
        let after = code[position + word.len()..].chars().next();
        !before.is_some_and(is_word) && (!word.ends_with(is_word) || !after.is_some_and(is_word))
    })
}

/// The paths that follow `prefix` (`crate::`), one by one or in braces, down to
/// two names: `token`, `token::Token`.
fn paths_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for position in places_of(code, prefix) {
        read_tree(&code[position + prefix.len()..], &mut Vec::new(), &mut paths);
    }
    paths
}

/// Reads one tree of a `use`, whose beginning stands in `above`, and returns
/// what follows it.
fn read_tree<'a>(
    mut rest: &'a str,
    above: &mut Vec<&'a str>,
    paths: &mut BTreeSet<String>,
) -> &'a str {
    rest = rest.trim_start();
    if let Some(mut group) = rest.strip_prefix('{') {
        loop {
            group = group.trim_start();
            if let Some(after) = group.strip_prefix('}') {
                return after;
            }
            group = read_tree(group, &mut above.clone(), paths).trim_start();
            match group.strip_prefix(',') {
                Some(next) => group = next,
                None => return group.strip_prefix('}').unwrap_or(group),
            }
        }
    }
    let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
    let (name, mut after) = rest.split_at(end);
    if !name.is_empty() && name != "self" {
        above.push(name);
    }
    if let Some(below) = after.strip_prefix("::") {
        return read_tree(below, above, paths);
    }
    if let Some(renamed) = after.strip_prefix(" as ") {
        after = renamed.trim_start_matches(is_word);
    }
    if !above.is_empty() {
        paths.insert(above.iter().take(2).copied().collect::<Vec<_>>().join("::"));
    }
    after.strip_prefix('*').unwrap_or(after)
}

/// The crates among `known` that the code names in a path.
fn crates_named(code: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let named = |name: &&String| {
        places_of(code, name).any(|position| {
            let before = code[..position].trim_end();
            let after = &code[position + name.len()..];
            let is_path = after.starts_with("::") || before.ends_with("use");
            is_path && (!before.ends_with("::") || code[..position].ends_with(" ::"))
        })
    };
    known.iter().filter(named).cloned().collect()
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

// ---- What cargo knows ----

fn metadata() -> serde_json::Value {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--format-version", "1"]).current_dir(root());
    let output = metadata.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The crates that the root package depends on outside its tests, as the source
/// names them.
fn dependencies() -> BTreeSet<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let root = packages.iter().find(|package| text(package, "name") == "signet").unwrap();
    let all = root["dependencies"].as_array().unwrap();
    let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| text(dependency, "name").replace('-', "_")).collect()
}

// ---- The rules ----

/// What a path to one of our modules begins with.
fn prefix_of_ours(module: &str) -> &'static str {
    if module == "bin" { "signet_pkcs11::" } else { "crate::" }
}

/// Whether leave to import `permitted`, a module or an item of one, is leave to
/// import `path`.
fn covers(permitted: &str, path: &str) -> bool {
    permitted == path || path.split("::").next() == Some(permitted)
}

#[test]
fn imports_point_downward() {
    let rows: BTreeMap<_, _> = TABLE.iter().map(|row| (row.module, row)).collect();
    let dependencies = dependencies();
    let mut complaints = Vec::new();
    for source in
        sources().iter().filter(|source| source.path != "src/lib.rs" && !source.is_tests())
    {
        let module = source.module();
        let Some(row) = rows.get(module) else {
            complaints.push(format!("{}: {module} has no row in the table", source.path));
            continue;
        };
        let code = source.code();
        for path in paths_after(&code, prefix_of_ours(module)) {
            let name = path.split("::").next().unwrap();
            let allowed = row.modules.iter().any(|permitted| covers(permitted, &path));
            let known = rows.contains_key(name);
            if known && name != module && !BASE.contains(&name) && !allowed {
                complaints.push(format!("{}: {module} must not import {path}", source.path));
            }
        }
        for name in crates_named(&code, &dependencies) {
            if !row.crates.contains(&&*name) {
                complaints.push(format!("{}: {module} must not use the crate {name}", source.path));
            }
        }
    }
    none(complaints);
}

#[test]
fn the_table_is_about_what_is_there() {
    let dependencies = dependencies();
    let sources = sources();
    let position = |module| TABLE.iter().position(|row| row.module == module);
    let mut complaints = Vec::new();
    for (here, row) in TABLE.iter().enumerate() {
        let module = row.module;
        let own = sources.iter().filter(|source| source.module() == module && !source.is_tests());
        let code: Vec<_> = own.map(Source::code).collect();
        if code.is_empty() {
            complaints.push(format!("{module}: has a row and no source"));
        }
        let imports: BTreeSet<_> =
            code.iter().flat_map(|code| paths_after(code, prefix_of_ours(module))).collect();
        for name in row.modules {
            let is_below =
                position(name.split("::").next().unwrap()).is_some_and(|there| there < here);
            if !is_below {
                complaints.push(format!("{module}: {name} is not below it"));
            }
            if !imports.iter().any(|path| covers(name, path)) {
                complaints.push(format!("{module}: may import {name} and does not"));
            }
        }
        let crates: BTreeSet<_> =
            code.iter().flat_map(|code| crates_named(code, &dependencies)).collect();
        for name in row.crates.iter().filter(|name| !crates.contains(**name)) {
            complaints.push(format!("{module}: may use the crate {name} and does not"));
        }
    }
    none(complaints);
}

/// The file and those whose lint levels reach it: `src/a.rs` reaches
/// `src/a/b.rs`, and a program's `main.rs` all beside it.
fn above_and_itself(path: &str) -> Vec<String> {
    let mut found = vec![path.to_owned()];
    let mut folder = path;
    while let Some((parent, _)) = folder.rsplit_once('/') {
        found.push(format!("{parent}.rs"));
        found.push(format!("{parent}/main.rs"));
        folder = parent;
    }
    found
}

fn forbids(path: &str) -> bool {
    fs::read_to_string(root().join(path))
        .is_ok_and(|text| text.lines().any(|line| line == "#![forbid(unsafe_code)]"))
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let mut complaints = Vec::new();
    for source in sources() {
        let code = source.code();
        let free = !source.is_in(UNSAFE) && !source.is_tests();
        if free && places_of(&code, "unsafe").next().is_some() {
            complaints.push(format!("{}: unsafe", source.path));
        }
        let above = source.is_in(ABOVE_UNSAFE);
        if free && !above && !above_and_itself(&source.path).iter().any(|path| forbids(path)) {
            complaints.push(format!("{}: nothing forbids unsafe_code here", source.path));
        }
    }
    none(complaints);
}

#[test]
fn environment_clock_and_threads_are_passed_in() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.is_tests()) {
        let code = source.code();
        for (word, places) in PASSED_IN {
            if !source.is_in(places) && places_of(&code, word).next().is_some() {
                complaints.push(format!("{}: {word}", source.path));
            }
        }
    }
    none(complaints);
}

#[test]
fn the_administration_program_exposes_no_secret_but_what_was_asked_for() {
    let programs = files(&["src/bin"], ".rs");
    assert!(!programs.is_empty());
    for source in programs {
        let code = source.code();
        // A MAC, and the secret of an access key that was just made.
        let asked_for = |at| ["tag.", "key.secret()."].iter().any(|of| code[..at].ends_with(of));
        let others = places_of(&code, "expose").filter(|&at| !asked_for(at));
        assert_eq!(others.count(), 0, "{}", source.path);
    }
}

#[test]
fn modules_lie_beside_their_folders() {
    let folders = ["src", "tests", "benches", "examples"];
    let found = files(&folders, "/mod.rs").into_iter().map(|source| source.path);
    let complaints = found.filter(|path| path != "tests/common/mod.rs").collect();
    none(complaints);
}

#[test]
fn crates_come_from_crates_io_under_licences_we_know() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<_> =
        metadata["workspace_members"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let mut complaints = Vec::new();
    for package in packages.iter().filter(|package| !ours.contains(&package["id"].to_string())) {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        if !LICENCES.contains(&licence) {
            complaints.push(format!("{name}: the licence {licence:?} is not on the list"));
        }
        if text(package, "source") != CRATES_IO {
            complaints.push(format!("{name}: comes from {}", package["source"]));
        }
    }
    none(complaints);
}

// ---- The shared object ----

#[test]
fn the_shared_object_needs_the_c_library_only() {
    let mut readelf = Command::new("readelf");
    readelf.args(["-d", "-W"]).arg(signet_module()).env("LC_ALL", "C");
    let output =
        readelf.output().unwrap_or_else(|error| panic!("readelf: {error}; run `make deps`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dynamic = String::from_utf8(output.stdout).unwrap();
    let needed: Vec<_> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.contains(&"libc.so.6"), "{dynamic}");
    let foreign: Vec<_> = needed.iter().filter(|library| !NEEDED.contains(library)).collect();
    assert!(foreign.is_empty(), "asks the loader for {foreign:?}");
}

#[test]
fn the_shared_object_has_no_network_runtime_or_foreign_cryptography_in_it() {
    let metadata = metadata();
    let nodes: BTreeMap<_, _> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let names: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let root = names.iter().find(|(_, name)| **name == "signet").unwrap().0;
    let mut reached = BTreeSet::from([*root]);
    let mut waiting = vec![*root];
    while let Some(id) = waiting.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let linked = kinds.iter().any(|kind| kind["kind"].is_null());
            if linked && reached.insert(text(dependency, "pkg")) {
                waiting.push(text(dependency, "pkg"));
            }
        }
    }
    let linked: BTreeSet<_> = reached.iter().map(|id| names[id]).collect();
    assert!(linked.contains("rusqlite") && !linked.contains("tempfile"), "{linked:?}");
    let foreign: Vec<_> = NEVER_LINKED.iter().filter(|name| linked.contains(*name)).collect();
    assert!(foreign.is_empty(), "linked: {foreign:?}");
}

// ---- The checks themselves ----

#[test]
fn the_reader_finds_every_form_of_an_import() {
    let code = "use crate::{error::{Error, Result as R,}, token, types::Ulong as U};\n\
                use crate::session::{\n    self,\n    Room, };\n\
                pub(crate) use crate::vault::Vault;\nlet x = crate::store::open(); mycrate::not();";
    let names = paths_after(code, "crate::");
    let expected = [
        "error::Error",
        "error::Result",
        "session",
        "session::Room",
        "store::open",
        "token",
        "types::Ulong",
        "vault::Vault",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn the_reader_tells_crates_from_modules_of_the_same_name() {
    let known = ["hmac", "rand", "nix"].map(str::to_owned).into();
    let named = |code| crates_named(code, &known).into_iter().collect::<Vec<_>>();
    assert_eq!(named("use hmac::Hmac;"), ["hmac"]);
    assert_eq!(named("use super::hmac::Tag; self::rand::x(); crate::nix::y();"), [""; 0]);
    assert_eq!(named("fn f(rand: u8) { rand_core::x(); nix::y(); }"), ["nix"]);
    assert_eq!(named("impl ::rand::Rng for X {}"), ["rand"]);
}

#[test]
fn the_reader_skips_comments_and_tests_and_keeps_the_rest() {
    let text = "//! unsafe\nfn a() { b() } // unsafe\n#[cfg(test)]\nmod tests { unsafe {} }\n";
    let source = Source { path: "src/token/a.rs".into(), text: text.into() };
    assert_eq!(source.module(), "token");
    assert_eq!(places_of(&source.code(), "unsafe").count(), 0);
    assert_eq!(places_of(&source.code(), "b").count(), 1);
    let text = "#[cfg(test)]\nmod tests;\n\nuse crate::b;\n";
    let source = Source { path: "src/token.rs".into(), text: text.into() };
    assert_eq!(places_of(&source.code(), "b").count(), 1);
    assert_eq!(places_of("unsafe_code unsafe { } not_unsafe", "unsafe").count(), 1);
}
