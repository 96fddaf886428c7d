//! `auto` children that failed or ended while their Main Mode SA stands: they are begun again. So is the Main Mode SA
//! where the peer left a Quick Mode without an answer: it may have lost it.

use std::time::{Duration, Instant};

use audit::{Cause, Role};

use super::Quick;
use super::live::Live;
use crate::endpoint::{Endpoint, Party};
use crate::limits::{AUTO_AGAIN, AUTO_RETRY_FIRST, AUTO_RETRY_LAST, AUTO_STEADY};

impl Endpoint {
    /// A Quick Mode of ours failed.
    pub(super) fn quick_failed(&mut self, now: Instant, quick: &Quick, cause: Cause) {
        if quick.role != Role::Initiator {
            return;
        }
        if cause == Cause::QuickModeNoAnswer
            && let Some(sa) = self.sas.get_mut(&quick.mmsa_id)
        {
            sa.unanswered = Some(quick.begun);
        }
        let auto = quick.child.as_ref().is_some_and(|child| child.auto);
        // What the operator ended is not to come again, and what the peer has begun as well is there.
        if auto
            && !matches!(
                cause,
                Cause::StoppedByOperator
                    | Cause::PolicyChanged
                    | Cause::ShuttingDown
                    | Cause::RekeyCollision
            )
        {
            self.again_after_failure(now, &quick.connection.name);
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
        let name = &live.connection.name;
        // What is ended as soon as it is there would be so the next time.
        if cause != Cause::Expired && now < live.established + AUTO_STEADY {
            return self.again_after_failure(now, name);
        }
        let newest = self.newest_sa(|sa| sa.connection.name == *name);
        if let Some(sa) = newest.and_then(|id| self.sas.get_mut(&id)) {
            sa.auto_wait = AUTO_RETRY_FIRST;
        }
        self.again(now, name, AUTO_AGAIN);
    }

    /// The `auto` children of a connection are tried again, after a wait that grows.
    fn again_after_failure(&mut self, now: Instant, connection: &str) {
        let newest = self.newest_sa(|sa| sa.connection.name == connection);
        let Some(sa) = newest.and_then(|id| self.sas.get_mut(&id)) else {
            return;
        };
        let wait = sa.auto_wait;
        // Several that fail at a time are one failure.
        if sa.auto_at.is_none() {
            sa.auto_wait = (wait * 2).min(AUTO_RETRY_LAST);
        }
        self.again(now, connection, wait);
    }

    fn again(&mut self, now: Instant, connection: &str, wait: Duration) {
        let newest = self.newest_sa(|sa| sa.connection.name == connection);
        let Some(sa) = newest.and_then(|id| self.sas.get_mut(&id)) else {
            return;
        };
        let at = now + wait;
        sa.auto_at = Some(sa.auto_at.map_or(at, |before| before.min(at)));
        let id = sa.mmsa_id;
        self.schedule(Party::Sa(id));
    }

    /// Whether a Main Mode SA is in doubt; then its successor is negotiated, under which the children begin. Should
    /// that fail, `auto` children are tried again later.
    pub(super) fn succeeds_in_doubt(&mut self, now: Instant, mmsa_id: u64) -> bool {
        let sa = self.sas.get(&mmsa_id).filter(|sa| sa.is_in_doubt());
        let Some(connection) = sa.map(|sa| sa.connection.clone()) else {
            return false;
        };
        self.begin_successor(now, mmsa_id);
        if connection.children.iter().any(|child| child.auto) {
            self.again_after_failure(now, &connection.name);
        }
        true
    }
}
