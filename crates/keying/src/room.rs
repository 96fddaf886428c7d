//! How many Main Mode SAs there may be, in all and of one holder, and which of them gives way to a new one.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use audit::Cause;
use isakmp::Cookie;

use crate::endpoint::{Endpoint, Party};
use crate::ikev1::negotiation::Negotiation;
use crate::ikev1::sa::Sa;
use crate::limits::{MAX_SAS, MAX_SAS_PER_HOLDER};

impl Endpoint {
    /// Whether there are as many Main Mode SAs as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.sas.len() >= MAX_SAS
    }

    /// Whether a peer may begin although all is full: from where one has an SA, it may be about to replace it. Who it is
    /// shows when it has proven itself.
    pub(crate) fn may_replace(&self, source: IpAddr) -> bool {
        let first = (SocketAddr::new(source, 0), Cookie::ZERO);
        let of_source = self.by_origin.range(first..);
        // No further than the half-open negotiations of the source.
        of_source
            .take_while(|((origin, _), _)| origin.ip() == source)
            .any(|(_, party)| matches!(party, Party::Sa(_)))
    }

    /// Whether a negotiation replaces an SA of ours, and so adds none.
    pub(crate) fn replaces_one(&self, n: &Negotiation) -> bool {
        n.replaces.is_some_and(|old| self.sas.contains_key(&old))
    }

    /// Whether all is full, and none could give way to this SA, which both sides proved.
    pub(crate) fn has_no_room(&self, n: &Negotiation, sa: &Sa) -> bool {
        self.is_full() && !self.replaces_one(n) && self.oldest_of_holder(sa).is_none()
    }

    /// An SA that came to stand is one too many, in all or of its holder: the holder's oldest ends.
    pub(crate) fn keep_within_bounds(&mut self, now: Instant, id: u64) {
        let Some(sa) = self.sas.get(&id) else { return };
        // They are counted only where there can be so many.
        let too_many = self.sas.len() > MAX_SAS
            || self.sas.len() > MAX_SAS_PER_HOLDER
                && self.sas_by_holder.of(sa.holder()).count() > MAX_SAS_PER_HOLDER;
        if too_many && let Some(oldest) = self.oldest_of_holder(sa) {
            self.end_sa(now, oldest, Cause::GaveWay, true);
        }
    }

    /// The oldest other SA of the same holder: if there is one of the same peer, that, for it may be the one replaced.
    fn oldest_of_holder(&self, sa: &Sa) -> Option<u64> {
        let other = |old: &&Sa| old.mmsa_id != sa.mmsa_id && old.holder() == sa.holder();
        let of_holder = self.sas_by_holder.of(sa.holder());
        let of_holder = of_holder.filter_map(|id| self.sas.get(&id).map(|old| &**old));
        let mut candidates = self.sas_with(&sa.remote_id).chain(of_holder);
        candidates.find(other).map(|old| old.mmsa_id)
    }
}
