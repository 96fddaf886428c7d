//! Which traffic: a range of addresses, a protocol and a port, as ID payloads of Quick Mode say it
//! (RFC 2407 section 4.6.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use crate::PlaneError;

/// One side's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest, of the same IP version; the same for one host.
    pub last: IpAddr,
    /// The protocol in the IP header; 0: any.
    pub protocol: u8,
    /// The port of TCP, UDP and their like; 0: any.
    pub port: u16,
}

impl Selector {
    /// Every protocol and port of a subnet.
    pub fn subnet(net: IpNet) -> Self {
        let net = net.trunc();
        let last = match net {
            IpNet::V4(net) => IpAddr::V4(net.broadcast()),
            IpNet::V6(net) => IpAddr::V6(net.broadcast()),
        };
        Self {
            first: net.network(),
            last,
            protocol: 0,
            port: 0,
        }
    }

    /// Every protocol and port of one host.
    pub fn host(address: IpAddr) -> Self {
        Self::subnet(address.into())
    }

    /// All traffic of IP version 4.
    pub fn any_v4() -> Self {
        Self::subnet(IpNet::new_assert(Ipv4Addr::UNSPECIFIED.into(), 0))
    }

    /// All traffic of IP version 6.
    pub fn any_v6() -> Self {
        Self::subnet(IpNet::new_assert(Ipv6Addr::UNSPECIFIED.into(), 0))
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// The subnet that has exactly these addresses, when there is one.
    pub fn as_subnet(&self) -> Option<IpNet> {
        let mut prefixes = self.prefixes();
        let first = prefixes.next()?;
        prefixes.next().is_none().then_some(first)
    }

    /// The fewest subnets that have exactly these addresses, in order: at most 62 of IP version 4, 254 of
    /// version 6. None at all when the range is no range.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + use<> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                Some(IpSubnets::V4(Ipv4Subnets::new(first, last, 0)))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                Some(IpSubnets::V6(Ipv6Subnets::new(first, last, 0)))
            }
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// How many addresses it has, less one.
    pub(crate) fn addresses(&self) -> u128 {
        let number = |address| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        number(self.last).saturating_sub(number(self.first))
    }

    /// Whether the two can be the two sides of one traffic.
    pub(crate) fn check_against(&self, other: &Self) -> Result<(), PlaneError> {
        let fault = |what: String| Err(PlaneError::Invalid { what });
        for side in [self, other] {
            if side.prefixes().next().is_none() {
                return fault(format!("{} to {} is no range", side.first, side.last));
            }
        }
        if self.first.is_ipv4() != other.first.is_ipv4() {
            return fault(format!("{self} and {other} are of two IP versions"));
        }
        if self.protocol != other.protocol && self.protocol != 0 && other.protocol != 0 {
            return fault(format!("{self} and {other} are of two protocols"));
        }
        Ok(())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_subnet() {
            Some(net) => write!(f, "{net}")?,
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
    use super::*;

    fn range(first: &str, last: &str) -> Selector {
        Selector {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            protocol: 0,
            port: 0,
        }
    }

    fn prefixes(selector: &Selector) -> Vec<String> {
        selector.prefixes().map(|net| net.to_string()).collect()
    }

    #[test]
    fn a_range_is_the_fewest_subnets_that_cover_it_exactly() {
        assert_eq!(
            prefixes(&range("10.1.0.0", "10.1.255.255")),
            ["10.1.0.0/16"]
        );
        assert_eq!(
            prefixes(&range("10.1.0.1", "10.1.0.6")),
            ["10.1.0.1/32", "10.1.0.2/31", "10.1.0.4/31", "10.1.0.6/32"]
        );
        assert_eq!(prefixes(&Selector::any_v4()), ["0.0.0.0/0"]);
        assert_eq!(prefixes(&Selector::any_v6()), ["::/0"]);
        assert_eq!(prefixes(&range("0.0.0.1", "255.255.255.254")).len(), 62);
        let all_but_ends = range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
        assert_eq!(prefixes(&all_but_ends).len(), 254);
    }

    #[test]
    fn what_is_no_range_has_no_subnets_and_is_refused() {
        for bad in [range("10.0.0.2", "10.0.0.1"), range("10.0.0.1", "::1")] {
            assert!(prefixes(&bad).is_empty());
            let error = bad.check_against(&Selector::any_v4()).unwrap_err();
            assert!(error.to_string().contains("is no range"), "{error}");
        }
    }

    #[test]
    fn two_sides_are_of_one_ip_version_and_one_protocol() {
        let mut tcp = Selector::any_v4();
        tcp.protocol = 6;
        let mut udp = Selector::any_v4();
        udp.protocol = 17;
        assert!(tcp.check_against(&Selector::any_v4()).is_ok());
        assert!(tcp.check_against(&udp).is_err());
        assert!(
            Selector::any_v4()
                .check_against(&Selector::any_v6())
                .is_err()
        );
    }

    #[test]
    fn a_selector_is_shown_as_operators_write_it() {
        assert_eq!(
            Selector::host("10.1.0.1".parse().unwrap()).to_string(),
            "10.1.0.1/32"
        );
        let mut web = Selector::subnet("2001:db8::/32".parse().unwrap());
        (web.protocol, web.port) = (6, 443);
        assert_eq!(web.to_string(), "2001:db8::/32[6/443]");
        assert_eq!(
            range("10.0.0.1", "10.0.0.2").to_string(),
            "10.0.0.1-10.0.0.2"
        );
        assert!(web.contains("2001:db8::7".parse().unwrap()));
        assert!(!web.contains("10.0.0.1".parse().unwrap()));
    }
}
