//! Whom to trust: CAs, and what is known of peers without any CA.

use std::path::Path;

use openssl::x509::X509;

use super::certificate::{Certificate, CertificateError};
use super::chain::Chain;
use super::dn;
use super::key::PublicKey;
use super::limits::{MAX_FILE_LEN, MAX_TRUSTED};
use super::remembered::Remembered;

/// Why a file or folder of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate in it cannot be read.
    #[error("{path}: {source}")]
    Bad {
        /// The file.
        path: String,
        /// Why.
        source: CertificateError,
    },
    /// There is none in it.
    #[error("{0}: there is no certificate in it")]
    Empty(String),
    /// There are more than [`MAX_TRUSTED`], or they have more bytes than [`MAX_FILE_LEN`].
    #[error("{0}: more than {MAX_TRUSTED} certificates, or {MAX_FILE_LEN} bytes")]
    TooMuch(String),
}

/// Every certificate of a file: PEM, one after the other with any text between, or one in DER.
///
/// # Errors
/// [`CertificateError`] of the first that cannot be read; none at all is an empty list.
pub fn read_certificates(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    let pem = bytes
        .windows(b"-----BEGIN ".len())
        .any(|window| window == b"-----BEGIN ");
    if !pem {
        return Certificate::from_der(bytes).map(|certificate| vec![certificate]);
    }
    let found = X509::stack_from_pem(bytes)
        .map_err(|_| CertificateError::NotDer("the PEM is damaged".to_owned()))?;
    found
        .iter()
        .map(|x509| {
            let der = x509
                .to_der()
                .map_err(|error| CertificateError::NotDer(error.to_string()))?;
            Certificate::from_der(&der)
        })
        .collect()
}

/// Every certificate of a file, or of the files in a folder that end in `.pem`, `.crt`, `.cer` or `.der`.
///
/// # Errors
/// [`TrustError`], which names the file.
pub fn load_certificates(path: &Path) -> Result<Vec<Certificate>, TrustError> {
    let name = path.display().to_string();
    let unreadable = |source| TrustError::Unreadable {
        path: name.clone(),
        source,
    };
    let mut files = Vec::new();
    let meta = path.metadata().map_err(unreadable)?;
    if meta.is_dir() {
        for entry in path.read_dir().map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let wanted = path.extension().is_some_and(|extension| {
                ["pem", "crt", "cer", "der"]
                    .iter()
                    .any(|known| extension.eq_ignore_ascii_case(known))
            });
            if wanted && path.is_file() {
                files.push(path);
            }
            if files.len() > MAX_TRUSTED {
                return Err(TrustError::TooMuch(name));
            }
        }
        files.sort();
    } else if !meta.is_file() {
        // A pipe would be waited for.
        let what = "it is neither a file nor a folder";
        return Err(unreadable(std::io::Error::other(what)));
    } else {
        files.push(path.to_owned());
    }
    let mut certificates: Vec<Certificate> = Vec::new();
    let mut room = MAX_FILE_LEN;
    for file in files {
        let path = file.display().to_string();
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        room = room
            .checked_sub(len)
            .ok_or_else(|| TrustError::TooMuch(name.clone()))?;
        let bytes = std::fs::read(&file).map_err(|source| TrustError::Unreadable {
            path: path.clone(),
            source,
        })?;
        for certificate in
            read_certificates(&bytes).map_err(|source| TrustError::Bad { path, source })?
        {
            // Folders of OpenSSL's make name each file twice.
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        if certificates.len() > MAX_TRUSTED {
            return Err(TrustError::TooMuch(name));
        }
    }
    if certificates.is_empty() {
        return Err(TrustError::Empty(name));
    }
    Ok(certificates)
}

/// Whom a connection trusts.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    /// Certificates that a chain may end in: roots, and CAs between that are trusted as they are.
    pub anchors: Vec<Certificate>,
    /// CAs that a peer may leave out of its chain, and that are trusted no more than it is.
    pub intermediates: Vec<Certificate>,
    /// Certificates of peers, which need not send them. Each is trusted as itself, and nothing that it issued.
    pub peers: Vec<Certificate>,
    /// Whether a peer needs both: one of `peers`, and a chain from it to one of `anchors`.
    pub pinned: bool,
    /// Public keys of peers that have no certificate. Each is trusted as it is.
    pub raw_keys: Vec<PublicKey>,
    /// Chains that were found good: never more trusted than the certificates above.
    pub remembered: Remembered,
}

impl TrustStore {
    /// What we ask the peer for: the subjects of the anchors in DER, one for each certificate request payload
    /// (RFC 4945 section 3.2.7), each once.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for anchor in self.anchors.iter().filter(|anchor| issues(anchor)) {
            if !names.iter().any(|name| name == anchor.subject()) {
                names.push(anchor.subject().to_vec());
            }
        }
        names
    }

    /// A certificate of that subject among the anchors and intermediates.
    pub(super) fn find(&self, subject: &[u8]) -> Option<&Certificate> {
        self.anchors
            .iter()
            .chain(&self.intermediates)
            .find(|certificate| dn::same(certificate.subject(), subject))
    }

    /// Whether a chain that was found good still ends in what is trusted.
    pub(super) fn trusts(&self, chain: &Chain) -> bool {
        let known = self.peers.contains(chain.leaf());
        let by_anchor = self.anchors.contains(chain.anchor());
        if self.pinned {
            return known && by_anchor;
        }
        by_anchor || (known && chain.certificates().len() == 1)
    }

    /// Whether there are anchors that another one has issued.
    pub(super) fn has_partial(&self) -> bool {
        self.anchors
            .iter()
            .any(|certificate| !certificate.is_self_issued())
    }
}

/// Whether it is a CA's: certificates of version 1 do not say so themselves.
fn issues(certificate: &Certificate) -> bool {
    certificate.is_ca() || (!certificate.has_basic_constraints() && certificate.is_self_issued())
}
