//! Routes for the packets of this host itself: they must leave with an address of the child SA's local
//! side, or no policy will take them, and there must be some route at all.
//!
//! They go to a table of their own, in front of the main one, and carry a protocol number that tells them
//! from everybody else's. Networks that this host is connected to and that lie inside such a route's
//! destination are excepted from it, as they were when it was set: with all traffic through a tunnel, the
//! hosts next door are still next door.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use serde::{Deserialize, Serialize};

use super::claims::Owner;
use super::ledger::{Entry, Ledger};
use super::netlink::{Failure, Netlink};
use crate::held::Held;
use crate::{PlaneError, Selector};

/// `rtm_protocol` of our routes and rules: a number that iproute2's `rt_protos` does not name. `ip route
/// show table all proto 109` lists them.
pub(crate) const PROTOCOL: RouteProtocol = RouteProtocol::Other(109);

/// The metric of exceptions: above that of routes, which have the kernel's own (0, and 1024 with IPv6), so
/// that a child SA for exactly a connected network comes before the exception that another has made of it.
pub(crate) const EXCEPTION: u32 = 4096;
/// RFC 4291 section 2.5.6.
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// Where routes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// The table's number.
    pub table: u32,
    /// Priority of the rule that looks it up. The main table's is 32766, and lower numbers come first.
    pub priority: u32,
}

impl Default for RouteTable {
    /// Table 220 by a rule of priority 220, where operators of strongSwan look for it.
    fn default() -> Self {
        Self {
            table: 220,
            priority: 220,
        }
    }
}

/// One of our routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RouteKey {
    table: u32,
    destination: IpNet,
    /// `None`: the main table knows.
    through: Option<Through>,
}

impl RouteKey {
    fn exception(table: u32, destination: IpNet) -> Self {
        Self {
            table,
            destination,
            through: None,
        }
    }
}

/// How packets of a route leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Through {
    gateway: Option<IpAddr>,
    /// Its index.
    interface: u32,
    /// The address that packets leave with.
    source: IpAddr,
}

/// The rule that looks our table up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RuleKey {
    table: u32,
    priority: u32,
    v6: bool,
}

/// What is routed.
#[derive(Clone, Copy)]
pub(crate) struct Between<'a> {
    /// This side's traffic.
    pub(crate) local: &'a Selector,
    /// The peer's.
    pub(crate) remote: &'a Selector,
    /// What of the peer's is excepted, whether this host is connected to it or not.
    pub(crate) local_lan: &'a [IpNet],
}

impl Between<'_> {
    /// What is excepted from a route to a net.
    pub(crate) fn local_lan_inside(&self, net: IpNet) -> impl Iterator<Item = IpNet> {
        let inside = move |lan: &&IpNet| **lan != net && net.contains(*lan);
        self.local_lan.iter().filter(inside).copied()
    }
}

/// Our routes, and for whom they are there.
pub(super) struct Routes {
    netlink: Netlink<RouteNetlinkMessage>,
    /// None: routes are not ours to set.
    table: Option<RouteTable>,
    held: Held<RouteKey, Owner>,
}

impl Routes {
    pub(super) fn open(table: Option<RouteTable>) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open(NETLINK_ROUTE)?,
            table,
            held: Held::default(),
        })
    }

    /// Sets what this host's own packets need to get from one side's traffic to the other's by way of the
    /// peer. Nothing, when this host has no address on its side or when they find their way already.
    pub(super) fn add(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
        between: Between<'_>,
        peer: IpAddr,
    ) -> Result<(), PlaneError> {
        const DOING: &str = "setting a route";
        let Between { local, remote, .. } = between;
        let Some(table) = self.table else {
            return Ok(());
        };
        let Some(source) = address_in(&mut self.netlink, local).map_err(|f| f.during(DOING))?
        else {
            return Ok(());
        };
        for destination in remote.prefixes() {
            if self.share(table, owner, destination) {
                for lan in between.local_lan_inside(destination) {
                    self.set(ledger, owner, RouteKey::exception(table.table, lan))?;
                }
                continue;
            }
            let way = self.way_to(destination.network());
            if way.is_ok_and(|way| way.source.is_some_and(|source| local.contains(source))) {
                continue;
            }
            let way = self
                .way_to(peer)
                .map_err(|f| f.during("looking for the route to the peer"))?;
            self.rule(ledger, table, destination.addr().is_ipv6())?;
            let connected =
                connected_inside(&mut self.netlink, &destination).map_err(|f| f.during(DOING))?;
            // The exceptions first: nothing next door is to be lost for a moment.
            let local_lan = between.local_lan_inside(destination);
            for exception in connected.into_iter().chain(local_lan) {
                self.set(ledger, owner, RouteKey::exception(table.table, exception))?;
            }
            let key = RouteKey {
                table: table.table,
                destination,
                through: Some(Through {
                    // No IPv6 packet goes to a gateway of IPv4: the interface has to do, and does, since
                    // the packet is wrapped before it gets there.
                    gateway: way
                        .gateway
                        .filter(|gateway| gateway.is_ipv6() || destination.addr().is_ipv4()),
                    interface: way.interface,
                    source,
                }),
            };
            self.set(ledger, owner, key)?;
        }
        Ok(())
    }

    /// Whether there is a route of ours to that place already; then it is this owner's, too, with its
    /// exceptions.
    fn share(&mut self, table: RouteTable, owner: &Owner, destination: IpNet) -> bool {
        let there = |key: &RouteKey| key.through.is_some() && key.destination == destination;
        let first = RouteKey::exception(table.table, destination);
        let same = |key: &&RouteKey| key.destination == destination;
        if !self.held.keys_from(first).take_while(same).any(there) {
            return false;
        }
        let wanted = |key: &&RouteKey| {
            there(key) || key.through.is_none() && destination.contains(&key.destination)
        };
        let keys: Vec<RouteKey> = self.held.keys().filter(wanted).copied().collect();
        for key in keys {
            self.held.share(key, owner);
        }
        true
    }

    fn set(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
        key: RouteKey,
    ) -> Result<(), PlaneError> {
        if self.held.share(key, owner) {
            return Ok(());
        }
        ledger.add(Entry::Route(key))?;
        let request = RouteNetlinkMessage::NewRoute(route(&key));
        match self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => {
                self.held.insert(key, owner);
                Ok(())
            }
            Err(failure) => {
                ledger.remove(&Entry::Route(key))?;
                // Another program's route to the same place is left alone.
                if failure.errno() == Some(libc::EEXIST) {
                    Ok(())
                } else {
                    Err(failure.during("setting a route"))
                }
            }
        }
    }

    /// Removes the routes that are there for nobody else.
    pub(super) fn release(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
    ) -> Result<(), PlaneError> {
        let mut result = Ok(());
        for key in self.held.release(owner) {
            result = result.and(self.remove(ledger, &Entry::Route(key)));
        }
        result
    }

    /// Removes a route or rule from the kernel and the list. One that is not there is as good as removed.
    pub(super) fn remove(
        &mut self,
        ledger: &mut Ledger<Entry>,
        entry: &Entry,
    ) -> Result<(), PlaneError> {
        let request = match entry {
            Entry::Route(key) => RouteNetlinkMessage::DelRoute(route(key)),
            Entry::Rule(key) => RouteNetlinkMessage::DelRule(rule(key)),
            Entry::State { .. } | Entry::Policy { .. } => return Ok(()),
        };
        if let Err(failure) = self.netlink.request(request, 0) {
            match failure.errno() {
                // The last ones: the interface or the source address has gone, and the route with it.
                Some(
                    libc::ESRCH
                    | libc::ENOENT
                    | libc::EAFNOSUPPORT
                    | libc::ENODEV
                    | libc::EINVAL
                    | libc::ENETUNREACH
                    | libc::EHOSTUNREACH,
                ) => {}
                _ => return Err(failure.during("removing a route")),
            }
        }
        ledger.remove(entry)
    }

    fn rule(
        &mut self,
        ledger: &mut Ledger<Entry>,
        table: RouteTable,
        v6: bool,
    ) -> Result<(), PlaneError> {
        let key = RuleKey {
            table: table.table,
            priority: table.priority,
            v6,
        };
        if ledger.has(&Entry::Rule(key)) {
            return Ok(());
        }
        ledger.add(Entry::Rule(key))?;
        let request = RouteNetlinkMessage::NewRule(rule(&key));
        if let Err(failure) = self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            ledger.remove(&Entry::Rule(key))?;
            if failure.errno() != Some(libc::EEXIST) {
                return Err(failure.during("setting a routing rule"));
            }
        }
        Ok(())
    }

    /// How a packet from this host gets there now.
    fn way_to(&mut self, destination: IpAddr) -> Result<Way, Failure> {
        let mut request = RouteMessage::default();
        request.header.address_family = family(destination);
        request.header.destination_prefix_length = IpNet::from(destination).prefix_len();
        request.attributes = vec![RouteAttribute::Destination(destination.into())];
        let answers = self
            .netlink
            .request(RouteNetlinkMessage::GetRoute(request), 0)?;
        let mut way = Way::default();
        for answer in &answers {
            let RouteNetlinkMessage::NewRoute(message) = &answer.0 else {
                continue;
            };
            for attribute in &message.attributes {
                match attribute {
                    RouteAttribute::Oif(index) => way.interface = *index,
                    RouteAttribute::Gateway(address) => way.gateway = ip(address),
                    RouteAttribute::Via(RouteVia::Inet6(address)) => {
                        way.gateway = Some((*address).into());
                    }
                    RouteAttribute::PrefSource(address) => way.source = ip(address),
                    _ => {}
                }
            }
        }
        Ok(way)
    }
}

/// The networks that this host is connected to, of the main table, that are a part of a larger one.
pub(crate) fn connected_inside(
    netlink: &mut Netlink<RouteNetlinkMessage>,
    all: &IpNet,
) -> Result<BTreeSet<IpNet>, Failure> {
    let mut found = BTreeSet::new();
    // Nothing lies inside a single address, and a gateway has a route for each of its roadwarriors.
    if all.prefix_len() == all.max_prefix_len() {
        return Ok(found);
    }
    let mut request = RouteMessage::default();
    request.header.address_family = family(all.addr());
    // A kernel that checks strictly gives this table alone; others give all.
    request.header.table = RouteHeader::RT_TABLE_MAIN;
    let request = RouteNetlinkMessage::GetRoute(request);
    let answers = match netlink.request(request, NLM_F_DUMP) {
        // A host without an address has no such table.
        Err(failure) if failure.errno() == Some(libc::ENOENT) => return Ok(found),
        answers => answers?,
    };
    for answer in &answers {
        let RouteNetlinkMessage::NewRoute(message) = &answer.0 else {
            continue;
        };
        let header = &message.header;
        let direct = !message.attributes.iter().any(|attribute| {
            matches!(
                attribute,
                RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
            )
        });
        let destination = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Destination(address) => {
                    IpNet::new(ip(address)?, header.destination_prefix_length).ok()
                }
                _ => None,
            });
        let main = header.table == RouteHeader::RT_TABLE_MAIN;
        if main && direct && header.kind == RouteType::Unicast {
            let inside = destination.filter(|net| net != all && all.contains(net));
            // Of link-local addresses there is one network on every link; nothing is routed there.
            found.extend(inside.filter(|net| !IpNet::V6(LINK_LOCAL).contains(&net.addr())));
        }
    }
    Ok(found)
}

/// An address of this host that is on the local side, a global one where there is one.
pub(crate) fn address_in(
    netlink: &mut Netlink<RouteNetlinkMessage>,
    local: &Selector,
) -> Result<Option<IpAddr>, Failure> {
    let mut request = AddressMessage::default();
    request.header.family = family(local.first);
    let request = RouteNetlinkMessage::GetAddress(request);
    let mut found = None;
    for answer in netlink.request(request, NLM_F_DUMP)? {
        let RouteNetlinkMessage::NewAddress(message) = &answer.0 else {
            continue;
        };
        // IFA_LOCAL is this end's on a link with two; IPv6 has IFA_ADDRESS alone.
        let own = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
        let address = own.or_else(|| {
            message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                })
        });
        let Some(address) = address.filter(|address| local.contains(*address)) else {
            continue;
        };
        match message.header.scope {
            AddressScope::Universe => return Ok(Some(address)),
            AddressScope::Link | AddressScope::Host => {}
            _ => found = found.or(Some(address)),
        }
    }
    Ok(found)
}

#[derive(Debug, Default)]
struct Way {
    interface: u32,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
}

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn route(key: &RouteKey) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(key.destination.addr());
    message.header.destination_prefix_length = key.destination.prefix_len();
    // A number that does not fit is in the attribute alone.
    message.header.table = u8::try_from(key.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.header.protocol = PROTOCOL;
    message.attributes = vec![
        RouteAttribute::Destination(key.destination.network().into()),
        RouteAttribute::Table(key.table),
    ];
    let Some(through) = key.through else {
        message.header.kind = RouteType::Throw;
        message.attributes.push(RouteAttribute::Priority(EXCEPTION));
        return message;
    };
    message.header.kind = RouteType::Unicast;
    message.header.scope = match through.gateway {
        None if key.destination.addr().is_ipv4() => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    message.attributes.extend([
        RouteAttribute::Oif(through.interface),
        RouteAttribute::PrefSource(through.source.into()),
    ]);
    let gateway = through.gateway.map(|gateway| match gateway {
        IpAddr::V6(gateway) if key.destination.addr().is_ipv4() => {
            RouteAttribute::Via(RouteVia::Inet6(gateway))
        }
        gateway => RouteAttribute::Gateway(gateway.into()),
    });
    message.attributes.extend(gateway);
    message
}

fn rule(key: &RuleKey) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if key.v6 {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    };
    message.header.action = RuleAction::ToTable;
    message.header.table = u8::try_from(key.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.attributes = vec![
        RuleAttribute::Priority(key.priority),
        RuleAttribute::Table(key.table),
        RuleAttribute::Protocol(PROTOCOL),
    ];
    message
}
