//! The audit of IPsec negotiation, in the terms of Windows' *Audit IPsec Main Mode* setting.
//!
//! Three things live here, and no I/O: the [policy](Policy) (which subcategories are audited), the
//! [catalogue](EVENTS) (every event with its fields, words and message), and the way from a typed
//! [`Event`] to a [`Record`] and its renderings: message, XML as Windows writes it, JSON.
//!
//! ```
//! use audit::{ActivityId, Cause, Event, Extra, InvalidPacket, KeyMod};
//!
//! let event = Event::InvalidPacket(InvalidPacket {
//!     local: "192.0.2.1".parse().unwrap(),
//!     remote: "198.51.100.7".parse().unwrap(),
//!     key_mod: KeyMod::IkeV1,
//! });
//! let extra = Extra { cause: Some(Cause::PacketTampered), ..Extra::default() };
//! let record = event.into_record(Some(ActivityId([7; 16])), extra);
//! assert_eq!(record.values, ["192.0.2.1", "198.51.100.7", "%%8222"]);
//! ```

mod activity;
mod catalogue;
mod cause;
mod event;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod policy;
mod reason;
mod record;
mod render;
mod subject;
mod text;
mod words;

pub use activity::ActivityId;
pub use catalogue::{Data, EVENTS, EventSpec, Field, Governor, InType, Provider, spec};
pub use cause::{Cause, CauseRow, NotifyErr};
pub use event::{
    AuthMethod, DropReason, Event, Extra, FailurePoint, InvalidPacket, IpsecSaDeleted, KeyMod,
    MainModeEnded, MainModeEstablished, MainModeFailed, MmCertificate, MmState, Mode,
    PacketDropped, QmState, QuickModeEnded, QuickModeEstablished, QuickModeFailed, Role,
    TrafficEnd,
};
pub use explain::{
    EventExplanation, Explanation, ParameterExplanation, ReasonExplanation, explain,
};
pub use policy::{Category, CsvError, Policy, Setting, Subcategory, UnknownRow};
pub use reason::{REASONS, Reason};
pub use record::{Outcome, Record, StoredExtra, StoredRecord};
pub use subject::Subject;
pub use text::{peer_text, printable, recover};
pub use words::{Word, parameter};
