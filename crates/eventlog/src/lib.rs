//! The log on disk: append, recover, query, retain, verify.
//!
//! A log is a directory of **segments**, each an `SQLite` database of its own, `security-0000000001.db`
//! and on. The last is active (a write-ahead log, `synchronous=FULL`: a record is durable when
//! [`Writer::append`] returns); the others are closed for good: one file each, read-only.
//!
//! - **IDs** go from 1, without gaps, over rotations, restarts and clearings.
//! - **The chain**: each record holds the SHA-256 of the hash before it and of its own content
//!   (ID, time, process, computer, event, activity, values, extra). It goes on over segments and over a
//!   clearing: the 1102 goes on from the head of what was cleared, and names it in its `Extra`.
//! - **The floor** is the ID and hash of the last record that is no longer there. It is committed before
//!   a segment goes, and it is what the first record that is left goes on from.
//! - **The account** ([`Counters`], the SAs that are owed a 4655 or a 5452, numbers of SAs and of connections, the
//!   operator's policy) lives in the active segment, in the transactions of the events; the transaction
//!   that makes the next segment carries it over.
//!
//! A crash leaves one of few states, each finished by the next start: a segment in the making (it has
//! another name until it is whole, and goes); a new segment beside one not yet closed (it is closed);
//! segments below the floor (they go); a segment whose archive is named in the account (it is renamed).
//! Whichever segment has the greatest number is the active one: the renaming that gives it its name is
//! the instant at which it, the floor and the account in it count. None of these states has a newest segment
//! that is closed for good: then its successor was taken away, and the log goes on with a number left out.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use audit::{Event, Extra};
//! use eventlog::{Entry, Options, Query, Reader, Retention, Writer};
//!
//! let directory = tempfile::tempdir()?;
//! let (mut writer, recovery) = Writer::open(Options {
//!     directory: directory.path().to_owned(),
//!     max_size: 128 << 20,
//!     retention: Retention::Overwrite,
//!     computer: "gw".to_owned(),
//!     process_id: std::process::id(),
//! })?;
//! assert!(recovery.orphans.is_empty());
//! let record = Event::ServicesStarted.into_record(None, Extra::default());
//! let appended = writer.append(&[Entry { record: Some(record), account: vec![] }])?;
//! assert_eq!(appended.ids, [Some(1)]);
//!
//! let reader = Reader::open(directory.path())?;
//! let newest = reader.query(&Query { reverse: true, ..Query::default() }).next();
//! assert_eq!(newest.unwrap()?.record.event_id, 5478);
//! reader.verify(Some(appended.head))?;
//! # Ok(())
//! # }
//! ```

mod account;
mod dictionary;
mod directory;
mod encoding;
mod error;
mod export;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod numbers;
mod query;
mod reader;
mod reserve;
mod retention;
mod room;
mod schema;
mod segment;
mod service;
mod tables;
mod verify;
mod writer;
mod xpath;

pub use account::{
    AccountChange, Counters, Entry, LiveIpsecSa, LiveSa, QuickModeCounters, Recovery,
};
pub use directory::{folder_of, is_own};
pub use encoding::{Hash, MAX_RECORD, hash_from_hex, hex};
pub use error::LogError;
pub use fault::{Fault, FaultKind};
pub use query::{Query, Records};
pub use reader::{Info, Reader};
pub use retention::{MIN_SIZE, Retention};
pub use service::{ACCOUNT_DELAY, BATCH, Caller, QUEUE, Service};
pub use verify::Verified;
pub use writer::{Appended, Options, SKIPPED_SAS, Writer};
pub use xpath::{MAX_DEPTH, MAX_LENGTH, XPath, XPathError};
