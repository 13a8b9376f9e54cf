//! A file apart from the tokens that remembers how far each of them has come, so that
//! an old copy of a whole token is noticed.
//!
//! ```text
//! two lines of 128 bytes for each token, written by turns:
//!   name  write  commits  attempts  check      decimal, check hexadecimal; blanks; newline
//! ```
//!
//! The line with the higher write counts; one whose check (FNV-1a) is wrong was cut
//! off by a power failure and does not. No line crosses a sector.

#![forbid(unsafe_code)]

use super::files::{self, Queue};
use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LINE: usize = 128;
/// The largest file that is read: some 4,000 tokens.
const FILE_MAX: u64 = 1 << 20;
const NAME_MAX: usize = 32;

/// How far a token has come. Neither number ever falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Its newest commit.
    pub commits: u64,
    /// Login attempts that were ever counted.
    pub attempts: u64,
}

impl Progress {
    /// Whether nothing of `other` is missing.
    #[must_use]
    pub const fn reaches(self, other: Self) -> bool {
        self.commits >= other.commits && self.attempts >= other.attempts
    }

    fn with(self, other: Self) -> Self {
        Self {
            commits: self.commits.max(other.commits),
            attempts: self.attempts.max(other.attempts),
        }
    }
}

/// The file. It is opened anew each time: it may be replaced, or come and go with
/// its disk.
#[derive(Debug, Clone)]
pub struct CounterFile {
    path: PathBuf,
    busy_timeout: Duration,
}

/// A line that is valid, and where it stands.
struct Line {
    name: String,
    write: u64,
    progress: Progress,
    number: usize,
}

impl Line {
    fn text(&self) -> String {
        let Self { name, write, progress: Progress { commits, attempts }, .. } = self;
        let text = format!("{name} {write} {commits} {attempts}");
        let check = check(&text);
        format!("{:<width$}\n", format!("{text} {check:016x}"), width = LINE - 1)
    }

    fn parse(number: usize, line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.trim_end();
        let (text, sum) = text.rsplit_once(' ')?;
        if sum != format!("{:016x}", check(text)) {
            return None;
        }
        let mut fields = text.split(' ');
        let name = fields.next()?.to_owned();
        let mut next = || fields.next()?.parse().ok();
        let write = next()?;
        let progress = Progress { commits: next()?, attempts: next()? };
        Some(Self { name, write, progress, number })
    }
}

fn check(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl CounterFile {
    /// The one of this name, which is made when it is first needed. Whoever finds it
    /// locked waits for `busy_timeout` at most.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, busy_timeout: Duration) -> Self {
        Self { path: path.into(), busy_timeout }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far the token of this name had come; `None` of one that was never seen.
    ///
    /// # Errors
    /// [`Error::StoreIo`]; [`Error::StoreDamaged`] for a file that is something else.
    pub fn read(&self, name: &str) -> Result<Option<Progress>> {
        if !files::check_file(&self.path)? {
            return Ok(None);
        }
        let file = files::open(&self.path, false).map_err(|error| self.io("open", &error))?;
        Ok(newest(&self.lines(&file)?, name).map(|line| line.progress))
    }

    /// Makes sure that one more token can be remembered.
    ///
    /// # Errors
    /// As for [`CounterFile::advance`].
    pub fn prepare(&self) -> Result<()> {
        let (file, _queue) = self.open_alone()?;
        self.lines(&file)?;
        let len = file.metadata().map_err(|error| self.io("look at", &error))?.len();
        let room = FILE_MAX.saturating_sub(len) >= 2 * LINE as u64;
        if room { Ok(()) } else { Err(Error::StoreFull(self.path.clone())) }
    }

    /// Remembers that the token has come so far, durably, unless it had come farther.
    ///
    /// # Errors
    /// As for [`CounterFile::read`]; [`Error::StoreFull`].
    pub fn advance(&self, name: &str, progress: Progress) -> Result<()> {
        self.change(name, |known| known.with(progress))
    }

    /// Remembers that the token has come so far and no farther; how far it had come.
    ///
    /// # Errors
    /// As for [`CounterFile::advance`].
    pub fn accept(&self, name: &str, progress: Progress) -> Result<Option<Progress>> {
        let before = self.read(name)?;
        self.change(name, |_| progress)?;
        Ok(before)
    }

    fn change(&self, name: &str, change: impl FnOnce(Progress) -> Progress) -> Result<()> {
        if name.is_empty()
            || name.len() > NAME_MAX
            || !name.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(self.damaged("a token has an impossible serial number"));
        }
        let (file, _queue) = self.open_alone()?;
        let lines = self.lines(&file)?;
        let known = newest(&lines, name);
        let progress = change(known.map(|line| line.progress).unwrap_or_default());
        if known.is_some_and(|line| line.progress == progress) {
            return Ok(());
        }
        let line = |number, write| Line { name: name.to_owned(), write, progress, number };
        let (at, text) = match known {
            Some(Line { number, write, .. }) => {
                let line = line(number ^ 1, write + 1);
                (line.number, line.text())
            }
            None => {
                let len = file.metadata().map_err(|error| self.io("look at", &error))?.len();
                let lines = usize::try_from(len).unwrap_or(usize::MAX).div_ceil(LINE);
                let number = lines.next_multiple_of(2);
                // Both, so that the next token finds its place.
                let blank = format!("{:width$}\n", "", width = LINE - 1);
                (number, line(number, 1).text() + &blank)
            }
        };
        let at = at as u64 * LINE as u64;
        if at + text.len() as u64 > FILE_MAX {
            return Err(Error::StoreFull(self.path.clone()));
        }
        file.write_all_at(text.as_bytes(), at)
            .and_then(|()| file.sync_data())
            .map_err(|error| self.io("write", &error))
    }

    /// The file, made durably if it is missing, for one writer at a time.
    fn open_alone(&self) -> Result<(File, Queue)> {
        let is_new = !files::check_file(&self.path)?;
        let queue = Queue::join(&self.path, self.busy_timeout)?;
        let file = files::open(&self.path, true).map_err(|error| self.io("open", &error))?;
        if let Some(parent) = self.path.parent().filter(|_| is_new) {
            files::sync_directory(parent)?;
        }
        Ok((file, queue))
    }

    fn lines(&self, file: &File) -> Result<Vec<Line>> {
        let io = |error| self.io("read", &error);
        let len = file.metadata().map_err(io)?.len();
        if len > FILE_MAX {
            return Err(self.damaged("it is too large for a rollback counter"));
        }
        let mut content = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut content, 0).map_err(io)?;
        let lines = content.chunks_exact(LINE).enumerate();
        let lines: Vec<_> = lines.filter_map(|(number, line)| Line::parse(number, line)).collect();
        if lines.is_empty() && content.iter().any(|byte| !byte.is_ascii_whitespace() && *byte != 0)
        {
            return Err(self.damaged("it is not a rollback counter"));
        }
        Ok(lines)
    }

    fn io(&self, tried: &str, error: &std::io::Error) -> Error {
        Error::io(&self.path, tried, error)
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::StoreDamaged { path: self.path.clone(), reason: reason.to_owned() }
    }
}

fn newest<'l>(lines: &'l [Line], name: &str) -> Option<&'l Line> {
    lines.iter().filter(|line| line.name == name).max_by_key(|line| line.write)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

    fn progress(commits: u64, attempts: u64) -> Progress {
        Progress { commits, attempts }
    }

    fn counter() -> (tempfile::TempDir, CounterFile) {
        let directory = tempfile::tempdir().unwrap();
        let counter = CounterFile::new(directory.path().join("counter"), BUSY_TIMEOUT);
        (directory, counter)
    }

    #[test]
    fn it_remembers_the_farthest_of_each_token() {
        let (_directory, counter) = counter();
        assert_eq!(counter.read("a"), Ok(None));
        for (name, told, known) in [
            ("a", progress(1, 0), progress(1, 0)),
            ("b", progress(7, 1), progress(7, 1)),
            ("a", progress(3, 1), progress(3, 1)),
            ("a", progress(2, 5), progress(3, 5)),
            ("a", progress(0, 0), progress(3, 5)),
        ] {
            counter.advance(name, told).unwrap();
            assert_eq!(counter.read(name), Ok(Some(known)));
        }
        assert_eq!(counter.read("b"), Ok(Some(progress(7, 1))));
        assert_eq!(counter.accept("a", progress(2, 2)), Ok(Some(progress(3, 5))));
        assert_eq!(counter.read("a"), Ok(Some(progress(2, 2))));
        assert_eq!(counter.accept("c", progress(1, 1)), Ok(None));
        let len = counter.path.metadata().unwrap().len();
        assert_eq!(len, 3 * 256, "each token has its two lines");
    }

    #[test]
    fn a_write_that_was_cut_anywhere_leaves_the_one_before() {
        let (_directory, counter) = counter();
        for commits in 1..4 {
            counter.advance("other", progress(9, 9)).unwrap();
            counter.advance("a", progress(commits, 0)).unwrap();
            let before = std::fs::read(&counter.path).unwrap();
            counter.advance("a", progress(commits + 1, 0)).unwrap();
            let after = std::fs::read(&counter.path).unwrap();
            for cut in (0..after.len()).step_by(5) {
                let torn: Vec<_> = after[..cut].iter().chain(&before[cut..]).copied().collect();
                std::fs::write(&counter.path, torn).unwrap();
                let known = counter.read("a").unwrap().unwrap();
                assert!((commits..=commits + 1).contains(&known.commits), "{cut}: {known:?}");
                assert_eq!(counter.read("other"), Ok(Some(progress(9, 9))));
            }
            std::fs::write(&counter.path, before).unwrap();
        }
    }

    #[test]
    fn a_first_write_that_was_cut_keeps_nobody_out() {
        let (_directory, counter) = counter();
        counter.advance("a", progress(1, 0)).unwrap();
        counter.advance("b", progress(2, 0)).unwrap();
        let whole = std::fs::read(&counter.path).unwrap();
        for cut in (256..512).step_by(17) {
            std::fs::write(&counter.path, &whole[..cut]).unwrap();
            counter.advance("c", progress(3, 0)).unwrap();
            counter.advance("a", progress(2, 0)).unwrap();
            for (name, commits) in [("a", 2), ("c", 3)] {
                assert_eq!(counter.read(name), Ok(Some(progress(commits, 0))), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_counter_is_refused() {
        let (directory, counter) = counter();
        std::fs::write(&counter.path, "somebody's notes").unwrap();
        for refused in [counter.read("a").err(), counter.advance("a", progress(1, 1)).err()] {
            // The file's mode first, as for every file of ours.
            assert!(matches!(refused, Some(Error::StoreDamaged { .. } | Error::StoreIo { .. })));
        }
        assert_eq!(std::fs::read(&counter.path).unwrap(), b"somebody's notes");
        let elsewhere = CounterFile::new(directory.path().join("missing/counter"), BUSY_TIMEOUT);
        assert!(matches!(elsewhere.advance("a", progress(1, 1)), Err(Error::StoreIo { .. })));
        for name in ["", "two words", &"x".repeat(33)] {
            assert!(self::counter().1.advance(name, progress(1, 1)).is_err());
        }
    }
}
