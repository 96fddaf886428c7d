//! A section of which every key is asked for, or named as left out.

use std::collections::BTreeSet;

use super::settings::{Place, Section, Value};

/// Something to say about what was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where the setting stands.
    pub place: Place,
    /// Its whole name, such as `connections.gw.vips`.
    pub setting: String,
    /// What becomes of it, and why.
    pub why: String,
    /// Whether something is missing in the configuration that was written; else it is as it was, in another way.
    pub left_out: bool,
}

/// All there is to say.
#[derive(Default)]
pub struct Remarks(pub Vec<Remark>);

impl Remarks {
    /// What has no equal.
    pub fn left_out(&mut self, place: &Place, setting: impl Into<String>, why: impl Into<String>) {
        self.push(place, setting.into(), why.into(), true);
    }

    /// What has an equal that is not quite the same.
    pub fn note(&mut self, place: &Place, setting: impl Into<String>, why: impl Into<String>) {
        self.push(place, setting.into(), why.into(), false);
    }

    fn push(&mut self, place: &Place, setting: String, why: String, left_out: bool) {
        self.0.push(Remark {
            place: place.clone(),
            setting,
            why,
            left_out,
        });
    }
}

/// A key that has no equal.
pub struct Lacking {
    /// Its name.
    pub key: &'static str,
    /// Values that ask for nothing, so that nothing is missing; `*`: any, since the key is for version 2 alone.
    pub harmless: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

/// A row of a table.
pub const fn lacking(
    key: &'static str,
    harmless: &'static [&'static str],
    why: &'static str,
) -> Lacking {
    Lacking { key, harmless, why }
}

/// What means no.
pub const NO: &[&str] = &["no", "false", "disabled", "0"];
/// What means yes.
pub const YES: &[&str] = &["yes", "true", "enabled", "1"];
/// The row of all keys that are numbers.
pub const NUMBER: &str = "#";
/// What is for version 2 of IKE alone.
pub const UNUSED: &[&str] = &["*"];

/// A section, its whole name, and what of it was asked for.
pub struct Given<'a> {
    /// The section.
    pub section: &'a Section,
    /// Its whole name.
    pub path: String,
    asked: BTreeSet<&'static str>,
}

impl<'a> Given<'a> {
    /// A section by its whole name.
    pub fn new(section: &'a Section, path: String) -> Self {
        Self {
            section,
            path,
            asked: BTreeSet::new(),
        }
    }

    /// What a key has; nothing where it is absent or cleared.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.insert(key);
        let value = self.section.values.get(key)?;
        (!value.text.is_empty()).then_some(value)
    }

    /// The parts of a list.
    pub fn list(&mut self, key: &'static str) -> Vec<&'a str> {
        self.get(key)
            .map_or_else(Vec::new, |value| list(&value.text))
    }

    /// The whole name of a key of it.
    pub fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Where a key stands, else where the section begins.
    pub fn place(&self, key: &str) -> &'a Place {
        let value = self.section.values.get(key);
        value.map_or(&self.section.place, |value| &value.place)
    }

    /// A key has no equal.
    pub fn left_out(&self, key: &str, why: impl Into<String>, remarks: &mut Remarks) {
        remarks.left_out(self.place(key), self.name(key), why);
    }

    /// A key has an equal that is not quite the same.
    pub fn note(&self, key: &str, why: impl Into<String>, remarks: &mut Remarks) {
        remarks.note(self.place(key), self.name(key), why);
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &'static str, default: bool, remarks: &mut Remarks) -> bool {
        let Some(value) = self.get(key) else {
            return default;
        };
        let is = |words: &[&str]| {
            words
                .iter()
                .any(|word| value.text.eq_ignore_ascii_case(word))
        };
        if is(YES) || is(NO) {
            return is(YES);
        }
        self.left_out(key, "it is neither yes nor no", remarks);
        default
    }

    /// Names what nobody has asked for.
    pub fn rest(&self, table: &[Lacking], remarks: &mut Remarks) {
        for (key, value) in &self.section.values {
            if value.text.is_empty() || self.asked.contains(key.as_str()) {
                continue;
            }
            let number = key.bytes().all(|byte| byte.is_ascii_digit());
            let row = table
                .iter()
                .find(|row| row.key == key || (number && row.key == NUMBER));
            let harmless = row.is_some_and(|row| {
                let is = |word: &&str| *word == "*" || value.text.eq_ignore_ascii_case(word);
                row.harmless.iter().any(is)
            });
            if !harmless {
                let why = row.map_or(
                    "swanctl has no such key, or this version does not know it",
                    |row| row.why,
                );
                self.left_out(key, why, remarks);
            }
        }
    }

    /// Names the sections in it but those that are known.
    pub fn rest_of_sections(&self, known: impl Fn(&str) -> bool, remarks: &mut Remarks) {
        for (name, section) in &self.section.sections {
            if !known(name) {
                let name = self.name(name);
                remarks.left_out(&section.place, name, "there is no such section here");
            }
        }
    }
}

/// The parts of a list: commas between, blanks around.
pub fn list(text: &str) -> Vec<&str> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

/// The sections in a section, in the order of the file.
pub fn in_order(section: &Section) -> Vec<(&String, &Section)> {
    let mut sections: Vec<(&String, &Section)> = section.sections.iter().collect();
    sections.sort_by_key(|(_, section)| section.order);
    sections
}
