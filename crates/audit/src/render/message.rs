//! The message as the Event Viewer shows it.

use std::borrow::Cow;

use crate::catalogue::Field;
use crate::record::StoredRecord;
use crate::text::printable;
use crate::words::shown;

impl StoredRecord {
    /// The event's message, each `%n` replaced by the n-th value, parameters as their words.
    ///
    /// One pass: a value that holds `%2` is not expanded again. Values are made
    /// [printable](crate::printable), so that what a peer sent cannot forge lines of the message;
    /// the layout's own line ends and tabs remain. Empty for an event that the catalogue does not
    /// know.
    pub fn message(&self) -> String {
        let Some(event) = self.spec() else {
            return String::new();
        };
        expand(event.message, |n| {
            let at = n.checked_sub(1)?;
            let raw = self.record.values.get(at)?;
            let value = match event.fields().get(at) {
                Some(field) => value_shown(field, raw),
                None => Cow::Borrowed(raw.as_str()),
            };
            Some(printable(&value).into_owned())
        })
    }
}

/// A value as people read it: parameters as words where the field has a fixed vocabulary.
pub(super) fn value_shown<'a>(field: &Field, raw: &'a str) -> Cow<'a, str> {
    if field.word {
        shown(raw)
    } else {
        Cow::Borrowed(raw)
    }
}

/// Replaces each `%n` of the template, in one pass. A `%n` without a value stays.
fn expand(template: &str, value: impl Fn(usize) -> Option<String>) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        match after[..digits].parse().ok().and_then(&value) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + digits]),
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}
