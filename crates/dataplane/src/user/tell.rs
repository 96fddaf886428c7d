//! What the threads of the plane have to tell, on a thread of its own, so that no packet waits for whoever
//! listens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{PlaneEvent, Refusal, Refused};

/// Events that wait at most. Whoever does not listen for so long has lost some, and is told so.
const WAITING: usize = 1024;
/// Refusals of one kind told in [`REFUSALS_EVERY`] about one source: enough to see that it persists.
const TOLD_OF_SOURCE: u32 = 10;
/// The same about all sources: no more than whoever listens can bear when somebody floods in the name of many.
const TOLD_OF_ALL: u32 = 500;
/// The time that [`TOLD_OF_SOURCE`] and [`TOLD_OF_ALL`] are for.
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

/// What may be told of one kind of refusal.
#[derive(Default)]
struct Allowance {
    since: Option<Instant>,
    told: u32,
    /// At most as many as [`TOLD_OF_ALL`].
    of_source: HashMap<IpAddr, u32>,
    held_back: u64,
}

impl Allowance {
    /// Whether a packet of this source is told of; else it is counted.
    fn may_tell(&mut self, now: Instant, source: IpAddr) -> bool {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= REFUSALS_EVERY)
        {
            (self.since, self.told) = (Some(now), 0);
            self.of_source.clear();
        }
        if self.told < TOLD_OF_ALL {
            let of_source = self.of_source.entry(source).or_default();
            if *of_source < TOLD_OF_SOURCE {
                *of_source += 1;
                self.told += 1;
                return true;
            }
        }
        self.held_back += 1;
        false
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

    /// Counts a refused packet, and tells of it, or later how many there were.
    pub(super) fn refuse(&self, refusal: Refusal, id: Option<u64>, remote: IpAddr, packet: &[u8]) {
        self.counts[refusal as usize].fetch_add(1, Ordering::Relaxed);
        if !self.allowance(refusal).may_tell(Instant::now(), remote) {
            return;
        }
        let number = |at: usize| {
            let bytes = packet.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        self.tell(PlaneEvent::Refused(Refused {
            refusal,
            id,
            remote,
            spi: number(0),
            sequence: number(4),
        }));
    }

    fn allowance(&self, refusal: Refusal) -> MutexGuard<'_, Allowance> {
        let allowance = &self.refusals[refusal as usize];
        allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was not told of one by one.
    fn take_held_back(&self) -> impl Iterator<Item = PlaneEvent> {
        Refusal::ALL.into_iter().filter_map(|refusal| {
            let count = std::mem::take(&mut self.allowance(refusal).held_back);
            (count > 0).then_some(PlaneEvent::RefusedMore(refusal, count))
        })
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
        let rest = || {
            let more = teller.take_held_back().chain(teller.take_lost());
            more.for_each(events);
        };
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                rest();
                tick();
                next_tick = Instant::now() + TICK;
                continue;
            }
            match self.receiver.recv_timeout(wait) {
                Ok(Note::Event(event)) => events(event),
                Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => return rest(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_to_the_last_and_hides_no_other_source() {
        let (teller, told) = channel();
        let source = |n: u32| IpAddr::from(n.to_be_bytes());
        let refuse = |n| teller.refuse(Refusal::Replayed, None, source(n), &[7; 8]);
        (0..1000).for_each(|_| refuse(1));
        refuse(2);
        let sources: Vec<IpAddr> = told
            .receiver
            .try_iter()
            .filter_map(|note| match note {
                Note::Event(PlaneEvent::Refused(refused)) => Some(refused.remote),
                _ => None,
            })
            .collect();
        assert_eq!(sources.len() as u64, u64::from(TOLD_OF_SOURCE) + 1);
        assert_eq!(sources.last(), Some(&source(2)));
        let more = 1000 - u64::from(TOLD_OF_SOURCE);
        let expected = PlaneEvent::RefusedMore(Refusal::Replayed, more);
        assert_eq!(teller.take_held_back().collect::<Vec<_>>(), [expected]);
        assert_eq!(teller.take_held_back().count(), 0);
        assert_eq!(teller.refused(Refusal::Replayed), 1001);
    }

    #[test]
    fn a_flood_in_many_names_is_told_of_so_much_and_forgotten() {
        let mut allowance = Allowance::default();
        let now = Instant::now();
        let told = (0..100_000_u32)
            .filter(|n| allowance.may_tell(now, IpAddr::from(n.to_be_bytes())))
            .count();
        assert_eq!(told, TOLD_OF_ALL as usize);
        assert!(allowance.of_source.len() <= TOLD_OF_ALL as usize);
        assert!(allowance.may_tell(now + REFUSALS_EVERY, IpAddr::from([0; 4])));
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
