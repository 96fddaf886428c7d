//! Signature algorithms that are never taken, whoever made the signature.

use der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier};
use der::{Decode, Encode, Reader, TagNumber};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// RSA over MD2, MD4 and MD5 (RFC 8017 appendix C).
const BROKEN: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.3"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
];

/// RSASSA-PSS, whose parameters name the hash.
const PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// MD2, MD4 and MD5.
const BROKEN_HASHES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.2.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.2.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.2.5"),
];

/// Whether a signature is made over MD5 or worse. Parameters of RSASSA-PSS that cannot be read are no better.
pub(super) fn is_broken(algorithm: &AlgorithmIdentifierOwned) -> bool {
    if algorithm.oid != PSS {
        return BROKEN.contains(&algorithm.oid);
    }
    match pss_hash(algorithm) {
        Ok(hash) => hash.is_some_and(|hash| BROKEN_HASHES.contains(&hash)),
        Err(_) => true,
    }
}

/// The hash that the parameters name; `None`: SHA-1, the default (RFC 8017 appendix A.2.3).
fn pss_hash(algorithm: &AlgorithmIdentifierOwned) -> der::Result<Option<ObjectIdentifier>> {
    let Some(parameters) = &algorithm.parameters else {
        return Ok(None);
    };
    AnyRef::from_der(&parameters.to_der()?)?.sequence(|list| {
        let hash =
            ContextSpecific::<AlgorithmIdentifierOwned>::decode_explicit(list, TagNumber(0))?;
        // What follows says how the hash is masked.
        list.read_slice(list.remaining_len())?;
        Ok(hash.map(|hash| hash.value.oid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the `openssl` command refuses to make them.
    #[test]
    fn pss_is_as_good_as_the_hash_that_it_names() {
        let pss = "06092a864886f70d01010a";
        for (algorithm, broken) in [
            (
                format!("301d{pss}3010a00e300c06082a864886f70d02050500"),
                true,
            ),
            (
                format!("301e{pss}3011a00f300d06096086480165030402010500"),
                false,
            ),
            (format!("300d{pss}3000"), false),
            (format!("300d{pss}0500"), true),
            (format!("300b{pss}"), false),
            ("300d06092a864886f70d0101040500".to_owned(), true),
            ("300d06092a864886f70d01010b0500".to_owned(), false),
        ] {
            let der = hex::decode(&algorithm).unwrap();
            let read = AlgorithmIdentifierOwned::from_der(&der).unwrap();
            assert_eq!(is_broken(&read), broken, "{algorithm}");
        }
    }
}
