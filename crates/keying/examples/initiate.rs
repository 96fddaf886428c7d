//! An initiator that makes Main Mode negotiations one after the other, for measurements of whoever
//! answers: `initiate LOCAL REMOTE PROPOSAL COUNT [AT_ONCE] [first=N] [child=ESP] [certificates=FOLDER]`, with LOCAL and
//! REMOTE as `address:port`.
//!
//! Each negotiation is of an identity of its own (`n17.load.example`, numbered from N, or from 0), with the pre-shared key
//! `MAINMODE_LOAD_PSK` (default `load`), the responder has to be `gw.example`, and the SA is left to the responder.
//! With `child` a Quick Mode with that proposal follows, for a host of its own (10.0.0.0/9) to 10.128.0.1, and counts
//! when it is established. With `certificates` it is by `ca.pem` of the folder, `load.key`, and that certificate of
//! `load.pem` which stands at the negotiation's number. Beside what the endpoint remembers nothing goes from one to the next. Prints how many were
//! established, and in how many seconds; exit code 1 when one was not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crypto::Secret;
use crypto::cert::{Credential, Evidence, Policy, PrivateKey, TrustStore, read_certificates};
use crypto::esp::EspProposal;
use keying::config::{Fragmentation, RemoteAddress, Retransmit};
use keying::{
    Auth, Child, ChildOutcome, Command, Connection, CredentialId, Credentials, Endpoint,
    EndpointConfig, Input, Mode, Output, Selector, SelectorConfig, SendCertificate,
    SignatureCredentials, Signatures, User, VerdictOutcome,
};

/// The name of the child that each connection has.
const CHILD: &str = "net";
/// Where IKE goes on when a responder pretends a NAT, as those do that make ESP in user space.
const NAT_PORT: u16 = 4500;
/// The largest datagram that is taken.
const MAX_DATAGRAM: usize = 65_535;

type Any = Box<dyn std::error::Error>;

/// What all of them authenticate with.
struct Keys {
    psk: Secret,
    /// With the certificate of each number.
    signatures: Option<Vec<SignatureCredentials>>,
}

impl Keys {
    /// The key of the environment, and what is in the folder.
    fn read(folder: Option<&Path>) -> Result<Self, Any> {
        let psk = std::env::var("MAINMODE_LOAD_PSK").unwrap_or_else(|_| "load".to_owned());
        let signatures = folder.map(|folder| -> Result<_, Any> {
            let read = |name: &str| std::fs::read(folder.join(name));
            let key = PrivateKey::read(&read("load.key")?, None)?;
            let trust = TrustStore {
                anchors: read_certificates(&read("ca.pem")?)?,
                ..TrustStore::default()
            };
            let certificates = read_certificates(&read("load.pem")?)?.into_iter();
            certificates
                .map(|certificate| {
                    Ok(SignatureCredentials {
                        own: vec![Credential::new(vec![certificate], Some(key.clone()))?],
                        trust: trust.clone(),
                        evidence: Evidence::default(),
                    })
                })
                .collect()
        });
        Ok(Self {
            psk: Secret::new(psk.into_bytes()),
            signatures: signatures.transpose()?,
        })
    }

    fn auth(&self, number: usize) -> Result<Auth, Any> {
        let credential = CredentialId(u32::try_from(number)?);
        let Some(signatures) = &self.signatures else {
            return Ok(Auth::Psk(credential));
        };
        let signatures = signatures.get(number).ok_or("too few certificates")?;
        Ok(Auth::Signatures(Signatures {
            credential,
            methods: signatures
                .own
                .iter()
                .filter_map(Credential::method)
                .collect(),
            authorities: Vec::new(),
            request: true,
            send_certificate: SendCertificate::Always,
            policy: Policy::default(),
            hybrid: false,
        }))
    }
}

impl Credentials for Keys {
    fn preshared_key(&self, _: CredentialId) -> Option<&Secret> {
        Some(&self.psk)
    }

    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials> {
        self.signatures.as_ref()?.get(usize::try_from(id.0).ok()?)
    }

    fn users(&self, _: CredentialId) -> Option<&[User]> {
        None
    }

    fn fetched(&self) -> Arc<Evidence> {
        Arc::default()
    }

    fn at(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
    }
}

fn main() -> Result<(), Any> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [local, remote, proposal, count, rest @ ..] = words.as_slice() else {
        return Err("see the head of examples/initiate.rs".into());
    };
    let option = |name: &str| {
        rest.iter().find_map(|word| {
            word.split_once('=')
                .filter(|(given, _)| *given == name)
                .map(|(_, value)| value)
        })
    };
    let local: SocketAddr = local.parse()?;
    let (sender, arrivals) = channel();
    let mut load = Load {
        sockets: [local, SocketAddr::new(local.ip(), NAT_PORT)]
            .into_iter()
            .map(|address| socket(address, &sender))
            .collect::<Result<_, _>>()?,
        arrivals,
        endpoint: endpoint()?,
        keys: Keys::read(option("certificates").map(Path::new))?,
        child: option("child").map(str::parse).transpose()?,
        local,
        remote: remote.parse()?,
        first: option("first").map_or(Ok(0), str::parse)?,
        begun: 0,
        established: 0,
    };
    let count = count.parse()?;
    let at_once = match rest.first() {
        Some(word) if !word.contains('=') => word.parse()?,
        _ => 1,
    };
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

/// A datagram: where it came to, where from, and what it is.
type Arrival = (SocketAddr, SocketAddr, Vec<u8>);

/// A socket, and a thread that reads it.
fn socket(local: SocketAddr, arrivals: &Sender<Arrival>) -> Result<(SocketAddr, UdpSocket), Any> {
    let socket = UdpSocket::bind(local)?;
    let (reader, arrivals) = (socket.try_clone()?, arrivals.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            // An ICMP error came back: that datagram is lost.
            let Ok((length, remote)) = reader.recv_from(&mut buffer) else {
                continue;
            };
            if arrivals
                .send((local, remote, buffer[..length].to_vec()))
                .is_err()
            {
                return;
            }
        }
    });
    Ok((local, socket))
}

struct Load {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    arrivals: Receiver<Arrival>,
    endpoint: Endpoint,
    keys: Keys,
    /// What each asks for in Quick Mode.
    child: Option<EspProposal>,
    local: SocketAddr,
    remote: SocketAddr,
    /// The number of the first.
    first: usize,
    begun: usize,
    established: usize,
}

impl Load {
    /// One connection for each negotiation that will be.
    fn connections(&mut self, proposals: &[crypto::Proposal], count: usize) -> Result<(), Any> {
        let connections = (self.first..self.first + count)
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
                    auth: vec![self.keys.auth(number)?],
                    proposals: proposals.to_vec(),
                    lifetime: Duration::from_hours(8),
                    lifetime_bytes: None,
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
                    children: self.children(number)?,
                }))
            })
            .collect::<Result<Vec<_>, Any>>()?;
        let now = Instant::now();
        self.endpoint
            .handle(now, Input::MainModeIds(1..u64::try_from(count)? + 1));
        self.endpoint
            .handle(now, Input::QuickModeIds(1..u64::try_from(count)? + 1));
        self.endpoint
            .handle(now, Input::Command(Command::Connections(connections)));
        Ok(())
    }

    /// A host of the negotiation's own, to one host that is everybody's.
    fn children(&self, number: usize) -> Result<Vec<Arc<Child>>, Any> {
        let Some(proposal) = self.child else {
            return Ok(Vec::new());
        };
        let host = u32::from(Ipv4Addr::new(10, 0, 0, 1)) + u32::try_from(number)?;
        let fixed =
            |address: Ipv4Addr| vec![SelectorConfig::Fixed(Selector::host(IpAddr::V4(address)))];
        Ok(vec![Arc::new(Child {
            name: CHILD.to_owned(),
            filter_id: 1,
            local: fixed(host.into()),
            remote: fixed(Ipv4Addr::new(10, 128, 0, 1)),
            mode: Mode::Tunnel,
            proposals: vec![proposal],
            compress: false,
            lifetime: Duration::from_hours(1),
            lifetime_bytes: None,
            lifetime_packets: None,
            replay_window: 64,
            auto: false,
            plane: String::new(),
        })])
    }

    fn run(&mut self, count: usize, at_once: usize) -> Result<(), Any> {
        while self.established < count {
            while self.begun < count && self.begun < self.established + at_once {
                let (local, remote) = (self.local, self.remote);
                let connection = (self.first + self.begun).to_string();
                let command = match self.child {
                    None => Command::Initiate {
                        connection,
                        local,
                        remote,
                    },
                    Some(_) => Command::InitiateChild {
                        connection,
                        child: CHILD.to_owned(),
                        local,
                        remote,
                    },
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
            let input = match self.arrivals.recv_timeout(wait) {
                Ok((local, remote, bytes)) => Input::Datagram {
                    local,
                    remote,
                    bytes,
                },
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
                Output::Transmit {
                    local,
                    remote,
                    bytes,
                } => {
                    let by = self.sockets.iter().find(|(address, _)| *address == local);
                    by.ok_or("no such socket")?.1.send_to(&bytes, remote)?;
                }
                Output::Job(id, job) => {
                    let result = job.run(&self.keys);
                    self.endpoint.handle(now, Input::JobDone(id, result));
                }
                Output::Audit(audit) => self.endpoint.handle(now, Input::Durable(audit.ticket)),
                Output::Verdict(verdict) => match verdict.outcome {
                    VerdictOutcome::Established { .. } if self.child.is_some() => {}
                    VerdictOutcome::Established { .. } => self.established += 1,
                    VerdictOutcome::Failed { cause, detail, .. } => {
                        let detail = detail.unwrap_or_default();
                        return Err(
                            format!("a negotiation failed: {} {detail}", cause.token()).into()
                        );
                    }
                },
                Output::InstallSa(sa) => self.endpoint.handle(now, Input::Installed(sa.id)),
                Output::ChildVerdict(verdict) => match verdict.outcome {
                    ChildOutcome::Established { .. } => self.established += 1,
                    ChildOutcome::Failed { cause, .. } => {
                        return Err(format!("a Quick Mode failed: {}", cause.token()).into());
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }
}
