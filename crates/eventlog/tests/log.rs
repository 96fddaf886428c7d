//! What the log promises while nothing breaks: order, account, retention, queries.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::time::Duration;

use audit::{Cause, Outcome, Policy, Setting, StoredRecord, Subcategory, Subject};
use eventlog::{
    AccountChange, Counters, Entry, FaultKind, LogError, Options, Query, QuickModeCounters, Reader,
    Retention, Service, Writer,
};
use rusqlite::Connection;
use support::*;
use tempfile::tempdir;

fn all(reader: &Reader) -> Vec<StoredRecord> {
    query(reader, &Query::default())
}

fn query(reader: &Reader, query: &Query) -> Vec<StoredRecord> {
    reader.query(query).map(Result::unwrap).collect()
}

fn ids(records: &[StoredRecord]) -> Vec<u64> {
    records.iter().map(|record| record.record_id).collect()
}

#[test]
fn a_log_that_somebody_removed_is_not_written_and_is_again_once_it_is_back() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    writer.append(&[failed(1)]).unwrap();
    let away = tempdir().unwrap();
    let moved = |from: &std::path::Path, to: &std::path::Path| {
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::rename(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    moved(dir.path(), away.path());
    let refused = writer.append(&[failed(2)]);
    assert!(matches!(refused, Err(LogError::Removed(_))), "{refused:?}");
    assert!(writer.append(&[failed(2)]).is_err());
    moved(away.path(), dir.path());
    assert_eq!(writer.append(&[failed(3)]).unwrap().ids, [Some(2)]);
    writer.close().unwrap();
    assert_eq!(ids(&all(&Reader::open(dir.path()).unwrap())), [1, 2, 3]);
}

#[test]
fn a_write_ahead_log_that_was_taken_away_is_noticed_and_what_it_held_is_not_lost() {
    for read in [false, true] {
        let dir = tempdir().unwrap();
        let (mut writer, _) = open(dir.path(), Retention::Overwrite);
        writer.append(&[established(1), established(2)]).unwrap();
        let segment = segments(dir.path()).pop().unwrap();
        let reader = read.then(|| Connection::open(&segment).unwrap());
        if let Some(reader) = &reader {
            let begin = "BEGIN; SELECT count(*) FROM record";
            reader.execute_batch(begin).unwrap();
        }
        writer.append(&[established(3)]).unwrap();
        let journal = format!("{}-wal", segment.display());
        std::fs::remove_file(&journal).unwrap();
        let mut refused = || {
            let refused = writer.append(&[established(4)]).unwrap_err().to_string();
            assert!(refused.contains(&journal), "{refused}");
        };
        refused();
        if let Some(reader) = reader {
            // What a reader needs cannot be moved: until it ends, all are refused.
            refused();
            reader.close().unwrap();
            refused();
        }
        let appended = writer.append(&[established(4), established(5)]).unwrap();
        assert_eq!(appended.ids, [Some(4), Some(5)]);
        let (head, counters) = (writer.head(), writer.counters());
        // As if it had been killed: nothing is moved on at the end.
        let copy = tempdir().unwrap();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let (writer, recovery) = open(copy.path(), Retention::Overwrite);
        assert!(!recovery.newest_removed);
        assert_eq!(recovery.orphans, [1, 2, 3, 4, 5].map(live));
        assert_eq!((writer.head(), writer.counters()), (head, counters));
        Reader::open(copy.path())
            .unwrap()
            .verify(Some(head))
            .unwrap();
    }
}

#[test]
fn a_write_ahead_log_that_is_emptied_is_still_the_one_it_was() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    for n in 0..20 {
        writer.append(&[failed(n)]).unwrap();
        // By somebody who comes and goes, as a backup program does.
        let other = Connection::open(&segments(dir.path())[0]).unwrap();
        other
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
    }
    assert_eq!(writer.head().0, 20);
}

#[test]
fn ids_begin_at_one_and_go_on_over_restarts() {
    let dir = tempdir().unwrap();
    let (mut writer, recovery) = open(dir.path(), Retention::Overwrite);
    assert!(recovery.new_log);
    let appended = writer
        .append(&[failed(1), account(&[AccountChange::Started]), failed(2)])
        .unwrap();
    assert_eq!(appended.ids, [Some(1), None, Some(2)]);
    drop(writer);
    let (mut writer, recovery) = open(dir.path(), Retention::Overwrite);
    assert!(!recovery.new_log);
    assert_eq!(writer.append(&[failed(3)]).unwrap().ids, [Some(3)]);
    writer.close().unwrap();
    let records = all(&Reader::open(dir.path()).unwrap());
    assert_eq!(ids(&records), [1, 2, 3, 4]);
    assert_eq!(records[3].record.event_id, 1100);
    assert_eq!(records[0].record, failed(1).record.unwrap());
    assert_eq!(records[0].computer, "gw");
    assert_eq!(records[0].process_id, 4711);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempdir().unwrap();
    let (writer, _) = open(dir.path(), Retention::Overwrite);
    let refused = Writer::open(options(dir.path(), Retention::Overwrite)).unwrap_err();
    assert!(matches!(refused, LogError::Locked { .. }), "{refused}");
    drop(writer);
    open(dir.path(), Retention::Overwrite);
}

#[test]
fn rotation_keeps_the_size_the_chain_and_the_account() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let mut policy = Policy::default();
    policy.set(Subcategory::IpsecMainMode, Some(Setting::SUCCESS));
    writer.append_policy(&[], Some(&policy), None).unwrap();
    assert_eq!(writer.filter_id("branch").unwrap(), 1);
    assert_eq!(writer.filter_id("office").unwrap(), 2);
    let block = writer.reserve_mmsa_ids(100).unwrap();
    writer.append(&[established(7)]).unwrap();
    let ipsec: Vec<_> = (2..5).map(ipsec_established).collect();
    writer.append(&ipsec).unwrap();
    fill(&mut writer, 0, 12_000);
    let reader = Reader::open(dir.path()).unwrap();
    let info = reader.info().unwrap();
    assert!(info.size <= SMALL, "{} bytes", info.size);
    assert!(info.segments >= 6, "{} segments", info.segments);
    assert!(info.floor.0 > 0, "nothing was overwritten");
    assert_eq!(info.last, Some(12_004));
    assert_eq!(info.retention, Some(Retention::Overwrite));
    assert_eq!(info.max_size, Some(SMALL));
    let verified = reader.verify(None).unwrap();
    assert_eq!(verified.records, info.records);
    assert_eq!(verified.head, writer.head());
    assert_eq!(
        ids(&all(&reader)),
        (info.first.unwrap()..=12_004).collect::<Vec<_>>()
    );
    // Its 4650 is long overwritten, and it is still owed its 4655.
    drop(writer);
    let (mut writer, recovery) = open(dir.path(), Retention::Overwrite);
    assert_eq!(recovery.orphans, [live(7)]);
    assert_eq!(recovery.ipsec_orphans, [2, 3, 4].map(live_ipsec));
    assert_eq!(writer.policy().unwrap(), policy);
    assert_eq!(writer.filter_id("office").unwrap(), 2);
    assert_eq!(writer.reserve_mmsa_ids(1).unwrap().start, block.end);
    assert_eq!(writer.counters().failed, 12_000);
    assert_eq!(writer.counters().live(), 1);
    assert_eq!(writer.counters().quick_mode.live(), 3);
}

#[test]
fn closed_segments_are_one_read_only_file_each() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 3_000);
    writer.tidy().unwrap();
    let segments = segments(dir.path());
    let (active, closed) = segments.split_last().unwrap();
    assert!(closed.len() > 2);
    for path in closed {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o440, "{}", path.display());
        let name = path.to_str().unwrap();
        assert!(!std::path::Path::new(&format!("{name}-wal")).exists());
    }
    assert_eq!(
        active.metadata().unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn the_smallest_log_keeps_most_of_its_size() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 10_000);
    let info = Reader::open(dir.path()).unwrap().info().unwrap();
    assert!(info.size > SMALL * 6 / 10, "{} bytes", info.size);
}

#[test]
fn archive_renames_the_oldest_and_says_where_to() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Archive);
    fill(&mut writer, 0, 8_000);
    writer.tidy().unwrap();
    let archives = archives(dir.path());
    assert!(archives.len() > 1);
    let reader = Reader::open(dir.path()).unwrap();
    let verified = reader.verify(None).unwrap();
    // Everything is either in the log or in an archive, and each archive verifies by itself.
    let mut seen = Vec::new();
    for archive in &archives {
        let archive = Reader::open(archive).unwrap();
        archive.verify(None).unwrap();
        seen.extend(ids(&all(&archive)));
    }
    seen.extend(ids(&all(&reader)));
    assert_eq!(seen, (1..=verified.head.0).collect::<Vec<_>>());
    let said = query(
        &reader,
        &Query {
            ids: vec![1105],
            ..Query::default()
        },
    );
    let newest = archives.last().unwrap().canonicalize().unwrap();
    assert_eq!(
        said.last().unwrap().record.values,
        ["Security", newest.to_str().unwrap()]
    );
    // The chain goes through: the oldest archive's end is where the next begins.
    let end = Reader::open(&archives[0]).unwrap().info().unwrap().head;
    let next = Reader::open(&archives[1]).unwrap().info().unwrap().floor;
    assert_eq!(end, next);
}

#[test]
fn stop_writes_one_1104_and_refuses_until_there_is_room() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Stop);
    let mut n = 0;
    let refused = loop {
        n += 1;
        match writer.append(&[failed(n)]) {
            Ok(_) => assert!(n < 100_000),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::Full));
    assert!(writer.is_full());
    let head = writer.head();
    assert!(matches!(writer.append(&[failed(1)]), Err(LogError::Full)));
    // The account goes on, and a refused entry left nothing in it.
    writer
        .append(&[account(&[AccountChange::Started, AccountChange::Failed])])
        .unwrap();
    assert_eq!(writer.head(), head);
    assert_eq!(writer.counters().failed, n);
    writer.close().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Stop);
    assert!(matches!(writer.append(&[failed(1)]), Err(LogError::Full)));
    let reader = Reader::open(dir.path()).unwrap();
    let full = query(
        &reader,
        &Query {
            ids: vec![1104],
            ..Query::default()
        },
    );
    assert_eq!(ids(&full), [head.0]);
    assert!(reader.info().unwrap().size <= SMALL);
    drop(writer);
    // More room: it goes on, with the next ID.
    let mut larger = options(dir.path(), Retention::Stop);
    larger.max_size *= 2;
    let (mut writer, _) = Writer::open(larger).unwrap();
    assert_eq!(writer.append(&[failed(1)]).unwrap().ids, [Some(head.0 + 1)]);
    assert!(!writer.is_full());
    reader.verify(None).unwrap();
}

#[test]
fn clear_names_the_old_head_and_keeps_the_account() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 2_000);
    writer.append(&[established(9)]).unwrap();
    let old = writer.head();
    let backup = dir.path().join("backup.db");
    let subject = Subject::unix(0, "root", "gw", None);
    writer.clear(subject.clone(), Some(&backup)).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let records = all(&reader);
    assert_eq!(ids(&records), [old.0 + 1]);
    assert_eq!(records[0].record.event_id, 1102);
    assert_eq!(records[0].record.values[1], "root");
    let named = format!("{}:{}", old.0, eventlog::hex(&old.1));
    let extra = records[0].record.extra.as_ref().unwrap();
    assert_eq!(extra.previous_head.as_ref(), Some(&named));
    assert_eq!(extra.advice, None);
    let json = records[0].json(false);
    assert_eq!(json["Extra"], serde_json::json!({ "PreviousHead": named }));
    let info = reader.info().unwrap();
    assert_eq!(info.floor, old);
    assert_eq!(info.segments, 1);
    reader.verify(Some(old)).unwrap();
    assert_eq!(writer.live().unwrap(), [live(9)]);
    assert_eq!(writer.counters().failed, 2_000);
    // The backup is the log of before, whole.
    let copy = Reader::open(&backup).unwrap();
    let verified = copy.verify(Some(old)).unwrap();
    assert_eq!((verified.records, verified.head), (2_001, old));
    assert_eq!(all(&copy).len(), 2_001);
    let refused = writer.clear(subject, Some(&backup)).unwrap_err();
    assert!(matches!(refused, LogError::BackupExists(_)));
    assert_eq!(all(&reader).len(), 1);
}

#[test]
fn orphans_and_lost_verdicts_are_reconciled_at_the_start() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let unaudited = account(&[AccountChange::Started, AccountChange::Established(None)]);
    let begun = account(&[AccountChange::Started]);
    writer
        .append(&[
            established(1),
            established(2),
            unaudited.clone(),
            unaudited,
            begun.clone(),
            begun,
            failed(3),
            account(&[AccountChange::Started, AccountChange::Superseded]),
            account(&[AccountChange::HeldBack(5), AccountChange::Discarded(4)]),
            account(&[AccountChange::DiscardedTold(3)]),
        ])
        .unwrap();
    writer
        .append(&[ended(&live(1), Cause::DeletedByPeer)])
        .unwrap();
    drop(writer);
    let (mut writer, recovery) = open(dir.path(), Retention::Overwrite);
    assert_eq!(recovery.orphans, [live(2)]);
    assert_eq!(recovery.interrupted, 2);
    assert_eq!(recovery.ended_uncounted, 2);
    let counters = recovery.counters;
    assert_eq!(
        counters,
        Counters {
            negotiations: 8,
            established: 4,
            failed: 1,
            superseded: 1,
            interrupted: 2,
            ended: 3,
            held_back: 5,
            untold: 1,
            quick_mode: QuickModeCounters::default(),
        }
    );
    assert_eq!(counters.live(), 1);
    // A crash before the orphans have their 4655: they are found again, and nothing is counted twice.
    drop(writer);
    let (again, recovery) = open(dir.path(), Retention::Overwrite);
    writer = again;
    assert_eq!(recovery.orphans, [live(2)]);
    assert_eq!(recovery.counters, counters);
    writer
        .append(&[ended(&recovery.orphans[0], Cause::OrphanedByCrash)])
        .unwrap();
    assert_eq!(writer.counters().live(), 0);
    drop(writer);
    let (_, recovery) = open(dir.path(), Retention::Overwrite);
    assert_eq!(recovery.orphans, []);
    assert_eq!(recovery.counters.ended, 4);
}

#[test]
fn orphaned_ipsec_sas_and_lost_verdicts_of_quick_mode_are_reconciled_at_the_start() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let unaudited = [
        AccountChange::QuickModeStarted,
        AccountChange::QuickModeEstablished(None),
    ];
    let failed = [
        AccountChange::QuickModeStarted,
        AccountChange::QuickModeFailed,
    ];
    writer
        .append(&[
            established(1),
            ipsec_established(1),
            ipsec_established(2),
            ipsec_established(3),
            account(&unaudited),
            account(&failed),
            account(&[AccountChange::QuickModeStarted]),
        ])
        .unwrap();
    writer
        .append(&[ipsec_ended(&live_ipsec(1), Cause::DeletedByPeer)])
        .unwrap();
    drop(writer);
    let quick_mode = QuickModeCounters {
        negotiations: 6,
        established: 4,
        failed: 1,
        interrupted: 1,
        ended: 2,
    };
    // A crash before the orphans have their 5452: they are found again, and nothing is counted twice.
    for _ in 0..2 {
        let (_, recovery) = open(dir.path(), Retention::Overwrite);
        assert_eq!(recovery.ipsec_orphans, [2, 3].map(live_ipsec));
        assert_eq!(recovery.counters.quick_mode, quick_mode);
        // Main Mode has its own account, and its own numbers.
        assert_eq!(recovery.orphans, [live(1)]);
        assert_eq!(recovery.counters.negotiations, 1);
    }
    let (mut writer, recovery) = open(dir.path(), Retention::Overwrite);
    for sa in &recovery.ipsec_orphans {
        let ended = ipsec_ended(sa, Cause::OrphanedByCrash);
        writer.append(&[ended]).unwrap();
    }
    assert_eq!(writer.counters().quick_mode.live(), 0);
    drop(writer);
    let (_, recovery) = open(dir.path(), Retention::Overwrite);
    assert_eq!(recovery.ipsec_orphans, []);
    assert_eq!(recovery.counters.quick_mode.ended, 4);
    assert_eq!(recovery.orphans, [live(1)]);
}

#[test]
fn queries_find_what_they_ask_for_over_all_segments() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let mut mmsa = 0;
    for round in 0..30 {
        fill(&mut writer, round * 50, 50);
        for _ in 0..5 {
            mmsa += 1;
            writer.append(&[established(mmsa)]).unwrap();
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    assert!(reader.info().unwrap().segments > 2);
    let everything = all(&reader);
    let filters: Vec<Query> = vec![
        Query {
            ids: vec![4650],
            ..Query::default()
        },
        Query {
            peer: Some(peer(77)),
            ..Query::default()
        },
        Query {
            outcome: Some(Outcome::Failure),
            since: Some(everything[200].time),
            until: Some(everything[900].time),
            ..Query::default()
        },
        Query {
            outcome: Some(Outcome::None),
            ..Query::default()
        },
        Query {
            after_record: Some(1_000),
            peer: Some(peer(1_200)),
            ..Query::default()
        },
        Query {
            xpath: Some(
                "*[System[EventID=4650 and EventRecordID > 700]]"
                    .parse()
                    .unwrap(),
            ),
            ..Query::default()
        },
        Query {
            xpath: Some(
                "*[EventData[Data[@Name='RemoteAddress']='10.9.0.77']]"
                    .parse()
                    .unwrap(),
            ),
            ..Query::default()
        },
        Query::default(),
    ];
    for filter in filters {
        let expected: Vec<u64> = everything
            .iter()
            .filter(|stored| {
                (filter.ids.is_empty() || filter.ids.contains(&stored.record.event_id))
                    && filter.peer.is_none_or(|p| stored.record.peer() == Some(p))
                    && filter.outcome.is_none_or(|o| stored.record.outcome() == o)
                    && filter.since.is_none_or(|t| stored.time >= t)
                    && filter.until.is_none_or(|t| stored.time <= t)
                    && filter.after_record.is_none_or(|id| stored.record_id > id)
                    && filter.xpath.as_ref().is_none_or(|x| x.matches(stored, 0))
            })
            .map(|stored| stored.record_id)
            .collect();
        assert_eq!(ids(&query(&reader, &filter)), expected, "{filter:?}");
        let reverse = Query {
            reverse: true,
            limit: Some(7),
            ..filter
        };
        let newest: Vec<u64> = expected.into_iter().rev().take(7).collect();
        assert_eq!(ids(&query(&reader, &reverse)), newest, "{reverse:?}");
    }
}

#[test]
fn a_reader_goes_on_while_the_log_is_rotated_under_it() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 3_000);
    let reader = Reader::open(dir.path()).unwrap();
    let mut records = reader.query(&Query::default());
    let mut newest_first = reader.query(&Query {
        reverse: true,
        ..Query::default()
    });
    let first = records.next().unwrap().unwrap().record_id;
    let last = newest_first.next().unwrap().unwrap().record_id;
    // Everything that the two have begun to read is overwritten.
    fill(&mut writer, 0, 20_000);
    let mut before = first;
    for record in records {
        let id = record.unwrap().record_id;
        assert!(id > before);
        before = id;
    }
    assert_eq!(
        before,
        writer.head().0,
        "a reader on its way sees the newest"
    );
    let mut before = last;
    for record in newest_first {
        let id = record.unwrap().record_id;
        assert!(id < before);
        before = id;
    }
    reader.verify(None).unwrap();
    // Readers kept segments from being closed; now they are not there any more.
    writer.tidy().unwrap();
    assert!(Reader::open(dir.path()).unwrap().info().unwrap().size <= SMALL);
}

#[test]
fn many_readers_and_a_writer_never_see_a_broken_log() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 100);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = Reader::open(dir.path()).unwrap();
                let mut checks = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) || checks == 0 {
                    reader.verify(None).unwrap();
                    let newest = Query {
                        reverse: true,
                        limit: Some(50),
                        ..Query::default()
                    };
                    let found = query(&reader, &newest);
                    assert_eq!(found.len(), 50);
                    assert!(
                        found
                            .windows(2)
                            .all(|w| w[0].record_id == w[1].record_id + 1)
                    );
                    checks += 1;
                }
            });
        }
        for round in 0..80 {
            fill(&mut writer, round * 200, 200);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(writer.head().0 == 16_100);
}

#[test]
fn a_number_of_an_sa_that_the_disk_was_not_told_of_is_in_no_record_twice() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let reserved = writer.reserve_mmsa_ids(10).unwrap();
    assert_eq!(writer.reserve_qmsa_ids(10).unwrap(), 1..11);
    let given = writer.give_mmsa_ids(5);
    assert_eq!(given.start, reserved.end);
    assert_eq!(writer.give_mmsa_ids(5).start, given.end);
    assert_eq!(writer.give_qmsa_ids(5), 11..16);
    // Nothing that was written has one of them: they may come again.
    std::mem::forget(writer);
    let copy = tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let (mut writer, _) = open(copy.path(), Retention::Overwrite);
    assert_eq!(writer.give_mmsa_ids(5), given);
    writer.give_qmsa_ids(5);
    writer.append(&[established(given.start)]).unwrap();
    drop(writer);
    let (mut writer, _) = open(copy.path(), Retention::Overwrite);
    assert_eq!(writer.reserve_mmsa_ids(1).unwrap().start, given.end);
    assert_eq!(writer.reserve_qmsa_ids(1).unwrap().start, 16);
}

#[test]
fn the_service_batches_and_answers_each_entry_once() {
    let dir = tempdir().unwrap();
    let (writer, _) = open(dir.path(), Retention::Overwrite);
    let service = Service::start(writer).unwrap();
    let (sender, answers) = channel();
    for n in 0..2_000u64 {
        let sender = sender.clone();
        service.submit(failed(n), move |result| {
            sender.send((n, result.unwrap().unwrap())).unwrap();
        });
    }
    let mut answered: Vec<(u64, u64)> = (0..2_000)
        .map(|_| answers.recv_timeout(Duration::from_secs(30)).unwrap())
        .collect();
    answered.sort_unstable();
    // In the order handed in.
    assert!(answered.iter().all(|(n, id)| *id == n + 1));
    assert_eq!(service.counters().unwrap().failed, 2_000);
    service.close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.verify(None).unwrap().head.0, 2_001);
}

#[test]
fn the_service_keeps_the_account_when_records_are_refused() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Stop);
    let mut n = 0;
    while writer.append(&[failed(n)]).is_ok() {
        n += 1;
    }
    let service = Service::start(writer).unwrap();
    let (sender, answers) = channel();
    for entry in [
        account(&[AccountChange::Started]),
        established(5),
        account(&[AccountChange::Failed]),
    ] {
        let sender = sender.clone();
        service.submit(entry, move |result| {
            sender.send(result).unwrap();
        });
    }
    let results: Vec<_> = (0..3)
        .map(|_| answers.recv_timeout(Duration::from_secs(30)).unwrap())
        .collect();
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 2);
    assert!(
        results
            .iter()
            .any(|result| matches!(result, Err(LogError::Full)))
    );
    let counters = service.counters().unwrap();
    assert_eq!((counters.negotiations, counters.failed), (n + 1, n + 1));
    assert_eq!(counters.established, 0);
    service.close().unwrap();
    let (_, recovery) = open(dir.path(), Retention::Stop);
    assert_eq!(recovery.counters, counters);
}

#[test]
fn an_sa_that_ends_without_a_record_is_no_orphan() {
    let dir = tempdir().unwrap();
    let (writer, _) = open(dir.path(), Retention::Overwrite);
    let service = Service::start(writer).unwrap();
    // Both may go into one transaction, whose account must not strike the SA before it is listed.
    for mmsa in 1..50 {
        service.submit(established(mmsa), |result| {
            result.unwrap();
        });
        service.submit(account(&[AccountChange::Ended { mmsa_id: mmsa }]), |_| {});
        service.submit(ipsec_established(mmsa), |result| {
            result.unwrap();
        });
        let ended = AccountChange::QuickModeEnded { qmsa_id: mmsa };
        service.submit(account(&[ended]), |_| {});
    }
    service.close().unwrap();
    let (_, recovery) = open(dir.path(), Retention::Overwrite);
    assert_eq!(recovery.orphans, []);
    assert_eq!(recovery.ipsec_orphans, []);
    assert_eq!(recovery.counters.ended, 49);
    assert_eq!(recovery.counters.quick_mode.ended, 49);
}

#[test]
fn a_record_too_large_is_refused_and_harms_nothing() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    let mut large = failed(1);
    large.record.as_mut().unwrap().values[0] = "x".repeat(eventlog::MAX_RECORD + 1);
    let refused = writer.append(&[failed(0), large]).unwrap_err();
    assert!(matches!(refused, LogError::RecordTooLarge { .. }));
    assert_eq!(writer.append(&[failed(1)]).unwrap().ids, [Some(1)]);
}

#[test]
fn an_absent_log_is_said_to_be_absent() {
    let dir = tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(LogError::NoLog(_))));
    assert!(matches!(
        Reader::open(dir.path().join("none")),
        Err(LogError::NoLog(_))
    ));
    std::fs::write(dir.path().join("security-0000000001.db"), "no database").unwrap();
    let opened = Writer::open(Options {
        ..options(dir.path(), Retention::Overwrite)
    });
    assert!(opened.is_err());
}

#[test]
fn a_newest_segment_that_was_taken_away_does_not_stop_the_log() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 2_000);
    writer.tidy().unwrap();
    let head = writer.head();
    drop(writer);
    let newest = segments(dir.path()).pop().unwrap();
    std::fs::remove_file(newest).unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    writer.append(&[failed(1)]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let last = writer.head().0;
    let fault = reader.verify(None).unwrap_err();
    assert_eq!(fault.record_id, last - 1, "{fault}");
    let ids = reader
        .query(&Query::default())
        .map(|record| record.unwrap().record_id);
    assert!(ids.eq(1..=last));
    assert!(head.0 > last);
    reader.verify(Some(head)).unwrap_err();
}

#[test]
fn an_archive_is_read_on_its_own_and_verified_from_its_first_record() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Archive);
    let mut n = 0;
    while archives(dir.path()).len() < 2 {
        fill(&mut writer, n, 512);
        writer.tidy().unwrap();
        n += 512;
    }
    let file = archives(dir.path()).remove(1);
    let reader = Reader::open_file(&file).unwrap();
    let info = reader.info().unwrap();
    let (first, last) = (info.first.unwrap(), info.last.unwrap());
    assert!(first > 1);
    let verified = reader.verify(None).unwrap();
    assert_eq!(
        (verified.first, verified.head.0, verified.floor.0),
        (Some(first), last, first - 1)
    );
    assert!(reader.verify(Some(verified.head)).unwrap().anchored);
    assert!(reader.verify(Some(verified.floor)).unwrap().anchored);
    let fault = reader.verify(Some((last, [7; 32]))).unwrap_err();
    assert!(matches!(fault.what, FaultKind::Anchor { .. }), "{fault}");
    // What another file holds is not missing in this one.
    for id in [first - 2, last + 1] {
        let fault = reader.verify(Some((id, [7; 32]))).unwrap_err();
        let floor = first - 1;
        assert_eq!(fault.what, FaultKind::AnchorElsewhere { id, floor, last });
    }
    let ids = reader
        .query(&Query::default())
        .map(|record| record.unwrap().record_id);
    assert!(ids.eq(first..=last));
}

#[test]
fn a_file_that_is_none_of_a_log_is_named_as_that() {
    let dir = tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "not a database, however long it is\n".repeat(100)).unwrap();
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (c)")
        .unwrap();
    for path in [text, other, dir.path().to_owned()] {
        let said = Reader::open_file(&path).unwrap_err().to_string();
        let wanted = format!("{} is no file of a log: ", path.display());
        assert!(said.starts_with(&wanted), "{said}");
    }
    let said = Reader::open_file(dir.path().join("absent"))
        .unwrap_err()
        .to_string();
    assert!(said.starts_with("cannot open "), "{said}");
}

#[test]
fn a_query_that_goes_on_from_a_record_knows_what_was_removed_since() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 10);
    let reader = Reader::open(dir.path()).unwrap();
    let after = |after_record| Query {
        after_record,
        ..Query::default()
    };
    let clear = |writer: &mut Writer| {
        let subject = audit::Subject::unix(0, "root", "gw", None);
        writer.clear(subject, None).unwrap();
    };
    clear(&mut writer);
    // 11 is the 1102.
    let mut records = reader.query(&after(Some(7)));
    assert_eq!(records.next().unwrap().unwrap().record_id, 11);
    assert_eq!(records.take_removed(), Some(8..=10));
    assert_eq!(records.take_removed(), None);
    for nothing in [Some(10), None] {
        let mut records = reader.query(&after(nothing));
        assert_eq!(records.next().unwrap().unwrap().record_id, 11);
        assert_eq!(records.take_removed(), None);
    }
    // In the middle of it, with a segment still to come.
    fill(&mut writer, 0, 2_000);
    assert!(segments(dir.path()).len() > 2);
    let mut records = reader.query(&after(Some(11)));
    assert_eq!(records.next().unwrap().unwrap().record_id, 12);
    clear(&mut writer);
    let cleared = writer.head().0;
    let read: Vec<u64> = records
        .by_ref()
        .map(|record| record.unwrap().record_id)
        .collect();
    let removed = records.take_removed().unwrap();
    assert!(
        (13..*removed.start()).chain([cleared]).eq(read),
        "{removed:?}"
    );
    assert_eq!(*removed.end(), cleared - 1);
}

#[test]
fn entries_are_cheap_to_make() {
    // A default entry writes nothing and is no error.
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    assert_eq!(writer.append(&[Entry::default()]).unwrap().ids, [None]);
    assert_eq!(writer.append(&[]).unwrap().ids, []);
}

#[test]
fn without_the_active_segment_the_closed_ones_are_read() {
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 2_000);
    writer.tidy().unwrap();
    drop(writer);
    // A socket in its place can be opened by nobody, as a file of the writer's by a reader.
    let active = segments(dir.path()).pop().unwrap();
    let first = Reader::open(&active)
        .unwrap()
        .info()
        .unwrap()
        .first
        .unwrap();
    std::fs::remove_file(&active).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&active).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let records = all(&reader);
    assert_eq!(ids(&records), (1..first).collect::<Vec<_>>());
    let verified = reader.verify(None).unwrap();
    assert!(!verified.complete);
    assert_eq!(verified.head.0, first - 1);
    assert!(!reader.info().unwrap().complete);
}
