//! Diffie-Hellman modulo a safe prime (RFC 2409 section 6, RFC 3526), and in a subgroup of prime order
//! (RFC 5114 sections 2.1 to 2.3).
//!
//! Done with `BN_mod_exp` and not with `EVP_PKEY_derive`, which spends a full-length exponentiation on
//! proving the peer's value to be in the subgroup: seven times the agreement itself in group 14.

use std::sync::LazyLock;

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::Params;
use zeroize::Zeroizing;

use super::number::SecretNumber;
use crate::secret::random_secret;
use crate::{CryptoError, Group, PublicValueFault, Secret};

/// A group modulo a prime, and how long its exponents are.
pub(super) struct Modp {
    prime: BigNum,
    /// p - 1: the first value too large, and one with which nothing is secret.
    minus_one: BigNum,
    generator: BigNum,
    /// The order of the subgroup that the generator generates, where the prime is not a safe one.
    order: Option<BigNum>,
    prime_len: usize,
    exponent_len: usize,
}

impl Modp {
    fn new(
        prime: BigNum,
        generator: BigNum,
        order: Option<BigNum>,
        exponent_len: usize,
    ) -> Result<Self, ErrorStack> {
        let mut minus_one = prime.as_ref().to_owned()?;
        minus_one.sub_word(1)?;
        Ok(Self {
            prime_len: usize::try_from(prime.num_bytes()).unwrap_or_default(),
            minus_one,
            prime,
            generator,
            order,
            exponent_len,
        })
    }

    /// A fresh exponent. In a subgroup it is any from 1 to the order less one, by way of 64 bits more
    /// than it has (SP 800-56A revision 3 section 5.6.1.1.3); modulo a safe prime its highest bit is set,
    /// so that it has the length it is meant to have.
    pub(super) fn random_exponent(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        if let Some(order) = &self.order {
            let seed = SecretNumber::from_slice(&random_secret(self.exponent_len + 8)?)?;
            let mut largest = order.as_ref().to_owned()?;
            largest.sub_word(1)?;
            let mut exponent = SecretNumber::new()?;
            let mut context = BigNumContext::new_secure()?;
            exponent.0.checked_rem(&seed.0, &largest, &mut context)?;
            exponent.0.add_word(1)?;
            let len = i32::try_from(self.exponent_len).unwrap_or(i32::MAX);
            return Ok(Zeroizing::new(exponent.0.to_vec_padded(len)?));
        }
        let mut exponent = random_secret(self.exponent_len)?;
        exponent[0] |= 0x80;
        Ok(exponent)
    }

    /// g^x, padded to the prime's length.
    pub(super) fn public_value(&self, exponent: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.power(&self.generator, exponent)
            .map(|public| public.to_vec())
    }

    /// The peer's value as a number, when it is in 2..=p-2 and, where there is one, in the subgroup.
    pub(super) fn check(&self, peer_public: &[u8]) -> Result<BigNum, CryptoError> {
        let value = BigNum::from_slice(peer_public)?;
        if value.num_bits() < 2 || value.ucmp(&self.minus_one).is_ge() {
            return Err(PublicValueFault::OutOfRange.into());
        }
        if let Some(order) = &self.order {
            let mut power = BigNum::new()?;
            let mut context = BigNumContext::new()?;
            power.mod_exp(&value, order, &self.prime, &mut context)?;
            if power.num_bits() != 1 {
                return Err(PublicValueFault::NotInSubgroup.into());
            }
        }
        Ok(value)
    }

    /// g^xy, padded to the prime's length.
    pub(super) fn agree(&self, exponent: &[u8], peer: &[u8]) -> Result<Secret, CryptoError> {
        let peer = self.check(peer)?;
        self.shared(exponent, &peer)
    }

    /// The same with a value that was checked.
    pub(super) fn shared(&self, exponent: &[u8], peer: &BigNumRef) -> Result<Secret, CryptoError> {
        let mut shared = self.power(peer, exponent)?;
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
    static MODP6144: Cached = cached(|| load(Group::Modp6144, BigNum::get_rfc3526_prime_6144));
    static MODP8192: Cached = cached(|| load(Group::Modp8192, BigNum::get_rfc3526_prime_8192));
    static MODP1024S160: Cached = cached(|| subgroup(Group::Modp1024s160, Dh::get_1024_160));
    static MODP2048S224: Cached = cached(|| subgroup(Group::Modp2048s224, Dh::get_2048_224));
    static MODP2048S256: Cached = cached(|| subgroup(Group::Modp2048s256, Dh::get_2048_256));
    let cached = match group {
        Group::Modp1024 => &MODP1024,
        Group::Modp1536 => &MODP1536,
        Group::Modp2048 => &MODP2048,
        Group::Modp3072 => &MODP3072,
        Group::Modp4096 => &MODP4096,
        Group::Modp6144 => &MODP6144,
        Group::Modp8192 => &MODP8192,
        Group::Modp1024s160 => &MODP1024S160,
        Group::Modp2048s224 => &MODP2048S224,
        Group::Modp2048s256 => &MODP2048S256,
        Group::Ecp192
        | Group::Ecp224
        | Group::Ecp256
        | Group::Ecp384
        | Group::Ecp521
        | Group::X25519 => return Ok(None),
    };
    match &**cached {
        Ok(modp) => Ok(Some(modp)),
        Err(error) => Err(error.clone().into()),
    }
}

const fn cached(make: fn() -> Result<Modp, ErrorStack>) -> Cached {
    LazyLock::new(make)
}

/// Every group with a safe prime has the generator 2.
fn load(group: Group, prime: fn() -> Result<BigNum, ErrorStack>) -> Result<Modp, ErrorStack> {
    Modp::new(
        prime()?,
        BigNum::from_u32(2)?,
        None,
        group.row().private_len,
    )
}

fn subgroup(
    group: Group,
    parameters: fn() -> Result<Dh<Params>, ErrorStack>,
) -> Result<Modp, ErrorStack> {
    let parameters = parameters()?;
    let order = match parameters.prime_q() {
        Some(order) => Some(order.to_owned()?),
        None => None,
    };
    Modp::new(
        parameters.prime_p().to_owned()?,
        parameters.generator().to_owned()?,
        order,
        group.row().private_len,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hash, digest};

    /// Agreements per group in the padding test: at one leading zero byte in 256, some sixteen of them.
    const AGREEMENTS: u32 = 4096;

    /// Those with a safe prime.
    const MODP_GROUPS: [Group; 7] = [
        Group::Modp1024,
        Group::Modp1536,
        Group::Modp2048,
        Group::Modp3072,
        Group::Modp4096,
        Group::Modp6144,
        Group::Modp8192,
    ];

    const SUBGROUPS: [Group; 3] = [
        Group::Modp1024s160,
        Group::Modp2048s224,
        Group::Modp2048s256,
    ];

    /// Seeded exponents that are the same in each run.
    fn exponent(seed: &str, number: u32, len: usize) -> Vec<u8> {
        let mut bytes = digest(Hash::Sha512, &[seed.as_bytes(), &number.to_be_bytes()]).unwrap();
        bytes.truncate(len);
        bytes[0] |= 0x80;
        bytes
    }

    /// Both sides of one agreement; gives the secret that they share.
    fn agree_both_ways(modp: &Modp, a: &[u8], b: &[u8]) -> Secret {
        let (public_a, public_b) = (modp.public_value(a).unwrap(), modp.public_value(b).unwrap());
        assert_eq!(public_a.len(), modp.prime_len);
        assert_eq!(public_b.len(), modp.prime_len);
        let shared = modp.agree(a, &public_b).unwrap();
        assert_eq!(
            shared.as_bytes(),
            modp.agree(b, &public_a).unwrap().as_bytes()
        );
        assert_eq!(shared.len(), modp.prime_len);
        shared
    }

    fn agreements_with_a_leading_zero(modp: &Modp, seed: &str) -> usize {
        (0..AGREEMENTS)
            .filter(|number| {
                let a = exponent(seed, 2 * number, modp.exponent_len);
                let b = exponent(seed, 2 * number + 1, modp.exponent_len);
                agree_both_ways(modp, &a, &b).as_bytes()[0] == 0
            })
            .count()
    }

    /// The largest safe primes of these lengths that are 7 modulo 8, so that 2 generates the subgroup of
    /// prime order, as in the groups of RFC 2409 and RFC 3526.
    const SMALL_SAFE_PRIMES: [(i32, u64); 4] = [
        (40, 0xff_ffff_cf47),
        (48, 0xffff_ffff_eb4f),
        (56, 0xff_ffff_ffff_f737),
        (64, 0xffff_ffff_ffff_ded7),
    ];

    #[test]
    fn small_groups_pad_every_one_of_4096_agreements_to_the_primes_length() {
        for (bits, prime) in SMALL_SAFE_PRIMES {
            let prime = BigNum::from_slice(&prime.to_be_bytes()).unwrap();
            assert_eq!(prime.num_bits(), bits);
            let modp = Modp::new(prime, BigNum::from_u32(2).unwrap(), None, 5).unwrap();
            let zeros = agreements_with_a_leading_zero(&modp, "small");
            assert!((4..64).contains(&zeros), "{bits} bits: {zeros}");
        }
    }

    #[test]
    fn modp1024_pads_every_one_of_4096_agreements_to_the_primes_length() {
        let modp = parameters(Group::Modp1024).unwrap().unwrap();
        let zeros = agreements_with_a_leading_zero(modp, "modp1024");
        assert!((4..64).contains(&zeros), "{zeros}");
    }

    /// The peer's value is 4^(1/x): what we share is then 4, all the rest of it zeros.
    #[test]
    fn every_group_keeps_all_leading_zeros_of_a_shared_secret_forced_to_be_short() {
        for group in MODP_GROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let mut ours = exponent("forced", 0, modp.exponent_len);
            *ours.last_mut().unwrap() |= 1;
            let mut context = BigNumContext::new().unwrap();
            let mut order = BigNum::new().unwrap();
            order.rshift1(&modp.minus_one).unwrap();
            let mut inverse = BigNum::new().unwrap();
            let x = BigNum::from_slice(&ours).unwrap();
            inverse.mod_inverse(&x, &order, &mut context).unwrap();
            let four = BigNum::from_u32(4).unwrap();
            let theirs = modp.power(&four, &inverse.to_vec()).unwrap();
            let shared = modp.agree(&ours, &theirs).unwrap();
            let mut expected = vec![0; group.row().shared_len];
            *expected.last_mut().unwrap() = 4;
            assert_eq!(shared.as_bytes(), expected);
        }
    }

    /// OpenSSL's own Diffie-Hellman, which checks more, costs more and does not pad.
    #[test]
    fn every_group_agrees_with_openssls_own_diffie_hellman() {
        for group in MODP_GROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let (a, b) = (
                exponent("theirs", 0, modp.exponent_len),
                exponent("theirs", 1, modp.exponent_len),
            );
            let shared = agree_both_ways(modp, &a, &b);
            let theirs = Dh::from_pqg(
                modp.prime.as_ref().to_owned().unwrap(),
                None,
                BigNum::from_u32(2).unwrap(),
            )
            .unwrap()
            .set_private_key(BigNum::from_slice(&b).unwrap())
            .unwrap();
            let public = BigNum::from_slice(&modp.public_value(&a).unwrap()).unwrap();
            let unpadded = theirs.compute_key(&public).unwrap();
            let padding = modp.prime_len - unpadded.len();
            assert_eq!(&shared.as_bytes()[padding..], unpadded);
        }
    }

    #[test]
    fn primes_have_the_tables_length_and_the_form_of_rfc_3526() {
        for group in MODP_GROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let prime = modp.prime.to_vec();
            assert_eq!(prime.len(), group.row().public_len);
            assert_eq!(prime[..8], [0xff; 8]);
            assert_eq!(prime[prime.len() - 8..], [0xff; 8]);
        }
    }

    /// 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c), with each c from RFC 2409 section 6.2 or RFC 3526,
    /// computed with Python's integers and hashed with SHA-256.
    #[test]
    fn primes_are_those_of_the_formula_in_rfc_3526() {
        let expected = [
            "3f35a3f5f6c4376a744acad409bb22f8d897f949d2311d885adaa890981b67a0",
            "64fcc83ec403930bf18393dbc883ccaa1fbb08ac876f77f7aa99748ca945019b",
            "d66436f79bbd6b2e38c0ffbd079be904d2641415e2e67140e09448be9a60890e",
            "48cf8b092fbce4359d9871abf74f98e25b6163379eaa15cd9087e800c6d1c55c",
            "4ee95187682bcb230ad26a95205f6920e84708f6251b3894329b09ec23919e33",
            "d1bfe6d0925ce7e4da262b62861514a7755e35831e429f343e7b864848657efd",
            "39ab4feab950a3128fb71accb9fc3965d857012e081998a85996e3ea8b3c3bcf",
        ];
        for (group, expected) in MODP_GROUPS.into_iter().zip(expected) {
            let prime = parameters(group).unwrap().unwrap().prime.to_vec();
            let hash = digest(Hash::Sha256, &[&prime]).unwrap();
            assert_eq!(hex::encode(hash), expected, "{}", group.row().name);
        }
    }

    #[test]
    fn exponents_are_as_long_as_the_table_says_and_fresh() {
        for group in MODP_GROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let (a, b) = (
                modp.random_exponent().unwrap(),
                modp.random_exponent().unwrap(),
            );
            assert_eq!(a.len(), group.row().private_len);
            assert!(a[0] >= 0x80);
            assert_ne!(*a, *b);
        }
    }

    #[test]
    fn subgroups_have_the_prime_order_that_the_table_says_and_their_generator_is_in_them() {
        for group in SUBGROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let order = modp.order.as_ref().expect("a subgroup has an order");
            let row = group.row();
            assert_eq!(
                order.num_bits(),
                i32::try_from(row.private_len * 8).unwrap()
            );
            assert_eq!(modp.prime.to_vec().len(), row.public_len);
            let mut context = BigNumContext::new().unwrap();
            assert!(order.is_prime(64, &mut context).unwrap());
            assert!(modp.prime.is_prime(64, &mut context).unwrap());
            let mut rest = BigNum::new().unwrap();
            rest.checked_rem(&modp.minus_one, order, &mut context)
                .unwrap();
            assert_eq!(rest.num_bits(), 0);
            modp.check(&modp.generator.to_vec()).unwrap();
        }
    }

    #[test]
    fn subgroups_refuse_what_is_in_range_and_not_in_them() {
        for group in SUBGROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let x = modp.random_exponent().unwrap();
            let ours = modp.public_value(&x).unwrap();
            modp.check(&ours).unwrap();
            // p - y has the order 2q; 2 has another one in all three groups.
            let mut negative = BigNum::new().unwrap();
            let value = BigNum::from_slice(&ours).unwrap();
            negative.checked_sub(&modp.prime, &value).unwrap();
            for outside in [negative.to_vec(), vec![2]] {
                let refused = modp.check(&outside).unwrap_err();
                assert!(matches!(
                    refused,
                    CryptoError::BadPublicValue(PublicValueFault::NotInSubgroup)
                ));
            }
        }
    }

    #[test]
    fn exponents_of_a_subgroup_are_below_its_order_padded_and_fresh() {
        for group in SUBGROUPS {
            let modp = parameters(group).unwrap().unwrap();
            let order = modp.order.as_ref().unwrap();
            let mut seen = std::collections::HashSet::new();
            for _ in 0..64 {
                let exponent = modp.random_exponent().unwrap();
                assert_eq!(exponent.len(), group.row().private_len);
                assert!(BigNum::from_slice(&exponent).unwrap().ucmp(order).is_lt());
                assert!(seen.insert(exponent.to_vec()));
            }
        }
    }
}
