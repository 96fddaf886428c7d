//! The account, kept a second time from what comes out, and compared at every step.

use std::collections::{BTreeMap, BTreeSet};

use audit::Event;

use crate::changes::Change;
use crate::endpoint::Endpoint;
use crate::io::{Account, Output, Ticket};
use crate::status::{ChildSaStatus, MainModeSa};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    started: u64,
    failed: u64,
    established: u64,
    ended: u64,
    /// Those of an incarnation that died.
    interrupted: u64,
    orphaned: u64,
    /// 4650 that are on their way to the log: MMSAID and activity.
    pending: BTreeMap<Ticket, (u64, [u8; 16])>,
    live: BTreeSet<u64>,
    ids: BTreeSet<u64>,
    /// Verdicts by activity.
    verdicts: BTreeMap<[u8; 16], u32>,
    tickets: BTreeSet<Ticket>,
    quick: Quick,
    watched: Watched,
}

/// What somebody who watches takes for up.
#[derive(Debug, Default)]
struct Watched {
    /// By connection, peer and user.
    peers: BTreeSet<(String, String, Option<String>)>,
    /// By connection, child, peer and traffic.
    children: BTreeSet<[String; 5]>,
}

fn child_key(sa: &ChildSaStatus) -> [String; 5] {
    let traffic = format!("{} {}", sa.suite.protocol.name(), sa.local_selector);
    let (connection, child) = (sa.connection.clone(), sa.child.clone());
    [
        connection,
        child,
        sa.remote_name.clone(),
        traffic,
        sa.remote_selector.to_string(),
    ]
}

impl Watched {
    fn take(&mut self, change: &Change) {
        let peer = |sa: &MainModeSa| {
            let (connection, user) = (sa.connection.clone(), sa.user.clone());
            (connection, sa.remote_name.clone(), user)
        };
        match change {
            Change::Up { sa, first } => assert_eq!(self.peers.insert(peer(sa)), *first, "{sa:?}"),
            Change::Down { sa, .. } => assert!(self.peers.remove(&peer(sa)), "{sa:?}"),
            Change::ChildUp { sa, first } => {
                assert_eq!(self.children.insert(child_key(sa)), *first, "{sa:?}");
            }
            Change::ChildDown { sa, .. } => {
                assert!(self.children.remove(&child_key(sa)), "{sa:?}");
            }
            Change::Moved { sa, from } => assert_ne!(sa.remote, *from),
        }
    }

    /// It is what there is.
    fn check(&self, endpoint: &Endpoint) {
        let sas = endpoint.sas.values();
        let peers = sas.map(|sa| {
            let (connection, user) = (sa.connection.name.clone(), sa.user.clone());
            (connection, sa.remote_id.to_string(), user)
        });
        assert_eq!(self.peers, peers.collect());
        let now = std::time::Instant::now();
        let installed = endpoint.children.values().filter(|live| live.installed());
        let children = installed.map(|live| child_key(&crate::status::child(live, now)));
        assert_eq!(self.children, children.collect());
    }
}

/// The account of Quick Mode.
#[derive(Debug, Default)]
struct Quick {
    started: u64,
    failed: u64,
    established: u64,
    ended: u64,
    interrupted: u64,
    orphaned: u64,
    /// 5451 that are on their way to the log.
    pending: BTreeMap<Ticket, (u64, [u8; 16])>,
    live: BTreeSet<u64>,
    ids: BTreeSet<u64>,
    installed: BTreeSet<u64>,
}

impl Quick {
    fn check(&self, endpoint: &Endpoint) {
        let under_way = u64::try_from(endpoint.quick.len()).unwrap_or(u64::MAX);
        let live = u64::try_from(endpoint.children.len()).unwrap_or(u64::MAX);
        assert_eq!(
            self.started,
            self.established + self.failed + self.interrupted + under_way,
            "one Quick Mode, one verdict: {self:?}"
        );
        assert_eq!(self.established - self.ended - self.orphaned, live);
        assert!(self.live.iter().copied().eq(endpoint.children.ids()));
        for sa in endpoint.children.values() {
            assert!(endpoint.children.of_pair(sa.pair).any(|l| l.id == sa.id));
            assert!(endpoint.children.under(sa.mmsa_id).any(|l| l.id == sa.id));
            let mut named = endpoint.children.of_outbound_spi(sa.outbound_spi);
            assert!(named.any(|l| l.id == sa.id));
        }
        for sa in endpoint.sas.values() {
            assert!(
                endpoint
                    .sas_with(&sa.remote_id)
                    .any(|s| s.mmsa_id == sa.mmsa_id)
            );
        }
        let counted = endpoint.counters();
        assert_eq!(counted.quick_established - counted.quick_ended, live);
        assert_eq!(
            counted.quick_modes,
            counted.quick_established + counted.quick_failed + under_way
        );
    }
}

impl Ledger {
    /// The log's answer is about to be given.
    pub(super) fn logged(&mut self, ticket: Ticket, durable: bool) {
        assert!(self.tickets.remove(&ticket), "{ticket:?} answered twice");
        if let Some((id, activity)) = self.quick.pending.remove(&ticket) {
            if durable {
                self.quick.established += 1;
                assert!(self.quick.live.insert(id), "a Quick Mode SA ID twice");
            } else if let Some(count) = self.verdicts.get_mut(&activity) {
                *count -= 1;
            }
        }
        let Some((id, activity)) = self.pending.remove(&ticket) else {
            return;
        };
        if durable {
            self.established += 1;
            assert!(self.live.insert(id), "MMSAID {id} twice");
        } else if let Some(count) = self.verdicts.get_mut(&activity) {
            // It was never written: the 4653 that says so is the verdict.
            *count -= 1;
        }
    }

    pub(super) fn take(&mut self, output: &Output) {
        match output {
            Output::Account(Account::Started) => self.started += 1,
            Output::Account(Account::FailedHeldBack) => self.failed += 1,
            Output::Account(Account::QuickModeStarted) => self.quick.started += 1,
            Output::Change(change) => self.watched.take(change),
            Output::InstallSa(sa) => {
                assert!(self.quick.live.contains(&sa.id.0), "before its event");
                assert!(self.quick.installed.insert(sa.id.0), "installed twice");
            }
            Output::ExpectSa(sa) => {
                let of = sa
                    .replaces
                    .expect("what nothing was agreed on is not received");
                assert!(self.quick.ids.contains(&of.0), "before any event");
                assert!(!self.quick.ids.contains(&sa.id.0), "after its event");
            }
            Output::RemoveSa(id) => {
                assert!(!self.quick.live.contains(&id.0) || self.quick.ids.contains(&id.0));
            }
            Output::Audit(audit) => {
                assert!(self.tickets.insert(audit.ticket), "a ticket twice");
                let activity = audit.activity.map_or([0; 16], |activity| activity.0);
                let mut verdict = || {
                    assert!(audit.activity.is_some(), "a verdict has an activity");
                    *self.verdicts.entry(activity).or_default() += 1;
                };
                match &audit.event {
                    Event::MainModeEstablishedByCertificate { event, .. } => {
                        verdict();
                        assert!(self.ids.insert(event.mmsa_id), "an ID used twice");
                        self.pending.insert(audit.ticket, (event.mmsa_id, activity));
                    }
                    Event::MainModeEstablished(event) => {
                        verdict();
                        assert!(self.ids.insert(event.mmsa_id), "an ID used twice");
                        self.pending.insert(audit.ticket, (event.mmsa_id, activity));
                    }
                    Event::MainModeFailed(_) | Event::MainModeFailedByCertificate { .. } => {
                        verdict();
                        self.failed += 1;
                    }
                    Event::MainModeEnded(event) => {
                        assert!(self.live.remove(&event.mmsa_id), "4655 of no live SA");
                        self.ended += 1;
                    }
                    Event::QuickModeEstablished(event) => {
                        verdict();
                        assert!(self.quick.ids.insert(event.qmsa_id), "an ID used twice");
                        let pending = (event.qmsa_id, activity);
                        self.quick.pending.insert(audit.ticket, pending);
                    }
                    Event::QuickModeFailed(event) => {
                        verdict();
                        assert!(event.cause.event_ids().contains(&4654), "{}", event.cause);
                        self.quick.failed += 1;
                    }
                    Event::QuickModeEnded(event) => {
                        let cause = audit.extra.cause.expect("a cause");
                        assert!(cause.event_ids().contains(&5452), "{cause}");
                        assert!(self.quick.live.remove(&event.qmsa_id), "5452 of no live SA");
                        self.quick.ended += 1;
                    }
                    Event::IpsecSaDeleted(event) => {
                        let cause = audit.extra.cause.expect("a cause");
                        assert!(cause.event_ids().contains(&5049), "{cause}");
                        assert!(
                            self.quick.live.contains(&event.qmsa_id),
                            "5049 of no live SA"
                        );
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// What must hold at any moment.
    pub(super) fn check(&self, endpoint: &Endpoint) {
        let under_way = u64::try_from(endpoint.negotiations.len()).unwrap_or(u64::MAX);
        let live = u64::try_from(endpoint.sas.len()).unwrap_or(u64::MAX);
        assert_eq!(
            self.started,
            self.established + self.failed + self.interrupted + under_way,
            "one negotiation, one verdict: {self:?}"
        );
        assert_eq!(self.established - self.ended - self.orphaned, live);
        assert_eq!(self.live.len(), endpoint.sas.len());
        let counted = endpoint.counters();
        assert_eq!(counted.established - counted.ended, live);
        assert_eq!(
            counted.negotiations,
            counted.established + counted.failed + under_way
        );
        self.quick.check(endpoint);
        self.watched.check(endpoint);
        endpoint.check_tables();
    }

    /// The host died: what was under way is interrupted, and what lived is orphaned.
    pub(super) fn crashed(&mut self) {
        self.interrupted = self.started - self.established - self.failed;
        self.orphaned += u64::try_from(self.live.len()).unwrap_or(u64::MAX);
        self.live.clear();
        self.pending.clear();
        self.tickets.clear();
        self.watched = Watched::default();
        let quick = &mut self.quick;
        quick.interrupted = quick.started - quick.established - quick.failed;
        quick.orphaned += u64::try_from(quick.live.len()).unwrap_or(u64::MAX);
        quick.live.clear();
        quick.pending.clear();
    }

    /// All is over.
    pub(super) fn closed(&self) {
        assert_eq!(
            self.started,
            self.established + self.failed + self.interrupted
        );
        assert_eq!(self.established, self.ended + self.orphaned);
        assert!(self.live.is_empty() && self.pending.is_empty());
        let quick = &self.quick;
        assert_eq!(
            quick.started,
            quick.established + quick.failed + quick.interrupted
        );
        assert_eq!(quick.established, quick.ended + quick.orphaned);
        assert!(quick.live.is_empty() && quick.pending.is_empty());
        for (activity, count) in &self.verdicts {
            assert_eq!(*count, 1, "verdicts of activity {activity:x?}");
        }
    }
}
