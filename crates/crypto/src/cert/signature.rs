//! The signatures of IKE version 1: RSA as RFC 2409 section 5.1 has it, ECDSA as RFC 4754 has it.
//!
//! What is signed is `HASH_I` or `HASH_R` itself. With RSA it stands in the PKCS #1 block bare, without the
//! `DigestInfo` that every other protocol puts around a hash; with ECDSA it is the message representative.

use std::fmt;

use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use serde::{Deserialize, Serialize};

use super::fault::{Fault, OwnFault, Refusal};
use super::key::{Curve, KeyError, KeyKind, Place, PrivateKey, PublicKey};
use super::limits::MAX_RSA_BITS;
use crate::Hash;

/// A method of authentication by signature, as phase 1 negotiates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// RSA signatures: 3 (RFC 2409 appendix A).
    Rsa,
    /// ECDSA with SHA-256 on P-256: 9 (RFC 4754 section 6).
    Ecdsa256,
    /// ECDSA with SHA-384 on P-384: 10.
    Ecdsa384,
    /// ECDSA with SHA-512 on P-521: 11.
    Ecdsa521,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 4] = [
        Method::Rsa,
        Method::Ecdsa256,
        Method::Ecdsa384,
        Method::Ecdsa521,
    ];

    /// The value of the attribute Authentication Method.
    pub fn number(self) -> u16 {
        match self {
            Method::Rsa => 3,
            Method::Ecdsa256 => 9,
            Method::Ecdsa384 => 10,
            Method::Ecdsa521 => 11,
        }
    }

    /// The method of that value.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.number() == number)
    }

    /// The method that a key can sign with.
    pub fn of_key(kind: KeyKind) -> Option<Self> {
        match kind {
            KeyKind::Rsa(_) => Some(Method::Rsa),
            KeyKind::Ecdsa(Curve::P256) => Some(Method::Ecdsa256),
            KeyKind::Ecdsa(Curve::P384) => Some(Method::Ecdsa384),
            KeyKind::Ecdsa(Curve::P521) => Some(Method::Ecdsa521),
            KeyKind::Other => None,
        }
    }

    /// The hash whose HMAC makes `HASH_I` and `HASH_R`, where the method brings its own: what is signed has to
    /// be as long as the curve's hash (RFC 4754 section 4). `None`: the one that was negotiated.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Method::Rsa => None,
            Method::Ecdsa256 => Some(Hash::Sha256),
            Method::Ecdsa384 => Some(Hash::Sha384),
            Method::Ecdsa521 => Some(Hash::Sha512),
        }
    }

    fn curve(self) -> Option<Curve> {
        match self {
            Method::Rsa => None,
            Method::Ecdsa256 => Some(Curve::P256),
            Method::Ecdsa384 => Some(Curve::P384),
            Method::Ecdsa521 => Some(Curve::P521),
        }
    }

    /// Whether a peer's key may sign under this method. A longer curve than the method names is taken:
    /// strongSwan signs so with the key that it has, and it weakens nothing.
    pub fn accepts(self, kind: KeyKind) -> bool {
        match (self.curve(), kind) {
            (None, KeyKind::Rsa(_)) => true,
            (Some(least), KeyKind::Ecdsa(curve)) => curve >= least,
            _ => false,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Rsa => "RSA signatures",
            Method::Ecdsa256 => "ECDSA-256",
            Method::Ecdsa384 => "ECDSA-384",
            Method::Ecdsa521 => "ECDSA-521",
        })
    }
}

/// Signs `HASH_I` or `HASH_R`.
///
/// # Errors
/// [`OwnFault::KeyUnusable`]: the key does not fit the method, its token is gone, or OpenSSL failed.
pub fn sign(key: &PrivateKey, method: Method, hash: &[u8]) -> Result<Vec<u8>, OwnFault> {
    if Method::of_key(key.kind()) != Some(method) {
        return Err(OwnFault::KeyUnusable(format!(
            "our key is {}, which cannot make {method}",
            key.kind()
        )));
    }
    raw_signature(key, hash).map_err(|error| OwnFault::KeyUnusable(error.to_string()))
}

fn raw_signature(key: &PrivateKey, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
    let place = match &key.place {
        Place::Here(place) => place,
        Place::Token(token) => return token.sign(hash),
    };
    let mut context = PkeyCtx::new(place)?;
    context.sign_init()?;
    if let KeyKind::Rsa(_) = key.kind() {
        // Without a hash to name, nothing is put around what is signed.
        context.set_rsa_padding(Padding::PKCS1)?;
    }
    let mut signature = Vec::new();
    context.sign_to_vec(hash, &mut signature)?;
    let KeyKind::Ecdsa(curve) = key.kind() else {
        return Ok(signature);
    };
    let numbers = EcdsaSig::from_der(&signature)?;
    let len = i32::try_from(curve.number_len()).unwrap_or_default();
    let mut joined = numbers.r().to_vec_padded(len)?;
    joined.extend(numbers.s().to_vec_padded(len)?);
    Ok(joined)
}

impl PrivateKey {
    /// Signs something and checks it, to see that both halves belong together.
    pub(super) fn try_pair(&self) -> Result<(), KeyError> {
        let hash = [0x5a; 32];
        let signature = raw_signature(self, &hash)?;
        let method = Method::of_key(self.kind()).ok_or(KeyError::UnknownKind)?;
        check(self.public(), method, Hash::Sha256, &hash, &signature)
            .map_err(|_| KeyError::NotAPair("the token's key".to_owned()))
    }
}

/// Checks the peer's signature on `HASH_I` or `HASH_R`. `made_with`: the hash that these were made with.
///
/// With RSA, a hash inside a `DigestInfo` is taken too, because some peers send it so. The block is compared as
/// a whole with the one that should be there: nothing of it is parsed, so that nothing can hide in it.
///
/// # Errors
/// A [`Refusal`]: [`Fault::WrongType`] where the key does not fit the method, else
/// [`Fault::SignatureMismatch`].
pub fn check(
    key: &PublicKey,
    method: Method,
    made_with: Hash,
    hash: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    if !method.accepts(key.kind()) {
        return Err(Refusal::new(
            Fault::WrongType,
            format!("the key is {}, and the method {method}", key.kind()),
        ));
    }
    let right = match key.kind() {
        KeyKind::Rsa(_) => check_rsa(key, made_with, hash, signature)?,
        KeyKind::Ecdsa(curve) => check_ecdsa(key, curve, hash, signature)?,
        KeyKind::Other => false,
    };
    if right {
        Ok(())
    } else {
        Err(Refusal::new(
            Fault::SignatureMismatch,
            "the signature does not fit the exchange",
        ))
    }
}

fn check_rsa(
    key: &PublicKey,
    made_with: Hash,
    hash: &[u8],
    signature: &[u8],
) -> Result<bool, Refusal> {
    let rsa = key.pkey().rsa()?;
    let len = rsa.size() as usize;
    if len > MAX_RSA_BITS as usize / 8 || signature.len() != len {
        return Ok(false);
    }
    let mut block = vec![0; len];
    // It fails for a number that is not less than the modulus.
    if rsa
        .public_decrypt(signature, &mut block, Padding::NONE)
        .is_err()
    {
        return Ok(false);
    }
    let with_digest_info = [digest_info(made_with), hash].concat();
    Ok([hash, &with_digest_info]
        .into_iter()
        .filter_map(|content| padded(content, len))
        .any(|expected| expected == block))
}

/// The block that RFC 8017 section 9.2 pads a content to: 00 01 FF … FF 00 content.
fn padded(content: &[u8], len: usize) -> Option<Vec<u8>> {
    /// Fewer bytes of padding are none (RFC 8017 section 9.2).
    const LEAST_PADDING: usize = 8;
    let padding = len.checked_sub(content.len() + 3)?;
    if padding < LEAST_PADDING {
        return None;
    }
    let mut block = vec![0xff; len];
    block[0] = 0;
    block[1] = 1;
    block[2 + padding] = 0;
    block[3 + padding..].copy_from_slice(content);
    Some(block)
}

/// What stands before the hash in its `DigestInfo` (RFC 8017 section 9.2, note 1).
fn digest_info(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Md5 => b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10",
        Hash::Sha1 => b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
        Hash::Sha256 => {
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        }
        Hash::Sha384 => {
            b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
        }
        Hash::Sha512 => {
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
        }
    }
}

fn check_ecdsa(
    key: &PublicKey,
    curve: Curve,
    hash: &[u8],
    signature: &[u8],
) -> Result<bool, Refusal> {
    let len = curve.number_len();
    if signature.len() != 2 * len {
        return Ok(false);
    }
    let (r, s) = signature.split_at(len);
    let numbers =
        EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    let mut context = PkeyCtx::new(key.pkey())?;
    context.verify_init()?;
    // An error is a number that no signature has: out of range.
    Ok(context.verify(hash, &numbers.to_der()?).unwrap_or(false))
}
