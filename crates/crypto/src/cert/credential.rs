//! What we show of ourselves: a certificate with its chain and its key, or a key alone.

use std::fmt;

use openssl::pkcs12::Pkcs12;
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::dn;
use super::fault::OwnFault;
use super::key::{KeyError, PrivateKey};
use super::limits::{MAX_CERTIFICATES, MAX_FILE_LEN, MAX_INTERMEDIATES};
use super::signature::{self, Method};
use super::trust::TrustStore;
use crate::Secret;

/// A certificate as events name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The SHA-1 over its DER, in hexadecimal.
    pub thumbprint: Option<String>,
    /// The subject's name.
    pub subject: Option<String>,
    /// The name of the CA that issued it.
    pub issuing_ca: Option<String>,
    /// The name of the certificate that the chain ends in, once it is known to.
    pub root_ca: Option<String>,
}

impl Shown {
    pub(super) fn of(certificate: &Certificate, root: Option<&Certificate>) -> Self {
        Shown {
            thumbprint: Some(certificate.thumbprint().to_owned()),
            subject: Some(certificate.subject_words().to_owned()),
            issuing_ca: Some(certificate.issuer_words().to_owned()),
            root_ca: root.map(|root| root.subject_words().to_owned()),
        }
    }
}

/// Our certificate with what is sent beside it, and its key; or a key that the peer knows already.
#[derive(Clone)]
pub struct Credential {
    chain: Vec<Certificate>,
    key: Option<PrivateKey>,
}

impl Credential {
    /// A certificate first, the CAs between it and a root after it, and its key. Without a key it cannot sign,
    /// which is found when it has to.
    ///
    /// # Errors
    /// [`KeyError::NotAPair`].
    pub fn new(chain: Vec<Certificate>, key: Option<PrivateKey>) -> Result<Self, KeyError> {
        if let (Some(certificate), Some(key)) = (chain.first(), &key)
            && certificate.key() != key.public()
        {
            return Err(KeyError::NotAPair(certificate.subject_words().to_owned()));
        }
        Ok(Credential { chain, key })
    }

    /// A key without a certificate: the peer has its public half.
    pub fn raw(key: PrivateKey) -> Self {
        Credential {
            chain: Vec::new(),
            key: Some(key),
        }
    }

    /// Reads a PKCS #12 file: key, certificate, and the CAs in it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs12(bytes: &[u8], passphrase: &Secret) -> Result<Self, KeyError> {
        let file = Pkcs12::from_der(bytes).map_err(|_| KeyError::Pkcs12("is none"))?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE_LEN) {
            return Err(KeyError::Pkcs12("is too long"));
        }
        let passphrase = std::str::from_utf8(passphrase.as_bytes())
            .map_err(|_| KeyError::Pkcs12("has a passphrase that is no text"))?;
        let parts = file.parse2(passphrase).map_err(|_| {
            KeyError::Pkcs12(
                "does not open: the passphrase is wrong, or it is encrypted with RC2, which is not supported",
            )
        })?;
        let readable = |x509: &openssl::x509::X509Ref| {
            Certificate::from_der(&x509.to_der()?)
                .map_err(|_| KeyError::Pkcs12("has a certificate that cannot be read"))
        };
        let mut chain = Vec::new();
        match &parts.cert {
            Some(certificate) => chain.push(readable(certificate)?),
            None => return Err(KeyError::Pkcs12("has no certificate")),
        }
        for ca in parts.ca.iter().flatten().take(MAX_CERTIFICATES) {
            chain.push(readable(ca)?);
        }
        let key = parts.pkey.map(PrivateKey::of).transpose()?;
        Self::new(chain, key)
    }

    /// The certificate, if there is one.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.chain.first()
    }

    /// The method that it can sign with.
    pub fn method(&self) -> Option<Method> {
        let kind = match (&self.key, self.chain.first()) {
            (Some(key), _) => key.kind(),
            (None, Some(certificate)) => certificate.key().kind(),
            (None, None) => return None,
        };
        Method::of_key(kind)
    }

    /// As events name it; the root is the one that `trust` knows, whether the peer trusts it or not.
    pub fn shown(&self, trust: &TrustStore) -> Shown {
        let Some(certificate) = self.chain.first() else {
            return Shown::default();
        };
        let names = self.issuers(trust);
        let root = names.last().filter(|name| {
            self.find(name, trust)
                .is_some_and(Certificate::is_self_issued)
        });
        Shown {
            root_ca: root.map(|name| super::certificate::words(name)),
            ..Shown::of(certificate, None)
        }
    }

    /// What is sent: the certificate and the CAs above it, without the root, which the peer has or does not trust.
    pub fn to_send(&self) -> impl Iterator<Item = &Certificate> {
        let own = self.chain.iter().take(1);
        let above = self.chain.iter().skip(1);
        own.chain(above.filter(|ca| !ca.is_self_issued()))
            .take(MAX_CERTIFICATES)
    }

    /// The names of the issuers above the certificate, as far as they are known here.
    fn issuers(&self, trust: &TrustStore) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut at = self.chain.first();
        while let Some(certificate) = at
            && names.len() <= MAX_INTERMEDIATES as usize
        {
            names.push(certificate.issuer().to_vec());
            at = self
                .find(certificate.issuer(), trust)
                .filter(|issuer| !issuer.is_self_issued());
        }
        names
    }

    fn find<'a>(&'a self, subject: &[u8], trust: &'a TrustStore) -> Option<&'a Certificate> {
        self.chain
            .iter()
            .find(|certificate| dn::same(certificate.subject(), subject))
            .or_else(|| trust.find(subject))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, {:?})", self.chain.first(), self.key)
    }
}

/// The first of our credentials that fits the method, of those that the peer asks for if there are any: `requests` are
/// the CAs of its certificate requests in DER. They are a hint among several: a peer that knows our certificate itself
/// need not name its CA. None of them, or an empty one, means any.
///
/// # Errors
/// [`OwnFault`], the first thing that is wrong with those that fit the method, the ones that are asked for first.
pub fn choose<'a>(
    credentials: &'a [Credential],
    method: Method,
    requests: &[Vec<u8>],
    trust: &TrustStore,
    at: i64,
) -> Result<&'a Credential, OwnFault> {
    if credentials.is_empty() {
        return Err(OwnFault::NoCertificate);
    }
    let any = requests.is_empty() || requests.iter().any(Vec::is_empty);
    let wanted = |credential: &&Credential| {
        let names = || credential.issuers(trust);
        any || credential.chain.is_empty()
            || names()
                .iter()
                .any(|name| requests.iter().any(|wanted| dn::same(wanted, name)))
    };
    let fits = |credential: &&Credential| credential.method() == Some(method);
    let (asked, others): (Vec<&Credential>, Vec<&Credential>) =
        credentials.iter().filter(fits).partition(wanted);
    let mut wrong = None;
    for credential in asked.into_iter().chain(others) {
        match credential.fault(at) {
            None => return Ok(credential),
            Some(fault) => wrong = wrong.or(Some(fault)),
        }
    }
    Err(wrong.unwrap_or_else(|| OwnFault::NoneFits(format!("none of our keys can make {method}"))))
}

impl Credential {
    /// Why nobody could be shown it, if there is a reason.
    fn fault(&self, at: i64) -> Option<OwnFault> {
        let certificate = self.certificate()?;
        let whose = certificate.subject_words();
        if at > certificate.not_after() {
            let why = format!("our certificate of {whose} has expired");
            Some(OwnFault::Expired(why))
        } else if at < certificate.not_before() {
            let why = format!("our certificate of {whose} is not valid yet");
            Some(OwnFault::NotYetValid(why))
        } else if self.key.is_none() {
            Some(OwnFault::NoPrivateKey(whose.to_owned()))
        } else {
            None
        }
    }

    /// Signs `HASH_I` or `HASH_R`.
    ///
    /// # Errors
    /// [`OwnFault::NoPrivateKey`], [`OwnFault::KeyUnusable`].
    pub fn sign(&self, method: Method, hash: &[u8]) -> Result<Vec<u8>, OwnFault> {
        match &self.key {
            Some(key) => signature::sign(key, method, hash),
            None => Err(OwnFault::NoPrivateKey(
                self.certificate()
                    .map(Certificate::subject_words)
                    .unwrap_or_default()
                    .to_owned(),
            )),
        }
    }
}
