use super::*;
use crate::clock::Clock;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_segment_says_who_writes_and_what_came_before() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let one = world.trail(directory.path());
    let id = one.record(&event(1)).unwrap().unwrap();
    world.later();
    let two = world.trail(directory.path());
    two.record(&event(2)).unwrap();
    let lines = lines(&one.archive());
    let named: Vec<_> = lines.iter().map(|line| line["eventName"].as_str().unwrap()).collect();
    assert_eq!(named, ["StartAuditSegment", "CreateKey", "StartAuditSegment", "CreateKey"]);
    let process = Process::this();
    let start = &lines[0];
    assert_eq!(start["additionalEventData"]["token"], SERIAL);
    assert_eq!(start["additionalEventData"]["pid"], process.pid);
    assert_eq!(start["additionalEventData"]["uid"], process.uid);
    assert_eq!(start["additionalEventData"]["program"], process.program);
    assert_eq!(start["eventType"], "AwsServiceEvent");
    assert_eq!(lines[1]["eventID"], id.to_string());
    let follows = lines[2]["additionalEventData"]["follows"].as_str().unwrap();
    let first = start["trail"]["segment"].as_str().unwrap();
    assert!(follows.starts_with(&format!("{first} 2 ")), "{follows}");
    sound(&one.archive().verify(None, &[]).unwrap());
}

#[test]
fn a_record_has_the_fields_of_cloudtrail() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let trail = world.trail(directory.path());
    let origin = Origin { address: "192.0.2.7".into(), agent: "aws-cli/2.0".into() };
    let identity = Identity::Role {
        role: "producer".into(),
        unique_id: "AROAEXAMPLE".into(),
        session: "s1".into(),
        access_key: Some("AKIAEXAMPLE".into()),
    };
    let error = Err::<(), _>(crate::error::Error::KeyFunctionNotPermitted);
    let event = Event::new("kms:GenerateMac", identity)
        .from(origin, "request-1".into())
        .read_only()
        .with("keyId", "alias/jwt")
        .with("macAlgorithm", "HMAC_SHA_256")
        .on(Resource::Key("b1c2".into()))
        .on(Resource::Alias("alias/jwt".into()))
        .ended(&error);
    trail.record(&event).unwrap();
    let line = lines(&trail.archive()).pop().unwrap();
    for (pointer, expected) in [
        ("/eventVersion", "1.09"),
        ("/eventTime", "2026-11-24T01:56:53Z"),
        ("/eventSource", "kms.amazonaws.com"),
        ("/eventName", "GenerateMac"),
        ("/userIdentity/type", "AssumedRole"),
        ("/userIdentity/principalId", "AROAEXAMPLE:s1"),
        ("/userIdentity/arn", "arn:aws:sts::000000000000:assumed-role/producer/s1"),
        ("/userIdentity/accessKeyId", "AKIAEXAMPLE"),
        (
            "/userIdentity/sessionContext/sessionIssuer/arn",
            "arn:aws:iam::000000000000:role/producer",
        ),
        ("/awsRegion", "us-east-1"),
        ("/sourceIPAddress", "192.0.2.7"),
        ("/userAgent", "aws-cli/2.0"),
        ("/errorCode", "KeyFunctionNotPermitted"),
        ("/errorMessage", "the key may not be used for this"),
        ("/requestParameters/macAlgorithm", "HMAC_SHA_256"),
        ("/requestID", "request-1"),
        ("/resources/0/ARN", "arn:aws:kms:us-east-1:000000000000:key/b1c2"),
        ("/resources/0/type", "AWS::KMS::Key"),
        ("/resources/1/ARN", "arn:aws:kms:us-east-1:000000000000:alias/jwt"),
        ("/eventType", "AwsApiCall"),
        ("/recipientAccountId", "000000000000"),
        ("/eventCategory", "Management"),
    ] {
        assert_eq!(line.pointer(pointer).unwrap(), expected, "{pointer}");
    }
    assert_eq!(line["readOnly"], true);
    assert_eq!(line["managementEvent"], true);
    assert!(line["responseElements"].is_null());
}

#[test]
fn texts_are_cut_and_cannot_make_a_line() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let trail = world.trail(directory.path());
    let hostile = format!("\"}}\n{{\"trail\":{{\"segment\":\"{}\u{202e}\0", "é".repeat(500));
    let event = Event::new(
        "signet:CopyKey",
        Identity::User {
            name: (&*hostile).into(),
            unique_id: (&*hostile).into(),
            access_key: None,
        },
    )
    .with("label", &*hostile)
    .refused(&hostile, &hostile)
    .noting("follows", &*hostile)
    .on(Resource::Key((&*hostile).into()));
    trail.record(&event).unwrap();
    let line = lines(&trail.archive()).pop().unwrap();
    let label = line["requestParameters"]["label"].as_str().unwrap();
    assert!(label.len() <= Text::MAX_LEN && hostile.starts_with(label));
    sound(&trail.archive().verify(None, &[]).unwrap());
    // A policy of full size fits.
    let policy = Value::Document(Document::new(&"\u{1}".repeat(40_000)));
    trail.record(&Event::new("kms:PutKeyPolicy", Identity::Root).with("policy", policy)).unwrap();
    assert!(lines(&trail.archive()).pop().unwrap()["requestParameters"]["policy"].is_string());
}

#[test]
fn a_segment_of_today_that_nobody_has_is_gone_on_with() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    for number in 0..3 {
        let trail = world.trail(directory.path());
        trail.record(&event(number)).unwrap();
        world.later();
        // Killed the second time: its lock goes, and no end is written.
        if number == 1 {
            trail.abandon();
        }
    }
    let archive = world.trail(directory.path()).archive();
    assert_eq!(archive.segments().unwrap().len(), 1);
    let goes_on = "ContinueAuditSegment";
    let [start, create, end] = ["StartAuditSegment", "CreateKey", "EndAuditSegment"];
    assert_eq!(names(&archive), [start, create, end, goes_on, create, goes_on, create, end]);
    let lines = lines(&archive);
    assert_eq!(lines[5]["additionalEventData"]["interrupted"], true);
    assert!(lines[3]["additionalEventData"].get("interrupted").is_none());
    // Two at once have one each.
    let [one, two] = [(); 2].map(|()| world.trail(directory.path()));
    one.record(&event(5)).unwrap();
    two.record(&event(6)).unwrap();
    assert_eq!(archive.segments().unwrap().len(), 2);
    // The next day begins with another.
    drop((one, two));
    world.clock.advance(Duration::from_secs(86_400));
    world.trail(directory.path()).record(&event(7)).unwrap();
    assert_eq!(archive.segments().unwrap().len(), 3);
    sound(&archive.verify(None, &[]).unwrap());
}

#[test]
fn a_segment_of_another_start_of_the_machine_is_gone_on_with_only_if_it_was_ended() {
    for is_ended in [true, false] {
        let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
        let trail = world.trail(directory.path());
        trail.record(&event(1)).unwrap();
        if is_ended {
            trail.close().unwrap()
        } else {
            trail.abandon()
        }
        let next = world.trail(directory.path()).of_boot(Boot::of("another"));
        next.record(&event(2)).unwrap();
        let segments = if is_ended { 1 } else { 2 };
        assert_eq!(next.archive().segments().unwrap().len(), segments);
    }
}

#[test]
fn a_full_segment_is_ended_and_another_begun() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.segment_size = 4096;
    let trail = world.trail(directory.path());
    for number in 0..20 {
        trail.record(&event(number)).unwrap();
        world.later();
    }
    let archive = trail.archive();
    let segments = archive.segments().unwrap();
    assert!((3..=8).contains(&segments.len()), "{segments:?}");
    for id in &segments {
        let path = directory.path().join(format!("{DIRECTORY}/{id}.jsonl"));
        let found = fs::metadata(path).unwrap();
        assert!(found.len() < 4096 + 2048, "{}", found.len());
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
    }
    let directory = fs::metadata(directory.path().join(DIRECTORY)).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    let numbers: Vec<_> = lines(&archive)
        .iter()
        .filter_map(|line| line["additionalEventData"]["number"].as_u64())
        .collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    sound(&archive.verify(None, &[]).unwrap());
}

#[test]
fn what_cannot_be_recorded_is_told_once_or_refused() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    // Somebody could have put it there.
    std::os::unix::fs::symlink("/nonexistent", directory.path().join(DIRECTORY)).unwrap();
    let trail = world.trail(directory.path());
    trail.require().unwrap();
    for _ in 0..2 {
        assert_eq!(trail.record(&event(1)), Ok(None));
    }
    let told = world.log.0.lock().clone();
    assert!(
        matches!(&told[..], [only] if only.starts_with("ERROR: ") && only.contains("symbolic link")),
        "{told:?}"
    );
    world.settings.required = true;
    let trail = world.trail(directory.path());
    for refused in
        [trail.require().err(), trail.record(&event(1)).err(), trail.note(&event(1)).err()]
    {
        assert!(matches!(refused, Some(crate::error::Error::AuditUnavailable(_))), "{refused:?}");
    }
    assert_eq!(world.log.0.lock().len(), 1);
    fs::remove_file(directory.path().join(DIRECTORY)).unwrap();
    trail.require().unwrap();
    assert!(trail.record(&event(1)).unwrap().is_some());
}

#[test]
fn old_segments_go_when_a_checkpoint_covers_them() {
    for retention in [Retention::Days(2), Retention::Bytes(2500)] {
        let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
        world.settings.retention = Some(retention);
        let (mut held, mut first) = (Vec::new(), None);
        for day in 0..6 {
            let trail = world.trail(directory.path());
            trail.record(&event(day)).unwrap();
            let note = world.checkpoint(&trail, Cover::Own);
            held.push(Held { name: format!("day {day}"), note });
            let segments = trail.archive().segments().unwrap();
            first.get_or_insert(segments[0].clone());
            assert!(segments.len() <= 4, "{retention:?} {day}: {segments:?}");
            world.clock.advance(Duration::from_secs(86_400));
        }
        let archive = world.trail(directory.path()).archive();
        assert!(!archive.segments().unwrap().contains(&first.unwrap()));
        assert!(names(&archive).contains(&"RemoveAuditSegments".to_owned()));
        // Neither by those that rely on them nor by old checkpoints are they missed.
        let verifier = world.verifier();
        sound(&archive.verify(Some(&verifier), &held).unwrap());
        // One more that goes is missed.
        let next = archive.segments().unwrap()[0].clone();
        fs::remove_file(directory.path().join(format!("{DIRECTORY}/{next}.jsonl"))).unwrap();
        let report = archive.verify(Some(&verifier), &held).unwrap();
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert_eq!(report.findings[0].place, next.to_string());
    }
}

#[test]
fn nothing_goes_that_no_checkpoint_covers_or_somebody_writes() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.retention = Some(Retention::Days(1));
    let uncovered = world.trail(directory.path());
    uncovered.record(&event(1)).unwrap();
    world.clock.advance(Duration::from_secs(10 * 86_400));
    let next = world.trail(directory.path());
    next.record(&event(2)).unwrap();
    // Covered by the first, but its writer lives.
    for _ in 0..2 {
        world.checkpoint(&next, Cover::All);
        assert_eq!(next.archive().segments().unwrap().len(), 2);
    }
    uncovered.abandon();
    world.checkpoint(&next, Cover::Own);
    assert_eq!(next.archive().segments().unwrap().len(), 1);
    let verifier = world.verifier();
    sound(&next.archive().verify(Some(&verifier), &[]).unwrap());
}

#[test]
fn a_torn_end_keeps_nothing_from_being_removed() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.retention = Some(Retention::Days(1));
    let killed = world.trail(directory.path());
    killed.record(&event(1)).unwrap();
    let id = killed.archive().segments().unwrap().remove(0);
    killed.abandon();
    let path = directory.path().join(format!("{DIRECTORY}/{id}.jsonl"));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"trail\":{\"segm"].concat()).unwrap();
    world.clock.advance(Duration::from_secs(10 * 86_400));
    let next = world.trail(directory.path());
    next.record(&event(2)).unwrap();
    world.checkpoint(&next, Cover::Own);
    assert_eq!(next.archive().segments().unwrap().len(), 2, "not covered before");
    // What was changed stays, whatever its age.
    fs::write(&path, [&whole[..], b"{}\n"].concat()).unwrap();
    world.checkpoint(&next, Cover::Own);
    assert_eq!(next.archive().segments().unwrap().len(), 2, "not torn");
    fs::write(&path, [&whole[..], b"{\"trail\":{\"segm"].concat()).unwrap();
    world.checkpoint(&next, Cover::Own);
    assert_eq!(next.archive().segments().unwrap().len(), 1);
    sound(&next.archive().verify(Some(&world.verifier()), &[]).unwrap());
}

#[test]
fn nothing_that_is_recorded_after_the_clock_went_back_is_taken_for_old() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.retention = Some(Retention::Days(2));
    let start = world.clock.now();
    let [first, other] = [0, 10].map(|day| {
        world.clock.set(start + Duration::from_secs(day * 86_400));
        let trail = world.trail(directory.path());
        trail.record(&event(day)).unwrap();
        trail
    });
    world.checkpoint(&first, Cover::Own);
    drop(first);
    for _ in 0..2 {
        world.checkpoint(&other, Cover::Own);
    }
    assert_eq!(other.archive().segments().unwrap().len(), 1);
    let numbers = |archive: &Archive| -> Vec<_> {
        let lines = lines(archive);
        let numbers = lines.iter();
        let numbers = numbers.filter_map(|line| line["additionalEventData"]["number"].as_u64());
        numbers.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    world.clock.set(start + Duration::from_secs(5 * 86_400));
    for number in [20, 21] {
        let trail = world.trail(directory.path());
        trail.record(&event(number)).unwrap();
        assert_eq!(trail.archive().segments().unwrap().len(), 2);
    }
    world.later();
    world.trail(directory.path()).record(&event(22)).unwrap();
    for _ in 0..3 {
        world.checkpoint(&other, Cover::Own);
    }
    assert_eq!(numbers(&other.archive()), [10, 20, 21, 22]);
    let report = other.archive().verify(Some(&world.verifier()), &[]).unwrap();
    sound(&report);
    assert_eq!(report.uncovered, 0);
}

#[test]
fn a_trail_in_memory_is_one_like_any_other() {
    let (world, memory) = (World::new(), Arc::new(Memory::default()));
    let scope = Scope::of(SERIAL, Home::DEFAULT);
    let trail =
        Trail::in_memory(memory.clone(), scope.clone(), world.surroundings(), world.settings);
    let mut follower = trail.archive().follow().unwrap();
    trail.record(&event(1)).unwrap();
    world.later();
    let other = Trail::in_memory(memory, scope, world.surroundings(), world.settings);
    other.record(&event(2)).unwrap();
    drop(other);
    world.checkpoint(&trail, Cover::Own);
    let report = trail.archive().verify(Some(&world.verifier()), &[]).unwrap();
    sound(&report);
    assert_eq!((report.records, report.uncovered), (5, 0));
    let mut seen = Vec::new();
    let mut look = |read: Read<'_>| {
        let Read::Record(beginning, _) = read else { panic!("{read:?}") };
        seen.push(beginning.event_name.to_owned());
        Ok(())
    };
    follower.look(&mut look).unwrap();
    follower.look(&mut look).unwrap();
    let [start, create] = ["StartAuditSegment", "CreateKey"];
    assert_eq!(seen, [start, create, start, create, "EndAuditSegment"]);
}

#[test]
fn a_checkpoint_is_a_signed_note() {
    // The example of C2SP's signed-note: its key, and how it names it.
    let text = "example.com/foo+530d903b+ARpcSanjYyGPWWTZBCLHvjYHTGDeAxnZKvN1VRlzWWHC";
    let example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let peter: Verifier = example.parse().unwrap();
    assert_eq!(peter.to_string(), example);
    assert!(text.parse::<Verifier>().is_err());
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let unknown = Err("it is signed, but of a form that this version does not know");
    assert_eq!(Checkpoint::open(note, &peter), unknown);
    let wrong = note.replace("answer", "Answer");
    assert_eq!(Checkpoint::open(&wrong, &peter), Err("its signature is wrong"));

    let world = World::new();
    let trail = Trail::in_memory(
        Arc::default(),
        Scope::of(SERIAL, Home::DEFAULT),
        world.surroundings(),
        world.settings,
    );
    trail.record(&event(1)).unwrap();
    let note = world.checkpoint(&trail, Cover::Own);
    let verifier = world.verifier();
    let read = Checkpoint::open(&note, &verifier).unwrap();
    assert_eq!((read.number, read.kept_from.clone()), (1, None));
    assert_eq!(read.sign(&world.key), note);
    assert_eq!(verifier.to_string().parse(), Ok(verifier.clone()));
    let other = World::new();
    assert_eq!(Checkpoint::open(&note, &other.verifier()), Err("it is not signed with this key"));
    for at in
        (0..note.len()).filter(|at| note.is_char_boundary(*at) && note.is_char_boundary(at + 1))
    {
        let mut changed = note.clone();
        changed.replace_range(at..=at, if &note[at..=at] == "7" { "8" } else { "7" });
        assert!(Checkpoint::open(&changed, &verifier).is_err(), "{at}");
    }
}

#[test]
fn events_hold_no_secret_that_errors_or_names_could_bring() {
    // What is given to an event is a name or a number; nothing takes bytes. What errors
    // say is theirs to answer for: none carries a secret.
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let trail = world.trail(directory.path());
    let pin = crate::secret::Pin::copied(b"pin-that-is-secret");
    let error: Result<(), _> = Err(crate::error::Error::PinIncorrect);
    let noted = format!("{pin:?}");
    trail
        .record(&Event::new("signet:Login", Identity::Public).noting("pin", &*noted).ended(&error))
        .unwrap();
    let line = lines(&trail.archive()).pop().unwrap().to_string();
    assert!(!line.contains("pin-that-is-secret"), "{line}");
}
