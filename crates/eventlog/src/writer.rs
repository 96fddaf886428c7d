//! The one writer of a log: appends, keeps the account, and finishes at the start what a crash left
//! undone.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use audit::{Event, Extra, Policy, Record};
use rusqlite::{Connection, params};

use crate::account::{AccountChange, Counters, Entry, LiveIpsecSa, LiveSa, Pending, Recovery};
use crate::directory::{self, Lock, UNFINISHED, segment_numbers, segment_path};
use crate::encoding::{Codec, Hash, Stamp, check_size};
use crate::numbers::Numbers;
use crate::reserve::Reserve;
use crate::retention::Closed;
use crate::segment::{Carried, Header, Segment, State};
use crate::tables::{
    self, integer, natural, put_live, put_live_ipsec, put_record, put_setting, put_state,
    remove_live, remove_live_ipsec,
};
use crate::{LogError, Retention};

/// `setting`: the operator's audit policy, as auditpol's CSV.
const POLICY: &str = "audit policy";
/// `setting`: the audit policy that was in force last, in the same form.
const POLICY_IN_FORCE: &str = "audit policy in force";
/// `setting`: what `log info` shows of the configuration that the log was last written with.
pub(crate) const RETENTION: &str = "retention";
pub(crate) const MAX_SIZE: &str = "max-size";
/// `setting`: [`Numbers::qmsa`] of [`State::next`].
pub(crate) const NEXT_QMSA: &str = "next-qmsa";
/// `setting`: [`Counters::untold`].
pub(crate) const UNTOLD: &str = "untold";
/// `setting`: somebody took the newest segment away, and no start has told it yet.
const NEWEST_REMOVED: &str = "newest-removed";
/// How far the numbers of SAs are moved on when the newest segment was taken away, and with it how far they had
/// come. A thousand SAs a second take 34 years for as many, and there is room for eight million such moves.
pub const SKIPPED_SAS: u64 = 1 << 40;

/// How to open a log for writing.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the log is. Made when it is absent.
    pub directory: PathBuf,
    /// Bytes that all segments together may take; at least [`crate::MIN_SIZE`] is used.
    pub max_size: u64,
    /// What happens when that is reached.
    pub retention: Retention,
    /// `Computer` of every record.
    pub computer: String,
    /// `Execution/ProcessID` of every record.
    pub process_id: u32,
}

/// What [`Writer::append`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// For each entry, in order, the record's ID; none for an entry without a record.
    pub ids: Vec<Option<u64>>,
    /// The head after it: the last record's ID and hash.
    pub head: (u64, Hash),
}

/// The log, open for writing. There is one at a time, over all processes.
pub struct Writer {
    pub(crate) options: Options,
    _lock: Lock,
    /// None after an error, until the next call has read back from the disk what is true there.
    pub(crate) active: Option<Segment>,
    pub(crate) state: State,
    /// Segments before the active one, oldest first.
    pub(crate) closed: Vec<Closed>,
    /// Something is left to do for [`Writer::tidy`].
    pub(crate) untidy: bool,
    reserve: Reserve,
    /// Behind the last numbers that this process was given, on disk or not.
    pub(crate) given: Numbers,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("options", &self.options)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Opens the log, makes it when there is none, and finishes what a crash left undone.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process writes it; else what the disk said.
    pub fn open(options: Options) -> Result<(Writer, Recovery), LogError> {
        directory::create(&options.directory)?;
        let lock = Lock::take(&options.directory)?;
        let mut writer = Writer {
            reserve: Reserve::of(&options.directory),
            options,
            _lock: lock,
            active: None,
            state: State::default(),
            closed: Vec::new(),
            untidy: true,
            given: Numbers::default(),
        };
        remove_unfinished(&writer.options.directory.join(UNFINISHED))?;
        let new_log = segment_numbers(&writer.options.directory)?.is_empty();
        if new_log {
            writer.begin()?;
        }
        writer.with_reserve(Writer::load)?;
        // A reader may hold a segment, a disk may be full: neither keeps the log from opening.
        let _ = writer.tidy();
        let recovery = writer.recover(new_log)?;
        let _ = writer.hold_reserve();
        Ok((writer, recovery))
    }

    /// The first segment of a new log.
    fn begin(&self) -> Result<(), LogError> {
        let header = Header {
            number: 1,
            first: 1,
            seed: Hash::default(),
        };
        let state = State {
            next: Numbers::FIRST,
            ..State::default()
        };
        self.publish(&header, state, &Carried::default(), &[])?;
        Ok(())
    }

    /// Makes a segment whole under another name, then gives it its own: the instant at which it, and
    /// all that it takes over, counts.
    pub(crate) fn publish(
        &self,
        header: &Header,
        state: State,
        carried: &Carried,
        records: &[(Stamp<'_>, Record)],
    ) -> Result<State, LogError> {
        let directory = &self.options.directory;
        let unfinished = directory.join(UNFINISHED);
        remove_unfinished(&unfinished)?;
        let page = self.page_size();
        let state = Segment::create(&unfinished, page, header, state, carried, records)?;
        let path = segment_path(directory, header.number);
        std::fs::rename(&unfinished, &path).map_err(LogError::io("name the new segment", &path))?;
        directory::sync(directory)?;
        Ok(state)
    }

    /// Reads back from the disk where the log stands.
    fn load(&mut self) -> Result<(), LogError> {
        let directory = &self.options.directory;
        let numbers = segment_numbers(directory)?;
        let Some((&last, earlier)) = numbers.split_last() else {
            return Err(LogError::NoLog(directory.clone()));
        };
        self.closed = earlier
            .iter()
            .map(|number| Closed::look_at(directory, *number))
            .collect::<Result<_, _>>()?;
        self.untidy = true;
        let path = segment_path(directory, last);
        let newest = Segment::open_for_reading(&path)?.numbered(last)?;
        let (known, there) = (&self.state, newest.state()?);
        // What was committed once is on the disk: where less is, it stood in a segment that is gone.
        let behind = there.head < known.head || there.next.mmsa < known.next.mmsa;
        if behind || newest.is_sealed()? {
            self.go_on_behind(last, newest)?;
            return self.load();
        }
        drop(newest);
        let active = Segment::open_for_writing(&path, self.journal_size())?;
        self.state = active.state()?;
        self.active = Some(active);
        Ok(())
    }

    /// The newest segment was taken away: a segment is closed for good only once its successor is there. The
    /// log goes on behind what is left, with a number left out among the segments, by which `verify` finds it
    /// as long as the segments on both sides are there, and with numbers of SAs that were not given yet.
    fn go_on_behind(&mut self, last: u64, left: Segment) -> Result<(), LogError> {
        let mut state = left.state()?;
        let header = Header {
            number: last + 2,
            first: state.head + 1,
            seed: state.head_hash,
        };
        state.next = state.next.or_later(self.state.next).skip(SKIPPED_SAS);
        let mut carried = left.carried()?;
        carried
            .settings
            .retain(|(name, _)| name != NEXT_QMSA && name != NEWEST_REMOVED);
        carried.settings.extend([
            (NEXT_QMSA.to_owned(), state.next.qmsa.to_string()),
            (NEWEST_REMOVED.to_owned(), state.head.to_string()),
        ]);
        drop(left);
        self.publish(&header, state, &carried, &[])?;
        // What this process knew of the log no longer holds.
        self.state = State::default();
        Ok(())
    }

    /// Balances the account after a start.
    fn recover(&mut self, new_log: bool) -> Result<Recovery, LogError> {
        let retention = self.options.retention.name();
        let max_size = self.options.max_size.to_string();
        let (orphans, ipsec_orphans) = (self.live()?, self.live_ipsec()?);
        let newest_removed = self.ensure_active()?.setting(NEWEST_REMOVED)?.is_some();
        let before = self.state.counters;
        let mut after = before;
        after.reconcile(orphans.len() as u64, ipsec_orphans.len() as u64);
        self.commit_kept(|transaction, state, _| {
            state.counters = after;
            put_setting(transaction, RETENTION, retention)?;
            put_setting(transaction, MAX_SIZE, &max_size)?;
            tables::remove_setting(transaction, NEWEST_REMOVED)
        })?;
        Ok(Recovery {
            orphans,
            ipsec_orphans,
            counters: after,
            interrupted: after.interrupted - before.interrupted,
            ended_uncounted: after.ended.saturating_sub(before.ended),
            new_log,
            newest_removed,
        })
    }

    /// Writes entries, all in one transaction: when this returns they are on disk, or none of them is.
    ///
    /// # Errors
    /// [`LogError::Full`] when records are refused by `retention = "stop"`; else what the disk said.
    /// After any error nothing of the entries counts, records and account alike, and the next call
    /// starts from what the disk holds: when there is space again, the log goes on.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Appended, LogError> {
        self.append_policy(entries, None, None)
    }

    /// [`Writer::append`] of records that say how the audit policy changes, and with them the policy: the operator's, and
    /// the one in force, where they are given. Both are on disk, or neither is.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_policy(
        &mut self,
        entries: &[Entry],
        stored: Option<&Policy>,
        in_force: Option<&Policy>,
    ) -> Result<Appended, LogError> {
        let time = now();
        let stamped: Vec<_> = entries.iter().map(|entry| (time, entry)).collect();
        let settings: Vec<(&str, String)> = [(POLICY, stored), (POLICY_IN_FORCE, in_force)]
            .into_iter()
            .filter_map(|(name, policy)| Some((name, policy?.to_csv(&self.options.computer))))
            .collect();
        self.append_all(&stamped, &Pending::default(), &settings)
    }

    /// [`Writer::append`], with the time of each entry, and with what was counted beside them. That
    /// comes last: an SA that ended without a record may have its 4650 among the entries.
    pub(crate) fn append_stamped(
        &mut self,
        entries: &[(i64, &Entry)],
        pending: &Pending,
    ) -> Result<Appended, LogError> {
        self.append_all(entries, pending, &[])
    }

    fn append_all(
        &mut self,
        entries: &[(i64, &Entry)],
        pending: &Pending,
        settings: &[(&str, String)],
    ) -> Result<Appended, LogError> {
        let records = || {
            entries
                .iter()
                .filter_map(|(_, entry)| entry.record.as_ref())
        };
        for record in records() {
            check_size(record)?;
        }
        let recorded = records().next().is_some();
        if recorded {
            self.hold_reserve()?;
            self.make_room()?;
        }
        let computer = self.options.computer.clone();
        let process = self.options.process_id;
        let mut ids = Vec::with_capacity(entries.len());
        let work = |transaction: &Connection, state: &mut State, codec: &mut Codec| {
            ids.clear();
            for (time, entry) in entries {
                let id = entry.record.as_ref().map(|_| state.head + 1);
                if let (Some(id), Some(record)) = (id, &entry.record) {
                    let stamp = Stamp {
                        id,
                        time: *time,
                        computer: &computer,
                        process,
                    };
                    put_record(transaction, codec, state, &stamp, record)?;
                }
                ids.push(id);
                for change in &entry.account {
                    state.counters.apply(change);
                    match change {
                        AccountChange::Established(Some(sa)) => put_live(transaction, sa)?,
                        AccountChange::Ended { mmsa_id } => remove_live(transaction, *mmsa_id)?,
                        AccountChange::QuickModeEstablished(Some(sa)) => {
                            put_live_ipsec(transaction, sa)?;
                        }
                        AccountChange::QuickModeEnded { qmsa_id } => {
                            remove_live_ipsec(transaction, *qmsa_id)?;
                        }
                        _ => {}
                    }
                }
            }
            for (name, value) in settings {
                put_setting(transaction, name, value)?;
            }
            state.counters.add(&pending.counted);
            for mmsa_id in &pending.ended {
                remove_live(transaction, *mmsa_id)?;
            }
            for qmsa_id in &pending.ended_ipsec {
                remove_live_ipsec(transaction, *qmsa_id)?;
            }
            Ok(())
        };
        if recorded {
            self.commit(work)?;
        } else {
            self.commit_kept(work)?;
        }
        Ok(Appended {
            ids,
            head: self.head(),
        })
    }

    /// Ends the log in good order: 1100, unless `retention = "stop"` leaves no room for it.
    ///
    /// # Errors
    /// What the disk said. The log is closed all the same.
    pub fn close(mut self) -> Result<(), LogError> {
        let entry = Entry {
            record: Some(Event::LogShutdown.into_record(None, Extra::default())),
            account: Vec::new(),
        };
        match self.append(&[entry]) {
            Ok(_) | Err(LogError::Full) => {}
            Err(error) => return Err(error),
        }
        self.tidy()
    }

    /// The `MMFilterID` of a connection's name: from 1, the same for ever.
    ///
    /// # Errors
    /// What the disk said.
    pub fn filter_id(&mut self, connection: &str) -> Result<u64, LogError> {
        let known = self.with_active(|active, _| {
            use rusqlite::OptionalExtension;
            active
                .connection
                .prepare_cached("SELECT id FROM filter WHERE connection = ?1")?
                .query_row([connection], |row| natural(row, 0))
                .optional()
        })?;
        if let Some(id) = known {
            return Ok(id);
        }
        let mut id = 0;
        self.commit_kept(|transaction, _, _| {
            id = transaction.query_row(
                "SELECT coalesce(max(id), 0) + 1 FROM filter",
                [],
                |row| natural(row, 0),
            )?;
            transaction.execute(
                "INSERT INTO filter (connection, id) VALUES (?1, ?2)",
                params![connection, integer(id)],
            )?;
            Ok(())
        })?;
        Ok(id)
    }

    /// The operator's audit policy (`audit set`). Not configured until one was set.
    ///
    /// # Errors
    /// What the disk said, or that the stored policy cannot be read.
    pub fn policy(&mut self) -> Result<Policy, LogError> {
        Ok(self.kept_policy(POLICY)?.unwrap_or_default())
    }

    /// The audit policy that was in force last: what was stored, and over it what the configuration set. None
    /// before there was any.
    ///
    /// # Errors
    /// As [`Writer::policy`].
    pub fn policy_in_force(&mut self) -> Result<Option<Policy>, LogError> {
        self.kept_policy(POLICY_IN_FORCE)
    }

    fn kept_policy(&mut self, name: &str) -> Result<Option<Policy>, LogError> {
        let Some(csv) = self.ensure_active()?.setting(name)? else {
            return Ok(None);
        };
        match Policy::from_csv(&csv) {
            Ok((policy, _)) => Ok(Some(policy)),
            Err(error) => Err(LogError::NotASegment {
                path: self.options.directory.clone(),
                what: format!("the stored audit policy: {error}"),
            }),
        }
    }

    /// Takes other limits: how large the log may become, in bytes, and what happens then. They count from the
    /// next record on.
    ///
    /// # Errors
    /// What the disk said; then the old ones stand.
    pub fn set_limits(&mut self, max_size: u64, retention: Retention) -> Result<(), LogError> {
        let bytes = max_size.to_string();
        self.commit(|transaction, _, _| {
            put_setting(transaction, RETENTION, retention.name())?;
            put_setting(transaction, MAX_SIZE, &bytes)
        })?;
        self.options.max_size = max_size;
        self.options.retention = retention;
        // What was left by the old size says nothing now.
        if let Some(active) = &mut self.active {
            active.measured(0);
        }
        Ok(())
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// The last record's ID and hash; the floor's when there is none.
    pub fn head(&self) -> (u64, Hash) {
        (self.state.head, self.state.head_hash)
    }

    /// The SAs whose 4650 is in the log and whose 4655 is not.
    ///
    /// # Errors
    /// What the disk said.
    pub fn live(&mut self) -> Result<Vec<LiveSa>, LogError> {
        self.with_active(|active, _| tables::live(&active.connection))
    }

    /// The IPsec SAs whose 5451 is in the log and whose 5452 is not.
    ///
    /// # Errors
    /// What the disk said.
    pub fn live_ipsec(&mut self) -> Result<Vec<LiveIpsecSa>, LogError> {
        self.with_active(|active, _| tables::live_ipsec(&active.connection))
    }

    /// True while `retention = "stop"` refuses records.
    pub fn is_full(&self) -> bool {
        self.state.full
    }

    fn with_active<T>(
        &mut self,
        f: impl FnOnce(&Segment, &State) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        let state = self.state.clone();
        let active = self.ensure_active()?;
        f(active, &state).map_err(LogError::database(&active.path))
    }

    /// The active segment, opened again when an error had closed it.
    pub(crate) fn ensure_active(&mut self) -> Result<&mut Segment, LogError> {
        if self.active.is_none() {
            self.load()?;
        }
        self.active
            .as_mut()
            .ok_or_else(|| LogError::NoLog(self.options.directory.clone()))
    }

    /// [`Writer::commit`] of what is no record: on a full disk with the space that is kept for it.
    pub(crate) fn commit_kept(
        &mut self,
        mut f: impl FnMut(&Connection, &mut State, &mut Codec) -> rusqlite::Result<()>,
    ) -> Result<(), LogError> {
        self.with_reserve(|writer| writer.commit(&mut f))
    }

    /// Does something; once more where the disk has no space for it, in that of the reserve and of the write-ahead log.
    pub(crate) fn with_reserve<T>(
        &mut self,
        mut f: impl FnMut(&mut Writer) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        match f(self) {
            Err(error) if error.is_no_space() => {
                self.reserve.release();
                // At once: whatever has filled the disk takes this too. Behind it the write-ahead log, which keeps its
                // size, is written from its beginning.
                let _ = self.ensure_active().and_then(Segment::checkpoint);
                f(self)
            }
            done => done,
        }
    }

    /// Space in reserve comes before records. Another `max-size` counts from the next segment on.
    fn hold_reserve(&mut self) -> Result<(), LogError> {
        let active = self.active.as_ref();
        let journal = active.map_or(self.journal_size(), |active| active.journal);
        self.reserve.hold(journal)
    }

    /// One transaction. The state that it leaves counts once it is on disk; after an error the disk is
    /// asked what counts.
    pub(crate) fn commit(
        &mut self,
        f: impl FnOnce(&Connection, &mut State, &mut Codec) -> rusqlite::Result<()>,
    ) -> Result<(), LogError> {
        self.ensure_active()?;
        let mut state = self.state.clone();
        state.next = state.next.or_later(self.given);
        let Some(mut active) = self.active.take() else {
            return Err(LogError::NoLog(self.options.directory.clone()));
        };
        if let Some(missing) = active.missing() {
            // As long as its records stand in a write-ahead log without a name, it is all that has them.
            if missing != active.path && !active.save() {
                self.active = Some(active);
            }
            return Err(LogError::Removed(missing));
        }
        let work = || -> rusqlite::Result<()> {
            // By statements that stay prepared; after an error the connection goes, and with it what was
            // begun.
            let connection = &active.connection;
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            f(connection, &mut state, &mut active.codec)?;
            put_state(connection, &state)?;
            let untold = state.counters.untold;
            if untold != self.state.counters.untold {
                put_setting(connection, UNTOLD, &untold.to_string())?;
            }
            if state.next.qmsa != self.state.next.qmsa {
                put_setting(connection, NEXT_QMSA, &state.next.qmsa.to_string())?;
            }
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        };
        work().map_err(LogError::database(&active.path))?;
        self.active = Some(active);
        self.state = state;
        Ok(())
    }
}

impl Drop for Writer {
    /// The write-ahead log goes, and its space is what the next start may need.
    fn drop(&mut self) {
        self.active = None;
        let _ = self.hold_reserve();
    }
}

/// Removes a segment that a crash, or a full disk, left in the making.
fn remove_unfinished(path: &std::path::Path) -> Result<(), LogError> {
    directory::remove_segment(path)?;
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    directory::remove_segment(std::path::Path::new(&journal))
}

/// Nanoseconds since 1970, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
