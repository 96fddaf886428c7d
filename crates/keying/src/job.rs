//! Work that is expensive or needs a secret: handed out by the endpoint, run elsewhere, given back.
//!
//! A job names a credential by its handle; only who runs it ([`Credentials`]) holds the key.

use crypto::{CryptoError, Group, Hash, Secret};

use crate::config::CredentialId;

/// The version of this vocabulary, for a border between processes.
pub const JOB_VERSION: u16 = 1;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Job {
    /// Make an ephemeral Diffie-Hellman key pair.
    MakeShare {
        /// In this group.
        group: Group,
    },
    /// Agree with the peer's public value and derive SKEYID and its children from a pre-shared key
    /// (RFC 2409 section 5).
    Derive(Box<Derive>),
}

/// The inputs of a derivation.
#[derive(Clone, Debug)]
pub struct Derive {
    /// The group.
    pub group: Group,
    /// The hash that the prf is made of.
    pub hash: Hash,
    /// Our key pair; `None`: make one first, and give back its public value.
    pub share: Option<(Vec<u8>, Secret)>,
    /// The peer's public value, as it came.
    pub peer_public: Vec<u8>,
    /// The pre-shared key.
    pub credential: CredentialId,
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
#[derive(Clone, Debug)]
pub enum JobResult {
    /// A key pair.
    Share {
        /// Its public value.
        public: Vec<u8>,
        /// Its private exponent.
        private: Secret,
    },
    /// Keys.
    Derived {
        /// Our public value.
        public: Vec<u8>,
        /// SKEYID.
        skeyid: Secret,
        /// `SKEYID_d`.
        d: Secret,
        /// `SKEYID_a`.
        a: Secret,
        /// `SKEYID_e`.
        e: Secret,
    },
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
        };
        done.unwrap_or_else(|error| match error {
            CryptoError::BadPublicValue(why) => JobResult::BadPublicValue(why.to_string()),
            other => JobResult::Failed(other.to_string()),
        })
    }
}

impl Derive {
    fn run(&self, credentials: &impl Credentials) -> Result<JobResult, CryptoError> {
        let Some(psk) = credentials.preshared_key(self.credential) else {
            return Ok(JobResult::NoCredential);
        };
        let (public, gxy) = match &self.share {
            Some((public, private)) => (
                public.clone(),
                crypto::agree(self.group, private, &self.peer_public)?,
            ),
            None => crypto::generate_and_agree(self.group, &self.peer_public)?,
        };
        let skeyid = crypto::skeyid_psk(self.hash, psk.as_bytes(), &self.ni, &self.nr)?;
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
