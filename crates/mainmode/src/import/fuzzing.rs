//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use std::path::Path;

use super::{import, references, settings};
use crate::config::{Config, DataPlane};

/// Of what is written, as much as is checked too: connections are compared with each other.
const MAX_CHECKED: usize = 1 << 18;

/// Reads any bytes as a swanctl.conf, alone in its folder. Whatever they are, what is written is TOML, and `config`
/// reads it to its end.
///
/// # Panics
///
/// When that is not so.
pub fn swanctl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let folder = Path::new("/nowhere");
    let root = settings::read_text(&folder.join("swanctl.conf"), text);
    let Ok(root) = root.and_then(|root| references::resolve(&root)) else {
        return;
    };
    let imported = import(&root, folder, &[], DataPlane::Kernel);
    let table: Result<toml::Table, _> = imported.text.parse();
    assert!(table.is_ok(), "{}", imported.text.as_str());
    if imported.text.len() <= MAX_CHECKED {
        let text = imported.text.to_string();
        drop(Config::from_text(&folder.join("m.toml"), text, false));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_every_corpus_file_becomes_is_toml() {
        crate::corpus::replay("swanctl", super::swanctl);
    }
}
