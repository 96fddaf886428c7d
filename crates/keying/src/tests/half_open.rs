//! More half-open negotiations than there may be, of peers whose addresses are their own: they got as far as message 3.

use std::net::SocketAddr;
use std::time::Duration;

use audit::Cause;
use isakmp::{ExchangeType, Payload};

use super::net::{A, B, Net, filtered, perfect};
use super::{address, connection, pair_with};
use crate::config::RemoteAddress;
use crate::ikev1::negotiation::NegotiationId;
use crate::ikev1::state::State;

/// Two hosts, of which B takes peers from everywhere; and a message 1 of A's, which does not arrive.
fn open_to_all(seed: u64) -> (Net, Vec<u8>) {
    let mut net = pair_with(seed, |host, c| {
        if host == B {
            *c = connection("any", address(2));
            c.remote_address = RemoteAddress::Any;
        }
    });
    net.path = filtered(|_| false);
    net.up(A);
    let first = net.hosts[A].sent[0].clone();
    (net, first)
}

/// One more of this address begins, with a cookie that none before it had.
fn begin(net: &mut Net, first: &[u8], source: u8) {
    let (_, b) = net.ends();
    let number = net.hosts[B].endpoint.counters().negotiations + 1;
    let mut message = first.to_vec();
    message[..8].copy_from_slice(&number.to_be_bytes());
    // Not a non-ESP marker.
    message[0] = 1;
    net.inject(B, SocketAddr::new(address(source), 500), b, &message);
}

/// The same, and goes on to message 3, which is answered.
fn go_on(net: &mut Net, first: &[u8], source: u8) {
    begin(net, first, source);
    let (_, b) = net.ends();
    let n = net.hosts[B].endpoint.negotiations.values().last().unwrap();
    let from = n.origin;
    assert_eq!(from.ip(), address(source));
    let header = n.header(ExchangeType::IDENTITY_PROTECTION, 0);
    let payloads = [
        Payload::KeyExchange(vec![9; 32]).to_raw(),
        Payload::Nonce(vec![2; 32]).to_raw(),
    ];
    let message = isakmp::build::message(header, &payloads);
    net.inject(B, from, b, &message);
}

/// What is half-open after message 3, by number, and where each came from.
fn far_ones(net: &Net) -> Vec<(NegotiationId, u8)> {
    let all = net.hosts[B].endpoint.negotiations.values();
    let far = all.filter(|n| matches!(n.state, State::KeAnswered { .. }));
    far.map(|n| match n.origin.ip() {
        std::net::IpAddr::V4(ip) => (n.id, ip.octets()[3]),
        std::net::IpAddr::V6(_) => unreachable!("all have IPv4"),
    })
    .collect()
}

fn count(net: &Net, source: u8) -> usize {
    net.hosts[B].endpoint.half_open.of(address(source))
}

/// So many of each of these addresses, all after message 3.
fn fill(net: &mut Net, first: &[u8], sources: std::ops::Range<u8>, each: usize) {
    for source in sources {
        for _ in 0..each {
            go_on(net, first, source);
        }
    }
    net.run(Duration::from_millis(2));
}

#[test]
fn a_peer_is_served_though_a_few_addresses_hold_all_that_may_be_half_open_after_message_3() {
    let (mut net, first) = open_to_all(50);
    fill(&mut net, &first, 10..20, 50);
    let before = far_ones(&net);
    assert_eq!(before.len(), 500);
    net.path = perfect();
    net.run(Duration::from_secs(5));
    net.hosts[A].established();
    net.hosts[B].established();
    // One verdict, of the oldest.
    assert_eq!(net.hosts[B].causes(4653), vec![Cause::TooManyHalfOpen]);
    let detail = net.hosts[B].of(4653)[0].extra.detail.clone();
    assert_eq!(detail.as_deref(), Some("it gave way to a newer one"));
    assert_eq!(far_ones(&net), before[1..]);
    net.finish();
}

#[test]
fn forged_first_messages_push_out_one_that_got_further_and_after_that_each_other() {
    let (mut net, first) = open_to_all(51);
    fill(&mut net, &first, 10..20, 50);
    for _ in 0..3 {
        for source in 100..=255 {
            begin(&mut net, &first, source);
        }
    }
    assert_eq!(far_ones(&net).len(), 499);
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 500);
    let mut causes = vec![Cause::TooManyHalfOpen];
    causes.resize(3 * 156, Cause::SilenceAfterMessage1);
    assert_eq!(net.hosts[B].causes(4653), causes);
    net.path = perfect();
    net.run(Duration::from_secs(5));
    net.hosts[A].established();
    net.finish();
}

#[test]
fn a_few_addresses_that_push_out_each_other_write_no_more_verdicts_than_the_rates_allow() {
    let (mut net, first) = open_to_all(54);
    let begun = 4_000;
    for source in (10..22).cycle().take(begun) {
        go_on(&mut net, &first, source);
        net.run(Duration::from_millis(1));
    }
    let written = net.hosts[B].of(4653).len();
    let counters = net.hosts[B].endpoint.counters();
    assert_eq!(counters.failed, begun as u64 - 500);
    // So many at once, and ten a second for these few seconds.
    assert!((1_000..1_100).contains(&written), "{written}");
    net.finish();
}

#[test]
fn an_address_takes_a_place_from_one_that_holds_more_and_from_no_other() {
    let (mut net, first) = open_to_all(52);
    fill(&mut net, &first, 10..30, 25);
    begin(&mut net, &first, 15);
    assert_eq!(net.hosts[B].causes(4653), vec![Cause::TooManyHalfOpen]);
    assert_eq!(count(&net, 15), 25);
    assert_eq!(far_ones(&net).len(), 500);
    go_on(&mut net, &first, 40);
    assert_eq!((count(&net, 10), count(&net, 40)), (24, 1));
    // Of those that hold the most, the one whose oldest is older.
    go_on(&mut net, &first, 10);
    assert_eq!((count(&net, 10), count(&net, 11)), (25, 24));
    go_on(&mut net, &first, 41);
    assert_eq!((count(&net, 10), count(&net, 12)), (24, 25));
    net.finish();
}

#[test]
fn whose_proof_holds_keeps_its_place() {
    let (mut net, first) = open_to_all(53);
    net.hosts[B].hold_tickets = true;
    net.path = perfect();
    net.run(Duration::from_secs(4));
    let proven = *net.hosts[B].endpoint.negotiations.keys().next().unwrap();
    fill(&mut net, &first, 1..2, 49);
    fill(&mut net, &first, 10..19, 50);
    assert_eq!(net.hosts[B].endpoint.half_open.total(), 500);
    let before = far_ones(&net);
    begin(&mut net, &first, 40);
    assert_eq!(far_ones(&net), before[1..]);
    assert_eq!(before[0].1, 1);
    assert!(net.hosts[B].endpoint.negotiations.contains_key(&proven));
    net.release_tickets(B);
    net.hosts[B].established();
    net.run(Duration::from_secs(5));
    net.hosts[A].established();
    net.finish();
}
