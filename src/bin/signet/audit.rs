//! `signet audit`: the audit trail of a token.

use crate::check::{Who, Wrong};
use crate::context::Context;
use crate::{Failure, Misused};
use serde_json::Value;
use signet_pkcs11::audit::{Archive, Held, Millis, Read, Report, Verifier};
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::types::{SlotId, Ulong};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

mod filter;
mod table;

use filter::Filter;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Show what was done, by whom, when, and how it ended
    Show {
        #[command(flatten)]
        trail: Where,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        form: Form,
    },
    /// Show what is being done, until this is stopped
    Follow {
        #[command(flatten)]
        trail: Where,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        form: Form,
    },
    /// Tell whether the trail is as it was written, without a PIN
    #[command(after_help = "\
Exit status: 0 nothing is wrong; 1 something is; 2 the command line was wrong; 4 the trail could not \
be verified.

Without --key the key is taken from the token's own file: whoever could change the trail could \
change that as well. Keep the key that `signet audit key` prints, and now and then what `signet \
audit checkpoint` prints, elsewhere: what was cut off is found as far back as the newest checkpoint \
that is kept.")]
    Verify {
        #[command(flatten)]
        trail: Where,
        /// What `signet audit key` has printed
        #[arg(long, value_name = "VKEY")]
        key: Option<Verifier>,
        /// A checkpoint that was kept elsewhere; may be given several times
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
    },
    /// Print all records in the order of time, as CloudTrail has them: {"Records":[…]}
    Export {
        #[command(flatten)]
        trail: Where,
        #[command(flatten)]
        filter: Filter,
        /// One JSON object a line instead
        #[arg(long)]
        lines: bool,
    },
    /// Print the key that verifies checkpoints; make it if the token has none yet
    Key {
        /// The token's label
        label: String,
        #[command(flatten)]
        who: Who,
    },
    /// Sign how far the trail has come, and print that to be kept elsewhere
    Checkpoint {
        /// The token's label
        label: String,
        #[command(flatten)]
        who: Who,
    },
}

/// How records are shown.
#[derive(clap::Args, Clone, Copy)]
pub struct Form {
    /// Each record as it stands in the trail: one JSON object a line
    #[arg(long)]
    json: bool,
    /// Also which process writes the trail from when to when, as --json does
    #[arg(long)]
    all: bool,
}

/// Which trail.
#[derive(clap::Args)]
#[group(id = "where", required = true, multiple = false)]
pub struct Where {
    /// The token's label
    label: Option<String>,
    /// The token's slot
    #[arg(long)]
    slot: Option<Ulong>,
    /// A directory that holds a trail: a copy, or that of a token that is gone
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Where {
    /// The trail, and the key that the token's file has for it.
    fn open(&self) -> Result<(Archive, Option<Verifier>), Failure> {
        if let Some(directory) = &self.directory {
            let found = directory.metadata();
            if !found.is_ok_and(|found| found.is_dir()) {
                return Err(format!("{} is not a directory", directory.display()).into());
            }
            return Ok((Archive::in_directory(directory.clone()), None));
        }
        let context = Context::open()?;
        let slot = match &self.label {
            Some(label) => context.token(label)?.0,
            None => SlotId(self.slot.unwrap_or_default()),
        };
        Ok(context.module.audit_trail(slot)?)
    }
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Show { trail, filter, form } => show(&trail.open()?.0, &filter, form),
        Command::Follow { trail, filter, form } => follow(&trail.open()?.0, &filter, form),
        Command::Verify { trail, key, checkpoint } => verify(&trail, key, &checkpoint),
        Command::Export { trail, filter, lines } => export(&trail.open()?.0, &filter, lines),
        Command::Key { label, who } => {
            let context = Context::open()?;
            let login = who.log_in(&context, &label, false)?;
            say!("{}", login.module.audit_verifier(login.session)?);
            Ok(())
        }
        Command::Checkpoint { label, who } => {
            let context = Context::open()?;
            let login = who.log_in(&context, &label, false)?;
            let note = login.module.audit_checkpoint(login.session)?;
            write!(std::io::stdout(), "{note}").map_err(|error| lost(&error))?;
            Ok(())
        }
    }
}

fn lost(error: &std::io::Error) -> Error {
    Error::FunctionFailed(format!("standard output: {error}"))
}

/// Writes records as they come, and counts what is none.
struct Printer<'f> {
    out: BufWriter<std::io::StdoutLock<'static>>,
    filter: &'f Filter,
    form: Form,
    printed: u64,
    unreadable: u64,
}

impl<'f> Printer<'f> {
    fn new(filter: &'f Filter, form: Form) -> Self {
        let out = BufWriter::new(std::io::stdout().lock());
        Self { out, filter, form, printed: 0, unreadable: 0 }
    }

    fn take(&mut self, read: Read<'_>) -> Result<(), Error> {
        let is_for_people = !self.form.json && !self.form.all;
        if let Read::Record(beginning, _) = read
            && is_for_people
            && self.filter.is_in_the_way(beginning)
        {
            return Ok(());
        }
        let Some((record, line)) = choose(self.filter, read, &mut self.unreadable) else {
            return Ok(());
        };
        self.printed += 1;
        let written = match self.form.json {
            true => writeln!(self.out, "{line}"),
            false => table::row(&mut self.out, &record),
        };
        written.map_err(|error| lost(&error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush().map_err(|error| lost(&error))?)
    }

    fn end(mut self) -> Result<(), Failure> {
        self.flush()?;
        tell(self.unreadable);
        if self.printed == 0 && !self.form.json {
            eprintln!("signet: no record is of this kind{}", self.filter.advice());
        }
        Ok(())
    }
}

/// A record that is wanted, and its line; what is none, and is not JSON, is counted.
fn choose<'l>(filter: &Filter, read: Read<'l>, unreadable: &mut u64) -> Option<(Value, &'l str)> {
    let Read::Record(beginning, line) = read else {
        *unreadable += 1;
        return None;
    };
    if !filter.may_take(beginning) {
        return None;
    }
    let Ok(record) = serde_json::from_str(line) else {
        *unreadable += 1;
        return None;
    };
    filter.takes(&record).then_some((record, line))
}

fn tell(unreadable: u64) {
    if unreadable > 0 {
        eprintln!("signet: {unreadable} lines are no records; `signet audit verify` says more");
    }
}

fn show(trail: &Archive, filter: &Filter, form: Form) -> Result<(), Failure> {
    let mut printer = Printer::new(filter, form);
    if !form.json {
        table::head(&mut printer.out).map_err(|error| lost(&error))?;
    }
    trail.visit(filter.since, &mut |read| printer.take(read))?;
    printer.end()
}

fn follow(trail: &Archive, filter: &Filter, form: Form) -> Result<(), Failure> {
    /// Four times a second: an interactive command may ask again and again.
    const PAUSE: Duration = Duration::from_millis(250);
    let mut printer = Printer::new(filter, form);
    let mut follower = trail.follow()?;
    if !form.json {
        table::head(&mut printer.out).map_err(|error| lost(&error))?;
    }
    loop {
        printer.flush()?;
        std::thread::sleep(PAUSE);
        follower.look(&mut |read| printer.take(read))?;
    }
}

fn export(trail: &Archive, filter: &Filter, lines: bool) -> Result<(), Failure> {
    if lines {
        return show(trail, filter, Form { json: true, all: true });
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut before, mut unreadable) = ("{\"Records\":[", 0);
    trail.visit(filter.since, &mut |read| {
        if let Some((_, line)) = choose(filter, read, &mut unreadable) {
            write!(out, "{before}\n{line}").map_err(|error| lost(&error))?;
            before = ",";
        }
        Ok(())
    })?;
    let before = if before == "," { "" } else { before };
    writeln!(out, "{before}\n]}}").and_then(|()| out.flush()).map_err(|error| lost(&error))?;
    tell(unreadable);
    Ok(())
}

fn verify(trail: &Where, key: Option<Verifier>, held: &[PathBuf]) -> Result<(), Failure> {
    let (archive, claimed) = trail.open()?;
    let is_claimed = key.is_none();
    let exchanged =
        claimed.clone().filter(|claimed| key.as_ref().is_some_and(|key| key != claimed));
    let key = key.or(claimed);
    if key.is_none() && !held.is_empty() {
        let why = "a checkpoint is of no use without the key that verifies it: --key";
        return Err(Misused(why.into()).into());
    }
    let held = held.iter().map(|path| Held::read(path)).collect::<Result<Vec<_>, _>>()?;
    let report = archive.verify(key.as_ref(), &held)?;
    // A directory that was misspelt must not pass for a trail that nobody has touched.
    if report.segments == 0 && report.findings.is_empty() {
        return Err("there is no trail".into());
    }
    print(&report, key.as_ref().filter(|_| is_claimed))?;
    if let Some(other) = &exchanged {
        say!(
            "The token's own file has another key than the one given: exchanged, unless the token \
             was initialised anew since: {other}"
        );
    }
    match report.findings.len() + usize::from(exchanged.is_some()) {
        0 => {
            say!("Nothing is wrong with the trail.");
            Ok(())
        }
        1 => Err(Wrong("1 thing is wrong with the trail".into()).into()),
        more => Err(Wrong(format!("{more} things are wrong with the trail")).into()),
    }
}

fn print(report: &Report, claimed: Option<&Verifier>) -> Result<(), Failure> {
    say!("Segments: {}, with {} records", report.segments, report.records);
    for checkpoint in &report.checkpoints {
        say!("Believed: {}", Escaped(checkpoint));
    }
    if let Some(key) = claimed {
        say!("The key is the one in the token's file: {key}");
    }
    for name in &report.passed_over {
        say!("Passed over, as no key that was given has signed it: {}", Escaped(name));
    }
    if report.uncovered > 0 {
        say!(
            "Records that no checkpoint covers, so that nothing tells whether more were cut off \
             behind them: {}",
            report.uncovered
        );
    }
    for torn in &report.torn {
        say!("{}, record {}: torn, as a kill or a power cut leaves it", torn.segment, torn.record);
    }
    for finding in &report.findings {
        say!("{}", Escaped(&finding.to_string()));
    }
    Ok(())
}

/// A time on the command line: a date, a time, or how long ago.
fn time(text: &str) -> Result<Millis, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let unknown = || {
        format!("{text:?} is none of 2026-11-24, 2026-11-24T01:56:53Z, and 90s, 15m, 12h or 7d ago")
    };
    let seconds = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 86_400,
        _ => return Err(unknown()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| unknown())?;
    let ago = Duration::from_secs(number.saturating_mul(seconds));
    Ok(SystemTime::now().checked_sub(ago).map_or(Millis(0), Millis::of))
}
