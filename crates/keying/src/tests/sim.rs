//! The simulation: thousands of seeds, each with faults of its own, and what must hold in all of them.
//!
//! `MAINMODE_SIM_SEEDS` sets how many seeds, `MAINMODE_SIM_FIRST` the first one.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::net::{A, B, Happening, Net, Packet, Path, below};
use super::{address, mode_config, pair_with, quick};
use crate::child::Child;
use crate::config::{Dpd, Fragmentation, Xauth};
use crate::io::Command;
use crate::pki;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// How bad a network is: one in so many datagrams suffers each.
#[derive(Clone, Copy, Debug)]
struct Faults {
    loss: u32,
    double: u32,
    corrupt: u32,
    /// The longest delay, which is what reorders.
    delay: Duration,
    /// The first host is behind a NAT.
    nat: bool,
}

const MILLI: Duration = Duration::from_millis(1);

impl Faults {
    fn some(rng: &mut ChaCha20Rng) -> Self {
        let one_in = |rng: &mut ChaCha20Rng| [0, 0, 50, 20, 8, 4][below(rng, 6) as usize];
        Faults {
            loss: one_in(rng),
            double: one_in(rng),
            corrupt: one_in(rng),
            delay: MILLI * [1, 20, 200, 1_500][below(rng, 4) as usize],
            nat: below(rng, 3) == 0,
        }
    }

    fn path(self) -> Path {
        let hits = |rng: &mut ChaCha20Rng, one_in: u32| one_in > 0 && below(rng, one_in) == 0;
        Box::new(move |rng, packet| {
            let mut copies = Vec::new();
            let packet = if self.nat { translate(packet) } else { packet };
            let count = if hits(rng, self.double) { 2 } else { 1 };
            for _ in 0..count {
                if hits(rng, self.loss) {
                    continue;
                }
                let mut packet = packet.clone();
                if hits(rng, self.corrupt) {
                    corrupt(rng, &mut packet.bytes);
                }
                let share = f64::from(rng.next_u32()) / f64::from(u32::MAX);
                copies.push((self.delay.mul_f64(share) + MILLI, packet));
            }
            copies
        })
    }
}

/// Where the first host is seen from outside.
fn outside() -> IpAddr {
    address(201)
}

/// A NAT before the first host: the source is rewritten on the way out, the destination on the way in.
pub(super) fn translate(mut packet: Packet) -> Packet {
    if packet.sender == A {
        packet.from = SocketAddr::new(outside(), 20_000 + packet.from.port());
    } else if let (true, Some(port)) = (
        packet.to.ip() == outside(),
        packet.to.port().checked_sub(20_000),
    ) {
        packet.to = SocketAddr::new(address(1), port);
    } else {
        // Nothing leads in from outside but what answers.
        packet.to = SocketAddr::new(address(250), 9);
    }
    packet
}

fn corrupt(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=below(rng, 3) {
        let len = u32::try_from(bytes.len()).expect("a datagram is short");
        if len == 0 {
            return;
        }
        let at = below(rng, len) as usize;
        match below(rng, 4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, 0),
            _ => bytes[at] ^= 1 << below(rng, 8),
        }
    }
}

/// A run: what happened, as text, for a comparison with another run of the same seed.
fn run(seed: u64) -> String {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xface);
    let faults = Faults::some(&mut rng);
    let lifetime = Duration::from_secs([8, 60, 3_600][below(&mut rng, 3) as usize]);
    let dpd = below(&mut rng, 2) == 0;
    let fragmentation =
        [Fragmentation::No, Fragmentation::Yes, Fragmentation::Force][below(&mut rng, 3) as usize];
    let small = below(&mut rng, 3) == 0;
    let wrong_key = below(&mut rng, 12) == 0;
    let children = below(&mut rng, 3) > 0;
    let child_life = Duration::from_secs([6, 30, 3_600][below(&mut rng, 3) as usize]);
    let suite = ["aes128gcm16-x25519", "aes128-sha256"][below(&mut rng, 2) as usize];
    let auto = below(&mut rng, 4);
    let certificates = below(&mut rng, 4) == 0;
    let aggressive = below(&mut rng, 4) == 0;
    let user = below(&mut rng, 4) == 0;
    let config = below(&mut rng, 6);
    let mut net = pair_with(seed, |host, connection| {
        if user {
            let users = crate::CredentialId(3);
            connection.xauth = Some(match host {
                A => Xauth::Client(users),
                _ => Xauth::Server {
                    users,
                    names: vec!["carol".to_owned()],
                },
            });
        }
        if config < 2 {
            connection.mode_config = Some(mode_config::part(host, config == 0));
        }
        if children {
            let mut child = quick::child(host, "net", &[suite]);
            child.lifetime = child_life;
            child.auto = auto & (1 << host) != 0;
            connection.children = vec![Arc::new(child)];
        }
        connection.lifetime = lifetime;
        connection.dpd = dpd.then_some(Dpd {
            delay: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
        });
        connection.fragmentation = fragmentation;
        if small {
            connection.fragment_size = 160;
        }
        connection.aggressive = aggressive;
        if certificates {
            let signatures = pki::signatures(crate::CredentialId(2));
            connection.auth = vec![crate::Auth::Signatures(signatures)];
        }
        if faults.nat && host == B {
            connection.remote_address = crate::config::RemoteAddress::Host(outside());
        }
    });
    for host in [A, B] {
        let side = pki::both()[host].clone();
        net.hosts[host].keys.1.insert(crate::CredentialId(2), side);
        let user = crate::User {
            name: "carol".to_owned(),
            password: crypto::Secret::new(b"4iChxLT3".to_vec()),
        };
        net.hosts[host]
            .keys
            .2
            .insert(crate::CredentialId(3), vec![user]);
    }
    let wrong_key = wrong_key && !certificates;
    if wrong_key {
        let other = crypto::Secret::new(b"another secret".to_vec());
        net.hosts[B].keys.0.insert(crate::CredentialId(1), other);
    }
    net.path = faults.path();
    net.work = MILLI * [1, 100, 3_000][below(&mut rng, 3) as usize];
    net.write = MILLI * [1, 50, 2_500][below(&mut rng, 3) as usize];
    net.lose_job = [0, 0, 10][below(&mut rng, 3) as usize];
    net.install = MILLI * [1, 50, 2_500][below(&mut rng, 3) as usize];
    net.lose_install = [0, 0, 10][below(&mut rng, 3) as usize];
    for host in &mut net.hosts {
        host.block = 70;
    }
    script(&mut net, &mut rng, faults);
    let faultless = faults.loss == 0 && faults.corrupt == 0 && net.lose_job == 0;
    settle(&mut net);
    quieten(&mut net);
    recover(&mut net, faults, wrong_key, faultless);
    net.finish();
    transcript(&net)
}

/// What the operators and fate do within two minutes.
fn script(net: &mut Net, rng: &mut ChaCha20Rng, faults: Faults) {
    let initiates = |net: &Net, host: usize| {
        // From outside nobody gets in.
        let able = host == A || !faults.nat;
        able.then(|| net.hosts[host].initiate(net.hosts[1 - host].address))
    };
    let both = below(rng, 2) == 0;
    for host in [A, B] {
        if host == A || both {
            let at = MILLI * below(rng, 20);
            if let Some(command) = initiates(net, host) {
                net.later(host, at, Happening::Ask(command));
            }
        }
    }
    for _ in 0..below(rng, 6) {
        let host = [A, B][below(rng, 2) as usize];
        let pause = MILLI * below(rng, 30_000);
        net.run(pause);
        net.agree();
        match below(rng, 14) {
            0..4 => {
                if let Some(command) = initiates(net, host) {
                    net.command(host, command);
                }
            }
            4 => {
                let connection = net.hosts[host].connections[0].name.clone();
                net.command(host, Command::Terminate { connection });
            }
            5 => net.crash(host),
            6 => net.hosts[host].refuse_writes ^= true,
            7 => {
                // The clock jumps.
                net.now += Duration::from_secs(u64::from(below(rng, 100)));
                net.input(host, crate::io::Input::Timeout);
            }
            8 => {
                let mut connections = net.hosts[host].connections.clone();
                let mut changed = (*connections[0]).clone();
                match below(rng, 3) {
                    0 => connections.clear(),
                    1 => changed.lifetime += Duration::from_secs(1),
                    // Main Mode stays, whatever becomes of the child.
                    _ => {
                        let of = |child: &Arc<Child>| {
                            let mut child = (**child).clone();
                            child.auto ^= below(rng, 2) == 0;
                            if below(rng, 2) == 0 {
                                child.replay_window += 1;
                            }
                            Arc::new(child)
                        };
                        changed.children = changed.children.iter().map(of).collect();
                    }
                }
                if !connections.is_empty() {
                    connections = vec![Arc::new(changed)];
                    net.hosts[host].connections = connections.clone();
                }
                net.command(host, Command::Connections(connections));
                let connections = net.hosts[host].connections.clone();
                net.command(host, Command::Connections(connections));
            }
            9 => net.run(Duration::from_secs(15)),
            _ => quick_mode(net, rng, faults, host),
        }
    }
}

/// What the operator, the data plane and fate do to child SAs.
fn quick_mode(net: &mut Net, rng: &mut ChaCha20Rng, faults: Faults, host: usize) {
    let some = net.hosts[host].plane.keys().next().copied();
    match (below(rng, 6), some) {
        (0, Some(id)) => net.input(host, crate::Input::Expiring(id)),
        (1, Some(id)) => net.input(host, crate::Input::Expired(id)),
        (2, Some(id)) => net.input(host, crate::Input::InstallFailed(id, "gone".to_owned())),
        (3, _) => {
            let connection = net.hosts[host].connections[0].name.clone();
            let child = "net".to_owned();
            net.command(host, Command::TerminateChild { connection, child });
        }
        (4, _) => net.hosts[host].broken_plane ^= true,
        // Both at once.
        (5, Some(_)) => {
            for host in [A, B] {
                let some = net.hosts[host].plane.keys().next_back().copied();
                if let Some(id) = some {
                    let wait = MILLI * below(rng, 20);
                    net.later(host, wait, Happening::Expiring(id));
                }
            }
        }
        _ => {
            if host == A || !faults.nat {
                quick::up(net, host);
            }
        }
    }
}

/// The faults end. Whatever there was, each pair of selectors has one pair of SAs at most when all has
/// settled, and both sides have the same.
fn settle(net: &mut Net) {
    for host in &mut net.hosts {
        host.refuse_writes = false;
        host.broken_plane = false;
    }
    net.lose_job = 0;
    net.lose_install = 0;
}

/// The faults end, and what is under way comes to its end.
fn quieten(net: &mut Net) {
    for host in &mut net.hosts {
        host.refuse_writes = false;
    }
    net.lose_job = 0;
    net.run(Duration::from_mins(1));
    net.agree();
}

/// After a time without faults both sides can establish, and nobody counted anything twice.
fn recover(net: &mut Net, faults: Faults, wrong_key: bool, faultless: bool) {
    net.path = Faults {
        loss: 0,
        double: 0,
        corrupt: 0,
        delay: MILLI,
        nat: faults.nat,
    }
    .path();
    net.work = MILLI;
    net.write = MILLI;
    net.install = MILLI;
    net.run(Duration::from_mins(1));
    for host in [A, B] {
        let connection = net.hosts[host].connections[0].name.clone();
        net.command(host, Command::Terminate { connection });
    }
    net.run(Duration::from_secs(1));
    for host in &net.hosts {
        assert!(host.endpoint.sas.is_empty(), "an SA outlived its end");
        assert!(host.plane.is_empty(), "a child SA outlived its end");
    }
    net.up(A);
    net.run(Duration::from_secs(5));
    let stands = net.hosts.iter().all(|h| h.endpoint.sas.len() == 1);
    assert_ne!(stands, wrong_key, "faultless: {faultless}");
    // One each, or none, and the same one.
    let cookies = |host: usize| {
        let mut sas = net.hosts[host].endpoint.sas.values();
        sas.next().map(|sa| sa.cookies())
    };
    assert_eq!(cookies(A), cookies(B));
    net.agree();
    children_recover(net, wrong_key);
    if !faultless && faults.corrupt > 0 {
        return;
    }
    for host in &net.hosts {
        for event in &host.events {
            // An SA that ended before the last message of its negotiation arrived says so under an IV that
            // begins with that message: who waits for the message cannot read that.
            let unread = event
                .extra
                .detail
                .as_deref()
                .is_some_and(|detail| detail.contains("answered message"));
            let code = event.extra.cause.and_then(audit::Cause::code);
            if let (4653, Some(13_801 | 13_870), false) = (event.event.id(), code, unread) {
                assert!(wrong_key, "a wrong key, where it was right: {event:?}");
            }
        }
    }
}

/// Where there are children, one stands after a time without faults, and after both sides replaced it at
/// once it is one again.
fn children_recover(net: &mut Net, wrong_key: bool) {
    if wrong_key || net.hosts[A].connections[0].children.is_empty() {
        return;
    }
    let lifetime = net.hosts[A].connections[0].children[0].lifetime;
    quick::up(net, A);
    net.run(Duration::from_secs(5));
    assert!(net.shared() >= 1, "no child SA: {}", transcript(net));
    let soon = lifetime > Duration::from_mins(1);
    for host in [A, B] {
        let some = net.hosts[host].plane.keys().next_back().copied();
        if let Some(id) = some.filter(|_| soon) {
            let wait = MILLI * below(&mut net.rng, 20);
            net.later(host, wait, Happening::Expiring(id));
        }
    }
    net.run(Duration::from_mins(1));
    net.agree();
    if soon {
        assert!(
            quick::stands(net),
            "after a collision: {}, {}",
            net.shared(),
            transcript(net)
        );
    } else {
        assert!((1..=2).contains(&net.shared()), "{}", net.shared());
    }
}

fn transcript(net: &Net) -> String {
    let mut text = String::new();
    for host in &net.hosts {
        for event in &host.events {
            let _ = writeln!(text, "{:?} {:?}", event.event, event.extra);
        }
        for verdict in &host.verdicts {
            let _ = writeln!(text, "{verdict:?}");
        }
        for verdict in &host.child_verdicts {
            let _ = writeln!(text, "{verdict:?}");
        }
        for sa in &host.installs {
            let _ = writeln!(text, "{sa:?}");
        }
        let _ = writeln!(text, "{} {:?}", host.sent.len(), host.terminated);
    }
    text
}

/// Many seeds, over the machine's cores.
#[test]
fn whatever_the_network_does_each_negotiation_has_one_verdict_and_nothing_stays() {
    let first = number("MAINMODE_SIM_FIRST", 0);
    let seeds = number("MAINMODE_SIM_SEEDS", 2_000);
    let next = std::sync::atomic::AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let told = std::panic::catch_unwind(|| run(seed));
                    assert!(told.is_ok(), "seed {seed}");
                }
            });
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 5_000..5_020 {
        let (one, two) = (run(seed), run(seed));
        assert!(one.len() > 100);
        assert_eq!(one, two, "seed {seed}");
    }
}
