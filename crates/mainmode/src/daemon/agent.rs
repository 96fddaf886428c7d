//! The agent: the thread that owns the endpoint and the sockets, and moves the one with what the
//! others bring.

mod kept;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{Cause, Event, Extra, PacketDropped, Role};
use crossbeam_channel::{Receiver, Sender};
use keying::{Command, Endpoint, Input, Job, JobId, Output, Rates, Replaced};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Shared;
use super::journal::Journal;
use super::keylog::KeyLog;
use super::mailbox::{Mailbox, Message, Nudge, Reload, StatusAnswer};
use super::monitor::{self, Watchers};
use super::sas::{Said, Times};
use super::sockets::{Received, Sockets};
use super::workers::Workers;
use crate::config::DataPlane;
use kept::Kept;
use waiting::Waiting;

/// How many datagrams of one socket are taken before the others have their turn.
const TURN: usize = 64;
/// How long the agent lets datagrams and messages gather when its last turn brought several: to sleep and to
/// be woken for each costs more than most of them do. One that comes alone never waits.
const GATHER: Duration = Duration::from_millis(1);
/// So many in one turn are load enough: the next turn begins at once.
const FULL_TURN: usize = 32;
/// Short jobs that the agent does itself while others gather: about as long as [`GATHER`].
const OWN_JOBS: usize = 12;
/// How long a stop waits for the log.
const STOP: Duration = Duration::from_secs(10);

/// See the module.
pub struct Agent {
    endpoint: Endpoint,
    sockets: Sockets,
    journal: Journal,
    workers: Workers,
    /// Jobs that the endpoint gave out in this turn.
    jobs: Vec<(JobId, Job)>,
    inbox: Receiver<Message>,
    nudge: Arc<Nudge>,
    mailbox: Mailbox,
    shared: Arc<Shared>,
    kept: BTreeMap<String, Kept>,
    /// How often a connection that is kept up was begun.
    attempts: u64,
    /// What became of the connections when they were replaced last.
    replaced: Option<Replaced>,
    /// Children that traffic waits for and whose peer is being looked up.
    demanded: BTreeSet<(String, String)>,
    waiting_up: BTreeMap<String, Vec<Waiting>>,
    /// Failures of our own negotiations that are on their way to the log, by connection.
    failing: BTreeMap<String, usize>,
    waiting_down: BTreeMap<String, Vec<Sender<usize>>>,
    last_verdicts: BTreeMap<String, String>,
    /// When SAs were established.
    times: Times,
    /// Those who watch.
    watchers: Watchers,
    /// Where keys are written, if they are.
    key_log: Option<KeyLog>,
    /// Of events about packets that a data plane dropped.
    rates: Rates,
    /// A stop was asked for: until when the log is waited for.
    stopping: Option<Instant>,
}

impl Agent {
    /// An agent; it begins with [`Agent::run`].
    #[expect(
        clippy::too_many_arguments,
        reason = "it is made at one place, of parts that are made there"
    )]
    pub(super) fn new(
        endpoint: Endpoint,
        sockets: Sockets,
        journal: Journal,
        workers: Workers,
        inbox: Receiver<Message>,
        nudge: Arc<Nudge>,
        mailbox: Mailbox,
        shared: Arc<Shared>,
        now: Instant,
    ) -> Self {
        let kept = kept::kept_up(&shared.config())
            .map(|connection| (connection.name.clone(), Kept::new(connection, now)))
            .collect();
        Agent {
            endpoint,
            sockets,
            journal,
            workers,
            jobs: Vec::new(),
            inbox,
            nudge,
            mailbox,
            shared,
            kept,
            attempts: 0,
            replaced: None,
            demanded: BTreeSet::new(),
            waiting_up: BTreeMap::new(),
            failing: BTreeMap::new(),
            waiting_down: BTreeMap::new(),
            last_verdicts: BTreeMap::new(),
            times: Times::default(),
            watchers: Watchers::default(),
            key_log: None,
            rates: Rates::new(now),
            stopping: None,
        }
    }

    /// Works until it is told to stop and all has ended; gives the journal back.
    pub fn run(mut self) -> Journal {
        let mut ready: Vec<usize> = Vec::new();
        // What names stand for was found out before anybody was heard.
        let mut handled = self.messages();
        loop {
            let now = Instant::now();
            self.endpoint.handle(now, Input::Timeout);
            self.keep_up(now);
            self.outputs();
            let journal_wants = self.journal.tick(now, false);
            if self
                .stopping
                .is_some_and(|until| now >= until || self.endpoint.is_idle())
            {
                return self.journal;
            }
            let next = [
                self.endpoint.next_timeout(),
                self.kept.values().filter_map(|kept| kept.next).min(),
                journal_wants,
                self.stopping,
            ];
            let wait = next
                .into_iter()
                .flatten()
                .min()
                .map(|at| at.saturating_duration_since(now));
            let gather = (2..FULL_TURN).contains(&handled);
            if self.jobs.is_empty() {
                if gather {
                    std::thread::sleep(GATHER);
                }
                self.wait(wait, &mut ready);
            } else {
                let own = if gather {
                    OWN_JOBS
                } else {
                    usize::from(!self.wait(Some(Duration::ZERO), &mut ready))
                };
                self.hand_out_jobs(own);
            }
            handled = 0;
            for number in ready.drain(..) {
                for _ in 0..TURN {
                    let Some(received) = self.sockets.receive(number) else {
                        break;
                    };
                    self.datagram(received);
                    handled += 1;
                }
            }
            for _ in 0..self.sockets.passed() {
                let Some(received) = self.sockets.take_passed() else {
                    break;
                };
                self.datagram(received);
                handled += 1;
            }
            handled += self.messages();
        }
    }

    /// Handles the messages that wait, and gives how many there were.
    fn messages(&mut self) -> usize {
        let mut handled = 0;
        while let Ok(message) = self.inbox.try_recv() {
            self.message(message);
            self.outputs();
            handled += 1;
        }
        handled
    }

    /// A data plane dropped a packet: an event, as many as the rates allow.
    fn dropped(&mut self, now: Instant, dropped: PacketDropped, connection: Option<String>) {
        if !self.rates.invalid(now, dropped.remote) {
            self.journal.held_back(dropped.why.event_id(), 1);
            return;
        }
        let extra = Extra {
            connection,
            ..Extra::default()
        };
        self.journal.own_with(Event::PacketDropped(dropped), extra);
    }

    fn datagram(&mut self, received: Received) {
        let input = Input::Datagram {
            local: received.local,
            remote: received.remote,
            bytes: received.bytes,
        };
        self.endpoint.handle(Instant::now(), input);
        self.outputs();
    }

    /// Gives the jobs of this turn to the workers, but for some that are done here if they are short: that
    /// costs less than two threads that wake each other.
    fn hand_out_jobs(&mut self, own: usize) {
        let (own, others): (Vec<_>, Vec<_>) = {
            let mut left = own;
            self.jobs.drain(..).partition(|(_, job)| {
                let takes = left > 0 && Workers::is_short(job);
                left -= usize::from(takes);
                takes
            })
        };
        if !others.is_empty() {
            self.workers.submit(others);
        }
        for (id, job) in own {
            let done = Input::JobDone(id, self.workers.run_here(&job));
            self.endpoint.handle(Instant::now(), done);
            self.outputs();
        }
    }

    /// Waits for a datagram, a nudge or the time. False: it was the time.
    fn wait(&self, wait: Option<Duration>, ready: &mut Vec<usize>) -> bool {
        // Up to the next millisecond: waking too early would be for nothing.
        let timeout = wait.map_or(PollTimeout::NONE, |wait| {
            let millis = wait.as_micros().div_ceil(1_000);
            PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX))
                .unwrap_or(PollTimeout::MAX)
        });
        let mut fds: Vec<PollFd<'_>> = self
            .sockets
            .descriptors()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(self.nudge.fd.as_fd(), PollFlags::POLLIN));
        // An error is a signal; the loop looks at everything anyway.
        if poll(&mut fds, timeout).is_ok() {
            let has = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
            ready.extend(
                fds.iter()
                    .enumerate()
                    .filter(|(_, fd)| has(fd))
                    .map(|(number, _)| number),
            );
        }
        let nudged = ready.pop_if(|number| *number == fds.len() - 1).is_some();
        if nudged {
            self.nudge.take();
        }
        nudged || !ready.is_empty()
    }

    fn message(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::JobDone(id, result) => self.endpoint.handle(now, Input::JobDone(id, result)),
            Message::Ticket(ticket, durable) => {
                self.times.answered(ticket, durable);
                let answer = if durable {
                    Input::Durable
                } else {
                    Input::Refused
                };
                self.endpoint.handle(now, answer(ticket));
            }
            Message::Up {
                connection,
                local,
                remote,
                reply,
            } => self.up(now, &connection, (local, remote), reply),
            Message::Installed(id, Ok(())) => self.endpoint.handle(now, Input::Installed(id)),
            Message::Installed(id, Err(why)) => {
                self.endpoint.handle(now, Input::InstallFailed(id, why));
            }
            Message::Spent(id, false) => self.endpoint.handle(now, Input::Expiring(id)),
            Message::Spent(id, true) => self.endpoint.handle(now, Input::Expired(id)),
            Message::Acquire { connection, child } => self.look_up(connection, child),
            Message::Demand {
                connection,
                child,
                route,
            } => self.demand(now, connection, child, route),
            Message::Begin {
                connection,
                attempt,
                route,
            } => self.begin(now, connection, attempt, route),
            Message::Resolved { name, addresses } => {
                let command = Command::Resolved { name, addresses };
                self.endpoint.handle(now, Input::Command(command));
            }
            Message::Replace { mmsa_id, route } => {
                let command = Command::Replace { mmsa_id, route };
                self.endpoint.handle(now, Input::Command(command));
            }
            Message::Dropped(dropped, connection) => self.dropped(now, dropped, connection),
            Message::DroppedMore(why, count) => self.journal.held_back(why.event_id(), count),
            Message::Moved(id, remote) => self.endpoint.handle(now, Input::Moved(id, remote)),
            Message::Reload(reload) => self.reload(now, *reload),
            Message::Down { connection, reply } => {
                self.by_operator(&connection);
                self.stop_waiting(&connection);
                self.waiting_down
                    .entry(connection.clone())
                    .or_default()
                    .push(reply);
                self.endpoint
                    .handle(now, Input::Command(Command::Terminate { connection }));
            }
            Message::Monitor { snapshot, reply } => {
                let known = snapshot.then(|| {
                    let status = self.endpoint.status(now);
                    monitor::snapshot(&status, &self.times, &self.shared.config())
                });
                let watching = self.watchers.add(known.into_iter().flatten());
                self.watch(now);
                // Who asked may have gone.
                let _ = reply.send(watching);
            }
            Message::Status { reply } => {
                let answer = StatusAnswer {
                    endpoint: self.endpoint.status(now),
                    times: self.times.clone(),
                    last_verdicts: self.last_verdicts.clone(),
                };
                // Who asked may have gone.
                let _ = reply.send(answer);
            }
            Message::Stop => {
                self.stopping = Some(now + STOP);
                self.journal.ends();
                self.endpoint.handle(now, Input::Command(Command::Shutdown));
            }
        }
    }

    /// From now on keys are written there, or nowhere.
    pub(super) fn log_keys(&mut self, now: Instant, key_log: Option<KeyLog>) {
        let command = Command::LogKeys(key_log.is_some());
        self.key_log = key_log;
        self.endpoint.handle(now, Input::Command(command));
    }

    /// Has the endpoint tell of changes while anybody wants to know.
    fn watch(&mut self, now: Instant) {
        let command = Command::Watch(!self.watchers.is_empty());
        self.endpoint.handle(now, Input::Command(command));
    }

    /// Takes another configuration: from here on it is the one in force.
    fn reload(&mut self, now: Instant, reload: Reload) {
        let Reload {
            config,
            connections,
            keyring,
            key_log,
            reply,
        } = reload;
        if self.stopping.is_some() {
            return;
        }
        self.shared.keys.replace(keyring);
        self.journal.when_unwritable(config.log.when_unwritable);
        self.log_keys(now, key_log);
        self.shared.take(config.clone());
        let up = self.kept_that_are_up();
        self.endpoint
            .handle(now, Input::Command(Command::Connections(connections)));
        self.outputs();
        let replaced = self.replaced.take().unwrap_or_default();
        self.keep(now, &config, &replaced, &up);
        self.last_verdicts
            .retain(|name, _| config.connection(name).is_some());
        self.answer_all();
        self.watchers.tell(|| Some((&replaced).into()));
        // Who asked may have gone.
        let _ = reply.send(replaced);
    }

    fn outputs(&mut self) {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Transmit {
                    local,
                    remote,
                    bytes,
                } => {
                    self.transmit(local, remote, bytes);
                }
                Output::Job(id, job) => self.jobs.push((id, job)),
                Output::Audit(audit) => {
                    let connection = audit.extra.connection.as_deref();
                    if let Event::MainModeEnded(ended) = &audit.event {
                        let connection = connection.map(str::to_owned);
                        self.lost(connection.as_deref(), ended.mmsa_id, audit.extra.cause);
                    } else if let Some(failed) = audit.event.main_mode_failed() {
                        if failed.cause == Cause::NoConnection {
                            // It may be a peer whose name leads elsewhere by now.
                            self.shared.names.refresh();
                        } else if failed.role == Role::Initiator {
                            let name = connection.unwrap_or_default().to_owned();
                            *self.failing.entry(name).or_default() += 1;
                        }
                    }
                    let (said, ticket) = (Said::by(&audit.event), audit.ticket);
                    let time = self.journal.audit(*audit);
                    if let Some(said) = said {
                        self.times.note(said, ticket, time);
                    }
                }
                Output::Account(change) => self.journal.account(change),
                Output::Verdict(verdict) => {
                    self.watchers.tell(|| monitor::main_mode_failed(&verdict));
                    self.verdict(&verdict);
                }
                Output::Terminated { connection, ended } => self.stopped(&connection, ended),
                Output::NeedRoute {
                    mmsa_id,
                    connection,
                } => self.find_successor(mmsa_id, &connection),
                Output::Change(change) => {
                    let config = self.shared.config();
                    self.watchers
                        .tell(|| Some(monitor::happened(&change, &self.times, &config)));
                    if self.watchers.is_empty() {
                        self.watch(Instant::now());
                    }
                }
                Output::PhaseOneKey {
                    initiator_cookie,
                    key,
                } => {
                    if let Some(log) = &self.key_log {
                        log.phase_one(initiator_cookie, &key);
                    }
                }
                Output::Replaced(replaced) => self.replaced = Some(replaced),
                Output::NeedMainModeIds => self.reserve_ids(),
                Output::NeedQuickModeIds => self.reserve_quick_ids(),
                Output::InstallSa(sa) => {
                    if let Some(log) = &self.key_log {
                        log.child(&sa);
                    }
                    let config = self.shared.config();
                    let connection = config.connection(&sa.connection);
                    self.shared.planes.install(connection, &sa);
                }
                Output::ExpectSa(sa) => {
                    let config = self.shared.config();
                    let connection = config.connection(&sa.connection);
                    self.shared.planes.expect(connection, &sa);
                }
                Output::Configured {
                    mmsa_id,
                    connection,
                    addresses,
                } => {
                    let config = self.shared.config();
                    let plane = config.connection(&connection).map(|c| c.dataplane);
                    if plane.is_some_and(|plane| plane != DataPlane::None) {
                        self.shared.planes.configured(mmsa_id, addresses);
                    }
                }
                Output::Deconfigured { mmsa_id } => {
                    self.shared.planes.configured(mmsa_id, Vec::new());
                }
                Output::RemoveSa(id) => self.shared.planes.remove(id),
                Output::MoveSa { id, local, remote } => {
                    self.shared.planes.moved(id, local, remote);
                }
                Output::ChildVerdict(verdict) => {
                    self.watchers.tell(|| monitor::quick_mode_failed(&verdict));
                    self.child_verdict(&verdict);
                }
                // Nobody asks for a child alone.
                Output::ChildTerminated { .. } => {}
            }
        }
    }

    /// Sends a datagram; what the system did not send, the endpoint is told.
    fn transmit(&mut self, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8>) {
        let Err(error) = self.sockets.send(local, remote, &bytes) else {
            return;
        };
        // What a socket of Linux says when an allocation fails.
        let errno = error.raw_os_error().map(Errno::from_raw);
        let unsent = Input::Unsent {
            bytes,
            out_of_memory: matches!(errno, Some(Errno::ENOMEM | Errno::ENOBUFS)),
            why: format!("from {local} to {remote}: {error}"),
        };
        self.endpoint.handle(Instant::now(), unsent);
    }

    /// Asks the log for Main Mode SA IDs. Where there are none the endpoint asks again when it takes the next one.
    fn reserve_ids(&mut self) {
        let ids = self.journal.mmsa_ids(super::MM_ID_BLOCK);
        self.endpoint
            .handle(Instant::now(), Input::MainModeIds(ids));
    }

    /// The same for Quick Mode SA IDs.
    fn reserve_quick_ids(&mut self) {
        let ids = self.journal.qmsa_ids(super::QM_ID_BLOCK);
        self.endpoint
            .handle(Instant::now(), Input::QuickModeIds(ids));
    }
}
