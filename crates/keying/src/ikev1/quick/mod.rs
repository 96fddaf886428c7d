//! Quick Mode (RFC 2409 section 5.5): a negotiation under a Main Mode SA that makes a pair of IPsec SAs.
//!
//! [`initiator`] and [`responder`] hold a function per message, [`dispatch`] finds the exchange that a
//! message is for, [`verdicts`] tells how it ended. What is established lives on as a [`live::Live`] among
//! [`children`];
//! [`rekey`] replaces it and settles who keeps what, [`ends`] ends it.

mod again;
pub(crate) mod children;
pub(crate) mod dispatch;
pub(crate) mod ends;
pub(crate) mod initiator;
pub(crate) mod live;
pub(crate) mod messages;
pub(crate) mod proposals;
pub(crate) mod rekey;
pub(crate) mod responder;
pub(crate) mod selectors;
pub(crate) mod shared;
pub(crate) mod start;
pub(crate) mod verdicts;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Cause, QmState, Role};
use crypto::esp::EspProposal;
use crypto::{Group, Secret};
use isakmp::RawPayload;

use self::proposals::{Encapsulation, Offer};
use self::selectors::Pair;
use super::duplicates::Duplicates;
use super::flight::Flight;
use super::negotiation::Failure;
use crate::child::{Child, ChildKeys, Cpis};
use crate::config::Connection;
use crate::io::JobId;

/// Names a Quick Mode within an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QuickId(pub u64);

/// A Quick Mode under way.
#[derive(Clone, Debug)]
pub(crate) struct Quick {
    pub id: QuickId,
    pub role: Role,
    /// When its first message came or went.
    pub begun: Instant,
    pub mmsa_id: u64,
    pub message_id: u32,
    pub activity: ActivityId,
    pub connection: Arc<Connection>,
    /// At a responder: none until the peer's selectors tell.
    pub child: Option<Arc<Child>>,
    /// The outer addresses, for the verdict.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// What the SA is to be for, as far as that is known.
    pub pair: Option<Pair>,
    /// How it is to carry it, as far as that is known.
    pub encapsulation: Option<Encapsulation>,
    /// The peer's address before its NAT, where it told.
    pub peer_original: Option<IpAddr>,
    /// How far it came.
    pub sent: QmState,
    /// The SPI of what the peer is to send; none at a responder that has not answered.
    pub own_spi: Option<u32>,
    /// The CPI of what the peer is to send, where IPComp is offered or taken.
    pub own_cpi: Option<u16>,
    /// The protocol and SPI that the initiator told, or we as one: what notifications name.
    pub named: Option<(u8, Vec<u8>)>,
    /// The IV of the exchange's next message.
    pub iv: Vec<u8>,
    pub flight: Option<Flight>,
    pub duplicates: Duplicates,
    /// When this state has lasted too long: a job that does not come back.
    pub deadline: Option<Instant>,
    /// The child SA that this one is to replace.
    pub replaces: Option<u64>,
    /// The ID of the SA that the data plane receives on already.
    pub expected: Option<u64>,
    /// Its SA is to end as soon as it stands: that was decided while the log wrote.
    pub end_after: Option<Cause>,
    /// Each `Terminate` that waits for that end.
    pub terminations: Vec<u64>,
    pub state: QuickState,
}

/// Where a Quick Mode stands.
#[derive(Clone, Debug)]
pub(crate) enum QuickState {
    /// Initiator: a key pair is being made for message 1.
    MakingShare { job: JobId, offer: Box<Offer> },
    /// Initiator: message 1 is out.
    Offered(Box<Offered>),
    /// Initiator: message 2 is acceptable, the secret of its key exchange is being computed.
    AgreeingAsInitiator {
        job: JobId,
        terms: Box<Terms>,
        commit: bool,
    },
    /// Initiator: message 3 is out, and the responder wants us to wait for its CONNECTED.
    Confirming(Box<Ready>),
    /// Responder: message 1 is acceptable, the key exchange is being computed.
    AgreeingAsResponder {
        job: JobId,
        terms: Box<Terms>,
        reply: Box<Reply>,
    },
    /// Responder: message 2 is out.
    Answered(Box<Ready>),
    /// Both sides have proven themselves; the log is writing the event.
    Establishing(Box<Ready>),
    /// Moved on; never seen from outside a step.
    Moving,
}

/// What an initiator holds after message 1.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub offer: Offer,
    pub nonce: Vec<u8>,
    /// Our key pair, with perfect forward secrecy.
    pub share: Option<(Group, Vec<u8>, Secret)>,
}

/// What both sides agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub suite: EspProposal,
    pub encapsulation: Encapsulation,
    pub pair: Pair,
    pub own_spi: u32,
    pub peer_spi: u32,
    /// With IPComp.
    pub cpis: Option<Cpis>,
    pub ni: Vec<u8>,
    pub nr: Vec<u8>,
    /// The lesser of what both sides named.
    pub lifetime: Duration,
    pub kilobytes: Option<u64>,
    pub peer_original: Option<IpAddr>,
    pub own_original: Option<IpAddr>,
}

/// What a responder's message 2 is made of, beside nonce and key exchange.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub sa: RawPayload,
    /// The IDs, NAT-OA and notifications.
    pub rest: Vec<RawPayload>,
}

/// What is established as soon as the log has it.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub terms: Terms,
    pub inbound: ChildKeys,
    pub outbound: ChildKeys,
    /// The initiator's message 3, as datagrams.
    pub message_3: Vec<Vec<u8>>,
}

/// What a message or a job's result did to a Quick Mode.
pub(crate) enum QuickStep {
    /// All is well and the state has moved on.
    Stay,
    /// The responder has agreed: message 2 is to go out.
    Answer(Vec<u8>),
    /// The packet is invalid: 4977, and the Quick Mode stays as it is.
    Invalid(Cause, String),
    /// The Quick Mode failed. `tell`: the peer is told what its cause says to a peer.
    Fail { failure: Failure, tell: bool },
    /// Both sides have proven themselves.
    Establish(Box<Ready>),
}

impl From<Failure> for QuickStep {
    fn from(failure: Failure) -> Self {
        QuickStep::Fail {
            failure,
            tell: true,
        }
    }
}

impl From<crypto::CryptoError> for QuickStep {
    fn from(error: crypto::CryptoError) -> Self {
        Failure::from(error).into()
    }
}

impl Quick {
    /// The job that this state waits for.
    pub(crate) fn job(&self) -> Option<JobId> {
        match &self.state {
            QuickState::MakingShare { job, .. }
            | QuickState::AgreeingAsInitiator { job, .. }
            | QuickState::AgreeingAsResponder { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// What both sides agreed on, once they did.
    pub(crate) fn terms(&self) -> Option<&Terms> {
        match &self.state {
            QuickState::AgreeingAsInitiator { terms, .. }
            | QuickState::AgreeingAsResponder { terms, .. } => Some(terms),
            QuickState::Confirming(ready)
            | QuickState::Answered(ready)
            | QuickState::Establishing(ready) => Some(&ready.terms),
            _ => None,
        }
    }

    /// What silence in this state means.
    pub(crate) fn silence(&self) -> Failure {
        let silence = Failure::local(match &self.state {
            QuickState::Offered(_) => Cause::QuickModeNoAnswer,
            QuickState::Confirming(_) => Cause::CommitUnconfirmed,
            QuickState::Answered(_) => Cause::QuickModeUnconfirmed,
            QuickState::MakingShare { .. }
            | QuickState::AgreeingAsInitiator { .. }
            | QuickState::AgreeingAsResponder { .. } => Cause::QuickModeWorkerTimeout,
            QuickState::Establishing(_) | QuickState::Moving => Cause::LogUnwritable,
        });
        match &self.flight {
            Some(flight) => flight.fate.silence(silence),
            None => silence,
        }
    }

    /// How far our messages came: what never went out is none.
    pub(crate) fn has_sent(&self) -> QmState {
        match (
            self.flight
                .as_ref()
                .and_then(|flight| flight.fate.never_sent()),
            self.sent,
        ) {
            (None, sent) => sent,
            (Some(_), QmState::None | QmState::SentFirst) => QmState::None,
            (Some(_), QmState::SentFinal | QmState::Complete) => QmState::SentFirst,
        }
    }

    /// What is awaited, in words.
    pub(crate) fn awaits(&self) -> &'static str {
        match &self.state {
            QuickState::Offered(_) => "message 2",
            QuickState::Answered(_) => "message 3",
            QuickState::Confirming(_) => "CONNECTED",
            QuickState::MakingShare { .. }
            | QuickState::AgreeingAsInitiator { .. }
            | QuickState::AgreeingAsResponder { .. } => "a worker",
            QuickState::Establishing(_) => "the log",
            QuickState::Moving => "nothing",
        }
    }

    /// When something is to be done without an input.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let flight = self.flight.as_ref().map(|flight| flight.next);
        [flight, self.deadline].into_iter().flatten().min()
    }
}
