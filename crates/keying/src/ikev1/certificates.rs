//! Proving with signatures: what is asked of the workers, and what their answers mean (RFC 2409 section 5.1, RFC
//! 4945).

use std::time::Instant;

use audit::{Cause, Role};
use crypto::cert::{CheckPeer, Fault, Method, OwnFault, PeerIdentity, Refusal, Sign};
use isakmp::{NotifyType, Payload, RawPayload};

use super::messages;
use super::negotiation::{Failure, Negotiation, Step, audited};
use super::state::{Heard, Proving};
use crate::config::{Connection, SendCertificate, Signatures};
use crate::core::Core;
use crate::endpoint::Party;
use crate::io::JobId;
use crate::job::{Job, JobResult};

/// The keys and the trust of a connection for a method that was agreed. They are gone where the operator changed
/// the policy meanwhile.
fn signatures(connection: &Connection, method: Method) -> Result<&Signatures, Failure> {
    connection
        .signatures(method)
        .ok_or_else(|| Failure::local(Cause::PolicyChanged))
}

/// Our certificate requests, where the peer signs.
pub(crate) fn requests(connection: &Connection, method: Option<Method>) -> Vec<RawPayload> {
    match method.and_then(|method| connection.signatures(method)) {
        Some(signatures) if signatures.request => {
            messages::certificate_requests(&signatures.authorities)
        }
        _ => Vec::new(),
    }
}

/// Has `HASH_I` or `HASH_R` signed.
pub(crate) fn sign(
    core: &mut Core,
    n: &Negotiation,
    connection: &Connection,
    method: Method,
    hash: Vec<u8>,
) -> Result<JobId, Failure> {
    let credential = signatures(connection, method)?.credential;
    let sign = Sign {
        method,
        hash,
        requests: n.requested.authorities.clone(),
    };
    core.start_job(Party::Negotiation(n.id), Job::Sign { credential, sign })
        .ok_or_else(|| Failure::local(Cause::QueueFull))
}

/// Our proof and what goes before it: certificates, if they are to be sent, and the signature.
pub(crate) fn signed(
    n: &mut Negotiation,
    connection: &Connection,
    method: Method,
    result: JobResult,
) -> Result<Vec<RawPayload>, Failure> {
    let signed = match result {
        JobResult::Signed(signed) => *signed,
        JobResult::CannotSign(fault) => return Err(own_failure(&fault)),
        JobResult::NoCredential => return Err(Failure::local(Cause::PolicyChanged)),
        _ => return Err(Failure::local(Cause::EncryptFailure)),
    };
    if let Some(certificates) = &mut n.certificates {
        certificates.local = audited(signed.shown);
    }
    let sends = match signatures(connection, method)?.send_certificate {
        SendCertificate::Always => true,
        SendCertificate::IfAsked => n.requested.asked,
        SendCertificate::Never => false,
    };
    let mut payloads = Vec::new();
    if sends {
        payloads.extend(messages::certificates(&signed.certificates));
    }
    payloads.push(Payload::Signature(signed.signature).to_raw());
    Ok(payloads)
}

/// Has the peer's signature and certificates checked. `hash`: its `HASH_I` or `HASH_R`, as we compute it.
pub(crate) fn check(
    core: &mut Core,
    n: &Negotiation,
    connection: &Connection,
    proving: &Proving,
    method: Method,
    heard: &Heard,
    hash: Vec<u8>,
) -> Result<JobId, Failure> {
    let signatures = signatures(connection, method)?;
    let message = &heard.message;
    let check = CheckPeer {
        certificates: message.certificates.clone(),
        identity: PeerIdentity {
            kind: message.identification.id_type.0,
            data: message.identification.data.clone(),
        },
        method,
        made_with: method.hash().unwrap_or(proving.keys.hash),
        hash,
        signature: message.proof.clone(),
        policy: signatures.policy,
        may_fetch: true,
    };
    let job = Job::CheckPeer {
        credential: signatures.credential,
        check: Box::new(check),
    };
    core.start_job(Party::Negotiation(n.id), job)
        .ok_or_else(|| Failure::local(Cause::QueueFull))
}

/// Why the peer is not accepted.
pub(crate) enum NotAccepted {
    /// Its own key signed what is refused: no true message can follow.
    Proven(Failure),
    /// Anybody can have sent it.
    Unproven(Failure),
    /// It is not the peer's fault.
    Own(Failure),
}

impl NotAccepted {
    /// What becomes of the negotiation, where the message was under the keys and ended in this block.
    pub(crate) fn step(self, n: &mut Negotiation, now: Instant, last_block: Vec<u8>) -> Step {
        match self {
            NotAccepted::Proven(failure) => Step::FailProven {
                failure,
                last_block,
            },
            NotAccepted::Unproven(failure) => {
                // The true message may still come.
                n.duplicates.retract();
                if n.role == Role::Responder {
                    n.await_peer(now);
                }
                Step::EvidenceUnderKeys {
                    failure,
                    last_block,
                }
            }
            NotAccepted::Own(failure) => failure.into(),
        }
    }
}

/// What the check of the peer found.
pub(crate) fn checked(n: &mut Negotiation, result: JobResult) -> Result<(), NotAccepted> {
    let (shown, outcome) = match result {
        JobResult::PeerAccepted(shown) => (shown, Ok(())),
        JobResult::PeerRefused {
            refusal,
            shown,
            proven,
        } => {
            let failure = failure(refusal);
            let refused = if proven {
                NotAccepted::Proven(failure)
            } else {
                NotAccepted::Unproven(failure)
            };
            (shown, Err(refused))
        }
        JobResult::NoCredential => {
            return Err(NotAccepted::Own(Failure::local(Cause::PolicyChanged)));
        }
        _ => return Err(NotAccepted::Own(Failure::local(Cause::EncryptFailure))),
    };
    if let Some(certificates) = &mut n.certificates {
        certificates.remote = audited(shown);
    }
    outcome
}

/// Why a peer's certificate or signature is refused, as a failure.
fn failure(refusal: Refusal) -> Failure {
    let cause = match refusal.fault {
        Fault::Missing => Cause::CertificateMissing,
        Fault::Malformed => Cause::MalformedCert,
        Fault::WrongType => Cause::CertificateType,
        Fault::Expired => Cause::CertificateExpired,
        Fault::NotYetValid => Cause::CertificateNotYetValid,
        Fault::Untrusted => Cause::CertificateUntrusted,
        Fault::IssuerRefused => Cause::CertificateIssuerRefused,
        Fault::UnknownExtension => Cause::CertificateExtensionUnknown,
        Fault::BadCertificateSignature => Cause::CertificateSignatureBad,
        Fault::Revoked => Cause::CertificateRevoked,
        Fault::RevocationUnknown => Cause::RevocationUnknown,
        Fault::NameMismatch => Cause::CertificateNameMismatch,
        Fault::WeakKey => Cause::CertificateKeyWeak,
        Fault::WeakHash => Cause::CertificateHashWeak,
        Fault::WrongUsage => Cause::CertificateUsage,
        Fault::SignatureMismatch => Cause::SignatureMismatch,
        Fault::Internal => Cause::EncryptFailure,
    };
    Failure::local(cause).with(refusal.detail)
}

/// Why we cannot sign, as a failure.
fn own_failure(fault: &OwnFault) -> Failure {
    let cause = match fault {
        OwnFault::NoCertificate => Cause::OwnCertificateMissing,
        OwnFault::NoneFits(_) => Cause::OwnCertificateNoneFits,
        OwnFault::Expired(_) => Cause::OwnCertificateExpired,
        OwnFault::NotYetValid(_) => Cause::OwnCertificateNotYetValid,
        OwnFault::NoPrivateKey(_) => Cause::OwnPrivateKeyMissing,
        OwnFault::KeyUnusable(_) => Cause::OwnKeyUnusable,
    };
    Failure::local(cause).with(fault.to_string())
}

/// What a peer is told whose certificate or signature is refused, or to whom we have none to show; `None`: that
/// is not why.
pub(crate) fn notification(cause: Cause) -> Option<NotifyType> {
    Some(match cause {
        Cause::CertificateMissing => NotifyType::AUTHENTICATION_FAILED,
        Cause::CertificateUntrusted | Cause::CertificateIssuerRefused => {
            NotifyType::INVALID_CERT_AUTHORITY
        }
        Cause::CertificateType => NotifyType::CERT_TYPE_UNSUPPORTED,
        Cause::CertificateExpired
        | Cause::CertificateNotYetValid
        | Cause::CertificateExtensionUnknown
        | Cause::CertificateSignatureBad
        | Cause::CertificateRevoked
        | Cause::RevocationUnknown
        | Cause::CertificateNameMismatch
        | Cause::CertificateKeyWeak
        | Cause::CertificateHashWeak
        | Cause::CertificateUsage
        | Cause::MalformedCert => NotifyType::INVALID_CERTIFICATE,
        Cause::SignatureMismatch => NotifyType::INVALID_SIGNATURE,
        Cause::OwnCertificateMissing
        | Cause::OwnCertificateNoneFits
        | Cause::OwnCertificateExpired
        | Cause::OwnCertificateNotYetValid
        | Cause::OwnPrivateKeyMissing
        | Cause::OwnKeyUnusable => NotifyType::CERTIFICATE_UNAVAILABLE,
        _ => return None,
    })
}
