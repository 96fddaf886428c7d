//! Quick Mode, the responder's half (RFC 2409 section 5.5).

use std::time::{Duration, Instant};

use audit::{Cause, QmState, Role};
use isakmp::{Attribute, NotifyType, Payload, ProtocolId, RawPayload, ipsec};

use super::initiator::ids;
use super::messages::{Body, Proof, notification, sealed};
use super::proposals::{self, Choice, Encapsulation, Policy};
use super::selectors::{Candidate, candidates};
use super::shared::{Own, agreed, check_public, compresses, heard_originals, originals, ready};
use super::{Quick, QuickState, QuickStep, Reply, Terms};
use crate::child::Cpis;
use crate::core::Core;
use crate::endpoint::Party;
use crate::ikev1::negotiation::Failure;
use crate::ikev1::sa::{Configuring, Sa};
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

/// Message 1, proven by HASH(1): chooses a child and a proposal. `quick.iv` is of message 2; `own` is for when we
/// agree.
pub(crate) fn message_1(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    payloads: &[RawPayload],
    own: Own,
) -> QuickStep {
    let body = match Body::of(payloads) {
        Ok(body) => body,
        Err(failure) => return failure.into(),
    };
    quick.named = body
        .sa
        .proposals
        .first()
        .map(|proposal| (proposal.protocol.0, proposal.spi.clone()));
    let (candidate, choice, answer) = match choose(sa, quick, &body, own.cpi.is_some()) {
        Ok(found) => found,
        Err(failure) => return failure.into(),
    };
    quick.child = Some(candidate.child.clone());
    quick.pair = Some(candidate.pair);
    quick.encapsulation = Some(choice.encapsulation);
    quick.own_spi = Some(own.spi);
    quick.own_cpi = own.cpi.filter(|_| choice.cpi.is_some());
    let nonce = core.bytes(OUR_NONCE_LEN);
    let (terms, reply) = agree(sa, &body, &candidate, &choice, answer, own, nonce);
    quick.peer_original = terms.peer_original;
    let (Some(group), Some(peer_public)) = (choice.suite.group, body.public) else {
        return message_2(sa, quick, terms, *reply, None);
    };
    if let Err(failure) = check_public(group, &peer_public, None) {
        return failure.into();
    }
    let job = Job::Agree {
        group,
        share: None,
        peer_public,
    };
    let Some(job) = core.start_job(Party::Quick(quick.id), job) else {
        return Failure::local(Cause::QueueFull).into();
    };
    quick.deadline = Some(now + JOB_TIMEOUT);
    quick.state = QuickState::AgreeingAsResponder {
        job,
        terms: Box::new(terms),
        reply,
    };
    QuickStep::Stay
}

/// The child that the peer's selectors fit best and that has one of its proposals. `cpi`: there is one of ours.
fn choose(
    sa: &Sa,
    quick: &mut Quick,
    body: &Body,
    cpi: bool,
) -> Result<(Candidate, Choice, isakmp::SecurityAssociation), Failure> {
    let ends = sa.ends();
    let told = body.selectors(false)?.unwrap_or_else(|| ends.own());
    quick.pair = Some(told);
    let found = candidates(&sa.connection.children, &ends, told);
    let mut refused = None;
    for candidate in found {
        let policy = Policy {
            suites: &candidate.child.proposals,
            mode: candidate.child.mode,
            compress: cpi && compresses(sa, &candidate.child, &candidate.pair),
            udp_possible: sa.route.marked,
            public_len: body.public.as_ref().map(Vec::len),
        };
        match proposals::choose(&policy, &body.sa) {
            Ok((choice, answer)) => return Ok((candidate, choice, answer)),
            Err(failure) => {
                if refused.is_none() {
                    // The verdict is about the child that it was meant for.
                    quick.child = Some(candidate.child);
                    refused = Some(failure);
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        let cause = if sa.configuring == Configuring::Unserved {
            Cause::PoolUsedUp
        } else {
            Cause::SelectorsRefused
        };
        Failure::local(cause).with(format!(
            "the peer asks for {} here and {} there",
            told.local, told.remote
        ))
    }))
}

/// What is agreed, and what message 2 says of it.
fn agree(
    sa: &Sa,
    body: &Body,
    candidate: &Candidate,
    choice: &Choice,
    mut answer: isakmp::SecurityAssociation,
    own: Own,
    nonce: Vec<u8>,
) -> (Terms, Box<Reply>) {
    let child = &candidate.child;
    let Encapsulation { mode, udp } = choice.encapsulation;
    let (peer_original, own_original) = heard_originals(body.originals, Role::Responder, mode, udp);
    let own_kilobytes = child.lifetime_bytes.map(|bytes| (bytes / 1024).max(1));
    let Own { spi, cpi } = own;
    let cpis = Cpis::of(cpi, choice.cpi);
    for proposal in &mut answer.proposals {
        proposal.spi = match cpis {
            Some(cpis) if proposal.protocol == ProtocolId::IPCOMP => {
                cpis.inbound.to_be_bytes().to_vec()
            }
            _ => spi.to_be_bytes().to_vec(),
        };
    }
    let mut rest: Vec<RawPayload> = match &body.ids {
        Some(_) if candidate.narrowed => ids(&candidate.pair, Role::Responder).to_vec(),
        // As they came.
        Some(told) => told
            .iter()
            .map(|id| Payload::Identification(id.clone()).to_raw())
            .collect(),
        None => Vec::new(),
    };
    rest.extend(originals(sa, Role::Responder, mode, udp));
    let shorter = child.lifetime < choice.lifetime;
    let fewer = own_kilobytes.is_some_and(|own| choice.kilobytes.is_none_or(|told| own < told));
    if shorter || fewer {
        let told = lifetime(
            shorter.then_some(child.lifetime),
            own_kilobytes.filter(|_| fewer),
        );
        let protocol = ProtocolId(choice.suite.protocol.number());
        let spi = spi.to_be_bytes().to_vec();
        rest.push(notification(
            protocol,
            spi,
            NotifyType::RESPONDER_LIFETIME,
            told,
        ));
    }
    let terms = Terms {
        suite: choice.suite,
        encapsulation: choice.encapsulation,
        pair: candidate.pair,
        own_spi: spi,
        peer_spi: choice.spi,
        cpis,
        ni: body.nonce.clone(),
        nr: nonce,
        lifetime: choice.lifetime.min(child.lifetime),
        kilobytes: [choice.kilobytes, own_kilobytes]
            .into_iter()
            .flatten()
            .min(),
        peer_original,
        own_original,
    };
    let reply = Reply {
        sa: Payload::Sa(answer).to_raw(),
        rest,
    };
    (terms, Box::new(reply))
}

/// The data of a RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1).
fn lifetime(seconds: Option<Duration>, kilobytes: Option<u64>) -> Vec<u8> {
    let mut list: Vec<Attribute> = Vec::new();
    if let Some(seconds) = seconds {
        list.extend(proposals::life(
            ipsec::LIFE_SECONDS,
            seconds.as_secs().max(1),
        ));
    }
    if let Some(kilobytes) = kilobytes {
        list.extend(proposals::life(ipsec::LIFE_KILOBYTES, kilobytes));
    }
    let mut data = Vec::new();
    Attribute::emit_all(&list, &mut data);
    data
}

/// The key exchange is computed.
pub(crate) fn agreed_with_initiator(
    sa: &mut Sa,
    quick: &mut Quick,
    result: JobResult,
) -> QuickStep {
    let QuickState::AgreeingAsResponder { terms, reply, .. } =
        std::mem::replace(&mut quick.state, QuickState::Moving)
    else {
        return QuickStep::Stay;
    };
    quick.deadline = None;
    match agreed(result) {
        Ok(found) => message_2(sa, quick, *terms, *reply, Some(&found)),
        Err(failure) => failure.into(),
    }
}

/// Message 2; it is sent again until message 3 comes.
fn message_2(
    sa: &mut Sa,
    quick: &mut Quick,
    terms: Terms,
    reply: Reply,
    exchange: Option<&(Vec<u8>, crypto::Secret)>,
) -> QuickStep {
    let mut payloads = vec![reply.sa, Payload::Nonce(terms.nr.clone()).to_raw()];
    if let Some((public, _)) = exchange {
        payloads.push(Payload::KeyExchange(public.clone()).to_raw());
    }
    payloads.extend(reply.rest);
    let proof = Proof::Second { ni: &terms.ni };
    let (message, iv) = match sealed(sa, quick.message_id, &quick.iv, &proof, &payloads) {
        Ok(found) => found,
        Err(error) => return error.into(),
    };
    let ready = match ready(sa, terms, exchange.map(|(_, gxy)| gxy)) {
        Ok(ready) => ready,
        Err(failure) => return failure.into(),
    };
    quick.iv = iv;
    quick.sent = QmState::SentFirst;
    quick.state = QuickState::Answered(Box::new(ready));
    QuickStep::Answer(message)
}

/// Message 3, proven by HASH(3): the initiator has what we answered.
pub(crate) fn message_3(quick: &mut Quick) -> QuickStep {
    match std::mem::replace(&mut quick.state, QuickState::Moving) {
        QuickState::Answered(ready) => {
            quick.flight = None;
            QuickStep::Establish(ready)
        }
        other => {
            quick.state = other;
            QuickStep::Stay
        }
    }
}
