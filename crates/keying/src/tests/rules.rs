//! The rules of an exchange that goes on: evidence, duplicates, reflections, fragments, NATs.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use audit::Cause;
use isakmp::{Cookie, ExchangeType, NotifyType, non_esp};

use super::net::{A, B, Net, Packet, below, filtered};
use super::sim::translate;
use super::{address, pair, pair_with};
use crate::config::{Fragmentation, RemoteAddress};
use crate::ikev1::messages;
use crate::ikev1::negotiation::header;
use crate::io::{Command, VerdictOutcome};

const MS: Duration = Duration::from_millis(1);

/// A path that keeps a copy of all that is sent.
fn recorded(net: &mut Net) -> Rc<RefCell<Vec<Packet>>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let copy = log.clone();
    net.path = filtered(move |packet| {
        copy.borrow_mut().push(packet.clone());
        true
    });
    log
}

fn cookies(net: &Net, host: usize) -> (Cookie, Cookie) {
    let n = net.hosts[host].endpoint.negotiations.values().next();
    n.expect("a negotiation").cookies()
}

/// A delete in clear.
fn clear_delete(cookies: (Cookie, Cookie)) -> Vec<u8> {
    let payload = crate::ikev1::informational::delete(cookies);
    isakmp::build::message(header(cookies, ExchangeType::INFORMATIONAL, 5), &[payload])
}

#[test]
fn a_forged_notify_or_delete_in_clear_ends_nothing_when_the_true_message_follows() {
    // After each message of the exchange, to either side.
    for stop in 1..=5 {
        for forged in 0..3 {
            let mut net = pair(40);
            let mut count = 0;
            let held = Rc::new(RefCell::new(None));
            let keep = held.clone();
            net.path = filtered(move |packet| {
                count += 1;
                if count == stop {
                    *keep.borrow_mut() = Some(packet.clone());
                }
                count < stop || keep.borrow().is_none()
            });
            net.up(A);
            net.run(100 * MS);
            let packet: Packet = held.borrow().clone().expect("the message");
            let to = 1 - packet.sender;
            if net.hosts[to].endpoint.negotiations.is_empty() {
                continue;
            }
            let cookies = cookies(&net, to);
            let notify = [
                NotifyType::NO_PROPOSAL_CHOSEN,
                NotifyType::AUTHENTICATION_FAILED,
            ];
            let message = match notify.get(forged) {
                Some(kind) => messages::refusal(cookies, 9, *kind),
                None => clear_delete(cookies),
            };
            net.inject(to, packet.from, packet.to, &message);
            assert_eq!(net.hosts[to].endpoint.negotiations.len(), 1);
            net.path = super::net::perfect();
            net.inject(to, packet.from, packet.to, &packet.bytes);
            net.run(Duration::from_secs(10));
            for host in &net.hosts {
                assert_eq!(host.of(4650).len(), 1, "after message {stop}");
                assert!(host.of(4653).is_empty());
            }
            assert_eq!(net.hosts[to].causes(4976), vec![Cause::PacketTampered]);
            net.finish();
        }
    }
}

#[test]
fn a_forged_notify_is_the_verdict_when_nothing_follows() {
    let mut net = pair(41);
    let (a, b) = net.ends();
    let mut count = 0;
    net.path = filtered(move |_| {
        count += 1;
        count <= 3
    });
    net.up(A);
    net.run(100 * MS);
    let began = net.now;
    let notify = messages::refusal(cookies(&net, A), 9, NotifyType::INVALID_KEY_INFORMATION);
    net.inject(A, b, a, &notify);
    net.run_until(|net| !net.hosts[A].of(4653).is_empty());
    assert_eq!(net.now - began, Duration::from_secs(5));
    net.finish();
}

#[test]
fn a_message_that_comes_again_gets_the_same_bytes_and_is_never_worked_on_twice() {
    let mut net = pair(42);
    let log = recorded(&mut net);
    net.establish();
    net.run(Duration::from_secs(1));
    let (a, b) = net.ends();
    let sent: Vec<Packet> = log.borrow().clone();
    let to_b: Vec<&Packet> = sent.iter().filter(|p| p.sender == A).collect();
    let to_a: Vec<&Packet> = sent.iter().filter(|p| p.sender == B).collect();
    let (events, answers) = (net.hosts[B].events.len(), net.hosts[B].sent.len());
    // The last one is answered with what answered it, 20 times; the others are not.
    for _ in 0..30 {
        for packet in &to_b {
            net.inject(B, a, b, &packet.bytes);
        }
    }
    let again = &net.hosts[B].sent[answers..];
    assert_eq!(again.len(), 20);
    assert!(again.iter().all(|bytes| *bytes == to_a[2].bytes));
    // An initiator answers none: it would play ping-pong.
    let quiet = net.hosts[A].sent.len();
    for packet in &to_a {
        net.inject(A, b, a, &packet.bytes);
    }
    assert_eq!(net.hosts[A].sent.len(), quiet);
    assert_eq!(net.hosts[B].events.len(), events);
    assert_eq!(net.hosts[B].endpoint.counters().negotiations, 1);
    // Later it is a replay.
    net.run(Duration::from_secs(61));
    net.inject(B, a, b, &to_b[2].bytes);
    assert_eq!(net.hosts[B].causes(4976), vec![Cause::PacketReplayed]);
    net.finish();
}

#[test]
fn every_loss_of_one_message_is_healed_by_the_same_bytes() {
    for lost in 1..=6 {
        let mut net = pair(43);
        let mut count = 0;
        net.path = filtered(move |_| {
            count += 1;
            count != lost
        });
        net.establish();
        net.run(Duration::from_secs(20));
        for host in &net.hosts {
            assert_eq!(host.of(4650).len(), 1, "message {lost} lost");
            assert_eq!(host.events.len(), 1);
            let mut distinct = host.sent.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), 3);
        }
        net.finish();
    }
}

#[test]
fn our_own_messages_that_come_back_are_known_for_what_they_are() {
    let mut net = pair(44);
    net.path = filtered(|packet| {
        // Each message goes to its sender as well.
        packet.sender != 9
    });
    let log = recorded(&mut net);
    net.up(A);
    let mut seen = 0;
    for _ in 0..200 {
        net.run(MS);
        let sent: Vec<Packet> = log.borrow()[seen..].to_vec();
        seen += sent.len();
        for packet in sent {
            net.inject(packet.sender, packet.to, packet.from, &packet.bytes);
        }
    }
    for host in &net.hosts {
        assert_eq!(host.of(4650).len(), 1);
        assert!(host.of(4653).is_empty());
        assert_eq!(host.endpoint.counters().negotiations, 1);
    }
    net.finish();
}

#[test]
fn with_fragments_forced_every_order_and_loss_still_establishes() {
    for fault in 0..8 {
        let mut net = pair_with(45 + u64::from(fault), |_, c| {
            c.fragmentation = Fragmentation::Force;
            c.fragment_size = 120;
            c.retransmit.tries = 12;
            c.half_open_timeout = Duration::from_mins(10);
        });
        let mut count = 0;
        net.path = Box::new(move |rng, packet| {
            count += 1;
            assert!(packet.bytes.len() <= 120);
            match fault {
                0 => vec![(5 * MS, packet)],
                1..=5 if below(rng, fault + 3) == 0 => Vec::new(),
                6 => vec![((20 - count % 7) * MS, packet.clone()), (30 * MS, packet)],
                _ => vec![((20 - count % 5) * MS, packet)],
            }
        });
        net.establish();
        net.run(Duration::from_secs(30));
        for host in &net.hosts {
            assert_eq!(host.of(4650).len(), 1, "fault {fault}");
            assert!(host.of(4976).is_empty(), "{:?}", host.events);
        }
        net.finish();
    }
}

#[test]
fn through_a_nat_the_exchange_floats_and_the_events_name_the_ports_used_last() {
    let mut net = pair_with(46, |host, c| {
        if host == B {
            c.remote_address = RemoteAddress::Host(address(201));
        }
        c.dpd = None;
    });
    net.path = Box::new(|_, packet| vec![(5 * MS, translate(packet))]);
    net.establish();
    let at_a = net.hosts[A].established().clone();
    assert_eq!((at_a.local.port(), at_a.remote.port()), (4500, 4500));
    let at_b = net.hosts[B].established().clone();
    assert_eq!(at_b.local.port(), 4500);
    assert_eq!(at_b.remote, SocketAddr::new(address(201), 24_500));
    assert_eq!(at_b.remote_name.as_deref(), Some("192.0.2.1"));
    // Messages 5 and 6 carry the marker; keepalives follow, from inside alone.
    for host in &net.hosts {
        assert!(host.sent[2].starts_with(&non_esp::MARKER));
        assert!(!host.sent[1].starts_with(&non_esp::MARKER));
    }
    let before = net.hosts[B].sent.len();
    net.run(Duration::from_secs(65));
    let keepalives = net.hosts[A]
        .sent
        .iter()
        .filter(|m| **m == non_esp::KEEPALIVE);
    assert_eq!(keepalives.count(), 3);
    assert_eq!(net.hosts[B].sent.len(), before);
    net.finish();
}

#[test]
fn encapsulation_that_is_forced_floats_without_a_nat() {
    let mut net = pair_with(47, |host, c| c.force_encap = host == A);
    net.establish();
    assert_eq!(net.hosts[A].established().remote.port(), 4500);
    assert_eq!(net.hosts[B].established().remote.port(), 4500);
    net.finish();
}

#[test]
fn a_marker_on_any_port_is_answered_likewise() {
    let mut net = pair(48);
    let (a, _) = net.ends();
    net.path = filtered(|_| false);
    net.up(A);
    let message = net.hosts[A].sent[0].clone();
    for (port, marked) in [(500, false), (500, true), (4500, true), (6000, true)] {
        let mut message = message.clone();
        message[1] ^= u8::try_from(port % 251).unwrap() ^ u8::from(marked);
        let datagram = if marked {
            non_esp::prepend(&message)
        } else {
            message
        };
        net.inject(B, a, SocketAddr::new(address(2), port), &datagram);
        let answer = net.hosts[B].sent.last().unwrap();
        assert_eq!(non_esp::strip(answer).is_some(), marked, "port {port}");
    }
    assert_eq!(net.hosts[B].sent.len(), 4);
    // Without a marker on the port for it, it is ESP: another's business.
    let before = net.hosts[B].events.len();
    net.inject(B, a, SocketAddr::new(address(2), 4500), &message);
    assert_eq!(
        (net.hosts[B].sent.len(), net.hosts[B].events.len()),
        (4, before)
    );
    net.finish();
}

#[test]
fn messages_that_come_while_the_log_writes_are_taken_afterwards() {
    let mut net = pair(49);
    net.hosts[A].hold_tickets = true;
    net.up(A);
    net.run(100 * MS);
    assert_eq!(net.hosts[B].of(4650).len(), 1);
    let connection = "to-a".to_owned();
    net.command(B, Command::Terminate { connection });
    net.run(100 * MS);
    net.hosts[A].hold_tickets = false;
    for ticket in std::mem::take(&mut net.hosts[A].held_tickets) {
        net.input(A, crate::Input::Durable(ticket));
    }
    net.run(100 * MS);
    assert_eq!(net.hosts[A].of(4650).len(), 1);
    assert_eq!(net.hosts[A].causes(4655), vec![Cause::DeletedByPeer]);
    net.finish();
}

#[test]
fn a_delete_that_overtakes_message_6_is_taken_after_it() {
    let mut net = pair(50);
    let held = Rc::new(RefCell::new(Vec::new()));
    let keep = held.clone();
    net.path = filtered(move |packet| {
        let message_6 = packet.sender == B && packet.bytes[18] == 2 && packet.bytes[19] == 1;
        if message_6 {
            keep.borrow_mut().push(packet.clone());
        }
        !message_6
    });
    net.up(A);
    net.run(100 * MS);
    let connection = "to-a".to_owned();
    net.command(B, Command::Terminate { connection });
    net.run(100 * MS);
    let packet: Packet = held.borrow()[0].clone();
    net.inject(A, packet.from, packet.to, &packet.bytes);
    net.run(100 * MS);
    assert_eq!(net.hosts[A].of(4650).len(), 1);
    assert_eq!(net.hosts[A].causes(4655), vec![Cause::DeletedByPeer]);
    assert!(net.hosts[A].of(4976).is_empty());
    net.finish();
}

#[test]
fn down_while_the_log_writes_ends_the_sa_as_soon_as_it_stands() {
    for durable in [true, false] {
        let mut net = pair(51);
        net.hosts[A].hold_tickets = true;
        net.up(A);
        net.run(100 * MS);
        let connection = "to-b".to_owned();
        for _ in 0..2 {
            let connection = connection.clone();
            net.command(A, Command::Terminate { connection });
        }
        assert!(net.hosts[A].terminated.is_empty());
        net.hosts[A].hold_tickets = false;
        for ticket in std::mem::take(&mut net.hosts[A].held_tickets) {
            let input = if durable {
                crate::Input::Durable(ticket)
            } else {
                crate::Input::Refused(ticket)
            };
            net.input(A, input);
        }
        net.run(100 * MS);
        assert_eq!(
            net.hosts[A].terminated,
            vec![(connection.clone(), 1), (connection, 1)]
        );
        let ended = usize::from(durable);
        assert_eq!(
            net.hosts[A].causes(4655),
            vec![Cause::DeletedByOperator; ended]
        );
        assert_eq!(net.hosts[A].of(4653).len(), 1 - ended);
        net.finish();
    }
}

#[test]
fn whoever_asks_for_a_connection_is_always_answered() {
    let mut net = pair(52);
    let mut unknown = net.hosts[A].initiate(address(2));
    if let Command::Initiate { connection, .. } = &mut unknown {
        "nobody".clone_into(connection);
    }
    net.command(A, unknown);
    net.establish();
    net.up(A);
    net.command(A, Command::Shutdown);
    net.up(A);
    let outcomes: Vec<bool> = net.hosts[A]
        .verdicts
        .iter()
        .map(|v| matches!(v.outcome, VerdictOutcome::Established { .. }))
        .collect();
    assert_eq!(outcomes, [false, true, true, false]);
    net.finish();
}

#[test]
fn noise_is_limited_by_source_and_what_is_held_back_is_counted() {
    let mut net = pair(53);
    let (a, b) = net.ends();
    for n in 0..100u8 {
        net.inject(B, a, b, &[n; 40]);
    }
    assert_eq!(net.hosts[B].of(4976).len(), 10);
    assert_eq!(net.hosts[B].endpoint.counters().held_back, 90);
    assert!(net.hosts[B].sent.is_empty());
    net.finish();
}

#[test]
fn the_key_of_a_negotiation_is_given_out_only_while_that_is_asked_for() {
    let mut net = pair(60);
    net.establish();
    for host in [A, B] {
        assert!(net.hosts[host].keys_given.is_empty());
        net.command(host, Command::LogKeys(true));
        assert!(
            net.hosts[host].keys_given.is_empty(),
            "what is there stays there"
        );
        let connection = net.hosts[host].connections[0].name.clone();
        net.command(host, Command::Terminate { connection });
    }
    net.run(Duration::from_secs(1));
    net.up(A);
    net.run(Duration::from_secs(1));
    // Both sides give the same, of the same negotiation, and it is what the SA has.
    let sa = net.hosts[A].endpoint.sas.values().next().expect("an SA");
    for host in &net.hosts {
        let [(cookie, key)] = &host.keys_given[..] else {
            panic!("{} keys", host.keys_given.len());
        };
        assert_eq!(*cookie, sa.initiator_cookie);
        assert_eq!(key.as_bytes(), sa.keys.cipher_key.as_bytes());
    }
    net.command(A, Command::LogKeys(false));
    let connection = "to-b".to_owned();
    net.command(A, Command::Terminate { connection });
    net.run(Duration::from_secs(1));
    net.up(A);
    net.run(Duration::from_secs(1));
    assert_eq!(
        net.hosts.each_ref().map(|host| host.keys_given.len()),
        [1, 2]
    );
    net.finish();
}
