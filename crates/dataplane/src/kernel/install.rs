//! Child SAs and traps, step by step into the kernel and out of it.

use std::collections::BTreeSet;
use std::time::Instant;

use crypto::Secret;
use crypto::esp::{EspCipher, EspIntegrity, Protocol};
use netlink_packet_xfrm::XfrmMessage;

use super::child::{Child, Trapped};
use super::claims::{Change, Owner};
use super::ledger::Entry;
use super::netlink::Failure;
use super::policy::{self, Breadth, PolicyKey, Template};
use super::route::Between;
use super::state::{self, Direction, StateKey};
use super::{Kernel, events};
use crate::{ChildSa, Half, Mode, PlaneError, Trap};

impl Kernel {
    fn add_state(
        &mut self,
        sa: &ChildSa,
        direction: Direction,
        child: &Child,
    ) -> Result<(), PlaneError> {
        let key = state::key(sa, direction);
        let request = state::add(sa, direction, child.reqid, child.bound(direction));
        let Err(failure) = self.try_state(key, child.reqid, request)? else {
            return Ok(());
        };
        Err(match failure.errno() {
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

    /// Lists a state and asks the kernel for it. What it refuses is off the list again, and is for the caller to put
    /// into words, unless another state has its name.
    fn try_state(
        &mut self,
        key: StateKey,
        reqid: u32,
        request: XfrmMessage,
    ) -> Result<Result<(), Failure>, PlaneError> {
        let entry = Entry::State { key, reqid };
        self.ledger.add(entry)?;
        let Err(failure) = self.xfrm.request(request, 0) else {
            return Ok(Ok(()));
        };
        self.ledger.remove(&entry)?;
        if failure.errno() == Some(libc::EEXIST) {
            return Err(PlaneError::SpiTaken {
                spi: key.spi,
                destination: key.destination,
            });
        }
        Ok(Err(failure))
    }

    /// The states of one direction: of IPComp, and the one that protects.
    pub(super) fn add_states(
        &mut self,
        sa: &ChildSa,
        direction: Direction,
        child: &Child,
    ) -> Result<(), PlaneError> {
        let ipcomp = child.ipcomp().find(|(found, _)| *found == direction);
        if let Some((_, key)) = ipcomp {
            self.add_ipcomp(&key, direction, child)?;
        }
        self.add_state(sa, direction, child)
    }

    fn add_ipcomp(
        &mut self,
        key: &StateKey,
        direction: Direction,
        child: &Child,
    ) -> Result<(), PlaneError> {
        let request = state::add_ipcomp(child, key, direction);
        let Err(failure) = self.try_state(*key, child.reqid, request)? else {
            return Ok(());
        };
        Err(match failure.errno() {
            Some(libc::EPROTONOSUPPORT | libc::ENOSYS | libc::ENOENT) => PlaneError::NoProtocol {
                protocol: "IPComp",
                modules: "ipcomp, ipcomp6, deflate",
            },
            _ => failure.during("installing IPComp"),
        })
    }

    /// Whether the kernel has ESP, though not an SA's algorithms: tries with the ones that everybody has.
    pub(super) fn has_esp(
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
    pub(super) fn apply(
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

    pub(super) fn claim(
        &mut self,
        key: &PolicyKey,
        owner: &Owner,
        breadth: Breadth,
        template: Template,
    ) -> Result<(), PlaneError> {
        self.claim_behind(key, owner, breadth, template, None)
    }

    fn claim_behind(
        &mut self,
        key: &PolicyKey,
        owner: &Owner,
        breadth: Breadth,
        template: Template,
        behind: Option<&Owner>,
    ) -> Result<(), PlaneError> {
        let (reqid, before) = (self.claims.reqid(key), self.claims.before(key));
        let change = match behind {
            Some(behind) => {
                self.claims
                    .claim_behind(*key, owner.clone(), breadth, template, behind)
            }
            None => self.claims.claim(*key, owner.clone(), breadth, template),
        };
        let applied = self.apply(key, change, reqid);
        if applied.is_err() {
            // Or it would be released, and with it what is somebody else's.
            self.claims.restore(*key, before);
        }
        applied
    }

    pub(super) fn release(&mut self, key: &PolicyKey, owner: &Owner) -> Result<(), PlaneError> {
        let before = self.claims.reqid(key);
        let change = self.claims.release(key, owner);
        self.apply(key, change, before)
    }

    /// Those of what is there for the same traffic, or new ones: policies for incoming packets must take
    /// what any of them sends.
    pub(super) fn reqid_for(
        &mut self,
        replaces: Option<u64>,
        breadth: Breadth,
        policies: &[PolicyKey],
    ) -> u32 {
        let inherited = replaces.and_then(|id| Some(self.children.get(&id)?.reqid));
        let of = |key| self.claims.reqid_of(key, breadth);
        let shared = || policies.iter().find_map(of);
        if let Some(reqid) = inherited.or_else(shared) {
            return reqid;
        }
        let children = self.children.values().chain(self.expected.values());
        let children = children.map(|child| child.reqid);
        let used: BTreeSet<u32> = children
            .chain(self.traps.values().flatten().map(|pair| pair.reqid))
            .collect();
        loop {
            self.next_reqid = self.next_reqid.wrapping_add(1).max(1);
            if !used.contains(&self.next_reqid) {
                return self.next_reqid;
            }
        }
    }

    /// `expected`: it receives already.
    pub(super) fn install_child(
        &mut self,
        sa: &ChildSa,
        child: &Child,
        expected: bool,
    ) -> Result<(), PlaneError> {
        // Incoming first: the peer may already send.
        if !expected {
            self.add_states(sa, Direction::In, child)?;
        }
        self.add_states(sa, Direction::Out, child)?;
        let owner = Owner::Child(sa.id);
        let before = sa.replaces.filter(|id| self.children.contains_key(id));
        if let Some(before) = before {
            // Whoever has agreed to this one had that one.
            self.take_over(before)?;
            self.waiting.insert(sa.id, Instant::now() + sa.take_over);
        }
        let behind = before.map(Owner::Child);
        // In the order of the keys: out comes last, when the way back is ready.
        for key in &child.policies {
            let (breadth, template) = (child.breadth(), child.template(key.path));
            self.claim_behind(key, &owner, breadth, template, behind.as_ref())?;
        }
        self.add_routes(&owner, child)
    }

    /// What is sent goes by this child SA from now on.
    pub(super) fn take_over(&mut self, id: u64) -> Result<(), PlaneError> {
        let waited = self.waiting.remove(&id).is_some();
        let policies = self.children.get(&id).filter(|_| waited);
        let policies = policies.map_or(Vec::new(), |child| child.policies.clone());
        let mut result = Ok(());
        for key in &policies {
            let before = self.claims.reqid(key);
            let change = self.claims.raise(key, &Owner::Child(id));
            result = result.and(self.apply(key, change, before));
        }
        result
    }

    /// Whether something has come by a child SA; also where the kernel does not tell.
    pub(super) fn heard(&mut self, id: u64) -> bool {
        let Some(inbound) = self.children.get(&id).map(|child| child.inbound) else {
            return true;
        };
        match self.state(&inbound) {
            Ok(Some((info, _))) => info.lifetime_cur.packets > 0,
            Ok(None) | Err(_) => true,
        }
    }

    pub(super) fn add_routes(&mut self, owner: &Owner, child: &Child) -> Result<(), PlaneError> {
        // What a mark or an interface leads to the SA is routed by whoever set them.
        if child.mode == Mode::Transport || child.mark.is_some() || child.interface_id.is_some() {
            return Ok(());
        }
        self.routes.add(
            &mut self.ledger,
            owner,
            Between {
                local: &child.local_selector,
                remote: &child.remote_selector,
                local_lan: &child.local_lan,
            },
            child.remote,
        )
    }

    pub(super) fn remove_child(&mut self, id: u64, child: &Child) -> Result<(), PlaneError> {
        let owner = Owner::Child(id);
        self.waiting.remove(&id);
        let mut result = Ok(());
        for key in child.policies.iter().rev() {
            result = result.and(self.release(key, &owner));
        }
        let ipcomp = child.ipcomp().map(|(_, key)| key);
        for key in [child.outbound, child.inbound].into_iter().chain(ipcomp) {
            if self.ledger.has(&Entry::State {
                key,
                reqid: child.reqid,
            }) {
                result = result.and(self.delete_state(&key, child.reqid));
            }
        }
        result = result.and(self.routes.release(&mut self.ledger, &owner));
        events::locked(&self.index).remove(id);
        result
    }

    pub(super) fn remove_trap(&mut self, name: &str, trap: &[Trapped]) -> Result<(), PlaneError> {
        let owner = Owner::Trap(name.to_owned());
        let mut result = Ok(());
        for key in trap.iter().flat_map(|pair| &pair.policies).rev() {
            result = result.and(self.release(key, &owner));
        }
        result = result.and(self.routes.release(&mut self.ledger, &owner));
        events::locked(&self.index).remove_trap(name);
        result
    }

    pub(super) fn install_trap(
        &mut self,
        trap: &Trap,
        trapped: &[Trapped],
    ) -> Result<(), PlaneError> {
        let owner = Owner::Trap(trap.name.clone());
        for pair in trapped {
            for key in &pair.policies {
                self.claim(key, &owner, pair.breadth, pair.template(trap, key.path))?;
            }
        }
        if trap.mode == Mode::Transport || trap.mark.is_some() || trap.interface_id.is_some() {
            return Ok(());
        }
        for local in &trap.local_selectors {
            for remote in &trap.remote_selectors {
                if local.first.is_ipv4() == remote.first.is_ipv4() {
                    let between = Between {
                        local,
                        remote,
                        local_lan: &[],
                    };
                    self.routes
                        .add(&mut self.ledger, &owner, between, trap.remote)?;
                }
            }
        }
        Ok(())
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
