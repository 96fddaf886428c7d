//! The account of negotiations and SAs, kept on disk in the transactions of the events themselves.

use std::net::IpAddr;

use audit::{ActivityId, KeyMod, QuickModeEnded};

/// How many negotiations and Main Mode SAs there were, over all starts of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Negotiations that started, in either role.
    pub negotiations: u64,
    /// Verdict: an SA was established.
    pub established: u64,
    /// Verdict: the negotiation failed.
    pub failed: u64,
    /// The other keying module won; no verdict.
    pub superseded: u64,
    /// A crash came before the verdict.
    pub interrupted: u64,
    /// SAs that ended.
    pub ended: u64,
    /// Verdicts that were held back, counted instead of written.
    pub held_back: u64,
    /// Events that the policy asked for and that are not in the log, of which no 4612 has told yet. Below zero while
    /// the telling is counted before what it tells of.
    pub untold: i64,
    /// The same of Quick Mode.
    pub quick_mode: QuickModeCounters,
}

/// How many Quick Modes and IPsec SAs there were, over all starts of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuickModeCounters {
    /// Quick Modes that started, in either role.
    pub negotiations: u64,
    /// Verdict: an IPsec SA was established.
    pub established: u64,
    /// Verdict: the Quick Mode failed.
    pub failed: u64,
    /// A crash came before the verdict.
    pub interrupted: u64,
    /// IPsec SAs that ended.
    pub ended: u64,
}

impl QuickModeCounters {
    /// IPsec SAs that live: `established - ended`.
    pub fn live(&self) -> u64 {
        self.established.saturating_sub(self.ended)
    }

    /// Quick Modes that have no verdict yet.
    pub fn pending(&self) -> u64 {
        let decided = [self.established, self.failed, self.interrupted];
        self.negotiations
            .saturating_sub(decided.iter().fold(0, |sum, n| sum.saturating_add(*n)))
    }

    /// Adds what was counted elsewhere.
    fn add(&mut self, other: &QuickModeCounters) {
        for (counter, by) in [
            (&mut self.negotiations, other.negotiations),
            (&mut self.established, other.established),
            (&mut self.failed, other.failed),
            (&mut self.interrupted, other.interrupted),
            (&mut self.ended, other.ended),
        ] {
            *counter = counter.saturating_add(by);
        }
    }
}

impl Counters {
    /// SAs that live: `established - ended`.
    pub fn live(&self) -> u64 {
        self.established.saturating_sub(self.ended)
    }

    /// Negotiations that have no verdict yet.
    pub fn pending(&self) -> u64 {
        let decided = [
            self.established,
            self.failed,
            self.superseded,
            self.interrupted,
        ];
        self.negotiations
            .saturating_sub(decided.iter().fold(0, |sum, n| sum.saturating_add(*n)))
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &AccountChange) {
        let quick_mode = &mut self.quick_mode;
        let (counter, by) = match change {
            AccountChange::Counted(counted) => return self.add(counted),
            AccountChange::Discarded(events) => return self.owe(signed(*events)),
            AccountChange::DiscardedTold(events) => return self.owe(-signed(*events)),
            AccountChange::Started => (&mut self.negotiations, 1),
            AccountChange::Established(_) => (&mut self.established, 1),
            AccountChange::Failed => (&mut self.failed, 1),
            AccountChange::Superseded => (&mut self.superseded, 1),
            AccountChange::Ended { .. } => (&mut self.ended, 1),
            AccountChange::HeldBack(by) => (&mut self.held_back, *by),
            AccountChange::QuickModeStarted => (&mut quick_mode.negotiations, 1),
            AccountChange::QuickModeEstablished(_) => (&mut quick_mode.established, 1),
            AccountChange::QuickModeFailed => (&mut quick_mode.failed, 1),
            AccountChange::QuickModeEnded { .. } => (&mut quick_mode.ended, 1),
        };
        *counter = counter.saturating_add(by);
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: &Counters) {
        for (counter, by) in [
            (&mut self.negotiations, other.negotiations),
            (&mut self.established, other.established),
            (&mut self.failed, other.failed),
            (&mut self.superseded, other.superseded),
            (&mut self.interrupted, other.interrupted),
            (&mut self.ended, other.ended),
            (&mut self.held_back, other.held_back),
        ] {
            *counter = counter.saturating_add(by);
        }
        self.owe(other.untold);
        self.quick_mode.add(&other.quick_mode);
    }

    fn owe(&mut self, events: i64) {
        self.untold = self.untold.saturating_add(events);
    }

    /// What a start finds after a crash: nobody negotiates any more, and of the SAs only those in the
    /// account's lists (so many of Main Mode, and so many IPsec SAs) still wait for their 4655 and 5452;
    /// the rest had no event and have just ended.
    pub(crate) fn reconcile(&mut self, listed: u64, listed_ipsec: u64) {
        // What was told of and not yet counted never will be.
        self.untold = self.untold.max(0);
        self.interrupted = self.interrupted.saturating_add(self.pending());
        self.ended = self.established.saturating_sub(listed);
        let quick_mode = &mut self.quick_mode;
        quick_mode.interrupted = quick_mode.interrupted.saturating_add(quick_mode.pending());
        quick_mode.ended = quick_mode.established.saturating_sub(listed_ipsec);
    }
}

/// An SA whose 4650 is in the log and whose 4655 is not: what a crash makes an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSa {
    /// `MMSAID`.
    pub mmsa_id: u64,
    /// `LocalAddress`.
    pub local: IpAddr,
    /// `RemoteAddress`.
    pub remote: IpAddr,
    /// `KeyModName`.
    pub key_mod: KeyMod,
    /// The negotiation's, which the SA's 4655 carries too.
    pub activity: ActivityId,
    /// Name of the connection.
    pub connection: Option<String>,
}

/// An IPsec SA whose 5451 is in the log and whose 5452 is not: what a crash makes an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveIpsecSa {
    /// What its 5452 is to say.
    pub end: QuickModeEnded,
    /// The negotiation's, which the 5452 carries too.
    pub activity: ActivityId,
    /// Name of the connection.
    pub connection: Option<String>,
}

/// One step in the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// A negotiation started.
    Started,
    /// It ended in an SA; with the SA when its 4650 is in the same entry.
    Established(Option<LiveSa>),
    /// It failed.
    Failed,
    /// The other keying module won.
    Superseded,
    /// An SA ended, with a 4655 or without.
    Ended {
        /// Its `MMSAID`.
        mmsa_id: u64,
    },
    /// So many verdicts were counted instead of written.
    HeldBack(u64),
    /// So many events that the policy asked for are not in the log: a 4612 is owed for them.
    Discarded(u64),
    /// So many of them the 4612 of this entry tells of.
    DiscardedTold(u64),
    /// Many changes in one that tell of no SA by name.
    Counted(Counters),
    /// A Quick Mode started.
    QuickModeStarted,
    /// It ended in an IPsec SA; with the SA when its 5451 is in the same entry.
    QuickModeEstablished(Option<LiveIpsecSa>),
    /// It failed.
    QuickModeFailed,
    /// An IPsec SA ended, with a 5452 or without.
    QuickModeEnded {
        /// Its `QuickModeSaId`.
        qmsa_id: u64,
    },
}

impl AccountChange {
    /// Whether it tells of an SA by name: it counts, and changes the list of what a crash would orphan.
    pub fn names_an_sa(&self) -> bool {
        match self {
            AccountChange::Established(sa) => sa.is_some(),
            AccountChange::QuickModeEstablished(sa) => sa.is_some(),
            AccountChange::Ended { .. } | AccountChange::QuickModeEnded { .. } => true,
            AccountChange::Started
            | AccountChange::Failed
            | AccountChange::Superseded
            | AccountChange::HeldBack(_)
            | AccountChange::Discarded(_)
            | AccountChange::DiscardedTold(_)
            | AccountChange::Counted(_)
            | AccountChange::QuickModeStarted
            | AccountChange::QuickModeFailed => false,
        }
    }
}

/// Changes without a record that wait for the next transaction, in no more memory than they need.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) counted: Counters,
    pub(crate) ended: Vec<u64>,
    pub(crate) ended_ipsec: Vec<u64>,
}

impl Pending {
    pub(crate) fn note(&mut self, change: &AccountChange) {
        self.counted.apply(change);
        match change {
            AccountChange::Ended { mmsa_id } => self.ended.push(*mmsa_id),
            AccountChange::QuickModeEnded { qmsa_id } => self.ended_ipsec.push(*qmsa_id),
            _ => {}
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counted == Counters::default()
    }
}

/// What one transaction writes: all of it, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The record, unless the policy does not ask for one.
    pub record: Option<audit::Record>,
    /// What it means for the account.
    pub account: Vec<AccountChange>,
}

/// What a start found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// SAs that a crash orphaned: each is owed its 4655, and [`AccountChange::Ended`] with it.
    pub orphans: Vec<LiveSa>,
    /// IPsec SAs that a crash orphaned: each is owed its 5452, and [`AccountChange::QuickModeEnded`] with it.
    pub ipsec_orphans: Vec<LiveIpsecSa>,
    /// The counters, with negotiations that had no verdict counted as interrupted, and
    /// `established - ended` equal to the number of orphans, in Quick Mode as in Main Mode.
    pub counters: Counters,
    /// Negotiations of Main Mode that this start counted as interrupted.
    pub interrupted: u64,
    /// Main Mode SAs without an event that this start counted as ended.
    pub ended_uncounted: u64,
    /// True when the directory held no log before.
    pub new_log: bool,
    /// True when somebody had taken the newest segment away, records and all: the log went on behind what was
    /// left, at this start or since the one before. Told once; `verify` finds it for longer.
    pub newest_removed: bool,
}

fn signed(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

/// How a keying module stands in the account.
pub(crate) fn key_mod_number(key_mod: KeyMod) -> i64 {
    match key_mod {
        KeyMod::IkeV1 => 1,
        KeyMod::AuthIp => 2,
        KeyMod::IkeV2 => 3,
    }
}

/// The keying module with this number.
pub(crate) fn key_mod_from_number(number: i64) -> Option<KeyMod> {
    [KeyMod::IkeV1, KeyMod::AuthIp, KeyMod::IkeV2]
        .into_iter()
        .find(|key_mod| key_mod_number(*key_mod) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconciled_counters_balance() {
        let mut counters = Counters {
            negotiations: 100,
            established: 60,
            failed: 20,
            superseded: 5,
            interrupted: 3,
            ended: 40,
            held_back: 2,
            untold: -2,
            quick_mode: QuickModeCounters {
                negotiations: 50,
                established: 30,
                failed: 10,
                interrupted: 1,
                ended: 20,
            },
        };
        assert_eq!((counters.pending(), counters.quick_mode.pending()), (12, 9));
        counters.reconcile(7, 4);
        assert_eq!(counters.untold, 0);
        assert_eq!((counters.pending(), counters.quick_mode.pending()), (0, 0));
        assert_eq!(counters.interrupted, 15);
        assert_eq!(counters.quick_mode.interrupted, 10);
        assert_eq!((counters.live(), counters.quick_mode.live()), (7, 4));
    }
}
