//! The outer side: ESP in UDP by the shared NAT-T sockets, or ESP as an IP protocol by raw ones. Datagrams of
//! one length for one peer go to the kernel as one, and come from it as one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType,
    SockaddrStorage, connect, getsockname, getsockopt, recvmsg, sendmmsg, sendmsg, setsockopt,
    socket, sockopt,
};
// The macros of nix that this needs call each other by name.
use nix::{getsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, Type};

use super::association::Path;
use crate::{Mark, exempt};

/// Datagrams that the kernel takes as one (`UDP_MAX_SEGMENTS` before Linux 6.9).
const MAX_SEGMENTS: usize = 64;
/// Bytes that it takes as one: a datagram's limit, less headers.
const MAX_GSO_BYTES: usize = 65_000;
/// What ESP adds to a packet at most with any but the longest ICVs, in bytes.
const ADDED: usize = 64;
/// Datagrams of different lengths handed over in one call.
const MAX_MESSAGES: usize = 64;
/// Room in the kernel for what waits to be sent or read: some milliseconds at 10 Gbit/s.
const SOCKET_BUFFER: usize = 8 << 20;
/// Milliseconds to wait for room to send before a packet is given up.
const SEND_PATIENCE: u8 = 50;
/// The largest datagram.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// What a path carries when nobody knows better.
const USUAL_MTU: usize = 1500;

sockopt_impl!(
    /// `IPV6_MTU`: what the path of a connected socket carries.
    Ipv6Mtu,
    GetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU,
    libc::c_int
);

/// A socket that ESP goes through.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) fd: OwnedFd,
    bound: SocketAddr,
    /// ESP in UDP; else the socket is a raw one.
    pub(super) udp: bool,
}

/// Where a datagram came from, and what its header said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) len: usize,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// DSCP and ECN.
    pub(super) traffic_class: u8,
    /// It is several of this length, of which the last may be shorter.
    pub(super) segment: usize,
}

/// Makes packets of a socket pass by the routes into the tunnels: they are what the tunnels are made of.
pub(super) fn mark(fd: &impl AsFd, mark: Mark) -> nix::Result<()> {
    setsockopt(fd, sockopt::Mark, &mark.value)
}

/// Makes the packets of a bound socket pass in both directions, whatever is led into the tunnels and whatever must not
/// come in unprotected.
pub(super) fn set_free(fd: &impl AsFd, its: Mark) -> nix::Result<()> {
    mark(fd, its)?;
    let bound = getsockname::<SockaddrStorage>(fd.as_fd().as_raw_fd())?;
    if let Some(bound) = address(&bound) {
        // A kernel without IPsec drops nothing.
        let _ = exempt(fd, bound.ip());
    }
    Ok(())
}

impl Wire {
    /// A NAT-T socket that somebody else has bound.
    pub(super) fn udp(fd: OwnedFd, its: Mark) -> nix::Result<Self> {
        let bound = getsockname::<SockaddrStorage>(fd.as_raw_fd())?;
        let bound = address(&bound).ok_or(Errno::EAFNOSUPPORT)?;
        let wire = Self {
            fd,
            bound,
            udp: true,
        };
        wire.prepare(its)?;
        // Not there before Linux 5.0: then datagrams come one by one.
        let _ = setsockopt(&wire.fd, sockopt::UdpGroSegment, &true);
        Ok(wire)
    }

    /// A socket for ESP as an IP protocol of its own.
    pub(super) fn raw(v6: bool, its: Mark) -> io::Result<Self> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let fd = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_ESP)))?.into();
        let any = if v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            IpAddr::from([0; 4])
        };
        let wire = Self {
            fd,
            bound: SocketAddr::new(any, 0),
            udp: false,
        };
        wire.prepare(its)?;
        Ok(wire)
    }

    fn prepare(&self, its: Mark) -> nix::Result<()> {
        set_free(&self.fd, its)?;
        let fd = &self.fd;
        if self.bound.is_ipv4() {
            setsockopt(fd, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(fd, sockopt::IpRecvTos, &true)?;
        } else {
            setsockopt(fd, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(fd, sockopt::Ipv6RecvTClass, &true)?;
        }
        // Beyond the administrator's limit; a smaller one works too, only less well under load.
        let _ = setsockopt(fd, sockopt::RcvBufForce, &SOCKET_BUFFER);
        let _ = setsockopt(fd, sockopt::SndBufForce, &SOCKET_BUFFER);
        Ok(())
    }

    /// Whether packets of a path leave by this socket.
    pub(super) fn serves(&self, path: &Path) -> bool {
        self.udp == path.udp
            && self.bound.is_ipv4() == path.local.is_ipv4()
            && (!self.udp || self.bound.port() == path.local.port())
            && (self.bound.ip().is_unspecified() || self.bound.ip() == path.local.ip())
    }

    /// Sends packets of one path with one traffic class, in order. What cannot be sent is lost, as on any
    /// network.
    pub(super) fn send(&self, path: &Path, traffic_class: u8, packets: &[&[u8]]) {
        let control = Control::new(path, traffic_class);
        let mut rest = packets;
        while let Some(first) = rest.first() {
            let run = if self.udp { run(rest) } else { 1 };
            if run > 1 && self.send_as_one(path, &control, &rest[..run], first.len()) {
                rest = &rest[run..];
                continue;
            }
            // Up to the next run; or all of this one, when the kernel did not take it as one.
            let singles = if run > 1 {
                run
            } else {
                singles(rest, self.udp)
            };
            self.send_each(path, &control, &rest[..singles]);
            rest = &rest[singles..];
        }
    }

    /// Whether the kernel took it: it does not when the packets are longer than the path carries, nor before
    /// Linux 4.18.
    fn send_as_one(&self, path: &Path, control: &Control, packets: &[&[u8]], len: usize) -> bool {
        let Ok(len) = u16::try_from(len) else {
            return false;
        };
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS];
        for (slice, packet) in slices.iter_mut().zip(packets) {
            *slice = IoSlice::new(packet);
        }
        let slices = &slices[..packets.len()];
        let mut messages = control.messages();
        messages.push(ControlMessage::UdpGsoSegments(&len));
        let to = SockaddrStorage::from(path.remote);
        let sent = self.patiently(|| {
            sendmsg(
                self.fd.as_raw_fd(),
                slices,
                &messages,
                MsgFlags::empty(),
                Some(&to),
            )
            .map(|_| ())
        });
        !matches!(sent, Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO))
    }

    fn send_each(&self, path: &Path, control: &Control, packets: &[&[u8]]) {
        let to = Some(SockaddrStorage::from(path.remote));
        let messages = control.messages();
        for packets in packets.chunks(MAX_MESSAGES) {
            let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|p| [IoSlice::new(p)]).collect();
            let mut done = 0;
            while done < packets.len() {
                let count = packets.len() - done;
                let addresses = vec![to; count];
                let sent = self.patiently(|| {
                    let mut headers = MultiHeaders::preallocate(count, Some(control.room()));
                    sendmmsg(
                        self.fd.as_raw_fd(),
                        &mut headers,
                        &slices[done..],
                        &addresses,
                        &messages,
                        MsgFlags::empty(),
                    )
                    .map(Iterator::count)
                });
                // One that is refused keeps none of the others from its way.
                done += sent.unwrap_or(0).max(1);
            }
        }
    }

    /// Tries again after what passes: a signal, an ICMP error of an earlier packet, a full buffer.
    fn patiently<T>(&self, mut send: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
        let mut tries = 0;
        loop {
            let result = send();
            tries += 1;
            match result {
                Err(Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH) if tries < 3 => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) if tries < 3 => {
                    let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut fds, PollTimeout::from(SEND_PATIENCE));
                }
                result => return result,
            }
        }
    }

    /// The next datagram, or several of one length as one; `None` when none waits.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<Arrival> {
        let mut space = cmsg_space!(libc::in6_pktinfo, libc::c_int, libc::c_int);
        loop {
            let mut slices = [IoSliceMut::new(buffer)];
            let received = recvmsg::<SockaddrStorage>(
                self.fd.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::MSG_DONTWAIT,
            );
            let message = match received {
                Ok(message) => message,
                Err(
                    Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH,
                ) => {
                    continue;
                }
                Err(_) => return None,
            };
            let Some(from) = message.address.as_ref().and_then(address) else {
                continue;
            };
            let mut arrival = Arrival {
                len: message.bytes,
                from,
                to: self.bound,
                traffic_class: 0,
                segment: message.bytes,
            };
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        arrival
                            .to
                            .set_ip(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        arrival.to.set_ip(IpAddr::from(info.ipi6_addr.s6_addr));
                    }
                    ControlMessageOwned::Ipv4Tos(class) => arrival.traffic_class = class,
                    ControlMessageOwned::Ipv6TClass(class) => {
                        arrival.traffic_class = u8::try_from(class).unwrap_or(0);
                    }
                    ControlMessageOwned::UdpGroSegments(size) => {
                        arrival.segment = usize::try_from(size).unwrap_or(message.bytes);
                    }
                    _ => {}
                }
            }
            return Some(arrival);
        }
    }
}

/// How many packets of this length go as one, once they are sealed.
pub(super) fn segments(mtu: u16) -> u32 {
    let most = MAX_GSO_BYTES / (usize::from(mtu) + ADDED);
    u32::try_from(most.clamp(1, MAX_SEGMENTS)).unwrap_or(1)
}

/// How many of the packets can go as one: all of one length, but for the last, which may be shorter.
fn run(packets: &[&[u8]]) -> usize {
    let len = packets.first().map_or(0, |packet| packet.len());
    let most = MAX_SEGMENTS.min(MAX_GSO_BYTES / len.max(1));
    let same = packets
        .iter()
        .take(most)
        .take_while(|packet| packet.len() == len)
        .count();
    let shorter = packets.get(same).is_some_and(|packet| packet.len() < len);
    same + usize::from(shorter && same < most)
}

/// How many go one by one before a run begins.
fn singles(packets: &[&[u8]], runs: bool) -> usize {
    if !runs {
        return packets.len();
    }
    let begins = (1..packets.len()).find(|at| run(&packets[*at..]) > 1);
    begins.unwrap_or(packets.len())
}

/// What goes beside the packets of a path.
struct Control {
    v4: Option<libc::in_pktinfo>,
    v6: Option<libc::in6_pktinfo>,
    class: u8,
    class_v6: libc::c_int,
}

impl Control {
    fn new(path: &Path, class: u8) -> Self {
        let (v4, v6) = match path.local.ip() {
            IpAddr::V4(ip) => {
                let own = u32::from_ne_bytes(ip.octets());
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: own },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                (Some(info), None)
            }
            IpAddr::V6(ip) => {
                let own = libc::in6_addr {
                    s6_addr: ip.octets(),
                };
                let info = libc::in6_pktinfo {
                    ipi6_addr: own,
                    ipi6_ifindex: 0,
                };
                (None, Some(info))
            }
        };
        Self {
            v4,
            v6,
            class,
            class_v6: class.into(),
        }
    }

    /// Room for exactly [`Self::messages`]: all of it is given to the kernel.
    fn room(&self) -> Vec<u8> {
        match (self.class, &self.v6) {
            (0, None) => cmsg_space!(libc::in_pktinfo),
            (_, None) => cmsg_space!(libc::in_pktinfo, u8),
            (0, Some(_)) => cmsg_space!(libc::in6_pktinfo),
            (_, Some(_)) => cmsg_space!(libc::in6_pktinfo, libc::c_int),
        }
    }

    fn messages(&self) -> Vec<ControlMessage<'_>> {
        let v4 = self.v4.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let v6 = self.v6.as_ref().map(ControlMessage::Ipv6PacketInfo);
        let class = match (self.class, &self.v6) {
            (0, _) => None,
            (_, None) => Some(ControlMessage::Ipv4Tos(&self.class)),
            (_, Some(_)) => Some(ControlMessage::Ipv6TClass(&self.class_v6)),
        };
        v4.into_iter().chain(v6).chain(class).collect()
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::V4((*v4).into())),
        // With the interface of an address of a link: what answers goes back there.
        (_, Some(v6)) => Some(SocketAddr::V6((*v6).into())),
        _ => None,
    }
}

/// The largest IP packet that the path to a peer carries, as far as the kernel knows.
pub(super) fn path_mtu(path: &Path, its: Mark) -> usize {
    let ask = || -> nix::Result<libc::c_int> {
        let v4 = path.remote.is_ipv4();
        let family = if v4 {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        mark(&fd, its)?;
        let to = SocketAddr::new(path.remote.ip(), 4500);
        connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
        if v4 {
            getsockopt(&fd, sockopt::IpMtu)
        } else {
            getsockopt(&fd, Ipv6Mtu)
        }
    };
    ask()
        .ok()
        .and_then(|mtu| usize::try_from(mtu).ok())
        .unwrap_or(USUAL_MTU)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_one_length_go_as_one_with_a_shorter_one_at_the_end() {
        let bytes = [0; 3000];
        let packets =
            |lens: &[usize]| -> Vec<&[u8]> { lens.iter().map(|len| &bytes[..*len]).collect() };
        assert_eq!(run(&packets(&[100, 100, 100, 60, 60])), 4);
        assert_eq!(segments(1400), 44);
        assert_eq!(run(&packets(&[100, 120])), 1);
        assert_eq!(run(&packets(&[100, 60])), 2);
        assert_eq!(run(&packets(&[100; 200])), MAX_SEGMENTS);
        assert_eq!(run(&packets(&[3000; 200])), 21);
        assert_eq!(singles(&packets(&[100, 120, 130, 130]), true), 2);
        assert_eq!(singles(&packets(&[100, 120, 130, 130]), false), 4);
    }
}
