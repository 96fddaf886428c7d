//! From a datagram under a Main Mode SA to the Quick Mode that it is for.

use std::time::Instant;

use audit::{Cause, Role};
use isakmp::{ExchangeType, Flags, RawPayload};

use super::messages::{Proof, opened};
use super::shared::Own;
use super::{Quick, QuickId, QuickState, QuickStep, initiator, responder, shared};
use crate::dispatch::Received;
use crate::endpoint::{Endpoint, Party};
use crate::ikev1::duplicates::{Seen, digest};
use crate::ikev1::informational::{SaStep, under_sa_checks, use_message_id};
use crate::ikev1::negotiation::Failure;
use crate::ikev1::sa::Sa;
use crate::io::JobId;
use crate::job::JobResult;
use crate::limits::{MAX_QUICK_MODES_PER_SA, QUICK_BURST, QUICK_REFILL};

/// The payloads of a message whose hash is right, without that, and the IV of the exchange's next one.
type Proven = (Vec<RawPayload>, Vec<u8>);

impl Endpoint {
    /// A message of the Quick Mode exchange, under an SA whose connection has children; or an
    /// INFORMATIONAL with the message ID of a Quick Mode.
    pub(crate) fn quick_mode(&mut self, now: Instant, mmsa_id: u64, received: &Received<'_>) {
        let Received {
            datagram, route, ..
        } = received;
        let message_id = datagram.header.message_id;
        let key = (mmsa_id, message_id);
        if let Some(id) = self.quick_by_message.get(&key).copied() {
            return self.for_quick(now, id, received);
        }
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            return;
        };
        let fingerprint = digest(datagram.body);
        if let Some(done) = sa.done.get_mut(&message_id) {
            let from_peer = sa.route.leads_to(route.remote);
            match done.duplicates.look_up(&fingerprint, from_peer) {
                Seen::Last(datagrams) => {
                    let datagrams = datagrams.to_vec();
                    self.core.transmit(sa.route, &datagrams);
                }
                Seen::Before => {}
                // A CONNECTED again, or noise: it tells nothing of use.
                Seen::New => {
                    let why = "its Quick Mode is over".to_owned();
                    self.odd_quick(now, *route, mmsa_id, Cause::PacketOutOfPlace, why);
                }
            }
            return;
        }
        match self.begins(now, mmsa_id, received) {
            Ok(Some((payloads, iv))) => {
                self.begin_as_quick_responder(now, mmsa_id, received, &payloads, iv);
            }
            Ok(None) => {}
            Err(SaStep::Invalid(cause, why)) => self.odd_quick(now, *route, mmsa_id, cause, why),
            Err(_) => {
                self.end_sa(now, mmsa_id, Cause::MessageIdsUsedUp, true);
            }
        }
    }

    /// What may be a message 1: its payloads, proven, and the IV of message 2.
    fn begins(
        &mut self,
        now: Instant,
        mmsa_id: u64,
        received: &Received<'_>,
    ) -> Result<Option<Proven>, SaStep> {
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            return Ok(None);
        };
        let datagram = &received.datagram;
        let header = &datagram.header;
        under_sa_checks(sa, header)?;
        let Ok(iv) = sa.keys.exchange_iv(&sa.last_block, header.message_id) else {
            return Ok(None);
        };
        let payloads = opened(sa, header, &iv, datagram.body, &Proof::First).ok_or_else(|| {
            let why = "it does not decrypt, or its HASH is wrong".to_owned();
            SaStep::Invalid(Cause::PacketTampered, why)
        })?;
        // What is too much is not heard at all, and heard when it comes again.
        if !sa.quick_modes.take(now, QUICK_BURST, QUICK_REFILL) {
            return Ok(None);
        }
        use_message_id(sa, header.message_id)?;
        let iv = sa.keys.last_block(datagram.body);
        self.heard(now, mmsa_id, received);
        Ok(Some((payloads, iv)))
    }

    /// Something proven came under an SA.
    pub(crate) fn heard(&mut self, now: Instant, mmsa_id: u64, received: &Received<'_>) {
        if let Some(sa) = self.sas.get_mut(&mmsa_id) {
            let from = sa.route.remote;
            if sa.heard(now, received.route.remote, received.datagram.body.len()) {
                self.moved(mmsa_id, from);
            }
        }
    }

    fn begin_as_quick_responder(
        &mut self,
        now: Instant,
        mmsa_id: u64,
        received: &Received<'_>,
        payloads: &[RawPayload],
        iv: Vec<u8>,
    ) {
        self.make_room(now, mmsa_id);
        let full = self.too_many_children(mmsa_id);
        let spi = self.new_spi();
        let sa = self.sas.get(&mmsa_id);
        let compress = sa.is_some_and(|sa| sa.connection.children.iter().any(|c| c.compress));
        let cpi = if compress { self.new_cpi() } else { None };
        let Some(sa) = self.sas.get_mut(&mmsa_id) else {
            return;
        };
        let message_id = received.datagram.header.message_id;
        self.core.quick_started(&mut self.counters);
        let mut quick = shared::begin(&mut self.core, now, sa, Role::Responder, message_id, None);
        quick.iv = iv;
        quick
            .duplicates
            .accept_first(digest(received.datagram.body));
        let step = if full {
            Failure::local(Cause::TooManyQuickModes)
                .with("there are as many child SAs as there may be")
                .into()
        } else if self.stopping {
            Failure::local(Cause::ShuttingDown).into()
        } else {
            responder::message_1(
                &mut self.core,
                sa,
                &mut quick,
                now,
                payloads,
                Own { spi, cpi },
            )
        };
        if quick.own_spi.is_none() {
            self.spis.remove(&spi);
        }
        if let Some(cpi) = cpi.filter(|_| quick.own_cpi.is_none()) {
            self.cpis.remove(&cpi);
        }
        self.quick_by_message
            .insert((mmsa_id, message_id), quick.id);
        self.apply_quick(now, quick, step);
    }

    /// Where a peer has more Quick Modes under way than it may, the oldest gives way.
    fn make_room(&mut self, now: Instant, mmsa_id: u64) {
        let waiting = |quick: &&Quick| {
            quick.mmsa_id == mmsa_id
                && matches!(
                    quick.state,
                    QuickState::Answered(_) | QuickState::AgreeingAsResponder { .. }
                )
        };
        let mut all = self.quick.values().filter(waiting);
        let oldest = all.next().map(|quick| quick.id);
        if 1 + all.count() < MAX_QUICK_MODES_PER_SA {
            return;
        }
        if let Some(quick) = oldest.and_then(|id| self.quick.remove(&id)) {
            self.fail_quick(now, &quick, Failure::local(Cause::TooManyQuickModes));
        }
    }

    /// A message with the ID of a Quick Mode under way.
    fn for_quick(&mut self, now: Instant, id: QuickId, received: &Received<'_>) {
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        // The hash covers the body alone: with other flags it is the same message.
        let fingerprint = digest(received.datagram.body);
        let waits = matches!(quick.state, QuickState::Confirming(_));
        if waits && !commits(received) && quick.duplicates.is_last(&fingerprint) {
            // Message 2 without the commit bit: nobody but the responder could have made it, and anybody
            // could have set the bit in the copy that came first. There is nothing to wait for.
            let step = initiator::connected(&mut quick);
            self.apply_quick(now, quick, step);
            return;
        }
        let sa = self.sas.get(&quick.mmsa_id);
        let from_peer = sa.is_some_and(|sa| sa.route.leads_to(received.route.remote));
        match quick.duplicates.look_up(&fingerprint, from_peer) {
            Seen::New => {}
            Seen::Before => return self.keep_quick(quick),
            Seen::Last(datagrams) => {
                let datagrams = datagrams.to_vec();
                if let Some(sa) = self.sas.get(&quick.mmsa_id) {
                    self.core.transmit(sa.route, &datagrams);
                }
                return self.keep_quick(quick);
            }
        }
        let step = self.quick_step(now, &mut quick, received);
        self.apply_quick(now, quick, step);
    }

    fn quick_step(
        &mut self,
        now: Instant,
        quick: &mut Quick,
        received: &Received<'_>,
    ) -> QuickStep {
        let Some(sa) = self.sas.get(&quick.mmsa_id) else {
            return QuickStep::Stay;
        };
        let Some((payloads, iv)) = proven(sa, quick, received) else {
            let (cause, why) = match &quick.state {
                QuickState::Offered(_) | QuickState::Answered(_) | QuickState::Confirming(_) => (
                    Cause::PacketTampered,
                    "it does not decrypt, or its HASH is wrong",
                ),
                _ => (
                    Cause::PacketOutOfPlace,
                    "the last message is still being worked on",
                ),
            };
            return QuickStep::Invalid(cause, why.to_owned());
        };
        quick.duplicates.accept(digest(received.datagram.body));
        self.heard(now, quick.mmsa_id, received);
        let commit = commits(received);
        let Some(sa) = self.sas.get_mut(&quick.mmsa_id) else {
            return QuickStep::Stay;
        };
        let core = &mut self.core;
        match &quick.state {
            QuickState::Offered(_) => {
                initiator::message_2(core, sa, quick, now, &payloads, iv, commit)
            }
            QuickState::Confirming(_) => initiator::confirmed(quick, &payloads),
            _ => responder::message_3(quick),
        }
    }

    /// A worker's result for a Quick Mode.
    pub(crate) fn quick_job_done(
        &mut self,
        now: Instant,
        id: QuickId,
        job: JobId,
        result: JobResult,
    ) {
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        let sa = self.sas.get_mut(&quick.mmsa_id);
        let (true, Some(sa)) = (quick.job() == Some(job), sa) else {
            return self.keep_quick(quick);
        };
        let core = &mut self.core;
        let step = match &quick.state {
            QuickState::MakingShare { .. } => {
                initiator::share_made(core, sa, &mut quick, now, result)
            }
            QuickState::AgreeingAsInitiator { .. } => {
                initiator::agreed_with_responder(core, sa, &mut quick, now, result)
            }
            QuickState::AgreeingAsResponder { .. } => {
                responder::agreed_with_initiator(sa, &mut quick, result)
            }
            _ => QuickStep::Stay,
        };
        self.apply_quick(now, quick, step);
    }

    /// The responder's CONNECTED in an INFORMATIONAL of its own, proven.
    pub(crate) fn connected(&mut self, now: Instant, mmsa_id: u64, spi: &[u8]) {
        let confirming = |quick: &&Quick| {
            quick.mmsa_id == mmsa_id && matches!(quick.state, QuickState::Confirming(_))
        };
        let named = self.quick.values().filter(confirming).find(|quick| {
            let terms = quick.terms();
            terms.is_some_and(|t| spi == t.own_spi.to_be_bytes() || spi == t.peer_spi.to_be_bytes())
        });
        let only = || {
            let mut all = self.quick.values().filter(confirming);
            all.next().filter(|_| all.next().is_none())
        };
        let Some(id) = named.or_else(only).map(|quick| quick.id) else {
            return;
        };
        let Some(mut quick) = self.quick.remove(&id) else {
            return;
        };
        let step = initiator::connected(&mut quick);
        self.apply_quick(now, quick, step);
    }

    /// An invalid packet of a Quick Mode.
    pub(crate) fn odd_quick(
        &mut self,
        now: Instant,
        route: crate::ikev1::negotiation::Route,
        mmsa_id: u64,
        cause: Cause,
        why: String,
    ) {
        self.odd_during(now, route, Party::Sa(mmsa_id), true, cause, why);
    }
}

/// Whether a message has the commit bit.
fn commits(received: &Received<'_>) -> bool {
    received.datagram.header.flags.0 & Flags::COMMIT.0 != 0
}

/// The payloads of a message of this Quick Mode, proven, and the IV of the next one.
fn proven(sa: &Sa, quick: &Quick, received: &Received<'_>) -> Option<Proven> {
    let datagram = &received.datagram;
    let header = &datagram.header;
    let confirming = matches!(quick.state, QuickState::Confirming(_));
    if !header.flags.encrypted() || header.exchange != ExchangeType::QUICK_MODE && !confirming {
        return None;
    }
    let open = |iv: &[u8], proof: &Proof<'_>| opened(sa, header, iv, datagram.body, proof);
    let payloads = match &quick.state {
        QuickState::Offered(offered) => open(&quick.iv, &Proof::Second { ni: &offered.nonce }),
        QuickState::Answered(ready) => {
            let (ni, nr) = (&ready.terms.ni, &ready.terms.nr);
            open(&quick.iv, &Proof::Third { ni, nr })
        }
        QuickState::Confirming(ready) => {
            // RFC 2408 has CONNECTED in an INFORMATIONAL with this message ID; others have it as a fourth
            // message of Quick Mode. Of its IV neither says a word.
            let fresh = sa
                .keys
                .exchange_iv(&sa.last_block, header.message_id)
                .ok()?;
            let (ni, nr) = (&ready.terms.ni, &ready.terms.nr);
            let ways = [&quick.iv, &fresh];
            ways.into_iter().find_map(|iv| {
                open(iv, &Proof::First).or_else(|| open(iv, &Proof::Fourth { ni, nr }))
            })
        }
        _ => None,
    }?;
    Some((payloads, sa.keys.last_block(datagram.body)))
}
