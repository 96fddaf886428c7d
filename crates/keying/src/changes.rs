//! What becomes of SAs, told as it happens to whoever watches.

use std::net::SocketAddr;
use std::time::Instant;

use audit::Cause;

use crate::endpoint::Endpoint;
use crate::ikev1::quick::live::Live;
use crate::ikev1::sa::Sa;
use crate::io::Output;
use crate::status::{self, ChildSaStatus, MainModeSa};

/// See the module.
#[derive(Clone, Debug)]
pub enum Change {
    /// A Main Mode SA stands.
    Up {
        /// It.
        sa: MainModeSa,
        /// There was none with this peer under this connection: it is no replacement.
        first: bool,
    },
    /// The last Main Mode SA with this peer under this connection ended.
    Down {
        /// It.
        sa: MainModeSa,
        /// Why.
        cause: Cause,
    },
    /// A child SA is installed.
    ChildUp {
        /// It.
        sa: ChildSaStatus,
        /// There was none for this traffic with this peer: it is no replacement.
        first: bool,
    },
    /// The last child SA for this traffic with this peer ended.
    ChildDown {
        /// It.
        sa: ChildSaStatus,
        /// Why.
        cause: Cause,
    },
    /// The peer of a Main Mode SA is elsewhere than before.
    Moved {
        /// The SA, as it is now.
        sa: MainModeSa,
        /// Where the peer was.
        from: SocketAddr,
    },
}

impl Endpoint {
    /// Tells of a change, if anybody watches.
    fn change(&mut self, change: impl FnOnce(&Self) -> Option<Change>) {
        if self.core.watched
            && let Some(change) = change(self)
        {
            self.core.out.push_back(Output::Change(Box::new(change)));
        }
    }

    /// Whether there is another Main Mode SA with the peer of this one.
    fn has_other(&self, sa: &Sa) -> bool {
        self.sas_with(&sa.remote_id).any(|other| {
            other.mmsa_id != sa.mmsa_id
                && other.connection.name == sa.connection.name
                && other.user == sa.user
        })
    }

    /// The same of a child SA that is installed.
    fn has_other_child(&self, live: &Live) -> bool {
        self.children
            .of_pair(live.pair)
            .any(|other| other.id != live.id && other.installed() && other.same_traffic(live))
    }

    /// A Main Mode SA stands.
    pub(crate) fn tell_up(&mut self, id: u64) {
        self.change(|this| {
            let sa = this.sas.get(&id)?;
            Some(Change::Up {
                first: !this.has_other(sa),
                sa: status::main_mode(sa),
            })
        });
    }

    /// A Main Mode SA has ended.
    pub(crate) fn tell_down(&mut self, sa: &Sa, cause: Cause) {
        self.change(|this| {
            let sa = (!this.has_other(sa)).then(|| status::main_mode(sa))?;
            Some(Change::Down { sa, cause })
        });
    }

    /// A child SA is installed.
    pub(crate) fn tell_child_up(&mut self, now: Instant, id: u64) {
        self.change(|this| {
            let live = this.children.get(id)?;
            Some(Change::ChildUp {
                first: !this.has_other_child(live),
                sa: status::child(live, now),
            })
        });
    }

    /// A child SA has ended.
    pub(crate) fn tell_child_down(&mut self, now: Instant, live: &Live, cause: Cause) {
        self.change(|this| {
            let last = live.installed() && !this.has_other_child(live);
            let sa = last.then(|| status::child(live, now))?;
            Some(Change::ChildDown { sa, cause })
        });
    }

    /// The peer of a Main Mode SA is elsewhere than before: so are its children.
    pub(crate) fn moved(&mut self, id: u64, from: SocketAddr) {
        self.move_children(id);
        self.change(|this| {
            let sa = status::main_mode(this.sas.get(&id)?);
            Some(Change::Moved { sa, from })
        });
    }
}
