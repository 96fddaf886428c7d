//! A log that is full, or that the disk refuses: what is unlinked, archived, refused and told, while the
//! account goes on.

use std::fs;
use std::process::Command;

use audit::{Event, Extra, Policy, Setting, Subcategory};
use eventlog::{Entry, Options, Reader, Retention, Writer};
use mainmode::control::{PolicyChange, Request, Response};
use serde_json::Value;

use crate::support::{EVERYTHING, Place, Setup, Side, cause, pair, until};

/// Writes records until the log has this many bytes. To be used while no daemon runs.
fn fill(side: &Side, bytes: u64) {
    let directory = side.path("log");
    let (mut writer, _) = Writer::open(Options {
        directory: directory.clone(),
        max_size: 1 << 20,
        retention: Retention::Overwrite,
        computer: "gw".to_owned(),
        process_id: 7,
    })
    .expect("open");
    let record = Event::AuditsDiscarded(1).into_record(None, Extra::default());
    let entries = vec![
        Entry {
            record: Some(record),
            account: Vec::new()
        };
        128
    ];
    let info = || Reader::open(&directory).and_then(|reader| reader.info());
    while info().expect("info").size < bytes {
        writer.append(&entries).expect("written");
    }
}

/// Three records through the daemon: changes of policy. Gives what it says when it refuses.
fn three_records(side: &Side, on: bool) -> Result<(), String> {
    let mut policy = Policy::default();
    if on {
        for subcategory in Subcategory::ALL {
            if subcategory != Subcategory::IpsecMainMode {
                policy.set(subcategory, Some(Setting::BOTH));
            }
        }
    }
    let change = PolicyChange::Restore { policy };
    match side.ask(&Request::AuditChange { change }) {
        Some(Response::Done { .. }) => Ok(()),
        Some(Response::Failed { message }) => Err(message),
        other => panic!("{other:?}"),
    }
}

/// Writes through the daemon until `enough`.
fn write_until(side: &Side, mut enough: impl FnMut() -> bool) {
    let mut on = true;
    for round in 0..3_000 {
        if round % 20 == 0 && enough() {
            return;
        }
        three_records(side, on).expect("written");
        on = !on;
    }
    panic!("the log took all of it and it was not enough");
}

/// Writes through the daemon until the log refuses. Gives whether the other subcategories are audited
/// then.
fn write_until_full(side: &Side) -> bool {
    let mut on = true;
    for _ in 0..3_000 {
        if let Err(message) = three_records(side, on) {
            assert!(message.contains("full"), "{message}");
            return !on;
        }
        on = !on;
    }
    panic!("the log is never full");
}

const SMALL: Setup = Setup {
    log: "max-size = \"1MiB\"",
    ..EVERYTHING
};
const CONTINUE: Setup = Setup {
    log: "max-size = \"1MiB\"\nretention = \"stop\"\nwhen-unwritable = \"continue\"",
    ..EVERYTHING
};
const REFUSE: Setup = Setup {
    log: "max-size = \"1MiB\"\nretention = \"stop\"\nwhen-unwritable = \"refuse\"",
    ..EVERYTHING
};
/// Some hundred records short of what 1 MiB takes.
const NEARLY: u64 = 700_000;

/// A pair whose north has a log that is nearly full.
fn nearly_full(test: u8, north: Setup) -> (Side, Side) {
    let (a, b) = (Place::new(test, 1), Place::new(test, 2));
    let (mut north, mut south) = (Side::new(a, b, north), Side::new(b, a, EVERYTHING));
    fill(&north, NEARLY);
    north.start();
    south.start();
    (north, south)
}

fn discarded(event: &Value) -> &str {
    let number = &event["EventData"]["AuditsDiscarded"];
    number.as_str().expect("text")
}

/// Clears the log, and gives what the 4612 says that follows.
fn clear_and_read_4612(side: &Side) -> String {
    side.run(&["log", "clear"]).good();
    until("4612 tells what is missing", || !side.of(4612).is_empty());
    let told = side.of(4612);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(side.status().alerts.is_empty());
    discarded(&told[0]).to_owned()
}

#[test]
fn overwriting_the_4650_of_a_live_sa_loses_neither_the_account_nor_its_4655() {
    let (mut north, _south) = pair(20, SMALL, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let established = north.of(4650).remove(0);
    let id = established["EventRecordID"].as_u64();
    let first = || {
        let info = Reader::open(north.path("log")).and_then(|reader| reader.info());
        info.expect("info").first
    };
    write_until(&north, || first() > id);
    assert!(north.of(4650).is_empty());
    north.verify();
    let c = north.counters();
    assert_eq!((c.negotiations, c.established, c.live), (1, 1, 1));
    north.kill();
    north.start();
    let ended = north.of(4655);
    assert_eq!(ended.len(), 1);
    assert_eq!(cause(&ended[0]), "orphaned-by-crash");
    assert_eq!(ended[0]["ActivityID"], established["ActivityID"]);
    let c = north.counters();
    assert_eq!((c.established, c.ended), (1, 1));
    north.verify();
}

#[test]
fn archiving_keeps_what_goes_and_writes_1105_and_the_account_goes_on() {
    let archive = Setup {
        log: "max-size = \"1MiB\"\nretention = \"archive\"",
        ..EVERYTHING
    };
    let (mut north, _south) = nearly_full(21, archive);
    north.run(&["up", "peer"]).good();
    write_until(&north, || !north.of(1105).is_empty());
    for event in north.of(1105) {
        let path = event["UserData"]["BackupPath"].as_str().expect("text");
        assert!(
            fs::metadata(path).is_ok_and(|meta| meta.len() > 0),
            "{path}"
        );
    }
    assert_eq!(north.counters().live, 1);
    north.run(&["down", "peer"]).good();
    north.stop();
    north.verify();
}

#[test]
fn a_full_log_is_told_once_and_with_continue_negotiations_go_on_and_are_counted() {
    let (north, _south) = nearly_full(22, CONTINUE);
    write_until_full(&north);
    for _ in 0..2 {
        north.run(&["up", "peer"]).good();
        north.run(&["down", "peer"]).good();
    }
    let status = north.status();
    assert!(status.alerts[0].contains("the log is full"), "{status:?}");
    let c = north.settled();
    assert_eq!((c.established, c.ended, c.held_back), (2, 2, 4));
    assert_eq!(north.of(1104).len(), 1);
    assert!(north.of(4650).is_empty() && north.of(4655).is_empty());
    // A policy whose change cannot be recorded does not change.
    let refused = [true, false].map(|on| three_records(&north, on).is_err());
    assert!(refused.contains(&true));
    north.verify();
    assert_eq!(clear_and_read_4612(&north), "4");
    north.run(&["up", "peer"]).good();
    assert_eq!(north.ids(), [1102, 4612, 4650]);
    north.verify();
}

#[test]
fn a_full_log_with_refuse_lets_no_new_sa_stand_in_either_role() {
    let (north, south) = nearly_full(23, REFUSE);
    write_until_full(&north);
    let ran = north.run(&["up", "peer", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let verdict: Value = serde_json::from_str(&ran.stdout).expect("json");
    assert_eq!(verdict["cause"], "log-unwritable");
    // The peer had established it, and is told.
    south.account("the peer has no SA either", |c| c.live == 0);
    south.run(&["up", "peer"]).failed();
    let c = north.settled();
    assert_eq!((c.established, c.failed, c.live), (0, c.negotiations, 0));
    assert_eq!(c.held_back, c.failed);
    assert_eq!(south.settled().live, 0);
    assert!(north.status().alerts[0].contains("the log is full"));
    assert_eq!(clear_and_read_4612(&north), c.failed.to_string());
    north.run(&["up", "peer"]).good();
    assert_eq!(north.of(4650).len(), 1);
    north.verify();
}

#[test]
fn a_crash_with_a_full_log_keeps_no_daemon_from_starting_and_the_account_balances() {
    let (mut north, _south) = nearly_full(24, CONTINUE);
    north.run(&["up", "peer"]).good();
    // The 4655, and where the driver is audited the start's own 5478.
    let missed = 1 + u64::from(write_until_full(&north));
    north.kill();
    north.start();
    let c = north.counters();
    assert_eq!((c.established, c.ended, c.held_back), (1, 1, missed));
    assert!(north.of(4655).is_empty());
    assert!(!north.status().alerts.is_empty());
    assert_eq!(clear_and_read_4612(&north), missed.to_string());
    north.stop();
    north.verify();
}

#[test]
fn a_log_that_was_removed_is_noticed_and_with_refuse_lets_no_sa_stand() {
    let (north, _south) = nearly_full(27, REFUSE);
    fs::remove_dir_all(north.path("log")).expect("removed");
    let verdict = north.run(&["up", "peer", "--json"]);
    assert_eq!(verdict.code, Some(1), "{verdict:?}");
    assert!(verdict.stdout.contains("log-unwritable"), "{verdict:?}");
    let status = north.status();
    assert!(
        status.alerts[0].contains("the log cannot be written"),
        "{status:?}"
    );
    assert!(status.main_mode_sas.is_empty(), "{status:?}");
}

#[test]
fn a_newest_file_that_was_taken_away_is_told_by_the_next_start_and_found_by_verify() {
    let (mut north, _south) = pair(28, SMALL, EVERYTHING);
    north.stop();
    // Enough for several files.
    fill(&north, NEARLY);
    let mut files: Vec<_> = fs::read_dir(north.path("log"))
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .collect();
    files.sort();
    fs::remove_file(files.pop().expect("a newest")).expect("removed");
    let verified = north.run(&["log", "verify"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    north.start();
    let status = north.status();
    assert!(
        status
            .alerts
            .iter()
            .any(|alert| alert.contains("newest file was removed")),
        "{:?}",
        status.alerts
    );
    assert!(north.said().contains("newest file was removed"));
    north.run(&["up", "peer"]).good();
    assert_eq!(north.run(&["log", "verify"]).code, Some(1));
}

#[test]
fn a_write_ahead_log_that_was_taken_away_is_noticed_and_loses_no_record_that_was_written() {
    let (mut north, _south) = pair(39, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    let journals = fs::read_dir(north.path("log")).expect("there");
    let journals = journals.map(|entry| entry.expect("an entry").path());
    let mut removed = 0;
    for journal in journals.filter(|path| path.extension().is_some_and(|end| end == "db-wal")) {
        fs::remove_file(journal).expect("removed");
        removed += 1;
    }
    assert_eq!(removed, 1);
    north.run(&["down", "peer"]).good();
    let alerts = north.status().alerts;
    assert!(
        alerts
            .iter()
            .any(|alert| alert.contains("-wal was removed")),
        "{alerts:?}"
    );
    north.run(&["up", "peer"]).good();
    until("4612 tells what is missing", || !north.of(4612).is_empty());
    assert_eq!(discarded(&north.of(4612)[0]), "1");
    north.kill();
    north.start();
    // The 4655 that was refused is missing, and nothing that had been written.
    assert_eq!(north.ids(), [4650, 4650, 4612, 4655]);
    let c = north.counters();
    assert_eq!((c.established, c.ended), (2, 2));
    let sas = north.of(4650);
    let number = |event: &Value| event["EventData"]["MMSAID"].clone();
    assert_ne!(number(&sas[0]), number(&sas[1]));
    north.verify();
}

/// How large the daemon's files may become, from now on: a disk without room, without privileges.
fn limit_files(side: &Side, limit: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &side.pid().to_string()])
        .arg(format!("--fsize={limit}:"))
        .status();
    assert!(status.expect("util-linux is there").success());
}

#[test]
fn a_disk_without_room_is_noticed_counted_and_told_when_there_is_room() {
    let (mut north, _south) = pair(25, EVERYTHING, EVERYTHING);
    north.run(&["up", "peer"]).good();
    limit_files(&north, "1");
    north.run(&["down", "peer"]).good();
    assert!(!north.status().alerts.is_empty());
    north.run(&["up", "peer"]).good();
    let c = north.counters();
    assert_eq!((c.established, c.ended, c.held_back), (2, 1, 2));
    limit_files(&north, "unlimited");
    north.run(&["down", "peer"]).good();
    until("4612 tells what is missing", || !north.of(4612).is_empty());
    assert_eq!(discarded(&north.of(4612)[0]), "2");
    assert!(north.status().alerts.is_empty());
    north.stop();
    assert_eq!(north.ids(), [4650, 4655, 4612, 1100]);
    north.verify();
    north.start();
    let c = north.counters();
    assert_eq!((c.established, c.ended, c.held_back), (2, 2, 2));
}

#[test]
fn a_disk_without_room_with_refuse_fails_negotiations_until_there_is_room() {
    let refuse = Setup {
        log: "max-size = \"4MiB\"\nwhen-unwritable = \"refuse\"",
        ..EVERYTHING
    };
    let (north, south) = pair(26, refuse, EVERYTHING);
    limit_files(&north, "1");
    south.run(&["up", "peer"]).failed();
    north.run(&["up", "peer"]).failed();
    let c = north.settled();
    assert_eq!((c.established, c.failed), (0, 2));
    limit_files(&north, "unlimited");
    north.run(&["up", "peer"]).good();
    until("4612 tells what is missing", || !north.of(4612).is_empty());
    assert_eq!(north.ids(), [4650, 4612]);
    assert_eq!(south.settled().live, 1);
    north.verify();
}

#[test]
fn a_full_log_takes_no_other_policy_and_is_given_room_by_a_reload() {
    let (north, _south) = nearly_full(29, CONTINUE);
    north.run(&["up", "peer"]).good();
    write_until_full(&north);
    let silent = "ipsec-main-mode = [\"failure\"]";
    north.edit("ipsec-main-mode = [\"success\", \"failure\"]", silent);
    // The 4719 comes first, and there is no room for it.
    let ran = north.run(&["reload"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("full"), "{ran:?}");
    let shown = north
        .run(&["audit", "get", "--subcategory", "IPsec Main Mode"])
        .good();
    assert!(shown.contains("Success and Failure"), "{shown}");
    // What writes nothing is taken all the same.
    north.edit(silent, "ipsec-main-mode = [\"success\", \"failure\"]");
    north.run(&["reload"]).good();
    north.edit("max-size = \"1MiB\"", "max-size = \"3MiB\"");
    north.run(&["reload"]).good();
    north.run(&["down", "peer"]).good();
    until("it is written again", || north.of(4655).len() == 1);
    north.verify();
}
