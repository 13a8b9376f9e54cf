//! Trails that somebody has put there to do harm.

use super::*;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

/// A trail of one record, and the file of its segment.
fn trail(world: &World, directory: &Path) -> (Archive, std::path::PathBuf) {
    let trail = world.trail(directory);
    trail.record(&event(1)).unwrap();
    let archive = trail.archive();
    let id = archive.segments().unwrap().remove(0);
    (archive, directory.join(DIRECTORY).join(format!("{id}.jsonl")))
}

#[test]
fn what_is_longer_than_any_disk_is_not_read_to_its_end() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let (archive, path) = trail(&world, directory.path());
    let file = OpenOptions::new().write(true).open(path).unwrap();
    // As much as the file system lets a file be.
    let mut length = 1_u64 << 50;
    while file.set_len(length).is_err() {
        length /= 2;
    }
    assert!(length > 1 << 32, "{length}");
    // Behind it there is a line once more.
    file.write_all_at(b"\n{}\n", length - 4).unwrap();
    let report = archive.verify(Some(&world.verifier()), &[]).unwrap();
    sound(&report);
    assert_eq!((report.records, report.torn.len()), (3, 1));
    assert_eq!(lines(&archive).len(), 3);
    archive.follow().unwrap().look(&mut |_| Ok(())).unwrap();
    let next = world.trail(directory.path());
    next.record(&event(2)).unwrap();
    world.checkpoint(&next, Cover::All);
    sound(&archive.verify(Some(&world.verifier()), &[]).unwrap());
}

#[test]
fn a_line_that_is_longer_than_ours_is_none_and_what_is_behind_it_is_shown() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let (archive, path) = trail(&world, directory.path());
    let content = fs::read_to_string(&path).unwrap();
    let (first, rest) = content.split_once('\n').unwrap();
    let padded =
        first.replacen("\"eventVersion\"", &(" ".repeat(LINE_MAX) + "\"eventVersion\""), 1);
    for long in ["x".repeat(LINE_MAX * 3), padded] {
        fs::write(&path, format!("{first}\n{long}\n{rest}")).unwrap();
        let finding = &archive.verify(None, &[]).unwrap().findings[0];
        assert_eq!((finding.record, &finding.damage), (Some(2), &Damage::Inserted));
        let (mut records, mut others) = (0, 0);
        let mut count = |read: Read<'_>| {
            match read {
                Read::Record(..) => records += 1,
                Read::Unreadable(_) => others += 1,
            }
            Ok(())
        };
        archive.visit(None, &mut count).unwrap();
        assert_eq!((records, others), (3, 1));
    }
}

#[test]
fn what_steers_a_terminal_is_no_record() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let (archive, path) = trail(&world, directory.path());
    let content = fs::read_to_string(&path).unwrap();
    for steering in ["\u{1b}[2J", "\u{9b}2J", "\u{202e}", "\r"] {
        fs::write(&path, content.replacen("\"x\"", &format!("\"{steering}\""), 1)).unwrap();
        let mut shown = String::new();
        let mut show = |read: Read<'_>| {
            if let Read::Record(_, line) = read {
                shown.push_str(line);
            }
            Ok(())
        };
        archive.visit(None, &mut show).unwrap();
        assert!(!shown.contains(steering), "{shown}");
        let report = archive.verify(None, &[]).unwrap();
        assert_eq!(report.findings[0].record, Some(2), "{report:?}");
    }
}

#[test]
fn more_segments_than_files_may_be_open_are_shown_followed_and_verified() {
    const SEGMENTS: u64 = 1200;
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let (archive, path) = trail(&world, directory.path());
    let content = fs::read_to_string(&path).unwrap();
    let id = path.file_stem().unwrap().to_str().unwrap();
    let mut follower = archive.follow().unwrap();
    // All of them begin at once, and end later than any begins.
    for number in 0..SEGMENTS {
        let other = format!("{}{number:016x}", &id[..id.len() - 16]);
        let mut head = Head::EMPTY;
        let mut copy = String::new();
        for line in content.lines() {
            let previous = Beginning::read(line.as_bytes()).unwrap().previous.to_string();
            let line = line.replace(id, &other).replace(&previous, &head.hash.to_string());
            head = head.with(line.as_bytes());
            copy = copy + &line + "\n";
        }
        let path = path.with_file_name(format!("{other}.jsonl"));
        File::create(&path).unwrap().write_all_at(copy.as_bytes(), 0).unwrap();
    }
    assert_eq!(lines(&archive).len() as u64, 3 * (SEGMENTS + 1));
    let mut followed = 0;
    follower
        .look(&mut |_| {
            followed += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(followed, 3 * SEGMENTS);
    sound(&archive.verify(None, &[]).unwrap());
}
