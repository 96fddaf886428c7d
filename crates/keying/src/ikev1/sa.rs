//! An established Main Mode SA.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Role};
use crypto::Proposal as Suite;
use isakmp::Cookie;

use super::answers::Answers;
use super::duplicates::Duplicates;
use super::flight::Flight;
use super::negotiation::{Peer, Route, datagrams};
use super::protection::Keys;
use super::unity::Nets;
use crate::config::{Connection, CredentialId, Fragmentation};
use crate::identity::Identity;
use crate::inner::Inner;
use crate::limits::{Bucket, MIN_WAIT, PROBE_GRACE, REPLACE_MESSAGE_IDS, after};

/// A Main Mode SA.
#[derive(Clone, Debug)]
pub(crate) struct Sa {
    pub mmsa_id: u64,
    pub role: Role,
    pub connection: Arc<Connection>,
    pub route: Route,
    /// Where message 1 came from, or went to.
    pub origin: SocketAddr,
    /// When message 1 came or went.
    pub begun: Instant,
    pub initiator_cookie: Cookie,
    pub responder_cookie: Cookie,
    pub activity: ActivityId,
    pub suite: Suite,
    pub keys: Keys,
    /// The last block of phase 1: where the IVs of all later exchanges come from.
    pub last_block: Vec<u8>,
    pub local_id: Identity,
    pub remote_id: Identity,
    pub proven_by: ProvenBy,
    pub peer: Peer,
    /// A NAT is between us and the outside.
    pub behind_nat: bool,
    /// The peer is behind one, and its address and port may change.
    pub peer_behind_nat: bool,
    pub lifetime: Duration,
    /// When it was established, in wall-clock time, is the daemon's to know.
    pub established: Instant,
    pub replace_at: Option<Instant>,
    /// What it carried of what it may.
    pub volume: Volume,
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
    /// What answered the peer's last exchanges that have one message each way.
    pub answers: Answers,
    /// What we asked the peer in a TRANSACTION.
    pub asked: Option<Asked>,
    /// The user that XAUTH named.
    pub user: Option<String>,
    /// The user is still to be asked for: the SA does not stand before that.
    pub user_due: bool,
    /// Whether children of ours wait for an address within the tunnel.
    pub configuring: Configuring,
    /// Our addresses within the tunnel.
    pub inner_local: Inner,
    /// The peer's.
    pub inner_remote: Inner,
    /// Which nets the peer says that the tunnel is for.
    pub nets: Nets,
    /// Quick Modes that are over, by their message IDs, as long as their messages may come again.
    pub done: BTreeMap<u32, Done>,
    /// How fast the peer may begin Quick Modes.
    pub quick_modes: Bucket,
    /// When it ends, although another took its place: Quick Modes are under way.
    pub retire_at: Option<Instant>,
    /// When the children that begin with the SA do, or do again.
    pub auto_at: Option<Instant>,
    /// Those of them that failed or ended, by name.
    pub again: BTreeMap<String, Again>,
    /// When the last Quick Mode of ours began that the peer left without an answer.
    pub unanswered: Option<Instant>,
    /// When the first Quick Mode of ours may begin, where that is to come.
    pub children_at: Option<Instant>,
}

/// A child that is to come again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    /// Not before.
    pub at: Instant,
    /// How long it waits when it fails the next time.
    pub wait: Duration,
}

/// How the peer proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProvenBy {
    /// What it took on our side.
    pub credential: Option<CredentialId>,
    /// By a signature, and so its identity. A pre-shared key proves none.
    pub signed: bool,
}

/// What an SA carried, in bytes of messages that its key encrypts, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Volume {
    carried: u64,
    limit: Option<u64>,
    /// How much it carries before it is replaced, until that has begun.
    replace_after: Option<u64>,
    /// It is replaced before its message IDs are used up, until that has begun.
    replace_by_ids: bool,
}

impl Volume {
    /// `part`: after which part of the limit it is replaced; `None`: not by us.
    pub(crate) fn new(limit: Option<u64>, part: Option<f64>) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of the limit, near enough"
        )]
        let replace_after = limit
            .zip(part)
            .map(|(limit, part)| (limit as f64 * part) as u64);
        Self {
            carried: 0,
            limit,
            replace_after,
            replace_by_ids: part.is_some(),
        }
    }

    fn is_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.carried >= limit)
    }
}

/// A Quick Mode that is over.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub duplicates: Duplicates,
    pub until: Instant,
}

/// A TRANSACTION that we began and that was not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub message_id: u32,
    /// Of the answer.
    pub next_iv: Vec<u8>,
    pub what: Asking,
    /// When it is sent again.
    pub flight: Flight,
}

/// Mode Config under an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Configuring {
    /// It is over, or there is none.
    Done,
    /// Who waits for it waits for an answer, or for the peer to ask.
    Awaited,
    /// No pool of ours had an address left for the peer. It may ask again.
    Unserved,
    /// The server has to have pushed it until then.
    Until(Instant),
}

impl Configuring {
    pub(crate) fn is_over(self) -> bool {
        self == Configuring::Done
    }

    pub(crate) fn until(self) -> Option<Instant> {
        match self {
            Configuring::Until(at) => Some(at),
            Configuring::Done | Configuring::Awaited | Configuring::Unserved => None,
        }
    }
}

/// What a TRANSACTION of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It told the peer that its user passed.
    UserStatus,
    /// It asks for an address within the tunnel.
    Pull,
    /// It gives the peer one.
    Push,
}

/// A question whether the peer lives (RFC 3706).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub sequence: u32,
    /// When it was asked first.
    pub since: Instant,
    /// When it is asked again.
    pub next: Instant,
}

impl Sa {
    pub(crate) fn cookies(&self) -> (Cookie, Cookie) {
        (self.initiator_cookie, self.responder_cookie)
    }

    /// Who holds it, as far as that is proven: a user, an identity, or whoever knows the connection's pre-shared key,
    /// which proves no identity, for each who has it can give any that the connection takes.
    pub(crate) fn holder(&self) -> (&str, Option<&str>, Option<&Identity>) {
        let by_identity = self.user.is_none() && self.connection.psk().is_none();
        (
            &self.connection.name,
            self.user.as_deref(),
            by_identity.then_some(&self.remote_id),
        )
    }

    /// Whether the peer of this SA is, as far as that is proven, the peer of the other: the same identities and the
    /// same user, proven with the same key. Behind a NAT whoever knows a pre-shared key can call himself by any address:
    /// where the connection names nobody, an address counts only for who has it.
    pub(crate) fn is_of_peer_of(&self, other: &Self) -> bool {
        let named =
            self.proven_by.signed || self.user.is_some() || self.connection.remote_id.is_some();
        self.remote_id == other.remote_id
            && self.local_id == other.local_id
            && self.user == other.user
            && self.proven_by == other.proven_by
            && (named || self.route.remote.ip() == other.route.remote.ip())
    }

    pub(crate) fn expires(&self) -> Instant {
        if self.volume.is_spent() {
            return self.established;
        }
        after(self.established, self.lifetime)
    }

    /// A message of this length was encrypted or decrypted.
    fn carry(&mut self, len: usize) {
        let volume = &mut self.volume;
        volume.carried = volume
            .carried
            .saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        let heavy = volume
            .replace_after
            .is_some_and(|after| volume.carried >= after);
        let spent = volume.replace_by_ids && self.message_ids.len() >= REPLACE_MESSAGE_IDS;
        if heavy || spent {
            volume.replace_after = None;
            volume.replace_by_ids = false;
            self.replace_at = Some(self.established);
        }
    }

    /// Whether a Quick Mode of ours has to wait: for an address within the tunnel, or for the peer to be ready.
    pub(crate) fn holds_children(&self) -> bool {
        !self.configuring.is_over() || self.children_at.is_some()
    }

    /// Whether the peer may not have it any more: it was asked for a Quick Mode, and has been silent since.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.unanswered.is_some_and(|at| self.last_heard < at)
    }

    /// When the peer is taken for dead, where it is probed at all.
    pub(crate) fn dead_at(&self) -> Option<Instant> {
        let dpd = self.connection.dpd.filter(|_| self.peer.dpd)?;
        let wait = dpd.timeout.saturating_sub(dpd.delay).max(PROBE_GRACE);
        self.probe.map(|probe| after(probe.since, wait))
    }

    /// When the peer is to be asked whether it lives.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        let dpd = self.connection.dpd.filter(|_| self.peer.dpd)?;
        Some(self.probe.map_or_else(
            || after(self.last_heard, dpd.delay.max(MIN_WAIT)),
            |probe| probe.next,
        ))
    }

    /// Something proven of this length came. `true`: from elsewhere than before.
    pub(crate) fn heard(&mut self, now: Instant, from: SocketAddr, len: usize) -> bool {
        self.carry(len);
        self.last_heard = now;
        self.probe = None;
        self.follow(from)
    }

    /// The peer has proven that it is there. Only behind a NAT it may be elsewhere than before: another one's
    /// address does not change, and who sees a packet could otherwise lead it astray (RFC 3947 section 6).
    pub(crate) fn follow(&mut self, from: SocketAddr) -> bool {
        let moved = self.peer_behind_nat
            && from != self.route.remote
            && from.is_ipv4() == self.route.local.is_ipv4();
        if moved {
            self.route.remote = from;
        }
        moved
    }

    /// Cuts a message into datagrams where that is asked for, marker included.
    pub(crate) fn datagrams(&mut self, message: Vec<u8>) -> Vec<Vec<u8>> {
        self.carry(message.len());
        let size = match self.connection.fragmentation {
            Fragmentation::No => None,
            Fragmentation::Yes => self
                .peer
                .fragmentation
                .then_some(self.connection.fragment_size),
            Fragmentation::Force => Some(self.connection.fragment_size),
        };
        self.fragment_id = self.fragment_id.wrapping_add(1);
        datagrams(message, size, self.fragment_id, self.route.marked)
    }

    /// When something is to be done without an input.
    pub(crate) fn next_timeout(&self) -> Instant {
        [
            self.replace_at,
            self.dead_at(),
            self.probe_at(),
            self.keepalive_at,
            self.reply_until,
            self.auto_at,
            self.children_at,
            self.retire_at,
            self.configuring.until(),
            self.asked.as_ref().map(|asked| asked.flight.next),
            self.done.values().map(|done| done.until).min(),
        ]
        .into_iter()
        .flatten()
        .fold(self.expires(), Instant::min)
    }
}
