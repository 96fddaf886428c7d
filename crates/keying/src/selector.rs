//! Traffic selectors: which packets a child SA is for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The traffic of one side: a range of addresses, a protocol and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// The first address.
    pub first: IpAddr,
    /// The last one; of the same family, and not before the first.
    pub last: IpAddr,
    /// IP protocol; 0: any.
    pub protocol: u8,
    /// Port; 0: any.
    pub port: u16,
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn address(number: u128, bits: u32) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if bits == 32 => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

/// Whether packets of a protocol have ports, so that selectors can name one: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// All ones below the first `prefix` of `bits`.
fn host_bits(prefix: u8, bits: u32) -> u128 {
    let hosts = bits.saturating_sub(u32::from(prefix));
    1u128
        .checked_shl(hosts)
        .map_or(u128::MAX, |above| above - 1)
}

impl Selector {
    /// All traffic of one address.
    pub fn host(address: IpAddr) -> Self {
        Selector {
            first: address,
            last: address,
            protocol: 0,
            port: 0,
        }
    }

    /// All traffic of a subnet. Host bits of `network` do not count; a prefix that is too long is that
    /// of a host.
    pub fn subnet(network: IpAddr, prefix: u8) -> Self {
        let (value, bits) = number(network);
        let below = host_bits(prefix, bits);
        Selector {
            first: address(value & !below, bits),
            last: address(value | below, bits),
            protocol: 0,
            port: 0,
        }
    }

    /// All traffic of the addresses from `first` to `last`; `None` where that is no range.
    pub fn range(first: IpAddr, last: IpAddr) -> Option<Self> {
        let ((low, bits), (high, other_bits)) = (number(first), number(last));
        (bits == other_bits && low <= high).then_some(Selector {
            first,
            last,
            protocol: 0,
            port: 0,
        })
    }

    /// The same addresses with this protocol and port.
    #[must_use]
    pub fn with(self, protocol: u8, port: u16) -> Self {
        Selector {
            protocol,
            port,
            ..self
        }
    }

    /// Network and prefix, where the addresses are a whole subnet.
    pub fn as_subnet(&self) -> Option<(IpAddr, u8)> {
        let ((low, bits), (high, _)) = (number(self.first), number(self.last));
        (0..=u8::try_from(bits).unwrap_or(u8::MAX)).find_map(|prefix| {
            let below = host_bits(prefix, bits);
            (low & below == 0 && high == low | below).then_some((self.first, prefix))
        })
    }

    /// Whether it is one address.
    pub fn is_host(&self) -> bool {
        self.first == self.last
    }

    /// Whether an address is among these.
    pub fn covers(&self, address: IpAddr) -> bool {
        self.contains(&Selector::host(address).with(self.protocol, self.port))
    }

    /// Whether all of `other`'s traffic is this one's.
    pub fn contains(&self, other: &Selector) -> bool {
        self.intersect(other) == Some(*other)
    }

    /// The traffic that is both's; `None` where there is none.
    pub fn intersect(&self, other: &Selector) -> Option<Selector> {
        let ((low, bits), (high, _)) = (number(self.first), number(self.last));
        let ((other_low, other_bits), (other_high, _)) = (number(other.first), number(other.last));
        let (low, high) = (low.max(other_low), high.min(other_high));
        if bits != other_bits || low > high {
            return None;
        }
        Some(Selector {
            first: address(low, bits),
            last: address(high, bits),
            protocol: u8::try_from(both(self.protocol.into(), other.protocol.into())?).ok()?,
            port: both(self.port, other.port)?,
        })
    }
}

/// What is asked for by two that take 0 for anything; `None` where they contradict each other.
fn both(one: u16, other: u16) -> Option<u16> {
    match (one, other) {
        (0, any) | (any, 0) => Some(any),
        (one, other) => (one == other).then_some(one),
    }
}

impl fmt::Display for Selector {
    /// `10.1.0.0/16`, `10.1.0.1-10.1.0.9[6/22]`, a host as its address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_subnet() {
            _ if self.is_host() => write!(f, "{}", self.first)?,
            Some((network, prefix)) => write!(f, "{network}/{prefix}")?,
            None => write!(f, "{}-{}", self.first, self.last)?,
        }
        match (self.protocol, self.port) {
            (0, 0) => Ok(()),
            (protocol, 0) => write!(f, "[{protocol}]"),
            (protocol, port) => write!(f, "[{protocol}/{port}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str, prefix: u8) -> Selector {
        Selector::subnet(text.parse().unwrap(), prefix)
    }

    #[test]
    fn a_subnet_is_its_range_and_back() {
        for (text, prefix, shown) in [
            ("10.1.0.0", 16, "10.1.0.0/16"),
            ("10.1.2.3", 16, "10.1.0.0/16"),
            ("0.0.0.0", 0, "0.0.0.0/0"),
            ("192.0.2.7", 32, "192.0.2.7"),
            ("192.0.2.7", 99, "192.0.2.7"),
            ("2001:db8::", 32, "2001:db8::/32"),
            ("::", 0, "::/0"),
            ("2001:db8::1", 128, "2001:db8::1"),
        ] {
            assert_eq!(net(text, prefix).to_string(), shown);
        }
        let range = |a: &str, b: &str| Selector::range(a.parse().unwrap(), b.parse().unwrap());
        let odd = range("10.1.0.17", "10.1.0.20").unwrap();
        assert_eq!(odd.as_subnet(), None);
        assert_eq!(odd.with(6, 22).to_string(), "10.1.0.17-10.1.0.20[6/22]");
        assert_eq!(range("10.1.0.0", "10.1.255.255"), Some(net("10.1.0.0", 16)));
        assert_eq!(range("10.0.0.2", "10.0.0.1"), None);
        assert_eq!(range("10.0.0.2", "2001:db8::"), None);
    }

    #[test]
    fn any_protocol_or_port_takes_each_and_two_exclude_each_other() {
        let all = net("10.0.0.0", 8);
        let ssh = net("10.1.0.0", 16).with(6, 22);
        assert!(all.contains(&ssh) && !ssh.contains(&all));
        assert!(all.with(6, 0).contains(&ssh));
        assert!(!all.with(17, 0).contains(&ssh));
        assert!(!all.with(6, 80).contains(&ssh));
        assert_eq!(ssh.intersect(&all), Some(ssh));
        assert_eq!(ssh.intersect(&all.with(6, 80)), None);
        assert_eq!(all.intersect(&net("::", 0)), None);
        assert_eq!(all.intersect(&net("11.0.0.0", 8)), None);
        assert!(ssh.covers("10.1.9.9".parse().unwrap()));
        assert!(!ssh.covers("10.2.9.9".parse().unwrap()));
    }

    fn some() -> impl Strategy<Value = Selector> {
        (any::<u8>(), any::<u8>(), 0..3u8, 0..3u16).prop_map(|(a, b, protocol, port)| {
            let host = |last| IpAddr::from([10, 0, 0, last]);
            Selector::range(host(a.min(b)), host(a.max(b)))
                .unwrap()
                .with(protocol, port)
        })
    }

    proptest! {
        #[test]
        fn an_intersection_is_in_both_and_the_same_from_either_side(a in some(), b in some()) {
            prop_assert_eq!(a.intersect(&b), b.intersect(&a));
            if let Some(common) = a.intersect(&b) {
                prop_assert!(a.contains(&common) && b.contains(&common));
            }
            prop_assert!(a.contains(&a));
            prop_assert!(!a.contains(&b) || !b.contains(&a) || a == b);
        }
    }
}
