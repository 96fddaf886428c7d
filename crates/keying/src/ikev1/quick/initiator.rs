//! Quick Mode, the initiator's half (RFC 2409 section 5.5).

use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, QmState, Role};
use isakmp::{NotifyType, Payload, RawPayload};

use super::messages::{Body, Proof, sealed};
use super::proposals::{self, Encapsulation, Offer};
use super::selectors::{Pair, identification};
use super::shared::{self, Own, agreed, check_public, heard_originals, originals, ready};
use super::{Offered, Quick, QuickState, QuickStep, Terms};
use crate::child::{Child, Cpis};
use crate::core::Core;
use crate::endpoint::Party;
use crate::ikev1::negotiation::Failure;
use crate::ikev1::sa::Sa;
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

/// Begins a Quick Mode for a pair of a child's selectors: message 1 goes out, or its key pair is made.
pub(crate) fn begin(
    core: &mut Core,
    sa: &mut Sa,
    now: Instant,
    child: &Arc<Child>,
    pair: Pair,
    own: Own,
) -> (Quick, QuickStep) {
    let message_id = core.message_id();
    // One of ours that comes back is a reflection.
    sa.message_ids.insert(message_id);
    let mut quick = shared::begin(
        core,
        now,
        sa,
        Role::Initiator,
        message_id,
        Some(child.clone()),
    );
    let suites = proposals::offerable(&child.proposals, sa.suite.group);
    let encapsulation = Encapsulation {
        mode: child.mode,
        udp: sa.encapsulates(),
    };
    quick.pair = Some(pair);
    quick.encapsulation = Some(encapsulation);
    quick.own_spi = Some(own.spi);
    quick.own_cpi = own.cpi;
    let Some(first) = suites.first() else {
        let failure = Failure::local(Cause::EspNotAcceptable)
            .with("the child has no proposal that version 1 of IKE can name");
        let step = QuickStep::Fail {
            failure,
            tell: false,
        };
        return (quick, step);
    };
    quick.named = Some((first.protocol.number(), own.spi.to_be_bytes().to_vec()));
    let group = first.group;
    let offer = Offer {
        suites,
        encapsulation,
        spi: own.spi,
        cpi: own.cpi,
        lifetime: child.lifetime,
        kilobytes: child.lifetime_bytes.map(|bytes| (bytes / 1024).max(1)),
    };
    let step = match group {
        None => message_1(core, sa, &mut quick, now, offer, None),
        Some(group) => match core.start_job(Party::Quick(quick.id), Job::MakeShare { group }) {
            Some(job) => {
                quick.deadline = Some(now + JOB_TIMEOUT);
                quick.state = QuickState::MakingShare {
                    job,
                    offer: Box::new(offer),
                };
                QuickStep::Stay
            }
            None => Failure::local(Cause::QueueFull).into(),
        },
    };
    (quick, step)
}

/// The key pair for message 1 is there.
pub(crate) fn share_made(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    result: JobResult,
) -> QuickStep {
    let QuickState::MakingShare { offer, .. } =
        std::mem::replace(&mut quick.state, QuickState::Moving)
    else {
        return QuickStep::Stay;
    };
    let group = offer.suites.first().and_then(|suite| suite.group);
    match (result, group) {
        (JobResult::Share { public, private }, Some(group)) => {
            let share = Some((group, public, private));
            message_1(core, sa, quick, now, *offer, share)
        }
        (JobResult::Failed(why), _) => Failure::local(Cause::DhFailure).with(why).into(),
        _ => Failure::local(Cause::DhFailure).into(),
    }
}

fn message_1(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    offer: Offer,
    share: Option<(crypto::Group, Vec<u8>, crypto::Secret)>,
) -> QuickStep {
    let Some(pair) = quick.pair else {
        return QuickStep::Stay;
    };
    let nonce = core.bytes(OUR_NONCE_LEN);
    let mut payloads = vec![
        Payload::Sa(proposals::offer(&offer)).to_raw(),
        Payload::Nonce(nonce.clone()).to_raw(),
    ];
    if let Some((_, public, _)) = &share {
        payloads.push(Payload::KeyExchange(public.clone()).to_raw());
    }
    payloads.extend(ids(&pair, Role::Initiator));
    let Encapsulation { mode, udp } = offer.encapsulation;
    payloads.extend(originals(sa, Role::Initiator, mode, udp));
    let id = quick.message_id;
    let message = sa
        .keys
        .exchange_iv(&sa.last_block, id)
        .and_then(|iv| sealed(sa, id, &iv, &Proof::First, &payloads));
    let (message, iv) = match message {
        Ok(found) => found,
        Err(error) => return error.into(),
    };
    quick.iv = iv;
    quick.deadline = None;
    quick.sent = QmState::SentFirst;
    quick.state = QuickState::Offered(Box::new(Offered {
        offer,
        nonce,
        share,
    }));
    quick.launch(core, sa, now, message);
    QuickStep::Stay
}

/// The ID payloads of a pair: the initiator's side first.
pub(crate) fn ids(pair: &Pair, role: Role) -> [RawPayload; 2] {
    let (initiator, responder) = match role {
        Role::Initiator => (pair.local, pair.remote),
        Role::Responder => (pair.remote, pair.local),
    };
    [initiator, responder]
        .map(|selector| Payload::Identification(identification(&selector)).to_raw())
}

/// Message 2, proven by HASH(2): what the responder chose. `iv`: of the message after it.
pub(crate) fn message_2(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    payloads: &[RawPayload],
    iv: Vec<u8>,
    commit: bool,
) -> QuickStep {
    let QuickState::Offered(offered) = std::mem::replace(&mut quick.state, QuickState::Moving)
    else {
        return QuickStep::Stay;
    };
    // Proven: from here on nothing else can be message 2.
    quick.iv = iv;
    quick.flight = None;
    let (terms, public) = match terms(quick, &offered, payloads) {
        Ok(found) => found,
        Err(failure) => return failure.into(),
    };
    quick.pair = Some(terms.pair);
    quick.peer_original = terms.peer_original;
    match (offered.share, public) {
        (Some((group, own, private)), Some(peer_public)) => {
            let job = Job::Agree {
                group,
                share: Some((own, private)),
                peer_public,
            };
            let Some(job) = core.start_job(Party::Quick(quick.id), job) else {
                return Failure::local(Cause::QueueFull).into();
            };
            quick.deadline = Some(now + JOB_TIMEOUT);
            quick.state = QuickState::AgreeingAsInitiator {
                job,
                terms: Box::new(terms),
                commit,
            };
            QuickStep::Stay
        }
        _ => message_3(core, sa, quick, now, terms, None, commit),
    }
}

/// What message 2 agrees to, and the responder's public value.
fn terms(
    quick: &Quick,
    offered: &Offered,
    payloads: &[RawPayload],
) -> Result<(Terms, Option<Vec<u8>>), Failure> {
    let body = Body::of(payloads)?;
    let choice = proposals::check_answer(&offered.offer, &body.sa)?;
    if body.nonce == offered.nonce {
        return Err(Failure::local(Cause::MalformedNonce).with("the peer sent our own nonce back"));
    }
    match (&offered.share, &body.public) {
        (Some((group, own, _)), Some(public)) => check_public(*group, public, Some(own))?,
        (None, None) => {}
        (Some(_), None) => {
            return Err(
                Failure::local(Cause::MalformedKe).with("the peer chose a group and sent no KE")
            );
        }
        (None, Some(_)) => {
            return Err(Failure::local(Cause::MalformedKe)
                .with("the peer sent a KE, and there is no group"));
        }
    }
    let Some(ours) = quick.pair else {
        return Err(Failure::local(Cause::MalformedId));
    };
    // No IDs where ours were: the peer agrees to what we said.
    let pair = match body.selectors(true)? {
        None => ours,
        Some(told) => ours.narrowed(&told).ok_or_else(|| {
            Failure::local(Cause::SelectorsRefused).with(format!(
                "we asked for {} and {}, the peer answered with {} and {}",
                ours.local, ours.remote, told.local, told.remote
            ))
        })?,
    };
    let Encapsulation { mode, udp } = choice.encapsulation;
    let (peer_original, own_original) = heard_originals(body.originals, Role::Initiator, mode, udp);
    let (seconds, kilobytes) = body.responder_lifetime();
    let told = seconds.map(std::time::Duration::from_secs);
    let limits = [choice.kilobytes, kilobytes, offered.offer.kilobytes];
    let terms = Terms {
        suite: choice.suite,
        encapsulation: choice.encapsulation,
        pair,
        own_spi: offered.offer.spi,
        peer_spi: choice.spi,
        cpis: Cpis::of(offered.offer.cpi, choice.cpi),
        ni: offered.nonce.clone(),
        nr: body.nonce,
        lifetime: [Some(choice.lifetime), told]
            .into_iter()
            .flatten()
            .fold(offered.offer.lifetime, std::time::Duration::min),
        kilobytes: limits.into_iter().flatten().min(),
        peer_original,
        own_original,
    };
    Ok((terms, body.public))
}

/// The secret of the key exchange is there.
pub(crate) fn agreed_with_responder(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    result: JobResult,
) -> QuickStep {
    let QuickState::AgreeingAsInitiator { terms, commit, .. } =
        std::mem::replace(&mut quick.state, QuickState::Moving)
    else {
        return QuickStep::Stay;
    };
    quick.deadline = None;
    match agreed(result) {
        Ok((_, gxy)) => message_3(core, sa, quick, now, *terms, Some(&gxy), commit),
        Err(failure) => failure.into(),
    }
}

/// Makes message 3. It goes out when the SA is installed; or at once, where the responder wants us to wait
/// for its CONNECTED: then nothing is used before that.
fn message_3(
    core: &mut Core,
    sa: &mut Sa,
    quick: &mut Quick,
    now: Instant,
    terms: Terms,
    gxy: Option<&crypto::Secret>,
    commit: bool,
) -> QuickStep {
    let proof = Proof::Third {
        ni: &terms.ni,
        nr: &terms.nr,
    };
    let (message, iv) = match sealed(sa, quick.message_id, &quick.iv, &proof, &[]) {
        Ok(found) => found,
        Err(error) => return error.into(),
    };
    let mut ready = match ready(sa, terms, gxy) {
        Ok(ready) => ready,
        Err(failure) => return failure.into(),
    };
    quick.iv = iv;
    ready.message_3 = sa.datagrams(message);
    if !commit {
        return QuickStep::Establish(Box::new(ready));
    }
    quick.sent = QmState::SentFinal;
    let datagrams = ready.message_3.clone();
    quick.duplicates.answered(&datagrams);
    quick.launch_again(core, sa, now, datagrams);
    quick.state = QuickState::Confirming(Box::new(ready));
    QuickStep::Stay
}

/// What may be the responder's CONNECTED, proven: the SA may be used (RFC 2408 section 3.1).
pub(crate) fn confirmed(quick: &mut Quick, payloads: &[RawPayload]) -> QuickStep {
    let says_so = payloads.iter().any(|raw| {
        matches!(Payload::parse(raw), Ok(Payload::Notification(n)) if n.kind == NotifyType::CONNECTED)
    });
    if !says_so {
        return QuickStep::Invalid(
            Cause::PacketOutOfPlace,
            "something else than CONNECTED after message 3".to_owned(),
        );
    }
    connected(quick)
}

/// The responder has message 3, and the SA may be used.
pub(crate) fn connected(quick: &mut Quick) -> QuickStep {
    match std::mem::replace(&mut quick.state, QuickState::Moving) {
        QuickState::Confirming(mut ready) => {
            quick.flight = None;
            // It was sent.
            ready.message_3 = Vec::new();
            QuickStep::Establish(ready)
        }
        other => {
            quick.state = other;
            QuickStep::Stay
        }
    }
}
