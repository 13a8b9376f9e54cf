//! Whole trails: what is written, and whether what was done to it is found.

mod disk;
mod faults;
mod hostile;
mod tampering;
mod threads;
mod writing;

use super::line::LINE_MAX;
use super::*;
use crate::clock::ManualClock;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::Error;
use crate::log::{Level, Log};
use crate::types::Home;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Where the trails of tests are.
const DIRECTORY: &str = "audit";
const SERIAL: &str = "0011223344556677";

/// Keeps what is logged.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn enabled(&self, _: Level) -> bool {
        true
    }

    fn record(&self, level: Level, message: std::fmt::Arguments<'_>) {
        self.0.lock().push(format!("{level}: {message}"));
    }
}

/// What trails share in a test.
struct World {
    clock: Arc<ManualClock>,
    log: Arc<Lines>,
    settings: Settings,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let start = UNIX_EPOCH + Duration::from_millis(1_795_485_413_123);
        Self {
            clock: Arc::new(ManualClock::new(start)),
            log: Arc::default(),
            settings: Settings::DEFAULT,
            key: SigningKey::new(&OsEntropy).unwrap(),
        }
    }

    fn surroundings(&self) -> Surroundings {
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        Surroundings { entropy, clock: self.clock.clone(), log: self.log.clone() }
    }

    fn trail(&self, directory: &Path) -> Trail {
        let (scope, directory) = (Scope::of(SERIAL, Home::DEFAULT), directory.join(DIRECTORY));
        Trail::in_directory(directory, scope, self.surroundings(), self.settings)
    }

    fn verifier(&self) -> Verifier {
        self.key.verifier(SERIAL)
    }

    fn checkpoint(&self, trail: &Trail, cover: Cover) -> String {
        trail.checkpoint(&self.key, cover, Duration::from_secs(30)).unwrap().unwrap()
    }

    fn later(&self) {
        self.clock.advance(Duration::from_millis(1500));
    }
}

fn event(number: u64) -> Event {
    Event::new("kms:CreateKey", Identity::Root).with("description", "x").noting("number", number)
}

/// All lines of a trail in the order of time.
fn lines(archive: &Archive) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    let mut take = |read: Read<'_>| {
        let Read::Record(_, line) = read else { panic!("{read:?}") };
        assert!(line.len() <= LINE_MAX);
        lines.push(serde_json::from_str(line).unwrap());
        Ok(())
    };
    archive.visit(None, &mut take).unwrap();
    lines
}

fn names(archive: &Archive) -> Vec<String> {
    lines(archive).iter().map(|line| line["eventName"].as_str().unwrap().to_owned()).collect()
}

/// Nothing is wrong.
#[track_caller]
fn sound(report: &Report) {
    assert!(report.findings.is_empty(), "{report:?}");
}
