//! A small file beside the token, in which processes say how far they are: what one
//! has acknowledged, all others must find in the token.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Numbered pairs of counters, shared by all processes of a crowd.
pub struct Board(File);

/// The states that something may be in: this one, up to and including that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub done: u64,
    pub intended: u64,
}

impl Span {
    pub fn versions(self) -> impl Iterator<Item = u64> {
        self.done..=self.intended
    }
}

impl Board {
    pub fn open(path: &Path) -> Self {
        let mut options = File::options();
        Self(options.read(true).write(true).create(true).truncate(false).open(path).unwrap())
    }

    fn read(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        // Nobody has written so far: zero.
        let read = self.0.read_at(&mut bytes, at).unwrap();
        if read == 8 { u64::from_ne_bytes(bytes) } else { 0 }
    }

    /// What is acknowledged; to be asked before one looks.
    pub fn done(&self, number: usize) -> u64 {
        self.read(number as u64 * 16)
    }

    /// Up to where it may have come; to be asked after one has looked.
    pub fn span(&self, number: usize, done: u64) -> Span {
        Span { done, intended: self.read(number as u64 * 16 + 8).max(done) }
    }

    /// Says that this state is about to be made.
    pub fn intend(&self, number: usize, version: u64) {
        self.0.write_all_at(&version.to_ne_bytes(), number as u64 * 16 + 8).unwrap();
    }

    /// Says that it is made.
    pub fn finish(&self, number: usize, version: u64) {
        self.0.write_all_at(&version.to_ne_bytes(), number as u64 * 16).unwrap();
    }
}
