//! Secret numbers as OpenSSL works on them.

use openssl::bn::BigNum;
use openssl::error::ErrorStack;

/// A number that OpenSSL works on in constant time, and that is wiped when dropped.
pub(super) struct SecretNumber(pub(super) BigNum);

impl SecretNumber {
    /// Zero, as the place for a result.
    pub(super) fn new() -> Result<Self, ErrorStack> {
        let mut number = BigNum::new_secure()?;
        // Exponentiation and multiplication take their constant-time paths by this flag.
        number.set_const_time();
        Ok(Self(number))
    }

    /// The number that these big-endian bytes are.
    pub(super) fn from_slice(bytes: &[u8]) -> Result<Self, ErrorStack> {
        let mut number = Self::new()?;
        number.0.copy_from_slice(bytes)?;
        Ok(number)
    }
}

impl Drop for SecretNumber {
    fn drop(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_constant_time_and_wiped_by_openssl_too() {
        let number = SecretNumber::from_slice(&[0x80; 32]).unwrap();
        assert!(number.0.is_const_time());
        assert!(number.0.is_secure());
        assert_eq!(number.0.num_bits(), 256);
    }
}
