//! The corpora of the fuzz targets: damaged token files, policies, and audit trails, with
//! memory that is bounded: errors, no panic, no endless loop, no allocation that the file does not
//! account for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../fuzz/exercise.rs"]
mod exercise;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::Path;

#[test]
fn every_damaged_file_is_survived() {
    // Half of what the hungriest credential in them asks for.
    let (_, most) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, (2 << 30).min(most), most).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/store_file");
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 50, "only {} files", files.len());
    let mut refused = 0;
    for file in files {
        // Shown when one of them does not come back.
        println!("{}", file.display());
        let answer = exercise::store_file(&std::fs::read(&file).unwrap());
        refused += u32::from(answer.is_err());
        if file.ends_with("sound") {
            assert_eq!(answer, Ok(true), "the others are damaged, this one is not");
        }
    }
    assert!(refused > 20, "only {refused} were refused");
}

#[test]
fn cut_and_flipped_objects_are_survived() {
    let object = b"\x87\x04\x81\x82\x03\x82\x02\x81\x43abc\x43key\x00\x00\xf6\x00";
    for end in 0..object.len() {
        exercise::object(&object[..end]);
        for bit in 0..8 {
            let mut flipped = object.to_vec();
            flipped[end] ^= 1 << bit;
            exercise::object(&flipped);
        }
    }
}

#[test]
fn every_policy_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/policy");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()) {
        println!("{}", file.display());
        let text = std::fs::read(&file).unwrap();
        let is_sound = !file.file_name().unwrap().to_string_lossy().starts_with("bad-");
        assert_eq!(exercise::policy(&text) > 0, is_sound, "{}", file.display());
        // Cut short it is none.
        if is_sound && text.len() < 1000 {
            for end in 0..text.trim_ascii_end().len() {
                assert_eq!(exercise::policy(&text[..end]), 0);
            }
        }
        files += 1;
    }
    assert!(files >= 10, "only {files} files");
}

#[test]
fn every_trail_is_verified_and_gone_on_with() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/audit");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()) {
        println!("{}", file.display());
        let trail = std::fs::read(&file).unwrap();
        let is_sound = exercise::audit(&trail);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(is_sound, name.starts_with("sound"), "{name}");
        files += 1;
    }
    assert!(files > 20, "only {files} files");
    let sound = include_bytes!("../fuzz/corpus/audit/sound");
    for at in (0..sound.len()).step_by(11) {
        exercise::audit(&sound[..at]);
        let mut flipped = sound.to_vec();
        flipped[at] ^= 1 << (at % 8);
        exercise::audit(&flipped);
    }
}
