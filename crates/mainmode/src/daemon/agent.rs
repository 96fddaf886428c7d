//! The agent: the thread that owns the endpoint and the sockets, and moves the one with what the
//! others bring.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use audit::{Cause, Event, Role};
use crossbeam_channel::{Receiver, Sender};
use keying::{
    Endpoint, Input, Job, JobId, JobResult, Output, Status, Ticket, Verdict, VerdictOutcome,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::journal::Journal;
use super::sockets::Sockets;
use super::workers::Workers;
use crate::config::Connection;

/// What other threads tell the agent.
pub enum Message {
    /// A worker finished a job.
    JobDone(JobId, JobResult),
    /// The log dealt with an event.
    Ticket(Ticket, bool),
    /// Bring a connection up, and tell the verdict.
    Up {
        /// Its name.
        connection: String,
        /// From where.
        local: SocketAddr,
        /// To where.
        remote: SocketAddr,
        /// Who waits; nobody, where the daemon itself asks.
        reply: Option<Sender<UpAnswer>>,
    },
    /// End a connection, and tell when it is done.
    Down {
        /// Its name.
        connection: String,
        /// Told how many negotiations and SAs ended.
        reply: Sender<usize>,
    },
    /// A connection that is to be kept up has no address now.
    Unresolved {
        /// Its name.
        connection: String,
    },
    /// Tell what there is.
    Status {
        /// Who asks.
        reply: Sender<StatusAnswer>,
    },
    /// End everything, and tell when it is done.
    Stop,
}

/// How a connection came up, or not.
#[derive(Debug, Clone)]
pub struct UpAnswer {
    /// The verdict.
    pub verdict: Verdict,
    /// It was up before.
    pub already: bool,
}

/// What there is.
#[derive(Debug, Clone)]
pub struct StatusAnswer {
    /// The endpoint's own view.
    pub endpoint: Status,
    /// The last verdict of each connection, in words.
    pub last_verdicts: BTreeMap<String, String>,
}

/// What wakes the agent while it waits for its sockets.
#[derive(Debug)]
pub(super) struct Nudge {
    fd: EventFd,
    /// It is on its way: the next one need not cost a system call.
    given: AtomicBool,
}

impl Nudge {
    pub(super) fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Nudge {
            fd: EventFd::from_value_and_flags(0, flags)?,
            given: AtomicBool::new(false),
        })
    }

    fn give(&self) {
        if !self.given.swap(true, Ordering::SeqCst) {
            let _ = self.fd.write(1);
        }
    }

    /// Before the agent looks what there is: what comes after that gives another one.
    fn take(&self) {
        let _ = self.fd.read();
        self.given.store(false, Ordering::SeqCst);
    }
}

/// The way to the agent: a message, and a nudge.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: Sender<Message>,
    nudge: Arc<Nudge>,
}

impl Mailbox {
    pub(super) fn new(sender: Sender<Message>, nudge: Arc<Nudge>) -> Self {
        Mailbox { sender, nudge }
    }

    /// Tells the agent something. When it has ended, nobody hears it.
    pub fn send(&self, message: Message) {
        if self.sender.send(message).is_ok() {
            self.nudge();
        }
    }

    /// Makes the agent look what is due.
    pub fn nudge(&self) {
        self.nudge.give();
    }
}

/// How many datagrams of one socket are taken before the others have their turn.
const TURN: usize = 64;
/// How long the agent lets datagrams and messages gather when its last turn brought several: to sleep and to
/// be woken for each costs more than most of them do. One that comes alone never waits.
const GATHER: Duration = Duration::from_micros(500);
/// So many in one turn are load enough: the next turn begins at once.
const FULL_TURN: usize = 32;
/// Short jobs that the agent does itself while others gather: about as long as [`GATHER`].
const OWN_JOBS: usize = 8;
/// The first wait before a connection that failed is tried again: a peer that restarts is back by then.
/// It doubles.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest.
const RETRY_LAST: Duration = Duration::from_mins(10);
/// The wait before a connection that was lost is brought up again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stop waits for the log.
const STOP: Duration = Duration::from_secs(10);

/// What the daemon does for a connection with `start = "auto"`.
#[derive(Debug)]
struct Kept {
    connection: Arc<Connection>,
    /// When it is begun again; `None` while it is up, under way, or was brought down.
    next: Option<Instant>,
    wait: Duration,
    /// Its peer's name is being resolved, to begin it then.
    resolving: bool,
}

/// Somebody who waits for a connection's verdict.
struct Waiting {
    reply: Sender<UpAnswer>,
    /// The connection was up when it was asked for.
    already: bool,
    /// Failures of negotiations that ended before, and that the log still has to deal with.
    earlier: usize,
}

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
    kept: BTreeMap<String, Kept>,
    waiting_up: BTreeMap<String, Vec<Waiting>>,
    /// Failures of our own negotiations that are on their way to the log, by connection.
    failing: BTreeMap<String, usize>,
    waiting_down: BTreeMap<String, Vec<Sender<usize>>>,
    last_verdicts: BTreeMap<String, String>,
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
        auto: Vec<Arc<Connection>>,
        now: Instant,
    ) -> Self {
        let kept = auto
            .into_iter()
            .map(|connection| {
                let name = connection.name.clone();
                (
                    name,
                    Kept {
                        connection,
                        next: Some(now),
                        wait: RETRY_FIRST,
                        resolving: false,
                    },
                )
            })
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
            kept,
            waiting_up: BTreeMap::new(),
            failing: BTreeMap::new(),
            waiting_down: BTreeMap::new(),
            last_verdicts: BTreeMap::new(),
            stopping: None,
        }
    }

    /// Works until it is told to stop and all has ended; gives the journal back.
    pub fn run(mut self) -> Journal {
        let mut ready: Vec<usize> = Vec::new();
        let mut handled = 0;
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
                    let input = Input::Datagram {
                        local: received.local,
                        remote: received.remote,
                        bytes: received.bytes,
                    };
                    self.endpoint.handle(Instant::now(), input);
                    self.outputs();
                    handled += 1;
                }
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.message(message);
                self.outputs();
                handled += 1;
            }
        }
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
            Message::Ticket(ticket, true) => self.endpoint.handle(now, Input::Durable(ticket)),
            Message::Ticket(ticket, false) => self.endpoint.handle(now, Input::Refused(ticket)),
            Message::Up {
                connection,
                local,
                remote,
                reply,
            } => {
                if self.stopping.is_some() {
                    return;
                }
                if let Some(kept) = self.kept.get_mut(&connection) {
                    // The operator brought it down while its peer's name was resolved.
                    if reply.is_none() && !kept.resolving {
                        return;
                    }
                    kept.next = None;
                    kept.resolving = false;
                }
                if let Some(reply) = reply {
                    let waiting = Waiting {
                        reply,
                        already: self.endpoint.is_up(&connection),
                        earlier: self.failing.get(&connection).copied().unwrap_or_default(),
                    };
                    self.waiting_up
                        .entry(connection.clone())
                        .or_default()
                        .push(waiting);
                }
                let command = keying::Command::Initiate {
                    connection,
                    local,
                    remote,
                };
                self.endpoint.handle(now, Input::Command(command));
            }
            Message::Down { connection, reply } => {
                if let Some(kept) = self.kept.get_mut(&connection) {
                    kept.next = None;
                    kept.resolving = false;
                }
                self.waiting_down
                    .entry(connection.clone())
                    .or_default()
                    .push(reply);
                self.endpoint.handle(
                    now,
                    Input::Command(keying::Command::Terminate { connection }),
                );
            }
            Message::Unresolved { connection } => {
                if let Some(kept) = self.kept.get_mut(&connection)
                    && std::mem::take(&mut kept.resolving)
                {
                    kept.next = Some(now + kept.wait);
                    kept.wait = (kept.wait * 2).min(RETRY_LAST);
                }
            }
            Message::Status { reply } => {
                let answer = StatusAnswer {
                    endpoint: self.endpoint.status(now),
                    last_verdicts: self.last_verdicts.clone(),
                };
                // Who asked may have gone.
                let _ = reply.send(answer);
            }
            Message::Stop => {
                self.stopping = Some(now + STOP);
                self.endpoint
                    .handle(now, Input::Command(keying::Command::Shutdown));
            }
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Transmit {
                    local,
                    remote,
                    bytes,
                } => {
                    // What cannot be sent is lost like any datagram: it is sent again, or the
                    // verdict says that nobody answered.
                    let _ = self.sockets.send(local, remote, &bytes);
                }
                Output::Job(id, job) => self.jobs.push((id, job)),
                Output::Audit(audit) => {
                    let connection = audit.extra.connection.as_deref();
                    match &audit.event {
                        Event::MainModeEnded(_) => {
                            let connection = connection.map(str::to_owned);
                            self.lost(connection.as_deref(), audit.extra.cause);
                        }
                        Event::MainModeFailed(failed) if failed.role == Role::Initiator => {
                            let name = connection.unwrap_or_default().to_owned();
                            *self.failing.entry(name).or_default() += 1;
                        }
                        _ => {}
                    }
                    self.journal.audit(*audit);
                }
                Output::Account(change) => self.journal.account(change),
                Output::Verdict(verdict) => self.verdict(&verdict),
                Output::Terminated { connection, ended } => {
                    for reply in self.waiting_down.remove(&connection).unwrap_or_default() {
                        let _ = reply.send(ended);
                    }
                }
                Output::NeedMainModeIds => self.reserve_ids(),
                // No connection of the configuration has children yet.
                Output::NeedQuickModeIds
                | Output::InstallSa(_)
                | Output::RemoveSa(_)
                | Output::MoveSa { .. }
                | Output::ChildVerdict(_)
                | Output::ChildTerminated { .. } => {}
            }
        }
    }

    /// Asks the log for Main Mode SA IDs.
    fn reserve_ids(&mut self) {
        match self.journal.service().reserve_mmsa_ids(super::MM_ID_BLOCK) {
            Ok(ids) => self
                .endpoint
                .handle(Instant::now(), Input::MainModeIds(ids)),
            // The endpoint asks again when it takes the next one.
            Err(error) => {
                self.journal.trouble().note(&error);
                self.endpoint
                    .handle(Instant::now(), Input::MainModeIds(0..0));
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let Some(name) = verdict.connection.clone() else {
            return;
        };
        let established = matches!(verdict.outcome, VerdictOutcome::Established { .. });
        self.last_verdicts
            .insert(name.clone(), super::words::verdict(verdict));
        // A peer's failed attempt is no answer to ours, nor is one from before we were asked.
        if established || verdict.role == Role::Initiator {
            for mut waiting in self.waiting_up.remove(&name).unwrap_or_default() {
                if !established && waiting.earlier > 0 {
                    waiting.earlier -= 1;
                    self.waiting_up
                        .entry(name.clone())
                        .or_default()
                        .push(waiting);
                    continue;
                }
                // Who asked may have gone.
                let _ = waiting.reply.send(UpAnswer {
                    verdict: verdict.clone(),
                    already: waiting.already,
                });
            }
        }
        if !established
            && verdict.role == Role::Initiator
            && let Some(failing) = self.failing.get_mut(&name)
        {
            *failing -= 1;
            if *failing == 0 {
                self.failing.remove(&name);
            }
        }
        let Some(kept) = self.kept.get_mut(&name) else {
            return;
        };
        if established {
            kept.next = None;
            kept.wait = RETRY_FIRST;
        } else if verdict.role == Role::Initiator && self.stopping.is_none() {
            let by_operator = matches!(
                verdict.outcome,
                VerdictOutcome::Failed {
                    cause: Cause::StoppedByOperator | Cause::ShuttingDown,
                    ..
                }
            );
            if !by_operator {
                kept.next = Some(Instant::now() + kept.wait);
                kept.wait = (kept.wait * 2).min(RETRY_LAST);
            }
        }
    }

    /// An SA of a connection ended: one that is to be kept up is begun again.
    fn lost(&mut self, connection: Option<&str>, cause: Option<Cause>) {
        let again = matches!(
            cause,
            Some(Cause::Expired | Cause::DeletedByPeer | Cause::PeerDead)
        );
        if let Some(kept) = connection.and_then(|name| self.kept.get_mut(name))
            && again
            && self.stopping.is_none()
        {
            kept.next = Some(Instant::now() + AGAIN);
        }
    }

    /// Begins what is due. Names are resolved on a thread of their own.
    fn keep_up(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        for kept in self
            .kept
            .values_mut()
            .filter(|kept| kept.next.is_some_and(|next| next <= now))
        {
            kept.next = None;
            kept.resolving = true;
            let (connection, mailbox) = (kept.connection.clone(), self.mailbox.clone());
            let spawned = std::thread::Builder::new()
                .name("resolve".to_owned())
                .spawn(move || match super::convert::route(&connection) {
                    Ok((local, remote)) => mailbox.send(Message::Up {
                        connection: connection.name.clone(),
                        local,
                        remote,
                        reply: None,
                    }),
                    Err(why) => {
                        super::say(&why);
                        mailbox.send(Message::Unresolved {
                            connection: connection.name.clone(),
                        });
                    }
                });
            if spawned.is_err() {
                kept.resolving = false;
                kept.next = Some(now + kept.wait);
            }
        }
    }
}
