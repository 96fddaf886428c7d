//! Which of our addresses packets to a remote side have that name none: several may want the same route, each with an
//! address of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ways::Owner;

/// Who wants which source address of each route, in the order in which they came.
pub(super) struct Sources<K>(BTreeMap<K, Vec<(Owner, Option<IpAddr>)>>);

impl<K> Default for Sources<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Sources<K> {
    /// An owner wants this one. The newest IPsec SA counts: a trap knows no address that is still to be given to us.
    pub(super) fn want(&mut self, key: K, owner: &Owner, source: Option<IpAddr>) {
        let all = self.0.entry(key).or_default();
        all.retain(|(other, _)| other != owner);
        all.push((owner.clone(), source));
    }

    /// What a route has.
    pub(super) fn of(&self, key: &K) -> Option<IpAddr> {
        let all = self.0.get(key)?;
        let is_child = |(owner, _): &&(Owner, _)| matches!(owner, Owner::Child(_));
        let (_, source) = all.iter().rev().find(is_child).or_else(|| all.last())?;
        *source
    }

    /// An owner wants none of them any more; gives those that have another now.
    pub(super) fn release(&mut self, keys: &[K], owner: &Owner) -> Vec<K> {
        let mut changed = keys.to_vec();
        changed.retain(|key| self.give_up(key, owner));
        changed
    }

    /// An owner wants none of one route any more; `true`: that has another now.
    pub(super) fn give_up(&mut self, key: &K, owner: &Owner) -> bool {
        let before = self.of(key);
        if let Some(all) = self.0.get_mut(key) {
            all.retain(|(other, _)| other != owner);
            if all.is_empty() {
                self.0.remove(key);
            }
        }
        self.of(key) != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sa_gives_the_source_and_a_trap_where_there_is_no_sa() {
        let trap = Owner::Trap("net".into());
        let address = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        let mut sources = Sources::default();
        sources.want(1, &trap, address(1));
        sources.want(2, &trap, address(1));
        assert_eq!(sources.of(&1), address(1));
        sources.want(1, &Owner::Child(7), address(2));
        sources.want(1, &trap, address(3));
        assert_eq!((sources.of(&1), sources.of(&2)), (address(2), address(1)));
        sources.want(1, &Owner::Child(8), address(4));
        assert!(sources.release(&[1], &Owner::Child(7)).is_empty());
        assert_eq!(sources.of(&1), address(4));
        assert_eq!(sources.release(&[1], &Owner::Child(8)), [1]);
        assert_eq!(sources.of(&1), address(3));
        assert_eq!(sources.release(&[1, 2], &trap), [1, 2]);
        assert_eq!(sources.of(&1), None);
        assert!(sources.0.is_empty());
    }
}
