//! Child SAs and Quick Modes that end: deleted by either side, expired, replaced, gone with their Main
//! Mode SA.
//!
//! RFC 2408 leaves open what the end of a Main Mode SA means for those under it. Here they go on under
//! another SA with the same peer where there is one, and end with it where there is none: so does
//! strongSwan, which deletes them before their IKE SA, and on an IKE SA's delete drops them without a
//! word. What libreswan would keep could neither be deleted nor its peer be asked whether it lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use audit::{Cause, Event, Extra, FailurePoint, IpsecSaDeleted, QuickModeEnded};
use crypto::esp::Protocol;
use isakmp::{Delete, Notification, Payload, ProtocolId, RawPayload};

use super::live::{Live, protocol, traffic};
use super::{QuickId, QuickState};
use crate::child::{ChildOutcome, ChildSaId, ChildVerdict, Cpis};
use crate::endpoint::{AfterTicket, Endpoint, Party};
use crate::ikev1::informational;
use crate::ikev1::negotiation::Failure;
use crate::io::{Output, Ticket};
use crate::limits::DELETED_AT_ONCE;

/// A delete of SAs, by the SPIs that we chose (RFC 2408 section 3.15).
pub(crate) fn delete(protocol: Protocol, spis: &[u32]) -> RawPayload {
    Payload::Delete(Delete {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId(protocol.number()),
        spi_size: 4,
        spis: spis.iter().map(|spi| spi.to_be_bytes().to_vec()).collect(),
    })
    .to_raw()
}

impl Endpoint {
    /// A child SA ends: its one 5452, and 5049 where somebody deleted it. `tell`: with a delete to the peer.
    pub(crate) fn end_child(
        &mut self,
        now: Instant,
        id: u64,
        cause: Cause,
        tell: bool,
    ) -> Option<Ticket> {
        if tell {
            self.send_deletes(&[id]);
        }
        let live = self.children.remove(id)?;
        self.unschedule(Party::Child(id));
        self.spis.remove(&live.inbound_spi);
        if let Some(cpis) = live.cpis {
            self.cpis.remove(&cpis.inbound);
        }
        self.core.out.push_back(Output::RemoveSa(ChildSaId(id)));
        self.counters.quick_ended += 1;
        // What had a successor was replaced, whoever says that it goes.
        let cause = match (&live.superseded, cause) {
            (Some(_), Cause::DeletedByPeer | Cause::Expired) => Cause::Replaced,
            (_, cause) => cause,
        };
        self.tell_child_down(now, &live, cause);
        // Who asked for it waits for the data plane's word, which does not come any more; what that refused was told.
        if !live.installed() && cause != Cause::LostByDataPlane {
            let verdict = ChildVerdict {
                outcome: ChildOutcome::Failed {
                    cause,
                    point: match cause {
                        Cause::DeletedByPeer => FailurePoint::Remote,
                        _ => FailurePoint::Local,
                    },
                    detail: None,
                },
                ..live.verdict()
            };
            self.core.out.push_back(Output::ChildVerdict(verdict));
        }
        let extra = Extra {
            connection: Some(live.connection.name.clone()),
            cause: Some(cause),
            ..Extra::default()
        };
        let deleted = matches!(
            cause,
            Cause::DeletedByPeer | Cause::DeletedByOperator | Cause::Shutdown
        );
        if deleted {
            let event = Event::IpsecSaDeleted(IpsecSaDeleted {
                qmsa_id: id,
                child: live.child.name.clone(),
            });
            self.core.audit(event, Some(live.activity), extra.clone());
        }
        let event = Event::QuickModeEnded(QuickModeEnded {
            local: traffic(&live.pair.local),
            remote: traffic(&live.pair.remote),
            mode: live.event_mode(),
            protocol: protocol(&live.pair),
            qmsa_id: id,
        });
        let ticket = self.core.audit(event, Some(live.activity), extra);
        let told = AfterTicket::Told {
            answers: Vec::new(),
            terminations: Vec::new(),
        };
        self.tickets.insert(ticket, told);
        self.reinstate(now, &live);
        self.child_lost(now, &live, cause);
        Some(ticket)
    }

    /// Tells the peers of these SAs that they end: as few messages as will do.
    pub(crate) fn send_deletes(&mut self, ids: &[u64]) {
        let mut spis: BTreeMap<(u64, Protocol), Vec<u32>> = BTreeMap::new();
        for live in ids.iter().filter_map(|id| self.children.get(*id)) {
            spis.entry((live.mmsa_id, live.suite.protocol))
                .or_default()
                .push(live.inbound_spi);
        }
        for ((mmsa_id, protocol), spis) in spis {
            let Some(sa) = self.sas.get_mut(&mmsa_id) else {
                continue;
            };
            for some in spis.chunks(DELETED_AT_ONCE) {
                // A delete is sent once; a peer that does not hear it has lifetimes.
                let _ = informational::send(&mut self.core, sa, &[delete(protocol, some)]);
            }
        }
    }

    /// Ends child SAs, with as few deletes as will do.
    pub(crate) fn end_children(
        &mut self,
        now: Instant,
        ids: &[u64],
        cause: Cause,
        tell: bool,
    ) -> Vec<Ticket> {
        if tell {
            self.send_deletes(ids);
        }
        // None of them is to come back in another's place.
        for id in ids {
            if let Some(live) = self.children.get_mut(*id) {
                live.rekey_at = None;
            }
        }
        ids.iter()
            .filter_map(|id| self.end_child(now, *id, cause, false))
            .collect()
    }

    /// Ends a Quick Mode for a reason of ours.
    pub(crate) fn end_quick(
        &mut self,
        now: Instant,
        id: QuickId,
        early: Failure,
        late: Cause,
        termination: Option<u64>,
    ) {
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        if matches!(quick.state, QuickState::Establishing(_)) {
            // Its 5451 is being written: it ends as soon as that is done.
            quick.end_after.get_or_insert(late);
            if let Some(id) = termination
                && let Some(waiting) = self.terminations.get_mut(&id)
            {
                waiting.waiting += 1;
                quick.terminations.push(id);
            }
            return self.keep_quick(quick);
        }
        if let Some(terms) = quick.terms().cloned() {
            self.delete_unborn(&quick, &terms);
        }
        let ticket = self.fail_quick(now, &quick, early);
        self.wait_for(termination, Some(ticket));
    }

    /// The peer's delete of ESP, AH or IPComp SAs: it names the SPIs that it chose. What one of a bundle loses, the
    /// whole loses.
    pub(crate) fn deleted_by_peer(&mut self, now: Instant, mmsa_id: u64, delete: &Delete) {
        for spi in &delete.spis {
            let Some(sa) = self.sas.get(&mmsa_id) else {
                return;
            };
            // An SA is its peer's: under whichever Main Mode SA with it.
            let peers = |live: &Live| {
                let under = self.sas.get(&live.mmsa_id);
                under.is_some_and(|other| other.mmsa_id == mmsa_id || sa.is_of_peer_of(other))
            };
            let named = |protocol: Protocol, outbound: u32, cpis: Option<Cpis>| {
                if delete.protocol == ProtocolId::IPCOMP {
                    cpis.is_some_and(|cpis| spi.ends_with(&cpis.outbound.to_be_bytes()))
                } else {
                    delete.protocol.0 == protocol.number() && *spi == outbound.to_be_bytes()
                }
            };
            // By its CPI hardly anybody deletes; all others are found by what they name.
            let outbound = <[u8; 4]>::try_from(spi.as_slice()).map(u32::from_be_bytes);
            let is_it = |live: &&Live| {
                named(live.suite.protocol, live.outbound_spi, live.cpis) && peers(live)
            };
            let live = match outbound {
                Ok(outbound) if delete.protocol != ProtocolId::IPCOMP => {
                    self.children.of_outbound_spi(outbound).find(is_it)
                }
                _ => self.children.values().find(is_it),
            };
            if let Some(id) = live.map(|live| live.id) {
                self.end_child(now, id, Cause::DeletedByPeer, false);
                continue;
            }
            let unborn = self.quick.values().find(|quick| {
                quick.mmsa_id == mmsa_id
                    && quick.terms().is_some_and(|terms| {
                        named(terms.suite.protocol, terms.peer_spi, terms.cpis)
                    })
            });
            if let Some(id) = unborn.map(|quick| quick.id) {
                self.deleted_early(now, id);
            }
        }
    }

    /// The peer deleted an SA that did not stand yet.
    fn deleted_early(&mut self, now: Instant, id: QuickId) {
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        if matches!(quick.state, QuickState::Establishing(_)) {
            quick.end_after.get_or_insert(Cause::DeletedByPeer);
            return self.keep_quick(quick);
        }
        self.fail_quick(now, &quick, Failure::remote(Cause::DeletedEarly));
    }

    /// The peer's word about a Quick Mode: proven, so that it is the verdict.
    pub(crate) fn told_by_peer(&mut self, now: Instant, mmsa_id: u64, told: &Notification) {
        let spi = told.spi.as_slice();
        let open = |quick: &&super::Quick| {
            quick.mmsa_id == mmsa_id && !matches!(quick.state, QuickState::Establishing(_))
        };
        let named = self.quick.values().filter(open).find(|quick| {
            let own = quick.own_spi.map(u32::to_be_bytes);
            let named = quick.named.as_ref().map(|(_, spi)| spi.as_slice());
            !spi.is_empty()
                && (own.as_ref().map(<[u8; 4]>::as_slice) == Some(spi) || named == Some(spi))
        });
        // Many peers name no SPI, or none that is known: then it is about what they have not answered.
        let oldest = || {
            self.quick
                .values()
                .filter(open)
                .find(|quick| matches!(quick.state, QuickState::Offered(_)))
        };
        let Some(id) = named.or_else(oldest).map(|quick| quick.id) else {
            return;
        };
        if let Some(quick) = self.quick.remove(&id) {
            let cause = Cause::from_quick_mode_notify(told.kind.0);
            let failure = Failure::remote(cause).with(format!("the peer says {}", told.kind));
            self.fail_quick(now, &quick, failure);
        }
    }

    /// A Main Mode SA is about to end: what is under it moves to another one with the same peer, or ends
    /// too.
    pub(crate) fn end_under(&mut self, now: Instant, mmsa_id: u64, cause: Cause, tell: bool) {
        let under: Vec<QuickId> = self
            .quick
            .values()
            .filter(|quick| quick.mmsa_id == mmsa_id)
            .map(|quick| quick.id)
            .collect();
        let lost =
            |failure: Failure| failure.with(format!("the Main Mode SA ended: {}", cause.title()));
        let (early, late) = match cause {
            Cause::Shutdown => (Failure::local(Cause::ShuttingDown), Cause::Shutdown),
            Cause::DeletedByOperator => (Failure::local(Cause::StoppedByOperator), cause),
            Cause::PeerDead => (Failure::local(Cause::PeerGone), cause),
            Cause::Replaced => (lost(Failure::local(Cause::MainModeLost)), cause),
            Cause::DeletedByPeer => (
                lost(Failure::remote(Cause::MainModeLost)),
                Cause::MainModeEnded,
            ),
            _ => (
                lost(Failure::local(Cause::MainModeLost)),
                Cause::MainModeEnded,
            ),
        };
        for id in under {
            self.end_quick(now, id, early.clone(), late, None);
        }
        let children = self.children.ids_under(mmsa_id);
        if children.is_empty() {
            return;
        }
        let heir = self.sas.get(&mmsa_id).and_then(|old| {
            self.newest_sa_with(&old.remote_id, |sa| {
                sa.mmsa_id != mmsa_id
                    && sa.connection.name == old.connection.name
                    && sa.is_of_peer_of(old)
            })
        });
        match heir {
            Some(heir) => {
                for id in children {
                    self.children.put_under(id, heir);
                }
                self.move_children(heir);
            }
            None => {
                self.end_children(now, &children, late, tell);
            }
        }
    }

    /// Ends the child SAs under a Main Mode SA whose peer has forgotten them.
    pub(crate) fn end_children_under(&mut self, now: Instant, mmsa_id: u64, cause: Cause) {
        let ids = self.children.ids_under(mmsa_id);
        self.end_children(now, &ids, cause, false);
    }

    /// Authentic packets of a child SA come from elsewhere: its peer is there, with all else that is negotiated
    /// with it.
    pub(crate) fn child_moved(&mut self, id: u64, remote: SocketAddr) {
        let Some(mmsa_id) = self.children.get(id).map(|live| live.mmsa_id) else {
            return;
        };
        if let Some(sa) = self.sas.get_mut(&mmsa_id) {
            let from = sa.route.remote;
            if sa.follow(remote) {
                self.moved(mmsa_id, from);
            }
        }
    }

    /// The route of a Main Mode SA is another one, or its children are another's: so are their outer
    /// addresses.
    pub(crate) fn move_children(&mut self, mmsa_id: u64) {
        let Some(route) = self.sas.get(&mmsa_id).map(|sa| sa.route) else {
            return;
        };
        let ids = self.children.ids_under(mmsa_id);
        for id in ids {
            let Some(live) = self.children.get_mut(id) else {
                continue;
            };
            let (local, remote) = (route.local, route.remote);
            let same_addresses = live.local.ip() == local.ip() && live.remote.ip() == remote.ip();
            // Without UDP the ports are IKE's own.
            let same = same_addresses
                && (!live.encapsulation.udp || (live.local == local && live.remote == remote));
            (live.local, live.remote) = (local, remote);
            if !same {
                self.core.out.push_back(Output::MoveSa {
                    id: ChildSaId(live.id),
                    local,
                    remote,
                });
            }
        }
    }
}
