//! The addresses and ports of a connection.

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::auth::Skip;
use super::given::{Given, Remarks};
use super::words;
use crate::config::{IKE_PORT, NAT_PORT, RemoteAddress, values};

/// What is said of what stands there for an address.
const NO_ADDRESS: &str = "one of these is no address, subnet, range or host name";

/// The most connections that one becomes, by its remote addresses: a range is a few subnets.
const MAX_REMOTES: usize = 64;

/// What is any address, of either family or of one, and how it is written here.
const ANY: [(&str, &str); 7] = [
    ("%any", BOTH),
    ("%any4", V4),
    ("0.0.0.0/0", V4),
    ("0.0.0.0", V4),
    ("%any6", V6),
    ("::/0", V6),
    ("::", V6),
];
const BOTH: &str = "any";
const V4: &str = "0.0.0.0/0";
const V6: &str = "::/0";

/// Our side.
pub struct Local {
    /// Our address; nothing for any.
    pub address: Option<String>,
    /// Whether it is of IPv4, where it is of one family alone.
    v4: Option<bool>,
}

/// Our address.
pub fn local(given: &mut Given<'_>, remarks: &mut Remarks) -> Local {
    let addresses = given.list("local_addrs");
    let every = addresses.iter().filter_map(|address| any(address));
    if let Some(any) = together(every) {
        let same = |one: &&str| is_v4(self::any(one).unwrap_or(one)) == is_v4(any);
        let v4 = is_v4(any).filter(|_| addresses.iter().all(same));
        return Local { address: None, v4 };
    }
    let parsed: Vec<IpAddr> = addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    let address = match (parsed[..].first(), addresses.len()) {
        (_, 0) => None,
        (Some(first), 1) if values::local_address(&first.to_string()).is_ok() => Some(first),
        _ => {
            let why = "`local` has one address, or any: names, subnets, ranges and more than one are left out, and any \
                       address of ours is taken";
            given.left_out("local_addrs", why, remarks);
            None
        }
    };
    Local {
        address: address.map(ToString::to_string),
        v4: address.map(IpAddr::is_ipv4),
    }
}

fn any(address: &str) -> Option<&'static str> {
    let row = ANY.iter().find(|(word, _)| *word == address);
    row.map(|(_, here)| *here)
}

/// Several of what is any address, as one; nothing where there is none.
fn together(every: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    every
        .into_iter()
        .reduce(|one, other| if one == other { one } else { BOTH })
}

/// Whether an address or a subnet is of IPv4; nothing for a name, and for any.
fn is_v4(text: &str) -> Option<bool> {
    let text = text.split(['/', '-', '%']).next().unwrap_or(text);
    let address: Option<IpAddr> = text.trim().parse().ok();
    address.map(|address| address.is_ipv4())
}

/// The peer's addresses: the one to begin with comes first.
pub fn remotes(
    given: &mut Given<'_>,
    local: &Local,
    carried: bool,
    remarks: &mut Remarks,
) -> Result<Vec<String>, Skip> {
    const KEY: &str = "remote_addrs";
    let mut found: Vec<String> = Vec::new();
    let mut wrong: Option<&str> = None;
    let mut every: Vec<&'static str> = Vec::new();
    for address in given.list(KEY) {
        if let Some(any) = any(address) {
            every.push(any);
            continue;
        }
        if let Some((first, last)) = range(address) {
            match subnets(first, last) {
                Some(subnets) => found.extend(subnets),
                None => wrong = Some(NO_ADDRESS),
            }
            continue;
        }
        let text = address
            .parse::<IpNet>()
            .map_or_else(|_| address.to_owned(), |net| net.trunc().to_string());
        match values::remote_address(&text) {
            Ok(RemoteAddress::LinkLocal(..)) if carried => {
                wrong = Some("IPsec SAs with a peer at an address of a link are not to be had");
            }
            Ok(_) => found.push(text),
            Err(_) => wrong = Some(NO_ADDRESS),
        }
    }
    if found.len() > MAX_REMOTES {
        wrong = Some("these are more subnets than can be meant");
    }
    if found.is_empty() && every.is_empty() && wrong.is_none() {
        every.push(BOTH);
    }
    match together(every) {
        // Our side can be of one family where the peer's is not.
        Some(BOTH) => {
            let one = local.v4.filter(|_| local.address.is_none());
            let any = one.map_or(BOTH, |v4| if v4 { V4 } else { V6 });
            return Ok(vec![any.to_owned()]);
        }
        Some(family) => {
            found.retain(|address| is_v4(address) != is_v4(family));
            found.push(family.to_owned());
        }
        None => {}
    }
    if let Some(v4) = local.v4
        && wrong.is_none()
    {
        let all = found.len();
        found.retain(|address| is_v4(address).is_none_or(|theirs| theirs == v4));
        if found.is_empty() {
            wrong = Some("our side is of the other family");
        } else if found.len() < all {
            let why = "those that are not of our side's family are left out: they cannot be met";
            given.note(KEY, why, remarks);
        }
    }
    if let Some(why) = wrong {
        let why = format!("the connection is left out: {why}");
        given.left_out(KEY, why, remarks);
        return Err(Skip);
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
    const NAT: &str = "IKE begins on port 500 here, and moves to the NAT-T ports where there is a NAT: `nat-port` says which";
    let mut read = |key: &'static str| {
        let value = given.get(key)?;
        let port = words::number(&value.text).and_then(|port| u16::try_from(port).ok());
        match port {
            None => given.left_out(key, "this is no port", remarks),
            // The same could not be both.
            Some(NAT_PORT) => given.left_out(key, NAT, remarks),
            Some(_) => {}
        }
        port.filter(|port| ![0, IKE_PORT, NAT_PORT].contains(port))
    };
    let ports = (read("local_port"), read("remote_port"));
    if let (Some(_), Some(_)) = ports {
        given.left_out("remote_port", NAT, remarks);
        return (None, None);
    }
    ports
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::settings;
    use super::*;

    /// The remote addresses of a connection with these keys, and how often something is left out.
    fn read(ours: &str, theirs: &str) -> (Option<Vec<String>>, usize) {
        let text = format!("c {{ local_addrs = {ours}\n remote_addrs = {theirs}\n }}");
        let root = settings::read_text(Path::new("/s.conf"), &text).expect("settings");
        let mut given = Given::new(&root.sections["c"], "c".to_owned());
        let mut remarks = Remarks::default();
        let local = local(&mut given, &mut remarks);
        let remotes = remotes(&mut given, &local, true, &mut remarks).ok();
        let left_out = remarks.0.iter().filter(|one| one.left_out).count();
        (remotes, left_out)
    }

    #[test]
    fn any_address_of_one_family_lets_in_none_of_the_other() {
        for (ours, theirs, found) in [
            ("", "", &["any"][..]),
            ("%any", "%any", &["any"]),
            ("", "%any4", &["0.0.0.0/0"]),
            ("", "0.0.0.0/0", &["0.0.0.0/0"]),
            ("", "0.0.0.0", &["0.0.0.0/0"]),
            ("", "%any6", &["::/0"]),
            ("", "::/0", &["::/0"]),
            ("", "::", &["::/0"]),
            ("", "%any6, 0.0.0.0/0", &["any"]),
            ("", "%any4, %any", &["any"]),
            ("", "10.0.0.1, %any", &["any"]),
            ("", "10.0.0.1, %any4", &["0.0.0.0/0"]),
            ("", "2001:db8::1, %any4", &["2001:db8::1", "0.0.0.0/0"]),
            ("%any6", "", &["::/0"]),
            ("::/0", "%any", &["::/0"]),
            ("0.0.0.0/0", "%any6, %any4", &["0.0.0.0/0"]),
            ("%any4, %any6", "%any", &["any"]),
            ("%any4, 2001:db8::1", "%any", &["any"]),
            ("%any4, 10.0.0.1", "%any", &["0.0.0.0/0"]),
            ("%any6", "%any6", &["::/0"]),
            ("%any4", "peer.example, 2001:db8::1", &["peer.example"]),
            // It is bound to its own.
            ("10.0.0.1", "%any", &["any"]),
            ("10.0.0.1", "0.0.0.0/0", &["0.0.0.0/0"]),
        ] {
            let (remotes, left_out) = read(ours, theirs);
            let remotes = remotes.unwrap_or_else(|| panic!("{ours}: {theirs}"));
            assert_eq!(
                (&remotes[..], left_out),
                (
                    &found.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                    0
                ),
                "{ours}: {theirs}"
            );
        }
    }

    #[test]
    fn what_no_peer_could_be_at_is_left_out() {
        for (ours, theirs) in [
            ("%any6", "%any4"),
            ("10.0.0.1", "::/0"),
            ("10.0.0.1", "2001:db8::1"),
            ("%any4", "2001:db8::-2001:db8::9"),
            ("", "fe80::1%eth0"),
            ("", "10.0.0.9-10.0.0.1"),
            ("", "10.0.0.0/8, ?"),
        ] {
            assert_eq!(read(ours, theirs), (None, 1), "{ours}: {theirs}");
        }
    }
}
