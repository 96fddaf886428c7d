//! From the TUN device to the peers: a thread for each queue of the device.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun_rs::{SyncDevice, VIRTIO_NET_HDR_LEN};

use super::association::{Association, Path};
use super::inner::Inner;
use super::shared::{Shared, now};
use super::table::{Protector, Tables};
use super::{IPV4, IPV6, icmp};
use crate::{PlaneEvent, Selector, Trap};

/// Room before an inner packet: the longest ESP header and IV.
const HEADROOM: usize = 32;
/// Room after it: padding, trailer and ICV.
const TAILROOM: usize = 64;
/// The longest packet that the device may be set to let through; jumbo frames.
pub(super) const LONGEST: usize = 9216;
/// Packets that are sealed before they are sent. What the device gives as one has 64 kB, 48 packets as a
/// rule, and many more when somebody's segments are small.
const BATCH: usize = 512;
/// Those of a batch that are left free for what the device gives as one. It is lost when it is more.
const RESERVE: usize = 256;
/// The device cannot be read: it is down, or the kernel has no memory. Then it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// A sealed packet.
struct Sealed {
    buffer: usize,
    start: usize,
    len: usize,
    /// DSCP and ECN go outside as they are inside (RFC 4301 section 5.1.2, RFC 6040 section 4.1).
    traffic_class: u8,
}

/// Packets of one SA that leave together.
struct Group {
    association: Arc<Association>,
    path: Path,
    ticket: u64,
    /// Where in the queue they end.
    end: usize,
}

/// A queue's thread.
pub(super) struct Outbound {
    shared: Arc<Shared>,
    device: Arc<SyncDevice>,
    worker: usize,
    /// What the device gives as one, with its header.
    raw: Vec<u8>,
    buffers: Vec<Vec<u8>>,
    sizes: Vec<usize>,
    queue: Vec<Sealed>,
    groups: Vec<Group>,
}

impl Outbound {
    pub(super) fn new(shared: Arc<Shared>, worker: usize) -> Self {
        let device = Arc::clone(&shared.queues[worker]);
        Self {
            shared,
            device,
            worker,
            raw: vec![0; VIRTIO_NET_HDR_LEN + usize::from(u16::MAX)],
            buffers: vec![vec![0; HEADROOM + LONGEST + TAILROOM]; BATCH],
            sizes: vec![0; BATCH],
            queue: Vec::with_capacity(BATCH),
            groups: Vec::new(),
        }
    }

    /// Until the plane is closed.
    pub(super) fn run(&mut self) {
        loop {
            let mut fds = [
                PollFd::new(self.device.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.shared.stopped.as_fd(), PollFlags::POLLIN),
            ];
            let _ = poll(&mut fds, PollTimeout::NONE);
            if fds[1].any().unwrap_or(true) {
                return;
            }
            match self.batch() {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {
                    self.shared.teller.tell(PlaneEvent::Lost(
                        "the TUN device was removed; no packet leaves any more".into(),
                    ));
                    return;
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Takes what waits, seals and sends it.
    fn batch(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut used = 0;
        let mut result = Ok(());
        // Until all is sent: when an SA was removed, nothing of it is under way.
        let tables = shared.tables();
        let now = now();
        while used + RESERVE <= BATCH {
            let count = self.device.recv_multiple(
                &mut self.raw,
                &mut self.buffers[used..],
                &mut self.sizes[used..],
                HEADROOM,
            );
            match count {
                Ok(count) => {
                    self.seal(&tables, used, count, now);
                    used += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the device gave is none of what we let it give; the next may be.
                Err(error) if error.raw_os_error().is_none() => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.flush();
        result
    }

    /// Seals the packets of one reading: all of one flow.
    fn seal(&mut self, tables: &Tables, first: usize, count: usize, now: u64) {
        let packet = &self.buffers[first][HEADROOM..HEADROOM + self.sizes[first]];
        let Some(inner) = Inner::read(packet) else {
            return;
        };
        let association = match tables.select(&inner) {
            Some(Protector::Sa(association)) => association,
            Some(Protector::Trap(trap)) => return self.ask(trap, &inner),
            None => return,
        };
        let sizes = &self.sizes[first..first + count];
        let longest = association.longest();
        // The first is the longest of them.
        if sizes[0] > longest && inner.whole {
            if let Some(message) = icmp::too_big(packet, &inner, longest) {
                self.shared.answer(&message);
            }
            return;
        }
        let last = self.groups.last();
        let last = last.filter(|group| group.association.id == association.id);
        let tell = |event| self.shared.teller.tell(event);
        let Some(reserved) = association.reserve(sizes, last.map(|group| group.ticket), now, &tell)
        else {
            return;
        };
        let next_header = if inner.source.is_ipv4() { IPV4 } else { IPV6 };
        let mut sealer = association.sealer(self.worker);
        let start = HEADROOM - sealer.header_len();
        for number in 0..reserved.count {
            let (at, sequence) = (first + number, reserved.first + number as u64);
            let packet = &mut self.buffers[at][start..];
            // One that cannot be sealed is lost, as its number is.
            if let Ok(len) = sealer.seal(packet, self.sizes[at], next_header, sequence) {
                self.queue.push(Sealed {
                    buffer: at,
                    start,
                    len,
                    traffic_class: inner.traffic_class,
                });
            }
        }
        drop(sealer);
        let (end, ticket) = (self.queue.len(), reserved.ticket);
        match self.groups.last_mut() {
            Some(group) if group.association.id == association.id && group.ticket == ticket => {
                group.end = end;
            }
            _ => self.groups.push(Group {
                association: Arc::clone(association),
                path: association.path(),
                ticket,
                end,
            }),
        }
    }

    fn ask(&self, trap: &Trap, inner: &Inner) {
        if !self.shared.teller.may_acquire(&trap.name) {
            return;
        }
        let (source, destination) = inner.ports.unwrap_or_default();
        let side = |address, port| Selector {
            first: address,
            last: address,
            protocol: inner.protocol,
            port,
        };
        self.shared.teller.tell(PlaneEvent::Acquire {
            trap: trap.name.clone(),
            local: side(inner.source, source),
            remote: side(inner.destination, destination),
        });
    }

    /// Sends what was sealed, in order.
    fn flush(&mut self) {
        let mut packets: Vec<&[u8]> = Vec::with_capacity(self.queue.len());
        let mut from = 0;
        for group in &self.groups {
            let mut rest = &self.queue[from..group.end];
            from = group.end;
            group.association.turns.wait(group.ticket);
            while let Some(first) = rest.first() {
                let same = rest
                    .iter()
                    .take_while(|sealed| sealed.traffic_class == first.traffic_class);
                packets.clear();
                packets.extend(same.map(|s| &self.buffers[s.buffer][s.start..s.start + s.len]));
                if let Some(wire) = self.shared.wire(&group.path) {
                    wire.send(&group.path, first.traffic_class, &packets);
                }
                rest = &rest[packets.len()..];
            }
            group.association.turns.done(group.ticket);
        }
        self.queue.clear();
        self.groups.clear();
    }
}
