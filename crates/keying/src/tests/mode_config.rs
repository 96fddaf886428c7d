//! Mode Config: addresses within the tunnel, pulled and pushed, and the children that wait for them.

use std::net::IpAddr;
use std::time::Duration;

use audit::Cause;
use isakmp::ExchangeType;

use super::net::{A, B, Net, filtered, perfect};
use super::pair_with;
use super::quick::{self, SUITE, stands};
use crate::child::{ChildOutcome, SelectorConfig};
use crate::config::{ConfigClient, ConfigServer, Connection, ModeConfig};
use crate::inner::Pool;
use crate::io::Command;
use crate::selector::Selector;

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(name: &str, first: &str, last: &str) -> Pool {
    Pool {
        name: name.to_owned(),
        first: at(first),
        last: at(last),
    }
}

/// A is the client, B the server.
pub(super) fn part(host: usize, push: bool) -> ModeConfig {
    if host == A {
        ModeConfig::Client(ConfigClient {
            v4: true,
            v6: false,
            unity: false,
            push,
        })
    } else {
        ModeConfig::Server(ConfigServer {
            pools: vec![pool("clients", "10.3.0.1", "10.3.0.6")],
            dns: vec![at("10.2.0.53")],
            nbns: Vec::new(),
            split_include: Vec::new(),
            local_lan: Vec::new(),
            push,
        })
    }
}

/// The child is between A's inner address and B's net.
pub(super) fn pair_of(push: bool, change: impl Fn(usize, &mut Connection)) -> Net {
    pair_with(47, |host, connection| {
        connection.mode_config = Some(part(host, push));
        let mut child = quick::child(host, "net", &[SUITE]);
        let dynamic = vec![SelectorConfig::Dynamic {
            protocol: 0,
            port: 0,
        }];
        *(if host == A {
            &mut child.local
        } else {
            &mut child.remote
        }) = dynamic;
        connection.children = vec![child.into()];
        change(host, connection);
    })
}

fn given(net: &Net) -> Vec<IpAddr> {
    net.hosts[A].inner.values().flatten().copied().collect()
}

#[test]
fn a_child_is_between_the_address_that_was_given_and_the_net_behind_the_server() {
    for push in [false, true] {
        let mut net = pair_of(push, |_, _| {});
        quick::up(&mut net, A);
        net.run(Duration::from_secs(5));
        assert!(stands(&net), "push: {push}");
        assert_eq!(given(&net), [at("10.3.0.1")]);
        let own = net.hosts[A].plane.values().next().unwrap().local_selector;
        assert_eq!(own, Selector::host(at("10.3.0.1")));
        net.agree();
        net.finish();
        assert!(given(&net).is_empty());
    }
}

#[test]
fn a_quick_mode_of_the_server_overtakes_no_answer_that_is_late() {
    let mut net = pair_of(false, |_, _| {});
    let mut whole = perfect();
    net.path = Box::new(move |rng, packet| {
        let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
        let late = packet.sender == B && header.exchange == ExchangeType::TRANSACTION;
        let mut passed = whole(rng, packet);
        for (wait, _) in &mut passed {
            *wait += if late {
                Duration::from_millis(60)
            } else {
                Duration::ZERO
            };
        }
        passed
    });
    quick::up(&mut net, B);
    net.run(Duration::from_secs(5));
    assert!(stands(&net));
    assert!(net.hosts.iter().all(|host| host.of(4654).is_empty()));
    net.finish();
}

#[test]
fn a_lost_message_of_each_kind_is_made_good() {
    for push in [false, true] {
        for lost in 1..=2 {
            let mut net = pair_of(push, |_, _| {});
            let mut count = 0;
            net.path = filtered(move |packet| {
                let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
                count += usize::from(header.exchange == ExchangeType::TRANSACTION);
                header.exchange != ExchangeType::TRANSACTION || count != lost
            });
            quick::up(&mut net, A);
            net.run(Duration::from_secs(10));
            assert!(stands(&net), "push: {push}, lost: {lost}");
            assert_eq!(net.hosts[B].endpoint.leases.in_use(), 1);
            net.finish();
        }
    }
}

#[test]
fn without_an_address_the_sa_ends_and_who_asked_for_the_child_hears_why() {
    // The server has none left, has none of that family, or says nothing.
    for (case, cause) in [
        (0, Cause::InnerAddressRefused),
        (1, Cause::InnerAddressSilence),
        (2, Cause::InnerAddressSilence),
    ] {
        let mut net = pair_of(case == 2, |host, connection| {
            if let (B, Some(ModeConfig::Server(server))) = (host, &mut connection.mode_config)
                && case == 0
            {
                server.pools.clear();
            }
        });
        if case > 0 {
            net.path = filtered(|packet| {
                let header = isakmp::Datagram::parse(&packet.bytes).unwrap().header;
                header.exchange != ExchangeType::TRANSACTION
            });
        }
        quick::up(&mut net, A);
        net.run(Duration::from_mins(1));
        assert_eq!(net.hosts[A].causes(4655), [cause], "{case}");
        let [verdict] = &net.hosts[A].child_verdicts[..] else {
            panic!("{case}: {:?}", net.hosts[A].child_verdicts)
        };
        assert!(
            matches!(&verdict.outcome, ChildOutcome::Failed { cause: told, .. } if *told == cause),
            "{verdict:?}"
        );
        assert!(net.hosts[A].endpoint.sas.is_empty());
        net.finish();
    }
}

#[test]
fn who_asks_at_the_server_for_a_child_of_a_client_without_an_address_hears_of_it() {
    let mut net = pair_of(false, |host, connection| {
        if let (B, Some(ModeConfig::Server(server))) = (host, &mut connection.mode_config) {
            server.pools = vec![pool("of another family", "2001:db8::1", "2001:db8::6")];
        }
    });
    let of_mode_config = |bytes: &[u8]| {
        let header = isakmp::Datagram::parse(bytes).unwrap().header;
        header.exchange == ExchangeType::TRANSACTION
    };
    net.path = filtered(move |packet| !of_mode_config(&packet.bytes));
    net.establish();
    quick::up(&mut net, B);
    net.run(Duration::from_millis(100));
    assert!(net.hosts[B].child_verdicts.is_empty(), "it waits");
    // The question arrives, and the answer gets lost: the SA stands.
    net.path = filtered(move |packet| packet.sender == A || !of_mode_config(&packet.bytes));
    net.run(Duration::from_secs(3));
    assert_eq!(net.hosts[B].endpoint.sas.len(), 1);
    assert!(matches!(
        net.hosts[B].child_verdicts[..],
        [ref told] if matches!(
            told.outcome,
            ChildOutcome::Failed { cause: Cause::InnerAddressRefused, .. }
        )
    ));
    // Another question may still be answered with an address.
    let sa = net.hosts[B].endpoint.sas.values().next().unwrap();
    assert!(!sa.configuring.is_over());
    net.finish();
}

#[test]
fn a_replacement_has_the_same_address_and_its_children_live_on() {
    let mut net = pair_of(false, |_, connection| {
        connection.lifetime = Duration::from_mins(10);
    });
    quick::up(&mut net, A);
    net.run(Duration::from_secs(5));
    let child = *net.hosts[A].plane.keys().next().unwrap();
    net.run(Duration::from_mins(9) + Duration::from_secs(30));
    assert_eq!(net.hosts[A].of(4650).len(), 2);
    assert_eq!(given(&net), [at("10.3.0.1")]);
    assert!(net.hosts[A].plane.contains_key(&child));
    assert_eq!(net.hosts[B].endpoint.leases.in_use(), 1);
    net.run(Duration::from_hours(1));
    assert!(stands(&net));
    net.finish();
}

#[test]
fn who_does_not_serve_refuses_and_stays() {
    let mut net = pair_of(false, |host, connection| {
        if host == B {
            connection.mode_config = None;
        }
    });
    quick::up(&mut net, A);
    net.run(Duration::from_mins(1));
    assert_eq!(net.hosts[A].causes(4655).len(), 1);
    net.finish();
}

#[test]
fn who_got_no_address_since_all_are_held_is_told_apart_from_who_asks_for_other_traffic() {
    for held in [true, false] {
        let mut net = pair_of(true, |host, connection| {
            if host == A {
                connection.mode_config = None;
                // As behind a NAT: no address that the server knows.
                let mut child = quick::child(host, "net", &[SUITE]);
                let own = Selector::host(at("192.168.1.2"));
                child.local = vec![SelectorConfig::Fixed(own)];
                connection.children = vec![child.into()];
            }
        });
        if held {
            let pool = pool("clients", "10.3.0.1", "10.3.0.6");
            for holder in 0..6 {
                let leases = &mut net.hosts[B].endpoint.leases;
                let lease = leases.lease(&pool, &format!("other {holder}"), 1_000, |_| true, None);
                assert!(lease.is_some());
            }
        }
        quick::up(&mut net, A);
        net.run(Duration::from_secs(5));
        let cause = if held {
            Cause::PoolUsedUp
        } else {
            Cause::SelectorsRefused
        };
        assert_eq!(net.hosts[B].causes(4654)[0], cause);
    }
}

#[test]
fn another_pool_ends_only_sas_whose_address_it_has_not() {
    for (name, first, last, stays) in [
        ("clients", "10.3.0.1", "10.3.0.14", true),
        ("clients", "10.3.0.0", "10.3.0.255", true),
        ("clients", "10.3.0.2", "10.3.0.14", false),
        // Another pool would give the address away once more.
        ("others", "10.3.0.1", "10.3.0.6", false),
    ] {
        let mut net = pair_of(false, |_, _| {});
        quick::up(&mut net, A);
        net.run(Duration::from_secs(5));
        assert!(stands(&net));
        let mut changed = (*net.hosts[B].connections[0]).clone();
        let Some(ModeConfig::Server(server)) = &mut changed.mode_config else {
            panic!("the server");
        };
        server.pools = vec![pool(name, first, last)];
        server.dns = Vec::new();
        net.hosts[B].connections = vec![changed.into()];
        let connections = net.hosts[B].connections.clone();
        net.command(B, Command::Connections(connections));
        net.run(Duration::from_secs(1));
        assert_eq!(stands(&net), stays, "{first}");
        assert_eq!(net.hosts[A].inner.is_empty(), !stays);
        net.finish();
        if !stays {
            for host in &net.hosts {
                assert_eq!(host.of(4655).len(), 1);
                assert_eq!(host.of(5452).len(), 1);
                // The peer was told of both.
                assert_eq!(host.of(5049).len(), 1);
            }
        }
    }
}
