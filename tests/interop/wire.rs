//! What passes a cable, and what shape it has: ESP, ESP in UDP, AH, IKE, or nothing of the kind.

use crate::Outcome;
use crate::lab::Lab;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, getsockopt,
    recvfrom, sendto, setsockopt, socket, sockopt,
};
// The macros of nix that this needs call each other by name.
use nix::{getsockopt_impl, libc, sockopt_impl};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

sockopt_impl!(
    /// `PACKET_STATISTICS`: since the last time, how many packets came and how many found no room.
    PacketStatistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats
);

/// What passes one interface from its start on, in both directions.
pub struct Capture {
    socket: OwnedFd,
    /// The interface's number.
    interface: usize,
    /// What leaves the host comes in by this interface: it is the other end of the host's cable.
    from_afar: bool,
    /// ESP that left here, with and without UDP.
    sent: RefCell<Vec<Vec<u8>>>,
}

/// What is wrong with a packet that is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing: it was sent before.
    Nothing,
    /// Its sequence number is the next one: nobody has seen it, and nobody has sealed it.
    Sequence,
    /// Its SPI.
    Spi,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// IKE, on whatever port.
    Ike,
    /// What keeps a NAT's mapping.
    Keepalive,
    /// ESP as an IP protocol of its own.
    Esp,
    /// ESP in UDP.
    EspInUdp,
    /// AH.
    Ah,
    /// The search for neighbours, routers and groups of IPv6, and for groups of IPv4.
    Neighbours,
    /// A later fragment, which does not tell of what.
    Fragment,
    /// Anything else: nobody protects it.
    Clear,
}

/// What has passed a cable.
#[derive(Debug, Default)]
pub struct Passed {
    /// Of each shape, how long each packet is behind its IP header, and behind that of UDP.
    pub lengths: BTreeMap<Shape, Vec<usize>>,
    /// What is in the clear, its beginning.
    pub clear: Vec<String>,
}

impl Passed {
    /// How many of a shape.
    pub fn count(&self, shape: Shape) -> usize {
        self.lengths.get(&shape).map_or(0, Vec::len)
    }
}

/// Room for what passes between two looks at it.
const BUFFER: usize = 32 << 20;
/// More than any packet, of those that the kernel has joined too.
const LONGEST: usize = 70_000;
/// Of a packet in the clear, so much is shown.
const SHOWN: usize = 64;
const IKE_PORTS: [u16; 2] = [500, 4500];

impl Capture {
    /// Begins to record on a host's side of the cable.
    pub fn start(lab: &Lab, host: &str) -> Outcome<Self> {
        let (namespace, device, from_afar) = lab.cable_of(host);
        let namespace = File::open(format!("/run/netns/{namespace}"))?;
        let open = || -> nix::Result<Self> {
            // This thread alone, which ends here.
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let interface = nix::net::if_::if_nametoindex(device.as_str())?;
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let every = SockProtocol::EthAll;
            let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, every)?;
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
            Ok(Self {
                socket,
                interface: interface.try_into().unwrap_or(usize::MAX),
                from_afar,
                sent: RefCell::default(),
            })
        };
        let opened = std::thread::scope(|scope| scope.spawn(open).join());
        Ok(opened.map_err(|_| "the thread that captures panicked")??)
    }

    /// What has passed since the start or the last look.
    pub fn look(&self) -> Outcome<Passed> {
        let mut passed = Passed::default();
        let mut buffer = vec![0; LONGEST];
        while let Ok((len, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            let Some(from) = from.filter(|from| from.ifindex() == self.interface) else {
                continue;
            };
            let protocol = i32::from(u16::from_be(from.protocol()));
            if protocol == libc::ETH_P_ARP {
                continue;
            }
            let packet = &buffer[..len];
            let shape = shape(packet).unwrap_or(Shape::Clear);
            let length = protected(packet, shape);
            passed.lengths.entry(shape).or_default().push(length);
            let outgoing = i32::from(from.pkttype()) == i32::from(libc::PACKET_OUTGOING);
            if outgoing != self.from_afar && matches!(shape, Shape::Esp | Shape::EspInUdp) {
                self.sent.borrow_mut().push(packet.to_vec());
            }
            if shape == Shape::Clear {
                passed
                    .clear
                    .push(format!("{:02x?}", &packet[..len.min(SHOWN)]));
            }
        }
        let lost = getsockopt(&self.socket, PacketStatistics)?.tp_drops;
        if lost > 0 {
            return Err(format!("{lost} packets came faster than they could be recorded").into());
        }
        Ok(passed)
    }
}

impl Capture {
    /// Sends one of the packets that left here once more, with a change, so many times: of those that were seen when
    /// it was last looked, the first or the last.
    pub fn resend(
        &self,
        lab: &Lab,
        host: &str,
        last: bool,
        change: Change,
        times: usize,
    ) -> Outcome {
        let sent = self.sent.borrow();
        let packet = if last { sent.last() } else { sent.first() };
        let mut packet = packet.ok_or("no ESP has left")?.clone();
        let header = usize::from(packet[0] & 15) * 4;
        let spi = if packet[9] == 17 {
            // No checksum (RFC 768): the one that is there may be left for the interface to compute.
            packet[header + 6..header + 8].fill(0);
            header + 8
        } else {
            header
        };
        let at = match change {
            Change::Nothing => None,
            Change::Sequence => Some(spi + 4),
            Change::Spi => Some(spi),
        };
        if let Some(field) = at.and_then(|at| packet[at..].first_chunk_mut()) {
            *field = u32::from_be_bytes(*field).wrapping_add(1).to_be_bytes();
        }
        let to = Ipv4Addr::from(*packet[16..].first_chunk().ok_or("no IPv4 packet")?);
        let namespace = File::open(format!("/run/netns/{}", lab.namespace(host)))?;
        let transmit = || -> nix::Result<()> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let flags = SockFlag::SOCK_CLOEXEC;
            // With its own header.
            let raw = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw)?;
            let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
            for _ in 0..times {
                sendto(raw.as_raw_fd(), &packet, &to, MsgFlags::empty())?;
            }
            Ok(())
        };
        let done = std::thread::scope(|scope| scope.spawn(transmit).join());
        Ok(done.map_err(|_| "the thread that sends panicked")??)
    }
}

/// What a packet is; `None` when it is no whole IP packet.
fn shape(packet: &[u8]) -> Option<Shape> {
    let word = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
    let (protocol, header) = match packet.first()? >> 4 {
        4 => {
            if word(6)? & 0x1fff != 0 {
                return Some(Shape::Fragment);
            }
            (*packet.get(9)?, usize::from(packet[0] & 15) * 4)
        }
        // Hop-by-hop options come with the search for groups alone.
        6 if *packet.get(6)? == 0 => (*packet.get(40)?, 48),
        6 => (*packet.get(6)?, 40),
        _ => return None,
    };
    Some(match protocol {
        2 => Shape::Neighbours,
        50 => Shape::Esp,
        51 => Shape::Ah,
        17 => {
            let ports = [word(header)?, word(header + 2)?];
            let payload = packet.get(header + 8..)?;
            match ports.iter().find(|port| IKE_PORTS.contains(port)) {
                None => Shape::Clear,
                Some(4500) if payload == [0xff] => Shape::Keepalive,
                Some(4500) if !payload.starts_with(&[0; 4]) => Shape::EspInUdp,
                Some(_) => Shape::Ike,
            }
        }
        58 if packet[0] >> 4 == 6 && matches!(*packet.get(header)?, 130..=137 | 143) => {
            Shape::Neighbours
        }
        _ => Shape::Clear,
    })
}

/// How long what is behind the IP header is, and behind the UDP header of ESP in UDP.
fn protected(packet: &[u8], shape: Shape) -> usize {
    let header = packet.first().map_or(0, |first| match first >> 4 {
        4 => usize::from(first & 15) * 4,
        _ => 40,
    });
    let udp = if shape == Shape::EspInUdp { 8 } else { 0 };
    packet.len().saturating_sub(header + udp)
}

/// Trials of this module itself.
pub const TRIALS: crate::OwnTrials = &[("shapes_are_told_apart", shapes_are_told_apart)];

fn shapes_are_told_apart() -> Outcome {
    let v4 = |protocol: u8, payload: &[u8]| {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol];
        packet.resize(20, 0);
        packet.extend(payload);
        packet
    };
    let udp = |port: u16, payload: &[u8]| {
        let mut datagram = vec![0x30, 0x39];
        datagram.extend(port.to_be_bytes());
        datagram.extend([0; 4]);
        datagram.extend(payload);
        v4(17, &datagram)
    };
    let mut later = v4(1, &[8, 0]);
    later[7] = 1;
    for (packet, expected) in [
        (v4(50, &[1; 30]), Some(Shape::Esp)),
        (v4(51, &[1; 30]), Some(Shape::Ah)),
        (v4(2, &[0x22, 0]), Some(Shape::Neighbours)),
        (v4(1, &[8, 0]), Some(Shape::Clear)),
        (v4(4, &[0x45]), Some(Shape::Clear)),
        (udp(500, &[7; 28]), Some(Shape::Ike)),
        (udp(4500, &[0, 0, 0, 0, 7]), Some(Shape::Ike)),
        (udp(4500, &[0xff]), Some(Shape::Keepalive)),
        (udp(4500, &[0, 0, 1, 0, 7]), Some(Shape::EspInUdp)),
        (udp(53, &[7; 28]), Some(Shape::Clear)),
        (later, Some(Shape::Fragment)),
        (vec![0x45, 0], None),
        (vec![], None),
    ] {
        if shape(&packet) != expected {
            return Err(format!("{packet:02x?} is {:?}", shape(&packet)).into());
        }
    }
    Ok(())
}
