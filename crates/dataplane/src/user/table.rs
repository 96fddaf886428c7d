//! Which SA a packet is for: outgoing ones by their selectors, most specific first, and those that traps wait for with
//! those that stand (RFC 4301 section 4.4.1); incoming ones by SPI.

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
    traps: BTreeMap<String, Arc<Trap>>,
    /// Installed so far.
    count: u64,
}

/// The length of a prefix and the IP version, sorted so that the longest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shorter {
    missing: u8,
    v6: bool,
}

struct Entry {
    local: Selector,
    remote: Selector,
    rank: Rank,
    holder: Holder,
}

#[derive(Clone)]
enum Holder {
    Sa(Arc<Association>),
    Trap(Arc<Trap>),
}

/// What traffic belongs to.
#[derive(Clone, Copy)]
pub(super) enum Protector<'a> {
    /// A child SA.
    Sa(&'a Arc<Association>),
    /// One that is still to be negotiated.
    Trap(&'a Trap),
}

/// What makes one of two selectors with the same remote subnet come first: the smaller comes first. What lies within
/// another never comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    remote_addresses: u128,
    local_addresses: u128,
    without_ports: u8,
    without_protocol: bool,
    turn: Turn,
}

/// Of equals an SA comes before the trap that stands under it; of SAs the newest, of traps the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Sa(std::cmp::Reverse<u64>),
    Trap(u64),
}

impl Tables {
    pub(super) fn insert(&mut self, association: Arc<Association>) {
        self.count += 1;
        let turn = Turn::Sa(std::cmp::Reverse(self.count));
        let (local, remote) = (association.local, association.remote);
        self.enter(local, remote, turn, &Holder::Sa(Arc::clone(&association)));
        self.by_spi
            .insert(association.inbound_spi, Arc::clone(&association));
        self.children.insert(association.id, association);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Association>> {
        let association = self.children.remove(&id)?;
        self.by_spi.remove(&association.inbound_spi);
        let holds = |holder: &Holder| matches!(holder, Holder::Sa(sa) if sa.id == id);
        self.leave(&association.remote, holds);
        Some(association)
    }

    /// Whether there is now a trap of this name that was not there before.
    pub(super) fn insert_trap(&mut self, trap: &Trap) -> bool {
        if self.traps.contains_key(&trap.name) {
            return false;
        }
        self.count += 1;
        let (trap, turn) = (Arc::new(trap.clone()), Turn::Trap(self.count));
        for local in &trap.local_selectors {
            for remote in &trap.remote_selectors {
                if local.first.is_ipv4() == remote.first.is_ipv4() {
                    self.enter(*local, *remote, turn, &Holder::Trap(Arc::clone(&trap)));
                }
            }
        }
        self.traps.insert(trap.name.clone(), trap);
        true
    }

    pub(super) fn remove_trap(&mut self, name: &str) -> Option<Arc<Trap>> {
        let trap = self.traps.remove(name)?;
        let holds = |holder: &Holder| matches!(holder, Holder::Trap(trap) if trap.name == name);
        for remote in &trap.remote_selectors {
            self.leave(remote, holds);
        }
        Some(trap)
    }

    pub(super) fn traps(&self) -> impl Iterator<Item = &String> {
        self.traps.keys()
    }

    fn enter(&mut self, local: Selector, remote: Selector, turn: Turn, holder: &Holder) {
        let rank = Rank {
            remote_addresses: remote.addresses(),
            local_addresses: local.addresses(),
            without_ports: u8::from(local.port == 0) + u8::from(remote.port == 0),
            without_protocol: local.protocol == 0 && remote.protocol == 0,
            turn,
        };
        for net in remote.prefixes() {
            let nets = self.out.entry(Shorter::of(net)).or_default();
            let entries = nets.entry(net.network()).or_default();
            let at = entries.partition_point(|entry| entry.rank <= rank);
            let entry = Entry {
                local,
                remote,
                rank,
                holder: holder.clone(),
            };
            entries.insert(at, entry);
        }
    }

    fn leave(&mut self, remote: &Selector, holds: impl Fn(&Holder) -> bool) {
        for net in remote.prefixes() {
            let length = Shorter::of(net);
            let Some(nets) = self.out.get_mut(&length) else {
                continue;
            };
            if let Some(entries) = nets.get_mut(&net.network()) {
                entries.retain(|entry| !holds(&entry.holder));
                if entries.is_empty() {
                    nets.remove(&net.network());
                }
            }
            if nets.is_empty() {
                self.out.remove(&length);
            }
        }
    }

    /// Whose packets carry this SPI.
    pub(super) fn by_spi(&self, spi: u32) -> Option<&Arc<Association>> {
        self.by_spi.get(&spi)
    }

    /// Whose traffic an outgoing packet is: where a trap is more specific than every SA, the one that it waits for.
    pub(super) fn select(&self, packet: &Inner) -> Option<Protector<'_>> {
        let v6 = packet.destination.is_ipv6();
        let lengths = self.out.iter().filter(|(length, _)| length.v6 == v6);
        let nets =
            lengths.filter_map(|(length, nets)| nets.get(&length.network(packet.destination)));
        let mut entries = nets.flatten();
        let newest = match &entries
            .find(|entry| packet.fits(&entry.local, &entry.remote))?
            .holder
        {
            Holder::Sa(newest) => newest,
            Holder::Trap(trap) => return Some(Protector::Trap(trap)),
        };
        let before = newest.still().and_then(|id| self.children.get(&id));
        let before = before.filter(|sa| packet.fits(&sa.local, &sa.remote));
        Some(Protector::Sa(before.unwrap_or(newest)))
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

#[cfg(test)]
mod tests {
    use crypto::esp::Protocol;
    use proptest::prelude::*;

    use super::*;
    use crate::Mode;
    use crate::user::association::tests::{association, child};
    use crate::user::inner::tests::udp;

    fn selected(
        tables: &Tables,
        source: &str,
        destination: &str,
        ports: (u16, u16),
    ) -> Option<u64> {
        let packet = udp(source, destination, ports, 1);
        match tables.select(&Inner::read(&packet).unwrap())? {
            Protector::Sa(sa) => Some(sa.id),
            Protector::Trap(trap) => panic!("{} asks", trap.name),
        }
    }

    /// Whose a packet is: an SA's number, or a trap's name.
    fn whose(tables: &Tables, source: &str, destination: &str) -> String {
        let words = |protector: Option<Protector<'_>>| match protector {
            Some(Protector::Sa(sa)) => sa.id.to_string(),
            Some(Protector::Trap(trap)) => trap.name.clone(),
            None => "nobody".into(),
        };
        let packet = udp(source, destination, (5000, 53), 1);
        let found = words(tables.select(&Inner::read(&packet).unwrap()));
        // What comes back in the clear is the same one's.
        let back = udp(destination, source, (53, 5000), 1);
        let back = words(tables.select(&Inner::read(&back).unwrap().answer()));
        assert_eq!(found, back);
        found
    }

    fn net(text: &str) -> Selector {
        Selector::subnet(text.parse().unwrap())
    }

    fn trap(name: &str, locals: &[Selector], remotes: &[Selector]) -> Trap {
        Trap {
            name: name.into(),
            protocol: Protocol::Esp,
            mode: Mode::Tunnel,
            compress: false,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            local_selectors: locals.to_vec(),
            remote_selectors: remotes.to_vec(),
            mark: None,
            interface_id: None,
        }
    }

    fn sa(tables: &mut Tables, id: u64, local: Selector, remote: Selector) {
        let mut sa = child(id, "10.0.0.0/8", "10.0.0.0/8", false);
        (sa.local_selector, sa.remote_selector) = (local, remote);
        tables.insert(Arc::new(association(&sa)));
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

    #[test]
    fn the_most_specific_trap_asks_in_whatever_order_they_came_and_whatever_they_are_called() {
        let here = net("10.21.0.0/16");
        for [hub, site] in [["a-hub", "b-site"], ["z-hub", "b-site"]] {
            let hub = trap(hub, &[here], &[net("10.0.0.0/8")]);
            let site = trap(site, &[here], &[net("10.1.0.0/16")]);
            for both in [[&hub, &site], [&site, &hub]] {
                let mut tables = Tables::default();
                assert!(both.map(|trap| tables.insert_trap(trap)) == [true; 2]);
                assert!(!tables.insert_trap(&hub));
                assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), site.name);
                assert_eq!(whose(&tables, "10.21.0.1", "10.2.0.1"), hub.name);
                assert_eq!(whose(&tables, "10.22.0.1", "10.2.0.1"), "nobody");
                tables.remove_trap(&site.name).unwrap();
                assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), hub.name);
                tables.remove_trap(&hub.name).unwrap();
                assert!(tables.out.is_empty() && tables.remove_trap(&hub.name).is_none());
            }
        }
    }

    #[test]
    fn what_a_trap_waits_for_goes_by_no_wider_sa() {
        let here = net("10.21.0.0/16");
        for sa_first in [true, false] {
            let mut tables = Tables::default();
            if sa_first {
                sa(&mut tables, 1, here, net("10.0.0.0/8"));
            }
            tables.insert_trap(&trap("hub", &[here], &[net("10.0.0.0/8")]));
            tables.insert_trap(&trap("site", &[here], &[net("10.1.0.0/16")]));
            if !sa_first {
                sa(&mut tables, 1, here, net("10.0.0.0/8"));
            }
            assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), "site");
            assert_eq!(whose(&tables, "10.21.0.1", "10.2.0.1"), "1");
            sa(&mut tables, 2, here, net("10.1.0.0/16"));
            assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), "2");
            tables.remove(2);
            assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), "site");
            tables.remove_trap("site");
            assert_eq!(whose(&tables, "10.21.0.1", "10.1.0.1"), "1");
        }
    }

    #[test]
    fn a_trap_stands_under_the_sas_of_its_child_also_when_it_comes_after_them() {
        let (here, there) = (net("10.1.0.0/16"), net("10.2.0.0/16"));
        let both = [there, net("10.3.0.0/16")];
        for sa_first in [true, false] {
            let mut tables = Tables::default();
            if sa_first {
                sa(&mut tables, 1, here, there);
            }
            tables.insert_trap(&trap("child", &[here], &both));
            if !sa_first {
                sa(&mut tables, 1, here, there);
            }
            assert_eq!(whose(&tables, "10.1.0.1", "10.2.0.1"), "1");
            assert_eq!(whose(&tables, "10.1.0.1", "10.3.0.1"), "child");
            tables.remove(1);
            assert_eq!(whose(&tables, "10.1.0.1", "10.2.0.1"), "child");
        }
    }

    #[test]
    fn what_a_peer_took_less_of_than_the_trap_has_goes_by_nobody_elses_sa() {
        let here = net("10.1.0.0/16");
        let mut tables = Tables::default();
        tables.insert_trap(&trap("site", &[here], &[net("10.2.0.0/16")]));
        sa(&mut tables, 1, here, net("0.0.0.0/0"));
        sa(&mut tables, 2, here, net("10.2.0.0/17"));
        sa(&mut tables, 3, net("10.1.0.0/17"), net("10.2.128.0/17"));
        assert_eq!(whose(&tables, "10.1.200.1", "10.2.0.1"), "2");
        assert_eq!(whose(&tables, "10.1.0.1", "10.2.200.1"), "3");
        assert_eq!(whose(&tables, "10.1.200.1", "10.2.200.1"), "site");
        assert_eq!(whose(&tables, "10.1.200.1", "10.3.0.1"), "1");
    }

    #[test]
    fn a_trap_for_a_part_of_a_range_is_more_specific_though_the_subnet_is_the_same() {
        let mut wide = net("10.2.0.0/23");
        wide.last = "10.2.2.255".parse().unwrap();
        let (here, nar) = (net("10.1.0.0/16"), net("10.2.0.0/23"));
        for [local, remote] in [[here, nar], [nar, here]] {
            let widened = |side| if side == nar { wide } else { side };
            let mut tables = Tables::default();
            tables.insert_trap(&trap("nar", &[local], &[remote]));
            sa(&mut tables, 1, widened(local), widened(remote));
            let to = |side: Selector| side.first.to_string();
            assert_eq!(whose(&tables, &to(local), &to(remote)), "nar");
        }
    }

    /// Selectors of which many lie within each other.
    fn side() -> impl Strategy<Value = Selector> {
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let ports = prop_oneof![Just((0, 0)), Just((17, 0)), Just((17, 53))];
        (0..12_u8, 0..12_u8, ports).prop_map(move |(a, b, (protocol, port))| Selector {
            first: address(a.min(b)),
            last: address(a.max(b)),
            protocol,
            port,
        })
    }

    fn within(inner: &Selector, outer: &Selector) -> bool {
        outer.contains(inner.first)
            && outer.contains(inner.last)
            && (outer.protocol == 0 || outer.protocol == inner.protocol)
            && (outer.port == 0 || outer.port == inner.port)
    }

    proptest! {
        #[test]
        fn no_packet_goes_where_something_else_within_that_is_for_it(
            all in prop::collection::vec((side(), side(), any::<bool>()), 1..8),
            (from, to) in (0..12_u8, 0..12_u8),
        ) {
            let mut tables = Tables::default();
            for (n, (local, remote, waits)) in all.iter().enumerate() {
                if *waits {
                    tables.insert_trap(&trap(&n.to_string(), &[*local], &[*remote]));
                } else {
                    sa(&mut tables, u64::try_from(n).unwrap(), *local, *remote);
                }
            }
            let packet = udp(&format!("10.0.0.{from}"), &format!("10.0.0.{to}"), (53, 53), 1);
            let packet = Inner::read(&packet).unwrap();
            let (at, found_waits) = match tables.select(&packet) {
                Some(Protector::Sa(sa)) => (usize::try_from(sa.id).unwrap(), false),
                Some(Protector::Trap(trap)) => (trap.name.parse().unwrap(), true),
                None => {
                    prop_assert!(!all.iter().any(|(local, remote, _)| packet.fits(local, remote)));
                    return Ok(());
                }
            };
            let (local, remote, _) = &all[at];
            prop_assert!(packet.fits(local, remote));
            for (l, r, waits) in all.iter().filter(|(l, r, _)| packet.fits(l, r)) {
                let inside = within(l, local) && within(r, remote);
                let same = inside && within(local, l) && within(remote, r);
                prop_assert!(!inside || same);
                prop_assert!(!same || *waits || !found_waits);
            }
        }
    }
}
