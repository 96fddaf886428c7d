//! What must not come in unprotected (RFC 4301 section 5.2, step 3b): the kernel drops it, by policies of its IPsec
//! that protect nothing and let nothing pass. They do not count for what comes out of the TUN device (`disable_policy`);
//! networks that are excepted from the routes into the device pass.
//!
//! IP version 4 alone: of version 6 the kernel asks where a packet goes, not where it came from. There, and in a kernel
//! without IPsec, nothing is dropped, and it is for a firewall.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::XfrmMessage;
use netlink_packet_xfrm::constants::{XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK};
use netlink_packet_xfrm::policy::ModifyMessage;
use netlink_packet_xfrm::{UserPolicyInfo, XfrmAttrs};
use netlink_sys::protocols::NETLINK_XFRM;
use serde::{Deserialize, Serialize};

use super::ways::{Entry, Owner};
use crate::held::Held;
use crate::kernel::ledger::Ledger;
use crate::kernel::netlink::Netlink;
use crate::kernel::policy::{self, Path, PolicyKey};
use crate::{Mode, PlaneError, Selector};

/// The priority of what passes: before all that is blocked, the most specific of which has 137,088.
const PASSES: u32 = 130_000;
/// A policy of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Policy {
    key: PolicyKey,
    /// It lets pass.
    passes: bool,
}

/// Our policies, and for whom they are there.
pub(super) struct Shield {
    /// None: the kernel has no IPsec.
    xfrm: Option<Netlink<XfrmMessage>>,
    held: Held<Policy, Owner>,
}

impl Shield {
    pub(super) fn open() -> Self {
        Self {
            xfrm: Netlink::open(NETLINK_XFRM).ok(),
            held: Held::default(),
        }
    }

    /// Drops nothing from now on.
    pub(super) fn give_up(&mut self) {
        self.xfrm = None;
    }

    /// Whether anything is dropped at all.
    pub(super) fn works(&self) -> bool {
        self.xfrm.is_some()
    }

    /// Where what is dropped comes from.
    pub(super) fn sources(&self) -> impl Iterator<Item = IpNet> {
        let blocked = self.held.keys().filter(|policy| !policy.passes);
        blocked.map(|policy| policy.key.source)
    }

    /// From now on nothing comes in the clear from the remote side to the local one, but from networks that are
    /// excepted.
    pub(super) fn add(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
        local: &Selector,
        remote: &Selector,
        excepted: &BTreeSet<IpNet>,
    ) -> Result<(), PlaneError> {
        if !self.works() || local.first.is_ipv6() {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for key in policy::keys(local, remote, Mode::Tunnel, None, None)? {
            if key.path == Path::Out {
                continue;
            }
            for source in excepted.iter().filter(|net| key.source.contains(*net)) {
                let key = PolicyKey {
                    source: *source,
                    protocol: 0,
                    source_port: 0,
                    destination_port: 0,
                    ..key
                };
                wanted.push(Policy { key, passes: true });
            }
            wanted.push(Policy { key, passes: false });
        }
        wanted
            .into_iter()
            .try_for_each(|policy| self.hold(ledger, owner, policy))
    }

    fn hold(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
        policy: Policy,
    ) -> Result<(), PlaneError> {
        if self.held.share(policy, owner) {
            return Ok(());
        }
        let Some(xfrm) = &mut self.xfrm else {
            return Ok(());
        };
        ledger.add(Entry::Policy(policy))?;
        let request = XfrmMessage::AddPolicy(message(&policy));
        match xfrm.request(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => {
                self.held.insert(policy, owner);
                Ok(())
            }
            Err(failure) => {
                ledger.remove(&Entry::Policy(policy))?;
                // Another program has one for exactly this traffic: it says what becomes of it.
                if failure.errno() == Some(libc::EEXIST) {
                    return Ok(());
                }
                Err(failure.during("having the kernel drop what should be protected"))
            }
        }
    }

    /// Removes the policies that are there for nobody else.
    pub(super) fn release(
        &mut self,
        ledger: &mut Ledger<Entry>,
        owner: &Owner,
    ) -> Result<(), PlaneError> {
        let mut gone = self.held.release(owner);
        // Those that block go first.
        gone.sort_by_key(|policy| policy.passes);
        let mut result = Ok(());
        for policy in gone {
            result = result.and(self.remove(ledger, policy));
        }
        result
    }

    /// Removes a policy from the kernel, if it is there and ours, and from the list.
    pub(super) fn remove(
        &mut self,
        ledger: &mut Ledger<Entry>,
        policy: Policy,
    ) -> Result<(), PlaneError> {
        const DOING: &str = "removing an IPsec policy";
        let ours = message(&policy).user_policy_info;
        if let Some(xfrm) = &mut self.xfrm {
            let find = policy::find(&policy.key);
            let is_ours = match xfrm.request(XfrmMessage::GetPolicy(find.clone()), 0) {
                Ok(answers) => answers.iter().any(|answer| match &answer.0 {
                    XfrmMessage::AddPolicy(found) => {
                        let found = &found.user_policy_info;
                        (found.action, found.priority) == (ours.action, ours.priority)
                    }
                    _ => false,
                }),
                Err(failure) if failure.errno() == Some(libc::ENOENT) => false,
                Err(failure) => return Err(failure.during(DOING)),
            };
            if is_ours
                && let Err(failure) = xfrm.request(XfrmMessage::DeletePolicy(find), 0)
                && failure.errno() != Some(libc::ENOENT)
            {
                return Err(failure.during(DOING));
            }
        }
        ledger.remove(&Entry::Policy(policy))
    }
}

fn message(policy: &Policy) -> ModifyMessage {
    let (action, priority) = if policy.passes {
        (XFRM_POLICY_ALLOW, PASSES)
    } else {
        (XFRM_POLICY_BLOCK, policy.key.priority())
    };
    ModifyMessage {
        user_policy_info: UserPolicyInfo {
            selector: policy::selector(&policy.key),
            priority,
            direction: policy.key.path.number(),
            action,
            ..UserPolicyInfo::default()
        },
        nlas: Vec::<XfrmAttrs>::new(),
    }
}
