//! Any sequence of appends, rotations, clearings and reopenings leaves a log that verifies and an
//! account that balances.

mod support;

use audit::{Cause, Subject};
use eventlog::{AccountChange, Counters, Entry, LogError, Query, Reader, Retention, Writer};
use proptest::prelude::*;
use support::*;
use tempfile::tempdir;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Kind>),
    /// Enough to rotate.
    Flood(u64),
    Reopen(Retention),
    Crash,
    Clear,
    Reserve(u64),
    Filter(u8),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Failed,
    Established,
    Unaudited,
    Begun,
    Ended,
    QuickFailed,
    IpsecEstablished,
    IpsecUnaudited,
    QuickBegun,
    IpsecEnded,
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::Failed),
        Just(Kind::Established),
        Just(Kind::Unaudited),
        Just(Kind::Begun),
        Just(Kind::Ended),
        Just(Kind::QuickFailed),
        Just(Kind::IpsecEstablished),
        Just(Kind::IpsecUnaudited),
        Just(Kind::QuickBegun),
        Just(Kind::IpsecEnded),
    ];
    let retention = prop_oneof![
        Just(Retention::Overwrite),
        Just(Retention::Archive),
        Just(Retention::Stop)
    ];
    prop_oneof![
        6 => proptest::collection::vec(kind, 0..40).prop_map(Step::Append),
        3 => (100..1500u64).prop_map(Step::Flood),
        2 => retention.prop_map(Step::Reopen),
        2 => Just(Step::Crash),
        1 => Just(Step::Clear),
        1 => (1..50u64).prop_map(Step::Reserve),
        1 => (0..5u8).prop_map(Step::Filter),
    ]
}

/// What the log should know.
#[derive(Default)]
struct Model {
    counters: Counters,
    listed: Vec<u64>,
    listed_ipsec: Vec<u64>,
    head: u64,
    next_mmsa: u64,
    filters: Vec<u8>,
}

impl Model {
    fn entry(&mut self, kind: Kind) -> Entry {
        let counters = &mut self.counters;
        match kind {
            Kind::Failed => {
                counters.negotiations += 1;
                counters.failed += 1;
                failed(self.head)
            }
            Kind::Established => {
                counters.negotiations += 1;
                counters.established += 1;
                let id = self.next_mmsa;
                self.next_mmsa += 1;
                self.listed.push(id);
                established(id)
            }
            Kind::Unaudited => {
                counters.negotiations += 1;
                counters.established += 1;
                account(&[AccountChange::Started, AccountChange::Established(None)])
            }
            Kind::Begun => {
                counters.negotiations += 1;
                account(&[AccountChange::Started])
            }
            Kind::Ended => match self.listed.pop() {
                Some(id) => {
                    counters.ended += 1;
                    ended(&live(id), Cause::Expired)
                }
                None => Entry::default(),
            },
            kind => self.quick_entry(kind),
        }
    }

    fn quick_entry(&mut self, kind: Kind) -> Entry {
        let counters = &mut self.counters.quick_mode;
        if matches!(kind, Kind::IpsecEnded) {
            return match self.listed_ipsec.pop() {
                Some(id) => {
                    counters.ended += 1;
                    ipsec_ended(&live_ipsec(id), Cause::Expired)
                }
                None => Entry::default(),
            };
        }
        counters.negotiations += 1;
        let started = AccountChange::QuickModeStarted;
        match kind {
            Kind::QuickFailed => {
                counters.failed += 1;
                account(&[started, AccountChange::QuickModeFailed])
            }
            Kind::IpsecEstablished => {
                counters.established += 1;
                let id = self.next_mmsa;
                self.next_mmsa += 1;
                self.listed_ipsec.push(id);
                ipsec_established(id)
            }
            Kind::IpsecUnaudited => {
                counters.established += 1;
                account(&[started, AccountChange::QuickModeEstablished(None)])
            }
            _ => account(&[started]),
        }
    }

    fn restart(&mut self) {
        self.counters.interrupted += self.counters.pending();
        self.counters.ended = self.counters.established - self.listed.len() as u64;
        let quick_mode = &mut self.counters.quick_mode;
        quick_mode.interrupted += quick_mode.pending();
        quick_mode.ended = quick_mode.established - self.listed_ipsec.len() as u64;
    }
}

/// Appends, and lets the model know unless the log is full.
fn append(writer: &mut Writer, model: &mut Model, kinds: &[Kind]) {
    let listed = (model.listed.clone(), model.listed_ipsec.clone());
    let before = (model.counters, listed);
    let entries: Vec<Entry> = kinds.iter().map(|kind| model.entry(*kind)).collect();
    match writer.append(&entries) {
        Ok(appended) => {
            let ids: Vec<u64> = appended.ids.iter().copied().flatten().collect();
            // Rotation may have put a 1105 before them; among themselves they have no gap.
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
            if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
                assert!(*first > model.head);
                model.head = *last;
            }
        }
        Err(LogError::Full) => {
            // Nothing of it counts.
            (model.counters, (model.listed, model.listed_ipsec)) = before;
            model.head = writer.head().0;
        }
        Err(error) => panic!("{error}"),
    }
}

fn check(directory: &std::path::Path, writer: &mut Writer, model: &Model) {
    assert_eq!(writer.counters(), model.counters);
    let mut listed: Vec<u64> = writer.live().unwrap().iter().map(|sa| sa.mmsa_id).collect();
    listed.sort_unstable();
    let mut expected = model.listed.clone();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let mut expected: Vec<_> = model.listed_ipsec.iter().copied().map(live_ipsec).collect();
    expected.sort_unstable_by_key(|sa| sa.end.qmsa_id);
    assert_eq!(writer.live_ipsec().unwrap(), expected);
    let reader = Reader::open(directory).unwrap();
    let verified = reader.verify(None).unwrap();
    assert_eq!(verified.head, writer.head());
    let ids: Vec<u64> = reader
        .query(&Query::default())
        .map(|record| record.unwrap().record_id)
        .collect();
    assert_eq!(
        ids,
        (verified.floor.0 + 1..=verified.head.0).collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_steps_leaves_a_log_that_verifies(
        steps in proptest::collection::vec(any_step(), 1..14)
    ) {
        let dir = tempdir().unwrap();
        let mut retention = Retention::Overwrite;
        let mut writer = open(dir.path(), retention).0;
        let mut model = Model {
            next_mmsa: 1_000_000,
            ..Model::default()
        };
        let mut reserved = 1;
        for step in steps {
            match step {
                Step::Append(kinds) => append(&mut writer, &mut model, &kinds),
                Step::Flood(count) => {
                    for _ in 0..count.div_ceil(50) {
                        append(&mut writer, &mut model, &[Kind::Failed; 50]);
                    }
                }
                Step::Reopen(next) => {
                    writer.close().unwrap();
                    retention = next;
                    model.restart();
                    let (again, recovery) = open(dir.path(), retention);
                    prop_assert_eq!(recovery.counters, model.counters);
                    writer = again;
                    model.head = writer.head().0;
                }
                Step::Crash => {
                    drop(writer);
                    model.restart();
                    let (again, recovery) = open(dir.path(), retention);
                    prop_assert_eq!(recovery.orphans.len(), model.listed.len());
                    prop_assert_eq!(recovery.ipsec_orphans.len(), model.listed_ipsec.len());
                    writer = again;
                    model.head = writer.head().0;
                }
                Step::Clear => {
                    writer.clear(Subject::unix(0, "root", "gw", None), None).unwrap();
                    model.head = writer.head().0;
                    let first = Reader::open(dir.path()).unwrap().query(&Query::default()).next();
                    prop_assert_eq!(first.unwrap().unwrap().record.event_id, 1102);
                }
                Step::Reserve(n) => {
                    let range = writer.reserve_mmsa_ids(n).unwrap();
                    prop_assert_eq!(range.clone(), reserved..reserved + n);
                    reserved = range.end;
                }
                Step::Filter(name) => {
                    if !model.filters.contains(&name) {
                        model.filters.push(name);
                    }
                    let at = model.filters.iter().position(|known| *known == name).unwrap();
                    let id = writer.filter_id(&name.to_string()).unwrap();
                    prop_assert_eq!(id, at as u64 + 1);
                }
            }
            check(dir.path(), &mut writer, &model);
        }
    }
}
