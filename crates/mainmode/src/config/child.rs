//! `[[connection.child]]`.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use crypto::esp::EspProposal;
use dataplane::Mark;
use ipnet::IpNet;
use keying::{Mode, Selector, SelectorConfig, has_ports};

use super::connection::{MAX_PROPOSALS, lifetime_bytes, required, seconds, word_span};
use super::diagnostic::Findings;
use super::model::{Child, DataPlane};
use super::table::{Field, Table};
use super::values;

/// The most children of one connection: each is a Quick Mode of its own when the connection comes up.
pub(crate) const MAX_CHILDREN: usize = 256;
/// The most selectors of one side of a child. Each pair of them is an SA of its own.
pub(crate) const MAX_SELECTORS: usize = 64;
/// What is offered and accepted where the file says nothing.
const DEFAULT_PROPOSALS: [&str; 4] = [
    "aes256gcm16-ecp256",
    "aes128gcm16-ecp256",
    "aes256-sha256-ecp256",
    "aes128-sha256-ecp256",
];
/// Lifetime of an SA unless the file says otherwise.
const LIFETIME: Duration = Duration::from_hours(1);
/// The replay window unless the file says otherwise, in packets: enough for a fast link that reorders.
const REPLAY_WINDOW: u32 = 1024;
/// The least limit in bytes or packets: an SA below it would be replaced faster than that is negotiated.
const MIN_LIMIT: u64 = 1024;
/// Protocols that are known by name; all others are numbers.
const PROTOCOLS: [(&str, u8); 8] = [
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("l2tp", 115),
    ("sctp", 132),
];
const SELECTOR_EXAMPLE: &str = "[\"10.1.0.0/16\"]";

/// The children of a connection.
pub fn read_all(
    connection: &Table<'_>,
    dataplane: DataPlane,
    findings: &mut Findings,
) -> Vec<Child> {
    let Some(field) = connection.get("child") else {
        return Vec::new();
    };
    let example = "{ name = \"net\", … }, or better [[connection.child]]";
    let Some(tables) = field.tables("connection.child", findings, example) else {
        return Vec::new();
    };
    if tables.len() > MAX_CHILDREN {
        findings.error_help(
            field.span.clone(),
            format!("a connection has at most {MAX_CHILDREN} children"),
            "make it two connections",
        );
        return Vec::new();
    }
    if dataplane == DataPlane::None && !tables.is_empty() {
        findings.warn(
            field.key_span.clone(),
            "the data plane is \"none\": SAs are negotiated and audited, and carry nothing",
            "write dataplane = \"kernel\" or \"user\" in the connection",
        );
    }
    let mut children: Vec<Child> = Vec::new();
    for table in &tables {
        let Some((child, span)) = read(table, dataplane, findings) else {
            continue;
        };
        if children.iter().any(|other| other.name == child.name) {
            findings.error_help(
                span,
                format!("this connection has two children \"{}\"", child.name),
                "give one another name",
            );
        }
        children.push(child);
    }
    children
}

fn read(
    table: &Table<'_>,
    dataplane: DataPlane,
    findings: &mut Findings,
) -> Option<(Child, Range<usize>)> {
    let name = required(table, "name", "\"net\"", findings).and_then(|field| {
        let name = field.parsed(findings, "\"net\"", values::name)?;
        Some((name, field.span))
    });
    let local = selectors(table, "local", findings);
    let remote = selectors(table, "remote", findings);
    let words = [("tunnel", Mode::Tunnel), ("transport", Mode::Transport)];
    let mode = table
        .get("mode")
        .and_then(|field| field.word(findings, &words))
        .unwrap_or(Mode::Tunnel);
    let proposals = proposals(table, dataplane, findings);
    let compress = table
        .get("compress")
        .is_some_and(|field| field.boolean(findings) == Some(true));
    let lifetime = seconds(table, "lifetime", "\"1h\"", LIFETIME, findings);
    let lifetime_bytes = lifetime_bytes(table, MIN_LIMIT, "\"500MB\"", findings);
    let max = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
    let lifetime_packets = table
        .get("lifetime-packets")
        .and_then(|field| field.integer(findings, MIN_LIMIT, max, "1_000_000"));
    let number = |name, max, example, findings: &mut Findings| {
        let field = table.get(name)?;
        u32::try_from(field.integer(findings, 0, max, example)?).ok()
    };
    let most = u64::from(dataplane::MAX_REPLAY_WINDOW);
    let replay_window = number("replay-window", most, "1024", findings).unwrap_or(REPLAY_WINDOW);
    let interface_id = number("interface-id", u64::from(u32::MAX), "42", findings);
    let mark = table
        .get("mark")
        .and_then(|field| field.parsed(findings, "\"0x10/0xff\"", mark));
    if dataplane == DataPlane::User {
        in_user_space(table, mode, findings);
    }
    if dataplane != DataPlane::Kernel
        && compress
        && let Some(field) = table.get("compress")
    {
        findings.error_help(
            field.span,
            "IPComp can be had with dataplane = \"kernel\" alone",
            "leave compress out, or write dataplane = \"kernel\" in the connection",
        );
    }
    let (name, span) = name?;
    families(&local, &remote, &name, table, findings);
    let child = Child {
        name,
        local,
        remote,
        mode,
        proposals,
        compress,
        lifetime,
        lifetime_bytes,
        lifetime_packets,
        replay_window,
        mark,
        interface_id,
    };
    Some((child, span))
}

/// What a TUN device cannot carry.
fn in_user_space(table: &Table<'_>, mode: Mode, findings: &mut Findings) {
    let refused = [
        ("mode", "transport mode", mode == Mode::Transport),
        ("mark", "a firewall mark", table.has("mark")),
        (
            "interface-id",
            "an XFRM interface",
            table.has("interface-id"),
        ),
    ];
    for (key, what, wrong) in refused {
        if let Some(field) = table.get(key).filter(|_| wrong) {
            findings.error_help(
                field.span,
                format!("{what} cannot be had with dataplane = \"user\""),
                "leave it out, or write dataplane = \"kernel\" in the connection",
            );
        }
    }
}

/// At least one pair must be of one IP version.
fn families(
    local: &[SelectorConfig],
    remote: &[SelectorConfig],
    name: &str,
    table: &Table<'_>,
    findings: &mut Findings,
) {
    let version = |selector: &SelectorConfig| match selector {
        SelectorConfig::Dynamic { .. } => None,
        SelectorConfig::Fixed(selector) => Some(selector.first.is_ipv4()),
    };
    let fits = local.iter().any(|ours| {
        remote
            .iter()
            .any(|theirs| match (version(ours), version(theirs)) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            })
    });
    if !fits && !local.is_empty() && !remote.is_empty() {
        findings.error_help(
            table.span.clone(),
            format!("the two sides of \"{name}\" are of different IP versions"),
            "write both as IPv4 or both as IPv6",
        );
    }
}

/// One side's selectors; the side's own address where the file has none.
fn selectors(
    table: &Table<'_>,
    name: &'static str,
    findings: &mut Findings,
) -> Vec<SelectorConfig> {
    let own = SelectorConfig::Dynamic {
        protocol: 0,
        port: 0,
    };
    let Some(field) = table.get(name) else {
        return vec![own];
    };
    let Some(texts) = field.strings(findings, SELECTOR_EXAMPLE) else {
        return Vec::new();
    };
    if texts.is_empty() || texts.len() > MAX_SELECTORS {
        findings.error_help(
            field.span.clone(),
            format!("\"{name}\" must have between 1 and {MAX_SELECTORS} of them"),
            format!("write {name} = {SELECTOR_EXAMPLE}, or leave it out: then it is the address of IKE itself"),
        );
    }
    let mut selectors = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        match selector(text) {
            Ok(selector) if selectors.contains(&selector) => {
                findings.error_help(span, format!("{text} stands here twice"), "take one out");
            }
            Ok(selector) => selectors.push(selector),
            Err(why) => findings.error_help(
                span,
                why,
                "write a subnet, an address, a range as 10.1.0.5-10.1.0.9, or \"dynamic\", each \
                 with a protocol and a port behind it where only they are meant: \"10.1.0.1[tcp/22]\"",
            ),
        }
    }
    selectors
}

/// `10.1.0.0/16`, `10.1.0.5-10.1.0.9`, `dynamic`, each with `[tcp/22]` behind it.
pub(crate) fn selector(text: &str) -> Result<SelectorConfig, String> {
    let (addresses, protocol, port) = match text.split_once('[') {
        None => (text, 0, 0),
        Some((addresses, rest)) => {
            let inner = rest
                .strip_suffix(']')
                .ok_or_else(|| format!("\"{}\" has no ] at its end", text.escape_debug()))?;
            let (protocol, port) = inner.split_once('/').unwrap_or((inner, "0"));
            let (protocol, port) = (self::protocol(protocol)?, self::port(port)?);
            if port != 0 && protocol == 0 {
                return Err(format!(
                    "\"{}\" names a port, and not whose: write the protocol too, as in [udp/53]",
                    text.escape_debug()
                ));
            }
            if port != 0 && !has_ports(protocol) {
                return Err(format!(
                    "\"{}\" names a port, or a type, of a protocol without ports; the protocol alone can be written",
                    text.escape_debug()
                ));
            }
            (addresses, protocol, port)
        }
    };
    if addresses == "dynamic" {
        return Ok(SelectorConfig::Dynamic { protocol, port });
    }
    let bad = || format!("\"{}\" is no traffic selector", text.escape_debug());
    let selector = if let Some((first, last)) = addresses.split_once('-') {
        let first: IpAddr = first.parse().map_err(|_| bad())?;
        let last: IpAddr = last.parse().map_err(|_| bad())?;
        Selector::range(first, last).ok_or_else(|| {
            format!("\"{addresses}\" is no range: its end is before its beginning")
        })?
    } else if let Ok(address) = addresses.parse::<IpAddr>() {
        Selector::host(address)
    } else {
        let net: IpNet = addresses.parse().map_err(|_| bad())?;
        if net != net.trunc() {
            return Err(format!(
                "\"{net}\" has host bits set; its subnet is \"{}\"",
                net.trunc()
            ));
        }
        Selector::subnet(net.addr(), net.prefix_len())
    };
    Ok(SelectorConfig::Fixed(selector.with(protocol, port)))
}

fn protocol(text: &str) -> Result<u8, String> {
    if text == "any" {
        return Ok(0);
    }
    let known = PROTOCOLS.iter().find(|(name, _)| *name == text);
    known
        .map(|(_, number)| *number)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| {
            let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
            format!(
                "\"{}\" is no IP protocol; known by name are {}, others are numbers",
                text.escape_debug(),
                names.join(", ")
            )
        })
}

fn port(text: &str) -> Result<u16, String> {
    if text == "any" {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| format!("\"{}\" is no port", text.escape_debug()))
}

/// `0x10/0xff`; without a mask all bits count.
fn mark(text: &str) -> Result<Mark, String> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let number = |text: &str| {
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed.map_err(|_| format!("\"{}\" is no mark", text.escape_debug()))
    };
    let (value, mask) = (number(value)?, number(mask)?);
    if value & !mask != 0 {
        return Err("the mark has bits that its mask leaves out".to_owned());
    }
    Ok(Mark { value, mask })
}

fn proposals(table: &Table<'_>, dataplane: DataPlane, findings: &mut Findings) -> Vec<EspProposal> {
    let defaults = || {
        DEFAULT_PROPOSALS
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    };
    let Some(field) = table.get("proposals") else {
        return defaults();
    };
    let Some(texts) = field.strings(findings, "[\"aes256gcm16-ecp256\"]") else {
        return defaults();
    };
    count(&field, texts.len(), findings);
    let mut proposals: Vec<EspProposal> = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        match text.parse::<EspProposal>() {
            Ok(proposal) if proposals.contains(&proposal) => {
                findings.error_help(
                    span,
                    format!("{proposal} stands here twice"),
                    "take one out",
                );
            }
            Ok(proposal) if dataplane == DataPlane::User && !proposal.sealable() => {
                findings.error_help(
                    span,
                    format!("{proposal} cannot be had with dataplane = \"user\""),
                    "write another, or dataplane = \"kernel\" in the connection; docs/configuration.md tells \
                     what the plane in user space has",
                );
            }
            Ok(proposal) => {
                let weak = proposal.weak();
                if !weak.is_empty() {
                    let verb = if weak.len() == 1 { "is" } else { "are" };
                    findings.warn(
                        span,
                        format!("{} {verb} weak", weak.join(" and ")),
                        "use it only with a peer that knows nothing better",
                    );
                }
                proposals.push(proposal);
            }
            Err(error) => findings.error_help(
                word_span(&span, text, error.word()),
                error.to_string(),
                "write cipher-integrity-group, for example \"aes256gcm16-ecp256\" or \"aes256-sha256\"",
            ),
        }
    }
    proposals
}

fn count(field: &Field<'_>, count: usize, findings: &mut Findings) {
    if count == 0 || count > MAX_PROPOSALS {
        findings.error_help(
            field.span.clone(),
            format!("\"proposals\" must have between 1 and {MAX_PROPOSALS} of them"),
            "write proposals = [\"aes256gcm16-ecp256\"], or leave it out",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> Selector {
        match selector(text) {
            Ok(SelectorConfig::Fixed(selector)) => selector,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn selectors_are_subnets_addresses_ranges_and_dynamic_with_protocol_and_port() {
        let net = fixed("10.1.0.0/16");
        assert_eq!(net, Selector::subnet("10.1.0.0".parse().unwrap(), 16));
        assert_eq!(fixed("10.1.0.1"), fixed("10.1.0.1/32"));
        let range = fixed("10.1.0.5-10.1.0.9[udp/53]");
        assert_eq!(range.last, "10.1.0.9".parse::<IpAddr>().unwrap());
        assert_eq!((range.protocol, range.port), (17, 53));
        assert_eq!(fixed("2001:db8::/32[icmp]").protocol, 1);
        assert_eq!(fixed("10.1.0.1[47]").protocol, 47);
        assert_eq!(
            selector("dynamic[tcp/22]"),
            Ok(SelectorConfig::Dynamic {
                protocol: 6,
                port: 22
            })
        );
        for bad in [
            "",
            "10.1.0.1/16",
            "10.1.0.0/33",
            "10.1.0.9-10.1.0.5",
            "10.1.0.1-2001:db8::1",
            "10.1.0.1[tcp/70000]",
            "10.1.0.1[tcp",
            "10.1.0.1[carrier-pigeon]",
            "10.1.0.1[icmp/8]",
            "10.1.0.1[any/53]",
            "10.1.0.1[47/1]",
            "anything",
        ] {
            assert!(selector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn marks_are_numbers_with_a_mask_that_covers_them() {
        let whole = Mark {
            value: 16,
            mask: u32::MAX,
        };
        assert_eq!(mark("16"), Ok(whole));
        assert_eq!(mark("0x10/0xff").map(|mark| mark.mask), Ok(255));
        for bad in ["", "x", "0x10/0xf", "-1", "1/2/3"] {
            assert!(mark(bad).is_err(), "{bad}");
        }
    }
}
