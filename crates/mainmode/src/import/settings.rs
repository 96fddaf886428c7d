//! The syntax of strongSwan's settings (strongswan.conf(5)): sections, keys, references, `include`.
//!
//! Our own, since there is no crate for it. What is read is a tree; references are followed in `references.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::file;

/// The longest file, in bytes: a configuration of thousands of connections is shorter.
const MAX_FILE: u64 = 1 << 20;
/// The most files of one configuration: a folder with one for each connection.
const MAX_FILES: usize = 1024;
/// How deep files include each other: as deep as strongSwan follows them; a circle ends there.
const MAX_INCLUDES: usize = 10;
/// How deep sections stand in each other: swanctl.conf has five levels.
const MAX_DEPTH: usize = 16;
/// The most keys and sections of all files together.
const MAX_SETTINGS: usize = 65_536;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why the settings cannot be read, and where. It never shows a value, which can be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{place}: error: {what}")]
pub struct SettingsError {
    /// Where.
    pub place: Place,
    what: String,
}

impl SettingsError {
    pub(super) fn new(place: &Place, what: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            what: what.into(),
        }
    }
}

/// What a key has. It can be a secret, so that it is not shown and does not stay in memory.
#[derive(Clone)]
pub struct Value {
    /// The text; empty where an inherited one is cleared.
    pub text: Zeroizing<String>,
    /// Where it stands.
    pub place: Place,
}

/// A section.
#[derive(Clone)]
pub struct Section {
    /// Where it begins.
    pub place: Place,
    /// Which thing of the whole configuration it is, counted from 1.
    pub order: usize,
    /// Its keys.
    pub values: BTreeMap<String, Value>,
    /// The sections in it.
    pub sections: BTreeMap<String, Section>,
    /// The sections it inherits from, by their whole names. Once they are followed: of the root those of the whole tree.
    pub references: Vec<(String, Place)>,
}

impl Section {
    fn new(place: Place, order: usize) -> Self {
        Self {
            place,
            order,
            values: BTreeMap::new(),
            sections: BTreeMap::new(),
            references: Vec::new(),
        }
    }
}

/// An `include` that named a file that is not there: strongSwan goes on without it.
pub struct Missing {
    /// Where the `include` stands.
    pub place: Place,
    /// What it named.
    pub pattern: String,
}

/// Reads a file and those that it includes.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn read(path: &Path) -> Result<(Section, Vec<Missing>), SettingsError> {
    let place = Place {
        file: path.into(),
        line: 1,
    };
    let mut reader = Reader::default();
    let mut root = Section::new(place.clone(), 0);
    reader.file(path, &place, &mut root, 0)?;
    Ok((root, reader.missing))
}

/// Reads a text as if it stood in that file. Files that it includes are not looked for.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn read_text(path: &Path, text: &str) -> Result<Section, SettingsError> {
    let place = Place {
        file: path.into(),
        line: 1,
    };
    let mut root = Section::new(place.clone(), 0);
    let mut text = Text::new(text, place.file);
    let mut reader = Reader {
        alone: true,
        ..Reader::default()
    };
    reader.statements(&mut text, &mut root, None, 0, 0)?;
    Ok(root)
}

/// What stays in one file while it is read.
struct Text<'a> {
    rest: &'a str,
    file: Arc<Path>,
    line: usize,
}

impl<'a> Text<'a> {
    fn new(rest: &'a str, file: Arc<Path>) -> Self {
        Self {
            rest,
            file,
            line: 1,
        }
    }

    fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    /// What comes until the first character that is not `wanted`, which is never a newline.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
    }

    /// Blanks, newlines and comments.
    fn skip(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some('\n') => {
                    self.next();
                }
                Some('#') => {
                    self.take_while(|c| c != '\n');
                }
                _ => return,
            }
        }
    }
}

fn in_name(c: char) -> bool {
    !matches!(
        c,
        '#' | '{' | '}' | ':' | '.' | ',' | '=' | '"' | '\r' | '\n' | '\t' | ' '
    )
}

/// A character as it goes into a message.
fn shown(c: Option<char>) -> String {
    c.map_or_else(
        || "the end of the file".to_owned(),
        |c| match c {
            '"' => "'\"'".to_owned(),
            c => format!("'{}'", c.escape_debug()),
        },
    )
}

#[derive(Default)]
struct Reader {
    files: usize,
    settings: usize,
    missing: Vec<Missing>,
    /// Other files are left alone.
    alone: bool,
}

impl Reader {
    fn file(
        &mut self,
        path: &Path,
        from: &Place,
        into: &mut Section,
        includes: usize,
    ) -> Result<(), SettingsError> {
        let error = |what: String| SettingsError::new(from, format!("{}: {what}", path.display()));
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(error(format!("these are more than {MAX_FILES} files")));
        }
        let cannot = |why: std::io::Error| error(format!("cannot be read: {why}"));
        let file = file::open(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        if !meta.is_file() {
            return Err(error("is no file".to_owned()));
        }
        if meta.len() > MAX_FILE {
            return Err(error(format!("has more than {MAX_FILE} bytes")));
        }
        // The whole capacity at once: a vector that grows leaves copies of secrets behind.
        let capacity = usize::try_from(meta.len()).unwrap_or_default() + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        file.take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(cannot)?;
        let text = std::str::from_utf8(&bytes).map_err(|why| {
            let before = &bytes[..why.valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            error(format!("is not UTF-8: see line {line}"))
        })?;
        let mut text = Text::new(text, path.into());
        self.statements(&mut text, into, None, 0, includes)
    }

    fn count(&mut self, place: &Place) -> Result<usize, SettingsError> {
        self.settings += 1;
        if self.settings > MAX_SETTINGS {
            let what = format!("these are more than {MAX_SETTINGS} settings");
            return Err(SettingsError::new(place, what));
        }
        Ok(self.settings)
    }

    /// What stands in a section until its end; `opened` is where that began, nothing for a whole file.
    fn statements(
        &mut self,
        text: &mut Text<'_>,
        section: &mut Section,
        opened: Option<&Place>,
        depth: usize,
        includes: usize,
    ) -> Result<(), SettingsError> {
        loop {
            text.skip();
            let place = text.place();
            match (text.peek(), opened) {
                (None, None) => return Ok(()),
                (None, Some(opened)) => {
                    return Err(SettingsError::new(
                        opened,
                        "this section has no } at its end",
                    ));
                }
                (Some('}'), Some(_)) => {
                    text.next();
                    return Ok(());
                }
                (Some('}'), None) => {
                    return Err(SettingsError::new(&place, "this } ends no section"));
                }
                (Some(c), _) if !in_name(c) => {
                    let what = format!("{} stands where a key or a section begins", shown(Some(c)));
                    return Err(SettingsError::new(&place, what));
                }
                _ => {}
            }
            let name = text.take_while(in_name);
            if name == "include" && included(text) {
                let pattern = pattern(text)?;
                self.include(&pattern, &place, section, includes)?;
                continue;
            }
            text.skip();
            let order = self.count(&place)?;
            let inner = match text.next() {
                Some('=') => {
                    let value = Value {
                        text: value(text)?,
                        place,
                    };
                    section.values.insert(name.to_owned(), value);
                    continue;
                }
                Some('{') => Vec::new(),
                Some(':') => references(text)?,
                other => {
                    let what = format!(
                        "behind \"{}\" stands {}; a key has = behind it, a section has {{",
                        name.escape_debug(),
                        shown(other)
                    );
                    return Err(SettingsError::new(&place, what));
                }
            };
            if depth >= MAX_DEPTH {
                let what = format!("sections stand in each other more than {MAX_DEPTH} deep");
                return Err(SettingsError::new(&place, what));
            }
            let child = section
                .sections
                .entry(name.to_owned())
                .or_insert_with(|| Section::new(place.clone(), order));
            child.references.extend(inner);
            self.statements(text, child, Some(&place), depth + 1, includes)?;
        }
    }

    fn include(
        &mut self,
        pattern: &str,
        place: &Place,
        section: &mut Section,
        includes: usize,
    ) -> Result<(), SettingsError> {
        let error = |what: String| {
            let pattern = pattern.escape_debug();
            SettingsError::new(place, format!("include \"{pattern}\": {what}"))
        };
        if includes >= MAX_INCLUDES {
            return Err(error(format!(
                "files include each other more than {MAX_INCLUDES} deep, or in a circle"
            )));
        }
        if pattern.is_empty() || pattern.contains("**") {
            return Err(error("is no name of files".to_owned()));
        }
        if self.alone {
            return Ok(());
        }
        let folder = place.file.parent().unwrap_or(Path::new(""));
        // The folder is no pattern, whatever is in its name.
        let folder = glob::Pattern::escape(&folder.to_string_lossy());
        let whole = PathBuf::from(folder).join(pattern);
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            require_literal_separator: true,
            ..glob::MatchOptions::default()
        };
        let found = glob::glob_with(&whole.to_string_lossy(), options)
            .map_err(|why| error(why.msg.to_owned()))?;
        let mut some = false;
        for path in found {
            some = true;
            let path = path.map_err(|why| error(why.to_string()))?;
            self.file(&path, place, section, includes + 1)?;
        }
        if !some && !pattern.contains(['*', '?', '[']) {
            self.missing.push(Missing {
                place: place.clone(),
                pattern: pattern.to_owned(),
            });
        }
        Ok(())
    }
}

/// Whether the word `include` that was just read names files, and is no key.
fn included(text: &mut Text<'_>) -> bool {
    if !text.rest.starts_with([' ', '\t']) {
        return false;
    }
    text.skip_blanks();
    !matches!(text.peek(), None | Some('=' | '{' | ':' | '\n'))
}

/// Behind `include`.
fn pattern(text: &mut Text<'_>) -> Result<String, SettingsError> {
    if text.peek() == Some('"') {
        return Ok(quoted(text)?.to_string());
    }
    let mut pattern = String::new();
    while let Some(c) = text.peek() {
        match c {
            '#' | '}' | '\n' | '\t' | ' ' | '\r' | '"' => break,
            '\\' => {
                text.next();
                match text.peek() {
                    Some(escaped @ ('"' | '#' | '}' | ' ')) => {
                        text.next();
                        pattern.push(escaped);
                    }
                    _ => pattern.push('\\'),
                }
            }
            _ => {
                text.next();
                pattern.push(c);
            }
        }
    }
    Ok(pattern)
}

/// Behind `name :`, with the `{` that follows.
fn references(text: &mut Text<'_>) -> Result<Vec<(String, Place)>, SettingsError> {
    let mut found = Vec::new();
    loop {
        text.skip();
        let place = text.place();
        let name = text.take_while(|c| in_name(c) || c == '.');
        let good = !name.is_empty() && name.split('.').all(|part| !part.is_empty());
        if !good {
            let what = "behind : stand names of sections, as in a : connections.b { … }";
            return Err(SettingsError::new(&place, what));
        }
        found.push((name.to_owned(), place));
        text.skip();
        let place = text.place();
        match text.next() {
            Some(',') => {}
            Some('{') => return Ok(found),
            other => {
                let what = format!(
                    "{} stands behind the sections that are referred to; {{ follows them",
                    shown(other)
                );
                return Err(SettingsError::new(&place, what));
            }
        }
    }
}

/// Behind `=`, to the end of the line: words and quoted texts, with one blank between.
fn value(text: &mut Text<'_>) -> Result<Zeroizing<String>, SettingsError> {
    let mut parts: Vec<Zeroizing<String>> = Vec::new();
    loop {
        text.skip_blanks();
        match text.peek() {
            None | Some('\n' | '#' | '}') => break,
            Some('"') => parts.push(quoted(text)?),
            Some(_) => {
                let part =
                    text.take_while(|c| !matches!(c, '#' | '}' | '"' | '\r' | '\n' | '\t' | ' '));
                parts.push(Zeroizing::new(part.to_owned()));
            }
        }
    }
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        return Ok(one);
    }
    // As long as its parts: a string that grows leaves copies of a secret behind.
    let len = parts.iter().map(|part| part.len() + 1).sum();
    let mut value = Zeroizing::new(String::with_capacity(len));
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            value.push(' ');
        }
        value.push_str(part);
    }
    Ok(value)
}

/// From one `"` to the other.
fn quoted(text: &mut Text<'_>) -> Result<Zeroizing<String>, SettingsError> {
    let opened = text.place();
    text.next();
    let mut escaped = false;
    let end = text.rest.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else {
        return Err(SettingsError::new(
            &opened,
            "this text has no \" at its end",
        ));
    };
    let mut value = Zeroizing::new(String::with_capacity(end));
    loop {
        match text.next() {
            None | Some('"') => return Ok(value),
            Some('\r') => {}
            Some('\\') => match text.next() {
                // The line goes on in the next one.
                None | Some('\n') => {}
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('\r') if text.peek() == Some('\n') => {
                    text.next();
                }
                Some(other) => value.push(other),
            },
            Some(other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
