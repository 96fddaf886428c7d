//! Main Mode, the responder's half (RFC 2409 section 5).

use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, MmState, Role};
use isakmp::{Datagram, ExchangeType, Header, Payload, RawPayload};

use super::authentication::{Method, Proves};
use super::certificates::{self};
use super::messages::{Payloads, identification, vendor_ids};
use super::nat::Nat;
use super::negotiation::{Failure, Negotiation, Route, Step, new_cookie};
use super::proposals::{self, Chosen};
use super::shared::{
    accepts, check_hash, check_identity, check_key_exchange, check_signature, derive, detect_nat,
    keys_of, nat_payloads, new_sa, own_hash, own_identity, read_identity, sealed,
};
use super::state::{Heard, Proving, State};
use crate::config::{Candidate, Connection};
use crate::core::Core;
use crate::identity::Identity;
use crate::job::JobResult;
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

/// A negotiation that a peer's message 1 begins; nothing of it is judged yet.
pub(crate) fn begin(core: &mut Core, now: Instant, header: &Header, route: Route) -> Negotiation {
    let cookies = (header.initiator_cookie, header.responder_cookie);
    Negotiation::new(core, now, Role::Responder, header.exchange, route, cookies)
}

/// Message 1: chooses a connection and a proposal, and answers with message 2.
pub(crate) fn message_1(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    payloads: &Payloads,
    candidates: &[Candidate],
) -> Step {
    let (sa, sa_body) = match payloads.sa() {
        Ok(found) => found,
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    let Some(first) = candidates.first() else {
        return Failure::local(Cause::NoConnection)
            .with(format!(
                "no connection is for {} at {}",
                n.route.remote,
                n.route.local.ip()
            ))
            .into();
    };
    n.connection = Some(first.connection.clone());
    let mut refused = None;
    let mut taken = None;
    for candidate in candidates {
        let connection = &candidate.connection;
        let methods = Method::all_of(connection, Role::Responder, candidate.by_psk);
        match proposals::choose(&methods, &connection.proposals, sa) {
            Ok(found) => {
                taken = Some((connection, found));
                break;
            }
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    let Some((connection, (chosen, answer))) = taken else {
        let failure = refused.map_or_else(
            || Failure::local(Cause::NoAcceptableProposal),
            |refusal| Failure::local(refusal.cause).with(refusal.detail),
        );
        return failure.into();
    };
    // What is agreed now has to be so whichever of them the identity tells: suite, method, and the key that
    // SKEYID is made of.
    let method = chosen.method;
    n.alternatives = agreeing(candidates.iter(), connection, &chosen);
    n.connection = Some(connection.clone());
    n.responder_cookie = new_cookie(core);
    n.authenticates_by(method);
    n.learn(payloads.all());
    let mut reply = vec![Payload::Sa(answer).to_raw()];
    reply.extend(vendor_ids(connection));
    let message = isakmp::build::message(n.header(ExchangeType::IDENTITY_PROTECTION, 0), &reply);
    n.state = State::SaAnswered {
        sa_body: sa_body.to_vec(),
        chosen,
    };
    n.answer(core, now, message, MmState::SentFirst);
    Step::Stay
}

/// Of all that an offer may be for, what it is true for as agreed for one of them.
pub(crate) fn agreeing<'a>(
    candidates: impl Iterator<Item = &'a Candidate>,
    connection: &Connection,
    chosen: &Chosen,
) -> Vec<Arc<Connection>> {
    let method = chosen.method;
    candidates
        .filter(|other| {
            let credential = method.credential(&other.connection);
            other.connection.proposals.contains(&chosen.suite)
                && credential.is_some()
                && (method.signature().is_some()
                    || other.by_psk && credential == method.credential(connection))
        })
        .map(|other| other.connection.clone())
        .collect()
}

/// Message 3: the initiator's half of the key exchange.
pub(crate) fn message_3(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    payloads: &Payloads,
) -> Step {
    let (State::SaAnswered { sa_body, chosen }, Some(connection)) = (&n.state, &n.connection)
    else {
        return Step::Stay;
    };
    let (peer_public, peer_nonce) = match payloads.key_exchange() {
        Ok(found) => found,
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    if let Err(failure) = check_key_exchange(chosen, &peer_public) {
        return Step::Evidence(failure);
    }
    let nat = match detect_nat(n, chosen, &n.route, payloads) {
        Ok(nat) => nat,
        Err(error) => return Failure::from(error).into(),
    };
    let nonce = core.bytes(OUR_NONCE_LEN);
    let nonces = [peer_nonce, nonce.clone()];
    let public = peer_public.clone();
    let job = match derive(core, n, connection, chosen, None, public, nonces) {
        Ok(job) => job,
        Err(failure) => return failure.into(),
    };
    n.state = State::DerivingForKe {
        job,
        sa_body: sa_body.clone(),
        chosen: chosen.clone(),
        peer_public,
        nonce,
        nat,
    };
    n.deadline = Some(now + JOB_TIMEOUT);
    n.learn(payloads.all());
    Step::Stay
}

/// The keys are there: message 4 goes out.
pub(crate) fn derived(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::DerivingForKe {
        sa_body,
        chosen,
        peer_public,
        nonce,
        nat,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let (keys, skeyid, own_public) = match keys_of(core, n, &chosen, result) {
        Ok(found) => found,
        Err(failure) if failure.cause == Cause::KeInvalid => {
            // The true message 3 may still come.
            n.duplicates.retract();
            n.state = State::SaAnswered { sa_body, chosen };
            n.await_peer(now);
            return Step::Evidence(failure);
        }
        Err(failure) => return failure.into(),
    };
    let iv = match crypto::phase1_iv(keys.hash, keys.cipher, &peer_public, &own_public) {
        Ok(iv) => iv,
        Err(error) => return Failure::from(error).into(),
    };
    let mut payloads = vec![
        Payload::KeyExchange(own_public.clone()).to_raw(),
        Payload::Nonce(nonce).to_raw(),
    ];
    if let Proves::Signature(method) = chosen.method.initiator {
        payloads.extend(certificates::requests(&connection, Some(method)));
    }
    match nat_payloads(n, &chosen) {
        Ok(digests) => payloads.extend(digests),
        Err(error) => return Failure::from(error).into(),
    }
    let local_id = own_identity(n, &connection);
    let message = isakmp::build::message(n.header(ExchangeType::IDENTITY_PROTECTION, 0), &payloads);
    n.state = State::KeAnswered {
        proving: Box::new(Proving {
            sa_body,
            chosen,
            own_public,
            peer_public,
            skeyid,
            keys,
            iv,
            local_id,
        }),
        nat,
    };
    n.answer(core, now, message, MmState::SentSecond);
    Step::Stay
}

/// Message 5: the initiator's identity and proof.
pub(crate) fn message_5(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    route: Route,
) -> Step {
    let State::KeAnswered { proving, nat } = &n.state else {
        return Step::Stay;
    };
    let proves = proving.chosen.method.initiator;
    let message = match read_identity(proving, datagram, proves) {
        Ok(message) => message,
        Err(unread) => return unread.step(&mut n.remote_name),
    };
    let heard = Heard::new(message, route, proving.keys.last_block(datagram.body));
    let (mut proving, nat) = (proving.clone(), *nat);
    match proves {
        Proves::Psk | Proves::Hash => match check_hash(n, &proving, &heard.message) {
            Ok(()) => {
                choose_connection(n, &mut proving, nat, &heard);
                accepted(core, n, now, proving, nat, heard)
            }
            Err(step) => {
                n.remote_name = Some(heard.message.said());
                step
            }
        },
        Proves::Signature(method) => {
            // Whom we trust depends on who the peer says it is.
            choose_connection(n, &mut proving, nat, &heard);
            check_signature(core, n, now, proving, nat, method, heard)
        }
    }
}

/// Of the connections for this address, the first that names this identity, or else the first that takes it. One that
/// the operator took away counts as if it were there, after the others: that is what is reported then.
fn choose_connection(n: &mut Negotiation, proving: &mut Proving, nat: Nat, heard: &Heard) {
    let presented = &heard.message.identification;
    let remote = heard.route.remote.ip();
    let Ok(identity) = Identity::from_payload(presented.id_type.0, &presented.data) else {
        return;
    };
    let takes = |c: &&Arc<Connection>| accepts(c, &identity, remote, nat);
    let names = |c: &&Arc<Connection>| c.remote_id.is_some() && takes(c);
    let withdrawn = || n.withdrawn.iter().map(|(connection, _)| connection);
    let all = || n.alternatives.iter().chain(withdrawn());
    if let Some(connection) = all().find(names).or_else(|| all().find(takes)).cloned() {
        proving.local_id = own_identity(n, &connection);
        n.connection = Some(connection);
    }
}

/// The initiator's signature and certificates were looked at.
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
    n.state = State::KeAnswered {
        proving: proving.clone(),
        nat,
    };
    match certificates::checked(n, result) {
        Ok(()) => accepted(core, n, now, proving, nat, *heard),
        Err(refused) => refused.step(n, now, heard.last_block),
    }
}

/// The initiator proved that it is who it says: whether a connection is for it, and our own proof.
fn accepted(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: Box<Proving>,
    nat: Nat,
    heard: Heard,
) -> Step {
    // All is proven, the peer's new port with it.
    n.route = heard.route;
    let presented = &heard.message.identification;
    n.remote_name = Some(heard.message.said());
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let remote = n.route.remote.ip();
    let gone = n
        .withdrawn
        .iter()
        .find(|(one, _)| one.name == connection.name);
    let fit = match gone {
        Some((_, cause)) => Err(Failure::local(*cause)),
        None => check_identity(&connection, presented, remote, nat),
    };
    let remote_id = match fit {
        Ok(identity) => identity,
        Err(failure) => {
            return Step::FailProven {
                failure,
                last_block: heard.last_block,
            };
        }
    };
    let hash = match own_hash(n, &proving) {
        Ok(hash) => hash,
        Err(error) => return Failure::from(error).into(),
    };
    match proving.chosen.method.responder {
        Proves::Psk | Proves::Hash => {
            let proof = vec![Payload::Hash(hash).to_raw()];
            answered(core, n, now, &proving, nat, heard, remote_id, proof)
        }
        Proves::Signature(method) => {
            n.requested.asked |= heard.message.requested.asked;
            let authorities = &heard.message.requested.authorities;
            n.requested.authorities.extend_from_slice(authorities);
            match certificates::sign(core, n, &connection, method, hash) {
                Ok(job) => {
                    n.deadline = Some(now + JOB_TIMEOUT);
                    n.state = State::SigningForAnswer {
                        job,
                        proving,
                        nat,
                        heard: Box::new(heard),
                        remote_id,
                    };
                    Step::Stay
                }
                Err(failure) => failure.into(),
            }
        }
    }
}

/// Our proof for message 6 is signed.
pub(crate) fn signed(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::SigningForAnswer {
        proving,
        nat,
        heard,
        remote_id,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    n.state = State::KeAnswered {
        proving: proving.clone(),
        nat,
    };
    let (Some(connection), Proves::Signature(method)) =
        (n.connection.clone(), proving.chosen.method.responder)
    else {
        return Step::Stay;
    };
    match certificates::signed(n, &connection, method, result) {
        Ok(proof) => answered(core, n, now, &proving, nat, *heard, remote_id, proof),
        Err(failure) => Step::FailProven {
            failure,
            last_block: heard.last_block,
        },
    }
}

/// Builds message 6, which waits for the event's ticket: both proofs hold.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that the last state of a negotiation held"
)]
fn answered(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: &Proving,
    nat: Nat,
    heard: Heard,
    remote_id: Identity,
    proof: Vec<RawPayload>,
) -> Step {
    let Heard {
        message,
        last_block,
        ..
    } = heard;
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let mut payloads = vec![identification(&proving.local_id)];
    payloads.extend(proof);
    let (reply, next_block) = match sealed(n, &proving.keys, &last_block, &payloads) {
        Ok(sealed) => sealed,
        Err(error) => return Failure::from(error).into(),
    };
    let reply = n.datagrams(reply);
    match new_sa(
        core,
        n,
        now,
        proving,
        nat,
        next_block,
        &connection,
        remote_id,
    ) {
        Ok(sa) => Step::Establish {
            sa: Box::new(sa),
            reply,
            heard_block: last_block,
            initial_contact: message.initial_contact,
        },
        Err(failure) => Step::FailProven {
            failure,
            last_block,
        },
    }
}
