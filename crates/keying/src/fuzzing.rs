//! Two endpoints hand in hand: what the fuzz target drives, and the tests of bad input. Nothing here is
//! for a daemon.
//!
//! Key shares come of a seed and clones cost no Diffie-Hellman, so that a state of a real negotiation
//! can be tried with thousands of changed datagrams.

mod program;
mod sides;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{ActivityId, Event};
use crypto::{Group, Secret};
use isakmp::{ExchangeType, PayloadType};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

pub use program::endpoint;

use crate::child::{ChildKeys, ChildSa, ChildSaId};
use crate::config::EndpointConfig;
use crate::endpoint::Endpoint;
use crate::ikev1::negotiation::header;
use crate::ikev1::protection::Keys;
use crate::ikev1::state::State;
use crate::io::{Command, Input, JobId, Output, Ticket};
use crate::job::{Job, JobResult};
use sides::{Keyring, address, connection};

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
            keys: Keyring::of_both(),
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
