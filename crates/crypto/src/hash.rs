//! The hash of a transform and the prf that IKE makes of it.

use openssl::hash::{Hasher, MessageDigest};
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::{CryptoError, Hash};

fn message_digest(hash: Hash) -> MessageDigest {
    match hash {
        Hash::Md5 => MessageDigest::md5(),
        Hash::Sha1 => MessageDigest::sha1(),
        Hash::Sha256 => MessageDigest::sha256(),
        Hash::Sha384 => MessageDigest::sha384(),
        Hash::Sha512 => MessageDigest::sha512(),
    }
}

/// The hash over all parts, one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn digest(hash: Hash, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    let mut hasher = Hasher::new(message_digest(hash))?;
    for part in parts {
        hasher.update(part)?;
    }
    Ok(hasher.finish()?.to_vec())
}

/// The pseudo-random function of phase 1: HMAC (RFC 2104) with the negotiated hash, as RFC 2409 section 4
/// has it when no prf was negotiated. The parts are taken one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn prf(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    // OpenSSL takes no empty key. HMAC fills a key up with zeros, so that one zero is the same key.
    let key = PKey::hmac(if key.is_empty() { &[0] } else { key })?;
    let mut signer = Signer::new(message_digest(hash), &key)?;
    for part in parts {
        signer.update(part)?;
    }
    Ok(signer.sign_to_vec()?)
}
