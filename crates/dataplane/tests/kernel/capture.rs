//! What passes the interfaces of a host, and tshark's reading of it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
    sockopt,
};

use crate::Outcome;
use crate::lab::{Host, Lab};

/// Link type of a file whose packets begin with IP.
const RAW_IP: u32 = 101;
/// Room for what passes during a trial.
const BUFFER: usize = 16 << 20;
/// ESP's number.
const ESP: &str = "50";
/// More than any packet, of those that the kernel has joined too.
const LONGEST: usize = 70_000;

/// Every IP packet that a host sends or receives from now on, on whatever interface.
pub struct Capture {
    host: Host,
    socket: OwnedFd,
}

/// Why tshark cannot read what was captured here.
pub fn missing_tshark() -> Option<String> {
    let ran = Command::new("tshark").arg("--version").output();
    let works = ran.is_ok_and(|done| done.status.success());
    (!works).then(|| "tshark is not installed, or does not run here".to_owned())
}

impl Capture {
    pub fn start(host: &Host) -> Outcome<Self> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let all = SockProtocol::EthAll;
            let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, all)?;
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
            nix::Result::Ok(socket)
        };
        Ok(Self {
            host: host.clone(),
            socket: host.inside(open)?,
        })
    }

    /// The packets of one interface so far; those of all others are forgotten.
    pub fn packets(&self, interface: &str) -> Outcome<Vec<Vec<u8>>> {
        let name = interface.to_owned();
        let index = self
            .host
            .inside(move || nix::net::if_::if_nametoindex(name.as_str()))?;
        let mut packets = Vec::new();
        let mut buffer = vec![0; LONGEST];
        while let Ok((len, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            let Some(from) = from else { continue };
            let is_ip = buffer
                .first()
                .is_some_and(|first| matches!(first >> 4, 4 | 6));
            let ip = [libc::ETH_P_IP, libc::ETH_P_IPV6]
                .iter()
                .any(|ip| i32::from(u16::from_be(from.protocol())) == *ip);
            if from.ifindex() == usize::try_from(index)? && ip && is_ip {
                packets.push(buffer[..len].to_vec());
            }
        }
        Ok(packets)
    }
}

/// What tshark says of these fields, a line for each packet, fields with tabs between. Hosts that look for their
/// neighbours and routers are passed over.
pub fn dissect(
    lab: &Lab,
    packets: &[Vec<u8>],
    options: &[String],
    fields: &[&str],
) -> Outcome<Vec<String>> {
    let mut file = Vec::new();
    // The magic number, the format's version 2.4, two zeros, the longest, the link type; then each packet with its
    // time, its length as stored and as it was.
    for word in [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 0xffff, RAW_IP] {
        file.extend(u32::to_ne_bytes(word));
    }
    for (packet, number) in packets.iter().zip(0_u32..) {
        let len = u32::try_from(packet.len())?;
        for word in [number, 0, len, len] {
            file.extend(u32::to_ne_bytes(word));
        }
        file.extend(packet);
    }
    let path = lab.file("capture");
    std::fs::write(&path, file)?;
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(&path);
    // Nobody's settings but ours.
    tshark.env("HOME", lab.file("home"));
    for option in options {
        tshark.arg("-o").arg(option);
    }
    tshark.args(["-T", "fields", "-E", "occurrence=f"]);
    for field in ["ipv6.nxt", "icmpv6.type"].iter().chain(fields) {
        tshark.args(["-e", field]);
    }
    let done = tshark.output()?;
    if !done.status.success() {
        return Err(format!("tshark: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    let text = String::from_utf8(done.stdout)?;
    let traffic = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (next, kind, rest) = (parts.next()?, parts.next()?, parts.next()?);
        (kind.is_empty() || next == ESP).then(|| rest.to_owned())
    });
    Ok(traffic.collect())
}
