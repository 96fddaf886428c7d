//! Where the key log is written, and whether others could read it there.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Uid;

/// The keys of negotiations: the name under which Wireshark looks for them.
pub const IKE: &str = "ikev1_decryption_table";
/// The keys of IPsec SAs: the same.
pub const ESP: &str = "esp_sa";

/// What the operator must know as long as there is one.
pub fn alert(folder: &Path) -> String {
    format!(
        "KEYS ARE LOGGED: who can read {} can decrypt all that is negotiated and carried here",
        folder.display()
    )
}

/// Why keys cannot be written into a folder: others than its owner could put something else there, or read what
/// is there. A folder that is not there yet is good.
pub fn fault(folder: &Path) -> Option<String> {
    let meta = fs::metadata(folder).ok()?;
    if !meta.is_dir() {
        return Some(format!("{} is no folder", folder.display()));
    }
    if ![0, Uid::effective().as_raw()].contains(&meta.uid()) {
        return Some(format!("{} is another user's", folder.display()));
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let folder = folder.display();
        return Some(format!(
            "{folder} can be written by group or others (mode {mode:04o})"
        ));
    }
    [IKE, ESP].iter().find_map(|name| {
        let path = folder.join(name);
        let meta = fs::symlink_metadata(&path).ok()?;
        exposed_file(&path, &meta)
    })
}

/// Why a file is no place for secrets.
pub fn exposed_file(path: &Path, meta: &Metadata) -> Option<String> {
    let shown = path.display();
    if !meta.is_file() {
        return Some(format!("{shown} is not a file"));
    }
    if meta.uid() != Uid::effective().as_raw() {
        return Some(format!("{shown} is another user's"));
    }
    let mode = meta.mode() & 0o7777;
    (mode & 0o077 != 0)
        .then(|| format!("{shown} can be read or written by group or others (mode {mode:04o})"))
}
