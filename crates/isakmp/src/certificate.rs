//! The certificate and certificate request payloads (RFC 2408 sections 3.9 and 3.10).

use crate::{
    error::{Fault, ParseError},
    payload::PayloadType,
};

/// How a certificate is encoded (RFC 2408 section 3.9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CertificateEncoding(pub u8);

impl CertificateEncoding {
    /// PKCS#7 wrapped X.509.
    pub const PKCS7: Self = Self(1);
    /// PGP.
    pub const PGP: Self = Self(2);
    /// DNS signed key.
    pub const DNS_SIGNED_KEY: Self = Self(3);
    /// X.509, for signatures.
    pub const X509_SIGNATURE: Self = Self(4);
    /// X.509, for key exchange.
    pub const X509_KEY_EXCHANGE: Self = Self(5);
    /// Kerberos tokens.
    pub const KERBEROS_TOKENS: Self = Self(6);
    /// Certificate revocation list.
    pub const CRL: Self = Self(7);
    /// Authority revocation list.
    pub const ARL: Self = Self(8);
    /// SPKI.
    pub const SPKI: Self = Self(9);
    /// X.509 attribute certificate.
    pub const X509_ATTRIBUTE: Self = Self(10);
}

/// A certificate payload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Certificate {
    /// How it is encoded.
    pub encoding: CertificateEncoding,
    /// The certificate.
    pub data: Vec<u8>,
}

impl Certificate {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let (encoding, data) = split(PayloadType::CERT, body)?;
        if data.is_empty() {
            return Err(ParseError::new(
                PayloadType::CERT,
                Fault::Empty("certificate"),
            ));
        }
        Ok(Self { encoding, data })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        join(self.encoding, &self.data)
    }
}

/// A certificate request payload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CertificateRequest {
    /// How the certificate should be encoded.
    pub encoding: CertificateEncoding,
    /// The issuer wanted, a distinguished name in DER; empty when any will do.
    pub authority: Vec<u8>,
}

impl CertificateRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let (encoding, authority) = split(PayloadType::CERT_REQUEST, body)?;
        Ok(Self {
            encoding,
            authority,
        })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        join(self.encoding, &self.authority)
    }
}

fn split(kind: PayloadType, body: &[u8]) -> Result<(CertificateEncoding, Vec<u8>), ParseError> {
    let (encoding, data) = body
        .split_first()
        .ok_or_else(|| ParseError::new(kind, Fault::Empty("encoding")))?;
    Ok((CertificateEncoding(*encoding), data.to_vec()))
}

fn join(encoding: CertificateEncoding, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 1);
    out.push(encoding.0);
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_an_encoding_and_a_body() {
        assert!(Certificate::parse(&[]).is_err());
        assert!(Certificate::parse(&[4]).is_err());
        let certificate = Certificate::parse(&[4, 0x30, 0]).expect("a certificate");
        assert_eq!(certificate.encoding, CertificateEncoding::X509_SIGNATURE);
        assert_eq!(certificate.emit(), [4, 0x30, 0]);
    }

    #[test]
    fn a_request_may_name_no_authority() {
        assert!(CertificateRequest::parse(&[]).is_err());
        let request = CertificateRequest::parse(&[4]).expect("any authority");
        assert!(request.authority.is_empty());
        assert_eq!(request.emit(), [4]);
    }
}
