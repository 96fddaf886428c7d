//! Routes into the tunnels, and past them for what the tunnels are made of.
//!
//! What goes to a peer's side is routed to the TUN device, in a table of its own. The rule that looks the
//! table up leaves out what carries our mark: IKE and ESP themselves. So a peer whose own address is in its
//! selector is still reached. Networks that this host is connected to, and its own side of the traffic, are
//! excepted where they lie inside of the peer's side: with all traffic through a tunnel, the hosts next door
//! are still next door.
//!
//! The routes into the device go with it, whatever happens to us. Behind each stands one that lets nothing
//! pass, so that after a crash nothing leaves unprotected. These, the exceptions, the rule, and a reverse-path
//! filter that had to be loosened stand in the list that the next start clears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use serde::{Deserialize, Serialize};

use super::shield::{Policy, Shield};
use super::sources::Sources;
use crate::held::Held;
use crate::kernel::ledger::Ledger;
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{Between, EXCEPTION, PROTOCOL, address_in, connected_inside, family};
use crate::{Mark, PlaneError, RouteTable};

/// The metric of the routes that let nothing pass: above that of the routes into the device, which have the
/// kernel's own (0, and 1024 with IPv6), and below that of exceptions, as the route into the device is.
const GUARD: u32 = 2048;
/// What [`Ways::add`] does, when it fails.
const DOING: &str = "setting a route into the tunnel";
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
    /// A route of our table that has no device to go with.
    Route { table: u32, key: RouteKey },
    /// What the kernel drops, or lets pass.
    Policy(Policy),
}

/// A route of our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RouteKey {
    net: IpNet,
    kind: Kind,
}

/// Where a route of our table leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    /// Where the other tables say.
    Except,
    /// Nowhere.
    Guard,
    /// Into the device.
    Way,
}

pub(super) struct Ways {
    netlink: Netlink<RouteNetlinkMessage>,
    ledger: Ledger<Entry>,
    /// None: routes are not ours to set.
    table: Option<RouteTable>,
    mark: Mark,
    /// The TUN device.
    device: u32,
    held: Held<RouteKey, Owner>,
    /// Of the routes into the device.
    sources: Sources<RouteKey>,
    shield: Shield,
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
            held: Held::default(),
            sources: Sources::default(),
            shield: Shield::open(),
        };
        ways.undo()?;
        Ok(ways)
    }

    /// The TUN device is this one. What it gives as one are so many TCP segments at most.
    pub(super) fn set_device(&mut self, device: u32, segments: u32) {
        self.device = device;
        let mut link = LinkMessage::default();
        link.header.index = device;
        link.attributes = vec![LinkAttribute::GsoMaxSegs(segments)];
        // Otherwise what the device gives as one leaves in two.
        let _ = self.netlink.request(RouteNetlinkMessage::SetLink(link), 0);
        // What comes out of the device must pass before anything is dropped.
        let free = device_name(device)
            .map(|name| format!("/proc/sys/net/ipv4/conf/{name}/disable_policy"));
        if free.is_none_or(|file| std::fs::write(file, "1").is_err()) {
            self.shield.give_up();
        }
    }

    pub(super) fn shield(&self) -> &Shield {
        &self.shield
    }

    /// Leads what goes to the remote side into the device, and lets nothing come from there but by the device.
    pub(super) fn add(
        &mut self,
        owner: &Owner,
        between: Between<'_>,
        peer: IpAddr,
    ) -> Result<(), PlaneError> {
        let Between { local, remote, .. } = between;
        let mut excepted = BTreeMap::new();
        for net in remote.prefixes() {
            excepted.insert(net, self.exceptions(net, between)?);
        }
        let all = excepted.values().flatten().copied().collect();
        self.shield
            .add(&mut self.ledger, owner, local, remote, &all)?;
        let Some(RouteTable { table, .. }) = self.table else {
            return Ok(());
        };
        let source = address_in(&mut self.netlink, local).map_err(|f| f.during(DOING))?;
        self.rule(remote.first.is_ipv6())?;
        if remote.contains(peer) {
            self.loosen(peer)?;
        }
        for (net, except) in excepted {
            // The exceptions first: nothing next door is to be lost for a moment.
            for net in except {
                let kind = Kind::Except;
                self.hold(owner, table, RouteKey { net, kind })?;
            }
            let [guard, way] = [Kind::Guard, Kind::Way].map(|kind| RouteKey { net, kind });
            self.hold(owner, table, guard)?;
            let before = self.sources.of(&way);
            self.sources.want(way, owner, source);
            let changed = self.held.has(&way) && self.sources.of(&way) != before;
            let set = if changed {
                self.set_source(table, way)
            } else {
                Ok(())
            };
            if let Err(error) = set.and_then(|()| self.hold(owner, table, way)) {
                self.sources.give_up(&way, owner);
                return Err(error);
            }
        }
        Ok(())
    }

    /// What of a remote net is not led into the device: networks that this host is connected to, as they are when the
    /// first of several has it, the local side, and what is to be left out.
    fn exceptions(
        &mut self,
        net: IpNet,
        between: Between<'_>,
    ) -> Result<BTreeSet<IpNet>, PlaneError> {
        let kind = Kind::Way;
        let mut except: BTreeSet<IpNet> = if self.held.has(&RouteKey { net, kind }) {
            let keys = self.held.keys();
            let inside = keys.filter(|key| key.kind == Kind::Except && net.contains(&key.net));
            inside.map(|key| key.net).collect()
        } else {
            connected_inside(&mut self.netlink, &net).map_err(|f| f.during(DOING))?
        };
        except.extend(between.local_lan_inside(net));
        except.extend(
            between
                .local
                .prefixes()
                .filter(|own| *own != net && net.contains(own)),
        );
        Ok(except)
    }

    fn hold(&mut self, owner: &Owner, table: u32, key: RouteKey) -> Result<(), PlaneError> {
        if self.held.share(key, owner) {
            return Ok(());
        }
        let entry = Entry::Route { table, key };
        if key.kind != Kind::Way {
            self.ledger.add(entry)?;
        }
        let source = self.sources.of(&key);
        let request = RouteNetlinkMessage::NewRoute(route(table, key, self.device, source));
        if let Err(failure) = self.netlink.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            self.ledger.remove(&entry)?;
            return Err(failure.during("setting a route into the tunnel"));
        }
        self.held.insert(key, owner);
        Ok(())
    }

    /// A route that is there has another source address now.
    fn set_source(&mut self, table: u32, key: RouteKey) -> Result<(), PlaneError> {
        let source = self.sources.of(&key);
        let request = RouteNetlinkMessage::NewRoute(route(table, key, self.device, source));
        let done = self.netlink.request(request, NLM_F_CREATE | NLM_F_REPLACE);
        done.map(drop).map_err(|failure| failure.during(DOING))
    }

    /// Removes the routes that are there for nobody else.
    pub(super) fn release(&mut self, owner: &Owner) -> Result<(), PlaneError> {
        let mut result = self.shield.release(&mut self.ledger, owner);
        let Some(table) = self.table else {
            return result;
        };
        let changed = self.sources.release(&self.held.of(owner), owner);
        let mut gone = self.held.release(owner);
        for key in changed.into_iter().filter(|key| !gone.contains(key)) {
            result = result.and(self.set_source(table.table, key));
        }
        // In the order of kinds backwards: the exceptions last, as they came first.
        gone.sort_by_key(|key| std::cmp::Reverse(key.kind));
        for key in gone {
            result = result.and(self.remove_route(table.table, key));
        }
        result
    }

    fn remove_route(&mut self, table: u32, key: RouteKey) -> Result<(), PlaneError> {
        let request = RouteNetlinkMessage::DelRoute(route(table, key, self.device, None));
        match self.netlink.request(request, 0) {
            Err(failure) if !gone(failure.errno()) => {
                return Err(failure.during("removing a route into the tunnel"));
            }
            _ => {}
        }
        self.ledger.remove(&Entry::Route { table, key })
    }

    /// Undoes what outlives the process.
    pub(super) fn undo(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        // The rule is the first of them: what it leads to is of no account any more.
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
                Entry::Route { table, key } => self.remove_route(table, key),
                Entry::Policy(policy) => self.shield.remove(&mut self.ledger, policy),
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

    fn rule(&mut self, v6: bool) -> Result<(), PlaneError> {
        let Some(RouteTable { table, priority }) = self.table else {
            return Ok(());
        };
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
    let name = device_name(interface)?;
    Some(PathBuf::from(format!(
        "/proc/sys/net/ipv4/conf/{name}/rp_filter"
    )))
}

fn device_name(interface: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(interface).ok()?;
    Some(name.to_str().ok()?.to_owned())
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

fn route(table: u32, key: RouteKey, device: u32, source: Option<IpAddr>) -> RouteMessage {
    let RouteKey { net, kind } = key;
    let mut message = RouteMessage::default();
    message.header.address_family = family(net.addr());
    message.header.destination_prefix_length = net.prefix_len();
    // A number that does not fit is in the attribute alone.
    message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.header.protocol = PROTOCOL;
    message.attributes = vec![
        RouteAttribute::Destination(net.network().into()),
        RouteAttribute::Table(table),
    ];
    match kind {
        Kind::Way => {
            message.header.kind = RouteType::Unicast;
            if net.addr().is_ipv4() {
                message.header.scope = RouteScope::Link;
            }
            message.attributes.push(RouteAttribute::Oif(device));
            let source = source.map(|source| RouteAttribute::PrefSource(source.into()));
            message.attributes.extend(source);
        }
        Kind::Guard => {
            message.header.kind = RouteType::Unreachable;
            message.attributes.push(RouteAttribute::Priority(GUARD));
        }
        Kind::Except => {
            message.header.kind = RouteType::Throw;
            message.attributes.push(RouteAttribute::Priority(EXCEPTION));
        }
    }
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
