//! One certificate (RFC 5280), read once: OpenSSL's copy to compute with, and what we ask of it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use openssl::x509::X509;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage,
    SubjectAltName, SubjectKeyIdentifier,
};

use super::algorithm;
use super::dn;
use super::key::PublicKey;
use super::limits::{MAX_CERTIFICATE_LEN, MAX_NAMES, MAX_URL_LEN};
use crate::{Hash, digest};

/// id-ad-ocsp (RFC 5280 section 4.2.2.1).
const AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

/// Why bytes are no certificate that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than [`MAX_CERTIFICATE_LEN`] bytes.
    #[error("the certificate has {0} bytes; {MAX_CERTIFICATE_LEN} are the most")]
    TooLong(usize),
    /// Not the DER of a certificate.
    #[error("the certificate is not DER as RFC 5280 has it: {0}")]
    NotDer(String),
    /// More names than anybody needs.
    #[error("the certificate has more than {MAX_NAMES} names")]
    TooManyNames,
    /// A key that OpenSSL cannot read.
    #[error("the certificate of {subject} has a key that cannot be read")]
    UnreadableKey {
        /// Whose.
        subject: String,
    },
}

/// A subjectAltName, of the kinds that an identity can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A host name.
    Dns(String),
    /// A mailbox.
    Email(String),
    /// An address: 4 or 16 bytes.
    Ip(Vec<u8>),
    /// A distinguished name in DER.
    Directory(Vec<u8>),
}

/// A distribution point of CRLs (RFC 5280 section 4.2.1.13) that one CRL of the issuer's own answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CrlPoint {
    /// Its names in DER, to be compared with those of a CRL.
    pub names: Vec<Vec<u8>>,
    /// Where to get it by HTTP.
    pub urls: Vec<String>,
}

/// A certificate. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate {
    x509: X509,
    facts: Arc<Facts>,
}

struct Facts {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    not_before: i64,
    not_after: i64,
    broken_signature: bool,
    alt_names: Vec<AltName>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
    subject_key_id: Option<Vec<u8>>,
    crl_points: Vec<CrlPoint>,
    ocsp_urls: Vec<String>,
    key: PublicKey,
    /// The bits of the subject's public key, which OCSP hashes.
    key_bits: Vec<u8>,
    words: Words,
}

/// What events name it by, once somebody has asked.
#[derive(Default)]
struct Words {
    subject: OnceLock<String>,
    issuer: OnceLock<String>,
    thumbprint: OnceLock<String>,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateError`]: nothing of it is judged here but whether it can be read.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_CERTIFICATE_LEN {
            return Err(CertificateError::TooLong(bytes.len()));
        }
        let not_der = |error: der::Error| CertificateError::NotDer(error.to_string());
        let parsed = CertificateInner::<Raw>::from_der(bytes).map_err(not_der)?;
        let x509 = X509::from_der(bytes).map_err(|_| {
            CertificateError::NotDer("OpenSSL does not read what RFC 5280 allows".to_owned())
        })?;
        let facts = Facts::of(bytes, &parsed, &x509)?;
        Ok(Certificate {
            x509,
            facts: Arc::new(facts),
        })
    }

    pub(super) fn x509(&self) -> &X509 {
        &self.x509
    }

    /// The certificate as it came.
    pub fn der(&self) -> &[u8] {
        &self.facts.der
    }

    /// The subject's name in DER.
    pub fn subject(&self) -> &[u8] {
        &self.facts.subject
    }

    /// The issuer's name in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.facts.issuer
    }

    /// The subject in words, in the order of the encoding: `C=CH, O=Example, CN=gw`.
    pub fn subject_words(&self) -> &str {
        let facts = &self.facts;
        facts.words.subject.get_or_init(|| words(&facts.subject))
    }

    /// The issuer in words.
    pub fn issuer_words(&self) -> &str {
        let facts = &self.facts;
        facts.words.issuer.get_or_init(|| words(&facts.issuer))
    }

    /// The SHA-1 over the DER in hexadecimal, as Windows names certificates.
    pub fn thumbprint(&self) -> &str {
        self.facts.words.thumbprint.get_or_init(|| {
            let digest = digest(Hash::Sha1, &[&self.facts.der]);
            digest.map(|bytes| dn::hex(&bytes)).unwrap_or_default()
        })
    }

    /// When it begins to be valid, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.facts.not_before
    }

    /// The last moment when it is valid, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.facts.not_after
    }

    /// Its subjectAltNames, of the kinds that an identity can be.
    pub fn alt_names(&self) -> &[AltName] {
        &self.facts.alt_names
    }

    /// Its public key.
    pub fn key(&self) -> &PublicKey {
        &self.facts.key
    }

    /// Whether its issuer has the name of that one; whether that one signed it is not looked at.
    pub fn names_as_issuer(&self, issuer: &Certificate) -> bool {
        dn::same(self.issuer(), issuer.subject())
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        dn::same(&self.facts.subject, &self.facts.issuer)
    }

    /// Whether its basic constraints say that it is a CA's.
    pub fn is_ca(&self) -> bool {
        self.facts
            .basic_constraints
            .as_ref()
            .is_some_and(|constraints| constraints.ca)
    }

    /// Whether there are basic constraints at all: certificates of version 1 have none.
    pub(super) fn has_basic_constraints(&self) -> bool {
        self.facts.basic_constraints.is_some()
    }

    pub(super) fn key_usage(&self) -> Option<KeyUsage> {
        self.facts.key_usage
    }

    pub(super) fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.facts.extended_key_usage.as_deref()
    }

    pub(super) fn subject_key_id(&self) -> Option<&[u8]> {
        self.facts.subject_key_id.as_deref()
    }

    /// Whether it is signed over MD5 or worse.
    pub(super) fn has_broken_signature(&self) -> bool {
        self.facts.broken_signature
    }

    pub(super) fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    pub(super) fn key_bits(&self) -> &[u8] {
        &self.facts.key_bits
    }

    pub(super) fn crl_points(&self) -> &[CrlPoint] {
        &self.facts.crl_points
    }

    pub(super) fn ocsp_urls(&self) -> &[String] {
        &self.facts.ocsp_urls
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.facts.der == other.facts.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject_words())
    }
}

/// A name in words; an empty one is shown as such.
pub(super) fn words(der: &[u8]) -> String {
    match dn::render(der) {
        Some(text) if text.is_empty() => "(no name)".to_owned(),
        Some(text) => text,
        None => format!("#{}", dn::hex(der)),
    }
}

impl Facts {
    fn of(
        bytes: &[u8],
        parsed: &CertificateInner<Raw>,
        x509: &X509,
    ) -> Result<Self, CertificateError> {
        let not_der = |error: der::Error| CertificateError::NotDer(error.to_string());
        let tbs = parsed.tbs_certificate();
        let subject = tbs.subject().to_der().map_err(not_der)?;
        let key = x509
            .public_key()
            .map_err(|_| CertificateError::UnreadableKey {
                subject: words(&subject),
            })?;
        let algorithm = &tbs.subject_public_key_info().algorithm;
        let parameters = algorithm.parameters.as_ref();
        let curve = parameters.and_then(|parameters| parameters.decode_as().ok());
        let key = PublicKey::on_curve(key, curve);
        let mut facts = Facts {
            der: bytes.to_vec(),
            subject,
            issuer: tbs.issuer().to_der().map_err(not_der)?,
            serial: tbs.serial_number().as_bytes().to_vec(),
            not_before: seconds(tbs.validity().not_before),
            not_after: seconds(tbs.validity().not_after),
            broken_signature: algorithm::is_broken(parsed.signature_algorithm()),
            alt_names: Vec::new(),
            basic_constraints: extension(tbs)?,
            key_usage: extension(tbs)?,
            extended_key_usage: extension::<ExtendedKeyUsage>(tbs)?.map(|usage| usage.0),
            subject_key_id: extension::<SubjectKeyIdentifier>(tbs)?
                .map(|id| id.0.as_bytes().to_vec()),
            crl_points: Vec::new(),
            ocsp_urls: Vec::new(),
            key,
            key_bits: tbs
                .subject_public_key_info()
                .subject_public_key
                .raw_bytes()
                .to_vec(),
            words: Words::default(),
        };
        if let Some(names) = extension::<SubjectAltName>(tbs)? {
            if names.0.len() > MAX_NAMES {
                return Err(CertificateError::TooManyNames);
            }
            facts.alt_names = names.0.iter().filter_map(alt_name).collect();
        }
        if let Some(points) = extension::<CrlDistributionPoints>(tbs)? {
            // A CRL for some reasons only, or of another issuer, cannot say that all is well.
            facts.crl_points = points
                .0
                .iter()
                .filter(|point| point.reasons.is_none() && point.crl_issuer.is_none())
                .filter_map(|point| point.distribution_point.as_ref())
                .filter_map(crl_point)
                .collect();
        }
        if let Some(access) = extension::<AuthorityInfoAccessSyntax>(tbs)? {
            facts.ocsp_urls = access
                .0
                .iter()
                .filter(|description| description.access_method == AD_OCSP)
                .filter_map(|description| http_url(&description.access_location))
                .collect();
        }
        Ok(facts)
    }
}

/// An extension that is there at most once (RFC 5280 section 4.2).
fn extension<T>(
    tbs: &x509_cert::certificate::TbsCertificateInner<Raw>,
) -> Result<Option<T>, CertificateError>
where
    T: for<'a> Decode<'a, Error = der::Error> + der::oid::AssociatedOid,
{
    let not_der = |error: der::Error| CertificateError::NotDer(error.to_string());
    let mut found = tbs
        .extensions()
        .into_iter()
        .flatten()
        .filter(|extension| extension.extn_id == T::OID);
    let Some(extension) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(CertificateError::NotDer(format!(
            "the extension {} is there twice",
            T::OID
        )));
    }
    T::from_der(extension.extn_value.as_bytes())
        .map(Some)
        .map_err(not_der)
}

fn alt_name(name: &GeneralName) -> Option<AltName> {
    match name {
        GeneralName::DnsName(name) => Some(AltName::Dns(name.as_str().to_owned())),
        GeneralName::Rfc822Name(name) => Some(AltName::Email(name.as_str().to_owned())),
        GeneralName::IpAddress(address) => Some(AltName::Ip(address.as_bytes().to_vec())),
        GeneralName::DirectoryName(name) => name.to_der().ok().map(AltName::Directory),
        _ => None,
    }
}

fn crl_point(name: &DistributionPointName) -> Option<CrlPoint> {
    let DistributionPointName::FullName(names) = name else {
        return None;
    };
    Some(CrlPoint {
        names: names.iter().filter_map(|name| name.to_der().ok()).collect(),
        urls: names.iter().filter_map(http_url).collect(),
    })
}

/// An address that is to be had by HTTP, which is what RFC 5280 asks CAs to offer.
fn http_url(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(url) => {
            let url = url.as_str();
            let http = url
                .get(..7)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
            let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
            (http && plain && url.len() <= MAX_URL_LEN).then(|| url.to_owned())
        }
        _ => None,
    }
}

/// Seconds since 1970; times before that cannot be read at all.
pub(super) fn seconds(time: x509_cert::time::Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}
