//! The account, kept a second time from what comes out, and compared at every step.

use std::collections::{BTreeMap, BTreeSet};

use audit::Event;

use crate::endpoint::Endpoint;
use crate::io::{Account, Output, Ticket};

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
}

impl Ledger {
    /// The log's answer is about to be given.
    pub(super) fn logged(&mut self, ticket: Ticket, durable: bool) {
        assert!(self.tickets.remove(&ticket), "{ticket:?} answered twice");
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
            Output::Audit(audit) => {
                assert!(self.tickets.insert(audit.ticket), "a ticket twice");
                let activity = audit.activity.map_or([0; 16], |activity| activity.0);
                let mut verdict = || {
                    assert!(audit.activity.is_some(), "a verdict has an activity");
                    *self.verdicts.entry(activity).or_default() += 1;
                };
                match &audit.event {
                    Event::MainModeEstablished(event) => {
                        verdict();
                        assert!(self.ids.insert(event.mmsa_id), "an ID used twice");
                        self.pending.insert(audit.ticket, (event.mmsa_id, activity));
                    }
                    Event::MainModeFailed(_) => {
                        verdict();
                        self.failed += 1;
                    }
                    Event::MainModeEnded(event) => {
                        assert!(self.live.remove(&event.mmsa_id), "4655 of no live SA");
                        self.ended += 1;
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
        endpoint.check_tables();
    }

    /// The host died: what was under way is interrupted, and what lived is orphaned.
    pub(super) fn crashed(&mut self) {
        self.interrupted = self.started - self.established - self.failed;
        self.orphaned += u64::try_from(self.live.len()).unwrap_or(u64::MAX);
        self.live.clear();
        self.pending.clear();
        self.tickets.clear();
    }

    /// All is over.
    pub(super) fn closed(&self) {
        assert_eq!(
            self.started,
            self.established + self.failed + self.interrupted
        );
        assert_eq!(self.established, self.ended + self.orphaned);
        assert!(self.live.is_empty() && self.pending.is_empty());
        for (activity, count) in &self.verdicts {
            assert_eq!(*count, 1, "verdicts of activity {activity:x?}");
        }
    }
}
