//! Who sends in the clear what should be protected. The kernel drops it ([`super::shield`]) and does not say whose it
//! was: packet sockets see what comes in, with filters that let through what comes from the peers' sides alone.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt};
// The macros of nix that this needs call each other by name.
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, Type};

use super::inner::Inner;
use super::shared::Shared;
use super::table::Protector;
use crate::Refusal;

/// Subnets that are watched of each IP version: what a filter of the kernel's has room for, which has 4,096
/// instructions at most. What comes from others is dropped, too, and not told.
const MAX_NETS: usize = 256;
/// The longest packet.
const LONGEST: usize = 65_575;
/// Packets read in a row, so that one who floods does not keep the tables from being changed.
const PACKETS: usize = 64;
const ESP: u8 = 50;
const AH: u8 = 51;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

sockopt_impl!(
    /// `SO_ATTACH_FILTER`: which packets a socket is given.
    AttachFilter,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_FILTER,
    libc::sock_fprog
);

/// The packet sockets, for IP version 4 and 6.
pub(super) struct Watch {
    sockets: [OwnedFd; 2],
    nets: Mutex<Vec<IpNet>>,
    /// What comes out of the TUN device was protected.
    device: u32,
    /// Where IKE comes in, which is in the clear.
    ike_ports: Vec<u16>,
}

impl Watch {
    /// Opens them; nothing is let through yet.
    pub(super) fn open(device: u32, ike_ports: Vec<u16>) -> io::Result<Self> {
        let open = |kind: i32| {
            // In network byte order; a protocol of Ethernet has 16 bits.
            let protocol = u16::try_from(kind).unwrap_or_default().to_be();
            let protocol = Protocol::from(i32::from(protocol));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(protocol))?;
            let socket = OwnedFd::from(socket);
            attach(&socket, &[give(0)])?;
            // What came before the filter.
            while recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut [0]).is_ok() {}
            io::Result::Ok(socket)
        };
        Ok(Self {
            sockets: [open(libc::ETH_P_IP)?, open(libc::ETH_P_IPV6)?],
            nets: Mutex::default(),
            device,
            ike_ports,
        })
    }

    /// Lets through what comes from these subnets.
    pub(super) fn set(&self, nets: impl Iterator<Item = IpNet>) -> io::Result<()> {
        let nets = IpNet::aggregate(&nets.collect::<Vec<_>>());
        let mut before = self.nets.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == nets {
            return Ok(());
        }
        for (socket, v6) in self.sockets.iter().zip([false, true]) {
            let nets = nets.iter().filter(|net| net.addr().is_ipv6() == v6);
            attach(socket, &filter(self.device, nets.take(MAX_NETS)))?;
        }
        *before = nets;
        Ok(())
    }

    /// Tells of them, until the plane is closed.
    pub(super) fn run(&self, shared: &Arc<Shared>) {
        let mut buffer = vec![0; LONGEST];
        loop {
            let [v4, v6] = &self.sockets;
            let wait = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut fds = [
                wait(v4.as_fd()),
                wait(v6.as_fd()),
                wait(shared.stopped.as_fd()),
            ];
            let _ = poll(&mut fds, PollTimeout::NONE);
            if fds[2].any().unwrap_or(true) {
                return;
            }
            for socket in &self.sockets {
                for _ in 0..PACKETS {
                    let received = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer);
                    let Ok((len, from)) = received else { break };
                    // For this host, or by way of it: not what a promiscuous interface hears besides.
                    let host = from.is_some_and(|from| from.pkttype() == libc::PACKET_HOST);
                    if let Some(packet) = Some(&buffer[..len]).filter(|_| host) {
                        look_at(shared, packet, &self.ike_ports);
                    }
                }
            }
        }
    }
}

fn look_at(shared: &Arc<Shared>, packet: &[u8], ike_ports: &[u16]) {
    let Some(inner) = Inner::read(packet) else {
        return;
    };
    if is_free(&inner, packet, ike_ports) {
        return;
    }
    let id = match shared.tables().select(&inner.answer()) {
        Some(Protector::Sa(sa)) => Some(sa.id),
        Some(Protector::Trap(_)) => None,
        None => return,
    };
    shared
        .teller
        .refuse(Refusal::ClearText, id, inner.source, &[]);
}

/// IKE and IPsec themselves, and the search for neighbours.
fn is_free(inner: &Inner, packet: &[u8], ike_ports: &[u16]) -> bool {
    match inner.protocol {
        ESP | AH => true,
        UDP => inner.ports.is_some_and(|(_, to)| ike_ports.contains(&to)),
        ICMPV6 => packet.get(40).is_some_and(|kind| matches!(kind, 133..=136)),
        _ => false,
    }
}

fn attach(socket: &impl AsFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let mut program = program.to_vec();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    // The kernel copies the program.
    Ok(setsockopt(socket, AttachFilter, &filter)?)
}

/// The filter for these subnets, all of one IP version. It sees packets from their IP header on.
fn filter<'a>(device: u32, nets: impl Iterator<Item = &'a IpNet>) -> Vec<libc::sock_filter> {
    // What the kernel knows of a packet beside its bytes stands at negative places.
    let interface = (libc::SKF_AD_OFF + libc::SKF_AD_IFINDEX).cast_unsigned();
    let mut program = vec![load(interface), equal_or_skip(device, 1), give(0)];
    for net in nets {
        // The words of the source address, as far as the prefix goes.
        let (at, words): (u32, Vec<u32>) = match net.network() {
            IpAddr::V4(address) => (12, vec![address.to_bits()]),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let word = |n: u32| u32::try_from(bits >> (96 - 32 * n) & 0xffff_ffff);
                (8, (0..4).filter_map(|n| word(n).ok()).collect())
            }
        };
        let mut tests = Vec::new();
        for (n, word) in (0_u32..).zip(words) {
            let left = u32::from(net.prefix_len()).saturating_sub(32 * n).min(32);
            if left > 0 {
                tests.push((at + 4 * n, u32::MAX << (32 - left), word));
            }
        }
        let count = u8::try_from(tests.len()).unwrap_or_default();
        for ((at, mask, word), number) in tests.into_iter().zip(1..) {
            program.extend([load(at), and(mask)]);
            // Past the tests that are left, and what gives the packet.
            program.push(equal_or_skip(word, 3 * (count - number) + 1));
        }
        program.push(give(u32::MAX));
    }
    program.push(give(0));
    program
}

/// An instruction of the kernel's packet filter (linux/filter.h).
fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    }
}

fn load(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

fn and(mask: u32) -> libc::sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask)
}

fn equal_or_skip(value: u32, skip: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skip, value)
}

/// Ends with so many bytes of the packet.
fn give(bytes: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, of what is used here.
    fn run(program: &[libc::sock_filter], interface: u32, packet: &[u8]) -> bool {
        let (mut accumulator, mut at) = (0_u32, 0);
        loop {
            let step = &program[at];
            at += 1;
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    accumulator = match usize::try_from(step.k).unwrap() {
                        place if place < packet.len() => {
                            u32::from_be_bytes(packet[place..place + 4].try_into().unwrap())
                        }
                        _ => interface,
                    };
                }
                code if code == libc::BPF_ALU | libc::BPF_AND => accumulator &= step.k,
                code if code == libc::BPF_JMP | libc::BPF_JEQ => {
                    at += usize::from(if accumulator == step.k {
                        step.jt
                    } else {
                        step.jf
                    });
                }
                _ => return step.k > 0,
            }
        }
    }

    #[test]
    fn a_filter_lets_through_what_comes_from_its_subnets_and_not_from_the_device() {
        let nets = ["10.2.0.0/16", "192.0.2.2/32", "172.16.0.0/12"].map(|net| net.parse().unwrap());
        let program = filter(7, nets.iter());
        for (source, through) in [
            ([10, 2, 255, 1], true),
            ([10, 3, 0, 1], false),
            ([192, 0, 2, 2], true),
            ([192, 0, 2, 3], false),
            ([172, 31, 0, 1], true),
        ] {
            let mut packet = [0; 20];
            packet[12..16].copy_from_slice(&source);
            assert_eq!(run(&program, 3, &packet), through, "{source:?}");
            assert!(!run(&program, 7, &packet));
        }
        assert!(run(
            &filter(7, ["0.0.0.0/0".parse().unwrap()].iter()),
            3,
            &[0; 20]
        ));
        assert!(!run(&filter(7, [].iter()), 3, &[0; 20]));
    }

    #[test]
    fn a_filter_of_ipv6_looks_at_as_many_words_as_a_prefix_has() {
        for prefix in [0, 1, 31, 32, 33, 48, 64, 95, 96, 127, 128] {
            let address = 0x2001_0db8_1234_5678_9abc_def0_1357_9bdf_u128;
            let net = IpNet::new(IpAddr::V6(address.into()), prefix)
                .unwrap()
                .trunc();
            let program = filter(7, [net].iter());
            for bit in 0..128_u8 {
                let other = address ^ 1 << (127 - bit);
                let mut packet = [0; 40];
                packet[8..24].copy_from_slice(&other.to_be_bytes());
                assert_eq!(run(&program, 3, &packet), bit >= prefix, "{prefix} {bit}");
            }
        }
    }

    #[test]
    fn what_comes_to_ikes_ports_is_in_the_clear_and_what_comes_from_them_is_not() {
        let free = |from: u16, to: u16| {
            let mut packet = vec![
                0x45, 0, 0, 28, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 2, 0, 1, 10, 1, 0, 1,
            ];
            packet.extend(from.to_be_bytes());
            packet.extend(to.to_be_bytes());
            packet.extend([0, 8, 0, 0]);
            let inner = Inner::read(&packet).unwrap();
            is_free(&inner, &packet, &[20500, 24500])
        };
        assert!(free(24500, 24500) && free(1024, 20500));
        assert!(!free(500, 1024) && !free(24500, 1024) && !free(500, 4500));
    }

    #[test]
    fn as_many_subnets_as_are_watched_fit_into_a_filter() {
        let net = |n: usize| -> IpNet { format!("2001:db8::{n:x}/128").parse().unwrap() };
        let nets: Vec<IpNet> = (0..MAX_NETS).map(net).collect();
        assert!(filter(7, nets.iter()).len() <= 4096);
    }
}
