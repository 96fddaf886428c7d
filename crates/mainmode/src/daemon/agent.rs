//! The agent: the thread that owns the endpoint and the sockets, and moves the one with what the
//! others bring.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{Cause, Event, Role};
use crossbeam_channel::{Receiver, Sender};
use keying::{Endpoint, Input, JobId, JobResult, Output, Status, Ticket, Verdict, VerdictOutcome};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::journal::Journal;
use super::sockets::Sockets;
use super::workers::Workers;

/// What other threads tell the agent.
pub enum Message {
    /// A worker finished a job.
    JobDone(JobId, JobResult),
    /// The log dealt with an event.
    Ticket(Ticket, bool),
    /// Bring a connection up, and tell the verdict.
    Up { connection: String, local: std::net::SocketAddr, remote: std::net::SocketAddr, reply: Sender<UpAnswer> },
    /// End a connection, and tell when it is done.
    Down { connection: String, reply: Sender<usize> },
    /// Tell what there is.
    Status { reply: Sender<StatusAnswer> },
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

/// The way to the agent: a message, and a nudge.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: Sender<Message>,
    nudge: Arc<EventFd>,
}

impl Mailbox {
    pub(super) fn new(sender: Sender<Message>, nudge: Arc<EventFd>) -> Self {
        Mailbox { sender, nudge }
    }

    /// Tells the agent something. When it has ended, nobody hears it.
    pub fn send(&self, message: Message) {
        if self.sender.send(message).is_ok() {
            let _ = self.nudge.write(1);
        }
    }
}

/// A connection that the daemon keeps up.
#[derive(Debug)]
pub struct Kept {
    /// From where to where; resolved again for each attempt.
    pub route: Box<dyn Fn() -> Result<(std::net::SocketAddr, std::net::SocketAddr), String> + Send + DebugRoute>,
}

/// How many datagrams of one socket are taken before the others have their turn.
const TURN: usize = 64;
/// The first wait before a connection that failed is tried again; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// The longest.
const RETRY_LAST: Duration = Duration::from_secs(600);
/// The wait before a connection that was lost is brought up again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stop waits for the log.
const STOP: Duration = Duration::from_secs(10);
