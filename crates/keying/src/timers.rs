//! Time: retransmissions, evidence that nothing followed, silence, replacement, dead peers, the end.

use std::net::SocketAddr;
use std::time::Instant;

use audit::Cause;

use crate::config::RemoteAddress;
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::flight::Flight;
use crate::ikev1::informational;
use crate::ikev1::negotiation::{Evidence, NegotiationId, Route};
use crate::ikev1::quick::live::Live;
use crate::ikev1::sa::Asking;
use crate::io::Output;
use crate::limits::{REPLACE_AGAIN, after};

impl Endpoint {
    /// When [`crate::Input::Timeout`] is due; `None` where nothing waits.
    pub fn next_timeout(&self) -> Option<Instant> {
        let party = self.timers.first().map(|(at, _)| *at);
        [
            party,
            self.fragments.next_timeout(),
            self.remembered.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Sets the timer of a negotiation or an SA to what it waits for now.
    pub(crate) fn schedule(&mut self, party: Party) {
        let at = match party {
            Party::Negotiation(id) => self
                .negotiations
                .get(&id)
                .and_then(super::ikev1::negotiation::Negotiation::next_timeout),
            Party::Sa(id) => self.sas.get(&id).map(|sa| sa.next_timeout()),
            Party::Quick(id) => self
                .quick
                .get(&id)
                .and_then(super::ikev1::quick::Quick::next_timeout),
            Party::Child(id) => self.children.get(id).map(Live::next_timeout),
        };
        self.unschedule(party);
        if let Some(at) = at {
            self.timers.insert((at, party));
            self.wakes.insert(party, at);
        }
    }

    pub(crate) fn unschedule(&mut self, party: Party) {
        if let Some(at) = self.wakes.remove(&party) {
            self.timers.remove(&(at, party));
        }
    }

    /// Does all that is due.
    pub(crate) fn run_timers(&mut self, now: Instant) {
        self.fragments.expire(now);
        self.remembered.expire(now);
        // Whoever is woken waits for something later afterwards, or is gone.
        while let Some((at, party)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, party));
            self.wakes.remove(&party);
            match party {
                Party::Negotiation(id) => self.wake_negotiation(now, id),
                Party::Sa(id) => self.wake_sa(now, id),
                Party::Quick(id) => self.wake_quick(now, id),
                Party::Child(id) => self.wake_child(now, id),
            }
        }
    }

    fn wake_negotiation(&mut self, now: Instant, id: NegotiationId) {
        let Some(mut n) = self.negotiations.remove(&id) else {
            return;
        };
        let damning = |evidence: &&Evidence| evidence.until <= now && !evidence.contested;
        if let Some(evidence) = n.evidence.as_ref().filter(damning) {
            self.fail_by(now, &n, evidence);
            return;
        }
        let deadline = n.deadline.is_some_and(|deadline| deadline <= now);
        let mut silent = false;
        let factor = n
            .connection
            .as_ref()
            .map_or(1.0, |connection| connection.retransmit.factor);
        // While a job of ours runs, the peer cannot be called silent.
        let working = n.job().is_some();
        let due = |flight: &&mut Flight| flight.next <= now && !working;
        if let Some(flight) = n.flight.as_mut().filter(due) {
            silent = !flight.again(&mut self.core, now, n.route, factor);
        }
        if deadline || silent {
            // What somebody said, though it was not proven, tells more than silence.
            match n.evidence.take() {
                Some(evidence) => self.fail_by(now, &n, &evidence),
                None => drop(self.fail(now, &n, n.silence())),
            }
            return;
        }
        self.keep(n);
    }

    fn wake_sa(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        if sa.expires() <= now {
            self.end_sa(now, id, Cause::Expired, true);
            return;
        }
        if sa.dead_at().is_some_and(|at| at <= now) {
            self.end_sa(now, id, Cause::PeerDead, false);
            return;
        }
        if sa.retire_at.is_some_and(|at| at <= now) {
            self.end_sa(now, id, Cause::Replaced, true);
            return;
        }
        if sa.probe_at().is_some_and(|at| at <= now) {
            // What cannot be sent is a probe that is not answered.
            let _ = informational::probe(&mut self.core, sa, now);
        }
        if sa.keepalive_at.is_some_and(|at| at <= now) {
            sa.keepalive_at = Some(after(now, sa.connection.nat_keepalive));
            self.core
                .transmit(sa.route, &[isakmp::non_esp::KEEPALIVE.to_vec()]);
        }
        if sa.configuring.until().is_some_and(|at| at <= now) {
            self.end_sa(now, id, Cause::InnerAddressSilence, true);
            return;
        }
        if sa
            .asked
            .as_ref()
            .is_some_and(|asked| asked.flight.next <= now)
        {
            self.ask_again(now, id);
            return;
        }
        if sa.reply_until.is_some_and(|at| at <= now) {
            sa.reply_until = None;
            sa.duplicates.drop_reply();
        }
        sa.done.retain(|_, done| done.until > now);
        let ready = sa.children_at.is_some_and(|at| at <= now);
        if ready {
            sa.children_at = None;
        }
        let auto = sa.auto_at.is_some_and(|at| at <= now);
        if sa.replace_at.is_some_and(|at| at <= now) {
            self.replace(now, id);
        }
        if ready {
            self.begin_waiting_children(now, id);
        }
        if auto {
            self.begin_auto_children(now, id);
        }
        self.schedule(Party::Sa(id));
    }

    /// A TRANSACTION of ours was not answered in time.
    fn ask_again(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let (route, factor) = (sa.route, sa.connection.retransmit.factor);
        let Some(asked) = &mut sa.asked else {
            return;
        };
        if !asked.flight.again(&mut self.core, now, route, factor) {
            if asked.what == Asking::Pull {
                self.end_sa(now, id, Cause::InnerAddressSilence, true);
                return;
            }
            // Whether the peer lives is dead peer detection's to find out.
            sa.asked = None;
        }
        self.schedule(Party::Sa(id));
    }

    /// An SA is to be replaced before it ends.
    fn replace(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let left = sa.expires().saturating_duration_since(now);
        let again = now + left.mul_f64(REPLACE_AGAIN);
        sa.replace_at = (left.as_millis() > 1_000).then_some(again);
        self.begin_successor(now, id);
    }

    /// Begins the negotiation of an SA's successor, unless there is one already: where the old one floated to,
    /// or, with a host that is known by name, where that leads now.
    pub(crate) fn begin_successor(&mut self, now: Instant, id: u64) {
        if !self.wants_successor(id) {
            return;
        }
        let Some(connection) = self.sas.get(&id).map(|sa| sa.connection.clone()) else {
            return;
        };
        if let RemoteAddress::Name(_) = connection.remote_address {
            self.core.out.push_back(Output::NeedRoute {
                mmsa_id: id,
                connection: connection.name.clone(),
            });
        } else {
            self.replace_by(now, id, None);
        }
    }

    /// Whether the successor of an SA is to be negotiated.
    pub(crate) fn wants_successor(&mut self, id: u64) -> bool {
        let Some(sa) = self.sas.get(&id) else {
            return false;
        };
        let has_successor = self.sas_with(&sa.remote_id).any(|other| {
            other.established > sa.established
                && other.connection.name == sa.connection.name
                && other.is_of_peer_of(sa)
        });
        if has_successor && let Some(sa) = self.sas.get_mut(&id) {
            sa.replace_at = None;
        }
        let under_way = self.negotiations.values().any(|n| n.replaces == Some(id));
        !has_successor && !under_way && !self.stopping
    }

    /// Begins it.
    pub(crate) fn replace_by(
        &mut self,
        now: Instant,
        id: u64,
        route: Option<(SocketAddr, SocketAddr)>,
    ) {
        if !self.wants_successor(id) {
            return;
        }
        let Some(sa) = self.sas.get(&id) else {
            return;
        };
        let elsewhere = route.filter(|(_, remote)| {
            // A peer behind a NAT was heard where it is; its name tells no more.
            remote.ip() != sa.route.remote.ip() && !sa.peer_behind_nat
        });
        let route = elsewhere.map_or(sa.route, |(local, remote)| Route {
            local,
            remote,
            marked: false,
        });
        let connection = sa.connection.clone();
        self.begin(now, &connection, route, Some(id));
    }
}
