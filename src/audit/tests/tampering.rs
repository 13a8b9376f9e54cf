use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// A trail of two segments of several records in files, covered by a checkpoint; and what
/// is in them.
struct Trails {
    world: World,
    directory: tempfile::TempDir,
    segments: Vec<(PathBuf, Vec<u8>)>,
}

impl Trails {
    fn new() -> Self {
        let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
        let one = world.trail(directory.path());
        let two = {
            one.record(&event(0)).unwrap();
            world.trail(directory.path())
        };
        for number in 1..6 {
            world.later();
            one.record(&event(number)).unwrap();
            two.record(&event(10 * number)).unwrap();
        }
        two.close().unwrap();
        world.checkpoint(&one, Cover::Own);
        let mut trails = Self { world, directory, segments: Vec::new() };
        trails.look();
        drop(one);
        // As it was before that ended its segment.
        trails.restore();
        assert_eq!(trails.segments.len(), 2);
        trails
    }

    /// Several writers, each with several segments, and several checkpoints.
    fn rotated() -> Self {
        let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
        world.settings.segment_size = 2500;
        let writers = [(); 3].map(|()| world.trail(directory.path()));
        for number in 0..18 {
            world.later();
            let writer = &writers[number % 3];
            writer.record(&event(number as u64)).unwrap();
            if number % 5 == 4 {
                world.checkpoint(writer, Cover::Own);
            }
        }
        for writer in &writers {
            writer.close().unwrap();
        }
        world.checkpoint(&writers[0], Cover::All);
        let mut trails = Self { world, directory, segments: Vec::new() };
        trails.look();
        assert!(trails.segments.len() > 6, "{:?}", trails.segments);
        trails
    }

    /// Keeps what is there.
    fn look(&mut self) {
        for id in self.archive().segments().unwrap() {
            let path = self.path(&format!("{id}.jsonl"));
            let content = fs::read(&path).unwrap();
            self.segments.push((path, content));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(DIRECTORY).join(name)
    }

    fn archive(&self) -> Archive {
        Archive::in_directory(self.directory.path().join(DIRECTORY))
    }

    fn restore(&self) {
        for (path, content) in &self.segments {
            fs::write(path, content).unwrap();
        }
    }

    fn verify(&self) -> Report {
        self.archive().verify(Some(&self.world.verifier()), &[]).unwrap()
    }

    /// Puts other content into a segment; what verification finds.
    fn with(&self, segment: usize, content: &[u8]) -> Report {
        fs::write(&self.segments[segment].0, content).unwrap();
        let report = self.verify();
        fs::write(&self.segments[segment].0, &self.segments[segment].1).unwrap();
        report
    }

    fn lines(&self, segment: usize) -> Vec<&[u8]> {
        self.segments[segment].1.split_inclusive(|byte| *byte == b'\n').collect()
    }
}

/// The number of the first line that differs, from 1.
fn first_difference(before: &[u8], after: &[u8]) -> u64 {
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    before[..same].iter().filter(|byte| **byte == b'\n').count() as u64 + 1
}

/// One finding, of that segment and the first record that differs; or no more than a
/// torn end behind the last record.
#[track_caller]
fn named(trails: &Trails, segment: usize, after: &[u8]) {
    let before = &trails.segments[segment].1;
    let report = trails.with(segment, after);
    let record = first_difference(before, after);
    let name = trails.segments[segment].0.file_stem().unwrap().to_str().unwrap();
    let is_behind = record > trails.lines(segment).len() as u64;
    if let ([], [torn], true) = (&report.findings[..], &report.torn[..], is_behind) {
        assert_eq!((torn.segment.as_str(), torn.record), (name, record));
        return;
    }
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((&*finding.place, finding.record), (name, Some(record)), "{finding}");
}

#[test]
fn a_trail_that_nobody_touched_is_sound() {
    let trails = Trails::new();
    let report = trails.verify();
    sound(&report);
    // Start or continue, six and five events, and the end of the second.
    assert_eq!((report.segments, report.records, report.uncovered), (2, 14, 0));
    assert_eq!(report.checkpoints.len(), 1);
    let report = trails.archive().verify(None, &[]).unwrap();
    sound(&report);
    assert_eq!((report.uncovered, report.passed_over.len()), (14, 1));
}

#[test]
fn every_byte_that_is_changed_is_found_in_its_record() {
    let trails = Trails::new();
    for (segment, (_, content)) in trails.segments.iter().enumerate() {
        for at in (0..content.len()).step_by(37) {
            let mut after = content.clone();
            after[at] ^= 1;
            named(&trails, segment, &after);
        }
        for (at, _) in content.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let mut after = content.clone();
            after[at] = b' ';
            named(&trails, segment, &after);
        }
    }
}

#[test]
fn every_line_that_is_removed_doubled_or_swapped_is_found_in_its_place() {
    let trails = Trails::new();
    for segment in 0..2 {
        let lines = trails.lines(segment);
        for one in 0..lines.len() {
            let mut after = lines.clone();
            after.remove(one);
            named(&trails, segment, &after.concat());
            for other in 0..lines.len() {
                let mut after = lines.clone();
                after.insert(other, lines[one]);
                named(&trails, segment, &after.concat());
                if other != one {
                    let mut after = lines.clone();
                    after[other] = lines[one];
                    named(&trails, segment, &after.concat());
                    let mut after = lines.clone();
                    after.swap(one, other);
                    named(&trails, segment, &after.concat());
                }
            }
        }
        // A line of the other segment.
        for at in 0..=lines.len() {
            let mut after = lines.clone();
            after.insert(at, trails.lines(1 - segment)[2]);
            named(&trails, segment, &after.concat());
        }
    }
}

#[test]
fn a_forged_line_with_the_right_hash_and_all_behind_it_is_found_by_the_checkpoint() {
    let trails = Trails::new();
    let mut head = Head::EMPTY;
    let mut forged = Vec::new();
    for line in trails.lines(0) {
        let line = String::from_utf8(line.strip_suffix(b"\n").unwrap().to_vec()).unwrap();
        let previous = Beginning::read(line.as_bytes()).unwrap().previous.to_string();
        let line =
            line.replace(&previous, &head.hash.to_string()).replace("\"number\":2", "\"number\":7");
        head = head.with(line.as_bytes());
        forged.extend_from_slice(line.as_bytes());
        forged.push(b'\n');
    }
    let report = trails.with(0, &forged);
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(matches!(finding.damage, Damage::Rewritten { .. }), "{finding}");
    assert_eq!(finding.record, Some(trails.lines(0).len() as u64));
}

#[test]
fn a_segment_that_is_gone_or_cut_is_found_by_what_knows_of_it() {
    let trails = Trails::new();
    for segment in 0..2 {
        let (path, content) = &trails.segments[segment];
        fs::remove_file(path).unwrap();
        let report = trails.verify();
        let [finding] = &report.findings[..] else { panic!("{report:?}") };
        assert!(matches!(finding.damage, Damage::Removed { .. }), "{finding}");
        fs::write(path, content).unwrap();
        for (number, line) in trails.lines(segment).iter().enumerate() {
            let at: usize = trails.lines(segment)[..number].iter().map(|line| line.len()).sum();
            // Between two lines, and within one.
            for at in [at, at + line.len() / 2] {
                named(&trails, segment, &content[..at]);
            }
        }
    }
}

/// The one thing that is wrong.
#[track_caller]
fn only(report: Report) -> Finding {
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    finding.clone()
}

#[test]
fn what_is_done_to_any_record_of_many_segments_is_named() {
    let trails = Trails::rotated();
    sound(&trails.verify());
    for segment in 0..trails.segments.len() {
        let lines = trails.lines(segment);
        let other = trails.lines((segment + 1) % trails.segments.len());
        for at in 0..lines.len() {
            let edited = String::from_utf8(lines[at].to_vec()).unwrap();
            let edited =
                edited.replacen("\"eventVersion\":\"1.09\"", "\"eventVersion\":\"1.08\"", 1);
            let changes = [
                [&lines[..at], &[edited.as_bytes()], &lines[at + 1..]].concat(),
                [&lines[..at], &lines[at + 1..]].concat(),
                [&lines[..=at], &lines[at..]].concat(),
                [&lines[..at], &other[..1], &lines[at..]].concat(),
                lines[..at].to_vec(),
            ];
            for after in changes {
                named(&trails, segment, &after.concat());
            }
        }
    }
}

#[test]
fn a_segment_that_is_removed_swapped_or_of_another_token_is_named() {
    let trails = Trails::rotated();
    let count = trails.segments.len();
    for (number, (path, content)) in trails.segments.iter().enumerate() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        fs::remove_file(path).unwrap();
        let finding = only(trails.verify());
        assert!(matches!(finding.damage, Damage::Removed { .. }), "{finding}");
        assert_eq!(finding.place, name);
        // In the place of another, and that in its place.
        let (other, others) = &trails.segments[(number + 1) % count];
        fs::write(path, others).unwrap();
        fs::write(other, content).unwrap();
        let report = trails.verify();
        let mut found: Vec<_> =
            report.findings.iter().map(|finding| (&*finding.place, finding.record)).collect();
        let other = other.file_stem().unwrap().to_str().unwrap();
        let mut expected = [(name, Some(1)), (other, Some(1))];
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        trails.restore();
    }
    sound(&trails.verify());
    let scope = Scope::of("8899aabbccddeeff", Home::DEFAULT);
    let elsewhere = trails.directory.path().join("elsewhere");
    let world = &trails.world;
    let foreign =
        Trail::in_directory(elsewhere.clone(), scope, world.surroundings(), world.settings);
    foreign.record(&event(1)).unwrap();
    let id = foreign.archive().segments().unwrap().remove(0);
    drop(foreign);
    fs::copy(elsewhere.join(format!("{id}.jsonl")), trails.path(&format!("{id}.jsonl"))).unwrap();
    let finding = only(trails.verify());
    assert_eq!((&*finding.place, finding.record), (id.as_str(), Some(1)));
    assert_eq!(finding.damage, Damage::Foreign { token: "8899aabbccddeeff".into() });
}

#[test]
fn a_checkpoint_that_is_removed_changed_or_put_back_is_named() {
    let trails = Trails::rotated();
    let path = trails.path("checkpoint");
    let old = fs::read_to_string(&path).unwrap();
    let one = trails.world.trail(trails.directory.path());
    one.record(&event(50)).unwrap();
    trails.world.checkpoint(&one, Cover::Own);
    let new = fs::read_to_string(&path).unwrap();
    // What knows of the newest is another writer, who began since.
    let two = trails.world.trail(trails.directory.path());
    two.record(&event(51)).unwrap();
    sound(&trails.verify());
    let knows = |known_by: &str| known_by.contains(", record ");
    fs::write(&path, old).unwrap();
    let finding = only(trails.verify());
    let Damage::PutBack { number: 5, known_by } = &finding.damage else { panic!("{finding}") };
    assert!(finding.place == "checkpoint" && knows(known_by), "{finding}");
    fs::remove_file(&path).unwrap();
    let finding = only(trails.verify());
    let Damage::Removed { known_by } = &finding.damage else { panic!("{finding}") };
    assert!(finding.place == "checkpoint" && knows(known_by), "{finding}");
    fs::write(&path, new.replacen("checkpoint 5", "checkpoint 6", 1)).unwrap();
    let finding = only(trails.verify());
    assert_eq!(finding.damage, Damage::Checkpoint("its signature is wrong"));
    // Signed anew with a key that is not the token's.
    fs::write(&path, &new).unwrap();
    let forger = SigningKey::new(&OsEntropy).unwrap();
    let checkpoint = Checkpoint::open(&new, &trails.world.verifier()).unwrap();
    fs::write(&path, checkpoint.sign(&forger)).unwrap();
    let finding = only(trails.verify());
    assert!(matches!(finding.damage, Damage::PutBack { number: 5, .. }), "{finding}");
    // A new one that begins from nothing does not cover it up.
    fs::remove_file(&path).unwrap();
    trails.world.checkpoint(&two, Cover::All);
    let finding = only(trails.verify());
    assert!(matches!(finding.damage, Damage::PutBack { number: 5, .. }), "{finding}");
}

#[test]
fn what_cannot_be_read_is_named_and_keeps_nothing_else_from_being_verified() {
    use nix::sys::stat::Mode;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let trails = Trails::rotated();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    let put: [&dyn Fn(&Path); 4] = [
        &|path| symlink("/dev/zero", path).unwrap(),
        &|path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
        &|path| fs::create_dir(path).unwrap(),
        &|path| {
            fs::write(path, "").unwrap();
            open(path);
        },
    ];
    let checkpoint = trails.path("checkpoint");
    let aside = trails.path("checkpoint-1");
    let (segment, content) = &trails.segments[2];
    let note = fs::read(&checkpoint).unwrap();
    for (path, content) in [(segment, content), (&checkpoint, &note), (&aside, &Vec::new())] {
        for put in put {
            let _ = fs::remove_file(path);
            put(path);
            let finding = only(trails.verify());
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(finding.place, name);
            assert!(matches!(finding.damage, Damage::Unreadable { .. }), "{finding}");
            let shown = trails.archive().visit(None, &mut |_| Ok(()));
            shown.unwrap();
            trails.archive().follow().unwrap().look(&mut |_| Ok(())).unwrap();
            fs::remove_file(path).or_else(|_| fs::remove_dir(path)).unwrap();
        }
        fs::write(path, content).unwrap();
    }
    fs::remove_file(&aside).unwrap();
    sound(&trails.verify());
}

#[test]
fn an_older_checkpoint_put_back_is_found_by_one_that_is_held() {
    let trails = Trails::new();
    let path = trails.directory.path().join(DIRECTORY).join("checkpoint");
    let old = fs::read_to_string(&path).unwrap();
    let one = trails.world.trail(trails.directory.path());
    one.record(&event(99)).unwrap();
    let note = trails.world.checkpoint(&one, Cover::All);
    drop(one);
    sound(&trails.verify());
    fs::write(&path, old).unwrap();
    trails.restore();
    // All agrees with itself: only who holds the later checkpoint sees it.
    sound(&trails.verify());
    let held = [Held { name: "mine".into(), note: note.clone() }];
    let report = trails.archive().verify(Some(&trails.world.verifier()), &held).unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    let Damage::Missing { known_by: Some(known_by), .. } = &finding.damage else {
        panic!("{finding}")
    };
    assert!(known_by.starts_with("mine (number 2 of "), "{known_by}");
    // One that was tampered with itself.
    let held =
        [Held { name: "mine".into(), note: note.replacen("checkpoint 2", "checkpoint 3", 1) }];
    let report = trails.archive().verify(Some(&trails.world.verifier()), &held).unwrap();
    assert_eq!(report.findings[0].damage, Damage::Checkpoint("its signature is wrong"));
}

#[test]
fn a_new_checkpoint_does_not_cover_up_what_was_done() {
    for segment in 0..2 {
        let trails = Trails::new();
        let lines = trails.lines(segment);
        fs::write(&trails.segments[segment].0, lines[..lines.len() - 2].concat()).unwrap();
        let before = trails.verify();
        assert_eq!(before.findings.len(), 1, "{before:?}");
        // Goes on with what was cut, perhaps.
        let one = trails.world.trail(trails.directory.path());
        for number in 0..5 {
            one.record(&event(number)).unwrap();
            trails.world.checkpoint(&one, Cover::All);
        }
        drop(one);
        let after = trails.verify();
        assert_eq!(after.findings.len(), 1, "{after:?}");
        assert_eq!(after.findings[0].place, before.findings[0].place);
    }
}

#[test]
fn a_torn_end_is_told_from_a_forged_one() {
    let trails = Trails::new();
    let (path, content) = &trails.segments[0];
    let line = trails.lines(0)[3];
    // As a kill leaves it, and as a power cut does.
    for end in [&line[..line.len() / 2], &[0; 700], &[&[0; 512], &line[512..]].concat()] {
        let report = trails.with(0, &[content, end].concat());
        sound(&report);
        assert_eq!(report.torn.len(), 1, "{report:?}");
        assert_eq!(report.torn[0].record, trails.lines(0).len() as u64 + 1);
    }
    let report = trails.with(0, &[content, line].concat());
    assert_eq!(report.findings.len(), 1, "{report:?}");
    // Nobody writes behind it.
    fs::write(path, [content, &line[..100]].concat()).unwrap();
    let next = trails.world.trail(trails.directory.path());
    next.record(&event(50)).unwrap();
    trails.world.checkpoint(&next, Cover::All);
    drop(next);
    assert!(fs::read(path).unwrap().ends_with(&line[..100]));
    let report = trails.verify();
    sound(&report);
    assert_eq!(report.torn.len(), 1, "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_single_change_is_found_and_named(
        changes in prop::collection::vec((0..2_usize, any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 24)
    ) {
        let trails = Trails::new();
        for (segment, at, byte, what) in changes {
            let mut after = trails.segments[segment].1.clone();
            let at = at.index(after.len());
            match what {
                0 => after[at] = byte,
                1 => after.insert(at, byte),
                _ => drop(after.remove(at)),
            }
            if after != trails.segments[segment].1 {
                named(&trails, segment, &after);
            }
        }
    }
}
