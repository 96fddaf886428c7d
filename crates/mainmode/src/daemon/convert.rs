//! From the configuration to what the keying endpoint is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use eventlog::LogError;
use keying::config as keyed;

use super::workers::Keyring;
use crate::config::{Child, Connection, Encap, Fragmentation, RemoteAddress, Start};

/// A configuration's connection in the endpoint's terms; its key goes into the keyring.
pub fn connection(
    connection: &Connection,
    keyring: &mut Keyring,
    filter_id: &mut impl FnMut(&str) -> Result<u64, LogError>,
) -> Result<Option<Arc<keyed::Connection>>, LogError> {
    let Some(psk) = connection.psk() else {
        return Ok(None);
    };
    let remote_address = match &connection.remote.address {
        RemoteAddress::Any => keyed::RemoteAddress::Any,
        RemoteAddress::Subnet(net) => keyed::RemoteAddress::Subnet {
            network: net.network(),
            prefix: net.prefix_len(),
        },
        RemoteAddress::Address(address) => keyed::RemoteAddress::Host(*address),
        RemoteAddress::Host(name) => {
            let address = resolve(name, connection.local.address).unwrap_or_else(|| {
                super::say(&format!(
                    "connection \"{}\": {name} has no address now; the peer cannot begin until a \
                     restart resolves it",
                    connection.name
                ));
                // Nobody's: no peer matches it.
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            });
            keyed::RemoteAddress::Host(address)
        }
    };
    Ok(Some(Arc::new(keyed::Connection {
        name: connection.name.clone(),
        filter_id: filter_id(&connection.name)?,
        local_address: connection.local.address,
        local_nat_port: connection.local.nat_port,
        remote_address,
        remote_port: connection.remote.port,
        remote_nat_port: connection.remote.nat_port,
        local_id: connection.local.id.clone(),
        remote_id: connection.remote.id.clone(),
        credential: keyring.add(psk),
        proposals: connection.proposals.clone(),
        lifetime: connection.lifetime,
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
        force_encap: connection.encap == Encap::Force,
        may_initiate: connection.start != Start::Wait,
        children: children(connection, filter_id)?,
    })))
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

/// From where to where a negotiation of this connection goes; else why it cannot be begun here.
pub fn route(connection: &Connection) -> Result<(SocketAddr, SocketAddr), String> {
    let cannot = |what: &str| {
        format!(
            "\"{}\" is for {what}: only the peer can begin; to begin from here, name one address",
            connection.name
        )
    };
    let remote = match &connection.remote.address {
        RemoteAddress::Any => return Err(cannot("any address")),
        RemoteAddress::Subnet(net) => return Err(cannot(&format!("the subnet {net}"))),
        RemoteAddress::Address(address) => *address,
        RemoteAddress::Host(name) => resolve(name, connection.local.address).ok_or_else(|| {
            format!(
                "{name}, the peer of \"{}\", has no address",
                connection.name
            )
        })?,
    };
    let remote = SocketAddr::new(remote, connection.remote.port);
    let local = match connection.local.address {
        Some(address) => address,
        None => {
            source_for(remote).map_err(|error| format!("there is no route to {remote}: {error}"))?
        }
    };
    Ok((SocketAddr::new(local, connection.local.port), remote))
}

fn resolve(name: &str, local: Option<IpAddr>) -> Option<IpAddr> {
    let mut found = (name, 0)
        .to_socket_addrs()
        .ok()?
        .map(|address| address.ip());
    found.find(|ip| local.is_none_or(|local| local.is_ipv4() == ip.is_ipv4()))
}

/// The address that the system would send from. Connecting a UDP socket sends nothing.
fn source_for(remote: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
