//! The states of a negotiation of phase 1, each with exactly what is known by then.

use crypto::Secret;
use isakmp::SecurityAssociation;

use super::messages::IdentityMessage;
use super::nat::Nat;
use super::negotiation::Route;
use super::proposals::Chosen;
use super::protection::Keys;
use super::sa::Sa;
use super::xauth::Pending;
use crate::identity::Identity;
use crate::io::JobId;

/// Where a negotiation stands.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Initiator: message 1 is out.
    SaSent { sa_body: Vec<u8> },
    /// Initiator: message 2 was acceptable, a key pair is being made for message 3.
    MakingShare {
        job: JobId,
        sa_body: Vec<u8>,
        chosen: Chosen,
    },
    /// Initiator: message 3 is out.
    KeSent { sent: Box<KeSent> },
    /// Initiator: message 4 is here, keys are being derived for message 5.
    DerivingForId {
        job: JobId,
        sent: Box<KeSent>,
        peer_public: Vec<u8>,
        nat: Nat,
    },
    /// Initiator: keys are there, our proof for message 5 is being signed.
    SigningForId {
        job: JobId,
        proving: Box<Proving>,
        nat: Nat,
        /// There is no live SA with this peer.
        first_contact: bool,
    },
    /// Initiator: message 5 is out.
    IdSent { proving: Box<Proving>, nat: Nat },
    /// Responder: message 2 is out.
    SaAnswered { sa_body: Vec<u8>, chosen: Chosen },
    /// Responder: message 3 is here, keys are being derived for message 4.
    DerivingForKe {
        job: JobId,
        sa_body: Vec<u8>,
        chosen: Chosen,
        peer_public: Vec<u8>,
        nonce: Vec<u8>,
        nat: Nat,
    },
    /// Responder: message 4 is out.
    KeAnswered { proving: Box<Proving>, nat: Nat },
    /// Message 5 or 6 is here, and the peer's signature and certificates are being checked.
    CheckingPeer {
        job: JobId,
        proving: Box<Proving>,
        nat: Nat,
        heard: Box<Heard>,
    },
    /// Responder: the peer is who it says, our proof for message 6 is being signed.
    SigningForAnswer {
        job: JobId,
        proving: Box<Proving>,
        nat: Nat,
        heard: Box<Heard>,
        remote_id: Identity,
    },
    /// Initiator of Aggressive Mode: a key pair is being made for message 1.
    AggressiveMakingShare { job: JobId },
    /// Initiator of Aggressive Mode: message 1 is out.
    AggressiveSent { sent: Box<AggressiveSent> },
    /// Initiator of Aggressive Mode: message 2 is here, keys are being derived.
    AggressiveDeriving {
        job: JobId,
        sent: Box<AggressiveSent>,
        chosen: Chosen,
        peer_public: Vec<u8>,
        nat: Nat,
        message: Box<IdentityMessage>,
    },
    /// Responder of Aggressive Mode: message 1 is here, keys are being derived.
    AggressiveDerivingForAnswer {
        job: JobId,
        sa_body: Vec<u8>,
        chosen: Chosen,
        answer: SecurityAssociation,
        peer_public: Vec<u8>,
        nonce: Vec<u8>,
        message: Box<IdentityMessage>,
    },
    /// Responder of Aggressive Mode: our proof for message 2 is being signed.
    AggressiveSigning {
        job: JobId,
        proving: Box<Proving>,
        answer: SecurityAssociation,
        nonce: Vec<u8>,
        message: Box<IdentityMessage>,
    },
    /// Responder of Aggressive Mode: message 2 is out. `message` has the identity that message 1 gave.
    AggressiveAnswered {
        proving: Box<Proving>,
        message: Box<IdentityMessage>,
    },
    /// Both proofs hold; a user is being asked for.
    Xauth(Box<Pending>),
    /// Both proofs hold; the log is writing the event.
    Establishing(Box<Establishing>),
    /// Moved on; never seen from outside a step.
    Moving,
}

impl State {
    /// The job that this state waits for.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            State::MakingShare { job, .. }
            | State::DerivingForId { job, .. }
            | State::SigningForId { job, .. }
            | State::DerivingForKe { job, .. }
            | State::CheckingPeer { job, .. }
            | State::SigningForAnswer { job, .. }
            | State::AggressiveMakingShare { job }
            | State::AggressiveDeriving { job, .. }
            | State::AggressiveDerivingForAnswer { job, .. }
            | State::AggressiveSigning { job, .. } => Some(*job),
            State::Xauth(pending) => pending.job(),
            _ => None,
        }
    }
}

/// What an initiator holds after message 3.
#[derive(Clone, Debug)]
pub(crate) struct KeSent {
    pub sa_body: Vec<u8>,
    pub chosen: Chosen,
    pub public: Vec<u8>,
    pub private: Secret,
    pub nonce: Vec<u8>,
}

/// What both sides hold once keys exist and proofs are awaited.
#[derive(Clone, Debug)]
pub(crate) struct Proving {
    pub sa_body: Vec<u8>,
    pub chosen: Chosen,
    pub own_public: Vec<u8>,
    pub peer_public: Vec<u8>,
    pub skeyid: Secret,
    pub keys: Keys,
    /// The IV of the next message of the exchange, and what the IVs of INFORMATIONALs come from.
    pub iv: Vec<u8>,
    pub local_id: Identity,
}

/// Message 5 or 6, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub message: IdentityMessage,
    /// Where it came from.
    pub route: Route,
    /// Its last block.
    pub last_block: Vec<u8>,
    /// Initiator of Aggressive Mode: what was sent, should this not be the responder's message after all.
    pub sent: Option<Box<AggressiveSent>>,
    /// Responder of Aggressive Mode: the identity of message 1, should this not be the initiator's message.
    pub answered: Option<Box<IdentityMessage>>,
    /// There is no live SA with this peer.
    pub first_contact: bool,
}

impl Heard {
    /// A message of Main Mode.
    pub(crate) fn new(message: IdentityMessage, route: Route, last_block: Vec<u8>) -> Self {
        Heard {
            message,
            route,
            last_block,
            sent: None,
            answered: None,
            first_contact: false,
        }
    }
}

/// What an initiator holds after message 1 of Aggressive Mode.
#[derive(Clone, Debug)]
pub(crate) struct AggressiveSent {
    pub sa_body: Vec<u8>,
    pub public: Vec<u8>,
    pub private: Secret,
    pub nonce: Vec<u8>,
    pub local_id: Identity,
}

/// An SA that stands but for its event.
#[derive(Clone, Debug)]
pub(crate) struct Establishing {
    pub sa: Sa,
    /// Message 6, at the responder.
    pub reply: Vec<Vec<u8>>,
    /// The last block of the message that proved the peer: where the IV of a refusal comes from.
    pub heard_block: Vec<u8>,
    /// The peer said INITIAL-CONTACT.
    pub initial_contact: bool,
}
