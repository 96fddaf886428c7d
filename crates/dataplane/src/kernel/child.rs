//! What is kept of a child SA and of a trap, and the policies that they want.

use std::net::IpAddr;

use crypto::esp::Protocol;
use ipnet::IpNet;

use super::events::Name;
use super::policy::{self, Breadth, Path, PolicyKey, Template};
use super::state::{self, Direction, StateKey};
use crate::{ChildSa, Cpis, Mark, Mode, PlaneError, Selector, Trap, UdpEncap};

/// What is kept of a child SA. No keys.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) protocol: Protocol,
    pub(super) mode: Mode,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    pub(super) encap: Option<UdpEncap>,
    pub(super) inbound: StateKey,
    pub(super) outbound: StateKey,
    /// With IPComp.
    pub(super) cpis: Option<Cpis>,
    pub(super) local_selector: Selector,
    pub(super) remote_selector: Selector,
    pub(super) local_lan: Vec<IpNet>,
    pub(super) mark: Option<Mark>,
    pub(super) interface_id: Option<u32>,
    pub(super) reqid: u32,
    pub(super) policies: Vec<PolicyKey>,
}

/// What a trap has for each pair of selectors.
#[derive(Clone, Debug)]
pub(super) struct Trapped {
    /// Of its own, or an SA of another pair with the same peer would be taken for the one that is missing.
    pub(super) reqid: u32,
    pub(super) breadth: Breadth,
    pub(super) policies: Vec<PolicyKey>,
}

impl Child {
    pub(super) fn new(sa: &ChildSa) -> Result<Self, PlaneError> {
        let (local, remote) = (&sa.local_selector, &sa.remote_selector);
        Ok(Self {
            protocol: sa.protocol,
            mode: sa.mode,
            local: sa.local,
            remote: sa.remote,
            encap: sa.encap,
            inbound: state::key(sa, Direction::In),
            outbound: state::key(sa, Direction::Out),
            cpis: sa.cpis,
            local_selector: *local,
            remote_selector: *remote,
            local_lan: sa.local_lan.clone(),
            mark: sa.mark,
            interface_id: sa.interface_id,
            reqid: 0,
            policies: policy::keys(local, remote, sa.mode, sa.mark, sa.interface_id)?,
        })
    }

    pub(super) fn breadth(&self) -> Breadth {
        Breadth::of(&self.local_selector, &self.remote_selector)
    }

    /// Whether its outer addresses and ports are still those of the SA.
    pub(super) fn is_between_ends_of(&self, sa: &ChildSa) -> bool {
        (self.local, self.remote, self.encap) == (sa.local, sa.remote, sa.encap)
    }

    pub(super) fn template(&self, path: Path) -> Template {
        let direction = direction(path);
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
            ipcomp: self.cpis.map(|cpis| match direction {
                Direction::Out => cpis.outbound.into(),
                Direction::In => 0,
            }),
        }
    }

    /// The states of IPComp: in, then out.
    pub(super) fn ipcomp(&self) -> impl Iterator<Item = (Direction, StateKey)> + use<> {
        let (local, remote, mark, cpis) = (self.local, self.remote, self.mark, self.cpis);
        [Direction::In, Direction::Out]
            .into_iter()
            .filter_map(move |direction| {
                let key = state::ipcomp_key(direction, local, remote, cpis?, mark);
                Some((direction, key))
            })
    }

    /// The policy that a state is bound to. A state has room for one pair of subnets; with more, the policies alone say
    /// what it carries.
    pub(super) fn bound(&self, direction: Direction) -> Option<&PolicyKey> {
        let path = match direction {
            Direction::In => Path::In,
            Direction::Out => Path::Out,
        };
        let mut bound = self.policies.iter().filter(|policy| policy.path == path);
        bound.next().filter(|_| bound.next().is_none())
    }

    pub(super) fn names(&self) -> [Name; 2] {
        [&self.inbound, &self.outbound].map(|key| Name {
            destination: key.destination,
            protocol: key.protocol,
            spi: key.spi,
        })
    }
}

impl Trapped {
    pub(super) fn template(&self, trap: &Trap, path: Path) -> Template {
        let (source, destination) = direction(path).of(trap.local, trap.remote);
        Template {
            source,
            destination,
            protocol: state::ip_protocol(trap.protocol),
            mode: trap.mode,
            spi: 0,
            reqid: self.reqid,
            // The kernel waits for the state that it did not find, and asks again for no other meanwhile.
            ipcomp: trap.compress.then_some(0),
        }
    }
}

fn direction(path: Path) -> Direction {
    match path {
        Path::Out => Direction::Out,
        Path::In | Path::Forward => Direction::In,
    }
}
