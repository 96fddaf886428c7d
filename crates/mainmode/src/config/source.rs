//! The text of a configuration file, and where in it something stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A place in a file, as editors count: from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file as the operator named it.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A file's text. It may hold secrets, so it is wiped when dropped, and a line is only shown with the
/// secrets in it struck out.
pub struct Source {
    path: PathBuf,
    text: Zeroizing<String>,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// What must not be shown, in bytes.
    secrets: Vec<Range<usize>>,
}

impl Source {
    /// Takes the text over.
    pub fn new(path: &Path, text: String) -> Self {
        let text = Zeroizing::new(text);
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let secrets = secrets_by_look(&text);
        Self {
            path: path.to_owned(),
            text,
            lines,
            secrets,
        }
    }

    /// The file as the operator named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// From now on the bytes in `span` are struck out where a line is shown.
    pub fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    /// The line and column of a byte. A place behind the end is the end.
    pub fn location(&self, at: usize) -> Location {
        let at = self.floor(at);
        let line = self.lines.partition_point(|&start| start <= at);
        let column = self.text[self.lines[line - 1]..at].chars().count() + 1;
        Location {
            file: self.path.clone(),
            line,
            column,
        }
    }

    /// The line in which a byte stands, secrets struck out, and as many characters as the caret needs:
    /// where it begins and how long it is, both in characters.
    pub fn excerpt(&self, span: &Range<usize>) -> (String, usize, usize) {
        let at = self.floor(span.start);
        let line = self.lines.partition_point(|&start| start <= at);
        let begin = self.lines[line - 1];
        let end = self
            .lines
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        let mut shown = String::new();
        let (mut start, mut len) = (0, 0);
        for (offset, c) in self.text[begin..end].char_indices() {
            let byte = begin + offset;
            let hidden = self.secrets.iter().any(|secret| secret.contains(&byte));
            start += usize::from(byte < at);
            len += usize::from(byte >= at && byte < span.end);
            shown.push(match c {
                _ if hidden => '*',
                c if c.is_control() => ' ',
                c => c,
            });
        }
        (shown.trim_end().to_owned(), start, len.max(1))
    }

    /// What may be a secret in the line in which a byte stands, though nobody could parse it: all behind the first
    /// `=`, or the whole line, which may go on with a text of several.
    pub fn unparsed(&self, at: usize) -> Range<usize> {
        let line = self.lines.partition_point(|&start| start <= self.floor(at));
        let begin = self.lines[line - 1];
        let end = self
            .lines
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        let text = &self.text[begin..end];
        match text.find('=') {
            Some(equals) => begin + equals + 1..end,
            None if text.trim_start().starts_with('[') => end..end,
            None => begin..end,
        }
    }

    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// What looks like an inline secret, found without the parser: an error may come before the parser has
/// understood the line.
fn secrets_by_look(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let words = ["psk", "password", "passphrase"].map(|word| text.match_indices(word));
    for (at, word) in words.into_iter().flatten() {
        let rest = &text[at + word.len()..];
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
        let Some(value) = rest.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        let line_end = value.find('\n').unwrap_or(value.len());
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (skip, len) = match quote {
            Some(quote) => {
                let inside = &value[1..line_end];
                (1, closing(inside, quote).unwrap_or(inside.len()))
            }
            None => (0, line_end),
        };
        found.push(start + skip..start + skip + len);
    }
    found
}

/// Where the string ends that began before `text`.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        if escaped {
            escaped = false;
            return None;
        }
        escaped = quote == '"' && c == '\\';
        (c == quote).then_some(at)
    })
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Source({}, {} lines)",
            self.path.display(),
            self.lines.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("a.toml"), text.to_owned())
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = source("a = 1\nzü = \"x\"\n");
        let at = source.text().find("\"x\"").expect("there");
        let location = source.location(at);
        assert_eq!((location.line, location.column), (2, 6));
        assert_eq!(location.to_string(), "a.toml:2:6");
        let end = source.location(10_000);
        assert_eq!((end.line, end.column), (3, 1));
    }

    #[test]
    fn the_excerpt_of_a_span_is_its_first_line() {
        let source = source("a = 1\n\tb = [\n1]\n");
        let at = source.text().find('[').expect("there");
        assert_eq!(source.excerpt(&(at..at + 4)), (" b = [".to_owned(), 5, 1));
    }

    #[test]
    fn an_inline_secret_is_struck_out_whether_or_not_the_text_parses() {
        for (text, shown) in [
            (
                "auth = { psk = \"hunter2\", x = 1 }",
                "auth = { psk = \"*******\", x = 1 }",
            ),
            ("psk='a\"b' # c", "psk='***' # c"),
            ("psk = \"a\\\"b\" # c", "psk = \"****\" # c"),
            ("\"psk\" = \"hunter2", "\"psk\" = \"*******"),
            ("psk = hunter2 3", "psk = *********"),
            ("psk-file = \"a.psk\"", "psk-file = \"a.psk\""),
        ] {
            assert_eq!(source(text).excerpt(&(0..1)).0, shown);
        }
    }
}
