//! The kernel's own IPsec, through XFRM netlink.
//!
//! A child SA is two states (SAs, in the kernel's word) and, for each pair of subnets of its two sides,
//! a policy out, in and, for tunnels, forward. An outgoing policy names the one state it uses, so that a
//! replacement takes over in the moment that the policy is updated; the incoming ones take any state with
//! their `reqid`, which a replacement inherits, so that both receive until the old one is removed.
//!
//! What is in the kernel because of us stands in a file, the state file, before the kernel is asked for it.
//! The next start removes what a crash left behind, and nothing else: a state or policy is ours only when
//! it has the `reqid` that the file says.

mod claims;
mod events;
pub(crate) mod ledger;
mod moving;
pub(crate) mod netlink;
mod policy;
pub(crate) mod route;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crypto::Secret;
use crypto::esp::{EspCipher, EspIntegrity, Protocol};
use netlink_packet_xfrm::state::GetSadInfoMessage;
use netlink_packet_xfrm::{Stats, UserSaInfo, XfrmAttrs, XfrmMessage};
use netlink_sys::protocols::NETLINK_XFRM;

use claims::{Change, Claims, Owner};
use events::{Index, Listener, Name};
use ledger::{Entry, Ledger};
use netlink::{Failure, Netlink};
use policy::{Path, PolicyKey, Template};
pub use route::RouteTable;
use route::Routes;
use state::{Direction, StateKey};

use crate::{
    ChildSa, Counters, Flow, Half, Mark, Mode, Plane, PlaneError, PlaneEvent, Selector, Trap,
    UdpEncap,
};

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
    traps: BTreeMap<String, Trapped>,
    index: Arc<Mutex<Index>>,
    next_reqid: u32,
    /// Dropped last: it may still wait for the index.
    _listener: Listener,
}

/// What is kept of a child SA. No keys.
#[derive(Clone, Debug)]
struct Child {
    protocol: Protocol,
    mode: Mode,
    local: IpAddr,
    remote: IpAddr,
    encap: Option<UdpEncap>,
    inbound: StateKey,
    outbound: StateKey,
    local_selector: Selector,
    remote_selector: Selector,
    mark: Option<Mark>,
    interface_id: Option<u32>,
    reqid: u32,
    policies: Vec<PolicyKey>,
}

#[derive(Clone, Debug)]
struct Trapped {
    reqid: u32,
    policies: Vec<PolicyKey>,
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
    /// Removes what the list holds, policies first: a policy without its states keeps packets from
    /// leaving. Also what the list alone still has.
    fn remove_left_behind(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        let mut entries = self.ledger.entries();
        entries.sort_by_key(|entry| match entry {
            Entry::Route(_) => 0,
            Entry::Rule(_) => 1,
            Entry::Policy { .. } => 2,
            Entry::State { .. } => 3,
        });
        for entry in entries {
            result = result.and(self.remove_entry(&entry));
        }
        result
    }

    fn remove_entry(&mut self, entry: &Entry) -> Result<(), PlaneError> {
        match entry {
            Entry::Policy { key, reqid } if self.is_our_policy(key, *reqid)? => {
                self.delete_policy(key, *reqid)
            }
            Entry::State { key, reqid } if self.is_our_state(key, *reqid)? => {
                self.delete_state(key, *reqid)
            }
            Entry::Policy { .. } | Entry::State { .. } => self.ledger.remove(entry),
            Entry::Route(_) | Entry::Rule(_) => self.routes.remove(&mut self.ledger, entry),
        }
    }

    fn is_our_policy(&mut self, key: &PolicyKey, reqid: u32) -> Result<bool, PlaneError> {
        match self.xfrm.request(policy::get(key), 0) {
            Ok(answers) => Ok(answers.iter().any(|answer| match &answer.0 {
                XfrmMessage::AddPolicy(found) => policy::reqid(&found.nlas) == Some(reqid),
                _ => false,
            })),
            Err(failure) if failure.errno() == Some(libc::ENOENT) => Ok(false),
            Err(failure) => Err(failure.during("looking for an IPsec policy")),
        }
    }

    fn is_our_state(&mut self, key: &StateKey, reqid: u32) -> Result<bool, PlaneError> {
        match self.state(key) {
            Ok(found) => Ok(found.is_some_and(|(info, _)| info.reqid == reqid)),
            Err(failure) => Err(failure.during("looking for an IPsec SA")),
        }
    }

    /// What the kernel says of a state; nothing when there is none. Not its keys.
    fn state(
        &mut self,
        key: &StateKey,
    ) -> Result<Option<(UserSaInfo, Option<SystemTime>)>, Failure> {
        let answers = match self.xfrm.request(state::get(key), 0) {
            Ok(answers) => answers,
            Err(failure) if failure.errno() == Some(libc::ESRCH) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(answers.iter().find_map(|answer| match &answer.0 {
            XfrmMessage::AddSa(found) => {
                let seconds = found.nlas.iter().find_map(|attribute| match attribute {
                    XfrmAttrs::LastUsed(seconds) => Some(*seconds),
                    _ => None,
                });
                // The kernel tells the last use in newer versions, the first in all.
                let seconds = seconds.unwrap_or(found.user_sa_info.lifetime_cur.use_time);
                let used =
                    (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
                Some((found.user_sa_info, used))
            }
            _ => None,
        }))
    }

    fn delete_state(&mut self, key: &StateKey, reqid: u32) -> Result<(), PlaneError> {
        match self.xfrm.request(state::delete(key), 0) {
            // A hard limit has deleted it already.
            Err(failure) if failure.errno() != Some(libc::ESRCH) => {
                Err(failure.during("removing an IPsec SA"))
            }
            _ => self.ledger.remove(&Entry::State { key: *key, reqid }),
        }
    }

    fn delete_policy(&mut self, key: &PolicyKey, reqid: u32) -> Result<(), PlaneError> {
        match self.xfrm.request(policy::delete(key), 0) {
            Err(failure) if failure.errno() != Some(libc::ENOENT) => {
                Err(failure.during("removing an IPsec policy"))
            }
            _ => self.ledger.remove(&Entry::Policy { key: *key, reqid }),
        }
    }

    fn add_state(
        &mut self,
        sa: &ChildSa,
        direction: Direction,
        child: &Child,
    ) -> Result<(), PlaneError> {
        let key = state::key(sa, direction);
        let bound = child.policies.iter().filter(|policy| match direction {
            Direction::In => policy.path == Path::In,
            Direction::Out => policy.path == Path::Out,
        });
        // A state has room for one pair of subnets; with more, the policies alone say what it carries.
        let bound: Vec<&PolicyKey> = bound.collect();
        let selector = (bound.len() == 1).then(|| bound[0]);
        let entry = Entry::State {
            key,
            reqid: child.reqid,
        };
        self.ledger.add(entry)?;
        let request = state::add(sa, direction, child.reqid, selector);
        let Err(failure) = self.xfrm.request(request, 0) else {
            return Ok(());
        };
        self.ledger.remove(&entry)?;
        Err(match failure.errno() {
            Some(libc::EEXIST) => PlaneError::SpiTaken {
                spi: key.spi,
                destination: key.destination,
            },
            Some(libc::EPROTONOSUPPORT) => no_protocol(sa.protocol),
            // A kernel without ESP does not have ESP's algorithms either, and misses them first.
            Some(libc::ENOSYS | libc::ENOENT) if !self.has_esp(sa, direction, child)? => {
                no_protocol(Protocol::Esp)
            }
            Some(libc::ENOSYS | libc::ENOENT) => PlaneError::NoAlgorithm {
                algorithms: algorithms(sa),
            },
            _ => failure.during("installing an IPsec SA"),
        })
    }

    /// Whether the kernel has ESP, though not an SA's algorithms: tries with the ones that everybody has.
    fn has_esp(
        &mut self,
        sa: &ChildSa,
        direction: Direction,
        child: &Child,
    ) -> Result<bool, PlaneError> {
        if sa.protocol != Protocol::Esp {
            return Ok(true);
        }
        let integrity = EspIntegrity::HmacSha1;
        let half = Half {
            spi: direction.half(sa).spi,
            encryption: Secret::new(Vec::new()),
            integrity: Secret::new(crypto::random(integrity.row().key_len)?),
        };
        let plain = ChildSa {
            cipher: Some(EspCipher::Null),
            integrity: Some(integrity),
            inbound: half.clone(),
            outbound: half,
            ..sa.clone()
        };
        let key = state::key(sa, direction);
        let entry = Entry::State {
            key,
            reqid: child.reqid,
        };
        self.ledger.add(entry)?;
        let request = state::add(&plain, direction, child.reqid, None);
        match self.xfrm.request(request, 0) {
            Ok(_) => self.delete_state(&key, child.reqid).map(|()| true),
            Err(failure) => {
                self.ledger.remove(&entry)?;
                Ok(failure.errno() != Some(libc::EPROTONOSUPPORT))
            }
        }
    }

    /// Does in the kernel what a claim has changed.
    fn apply(
        &mut self,
        key: &PolicyKey,
        change: Change,
        before: Option<u32>,
    ) -> Result<(), PlaneError> {
        const DOING: &str = "installing an IPsec policy";
        match change {
            Change::Nothing => Ok(()),
            Change::Delete => self.delete_policy(key, before.unwrap_or_default()),
            Change::Add(template) => {
                let entry = Entry::Policy {
                    key: *key,
                    reqid: template.reqid,
                };
                self.ledger.add(entry)?;
                let Err(failure) = self.xfrm.request(policy::add(key, &template), 0) else {
                    return Ok(());
                };
                self.ledger.remove(&entry)?;
                Err(match failure.errno() {
                    Some(libc::EEXIST) => PlaneError::PolicyTaken {
                        policy: key.shown(),
                    },
                    _ => failure.during(DOING),
                })
            }
            Change::Update(template) => {
                let entry = Entry::Policy {
                    key: *key,
                    reqid: template.reqid,
                };
                self.ledger.add(entry)?;
                let updated = self.xfrm.request(policy::update(key, &template), 0);
                updated.map_err(|failure| failure.during(DOING))?;
                match before {
                    Some(before) if before != template.reqid => {
                        self.ledger.remove(&Entry::Policy {
                            key: *key,
                            reqid: before,
                        })
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn claim(
        &mut self,
        key: &PolicyKey,
        owner: &Owner,
        template: Template,
    ) -> Result<(), PlaneError> {
        let (reqid, before) = (self.claims.reqid(key), self.claims.before(key));
        let change = self.claims.claim(*key, owner.clone(), template);
        let applied = self.apply(key, change, reqid);
        if applied.is_err() {
            // Or it would be released, and with it what is somebody else's.
            self.claims.restore(*key, before);
        }
        applied
    }

    fn release(&mut self, key: &PolicyKey, owner: &Owner) -> Result<(), PlaneError> {
        let before = self.claims.reqid(key);
        let change = self.claims.release(key, owner);
        self.apply(key, change, before)
    }

    /// Those of what is there for the same traffic, or new ones: policies for incoming packets must take
    /// what any of them sends.
    fn reqid_for(&mut self, replaces: Option<u64>, policies: &[PolicyKey]) -> u32 {
        let inherited = replaces.and_then(|id| Some(self.children.get(&id)?.reqid));
        let shared = || policies.iter().find_map(|key| self.claims.reqid(key));
        if let Some(reqid) = inherited.or_else(shared) {
            return reqid;
        }
        let children = self.children.values().map(|child| child.reqid);
        let used: std::collections::BTreeSet<u32> = children
            .chain(self.traps.values().map(|trap| trap.reqid))
            .collect();
        loop {
            self.next_reqid = self.next_reqid.wrapping_add(1).max(1);
            if !used.contains(&self.next_reqid) {
                return self.next_reqid;
            }
        }
    }

    fn install_child(&mut self, sa: &ChildSa, child: &Child) -> Result<(), PlaneError> {
        // Incoming first: the peer may already send.
        self.add_state(sa, Direction::In, child)?;
        self.add_state(sa, Direction::Out, child)?;
        let owner = Owner::Child(sa.id);
        // In the order of the keys: out comes last, when the way back is ready.
        for key in &child.policies {
            self.claim(key, &owner, child.template(key.path))?;
        }
        self.add_routes(&owner, child)
    }

    fn add_routes(&mut self, owner: &Owner, child: &Child) -> Result<(), PlaneError> {
        // What a mark or an interface leads to the SA is routed by whoever set them.
        if child.mode == Mode::Transport || child.mark.is_some() || child.interface_id.is_some() {
            return Ok(());
        }
        self.routes.add(
            &mut self.ledger,
            owner,
            &child.local_selector,
            &child.remote_selector,
            child.remote,
        )
    }

    fn remove_child(&mut self, id: u64, child: &Child) -> Result<(), PlaneError> {
        let owner = Owner::Child(id);
        let mut result = Ok(());
        for key in child.policies.iter().rev() {
            result = result.and(self.release(key, &owner));
        }
        for key in [&child.outbound, &child.inbound] {
            if self.ledger.has(&Entry::State {
                key: *key,
                reqid: child.reqid,
            }) {
                result = result.and(self.delete_state(key, child.reqid));
            }
        }
        result = result.and(self.routes.release(&mut self.ledger, &owner));
        events::locked(&self.index).remove(id);
        result
    }

    fn remove_trap(&mut self, name: &str, trap: &Trapped) -> Result<(), PlaneError> {
        let owner = Owner::Trap(name.to_owned());
        let mut result = Ok(());
        for key in trap.policies.iter().rev() {
            result = result.and(self.release(key, &owner));
        }
        result = result.and(self.routes.release(&mut self.ledger, &owner));
        events::locked(&self.index).remove_trap(name);
        result
    }

    fn remove_all(&mut self) -> Result<(), PlaneError> {
        let mut result = Ok(());
        for (id, child) in std::mem::take(&mut self.children) {
            result = result.and(self.remove_child(id, &child));
        }
        for (name, trap) in std::mem::take(&mut self.traps) {
            result = result.and(self.remove_trap(&name, &trap));
        }
        // The rules, and whatever could not be removed the first time.
        result.and(self.remove_left_behind())
    }
}

impl Child {
    fn new(sa: &ChildSa) -> Result<Self, PlaneError> {
        let (local, remote) = (&sa.local_selector, &sa.remote_selector);
        Ok(Self {
            protocol: sa.protocol,
            mode: sa.mode,
            local: sa.local,
            remote: sa.remote,
            encap: sa.encap,
            inbound: state::key(sa, Direction::In),
            outbound: state::key(sa, Direction::Out),
            local_selector: *local,
            remote_selector: *remote,
            mark: sa.mark,
            interface_id: sa.interface_id,
            reqid: 0,
            policies: policy::keys(local, remote, sa.mode, sa.mark, sa.interface_id)?,
        })
    }

    fn template(&self, path: Path) -> Template {
        let direction = match path {
            Path::Out => Direction::Out,
            Path::In | Path::Forward => Direction::In,
        };
        let (source, destination) = direction.of(self.local, self.remote);
        Template {
            source,
            destination,
            protocol: state::ip_protocol(self.protocol),
            mode: self.mode,
            spi: match direction {
                Direction::Out => self.outbound.spi,
                Direction::In => 0,
            },
            reqid: self.reqid,
        }
    }

    fn names(&self) -> [Name; 2] {
        [&self.inbound, &self.outbound].map(|key| Name {
            destination: key.destination,
            protocol: key.protocol,
            spi: key.spi,
        })
    }
}

fn no_protocol(protocol: Protocol) -> PlaneError {
    PlaneError::NoProtocol {
        protocol: protocol.name(),
        modules: match protocol {
            Protocol::Esp => "esp4, esp6",
            Protocol::Ah => "ah4, ah6",
        },
    }
}

fn algorithms(sa: &ChildSa) -> String {
    let cipher = sa.cipher.map(|cipher| cipher.row().name);
    let integrity = sa.integrity.map(|integrity| integrity.row().name);
    let names: Vec<&str> = cipher.into_iter().chain(integrity).collect();
    names.join(" with ")
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
        let mut child = Child::new(sa)?;
        child.reqid = self.reqid_for(sa.replaces, &child.policies);
        for name in child.names() {
            events::locked(&self.index).add(name, sa.id);
        }
        let installed = self.install_child(sa, &child);
        if installed.is_err() {
            // The first error is the one to tell; what cannot be undone stays on the list.
            let _ = self.remove_child(sa.id, &child);
        } else {
            self.children.insert(sa.id, child);
        }
        installed
    }

    fn remove(&mut self, id: u64) -> Result<(), PlaneError> {
        let child = self.children.remove(&id).ok_or(PlaneError::NoSuchSa(id))?;
        self.remove_child(id, &child)
    }

    fn trap(&mut self, trap: &Trap) -> Result<(), PlaneError> {
        if self.traps.contains_key(&trap.name) {
            return Err(PlaneError::AlreadyInstalled(format!(
                "trap '{}'",
                trap.name
            )));
        }
        let policies = policy::trap_keys(trap)?;
        let reqid = self.reqid_for(None, &policies);
        let trapped = Trapped { reqid, policies };
        events::locked(&self.index).add_trap(reqid, trap.name.clone());
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
            let (info, last_used) = found.ok_or(PlaneError::NoSuchSa(id))?;
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

impl Kernel {
    fn install_trap(&mut self, trap: &Trap, trapped: &Trapped) -> Result<(), PlaneError> {
        let owner = Owner::Trap(trap.name.clone());
        for key in &trapped.policies {
            let direction = match key.path {
                Path::Out => Direction::Out,
                Path::In | Path::Forward => Direction::In,
            };
            let (source, destination) = direction.of(trap.local, trap.remote);
            let template = Template {
                source,
                destination,
                protocol: state::ip_protocol(trap.protocol),
                mode: trap.mode,
                spi: 0,
                reqid: trapped.reqid,
            };
            self.claim(key, &owner, template)?;
        }
        if trap.mode == Mode::Transport || trap.mark.is_some() || trap.interface_id.is_some() {
            return Ok(());
        }
        for local in &trap.local_selectors {
            for remote in &trap.remote_selectors {
                if local.first.is_ipv4() == remote.first.is_ipv4() {
                    self.routes
                        .add(&mut self.ledger, &owner, local, remote, trap.remote)?;
                }
            }
        }
        Ok(())
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
