//! Routes into the tunnels, and past them for what the tunnels are made of.
//!
//! What goes to a peer's side is routed to the TUN device, in a table of its own. The rule that looks the
//! table up leaves out what carries our mark: IKE and ESP themselves. So a peer whose own address is in its
//! selector is still reached. The device's routes go with it, whatever happens to us; the rule, and a
//! reverse-path filter that had to be loosened, stand in the list that the next start clears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use serde::{Deserialize, Serialize};

use crate::kernel::ledger::Ledger;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{PROTOCOL, address_in, family};
use crate::{Mark, PlaneError, RouteTable, Selector};

/// `rp_filter`: what comes in must come by the way that leads back (RFC 3704 section 2.2).
const STRICT: u8 = 1;
/// `rp_filter`: there must be some way back.
const LOOSE: u8 = 2;

/// Whose route it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Child(u64),
    Trap(String),
}

/// What outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Entry {
    /// The rule that looks our table up for everything without our mark.
    Rule {
        table: u32,
        priority: u32,
        mark: Mark,
        v6: bool,
    },
    /// An interface's `rp_filter`, as it was before.
    Filter { interface: u32, before: u8 },
}

pub(super) struct Ways {
    netlink: Netlink<RouteNetlinkMessage>,
    ledger: Ledger<Entry>,
    /// None: routes are not ours to set.
    table: Option<RouteTable>,
    mark: Mark,
    /// The TUN device.
    device: u32,
    held: BTreeMap<IpNet, BTreeSet<Owner>>,
}

impl Ways {
    /// Opens the list and undoes what it holds: a crash has left it.
    pub(super) fn open(
        state_file: &Path,
        table: Option<RouteTable>,
        mark: Mark,
    ) -> Result<Self, PlaneError> {
        let netlink = Netlink::open(NETLINK_ROUTE).map_err(|source| PlaneError::Kernel {
            doing: "opening the kernel's routes",
            message: None,
            source,
        })?;
        let mut ways = Self {
            netlink,
            ledger: Ledger::open(state_file)?,
            table,
            mark,
            device: 0,
            held: BTreeMap::new(),
        };
        ways.undo()?;
        Ok(ways)
    }

    pub(super) fn set_device(&mut self, device: u32) {
        self.device = device;
    }

    /// Leads what goes to the remote side into the device.
    pub(super) fn add(
        &mut self,
        owner: &Owner,
        local: &Selector,
        remote: &Selector,
        peer: IpAddr,
    ) -> Result<(), PlaneError> {
        const DOING: &str = "setting a route into the tunnel";
        let Some(table) = self.table else {
            return Ok(());
        };
        let source = address_in(&mut self.netlink, local).map_err(|f| f.during(DOING))?;
        self.rule(table, remote.first.is_ipv6())?;
        if remote.contains(peer) {
            self.loosen(peer)?;
        }
        for net in remote.prefixes() {
            let owners = self.held.entry(net).or_default();
            owners.insert(owner.clone());
            if owners.len() > 1 {
                continue;
            }
            let request =
                RouteNetlinkMessage::NewRoute(route(table.table, net, self.device, source));
            if let Err(failure) = self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
                self.held.remove(&net);
                return Err(failure.during(DOING));
            }
        }
        Ok(())
    }

    /// Removes the routes that are there for nobody else.
    pub(super) fn release(&mut self, owner: &Owner) -> Result<(), PlaneError> {
        let Some(table) = self.table else {
            return Ok(());
        };
        let mut result = Ok(());
        for (net, owners) in &mut self.held {
            if owners.remove(owner) && owners.is_empty() {
                let message = route(table.table, *net, self.device, None);
                let request = RouteNetlinkMessage::DelRoute(message);
                result = result.and(match self.netlink.request(request, 0) {
                    Err(failure) if !gone(failure.errno()) => {
                        Err(failure.during("removing a route into the tunnel"))
                    }
                    _ => Ok(()),
                });
            }
        }
        self.held.retain(|_, owners| !owners.is_empty());
        result
    }

    /// Undoes what outlives the process.
    pub(super) fn undo(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        for entry in self.ledger.entries() {
            let undone = match entry {
                Entry::Rule { .. } => {
                    let request = RouteNetlinkMessage::DelRule(rule(&entry));
                    match self.netlink.request(request, 0) {
                        Err(failure) if !gone(failure.errno()) => {
                            Err(failure.during("removing a routing rule"))
                        }
                        _ => Ok(()),
                    }
                }
                Entry::Filter { interface, before } => {
                    // Somebody who has set it meanwhile has the last word; so has who removed the interface.
                    match filter_of(interface).filter(|file| read(file) == Some(LOOSE)) {
                        Some(file) => write(&file, before),
                        None => Ok(()),
                    }
                }
            };
            result = result.and(undone).and(self.ledger.remove(&entry));
        }
        result
    }

    fn rule(&mut self, table: RouteTable, v6: bool) -> Result<(), PlaneError> {
        let RouteTable { table, priority } = table;
        let entry = Entry::Rule {
            table,
            priority,
            mark: self.mark,
            v6,
        };
        if self.ledger.has(&entry) {
            return Ok(());
        }
        self.ledger.add(entry)?;
        let request = RouteNetlinkMessage::NewRule(rule(&entry));
        if let Err(failure) = self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            self.ledger.remove(&entry)?;
            if failure.errno() != Some(libc::EEXIST) {
                return Err(failure.during("setting a routing rule"));
            }
        }
        Ok(())
    }

    /// Where a peer's selector has the peer itself, the way back to it is by the tunnel for what has no mark,
    /// and what comes from it has none. A strict filter would drop it all.
    fn loosen(&mut self, peer: IpAddr) -> Result<(), PlaneError> {
        if peer.is_ipv6() {
            return Ok(()); // there is no such filter
        }
        let mut request = RouteMessage::default();
        request.header.address_family = family(peer);
        request.header.destination_prefix_length = IpNet::from(peer).prefix_len();
        request.attributes = vec![
            RouteAttribute::Destination(peer.into()),
            RouteAttribute::Mark(self.mark.value),
        ];
        let answers = self
            .netlink
            .request(RouteNetlinkMessage::GetRoute(request), 0);
        let answers = answers.map_err(|f| f.during("looking for the route to the peer"))?;
        let interface = answers.iter().find_map(|answer| match &answer.0 {
            RouteNetlinkMessage::NewRoute(message) => {
                message
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        RouteAttribute::Oif(index) => Some(*index),
                        _ => None,
                    })
            }
            _ => None,
        });
        let Some((interface, file)) = interface.and_then(|index| Some((index, filter_of(index)?)))
        else {
            return Ok(());
        };
        let own = read(&file).unwrap_or(0);
        let all = read(&PathBuf::from("/proc/sys/net/ipv4/conf/all/rp_filter")).unwrap_or(0);
        if own.max(all) != STRICT {
            return Ok(());
        }
        self.ledger.add(Entry::Filter {
            interface,
            before: own,
        })?;
        write(&file, LOOSE)
    }
}

/// Errors that say that there is nothing to remove.
fn gone(errno: Option<i32>) -> bool {
    matches!(
        errno,
        Some(libc::ESRCH | libc::ENOENT | libc::ENODEV | libc::EAFNOSUPPORT | libc::EINVAL)
    )
}

/// Where an interface's reverse-path filter is set, in the thread's own network namespace.
fn filter_of(interface: u32) -> Option<PathBuf> {
    let name = nix::net::if_::if_indextoname(interface).ok()?;
    let name = name.to_str().ok()?;
    Some(PathBuf::from(format!(
        "/proc/sys/net/ipv4/conf/{name}/rp_filter"
    )))
}

fn read(file: &Path) -> Option<u8> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn write(file: &Path, value: u8) -> Result<(), PlaneError> {
    std::fs::write(file, value.to_string()).map_err(|source| PlaneError::Kernel {
        doing: "setting an interface's rp_filter",
        message: None,
        source,
    })
}

fn route(table: u32, net: IpNet, device: u32, source: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(net.addr());
    message.header.destination_prefix_length = net.prefix_len();
    // A number that does not fit is in the attribute alone.
    message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.header.protocol = PROTOCOL;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if net.addr().is_ipv4() {
        RouteScope::Link
    } else {
        RouteScope::Universe
    };
    message.attributes = vec![
        RouteAttribute::Destination(net.network().into()),
        RouteAttribute::Table(table),
        RouteAttribute::Oif(device),
    ];
    let source = source.map(|source| RouteAttribute::PrefSource(source.into()));
    message.attributes.extend(source);
    message
}

fn rule(entry: &Entry) -> RuleMessage {
    let mut message = RuleMessage::default();
    if let Entry::Rule {
        table,
        priority,
        mark,
        v6,
    } = *entry
    {
        let any: IpAddr = if v6 { [0; 16].into() } else { [0; 4].into() };
        message.header.family = family(any);
        message.header.action = RuleAction::ToTable;
        message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        message.header.flags = RuleFlags::Invert;
        message.attributes = vec![
            RuleAttribute::Priority(priority),
            RuleAttribute::Table(table),
            RuleAttribute::Protocol(PROTOCOL),
            RuleAttribute::FwMark(mark.value),
            RuleAttribute::FwMask(mark.mask),
        ];
    }
    message
}
