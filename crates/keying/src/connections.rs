//! Another set of connections: what is equal stays, what changed ends, and where only the children of a
//! connection changed its Main Mode goes on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use audit::Cause;

use crate::child::Child;
use crate::config::{Connection, ModeConfig, RemoteAddress};
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::negotiation::Failure;
use crate::ikev1::quick::QuickId;
use crate::ikev1::state::State;
use crate::io::{Output, Replaced};
use crate::limits::MAX_NAME_ADDRESSES;

/// The operator changed the policy: what this is to a negotiation, and to what it had made.
const CAUSES: (Cause, Cause) = (Cause::PolicyChanged, Cause::DeletedByOperator);

impl Endpoint {
    /// Takes a new set of connections.
    pub(crate) fn connections(&mut self, now: Instant, connections: Vec<Arc<Connection>>) {
        let old = std::mem::take(&mut self.core.connections);
        let mut old: BTreeMap<String, Arc<Connection>> =
            old.into_iter().map(|c| (c.name.clone(), c)).collect();
        let mut replaced = Replaced::default();
        let mut amended = Vec::new();
        for new in connections {
            let name = new.name.clone();
            let (kind, connection) = match old.remove(&name) {
                None => (&mut replaced.added, new),
                // One and the same stays, with all that refers to it.
                Some(old) if old == new => (&mut replaced.kept, old),
                Some(old) if old.same_main_mode(&new) => {
                    amended.push((old, new.clone()));
                    (&mut replaced.amended, new)
                }
                Some(_) => (&mut replaced.changed, new),
            };
            kind.push(name);
            self.core.connections.push(connection);
        }
        replaced.removed = old.into_keys().collect();
        self.refer_anew();
        for (old, new) in amended {
            self.amend(now, &old, &new);
        }
        let (early, late) = CAUSES;
        for name in replaced.changed.iter().chain(&replaced.removed) {
            self.end_connection(now, name, early, late, None);
        }
        let connections = &self.core.connections;
        self.core.names.retain(|name, _| {
            let of_name = |c: &Arc<Connection>| matches!(&c.remote_address, RemoteAddress::Name(n) if n == name);
            connections.iter().any(of_name)
        });
        self.core.out.push_back(Output::Replaced(replaced));
    }

    /// A host name stands for these addresses now. What was negotiated with others goes on.
    pub(crate) fn resolved(&mut self, name: String, mut addresses: Vec<IpAddr>) {
        addresses.truncate(MAX_NAME_ADDRESSES);
        self.core.names.insert(name, addresses);
    }

    /// Responders that do not know their connection yet choose among what the connections are now.
    fn refer_anew(&mut self) {
        let now: BTreeMap<&str, &Arc<Connection>> = self
            .core
            .connections
            .iter()
            .map(|connection| (connection.name.as_str(), connection))
            .collect();
        for n in self.negotiations.values_mut() {
            for old in &mut n.alternatives {
                let new = now.get(old.name.as_str());
                if let Some(new) = new.filter(|new| old.same_main_mode(new)) {
                    *old = (*new).clone();
                }
            }
        }
    }

    /// The children of a connection are others, or who may begin, or the addresses to give out; Main Mode is the same.
    fn amend(&mut self, now: Instant, old: &Connection, new: &Arc<Connection>) {
        let name = new.name.as_str();
        let child_now = |child: &str| new.children.iter().find(|c| c.name == child);
        // The child as it is now, where its SAs are still right.
        let kept = |child: &Child| child_now(&child.name).filter(|now| child.same_sas(now));
        for n in self.negotiations.values_mut() {
            // Both proofs hold: this is what the SA will be of.
            let of_sa = match &mut n.state {
                State::Establishing(establishing) => Some(&mut establishing.sa.connection),
                State::Xauth(pending) => Some(&mut pending.sa.connection),
                _ => None,
            };
            let all = n.connection.iter_mut().chain(of_sa);
            for connection in all.filter(|connection| connection.name == name) {
                *connection = new.clone();
            }
        }
        let mut without: Vec<u64> = Vec::new();
        for sa in self
            .sas
            .values_mut()
            .filter(|sa| sa.connection.name == name)
        {
            sa.connection = new.clone();
            let pools = new.mode_config.as_ref().map_or(&[][..], ModeConfig::pools);
            if !self.leases.are_of(sa.mmsa_id, pools) {
                without.push(sa.mmsa_id);
            }
        }
        // Their addresses may be another's from now on.
        for id in without {
            let children = self.children.ids_under(id);
            self.end_children(now, &children, CAUSES.1, true);
            self.end_sa(now, id, CAUSES.1, true);
        }
        let mut quick: Vec<QuickId> = Vec::new();
        for one in self
            .quick
            .values_mut()
            .filter(|q| q.connection.name == name)
        {
            one.connection = new.clone();
            match one.child.as_ref().map(|child| kept(child)) {
                None => {}
                Some(Some(child)) => one.child = Some(child.clone()),
                Some(None) => quick.push(one.id),
            }
        }
        let mut children: Vec<u64> = Vec::new();
        for live in self
            .children
            .values_mut()
            .filter(|live| live.connection.name == name)
        {
            live.connection = new.clone();
            match kept(&live.child) {
                Some(child) => live.child = child.clone(),
                None => children.push(live.id),
            }
        }
        let (early, late) = CAUSES;
        for id in quick {
            self.end_quick(now, id, Failure::local(early), late, None);
        }
        self.end_children(now, &children, late, true);
        let gone = old.children.iter().filter(|c| child_now(&c.name).is_none());
        for child in gone {
            let waits = (name.to_owned(), child.name.clone());
            if self.waiting_children.remove(&waits) {
                self.child_not_begun(name, &child.name, early);
            }
        }
        // Those that begin with the SA and are new begin now.
        let newest = self.newest_sa(|sa| sa.connection.name == name);
        let newest = newest.filter(|_| new.children.iter().any(|child| child.auto));
        if let Some(sa) = newest.and_then(|id| self.sas.get_mut(&id)) {
            sa.auto_at = Some(now);
            sa.again.clear();
            let id = sa.mmsa_id;
            self.schedule(Party::Sa(id));
        }
    }
}
