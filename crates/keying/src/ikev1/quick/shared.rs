//! Steps that both roles of Quick Mode take alike.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, QmState, Role};
use crypto::esp::{EspProposal, quick_mode_keymat};
use crypto::{Group, Secret};
use isakmp::{NatOa, Payload, RawPayload};

use super::selectors::{Ends, Pair};
use super::{Quick, QuickId, QuickState, Ready, Terms};
use crate::child::{Child, ChildKeys, Mode};
use crate::core::Core;
use crate::ikev1::duplicates::Duplicates;
use crate::ikev1::flight::Flight;
use crate::ikev1::negotiation::Failure;
use crate::ikev1::sa::Sa;
use crate::job::JobResult;

/// What we choose of an SA: what the peer's packets will carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub spi: u32,
    /// Where there may be IPComp.
    pub cpi: Option<u16>,
}

/// A Quick Mode that begins; nothing of it is decided.
pub(crate) fn begin(
    core: &mut Core,
    now: Instant,
    sa: &Sa,
    role: Role,
    message_id: u32,
    child: Option<Arc<Child>>,
) -> Quick {
    Quick {
        id: QuickId(core.number()),
        role,
        begun: now,
        mmsa_id: sa.mmsa_id,
        message_id,
        activity: core.activity(),
        connection: sa.connection.clone(),
        child,
        local: sa.route.local,
        remote: sa.route.remote,
        pair: None,
        encapsulation: None,
        peer_original: None,
        sent: QmState::None,
        own_spi: None,
        own_cpi: None,
        named: None,
        iv: Vec::new(),
        flight: None,
        duplicates: Duplicates::default(),
        deadline: None,
        replaces: None,
        expected: None,
        end_after: None,
        terminations: Vec::new(),
        state: QuickState::Moving,
    }
}

impl Sa {
    /// The outer addresses, and whether a NAT is between them.
    pub(crate) fn ends(&self) -> Ends {
        Ends {
            local: self.route.local.ip(),
            remote: self.route.remote.ip(),
            nat: self.behind_nat || self.peer_behind_nat,
            inner_local: self.inner_local,
            inner_remote: self.inner_remote,
            nets: self.nets.clone(),
        }
    }

    /// Whether ESP has to be in UDP: a NAT was found, or we behave as if one had been.
    pub(crate) fn encapsulates(&self) -> bool {
        let forced = self.connection.force_encap && self.peer.nat_t;
        self.route.marked && (self.behind_nat || self.peer_behind_nat || forced)
    }
}

impl Quick {
    /// Sends a message and keeps it to be sent again.
    pub(crate) fn launch(&mut self, core: &mut Core, sa: &mut Sa, now: Instant, message: Vec<u8>) {
        let datagrams = sa.datagrams(message);
        self.launch_again(core, sa, now, datagrams);
    }

    /// The same with what is cut into datagrams already.
    pub(crate) fn launch_again(
        &mut self,
        core: &mut Core,
        sa: &Sa,
        now: Instant,
        datagrams: Vec<Vec<u8>>,
    ) {
        core.transmit(sa.route, &datagrams);
        let retransmit = self.connection.retransmit;
        self.flight = Some(Flight::new(core, now, retransmit, datagrams));
    }
}

/// Whether the SAs of a child may have IPComp. The kernel's compresses no packets of one IP version within the other:
/// what it then puts into ESP is in transport mode, which has one version.
pub(crate) fn compresses(sa: &Sa, child: &Child, pair: &Pair) -> bool {
    child.compress && pair.local.first.is_ipv4() == sa.route.local.is_ipv4()
}

/// A public value of the wrong size is refused before a worker sees it, and our own is no peer's.
pub(crate) fn check_public(group: Group, public: &[u8], own: Option<&[u8]>) -> Result<(), Failure> {
    let row = group.row();
    let failure = |why: String| Err(Failure::local(Cause::KeInvalid).with(why));
    if public.len() != row.public_len {
        failure(format!(
            "the peer's public value has {} bytes; {} are right for {}",
            public.len(),
            row.public_len,
            row.name
        ))
    } else if own == Some(public) {
        failure("the peer sent our own public value back".to_owned())
    } else {
        Ok(())
    }
}

/// The shared secret that a worker found, and our public value.
pub(crate) fn agreed(result: JobResult) -> Result<(Vec<u8>, Secret), Failure> {
    match result {
        JobResult::Agreed { public, gxy } => Ok((public, gxy)),
        JobResult::BadPublicValue(why) => Err(Failure::local(Cause::KeInvalid).with(why)),
        JobResult::Failed(why) => Err(Failure::local(Cause::DhFailure).with(why)),
        _ => Err(Failure::local(Cause::DhFailure)),
    }
}

/// The keys of both directions (RFC 2409 section 5.5): each of its receiver's SPI.
pub(crate) fn ready(sa: &Sa, terms: Terms, gxy: Option<&Secret>) -> Result<Ready, Failure> {
    let keys = |spi: u32| -> Result<ChildKeys, Failure> {
        let suite: &EspProposal = &terms.suite;
        let keymat = quick_mode_keymat(
            sa.keys.hash,
            &sa.keys.d,
            gxy,
            suite.protocol,
            spi.to_be_bytes(),
            &terms.ni,
            &terms.nr,
            suite.key_len(),
        )?;
        let (encryption, integrity) = suite.split_keymat(&keymat)?;
        Ok(ChildKeys {
            spi,
            encryption,
            integrity,
        })
    };
    Ok(Ready {
        inbound: keys(terms.own_spi)?,
        outbound: keys(terms.peer_spi)?,
        terms,
        message_3: Vec::new(),
    })
}

/// The NAT-OA payloads of transport mode behind a NAT: the initiator's address and the responder's, as
/// the sender sees them (RFC 3947 section 5.2).
pub(crate) fn originals(sa: &Sa, role: Role, mode: Mode, udp: bool) -> Vec<RawPayload> {
    if mode != Mode::Transport || !udp {
        return Vec::new();
    }
    let Ends { local, remote, .. } = sa.ends();
    let [initiator, responder] = match role {
        Role::Initiator => [local, remote],
        Role::Responder => [remote, local],
    };
    [initiator, responder]
        .map(|address| Payload::NatOa(NatOa { address }).to_raw())
        .to_vec()
}

/// Of the peer's NAT-OA, in transport mode behind a NAT: its own address, and ours as it was given it.
pub(crate) fn heard_originals(
    told: Option<[IpAddr; 2]>,
    role: Role,
    mode: Mode,
    udp: bool,
) -> (Option<IpAddr>, Option<IpAddr>) {
    match (told, role) {
        (Some([initiator, responder]), _) if mode == Mode::Transport && udp => match role {
            Role::Initiator => (Some(responder), Some(initiator)),
            Role::Responder => (Some(initiator), Some(responder)),
        },
        _ => (None, None),
    }
}
