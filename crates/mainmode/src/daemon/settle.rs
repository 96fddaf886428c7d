//! What a start settles before anything else: what a crash left without its end.

use audit::{Cause, Event, Extra, MainModeEnded, Policy};
use eventlog::{AccountChange, Counters, Entry, LogError, Recovery, Writer};

use super::journal::{self, Trouble};
use crate::control::Peer;
use crate::policy;

/// Tells what changed while no daemon ran, gives SAs that a crash orphaned their 5452 or 4655, and the account of all
/// starts before this one. A log that takes no records keeps no daemon from starting: these ends are then counted
/// alone.
pub fn settle(
    writer: &mut Writer,
    policy: &Policy,
    recovery: &Recovery,
    trouble: &Trouble,
) -> Result<Counters, LogError> {
    if recovery.newest_removed {
        trouble.newest_was_removed();
    }
    if let Err(error) = policy::started(writer, policy, &Peer::this_process().subject()) {
        trouble.note(&error);
    }
    let entry = |event: Event, activity, connection: &Option<String>, change| {
        let extra = Extra {
            connection: connection.clone(),
            cause: Some(Cause::OrphanedByCrash),
            ..Extra::default()
        };
        let asked = policy.asks_for(event.id());
        Entry {
            record: asked.then(|| event.into_record(Some(activity), extra)),
            account: vec![change],
        }
    };
    let ipsec = recovery.ipsec_orphans.iter().map(|sa| {
        let qmsa_id = sa.end.qmsa_id;
        let change = AccountChange::QuickModeEnded { qmsa_id };
        let event = Event::QuickModeEnded(sa.end);
        entry(event, sa.activity, &sa.connection, change)
    });
    let main_mode = recovery.orphans.iter().map(|sa| {
        let mmsa_id = sa.mmsa_id;
        let change = AccountChange::Ended { mmsa_id };
        let event = Event::MainModeEnded(MainModeEnded {
            local: sa.local,
            remote: sa.remote,
            key_mod: sa.key_mod,
            mmsa_id,
        });
        entry(event, sa.activity, &sa.connection, change)
    });
    // As in a stop: what is under a Main Mode SA ends before it.
    let entries: Vec<Entry> = ipsec.chain(main_mode).collect();
    let mut rest = &entries[..];
    // In as many transactions as they would have taken in their time: in one they might be more than the log.
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(rest.len().min(eventlog::BATCH));
        if let Err(error) = writer.append(batch) {
            let lost = rest.iter().filter(|entry| entry.record.is_some()).count() as u64;
            let account = rest.iter().flat_map(|entry| entry.account.clone());
            let account = account.chain(journal::discarded(lost)).collect();
            let record = None;
            writer.append(&[Entry { record, account }])?;
            trouble.note(&error);
            break;
        }
        rest = later;
    }
    let counters = writer.counters();
    // Also what an earlier start had no time to tell of.
    trouble.missed(u64::try_from(counters.untold).unwrap_or(0));
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use audit::{ActivityId, KeyMod, Setting, Subcategory};
    use eventlog::{LiveSa, MIN_SIZE, Options, Query, Reader, Retention};

    use super::*;

    fn open(directory: &Path, retention: Retention) -> (Writer, Recovery) {
        let options = Options {
            directory: directory.to_owned(),
            max_size: MIN_SIZE,
            retention,
            computer: "gw".to_owned(),
            process_id: 1,
        };
        Writer::open(options).expect("open")
    }

    fn established(mmsa_id: u64) -> Entry {
        let sa = LiveSa {
            mmsa_id,
            local: [192, 0, 2, 1].into(),
            remote: [198, 51, 100, 7].into(),
            key_mod: KeyMod::IkeV1,
            activity: ActivityId([7; 16]),
            connection: Some("branch".to_owned()),
        };
        Entry {
            record: None,
            account: vec![AccountChange::Started, AccountChange::Established(Some(sa))],
        }
    }

    #[test]
    fn the_ends_of_many_sas_that_a_crash_orphaned_keep_a_small_log_to_its_size() {
        /// Their 4655s take more than the log.
        const SAS: u64 = 10_000;
        for retention in [Retention::Overwrite, Retention::Stop] {
            let folder = tempfile::tempdir().expect("a folder");
            let (mut writer, _) = open(folder.path(), retention);
            let entries: Vec<Entry> = (1..=SAS).map(established).collect();
            writer.append(&entries).expect("written");
            drop(writer);
            let (mut writer, recovery) = open(folder.path(), retention);
            assert_eq!(recovery.orphans.len() as u64, SAS);
            let mut policy = Policy::default();
            policy.set(Subcategory::IpsecMainMode, Some(Setting::BOTH));
            let trouble = Trouble::default();
            let counters = settle(&mut writer, &policy, &recovery, &trouble).expect("settled");
            assert_eq!((counters.ended, counters.live()), (SAS, 0));
            assert!(writer.live().expect("read").is_empty());
            let reader = Reader::open(folder.path()).expect("a log");
            let info = reader.info().expect("read");
            assert!(info.size < MIN_SIZE * 3 / 2, "{info:?}");
            let ended = Query {
                ids: vec![4655],
                ..Query::default()
            };
            let ended = reader.query(&ended).count() as u64;
            assert!(ended > 1_000, "{ended}");
            // What there was no room for is counted.
            let lost = u64::try_from(counters.untold).expect("a number");
            match retention {
                Retention::Stop => assert_eq!(ended + lost, SAS),
                _ => assert_eq!(lost, 0),
            }
            reader.verify(None).expect("whole");
        }
    }
}
