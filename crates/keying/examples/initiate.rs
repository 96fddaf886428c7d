//! An initiator that makes Main Mode negotiations one after the other, for measurements of whoever
//! answers: `initiate LOCAL REMOTE PROPOSAL COUNT [AT_ONCE]`, with LOCAL and REMOTE as `address:port`.
//!
//! Each negotiation is of an identity of its own (`n17.load.example`), with the pre-shared key
//! `MAINMODE_LOAD_PSK` (default `load`), the responder has to be `gw.example`, and the SA is left to the responder. Beside what the endpoint
//! remembers nothing goes from one to the next. Prints how many were established, and in how many
//! seconds; exit code 1 when one was not.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::Secret;
use crypto::cert::Evidence;
use keying::config::{Fragmentation, RemoteAddress, Retransmit};
use keying::{
    Auth, Command, Connection, CredentialId, Credentials, Endpoint, EndpointConfig, Input, Output,
    SignatureCredentials, User, VerdictOutcome,
};

/// Where IKE would go on behind a NAT. There is none here, and nobody listens.
const NAT_PORT: u16 = 4500;
/// The largest datagram that is taken.
const MAX_DATAGRAM: usize = 65_535;

type Any = Box<dyn std::error::Error>;

/// The one key.
struct Key(Secret);

impl Credentials for Key {
    fn preshared_key(&self, _: CredentialId) -> Option<&Secret> {
        Some(&self.0)
    }

    fn signatures(&self, _: CredentialId) -> Option<&SignatureCredentials> {
        None
    }

    fn users(&self, _: CredentialId) -> Option<&[User]> {
        None
    }

    fn fetched(&self) -> Arc<Evidence> {
        Arc::default()
    }

    fn at(&self) -> i64 {
        0
    }
}

fn main() -> Result<(), Any> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [local, remote, proposal, count, rest @ ..] = words.as_slice() else {
        return Err("initiate LOCAL REMOTE PROPOSAL COUNT [AT_ONCE]".into());
    };
    let key = std::env::var("MAINMODE_LOAD_PSK").unwrap_or_else(|_| "load".to_owned());
    let mut load = Load {
        socket: UdpSocket::bind(local)?,
        endpoint: endpoint()?,
        key: Key(Secret::new(key.into_bytes())),
        local: local.parse()?,
        remote: remote.parse()?,
        begun: 0,
        established: 0,
        buffer: vec![0; MAX_DATAGRAM],
    };
    let count = count.parse()?;
    let at_once = rest.first().map_or(Ok(1), |number| number.parse())?;
    load.connections(&[proposal.parse()?], count)?;
    let start = Instant::now();
    load.run(count, at_once)?;
    println!(
        "{} established in {:.3} s",
        load.established,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn endpoint() -> Result<Endpoint, Any> {
    let seed = crypto::random(32)?.try_into().map_err(|_| "no seed")?;
    let config = EndpointConfig {
        nat_ports: vec![NAT_PORT],
        seed,
    };
    Ok(Endpoint::new(config, Instant::now()))
}

struct Load {
    socket: UdpSocket,
    endpoint: Endpoint,
    key: Key,
    local: SocketAddr,
    remote: SocketAddr,
    begun: usize,
    established: usize,
    buffer: Vec<u8>,
}

impl Load {
    /// One connection for each negotiation that will be.
    fn connections(&mut self, proposals: &[crypto::Proposal], count: usize) -> Result<(), Any> {
        let connections = (0..count)
            .map(|number| {
                Ok(Arc::new(Connection {
                    xauth: None,
                    mode_config: None,
                    name: number.to_string(),
                    filter_id: 1,
                    local_address: Some(self.local.ip()),
                    local_nat_port: NAT_PORT,
                    remote_address: RemoteAddress::Host(self.remote.ip()),
                    remote_port: self.remote.port(),
                    remote_nat_port: NAT_PORT,
                    local_id: Some(format!("n{number}.load.example").parse()?),
                    remote_id: Some("gw.example".parse()?),
                    auth: vec![Auth::Psk(CredentialId(0))],
                    proposals: proposals.to_vec(),
                    lifetime: Duration::from_hours(8),
                    retransmit: Retransmit {
                        tries: 3,
                        first: Duration::from_secs(2),
                        factor: 1.8,
                    },
                    half_open_timeout: Duration::from_secs(30),
                    evidence_hold: Duration::from_secs(5),
                    dpd: None,
                    fragmentation: Fragmentation::Yes,
                    fragment_size: 1_280,
                    force_encap: false,
                    may_initiate: true,
                    nat_keepalive: Duration::from_secs(20),
                    initiator_only: false,
                    aggressive: false,
                    children: Vec::new(),
                }))
            })
            .collect::<Result<Vec<_>, Any>>()?;
        let now = Instant::now();
        self.endpoint
            .handle(now, Input::MainModeIds(1..u64::try_from(count)? + 1));
        self.endpoint
            .handle(now, Input::Command(Command::Connections(connections)));
        Ok(())
    }

    fn run(&mut self, count: usize, at_once: usize) -> Result<(), Any> {
        while self.established < count {
            while self.begun < count && self.begun < self.established + at_once {
                let command = Command::Initiate {
                    connection: self.begun.to_string(),
                    local: self.local,
                    remote: self.remote,
                };
                self.begun += 1;
                self.endpoint
                    .handle(Instant::now(), Input::Command(command));
                self.outputs()?;
            }
            if self.established == count {
                break;
            }
            let wait = self
                .endpoint
                .next_timeout()
                .map(|at| at.saturating_duration_since(Instant::now()))
                .filter(|wait| !wait.is_zero())
                .unwrap_or(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait))?;
            let input = match self.socket.recv_from(&mut self.buffer) {
                Ok((length, remote)) => Input::Datagram {
                    local: self.local,
                    remote,
                    bytes: self.buffer[..length].to_vec(),
                },
                // The time is over, or an ICMP error came back: that datagram is lost.
                Err(_) => Input::Timeout,
            };
            self.endpoint.handle(Instant::now(), input);
            self.outputs()?;
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<(), Any> {
        while let Some(output) = self.endpoint.poll() {
            let now = Instant::now();
            match output {
                Output::Transmit { remote, bytes, .. } => {
                    if remote.port() != self.remote.port() {
                        return Err("the responder took the way here for one with a NAT".into());
                    }
                    self.socket.send_to(&bytes, remote)?;
                }
                Output::Job(id, job) => {
                    let result = job.run(&self.key);
                    self.endpoint.handle(now, Input::JobDone(id, result));
                }
                Output::Audit(audit) => self.endpoint.handle(now, Input::Durable(audit.ticket)),
                Output::Verdict(verdict) => match verdict.outcome {
                    VerdictOutcome::Established { .. } => self.established += 1,
                    VerdictOutcome::Failed { cause, detail, .. } => {
                        let detail = detail.unwrap_or_default();
                        return Err(
                            format!("a negotiation failed: {} {detail}", cause.token()).into()
                        );
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }
}
