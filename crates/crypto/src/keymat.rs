//! The keys and IVs of phase 1: RFC 2409 section 5 and appendix B.

use zeroize::Zeroizing;

use crate::{Cipher, CryptoError, Hash, Secret, digest, prf};

/// SKEYID and what is derived from it.
#[derive(Clone, Debug)]
pub struct Keymat {
    /// SKEYID: what only the two parties can know, by their way of authentication.
    pub skeyid: Secret,
    /// `SKEYID_d`: the keys of other SAs are derived from it.
    pub d: Secret,
    /// `SKEYID_a`: authenticates the messages of the ISAKMP SA.
    pub a: Secret,
    /// `SKEYID_e`: gives the key that encrypts them, by [`cipher_key`].
    pub e: Secret,
}

/// SKEYID with a pre-shared key: prf(pre-shared-key, `Ni_b` | `Nr_b`). The nonces are payload bodies.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn skeyid_psk(hash: Hash, psk: &[u8], ni: &[u8], nr: &[u8]) -> Result<Secret, CryptoError> {
    prf(hash, psk, &[ni, nr]).map(Secret::new)
}

/// SKEYID with signatures: prf(`Ni_b` | `Nr_b`, g^xy). The nonces are payload bodies.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn skeyid_signature(
    hash: Hash,
    ni: &[u8],
    nr: &[u8],
    gxy: &Secret,
) -> Result<Secret, CryptoError> {
    prf(hash, &[ni, nr].concat(), &[gxy.as_bytes()]).map(Secret::new)
}

/// `SKEYID_d`, `SKEYID_a` and `SKEYID_e`, in the order in which each is made with the one before it.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn keymat(
    hash: Hash,
    skeyid: Secret,
    gxy: &Secret,
    cky_i: &[u8; 8],
    cky_r: &[u8; 8],
) -> Result<Keymat, CryptoError> {
    let derive = |previous: &[u8], number: u8| {
        prf(
            hash,
            skeyid.as_bytes(),
            &[previous, gxy.as_bytes(), cky_i, cky_r, &[number]],
        )
        .map(Secret::new)
    };
    let d = derive(&[], 0)?;
    let a = derive(d.as_bytes(), 1)?;
    let e = derive(a.as_bytes(), 2)?;
    Ok(Keymat { skeyid, d, a, e })
}

/// The key that encrypts the ISAKMP SA's messages: the first bytes of `SKEYID_e`, or, where that is too
/// short, of K1 | K2 | …, with K1 = prf(`SKEYID_e`, 0) and Kn = prf(`SKEYID_e`, Kn-1) (RFC 2409 appendix
/// B).
///
/// For 3DES the 24 bytes are the key as they stand: the parity bits are ignored by the cipher, and
/// appendix B tests for weak keys only with single DES, which is never used here.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn cipher_key(hash: Hash, cipher: Cipher, skeyid_e: &Secret) -> Result<Secret, CryptoError> {
    expand(hash, skeyid_e, cipher.row().key_len)
}

fn expand(hash: Hash, skeyid_e: &Secret, len: usize) -> Result<Secret, CryptoError> {
    let seed = skeyid_e.as_bytes();
    if let Some(key) = seed.get(..len) {
        return Ok(Secret::new(key.to_vec()));
    }
    let digest_len = hash.row().len;
    // All the room at once: a vector that grows leaves what it held behind.
    let mut key = Zeroizing::new(Vec::with_capacity(len + digest_len));
    let mut block = Zeroizing::new(prf(hash, seed, &[&[0]])?);
    loop {
        key.extend_from_slice(&block);
        if key.len() >= len {
            break;
        }
        block = Zeroizing::new(prf(hash, seed, &[&block])?);
    }
    Ok(Secret::new(key[..len].to_vec()))
}

/// The IV of the first encrypted message of phase 1: hash(g^xi | g^xr), cut to the cipher's block. The
/// public values are the KE payloads' bodies. Each later message takes the last
/// ciphertext block of the one before it.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn phase1_iv(
    hash: Hash,
    cipher: Cipher,
    initiator_public: &[u8],
    responder_public: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    iv(hash, cipher, &[initiator_public, responder_public])
}

/// The IV of the first message of an exchange under the ISAKMP SA: hash(last ciphertext block of phase 1
/// | message ID), cut to the cipher's block.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn phase2_iv(
    hash: Hash,
    cipher: Cipher,
    last_phase1_block: &[u8],
    message_id: u32,
) -> Result<Vec<u8>, CryptoError> {
    iv(
        hash,
        cipher,
        &[last_phase1_block, &message_id.to_be_bytes()],
    )
}

/// Every hash of the table is at least as long as every cipher's block.
fn iv(hash: Hash, cipher: Cipher, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    let mut iv = digest(hash, parts)?;
    iv.truncate(cipher.row().block);
    Ok(iv)
}
