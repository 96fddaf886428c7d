//! SAs as they are shown: to `status`, and to those who watch.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dataplane::Counters;
use jiff::{SignedDuration, Timestamp};

use super::words::{self, shown};
use crate::control::status::{MainModeSa, QuickModeSa};

/// A Main Mode SA.
pub fn main_mode(sa: &keying::MainModeSa) -> MainModeSa {
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
        established: at(sa.established).to_string(),
        lifetime_seconds: sa.lifetime.as_secs(),
        peer_software: sa.peer_software.clone(),
        user: sa.user.clone(),
        inner_local: sa.inner_local.clone(),
        inner_remote: sa.inner_remote.clone(),
    }
}

/// An IPsec SA; `counters` where the data plane counts.
pub fn quick_mode(sa: &keying::ChildSaStatus, counters: Option<&Counters>) -> QuickModeSa {
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
        established: at(sa.established).to_string(),
        lifetime_seconds: sa.lifetime.as_secs(),
        rekey_seconds: sa.rekey_in.map(|wait| wait.as_secs()),
    }
}

/// Within which a clock that is steered is still the same clock.
const STEERED: SignedDuration = SignedDuration::from_secs(1);

/// What the clock showed then. The same each time that it is asked, but for a clock that was set since.
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
