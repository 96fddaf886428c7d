//! Keys and certificates that are no secret, for the tests and the fuzz target. `pki/make` made them.

use std::sync::OnceLock;

use crypto::cert::{
    Credential, Evidence, Method, Policy, PrivateKey, TrustStore, read_certificates,
};

use crate::config::{CredentialId, SendCertificate, Signatures};
use crate::job::SignatureCredentials;

/// A certificate and its key, in PEM.
type Pair = (&'static str, &'static str);

/// Of 192.0.2.1, by `CA`.
pub(crate) const LEFT: Pair = (include_str!("pki/left.pem"), include_str!("pki/left.key"));
/// Of 192.0.2.2, by `CA`.
pub(crate) const RIGHT: Pair = (include_str!("pki/right.pem"), include_str!("pki/right.key"));
/// Of 192.0.2.2, by another CA.
#[cfg(test)]
pub(crate) const STRANGER: Pair = (
    include_str!("pki/stranger.pem"),
    include_str!("pki/stranger.key"),
);
/// The CA.
pub(crate) const CA: &str = include_str!("pki/ca.pem");

/// When they are valid, in seconds since 1970.
pub(crate) const AT: i64 = 1_900_000_000;

/// A side with a certificate, which trusts a CA; nothing where the files are damaged.
pub(crate) fn side(pair: Pair, ca: &str) -> SignatureCredentials {
    let certificate = read_certificates(pair.0.as_bytes()).unwrap_or_default();
    let key = PrivateKey::read(pair.1.as_bytes(), None).ok();
    SignatureCredentials {
        own: Credential::new(certificate, key).into_iter().collect(),
        trust: TrustStore {
            anchors: read_certificates(ca.as_bytes()).unwrap_or_default(),
            ..TrustStore::default()
        },
        evidence: Evidence::default(),
    }
}

/// Both sides, which trust the CA: read once, since a private key is checked when it is read.
pub(crate) fn both() -> &'static [SignatureCredentials; 2] {
    static BOTH: OnceLock<[SignatureCredentials; 2]> = OnceLock::new();
    BOTH.get_or_init(|| [LEFT, RIGHT].map(|pair| side(pair, CA)))
}

/// What a connection says of it.
pub(crate) fn signatures(credential: CredentialId) -> Signatures {
    Signatures {
        hybrid: false,
        credential,
        methods: vec![Method::Rsa],
        authorities: Vec::new(),
        request: true,
        send_certificate: SendCertificate::IfAsked,
        policy: Policy::default(),
    }
}
