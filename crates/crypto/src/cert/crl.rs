//! Certificate revocation lists (RFC 5280 section 5): complete ones, signed by the issuer itself.

use std::fmt;
use std::sync::Arc;

use der::asn1::{ContextSpecific, ObjectIdentifier};
use der::{AnyRef, Decode, Encode, Reader, Tag, TagNumber};
use openssl::x509::{CrlStatus, X509Crl};
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::DistributionPointName;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use super::algorithm;
use super::certificate::{Certificate, seconds, words};
use super::dn;
use super::limits::{CLOCK_SKEW, MAX_CRL_LEN};
use super::revocation::Status;

/// id-ce-issuingDistributionPoint (RFC 5280 section 5.2.5).
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// Why bytes are no CRL that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// More than [`MAX_CRL_LEN`] bytes.
    #[error("the CRL has {0} bytes; {MAX_CRL_LEN} are the most")]
    TooLong(usize),
    /// Neither the DER nor the PEM of a CRL.
    #[error("this is no CRL in PEM or DER")]
    NotACrl,
}

/// A CRL, read once. Cloning is cheap.
#[derive(Clone)]
pub struct Crl(Arc<Facts>);

struct Facts {
    crl: X509Crl,
    issuer: Vec<u8>,
    this_update: i64,
    next_update: Option<i64>,
    broken_signature: bool,
    scope: Result<Scope, String>,
}

/// Which certificates a CRL speaks of.
#[derive(Default)]
struct Scope {
    /// Only end entities' or only CAs'.
    only: Option<Only>,
    /// Only those that name one of these distribution points, in DER.
    points: Option<Vec<Vec<u8>>>,
}

#[derive(PartialEq)]
enum Only {
    User,
    Ca,
}

/// What stands around the revoked ones, which OpenSSL keeps.
struct Head {
    issuer: Vec<u8>,
    this_update: i64,
    next_update: Option<i64>,
    extensions: Option<Extensions>,
    broken_signature: bool,
}

/// RFC 5280 section 5.1, passing over the list of what is revoked: it can be long.
fn head(der: &[u8]) -> der::Result<Head> {
    AnyRef::from_der(der)?.sequence(|outer| {
        let (issuer, this_update, next_update, extensions) =
            AnyRef::decode(outer)?.sequence(|list| {
                let _version = Option::<u8>::decode(list)?;
                let _algorithm = AnyRef::decode(list)?;
                let issuer = AnyRef::decode(list)?.to_der()?;
                let this_update = seconds(Time::decode(list)?);
                let next_update = Option::<Time>::decode(list)?.map(seconds);
                if !list.is_finished() && Tag::peek(list)? == Tag::Sequence {
                    let _revoked = AnyRef::decode(list)?;
                }
                let extensions =
                    ContextSpecific::<Extensions>::decode_explicit(list, TagNumber(0))?;
                Ok::<_, der::Error>((issuer, this_update, next_update, extensions))
            })?;
        let algorithm = AlgorithmIdentifierOwned::decode(outer)?;
        let _signature = AnyRef::decode(outer)?;
        Ok(Head {
            issuer,
            this_update,
            next_update,
            extensions: extensions.map(|extensions| extensions.value),
            broken_signature: algorithm::is_broken(&algorithm),
        })
    })
}

impl Crl {
    /// Reads a CRL in DER or PEM. Whose it is, and whether it is signed, is asked when it is used.
    ///
    /// # Errors
    /// [`CrlError`].
    pub fn read(bytes: &[u8]) -> Result<Self, CrlError> {
        if bytes.len() > MAX_CRL_LEN {
            return Err(CrlError::TooLong(bytes.len()));
        }
        let crl = X509Crl::from_der(bytes)
            .or_else(|_| X509Crl::from_pem(bytes))
            .map_err(|_| CrlError::NotACrl)?;
        let der = crl.to_der().map_err(|_| CrlError::NotACrl)?;
        let head = head(&der).map_err(|_| CrlError::NotACrl)?;
        Ok(Crl(Arc::new(Facts {
            crl,
            issuer: head.issuer,
            this_update: head.this_update,
            next_update: head.next_update,
            broken_signature: head.broken_signature,
            scope: scope(head.extensions.as_ref()),
        })))
    }

    /// The name of its issuer in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.0.issuer
    }

    /// When the next one is to be had, in seconds since 1970.
    pub fn next_update(&self) -> Option<i64> {
        self.0.next_update
    }

    /// When it was issued, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.0.this_update
    }

    /// Whether the CA with this certificate, in DER, has signed it.
    pub fn is_signed_by(&self, issuer: &[u8]) -> bool {
        Certificate::from_der(issuer).is_ok_and(|issuer| self.is_signed_with(&issuer))
    }

    fn is_signed_with(&self, issuer: &Certificate) -> bool {
        !self.0.broken_signature && matches!(self.0.crl.verify(issuer.key().pkey()), Ok(true))
    }

    /// Whether it could speak of this certificate.
    pub(super) fn is_of(&self, certificate: &Certificate) -> bool {
        dn::same(&self.0.issuer, certificate.issuer())
    }

    /// What it says of a certificate.
    pub(super) fn status(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: i64,
    ) -> Status {
        let facts = &self.0;
        let unknown = |why: &str| Status::Unknown(format!("the CRL {why}"));
        if issuer.key_usage().is_some_and(|usage| !usage.crl_sign()) {
            return unknown("is of a CA whose key usage has no cRLSign");
        }
        if facts.broken_signature {
            return unknown("is signed over MD5 or worse");
        }
        if !self.is_signed_with(issuer) {
            return unknown("is not signed by the issuer of the certificate");
        }
        match &facts.scope {
            Err(why) => return unknown(why),
            Ok(scope) if !scope.covers(certificate) => {
                return unknown("is for other certificates of this CA");
            }
            Ok(_) => {}
        }
        // What was revoked once stays so, however old the list is.
        if let CrlStatus::Revoked(_) = facts.crl.get_by_cert(certificate.x509()) {
            return Status::Revoked(format!("it is in the CRL of {}", words(&facts.issuer)));
        }
        if facts.this_update > at.saturating_add(CLOCK_SKEW) {
            return unknown("is not valid yet");
        }
        match facts.next_update {
            Some(next) if next < at => unknown("has expired"),
            None => unknown("does not say until when it is valid"),
            Some(_) => Status::Good,
        }
    }
}

impl Scope {
    fn covers(&self, certificate: &Certificate) -> bool {
        let kind = if certificate.is_ca() {
            Only::Ca
        } else {
            Only::User
        };
        self.only.as_ref().is_none_or(|only| *only == kind)
            && self.points.as_ref().is_none_or(|points| {
                certificate
                    .crl_points()
                    .iter()
                    .flat_map(|point| &point.names)
                    .any(|name| points.contains(name))
            })
    }
}

/// RFC 5280 section 5.2: what is critical and not known here makes the list one that we cannot use. So does a
/// delta CRL's indicator, which is critical.
fn scope(extensions: Option<&Extensions>) -> Result<Scope, String> {
    let mut scope = Scope::default();
    for extension in extensions.into_iter().flatten() {
        if extension.extn_id != ISSUING_DISTRIBUTION_POINT {
            if extension.critical {
                return Err(format!(
                    "has the critical extension {}, which is not known here",
                    extension.extn_id
                ));
            }
            continue;
        }
        let point = IssuingDistributionPoint::from_der(extension.extn_value.as_bytes())
            .map_err(|_| "names its distribution point in a way that cannot be read".to_owned())?;
        if point.indirect_crl
            || point.only_some_reasons.is_some()
            || point.only_contains_attribute_certs
        {
            return Err("is for some reasons only, or of several issuers".to_owned());
        }
        scope.only = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
            (true, true) => return Err("is for no certificate at all".to_owned()),
            (true, false) => Some(Only::User),
            (false, true) => Some(Only::Ca),
            (false, false) => None,
        };
        scope.points = match point.distribution_point {
            None => None,
            Some(DistributionPointName::FullName(names)) => {
                Some(names.iter().filter_map(|name| name.to_der().ok()).collect())
            }
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
                return Err("names its distribution point relative to its issuer".to_owned());
            }
        };
    }
    Ok(scope)
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({})", words(&self.0.issuer))
    }
}
