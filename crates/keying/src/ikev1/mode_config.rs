//! Mode Config: addresses within the tunnel, and what goes with them (draft-dukes-ike-mode-cfg-02). Pulled by whoever
//! wants them, or pushed by whoever has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use audit::{Cause, Role};
use isakmp::config::{ConfigAttributes, ConfigType, class};
use isakmp::unity::Net;
use isakmp::{Attribute, ExchangeType};

use super::duplicates::digest;
use super::flight::Flight;
use super::informational::refuse_exchange;
use super::sa::{Asked, Asking, Configuring};
use super::transaction::{self, Heard, answer_to, attribute, bytes};
use super::unity::Nets;
use crate::config::{ConfigClient, ConfigServer, ModeConfig};
use crate::endpoint::{Endpoint, Party};
use crate::inner::Inner;
use crate::io::Output;
use crate::limits::{LAST_WORD_GRACE, MAX_NAME_SERVERS, after};

/// The mask of an address that stands alone.
const HOST_MASK: [u8; 4] = [255; 4];

impl Endpoint {
    /// An SA stands, and its user is told so: the side that begins with Mode Config does.
    pub(crate) fn begin_mode_config(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        match sa.connection.mode_config.clone() {
            Some(ModeConfig::Client(client)) if client.push => {
                let wait = sa.connection.half_open_timeout;
                sa.configuring = Configuring::Until(after(now, wait));
                self.schedule(Party::Sa(id));
            }
            Some(ModeConfig::Client(client)) => self.pull(now, id, client),
            Some(ModeConfig::Server(server)) if server.push => {
                let unity = sa.peer.unity;
                let attributes = self.given(id, &server, &everything(&server, unity));
                self.ask(now, id, ConfigType::SET, attributes, Asking::Push);
            }
            Some(ModeConfig::Server(_)) | None => {}
        }
    }

    /// Client: asks for what it wants.
    fn pull(&mut self, now: Instant, id: u64, client: ConfigClient) {
        // Whoever replaces an SA asks for the address that it has.
        let had = self.inner_of_predecessor(id);
        let unity = client.unity && self.sas.get(&id).is_some_and(|sa| sa.peer.unity);
        let mut attributes = Vec::new();
        if client.v4 {
            let had = had.v4.map(|address| address.octets().to_vec());
            attributes.push(Attribute::long(
                class::INTERNAL_IP4_ADDRESS,
                had.unwrap_or_default(),
            ));
            attributes.extend(
                [
                    class::INTERNAL_IP4_NETMASK,
                    class::INTERNAL_IP4_DNS,
                    class::INTERNAL_IP4_NBNS,
                ]
                .map(|class| Attribute::long(class, [])),
            );
        }
        if client.v6 {
            let had = had.v6.map(|address| address.octets().to_vec());
            attributes.push(Attribute::long(
                class::INTERNAL_IP6_ADDRESS,
                had.unwrap_or_default(),
            ));
        }
        if unity {
            let classes = [class::UNITY_SPLIT_INCLUDE, class::UNITY_LOCAL_LAN];
            attributes.extend(classes.map(|class| Attribute::long(class, [])));
        }
        self.ask(now, id, ConfigType::REQUEST, attributes, Asking::Pull);
    }

    fn inner_of_predecessor(&self, id: u64) -> Inner {
        let Some(sa) = self.sas.get(&id) else {
            return Inner::default();
        };
        let before = self.sas.values().filter(|other| {
            other.mmsa_id != id
                && other.connection.name == sa.connection.name
                && !other.inner_local.is_empty()
        });
        let before = before.max_by_key(|other| other.mmsa_id);
        before.map_or_else(Inner::default, |other| other.inner_local)
    }

    /// Begins a TRANSACTION.
    fn ask(
        &mut self,
        now: Instant,
        id: u64,
        kind: ConfigType,
        attributes: Vec<Attribute>,
        what: Asking,
    ) {
        let message_id = self.core.message_id();
        let config = ConfigAttributes {
            kind,
            identifier: self.core.identifier(),
            attributes,
        };
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let (keys, block) = (&sa.keys, &sa.last_block);
        let built = transaction::build(keys, block, None, sa.cookies(), message_id, &config);
        // What cannot be encrypted is not sent: our own machinery failed, and the SA is of no use.
        let Ok((message, next_iv)) = built else {
            self.end_sa(now, id, Cause::InnerAddressRefused, true);
            return;
        };
        let datagrams = sa.datagrams(message);
        self.core.transmit(sa.route, &datagrams);
        sa.message_ids.insert(message_id);
        let retransmit = sa.connection.retransmit;
        sa.asked = Some(Asked {
            message_id,
            next_iv,
            what,
            flight: Flight::new(&mut self.core, now, retransmit, datagrams),
        });
        self.schedule(Party::Sa(id));
    }

    /// A TRANSACTION of ours was answered.
    pub(crate) fn transaction_answered(
        &mut self,
        now: Instant,
        id: u64,
        what: Asking,
        config: &ConfigAttributes,
    ) {
        match what {
            Asking::UserStatus => self.begin_mode_config(now, id),
            Asking::Pull => self.configured(now, id, config),
            Asking::Push => self.peer_configured(now, id),
        }
    }

    /// A TRANSACTION that the peer began under an SA.
    pub(crate) fn transaction_asked(
        &mut self,
        now: Instant,
        id: u64,
        message_id: u32,
        heard: &Heard,
        whole: &[u8],
    ) {
        let Some(sa) = self.sas.get(&id) else {
            return;
        };
        match (sa.connection.mode_config.clone(), heard.config.kind) {
            (Some(ModeConfig::Server(server)), ConfigType::REQUEST) => {
                let attributes = self.given(id, &server, &heard.config.attributes);
                self.answer_transaction(id, message_id, heard, attributes, whole);
                let addresses = [class::INTERNAL_IP4_ADDRESS, class::INTERNAL_IP6_ADDRESS];
                let mut asked = heard.config.attributes.iter();
                if asked.any(|a| addresses.contains(&a.class)) {
                    self.peer_configured(now, id);
                }
            }
            (Some(ModeConfig::Client(_)), ConfigType::SET) => {
                let taken = heard.config.attributes.iter();
                let taken = taken.map(|a| Attribute::long(a.class, [])).collect();
                self.answer_transaction(id, message_id, heard, taken, whole);
                self.configured(now, id, &heard.config);
            }
            _ => {
                if let Some(sa) = self.sas.get_mut(&id) {
                    let core = &mut self.core;
                    refuse_exchange(core, sa, ExchangeType::TRANSACTION, &[], whole);
                }
            }
        }
    }

    fn answer_transaction(
        &mut self,
        id: u64,
        message_id: u32,
        heard: &Heard,
        attributes: Vec<Attribute>,
        whole: &[u8],
    ) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let answer = answer_to(&heard.config, attributes);
        let iv = Some(heard.next_iv.as_slice());
        let (keys, block) = (&sa.keys, &sa.last_block);
        // What cannot be built is not sent; the peer asks again.
        let built = transaction::build(keys, block, iv, sa.cookies(), message_id, &answer);
        if let Ok((message, _)) = built {
            let datagrams = sa.datagrams(message);
            self.core.transmit(sa.route, &datagrams);
            sa.answers.remember(digest(whole), datagrams);
        }
    }

    /// Server: what the peer gets of what it asks for.
    fn given(&mut self, id: u64, server: &ConfigServer, asked: &[Attribute]) -> Vec<Attribute> {
        let mut given: Vec<Attribute> = Vec::new();
        for asked in asked {
            if given.iter().any(|a| a.class == asked.class) {
                continue;
            }
            let v4 = |addresses: &[IpAddr]| -> Vec<Attribute> {
                let of_family = addresses.iter().filter_map(|address| match address {
                    IpAddr::V4(address) => Some(Attribute::long(asked.class, address.octets())),
                    IpAddr::V6(_) => None,
                });
                of_family.take(MAX_NAME_SERVERS).collect()
            };
            let nets = |nets: &[Net]| -> Option<Attribute> {
                (!nets.is_empty()).then(|| Attribute::long(asked.class, Net::emit_all(nets)))
            };
            match asked.class {
                class::INTERNAL_IP4_ADDRESS => {
                    let wanted = v4_of(&bytes(asked)).map(IpAddr::from);
                    if let Some(IpAddr::V4(address)) = self.leased(id, server, true, wanted) {
                        given.push(Attribute::long(asked.class, address.octets()));
                    }
                }
                class::INTERNAL_IP6_ADDRESS => {
                    let wanted = v6_of(&bytes(asked)).map(IpAddr::from);
                    if let Some(IpAddr::V6(address)) = self.leased(id, server, false, wanted) {
                        given.push(Attribute::long(asked.class, address.octets()));
                    }
                }
                class::INTERNAL_IP4_NETMASK => {
                    given.push(Attribute::long(asked.class, HOST_MASK));
                }
                class::INTERNAL_IP4_DNS => given.extend(v4(&server.dns)),
                class::INTERNAL_IP4_NBNS => given.extend(v4(&server.nbns)),
                class::UNITY_SPLIT_INCLUDE => given.extend(nets(&server.split_include)),
                class::UNITY_LOCAL_LAN => given.extend(nets(&server.local_lan)),
                _ => {}
            }
        }
        let has_v4 = given.iter().any(|a| a.class == class::INTERNAL_IP4_ADDRESS);
        given.retain(|a| has_v4 || a.class != class::INTERNAL_IP4_NETMASK);
        given
    }

    /// Server: an address of one family for the peer of an SA.
    fn leased(
        &mut self,
        id: u64,
        server: &ConfigServer,
        v4: bool,
        wanted: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let sa = self.sas.get(&id)?;
        let holder = sa.user.clone().unwrap_or_else(|| sa.remote_id.to_string());
        let (route, sas) = (sa.route, &self.sas);
        // The same peer, which replaces its SA.
        let same = |other: u64| {
            let other = sas.get(&other);
            other.is_some_and(|other| other.route.remote == route.remote)
        };
        let of_family = server
            .pools
            .iter()
            .filter(|pool| pool.first.is_ipv4() == v4);
        let mut asked = false;
        let address = of_family
            .inspect(|_| asked = true)
            .find_map(|pool| self.leases.lease(pool, &holder, id, same, wanted));
        let sa = self.sas.get_mut(&id)?;
        if asked && address.is_none() && !sa.configuring.is_over() {
            sa.configuring = Configuring::Unserved;
        }
        sa.inner_remote.set(address?);
        address
    }

    /// Server: the peer has the address that there is for it, or there is none: what waits for it begins, or is told. It
    /// may ask again.
    fn peer_configured(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get_mut(&id).filter(|sa| !sa.configuring.is_over()) else {
            return;
        };
        if sa.inner_remote.is_empty() {
            let (connection, remote) = (sa.connection.name.clone(), sa.route.remote);
            for child in self.take_waiting(&connection) {
                self.no_child(&connection, &child, remote, Cause::InnerAddressRefused);
            }
            return;
        }
        sa.configuring = Configuring::Done;
        sa.children_at = Some(now + LAST_WORD_GRACE);
        self.schedule(Party::Sa(id));
    }

    /// Client: what the peer has for us.
    fn configured(&mut self, now: Instant, id: u64, config: &ConfigAttributes) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let Some(ModeConfig::Client(client)) = &sa.connection.mode_config else {
            return;
        };
        let mut inner = Inner::default();
        let value = |class| attribute(config, class).map(bytes);
        if client.v4 {
            inner.v4 = value(class::INTERNAL_IP4_ADDRESS).and_then(|value| v4_of(&value));
        }
        if client.v6 {
            inner.v6 = value(class::INTERNAL_IP6_ADDRESS).and_then(|value| v6_of(&value));
        }
        if inner.is_empty() {
            // Without an address there is nothing to be done with the SA.
            self.end_sa(now, id, Cause::InnerAddressRefused, true);
            return;
        }
        sa.configuring = Configuring::Done;
        let nets = if client.unity && sa.peer.unity {
            Nets::told(config)
        } else {
            Nets::default()
        };
        if sa.inner_local == inner && sa.nets == nets {
            return;
        }
        sa.inner_local = inner;
        sa.nets = nets.clone();
        if sa.auto_at.is_some() && sa.role == Role::Initiator {
            sa.auto_at = Some(now);
        }
        let connection = sa.connection.name.clone();
        self.core.out.push_back(Output::Configured {
            mmsa_id: id,
            connection: connection.clone(),
            addresses: inner.all(),
        });
        self.end_children_of_before(now, &connection, inner, &nets);
        self.begin_waiting_children(now, id);
        self.schedule(Party::Sa(id));
    }

    /// Child SAs from an address that we do not have any more end: nothing would come back to them. So do those to nets
    /// that the tunnel is not for any more.
    fn end_children_of_before(
        &mut self,
        now: Instant,
        connection: &str,
        inner: Inner,
        nets: &Nets,
    ) {
        let had: Vec<IpAddr> = self
            .sas
            .values()
            .filter(|sa| sa.connection.name == connection && sa.inner_local != inner)
            .flat_map(|sa| sa.inner_local.all())
            .filter(|address| !inner.all().contains(address))
            .collect();
        let from_there = |live: &super::quick::live::Live| {
            let local = live.pair.local;
            let elsewhere = local.is_host() && had.contains(&local.first);
            live.connection.name == connection && (elsewhere || !nets.allow(&live.pair.remote))
        };
        let children: Vec<u64> = self
            .children
            .values()
            .filter(|live| from_there(live))
            .map(|live| live.id)
            .collect();
        self.end_children(now, &children, Cause::Replaced, true);
    }
}

/// All that a server has, as a client would ask for it; `unity`: one that knows of nets.
fn everything(server: &ConfigServer, unity: bool) -> Vec<Attribute> {
    let has = |v4: bool| server.pools.iter().any(|pool| pool.first.is_ipv4() == v4);
    let mut classes = Vec::new();
    if has(true) {
        classes.extend([class::INTERNAL_IP4_ADDRESS, class::INTERNAL_IP4_NETMASK]);
    }
    if has(false) {
        classes.push(class::INTERNAL_IP6_ADDRESS);
    }
    classes.extend([class::INTERNAL_IP4_DNS, class::INTERNAL_IP4_NBNS]);
    if unity {
        classes.extend([class::UNITY_SPLIT_INCLUDE, class::UNITY_LOCAL_LAN]);
    }
    let empty = |class| Attribute::long(class, []);
    classes.into_iter().map(empty).collect()
}

/// An address in an attribute; an empty or a zero one asks for any.
fn v4_of(value: &[u8]) -> Option<Ipv4Addr> {
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?);
    usable(address.into()).then_some(address)
}

/// The same of the other family; some put the length of a prefix behind it.
fn v6_of(value: &[u8]) -> Option<Ipv6Addr> {
    let address = match value.len() {
        16 | 17 => Ipv6Addr::from(<[u8; 16]>::try_from(&value[..16]).ok()?),
        _ => return None,
    };
    usable(address.into()).then_some(address)
}

/// Whether a host may have it.
fn usable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}
