//! Selectors on the wire, as ID payloads (RFC 2407 section 4.6.2), and which child of ours they are for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use audit::Cause;
use isakmp::{IdType, Identification};

use crate::child::{Child, Mode, SelectorConfig};
use crate::ikev1::negotiation::Failure;
use crate::ikev1::unity::Nets;
use crate::inner::Inner;
use crate::limits::MAX_SELECTOR_PAIRS;
use crate::selector::{Selector, has_ports};

/// Our side's traffic and the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub local: Selector,
    pub remote: Selector,
}

impl Pair {
    fn contains(&self, other: &Pair) -> bool {
        self.local.contains(&other.local) && self.remote.contains(&other.remote)
    }

    fn intersect(&self, other: &Pair) -> Option<Pair> {
        Some(Pair {
            local: self.local.intersect(&other.local)?,
            remote: self.remote.intersect(&other.remote)?,
        })
    }

    /// What is left of an offer when the answer has these: the same or less; `None` where it has more.
    pub(crate) fn narrowed(&self, answer: &Pair) -> Option<Pair> {
        self.contains(answer).then_some(*answer)
    }
}

/// The outer addresses of a Main Mode SA, and whether a NAT is between them.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub local: IpAddr,
    pub remote: IpAddr,
    pub nat: bool,
    /// Our addresses within the tunnel, where Mode Config gave us some.
    pub inner_local: Inner,
    /// The peer's.
    pub inner_remote: Inner,
    /// Which nets the peer says that the tunnel is for.
    pub nets: Nets,
}

impl Ends {
    /// The traffic of the two addresses themselves: what absent IDs stand for (RFC 2409 section 5.5).
    pub(crate) fn own(&self) -> Pair {
        Pair {
            local: Selector::host(self.local),
            remote: Selector::host(self.remote),
        }
    }

    /// What IDs mean in a mode. In transport mode behind a NAT each side names addresses that the other
    /// does not see: what is meant is the two that IKE runs between, with protocol and port as told
    /// (RFC 3947 section 5.2). No address that a peer says is believed there.
    pub(crate) fn meant(&self, told: Pair, mode: Mode) -> Pair {
        if mode == Mode::Tunnel || !self.nat {
            return told;
        }
        let one = |address: IpAddr, told: Selector| {
            if told.is_host() {
                Selector::host(address).with(told.protocol, told.port)
            } else {
                told
            }
        };
        Pair {
            local: one(self.local, told.local),
            remote: one(self.remote, told.remote),
        }
    }
}

/// One side's selectors: dynamic ones are for its addresses within the tunnel, or else for its own.
fn resolved(selectors: &[SelectorConfig], inner: Inner, outer: IpAddr) -> Vec<Selector> {
    let mut own = inner.all();
    if own.is_empty() {
        own.push(outer);
    }
    let mut all = Vec::new();
    for selector in selectors {
        match selector {
            SelectorConfig::Dynamic { .. } => {
                all.extend(own.iter().map(|address| selector.resolve(*address)));
            }
            SelectorConfig::Fixed(selector) => all.push(*selector),
        }
    }
    all
}

/// Every pair of a child's selectors, each once.
pub(crate) fn pairs(child: &Child, ends: &Ends) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let locals = resolved(&child.local, ends.inner_local, ends.local);
    let remotes = resolved(&child.remote, ends.inner_remote, ends.remote);
    let remotes = ends.nets.narrow(remotes);
    for local in locals {
        for remote in &remotes {
            let pair = Pair {
                local,
                remote: *remote,
            };
            let of_one_family = pair.local.first.is_ipv4() == pair.remote.first.is_ipv4();
            if of_one_family && !pairs.contains(&pair) && pairs.len() < MAX_SELECTOR_PAIRS {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// How well a child fits a peer's selectors; the lesser the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// They are one of its pairs.
    Exact,
    /// They lie within one.
    Within,
    /// They overlap with one, and are narrowed to that.
    Narrowed,
}

/// A child that a peer's Quick Mode may be for.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub child: Arc<Child>,
    /// What the SA will be for.
    pub pair: Pair,
    /// Less than what the peer asked for: it is to be told.
    pub narrowed: bool,
}

/// The children that a peer's selectors fit, the best first; each with its best pair.
pub(crate) fn candidates(children: &[Arc<Child>], ends: &Ends, told: Pair) -> Vec<Candidate> {
    let mut found: Vec<(Fit, Candidate)> = Vec::new();
    for child in children {
        let wanted = ends.meant(told, child.mode);
        let best = pairs(child, ends)
            .into_iter()
            .filter_map(|pair| {
                let common = pair.intersect(&wanted)?;
                let fit = if pair == wanted {
                    Fit::Exact
                } else if common == wanted {
                    Fit::Within
                } else {
                    Fit::Narrowed
                };
                Some((fit, common))
            })
            .min_by_key(|(fit, _)| *fit);
        if let Some((fit, pair)) = best {
            let candidate = Candidate {
                child: child.clone(),
                pair,
                narrowed: fit == Fit::Narrowed,
            };
            found.push((fit, candidate));
        }
    }
    found.sort_by_key(|(fit, _)| *fit);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The ID payload that says a selector: an address, a subnet, or a range.
pub(crate) fn identification(selector: &Selector) -> Identification {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let v4 = selector.first.is_ipv4();
    let (id_type, data) = if selector.is_host() {
        let kind = if v4 {
            IdType::IPV4_ADDR
        } else {
            IdType::IPV6_ADDR
        };
        (kind, bytes(selector.first))
    } else if let Some((network, prefix)) = selector.as_subnet() {
        let kind = if v4 {
            IdType::IPV4_ADDR_SUBNET
        } else {
            IdType::IPV6_ADDR_SUBNET
        };
        let mut data = bytes(network);
        data.extend(bytes(mask(prefix, v4)));
        (kind, data)
    } else {
        let kind = if v4 {
            IdType::IPV4_ADDR_RANGE
        } else {
            IdType::IPV6_ADDR_RANGE
        };
        let mut data = bytes(selector.first);
        data.extend(bytes(selector.last));
        (kind, data)
    };
    Identification {
        id_type,
        protocol: selector.protocol,
        port: selector.port,
        data,
    }
}

fn mask(prefix: u8, v4: bool) -> IpAddr {
    let shift = u32::from(prefix);
    if v4 {
        let below = u32::MAX.checked_shr(shift).unwrap_or(0);
        Ipv4Addr::from_bits(!below).into()
    } else {
        let below = u128::MAX.checked_shr(shift).unwrap_or(0);
        Ipv6Addr::from_bits(!below).into()
    }
}

/// The prefix of a mask; `None` where its ones are not all in front.
fn prefix(mask: IpAddr) -> Option<u8> {
    let (ones, zeros, bits) = match mask {
        IpAddr::V4(mask) => (
            mask.to_bits().leading_ones(),
            mask.to_bits().trailing_zeros(),
            32,
        ),
        IpAddr::V6(mask) => (
            mask.to_bits().leading_ones(),
            mask.to_bits().trailing_zeros(),
            128,
        ),
    };
    (ones + zeros.min(bits) == bits).then(|| u8::try_from(ones).ok())?
}

/// The selector that an ID payload says.
pub(crate) fn selector(id: &Identification) -> Result<Selector, Failure> {
    let malformed = |why: &str| Failure::local(Cause::MalformedId).with(why.to_owned());
    if id.protocol == 0 && id.port != 0 {
        return Err(malformed("an ID names a port and no protocol"));
    }
    if id.port != 0 && !has_ports(id.protocol) {
        let (port, protocol) = (id.port, id.protocol);
        return Err(Failure::local(Cause::UnsupportedSelector).with(format!(
            "the peer's ID has {port} for the port of protocol {protocol}, which has none"
        )));
    }
    let found = match id.id_type {
        IdType::IPV4_ADDR | IdType::IPV6_ADDR => id.address().map(Selector::host),
        IdType::IPV4_ADDR_SUBNET | IdType::IPV6_ADDR_SUBNET => {
            let (network, mask) =
                two(&id.data).ok_or_else(|| malformed("an ID of a wrong length"))?;
            let prefix = prefix(mask)
                .ok_or_else(|| malformed("the mask of a subnet has ones behind its first zero"))?;
            Some(Selector::subnet(network, prefix))
        }
        IdType::IPV4_ADDR_RANGE | IdType::IPV6_ADDR_RANGE => {
            let (first, last) =
                two(&id.data).ok_or_else(|| malformed("an ID of a wrong length"))?;
            let range = Selector::range(first, last)
                .ok_or_else(|| malformed("a range ends before it begins"))?;
            Some(range)
        }
        other => {
            return Err(Failure::local(Cause::UnsupportedSelector)
                .with(format!("the peer's ID is of type {other}")));
        }
    };
    found
        .map(|selector| selector.with(id.protocol, id.port))
        .ok_or_else(|| malformed("an ID of a wrong length"))
}

/// Two addresses of one family, one behind the other.
fn two(data: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if let Ok([a, b, c, d, e, f, g, h]) = <[u8; 8]>::try_from(data) {
        return Some(([a, b, c, d].into(), [e, f, g, h].into()));
    }
    let (first, second) = data.split_at_checked(16)?;
    let address = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
    Some((address(first)?, address(second)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::child::SelectorConfig;

    fn net(text: &str, prefix: u8) -> Selector {
        Selector::subnet(text.parse().unwrap(), prefix)
    }

    fn child(name: &str, mode: Mode, local: &[Selector], remote: &[Selector]) -> Arc<Child> {
        let fixed = |list: &[Selector]| list.iter().copied().map(SelectorConfig::Fixed).collect();
        Arc::new(Child {
            name: name.to_owned(),
            filter_id: 1,
            local: fixed(local),
            remote: fixed(remote),
            mode,
            proposals: Vec::new(),
            compress: false,
            lifetime: Duration::from_hours(1),
            lifetime_bytes: None,
            lifetime_packets: None,
            replay_window: 64,
            auto: false,
            plane: String::new(),
        })
    }

    fn ends(nat: bool) -> Ends {
        Ends {
            inner_local: Inner::default(),
            inner_remote: Inner::default(),
            nets: Nets::default(),
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            nat,
        }
    }

    fn pair(local: Selector, remote: Selector) -> Pair {
        Pair { local, remote }
    }

    #[test]
    fn the_child_that_fits_best_comes_first_and_one_that_does_not_fit_is_none() {
        let all = child(
            "all",
            Mode::Tunnel,
            &[net("10.0.0.0", 8)],
            &[net("10.0.0.0", 8)],
        );
        let some = child(
            "some",
            Mode::Tunnel,
            &[net("10.1.0.0", 16)],
            &[net("10.2.0.0", 16)],
        );
        let part = child(
            "part",
            Mode::Tunnel,
            &[net("10.1.0.0", 24)],
            &[net("10.2.0.0", 24)],
        );
        let other = child(
            "other",
            Mode::Tunnel,
            &[net("172.16.0.0", 12)],
            &[net("10.2.0.0", 16)],
        );
        let children = [part, other, all, some];
        let told = pair(net("10.1.0.0", 16), net("10.2.0.0", 16));
        let found = candidates(&children, &ends(false), told);
        let names: Vec<&str> = found.iter().map(|c| c.child.name.as_str()).collect();
        assert_eq!(names, ["some", "all", "part"]);
        assert!(!found[1].narrowed && found[1].pair == told);
        assert!(found[2].narrowed);
        assert_eq!(
            found[2].pair,
            pair(net("10.1.0.0", 24), net("10.2.0.0", 24))
        );
        let none = candidates(
            &children,
            &ends(false),
            pair(net("10.1.0.0", 16), net("192.168.0.0", 16)),
        );
        assert!(none.is_empty());
    }

    #[test]
    fn nothing_is_wider_than_the_child_whatever_the_peer_asks_for() {
        let ours = pair(net("10.1.0.0", 16).with(6, 22), net("10.2.0.0", 16));
        let child = child("ssh", Mode::Tunnel, &[ours.local], &[ours.remote]);
        for told in [
            pair(net("0.0.0.0", 0), net("0.0.0.0", 0)),
            pair(net("10.1.0.0", 16), net("10.2.0.0", 15)),
            pair(net("10.0.0.0", 8).with(6, 0), net("10.2.3.0", 24)),
        ] {
            let found = candidates(std::slice::from_ref(&child), &ends(false), told);
            assert!(ours.contains(&found[0].pair), "{told:?}");
            assert!(found[0].narrowed);
        }
        for told in [
            pair(net("10.1.0.0", 16).with(17, 0), net("10.2.0.0", 16)),
            pair(net("::", 0), net("::", 0)),
        ] {
            assert!(candidates(std::slice::from_ref(&child), &ends(false), told).is_empty());
        }
    }

    #[test]
    fn behind_a_nat_transport_mode_is_between_the_addresses_that_ike_sees() {
        let dynamic = SelectorConfig::Dynamic {
            protocol: 0,
            port: 0,
        };
        let mut own = (*child("own", Mode::Transport, &[], &[])).clone();
        own.local = vec![dynamic];
        own.remote = vec![dynamic];
        let private = pair(
            Selector::host("192.0.2.1".parse().unwrap()),
            Selector::host("10.0.0.5".parse().unwrap()).with(6, 80),
        );
        let found = candidates(&[Arc::new(own.clone())], &ends(true), private);
        assert_eq!(
            found[0].pair.remote,
            Selector::host(ends(true).remote).with(6, 80)
        );
        assert!(candidates(&[Arc::new(own.clone())], &ends(false), private).is_empty());
        own.mode = Mode::Tunnel;
        assert!(candidates(&[Arc::new(own)], &ends(true), private).is_empty());
    }

    #[test]
    fn each_pair_of_a_childs_selectors_is_one() {
        let nets = [
            net("10.1.0.0", 16),
            net("10.2.0.0", 16),
            net("10.1.0.0", 16),
        ];
        let both = child(
            "net",
            Mode::Tunnel,
            &nets,
            &[net("10.9.0.0", 16), net("fc00::", 7)],
        );
        assert_eq!(pairs(&both, &ends(false)).len(), 2);
    }

    #[test]
    fn an_id_that_holds_no_addresses_is_refused_with_its_reason() {
        let id = |kind: u8, data: &[u8]| Identification {
            id_type: IdType(kind),
            protocol: 0,
            port: 0,
            data: data.to_vec(),
        };
        let cause = |id: &Identification| selector(id).unwrap_err().cause;
        for kind in [2, 3, 9, 10, 11, 0, 12, 255] {
            assert_eq!(cause(&id(kind, b"gw.example")), Cause::UnsupportedSelector);
        }
        assert_eq!(
            cause(&id(4, &[10, 0, 0, 0, 255, 0, 255, 0])),
            Cause::MalformedId
        );
        assert_eq!(
            cause(&id(7, &[10, 0, 0, 2, 10, 0, 0, 1])),
            Cause::MalformedId
        );
        assert_eq!(cause(&id(1, &[10, 0, 0])), Cause::MalformedId);
        assert_eq!(cause(&id(8, &[10; 31])), Cause::MalformedId);
        let port = Identification {
            port: 80,
            ..id(1, &[10, 0, 0, 1])
        };
        assert_eq!(cause(&port), Cause::MalformedId);
        let all = id(4, &[0; 8]);
        assert_eq!(selector(&all).unwrap(), net("0.0.0.0", 0));
    }

    proptest! {
        #[test]
        fn what_an_id_says_is_what_was_meant(
            a in any::<u128>(), b in any::<u128>(), v4: bool, protocol in 1u8.., port: u16
        ) {
            let (low, high) = (a.min(b), a.max(b));
            let address = |n: u128| if v4 {
                IpAddr::from(u32::try_from(n >> 96).unwrap().to_be_bytes())
            } else {
                IpAddr::from(n.to_be_bytes())
            };
            let meant = Selector::range(address(low), address(high)).unwrap().with(protocol, port);
            let read = selector(&identification(&meant));
            if port == 0 || has_ports(protocol) {
                prop_assert_eq!(read, Ok(meant));
            } else {
                prop_assert_eq!(read.unwrap_err().cause, Cause::UnsupportedSelector);
            }
            let subnet = Selector::subnet(address(low), protocol % 129);
            prop_assert_eq!(selector(&identification(&subnet)), Ok(subnet));
        }
    }
}
