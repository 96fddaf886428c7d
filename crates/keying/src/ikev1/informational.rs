//! Exchanges beside Main Mode: INFORMATIONAL (RFC 2408 section 4.8, RFC 2409 section 5.7), DPD
//! (RFC 3706), and the polite refusal of those that are not spoken.

use std::net::SocketAddr;
use std::time::Instant;

use audit::{Cause, Role};
use isakmp::{
    ConfigAttributes, Cookie, Datagram, Delete, ExchangeType, Header, Notification, NotifyType,
    Payload, PayloadType, ProtocolId, RawPayload,
};
use rand_core::Rng as _;

use super::authentication::Proves;
use super::duplicates::digest;
use super::messages::{Payloads, notification};
use super::negotiation::{Failure, Negotiation, Step, header};
use super::protection::{Keys, OpenError};
use super::sa::{Asking, Probe, Sa};
use super::state::{Proving, State};
use super::transaction::{self, Heard};
use crate::core::Core;
use crate::limits::{EXCHANGE_BURST, EXCHANGE_REFILL, MAX_MESSAGE_IDS, MIN_WAIT, after};

/// What a message under an SA did to it.
#[derive(Debug)]
pub(crate) enum SaStep {
    /// Nothing, or it was answered.
    Stay,
    /// 4976.
    Invalid(Cause, String),
    /// The SA ends: the peer said so.
    Deleted,
    /// The SA has served its time.
    Spent,
    /// The peer knows of no other SA with us.
    InitialContact,
    /// The peer deleted child SAs.
    ChildrenDeleted(Delete),
    /// The peer says why it does not do a Quick Mode.
    QuickModeRefused(Notification),
    /// The peer begins a TRANSACTION.
    Asked(Box<Heard>),
    /// It answers one of ours.
    Answered(Asking, ConfigAttributes),
    /// The peer confirms a Quick Mode that names this SPI.
    Connected(Vec<u8>),
    /// One after the other, as long as the SA stands.
    Several(Vec<SaStep>),
}

/// Builds an INFORMATIONAL under keys: its message ID and the message.
pub(crate) fn protected(
    core: &mut Core,
    keys: &Keys,
    last_block: &[u8],
    cookies: (Cookie, Cookie),
    payloads: &[RawPayload],
) -> Result<(u32, Vec<u8>), crypto::CryptoError> {
    let message_id = core.message_id();
    let (_, rest) = isakmp::emit_chain(payloads);
    let mut all = vec![Payload::Hash(keys.hash_1(message_id, &rest)?).to_raw()];
    all.extend_from_slice(payloads);
    let (first, chain) = isakmp::emit_chain(&all);
    let iv = keys.exchange_iv(last_block, message_id)?;
    let ciphertext = keys.seal(&iv, &chain)?;
    let header = header(cookies, ExchangeType::INFORMATIONAL, message_id);
    Ok((
        message_id,
        isakmp::build::encrypted_message(header, first, &ciphertext),
    ))
}

/// A delete of the SA of these cookies.
pub(crate) fn delete(cookies: (Cookie, Cookie)) -> RawPayload {
    let mut spi = cookies.0.0.to_vec();
    spi.extend_from_slice(&cookies.1.0);
    Payload::Delete(Delete {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId::ISAKMP,
        spi_size: 16,
        spis: vec![spi],
    })
    .to_raw()
}

fn is_of(spi: &[u8], cookies: (Cookie, Cookie)) -> bool {
    spi.len() == 16 && spi[..8] == cookies.0.0 && spi[8..] == cookies.1.0
}

/// Sends an INFORMATIONAL under an SA; gives the datagrams.
pub(crate) fn send(
    core: &mut Core,
    sa: &mut Sa,
    payloads: &[RawPayload],
) -> Result<Vec<Vec<u8>>, crypto::CryptoError> {
    let (message_id, message) = protected(core, &sa.keys, &sa.last_block, sa.cookies(), payloads)?;
    // One of ours that comes back is a reflection.
    sa.message_ids.insert(message_id);
    let pieces = sa.datagrams(message);
    core.transmit(sa.route, &pieces);
    Ok(pieces)
}

/// Asks the peer whether it lives.
pub(crate) fn probe(core: &mut Core, sa: &mut Sa, now: Instant) -> Result<(), crypto::CryptoError> {
    let Some(dpd) = sa.connection.dpd else {
        return Ok(());
    };
    // RFC 3706 section 5.4: the first number at random, without the high bit; the same on each repeat
    // would do, but a fresh one tells a late answer from this one's.
    let sequence = match sa.probe {
        Some(probe) => probe.sequence.wrapping_add(1),
        None => core.rng.next_u32() & 0x7fff_ffff,
    };
    sa.probe = Some(Probe {
        sequence,
        since: sa.probe.map_or(now, |probe| probe.since),
        next: after(now, dpd.delay.max(MIN_WAIT)),
    });
    let question = notification(
        sa.cookies(),
        NotifyType::R_U_THERE,
        sequence.to_be_bytes().to_vec(),
    );
    send(core, sa, &[question]).map(drop)
}

/// What holds of every message under an established SA that begins an exchange, before it is decrypted.
pub(crate) fn under_sa_checks(sa: &Sa, header: &Header) -> Result<(), SaStep> {
    let out_of_place = |why: &str| SaStep::Invalid(Cause::PacketOutOfPlace, why.to_owned());
    if !header.flags.encrypted() {
        return Err(out_of_place("not encrypted, under an established SA"));
    }
    if header.message_id == 0 {
        return Err(out_of_place("message ID 0 after Main Mode"));
    }
    if sa.message_ids.contains(&header.message_id) {
        return Err(SaStep::Invalid(
            Cause::PacketReplayed,
            format!("message ID {:08x} again", header.message_id),
        ));
    }
    Ok(())
}

/// Remembers the ID of a message that is proven: a stranger uses none up, and ends no SA.
pub(crate) fn use_message_id(sa: &mut Sa, message_id: u32) -> Result<(), SaStep> {
    if sa.message_ids.len() >= MAX_MESSAGE_IDS {
        // No room to tell a replay: the SA has served its time.
        return Err(SaStep::Spent);
    }
    sa.message_ids.insert(message_id);
    Ok(())
}

/// A message that came under an established SA, other than Main Mode's own.
pub(crate) fn under_sa(
    core: &mut Core,
    sa: &mut Sa,
    now: Instant,
    datagram: &Datagram<'_>,
    from: SocketAddr,
    whole: &[u8],
) -> SaStep {
    let header = &datagram.header;
    // HASH(1) does not cover the header: an exchange that is none here must not use an ID up.
    if !matches!(
        header.exchange,
        ExchangeType::INFORMATIONAL
            | ExchangeType::QUICK_MODE
            | ExchangeType::TRANSACTION
            | ExchangeType::NEW_GROUP_MODE
    ) {
        return SaStep::Invalid(
            Cause::PacketOutOfPlace,
            format!("{} under an established SA", header.exchange),
        );
    }
    let encrypted = header.flags.encrypted();
    if header.exchange != ExchangeType::INFORMATIONAL && encrypted && resend(core, sa, from, whole)
    {
        return SaStep::Stay;
    }
    if header.exchange == ExchangeType::TRANSACTION
        && let Some(asked) = &sa.asked
        && asked.message_id == header.message_id
        && encrypted
    {
        return transaction_answered(sa, now, datagram, from);
    }
    if let Err(step) = under_sa_checks(sa, header) {
        return step;
    }
    let tampered = |why: &str| SaStep::Invalid(Cause::PacketTampered, why.to_owned());
    let opened = match sa.keys.exchange_iv(&sa.last_block, header.message_id) {
        Ok(iv) => sa.keys.open(header, &iv, datagram.body),
        Err(_) => return SaStep::Stay,
    };
    let Ok(opened) = opened else {
        return tampered("it does not decrypt");
    };
    let Some(rest) = sa.keys.authenticated(header.message_id, &opened) else {
        return tampered("its HASH is wrong");
    };
    // The same holds of a Quick Mode whose exchange type was changed on its way: of the exchanges here it alone
    // has a nonce.
    if header.exchange != ExchangeType::QUICK_MODE
        && rest.iter().any(|raw| raw.kind == PayloadType::NONCE)
    {
        return tampered("a Quick Mode under the name of another exchange");
    }
    if let Err(step) = use_message_id(sa, header.message_id) {
        return step;
    }
    // Proven, and never a replay: its ID is new.
    sa.heard(now, from, datagram.body.len());
    if header.exchange == ExchangeType::INFORMATIONAL {
        return informational(core, sa, &rest);
    }
    if !sa.exchanges.take(now, EXCHANGE_BURST, EXCHANGE_REFILL) {
        return SaStep::Stay;
    }
    if header.exchange == ExchangeType::TRANSACTION && sa.connection.mode_config.is_some() {
        return match transaction::of(&sa.keys, &rest, datagram) {
            Ok(heard) => SaStep::Asked(Box::new(heard)),
            Err((cause, why)) => SaStep::Invalid(cause, why),
        };
    }
    refuse_exchange(core, sa, header.exchange, &rest, whole);
    SaStep::Stay
}

/// The answer to a TRANSACTION of ours.
fn transaction_answered(
    sa: &mut Sa,
    now: Instant,
    datagram: &Datagram<'_>,
    from: SocketAddr,
) -> SaStep {
    let Some(asked) = &sa.asked else {
        return SaStep::Stay;
    };
    match transaction::open(&sa.keys, &sa.last_block, Some(&asked.next_iv), datagram) {
        Ok(heard) => {
            let what = asked.what;
            sa.asked = None;
            sa.heard(now, from, datagram.body.len());
            SaStep::Answered(what, heard.config)
        }
        Err((cause, why)) => SaStep::Invalid(cause, why),
    }
}

/// Each payload acts: HASH(1) covers them all.
fn informational(core: &mut Core, sa: &mut Sa, rest: &[RawPayload]) -> SaStep {
    let mut answered = false;
    let payloads = rest.iter().filter_map(|raw| Payload::parse(raw).ok());
    let steps = payloads.map(|payload| told(core, sa, payload, &mut answered));
    let mut steps: Vec<SaStep> = steps.filter(|step| !matches!(step, SaStep::Stay)).collect();
    match steps.len() {
        0 | 1 => steps.pop().unwrap_or(SaStep::Stay),
        _ => SaStep::Several(steps),
    }
}

/// What one payload of an INFORMATIONAL says. A message is answered once, however often it asks.
fn told(core: &mut Core, sa: &mut Sa, payload: Payload, answered: &mut bool) -> SaStep {
    match payload {
        Payload::Delete(delete)
            if delete.protocol == ProtocolId::ISAKMP
                && delete.spis.iter().any(|spi| is_of(spi, sa.cookies())) =>
        {
            SaStep::Deleted
        }
        Payload::Delete(delete) if delete.protocol != ProtocolId::ISAKMP => {
            SaStep::ChildrenDeleted(delete)
        }
        Payload::Notification(notification) => match notification.kind {
            NotifyType::R_U_THERE
                if is_of(&notification.spi, sa.cookies()) && notification.data.len() == 4 =>
            {
                let answer =
                    self::notification(sa.cookies(), NotifyType::R_U_THERE_ACK, notification.data);
                // A lost answer is asked for again.
                if !std::mem::replace(answered, true) {
                    let _ = send(core, sa, &[answer]);
                }
                SaStep::Stay
            }
            // It refused our last message of phase 1 after we took the SA for established.
            NotifyType::AUTHENTICATION_FAILED
            | NotifyType::INVALID_SIGNATURE
            | NotifyType::INVALID_CERTIFICATE
            | NotifyType::INVALID_CERT_AUTHORITY
            | NotifyType::CERT_TYPE_UNSUPPORTED
            | NotifyType::CERTIFICATE_UNAVAILABLE
                if is_of(&notification.spi, sa.cookies()) =>
            {
                SaStep::Deleted
            }
            NotifyType::INITIAL_CONTACT => SaStep::InitialContact,
            NotifyType::CONNECTED => SaStep::Connected(notification.spi),
            kind if kind.is_error() => SaStep::QuickModeRefused(notification),
            _ => SaStep::Stay,
        },
        _ => SaStep::Stay,
    }
}

/// Answers a Quick Mode, or another exchange that is not spoken, and remembers the answer.
pub(super) fn refuse_exchange(
    core: &mut Core,
    sa: &mut Sa,
    exchange: ExchangeType,
    rest: &[RawPayload],
    whole: &[u8],
) {
    let refusal = if exchange == ExchangeType::QUICK_MODE {
        let proposal = rest.iter().find_map(|raw| match Payload::parse(raw) {
            Ok(Payload::Sa(offered)) => offered.proposals.into_iter().next(),
            _ => None,
        });
        let Some(proposal) = proposal else { return };
        Payload::Notification(Notification {
            doi: isakmp::DOI_IPSEC,
            protocol: proposal.protocol,
            spi: proposal.spi,
            kind: NotifyType::NO_PROPOSAL_CHOSEN,
            data: Vec::new(),
        })
        .to_raw()
    } else {
        notification(
            sa.cookies(),
            NotifyType::UNSUPPORTED_EXCHANGE_TYPE,
            Vec::new(),
        )
    };
    // What cannot be built is not sent; the peer asks again.
    let Ok(answer) = send(core, sa, &[refusal]) else {
        return;
    };
    sa.answers.remember(digest(whole), answer);
}

/// A retransmission of an exchange that was answered gets the same bytes.
fn resend(core: &mut Core, sa: &mut Sa, from: SocketAddr, whole: &[u8]) -> bool {
    let again = sa.answers.again(whole, sa.route.leads_to(from));
    if let Some(datagrams) = again {
        core.transmit(sa.route, datagrams);
    }
    again.is_some()
}

/// What a notification says about a negotiation.
fn failure_of(n: &Negotiation, kind: NotifyType) -> Failure {
    let about_message_5 = matches!(n.state, State::IdSent { .. })
        && matches!(
            kind,
            NotifyType::AUTHENTICATION_FAILED
                | NotifyType::INVALID_HASH_INFORMATION
                | NotifyType::PAYLOAD_MALFORMED
        );
    // Else the peer has seen no proof that it could have found wrong.
    let our_proof_is_out = match n.state {
        State::IdSent { .. } | State::AggressiveAnswered { .. } | State::Xauth(_) => true,
        // Who proves first: the initiator of Main Mode, and the responder of Aggressive Mode.
        State::CheckingPeer { .. } | State::Establishing(_) => {
            (n.role == Role::Initiator) == (n.exchange != ExchangeType::AGGRESSIVE)
        }
        _ => false,
    };
    let cause = if about_message_5 && n.certificates.is_some() {
        Cause::CertificateRefusedByPeer
    } else if about_message_5 {
        Cause::AuthenticationRefused
    } else if our_proof_is_out {
        Cause::from_peer_notify(kind.0)
    } else {
        Cause::from_early_notify(kind.0)
    };
    Failure::remote(cause).with(format!("the peer says {kind}"))
}

/// The end of a negotiation, where a payload of the peer's says so.
pub(super) fn failure_in(n: &Negotiation, payload: &Payload) -> Option<Failure> {
    match payload {
        Payload::Notification(told) if told.kind.is_error() => Some(failure_of(n, told.kind)),
        Payload::Delete(delete) if delete.protocol == ProtocolId::ISAKMP => {
            Some(Failure::remote(Cause::DeletedEarly))
        }
        _ => None,
    }
}

/// An INFORMATIONAL that came during a negotiation.
pub(crate) fn during_negotiation(n: &Negotiation, datagram: &Datagram<'_>) -> Step {
    if !datagram.header.flags.encrypted() {
        return in_clear(n, datagram);
    }
    match &n.state {
        State::IdSent { proving, .. } => encrypted(n, proving, datagram, Some("message 5")),
        State::KeAnswered { proving, .. } => encrypted(n, proving, datagram, None),
        // A peer with another pre-shared key has other keys too.
        State::AggressiveAnswered { proving, .. } => {
            let by_psk = proving.chosen.method.responder == Proves::Psk;
            encrypted(n, proving, datagram, by_psk.then_some("message 2"))
        }
        _ => Step::Invalid(
            Cause::PacketOutOfPlace,
            "encrypted before there are keys".to_owned(),
        ),
    }
}

/// Anybody can send these: they are evidence at most.
fn in_clear(n: &Negotiation, datagram: &Datagram<'_>) -> Step {
    let payloads = match Payloads::clear(datagram) {
        Ok(payloads) => payloads,
        Err(why) => return Step::Invalid(Cause::PacketMalformed, why),
    };
    if let Some(failure) = payloads.all().iter().find_map(|told| failure_in(n, told)) {
        return Step::Evidence(failure);
    }
    Step::Invalid(
        Cause::PacketOutOfPlace,
        "an INFORMATIONAL that says nothing of use".to_owned(),
    )
}

fn encrypted(
    n: &Negotiation,
    proving: &Proving,
    datagram: &Datagram<'_>,
    answers: Option<&str>,
) -> Step {
    let message_id = datagram.header.message_id;
    let opened = match proving.keys.exchange_iv(&proving.iv, message_id) {
        Ok(iv) => proving.keys.open(&datagram.header, &iv, datagram.body),
        Err(error) => return Failure::from(error).into(),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(OpenError::Crypto(error)) => return Failure::from(error).into(),
        Err(_) => {
            return match answers {
                Some(answered) => Step::Evidence(Failure::local(Cause::PskMismatch).with(format!(
                    "the peer answered {answered} with something that does not decrypt"
                ))),
                None => Step::Invalid(Cause::PacketTampered, "it does not decrypt".to_owned()),
            };
        }
    };
    let proven = proving.keys.authenticated(message_id, &opened).is_some();
    let Ok(payloads) = Payloads::of(opened.chain) else {
        return Step::Invalid(
            Cause::PacketTampered,
            "it decrypts into broken payloads".to_owned(),
        );
    };
    let failure = payloads.all().iter().find_map(|told| failure_in(n, told));
    match failure {
        Some(failure) if proven => Step::Fail(failure),
        Some(failure) => Step::Evidence(failure),
        None => Step::Invalid(
            Cause::PacketOutOfPlace,
            "an INFORMATIONAL that says nothing of use".to_owned(),
        ),
    }
}
