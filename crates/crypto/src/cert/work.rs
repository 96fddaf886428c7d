//! Proving and checking as plain data that can cross a border between processes: what is to be done, and what
//! came of it. Who runs it holds the keys and the trust.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::chain::{Chain, Policy, check_chain};
use super::credential::{Credential, Shown, choose};
use super::fault::{Fault, OwnFault, Refusal};
use super::identity::PeerIdentity;
use super::key::PublicKey;
use super::limits::MAX_CERTIFICATES;
use super::remembered::Good;
use super::revocation::{Evidence, Fetch, check_revocation, needed_fetches};
use super::signature::{self, Method};
use super::trust::TrustStore;
use crate::Hash;

/// Sign our half of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// The method that was negotiated.
    pub method: Method,
    /// `HASH_I` or `HASH_R`.
    pub hash: Vec<u8>,
    /// The CAs that the peer asks for, in DER.
    pub requests: Vec<Vec<u8>>,
}

/// Our signature, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The Signature payload's content.
    pub signature: Vec<u8>,
    /// The certificates to send, in order; none with a raw key.
    pub certificates: Vec<Vec<u8>>,
    /// Our certificate for the events.
    pub shown: Shown,
}

impl Sign {
    /// Chooses a credential and signs. `at`: now, in seconds since 1970.
    ///
    /// # Errors
    /// [`OwnFault`].
    pub fn run(
        &self,
        credentials: &[Credential],
        trust: &TrustStore,
        at: i64,
    ) -> Result<Signed, OwnFault> {
        let credential = choose(credentials, self.method, &self.requests, trust, at)?;
        Ok(Signed {
            signature: credential.sign(self.method, &self.hash)?,
            certificates: credential
                .to_send()
                .map(|certificate| certificate.der().to_vec())
                .collect(),
            shown: credential.shown(trust),
        })
    }
}

/// Check the peer's half of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPeer {
    /// The X.509 certificates that the peer sent, its own first.
    pub certificates: Vec<Vec<u8>>,
    /// The identity that the peer gave.
    pub identity: PeerIdentity,
    /// The method that was negotiated.
    pub method: Method,
    /// The hash that `HASH_I` and `HASH_R` were made with.
    #[serde(with = "hash_by_name")]
    pub made_with: Hash,
    /// The peer's `HASH_I` or `HASH_R`, as we compute it.
    pub hash: Vec<u8>,
    /// The content of the peer's Signature payload.
    pub signature: Vec<u8>,
    /// What is asked of the certificates.
    pub policy: Policy,
    /// Whether something may still be fetched. `false` once that was tried: then the policy decides.
    pub may_fetch: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checked {
    /// The peer is who it says.
    Accepted(Shown),
    /// It is not, or we do not take it.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The certificate, as far as it could be read.
        shown: Shown,
        /// Whether the signature fits the key in the certificate, and the certificate is as its CA made it: then
        /// it was the peer who sent this, and no true message can follow. The signature on the exchange does
        /// not cover the certificates: alone it tells nothing about them.
        proven: bool,
    },
    /// All is well but for revocation, of which too little is known: fetch these and ask again.
    NeedsFetch {
        /// Where to ask.
        fetches: Vec<Fetch>,
        /// The certificate.
        shown: Shown,
    },
}

impl CheckPeer {
    /// Checks the signature, the chain, the identity, and revocation, in this order. `at`: now, in seconds since
    /// 1970.
    pub fn run(&self, trust: &TrustStore, evidence: &[&Evidence], at: i64) -> Checked {
        let mut shown = Shown::default();
        let mut proven = false;
        match self.check(trust, evidence, at, &mut shown, &mut proven) {
            Ok(fetches) if fetches.is_empty() => Checked::Accepted(shown),
            Ok(fetches) => Checked::NeedsFetch { fetches, shown },
            Err(refusal) => Checked::Refused {
                proven: proven && comes_after_its_signature(&refusal),
                refusal,
                shown,
            },
        }
    }

    fn check(
        &self,
        trust: &TrustStore,
        evidence: &[&Evidence],
        at: i64,
        shown: &mut Shown,
        proven: &mut bool,
    ) -> Result<Vec<Fetch>, Refusal> {
        let known = trust
            .remembered
            .find(&self.certificates, self.policy, at, |chain| {
                trust.trusts(chain)
            });
        let good = match known {
            Some(good) => {
                *shown = good.shown.clone();
                self.check_signature(good.chain.leaf().key())?;
                *proven = true;
                good
            }
            None => match self.check_new(trust, at, shown, proven)? {
                Some(good) => good,
                None => return Ok(Vec::new()),
            },
        };
        self.identity.check(good.chain.leaf())?;
        self.revocation(&good.chain, evidence, at)
    }

    /// Signature and chain of a peer of whom nothing is remembered; `None`: a raw key, which is trusted as it is.
    fn check_new(
        &self,
        trust: &TrustStore,
        at: i64,
        shown: &mut Shown,
        proven: &mut bool,
    ) -> Result<Option<Arc<Good>>, Refusal> {
        let Some((leaf, others)) = self.read(trust)? else {
            self.check_raw(trust)?;
            *proven = true;
            return Ok(None);
        };
        *shown = Shown::of(&leaf, None);
        // A key that is there to be slow to compute with is not computed with.
        leaf.key().check_make(leaf.subject_words())?;
        let signature = self.check_signature(leaf.key());
        *proven = signature.is_ok();
        // A refused certificate is told before a wrong signature with it: it is the fault nearer to the root.
        let chain = check_chain(&leaf, &others, trust, at, self.policy)?;
        let good = Arc::new(Good::new(&self.certificates, self.policy, chain));
        *shown = good.shown.clone();
        signature?;
        // One that the peer did not send is known here already.
        if !self.certificates.is_empty() {
            trust.remembered.add(good.clone());
        }
        Ok(Some(good))
    }

    fn check_signature(&self, key: &PublicKey) -> Result<(), Refusal> {
        signature::check(
            key,
            self.method,
            self.made_with,
            &self.hash,
            &self.signature,
        )
    }

    fn revocation(
        &self,
        chain: &Chain,
        evidence: &[&Evidence],
        at: i64,
    ) -> Result<Vec<Fetch>, Refusal> {
        if self.may_fetch {
            let fetches = needed_fetches(chain, evidence, at, self.policy);
            if !fetches.is_empty() {
                // What is revoked already need not be asked about.
                let known = Policy {
                    revocation: super::chain::Revocation::Relaxed,
                    ..self.policy
                };
                return check_revocation(chain, evidence, at, known).map(|()| fetches);
            }
        }
        check_revocation(chain, evidence, at, self.policy).map(|()| Vec::new())
    }

    /// The peer's certificate and what else it sent; `None`: it sent nothing, and raw keys are known.
    fn read(&self, trust: &TrustStore) -> Result<Option<(Certificate, Vec<Certificate>)>, Refusal> {
        if self.certificates.len() > MAX_CERTIFICATES {
            return Err(Refusal::new(
                Fault::Malformed,
                format!(
                    "the peer sent {} certificates; {MAX_CERTIFICATES} are the most",
                    self.certificates.len()
                ),
            ));
        }
        if let Some((first, rest)) = self.certificates.split_first() {
            let leaf = Certificate::from_der(first)
                .map_err(|error| Refusal::new(Fault::Malformed, error))?;
            // One that cannot be read cannot be part of the chain.
            let others = rest
                .iter()
                .filter_map(|der| Certificate::from_der(der).ok())
                .collect();
            return Ok(Some((leaf, others)));
        }
        let known = trust
            .peers
            .iter()
            .find(|certificate| self.identity.is_in(certificate));
        match known {
            Some(certificate) => Ok(Some((certificate.clone(), Vec::new()))),
            None if !trust.raw_keys.is_empty() => Ok(None),
            None => Err(Refusal::new(
                Fault::Missing,
                format!(
                    "the peer sent no certificate, and none is known here for {}",
                    self.identity
                ),
            )),
        }
    }

    fn check_raw(&self, trust: &TrustStore) -> Result<(), Refusal> {
        let mut refused = None;
        for key in &trust.raw_keys {
            let checked = key
                .check(self.policy.min_rsa_bits, "the peer")
                .and_then(|()| self.check_signature(key));
            match checked {
                Ok(()) => return Ok(()),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(refused
            .unwrap_or_else(|| Refusal::new(Fault::Missing, "no key of the peer is known here")))
    }
}

/// Whether a fault is found only in a certificate whose own signature was found right.
fn comes_after_its_signature(refusal: &Refusal) -> bool {
    let found_later = matches!(
        refusal.fault,
        Fault::Expired
            | Fault::NotYetValid
            | Fault::NameMismatch
            | Fault::Revoked
            | Fault::RevocationUnknown
    );
    found_later && !refusal.before_leaf
}

mod hash_by_name {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::Hash;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hash.row().name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Hash, D::Error> {
        let name = String::deserialize(deserializer)?;
        Hash::from_name(&name)
            .ok_or_else(|| D::Error::custom(format!("no algorithm is named {name:?}")))
    }
}
