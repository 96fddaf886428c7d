//! The kernel's own IPsec, through XFRM netlink.
//!
//! A child SA is two states (SAs, in the kernel's word), with IPComp two more, and, for each pair of subnets of its two sides,
//! a policy out, in and, for tunnels, forward. An outgoing policy names the one state it uses, so that a
//! replacement takes over in the moment that the policy is updated, which is when the peer has it; the incoming
//! ones take any state with their `reqid`, which a replacement inherits, so that both receive until the old one
//! is removed.
//!
//! What is in the kernel because of us stands in a file, the state file, before the kernel is asked for it.
//! The next start removes what a crash left behind, and nothing else: a state or policy is ours only when
//! it has the `reqid` that the file says.

mod child;
mod claims;
mod events;
mod install;
pub(crate) mod ledger;
mod moving;
pub(crate) mod netlink;
pub(crate) mod policy;
mod recovery;
pub(crate) mod route;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netlink_packet_xfrm::state::GetSadInfoMessage;
use netlink_packet_xfrm::{Stats, XfrmMessage};
use netlink_sys::protocols::NETLINK_XFRM;

use child::{Child, Trapped};
use claims::Claims;
use events::{Index, Listener};
use ledger::{Entry, Ledger};
use netlink::{Failure, Netlink};
pub use route::RouteTable;
use route::Routes;
use state::{Direction, StateKey};

use crate::{ChildSa, Counters, Flow, Plane, PlaneError, PlaneEvent, Trap};

/// How often the kernel is asked whether something has come by a replacement: it does not tell by itself.
const LISTEN_AGAIN: Duration = Duration::from_millis(50);

/// How the kernel's plane is set up.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// The list of what is installed. Made when it is not there; it must outlive the process, and one
    /// process alone may have it.
    pub state_file: PathBuf,
    /// Where routes for this host's own packets go; `None`: routes are the operator's.
    pub routes: Option<RouteTable>,
}

impl KernelOptions {
    /// With routes in the usual table.
    pub fn new(state_file: impl Into<PathBuf>) -> Self {
        Self {
            state_file: state_file.into(),
            routes: Some(RouteTable::default()),
        }
    }
}

/// Child SAs in the kernel. What it has installed goes when it is dropped, too.
pub struct Kernel {
    xfrm: Netlink<XfrmMessage>,
    routes: Routes,
    ledger: Ledger<Entry>,
    claims: Claims,
    children: BTreeMap<u64, Child>,
    /// Those that only receive as yet.
    expected: BTreeMap<u64, Child>,
    /// Replacements that do not send as yet, until when.
    waiting: BTreeMap<u64, Instant>,
    traps: BTreeMap<String, Vec<Trapped>>,
    index: Arc<Mutex<Index>>,
    next_reqid: u32,
    /// Dropped last: it may still wait for the index.
    _listener: Listener,
}

/// Opens the kernel's plane: removes what a crash has left behind, and begins to listen.
///
/// `events` is called on a thread of the plane's own, which closing the plane waits for: it must not itself
/// wait for whoever has the plane. Network namespace and privilege (`CAP_NET_ADMIN`)
/// are those of the calling thread.
///
/// # Errors
/// [`PlaneError::NoXfrm`], [`PlaneError::NotPermitted`], [`PlaneError::StateFileInUse`] and
/// [`PlaneError::StateFile`]; also when what was left behind cannot be removed.
pub fn kernel(
    options: &KernelOptions,
    events: impl Fn(PlaneEvent) + Send + 'static,
) -> Result<Kernel, PlaneError> {
    const DOING: &str = "opening the kernel's IPsec";
    let socket = |error: io::Error| match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => PlaneError::NoXfrm,
        _ => Failure::Socket(error).during(DOING),
    };
    let mut xfrm = Netlink::open(NETLINK_XFRM).map_err(socket)?;
    // Everybody may open the socket. This question needs the privilege, and changes nothing.
    let question = XfrmMessage::GetSadInfo(GetSadInfoMessage::default());
    xfrm.request(question, 0)
        .map_err(|failure| failure.during(DOING))?;
    let ledger = Ledger::open(&options.state_file)?;
    let index = Arc::new(Mutex::new(Index::default()));
    let listener = events::listen(Arc::clone(&index), events).map_err(socket)?;
    let mut kernel = Kernel {
        xfrm,
        routes: Routes::open(options.routes).map_err(socket)?,
        ledger,
        claims: Claims::default(),
        children: BTreeMap::new(),
        expected: BTreeMap::new(),
        waiting: BTreeMap::new(),
        traps: BTreeMap::new(),
        index,
        next_reqid: first_reqid()?,
        _listener: listener,
    };
    kernel.remove_left_behind()?;
    Ok(kernel)
}

/// Far above the small numbers that operators and other daemons begin with, and another one each time: what
/// the kernel still holds for an earlier life must not be taken for ours.
fn first_reqid() -> Result<u32, PlaneError> {
    let random = crypto::random(2)?;
    let random = random
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte));
    Ok(0x4000_0000 | random << 12)
}

impl Kernel {
    /// What is to be kept of a child SA; events about it are its own from now on.
    fn new_child(&mut self, sa: &ChildSa) -> Result<Child, PlaneError> {
        let mut child = Child::new(sa)?;
        child.reqid = self.reqid_for(sa.replaces, child.breadth(), &child.policies);
        for name in child.names() {
            events::locked(&self.index).add(name, sa.id);
        }
        Ok(child)
    }

    fn remove_all(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        let expected = std::mem::take(&mut self.expected);
        for (id, child) in std::mem::take(&mut self.children)
            .into_iter()
            .chain(expected)
        {
            result = result.and(self.remove_child(id, &child));
        }
        for (name, trap) in std::mem::take(&mut self.traps) {
            result = result.and(self.remove_trap(&name, &trap));
        }
        // The rules, and whatever could not be removed the first time.
        result.and(self.remove_left_behind())
    }
}

impl Plane for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn install(&mut self, sa: &ChildSa) -> Result<(), PlaneError> {
        sa.check()?;
        if self.children.contains_key(&sa.id) {
            return Err(PlaneError::AlreadyInstalled(format!("child SA {}", sa.id)));
        }
        let mut expected = self.expected.remove(&sa.id);
        if let Some(child) = expected.take_if(|child| !child.is_between_ends_of(sa)) {
            // The peer has moved since: nothing of it would find the states that wait for it.
            self.remove_child(sa.id, &child)?;
        }
        let receives = expected.is_some();
        let child = match expected {
            Some(child) => child,
            None => self.new_child(sa)?,
        };
        let installed = self.install_child(sa, &child, receives);
        if installed.is_err() {
            // The first error is the one to tell; what cannot be undone stays on the list.
            let _ = self.remove_child(sa.id, &child);
        } else {
            self.children.insert(sa.id, child);
        }
        installed
    }

    fn expect(&mut self, sa: &ChildSa) -> Result<bool, PlaneError> {
        sa.check()?;
        if self.children.contains_key(&sa.id) || self.expected.contains_key(&sa.id) {
            return Err(PlaneError::AlreadyInstalled(format!("child SA {}", sa.id)));
        }
        let child = self.new_child(sa)?;
        let added = self.add_states(sa, Direction::In, &child);
        if added.is_err() {
            let _ = self.remove_child(sa.id, &child);
        } else {
            self.expected.insert(sa.id, child);
        }
        added.map(|()| true)
    }

    fn tend(&mut self) -> Result<Option<Duration>, PlaneError> {
        let now = Instant::now();
        let mut result = Ok(());
        for (id, until) in self.waiting.clone() {
            if until <= now || self.heard(id) {
                result = result.and(self.take_over(id));
            }
        }
        result.map(|()| (!self.waiting.is_empty()).then_some(LISTEN_AGAIN))
    }

    fn remove(&mut self, id: u64) -> Result<(), PlaneError> {
        let child = self.children.remove(&id);
        let child = child.or_else(|| self.expected.remove(&id));
        self.remove_child(id, &child.ok_or(PlaneError::NoSuchSa(id))?)
    }

    fn trap(&mut self, trap: &Trap) -> Result<(), PlaneError> {
        if self.traps.contains_key(&trap.name) {
            return Err(PlaneError::AlreadyInstalled(format!(
                "trap '{}'",
                trap.name
            )));
        }
        let trapped: Vec<Trapped> = policy::trap_keys(trap)?
            .into_iter()
            .map(|(breadth, policies)| Trapped {
                reqid: self.reqid_for(None, breadth, &policies),
                breadth,
                policies,
            })
            .collect();
        let reqids = trapped.iter().map(|pair| pair.reqid).collect();
        events::locked(&self.index).add_trap(trap.name.clone(), reqids);
        let installed = self.install_trap(trap, &trapped);
        if installed.is_err() {
            let _ = self.remove_trap(&trap.name, &trapped);
        } else {
            self.traps.insert(trap.name.clone(), trapped);
        }
        installed
    }

    fn untrap(&mut self, name: &str) -> Result<(), PlaneError> {
        let missing = || PlaneError::NoSuchTrap(name.to_owned());
        let trap = self.traps.remove(name).ok_or_else(missing)?;
        self.remove_trap(name, &trap)
    }

    fn counters(&mut self, id: u64) -> Result<Counters, PlaneError> {
        let child = self.children.get(&id).ok_or(PlaneError::NoSuchSa(id))?;
        let (inbound, outbound) = (child.inbound, child.outbound);
        let mut flow = |key: &StateKey| -> Result<(Flow, Stats), PlaneError> {
            let found = self
                .state(key)
                .map_err(|f| f.during("counting what an IPsec SA carries"))?;
            // Where a hard limit has ended it, the next packet asks for another: a state that waits for keys, of the same
            // name. Only such have a number of their asking.
            let (info, last_used) = found
                .filter(|(info, _)| info.seq == 0)
                .ok_or(PlaneError::NoSuchSa(id))?;
            let flow = Flow {
                bytes: info.lifetime_cur.bytes,
                packets: info.lifetime_cur.packets,
                last_used,
            };
            Ok((flow, info.stats))
        };
        let (inbound, stats) = flow(&inbound)?;
        let (outbound, _) = flow(&outbound)?;
        Ok(Counters {
            inbound,
            outbound,
            replayed: u64::from(stats.replay_window) + u64::from(stats.replay),
            integrity_failures: u64::from(stats.integrity_failed),
            unfit: None,
        })
    }

    fn move_to(
        &mut self,
        id: u64,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), PlaneError> {
        self.move_child(id, local, remote)
    }

    fn close(mut self: Box<Self>) -> Result<(), PlaneError> {
        self.remove_all()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // Nobody is left to tell; what remains is on the list.
        let _ = self.remove_all();
    }
}

/// The bytes in a file of hexadecimal digits, whose first line says where they are from.
#[cfg(test)]
fn golden(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::bytes)
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
