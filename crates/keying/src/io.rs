//! What goes into an [`Endpoint`](crate::Endpoint) and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use audit::{ActivityId, Cause, Event, Extra, FailurePoint, Role, Word};
use crypto::Secret;
use isakmp::Cookie;

use crate::changes::Change;
use crate::child::{ChildSa, ChildSaId, ChildVerdict};
use crate::config::Connection;
use crate::job::{Job, JobResult};

/// Names one audit event on its way to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names one job handed to a worker.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct JobId(pub u64);

/// What moves an endpoint.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram came in on one of the sockets.
    Datagram {
        /// The address and port it came to.
        local: SocketAddr,
        /// Where it came from.
        remote: SocketAddr,
        /// The UDP payload, non-ESP marker included.
        bytes: Vec<u8>,
    },
    /// The system did not send what [`Output::Transmit`] asked for.
    Unsent {
        /// The UDP payload.
        bytes: Vec<u8>,
        /// Whether it had no memory for it.
        out_of_memory: bool,
        /// What the system said.
        why: String,
    },
    /// The time of [`Endpoint::next_timeout`](crate::Endpoint::next_timeout) has come.
    Timeout,
    /// The operator, or traffic, asks for something.
    Command(Command),
    /// A worker finished a job.
    JobDone(JobId, JobResult),
    /// The event of this ticket is on disk, or the policy asks for no such event.
    Durable(Ticket),
    /// The event of this ticket could not be written and the operator wants that to count.
    Refused(Ticket),
    /// A block of Main Mode SA IDs, reserved on disk.
    MainModeIds(Range<u64>),
    /// A block of Quick Mode SA IDs, reserved on disk.
    QuickModeIds(Range<u64>),
    /// The data plane has what [`Output::InstallSa`] asked for.
    Installed(ChildSaId),
    /// The data plane cannot have it, and why.
    InstallFailed(ChildSaId, String),
    /// A child SA has carried nearly as many bytes or packets as it may: it is to be replaced.
    Expiring(ChildSaId),
    /// A child SA has carried as many bytes or packets as it may.
    Expired(ChildSaId),
    /// Authentic packets of a child SA come from another address or port than before.
    Moved(ChildSaId, SocketAddr),
}

/// What an operator can ask of an endpoint.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace the set of connections. What belongs to those that are gone or changed ends; where a
    /// connection's children alone changed, the Main Mode SA stays and those children end. Answered by
    /// [`Output::Replaced`].
    Connections(Vec<Arc<Connection>>),
    /// Bring a connection up. Answered by [`Output::Verdict`].
    Initiate {
        /// The connection's name.
        connection: String,
        /// Where to send from: our address and the IKE port.
        local: SocketAddr,
        /// Where to send to.
        remote: SocketAddr,
    },
    /// End a connection's negotiations and SAs. Answered by [`Output::Terminated`].
    Terminate {
        /// The connection's name.
        connection: String,
    },
    /// Bring a child up: each pair of its selectors that has no SA. Without a Main Mode SA that comes
    /// first. Each Quick Mode is answered by an [`Output::ChildVerdict`], and so is a Main Mode that fails
    /// before them; where all is up already, that is the answer.
    InitiateChild {
        /// The connection's name.
        connection: String,
        /// The child's name.
        child: String,
        /// Where to send from, should there be no Main Mode SA: our address and the IKE port.
        local: SocketAddr,
        /// Where to send to.
        remote: SocketAddr,
    },
    /// End a child's Quick Modes and SAs; the Main Mode SA stays. Answered by
    /// [`Output::ChildTerminated`].
    TerminateChild {
        /// The connection's name.
        connection: String,
        /// The child's name.
        child: String,
    },
    /// A host name stands for these addresses now; none: it has none. Names that no connection has are kept
    /// until the connections are replaced.
    Resolved {
        /// The name, as [`RemoteAddress::Name`](crate::config::RemoteAddress::Name) has it.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// The answer to [`Output::NeedRoute`]: where the successor of a Main Mode SA is to be negotiated.
    Replace {
        /// The SA.
        mmsa_id: u64,
        /// From our address and IKE port, and to where; `None`: where the SA is.
        route: Option<(SocketAddr, SocketAddr)>,
    },
    /// Tell of changes with [`Output::Change`], or do so no longer.
    Watch(bool),
    /// Give the keys of negotiations out with [`Output::PhaseOneKey`], or do so no longer: for whoever has to
    /// read what they encrypt. Keys that exist already are not given.
    LogKeys(bool),
    /// End everything: the daemon stops.
    Shutdown,
}

/// What an endpoint wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// From this address and port of ours: it tells the socket.
        local: SocketAddr,
        /// To this one.
        remote: SocketAddr,
        /// The UDP payload, non-ESP marker included.
        bytes: Vec<u8>,
    },
    /// Run a job on a worker and give back [`Input::JobDone`].
    Job(JobId, Job),
    /// Write an event, and answer with [`Input::Durable`] or [`Input::Refused`].
    Audit(Box<AuditOutput>),
    /// A change of the account that has no event.
    Account(Account),
    /// A negotiation that a connection began, or was asked to begin, has its verdict, and the verdict's
    /// event has been dealt with by the log.
    Verdict(Verdict),
    /// All that a [`Command::Terminate`] ended has ended, on disk too.
    Terminated {
        /// The connection's name.
        connection: String,
        /// How many negotiations and SAs ended, Quick Modes and child SAs with them.
        ended: usize,
    },
    /// What became of an SA; told where [`Command::Watch`] asked for it.
    Change(Box<Change>),
    /// Mode Config gave us addresses within the tunnel, under this Main Mode SA: they are to be ours as long as it
    /// lives. In place of those that it had before.
    Configured {
        /// The SA.
        mmsa_id: u64,
        /// The connection's name.
        connection: String,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// The SA has ended, and with it what [`Output::Configured`] told.
    Deconfigured {
        /// The SA.
        mmsa_id: u64,
    },
    /// The key of phase 1's cipher, as soon as there is one; only while [`Command::LogKeys`] asks for it.
    PhaseOneKey {
        /// What Wireshark finds the negotiation by.
        initiator_cookie: Cookie,
        /// Encrypts messages 5 and 6, and all exchanges under the SA.
        key: Secret,
    },
    /// The set of connections is another one.
    Replaced(Replaced),
    /// The Main Mode SA IDs run low: reserve a block and give it with [`Input::MainModeIds`].
    NeedMainModeIds,
    /// The Quick Mode SA IDs run low: reserve a block and give it with [`Input::QuickModeIds`].
    NeedQuickModeIds,
    /// Give a child SA to the data plane, and answer with [`Input::Installed`] or
    /// [`Input::InstallFailed`]. Its 5451 is on disk.
    InstallSa(Box<ChildSa>),
    /// Receive on a child SA, and no more: the peer is about to be told what makes it one, and may use it at once,
    /// though it is not agreed on for good. It replaces another for the same traffic, whose 5451 is on disk. Not
    /// answered; an [`Output::InstallSa`] or an [`Output::RemoveSa`] follows.
    ExpectSa(Box<ChildSa>),
    /// Take a child SA out of the data plane, whether it was installed or is being so. What the data plane
    /// says of it from then on is not heard.
    RemoveSa(ChildSaId),
    /// A Main Mode SA with a host that is known by name is to be replaced: answer with
    /// [`Command::Replace`], which tells where the name leads now.
    NeedRoute {
        /// The SA.
        mmsa_id: u64,
        /// The connection's name.
        connection: String,
    },
    /// The outer addresses or ports of an installed child SA are others now: a NAT gave the peer another
    /// one.
    MoveSa {
        /// The SA.
        id: ChildSaId,
        /// Our address and port.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// A Quick Mode has its verdict, and the verdict's event has been dealt with by the log; where it was
    /// established, the data plane has the SA.
    ChildVerdict(ChildVerdict),
    /// All that a [`Command::TerminateChild`] ended has ended, on disk too.
    ChildTerminated {
        /// The connection's name.
        connection: String,
        /// The child's name.
        child: String,
        /// How many Quick Modes and SAs ended.
        ended: usize,
    },
}

/// What [`Command::Connections`] did, by the connections' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Equal to what they were: nothing of them ended.
    pub kept: Vec<String>,
    /// Only their children, or who may begin, changed: Main Mode goes on.
    pub amended: Vec<String>,
    /// Changed: what they had made ended.
    pub changed: Vec<String>,
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
}

/// An event for the log.
#[derive(Clone, Debug)]
pub struct AuditOutput {
    /// Its ticket.
    pub ticket: Ticket,
    /// The event.
    pub event: Event,
    /// The negotiation's activity, on every event of it and of its SA.
    pub activity: Option<ActivityId>,
    /// What the record keeps beside Windows' fields.
    pub extra: Extra,
}

/// Changes of the account that no event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// A negotiation started.
    Started,
    /// A negotiation failed and its event was held back (flood protection).
    FailedHeldBack,
    /// An invalid packet whose 4976 was held back.
    InvalidHeldBack,
    /// A Quick Mode started. Its 5451 or 4654 follows in any case, and is never held back.
    QuickModeStarted,
    /// An invalid packet of a Quick Mode, whose 4977 was held back.
    InvalidQuickModeHeldBack,
}

/// How a negotiation of a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The connection, `None` where a peer's negotiation matched none.
    pub connection: Option<String>,
    /// Our role in it.
    pub role: Role,
    /// The peer.
    pub remote: SocketAddr,
    /// The outcome.
    pub outcome: VerdictOutcome,
}

/// The outcome of a negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerdictOutcome {
    /// A Main Mode SA stands.
    Established {
        /// Its ID.
        mmsa_id: u64,
        /// The peer's identity.
        remote_name: String,
        /// Cipher, integrity and group, in the events' stored words.
        suite: [Word; 3],
    },
    /// It failed.
    Failed {
        /// Why.
        cause: Cause,
        /// Who.
        point: FailurePoint,
        /// What was seen, beyond the cause's own words.
        detail: Option<String>,
    },
}
