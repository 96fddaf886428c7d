//! A stranger at the peer's address: not a peer that could negotiate, only what strongSwan cannot be made to say.

use crate::Outcome;
use crate::lab::Lab;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Answers until it is dropped.
pub struct Stranger {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    /// Answers every message 1 that comes to port 500 of `address` with this notification, unprotected.
    pub fn start(lab: &Lab, host: &str, address: &str, notify: u16) -> Outcome<Self> {
        let socket = socket_in(
            &lab.namespace(host),
            SocketAddr::new(address.parse::<IpAddr>()?, 500),
        )?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut datagram = vec![0; 65535];
            while !stopped.load(Ordering::Relaxed) {
                // A time-out only means that it is time to look whether to stop.
                if let Ok((length, from)) = socket.recv_from(&mut datagram)
                    && let Some(answer) = refusal(&datagram[..length], notify)
                {
                    // A lost answer is asked for again by a retransmission.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell, not even of a panic.
            let _ = thread.join();
        }
    }
}

/// A socket keeps the namespace it was made in; a thread of its own enters that, so that this one need not.
fn socket_in(namespace: &str, address: SocketAddr) -> Outcome<UdpSocket> {
    let namespace = File::open(format!("/run/netns/{namespace}"))?;
    let opened = std::thread::spawn(move || -> std::io::Result<UdpSocket> {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        UdpSocket::bind(address)
    });
    Ok(opened
        .join()
        .map_err(|_| "the thread in the namespace panicked")??)
}

/// RFC 2408 3.14 in an Informational exchange without protection, under the cookies of a message 1.
fn refusal(message: &[u8], notify: u16) -> Option<Vec<u8>> {
    const IDENTITY_PROTECTION: u8 = 2;
    let header = message.get(..28)?;
    if header[18] != IDENTITY_PROTECTION || header[8..16] != [0; 8] {
        return None;
    }
    let mut answer = header[..8].to_vec();
    answer.extend([0x5a; 8]); // the responder's cookie
    answer.extend([11, 0x10, 5, 0]); // a notification comes first; version 1.0; Informational; no flags
    answer.extend([0x12, 0x34, 0x56, 0x78]); // message ID
    answer.extend(40_u32.to_be_bytes());
    answer.extend([0, 0, 0, 12]); // no further payload; this one's length
    answer.extend(1_u32.to_be_bytes()); // DOI: IPsec
    answer.extend([1, 0]); // protocol ISAKMP, no SPI
    answer.extend(notify.to_be_bytes());
    Some(answer)
}
