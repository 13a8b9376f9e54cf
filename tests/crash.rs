//! Nothing acknowledged is ever lost: processes that die at each of their calls to
//! the file system, disks that fail at each of them, machines that lose their power,
//! and crowds.
//!
//! `make test` runs a short form; `make soak` (`-- --ignored`) the long one: every
//! point in every way. Both end with a table, and fail when anything was lost.

// A harness is not compiled as a test, so the leave that tests have is given here.
#![allow(unsafe_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod common;

#[path = "crash/actor.rs"]
mod actor;
#[path = "crash/board.rs"]
mod board;
#[path = "c/compiler.rs"]
mod compiler;
#[path = "crash/crowd.rs"]
mod crowd;
#[path = "crash/disk.rs"]
mod disk;
#[path = "crash/judge.rs"]
mod judge;
#[path = "crash/operations.rs"]
mod operations;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/stage.rs"]
mod stage;
#[path = "crash/tally.rs"]
mod tally;
#[path = "crash/trace.rs"]
mod trace;
#[path = "crash/walk.rs"]
mod walk;
#[path = "crash/worker.rs"]
mod worker;

use libtest_mimic::Arguments;
use std::sync::Arc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if actor::play(&arguments) {
        return;
    }
    let options = Arguments::from_args();
    let stage = Arc::new(stage::Stage::new(options.ignored));
    let mut trials = walk::trials(&stage);
    trials.extend(power::trials(&stage));
    trials.extend(crowd::trials(&stage));
    let conclusion = libtest_mimic::run(&options, trials);
    let sound = stage.tallies.print();
    drop(stage);
    if !sound {
        std::process::exit(101);
    }
    conclusion.exit();
}
