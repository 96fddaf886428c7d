//! Logs of another layout than the one that is written now.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use audit::Cause;
use eventlog::{FaultKind, LogError, QuickModeCounters, Reader, Retention, Writer};
use rusqlite::Connection;
use support::*;
use tempfile::tempdir;

/// Changes a segment, closed or not, and leaves its mode as it was.
fn edit(path: &Path, sql: &str) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
    fs::set_permissions(path, mode).unwrap();
}

/// Makes a segment what it was before the account had Quick Mode.
const WITHOUT_QUICK_MODE: &str = "
    ALTER TABLE state DROP COLUMN quick_negotiations;
    ALTER TABLE state DROP COLUMN quick_established;
    ALTER TABLE state DROP COLUMN quick_failed;
    ALTER TABLE state DROP COLUMN quick_interrupted;
    ALTER TABLE state DROP COLUMN quick_ended;
    DROP TABLE live_ipsec;
    PRAGMA user_version = 1;";

/// A log of several segments, all of the old layout, with a Main Mode SA that lives.
fn old_log(directory: &Path) {
    let (mut writer, _) = open(directory, Retention::Overwrite);
    writer.append(&[established(1)]).unwrap();
    fill(&mut writer, 0, 1_500);
    drop(writer);
    assert!(segments(directory).len() > 1);
    for segment in segments(directory) {
        edit(&segment, WITHOUT_QUICK_MODE);
    }
}

fn goes_on(directory: &Path) -> Writer {
    let (mut writer, recovery) = open(directory, Retention::Overwrite);
    assert_eq!(recovery.orphans, [live(1)]);
    assert_eq!(recovery.ipsec_orphans, []);
    assert!(recovery.counters.failed > 0);
    assert_eq!(recovery.counters.quick_mode, QuickModeCounters::default());
    writer.append(&[ipsec_established(2)]).unwrap();
    drop(writer);
    let (mut writer, recovery) = open(directory, Retention::Overwrite);
    assert_eq!(recovery.ipsec_orphans, [live_ipsec(2)]);
    let ended = ipsec_ended(&live_ipsec(2), Cause::OrphanedByCrash);
    writer.append(&[ended]).unwrap();
    assert_eq!(writer.counters().quick_mode.live(), 0);
    writer
}

#[test]
fn a_log_from_before_the_account_had_quick_mode_is_read_and_goes_on() {
    let dir = tempdir().unwrap();
    old_log(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.verify(None).unwrap().records, 1_501);
    let info = reader.info().unwrap();
    assert_eq!(info.counters.failed, 1_500);
    assert_eq!(info.counters.quick_mode, QuickModeCounters::default());
    let head = goes_on(dir.path()).head();
    assert_eq!(reader.verify(None).unwrap().head, head);
}

#[test]
fn such_a_log_goes_on_behind_a_closed_segment_when_the_newest_is_gone() {
    let dir = tempdir().unwrap();
    old_log(dir.path());
    fs::remove_file(segments(dir.path()).pop().unwrap()).unwrap();
    let mut writer = goes_on(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    let fault = reader.verify(None).unwrap_err();
    assert!(
        matches!(fault.what, FaultKind::NewestRemoved { went_on: true, .. }),
        "{fault}"
    );
    fill(&mut writer, 0, 10_000);
    assert_eq!(reader.verify(None).unwrap().head, writer.head());
}

#[test]
fn a_layout_that_is_not_known_is_refused_and_a_later_one_said_to_be_of_a_newer_program() {
    let dir = tempdir().unwrap();
    drop(open(dir.path(), Retention::Overwrite));
    let segment = segments(dir.path()).pop().unwrap();
    edit(&segment, "PRAGMA user_version = 0");
    let refused = Writer::open(options(dir.path(), Retention::Overwrite)).unwrap_err();
    assert!(refused.to_string().contains("layout 0"), "{refused}");
    assert!(matches!(refused, LogError::NotASegment { .. }), "{refused}");
    edit(&segment, "PRAGMA user_version = 3");
    let reader = Reader::open(dir.path()).unwrap();
    for refused in [
        Writer::open(options(dir.path(), Retention::Overwrite)).unwrap_err(),
        Reader::open_file(&segment).unwrap_err(),
        reader.info().unwrap_err(),
    ] {
        assert!(matches!(refused, LogError::Newer { layout: 3, .. }));
        let said = refused.to_string();
        assert!(said.contains("by a newer mainmode"), "{said}");
    }
    let fault = reader.verify(None).unwrap_err().to_string();
    assert!(fault.contains("by a newer mainmode"), "{fault}");
}
