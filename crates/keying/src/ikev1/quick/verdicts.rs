//! How a Quick Mode ended: its one event, the SA that goes to the data plane, the answer of that.

use std::time::Instant;

use audit::{
    Cause, Event, Extra, FailurePoint, KeyMod, QmState, QuickModeEstablished, QuickModeFailed,
    Role, TrafficEnd,
};
use isakmp::ProtocolId;

use super::live::{Live, LiveState, event_mode, protocol, traffic};
use super::messages::{notification, notify_type};
use super::{Quick, QuickId, QuickState, QuickStep, Ready, Terms};
use crate::child::{ChildOutcome, ChildSa, ChildSaId, ChildVerdict};
use crate::core::Core;
use crate::endpoint::{AfterTicket, Endpoint, Party};
use crate::ikev1::informational;
use crate::ikev1::negotiation::Failure;
use crate::ikev1::sa::Done;
use crate::io::{Account, Output, Ticket};
use crate::limits::{INSTALL_TIMEOUT, MAX_DONE, REPLY_HOLD, SOFT_SHARE, after};
use crate::status::Counters;

impl Core {
    /// A Quick Mode started.
    pub(crate) fn quick_started(&mut self, counters: &mut Counters) {
        counters.quick_modes += 1;
        self.out
            .push_back(Output::Account(Account::QuickModeStarted));
    }
}

impl Endpoint {
    /// Puts a Quick Mode into the table, and its timer.
    pub(crate) fn keep_quick(&mut self, quick: Quick) {
        let id = quick.id;
        self.quick.insert(id, quick);
        self.schedule(Party::Quick(id));
    }

    /// Does what a step asks for.
    pub(crate) fn apply_quick(&mut self, now: Instant, mut quick: Quick, step: QuickStep) {
        match step {
            QuickStep::Stay => self.keep_quick(quick),
            QuickStep::Answer(message) => {
                self.expect(now, &mut quick);
                if let Some(sa) = self.sas.get_mut(&quick.mmsa_id) {
                    quick.launch(&mut self.core, sa, now, message);
                }
                if let Some(flight) = &quick.flight {
                    quick.duplicates.answered(&flight.datagrams);
                }
                self.keep_quick(quick);
            }
            QuickStep::Invalid(cause, why) => {
                let (mmsa_id, route) =
                    (quick.mmsa_id, self.sas.get(&quick.mmsa_id).map(|s| s.route));
                self.keep_quick(quick);
                if let Some(route) = route {
                    self.odd_quick(now, route, mmsa_id, cause, why);
                }
            }
            QuickStep::Fail { failure, tell } => {
                if tell {
                    self.tell_quick_failure(now, &quick, &failure);
                }
                self.fail_quick(now, &quick, failure);
            }
            QuickStep::Establish(ready) => {
                let Some(id) = quick.expected.or_else(|| self.core.qm_id()) else {
                    let failure = Failure::local(Cause::LogUnwritable)
                        .with("no Quick Mode SA ID could be reserved on disk");
                    self.delete_unborn(&quick, &ready.terms);
                    self.fail_quick(now, &quick, failure);
                    return;
                };
                let event = established(&quick, &ready.terms, id);
                let extra = Extra {
                    connection: Some(quick.connection.name.clone()),
                    ..Extra::default()
                };
                let event = Event::QuickModeEstablished(event);
                let ticket = self.core.audit(event, Some(quick.activity), extra);
                let after = AfterTicket::EstablishChild(quick.id, ChildSaId(id));
                self.tickets.insert(ticket, after);
                quick.flight = None;
                quick.deadline = None;
                quick.state = QuickState::Establishing(ready);
                self.keep_quick(quick);
            }
        }
    }

    /// A peer with message 2 has all that it needs, and many a one sends on the new SA before it sends message 3: where
    /// it is to replace one, we receive on it before message 2 goes out, or what it sends in between would be lost.
    /// (draft-jenkins-ipsec-rekeying-06 calls that responder pre-set up.)
    fn expect(&mut self, now: Instant, quick: &mut Quick) {
        let QuickState::Answered(ready) = &quick.state else {
            return;
        };
        let ready = ready.clone();
        let Some(mut live) = self.live(now, quick, &ready, ChildSaId(0)) else {
            return;
        };
        let before = self
            .children
            .others_like(&live)
            .filter(|old| old.installed());
        let Some(before) = before.map(|old| old.id).max() else {
            return;
        };
        // Without an ID it is installed later; without one then, too, it fails.
        let Some(id) = self.core.qm_id() else {
            return;
        };
        live.id = id;
        quick.expected = Some(id);
        let sa = install(&live, &ready, Some(before));
        self.core.out.push_back(Output::ExpectSa(Box::new(sa)));
    }

    /// Tells the peer about a failure that it could not see itself, and remembers what was said: the same
    /// message 1 gets the same answer.
    fn tell_quick_failure(&mut self, now: Instant, quick: &Quick, failure: &Failure) {
        let Some(kind) = notify_type(failure.cause) else {
            if let Some(terms) = quick.terms() {
                let terms = terms.clone();
                self.delete_unborn(quick, &terms);
            }
            return;
        };
        let (Some(sa), Some((protocol, spi))) = (self.sas.get_mut(&quick.mmsa_id), &quick.named)
        else {
            return;
        };
        let payload = notification(ProtocolId(*protocol), spi.clone(), kind, Vec::new());
        // What cannot be built is not sent; the peer asks again.
        let Ok(answer) = informational::send(&mut self.core, sa, &[payload]) else {
            return;
        };
        if quick.role == Role::Responder {
            let mut duplicates = quick.duplicates.clone();
            duplicates.answered(&answer);
            remember(sa, quick.message_id, duplicates, now);
            self.schedule(Party::Sa(quick.mmsa_id));
        }
    }

    /// A delete of an SA that the peer may think is there, or about to be.
    pub(crate) fn delete_unborn(&mut self, quick: &Quick, terms: &Terms) {
        if quick.sent == QmState::None && quick.role == Role::Responder {
            return;
        }
        if let Some(sa) = self.sas.get_mut(&quick.mmsa_id) {
            let payload = super::ends::delete(terms.suite.protocol, &[terms.own_spi]);
            // A delete is sent once; the peer's SA has a lifetime.
            let _ = informational::send(&mut self.core, sa, &[payload]);
        }
    }

    /// Takes a Quick Mode that is over out of every table; what its messages were is remembered.
    fn forget_quick(&mut self, now: Instant, quick: &Quick) {
        self.unschedule(Party::Quick(quick.id));
        if let Some(job) = quick.job() {
            self.core.jobs.remove(&job);
        }
        self.quick_by_message
            .remove(&(quick.mmsa_id, quick.message_id));
        if let Some(sa) = self.sas.get_mut(&quick.mmsa_id)
            && !sa.done.contains_key(&quick.message_id)
        {
            let mut duplicates = quick.duplicates.clone();
            duplicates.drop_reply();
            remember(sa, quick.message_id, duplicates, now);
            self.schedule(Party::Sa(quick.mmsa_id));
        }
    }

    /// A Quick Mode failed: its one verdict. Gives the event's ticket.
    pub(crate) fn fail_quick(&mut self, now: Instant, quick: &Quick, failure: Failure) -> Ticket {
        self.forget_quick(now, quick);
        if let Some(spi) = quick.own_spi {
            self.spis.remove(&spi);
        }
        if let Some(cpi) = quick.own_cpi {
            self.cpis.remove(&cpi);
        }
        if let Some(id) = quick.expected {
            self.core.out.push_back(Output::RemoveSa(ChildSaId(id)));
        }
        self.counters.quick_failed += 1;
        let verdict = ChildVerdict {
            connection: quick.connection.name.clone(),
            child: quick.child.as_ref().map(|child| child.name.clone()),
            role: quick.role,
            remote: quick.remote,
            traffic: quick.pair.map(|pair| [pair.local, pair.remote]),
            outcome: ChildOutcome::Failed {
                cause: failure.cause,
                point: failure.point,
                detail: failure.detail.clone(),
            },
        };
        let event = Event::QuickModeFailed(failed(quick, &failure));
        let extra = Extra {
            connection: Some(quick.connection.name.clone()),
            cause: Some(failure.cause),
            detail: failure.detail,
            ..Extra::default()
        };
        let ticket = self.core.audit(event, Some(quick.activity), extra);
        let told = AfterTicket::Told {
            answers: vec![Output::ChildVerdict(verdict)],
            terminations: quick.terminations.clone(),
        };
        self.tickets.insert(ticket, told);
        self.quick_failed(now, quick, failure.cause);
        ticket
    }

    /// The log has dealt with the 5451 of an SA that both sides proved.
    pub(crate) fn child_established(
        &mut self,
        now: Instant,
        quick: QuickId,
        id: ChildSaId,
        durable: bool,
    ) {
        let Some(mut quick) = self.quick.remove(&quick) else {
            return;
        };
        let QuickState::Establishing(ready) =
            std::mem::replace(&mut quick.state, QuickState::Moving)
        else {
            return self.keep_quick(quick);
        };
        if !durable {
            self.delete_unborn(&quick, &ready.terms);
            let failure = Failure::local(Cause::LogUnwritable);
            self.fail_quick(now, &quick, failure);
            return;
        }
        self.forget_quick(now, &quick);
        self.counters.quick_established += 1;
        let Some(mut live) = self.live(now, &quick, &ready, id) else {
            return;
        };
        if let (Some(cpi), None) = (quick.own_cpi, live.cpis) {
            self.cpis.remove(&cpi);
        }
        // At a responder too, where the peer does not say what its Quick Mode is for.
        let before = self.children.others_like(&live);
        let replaces = live.replaces.or(before.map(|old| old.id).max());
        let first = self.children.others_like(&live).map(|old| old.since).min();
        live.since = first.unwrap_or(now);
        let install = install(&live, &ready, replaces);
        self.children.insert(live);
        if let Some(cause) = quick.end_after {
            // That was decided while the log wrote: nothing is installed.
            let ticket = self.end_child(now, id.0, cause, true);
            self.pass_on(quick.terminations, ticket);
            return;
        }
        self.core
            .out
            .push_back(Output::InstallSa(Box::new(install)));
        self.schedule(Party::Child(id.0));
    }

    /// The SA of a Quick Mode.
    fn live(&mut self, now: Instant, quick: &Quick, ready: &Ready, id: ChildSaId) -> Option<Live> {
        let child = quick.child.clone()?;
        let terms = &ready.terms;
        let sa = self.sas.get(&quick.mmsa_id);
        let rekeys = quick.role == Role::Initiator || quick.connection.may_initiate || child.auto;
        let part = self.core.rekey_part(quick.role);
        Some(Live {
            id: id.0,
            mmsa_id: quick.mmsa_id,
            activity: quick.activity,
            role: quick.role,
            connection: quick.connection.clone(),
            child,
            remote_id: match sa {
                Some(sa) => sa.remote_id.clone(),
                None => crate::identity::Identity::from(quick.remote.ip()),
            },
            suite: terms.suite,
            encapsulation: terms.encapsulation,
            pair: terms.pair,
            local_lan: sa.map_or_else(Vec::new, |sa| sa.nets.outside(&terms.pair.remote)),
            local: sa.map_or(quick.local, |sa| sa.route.local),
            remote: sa.map_or(quick.remote, |sa| sa.route.remote),
            inbound_spi: terms.own_spi,
            outbound_spi: terms.peer_spi,
            cpis: terms.cpis,
            lifetime: terms.lifetime,
            established: now,
            since: now,
            rekey_at: rekeys.then(|| after(now, terms.lifetime.mul_f64(part))),
            superseded: None,
            replaces: quick.replaces,
            nonce: terms.ni.clone().min(terms.nr.clone()),
            state: LiveState::Installing {
                until: now + INSTALL_TIMEOUT,
                message_3: ready.message_3.clone(),
                exchange: (quick.mmsa_id, quick.message_id),
            },
        })
    }

    /// The data plane has an SA: the initiator's message 3 goes out, and what the SA replaces may go.
    pub(crate) fn installed(&mut self, now: Instant, id: u64) {
        let Some(live) = self.children.get_mut(id) else {
            return;
        };
        let LiveState::Installing {
            message_3,
            exchange,
            ..
        } = std::mem::replace(&mut live.state, LiveState::Installed)
        else {
            return;
        };
        let verdict = live.verdict();
        let mmsa_id = live.mmsa_id;
        if !message_3.is_empty() {
            if let Some(sa) = self.sas.get(&mmsa_id) {
                self.core.transmit(sa.route, &message_3);
            }
            // For the responder that did not get it, and sends message 2 again.
            let done = self.sas.get_mut(&exchange.0);
            if let Some(done) = done.and_then(|sa| sa.done.get_mut(&exchange.1)) {
                done.duplicates.answered(&message_3);
                done.until = now + REPLY_HOLD;
            }
        }
        self.core.out.push_back(Output::ChildVerdict(verdict));
        self.tell_child_up(now, id);
        self.schedule(Party::Child(id));
        self.settle(now, id);
    }

    /// The data plane has not, or no longer.
    pub(crate) fn install_failed(&mut self, now: Instant, id: u64, why: String) {
        let Some(live) = self.children.get(id) else {
            return;
        };
        let verdict = ChildVerdict {
            outcome: ChildOutcome::Failed {
                cause: Cause::InstallFailed,
                point: FailurePoint::Local,
                detail: Some(why),
            },
            ..live.verdict()
        };
        if !live.installed() {
            self.core.out.push_back(Output::ChildVerdict(verdict));
        }
        self.end_child(now, id, Cause::LostByDataPlane, true);
    }
}

/// Keeps the messages of a Quick Mode that is over, to know them again.
fn remember(
    sa: &mut crate::ikev1::sa::Sa,
    message_id: u32,
    duplicates: crate::ikev1::duplicates::Duplicates,
    now: Instant,
) {
    while sa.done.len() >= MAX_DONE {
        let oldest = sa.done.iter().min_by_key(|(_, done)| done.until);
        let Some(oldest) = oldest.map(|(id, _)| *id) else {
            break;
        };
        sa.done.remove(&oldest);
    }
    let until = now + REPLY_HOLD;
    sa.done.insert(message_id, Done { duplicates, until });
}

/// What the data plane is given.
fn install(live: &Live, ready: &Ready, replaces: Option<u64>) -> ChildSa {
    let child = &live.child;
    let agreed = ready
        .terms
        .kilobytes
        .map(|kilobytes| kilobytes.saturating_mul(1024));
    let hard_bytes = [agreed, child.lifetime_bytes].into_iter().flatten().min();
    ChildSa {
        id: ChildSaId(live.id),
        connection: live.connection.name.clone(),
        child: child.name.clone(),
        mmsa_id: live.mmsa_id,
        role: live.role,
        mode: live.encapsulation.mode,
        suite: live.suite,
        local: live.local,
        remote: live.remote,
        udp_encap: live.encapsulation.udp,
        local_selector: live.pair.local,
        remote_selector: live.pair.remote,
        local_lan: live.local_lan.clone(),
        inbound: ready.inbound.clone(),
        outbound: ready.outbound.clone(),
        cpis: live.cpis,
        replay_window: child.replay_window,
        soft_bytes: hard_bytes.map(soft),
        hard_bytes,
        soft_packets: child.lifetime_packets.map(soft),
        hard_packets: child.lifetime_packets,
        peer_original: ready.terms.peer_original,
        own_original: ready.terms.own_original,
        replaces: replaces.map(ChildSaId),
    }
}

/// The soft limit of a hard one.
fn soft(hard: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a positive number; the last digits do not matter"
    )]
    let part = (hard as f64 * SOFT_SHARE) as u64;
    part.max(1)
}

fn established(quick: &Quick, terms: &Terms, id: u64) -> QuickModeEstablished {
    let child = quick.child.as_ref();
    QuickModeEstablished {
        local: traffic(&terms.pair.local),
        remote: traffic(&terms.pair.remote),
        peer_private: terms.peer_original,
        protocol: protocol(&terms.pair),
        key_mod: KeyMod::IkeV1,
        ah_auth: terms.suite.ah_auth_word(),
        esp_auth: terms.suite.esp_auth_word(),
        cipher: terms.suite.cipher_word(),
        lifetime: terms.lifetime,
        lifetime_kilobytes: terms.kilobytes,
        lifetime_packets: child.and_then(|child| child.lifetime_packets),
        mode: event_mode(terms.encapsulation.mode, quick.local, quick.remote),
        role: quick.role,
        filter_id: child.map_or(0, |child| child.filter_id),
        mmsa_id: quick.mmsa_id,
        qmsa_id: id,
        inbound_spi: terms.own_spi,
        outbound_spi: terms.peer_spi,
    }
}

fn failed(quick: &Quick, failure: &Failure) -> QuickModeFailed {
    let (local, remote) = match &quick.pair {
        Some(pair) => (traffic(&pair.local), traffic(&pair.remote)),
        None => (
            TrafficEnd::host(quick.local.ip(), 0),
            TrafficEnd::host(quick.remote.ip(), 0),
        ),
    };
    QuickModeFailed {
        local,
        remote,
        protocol: quick.pair.as_ref().map_or(0, protocol),
        peer_private: quick.peer_original,
        key_mod: KeyMod::IkeV1,
        point: failure.point,
        cause: failure.cause,
        mode: quick.encapsulation.map_or(audit::Mode::Unknown, |e| {
            event_mode(e.mode, quick.local, quick.remote)
        }),
        ends: [quick.local.ip(), quick.remote.ip()],
        state: quick.has_sent(),
        role: quick.role,
        message_id: quick.message_id,
        filter_id: quick.child.as_ref().map_or(0, |child| child.filter_id),
        mmsa_id: quick.mmsa_id,
    }
}
