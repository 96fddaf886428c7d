//! Reading a log that may be written, and rotated, at the same time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use audit::{Record, StoredRecord};
use rusqlite::{OptionalExtension, Row};

use crate::directory::{segment_numbers, segment_path};
use crate::encoding::Hash;
use crate::fault::Fault;
use crate::query::{Query, Records};
use crate::segment::{Segment, State};
use crate::tables::{hash, natural};
use crate::verify::{Verified, verify};
use crate::writer::{MAX_SIZE, RETENTION};
use crate::{Counters, LogError, Retention};

/// How often a reader starts again when the log was rotated under it. Rotations are seconds apart at
/// the worst; one more try is the rule.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// A log, open for reading: the directory of a log, or one file (a backup or an archived segment).
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) place: PathBuf,
}

/// What `log info` says.
#[derive(Clone, Debug)]
pub struct Info {
    /// Records in the log.
    pub records: u64,
    /// The ID of the oldest.
    pub first: Option<u64>,
    /// The ID of the newest.
    pub last: Option<u64>,
    /// Bytes on disk, write-ahead log included.
    pub size: u64,
    /// Bytes that it may take, as the writer was last told. None for one file.
    pub max_size: Option<u64>,
    /// What happens then. None for one file.
    pub retention: Option<Retention>,
    /// Segments.
    pub segments: u64,
    /// ID and hash of the newest record: what to keep elsewhere, for [`Reader::verify`].
    pub head: (u64, Hash),
    /// ID and hash of the last record that is no longer in the log.
    pub floor: (u64, Hash),
    /// The account.
    pub counters: Counters,
    /// False when the newest segment is not readable for us: then this is what the closed ones hold.
    pub complete: bool,
    /// True when the newest segment was taken away, and with it the records after `last`.
    pub newest_removed: bool,
}

impl Reader {
    /// Opens a log.
    ///
    /// # Errors
    /// [`LogError::NoLog`] when there is none.
    pub fn open(place: impl Into<PathBuf>) -> Result<Reader, LogError> {
        let place = place.into();
        if place.is_file() {
            Segment::open_for_reading(&place)?;
        } else if !place.exists() || segment_numbers(&place)?.is_empty() {
            return Err(LogError::NoLog(place));
        }
        Ok(Reader { place })
    }

    /// Opens one file on its own: a backup (`log clear --backup`) or an archived segment (`retention = "archive"`).
    /// It begins with its first record, whatever came before that.
    ///
    /// # Errors
    /// [`LogError::NotALog`] when the file is none of a log; else what the disk said.
    pub fn open_file(file: impl Into<PathBuf>) -> Result<Reader, LogError> {
        let place = file.into();
        let found = std::fs::metadata(&place).map_err(LogError::io("open", &place))?;
        let not_a_log = |what: String| LogError::NotALog {
            path: place.clone(),
            what,
        };
        if !found.is_file() {
            return Err(not_a_log("it is not a file".to_owned()));
        }
        match Segment::open_for_reading(&place) {
            Ok(_) => Ok(Reader { place }),
            Err(LogError::NotASegment { what, .. }) => Err(not_a_log(what)),
            Err(LogError::Database { source, .. })
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) =>
            {
                Err(not_a_log(source.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// The records that a query asks for, oldest first unless it says otherwise. What is written while
    /// it runs may or may not be among them.
    pub fn query(&self, query: &Query) -> Records {
        Records::new(&self.place, query)
    }

    /// What the log holds.
    ///
    /// # Errors
    /// What the disk said.
    pub fn info(&self) -> Result<Info, LogError> {
        let snapshot = Snapshot::take(&self.place)?;
        let newest = snapshot.newest_state();
        let setting = |name| snapshot.newest().setting(name);
        let single = self.place.is_file();
        let (floor, head) = (snapshot.floor, (newest.head, newest.head_hash));
        let records = head.0.saturating_sub(floor.0);
        Ok(Info {
            records,
            first: (records > 0).then_some(floor.0 + 1),
            last: (records > 0).then_some(head.0),
            size: snapshot.size(),
            max_size: if single {
                None
            } else {
                setting(MAX_SIZE)?.and_then(|text| text.parse().ok())
            },
            retention: if single {
                None
            } else {
                setting(RETENTION)?.and_then(|name| Retention::from_name(&name))
            },
            segments: snapshot.segments.len() as u64,
            head,
            floor,
            counters: newest.counters,
            complete: snapshot.complete,
            newest_removed: snapshot.newest_removed,
        })
    }

    /// Walks the whole chain, from the floor to the head. With an anchor (a head that `log info` gave
    /// once, and that was kept elsewhere) also that it is still the chain of then: without one, this
    /// proves nothing against somebody who can rewrite all of it.
    ///
    /// # Errors
    /// The first record at which the log is not what was written, and what is wrong there.
    pub fn verify(&self, anchor: Option<(u64, Hash)>) -> Result<Verified, Fault> {
        verify(&self.place, anchor)
    }
}

/// Opens a segment that the writer may be closing, or removing, at this moment.
pub(crate) fn open_patiently(path: &Path) -> Result<Segment, LogError> {
    let mut tries = 0;
    loop {
        match Segment::open_for_reading(path) {
            Ok(segment) => return Ok(segment),
            Err(error) if !path.exists() || tries == TRIES => return Err(error),
            Err(
                error
                @ (LogError::NotASegment { .. } | LogError::Newer { .. } | LogError::NoLog(_)),
            ) => return Err(error),
            Err(error) if error.is_absent() && tries > 3 => return Err(error),
            Err(_) => {}
        }
        tries += 1;
        thread::sleep(PAUSE);
    }
}

/// A row beside its content.
pub(crate) struct StoredRow {
    pub(crate) id: u64,
    pub(crate) time: i64,
    pub(crate) computer: String,
    pub(crate) process: u32,
    pub(crate) peer: Option<Vec<u8>>,
    pub(crate) hash: Hash,
}

/// Computers and processes of a segment, by number.
#[derive(Default)]
pub(crate) struct Origins(HashMap<i64, (String, u32)>);

impl Origins {
    pub(crate) fn get(
        &mut self,
        connection: &rusqlite::Connection,
        id: i64,
    ) -> rusqlite::Result<(String, u32)> {
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let origin: Option<(String, u32)> = connection
            .prepare_cached("SELECT computer, process FROM origin WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // One that is missing makes a record that does not verify, not a log that cannot be read.
        let origin = origin.unwrap_or_default();
        self.0.insert(id, origin.clone());
        Ok(origin)
    }
}

/// Columns of a row, in the order that [`read_row`] takes them.
pub(crate) const COLUMNS: &str = "id, time, event, origin, peer, body, hash";

/// A row with its content; no content when the stored bytes are not a record.
pub(crate) fn read_row(
    row: &Row<'_>,
    connection: &rusqlite::Connection,
    origins: &mut Origins,
    codec: &mut crate::encoding::Codec,
) -> rusqlite::Result<(StoredRow, Option<Record>)> {
    let (computer, process) = origins.get(connection, row.get(3)?)?;
    let stored = StoredRow {
        id: natural(row, 0)?,
        time: row.get(1)?,
        computer,
        process,
        peer: row.get(4)?,
        hash: hash(row, 6)?,
    };
    let event: u16 = row.get(2)?;
    let record = codec.load(event, row.get_ref(5)?.as_blob()?);
    Ok((stored, record))
}

impl StoredRow {
    pub(crate) fn with(self, record: Record) -> StoredRecord {
        StoredRecord {
            record_id: self.id,
            time: self.time,
            computer: self.computer,
            process_id: self.process,
            record,
        }
    }
}

/// All segments, each open and standing still: what is rotated away meanwhile stays readable here.
pub(crate) struct Snapshot {
    /// Oldest first; those below the floor are left out.
    pub(crate) segments: Vec<(Segment, State)>,
    pub(crate) floor: (u64, Hash),
    pub(crate) complete: bool,
    /// The newest that is there has a successor that is not.
    pub(crate) newest_removed: bool,
}

impl Snapshot {
    pub(crate) fn take(place: &Path) -> Result<Snapshot, LogError> {
        if place.is_file() {
            let segment = open_patiently(place)?;
            let floor = (segment.header.first.saturating_sub(1), segment.header.seed);
            let state = segment.state()?;
            return Ok(Snapshot {
                segments: vec![(segment, state)],
                floor,
                complete: true,
                newest_removed: false,
            });
        }
        let mut tries = 0;
        loop {
            let numbers = segment_numbers(place)?;
            let taken = Snapshot::of(place, &numbers);
            // When segments came or went meanwhile, what was taken may have a hole.
            let same = segment_numbers(place)? == numbers;
            match taken {
                Ok(snapshot) if same => return Ok(snapshot),
                Err(error) if same || tries == TRIES => return Err(error),
                Ok(_) | Err(_) if tries == TRIES => {
                    return Err(LogError::NoLog(place.to_owned()));
                }
                Ok(_) | Err(_) => {}
            }
            tries += 1;
            thread::sleep(PAUSE);
        }
    }

    fn of(place: &Path, numbers: &[u64]) -> Result<Snapshot, LogError> {
        let mut segments = Vec::new();
        let mut complete = true;
        for number in numbers {
            let path = segment_path(place, *number);
            let opened = open_patiently(&path).and_then(|segment| {
                let segment = segment.numbered(*number)?;
                // Until the connection closes, it sees what is there now.
                segment
                    .connection
                    .execute_batch("BEGIN")
                    .map_err(LogError::database(&path))?;
                let state = segment.state()?;
                Ok((segment, state))
            });
            match opened {
                Ok(opened) => segments.push(opened),
                // The active one may be for the writer alone.
                Err(error)
                    if error.is_absent() && path.exists() && Some(number) == numbers.last() =>
                {
                    complete = false;
                }
                Err(error) => return Err(error),
            }
        }
        let Some((newest, state)) = segments.last() else {
            return Err(LogError::NoLog(place.to_owned()));
        };
        // In one and the same transaction with the rest: while it lasts, the writer closes no segment, and one that it
        // had closed before has a successor in the directory, which the caller looks at once more.
        let newest_removed = complete && newest.is_sealed()?;
        // Segments that are being removed or archived no longer count.
        let floor = (state.floor, state.floor_hash);
        let newest = newest.header.number;
        segments.retain(|(segment, state)| segment.header.number == newest || state.head > floor.0);
        Ok(Snapshot {
            segments,
            floor,
            complete,
            newest_removed,
        })
    }

    pub(crate) fn newest(&self) -> &Segment {
        &self.segments[self.segments.len() - 1].0
    }

    pub(crate) fn newest_state(&self) -> &State {
        &self.segments[self.segments.len() - 1].1
    }

    /// Bytes on disk.
    fn size(&self) -> u64 {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        self.segments
            .iter()
            .map(|(segment, _)| {
                let [wal, _] = crate::directory::companions(&segment.path);
                bytes(&segment.path) + bytes(&wal)
            })
            .sum()
    }

    /// Every record, oldest first.
    pub(crate) fn for_each(
        &mut self,
        mut f: impl FnMut(&StoredRow, &Record) -> rusqlite::Result<()>,
    ) -> Result<(), LogError> {
        for (segment, _) in &mut self.segments {
            let path = &segment.path;
            let mut origins = Origins::default();
            let mut walk = || -> rusqlite::Result<Option<u64>> {
                let sql = format!("SELECT {COLUMNS} FROM record ORDER BY id");
                let mut statement = segment.connection.prepare(&sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let (stored, record) =
                        read_row(row, &segment.connection, &mut origins, &mut segment.codec)?;
                    let Some(record) = record else {
                        return Ok(Some(stored.id));
                    };
                    f(&stored, &record)?;
                }
                Ok(None)
            };
            if let Some(id) = walk().map_err(LogError::database(path))? {
                return Err(LogError::NotASegment {
                    path: path.clone(),
                    what: format!("record {id} cannot be read"),
                });
            }
        }
        Ok(())
    }
}
