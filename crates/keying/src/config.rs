//! What an endpoint is told about itself and about its connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use audit::Role;
use crypto::Proposal;
use crypto::cert::{Method as SignatureMethod, Policy as CertificatePolicy};
use isakmp::unity::Net;

use crate::child::Child;
use crate::identity::Identity;
use crate::inner::Pool;

/// Names what only the policy agent holds: a pre-shared key, or the keys, certificates and trust of one way to
/// authenticate by signatures.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct CredentialId(pub u32);

/// Which peers a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAddress {
    /// Any address.
    Any,
    /// The addresses that share the first `prefix` bits with `network`.
    Subnet {
        /// The network's address.
        network: IpAddr,
        /// How many leading bits count.
        prefix: u8,
    },
    /// The addresses from one to another, both included.
    Range {
        /// The first.
        first: IpAddr,
        /// The last, of the same family.
        last: IpAddr,
    },
    /// One address.
    Host(IpAddr),
    /// One host, by its name: the addresses that [`crate::Command::Resolved`] gave it last.
    Name(String),
}

/// What host names stand for now.
pub(crate) type Names = BTreeMap<String, Vec<IpAddr>>;

impl RemoteAddress {
    /// How well `address` matches: `None` not at all, else the number of bits that had to agree.
    pub(crate) fn specificity(&self, address: IpAddr, names: &Names) -> Option<u16> {
        // One more than any subnet can have, so that a host wins over its own /32 or /128.
        const HOST: u16 = 129;
        match self {
            RemoteAddress::Any => Some(0),
            RemoteAddress::Host(host) => (*host == address).then_some(HOST),
            RemoteAddress::Name(name) => {
                let stands_for = names.get(name).is_some_and(|all| all.contains(&address));
                stands_for.then_some(HOST)
            }
            RemoteAddress::Subnet { network, prefix } => {
                same_prefix(*network, address, *prefix).then_some(u16::from(*prefix))
            }
            // As the smallest subnet that holds it.
            RemoteAddress::Range { first, last } => {
                let within =
                    first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address);
                within.then(|| common_bits(*first, *last))
            }
        }
    }
}

fn same_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let (a, b, width) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32u32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let ignored = width.saturating_sub(u32::from(prefix));
    ignored >= width || (a ^ b) >> ignored == 0
}

/// How many leading bits two addresses of one family share.
fn common_bits(a: IpAddr, b: IpAddr) -> u16 {
    let bits = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    };
    bits.try_into().unwrap_or(0)
}

/// When messages are sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retransmit {
    /// How often, after the first sending.
    pub tries: u32,
    /// The first wait.
    pub first: Duration,
    /// By how much each wait is longer than the one before it.
    pub factor: f64,
}

/// Dead peer detection (RFC 3706).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpd {
    /// How long the peer may be silent before it is asked.
    pub delay: Duration,
    /// How long it may be silent before it is taken for dead.
    pub timeout: Duration,
}

/// Whether messages are cut into IKE fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragmentation {
    /// Neither offered nor used. Fragments that come are put together all the same.
    No,
    /// Offered, and used with a peer that offers it.
    Yes,
    /// Used whether or not the peer offers it.
    Force,
}

/// A way for both sides to prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A pre-shared key (RFC 2409 section 5.4).
    Psk(CredentialId),
    /// Signatures, each side with a key of its own (RFC 2409 section 5.1, RFC 4754).
    Signatures(Signatures),
}

/// Authentication by signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// Our keys and certificates, and whom we trust.
    pub credential: CredentialId,
    /// What may be negotiated, the best first.
    pub methods: Vec<SignatureMethod>,
    /// The CAs that we ask the peer for, each a subject in DER; none: a request that names none.
    pub authorities: Vec<Vec<u8>>,
    /// Whether we ask the peer for its certificate; not where all that we trust is known here already.
    pub request: bool,
    /// When we send our own certificate.
    pub send_certificate: SendCertificate,
    /// What is asked of the peer's certificates.
    pub policy: CertificatePolicy,
    /// Hybrid authentication (draft-ietf-ipsec-isakmp-hybrid-auth-05): the server of XAUTH signs, its client does
    /// not. Only with XAUTH.
    pub hybrid: bool,
}

/// A user name and a password after phase 1 (XAUTH, draft-beaulieu-ike-xauth-02), and our part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xauth {
    /// We name a user, whom the credential has with the password.
    Client(CredentialId),
    /// The peer has to name one of the users that the credential has.
    Server {
        /// The users and their passwords.
        users: CredentialId,
        /// Their names: which of several connections a user is for.
        names: Vec<String>,
    },
}

/// When our certificate is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendCertificate {
    /// To a peer that asks for one.
    IfAsked,
    /// Always.
    Always,
    /// Never: the peer has it.
    Never,
}

/// Mode Config (draft-dukes-ike-mode-cfg-02), and our part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeConfig {
    /// We are given addresses within the tunnel.
    Client(ConfigClient),
    /// The peer is.
    Server(ConfigServer),
}

/// What a client of Mode Config wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "wishes of their own, each there or not whatever the others are"
)]
pub struct ConfigClient {
    /// An IPv4 address.
    pub v4: bool,
    /// An IPv6 address.
    pub v6: bool,
    /// Which nets the tunnel is for, and which not (Cisco Unity). What children have of others is not negotiated.
    pub unity: bool,
    /// The server begins; else we do.
    pub push: bool,
}

/// What a server of Mode Config has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigServer {
    /// Where addresses come from; of each family the first pool that has one left.
    pub pools: Vec<Pool>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// NetBIOS name servers.
    pub nbns: Vec<IpAddr>,
    /// Nets that a client is to send through the tunnel, and no others (Cisco Unity); none: it is not told.
    pub split_include: Vec<Net>,
    /// Nets that a client is to leave outside of the tunnel (Cisco Unity).
    pub local_lan: Vec<Net>,
    /// We begin; else the client does.
    pub push: bool,
}

/// One connection.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "settings of their own, each on or off whatever the others are"
)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The number kept for the name: `MMFilterID`.
    pub filter_id: u64,
    /// Our address; `None` where any of ours will do.
    pub local_address: Option<IpAddr>,
    /// Our port for IKE over the non-ESP marker (4500).
    pub local_nat_port: u16,
    /// Which peers.
    pub remote_address: RemoteAddress,
    /// The peer's IKE port; a preference when a peer's connection is looked for.
    pub remote_port: u16,
    /// The peer's port for IKE over the non-ESP marker.
    pub remote_nat_port: u16,
    /// Who we are; `None`: our address.
    pub local_id: Option<Identity>,
    /// Who the peer must be; `None`: its address, or anybody where the address is any.
    pub remote_id: Option<Identity>,
    /// How both sides prove who they are, in order of preference.
    pub auth: Vec<Auth>,
    /// A user name and a password, asked for once both sides have proven who they are.
    pub xauth: Option<Xauth>,
    /// Addresses within the tunnel; what a dynamic selector stands for then.
    pub mode_config: Option<ModeConfig>,
    /// What we offer and accept, the best first.
    pub proposals: Vec<Proposal>,
    /// How long a Main Mode SA lives.
    pub lifetime: Duration,
    /// How many bytes of IKE's messages a Main Mode SA may carry; `None`: no limit.
    pub lifetime_bytes: Option<u64>,
    /// When messages are sent again.
    pub retransmit: Retransmit,
    /// How long a responder waits for the initiator's next message.
    pub half_open_timeout: Duration,
    /// How long unproven evidence waits for something proven.
    pub evidence_hold: Duration,
    /// Dead peer detection; `None`: no probes.
    pub dpd: Option<Dpd>,
    /// IKE fragmentation.
    pub fragmentation: Fragmentation,
    /// The largest UDP payload that is sent whole, in bytes.
    pub fragment_size: usize,
    /// Behave as if a NAT were there.
    pub force_encap: bool,
    /// How often something keeps the mapping of a NAT before us (RFC 3948 section 4).
    pub nat_keepalive: Duration,
    /// Whether we may begin negotiations (`start` other than `wait`), a replacement included.
    pub may_initiate: bool,
    /// Whether the peer may not: its first message gets a verdict and no answer.
    pub initiator_only: bool,
    /// For Aggressive Mode, not for Main Mode, whoever begins. With a pre-shared key whoever hears one negotiation
    /// can try keys at leisure.
    pub aggressive: bool,
    /// What is protected; none: Main Mode alone, and a peer's Quick Mode is refused.
    pub children: Vec<Arc<Child>>,
}

impl Connection {
    /// Whether Main Mode SAs of the one are as good as the other's: all but the children, who may begin, and which
    /// addresses are given out, is the same.
    pub(crate) fn same_main_mode(&self, other: &Self) -> bool {
        let bare = |connection: &Self| Connection {
            may_initiate: false,
            initiator_only: false,
            children: Vec::new(),
            mode_config: connection
                .mode_config
                .clone()
                .map(ModeConfig::without_addresses),
            ..connection.clone()
        };
        bare(self) == bare(other)
    }
}

/// What an endpoint is told once.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Our ports for IKE with the non-ESP marker: what comes there without it is ESP.
    pub nat_ports: Vec<u16>,
    /// The seed of cookies, nonces, message IDs, IVs and jitter: 32 bytes of the operating system's.
    pub seed: [u8; 32],
}

impl ModeConfig {
    /// What of it a peer that has an address does not see change.
    fn without_addresses(self) -> Self {
        match self {
            ModeConfig::Client(client) => ModeConfig::Client(client),
            ModeConfig::Server(server) => ModeConfig::Server(ConfigServer {
                pools: Vec::new(),
                dns: Vec::new(),
                nbns: Vec::new(),
                ..server
            }),
        }
    }

    /// Where peers get addresses from.
    pub(crate) fn pools(&self) -> &[Pool] {
        match self {
            ModeConfig::Client(_) => &[],
            ModeConfig::Server(server) => &server.pools,
        }
    }

    /// Whether it is about nets, which both sides have to say that they know of (Cisco Unity).
    pub(crate) fn has_nets(&self) -> bool {
        match self {
            ModeConfig::Client(client) => client.unity,
            ModeConfig::Server(server) => {
                !(server.split_include.is_empty() && server.local_lan.is_empty())
            }
        }
    }
}

impl Connection {
    /// The pre-shared key.
    pub(crate) fn psk(&self) -> Option<CredentialId> {
        self.auth.iter().find_map(|auth| match auth {
            Auth::Psk(credential) => Some(*credential),
            Auth::Signatures(_) => None,
        })
    }

    /// The keys and the trust for a method of signing.
    pub(crate) fn signatures(&self, method: SignatureMethod) -> Option<&Signatures> {
        self.auth.iter().find_map(|auth| match auth {
            Auth::Signatures(signatures) if signatures.methods.contains(&method) => {
                Some(signatures)
            }
            Auth::Signatures(_) | Auth::Psk(_) => None,
        })
    }

    /// Which role of phase 1 the client of XAUTH has, where we have `own`.
    pub(crate) fn xauth_client(&self, own: Role) -> Option<Role> {
        let other = match own {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        };
        self.xauth.as_ref().map(|xauth| match xauth {
            Xauth::Client(_) => own,
            Xauth::Server { .. } => other,
        })
    }
}

/// A connection that may be for a peer.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub connection: Arc<Connection>,
    /// Its pre-shared key may be used: that goes by address, before an identity is known, so that of the
    /// connections that have one only the most specific count, and all that are left share it.
    pub by_psk: bool,
}

/// The connections that may be for a peer, those that fit best first.
pub(crate) fn candidates(
    connections: &[Arc<Connection>],
    names: &Names,
    local: IpAddr,
    remote: IpAddr,
    remote_port: u16,
) -> Vec<Candidate> {
    let mut found: Vec<_> = connections
        .iter()
        .filter(|c| c.local_address.is_none_or(|address| address == local))
        .filter_map(|c| {
            let specificity = c.remote_address.specificity(remote, names)?;
            Some((specificity, c.remote_port == remote_port, c))
        })
        .collect();
    let psk = found
        .iter()
        .filter(|(_, _, c)| c.psk().is_some())
        .map(|(specificity, _, _)| *specificity)
        .max();
    // Those that name the peer's port come first among equals.
    found.sort_by_key(|(specificity, port, _)| std::cmp::Reverse((*specificity, *port)));
    found
        .into_iter()
        .map(|(specificity, _, c)| Candidate {
            connection: c.clone(),
            by_psk: Some(specificity) == psk,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_more_specific_than_its_own_subnet_and_that_than_any() {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let other: IpAddr = "192.0.2.8".parse().unwrap();
        let none = Names::new();
        let fits = |remote: &RemoteAddress| remote.specificity(address, &none);
        let subnet = |text: &str, prefix| RemoteAddress::Subnet {
            network: text.parse().unwrap(),
            prefix,
        };
        let host = RemoteAddress::Host(address);
        assert!(fits(&host) > fits(&subnet("192.0.2.7", 32)));
        assert!(fits(&subnet("192.0.2.0", 24)) > fits(&subnet("192.0.0.0", 16)));
        assert!(fits(&subnet("0.0.0.0", 0)) >= fits(&RemoteAddress::Any));
        assert_eq!(fits(&subnet("192.0.3.0", 24)), None);
        assert_eq!(fits(&subnet("::", 0)), None);
        assert_eq!(fits(&RemoteAddress::Host(other)), None);
    }

    #[test]
    fn a_range_fits_from_its_first_address_to_its_last_and_as_its_smallest_subnet_does() {
        let none = Names::new();
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let range = RemoteAddress::Range {
            first: address("192.0.2.5"),
            last: address("192.0.2.9"),
        };
        let fits = |text: &str| range.specificity(address(text), &none);
        assert_eq!(["192.0.2.4", "192.0.2.10", "::5"].map(fits), [None; 3]);
        assert_eq!(["192.0.2.5", "192.0.2.9"].map(fits), [Some(28); 2]);
        let subnet = RemoteAddress::Subnet {
            network: address("192.0.2.0"),
            prefix: 28,
        };
        let within = subnet.specificity(address("192.0.2.7"), &none);
        assert_eq!(fits("192.0.2.7"), within);
    }

    #[test]
    fn a_name_fits_the_addresses_that_it_stands_for_as_well_as_they_would_themselves() {
        let [one, two, three] = [7, 8, 9].map(|last| IpAddr::from([192, 0, 2, last]));
        let name = RemoteAddress::Name("gw.example".to_owned());
        let mut names = Names::new();
        assert_eq!(name.specificity(one, &names), None);
        names.insert("gw.example".to_owned(), vec![one, two]);
        let host = RemoteAddress::Host(two).specificity(two, &names);
        assert_eq!(name.specificity(two, &names), host);
        assert_eq!(name.specificity(one, &names), host);
        assert_eq!(name.specificity(three, &names), None);
    }
}
