//! Certificates, keys and signatures as IKE version 1 uses them (RFC 2409 section 5.1, RFC 4754, RFC 4945, RFC 5280).
//!
//! - [`Sign`], [`CheckPeer`]: proving and checking as plain data, for jobs.
//! - [`Credential`], [`PrivateKey`], [`TokenUri`]: what we prove ourselves with: PEM, DER, PKCS #12, PKCS #11.
//! - [`TrustStore`], [`load_certificates`]: whom to trust. [`Policy`]: how far.
//! - [`Certificate`], [`check_chain`], [`PeerIdentity`]: a peer's certificate, its chain and its names.
//! - [`Crl`], [`OcspAnswer`], [`needed_fetches`], [`check_revocation`]: whether it is revoked.
//! - [`Fault`], [`OwnFault`]: what can be wrong, each thing by its own name.
//! - [`dn`]: distinguished names in words.
//!
//! There is no clock and no network here: the caller says what time it is and fetches what is asked for.

mod algorithm;
mod certificate;
mod chain;
mod credential;
mod crl;
pub mod dn;
mod fault;
mod identity;
mod key;
pub mod limits;
mod ocsp;
mod pkcs7;
mod remembered;
mod revocation;
mod signature;
mod token;
mod trust;
mod work;

pub use certificate::{AltName, Certificate, CertificateError};
pub use chain::{Chain, Policy, Revocation, check_chain};
pub use credential::{Credential, Shown, choose};
pub use crl::{Crl, CrlError};
pub use fault::{Fault, OwnFault, Refusal};
pub use identity::PeerIdentity;
pub use key::{Curve, KeyError, KeyKind, PrivateKey, PublicKey};
pub use ocsp::{OcspAnswer, OcspError, request as ocsp_request};
pub use pkcs7::unwrap_certificates;
pub use remembered::Remembered;
pub use revocation::{Evidence, Fetch, Status, check_revocation, needed_fetches};
pub use signature::{Method, check as check_signature, sign};
pub use token::{TokenUri, TokenUriError};
pub use trust::{TrustError, TrustStore, load_certificates, read_certificates};
pub use work::{CheckPeer, Checked, Sign, Signed};
