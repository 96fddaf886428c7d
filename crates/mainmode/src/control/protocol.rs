//! What goes over the control socket, and how a line is read.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use audit::{Outcome, Policy, StoredRecord, Subcategory};
use eventlog::{Query, XPath};
use serde::{Deserialize, Serialize};

use super::monitor::MonitorEvent;
use super::reload::Reloaded;
use super::status::Status;

/// The longest request, in bytes: room for the longest event query.
pub(super) const MAX_REQUEST: u64 = 64 * 1024;
/// The longest response, in bytes: a record of [`eventlog::MAX_RECORD`] whose every byte JSON escapes,
/// and what stands around it.
pub(super) const MAX_RESPONSE: u64 = 6 * eventlog::MAX_RECORD as u64 + 64 * 1024;

/// The longest `status`, in bytes: of as many SAs as there may be, 4 KiB for each and its names. A client trusts a
/// daemon so far.
pub(super) const MAX_STATUS: u64 =
    (keying::limits::MAX_SAS + keying::limits::MAX_CHILD_SAS) as u64 * 4 * 1024;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Brings a connection up and waits for the verdict.
    Up {
        /// Its name.
        connection: String,
    },
    /// Brings a connection down.
    Down {
        /// Its name.
        connection: String,
    },
    /// Connections, SAs, counters.
    Status,
    /// Reads the configuration again.
    Reload,
    /// What happens, until the client goes.
    Monitor {
        /// First what is up already.
        snapshot: bool,
    },
    /// The audit policy.
    AuditGet,
    /// Changes the stored audit policy.
    AuditChange {
        /// How.
        change: PolicyChange,
    },
    /// Clears the log.
    LogClear {
        /// Where all records are first copied to.
        backup: Option<PathBuf>,
        /// A file of the client's beside it: a daemon that does not see that has another folder of this name.
        #[serde(default)]
        witness: Option<PathBuf>,
    },
    /// Records of the log.
    LogQuery {
        /// Which.
        query: QuerySpec,
    },
    /// Records of the log as they come, until the client goes or the time of `until` has come; before them those since
    /// `since`, where that is given.
    LogFollow {
        /// Which.
        query: QuerySpec,
    },
    /// What the log holds.
    LogInfo,
}

impl Request {
    /// Whether it changes something, and so is for administrators.
    pub fn changes_something(&self) -> bool {
        match self {
            Self::Up { .. }
            | Self::Down { .. }
            | Self::Reload
            | Self::AuditChange { .. }
            | Self::LogClear { .. } => true,
            Self::Ping
            | Self::Status
            | Self::Monitor { .. }
            | Self::AuditGet
            | Self::LogQuery { .. }
            | Self::LogFollow { .. }
            | Self::LogInfo => false,
        }
    }
}

/// A change of the stored audit policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PolicyChange {
    /// Sets one half or both of some subcategories; what is absent stays.
    Set {
        /// Which.
        subcategories: Vec<Subcategory>,
        /// Success audits.
        success: Option<bool>,
        /// Failure audits.
        failure: Option<bool>,
    },
    /// Takes this policy in place of the stored one.
    Restore {
        /// The policy.
        policy: Policy,
    },
    /// Makes every subcategory *Not configured*; refused where the configuration governs one.
    Clear,
}

/// What to look for in the log; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct QuerySpec {
    /// `EventID` is one of these; none: any.
    pub ids: Vec<u16>,
    /// Not written before, in nanoseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Not written after.
    pub until: Option<i64>,
    /// `RemoteAddress`.
    pub peer: Option<IpAddr>,
    /// `success`, `failure` or `none`.
    pub outcome: Option<String>,
    /// No more records than this.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
    /// Only records with a greater ID.
    pub after_record: Option<u64>,
    /// A Windows event query.
    pub xpath: Option<String>,
}

impl QuerySpec {
    /// The query for the log.
    ///
    /// # Errors
    ///
    /// The outcome or the event query cannot be understood; in words.
    pub fn query(&self) -> Result<Query, String> {
        let outcome = match self.outcome.as_deref() {
            None => None,
            Some(word) => Some(
                [Outcome::Success, Outcome::Failure, Outcome::None]
                    .into_iter()
                    .find(|outcome| outcome.word() == word)
                    .ok_or("an outcome is success, failure or none")?,
            ),
        };
        let xpath = match self.xpath.as_deref() {
            None => None,
            Some(text) => Some(text.parse::<XPath>().map_err(|error| error.to_string())?),
        };
        Ok(Query {
            ids: self.ids.clone(),
            since: self.since,
            until: self.until,
            peer: self.peer,
            outcome,
            limit: self.limit,
            reverse: self.reverse,
            after_record: self.after_record,
            xpath,
        })
    }
}

/// What the daemon answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Response {
    /// It is done; the last response.
    Done {
        /// What there is to say about it, a line each.
        notes: Vec<String>,
    },
    /// It was not done; the last response.
    Failed {
        /// Why.
        message: String,
    },
    /// How a negotiation ended; the last response.
    Verdict(Verdict),
    /// Connections, SAs, counters; the last response.
    Status(Box<Status>),
    /// What came of another configuration; the last response.
    Reloaded(Reloaded),
    /// The audit policy; the last response.
    Policy(PolicyView),
    /// What the log holds; the last response.
    LogInfo(LogInfo),
    /// One record of the log; more may follow.
    Record(Box<StoredRecord>),
    /// Records that were removed before they could be followed; more follows.
    Removed {
        /// The first's ID.
        first: u64,
        /// The last's.
        last: u64,
    },
    /// Something that happened; more follows.
    Event(Box<MonitorEvent>),
    /// What follows comes as it is written; more follows.
    Following,
}

impl Response {
    /// Whether nothing follows it.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Record(_) | Self::Removed { .. } | Self::Event(_) | Self::Following
        )
    }

    /// [`Response::Done`] with nothing to say.
    pub fn done() -> Self {
        Self::Done { notes: Vec::new() }
    }

    /// [`Response::Failed`].
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed {
            message: message.to_string(),
        }
    }
}

/// How a negotiation ended, for the one who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The connection.
    pub connection: String,
    /// Whether there is an SA now.
    pub established: bool,
    /// Whether it was there before it was asked for.
    pub already: bool,
    /// What happened, in one line: with what, or why not.
    pub message: String,
    /// What to change, after a failure.
    pub advice: Option<String>,
    /// The Windows code of a failure.
    pub reason_code: Option<u32>,
    /// The token of a failure's cause.
    pub cause: Option<String>,
    /// The MMSAID of the SA.
    pub mmsa_id: Option<u64>,
    /// How each Quick Mode ended.
    #[serde(default)]
    pub children: Vec<ChildVerdict>,
}

impl Verdict {
    /// Whether all is there now that was asked for.
    pub fn is_up(&self) -> bool {
        self.established && self.children.iter().all(|child| child.established)
    }
}

/// How a Quick Mode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildVerdict {
    /// The child.
    pub child: String,
    /// Whether there is an SA now.
    pub established: bool,
    /// What happened, in one line: with what, or why not.
    pub message: String,
    /// What to change, after a failure.
    pub advice: Option<String>,
    /// The Windows code of a failure.
    pub reason_code: Option<u32>,
    /// The token of a failure's cause.
    pub cause: Option<String>,
    /// The `QuickModeSaId` of the SA.
    pub qmsa_id: Option<u64>,
}

/// The audit policy, and who decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// What is in force.
    pub effective: Policy,
    /// What the configuration decides.
    pub governed: Vec<Governed>,
}

/// A subcategory that the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governed {
    /// Which.
    pub subcategory: Subcategory,
    /// Where, as `file:line`.
    pub place: String,
}

/// What `log info` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInfo {
    /// Where the log is.
    pub directory: PathBuf,
    /// Records in it.
    pub records: u64,
    /// The ID of the oldest.
    pub first: Option<u64>,
    /// The ID of the newest.
    pub last: Option<u64>,
    /// Bytes on disk.
    pub size: u64,
    /// Bytes that it may take.
    pub max_size: Option<u64>,
    /// What happens then.
    pub retention: Option<String>,
    /// Segments.
    pub segments: u64,
    /// ID and hash of the newest record, as `log verify --head` takes it.
    pub head: String,
    /// ID and hash of the last record that is no longer in the log.
    pub floor: String,
    /// Whether the newest segment could be read.
    pub complete: bool,
}

/// Writes one message as one line.
pub(super) fn write_line<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one line of at most `max` bytes; nothing at the end of the stream.
pub(super) fn read_line(from: &mut impl BufRead, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    io::Read::take(&mut *from, max + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        let why = if line.len() as u64 >= max {
            format!("a line of more than {max} bytes")
        } else {
            "the connection ended within a line".to_owned()
        };
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_refused_without_being_kept() {
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        let error = read_line(&mut endless, 1000).expect_err("refused");
        assert_eq!(error.to_string(), "a line of more than 1000 bytes");
        assert!(read_line(&mut &b"abc"[..], 10).is_err());
        assert_eq!(read_line(&mut &b""[..], 10).expect("end"), None);
        assert_eq!(
            read_line(&mut &b"abc\nd"[..], 10).expect("line"),
            Some(b"abc".to_vec())
        );
    }

    #[test]
    fn requests_are_stable_json_and_unknown_members_are_refused() {
        let up = Request::Up {
            connection: "branch".to_owned(),
        };
        let text = serde_json::to_string(&up).expect("json");
        assert_eq!(text, r#"{"command":"up","connection":"branch"}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read"), up);
        for bad in [
            r#"{"command":"up"}"#,
            r#"{"command":"reboot"}"#,
            r#"{"command":"log-query","query":{"colour":1}}"#,
            "[]",
            "",
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
        let query = r#"{"command":"log-query","query":{"ids":[4653],"reverse":true}}"#;
        assert!(serde_json::from_str::<Request>(query).is_ok());
    }

    #[test]
    fn what_changes_something_is_for_administrators() {
        let (backup, witness) = (None, None);
        assert!(Request::LogClear { backup, witness }.changes_something());
        let change = PolicyChange::Clear;
        assert!(Request::AuditChange { change }.changes_something());
        assert!(Request::Reload.changes_something());
        assert!(!Request::Status.changes_something());
        assert!(!Request::LogInfo.changes_something());
    }
}
