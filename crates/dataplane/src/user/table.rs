//! Which SA a packet is for: outgoing ones by their selectors, most specific first; incoming ones by SPI.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::association::Association;
use super::inner::Inner;
use crate::{Selector, Trap};

/// SAs and traps that are installed.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) children: BTreeMap<u64, Arc<Association>>,
    by_spi: HashMap<u32, Arc<Association>>,
    /// By subnet of the remote side, the longest prefixes first.
    out: BTreeMap<Shorter, HashMap<IpAddr, Vec<Entry>>>,
    pub(super) traps: BTreeMap<String, Trap>,
    /// Installed so far: the newest of equals comes first.
    count: u64,
}

/// The length of a prefix and the IP version, sorted so that the longest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shorter {
    missing: u8,
    v6: bool,
}

struct Entry {
    association: Arc<Association>,
    rank: Rank,
}

/// What traffic belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protector {
    /// A child SA.
    Sa(u64),
    /// One that is still to be negotiated.
    Trap,
}

/// What makes one of two selectors with the same remote subnet come first: the smaller comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    local_addresses: u128,
    without_ports: u8,
    without_protocol: bool,
    age: std::cmp::Reverse<u64>,
}

impl Tables {
    pub(super) fn insert(&mut self, association: Arc<Association>) {
        self.count += 1;
        let (local, remote) = (association.local, association.remote);
        let rank = Rank {
            local_addresses: addresses(&local),
            without_ports: u8::from(local.port == 0) + u8::from(remote.port == 0),
            without_protocol: local.protocol == 0 && remote.protocol == 0,
            age: std::cmp::Reverse(self.count),
        };
        for net in remote.prefixes() {
            let nets = self.out.entry(Shorter::of(net)).or_default();
            let entries = nets.entry(net.network()).or_default();
            let at = entries.partition_point(|entry| entry.rank <= rank);
            let association = Arc::clone(&association);
            entries.insert(at, Entry { association, rank });
        }
        self.by_spi
            .insert(association.inbound_spi, Arc::clone(&association));
        self.children.insert(association.id, association);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Association>> {
        let association = self.children.remove(&id)?;
        self.by_spi.remove(&association.inbound_spi);
        for net in association.remote.prefixes() {
            let length = Shorter::of(net);
            let Some(nets) = self.out.get_mut(&length) else {
                continue;
            };
            if let Some(entries) = nets.get_mut(&net.network()) {
                entries.retain(|entry| entry.association.id != id);
                if entries.is_empty() {
                    nets.remove(&net.network());
                }
            }
            if nets.is_empty() {
                self.out.remove(&length);
            }
        }
        Some(association)
    }

    /// Whose packets carry this SPI.
    pub(super) fn by_spi(&self, spi: u32) -> Option<&Arc<Association>> {
        self.by_spi.get(&spi)
    }

    /// The SA for an outgoing packet.
    pub(super) fn select(&self, packet: &Inner) -> Option<&Arc<Association>> {
        let v6 = packet.destination.is_ipv6();
        let lengths = self.out.iter().filter(|(length, _)| length.v6 == v6);
        let nets =
            lengths.filter_map(|(length, nets)| nets.get(&length.network(packet.destination)));
        let mut entries = nets.flatten().map(|entry| &entry.association);
        let fits = |sa: &Arc<Association>| packet.fits(&sa.local, &sa.remote);
        let newest = entries.find(|association| fits(association))?;
        let before = newest.still().and_then(|id| self.children.get(&id));
        Some(before.filter(|before| fits(before)).unwrap_or(newest))
    }

    /// Whose traffic a packet is that came in the clear.
    pub(super) fn protects(&self, packet: &Inner) -> Option<Protector> {
        let mut children = self.children.values();
        let sa = children.find(|sa| packet.fits(&sa.remote, &sa.local));
        let waits = || {
            let mut traps = self.traps.values();
            traps.any(|trap| {
                let mut remotes = trap.remote_selectors.iter();
                remotes.any(|remote| {
                    let mut locals = trap.local_selectors.iter();
                    locals.any(|local| packet.fits(remote, local))
                })
            })
        };
        match sa {
            Some(sa) => Some(Protector::Sa(sa.id)),
            None => waits().then_some(Protector::Trap),
        }
    }

    /// The trap for an outgoing packet that has no SA.
    pub(super) fn trapped(&self, packet: &Inner) -> Option<&Trap> {
        self.traps.values().find(|trap| {
            let mut locals = trap.local_selectors.iter();
            locals.any(|local| {
                let mut remotes = trap.remote_selectors.iter();
                remotes.any(|remote| packet.fits(local, remote))
            })
        })
    }
}

impl Shorter {
    fn of(net: IpNet) -> Self {
        Self {
            missing: net.max_prefix_len() - net.prefix_len(),
            v6: net.addr().is_ipv6(),
        }
    }

    /// The network of this length that has the address.
    fn network(self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(self.missing.into()).unwrap_or(0);
                IpAddr::V4((u32::from(address) & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(self.missing.into()).unwrap_or(0);
                IpAddr::V6((u128::from(address) & mask).into())
            }
        }
    }
}

/// How many addresses a range has, less one.
fn addresses(selector: &Selector) -> u128 {
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    number(selector.last).saturating_sub(number(selector.first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::association::tests::{association, child};
    use crate::user::inner::tests::udp;

    fn selected(
        tables: &Tables,
        source: &str,
        destination: &str,
        ports: (u16, u16),
    ) -> Option<u64> {
        let packet = udp(source, destination, ports, 1);
        let packet = Inner::read(&packet).unwrap();
        tables.select(&packet).map(|association| association.id)
    }

    #[test]
    fn the_most_specific_selector_wins_in_whatever_order_they_came() {
        let sas = [
            (1, "10.1.0.0/16", "0.0.0.0/0", 0),
            (2, "10.1.0.0/16", "10.2.0.0/16", 0),
            (3, "10.1.0.0/16", "10.2.3.0/24", 0),
            (4, "10.1.9.0/24", "10.2.3.0/24", 0),
            (5, "10.1.9.0/24", "10.2.3.0/24", 53),
            (6, "2001:db8:1::/48", "2001:db8:2::/48", 0),
        ];
        let mut order: Vec<usize> = (0..sas.len()).collect();
        for _ in 0..sas.len() {
            order.rotate_left(1);
            let mut tables = Tables::default();
            for (id, local, remote, port) in order.iter().map(|at| sas[*at]) {
                let mut sa = child(id, local, remote, false);
                sa.remote_selector.port = port;
                sa.remote_selector.protocol = if port == 0 { 0 } else { 17 };
                tables.insert(Arc::new(association(&sa)));
            }
            let dns = (5000, 53);
            assert_eq!(selected(&tables, "10.1.9.1", "10.2.3.4", dns), Some(5));
            assert_eq!(selected(&tables, "10.1.9.1", "10.2.3.4", (1, 2)), Some(4));
            assert_eq!(selected(&tables, "10.1.0.1", "10.2.3.4", dns), Some(3));
            assert_eq!(selected(&tables, "10.1.0.1", "10.2.4.4", dns), Some(2));
            assert_eq!(selected(&tables, "10.1.0.1", "8.8.8.8", dns), Some(1));
            assert_eq!(selected(&tables, "10.9.0.1", "10.2.3.4", dns), None);
            let v6 = selected(&tables, "2001:db8:1::1", "2001:db8:2::1", dns);
            assert_eq!(v6, Some(6));
            tables.remove(3);
            assert_eq!(selected(&tables, "10.1.0.1", "10.2.3.4", dns), Some(2));
        }
    }

    #[test]
    fn a_replacement_sends_when_the_peer_has_it_and_both_receive_until_the_old_one_goes() {
        let mut tables = Tables::default();
        for id in [1, 2] {
            let mut sa = child(id, "10.1.0.0/16", "10.2.0.0/16", false);
            sa.replaces = (id == 2).then_some(1);
            tables.insert(Arc::new(association(&sa)));
        }
        let sends = |tables: &Tables| selected(tables, "10.1.0.1", "10.2.0.1", (1, 2));
        assert_eq!(sends(&tables), Some(1));
        tables.children[&2].hear();
        assert_eq!(selected(&tables, "10.1.0.1", "10.2.0.1", (1, 2)), Some(2));
        assert_eq!(tables.by_spi(0x1002).unwrap().id, 1);
        assert_eq!(tables.by_spi(0x1004).unwrap().id, 2);
        tables.remove(2);
        assert_eq!(selected(&tables, "10.1.0.1", "10.2.0.1", (1, 2)), Some(1));
        tables.remove(1);
        assert!(tables.out.is_empty() && tables.by_spi.is_empty());
    }

    #[test]
    fn a_range_is_found_by_every_address_in_it_and_no_other() {
        let mut sa = child(1, "10.1.0.0/16", "10.2.0.17/32", false);
        sa.remote_selector.last = "10.2.0.20".parse().unwrap();
        let mut tables = Tables::default();
        tables.insert(Arc::new(association(&sa)));
        for last in 0..40 {
            let found = selected(&tables, "10.1.0.1", &format!("10.2.0.{last}"), (1, 2));
            assert_eq!(found.is_some(), (17..=20).contains(&last), "{last}");
        }
    }
}
