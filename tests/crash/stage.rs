//! Token directories to ruin, and the processes that do it.

use crate::board::Board;
use crate::common::{SO_PIN, USER_PIN, signet_module, softhsm2_module};
use crate::compiler;
use crate::disk::Disk;
use crate::judge::{Fault, State};
use crate::operations::{Deed, LABEL, NAMED_PIN, OLD, Operation, Scene, VICTIM};
use crate::tally::Tallies;
use crate::trace::{self, Event, What};
use signet_pkcs11::clock::{Clock, ManualClock, SystemClock};
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::object::KeySpec;
use signet_pkcs11::object::kms::NewKey;
use signet_pkcs11::policy::GrantTerms;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::{Settings, Surroundings, Token};
use signet_pkcs11::types::{SlotId, UserType};
use signet_pkcs11::vault::PinParameters;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tempfile::TempDir;

/// What the shim does; see `shim.c`. Ordinals count from 1.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// The process dies in place of the call.
    Kill(u64),
    /// It dies in the middle of the write.
    Tear(u64),
    /// The call fails with this errno.
    Once(u64, i32),
    /// It and all after it fail.
    From(u64, i32),
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kill(at) => write!(f, "kill {at}"),
            Self::Tear(at) => write!(f, "tear {at}"),
            Self::Once(at, errno) => write!(f, "once {at} {errno}"),
            Self::From(at, errno) => write!(f, "from {at} {errno}"),
        }
    }
}

/// What an operation does when nothing disturbs it.
pub struct Rehearsal {
    /// What there is before and after.
    pub before: State,
    pub after: State,
    /// What the process said to prove that it is done.
    pub proof: String,
    /// The directory before, to be copied.
    pub scene: Folder,
    /// The directory that it was done in, as it was before, and what was done to its files.
    pub disk: Disk,
    pub events: Vec<Event>,
    /// How many calls are counted.
    pub calls: u64,
}

impl Rehearsal {
    /// Whether it changes more than counters.
    pub fn changes(&self) -> bool {
        !self.before.has_facts_of(&self.after)
    }
}

/// A directory for one process at a time; `place` holds the token directory.
pub struct Folder {
    _guard: TempDir,
    pub place: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let place = guard.path().canonicalize().unwrap().join("place");
        make_directory(&place);
        Self { _guard: guard, place }
    }

    /// Where the processes of a crowd say how far they are.
    pub fn board_path(&self) -> PathBuf {
        self.place.with_file_name("board")
    }

    pub fn board(&self) -> Board {
        Board::open(&self.board_path())
    }

    /// The same files once more.
    pub fn again(&self) -> Self {
        let copy = Self::new();
        copy_files(&self.place, &copy.place);
        copy
    }
}

/// Schedules a key's deletion so long ago that it is due now.
fn let_a_key_be_due(place: &Path) {
    let entropy = Arc::new(OsEntropy);
    let tokens = DirectoryPlace::new(place.join("tokens"), entropy.clone());
    let month = Duration::from_secs(31 * 86_400);
    let clock = Arc::new(ManualClock::new(SystemClock.now() - month));
    let surroundings = Surroundings { entropy, clock, log: Arc::new(NoLog) };
    // The floor, as the other processes: nothing is to be raised.
    let pin_parameters = PinParameters { memory_kib: 7168, iterations: 5, lanes: 1 };
    let settings = Settings { pin_parameters, ..Settings::default() };
    let token = Token::open(&tokens, SlotId(0), &surroundings, settings).unwrap();
    token.login(UserType::User, &Pin::copied(USER_PIN.as_bytes())).unwrap();
    let owner = token.principal();
    let key = token.create_kms_key(owner, NewKey::new(KeySpec::Hmac256), false).unwrap();
    token.create_alias(owner, "alias/due", key.id()).unwrap();
    let root = token.home().iam_arn("root");
    let terms = GrantTerms::new(None, &root, Some(&root), &["GenerateMac"]).unwrap();
    token.create_grant(owner, key.id(), &terms).unwrap();
    token.schedule_key_deletion(owner, key.id(), 30).unwrap();
}

/// Makes a token of SoftHSM2's with a key.
fn fill_softhsm2(place: &Path) {
    let tokens = place.join("softhsm2");
    make_directory(&tokens);
    let configuration = place.join("softhsm2.conf");
    let lines = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    fs::write(&configuration, lines).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).env("SOFTHSM2_CONF", &configuration).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run `make deps`"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let token = ["--init-token", "--free", "--label", LABEL, "--so-pin", SO_PIN, "--pin", USER_PIN];
    run("softhsm2-util", &token);
    let module = softhsm2_module();
    let key = [
        ["--module", module.to_str().unwrap()],
        ["--token-label", LABEL],
        ["--pin", USER_PIN],
        ["--key-type", "GENERIC:64"],
        ["--label", VICTIM],
        ["--id", "01"],
    ];
    let flags = ["--login", "--keygen", "--usage-sign"];
    run("pkcs11-tool", &[key.as_flattened(), &flags].concat());
}

fn make_directory(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            make_directory(&target);
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
}

/// What a process said before it ended or was killed.
pub struct Said {
    /// The lines of its standard output.
    pub lines: Vec<String>,
    /// Its standard error.
    pub errors: String,
    end: ExitStatus,
    pub succeeded: bool,
    /// With status 1, as programs refuse, or with 4: a check that could not be made.
    pub failed: bool,
    /// By SIGKILL, as planned.
    pub killed: bool,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            lines: text(&output.stdout).lines().map(str::to_owned).collect(),
            errors: text(&output.stderr),
            end: output.status,
            succeeded: output.status.success(),
            failed: matches!(output.status.code(), Some(1 | 4)),
            killed: output.status.signal() == Some(nix::libc::SIGKILL),
        }
    }

    /// For an end that nothing explains.
    pub fn unexpected(&self) -> Fault {
        Fault::Unexpected(format!("{:?}, {}, {}", self.lines, self.errors.trim_end(), self.end))
    }

    /// What stands behind this word.
    pub fn after(&self, word: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(word)).map(str::trim)
    }
}

/// Edits a page of the manifest, which no program needs to use the token.
fn edit_the_list(place: &Path) {
    let database = rusqlite::Connection::open(place.join("tokens/slot-0/token.db")).unwrap();
    let edited = database.execute("UPDATE records SET body = zeroblob(40) WHERE kind = 6", ());
    assert_eq!(edited.unwrap(), 1);
    database.close().unwrap();
}

/// What all trials share.
pub struct Stage {
    directory: TempDir,
    /// Whether every record is opened after each point.
    long: bool,
    scenes: HashMap<Scene, OnceLock<Folder>>,
    rehearsals: Mutex<HashMap<&'static str, Arc<OnceLock<Rehearsal>>>>,
    pub tallies: Tallies,
}

impl Stage {
    pub fn new(long: bool) -> Self {
        let scenes = [
            Scene::Nothing,
            Scene::Token,
            Scene::Killed,
            Scene::Old,
            Scene::Foreign,
            Scene::BackedUp,
            Scene::Damaged,
            Scene::Guarded,
            Scene::Named,
            Scene::Due,
        ];
        Self {
            directory: tempfile::tempdir().unwrap(),
            long,
            scenes: scenes.map(|scene| (scene, OnceLock::new())).into(),
            rehearsals: Mutex::default(),
            tallies: Tallies::default(),
        }
    }

    /// The compiled shim.
    pub fn shim(&self) -> &Path {
        static SHIM: OnceLock<PathBuf> = OnceLock::new();
        SHIM.get_or_init(|| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/shim.c");
            let shim = self.directory.path().canonicalize().unwrap().join("shim.so");
            compiler::compile(&source, &shim, &["-std=gnu11", "-shared", "-fPIC", "-O2"]);
            shim
        })
    }

    /// A program whose files are below `place`, with the shim in front of it.
    fn command(&self, program: &Path, place: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LD_PRELOAD", self.shim())
            .env("CRASH_BELOW", place)
            .env("HOME", place)
            .env("SIGNET_TOKENDIR", place.join("tokens"))
            // The floor: most of the time goes into logins.
            .env("SIGNET_PIN_ARGON2_MEMORY_KIB", "7168")
            .env("SIGNET_PIN_ARGON2_ITERATIONS", "5")
            .stdin(Stdio::null());
        command
    }

    /// This program in the part of another.
    fn other(&self, place: &Path, part: &[&str]) -> Command {
        let mut command = self.command(&std::env::current_exe().unwrap(), place);
        command.args(part).arg(signet_module());
        command
    }

    /// `signet` in `place`, with the PINs of the SO and of the user.
    fn signet(&self, place: &Path, arguments: &[&str], (so_pin, pin): (&str, &str)) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_signet")), place);
        command
            .args(arguments)
            .current_dir(place)
            .env("SIGNET_SO_PIN", so_pin)
            .env("SIGNET_PIN", pin)
            .env("SIGNET_USER_PIN", NAMED_PIN)
            .env("SIGNET_RECIPIENT_PIN", pin);
        command
    }

    /// Does an operation, disturbed as planned.
    pub fn act(
        &self,
        row: &Operation,
        place: &Path,
        plan: Option<Plan>,
        trace: Option<&Path>,
    ) -> Said {
        let mut command = match row.deed {
            Deed::Call { .. } => self.other(place, &["--act", row.name]),
            Deed::Program(arguments) => {
                let old = row.scene == Scene::Old;
                let pins = if old { (OLD.1, OLD.2) } else { (SO_PIN, USER_PIN) };
                let mut command = self.signet(place, arguments, pins);
                command.env("CRASH_ARMED", "");
                command
            }
        };
        if row.scene == Scene::Guarded {
            command.env("SIGNET_ROLLBACK_COUNTER", place.join("counter"));
        }
        if let Some(plan) = plan {
            command.env("CRASH_PLAN", plan.to_string());
        }
        if let Some(trace) = trace {
            command.env("CRASH_TRACE", trace);
        }
        let mut said = Said::of(&command.output().unwrap());
        if matches!(row.deed, Deed::Program(_)) && said.succeeded {
            said.lines = vec!["ack".into()];
        }
        said
    }

    /// What is in a directory, as a new process finds it.
    pub fn look(&self, row: &Operation, place: &Path) -> Result<State, String> {
        let mut command = self.other(place, &["--look"]);
        if row.officer {
            command.arg("--officer");
        }
        if row.named {
            command.arg("--named");
        }
        if row.belongings {
            command.arg("--belongings");
        }
        if row.scene == Scene::Guarded {
            command.env("SIGNET_ROLLBACK_COUNTER", place.join("counter"));
        }
        // What was edited is not what was written, until it is listed anew.
        if self.long && row.scene != Scene::Damaged {
            command.arg("--check");
        }
        let said = Said::of(&command.output().unwrap());
        if said.succeeded {
            Ok(State::new(said.lines))
        } else {
            Err(format!("{}{}", said.errors, said.end))
        }
    }

    /// A token to work on.
    pub fn token(&self) -> Folder {
        self.scene(Scene::Token).again()
    }

    /// A process of a crowd, with nothing between it and the disk.
    pub fn worker(&self, folder: &Folder, number: usize, crowd: usize) -> Command {
        let (number, crowd) = (number.to_string(), crowd.to_string());
        let board = folder.board_path();
        let part = ["--work", &number, &crowd, board.to_str().unwrap()];
        let mut command = self.other(&folder.place, &part);
        command
            .env_remove("LD_PRELOAD")
            .env_remove("CRASH_BELOW")
            // Logins that come while the PIN is changed may be wrong once.
            .env("SIGNET_PIN_MAX_ATTEMPTS", "100");
        command
    }

    /// What is in a crowd's token.
    pub fn look_at_all(&self, folder: &Folder) -> Said {
        Said::of(&self.other(&folder.place, &["--look"]).arg("--check").output().unwrap())
    }

    /// The directory that an operation begins with.
    fn scene(&self, scene: Scene) -> &Folder {
        self.scenes[&scene].get_or_init(|| {
            let folder = Folder::new();
            if scene == Scene::Nothing {
                return folder;
            }
            if scene == Scene::Old {
                let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-1");
                let slot = folder.place.join("tokens/slot-0");
                make_directory(&slot);
                copy_files(&fixture.join("slot-0"), &slot);
                return folder;
            }
            if scene == Scene::Foreign {
                fill_softhsm2(&folder.place);
                return folder;
            }
            let mut child = self
                .other(&folder.place, &["--prepare"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "prepared\n");
            if scene == Scene::Killed {
                child.kill().unwrap();
                child.wait().unwrap();
            } else {
                drop(child.stdin.take());
                assert!(child.wait().unwrap().success());
            }
            match scene {
                Scene::BackedUp => self.back_up(&folder.place),
                Scene::Damaged => edit_the_list(&folder.place),
                Scene::Named => self.add_bob(&folder.place),
                Scene::Due => let_a_key_be_due(&folder.place),
                _ => {}
            }
            folder
        })
    }

    /// Makes `token.backup`, sealed to the token itself.
    fn back_up(&self, place: &Path) {
        let keys = self.run(place, &["token", "transport-key", LABEL]);
        let key = keys.lines().next().unwrap();
        self.run(place, &["backup", "create", "--token", LABEL, "--to", key, "token.backup"]);
    }

    /// Makes a named user with an access key.
    fn add_bob(&self, place: &Path) {
        self.run(place, &["user", "add", "--token", LABEL, "bob"]);
        self.run(place, &["user", "access-key", "create", "--token", LABEL, "bob"]);
    }

    /// Runs `signet` undisturbed; what it prints.
    fn run(&self, place: &Path, arguments: &[&str]) -> String {
        let said = self.signet(place, arguments, (SO_PIN, USER_PIN)).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    /// What an operation does undisturbed; found out once.
    pub fn rehearsal<T>(&self, row: &Operation, use_it: impl FnOnce(&Rehearsal) -> T) -> T {
        let cell = Arc::clone(self.rehearsals.lock().unwrap().entry(row.name).or_default());
        use_it(cell.get_or_init(|| self.rehearse(row)))
    }

    fn rehearse(&self, row: &Operation) -> Rehearsal {
        // Copied before it is looked at: looking writes, too.
        let scene = self.scene(row.scene).again();
        let before = self.look(row, &scene.again().place).expect("the scene is sound");
        let folder = scene.again();
        let disk = Disk::of(&folder.place);
        let path = self.directory.path().join(format!("{}.trace", row.name));
        let said = self.act(row, &folder.place, None, Some(&path));
        let Some(proof) = said.after("ack").map(str::to_owned) else {
            panic!("{}: {:?}", row.name, said.unexpected())
        };
        let mut events = trace::read(&path, &folder.place);
        if matches!(row.deed, Deed::Program(_)) {
            // A program says that it is done by its end.
            events.push(Event { ordinal: 0, inode: 0, deed: What::Mark("ack".into()) });
        }
        fs::remove_file(&path).unwrap();
        let after = self.look(row, &folder.place).expect("it is sound afterwards");
        let calls = events.iter().map(|event| event.ordinal).max().unwrap_or(0);
        assert!(calls > 0, "{}: nothing was counted", row.name);
        Rehearsal { before, after, proof, scene, disk, events, calls }
    }
}
