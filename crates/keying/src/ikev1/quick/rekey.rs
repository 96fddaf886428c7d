//! Time for Quick Modes and child SAs: retransmissions, replacement before the end, and which of two SAs
//! for the same traffic is kept.

use std::time::{Duration, Instant};

use audit::{Cause, Role};

use super::QuickId;
use super::live::{Live, Superseded};
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::flight::Flight;
use crate::limits::{COLLISION, LINGER, LINGER_LONG, REPLACE_AGAIN, after};

/// A lifetime below which a replacement is not begun again.
const TOO_SHORT: Duration = Duration::from_secs(1);

impl Endpoint {
    pub(crate) fn wake_quick(&mut self, now: Instant, id: QuickId) {
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        let mut silent = quick.deadline.is_some_and(|deadline| deadline <= now);
        let due = |flight: &&mut Flight| flight.next <= now;
        if let Some(flight) = quick.flight.as_mut().filter(due) {
            let factor = quick.connection.retransmit.factor;
            silent |= match self.sas.get(&quick.mmsa_id) {
                Some(sa) => !flight.again(&mut self.core, now, sa.route, factor),
                None => flight.left == 0,
            };
        }
        if silent {
            if let Some(terms) = quick.terms().cloned() {
                self.delete_unborn(&quick, &terms);
            }
            self.fail_quick(now, &quick, quick.silence());
            return;
        }
        self.keep_quick(quick);
    }

    pub(crate) fn wake_child(&mut self, now: Instant, id: u64) {
        let Some(live) = self.children.get(id) else {
            return;
        };
        if live.expires() <= now {
            self.end_child(now, id, Cause::Expired, true);
            return;
        }
        if live
            .superseded
            .is_some_and(|superseded| superseded.ends_at <= now)
        {
            self.end_child(now, id, Cause::Replaced, true);
            return;
        }
        if let super::live::LiveState::Installing { until, .. } = &live.state
            && *until <= now
        {
            let why = "the data plane did not answer".to_owned();
            self.install_failed(now, id, why);
            return;
        }
        if live.rekey_at.is_some_and(|at| at <= now) {
            self.rekey(now, id);
        }
        self.schedule(Party::Child(id));
    }

    /// Begins the negotiation of a child SA's successor, unless there is one already.
    pub(crate) fn rekey(&mut self, now: Instant, id: u64) {
        let Some(live) = self.children.get_mut(id) else {
            return;
        };
        if live.superseded.is_some() {
            live.rekey_at = None;
            return;
        }
        let left = live.expires().saturating_duration_since(now);
        let again = after(now, left.mul_f64(REPLACE_AGAIN));
        live.rekey_at = (left > TOO_SHORT).then_some(again);
        let (child, pair) = (live.child.clone(), live.pair);
        let (connection, under) = (live.connection.name.clone(), live.mmsa_id);
        let under_way = self.quick.values().any(|quick| {
            quick.replaces == Some(id)
                || (quick.role == Role::Responder
                    && quick.pair == Some(pair)
                    && quick.connection.name == connection
                    && quick.child.as_ref().is_some_and(|c| c.name == child.name))
        });
        if under_way || self.stopping {
            return;
        }
        let newest = self.sas.get(&under).and_then(|old| {
            self.newest_sa_with(&old.remote_id, |sa| {
                sa.connection.name == connection && sa.is_of_peer_of(old)
            })
        });
        if let Some(mmsa_id) = newest {
            self.begin_quick(now, mmsa_id, &child, pair, Some(id));
        }
    }

    /// The data plane says that a child SA has carried nearly all it may.
    pub(crate) fn expiring(&mut self, now: Instant, id: u64) {
        if self.children.get(id).is_some() {
            self.rekey(now, id);
            self.schedule(Party::Child(id));
        }
    }

    /// An SA is in use: of others for the same traffic one is kept.
    ///
    /// The later one is, as a rule. Where both sides began one at about the same time, it is the one whose
    /// lesser nonce is the greater, so that both sides keep the same (the rule of RFC 7296 section 2.8.1).
    /// Whoever began what is kept deletes what it replaces; in a collision whoever began what is not.
    pub(crate) fn settle(&mut self, now: Instant, id: u64) {
        let Some(new) = self.children.get(id).cloned() else {
            return;
        };
        let rivals: Vec<u64> = self
            .children
            .others_like(&new)
            .map(|live| live.id)
            .collect();
        for rival in rivals {
            let Some(old) = self.children.get(rival) else {
                continue;
            };
            let apart = new.established.saturating_duration_since(old.established);
            let window = COLLISION.min(old.lifetime / 4);
            let collision = new.role != old.role && new.replaces != Some(rival) && apart < window;
            let (loser, winner) = if collision && new.nonce < old.nonce {
                (id, rival)
            } else {
                (rival, id)
            };
            let ours = if collision {
                self.children
                    .get(loser)
                    .is_some_and(|l| l.role == Role::Initiator)
            } else {
                new.role == Role::Initiator
            };
            self.supersede(now, loser, winner, ours);
            if loser == id {
                break;
            }
        }
    }

    /// One SA takes another's place. `ours`: it is ours to delete that one.
    fn supersede(&mut self, now: Instant, loser: u64, winner: u64, ours: bool) {
        if let Some(live) = self.children.get_mut(loser) {
            let linger = if ours { LINGER } else { LINGER_LONG };
            live.superseded = Some(Superseded {
                by: winner,
                ends_at: now + linger,
            });
            live.rekey_at = None;
            self.schedule(Party::Child(loser));
        }
    }

    /// An SA ended. What it took the place of has it again, unless there is another.
    pub(crate) fn reinstate(&mut self, now: Instant, ended: &Live) {
        let orphans: Vec<u64> = self
            .children
            .of_pair(ended.pair)
            .filter(|live| live.superseded.is_some_and(|s| s.by == ended.id))
            .map(|live| live.id)
            .collect();
        for id in orphans {
            let Some(live) = self.children.get(id) else {
                continue;
            };
            let other = self.children.others_like(live).map(|other| other.id).max();
            let part = self.core.rekey_part(live.role);
            if let Some(live) = self.children.get_mut(id) {
                if let (Some(other), Some(superseded)) = (other, &mut live.superseded) {
                    superseded.by = other;
                } else {
                    live.superseded = None;
                    let soon = after(live.established, live.lifetime.mul_f64(part));
                    live.rekey_at = Some(soon.max(now + LINGER));
                }
            }
            self.schedule(Party::Child(id));
        }
    }
}
