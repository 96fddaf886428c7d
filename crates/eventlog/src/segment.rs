//! One segment: a database that holds a run of records, and, while it is the newest, the account.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::Record;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::directory::{companions, identity};
use crate::encoding::{Codec, Hash, Stamp};
use crate::numbers::Numbers;
use crate::schema::{LAYOUT, LIVE_IPSEC, QUICK_MODE_COUNTERS, SCHEMA, WITHOUT_QUICK_MODE};
use crate::tables::{
    hash, integer, live, live_ipsec, natural, put_live, put_live_ipsec, put_record, put_setting,
    put_state, read_state,
};
use crate::writer::{NEXT_QMSA, UNTOLD};
use crate::{Counters, LiveIpsecSa, LiveSa, LogError, dictionary};

/// `application_id` of a segment: `MMlg`.
const APPLICATION: i64 = 0x4d4d_6c67;
const ACTIVE_MODE: u32 = 0o640;
const CLOSED_MODE: u32 = 0o440;
/// How long a reader waits while the writer changes a segment's journal.
const READER_PATIENCE: Duration = Duration::from_secs(2);
/// Statements that stay prepared: all that a writer uses.
const STATEMENTS: usize = 32;
/// Pages of the active segment that the writer keeps in memory, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// `setting`: [`Segment::birth`].
const BIRTH: &str = "birth";
/// [`Header::number`] of a backup, which is none of a log's segments: those count from 1.
pub(crate) const EXPORT: u64 = 0;

/// What never changes in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// Its place among the segments.
    pub(crate) number: u64,
    /// The ID of its first record.
    pub(crate) first: u64,
    /// The hash that the first record's hash goes on from.
    pub(crate) seed: Hash,
}

/// What every transaction brings up to date, in one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// ID and hash of the last record.
    pub(crate) head: u64,
    pub(crate) head_hash: Hash,
    /// ID and hash of the last record that is no longer in the log.
    pub(crate) floor: u64,
    pub(crate) floor_hash: Hash,
    /// The least and the greatest time in this segment: clocks may go back.
    pub(crate) times: Option<(i64, i64)>,
    /// The numbers of SAs that come next.
    pub(crate) next: Numbers,
    /// 1104 has been written, and since then there was no room.
    pub(crate) full: bool,
    pub(crate) counters: Counters,
}

impl State {
    /// Takes in the time of a record.
    pub(crate) fn note(&mut self, time: i64) {
        self.times = Some(widened(self.times, time));
    }
}

/// The least and the greatest of these times and one more.
pub(crate) fn widened(times: Option<(i64, i64)>, time: i64) -> (i64, i64) {
    times.map_or((time, time), |(oldest, newest)| {
        (oldest.min(time), newest.max(time))
    })
}

/// What moves from the active segment to the next one, beside [`State`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) live: Vec<LiveSa>,
    pub(crate) live_ipsec: Vec<LiveIpsecSa>,
    pub(crate) filters: Vec<(String, u64)>,
    pub(crate) settings: Vec<(String, String)>,
    /// Segments that are being archived, by number, and where to.
    pub(crate) archives: Vec<(u64, String)>,
}

/// A segment's own file and its write-ahead log.
fn files(path: &Path) -> [PathBuf; 2] {
    let [wal, _] = companions(path);
    [path.to_owned(), wal]
}

/// An open segment.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    pub(crate) header: Header,
    pub(crate) codec: Codec,
    pub(crate) layout: i64,
    /// How many bytes of write-ahead log it was opened for.
    pub(crate) journal: u64,
    /// Which files of the disk it and its write-ahead log are.
    identities: [Option<(u64, u64)>; 2],
    /// How many bytes it had when it was made: what it took over, and its tables. 0 where that is not known.
    pub(crate) birth: u64,
    /// Up to how many bytes of stored records the size need not be looked at again.
    pub(crate) room: u64,
}

impl Segment {
    /// Makes a segment with what it takes over and its first records, whole and durable when this
    /// returns. Gives the state after those records.
    pub(crate) fn create(
        path: &Path,
        page_size: u64,
        header: &Header,
        state: State,
        carried: &Carried,
        records: &[(Stamp<'_>, Record)],
    ) -> Result<State, LogError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(ACTIVE_MODE)
            .open(path)
            .map_err(LogError::io("create", path))?;
        let db = LogError::database;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection
            .pragma_update(None, "page_size", integer(page_size))
            .map_err(db(path))?;
        let mut codec = Codec::writing(dictionary::BUILT_IN)
            .map_err(LogError::io("prepare compression for", path))?;
        let state =
            fill(&mut connection, &mut codec, header, state, carried, records).map_err(db(path))?;
        // The journal's mode is a property of the file. The switch is durable when the last
        // connection closes.
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(db(path))?;
        connection
            .close()
            .map_err(|(_, error)| LogError::database(path)(error))?;
        Ok(state)
    }

    /// Opens the active segment for writing, with its write-ahead log no longer than about `journal`
    /// bytes.
    pub(crate) fn open_for_writing(path: &Path, journal: u64) -> Result<Segment, LogError> {
        let mut segment = Segment::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, Codec::writing)?;
        segment.upgrade().map_err(LogError::database(path))?;
        let pages =
            integer(journal / page_size(&segment.connection).map_err(LogError::database(path))?);
        for (name, value) in [
            ("synchronous", "FULL".to_owned()),
            ("wal_autocheckpoint", pages.max(1).to_string()),
            ("journal_size_limit", integer(journal).to_string()),
            ("cache_size", (-CACHE_KIB).to_string()),
        ] {
            segment
                .connection
                .pragma_update(None, name, value)
                .map_err(LogError::database(path))?;
        }
        segment.journal = journal;
        let birth = segment.setting(BIRTH)?;
        segment.birth = birth.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok(segment)
    }

    /// Opens any segment for reading.
    pub(crate) fn open_for_reading(path: &Path) -> Result<Segment, LogError> {
        let segment = Segment::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, Codec::reading)?;
        Ok(segment)
    }

    fn open(
        path: &Path,
        flags: OpenFlags,
        codec: fn(&[u8]) -> std::io::Result<Codec>,
    ) -> Result<Segment, LogError> {
        let db = LogError::database;
        let connection = connect(path, flags)?;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application = number("application_id").map_err(db(path))?;
        let layout = number("user_version").map_err(db(path))?;
        if application == APPLICATION && layout > LAYOUT {
            return Err(LogError::Newer {
                path: path.to_owned(),
                layout,
            });
        }
        let known = [WITHOUT_QUICK_MODE, LAYOUT].contains(&layout);
        if application != APPLICATION || !known {
            return Err(LogError::NotASegment {
                path: path.to_owned(),
                what: format!("application_id {application:#x}, layout {layout}"),
            });
        }
        let (header, dictionary) = connection
            .query_row(
                "SELECT number, first, seed, dictionary FROM segment",
                [],
                |row| {
                    let header = Header {
                        number: natural(row, 0)?,
                        first: natural(row, 1)?,
                        seed: hash(row, 2)?,
                    };
                    Ok((header, row.get::<_, Vec<u8>>(3)?))
                },
            )
            .map_err(db(path))?;
        let codec = codec(&dictionary).map_err(LogError::io("prepare compression for", path))?;
        Ok(Segment {
            path: path.to_owned(),
            connection,
            header,
            codec,
            layout,
            journal: 0,
            // It was read from: the write-ahead log is there. The engine keeps that one file, whatever is moved out of it,
            // until the last connection closes.
            identities: files(path).map(|file| identity(&file)),
            birth: 0,
            room: 0,
        })
    }

    /// Itself, if its header has the number that its name has: the name alone decides which segment is the newest.
    pub(crate) fn numbered(self, number: u64) -> Result<Segment, LogError> {
        let found = self.header.number;
        if found == number {
            return Ok(self);
        }
        let is = match found {
            EXPORT => "a backup".to_owned(),
            found => format!("segment {found} by what is in it"),
        };
        Err(LogError::NotASegment {
            path: self.path,
            what: format!("it is {is}; move it out of the log's folder"),
        })
    }

    /// True when it was closed for good, and so has a successor: a segment gets its name with a write-ahead log,
    /// and gives that up only in [`close`]. Whether it is read-only says less: a copy may be, or not be.
    pub(crate) fn is_sealed(&self) -> Result<bool, LogError> {
        self.connection
            .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
            .map(|mode| !mode.eq_ignore_ascii_case("wal"))
            .map_err(LogError::database(&self.path))
    }

    /// Moves what the write-ahead log holds into the segment, as far as no reader needs it there.
    pub(crate) fn checkpoint(&mut self) -> Result<(), LogError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .map_err(LogError::database(&self.path))
    }

    /// Its file, or its write-ahead log, once that was removed or another took its place: what is written then goes nowhere.
    pub(crate) fn missing(&self) -> Option<PathBuf> {
        files(&self.path)
            .into_iter()
            .zip(self.identities)
            .find(|(file, was)| identity(file) != *was)
            .map(|(file, _)| file)
    }

    /// Moves all that the write-ahead log holds into the segment, whether that log still has a name or not. False while a
    /// reader needs some of it there.
    pub(crate) fn save(&self) -> bool {
        let save = || -> rusqlite::Result<bool> {
            // Whoever reads it is not waited for: events are.
            self.connection.busy_timeout(Duration::ZERO)?;
            let saved = self
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    row.get::<_, i64>(0)
                });
            self.connection.busy_timeout(READER_PATIENCE)?;
            Ok(saved? == 0)
        };
        save().unwrap_or(false)
    }

    /// Takes a segment of the layout before to the one of now, whole or not at all.
    fn upgrade(&mut self) -> rusqlite::Result<()> {
        if self.layout == LAYOUT {
            return Ok(());
        }
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(QUICK_MODE_COUNTERS)?;
        transaction.execute_batch(LIVE_IPSEC)?;
        transaction.pragma_update(None, "user_version", LAYOUT)?;
        transaction.commit()?;
        self.layout = LAYOUT;
        Ok(())
    }

    /// The state row.
    pub(crate) fn state(&self) -> Result<State, LogError> {
        let quick_mode = match self.layout {
            WITHOUT_QUICK_MODE => "0, 0, 0, 0, 0",
            _ => {
                "quick_negotiations, quick_established, quick_failed, quick_interrupted, quick_ended"
            }
        };
        let mut state = self
            .connection
            .prepare_cached(&format!(
                "SELECT head, head_hash, floor, floor_hash, oldest_time, newest_time, next_mmsa, full,
                   negotiations, established, failed, superseded, interrupted, ended, held_back,
                   {quick_mode}
                 FROM state",
            ))
            .and_then(|mut row| row.query_row([], read_state))
            .map_err(LogError::database(&self.path))?;
        let untold = self.setting(UNTOLD)?;
        state.counters.untold = untold.and_then(|events| events.parse().ok()).unwrap_or(0);
        let next_qmsa = self.setting(NEXT_QMSA)?;
        state.next.qmsa = next_qmsa
            .and_then(|id| id.parse().ok())
            .unwrap_or(Numbers::FIRST.qmsa);
        Ok(state)
    }

    /// What the next segment would take over.
    pub(crate) fn carried(&self) -> Result<Carried, LogError> {
        self.try_carried().map_err(LogError::database(&self.path))
    }

    fn try_carried(&self) -> rusqlite::Result<Carried> {
        let all = |sql: &str| self.connection.prepare(sql);
        Ok(Carried {
            live: live(&self.connection)?,
            live_ipsec: match self.layout {
                WITHOUT_QUICK_MODE => Vec::new(),
                _ => live_ipsec(&self.connection)?,
            },
            filters: all("SELECT connection, id FROM filter")?
                .query_map([], |row| Ok((row.get(0)?, natural(row, 1)?)))?
                .collect::<Result<_, _>>()?,
            settings: all("SELECT name, value FROM setting")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?,
            archives: self.archives()?,
        })
    }

    /// Segments that are being archived.
    pub(crate) fn archives(&self) -> rusqlite::Result<Vec<(u64, String)>> {
        self.connection
            .prepare_cached("SELECT number, path FROM archive ORDER BY number")?
            .query_map([], |row| Ok((natural(row, 0)?, row.get(1)?)))?
            .collect()
    }

    /// A setting, when it was ever set.
    pub(crate) fn setting(&self, name: &str) -> Result<Option<String>, LogError> {
        self.connection
            .prepare_cached("SELECT value FROM setting WHERE name = ?1")
            .and_then(|mut row| row.query_row([name], |row| row.get(0)).optional())
            .map_err(LogError::database(&self.path))
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LogError> {
    // No URI: a path is a path. No mutex: a connection belongs to one thread at a time.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(LogError::database(path))?;
    let setup = || {
        connection.busy_timeout(READER_PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "trusted_schema", "OFF")
    };
    setup().map_err(LogError::database(path))?;
    Ok(connection)
}

pub(crate) fn page_size(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("PRAGMA page_size")?
        .query_row([], |row| natural(row, 0))
        .map(|size| size.max(1))
}

/// Everything that a new segment holds, in one transaction.
fn fill(
    connection: &mut Connection,
    codec: &mut Codec,
    header: &Header,
    mut state: State,
    carried: &Carried,
    records: &[(Stamp<'_>, Record)],
) -> rusqlite::Result<State> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(LIVE_IPSEC)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.execute(
        "INSERT INTO segment (one, number, first, seed, dictionary) VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            integer(header.number),
            integer(header.first),
            header.seed,
            dictionary::BUILT_IN
        ],
    )?;
    for sa in &carried.live {
        put_live(&transaction, sa)?;
    }
    for sa in &carried.live_ipsec {
        put_live_ipsec(&transaction, sa)?;
    }
    for (connection, id) in &carried.filters {
        transaction
            .prepare_cached("INSERT INTO filter (connection, id) VALUES (?1, ?2)")?
            .execute(params![connection, integer(*id)])?;
    }
    for (name, value) in &carried.settings {
        put_setting(&transaction, name, value)?;
    }
    for (number, path) in &carried.archives {
        transaction
            .prepare_cached("INSERT INTO archive (number, path) VALUES (?1, ?2)")?
            .execute(params![integer(*number), path])?;
    }
    let pages = transaction.query_row("PRAGMA page_count", [], |row| natural(row, 0))?;
    let birth = pages.saturating_mul(page_size(&transaction)?);
    put_setting(&transaction, BIRTH, &birth.to_string())?;
    state.times = None;
    for (stamp, record) in records {
        put_record(&transaction, codec, &mut state, stamp, record)?;
    }
    put_state(&transaction, &state)?;
    transaction.commit()?;
    Ok(state)
}

/// True when a segment is closed for good: one file, read-only.
pub(crate) fn is_closed(path: &Path) -> Result<bool, LogError> {
    let mode = fs::metadata(path)
        .map_err(LogError::io("look at", path))?
        .permissions()
        .mode();
    Ok(mode & 0o222 == 0)
}

/// Closes a segment for good: moves everything into the one file, and makes it read-only. False when
/// a reader holds it open, so that it has to be tried again later.
pub(crate) fn close(path: &Path) -> Result<bool, LogError> {
    if is_closed(path)? {
        return Ok(true);
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let switch = || -> rusqlite::Result<String> {
        // Whoever reads it is not waited for: events are.
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        // Out of the write-ahead mode. What that changes are some bytes of the file's first sector;
        // a rollback journal for them, left by a crash, would keep readers out.
        connection.query_row("PRAGMA journal_mode = MEMORY", [], |row| row.get(0))
    };
    match switch() {
        Ok(mode) if mode == "memory" => {}
        Ok(_) => return Ok(false),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(LogError::database(path)(error)),
    }
    connection
        .close()
        .map_err(|(_, error)| LogError::database(path)(error))?;
    fs::set_permissions(path, Permissions::from_mode(CLOSED_MODE))
        .map_err(LogError::io("make read-only", path))?;
    Ok(true)
}
