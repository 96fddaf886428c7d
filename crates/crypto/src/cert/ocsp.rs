//! The Online Certificate Status Protocol (RFC 6960): a request and what an answer says, as bytes.

#[expect(
    clippy::unnested_or_patterns,
    reason = "the derive macro of a choice writes them"
)]
mod asn1;

use std::fmt;
use std::sync::Arc;

use der::asn1::{GeneralizedTime, ObjectIdentifier};
use der::{Decode, Encode};
use openssl::hash::MessageDigest;
use openssl::ocsp::{
    OcspBasicResponse, OcspCertId, OcspFlag, OcspRequest, OcspResponse, OcspResponseStatus,
};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use self::asn1::{Basic, CertId, CertStatus, Response, SingleResponse};
use super::algorithm;
use super::certificate::Certificate;
use super::dn;
use super::limits::{
    CLOCK_SKEW, MAX_CERTIFICATES, MAX_OCSP_LEN, MAX_OCSP_STATUSES, OCSP_AGE_WITHOUT_END,
};
use super::revocation::Status;
use crate::Hash;

/// id-kp-OCSPSigning (RFC 6960 section 4.2.2.2).
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// The hashes that a certificate is named by.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Why bytes are no answer of an OCSP responder that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// More than [`MAX_OCSP_LEN`] bytes.
    #[error("the OCSP answer has {0} bytes; {MAX_OCSP_LEN} are the most")]
    TooLong(usize),
    /// Not an OCSP response.
    #[error("this is no OCSP answer")]
    NotAnAnswer,
    /// The responder says that it will not or cannot answer.
    #[error("the OCSP responder did not answer: status {0}")]
    Refused(i32),
    /// More statuses or certificates than anybody needs.
    #[error("the OCSP answer has too many parts")]
    TooMany,
}

/// The request for the status of one certificate (RFC 6960 section 4.1), without a nonce, as RFC 5019 has it: so
/// responders may keep their answers.
///
/// # Errors
/// [`crate::CryptoError::Library`].
pub fn request(
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<Vec<u8>, crate::CryptoError> {
    let mut request = OcspRequest::new()?;
    request.add_id(OcspCertId::from_cert(
        MessageDigest::sha1(),
        certificate.x509(),
        issuer.x509(),
    )?)?;
    Ok(request.to_der()?)
}

/// An answer, read once. Cloning is cheap.
#[derive(Clone)]
pub struct OcspAnswer(Arc<Facts>);

struct Facts {
    basic: OcspBasicResponse,
    statuses: Vec<SingleResponse>,
    certificates: Vec<Certificate>,
    broken_signature: bool,
}

impl OcspAnswer {
    /// Reads an answer. Who made it, and of which certificate it speaks, is asked when it is used.
    ///
    /// # Errors
    /// [`OcspError`].
    pub fn read(bytes: &[u8]) -> Result<Self, OcspError> {
        if bytes.len() > MAX_OCSP_LEN {
            return Err(OcspError::TooLong(bytes.len()));
        }
        let response = OcspResponse::from_der(bytes).map_err(|_| OcspError::NotAnAnswer)?;
        if response.status() != OcspResponseStatus::SUCCESSFUL {
            return Err(OcspError::Refused(response.status().as_raw()));
        }
        let basic = response.basic().map_err(|_| OcspError::NotAnAnswer)?;
        let outer = Response::from_der(bytes).map_err(|_| OcspError::NotAnAnswer)?;
        let inner = outer.bytes.ok_or(OcspError::NotAnAnswer)?;
        let parsed =
            Basic::from_der(inner.response.as_bytes()).map_err(|_| OcspError::NotAnAnswer)?;
        let sent = parsed.certificates.unwrap_or_default();
        if sent.len() > MAX_CERTIFICATES || parsed.data.responses.len() > MAX_OCSP_STATUSES {
            return Err(OcspError::TooMany);
        }
        let certificates = sent
            .iter()
            .filter_map(|certificate| Certificate::from_der(&certificate.to_der().ok()?).ok())
            .collect();
        let broken_signature = algorithm::is_broken(&parsed.algorithm);
        Ok(OcspAnswer(Arc::new(Facts {
            basic,
            statuses: parsed.data.responses,
            certificates,
            broken_signature,
        })))
    }

    /// From when on the newest that it says is true, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        let all = self.0.statuses.iter();
        let from = all.map(|single| seconds(single.this_update));
        from.max().unwrap_or(i64::MIN)
    }

    /// Whether the CA with this certificate, in DER, has signed it, or one that the CA has named for it.
    pub fn is_signed_by(&self, issuer: &[u8], at: i64) -> bool {
        Certificate::from_der(issuer).is_ok_and(|issuer| self.is_signed_for(&issuer, at))
    }

    /// What it says of a certificate.
    pub(super) fn status(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: i64,
    ) -> Status {
        let unknown = |why: &str| Status::Unknown(format!("the OCSP answer {why}"));
        let Some(single) = self
            .0
            .statuses
            .iter()
            .find(|single| single.id.is_of(certificate, issuer))
        else {
            return unknown("is about another certificate");
        };
        if self.0.broken_signature {
            return unknown("is signed over MD5 or worse");
        }
        if !self.is_signed_for(issuer, at) {
            return unknown("is not signed by the issuer of the certificate or one that it names");
        }
        if let CertStatus::Revoked(_) = single.status {
            return Status::Revoked("the OCSP responder says so".to_owned());
        }
        let from = seconds(single.this_update);
        let until = single
            .next_update
            .map_or_else(|| from.saturating_add(OCSP_AGE_WITHOUT_END), seconds);
        if from > at.saturating_add(CLOCK_SKEW) {
            return unknown("is not valid yet");
        }
        if until < at {
            return unknown("has expired");
        }
        match single.status {
            CertStatus::Good(_) => Status::Good,
            _ => unknown("says that the responder does not know the certificate"),
        }
    }

    /// RFC 6960 section 4.2.2.2: signed by the issuer, or by one that the issuer itself has named for it.
    fn is_signed_for(&self, issuer: &Certificate, at: i64) -> bool {
        if self.0.broken_signature {
            return false;
        }
        let mut signers: Vec<X509> = vec![issuer.x509().clone()];
        signers.extend(
            self.0
                .certificates
                .iter()
                .filter(|signer| is_delegate(signer, issuer, at))
                .map(|signer| signer.x509().clone()),
        );
        let verified = || -> Result<(), openssl::error::ErrorStack> {
            let mut stack = Stack::new()?;
            for signer in signers {
                stack.push(signer)?;
            }
            let nobody = X509StoreBuilder::new()?.build();
            // Only these signers, and they were chosen above.
            self.0
                .basic
                .verify(&stack, &nobody, OcspFlag::NO_INTERN | OcspFlag::NO_VERIFY)
        };
        verified().is_ok()
    }
}

fn is_delegate(signer: &Certificate, issuer: &Certificate, at: i64) -> bool {
    dn::same(signer.issuer(), issuer.subject())
        && (signer.not_before()..=signer.not_after()).contains(&at)
        && signer
            .extended_key_usage()
            .is_some_and(|usages| usages.contains(&OCSP_SIGNING))
        && !signer.has_broken_signature()
        && signer.key().check(super::limits::MIN_RSA_BITS, "").is_ok()
        && matches!(signer.x509().verify(issuer.key().pkey()), Ok(true))
}

impl CertId {
    fn is_of(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let hash = match self.algorithm.oid {
            SHA1 => Hash::Sha1,
            SHA256 => Hash::Sha256,
            _ => return false,
        };
        let is = |expected: &[u8], of: &[u8]| {
            crate::digest(hash, &[of]).is_ok_and(|digest| digest == expected)
        };
        self.serial.as_bytes() == certificate.serial()
            && is(self.issuer_name.as_bytes(), certificate.issuer())
            && is(self.issuer_key.as_bytes(), issuer.key_bits())
    }
}

fn seconds(time: GeneralizedTime) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Debug for OcspAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OcspAnswer({} statuses)", self.0.statuses.len())
    }
}
