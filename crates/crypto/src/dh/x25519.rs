//! X25519 (RFC 7748), in IKE by the number that RFC 8031 gave it for version 2.
//!
//! The arithmetic is AWS-LC's, which has it proven and in a third of the time that OpenSSL takes: an exchange with
//! X25519 costs so little else that this is what decides. Random numbers are OpenSSL's, as everywhere.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use openssl::rand::rand_priv_bytes;
use zeroize::Zeroizing;

use crate::{CryptoError, PublicValueFault, Secret, ct_eq};

/// Bytes of a private value, a public value and a shared secret.
const LEN: usize = 32;

/// The u coordinates of small order, of the curve and of its twist, with those that equal them modulo p =
/// 2^255 - 19 in 255 bits. With any other value the shared secret is not zero.
const SMALL_ORDER: [[u8; LEN]; 7] = [
    small(0x00, 0x00, 0x00),
    small(0x01, 0x00, 0x00),
    // Order 8.
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    // p - 1, p and p + 1.
    small(0xec, 0xff, 0x7f),
    small(0xed, 0xff, 0x7f),
    small(0xee, 0xff, 0x7f),
];

const fn small(first: u8, middle: u8, last: u8) -> [u8; LEN] {
    let mut value = [middle; LEN];
    value[0] = first;
    value[LEN - 1] = last;
    value
}

/// A fresh private value and its public value.
pub(super) fn generate() -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CryptoError> {
    let mut private = Zeroizing::new(vec![0; LEN]);
    rand_priv_bytes(&mut private)?;
    let public = public_value(&private)?;
    Ok((private, public))
}

/// The public value of a given private value.
pub(super) fn public_value(private: &[u8]) -> Result<Vec<u8>, CryptoError> {
    public_of(&key(private)?)
}

/// Refuses the values that make every shared secret zero. The highest bit says nothing (RFC 7748
/// section 5), and a value of p or more stands for what is left modulo p.
pub(super) fn check(peer_public: &[u8]) -> Result<(), CryptoError> {
    let mut value = peer_public.to_vec();
    if let Some(last) = value.last_mut() {
        *last &= 0x7f;
    }
    if SMALL_ORDER.iter().any(|small| *small == value[..]) {
        return Err(PublicValueFault::SmallOrder.into());
    }
    Ok(())
}

/// The shared secret, never zero.
pub(super) fn agree(private: &[u8], peer_public: &[u8]) -> Result<Secret, CryptoError> {
    check(peer_public)?;
    derive(&key(private)?, peer_public)
}

/// A fresh public value, and the shared secret.
pub(super) fn generate_and_agree(peer_public: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
    check(peer_public)?;
    let mut private = Zeroizing::new([0; LEN]);
    rand_priv_bytes(&mut *private)?;
    let ours = key(&*private)?;
    Ok((public_of(&ours)?, derive(&ours, peer_public)?))
}

/// AWS-LC computes the public value with it.
fn key(private: &[u8]) -> Result<PrivateKey, CryptoError> {
    PrivateKey::from_private_key(&X25519, private).map_err(|_| CryptoError::AwsLc)
}

fn public_of(ours: &PrivateKey) -> Result<Vec<u8>, CryptoError> {
    let public = ours.compute_public_key().map_err(|_| CryptoError::AwsLc)?;
    Ok(public.as_ref().to_vec())
}

fn derive(ours: &PrivateKey, peer_public: &[u8]) -> Result<Secret, CryptoError> {
    let theirs = UnparsedPublicKey::new(&X25519, peer_public);
    // What it would refuse of a peer's, `check` has refused.
    agreement::agree(ours, theirs, CryptoError::AwsLc, |shared| {
        if shared.len() != LEN || ct_eq(shared, &[0; LEN]) {
            return Err(PublicValueFault::SmallOrder.into());
        }
        Ok(Secret::new(shared.to_vec()))
    })
}
