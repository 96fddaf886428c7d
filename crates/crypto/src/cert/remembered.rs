//! Chains that were found good: a peer that comes again is not judged from the beginning.
//!
//! What is remembered does not change: that these bytes are certificates, and who signed whom. What does change is
//! looked at each time: the time, whom we trust, and, by others, the peer's signature, its name, and revocation.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::certificate::Certificate;
use super::chain::{Chain, Policy};
use super::credential::Shown;
use super::limits::MAX_REMEMBERED;

/// Good chains, the one that was used last first. Clones share them.
#[derive(Clone, Default)]
pub struct Remembered(Arc<Mutex<VecDeque<Arc<Good>>>>);

/// A chain that was found good.
pub(super) struct Good {
    sent: Vec<Vec<u8>>,
    policy: Policy,
    pub(super) chain: Chain,
    /// Its leaf as events name it.
    pub(super) shown: Shown,
}

impl Good {
    /// The chain that was found from what a peer sent, under a policy.
    pub(super) fn new(sent: &[Vec<u8>], policy: Policy, chain: Chain) -> Self {
        Good {
            sent: sent.to_vec(),
            policy,
            shown: Shown::of(chain.leaf(), Some(chain.anchor())),
            chain,
        }
    }

    /// Each certificate of it. A moment is left out at either end, where OpenSSL may have other ideas.
    fn is_valid(&self, at: i64) -> bool {
        let valid = |one: &Certificate| one.not_before() < at && at < one.not_after();
        self.chain.certificates().iter().all(valid)
    }
}

impl Remembered {
    /// The chain of what a peer sent, where it is good still: `at`, in seconds since 1970, and `trusted`.
    pub(super) fn find(
        &self,
        sent: &[Vec<u8>],
        policy: Policy,
        at: i64,
        trusted: impl Fn(&Chain) -> bool,
    ) -> Option<Arc<Good>> {
        let mut all = self.all();
        let position = all
            .iter()
            .position(|good| good.sent == sent && good.policy == policy)?;
        let good = all.remove(position)?;
        if !good.is_valid(at) || !trusted(&good.chain) {
            return None;
        }
        all.push_front(good.clone());
        Some(good)
    }

    /// Takes one in. Only of a peer that has shown that it has the key: nobody else may fill the room.
    pub(super) fn add(&self, good: Arc<Good>) {
        let mut all = self.all();
        // Two workers may have found it at once.
        all.retain(|known| known.sent != good.sent || known.policy != good.policy);
        all.push_front(good);
        all.truncate(MAX_REMEMBERED);
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Good>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.all().len())
    }
}
