//! Somebody edits the log's files: `verify` finds it, and names the record.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use eventlog::{Fault, FaultKind, Hash, Query, Reader, Retention, Writer};
use rusqlite::Connection;
use support::*;
use tempfile::{TempDir, tempdir};

/// A log of several segments; gives a record in the middle of a closed one, of the active one, and
/// the head.
struct Log {
    dir: TempDir,
    closed: (PathBuf, u64),
    active: (PathBuf, u64),
    head: (u64, Hash),
}

fn log() -> Log {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 1_500);
    writer.tidy().unwrap();
    let head = writer.head();
    drop::<Writer>(writer);
    let segments = segments(dir.path());
    let middle = |path: &Path| {
        Connection::open(path)
            .unwrap()
            .query_row("SELECT (min(id) + max(id)) / 2 FROM record", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
            .cast_unsigned()
    };
    let (active, closed) = segments.split_last().unwrap();
    assert!(closed.len() > 1);
    Log {
        closed: (closed[1].clone(), middle(&closed[1])),
        active: (active.clone(), middle(active)),
        head,
        dir,
    }
}

fn edit(path: &Path, sql: &str) {
    std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

impl Log {
    fn verify(&self) -> Result<eventlog::Verified, Fault> {
        Reader::open(self.dir.path()).unwrap().verify(None)
    }

    /// Runs an edit on a fresh log, once within a closed segment and once within the active one, and
    /// gives the record with what was found.
    fn edited(sql: impl Fn(u64) -> String) -> Vec<(u64, Fault)> {
        let mut found = Vec::new();
        for closed in [true, false] {
            let log = log();
            log.verify().unwrap();
            let (path, id) = if closed { &log.closed } else { &log.active };
            edit(path, &sql(*id));
            found.push((*id, log.verify().unwrap_err()));
        }
        found
    }
}

#[test]
fn a_changed_record_is_found_and_named() {
    for set in [
        "time = time + 1",
        "event = 4652",
        "body = (SELECT body FROM record WHERE id = r.id - 3)",
        "hash = zeroblob(32)",
        "peer = x'c0000201'",
        "peer = NULL",
        "body = zeroblob(50)",
    ] {
        let found = Log::edited(|id| format!("UPDATE record AS r SET {set} WHERE id = {id}"));
        for (id, fault) in found {
            assert_eq!(fault.record_id, id, "{set}: {fault}");
            assert!(
                matches!(
                    fault.what,
                    FaultKind::Changed { .. } | FaultKind::Moved { .. }
                ),
                "{set}: {fault}"
            );
            assert!(fault.to_string().contains(&format!("record {id}")));
        }
    }
}

#[test]
fn a_changed_computer_or_process_is_found() {
    for (_, fault) in Log::edited(|_| "UPDATE origin SET process = 1".to_owned()) {
        assert!(matches!(fault.what, FaultKind::Changed { .. }), "{fault}");
    }
}

#[test]
fn a_removed_record_is_found_and_named() {
    for (id, fault) in Log::edited(|id| format!("DELETE FROM record WHERE id = {id}")) {
        assert_eq!(fault.what, FaultKind::Removed { id, through: id });
    }
}

#[test]
fn a_removed_record_is_named_although_the_rest_was_renumbered() {
    let renumber = |id: u64| {
        format!(
            "DELETE FROM record WHERE id BETWEEN {id} AND {id} + 1;
             UPDATE record SET id = -id WHERE id > {id};
             UPDATE record SET id = -id - 2 WHERE id < 0;"
        )
    };
    for (id, fault) in Log::edited(renumber) {
        let through = id + 1;
        assert_eq!(fault.what, FaultKind::Removed { id, through });
    }
}

#[test]
fn swapped_records_are_found_and_named() {
    for (a, b) in [(0, 1), (0, 20)] {
        let swap = |id: u64| {
            let (a, b) = (id + a, id + b);
            format!(
                "UPDATE record SET id = -1 WHERE id = {a}; UPDATE record SET id = {a} WHERE id = {b};
                 UPDATE record SET id = {b} WHERE id = -1;"
            )
        };
        for (id, fault) in Log::edited(swap) {
            let from = id + b;
            assert_eq!(fault.what, FaultKind::Moved { id, from });
        }
    }
}

#[test]
fn swapped_contents_are_found_although_the_hashes_stayed() {
    let swap = |id: u64| {
        let columns = "(time, event, origin, peer, body)";
        let of = |table: &str, id: u64| {
            format!("(SELECT time, event, origin, peer, body FROM {table} WHERE id = {id})")
        };
        format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM record WHERE id = {id};
             UPDATE record SET {columns} = {} WHERE id = {id};
             UPDATE record SET {columns} = {} WHERE id = {};",
            of("record", id + 5),
            of("kept", id),
            id + 5
        )
    };
    for (id, fault) in Log::edited(swap) {
        assert_eq!(fault.what, FaultKind::Moved { id, from: id + 5 });
    }
}

#[test]
fn an_added_record_is_found_and_named() {
    let add = |id: u64| {
        format!(
            "UPDATE record SET id = -id WHERE id >= {id};
             UPDATE record SET id = -id + 1 WHERE id < 0;
             INSERT INTO record SELECT {id}, time, event, origin, peer, body, hash
               FROM record WHERE id = {id} - 1;
             UPDATE state SET head = head + 1"
        )
    };
    for (id, fault) in Log::edited(add) {
        assert_eq!(fault.record_id, id, "{fault}");
    }
}

#[test]
fn a_segment_that_is_missing_is_named_by_its_records() {
    let log = log();
    let of = |path: &Path| Reader::open(path).unwrap().info().unwrap();
    let info = of(&log.closed.0);
    std::fs::remove_file(&log.closed.0).unwrap();
    let fault = log.verify().unwrap_err();
    let (id, through) = (info.first.unwrap(), info.last.unwrap());
    assert_eq!(fault.what, FaultKind::Removed { id, through });
}

#[test]
fn a_cut_tail_is_found_by_the_state_and_by_the_anchor() {
    let log = log();
    let last = log.head.0;
    edit(
        &log.active.0,
        &format!("DELETE FROM record WHERE id > {last} - 3"),
    );
    let fault = log.verify().unwrap_err();
    let gone = FaultKind::Removed {
        id: last - 2,
        through: last,
    };
    assert_eq!(fault.what, gone);
    // The state made to fit: the chain is whole, and only the anchor knows.
    edit(
        &log.active.0,
        &format!(
            "UPDATE state SET head = {last} - 3,
               head_hash = (SELECT hash FROM record WHERE id = {last} - 3)"
        ),
    );
    log.verify().unwrap();
    let reader = Reader::open(log.dir.path()).unwrap();
    assert_eq!(reader.verify(Some(log.head)).unwrap_err().what, gone);
}

#[test]
fn an_anchor_holds_as_long_as_its_record_is_there() {
    let log = log();
    let reader = Reader::open(log.dir.path()).unwrap();
    let middle = reader
        .query(&Query::default())
        .nth(700)
        .unwrap()
        .unwrap()
        .record_id;
    assert!(reader.verify(Some(log.head)).unwrap().anchored);
    let other = (middle, [7; 32]);
    let fault = reader.verify(Some(other)).unwrap_err();
    assert!(
        matches!(fault.what, FaultKind::Anchor { id, .. } if id == middle),
        "{fault}"
    );
    let (mut writer, _) = open(log.dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 10_000);
    let fault = reader.verify(Some(log.head)).unwrap_err();
    assert!(
        matches!(fault.what, FaultKind::AnchorGone { id, .. } if id == log.head.0),
        "{fault}"
    );
}

#[test]
fn a_changed_floor_is_told_from_a_changed_record() {
    let log = log();
    let (mut writer, _) = open(log.dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 10_000);
    writer.tidy().unwrap();
    drop(writer);
    let active = segments(log.dir.path()).pop().unwrap();
    edit(&active, "UPDATE state SET floor_hash = zeroblob(32)");
    let fault = log.verify().unwrap_err();
    assert!(matches!(fault.what, FaultKind::Floor { .. }), "{fault}");
}

#[test]
fn a_damaged_page_is_a_fault_and_no_panic() {
    let log = log();
    let path = &log.closed.0;
    std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    // Behind the pages of what is no record.
    let late = bytes.len() / 4 * 3;
    bytes[late..late + 4096].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
    let fault = log.verify().unwrap_err();
    assert!(fault.record_id > 0, "{fault}");
}

/// A log whose records of 1 to 3 all stand in one segment.
fn small() -> TempDir {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 3);
    dir
}

fn fault_of(place: &Path) -> Fault {
    Reader::open(place).unwrap().verify(None).unwrap_err()
}

#[test]
fn no_record_is_named_that_cannot_exist() {
    for (id, said) in [
        (1, "record 1 was changed"),
        (
            2,
            "record 2 was changed (or record 1, together with its hash)",
        ),
    ] {
        let dir = small();
        let path = segments(dir.path()).remove(0);
        edit(
            &path,
            &format!("UPDATE record SET time = time + 1 WHERE id = {id}"),
        );
        assert_eq!(fault_of(dir.path()).to_string(), said);
    }
    // Where the record is sure, no other one is suspected.
    for set in ["peer = NULL", "body = zeroblob(50)"] {
        let dir = small();
        let path = segments(dir.path()).remove(0);
        edit(&path, &format!("UPDATE record SET {set} WHERE id = 2"));
        assert_eq!(fault_of(dir.path()).to_string(), "record 2 was changed");
    }
}

#[test]
fn the_first_record_of_a_segment_alone_has_none_before_it() {
    let log = log();
    let path = &log.closed.0;
    let first = Reader::open(path).unwrap().info().unwrap().first.unwrap();
    assert!(first > 1);
    edit(
        path,
        &format!("UPDATE record SET time = time + 1 WHERE id = {first}"),
    );
    // In a file of its own, as it is archived, and within the log.
    let alone = fault_of(path).to_string();
    assert_eq!(alone, format!("record {first} was changed"));
    let before = first - 1;
    assert_eq!(
        log.verify().unwrap_err().to_string(),
        format!("record {first} was changed (or record {before}, together with its hash)")
    );
}

#[test]
fn a_log_without_records_has_no_record_that_was_changed() {
    for column in ["head_hash", "floor_hash"] {
        let dir = tempdir().unwrap();
        drop(open(dir.path(), Retention::Overwrite));
        let path = segments(dir.path()).remove(0);
        let other = "07".repeat(32);
        edit(&path, &format!("UPDATE state SET {column} = x'{other}'"));
        let said = fault_of(dir.path()).to_string();
        assert!(said.contains("its own beginning was changed"), "{said}");
        assert!(!said.contains("record 0"), "{said}");
    }
    let dir = small();
    let reader = Reader::open(dir.path()).unwrap();
    let said = reader.verify(Some((0, [7; 32]))).unwrap_err().to_string();
    assert!(said.contains("another log"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let log = log();
    let path = &log.closed.0;
    std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
    std::fs::write(path, [0xa5; 8192]).unwrap();
    let fault = log.verify().unwrap_err();
    let said = fault.to_string();
    let name = path.display().to_string();
    assert_eq!(said.matches(&name).count(), 1, "{said}");
    assert!(
        said.contains("cannot be read before its first record: "),
        "{said}"
    );
    assert_eq!(fault.record_id, 0);
}
