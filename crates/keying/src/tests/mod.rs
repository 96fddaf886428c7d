//! Two endpoints and a network between them: what the crate promises, tried.

mod aggressive;
mod broken_payloads;
mod certificates;
mod connections;
mod failures;
mod half_open;
mod handshake;
mod host;
mod hostile;
mod ipcomp;
mod ledger;
mod mode_config;
mod net;
mod quick;
mod quick_again;
mod quick_failures;
mod quick_rekey;
mod room;
mod rules;
mod sim;
mod under_sa;
mod unity;
mod xauth;

use std::net::IpAddr;

use crate::endpoint::{Endpoint, Party};
use crate::half_open::HalfOpen;
use crate::ikev1::quick::QuickState;
use host::{Host, connection};
use net::Net;

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Two hosts that know each other by address.
fn pair(seed: u64) -> Net {
    pair_with(seed, |_, _| {})
}

/// Two hosts whose connections are changed first: `change(host, connection)`.
fn pair_with(seed: u64, mut change: impl FnMut(usize, &mut crate::Connection)) -> Net {
    let mut a = connection("to-b", address(2));
    let mut b = connection("to-a", address(1));
    change(net::A, &mut a);
    change(net::B, &mut b);
    Net::new(
        seed,
        [
            Host::new(2 * seed, address(1), vec![a]),
            Host::new(2 * seed + 1, address(2), vec![b]),
        ],
    )
}

impl Endpoint {
    fn knows(&self, party: Party) -> bool {
        match party {
            Party::Negotiation(id) => self.negotiations.contains_key(&id),
            Party::Sa(id) => self.sas.contains_key(&id),
            Party::Quick(id) => self.quick.contains_key(&id),
            Party::Child(id) => self.children.get(id).is_some(),
        }
    }

    /// Every index leads to what it names, and what is named is found by its indices.
    fn check_tables(&self) {
        for (cookies, party) in &self.by_cookies {
            let found = match party {
                Party::Negotiation(id) => self
                    .negotiations
                    .get(id)
                    .map(super::ikev1::negotiation::Negotiation::cookies),
                Party::Sa(id) => self.sas.get(id).map(|sa| sa.cookies()),
                Party::Quick(_) | Party::Child(_) => None,
            };
            assert_eq!(found, Some(*cookies), "by_cookies");
        }
        for (cookie, id) in &self.by_own_cookie {
            let found = match id {
                Party::Negotiation(id) => self.negotiations.get(id).map(|n| n.initiator_cookie),
                Party::Sa(id) => self.sas.get(id).map(|sa| sa.initiator_cookie),
                Party::Quick(_) | Party::Child(_) => None,
            };
            assert_eq!(found, Some(*cookie), "by_own_cookie");
        }
        let mut half_open = HalfOpen::default();
        for ((remote, cookie), party) in &self.by_origin {
            let found = match party {
                Party::Negotiation(id) => self.negotiations.get(id).map(|n| {
                    half_open.enter(n);
                    half_open.moved(n);
                    (n.origin, n.initiator_cookie)
                }),
                Party::Sa(id) => self.sas.get(id).map(|sa| (sa.origin, sa.initiator_cookie)),
                Party::Quick(_) | Party::Child(_) => None,
            };
            assert_eq!(found, Some((*remote, *cookie)), "by_origin");
        }
        assert_eq!(self.half_open, half_open, "half_open");
        for party in self.core.jobs.values() {
            assert!(self.knows(*party), "a job for nobody");
        }
        assert_eq!(self.timers.len(), self.wakes.len());
        for (at, party) in &self.timers {
            assert_eq!(self.wakes.get(party), Some(at), "timers");
            assert!(self.knows(*party), "a timer of nobody");
        }
        assert_eq!(self.quick.len(), self.quick_by_message.len());
        for (key, id) in &self.quick_by_message {
            let quick = self.quick.get(id).expect("quick_by_message");
            assert_eq!((quick.mmsa_id, quick.message_id), *key);
            let writing = matches!(quick.state, QuickState::Establishing(_));
            assert!(
                writing || self.sas.contains_key(&quick.mmsa_id),
                "without an SA"
            );
        }
        let mut spis: Vec<u32> = self
            .children
            .values()
            .map(|live| live.inbound_spi)
            .collect();
        spis.extend(self.quick.values().filter_map(|quick| quick.own_spi));
        spis.sort_unstable();
        assert!(spis.iter().eq(self.spis.iter()), "spis");
        for live in self.children.values() {
            assert!(
                self.sas.contains_key(&live.mmsa_id),
                "a child without an SA"
            );
        }
        for sa in self.sas.values() {
            assert_eq!(
                self.by_cookies.get(&sa.cookies()),
                Some(&Party::Sa(sa.mmsa_id))
            );
        }
    }
}
