//! Methods of authentication as phase 1 negotiates them (RFC 2409 section 5 and appendix A): the values of one
//! attribute, and what each has the two sides prove.

use audit::AuthMethod;
use crypto::cert::Method as SignatureMethod;
use isakmp::oakley;

use crate::config::{Auth, Connection, CredentialId};

/// What a side sends to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proves {
    /// `HASH_I` or `HASH_R`, whose key only a holder of the pre-shared key has.
    Psk,
    /// A signature over it.
    Signature(SignatureMethod),
}

/// A value of the attribute Authentication Method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub number: u16,
    pub initiator: Proves,
    pub responder: Proves,
}

impl Method {
    /// Both sides hold one key.
    pub(crate) const PSK: Method = Method {
        number: oakley::PRESHARED_KEY,
        initiator: Proves::Psk,
        responder: Proves::Psk,
    };

    /// Each side signs.
    pub(crate) fn signatures(method: SignatureMethod) -> Self {
        Method {
            number: method.number(),
            initiator: Proves::Signature(method),
            responder: Proves::Signature(method),
        }
    }

    /// What a connection offers and accepts, the best first. `by_psk`: its pre-shared key may be used.
    pub(crate) fn all_of(connection: &Connection, by_psk: bool) -> Vec<Method> {
        let mut methods = Vec::new();
        for auth in &connection.auth {
            match auth {
                Auth::Psk(_) if by_psk => methods.push(Method::PSK),
                Auth::Psk(_) => {}
                Auth::Signatures(signatures) => {
                    methods.extend(signatures.methods.iter().copied().map(Method::signatures));
                }
            }
        }
        methods
    }

    /// The method by which either side signs, if one does.
    pub(crate) fn signature(self) -> Option<SignatureMethod> {
        [self.initiator, self.responder]
            .into_iter()
            .find_map(|proves| match proves {
                Proves::Signature(method) => Some(method),
                Proves::Psk => None,
            })
    }

    /// The credential of a connection that this method needs.
    pub(crate) fn credential(self, connection: &Connection) -> Option<CredentialId> {
        match self.signature() {
            Some(method) => Some(connection.signatures(method)?.credential),
            None => connection.psk(),
        }
    }

    /// As events name it. What Windows has no word for is a certificate in its terms.
    pub(crate) fn audited(self) -> AuthMethod {
        match self.signature() {
            None => AuthMethod::PresharedKey,
            Some(SignatureMethod::Rsa | SignatureMethod::Ecdsa521) => AuthMethod::Certificate,
            Some(SignatureMethod::Ecdsa256) => AuthMethod::CertificateEcdsaP256,
            Some(SignatureMethod::Ecdsa384) => AuthMethod::CertificateEcdsaP384,
        }
    }
}
