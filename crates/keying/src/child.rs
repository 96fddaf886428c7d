//! Child SAs, seen from outside: how they are configured, and what is installed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use audit::{Cause, FailurePoint, Role};
use crypto::Secret;
use crypto::esp::EspProposal;

use crate::selector::Selector;

/// How packets are put into ESP or AH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The whole packet, behind an outer header.
    Tunnel,
    /// The payload alone: for traffic of the two hosts themselves.
    Transport,
}

/// A selector of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SelectorConfig {
    /// The address that IKE itself runs from (or, of the peer, to).
    Dynamic {
        /// IP protocol; 0: any.
        protocol: u8,
        /// Port; 0: any.
        port: u16,
    },
    /// These addresses.
    Fixed(Selector),
}

impl SelectorConfig {
    /// The selector, with `address` as the side's own.
    pub fn resolve(&self, address: IpAddr) -> Selector {
        match *self {
            SelectorConfig::Dynamic { protocol, port } => {
                Selector::host(address).with(protocol, port)
            }
            SelectorConfig::Fixed(selector) => selector,
        }
    }
}

/// One child of a connection: traffic that is to be protected, and how. Each pair of a local and a
/// remote selector gets SAs of its own, since one Quick Mode carries one pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its name, unique within the connection.
    pub name: String,
    /// The number kept for the name: `TransportFilterId`, `QMFilterID`.
    pub filter_id: u64,
    /// Our side of the traffic.
    pub local: Vec<SelectorConfig>,
    /// The peer's side.
    pub remote: Vec<SelectorConfig>,
    /// Tunnel or transport.
    pub mode: Mode,
    /// What we offer and accept, the best first.
    pub proposals: Vec<EspProposal>,
    /// Whether we offer and accept IPComp with DEFLATE (RFC 3173) beside them; without it they are offered and
    /// accepted as well.
    pub compress: bool,
    /// How long an SA lives.
    pub lifetime: Duration,
    /// How many bytes an SA may carry; `None`: no limit.
    pub lifetime_bytes: Option<u64>,
    /// How many packets an SA may carry; `None`: no limit.
    pub lifetime_packets: Option<u64>,
    /// The size of the replay window, in packets.
    pub replay_window: u32,
    /// Begin with the Main Mode SA.
    pub auto: bool,
    /// What the data plane does with its SAs that is not negotiated, in any form that can be compared:
    /// another text makes it another child.
    pub plane: String,
}

impl Child {
    /// Whether SAs of the one are as good as the other's: all but when it begins is the same.
    pub(crate) fn same_sas(&self, other: &Self) -> bool {
        let bare = |child: &Self| Child {
            auto: false,
            ..child.clone()
        };
        bare(self) == bare(other)
    }
}

/// Names a child SA: the `QuickModeSaId` of its events. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildSaId(pub u64);

/// The keys of one direction.
#[derive(Clone, Debug)]
pub struct ChildKeys {
    /// The SPI in the packets of this direction.
    pub spi: u32,
    /// The cipher's key, with the salt at its end where it has one; empty for AH and without encryption.
    pub encryption: Secret,
    /// The integrity algorithm's key; empty where the cipher authenticates by itself.
    pub integrity: Secret,
}

/// What names the compression of each direction of a child SA with IPComp (RFC 3173): their CPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpis {
    /// In what the peer sends.
    pub inbound: u16,
    /// In what we send.
    pub outbound: u16,
}

impl Cpis {
    /// Where both sides have one.
    pub(crate) fn of(own: Option<u16>, peers: Option<u16>) -> Option<Self> {
        own.zip(peers)
            .map(|(inbound, outbound)| Self { inbound, outbound })
    }
}

/// A child SA, for the data plane: both directions.
#[derive(Clone, Debug)]
pub struct ChildSa {
    /// Its name.
    pub id: ChildSaId,
    /// The connection's name.
    pub connection: String,
    /// The child's name.
    pub child: String,
    /// The Main Mode SA it was negotiated under.
    pub mmsa_id: u64,
    /// Our part in the negotiation.
    pub role: Role,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Protocol and algorithms.
    pub suite: EspProposal,
    /// Our outer address. The port counts where `udp_encap` says so.
    pub local: SocketAddr,
    /// The peer's outer address. The port counts where `udp_encap` says so.
    pub remote: SocketAddr,
    /// ESP is in UDP (RFC 3948), on the ports that IKE runs on.
    pub udp_encap: bool,
    /// Our side of the traffic.
    pub local_selector: Selector,
    /// The peer's side.
    pub remote_selector: Selector,
    /// What the peer sends.
    pub inbound: ChildKeys,
    /// What we send.
    pub outbound: ChildKeys,
    /// With IPComp, by DEFLATE; `None`: without.
    pub cpis: Option<Cpis>,
    /// The size of the replay window, in packets.
    pub replay_window: u32,
    /// After so many bytes in one direction [`crate::Input::Expiring`] is due.
    pub soft_bytes: Option<u64>,
    /// After so many bytes in one direction [`crate::Input::Expired`] is due.
    pub hard_bytes: Option<u64>,
    /// After so many packets in one direction [`crate::Input::Expiring`] is due.
    pub soft_packets: Option<u64>,
    /// After so many packets in one direction [`crate::Input::Expired`] is due.
    pub hard_packets: Option<u64>,
    /// The peer's address before its NAT, for checksums in transport mode (RFC 3948 section 3.1.2).
    pub peer_original: Option<IpAddr>,
    /// Our address as the peer was given it, for the same.
    pub own_original: Option<IpAddr>,
    /// What of the peer's side this host nevertheless sends, and takes, outside of the tunnel.
    pub local_lan: Vec<Selector>,
    /// The SA that this one takes over from. It goes with a [`crate::Output::RemoveSa`] of its own.
    pub replaces: Option<ChildSaId>,
}

/// How a Quick Mode ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildVerdict {
    /// The connection.
    pub connection: String,
    /// The child, `None` where a peer's Quick Mode matched none.
    pub child: Option<String>,
    /// Our part in it.
    pub role: Role,
    /// The peer.
    pub remote: SocketAddr,
    /// Our side of the traffic that it is about and the peer's, where that is known.
    pub traffic: Option<[Selector; 2]>,
    /// The outcome.
    pub outcome: ChildOutcome,
}

/// The outcome of a Quick Mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildOutcome {
    /// A child SA stands, and is installed.
    Established {
        /// Its name.
        id: ChildSaId,
        /// Protocol and algorithms, with the group of PFS.
        suite: EspProposal,
        /// Tunnel or transport.
        mode: Mode,
        /// Our side of the traffic.
        local: Selector,
        /// The peer's side.
        remote: Selector,
        /// The SPI of what the peer sends.
        inbound_spi: u32,
        /// The SPI of what we send.
        outbound_spi: u32,
    },
    /// It failed.
    Failed {
        /// Why.
        cause: Cause,
        /// Who.
        point: FailurePoint,
        /// What was seen, beyond the cause's own words.
        detail: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_selector_is_the_sides_own_address() {
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let fixed = Selector::subnet("10.0.0.0".parse().unwrap(), 8);
        let dynamic = SelectorConfig::Dynamic {
            protocol: 6,
            port: 22,
        };
        assert_eq!(dynamic.resolve(own), Selector::host(own).with(6, 22));
        assert_eq!(SelectorConfig::Fixed(fixed).resolve(own), fixed);
    }
}
