//! A child SA that stands. Its keys are the data plane's alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Role, TrafficEnd};
use crypto::esp::EspProposal;

use super::proposals::Encapsulation;
use super::selectors::Pair;
use crate::child::{Child, ChildOutcome, ChildSaId, ChildVerdict, Cpis, Mode};
use crate::config::Connection;
use crate::identity::Identity;
use crate::limits::after;
use crate::selector::Selector;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub id: u64,
    /// The Main Mode SA that it is under now.
    pub mmsa_id: u64,
    pub activity: ActivityId,
    pub role: Role,
    pub connection: Arc<Connection>,
    pub child: Arc<Child>,
    pub remote_id: Identity,
    pub suite: EspProposal,
    pub encapsulation: Encapsulation,
    pub pair: Pair,
    /// What of the peer's side stays outside of the tunnel.
    pub local_lan: Vec<Selector>,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub inbound_spi: u32,
    pub outbound_spi: u32,
    pub cpis: Option<Cpis>,
    pub lifetime: Duration,
    pub established: Instant,
    /// When the first of the SAs was established that replaced one another up to this one.
    pub since: Instant,
    /// When its successor is negotiated; none: by the peer, or never.
    pub rekey_at: Option<Instant>,
    pub superseded: Option<Superseded>,
    pub replaces: Option<u64>,
    /// The lesser of both nonces: what settles a collision.
    pub nonce: Vec<u8>,
    pub state: LiveState,
}

/// Another SA took the place of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseded {
    /// That one.
    pub by: u64,
    /// When this one ends, unless the peer deletes it before.
    pub ends_at: Instant,
}

/// What a child SA waits for.
#[derive(Clone, Debug)]
pub(crate) enum LiveState {
    /// The data plane is installing it.
    Installing {
        /// Until when.
        until: Instant,
        /// Sent when that is done, with the Quick Mode that it is of.
        message_3: Vec<Vec<u8>>,
        exchange: (u64, u32),
    },
    /// Nothing.
    Installed,
}

impl Live {
    pub(crate) fn expires(&self) -> Instant {
        after(self.established, self.lifetime)
    }

    pub(crate) fn installed(&self) -> bool {
        matches!(self.state, LiveState::Installed)
    }

    /// When something is to be done without an input.
    pub(crate) fn next_timeout(&self) -> Instant {
        let installing = match &self.state {
            LiveState::Installing { until, .. } => Some(*until),
            LiveState::Installed => None,
        };
        let ends = self.superseded.map(|superseded| superseded.ends_at);
        [installing, ends, self.rekey_at]
            .into_iter()
            .flatten()
            .fold(self.expires(), Instant::min)
    }

    /// Whether another SA is for the same traffic of the same peer.
    pub(crate) fn same_traffic(&self, other: &Live) -> bool {
        self.connection.name == other.connection.name
            && self.child.name == other.child.name
            && self.remote_id == other.remote_id
            && self.pair == other.pair
            && self.suite.protocol == other.suite.protocol
    }

    /// `installing`, `installed` or `replaced`.
    pub(crate) fn state_name(&self) -> &'static str {
        match (&self.state, &self.superseded) {
            (_, Some(_)) => "replaced",
            (LiveState::Installing { .. }, None) => "installing",
            (LiveState::Installed, None) => "installed",
        }
    }

    /// The verdict that it stands for.
    pub(crate) fn verdict(&self) -> ChildVerdict {
        ChildVerdict {
            connection: self.connection.name.clone(),
            child: Some(self.child.name.clone()),
            role: self.role,
            remote: self.remote,
            traffic: Some([self.pair.local, self.pair.remote]),
            outcome: ChildOutcome::Established {
                id: ChildSaId(self.id),
                suite: self.suite,
                mode: self.encapsulation.mode,
                local: self.pair.local,
                remote: self.pair.remote,
                inbound_spi: self.inbound_spi,
                outbound_spi: self.outbound_spi,
            },
        }
    }

    /// How events tell its mode.
    pub(crate) fn event_mode(&self) -> audit::Mode {
        event_mode(self.encapsulation.mode, self.local, self.remote)
    }
}

/// How events tell a mode.
pub(crate) fn event_mode(mode: Mode, local: SocketAddr, remote: SocketAddr) -> audit::Mode {
    match mode {
        Mode::Transport => audit::Mode::Transport,
        Mode::Tunnel => audit::Mode::Tunnel {
            local: local.ip(),
            remote: remote.ip(),
        },
    }
}

/// How events tell one side's traffic.
pub(crate) fn traffic(selector: &Selector) -> TrafficEnd {
    TrafficEnd::new(selector.first, selector.last, selector.port)
}

/// The protocol that both selectors have.
pub(crate) fn protocol(pair: &Pair) -> u8 {
    pair.local.protocol.max(pair.remote.protocol)
}
