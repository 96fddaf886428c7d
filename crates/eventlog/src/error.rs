//! What can go wrong with the log, in the operator's words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the log did not do what it was asked for.
///
/// Causes are shared, so that one failed transaction can tell everybody whose event was in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another process holds the log for writing.
    #[error(
        "another process{} already writes the log in {}: stop it first, or give this one a [log] directory of its own",
        holder(*.process),
        .directory.display()
    )]
    Locked {
        /// The log's directory.
        directory: PathBuf,
        /// The process that holds it, when it said so.
        process: Option<u32>,
    },
    /// `retention = "stop"` and the log has reached its `max-size` (1104 has been written).
    #[error(
        "the log is full and its retention is \"stop\": clear it with `log clear`, or raise max-size"
    )]
    Full,
    /// A file or directory of the log refused.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried, as a verb: "create".
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The database of a segment refused.
    #[error("the log's file {} cannot be used", .path.display())]
    Database {
        /// The segment.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// A file has a segment's name, but not its content.
    #[error("{} is not a segment of this log: {what}", .path.display())]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file is of a layout that is not known yet.
    #[error(
        "{} was written by a newer mainmode (its layout is {layout}): use that one, or another [log] directory",
        .path.display()
    )]
    Newer {
        /// The segment, or the backup.
        path: PathBuf,
        /// Its layout.
        layout: i64,
    },
    /// A file that is to be read on its own is none of a log.
    #[error("{} is no file of a log: {what}", .path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// The file was removed, or another put in its place, while it was written.
    #[error("the log's file {} was removed while the daemon wrote it", .0.display())]
    Removed(PathBuf),
    /// The directory holds no log.
    #[error("there is no log in {}", .0.display())]
    NoLog(PathBuf),
    /// A record is larger than [`crate::MAX_RECORD`].
    #[error(
        "a record of {size} bytes is larger than the log takes ({} bytes)",
        crate::MAX_RECORD
    )]
    RecordTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A backup would overwrite a file.
    #[error("{} exists already: a backup never overwrites", .0.display())]
    BackupExists(PathBuf),
    /// A backup would have a name that the log gives to its own files.
    #[error(
        "{} would be taken for one of the log's own files: give the backup another name, or another folder",
        .0.display()
    )]
    BackupIsOwn(PathBuf),
    /// More events wait for the disk than the queue holds.
    #[error("too many events wait for the log's disk ({} of them)", crate::QUEUE)]
    QueueFull,
    /// The log's thread has ended.
    #[error("the log has been closed")]
    Stopped,
}

/// " (process 17)" or nothing.
fn holder(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

impl LogError {
    /// True when the disk, or the quota, has no space left: the log goes on as soon as there is some.
    pub fn is_no_space(&self) -> bool {
        match self {
            LogError::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            LogError::Database { source, .. } => {
                // The index of the write-ahead log is a file of the same disk.
                let index = source.sqlite_error().is_some_and(|error| {
                    error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
                });
                index || source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }

    /// True when the file was not there, or not for us.
    pub(crate) fn is_absent(&self) -> bool {
        match self {
            LogError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            LogError::Database { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen)
            }
            _ => false,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
        let path = path.to_owned();
        move |source| LogError::Io {
            what,
            path,
            source: Arc::new(source),
        }
    }

    pub(crate) fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> LogError {
        let path = path.to_owned();
        move |source| LogError::Database {
            path,
            source: Arc::new(source),
        }
    }
}
