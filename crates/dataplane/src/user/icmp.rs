//! "It does not fit": what the sender of a packet is told when it may not be fragmented and the path is too
//! narrow for it (RFC 1191 section 4, RFC 8201; RFC 4301 section 8).

use std::net::IpAddr;

use super::inner::{IPV4_HEADER, IPV6_HEADER, Inner, checksum};

/// Of the packet in question, IPv4: as much as a router may give (RFC 1812 section 4.3.2.3).
const QUOTED_V4: usize = 548;
/// IPv6: so much that the message has no more than 1280 bytes (RFC 4443 section 3.2).
const QUOTED_V6: usize = 1232;
/// Hops that the message may take.
const HOP_LIMIT: u8 = 64;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The message for the sender of `packet`, which is longer than `mtu` bytes. It comes from where the packet
/// went, so that it enters where that source may. `None` when there is nobody to tell: an ICMP error, or a
/// group of receivers.
pub(super) fn too_big(packet: &[u8], inner: &Inner, mtu: usize) -> Option<Vec<u8>> {
    if inner.destination.is_multicast()
        || inner.source.is_multicast()
        || inner.source.is_unspecified()
    {
        return None;
    }
    let mtu = u32::try_from(mtu).ok()?;
    match (inner.destination, inner.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header_len = usize::from(packet.first()? & 15) * 4;
            // Never about an error (RFC 1122 section 3.2.2): all types but the questions and answers.
            let kind = packet.get(header_len)?;
            if inner.protocol == ICMP && !matches!(kind, 0 | 8 | 13 | 14) {
                return None;
            }
            let quoted = &packet[..packet.len().min(QUOTED_V4)];
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
            // Destination unreachable, fragmentation needed and DF set.
            let mut message = vec![3, 4, 0, 0, 0, 0, mtu[0], mtu[1]];
            message.extend_from_slice(quoted);
            let sum = checksum(&[&message]);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let len = u16::try_from(IPV4_HEADER + message.len())
                .ok()?
                .to_be_bytes();
            let mut header = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, HOP_LIMIT, ICMP, 0, 0];
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header.extend(message);
            Some(header)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            // Errors have types below 128 (RFC 4443 section 2.1).
            if inner.protocol == ICMPV6 && *packet.get(IPV6_HEADER)? < 128 {
                return None;
            }
            let quoted = &packet[..packet.len().min(QUOTED_V6)];
            let mut message = vec![2, 0, 0, 0];
            message.extend(mtu.to_be_bytes());
            message.extend_from_slice(quoted);
            let len = u16::try_from(message.len()).ok()?.to_be_bytes();
            let pseudo = [
                &from.octets()[..],
                &to.octets(),
                &[0, 0, len[0], len[1]],
                &[0, 0, 0, ICMPV6],
            ];
            let sum = checksum(&[&pseudo.concat(), &message]);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], ICMPV6, HOP_LIMIT];
            packet.extend(from.octets());
            packet.extend(to.octets());
            packet.extend(message);
            Some(packet)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::inner::tests::udp;

    #[test]
    fn the_sender_is_told_how_much_fits_in_its_own_packets_words() {
        let big = udp("10.1.0.1", "10.2.0.9", (1, 2), 1400);
        let inner = Inner::read(&big).unwrap();
        let told = too_big(&big, &inner, 1300).unwrap();
        let read = Inner::read(&told).unwrap();
        assert_eq!(
            (read.source, read.destination),
            (inner.destination, inner.source)
        );
        assert_eq!((read.protocol, read.len), (ICMP, told.len()));
        assert_eq!(checksum(&[&told[..20]]), 0);
        assert_eq!(checksum(&[&told[20..]]), 0);
        assert_eq!(told[20..22], [3, 4]);
        assert_eq!(told[26..28], 1300_u16.to_be_bytes());
        assert_eq!(told[28..], big[..548]);
    }

    #[test]
    fn ipv6_is_told_in_1280_bytes_at_most() {
        let big = udp("2001:db8::1", "2001:db8::2", (1, 2), 1400);
        let inner = Inner::read(&big).unwrap();
        let told = too_big(&big, &inner, 1280).unwrap();
        assert_eq!(told.len(), 1280);
        assert_eq!(told[40..42], [2, 0]);
        assert_eq!(told[44..48], 1280_u32.to_be_bytes());
        let pseudo = [&told[8..40], &told[4..6], &[0, ICMPV6]].concat();
        assert_eq!(checksum(&[&pseudo, &told[40..]]), 0);
    }

    #[test]
    fn nobody_is_told_about_an_icmp_error_or_a_packet_for_a_group() {
        let big = udp("10.1.0.1", "10.2.0.9", (1, 2), 1400);
        let told = too_big(&big, &Inner::read(&big).unwrap(), 1300).unwrap();
        assert_eq!(too_big(&told, &Inner::read(&told).unwrap(), 500), None);
        let group = udp("10.1.0.1", "224.0.0.9", (1, 2), 1400);
        assert_eq!(too_big(&group, &Inner::read(&group).unwrap(), 1300), None);
    }
}
