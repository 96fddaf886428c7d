//! The data planes, on a thread of their own: what the keying endpoint wants installed goes there, and what
//! came of it comes back as messages.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use audit::{DropReason, PacketDropped, Role};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use dataplane::{
    Addresses, Counters, Cpis, Half, KernelOptions, Limits, Plane, PlaneError, PlaneEvent, Refusal,
    Trap, UdpEncap, UserOptions,
};
use keying::{ChildSaId, Mode, Selector};

use super::mailbox::{Mailbox, Message};
use super::sockets::Sockets;
use super::{StartError, passed};
use crate::config::{Child, Config, Connection, DataPlane};

/// How long a replacement that we began leaves what is sent to the one before, while nothing comes by it: our last
/// message, and what the peer does about it, take less, and it is sent again before.
const UNTIL_IT_HAS: Duration = Duration::from_secs(2);
/// The same where the peer began it. Then it has it, and receives on it in a moment if it does not as yet.
const UNTIL_IT_USES: Duration = Duration::from_millis(200);
/// When a plane that could not do what was due is asked again.
const TEND_AGAIN: Duration = Duration::from_millis(50);

/// What is asked of the planes, in order.
enum Order {
    /// With the connection's name.
    Install(DataPlane, String, Box<dataplane::ChildSa>),
    /// The same.
    Expect(DataPlane, String, Box<dataplane::ChildSa>),
    Remove(u64),
    Move(u64, SocketAddr, SocketAddr),
    Trap(DataPlane, Box<Trap>),
    Untrap(DataPlane, String),
    /// A Main Mode SA has these addresses within the tunnel.
    Addresses(u64, Vec<IpAddr>),
    Event(DataPlane, PlaneEvent),
    Counters(Vec<u64>, Sender<BTreeMap<u64, Counters>>),
    Close,
}

/// The way to the planes' thread.
#[derive(Clone)]
pub struct Orders(Sender<Order>);

/// The planes that the configuration uses.
pub struct Planes {
    orders: Orders,
    thread: Option<JoinHandle<()>>,
}

impl Planes {
    /// Opens the planes that connections of the configuration use, and starts their thread. What an earlier
    /// start left behind is gone then. The sockets are shared with them.
    ///
    /// # Errors
    ///
    /// The first plane that cannot be had.
    pub fn start(
        config: &Config,
        sockets: &mut Sockets,
        mailbox: Mailbox,
    ) -> Result<Self, StartError> {
        // Bounded by what the endpoint has under way.
        let (sender, orders) = unbounded();
        let mut planes: BTreeMap<DataPlane, Box<dyn Plane>> = BTreeMap::new();
        let control = &config.control.socket;
        let addresses_file = beside(control, ".addresses");
        for plane in [DataPlane::None, DataPlane::Kernel, DataPlane::User] {
            let events = sender.clone();
            // The thread outlives the plane; when it has ended nobody is left to hear.
            let tell = move |event| {
                let _ = events.send(Order::Event(plane, event));
            };
            // None costs nothing, and a reload may bring a connection that has it.
            if plane != DataPlane::None && !config.uses(plane) {
                clear(plane, control);
                continue;
            }
            let opened: Box<dyn Plane> = match plane {
                DataPlane::None => Box::new(dataplane::none()),
                DataPlane::Kernel => {
                    sockets.share_with_kernel()?;
                    let options = KernelOptions::new(state_file(control, plane));
                    Box::new(dataplane::kernel(&options, tell)?)
                }
                DataPlane::User => {
                    let mut options = UserOptions::new(state_file(control, plane));
                    let (pass_on, passed) = passed::queue(mailbox.nudge_itself());
                    options.nat_sockets =
                        sockets.hand_over(options.workers, options.mark, passed)?;
                    options.ike = Box::new(move |datagram| pass_on.pass(datagram));
                    let own = config.listen_sockets().into_iter();
                    options.ike_ports = own.map(|socket| socket.address.port()).collect();
                    Box::new(dataplane::user(options, tell)?)
                }
            };
            planes.insert(plane, opened);
        }
        let mut worker = Worker {
            planes,
            of: BTreeMap::new(),
            addresses: left_behind(&addresses_file),
            addresses_file,
            mailbox,
        };
        let thread = thread::Builder::new()
            .name("planes".to_owned())
            .spawn(move || worker.run(&orders))?;
        Ok(Planes {
            orders: Orders(sender),
            thread: Some(thread),
        })
    }

    /// The way to them, for other threads.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }
}

impl Drop for Planes {
    /// Takes everything out that was installed.
    fn drop(&mut self) {
        self.orders.send(Order::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Beside the control socket: it must outlive the process, and not the system, and belongs to one daemon.
fn state_file(control: &Path, plane: DataPlane) -> PathBuf {
    let ending = match plane {
        DataPlane::User => ".routed",
        DataPlane::Kernel | DataPlane::None => ".installed",
    };
    beside(control, ending)
}

fn beside(control: &Path, ending: &str) -> PathBuf {
    let mut name = control.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    control.with_file_name(name)
}

/// Addresses that an earlier start has left behind are removed.
fn left_behind(file: &Path) -> Option<Addresses> {
    if !file.exists() {
        return None;
    }
    match Addresses::open(file) {
        Ok(addresses) => Some(addresses),
        Err(error) => {
            super::say(&format!(
                "what an earlier start has left behind could not be cleared: {}",
                crate::with_causes(&error)
            ));
            None
        }
    }
}

/// Takes out what an earlier start has left behind in a plane that the configuration had then, and has no more.
fn clear(plane: DataPlane, control: &Path) {
    let file = state_file(control, plane);
    if plane == DataPlane::None || !file.exists() {
        return;
    }
    let cleared = match plane {
        DataPlane::User => dataplane::clear_user(&file),
        _ => dataplane::kernel(&KernelOptions::new(&file), |_| {})
            .and_then(|plane| Box::new(plane).close()),
    };
    match cleared {
        // One that is there without need would be looked into at each start.
        Ok(()) => drop(std::fs::remove_file(&file)),
        Err(error) => super::say(&format!(
            "what an earlier start has left behind could not be cleared: {}",
            crate::with_causes(&error)
        )),
    }
}

impl Orders {
    /// The thread ends last; what comes too late has been taken out anyway.
    fn send(&self, order: Order) {
        let _ = self.0.send(order);
    }

    /// Installs a child SA of this connection; [`Message::Installed`] tells what came of it.
    pub fn install(&self, connection: Option<&Connection>, sa: &keying::ChildSa) {
        let plane = connection.map_or(DataPlane::None, |connection| connection.dataplane);
        let child = connection.and_then(|connection| connection.child(&sa.child));
        let converted = Box::new(converted(sa, child));
        self.send(Order::Install(plane, sa.connection.clone(), converted));
    }

    /// Receives on one that the peer may use before it is to be installed.
    pub fn expect(&self, connection: Option<&Connection>, sa: &keying::ChildSa) {
        let plane = connection.map_or(DataPlane::None, |connection| connection.dataplane);
        let child = connection.and_then(|connection| connection.child(&sa.child));
        let converted = Box::new(converted(sa, child));
        self.send(Order::Expect(plane, sa.connection.clone(), converted));
    }

    /// Takes one out.
    pub fn remove(&self, id: ChildSaId) {
        self.send(Order::Remove(id.0));
    }

    /// A Main Mode SA has these addresses within the tunnel, and no others.
    pub fn configured(&self, mmsa_id: u64, addresses: Vec<IpAddr>) {
        self.send(Order::Addresses(mmsa_id, addresses));
    }

    /// Its outer addresses have changed.
    pub fn moved(&self, id: ChildSaId, local: SocketAddr, remote: SocketAddr) {
        self.send(Order::Move(id.0, local, remote));
    }

    /// Waits for a child's traffic.
    pub fn trap(&self, plane: DataPlane, trap: Trap) {
        self.send(Order::Trap(plane, Box::new(trap)));
    }

    /// Does so no longer.
    pub fn untrap(&self, plane: DataPlane, name: String) {
        self.send(Order::Untrap(plane, name));
    }

    /// What child SAs have carried; those that are there.
    pub fn counters(&self, ids: Vec<u64>) -> BTreeMap<u64, Counters> {
        let (reply, answer) = bounded(1);
        self.send(Order::Counters(ids, reply));
        answer.recv().unwrap_or_default()
    }
}

/// The thread's side.
struct Worker {
    planes: BTreeMap<DataPlane, Box<dyn Plane>>,
    /// Where each child SA is, and the connection that it is of.
    of: BTreeMap<u64, (DataPlane, String)>,
    /// Addresses within the tunnel, once there are some.
    addresses: Option<Addresses>,
    addresses_file: PathBuf,
    mailbox: Mailbox,
}

impl Worker {
    fn run(&mut self, orders: &Receiver<Order>) {
        while let Some(order) = self.next(orders) {
            match order {
                Order::Install(plane, connection, sa) => self.install(plane, connection, &sa),
                Order::Expect(plane, connection, sa) => self.expect(plane, connection, &sa),
                Order::Remove(id) => {
                    if let Some((plane, _)) = self.of.remove(&id) {
                        self.on(plane, |plane| plane.remove(id));
                    }
                }
                Order::Move(id, local, remote) => self.move_to(id, local, remote),
                Order::Trap(plane, trap) => {
                    self.on(plane, |plane| plane.trap(&trap));
                }
                Order::Untrap(plane, name) => self.on(plane, |plane| plane.untrap(&name)),
                Order::Addresses(mmsa_id, addresses) => self.addresses(mmsa_id, &addresses),
                Order::Event(plane, event) => self.event(plane, event),
                Order::Counters(ids, reply) => {
                    let counted = ids
                        .into_iter()
                        .filter_map(|id| {
                            let (plane, _) = self.of.get(&id)?;
                            Some((id, self.planes.get_mut(plane)?.counters(id).ok()?))
                        })
                        .collect();
                    // Who asked may have gone.
                    let _ = reply.send(counted);
                }
                Order::Close => break,
            }
        }
        if let Some(addresses) = &mut self.addresses
            && let Err(error) = addresses.close()
        {
            super::say(&crate::with_causes(&error));
        }
        for (_, plane) in std::mem::take(&mut self.planes) {
            let name = plane.name();
            if let Err(error) = plane.close() {
                let why = crate::with_causes(&error);
                super::say(&format!(
                    "the data plane \"{name}\" could not be cleared: {why}"
                ));
            }
        }
    }

    /// The next order. What the planes have to do by themselves is done until then.
    fn next(&mut self, orders: &Receiver<Order>) -> Option<Order> {
        loop {
            let mut wait: Option<Duration> = None;
            for plane in self.planes.values_mut() {
                let again = plane.tend().unwrap_or_else(|error| {
                    let (name, why) = (plane.name(), crate::with_causes(&error));
                    super::say(&format!("data plane \"{name}\": {why}"));
                    Some(TEND_AGAIN)
                });
                wait = wait.into_iter().chain(again).min();
            }
            let Some(wait) = wait else {
                return orders.recv().ok();
            };
            match orders.recv_timeout(wait) {
                Ok(order) => return Some(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The addresses of a Main Mode SA. Their list is opened with the first.
    fn addresses(&mut self, mmsa_id: u64, addresses: &[IpAddr]) {
        let opened = match self.addresses.take() {
            Some(opened) => Ok(opened),
            None if addresses.is_empty() => return,
            None => Addresses::open(&self.addresses_file),
        };
        let done = opened.and_then(|mut opened| {
            let done = opened.set(mmsa_id, addresses);
            self.addresses = Some(opened);
            done
        });
        if let Err(error) = done {
            super::say(&crate::with_causes(&error));
        }
    }

    fn install(&mut self, plane: DataPlane, connection: String, sa: &dataplane::ChildSa) {
        let Some(into) = self.planes.get_mut(&plane) else {
            return;
        };
        let outcome = into.install(sa).map_err(|error| crate::with_causes(&error));
        if outcome.is_ok() {
            self.of.insert(sa.id, (plane, connection));
        }
        let id = ChildSaId(sa.id);
        self.mailbox.send(Message::Installed(id, outcome));
    }

    /// What cannot be had is asked for again when it is installed, and told then.
    fn expect(&mut self, plane: DataPlane, connection: String, sa: &dataplane::ChildSa) {
        if let Some(by) = self.planes.get_mut(&plane)
            && by.expect(sa).unwrap_or(false)
        {
            self.of.insert(sa.id, (plane, connection));
        }
    }

    fn move_to(&mut self, id: u64, local: SocketAddr, remote: SocketAddr) {
        let Some(&(plane, _)) = self.of.get(&id) else {
            return;
        };
        self.on(plane, |plane| plane.move_to(id, local, remote));
    }

    /// Does something whose failure is for the operator to know.
    fn on(&mut self, plane: DataPlane, f: impl FnOnce(&mut dyn Plane) -> Result<(), PlaneError>) {
        let Some(plane) = self.planes.get_mut(&plane) else {
            return;
        };
        if let Err(error) = f(plane.as_mut()) {
            let (name, why) = (plane.name(), crate::with_causes(&error));
            super::say(&format!("data plane \"{name}\": {why}"));
        }
    }

    fn event(&mut self, plane: DataPlane, event: PlaneEvent) {
        match event {
            PlaneEvent::Acquire { trap, .. } => {
                let mut names = trap.split(SEPARATOR);
                if let (Some(connection), Some(child)) = (names.next(), names.next()) {
                    self.mailbox.send(Message::Acquire {
                        connection: connection.to_owned(),
                        child: child.to_owned(),
                    });
                }
            }
            PlaneEvent::Expire { id, hard } => {
                self.mailbox.send(Message::Spent(ChildSaId(id), hard));
            }
            // The endpoint knows whether the peer may be elsewhere, and what else is there then.
            PlaneEvent::MappingChanged { id, remote } => {
                self.mailbox.send(Message::Moved(ChildSaId(id), remote));
            }
            PlaneEvent::Refused(refused) => {
                let Some(why) = reason(refused.refusal) else {
                    return;
                };
                let dropped = PacketDropped {
                    why,
                    remote: refused.remote,
                    spi: refused.spi,
                };
                let of = refused.id.and_then(|id| self.of.get(&id));
                let connection = of.map(|(_, connection)| connection.clone());
                self.mailbox.send(Message::Dropped(dropped, connection));
            }
            PlaneEvent::RefusedMore(refusal, count) => {
                if let Some(why) = reason(refusal) {
                    self.mailbox.send(Message::DroppedMore(why, count));
                }
            }
            PlaneEvent::Lost(why) => {
                let name = self.planes.get(&plane).map_or("", |plane| plane.name());
                super::say(&format!("data plane \"{name}\": {why}"));
            }
        }
    }
}

/// Why a packet was dropped, as events have it. For what is wrong inside of an authentic packet there is none.
fn reason(refusal: Refusal) -> Option<DropReason> {
    match refusal {
        Refusal::NotAuthentic => Some(DropReason::Integrity),
        Refusal::Replayed => Some(DropReason::Replay),
        Refusal::TooOld => Some(DropReason::TooOld),
        Refusal::UnknownSpi => Some(DropReason::UnknownSpi),
        Refusal::ClearText => Some(DropReason::ClearText),
        Refusal::Selectors | Refusal::Malformed => None,
    }
}

/// Between the names of a connection and a child, neither of which can hold it, and the trap's number.
const SEPARATOR: char = '/';

/// What waits for a child's traffic between two hosts. The number makes its name one that no other trap has.
pub fn trap(
    connection: &Connection,
    child: &Child,
    (local, remote): (SocketAddr, SocketAddr),
    number: u64,
) -> Trap {
    let protocol = child
        .proposals
        .first()
        .map_or(crypto::esp::Protocol::Esp, |proposal| proposal.protocol);
    let side = |side: &[keying::SelectorConfig], own: SocketAddr| {
        side.iter()
            .map(|config| selector(&config.resolve(own.ip())))
            .collect()
    };
    let (connection, child_name) = (&connection.name, &child.name);
    Trap {
        name: format!("{connection}{SEPARATOR}{child_name}{SEPARATOR}{number}"),
        protocol,
        mode: mode(child.mode),
        compress: child.compress,
        local: local.ip(),
        remote: remote.ip(),
        local_selectors: side(&child.local, local),
        remote_selectors: side(&child.remote, remote),
        mark: child.mark,
        interface_id: child.interface_id,
    }
}

fn selector(selector: &Selector) -> dataplane::Selector {
    dataplane::Selector {
        first: selector.first,
        last: selector.last,
        protocol: selector.protocol,
        port: selector.port,
    }
}

fn mode(mode: Mode) -> dataplane::Mode {
    match mode {
        Mode::Tunnel => dataplane::Mode::Tunnel,
        Mode::Transport => dataplane::Mode::Transport,
    }
}

/// A child SA in the planes' terms, with what the configuration says beside the negotiation.
fn converted(sa: &keying::ChildSa, child: Option<&Child>) -> dataplane::ChildSa {
    let half = |keys: &keying::ChildKeys| Half {
        spi: keys.spi,
        encryption: keys.encryption.clone(),
        integrity: keys.integrity.clone(),
    };
    dataplane::ChildSa {
        id: sa.id.0,
        protocol: sa.suite.protocol,
        mode: mode(sa.mode),
        local: sa.local.ip(),
        remote: sa.remote.ip(),
        encap: sa.udp_encap.then(|| UdpEncap {
            local_port: sa.local.port(),
            remote_port: sa.remote.port(),
        }),
        cipher: sa.suite.cipher,
        integrity: sa.suite.integrity,
        esn: sa.suite.esn,
        replay_window: sa.replay_window,
        inbound: half(&sa.inbound),
        outbound: half(&sa.outbound),
        cpis: sa.cpis.map(|cpis| Cpis {
            inbound: cpis.inbound,
            outbound: cpis.outbound,
        }),
        local_selector: selector(&sa.local_selector),
        remote_selector: selector(&sa.remote_selector),
        local_lan: sa
            .local_lan
            .iter()
            .filter_map(|net| selector(net).as_subnet())
            .collect(),
        limits: Limits {
            soft_bytes: sa.soft_bytes,
            hard_bytes: sa.hard_bytes,
            soft_packets: sa.soft_packets,
            hard_packets: sa.hard_packets,
        },
        mark: child.and_then(|child| child.mark),
        interface_id: child.and_then(|child| child.interface_id),
        replaces: sa.replaces.map(|id| id.0),
        take_over: match sa.role {
            Role::Initiator => UNTIL_IT_HAS,
            Role::Responder => UNTIL_IT_USES,
        },
    }
}
