//! What is in the kernel for the sake of several, and goes with the last of them.

use std::collections::{BTreeMap, BTreeSet};

/// Things in the kernel, and for whom they are there. Neither one more nor one less looks at all the others: a
/// gateway has thousands.
pub(crate) struct Held<K, O> {
    owners: BTreeMap<K, BTreeSet<O>>,
    of: BTreeMap<O, BTreeSet<K>>,
}

impl<K, O> Default for Held<K, O> {
    fn default() -> Self {
        Self {
            owners: BTreeMap::new(),
            of: BTreeMap::new(),
        }
    }
}

impl<K: Copy + Ord, O: Clone + Ord> Held<K, O> {
    /// What is there, sorted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.owners.keys()
    }

    /// What is there from this one on, sorted.
    pub(crate) fn keys_from(&self, key: K) -> impl Iterator<Item = &K> {
        self.owners.range(key..).map(|(key, _)| key)
    }

    /// Whether it is there.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.owners.contains_key(key)
    }

    /// It is there for this owner, too, from now on; `false`: it is not there.
    pub(crate) fn share(&mut self, key: K, owner: &O) -> bool {
        let Some(owners) = self.owners.get_mut(&key) else {
            return false;
        };
        owners.insert(owner.clone());
        self.of.entry(owner.clone()).or_default().insert(key);
        true
    }

    /// It has come to be there.
    pub(crate) fn insert(&mut self, key: K, owner: &O) {
        self.owners.entry(key).or_default();
        self.share(key, owner);
    }

    /// What an owner has, sorted.
    pub(crate) fn of(&self, owner: &O) -> Vec<K> {
        self.of.get(owner).into_iter().flatten().copied().collect()
    }

    /// An owner needs nothing any more: what has nobody left, sorted, which is no longer held.
    pub(crate) fn release(&mut self, owner: &O) -> Vec<K> {
        let mut gone = self.of(owner);
        gone.retain(|key| self.give_up(*key, owner));
        gone
    }

    /// An owner needs one of them no more; `true`: nobody does, and it is no longer held.
    pub(crate) fn give_up(&mut self, key: K, owner: &O) -> bool {
        if let Some(keys) = self.of.get_mut(owner) {
            keys.remove(&key);
            if keys.is_empty() {
                self.of.remove(owner);
            }
        }
        let Some(owners) = self.owners.get_mut(&key) else {
            return false;
        };
        let last = owners.remove(owner) && owners.is_empty();
        if last {
            self.owners.remove(&key);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_goes_with_the_last_of_its_owners() {
        let mut held = Held::default();
        assert!(!held.share(1, &'a'));
        held.insert(1, &'a');
        held.insert(2, &'a');
        assert!(held.share(1, &'b') && held.share(1, &'b'));
        assert_eq!(held.keys_from(2).collect::<Vec<_>>(), [&2]);
        assert_eq!(held.release(&'a'), [2]);
        assert!(held.has(&1) && !held.has(&2));
        assert!(held.release(&'a').is_empty());
        held.insert(3, &'b');
        assert_eq!(held.of(&'b'), [1, 3]);
        assert!(!held.give_up(3, &'a') && held.give_up(3, &'b') && !held.has(&3));
        assert_eq!(held.release(&'b'), [1]);
        assert!(held.owners.is_empty() && held.of.is_empty());
    }
}
