//! Which process writes.

use super::line::Boot;
use nix::unistd::Uid;

/// The process that writes a segment, as the segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the system has it: of the program's 15 bytes at most.
    pub program: String,
    /// The user whose rights it has.
    pub uid: u32,
    /// The start of the machine; unknown where the system does not say.
    pub boot: Boot,
}

impl Process {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        let program = read("/proc/self/comm").unwrap_or_default();
        let boot = read("/proc/sys/kernel/random/boot_id");
        Self {
            pid: std::process::id(),
            program: program.trim_end_matches('\n').to_owned(),
            uid: Uid::effective().as_raw(),
            boot: boot.map_or(Boot::UNKNOWN, |name| Boot::of(&name)),
        }
    }
}
