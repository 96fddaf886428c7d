//! Bytes as a program: what the fuzz target makes of its input.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use isakmp::ExchangeType;

use super::sides::{address, child, connection};
use super::{Bench, Packet, Proof};
use crate::io::{Command, Input};
/// The states of a negotiation: before message 1, and after each.
fn stages() -> &'static [Bench] {
    static STAGES: OnceLock<Vec<Bench>> = OnceLock::new();
    STAGES.get_or_init(|| {
        let mut stages = Vec::new();
        for (size, proof) in [
            (None, Proof::Psk),
            (Some(180), Proof::Psk),
            (None, Proof::Certificates),
            (None, Proof::AggressivePsk),
            (None, Proof::AggressiveCertificates),
            (None, Proof::User),
            (None, Proof::Hybrid),
        ] {
            let mut bench = Bench::with(size, proof);
            stages.push(bench.clone());
            bench.initiate(0);
            stages.push(bench.clone());
            while bench.step().is_some() {
                stages.push(bench.clone());
            }
            // And of a Quick Mode under it.
            bench.initiate_child(0);
            stages.push(bench.clone());
            while bench.step().is_some() {
                stages.push(bench.clone());
            }
        }
        stages
    })
}

/// Bytes as a program.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes.to_vec()
    }
}

/// How many steps of a program are taken.
const MAX_STEPS: usize = 200;

/// Reads the bytes as a program: which state to begin with, what happens to each datagram, what else
/// comes, when jobs are done and the log answers, how time passes. Whatever it is, the account balances
/// and nothing stays.
///
/// # Panics
/// When that is not so: the fuzzer found a fault.
pub fn endpoint(data: &[u8]) {
    let mut program = Program(data);
    let stages = stages();
    let mut bench = stages[usize::from(program.byte()) % stages.len()].clone();
    let mut seen: Vec<Packet> = bench.wire.iter().cloned().collect();
    for _ in 0..MAX_STEPS {
        if program.0.is_empty() {
            break;
        }
        instruction(&mut bench, &mut program, &mut seen);
        bench.check();
        for packet in &bench.wire {
            if seen.len() < 64 && !seen.contains(packet) {
                seen.push(packet.clone());
            }
        }
        bench.wire.truncate(200);
    }
    bench.finish();
}

fn instruction(bench: &mut Bench, program: &mut Program<'_>, seen: &mut [Packet]) {
    let code = program.byte();
    let host = usize::from(code >> 7);
    match code & 0x1f {
        0..=5 => drop(bench.step()),
        6 => drop(bench.wire.pop_front()),
        7 => {
            if let Some(packet) = bench.wire.front().cloned() {
                bench.deliver(&packet);
            }
        }
        // A datagram changed, in place or before the true one.
        8..=11 => {
            if let Some(mut packet) = bench.wire.front().cloned() {
                change(program, &mut packet.bytes);
                bench.deliver(&packet);
                if code & 1 == 0 {
                    bench.wire.pop_front();
                }
            }
        }
        12 => {
            if let Some(packet) = bench.wire.pop_front() {
                bench.wire.push_back(packet);
            }
        }
        // An old datagram again, changed or not, to its receiver or back.
        13 | 14 => {
            let at = usize::from(program.byte()) % seen.len().max(1);
            if let Some(mut packet) = seen.get(at).cloned() {
                if code & 1 == 0 {
                    change(program, &mut packet.bytes);
                }
                if code & 0x40 != 0 {
                    packet.sender = 1 - packet.sender;
                    std::mem::swap(&mut packet.from, &mut packet.to);
                }
                bench.deliver(&packet);
            }
        }
        15 => bench.pass(Duration::from_millis(u64::from(program.word()))),
        16 => bench.pass(Duration::from_secs(u64::from(program.byte()) * 4)),
        17 => bench.initiate(host),
        18 => {
            let connection = "peer".to_owned();
            bench.give(host, Input::Command(Command::Terminate { connection }));
        }
        19 => bench.hold_jobs ^= true,
        20 => drop(bench.finish_job()),
        21 => drop(bench.jobs.pop_front()),
        22 => bench.hold_tickets ^= true,
        23 => drop(bench.answer_ticket(code & 0x40 == 0)),
        // Anything at all.
        24 => {
            let len = usize::from(program.byte());
            let bytes = program.bytes(len);
            foreign(bench, host, 500, bytes);
        }
        25 => {
            let size = Some(usize::from(program.byte()) + 1).filter(|_| code & 0x40 != 0);
            let mut connection = connection(host, size, bench.proof);
            if code & 0x20 != 0 {
                // Main Mode stays, whatever becomes of the child.
                let mut child = child(host, bench.proof);
                child.replay_window += u32::from(program.byte());
                connection.children = vec![Arc::new(child)];
            }
            let connections = vec![Arc::new(connection)];
            bench.give(host, Input::Command(Command::Connections(connections)));
        }
        26 => quick_mode(bench, program, host, code & 0x40 != 0),
        // Under the keys, any payloads.
        _ => {
            let exchanges = [
                ExchangeType::INFORMATIONAL,
                ExchangeType::QUICK_MODE,
                if bench.proof == Proof::AggressivePsk {
                    ExchangeType::AGGRESSIVE
                } else {
                    ExchangeType::IDENTITY_PROTECTION
                },
                ExchangeType::TRANSACTION,
            ];
            let exchange = exchanges[usize::from(code >> 5 & 3)];
            let id = match exchange {
                ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => 0,
                _ => u32::from(program.byte()) + 1,
            };
            let len = usize::from(program.byte());
            let chain = program.bytes(len);
            if let Some(bytes) = bench.sealed(host, exchange, id, &chain) {
                foreign(bench, host, 500, bytes);
            }
        }
    }
}

/// What the operator and the data plane do to child SAs.
fn quick_mode(bench: &mut Bench, program: &mut Program<'_>, host: usize, well: bool) {
    let some = bench.planes[host].keys().next().copied();
    match (program.byte() % 8, some) {
        (0, _) => bench.initiate_child(host),
        (1, _) => {
            let (connection, child) = ("peer".to_owned(), "net".to_owned());
            let command = Command::TerminateChild { connection, child };
            bench.give(host, Input::Command(command));
        }
        (2, _) => bench.hold_installs ^= true,
        (3, _) => drop(bench.answer_install(well)),
        (4, _) => drop(bench.installs.pop_front()),
        (5, Some(id)) => bench.give(host, Input::Expiring(id)),
        (6, Some(id)) => bench.give(host, Input::Expired(id)),
        (7, Some(id)) => bench.give(host, Input::InstallFailed(id, "gone".to_owned())),
        _ => {}
    }
}

/// Puts bytes before a side as if its peer had sent them.
fn foreign(bench: &mut Bench, host: usize, port: u16, bytes: Vec<u8>) {
    bench.deliver(&Packet {
        sender: 1 - host,
        from: SocketAddr::new(address(1 - host), port),
        to: SocketAddr::new(address(host), port),
        bytes,
    });
}

fn change(program: &mut Program<'_>, bytes: &mut Vec<u8>) {
    let at = usize::from(program.word()) % bytes.len().max(1);
    let value = program.byte();
    match program.byte() % 4 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at.min(bytes.len()), value),
        2 => {
            // With the length that the header then has to tell.
            bytes.truncate(at);
            if let (Some(field), Ok(len)) = (bytes.get_mut(24..28), u32::try_from(at)) {
                field.copy_from_slice(&len.to_be_bytes());
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= value;
            }
        }
    }
}
