//! The child SAs that stand, and how they are found.

use std::collections::BTreeMap;

use super::live::Live;
use super::selectors::Pair;
use crate::index::Index;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// Boxed: the leaves of a map that grows at its end are half empty.
    all: BTreeMap<u64, Box<Live>>,
    by_pair: Index,
    by_outbound_spi: Index,
    /// By the Main Mode SA that they are under.
    under: Index,
}

impl Children {
    pub(crate) fn insert(&mut self, live: Live) {
        self.by_pair.insert(live.pair, live.id);
        self.by_outbound_spi.insert(live.outbound_spi, live.id);
        self.under.insert(live.mmsa_id, live.id);
        self.all.insert(live.id, Box::new(live));
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Box<Live>> {
        let live = self.all.remove(&id)?;
        self.by_pair.remove(live.pair, id);
        self.by_outbound_spi.remove(live.outbound_spi, id);
        self.under.remove(live.mmsa_id, id);
        Some(live)
    }

    /// One is under this Main Mode SA from now on.
    pub(crate) fn put_under(&mut self, id: u64, mmsa_id: u64) {
        if let Some(live) = self.all.get_mut(&id) {
            self.under.remove(live.mmsa_id, id);
            self.under.insert(mmsa_id, id);
            live.mmsa_id = mmsa_id;
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Live> {
        self.all.get(&id).map(|live| &**live)
    }

    /// To be changed, but for what it is found by.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Live> {
        self.all.get_mut(&id).map(|live| &mut **live)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, by their numbers.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Live> {
        self.all.values().map(|live| &**live)
    }

    /// Their numbers.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.all.keys().copied()
    }

    /// All, as [`Children::get_mut`] has it.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        self.all.values_mut().map(|live| &mut **live)
    }

    /// Those with these selectors, of whatever peer.
    pub(crate) fn of_pair(&self, pair: Pair) -> impl Iterator<Item = &Live> {
        let found = self.by_pair.of(pair).filter_map(|id| self.get(id));
        found.filter(move |live| live.pair == pair)
    }

    /// The others for the same traffic of the same peer that have no successor.
    pub(crate) fn others_like(&self, one: &Live) -> impl Iterator<Item = &Live> {
        self.of_pair(one.pair)
            .filter(|live| live.id != one.id && live.superseded.is_none() && live.same_traffic(one))
    }

    /// Those to which the peer gave this SPI, of whatever peer and protocol.
    pub(crate) fn of_outbound_spi(&self, spi: u32) -> impl Iterator<Item = &Live> {
        let found = self.by_outbound_spi.of(spi).filter_map(|id| self.get(id));
        found.filter(move |live| live.outbound_spi == spi)
    }

    /// Those under a Main Mode SA.
    pub(crate) fn under(&self, mmsa_id: u64) -> impl Iterator<Item = &Live> {
        let found = self.under.of(mmsa_id).filter_map(|id| self.get(id));
        found.filter(move |live| live.mmsa_id == mmsa_id)
    }

    /// The numbers of those under a Main Mode SA.
    pub(crate) fn ids_under(&self, mmsa_id: u64) -> Vec<u64> {
        self.under(mmsa_id).map(|live| live.id).collect()
    }

    /// How many entries there are, those by which they are found with them.
    pub(crate) fn entries(&self) -> usize {
        self.all.len() + self.by_pair.len() + self.by_outbound_spi.len() + self.under.len()
    }
}
