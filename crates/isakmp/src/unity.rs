//! Nets in mode configuration, as Cisco's Unity extension has them: those that a client is to send through the tunnel
//! ([`UNITY_SPLIT_INCLUDE`](crate::config::class::UNITY_SPLIT_INCLUDE)), and those that it is to leave outside
//! ([`UNITY_LOCAL_LAN`](crate::config::class::UNITY_LOCAL_LAN)). No RFC has them; every program that speaks them has the same
//! form: for each net its address, its mask, and six bytes that all but Cisco's own client send as zero.

use std::net::Ipv4Addr;

use crate::{error::Fault, reader::Reader};

/// The bytes behind a net's mask.
const PADDING: usize = 6;

/// An IPv4 net.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Net {
    address: Ipv4Addr,
    prefix: u8,
}

impl Net {
    /// The net that shares the first `prefix` bits with an address; `None` where that is more than 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = mask(prefix)?;
        Some(Self {
            address: Ipv4Addr::from_bits(address.to_bits() & mask),
            prefix,
        })
    }

    /// Its lowest address.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// How many leading bits its addresses share, at most 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The nets of an attribute's value. Bits of an address that its mask leaves out do not count, nor do the six bytes
    /// behind a net, which the last one need not have.
    ///
    /// # Errors
    /// When it ends within a net, or a mask is none.
    pub fn parse_all(value: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut reader = Reader::new(value);
        let mut nets = Vec::new();
        while !reader.is_empty() {
            let address = Ipv4Addr::from_bits(reader.u32()?);
            let mask = reader.u32()?;
            let prefix = u8::try_from(mask.leading_ones()).unwrap_or(u8::MAX);
            let net = Self::new(address, prefix).filter(|_| self::mask(prefix) == Some(mask));
            nets.push(net.ok_or(Fault::BadMask(mask))?);
            if !reader.is_empty() {
                reader.take(PADDING)?;
            }
        }
        Ok(nets)
    }

    /// An attribute's value that names the nets.
    pub fn emit_all(nets: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        for net in nets {
            out.extend(net.address.octets());
            out.extend(mask(net.prefix).unwrap_or(u32::MAX).to_be_bytes());
            out.extend([0; PADDING]);
        }
        out
    }
}

/// The mask with so many leading ones; `None` where there are not so many bits.
fn mask(prefix: u8) -> Option<u32> {
    let hosts = 32u32.checked_sub(prefix.into())?;
    Some(u32::MAX.checked_shl(hosts).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: [u8; 4], prefix: u8) -> Net {
        Net::new(address.into(), prefix).expect("a net")
    }

    /// What strongSwan 5.9.8 sends for 10.1.0.0/16 and 10.2.1.0/24.
    const TWO: [u8; 28] = [
        10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, //
        10, 2, 1, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn nets_come_back_as_they_were_sent() {
        let two = [net([10, 1, 0, 0], 16), net([10, 2, 1, 0], 24)];
        assert_eq!(Net::parse_all(&TWO), Ok(two.to_vec()));
        assert_eq!(Net::emit_all(&two), TWO);
        assert_eq!(Net::parse_all(&[]), Ok(Vec::new()));
        for prefix in 0..=32 {
            let nets = [net([203, 0, 113, 77], prefix)];
            assert_eq!(
                Net::parse_all(&Net::emit_all(&nets)),
                Ok(nets.to_vec()),
                "/{prefix}"
            );
        }
        assert_eq!(Net::new([10, 0, 0, 0].into(), 33), None);
    }

    #[test]
    fn the_last_net_may_end_with_its_mask_and_what_is_behind_another_does_not_count() {
        assert_eq!(Net::parse_all(&TWO[..22]), Net::parse_all(&TWO));
        let mut with_port = TWO;
        with_port[9..14].copy_from_slice(&[6, 0, 0, 0, 22]);
        assert_eq!(Net::parse_all(&with_port), Net::parse_all(&TWO));
    }

    #[test]
    fn host_bits_do_not_count() {
        let mut host = TWO;
        host[2] = 7;
        host[27] = 0;
        assert_eq!(
            Net::parse_all(&host).expect("two nets")[0],
            net([10, 1, 0, 0], 16)
        );
    }

    #[test]
    fn a_value_that_ends_within_a_net_is_refused_at_every_length() {
        for length in 1..TWO.len() {
            let whole = [8, 14, 22].contains(&length);
            assert_eq!(Net::parse_all(&TWO[..length]).is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn a_mask_with_a_hole_is_refused() {
        for mask in [[255, 0, 255, 0], [0, 0, 0, 1], [127, 255, 255, 255]] {
            let mut holed = TWO;
            holed[4..8].copy_from_slice(&mask);
            assert_eq!(
                Net::parse_all(&holed),
                Err(Fault::BadMask(u32::from_be_bytes(mask)))
            );
        }
    }
}
