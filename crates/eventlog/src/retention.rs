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
/// The least part of the log, as such a number, that is written into a segment before it is closed. What it began with
/// does not count: else many live SAs would fill each segment at once, and whoever has them made would push all
/// history out. Less than a share, so that those who have few lose nothing to this.
const LEAST_SHARES: u64 = 12;
/// Below this size of the log, what a segment costs by itself is worth saving: its pages are [`SMALL_PAGE`] then. Above it
/// pages of the engine's usual size are quicker.
const SMALL_LOG: u64 = 8 * 1024 * 1024;
const SMALL_PAGE: u64 = 1024;
pub(crate) const PAGE: u64 = 4096;
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

    /// Bytes at which a segment is closed that carries little.
    fn segment_size(&self) -> u64 {
        self.max_size() / SHARES
    }

    /// Bytes at which a segment is closed that began with so many.
    fn closing_size(&self, birth: u64) -> u64 {
        let least = self.max_size() / LEAST_SHARES;
        self.segment_size().max(birth.saturating_add(least))
    }

    pub(crate) fn page_size(&self) -> u64 {
        if self.max_size() < SMALL_LOG {
            SMALL_PAGE
        } else {
            PAGE
        }
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
        let full = self.state.full;
        let page = self.page_size();
        let active = self.ensure_active()?;
        if !full && active.has_room() {
            return Ok(());
        }
        let (bytes, birth) = (active.bytes()?, active.birth);
        let size = self.closing_size(birth);
        if bytes < size && !full {
            self.ensure_active()?.measured(size - bytes);
            return Ok(());
        }
        let floor = self.state.floor;
        let kept: Vec<Closed> = self
            .closed
            .iter()
            .filter(|closed| closed.last > floor)
            .cloned()
            .collect();
        let now = kept
            .iter()
            .fold(bytes, |total, closed| total.saturating_add(closed.bytes));
        // The next segment begins with what this one would hand on now. Where records are refused, nobody waits for
        // that to be added up: it is about what this one began with.
        let next_birth = if full {
            birth
        } else {
            self.ensure_active()?.birth_of_next(page)?
        };
        let mut total = now.saturating_add(self.closing_size(next_birth));
        let mut gone = Vec::new();
        let budget = self.max_size() - self.segment_size();
        // This one stays, however much the next one carries: it has what was written last.
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
                if now >= budget {
                    return Err(self.refuse());
                }
                // Too little for another segment, and not for more in this one.
                self.state.full = false;
                self.ensure_active()?.measured(budget - now);
                return Ok(());
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

#[cfg(test)]
mod tests {
    use audit::{ActivityId, KeyMod};

    use super::*;
    use crate::tables::put_live;
    use crate::{LiveSa, Options};

    #[test]
    fn what_the_next_segment_begins_with_is_known_before_it_is_made() {
        for (max_size, count) in [(MIN_SIZE, 0), (MIN_SIZE, 3_000), (SMALL_LOG, 20_000)] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options {
                directory: dir.path().to_owned(),
                max_size,
                retention: Retention::Overwrite,
                computer: "gw".to_owned(),
                process_id: 1,
            };
            let (mut writer, _) = Writer::open(options).unwrap();
            writer
                .commit(|transaction, _, _| {
                    for mmsa_id in 1..=count {
                        let sa = LiveSa {
                            mmsa_id,
                            local: [192, 0, 2, 1].into(),
                            remote: [198, 51, 100, 7].into(),
                            key_mod: KeyMod::IkeV1,
                            activity: ActivityId([7; 16]),
                            connection: Some("branch".to_owned()),
                        };
                        put_live(transaction, &sa)?;
                    }
                    Ok(())
                })
                .unwrap();
            let page = writer.page_size();
            let thought = writer.ensure_active().unwrap().birth_of_next(page).unwrap();
            writer.next_segment(Next::default()).unwrap();
            let birth = writer.ensure_active().unwrap().birth;
            assert!(
                thought.abs_diff(birth) < birth / 10,
                "{max_size}, {count}: {thought} thought, {birth} there"
            );
        }
    }
}
