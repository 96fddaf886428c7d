//! XML, as Windows writes it (`wevtutil qe`, `EvtRender`): one line, attributes in single quotes.

use std::fmt::Write as _;

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use crate::catalogue::{Data, Provider};
use crate::record::StoredRecord;
use crate::text::{is_plain, xml_legal};

/// The namespace of an event.
const EVENT: &str = "http://schemas.microsoft.com/win/2004/08/events/event";
/// The namespace of what the log's own events hold.
const EVENTLOG: &str = "http://manifests.microsoft.com/win/2004/08/windows/eventlog";
/// We name no thread.
const THREAD_ID: u32 = 0;

impl StoredRecord {
    /// The record as Windows writes it: System, then `EventData` or `UserData` with raw values.
    ///
    /// What XML 1.0 cannot hold is written as [`recover`](crate::recover) reads it; other control
    /// and reordering characters as character references, so that the text stays on one line and
    /// harmless to a terminal.
    #[allow(
        clippy::missing_panics_doc,
        reason = "writing text to a Vec does not fail"
    )]
    pub fn xml(&self) -> String {
        let mut out = Out(Writer::new(Vec::with_capacity(1024)));
        out.open("Event", &[("xmlns", EVENT)]);
        self.system(&mut out);
        self.data(&mut out);
        out.close("Event");
        String::from_utf8(out.0.into_inner()).expect("text was written")
    }

    fn system(&self, out: &mut Out) {
        let event = self.spec();
        let provider = event.map_or(Provider::SecurityAuditing, |e| e.provider);
        out.open("System", &[]);
        out.empty(
            "Provider",
            &[("Name", provider.name()), ("Guid", provider.guid())],
        );
        out.leaf("EventID", &self.record.event_id.to_string());
        out.leaf("Version", &event.map_or(0, |e| e.version).to_string());
        out.leaf("Level", &event.map_or(0, |e| e.level).to_string());
        out.leaf("Task", &event.map_or(0, |e| e.task).to_string());
        out.leaf("Opcode", "0");
        out.leaf("Keywords", event.map_or("0x0", |e| e.keywords()));
        out.empty("TimeCreated", &[("SystemTime", &self.time_created(9))]);
        out.leaf("EventRecordID", &self.record_id.to_string());
        match self.record.activity {
            Some(activity) => {
                out.empty("Correlation", &[("ActivityID", &activity.to_string())]);
            }
            None => out.empty("Correlation", &[]),
        }
        out.empty(
            "Execution",
            &[
                ("ProcessID", &self.process_id.to_string()),
                ("ThreadID", &THREAD_ID.to_string()),
            ],
        );
        out.leaf("Channel", "Security");
        out.leaf("Computer", &self.computer);
        out.empty("Security", &[]);
        out.close("System");
    }

    fn data(&self, out: &mut Out) {
        let data = self.spec().map_or(Data::Event(&[]), |e| e.data);
        let fields = data.fields();
        let named = self
            .record
            .values
            .iter()
            .enumerate()
            .map(|(i, value)| (fields.get(i).map(|f| f.name), value));
        match data {
            Data::Event(_) => {
                out.open("EventData", &[]);
                for (name, value) in named {
                    match name {
                        Some(name) => out.open("Data", &[("Name", name)]),
                        None => out.open("Data", &[]),
                    }
                    out.text(value);
                    out.close("Data");
                }
                out.close("EventData");
            }
            Data::User { element, .. } => {
                out.open("UserData", &[]);
                out.open(element, &[("xmlns", EVENTLOG)]);
                for (name, value) in named {
                    out.leaf(name.unwrap_or("Data"), value);
                }
                out.close(element);
                out.close("UserData");
            }
        }
    }
}

/// A writer with Windows' habits. A `Vec` takes every write, so nothing here fails.
struct Out(Writer<Vec<u8>>);

impl Out {
    fn write(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("a Vec takes every write");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let content = tag(name, attributes);
        self.write(Event::Start(BytesStart::from_content(content, name.len())));
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let content = tag(name, attributes);
        self.write(Event::Empty(BytesStart::from_content(content, name.len())));
    }

    fn close(&mut self, name: &str) {
        self.write(Event::End(BytesEnd::new(name)));
    }

    fn text(&mut self, text: &str) {
        self.write(Event::Text(BytesText::from_escaped(escaped(text))));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.text(text);
        self.close(name);
    }
}

/// A tag's inside. Our own names and values alone stand in attributes, none with a quote.
fn tag(name: &str, attributes: &[(&str, &str)]) -> String {
    let mut content = name.to_owned();
    for (key, value) in attributes {
        write!(content, " {key}='{value}'").expect("a String takes every write");
    }
    content
}

/// Text between tags: `<`, `>` and `&` as entities, what is not plain as references.
fn escaped(text: &str) -> String {
    let legal = xml_legal(text);
    let entities = partial_escape(legal.as_ref());
    let mut out = String::with_capacity(entities.len());
    for c in entities.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            write!(out, "&#x{:X};", u32::from(c)).expect("a String takes every write");
        }
    }
    out
}
