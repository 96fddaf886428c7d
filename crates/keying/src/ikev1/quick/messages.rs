//! The messages of Quick Mode (RFC 2409 section 5.5): their hashes, taking them apart and building them.

use std::net::IpAddr;

use audit::Cause;
use crypto::CryptoError;
use isakmp::{
    Attribute, ExchangeType, Header, Identification, Notification, NotifyType, Payload,
    PayloadType, ProtocolId, RawPayload, SecurityAssociation, ipsec,
};

use super::selectors::{self, Pair};
use crate::ikev1::messages::malformed;
use crate::ikev1::negotiation::{Failure, header};
use crate::ikev1::protection::{Keys, Opened};
use crate::ikev1::sa::Sa;
use crate::limits::NONCE_LEN;

/// Which hash a message of Quick Mode has.
pub(crate) enum Proof<'a> {
    /// HASH(1), over all that follows it; what CONNECTED has too.
    First,
    /// HASH(2), with the initiator's nonce.
    Second { ni: &'a [u8] },
    /// HASH(3), over the nonces alone.
    Third { ni: &'a [u8], nr: &'a [u8] },
    /// What the drafts after RFC 2409 have for the responder's CONNECTED.
    Fourth { ni: &'a [u8], nr: &'a [u8] },
}

impl Proof<'_> {
    fn compute(&self, keys: &Keys, message_id: u32, rest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let id = message_id.to_be_bytes();
        let prf = |parts: &[&[u8]]| crypto::prf(keys.hash, keys.a.as_bytes(), parts);
        match self {
            Proof::First => prf(&[&id, rest]),
            Proof::Second { ni } => prf(&[&id, ni, rest]),
            Proof::Third { ni, nr } => prf(&[&[0], &id, ni, nr]),
            Proof::Fourth { ni, nr } => prf(&[&id, ni, nr, rest]),
        }
    }

    /// Checks that a decrypted message begins with this hash and that it is right; gives the other
    /// payloads.
    pub(crate) fn check(
        &self,
        keys: &Keys,
        message_id: u32,
        opened: &Opened,
    ) -> Option<Vec<RawPayload>> {
        let (first, rest) = opened.chain.payloads.split_first()?;
        if first.kind != PayloadType::HASH {
            return None;
        }
        let covered = opened
            .plaintext
            .get(4 + first.body.len()..opened.chain.consumed)?;
        let expected = self.compute(keys, message_id, covered).ok()?;
        crypto::ct_eq(&expected, &first.body).then(|| rest.to_vec())
    }
}

/// Builds a message with its hash in front; gives the next IV of the exchange too.
pub(crate) fn sealed(
    sa: &Sa,
    message_id: u32,
    iv: &[u8],
    proof: &Proof<'_>,
    payloads: &[RawPayload],
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let (_, rest) = isakmp::emit_chain(payloads);
    let mut all = vec![Payload::Hash(proof.compute(&sa.keys, message_id, &rest)?).to_raw()];
    all.extend_from_slice(payloads);
    let (first, chain) = isakmp::emit_chain(&all);
    let ciphertext = sa.keys.seal(iv, &chain)?;
    let next = sa.keys.last_block(&ciphertext);
    let header = header(sa.cookies(), ExchangeType::QUICK_MODE, message_id);
    let message = isakmp::build::encrypted_message(header, first, &ciphertext);
    Ok((message, next))
}

/// Decrypts a message and checks its hash. `None`: somebody else made it, or changed it.
pub(crate) fn opened(
    sa: &Sa,
    header: &Header,
    iv: &[u8],
    body: &[u8],
    proof: &Proof<'_>,
) -> Option<Vec<RawPayload>> {
    let opened = sa.keys.open(header, iv, body).ok()?;
    proof.check(&sa.keys, header.message_id, &opened)
}

/// Message 1 or 2, proven, without its hash.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub sa: SecurityAssociation,
    pub nonce: Vec<u8>,
    pub public: Option<Vec<u8>>,
    /// `IDci` and `IDcr`, as they came.
    pub ids: Option<[Identification; 2]>,
    /// NAT-OA: the initiator's address and the responder's.
    pub originals: Option<[IpAddr; 2]>,
    pub notifications: Vec<Notification>,
}

impl Body {
    /// Takes the payloads apart: nothing doubled, nothing missing, the SA in front.
    pub(crate) fn of(payloads: &[RawPayload]) -> Result<Self, Failure> {
        let (mut sa, mut nonce, mut public) = (None, None, None);
        let (mut ids, mut originals, mut notifications) = (Vec::new(), Vec::new(), Vec::new());
        for (number, raw) in payloads.iter().enumerate() {
            let parsed = Payload::parse(raw).map_err(|error| {
                let cause = if error.unknown_doi().is_some() {
                    Cause::UnknownDoi
                } else if error.unknown_situation().is_some() {
                    Cause::UnknownSituation
                } else {
                    cause_of(error.payload().unwrap_or(raw.kind))
                };
                Failure::local(cause).with(error.to_string())
            })?;
            let doubled = match parsed {
                Payload::Sa(_) if number > 0 && sa.is_none() => {
                    return Err(
                        Failure::local(Cause::MalformedSa).with("the SA payload is not the first")
                    );
                }
                Payload::Sa(found) => sa.replace(found).is_some(),
                Payload::Nonce(found) => nonce.replace(found).is_some(),
                Payload::KeyExchange(found) => public.replace(found).is_some(),
                Payload::Identification(found) => {
                    ids.push(found);
                    ids.len() > 2
                }
                Payload::NatOa(found) => {
                    originals.push(found.address);
                    originals.len() > 2
                }
                Payload::Notification(found) => {
                    notifications.push(found);
                    false
                }
                Payload::Hash(_) => true,
                _ => false,
            };
            if doubled {
                return Err(Failure::local(cause_of(raw.kind))
                    .with(format!("there are too many {} payloads", raw.kind)));
            }
        }
        let missing =
            |kind| Failure::local(cause_of(kind)).with(format!("the {kind} payload is missing"));
        let nonce: Vec<u8> = nonce.ok_or_else(|| missing(PayloadType::NONCE))?;
        if !NONCE_LEN.contains(&nonce.len()) {
            return Err(Failure::local(Cause::MalformedNonce).with(format!(
                "the nonce has {} bytes; 8 to 256 are right",
                nonce.len()
            )));
        }
        let one = |count: usize, kind: PayloadType| {
            Failure::local(cause_of(kind)).with(format!("{count} {kind} payloads; two are right"))
        };
        let (id_count, original_count) = (ids.len(), originals.len());
        let ids = match id_count {
            0 => None,
            _ => Some(<[Identification; 2]>::try_from(ids).map_err(|_| one(1, PayloadType::ID))?),
        };
        // One alone tells nothing of use; peers send both (RFC 3947 section 5.2).
        let originals = match original_count {
            2 => <[IpAddr; 2]>::try_from(originals).ok(),
            _ => None,
        };
        Ok(Body {
            sa: sa.ok_or_else(|| missing(PayloadType::SA))?,
            nonce,
            public,
            ids,
            originals,
            notifications,
        })
    }

    /// The selectors that the IDs say: the initiator's and the responder's.
    pub(crate) fn selectors(&self, initiator_is_local: bool) -> Result<Option<Pair>, Failure> {
        let Some([initiator, responder]) = &self.ids else {
            return Ok(None);
        };
        let initiator = selectors::selector(initiator)?;
        let responder = selectors::selector(responder)?;
        if initiator.first.is_ipv4() != responder.first.is_ipv4() {
            return Err(Failure::local(Cause::MalformedId)
                .with("the two IDs are of different address families"));
        }
        let (local, remote) = if initiator_is_local {
            (initiator, responder)
        } else {
            (responder, initiator)
        };
        Ok(Some(Pair { local, remote }))
    }

    /// The lifetime that the responder's RESPONDER-LIFETIME names, in seconds and kilobytes
    /// (RFC 2407 section 4.6.3.1).
    pub(crate) fn responder_lifetime(&self) -> (Option<u64>, Option<u64>) {
        let (mut seconds, mut kilobytes) = (None, None);
        let told = self
            .notifications
            .iter()
            .filter(|n| n.kind == NotifyType::RESPONDER_LIFETIME);
        for notification in told {
            let Ok(attributes) = Attribute::parse_all(&notification.data) else {
                continue;
            };
            let mut kind = None;
            for attribute in attributes {
                match (attribute.class, attribute.number()) {
                    (ipsec::LIFE_TYPE, number) => kind = number,
                    (ipsec::LIFE_DURATION, Some(value)) if value > 0 => {
                        match kind.take().and_then(|kind| u16::try_from(kind).ok()) {
                            Some(ipsec::LIFE_SECONDS) => seconds = Some(value),
                            Some(ipsec::LIFE_KILOBYTES) => kilobytes = Some(value),
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        (seconds, kilobytes)
    }
}

/// The cause that a broken payload of a Quick Mode has.
fn cause_of(kind: PayloadType) -> Cause {
    match kind {
        PayloadType::NAT_OA => Cause::MalformedNatOa,
        // These are of Main Mode alone: here they are payloads that do not belong.
        PayloadType::CERT
        | PayloadType::CERT_REQUEST
        | PayloadType::SIGNATURE
        | PayloadType::VENDOR_ID => Cause::MalformedPayload,
        kind => malformed(kind).cause,
    }
}

/// A notification about an SPI of ESP or AH.
pub(crate) fn notification(
    protocol: ProtocolId,
    spi: Vec<u8>,
    kind: NotifyType,
    data: Vec<u8>,
) -> RawPayload {
    Payload::Notification(Notification {
        doi: isakmp::DOI_IPSEC,
        protocol,
        spi,
        kind,
        data,
    })
    .to_raw()
}

/// What a peer is told about a failure that it could not see itself; `None`: nothing.
pub(crate) fn notify_type(cause: Cause) -> Option<NotifyType> {
    Some(match cause {
        Cause::SelectorsRefused
        | Cause::PoolUsedUp
        | Cause::UnsupportedSelector
        | Cause::MalformedId => NotifyType::INVALID_ID_INFORMATION,
        Cause::EspNotAcceptable
        | Cause::EspMalformed
        | Cause::ModeRefused
        | Cause::PfsRefused
        | Cause::ProposalAltered
        | Cause::TooManyQuickModes => NotifyType::NO_PROPOSAL_CHOSEN,
        Cause::KeInvalid => NotifyType::INVALID_KEY_INFORMATION,
        Cause::UnknownDoi => NotifyType::DOI_NOT_SUPPORTED,
        Cause::UnknownSituation => NotifyType::SITUATION_NOT_SUPPORTED,
        Cause::MalformedSa
        | Cause::MalformedProposal
        | Cause::MalformedTransform
        | Cause::MalformedKe
        | Cause::MalformedNonce
        | Cause::MalformedNotify
        | Cause::MalformedNatOa
        | Cause::MalformedHash
        | Cause::MalformedPayload => NotifyType::PAYLOAD_MALFORMED,
        _ => return None,
    })
}
