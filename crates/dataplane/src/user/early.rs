//! Packets that come before their SA: whoever has sent the last message of Quick Mode may send on the new SA at once,
//! and packets may overtake the message, or its work here. They are kept for a moment.

use std::time::{Duration, Instant};

use super::wire::Arrival;

/// How long a packet is kept: a peer's last message, and what is done about it, take less.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Packets that are kept at most, of all peers: of 10 Gbit/s, what comes in two milliseconds. Any more have no SA.
const MAX_PACKETS: usize = 1024;
/// Bytes of them.
const MAX_BYTES: usize = 2 << 20;

/// A packet without an SA.
pub(super) struct Early {
    pub(super) packet: Vec<u8>,
    pub(super) arrival: Arrival,
    until: Instant,
}

/// Those that are kept, the oldest first.
#[derive(Default)]
pub(super) struct Waiting {
    all: Vec<Early>,
    bytes: usize,
}

impl Waiting {
    /// Keeps a packet; false when there is no room.
    pub(super) fn keep(&mut self, packet: &[u8], arrival: &Arrival) -> bool {
        if self.all.len() == MAX_PACKETS || self.bytes + packet.len() > MAX_BYTES {
            return false;
        }
        self.bytes += packet.len();
        self.all.push(Early {
            packet: packet.to_vec(),
            arrival: *arrival,
            until: Instant::now() + KEPT_FOR,
        });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes those out that have an SA now, and those that have waited in vain.
    pub(super) fn take(
        &mut self,
        now: Instant,
        has_sa: impl Fn(&[u8]) -> bool,
    ) -> (Vec<Early>, Vec<Early>) {
        let (mut found, mut vain) = (Vec::new(), Vec::new());
        for early in std::mem::take(&mut self.all) {
            if has_sa(&early.packet) {
                found.push(early);
            } else if early.until <= now {
                vain.push(early);
            } else {
                self.all.push(early);
            }
        }
        self.bytes = self.all.iter().map(|early| early.packet.len()).sum();
        (found, vain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> Arrival {
        Arrival {
            len: 0,
            from: "192.0.2.2:4500".parse().unwrap(),
            to: "192.0.2.1:4500".parse().unwrap(),
            traffic_class: 0,
            segment: 0,
        }
    }

    #[test]
    fn a_packet_waits_for_its_sa_and_not_for_ever() {
        let mut waiting = Waiting::default();
        for first in [1, 2] {
            assert!(waiting.keep(&[first; 40], &arrival()));
        }
        let now = Instant::now();
        let taken = |waiting: &mut Waiting, now| {
            let (found, vain) = waiting.take(now, |packet| packet[0] == 2);
            (found.len(), vain.len())
        };
        assert_eq!(taken(&mut waiting, now), (1, 0));
        assert_eq!(taken(&mut waiting, now), (0, 0));
        assert_eq!(taken(&mut waiting, now + KEPT_FOR), (0, 1));
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_flood_takes_a_bounded_room_and_gives_it_back() {
        let mut waiting = Waiting::default();
        for (len, most) in [(40, MAX_PACKETS), (9000, MAX_BYTES / 9000)] {
            let kept = (0..2 * MAX_PACKETS).filter(|_| waiting.keep(&vec![1; len], &arrival()));
            assert_eq!(kept.count(), most);
            waiting.take(Instant::now() + KEPT_FOR, |_| false);
        }
    }
}
