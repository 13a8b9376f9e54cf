//! Every operation, killed or failed at every call.

use crate::common::signet_module;
use crate::judge::{Fault, judge};
use crate::operations::{Deed, FAULTY, OPERATIONS, Operation};
use crate::stage::{Plan, Rehearsal, Said, Stage};
use crate::tally::{Tally, one_more};
use crate::trace::What;
use libtest_mimic::{Failed, Trial};
use nix::libc::{EACCES, EIO, ENOSPC, EROFS};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// How a disk fails, and what an error then says: the value of a C function, the words
/// on standard error.
const FAILURES: &[(i32, &[Named])] = &[
    (ENOSPC, &[("CKR_DEVICE_MEMORY", "no space left"), UNTOLD, NOT_RENEWED]),
    (
        EIO,
        &[
            ("CKR_DEVICE_ERROR", "Input/output error"),
            ("CKR_TOKEN_WRITE_PROTECTED", "may not be written"),
            UNTOLD,
            NOT_RENEWED,
        ],
    ),
    (EROFS, &[("CKR_TOKEN_WRITE_PROTECTED", "may not be written"), UNTOLD, NOT_RENEWED]),
    (
        EACCES,
        &[
            ("CKR_DEVICE_ERROR", "Permission denied"),
            ("CKR_TOKEN_WRITE_PROTECTED", "may not be written"),
            UNTOLD,
            NOT_RENEWED,
        ],
    ),
];

type Named = (&'static str, &'static str);

/// A login whose PIN's credential could not be renewed is good all the same; what needs it
/// renewed then says who must log in once more.
const NOT_RENEWED: Named = ("CKR_FUNCTION_FAILED", "must log in once before the root key");

/// SQLite tries a file that it could not make, or not open for writing, read-only, and
/// tells what came of that: that it is not there, or may not be written.
const UNTOLD: Named = ("CKR_DEVICE_ERROR", "unable to open database file");

/// The trials of this file; those that are ignored are the long form.
pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, long: bool, run: fn(&Stage, &Operation, bool) -> Faults, row| {
        let stage = Arc::clone(stage);
        let trial = Trial::test(name, move || verdict(run(&stage, row, long)));
        trials.push(trial.with_ignored_flag(long));
    };
    for row in OPERATIONS {
        for (long, form) in [(false, ""), (true, "soak::")] {
            add(format!("{form}killed::{}", row.name), long, killed, row);
            add(format!("{form}failed::{}", row.name), long, failed, row);
        }
    }
    for row in FAULTY {
        add(format!("found_out::{}", row.name), false, found_out, row);
    }
    let shared = Arc::clone(stage);
    trials.push(Trial::test("the_shim_sees_every_call", move || verdict(unseen(&shared))));
    trials
}

/// What went wrong in a trial, in words.
pub type Faults = Vec<String>;

pub fn verdict(faults: Faults) -> Result<(), Failed> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// The numbers from 1 to `end`, or about `wanted` of them in even steps.
fn stride(end: u64, wanted: Option<u64>) -> impl Iterator<Item = u64> {
    let step = wanted.map_or(1, |wanted| end.div_ceil(wanted).max(1));
    (1..=end).step_by(usize::try_from(step).unwrap())
}

/// What call an ordinal is, for whoever reads a failure.
fn call(rehearsal: &Rehearsal, ordinal: u64) -> String {
    let found = rehearsal.events.iter().find(|event| event.ordinal == ordinal);
    found.map_or("a call that changes nothing".into(), |event| match &event.deed {
        What::Write { at, data, path } => {
            format!("write of {} at {at} of {}", data.len(), path.display())
        }
        other => format!("{other:?}"),
    })
}

/// One point: the operation, disturbed, and what is there afterwards.
fn point(
    stage: &Stage,
    tally: &Tally,
    row: &Operation,
    rehearsal: &Rehearsal,
    plan: Plan,
) -> Result<Said, Fault> {
    let folder = rehearsal.scene.again();
    let said = stage.act(row, &folder.place, Some(plan), None);
    one_more(&tally.points);
    let ack = said.after("ack");
    if ack.is_some() {
        one_more(&tally.acknowledged);
    }
    let seen = stage.look(row, &folder.place).map_err(Fault::Torn)?;
    let done = judge(&rehearsal.before, &rehearsal.after, ack, &seen)?;
    if done && !said.killed && ack.is_none() && rehearsal.changes() {
        one_more(&tally.done_yet_refused);
    }
    Ok(said)
}

/// Puts a fault into the table and into words.
pub fn tell(tally: &Tally, faults: &mut Faults, at: &str, fault: Fault) {
    let (number, text) = match fault {
        Fault::Lost(text) => (&tally.lost, format!("lost: {text}")),
        Fault::Torn(text) => (&tally.torn, format!("torn: {text}")),
        Fault::Unexpected(text) => (&tally.unexpected, format!("unexpected: {text}")),
    };
    one_more(number);
    faults.push(format!("{at}: {text}"));
}

/// Dies in place of every call, and in the middle of writes.
fn killed(stage: &Stage, row: &Operation, all: bool) -> Faults {
    stage.rehearsal(row, |rehearsal| {
        let (mut faults, tally) = (Faults::new(), &stage.tallies.killed);
        let writes = rehearsal.events.iter().filter(|event| {
            event.ordinal > 0 && matches!(&event.deed, What::Write { data, .. } if data.len() > 1)
        });
        let writes: Vec<_> = writes.map(|event| event.ordinal).collect();
        let torn = stride(writes.len() as u64, (!all).then_some(4));
        let torn = torn.map(|number| Plan::Tear(writes[number as usize - 1]));
        let kills = stride(rehearsal.calls, (!all).then_some(24)).map(Plan::Kill);
        for plan in kills.chain(torn) {
            let (Plan::Kill(at) | Plan::Tear(at)) = plan else { continue };
            let at = format!("{plan} ({})", call(rehearsal, at));
            match point(stage, tally, row, rehearsal, plan) {
                // Calls may come in another number each time: one died too late.
                Ok(said) if said.killed || said.after("ack").is_some() => {}
                Ok(said) => {
                    tell(tally, &mut faults, &at, said.unexpected());
                }
                Err(fault) => tell(tally, &mut faults, &at, fault),
            }
        }
        faults
    })
}

/// Meets a full, broken, read-only or forbidden disk, for one call or from then on.
fn failed(stage: &Stage, row: &Operation, all: bool) -> Faults {
    stage.rehearsal(row, |rehearsal| {
        let (mut faults, tally) = (Faults::new(), &stage.tallies.failed);
        for &(errno, named) in FAILURES {
            for ordinal in stride(rehearsal.calls, (!all).then_some(2)) {
                for plan in [Plan::Once(ordinal, errno), Plan::From(ordinal, errno)] {
                    let at = format!("{plan} ({})", call(rehearsal, ordinal));
                    let outcome = point(stage, tally, row, rehearsal, plan)
                        .and_then(|said| explained(row, &said, named));
                    if let Err(fault) = outcome {
                        tell(tally, &mut faults, &at, fault);
                    }
                }
            }
        }
        faults
    })
}

/// Whether an operation ended well, or with an error that names what happened, and its
/// process could go on.
fn explained(row: &Operation, said: &Said, named: &[Named]) -> Result<(), Fault> {
    let logged = |words: &str| said.errors.contains(words);
    let sound = if let Deed::Program(_) = row.deed {
        said.succeeded || (said.failed && named.iter().any(|(_, words)| logged(words)))
    } else {
        // What is no fault of the device is not in the log.
        let explains = |refused: &str| {
            let silent = said.errors.is_empty();
            named.iter().any(|(value, words)| refused == *value && (silent || logged(words)))
        };
        let stuck = said.after("stuck").or(said.after("not finalized"));
        said.succeeded && stuck.is_none() && said.after("refused").is_none_or(explains)
    };
    if sound { Ok(()) } else { Err(said.unexpected()) }
}

/// An operation that is not atomic must be seen to be none.
fn found_out(stage: &Stage, row: &Operation, _: bool) -> Faults {
    let torn = stage.rehearsal(row, |rehearsal| {
        let kills = stride(rehearsal.calls, None).map(Plan::Kill);
        let half = |plan: Plan| {
            let folder = rehearsal.scene.again();
            stage.act(row, &folder.place, Some(plan), None);
            let seen = stage.look(row, &folder.place).expect("the token is sound");
            matches!(judge(&rehearsal.before, &rehearsal.after, None, &seen), Err(Fault::Torn(_)))
        };
        kills.filter(|plan| half(*plan)).count()
    });
    if torn > 0 { Faults::new() } else { vec!["nobody saw that it can be half done".into()] }
}

/// What changes files, of the C library.
const WRITERS: &[&str] = &[
    "copy_file_range",
    "creat",
    "creat64",
    "fallocate",
    "fallocate64",
    "fdatasync",
    "fopen",
    "fopen64",
    "freopen",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "mkdtemp",
    "mkostemp",
    "mkostemp64",
    "mkstemp",
    "mkstemp64",
    "mknod",
    "mknodat",
    "msync",
    "open",
    "open64",
    "openat",
    "openat64",
    "posix_fallocate",
    "posix_fallocate64",
    "pwrite",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "pwritev64",
    "pwritev64v2",
    "remove",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "splice",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "truncate",
    "truncate64",
    "unlink",
    "unlinkat",
    "write",
    "writev",
];

/// The names of an object's dynamic symbols: those that it offers, or those that it
/// asks for.
fn symbols(object: &Path, which: &str) -> BTreeSet<String> {
    let mut nm = Command::new("nm");
    let output = nm.args(["-D", which, "-j"]).arg(object).output();
    let output = output.unwrap_or_else(|error| panic!("nm: {error}; run `make deps`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('@').next().unwrap().to_owned()).collect()
}

/// The calls that the module or the program makes past the shim.
fn unseen(stage: &Stage) -> Faults {
    let offered = symbols(stage.shim(), "--defined-only");
    let mut faults = Faults::new();
    for object in [signet_module(), env!("CARGO_BIN_EXE_signet").into()] {
        let wanted = symbols(&object, "--undefined-only");
        assert!(wanted.contains("pwrite64"), "{}: {wanted:?}", object.display());
        let unseen = WRITERS.iter().filter(|name| wanted.contains(**name));
        let unseen = unseen.filter(|name| !offered.contains(**name));
        faults.extend(unseen.map(|name| format!("{}: {name}", object.display())));
    }
    faults
}
