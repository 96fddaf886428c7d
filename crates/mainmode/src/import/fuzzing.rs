//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use std::path::Path;

use super::{import, references, settings};
use crate::config::{Config, DataPlane};

/// Of what is written, as much as is checked too: connections are compared with each other.
const MAX_CHECKED: usize = 1 << 18;

/// Reads any bytes as a swanctl.conf, alone in its folder. Whatever they are, what is written for each data plane is a
/// configuration, and one that can be used where it names no files.
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
    for plane in [DataPlane::Kernel, DataPlane::User, DataPlane::None] {
        let imported = import(&root, folder, &[], plane);
        let text = imported.text.to_string();
        let table: Result<toml::Table, _> = text.parse();
        assert!(table.is_ok(), "{text}");
        if text.len() > MAX_CHECKED {
            continue;
        }
        let read = Config::from_text(&folder.join("m.toml"), text, false);
        // Certificates and keys are not there.
        if !imported.text.contains("/nowhere/") {
            let errors = read.err().map(|errors| errors.to_string());
            assert!(errors.is_none(), "{errors:?}\n{}", imported.text.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_every_corpus_file_becomes_is_a_configuration() {
        crate::corpus::replay("swanctl", super::swanctl);
    }
}
