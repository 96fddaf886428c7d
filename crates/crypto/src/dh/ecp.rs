//! Diffie-Hellman on the NIST curves, as RFC 5903 encodes it: a public value is x | y, the shared secret
//! is x alone.
//!
//! Done with `EC_POINT_mul`, which is constant-time for a secret scalar, and not with
//! `EVP_PKEY_derive`, which multiplies the peer's point by the curve's order as well: with a cofactor of
//! one, a point on the curve that is not at infinity has that order anyway.

use std::sync::LazyLock;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint, EcPointRef, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use zeroize::Zeroizing;

use super::number::SecretNumber;
use crate::{CryptoError, Group, PublicValueFault, Secret};

/// First byte of an uncompressed point in SEC 1, which RFC 5903 leaves out.
const UNCOMPRESSED: u8 = 4;
/// OpenSSL's `ERR_LIB_EC`: what its point decoding says is about the point.
const EC_LIBRARY: i32 = 16;
/// OpenSSL's `EC_R_INVALID_ENCODING`: a coordinate of the prime or more.
const INVALID_ENCODING: i32 = 102;
/// OpenSSL's `EC_R_POINT_IS_NOT_ON_CURVE`.
const NOT_ON_CURVE: i32 = 107;

/// A curve and the length of its coordinates.
pub(super) struct Curve {
    curve: &'static EcGroup,
    coordinate_len: usize,
}

impl Curve {
    /// The group's curve, set up once; `None` when the group is not on a NIST curve.
    pub(super) fn of(group: Group) -> Result<Option<Self>, CryptoError> {
        type Cached = LazyLock<Result<EcGroup, ErrorStack>>;
        static P192: Cached = LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME192V1));
        static P224: Cached = LazyLock::new(|| EcGroup::from_curve_name(Nid::SECP224R1));
        static P256: Cached = LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME256V1));
        static P384: Cached = LazyLock::new(|| EcGroup::from_curve_name(Nid::SECP384R1));
        static P521: Cached = LazyLock::new(|| EcGroup::from_curve_name(Nid::SECP521R1));
        let cached = match group {
            Group::Ecp192 => &P192,
            Group::Ecp224 => &P224,
            Group::Ecp256 => &P256,
            Group::Ecp384 => &P384,
            Group::Ecp521 => &P521,
            _ => return Ok(None),
        };
        match &**cached {
            Ok(curve) => Ok(Some(Self {
                curve,
                coordinate_len: group.row().shared_len,
            })),
            Err(error) => Err(error.clone().into()),
        }
    }

    /// A fresh scalar, padded to the order's length, and its public value.
    pub(super) fn generate(&self) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CryptoError> {
        let key = EcKey::generate(self.curve)?;
        let private = key.private_key().to_vec_padded(self.padded())?;
        Ok((Zeroizing::new(private), self.encode(key.public_key())?))
    }

    /// The public value of a given scalar in 1..order.
    pub(super) fn public_value(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut context = BigNumContext::new_secure()?;
        let mut order = BigNum::new()?;
        self.curve.order(&mut order, &mut context)?;
        let scalar = SecretNumber::from_slice(private)?;
        if scalar.0.num_bits() == 0 || scalar.0.ucmp(&order).is_ge() {
            return Err(CryptoError::BadPrivateValue);
        }
        let mut point = EcPoint::new(self.curve)?;
        point.mul_generator2(self.curve, &scalar.0, &mut context)?;
        self.encode(&point)
    }

    /// The peer's point, when it is on the curve. Infinity has no encoding as x | y.
    pub(super) fn check(&self, peer_public: &[u8]) -> Result<EcPoint, CryptoError> {
        let mut encoded = Vec::with_capacity(1 + peer_public.len());
        encoded.push(UNCOMPRESSED);
        encoded.extend_from_slice(peer_public);
        let mut context = BigNumContext::new()?;
        EcPoint::from_bytes(self.curve, &encoded, &mut context).map_err(|error| {
            let is_about_the_point = error.errors().iter().any(|e| {
                e.library_code() == EC_LIBRARY
                    && [INVALID_ENCODING, NOT_ON_CURVE].contains(&e.reason_code())
            });
            if is_about_the_point {
                PublicValueFault::NotOnCurve.into()
            } else {
                error.into()
            }
        })
    }

    /// The x coordinate of the shared point.
    pub(super) fn agree(&self, private: &[u8], peer: &[u8]) -> Result<Secret, CryptoError> {
        let peer = self.check(peer)?;
        self.shared(private, &peer)
    }

    /// The same with a point that was checked.
    pub(super) fn shared(&self, private: &[u8], peer: &EcPointRef) -> Result<Secret, CryptoError> {
        let scalar = SecretNumber::from_slice(private)?;
        let mut context = BigNumContext::new_secure()?;
        let mut shared = EcPoint::new(self.curve)?;
        shared.mul2(self.curve, peer, &scalar.0, &mut context)?;
        let (mut x, mut y) = (SecretNumber::new()?, SecretNumber::new()?);
        shared.affine_coordinates(self.curve, &mut x.0, &mut y.0, &mut context)?;
        Ok(Secret::new(x.0.to_vec_padded(self.padded())?))
    }

    fn encode(&self, point: &EcPointRef) -> Result<Vec<u8>, CryptoError> {
        let mut context = BigNumContext::new()?;
        let mut encoded =
            point.to_bytes(self.curve, PointConversionForm::UNCOMPRESSED, &mut context)?;
        encoded.remove(0);
        Ok(encoded)
    }

    fn padded(&self) -> i32 {
        i32::try_from(self.coordinate_len).unwrap_or(i32::MAX)
    }
}
