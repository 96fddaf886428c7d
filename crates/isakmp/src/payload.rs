//! The kinds of payload, and one payload as a type.

use std::fmt;

use crate::{
    certificate::{Certificate, CertificateRequest},
    chain::RawPayload,
    config::ConfigAttributes,
    delete::Delete,
    error::{Fault, ParseError},
    fragment::Fragment,
    identification::Identification,
    nat::NatOa,
    notification::Notification,
    sa::SecurityAssociation,
};

/// The kind of a payload (RFC 2408 section 3.1, RFC 3947, [MS-AIPS] section 2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PayloadType(pub u8);

impl PayloadType {
    /// No further payload.
    pub const NONE: Self = Self(0);
    /// Security association (RFC 2408 section 3.4).
    pub const SA: Self = Self(1);
    /// Proposal, inside a security association (RFC 2408 section 3.5).
    pub const PROPOSAL: Self = Self(2);
    /// Transform, inside a proposal (RFC 2408 section 3.6).
    pub const TRANSFORM: Self = Self(3);
    /// Key exchange (RFC 2408 section 3.7).
    pub const KE: Self = Self(4);
    /// Identification (RFC 2408 section 3.8).
    pub const ID: Self = Self(5);
    /// Certificate (RFC 2408 section 3.9).
    pub const CERT: Self = Self(6);
    /// Certificate request (RFC 2408 section 3.10).
    pub const CERT_REQUEST: Self = Self(7);
    /// Hash (RFC 2408 section 3.11).
    pub const HASH: Self = Self(8);
    /// Signature (RFC 2408 section 3.12).
    pub const SIGNATURE: Self = Self(9);
    /// Nonce (RFC 2408 section 3.13).
    pub const NONCE: Self = Self(10);
    /// Notification (RFC 2408 section 3.14).
    pub const NOTIFY: Self = Self(11);
    /// Delete (RFC 2408 section 3.15).
    pub const DELETE: Self = Self(12);
    /// Vendor ID (RFC 2408 section 3.16).
    pub const VENDOR_ID: Self = Self(13);
    /// Attributes, of mode configuration and XAUTH (draft-dukes-ike-mode-cfg-02 section 3.2).
    pub const ATTRIBUTES: Self = Self(14);
    /// Hash of an address and port (RFC 3947 section 3.2).
    pub const NAT_D: Self = Self(20);
    /// Original address (RFC 3947 section 5.2).
    pub const NAT_OA: Self = Self(21);
    /// GSS-API token of AuthIP ([MS-AIPS] section 2.2.3.1).
    pub const GSS_API: Self = Self(129);
    /// Hash of an address and port in the drafts before RFC 3947. Means this only to a peer that sent a
    /// draft's vendor ID.
    pub const NAT_D_DRAFT: Self = Self(130);
    /// Original address in the drafts before RFC 3947; see [`PayloadType::NAT_D_DRAFT`].
    pub const NAT_OA_DRAFT: Self = Self(131);
    /// A fragment of an IKE message ([MS-IKEE] section 2.2.4; Cisco and strongSwan have the same).
    pub const FRAGMENT: Self = Self(132);
    /// Crypto payload of AuthIP ([MS-AIPS] section 2.2.3.2).
    pub const CRYPTO: Self = Self(133);
    /// Name of the GSS-API endpoint in AuthIP ([MS-AIPS] section 2.2.3.3).
    pub const GSS_ID: Self = Self(134);
    /// Authentication methods of AuthIP ([MS-AIPS] section 2.2.3.4).
    pub const AUTH: Self = Self(135);

    /// The field's name for it, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE => "no",
            Self::SA => "SA",
            Self::PROPOSAL => "proposal",
            Self::TRANSFORM => "transform",
            Self::KE => "key exchange",
            Self::ID => "identification",
            Self::CERT => "certificate",
            Self::CERT_REQUEST => "certificate request",
            Self::HASH => "hash",
            Self::SIGNATURE => "signature",
            Self::NONCE => "nonce",
            Self::NOTIFY => "notification",
            Self::DELETE => "delete",
            Self::VENDOR_ID => "vendor ID",
            Self::ATTRIBUTES => "attributes",
            Self::NAT_D => "NAT-D",
            Self::NAT_OA => "NAT-OA",
            Self::GSS_API => "GSS-API",
            Self::NAT_D_DRAFT => "NAT-D (draft)",
            Self::NAT_OA_DRAFT => "NAT-OA (draft)",
            Self::FRAGMENT => "fragment",
            Self::CRYPTO => "Crypto",
            Self::GSS_ID => "GSS_ID",
            Self::AUTH => "Auth",
            _ => return None,
        })
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

/// Least bytes of a nonce (RFC 2409 section 5).
pub const MIN_NONCE: usize = 8;
/// Most bytes of a nonce (RFC 2409 section 5).
pub const MAX_NONCE: usize = 256;

/// One payload, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Security association with its proposals.
    Sa(SecurityAssociation),
    /// A public value; its length and range are the group's matter.
    KeyExchange(Vec<u8>),
    /// Who the sender is.
    Identification(Identification),
    /// A certificate, encoding named.
    Certificate(Certificate),
    /// Which certificates would be welcome.
    CertificateRequest(CertificateRequest),
    /// A hash; its length is the negotiated algorithm's matter.
    Hash(Vec<u8>),
    /// A signature.
    Signature(Vec<u8>),
    /// A nonce of [`MIN_NONCE`] to [`MAX_NONCE`] bytes.
    Nonce(Vec<u8>),
    /// An error or status.
    Notification(Notification),
    /// SAs that are gone.
    Delete(Delete),
    /// What the sender is or can do; see [`crate::vendor`].
    VendorId(Vec<u8>),
    /// Mode configuration or XAUTH.
    Attributes(ConfigAttributes),
    /// Hash of an address and port (RFC 3947).
    NatD(Vec<u8>),
    /// The same under the drafts' number.
    NatDDraft(Vec<u8>),
    /// Original address (RFC 3947).
    NatOa(NatOa),
    /// The same under the drafts' number.
    NatOaDraft(NatOa),
    /// A piece of a larger message.
    Fragment(Fragment),
    /// Any other payload, kept as it came.
    Unknown(RawPayload),
}

impl Payload {
    /// Reads one payload by its kind. Proposals and transforms outside of an SA, AuthIP's payloads and
    /// kinds without a name come out as [`Payload::Unknown`].
    ///
    /// # Errors
    /// [`ParseError::Payload`].
    pub fn parse(raw: &RawPayload) -> Result<Self, ParseError> {
        let body = raw.body.as_slice();
        Ok(match raw.kind {
            PayloadType::SA => Self::Sa(SecurityAssociation::parse(body)?),
            PayloadType::KE => Self::KeyExchange(filled(raw, "public value")?),
            PayloadType::ID => Self::Identification(Identification::parse(body)?),
            PayloadType::CERT => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CERT_REQUEST => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::HASH => Self::Hash(filled(raw, "hash")?),
            PayloadType::SIGNATURE => Self::Signature(filled(raw, "signature")?),
            PayloadType::NONCE => Self::Nonce(nonce(body)?),
            PayloadType::NOTIFY => Self::Notification(Notification::parse(body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(body.to_vec()),
            PayloadType::ATTRIBUTES => Self::Attributes(ConfigAttributes::parse(body)?),
            PayloadType::NAT_D => Self::NatD(filled(raw, "hash")?),
            PayloadType::NAT_D_DRAFT => Self::NatDDraft(filled(raw, "hash")?),
            PayloadType::NAT_OA => Self::NatOa(NatOa::parse(raw.kind, body)?),
            PayloadType::NAT_OA_DRAFT => Self::NatOaDraft(NatOa::parse(raw.kind, body)?),
            PayloadType::FRAGMENT => Self::Fragment(Fragment::parse(body)?),
            _ => Self::Unknown(raw.clone()),
        })
    }

    /// The payload as it stands on the wire, without its generic header.
    pub fn to_raw(&self) -> RawPayload {
        let body = match self {
            Self::Sa(sa) => sa.emit(),
            Self::Identification(id) => id.emit(),
            Self::Certificate(certificate) => certificate.emit(),
            Self::CertificateRequest(request) => request.emit(),
            Self::Notification(notification) => notification.emit(),
            Self::Delete(delete) => delete.emit(),
            Self::Attributes(attributes) => attributes.emit(),
            Self::NatOa(original) | Self::NatOaDraft(original) => original.emit(),
            Self::Fragment(fragment) => fragment.emit(),
            Self::KeyExchange(bytes)
            | Self::Hash(bytes)
            | Self::Signature(bytes)
            | Self::Nonce(bytes)
            | Self::VendorId(bytes)
            | Self::NatD(bytes)
            | Self::NatDDraft(bytes) => bytes.clone(),
            Self::Unknown(raw) => return raw.clone(),
        };
        RawPayload {
            kind: self.kind(),
            body,
        }
    }

    /// What kind of payload it is.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::SA,
            Self::KeyExchange(_) => PayloadType::KE,
            Self::Identification(_) => PayloadType::ID,
            Self::Certificate(_) => PayloadType::CERT,
            Self::CertificateRequest(_) => PayloadType::CERT_REQUEST,
            Self::Hash(_) => PayloadType::HASH,
            Self::Signature(_) => PayloadType::SIGNATURE,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notification(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::Attributes(_) => PayloadType::ATTRIBUTES,
            Self::NatD(_) => PayloadType::NAT_D,
            Self::NatDDraft(_) => PayloadType::NAT_D_DRAFT,
            Self::NatOa(_) => PayloadType::NAT_OA,
            Self::NatOaDraft(_) => PayloadType::NAT_OA_DRAFT,
            Self::Fragment(_) => PayloadType::FRAGMENT,
            Self::Unknown(raw) => raw.kind,
        }
    }
}

fn filled(raw: &RawPayload, what: &'static str) -> Result<Vec<u8>, ParseError> {
    if raw.body.is_empty() {
        return Err(ParseError::new(raw.kind, Fault::Empty(what)));
    }
    Ok(raw.body.clone())
}

fn nonce(body: &[u8]) -> Result<Vec<u8>, ParseError> {
    if !(MIN_NONCE..=MAX_NONCE).contains(&body.len()) {
        return Err(ParseError::new(
            PayloadType::NONCE,
            Fault::BadLength {
                length: body.len(),
                expected: "8 to 256",
            },
        ));
    }
    Ok(body.to_vec())
}
