//! A record: an event's raw values, before and after the log gave it a number.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::activity::ActivityId;
use crate::catalogue::spec;

/// What kind of audit an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A success audit.
    Success,
    /// A failure audit.
    Failure,
    /// Neither: the log's own events.
    None,
}

impl Outcome {
    /// `success`, `failure` or `none`, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::None => "none",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// `Extra`: what stands beside Windows' fields, in JSON alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredExtra {
    /// The name of the connection.
    pub connection: Option<String>,
    /// The Windows code of a failure.
    pub reason_code: Option<u32>,
    /// The cause's token.
    pub cause: Option<String>,
    /// What to change, after a failure.
    pub advice: Option<String>,
    /// What phase 1 was, beyond the words that Windows has for it.
    pub exchange: Option<String>,
    /// The user that XAUTH named.
    pub user: Option<String>,
    /// In a 1102, ID and hash of the last record of the log that was cleared, as `ID:HASH`: what
    /// `log verify --head` takes, for a copy of that log.
    pub previous_head: Option<String>,
}

/// A record's content, before the log gives it a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// `EventID`.
    pub event_id: u16,
    /// `Correlation ActivityID`, for events that belong to a negotiation.
    pub activity: Option<ActivityId>,
    /// The values of the fields in the manifest's order, raw: parameters as `%%8222`.
    pub values: Vec<String>,
    /// What stands beside Windows' fields.
    pub extra: Option<StoredExtra>,
}

impl Record {
    /// The raw value of the field of that name.
    pub fn value(&self, field: &str) -> Option<&str> {
        let at = spec(self.event_id)?
            .fields()
            .iter()
            .position(|f| f.name == field)?;
        self.values.get(at).map(String::as_str)
    }

    /// The peer's address: the remote end of a tunnel, else `RemoteAddress`. Where a tunnel is,
    /// `RemoteAddress` is of the traffic in it.
    pub fn peer(&self) -> Option<IpAddr> {
        ["RemoteTunnelEndpoint", "RemoteAddress"]
            .iter()
            .find_map(|field| self.value(field)?.parse().ok())
    }

    /// What kind of audit this is; `None` for an event that the catalogue does not know.
    pub fn outcome(&self) -> Outcome {
        spec(self.event_id).map_or(Outcome::None, |event| event.outcome)
    }
}

/// A record as the log keeps it. Its renderings are in `render`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredRecord {
    /// `EventRecordID`, from 1, without gaps.
    pub record_id: u64,
    /// `TimeCreated`, in nanoseconds since 1970 UTC.
    pub time: i64,
    /// `Computer`: the host's name.
    pub computer: String,
    /// `Execution ProcessID`: the policy agent's.
    pub process_id: u32,
    /// What was recorded.
    pub record: Record,
}
