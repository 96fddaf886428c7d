//! What `status` shows; its JSON is pinned.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The SAs that are there, by MMSAID.
    pub main_mode_sas: Vec<MainModeSa>,
    /// The IPsec SAs that are there, by `QuickModeSaId`.
    pub quick_mode_sas: Vec<QuickModeSa>,
    /// The account since the log began.
    pub counters: Counters,
    /// The account of Quick Mode since the log began.
    pub quick_mode_counters: QuickModeCounters,
    /// The connections of the configuration, in its order.
    pub connections: Vec<ConnectionStatus>,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// The folder into which keys are written, where the configuration asks for that.
    #[serde(default)]
    pub key_log: Option<String>,
    /// What the operator must know now, such as a log that cannot be written; one sentence each.
    pub alerts: Vec<String>,
}

/// A Main Mode SA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainModeSa {
    /// Its MMSAID.
    pub id: u64,
    /// The connection's name.
    pub connection: Option<String>,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// `Initiator` or `Responder`, as the events have it.
    pub role: String,
    /// `established`, or what it is on its way to.
    pub state: String,
    /// 16 hexadecimal digits.
    pub initiator_cookie: String,
    /// 16 hexadecimal digits.
    pub responder_cookie: String,
    /// The cipher, in the events' words.
    pub cipher: String,
    /// The hash, in the events' words.
    pub integrity: String,
    /// The Diffie-Hellman group, in the events' words.
    pub dh_group: String,
    /// When it was established, RFC 3339.
    pub established: String,
    /// How long it lives in all, in seconds.
    pub lifetime_seconds: u64,
    /// What the peer runs, by its vendor IDs.
    pub peer_software: Option<String>,
    /// The user that XAUTH named.
    pub user: Option<String>,
    /// Our addresses within the tunnel, by Mode Config.
    pub inner_local: Vec<IpAddr>,
    /// The peer's.
    pub inner_remote: Vec<IpAddr>,
}

/// An IPsec SA: one each way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickModeSa {
    /// Its `QuickModeSaId`.
    pub id: u64,
    /// The MMSAID of the Main Mode SA it is under.
    pub main_mode_sa: u64,
    /// The connection's name.
    pub connection: String,
    /// The child's name.
    pub child: String,
    /// Our outer address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// `Initiator` or `Responder`.
    pub role: String,
    /// `installing`, `confirming`, `installed` or `replaced`.
    pub state: String,
    /// `tunnel` or `transport`.
    pub mode: String,
    /// `esp` or `ah`.
    pub protocol: String,
    /// ESP is in UDP.
    pub udp_encapsulation: bool,
    /// The algorithms, as the configuration has them.
    pub proposal: String,
    /// Our side of the traffic.
    pub local_traffic: String,
    /// The peer's.
    pub remote_traffic: String,
    /// 8 hexadecimal digits.
    pub inbound_spi: String,
    /// 8 hexadecimal digits.
    pub outbound_spi: String,
    /// With IPComp, 4 hexadecimal digits.
    #[serde(default)]
    pub inbound_cpi: Option<String>,
    /// With IPComp, 4 hexadecimal digits.
    #[serde(default)]
    pub outbound_cpi: Option<String>,
    /// What came in, where the data plane counts.
    pub inbound_bytes: Option<u64>,
    /// What came in, in packets.
    pub inbound_packets: Option<u64>,
    /// What went out.
    pub outbound_bytes: Option<u64>,
    /// What went out, in packets.
    pub outbound_packets: Option<u64>,
    /// Packets refused because their sequence number was seen before, or is too old to tell.
    #[serde(default)]
    pub replayed: Option<u64>,
    /// Packets refused because they were not authentic.
    #[serde(default)]
    pub integrity_failures: Option<u64>,
    /// Authentic packets refused for what was in them, where the data plane counts them.
    #[serde(default)]
    pub unfit: Option<u64>,
    /// When it was established, RFC 3339.
    pub established: String,
    /// How long it lives in all, in seconds.
    pub lifetime_seconds: u64,
    /// In how many seconds we replace it.
    pub rekey_seconds: Option<u64>,
}

/// The account of Quick Mode: `established - ended = live`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickModeCounters {
    /// Quick Modes begun.
    pub negotiations: u64,
    /// Verdicts 5451.
    pub established: u64,
    /// Verdicts 4654.
    pub failed: u64,
    /// Quick Modes that a crash ended.
    #[serde(default)]
    pub interrupted: u64,
    /// SAs that ended.
    pub ended: u64,
    /// SAs that are there.
    pub live: u64,
}

/// The account: `established - ended = live`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Negotiations begun.
    pub negotiations: u64,
    /// Verdicts 4650 and 4651.
    pub established: u64,
    /// Verdicts 4652 and 4653.
    pub failed: u64,
    /// Negotiations that another keying module won.
    pub superseded: u64,
    /// Negotiations that a crash ended.
    pub interrupted: u64,
    /// SAs that ended.
    pub ended: u64,
    /// SAs that are there.
    pub live: u64,
    /// Events that were counted and not written.
    pub held_back: u64,
}

impl From<eventlog::Counters> for Counters {
    fn from(counters: eventlog::Counters) -> Self {
        Self {
            negotiations: counters.negotiations,
            established: counters.established,
            failed: counters.failed,
            superseded: counters.superseded,
            interrupted: counters.interrupted,
            ended: counters.ended,
            live: counters.live(),
            held_back: counters.held_back,
        }
    }
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its name.
    pub name: String,
    /// `up`, `negotiating` or `down`.
    pub state: String,
    /// Our address, `any` where any will do.
    pub local: String,
    /// The peer's address as configured.
    pub remote: String,
    /// What that stands for now, where it is a host name.
    #[serde(default)]
    pub remote_addresses: Vec<IpAddr>,
    /// Its last verdict, in one line.
    pub last_verdict: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_names_of_the_json_stand() {
        let sa = MainModeSa {
            id: 7,
            connection: Some("branch".to_owned()),
            local: "192.0.2.1:500".parse().expect("v4"),
            remote: "[2001:db8::1]:4500".parse().expect("v6"),
            role: "Initiator".to_owned(),
            state: "established".to_owned(),
            initiator_cookie: "00".repeat(8),
            responder_cookie: "11".repeat(8),
            cipher: "AES-256".to_owned(),
            integrity: "SHA 256".to_owned(),
            dh_group: "DH group 14".to_owned(),
            established: "2026-11-23T09:00:00Z".to_owned(),
            lifetime_seconds: 28_800,
            peer_software: None,
            user: None,
            inner_local: Vec::new(),
            inner_remote: Vec::new(),
        };
        let json = serde_json::to_value(&sa).expect("json");
        let names: std::collections::BTreeSet<&str> = json
            .as_object()
            .expect("object")
            .keys()
            .map(String::as_str)
            .collect();
        let pinned = "id connection local remote role state initiator_cookie responder_cookie cipher \
                      integrity dh_group established lifetime_seconds peer_software user \
                      inner_local inner_remote";
        assert_eq!(names, pinned.split_whitespace().collect());
        assert_eq!(json["id"], 7);
        assert_eq!(json["local"], "192.0.2.1:500");
        assert_eq!(json["remote"], "[2001:db8::1]:4500");
        let counters = serde_json::to_value(Counters::default()).expect("json");
        for name in "negotiations established failed superseded interrupted ended live".split(' ') {
            assert_eq!(counters[name], 0, "{name}");
        }
    }
}
