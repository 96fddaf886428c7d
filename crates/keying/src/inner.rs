//! Addresses within the tunnel: at most one of each family, and the pools that they come from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::MAX_LEASES;

/// The addresses within the tunnel that a side was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inner {
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
}

impl Inner {
    pub(crate) fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4 = Some(address),
            IpAddr::V6(address) => self.v6 = Some(address),
        }
    }

    pub(crate) fn all(&self) -> Vec<IpAddr> {
        let v4 = self.v4.map(IpAddr::from);
        v4.into_iter().chain(self.v6.map(IpAddr::from)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

/// Addresses that are given to peers (Mode Config).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name. Connections that name one pool share its addresses.
    pub name: String,
    /// The first address.
    pub first: IpAddr,
    /// The last one; of the same family, and not before the first.
    pub last: IpAddr,
}

impl Pool {
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// The address so many after the first.
    fn at(&self, offset: u128) -> Option<IpAddr> {
        let address = match self.first {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).ok()?;
                Ipv4Addr::from_bits(first.to_bits().checked_add(offset)?).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().checked_add(offset)?).into(),
        };
        self.contains(address).then_some(address)
    }
}

/// Who has which address of which pool. Whoever comes again gets the address it had, as long as nobody else needed
/// it meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    pools: BTreeMap<String, Leased>,
    /// What each Main Mode SA has.
    by_sa: BTreeMap<u64, Vec<(String, IpAddr)>>,
}

#[derive(Clone, Debug, Default)]
struct Leased {
    leases: BTreeMap<IpAddr, Lease>,
    by_holder: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Those that no SA has now, the longest left first.
    idle: VecDeque<IpAddr>,
    /// Where to look for one that nobody had yet: so many after the first address, which is this one.
    next: u128,
    first: Option<IpAddr>,
}

#[derive(Clone, Debug)]
struct Lease {
    holder: String,
    sas: BTreeSet<u64>,
}

impl Leases {
    /// An address of a pool for a Main Mode SA. `shares`: an SA whose address this one takes over, since it is the
    /// same peer's. `wanted`: what the peer asks for. `None`: none is left.
    pub(crate) fn lease(
        &mut self,
        pool: &Pool,
        holder: &str,
        mmsa_id: u64,
        shares: impl Fn(u64) -> bool,
        wanted: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let leased = self.pools.entry(pool.name.clone()).or_default();
        let address = leased.choose(pool, holder, shares, wanted)?;
        leased.take(address, holder, mmsa_id);
        let of_sa = self.by_sa.entry(mmsa_id).or_default();
        let entry = (pool.name.clone(), address);
        if !of_sa.contains(&entry) {
            of_sa.push(entry);
        }
        Some(address)
    }

    /// A Main Mode SA has ended.
    pub(crate) fn release(&mut self, mmsa_id: u64) {
        for (pool, address) in self.by_sa.remove(&mmsa_id).unwrap_or_default() {
            let Some(leased) = self.pools.get_mut(&pool) else {
                continue;
            };
            if let Some(lease) = leased.leases.get_mut(&address) {
                lease.sas.remove(&mmsa_id);
                if lease.sas.is_empty() {
                    leased.idle.push_back(address);
                }
            }
        }
    }

    /// Whether pools still have all that a Main Mode SA has of them: each by its name.
    pub(crate) fn are_of(&self, mmsa_id: u64, pools: &[Pool]) -> bool {
        let all = self.by_sa.get(&mmsa_id).into_iter().flatten();
        all.into_iter().all(|(name, address)| {
            let mut pools = pools.iter();
            pools.any(|pool| pool.name == *name && pool.contains(*address))
        })
    }

    /// How many addresses are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        let of_pool =
            |leased: &Leased| leased.leases.values().filter(|l| !l.sas.is_empty()).count();
        self.pools.values().map(of_pool).sum()
    }
}

impl Leased {
    fn choose(
        &mut self,
        pool: &Pool,
        holder: &str,
        shares: impl Fn(u64) -> bool,
        wanted: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let own = self.by_holder.get(holder).into_iter().flatten().copied();
        let free_to_it = |address: &IpAddr| {
            let lease = self.leases.get(address);
            lease.is_some_and(|l| l.sas.is_empty() || l.sas.iter().copied().any(&shares))
        };
        let own: Vec<IpAddr> = own.filter(|a| pool.contains(*a) && free_to_it(a)).collect();
        let wanted = wanted.filter(|address| pool.contains(*address));
        if let Some(address) = wanted
            .filter(|wanted| own.contains(wanted))
            .or(own.first().copied())
        {
            return Some(address);
        }
        if let Some(address) = wanted.filter(|address| !self.leases.contains_key(address)) {
            return Some(address);
        }
        if self.first.replace(pool.first) != Some(pool.first) {
            self.next = 0;
        }
        // Each step passes one that is leased.
        while self.leases.len() < MAX_LEASES
            && let Some(address) = pool.at(self.next)
        {
            self.next += 1;
            if !self.leases.contains_key(&address) {
                return Some(address);
            }
        }
        let oldest = self
            .idle
            .iter()
            .position(|address| pool.contains(*address))?;
        self.idle.remove(oldest)
    }

    fn take(&mut self, address: IpAddr, holder: &str, mmsa_id: u64) {
        self.idle.retain(|idle| *idle != address);
        let lease = self.leases.entry(address).or_insert_with(|| Lease {
            holder: holder.to_owned(),
            sas: BTreeSet::new(),
        });
        if lease.holder != holder {
            if let Some(others) = self.by_holder.get_mut(&lease.holder) {
                others.remove(&address);
                if others.is_empty() {
                    self.by_holder.remove(&lease.holder);
                }
            }
            holder.clone_into(&mut lease.holder);
        }
        lease.sas.insert(mmsa_id);
        self.by_holder
            .entry(holder.to_owned())
            .or_default()
            .insert(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(first: &str, last: &str) -> Pool {
        Pool {
            name: "clients".to_owned(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
        }
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const NOBODY: fn(u64) -> bool = |_| false;

    #[test]
    fn who_comes_again_gets_the_same_address() {
        let pool = pool("10.3.0.1", "10.3.0.9");
        let mut leases = Leases::default();
        assert_eq!(
            leases.lease(&pool, "carol", 1, NOBODY, None),
            Some(at("10.3.0.1"))
        );
        assert_eq!(
            leases.lease(&pool, "dave", 2, NOBODY, None),
            Some(at("10.3.0.2"))
        );
        leases.release(1);
        assert_eq!(
            leases.lease(&pool, "erin", 3, NOBODY, None),
            Some(at("10.3.0.3"))
        );
        assert_eq!(
            leases.lease(&pool, "carol", 4, NOBODY, None),
            Some(at("10.3.0.1"))
        );
        assert_eq!(leases.in_use(), 3);
    }

    #[test]
    fn one_that_has_an_address_elsewhere_gets_another_and_its_successor_the_same() {
        let pool = pool("10.3.0.1", "10.3.0.9");
        let mut leases = Leases::default();
        assert_eq!(
            leases.lease(&pool, "carol", 1, NOBODY, None),
            Some(at("10.3.0.1"))
        );
        assert_eq!(
            leases.lease(&pool, "carol", 2, NOBODY, None),
            Some(at("10.3.0.2"))
        );
        assert_eq!(
            leases.lease(&pool, "carol", 3, |id| id == 1, None),
            Some(at("10.3.0.1"))
        );
        leases.release(1);
        // The successor still has it.
        assert_eq!(
            leases.lease(&pool, "carol", 4, NOBODY, None),
            Some(at("10.3.0.3"))
        );
    }

    #[test]
    fn a_full_pool_gives_what_was_left_longest_and_then_nothing() {
        let pool = pool("10.3.0.1", "10.3.0.2");
        let mut leases = Leases::default();
        for (id, holder) in [(1, "a"), (2, "b")] {
            assert!(leases.lease(&pool, holder, id, NOBODY, None).is_some());
        }
        assert_eq!(leases.lease(&pool, "c", 3, NOBODY, None), None);
        leases.release(2);
        leases.release(1);
        assert_eq!(
            leases.lease(&pool, "c", 4, NOBODY, None),
            Some(at("10.3.0.2"))
        );
        assert_eq!(
            leases.lease(&pool, "b", 5, NOBODY, None),
            Some(at("10.3.0.1"))
        );
        assert_eq!(leases.lease(&pool, "a", 6, NOBODY, None), None);
    }

    #[test]
    fn what_is_asked_for_is_given_where_it_is_free() {
        let pool = pool("10.3.0.1", "10.3.0.9");
        let mut leases = Leases::default();
        assert_eq!(
            leases.lease(&pool, "a", 1, NOBODY, Some(at("10.3.0.7"))),
            Some(at("10.3.0.7"))
        );
        assert_eq!(
            leases.lease(&pool, "b", 2, NOBODY, Some(at("10.3.0.7"))),
            Some(at("10.3.0.1"))
        );
        assert_eq!(
            leases.lease(&pool, "c", 3, NOBODY, Some(at("10.9.0.1"))),
            Some(at("10.3.0.2"))
        );
        assert_eq!(
            leases.lease(&pool, "d", 4, NOBODY, Some(at("2001:db8::1"))),
            Some(at("10.3.0.3"))
        );
    }

    #[test]
    fn a_pool_of_the_other_family_counts_from_its_first() {
        let pool = pool("fec3::fffe", "fec3::1:0");
        let mut leases = Leases::default();
        for (id, address) in [(1, "fec3::fffe"), (2, "fec3::ffff"), (3, "fec3::1:0")] {
            let holder = id.to_string();
            assert_eq!(
                leases.lease(&pool, &holder, id, NOBODY, None),
                Some(at(address))
            );
        }
        assert_eq!(leases.lease(&pool, "4", 4, NOBODY, None), None);
    }
}
