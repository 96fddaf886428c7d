//! The endpoint: its tables, and the way in and out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, Role};
use isakmp::Cookie;

use crate::config::{Connection, EndpointConfig};
use crate::core::Core;
use crate::ikev1::fragments::Fragments;
use crate::ikev1::initiator;
use crate::ikev1::negotiation::{Failure, Negotiation, NegotiationId, Route, State, Step};
use crate::ikev1::responder;
use crate::ikev1::sa::Sa;
use crate::io::{Command, Input, JobId, Output, Ticket, Verdict, VerdictOutcome};
use crate::job::JobResult;
use crate::remembered::{Origin, Remembered};
use crate::status::Counters;

/// A negotiation or an SA: what a cookie pair stands for and what a timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Negotiation(NegotiationId),
    Sa(u64),
}

/// What happens when the log has dealt with an event.
#[derive(Clone, Debug)]
pub(crate) enum AfterTicket {
    /// The SA stands, or falls.
    Establish(NegotiationId),
    /// Somebody waits for this verdict.
    Report(Verdict),
    /// One of the ends that a `Terminate` waits for.
    Terminated(u64),
}

/// A `Terminate` whose ends are on their way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Termination {
    pub connection: String,
    pub ended: usize,
    pub waiting: usize,
}

/// A keying endpoint. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) core: Core,
    pub(crate) negotiations: BTreeMap<NegotiationId, Negotiation>,
    pub(crate) sas: BTreeMap<u64, Sa>,
    /// Both cookies known.
    pub(crate) by_cookies: BTreeMap<(Cookie, Cookie), Party>,
    /// Our own cookie, while message 2 is awaited.
    pub(crate) by_own_cookie: BTreeMap<Cookie, NegotiationId>,
    /// Messages 1 that were taken, for their duplicates.
    pub(crate) by_origin: BTreeMap<Origin, Party>,
    pub(crate) half_open: BTreeMap<IpAddr, usize>,
    pub(crate) remembered: Remembered,
    pub(crate) fragments: Fragments,
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
            by_cookies: BTreeMap::new(),
            by_own_cookie: BTreeMap::new(),
            by_origin: BTreeMap::new(),
            half_open: BTreeMap::new(),
            remembered: Remembered::default(),
            fragments: Fragments::default(),
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
            Input::Timeout => {}
            Input::Command(command) => self.command(now, command),
            Input::JobDone(id, result) => self.job_done(now, id, result),
            Input::Durable(ticket) => self.ticket(now, ticket, true),
            Input::Refused(ticket) => self.ticket(now, ticket, false),
            Input::MainModeIds(ids) => self.core.add_mm_ids(ids),
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
                self.terminate(
                    now,
                    &connection,
                    Cause::StoppedByOperator,
                    Cause::DeletedByOperator,
                );
            }
            Command::Shutdown => {
                self.stopping = true;
                let all: Vec<NegotiationId> = self.negotiations.keys().copied().collect();
                for id in all {
                    self.end_negotiation(now, id, Cause::ShuttingDown, Cause::Shutdown, None);
                }
                let all: Vec<u64> = self.sas.keys().copied().collect();
                for id in all {
                    self.end_sa(now, id, Cause::Shutdown, true);
                }
            }
        }
    }

    /// Takes a new set of connections; what belonged to those that are gone or changed ends.
    fn connections(&mut self, now: Instant, connections: Vec<Arc<Connection>>) {
        let kept: BTreeSet<&str> = connections.iter().map(|c| c.name.as_str()).collect();
        let gone: BTreeSet<String> = self
            .core
            .connections
            .iter()
            .filter(|connection| !kept.contains(connection.name.as_str()))
            .map(|connection| connection.name.clone())
            .collect();
        self.core.connections = connections;
        for name in gone {
            self.terminate(now, &name, Cause::PolicyChanged, Cause::PolicyChanged);
        }
    }

    fn initiate(&mut self, now: Instant, name: &str, local: SocketAddr, remote: SocketAddr) {
        let Some(connection) = self
            .core
            .connections
            .iter()
            .find(|c| c.name == name)
            .cloned()
        else {
            return;
        };
        if self.stopping {
            return;
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
        if !under_way {
            self.begin(
                now,
                &connection,
                Route {
                    local,
                    remote,
                    marked: false,
                },
                None,
            );
        }
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
        let negotiation = initiator::begin(&mut self.core, now, connection, route, replaces);
        self.by_own_cookie
            .insert(negotiation.initiator_cookie, negotiation.id);
        self.keep(negotiation);
    }

    /// Puts a negotiation into the table, and its timer.
    pub(crate) fn keep(&mut self, negotiation: Negotiation) {
        let id = negotiation.id;
        self.negotiations.insert(id, negotiation);
        self.schedule(Party::Negotiation(id));
    }

    fn terminate(&mut self, now: Instant, name: &str, early: Cause, late: Cause) {
        let termination = self.core.number();
        let of_name = |c: &Connection| c.name == name;
        let negotiations: Vec<NegotiationId> = self
            .negotiations
            .values()
            .filter(|n| n.connection.as_ref().is_some_and(|c| of_name(c)))
            .map(|n| n.id)
            .collect();
        let sas: Vec<u64> = self
            .sas
            .values()
            .filter(|sa| of_name(&sa.connection))
            .map(|sa| sa.mmsa_id)
            .collect();
        self.terminations.insert(
            termination,
            Termination {
                connection: name.to_owned(),
                ended: negotiations.len() + sas.len(),
                waiting: 0,
            },
        );
        for id in negotiations {
            self.end_negotiation(now, id, early, late, Some(termination));
        }
        for id in sas {
            if let Some(ticket) = self.end_sa(now, id, late, true) {
                self.wait_for(termination, ticket);
            }
        }
        self.finish_termination(termination);
    }

    pub(crate) fn wait_for(&mut self, termination: u64, ticket: Ticket) {
        if let Some(waiting) = self.terminations.get_mut(&termination) {
            waiting.waiting += 1;
            self.tickets
                .insert(ticket, AfterTicket::Terminated(termination));
        }
    }

    pub(crate) fn finish_termination(&mut self, id: u64) {
        if self
            .terminations
            .get(&id)
            .is_some_and(|termination| termination.waiting == 0)
            && let Some(done) = self.terminations.remove(&id)
        {
            self.core.out.push_back(Output::Terminated {
                connection: done.connection,
                ended: done.ended,
            });
        }
    }

    fn job_done(&mut self, now: Instant, id: JobId, result: JobResult) {
        let Some(negotiation) = self.core.jobs.remove(&id) else {
            return;
        };
        let Some(mut n) = self.negotiations.remove(&negotiation) else {
            return;
        };
        if n.job() != Some(id) {
            self.keep(n);
            return;
        }
        let step = match &n.state {
            State::MakingShare { .. } => initiator::share_made(&mut self.core, &mut n, now, result),
            State::DerivingForId { .. } => {
                let first_contact = !self.knows_peer_of(&n);
                initiator::derived(&mut self.core, &mut n, now, result, first_contact)
            }
            State::DerivingForKe { .. } => responder::derived(&mut self.core, &mut n, now, result),
            _ => Step::Stay,
        };
        let source = n.route.remote;
        self.apply(now, n, step, source);
    }

    /// Whether an SA with the peer of this negotiation lives: by the identity that the connection
    /// names, and where it names none by the connection and the peer's address.
    fn knows_peer_of(&self, n: &Negotiation) -> bool {
        let Some(connection) = &n.connection else {
            return false;
        };
        self.sas.values().any(|sa| match &connection.remote_id {
            Some(id) => id.matches(&sa.remote_id),
            None => {
                sa.connection.name == connection.name && sa.route.remote.ip() == n.route.remote.ip()
            }
        })
    }

    fn ticket(&mut self, now: Instant, ticket: Ticket, durable: bool) {
        match self.tickets.remove(&ticket) {
            None => {}
            Some(AfterTicket::Establish(id)) => self.established(now, id, durable),
            Some(AfterTicket::Report(verdict)) => self.core.out.push_back(Output::Verdict(verdict)),
            Some(AfterTicket::Terminated(termination)) => {
                self.termination_step(termination);
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
            n.end_after = Some(late);
            n.end_after_termination = termination;
            if let Some(waiting) = termination.and_then(|id| self.terminations.get_mut(&id)) {
                waiting.waiting += 1;
            }
            self.keep(n);
            return;
        }
        let ticket = self.fail(now, n, Failure::local(early));
        if let (Some(termination), Some(ticket)) = (termination, ticket) {
            // The verdict is reported as well; whichever comes first, both wait for the same ticket.
            if let Some(AfterTicket::Report(verdict)) = self.tickets.remove(&ticket) {
                self.core.out.push_back(Output::Verdict(verdict));
            }
            self.wait_for(termination, ticket);
        }
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
