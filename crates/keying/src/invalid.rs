//! Invalid packets: 4976, as many as the rates allow.

use std::time::Instant;

use audit::{Cause, Extra, KeyMod};
use isakmp::Header;

use crate::dispatch::Received;
use crate::endpoint::{Endpoint, Party};
use crate::first_message::VERSION_2;
use crate::ikev1::negotiation::Route;

impl Endpoint {
    /// An invalid packet, about what its cookies name.
    pub(crate) fn odd(&mut self, now: Instant, received: &Received<'_>, cause: Cause, why: &str) {
        let header = &received.datagram.header;
        let cookies = (header.initiator_cookie, header.responder_cookie);
        let party = self.by_cookies.get(&cookies).copied();
        let about = party.and_then(|party| self.about(party));
        let key_mod = key_mod(received.whole);
        self.invalid(now, received.route, key_mod, about, cause, why.to_owned());
    }

    /// An invalid packet about a negotiation or an SA.
    pub(crate) fn odd_about(
        &mut self,
        now: Instant,
        route: Route,
        party: Party,
        cause: Cause,
        why: String,
    ) {
        self.odd_during(now, route, party, false, cause, why);
    }

    /// The same; `quick`: during Quick Mode.
    pub(crate) fn odd_during(
        &mut self,
        now: Instant,
        route: Route,
        party: Party,
        quick: bool,
        cause: Cause,
        why: String,
    ) {
        let about = self.about(party);
        self.invalid_during(now, route, KeyMod::IkeV1, about, quick, cause, why);
    }

    /// Which negotiation or SA that is, in an event.
    pub(crate) fn about(&self, party: Party) -> Option<(audit::ActivityId, Option<String>)> {
        match party {
            Party::Negotiation(id) => self.negotiations.get(&id).map(|n| {
                let connection = n.connection.as_ref();
                (n.activity, connection.map(|known| known.name.clone()))
            }),
            Party::Sa(id) => self
                .sas
                .get(&id)
                .map(|sa| (sa.activity, Some(sa.connection.name.clone()))),
            Party::Quick(_) | Party::Child(_) => None,
        }
    }

    /// Writes 4976, or counts that it was held back.
    pub(crate) fn invalid(
        &mut self,
        now: Instant,
        route: Route,
        key_mod: KeyMod,
        about: Option<(audit::ActivityId, Option<String>)>,
        cause: Cause,
        why: String,
    ) {
        self.invalid_during(now, route, key_mod, about, false, cause, why);
    }

    /// The same, or 4977.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that an invalid packet is known by"
    )]
    fn invalid_during(
        &mut self,
        now: Instant,
        route: Route,
        key_mod: KeyMod,
        about: Option<(audit::ActivityId, Option<String>)>,
        quick: bool,
        cause: Cause,
        why: String,
    ) {
        if !self.core.rates.invalid(now, route.remote.ip()) {
            let change = if quick {
                self.counters.quick_held_back += 1;
                crate::Account::InvalidQuickModeHeldBack
            } else {
                self.counters.held_back += 1;
                crate::Account::InvalidHeldBack
            };
            self.core.out.push_back(crate::Output::Account(change));
            return;
        }
        let (activity, connection) =
            about.map_or((None, None), |(activity, name)| (Some(activity), name));
        let packet = audit::InvalidPacket {
            local: route.local.ip(),
            remote: route.remote.ip(),
            key_mod,
        };
        let event = if quick {
            audit::Event::InvalidQuickMode(packet)
        } else {
            audit::Event::InvalidPacket(packet)
        };
        let extra = Extra {
            connection,
            cause: Some(cause),
            detail: Some(why),
            ..Extra::default()
        };
        self.core.audit(event, activity, extra);
    }
}

/// The keying module whose message this wants to be.
pub(crate) fn key_mod(whole: &[u8]) -> KeyMod {
    match Header::parse(whole) {
        Ok(header) if header.exchange.is_authip() => KeyMod::AuthIp,
        Ok(header) if header.major == VERSION_2 && header.exchange.is_of_version_2() => {
            KeyMod::IkeV2
        }
        _ => KeyMod::IkeV1,
    }
}
