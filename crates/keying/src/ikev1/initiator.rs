//! Main Mode, the initiator's half (RFC 2409 section 5).

use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, MmState, Role};
use isakmp::{Cookie, Datagram, ExchangeType, NotifyType, Payload, RawPayload};

use super::aggressive;
use super::authentication::{Method, Proves};
use super::certificates::{self};
use super::messages::{self, Payloads, identification, notification};
use super::nat;
use super::negotiation::{Failure, Negotiation, Route, Step, new_cookie};
use super::proposals::{self, Lifetime};
use super::shared::{
    check_hash, check_identity, check_key_exchange, check_signature, derive, detect_nat, keys_of,
    nat_payloads, new_sa, own_hash, own_identity, read_identity, sealed, share_of,
};
use super::state::{Heard, KeSent, Proving, State};
use crate::config::Connection;
use crate::core::Core;
use crate::endpoint::Party;
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

/// Begins a negotiation: message 1 of Main Mode goes out, or is being made, for Aggressive Mode. Else it has failed,
/// as the step says.
pub(crate) fn begin(
    core: &mut Core,
    now: Instant,
    connection: &Arc<Connection>,
    route: Route,
    replaces: Option<u64>,
) -> (Negotiation, Step) {
    let exchange = if connection.aggressive {
        ExchangeType::AGGRESSIVE
    } else {
        ExchangeType::IDENTITY_PROTECTION
    };
    let cookies = (new_cookie(core), Cookie::ZERO);
    let mut negotiation = Negotiation::new(core, now, Role::Initiator, exchange, route, cookies);
    negotiation.connection = Some(connection.clone());
    negotiation.replaces = replaces;
    if connection.aggressive {
        let step = aggressive::initiator::begin(core, &mut negotiation, now, connection);
        return (negotiation, step);
    }
    let methods = Method::all_of(connection, Role::Initiator, true);
    let offer = proposals::offer(&methods, &connection.proposals, Lifetime::of(connection));
    let sa = Payload::Sa(offer).to_raw();
    negotiation.state = State::SaSent {
        sa_body: sa.body.clone(),
    };
    let mut payloads = vec![sa];
    payloads.extend(messages::vendor_ids(connection));
    let header = negotiation.header(ExchangeType::IDENTITY_PROTECTION, 0);
    let message = isakmp::build::message(header, &payloads);
    negotiation.launch(core, now, message, MmState::SentFirst);
    (negotiation, Step::Stay)
}

/// Message 2: what the responder chose.
pub(crate) fn message_2(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    payloads: &Payloads,
) -> Step {
    let (State::SaSent { .. }, Some(connection)) = (&n.state, &n.connection) else {
        return Step::Stay;
    };
    let chosen = match payloads.sa() {
        Ok((sa, _)) => {
            let methods = Method::all_of(connection, Role::Initiator, true);
            let (suites, lifetime) = (&connection.proposals, Lifetime::of(connection));
            match proposals::check_answer(&methods, suites, lifetime, sa) {
                Ok(chosen) => chosen,
                Err(refusal) => {
                    return Step::Evidence(Failure::local(refusal.cause).with(refusal.detail));
                }
            }
        }
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    let Some(job) = core.start_job(
        Party::Negotiation(n.id),
        Job::MakeShare {
            group: chosen.suite.group,
        },
    ) else {
        return Failure::local(Cause::QueueFull).into();
    };
    n.authenticates_by(chosen.method);
    let State::SaSent { sa_body } = std::mem::replace(&mut n.state, State::Moving) else {
        return Step::Stay;
    };
    n.state = State::MakingShare {
        job,
        sa_body,
        chosen,
    };
    n.responder_cookie = datagram.header.responder_cookie;
    n.learn(payloads.all());
    n.deadline = Some(now + JOB_TIMEOUT);
    Step::Stay
}

/// The key pair for message 3 is there.
pub(crate) fn share_made(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::MakingShare {
        sa_body, chosen, ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    let (public, private) = match share_of(result) {
        Ok(share) => share,
        Err(failure) => return failure.into(),
    };
    let nonce = core.bytes(OUR_NONCE_LEN);
    let mut payloads = vec![
        Payload::KeyExchange(public.clone()).to_raw(),
        Payload::Nonce(nonce.clone()).to_raw(),
    ];
    if let (Some(connection), Proves::Signature(method)) = (&n.connection, chosen.method.responder)
    {
        payloads.extend(certificates::requests(connection, Some(method)));
    }
    match nat_payloads(n, &chosen) {
        Ok(digests) => payloads.extend(digests),
        Err(error) => return Failure::from(error).into(),
    }
    let message = isakmp::build::message(n.header(ExchangeType::IDENTITY_PROTECTION, 0), &payloads);
    n.state = State::KeSent {
        sent: Box::new(KeSent {
            sa_body,
            chosen,
            public,
            private,
            nonce,
        }),
    };
    n.deadline = None;
    n.launch(core, now, message, MmState::SentSecond);
    Step::Stay
}

/// Message 4: the responder's half of the key exchange.
pub(crate) fn message_4(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    payloads: &Payloads,
) -> Step {
    let (State::KeSent { sent }, Some(connection)) = (&n.state, &n.connection) else {
        return Step::Stay;
    };
    let (peer_public, peer_nonce) = match payloads.key_exchange() {
        Ok(found) => found,
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    if let Err(failure) = check_key_exchange(&sent.chosen, &peer_public) {
        return Step::Evidence(failure);
    }
    if peer_public == sent.public && peer_nonce == sent.nonce {
        return Step::Invalid(
            Cause::PacketOutOfPlace,
            "our own message came back".to_owned(),
        );
    }
    if peer_public == sent.public || peer_nonce == sent.nonce {
        return Step::Evidence(
            Failure::local(Cause::KeInvalid)
                .with("the peer sent our own public value or nonce back"),
        );
    }
    let nat = match detect_nat(n, &sent.chosen, &n.route, payloads) {
        Ok(nat) => nat,
        Err(error) => return Failure::from(error).into(),
    };
    let share = Some((sent.public.clone(), sent.private.clone()));
    let nonces = [sent.nonce.clone(), peer_nonce];
    let job = derive(
        core,
        n,
        connection,
        &sent.chosen,
        share,
        peer_public.clone(),
        nonces,
    );
    let job = match job {
        Ok(job) => job,
        Err(failure) => return failure.into(),
    };
    n.state = State::DerivingForId {
        job,
        sent: sent.clone(),
        peer_public,
        nat,
    };
    n.deadline = Some(now + JOB_TIMEOUT);
    n.learn(payloads.all());
    Step::Stay
}

/// The keys for message 5 are there. `first_contact`: there is no live SA with this peer.
pub(crate) fn derived(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
    first_contact: bool,
) -> Step {
    let State::DerivingForId {
        sent,
        peer_public,
        nat,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    n.deadline = None;
    let (keys, skeyid) = match keys_of(core, n, &sent.chosen, result) {
        Ok((keys, skeyid, _)) => (keys, skeyid),
        Err(failure) if failure.cause == Cause::KeInvalid => {
            // The true message 4 may still come.
            n.duplicates.retract();
            n.state = State::KeSent { sent };
            return Step::Evidence(failure);
        }
        Err(failure) => return failure.into(),
    };
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let iv = match crypto::phase1_iv(keys.hash, keys.cipher, &sent.public, &peer_public) {
        Ok(iv) => iv,
        Err(error) => return Failure::from(error).into(),
    };
    n.float(&connection, nat);
    let local_id = own_identity(n, &connection);
    let proving = Box::new(Proving {
        sa_body: sent.sa_body,
        chosen: sent.chosen,
        own_public: sent.public,
        peer_public,
        skeyid,
        keys,
        iv,
        local_id,
    });
    let hash = match own_hash(n, &proving) {
        Ok(hash) => hash,
        Err(error) => return Failure::from(error).into(),
    };
    let sent = match proving.chosen.method.initiator {
        Proves::Psk | Proves::Hash => {
            let proof = vec![Payload::Hash(hash).to_raw()];
            message_5(core, n, now, proving, nat, proof, first_contact)
        }
        Proves::Signature(method) => match certificates::sign(core, n, &connection, method, hash) {
            Ok(job) => {
                n.deadline = Some(now + JOB_TIMEOUT);
                n.state = State::SigningForId {
                    job,
                    proving,
                    nat,
                    first_contact,
                };
                Ok(())
            }
            Err(failure) => Err(failure),
        },
    };
    match sent {
        Ok(()) => Step::Stay,
        Err(failure) => failure.into(),
    }
}

/// Our proof for message 5 is signed.
pub(crate) fn signed(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::SigningForId {
        proving,
        nat,
        first_contact,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    n.deadline = None;
    let (Some(connection), Proves::Signature(method)) =
        (n.connection.clone(), proving.chosen.method.initiator)
    else {
        return Step::Stay;
    };
    let sent = certificates::signed(n, &connection, method, result)
        .and_then(|proof| message_5(core, n, now, proving, nat, proof, first_contact));
    match sent {
        Ok(()) => Step::Stay,
        Err(failure) => failure.into(),
    }
}

/// Sends message 5: our identity, and our proof with what belongs to it.
fn message_5(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    mut proving: Box<Proving>,
    nat: nat::Nat,
    proof: Vec<RawPayload>,
    first_contact: bool,
) -> Result<(), Failure> {
    let mut payloads = vec![identification(&proving.local_id)];
    payloads.extend(proof);
    if first_contact {
        payloads.push(notification(
            n.cookies(),
            NotifyType::INITIAL_CONTACT,
            Vec::new(),
        ));
    }
    let (message, last_block) = sealed(n, &proving.keys, &proving.iv, &payloads)?;
    proving.iv = last_block;
    n.local_name = Some(proving.local_id.to_string());
    n.state = State::IdSent { proving, nat };
    n.launch(core, now, message, MmState::SentThird);
    Ok(())
}

/// Message 6: the responder's identity and proof.
pub(crate) fn message_6(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    route: Route,
) -> Step {
    let State::IdSent { proving, nat } = &n.state else {
        return Step::Stay;
    };
    let proves = proving.chosen.method.responder;
    let message = match read_identity(proving, datagram, proves) {
        Ok(message) => message,
        Err(unread) => return unread.step(&mut n.remote_name),
    };
    let heard = Heard::new(message, route, proving.keys.last_block(datagram.body));
    match proves {
        Proves::Psk | Proves::Hash => match check_hash(n, proving, &heard.message) {
            Ok(()) => accepted(core, n, now, heard),
            Err(step) => {
                n.remote_name = Some(heard.message.said());
                step
            }
        },
        Proves::Signature(method) => {
            let (proving, nat) = (proving.clone(), *nat);
            check_signature(core, n, now, proving, nat, method, heard)
        }
    }
}

/// The responder's signature and certificates were looked at.
pub(crate) fn checked(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::CheckingPeer {
        proving,
        nat,
        heard,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    n.deadline = None;
    n.state = State::IdSent { proving, nat };
    match certificates::checked(n, result) {
        Ok(()) => accepted(core, n, now, *heard),
        Err(refused) => refused.step(n, now, heard.last_block),
    }
}

/// The responder proved that it is who it says: whether that is the one we want.
fn accepted(core: &mut Core, n: &mut Negotiation, now: Instant, heard: Heard) -> Step {
    let Heard {
        message,
        last_block,
        ..
    } = heard;
    n.remote_name = Some(message.said());
    let (State::IdSent { proving, nat }, Some(connection)) = (&n.state, n.connection.clone())
    else {
        return Step::Stay;
    };
    let remote = n.route.remote.ip();
    let sa = check_identity(&connection, &message.identification, remote, *nat).and_then(|id| {
        let block = last_block.clone();
        new_sa(core, n, now, proving, *nat, block, &connection, id)
    });
    match sa {
        Ok(sa) => Step::Establish {
            heard_block: sa.last_block.clone(),
            sa: Box::new(sa),
            reply: Vec::new(),
            initial_contact: message.initial_contact,
        },
        // The responder took it for established when it sent message 6.
        Err(failure) => Step::FailProven {
            failure,
            last_block,
        },
    }
}
