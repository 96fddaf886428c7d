//! Values that are written as text: durations, sizes, addresses, host names, names.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::model::RemoteAddress;

/// The longest duration that any key takes. It keeps sums of durations far from overflow.
pub const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// The longest name of a connection, in characters; it stands in every event.
pub const MAX_NAME: usize = 128;

/// A duration such as `500ms`, `30s`, `8h`, between `min` and `max`.
pub fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let value = humantime::parse_duration(text)
        .map_err(|_| format!("\"{}\" is no duration", text.escape_debug()))?;
    if value < min || value > max {
        return Err(format!(
            "must be between {} and {}",
            humantime::format_duration(min),
            humantime::format_duration(max)
        ));
    }
    Ok(value)
}

/// The same, in whole seconds, as IKE carries lifetimes.
pub fn whole_seconds(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let value = duration(text, min, max)?;
    if value.subsec_nanos() != 0 {
        return Err("must be whole seconds".to_owned());
    }
    Ok(value)
}

/// A size such as `128MiB`, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    text.parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| format!("\"{}\" is no size", text.escape_debug()))
}

/// An address of ours: none for `any`.
pub fn local_address(text: &str) -> Result<Option<IpAddr>, String> {
    if text == "any" {
        return Ok(None);
    }
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("\"{}\" is no address", text.escape_debug()))?;
    if address.is_unspecified() {
        return Err("the wildcard address is written \"any\"".to_owned());
    }
    check_unicast(address)?;
    if is_of_a_link(address) {
        return Err(format!(
            "\"{address}\" is an address of each link: write \"any\", for the one that the peer's link has"
        ));
    }
    Ok(Some(address))
}

/// Which peers: `any`, an address, a subnet, a range or a host name.
pub fn remote_address(text: &str) -> Result<RemoteAddress, String> {
    if text == "any" {
        return Ok(RemoteAddress::Any);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        if address.is_unspecified() {
            return Err("the wildcard address is written \"any\"".to_owned());
        }
        check_unicast(address)?;
        if is_of_a_link(address) {
            return Err(format!(
                "\"{address}\" is the address of a host on each link: say on which, as in \"{address}%eth0\""
            ));
        }
        return Ok(RemoteAddress::Address(address));
    }
    if let Some((address, interface)) = text.split_once('%') {
        return on_link(address, interface);
    }
    if text.contains('/') {
        let net: IpNet = text
            .parse()
            .map_err(|_| format!("\"{}\" is no subnet", text.escape_debug()))?;
        if net != net.trunc() {
            return Err(format!(
                "\"{net}\" has host bits set; its subnet is \"{}\"",
                net.trunc()
            ));
        }
        return Ok(RemoteAddress::Subnet(net));
    }
    // A host name has hyphens too; two addresses around one are no name.
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        check_unicast(first)?;
        check_unicast(last)?;
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(format!(
                "\"{first}-{last}\" is no range: it goes from an address to a higher one of the same family"
            ));
        }
        return Ok(RemoteAddress::Range(first, last));
    }
    host_name(text).map(RemoteAddress::Host)
}

/// Whether it says nothing without the interface of its link.
pub fn is_of_a_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// A link-local address and its interface (RFC 4007 section 11).
fn on_link(address: &str, interface: &str) -> Result<RemoteAddress, String> {
    let link_local = address.parse().ok().filter(Ipv6Addr::is_unicast_link_local);
    let Some(link_local) = link_local else {
        return Err(format!(
            "\"{}\" is no IPv6 address of a link: only of such is the interface to be said",
            address.escape_debug()
        ));
    };
    // What the system takes for a name: IFNAMSIZ is 16, with a zero at the end.
    let is_name = (1..16).contains(&interface.len())
        && !interface.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if !is_name {
        return Err(format!(
            "\"{}\" is no name of an interface",
            interface.escape_debug()
        ));
    }
    Ok(RemoteAddress::LinkLocal(link_local, interface.to_owned()))
}

fn check_unicast(address: IpAddr) -> Result<(), String> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if broadcast || address.is_multicast() {
        return Err(format!("\"{address}\" is not the address of one host"));
    }
    // What comes from such a host comes from its IPv4 address.
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(format!("\"{address}\" is an IPv4 address: write \"{v4}\""));
    }
    Ok(())
}

/// A host name (RFC 1123 section 2.1), in lower case.
fn host_name(text: &str) -> Result<String, String> {
    let bad = |why: &str| {
        Err(format!(
            "\"{}\" is no address, subnet or host name: {why}",
            text.escape_debug()
        ))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > 253 {
        return bad("a name has 1 to 253 characters");
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') || name.contains(':') {
        return bad("it looks like an address and is none");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return bad("between dots stand 1 to 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return bad("a hyphen stands between other characters");
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return bad("names have letters, digits and hyphens");
        }
    }
    Ok(name.to_ascii_lowercase())
}

/// The name of a connection.
pub fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name has at least one character".to_owned());
    }
    if text.chars().count() > MAX_NAME {
        return Err(format!("a name has at most {MAX_NAME} characters"));
    }
    if text.starts_with('-') {
        return Err("a name that begins with a hyphen would read as an option".to_owned());
    }
    if let Some(bad) = text
        .chars()
        .find(|&c| !(c.is_alphanumeric() || "-_.:@+".contains(c)))
    {
        return Err(format!(
            "a name has letters, digits and -_.:@+, not '{}'",
            bad.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bounds() {
        let max = Duration::from_mins(1);
        let min = Duration::from_millis(10);
        assert_eq!(duration("500ms", min, max), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m", min, max), Ok(max));
        assert!(duration("61s", min, max).is_err());
        assert!(duration("5", min, max).is_err());
        assert!(duration("-5s", min, max).is_err());
        assert!(whole_seconds("1500ms", min, max).is_err());
    }

    #[test]
    fn sizes_are_binary_where_they_say_so() {
        assert_eq!(size("128MiB"), Ok(128 << 20));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert!(size("much").is_err());
        assert!(size("-1MiB").is_err());
    }

    #[test]
    fn remotes_are_any_an_address_a_subnet_or_a_host_name() {
        assert_eq!(remote_address("any"), Ok(RemoteAddress::Any));
        assert_eq!(
            remote_address("2001:db8::1"),
            Ok(RemoteAddress::Address("2001:db8::1".parse().expect("v6")))
        );
        assert_eq!(
            remote_address("10.0.0.0/8"),
            Ok(RemoteAddress::Subnet("10.0.0.0/8".parse().expect("net")))
        );
        let [first, last] = ["192.0.2.5", "192.0.2.9"].map(|text| text.parse().expect("v4"));
        assert_eq!(
            remote_address("192.0.2.5-192.0.2.9"),
            Ok(RemoteAddress::Range(first, last))
        );
        for wrong in [
            "192.0.2.9-192.0.2.5",
            "192.0.2.5-::9",
            "192.0.2.5-224.0.0.1",
        ] {
            assert!(remote_address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            remote_address("fe80::5%eth0.7"),
            Ok(RemoteAddress::LinkLocal(
                "fe80::5".parse().expect("v6"),
                "eth0.7".to_owned()
            ))
        );
        for wrong in [
            "fe80::5",
            "fe80::5%",
            "fe80::5%eth0/64",
            "2001:db8::5%eth0",
            "192.0.2.5%eth0",
            "fe80::5%a-name-of-16-char",
        ] {
            assert!(remote_address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            remote_address("192-0-2-5.example"),
            Ok(RemoteAddress::Host("192-0-2-5.example".to_owned()))
        );
        assert_eq!(
            remote_address("GW.Example."),
            Ok(RemoteAddress::Host("gw.example".to_owned()))
        );
        for bad in [
            "",
            "0.0.0.0",
            "::",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "192.0.2.300",
            "1:2",
            "a..b",
            "-a",
            "a b",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(remote_address(bad).is_err(), "{bad}");
        }
    }
}
