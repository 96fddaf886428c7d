//! A child SA gets other outer addresses or ports. The kernel cannot change them in a state: the state is
//! read, deleted and added again with the rest as it was, in one piece.

use std::net::SocketAddr;

use netlink_packet_xfrm::state::ModifyMessage;
use netlink_packet_xfrm::{Address, Lifetime, XfrmAttrs, XfrmMessage};

use super::child::Child;
use super::claims::Owner;
use super::ledger::Entry;
use super::netlink::Wiped;
use super::state::{self, Direction, StateKey};
use super::{Kernel, events};
use crate::{PlaneError, UdpEncap};

/// What is added to the sequence number that is sent next. Between reading the state and deleting it
/// packets may have gone out, and no number may be used twice with one key. More than a link of 100 Gbit/s
/// sends in a millisecond; the receiver's window moves over it.
const SEQUENCE_GAP: u32 = 1 << 16;

const DOING: &str = "moving an IPsec SA";

impl Kernel {
    pub(super) fn move_child(
        &mut self,
        id: u64,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), PlaneError> {
        let old = self
            .children
            .get(&id)
            .ok_or(PlaneError::NoSuchSa(id))?
            .clone();
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(PlaneError::Invalid {
                what: format!("{} and {} are of two IP versions", local.ip(), remote.ip()),
            });
        }
        let mut new = old.clone();
        (new.local, new.remote) = (local.ip(), remote.ip());
        new.inbound.destination = local.ip();
        new.outbound.destination = remote.ip();
        new.encap = old.encap.map(|_| UdpEncap {
            local_port: local.port(),
            remote_port: remote.port(),
        });
        self.move_states(id, &old, &new)
    }

    fn move_states(&mut self, id: u64, old: &Child, new: &Child) -> Result<(), PlaneError> {
        let inbound = self.relocated(id, Direction::In, old, new)?;
        let outbound = self.relocated(id, Direction::Out, old, new)?;
        // From here on nothing leads back: what there is of the SA is to be found under its new name.
        self.children.insert(id, new.clone());
        events::locked(&self.index).rename(id, new.names());
        self.replace_state(&old.inbound, &new.inbound, new.reqid, inbound)?;
        self.replace_state(&old.outbound, &new.outbound, new.reqid, outbound)?;
        let owner = Owner::Child(id);
        for key in &new.policies {
            self.claim(key, &owner, new.template(key.path))?;
        }
        self.routes.release(&mut self.ledger, &owner)?;
        self.add_routes(&owner, new)
    }

    /// The message that adds a state again, elsewhere.
    fn relocated(
        &mut self,
        id: u64,
        direction: Direction,
        old: &Child,
        new: &Child,
    ) -> Result<Wiped<XfrmMessage>, PlaneError> {
        let key = match direction {
            Direction::In => &old.inbound,
            Direction::Out => &old.outbound,
        };
        let answers = match self.xfrm.request(state::get(key), 0) {
            Err(failure) if failure.errno() == Some(libc::ESRCH) => {
                return Err(PlaneError::NoSuchSa(id));
            }
            other => other.map_err(|failure| failure.during(DOING))?,
        };
        let mut found = answers
            .into_iter()
            .find(|answer| matches!(answer.0, XfrmMessage::AddSa(_)))
            .ok_or(PlaneError::NoSuchSa(id))?;
        if let XfrmMessage::AddSa(state) = &mut found.0 {
            if keys_are_hidden(state) {
                return Err(PlaneError::Invalid {
                    what: "the kernel's lockdown hides keys, so that an IPsec SA cannot be moved; \
                           negotiate another"
                        .into(),
                });
            }
            relocate(state, direction, new);
        }
        Ok(found)
    }

    fn replace_state(
        &mut self,
        old: &StateKey,
        new: &StateKey,
        reqid: u32,
        mut message: Wiped<XfrmMessage>,
    ) -> Result<(), PlaneError> {
        self.ledger.add(Entry::State { key: *new, reqid })?;
        // Taken out, so that no copy of the keys stays behind.
        let empty =
            XfrmMessage::GetSadInfo(netlink_packet_xfrm::state::GetSadInfoMessage::default());
        let message = std::mem::replace(&mut message.0, empty);
        let [deleted, added] = self
            .xfrm
            .requests([(state::delete(old), 0), (message, 0)])
            .map_err(|failure| failure.during(DOING))?;
        if old != new {
            self.ledger.remove(&Entry::State { key: *old, reqid })?;
        }
        added.map_err(|failure| failure.during(DOING))?;
        deleted.map_err(|failure| failure.during(DOING))?;
        Ok(())
    }
}

/// A kernel in lockdown gives zeros in place of keys.
fn keys_are_hidden(state: &ModifyMessage) -> bool {
    let zero = |key: &[u8]| !key.is_empty() && key.iter().all(|byte| *byte == 0);
    state.nlas.iter().any(|attribute| match attribute {
        XfrmAttrs::EncryptionAlg(alg) | XfrmAttrs::AuthenticationAlg(alg) => zero(&alg.alg_key),
        XfrmAttrs::AuthenticationAlgTrunc(alg) => zero(&alg.alg_key),
        XfrmAttrs::EncryptionAlgAead(alg) => zero(&alg.alg_key),
        _ => false,
    })
}

fn relocate(state: &mut ModifyMessage, direction: Direction, new: &Child) {
    let (source, destination) = direction.of(new.local, new.remote);
    let info = &mut state.user_sa_info;
    info.saddr = Address::from_ip(&source);
    info.id.daddr = Address::from_ip(&destination);
    info.family = state::family(destination);
    let counted: Lifetime = info.lifetime_cur;
    state.nlas.retain(|attribute| {
        !matches!(
            attribute,
            // The same key again, with a truncation that is not the SA's.
            XfrmAttrs::AuthenticationAlg(_)
                | XfrmAttrs::EncapsulationTemplate(_)
                | XfrmAttrs::LastUsed(_)
        )
    });
    // Without it the limits would begin anew.
    state.nlas.push(XfrmAttrs::LifetimeBytes(counted));
    if let Some(encap) = new.encap {
        let (from, to) = direction.of(encap.local_port, encap.remote_port);
        state.nlas.push(state::udp(from, to));
    }
    if direction == Direction::In {
        return;
    }
    for attribute in &mut state.nlas {
        match attribute {
            XfrmAttrs::ReplayState(replay) => {
                replay.oseq = replay.oseq.saturating_add(SEQUENCE_GAP);
            }
            XfrmAttrs::ReplayStateEsn(replay) => {
                let (low, carry) = replay.oseq.overflowing_add(SEQUENCE_GAP);
                replay.oseq = low;
                replay.oseq_hi = replay.oseq_hi.saturating_add(u32::from(carry));
            }
            _ => {}
        }
    }
}
