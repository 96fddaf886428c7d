//! From the peers to the TUN device: a thread for each socket.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use crypto::esp::OpenError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::{GROTable, SyncDevice, VIRTIO_NET_HDR_LEN};

use super::association::{Arriving, Association};
use super::early::Waiting;
use super::inner::{Inner, carry_ecn};
use super::packet::Packet;
use super::shared::{Shared, now};
use super::table::Tables;
use super::tell::Teller;
use super::window::Stale;
use super::wire::{Arrival, MAX_DATAGRAM, Wire};
use super::{IPV4, IPV6, IkeDatagram};
use crate::{PlaneEvent, Refusal};

/// Packets that are opened before they go to the device, at most.
const BATCH: usize = 512;
/// Datagrams read in a row, so that one who floods does not keep the tables from being changed.
const DATAGRAMS: usize = 64;
/// Room for the datagrams that are read before their packets go to the device: they stay in the cache so long.
const ROOM: usize = 4 * MAX_DATAGRAM;
/// An ESP packet begins with its SPI, and IKE with four zeros in its place (RFC 3948 section 2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// A datagram that keeps a NAT's mapping (RFC 3948 section 2.3).
const KEEPALIVE: [u8; 1] = [0xff];
/// How soon it is looked whether an SA is there that packets wait for.
const LOOK_AGAIN: u8 = 5; // milliseconds
/// What carries nothing (RFC 4303 section 2.6).
const NO_NEXT_HEADER: u8 = 59;

/// A socket's thread.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    device: Arc<SyncDevice>,
    /// One datagram behind the other.
    datagrams: Vec<u8>,
    /// Room for the packets of a batch, empty.
    packets: Vec<Packet<'static>>,
    joined: GROTable,
    waiting: Waiting,
}

impl Inbound {
    pub(super) fn new(shared: Arc<Shared>, wire: Arc<Wire>, number: usize) -> Self {
        let device = Arc::clone(&shared.queues[number % shared.queues.len()]);
        Self {
            shared,
            wire,
            device,
            datagrams: vec![0; ROOM],
            packets: Vec::with_capacity(BATCH),
            joined: GROTable::new(),
            waiting: Waiting::default(),
        }
    }

    /// Until the plane is closed.
    pub(super) fn run(&mut self) {
        loop {
            let mut fds = [
                PollFd::new(self.wire.fd.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.shared.stopped.as_fd(), PollFlags::POLLIN),
            ];
            let patience = if self.waiting.is_empty() {
                PollTimeout::NONE
            } else {
                LOOK_AGAIN.into()
            };
            let _ = poll(&mut fds, patience);
            if fds[1].any().unwrap_or(true) {
                return;
            }
            self.look_again();
            self.batch();
        }
    }

    /// Opens packets that came before their SA, and refuses those whose SA does not come.
    fn look_again(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let tables = shared.tables();
        let has_sa =
            |packet: &[u8]| header(packet).is_some_and(|(spi, _)| tables.by_spi(spi).is_some());
        let (mut found, vain) = self.waiting.take(Instant::now(), has_sa);
        let mut packets = Vec::with_capacity(found.len());
        for early in &mut found {
            self.open(
                &shared,
                &tables,
                &mut early.packet,
                &early.arrival,
                now(),
                &mut packets,
            );
        }
        self.flush(&mut packets);
        for early in vain {
            let from = early.arrival.from.ip();
            shared
                .teller
                .refuse(Refusal::UnknownSpi, None, from, &early.packet);
        }
    }

    fn batch(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut datagrams = std::mem::take(&mut self.datagrams);
        let mut room = datagrams.as_mut_slice();
        let mut packets: Vec<Packet<'_>> = std::mem::take(&mut self.packets);
        for _ in 0..DATAGRAMS {
            if room.len() < MAX_DATAGRAM {
                break;
            }
            let Some(arrival) = self.wire.receive(&mut room[..MAX_DATAGRAM]) else {
                break;
            };
            let (bytes, rest) = std::mem::take(&mut room).split_at_mut(arrival.len);
            room = rest;
            if !self.wire.udp {
                if let Some((packet, arrival)) = unwrapped(bytes, &arrival) {
                    let tables = shared.tables();
                    self.open(&shared, &tables, packet, &arrival, now(), &mut packets);
                }
                continue;
            }
            // Whoever takes IKE may be slow: nobody who changes the tables waits for that.
            let mut tables = None;
            for packet in bytes.chunks_mut(arrival.segment.max(1)) {
                if packet.starts_with(&NON_ESP_MARKER) {
                    tables = None;
                    (shared.ike)(IkeDatagram {
                        local: arrival.to,
                        remote: arrival.from,
                        bytes: packet,
                    });
                } else if packet != KEEPALIVE {
                    let (tables, now) = tables.get_or_insert_with(|| (shared.tables(), now()));
                    self.open(&shared, tables, packet, &arrival, *now, &mut packets);
                }
            }
        }
        self.flush(&mut packets);
        self.packets = emptied(packets);
        self.datagrams = datagrams;
    }

    /// Opens an ESP packet, and puts what is in it among those for the device.
    fn open<'a>(
        &mut self,
        shared: &Shared,
        tables: &Tables,
        packet: &'a mut [u8],
        arrival: &Arrival,
        now: u64,
        packets: &mut Vec<Packet<'a>>,
    ) {
        let teller = &shared.teller;
        let from = arrival.from.ip();
        let Some((spi, low)) = header(packet) else {
            return teller.refuse(Refusal::Malformed, None, from, packet);
        };
        let Some(association) = tables.by_spi(spi) else {
            if !self.waiting.keep(packet, arrival) {
                teller.refuse(Refusal::UnknownSpi, None, from, packet);
            }
            return;
        };
        let mut arriving = association.arriving();
        let inside = open(
            association,
            &mut arriving,
            packet,
            low,
            arrival.from,
            teller,
        )
        .and_then(|inside| {
            let start = inside.start;
            let packet = &mut packet[inside];
            let class = arrival.traffic_class;
            self.admit(association, &mut arriving, packet, class, now)
                .map(|len| start..start + len)
        });
        match inside {
            Ok(inside) if inside.is_empty() => {}
            Ok(inside) => {
                packets.push(Packet::new(packet, inside));
                if packets.len() == BATCH {
                    self.flush(packets);
                }
            }
            Err(refusal) => {
                match refusal {
                    Refusal::NotAuthentic => arriving.not_authentic += 1,
                    Refusal::Replayed | Refusal::TooOld => arriving.replayed += 1,
                    Refusal::Selectors | Refusal::Malformed => arriving.unfit += 1,
                    Refusal::UnknownSpi | Refusal::ClearText => {}
                }
                teller.refuse(refusal, Some(association.id), from, packet);
            }
        }
    }

    /// Whether an inner packet may go to the device: gives its length. One of no bytes was a dummy.
    fn admit(
        &self,
        association: &Association,
        arriving: &mut Arriving,
        packet: &mut [u8],
        outer: u8,
        now: u64,
    ) -> Result<usize, Refusal> {
        if packet.is_empty() {
            return Ok(0);
        }
        let inner = Inner::read(packet).ok_or(Refusal::Malformed)?;
        // What is behind it hides its length (RFC 4303 section 2.7).
        let packet = &mut packet[..inner.len];
        if !inner.fits(&association.remote, &association.local) {
            return Err(Refusal::Selectors);
        }
        let tell = |event| self.shared.teller.tell(event);
        if !association.came(arriving, packet.len(), now, &tell)
            || carry_ecn(packet, inner.traffic_class, outer).is_none()
        {
            return Ok(0);
        }
        Ok(inner.len)
    }

    /// Gives packets to the device. What it does not take is lost, as on any network.
    fn flush(&mut self, packets: &mut Vec<Packet<'_>>) {
        let _ = self
            .device
            .send_multiple(&mut self.joined, packets, VIRTIO_NET_HDR_LEN);
        packets.clear();
    }
}

/// The same room for packets of another batch: `collect` takes over what it comes from.
fn emptied<'a>(mut packets: Vec<Packet<'_>>) -> Vec<Packet<'a>> {
    packets.clear();
    packets
        .into_iter()
        .map(|_| unreachable!("none is left"))
        .collect()
}

/// SPI and sequence number, which no decryption changes.
fn header(packet: &[u8]) -> Option<(u32, u32)> {
    let (spi, rest) = packet.split_first_chunk()?;
    let sequence = rest.first_chunk()?;
    Some((u32::from_be_bytes(*spi), u32::from_be_bytes(*sequence)))
}

/// Verifies, decrypts, and takes the sequence number; gives where the inner packet is.
fn open(
    association: &Association,
    arriving: &mut Arriving,
    packet: &mut [u8],
    low: u32,
    from: SocketAddr,
    teller: &Teller,
) -> Result<std::ops::Range<usize>, Refusal> {
    let stale = |stale| match stale {
        Stale::Seen => Refusal::Replayed,
        Stale::TooOld => Refusal::TooOld,
    };
    let sequence = arriving.window.whole(low).ok_or(Refusal::TooOld)?;
    arriving.window.check(sequence).map_err(stale)?;
    let found = arriving.opener.open(packet, sequence);
    if found.is_ok() || found == Err(OpenError::Padding) {
        arriving.window.take(sequence).map_err(stale)?;
    }
    let found = found.map_err(|error| match error {
        OpenError::NotAuthentic => Refusal::NotAuthentic,
        OpenError::Length | OpenError::Padding => Refusal::Malformed,
    })?;
    let path = association.path();
    // Only the newest packet tells where the peer is: an older one may come from where it was.
    if path.udp && arriving.window.is_newest(sequence) {
        if from == path.remote {
            arriving.moved = None;
        } else if arriving.moved.replace(from) != Some(from) {
            teller.tell(PlaneEvent::MappingChanged {
                id: association.id,
                remote: from,
            });
        }
    }
    let version = packet.get(found.payload.start).map(|first| first >> 4);
    match (found.next_header, version) {
        (IPV4, Some(4)) | (IPV6, Some(6)) => Ok(found.payload),
        (NO_NEXT_HEADER, _) => Ok(0..0),
        _ => Err(Refusal::Malformed),
    }
}

/// A raw socket gives IPv4 packets with their header.
fn unwrapped<'a>(packet: &'a mut [u8], arrival: &Arrival) -> Option<(&'a mut [u8], Arrival)> {
    let mut arrival = *arrival;
    if arrival.from.is_ipv6() {
        return Some((packet, arrival));
    }
    let header_len = usize::from(packet.first()? & 15) * 4;
    arrival.traffic_class = *packet.get(1)?;
    Some((packet.get_mut(header_len..)?, arrival))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_a_batch_is_used_again() {
        let mut datagram = vec![0; 64];
        let mut packets = Vec::with_capacity(BATCH);
        packets.push(Packet::new(&mut datagram, 16..40));
        let room = packets.as_ptr().cast::<u8>();
        let packets = emptied(packets);
        assert!(packets.is_empty() && packets.capacity() == BATCH);
        assert_eq!(packets.as_ptr().cast::<u8>(), room);
    }
}
