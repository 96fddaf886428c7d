//! What the fuzz target calls, and the ordinary tests with its corpus. Nothing here is for a daemon.

use crate::cert::{
    Certificate, Crl, Evidence, OcspAnswer, PeerIdentity, Policy, TrustStore, check_chain,
    check_revocation, dn, needed_fetches, ocsp_request, read_certificates, unwrap_certificates,
};

/// Reads what a peer, or a place that its certificate names, may send: the first byte chooses what the others are.
///
/// # Panics
///
/// When that is read otherwise than it is, or a name that was taken cannot be shown.
pub fn x509(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => certificate(bytes),
        1 => crl(bytes),
        2 => drop(OcspAnswer::read(bytes)),
        3 => unwrap_certificates(bytes)
            .iter()
            .for_each(|one| certificate(one)),
        4 => name(bytes),
        _ => drop(read_certificates(bytes)),
    }
}

/// A certificate, judged as one that is trusted itself: everything in it is looked at.
fn certificate(der: &[u8]) {
    let Ok(certificate) = Certificate::from_der(der) else {
        return;
    };
    assert_eq!(certificate.der(), der);
    assert_eq!(certificate.thumbprint().len(), 40);
    assert!(!certificate.subject_words().is_empty());
    assert!(!certificate.issuer_words().is_empty());
    let identity = PeerIdentity {
        kind: 9, // ID_DER_ASN1_DN
        data: certificate.subject().to_vec(),
    };
    drop(identity.check(&certificate));
    let trust = TrustStore {
        anchors: vec![certificate.clone()],
        ..TrustStore::default()
    };
    trust.requests();
    // As with a peer's: a key that is there to be slow to compute with is not computed with.
    if certificate.key().check(0, "").is_err() {
        return;
    }
    let (at, policy) = (certificate.not_before() + 1, Policy::default());
    if let Ok(chain) = check_chain(&certificate, &[], &trust, at, policy) {
        assert_eq!(chain.leaf(), &certificate);
        let evidence = Evidence::default();
        needed_fetches(&chain, &[&evidence], at, policy);
        drop(check_revocation(&chain, &[&evidence], at, policy));
    }
    drop(ocsp_request(&certificate, &certificate));
}

fn crl(der: &[u8]) {
    if let Ok(crl) = Crl::read(der) {
        drop(dn::render(crl.issuer()));
    }
}

/// A distinguished name: one that is right can be shown, and is the same as itself.
fn name(der: &[u8]) {
    if dn::check(der).is_ok() {
        assert!(dn::render(der).is_some());
        assert!(dn::same(der, der));
    }
    let Ok(text) = std::str::from_utf8(der) else {
        return;
    };
    if let Ok(encoded) = dn::encode(text) {
        assert_eq!(dn::check(&encoded), Ok(()));
        assert!(dn::render(&encoded).is_some());
    }
}
