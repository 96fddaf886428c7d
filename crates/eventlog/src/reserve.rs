//! Space that the log keeps in reserve. Where the disk is full, records are refused, but the account goes on being
//! kept, and the next start finds room for what it has to write.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::LogError;

/// Its name in the log's directory.
pub(crate) const NAME: &str = "reserve";
const MODE: u32 = 0o600;
/// What a transaction needs beside a write-ahead log of full length: that one's index (32 KiB), and pages for what
/// the account may add to the segment.
const BESIDE_JOURNAL: u64 = 256 * 1024;

/// A file that holds nothing but space.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// How many bytes are held.
    held: u64,
}

impl Reserve {
    /// The one of this directory. What whoever wrote the log before left of it counts once it is held.
    pub(crate) fn of(directory: &Path) -> Reserve {
        Reserve {
            path: directory.join(NAME),
            held: 0,
        }
    }

    /// Takes the space, for a write-ahead log of so many bytes, unless as much is held.
    ///
    /// # Errors
    /// Only that there is no such space. A disk that has it and refuses it for another reason is not asked for it.
    pub(crate) fn hold(&mut self, journal: u64) -> Result<(), LogError> {
        let bytes = journal.saturating_add(BESIDE_JOURNAL);
        if self.held >= bytes {
            return Ok(());
        }
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            // Nothing but a file of its own is asked for space, or waited for.
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&self.path);
        let taken = opened.and_then(|file| match nix::fcntl::posix_fallocate(&file, 0, length) {
            Ok(()) => Ok(()),
            Err(error) => {
                // What was held before stays.
                let _ = file.set_len(self.held);
                Err(error.into())
            }
        });
        let taken = taken.map_err(LogError::io("keep space in reserve in", &self.path));
        match taken {
            Ok(()) => self.held = bytes,
            Err(error) => {
                if self.held == 0 {
                    // What was taken of it is of no use.
                    self.release();
                }
                if error.is_no_space() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives the space to the disk.
    pub(crate) fn release(&mut self) {
        self.held = 0;
        // Where there is none, there is none.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_of_it_is_made_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::write(&path, "").unwrap();
        let mut reserve = Reserve::of(dir.path());
        reserve.hold(4_096).unwrap();
        let length = || path.metadata().unwrap().len();
        assert_eq!(length(), 4_096 + BESIDE_JOURNAL);
        // It grows, and never gives away what a segment that is open counts on.
        for journal in [8_192, 0] {
            reserve.hold(journal).unwrap();
            assert_eq!(length(), 8_192 + BESIDE_JOURNAL);
        }
        reserve.release();
        assert!(!path.exists());
    }
}
