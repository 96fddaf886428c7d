//! Aggressive Mode: phase 1 in three messages, identities in clear (RFC 2409 section 5.1 and 5.4). With a
//! pre-shared key whoever hears message 2 can try keys at leisure, so that a connection has to allow it.

use std::sync::Arc;
use std::time::Instant;

use audit::{Cause, MmState};
use isakmp::{Datagram, ExchangeType, NotifyType, Payload, RawPayload, SecurityAssociation};

use super::authentication::{Method, Proves};
use super::certificates::{self, NotAccepted};
use super::initiator::nat_payloads;
use super::messages::{self, IdentityMessage, Payloads, identification, notification, vendor_ids};
use super::nat::{self, Nat};
use super::negotiation::{
    AggressiveSent, Failure, Heard, Negotiation, Proving, Route, State, Step, new_cookie,
};
use super::proposals;
use super::shared::{
    accepts, check_hash, check_identity, check_key_exchange, check_signature, derive, keys_of,
    new_sa, own_hash,
};
use crate::config::{Candidate, Connection};
use crate::core::Core;
use crate::endpoint::Party;
use crate::identity::Identity;
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN, after};

/// What is offered: one group alone, since the public value goes along.
fn suites(connection: &Connection) -> Vec<crypto::Proposal> {
    let group = connection.proposals.first().map(|suite| suite.group);
    connection
        .proposals
        .iter()
        .filter(|suite| Some(suite.group) == group)
        .copied()
        .collect()
}

/// Begins as initiator: a key pair is made for message 1.
pub(crate) fn begin(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    connection: &Connection,
) -> Step {
    let Some(first) = connection.proposals.first() else {
        return Failure::local(Cause::NoAcceptableProposal).into();
    };
    let job = Job::MakeShare { group: first.group };
    let Some(job) = core.start_job(Party::Negotiation(n.id), job) else {
        return Failure::local(Cause::QueueFull).into();
    };
    n.state = State::AggressiveMakingShare { job };
    n.deadline = Some(now + JOB_TIMEOUT);
    Step::Stay
}

/// The key pair is there: message 1 goes out.
pub(crate) fn share_made(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
) -> Step {
    let (public, private) = match result {
        JobResult::Share { public, private } => (public, private),
        JobResult::Failed(why) => return Failure::local(Cause::DhFailure).with(why).into(),
        _ => return Failure::local(Cause::DhFailure).into(),
    };
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let methods = Method::all_of(&connection, n.role, true);
    let offer = proposals::offer(&methods, &suites(&connection), connection.lifetime);
    let sa = Payload::Sa(offer).to_raw();
    let nonce = core.bytes(OUR_NONCE_LEN);
    let local_id = own_identity(n, &connection);
    let id = identification(&local_id);
    let mut payloads = vec![
        sa.clone(),
        Payload::KeyExchange(public.clone()).to_raw(),
        Payload::Nonce(nonce.clone()).to_raw(),
        id,
    ];
    let signs = methods.iter().find_map(|method| match method.responder {
        Proves::Signature(method) => Some(method),
        Proves::Psk | Proves::Hash => None,
    });
    payloads.extend(certificates::requests(&connection, signs));
    payloads.extend(vendor_ids(&connection));
    n.local_name = Some(local_id.to_string());
    n.state = State::AggressiveSent {
        sent: Box::new(AggressiveSent {
            sa_body: sa.body,
            public,
            private,
            nonce,
            local_id,
        }),
    };
    n.deadline = None;
    let message = isakmp::build::message(n.header(ExchangeType::AGGRESSIVE, 0), &payloads);
    n.launch(core, now, message, MmState::SentFirst);
    Step::Stay
}

/// Message 2: the responder's choice, its half of the key exchange, its identity and its proof.
pub(crate) fn message_2(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    datagram: &Datagram<'_>,
    payloads: &Payloads,
) -> Step {
    let (State::AggressiveSent { sent }, Some(connection)) = (&n.state, n.connection.clone())
    else {
        return Step::Stay;
    };
    let malformed = |why| Step::Invalid(Cause::PacketMalformed, why);
    let (methods, own) = (
        Method::all_of(&connection, n.role, true),
        suites(&connection),
    );
    let chosen = match payloads.aggressive_sa() {
        Ok((sa, _)) => match proposals::check_answer(&methods, &own, connection.lifetime, sa) {
            Ok(chosen) => chosen,
            Err(refusal) => {
                return Step::Evidence(Failure::local(refusal.cause).with(refusal.detail));
            }
        },
        Err(why) => return malformed(why),
    };
    let (peer_public, peer_nonce) = match payloads.aggressive_key_exchange() {
        Ok(found) => found,
        Err(why) => return malformed(why),
    };
    let message = match payloads.identity_message(chosen.method.responder) {
        Ok(message) => message,
        Err(failure) => return malformed(failure.detail.unwrap_or_default()),
    };
    if let Err(failure) = check_key_exchange(&chosen, &peer_public) {
        return Step::Evidence(failure);
    }
    if peer_public == sent.public || peer_nonce == sent.nonce {
        return Step::Evidence(
            Failure::local(Cause::KeInvalid)
                .with("the peer sent our own public value or nonce back"),
        );
    }
    let sent = sent.clone();
    // For this message alone, until it is proven.
    let zero = n.responder_cookie;
    n.responder_cookie = datagram.header.responder_cookie;
    n.learn(payloads.all());
    let found = if n.peer.nat_t {
        let digests = payloads.nat_d();
        nat::detect(
            chosen.suite.hash,
            n.cookies(),
            n.route.local,
            n.route.remote,
            &digests,
        )
    } else {
        Ok(None)
    };
    let nat = match found {
        Ok(nat) => nat.unwrap_or_default(),
        Err(error) => return Failure::from(error).into(),
    };
    let share = Some((sent.public.clone(), sent.private.clone()));
    let nonces = [sent.nonce.clone(), peer_nonce];
    let public = peer_public.clone();
    match derive(core, n, &connection, &chosen, share, public, nonces) {
        Ok(job) => {
            n.authenticates_by(chosen.method);
            n.deadline = Some(now + JOB_TIMEOUT);
            n.state = State::AggressiveDeriving {
                job,
                sent,
                chosen,
                peer_public,
                nat,
                message: Box::new(message),
            };
            Step::Stay
        }
        Err(failure) => {
            n.responder_cookie = zero;
            failure.into()
        }
    }
}

/// The keys are there: the responder's proof is checked.
pub(crate) fn derived(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    result: JobResult,
    first_contact: bool,
) -> Step {
    let State::AggressiveDeriving {
        sent,
        chosen,
        peer_public,
        nat,
        message,
        ..
    } = std::mem::replace(&mut n.state, State::Moving)
    else {
        return Step::Stay;
    };
    n.deadline = None;
    let (keys, skeyid) = match keys_of(core, n, &chosen, result) {
        Ok((keys, skeyid, _)) => (keys, skeyid),
        Err(failure) if failure.cause == Cause::KeInvalid => {
            return refuted(n, sent, Step::Evidence(failure));
        }
        Err(failure) => return failure.into(),
    };
    let iv = match crypto::phase1_iv(keys.hash, keys.cipher, &sent.public, &peer_public) {
        Ok(iv) => iv,
        Err(error) => return Failure::from(error).into(),
    };
    let proves = chosen.method.responder;
    let proving = Box::new(Proving {
        sa_body: sent.sa_body.clone(),
        chosen,
        own_public: sent.public.clone(),
        peer_public,
        skeyid,
        keys,
        iv: iv.clone(),
        local_id: sent.local_id.clone(),
    });
    let heard = Heard {
        message: *message,
        route: n.route,
        last_block: iv,
        sent: Some(sent),
        answered: None,
        first_contact,
    };
    match proves {
        Proves::Signature(method) => check_signature(core, n, now, proving, nat, method, heard),
        Proves::Psk | Proves::Hash => match check_hash(n, &proving, &heard.message) {
            Ok(()) => responder_accepted(core, n, now, proving, nat, heard),
            Err(step) => match heard.sent {
                Some(sent) => refuted(n, sent, step),
                None => step,
            },
        },
    }
}

/// That message 2 was not the responder's, as far as anybody can say: the true one may still come.
fn refuted(n: &mut Negotiation, sent: Box<AggressiveSent>, step: Step) -> Step {
    n.duplicates.retract();
    n.responder_cookie = isakmp::Cookie::ZERO;
    n.state = State::AggressiveSent { sent };
    step
}

/// The responder's signature and certificates were looked at.
pub(crate) fn responder_checked(
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
    match certificates::checked(n, result) {
        Ok(()) => responder_accepted(core, n, now, proving, nat, *heard),
        Err(NotAccepted::Proven(failure) | NotAccepted::Own(failure)) => failure.into(),
        Err(NotAccepted::Unproven(failure)) => match heard.sent {
            Some(sent) => refuted(n, sent, Step::Evidence(failure)),
            None => failure.into(),
        },
    }
}

/// The responder proved that it is who it says: whether that is the one we want, and our own proof.
fn responder_accepted(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: Box<Proving>,
    nat: Nat,
    heard: Heard,
) -> Step {
    let presented = &heard.message.identification;
    n.remote_name = Some(Identity::describe(presented.id_type.0, &presented.data));
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let remote = n.route.remote.ip();
    let remote_id = match check_identity(&connection, presented, remote, nat) {
        Ok(identity) => identity,
        Err(failure) => return failure.into(),
    };
    let id_body = identification(&proving.local_id).body;
    let hash = match own_hash(n, &proving, &id_body) {
        Ok(hash) => hash,
        Err(error) => return Failure::from(error).into(),
    };
    let first_contact = heard.first_contact;
    match proving.chosen.method.initiator {
        Proves::Psk | Proves::Hash => {
            let proof = vec![Payload::Hash(hash).to_raw()];
            message_3(core, n, now, &proving, nat, remote_id, proof, first_contact)
        }
        Proves::Signature(method) => match certificates::sign(core, n, &connection, method, hash) {
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
        },
    }
}

/// Our proof for message 3 is signed.
pub(crate) fn initiator_signed(
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
    n.deadline = None;
    let (Some(connection), Proves::Signature(method)) =
        (n.connection.clone(), proving.chosen.method.initiator)
    else {
        return Step::Stay;
    };
    let first_contact = heard.first_contact;
    match certificates::signed(n, &connection, method, result) {
        Ok(proof) => message_3(core, n, now, &proving, nat, remote_id, proof, first_contact),
        Err(failure) => failure.into(),
    }
}

/// Builds message 3, which waits for the event's ticket: both proofs hold.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that the last state of a negotiation held"
)]
fn message_3(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: &Proving,
    nat: Nat,
    remote_id: Identity,
    proof: Vec<RawPayload>,
    first_contact: bool,
) -> Step {
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    n.float(&connection, nat);
    let mut payloads = Vec::new();
    if n.peer.nat_t {
        match nat_payloads(n, &proving.chosen) {
            Ok(digests) => payloads.extend(digests),
            Err(error) => return Failure::from(error).into(),
        }
    }
    payloads.extend(proof);
    if first_contact {
        let contact = NotifyType::INITIAL_CONTACT;
        payloads.push(notification(n.cookies(), contact, Vec::new()));
    }
    let (first, chain) = isakmp::emit_chain(&payloads);
    let ciphertext = match proving.keys.seal(&proving.iv, &chain) {
        Ok(ciphertext) => ciphertext,
        Err(error) => return Failure::from(error).into(),
    };
    let last_block = proving.keys.last_block(&ciphertext);
    let header = n.header(ExchangeType::AGGRESSIVE, 0);
    let message = isakmp::build::encrypted_message(header, first, &ciphertext);
    let reply = n.datagrams(message);
    n.sent = MmState::SentSecond;
    let block = last_block.clone();
    match new_sa(core, n, now, proving, nat, block, &connection, remote_id) {
        Ok(sa) => Step::Establish {
            sa: Box::new(sa),
            reply,
            heard_block: last_block,
            initial_contact: false,
        },
        Err(failure) => failure.into(),
    }
}

/// Who we say we are.
fn own_identity(n: &Negotiation, connection: &Connection) -> Identity {
    let address = || Identity::from(n.route.local.ip());
    connection.local_id.clone().unwrap_or_else(address)
}

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
    let who = Identity::describe(identification.id_type.0, &identification.data);
    n.remote_name = Some(who.clone());
    // The identity is here, and with it the key: the best connection that names it.
    let remote = n.route.remote.ip();
    let identity = Identity::from_payload(identification.id_type.0, &identification.data);
    let named: Vec<&Candidate> = allowing
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
    n.alternatives = vec![connection.clone()];
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
pub(crate) fn derived_for_answer(
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
    let id_body = identification(&proving.local_id).body;
    let hash = match own_hash(n, &proving, &id_body) {
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
pub(crate) fn responder_signed(
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
    if n.peer.nat_t {
        match nat_payloads(n, &proving.chosen) {
            Ok(digests) => payloads.extend(digests),
            Err(error) => return Failure::from(error).into(),
        }
    }
    payloads.extend(vendor_ids(connection));
    n.local_name = Some(proving.local_id.to_string());
    n.state = State::AggressiveAnswered { proving, message };
    let bytes = isakmp::build::message(n.header(ExchangeType::AGGRESSIVE, 0), &payloads);
    n.answer(core, now, bytes, MmState::SentFirst);
    Step::Stay
}

/// Message 3: the initiator's proof, under the keys or in clear.
pub(crate) fn initiator_proof(
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
            Err(unread) => return unread.into(),
        }
    } else {
        match Payloads::clear(datagram) {
            // The IVs of later exchanges come from the first one, as nothing was encrypted.
            Ok(payloads) => (payloads, proving.iv.clone()),
            Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
        }
    };
    let proof = match payloads.proof(proves) {
        Ok(proof) => proof,
        Err(failure) => return Step::Evidence(failure),
    };
    let found = if n.peer.nat_t {
        nat::detect(
            proving.chosen.suite.hash,
            n.cookies(),
            route.local,
            route.remote,
            &payloads.nat_d(),
        )
    } else {
        Ok(None)
    };
    let nat = match found {
        Ok(nat) => nat.unwrap_or_default(),
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
            Ok(()) => initiator_accepted(core, n, now, &proving, nat, heard),
            Err(step) => step,
        },
    }
}

/// The initiator's signature and certificates were looked at.
pub(crate) fn initiator_checked(
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
        Ok(()) => initiator_accepted(core, n, now, &proving, nat, *heard),
        Err(NotAccepted::Proven(failure)) => Step::FailProven {
            failure,
            last_block: heard.last_block,
        },
        Err(NotAccepted::Unproven(failure)) => {
            // The true message 3 may still come.
            n.duplicates.retract();
            n.deadline = n
                .connection
                .as_ref()
                .map(|connection| after(now, connection.half_open_timeout));
            Step::EvidenceUnderKeys {
                failure,
                last_block: heard.last_block,
            }
        }
        Err(NotAccepted::Own(failure)) => failure.into(),
    }
}

/// Both proofs hold: the identity was looked at with message 1.
fn initiator_accepted(
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
