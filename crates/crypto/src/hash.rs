//! The hash of a transform and the prf that IKE makes of it.

use std::sync::LazyLock;

use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::md_ctx::MdCtx;

use crate::mac::Template;
use crate::{CryptoError, Hash};

/// An algorithm that OpenSSL looked up once: it would do so by name for each hash again.
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

/// The same for the HMAC of a hash.
fn hmac(hash: Hash) -> Result<&'static Template, CryptoError> {
    type Made = LazyLock<Result<Template, ErrorStack>>;
    static MD5: Made = LazyLock::new(|| Template::new(c"MD5"));
    static SHA1: Made = LazyLock::new(|| Template::new(c"SHA1"));
    static SHA256: Made = LazyLock::new(|| Template::new(c"SHA256"));
    static SHA384: Made = LazyLock::new(|| Template::new(c"SHA384"));
    static SHA512: Made = LazyLock::new(|| Template::new(c"SHA512"));
    let made = match hash {
        Hash::Md5 => &MD5,
        Hash::Sha1 => &SHA1,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    match &**made {
        Ok(template) => Ok(template),
        Err(error) => Err(error.clone().into()),
    }
}

/// The hash over all parts, one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn digest(hash: Hash, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    let md = algorithm(hash)?;
    let mut context = MdCtx::new()?;
    context.digest_init(md)?;
    for part in parts {
        context.digest_update(part)?;
    }
    let mut digest = vec![0; md.size()];
    context.digest_final(&mut digest)?;
    Ok(digest)
}

/// The pseudo-random function of phase 1: HMAC (RFC 2104) with the negotiated hash, as RFC 2409 section 4
/// has it when no prf was negotiated. The parts are taken one after the other.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn prf(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    Ok(hmac(hash)?.mac(key, parts)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::HASHES;

    proptest! {
        #[test]
        fn parts_are_taken_one_after_the_other(
            key in prop::collection::vec(any::<u8>(), 0..300),
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let whole = parts.concat();
            for row in &HASHES {
                prop_assert_eq!(prf(row.hash, &key, &slices).unwrap(), prf(row.hash, &key, &[&whole]).unwrap());
                prop_assert_eq!(digest(row.hash, &slices).unwrap(), digest(row.hash, &[&whole]).unwrap());
            }
        }
    }

    #[test]
    fn an_empty_key_is_one_of_zeros() {
        for row in &HASHES {
            assert_eq!(
                prf(row.hash, &[], &[b"x"]).unwrap(),
                prf(row.hash, &[0; 64], &[b"x"]).unwrap()
            );
        }
    }
}
