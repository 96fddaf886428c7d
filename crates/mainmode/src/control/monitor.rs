//! The stream of events that `monitor` shows. Its JSON is pinned: names are added, and none changes its meaning
//! without another [`VERSION`].

use std::net::SocketAddr;

use keying::Replaced;
use serde::{Deserialize, Serialize};

use super::status::{MainModeSa, QuickModeSa};

/// The version of the format.
pub const VERSION: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorEvent {
    /// [`VERSION`].
    pub version: u32,
    /// When, RFC 3339.
    pub time: String,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// A Main Mode SA stands with a peer with which there was none.
    ConnectionUp(Peer),
    /// Another Main Mode SA stands with a peer with which there is one: it takes its place.
    ConnectionRekeyed(Peer),
    /// The last Main Mode SA with a peer ended.
    ConnectionDown(Peer),
    /// Traffic of a child is protected that was not.
    ChildUp(Traffic),
    /// An IPsec SA takes the place of another one for the same traffic.
    ChildRekeyed(Traffic),
    /// The last IPsec SA for some traffic ended.
    ChildDown(Traffic),
    /// A peer behind a NAT is elsewhere than before.
    PeerMoved(Peer),
    /// A Main Mode negotiation failed.
    MainModeFailed(Failed),
    /// A Quick Mode negotiation failed.
    QuickModeFailed(Failed),
    /// Another configuration is in force.
    Reloaded {
        /// Connections that are as they were.
        kept: Vec<String>,
        /// Those of which only the children, or `start`, changed.
        amended: Vec<String>,
        /// Those that changed.
        changed: Vec<String>,
        /// New ones.
        added: Vec<String>,
        /// Those that are gone.
        removed: Vec<String>,
    },
    /// Events that this reader did not take in time.
    Missed {
        /// How many.
        count: u64,
    },
}

/// A Main Mode SA, and its peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Who the peer proved to be.
    pub remote_id: String,
    /// Why it ended, as a cause's token; only of `connection-down`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// Where the peer was before; only of `peer-moved`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<SocketAddr>,
    /// It was so already when the stream began.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub snapshot: bool,
    /// The SA, as `status` shows it.
    #[serde(flatten)]
    pub sa: MainModeSa,
}

/// An IPsec SA, and its peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Who the peer proved to be.
    pub remote_id: String,
    /// Why it ended, as a cause's token; only of `child-down`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// It was so already when the stream began.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub snapshot: bool,
    /// The firewall mark of its packets, as the configuration has it.
    pub mark: Option<String>,
    /// The number of its XFRM interface.
    pub interface_id: Option<u32>,
    /// The SA, as `status` shows it.
    #[serde(flatten)]
    pub sa: QuickModeSa,
}

/// A negotiation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The connection; absent where the peer's attempt fits none.
    pub connection: Option<String>,
    /// The child of a Quick Mode; absent where the peer's attempt fits none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child: Option<String>,
    /// The peer.
    pub remote: SocketAddr,
    /// `Initiator` or `Responder`.
    pub role: String,
    /// Who found the fault: `local` or `remote`.
    pub failure_point: String,
    /// The token of its cause.
    pub cause: String,
    /// The Windows code.
    pub reason_code: Option<u32>,
    /// What happened, in one line.
    pub message: String,
    /// What to change.
    pub advice: String,
}

impl Happened {
    /// Every event by its name, in the order of the documentation.
    pub const NAMES: [&'static str; 11] = [
        "connection-up",
        "connection-rekeyed",
        "connection-down",
        "child-up",
        "child-rekeyed",
        "child-down",
        "peer-moved",
        "main-mode-failed",
        "quick-mode-failed",
        "reloaded",
        "missed",
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        let at = match self {
            Self::ConnectionUp(_) => 0,
            Self::ConnectionRekeyed(_) => 1,
            Self::ConnectionDown(_) => 2,
            Self::ChildUp(_) => 3,
            Self::ChildRekeyed(_) => 4,
            Self::ChildDown(_) => 5,
            Self::PeerMoved(_) => 6,
            Self::MainModeFailed(_) => 7,
            Self::QuickModeFailed(_) => 8,
            Self::Reloaded { .. } => 9,
            Self::Missed { .. } => 10,
        };
        Self::NAMES[at]
    }

    /// The connection that it is about, where it is about one.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::ConnectionUp(peer)
            | Self::ConnectionRekeyed(peer)
            | Self::ConnectionDown(peer)
            | Self::PeerMoved(peer) => peer.sa.connection.as_deref(),
            Self::ChildUp(traffic) | Self::ChildRekeyed(traffic) | Self::ChildDown(traffic) => {
                Some(&traffic.sa.connection)
            }
            Self::MainModeFailed(failed) | Self::QuickModeFailed(failed) => {
                failed.connection.as_deref()
            }
            Self::Reloaded { .. } | Self::Missed { .. } => None,
        }
    }
}

impl From<&Replaced> for Happened {
    fn from(replaced: &Replaced) -> Self {
        Happened::Reloaded {
            kept: replaced.kept.clone(),
            amended: replaced.amended.clone(),
            changed: replaced.changed.clone(),
            added: replaced.added.clone(),
            removed: replaced.removed.clone(),
        }
    }
}

impl MonitorEvent {
    /// Something that happens now.
    pub fn now(what: Happened) -> Self {
        Self {
            version: VERSION,
            time: jiff::Timestamp::now().to_string(),
            what,
        }
    }
}
