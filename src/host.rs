//! The process and machine that the module or the program runs in. Outside
//! `ffi`, only this file reads environment variables.
#![forbid(unsafe_code)]

use crate::config::Environment;
use nix::unistd::{Uid, User, getresgid, getresuid};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The real environment of this process.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEnvironment;

impl Environment for OsEnvironment {
    /// Nothing at all in a program that runs with somebody else's rights
    /// (set-user-id, set-group-id): its caller wrote those variables.
    fn var(&self, name: &str) -> Option<OsString> {
        if runs_with_borrowed_rights() { None } else { std::env::var_os(name) }
    }

    fn read_file(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Room for everything at once: growing would leave copies of a PIN behind.
        let mut content = Vec::with_capacity(limit);
        file.take(limit as u64).read_to_end(&mut content)?;
        Ok(content)
    }

    fn home(&self) -> Option<PathBuf> {
        match self.var("HOME") {
            Some(home) if !home.is_empty() => Some(home.into()),
            _ => User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir),
        }
    }

    fn is_root(&self) -> bool {
        Uid::effective().is_root()
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }
}

fn runs_with_borrowed_rights() -> bool {
    match (getresuid(), getresgid()) {
        (Ok(user), Ok(group)) => user.real != user.effective || group.real != group.effective,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_directories_are_those_of_the_process() {
        assert_eq!(OsEnvironment.var("PATH"), std::env::var_os("PATH"));
        assert_eq!(OsEnvironment.var("SIGNET_NO_SUCH_VARIABLE"), None);
        assert_eq!(OsEnvironment.current_dir().unwrap(), std::env::current_dir().unwrap());
        assert!(OsEnvironment.home().is_some_and(|home| home.is_absolute()));
        assert_eq!(OsEnvironment.is_root(), Uid::effective().is_root());
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        assert_eq!(OsEnvironment.read_file(&path, 20).unwrap(), b"0123456789");
        assert_eq!(OsEnvironment.read_file(&path, 4).unwrap(), b"0123");
        assert_eq!(OsEnvironment.read_file(Path::new("/dev/zero"), 3).unwrap(), [0; 3]);
        let error = OsEnvironment.read_file(directory.path(), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let missing = OsEnvironment.read_file(&directory.path().join("no"), 4).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
