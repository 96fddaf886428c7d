//! `auto` children that failed or ended while their Main Mode SA stands: they are begun again. So is the Main Mode SA
//! where the peer left a Quick Mode without an answer: it may have lost it.

use std::time::Instant;

use audit::{Cause, Role};

use super::Quick;
use super::live::Live;
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::sa::Again;
use crate::limits::{AUTO_AGAIN, AUTO_RETRY_FIRST, AUTO_RETRY_LAST, AUTO_STEADY};

impl Endpoint {
    /// A Quick Mode failed. One of the peer's may have been what a child of ours waited for.
    pub(super) fn quick_failed(&mut self, now: Instant, quick: &Quick, cause: Cause) {
        if cause == Cause::QuickModeNoAnswer
            && quick.role == Role::Initiator
            && let Some(sa) = self.sas.get_mut(&quick.mmsa_id)
        {
            sa.unanswered = Some(quick.begun);
        }
        let Some(child) = quick.child.as_ref().filter(|child| child.auto) else {
            return;
        };
        // What the operator ended is not to come again, and what the peer has begun as well is there.
        if !matches!(
            cause,
            Cause::StoppedByOperator
                | Cause::PolicyChanged
                | Cause::ShuttingDown
                | Cause::RekeyCollision
        ) {
            self.again_after_failure(now, &quick.connection.name, &child.name);
        }
    }

    /// A child SA ended.
    pub(super) fn child_lost(&mut self, now: Instant, live: &Live, cause: Cause) {
        let lost = matches!(
            cause,
            Cause::Expired | Cause::DeletedByPeer | Cause::LostByDataPlane
        );
        if !lost || !live.child.auto {
            return;
        }
        let (connection, child) = (&live.connection.name, &live.child.name);
        // What is ended as soon as it is there would be so the next time.
        if cause != Cause::Expired && now < live.since + AUTO_STEADY {
            return self.again_after_failure(now, connection, child);
        }
        self.again(connection, child, |_| Again {
            at: now + AUTO_AGAIN,
            wait: AUTO_RETRY_FIRST,
        });
    }

    /// An `auto` child is tried again, after a wait that grows. Several of its Quick Modes that fail at a time are one
    /// failure.
    fn again_after_failure(&mut self, now: Instant, connection: &str, child: &str) {
        self.again(connection, child, |before| match before {
            Some(before) if before.at > now => before,
            before => {
                let wait = before.map_or(AUTO_RETRY_FIRST, |before| before.wait);
                Again {
                    at: now + wait,
                    wait: (wait * 2).min(AUTO_RETRY_LAST),
                }
            }
        });
    }

    /// An `auto` child comes again under the newest SA of its connection; when follows from what was said before.
    fn again(&mut self, connection: &str, child: &str, when: impl Fn(Option<Again>) -> Again) {
        let newest = self.newest_sa(|sa| sa.connection.name == connection);
        let Some(sa) = newest.and_then(|id| self.sas.get_mut(&id)) else {
            return;
        };
        let again = when(sa.again.get(child).copied());
        sa.again.insert(child.to_owned(), again);
        sa.auto_at = earlier(sa.auto_at, Some(again.at));
        let id = sa.mmsa_id;
        self.schedule(Party::Sa(id));
    }

    /// Begins the `auto` children of an SA that are due and have no SA.
    pub(super) fn begin_due_children(&mut self, now: Instant, mmsa_id: u64) {
        let Some(connection) = self.sas.get(&mmsa_id).map(|sa| sa.connection.clone()) else {
            return;
        };
        let mut next = None;
        for child in connection.children.iter().filter(|child| child.auto) {
            let again = self
                .sas
                .get(&mmsa_id)
                .and_then(|sa| sa.again.get(&child.name));
            match again.filter(|again| again.at > now) {
                Some(again) => next = earlier(next, Some(again.at)),
                None => self.begin_child(now, mmsa_id, child, false),
            }
        }
        if let Some(sa) = self.sas.get_mut(&mmsa_id) {
            sa.auto_at = earlier(sa.auto_at, next);
        }
    }

    /// Whether a Main Mode SA is in doubt; then its successor is negotiated, under which the children begin. Should
    /// that fail, `auto` children are tried again later.
    pub(super) fn succeeds_in_doubt(&mut self, now: Instant, mmsa_id: u64) -> bool {
        let sa = self.sas.get(&mmsa_id).filter(|sa| sa.is_in_doubt());
        let Some(sa) = sa else {
            return false;
        };
        let autos = sa.connection.children.iter().filter(|child| child.auto);
        let names: Vec<String> = autos.map(|child| child.name.clone()).collect();
        let begins = self.wants_successor(mmsa_id);
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            return false;
        };
        for name in names {
            let wait = sa
                .again
                .get(&name)
                .map_or(AUTO_RETRY_FIRST, |again| again.wait);
            if begins {
                let again = Again {
                    // Under the successor at once.
                    at: now,
                    wait: (wait * 2).min(AUTO_RETRY_LAST),
                };
                sa.again.insert(name, again);
            }
            sa.auto_at = earlier(sa.auto_at.filter(|at| *at > now), Some(now + wait));
        }
        self.begin_successor(now, mmsa_id);
        self.schedule(Party::Sa(mmsa_id));
        true
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
