//! Segments in time: the next one, the closing of the last one, and what goes when there is no room.

use std::fs;
use std::path::{Path, PathBuf};

use audit::{Event, Extra, Record, Subject};

use crate::directory::{self, ARCHIVE_PREFIX, segment_path};
use crate::encoding::{Hash, Stamp, hex};
use crate::segment::{self, Header, Segment};
use crate::tables::{self, put_record};
use crate::writer::now;
use crate::{LogError, Writer, export};

/// Least size of a log in bytes: below it, what a segment costs by itself would be most of it.
pub const MIN_SIZE: u64 = 1024 * 1024;
/// Segments that a log is divided into: the part that goes at once when it is full. A ninth part is
/// left for the active segment's write-ahead log and for the overshoot of the last batch.
const SHARES: u64 = 9;
/// Most bytes of write-ahead log before it is moved into the segment: what one append may have to
/// move, and so what it may be delayed by (some milliseconds).
const MAX_JOURNAL: u64 = 1024 * 1024;

/// What happens when the log has reached its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retention {
    /// The oldest segment is removed.
    Overwrite,
    /// The oldest segment is renamed to `Archive-Security-<time>.db`, and 1105 says so.
    Archive,
    /// Records are refused, after one 1104.
    Stop,
}

impl Retention {
    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Retention::Overwrite => "overwrite",
            Retention::Archive => "archive",
            Retention::Stop => "stop",
        }
    }

    /// The retention of this name.
    pub fn from_name(name: &str) -> Option<Retention> {
        [Retention::Overwrite, Retention::Archive, Retention::Stop]
            .into_iter()
            .find(|retention| retention.name() == name)
    }
}

/// A segment before the active one, as the writer remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    number: u64,
    path: PathBuf,
    last: u64,
    last_hash: Hash,
    bytes: u64,
    /// One file, read-only, for good.
    sealed: bool,
}

impl Closed {
    pub(crate) fn look_at(directory: &Path, number: u64) -> Result<Closed, LogError> {
        let path = segment_path(directory, number);
        let segment = Segment::open_for_reading(&path)?.numbered(number)?;
        Closed::of(&segment, segment::is_closed(&path)?)
    }

    fn of(segment: &Segment, sealed: bool) -> Result<Closed, LogError> {
        let state = segment.state()?;
        Ok(Closed {
            number: segment.header.number,
            path: segment.path.clone(),
            last: state.head,
            last_hash: state.head_hash,
            bytes: segment.bytes()?,
            sealed,
        })
    }
}

/// What the next segment begins with.
#[derive(Default)]
struct Next {
    /// A floor that rises with it.
    floor: Option<(u64, Hash)>,
    /// Segments that go to an archive, and where.
    archives: Vec<(u64, String)>,
    /// The records that say so.
    records: Vec<Record>,
}

impl Writer {
    fn max_size(&self) -> u64 {
        self.options.max_size.max(MIN_SIZE)
    }

    /// Bytes at which a segment is closed.
    fn segment_size(&self) -> u64 {
        self.max_size() / SHARES
    }

    pub(crate) fn journal_size(&self) -> u64 {
        (self.segment_size() / 4).min(MAX_JOURNAL)
    }

    /// Sees to it that a record can be appended: opens the next segment when the active one has its
    /// size, and lets the oldest go when there is no room for one more.
    pub(crate) fn make_room(&mut self) -> Result<(), LogError> {
        if self.untidy {
            // What cannot be tidied now (a reader holds it) waits; events do not.
            let _ = self.tidy();
        }
        let (size, full) = (self.segment_size(), self.state.full);
        let active = self.ensure_active()?;
        if !full && active.has_room() {
            return Ok(());
        }
        let bytes = active.bytes()?;
        if bytes < size && !full {
            active.measured(size - bytes);
            return Ok(());
        }
        let floor = self.state.floor;
        let kept: Vec<Closed> = self
            .closed
            .iter()
            .filter(|closed| closed.last > floor)
            .cloned()
            .collect();
        // The next segment is as large as this one may be, at least.
        let mut total = kept.iter().fold(
            bytes.saturating_add(self.segment_size()),
            |total, closed| total.saturating_add(closed.bytes),
        );
        let mut gone = Vec::new();
        let budget = self.max_size() - self.segment_size();
        for closed in kept {
            if total <= budget {
                break;
            }
            total = total.saturating_sub(closed.bytes);
            gone.push(closed);
        }
        let mut next = Next::default();
        match self.options.retention {
            Retention::Stop if !gone.is_empty() || total > budget => {
                return Err(self.refuse());
            }
            Retention::Archive => self.archive(&gone, &mut next)?,
            Retention::Overwrite | Retention::Stop => {}
        }
        next.floor = gone.last().map(|closed| (closed.last, closed.last_hash));
        self.next_segment(next)?;
        Ok(())
    }

    /// The log is full: 1104 once, then nothing.
    fn refuse(&mut self) -> LogError {
        if self.state.full {
            return LogError::Full;
        }
        let computer = self.options.computer.clone();
        let process = self.options.process_id;
        let written = self.commit(|transaction, state, codec| {
            state.full = true;
            let stamp = Stamp {
                id: state.head + 1,
                time: now(),
                computer: &computer,
                process,
            };
            let record = Event::LogFull.into_record(None, Extra::default());
            put_record(transaction, codec, state, &stamp, &record)
        });
        written.err().unwrap_or(LogError::Full)
    }

    /// Names the archives of segments that go, and writes their 1105.
    fn archive(&self, gone: &[Closed], next: &mut Next) -> Result<(), LogError> {
        for closed in gone {
            let path = self.archive_path(&next.archives)?;
            let text = path.to_string_lossy().into_owned();
            next.records
                .push(Event::LogArchived { path }.into_record(None, Extra::default()));
            next.archives.push((closed.number, text));
        }
        Ok(())
    }

    /// `Archive-Security-2026-11-23-09-00-00-123.db`, as Windows names them, and not taken yet.
    fn archive_path(&self, taken: &[(u64, String)]) -> Result<PathBuf, LogError> {
        let directory = &self.options.directory;
        // 1105 says where the archive is: in words that hold in any working directory.
        let directory = fs::canonicalize(directory).map_err(LogError::io("find", directory))?;
        let mut time = jiff::Timestamp::now();
        loop {
            let name = format!(
                "{ARCHIVE_PREFIX}{}.db",
                time.strftime("%Y-%m-%d-%H-%M-%S-%3f")
            );
            let path = directory.join(name);
            if !path.exists() && !taken.iter().any(|(_, other)| Path::new(other) == path) {
                return Ok(path);
            }
            time += jiff::SignedDuration::from_millis(1);
        }
    }

    /// Opens the next segment, with the account and everything else that the active one holds.
    fn next_segment(&mut self, next: Next) -> Result<(), LogError> {
        let mut state = self.state.clone();
        let active = self.ensure_active()?;
        let mut carried = active.carried()?;
        let closed = Closed::of(active, false)?;
        let header = Header {
            number: active.header.number + 1,
            first: state.head + 1,
            seed: state.head_hash,
        };
        carried.archives.extend(next.archives);
        if let Some((floor, hash)) = next.floor {
            state.floor = floor;
            state.floor_hash = hash;
        }
        state.full = false;
        let time = now();
        let records: Vec<(Stamp<'_>, Record)> = (header.first..)
            .zip(next.records)
            .map(|(id, record)| {
                let stamp = Stamp {
                    id,
                    time,
                    computer: &self.options.computer,
                    process: self.options.process_id,
                };
                (stamp, record)
            })
            .collect();
        // From here until it is open, an error leaves it to the disk which segment is the newest.
        self.active = None;
        self.untidy = true;
        let state = self.publish(&header, state, &carried, &records)?;
        let path = segment_path(&self.options.directory, header.number);
        self.active = Some(Segment::open_for_writing(&path, self.journal_size())?);
        self.state = state;
        self.closed.push(closed);
        Ok(())
    }

    /// Does what rotation left to do, and a crash or a reader may have put off: closes segments for
    /// good, renames those that go to an archive, removes those below the floor. The log is whole
    /// before and after; call it when there is time.
    ///
    /// # Errors
    /// What the disk said; it is tried again with the next append.
    pub fn tidy(&mut self) -> Result<(), LogError> {
        if !self.untidy {
            return Ok(());
        }
        let floor = self.state.floor;
        let active = self.ensure_active()?;
        let archives = active
            .archives()
            .map_err(LogError::database(&active.path))?;
        let on_its_way = |number| archives.iter().any(|(other, _)| *other == number);
        // First what makes room: the rest may need some.
        let mut removed = false;
        for closed in &self.closed {
            if closed.last <= floor && !on_its_way(closed.number) {
                directory::remove_segment(&closed.path)?;
                removed = true;
            }
        }
        self.closed
            .retain(|closed| closed.last > floor || on_its_way(closed.number));
        if removed {
            directory::sync(&self.options.directory)?;
        }
        for closed in &mut self.closed {
            if !closed.sealed {
                closed.sealed = segment::close(&closed.path)?;
            }
        }
        for (number, path) in &archives {
            self.finish_archive(*number, Path::new(path))?;
        }
        self.untidy = self
            .closed
            .iter()
            .any(|closed| !closed.sealed || closed.last <= floor);
        Ok(())
    }

    /// Renames a segment to its archive, unless a crash came after the renaming, and forgets it.
    fn finish_archive(&mut self, number: u64, path: &Path) -> Result<(), LogError> {
        let source = segment_path(&self.options.directory, number);
        let there = source.exists();
        if there {
            // With a reader on it, some of it may still stand in its write-ahead log.
            if !segment::is_closed(&source)? {
                return Ok(());
            }
            fs::rename(&source, path).map_err(LogError::io("archive to", path))?;
            directory::sync(&self.options.directory)?;
        }
        self.closed.retain(|closed| closed.number != number);
        self.commit(|transaction, _, _| {
            transaction
                .prepare_cached("DELETE FROM archive WHERE number = ?1")?
                .execute([tables::integer(number)])?;
            Ok(())
        })
    }

    /// Clears the log: everything goes, and the next record is the 1102 that says who did it and
    /// names the head of what was cleared in `Extra.PreviousHead`. IDs go on, and so does the chain: the 1102 holds the old
    /// head's hash as every record holds the one before it.
    ///
    /// With a `backup`, all records are first copied to that file, which [`crate::Reader::open`] reads
    /// and verifies like the log.
    ///
    /// # Errors
    /// [`LogError::BackupExists`], [`LogError::BackupIsOwn`], or what the disk said; then nothing was cleared.
    pub fn clear(&mut self, subject: Subject, backup: Option<&Path>) -> Result<(), LogError> {
        // A full disk may be why it is cleared.
        self.with_reserve(|writer| writer.ensure_active().map(drop))?;
        if let Some(backup) = backup {
            export::backup(&self.options.directory, backup)?;
        }
        // Archives on their way are not part of what is cleared.
        self.with_reserve(Writer::tidy)?;
        let (head, hash) = self.head();
        let mut record = Event::LogCleared { subject }.into_record(None, Extra::default());
        record.extra.get_or_insert_default().previous_head = Some(format!("{head}:{}", hex(&hash)));
        self.with_reserve(|writer| {
            writer.ensure_active()?;
            if writer.head() != (head, hash) {
                // It was cleared, and there was no space only to open what it begins with.
                return Ok(());
            }
            writer.next_segment(Next {
                floor: Some((head, hash)),
                archives: Vec::new(),
                records: vec![record.clone()],
            })
        })?;
        self.tidy()
    }
}
