//! The configuration as it is written: keys with their values, one a line.

use std::fmt::Write as _;

use zeroize::Zeroizing;

/// Keys and values of one table. A line can hold a secret.
#[derive(Clone, Default)]
pub struct Lines(Vec<Zeroizing<String>>);

impl Lines {
    /// A key with a value that is no secret.
    pub fn put(&mut self, key: &str, value: impl Into<toml::Value>) {
        let value: toml::Value = value.into();
        self.0.push(Zeroizing::new(format!("{key} = {value}")));
    }

    /// A key with a list of texts.
    pub fn put_list<T: AsRef<str>>(&mut self, key: &str, texts: &[T]) {
        let texts: Vec<toml::Value> = texts.iter().map(|text| text.as_ref().into()).collect();
        self.put(key, texts);
    }

    /// A key with a table in one line.
    pub fn put_table(&mut self, key: &str, table: &Self) {
        // As long as its parts: a string that grows leaves copies of secrets behind.
        let mut line = Zeroizing::new(String::with_capacity(key.len() + table.len() + 3));
        let _ = write!(line, "{key} = ");
        table.write_to(&mut line);
        self.0.push(line);
    }

    /// A key with a list of tables in one line.
    pub fn put_tables(&mut self, key: &str, tables: &[Self]) {
        let len: usize = tables.iter().map(|table| table.len() + 2).sum();
        let mut line = Zeroizing::new(String::with_capacity(key.len() + len + 5));
        let _ = write!(line, "{key} = [");
        for (at, table) in tables.iter().enumerate() {
            if at > 0 {
                line.push_str(", ");
            }
            table.write_to(&mut line);
        }
        line.push(']');
        self.0.push(line);
    }

    /// How long it is as a table in one line, at most.
    fn len(&self) -> usize {
        self.0.iter().map(|line| line.len() + 2).sum::<usize>() + 4
    }

    fn write_to(&self, line: &mut String) {
        line.push_str("{ ");
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                line.push_str(", ");
            }
            line.push_str(part);
        }
        line.push_str(" }");
    }

    /// A key with a secret.
    pub fn put_secret(&mut self, key: &str, secret: &str) {
        let text = quoted(secret);
        let mut line = Zeroizing::new(String::with_capacity(key.len() + text.len() + 4));
        let _ = write!(line, "{key} = {}", text.as_str());
        self.0.push(line);
    }

    /// Others behind these.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was written, line by line.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|line| line.as_str())
    }
}

/// A secret as a text of TOML: as it is, or in hexadecimal where a character of it would have to be escaped.
fn quoted(secret: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * secret.len() + 4));
    let plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    text.push('"');
    if secret.chars().all(plain) {
        text.push_str(secret);
    } else {
        text.push_str("0x");
        for byte in secret.bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_they_were_written() {
        for secret in [
            "plain text",
            "0x6162",
            "quo\"te",
            "back\\slash",
            "Schlüssel",
            "line\nend",
        ] {
            let mut lines = Lines::default();
            lines.put_secret("psk", secret);
            let text = lines.lines().next().expect("a line");
            let table: toml::Table = text.parse().expect("TOML");
            let read =
                crate::config::secret::from_text(table["psk"].as_str().expect("text").as_bytes());
            let same = crate::config::secret::from_text(secret.as_bytes());
            assert_eq!(
                read.expect("a key").secret.as_bytes(),
                same.expect("a key").secret.as_bytes(),
                "{secret}"
            );
        }
    }
}
