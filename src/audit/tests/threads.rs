use super::*;

#[test]
fn threads_share_syncs_and_lose_nothing() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let trail = world.trail(directory.path());
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let trail = &trail;
            scope.spawn(move || {
                for number in 0..8 {
                    trail.record(&event(1000 * thread + number)).unwrap().unwrap();
                }
            });
        }
    });
    let lines = lines(&trail.archive());
    let mut numbers: Vec<_> =
        lines.iter().filter_map(|line| line["additionalEventData"]["number"].as_u64()).collect();
    for thread in 0..64 {
        let of_thread = numbers.iter().filter(|number| **number / 1000 == thread);
        assert!(of_thread.is_sorted());
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 64 * 8);
    sound(&trail.archive().verify(None, &[]).unwrap());
}

#[test]
fn checkpoints_amid_writing_find_nothing_wrong() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.segment_size = 20_000;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let trail = world.trail(directory.path());
            let world = &world;
            scope.spawn(move || {
                for number in 0..30 {
                    trail.note(&event(1000 * thread + number)).unwrap().unwrap();
                    if number % 7 == thread {
                        let cover = if thread == 0 { Cover::All } else { Cover::Own };
                        world.checkpoint(&trail, cover);
                    }
                }
            });
        }
    });
    let trail = world.trail(directory.path());
    trail.record(&event(1)).unwrap();
    world.checkpoint(&trail, Cover::Own);
    let report = trail.archive().verify(Some(&world.verifier()), &[]).unwrap();
    sound(&report);
    assert_eq!(report.uncovered, 0, "{report:?}");
}

#[test]
fn a_trail_that_is_verified_while_segments_go_is_sound() {
    let (mut world, directory) = (World::new(), tempfile::tempdir().unwrap());
    world.settings.segment_size = 1500;
    world.settings.retention = Some(Retention::Bytes(4000));
    let trail = world.trail(directory.path());
    trail.record(&event(0)).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..60 {
                world.later();
                trail.record(&event(number)).unwrap();
                world.checkpoint(&trail, Cover::Own);
            }
            is_done.store(true, std::sync::atomic::Ordering::Release);
        });
        let archive = trail.archive();
        while !is_done.load(std::sync::atomic::Ordering::Acquire) {
            sound(&archive.verify(Some(&world.verifier()), &[]).unwrap());
        }
    });
    assert!(names(&trail.archive()).contains(&"RemoveAuditSegments".to_owned()));
}
