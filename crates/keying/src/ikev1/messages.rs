//! The six messages of Main Mode as sets of payloads: taking them apart, with nothing doubled and
//! nothing missing, and building them.

use audit::Cause;
use crypto::cert::unwrap_certificates;
use isakmp::{
    CertificateEncoding, Chain, Cookie, Datagram, ExchangeType, IdType, Identification,
    Notification, NotifyType, Payload, PayloadType, ProtocolId, RawPayload, SecurityAssociation,
    Trailing, parse_chain, vendor,
};

use super::authentication::Proves;
use super::negotiation::{Failure, Step, header};
use super::protection::{Keys, OpenError, Opened};
use crate::config::{Connection, Fragmentation, ModeConfig};
use crate::identity::Identity;
use crate::limits::{MAX_AUTHORITIES, MAX_AUTHORITIES_ASKED, MAX_AUTHORITY_BYTES, NONCE_LEN};

/// A message in clear that cannot be taken: 4976 and dropped.
pub(crate) type Malformed = String;

/// The payloads of a message.
pub(crate) struct Payloads {
    raw: Vec<RawPayload>,
    parsed: Vec<Payload>,
}

impl Payloads {
    /// Takes the payloads of a message in clear apart.
    pub(crate) fn clear(datagram: &Datagram<'_>) -> Result<Self, Malformed> {
        parse_chain(
            datagram.header.next_payload,
            datagram.body,
            Trailing::Alignment,
        )
        .and_then(Self::of)
        .map_err(|error| error.to_string())
    }

    pub(crate) fn of(chain: Chain) -> Result<Self, isakmp::ParseError> {
        let parsed = chain
            .payloads
            .iter()
            .map(Payload::parse)
            .collect::<Result<_, _>>()?;
        Ok(Payloads {
            raw: chain.payloads,
            parsed,
        })
    }

    pub(crate) fn all(&self) -> &[Payload] {
        &self.parsed
    }

    /// The one payload of a kind, with its body as it came.
    fn one(&self, kind: PayloadType) -> Result<(&Payload, &[u8]), Malformed> {
        let mut found = self
            .parsed
            .iter()
            .zip(&self.raw)
            .filter(|(_, raw)| raw.kind == kind);
        match (found.next(), found.next()) {
            (Some((payload, raw)), None) => Ok((payload, &raw.body)),
            (None, _) => Err(format!("the {kind} payload is missing")),
            (Some(_), Some(_)) => Err(format!("there are two {kind} payloads")),
        }
    }

    /// None of these may be there.
    fn refuse(&self, kinds: &[PayloadType]) -> Result<(), Malformed> {
        match self.raw.iter().find(|raw| kinds.contains(&raw.kind)) {
            Some(raw) => Err(format!("a {} payload is out of place", raw.kind)),
            None => Ok(()),
        }
    }

    /// The SA of message 1 or 2, which must come first, with its body as it came.
    pub(crate) fn sa(&self) -> Result<(&SecurityAssociation, &[u8]), Malformed> {
        let (payload, body) = self.one(PayloadType::SA)?;
        if self.raw.first().map(|raw| raw.kind) != Some(PayloadType::SA) {
            return Err("the SA payload is not the first".to_owned());
        }
        self.refuse(&[
            PayloadType::KE,
            PayloadType::NONCE,
            PayloadType::ID,
            PayloadType::HASH,
        ])?;
        match payload {
            Payload::Sa(sa) => Ok((sa, body)),
            _ => Err("the SA payload is not one".to_owned()),
        }
    }

    /// Whether there is an SA payload, and it comes first: what makes a message 1 one.
    pub(crate) fn first_sa(&self) -> Result<(), Malformed> {
        self.one(PayloadType::SA)?;
        match self.raw.first() {
            Some(raw) if raw.kind == PayloadType::SA => Ok(()),
            _ => Err("the SA payload is not the first".to_owned()),
        }
    }

    /// The public value and the nonce of message 3 or 4.
    pub(crate) fn key_exchange(&self) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
        let (_, public) = self.one(PayloadType::KE)?;
        let (_, nonce) = self.one(PayloadType::NONCE)?;
        self.refuse(&[PayloadType::SA, PayloadType::ID, PayloadType::HASH])?;
        check_nonce(nonce)?;
        Ok((public.to_vec(), nonce.to_vec()))
    }

    /// The SA of Aggressive Mode's message 1 or 2, which must come first, with its body as it came.
    pub(crate) fn aggressive_sa(&self) -> Result<(&SecurityAssociation, &[u8]), Malformed> {
        self.first_sa()?;
        match self.one(PayloadType::SA)? {
            (Payload::Sa(sa), body) => Ok((sa, body)),
            _ => Err("the SA payload is not one".to_owned()),
        }
    }

    /// The public value and the nonce of Aggressive Mode's message 1 or 2.
    pub(crate) fn aggressive_key_exchange(&self) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
        let (_, public) = self.one(PayloadType::KE)?;
        let (_, nonce) = self.one(PayloadType::NONCE)?;
        check_nonce(nonce)?;
        Ok((public.to_vec(), nonce.to_vec()))
    }

    /// The peer's identity, with its body as it came.
    pub(crate) fn identification(&self) -> Result<(&Identification, &[u8]), Malformed> {
        match self.one(PayloadType::ID)? {
            (Payload::Identification(identification), body) => Ok((identification, body)),
            _ => Err("the identification payload is not one".to_owned()),
        }
    }

    /// Who the sender says it is, for the operator.
    fn said(&self) -> Option<String> {
        let (identification, _) = self.identification().ok()?;
        Some(said(identification))
    }

    /// The peer's identity and its proof, and what belongs to them.
    pub(crate) fn identity_message(&self, proves: Proves) -> Result<IdentityMessage, Failure> {
        let (identification, id_body) = self
            .identification()
            .map_err(|why| malformed(PayloadType::ID).with(why))?;
        Ok(IdentityMessage {
            identification: identification.clone(),
            id_body: id_body.to_vec(),
            ..self.proof(proves)?
        })
    }

    /// The peer's proof and what belongs to it, without an identity.
    pub(crate) fn proof(&self, proves: Proves) -> Result<IdentityMessage, Failure> {
        let (proof, other) = match proves {
            Proves::Psk | Proves::Hash => (PayloadType::HASH, PayloadType::SIGNATURE),
            Proves::Signature(_) => (PayloadType::SIGNATURE, PayloadType::HASH),
        };
        let (_, content) = self.one(proof).map_err(|why| malformed(proof).with(why))?;
        self.refuse(&[other])
            .map_err(|why| malformed(other).with(why))?;
        let mut requested = Requested::default();
        requested.learn(self.all());
        Ok(IdentityMessage {
            proof: content.to_vec(),
            certificates: self.certificates(),
            requested,
            initial_contact: self
                .notifications()
                .any(|n| n.kind == NotifyType::INITIAL_CONTACT),
            ..IdentityMessage::default()
        })
    }

    /// The NAT-D payloads of message 3 or 4, in order.
    pub(crate) fn nat_d(&self) -> Vec<Vec<u8>> {
        self.parsed
            .iter()
            .filter_map(|payload| match payload {
                Payload::NatD(digest) => Some(digest.clone()),
                _ => None,
            })
            .collect()
    }

    /// The X.509 certificates, in order, those in an envelope of PKCS #7 with them.
    fn certificates(&self) -> Vec<Vec<u8>> {
        self.parsed
            .iter()
            .filter_map(|payload| match payload {
                Payload::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .flat_map(|certificate| match certificate.encoding {
                CertificateEncoding::X509_SIGNATURE => vec![certificate.data.clone()],
                CertificateEncoding::PKCS7 => unwrap_certificates(&certificate.data),
                _ => Vec::new(),
            })
            .collect()
    }

    /// The notifications.
    pub(crate) fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.parsed.iter().filter_map(|payload| match payload {
            Payload::Notification(notification) => Some(notification),
            _ => None,
        })
    }
}

fn check_nonce(nonce: &[u8]) -> Result<(), Malformed> {
    if NONCE_LEN.contains(&nonce.len()) {
        return Ok(());
    }
    Err(format!(
        "the nonce has {} bytes; 8 to 256 are right",
        nonce.len()
    ))
}

/// Why a message 1 is refused of which nothing is malformed: only who knows the DOI and the situation of its SA
/// payload can read on.
pub(crate) fn foreign(error: &isakmp::ParseError) -> Option<Failure> {
    let cause = if error.unknown_doi().is_some() {
        Cause::UnknownDoi
    } else if error.unknown_situation().is_some() {
        Cause::UnknownSituation
    } else {
        return None;
    };
    Some(Failure::local(cause).with(error.to_string()))
}

/// The SA payload that a message 1 begins with, whatever comes after.
pub(crate) fn offer(datagram: &Datagram<'_>) -> Option<Result<Payload, isakmp::ParseError>> {
    let chain = parse_chain(
        datagram.header.next_payload,
        datagram.body,
        Trailing::Alignment,
    );
    let chain = chain.ok()?;
    let first = chain.payloads.first()?;
    (first.kind == PayloadType::SA).then(|| Payload::parse(first))
}

/// Who an ID payload says its sender is, for the operator.
pub(crate) fn said(identification: &Identification) -> String {
    Identity::describe(identification.id_type.0, &identification.data)
}

/// What a peer says of itself, and how it proves it; nothing of it proven yet.
#[derive(Clone, Debug)]
pub(crate) struct IdentityMessage {
    pub identification: Identification,
    /// `IDii_b` or `IDir_b`.
    pub id_body: Vec<u8>,
    /// The content of the HASH or the Signature payload.
    pub proof: Vec<u8>,
    /// X.509 certificates, in order.
    pub certificates: Vec<Vec<u8>>,
    pub requested: Requested,
    pub initial_contact: bool,
}

impl IdentityMessage {
    /// Who the sender says it is, for the operator.
    pub(crate) fn said(&self) -> String {
        said(&self.identification)
    }
}

impl Default for IdentityMessage {
    fn default() -> Self {
        IdentityMessage {
            identification: Identification {
                id_type: IdType(0),
                protocol: 0,
                port: 0,
                data: Vec::new(),
            },
            id_body: Vec::new(),
            proof: Vec::new(),
            certificates: Vec::new(),
            requested: Requested::default(),
            initial_contact: false,
        }
    }
}

/// What the peer's certificate requests ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requested {
    /// There was a request.
    pub asked: bool,
    /// The CAs that were named, in DER; an empty one means any.
    pub authorities: Vec<Vec<u8>>,
}

impl Requested {
    /// Takes in the requests of a message.
    pub(crate) fn learn(&mut self, payloads: &[Payload]) {
        for payload in payloads {
            if let Payload::CertificateRequest(request) = payload
                && request.encoding == CertificateEncoding::X509_SIGNATURE
            {
                self.asked = true;
                if self.authorities.len() < MAX_AUTHORITIES {
                    self.authorities.push(request.authority.clone());
                }
            }
        }
    }
}

/// Why an encrypted message of Main Mode is not taken.
pub(crate) enum Unread {
    /// Anybody can have sent it: evidence at most. With who it says it is of, where that could be read.
    Damning(Failure, Option<String>),
    /// It says nothing about anybody: 4976.
    Noise(String),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Unread::Damning(failure, None)
    }
}

impl Unread {
    /// What becomes of the negotiation; `name` is what its verdict says of the peer.
    pub(crate) fn step(self, name: &mut Option<String>) -> Step {
        match self {
            Unread::Damning(failure, said) => {
                *name = said.or_else(|| name.take());
                Step::Evidence(failure)
            }
            Unread::Noise(why) => Step::Invalid(Cause::PacketTampered, why),
        }
    }
}

/// Decrypts message 5 or 6, in which the peer `proves` itself.
pub(crate) fn open_identity(
    keys: &Keys,
    iv: &[u8],
    datagram: &Datagram<'_>,
    proves: Proves,
) -> Result<IdentityMessage, Unread> {
    let payloads = open_payloads(keys, iv, datagram, proves)?;
    for kind in [PayloadType::SA, PayloadType::KE, PayloadType::NONCE] {
        payloads
            .refuse(&[kind])
            .map_err(|why| Unread::Damning(malformed(kind).with(why), payloads.said()))?;
    }
    payloads
        .identity_message(proves)
        .map_err(|failure| Unread::Damning(failure, payloads.said()))
}

/// Decrypts a message of phase 1 in which the peer `proves` itself.
pub(crate) fn open_payloads(
    keys: &Keys,
    iv: &[u8],
    datagram: &Datagram<'_>,
    proves: Proves,
) -> Result<Payloads, Unread> {
    // Only with a pre-shared key do the keys depend on what the two sides were told.
    let unreadable = |why: String| match proves {
        Proves::Psk => Failure::local(Cause::PskMismatch).with(why).into(),
        Proves::Hash | Proves::Signature(_) => Unread::Noise(why),
    };
    let opened = keys
        .open(&datagram.header, iv, datagram.body)
        .map_err(|error| match error {
            OpenError::Length => unreadable(format!(
                "{} bytes are not a whole number of blocks",
                datagram.body.len()
            )),
            OpenError::Nonsense => unreadable("the peer's identity does not decrypt".to_owned()),
            OpenError::Broken(kind) => malformed(kind)
                .with(format!("the {kind} payload is broken"))
                .into(),
            OpenError::Crypto(error) => Failure::from(error).into(),
        })?;
    let Opened { chain, .. } = opened;
    let payloads = Payloads::of(chain).map_err(|error| {
        malformed(error.payload().unwrap_or(PayloadType::NONE)).with(error.to_string())
    })?;
    // HASH_I covers the identity alone. What else the message ends with makes the IV of the next one:
    // altered on the way and taken for true, it would lose both sides each other.
    let cookies = [
        datagram.header.initiator_cookie.0,
        datagram.header.responder_cookie.0,
    ]
    .concat();
    if payloads
        .notifications()
        .any(|n| n.protocol == ProtocolId::ISAKMP && n.spi.len() == 16 && n.spi != cookies)
    {
        let why = "a notification names another SA's cookies";
        return Err(malformed(PayloadType::NOTIFY).with(why).into());
    }
    Ok(payloads)
}

/// The cause that a broken payload has, in a message that is decrypted.
pub(crate) fn malformed(kind: PayloadType) -> Failure {
    Failure::local(match kind {
        PayloadType::SA => Cause::MalformedSa,
        PayloadType::PROPOSAL => Cause::MalformedProposal,
        PayloadType::TRANSFORM => Cause::MalformedTransform,
        PayloadType::KE => Cause::MalformedKe,
        PayloadType::ID => Cause::MalformedId,
        PayloadType::CERT => Cause::MalformedCert,
        PayloadType::CERT_REQUEST => Cause::MalformedCertRequest,
        PayloadType::HASH => Cause::MalformedHash,
        PayloadType::SIGNATURE => Cause::MalformedSig,
        PayloadType::NONCE => Cause::MalformedNonce,
        PayloadType::NOTIFY => Cause::MalformedNotify,
        PayloadType::DELETE => Cause::MalformedDelete,
        PayloadType::VENDOR_ID => Cause::MalformedVendor,
        _ => Cause::MalformedPayload,
    })
}

/// The vendor IDs that we send: what the negotiation needs, and nothing about who we are.
pub(crate) fn vendor_ids(connection: &Connection) -> Vec<RawPayload> {
    let mut ids = vec![vendor::NAT_T_RFC3947.id.to_vec(), vendor::DPD.id.to_vec()];
    if connection.fragmentation != Fragmentation::No {
        ids.push(vendor::FRAGMENTATION.id.to_vec());
    }
    if connection.xauth.is_some() {
        ids.push(vendor::XAUTH.id.to_vec());
    }
    if connection
        .mode_config
        .as_ref()
        .is_some_and(ModeConfig::has_nets)
    {
        ids.push(vendor::CISCO_UNITY.id.to_vec());
    }
    ids.into_iter()
        .map(|id| Payload::VendorId(id).to_raw())
        .collect()
}

/// What asks the peer for its certificate: one payload for each CA, or one that names none (RFC 4945 section
/// 3.2.1), also where they are more than a peer reads or than a message has room for.
pub(crate) fn certificate_requests(authorities: &[Vec<u8>]) -> Vec<RawPayload> {
    const ANY: &[Vec<u8>] = &[Vec::new()];
    let bytes: usize = authorities.iter().map(Vec::len).sum();
    let too_many = authorities.len() > MAX_AUTHORITIES_ASKED || bytes > MAX_AUTHORITY_BYTES;
    let authorities = if authorities.is_empty() || too_many {
        ANY
    } else {
        authorities
    };
    authorities
        .iter()
        .map(|authority| {
            Payload::CertificateRequest(isakmp::CertificateRequest {
                encoding: CertificateEncoding::X509_SIGNATURE,
                authority: authority.clone(),
            })
            .to_raw()
        })
        .collect()
}

/// A Certificate payload for each certificate.
pub(crate) fn certificates(ders: &[Vec<u8>]) -> impl Iterator<Item = RawPayload> {
    ders.iter().map(|der| {
        Payload::Certificate(isakmp::Certificate {
            encoding: CertificateEncoding::X509_SIGNATURE,
            data: der.clone(),
        })
        .to_raw()
    })
}

/// An ID payload for phase 1: protocol and port are zero (RFC 2407 section 4.6.2).
pub(crate) fn identification(identity: &Identity) -> RawPayload {
    Payload::Identification(Identification {
        id_type: identity.kind,
        protocol: 0,
        port: 0,
        data: identity.data.clone(),
    })
    .to_raw()
}

/// A notification about the SA of these cookies.
pub(crate) fn notification(
    cookies: (Cookie, Cookie),
    kind: NotifyType,
    data: Vec<u8>,
) -> RawPayload {
    let mut spi = cookies.0.0.to_vec();
    spi.extend_from_slice(&cookies.1.0);
    Payload::Notification(Notification {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId::ISAKMP,
        spi,
        kind,
        data,
    })
    .to_raw()
}

/// A refusal in clear: for a peer with whom there are no keys. It has no SPI, since there is no SA.
pub(crate) fn refusal(cookies: (Cookie, Cookie), message_id: u32, kind: NotifyType) -> Vec<u8> {
    let payload = Payload::Notification(Notification {
        doi: isakmp::DOI_IPSEC,
        protocol: ProtocolId::ISAKMP,
        spi: Vec::new(),
        kind,
        data: Vec::new(),
    });
    isakmp::build::message(
        header(cookies, ExchangeType::INFORMATIONAL, message_id),
        &[payload.to_raw()],
    )
}
