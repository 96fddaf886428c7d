//! SAs as they are shown: to `status`, and to those who watch.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use audit::Event;
use dataplane::Counters;
use jiff::{SignedDuration, Timestamp};
use keying::Ticket;

use super::words::{self, shown};
use crate::control::status::{MainModeSa, QuickModeSa};

/// An SA, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// `MMSAID`.
    MainMode(u64),
    /// `QuickModeSaId`.
    QuickMode(u64),
}

/// What an event says of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// That it is established.
    Established(Number),
    /// That it ended.
    Ended(Number),
}

impl Said {
    /// What this event says, if it says anything of that.
    pub fn by(event: &Event) -> Option<Self> {
        Some(match event {
            Event::MainModeEnded(event) => Self::Ended(Number::MainMode(event.mmsa_id)),
            Event::QuickModeEstablished(event) => {
                Self::Established(Number::QuickMode(event.qmsa_id))
            }
            Event::QuickModeEnded(event) => Self::Ended(Number::QuickMode(event.qmsa_id)),
            event => Self::Established(Number::MainMode(event.main_mode_established()?.mmsa_id)),
        })
    }
}

/// When SAs were established: the times of the events that say so. What the clock showed then cannot be calculated from
/// what it shows now, since it may have been set.
#[derive(Clone, Debug, Default)]
pub struct Times {
    established: BTreeMap<Number, Timestamp>,
    /// What the log has not answered yet: an SA whose event it refuses never was.
    waiting: BTreeMap<Ticket, Number>,
}

impl Times {
    /// An event was handed in, and has this time.
    pub fn note(&mut self, said: Said, ticket: Ticket, time: Timestamp) {
        match said {
            Said::Established(number) => {
                self.established.insert(number, time);
                self.waiting.insert(ticket, number);
            }
            Said::Ended(number) => {
                self.established.remove(&number);
            }
        }
    }

    /// The log has answered.
    pub fn answered(&mut self, ticket: Ticket, durable: bool) {
        if let Some(number) = self.waiting.remove(&ticket)
            && !durable
        {
            self.established.remove(&number);
        }
    }

    fn of(&self, number: Number, then: Instant) -> Timestamp {
        let known = self.established.get(&number);
        known.copied().unwrap_or_else(|| at(then))
    }
}

/// A Main Mode SA.
pub fn main_mode(sa: &keying::MainModeSa, times: &Times) -> MainModeSa {
    let [cipher, integrity, dh_group] = sa.suite.map(shown);
    MainModeSa {
        id: sa.mmsa_id,
        connection: Some(sa.connection.clone()),
        local: sa.local,
        remote: sa.remote,
        role: role(sa.role),
        state: "established".to_owned(),
        initiator_cookie: sa.cookies.0.to_string(),
        responder_cookie: sa.cookies.1.to_string(),
        cipher,
        integrity,
        dh_group,
        established: times
            .of(Number::MainMode(sa.mmsa_id), sa.established)
            .to_string(),
        lifetime_seconds: sa.lifetime.as_secs(),
        peer_software: sa.peer_software.clone(),
        user: sa.user.clone(),
        inner_local: sa.inner_local.clone(),
        inner_remote: sa.inner_remote.clone(),
    }
}

/// An IPsec SA; `counters` where the data plane counts.
pub fn quick_mode(
    sa: &keying::ChildSaStatus,
    times: &Times,
    counters: Option<&Counters>,
) -> QuickModeSa {
    QuickModeSa {
        id: sa.id.0,
        main_mode_sa: sa.mmsa_id,
        connection: sa.connection.clone(),
        child: sa.child.clone(),
        local: sa.local,
        remote: sa.remote,
        role: role(sa.role),
        state: sa.state.to_owned(),
        mode: words::mode(sa.mode).to_owned(),
        protocol: sa.suite.protocol.name().to_lowercase(),
        udp_encapsulation: sa.udp_encap,
        proposal: sa.suite.to_string(),
        local_traffic: sa.local_selector.to_string(),
        remote_traffic: sa.remote_selector.to_string(),
        inbound_spi: format!("{:08x}", sa.inbound_spi),
        outbound_spi: format!("{:08x}", sa.outbound_spi),
        inbound_cpi: sa.cpis.map(|cpis| format!("{:04x}", cpis.inbound)),
        outbound_cpi: sa.cpis.map(|cpis| format!("{:04x}", cpis.outbound)),
        inbound_bytes: counters.map(|c| c.inbound.bytes),
        inbound_packets: counters.map(|c| c.inbound.packets),
        outbound_bytes: counters.map(|c| c.outbound.bytes),
        outbound_packets: counters.map(|c| c.outbound.packets),
        replayed: counters.map(|c| c.replayed),
        integrity_failures: counters.map(|c| c.integrity_failures),
        unfit: counters.and_then(|c| c.unfit),
        established: times
            .of(Number::QuickMode(sa.id.0), sa.established)
            .to_string(),
        lifetime_seconds: sa.lifetime.as_secs(),
        rekey_seconds: sa.rekey_in.map(|wait| wait.as_secs()),
    }
}

/// Within which a clock that is steered is still the same clock.
const STEERED: SignedDuration = SignedDuration::from_secs(1);

/// About what the clock showed then, where no event says it. The same each time that it is asked, but for a clock that was
/// set since.
fn at(then: Instant) -> Timestamp {
    static CLOCKS: Mutex<Option<(Instant, Timestamp)>> = Mutex::new(None);
    let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let now = (Instant::now(), Timestamp::now());
    let known = *clocks.get_or_insert(now);
    if read(known, now.0).duration_since(now.1).abs() > STEERED {
        *clocks = Some(now);
    }
    read(clocks.unwrap_or(now), then)
}

/// What a clock that showed `wall` when the other one showed `steady` shows `then`.
fn read((steady, wall): (Instant, Timestamp), then: Instant) -> Timestamp {
    let signed = |wait| SignedDuration::try_from(wait).unwrap_or_default();
    let moved = match then.checked_duration_since(steady) {
        Some(later) => wall.checked_add(signed(later)),
        None => wall.checked_sub(signed(steady.duration_since(then))),
    };
    moved.unwrap_or(wall)
}

/// As the events have it.
pub fn role(role: audit::Role) -> String {
    match role {
        audit::Role::Initiator => "Initiator".to_owned(),
        audit::Role::Responder => "Responder".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_sa_was_established_at_the_time_of_its_event_whatever_the_clock_shows_since() {
        let mut times = Times::default();
        let then: Timestamp = "2026-11-23T09:00:00.1234567Z".parse().unwrap();
        let (sa, other) = (Number::MainMode(7), Number::QuickMode(7));
        times.note(Said::Established(sa), Ticket(1), then);
        times.answered(Ticket(1), true);
        assert_eq!(times.of(sa, Instant::now()), then);
        assert_ne!(times.of(other, Instant::now()), then);
        times.note(Said::Established(other), Ticket(2), then);
        times.note(Said::Ended(sa), Ticket(3), then);
        times.answered(Ticket(3), true);
        // What was refused never was.
        times.answered(Ticket(2), false);
        assert!(times.established.is_empty() && times.waiting.is_empty());
    }

    #[test]
    fn when_an_sa_was_established_is_the_same_whenever_it_is_asked() {
        let before = Instant::now().checked_sub(Duration::from_secs(90));
        for then in [before.unwrap_or_else(Instant::now), Instant::now()] {
            let first = at(then);
            std::thread::sleep(Duration::from_millis(3));
            assert_eq!(at(then), first);
            let age = Timestamp::now().duration_since(first);
            let true_age = SignedDuration::try_from(then.elapsed()).unwrap();
            assert!(
                (age - true_age).abs() < SignedDuration::from_secs(2),
                "{age}"
            );
        }
    }
}
