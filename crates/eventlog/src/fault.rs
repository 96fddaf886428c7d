//! What can be wrong with a log, in the operator's words.

use std::path::{Path, PathBuf};

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
    /// The newest file of the log was taken away, with all records in it.
    #[error("{}", newest_removed(*.id, *.went_on))]
    NewestRemoved {
        /// The last record before them. 0 when there is none.
        id: u64,
        /// The log was written since: their IDs were given again.
        went_on: bool,
    },
    /// What a file of the log says of the times of its records is not so: a query by time goes by that.
    #[error("{}", times(.path, *.id, *.through))]
    Times {
        /// Its first record. 0 when it has none.
        id: u64,
        /// Its last.
        through: u64,
        /// The file.
        path: PathBuf,
    },
    /// The index of peers does not hold what the records hold, or the records do not stand in their order:
    /// a query passes over some.
    #[error("{}", index(.path, *.id, .why))]
    Index {
        /// The first record that a search by its peer does not find. 0 when it is not a matter of one.
        id: u64,
        /// The file.
        path: PathBuf,
        /// What the engine said.
        why: String,
    },
    /// A file of the log has tables, indexes, triggers or views that are not the log's.
    #[error("{} was altered: {item} is not as the log made it", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is not the log's, or is missing.
        item: String,
    },
    /// The anchor's record is not in the one file that was checked, so that nothing can be said.
    #[error(
        "record {id} is not in this file, which holds {}: the head given cannot be checked by it", held(*.floor, *.last)
    )]
    AnchorElsewhere {
        /// The anchor's record.
        id: u64,
        /// The last record before the file.
        floor: u64,
        /// The file's last record.
        last: u64,
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

fn held(floor: u64, last: u64) -> String {
    if last > floor {
        format!("records {} to {last}", floor + 1)
    } else {
        "none".to_owned()
    }
}

fn newest_removed(id: u64, went_on: bool) -> String {
    let which = match id {
        0 => "the first records".to_owned(),
        _ => format!("the records after record {id}"),
    };
    if went_on {
        format!("{which} were removed with their file, and the log went on with their IDs")
    } else {
        format!("{which} were removed with their file, the log's newest")
    }
}

fn times(path: &Path, id: u64, through: u64) -> String {
    let whose = match id {
        0 => "although it has no records".to_owned(),
        _ if id == through => format!("that are not the time of its record {id}"),
        _ => format!("that are not the times of its records {id} to {through}"),
    };
    format!(
        "{} gives times {whose}: a query by time may pass over it",
        path.display()
    )
}

fn index(path: &Path, id: u64, why: &str) -> String {
    match id {
        0 => format!(
            "{} was altered or is damaged ({why}): what a query finds in it may not be all, or not so",
            path.display()
        ),
        _ => format!(
            "record {id} is missing in the index of peers in {}: a query by its peer does not find it",
            path.display()
        ),
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
            | FaultKind::AnchorElsewhere { id, .. }
            | FaultKind::NewestRemoved { id, .. }
            | FaultKind::Times { id, .. }
            | FaultKind::Index { id, .. }
            | FaultKind::Unreadable { id, .. } => *id,
            FaultKind::Schema { .. } => 0,
        };
        Fault { record_id, what }
    }
}
