//! Quick Modes that we begin: asked for, with their Main Mode SA, or in place of an SA that is to end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, FailurePoint, Role};
use isakmp::ipsec;
use rand_core::Rng as _;

use super::initiator;
use super::live::Live;
use super::selectors::{Pair, pairs};
use super::shared::{Own, compresses};
use crate::child::{Child, ChildOutcome, ChildVerdict};
use crate::endpoint::{Endpoint, Party};
use crate::identity::Identity;
use crate::ikev1::sa::Sa;
use crate::io::Output;
use crate::limits::{
    AUTO_GRACE, FIRST_SPI, MAX_CHILD_SAS, MAX_CHILD_SAS_PER_HOLDER, MAX_CHILD_SAS_PER_SA,
};

impl Endpoint {
    /// An SPI of ours that is not in use (RFC 4303 section 2.1: 255 and less are reserved).
    pub(crate) fn new_spi(&mut self) -> u32 {
        loop {
            let spi = self.core.rng.next_u32();
            if spi >= FIRST_SPI && self.spis.insert(spi) {
                return spi;
            }
        }
    }

    /// A CPI of ours that is not in use; `None`: all are.
    pub(crate) fn new_cpi(&mut self) -> Option<u16> {
        let all = ipsec::LAST_CPI - ipsec::FIRST_CPI + 1;
        // The remainder is below `all`.
        let first = u16::try_from(self.core.rng.next_u32() % u32::from(all)).unwrap_or_default();
        let mut from_there = (first..all).chain(0..first);
        let free = from_there.find(|offset| !self.cpis.contains(&(ipsec::FIRST_CPI + offset)))?;
        let cpi = ipsec::FIRST_CPI + free;
        self.cpis.insert(cpi);
        Some(cpi)
    }

    /// `InitiateChild`.
    pub(crate) fn initiate_child(
        &mut self,
        now: Instant,
        connection: &str,
        name: &str,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let found = self.core.connections.iter().find(|c| c.name == connection);
        let child = found.and_then(|c| c.children.iter().find(|child| child.name == name));
        let Some(child) = child.cloned() else {
            return self.no_child(connection, name, remote, Cause::NoConnection);
        };
        if self.stopping {
            return self.no_child(connection, name, remote, Cause::ShuttingDown);
        }
        let newest = self.newest_sa(|sa| sa.connection.name == connection);
        let held = newest
            .and_then(|id| self.sas.get(&id))
            .is_some_and(|sa| sa.holds_children());
        let waits = held || newest.is_some_and(|id| self.succeeds_in_doubt(now, id));
        if waits {
            self.waiting_children
                .insert((connection.to_owned(), name.to_owned()));
        } else if let Some(mmsa_id) = newest {
            self.begin_child(now, mmsa_id, &child, true);
        } else {
            self.waiting_children
                .insert((connection.to_owned(), name.to_owned()));
            self.initiate(now, connection, local, remote);
        }
    }

    /// Answers who waits for a Main Mode SA to ask for a Quick Mode, when it is not to begin any more.
    pub(crate) fn child_not_begun(&mut self, connection: &str, child: &str, cause: Cause) {
        let of_name = |n: &&crate::ikev1::negotiation::Negotiation| {
            n.role == Role::Initiator && n.connection.as_ref().is_some_and(|c| c.name == connection)
        };
        let under_way = self.negotiations.values().find(of_name);
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let remote = under_way.map_or(unknown, |n| n.route.remote);
        self.no_child(connection, child, remote, cause);
    }

    /// Answers who asked for a Quick Mode that does not even begin, and so has no event.
    pub(crate) fn no_child(
        &mut self,
        connection: &str,
        child: &str,
        remote: SocketAddr,
        cause: Cause,
    ) {
        let verdict = ChildVerdict {
            connection: connection.to_owned(),
            child: Some(child.to_owned()),
            role: Role::Initiator,
            remote,
            traffic: None,
            outcome: ChildOutcome::Failed {
                cause,
                point: FailurePoint::Local,
                detail: None,
            },
        };
        self.core.out.push_back(Output::ChildVerdict(verdict));
    }

    /// The newest of the Main Mode SAs for which something holds.
    pub(crate) fn newest_sa(&self, holds: impl Fn(&Sa) -> bool) -> Option<u64> {
        newest(self.sas.values().map(|sa| &**sa).filter(|sa| holds(sa)))
    }

    /// The newest of those with this peer for which something holds.
    pub(crate) fn newest_sa_with(
        &self,
        remote_id: &Identity,
        holds: impl Fn(&Sa) -> bool,
    ) -> Option<u64> {
        newest(self.sas_with(remote_id).filter(|sa| holds(sa)))
    }

    /// Begins each pair of a child that has no SA and no Quick Mode of ours. `asked`: whoever asked is told
    /// of those that stand.
    pub(crate) fn begin_child(
        &mut self,
        now: Instant,
        mmsa_id: u64,
        child: &Arc<Child>,
        asked: bool,
    ) {
        let Some(sa) = self.sas.get(&mmsa_id) else {
            return;
        };
        let connection = sa.connection.name.clone();
        let pairs = pairs(child, &sa.ends());
        if pairs.is_empty() && asked {
            let cause = if sa.nets.is_empty() {
                Cause::NoSelectorPair
            } else {
                Cause::OutsideSplitInclude
            };
            let remote = sa.route.remote;
            return self.no_child(&connection, &child.name, remote, cause);
        }
        for pair in &pairs {
            // The peer may have taken less than it was offered: asked again, it gives no more.
            let stands_for = |live: &Live| {
                let part = || !pairs.contains(&live.pair) && pair.narrowed(&live.pair).is_some();
                live.pair == *pair || live.role == Role::Initiator && part()
            };
            let (same, here) = (self.children.of_pair(*pair), self.children.under(mmsa_id));
            let standing = same.chain(here).find(|live| {
                live.connection.name == connection
                    && live.child.name == child.name
                    && live.superseded.is_none()
                    && stands_for(live)
            });
            if let Some(live) = standing {
                if asked && live.installed() {
                    let verdict = live.verdict();
                    self.core.out.push_back(Output::ChildVerdict(verdict));
                }
                continue;
            }
            let under_way = self.quick.values().any(|quick| {
                quick.connection.name == connection
                    && quick.child.as_ref().is_some_and(|c| c.name == child.name)
                    && quick.pair == Some(*pair)
                    && (quick.role == Role::Initiator || !asked)
            });
            if !under_way {
                self.begin_quick(now, mmsa_id, child, *pair, None);
            }
        }
    }

    /// Begins a Quick Mode.
    pub(crate) fn begin_quick(
        &mut self,
        now: Instant,
        mmsa_id: u64,
        child: &Arc<Child>,
        pair: Pair,
        replaces: Option<u64>,
    ) {
        let spi = self.new_spi();
        let full = self.too_many_children(mmsa_id);
        let sa = self.sas.get(&mmsa_id);
        let compress = sa.is_some_and(|sa| compresses(sa, child, &pair));
        let cpi = if compress { self.new_cpi() } else { None };
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            self.spis.remove(&spi);
            return;
        };
        self.core.quick_started(&mut self.counters);
        let own = Own { spi, cpi };
        let (mut quick, mut step) = initiator::begin(&mut self.core, sa, now, child, pair, own);
        quick.replaces = replaces;
        if full {
            step = super::QuickStep::Fail {
                failure: crate::ikev1::negotiation::Failure::local(Cause::NoSpi)
                    .with("there are as many child SAs as there may be"),
                tell: false,
            };
        }
        self.quick_by_message
            .insert((mmsa_id, quick.message_id), quick.id);
        self.apply_quick(now, quick, step);
    }

    /// Whether another child SA would be one too many, in all, of its holder or under its Main Mode SA.
    pub(crate) fn too_many_children(&self, mmsa_id: u64) -> bool {
        let mut under = self.children.under(mmsa_id);
        under.nth(MAX_CHILD_SAS_PER_SA - 1).is_some()
            || self.children.len() >= MAX_CHILD_SAS
            || self.children.len() >= MAX_CHILD_SAS_PER_HOLDER && self.has_its_share(mmsa_id)
    }

    /// Whether the holder of a Main Mode SA has as many child SAs as one may have.
    fn has_its_share(&self, mmsa_id: u64) -> bool {
        let Some(sa) = self.sas.get(&mmsa_id) else {
            return false;
        };
        let own = self.sas_by_holder.of(sa.holder());
        let mut children = own.flat_map(|id| self.children.under(id));
        children.nth(MAX_CHILD_SAS_PER_HOLDER - 1).is_some()
    }

    /// A Main Mode SA stands: what waited for it begins, and what is to begin with it.
    pub(crate) fn begin_waiting_children(&mut self, now: Instant, mmsa_id: u64) {
        let Some(sa) = self.sas.get(&mmsa_id) else {
            return;
        };
        if sa.holds_children() {
            return;
        }
        let connection = sa.connection.clone();
        let asked: BTreeSet<String> = self.take_waiting(&connection.name).into_iter().collect();
        for child in &connection.children {
            if asked.contains(&child.name) {
                self.begin_child(now, mmsa_id, child, true);
            }
        }
        if self
            .sas
            .get(&mmsa_id)
            .is_some_and(|sa| sa.auto_at.is_none_or(|at| at <= now))
        {
            self.begin_auto_children(now, mmsa_id);
        }
    }

    /// The children of a connection that wait for its Main Mode SA: they wait no longer.
    pub(crate) fn take_waiting(&mut self, connection: &str) -> Vec<String> {
        let names: Vec<String> = self
            .waiting_children
            .iter()
            .filter(|(name, _)| name == connection)
            .map(|(_, child)| child.clone())
            .collect();
        for child in &names {
            self.waiting_children
                .remove(&(connection.to_owned(), child.clone()));
        }
        names
    }

    /// Begins the `auto` children that have no SA.
    pub(crate) fn begin_auto_children(&mut self, now: Instant, mmsa_id: u64) {
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            return;
        };
        if sa.holds_children() {
            sa.auto_at = Some(sa.children_at.unwrap_or(now + AUTO_GRACE));
            return self.schedule(Party::Sa(mmsa_id));
        }
        sa.auto_at = None;
        if self.succeeds_in_doubt(now, mmsa_id) {
            return;
        }
        self.begin_due_children(now, mmsa_id);
        self.schedule(Party::Sa(mmsa_id));
    }
}

fn newest<'a>(sas: impl Iterator<Item = &'a Sa>) -> Option<u64> {
    sas.max_by_key(|sa| (sa.established, sa.mmsa_id))
        .map(|sa| sa.mmsa_id)
}
