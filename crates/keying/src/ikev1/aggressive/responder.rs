//! Aggressive Mode, the responder's half.

use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, MmState};
use isakmp::{Datagram, ExchangeType, Payload, RawPayload, SecurityAssociation};

use crate::config::{Candidate, Connection};
use crate::core::Core;
use crate::identity::Identity;
use crate::ikev1::authentication::{Method, Proves};
use crate::ikev1::certificates::{self};
use crate::ikev1::messages::{self, IdentityMessage, Payloads, identification, vendor_ids};
use crate::ikev1::nat::Nat;
use crate::ikev1::negotiation::{Failure, Negotiation, Route, Step, new_cookie};
use crate::ikev1::proposals;
use crate::ikev1::responder::agreeing;
use crate::ikev1::shared::{
    accepts, check_hash, check_identity, check_key_exchange, check_signature, derive, detect_nat,
    keys_of, nat_payloads, new_sa, own_hash, own_identity,
};
use crate::ikev1::state::{Heard, Proving, State};
use crate::job::JobResult;
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

/// Message 1, as responder: all but the proof.
pub(crate) fn message_1(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    payloads: &Payloads,
    candidates: &[Candidate],
) -> Step {
    let allowing: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.connection.aggressive)
        .collect();
    if allowing.is_empty() {
        return Failure::local(Cause::AggressiveModeRefused).into();
    }
    let malformed = |why| Step::Invalid(Cause::PacketMalformed, why);
    let (sa, sa_body) = match payloads.aggressive_sa() {
        Ok(found) => found,
        Err(why) => return malformed(why),
    };
    let (peer_public, peer_nonce) = match payloads.aggressive_key_exchange() {
        Ok(found) => found,
        Err(why) => return malformed(why),
    };
    let (identification, id_body) = match payloads.identification() {
        Ok(found) => found,
        Err(why) => return malformed(why),
    };
    let who = messages::said(identification);
    n.remote_name = Some(who.clone());
    // The identity is here, and with it the key: the best connection that names it.
    let remote = n.route.remote.ip();
    let identity = Identity::from_payload(identification.id_type.0, &identification.data);
    let mut named: Vec<&Candidate> = allowing
        .iter()
        .copied()
        .filter(|candidate| {
            identity.as_ref().is_ok_and(|identity| {
                // Whether a NAT is there message 3 tells, and the identity is checked again then.
                let nat = Nat {
                    here: false,
                    there: true,
                };
                accepts(&candidate.connection, identity, remote, nat)
            })
        })
        .collect();
    named.sort_by_key(|candidate| candidate.connection.remote_id.is_none());
    let mut refused = None;
    let mut taken = None;
    for candidate in &named {
        let connection = &candidate.connection;
        let methods = Method::all_of(connection, n.role, true);
        match proposals::choose(&methods, &connection.proposals, sa) {
            Ok(found) => {
                taken = Some((connection.clone(), found));
                break;
            }
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    let Some((connection, (chosen, answer))) = taken else {
        return match refused {
            Some(refusal) => Failure::local(refusal.cause).with(refusal.detail).into(),
            None => Failure::local(Cause::IdentityMismatch)
                .with(format!(
                    "the peer is {who}; no connection that allows Aggressive Mode is for it"
                ))
                .into(),
        };
    };
    if let Err(failure) = check_key_exchange(&chosen, &peer_public) {
        return failure.into();
    }
    n.connection = Some(connection.clone());
    n.alternatives = agreeing(named.iter().copied(), &connection, &chosen);
    n.responder_cookie = new_cookie(core);
    n.authenticates_by(chosen.method);
    n.learn(payloads.all());
    let nonce = core.bytes(OUR_NONCE_LEN);
    let nonces = [peer_nonce, nonce.clone()];
    let public = peer_public.clone();
    let job = match derive(core, n, &connection, &chosen, None, public, nonces) {
        Ok(job) => job,
        Err(failure) => return failure.into(),
    };
    n.state = State::AggressiveDerivingForAnswer {
        job,
        sa_body: sa_body.to_vec(),
        chosen,
        answer,
        peer_public,
        nonce,
        message: Box::new(IdentityMessage {
            identification: identification.clone(),
            id_body: id_body.to_vec(),
            ..IdentityMessage::default()
        }),
    };
    n.deadline = Some(now + JOB_TIMEOUT);
    Step::Stay
}

/// The keys are there: message 2, once it is signed where it is to be.
pub(crate) fn derived(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::AggressiveDerivingForAnswer {
        sa_body,
        chosen,
        answer,
        peer_public,
        nonce,
        message,
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
        Err(failure) => return failure.into(),
    };
    let iv = match crypto::phase1_iv(keys.hash, keys.cipher, &peer_public, &own_public) {
        Ok(iv) => iv,
        Err(error) => return Failure::from(error).into(),
    };
    let local_id = own_identity(n, &connection);
    let proves = chosen.method.responder;
    let proving = Box::new(Proving {
        sa_body,
        chosen,
        own_public,
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
    match proves {
        Proves::Psk | Proves::Hash => {
            let proof = vec![Payload::Hash(hash).to_raw()];
            answer_2(
                core,
                n,
                now,
                &connection,
                proving,
                &answer,
                nonce,
                proof,
                message,
            )
        }
        Proves::Signature(method) => match certificates::sign(core, n, &connection, method, hash) {
            Ok(job) => {
                n.deadline = Some(now + JOB_TIMEOUT);
                n.state = State::AggressiveSigning {
                    job,
                    proving,
                    answer,
                    nonce,
                    message,
                };
                Step::Stay
            }
            Err(failure) => failure.into(),
        },
    }
}

/// Our proof for message 2 is signed.
pub(crate) fn signed(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let State::AggressiveSigning {
        proving,
        answer,
        nonce,
        message,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    let (Some(connection), Proves::Signature(method)) =
        (n.connection.clone(), proving.chosen.method.responder)
    else {
        return Step::Stay;
    };
    match certificates::signed(n, &connection, method, result) {
        Ok(proof) => answer_2(
            core,
            n,
            now,
            &connection,
            proving,
            &answer,
            nonce,
            proof,
            message,
        ),
        Err(failure) => failure.into(),
    }
}

/// Sends message 2, and sends it again until message 3 comes: nothing else makes a lost one good.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that the state before it held"
)]
fn answer_2(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    connection: &Arc<Connection>,
    proving: Box<Proving>,
    answer: &SecurityAssociation,
    nonce: Vec<u8>,
    proof: Vec<RawPayload>,
    message: Box<IdentityMessage>,
) -> Step {
    let mut payloads = vec![
        Payload::Sa(answer.clone()).to_raw(),
        Payload::KeyExchange(proving.own_public.clone()).to_raw(),
        Payload::Nonce(nonce).to_raw(),
        identification(&proving.local_id),
    ];
    payloads.extend(proof);
    if let Proves::Signature(method) = proving.chosen.method.initiator {
        payloads.extend(certificates::requests(connection, Some(method)));
    }
    match nat_payloads(n, &proving.chosen) {
        Ok(digests) => payloads.extend(digests),
        Err(error) => return Failure::from(error).into(),
    }
    payloads.extend(vendor_ids(connection));
    n.local_name = Some(proving.local_id.to_string());
    n.state = State::AggressiveAnswered { proving, message };
    let bytes = isakmp::build::message(n.header(ExchangeType::AGGRESSIVE, 0), &payloads);
    n.answer(core, now, bytes, MmState::SentFirst);
    Step::Stay
}

/// Message 3: the initiator's proof, under the keys or in clear.
pub(crate) fn message_3(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    route: Route,
) -> Step {
    let State::AggressiveAnswered { proving, message } = &n.state else {
        return Step::Stay;
    };
    let proves = proving.chosen.method.initiator;
    let (payloads, last_block) = if datagram.header.flags.encrypted() {
        match messages::open_payloads(&proving.keys, &proving.iv, datagram, proves) {
            Ok(payloads) => (payloads, proving.keys.last_block(datagram.body)),
            Err(unread) => return unread.step(&mut n.remote_name),
        }
    } else {
        match Payloads::clear(datagram) {
            // The IVs of later exchanges come from the first one, as nothing was encrypted.
            Ok(payloads) => (payloads, proving.iv.clone()),
            Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
        }
    };
    let mut proof = match payloads.proof(proves) {
        Ok(proof) => proof,
        Err(failure) => return Step::Evidence(failure),
    };
    // The proof says nothing of notifications: in clear anybody may have added it (RFC 2407 section 4.6.3).
    proof.initial_contact &= datagram.header.flags.encrypted();
    let nat = match detect_nat(n, &proving.chosen, &route, &payloads) {
        Ok(nat) => nat,
        Err(error) => return Failure::from(error).into(),
    };
    let heard = Heard {
        message: IdentityMessage {
            identification: message.identification.clone(),
            id_body: message.id_body.clone(),
            ..proof
        },
        route,
        last_block,
        sent: None,
        answered: Some(message.clone()),
        first_contact: false,
    };
    let proving = proving.clone();
    match proves {
        Proves::Signature(method) => check_signature(core, n, now, proving, nat, method, heard),
        Proves::Psk | Proves::Hash => match check_hash(n, &proving, &heard.message) {
            Ok(()) => accepted(core, n, now, &proving, nat, heard),
            Err(step) => step,
        },
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
        mut heard,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    let message = heard.answered.take().unwrap_or_default();
    n.state = State::AggressiveAnswered {
        proving: proving.clone(),
        message,
    };
    match certificates::checked(n, result) {
        Ok(()) => accepted(core, n, now, &proving, nat, *heard),
        Err(refused) => refused.step(n, now, heard.last_block),
    }
}

/// Both proofs hold: the identity was looked at with message 1.
fn accepted(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: &Proving,
    nat: Nat,
    heard: Heard,
) -> Step {
    n.route = heard.route;
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let presented = &heard.message.identification;
    let block = heard.last_block.clone();
    let remote = n.route.remote.ip();
    let sa = check_identity(&connection, presented, remote, nat)
        .and_then(|id| new_sa(core, n, now, proving, nat, block, &connection, id));
    match sa {
        Ok(sa) => Step::Establish {
            sa: Box::new(sa),
            reply: Vec::new(),
            heard_block: heard.last_block,
            initial_contact: heard.message.initial_contact,
        },
        Err(failure) => Step::FailProven {
            failure,
            last_block: heard.last_block,
        },
    }
}
