use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

use audit::{
    ActivityId, AuthMethod, KeyMod, MainModeEnded, MainModeEstablished, Mode, QuickModeEstablished,
    Role, Setting, Subcategory, TrafficEnd,
};
use eventlog::{Counters, Options, QUEUE, Query, Reader, Recovery, Retention, Writer};

use super::*;

/// A journal on a log of its own, and what it told of tickets.
struct Desk {
    folder: tempfile::TempDir,
    journal: Journal,
    tickets: Receiver<(Ticket, bool)>,
}

impl Desk {
    fn new(setting: Option<Setting>, when_unwritable: WhenUnwritable) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (writer, _) = Writer::open(options(&folder)).expect("open");
        let service = Service::start(writer).expect("started");
        let mut policy = Policy::default();
        policy.set(Subcategory::IpsecMainMode, setting);
        policy.set(Subcategory::IpsecQuickMode, setting);
        let (sender, tickets): (Sender<_>, _) = channel();
        let told: Told = Arc::new(move |ticket, ok| {
            let _ = sender.send((ticket, ok));
        });
        let policy = Arc::new(RwLock::new(policy));
        let trouble = Arc::default();
        let mut journal = Journal::new(service, policy, when_unwritable, told, trouble);
        // For those that fill the queue.
        journal.patience = Duration::from_millis(10);
        Self {
            folder,
            journal,
            tickets,
        }
    }

    fn told(&self) -> (Ticket, bool) {
        self.tickets
            .recv_timeout(Duration::from_secs(30))
            .expect("every ticket is told of")
    }

    fn established(&self, number: u64) {
        let address: SocketAddr = "192.0.2.1:500".parse().expect("an address");
        let event = Event::MainModeEstablished(MainModeEstablished {
            local_name: None,
            remote_name: None,
            local: address,
            remote: address,
            key_mod: KeyMod::IkeV1,
            auth: AuthMethod::PresharedKey,
            cipher: "%%8237",
            integrity: "%%8242",
            group: "%%8232",
            lifetime: Duration::from_mins(1),
            qm_limit: 0,
            role: Role::Initiator,
            filter_id: 1,
            mmsa_id: number,
        });
        self.event(number, event);
    }

    fn ended(&self, number: u64) {
        let address = [192, 0, 2, 1].into();
        let event = Event::MainModeEnded(MainModeEnded {
            local: address,
            remote: address,
            key_mod: KeyMod::IkeV1,
            mmsa_id: number,
        });
        self.event(number, event);
    }

    fn ipsec_established(&self, number: u64) {
        let address = [192, 0, 2, 1].into();
        let event = Event::QuickModeEstablished(QuickModeEstablished {
            local: TrafficEnd::host(address, 0),
            remote: TrafficEnd::host(address, 443),
            peer_private: None,
            protocol: 6,
            key_mod: KeyMod::IkeV1,
            ah_auth: "%%8229",
            esp_auth: "%%8242",
            cipher: "%%8237",
            lifetime: Duration::from_mins(1),
            lifetime_kilobytes: None,
            lifetime_packets: None,
            mode: Mode::Transport,
            role: Role::Initiator,
            filter_id: 1,
            mmsa_id: 1,
            qmsa_id: number,
            inbound_spi: 256,
            outbound_spi: 257,
        });
        self.event(number, event);
    }

    fn ipsec_ended(&self, number: u64) {
        let address = [192, 0, 2, 1].into();
        let event = Event::QuickModeEnded(QuickModeEnded {
            local: TrafficEnd::host(address, 0),
            remote: TrafficEnd::host(address, 443),
            mode: Mode::Transport,
            protocol: 6,
            qmsa_id: number,
        });
        self.event(number, event);
    }

    /// What the next start finds after a crash: what is not on disk by now is gone.
    fn crash(self) -> (Writer, Recovery) {
        let Desk {
            folder, journal, ..
        } = self;
        std::mem::forget(journal);
        let copy = tempfile::tempdir().expect("a folder");
        for file in std::fs::read_dir(folder.path()).expect("listed") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
        }
        Writer::open(options(&copy)).expect("open")
    }

    fn event(&self, number: u64, event: Event) {
        self.journal.audit(AuditOutput {
            ticket: Ticket(number),
            event,
            activity: Some(ActivityId([7; 16])),
            extra: Extra::default(),
        });
    }

    fn counters(&self) -> Counters {
        self.journal.service().counters().expect("the log works")
    }

    fn ids(&self) -> Vec<u16> {
        let reader = Reader::open(self.folder.path()).expect("open");
        let record = |record: Result<audit::StoredRecord, _>| record.expect("a record");
        reader
            .query(&Query::default())
            .map(|found| record(found).record.event_id)
            .collect()
    }

    /// Keeps the log's thread from working until what is given back is dropped; it then changes the policy.
    fn block(&self) -> Sender<()> {
        let policy = self.journal.policy.clone();
        let (go, wait) = channel::<()>();
        let (begun, has_begun) = channel();
        let caller = self.journal.service().caller();
        std::thread::spawn(move || {
            let _ = caller.call(move |_| {
                let _ = begun.send(());
                let _ = wait.recv();
                drop(policy.write());
                Ok(())
            });
        });
        has_begun.recv().expect("the log's thread is blocked");
        go
    }

    fn fill_queue(&self) {
        for _ in 0..QUEUE {
            self.journal.service().submit(Entry::default(), |_| ());
        }
    }
}

fn options(folder: &tempfile::TempDir) -> Options {
    Options {
        directory: folder.path().to_owned(),
        max_size: 4 << 20,
        retention: Retention::Overwrite,
        computer: "gw".to_owned(),
        process_id: 7,
    }
}

#[test]
fn what_is_held_back_is_gathered_for_a_minute_and_told_in_one_4612() {
    let mut desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Continue);
    let start = Instant::now();
    for _ in 0..50 {
        desk.journal.account(Account::InvalidHeldBack);
        assert!(desk.journal.tick(start, false).is_some());
    }
    let almost = start + DISCARDED_EVERY / 2;
    desk.journal.account(Account::InvalidHeldBack);
    assert!(desk.journal.tick(almost, false).is_some());
    assert_eq!(desk.counters().held_back, 51);
    assert!(desk.ids().is_empty());
    desk.journal.tick(start + DISCARDED_EVERY, false);
    assert_eq!(desk.counters().held_back, 51);
    assert_eq!(desk.ids(), [4612]);
    // Nothing more to tell, and nothing to wait for.
    assert_eq!(desk.journal.tick(start + DISCARDED_EVERY * 5, false), None);
    assert_eq!(desk.ids(), [4612]);
}

#[test]
fn what_the_policy_does_not_ask_for_is_counted_and_no_4612() {
    let mut desk = Desk::new(None, WhenUnwritable::Continue);
    desk.journal.account(Account::Started);
    desk.journal.account(Account::FailedHeldBack);
    desk.journal.account(Account::InvalidHeldBack);
    assert_eq!(desk.journal.tick(Instant::now(), true), None);
    let c = desk.counters();
    assert_eq!((c.negotiations, c.failed, c.held_back), (1, 1, 2));
    assert_eq!(desk.journal.trouble().held_back(), 2);
    assert!(desk.ids().is_empty());
}

#[test]
fn a_negotiations_start_is_on_disk_with_its_verdict_at_the_latest() {
    let desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Continue);
    desk.journal.account(Account::Started);
    desk.established(1);
    assert_eq!(desk.told(), (Ticket(1), true));
    assert_eq!(desk.ids(), [4650]);
    let (writer, recovery) = desk.crash();
    assert_eq!(recovery.orphans.len(), 1);
    let c = writer.counters();
    assert_eq!((c.negotiations, c.established, c.interrupted), (1, 1, 0));
}

#[test]
fn an_ipsec_sa_whose_5451_is_written_is_owed_what_its_5452_says() {
    let desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Continue);
    for number in [1, 2] {
        desk.journal.account(Account::QuickModeStarted);
        desk.ipsec_established(number);
        assert_eq!(desk.told(), (Ticket(number), true));
    }
    desk.ipsec_ended(1);
    assert_eq!(desk.told(), (Ticket(1), true));
    let (writer, recovery) = desk.crash();
    let address = [192, 0, 2, 1].into();
    let owed = LiveIpsecSa {
        end: QuickModeEnded {
            local: TrafficEnd::host(address, 0),
            remote: TrafficEnd::host(address, 443),
            mode: Mode::Transport,
            protocol: 6,
            qmsa_id: 2,
        },
        activity: ActivityId([7; 16]),
        connection: None,
    };
    assert_eq!(recovery.ipsec_orphans, [owed]);
    let c = writer.counters().quick_mode;
    assert_eq!((c.negotiations, c.established), (2, 2));
    assert_eq!((c.interrupted, c.ended), (0, 1));
}

#[test]
fn a_quick_mode_that_the_policy_does_not_ask_for_is_counted_and_owes_no_5452() {
    let mut desk = Desk::new(None, WhenUnwritable::Continue);
    for number in [1, 2] {
        desk.journal.account(Account::QuickModeStarted);
        desk.ipsec_established(number);
        assert_eq!(desk.told(), (Ticket(number), true));
    }
    desk.ipsec_ended(1);
    assert_eq!(desk.told(), (Ticket(1), true));
    desk.journal.tick(Instant::now(), true);
    let c = desk.counters().quick_mode;
    assert_eq!((c.negotiations, c.established, c.live()), (2, 2, 1));
    assert!(desk.ids().is_empty());
    let (writer, recovery) = desk.crash();
    assert_eq!(recovery.ipsec_orphans, []);
    assert_eq!(writer.counters().quick_mode.ended, 2);
}

#[test]
fn strangers_who_are_refused_while_the_log_stands_still_take_no_memory() {
    let unrecorded = Unrecorded::default();
    unrecorded.add([AccountChange::Ended { mmsa_id: 1 }]);
    for _ in 0..10_000 {
        unrecorded.add([AccountChange::Started, AccountChange::Failed]);
        unrecorded.add([AccountChange::HeldBack(1)]);
    }
    let taken = unrecorded.take();
    assert!(unrecorded.is_empty());
    unrecorded.add([AccountChange::Started, AccountChange::Ended { mmsa_id: 2 }]);
    unrecorded.put_back(taken);
    let counted = Counters {
        negotiations: 10_001,
        failed: 10_000,
        held_back: 10_000,
        ..Counters::default()
    };
    let expected = [
        AccountChange::Counted(counted),
        AccountChange::Ended { mmsa_id: 1 },
        AccountChange::Ended { mmsa_id: 2 },
    ];
    assert_eq!(unrecorded.take(), expected);
}

#[test]
fn a_full_queue_loses_no_ticket_and_nothing_of_the_account() {
    for (setting, asked) in [(Some(Setting::BOTH), true), (None, false)] {
        let mut desk = Desk::new(setting, WhenUnwritable::Continue);
        let blocked = desk.block();
        desk.fill_queue();
        desk.journal.account(Account::Started);
        desk.established(1);
        assert_eq!(desk.told(), (Ticket(1), true));
        desk.ended(1);
        assert_eq!(desk.told(), (Ticket(1), true));
        desk.journal.account(Account::QuickModeStarted);
        desk.ipsec_established(1);
        assert_eq!(desk.told(), (Ticket(1), true));
        // It comes back soon, however little else happens.
        let now = Instant::now();
        let due = now + ACCOUNT_HOLD;
        assert_eq!(desk.journal.tick(now, false), Some(due));
        assert_eq!(desk.journal.tick(due, false), Some(due + AGAIN));
        assert_eq!(desk.journal.trouble().alert().is_some(), asked);
        drop(blocked);
        // In turn with all that waits.
        desk.counters();
        desk.journal.tick(due + AGAIN, false);
        let c = desk.counters();
        assert_eq!((c.negotiations, c.established, c.ended), (1, 1, 1));
        let q = c.quick_mode;
        assert_eq!((q.negotiations, q.established), (1, 1));
        assert_eq!(c.held_back, if asked { 3 } else { 0 });
        // Without its 5451 it is owed no 5452.
        let owed = desk.journal.service().call(Writer::live_ipsec);
        assert_eq!(owed.expect("the log works"), []);
    }
}

#[test]
fn an_event_waits_for_room_in_a_queue_that_empties_also_behind_a_change_of_policy() {
    let mut desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Continue);
    desk.journal.ends();
    desk.established(1);
    assert_eq!(desk.told(), (Ticket(1), true));
    let blocked = desk.block();
    desk.fill_queue();
    let waits = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(blocked);
    });
    desk.ended(1);
    waits.join().expect("it has ended");
    assert_eq!(desk.told(), (Ticket(1), true));
    assert_eq!(desk.ids(), [4650, 4655]);
    assert_eq!(desk.counters().held_back, 0);
    assert_eq!(desk.journal.trouble().alert(), None);
}

#[test]
fn a_log_that_takes_nothing_gives_numbers_of_sas_with_continue_and_none_with_refuse() {
    for (when, none) in [
        (WhenUnwritable::Continue, false),
        (WhenUnwritable::Refuse, true),
    ] {
        let desk = Desk::new(Some(Setting::BOTH), when);
        let before = [desk.journal.mmsa_ids(3), desk.journal.qmsa_ids(3)];
        let segment = desk.folder.path().join("security-0000000001.db");
        let aside = segment.with_extension("aside");
        std::fs::rename(&segment, &aside).expect("renamed");
        let without = [desk.journal.mmsa_ids(3), desk.journal.qmsa_ids(3)];
        assert!(desk.journal.trouble().alert().is_some());
        std::fs::rename(&aside, &segment).expect("renamed");
        let after = [desk.journal.mmsa_ids(3), desk.journal.qmsa_ids(3)];
        for ((before, without), after) in before.into_iter().zip(without).zip(after) {
            assert_eq!(without.is_empty(), none);
            let last = if none { before.end } else { without.end };
            assert!(without.is_empty() || without.start >= before.end);
            assert!(after.start >= last, "{after:?} after {last}");
        }
    }
}

#[test]
fn with_refuse_what_cannot_be_written_is_no_sa_and_all_else_goes_on() {
    let mut desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Refuse);
    let blocked = desk.block();
    desk.fill_queue();
    desk.journal.account(Account::Started);
    desk.established(1);
    assert_eq!(desk.told(), (Ticket(1), false));
    desk.ended(2);
    assert_eq!(desk.told(), (Ticket(2), true));
    drop(blocked);
    desk.counters();
    desk.journal.tick(Instant::now(), true);
    let c = desk.counters();
    assert_eq!((c.negotiations, c.established, c.ended), (1, 0, 1));
    assert_eq!(c.held_back, 1);
}

#[test]
fn a_log_that_can_be_written_again_tells_at_once_what_it_missed() {
    let mut desk = Desk::new(Some(Setting::BOTH), WhenUnwritable::Continue);
    let now = Instant::now();
    let blocked = desk.block();
    desk.fill_queue();
    desk.established(1);
    desk.told();
    desk.journal.tick(now, false);
    drop(blocked);
    desk.counters();
    desk.ended(1);
    assert_eq!(desk.told(), (Ticket(1), true));
    assert_eq!(desk.journal.trouble().alert(), None);
    desk.journal.tick(now, false);
    desk.counters();
    assert_eq!(desk.ids(), [4655, 4612]);
}
