//! What the threads of the plane have to tell, on a thread of its own, so that no packet waits for whoever
//! listens.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{PlaneEvent, Refusal, Refused};

/// Events that wait at most. Whoever does not listen for so long has lost some, and is told so.
const WAITING: usize = 1024;
/// Refusals of one kind told in [`REFUSALS_EVERY`], at most: enough to see who sends what, and no more than a
/// log can bear when somebody floods.
const REFUSALS_TOLD: u32 = 10;
/// The time that [`REFUSALS_TOLD`] is for.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);
/// One trap asks again after this time: the negotiation that it asked for takes as long.
const ACQUIRE_EVERY: Duration = Duration::from_secs(1);
/// How often the path MTU is looked up.
const TICK: Duration = Duration::from_secs(1);

enum Note {
    Event(PlaneEvent),
    Stop,
}

/// Where events go.
pub(super) struct Teller {
    sender: SyncSender<Note>,
    lost: AtomicU64,
    refusals: [Mutex<Allowance>; Refusal::ALL.len()],
    /// Of every kind, since the start.
    counts: [AtomicU64; Refusal::ALL.len()],
    acquired: Mutex<Vec<(String, Instant)>>,
}

/// The other end.
pub(super) struct Told {
    receiver: Receiver<Note>,
}

#[derive(Default)]
struct Allowance {
    since: Option<Instant>,
    told: u32,
    held_back: u64,
}

impl Allowance {
    /// How many packets the next event stands for; `None` when there is to be none yet.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= REFUSALS_EVERY)
        {
            (self.since, self.told) = (Some(now), 0);
        }
        self.held_back += 1;
        if self.told == REFUSALS_TOLD {
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

pub(super) fn channel() -> (Teller, Told) {
    let (sender, receiver) = sync_channel(WAITING);
    let teller = Teller {
        sender,
        lost: AtomicU64::new(0),
        refusals: Default::default(),
        counts: Default::default(),
        acquired: Mutex::default(),
    };
    (teller, Told { receiver })
}

impl Teller {
    pub(super) fn tell(&self, event: PlaneEvent) {
        if self.sender.try_send(Note::Event(event)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the other end's loop.
    pub(super) fn stop(&self) {
        // It fails only when the loop has ended.
        let _ = self.sender.send(Note::Stop);
    }

    /// Counts a refused packet, and tells of it unless there were too many.
    pub(super) fn refuse(&self, refusal: Refusal, id: Option<u64>, remote: IpAddr, packet: &[u8]) {
        self.counts[refusal as usize].fetch_add(1, Ordering::Relaxed);
        let allowance = &self.refusals[refusal as usize];
        let count = {
            let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
            allowance.next(Instant::now())
        };
        let number = |at: usize| {
            let bytes = packet.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        if let Some(count) = count {
            self.tell(PlaneEvent::Refused(Refused {
                refusal,
                id,
                remote,
                spi: number(0),
                sequence: number(4),
                count,
            }));
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.counts[refusal as usize].load(Ordering::Relaxed)
    }

    /// Whether a trap may ask for an SA now.
    pub(super) fn may_acquire(&self, trap: &str) -> bool {
        let now = Instant::now();
        let mut acquired = self.acquired.lock().unwrap_or_else(PoisonError::into_inner);
        acquired.retain(|(_, at)| now.duration_since(*at) < ACQUIRE_EVERY);
        let new = acquired.iter().all(|(name, _)| name != trap);
        if new {
            acquired.push((trap.to_owned(), now));
        }
        new
    }

    fn take_lost(&self) -> Option<PlaneEvent> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        (lost > 0)
            .then(|| PlaneEvent::Lost(format!("{lost} events came faster than they were taken")))
    }
}

impl Told {
    /// Gives every event to `events`, and calls `tick` once a second, until [`Teller::stop`].
    pub(super) fn run(&self, teller: &Teller, events: &dyn Fn(PlaneEvent), tick: &dyn Fn()) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(wait) {
                Ok(Note::Event(event)) => events(event),
                Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    teller.take_lost().into_iter().for_each(events);
                    tick();
                    next_tick = Instant::now() + TICK;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_to_the_last_and_told_of_a_few_times_a_second() {
        let mut allowance = Allowance::default();
        let start = Instant::now();
        let told: u64 = (0..1000).filter_map(|_| allowance.next(start)).sum();
        assert_eq!(told, u64::from(REFUSALS_TOLD));
        // The next one stands for all that were held back.
        assert_eq!(allowance.next(start + REFUSALS_EVERY), Some(1001 - told));
        assert_eq!(allowance.next(start + REFUSALS_EVERY), Some(1));
    }

    #[test]
    fn who_does_not_listen_is_told_what_was_lost() {
        let (teller, told) = channel();
        for id in 0..WAITING as u64 + 3 {
            teller.tell(PlaneEvent::Expire { id, hard: true });
        }
        assert_eq!(told.receiver.try_iter().count(), WAITING);
        let lost = teller.take_lost();
        assert!(
            matches!(&lost, Some(PlaneEvent::Lost(why)) if why.starts_with("3 ")),
            "{lost:?}"
        );
        assert_eq!(teller.take_lost(), None);
    }

    #[test]
    fn a_trap_asks_once_for_a_burst_of_packets() {
        let (teller, _told) = channel();
        assert!(teller.may_acquire("a"));
        assert!(!teller.may_acquire("a"));
        assert!(teller.may_acquire("b"));
    }
}
