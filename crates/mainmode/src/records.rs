//! Reading the log: for the commands, and for the daemon on behalf of those who come through it.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use audit::StoredRecord;
use eventlog::{LogError, Reader, hex};

use crate::control::{Gone, LogInfo, QuerySpec, Replies, Request, Response};

/// How often a follower looks for new records: a fraction of what a person notices.
const LOOK: Duration = Duration::from_millis(100);
/// How much later than its time a record may be on disk: a busy one's sync. A follower waits as long beyond its `until`.
const LATE: Duration = Duration::from_secs(1);

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The query cannot be understood.
    #[error("{0}")]
    Query(String),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Gives every record of a log, or of one file of it, that `spec` asks for to `sink`, until `sink` says that it is enough.
///
/// # Errors
///
/// The query or the log.
pub fn query(
    place: &Path,
    spec: &QuerySpec,
    mut sink: impl FnMut(StoredRecord) -> bool,
) -> Result<(), ReadError> {
    let query = spec.query().map_err(ReadError::Query)?;
    for record in Reader::open(place)?.query(&query) {
        if !sink(record?) {
            break;
        }
    }
    Ok(())
}

/// What happens while a log is followed.
pub enum Step {
    /// From now on nothing that is written will be missed.
    Ready,
    /// A record was written.
    Record(Box<StoredRecord>),
    /// Records of these IDs went before they could be looked at: the log was cleared, or retention took them.
    Removed(RangeInclusive<u64>),
    /// Nothing new for a moment: time to see whether anybody still listens.
    Idle,
}

/// Gives records to `sink` as they are written, until `sink` says that it is enough, the time of `until` has come, or the
/// log is `closed`: then with those that were written last.
/// Where `since` or `after_record` says from when on, first those that are there already; else from now on.
///
/// # Errors
///
/// The query or the log.
pub fn follow(
    place: &Path,
    spec: &QuerySpec,
    closed: &dyn Fn() -> bool,
    mut sink: impl FnMut(Step) -> bool,
) -> Result<(), ReadError> {
    let mut query = spec.query().map_err(ReadError::Query)?;
    let reader = Reader::open(place)?;
    // One way for both, older and newer: by their IDs none is lost between them, and none comes twice.
    let mut seen = match (query.after_record, query.since) {
        (Some(after), _) => after,
        // What had gone before is not missing.
        (None, Some(_)) => reader.info()?.floor.0,
        (None, None) => reader.info()?.head.0,
    };
    let mut left = query.limit.take().unwrap_or(u64::MAX);
    query.reverse = false;
    if !sink(Step::Ready) {
        return Ok(());
    }
    while left > 0 && sink(Step::Idle) {
        // Before the look: what was written until then is found by it.
        let over = query.until.is_some_and(has_passed) || closed();
        // What does not match is passed over once: the head is taken before the look.
        let head = reader.info()?.head.0;
        if head > seen {
            query.after_record = Some(seen);
            query.limit = Some(left);
            let mut records = reader.query(&query);
            loop {
                let next = records.next();
                if let Some(removed) = records.take_removed() {
                    seen = seen.max(*removed.end());
                    if !sink(Step::Removed(removed)) {
                        return Ok(());
                    }
                }
                let Some(record) = next else { break };
                let record = record?;
                // Later than the look: the query may have missed what was written just before it. The next
                // one does not.
                if record.record_id > head {
                    break;
                }
                seen = seen.max(record.record_id);
                left -= 1;
                if !sink(Step::Record(Box::new(record))) {
                    return Ok(());
                }
            }
            seen = seen.max(head);
        }
        if over {
            return Ok(());
        }
        if left > 0 {
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

/// Whether no record of this time, in nanoseconds since 1970 UTC, is still to come.
fn has_passed(until: i64) -> bool {
    let now = jiff::Timestamp::now().as_nanosecond();
    now.saturating_sub(until.into()) > i128::try_from(LATE.as_nanos()).unwrap_or(i128::MAX)
}

/// What the log, or one file of it, holds.
///
/// # Errors
///
/// The log.
pub fn info(place: &Path) -> Result<LogInfo, LogError> {
    let info = Reader::open(place)?.info()?;
    let anchor = |(id, hash): (u64, eventlog::Hash)| format!("{id}:{}", hex(&hash));
    Ok(LogInfo {
        directory: place.to_owned(),
        records: info.records,
        first: info.first,
        last: info.last,
        size: info.size,
        max_size: info.max_size,
        retention: info.retention.map(|retention| retention.name().to_owned()),
        segments: info.segments,
        head: anchor(info.head),
        floor: anchor(info.floor),
        complete: info.complete,
    })
}

/// Answers the requests that read the log: [`Request::LogQuery`], [`Request::LogFollow`] and
/// [`Request::LogInfo`]. Nothing for any other. A follower is answered until the log is `closed`.
///
/// # Errors
///
/// [`Gone`] when the client has gone.
pub fn answer(
    place: &Path,
    request: &Request,
    closed: &dyn Fn() -> bool,
    replies: &mut Replies<'_>,
) -> Option<Result<(), Gone>> {
    let (mut gone, mut stopped) = (false, false);
    let outcome = match request {
        Request::LogInfo => match info(place) {
            Ok(info) => return Some(replies.send(&Response::LogInfo(info))),
            Err(error) => Err(ReadError::Log(error)),
        },
        Request::LogQuery { query: spec } => query(place, spec, |record| {
            gone = replies.send(&Response::Record(Box::new(record))).is_err();
            // Who stops the daemon does not wait for a long answer.
            stopped = replies.is_stopping();
            !gone && !stopped
        }),
        Request::LogFollow { query: spec } => follow(place, spec, closed, |step| {
            let sent = match step {
                Step::Ready => replies.send(&Response::Following),
                Step::Record(record) => replies.send(&Response::Record(record)),
                Step::Removed(removed) => replies.send(&Response::Removed {
                    first: *removed.start(),
                    last: *removed.end(),
                }),
                Step::Idle if replies.is_gone() => Err(Gone),
                Step::Idle => Ok(()),
            };
            gone = sent.is_err();
            !gone
        }),
        _ => return None,
    };
    if gone {
        return Some(Err(Gone));
    }
    Some(match outcome {
        Ok(()) if stopped => replies.send(&Response::failed("the daemon stops; ask again")),
        Ok(()) => replies.send(&Response::done()),
        Err(error) => replies.send(&Response::failed(crate::with_causes(&error))),
    })
}
