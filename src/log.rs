//! The log: one line per message, for the administrator. Nothing secret is
//! ever passed to it, so there is nothing to filter here.
//!
//! A line is `2026-01-31T12:34:56.789Z signet[1234] WARNING: message`. It is
//! handed to the system in one write to a file opened for appending, so lines
//! of several processes do not mix. Control characters in a message are
//! escaped: a label cannot forge a line.
#![forbid(unsafe_code)]

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use nix::fcntl::OFlag;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much a message matters. An earlier level matters more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that the administrator must look at.
    Error,
    /// Something is not as it should be; the module goes on.
    Warning,
    /// What happened in the ordinary course of things.
    Info,
    /// What only somebody who looks for a fault wants to read.
    Debug,
}

impl Level {
    /// Every level, the one that matters most first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warning, Self::Info, Self::Debug];

    /// The name in log lines and, in any case, in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where messages go. Failing to log never fails a call.
pub trait Log: Send + Sync {
    /// Whether a message of this level would be kept: ask before work that only
    /// the message needs.
    fn enabled(&self, level: Level) -> bool;

    /// Keeps a message, if its level is enabled. It must hold no secret.
    fn record(&self, level: Level, message: fmt::Arguments<'_>);
}

/// Keeps nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoLog;

impl Log for NoLog {
    fn enabled(&self, _: Level) -> bool {
        false
    }

    fn record(&self, _: Level, _: fmt::Arguments<'_>) {}
}

/// Where a [`Logger`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// The process's standard error.
    Stderr,
    /// A file, made with mode 0600 if it is not there.
    File(PathBuf),
}

/// Writes lines to standard error or a file.
pub struct Logger {
    threshold: Option<Level>,
    sink: Sink,
    clock: Arc<dyn Clock>,
    pid: u32,
}

enum Sink {
    Stderr,
    File(File),
}

impl Logger {
    /// A logger for messages at `threshold` or more important (`None`: for
    /// none). `pid` is printed as it is: make a new logger after `fork`.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the file cannot be opened for appending, is
    /// a symbolic link, or is neither a file nor a device. With `None` for the
    /// threshold no file is opened.
    pub fn open(
        threshold: Option<Level>,
        target: &LogTarget,
        clock: Arc<dyn Clock>,
        pid: u32,
    ) -> Result<Self> {
        let sink = match target {
            LogTarget::File(path) if threshold.is_some() => Sink::File(append_to(path)?),
            LogTarget::File(_) | LogTarget::Stderr => Sink::Stderr,
        };
        Ok(Self { threshold, sink, clock, pid })
    }
}

impl Log for Logger {
    fn enabled(&self, level: Level) -> bool {
        self.threshold.is_some_and(|threshold| level <= threshold)
    }

    fn record(&self, level: Level, message: fmt::Arguments<'_>) {
        if !self.enabled(level) {
            return;
        }
        let line = line(self.clock.as_ref(), self.pid, level, message);
        match &self.sink {
            // Past the lock of `std::io::stderr()`, which another thread may have
            // held at the moment of a fork.
            Sink::Stderr => write_once(std::io::stderr().as_fd(), line.as_bytes()),
            Sink::File(file) => write_once(file.as_fd(), line.as_bytes()),
        }
    }
}

/// One write for the whole line. What a full disk or a closed pipe swallows is
/// lost: a second attempt could only tear other processes' lines.
fn write_once(fd: BorrowedFd<'_>, line: &[u8]) {
    while nix::unistd::write(fd, line) == Err(nix::errno::Errno::EINTR) {}
}

fn append_to(path: &Path) -> Result<File> {
    let refused = |why: &dyn fmt::Display| {
        Error::Configuration(format!("the log file {} cannot be used: {why}", path.display()))
    };
    // O_NONBLOCK: a pipe without a reader is an error instead of a wait.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
                refused(&"it is a symbolic link")
            }
            _ => refused(&error),
        })?;
    let kind = file.metadata().map_err(|error| refused(&error))?.file_type();
    if kind.is_file() || kind.is_char_device() {
        Ok(file)
    } else {
        Err(refused(&"it is neither a file nor a device"))
    }
}

fn line(clock: &dyn Clock, pid: u32, level: Level, message: fmt::Arguments<'_>) -> String {
    let now = Timestamp(clock.now());
    format!("{now} signet[{pid}] {level}: {}\n", Escaped(&message.to_string()))
}

/// Prints a text with everything escaped that could end a line, hide text or
/// steer a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if steers(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

/// Controls, line and paragraph separators, and marks that reverse the
/// direction of writing.
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    const STAMP: &str = "1970-01-01T00:00:01.500Z signet[77]";

    fn logger(threshold: Option<Level>, path: &Path) -> Result<Logger> {
        let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_millis(1500)));
        Logger::open(threshold, &LogTarget::File(path.into()), clock, 77)
    }

    #[test]
    fn a_message_is_one_line_with_time_process_and_level() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = logger(Some(Level::Info), &path).unwrap();
        log.record(Level::Info, format_args!("token {} made", "a\nb\u{1b}[2J\u{202e}é"));
        log.record(Level::Debug, format_args!("not kept"));
        log.record(Level::Error, format_args!("second"));
        let text = std::fs::read_to_string(&path).unwrap();
        let first = format!("{STAMP} INFO: token a\\nb\\u{{1b}}[2J\\u{{202e}}é made\n");
        assert_eq!(text, format!("{first}{STAMP} ERROR: second\n"));
    }

    #[test]
    fn every_level_includes_those_that_matter_more() {
        let directory = tempfile::tempdir().unwrap();
        for threshold in Level::ALL {
            let log = logger(Some(threshold), &directory.path().join("log")).unwrap();
            for level in Level::ALL {
                assert_eq!(log.enabled(level), level <= threshold);
            }
        }
        assert!(Level::Error < Level::Debug);
        assert!(!NoLog.enabled(Level::Error));
    }

    #[test]
    fn a_log_that_is_off_makes_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = logger(None, &path).unwrap();
        log.record(Level::Error, format_args!("nobody listens"));
        assert!(!log.enabled(Level::Error));
        assert!(!path.exists());
    }

    #[test]
    fn a_log_file_is_private_appended_to_and_not_inherited() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for _ in 0..2 {
            let log = logger(Some(Level::Info), &path).unwrap();
            log.record(Level::Info, format_args!("opened"));
            let Sink::File(file) = &log.sink else { panic!("not a file") };
            let flags = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags, nix::fcntl::FdFlag::FD_CLOEXEC.bits());
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn links_pipes_and_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("target"), &link).unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let missing = directory.path().join("no/such/log");
        for path in [&link, &pipe, &missing, directory.path()] {
            let Err(Error::Configuration(why)) = logger(Some(Level::Error), path) else {
                panic!("{} was accepted", path.display());
            };
            assert!(why.contains(&*path.to_string_lossy()), "{why}");
        }
        assert!(!directory.path().join("target").exists());
        assert!(logger(Some(Level::Error), Path::new("/dev/null")).is_ok());
    }
}
