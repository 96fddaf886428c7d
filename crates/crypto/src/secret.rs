//! Bytes that must not outlive their use, nor be printed, nor be compared in variable time.

use std::fmt;

use zeroize::Zeroizing;

use crate::CryptoError;

/// Secret bytes: wiped when dropped, shown only by their length.
///
/// There is no `PartialEq`: compare with [`ct_eq`].
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over. Copies that the caller made before are the caller's to wipe.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Compares in a time that depends on the lengths alone. Different lengths are different.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && openssl::memcmp::eq(a, b)
}

/// `len` bytes from OpenSSL's random generator, for what is sent in clear: nonces, cookies, SPIs.
///
/// # Errors
/// [`CryptoError::Library`] when the generator cannot be seeded.
pub fn random(len: usize) -> Result<Vec<u8>, CryptoError> {
    let mut bytes = vec![0; len];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(bytes)
}

/// `len` bytes from the generator that OpenSSL keeps apart for what stays secret.
pub(crate) fn random_secret(len: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    openssl::rand::rand_priv_bytes(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_only_its_length() {
        let secret = Secret::new(vec![0x41; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
        assert_eq!(format!("{:?}", Some(secret)), "Some(Secret(32 bytes))");
    }

    #[test]
    fn comparison_sees_every_byte_and_the_length() {
        assert!(ct_eq(b"", b""));
        assert!(ct_eq(b"abcd", b"abcd"));
        assert!(!ct_eq(b"abcd", b"abcde"));
        for i in 0..4 {
            let mut other = *b"abcd";
            other[i] ^= 1;
            assert!(!ct_eq(b"abcd", &other));
        }
    }

    #[test]
    fn random_bytes_have_the_length_asked_for_and_differ() {
        assert!(random(0).unwrap().is_empty());
        let (a, b) = (random(32).unwrap(), random(32).unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
