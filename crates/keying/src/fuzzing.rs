//! Two endpoints hand in hand: what the fuzz target drives, and the tests of bad input. Nothing here is
//! for a daemon.
//!
//! Key shares come of a seed and clones cost no Diffie-Hellman, so that a state of a real negotiation
//! can be tried with thousands of changed datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use audit::{ActivityId, Event};
use crypto::cert::Evidence;
use crypto::{Group, Secret};
use isakmp::unity::Net;
use isakmp::{ExchangeType, PayloadType};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::child::{Child, ChildKeys, ChildSa, ChildSaId, Mode, SelectorConfig};
use crate::config::{
    Auth, ConfigClient, ConfigServer, Connection, CredentialId, Dpd, EndpointConfig, Fragmentation,
    ModeConfig, RemoteAddress, Retransmit, Signatures, Xauth,
};
use crate::endpoint::Endpoint;
use crate::ikev1::negotiation::header;
use crate::ikev1::protection::Keys;
use crate::ikev1::state::State;
use crate::inner::Pool;
use crate::io::{Command, Input, JobId, Output, Ticket};
use crate::job::{Credentials, Job, JobResult, SignatureCredentials, User};
use crate::pki;
use crate::selector::Selector;

/// A datagram of one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it: 0, the first to initiate, or 1.
    pub sender: usize,
    /// From where.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// How the two prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a pre-shared key.
    Psk,
    /// By certificates.
    Certificates,
    /// By a pre-shared key, in Aggressive Mode.
    AggressivePsk,
    /// By certificates, in Aggressive Mode.
    AggressiveCertificates,
    /// By a pre-shared key; then the first is a user of the other's (XAUTH), and asks for an address (Mode Config).
    User,
    /// By the other's certificate alone (hybrid); the first is a user of the other's, and is given an address.
    Hybrid,
}

impl Proof {
    /// Whether there is a user, with an address.
    fn has_user(self) -> bool {
        matches!(self, Proof::User | Proof::Hybrid)
    }
}

/// The pre-shared key of both, the certificates of each, and the user.
#[derive(Clone, Debug)]
struct Keyring(Secret, [SignatureCredentials; 2], [User; 1]);

const SHARED: CredentialId = CredentialId(0);
const USERS: CredentialId = CredentialId(3);
const USER: &str = "carol";

/// The handle of a side's certificate.
fn certificate(host: usize) -> CredentialId {
    CredentialId(if host == 0 { 1 } else { 2 })
}

impl Credentials for Keyring {
    fn preshared_key(&self, _: CredentialId) -> Option<&Secret> {
        Some(&self.0)
    }

    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials> {
        [0, 1]
            .into_iter()
            .find(|host| certificate(*host) == id)
            .and_then(|host| self.1.get(host))
    }

    fn users(&self, id: CredentialId) -> Option<&[User]> {
        (id == USERS).then_some(&self.2)
    }

    fn fetched(&self) -> Arc<Evidence> {
        Arc::default()
    }

    fn at(&self) -> i64 {
        pki::AT
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The time that both have.
    pub now: Instant,
    /// The two.
    pub endpoints: [Endpoint; 2],
    /// What was sent and not yet delivered.
    pub wire: VecDeque<Packet>,
    /// Verdicts, by side and activity: 4650 and 4653.
    pub verdicts: [BTreeMap<[u8; 16], u32>; 2],
    /// How many events there were, by side and ID.
    pub events: [BTreeMap<u16, u32>; 2],
    hold_jobs: bool,
    jobs: VecDeque<(usize, JobId, Job)>,
    hold_installs: bool,
    installs: VecDeque<(usize, ChildSaId)>,
    /// What is installed, with its SPIs and keys, by side.
    pub planes: [BTreeMap<ChildSaId, ChildSa>; 2],
    hold_tickets: bool,
    tickets: VecDeque<(usize, Ticket, Option<ActivityId>)>,
    ids: u64,
    shares: ChaCha20Rng,
    keys: Keyring,
    proof: Proof,
}

fn address(host: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, if host == 0 { 1 } else { 2 }])
}

fn connection(host: usize, fragment_size: Option<usize>, proof: Proof) -> Connection {
    let auth = match proof {
        Proof::Psk | Proof::AggressivePsk | Proof::User => Auth::Psk(SHARED),
        Proof::Certificates | Proof::AggressiveCertificates => {
            Auth::Signatures(pki::signatures(certificate(host)))
        }
        Proof::Hybrid => Auth::Signatures(Signatures {
            hybrid: true,
            ..pki::signatures(certificate(host))
        }),
    };
    let fragmentation = match fragment_size {
        Some(_) => Fragmentation::Force,
        None => Fragmentation::Yes,
    };
    Connection {
        xauth: proof.has_user().then(|| xauth(host)),
        mode_config: proof
            .has_user()
            .then(|| mode_config(host, proof == Proof::Hybrid)),
        name: "peer".to_owned(),
        filter_id: 1,
        local_address: None,
        local_nat_port: 4500,
        remote_address: RemoteAddress::Host(address(1 - host)),
        remote_port: 500,
        remote_nat_port: 4500,
        local_id: None,
        remote_id: None,
        auth: vec![auth],
        proposals: ["aes128-sha256-x25519", "aes256-sha1-x25519"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        lifetime: Duration::from_mins(10),
        lifetime_bytes: None,
        retransmit: Retransmit {
            tries: 2,
            first: Duration::from_secs(2),
            factor: 1.5,
        },
        half_open_timeout: Duration::from_secs(20),
        evidence_hold: Duration::from_secs(5),
        dpd: Some(Dpd {
            delay: Duration::from_mins(1),
            timeout: Duration::from_mins(3),
        }),
        fragmentation,
        // Whole, with certificates too, unless cutting is what is tried.
        fragment_size: fragment_size.unwrap_or(4_000),
        force_encap: false,
        may_initiate: true,
        nat_keepalive: Duration::from_secs(20),
        initiator_only: false,
        aggressive: matches!(proof, Proof::AggressivePsk | Proof::AggressiveCertificates),
        children: vec![Arc::new(child(host, proof))],
    }
}

/// The first is the client.
fn xauth(host: usize) -> Xauth {
    if host == 0 {
        return Xauth::Client(USERS);
    }
    Xauth::Server {
        users: USERS,
        names: vec![USER.to_owned()],
    }
}

/// The first is the client, and there is one address.
fn mode_config(host: usize, push: bool) -> ModeConfig {
    if host == 0 {
        return ModeConfig::Client(ConfigClient {
            v4: true,
            v6: true,
            unity: true,
            push,
        });
    }
    let address = IpAddr::from([10, 3, 0, 1]);
    ModeConfig::Server(ConfigServer {
        pools: vec![Pool {
            name: "clients".to_owned(),
            first: address,
            last: address,
        }],
        dns: vec![IpAddr::from([10, 2, 0, 53])],
        nbns: Vec::new(),
        split_include: Net::new([10, 2, 0, 0].into(), 16).into_iter().collect(),
        local_lan: Net::new([10, 2, 9, 0].into(), 24).into_iter().collect(),
        push,
    })
}

/// What both protect: a net behind each, or the address that the first was given.
fn child(host: usize, proof: Proof) -> Child {
    let net = |host: usize| {
        if host == 0 && proof.has_user() {
            return vec![SelectorConfig::Dynamic {
                protocol: 0,
                port: 0,
            }];
        }
        let network = IpAddr::from([10, if host == 0 { 1 } else { 2 }, 0, 0]);
        vec![SelectorConfig::Fixed(Selector::subnet(network, 16))]
    };
    Child {
        name: "net".to_owned(),
        filter_id: 1,
        local: net(host),
        remote: net(1 - host),
        mode: Mode::Tunnel,
        proposals: ["aes128gcm16-x25519", "aes256-sha256-x25519", "ah-sha256"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        compress: true,
        lifetime: Duration::from_mins(2),
        lifetime_bytes: None,
        lifetime_packets: None,
        replay_window: 64,
        auto: false,
        plane: String::new(),
    }
}

impl Bench {
    /// Two endpoints that share a key and have said nothing yet.
    pub fn new(fragment_size: Option<usize>) -> Self {
        Self::with(fragment_size, Proof::Psk)
    }

    /// Two endpoints that know each other and have said nothing yet.
    pub fn with(fragment_size: Option<usize>, proof: Proof) -> Self {
        let now = Instant::now();
        let endpoint = |host: u8| {
            let config = EndpointConfig {
                nat_ports: vec![4500],
                seed: [host; 32],
            };
            Endpoint::new(config, now)
        };
        let mut bench = Bench {
            now,
            endpoints: [endpoint(1), endpoint(2)],
            wire: VecDeque::new(),
            verdicts: [BTreeMap::new(), BTreeMap::new()],
            events: [BTreeMap::new(), BTreeMap::new()],
            hold_jobs: false,
            jobs: VecDeque::new(),
            hold_installs: false,
            installs: VecDeque::new(),
            planes: [BTreeMap::new(), BTreeMap::new()],
            hold_tickets: false,
            tickets: VecDeque::new(),
            ids: 0,
            shares: ChaCha20Rng::seed_from_u64(9),
            proof,
            keys: Keyring(
                Secret::new(b"an open secret".to_vec()),
                pki::both().clone(),
                [User {
                    name: USER.to_owned(),
                    password: Secret::new(b"another".to_vec()),
                }],
            ),
        };
        for host in [0, 1] {
            let connections = vec![Arc::new(connection(host, fragment_size, proof))];
            bench.give(host, Input::Command(Command::Connections(connections)));
            bench.give_ids(host);
            bench.give_qm_ids(host);
        }
        bench
    }

    fn give_ids(&mut self, host: usize) {
        let first = self.ids + 1;
        self.ids += 100;
        self.give(host, Input::MainModeIds(first..self.ids + 1));
    }

    fn give_qm_ids(&mut self, host: usize) {
        let first = self.ids + 1;
        self.ids += 100;
        self.give(host, Input::QuickModeIds(first..self.ids + 1));
    }

    /// Asks a side for the child.
    pub fn initiate_child(&mut self, host: usize) {
        let command = Command::InitiateChild {
            connection: "peer".to_owned(),
            child: "net".to_owned(),
            local: SocketAddr::new(address(host), 500),
            remote: SocketAddr::new(address(1 - host), 500),
        };
        self.give(host, Input::Command(command));
    }

    /// Asks a side to initiate.
    pub fn initiate(&mut self, host: usize) {
        let command = Command::Initiate {
            connection: "peer".to_owned(),
            local: SocketAddr::new(address(host), 500),
            remote: SocketAddr::new(address(1 - host), 500),
        };
        self.give(host, Input::Command(command));
    }

    /// Gives a side an input, and does what comes of it, unless that is held.
    pub fn give(&mut self, host: usize, input: Input) {
        self.endpoints[host].handle(self.now, input);
        while let Some(output) = self.endpoints[host].poll() {
            match output {
                Output::Transmit {
                    local,
                    remote,
                    bytes,
                } => self.wire.push_back(Packet {
                    sender: host,
                    from: local,
                    to: remote,
                    bytes,
                }),
                Output::Job(id, job) => self.jobs.push_back((host, id, job)),
                Output::Audit(audit) => {
                    *self.events[host].entry(audit.event.id()).or_default() += 1;
                    let verdict = matches!(
                        audit.event,
                        Event::MainModeEstablished(_)
                            | Event::MainModeEstablishedByCertificate { .. }
                            | Event::MainModeFailed(_)
                            | Event::MainModeFailedByCertificate { .. }
                            | Event::QuickModeEstablished(_)
                            | Event::QuickModeFailed(_)
                    );
                    let activity = audit.activity.filter(|_| verdict);
                    if let Some(activity) = activity {
                        *self.verdicts[host].entry(activity.0).or_default() += 1;
                    }
                    let pending = matches!(
                        audit.event,
                        Event::MainModeEstablished(_)
                            | Event::MainModeEstablishedByCertificate { .. }
                            | Event::QuickModeEstablished(_)
                    );
                    let activity = activity.filter(|_| pending);
                    self.tickets.push_back((host, audit.ticket, activity));
                }
                Output::NeedMainModeIds => self.give_ids(host),
                Output::NeedQuickModeIds => self.give_qm_ids(host),
                Output::InstallSa(sa) => {
                    self.installs.push_back((host, sa.id));
                    self.planes[host].insert(sa.id, *sa);
                }
                Output::RemoveSa(id) => drop(self.planes[host].remove(&id)),
                _ => {}
            }
        }
        while !self.hold_installs && self.answer_install(true) {}
        while !self.hold_jobs && self.finish_job() {}
        while !self.hold_tickets && self.answer_ticket(true) {}
    }

    /// Does the oldest job.
    fn finish_job(&mut self) -> bool {
        let Some((host, id, job)) = self.jobs.pop_front() else {
            return false;
        };
        let result = self.work(&job);
        self.give(host, Input::JobDone(id, result));
        true
    }

    /// Answers for the oldest SA that is to be installed.
    fn answer_install(&mut self, well: bool) -> bool {
        let Some((host, id)) = self.installs.pop_front() else {
            return false;
        };
        let input = if well {
            Input::Installed(id)
        } else {
            Input::InstallFailed(id, "no such algorithm".to_owned())
        };
        self.give(host, input);
        true
    }

    /// Answers for the oldest event.
    fn answer_ticket(&mut self, durable: bool) -> bool {
        let Some((host, ticket, activity)) = self.tickets.pop_front() else {
            return false;
        };
        let input = if durable {
            Input::Durable(ticket)
        } else {
            // A 4650 that was not written is no verdict: the 4653 that follows is.
            let verdicts = &mut self.verdicts[host];
            if let Some(count) = activity.and_then(|activity| verdicts.get_mut(&activity.0)) {
                *count -= 1;
            }
            Input::Refused(ticket)
        };
        self.give(host, input);
        true
    }

    fn work(&mut self, job: &Job) -> JobResult {
        match job {
            Job::MakeShare {
                group: Group::X25519,
            } => match self.share() {
                Some((public, private)) => JobResult::Share { public, private },
                None => JobResult::Failed("no share".to_owned()),
            },
            Job::Derive(derive) if derive.group == Group::X25519 && derive.share.is_none() => {
                let mut derive = derive.clone();
                derive.share = self.share();
                Job::Derive(derive).run(&self.keys)
            }
            Job::Agree {
                group: Group::X25519,
                share: None,
                peer_public,
            } => Job::Agree {
                group: Group::X25519,
                share: self.share(),
                peer_public: peer_public.clone(),
            }
            .run(&self.keys),
            job => job.run(&self.keys),
        }
    }

    fn share(&mut self) -> Option<(Vec<u8>, Secret)> {
        let mut private = vec![0; 32];
        self.shares.fill_bytes(&mut private);
        let share = crypto::share_from_private(Group::X25519, &Secret::new(private)).ok()?;
        Some((share.public, share.private))
    }

    /// Puts a packet before its receiver.
    pub fn deliver(&mut self, packet: &Packet) {
        let input = Input::Datagram {
            local: packet.to,
            remote: packet.from,
            bytes: packet.bytes.clone(),
        };
        self.give(1 - packet.sender, input);
    }

    /// Delivers the next packet; gives it.
    pub fn step(&mut self) -> Option<Packet> {
        let packet = self.wire.pop_front()?;
        self.deliver(&packet);
        Some(packet)
    }

    /// Delivers all that is under way, and what comes of it. Two endpoints never talk for ever: that is
    /// asserted here.
    ///
    /// # Panics
    /// When they do.
    pub fn settle(&mut self) {
        let mut count = 0;
        while self.step().is_some() {
            count += 1;
            assert!(count < 5_000, "the two play ping-pong");
        }
    }

    /// Lets time pass; packets arrive at once.
    ///
    /// # Panics
    /// When a timer never rests.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut count = 0;
        loop {
            self.settle();
            let next = self.endpoints.iter().filter_map(Endpoint::next_timeout);
            let Some(at) = next.min().filter(|at| *at <= until) else {
                break;
            };
            count += 1;
            assert!(count < 100_000, "a timer spins");
            self.now = self.now.max(at);
            for host in [0, 1] {
                self.give(host, Input::Timeout);
            }
        }
        self.now = until;
    }

    /// Whether both sides have an SA.
    pub fn established(&self) -> bool {
        self.endpoints.iter().all(|e| !e.sas.is_empty())
    }

    /// Whether both sides have installed the same child SA, and no other.
    pub fn child_stands(&self) -> bool {
        let [one, other] = &self.planes;
        let keys = |a: &ChildKeys, b: &ChildKeys| {
            a.spi == b.spi && a.encryption.as_bytes() == b.encryption.as_bytes()
        };
        match (one.first_key_value(), other.first_key_value()) {
            (Some((_, a)), Some((_, b))) => {
                one.len() == 1
                    && other.len() == 1
                    && keys(&a.inbound, &b.outbound)
                    && keys(&a.outbound, &b.inbound)
            }
            _ => false,
        }
    }

    /// Checks what must hold at any moment.
    ///
    /// # Panics
    /// When the account does not balance.
    pub fn check(&self) {
        for endpoint in &self.endpoints {
            let counters = endpoint.counters();
            let live = u64::try_from(endpoint.sas.len()).unwrap_or(u64::MAX);
            let under_way = u64::try_from(endpoint.negotiations.len()).unwrap_or(u64::MAX);
            assert_eq!(counters.established - counters.ended, live);
            assert_eq!(
                counters.negotiations,
                counters.established + counters.failed + under_way
            );
            let live = u64::try_from(endpoint.children.len()).unwrap_or(u64::MAX);
            let under_way = u64::try_from(endpoint.quick.len()).unwrap_or(u64::MAX);
            assert_eq!(counters.quick_established - counters.quick_ended, live);
            assert_eq!(
                counters.quick_modes,
                counters.quick_established + counters.quick_failed + under_way
            );
        }
    }

    /// Ends everything and checks that each negotiation had one verdict and that nothing stayed.
    ///
    /// # Panics
    /// When that is not so.
    pub fn finish(&mut self) {
        self.hold_jobs = false;
        self.hold_tickets = false;
        self.hold_installs = false;
        for host in [0, 1] {
            self.give(host, Input::Timeout);
        }
        self.pass(Duration::from_mins(2));
        self.check();
        for host in [0, 1] {
            self.give(host, Input::Command(Command::Shutdown));
        }
        self.pass(Duration::from_secs(700));
        self.check();
        for (endpoint, verdicts) in self.endpoints.iter().zip(&self.verdicts) {
            assert_eq!(endpoint.state_size(), 0, "{endpoint:#?}");
            assert!(self.planes.iter().all(BTreeMap::is_empty));
            assert!(verdicts.values().all(|count| *count == 1));
        }
    }

    /// Under which keys, with which IV, a side awaits or sends encrypted messages now: of an SA, with
    /// the IV that exchanges begin with, or of a negotiation.
    fn keys(&self, host: usize) -> Option<(&Keys, &[u8], bool)> {
        let endpoint = &self.endpoints[host];
        if let Some(sa) = endpoint.sas.values().next() {
            return Some((&sa.keys, &sa.last_block, true));
        }
        endpoint.negotiations.values().find_map(|n| match &n.state {
            State::IdSent { proving, .. } | State::KeAnswered { proving, .. } => {
                Some((&proving.keys, proving.iv.as_slice(), false))
            }
            State::Xauth(pending) => Some((&pending.sa.keys, &pending.sa.last_block, true)),
            _ => None,
        })
    }

    /// The TRANSACTION that a side has begun and waits for an answer to, with the IV of that.
    fn asked(&self, host: usize) -> Option<(u32, &[u8])> {
        let endpoint = &self.endpoints[host];
        let under_sa = endpoint.sas.values().find_map(|sa| sa.asked.as_ref());
        let asked = under_sa.map(|asked| (asked.message_id, asked.next_iv.as_slice()));
        asked.or_else(|| {
            endpoint.negotiations.values().find_map(|n| match &n.state {
                State::Xauth(pending) => pending.begun(),
                _ => None,
            })
        })
    }

    /// A message for a side, encrypted as its peer would: any payload chain.
    fn sealed(
        &self,
        host: usize,
        exchange: ExchangeType,
        id: u32,
        chain: &[u8],
    ) -> Option<Vec<u8>> {
        let (keys, iv, _) = self.keys(host)?;
        // What is asked for can be answered.
        let asked = self
            .asked(host)
            .filter(|_| exchange == ExchangeType::TRANSACTION && id == 1);
        let id = asked.map_or(id, |(asked, _)| asked);
        let endpoint = &self.endpoints[host];
        let cookies = match endpoint.sas.values().next() {
            Some(sa) => sa.cookies(),
            None => endpoint.negotiations.values().next()?.cookies(),
        };
        let (first, body) = match chain.split_first()? {
            // With a HASH(1) that is right.
            (first, rest) if first & 0x80 != 0 => {
                let mut body = vec![first & 0x7f, 0, 0, 0];
                let hash = keys.hash_1(id, rest).ok()?;
                body[3] = u8::try_from(4 + hash.len()).ok()?;
                body.extend(hash);
                body.extend_from_slice(rest);
                (PayloadType::HASH, body)
            }
            (first, rest) => (PayloadType(*first), rest.to_vec()),
        };
        let iv = match (id, asked) {
            (_, Some((_, next))) => next.to_vec(),
            (0, _) => iv.to_vec(),
            (id, _) => keys.exchange_iv(iv, id).ok()?,
        };
        let ciphertext = keys.seal(&iv, &body).ok()?;
        let header = header(cookies, exchange, id);
        Some(isakmp::build::encrypted_message(header, first, &ciphertext))
    }
}

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
