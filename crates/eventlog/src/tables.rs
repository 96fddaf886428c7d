//! The rows of a segment's tables: records, state, and the account.

use std::net::IpAddr;

use audit::{Mode, QuickModeEnded, Record, TrafficEnd};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::account::{key_mod_from_number, key_mod_number};
use crate::encoding::{Codec, Hash, Stamp, link};
use crate::numbers::Numbers;
use crate::segment::State;
use crate::{Counters, LiveIpsecSa, LiveSa, QuickModeCounters};

/// `INTEGER` columns are signed; no count of ours gets that far.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way round; a negative number is somebody else's work and becomes 0.
pub(crate) fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A hash column; of the wrong length it is no hash.
pub(crate) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get::<_, Hash>(column)
}

/// Appends a record: its row, and the head that moves with it. `stamp.id` must follow the head.
pub(crate) fn put_record(
    connection: &Connection,
    codec: &mut Codec,
    state: &mut State,
    stamp: &Stamp<'_>,
    record: &Record,
) -> rusqlite::Result<()> {
    let hash = link(&state.head_hash, stamp, record);
    // A codec serves one writer and one segment, whose records all have one origin.
    let origin = match codec.origin {
        Some(origin) => origin,
        None => *codec
            .origin
            .insert(origin(connection, stamp.computer, stamp.process)?),
    };
    connection
        .prepare_cached(
            "INSERT INTO record (id, time, event, origin, peer, body, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            integer(stamp.id),
            stamp.time,
            record.event_id,
            origin,
            record.peer().map(peer_key),
            codec.store(record),
            hash
        ])?;
    state.head = stamp.id;
    state.head_hash = hash;
    state.note(stamp.time);
    Ok(())
}

/// A peer as the index holds it: 4 bytes or 16, an IPv4 address mapped into IPv6 as what it is.
pub(crate) fn peer_key(peer: std::net::IpAddr) -> Vec<u8> {
    match peer.to_canonical() {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The number that stands for a computer and a process in this segment.
pub(crate) fn origin(
    connection: &Connection,
    computer: &str,
    process: u32,
) -> rusqlite::Result<i64> {
    let known = connection
        .prepare_cached("SELECT id FROM origin WHERE computer = ?1 AND process = ?2")?
        .query_row(params![computer, process], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO origin (computer, process) VALUES (?1, ?2)")?
        .insert(params![computer, process])
}

/// Writes the state row.
pub(crate) fn put_state(connection: &Connection, state: &State) -> rusqlite::Result<()> {
    let counters = &state.counters;
    let quick_mode = &counters.quick_mode;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO state (one, head, head_hash, floor, floor_hash, oldest_time,
               newest_time, next_mmsa, full, negotiations, established, failed, superseded,
               interrupted, ended, held_back, quick_negotiations, quick_established, quick_failed,
               quick_interrupted, quick_ended)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
               ?18, ?19, ?20)",
        )?
        .execute(params![
            integer(state.head),
            state.head_hash,
            integer(state.floor),
            state.floor_hash,
            state.times.map(|(oldest, _)| oldest),
            state.times.map(|(_, newest)| newest),
            integer(state.next.mmsa),
            state.full,
            integer(counters.negotiations),
            integer(counters.established),
            integer(counters.failed),
            integer(counters.superseded),
            integer(counters.interrupted),
            integer(counters.ended),
            integer(counters.held_back),
            integer(quick_mode.negotiations),
            integer(quick_mode.established),
            integer(quick_mode.failed),
            integer(quick_mode.interrupted),
            integer(quick_mode.ended),
        ])?;
    Ok(())
}

/// Reads the state row, its columns in the order that [`crate::segment::Segment::state`] asks for.
pub(crate) fn read_state(row: &Row<'_>) -> rusqlite::Result<State> {
    Ok(State {
        head: natural(row, 0)?,
        head_hash: hash(row, 1)?,
        floor: natural(row, 2)?,
        floor_hash: hash(row, 3)?,
        times: row
            .get::<_, Option<i64>>(4)?
            .zip(row.get::<_, Option<i64>>(5)?),
        next: Numbers {
            mmsa: natural(row, 6)?,
            // A setting, and no column; as is what is untold.
            qmsa: 0,
        },
        full: row.get(7)?,
        counters: Counters {
            negotiations: natural(row, 8)?,
            established: natural(row, 9)?,
            failed: natural(row, 10)?,
            superseded: natural(row, 11)?,
            interrupted: natural(row, 12)?,
            ended: natural(row, 13)?,
            held_back: natural(row, 14)?,
            untold: 0,
            quick_mode: QuickModeCounters {
                negotiations: natural(row, 15)?,
                established: natural(row, 16)?,
                failed: natural(row, 17)?,
                interrupted: natural(row, 18)?,
                ended: natural(row, 19)?,
            },
        },
    })
}

/// A column of the lists of SAs that holds what no log of ours wrote.
fn bad(column: usize) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::InvalidColumnType(column, "live".to_owned(), kind)
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<IpAddr> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| bad(column))
}

/// The SAs that are owed a 4655, oldest first.
pub(crate) fn live(connection: &Connection) -> rusqlite::Result<Vec<LiveSa>> {
    connection
        .prepare(
            "SELECT mmsa, local, remote, key_mod, activity, connection FROM live ORDER BY mmsa",
        )?
        .query_map([], |row| {
            Ok(LiveSa {
                mmsa_id: natural(row, 0)?,
                local: address(row, 1)?,
                remote: address(row, 2)?,
                key_mod: key_mod_from_number(row.get(3)?).ok_or_else(|| bad(3))?,
                activity: audit::ActivityId(row.get(4)?),
                connection: row.get(5)?,
            })
        })?
        .collect()
}

/// Lists an SA as owed a 4655.
pub(crate) fn put_live(connection: &Connection, sa: &LiveSa) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO live (mmsa, local, remote, key_mod, activity, connection)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            integer(sa.mmsa_id),
            sa.local.to_string(),
            sa.remote.to_string(),
            key_mod_number(sa.key_mod),
            sa.activity.0,
            sa.connection
        ])?;
    Ok(())
}

/// Strikes an SA from that list; one that had no 4650 is not on it.
pub(crate) fn remove_live(connection: &Connection, mmsa_id: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM live WHERE mmsa = ?1")?
        .execute([integer(mmsa_id)])?;
    Ok(())
}

/// `mode` of an IPsec SA: with the tunnel's endpoints where it is one.
const TRANSPORT: i64 = 1;
const TUNNEL: i64 = 2;

/// The IPsec SAs that are owed a 5452, oldest first.
pub(crate) fn live_ipsec(connection: &Connection) -> rusqlite::Result<Vec<LiveIpsecSa>> {
    let traffic = |row: &Row<'_>, at| {
        let (address, prefix, port) = (address(row, at)?, row.get(at + 1)?, row.get(at + 2)?);
        Ok::<_, rusqlite::Error>(TrafficEnd::subnet(address, prefix, port))
    };
    connection
        .prepare(
            "SELECT qmsa, local, local_prefix, local_port, remote, remote_prefix, remote_port,
               protocol, mode, local_endpoint, remote_endpoint, activity, connection
             FROM live_ipsec ORDER BY qmsa",
        )?
        .query_map([], |row| {
            let mode = match row.get(8)? {
                TUNNEL => Mode::Tunnel {
                    local: address(row, 9)?,
                    remote: address(row, 10)?,
                },
                TRANSPORT => Mode::Transport,
                _ => Mode::Unknown,
            };
            Ok(LiveIpsecSa {
                end: QuickModeEnded {
                    local: traffic(row, 1)?,
                    remote: traffic(row, 4)?,
                    mode,
                    protocol: row.get(7)?,
                    qmsa_id: natural(row, 0)?,
                },
                activity: audit::ActivityId(row.get(11)?),
                connection: row.get(12)?,
            })
        })?
        .collect()
}

/// Lists an IPsec SA as owed a 5452.
pub(crate) fn put_live_ipsec(connection: &Connection, sa: &LiveIpsecSa) -> rusqlite::Result<()> {
    let end = &sa.end;
    let (mode, endpoints) = match end.mode {
        Mode::Unknown => (0, None),
        Mode::Transport => (TRANSPORT, None),
        Mode::Tunnel { local, remote } => (TUNNEL, Some((local, remote))),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO live_ipsec (qmsa, local, local_prefix, local_port, remote,
               remote_prefix, remote_port, protocol, mode, local_endpoint, remote_endpoint, activity,
               connection)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            integer(end.qmsa_id),
            end.local.address().to_string(),
            end.local.prefix(),
            end.local.port(),
            end.remote.address().to_string(),
            end.remote.prefix(),
            end.remote.port(),
            end.protocol,
            mode,
            endpoints.map(|(local, _)| local.to_string()),
            endpoints.map(|(_, remote)| remote.to_string()),
            sa.activity.0,
            sa.connection
        ])?;
    Ok(())
}

/// Strikes an IPsec SA from that list; one that had no 5451 is not on it.
pub(crate) fn remove_live_ipsec(connection: &Connection, qmsa_id: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM live_ipsec WHERE qmsa = ?1")?
        .execute([integer(qmsa_id)])?;
    Ok(())
}

/// Keeps a setting.
pub(crate) fn put_setting(
    connection: &Connection,
    name: &str,
    value: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

/// Forgets a setting; one that was never set is no error.
pub(crate) fn remove_setting(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM setting WHERE name = ?1")?
        .execute([name])?;
    Ok(())
}
