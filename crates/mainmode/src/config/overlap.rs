//! What only shows when connections are compared: names, secrets and sockets.

use std::collections::HashMap;
use std::net::IpAddr;

use crypto::ct_eq;

use super::connection::WrittenConnection;
use super::diagnostic::Findings;
use super::model::{Config, Connection, DataPlane, Exchange, ListenSocket, Remote, RemoteAddress};

/// Names that stand twice, and remotes that overlap with different secrets.
pub fn check(written: &[WrittenConnection], findings: &mut Findings) {
    let mut seen: HashMap<&str, &WrittenConnection> = HashMap::new();
    for one in written {
        let name = one.connection.name.as_str();
        if let Some(first) = seen.get(name) {
            let location = &first.connection.location;
            findings.error_help(
                one.name_span.clone(),
                format!(
                    "there are two connections \"{name}\"; the first is in line {}",
                    location.line
                ),
                "give each a name of its own",
            );
        } else {
            seen.insert(name, one);
        }
    }
    for (at, one) in written.iter().enumerate() {
        let clash = written[..at]
            .iter()
            .find(|other| clash(&one.connection, &other.connection));
        if let Some(other) = clash {
            findings.error_help(
                one.remote_span.clone(),
                format!(
                    "the remote \"{}\" overlaps with \"{}\" of connection \"{}\" (line {}), and their \
                     pre-shared keys differ: the key is chosen by the peer's address, before its \
                     identity is known",
                    one.connection.remote.address,
                    other.connection.remote.address,
                    other.connection.name,
                    other.connection.location.line,
                ),
                "give both the same key, or remotes that do not overlap",
            );
        }
    }
}

/// Whether a peer could be meant by both, and their pre-shared keys differ.
pub(crate) fn clash(a: &Connection, b: &Connection) -> bool {
    may_meet(a, b) && keys_differ(a, b)
}

/// Two data planes that want the same packets.
pub fn check_planes(written: &[WrittenConnection], findings: &mut Findings) {
    let has = |plane| move |one: &&WrittenConnection| one.connection.dataplane == plane;
    let kernel = written.iter().find(has(DataPlane::Kernel));
    let user = written.iter().find(has(DataPlane::User));
    if let (Some(kernel), Some(user)) = (kernel, user) {
        let (first, second) = if kernel.name_span.start < user.name_span.start {
            (kernel, user)
        } else {
            (user, kernel)
        };
        let location = &first.connection.location;
        findings.error_help(
            second.dataplane_span.clone(),
            format!(
                "connection \"{}\" (line {}) has another data plane: \"kernel\" and \"user\" cannot both be had, \
                 since both take what comes to the ports for NAT traversal, and as ESP",
                first.connection.name, location.line
            ),
            "write the same for all connections; \"none\" goes with either",
        );
    }
}

fn keys_differ(a: &Connection, b: &Connection) -> bool {
    // Aggressive Mode tells the identity first, and each connection is for one exchange.
    let told_apart = match (a.exchange, b.exchange) {
        (Exchange::Main, Exchange::Main) => false,
        (Exchange::Aggressive, Exchange::Aggressive) => {
            a.remote.id.is_some() && b.remote.id.is_some() && a.remote.id != b.remote.id
        }
        _ => true,
    };
    if told_apart {
        return false;
    }
    match (a.psk(), b.psk()) {
        (Some(a), Some(b)) => !ct_eq(a.as_bytes(), b.as_bytes()),
        _ => false,
    }
}

/// Whether a peer could be meant by both.
fn may_meet(a: &Connection, b: &Connection) -> bool {
    if let (Some(a), Some(b)) = (a.local.address, b.local.address)
        && a != b
    {
        return false;
    }
    remotes_overlap(&a.remote, &b.remote)
}

fn remotes_overlap(a: &Remote, b: &Remote) -> bool {
    use RemoteAddress as R;
    match (&a.address, &b.address) {
        (R::Any, _) | (_, R::Any) => true,
        // Two peers at one address are told apart by their ports, where both name one.
        (R::Address(x), R::Address(y)) => x == y && !ports_differ(a, b),
        (R::LinkLocal(x, _), R::LinkLocal(y, _)) => x == y && !ports_differ(a, b),
        (R::Host(x), R::Host(y)) => x == y && !ports_differ(a, b),
        (x, y) => match (span(x), span(y)) {
            (Some((first_x, last_x)), Some((first_y, last_y))) => {
                first_x.is_ipv4() == first_y.is_ipv4() && first_x <= last_y && first_y <= last_x
            }
            // What a name stands for is not known before it is resolved.
            _ => false,
        },
    }
}

/// The first and the last of the addresses, where they are known.
fn span(address: &RemoteAddress) -> Option<(IpAddr, IpAddr)> {
    match address {
        RemoteAddress::Subnet(net) => Some((net.network(), net.broadcast())),
        RemoteAddress::Range(first, last) => Some((*first, *last)),
        RemoteAddress::Address(address) => Some((*address, *address)),
        RemoteAddress::LinkLocal(address, _) => Some(((*address).into(), (*address).into())),
        RemoteAddress::Any | RemoteAddress::Host(_) => None,
    }
}

fn ports_differ(a: &Remote, b: &Remote) -> bool {
    a.port_written && b.port_written && a.port != b.port
}

/// Sockets that could not all be bound: one port for IKE with and without the non-ESP marker.
pub fn check_sockets(config: &Config, written: &[WrittenConnection], findings: &mut Findings) {
    let sockets = config.listen_sockets();
    let clash = |nat: bool, socket: &ListenSocket| {
        sockets
            .iter()
            .any(|other| other.nat != nat && other.collides(socket))
    };
    for one in written {
        let local = &one.connection.local;
        let ours = sockets.iter().filter(|socket| {
            let port = if socket.nat {
                local.nat_port
            } else {
                local.port
            };
            socket.address.port() == port
                && local.address.is_none_or(|address| {
                    socket.address.ip() == address || socket.address.ip().is_unspecified()
                })
        });
        for socket in ours {
            if clash(socket.nat, socket) {
                findings.error_help(
                    one.local_span.clone(),
                    format!(
                        "port {} is used both as \"port\" and as \"nat-port\" on one address",
                        socket.address.port()
                    ),
                    "give IKE behind a NAT a port of its own",
                );
                break;
            }
        }
    }
}
