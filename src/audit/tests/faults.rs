//! What a trail is after kills, failing disks, full disks and power cuts, at each call to
//! the disk: not damaged as far as verification tells, and with all that was acknowledged.

use super::disk::{Disk, Fault, Left, Seen};
use super::*;

/// Two processes that write and sign; and what they were told.
struct Play {
    world: World,
    disk: Arc<Disk>,
    /// What was acknowledged: all, and what is durable.
    noted: Vec<u64>,
    recorded: Vec<u64>,
    refused: usize,
}

const EVENTS: u64 = 10;

impl Play {
    fn new(retention: Option<Retention>) -> Self {
        let mut world = World::new();
        world.settings =
            Settings { required: true, retention, segment_size: 2000, ..Settings::DEFAULT };
        let (noted, recorded) = (Vec::new(), Vec::new());
        Self { world, disk: Arc::default(), noted, recorded, refused: 0 }
    }

    fn trail(&self, boot: &str) -> Trail {
        let (scope, seen) = (Scope::of(SERIAL, Home::DEFAULT), Seen(Arc::clone(&self.disk)));
        Trail::over(Arc::new(seen), scope, self.world.surroundings(), self.world.settings)
            .of_boot(Boot::of(boot))
    }

    fn act(&mut self) {
        let (one, two) = (self.trail("first"), self.trail("first"));
        for number in 0..EVENTS {
            self.world.later();
            let trail = if number % 3 == 0 { &two } else { &one };
            let is_durable = number % 4 != 1;
            let told = match is_durable {
                true => trail.record(&event(number)),
                false => trail.note(&event(number)),
            };
            match told {
                Ok(told) => {
                    assert!(told.is_some(), "{number} was lost in silence");
                    if is_durable { &mut self.recorded } else { &mut self.noted }.push(number);
                }
                Err(error) => {
                    assert!(matches!(error, Error::AuditUnavailable(_)), "{error}");
                    self.refused += 1;
                }
            }
            if number % 4 == 3 {
                let cover = if number % 8 == 3 { Cover::All } else { Cover::Own };
                let _ = trail.checkpoint(&self.world.key, cover, Duration::ZERO);
            }
        }
    }

    fn numbers(&self, archive: &Archive) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut take = |read: Read<'_>| {
            if let Read::Record(_, line) = read {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                numbers.extend(line["additionalEventData"]["number"].as_u64());
            }
            Ok(())
        };
        archive.visit(None, &mut take).unwrap();
        numbers
    }

    /// What it looks like after a restart that leaves this, and goes on from there.
    fn judge(&self, left: Left, case: &str) {
        self.disk.restart(left);
        let boot = if left == Left::All { "first" } else { "second" };
        let trail = self.trail(boot);
        let held = self.disk.history().into_iter().enumerate();
        let held: Vec<_> =
            held.map(|(number, note)| Held { name: format!("kept {number}"), note }).collect();
        let verify = |after: &str| {
            for verifier in [Some(&self.world.verifier()), None] {
                let held = if verifier.is_some() { &held[..] } else { &[] };
                let report = trail.archive().verify(verifier, held).unwrap();
                assert!(report.findings.is_empty(), "{case}, {after}: {report:?}");
            }
        };
        verify("after the restart");
        let numbers = self.numbers(&trail.archive());
        if self.world.settings.retention.is_none() {
            let noted = if left == Left::All { &self.noted[..] } else { &[] };
            for told in self.recorded.iter().chain(noted) {
                assert!(numbers.contains(told), "{case}: {told} was lost");
            }
        }
        self.world.later();
        trail.record(&event(100)).unwrap().unwrap();
        verify("when it went on");
        self.world.checkpoint(&trail, Cover::All);
        verify("when it was signed");
        let report = trail.archive().verify(Some(&self.world.verifier()), &held).unwrap();
        assert_eq!(report.uncovered, 0, "{case}: {report:?}");
    }
}

fn each_call(retention: Option<Retention>, fault: Fault, left: &[Left]) {
    let calls = {
        let mut play = Play::new(retention);
        play.act();
        assert_eq!(play.refused, 0);
        let calls = play.disk.calls();
        play.judge(Left::All, "undisturbed");
        calls
    };
    let mut refused = 0;
    for at in 0..calls {
        for left in left {
            let mut play = Play::new(retention);
            play.disk.plan(at, fault);
            play.act();
            assert_eq!(play.disk.is_dead(), fault == Fault::Kill);
            refused += play.refused;
            play.judge(*left, &format!("{fault:?} at call {at}, {left:?} left"));
        }
    }
    assert!(refused > 0, "no fault was ever noticed");
}

const RETENTION: Option<Retention> = Some(Retention::Bytes(4000));

#[test]
fn a_kill_at_any_call_damages_and_loses_nothing() {
    each_call(None, Fault::Kill, &[Left::All]);
    each_call(RETENTION, Fault::Kill, &[Left::All]);
}

#[test]
fn a_power_cut_at_any_call_damages_and_loses_nothing_that_was_durable() {
    each_call(None, Fault::Kill, &[Left::None, Left::Holes]);
    each_call(RETENTION, Fault::Kill, &[Left::Half, Left::Zeros]);
}

#[test]
fn a_disk_that_fails_at_any_call_damages_and_loses_nothing_that_was_acknowledged() {
    each_call(None, Fault::Fail(1), &[Left::All]);
    each_call(RETENTION, Fault::Fail(2), &[Left::All]);
    each_call(None, Fault::Fail(3), &[Left::None]);
}

#[test]
fn a_disk_that_is_full_from_any_call_on_damages_and_loses_nothing() {
    each_call(RETENTION, Fault::Full, &[Left::All]);
}

#[test]
fn what_could_not_be_made_durable_is_not_said_to_be_so_later() {
    let play = Play::new(None);
    let trail = play.trail("first");
    let append = |number| trail.append(&event(number)).unwrap().1;
    let fail_next = || play.disk.plan(play.disk.calls(), Fault::Fail(1));
    let (early, lost) = (append(1), append(2));
    fail_next();
    trail.commit(lost).unwrap_err();
    let kept = append(3);
    trail.commit(kept).unwrap();
    let lost_too = append(4);
    fail_next();
    trail.commit(lost_too).unwrap_err();
    for position in [early, lost, lost_too] {
        trail.commit(position).unwrap_err();
    }
    trail.commit(kept).unwrap();
}

#[test]
fn what_must_be_recorded_is_refused_beforehand_as_long_as_the_disk_is_full() {
    let play = Play::new(None);
    let trail = play.trail("first");
    trail.require().unwrap();
    trail.record(&event(1)).unwrap();
    play.disk.plan(play.disk.calls(), Fault::Full);
    // Nobody could know.
    trail.require().unwrap();
    trail.record(&event(2)).unwrap_err();
    for _ in 0..3 {
        trail.require().unwrap_err();
    }
    play.disk.plan(0, Fault::Fail(0));
    trail.require().unwrap();
    trail.record(&event(3)).unwrap();
    assert_eq!(play.numbers(&trail.archive()), [1, 3]);
    sound(&trail.archive().verify(None, &[]).unwrap());
}
