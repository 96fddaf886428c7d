//! Methods of authentication as phase 1 negotiates them (RFC 2409 section 5 and appendix A): the values of one
//! attribute, and what each has the two sides prove. With XAUTH the value tells which side is its client
//! (draft-beaulieu-ike-xauth-02 section 7.2, draft-ietf-ipsec-isakmp-hybrid-auth-05 section 3.2.1).

use audit::{AuthMethod, Role};
use crypto::cert::Method as SignatureMethod;
use isakmp::oakley;

use crate::config::{Auth, Connection, CredentialId};

/// What a side sends to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proves {
    /// `HASH_I` or `HASH_R`, whose key only a holder of the pre-shared key has.
    Psk,
    /// The same under keys that anybody can have: that it is the one who sent the other messages, no more.
    Hash,
    /// A signature over it.
    Signature(SignatureMethod),
}

/// A value of the attribute Authentication Method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub number: u16,
    pub initiator: Proves,
    pub responder: Proves,
    /// The side that names a user afterwards.
    pub xauth: Option<Role>,
}

impl Method {
    /// Both sides hold one key.
    pub(crate) fn psk(xauth: Option<Role>) -> Self {
        Method {
            number: match xauth {
                None => oakley::PRESHARED_KEY,
                Some(Role::Initiator) => oakley::XAUTH_INIT_PRESHARED,
                Some(Role::Responder) => oakley::XAUTH_RESP_PRESHARED,
            },
            initiator: Proves::Psk,
            responder: Proves::Psk,
            xauth,
        }
    }

    /// Each side signs. With XAUTH there is a number for RSA alone.
    pub(crate) fn signatures(method: SignatureMethod, xauth: Option<Role>) -> Option<Self> {
        let number = match (xauth, method) {
            (None, _) => method.number(),
            (Some(Role::Initiator), SignatureMethod::Rsa) => oakley::XAUTH_INIT_RSA,
            (Some(Role::Responder), SignatureMethod::Rsa) => oakley::XAUTH_RESP_RSA,
            _ => return None,
        };
        Some(Method {
            number,
            initiator: Proves::Signature(method),
            responder: Proves::Signature(method),
            xauth,
        })
    }

    /// The server of XAUTH signs.
    fn hybrid(method: SignatureMethod, client: Role) -> Option<Self> {
        if method != SignatureMethod::Rsa {
            return None;
        }
        let signs = Proves::Signature(method);
        let (number, initiator, responder) = match client {
            Role::Initiator => (oakley::HYBRID_INIT_RSA, Proves::Hash, signs),
            Role::Responder => (oakley::HYBRID_RESP_RSA, signs, Proves::Hash),
        };
        Some(Method {
            number,
            initiator,
            responder,
            xauth: Some(client),
        })
    }

    /// What a connection offers and accepts, the best first, where our role in phase 1 is `own`. `by_psk`: its
    /// pre-shared key may be used.
    pub(crate) fn all_of(connection: &Connection, own: Role, by_psk: bool) -> Vec<Method> {
        let client = connection.xauth_client(own);
        let mut methods = Vec::new();
        for auth in &connection.auth {
            match auth {
                Auth::Psk(_) if by_psk => methods.push(Method::psk(client)),
                Auth::Psk(_) => {}
                Auth::Signatures(signatures) => {
                    let all = signatures.methods.iter().copied();
                    methods.extend(all.filter_map(|method| match (signatures.hybrid, client) {
                        (false, _) => Method::signatures(method, client),
                        (true, Some(client)) => Method::hybrid(method, client),
                        (true, None) => None,
                    }));
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
                Proves::Psk | Proves::Hash => None,
            })
    }

    /// Whether the peer signs, where our role is `own`.
    pub(crate) fn is_signed_by_peer_of(self, own: Role) -> bool {
        let proves = match own {
            Role::Initiator => self.responder,
            Role::Responder => self.initiator,
        };
        matches!(proves, Proves::Signature(_))
    }

    /// Whether one side alone signs.
    pub(crate) fn is_hybrid(self) -> bool {
        [self.initiator, self.responder].contains(&Proves::Hash)
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
