//! A writer under load, for the crash tests: appends for ever, and prints each record's ID once it is
//! on disk. `load DIRECTORY [overwrite|archive|stop [MAX_SIZE]]`
//!
//! Lines on stdout: `open ORPHANS INTERRUPTED`, `done FIRST LAST` (IDs that are durable now),
//! `error NO_SPACE TEXT`. It ends when stdout does.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use audit::{
    ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeEnded,
    MainModeEstablished, MainModeFailed, MmState, Role,
};
use eventlog::{AccountChange, Entry, LiveSa, LogError, Options, Retention, Writer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .ok_or("load DIRECTORY [RETENTION [MAX_SIZE]]")?;
    let retention = arguments.next().unwrap_or_else(|| "overwrite".to_owned());
    let max_size = arguments
        .next()
        .map_or(Ok(eventlog::MIN_SIZE), |n| n.parse())?;
    let options = Options {
        directory: directory.into(),
        max_size,
        retention: Retention::from_name(&retention).ok_or("overwrite, archive or stop")?,
        computer: "load".to_owned(),
        process_id: std::process::id(),
    };
    let (mut writer, recovery) = Writer::open(options)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "open {} {}",
        recovery.orphans.len(),
        recovery.interrupted
    )?;
    // What the daemon does at its start.
    let orphans: Vec<Entry> = recovery
        .orphans
        .iter()
        .map(|sa| ended(sa, Cause::OrphanedByCrash))
        .collect();
    if !orphans.is_empty() {
        append(&mut writer, &orphans, &mut out)?;
    }
    let mut live: Vec<LiveSa> = Vec::new();
    let mut ids = writer.reserve_mmsa_ids(1000)?;
    for round in 0u64.. {
        let mut batch = Vec::new();
        for n in 0..=round % 24 {
            match (round + n) % 5 {
                0 => {
                    if ids.is_empty() {
                        ids = insist(&mut out, || writer.reserve_mmsa_ids(1000))?;
                    }
                    let id = ids.next().unwrap_or_default();
                    let sa = sa(id);
                    batch.push(established(&sa));
                    live.push(sa);
                }
                1 if live.len() > 10 => batch.push(ended(&live.remove(0), Cause::Expired)),
                2 => batch.push(Entry {
                    record: None,
                    account: vec![AccountChange::Started],
                }),
                _ => batch.push(failed(round * 100 + n)),
            }
        }
        append(&mut writer, &batch, &mut out)?;
    }
    Ok(())
}

/// Appends, and tries again until the disk takes it.
fn append(
    writer: &mut Writer,
    batch: &[Entry],
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let appended = insist(out, || writer.append(batch))?;
    let mut ids = appended.ids.into_iter().flatten();
    if let Some(first) = ids.next() {
        writeln!(out, "done {first} {}", ids.last().unwrap_or(first))?;
        out.flush()?;
    }
    Ok(())
}

fn insist<T>(
    out: &mut impl Write,
    mut f: impl FnMut() -> Result<T, LogError>,
) -> std::io::Result<T> {
    loop {
        match f() {
            Ok(value) => return Ok(value),
            Err(error) => {
                writeln!(out, "error {} {error} {error:?}", error.is_no_space())?;
                out.flush()?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn peer(n: u64) -> IpAddr {
    let [.., a, b] = n.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 9, a, b))
}

fn activity(n: u64) -> ActivityId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ActivityId(id)
}

fn sa(mmsa_id: u64) -> LiveSa {
    LiveSa {
        mmsa_id,
        local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        remote: peer(mmsa_id),
        key_mod: KeyMod::IkeV1,
        activity: activity(mmsa_id),
        connection: Some("branch".to_owned()),
    }
}

fn extra(cause: Option<Cause>) -> Extra {
    Extra {
        connection: Some("branch".to_owned()),
        cause,
        ..Extra::default()
    }
}

fn established(sa: &LiveSa) -> Entry {
    let event = Event::MainModeEstablished(MainModeEstablished {
        local_name: Some("gw.example".to_owned()),
        remote_name: Some("branch.example".to_owned()),
        local: SocketAddr::new(sa.local, 500),
        remote: SocketAddr::new(sa.remote, 500),
        key_mod: sa.key_mod,
        auth: AuthMethod::PresharedKey,
        cipher: "%%8237",
        integrity: "%%8242",
        group: "%%8232",
        lifetime: Duration::from_hours(8),
        qm_limit: 0,
        role: Role::Responder,
        filter_id: 1,
        mmsa_id: sa.mmsa_id,
    });
    Entry {
        record: Some(event.into_record(Some(sa.activity), extra(None))),
        account: vec![
            AccountChange::Started,
            AccountChange::Established(Some(sa.clone())),
        ],
    }
}

fn ended(sa: &LiveSa, cause: Cause) -> Entry {
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

fn failed(n: u64) -> Entry {
    let event = Event::MainModeFailed(MainModeFailed {
        local_name: Some("gw.example".to_owned()),
        remote_name: None,
        local: SocketAddr::from(([192, 0, 2, 1], 500)),
        remote: SocketAddr::new(peer(n), 500),
        key_mod: KeyMod::IkeV1,
        point: FailurePoint::Local,
        cause: Cause::PskMismatch,
        auth: AuthMethod::PresharedKey,
        state: MmState::SentThird,
        role: Role::Initiator,
        filter_id: 1,
        initiator_cookie: n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
        responder_cookie: n.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes(),
    });
    Entry {
        record: Some(event.into_record(Some(activity(n)), extra(None))),
        account: vec![AccountChange::Started, AccountChange::Failed],
    }
}
