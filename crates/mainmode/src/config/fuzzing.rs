//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use std::path::Path;

use super::Config;

/// The longest text that is read here: connections are compared with each other.
const MAX_READ: usize = 1 << 16;

/// Reads any bytes as a configuration. Whatever they are, what is said of them has a place in them.
///
/// # Panics
///
/// When that is not so.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.len() > MAX_READ {
        return;
    }
    let path = Path::new("/nowhere/mainmode.toml");
    match Config::from_text(path, text.to_owned(), false) {
        Ok(_) => {}
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert!(!errors.to_string().is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_corpus_file_is_taken_or_refused_with_words() {
        crate::corpus::replay("configuration", super::configuration);
    }
}
