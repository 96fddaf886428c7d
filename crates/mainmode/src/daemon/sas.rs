//! SAs as they are shown: to `status`, and to those who watch.

use dataplane::Counters;
use jiff::Timestamp;

use super::words::{self, shown};
use crate::control::status::{MainModeSa, QuickModeSa};

/// A Main Mode SA at `now`.
pub fn main_mode(sa: &keying::MainModeSa, now: Timestamp) -> MainModeSa {
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
        established: ago(sa.age, now),
        lifetime_seconds: sa.lifetime.as_secs(),
        peer_software: sa.peer_software.clone(),
        user: sa.user.clone(),
        inner_local: sa.inner_local.clone(),
        inner_remote: sa.inner_remote.clone(),
    }
}

/// An IPsec SA at `now`; `counters` where the data plane counts.
pub fn quick_mode(
    sa: &keying::ChildSaStatus,
    counters: Option<&Counters>,
    now: Timestamp,
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
        established: ago(sa.age, now),
        lifetime_seconds: sa.lifetime.as_secs(),
        rekey_seconds: sa.rekey_in.map(|wait| wait.as_secs()),
    }
}

/// A point in time as RFC 3339 has it.
fn ago(age: std::time::Duration, now: Timestamp) -> String {
    let age = jiff::SignedDuration::try_from(age).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now).to_string()
}

/// As the events have it.
pub fn role(role: audit::Role) -> String {
    match role {
        audit::Role::Initiator => "Initiator".to_owned(),
        audit::Role::Responder => "Responder".to_owned(),
    }
}
