//! JSON, as `log query --json` prints it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Value, json};

use super::message::value_shown;
use crate::catalogue::Data;
use crate::record::{Record, StoredExtra, StoredRecord};
use crate::text::is_plain;

impl StoredRecord {
    /// The record as one JSON object, its members in their pinned order.
    ///
    /// All values of `EventData` are strings, parameters as their words; with `raw`, as stored.
    /// `Extra` is there where the record has one, `ActivityID` where it has one.
    pub fn json(&self, raw: bool) -> Value {
        let record = &self.record;
        let event = self.spec();
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            object.insert(key.to_owned(), value);
        };
        put("EventRecordID", json!(self.record_id));
        put("EventID", json!(record.event_id));
        put("Version", json!(event.map_or(0, |e| e.version)));
        put("Provider", json!(event.map_or("", |e| e.provider.name())));
        put("Channel", json!("Security"));
        put("TimeCreated", json!(self.time_created(7)));
        put("Computer", json!(self.computer));
        put("Outcome", json!(record.outcome().word()));
        put("Task", json!(event.map_or(0, |e| e.task)));
        if let Some(activity) = record.activity {
            put("ActivityID", json!(activity.to_string()));
        }
        match event.map(|e| e.data) {
            Some(Data::User { .. }) => put("UserData", values(record, raw)),
            _ => put("EventData", values(record, raw)),
        }
        if let Some(extra) = &record.extra {
            put("Extra", extra_json(extra));
        }
        put("Message", json!(self.message()));
        Value::Object(object)
    }

    /// The same object as one line that may go to a terminal.
    ///
    /// Beyond what JSON demands, characters that a terminal would act on, that some readers take
    /// for line ends (U+0085, U+2028), or that reorder others (U+202E) are written as `\u202e`.
    #[allow(
        clippy::missing_panics_doc,
        reason = "writing text to a Vec does not fail"
    )]
    pub fn json_line(&self, raw: bool) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, OneLine);
        self.json(raw)
            .serialize(&mut serializer)
            .expect("a Vec takes every write, and the keys are strings");
        String::from_utf8(bytes).expect("serde_json writes UTF-8")
    }
}

/// Values under their field names; those beyond the catalogue's fields as `Data1`, `Data2`, ….
fn values(record: &Record, raw: bool) -> Value {
    let fields = crate::spec(record.event_id).map_or(&[][..], |e| e.fields());
    let mut object = Map::new();
    for (i, value) in record.values.iter().enumerate() {
        match fields.get(i) {
            Some(field) if raw => object.insert(field.name.to_owned(), json!(value)),
            Some(field) => object.insert(field.name.to_owned(), json!(value_shown(field, value))),
            None => object.insert(format!("Data{}", i + 1), json!(value)),
        };
    }
    Value::Object(object)
}

fn extra_json(extra: &StoredExtra) -> Value {
    let mut object = Map::new();
    if let Some(connection) = &extra.connection {
        object.insert("Connection".to_owned(), json!(connection));
    }
    if let Some(exchange) = &extra.exchange {
        object.insert("Exchange".to_owned(), json!(exchange));
    }
    if let Some(user) = &extra.user {
        object.insert("User".to_owned(), json!(user));
    }
    if let Some(code) = extra.reason_code {
        object.insert("ReasonCode".to_owned(), json!(code));
    }
    if let Some(cause) = &extra.cause {
        object.insert("Cause".to_owned(), json!(cause));
    }
    if let Some(advice) = &extra.advice {
        object.insert("Advice".to_owned(), json!(advice));
    }
    if let Some(head) = &extra.previous_head {
        object.insert("PreviousHead".to_owned(), json!(head));
    }
    Value::Object(object)
}

/// Compact JSON whose strings hold plain characters only.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !is_plain(c)) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
