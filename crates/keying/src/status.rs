//! What an endpoint can tell of itself.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use audit::{Role, Word};
use crypto::esp::EspProposal;
use isakmp::Cookie;

use crate::child::{ChildSaId, Cpis, Mode};
use crate::endpoint::{AfterTicket, Endpoint};
use crate::ikev1::quick::Quick;
use crate::ikev1::quick::live::Live;
use crate::ikev1::sa::Sa;
use crate::ikev1::state::State;
use crate::io::Output;
use crate::selector::Selector;

/// The account since this endpoint began. `established - ended` is the number of live SAs at any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Negotiations that started, in either role.
    pub negotiations: u64,
    /// Those that ended in an SA.
    pub established: u64,
    /// Those that failed.
    pub failed: u64,
    /// SAs that ended.
    pub ended: u64,
    /// 4976 that were held back.
    pub held_back: u64,
    /// Quick Modes that started, in either role.
    pub quick_modes: u64,
    /// Those that ended in a child SA.
    pub quick_established: u64,
    /// Those that failed.
    pub quick_failed: u64,
    /// Child SAs that ended. `quick_established - quick_ended` live at any moment.
    pub quick_ended: u64,
    /// 4977 that were held back.
    pub quick_held_back: u64,
}

/// A live Main Mode SA.
#[derive(Clone, Debug)]
pub struct MainModeSa {
    /// MMSAID.
    pub mmsa_id: u64,
    /// The connection's name.
    pub connection: String,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Our role.
    pub role: Role,
    /// The cookies.
    pub cookies: (Cookie, Cookie),
    /// Cipher, integrity, group: the events' stored words.
    pub suite: [Word; 3],
    /// The peer's identity.
    pub remote_name: String,
    /// Since when it stands.
    pub established: Instant,
    /// How long it lives in all.
    pub lifetime: Duration,
    /// What the peer runs, as far as its vendor IDs tell.
    pub peer_software: Option<String>,
    /// The user that XAUTH named.
    pub user: Option<String>,
    /// Our addresses within the tunnel, by Mode Config.
    pub inner_local: Vec<IpAddr>,
    /// The peer's.
    pub inner_remote: Vec<IpAddr>,
    /// Whether a NAT is between us and the outside.
    pub behind_nat: bool,
}

/// A negotiation under way.
#[derive(Clone, Debug)]
pub struct NegotiationStatus {
    /// The connection's name, where one is known.
    pub connection: Option<String>,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Our role.
    pub role: Role,
    /// The cookies.
    pub cookies: (Cookie, Cookie),
    /// What is awaited.
    pub awaits: &'static str,
}

/// A live child SA.
#[derive(Clone, Debug)]
pub struct ChildSaStatus {
    /// `QuickModeSaId`.
    pub id: ChildSaId,
    /// The connection's name.
    pub connection: String,
    /// The child's name.
    pub child: String,
    /// The peer's identity.
    pub remote_name: String,
    /// The Main Mode SA it is under now.
    pub mmsa_id: u64,
    /// Our role.
    pub role: Role,
    /// `installing`, `installed` or `replaced`.
    pub state: &'static str,
    /// Protocol and algorithms.
    pub suite: EspProposal,
    /// Tunnel or transport.
    pub mode: Mode,
    /// ESP is in UDP.
    pub udp_encap: bool,
    /// Our outer address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Our side of the traffic.
    pub local_selector: Selector,
    /// The peer's side.
    pub remote_selector: Selector,
    /// The SPI of what the peer sends.
    pub inbound_spi: u32,
    /// The SPI of what we send.
    pub outbound_spi: u32,
    /// With IPComp, by DEFLATE; `None`: without.
    pub cpis: Option<Cpis>,
    /// Since when it stands.
    pub established: Instant,
    /// How long it lives in all.
    pub lifetime: Duration,
    /// In how long it is replaced by us; `None`: not by us.
    pub rekey_in: Option<Duration>,
}

/// A Quick Mode under way.
#[derive(Clone, Debug)]
pub struct QuickModeStatus {
    /// The connection's name.
    pub connection: String,
    /// The child's name, where one is chosen.
    pub child: Option<String>,
    /// The Main Mode SA it is under.
    pub mmsa_id: u64,
    /// Our role.
    pub role: Role,
    /// Its message ID.
    pub message_id: u32,
    /// What is awaited.
    pub awaits: &'static str,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub struct Status {
    /// Live SAs, by ID.
    pub sas: Vec<MainModeSa>,
    /// Negotiations under way.
    pub negotiations: Vec<NegotiationStatus>,
    /// Live child SAs, by ID.
    pub child_sas: Vec<ChildSaStatus>,
    /// Quick Modes under way.
    pub quick_modes: Vec<QuickModeStatus>,
    /// The account.
    pub counters: Counters,
}

/// A Main Mode SA.
pub(crate) fn main_mode(sa: &Sa) -> MainModeSa {
    MainModeSa {
        mmsa_id: sa.mmsa_id,
        connection: sa.connection.name.clone(),
        local: sa.route.local,
        remote: sa.route.remote,
        role: sa.role,
        cookies: sa.cookies(),
        suite: [
            sa.suite.cipher.row().word,
            sa.suite.hash.row().word,
            sa.suite.group.row().word,
        ],
        remote_name: sa.remote_id.to_string(),
        established: sa.established,
        lifetime: sa.lifetime,
        peer_software: (!sa.peer.software.is_empty()).then(|| sa.peer.software.join(", ")),
        user: sa.user.clone(),
        inner_local: sa.inner_local.all(),
        inner_remote: sa.inner_remote.all(),
        behind_nat: sa.behind_nat,
    }
}

/// A child SA at `now`.
pub(crate) fn child(live: &Live, now: Instant) -> ChildSaStatus {
    ChildSaStatus {
        id: ChildSaId(live.id),
        connection: live.connection.name.clone(),
        child: live.child.name.clone(),
        remote_name: live.remote_id.to_string(),
        mmsa_id: live.mmsa_id,
        role: live.role,
        state: live.state_name(),
        suite: live.suite,
        mode: live.encapsulation.mode,
        udp_encap: live.encapsulation.udp,
        local: live.local,
        remote: live.remote,
        local_selector: live.pair.local,
        remote_selector: live.pair.remote,
        inbound_spi: live.inbound_spi,
        outbound_spi: live.outbound_spi,
        cpis: live.cpis,
        established: live.established,
        lifetime: live.lifetime,
        rekey_in: live.rekey_at.map(|at| at.saturating_duration_since(now)),
    }
}

fn quick_mode(quick: &Quick) -> QuickModeStatus {
    QuickModeStatus {
        connection: quick.connection.name.clone(),
        child: quick.child.as_ref().map(|child| child.name.clone()),
        mmsa_id: quick.mmsa_id,
        role: quick.role,
        message_id: quick.message_id,
        awaits: quick.awaits(),
    }
}

impl Endpoint {
    /// A snapshot at `now`.
    pub fn status(&self, now: Instant) -> Status {
        let sas = self.sas.values().map(|sa| main_mode(sa)).collect();
        let negotiations = self
            .negotiations
            .values()
            .map(|n| NegotiationStatus {
                connection: n
                    .connection
                    .as_ref()
                    .map(|connection| connection.name.clone()),
                local: n.route.local,
                remote: n.route.remote,
                role: n.role,
                cookies: n.cookies(),
                awaits: match &n.state {
                    _ if n.job().is_some() => "a worker",
                    State::SaSent { .. } | State::AggressiveSent { .. } => "message 2",
                    State::SaAnswered { .. } | State::AggressiveAnswered { .. } => "message 3",
                    State::KeSent { .. } => "message 4",
                    State::KeAnswered { .. } => "message 5",
                    State::IdSent { .. } => "message 6",
                    State::Xauth(_) => "the user",
                    State::Establishing(_) => "the log",
                    _ => "nothing",
                },
            })
            .collect();
        Status {
            sas,
            negotiations,
            child_sas: self
                .children
                .values()
                .map(|live| child(live, now))
                .collect(),
            quick_modes: self.quick.values().map(quick_mode).collect(),
            counters: self.counters,
        }
    }

    /// Whether a connection has a live SA.
    pub fn is_up(&self, connection: &str) -> bool {
        self.sas.values().any(|sa| sa.connection.name == connection)
    }

    /// Whether Quick Modes of a connection still have their verdicts to come: they run, the log or the data plane deals
    /// with them, or their [`Output::ChildVerdict`] was not taken.
    pub fn owes_child_verdicts(&self, connection: &str) -> bool {
        let told = |output: &Output| matches!(output, Output::ChildVerdict(verdict) if verdict.connection == connection);
        let by_log = |after: &AfterTicket| match after {
            AfterTicket::Told { answers, .. } => answers.iter().any(told),
            _ => false,
        };
        let of_name = |live: &Live| live.connection.name == connection && !live.installed();
        self.quick
            .values()
            .any(|quick| quick.connection.name == connection)
            || self.children.values().any(of_name)
            || self.tickets.values().any(by_log)
            || self.core.out.iter().any(told)
    }

    /// Whether nothing is under way and nothing lives: no negotiation, no SA, no event whose fate is not
    /// known, no output that was not taken.
    pub fn is_idle(&self) -> bool {
        self.negotiations.is_empty()
            && self.sas.is_empty()
            && self.quick.is_empty()
            && self.children.is_empty()
            && self.tickets.is_empty()
            && self.core.out.is_empty()
    }

    /// The account.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How much state there is: negotiations, SAs, cookies, jobs, tickets, fragments, timers. Zero when
    /// all is over and forgotten.
    pub fn state_size(&self) -> usize {
        self.negotiations.len()
            + self.sas.len()
            + self.sas_by_peer.len()
            + self.sas_by_holder.len()
            + self.quick.len()
            + self.quick_by_message.len()
            + self.children.entries()
            + self.spis.len()
            + self.cpis.len()
            + self.waiting_children.len()
            + self.by_cookies.len()
            + self.by_own_cookie.len()
            + self.by_origin.len()
            + self.half_open.sources()
            + self.core.jobs.len()
            + self.tickets.len()
            + self.terminations.len()
            + self.timers.len()
            + self.wakes.len()
            + self.fragments.len()
            + self.remembered.len()
    }
}
