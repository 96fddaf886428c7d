//! A private key in a PKCS #11 token, named by a URI (RFC 7512), which signs there and never leaves it.
//!
//! The mechanisms are those that IKE version 1 wants anyway: `CKM_RSA_PKCS` pads what it is given without a
//! `DigestInfo` of its own, and `CKM_ECDSA` gives the two numbers one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use openssl::bn::BigNum;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::certificate::Certificate;
use super::key::{KeyError, KeyKind, PrivateKey, PublicKey};
use crate::Secret;

/// The longest URI, in bytes: a path and a few names.
const MAX_URI_LEN: usize = 4096;

/// Where a key is: the attributes of a `pkcs11:` URI that we know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The library that speaks for the token: `module-path`.
    pub module: PathBuf,
    /// The token's label: `token`.
    pub token: Option<String>,
    /// The token's serial number: `serial`.
    pub serial: Option<String>,
    /// The slot's number: `slot-id`.
    pub slot: Option<u64>,
    /// The key's label: `object`.
    pub object: Option<String>,
    /// The key's identifier: `id`.
    pub id: Option<Vec<u8>>,
}

/// Why a text is no URI of a key in a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenUriError {
    /// It does not begin with `pkcs11:`.
    #[error("a key in a token is written pkcs11:token=…;object=…?module-path=/…/library.so")]
    NotOne,
    /// A part that is not `name=value`, or whose value cannot be read.
    #[error("\"{0}\" in the URI of the token cannot be read")]
    BadPart(String),
    /// A part that we do not know, or that may not stand there.
    #[error(
        "\"{0}\" in the URI of the token is not known; known are token, serial, slot-id, object, id and module-path"
    )]
    UnknownPart(String),
    /// Without the library there is no token.
    #[error("the URI of the token needs ?module-path=/…/library.so")]
    NoModule,
    /// Without a name there is no key.
    #[error("the URI of the token needs object=… or id=…")]
    NoObject,
}

impl std::str::FromStr for TokenUri {
    type Err = TokenUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("pkcs11:").ok_or(TokenUriError::NotOne)?;
        if rest.len() > MAX_URI_LEN {
            return Err(TokenUriError::BadPart("its length".to_owned()));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = TokenUri::default();
        for part in path.split(';').chain(query.split('&')) {
            if part.is_empty() {
                continue;
            }
            let bad = || TokenUriError::BadPart(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let bytes = percent_decoded(value).ok_or_else(bad)?;
            let word = String::from_utf8(bytes.clone()).map_err(|_| bad());
            match name {
                "token" => uri.token = Some(word?),
                "serial" => uri.serial = Some(word?),
                "slot-id" => uri.slot = Some(word?.parse().map_err(|_| bad())?),
                "object" => uri.object = Some(word?),
                "id" => uri.id = Some(bytes),
                "module-path" => uri.module = PathBuf::from(word?),
                // It could only be a private key.
                "type" if value == "private" => {}
                other => return Err(TokenUriError::UnknownPart(other.to_owned())),
            }
        }
        if uri.module.as_os_str().is_empty() {
            return Err(TokenUriError::NoModule);
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(TokenUriError::NoObject);
        }
        Ok(uri)
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// A private key in a token.
pub(super) struct TokenKey {
    uri: TokenUri,
    pin: Option<Secret>,
    kind: KeyKind,
    open: Mutex<Option<Open>>,
}

/// A session, and the key in it.
struct Open {
    session: Session,
    key: ObjectHandle,
}

impl PrivateKey {
    /// Finds a key in a token and logs in with the PIN, if one is given.
    ///
    /// The public half comes from the token, or from the certificate where the token does not have it. That the
    /// two are a pair is tried with a signature.
    ///
    /// # Errors
    /// [`KeyError::Token`] says what the token or its library said; [`KeyError::NotAPair`].
    pub fn in_pkcs11_token(
        uri: &TokenUri,
        pin: Option<&Secret>,
        certificate: Option<&Certificate>,
    ) -> Result<Self, KeyError> {
        let open = Open::new(uri, pin)?;
        let public = match certificate {
            Some(certificate) => certificate.key().clone(),
            None => open.public_key()?,
        };
        let key = TokenKey {
            uri: uri.clone(),
            pin: pin.cloned(),
            kind: public.kind(),
            open: Mutex::new(Some(open)),
        };
        let key = PrivateKey::in_token(key, public);
        key.try_pair()?;
        Ok(key)
    }
}

impl TokenKey {
    /// Signs: a padded hash for RSA, both numbers for ECDSA. Once more from the start when the session is gone:
    /// tokens are pulled out and put back.
    pub(super) fn sign(&self, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mechanism = match self.kind {
            KeyKind::Rsa(_) => Mechanism::RsaPkcs,
            KeyKind::Ecdsa(_) => Mechanism::Ecdsa,
            KeyKind::Other => return Err(KeyError::UnknownKind),
        };
        let mut open = lock(&self.open);
        if let Some(at) = &*open
            && let Ok(signature) = at.session.sign(&mechanism, at.key, hash)
        {
            return Ok(signature);
        }
        *open = None;
        let at = open.insert(Open::new(&self.uri, self.pin.as_ref())?);
        at.session
            .sign(&mechanism, at.key, hash)
            .map_err(|error| said(&error))
    }
}

impl Open {
    fn new(uri: &TokenUri, pin: Option<&Secret>) -> Result<Self, KeyError> {
        let module = module(&uri.module)?;
        let slots = module
            .get_slots_with_token()
            .map_err(|error| said(&error))?;
        let slot = slots
            .into_iter()
            .find(|slot| {
                let Ok(info) = module.get_token_info(*slot) else {
                    return false;
                };
                uri.slot.is_none_or(|wanted| slot.id() == wanted)
                    && uri
                        .token
                        .as_deref()
                        .is_none_or(|wanted| info.label() == wanted)
                    && uri
                        .serial
                        .as_deref()
                        .is_none_or(|wanted| info.serial_number() == wanted)
            })
            .ok_or_else(|| KeyError::Token("no such token is plugged in".to_owned()))?;
        let session = module.open_ro_session(slot).map_err(|error| said(&error))?;
        if let Some(pin) = pin {
            let pin = std::str::from_utf8(pin.as_bytes())
                .map_err(|_| KeyError::Token("the PIN is no text".to_owned()))?;
            match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(said(&error)),
            }
        }
        let keys = session
            .find_objects(&template(uri, ObjectClass::PRIVATE_KEY))
            .map_err(|error| said(&error))?;
        match keys[..] {
            [key] => Ok(Open { session, key }),
            [] => Err(KeyError::Token(
                "no such private key is in it (or the PIN is missing)".to_owned(),
            )),
            _ => Err(KeyError::Token(
                "several private keys are named so; add id=… or object=…".to_owned(),
            )),
        }
    }

    /// The public half: an RSA private key object holds it, an ECDSA one has it beside it under the same id.
    fn public_key(&self) -> Result<PublicKey, KeyError> {
        let attributes = self.attributes(self.key, &[AttributeType::KeyType, AttributeType::Id])?;
        let mut kind = None;
        let mut id = Vec::new();
        for attribute in attributes {
            match attribute {
                Attribute::KeyType(found) => kind = Some(found),
                Attribute::Id(found) => id = found,
                _ => {}
            }
        }
        let der = match kind {
            Some(KeyType::RSA) => {
                let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
                for attribute in self.attributes(
                    self.key,
                    &[AttributeType::Modulus, AttributeType::PublicExponent],
                )? {
                    match attribute {
                        Attribute::Modulus(found) => modulus = found,
                        Attribute::PublicExponent(found) => exponent = found,
                        _ => {}
                    }
                }
                let rsa = Rsa::from_public_components(
                    BigNum::from_slice(&modulus)?,
                    BigNum::from_slice(&exponent)?,
                )?;
                PKey::from_rsa(rsa)?.public_key_to_der()?
            }
            Some(KeyType::EC) => {
                let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
                let found = self
                    .session
                    .find_objects(&template)
                    .map_err(|error| said(&error))?;
                let Some(public) = found.first() else {
                    return Err(KeyError::Token(
                        "the public half of the key is not in it; give the certificate".to_owned(),
                    ));
                };
                self.ec_public_key(*public)?
            }
            _ => return Err(KeyError::UnknownKind),
        };
        Ok(PublicKey::of(PKey::public_key_from_der(&der)?))
    }

    /// `CKA_EC_PARAMS` is the curve's object identifier in DER, `CKA_EC_POINT` the point in an OCTET STRING.
    fn ec_public_key(&self, public: ObjectHandle) -> Result<Vec<u8>, KeyError> {
        use der::asn1::{BitString, ObjectIdentifier, OctetString};
        use der::{Any, Decode, Encode};
        use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

        let odd = |_| KeyError::Token("it gives a public key that cannot be read".to_owned());
        let (mut params, mut point) = (Vec::new(), Vec::new());
        for attribute in
            self.attributes(public, &[AttributeType::EcParams, AttributeType::EcPoint])?
        {
            match attribute {
                Attribute::EcParams(found) => params = found,
                Attribute::EcPoint(found) => point = found,
                _ => {}
            }
        }
        let point = OctetString::from_der(&point).map_err(odd)?;
        SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned {
                // id-ecPublicKey (RFC 5480 section 2.1.1).
                oid: ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
                parameters: Some(Any::from_der(&params).map_err(odd)?),
            },
            subject_public_key: BitString::from_bytes(point.as_bytes()).map_err(odd)?,
        }
        .to_der()
        .map_err(odd)
    }

    fn attributes(
        &self,
        object: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>, KeyError> {
        self.session
            .get_attributes(object, wanted)
            .map_err(|error| said(&error))
    }
}

fn template(uri: &TokenUri, class: ObjectClass) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class)];
    if let Some(label) = &uri.object {
        template.push(Attribute::Label(label.clone().into_bytes()));
    }
    if let Some(id) = &uri.id {
        template.push(Attribute::Id(id.clone()));
    }
    template
}

/// The library behind a path: a process may open and initialise each only once.
fn module(path: &Path) -> Result<Pkcs11, KeyError> {
    static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut modules = lock(&MODULES);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(|error| said(&error))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(said(&error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// What stands behind these locks is whole after every call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the token said, in few words: the library's own text explains the standard at length.
fn said(error: &Error) -> KeyError {
    KeyError::Token(match error {
        Error::Pkcs11(code, function) => format!("{function:?} answered {code:?}"),
        other => other.to_string(),
    })
}
