//! `mode-config`: what a client of Mode Config wants, and what a server has.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use isakmp::unity::Net;
use keying::limits::{MAX_NAME_SERVERS, MAX_UNITY_NETS};
use keying::{ConfigClient, ConfigServer, ModeConfig, Pool, Selector, SelectorConfig};

use super::diagnostic::Findings;
use super::model::{Child, Start};
use super::remote_access::POOL_EXAMPLE;
use super::table::Table;

const EXAMPLE: &str = "{ request = [\"ipv4\"] }";

/// Reads it.
pub fn read(table: &Table<'_>, pools: &[Pool], findings: &mut Findings) -> Option<ModeConfig> {
    let field = table.get("mode-config")?;
    let config = field.table("connection.mode-config", findings, EXAMPLE)?;
    let push = config
        .get("push")
        .and_then(|field| field.boolean(findings))
        .unwrap_or(false);
    match (config.get("request"), config.get("pools")) {
        (Some(_), Some(pools)) => {
            findings.error_help(
                pools.key_span,
                "\"request\" and \"pools\" are both there",
                "\"request\" is what we want of the peer, \"pools\" is what we have for it: keep one",
            );
            None
        }
        (None, None) => {
            findings.error_help(
                field.span,
                "this asks for nothing and has nothing",
                format!("write mode-config = {EXAMPLE}, or pools = [\"clients\"]"),
            );
            None
        }
        (Some(request), None) => {
            for name in ["dns", "nbns", "split-include", "local-lan"] {
                if let Some(field) = config.get(name) {
                    findings.error_help(
                        field.key_span,
                        format!("\"{name}\" goes with \"pools\": it is what we have for the peer"),
                        "take it out",
                    );
                }
            }
            let mut client = ConfigClient {
                v4: false,
                v6: false,
                unity: false,
                push,
            };
            for (text, span) in request.texts(findings, "[\"ipv4\"]")? {
                match text {
                    "ipv4" => client.v4 = true,
                    "ipv6" => client.v6 = true,
                    "unity" => client.unity = true,
                    _ => findings.error_help(
                        span,
                        format!("\"{}\" cannot be asked for", text.escape_debug()),
                        "write \"ipv4\", \"ipv6\" or both, and \"unity\" where the peer says which nets the tunnel is for",
                    ),
                }
            }
            if client.unity && !client.v4 {
                findings.error_help(
                    request.span,
                    "\"unity\" goes with \"ipv4\": its nets are of IPv4, and come with an address",
                    "write request = [\"ipv4\", \"unity\"]",
                );
            }
            (client.v4 || client.v6).then_some(ModeConfig::Client(client))
        }
        (None, Some(names)) => {
            let mut found: Vec<Pool> = Vec::new();
            for (name, span) in names.texts(findings, "[\"clients\"]")? {
                match pools.iter().find(|pool| pool.name == name) {
                    Some(pool) => found.push(pool.clone()),
                    None => findings.error_help(
                        span,
                        format!("there is no pool \"{}\"", name.escape_debug()),
                        format!("write {POOL_EXAMPLE}"),
                    ),
                }
            }
            Some(ModeConfig::Server(ConfigServer {
                pools: found,
                dns: servers(&config, "dns", findings),
                nbns: servers(&config, "nbns", findings),
                split_include: nets(&config, "split-include", findings),
                local_lan: nets(&config, "local-lan", findings),
                push,
            }))
        }
    }
}

/// The addresses of name servers. Of IPv6 there is no attribute.
fn servers(table: &Table<'_>, name: &'static str, findings: &mut Findings) -> Vec<IpAddr> {
    const SERVERS: &str = "[\"10.2.0.53\"]";
    let Some(texts) = table.get(name).and_then(|f| f.texts(findings, SERVERS)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (text, span) in texts {
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() && all.len() < MAX_NAME_SERVERS => {
                all.push(address);
            }
            _ => findings.error_help(
                span,
                format!(
                    "\"{}\" is no IPv4 address, or one too many: {} can be sent",
                    text.escape_debug(),
                    MAX_NAME_SERVERS
                ),
                format!("write {name} = {SERVERS}"),
            ),
        }
    }
    all
}

/// Nets that the client is told of (Cisco Unity).
fn nets(table: &Table<'_>, name: &'static str, findings: &mut Findings) -> Vec<Net> {
    const NETS: &str = "[\"10.1.0.0/16\"]";
    let Some(texts) = table.get(name).and_then(|f| f.texts(findings, NETS)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (text, span) in texts {
        let net = text.parse().ok().and_then(|net: Ipv4Net| {
            let whole = net.network() == net.addr();
            Net::new(net.addr(), net.prefix_len()).filter(|_| whole)
        });
        match net {
            Some(net) if all.len() < MAX_UNITY_NETS => all.push(net),
            _ => findings.error_help(
                span,
                format!(
                    "\"{}\" is no IPv4 net, or one too many: {MAX_UNITY_NETS} can be sent",
                    text.escape_debug()
                ),
                format!("write {name} = {NETS}"),
            ),
        }
    }
    all
}

/// Whether what is said of nets fits what they are for.
pub fn check_nets(
    table: &Table<'_>,
    mode_config: Option<&ModeConfig>,
    children: &[Child],
    start: Start,
    findings: &mut Findings,
) {
    let span = |name| table.get(name).map_or(table.span.clone(), |f| f.span);
    match mode_config {
        Some(ModeConfig::Client(client)) if client.unity && start == Start::OnDemand => {
            findings.error_help(
                span("start"),
                "\"start\" is \"on-demand\", and which traffic is to ask for this connection is known only when the peer has said \
                 which nets the tunnel is for (\"unity\")",
                "write start = \"auto\", or take out \"unity\"",
            );
        }
        Some(ModeConfig::Server(server)) if !server.split_include.is_empty() => {
            let all = Selector::subnet([0, 0, 0, 0].into(), 0);
            let has_all = |child: &Child| child.local.contains(&SelectorConfig::Fixed(all));
            if !children.is_empty() && !children.iter().any(has_all) {
                findings.warn(
                    span("mode-config"),
                    "clients that know \"split-include\" ask for all of IPv4 at once, whatever the nets are, and no child has that: \
                     they get a part",
                    "write local = [\"0.0.0.0/0\"] in a child",
                );
            }
        }
        _ => {}
    }
}
