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

#[test]
fn times_that_would_hide_a_segment_from_a_query_are_found() {
    for set in [
        "oldest_time = 0, newest_time = 1",
        "newest_time = newest_time - 1",
        "oldest_time = oldest_time - 1",
        "oldest_time = NULL",
    ] {
        for closed in [true, false] {
            let log = log();
            let (path, id) = if closed { &log.closed } else { &log.active };
            edit(path, &format!("UPDATE state SET {set}"));
            let fault = log.verify().unwrap_err();
            let FaultKind::Times {
                id: first,
                through,
                path: named,
            } = &fault.what
            else {
                panic!("{set}: {fault}");
            };
            assert!((*first..=*through).contains(id), "{set}: {fault}");
            assert_eq!(named, path);
            assert!(fault.to_string().contains("a query by time"), "{fault}");
        }
    }
}

/// Makes the index of peers anew with another text, and puts its old text back.
fn another_index(text: &str) -> String {
    format!(
        "DROP INDEX peer;
         CREATE INDEX peer ON record {text};
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX peer ON record (peer) WHERE peer IS NOT NULL'
           WHERE name = 'peer';"
    )
}

#[test]
fn an_index_without_a_record_is_found_and_the_record_named() {
    let without = |id: u64| another_index(&format!("(peer) WHERE peer IS NOT NULL AND id <> {id}"));
    for (id, fault) in Log::edited(without) {
        assert!(
            matches!(fault.what, FaultKind::Index { id: named, .. } if named == id),
            "{fault}"
        );
        assert!(fault.to_string().contains("a query by its peer"), "{fault}");
    }
}

#[test]
fn an_index_with_as_many_rows_under_other_keys_is_found() {
    for (_, fault) in Log::edited(|_| another_index("(hash) WHERE peer IS NOT NULL")) {
        assert!(
            matches!(fault.what, FaultKind::Index { id, .. } if id == fault.record_id && id > 0),
            "{fault}"
        );
    }
}

#[test]
fn an_index_with_more_rows_than_the_records_have_is_found() {
    // The row of a record that is of another peer stays behind when the index is not looked after.
    let more = |id: u64| {
        format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM record WHERE id = {id};
             INSERT INTO record SELECT -1, time, event, origin, x'00', body, hash FROM kept;
             PRAGMA writable_schema = ON;
             DELETE FROM sqlite_schema WHERE name = 'peer';
             UPDATE sqlite_schema SET sql = sql;"
        )
    };
    // The engine reads the schema anew only in another connection.
    let log = log();
    let (path, id) = &log.closed;
    let root: i64 = Connection::open(path)
        .unwrap()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'peer'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    edit(path, &more(*id));
    edit(
        path,
        &format!(
            "DELETE FROM record WHERE id = -1;
             PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('index', 'peer',
               'record', {root}, 'CREATE INDEX peer ON record (peer) WHERE peer IS NOT NULL');"
        ),
    );
    let fault = log.verify().unwrap_err();
    assert!(
        matches!(fault.what, FaultKind::Index { id: 0, .. }),
        "{fault}"
    );
}

#[test]
fn what_is_not_the_logs_own_in_a_file_is_named() {
    for (sql, item) in [
        (
            "CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END",
            "its trigger \"t\"",
        ),
        ("CREATE VIEW v AS SELECT 1", "its view \"v\""),
        ("CREATE INDEX more ON record (time)", "its index \"more\""),
        ("DROP INDEX peer", "its index \"peer\""),
        (
            "DROP INDEX peer; CREATE INDEX peer ON record (peer) WHERE peer IS NOT NULL AND id <> 7",
            "its index \"peer\"",
        ),
        ("DROP TABLE live_ipsec", "its table \"live_ipsec\""),
        (
            "ALTER TABLE record RENAME TO r; CREATE VIEW record AS SELECT * FROM r WHERE id <> 7",
            "was altered",
        ),
    ] {
        for (_, fault) in Log::edited(|_| sql.to_owned()) {
            assert!(
                matches!(fault.what, FaultKind::Schema { .. }),
                "{sql}: {fault}"
            );
            assert!(fault.to_string().contains(item), "{sql}: {fault}");
        }
    }
}

#[test]
fn a_newest_segment_that_was_taken_away_is_found() {
    let log = log();
    let reader = Reader::open(log.dir.path()).unwrap();
    let first = Reader::open(&log.active.0).unwrap().info().unwrap().first;
    std::fs::remove_file(&log.active.0).unwrap();
    let id = first.unwrap() - 1;
    let fault = log.verify().unwrap_err();
    assert_eq!(fault.what, FaultKind::NewestRemoved { id, went_on: false });
    assert!(
        fault.to_string().contains(&format!("after record {id} ")),
        "{fault}"
    );
    assert!(reader.info().unwrap().newest_removed);
    // With a head it is known which they were.
    let fault = reader.verify(Some(log.head)).unwrap_err();
    let (id, through) = (id + 1, log.head.0);
    assert_eq!(fault.what, FaultKind::Removed { id, through });
}

#[test]
fn a_log_that_goes_on_behind_a_newest_segment_taken_away_says_so_and_gives_no_number_again() {
    let log = log();
    let given = {
        let (mut writer, recovery) = open(log.dir.path(), Retention::Overwrite);
        assert!(!recovery.newest_removed);
        let mmsa = writer.reserve_mmsa_ids(1_000).unwrap();
        mmsa.end.max(writer.reserve_qmsa_ids(1_000).unwrap().end)
    };
    let first = Reader::open(&log.active.0).unwrap().info().unwrap().first;
    std::fs::remove_file(&log.active.0).unwrap();
    let (mut writer, recovery) = open(log.dir.path(), Retention::Overwrite);
    assert!(recovery.newest_removed);
    assert!(writer.reserve_mmsa_ids(1).unwrap().start > given);
    assert!(writer.reserve_qmsa_ids(1).unwrap().start > given);
    fill(&mut writer, 0, 100);
    drop(writer);
    // The next start has nothing new to tell; the log still has.
    let (mut writer, recovery) = open(log.dir.path(), Retention::Overwrite);
    assert!(!recovery.newest_removed);
    let went_on = FaultKind::NewestRemoved {
        id: first.unwrap() - 1,
        went_on: true,
    };
    assert_eq!(log.verify().unwrap_err().what, went_on);
    fill(&mut writer, 0, 300);
    assert_eq!(log.verify().unwrap_err().what, went_on);
    fill(&mut writer, 0, 10_000);
    log.verify().unwrap();
}

#[test]
fn a_newest_segment_taken_from_a_running_writer_is_told_by_the_next_start() {
    for sealed in [true, false] {
        let log = log();
        let (mut writer, _) = open(log.dir.path(), Retention::Overwrite);
        let before = segments(log.dir.path()).len();
        // A reader on the last segment keeps it from being closed for good.
        let mut reader = None;
        let mut n = 0;
        while segments(log.dir.path()).len() <= before {
            if !sealed && reader.is_none() {
                let connection = Connection::open(segments(log.dir.path()).pop().unwrap()).unwrap();
                connection
                    .execute_batch("BEGIN; SELECT count(*) FROM record")
                    .unwrap();
                reader = Some(connection);
            }
            fill(&mut writer, n, 64);
            n += 64;
        }
        fill(&mut writer, n, 200);
        let given = writer.reserve_mmsa_ids(10).unwrap().end;
        let newest = segments(log.dir.path()).pop().unwrap();
        std::fs::remove_file(&newest).unwrap();
        writer.append(&[failed(1)]).unwrap_err();
        drop(reader);
        writer.append(&[failed(1)]).unwrap();
        assert!(writer.reserve_mmsa_ids(1).unwrap().start > given);
        drop(writer);
        let fault = log.verify().unwrap_err();
        assert!(
            matches!(fault.what, FaultKind::NewestRemoved { went_on: true, .. }),
            "{fault}"
        );
        let (_, recovery) = open(log.dir.path(), Retention::Overwrite);
        assert!(recovery.newest_removed);
    }
}

#[test]
fn a_crash_between_two_segments_does_not_look_as_if_one_was_taken_away() {
    let log = log();
    let (mut writer, _) = open(log.dir.path(), Retention::Overwrite);
    // A successor is there, and the one before it is not closed for good.
    let held = Connection::open(&log.active.0).unwrap();
    held.execute_batch("BEGIN; SELECT count(*) FROM record")
        .unwrap();
    while segments(log.dir.path()).last() == Some(&log.active.0) {
        fill(&mut writer, 0, 64);
    }
    drop(writer);
    drop(held);
    log.verify().unwrap();
    // All is read-only, as in a copy that is kept as evidence.
    for segment in segments(log.dir.path()) {
        std::fs::set_permissions(&segment, Permissions::from_mode(0o440)).unwrap();
    }
    log.verify().unwrap();
    for segment in segments(log.dir.path()) {
        std::fs::set_permissions(&segment, Permissions::from_mode(0o640)).unwrap();
    }
    let (mut writer, recovery) = open(log.dir.path(), Retention::Overwrite);
    assert!(!recovery.newest_removed);
    writer.tidy().unwrap();
    log.verify().unwrap();
}
