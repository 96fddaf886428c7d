//! The way to the agent: messages, and what wakes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audit::{DropReason, PacketDropped};
use crossbeam_channel::Sender;
use keying::{ChildSaId, ChildVerdict, JobId, JobResult, Replaced, Status, Ticket, Verdict};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::keylog::KeyLog;
use super::monitor::Watching;
use super::sas::Times;
use super::workers::Keyring;
use crate::config::Config;

/// What other threads tell the agent.
pub enum Message {
    /// A worker finished a job.
    JobDone(JobId, JobResult),
    /// The log dealt with an event.
    Ticket(Ticket, bool),
    /// A data plane has a child SA, or why not.
    Installed(ChildSaId, Result<(), String>),
    /// A child SA has carried what it may: nearly, or, with true, all of it.
    Spent(ChildSaId, bool),
    /// A data plane dropped a packet; of which connection's SA, where it is known.
    Dropped(PacketDropped, Option<String>),
    /// It dropped so many more for this reason.
    DroppedMore(DropReason, u64),
    /// Traffic waits for a child.
    Acquire {
        /// Its connection.
        connection: String,
        /// Its name.
        child: String,
    },
    /// The same, when it is known where to.
    Demand {
        /// Its connection.
        connection: String,
        /// Its name.
        child: String,
        /// From where to where; nothing where the peer has no address.
        route: Option<(SocketAddr, SocketAddr)>,
    },
    /// Bring a connection up, and tell the verdict.
    Up {
        /// Its name.
        connection: String,
        /// From where.
        local: SocketAddr,
        /// To where.
        remote: SocketAddr,
        /// Who waits.
        reply: Sender<UpAnswer>,
    },
    /// It is known where to a connection goes that is to be kept up.
    Begin {
        /// Its name.
        connection: String,
        /// Which attempt it was looked up for.
        attempt: u64,
        /// From where to where; nothing where the peer has no address now.
        route: Option<(SocketAddr, SocketAddr)>,
    },
    /// A host name stands for these addresses now.
    Resolved {
        /// The name.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// It is known where the successor of a Main Mode SA is to be negotiated; nothing: where the SA is.
    Replace {
        /// The SA.
        mmsa_id: u64,
        /// From where to where.
        route: Option<(SocketAddr, SocketAddr)>,
    },
    /// A data plane takes authentic packets of a child SA from elsewhere.
    Moved(ChildSaId, SocketAddr),
    /// Another configuration is in force.
    Reload(Box<Reload>),
    /// End a connection, and tell when it is done.
    Down {
        /// Its name.
        connection: String,
        /// Told how many negotiations and SAs ended.
        reply: Sender<usize>,
    },
    /// Tell what happens from now on.
    Monitor {
        /// First what is up already.
        snapshot: bool,
        /// Given the reader's end.
        reply: Sender<Watching>,
    },
    /// Tell what there is.
    Status {
        /// Who asks.
        reply: Sender<StatusAnswer>,
    },
    /// End everything, and tell when it is done.
    Stop,
}

/// Another configuration, ready to be taken.
pub struct Reload {
    /// All of it.
    pub config: Arc<Config>,
    /// Its connections, as the endpoint knows them.
    pub connections: Vec<Arc<keying::Connection>>,
    /// Their keys.
    pub keyring: Keyring,
    /// Where keys are written, if they are.
    pub key_log: Option<KeyLog>,
    /// Told what became of each connection.
    pub reply: Sender<Replaced>,
}

/// How a connection came up, or not.
#[derive(Debug, Clone)]
pub struct UpAnswer {
    /// The verdict.
    pub verdict: Verdict,
    /// It was up before.
    pub already: bool,
    /// How its children came up, or not.
    pub children: Vec<ChildVerdict>,
}

/// What there is.
#[derive(Debug, Clone)]
pub struct StatusAnswer {
    /// The endpoint's own view.
    pub endpoint: Status,
    /// When its SAs were established.
    pub times: Times,
    /// The last verdict of each connection, in words.
    pub last_verdicts: BTreeMap<String, String>,
}

/// What wakes the agent while it waits for its sockets.
#[derive(Debug)]
pub(super) struct Nudge {
    pub(super) fd: EventFd,
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

    pub(super) fn give(&self) {
        if !self.given.swap(true, Ordering::SeqCst) {
            let _ = self.fd.write(1);
        }
    }

    /// Before the agent looks what there is: what comes after that gives another one.
    pub(super) fn take(&self) {
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

    /// What wakes the agent.
    pub(super) fn nudge_itself(&self) -> Arc<Nudge> {
        self.nudge.clone()
    }

    /// Makes the agent look what is due.
    pub fn nudge(&self) {
        self.nudge.give();
    }
}
