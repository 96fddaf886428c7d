//! What can be wrong with a peer's certificate or with ours, each thing by a name of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a peer's certificate or signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// No certificate was sent, and none is known here for that identity.
    Missing,
    /// The bytes are not the DER of a certificate, or there are more of them than anybody needs.
    Malformed,
    /// It is no X.509 certificate, or its kind of key does not fit the method of authentication.
    WrongType,
    /// The time is after `notAfter`.
    Expired,
    /// The time is before `notBefore`.
    NotYetValid,
    /// The chain does not end in one that is trusted.
    Untrusted,
    /// One in the chain may not issue what it issued: it is no CA, its path length is exceeded, or the name is
    /// outside its name constraints.
    IssuerRefused,
    /// A critical extension that is not known here.
    UnknownExtension,
    /// The signature on a certificate is wrong.
    BadCertificateSignature,
    /// It is revoked.
    Revoked,
    /// Whether it is revoked could not be learnt, and the policy wants to know.
    RevocationUnknown,
    /// It does not hold the identity that the peer gave.
    NameMismatch,
    /// A key is too short, or of a kind that nobody should use.
    WeakKey,
    /// A certificate is signed over a hash that can be forged.
    WeakHash,
    /// Key usage or extended key usage do not allow this.
    WrongUsage,
    /// The peer's signature on the exchange is wrong.
    SignatureMismatch,
    /// Our own machinery failed.
    Internal,
}

/// A peer's certificate or signature, refused: why, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Why.
    pub fault: Fault,
    /// What was seen, as a sentence without its full stop; names are made safe to print.
    pub detail: String,
    /// Whether an issuer was refused before anybody looked at what it signed: then the peer's certificate may
    /// be forged.
    pub before_leaf: bool,
}

impl Refusal {
    /// A refusal with what was seen.
    pub fn new(fault: Fault, detail: impl fmt::Display) -> Self {
        Refusal {
            fault,
            detail: detail.to_string(),
            before_leaf: false,
        }
    }

    /// The same, found before the signature of the peer's certificate was looked at.
    #[must_use]
    pub(super) fn before_leaf(self, before_leaf: bool) -> Self {
        Refusal {
            before_leaf,
            ..self
        }
    }
}

impl From<openssl::error::ErrorStack> for Refusal {
    fn from(error: openssl::error::ErrorStack) -> Self {
        Refusal::new(Fault::Internal, format!("OpenSSL failed: {error}"))
    }
}

/// Why we cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OwnFault {
    /// There is no certificate at all.
    #[error("there is no certificate for this connection")]
    NoCertificate,
    /// None whose key fits the method.
    #[error("{0}")]
    NoneFits(String),
    /// It has expired.
    #[error("{0}")]
    Expired(String),
    /// It is not valid yet.
    #[error("{0}")]
    NotYetValid(String),
    /// There is no private key for it.
    #[error("there is no private key for {0}")]
    NoPrivateKey(String),
    /// The key does not fit the method, its token is gone, or OpenSSL failed.
    #[error("{0}")]
    KeyUnusable(String),
}
