//! Reading tables and values with their places, so that each error can name its own.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Findings;
use super::keys::{KEYS, keys_of, nearest, nearest_of};

/// One table of the file.
pub struct Table<'a> {
    /// Its name in [`KEYS`].
    name: &'static str,
    /// Where it stands.
    pub span: Range<usize>,
    entries: &'a DeTable<'a>,
}

/// One key with its value.
pub struct Field<'a> {
    /// The key.
    pub name: &'static str,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// Where the value stands.
    pub span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    /// The table `name`, after its keys have been checked: unknown ones are errors, and so are those of
    /// which this version knows only the name.
    pub fn new(
        name: &'static str,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
        findings: &mut Findings,
    ) -> Self {
        for (key, value) in entries {
            let text = key.get_ref().as_ref();
            match keys_of(name).find(|known| known.name == text) {
                None => {
                    unknown_key(name, text, key.span(), findings);
                    // It may be a secret under a mistyped key.
                    hide_all(value, findings);
                }
                Some(known) => {
                    if let Some(what) = known.not_yet {
                        findings.not_yet(
                            key.span(),
                            what,
                            &format!("take out \"{text}\"; this version negotiates IKEv1"),
                        );
                    }
                }
            }
        }
        Self {
            name,
            span,
            entries,
        }
    }

    /// The value of a key. Only keys of [`KEYS`] may be asked for.
    pub fn get(&self, name: &'static str) -> Option<Field<'a>> {
        debug_assert!(
            KEYS.iter()
                .any(|key| key.table == self.name && key.name == name),
            "{}.{name} is not in the table of keys",
            self.name
        );
        let (key, value) = self.entries.get_key_value(name)?;
        Some(Field {
            name,
            key_span: key.span(),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// What it is, for people.
    pub fn what(&self) -> &'static str {
        match self.name {
            "connection.child" => "child",
            "connection.xauth.users" => "user",
            "pool" => "pool",
            _ => "connection",
        }
    }

    /// Whether the file has the key, rightly or not.
    pub fn has(&self, name: &'static str) -> bool {
        self.entries.contains_key(name)
    }
}

/// Whether secrets stand in such a table.
fn holds_secrets(table: &str) -> bool {
    ["connection.auth", "connection.xauth"]
        .iter()
        .any(|name| table.starts_with(name))
}

/// Shows nothing of a value.
fn hide_all(value: &Spanned<DeValue<'_>>, findings: &mut Findings) {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(|item| hide_all(item, findings)),
        DeValue::Table(entries) => {
            for value in entries.values() {
                hide_all(value, findings);
            }
        }
        _ => findings.hide(value.span()),
    }
}

fn unknown_key(table: &'static str, text: &str, span: Range<usize>, findings: &mut Findings) {
    let place = match table {
        "" => "at the top level".to_owned(),
        "connection" => "in a [[connection]]".to_owned(),
        "connection.child" => "in a [[connection.child]]".to_owned(),
        "audit" | "log" | "listen" | "control" | "debug" => format!("in [{table}]"),
        inner => format!("in \"{}\"", inner.rsplit('.').next().unwrap_or(inner)),
    };
    let help = nearest(table, text).map_or_else(
        || {
            let known: Vec<&str> = keys_of(table).map(|key| key.name).collect();
            format!("known here: {}", known.join(", "))
        },
        |known| format!("did you mean \"{known}\"?"),
    );
    findings.error_help(
        span,
        format!("unknown key \"{}\" {place}", text.escape_debug()),
        help,
    );
}

/// What a value is, for people.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Field<'a> {
    /// Says that the value is of the wrong kind.
    pub fn wrong_kind(&self, findings: &mut Findings, wanted: &str, example: &str) {
        let found = kind(self.value);
        findings.error_help(
            self.span.clone(),
            format!("\"{}\" must be {wanted}, not {found}", self.name),
            format!("write {} = {example}", self.name),
        );
    }

    /// The value as a text.
    pub fn string(&self, findings: &mut Findings, example: &str) -> Option<&'a str> {
        let DeValue::String(text) = self.value else {
            self.wrong_kind(findings, "a text", example);
            return None;
        };
        Some(text.as_ref())
    }

    /// The value as a text, if it is one.
    pub fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The value as a text that `parse` understands; its error is what is wrong with it.
    pub fn parsed<T>(
        &self,
        findings: &mut Findings,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.string(findings, example)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                findings.error_help(
                    self.span.clone(),
                    format!("\"{}\": {why}", self.name),
                    format!("write, for example, {} = {example}", self.name),
                );
                None
            }
        }
    }

    /// The value as one of a few words.
    pub fn word<T: Copy>(&self, findings: &mut Findings, words: &[(&'static str, T)]) -> Option<T> {
        let all: Vec<String> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let all = all.join(", ");
        let DeValue::String(text) = self.value else {
            let found = kind(self.value);
            findings.error_help(
                self.span.clone(),
                format!("\"{}\" must be a word, not {found}", self.name),
                format!("write one of {all}"),
            );
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text.as_ref());
        if found.is_none() {
            let help = match nearest_of(words.iter().map(|(word, _)| *word), text) {
                Some(near) => format!("did you mean \"{near}\"? known are {all}"),
                None => format!("write one of {all}"),
            };
            findings.error_help(
                self.span.clone(),
                format!("\"{}\" cannot be \"{}\"", self.name, text.escape_debug()),
                help,
            );
        }
        found.map(|(_, value)| *value)
    }

    /// The value as a whole number between `min` and `max`, both included.
    pub fn integer(
        &self,
        findings: &mut Findings,
        min: u64,
        max: u64,
        example: &str,
    ) -> Option<u64> {
        let DeValue::Integer(digits) = self.value else {
            self.wrong_kind(findings, "a whole number", example);
            return None;
        };
        let value = i128::from_str_radix(&digits.as_str().replace('_', ""), digits.radix())
            .ok()
            .and_then(|value| u64::try_from(value).ok())
            .filter(|value| (min..=max).contains(value));
        if value.is_none() {
            findings.error_help(
                self.span.clone(),
                format!("\"{}\" must be between {min} and {max}", self.name),
                format!("write, for example, {} = {example}", self.name),
            );
        }
        value
    }

    /// The value as a number, whole or not, between `min` and `max`.
    pub fn number(
        &self,
        findings: &mut Findings,
        min: f64,
        max: f64,
        example: &str,
    ) -> Option<f64> {
        let digits = match self.value {
            DeValue::Float(digits) => digits.as_str(),
            DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str(),
            _ => {
                self.wrong_kind(findings, "a number", example);
                return None;
            }
        };
        let value = digits
            .replace('_', "")
            .parse::<f64>()
            .ok()
            .filter(|value| (min..=max).contains(value));
        if value.is_none() {
            findings.error_help(
                self.span.clone(),
                format!("\"{}\" must be between {min} and {max}", self.name),
                format!("write, for example, {} = {example}", self.name),
            );
        }
        value
    }

    /// The value as a list of texts, each with its place.
    pub fn strings(
        &self,
        findings: &mut Findings,
        example: &str,
    ) -> Option<Vec<(&'a str, Range<usize>)>> {
        let DeValue::Array(items) = self.value else {
            self.wrong_kind(findings, "a list", example);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push((text.as_ref(), item.span())),
                other => findings.error_help(
                    item.span(),
                    format!(
                        "\"{}\" must be a list of texts; this is {}",
                        self.name,
                        kind(other)
                    ),
                    format!("write {} = {example}", self.name),
                ),
            }
        }
        Some(texts)
    }

    /// The value as a text or a list of texts, each with its place.
    pub fn texts(
        &self,
        findings: &mut Findings,
        example: &str,
    ) -> Option<Vec<(&'a str, Range<usize>)>> {
        match self.value {
            DeValue::String(text) => Some(vec![(text.as_ref(), self.span.clone())]),
            _ => self.strings(findings, example),
        }
    }

    /// The value as yes or no.
    pub fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        let DeValue::Boolean(value) = self.value else {
            self.wrong_kind(findings, "true or false", "true");
            return None;
        };
        Some(*value)
    }

    /// The value as a table.
    pub fn table(
        &self,
        name: &'static str,
        findings: &mut Findings,
        example: &str,
    ) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value else {
            self.no_table(name, findings, "a table", example);
            return None;
        };
        Some(Table::new(name, self.span.clone(), entries, findings))
    }

    /// Says that the table `name` was wanted.
    fn no_table(&self, name: &str, findings: &mut Findings, wanted: &str, example: &str) {
        if holds_secrets(name) {
            self.hide_texts(findings);
        }
        self.wrong_kind(findings, wanted, example);
    }

    /// The value as a list of tables; a single table is a list of one.
    pub fn tables(
        &self,
        name: &'static str,
        findings: &mut Findings,
        example: &str,
    ) -> Option<Vec<Table<'a>>> {
        let items: &[Spanned<DeValue<'a>>] = match self.value {
            DeValue::Table(entries) => {
                return Some(vec![Table::new(name, self.span.clone(), entries, findings)]);
            }
            DeValue::Array(items) => items,
            _ => {
                self.no_table(name, findings, "a table or a list of tables", example);
                return None;
            }
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::Table(entries) => {
                    tables.push(Table::new(name, item.span(), entries, findings));
                }
                other => findings.error_help(
                    item.span(),
                    format!(
                        "\"{}\" must be a list of tables; this is {}",
                        self.name,
                        kind(other)
                    ),
                    format!("write {} = {example}", self.name),
                ),
            }
        }
        Some(tables)
    }

    /// Where a table was wanted and a text stands, alone or in a list, it may be a secret in the wrong
    /// place: it is not shown.
    pub fn hide_texts(&self, findings: &mut Findings) {
        match self.value {
            DeValue::String(_) => findings.hide(self.span.clone()),
            DeValue::Array(items) => {
                for item in items.iter().filter(|item| item.get_ref().is_str()) {
                    findings.hide(item.span());
                }
            }
            _ => {}
        }
    }

    /// Whether the value is a list.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }
}
