//! Every event: what Windows' manifest says of it, and what raises it here.

mod driver;
mod extended_mode;
mod fields;
mod log;
mod main_mode;
mod quick_mode;

use crate::policy::Subcategory;
use crate::record::Outcome;

/// The type of a field in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InType {
    /// `UnicodeString`.
    UnicodeString,
    /// `UInt32`, decimal.
    UInt32,
    /// `UInt64`, decimal.
    UInt64,
    /// `HexInt64`, `0x…`.
    HexInt64,
    /// `SID`.
    Sid,
    /// `GUID`, upper case, in braces.
    Guid,
}

impl InType {
    /// The name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            InType::UnicodeString => "UnicodeString",
            InType::UInt32 => "UInt32",
            InType::UInt64 => "UInt64",
            InType::HexInt64 => "HexInt64",
            InType::Sid => "SID",
            InType::Guid => "GUID",
        }
    }
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in the manifest.
    pub name: &'static str,
    /// The type in the manifest.
    pub in_type: InType,
    /// Whether its values come from a fixed vocabulary, stored as parameters (`%%8222`) and shown
    /// as their words. Never so for what a peer or an operator can choose.
    pub word: bool,
    /// What it holds, in words, for the documentation and for `explain`.
    pub meaning: &'static str,
}

/// How the fields of an event are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// `EventData`: a `Data` element for each field, in this order.
    Event(&'static [Field]),
    /// `UserData`: one element that holds an element for each field, in this order.
    User {
        /// The name of the one element.
        element: &'static str,
        /// What it holds.
        fields: &'static [Field],
    },
}

impl Data {
    /// The fields, in the manifest's order.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Data::Event(fields) | Data::User { fields, .. } => fields,
        }
    }
}

/// Who writes an event, in Windows' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// `Microsoft-Windows-Security-Auditing`.
    SecurityAuditing,
    /// `Microsoft-Windows-Eventlog`: the log's own events.
    Eventlog,
}

impl Provider {
    /// The provider's name.
    pub fn name(self) -> &'static str {
        match self {
            Provider::SecurityAuditing => "Microsoft-Windows-Security-Auditing",
            Provider::Eventlog => "Microsoft-Windows-Eventlog",
        }
    }

    /// The provider's GUID, as Windows 10 and later write it.
    pub fn guid(self) -> &'static str {
        match self {
            Provider::SecurityAuditing => "{54849625-5478-4994-a5ba-3e3b0328c30d}",
            Provider::Eventlog => "{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}",
        }
    }
}

/// What decides whether an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Governor {
    /// Nothing: it always is.
    Always,
    /// The setting of this subcategory.
    Setting(Subcategory),
}

/// One event of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// `EventID`.
    pub id: u16,
    /// `Version`.
    pub version: u8,
    /// `Level`: 0, or 2 (error) and 4 (information) for the log's own.
    pub level: u8,
    /// `Task`.
    pub task: u16,
    /// `Provider`.
    pub provider: Provider,
    /// Success audit, failure audit, or neither.
    pub outcome: Outcome,
    /// What decides whether it is written.
    pub governor: Governor,
    /// The fields.
    pub data: Data,
    /// What it says, in one sentence.
    pub title: &'static str,
    /// The message's template: `%n` is the n-th field.
    pub message: &'static str,
    /// What raises it here: ends the sentence "Raised when".
    pub raised: &'static str,
    /// What the operator should do about it.
    pub advice: &'static str,
    /// Whether this version raises it already.
    pub raised_yet: bool,
}

impl EventSpec {
    /// The fields, in the manifest's order.
    pub fn fields(&self) -> &'static [Field] {
        self.data.fields()
    }

    /// `Keywords`.
    pub fn keywords(&self) -> &'static str {
        match self.outcome {
            Outcome::Success => "0x8020000000000000",
            Outcome::Failure => "0x8010000000000000",
            Outcome::None => "0x4020000000000000",
        }
    }
}

/// The catalogue's size.
const COUNT: usize = log::EVENTS.len()
    + main_mode::EVENTS.len()
    + quick_mode::EVENTS.len()
    + extended_mode::EVENTS.len()
    + driver::EVENTS.len();

/// The tables of the subcategories, merged in the order of the ids.
static ALL: [EventSpec; COUNT] = {
    let mut all = [log::EVENTS[0]; COUNT];
    let tables = [
        log::EVENTS,
        main_mode::EVENTS,
        quick_mode::EVENTS,
        extended_mode::EVENTS,
        driver::EVENTS,
    ];
    let mut filled = 0;
    let mut t = 0;
    while t < tables.len() {
        let mut i = 0;
        while i < tables[t].len() {
            // Insertion sort: each event sinks to its place among those before it.
            let event = tables[t][i];
            let mut at = filled;
            while at > 0 && all[at - 1].id > event.id {
                all[at] = all[at - 1];
                at -= 1;
            }
            all[at] = event;
            filled += 1;
            i += 1;
        }
        t += 1;
    }
    all
};

/// Every event, by id.
pub static EVENTS: &[EventSpec] = &ALL;

/// The event of that id.
pub fn spec(event_id: u16) -> Option<&'static EventSpec> {
    EVENTS
        .binary_search_by_key(&event_id, |event| event.id)
        .ok()
        .map(|i| &EVENTS[i])
}
