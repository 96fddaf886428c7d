//! Certificates in a PKCS #7 envelope (RFC 2315), as Windows and others send them with intermediate CAs.

use openssl::pkcs7::Pkcs7;
use openssl::x509::{X509NameRef, X509Ref};

use super::limits::{MAX_CERTIFICATES, MAX_FILE_LEN};

/// The certificates of a `SignedData` in DER; none where it is something else. They have no order in the envelope: those
/// that issued none of the others come first. Whoever signed the envelope does not count: each certificate has to be
/// checked by itself.
pub fn unwrap_certificates(der: &[u8]) -> Vec<Vec<u8>> {
    if u64::try_from(der.len()).is_ok_and(|len| len > MAX_FILE_LEN) {
        return Vec::new();
    }
    let Ok(envelope) = Pkcs7::from_der(der) else {
        return Vec::new();
    };
    let all = envelope.signed().and_then(|signed| signed.certificates());
    // One more than is accepted, so that it is refused for their number.
    let all: Vec<&X509Ref> = all
        .into_iter()
        .flatten()
        .take(MAX_CERTIFICATES + 1)
        .collect();
    let issued_another = |certificate: &X509Ref| {
        all.iter().any(|other| {
            let is = |name: &X509NameRef| {
                matches!(
                    other.issuer_name().try_cmp(name),
                    Ok(std::cmp::Ordering::Equal)
                )
            };
            is(certificate.subject_name()) && !is(other.subject_name())
        })
    };
    let (mut last, mut first) = (Vec::new(), Vec::new());
    for certificate in &all {
        let Ok(der) = certificate.to_der() else {
            continue;
        };
        if issued_another(certificate) {
            last.push(der);
        } else {
            first.push(der);
        }
    }
    first.append(&mut last);
    first
}

#[cfg(test)]
mod tests {
    use openssl::pkcs7::Pkcs7Flags;
    use openssl::pkey::PKey;
    use openssl::stack::Stack;
    use openssl::x509::X509;

    use super::*;

    const LEFT: &[u8] = include_bytes!("../../../keying/src/pki/left.pem");
    const KEY: &[u8] = include_bytes!("../../../keying/src/pki/left.key");
    const CA: &[u8] = include_bytes!("../../../keying/src/pki/ca.pem");

    fn envelope() -> Vec<u8> {
        let (left, ca) = (X509::from_pem(LEFT).unwrap(), X509::from_pem(CA).unwrap());
        let key = PKey::private_key_from_pem(KEY).unwrap();
        let mut more = Stack::new().unwrap();
        more.push(ca).unwrap();
        let sealed = Pkcs7::sign(&left, &key, &more, b"", Pkcs7Flags::DETACHED).unwrap();
        sealed.to_der().unwrap()
    }

    #[test]
    fn an_envelope_gives_its_certificates_and_the_cas_last() {
        let found = unwrap_certificates(&envelope());
        let expected = [LEFT, CA].map(|pem| X509::from_pem(pem).unwrap().to_der().unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_envelope_gives_none() {
        let whole = envelope();
        for end in 0..whole.len() {
            assert!(unwrap_certificates(&whole[..end]).is_empty());
        }
        assert!(unwrap_certificates(&X509::from_pem(LEFT).unwrap().to_der().unwrap()).is_empty());
    }
}
