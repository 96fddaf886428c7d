//! How large segments become: each begins with all live SAs, and they take no history away.

mod support;

use eventlog::{Entry, LogError, Query, Reader, Retention, Writer};
use support::*;
use tempfile::tempdir;

/// Bytes of a live SA in a segment: what docs/configuration.md says.
const LIVE_SA: u64 = 54;

/// So many SAs that stand, and the last of their numbers.
fn stand(writer: &mut Writer, count: u64) {
    let entries: Vec<Entry> = (1..=count).map(established).collect();
    for batch in entries.chunks(64) {
        writer.append(batch).unwrap();
    }
}

fn open_sized(directory: &std::path::Path, size: u64, retention: Retention) -> Writer {
    let mut options = options(directory, retention);
    options.max_size = size;
    Writer::open(options).unwrap().0
}

#[test]
fn a_log_full_of_live_sas_keeps_its_records_and_its_size() {
    for (size, count) in [(2 << 20, 10_000), (1 << 20, 6_000), (8 << 20, 30_000)] {
        let dir = tempdir().unwrap();
        let mut writer = open_sized(dir.path(), size, Retention::Overwrite);
        stand(&mut writer, count);
        let reader = Reader::open(dir.path()).unwrap();
        // What is written into a segment at the least: an SA takes some 200 bytes, its place in the list with it.
        let least = size / 12 / 200;
        let mut segments = 0;
        for n in 0..40 {
            fill(&mut writer, n * 64, 64);
            let info = reader.info().unwrap();
            assert!(info.records >= least, "{size}: {info:?}");
            segments = segments.max(info.segments);
            let carried = 28_000 + 60_000 + LIVE_SA * count;
            let bound = if carried <= size / 3 {
                size
            } else {
                2 * (carried + size / 12) + size / 9
            };
            assert!(info.size <= bound, "{size}: {bound}: {info:?}");
        }
        assert!(segments >= 2);
        drop(writer);
        // What a segment began with is known after a start as well.
        let mut writer = open_sized(dir.path(), size, Retention::Overwrite);
        let before = reader.info().unwrap().last;
        fill(&mut writer, 0, least);
        let info = reader.info().unwrap();
        assert!(info.first < before, "{info:?}");
        assert_eq!(writer.live().unwrap().len() as u64, count);
        reader.verify(Some(writer.head())).unwrap();
    }
}

#[test]
fn a_rotation_for_live_sas_takes_no_more_than_one_segment_when_the_list_stays_as_it_is() {
    let dir = tempdir().unwrap();
    let mut writer = open_sized(dir.path(), 4 << 20, Retention::Overwrite);
    stand(&mut writer, 5_000);
    fill(&mut writer, 0, 30_000);
    let reader = Reader::open(dir.path()).unwrap();
    let mut before = segments(dir.path());
    let mut rotations = 0;
    for n in 0..400 {
        fill(&mut writer, n * 64, 64);
        writer.tidy().unwrap();
        let now = segments(dir.path());
        let gone = before.iter().filter(|segment| !now.contains(segment));
        assert!(gone.count() <= 1);
        rotations += usize::from(now != before);
        before = now;
    }
    assert!(rotations > 3);
    reader.verify(None).unwrap();
}

#[test]
fn live_ipsec_sas_count_like_those_of_main_mode() {
    let dir = tempdir().unwrap();
    let size = 4 << 20;
    let mut writer = open_sized(dir.path(), size, Retention::Overwrite);
    let entries: Vec<Entry> = (1..=8_000).map(ipsec_established).collect();
    let reader = Reader::open(dir.path()).unwrap();
    for batch in entries.chunks(64) {
        writer.append(batch).unwrap();
        assert!(reader.info().unwrap().size <= size);
    }
    for n in 0..200 {
        fill(&mut writer, n * 64, 64);
        let info = reader.info().unwrap();
        assert!(info.size <= size, "{info:?}");
        // Of two segments at the least; an IPsec SA takes some 300 bytes, its place in the list with it.
        assert!(info.records >= 2 * size / 12 / 300, "{info:?}");
    }
    assert_eq!(writer.live_ipsec().unwrap().len(), 8_000);
    reader.verify(None).unwrap();
}

#[test]
fn archives_are_as_few_as_the_records_ask_for() {
    let dir = tempdir().unwrap();
    let mut writer = open_sized(dir.path(), 1 << 20, Retention::Archive);
    stand(&mut writer, 6_000);
    writer.tidy().unwrap();
    let archives = archives(dir.path());
    assert!(archives.len() < 16, "{}", archives.len());
    for archive in archives {
        Reader::open_file(archive).unwrap().verify(None).unwrap();
    }
}

#[test]
fn a_log_that_stops_takes_as_many_records_after_each_clearing() {
    let dir = tempdir().unwrap();
    let mut writer = open_sized(dir.path(), 1 << 20, Retention::Stop);
    let mut sas = (1..).map(established);
    let mut taken = Vec::new();
    for round in 0..4 {
        let mut count = 0;
        loop {
            // At first SAs, which stay.
            let entry = match round {
                0 => sas.next().unwrap(),
                _ => failed(count),
            };
            match writer.append(&[entry]) {
                Ok(_) => count += 1,
                Err(LogError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let reader = Reader::open(dir.path()).unwrap();
        assert!(reader.info().unwrap().size <= 1 << 20);
        let full = reader.query(&Query {
            ids: vec![1104],
            ..Query::default()
        });
        assert_eq!(full.count(), 1);
        taken.push(count);
        let subject = audit::Subject::unix(0, "root", "gw", None);
        writer.clear(subject, None).unwrap();
    }
    let [first, later @ ..] = &taken[..] else {
        panic!("{taken:?}");
    };
    assert!(*first > 2_000, "{taken:?}");
    for count in later {
        assert!(*count > 2_000, "{taken:?}");
    }
}

#[test]
fn a_little_more_room_is_taken_in_the_same_segment_and_told_when_it_is_over() {
    let dir = tempdir().unwrap();
    let mut size = 1 << 20;
    for full in 1..4 {
        let mut writer = open_sized(dir.path(), size, Retention::Stop);
        let before = segments(dir.path());
        let mut count = 0;
        while writer.append(&[failed(count)]).is_ok() {
            assert!(!writer.is_full());
            count += 1;
        }
        assert!(writer.is_full() && count > 100, "{count}");
        if full > 1 {
            assert_eq!(segments(dir.path()), before);
        }
        let told = Reader::open(dir.path()).unwrap().query(&Query {
            ids: vec![1104],
            ..Query::default()
        });
        assert_eq!(told.count(), full);
        size += 48 << 10;
    }
}
