//! Somebody on the path: passes datagrams between two peers, and can change one, or keep one and send
//! it again.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the relay looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// More than any message of the demonstration.
const DATAGRAM: usize = 4_096;
/// Where exchange type and ciphertext stand in a message.
const EXCHANGE_TYPE: usize = 18;
const HEADER: usize = 28;
const INFORMATIONAL: u8 = 5;

/// What to do with the next INFORMATIONAL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Nothing.
    None = 0,
    /// Change one bit of it.
    Tamper = 1,
    /// Pass it on, and once more.
    Replay = 2,
}

/// One side of the path: the peer's address, with its port and NAT port.
#[derive(Clone, Copy)]
pub struct Side {
    /// The address.
    pub address: IpAddr,
    /// Port and NAT port.
    pub ports: [u16; 2],
}

/// A relay that works until it is dropped.
pub struct Relay {
    mischief: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Relays between two sides on the ports `own` of `address`.
    pub fn start(address: IpAddr, own: [u16; 2], from: Side, to: Side) -> io::Result<Self> {
        let mischief = Arc::new(AtomicU8::new(Mischief::None as u8));
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (number, port) in own.into_iter().enumerate() {
            let socket = UdpSocket::bind((address, port))?;
            socket.set_read_timeout(Some(LOOK))?;
            let pair = [from, to].map(|side| SocketAddr::new(side.address, side.ports[number]));
            let path = Path {
                socket,
                pair,
                marked: number == 1,
                mischief: mischief.clone(),
            };
            let stop = stop.clone();
            threads.push(
                thread::Builder::new()
                    .name("relay".to_owned())
                    .spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            path.step();
                        }
                    })?,
            );
        }
        Ok(Relay {
            mischief,
            stop,
            threads,
        })
    }

    /// What to do with the next INFORMATIONAL.
    pub fn plan(&self, mischief: Mischief) {
        self.mischief.store(mischief as u8, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Path {
    socket: UdpSocket,
    pair: [SocketAddr; 2],
    /// Messages carry the non-ESP marker here.
    marked: bool,
    mischief: Arc<AtomicU8>,
}

impl Path {
    fn step(&self) {
        let mut buffer = [0; DATAGRAM];
        let Ok((length, source)) = self.socket.recv_from(&mut buffer) else {
            return;
        };
        let Some(datagram) = buffer.get_mut(..length) else {
            return;
        };
        let to = match self.pair.iter().position(|address| *address == source) {
            Some(0) => self.pair[1],
            Some(_) => self.pair[0],
            None => return,
        };
        let start = if self.marked { 4 } else { 0 };
        let informational = datagram.get(start + EXCHANGE_TYPE) == Some(&INFORMATIONAL);
        let mut copies = 1;
        if informational {
            let plan = self.mischief.swap(Mischief::None as u8, Ordering::SeqCst);
            if plan == Mischief::Tamper as u8
                && let Some(byte) = datagram.get_mut(start + HEADER)
            {
                *byte ^= 1;
            }
            if plan == Mischief::Replay as u8 {
                copies = 2;
            }
        }
        for _ in 0..copies {
            // A datagram that is lost here is lost like any other.
            let _ = self.socket.send_to(datagram, to);
        }
    }
}

/// Ports that are free on all these addresses now.
pub fn free_ports(addresses: &[IpAddr], count: usize) -> io::Result<Vec<u16>> {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    let Some((first, rest)) = addresses.split_first() else {
        return Ok(found);
    };
    // A port that is taken on one of the other addresses is passed over; a few hundred tries find some.
    for _ in 0..1_000 {
        if found.len() == count {
            return Ok(found);
        }
        let port = UdpSocket::bind((*first, 0))?.local_addr()?.port();
        let free = rest
            .iter()
            .all(|address| UdpSocket::bind((*address, port)).is_ok());
        if free && !given.contains(&port) {
            given.push(port);
            found.push(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no free UDP ports on loopback",
    ))
}
