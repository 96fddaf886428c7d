//! A network of two hosts with a clock of its own: every datagram, job, log write and timeout is an
//! entry of one queue, so that a test decides what is late, lost, doubled or changed, and the same seed
//! gives the same run.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::host::Host;
use crate::child::{ChildSa, ChildSaId, Cpis, Mode};
use crate::io::{Command, Input, JobId, Output, Ticket};
use crate::job::{Job, JobResult};

/// The host that tests let initiate.
pub(super) const A: usize = 0;
/// The other one.
pub(super) const B: usize = 1;

/// A datagram under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// The host that sent it.
    pub sender: usize,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What will happen at a host.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Arrive(Packet),
    Done(JobId, JobResult),
    Logged(Ticket, bool),
    Ids,
    QuickIds,
    Installed(ChildSaId, bool),
    Expiring(ChildSaId),
    Ask(Command),
}

/// When copies of a datagram arrive, and as what: none, one or several.
pub(super) type Path = Box<dyn FnMut(&mut ChaCha20Rng, Packet) -> Vec<(Duration, Packet)>>;

/// See the module.
pub(super) struct Net {
    pub now: Instant,
    pub hosts: [Host; 2],
    pub path: Path,
    pub rng: ChaCha20Rng,
    /// Longest times of a worker and of the log.
    pub work: Duration,
    pub write: Duration,
    /// One in so many results of jobs is lost; 0: none.
    pub lose_job: u32,
    /// The longest time of the data plane.
    pub install: Duration,
    /// One in so many answers of the data plane is lost; 0: none.
    pub lose_install: u32,
    queue: BTreeMap<(Instant, u64), (usize, u32, Happening)>,
    number: u64,
}

/// One side's SA is the other's, seen from there.
fn mirrored(one: &ChildSa, other: &ChildSa) {
    for (inbound, outbound) in [
        (&one.inbound, &other.outbound),
        (&other.inbound, &one.outbound),
    ] {
        assert_eq!(inbound.spi, outbound.spi);
        assert_eq!(
            inbound.encryption.as_bytes(),
            outbound.encryption.as_bytes()
        );
        assert_eq!(inbound.integrity.as_bytes(), outbound.integrity.as_bytes());
        let len = inbound.encryption.len() + inbound.integrity.len();
        assert_eq!(len, one.suite.key_len());
    }
    assert_ne!(one.inbound.spi, one.outbound.spi);
    assert_ne!(one.role, other.role);
    assert_eq!((one.suite, one.mode), (other.suite, other.mode));
    assert_eq!(one.udp_encap, other.udp_encap);
    let turned = other.cpis.map(|cpis| Cpis {
        inbound: cpis.outbound,
        outbound: cpis.inbound,
    });
    assert_eq!(one.cpis, turned);
    if one.mode == Mode::Tunnel {
        assert_eq!(one.local_selector, other.remote_selector);
        assert_eq!(one.remote_selector, other.local_selector);
    }
}

/// A path without faults.
pub(super) fn perfect() -> Path {
    Box::new(|_, packet| vec![(Duration::from_millis(5), packet)])
}

/// A path on which a test looks at each datagram: `false` loses it.
pub(super) fn filtered(mut keep: impl FnMut(&mut Packet) -> bool + 'static) -> Path {
    Box::new(move |_, mut packet| {
        if keep(&mut packet) {
            vec![(Duration::from_millis(5), packet)]
        } else {
            Vec::new()
        }
    })
}

/// A number below `bound`, which is not 0.
pub(super) fn below(rng: &mut ChaCha20Rng, bound: u32) -> u32 {
    rng.next_u32() % bound
}

impl Net {
    pub(super) fn new(seed: u64, hosts: [Host; 2]) -> Self {
        let start = hosts[A].born;
        let mut net = Net {
            now: start,
            hosts,
            path: perfect(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            work: Duration::from_millis(1),
            write: Duration::from_millis(1),
            lose_job: 0,
            install: Duration::from_millis(1),
            lose_install: 0,
            queue: BTreeMap::new(),
            number: 0,
        };
        for host in [A, B] {
            net.command(
                host,
                Command::Connections(net.hosts[host].connections.clone()),
            );
            net.hosts[host].give_ids(net.now);
            net.hosts[host].give_qm_ids(net.now);
            net.collect(host);
        }
        net
    }

    /// Gives a command to a host at once.
    pub(super) fn command(&mut self, host: usize, command: Command) {
        self.input(host, Input::Command(command));
    }

    /// Asks a host to bring its only connection up.
    pub(super) fn up(&mut self, host: usize) {
        let command = self.hosts[host].initiate(self.hosts[1 - host].address);
        self.command(host, command);
    }

    pub(super) fn input(&mut self, host: usize, input: Input) {
        self.hosts[host].handle(self.now, input);
        self.collect(host);
    }

    /// The log of a host, which was held up, has written everything.
    pub(super) fn release_tickets(&mut self, host: usize) {
        self.hosts[host].hold_tickets = false;
        for ticket in std::mem::take(&mut self.hosts[host].held_tickets) {
            self.input(host, Input::Durable(ticket));
        }
    }

    /// A host dies and comes back.
    pub(super) fn crash(&mut self, host: usize) {
        self.hosts[host].restart(self.now);
        self.collect(host);
    }

    /// Puts a datagram before a host, as if it came just now.
    pub(super) fn inject(&mut self, host: usize, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.input(
            host,
            Input::Datagram {
                local: to,
                remote: from,
                bytes: bytes.to_vec(),
            },
        );
    }

    pub(super) fn later(&mut self, host: usize, wait: Duration, happening: Happening) {
        self.number += 1;
        let incarnation = self.hosts[host].incarnation;
        self.queue.insert(
            (self.now + wait, self.number),
            (host, incarnation, happening),
        );
    }

    /// Some time up to `most`.
    pub(super) fn some(&mut self, most: Duration) -> Duration {
        most.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX))
    }

    /// Takes what a host gave out and puts it where it belongs.
    fn collect(&mut self, host: usize) {
        for output in std::mem::take(&mut self.hosts[host].out) {
            match output {
                Output::Transmit {
                    local,
                    remote,
                    bytes,
                } => {
                    let packet = Packet {
                        sender: host,
                        from: local,
                        to: remote,
                        bytes,
                    };
                    for (wait, packet) in (self.path)(&mut self.rng, packet) {
                        let to = packet.to.ip();
                        if let Some(target) = self.hosts.iter().position(|h| h.address == to) {
                            self.later(target, wait, Happening::Arrive(packet));
                        }
                    }
                }
                Output::Job(id, job) => {
                    let result = self.hosts[host].work(&job);
                    let lost = self.lose_job > 0 && below(&mut self.rng, self.lose_job) == 0
                        || self.hosts[host].lose_checks && matches!(job, Job::CheckPeer { .. });
                    let wait = self.some(self.work);
                    if self.hosts[host].hold_jobs {
                        self.hosts[host].held_jobs.push((id, result));
                    } else if !lost {
                        self.later(host, wait, Happening::Done(id, result));
                    }
                }
                Output::Audit(event) => {
                    let wait = self.some(self.write);
                    let durable = !self.hosts[host].refuse_writes;
                    if self.hosts[host].hold_tickets {
                        self.hosts[host].held_tickets.push(event.ticket);
                    } else {
                        self.later(host, wait, Happening::Logged(event.ticket, durable));
                    }
                }
                Output::NeedMainModeIds => {
                    let wait = self.some(self.write);
                    self.later(host, wait, Happening::Ids);
                }
                Output::NeedQuickModeIds => {
                    let wait = self.some(self.write);
                    self.later(host, wait, Happening::QuickIds);
                }
                Output::InstallSa(sa) => {
                    let wait = self.some(self.install);
                    let well = !self.hosts[host].broken_plane;
                    let lost =
                        self.lose_install > 0 && below(&mut self.rng, self.lose_install) == 0;
                    if !lost {
                        self.later(host, wait, Happening::Installed(sa.id, well));
                    }
                }
                _ => {}
            }
        }
    }

    /// The next thing that happens, if it happens until `until`. False when there was none.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timer = [A, B]
            .into_iter()
            .filter_map(|host| Some((self.hosts[host].endpoint.next_timeout()?, host)))
            .min();
        let due = |at: &Instant| *at <= until;
        if let Some((at, host)) = timer.filter(|(at, _)| due(at) && queued.is_none_or(|q| *at < q))
        {
            self.now = self.now.max(at);
            let before = self.hosts[host].endpoint.next_timeout();
            self.input(host, Input::Timeout);
            let after = self.hosts[host].endpoint.next_timeout();
            assert!(
                after.is_none_or(|after| Some(after) > before),
                "the timer of host {host} spins"
            );
            return true;
        }
        let Some((key, (host, incarnation, happening))) = self.queue.pop_first() else {
            return false;
        };
        if !due(&key.0) {
            self.queue.insert(key, (host, incarnation, happening));
            return false;
        }
        self.now = self.now.max(key.0);
        if incarnation != self.hosts[host].incarnation
            && !matches!(happening, Happening::Arrive(_) | Happening::Ask(_))
        {
            return true;
        }
        match happening {
            Happening::Arrive(packet) => {
                self.inject(host, packet.from, packet.to, &packet.bytes);
            }
            Happening::Done(id, result) => self.input(host, Input::JobDone(id, result)),
            Happening::Logged(ticket, true) => self.input(host, Input::Durable(ticket)),
            Happening::Logged(ticket, false) => self.input(host, Input::Refused(ticket)),
            Happening::Ids => {
                self.hosts[host].give_ids(self.now);
                self.collect(host);
            }
            Happening::QuickIds => {
                self.hosts[host].give_qm_ids(self.now);
                self.collect(host);
            }
            Happening::Installed(id, true) => self.input(host, Input::Installed(id)),
            Happening::Installed(id, false) => {
                let why = "no such algorithm".to_owned();
                self.input(host, Input::InstallFailed(id, why));
            }
            Happening::Expiring(id) => self.input(host, Input::Expiring(id)),
            Happening::Ask(command) => self.command(host, command),
        }
        true
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Lets a minute pass in which a host is told that the system did not send what `unsent` holds of all that it
    /// sent, by place and bytes.
    pub(super) fn run_unsent(
        &mut self,
        host: usize,
        out_of_memory: bool,
        unsent: impl Fn(usize, &[u8]) -> bool,
    ) {
        let mut seen = 0;
        for _ in 0..600 {
            let new = self.hosts[host].sent[seen..].to_vec();
            for (place, bytes) in (seen..).zip(new) {
                seen = place + 1;
                if unsent(place, &bytes) {
                    let why = "Network is unreachable".to_owned();
                    let input = Input::Unsent {
                        bytes,
                        out_of_memory,
                        why,
                    };
                    self.input(host, input);
                }
            }
            self.run(Duration::from_millis(100));
        }
    }

    /// Lets time pass until something holds, for a minute at most.
    pub(super) fn run_until(&mut self, holds: impl Fn(&Net) -> bool) {
        let until = self.now + Duration::from_mins(1);
        while !holds(self) {
            assert!(self.step(until), "it never held");
        }
    }

    /// Runs until a host has had an event so often.
    pub(super) fn run_until_of(&mut self, host: usize, event: u16, times: usize) {
        let until = self.now + Duration::from_mins(10);
        while self.hosts[host].of(event).len() < times {
            assert!(self.step(until), "it never came");
        }
    }

    /// Runs until both sides have an SA of the other.
    pub(super) fn establish(&mut self) {
        self.up(A);
        self.run_until(|net| net.hosts.iter().all(|h| h.endpoint.sas.len() == 1));
        self.agree();
    }

    /// The addresses of both hosts with the IKE port.
    pub(super) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |address: IpAddr| SocketAddr::new(address, 500);
        (end(self.hosts[A].address), end(self.hosts[B].address))
    }

    /// Whoever holds an SA with the same cookies holds the same keys, and took the other role.
    pub(super) fn agree(&self) {
        let [a, b] = &self.hosts;
        for ours in a.endpoint.sas.values() {
            for theirs in b.endpoint.sas.values() {
                if ours.cookies() != theirs.cookies() {
                    continue;
                }
                assert_eq!(
                    ours.keys.cipher_key.as_bytes(),
                    theirs.keys.cipher_key.as_bytes()
                );
                assert_eq!(ours.keys.a.as_bytes(), theirs.keys.a.as_bytes());
                assert_eq!(ours.keys.d.as_bytes(), theirs.keys.d.as_bytes());
                assert_eq!(ours.last_block, theirs.last_block);
                assert_eq!(ours.suite, theirs.suite);
                assert_ne!(ours.role, theirs.role);
                assert_eq!(ours.local_id, theirs.remote_id);
                assert_eq!(ours.remote_id, theirs.local_id);
            }
        }
        for ours in a.plane.values() {
            for theirs in b.plane.values() {
                let in_is_out = ours.inbound.spi == theirs.outbound.spi;
                assert_eq!(in_is_out, ours.outbound.spi == theirs.inbound.spi);
                if in_is_out {
                    mirrored(ours, theirs);
                }
            }
        }
    }

    /// How many SAs each side has that the other has too.
    pub(super) fn shared(&self) -> usize {
        let [a, b] = &self.hosts;
        let has = |sa: &&ChildSa| {
            let other = b.plane.values();
            other
                .clone()
                .any(|other| other.outbound.spi == sa.inbound.spi)
        };
        a.plane.values().filter(has).count()
    }

    /// Ends everything, waits until all that is remembered has faded, and looks whether anything stayed.
    pub(super) fn finish(&mut self) {
        for host in [A, B] {
            self.command(host, Command::Shutdown);
        }
        self.run(Duration::from_secs(700));
        for host in &self.hosts {
            assert_eq!(host.endpoint.state_size(), 0, "{:#?}", host.endpoint);
            assert!(host.endpoint.is_idle());
            host.ledger.closed();
        }
    }
}
