//! Finds what has something in common among thousands, without a look at each of them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Numbers of entries of a table, by the hash of what they are looked for by. Sixteen bytes for each: the key itself is
/// in the table, where it is compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    ids: BTreeSet<(u64, u64)>,
    /// Its own, so that nobody can choose keys that fall together.
    hasher: RandomState,
}

impl Index {
    pub(crate) fn insert(&mut self, key: impl Hash, id: u64) {
        self.ids.insert((self.hasher.hash_one(key), id));
    }

    pub(crate) fn remove(&mut self, key: impl Hash, id: u64) {
        self.ids.remove(&(self.hasher.hash_one(key), id));
    }

    /// What may have this key: all that have it and, once in a very long while, another. Sorted by number.
    pub(crate) fn of(&self, key: impl Hash) -> impl Iterator<Item = u64> {
        let hash = self.hasher.hash_one(key);
        self.ids
            .range((hash, 0)..=(hash, u64::MAX))
            .map(|(_, id)| *id)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
