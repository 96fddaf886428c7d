//! The hash of a transform and the prf that IKE makes of it.
//!
//! The algorithms are fetched from OpenSSL once: it would look them up by name for each hash again. And
//! HMAC is put together here from two hashes (RFC 2104), since each of OpenSSL's own starts with looking
//! up a provider's key management, signature and MAC, which costs ten times what a short HMAC does.

use std::sync::LazyLock;

use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::md_ctx::MdCtx;
use zeroize::Zeroizing;

use crate::{CryptoError, Hash};

/// The longest block that a hash of the table takes in at a time: that of SHA-384 and SHA-512.
const MAX_BLOCK: usize = 128;
/// What RFC 2104 calls ipad and opad.
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

type Fetched = LazyLock<Result<Md, ErrorStack>>;

fn algorithm(hash: Hash) -> Result<&'static MdRef, CryptoError> {
    static MD5: Fetched = fetched(|| Md::fetch(None, "MD5", None));
    static SHA1: Fetched = fetched(|| Md::fetch(None, "SHA1", None));
    static SHA256: Fetched = fetched(|| Md::fetch(None, "SHA256", None));
    static SHA384: Fetched = fetched(|| Md::fetch(None, "SHA384", None));
    static SHA512: Fetched = fetched(|| Md::fetch(None, "SHA512", None));
    let fetched = match hash {
        Hash::Md5 => &MD5,
        Hash::Sha1 => &SHA1,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    match &**fetched {
        Ok(md) => Ok(md),
        Err(error) => Err(error.clone().into()),
    }
}

const fn fetched(fetch: fn() -> Result<Md, ErrorStack>) -> Fetched {
    LazyLock::new(fetch)
}

/// The hash over all parts, one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn digest(hash: Hash, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    run(&mut MdCtx::new()?, algorithm(hash)?, parts)
}

/// The pseudo-random function of phase 1: HMAC (RFC 2104) with the negotiated hash, as RFC 2409 section 4
/// has it when no prf was negotiated. The parts are taken one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn prf(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    let md = algorithm(hash)?;
    let mut context = MdCtx::new()?;
    // Every hash of the table has blocks of 64 or 128 bytes.
    let block = md.block_size().min(MAX_BLOCK);
    let mut pad = Zeroizing::new([INNER; MAX_BLOCK]);
    let short;
    let key = if key.len() > block {
        short = Zeroizing::new(run(&mut context, md, &[key])?);
        &short
    } else {
        key
    };
    for (pad, key) in pad.iter_mut().zip(key) {
        *pad ^= key;
    }
    context.digest_init(md)?;
    context.digest_update(&pad[..block])?;
    let inner = Zeroizing::new(finish(&mut context, md, parts)?);
    for pad in pad.iter_mut() {
        *pad ^= INNER ^ OUTER;
    }
    run(&mut context, md, &[&pad[..block], &inner])
}

fn run(context: &mut MdCtx, md: &MdRef, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    context.digest_init(md)?;
    finish(context, md, parts)
}

fn finish(context: &mut MdCtx, md: &MdRef, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    for part in parts {
        context.digest_update(part)?;
    }
    let mut digest = vec![0; md.size()];
    context.digest_final(&mut digest)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::sign::Signer;
    use proptest::prelude::*;

    use super::*;
    use crate::HASHES;

    fn openssls_own(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
        let md = match hash {
            Hash::Md5 => MessageDigest::md5(),
            Hash::Sha1 => MessageDigest::sha1(),
            Hash::Sha256 => MessageDigest::sha256(),
            Hash::Sha384 => MessageDigest::sha384(),
            Hash::Sha512 => MessageDigest::sha512(),
        };
        // It takes no empty key; HMAC fills a key up with zeros, so that one zero is the same key.
        let key = PKey::hmac(if key.is_empty() { &[0] } else { key }).unwrap();
        let mut signer = Signer::new(md, &key).unwrap();
        signer.update(message).unwrap();
        signer.sign_to_vec().unwrap()
    }

    proptest! {
        #[test]
        fn the_prf_is_openssls_own_hmac_for_keys_and_messages_of_any_length(
            key in prop::collection::vec(any::<u8>(), 0..300),
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            for row in &HASHES {
                prop_assert_eq!(
                    prf(row.hash, &key, &slices).unwrap(),
                    openssls_own(row.hash, &key, &parts.concat())
                );
            }
        }
    }
}
