//! The log, or what is left of it, as one file.

use std::fs;
use std::path::Path;

use rusqlite::params;

use crate::LogError;
use crate::directory;
use crate::reader::Snapshot;
use crate::retention;
use crate::segment::{self, Carried, Header, Segment, State};
use crate::tables::{self, integer};

/// Copies every record to one new file, which [`crate::Reader::open`] reads like the log. The copy
/// is durable, read-only and whole when this returns; after an error there is none.
///
/// # Errors
/// [`LogError::BackupExists`], [`LogError::BackupIsOwn`]; else what the disk said.
pub(crate) fn backup(directory: &Path, backup: &Path) -> Result<(), LogError> {
    if directory::is_own(directory, backup) {
        return Err(LogError::BackupIsOwn(backup.to_owned()));
    }
    // A link that leads nowhere is there too.
    if fs::symlink_metadata(backup).is_ok() {
        return Err(LogError::BackupExists(backup.to_owned()));
    }
    let mut unfinished = backup.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    directory::remove_segment(unfinished)?;
    let copied = copy(directory, unfinished);
    if let Err(error) = copied {
        let _ = directory::remove_segment(unfinished);
        return Err(error);
    }
    fs::rename(unfinished, backup).map_err(LogError::io("name the backup", backup))?;
    directory::sync(directory::folder_of(backup))
}

fn copy(directory: &Path, to: &Path) -> Result<(), LogError> {
    let mut log = Snapshot::take(directory)?;
    let (floor, floor_hash) = log.floor;
    let header = Header {
        number: segment::EXPORT,
        first: floor + 1,
        seed: floor_hash,
    };
    let mut state = State {
        floor,
        floor_hash,
        ..log.newest_state().clone()
    };
    Segment::create(
        to,
        retention::PAGE,
        &header,
        state.clone(),
        &Carried::default(),
        &[],
    )?;
    let mut target = Segment::open_for_writing(to, u64::from(u32::MAX))?;
    let db = LogError::database(to);
    let transaction = target.connection.transaction().map_err(db)?;
    state.times = None;
    let codec = &mut target.codec;
    log.for_each(|row, record| {
        let origin = tables::origin(&transaction, &row.computer, row.process)?;
        transaction
            .prepare_cached(
                "INSERT INTO record (id, time, event, origin, peer, body, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                integer(row.id),
                row.time,
                record.event_id,
                origin,
                record.peer().map(tables::peer_key),
                codec.store(record),
                row.hash
            ])?;
        state.note(row.time);
        Ok(())
    })?;
    let finish = || {
        tables::put_state(&transaction, &state)?;
        transaction.commit()
    };
    finish().map_err(LogError::database(to))?;
    drop(target);
    segment::close(to)?;
    Ok(())
}
