//! Is the log what was written? The walk along its chain, and what a break in it means.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use audit::Record;
use rusqlite::Connection;

use crate::LogError;
use crate::encoding::{Codec, Hash, Stamp, hex, link};
use crate::fault::{Fault, FaultKind};
use crate::reader::{COLUMNS, Origins, Snapshot, StoredRow, read_row};
use crate::schema;
use crate::segment::{Segment, State, widened};
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

/// Where the walk has got to.
struct Walk {
    /// The last record that is no longer in the log.
    floor: u64,
    /// The ID that must come next.
    expected: u64,
    /// The hash before it.
    before: Hash,
    anchor: Option<(u64, Hash)>,
    /// The least and the greatest time in the segment, so far.
    times: Option<(i64, i64)>,
    /// The peers in it, so far.
    peers: Peers,
}

pub(crate) fn verify(place: &Path, anchor: Option<(u64, Hash)>) -> Result<Verified, Fault> {
    let mut log = Snapshot::take(place).map_err(|error| unreadable(0, place, &error))?;
    let floor = log.floor;
    let mut walk = Walk {
        floor: floor.0,
        expected: floor.0 + 1,
        before: floor.1,
        anchor,
        times: None,
        peers: Peers::default(),
    };
    // What came before or after a file that stands alone may be whole elsewhere.
    let single = place.is_file();
    if let Some((id, _)) = anchor.filter(|(id, _)| *id < floor.0) {
        if single {
            let (floor, last) = (floor.0, log.newest_state().head);
            return Err(FaultKind::AnchorElsewhere { id, floor, last }.into());
        }
        return Err(FaultKind::AnchorGone { id, floor: floor.0 }.into());
    }
    walk.check_anchor(floor.0, &floor.1)?;
    let mut number = None;
    for at in 0..log.segments.len() {
        if let Some(row) = walk.segment(&mut log.segments[at])? {
            return Err(diagnose(&mut log, &walk, &row).into());
        }
        // The IDs go on, or the walk would have ended.
        let this = log.segments[at].0.header.number;
        if let Some((_, id)) = number.filter(|(before, _)| before + 1 != this) {
            return Err(FaultKind::NewestRemoved { id, went_on: true }.into());
        }
        number = Some((this, walk.expected - 1));
    }
    let head = (walk.expected - 1, walk.before);
    if let Some((id, _)) = anchor.filter(|(id, _)| *id > head.0) {
        if single {
            let (floor, last) = (floor.0, head.0);
            return Err(FaultKind::AnchorElsewhere { id, floor, last }.into());
        }
        return Err(FaultKind::Removed {
            id: walk.expected,
            through: id,
        }
        .into());
    }
    if log.newest_removed {
        let (id, went_on) = (head.0, false);
        return Err(FaultKind::NewestRemoved { id, went_on }.into());
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
        let path = segment.path.clone();
        let refused = |expected: u64, error| {
            let id = if expected <= state.head { expected } else { 0 };
            unreadable(id, &path, &LogError::database(&path)(error))
        };
        // First of all: the rest is only as true as the tables are tables.
        let altered = schema::alteration(&segment.connection, segment.layout)
            .map_err(|error| refused(self.expected, error))?;
        if let Some(item) = altered {
            return Err(FaultKind::Schema { path, item }.into());
        }
        let first = self.expected;
        self.times = None;
        self.peers.forget();
        let found = self.rows(segment);
        let found = found.map_err(|error| refused(self.expected, error))??;
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
        if state.times != self.times {
            let id = if first <= last { first } else { 0 };
            let through = last;
            return Err(FaultKind::Times { id, through, path }.into());
        }
        match misplaced(&segment.connection, &self.peers)
            .map_err(|error| refused(self.expected, error))?
        {
            Some((id, why)) => Err(FaultKind::Index { id, path, why }.into()),
            None => Ok(None),
        }
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
            self.times = Some(widened(self.times, stored.time));
            if let Some(peer) = &stored.peer {
                self.peers.add(peer, stored.id);
            }
        }
        Ok(Ok(None))
    }
}

/// What a search in the segment would pass over although a walk along its records finds it, or would find
/// without there being one: the first record that is not in the index under its peer (0 when it is not
/// that), and what is wrong. None when it finds all.
///
/// The engine's quick check walks the trees; its thorough one, which looks each peer up, takes as long as all the
/// hashes, and does not count the rows of an index that has a WHERE. So the index is read once, in its own order, and
/// must hold the same pairs of peer and record as the walk did: no sorting, and no memory for ten million of them.
fn misplaced(connection: &Connection, peers: &Peers) -> rusqlite::Result<Option<(u64, String)>> {
    let mut said: String =
        connection.query_row("PRAGMA quick_check(record)", [], |row| row.get(0))?;
    if said == "ok" {
        if peers.are_in_the_index(connection)? {
            return Ok(None);
        }
        "the index of peers is not that of the records".clone_into(&mut said);
    }
    let missing = connection.query_row(
        "SELECT id FROM record AS r NOT INDEXED
         WHERE peer IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM record AS i INDEXED BY peer WHERE i.peer = r.peer AND i.id = r.id)
         ORDER BY id LIMIT 1",
        [],
        |row| natural(row, 0),
    );
    // What is damaged may not even be searched.
    Ok(Some((missing.unwrap_or(0), said)))
}

/// Pairs of peer and record, in any order: their count, and the sum of their hashes under a key that nobody knows
/// before, so that nobody can make other pairs that have the same.
#[derive(Default)]
struct Peers {
    key: RandomState,
    count: u64,
    sum: u64,
}

impl Peers {
    fn forget(&mut self) {
        (self.count, self.sum) = (0, 0);
    }

    fn add(&mut self, peer: &[u8], id: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(self.key.hash_one((peer, id)));
    }

    /// Whether the index holds these and no others, in the order that a search in it goes by.
    fn are_in_the_index(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut found = Peers {
            key: self.key.clone(),
            ..Peers::default()
        };
        let mut statement = connection.prepare(
            "SELECT peer, id FROM record INDEXED BY peer WHERE peer IS NOT NULL ORDER BY peer, id",
        )?;
        let mut rows = statement.query([])?;
        let mut before: Option<(Vec<u8>, u64)> = None;
        while let Some(row) = rows.next()? {
            let this: (Vec<u8>, u64) = (row.get(0)?, natural(row, 1)?);
            if before.is_some_and(|before| before >= this) {
                return Ok(false);
            }
            found.add(&this.0, this.1);
            before = Some(this);
        }
        Ok((found.count, found.sum) == (self.count, self.sum))
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
