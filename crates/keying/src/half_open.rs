//! The half-open negotiations by where they came from, and which gives way where there are too many: found without a
//! look at each, for whoever floods chooses how often that is asked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ikev1::negotiation::{Negotiation, NegotiationId};

/// Responder negotiations that are not over. Their numbers grow: the least is the oldest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HalfOpen {
    total: usize,
    sources: BTreeMap<IpAddr, Source>,
    /// Those of whose peers nothing but message 1 was heard.
    lone: BTreeSet<NegotiationId>,
    /// Sources that have one to give, last the one that holds the most; of several the one whose oldest is older.
    ranks: BTreeSet<(usize, Reverse<NegotiationId>, IpAddr)>,
}

/// What one address holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Source {
    all: BTreeSet<NegotiationId>,
    /// Those whose peers have not proven who they are.
    unproven: BTreeSet<NegotiationId>,
}

impl HalfOpen {
    /// All of them.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many addresses hold them.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// How many this address holds.
    pub(crate) fn of(&self, source: IpAddr) -> usize {
        self.sources.get(&source).map_or(0, |held| held.all.len())
    }

    /// One begins.
    pub(crate) fn enter(&mut self, n: &Negotiation) {
        let new = self.change(n.origin.ip(), |held| held.all.insert(n.id));
        self.total += usize::from(new);
    }

    /// One stands where it stands now.
    pub(crate) fn moved(&mut self, n: &Negotiation) {
        if n.heard_message_1_alone() {
            self.lone.insert(n.id);
        } else {
            self.lone.remove(&n.id);
        }
        let proven = n.peer_is_proven();
        let source = n.origin.ip();
        let known = self.sources.get(&source);
        if known.is_some_and(|held| held.unproven.contains(&n.id) == proven) {
            self.change(source, |held| {
                if proven {
                    held.unproven.remove(&n.id)
                } else {
                    held.unproven.insert(n.id)
                }
            });
        }
    }

    /// One is over, or its SA stands.
    pub(crate) fn leave(&mut self, n: &Negotiation) {
        self.lone.remove(&n.id);
        let left = self.change(n.origin.ip(), |held| {
            held.unproven.remove(&n.id);
            held.all.remove(&n.id)
        });
        self.total -= usize::from(left);
    }

    /// The oldest of this address's of which nothing but message 1 was heard.
    pub(crate) fn lone_of(&self, source: IpAddr) -> Option<NegotiationId> {
        let held = &self.sources.get(&source)?.unproven;
        held.iter().find(|id| self.lone.contains(id)).copied()
    }

    /// Which gives way to a new one of this address: the oldest of which nothing but message 1 was heard. Whoever forges
    /// addresses gets no further than that. If there is none, the oldest of the address that holds the most, if this one
    /// holds fewer.
    pub(crate) fn gives_way_to(&self, source: IpAddr) -> Option<NegotiationId> {
        let lone = self.lone.first().copied();
        lone.or_else(|| {
            let (most, Reverse(oldest), _) = self.ranks.last()?;
            (self.of(source) < *most).then_some(*oldest)
        })
    }

    fn change<T>(&mut self, source: IpAddr, change: impl FnOnce(&mut Source) -> T) -> T {
        let rank = |held: &Source| {
            let oldest = *held.unproven.first()?;
            Some((held.all.len(), Reverse(oldest), source))
        };
        let held = self.sources.entry(source).or_default();
        let before = rank(held);
        let changed = change(held);
        let after = rank(held);
        if held.all.is_empty() {
            self.sources.remove(&source);
        }
        if let Some(rank) = before {
            self.ranks.remove(&rank);
        }
        self.ranks.extend(after);
        changed
    }
}
