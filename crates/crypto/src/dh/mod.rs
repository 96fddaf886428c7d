//! Ephemeral Diffie-Hellman in every group of the table.
//!
//! Each exchange has a key of its own, used once: reuse would let bad public values of peers work on it.

mod ecp;
mod modp;
mod number;
mod x25519;

use zeroize::Zeroizing;

use crate::{CryptoError, Group, PublicValueFault, Secret, ct_eq};

/// Our half of one exchange.
#[derive(Clone, Debug)]
pub struct KeyShare {
    /// What the KE payload carries: the group's [`public_len`](crate::GroupRow::public_len) bytes.
    pub public: Vec<u8>,
    /// What [`agree`] wants back: the exponent and then the public value, so that the peer cannot
    /// send us our own. To others it is opaque.
    pub private: Secret,
}

/// Makes a fresh key share.
///
/// # Errors
/// [`CryptoError::Library`] when OpenSSL fails.
pub fn generate(group: Group) -> Result<KeyShare, CryptoError> {
    if let Some(modp) = modp::parameters(group)? {
        let exponent = modp.random_exponent()?;
        let public = modp.public_value(&exponent)?;
        return Ok(share_with(&exponent, public));
    }
    let (private, public) = match ecp::Curve::of(group)? {
        Some(curve) => curve.generate()?,
        None => x25519::generate()?,
    };
    Ok(share_with(&private, public))
}

/// The key share that belongs to a given private value, of the group's
/// [`private_len`](crate::GroupRow::private_len) bytes: for published vectors, and for a simulation that
/// must come out the same each time. A real exchange uses [`generate`].
///
/// # Errors
/// [`CryptoError::WrongLength`] or [`CryptoError::BadPrivateValue`] when the value is none of the
/// group's; [`CryptoError::Library`] when OpenSSL fails.
pub fn share_from_private(group: Group, private: &Secret) -> Result<KeyShare, CryptoError> {
    let private = private.as_bytes();
    require_len("private value", group.row().private_len, private.len())?;
    let public = match modp::parameters(group)? {
        Some(modp) => modp.public_value(private)?,
        None => match ecp::Curve::of(group)? {
            Some(curve) => curve.public_value(private)?,
            None => x25519::public_value(private)?,
        },
    };
    Ok(share_with(private, public))
}

/// The shared secret g^xy: `private` is that of [`KeyShare`], `peer_public` the body of the peer's KE
/// payload. The result always has the group's [`shared_len`](crate::GroupRow::shared_len) bytes: for
/// MODP it is padded to the prime's length (RFC 2409 section 5), for ECP it is the x coordinate (RFC
/// 5903 section 7).
///
/// The peer's value is checked first, as [`check_public`] does, and must not be our own. MODP values of
/// groups with a safe prime are checked by range alone: what is in range generates the whole group or
/// its subgroup of prime order, and an exponentiation to find out which would cost as much as the
/// agreement.
///
/// # Errors
/// [`CryptoError::BadPublicValue`] for the peer's fault, any other for ours.
pub fn agree(group: Group, private: &Secret, peer_public: &[u8]) -> Result<Secret, CryptoError> {
    let row = group.row();
    let private = private.as_bytes();
    require_len("key share", row.private_len + row.public_len, private.len())?;
    let (exponent, own_public) = private.split_at(row.private_len);
    check_size(group, peer_public)?;
    if ct_eq(own_public, peer_public) {
        return Err(PublicValueFault::OurOwn.into());
    }
    if let Some(modp) = modp::parameters(group)? {
        return modp.agree(exponent, peer_public);
    }
    match ecp::Curve::of(group)? {
        Some(curve) => curve.agree(exponent, peer_public),
        None => x25519::agree(exponent, peer_public),
    }
}

/// [`generate`] and [`agree`] in one, for who has the peer's public value already: our public value and
/// the shared secret. The private value goes nowhere, and a bad public value costs no key share.
///
/// # Errors
/// As [`agree`].
pub fn generate_and_agree(
    group: Group,
    peer_public: &[u8],
) -> Result<(Vec<u8>, Secret), CryptoError> {
    check_size(group, peer_public)?;
    if let Some(modp) = modp::parameters(group)? {
        let peer = modp.check(peer_public)?;
        let exponent = modp.random_exponent()?;
        return Ok((
            modp.public_value(&exponent)?,
            modp.shared(&exponent, &peer)?,
        ));
    }
    match ecp::Curve::of(group)? {
        Some(curve) => {
            let peer = curve.check(peer_public)?;
            let (private, public) = curve.generate()?;
            Ok((public, curve.shared(&private, &peer)?))
        }
        None => x25519::generate_and_agree(peer_public),
    }
}

/// Whether a public value can be used at all: its exact size; for MODP 2..=p-2, and for groups 22 to 24
/// the subgroup of prime order; for ECP a point on the curve; for X25519 none of small order (RFC 6989
/// section 2, RFC 7748 section 6.1).
///
/// # Errors
/// [`CryptoError::BadPublicValue`] when it cannot, [`CryptoError::Library`] when OpenSSL fails.
pub fn check_public(group: Group, peer_public: &[u8]) -> Result<(), CryptoError> {
    check_size(group, peer_public)?;
    if let Some(modp) = modp::parameters(group)? {
        return modp.check(peer_public).map(drop);
    }
    match ecp::Curve::of(group)? {
        Some(curve) => curve.check(peer_public).map(drop),
        None => x25519::check(peer_public),
    }
}

fn share_with(private: &[u8], public: Vec<u8>) -> KeyShare {
    let mut both = Zeroizing::new(Vec::with_capacity(private.len() + public.len()));
    both.extend_from_slice(private);
    both.extend_from_slice(&public);
    KeyShare {
        public,
        private: Secret::new(std::mem::take(&mut *both)),
    }
}

fn check_size(group: Group, public: &[u8]) -> Result<(), PublicValueFault> {
    let expected = group.row().public_len;
    if public.len() == expected {
        Ok(())
    } else {
        Err(PublicValueFault::WrongSize {
            expected,
            got: public.len(),
        })
    }
}

fn require_len(what: &'static str, expected: usize, got: usize) -> Result<(), CryptoError> {
    if expected == got {
        Ok(())
    } else {
        Err(CryptoError::WrongLength {
            what,
            expected,
            got,
        })
    }
}
