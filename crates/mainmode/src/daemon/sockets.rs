//! The UDP sockets of IKE. They tell the address that a datagram came to, and send from the address
//! that they are told, so that `LocalAddress` and NAT-D are true on a wildcard address too.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};

use dataplane::{Mark, PlaneError};

use super::StartError;
use super::passed::Passed;
use crate::config::ListenSocket;

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;
/// Room for what waits while the endpoint works: some 1,000 messages.
pub(super) const RECEIVE_BUFFER: usize = 1 << 20;

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(.source))]
pub struct SocketError {
    address: SocketAddr,
    source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another IKE daemon may be running; see `ss -ulpn`)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE; or set `port` and `nat-port` in [listen])"
        }
        io::ErrorKind::AddrNotAvailable => " (no interface has this address)",
        _ => "",
    }
}

/// One socket.
#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    bound: SocketAddr,
    /// ESP may come here too (RFC 3948).
    nat: bool,
}

/// All sockets of the daemon.
#[derive(Debug)]
pub struct Sockets {
    /// Those that are read here come first.
    all: Vec<Socket>,
    /// How many those are.
    read: usize,
    /// What a data plane has read from the others.
    passed: Option<Passed>,
    buffer: Vec<u8>,
}

/// A datagram as it came.
#[derive(Debug)]
pub struct Received {
    /// The address and port it came to.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

impl Sockets {
    /// Opens them all, or none.
    ///
    /// # Errors
    ///
    /// The first that cannot be opened, and why.
    pub fn open(wanted: &[ListenSocket]) -> Result<Self, SocketError> {
        let open = |address: SocketAddr| {
            open(address, false).map_err(|errno| SocketError {
                address,
                source: errno.into(),
            })
        };
        let mut sockets = Vec::new();
        for listen in wanted {
            match open(listen.address) {
                Ok(fd) => sockets.push(Socket {
                    fd,
                    bound: listen.address,
                    nat: listen.nat,
                }),
                // A host without IPv6 is no reason not to serve IPv4.
                Err(error)
                    if listen.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                        && error.source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Sockets {
            read: sockets.len(),
            all: sockets,
            passed: None,
            buffer: vec![0; MAX_DATAGRAM],
        })
    }

    /// Hands the NAT-T sockets over to a data plane, `each` of every address, between which the system spreads the
    /// peers. From now on they are written here and not read, and `passed` gives what is IKE. All sockets pass by
    /// the routes into the tunnels.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn hand_over(
        &mut self,
        each: usize,
        mark: Mark,
        passed: Passed,
    ) -> Result<Vec<OwnedFd>, StartError> {
        let mut given = Vec::new();
        for socket in &self.all {
            dataplane::bypass(&socket.fd, mark)?;
            if !socket.nat {
                continue;
            }
            given.push(socket.fd.try_clone()?);
            let failed = |errno: Errno| SocketError {
                address: socket.bound,
                source: errno.into(),
            };
            for _ in 1..each {
                // Only now, so that whoever else has the port was noticed when it was bound.
                setsockopt(&socket.fd, sockopt::ReusePort, &true).map_err(failed)?;
                given.push(open(socket.bound, true).map_err(failed)?);
            }
        }
        self.all.sort_by_key(|socket| socket.nat);
        self.read = self.all.iter().filter(|socket| !socket.nat).count();
        self.passed = Some(passed);
        Ok(given)
    }

    /// Lets the kernel's IPsec take the ESP that comes in UDP, and lets IKE pass whatever its policies say.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn share_with_kernel(&self) -> Result<(), PlaneError> {
        for socket in &self.all {
            dataplane::exempt(&socket.fd, socket.bound.ip())?;
            if socket.nat {
                dataplane::take_esp_from(&socket.fd)?;
            }
        }
        Ok(())
    }

    /// How many datagrams wait that a data plane has passed on.
    pub fn passed(&self) -> usize {
        self.passed.as_ref().map_or(0, Passed::len)
    }

    /// The next of them.
    pub fn take_passed(&self) -> Option<Received> {
        self.passed.as_ref()?.take()
    }

    /// The descriptors, to wait on; in the order of [`Sockets::receive`]'s numbers.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.all[..self.read].iter().map(|socket| socket.fd.as_fd())
    }

    /// The next datagram of a socket; `None` when none waits.
    pub fn receive(&mut self, number: usize) -> Option<Received> {
        let socket = self.all.get(number)?;
        let mut space = nix::cmsg_space!(libc::in6_pktinfo);
        let (remote, length, to) = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let received = recvmsg::<SockaddrStorage>(
                socket.fd.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::MSG_DONTWAIT,
            );
            match received {
                Ok(message) => {
                    let to = message
                        .cmsgs()
                        .ok()
                        .and_then(|mut list| list.find_map(|c| destination(&c)));
                    break (
                        message.address.as_ref().and_then(address)?,
                        message.bytes,
                        to,
                    );
                }
                // An earlier sending's ICMP error, or a signal: what waits is still there.
                Err(
                    Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH,
                ) => {}
                Err(_) => return None,
            }
        };
        let ip = to.unwrap_or_else(|| socket.bound.ip());
        Some(Received {
            local: SocketAddr::new(ip, socket.bound.port()),
            remote,
            bytes: self.buffer.get(..length)?.to_vec(),
        })
    }

    /// Sends a datagram from an address and port of ours.
    ///
    /// # Errors
    ///
    /// What the system says, or that no socket is bound to that address.
    pub fn send(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let fits = |socket: &&Socket| {
            socket.bound.port() == local.port()
                && socket.bound.is_ipv4() == local.is_ipv4()
                && (socket.bound.ip() == local.ip() || socket.bound.ip().is_unspecified())
        };
        let Some(socket) = self.all.iter().find(fits) else {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("no socket is bound to {local}"),
            ));
        };
        let slices = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(remote);
        let send = |control: &[ControlMessage<'_>]| {
            sendmsg(
                socket.fd.as_raw_fd(),
                &slices,
                control,
                MsgFlags::MSG_DONTWAIT,
                Some(&to),
            )
        };
        let outcome = match local.ip() {
            IpAddr::V4(ip) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from_ne_bytes(ip.octets()),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                send(&[ControlMessage::Ipv4PacketInfo(&info)])
            }
            IpAddr::V6(ip) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: ip.octets(),
                    },
                    ipi6_ifindex: 0,
                };
                send(&[ControlMessage::Ipv6PacketInfo(&info)])
            }
        };
        outcome.map(|_| ()).map_err(Into::into)
    }
}

fn open(address: SocketAddr, shared: bool) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv4() {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    // As much as the system allows: a smaller buffer is no error.
    let _ = setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER);
    if shared {
        setsockopt(&fd, sockopt::ReusePort, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

fn destination(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    // With the number of the interface, where the address is one of a link: an answer has to go back there.
    storage
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::V6((*v6).into()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::*;

    fn listen(address: &str) -> ListenSocket {
        ListenSocket {
            address: address.parse().unwrap(),
            nat: false,
        }
    }

    fn free_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    }

    fn wait_for(sockets: &mut Sockets) -> Received {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(received) = sockets.receive(0) {
                return received;
            }
            assert!(Instant::now() < end, "no datagram came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_wildcard_socket_tells_the_address_it_was_reached_at_and_answers_from_it() {
        let port = free_port();
        let mut sockets = Sockets::open(&[listen(&format!("0.0.0.0:{port}"))]).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        peer.send_to(b"ping", ("127.0.0.9", port)).unwrap();
        let received = wait_for(&mut sockets);
        assert_eq!(
            received.local,
            SocketAddr::new("127.0.0.9".parse().unwrap(), port)
        );
        assert_eq!(received.remote, peer.local_addr().unwrap());
        assert_eq!(received.bytes, b"ping");
        sockets
            .send(received.local, received.remote, b"pong")
            .unwrap();
        let mut answer = [0; 8];
        let (length, from) = peer.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..length], from), (&b"pong"[..], received.local));
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_a_hint() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap().to_string();
        let error = Sockets::open(&[listen(&address)]).unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("another IKE daemon"),
            "{error}"
        );
    }
}
