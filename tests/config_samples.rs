//! Every sample in `softhsm-config/` is read, and says what it claims to say.

// Helpers outside the test functions fail a test by panicking, as those do.
#![allow(clippy::unwrap_used)]

use signet_pkcs11::config::{Config, Environment, SETTINGS, SO_PIN_VARIABLE, USER_PIN_VARIABLE};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/softhsm-config");

/// Variables and files of the test's own making, in a home without anything.
#[derive(Default)]
struct Machine {
    variables: HashMap<String, String>,
    files: HashMap<PathBuf, String>,
}

impl Machine {
    fn conf(text: String) -> Self {
        let mut machine = Self::default();
        machine.variables.insert("SIGNET_CONF".into(), "/conf".into());
        machine.files.insert("/conf".into(), text);
        for (name, content) in [("so_pin", "sopin"), ("user_pin", "userpin"), ("label", "signet")] {
            let path = format!("/run/secrets/signet_{name}");
            machine.files.insert(path.into(), format!("{content}\n"));
        }
        machine
    }
}

impl Environment for Machine {
    fn var(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn read_file(&self, path: &Path, _limit: usize) -> io::Result<Vec<u8>> {
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(content.clone().into_bytes())
    }

    fn home(&self) -> Option<PathBuf> {
        Some("/home/ann".into())
    }

    fn is_root(&self) -> bool {
        false
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        Ok("/".into())
    }
}

fn sample(name: &str) -> String {
    std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// A loaded configuration as text, without what only tells about its source.
fn settings(mut config: Config) -> String {
    config.notices.clear();
    format!("{config:#?}")
}

#[test]
fn the_table_of_samples_is_complete() {
    let readme = sample("README.md");
    let names: BTreeSet<String> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    for name in &names {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the table");
    }
    let read_here =
        ["container.env", "reference-softhsm2.conf.in", "signet.conf", "softhsm2-compatible.conf"];
    assert_eq!(names, read_here.map(String::from).into());
}

#[test]
fn the_table_of_settings_is_complete() {
    let readme = sample("README.md");
    for setting in SETTINGS {
        let row = format!("| `{}` | `{}` | ", setting.key, setting.variable);
        assert!(readme.contains(&row), "{row}");
    }
    for variable in [SO_PIN_VARIABLE, USER_PIN_VARIABLE] {
        assert!(readme.contains(&format!("| | `{variable}` | ")));
    }
}

#[test]
fn the_full_sample_changes_nothing_as_it_is() {
    let config = Config::load(&Machine::conf(sample("signet.conf"))).unwrap();
    assert_eq!(config.notices, []);
    let defaults = Config::load(&Machine::default()).unwrap();
    assert_eq!(settings(config), settings(defaults));
}

#[test]
fn the_full_sample_shows_every_key_with_its_default() {
    let text: String = sample("signet.conf")
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
            _ => line.to_owned(),
        })
        .map(|line| line + "\n")
        .collect();
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|l| l.split(" =").next())
        .collect();
    for setting in SETTINGS {
        assert_eq!(shown.iter().filter(|key| **key == setting.key).count(), 1, "{}", setting.key);
    }
    let mut config = Config::load(&Machine::conf(text)).unwrap();
    assert_eq!(config.notices, []);
    assert_eq!(config.token_dir, Path::new("/var/lib/signet/tokens"));
    assert_eq!(config.reset_on_fork.take(), Some(true));
    let counter = config.rollback_counter.take().unwrap();
    assert_eq!(counter, Path::new("/var/lib/signet-counter/counter"));
    let auto_init = config.auto_init.take().unwrap();
    assert_eq!(auto_init.label, "signet");
    assert_eq!(auto_init.user_pin.expose(), b"userpin");
    let mut defaults = Config::load(&Machine::default()).unwrap();
    defaults.token_dir = config.token_dir.clone();
    defaults.log_target = config.log_target.clone();
    assert_eq!(settings(config), settings(defaults));
}

#[test]
fn the_softhsm_sample_is_read_without_a_notice() {
    let config = Config::load(&Machine::conf(sample("softhsm2-compatible.conf"))).unwrap();
    assert_eq!(config.notices, []);
    assert_eq!(config.token_dir, Path::new("/var/lib/signet/tokens"));
    assert_eq!(config.umask, 0o077);
    assert_eq!(config.reset_on_fork, Some(true));
}

#[test]
fn the_container_sample_makes_a_token() {
    let mut machine = Machine::conf(String::new());
    machine.variables.clear();
    for line in sample("container.env").lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once('=').unwrap();
        assert!(SETTINGS.iter().any(|setting| setting.variable == name), "{name}");
        machine.variables.insert(name.into(), value.into());
    }
    let config = Config::load(&machine).unwrap();
    assert_eq!(config.token_dir, Path::new("/data/tokens"));
    let auto_init = config.auto_init.unwrap();
    assert_eq!(auto_init.label, "signet");
    assert_eq!(auto_init.so_pin.expose(), b"sopin");
    assert_eq!(auto_init.user_pin.expose(), b"userpin");
}

#[test]
fn the_reference_sample_is_read_without_a_notice() {
    let text = sample("reference-softhsm2.conf.in");
    assert_eq!(text.matches("= @TOKENDIR@\n").count(), 1);
    let config = Config::load(&Machine::conf(text.replace("@TOKENDIR@", "/fresh"))).unwrap();
    assert_eq!(config.notices, []);
    assert_eq!(config.token_dir, Path::new("/fresh"));
}
