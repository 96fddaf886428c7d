//! From a datagram to the negotiation or SA that it is for.

use std::net::SocketAddr;
use std::time::Instant;

use audit::{Cause, KeyMod};
use isakmp::{Cookie, Datagram, ExchangeType, Payload, PayloadType, Trailing, non_esp};

use crate::endpoint::{Endpoint, Party};
use crate::first_message;
use crate::ikev1::duplicates::{Seen, digest};
use crate::ikev1::fragments::Assembled;
use crate::ikev1::informational::{self, SaStep};
use crate::ikev1::messages::Payloads;
use crate::ikev1::negotiation::{Early, Failure, Negotiation, NegotiationId, Route, Step};
use crate::ikev1::state::State;
use crate::ikev1::{aggressive, initiator, responder, xauth};
use crate::invalid::key_mod;

/// A datagram that parsed, with how it came.
pub(crate) struct Received<'a> {
    pub route: Route,
    pub datagram: Datagram<'a>,
    /// Without marker.
    pub whole: &'a [u8],
}

impl Endpoint {
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    ) {
        if bytes == non_esp::KEEPALIVE {
            return;
        }
        let (bytes, marked) = match non_esp::strip(bytes) {
            Some(inner) => (inner, true),
            // ESP: another's business.
            None if self.core.config.nat_ports.contains(&local.port()) => return,
            None => (bytes, false),
        };
        self.message(
            now,
            Route {
                local,
                remote,
                marked,
            },
            bytes,
            true,
        );
    }

    /// A message was not sent. It is lost like any other, and sent again; if that is how it ends, the verdict says so.
    pub(crate) fn unsent(&mut self, bytes: &[u8], out_of_memory: bool, why: String) {
        let Ok(datagram) = Datagram::parse(non_esp::strip(bytes).unwrap_or(bytes)) else {
            return;
        };
        let header = &datagram.header;
        let cookies = (header.initiator_cookie, header.responder_cookie);
        let party = self.by_own_cookie.get(&cookies.0);
        let fate = match party.or_else(|| self.by_cookies.get(&cookies)) {
            Some(Party::Negotiation(id)) => {
                let negotiation = self.negotiations.get_mut(id);
                negotiation.and_then(|negotiation| negotiation.fate_of(header.exchange))
            }
            Some(Party::Sa(id)) => {
                let quick = self.quick_by_message.get(&(*id, header.message_id));
                let quick = quick.and_then(|quick| self.quick.get_mut(quick));
                let flight = quick.and_then(|quick| quick.flight.as_mut());
                flight.map(|flight| &mut flight.fate)
            }
            _ => None,
        };
        if let Some(fate) = fate {
            let cause = if out_of_memory {
                Cause::OutOfMemory
            } else {
                Cause::NotSent
            };
            fate.unsent = Some(Failure::local(cause).with(why));
        }
    }

    fn message(&mut self, now: Instant, route: Route, whole: &[u8], may_be_fragment: bool) {
        let datagram = match Datagram::parse(whole) {
            Ok(datagram) => datagram,
            Err(error) => {
                if let Some(header) = first_message::of_version_2(whole) {
                    let module = (KeyMod::IkeV2, "IKE version 2");
                    return self.not_spoken(now, route, &header, module);
                }
                let detail = error.to_string();
                self.invalid(
                    now,
                    route,
                    key_mod(whole),
                    None,
                    Cause::PacketMalformed,
                    detail,
                );
                return;
            }
        };
        let received = Received {
            route,
            datagram,
            whole,
        };
        if received.datagram.header.next_payload == PayloadType::FRAGMENT {
            self.fragment(now, &received, may_be_fragment);
            return;
        }
        if received.datagram.header.exchange.is_authip() {
            self.authip(now, &received);
            return;
        }
        self.dispatch(now, &received);
    }

    fn fragment(&mut self, now: Instant, received: &Received<'_>, allowed: bool) {
        let Received {
            route,
            datagram,
            whole,
        } = received;
        let parsed = isakmp::parse_chain(PayloadType::FRAGMENT, datagram.body, Trailing::Alignment)
            .and_then(|chain| {
                chain
                    .payloads
                    .iter()
                    .map(Payload::parse)
                    .collect::<Result<Vec<_>, _>>()
            });
        let why = match parsed.as_deref() {
            Ok([Payload::Fragment(fragment)]) if allowed => {
                match self
                    .fragments
                    .add(now, route.remote, &datagram.header, fragment.clone())
                {
                    Assembled::Waiting => return,
                    Assembled::Whole(bytes) => {
                        self.message(now, *route, &bytes, false);
                        return;
                    }
                    Assembled::Contradiction => {
                        "a fragment contradicts others of its message".to_owned()
                    }
                }
            }
            Ok(_) => "a fragment is not alone in its message, or is within another".to_owned(),
            Err(error) => error.to_string(),
        };
        self.invalid(
            now,
            *route,
            key_mod(whole),
            None,
            Cause::PacketMalformed,
            why,
        );
    }

    fn dispatch(&mut self, now: Instant, received: &Received<'_>) {
        let header = received.datagram.header;
        if header.initiator_cookie.is_zero() {
            self.odd(
                now,
                received,
                Cause::PacketMalformed,
                "the initiator's cookie is zero",
            );
            return;
        }
        if header.responder_cookie.is_zero() && header.exchange != ExchangeType::INFORMATIONAL {
            self.first_message(now, received);
            return;
        }
        let cookies = (header.initiator_cookie, header.responder_cookie);
        match self.by_cookies.get(&cookies).copied() {
            Some(Party::Negotiation(id)) => self.for_negotiation(now, id, received),
            Some(Party::Sa(id)) => self.for_sa(now, id, received),
            Some(Party::Quick(_) | Party::Child(_)) | None => {
                let own = self.by_own_cookie.get(&header.initiator_cookie);
                let awaits_message_2 = own.and_then(|party| match party {
                    Party::Negotiation(id) => self.negotiations.get(id),
                    _ => None,
                });
                let awaits_message_2 = awaits_message_2.filter(|n| n.responder_cookie.is_zero());
                if let Some(id) = awaits_message_2.map(|n| n.id) {
                    self.for_negotiation(now, id, received);
                } else if !self.is_over(now, cookies) {
                    self.odd(
                        now,
                        received,
                        Cause::PacketOutOfPlace,
                        "its cookies are of no SA",
                    );
                }
            }
        }
    }

    /// Whether these cookies are of something that ended a while ago; also the first alone, of a
    /// negotiation that nobody answered in time.
    fn is_over(&self, now: Instant, cookies: (Cookie, Cookie)) -> bool {
        self.remembered.ended(now, &cookies)
            || self.remembered.ended(now, &(cookies.0, Cookie::ZERO))
    }

    /// A message without responder's cookie: it begins an exchange.
    fn first_message(&mut self, now: Instant, received: &Received<'_>) {
        let header = received.datagram.header;
        let origin = (received.route.remote, header.initiator_cookie);
        if header.flags.encrypted() || header.message_id != 0 {
            self.odd(
                now,
                received,
                Cause::PacketOutOfPlace,
                "a first message is in clear and has no ID",
            );
            return;
        }
        match self.by_origin.get(&origin).copied() {
            Some(Party::Negotiation(id)) => return self.for_negotiation(now, id, received),
            Some(Party::Sa(id)) => return self.for_sa(now, id, received),
            Some(Party::Quick(_) | Party::Child(_)) | None => {}
        }
        if let Some(reply) = self.remembered.refused(now, &(origin, KeyMod::IkeV1)) {
            if self.core.rates.refusal(now, received.route.remote.ip()) {
                self.core.transmit(received.route, &reply);
            }
            return;
        }
        if self.by_own_cookie.contains_key(&header.initiator_cookie) {
            self.odd(
                now,
                received,
                Cause::PacketOutOfPlace,
                "our own message came back",
            );
            return;
        }
        match header.exchange {
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => {
                self.begin_as_responder(now, received);
            }
            exchange => {
                let why = format!("a {exchange} exchange cannot be the first");
                self.odd(now, received, Cause::PacketOutOfPlace, &why);
            }
        }
    }

    /// A message whose cookies are of a negotiation.
    fn for_negotiation(&mut self, now: Instant, id: NegotiationId, received: &Received<'_>) {
        let Some(mut n) = self.negotiations.remove(&id) else {
            return;
        };
        let fingerprint = digest(received.whole);
        let from_peer = n.route.leads_to(received.route.remote);
        match n.duplicates.look_up(&fingerprint, from_peer) {
            Seen::New => {}
            Seen::Before => return self.keep(n),
            Seen::Last(datagrams) => {
                let datagrams = datagrams.to_vec();
                n.answer.again();
                self.core.transmit(n.route, &datagrams);
                return self.keep(n);
            }
        }
        let step = self.step(now, &mut n, received);
        let kept = matches!((&step, &n.state), (Step::Evidence(_), State::IdSent { .. }))
            && received.datagram.header.exchange == ExchangeType::INFORMATIONAL
            && received.datagram.header.flags.encrypted()
            && n.keep_early(received.route, received.whole);
        let begins = n.evidence.is_none();
        // What was taken is known again when it comes again.
        let moved = matches!(step, Step::Stay | Step::Establish { .. });
        let of_phase_1 = received.datagram.header.exchange == n.exchange;
        if moved && of_phase_1 {
            n.duplicates.accept(fingerprint);
            n.unreadable = None;
        }
        if let (State::MakingShare { .. } | State::AggressiveDeriving { .. }, true) =
            (&n.state, moved)
        {
            self.by_cookies
                .insert(n.cookies(), Party::Negotiation(n.id));
        }
        if moved && of_phase_1 {
            let working = n.job().is_some();
            match &mut n.evidence {
                Some(evidence) if working => evidence.contested = true,
                Some(_) => self.refuted(now, &mut n),
                None => {}
            }
        }
        self.apply(now, n, step, received.route.remote);
        if kept
            && begins
            && let Some(n) = self.negotiations.get_mut(&id)
        {
            n.evidence
                .iter_mut()
                .for_each(|evidence| evidence.kept = true);
        }
    }

    fn step(&mut self, now: Instant, n: &mut Negotiation, received: &Received<'_>) -> Step {
        let Received {
            route,
            datagram,
            whole,
        } = received;
        let header = &datagram.header;
        let out_of_place = |why: &str| Step::Invalid(Cause::PacketOutOfPlace, why.to_owned());
        if let State::Establishing(_)
        | State::CheckingPeer { .. }
        | State::SigningForAnswer { .. } = &n.state
        {
            // It may be for the SA that is about to stand.
            if header.flags.encrypted() && header.message_id != 0 && n.keep_early(*route, whole) {
                return Step::Ignore;
            }
            return out_of_place("the last message is still being worked on");
        }
        if n.is_our_own(whole) {
            return out_of_place("our own message came back");
        }
        if let State::Xauth(_) = &n.state {
            return during_xauth(&mut self.core, n, now, received);
        }
        if let (State::IdSent { .. } | State::AggressiveAnswered { .. }, ExchangeType::TRANSACTION) =
            (&n.state, header.exchange)
            && n.connection.as_ref().is_some_and(|c| c.xauth.is_some())
            && n.keep_early(*route, whole)
        {
            // It overtook message 6, or message 3 of Aggressive Mode.
            return Step::Ignore;
        }
        let floats = matches!(
            n.state,
            State::KeAnswered { .. } | State::AggressiveAnswered { .. }
        ) && (header.flags.encrypted() || n.exchange == ExchangeType::AGGRESSIVE);
        // A responder that could not read message 5 has not floated: its answer comes from where its
        // other messages came from.
        let unfloated = matches!(n.state, State::IdSent { .. })
            && header.exchange == ExchangeType::INFORMATIONAL
            && route.remote == n.origin;
        let same_source = if floats {
            route.remote.ip() == n.route.remote.ip()
        } else {
            route.remote == n.route.remote || unfloated
        };
        if !same_source {
            return out_of_place("it comes from another address than the negotiation's");
        }
        if route.local.ip() != n.route.local.ip() {
            return out_of_place("it came to another of our addresses than the negotiation's");
        }
        match header.exchange {
            ExchangeType::INFORMATIONAL => {
                // An answer to message 1 may know the responder's cookie or not.
                let known = n.responder_cookie.is_zero()
                    || header.responder_cookie == n.responder_cookie
                    || header.responder_cookie.is_zero();
                if known {
                    informational::during_negotiation(n, datagram)
                } else {
                    out_of_place("other cookies")
                }
            }
            exchange if exchange == n.exchange && header.message_id != 0 => Step::Invalid(
                Cause::PacketMalformed,
                format!("a message of {exchange} has no message ID"),
            ),
            exchange if exchange != n.exchange => {
                out_of_place(&format!("{exchange} during {}", n.exchange))
            }
            ExchangeType::AGGRESSIVE => aggressive_mode(&mut self.core, n, now, received),
            _ => main_mode(&mut self.core, n, now, received),
        }
    }

    /// A message whose cookies are of an SA.
    fn for_sa(&mut self, now: Instant, id: u64, received: &Received<'_>) {
        let Some(sa) = self.sas.get_mut(&id) else {
            return;
        };
        let Received {
            route,
            datagram,
            whole,
        } = received;
        if [ExchangeType::IDENTITY_PROTECTION, ExchangeType::AGGRESSIVE]
            .contains(&datagram.header.exchange)
        {
            let fingerprint = digest(whole);
            let late = sa.reply_until.is_none();
            let from_peer = sa.route.leads_to(route.remote);
            match sa.duplicates.look_up(&fingerprint, from_peer) {
                Seen::Last(datagrams) => {
                    let datagrams = datagrams.to_vec();
                    self.core.transmit(sa.route, &datagrams);
                }
                Seen::Before if !late => {}
                Seen::Before => self.odd(
                    now,
                    received,
                    Cause::PacketReplayed,
                    "Main Mode is long over",
                ),
                Seen::New => self.odd(now, received, Cause::PacketOutOfPlace, "Main Mode is over"),
            }
            return;
        }
        let header = &datagram.header;
        let exchange = header.exchange;
        let with_children = !sa.connection.children.is_empty();
        let of_quick_mode = self.quick_by_message.contains_key(&(id, header.message_id))
            || sa.done.contains_key(&header.message_id);
        if exchange == ExchangeType::QUICK_MODE && with_children
            || exchange == ExchangeType::INFORMATIONAL && of_quick_mode
        {
            return self.quick_mode(now, id, received);
        }
        let before = sa.route;
        let step = informational::under_sa(&mut self.core, sa, now, datagram, route.remote, whole);
        if sa.route != before {
            self.moved(id, before.remote);
        }
        self.after(now, id, received, step);
    }

    /// Does what a message under an SA asks for.
    fn after(&mut self, now: Instant, id: u64, received: &Received<'_>, step: SaStep) {
        let header = &received.datagram.header;
        match step {
            SaStep::Several(steps) => {
                for step in steps {
                    if self.sas.contains_key(&id) {
                        self.after(now, id, received, step);
                    }
                }
            }
            SaStep::Stay => self.schedule(Party::Sa(id)),
            SaStep::Invalid(cause, why) => {
                let quick = header.exchange == ExchangeType::QUICK_MODE;
                self.odd_during(now, received.route, Party::Sa(id), quick, cause, why);
            }
            SaStep::ChildrenDeleted(delete) => {
                self.schedule(Party::Sa(id));
                self.deleted_by_peer(now, id, &delete);
            }
            SaStep::QuickModeRefused(told) => {
                self.schedule(Party::Sa(id));
                self.told_by_peer(now, id, &told);
            }
            SaStep::Asked(heard) => {
                self.schedule(Party::Sa(id));
                self.transaction_asked(now, id, header.message_id, &heard, received.whole);
            }
            SaStep::Answered(what, config) => {
                self.schedule(Party::Sa(id));
                self.transaction_answered(now, id, what, &config);
            }
            SaStep::Connected(spi) => {
                self.schedule(Party::Sa(id));
                self.connected(now, id, &spi);
            }
            SaStep::Deleted => {
                self.end_sa(now, id, Cause::DeletedByPeer, false);
            }
            SaStep::Spent => {
                self.end_sa(now, id, Cause::MessageIdsUsedUp, true);
            }
            SaStep::InitialContact => {
                self.schedule(Party::Sa(id));
                self.initial_contact(now, id);
            }
        }
    }

    /// A message that came before its SA stood.
    pub(crate) fn early(&mut self, now: Instant, early: &Early) {
        self.message(now, early.route, &early.bytes, false);
    }
}

/// While a user is being asked for.
fn during_xauth(
    core: &mut crate::core::Core,
    n: &mut Negotiation,
    now: Instant,
    received: &Received<'_>,
) -> Step {
    let Received {
        route,
        datagram,
        whole,
    } = received;
    let header = &datagram.header;
    // Who is behind a NAT may be elsewhere by now: what proves it is under the keys.
    if route.remote.ip() != n.route.remote.ip() {
        let why = "it comes from another address than the negotiation's";
        return Step::Invalid(Cause::PacketOutOfPlace, why.to_owned());
    }
    let under_keys = header.flags.encrypted() && header.message_id != 0;
    match header.exchange {
        ExchangeType::TRANSACTION => xauth::message(core, n, now, datagram, *route, whole),
        ExchangeType::INFORMATIONAL if under_keys => {
            xauth::informational(n, datagram, *route, whole)
        }
        // It may be for the SA that is about to stand; until then it is not even decrypted.
        ExchangeType::QUICK_MODE if under_keys && n.keep_early(*route, whole) => Step::Ignore,
        exchange => Step::Invalid(
            Cause::PacketOutOfPlace,
            format!("{exchange} while a user is asked for"),
        ),
    }
}

/// Aggressive Mode's own messages, by what the state waits for.
fn aggressive_mode(
    core: &mut crate::core::Core,
    n: &mut Negotiation,
    now: Instant,
    received: &Received<'_>,
) -> Step {
    let Received {
        route, datagram, ..
    } = received;
    match &n.state {
        State::AggressiveSent { .. } if datagram.header.flags.encrypted() => Step::Invalid(
            Cause::PacketOutOfPlace,
            "a message encrypted where one in clear was due".to_owned(),
        ),
        State::AggressiveSent { .. } => match Payloads::clear(datagram) {
            Ok(payloads) => aggressive::initiator::message_2(core, n, now, datagram, &payloads),
            Err(why) => Step::Invalid(Cause::PacketMalformed, why),
        },
        State::AggressiveAnswered { .. } => {
            aggressive::responder::message_3(core, n, now, datagram, *route)
        }
        _ => Step::Invalid(
            Cause::PacketOutOfPlace,
            "the last message is still being worked on".to_owned(),
        ),
    }
}

/// Main Mode's own messages, by what the state waits for.
fn main_mode(
    core: &mut crate::core::Core,
    n: &mut Negotiation,
    now: Instant,
    received: &Received<'_>,
) -> Step {
    let Received {
        route, datagram, ..
    } = received;
    let encrypted = datagram.header.flags.encrypted();
    let wants_encrypted = match &n.state {
        State::IdSent { .. } | State::KeAnswered { .. } => true,
        State::SaSent { .. } | State::KeSent { .. } | State::SaAnswered { .. } => false,
        _ => {
            return Step::Invalid(
                Cause::PacketOutOfPlace,
                "the last message is still being worked on".to_owned(),
            );
        }
    };
    if encrypted != wants_encrypted {
        let word = if encrypted { "encrypted" } else { "in clear" };
        return Step::Invalid(
            Cause::PacketOutOfPlace,
            format!("a message {word} where the other was due"),
        );
    }
    if encrypted {
        return match &n.state {
            State::IdSent { .. } => initiator::message_6(core, n, now, datagram, *route),
            _ => responder::message_5(core, n, now, datagram, *route),
        };
    }
    let payloads = match Payloads::clear(datagram) {
        Ok(payloads) => payloads,
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    match &n.state {
        State::SaSent { .. } => initiator::message_2(core, n, now, datagram, &payloads),
        State::KeSent { .. } => initiator::message_4(core, n, now, &payloads),
        _ => responder::message_3(core, n, now, &payloads),
    }
}
