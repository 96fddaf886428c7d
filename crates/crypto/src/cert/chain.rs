//! From a peer's certificate to one that is trusted (RFC 5280 section 6, RFC 4945 section 5).
//!
//! OpenSSL finds the way and checks it: signatures, validity, basic constraints, path length, key usage of CAs,
//! name constraints, critical extensions. What IKE asks for beyond it is checked here.

use der::asn1::ObjectIdentifier;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext};
use openssl_sys as ffi;
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, words};
use super::fault::{Fault, Refusal};
use super::limits::{MAX_INTERMEDIATES, MIN_RSA_BITS};
use super::trust::TrustStore;

/// What an operator asks of a peer's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How much must be known about revocation.
    pub revocation: Revocation,
    /// The shortest RSA modulus, in bits.
    pub min_rsa_bits: u32,
    /// Whether certificates signed over SHA-1 are taken.
    pub allow_sha1: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            revocation: Revocation::Relaxed,
            min_rsa_bits: MIN_RSA_BITS,
            allow_sha1: false,
        }
    }
}

/// How much must be known about revocation, in strongSwan's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Revocation {
    /// Each certificate must be known not to be revoked.
    Strict,
    /// So must each that names a place to ask.
    IfUri,
    /// What is known to be revoked is refused; it is asked where there is a place to ask.
    Relaxed,
    /// Nobody is asked; what a CRL here says is heeded all the same.
    Off,
}

/// The extended key usages that are taken for IKE. RFC 4945 section 5.1.3.12 wants ipsecIKE or
/// anyExtendedKeyUsage. CAs of Windows give serverAuth and clientAuth, as strongSwan advises for peers that
/// are Windows; the others are what IKE's own usages were before there was one.
const USAGES: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17"), // ipsecIKE
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),        // anyExtendedKeyUsage
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.8.2.2"),  // iKEIntermediate
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),  // serverAuth
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),  // clientAuth
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.5"),  // ipsecEndSystem
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.6"),  // ipsecTunnel
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.7"),  // ipsecUser
];

/// A chain that was found good at a moment: the peer's certificate first, a trusted one last. The two are one
/// where the peer's own is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<Certificate>);

impl Chain {
    /// The peer's certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// The one that is trusted.
    pub fn anchor(&self) -> &Certificate {
        &self.0[self.0.len() - 1]
    }

    /// All of them.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// Each that was issued in this chain, with its issuer.
    pub(super) fn issued(&self) -> impl Iterator<Item = (&Certificate, &Certificate)> {
        self.0.windows(2).map(|pair| (&pair[0], &pair[1]))
    }
}

/// Finds and checks the chain of `leaf`. `others`: what the peer sent beside it, believed in nothing. `at`:
/// seconds since 1970. A certificate that is known as a peer's is trusted without a chain, where there is none: as
/// itself, and never as the issuer of another.
///
/// # Errors
/// A [`Refusal`] with the first thing that is wrong.
pub fn check_chain(
    leaf: &Certificate,
    others: &[Certificate],
    trust: &TrustStore,
    at: i64,
    policy: Policy,
) -> Result<Chain, Refusal> {
    let known = trust.peers.contains(leaf);
    if trust.pinned && !known {
        let whose = leaf.subject_words();
        let detail = format!("the certificate of {whose} is none of those that are known here");
        return Err(Refusal::new(Fault::Untrusted, detail));
    }
    let none = X509VerifyFlags::empty();
    let chain = match find_chain(leaf, others, trust, at, policy, none) {
        // An operator who trusts a CA between need not have its root.
        Err(refusal) if refusal.fault == Fault::Untrusted && trust.has_partial() => find_chain(
            leaf,
            others,
            trust,
            at,
            policy,
            X509VerifyFlags::PARTIAL_CHAIN,
        ),
        found => found,
    };
    let chain = match chain {
        Err(refusal) if refusal.fault == Fault::Untrusted && known && !trust.pinned => {
            // Nothing else is in this store, so that nothing else can be in the chain.
            let itself = TrustStore {
                anchors: vec![leaf.clone()],
                ..TrustStore::default()
            };
            find_chain(
                leaf,
                &[],
                &itself,
                at,
                policy,
                X509VerifyFlags::PARTIAL_CHAIN,
            )
        }
        found => found,
    }?;
    check_usages(&chain)?;
    check_strength(&chain, policy)?;
    Ok(chain)
}

fn find_chain(
    leaf: &Certificate,
    others: &[Certificate],
    trust: &TrustStore,
    at: i64,
    policy: Policy,
    flags: X509VerifyFlags,
) -> Result<Chain, Refusal> {
    let store = store(trust, at, policy, flags)?;
    let mut helpers = Stack::new()?;
    for other in others.iter().chain(&trust.intermediates) {
        // A key that is there to be slow to compute with is not computed with.
        if other.key().check_make("").is_ok() {
            helpers.push(other.x509().clone())?;
        }
    }
    let mut context = X509StoreContext::new()?;
    let outcome = context.init(&store, leaf.x509(), &helpers, |context| {
        if context.verify_cert()? {
            let found: Vec<X509> = context
                .chain()
                .map(|chain| chain.iter().map(ToOwned::to_owned).collect())
                .unwrap_or_default();
            return Ok(Ok(found));
        }
        let at_fault = context
            .current_cert()
            .and_then(|certificate| certificate.subject_name().to_der().ok())
            .map_or_else(|| leaf.subject_words().to_owned(), |name| words(&name));
        Ok(Err((context.error(), context.error_depth(), at_fault)))
    })?;
    match outcome {
        Ok(found) if found.is_empty() => Err(Refusal::new(Fault::Internal, "no chain")),
        Ok(found) => found
            .iter()
            .map(|x509| {
                let der = x509.to_der()?;
                let known = std::iter::once(leaf)
                    .chain(others)
                    .chain(&trust.anchors)
                    .chain(&trust.intermediates)
                    .find(|certificate| certificate.der() == der);
                match known {
                    Some(certificate) => Ok(certificate.clone()),
                    None => Certificate::from_der(&der)
                        .map_err(|error| Refusal::new(Fault::Malformed, error)),
                }
            })
            .collect::<Result<_, _>>()
            .map(Chain),
        // OpenSSL looks at the signature and then the validity of each, from the root down.
        Err((error, depth, at_fault)) => {
            Err(refusal(error.as_raw(), error.error_string(), &at_fault).before_leaf(depth > 0))
        }
    }
}

fn store(
    trust: &TrustStore,
    at: i64,
    policy: Policy,
    flags: X509VerifyFlags,
) -> Result<X509Store, Refusal> {
    let mut builder = X509StoreBuilder::new()?;
    for anchor in &trust.anchors {
        builder.add_cert(anchor.x509().clone())?;
    }
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_time(at);
    parameters.set_depth(i32::try_from(MAX_INTERMEDIATES).unwrap_or(i32::MAX));
    // Level 1 refuses signatures over SHA-1 and weaker; key lengths are the policy's.
    parameters.set_auth_level(i32::from(!policy.allow_sha1));
    parameters.set_flags(flags)?;
    builder.set_param(&parameters)?;
    Ok(builder.build())
}

/// What OpenSSL found, in our words.
fn refusal(code: i32, said: &str, whose: &str) -> Refusal {
    let (fault, what) = match code {
        ffi::X509_V_ERR_CERT_HAS_EXPIRED | ffi::X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD => {
            (Fault::Expired, "has expired")
        }
        ffi::X509_V_ERR_CERT_NOT_YET_VALID | ffi::X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD => {
            (Fault::NotYetValid, "is not valid yet")
        }
        ffi::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | ffi::X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE
        | ffi::X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY => (
            Fault::BadCertificateSignature,
            "has a signature that its issuer did not make",
        ),
        ffi::X509_V_ERR_INVALID_CA
        | ffi::X509_V_ERR_PATH_LENGTH_EXCEEDED
        | ffi::X509_V_ERR_KEYUSAGE_NO_CERTSIGN
        | ffi::X509_V_ERR_PERMITTED_VIOLATION
        | ffi::X509_V_ERR_EXCLUDED_VIOLATION
        | ffi::X509_V_ERR_SUBTREE_MINMAX
        | ffi::X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE
        | ffi::X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX
        | ffi::X509_V_ERR_UNSUPPORTED_NAME_SYNTAX
        | ffi::X509_V_ERR_INVALID_NON_CA
        | ffi::X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED => {
            (Fault::IssuerRefused, "breaks a rule of its issuers")
        }
        ffi::X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION | ffi::X509_V_ERR_INVALID_EXTENSION => (
            Fault::UnknownExtension,
            "has a critical extension that is not known here, or one that is broken",
        ),
        ffi::X509_V_ERR_EE_KEY_TOO_SMALL | ffi::X509_V_ERR_CA_KEY_TOO_SMALL => {
            (Fault::WeakKey, "has a key that is too short")
        }
        ffi::X509_V_ERR_CA_MD_TOO_WEAK => {
            (Fault::WeakHash, "is signed over a hash that can be forged")
        }
        ffi::X509_V_ERR_OUT_OF_MEM | ffi::X509_V_ERR_INVALID_CALL => {
            (Fault::Internal, "could not be checked")
        }
        _ => (Fault::Untrusted, "does not chain to a CA that is trusted"),
    };
    Refusal::new(fault, format!("the certificate of {whose} {what} ({said})"))
}

/// RFC 4945 sections 5.1.3.2 and 5.1.3.12; an extended key usage binds what a CA issues too.
fn check_usages(chain: &Chain) -> Result<(), Refusal> {
    let leaf = chain.leaf();
    if let Some(usage) = leaf.key_usage()
        && !usage.digital_signature()
        && !usage.non_repudiation()
    {
        return Err(Refusal::new(
            Fault::WrongUsage,
            format!(
                "the key usage of the certificate of {} has no digitalSignature",
                leaf.subject_words()
            ),
        ));
    }
    for (certificate, issuer) in chain.issued() {
        if let Some(usages) = certificate.extended_key_usage()
            && !usages.iter().any(|usage| USAGES.contains(usage))
        {
            return Err(Refusal::new(
                Fault::WrongUsage,
                format!(
                    "the extended key usage of the certificate of {} is not for IKE",
                    certificate.subject_words()
                ),
            ));
        }
        // OpenSSL takes a certificate of version 1 for a CA's, which only whoever trusts it may.
        if !issuer.is_ca() && (issuer != chain.anchor() || issuer.has_basic_constraints()) {
            return Err(Refusal::new(
                Fault::IssuerRefused,
                format!("{} is no CA", issuer.subject_words()),
            ));
        }
    }
    Ok(())
}

fn check_strength(chain: &Chain, policy: Policy) -> Result<(), Refusal> {
    for certificate in chain.certificates() {
        certificate
            .key()
            .check(policy.min_rsa_bits, certificate.subject_words())?;
    }
    for (certificate, _) in chain.issued() {
        if certificate.has_broken_signature() {
            return Err(Refusal::new(
                Fault::WeakHash,
                format!(
                    "the certificate of {} is signed over MD5 or worse",
                    certificate.subject_words()
                ),
            ));
        }
    }
    Ok(())
}
