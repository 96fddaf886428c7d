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
        // Nothing of IPComp's is to be kept: it has no keys, no numbers and no limits.
        for ((direction, before), (_, after)) in old.ipcomp().zip(new.ipcomp()) {
            let message = Wiped(state::add_ipcomp(new, &after, direction));
            self.replace_state(&before, &after, new.reqid, message)?;
        }
        self.replace_state(&old.inbound, &new.inbound, new.reqid, inbound)?;
        self.replace_state(&old.outbound, &new.outbound, new.reqid, outbound)?;
        let owner = Owner::Child(id);
        for key in &new.policies {
            self.claim(key, &owner, new.breadth(), new.template(key.path))?;
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
    if direction == Direction::Out {
        skip_sequence_numbers(&mut state.nlas);
    }
}

fn skip_sequence_numbers(attributes: &mut [XfrmAttrs]) {
    for attribute in attributes {
        match attribute {
            XfrmAttrs::ReplayState(replay) => {
                replay.oseq = replay.oseq.saturating_add(SEQUENCE_GAP);
            }
            XfrmAttrs::ReplayStateEsn(replay) => {
                let sent = u64::from(replay.oseq_hi) << 32 | u64::from(replay.oseq);
                let next = sent.saturating_add(SEQUENCE_GAP.into());
                [replay.oseq_hi, replay.oseq] = [next >> 32, next & u64::from(u32::MAX)]
                    .map(|half| u32::try_from(half).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_xfrm::{AlgAead, Replay, ReplayEsn, UserSaInfo};

    use super::*;

    fn skipped(replay: XfrmAttrs) -> XfrmAttrs {
        let mut nlas = [replay];
        skip_sequence_numbers(&mut nlas);
        let [replay] = nlas;
        replay
    }

    #[test]
    fn no_sequence_number_is_ever_sent_twice() {
        let short = |oseq| {
            XfrmAttrs::ReplayState(Replay {
                oseq,
                ..Replay::default()
            })
        };
        assert_eq!(skipped(short(10)), short(10 + SEQUENCE_GAP));
        // At the end the kernel sends no more; it does not begin anew.
        assert_eq!(skipped(short(u32::MAX - 1)), short(u32::MAX));
        let long = |oseq_hi, oseq| {
            XfrmAttrs::ReplayStateEsn(ReplayEsn {
                oseq,
                oseq_hi,
                ..ReplayEsn::default()
            })
        };
        assert_eq!(skipped(long(0, 10)), long(0, 10 + SEQUENCE_GAP));
        assert_eq!(skipped(long(0, u32::MAX)), long(1, SEQUENCE_GAP - 1));
        assert_eq!(skipped(long(u32::MAX, u32::MAX)), long(u32::MAX, u32::MAX));
    }

    #[test]
    fn a_key_of_zeros_is_one_that_the_kernel_hides() {
        let state = |key: &[u8]| ModifyMessage {
            user_sa_info: UserSaInfo::default(),
            nlas: vec![XfrmAttrs::EncryptionAlgAead(AlgAead {
                alg_name: [0; 64],
                alg_key_len: 0,
                alg_icv_len: 128,
                alg_key: key.to_vec(),
            })],
        };
        assert!(keys_are_hidden(&state(&[0; 20])));
        assert!(!keys_are_hidden(&state(&[0, 0, 1])));
        assert!(!keys_are_hidden(&state(&[])));
    }
}
