//! One host: an endpoint, workers that need no chance, and a ledger that checks the account at every
//! step.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::Cause;
use crypto::cert::Evidence;
use crypto::{Group, Secret};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::ledger::Ledger;
use crate::child::{ChildSa, ChildSaId, ChildVerdict};
use crate::config::{
    Auth, Connection, CredentialId, Dpd, EndpointConfig, Fragmentation, RemoteAddress, Retransmit,
};
use crate::endpoint::Endpoint;
use crate::io::{AuditOutput, Command, Input, JobId, Output, Replaced, Verdict};
use crate::job::{Credentials, Job, JobResult, SignatureCredentials, User};
use crate::pki;

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that a test switches on"
)]
pub(super) struct Host {
    pub endpoint: Endpoint,
    pub address: IpAddr,
    pub connections: Vec<Arc<Connection>>,
    pub born: Instant,
    pub incarnation: u32,
    pub ledger: Ledger,
    pub keys: Keyring,
    pub hold_jobs: bool,
    pub held_jobs: Vec<(JobId, JobResult)>,
    /// What is to be checked of a peer never is.
    pub lose_checks: bool,
    /// What comes of jobs in place of what should.
    pub spoil: Option<fn(&Job) -> Option<JobResult>>,
    /// What is sent in place of our own certificate.
    pub replace_certificate: Option<Vec<u8>>,
    pub hold_tickets: bool,
    pub held_tickets: Vec<crate::io::Ticket>,
    /// The log cannot be written, and that counts.
    pub refuse_writes: bool,
    /// It has SAs that nobody negotiated: there is no account of them to be kept, and looking at all takes too long.
    pub unaccounted: bool,
    /// How many IDs a block has.
    pub block: u64,
    /// What came out and was not yet put anywhere.
    pub out: Vec<Output>,
    pub events: Vec<AuditOutput>,
    pub verdicts: Vec<Verdict>,
    pub terminated: Vec<(String, usize)>,
    pub sent: Vec<Vec<u8>>,
    /// The data plane: what it was given and is not to give up.
    pub plane: BTreeMap<ChildSaId, ChildSa>,
    /// All that it was ever given.
    /// What is only received on as yet, and how many datagrams had gone out by then.
    pub expected: BTreeMap<ChildSaId, usize>,
    pub installs: Vec<ChildSa>,
    /// It takes nothing.
    pub broken_plane: bool,
    pub child_verdicts: Vec<ChildVerdict>,
    pub child_terminated: Vec<(String, String, usize)>,
    pub replaced: Vec<Replaced>,
    /// SAs whose successors wait for a route, and their connections.
    pub routes_wanted: Vec<(u64, String)>,
    /// Keys that were given out, by the initiator's cookie.
    pub keys_given: Vec<(isakmp::Cookie, Secret)>,
    /// The addresses within the tunnel that Main Mode SAs have.
    pub inner: BTreeMap<u64, Vec<IpAddr>>,
    next_mm_id: u64,
    next_qm_id: u64,
    seed: u64,
    rng: ChaCha20Rng,
}

/// The pre-shared keys of a host, and its certificates.
#[derive(Clone, Default)]
pub(super) struct Keyring(
    pub BTreeMap<CredentialId, Secret>,
    pub BTreeMap<CredentialId, SignatureCredentials>,
    /// The users of XAUTH.
    pub BTreeMap<CredentialId, Vec<User>>,
);

impl Credentials for Keyring {
    fn preshared_key(&self, id: CredentialId) -> Option<&Secret> {
        self.0.get(&id)
    }

    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials> {
        self.1.get(&id)
    }

    fn users(&self, id: CredentialId) -> Option<&[User]> {
        self.2.get(&id).map(Vec::as_slice)
    }

    fn fetched(&self) -> Arc<Evidence> {
        Arc::default()
    }

    fn at(&self) -> i64 {
        pki::AT
    }
}

/// A connection with what most tests want: quick suites, short times.
pub(super) fn connection(name: &str, remote: IpAddr) -> Connection {
    Connection {
        name: name.to_owned(),
        filter_id: 7,
        local_address: None,
        local_nat_port: 4500,
        remote_address: RemoteAddress::Host(remote),
        remote_port: 500,
        remote_nat_port: 4500,
        local_id: None,
        remote_id: None,
        auth: vec![Auth::Psk(CredentialId(1))],
        xauth: None,
        mode_config: None,
        proposals: vec!["aes128-sha256-x25519".parse().expect("a proposal")],
        lifetime: Duration::from_hours(1),
        lifetime_bytes: None,
        retransmit: Retransmit {
            tries: 3,
            first: Duration::from_secs(1),
            factor: 1.5,
        },
        half_open_timeout: Duration::from_secs(15),
        evidence_hold: Duration::from_secs(5),
        dpd: Some(Dpd {
            delay: Duration::from_secs(30),
            timeout: Duration::from_mins(2),
        }),
        fragmentation: Fragmentation::Yes,
        fragment_size: 1280,
        force_encap: false,
        may_initiate: true,
        nat_keepalive: Duration::from_secs(20),
        initiator_only: false,
        aggressive: false,
        children: Vec::new(),
    }
}

impl Host {
    pub(super) fn new(seed: u64, address: IpAddr, connections: Vec<Connection>) -> Self {
        let born = Instant::now();
        let mut keys = Keyring::default();
        keys.0
            .insert(CredentialId(1), Secret::new(b"an open secret".to_vec()));
        let mut host = Host {
            endpoint: endpoint(seed, born),
            address,
            connections: connections.into_iter().map(Arc::new).collect(),
            born,
            incarnation: 0,
            ledger: Ledger::default(),
            keys,
            hold_jobs: false,
            held_jobs: Vec::new(),
            lose_checks: false,
            spoil: None,
            replace_certificate: None,
            hold_tickets: false,
            held_tickets: Vec::new(),
            refuse_writes: false,
            unaccounted: false,
            block: 1_000,
            out: Vec::new(),
            events: Vec::new(),
            verdicts: Vec::new(),
            terminated: Vec::new(),
            sent: Vec::new(),
            plane: BTreeMap::new(),
            installs: Vec::new(),
            expected: BTreeMap::new(),
            broken_plane: false,
            child_verdicts: Vec::new(),
            child_terminated: Vec::new(),
            replaced: Vec::new(),
            routes_wanted: Vec::new(),
            keys_given: Vec::new(),
            inner: BTreeMap::new(),
            next_mm_id: 1,
            next_qm_id: 1,
            seed,
            rng: ChaCha20Rng::seed_from_u64(seed ^ 0x5eed),
        };
        host.endpoint = endpoint(seed, born);
        host
    }

    /// Dies and comes back: nothing of the endpoint survives but the numbers that were reserved on disk.
    pub(super) fn restart(&mut self, now: Instant) {
        self.incarnation += 1;
        self.seed = self.seed.wrapping_add(1 << 32);
        self.endpoint = endpoint(self.seed, now);
        self.ledger.crashed();
        self.held_jobs.clear();
        self.held_tickets.clear();
        self.out.clear();
        self.plane.clear();
        self.expected.clear();
        self.inner.clear();
        let connections = self.connections.clone();
        self.handle(now, Input::Command(Command::Connections(connections)));
        self.give_ids(now);
        self.give_qm_ids(now);
    }

    pub(super) fn give_qm_ids(&mut self, now: Instant) {
        let first = self.next_qm_id;
        self.next_qm_id += self.block;
        self.handle(now, Input::QuickModeIds(first..self.next_qm_id));
    }

    pub(super) fn give_ids(&mut self, now: Instant) {
        let first = self.next_mm_id;
        self.next_mm_id += self.block;
        self.handle(now, Input::MainModeIds(first..self.next_mm_id));
    }

    pub(super) fn initiate(&self, remote: IpAddr) -> Command {
        let connection = &self.connections[0];
        Command::Initiate {
            connection: connection.name.clone(),
            local: SocketAddr::new(self.address, 500),
            remote: SocketAddr::new(remote, connection.remote_port),
        }
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        if let Input::Durable(ticket) | Input::Refused(ticket) = &input
            && !self.unaccounted
        {
            let durable = matches!(input, Input::Durable(_));
            self.ledger.logged(*ticket, durable);
        }
        self.endpoint.handle(now, input);
        while let Some(output) = self.endpoint.poll() {
            if !self.unaccounted {
                self.ledger.take(&output);
            }
            match &output {
                Output::Transmit { bytes, .. } => self.sent.push(bytes.clone()),
                Output::Audit(event) => self.events.push((**event).clone()),
                Output::Verdict(verdict) => self.verdicts.push(verdict.clone()),
                Output::Terminated { connection, ended } => {
                    self.terminated.push((connection.clone(), *ended));
                }
                Output::ExpectSa(sa) => {
                    assert!(!self.plane.contains_key(&sa.id), "installed before");
                    let again = self.expected.insert(sa.id, self.sent.len());
                    assert!(again.is_none(), "twice");
                }
                Output::InstallSa(sa) => {
                    self.expected.remove(&sa.id);
                    self.installs.push((**sa).clone());
                    assert!(self.plane.insert(sa.id, (**sa).clone()).is_none(), "twice");
                }
                Output::RemoveSa(id) => {
                    self.expected.remove(id);
                    self.plane.remove(id);
                }
                Output::MoveSa { id, local, remote } => {
                    if let Some(sa) = self.plane.get_mut(id) {
                        (sa.local, sa.remote) = (*local, *remote);
                    }
                }
                Output::NeedRoute {
                    mmsa_id,
                    connection,
                } => self.routes_wanted.push((*mmsa_id, connection.clone())),
                Output::PhaseOneKey {
                    initiator_cookie,
                    key,
                } => self.keys_given.push((*initiator_cookie, key.clone())),
                Output::Configured {
                    mmsa_id, addresses, ..
                } => drop(self.inner.insert(*mmsa_id, addresses.clone())),
                Output::Deconfigured { mmsa_id } => {
                    assert!(self.inner.remove(mmsa_id).is_some(), "twice");
                }
                Output::Replaced(replaced) => self.replaced.push(replaced.clone()),
                Output::ChildVerdict(verdict) => self.child_verdicts.push(verdict.clone()),
                Output::ChildTerminated {
                    connection,
                    child,
                    ended,
                } => self
                    .child_terminated
                    .push((connection.clone(), child.clone(), *ended)),
                _ => {}
            }
            self.out.push(output);
        }
        if !self.unaccounted {
            self.ledger.check(&self.endpoint);
        }
    }

    /// Does a job with a key share that comes of the host's seed, so that a run can be repeated.
    pub(super) fn work(&mut self, job: &Job) -> JobResult {
        if let Some(spoilt) = self.spoil.and_then(|spoil| spoil(job)) {
            return spoilt;
        }
        match job {
            Job::MakeShare {
                group: Group::X25519,
            } => {
                let (public, private) = self.share();
                JobResult::Share { public, private }
            }
            Job::Derive(derive) if derive.group == Group::X25519 && derive.share.is_none() => {
                let mut derive = derive.clone();
                derive.share = Some(self.share());
                Job::Derive(derive).run(&self.keys)
            }
            Job::Agree {
                group: Group::X25519,
                share: None,
                peer_public,
            } => Job::Agree {
                group: Group::X25519,
                share: Some(self.share()),
                peer_public: peer_public.clone(),
            }
            .run(&self.keys),
            job => match (job.run(&self.keys), &self.replace_certificate) {
                (JobResult::Signed(mut signed), Some(der)) => {
                    signed.certificates = vec![der.clone()];
                    JobResult::Signed(signed)
                }
                (result, _) => result,
            },
        }
    }

    /// What asks for a child of the only connection.
    pub(super) fn initiate_child(&self, child: &str, remote: IpAddr) -> Command {
        let connection = &self.connections[0];
        Command::InitiateChild {
            connection: connection.name.clone(),
            child: child.to_owned(),
            local: SocketAddr::new(self.address, 500),
            remote: SocketAddr::new(remote, connection.remote_port),
        }
    }

    fn share(&mut self) -> (Vec<u8>, Secret) {
        let mut private = vec![0; 32];
        self.rng.fill_bytes(&mut private);
        let share = crypto::share_from_private(Group::X25519, &Secret::new(private))
            .expect("any 32 bytes are a private value");
        (share.public, share.private)
    }

    /// The events of an ID, in order.
    pub(super) fn of(&self, id: u16) -> Vec<&AuditOutput> {
        self.events.iter().filter(|e| e.event.id() == id).collect()
    }

    /// The causes of the events of an ID, in order.
    pub(super) fn causes(&self, id: u16) -> Vec<Cause> {
        self.of(id).iter().filter_map(|e| e.extra.cause).collect()
    }

    /// The only failure.
    pub(super) fn failure(&self) -> &audit::MainModeFailed {
        let events = self.events.iter();
        let all: Vec<_> = events.filter_map(|e| e.event.main_mode_failed()).collect();
        let [one] = all.as_slice() else {
            panic!("{all:?}");
        };
        one
    }

    /// The only SA established.
    pub(super) fn established(&self) -> &audit::MainModeEstablished {
        let events = self.events.iter();
        let all: Vec<_> = events
            .filter_map(|e| e.event.main_mode_established())
            .collect();
        let [one] = all.as_slice() else {
            panic!("{all:?}");
        };
        one
    }
}

fn endpoint(seed: u64, now: Instant) -> Endpoint {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = EndpointConfig {
        nat_ports: vec![4500],
        seed: bytes,
    };
    let mut endpoint = Endpoint::new(config, now);
    endpoint.handle(now, Input::Command(Command::Watch(true)));
    endpoint
}
