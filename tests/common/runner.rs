//! Runs every case in its own process, on our module and on the reference.
//!
//! This program starts itself again as `--case NAME --module PATH`. The first
//! process makes the token directory, keeps the time limit and judges: a case
//! passes when its process ends well. Where the reference is marked as
//! departing from the standard, its run must fail and say what the mark says,
//! so that no mark outlives the departure.

use super::paths::{signet_module, softhsm2_module};
use super::{Module, World, world};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a case may take; none needs a tenth of it.
const LIMIT: Duration = Duration::from_secs(120);
/// How much address space a case may take, so that a module that believes a
/// hostile length fails by itself and not the machine.
const ADDRESS_SPACE: u64 = 4 << 30;

/// A case: a behaviour by name, and the function that shows it.
pub struct Case {
    name: &'static str,
    run: fn(&World),
    softhsm2: Reference,
}

/// A chapter's name and its cases.
pub type Chapter = (&'static str, &'static [Case]);

/// What SoftHSM2 does with a case.
#[derive(Clone, Copy)]
pub enum Reference {
    /// The same as ours.
    Agrees,
    /// Fails, and the failure shows these words; then what it does instead.
    Departs(&'static str, &'static str),
    /// Is not asked, for this reason.
    Unasked(&'static str),
    /// Is not asked, for this reason; and ours only where a process may mount file
    /// systems for itself.
    UnaskedWithMounts(&'static str),
}

/// SoftHSM2 fails this case with a message that contains `shows`; `why` says
/// what it does and why we differ.
pub const fn departs(shows: &'static str, why: &'static str) -> Reference {
    Reference::Departs(shows, why)
}

/// SoftHSM2 is not asked, for this reason.
pub const fn unasked(why: &'static str) -> Reference {
    Reference::Unasked(why)
}

/// The same for a case with [`World::other_after`].
pub const fn unasked_with_mounts(why: &'static str) -> Reference {
    Reference::UnaskedWithMounts(why)
}

impl Case {
    /// A case in which both modules agree.
    pub const fn new(name: &'static str, run: fn(&World)) -> Self {
        Self { name, run, softhsm2: Reference::Agrees }
    }

    /// The case with a mark on the reference.
    pub const fn softhsm2(self, softhsm2: Reference) -> Self {
        Self { softhsm2, ..self }
    }
}

/// The harness: lists and runs trials, or runs the one case it was started for.
pub fn main(chapters: &[Chapter]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--case") {
        run_here(chapters, arguments);
        return;
    }
    let mut trials = Vec::new();
    for (chapter, cases) in chapters {
        for case in *cases {
            let name = format!("{chapter}::{}", case.name);
            let (ours, mark) = (name.clone(), case.softhsm2);
            let with_mounts = matches!(mark, Reference::UnaskedWithMounts(_));
            let passed_over = with_mounts && world::namespaces().is_none();
            if passed_over {
                eprintln!("{name} is passed over: {}", world::NO_MOUNTS);
            }
            let run = move || run_apart(&ours, false).map_err(Failed::from);
            let trial = Trial::test(format!("signet::{name}"), run);
            trials.push(trial.with_ignored_flag(passed_over));
            if !with_mounts && !matches!(mark, Reference::Unasked(_)) {
                trials.push(Trial::test(format!("softhsm2::{name}"), move || judge(&name, mark)));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Runs a case on the reference and holds the outcome against the mark.
fn judge(name: &str, mark: Reference) -> Result<(), Failed> {
    let outcome = run_apart(name, true);
    let Reference::Departs(shows, why) = mark else {
        return outcome.map_err(Failed::from);
    };
    match outcome {
        Ok(()) => Err(format!("passes, but is marked: {why}").into()),
        Err(message) if message.contains(shows) => Ok(()),
        Err(message) => Err(format!("fails without showing {shows:?}:\n{message}").into()),
    }
}

/// In the case's own process: loads the module and runs the case.
fn run_here(chapters: &[Chapter], mut arguments: Vec<String>) {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let name = value("--case").expect("--case has a value");
    let path = PathBuf::from(value("--module").expect("--module is given"));
    let directory = PathBuf::from(value("--directory").expect("--directory is given"));
    let part = value("--part");
    let reference = arguments.iter().any(|argument| argument == "--reference");
    let (chapter, short) = name.split_once("::").expect("a case has a chapter");
    let case = chapters
        .iter()
        .filter(|(name, _)| *name == chapter)
        .flat_map(|(_, cases)| *cases)
        .find(|case| case.name == short)
        .unwrap_or_else(|| panic!("no case is called {name}"));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("a limit may be lowered");
    setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE).expect("a limit may be lowered");
    if part.is_some() {
        arguments.truncate(arguments.len() - 2);
    }
    let module = Module::load(&path);
    (case.run)(&World { module, path, arguments, part, reference, directory });
}

/// Runs a case in a process of its own; `Err` tells how it went wrong.
fn run_apart(name: &str, reference: bool) -> Result<(), String> {
    let module = if reference { softhsm2_module() } else { signet_module() };
    let directory = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--case", name, "--module"]).arg(&module);
    command.arg("--directory").arg(directory.path());
    if reference {
        command.arg("--reference");
    }
    configure(&mut command, directory.path()).map_err(|error| format!("no directory: {error}"))?;
    let ending = watch(&mut command);
    let left = directory.close();
    ending?;
    left.map_err(|error| format!("the case left its directory unremovable: {error}"))
}

/// Gives the process private tokens, whichever module it loads.
fn configure(command: &mut Command, directory: &Path) -> std::io::Result<()> {
    let tokens = directory.join("tokens");
    fs::create_dir(&tokens)?;
    let softhsm2 = directory.join("softhsm2.conf");
    let lines = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(&softhsm2, lines)?;
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNET_") {
            command.env_remove(name);
        }
    }
    // Only one of the two modules is to see SoftHSM2's own variable.
    if command.get_args().any(|argument| argument == "--reference") {
        command.env("SOFTHSM2_CONF", softhsm2);
    } else {
        command.env_remove("SOFTHSM2_CONF").env("SIGNET_TOKENDIR", tokens);
    }
    command.env("HOME", directory).env_remove("XDG_CONFIG_HOME").env("RUST_BACKTRACE", "0");
    Ok(())
}

/// Waits for the process, not longer than the limit, and reads what it says.
fn watch(command: &mut Command) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.process_group(0).spawn().map_err(|error| format!("no process: {error}"))?;
    let group = Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"));
    let (mut out, mut err) =
        (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (sender, receiver) = mpsc::channel();
    let other_sender = sender.clone();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        let _ = other_sender.send(());
        text
    });
    let other_reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.read_to_end(&mut text);
        let _ = sender.send(());
        text
    });
    // Both streams end when the last process of the case has ended.
    let in_time = receiver.recv_timeout(LIMIT).is_ok() && receiver.recv_timeout(LIMIT).is_ok();
    let _ = killpg(group, Signal::SIGKILL);
    let status = child.wait().map_err(|error| format!("no status: {error}"))?;
    let mut text = reader.join().expect("a reader does not panic");
    text.extend(other_reader.join().expect("a reader does not panic"));
    let text = String::from_utf8_lossy(&text);
    match status.signal() {
        _ if !in_time => Err(format!("hangs: no end after {} s\n{text}", LIMIT.as_secs())),
        Some(signal) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            Err(format!("crashes: {name}\n{text}"))
        }
        None if status.success() => Ok(()),
        None => Err(format!("{status}\n{text}")),
    }
}
