//! Every operation, on a machine whose power fails at every call.

use crate::disk::{self, Disk, Left};
use crate::judge::{Fault, judge};
use crate::operations::{OPERATIONS, Operation};
use crate::stage::{Folder, Rehearsal, Stage};
use crate::tally::one_more;
use crate::trace::What;
use crate::walk::{Faults, tell, verdict};
use libtest_mimic::Trial;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The trials of this file; those that are ignored are the long form.
pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for row in OPERATIONS {
        for (long, form) in [(false, ""), (true, "soak::")] {
            let stage = Arc::clone(stage);
            let name = format!("{form}power_cut::{}", row.name);
            let trial = Trial::test(name, move || verdict(cut(&stage, row, long)));
            trials.push(trial.with_ignored_flag(long));
        }
    }
    let stage = Arc::clone(stage);
    trials.push(Trial::test("found_out::a_disk_that_does_not_sync", move || {
        verdict(found_out(&stage))
    }));
    trials
}

/// Cuts the power after every call, in several ways; the same image only once.
fn cut(stage: &Stage, row: &Operation, all: bool) -> Faults {
    stage.rehearsal(row, |rehearsal| {
        let (mut faults, tally) = (Faults::new(), &stage.tallies.power_cut);
        let seeds = if all { 8 } else { 1 };
        let mut seen = HashSet::new();
        each_state(rehearsal, true, |disk, position, ack| {
            let drawn = (0..seeds).map(|seed| Left::Some(position as u64 * 1000 + seed));
            for left in [Left::Synced, Left::Prefix].into_iter().chain(drawn) {
                // The short form: five of six positions have nothing drawn.
                if !all && !matches!(left, Left::Synced) && position % 6 != 0 {
                    continue;
                }
                let image = disk.image(left);
                let mut hasher = DefaultHasher::new();
                (&image, ack).hash(&mut hasher);
                if !seen.insert(hasher.finish()) {
                    continue;
                }
                one_more(&tally.points);
                if ack {
                    one_more(&tally.acknowledged);
                }
                if let Err(fault) = look_at(stage, row, rehearsal, &image, ack) {
                    tell(
                        tally,
                        &mut faults,
                        &format!("cut after {position}, {left:?} left"),
                        fault,
                    );
                }
            }
        });
        faults
    })
}

/// Shows the disk after every call. `syncs`: whether it does what a sync asks for.
fn each_state(rehearsal: &Rehearsal, syncs: bool, mut visit: impl FnMut(&Disk, usize, bool)) {
    let mut disk = rehearsal.disk.clone();
    let mut ack = false;
    for (position, event) in rehearsal.events.iter().enumerate() {
        ack |= matches!(&event.deed, What::Mark(word) if word == "ack");
        if syncs || !matches!(event.deed, What::Sync) {
            disk.follow(event);
        }
        visit(&disk, position, ack);
    }
}

fn look_at(
    stage: &Stage,
    row: &Operation,
    rehearsal: &Rehearsal,
    image: &disk::Image,
    ack: bool,
) -> Result<bool, Fault> {
    let folder = Folder::new();
    disk::write(image, &folder.place);
    let seen = stage.look(row, &folder.place).map_err(Fault::Torn)?;
    let proof = rehearsal.proof.as_str();
    judge(&rehearsal.before, &rehearsal.after, ack.then_some(proof), &seen)
}

/// On a disk that syncs nothing, what was acknowledged is lost: that must be seen.
fn found_out(stage: &Stage) -> Faults {
    let row = OPERATIONS.iter().find(|row| row.name == "C_GenerateKey").expect("it is there");
    stage.rehearsal(row, |rehearsal| {
        let mut lost = 0;
        each_state(rehearsal, false, |disk, _, ack| {
            if ack && lost == 0 {
                let looked = look_at(stage, row, rehearsal, &disk.image(Left::Synced), ack);
                lost += usize::from(matches!(looked, Err(Fault::Lost(_))));
            }
        });
        if lost > 0 { Faults::new() } else { vec!["nobody saw what was lost".into()] }
    })
}
