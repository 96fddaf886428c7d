//! A negotiation of phase 1: what every state of it has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::{ActivityId, AuthMethod, Cause, FailurePoint, KeyMod, MmCertificate, MmState, Role};
use crypto::cert::Shown;
use isakmp::vendor::{self, VendorKind};
use isakmp::{Cookie, ExchangeType, Flags, Header, Payload, PayloadType, non_esp};
use rand_core::Rng as _;

use super::authentication::Method;
use super::duplicates::Duplicates;
use super::flight::{Fate, Flight};
use super::messages::Requested;
use super::nat::Nat;
use super::sa::Sa;
use super::state::State;
use crate::config::{Connection, Fragmentation};
use crate::core::Core;
use crate::io::JobId;
use crate::limits::{MAX_EARLY, after};

/// Names a negotiation within an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NegotiationId(pub u64);

/// How to reach the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Messages carry the non-ESP marker.
    pub marked: bool,
}

impl Route {
    /// Whether this is the peer's address. Its port may change with every message: a NAT does that.
    pub(crate) fn leads_to(&self, from: SocketAddr) -> bool {
        self.remote.ip() == from.ip()
    }
}

/// What a peer's vendor IDs told.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "abilities of their own, each there or not whatever the others are"
)]
pub(crate) struct Peer {
    pub nat_t: bool,
    pub dpd: bool,
    pub fragmentation: bool,
    /// It knows attributes of nets in Mode Config (Cisco Unity).
    pub unity: bool,
    /// What it runs, by name.
    pub software: Vec<&'static str>,
}

/// Names of peer software that are kept: more is only there to fill memory.
const MAX_SOFTWARE: usize = 4;

impl Peer {
    /// Takes in the vendor IDs of a message.
    pub(crate) fn learn(&mut self, payloads: &[Payload]) {
        for payload in payloads {
            let Payload::VendorId(id) = payload else {
                continue;
            };
            self.nat_t |= vendor::NAT_T_RFC3947.matches(id);
            self.dpd |= vendor::DPD.matches(id);
            self.fragmentation |= vendor::FRAGMENTATION.matches(id);
            let known = vendor::recognise(id);
            self.unity |= known.is_some_and(|known| known.kind == VendorKind::CiscoUnity);
            let known = known.filter(|known| known.software);
            if let Some(known) = known
                && !self.software.contains(&known.name)
                && self.software.len() < MAX_SOFTWARE
            {
                self.software.push(known.name);
            }
        }
    }
}

/// Why a negotiation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub cause: Cause,
    pub point: FailurePoint,
    pub detail: Option<String>,
}

impl Failure {
    pub(crate) fn local(cause: Cause) -> Self {
        Failure {
            cause,
            point: FailurePoint::Local,
            detail: None,
        }
    }

    pub(crate) fn remote(cause: Cause) -> Self {
        Failure {
            cause,
            point: FailurePoint::Remote,
            detail: None,
        }
    }

    pub(crate) fn with(self, detail: impl Into<String>) -> Self {
        Failure {
            detail: Some(detail.into()),
            ..self
        }
    }
}

impl From<crypto::CryptoError> for Failure {
    fn from(error: crypto::CryptoError) -> Self {
        use crypto::CryptoError;
        let failure = match &error {
            CryptoError::BadPublicValue(_) => Failure::local(Cause::KeInvalid),
            CryptoError::BadPrivateValue | CryptoError::AwsLc => Failure::local(Cause::DhFailure),
            CryptoError::NotWholeBlocks { .. }
            | CryptoError::WrongLength { .. }
            | CryptoError::Library(_) => Failure::local(Cause::EncryptFailure),
        };
        failure.with(error.to_string())
    }
}

/// Something damning that nobody authenticated.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub failure: Failure,
    pub until: Instant,
    /// An acceptable message followed, and a worker is finding out whether it is sound.
    pub contested: bool,
    /// The message is kept: should the SA come to stand, it is looked at again under it.
    pub kept: bool,
    /// The last block of the message: should it turn out to be the peer's, the peer is told under the keys, whose
    /// IVs come from it.
    pub last_block: Option<Vec<u8>>,
}

/// A Main Mode negotiation.
#[derive(Clone, Debug)]
pub(crate) struct Negotiation {
    pub id: NegotiationId,
    pub role: Role,
    pub key_mod: KeyMod,
    /// Main Mode or Aggressive Mode.
    pub exchange: ExchangeType,
    /// Where message 1 came from, or went to.
    pub origin: SocketAddr,
    /// When message 1 came or went.
    pub begun: Instant,
    /// The connection it is for: at a responder the first of those that fit, until message 5 tells.
    pub connection: Option<Arc<Connection>>,
    /// At a responder: every connection that the peer's address fits and that has the chosen suite.
    pub alternatives: Vec<Arc<Connection>>,
    /// Those that were among them, and why they are not any more: the peer may yet say that it is for one.
    pub withdrawn: Vec<(Arc<Connection>, Cause)>,
    /// What was wrong with what came in the place of the message that is waited for.
    pub unreadable: Option<String>,
    pub route: Route,
    pub initiator_cookie: Cookie,
    pub responder_cookie: Cookie,
    pub activity: ActivityId,
    /// The last message that we sent.
    pub sent: MmState,
    /// The method of authentication that was agreed.
    pub method: Option<Method>,
    /// The certificates of both sides, once certificates are in play.
    pub certificates: Option<Certificates>,
    pub requested: Requested,
    pub local_name: Option<String>,
    pub remote_name: Option<String>,
    pub peer: Peer,
    pub duplicates: Duplicates,
    /// What may be for the SA that does not stand yet: it overtook message 6, or the log is writing.
    pub early: Vec<Early>,
    /// The initiator's message that waits for an answer.
    pub flight: Option<Flight>,
    /// What became of the responder's last answer, which duplicates of what it answers bring again.
    pub answer: Fate,
    pub evidence: Option<Evidence>,
    /// When this state has lasted too long: a responder's wait for the peer, anybody's for a job.
    pub deadline: Option<Instant>,
    /// The SA that this one is to replace.
    pub replaces: Option<u64>,
    /// The negotiation's SA is to end as soon as it stands: the operator said so while the log wrote.
    pub end_after: Option<Cause>,
    /// Each `Terminate` that waits for that end.
    pub terminations: Vec<u64>,
    pub fragment_id: u16,
    pub state: State,
}

/// The certificates of both sides, as far as they were shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    pub local: MmCertificate,
    pub remote: MmCertificate,
}

/// A certificate as events name it.
pub(crate) fn audited(shown: Shown) -> MmCertificate {
    MmCertificate {
        thumbprint: shown.thumbprint,
        issuing_ca: shown.issuing_ca,
        root_ca: shown.root_ca,
    }
}

/// A datagram that is for an SA which does not stand yet.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    pub route: Route,
    /// Without marker.
    pub bytes: Vec<u8>,
}

/// What a message or a job's result did to a negotiation.
pub(crate) enum Step {
    /// All is well and the state has moved on.
    Stay,
    /// Nothing happened.
    Ignore,
    /// The packet is invalid: 4976, and the negotiation stays as it is.
    Invalid(Cause, String),
    /// Damning, but not proven.
    Evidence(Failure),
    /// The same of a message under the keys, with its last block: should nothing better follow, the peer is told.
    EvidenceUnderKeys {
        failure: Failure,
        last_block: Vec<u8>,
    },
    /// The negotiation failed.
    Fail(Failure),
    /// The negotiation failed although the peer proved itself and may take the SA for established: it
    /// is told so under the keys, whose IVs come from this block.
    FailProven {
        failure: Failure,
        last_block: Vec<u8>,
    },
    /// Both proofs hold.
    Establish {
        sa: Box<Sa>,
        reply: Vec<Vec<u8>>,
        heard_block: Vec<u8>,
        initial_contact: bool,
    },
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Self {
        Step::Fail(failure)
    }
}

impl Negotiation {
    /// One of which nothing is known but its first message.
    pub(crate) fn new(
        core: &mut Core,
        now: Instant,
        role: Role,
        exchange: ExchangeType,
        route: Route,
        cookies: (Cookie, Cookie),
    ) -> Self {
        Negotiation {
            id: NegotiationId(core.number()),
            role,
            key_mod: KeyMod::IkeV1,
            exchange,
            origin: route.remote,
            begun: now,
            connection: None,
            alternatives: Vec::new(),
            withdrawn: Vec::new(),
            unreadable: None,
            route,
            initiator_cookie: cookies.0,
            responder_cookie: cookies.1,
            activity: core.activity(),
            sent: MmState::None,
            method: None,
            certificates: None,
            requested: Requested::default(),
            local_name: None,
            remote_name: None,
            peer: Peer::default(),
            duplicates: Duplicates::default(),
            early: Vec::new(),
            flight: None,
            answer: Fate::default(),
            evidence: None,
            deadline: None,
            replaces: None,
            end_after: None,
            terminations: Vec::new(),
            fragment_id: 0,
            state: State::Moving,
        }
    }

    /// Keeps a message for the SA that is to be; false when there are too many.
    pub(crate) fn keep_early(&mut self, route: Route, bytes: &[u8]) -> bool {
        let room = self.early.len() < MAX_EARLY;
        if room {
            let bytes = bytes.to_vec();
            self.early.push(Early { route, bytes });
        }
        room
    }

    /// The job that is waited for.
    pub(crate) fn job(&self) -> Option<JobId> {
        self.state.job()
    }

    /// Takes in what a message says beside what it is for: vendor IDs and certificate requests.
    pub(crate) fn learn(&mut self, payloads: &[Payload]) {
        self.peer.learn(payloads);
        self.requested.learn(payloads);
    }

    /// The method of authentication is agreed.
    pub(crate) fn authenticates_by(&mut self, method: Method) {
        self.method = Some(method);
        self.certificates = method.signature().map(|_| Certificates::default());
    }

    /// How the two sides prove who they are, as events name it.
    pub(crate) fn auth(&self) -> AuthMethod {
        self.method.map_or(AuthMethod::Unknown, Method::audited)
    }

    /// What phase 1 is, beyond the words that Windows' events have: nothing of a plain Main Mode.
    pub(crate) fn exchange_words(&self) -> Option<&'static str> {
        let user = self.method.is_some_and(|method| method.xauth.is_some());
        let hybrid = self.method.is_some_and(Method::is_hybrid);
        Some(
            match (self.exchange == ExchangeType::AGGRESSIVE, hybrid, user) {
                (false, false, false) => return None,
                (false, false, true) => "Main Mode with XAUTH",
                (false, true, _) => "Main Mode with hybrid authentication and XAUTH",
                (true, false, false) => "Aggressive Mode",
                (true, false, true) => "Aggressive Mode with XAUTH",
                (true, true, _) => "Aggressive Mode with hybrid authentication and XAUTH",
            },
        )
    }

    pub(crate) fn cookies(&self) -> (Cookie, Cookie) {
        (self.initiator_cookie, self.responder_cookie)
    }

    /// Whether nothing but message 1 of the peer was heard: anybody can send that in anybody's name.
    pub(crate) fn heard_message_1_alone(&self) -> bool {
        self.role == Role::Responder
            && (self.sent == MmState::None
                || matches!(
                    self.state,
                    State::SaAnswered { .. } | State::AggressiveAnswered { .. }
                ))
    }

    /// Whether the peer has proven who it is, at a responder.
    pub(crate) fn peer_is_proven(&self) -> bool {
        matches!(
            self.state,
            State::SigningForAnswer { .. } | State::Xauth(_) | State::Establishing(_)
        )
    }

    /// What silence in this state means.
    pub(crate) fn silence(&self) -> Failure {
        if self.job().is_some() {
            return Failure::local(Cause::WorkerTimeout);
        }
        let silence = Failure::local(match &self.state {
            State::SaSent { .. } | State::AggressiveSent { .. } => Cause::NoAnswer,
            State::KeSent { .. } => Cause::SilenceAfterMessage2,
            State::IdSent { .. } => Cause::SilenceAfterMessage4,
            State::SaAnswered { .. } | State::AggressiveAnswered { .. } => {
                Cause::SilenceAfterMessage1
            }
            State::KeAnswered { .. } => Cause::SilenceAfterMessage3,
            State::Xauth(_) => Cause::XauthSilence,
            // What is left waits for the log.
            _ => Cause::LogUnwritable,
        });
        self.fate().silence(match &self.unreadable {
            Some(why) => silence.with(format!("what came in its place cannot be read: {why}")),
            None => silence,
        })
    }

    /// The operator takes the connection of this name away: whether the negotiation ends with it. Until the peer has
    /// said who it is, it goes on for the others that fit. In no state does it come to be of one that is gone.
    pub(crate) fn ends_with(&mut self, name: &str, why: Cause) -> bool {
        let gone = self.alternatives.extract_if(.., |c| c.name == name);
        self.withdrawn.extend(gone.map(|gone| (gone, why)));
        let is_for_it = self.connection.as_ref().is_some_and(|c| c.name == name);
        let is_open = matches!(
            self.state,
            State::SaAnswered { .. } | State::DerivingForKe { .. } | State::KeAnswered { .. }
        );
        if !is_for_it || !is_open {
            return is_for_it;
        }
        let other = self.alternatives.first().cloned();
        let ends = other.is_none();
        self.connection = other.or(self.connection.take());
        ends
    }

    /// What became of our last message.
    fn fate(&self) -> &Fate {
        self.flight
            .as_ref()
            .map_or(&self.answer, |flight| &flight.fate)
    }

    /// The same, where a message of this exchange is our last one: the responder's answers alone are none of another.
    pub(crate) fn fate_of(&mut self, exchange: ExchangeType) -> Option<&mut Fate> {
        match &mut self.flight {
            Some(flight) => Some(&mut flight.fate),
            None => (exchange == self.exchange).then_some(&mut self.answer),
        }
    }

    /// How far our messages came: what never went out is none.
    pub(crate) fn has_sent(&self) -> MmState {
        match (&self.state, self.fate().never_sent(), self.sent) {
            // XAUTH's messages come after all of these.
            (State::Xauth(_), _, sent) | (_, None, sent) => sent,
            (_, Some(_), MmState::None | MmState::SentFirst) => MmState::None,
            (_, Some(_), MmState::SentSecond) => MmState::SentFirst,
            (_, Some(_), MmState::SentThird) => MmState::SentSecond,
        }
    }

    /// When something is to be done without an input.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        // While a job of ours runs there is nobody to be waited for.
        let flight = self.flight.as_ref().filter(|_| self.job().is_none());
        let flight = flight.map(|flight| flight.next);
        let evidence = self
            .evidence
            .as_ref()
            .filter(|evidence| !evidence.contested);
        let evidence = evidence.map(|evidence| evidence.until);
        [flight, evidence, self.deadline]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn header(&self, exchange: ExchangeType, message_id: u32) -> Header {
        header(self.cookies(), exchange, message_id)
    }

    /// Whether messages to this peer are cut into fragments, and into which size.
    fn fragment_size(&self) -> Option<usize> {
        let connection = self.connection.as_ref()?;
        match connection.fragmentation {
            Fragmentation::No => None,
            Fragmentation::Yes => self.peer.fragmentation.then_some(connection.fragment_size),
            Fragmentation::Force => Some(connection.fragment_size),
        }
    }

    /// Cuts a message of the exchange into datagrams, marker included.
    pub(crate) fn datagrams(&mut self, message: Vec<u8>) -> Vec<Vec<u8>> {
        self.fragment_id = self.fragment_id.wrapping_add(1);
        datagrams(
            message,
            self.fragment_size(),
            self.fragment_id,
            self.route.marked,
        )
    }

    /// Sends the initiator's next message and keeps it to be sent again.
    pub(crate) fn launch(
        &mut self,
        core: &mut Core,
        now: Instant,
        message: Vec<u8>,
        sent: MmState,
    ) {
        let datagrams = self.datagrams(message);
        core.transmit(self.route, &datagrams);
        self.sent = sent;
        self.repeat(core, now, datagrams);
    }

    /// Sends the responder's answer, and keeps it for duplicates of what it answers.
    pub(crate) fn answer(
        &mut self,
        core: &mut Core,
        now: Instant,
        message: Vec<u8>,
        sent: MmState,
    ) {
        let datagrams = self.datagrams(message);
        core.transmit(self.route, &datagrams);
        self.duplicates.answered(&datagrams);
        self.answer = Fate::default();
        self.sent = sent;
        self.await_peer(now);
        if self.exchange == ExchangeType::AGGRESSIVE {
            // Nothing else makes a lost one good.
            self.repeat(core, now, datagrams);
        }
    }

    /// The peer's next message has its time from now on.
    pub(crate) fn await_peer(&mut self, now: Instant) {
        let wait = self.connection.as_ref().map(|c| c.half_open_timeout);
        self.deadline = wait.map(|wait| after(now, wait));
    }

    /// What was sent is sent again until the peer's next message comes.
    pub(crate) fn repeat(&mut self, core: &mut Core, now: Instant, datagrams: Vec<Vec<u8>>) {
        if let Some(connection) = &self.connection {
            let flight = Flight::new(core, now, connection.retransmit, datagrams);
            self.flight = Some(flight);
        }
    }

    /// Goes on at the ports for IKE behind a NAT, where there is one (RFC 3947 section 4).
    pub(crate) fn float(&mut self, connection: &Connection, nat: Nat) {
        let nat_traversal = nat.any() || (connection.force_encap && self.peer.nat_t);
        if nat_traversal && !self.route.marked {
            self.route.local.set_port(connection.local_nat_port);
            self.route.remote.set_port(connection.remote_nat_port);
            self.route.marked = true;
        }
    }

    /// Whether this datagram is the one that we sent last: it came back.
    pub(crate) fn is_our_own(&self, whole: &[u8]) -> bool {
        let sent = self.flight.as_ref().map(|flight| &flight.datagrams);
        sent.is_some_and(|datagrams| {
            let own = |bytes: &Vec<u8>| non_esp::strip(bytes).unwrap_or(bytes) == whole;
            datagrams.iter().any(own)
        })
    }
}

/// A header of ours; `length` and `next_payload` are for whoever builds the message.
pub(crate) fn header(cookies: (Cookie, Cookie), exchange: ExchangeType, message_id: u32) -> Header {
    Header {
        initiator_cookie: cookies.0,
        responder_cookie: cookies.1,
        next_payload: PayloadType::NONE,
        major: 1,
        minor: 0,
        exchange,
        flags: Flags::NONE,
        message_id,
        length: 0,
    }
}

/// Cuts a message where that is asked for, and marks the pieces.
pub(crate) fn datagrams(
    message: Vec<u8>,
    size: Option<usize>,
    id: u16,
    marked: bool,
) -> Vec<Vec<u8>> {
    let pieces = match size {
        Some(size) => super::fragments::cut(message, size, id),
        None => vec![message],
    };
    if marked {
        pieces
            .iter()
            .map(|piece| isakmp::non_esp::prepend(piece))
            .collect()
    } else {
        pieces
    }
}

/// A cookie that was not used before: random, and never taken for a non-ESP marker.
pub(crate) fn new_cookie(core: &mut Core) -> Cookie {
    loop {
        let mut bytes = [0; 8];
        core.rng.fill_bytes(&mut bytes);
        if bytes[..4] != [0; 4] {
            return Cookie(bytes);
        }
    }
}
