//! Records and logs for the tests.
#![allow(
    dead_code,
    reason = "each test is a crate of its own and uses a part of this"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::{
    ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeEnded,
    MainModeEstablished, MainModeFailed, MmState, Mode, QuickModeEnded, QuickModeEstablished, Role,
    TrafficEnd,
};
use eventlog::{AccountChange, Entry, LiveIpsecSa, LiveSa, Options, Recovery, Retention, Writer};

/// Small enough that a few thousand records rotate.
pub const SMALL: u64 = eventlog::MIN_SIZE;

pub fn options(directory: &Path, retention: Retention) -> Options {
    Options {
        directory: directory.to_owned(),
        max_size: SMALL,
        retention,
        computer: "gw".to_owned(),
        process_id: 4711,
    }
}

pub fn open(directory: &Path, retention: Retention) -> (Writer, Recovery) {
    Writer::open(options(directory, retention)).unwrap()
}

pub fn peer(n: u64) -> IpAddr {
    let [.., a, b] = n.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 9, a, b))
}

fn extra(cause: Option<Cause>) -> Extra {
    Extra {
        connection: Some("branch".to_owned()),
        cause,
        ..Extra::default()
    }
}

/// Sixteen bytes without a pattern.
pub fn activity(n: u64) -> ActivityId {
    let half = |salt: u64| (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half(1));
    id[8..].copy_from_slice(&half(0x5555_5555));
    ActivityId(id)
}

fn cookie(n: u64) -> [u8; 8] {
    activity(n).0[..8].try_into().unwrap()
}

/// A negotiation that failed: 4653 and its account.
pub fn failed(n: u64) -> Entry {
    let causes = [
        Cause::PskMismatch,
        Cause::NoAnswer,
        Cause::NoProposalChosen,
        Cause::IdentityMismatch,
    ];
    let cause = causes[usize::try_from(n).unwrap() % causes.len()];
    let event = Event::MainModeFailed(MainModeFailed {
        local_name: Some("gw.example".to_owned()),
        remote_name: None,
        local: SocketAddr::from(([192, 0, 2, 1], 500)),
        remote: SocketAddr::new(peer(n), 500),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause,
        auth: AuthMethod::PresharedKey,
        state: MmState::SentThird,
        role: Role::Initiator,
        filter_id: 1,
        initiator_cookie: cookie(n),
        responder_cookie: cookie(!n),
    });
    Entry {
        record: Some(event.into_record(Some(activity(n)), extra(None))),
        account: vec![AccountChange::Started, AccountChange::Failed],
    }
}

/// A negotiation that ended in an SA: 4650 and its account.
pub fn established(mmsa_id: u64) -> Entry {
    let event = Event::MainModeEstablished(MainModeEstablished {
        local_name: Some("gw.example".to_owned()),
        remote_name: Some("branch.example".to_owned()),
        local: SocketAddr::from(([192, 0, 2, 1], 500)),
        remote: SocketAddr::new(peer(mmsa_id), 500),
        key_mod: KeyMod::IkeV1,
        auth: AuthMethod::PresharedKey,
        cipher: "%%8237",
        integrity: "%%8242",
        group: "%%8232",
        lifetime: Duration::from_hours(8),
        qm_limit: 0,
        role: Role::Responder,
        filter_id: 1,
        mmsa_id,
    });
    Entry {
        record: Some(event.into_record(Some(activity(mmsa_id)), extra(None))),
        account: vec![
            AccountChange::Started,
            AccountChange::Established(Some(live(mmsa_id))),
        ],
    }
}

pub fn live(mmsa_id: u64) -> LiveSa {
    LiveSa {
        mmsa_id,
        local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        remote: peer(mmsa_id),
        key_mod: KeyMod::IkeV1,
        activity: activity(mmsa_id),
        connection: Some("branch".to_owned()),
    }
}

/// The end of an SA: 4655 and its account.
pub fn ended(sa: &LiveSa, cause: Cause) -> Entry {
    let event = Event::MainModeEnded(MainModeEnded {
        local: sa.local,
        remote: sa.remote,
        key_mod: sa.key_mod,
        mmsa_id: sa.mmsa_id,
    });
    Entry {
        record: Some(event.into_record(Some(sa.activity), extra(Some(cause)))),
        account: vec![AccountChange::Ended {
            mmsa_id: sa.mmsa_id,
        }],
    }
}

/// A Quick Mode that ended in an IPsec SA: 5451 and its account.
pub fn ipsec_established(qmsa_id: u64) -> Entry {
    let sa = live_ipsec(qmsa_id);
    let event = Event::QuickModeEstablished(QuickModeEstablished {
        local: sa.end.local,
        remote: sa.end.remote,
        peer_private: None,
        protocol: sa.end.protocol,
        key_mod: KeyMod::IkeV1,
        ah_auth: "%%8229",
        esp_auth: "%%8242",
        cipher: "%%8237",
        lifetime: Duration::from_hours(1),
        lifetime_kilobytes: None,
        lifetime_packets: None,
        mode: sa.end.mode,
        role: Role::Initiator,
        filter_id: 1,
        mmsa_id: 1,
        qmsa_id,
        inbound_spi: 0x1000,
        outbound_spi: 0x2000,
    });
    Entry {
        record: Some(event.into_record(Some(sa.activity), extra(None))),
        account: vec![
            AccountChange::QuickModeStarted,
            AccountChange::QuickModeEstablished(Some(sa)),
        ],
    }
}

/// Every third one in transport mode, every other one of IPv6.
pub fn live_ipsec(qmsa_id: u64) -> LiveIpsecSa {
    let [.., a, b] = qmsa_id.to_be_bytes();
    let (local, remote, prefix) = if qmsa_id.is_multiple_of(2) {
        let net = |c| IpAddr::from([0x2001, 0xdb8, u16::from(a), u16::from(b), 0, 0, 0, c]);
        (net(0), net(1), 128)
    } else {
        let net = |first| IpAddr::from([first, a, b, 0]);
        (net(10), net(11), 24)
    };
    LiveIpsecSa {
        end: QuickModeEnded {
            local: TrafficEnd::subnet(local, prefix, 0),
            remote: TrafficEnd::subnet(remote, prefix, 443),
            mode: if qmsa_id.is_multiple_of(3) {
                Mode::Transport
            } else {
                Mode::Tunnel {
                    local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                    remote: peer(qmsa_id),
                }
            },
            protocol: 6,
            qmsa_id,
        },
        activity: activity(!qmsa_id),
        connection: Some("branch".to_owned()),
    }
}

/// The end of an IPsec SA: 5452 and its account.
pub fn ipsec_ended(sa: &LiveIpsecSa, cause: Cause) -> Entry {
    let event = Event::QuickModeEnded(sa.end);
    Entry {
        record: Some(event.into_record(Some(sa.activity), extra(Some(cause)))),
        account: vec![AccountChange::QuickModeEnded {
            qmsa_id: sa.end.qmsa_id,
        }],
    }
}

/// A change of the account alone.
pub fn account(changes: &[AccountChange]) -> Entry {
    Entry {
        record: None,
        account: changes.to_vec(),
    }
}

/// Segments in the directory, oldest first.
pub fn segments(directory: &Path) -> Vec<PathBuf> {
    files(directory, "security-")
}

/// Archives in the directory, oldest first.
pub fn archives(directory: &Path) -> Vec<PathBuf> {
    files(directory, "Archive-Security-")
}

fn files(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix) && path.extension().is_some_and(|end| end == "db")
        })
        .collect();
    files.sort();
    files
}

/// Appends failures in batches until so many were written.
pub fn fill(writer: &mut Writer, from: u64, count: u64) {
    let entries: Vec<Entry> = (from..from + count).map(failed).collect();
    for batch in entries.chunks(64) {
        writer.append(batch).unwrap();
    }
}
