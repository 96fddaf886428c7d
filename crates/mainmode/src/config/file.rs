//! Files that a configuration names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

/// Room that is made for the shortest file too, in bytes.
const LEAST_ROOM: u64 = 4096;

/// Opens for reading what should be a file. That of something else (a pipe, a device) is not waited for: whether it is a file
/// the caller can see then.
///
/// # Errors
///
/// What the system says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
}

/// A whole file, of so many bytes at most. `secret`: its owner alone may read it.
///
/// # Errors
///
/// The file cannot be read, is longer or something else than a file, or others can read it.
pub fn whole(path: &Path, secret: bool, longest: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let cannot = |error: io::Error| format!("cannot read {shown}: {error}");
    let file = open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let mode = meta.mode() & 0o7777;
    if secret && mode & 0o077 != 0 {
        return Err(format!(
            "{shown} can be read or written by group or others (mode {mode:04o})"
        ));
    }
    // The whole capacity at once: a vector that grows leaves copies of a secret behind.
    let room = meta.len().max(LEAST_ROOM).min(longest) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(room).unwrap_or_default(),
    ));
    file.take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > longest {
        return Err(format!("{shown} has more than {longest} bytes"));
    }
    Ok(bytes)
}
