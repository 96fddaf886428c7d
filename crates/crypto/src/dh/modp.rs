//! Diffie-Hellman modulo a safe prime (RFC 2409 section 6, RFC 3526).
//!
//! Done with `BN_mod_exp` and not with `EVP_PKEY_derive`, which spends a full-length exponentiation on
//! proving the peer's value to be in the subgroup: seven times the agreement itself in group 14.

use std::sync::LazyLock;

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::error::ErrorStack;
use zeroize::Zeroizing;

use super::number::SecretNumber;
use crate::secret::random_secret;
use crate::{CryptoError, Group, PublicValueFault, Secret};

/// A group modulo a safe prime, and how long its exponents are.
pub(super) struct Modp {
    prime: BigNum,
    /// p - 1: the first value too large, and one with which nothing is secret.
    minus_one: BigNum,
    generator: BigNum,
    prime_len: usize,
    exponent_len: usize,
}

impl Modp {
    fn new(prime: BigNum, generator: u32, exponent_len: usize) -> Result<Self, ErrorStack> {
        let mut minus_one = prime.as_ref().to_owned()?;
        minus_one.sub_word(1)?;
        Ok(Self {
            prime_len: usize::try_from(prime.num_bytes()).unwrap_or_default(),
            minus_one,
            prime,
            generator: BigNum::from_u32(generator)?,
            exponent_len,
        })
    }

    /// A fresh exponent: its highest bit is set, so that it has the length it is meant to have.
    pub(super) fn random_exponent(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut exponent = random_secret(self.exponent_len)?;
        exponent[0] |= 0x80;
        Ok(exponent)
    }

    /// g^x, padded to the prime's length.
    pub(super) fn public_value(&self, exponent: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.power(&self.generator, exponent)
            .map(|public| public.to_vec())
    }

    /// The peer's value as a number, when it is in 2..=p-2.
    pub(super) fn check(&self, peer_public: &[u8]) -> Result<BigNum, CryptoError> {
        let value = BigNum::from_slice(peer_public)?;
        if value.num_bits() < 2 || value.ucmp(&self.minus_one).is_ge() {
            return Err(PublicValueFault::OutOfRange.into());
        }
        Ok(value)
    }

    /// g^xy, padded to the prime's length.
    pub(super) fn agree(&self, exponent: &[u8], peer: &[u8]) -> Result<Secret, CryptoError> {
        let peer = self.check(peer)?;
        let mut shared = self.power(&peer, exponent)?;
        Ok(Secret::new(std::mem::take(&mut *shared)))
    }

    fn power(&self, base: &BigNumRef, exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let exponent = SecretNumber::from_slice(exponent)?;
        if exponent.0.num_bits() == 0 {
            return Err(CryptoError::BadPrivateValue);
        }
        let mut result = SecretNumber::new()?;
        let mut context = BigNumContext::new_secure()?;
        result
            .0
            .mod_exp(base, &exponent.0, &self.prime, &mut context)?;
        let len = i32::try_from(self.prime_len).unwrap_or(i32::MAX);
        Ok(Zeroizing::new(result.0.to_vec_padded(len)?))
    }
}

type Cached = LazyLock<Result<Modp, ErrorStack>>;

/// The group's parameters, computed once; `None` when the group is not a MODP group.
pub(super) fn parameters(group: Group) -> Result<Option<&'static Modp>, CryptoError> {
    static MODP1024: Cached = cached(|| load(Group::Modp1024, BigNum::get_rfc2409_prime_1024));
    static MODP1536: Cached = cached(|| load(Group::Modp1536, BigNum::get_rfc3526_prime_1536));
    static MODP2048: Cached = cached(|| load(Group::Modp2048, BigNum::get_rfc3526_prime_2048));
    static MODP3072: Cached = cached(|| load(Group::Modp3072, BigNum::get_rfc3526_prime_3072));
    static MODP4096: Cached = cached(|| load(Group::Modp4096, BigNum::get_rfc3526_prime_4096));
    let cached = match group {
        Group::Modp1024 => &MODP1024,
        Group::Modp1536 => &MODP1536,
        Group::Modp2048 => &MODP2048,
        Group::Modp3072 => &MODP3072,
        Group::Modp4096 => &MODP4096,
        Group::Ecp256 | Group::Ecp384 | Group::Ecp521 | Group::X25519 => return Ok(None),
    };
    match &**cached {
        Ok(modp) => Ok(Some(modp)),
        Err(error) => Err(error.clone().into()),
    }
}

const fn cached(make: fn() -> Result<Modp, ErrorStack>) -> Cached {
    LazyLock::new(make)
}

/// Every one of these groups has the generator 2.
fn load(group: Group, prime: fn() -> Result<BigNum, ErrorStack>) -> Result<Modp, ErrorStack> {
    Modp::new(prime()?, 2, group.row().private_len)
}
