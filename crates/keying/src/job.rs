//! Work that is expensive or needs a secret: handed out by the endpoint, run elsewhere, given back.
//!
//! A job names a credential by its handle; only who runs it ([`Credentials`]) holds the key.

use std::sync::Arc;

use crypto::cert::{
    CheckPeer, Checked, Credential, Evidence, Fetch, OwnFault, Refusal, Shown, Sign, Signed,
    TrustStore,
};
use crypto::{CryptoError, Group, Hash, Secret};
use serde::{Deserialize, Serialize};

use crate::config::CredentialId;
use crate::plain;

/// The version of this vocabulary, for a border between processes.
pub const JOB_VERSION: u16 = 4;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    /// Make an ephemeral Diffie-Hellman key pair.
    MakeShare {
        /// In this group.
        #[serde(with = "plain::group")]
        group: Group,
    },
    /// Agree with the peer's public value and derive SKEYID and its children (RFC 2409 section 5).
    Derive(Box<Derive>),
    /// Sign our half of the exchange.
    Sign {
        /// With one of these keys.
        credential: CredentialId,
        /// What.
        sign: Sign,
    },
    /// Check the peer's half of the exchange: its signature and its certificates.
    CheckPeer {
        /// Against this trust.
        credential: CredentialId,
        /// What.
        check: Box<CheckPeer>,
    },
    /// Fetch the one user that a credential has, with the password: for XAUTH, as its client.
    FetchUser {
        /// The credential.
        credential: CredentialId,
    },
    /// Check a user of XAUTH, as its server.
    CheckUser {
        /// Against these users.
        credential: CredentialId,
        /// Who it is said to be.
        name: String,
        /// The password that came with it.
        #[serde(with = "plain::secret")]
        password: Secret,
    },
    /// Agree with the peer's public value, for perfect forward secrecy in Quick Mode (RFC 2409 section
    /// 5.5).
    Agree {
        /// The group.
        #[serde(with = "plain::group")]
        group: Group,
        /// Our key pair; `None`: make one first, and give back its public value.
        #[serde(with = "plain::share")]
        share: Option<(Vec<u8>, Secret)>,
        /// The peer's public value, as it came.
        peer_public: Vec<u8>,
    },
}

/// The inputs of a derivation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Derive {
    /// The group.
    #[serde(with = "plain::group")]
    pub group: Group,
    /// The hash that the prf is made of.
    #[serde(with = "plain::hash")]
    pub hash: Hash,
    /// Our key pair; `None`: make one first, and give back its public value.
    #[serde(with = "plain::share")]
    pub share: Option<(Vec<u8>, Secret)>,
    /// The peer's public value, as it came.
    pub peer_public: Vec<u8>,
    /// The pre-shared key; `None`: authentication by signatures, where SKEYID is made of the nonces and of what
    /// is agreed.
    pub psk: Option<CredentialId>,
    /// The initiator's nonce.
    pub ni: Vec<u8>,
    /// The responder's nonce.
    pub nr: Vec<u8>,
    /// The initiator's cookie.
    pub initiator_cookie: [u8; 8],
    /// The responder's cookie.
    pub responder_cookie: [u8; 8],
}

/// What came of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JobResult {
    /// A key pair.
    Share {
        /// Its public value.
        public: Vec<u8>,
        /// Its private exponent.
        #[serde(with = "plain::secret")]
        private: Secret,
    },
    /// Keys.
    Derived {
        /// Our public value.
        public: Vec<u8>,
        /// SKEYID.
        #[serde(with = "plain::secret")]
        skeyid: Secret,
        /// `SKEYID_d`.
        #[serde(with = "plain::secret")]
        d: Secret,
        /// `SKEYID_a`.
        #[serde(with = "plain::secret")]
        a: Secret,
        /// `SKEYID_e`.
        #[serde(with = "plain::secret")]
        e: Secret,
    },
    /// What [`Job::Agree`] found.
    Agreed {
        /// Our public value.
        public: Vec<u8>,
        /// The shared secret, `g(qm)^xy`.
        #[serde(with = "plain::secret")]
        gxy: Secret,
    },
    /// What [`Job::Sign`] made.
    Signed(Box<Signed>),
    /// We cannot sign.
    CannotSign(OwnFault),
    /// What [`Job::CheckPeer`] found: the peer is who it says.
    PeerAccepted(Shown),
    /// It is not, or we do not take it.
    PeerRefused {
        /// Why.
        refusal: Refusal,
        /// The certificate, as far as it could be read.
        shown: Shown,
        /// It was the peer who sent this: see [`Checked::Refused`].
        proven: bool,
    },
    /// All is well but for revocation. Not for the endpoint: who runs jobs fetches these, gives the job
    /// `may_fetch: false` and runs it again.
    NeedsFetch(Vec<Fetch>),
    /// What [`Job::FetchUser`] found.
    User {
        /// The name.
        name: String,
        /// The password.
        #[serde(with = "plain::secret")]
        password: Secret,
    },
    /// What [`Job::CheckUser`] found: there is such a user, with that password.
    UserAccepted,
    /// There is none.
    UserRefused,
    /// The peer's public value is not one.
    BadPublicValue(String),
    /// The credential is not there any more.
    NoCredential,
    /// Our own machinery failed.
    Failed(String),
}

/// Who holds the secrets.
pub trait Credentials {
    /// The pre-shared key behind a handle.
    fn preshared_key(&self, id: CredentialId) -> Option<&Secret>;

    /// The keys and the trust behind a handle.
    fn signatures(&self, id: CredentialId) -> Option<&SignatureCredentials>;

    /// The users of XAUTH behind a handle.
    fn users(&self, id: CredentialId) -> Option<&[User]>;

    /// What is known about revocation beyond that: what was fetched.
    fn fetched(&self) -> Arc<Evidence>;

    /// Now, in seconds since 1970: what certificates are valid at.
    fn at(&self) -> i64;
}

/// A user of XAUTH.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// The keys of one way to authenticate by signatures, and whom it trusts.
#[derive(Clone, Debug, Default)]
pub struct SignatureCredentials {
    /// Our keys, each with its certificate if it has one, in order of preference.
    pub own: Vec<Credential>,
    /// Whom we trust.
    pub trust: TrustStore,
    /// CRLs of the operator's.
    pub evidence: Evidence,
}

impl Job {
    /// Does the job.
    pub fn run(&self, credentials: &impl Credentials) -> JobResult {
        let done = match self {
            Job::MakeShare { group } => crypto::generate(*group).map(|share| JobResult::Share {
                public: share.public,
                private: share.private,
            }),
            Job::Derive(derive) => derive.run(credentials),
            Job::Sign { credential, sign } => Ok(match credentials.signatures(*credential) {
                Some(known) => sign
                    .run(&known.own, &known.trust, credentials.at())
                    .map_or_else(JobResult::CannotSign, |signed| {
                        JobResult::Signed(Box::new(signed))
                    }),
                None => JobResult::NoCredential,
            }),
            Job::CheckPeer { credential, check } => Ok(match credentials.signatures(*credential) {
                Some(known) => check_peer(check, known, credentials),
                None => JobResult::NoCredential,
            }),
            Job::FetchUser { credential } => Ok(
                match credentials.users(*credential).and_then(<[_]>::first) {
                    Some(user) => JobResult::User {
                        name: user.name.clone(),
                        password: user.password.clone(),
                    },
                    None => JobResult::NoCredential,
                },
            ),
            Job::CheckUser {
                credential,
                name,
                password,
            } => Ok(match credentials.users(*credential) {
                Some(users) => check_user(users, name, password),
                None => JobResult::NoCredential,
            }),
            Job::Agree {
                group,
                share,
                peer_public,
            } => agree(*group, share.as_ref(), peer_public)
                .map(|(public, gxy)| JobResult::Agreed { public, gxy }),
        };
        done.unwrap_or_else(|error| match error {
            CryptoError::BadPublicValue(why) => JobResult::BadPublicValue(why.to_string()),
            other => JobResult::Failed(other.to_string()),
        })
    }
}

fn check_peer(
    check: &CheckPeer,
    known: &SignatureCredentials,
    credentials: &impl Credentials,
) -> JobResult {
    let fetched = credentials.fetched();
    match check.run(&known.trust, &[&known.evidence, &fetched], credentials.at()) {
        Checked::Accepted(shown) => JobResult::PeerAccepted(shown),
        Checked::Refused {
            refusal,
            shown,
            proven,
        } => JobResult::PeerRefused {
            refusal,
            shown,
            proven,
        },
        Checked::NeedsFetch { fetches, .. } => JobResult::NeedsFetch(fetches),
    }
}

/// Each user takes the same time, whether it is the one or not.
fn check_user(users: &[User], name: &str, password: &Secret) -> JobResult {
    let found = users.iter().fold(false, |found, user| {
        let of_name = crypto::ct_eq(user.name.as_bytes(), name.as_bytes());
        let of_password = crypto::ct_eq(user.password.as_bytes(), password.as_bytes());
        found || (of_name && of_password)
    });
    if found {
        JobResult::UserAccepted
    } else {
        JobResult::UserRefused
    }
}

/// Our public value and the shared secret; the key pair is made where there is none.
fn agree(
    group: Group,
    share: Option<&(Vec<u8>, Secret)>,
    peer_public: &[u8],
) -> Result<(Vec<u8>, Secret), CryptoError> {
    match share {
        Some((public, private)) => {
            Ok((public.clone(), crypto::agree(group, private, peer_public)?))
        }
        None => crypto::generate_and_agree(group, peer_public),
    }
}

impl Derive {
    fn run(&self, credentials: &impl Credentials) -> Result<JobResult, CryptoError> {
        let psk = match self.psk.map(|id| credentials.preshared_key(id)) {
            Some(None) => return Ok(JobResult::NoCredential),
            Some(psk) => psk,
            None => None,
        };
        let (public, gxy) = agree(self.group, self.share.as_ref(), &self.peer_public)?;
        let skeyid = match psk {
            Some(psk) => crypto::skeyid_psk(self.hash, psk.as_bytes(), &self.ni, &self.nr)?,
            None => crypto::skeyid_signature(self.hash, &self.ni, &self.nr, &gxy)?,
        };
        let keys = crypto::keymat(
            self.hash,
            skeyid,
            &gxy,
            &self.initiator_cookie,
            &self.responder_cookie,
        )?;
        Ok(JobResult::Derived {
            public,
            skeyid: keys.skeyid,
            d: keys.d,
            a: keys.a,
            e: keys.e,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Secret);

    impl Credentials for One {
        fn preshared_key(&self, _: CredentialId) -> Option<&Secret> {
            Some(&self.0)
        }

        fn signatures(&self, _: CredentialId) -> Option<&SignatureCredentials> {
            None
        }

        fn users(&self, _: CredentialId) -> Option<&[User]> {
            None
        }

        fn fetched(&self) -> Arc<Evidence> {
            Arc::default()
        }

        fn at(&self) -> i64 {
            0
        }
    }

    fn across<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn jobs_and_results_cross_a_border_between_processes_whole() {
        let keys = One(Secret::new(b"secret".to_vec()));
        for group in [Group::X25519, Group::Ecp256] {
            let peer = crypto::generate(group).unwrap();
            let made = across(&across(&Job::MakeShare { group }).run(&keys));
            let JobResult::Share { public, private } = made else {
                panic!("{made:?}");
            };
            let derive = Job::Derive(Box::new(Derive {
                group,
                hash: Hash::Sha384,
                share: Some((public, private)),
                peer_public: peer.public,
                psk: Some(CredentialId(3)),
                ni: vec![1; 16],
                nr: vec![2; 16],
                initiator_cookie: [3; 8],
                responder_cookie: [4; 8],
            }));
            let (here, there) = (derive.run(&keys), across(&across(&derive).run(&keys)));
            let (JobResult::Derived { e: here, .. }, JobResult::Derived { e: there, .. }) =
                (&here, &there)
            else {
                panic!("{here:?} {there:?}");
            };
            assert_eq!(here.as_bytes(), there.as_bytes());
        }
    }

    #[test]
    fn two_that_agree_have_the_same_secret_across_a_border() {
        let keys = One(Secret::new(Vec::new()));
        let group = Group::Ecp256;
        let JobResult::Share { public, private } = Job::MakeShare { group }.run(&keys) else {
            panic!("a share");
        };
        let answer = across(&Job::Agree {
            group,
            share: None,
            peer_public: public.clone(),
        });
        let JobResult::Agreed { public: other, gxy } = across(&answer.run(&keys)) else {
            panic!("an agreement");
        };
        let ours = Job::Agree {
            group,
            share: Some((public, private)),
            peer_public: other,
        };
        let JobResult::Agreed { gxy: own, .. } = across(&ours).run(&keys) else {
            panic!("an agreement");
        };
        assert_eq!(own.as_bytes(), gxy.as_bytes());
        let bad = Job::Agree {
            group,
            share: None,
            peer_public: vec![0; 64],
        };
        assert!(matches!(bad.run(&keys), JobResult::BadPublicValue(_)));
    }

    #[test]
    fn an_unknown_algorithm_is_no_job() {
        let job = r#"{"MakeShare":{"group":"modp5"}}"#;
        assert!(serde_json::from_str::<Job>(job).is_err());
    }
}
