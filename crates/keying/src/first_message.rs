//! Messages that begin a negotiation: taken, refused for good, or not spoken.

use std::time::Instant;

use audit::{Cause, KeyMod};
use isakmp::{Cookie, Datagram, ExchangeType, Header, NotifyType, non_esp};

use crate::config::{self, Candidate};
use crate::dispatch::Received;
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::duplicates::digest;
use crate::ikev1::messages::{self, Payloads};
use crate::ikev1::negotiation::{Failure, Negotiation, NegotiationId, Route, Step};
use crate::ikev1::{aggressive, responder};
use crate::limits::{MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE, REFUSAL_HOLD};

impl Endpoint {
    pub(crate) fn begin_as_responder(&mut self, now: Instant, received: &Received<'_>) {
        let Received {
            route,
            datagram,
            whole,
        } = received;
        let payloads =
            Payloads::clear(datagram).and_then(|payloads| payloads.first_sa().map(|()| payloads));
        let candidates = config::candidates(
            &self.core.connections,
            &self.core.names,
            route.local.ip(),
            route.remote.ip(),
            route.remote.port(),
        );
        let payloads = match payloads {
            Ok(payloads) => Ok(payloads),
            Err(why) => {
                // What else stands in a message of an exchange that is refused is nobody's concern.
                let refused = datagram.header.exchange == ExchangeType::AGGRESSIVE
                    && !candidates.is_empty()
                    && candidates.iter().all(|c| !c.connection.aggressive);
                let failure = match messages::offer(datagram) {
                    Some(Ok(_)) if refused => Some(Failure::local(Cause::AggressiveModeRefused)),
                    Some(Err(error)) => messages::foreign(&error),
                    _ => None,
                };
                let Some(failure) = failure else {
                    return self.odd(now, received, Cause::PacketMalformed, &why);
                };
                Err(failure)
            }
        };
        let mut n = responder::begin(&mut self.core, now, &datagram.header, *route);
        n.connection = candidates.first().map(|first| first.connection.clone());
        let only_we_begin = self.only_we_begin(&candidates);
        let may_begin = |candidate: &Candidate| !candidate.connection.initiator_only;
        let candidates: Vec<Candidate> = candidates.into_iter().filter(may_begin).collect();
        let step = if let Some(cause) = self.over_limit(route) {
            Failure::local(cause).into()
        } else if only_we_begin {
            Failure::local(Cause::InitiatorOnly).into()
        } else {
            match payloads {
                Ok(payloads)
                    if datagram.header.exchange == ExchangeType::AGGRESSIVE
                        && !candidates.is_empty() =>
                {
                    aggressive::responder::message_1(
                        &mut self.core,
                        &mut n,
                        now,
                        &payloads,
                        &candidates,
                    )
                }
                Ok(payloads) => {
                    // A connection is for one exchange: with a pre-shared key each has its own way to find it.
                    let of_main_mode = |candidate: &&Candidate| !candidate.connection.aggressive;
                    let for_this: Vec<Candidate> =
                        candidates.iter().filter(of_main_mode).cloned().collect();
                    if for_this.is_empty() && !candidates.is_empty() {
                        Failure::local(Cause::MainModeRefused).into()
                    } else {
                        responder::message_1(&mut self.core, &mut n, now, &payloads, &for_this)
                    }
                }
                Err(failure) => failure.into(),
            }
        };
        match step {
            Step::Invalid(cause, why) => self.odd(now, received, cause, &why),
            Step::Fail(failure) => {
                self.core.started(&mut self.counters);
                self.refuse(now, &n, failure, datagram);
            }
            _ => {
                self.make_way(now, route);
                self.core.started(&mut self.counters);
                n.duplicates.accept_first(digest(whole));
                let party = Party::Negotiation(n.id);
                self.by_origin
                    .insert((route.remote, n.initiator_cookie), party);
                self.by_cookies.insert(n.cookies(), party);
                self.half_open.enter(&n);
                self.keep(n);
            }
        }
    }

    /// Whether the peer may not begin; where no connection is for it, whether nobody may.
    fn only_we_begin(&self, candidates: &[Candidate]) -> bool {
        let all = &self.core.connections;
        if candidates.is_empty() {
            !all.is_empty() && all.iter().all(|connection| connection.initiator_only)
        } else {
            candidates
                .iter()
                .all(|candidate| candidate.connection.initiator_only)
        }
    }

    /// Why there is no room for another half-open negotiation, of this source or of all, unless one gives way.
    fn full(&self, route: &Route) -> Option<Cause> {
        if self.half_open.of(route.remote.ip()) >= MAX_HALF_OPEN_PER_SOURCE {
            Some(Cause::RateLimited)
        } else {
            (self.half_open.total() >= MAX_HALF_OPEN).then_some(Cause::TooManyHalfOpen)
        }
    }

    /// Which gives way where it is full for that.
    fn gives_way(&self, route: &Route, full: Cause) -> Option<NegotiationId> {
        let source = route.remote.ip();
        if full == Cause::RateLimited {
            self.half_open.lone_of(source)
        } else {
            self.half_open.gives_way_to(source)
        }
    }

    /// Lets that one go for one that is taken, so that nobody is shut out.
    fn make_way(&mut self, now: Instant, route: &Route) {
        let found = self
            .full(route)
            .and_then(|full| self.gives_way(route, full));
        if let Some(n) = found.and_then(|id| self.negotiations.remove(&id)) {
            let failure = if n.heard_message_1_alone() {
                n.silence()
            } else {
                // It may have been about to go on.
                Failure::local(Cause::TooManyHalfOpen)
            };
            self.fail(now, &n, failure.with("it gave way to a newer one"));
        }
    }

    fn over_limit(&self, route: &Route) -> Option<Cause> {
        if self.stopping {
            Some(Cause::ShuttingDown)
        } else if self.is_full() && !self.may_replace(route.remote.ip()) {
            Some(Cause::TooManySas)
        } else {
            let nobody_gives_way = |full: &Cause| self.gives_way(route, *full).is_none();
            self.full(route).filter(nobody_gives_way)
        }
    }

    /// A negotiation that fails with its first message: one verdict, one refusal in clear, no state but
    /// the memory of both.
    fn refuse(&mut self, now: Instant, n: &Negotiation, failure: Failure, datagram: &Datagram<'_>) {
        let route = n.route;
        let kind = match failure.cause {
            Cause::TooManySas
            | Cause::TooManyHalfOpen
            | Cause::RateLimited
            | Cause::ShuttingDown
            | Cause::InitiatorOnly => None,
            Cause::AggressiveModeRefused | Cause::MainModeRefused => {
                Some(NotifyType::UNSUPPORTED_EXCHANGE_TYPE)
            }
            Cause::IdentityMismatch => Some(NotifyType::INVALID_ID_INFORMATION),
            Cause::UnknownDoi => Some(NotifyType::DOI_NOT_SUPPORTED),
            Cause::UnknownSituation => Some(NotifyType::SITUATION_NOT_SUPPORTED),
            _ => Some(NotifyType::NO_PROPOSAL_CHOSEN),
        };
        let reply = kind.map(|kind| {
            let message_id = self.core.message_id();
            let cookies = (datagram.header.initiator_cookie, Cookie::ZERO);
            let message = messages::refusal(cookies, message_id, kind);
            if route.marked {
                non_esp::prepend(&message)
            } else {
                message
            }
        });
        let reply: Vec<Vec<u8>> = reply.into_iter().collect();
        if self.core.rates.refusal(now, route.remote.ip()) {
            self.core.transmit(route, &reply);
        }
        let origin = (route.remote, n.initiator_cookie);
        self.remembered
            .refuse(now, REFUSAL_HOLD, (origin, n.key_mod), reply);
        self.fail(now, n, failure);
    }

    /// AuthIP is not spoken yet: its first message gets a verdict and no answer, so that the peer
    /// turns to IKE.
    pub(crate) fn authip(&mut self, now: Instant, received: &Received<'_>) {
        let header = received.datagram.header;
        let first =
            header.exchange == ExchangeType::AUTHIP_MAIN_MODE && header.responder_cookie.is_zero();
        if !first || header.initiator_cookie.is_zero() {
            let why = format!("an AuthIP {} message without negotiation", header.exchange);
            return self.odd(now, received, Cause::PacketOutOfPlace, &why);
        }
        self.not_spoken(now, received.route, &header, (KeyMod::AuthIp, "AuthIP"));
    }

    /// A peer begins with a keying module that is not spoken: one verdict, however often it says so, and no answer.
    pub(crate) fn not_spoken(
        &mut self,
        now: Instant,
        route: Route,
        header: &Header,
        (key_mod, name): (KeyMod, &str),
    ) {
        let origin = (route.remote, header.initiator_cookie);
        if self.remembered.refused(now, &(origin, key_mod)).is_some() {
            return;
        }
        let known = self.by_own_cookie.get(&header.initiator_cookie);
        if let Some(party) = self.by_origin.get(&origin).or(known).copied() {
            let why =
                format!("a first message of {name} with the cookie of a negotiation that is there");
            let about = self.about(party);
            return self.invalid(now, route, key_mod, about, Cause::PacketOutOfPlace, why);
        }
        let candidates = config::candidates(
            &self.core.connections,
            &self.core.names,
            route.local.ip(),
            route.remote.ip(),
            route.remote.port(),
        );
        let mut n = responder::begin(&mut self.core, now, header, route);
        n.key_mod = key_mod;
        n.connection = candidates.first().map(|first| first.connection.clone());
        let cause = if candidates.is_empty() {
            Cause::NoConnection
        } else {
            Cause::KeyingModuleRefused
        };
        self.core.started(&mut self.counters);
        self.remembered
            .refuse(now, REFUSAL_HOLD, (origin, key_mod), Vec::new());
        let failure = Failure::local(cause).with(format!("the peer began with {name}"));
        self.fail(now, &n, failure);
    }
}

/// The major version of IKEv2's messages.
pub(crate) const VERSION_2: u8 = 2;

/// The header of a message that begins an IKE SA of version 2 (RFC 7296 section 3.1).
pub(crate) fn of_version_2(whole: &[u8]) -> Option<Header> {
    // The flag I of the original initiator, and not R of an answer.
    const FROM_INITIATOR: u8 = 0x08;
    Header::parse(whole).ok().filter(|header| {
        header.major == VERSION_2
            && header.exchange == ExchangeType::IKE_SA_INIT
            && header.flags.0 == FROM_INITIATOR
            && !header.initiator_cookie.is_zero()
            && header.responder_cookie.is_zero()
            && usize::try_from(header.length) == Ok(whole.len())
    })
}
