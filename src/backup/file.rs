//! The file that a backup is written to: nobody sees it before it is whole.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is written beside its name, made durable and then given it. Dropped
/// before that it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    beside: PathBuf,
    file: File,
    replace: bool,
    is_moved: bool,
}

impl OutputFile {
    /// Whether a file may be made there, as far as can be told before.
    ///
    /// # Errors
    /// As for [`OutputFile::create`].
    pub fn check(path: &Path, replace: bool) -> Result<()> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(path, "look at", &error)),
            Ok(found) if !found.is_file() => {
                Err(refused(path, "it is there and is not a plain file"))
            }
            Ok(_) if !replace => Err(taken(path)),
            Ok(_) => Ok(()),
        }
    }

    /// Begins a file of mode 0600 that will be `path`. `mark`, drawn at random, tells several
    /// writers of one name apart, and those that were killed before.
    ///
    /// # Errors
    /// [`Error::BackupRefused`] when the name is taken, unless by a plain file that
    /// the caller wants to `replace`; why the file could not be made.
    pub fn create(path: &Path, replace: bool, mark: u64) -> Result<Self> {
        Self::check(path, replace)?;
        let name = path.file_name().ok_or_else(|| refused(path, "it names no file"))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{mark:016x}.new"));
        let beside = path.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = file.map_err(|error| Error::io(path, "make a file beside it", &error))?;
        Ok(Self { path: path.into(), beside, file, replace, is_moved: false })
    }

    /// Makes the content durable and gives it its name.
    ///
    /// # Errors
    /// [`Error::BackupRefused`] when somebody took the name meanwhile; why it could
    /// not be done.
    pub fn place(mut self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io(&self.path, "sync", &error))?;
        Self::check(&self.path, self.replace)?;
        // Unlike a rename a link does not replace what somebody puts there now.
        let linked =
            if self.replace { None } else { Some(fs::hard_link(&self.beside, &self.path)) };
        match linked {
            Some(Ok(())) => {}
            Some(Err(error)) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(taken(&self.path));
            }
            // Also where the file system has no links: the name was free a moment ago.
            Some(Err(_)) | None => {
                fs::rename(&self.beside, &self.path)
                    .map_err(|error| Error::io(&self.path, "rename the new file", &error))?;
                self.is_moved = true;
            }
        }
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| Error::io(parent, "sync the directory", &error))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.is_moved {
            // One that stays is sealed, and in nobody's way.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

fn taken(path: &Path) -> Error {
    refused(path, "it is there already")
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::BackupRefused { path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn written(path: &Path, replace: bool, content: &[u8]) -> Result<()> {
        let mut file = OutputFile::create(path, replace, 7)?;
        file.write_all(content).unwrap();
        file.place()
    }

    #[test]
    fn a_file_appears_whole_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let mut file = OutputFile::create(&path, false, 7).unwrap();
        file.write_all(b"content").unwrap();
        assert!(!path.exists());
        file.place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(directory.path()), ["backup"]);
    }

    #[test]
    fn what_is_there_is_replaced_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        fs::write(&path, b"before").unwrap();
        let refused = written(&path, false, b"after").unwrap_err();
        assert!(refused.to_string().ends_with("backup: it is there already"));
        assert_eq!(fs::read(&path).unwrap(), b"before");
        written(&path, true, b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(names(directory.path()), ["backup"]);
    }

    #[test]
    fn what_came_meanwhile_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let file = OutputFile::create(&path, false, 7).unwrap();
        fs::write(&path, b"somebody's").unwrap();
        assert!(file.place().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
        assert_eq!(names(directory.path()), ["backup"]);
    }

    #[test]
    fn nothing_but_plain_files_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [directory.path(), &link, Path::new("/dev/null")] {
            let refused = OutputFile::create(path, true, 7).unwrap_err();
            assert!(refused.to_string().contains("not a plain file"), "{refused}");
        }
        assert!(OutputFile::create(Path::new("/"), true, 7).is_err());
        assert_eq!(names(directory.path()), ["link"]);
    }

    #[test]
    fn an_abandoned_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(OutputFile::create(&directory.path().join("backup"), false, 7).unwrap());
        assert_eq!(names(directory.path()), [""; 0]);
        let nowhere = directory.path().join("no/backup");
        let refused = OutputFile::create(&nowhere, false, 7).unwrap_err();
        assert!(refused.to_string().contains("no/backup: make a file beside it"), "{refused}");
    }
}
