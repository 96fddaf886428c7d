//! What happened in Quick Mode: its negotiations, and the IPsec SAs that they make.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{FailurePoint, KeyMod, Role, reason};
use crate::cause::Cause;
use crate::words::Word;

/// `TunnelId` and `TrafficSelectorId`: Windows numbers its virtual interfaces for version 2 of IKE alone.
const NO_VIRTUAL_INTERFACE: &str = "0";

/// What is written for a text that there is not.
const ABSENT: &str = "-";

/// How an IPsec SA carries traffic: `Mode`, and the tunnel's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is agreed yet.
    Unknown,
    /// From host to host.
    Transport,
    /// In a tunnel between two gateways.
    Tunnel {
        /// Our end: the outer address.
        local: IpAddr,
        /// The peer's end: the outer address.
        remote: IpAddr,
    },
}

impl Mode {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            Mode::Unknown => "%%8211",
            Mode::Transport => "%%8212",
            Mode::Tunnel { .. } => "%%8213",
        }
    }

    /// `LocalTunnelEndpoint` and `RemoteTunnelEndpoint`.
    fn endpoints(self) -> [String; 2] {
        match self {
            Mode::Tunnel { local, remote } => [local.to_string(), remote.to_string()],
            Mode::Unknown | Mode::Transport => [ABSENT.to_owned(), ABSENT.to_owned()],
        }
    }
}

/// How far a Quick Mode came: `State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QmState {
    /// We sent nothing yet.
    None,
    /// We sent our first message, with the SA payload: message 1 or message 2.
    SentFirst,
    /// We sent our last message: message 3, or the responder's CONNECTED after a commit bit.
    SentFinal,
    /// Both sides have all of it.
    Complete,
}

impl QmState {
    /// As stored.
    pub fn word(self) -> Word {
        match self {
            QmState::None => "%%8207",
            QmState::SentFirst => "%%8208",
            QmState::SentFinal => "%%8209",
            QmState::Complete => "%%8210",
        }
    }
}

/// One side of the traffic that an IPsec SA carries: a subnet, and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrafficEnd {
    address: IpAddr,
    prefix: u8,
    port: u16,
}

impl TrafficEnd {
    /// The addresses from `first` to `last`, and a port, 0 for any. A range that is no subnet stands as
    /// the smallest subnet that holds it, since an event has a mask and no second address. Of two
    /// addresses that are not of one family the first one counts.
    pub fn new(first: IpAddr, last: IpAddr, port: u16) -> Self {
        let (first_bits, last_bits, width) = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            (IpAddr::V4(a), IpAddr::V6(_)) => {
                let bits = u128::from(a.to_bits());
                (bits, bits, 32)
            }
            (IpAddr::V6(a), IpAddr::V4(_)) => (a.to_bits(), a.to_bits(), 128),
        };
        let differing = 128 - (first_bits ^ last_bits).leading_zeros();
        let base = first_bits & !ones(differing);
        let address = match first {
            // What is cut off is zero: the address had 32 bits.
            IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(base).unwrap_or_default()).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(base).into(),
        };
        Self {
            address,
            prefix: u8::try_from(width - differing).unwrap_or_default(),
            port,
        }
    }

    /// A subnet by the length of its prefix, and a port, 0 for any. A length that is none of the family
    /// is the whole address.
    pub fn subnet(address: IpAddr, prefix: u8, port: u16) -> Self {
        let host = |width: u32| width.saturating_sub(u32::from(prefix));
        let last: IpAddr = match address {
            IpAddr::V4(first) => {
                let bits = u32::try_from(ones(host(32))).unwrap_or(u32::MAX);
                Ipv4Addr::from_bits(first.to_bits() | bits).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | ones(host(128))).into(),
        };
        Self::new(address, last, port)
    }

    /// One host.
    pub fn host(address: IpAddr, port: u16) -> Self {
        Self::new(address, address, port)
    }

    /// The first address of the subnet.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The length of the subnet's prefix in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The port, 0 for any.
    pub fn port(self) -> u16 {
        self.port
    }

    /// The mask as Windows writes it: as an address.
    fn mask(self) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => {
                let host = 32_u32.saturating_sub(u32::from(self.prefix));
                let bits = !u32::try_from(ones(host)).unwrap_or(u32::MAX);
                Ipv4Addr::from_bits(bits).into()
            }
            IpAddr::V6(_) => {
                let host = 128_u32.saturating_sub(u32::from(self.prefix));
                Ipv6Addr::from_bits(!ones(host)).into()
            }
        }
    }
}

/// So many bits that are one, at the low end.
fn ones(count: u32) -> u128 {
    u128::MAX.checked_shr(128 - count.min(128)).unwrap_or(0)
}

/// 5451: an IPsec SA was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuickModeEstablished {
    /// Our side of the traffic.
    pub local: TrafficEnd,
    /// The peer's side of the traffic.
    pub remote: TrafficEnd,
    /// The peer's address behind its NAT, when it said it (NAT-OA, RFC 3947 section 5.2).
    pub peer_private: Option<IpAddr>,
    /// The IP protocol of the traffic, 0 for any.
    pub protocol: u8,
    /// The keying module.
    pub key_mod: KeyMod,
    /// The integrity algorithm of AH, as stored; `%%8229` without AH.
    pub ah_auth: Word,
    /// The integrity algorithm of ESP, as stored: `%%8242`.
    pub esp_auth: Word,
    /// The cipher of ESP, as stored: `%%8237`.
    pub cipher: Word,
    /// The SA's lifetime; written in seconds, rounded up.
    pub lifetime: Duration,
    /// How many kilobytes it may carry; `None` for no limit.
    pub lifetime_kilobytes: Option<u64>,
    /// How many packets it may carry; `None` for no limit.
    pub lifetime_packets: Option<u64>,
    /// How it carries them.
    pub mode: Mode,
    /// Our part in its negotiation.
    pub role: Role,
    /// The number kept for the child's name, 0 without one.
    pub filter_id: u64,
    /// The number of the Main Mode SA under which it was made.
    pub mmsa_id: u64,
    /// The IPsec SA's number.
    pub qmsa_id: u64,
    /// The SPI of packets to us.
    pub inbound_spi: u32,
    /// The SPI of packets to the peer.
    pub outbound_spi: u32,
}

/// 5452: an IPsec SA ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuickModeEnded {
    /// Our side of the traffic.
    pub local: TrafficEnd,
    /// The peer's side of the traffic.
    pub remote: TrafficEnd,
    /// How it carried it.
    pub mode: Mode,
    /// The IP protocol of the traffic, 0 for any.
    pub protocol: u8,
    /// The IPsec SA's number, as in its 5451.
    pub qmsa_id: u64,
}

/// 4654: a Quick Mode negotiation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuickModeFailed {
    /// Our side of the traffic; our own address while nothing is known of it.
    pub local: TrafficEnd,
    /// The peer's side of the traffic; its own address while nothing is known of it.
    pub remote: TrafficEnd,
    /// The IP protocol of the traffic, 0 for any.
    pub protocol: u8,
    /// The peer's address behind its NAT, when it said it (NAT-OA, RFC 3947 section 5.2).
    pub peer_private: Option<IpAddr>,
    /// The keying module.
    pub key_mod: KeyMod,
    /// Who found the fault.
    pub point: FailurePoint,
    /// Why it failed.
    pub cause: Cause,
    /// How the SA would have carried traffic.
    pub mode: Mode,
    /// Our end of the Main Mode SA, and the peer's: those of a tunnel, should it have become one.
    pub ends: [IpAddr; 2],
    /// How far it came.
    pub state: QmState,
    /// Our part in it.
    pub role: Role,
    /// The message ID of the exchange.
    pub message_id: u32,
    /// The number kept for the child's name, 0 when no child matched.
    pub filter_id: u64,
    /// The number of the Main Mode SA under which it ran.
    pub mmsa_id: u64,
}

/// 5049: an IPsec SA was deleted by either side; stands beside its 5452.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpsecSaDeleted {
    /// The IPsec SA's number, as in its 5451.
    pub qmsa_id: u64,
    /// The child's name in the configuration.
    pub child: String,
}

impl QuickModeEstablished {
    pub(super) fn into_values(self) -> Vec<String> {
        let [local_endpoint, remote_endpoint] = self.mode.endpoints();
        vec![
            self.local.address.to_string(),
            self.local.mask().to_string(),
            self.local.port.to_string(),
            local_endpoint,
            self.remote.address.to_string(),
            self.remote.mask().to_string(),
            self.remote.port.to_string(),
            address(self.peer_private),
            remote_endpoint,
            self.protocol.to_string(),
            self.key_mod.word().to_owned(),
            self.ah_auth.to_owned(),
            self.esp_auth.to_owned(),
            self.cipher.to_owned(),
            limit(Some(seconds(self.lifetime))),
            limit(self.lifetime_kilobytes),
            limit(self.lifetime_packets),
            self.mode.word().to_owned(),
            self.role.word().to_owned(),
            self.filter_id.to_string(),
            self.mmsa_id.to_string(),
            self.qmsa_id.to_string(),
            self.inbound_spi.to_string(),
            self.outbound_spi.to_string(),
            NO_VIRTUAL_INTERFACE.to_owned(),
            NO_VIRTUAL_INTERFACE.to_owned(),
        ]
    }
}

impl QuickModeEnded {
    pub(super) fn into_values(self) -> Vec<String> {
        let [local_endpoint, remote_endpoint] = self.mode.endpoints();
        vec![
            self.local.address.to_string(),
            self.local.port.to_string(),
            local_endpoint,
            self.remote.address.to_string(),
            self.remote.port.to_string(),
            remote_endpoint,
            self.protocol.to_string(),
            self.qmsa_id.to_string(),
            NO_VIRTUAL_INTERFACE.to_owned(),
            NO_VIRTUAL_INTERFACE.to_owned(),
        ]
    }
}

impl QuickModeFailed {
    pub(super) fn into_values(self) -> Vec<String> {
        // What the peer asks for is no address of its own: without these nothing would tell who it was.
        let [local_endpoint, remote_endpoint] = match self.mode {
            Mode::Unknown => self.ends.map(|end| end.to_string()),
            known => known.endpoints(),
        };
        vec![
            self.local.address.to_string(),
            self.local.mask().to_string(),
            self.local.port.to_string(),
            local_endpoint,
            self.remote.address.to_string(),
            self.remote.mask().to_string(),
            self.remote.port.to_string(),
            remote_endpoint,
            self.protocol.to_string(),
            address(self.peer_private),
            self.key_mod.word().to_owned(),
            self.point.word().to_owned(),
            reason(self.cause).text().to_owned(),
            self.mode.word().to_owned(),
            self.state.word().to_owned(),
            self.role.word().to_owned(),
            self.message_id.to_string(),
            self.filter_id.to_string(),
            self.mmsa_id.to_string(),
            NO_VIRTUAL_INTERFACE.to_owned(),
            NO_VIRTUAL_INTERFACE.to_owned(),
        ]
    }
}

impl IpsecSaDeleted {
    pub(super) fn into_values(self) -> Vec<String> {
        vec![ABSENT.to_owned(), self.qmsa_id.to_string(), self.child]
    }
}

fn address(address: Option<IpAddr>) -> String {
    address.map_or_else(|| ABSENT.to_owned(), |address| address.to_string())
}

/// Whole seconds, rounded up.
fn seconds(lifetime: Duration) -> u64 {
    lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0)
}

/// A lifetime of any unit: no limit is 0, and what a `UInt32` cannot hold is its largest value.
fn limit(limit: Option<u64>) -> String {
    u32::try_from(limit.unwrap_or(0))
        .unwrap_or(u32::MAX)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(first: &str, last: &str) -> (String, String) {
        let end = TrafficEnd::new(first.parse().unwrap(), last.parse().unwrap(), 0);
        (end.address.to_string(), end.mask().to_string())
    }

    #[test]
    fn subnets_stand_with_their_masks_and_ranges_with_the_least_subnet_around_them() {
        for (first, last, address, mask) in [
            ("10.1.0.0", "10.1.255.255", "10.1.0.0", "255.255.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", "255.255.255.255"),
            ("0.0.0.0", "255.255.255.255", "0.0.0.0", "0.0.0.0"),
            ("10.1.0.17", "10.1.0.20", "10.1.0.16", "255.255.255.248"),
            ("127.255.255.255", "128.0.0.0", "0.0.0.0", "0.0.0.0"),
            (
                "2001:db8::",
                "2001:db8::ffff",
                "2001:db8::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0",
            ),
            (
                "2001:db8::",
                "2001:db8:0:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::",
                "ffff:ffff:ffff::",
            ),
            (
                "::1",
                "::1",
                "::1",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::", "::"),
            ("192.0.2.7", "2001:db8::1", "192.0.2.7", "255.255.255.255"),
        ] {
            assert_eq!(shown(first, last), (address.to_owned(), mask.to_owned()));
        }
    }

    #[test]
    fn limits_that_a_field_cannot_hold_are_the_largest_that_it_can() {
        assert_eq!(limit(None), "0");
        assert_eq!(limit(Some(3600)), "3600");
        assert_eq!(limit(Some(u64::MAX)), "4294967295");
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_hours(1)), 3600);
    }
}
