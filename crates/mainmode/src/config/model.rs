//! What a configuration says, once it has been read: types that cannot be wrong.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::{Setting, Subcategory};
use crypto::cert::{Method, Policy};
use crypto::esp::EspProposal;
use crypto::{Proposal, Secret};
use dataplane::Mark;
use eventlog::Retention;
use ipnet::IpNet;
use keying::identity::Identity;
use keying::{Mode, ModeConfig, SelectorConfig, SendCertificate, SignatureCredentials, User};

use super::source::Location;

/// Where the configuration is unless `-c FILE` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/mainmode/mainmode.toml";

/// IKE's port (RFC 2408 section 2.5.1).
pub const IKE_PORT: u16 = 500;

/// The port of IKE behind a NAT (RFC 3947 section 4).
pub const NAT_PORT: u16 = 4500;

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// The audit policy that wins over the stored one.
    pub audit: AuditConfig,
    /// The log on disk.
    pub log: LogConfig,
    /// Where we listen.
    pub listen: ListenConfig,
    /// The control socket.
    pub control: ControlConfig,
    /// What is for finding faults alone.
    pub debug: DebugConfig,
    /// The connections, in the order of the file; their names are unique.
    pub connections: Vec<Connection>,
}

/// The parts of a configuration that say where things are: enough for the commands that look.
#[derive(Debug, Clone)]
pub struct Places {
    /// The audit policy that wins over the stored one.
    pub audit: AuditConfig,
    /// The log on disk.
    pub log: LogConfig,
    /// The control socket.
    pub control: ControlConfig,
}

/// `[audit]`: like Group Policy, what it sets cannot be changed by `audit set`.
#[derive(Debug, Clone, Default)]
pub struct AuditConfig {
    /// What is set, and where.
    pub settings: Vec<(Subcategory, Setting, Location)>,
}

impl AuditConfig {
    /// Where the file sets this subcategory, if it does.
    pub fn governs(&self, subcategory: Subcategory) -> Option<&Location> {
        self.settings
            .iter()
            .find(|(s, _, _)| *s == subcategory)
            .map(|(_, _, location)| location)
    }

    /// The policy in force: what is stored, and over it what the file sets.
    pub fn over(&self, stored: &audit::Policy) -> audit::Policy {
        let mut policy = stored.clone();
        for (subcategory, setting, _) in &self.settings {
            policy.set(*subcategory, Some(*setting));
        }
        policy
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The folder of its segments.
    pub directory: PathBuf,
    /// All segments together, in bytes.
    pub max_size: u64,
    /// What happens when it is full.
    pub retention: Retention,
    /// What happens when it cannot be written.
    pub when_unwritable: WhenUnwritable,
}

impl LogConfig {
    /// How to open the log for writing.
    pub fn options(&self) -> eventlog::Options {
        eventlog::Options {
            directory: self.directory.clone(),
            max_size: self.max_size,
            retention: self.retention,
            computer: crate::host_name(),
            process_id: std::process::id(),
        }
    }
}

/// What happens when an event cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnwritable {
    /// Negotiations go on, and what was lost is counted.
    Continue,
    /// New negotiations are refused.
    Refuse,
}

impl WhenUnwritable {
    /// As the configuration has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Refuse => "refuse",
        }
    }
}

/// `[listen]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    /// The addresses to bind.
    pub addresses: Vec<IpAddr>,
    /// The port for IKE.
    pub port: u16,
    /// The port for IKE behind a NAT.
    pub nat_port: u16,
    /// Whether the file has a `[listen]` at all.
    pub written: bool,
}

/// One UDP socket to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenSocket {
    /// What to bind; the address may be the wildcard of its family.
    pub address: SocketAddr,
    /// Whether IKE has the non-ESP marker here (RFC 3948 section 2.2).
    pub nat: bool,
}

/// `[control]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// The control socket's path.
    pub socket: PathBuf,
}

/// `[debug]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DebugConfig {
    /// The folder of the key log; none: no key is ever written.
    pub key_log: Option<PathBuf>,
}

/// `[[connection]]`.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// Where the file defines it.
    pub location: Location,
    /// Our side.
    pub local: Local,
    /// The peer's side.
    pub remote: Remote,
    /// How both authenticate, in order of preference.
    pub auth: Vec<Auth>,
    /// A user that is asked for after that.
    pub xauth: Option<Xauth>,
    /// Addresses within the tunnel.
    pub mode_config: Option<ModeConfig>,
    /// The exchange of phase 1.
    pub exchange: Exchange,
    /// What we offer and accept, the best first.
    pub proposals: Vec<Proposal>,
    /// How long a Main Mode SA lives: whole seconds.
    pub lifetime: Duration,
    /// How many bytes of IKE's messages it may carry.
    pub lifetime_bytes: Option<u64>,
    /// When messages are sent again.
    pub retransmit: Retransmit,
    /// How long a responder waits for the next message.
    pub half_open_timeout: Duration,
    /// How long unproven evidence waits for something proven.
    pub evidence_hold: Duration,
    /// Dead peer detection; none: no probes.
    pub dpd: Option<Dpd>,
    /// IKE fragmentation.
    pub fragmentation: Fragmentation,
    /// The largest UDP payload that is sent whole, in bytes.
    pub fragment_size: u16,
    /// NAT traversal.
    pub encap: Encap,
    /// Where keys go.
    pub dataplane: DataPlane,
    /// When it begins.
    pub start: Start,
    /// How often something keeps the mapping of a NAT before us.
    pub nat_keepalive: Duration,
    /// Whether the peer may not begin.
    pub initiator_only: bool,
    /// What is protected; their names are unique.
    pub children: Vec<Child>,
}

impl Connection {
    /// The pre-shared key.
    pub fn psk(&self) -> Option<&Secret> {
        self.auth.iter().find_map(|auth| match auth {
            Auth::Psk(secret) => Some(secret),
            Auth::Signatures(_) => None,
        })
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// `[[connection.child]]`: traffic that is protected.
#[derive(Debug, Clone)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Our side of the traffic.
    pub local: Vec<SelectorConfig>,
    /// The peer's side.
    pub remote: Vec<SelectorConfig>,
    /// Tunnel or transport.
    pub mode: Mode,
    /// What we offer and accept, the best first.
    pub proposals: Vec<EspProposal>,
    /// IPComp is offered and accepted.
    pub compress: bool,
    /// How long an SA lives: whole seconds.
    pub lifetime: Duration,
    /// How many bytes it may carry each way.
    pub lifetime_bytes: Option<u64>,
    /// How many packets it may carry each way.
    pub lifetime_packets: Option<u64>,
    /// How many sequence numbers behind the newest are still taken.
    pub replay_window: u32,
    /// Only packets with this firewall mark.
    pub mark: Option<Mark>,
    /// Only packets of the XFRM interface with this number.
    pub interface_id: Option<u32>,
}

/// `dataplane`: where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataPlane {
    /// Nowhere.
    None,
    /// Into the kernel's IPsec.
    Kernel,
    /// Into this process, with a TUN device.
    User,
}

impl DataPlane {
    /// As the configuration has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kernel => "kernel",
            Self::User => "user",
        }
    }
}

/// Our side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Our address; none: any of ours.
    pub address: Option<IpAddr>,
    /// Our port for IKE.
    pub port: u16,
    /// Our port for IKE behind a NAT.
    pub nat_port: u16,
    /// Who we say we are; none: our address.
    pub id: Option<Identity>,
}

/// The peer's side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Which peers.
    pub address: RemoteAddress,
    /// The peer's port for IKE.
    pub port: u16,
    /// Whether the file names that port.
    pub port_written: bool,
    /// The peer's port for IKE behind a NAT.
    pub nat_port: u16,
    /// Who the peer must be; none: its address, or anybody where the address is any.
    pub id: Option<Identity>,
}

/// Which peers a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteAddress {
    /// Any.
    Any,
    /// Those of a subnet.
    Subnet(IpNet),
    /// Those from one to another, both included.
    Range(IpAddr, IpAddr),
    /// One.
    Address(IpAddr),
    /// One on the link that this interface is at.
    LinkLocal(Ipv6Addr, String),
    /// One, by its name in the DNS; in lower case.
    Host(String),
}

impl RemoteAddress {
    /// Whether it names a peer that can be begun with.
    pub fn is_one_peer(&self) -> bool {
        match self {
            Self::Address(_) | Self::LinkLocal(..) | Self::Host(_) => true,
            Self::Any | Self::Subnet(_) | Self::Range(..) => false,
        }
    }

    /// Whether it is of IPv4; nothing where it can be of either.
    pub fn is_ipv4(&self) -> Option<bool> {
        match self {
            Self::Address(address) | Self::Range(address, _) => Some(address.is_ipv4()),
            Self::Subnet(net) => Some(net.addr().is_ipv4()),
            Self::LinkLocal(..) => Some(false),
            Self::Any | Self::Host(_) => None,
        }
    }
}

impl std::fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Subnet(net) => net.fmt(f),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
            Self::Address(address) => address.fmt(f),
            Self::LinkLocal(address, interface) => write!(f, "{address}%{interface}"),
            Self::Host(name) => f.write_str(name),
        }
    }
}

/// A way to authenticate.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A pre-shared key.
    Psk(Secret),
    /// Signatures, by certificates or raw keys.
    Signatures(Box<SignatureAuth>),
}

/// Authentication by signatures.
#[derive(Debug, Clone)]
pub struct SignatureAuth {
    /// Our key with its certificate, and whom we trust.
    pub credentials: SignatureCredentials,
    /// What our key can sign with.
    pub methods: Vec<Method>,
    /// What is asked of the peer's certificates.
    pub policy: Policy,
    /// When our certificate is sent.
    pub send_certificate: SendCertificate,
    /// The server of XAUTH signs, and its client does not.
    pub hybrid: bool,
    /// A hash over all files that were read: another one, and the way to authenticate is another.
    pub contents: [u8; 32],
}

/// `xauth`.
#[derive(Debug, Clone)]
pub enum Xauth {
    /// Who we are at the peer.
    Client(User),
    /// Whom we let in.
    Server(Vec<User>),
}

/// `exchange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// Main Mode: six messages, identities encrypted.
    Main,
    /// Aggressive Mode: three messages, identities in clear.
    Aggressive,
}

/// `retransmit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retransmit {
    /// How often, after the first sending.
    pub tries: u32,
    /// The first wait.
    pub first: Duration,
    /// By how much each wait is longer than the one before it.
    pub factor: f64,
}

/// `dpd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dpd {
    /// How long the peer may be silent before it is asked.
    pub delay: Duration,
    /// How long it may be silent before it is taken for dead.
    pub timeout: Duration,
}

/// `fragmentation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragmentation {
    /// Neither offered nor used.
    No,
    /// Used with a peer that offers it.
    Yes,
    /// Used whether or not the peer offers it.
    Force,
}

/// `encap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encap {
    /// Where a NAT is detected, and where ESP is made in user space, which the kernel carries in large pieces only
    /// within UDP.
    Auto,
    /// Where a NAT is detected.
    Nat,
    /// As if a NAT were there.
    Force,
}

/// `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// When the daemon starts, and again when it is lost.
    Auto,
    /// When the peer or `up` begins.
    Wait,
    /// When there is traffic for a child.
    OnDemand,
}

impl Config {
    /// A path of the file as it is to be opened: relative to the file's own folder.
    pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
        file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The connection of that name.
    pub fn connection(&self, name: &str) -> Option<&Connection> {
        self.connections.iter().find(|c| c.name == name)
    }

    /// Whether a connection has this data plane.
    pub fn uses(&self, plane: DataPlane) -> bool {
        self.connections.iter().any(|c| c.dataplane == plane)
    }

    /// The sockets to open, sorted, none twice.
    ///
    /// Those of `[listen]`, and those that a connection's `local` names beyond them. Without a
    /// `[listen]`, and where every connection names its local address, the latter alone: nothing is
    /// opened that no connection uses.
    pub fn listen_sockets(&self) -> Vec<ListenSocket> {
        let listen = &self.listen;
        let locals: Vec<&Local> = self.connections.iter().map(|c| &c.local).collect();
        let named_by_all = !locals.is_empty() && locals.iter().all(|l| l.address.is_some());
        let mut wanted: Vec<ListenSocket> = Vec::new();
        if listen.written || !named_by_all {
            for &address in &listen.addresses {
                wanted.extend(pair(address, listen.port, listen.nat_port));
            }
        }
        for local in locals {
            let any = local.address.is_none();
            for &address in listen
                .addresses
                .iter()
                .filter(|_| any)
                .chain(&local.address)
            {
                wanted.extend(pair(address, local.port, local.nat_port));
            }
        }
        // The wildcard of a family sorts before its other addresses, so it is there to cover them.
        wanted.sort();
        let mut sockets: Vec<ListenSocket> = Vec::new();
        for socket in wanted {
            if !sockets.iter().any(|open| open.covers(&socket)) {
                sockets.push(socket);
            }
        }
        sockets
    }
}

fn pair(address: IpAddr, port: u16, nat_port: u16) -> [ListenSocket; 2] {
    [(port, false), (nat_port, true)].map(|(port, nat)| ListenSocket {
        address: SocketAddr::new(address, port),
        nat,
    })
}

impl ListenSocket {
    /// Whether what comes to `other` comes to this one too.
    pub fn covers(&self, other: &Self) -> bool {
        self.nat == other.nat && self.collides(other)
    }

    /// Whether both cannot be bound at once.
    pub(super) fn collides(&self, other: &Self) -> bool {
        let (a, b) = (self.address, other.address);
        let same_family = a.is_ipv4() == b.is_ipv4();
        let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        same_family && overlap && a.port() == b.port()
    }
}
