//! Ends and beginnings that are told: verdicts, established SAs, SAs that end.

use std::time::Instant;

use audit::{
    Cause, Event, Extra, KeyMod, MainModeEnded, MainModeEstablished, MainModeFailed, MmState, Role,
};
use isakmp::{ExchangeType, NotifyType};

use crate::child::{ChildOutcome, ChildVerdict};
use crate::core::Core;
use crate::endpoint::{AfterTicket, Endpoint, Party, established};
use crate::ikev1::certificates;
use crate::ikev1::informational::{self, delete, protected};
use crate::ikev1::messages::notification;
use crate::ikev1::negotiation::{Evidence, Failure, Negotiation, NegotiationId, Step};
use crate::ikev1::quick::live::{Live, LiveState};
use crate::ikev1::sa::Sa;
use crate::ikev1::state::{Establishing, State};
use crate::ikev1::xauth;
use crate::io::{Account, Output, Ticket, Verdict, VerdictOutcome};
use crate::limits::{AUTO_GRACE, ENDED_HOLD, LAST_WORD_GRACE, LINGER, REFUSAL_HOLD, after};
use crate::status::Counters;

impl Core {
    /// A negotiation started.
    pub(crate) fn started(&mut self, counters: &mut Counters) {
        counters.negotiations += 1;
        self.out.push_back(Output::Account(Account::Started));
    }
}

impl Endpoint {
    /// Does what a step asks for.
    pub(crate) fn apply(
        &mut self,
        now: Instant,
        mut n: Negotiation,
        step: Step,
        source: std::net::SocketAddr,
    ) {
        match step {
            Step::Stay | Step::Ignore => self.keep(n),
            Step::Invalid(cause, why) => {
                let (id, mut route) = (n.id, n.route);
                if cause == Cause::PacketMalformed && route.leads_to(source) {
                    n.unreadable = Some(why.clone());
                }
                route.remote = source;
                self.keep(n);
                self.odd_about(now, route, Party::Negotiation(id), cause, why);
            }
            Step::Evidence(_) | Step::EvidenceUnderKeys { .. } => {
                let (failure, last_block) = match step {
                    Step::EvidenceUnderKeys {
                        failure,
                        last_block,
                    } => (failure, Some(last_block)),
                    Step::Evidence(failure) => (failure, None),
                    _ => return self.keep(n),
                };
                let hold = n
                    .connection
                    .as_ref()
                    .map_or_else(Default::default, |c| c.evidence_hold);
                // What the responder sent before is still being looked into: if it holds, this is noise.
                let contested = matches!(n.state, State::AggressiveDeriving { .. });
                n.evidence.get_or_insert(Evidence {
                    failure,
                    until: after(now, hold),
                    contested,
                    kept: false,
                    last_block,
                });
                self.keep(n);
            }
            Step::Fail(failure) => {
                self.fail(now, &n, failure);
            }
            Step::FailProven {
                failure,
                last_block,
            } => {
                self.tell_failure(&n, &failure, &last_block);
                self.fail(now, &n, failure);
            }
            Step::Establish {
                sa,
                reply,
                heard_block,
                initial_contact,
            } if sa.user_due => {
                // Both sides hold the keys from here on; the verdict waits for the user.
                self.core.transmit(n.route, &reply);
                n.local_name = Some(sa.local_id.to_string());
                if n.exchange == ExchangeType::IDENTITY_PROTECTION {
                    n.sent = MmState::SentThird;
                }
                n.duplicates.answered(&reply);
                let core = &mut self.core;
                let step = xauth::begin(core, &mut n, now, *sa, heard_block, initial_contact);
                let early = std::mem::take(&mut n.early);
                self.apply(now, n, step, source);
                for message in &early {
                    self.early(now, message);
                }
            }
            Step::Establish {
                sa,
                reply,
                heard_block,
                initial_contact,
            } => {
                let establishing = Establishing {
                    sa: *sa,
                    reply,
                    heard_block,
                    initial_contact,
                };
                self.proven(now, n, establishing);
            }
        }
    }

    /// Both sides proved an SA: it stands as soon as the log has its event, if there is room for it.
    fn proven(&mut self, now: Instant, mut n: Negotiation, establishing: Establishing) {
        let sa = &establishing.sa;
        if self.has_no_room(&n, sa) {
            return self.falls(now, n, establishing, Cause::TooManySas);
        }
        let extra = Extra {
            connection: Some(sa.connection.name.clone()),
            exchange: n.exchange_words(),
            user: sa.user.clone(),
            ..Extra::default()
        };
        let event = established_event(&n, sa);
        let ticket = self.core.audit(event, Some(n.activity), extra);
        self.tickets.insert(ticket, AfterTicket::Establish(n.id));
        n.flight = None;
        n.deadline = None;
        n.state = State::Establishing(Box::new(establishing));
        self.keep(n);
    }

    /// Evidence that something acceptable followed was noise: 4976.
    pub(crate) fn refuted(&mut self, now: Instant, n: &mut Negotiation) {
        if let Some(evidence) = n.evidence.take().filter(|evidence| !evidence.kept) {
            let what = match evidence.failure.detail {
                Some(detail) => format!("{detail}; the negotiation went on"),
                None => format!(
                    "{}; the negotiation went on",
                    evidence.failure.cause.token()
                ),
            };
            let about = (
                n.activity,
                n.connection
                    .as_ref()
                    .map(|connection| connection.name.clone()),
            );
            self.invalid(
                now,
                n.route,
                KeyMod::IkeV1,
                Some(about),
                Cause::PacketTampered,
                what,
            );
        }
    }

    /// Nothing better followed what was seen: the verdict. The peer is told where the message was under the keys.
    pub(crate) fn fail_by(&mut self, now: Instant, n: &Negotiation, evidence: &Evidence) {
        if let Some(last_block) = &evidence.last_block {
            self.tell_failure(n, &evidence.failure, last_block);
        }
        self.fail(now, n, evidence.failure.clone());
    }

    /// The peer proved itself and may take the SA for established: it is told that it is not.
    fn tell_failure(&mut self, n: &Negotiation, failure: &Failure, last_block: &[u8]) {
        let refused = matches!(
            failure.cause,
            Cause::IdentityMismatch | Cause::UnsupportedIdentity | Cause::MalformedId
        );
        let kind = certificates::notification(failure.cause)
            .or(refused.then_some(NotifyType::AUTHENTICATION_FAILED));
        let (keys, payload) = match (&n.state, kind) {
            (
                State::KeAnswered { proving, .. } | State::AggressiveAnswered { proving, .. },
                Some(kind),
            ) => (&proving.keys, notification(n.cookies(), kind, Vec::new())),
            (
                State::IdSent { proving, .. }
                | State::KeAnswered { proving, .. }
                | State::AggressiveAnswered { proving, .. },
                _,
            ) => (&proving.keys, delete(n.cookies())),
            (State::Establishing(establishing), _) => (&establishing.sa.keys, delete(n.cookies())),
            _ => return,
        };
        // What cannot be built is not sent; the peer then waits for its own time-out.
        if let Ok((_, message)) =
            protected(&mut self.core, keys, last_block, n.cookies(), &[payload])
        {
            let datagrams = crate::ikev1::negotiation::datagrams(message, None, 0, n.route.marked);
            self.core.transmit(n.route, &datagrams);
        }
    }

    /// A negotiation failed: its one verdict. Gives the event's ticket, unless it was held back.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        n: &Negotiation,
        failure: Failure,
    ) -> Option<Ticket> {
        if let State::Xauth(pending) = &n.state
            && failure.cause != Cause::DeletedEarly
        {
            // The peer may take the SA for one that stands.
            let mut sa = pending.sa.clone();
            let _ = informational::send(&mut self.core, &mut sa, &[delete(n.cookies())]);
        }
        self.forget(now, n);
        self.counters.failed += 1;
        let verdict = Verdict {
            connection: n
                .connection
                .as_ref()
                .map(|connection| connection.name.clone()),
            role: n.role,
            remote: n.route.remote,
            outcome: VerdictOutcome::Failed {
                cause: failure.cause,
                point: failure.point,
                detail: failure.detail.clone(),
            },
        };
        // Who floods decides how many there are of these two.
        let written = if n.heard_message_1_alone() {
            self.core.rates.verdict(now, n.route.remote.ip())
        } else {
            failure.cause != Cause::TooManyHalfOpen || self.core.rates.gave_way(now)
        };
        if !written {
            self.core
                .out
                .push_back(Output::Account(Account::FailedHeldBack));
            return None;
        }
        let event = MainModeFailed {
            local_name: n.local_name.clone(),
            remote_name: n.remote_name.clone(),
            local: n.route.local,
            remote: n.route.remote,
            key_mod: n.key_mod,
            point: failure.point,
            cause: failure.cause,
            auth: n.auth(),
            state: n.has_sent(),
            role: n.role,
            filter_id: n
                .connection
                .as_ref()
                .map_or(0, |connection| connection.filter_id),
            initiator_cookie: n.initiator_cookie.0,
            responder_cookie: n.responder_cookie.0,
        };
        let children = match n.role {
            Role::Initiator => self.children_not_begun(n, &failure),
            Role::Responder => Vec::new(),
        };
        let user = match &n.state {
            State::Xauth(pending) => pending.sa.user.clone(),
            _ => None,
        };
        let extra = Extra {
            connection: verdict.connection.clone(),
            cause: Some(failure.cause),
            detail: failure.detail,
            exchange: n.exchange_words(),
            user,
            ..Extra::default()
        };
        let event = match &n.certificates {
            Some(certificates) => Event::MainModeFailedByCertificate {
                event: Box::new(event),
                local: certificates.local.clone(),
                remote: certificates.remote.clone(),
            },
            None => Event::MainModeFailed(event),
        };
        let ticket = self.core.audit(event, Some(n.activity), extra);
        let mut answers = vec![Output::Verdict(verdict)];
        answers.extend(children);
        let told = AfterTicket::Told {
            answers,
            terminations: Vec::new(),
        };
        self.tickets.insert(ticket, told);
        Some(ticket)
    }

    /// What is told those who asked for children of a Main Mode that failed.
    fn children_not_begun(&mut self, n: &Negotiation, failure: &Failure) -> Vec<Output> {
        let Some(connection) = n.connection.as_ref().map(|c| c.name.clone()) else {
            return Vec::new();
        };
        let verdict = |child: String| ChildVerdict {
            connection: connection.clone(),
            child: Some(child),
            role: n.role,
            remote: n.route.remote,
            traffic: None,
            outcome: ChildOutcome::Failed {
                cause: failure.cause,
                point: failure.point,
                detail: failure.detail.clone(),
            },
        };
        let waiting = self.take_waiting(&connection);
        waiting
            .into_iter()
            .map(|child| Output::ChildVerdict(verdict(child)))
            .collect()
    }

    /// Takes a negotiation that is over out of every table, and remembers its cookies.
    fn forget(&mut self, now: Instant, n: &Negotiation) {
        self.unschedule(Party::Negotiation(n.id));
        if let Some(job) = n.job() {
            self.core.jobs.remove(&job);
        }
        self.by_cookies.remove(&n.cookies());
        let answered = !n.responder_cookie.is_zero();
        if answered || n.role == Role::Initiator {
            self.remembered.end(now, REFUSAL_HOLD, n.cookies());
        }
        if n.role == Role::Initiator {
            self.by_own_cookie.remove(&n.initiator_cookie);
        } else {
            let origin = (n.origin, n.initiator_cookie);
            if self.leave_half_open(n) {
                self.remembered
                    .refuse(now, REFUSAL_HOLD, (origin, n.key_mod), Vec::new());
            }
        }
    }

    /// Whether it was one: what was refused at once never was, and may have the origin of another.
    fn leave_half_open(&mut self, n: &Negotiation) -> bool {
        let origin = (n.origin, n.initiator_cookie);
        let was = self.by_origin.get(&origin) == Some(&Party::Negotiation(n.id));
        if was {
            self.by_origin.remove(&origin);
            self.half_open.leave(n);
        }
        was
    }

    /// The log has dealt with the event of an SA that both sides proved.
    pub(crate) fn established(&mut self, now: Instant, id: NegotiationId, durable: bool) {
        let Some(mut n) = self.negotiations.remove(&id) else {
            return;
        };
        let State::Establishing(establishing) = std::mem::replace(&mut n.state, State::Moving)
        else {
            return self.keep(n);
        };
        if !durable {
            return self.falls(now, n, *establishing, Cause::LogUnwritable);
        }
        let adds_one = !self.replaces_one(&n);
        let Establishing {
            mut sa,
            reply,
            initial_contact,
            ..
        } = *establishing;
        self.unschedule(Party::Negotiation(id));
        self.counters.established += 1;
        self.core.transmit(sa.route, &reply);
        if n.method.is_none_or(|method| method.xauth.is_none()) {
            n.duplicates.answered(&reply);
        }
        if let Some(asked) = &mut sa.asked {
            asked.flight.next = after(now, self.core.jitter(asked.flight.wait));
        }
        sa.duplicates = n.duplicates.clone();
        let mmsa_id = sa.mmsa_id;
        let party = Party::Sa(mmsa_id);
        if n.role == Role::Initiator {
            self.by_own_cookie.insert(n.initiator_cookie, party);
        } else {
            self.leave_half_open(&n);
            // For duplicates of message 1, as long as those of message 5 are answered.
            self.by_origin.insert((n.origin, n.initiator_cookie), party);
        }
        self.by_cookies.insert(n.cookies(), party);
        let verdict = established(&sa);
        if sa.connection.children.iter().any(|child| child.auto) {
            // Whoever begins with Main Mode goes on with Quick Mode.
            sa.auto_at = Some(match n.role {
                Role::Initiator => now,
                Role::Responder => now + AUTO_GRACE,
            });
            // What did not come up under the one before waits as long as it would there, whoever began this one.
            let before = self.newest_sa(|other| other.connection.name == sa.connection.name);
            let before = before.and_then(|id| self.sas.get(&id));
            if let Some(before) = before.filter(|sa| n.replaces.is_some() || sa.is_in_doubt()) {
                sa.again.clone_from(&before.again);
            }
        }
        // The acknowledgement that the user passed, or message 3 of Aggressive Mode.
        let has_last_word = match n.method.and_then(|method| method.xauth) {
            Some(client) => client == n.role,
            None => n.exchange == ExchangeType::AGGRESSIVE && n.role == Role::Initiator,
        };
        sa.children_at = has_last_word.then(|| now + LAST_WORD_GRACE);
        self.sas_by_peer.insert(&sa.remote_id, mmsa_id);
        self.sas_by_holder.insert(sa.holder(), mmsa_id);
        self.sas.insert(mmsa_id, Box::new(sa));
        self.schedule(party);
        self.core.out.push_back(Output::Verdict(verdict));
        self.tell_up(mmsa_id);
        if initial_contact {
            self.initial_contact(now, mmsa_id);
        }
        if let Some(old) = n.replaces {
            // Whoever sent the last message does not know yet whether the other side took it.
            let unconfirmed = match n.method.and_then(|method| method.xauth) {
                Some(client) => client != n.role,
                None => n.exchange == ExchangeType::AGGRESSIVE && n.role == Role::Initiator,
            };
            self.retire(now, old, unconfirmed);
        }
        if adds_one {
            self.keep_within_bounds(now, mmsa_id);
        }
        if n.end_after.is_none() {
            // Whoever tells the peer that its user passed waits until that has arrived.
            if self.sas.get(&mmsa_id).is_some_and(|sa| sa.asked.is_none()) {
                self.begin_mode_config(now, mmsa_id);
            }
            self.begin_waiting_children(now, mmsa_id);
        }
        if let Some(cause) = n.end_after {
            // Who waited for it to begin a child hears that it does not.
            let told = self.children_not_begun(&n, &Failure::local(Cause::StoppedByOperator));
            self.core.out.extend(told);
            let ticket = self.end_sa(now, mmsa_id, cause, true);
            self.pass_on(n.terminations, ticket);
        }
        for message in &n.early {
            self.early(now, message);
        }
    }

    /// An SA has its successor. It ends, as soon as the Quick Modes under it have; a while later where the peer may
    /// not have the successor yet.
    fn retire(&mut self, now: Instant, id: u64, unconfirmed: bool) {
        let of_quick_mode = |live: &Live| matches!(live.state, LiveState::Installing { exchange, .. } if exchange.0 == id);
        let busy = self.quick.values().any(|quick| quick.mmsa_id == id)
            || self.children.values().any(of_quick_mode);
        match self.sas.get_mut(&id).filter(|_| busy || unconfirmed) {
            Some(sa) => {
                sa.retire_at = Some(now + LINGER);
                sa.replace_at = None;
                self.schedule(Party::Sa(id));
            }
            None => drop(self.end_sa(now, id, Cause::Replaced, true)),
        }
    }

    /// Both sides proved an SA, and it never stands: its event could not be written, and the operator wants that to
    /// count, or there is no room for it.
    fn falls(
        &mut self,
        now: Instant,
        mut n: Negotiation,
        establishing: Establishing,
        cause: Cause,
    ) {
        let heard_block = establishing.heard_block.clone();
        n.state = State::Establishing(Box::new(establishing));
        let failure = Failure::local(cause);
        self.tell_failure(&n, &failure, &heard_block);
        let terminations = std::mem::take(&mut n.terminations);
        let ticket = self.fail(now, &n, failure);
        self.pass_on(terminations, ticket);
    }

    /// Those who waited for an end that waited for the log now wait for the end's own event.
    pub(crate) fn pass_on(&mut self, waiting: Vec<u64>, ticket: Option<Ticket>) {
        match ticket.and_then(|ticket| self.tickets.get_mut(&ticket)) {
            Some(AfterTicket::Told { terminations, .. }) => terminations.extend(waiting),
            _ => waiting.into_iter().for_each(|id| self.termination_step(id)),
        }
    }

    /// The peer of this SA knew of no other when it began to negotiate: its own that are older than that end. What
    /// came to stand meanwhile is another's success.
    pub(crate) fn initial_contact(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get(&id) else { return };
        let stale: Vec<u64> = self
            .sas_with(&sa.remote_id)
            .filter(|other| {
                other.mmsa_id != id && other.established <= sa.begun && sa.is_of_peer_of(other)
            })
            .map(|other| other.mmsa_id)
            .collect();
        for id in stale {
            // It has none of the children either: they do not move.
            self.end_children_under(now, id, Cause::Replaced);
            self.end_sa(now, id, Cause::Replaced, false);
        }
    }

    /// An SA ends: its one 4655. `tell`: with a delete to the peer.
    pub(crate) fn end_sa(
        &mut self,
        now: Instant,
        id: u64,
        cause: Cause,
        tell: bool,
    ) -> Option<Ticket> {
        self.end_under(now, id, cause, tell);
        let mut sa = self.sas.remove(&id)?;
        self.sas_by_peer.remove(&sa.remote_id, id);
        self.sas_by_holder.remove(sa.holder(), id);
        self.unschedule(Party::Sa(id));
        self.by_cookies.remove(&sa.cookies());
        self.remembered.end(now, ENDED_HOLD, sa.cookies());
        if sa.role == Role::Initiator {
            self.by_own_cookie.remove(&sa.initiator_cookie);
        } else {
            self.by_origin.remove(&(sa.origin, sa.initiator_cookie));
            self.remembered.refuse(
                now,
                ENDED_HOLD,
                ((sa.origin, sa.initiator_cookie), KeyMod::IkeV1),
                Vec::new(),
            );
        }
        self.leases.release(id);
        if !sa.inner_local.is_empty() {
            self.core
                .out
                .push_back(Output::Deconfigured { mmsa_id: id });
        }
        let configuring = !sa.configuring.is_over() && sa.inner_local.is_empty();
        // Its successor, where one was to come first, is not negotiated any more.
        let mut under_way = self.negotiations.values();
        let doubted = sa.is_in_doubt()
            && cause != Cause::Replaced
            && !under_way.any(|n| n.replaces == Some(id));
        if configuring || doubted || sa.children_at.is_some() {
            let connection = sa.connection.name.clone();
            for child in self.take_waiting(&connection) {
                self.no_child(&connection, &child, sa.route.remote, cause);
            }
        }
        if tell {
            let payload = delete(sa.cookies());
            // A delete is sent once; a peer that does not hear it has DPD and lifetimes.
            let _ = informational::send(&mut self.core, &mut sa, &[payload]);
        }
        self.counters.ended += 1;
        self.tell_down(&sa, cause);
        let event = Event::MainModeEnded(MainModeEnded {
            local: sa.route.local.ip(),
            remote: sa.route.remote.ip(),
            key_mod: KeyMod::IkeV1,
            mmsa_id: sa.mmsa_id,
        });
        let extra = Extra {
            connection: Some(sa.connection.name.clone()),
            cause: Some(cause),
            ..Extra::default()
        };
        let ticket = self.core.audit(event, Some(sa.activity), extra);
        let told = AfterTicket::Told {
            answers: Vec::new(),
            terminations: Vec::new(),
        };
        self.tickets.insert(ticket, told);
        Some(ticket)
    }
}

/// 4650 or, where certificates were in play, 4651.
fn established_event(n: &Negotiation, sa: &Sa) -> Event {
    let event = MainModeEstablished {
        local_name: Some(sa.local_id.to_string()),
        remote_name: n.remote_name.clone(),
        local: n.route.local,
        remote: n.route.remote,
        key_mod: KeyMod::IkeV1,
        auth: n.auth(),
        cipher: sa.suite.cipher.row().word,
        integrity: sa.suite.hash.row().word,
        group: sa.suite.group.row().word,
        lifetime: sa.lifetime,
        qm_limit: 0,
        role: n.role,
        filter_id: sa.connection.filter_id,
        mmsa_id: sa.mmsa_id,
    };
    match &n.certificates {
        Some(certificates) => Event::MainModeEstablishedByCertificate {
            event: Box::new(event),
            local: certificates.local.clone(),
            remote: certificates.remote.clone(),
        },
        None => Event::MainModeEstablished(event),
    }
}
