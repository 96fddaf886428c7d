//! Packets as they are inside of ESP: just enough of IPv4 and IPv6 to select an SA, to carry ECN across
//! (RFC 6040), and to know what may be fragmented.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Selector;

/// IPv6 extension headers that are walked past; more is nobody's honest packet.
const MAX_EXTENSIONS: usize = 8;
/// Header lengths.
pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const FRAGMENT: u8 = 44;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// What was read off a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// What the packet carries, behind IPv6's extension headers.
    pub(super) protocol: u8,
    /// Source and destination port, where the protocol has them and the packet shows them: later
    /// fragments do not.
    pub(super) ports: Option<(u16, u16)>,
    /// The octet of DSCP and ECN.
    pub(super) traffic_class: u8,
    /// The whole packet's length, as its header says.
    pub(super) len: usize,
    /// It must not be fragmented on its way: IPv4's DF, and all of IPv6.
    pub(super) whole: bool,
}

impl Inner {
    /// Reads a packet; there may be more bytes than it has. `None` for what is no IP packet, or is not all
    /// there.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::read_v4(packet),
            6 => Self::read_v6(packet),
            _ => None,
        }
    }

    fn read_v4(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<IPV4_HEADER>()?;
        let header_len = usize::from(header[0] & 15) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < IPV4_HEADER || len < header_len || len > packet.len() {
            return None;
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        let first = fragment << 3 == 0;
        let payload = packet.get(header_len..len)?;
        Some(Self {
            source: Ipv4Addr::from_octets(*header[12..].first_chunk()?).into(),
            destination: Ipv4Addr::from_octets(*header[16..].first_chunk()?).into(),
            protocol: header[9],
            ports: if first {
                ports(header[9], payload)
            } else {
                None
            },
            traffic_class: header[1],
            len,
            whole: fragment & 0x4000 != 0,
        })
    }

    fn read_v6(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<IPV6_HEADER>()?;
        let len = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let (mut protocol, mut at, mut first) = (header[6], IPV6_HEADER, true);
        for _ in 0..MAX_EXTENSIONS {
            // RFC 8200 section 4: hop-by-hop, routing, destination options, and fragment.
            if !matches!(protocol, 0 | 43 | 60 | FRAGMENT) || !first {
                break;
            }
            let extension = packet.get(at..len)?.first_chunk::<4>()?;
            let length = if protocol == FRAGMENT {
                first = u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8 == 0;
                8
            } else {
                8 + usize::from(extension[1]) * 8
            };
            (protocol, at) = (extension[0], at + length);
        }
        let payload = packet.get(..len)?.get(at..)?;
        Some(Self {
            source: Ipv6Addr::from_octets(*header[8..].first_chunk()?).into(),
            destination: Ipv6Addr::from_octets(*header[24..].first_chunk()?).into(),
            protocol,
            ports: if first {
                ports(protocol, payload)
            } else {
                None
            },
            traffic_class: header[0] << 4 | header[1] >> 4,
            len,
            whole: true,
        })
    }

    /// What goes the other way and belongs to the same traffic.
    pub(super) fn answer(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: self.ports.map(|(from, to)| (to, from)),
            ..*self
        }
    }

    /// Whether it goes from one side's traffic to the other's.
    pub(super) fn fits(&self, from: &Selector, to: &Selector) -> bool {
        from.contains(self.source)
            && to.contains(self.destination)
            && [from, to]
                .iter()
                .all(|side| side.protocol == 0 || side.protocol == self.protocol)
            && (from.port == 0 || self.ports.is_some_and(|(port, _)| port == from.port))
            && (to.port == 0 || self.ports.is_some_and(|(_, port)| port == to.port))
    }
}

fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    if !matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE) {
        return None;
    }
    let [a, b, c, d] = *payload.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The ECN field's values (RFC 3168 section 5).
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// What the inner packet's ECN field becomes when a packet leaves a tunnel (RFC 6040 section 4.2); `None`
/// when the packet must be dropped: somebody was congested, and the sender does not listen.
fn ecn_out_of_tunnel(outer: u8, inner: u8) -> Option<u8> {
    match (outer & 3, inner & 3) {
        (CE, NOT_ECT) => None,
        (CE, _) => Some(CE),
        (ECT_1, ECT_0) => Some(ECT_1),
        (_, inner) => Some(inner),
    }
}

/// Carries congestion that the outer header tells of into a packet that [`Inner::read`] has taken. `None`
/// when it must be dropped.
pub(super) fn carry_ecn(packet: &mut [u8], traffic_class: u8, outer: u8) -> Option<()> {
    let ecn = ecn_out_of_tunnel(outer, traffic_class)?;
    let new = traffic_class & !3 | ecn;
    if new != traffic_class {
        if packet[0] >> 4 == 4 {
            packet[1] = new;
            let sum = u16::from_be_bytes([packet[10], packet[11]]);
            let sum = adjusted(sum, traffic_class.into(), new.into());
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            packet[0] = packet[0] & 0xf0 | new >> 4;
            packet[1] = packet[1] & 0x0f | new << 4;
        }
    }
    Some(())
}

/// A checksum after one of its words has changed (RFC 1624, equation 3).
fn adjusted(sum: u16, old: u16, new: u16) -> u16 {
    !fold(u32::from(!sum) + u32::from(!old) + u32::from(new))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    // Folded into 16 bits above.
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The Internet checksum (RFC 1071) of all parts, of which all but the last have even lengths. For the few
/// bytes of headers and ICMP messages.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |b| u32::from(*b)));
    !fold(sum.sum())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A UDP packet of these addresses, ports and length of payload.
    pub(crate) fn udp(
        source: &str,
        destination: &str,
        ports: (u16, u16),
        payload: usize,
    ) -> Vec<u8> {
        let (source, destination): (IpAddr, IpAddr) =
            (source.parse().unwrap(), destination.parse().unwrap());
        let len = u16::try_from(8 + payload).unwrap();
        let mut packet = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, UDP, 0, 0];
                header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
                header.extend(source.octets());
                header.extend(destination.octets());
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 0, UDP, 64];
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            _ => panic!("two versions"),
        };
        packet.extend(ports.0.to_be_bytes());
        packet.extend(ports.1.to_be_bytes());
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend((0..payload).map(|i| u8::try_from(i % 251).unwrap()));
        packet
    }

    #[test]
    fn a_packet_of_either_version_shows_what_selects_an_sa() {
        let v4 = Inner::read(&udp("10.1.0.1", "10.2.0.9", (5000, 53), 100)).unwrap();
        assert_eq!(
            (v4.protocol, v4.ports, v4.len, v4.whole),
            (17, Some((5000, 53)), 128, true)
        );
        let v6 = Inner::read(&udp("2001:db8::1", "2001:db8::2", (1, 2), 0)).unwrap();
        assert_eq!(
            (v6.protocol, v6.ports, v6.len, v6.whole),
            (17, Some((1, 2)), 48, true)
        );
        assert_eq!(v6.destination, "2001:db8::2".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn ports_are_found_behind_extension_headers_and_not_in_later_fragments() {
        let plain = udp("2001:db8::1", "2001:db8::2", (7, 9), 4);
        let with = |extensions: &[u8], next: u8| {
            let mut packet = plain.clone();
            packet.splice(40..40, extensions.iter().copied());
            packet[6] = next;
            let len = u16::try_from(packet.len() - 40).unwrap();
            packet[4..6].copy_from_slice(&len.to_be_bytes());
            Inner::read(&packet).unwrap()
        };
        let options = with(&[60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0], 0);
        assert_eq!((options.protocol, options.ports), (17, Some((7, 9))));
        let first = with(&[17, 0, 0, 1, 0, 0, 0, 1], FRAGMENT);
        assert_eq!((first.protocol, first.ports), (17, Some((7, 9))));
        let later = with(&[17, 0, 0, 8, 0, 0, 0, 1], FRAGMENT);
        assert_eq!((later.protocol, later.ports), (17, None));
        let mut v4 = udp("10.0.0.1", "10.0.0.2", (7, 9), 4);
        v4[7] = 1;
        assert_eq!(Inner::read(&v4).unwrap().ports, None);
    }

    #[test]
    fn selectors_are_asked_for_addresses_protocol_and_ports() {
        let packet = Inner::read(&udp("10.1.0.1", "10.2.0.9", (5000, 53), 10)).unwrap();
        let net = |text: &str| Selector::subnet(text.parse().unwrap());
        let (mut here, mut there) = (net("10.1.0.0/16"), net("10.2.0.0/16"));
        assert!(packet.fits(&here, &there));
        assert!(!packet.fits(&there, &here));
        (there.protocol, there.port) = (17, 53);
        assert!(packet.fits(&here, &there));
        here.port = 4999;
        assert!(!packet.fits(&here, &there));
        there.protocol = 6;
        here.port = 0;
        assert!(!packet.fits(&here, &there));
    }

    #[test]
    fn ecn_leaves_a_tunnel_as_rfc_6040_has_it() {
        // Figure 4, rows: inner not-ECT, ECT(0), ECT(1), CE; columns: the outer's, in the same order.
        let figure = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ];
        for (inner, row) in figure {
            for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                assert_eq!(ecn_out_of_tunnel(outer, inner), expected, "{outer} {inner}");
            }
        }
    }

    #[test]
    fn a_packet_whose_ecn_was_changed_still_has_a_right_checksum() {
        for (source, destination) in [("10.1.0.1", "10.2.0.1"), ("2001:db8::1", "2001:db8::2")] {
            let mut packet = udp(source, destination, (1, 2), 20);
            let class = 0xb8 | ECT_0;
            if packet[0] >> 4 == 4 {
                packet[1] = class;
                packet[10..12].fill(0);
                let sum = checksum(&[&packet[..20]]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
            } else {
                packet[0] |= class >> 4;
                packet[1] |= class << 4;
            }
            carry_ecn(&mut packet, class, CE).unwrap();
            assert_eq!(Inner::read(&packet).unwrap().traffic_class, 0xb8 | CE);
            if packet[0] >> 4 == 4 {
                assert_eq!(checksum(&[&packet[..20]]), 0);
            }
            assert_eq!(carry_ecn(&mut packet, NOT_ECT, CE), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(
            version in prop_oneof![Just(0x45_u8), Just(0x4f), Just(0x60), any::<u8>()],
            mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            if let Some(inner) = Inner::read(&bytes) {
                prop_assert!(inner.len <= bytes.len() && inner.len >= IPV4_HEADER);
            }
        }
    }
}
