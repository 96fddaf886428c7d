//! Which records, and the way through the segments to them.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use audit::{EVENTS, Outcome, StoredRecord};

use crate::LogError;
use crate::directory::{segment_numbers, segment_path};
use crate::reader::{COLUMNS, Origins, open_patiently, read_row};
use crate::segment::Segment;
use crate::tables::{integer, peer_key};
use crate::writer::now;
use crate::xpath::XPath;

/// Records that are read at a time. Between two reads no transaction is open, so that the writer is
/// never kept from closing a segment for longer than this takes.
const PAGE: u64 = 256;

/// What to look for. Everything that is given must hold; the default is every record.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// `EventID` is one of these; none: any.
    pub ids: Vec<u16>,
    /// Not written before, in nanoseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Not written after.
    pub until: Option<i64>,
    /// `RemoteAddress`.
    pub peer: Option<IpAddr>,
    /// Success, failure, or the log's own.
    pub outcome: Option<Outcome>,
    /// No more records than this.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
    /// Only records with a greater ID: what came since.
    pub after_record: Option<u64>,
    /// A Windows event query.
    pub xpath: Option<XPath>,
}

/// What the index and the plain columns can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) events: Option<BTreeSet<u16>>,
    pub(crate) ids: RangeInclusive<u64>,
    pub(crate) times: RangeInclusive<i64>,
    pub(crate) peer: Option<IpAddr>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            events: None,
            ids: 0..=u64::MAX,
            times: i64::MIN..=i64::MAX,
            peer: None,
        }
    }
}

impl Bounds {
    pub(crate) fn only_events(&mut self, events: BTreeSet<u16>) {
        self.events = Some(match self.events.take() {
            None => events,
            Some(known) => known.intersection(&events).copied().collect(),
        });
    }

    pub(crate) fn only_ids(&mut self, from: u64, to: u64) {
        self.ids = from.max(*self.ids.start())..=to.min(*self.ids.end());
    }

    pub(crate) fn only_times(&mut self, from: i64, to: i64) {
        self.times = from.max(*self.times.start())..=to.min(*self.times.end());
    }

    /// What holds within these or those: only what both say.
    pub(crate) fn or(self, other: Bounds) -> Bounds {
        let events = self.events.zip(other.events);
        Bounds {
            events: events.map(|(these, those)| these.union(&those).copied().collect()),
            ids: hull(&self.ids, &other.ids),
            times: hull(&self.times, &other.times),
            peer: self.peer.filter(|peer| other.peer == Some(*peer)),
        }
    }

    /// Narrows these by those, both of which must hold.
    pub(crate) fn and(&mut self, other: Bounds) {
        if let Some(events) = other.events {
            self.only_events(events);
        }
        self.only_ids(*other.ids.start(), *other.ids.end());
        self.only_times(*other.times.start(), *other.times.end());
        self.peer = other.peer.or(self.peer);
    }

    fn of(query: &Query, now: i64) -> Bounds {
        let mut bounds = query
            .xpath
            .as_ref()
            .map_or_else(Bounds::default, |xpath| xpath.bounds(now));
        if !query.ids.is_empty() {
            bounds.only_events(query.ids.iter().copied().collect());
        }
        if let Some(outcome @ (Outcome::Success | Outcome::Failure)) = query.outcome {
            let events = EVENTS.iter().filter(|event| event.outcome == outcome);
            bounds.only_events(events.map(|event| event.id).collect());
        }
        if let Some(after) = query.after_record {
            bounds.only_ids(after.saturating_add(1), u64::MAX);
        }
        bounds.only_times(
            query.since.unwrap_or(i64::MIN),
            query.until.unwrap_or(i64::MAX),
        );
        if query.peer.is_some() {
            bounds.peer = query.peer;
        }
        bounds
    }

    /// The statement for one page: ?1 and ?2 are the first and the last ID, ?3 the count, ?4 the peer.
    fn sql(&self, reverse: bool) -> String {
        let mut sql = format!("SELECT {COLUMNS} FROM record WHERE id BETWEEN ?1 AND ?2");
        if self.peer.is_some() {
            sql.push_str(" AND peer = ?4");
        }
        if let Some(events) = &self.events {
            let list: Vec<String> = events.iter().map(u16::to_string).collect();
            let _ = write!(sql, " AND event IN ({})", list.join(", "));
        }
        if *self.times.start() != i64::MIN || *self.times.end() != i64::MAX {
            let (from, to) = (self.times.start(), self.times.end());
            let _ = write!(sql, " AND time BETWEEN {from} AND {to}");
        }
        let order = if reverse { "DESC" } else { "ASC" };
        let _ = write!(sql, " ORDER BY id {order} LIMIT ?3");
        sql
    }
}

/// The least range that holds both.
fn hull<T: Copy + Ord>(one: &RangeInclusive<T>, other: &RangeInclusive<T>) -> RangeInclusive<T> {
    *one.start().min(other.start())..=*one.end().max(other.end())
}

/// The segment that is being read.
struct Cursor {
    segment: Segment,
    origins: Origins,
    /// IDs that are still to be looked at.
    left: RangeInclusive<u64>,
}

/// The records of a query, one after the other.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own, and any of them may hold beside the others"
)]
pub struct Records {
    place: PathBuf,
    query: Query,
    bounds: Bounds,
    sql: String,
    now: i64,
    /// Segments still to be read, in the order of the query, by number.
    waiting: VecDeque<u64>,
    /// The greatest number that was ever waiting.
    seen: u64,
    single: bool,
    started: bool,
    /// The newest, open already, until its turn comes.
    newest: Option<(u64, Segment)>,
    cursor: Option<Cursor>,
    buffer: VecDeque<StoredRecord>,
    given: u64,
    failed: bool,
    /// Records up to this one were looked at, or need not be.
    covered: u64,
    /// A segment whose turn had come was removed.
    gone: bool,
    removed: Option<RangeInclusive<u64>>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("place", &self.place)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

impl Records {
    pub(crate) fn new(place: &Path, query: &Query) -> Records {
        let now = now();
        let bounds = Bounds::of(query, now);
        Records {
            place: place.to_owned(),
            query: query.clone(),
            sql: bounds.sql(query.reverse),
            bounds,
            now,
            waiting: VecDeque::new(),
            seen: 0,
            single: place.is_file(),
            started: false,
            newest: None,
            cursor: None,
            buffer: VecDeque::new(),
            given: 0,
            failed: false,
            covered: query.after_record.unwrap_or(0),
            gone: false,
            removed: None,
        }
    }

    /// IDs that the query asks for, by [`Query::after_record`], and that went (by a clearing, or by retention)
    /// before it could look at them; each is told once. Not known of a query that goes newest first.
    pub fn take_removed(&mut self) -> Option<RangeInclusive<u64>> {
        self.removed.take()
    }

    fn note_removed(&mut self, through: u64) {
        let first = self.covered.saturating_add(1);
        if first > through || self.query.reverse || self.query.after_record.is_none() {
            return;
        }
        let first = self
            .removed
            .as_ref()
            .map_or(first, |range| first.min(*range.start()));
        self.removed = Some(first..=through);
        self.covered = through;
    }

    /// Finds the segments, and the floor below which they no longer count.
    fn start(&mut self) -> Result<(), LogError> {
        self.started = true;
        if self.single {
            let segment = open_patiently(&self.place)?;
            self.cursor = self.cursor_on(segment)?;
            return Ok(());
        }
        let numbers = segment_numbers(&self.place)?;
        if numbers.is_empty() {
            return Err(LogError::NoLog(self.place.clone()));
        }
        // The newest that can be read knows the floor.
        for number in numbers.iter().rev() {
            if let Some(segment) = self.try_open(*number)? {
                let floor = segment.state()?.floor;
                self.bounds.only_ids(floor.saturating_add(1), u64::MAX);
                self.note_removed(floor);
                self.covered = self.covered.max(floor);
                // Held for its turn only where that comes at once: an open segment cannot be closed
                // for good by the writer.
                if self.query.reverse {
                    self.newest = Some((*number, segment));
                }
                break;
            }
        }
        self.seen = numbers.last().copied().unwrap_or(0);
        self.waiting = numbers.into();
        if self.query.reverse {
            self.waiting.make_contiguous().reverse();
        }
        Ok(())
    }

    /// None when it has been rotated away, or when it is the newest and for the writer alone.
    fn try_open(&self, number: u64) -> Result<Option<Segment>, LogError> {
        let path = segment_path(&self.place, number);
        match open_patiently(&path).and_then(|segment| segment.numbered(number)) {
            Ok(segment) => Ok(Some(segment)),
            Err(_) if !path.exists() => Ok(None),
            Err(error)
                if error.is_absent() && segment_numbers(&self.place)?.last() == Some(&number) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A cursor, unless nothing in the segment can match.
    fn cursor_on(&mut self, segment: Segment) -> Result<Option<Cursor>, LogError> {
        let state = segment.state()?;
        if std::mem::take(&mut self.gone) {
            self.note_removed(segment.header.first.saturating_sub(1));
        }
        self.covered = self.covered.max(state.head);
        let (from, to) = self.bounds.ids.clone().into_inner();
        // The active segment grows: its end is open.
        let left = from.max(segment.header.first)..=to;
        let apart = state.times.is_some_and(|(oldest, newest)| {
            newest < *self.bounds.times.start() || oldest > *self.bounds.times.end()
        });
        let closed = self.single || segment.header.number < self.seen;
        if left.is_empty() || (apart && closed) {
            return Ok(None);
        }
        Ok(Some(Cursor {
            segment,
            origins: Origins::default(),
            left,
        }))
    }

    /// The next segment. False when there is none.
    fn advance(&mut self) -> Result<bool, LogError> {
        loop {
            while let Some(number) = self.waiting.pop_front() {
                let newest = self.newest.take_if(|(open, _)| *open == number);
                let segment = match newest {
                    Some((_, segment)) => Some(segment),
                    None => self.try_open(number)?,
                };
                self.gone |= segment.is_none() && !segment_path(&self.place, number).exists();
                if let Some(segment) = segment
                    && let Some(cursor) = self.cursor_on(segment)?
                {
                    self.cursor = Some(cursor);
                    return Ok(true);
                }
            }
            if self.single || self.query.reverse {
                return Ok(false);
            }
            // On the way to the newest, new ones may have come.
            let newer: Vec<u64> = segment_numbers(&self.place)?
                .into_iter()
                .filter(|number| *number > self.seen)
                .collect();
            let Some(last) = newer.last() else {
                return Ok(false);
            };
            self.seen = *last;
            self.waiting.extend(newer);
        }
    }

    /// Reads the next page into the buffer. False when its segment has no more.
    fn page(&mut self) -> Result<bool, LogError> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(false);
        };
        // A small limit needs no large page, unless much of it may be thrown away.
        let count = match self.query.limit {
            Some(limit) if self.query.xpath.is_none() => (limit - self.given).clamp(1, PAGE),
            _ => PAGE,
        };
        let Cursor {
            segment,
            origins,
            left,
        } = cursor;
        let Segment {
            connection, codec, ..
        } = segment;
        let mut last = None;
        let mut rows_read = 0;
        let mut read =
            || -> rusqlite::Result<Vec<(crate::reader::StoredRow, Option<audit::Record>)>> {
                let mut statement = connection.prepare_cached(&self.sql)?;
                statement.raw_bind_parameter(1, integer(*left.start()))?;
                statement.raw_bind_parameter(2, integer(*left.end()))?;
                statement.raw_bind_parameter(3, integer(count))?;
                if let Some(peer) = self.bounds.peer {
                    statement.raw_bind_parameter(4, peer_key(peer))?;
                }
                let mut rows = statement.raw_query();
                let mut page = Vec::new();
                while let Some(row) = rows.next()? {
                    let (stored, record) = read_row(row, connection, origins, codec)?;
                    last = Some(stored.id);
                    rows_read += 1;
                    page.push((stored, record));
                }
                Ok(page)
            };
        let page = read().map_err(LogError::database(&segment.path))?;
        for (stored, record) in page {
            let Some(record) = record else {
                return Err(LogError::NotASegment {
                    path: segment.path.clone(),
                    what: format!(
                        "record {} cannot be read (see what `log verify` says)",
                        stored.id
                    ),
                });
            };
            let stored = stored.with(record);
            let wanted = self
                .query
                .outcome
                .is_none_or(|outcome| stored.record.outcome() == outcome)
                && self
                    .query
                    .xpath
                    .as_ref()
                    .is_none_or(|xpath| xpath.matches(&stored, self.now));
            if wanted {
                self.buffer.push_back(stored);
            }
        }
        let Some(last) = last.filter(|_| rows_read == count) else {
            return Ok(false);
        };
        let (from, to) = left.clone().into_inner();
        *left = if self.query.reverse {
            from..=last.saturating_sub(1)
        } else {
            last.saturating_add(1)..=to
        };
        Ok(!left.is_empty())
    }

    fn try_next(&mut self) -> Result<Option<StoredRecord>, LogError> {
        if self.query.limit.is_some_and(|limit| self.given >= limit) {
            return Ok(None);
        }
        if !self.started {
            self.start()?;
        }
        loop {
            if let Some(record) = self.buffer.pop_front() {
                self.given += 1;
                return Ok(Some(record));
            }
            if self.cursor.is_none() && !self.advance()? {
                return Ok(None);
            }
            if !self.page()? {
                self.cursor = None;
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<StoredRecord, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.try_next();
        self.failed = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Retention, Writer};

    /// The way that the engine goes for a query.
    fn plan(query: &Query) -> String {
        let dir = tempfile::tempdir().unwrap();
        Writer::open(Options {
            directory: dir.path().to_owned(),
            max_size: 0,
            retention: Retention::Overwrite,
            computer: "gw".to_owned(),
            process_id: 1,
        })
        .unwrap();
        let path = segment_path(dir.path(), 1);
        let segment = Segment::open_for_reading(&path).unwrap();
        let sql = Bounds::of(query, now()).sql(query.reverse);
        let mut explain = segment
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let mut steps = explain.raw_query();
        let mut plan = Vec::new();
        while let Some(step) = steps.next().unwrap() {
            plan.push(step.get::<_, String>(3).unwrap());
        }
        plan.join("; ")
    }

    #[test]
    fn a_peer_is_found_by_its_index_and_never_sorted() {
        let peer = Query {
            peer: Some(IpAddr::from([192, 0, 2, 1])),
            reverse: true,
            limit: Some(100),
            ..Query::default()
        };
        let xpath = Query {
            xpath: Some(
                "*[System[EventID=4653] and EventData[Data[@Name='RemoteAddress']='192.0.2.1']]"
                    .parse()
                    .unwrap(),
            ),
            since: Some(1),
            ..Query::default()
        };
        for query in [peer, xpath] {
            let plan = plan(&query);
            assert!(plan.contains("USING INDEX peer (peer=?"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = plan(&Query {
            after_record: Some(5),
            ..Query::default()
        });
        assert!(plan.contains("INTEGER PRIMARY KEY (rowid>"), "{plan}");
    }

    #[test]
    fn conjuncts_of_an_xpath_narrow_the_search() {
        let now = 1_000_000_000_000_000_000;
        let bounds = |text: &str| {
            let query = Query {
                xpath: Some(text.parse().unwrap()),
                ..Query::default()
            };
            Bounds::of(&query, now)
        };
        let events = |text: &str| {
            let events = bounds(text).events?;
            Some(events.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(bounds("*"), Bounds::default());
        assert_eq!(
            events("*[System[(EventID=4650 or EventID=4653) and Level=0]]"),
            Some(vec![4650, 4653])
        );
        assert_eq!(
            events("*/System[EventID=4653]/EventID=4650"),
            Some(vec![4653])
        );
        assert_eq!(events("*[System[EventID=4653]/Level=0]"), Some(vec![4653]));
        assert_eq!(events("*[System[EventID=4650 or Level=0]]"), None);
        assert_eq!(events("*[System[EventID>4650]]"), None);
        assert_eq!(events("*[EventData[EventID=4650]]"), None);
        let ids = bounds("*[System[EventRecordID >= 5 and EventRecordID < 9]]").ids;
        assert_eq!(ids, 5..=9);
        let day = bounds("*[System[TimeCreated[timediff(@SystemTime) <= 86400000]]]").times;
        assert_eq!(*day.start(), now - 86_400_001_000_000);
        let times = "*[System[TimeCreated[@SystemTime>='1970-01-01T00:00:01Z' and @SystemTime<='1970-01-01T00:00:02']]]";
        assert_eq!(bounds(times).times, 1_000_000_000..=2_000_000_000);
        let selectors = bounds(
            "*[EventData[Data[@Name='RemoteAddress'] = '192.0.2.1']] and *[System[EventID=4653]]",
        );
        assert_eq!(selectors.peer, Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(selectors.events, Some(BTreeSet::from([4653])));
        // Either of two: no bound.
        let either = "*[EventData[Data[@Name='RemoteAddress']='192.0.2.1' or Data='x']]";
        assert_eq!(bounds(either).peer, None);
        let other = "*[EventData[Data[@Name='LocalAddress']='192.0.2.1']]";
        assert_eq!(bounds(other).peer, None);
        let not = "*[EventData[Data[@Name='RemoteAddress']!='192.0.2.1']]";
        assert_eq!(bounds(not).peer, None);
    }

    #[test]
    fn disjuncts_of_an_xpath_narrow_the_search_by_what_all_of_them_say() {
        const NORTH: &str = "*[EventData[Data[@Name='RemoteAddress']='192.0.2.1']]";
        const SOUTH: &str = "*[EventData[Data[@Name='RemoteAddress']='192.0.2.2']]";
        let bounds = |text: &str| text.parse::<XPath>().unwrap().bounds(0);
        let either = bounds(
            "*[System[EventID=4650 and EventRecordID>=5 and EventRecordID<=6]] or \
             *[System[EventID=4653 and EventRecordID>=8 and EventRecordID<=9]]",
        );
        assert_eq!(either.events, Some(BTreeSet::from([4650, 4653])));
        assert_eq!(either.ids, 5..=9);
        let one_only = bounds("*[System[EventID=4650 and EventRecordID>=5]] or *[System[Level=0]]");
        assert_eq!(one_only, Bounds::default());
        assert_eq!(
            bounds("*[System[EventID=4650]] or * and *"),
            Bounds::default()
        );
        assert_eq!(bounds(&format!("{NORTH} or {SOUTH}")).peer, None);
        assert_eq!(bounds(&format!("{NORTH} or *[System[Level=0]]")).peer, None);
        let same = bounds(&format!("{NORTH} or {NORTH} and *[System[Level=0]]"));
        assert_eq!(same.peer, Some(IpAddr::from([192, 0, 2, 1])));
        // A conjunct beside the disjunction narrows it further, and is not widened by it.
        let beside = bounds(
            "*[System[EventRecordID>=7]] and (*[System[EventRecordID>=5]] or *[System[EventRecordID>=9]])",
        );
        assert_eq!(beside.ids, 7..=u64::MAX);
        let beside = bounds(&format!("{NORTH} and ({SOUTH} or *[System[Level=0]])"));
        assert_eq!(beside.peer, Some(IpAddr::from([192, 0, 2, 1])));
    }
}
