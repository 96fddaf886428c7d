//! ESP in user space, over a TUN device.
//!
//! Packets that the kernel routes into the device are sealed and sent as ESP in UDP, by the NAT-T sockets
//! that IKE has bound, or as an IP protocol of its own; what comes back is opened and given to the device.
//! Tunnel mode alone: a TUN device has no way to put transport mode between the kernel and its own packets.
//!
//! The plane reads the NAT-T sockets, and passes on what is IKE: so it can own the port, when it is a process
//! of its own. The device takes and gives TCP in pieces of 64 kB (virtio header), as UDP sockets take and
//! give datagrams of one length (`UDP_SEGMENT`, `UDP_GRO`).

mod association;
mod early;
mod icmp;
mod inbound;
mod inner;
mod outbound;
mod packet;
mod shared;
mod shield;
mod sources;
mod table;
mod tell;
mod turns;
mod watch;
mod ways;
mod window;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crypto::esp::Protocol;
use tun_rs::{DeviceBuilder, SyncDevice};

use association::{Association, Path};
use inbound::Inbound;
use outbound::Outbound;
use shared::Shared;
use tell::Told;
use watch::Watch;
use ways::{Owner, Ways};
use wire::Wire;

use crate::kernel::route::Between;
use crate::{
    ChildSa, Counters, Mark, Mode, Plane, PlaneError, PlaneEvent, Refusal, RouteTable, Trap,
};

/// Next headers of a tunnel's packets (RFC 4303 section 2.6).
const IPV4: u8 = 4;
const IPV6: u8 = 41;
/// Queues of the device at most, each with a thread and some megabytes.
const MAX_WORKERS: usize = 8;
/// How often who is watched for packets in the clear is changed at most, where there are many: it costs as much as
/// there are SAs.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// With so few of them it costs nothing worth waiting for.
const FEW: usize = 64;

/// IKE that came to a NAT-T socket.
#[derive(Clone, Copy, Debug)]
pub struct IkeDatagram<'a> {
    /// The address and port it came to.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The payload, the non-ESP marker included (RFC 3948 section 2.2).
    pub bytes: &'a [u8],
}

/// Takes IKE that came to a NAT-T socket; called on the plane's threads, of which several may be at it.
pub type IkeReceiver = Box<dyn Fn(IkeDatagram<'_>) + Send + Sync>;

/// How the plane in user space is set up.
pub struct UserOptions {
    /// The list of what outlives the process. Made when it is not there; one process alone may have it, and
    /// the kernel's plane has another.
    pub state_file: PathBuf,
    /// The TUN device; `%d` becomes the first free number.
    pub device: String,
    /// The longest packet that the device lets through, in bytes. One that does not fit its path for all that
    /// is answered with how much does.
    pub mtu: u16,
    /// Where routes into the tunnels go; `None`: routes are the operator's.
    pub routes: Option<RouteTable>,
    /// What IKE's and the plane's own packets carry, so that they are not routed into the tunnels. IKE's
    /// other sockets need it too: [`bypass`].
    pub mark: Mark,
    /// The bound NAT-T sockets, of which the plane alone reads from now on. Whoever gave them may still send
    /// by duplicates of them. Several with one address (`SO_REUSEPORT`) share the work: a peer's packets
    /// always come to the same one.
    pub nat_sockets: Vec<OwnedFd>,
    /// Takes what is IKE.
    pub ike: IkeReceiver,
    /// The ports of all of IKE's sockets, these and others: what comes to them is in the clear as it should be.
    pub ike_ports: Vec<u16>,
    /// Threads that seal, one for each queue of the device. Flows are spread over them.
    pub workers: usize,
}

impl UserOptions {
    /// The usual: a device `mainmode0` of 1400 bytes, table 221, mark 0x6d6d, a worker for each processor; no
    /// NAT-T socket.
    pub fn new(state_file: impl Into<PathBuf>) -> Self {
        Self {
            state_file: state_file.into(),
            device: "mainmode%d".into(),
            mtu: 1400,
            routes: Some(RouteTable {
                table: 221,
                priority: 221,
            }),
            mark: Mark {
                value: 0x6d6d,
                mask: u32::MAX,
            },
            nat_sockets: Vec::new(),
            ike: Box::new(|_| {}),
            ike_ports: vec![500, 4500],
            workers: std::thread::available_parallelism().map_or(1, Into::into),
        }
    }
}

/// Child SAs in user space. What it has set goes when it is dropped, too.
pub struct User {
    shared: Arc<Shared>,
    ways: Ways,
    mark: Mark,
    raw: BTreeSet<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Closed to end the threads.
    stop: Option<UnixStream>,
    teller_thread: Option<JoinHandle<()>>,
    watch: Option<Arc<Watch>>,
    /// When it was told last whom to watch.
    looked: Option<Instant>,
    /// There are others to watch since.
    look: bool,
}

/// Makes the packets of a socket pass by the routes into the tunnels, and by what keeps packets in the clear from
/// coming in. Every socket that IKE goes through needs it: without, a peer whose own address is in its selector could
/// not be reached any more.
///
/// # Errors
/// [`PlaneError::NotPermitted`] without `CAP_NET_ADMIN`.
pub fn bypass(socket: &impl AsFd, mark: Mark) -> Result<(), PlaneError> {
    const DOING: &str = "marking IKE's socket";
    wire::set_free(socket, mark).map_err(|errno| fault(DOING, errno.into()))
}

/// Opens the plane in user space: undoes what a crash has left behind, makes the device, and takes the NAT-T
/// sockets over.
///
/// `events` is called on a thread of the plane's own. Network namespace and privilege (`CAP_NET_ADMIN`,
/// `CAP_NET_RAW` for ESP outside of UDP) are those of the calling thread, here as in every call of the plane.
///
/// # Errors
/// [`PlaneError::NotPermitted`], [`PlaneError::StateFileInUse`] and [`PlaneError::StateFile`]; when there can
/// be no TUN device; when what was left behind cannot be removed.
pub fn user(
    options: UserOptions,
    events: impl Fn(PlaneEvent) + Send + 'static,
) -> Result<User, PlaneError> {
    let mut ways = Ways::open(&options.state_file, options.routes, options.mark)?;
    let queues = open_device(&options)?;
    let device = queues[0].if_index();
    let device = device.map_err(|error| fault("looking for the TUN device", error))?;
    ways.set_device(device, wire::segments(options.mtu));
    let mut wires = Vec::new();
    for socket in options.nat_sockets {
        const DOING: &str = "taking a NAT-T socket over";
        let wire = Wire::udp(socket, options.mark);
        wires.push(Arc::new(wire.map_err(|errno| fault(DOING, errno.into()))?));
    }
    let (stop, stopped) = UnixStream::pair().map_err(|error| fault("making a pipe", error))?;
    let (teller, told) = tell::channel();
    let shared = Shared::new(queues, teller, wires.clone(), options.ike, stopped);
    let mut plane = User {
        shared: Arc::new(shared),
        ways,
        mark: options.mark,
        raw: BTreeSet::new(),
        threads: Vec::new(),
        stop: Some(stop),
        teller_thread: None,
        watch: None,
        looked: None,
        look: false,
    };
    plane.start_telling(told, events)?;
    plane.start_watching(device, options.ike_ports)?;
    for worker in 0..plane.shared.queues.len() {
        let mut outbound = Outbound::new(Arc::clone(&plane.shared), worker);
        plane.start(format!("esp-out-{worker}"), move || outbound.run())?;
    }
    for wire in wires {
        plane.receive(wire)?;
    }
    Ok(plane)
}

/// Undoes what a plane that had this list has left behind, when none is wanted any more.
///
/// # Errors
/// As [`user`].
pub fn clear_user(state_file: &std::path::Path) -> Result<(), PlaneError> {
    let options = UserOptions::new(state_file);
    Ways::open(state_file, options.routes, options.mark).map(drop)
}

fn open_device(options: &UserOptions) -> Result<Vec<Arc<SyncDevice>>, PlaneError> {
    if usize::from(options.mtu) > outbound::LONGEST {
        return Err(PlaneError::Invalid {
            what: format!(
                "the device's packets can have {} bytes at most, not {}",
                outbound::LONGEST,
                options.mtu
            ),
        });
    }
    let build = || -> io::Result<Vec<Arc<SyncDevice>>> {
        let first = DeviceBuilder::new()
            .name(options.device.clone())
            .mtu(options.mtu)
            .offload(true)
            .multi_queue(true)
            .enable(false)
            .build_sync()?;
        // It needs no address of its own, and no router is to be looked for there. A host without IPv6 has
        // nothing to set.
        let name = first.name()?;
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/addr_gen_mode"), "1");
        let mut queues = vec![first];
        for _ in 1..options.workers.clamp(1, MAX_WORKERS) {
            queues.push(queues[0].try_clone()?);
        }
        for queue in &queues {
            queue.set_nonblocking(true)?;
        }
        queues[0].enabled(true)?;
        Ok(queues.into_iter().map(Arc::new).collect())
    };
    build().map_err(|error| fault("making the TUN device", error))
}

fn fault(doing: &'static str, source: io::Error) -> PlaneError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => PlaneError::NotPermitted { doing },
        _ => PlaneError::Kernel {
            doing,
            message: None,
            source,
        },
    }
}

impl User {
    /// The device's name.
    ///
    /// # Errors
    /// When it was removed.
    pub fn device(&self) -> Result<String, PlaneError> {
        let name = self.shared.queues[0].name();
        name.map_err(|error| fault("looking for the TUN device", error))
    }

    /// How many packets were refused for this, of whatever SA.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.shared.teller.refused(refusal)
    }

    fn start(
        &mut self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), PlaneError> {
        let thread = std::thread::Builder::new().name(name).spawn(run);
        self.threads
            .push(thread.map_err(|error| fault("starting a thread", error))?);
        Ok(())
    }

    fn start_telling(
        &mut self,
        told: Told,
        events: impl Fn(PlaneEvent) + Send + 'static,
    ) -> Result<(), PlaneError> {
        let (shared, mark) = (Arc::clone(&self.shared), self.mark);
        let run = move || {
            let tick = || {
                let children: Vec<_> = shared.tables().children.values().cloned().collect();
                shared.forget_path_mtus();
                for association in children {
                    find_path_mtu(&shared, &association, mark);
                }
            };
            told.run(&shared.teller, &events, &tick);
        };
        let thread = std::thread::Builder::new()
            .name("esp-events".into())
            .spawn(run);
        self.teller_thread = Some(thread.map_err(|error| fault("starting a thread", error))?);
        Ok(())
    }

    /// Without IPsec in the kernel nothing is dropped, and there is nothing to tell.
    fn start_watching(&mut self, device: u32, ike_ports: Vec<u16>) -> Result<(), PlaneError> {
        if !self.ways.shield().works() {
            self.shared.teller.tell(PlaneEvent::Lost(
                "packets that come in the clear and should have been protected are not dropped, since the kernel has no \
                 IPsec, or disable_policy of the TUN device cannot be set; a firewall can drop them"
                    .into(),
            ));
            return Ok(());
        }
        let watch = Watch::open(device, ike_ports).map(Arc::new);
        let watch = watch.map_err(|error| fault("watching for packets in the clear", error))?;
        self.watch = Some(Arc::clone(&watch));
        let shared = Arc::clone(&self.shared);
        self.start("esp-clear".into(), move || watch.run(&shared))
    }

    /// After a change of what is shielded, which [`Plane::tend`] completes when there are many and several come in a row.
    fn look_again(&mut self) {
        self.look = true;
        self.look_when_due();
    }

    /// That it is told who sends in the clear is not worth an SA. When to come again, if it is too early.
    fn look_when_due(&mut self) -> Option<Duration> {
        if !self.look {
            return None;
        }
        let now = Instant::now();
        let since = self.looked.map(|looked| now.duration_since(looked));
        if let Some(early) = since.and_then(|since| LOOK_EVERY.checked_sub(since))
            && self.ways.shield().sources().nth(FEW).is_some()
        {
            return Some(early);
        }
        (self.looked, self.look) = (Some(now), false);
        if let Some(watch) = &self.watch
            && let Err(error) = watch.set(self.ways.shield().sources())
        {
            self.shared.teller.tell(PlaneEvent::Lost(format!(
                "packets in the clear are dropped and not told: {error}"
            )));
        }
        None
    }

    fn receive(&mut self, wire: Arc<Wire>) -> Result<(), PlaneError> {
        let number = self.threads.len();
        let mut inbound = Inbound::new(Arc::clone(&self.shared), wire, number);
        self.start(format!("esp-in-{number}"), move || inbound.run())
    }

    /// A socket for the path, opened now when it is the first without UDP.
    fn serve(&mut self, path: &Path) -> Result<(), PlaneError> {
        if self.shared.wire(path).is_some() {
            return Ok(());
        }
        if path.udp {
            return Err(PlaneError::Invalid {
                what: format!("no NAT-T socket is bound to {}", path.local),
            });
        }
        let v6 = path.local.is_ipv6();
        let wire = Wire::raw(v6, self.mark);
        let wire = Arc::new(wire.map_err(|error| fault("opening a socket for ESP", error))?);
        self.receive(Arc::clone(&wire))?;
        self.shared.add_wire(wire);
        self.raw.insert(v6);
        Ok(())
    }

    fn remove_all(&mut self) -> Result<(), PlaneError> {
        let mut owners: Vec<Owner> = Vec::new();
        {
            let mut tables = self.shared.change();
            owners.extend(tables.children.keys().map(|id| Owner::Child(*id)));
            owners.extend(tables.traps().map(|name| Owner::Trap(name.clone())));
            *tables = table::Tables::default();
        }
        let mut result = Ok(());
        for owner in owners {
            result = result.and(self.ways.release(&owner));
        }
        result = result.and(self.ways.undo());
        self.stop = None;
        self.shared.teller.stop();
        let current = std::thread::current().id();
        for thread in self.threads.drain(..).chain(self.teller_thread.take()) {
            // It is its own caller when the function that takes events drops the plane.
            if thread.thread().id() != current {
                let _ = thread.join();
            }
        }
        result
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.stop.is_some() {
            // Nobody is left to be told; the next start tries again.
            let _ = self.remove_all();
        }
    }
}

/// Sets what an SA's path carries: as another SA with the peer has found it, or as the kernel says.
fn find_path_mtu(shared: &Shared, association: &Association, mark: Mark) {
    let path = association.path();
    let ask = || wire::path_mtu(&path, mark);
    association.set_path_mtu(shared.path_mtu(path.remote.ip(), ask));
}

/// What this plane cannot carry, in words that say what can.
fn check(
    protocol: Protocol,
    mode: Mode,
    mark: Option<Mark>,
    interface: Option<u32>,
    ipcomp: bool,
) -> Result<(), PlaneError> {
    let what = if protocol == Protocol::Ah {
        "AH"
    } else if mode == Mode::Transport {
        "transport mode"
    } else if mark.is_some() {
        "a firewall mark"
    } else if interface.is_some() {
        "an XFRM interface"
    } else if ipcomp {
        "IPComp"
    } else {
        return Ok(());
    };
    Err(PlaneError::Invalid {
        what: format!("{what} cannot be had in user space; set `dataplane = \"kernel\"`"),
    })
}

fn path(sa: &ChildSa) -> Path {
    let (local_port, remote_port) = sa.encap.map_or((0, 0), |e| (e.local_port, e.remote_port));
    Path {
        local: SocketAddr::new(sa.local, local_port),
        remote: SocketAddr::new(sa.remote, remote_port),
        udp: sa.encap.is_some(),
    }
}

impl Plane for User {
    fn name(&self) -> &'static str {
        "user"
    }

    fn install(&mut self, sa: &ChildSa) -> Result<(), PlaneError> {
        sa.check()?;
        check(
            sa.protocol,
            sa.mode,
            sa.mark,
            sa.interface_id,
            sa.cpis.is_some(),
        )?;
        {
            let tables = self.shared.tables();
            if tables.children.contains_key(&sa.id) {
                return Err(PlaneError::AlreadyInstalled(format!("child SA {}", sa.id)));
            }
            if tables.by_spi(sa.inbound.spi).is_some() {
                return Err(PlaneError::AlreadyInstalled(format!(
                    "an SA with SPI {:#010x}",
                    sa.inbound.spi
                )));
            }
        }
        let path = path(sa);
        let association = Association::new(sa, path, self.shared.queues.len())?;
        find_path_mtu(&self.shared, &association, self.mark);
        self.serve(&path)?;
        self.shared.change().insert(Arc::new(association));
        let owner = Owner::Child(sa.id);
        let between = Between {
            local: &sa.local_selector,
            remote: &sa.remote_selector,
            local_lan: &sa.local_lan,
        };
        let routed = self.ways.add(&owner, between, sa.remote);
        if routed.is_err() {
            let _ = self.ways.release(&owner);
            self.shared.change().remove(sa.id);
        }
        self.look_again();
        routed
    }

    fn tend(&mut self) -> Result<Option<Duration>, PlaneError> {
        Ok(self.look_when_due())
    }

    fn remove(&mut self, id: u64) -> Result<(), PlaneError> {
        let removed = self.shared.change().remove(id);
        removed.ok_or(PlaneError::NoSuchSa(id))?;
        let released = self.ways.release(&Owner::Child(id));
        self.look_again();
        released
    }

    fn trap(&mut self, trap: &Trap) -> Result<(), PlaneError> {
        check(
            trap.protocol,
            trap.mode,
            trap.mark,
            trap.interface_id,
            trap.compress,
        )?;
        if !self.shared.change().insert_trap(trap) {
            return Err(PlaneError::AlreadyInstalled(format!(
                "trap '{}'",
                trap.name
            )));
        }
        let owner = Owner::Trap(trap.name.clone());
        let mut result = Ok(());
        for local in &trap.local_selectors {
            for remote in &trap.remote_selectors {
                if local.first.is_ipv4() == remote.first.is_ipv4() && result.is_ok() {
                    let between = Between {
                        local,
                        remote,
                        local_lan: &[],
                    };
                    result = self.ways.add(&owner, between, trap.remote);
                }
            }
        }
        if result.is_err() {
            let _ = self.untrap(&trap.name);
        }
        self.look_again();
        result
    }

    fn untrap(&mut self, name: &str) -> Result<(), PlaneError> {
        let removed = self.shared.change().remove_trap(name);
        removed.ok_or_else(|| PlaneError::NoSuchTrap(name.to_owned()))?;
        let released = self.ways.release(&Owner::Trap(name.to_owned()));
        self.look_again();
        released
    }

    fn counters(&mut self, id: u64) -> Result<Counters, PlaneError> {
        let tables = self.shared.tables();
        let association = tables.children.get(&id).ok_or(PlaneError::NoSuchSa(id))?;
        Ok(association.counters())
    }

    fn move_to(
        &mut self,
        id: u64,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), PlaneError> {
        let association = self.shared.tables().children.get(&id).cloned();
        let association = association.ok_or(PlaneError::NoSuchSa(id))?;
        let udp = association.path().udp;
        let port = |at: SocketAddr| SocketAddr::new(at.ip(), if udp { at.port() } else { 0 });
        let path = Path {
            local: port(local),
            remote: port(remote),
            udp,
        };
        self.serve(&path)?;
        association.move_to(path);
        association.set_path_mtu(wire::path_mtu(&path, self.mark));
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<(), PlaneError> {
        self.remove_all()
    }
}
