//! Public and private keys, wherever they are.

use std::fmt;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use openssl::bn::BigNum;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::Rsa;
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Refusal};
use super::limits::{MAX_RSA_BITS, MAX_RSA_EXPONENT_BITS, MIN_RSA_EXPONENT, MIN_SECURITY_BITS};
use super::token::TokenKey;
use crate::Secret;

/// A curve of RFC 4754.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// How many bytes each of the two numbers of a signature has (RFC 4754 section 7).
    pub fn number_len(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Curve::P256 => "P-256",
            Curve::P384 => "P-384",
            Curve::P521 => "P-521",
        })
    }
}

/// The curves by name: in a certificate (RFC 5480 section 2.1.1.1), and in OpenSSL.
const CURVES: [(ObjectIdentifier, Nid, Curve); 3] = [
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        Nid::X9_62_PRIME256V1,
        Curve::P256,
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.34"),
        Nid::SECP384R1,
        Curve::P384,
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        Nid::SECP521R1,
        Curve::P521,
    ),
];

/// The kind of a key on a curve that [`CURVES`] has, if it is that one.
fn on_one_of(is: impl Fn(ObjectIdentifier, Nid) -> bool) -> KeyKind {
    let found = CURVES.into_iter().find(|(oid, nid, _)| is(*oid, *nid));
    found.map_or(KeyKind::Other, |(_, _, curve)| KeyKind::Ecdsa(curve))
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// RSA, with the length of its modulus in bits.
    Rsa(u32),
    /// ECDSA on a curve.
    Ecdsa(Curve),
    /// Another, which no method of IKE version 1 uses; a CA may have one.
    Other,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa(bits) => write!(f, "RSA with {bits} bits"),
            KeyKind::Ecdsa(curve) => write!(f, "ECDSA on {curve}"),
            KeyKind::Other => f.write_str("of a kind that IKEv1 does not use"),
        }
    }
}

/// Why a key cannot be read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing that we read as a key.
    #[error("this is no private key in PEM or DER (PKCS #8, PKCS #1 or SEC 1)")]
    NotAKey,
    /// Nothing that we read as a public key.
    #[error("this is no public key in PEM or DER, nor a DNSKEY after 0s or 0x (RFC 3110)")]
    NotAPublicKey,
    /// It is encrypted, and no passphrase was given.
    #[error("the private key is encrypted; give its passphrase")]
    NeedsPassphrase,
    /// It is encrypted, and not with that passphrase.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// A kind of key that no method of IKE uses.
    #[error(
        "keys of this kind have no method in IKEv1; use RSA, or ECDSA on P-256, P-384 or P-521"
    )]
    UnknownKind,
    /// The parts of the key do not fit each other.
    #[error("the private key is damaged")]
    Inconsistent,
    /// Something of a PKCS #12 file.
    #[error("the PKCS #12 file {0}")]
    Pkcs12(&'static str),
    /// The key and the certificate are not a pair.
    #[error("the private key does not belong to the certificate of {0}")]
    NotAPair(String),
    /// Something of a token.
    #[error("the PKCS #11 token: {0}")]
    Token(String),
    /// OpenSSL failed.
    #[error("OpenSSL failed: {0}")]
    Library(String),
}

impl From<openssl::error::ErrorStack> for KeyError {
    fn from(error: openssl::error::ErrorStack) -> Self {
        KeyError::Library(error.to_string())
    }
}

/// A public key. Cloning is cheap.
#[derive(Clone)]
pub struct PublicKey {
    key: PKey<Public>,
    kind: KeyKind,
}

impl PublicKey {
    pub(super) fn of(key: PKey<Public>) -> Self {
        let kind = kind_of(&key);
        PublicKey { key, kind }
    }

    /// A certificate's key: if it is on a curve, on the one that its algorithm's parameters name (RFC 5480 section
    /// 2.1.1), so that OpenSSL need not be asked for it, which takes it long.
    pub(super) fn on_curve(key: PKey<Public>, curve: Option<ObjectIdentifier>) -> Self {
        if key.id() != Id::EC {
            return Self::of(key);
        }
        let kind = on_one_of(|oid, _| Some(oid) == curve);
        PublicKey { key, kind }
    }

    /// One that a method of IKE version 1 can use.
    fn usable(key: PKey<Public>) -> Result<Self, KeyError> {
        let key = Self::of(key);
        match key.kind {
            KeyKind::Other => Err(KeyError::UnknownKind),
            _ => Ok(key),
        }
    }

    /// Reads a public key: `SubjectPublicKeyInfo` as PEM or DER, or a DNSKEY's key as IPsec's operators
    /// exchange it (`0sAwEAA…`, RFC 3110).
    ///
    /// # Errors
    /// [`KeyError::NotAPublicKey`], [`KeyError::UnknownKind`].
    pub fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = PKey::public_key_from_pem(bytes) {
            return Self::usable(key);
        }
        if let Ok(key) = PKey::public_key_from_der(bytes) {
            return Self::usable(key);
        }
        if let Ok(rsa) = Rsa::public_key_from_pem_pkcs1(bytes) {
            return Self::usable(PKey::from_rsa(rsa)?);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotAPublicKey)?;
        let text = text.trim();
        let dnskey = match (text.strip_prefix("0s"), text.strip_prefix("0x")) {
            (Some(base64), _) => openssl::base64::decode_block(base64).ok(),
            (_, Some(digits)) => BigNum::from_hex_str(digits)
                .and_then(|number| {
                    number.to_vec_padded(i32::try_from(digits.len() / 2).unwrap_or(0))
                })
                .ok(),
            _ => None,
        };
        Self::from_dnskey(&dnskey.ok_or(KeyError::NotAPublicKey)?)
    }

    /// The exponent's length, the exponent, the modulus (RFC 3110 section 2).
    fn from_dnskey(bytes: &[u8]) -> Result<Self, KeyError> {
        let (len, rest) = match bytes {
            [0, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            [len, rest @ ..] if *len > 0 => (usize::from(*len), rest),
            _ => return Err(KeyError::NotAPublicKey),
        };
        let (exponent, modulus) = rest.split_at_checked(len).ok_or(KeyError::NotAPublicKey)?;
        if modulus.len() < 64 || modulus.len() > MAX_RSA_BITS as usize / 8 {
            return Err(KeyError::NotAPublicKey);
        }
        let rsa = Rsa::from_public_components(
            BigNum::from_slice(modulus)?,
            BigNum::from_slice(exponent)?,
        )?;
        Self::usable(PKey::from_rsa(rsa)?)
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as `SubjectPublicKeyInfo` in DER.
    pub fn to_der(&self) -> Vec<u8> {
        self.key.public_key_to_der().unwrap_or_default()
    }

    pub(super) fn pkey(&self) -> &PKey<Public> {
        &self.key
    }

    /// Whether the key is long enough and of a make that can be trusted. `whose` is for the words.
    ///
    /// # Errors
    /// A [`Refusal`] with [`Fault::WeakKey`].
    pub fn check(&self, min_rsa_bits: u32, whose: &str) -> Result<(), Refusal> {
        let (kind, bits, least) = match self.kind {
            KeyKind::Rsa(bits) => ("RSA key", bits, min_rsa_bits),
            _ => (
                "strength of the key",
                self.key.security_bits(),
                MIN_SECURITY_BITS,
            ),
        };
        if bits < least {
            return Err(weak(format!(
                "the {kind} of {whose} has {bits} bits; {least} are the least"
            )));
        }
        self.check_make(whose)
    }

    /// Whether the key can be computed with, and not for ever.
    ///
    /// # Errors
    /// A [`Refusal`] with [`Fault::WeakKey`].
    pub(super) fn check_make(&self, whose: &str) -> Result<(), Refusal> {
        let KeyKind::Rsa(bits) = self.kind else {
            return Ok(());
        };
        if bits > MAX_RSA_BITS {
            return Err(weak(format!(
                "the RSA key of {whose} has {bits} bits; {MAX_RSA_BITS} are the most"
            )));
        }
        let rsa = self.key.rsa()?;
        let (modulus, exponent) = (rsa.n(), rsa.e());
        let least = BigNum::from_u32(MIN_RSA_EXPONENT)?;
        if exponent.ucmp(&least) == std::cmp::Ordering::Less {
            return Err(weak(format!(
                "the public exponent of the RSA key of {whose} is {}; {MIN_RSA_EXPONENT} is the least",
                exponent.to_dec_str()?
            )));
        }
        if exponent.num_bits() > MAX_RSA_EXPONENT_BITS
            || !exponent.is_bit_set(0)
            || !modulus.is_bit_set(0)
        {
            return Err(weak(format!(
                "the RSA key of {whose} has a modulus or an exponent that no key should have"
            )));
        }
        Ok(())
    }
}

fn weak(why: String) -> Refusal {
    Refusal::new(Fault::WeakKey, why)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.public_eq(&other.key)
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.kind)
    }
}

fn kind_of<T: openssl::pkey::HasPublic>(key: &PKey<T>) -> KeyKind {
    match key.id() {
        Id::RSA => KeyKind::Rsa(key.bits()),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|ec| ec.group().curve_name());
            on_one_of(|_, nid| Some(nid) == curve)
        }
        _ => KeyKind::Other,
    }
}

/// A private key: here in memory, or in a token that never gives it out. Does not print. Cloning is cheap.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) place: Place,
    public: PublicKey,
}

#[derive(Clone)]
pub(super) enum Place {
    Here(PKey<Private>),
    Token(Arc<TokenKey>),
}

impl PrivateKey {
    /// Reads a private key in PEM or DER: PKCS #8 (encrypted or not), PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// [`KeyError`], which tells a missing passphrase from a wrong one.
    pub fn read(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Self, KeyError> {
        // Without a callback OpenSSL would ask at the terminal.
        let mut asked = false;
        let mut tell = |buffer: &mut [u8]| {
            asked = true;
            let Some(secret) = passphrase.filter(|secret| secret.len() <= buffer.len()) else {
                return Ok(0);
            };
            buffer[..secret.len()].copy_from_slice(secret.as_bytes());
            Ok(secret.len())
        };
        let found = if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            PKey::private_key_from_pem_callback(bytes, &mut tell)
        } else {
            PKey::private_key_from_der(bytes)
                .or_else(|_| PKey::private_key_from_pkcs8_callback(bytes, &mut tell))
        };
        match found {
            Ok(key) => Self::of(key),
            Err(_) if asked && passphrase.is_none() => Err(KeyError::NeedsPassphrase),
            Err(_) if asked => Err(KeyError::WrongPassphrase),
            Err(_) => Err(KeyError::NotAKey),
        }
    }

    pub(super) fn of(key: PKey<Private>) -> Result<Self, KeyError> {
        if kind_of(&key) == KeyKind::Other {
            return Err(KeyError::UnknownKind);
        }
        if key.id() == Id::RSA && !key.rsa()?.check_key().unwrap_or(false) {
            return Err(KeyError::Inconsistent);
        }
        if key.id() == Id::EC && key.ec_key()?.check_key().is_err() {
            return Err(KeyError::Inconsistent);
        }
        let public = PKey::public_key_from_der(&key.public_key_to_der()?)?;
        Ok(PrivateKey {
            place: Place::Here(key),
            public: PublicKey::of(public),
        })
    }

    pub(super) fn in_token(key: TokenKey, public: PublicKey) -> Self {
        PrivateKey {
            place: Place::Token(Arc::new(key)),
            public,
        }
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.public.kind
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Here(_) => "in memory",
            Place::Token(_) => "in a token",
        };
        write!(f, "PrivateKey({}, {place})", self.public.kind)
    }
}
