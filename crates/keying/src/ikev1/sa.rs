//! An established Main Mode SA.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Role};
use crypto::Proposal as Suite;
use isakmp::Cookie;

use super::duplicates::{Digest, Duplicates};
use super::negotiation::{Peer, Route};
use super::protection::Keys;
use crate::config::Connection;
use crate::identity::Identity;
use crate::limits::Bucket;

/// A Main Mode SA.
#[derive(Clone, Debug)]
pub(crate) struct Sa {
    pub mmsa_id: u64,
    pub role: Role,
    pub connection: Arc<Connection>,
    pub route: Route,
    /// Where message 1 came from, or went to.
    pub origin: SocketAddr,
    pub initiator_cookie: Cookie,
    pub responder_cookie: Cookie,
    pub activity: ActivityId,
    pub suite: Suite,
    pub keys: Keys,
    /// The last block of phase 1: where the IVs of all later exchanges come from.
    pub last_block: Vec<u8>,
    pub local_id: Identity,
    pub remote_id: Identity,
    pub peer: Peer,
    /// A NAT is between us and the outside.
    pub behind_nat: bool,
    pub lifetime: Duration,
    /// When it was established, in wall-clock time, is the daemon's to know.
    pub established: Instant,
    pub replace_at: Option<Instant>,
    pub last_heard: Instant,
    pub probe: Option<Probe>,
    pub keepalive_at: Option<Instant>,
    /// Message IDs that were used under this SA, by either side.
    pub message_ids: BTreeSet<u32>,
    pub exchanges: Bucket,
    /// The messages of the negotiation, for duplicates that come late.
    pub duplicates: Duplicates,
    /// Until when duplicates of the last message are answered.
    pub reply_until: Option<Instant>,
    pub fragment_id: u16,
    /// The exchange that was refused last, the answer, and how often it was given again.
    pub last_refusal: Option<(Digest, Vec<Vec<u8>>, u32)>,
}

/// A question whether the peer lives (RFC 3706).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub sequence: u32,
    /// When it is asked again.
    pub next: Instant,
}

impl Sa {
    pub(crate) fn cookies(&self) -> (Cookie, Cookie) {
        (self.initiator_cookie, self.responder_cookie)
    }

    pub(crate) fn expires(&self) -> Instant {
        self.established + self.lifetime
    }

    /// When the peer is taken for dead, where it is probed at all.
    pub(crate) fn dead_at(&self) -> Option<Instant> {
        let dpd = self.connection.dpd.filter(|_| self.peer.dpd)?;
        self.probe.map(|_| self.last_heard + dpd.timeout)
    }

    /// When the peer is to be asked whether it lives.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        let dpd = self.connection.dpd.filter(|_| self.peer.dpd)?;
        Some(
            self.probe
                .map_or(self.last_heard + dpd.delay, |probe| probe.next),
        )
    }

    /// When something is to be done without an input.
    pub(crate) fn next_timeout(&self) -> Instant {
        [
            self.replace_at,
            self.dead_at(),
            self.probe_at(),
            self.keepalive_at,
            self.reply_until,
        ]
        .into_iter()
        .flatten()
        .fold(self.expires(), Instant::min)
    }
}
