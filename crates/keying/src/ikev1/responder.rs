//! Main Mode with a pre-shared key, the responder's half (RFC 2409 section 5.4).

use std::sync::Arc;
use std::time::Instant;

use audit::{AuthMethod, Cause, KeyMod, MmState, Role};
use isakmp::{Datagram, ExchangeType, Payload};

use super::duplicates::Duplicates;
use super::initiator::nat_payloads;
use super::messages::{Payloads, identification, vendor_ids};
use super::nat;
use super::negotiation::{
    Failure, Negotiation, NegotiationId, Peer, Proving, Route, State, Step, new_cookie,
};
use super::proposals;
use super::protection::Proof;
use super::shared::{
    accepts, check_identity, check_key_exchange, keys_of, new_sa, proven_identity,
};
use crate::config::Connection;
use crate::core::Core;
use crate::endpoint::Party;
use crate::identity::Identity;
use crate::job::{Derive, Job, JobResult};
use crate::limits::{JOB_TIMEOUT, OUR_NONCE_LEN, after};

/// A negotiation that a peer's message 1 begins; nothing of it is judged yet.
pub(crate) fn begin(
    core: &mut Core,
    now: Instant,
    datagram: &Datagram<'_>,
    route: Route,
) -> Negotiation {
    Negotiation {
        id: NegotiationId(core.number()),
        role: Role::Responder,
        key_mod: KeyMod::IkeV1,
        origin: route.remote,
        begun: now,
        connection: None,
        alternatives: Vec::new(),
        route,
        initiator_cookie: datagram.header.initiator_cookie,
        responder_cookie: datagram.header.responder_cookie,
        activity: core.activity(),
        sent: MmState::None,
        auth: AuthMethod::Unknown,
        local_name: None,
        remote_name: None,
        peer: Peer::default(),
        duplicates: Duplicates::default(),
        early: Vec::new(),
        flight: None,
        evidence: None,
        deadline: None,
        replaces: None,
        end_after: None,
        terminations: Vec::new(),
        fragment_id: 0,
        state: State::Moving,
    }
}

/// Message 1: chooses a connection and a proposal, and answers with message 2.
pub(crate) fn message_1(
    core: &mut Core,
    n: &mut Negotiation,
    now: Instant,
    payloads: &Payloads,
    candidates: &[Arc<Connection>],
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
    n.connection = Some(first.clone());
    let mut refused = None;
    let mut taken = None;
    for connection in candidates {
        match proposals::choose(&connection.proposals, sa) {
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
    n.alternatives = candidates
        .iter()
        .filter(|other| {
            other.proposals.contains(&chosen.suite) && other.credential == connection.credential
        })
        .cloned()
        .collect();
    n.connection = Some(connection.clone());
    n.responder_cookie = new_cookie(core);
    n.auth = AuthMethod::PresharedKey;
    n.peer.learn(payloads.all());
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
    let found = if n.peer.nat_t {
        nat::detect(
            chosen.suite.hash,
            n.cookies(),
            n.route.local,
            n.route.remote,
            &payloads.nat_d(),
        )
    } else {
        Ok(None)
    };
    let nat = match found {
        Ok(nat) => nat.unwrap_or_default(),
        Err(error) => return Failure::from(error).into(),
    };
    let nonce = core.bytes(OUR_NONCE_LEN);
    let derive = Derive {
        group: chosen.suite.group,
        hash: chosen.suite.hash,
        share: None,
        peer_public: peer_public.clone(),
        credential: connection.credential,
        ni: peer_nonce,
        nr: nonce.clone(),
        initiator_cookie: n.initiator_cookie.0,
        responder_cookie: n.responder_cookie.0,
    };
    let Some(job) = core.start_job(Party::Negotiation(n.id), Job::Derive(Box::new(derive))) else {
        return Failure::local(Cause::QueueFull).into();
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
    n.peer.learn(payloads.all());
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
    let (keys, skeyid, own_public) = match keys_of(&chosen, result) {
        Ok(found) => found,
        Err(failure) if failure.cause == Cause::KeInvalid => {
            // The true message 3 may still come.
            n.duplicates.retract();
            n.state = State::SaAnswered { sa_body, chosen };
            n.deadline = Some(after(now, connection.half_open_timeout));
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
    if n.peer.nat_t {
        match nat_payloads(n, &chosen) {
            Ok(digests) => payloads.extend(digests),
            Err(error) => return Failure::from(error).into(),
        }
    }
    let local_id = connection
        .local_id
        .clone()
        .unwrap_or_else(|| Identity::from(n.route.local.ip()));
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

/// Message 5: the initiator's identity and proof. Message 6 waits for the event's ticket.
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
    let message = match proven_identity(n, proving, datagram) {
        Ok(message) => message,
        Err(step) => return step,
    };
    // From here on all is proven, the peer's new port with it.
    n.route = route;
    n.remote_name = Some(Identity::describe(
        message.identification.id_type.0,
        &message.identification.data,
    ));
    let mut proving = proving.clone();
    let nat = *nat;
    let last_block = proving.keys.last_block(datagram.body);
    // Of the connections for this address, the one that names this identity; else the one whose
    // mismatch is reported.
    let remote = route.remote.ip();
    let presented = Identity::from_payload(
        message.identification.id_type.0,
        &message.identification.data,
    );
    if let Ok(identity) = &presented
        && let Some(connection) = n
            .alternatives
            .iter()
            .find(|connection| accepts(connection, identity, remote, nat))
    {
        n.connection = Some(connection.clone());
        if let Some(id) = &connection.local_id {
            proving.local_id = id.clone();
        }
    }
    let Some(connection) = n.connection.clone() else {
        return Step::Stay;
    };
    let remote_id = match check_identity(&connection, &message.identification, remote, nat) {
        Ok(identity) => identity,
        Err(failure) => {
            return Step::FailProven {
                failure,
                last_block,
            };
        }
    };
    let reply = match message_6(n, &proving, &last_block) {
        Ok(reply) => reply,
        Err(failure) => return failure.into(),
    };
    let next_block = reply.1;
    let datagrams = n.datagrams(reply.0);
    match new_sa(
        core,
        n,
        now,
        &proving,
        nat,
        next_block,
        &connection,
        remote_id,
    ) {
        Ok(sa) => Step::Establish {
            sa: Box::new(sa),
            reply: datagrams,
            heard_block: last_block,
            initial_contact: message.initial_contact,
        },
        Err(failure) => Step::FailProven {
            failure,
            last_block,
        },
    }
}

/// Builds message 6; gives its last block too.
fn message_6(n: &Negotiation, proving: &Proving, iv: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let id = identification(&proving.local_id);
    let hash = Proof {
        skeyid: &proving.skeyid,
        own_public: &proving.own_public,
        other_public: &proving.peer_public,
        own_cookie: &n.responder_cookie.0,
        other_cookie: &n.initiator_cookie.0,
        sa_body: &proving.sa_body,
        id_body: &id.body,
    }
    .compute(proving.keys.hash)?;
    let (first, chain) = isakmp::emit_chain(&[id, Payload::Hash(hash).to_raw()]);
    let ciphertext = proving.keys.seal(iv, &chain)?;
    let last_block = proving.keys.last_block(&ciphertext);
    let header = n.header(ExchangeType::IDENTITY_PROTECTION, 0);
    Ok((
        isakmp::build::encrypted_message(header, first, &ciphertext),
        last_block,
    ))
}
