//! A web server on a host, for what certificates name: it serves one file, whatever is asked for.

use crate::Outcome;
use crate::lab::Lab;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Serves until it is dropped.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the content on a host's address and port.
    pub fn start(lab: &Lab, host: &str, address: SocketAddr, content: Vec<u8>) -> Outcome<Self> {
        let listener = listener_in(&lab.namespace(host), address)?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A client that goes away has what it wanted.
                    Ok((stream, _)) => drop(serve(stream, &content)),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

/// The longest request that is read.
const MAX_REQUEST: usize = 4096;

fn serve(mut stream: TcpStream, content: &[u8]) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    // To its end: what is closed unread is reset, and what was sent may be lost with it.
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while request.len() < MAX_REQUEST && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => break,
            len => request.extend_from_slice(&part[..len]),
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(content)
}

/// A socket keeps the namespace it was made in; a thread of its own enters that, so that this one need not.
fn listener_in(namespace: &str, address: SocketAddr) -> Outcome<TcpListener> {
    let namespace = File::open(format!("/run/netns/{namespace}"))?;
    let opened = std::thread::spawn(move || -> Result<TcpListener, String> {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
        TcpListener::bind(address).map_err(|e| e.to_string())
    });
    let listener = opened.join().map_err(|_| "the thread of a server")?;
    Ok(listener?)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell, not even of a panic.
            let _ = thread.join();
        }
    }
}
