//! What one case finds: a loaded module with a token directory of its own, and
//! further processes when it asks for them.

use super::{HASHES, Hash, Module, RW, Rv, Session};
use cryptoki_sys::*;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The security officer's PIN of the tokens that cases make.
pub const SO_PIN: &str = "officer-1234";
/// The user's PIN of the tokens that cases make.
pub const USER_PIN: &str = "user-5678";
/// The label of the token that cases make first.
const LABEL: &str = "behaviour";

/// One case's surroundings.
pub struct World {
    pub(super) module: Module,
    pub(super) path: PathBuf,
    /// What this process was started with, to start another of the same kind.
    pub(super) arguments: Vec<String>,
    pub(super) part: Option<String>,
    pub(super) reference: bool,
    pub(super) directory: PathBuf,
}

impl World {
    /// The module, loaded and not initialised.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The module's file.
    pub fn module_path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether the module is the reference, SoftHSM2.
    pub fn is_reference(&self) -> bool {
        self.reference
    }

    /// The directory of this case, tokens included; gone when the case ends.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// The hashes that the module offers.
    pub fn hashes(&self) -> impl Iterator<Item = &'static Hash> {
        let all = if self.reference { 5 } else { HASHES.len() };
        HASHES[..all].iter()
    }

    /// The module, initialised.
    pub fn start(&self) -> &Module {
        self.module.initialize().expect("C_Initialize");
        &self.module
    }

    /// The module, initialised, with a token that has no user PIN yet.
    pub fn bare_token(&self) -> CK_SLOT_ID {
        let module = self.start();
        self.make_token(LABEL);
        module.slot_of(LABEL)
    }

    /// Makes a token without a user PIN in the empty slot.
    pub fn make_token(&self, label: &str) {
        let slot = self.module.empty_slot();
        self.module.init_token(slot, SO_PIN, label).expect("C_InitToken");
    }

    /// The module, initialised, with a token that has both PINs and no session.
    pub fn token(&self) -> CK_SLOT_ID {
        let slot = self.bare_token();
        let session = self.open(slot, RW);
        session.login(CKU_SO, SO_PIN).expect("C_Login of the SO");
        session.init_pin(USER_PIN).expect("C_InitPIN");
        session.logout().expect("C_Logout of the SO");
        session.close().expect("C_CloseSession");
        slot
    }

    /// The slot of the token that another process or an earlier
    /// initialisation made.
    pub fn known_token(&self) -> CK_SLOT_ID {
        self.module.slot_of(LABEL)
    }

    /// A session with the token in this slot.
    pub fn open(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Session<'_> {
        Session::open(&self.module, slot, flags).expect("C_OpenSession")
    }

    /// A read/write session of the logged-in user with a token made for it.
    pub fn user(&self) -> Session<'_> {
        let slot = self.token();
        self.login(slot, CKU_USER, USER_PIN).expect("C_Login of the user")
    }

    /// A read/write session of the logged-in user with the token that another
    /// process or an earlier initialisation made.
    pub fn user_again(&self) -> Session<'_> {
        self.login(self.known_token(), CKU_USER, USER_PIN).expect("C_Login of the user")
    }

    /// A read/write session of the logged-in SO with a token made for it.
    pub fn officer(&self) -> Session<'_> {
        let slot = self.token();
        self.login(slot, CKU_SO, SO_PIN).expect("C_Login of the SO")
    }

    /// A read/write session, logged in.
    pub fn login(&self, slot: CK_SLOT_ID, user: CK_USER_TYPE, pin: &str) -> Rv<Session<'_>> {
        let session = self.open(slot, RW);
        session.login(user, pin)?;
        Ok(session)
    }

    /// Which part of the case this process plays; `None` in the first.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// Starts the same case in another process, there to play this part.
    pub fn other(&self, part: &str) -> Other {
        self.start_part(Command::new(this_program()), part)
    }

    /// The same where the file system of the token directory has been changed for that
    /// process alone, by a shell that finds the directory in `$0`.
    pub fn other_after(&self, mount: &str, part: &str) -> Other {
        let mut command = Command::new("unshare");
        command.args(namespaces().expect(NO_MOUNTS)).args([
            "sh",
            "-c",
            &format!("{mount} && exec \"$@\""),
        ]);
        command.arg(self.directory.join("tokens")).arg(this_program());
        self.start_part(command, part)
    }

    fn start_part(&self, mut command: Command, part: &str) -> Other {
        let mut child = command
            .args(&self.arguments)
            .args(["--part", part])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Other { child, input, output }
    }

    /// In another process: tells the first one something, in one line.
    pub fn say(&self, line: &str) {
        println!("{line}");
        std::io::stdout().flush().expect("the first process listens");
    }

    /// In another process: waits for a line from the first one.
    pub fn hear(&self) -> String {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("the first process speaks");
        line.trim_end().to_owned()
    }
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// What `unshare` must be told for mounts of one's own: any user may have them in a user
/// namespace, where the machine allows those, and root without one.
/// `None` where neither may be: in a container, mostly.
pub fn namespaces() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--map-root-user", "--mount"], &["--mount"]];
    let works = |way: &&&[&str]| {
        let mut command = Command::new("unshare");
        command.args(**way).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ways.iter().find(works).copied()
}

/// What to do where [`namespaces`] are not allowed.
pub const NO_MOUNTS: &str = "it mounts a file system in a namespace of its own: \
     allow user namespaces (kernel.apparmor_restrict_unprivileged_userns=0), \
     or give root CAP_SYS_ADMIN (docker run --privileged)";

/// Another process of the same case.
pub struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    /// Waits for a line from the other process.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the other process speaks");
        assert!(!line.is_empty(), "the other process ended without a word");
        line.trim_end().to_owned()
    }

    /// Tells the other process something, in one line.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the other process listens");
    }

    /// Waits until the other process has ended well.
    pub fn join(mut self) {
        drop(self.input);
        let status = self.child.wait().expect("the other process is ours");
        assert!(status.success(), "the other process failed: {status}");
    }

    /// Kills the other process, as nothing but the operating system does.
    pub fn kill(mut self) {
        self.child.kill().expect("the other process is ours");
        self.child.wait().expect("the other process is ours");
    }
}
