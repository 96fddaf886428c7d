//! The addresses and ports of a connection.

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::auth::Skip;
use super::given::{Given, Remarks};
use super::words;
use crate::config::{IKE_PORT, values};

/// The most connections that one becomes, by its remote addresses: a range is a few subnets.
const MAX_REMOTES: usize = 64;

/// Our address; nothing for any.
pub fn local(given: &mut Given<'_>, remarks: &mut Remarks) -> Option<String> {
    let addresses = given.list("local_addrs");
    if addresses.iter().any(|address| any(address)) {
        return None;
    }
    let parsed: Vec<IpAddr> = addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    match (parsed[..].first(), addresses.len()) {
        (_, 0) => None,
        (Some(first), 1) if values::local_address(&first.to_string()).is_ok() => {
            Some(first.to_string())
        }
        _ => {
            let why = "`local` has one address, or any: names, subnets, ranges and more than one are left out, and any \
                       address of ours is taken";
            given.left_out("local_addrs", why, remarks);
            None
        }
    }
}

fn any(address: &str) -> bool {
    [
        "%any",
        "%any4",
        "%any6",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0",
        "::",
    ]
    .contains(&address)
}

/// The peer's addresses: the one to begin with comes first.
pub fn remotes(given: &mut Given<'_>, remarks: &mut Remarks) -> Result<Vec<String>, Skip> {
    let mut found: Vec<String> = Vec::new();
    let mut wrong = false;
    for address in given.list("remote_addrs") {
        if any(address) {
            return Ok(vec!["any".to_owned()]);
        }
        if let Some((first, last)) = range(address) {
            match subnets(first, last) {
                Some(subnets) => found.extend(subnets),
                None => wrong = true,
            }
            continue;
        }
        let text = address
            .parse::<IpNet>()
            .map_or_else(|_| address.to_owned(), |net| net.trunc().to_string());
        match values::remote_address(&text) {
            Ok(_) => found.push(text),
            Err(_) => wrong = true,
        }
    }
    if wrong || found.len() > MAX_REMOTES {
        let why = if wrong {
            "the connection is left out: one of these is no address, subnet, range or host name"
        } else {
            "the connection is left out: these are more subnets than can be meant"
        };
        given.left_out("remote_addrs", why, remarks);
        return Err(Skip);
    }
    if found.is_empty() {
        return Ok(vec!["any".to_owned()]);
    }
    // Charon begins with the first that is one peer.
    found.sort_by_key(|address| address.contains('/'));
    found.dedup();
    Ok(found)
}

/// The first and the last address of a range.
pub fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// The subnets that a range is made of; nothing where it is none.
fn subnets(first: IpAddr, last: IpAddr) -> Option<Vec<String>> {
    if first > last {
        return None;
    }
    let subnets = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => IpSubnets::from(Ipv4Subnets::new(first, last, 0)),
        (IpAddr::V6(first), IpAddr::V6(last)) => IpSubnets::from(Ipv6Subnets::new(first, last, 0)),
        _ => return None,
    };
    Some(
        subnets
            .take(MAX_REMOTES + 1)
            .map(|net| net.to_string())
            .collect(),
    )
}

/// The ports of IKE. Where neither is 500, charon begins as behind a NAT.
pub fn ports(given: &mut Given<'_>, remarks: &mut Remarks) -> (Option<u16>, Option<u16>) {
    let mut read = |key: &'static str| {
        let value = given.get(key)?;
        let port = words::number(&value.text).and_then(|port| u16::try_from(port).ok());
        if port.is_none() {
            given.left_out(key, "this is no port", remarks);
        }
        port.filter(|port| *port != 0 && *port != IKE_PORT)
    };
    let ports = (read("local_port"), read("remote_port"));
    if let (Some(_), Some(_)) = ports {
        let why = "IKE begins on port 500 here, and moves to the NAT-T ports where there is a NAT: `nat-port` says which";
        given.left_out("remote_port", why, remarks);
        return (None, None);
    }
    ports
}
