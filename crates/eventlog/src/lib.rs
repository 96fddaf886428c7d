//! The log on disk: append, recover, query, retain, verify.
mod account;
mod dictionary;
mod directory;
mod encoding;
mod error;
mod export;
mod query;
mod reader;
mod retention;
mod segment;
mod service;
mod verify;
mod writer;
mod xpath;

pub use account::{AccountChange, Counters, Entry, LiveSa, Recovery};
pub use encoding::{Hash, MAX_RECORD, hash_from_hex, hex};
pub use error::LogError;
pub use query::{Query, Records};
pub use reader::{Info, Reader};
pub use retention::{MIN_SIZE, Retention};
pub use service::{Caller, QUEUE, Service};
pub use verify::{Fault, FaultKind, Verified};
pub use writer::{Appended, Options, Writer};
pub use xpath::{XPath, XPathError};
