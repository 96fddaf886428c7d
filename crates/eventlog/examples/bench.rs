//! The log's figures: events a second by batch size beside what `fdatasync` alone allows, bytes a
//! record, and the last 100 events of one peer. `bench DIRECTORY [RECORDS]` (default a million; the
//! directory must be on the disk that counts, and have room for 300 bytes a record).

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use audit::{
    ActivityId, AuthMethod, Cause, Event, Extra, FailurePoint, KeyMod, MainModeEnded,
    MainModeEstablished, MainModeFailed, MmState, Role,
};
use eventlog::{AccountChange, Entry, LiveSa, Options, Query, Reader, Retention, Writer};

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(3);
/// Peers that the records are spread over.
const PEERS: u64 = 10_000;
/// Queries for one peer.
const QUERIES: u64 = 200;

type Any = Box<dyn std::error::Error>;

fn main() -> Result<(), Any> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("bench DIRECTORY [RECORDS]")?;
    let records: u64 = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let directory = Path::new(&directory);
    println!("| batch | events/s | transactions/s | fdatasync of as many bytes/s | of it |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for batch in [1, 8, 64, 256] {
        let place = tempfile::tempdir_in(directory)?;
        // By turns, so that a disk that others use is the same for both.
        let (mut events, mut syncs) = (0.0, 0.0);
        for _ in 0..3 {
            let (rate, size) = append_rate(place.path(), batch)?;
            events += rate / 3.0;
            syncs += sync_rate(directory, batch, size)? / 3.0;
        }
        let transactions = events / f64::from(batch);
        println!(
            "| {batch} | {events:.0} | {transactions:.0} | {syncs:.0} | {:.0} % |",
            100.0 * transactions / syncs
        );
    }
    println!();
    let place = tempfile::tempdir_in(directory)?;
    let mut writer = writer(place.path())?;
    let start = Instant::now();
    let mut n = 0;
    let mut slowest = Duration::ZERO;
    while n < records {
        let batch: Vec<Entry> = (n..(n + 256).min(records)).map(entry).collect();
        n += batch.len() as u64;
        let one = Instant::now();
        writer.append(&batch)?;
        slowest = slowest.max(one.elapsed());
    }
    let took = start.elapsed();
    let reader = Reader::open(place.path())?;
    let info = reader.info()?;
    println!(
        "{records} records of {PEERS} peers in {:.0} s, {} segments; slowest append of 256: {:.1} ms",
        took.as_secs_f64(),
        info.segments,
        slowest.as_secs_f64() * 1000.0
    );
    #[allow(clippy::cast_precision_loss, reason = "a mean, printed to a tenth")]
    let mean = info.size as f64 / info.records as f64;
    println!("{mean:.1} bytes a record on disk, indexes and all");
    let mut times = Vec::new();
    for query in 0..QUERIES {
        let one = Instant::now();
        let found = reader
            .query(&Query {
                peer: Some(peer(query * 7919)),
                reverse: true,
                limit: Some(100),
                ..Query::default()
            })
            .collect::<Result<Vec<_>, _>>()?;
        times.push(one.elapsed());
        assert!(found.len() == 100 || records < 200 * PEERS);
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!(
        "the last 100 events of one peer: median {:.2} ms, 99 of 100 within {:.2} ms, slowest {:.2} ms",
        at(50),
        at(99),
        at(100)
    );
    rotation(directory)?;
    let start = Instant::now();
    let verified = reader.verify(None).map_err(|fault| fault.to_string())?;
    println!(
        "log verify: {} records in {:.1} s",
        verified.records,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What an append costs while a log of 128 MiB goes through its segments, small batches as in life.
fn rotation(directory: &Path) -> Result<(), Any> {
    let place = tempfile::tempdir_in(directory)?;
    let (mut writer, _) = Writer::open(Options {
        directory: place.path().to_owned(),
        max_size: 128 << 20,
        retention: Retention::Overwrite,
        computer: "gw.example".to_owned(),
        process_id: 1,
    })?;
    let mut times = Vec::new();
    for n in (0..300_000).step_by(16) {
        let entries: Vec<Entry> = (n..n + 16).map(entry).collect();
        let one = Instant::now();
        writer.append(&entries)?;
        times.push(one.elapsed());
    }
    times.sort_unstable();
    let at = |thousandth: usize| {
        let at = (times.len() - 1) * thousandth / 1000;
        times[at].as_secs_f64() * 1000.0
    };
    println!(
        "an append of 16 while a log of 128 MiB rotates: median {:.2} ms, 99 of 100 within {:.2} ms, \
         999 of 1000 within {:.2} ms, slowest {:.1} ms",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    Ok(())
}

fn writer(directory: &Path) -> Result<Writer, Any> {
    let options = Options {
        directory: directory.to_owned(),
        // As an operator would choose it for so many: nothing is overwritten here.
        max_size: 8 << 30,
        retention: Retention::Overwrite,
        computer: "gw.example".to_owned(),
        process_id: std::process::id(),
    };
    Ok(Writer::open(options)?.0)
}

/// Events a second in batches, and bytes a record.
fn append_rate(directory: &Path, batch: u32) -> Result<(f64, f64), Any> {
    let mut writer = writer(directory)?;
    let start = Instant::now();
    let mut n = 0u64;
    while start.elapsed() < SPAN {
        let entries: Vec<Entry> = (n..n + u64::from(batch)).map(entry).collect();
        writer.append(&entries)?;
        n += u64::from(batch);
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = n as f64 / start.elapsed().as_secs_f64();
    writer.close()?;
    let info = Reader::open(directory)?.info()?;
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    let bytes = info.size as f64 / info.records as f64;
    Ok((rate, bytes))
}

/// Appends of as many bytes, each followed by `fdatasync`, a second.
fn sync_rate(directory: &Path, batch: u32, bytes: f64) -> Result<f64, Any> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousand bytes"
    )]
    let block = vec![0x5a; (bytes * f64::from(batch)) as usize];
    let start = Instant::now();
    let mut n = 0u32;
    while start.elapsed() < SPAN / 3 {
        file.write_all(&block)?;
        file.sync_data()?;
        n += 1;
    }
    Ok(f64::from(n) / start.elapsed().as_secs_f64())
}

/// A mixing of the bits (`SplitMix64`), so that nothing repeats that does not in life.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn peer(n: u64) -> IpAddr {
    let [.., a, b] = (n % PEERS).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, a, b))
}

fn activity(n: u64) -> ActivityId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(n).to_be_bytes());
    id[8..].copy_from_slice(&mix(!n).to_be_bytes());
    ActivityId(id)
}

fn extra(n: u64, cause: Option<Cause>) -> Extra {
    Extra {
        connection: Some(format!("site-{}", n % PEERS)),
        cause,
        ..Extra::default()
    }
}

/// Of ten records three are 4650, three 4655, three 4653 and one is 4976, of a peer by chance.
fn entry(n: u64) -> Entry {
    let who = mix(n / 3) % PEERS;
    let remote = peer(who);
    let local = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let name = Some(format!("host{who}.branch.example"));
    let (event, account) = match n % 10 {
        0..3 => (
            Event::MainModeEstablished(MainModeEstablished {
                local_name: Some("gw.example".to_owned()),
                remote_name: name,
                local: SocketAddr::new(local, 500),
                remote: SocketAddr::new(remote, 500),
                key_mod: KeyMod::IkeV1,
                auth: AuthMethod::PresharedKey,
                cipher: "%%8237",
                integrity: "%%8242",
                group: "%%8232",
                lifetime: Duration::from_hours(8),
                qm_limit: 0,
                role: Role::Responder,
                filter_id: who,
                mmsa_id: n,
            }),
            vec![
                AccountChange::Started,
                AccountChange::Established(Some(LiveSa {
                    mmsa_id: n,
                    local,
                    remote,
                    key_mod: KeyMod::IkeV1,
                    activity: activity(n),
                    connection: Some(format!("site-{who}")),
                })),
            ],
        ),
        3..6 => (
            Event::MainModeEnded(MainModeEnded {
                local,
                remote,
                key_mod: KeyMod::IkeV1,
                mmsa_id: n - 3,
            }),
            vec![AccountChange::Ended { mmsa_id: n - 3 }],
        ),
        6 => (
            Event::InvalidPacket(audit::InvalidPacket {
                local,
                remote,
                key_mod: KeyMod::IkeV1,
            }),
            Vec::new(),
        ),
        _ => (
            Event::MainModeFailed(MainModeFailed {
                local_name: Some("gw.example".to_owned()),
                remote_name: name,
                local: SocketAddr::new(local, 500),
                remote: SocketAddr::new(remote, 500),
                key_mod: KeyMod::IkeV1,
                point: FailurePoint::Local,
                cause: [Cause::PskMismatch, Cause::NoAnswer, Cause::IdentityMismatch]
                    [usize::try_from(n % 3).unwrap_or(0)],
                auth: AuthMethod::PresharedKey,
                state: MmState::SentThird,
                role: Role::Responder,
                filter_id: who,
                initiator_cookie: mix(n).to_be_bytes(),
                responder_cookie: mix(n ^ 0x55).to_be_bytes(),
            }),
            vec![AccountChange::Started, AccountChange::Failed],
        ),
    };
    let cause = match n % 10 {
        3..6 => Some(Cause::Expired),
        6 => Some(Cause::PacketTampered),
        _ => None,
    };
    Entry {
        record: Some(event.into_record(Some(activity(n)), extra(who, cause))),
        account,
    }
}
