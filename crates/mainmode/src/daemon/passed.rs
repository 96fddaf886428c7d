//! IKE that the data plane in user space has read from the NAT-T port and passes on: a queue with as much room as a
//! socket has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use dataplane::IkeDatagram;

use super::mailbox::Nudge;
use super::sockets::{RECEIVE_BUFFER, Received};

/// What a datagram takes up beside its payload, as the kernel counts it for its sockets.
const OVERHEAD: usize = 768;

/// The plane's end.
pub struct PassOn {
    sender: Sender<Received>,
    room: Arc<AtomicUsize>,
    nudge: Arc<Nudge>,
}

/// The agent's end.
#[derive(Debug)]
pub struct Passed {
    receiver: Receiver<Received>,
    room: Arc<AtomicUsize>,
}

/// A queue; who waits at its end is woken by the nudge.
pub(super) fn queue(nudge: Arc<Nudge>) -> (PassOn, Passed) {
    // Bounded by the room.
    let (sender, receiver) = unbounded();
    let room = Arc::new(AtomicUsize::new(RECEIVE_BUFFER));
    let passed = Passed {
        receiver,
        room: room.clone(),
    };
    let pass_on = PassOn {
        sender,
        room,
        nudge,
    };
    (pass_on, passed)
}

impl PassOn {
    /// Queues a datagram. Where there is no room it is lost, as at a socket.
    pub fn pass(&self, datagram: IkeDatagram<'_>) {
        let size = datagram.bytes.len() + OVERHEAD;
        let taken = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                room.checked_sub(size)
            });
        if taken.is_err() {
            return;
        }
        // Nobody is there to take it once the agent has ended.
        let _ = self.sender.send(Received {
            local: datagram.local,
            remote: datagram.remote,
            bytes: datagram.bytes.to_vec(),
        });
        self.nudge.give();
    }
}

impl Passed {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// The next one.
    pub fn take(&self) -> Option<Received> {
        let received = self.receiver.try_recv().ok()?;
        let size = received.bytes.len() + OVERHEAD;
        self.room.fetch_add(size, Ordering::Relaxed);
        Some(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_takes_no_more_room_than_a_socket_gives_and_none_for_good() {
        let (pass_on, passed) = queue(Arc::new(Nudge::new().unwrap()));
        let bytes = vec![0; 60_000];
        let datagram = IkeDatagram {
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: "192.0.2.2:4500".parse().unwrap(),
            bytes: &bytes,
        };
        for _ in 0..3 {
            for _ in 0..100 {
                pass_on.pass(datagram);
            }
            assert_eq!(passed.len(), RECEIVE_BUFFER / (bytes.len() + OVERHEAD));
            while let Some(received) = passed.take() {
                assert_eq!(received.bytes, bytes);
            }
        }
    }
}
