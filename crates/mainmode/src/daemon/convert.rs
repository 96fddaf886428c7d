//! From the configuration to what the keying endpoint is told.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use eventlog::LogError;
use keying::config as keyed;

use super::workers::Keyring;
use crate::config::{
    Auth, Child, Connection, DataPlane, Encap, Exchange, Fragmentation, RemoteAddress, Start, Xauth,
};

/// A configuration's connection in the endpoint's terms; its keys go into the keyring.
pub fn connection(
    connection: &Connection,
    keyring: &mut Keyring,
    filter_id: &mut impl FnMut(&str) -> Result<u64, LogError>,
) -> Result<Arc<keyed::Connection>, LogError> {
    let auth = connection
        .auth
        .iter()
        .map(|auth| keyed_auth(auth, keyring))
        .collect();
    let remote_address = match &connection.remote.address {
        RemoteAddress::Any => keyed::RemoteAddress::Any,
        RemoteAddress::Subnet(net) => keyed::RemoteAddress::Subnet {
            network: net.network(),
            prefix: net.prefix_len(),
        },
        RemoteAddress::Range(first, last) => keyed::RemoteAddress::Range {
            first: *first,
            last: *last,
        },
        RemoteAddress::Address(address) => keyed::RemoteAddress::Host(*address),
        RemoteAddress::LinkLocal(address, _) => keyed::RemoteAddress::Host((*address).into()),
        RemoteAddress::Host(name) => keyed::RemoteAddress::Name(name.clone()),
    };
    Ok(Arc::new(keyed::Connection {
        name: connection.name.clone(),
        filter_id: filter_id(&connection.name)?,
        local_address: connection.local.address,
        local_nat_port: connection.local.nat_port,
        remote_address,
        remote_port: connection.remote.port,
        remote_nat_port: connection.remote.nat_port,
        local_id: connection.local.id.clone(),
        remote_id: connection.remote.id.clone(),
        auth,
        xauth: connection.xauth.as_ref().map(|part| match part {
            Xauth::Client(user) => {
                keyed::Xauth::Client(keyring.add_users(std::slice::from_ref(user)))
            }
            Xauth::Server(users) => keyed::Xauth::Server {
                names: users.iter().map(|user| user.name.clone()).collect(),
                users: keyring.add_users(users),
            },
        }),
        mode_config: connection.mode_config.clone(),
        proposals: connection.proposals.clone(),
        lifetime: connection.lifetime,
        lifetime_bytes: connection.lifetime_bytes,
        retransmit: keyed::Retransmit {
            tries: connection.retransmit.tries,
            first: connection.retransmit.first,
            factor: connection.retransmit.factor,
        },
        half_open_timeout: connection.half_open_timeout,
        evidence_hold: connection.evidence_hold,
        dpd: connection.dpd.map(|dpd| keyed::Dpd {
            delay: dpd.delay,
            timeout: dpd.timeout,
        }),
        fragmentation: match connection.fragmentation {
            Fragmentation::No => keyed::Fragmentation::No,
            Fragmentation::Yes => keyed::Fragmentation::Yes,
            Fragmentation::Force => keyed::Fragmentation::Force,
        },
        fragment_size: usize::from(connection.fragment_size),
        force_encap: match connection.encap {
            Encap::Auto => connection.dataplane == DataPlane::User,
            Encap::Nat => false,
            Encap::Force => true,
        },
        nat_keepalive: connection.nat_keepalive,
        initiator_only: connection.initiator_only,
        aggressive: connection.exchange == Exchange::Aggressive,
        may_initiate: connection.start != Start::Wait,
        children: children(connection, filter_id)?,
    }))
}

/// A way to authenticate; its keys go into the keyring.
fn keyed_auth(auth: &Auth, keyring: &mut Keyring) -> keyed::Auth {
    match auth {
        Auth::Psk(secret) => keyed::Auth::Psk(keyring.add(secret)),
        Auth::Signatures(way) => {
            let trust = &way.credentials.trust;
            keyed::Auth::Signatures(keyed::Signatures {
                methods: way.methods.clone(),
                authorities: trust.requests(),
                // Who is known here already need not show a certificate.
                request: !trust.anchors.is_empty(),
                send_certificate: way.send_certificate,
                policy: way.policy,
                hybrid: way.hybrid,
                credential: keyring.add_signatures(way),
            })
        }
    }
}

/// The children. What is named within a connection has its number by both names.
fn children(
    connection: &Connection,
    filter_id: &mut impl FnMut(&str) -> Result<u64, LogError>,
) -> Result<Vec<Arc<keying::Child>>, LogError> {
    let child = |child: &Child| {
        Ok(Arc::new(keying::Child {
            name: child.name.clone(),
            filter_id: filter_id(&child_name(connection, child))?,
            local: child.local.clone(),
            remote: child.remote.clone(),
            mode: child.mode,
            proposals: child.proposals.clone(),
            compress: child.compress,
            lifetime: child.lifetime,
            lifetime_bytes: child.lifetime_bytes,
            lifetime_packets: child.lifetime_packets,
            replay_window: child.replay_window,
            auto: connection.start == Start::Auto,
            plane: format!(
                "{:?} {:?} {:?}",
                connection.dataplane, child.mark, child.interface_id
            ),
        }))
    };
    connection.children.iter().map(child).collect()
}

/// The name by which the log keeps a child's number.
pub fn child_name(connection: &Connection, child: &Child) -> String {
    format!("{}/{}", connection.name, child.name)
}

/// From where, and to where.
pub type Route = (SocketAddr, SocketAddr);

/// From where to where a negotiation of this connection goes; else why it cannot be begun here. `named` are the
/// addresses that the peer's name stands for, where it has one; of several, each has its turn with another
/// `attempt`. `listens` are the addresses that there are sockets for.
pub fn route(
    connection: &Connection,
    named: &[IpAddr],
    attempt: usize,
    listens: &[IpAddr],
) -> Result<Route, String> {
    let cannot = |what: &str| {
        format!(
            "\"{}\" is for {what}: only the peer can begin; to begin from here, name one address",
            connection.name
        )
    };
    let one;
    let mut link = 0;
    let all = match &connection.remote.address {
        RemoteAddress::Any => return Err(cannot("any address")),
        RemoteAddress::Subnet(net) => return Err(cannot(&format!("the subnet {net}"))),
        RemoteAddress::Range(first, last) => {
            return Err(cannot(&format!("the range {first}-{last}")));
        }
        RemoteAddress::Address(address) => {
            one = [*address];
            &one[..]
        }
        RemoteAddress::LinkLocal(address, interface) => {
            link = scope(interface)?;
            one = [(*address).into()];
            &one[..]
        }
        RemoteAddress::Host(_) => named,
    };
    let local = connection.local.address;
    let fits = |remote: &&IpAddr| local.is_none_or(|local| local.is_ipv4() == remote.is_ipv4());
    let all: Vec<&IpAddr> = all.iter().filter(fits).collect();
    let mut why = format!(
        "{}, the peer of \"{}\", has no address now",
        connection.remote.address, connection.name
    );
    let turns = all.iter().cycle().skip(attempt % all.len().max(1));
    for remote in turns.take(all.len()) {
        let mut remote = SocketAddr::new(**remote, connection.remote.port);
        if let SocketAddr::V6(remote) = &mut remote {
            remote.set_scope_id(link);
        }
        match local.map_or_else(|| source_for(remote, listens), Ok) {
            Ok(local) => return Ok((SocketAddr::new(local, connection.local.port), remote)),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The number that the system has for an interface.
fn scope(interface: &str) -> Result<u32, String> {
    nix::net::if_::if_nametoindex(interface)
        .map_err(|error| format!("there is no interface {interface:?} now: {error}"))
}

/// The address that the system would send from, if that is one that we listen on; else the first that we do. Connecting a
/// UDP socket sends nothing.
fn source_for(remote: SocketAddr, listens: &[IpAddr]) -> Result<IpAddr, String> {
    let usual =
        usual_source(remote).map_err(|error| format!("there is no route to {remote}: {error}"))?;
    let mut ours = listens
        .iter()
        .filter(|ours| ours.is_ipv4() == usual.is_ipv4());
    let first = ours.clone().next().ok_or_else(|| {
        format!(
            "no address that this daemon listens on ({}) is of the family of {remote}",
            listens
                .iter()
                .map(IpAddr::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )
    })?;
    if ours.any(|ours| *ours == usual || ours.is_unspecified()) {
        return Ok(usual);
    }
    Ok(*first)
}

fn usual_source(remote: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn connection(local: &str, remote: &str) -> Connection {
        let text = format!(
            "[[connection]]\nname = \"a\"\nlocal = {{ address = \"{local}\" }}\n\
             remote = {{ address = \"{remote}\", port = 501 }}\nauth = {{ psk = \"correct horse battery staple\" }}\n"
        );
        let loaded = Config::from_text(Path::new("/m.toml"), text, false);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        loaded.config.connections[0].clone()
    }

    #[test]
    fn of_several_addresses_each_has_its_turn_and_those_of_another_family_have_none() {
        let named: Vec<IpAddr> = ["2001:db8::1", "127.0.0.2", "127.0.0.3"]
            .map(|text| text.parse().expect("an address"))
            .to_vec();
        let to = |local: &str, attempt| {
            let found = route(&connection(local, "gw.example"), &named, attempt, &[]);
            found.map(|(_, remote)| remote.to_string())
        };
        for (attempt, remote) in [
            (0, "127.0.0.2:501"),
            (1, "127.0.0.3:501"),
            (2, "127.0.0.2:501"),
        ] {
            assert_eq!(to("127.0.0.1", attempt).as_deref(), Ok(remote));
        }
        assert_eq!(to("2001:db8::9", 7).as_deref(), Ok("[2001:db8::1]:501"));
    }

    #[test]
    fn what_names_no_address_of_its_own_goes_out_from_one_that_is_listened_on() {
        let remote = SocketAddr::from(([127, 0, 0, 1], 500));
        let from = |listens: &[&str]| {
            let listens: Vec<IpAddr> = listens.iter().map(|text| text.parse().unwrap()).collect();
            source_for(remote, &listens).map(|address| address.to_string())
        };
        assert_eq!(from(&["0.0.0.0", "::"]).as_deref(), Ok("127.0.0.1"));
        assert_eq!(
            from(&["127.0.0.7", "127.0.0.1"]).as_deref(),
            Ok("127.0.0.1")
        );
        assert_eq!(
            from(&["::1", "127.0.0.7", "127.0.0.8"]).as_deref(),
            Ok("127.0.0.7")
        );
        let none = from(&["::1", "::2"]).unwrap_err();
        assert!(
            none.contains("listens on (::1, ::2) is of the family of 127.0.0.1:500"),
            "{none}"
        );
    }

    #[test]
    fn a_peer_on_a_link_is_asked_there() {
        let route = |remote: &str| {
            let connection = connection("::1", remote);
            route(&connection, &[], 0, &[]).map(|(_, remote)| remote.to_string())
        };
        // Every Linux has it, as its first.
        assert_eq!(route("fe80::5%lo").as_deref(), Ok("[fe80::5%1]:501"));
        let why = route("fe80::5%nowhere").expect_err("no such interface");
        assert!(
            why.contains("there is no interface \"nowhere\" now"),
            "{why}"
        );
    }

    #[test]
    fn what_has_no_address_or_several_peers_is_said_to() {
        let why =
            |remote: &str| route(&connection("127.0.0.1", remote), &[], 0, &[]).expect_err("none");
        assert!(why("gw.example").contains("gw.example, the peer of \"a\", has no address"));
        assert!(why("any").contains("any address: only the peer can begin"));
        assert!(why("192.0.2.0/24").contains("the subnet 192.0.2.0/24"));
    }
}
