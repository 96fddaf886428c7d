//! The endpoint: its tables, and the way in and out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, FailurePoint, Role};
use isakmp::{Cookie, ExchangeType};

use crate::child::ChildSaId;
use crate::config::{Connection, EndpointConfig};
use crate::core::Core;
use crate::half_open::HalfOpen;
use crate::identity::Identity;
use crate::ikev1::aggressive;
use crate::ikev1::fragments::Fragments;
use crate::ikev1::initiator;
use crate::ikev1::negotiation::{Failure, Negotiation, NegotiationId, Route, Step};
use crate::ikev1::quick::children::Children;
use crate::ikev1::quick::{Quick, QuickId};
use crate::ikev1::responder;
use crate::ikev1::sa::Sa;
use crate::ikev1::state::State;
use crate::ikev1::xauth;
use crate::index::Index;
use crate::inner::Leases;
use crate::io::{Command, Input, JobId, Output, Ticket, Verdict, VerdictOutcome};
use crate::job::JobResult;
use crate::remembered::{Origin, Remembered};
use crate::status::Counters;

/// A negotiation or an SA: what a cookie pair stands for and what a timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Negotiation(NegotiationId),
    Sa(u64),
    Quick(QuickId),
    Child(u64),
}

/// What happens when the log has dealt with an event.
#[derive(Clone, Debug)]
pub(crate) enum AfterTicket {
    /// The SA stands, or falls.
    Establish(NegotiationId),
    /// The child SA stands, or falls.
    EstablishChild(QuickId, ChildSaId),
    /// An end: who waits for its verdict, and each `Terminate` that waits for it, is told.
    Told {
        answers: Vec<Output>,
        terminations: Vec<u64>,
    },
}

/// A `Terminate` whose ends are on their way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Termination {
    pub connection: String,
    /// `TerminateChild`'s.
    pub child: Option<String>,
    pub ended: usize,
    pub waiting: usize,
}

/// A keying endpoint. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) core: Core,
    pub(crate) negotiations: BTreeMap<NegotiationId, Negotiation>,
    /// Boxed: the leaves of a map that grows at its end are half empty.
    pub(crate) sas: BTreeMap<u64, Box<Sa>>,
    /// The same by the peer's identity.
    pub(crate) sas_by_peer: Index,
    /// The same by [`Sa::holder`].
    pub(crate) sas_by_holder: Index,
    /// Quick Modes under way.
    pub(crate) quick: BTreeMap<QuickId, Quick>,
    /// The same by Main Mode SA and message ID.
    pub(crate) quick_by_message: BTreeMap<(u64, u32), QuickId>,
    /// Child SAs.
    pub(crate) children: Children,
    /// Our SPIs in use, those of Quick Modes with them.
    pub(crate) spis: BTreeSet<u32>,
    /// The CPIs that peers may send.
    pub(crate) cpis: BTreeSet<u16>,
    /// Connections and children of theirs that wait for a Main Mode SA.
    pub(crate) waiting_children: BTreeSet<(String, String)>,
    /// Both cookies known.
    pub(crate) by_cookies: BTreeMap<(Cookie, Cookie), Party>,
    /// Our own cookies, where we are the initiator.
    pub(crate) by_own_cookie: BTreeMap<Cookie, Party>,
    /// Messages 1 that were taken, for their duplicates.
    pub(crate) by_origin: BTreeMap<Origin, Party>,
    /// Responder negotiations, by the address that began them.
    pub(crate) half_open: HalfOpen,
    pub(crate) remembered: Remembered,
    pub(crate) fragments: Fragments,
    /// Addresses that peers were given.
    pub(crate) leases: Leases,
    pub(crate) tickets: BTreeMap<Ticket, AfterTicket>,
    pub(crate) terminations: BTreeMap<u64, Termination>,
    pub(crate) timers: BTreeSet<(Instant, Party)>,
    pub(crate) wakes: BTreeMap<Party, Instant>,
    pub(crate) counters: Counters,
    /// A `Shutdown` was given: nothing begins any more.
    pub(crate) stopping: bool,
}

impl Endpoint {
    /// An endpoint without connections.
    pub fn new(config: EndpointConfig, now: Instant) -> Self {
        Endpoint {
            core: Core::new(config, now),
            negotiations: BTreeMap::new(),
            sas: BTreeMap::new(),
            sas_by_peer: Index::default(),
            sas_by_holder: Index::default(),
            quick: BTreeMap::new(),
            quick_by_message: BTreeMap::new(),
            children: Children::default(),
            spis: BTreeSet::new(),
            cpis: BTreeSet::new(),
            waiting_children: BTreeSet::new(),
            by_cookies: BTreeMap::new(),
            by_own_cookie: BTreeMap::new(),
            by_origin: BTreeMap::new(),
            half_open: HalfOpen::default(),
            remembered: Remembered::default(),
            fragments: Fragments::default(),
            leases: Leases::default(),
            tickets: BTreeMap::new(),
            terminations: BTreeMap::new(),
            timers: BTreeSet::new(),
            wakes: BTreeMap::new(),
            counters: Counters::default(),
            stopping: false,
        }
    }

    /// Takes an input. What comes of it is for [`Endpoint::poll`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Datagram {
                local,
                remote,
                bytes,
            } => self.datagram(now, local, remote, &bytes),
            Input::Unsent {
                bytes,
                out_of_memory,
                why,
            } => self.unsent(&bytes, out_of_memory, why),
            Input::Command(command) => self.command(now, command),
            Input::JobDone(id, result) => self.job_done(now, id, result),
            Input::Durable(ticket) => self.ticket(now, ticket, true),
            Input::Refused(ticket) => self.ticket(now, ticket, false),
            Input::MainModeIds(ids) => self.core.add_mm_ids(ids),
            Input::Timeout => {}
            Input::QuickModeIds(ids) => self.core.add_qm_ids(ids),
            Input::Installed(id) => self.installed(now, id.0),
            Input::InstallFailed(id, why) => self.install_failed(now, id.0, why),
            Input::Expiring(id) => self.expiring(now, id.0),
            Input::Moved(id, remote) => self.child_moved(id.0, remote),
            Input::Expired(id) => drop(self.end_child(now, id.0, Cause::Expired, true)),
        }
        self.run_timers(now);
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.core.out.pop_front()
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Connections(connections) => self.connections(now, connections),
            Command::Initiate {
                connection,
                local,
                remote,
            } => {
                self.initiate(now, &connection, local, remote);
            }
            Command::Terminate { connection } => {
                self.terminate(now, &connection, None);
            }
            Command::InitiateChild {
                connection,
                child,
                local,
                remote,
            } => self.initiate_child(now, &connection, &child, local, remote),
            Command::TerminateChild { connection, child } => {
                self.terminate(now, &connection, Some(child));
            }
            Command::Resolved { name, addresses } => self.resolved(name, addresses),
            Command::Replace { mmsa_id, route } => self.replace_by(now, mmsa_id, route),
            Command::Watch(watched) => self.core.watched = watched,
            Command::LogKeys(log) => self.core.log_keys = log,
            Command::Shutdown => {
                self.stopping = true;
                let all: Vec<NegotiationId> = self.negotiations.keys().copied().collect();
                for id in all {
                    self.end_negotiation(now, id, Cause::ShuttingDown, Cause::Shutdown, None);
                }
                let all: Vec<QuickId> = self.quick.keys().copied().collect();
                for id in all {
                    let early = Failure::local(Cause::ShuttingDown);
                    self.end_quick(now, id, early, Cause::Shutdown, None);
                }
                let all: Vec<u64> = self.children.ids().collect();
                self.end_children(now, &all, Cause::Shutdown, true);
                let all: Vec<u64> = self.sas.keys().copied().collect();
                for id in all {
                    self.end_sa(now, id, Cause::Shutdown, true);
                }
            }
        }
    }

    pub(crate) fn initiate(
        &mut self,
        now: Instant,
        name: &str,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let Some(connection) = self
            .core
            .connections
            .iter()
            .find(|c| c.name == name)
            .cloned()
        else {
            return self.not_begun(name, remote, Cause::NoConnection);
        };
        if self.stopping {
            return self.not_begun(name, remote, Cause::ShuttingDown);
        }
        if let Some(sa) = self
            .sas
            .values()
            .rev()
            .find(|sa| sa.connection.name == name)
        {
            let verdict = established(sa);
            self.core.out.push_back(Output::Verdict(verdict));
            return;
        }
        let under_way = self.negotiations.values().any(|n| {
            n.role == Role::Initiator && n.connection.as_ref().is_some_and(|c| c.name == name)
        });
        if under_way {
            return;
        }
        if self.is_full() {
            for child in self.take_waiting(name) {
                self.no_child(name, &child, remote, Cause::TooManySas);
            }
            return self.not_begun(name, remote, Cause::TooManySas);
        }
        let route = Route {
            local,
            remote,
            marked: false,
        };
        self.begin(now, &connection, route, None);
    }

    /// Answers who asked for a negotiation that does not even begin, and so has no event.
    fn not_begun(&mut self, name: &str, remote: SocketAddr, cause: Cause) {
        self.core.out.push_back(Output::Verdict(Verdict {
            connection: Some(name.to_owned()),
            role: Role::Initiator,
            remote,
            outcome: VerdictOutcome::Failed {
                cause,
                point: FailurePoint::Local,
                detail: None,
            },
        }));
    }

    /// Begins a negotiation as initiator.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        connection: &Arc<Connection>,
        route: Route,
        replaces: Option<u64>,
    ) {
        self.core.started(&mut self.counters);
        let (negotiation, step) =
            initiator::begin(&mut self.core, now, connection, route, replaces);
        self.by_own_cookie.insert(
            negotiation.initiator_cookie,
            Party::Negotiation(negotiation.id),
        );
        self.apply(now, negotiation, step, route.remote);
    }

    /// Puts a negotiation into the table, and its timer.
    pub(crate) fn keep(&mut self, negotiation: Negotiation) {
        let id = negotiation.id;
        if negotiation.role == Role::Responder {
            self.half_open.moved(&negotiation);
        }
        self.negotiations.insert(id, negotiation);
        self.schedule(Party::Negotiation(id));
    }

    fn terminate(&mut self, now: Instant, connection: &str, child: Option<String>) {
        let id = self.core.number();
        self.terminations.insert(
            id,
            Termination {
                connection: connection.to_owned(),
                child: child.clone(),
                ended: 0,
                waiting: 0,
            },
        );
        let (early, late) = (Cause::StoppedByOperator, Cause::DeletedByOperator);
        let ended = match child {
            None => self.end_connection(now, connection, early, late, Some(id)),
            Some(child) => self.end_named(now, connection, Some(&child), early, late, Some(id)),
        };
        if let Some(termination) = self.terminations.get_mut(&id) {
            termination.ended = ended;
        }
        self.finish_termination(id);
    }

    /// Ends the negotiations and SAs of a connection; gives how many there were.
    pub(crate) fn end_connection(
        &mut self,
        now: Instant,
        name: &str,
        early: Cause,
        late: Cause,
        termination: Option<u64>,
    ) -> usize {
        let of_name = |c: &Connection| c.name == name;
        let negotiations: Vec<NegotiationId> = self
            .negotiations
            .values_mut()
            .filter_map(|n| n.ends_with(name, early).then_some(n.id))
            .collect();
        let sas: Vec<u64> = self
            .sas
            .values()
            .filter(|sa| of_name(&sa.connection))
            .map(|sa| sa.mmsa_id)
            .collect();
        for id in &negotiations {
            self.end_negotiation(now, *id, early, late, termination);
        }
        let under = self.end_named(now, name, None, early, late, termination);
        for id in &sas {
            let ticket = self.end_sa(now, *id, late, true);
            self.wait_for(termination, ticket);
        }
        negotiations.len() + sas.len() + under
    }

    /// Ends the Quick Modes and child SAs of a connection, or of one of its children; gives how many there
    /// were.
    fn end_named(
        &mut self,
        now: Instant,
        connection: &str,
        child: Option<&str>,
        early: Cause,
        late: Cause,
        termination: Option<u64>,
    ) -> usize {
        let quick: Vec<QuickId> = self
            .quick
            .values()
            .filter(|quick| {
                let name = quick.child.as_ref().map(|child| child.name.as_str());
                quick.connection.name == connection && (child.is_none() || name == child)
            })
            .map(|quick| quick.id)
            .collect();
        let children: Vec<u64> = self
            .children
            .values()
            .filter(|live| {
                live.connection.name == connection
                    && child.is_none_or(|child| live.child.name == child)
            })
            .map(|live| live.id)
            .collect();
        for id in &quick {
            self.end_quick(now, *id, Failure::local(early), late, termination);
        }
        for ticket in self.end_children(now, &children, late, true) {
            self.wait_for(termination, Some(ticket));
        }
        quick.len() + children.len()
    }

    /// Makes a termination wait for a ticket.
    pub(crate) fn wait_for(&mut self, termination: Option<u64>, ticket: Option<Ticket>) {
        if let (Some(id), Some(ticket)) = (termination, ticket)
            && let Some(AfterTicket::Told { terminations, .. }) = self.tickets.get_mut(&ticket)
            && let Some(termination) = self.terminations.get_mut(&id)
        {
            terminations.push(id);
            termination.waiting += 1;
        }
    }

    fn finish_termination(&mut self, id: u64) {
        if self
            .terminations
            .get(&id)
            .is_some_and(|termination| termination.waiting == 0)
            && let Some(done) = self.terminations.remove(&id)
        {
            let Termination {
                connection,
                child,
                ended,
                ..
            } = done;
            self.core.out.push_back(match child {
                None => Output::Terminated { connection, ended },
                Some(child) => Output::ChildTerminated {
                    connection,
                    child,
                    ended,
                },
            });
        }
    }

    fn job_done(&mut self, now: Instant, id: JobId, result: JobResult) {
        let negotiation = match self.core.jobs.remove(&id) {
            Some(Party::Negotiation(negotiation)) => negotiation,
            Some(Party::Quick(quick)) => return self.quick_job_done(now, quick, id, result),
            Some(Party::Sa(_) | Party::Child(_)) | None => return,
        };
        let Some(mut n) = self.negotiations.remove(&negotiation) else {
            return;
        };
        if n.job() != Some(id) {
            self.keep(n);
            return;
        }
        let cookies = n.cookies();
        let step = match &n.state {
            State::AggressiveMakingShare { .. } => {
                aggressive::initiator::share_made(&mut self.core, &mut n, now, result)
            }
            State::AggressiveDeriving { .. } => {
                let first_contact = !self.knows_peer_of(&n);
                aggressive::initiator::derived(&mut self.core, &mut n, now, result, first_contact)
            }
            State::AggressiveDerivingForAnswer { .. } => {
                aggressive::responder::derived(&mut self.core, &mut n, now, result)
            }
            State::AggressiveSigning { .. } => {
                aggressive::responder::signed(&mut self.core, &mut n, now, result)
            }
            State::SigningForAnswer { .. } if n.role == Role::Initiator => {
                aggressive::initiator::signed(&mut self.core, &mut n, now, result)
            }
            State::CheckingPeer { .. } if n.exchange == ExchangeType::AGGRESSIVE => match n.role {
                Role::Initiator => {
                    aggressive::initiator::checked(&mut self.core, &mut n, now, result)
                }
                Role::Responder => {
                    aggressive::responder::checked(&mut self.core, &mut n, now, result)
                }
            },
            State::MakingShare { .. } => initiator::share_made(&mut self.core, &mut n, now, result),
            State::DerivingForId { .. } => {
                let first_contact = !self.knows_peer_of(&n);
                initiator::derived(&mut self.core, &mut n, now, result, first_contact)
            }
            State::DerivingForKe { .. } => responder::derived(&mut self.core, &mut n, now, result),
            State::SigningForId { .. } => initiator::signed(&mut self.core, &mut n, now, result),
            State::SigningForAnswer { .. } => {
                responder::signed(&mut self.core, &mut n, now, result)
            }
            State::Xauth(_) => xauth::job_done(&mut self.core, &mut n, now, result),
            State::CheckingPeer { .. } => match n.role {
                Role::Initiator => initiator::checked(&mut self.core, &mut n, now, result),
                Role::Responder => responder::checked(&mut self.core, &mut n, now, result),
            },
            _ => Step::Stay,
        };
        if n.cookies() != cookies {
            // What answered was not the responder's.
            self.by_cookies.remove(&cookies);
        }
        let sound = !matches!(
            step,
            Step::Evidence(_) | Step::EvidenceUnderKeys { .. } | Step::Fail(_)
        );
        if n.evidence
            .as_ref()
            .is_some_and(|evidence| evidence.contested)
        {
            if sound {
                self.refuted(now, &mut n);
            } else if let Some(evidence) = &mut n.evidence {
                evidence.contested = false;
            }
        }
        let source = n.route.remote;
        self.apply(now, n, step, source);
    }

    /// The SAs with the peer that has proven this identity.
    pub(crate) fn sas_with(&self, remote_id: &Identity) -> impl Iterator<Item = &Sa> {
        let found = self.sas_by_peer.of(remote_id);
        let found = found.filter_map(|id| self.sas.get(&id).map(|sa| &**sa));
        found.filter(move |sa| sa.remote_id == *remote_id)
    }

    /// Whether an SA with the peer of this negotiation lives: by the identity that the connection names, and where
    /// it names none by the peer's address, whichever connection the SA is of.
    fn knows_peer_of(&self, n: &Negotiation) -> bool {
        let Some(connection) = &n.connection else {
            return false;
        };
        self.sas.values().any(|sa| match &connection.remote_id {
            Some(id) => id.matches(&sa.remote_id),
            None => sa.route.leads_to(n.route.remote),
        })
    }

    fn ticket(&mut self, now: Instant, ticket: Ticket, durable: bool) {
        match self.tickets.remove(&ticket) {
            None => {}
            Some(AfterTicket::Establish(id)) => self.established(now, id, durable),
            Some(AfterTicket::EstablishChild(quick, id)) => {
                self.child_established(now, quick, id, durable);
            }
            Some(AfterTicket::Told {
                answers,
                terminations,
            }) => {
                self.core.out.extend(answers);
                for termination in terminations {
                    self.termination_step(termination);
                }
            }
        }
    }

    /// One of the ends that a `Terminate` waits for has come.
    pub(crate) fn termination_step(&mut self, id: u64) {
        if let Some(waiting) = self.terminations.get_mut(&id) {
            waiting.waiting = waiting.waiting.saturating_sub(1);
        }
        self.finish_termination(id);
    }

    /// Ends a negotiation for a reason of ours.
    fn end_negotiation(
        &mut self,
        now: Instant,
        id: NegotiationId,
        early: Cause,
        late: Cause,
        termination: Option<u64>,
    ) {
        let Some(mut n) = self.negotiations.remove(&id) else {
            return;
        };
        if matches!(n.state, State::Establishing(_)) {
            // Its 4650 is being written: it ends as soon as that is done.
            n.end_after.get_or_insert(late);
            if let Some(id) = termination
                && let Some(waiting) = self.terminations.get_mut(&id)
            {
                waiting.waiting += 1;
                n.terminations.push(id);
            }
            self.keep(n);
            return;
        }
        let ticket = self.fail(now, &n, Failure::local(early));
        self.wait_for(termination, ticket);
    }
}

/// The verdict that an SA stands for.
pub(crate) fn established(sa: &Sa) -> Verdict {
    Verdict {
        connection: Some(sa.connection.name.clone()),
        role: sa.role,
        remote: sa.route.remote,
        outcome: VerdictOutcome::Established {
            mmsa_id: sa.mmsa_id,
            remote_name: sa.remote_id.to_string(),
            suite: [
                sa.suite.cipher.row().word,
                sa.suite.hash.row().word,
                sa.suite.group.row().word,
            ],
        },
    }
}
