//! The log's directory: names of its files, the writer's lock, and making names durable.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{LogError, reserve};

/// Segments are `security-0000000001.db` and so on. A gap says that the segment that was the newest was taken away.
const PREFIX: &str = "security-";
const SUFFIX: &str = ".db";
/// A segment in the making has this name until it is whole.
pub(crate) const UNFINISHED: &str = "next.tmp";
const LOCK: &str = "lock";
/// Segments that retention put aside are `Archive-Security-2026-11-23-09-00-00-123.db`, as Windows names them.
pub(crate) const ARCHIVE_PREFIX: &str = "Archive-Security-";
/// Owner and group may list and read: the group is for those who may read the log.
const DIRECTORY_MODE: u32 = 0o750;
const LOCK_MODE: u32 = 0o640;

/// Path of the segment with this number.
pub(crate) fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(segment_name(number))
}

fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:010}{SUFFIX}")
}

/// True for a name that the log gives to files of its own, now or later: with their companions they all begin so. To be
/// asked of a file in its folder, by whatever way that was named.
fn is_own_name(name: &OsStr) -> bool {
    let own = [PREFIX, UNFINISHED, LOCK, reserve::NAME, ARCHIVE_PREFIX];
    let name = name.as_bytes();
    own.iter().any(|own| name.starts_with(own.as_bytes()))
}

/// True for a path in the log's `directory` with a name that the log gives to files of its own, whether there is one or
/// not: nothing else may be written there.
pub fn is_own(directory: &Path, path: &Path) -> bool {
    let folder = folder_of(path);
    // By which folder it is: there are many ways to say it.
    let same = identity(folder).is_some() && identity(folder) == identity(directory);
    same && path.file_name().is_some_and(is_own_name)
}

/// The folder that a file is in; that of the process where its path names none.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Device and inode of the file that has this name.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// `FILE-wal` and `FILE-shm`, the companions of an active segment.
pub(crate) fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Numbers of the segments that are there, oldest first.
pub(crate) fn segment_numbers(directory: &Path) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    let entries = fs::read_dir(directory).map_err(LogError::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(LogError::io("list", directory))?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|digits| digits.parse::<u64>().ok())
            .filter(|number| name == *segment_name(*number));
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Creates the directory, and those above it, when it is absent.
pub(crate) fn create(directory: &Path) -> Result<(), LogError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(LogError::io("create", directory))
}

/// Makes names that were created, renamed or removed in the directory survive a loss of power.
pub(crate) fn sync(directory: &Path) -> Result<(), LogError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(LogError::io("sync", directory))
}

/// Removes a segment and its companions; absent ones are no error.
pub(crate) fn remove_segment(path: &Path) -> Result<(), LogError> {
    let [wal, shm] = companions(path);
    for path in [path, &wal, &shm] {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::io("remove", path)(error)),
        }
    }
    Ok(())
}

/// The right to write the log, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or tells who holds it.
    pub(crate) fn take(directory: &Path) -> Result<Lock, LogError> {
        let path = directory.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(LOCK_MODE)
            .open(&path)
            .map_err(LogError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = (&mut file)
                    .take(16)
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(LogError::Locked {
                    directory: directory.to_owned(),
                    process,
                });
            }
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", &path)(error)),
        }
        // Only for the error message of a second writer: a full disk must not stop us here.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segment_names_are_segments() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "security-0000000002.db",
            "security-0000000010.db",
            "security-0000000002.db-wal",
            "security-2.db",
            "security-00000000002.db",
            "security-000000000x.db",
            "Archive-Security-2026-11-23-09-00-00-000.db",
            "next.tmp",
        ] {
            File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(segment_numbers(dir.path()).unwrap(), [2, 10]);
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("(process {})", std::process::id())),
            "{refused}"
        );
        drop(held);
        Lock::take(dir.path()).unwrap();
    }
}
