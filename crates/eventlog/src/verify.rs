//! Is the log what was written? The walk along its chain, and what a break in it means.

use std::path::{Path, PathBuf};

use audit::Record;
use rusqlite::Connection;

use crate::LogError;
use crate::encoding::{Codec, Hash, Stamp, hex, link};
use crate::reader::{COLUMNS, Origins, Snapshot, StoredRow, read_row};
use crate::segment::{Segment, State};
use crate::tables::{hash, integer, natural, peer_key};

/// How many removed records a renumbering may hide and still be told from a change.
const MAX_SHIFT: u64 = 1000;

/// A log whose chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records that were checked.
    pub records: u64,
    /// The ID of the first.
    pub first: Option<u64>,
    /// ID and hash of the last: a new anchor to keep elsewhere.
    pub head: (u64, Hash),
    /// ID and hash of the last record that is no longer in the log.
    pub floor: (u64, Hash),
    /// An anchor was given, and the chain goes through it.
    pub anchored: bool,
    /// False when the newest segment is not readable for us, and was not checked.
    pub complete: bool,
}

/// Where the log is not what was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// The record. 0 when it is not a matter of one.
    pub record_id: u64,
    /// What is wrong with it.
    pub what: FaultKind,
}

/// What can be wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// Its content is not what was hashed; or it is, and that of the record before is not although its
    /// hash was made to fit.
    #[error("record {id} was changed{}", or_before(*.before))]
    Changed {
        /// The record.
        id: u64,
        /// The record before it, when it may be that one. None when it is surely this one, or nothing
        /// in the log comes before it.
        before: Option<u64>,
    },
    /// Records are gone.
    #[error("{}", removed(*.id, *.through))]
    Removed {
        /// The first that is gone.
        id: u64,
        /// The last that is gone.
        through: u64,
    },
    /// In a record's place stands another one.
    #[error("record {from} was moved to the place of record {id}")]
    Moved {
        /// The place.
        id: u64,
        /// Whose content stands there.
        from: u64,
    },
    /// A record that the log never wrote.
    #[error("record {id} was added to the log by somebody else")]
    Added {
        /// The record.
        id: u64,
    },
    /// What the log says of its own beginning does not fit its first record.
    #[error("what the log says of its own beginning was changed{}", after(*.id))]
    Floor {
        /// The floor: the last record that is no longer in the log. 0 when there never was one.
        id: u64,
    },
    /// The chain holds, but another one led to the anchor.
    #[error("{}", other_chain(*.id, .found))]
    Anchor {
        /// The anchor's record. 0 for the head of a log that had none yet.
        id: u64,
        /// The hash that it has now.
        found: String,
    },
    /// The anchor's record is no longer there, so that nothing can be said.
    #[error(
        "record {id} is no longer in the log, which begins after record {floor} (overwritten, archived or cleared since): the head given cannot be checked"
    )]
    AnchorGone {
        /// The anchor's record.
        id: u64,
        /// The log's floor.
        floor: u64,
    },
    /// A file of the log cannot be read from this record on.
    #[error("{} cannot be read {}: {why}", .path.display(), from_where(*.id))]
    Unreadable {
        /// The record that was expected next. 0 when it is not known that there is one.
        id: u64,
        /// The file, or the log's directory.
        path: PathBuf,
        /// What the disk or the engine said.
        why: String,
    },
}

fn removed(id: u64, through: u64) -> String {
    if id == through {
        format!("record {id} was removed")
    } else {
        format!("records {id} to {through} were removed")
    }
}

fn or_before(before: Option<u64>) -> String {
    before.map_or_else(String::new, |id| {
        format!(" (or record {id}, together with its hash)")
    })
}

fn after(floor: u64) -> String {
    match floor {
        0 => String::new(),
        _ => format!(" (it begins after record {floor})"),
    }
}

fn other_chain(id: u64, found: &str) -> String {
    match id {
        0 => format!("the log begins with the hash {found}, not the one given: it is another log"),
        _ => format!(
            "record {id} has the hash {found}, not the one given: it, or a record before it, was changed and the chain made anew"
        ),
    }
}

fn from_where(id: u64) -> String {
    match id {
        0 => "before its first record".to_owned(),
        _ => format!("at record {id}"),
    }
}

impl From<FaultKind> for Fault {
    fn from(what: FaultKind) -> Fault {
        let record_id = match &what {
            FaultKind::Changed { id, .. }
            | FaultKind::Removed { id, .. }
            | FaultKind::Moved { id, .. }
            | FaultKind::Added { id }
            | FaultKind::Floor { id }
            | FaultKind::Anchor { id, .. }
            | FaultKind::AnchorGone { id, .. }
            | FaultKind::Unreadable { id, .. } => *id,
        };
        Fault { record_id, what }
    }
}

/// Where the walk has got to.
struct Walk {
    /// The last record that is no longer in the log.
    floor: u64,
    /// The ID that must come next.
    expected: u64,
    /// The hash before it.
    before: Hash,
    anchor: Option<(u64, Hash)>,
}

pub(crate) fn verify(place: &Path, anchor: Option<(u64, Hash)>) -> Result<Verified, Fault> {
    let mut log = Snapshot::take(place).map_err(|error| unreadable(0, place, &error))?;
    let floor = log.floor;
    let mut walk = Walk {
        floor: floor.0,
        expected: floor.0 + 1,
        before: floor.1,
        anchor,
    };
    if let Some((id, _)) = anchor.filter(|(id, _)| *id < floor.0) {
        return Err(FaultKind::AnchorGone { id, floor: floor.0 }.into());
    }
    walk.check_anchor(floor.0, &floor.1)?;
    for at in 0..log.segments.len() {
        if let Some(row) = walk.segment(&mut log.segments[at])? {
            return Err(diagnose(&mut log, &walk, &row).into());
        }
    }
    let head = (walk.expected - 1, walk.before);
    if let Some((id, _)) = anchor.filter(|(id, _)| *id > head.0) {
        return Err(FaultKind::Removed {
            id: walk.expected,
            through: id,
        }
        .into());
    }
    Ok(Verified {
        records: head.0 - floor.0,
        first: (head.0 > floor.0).then_some(floor.0 + 1),
        head,
        floor,
        anchored: anchor.is_some(),
        complete: log.complete,
    })
}

/// What keeps the record from being read: the file, and why, without naming it again.
fn unreadable(id: u64, place: &Path, error: &LogError) -> FaultKind {
    let (path, why) = match error {
        LogError::Database { path, source } => (path.as_path(), source.to_string()),
        LogError::NotASegment { path, what } => (path.as_path(), what.clone()),
        LogError::Io { what, path, source } => (path.as_path(), format!("{what}: {source}")),
        error => (place, error.to_string()),
    };
    FaultKind::Unreadable {
        id,
        path: path.to_owned(),
        why,
    }
}

/// A record at which the chain breaks.
struct Break {
    stored: StoredRow,
    record: Option<Record>,
}

impl Walk {
    fn check_anchor(&self, id: u64, hash: &Hash) -> Result<(), FaultKind> {
        match self.anchor {
            Some((anchor, wanted)) if anchor == id && wanted != *hash => Err(FaultKind::Anchor {
                id,
                found: hex(hash),
            }),
            _ => Ok(()),
        }
    }

    /// Walks one segment. Gives the record at which the chain breaks, when that needs a closer look.
    fn segment(&mut self, (segment, state): &mut (Segment, State)) -> Result<Option<Break>, Fault> {
        if segment.header.first > self.expected {
            return Err(FaultKind::Removed {
                id: self.expected,
                through: segment.header.first - 1,
            }
            .into());
        }
        let found = self.rows(segment);
        let found = found.map_err(|error| {
            let there = self.expected <= state.head;
            let id = if there { self.expected } else { 0 };
            let error = LogError::database(&segment.path)(error);
            unreadable(id, &segment.path, &error)
        })??;
        if found.is_some() {
            return Ok(found);
        }
        // The state row says how far this segment went.
        let last = self.expected - 1;
        if state.head > last {
            return Err(FaultKind::Removed {
                id: self.expected,
                through: state.head,
            }
            .into());
        }
        if last == self.floor && (state.head, state.head_hash) != (last, self.before) {
            return Err(FaultKind::Floor { id: last }.into());
        }
        if state.head < last {
            return Err(FaultKind::Added { id: last }.into());
        }
        if state.head_hash != self.before {
            // Had the one before it been changed, its own hash would not fit.
            let before = None;
            return Err(FaultKind::Changed { id: last, before }.into());
        }
        Ok(None)
    }

    fn rows(
        &mut self,
        segment: &mut Segment,
    ) -> rusqlite::Result<Result<Option<Break>, FaultKind>> {
        let mut origins = Origins::default();
        let Segment {
            connection, codec, ..
        } = segment;
        let sql = format!("SELECT {COLUMNS} FROM record ORDER BY id");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (stored, record) = read_row(row, connection, &mut origins, codec)?;
            if stored.id > self.expected {
                return Ok(Err(FaultKind::Removed {
                    id: self.expected,
                    through: stored.id - 1,
                }));
            }
            if stored.id < self.expected {
                return Ok(Err(FaultKind::Added { id: stored.id }));
            }
            let Some(record) = record else {
                let (id, before) = (stored.id, None);
                return Ok(Err(FaultKind::Changed { id, before }));
            };
            let linked = link(&self.before, &stored.stamp(stored.id), &record);
            let indexed = stored.peer == record.peer().map(peer_key);
            if linked != stored.hash || !indexed {
                let record = Some(record);
                return Ok(Ok(Some(Break { stored, record })));
            }
            if let Err(fault) = self.check_anchor(stored.id, &stored.hash) {
                return Ok(Err(fault));
            }
            self.expected += 1;
            self.before = stored.hash;
        }
        Ok(Ok(None))
    }
}

impl StoredRow {
    /// The stamp that it would have as the record of this ID.
    fn stamp(&self, id: u64) -> Stamp<'_> {
        Stamp {
            id,
            time: self.time,
            computer: &self.computer,
            process: self.process,
        }
    }
}

/// What happened at a break: every explanation that can be proven is tried before "changed".
fn diagnose(log: &mut Snapshot, walk: &Walk, broken: &Break) -> FaultKind {
    let id = broken.stored.id;
    let Some(record) = &broken.record else {
        return FaultKind::Changed { id, before: None };
    };
    // With a hash that fits it is this record's index that was changed, and no other.
    let fits = link(&walk.before, &broken.stored.stamp(id), record) == broken.stored.hash;
    let before = (!fits && id - 1 > log.floor.0).then(|| id - 1);
    let changed = FaultKind::Changed { id, before };
    if id == log.floor.0 + 1 {
        // The oldest segment keeps what its first record went on from.
        let seed = log.segments[0].0.header.seed;
        if seed != walk.before
            && link(&seed, &broken.stored.stamp(id), record) == broken.stored.hash
        {
            return FaultKind::Floor { id: log.floor.0 };
        }
    }
    moved(log, broken, record)
        .map(|from| FaultKind::Moved { id, from })
        .or_else(|| renumbered(log, broken))
        .unwrap_or(changed)
}

/// The ID under which this content was written, when it still fits what stands around that place.
fn moved(log: &Snapshot, broken: &Break, record: &Record) -> Option<u64> {
    let mut before = log.floor.1;
    for (segment, _) in &log.segments {
        let mut find = || -> rusqlite::Result<Option<u64>> {
            let mut statement = segment
                .connection
                .prepare("SELECT id, hash FROM record ORDER BY id")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, there) = (natural(row, 0)?, hash(row, 1)?);
                // Two neighbours that changed places took their hashes along, or left them.
                let fits = |before| {
                    let linked = link(before, &broken.stored.stamp(id), record);
                    linked == there || linked == broken.stored.hash
                };
                if id != broken.stored.id && (fits(&before) || fits(&there)) {
                    return Ok(Some(id));
                }
                before = there;
            }
            Ok(None)
        };
        if let Ok(Some(id)) = find() {
            return Some(id);
        }
    }
    None
}

/// Records were removed, or one was added, and those after it renumbered to hide it: then the next one
/// links to this one under another number.
fn renumbered(log: &mut Snapshot, broken: &Break) -> Option<FaultKind> {
    let id = broken.stored.id;
    let (next, record) = log.row(id + 1)?;
    let links = |as_id: u64| link(&broken.stored.hash, &next.stamp(as_id), &record) == next.hash;
    if links(id) {
        return Some(FaultKind::Added { id });
    }
    (1..=MAX_SHIFT)
        .find(|shift| links(id + 1 + shift))
        .map(|shift| FaultKind::Removed {
            id,
            through: id + shift - 1,
        })
}

impl Snapshot {
    /// One record.
    fn row(&mut self, id: u64) -> Option<(StoredRow, Record)> {
        self.segments.iter_mut().find_map(|(segment, _)| {
            one(&segment.connection, &mut segment.codec, id)
                .ok()
                .flatten()
        })
    }
}

fn one(
    connection: &Connection,
    codec: &mut Codec,
    id: u64,
) -> rusqlite::Result<Option<(StoredRow, Record)>> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([integer(id)])?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => {
            let (stored, record) = read_row(row, connection, &mut Origins::default(), codec)?;
            Ok(record.map(|record| (stored, record)))
        }
    }
}
