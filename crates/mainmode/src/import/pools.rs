//! `pools`, and addresses within the tunnel: `vips` and `pools` of a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use keying::limits::{MAX_NAME_SERVERS, MAX_UNITY_NETS};

use super::addresses::range;
use super::connection::clean;
use super::given::{Given, Lacking, NUMBER, Remarks, in_order, lacking};
use super::settings::Section;
use super::toml::Lines;
use crate::config::remote_access;

/// Why an attribute has no equal.
const NO_ATTRIBUTE: &str = "clients are told of addresses, of DNS servers, of NetBIOS name servers and of nets, and of nothing else";

/// What else clients are told of, by the key there.
const TOLD: [Told; 4] = [
    Told {
        key: "dns",
        here: "dns",
        nets: false,
    },
    Told {
        key: "nbns",
        here: "nbns",
        nets: false,
    },
    Told {
        key: "split_include",
        here: "split-include",
        nets: true,
    },
    Told {
        key: "split_exclude",
        here: "local-lan",
        nets: true,
    },
];

/// Name servers or nets that clients are told of.
#[derive(Clone, Copy)]
struct Told {
    key: &'static str,
    /// The key here.
    here: &'static str,
    /// Nets, not name servers.
    nets: bool,
}

impl Told {
    fn limit(self) -> usize {
        if self.nets {
            MAX_UNITY_NETS
        } else {
            MAX_NAME_SERVERS
        }
    }

    fn what(self) -> String {
        if self.nets {
            format!("nets of {}", self.key)
        } else {
            format!("{} servers", self.key)
        }
    }

    fn too_many(self) -> String {
        format!(
            "clients are told of {} {} at most",
            self.limit(),
            self.what()
        )
    }

    /// One of them as it is written here.
    fn read(self, text: &str) -> Result<String, &'static str> {
        if self.nets {
            let net = text.parse::<Ipv4Net>().map(|net| net.trunc());
            let net = net.or_else(|_| text.parse::<Ipv4Addr>().map(Ipv4Net::from));
            net.map(|net| net.to_string())
                .map_err(|_| "clients are told of IPv4 nets alone")
        } else {
            text.parse::<Ipv4Addr>()
                .map(|address| address.to_string())
                .map_err(|_| "clients are told of name servers by IPv4 addresses alone")
        }
    }
}

/// Keys that have no equal.
const LACKING: &[Lacking] = &[
    lacking("address", &[], NO_ATTRIBUTE),
    lacking("dhcp", &[], NO_ATTRIBUTE),
    lacking("netmask", &[], NO_ATTRIBUTE),
    lacking("server", &[], NO_ATTRIBUTE),
    lacking("subnet", &[], NO_ATTRIBUTE),
    lacking("p_cscf", &[], NO_ATTRIBUTE),
    lacking(NUMBER, &[], NO_ATTRIBUTE),
];

/// All pools that can be had.
#[derive(Default)]
pub struct Pools {
    /// As they are written here.
    pub written: Vec<Lines>,
    by_name: BTreeMap<String, Pool>,
}

/// What a connection that names a pool has of it.
struct Pool {
    name: String,
    /// Name servers and nets, in the order of [`TOLD`].
    told: [Vec<String>; TOLD.len()],
}

/// Reads `pools`.
pub fn read(root: &Section, remarks: &mut Remarks) -> Pools {
    let mut pools = Pools::default();
    let Some(section) = root.sections.get("pools") else {
        return pools;
    };
    let mut taken = Taken::default();
    for (name, section) in in_order(section) {
        let mut given = Given::new(section, format!("pools.{name}"));
        let addresses = match given.get("addrs").map(|value| addresses(&value.text)) {
            Some(Ok(addresses)) => taken.take(&clean(name), &addresses).map(|()| addresses),
            Some(Err(why)) => Err(why),
            None => Err("it has no addresses".to_owned()),
        };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(why) => {
                let why = format!("the pool is left out: {why}");
                remarks.left_out(&section.place, given.path.clone(), why);
                continue;
            }
        };
        let pool = Pool {
            name: clean(name),
            told: TOLD.map(|what| told(&mut given, what, remarks)),
        };
        if pool.name != *name {
            let why = format!(
                "it is called \"{}\" here: names have letters, digits and -_.:@+",
                pool.name
            );
            remarks.note(&section.place, given.path.clone(), why);
        }
        given.rest(LACKING, remarks);
        given.rest_of_sections(|_| false, remarks);
        let mut lines = Lines::default();
        lines.put("name", pool.name.as_str());
        lines.put("addresses", addresses);
        pools.written.push(lines);
        pools.by_name.insert(name.clone(), pool);
    }
    pools
}

/// Names and addresses that pools have: neither can be had twice.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    /// The last address of each, by the first.
    ranges: BTreeMap<IpAddr, IpAddr>,
}

impl Taken {
    fn take(&mut self, name: &str, addresses: &str) -> Result<(), String> {
        let (first, last) = remote_access::addresses(addresses)?;
        // The others do not overlap: the one that begins last before our end is the one to ask.
        let before = self.ranges.range(..=last).next_back();
        if before.is_some_and(|(_, end)| end.is_ipv4() == first.is_ipv4() && *end >= first) {
            return Err("its addresses are in another pool too".to_owned());
        }
        if !self.names.insert(name.to_owned()) {
            return Err("as it can be written here, its name is that of another".to_owned());
        }
        self.ranges.insert(first, last);
        Ok(())
    }
}

/// Addresses as they are written here. Of a subnet charon gives those from the one that is named, but neither the first
/// nor the last of it.
fn addresses(text: &str) -> Result<String, String> {
    let wrong = || "these are no subnet and no range of addresses".to_owned();
    if let Some((first, last)) = range(text) {
        return if first.is_ipv4() == last.is_ipv4() && first <= last {
            Ok(format!("{first}-{last}"))
        } else {
            Err(wrong())
        };
    }
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let net: IpNet = text.parse().map_err(|_| wrong())?;
    if net.addr() == net.network() {
        return Ok(net.to_string());
    }
    let first = net.addr();
    let two = net.max_prefix_len() - net.prefix_len() == 1;
    // An address that is not the network's own has one before it.
    let last = match net.broadcast() {
        last if two => last,
        IpAddr::V4(last) => Ipv4Addr::from_bits(last.to_bits().saturating_sub(1)).into(),
        IpAddr::V6(last) => Ipv6Addr::from_bits(last.to_bits().saturating_sub(1)).into(),
    };
    if last < first {
        return Err("no address of it is given".to_owned());
    }
    Ok(format!("{first}-{last}"))
}

/// Name servers or nets of a pool.
fn told(given: &mut Given<'_>, what: Told, remarks: &mut Remarks) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut said: Option<String> = None;
    for text in given.list(what.key) {
        match what.read(text) {
            Ok(_) if found.len() >= what.limit() => said = Some(what.too_many()),
            Ok(one) => found.push(one),
            Err(why) => said = Some(why.to_owned()),
        }
    }
    if let Some(why) = said {
        given.left_out(what.key, why, remarks);
    }
    found
}

/// `mode-config` of a connection: as the client whom `vips` make of it, or as the server that `pools` do.
pub fn mode_config(given: &mut Given<'_>, pools: &Pools, lines: &mut Lines, remarks: &mut Remarks) {
    let pull = given.flag("pull", true, remarks);
    let (vips, names) = (given.list("vips"), given.list("pools"));
    let mut config = Lines::default();
    if vips.is_empty() {
        server(given, &names, pools, &mut config, remarks);
    } else {
        client(given, &vips, &mut config, remarks);
        if !names.is_empty() {
            let why =
                "a connection is a client with vips, or a server with pools: this one is a client";
            given.left_out("pools", why, remarks);
        }
    }
    if config.is_empty() {
        return;
    }
    if !pull {
        config.put("push", true);
    }
    lines.put_table("mode-config", &config);
}

fn client(given: &Given<'_>, vips: &[&str], config: &mut Lines, remarks: &mut Remarks) {
    let mut request: Vec<&str> = Vec::new();
    for text in vips {
        let address = match *text {
            "%any" | "%any4" => Some(Ipv4Addr::UNSPECIFIED.into()),
            "%any6" => Some(Ipv6Addr::UNSPECIFIED.into()),
            text => text.parse::<IpAddr>().ok(),
        };
        let Some(address) = address else {
            let why = format!("\"{}\" is no address", text.escape_debug());
            given.left_out("vips", why, remarks);
            continue;
        };
        let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        if !address.is_unspecified() {
            let why = format!(
                "{address} is left out: an address is asked for, not a certain one; which it is, is the server's choice"
            );
            given.left_out("vips", why, remarks);
        }
        if request.contains(&family) {
            let why = "of each family one address is asked for";
            given.left_out("vips", why, remarks);
        } else {
            request.push(family);
        }
    }
    if !request.is_empty() {
        config.put_list("request", &request);
    }
}

fn server(
    given: &Given<'_>,
    names: &[&str],
    pools: &Pools,
    config: &mut Lines,
    remarks: &mut Remarks,
) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut found: Vec<&Pool> = Vec::new();
    for name in names {
        match pools.by_name.get(*name) {
            Some(pool) if seen.insert(name) => found.push(pool),
            Some(_) => {}
            None => {
                let why = format!(
                    "there is no pool \"{}\" that could be written: those of databases, of RADIUS and of DHCP are not \
                     to be had",
                    name.escape_debug()
                );
                given.left_out("pools", why, remarks);
            }
        }
    }
    if found.is_empty() {
        return;
    }
    let written: Vec<&str> = found.iter().map(|pool| pool.name.as_str()).collect();
    config.put_list("pools", &written);
    for (at, what) in TOLD.into_iter().enumerate() {
        let lists: Vec<&[String]> = found.iter().map(|pool| &*pool.told[at]).collect();
        if lists.iter().any(|list| *list != lists[0]) {
            let why = format!(
                "clients are told of the {} of all these pools, whichever gives the address",
                what.what()
            );
            given.note("pools", why, remarks);
        }
        let mut all: Vec<&String> = Vec::new();
        for one in lists.into_iter().flatten() {
            if all.contains(&one) {
                continue;
            }
            if all.len() == what.limit() {
                given.left_out("pools", what.too_many(), remarks);
                break;
            }
            all.push(one);
        }
        if !all.is_empty() {
            config.put_list(what.here, &all);
        }
    }
}
