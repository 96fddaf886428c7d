//! Whether a certificate is revoked: what CRLs and OCSP answers say, and what has to be fetched to know.
//!
//! Nothing is fetched here. [`needed_fetches`] takes a [`Chain`], which only exists once it was found to end in
//! a certificate that is trusted: no stranger makes us visit a place.

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::chain::{Chain, Policy, Revocation};
use super::crl::Crl;
use super::fault::{Fault, Refusal};
use super::limits::MAX_FETCHES;
use super::ocsp::{self, OcspAnswer};

/// What is known about revocation.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// CRLs, from files or fetched.
    pub crls: Vec<Crl>,
    /// Answers of OCSP responders.
    pub ocsp: Vec<OcspAnswer>,
}

/// What one source says of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is, and this is what the source says of it.
    Revoked(String),
    /// The source does not say, and this is why.
    Unknown(String),
}

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fetch {
    /// A CRL: GET this address.
    Crl {
        /// The address.
        url: String,
        /// The certificate, in DER, of the CA that it has to be of.
        issuer: Vec<u8>,
    },
    /// An OCSP answer: POST the request there as `application/ocsp-request`.
    Ocsp {
        /// The address.
        url: String,
        /// The request in DER (RFC 6960 section 4.1).
        request: Vec<u8>,
        /// The certificate, in DER, of the CA that the answer has to be of, or of one that it has named for it.
        issuer: Vec<u8>,
    },
}

/// What has to be fetched to know whether a certificate of the chain is revoked: nothing of which the evidence
/// knows already, OCSP before CRLs, at most [`MAX_FETCHES`].
pub fn needed_fetches(
    chain: &Chain,
    evidence: &[&Evidence],
    at: i64,
    policy: Policy,
) -> Vec<Fetch> {
    let mut fetches = Vec::new();
    if policy.revocation == Revocation::Off {
        return fetches;
    }
    for (certificate, issuer) in chain.issued() {
        if !matches!(
            status(certificate, issuer, evidence, at),
            Status::Unknown(_)
        ) {
            continue;
        }
        let request = ocsp::request(certificate, issuer);
        let asked = certificate.ocsp_urls().iter().filter_map(|url| {
            Some(Fetch::Ocsp {
                url: url.clone(),
                request: request.clone().ok()?,
                issuer: issuer.der().to_vec(),
            })
        });
        let lists = certificate
            .crl_points()
            .iter()
            .flat_map(|point| &point.urls)
            .map(|url| Fetch::Crl {
                url: url.clone(),
                issuer: issuer.der().to_vec(),
            });
        for fetch in asked.chain(lists) {
            if fetches.len() < MAX_FETCHES && !fetches.contains(&fetch) {
                fetches.push(fetch);
            }
        }
    }
    fetches
}

/// Refuses a chain of which something is revoked, or not known well enough for the policy.
///
/// # Errors
/// A [`Refusal`] with [`Fault::Revoked`] or [`Fault::RevocationUnknown`].
pub fn check_revocation(
    chain: &Chain,
    evidence: &[&Evidence],
    at: i64,
    policy: Policy,
) -> Result<(), Refusal> {
    for (certificate, issuer) in chain.issued() {
        let asks = !certificate.ocsp_urls().is_empty() || !certificate.crl_points().is_empty();
        match status(certificate, issuer, evidence, at) {
            Status::Good => {}
            Status::Revoked(what) => {
                return Err(Refusal::new(
                    Fault::Revoked,
                    format!(
                        "the certificate of {} is revoked: {what}",
                        certificate.subject_words()
                    ),
                ));
            }
            Status::Unknown(why) => {
                let wanted = match policy.revocation {
                    Revocation::Strict => true,
                    Revocation::IfUri => asks,
                    Revocation::Relaxed | Revocation::Off => false,
                };
                if wanted {
                    return Err(Refusal::new(
                        Fault::RevocationUnknown,
                        format!(
                            "whether the certificate of {} is revoked is not known: {why}",
                            certificate.subject_words()
                        ),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What all sources together say: one that says revoked is believed before one that says good.
fn status(
    certificate: &Certificate,
    issuer: &Certificate,
    evidence: &[&Evidence],
    at: i64,
) -> Status {
    let mut unknown = Vec::new();
    let mut good = false;
    let answers = evidence.iter().flat_map(|evidence| &evidence.ocsp);
    let lists = evidence.iter().flat_map(|evidence| &evidence.crls);
    let said = answers
        .map(|answer| answer.status(certificate, issuer, at))
        .chain(
            lists
                .filter(|crl| crl.is_of(certificate))
                .map(|crl| crl.status(certificate, issuer, at)),
        );
    for status in said {
        match status {
            Status::Good => good = true,
            Status::Revoked(what) => return Status::Revoked(what),
            Status::Unknown(why) => unknown.push(why),
        }
    }
    if good {
        return Status::Good;
    }
    unknown.sort();
    unknown.dedup();
    Status::Unknown(if unknown.is_empty() {
        "there is no CRL and no OCSP answer for it".to_owned()
    } else {
        unknown.join("; ")
    })
}
