//! The account of negotiations and SAs, kept on disk in the transactions of the events themselves.

use std::net::IpAddr;

use audit::{ActivityId, KeyMod};

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
    pub(crate) fn apply(&mut self, change: &AccountChange) {
        let (counter, by) = match change {
            AccountChange::Started => (&mut self.negotiations, 1),
            AccountChange::Established(_) => (&mut self.established, 1),
            AccountChange::Failed => (&mut self.failed, 1),
            AccountChange::Superseded => (&mut self.superseded, 1),
            AccountChange::Ended { .. } => (&mut self.ended, 1),
            AccountChange::HeldBack(by) => (&mut self.held_back, *by),
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
    }

    /// What a start finds after a crash: nobody negotiates any more, and of the SAs only those in the
    /// account's list (`listed`) still wait for their 4655; the rest had no event and have just ended.
    pub(crate) fn reconcile(&mut self, listed: u64) {
        self.interrupted = self.interrupted.saturating_add(self.pending());
        self.ended = self.established.saturating_sub(listed);
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
}

/// Changes without a record that wait for the next transaction, in no more memory than they need.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) counted: Counters,
    pub(crate) ended: Vec<u64>,
}

impl Pending {
    pub(crate) fn note(&mut self, change: &AccountChange) {
        self.counted.apply(change);
        if let AccountChange::Ended { mmsa_id } = change {
            self.ended.push(*mmsa_id);
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
    /// The counters, with negotiations that had no verdict counted as interrupted, and
    /// `established - ended` equal to the number of orphans.
    pub counters: Counters,
    /// Negotiations that this start counted as interrupted.
    pub interrupted: u64,
    /// SAs without an event that this start counted as ended.
    pub ended_uncounted: u64,
    /// True when the directory held no log before.
    pub new_log: bool,
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
        };
        assert_eq!(counters.pending(), 12);
        counters.reconcile(7);
        assert_eq!(counters.pending(), 0);
        assert_eq!(counters.interrupted, 15);
        assert_eq!(counters.live(), 7);
    }
}
