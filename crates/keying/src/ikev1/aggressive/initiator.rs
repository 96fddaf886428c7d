//! Aggressive Mode, the initiator's half.

use std::time::Instant;

use audit::{Cause, MmState};
use isakmp::{Datagram, ExchangeType, NotifyType, Payload, RawPayload};

use crate::config::Connection;
use crate::core::Core;
use crate::endpoint::Party;
use crate::identity::Identity;
use crate::ikev1::authentication::{Method, Proves};
use crate::ikev1::certificates::{self, NotAccepted};
use crate::ikev1::messages::{Payloads, identification, notification, vendor_ids};
use crate::ikev1::nat::Nat;
use crate::ikev1::negotiation::{Failure, Negotiation, Step};
use crate::ikev1::proposals::{self, Lifetime};
use crate::ikev1::shared::{
    check_hash, check_identity, check_key_exchange, check_signature, derive, detect_nat, keys_of,
    nat_payloads, new_sa, own_hash, own_identity, sealed, share_of,
};
use crate::ikev1::state::{AggressiveSent, Heard, Proving, State};
use crate::job::{Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN};

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
    let (public, private) = match share_of(result) {
        Ok(share) => share,
        Err(failure) => return failure.into(),
    };
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let methods = Method::all_of(&connection, n.role, true);
    let offer = proposals::offer(&methods, &suites(&connection), Lifetime::of(&connection));
    let mut sa = Payload::Sa(offer).to_raw();
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
            sa_body: std::mem::take(&mut sa.body),
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
        Ok((sa, _)) => match proposals::check_answer(&methods, &own, Lifetime::of(&connection), sa)
        {
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
    let nat = match detect_nat(n, &chosen, &n.route, payloads) {
        Ok(nat) => nat,
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
            Ok(()) => accepted(core, n, now, proving, nat, heard),
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
    match certificates::checked(n, result) {
        Ok(()) => accepted(core, n, now, proving, nat, *heard),
        Err(NotAccepted::Proven(failure) | NotAccepted::Own(failure)) => failure.into(),
        Err(NotAccepted::Unproven(failure)) => match heard.sent {
            Some(sent) => refuted(n, sent, Step::Evidence(failure)),
            None => failure.into(),
        },
    }
}

/// The responder proved that it is who it says: whether that is the one we want, and our own proof.
fn accepted(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    proving: Box<Proving>,
    nat: Nat,
    heard: Heard,
) -> Step {
    let presented = &heard.message.identification;
    n.remote_name = Some(heard.message.said());
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let remote = n.route.remote.ip();
    let remote_id = match check_identity(&connection, presented, remote, nat) {
        Ok(identity) => identity,
        Err(failure) => return failure.into(),
    };
    let hash = match own_hash(n, &proving) {
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
    match nat_payloads(n, &proving.chosen) {
        Ok(digests) => payloads.extend(digests),
        Err(error) => return Failure::from(error).into(),
    }
    payloads.extend(proof);
    if first_contact {
        let contact = NotifyType::INITIAL_CONTACT;
        payloads.push(notification(n.cookies(), contact, Vec::new()));
    }
    let (message, last_block) = match sealed(n, &proving.keys, &proving.iv, &payloads) {
        Ok(sealed) => sealed,
        Err(error) => return Failure::from(error).into(),
    };
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
