//! Child SAs that are replaced, that expire, that lose their Main Mode SA.

use std::time::Duration;

use audit::Cause;

use super::net::{A, B, Net, below, filtered, perfect};
use super::quick::{pair_of, stands, up};
use super::under_sa::another;
use crate::endpoint::Party;
use crate::ikev1::sa::Sa;
use crate::io::{Command, Input};

const SECOND: Duration = Duration::from_secs(1);

/// Whether a packet could go from each side to the other now, by what the newest SAs are.
fn carries(net: &Net) -> bool {
    [A, B].into_iter().all(|host| {
        let newest = net.hosts[host].plane.values().next_back();
        newest.is_some_and(|sa| {
            let other = net.hosts[1 - host].plane.values();
            other
                .clone()
                .any(|other| other.inbound.spi == sa.outbound.spi)
        })
    })
}

#[test]
fn an_sa_is_replaced_before_it_expires_and_there_is_one_at_any_time() {
    for slow in [A, B] {
        let mut net = pair_of(200, |host, child| {
            // The one with the longer life is not the first to replace.
            child.lifetime = [100, 1_000][usize::from(host == slow)] * SECOND;
        });
        up(&mut net, A);
        net.run(SECOND);
        assert!(stands(&net));
        let mut gaps = 0;
        for _ in 0..1_000 {
            net.run(SECOND);
            gaps += u32::from(!carries(&net));
            assert!(net.hosts.iter().all(|host| host.plane.len() <= 2));
        }
        assert_eq!(gaps, 0);
        net.agree();
        assert!(net.hosts[A].of(5451).len() > 10);
        for host in &net.hosts {
            assert!(host.of(4654).is_empty(), "{:?}", host.causes(4654));
            let ends = host.causes(5452);
            assert!(
                ends.iter().all(|cause| *cause == Cause::Replaced),
                "{ends:?}"
            );
            assert!(host.of(5049).is_empty());
            // The data plane is told what takes over from what, at both ends.
            assert!(host.installs[1..].iter().all(|sa| sa.replaces.is_some()));
        }
        net.finish();
    }
}

#[test]
fn a_replacement_that_the_peer_begins_is_received_before_message_2_goes_out() {
    const QUICK_MODE: u8 = 32;
    for lost in [false, true] {
        let mut net = pair_of(203, |_, _| {});
        up(&mut net, A);
        net.run(SECOND);
        let id = *net.hosts[B].plane.keys().next().unwrap();
        let mut seen = 0;
        // Message 3 is the second of B's.
        net.path = filtered(move |packet| {
            let counts = packet.sender == B && packet.bytes[18] == QUICK_MODE;
            seen += u32::from(counts);
            !(lost && counts && seen > 1)
        });
        for host in &mut net.hosts {
            host.hold_tickets = true;
        }
        let sent = net.hosts[A].sent.len();
        net.input(B, Input::Expiring(id));
        net.run(SECOND / 4);
        let expected = net.hosts[A].expected.clone();
        assert_eq!(expected.values().copied().collect::<Vec<_>>(), [sent]);
        assert!(net.hosts[A].sent.len() > sent, "message 2 is out");
        assert_eq!(net.hosts[A].installs.len(), 1);
        assert!(net.hosts[B].expected.is_empty(), "it began");
        for host in [A, B] {
            net.hosts[host].hold_tickets = false;
            for ticket in std::mem::take(&mut net.hosts[host].held_tickets) {
                net.input(host, Input::Durable(ticket));
            }
        }
        net.run(60 * SECOND);
        assert!(net.hosts[A].expected.is_empty());
        if lost {
            assert_eq!(net.hosts[A].causes(4654), [Cause::QuickModeUnconfirmed]);
            assert_eq!(net.hosts[A].installs.len(), 1);
        } else {
            assert!(expected.contains_key(&net.hosts[A].installs[1].id));
            assert!(stands(&net));
        }
        net.path = perfect();
        net.finish();
    }
}

#[test]
fn bytes_and_packets_bring_a_successor_and_what_is_spent_ends() {
    let mut net = pair_of(201, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    let id = *net.hosts[B].plane.keys().next().unwrap();
    net.input(B, Input::Expiring(id));
    net.input(B, Input::Expiring(id));
    net.run(SECOND);
    assert_eq!(net.shared(), 2);
    assert_eq!(net.hosts[B].installs[1].replaces, Some(id));
    net.run(10 * SECOND);
    assert!(stands(&net));
    let id = *net.hosts[A].plane.keys().next().unwrap();
    net.input(A, Input::Expired(id));
    net.run(SECOND);
    assert_eq!(net.hosts[A].causes(5452), [Cause::Replaced, Cause::Expired]);
    assert_eq!(
        net.hosts[B].causes(5452),
        [Cause::Replaced, Cause::DeletedByPeer]
    );
    // What is not there is not heard of.
    net.input(A, Input::Expired(id));
    net.input(A, Input::Expiring(id));
    net.input(A, Input::Installed(id));
    net.input(A, Input::InstallFailed(id, String::new()));
    net.finish();
}

#[test]
fn without_a_peer_an_sa_expires() {
    let mut net = pair_of(202, |_, child| child.lifetime = 60 * SECOND);
    up(&mut net, A);
    net.run(SECOND);
    net.path = filtered(|_| false);
    net.run(80 * SECOND);
    for host in &net.hosts {
        assert_eq!(host.causes(5452), [Cause::Expired]);
        assert!(host.plane.is_empty());
        // Asked again, while there was time: one Quick Mode each time.
        assert!(!host.of(4654).is_empty());
        let causes = host.causes(4654);
        let silent = [Cause::QuickModeNoAnswer, Cause::MainModeLost];
        assert!(
            causes.iter().all(|cause| silent.contains(cause)),
            "{causes:?}"
        );
    }
    net.path = perfect();
    net.finish();
}

/// Makes both sides replace their only child SA within some milliseconds.
fn collide(net: &mut Net, most: u32) {
    let soon = net.now + SECOND;
    for host in [A, B] {
        let wait = Duration::from_millis(u64::from(below(&mut net.rng, most)));
        let endpoint = &mut net.hosts[host].endpoint;
        let ids: Vec<u64> = endpoint.children.ids().collect();
        for id in ids {
            let live = endpoint.children.get_mut(id).unwrap();
            if live.superseded.is_none() {
                live.rekey_at = Some(soon + wait);
            }
            endpoint.schedule(Party::Child(id));
        }
    }
}

#[test]
fn when_both_replace_at_once_one_survives_and_it_is_the_same() {
    let mut twice = 0;
    for seed in 210..310 {
        let mut net = pair_of(seed, |_, _| {});
        up(&mut net, A);
        net.run(SECOND);
        // Later than any collision with the first.
        net.run(100 * SECOND);
        let most = [2, 15, 40, 200][usize::try_from(seed % 4).unwrap()];
        collide(&mut net, most);
        net.run(SECOND + SECOND / 2);
        assert!(carries(&net));
        twice += u32::from(net.hosts[A].of(5451).len() == 3);
        for _ in 0..100 {
            net.run(SECOND);
            assert!(carries(&net), "seed {seed}");
        }
        assert!(stands(&net), "seed {seed}");
        net.agree();
        for host in &net.hosts {
            let live = host.endpoint.children.values().next().unwrap();
            assert!(live.superseded.is_none() && live.rekey_at.is_some());
            assert!(host.of(5049).is_empty());
        }
        net.finish();
    }
    assert!(twice > 20, "{twice} collisions");
}

#[test]
fn when_both_begin_at_once_one_survives() {
    for seed in 320..360 {
        let mut net = pair_of(seed, |_, _| {});
        net.up(A);
        net.run(SECOND);
        up(&mut net, A);
        let wait = Duration::from_millis(u64::from(below(&mut net.rng, 12)));
        net.run(wait);
        up(&mut net, B);
        net.run(60 * SECOND);
        assert!(stands(&net), "seed {seed}");
        net.finish();
    }
}

#[test]
fn children_outlive_a_main_mode_sa_that_is_replaced() {
    for forced in [false, true] {
        let mut net = super::pair_with(370, |host, connection| {
            connection.lifetime = 100 * SECOND;
            connection.force_encap = forced && host == A;
            let child = super::quick::child(host, "net", &[super::quick::SUITE]);
            connection.children = vec![std::sync::Arc::new(child)];
        });
        up(&mut net, A);
        net.run(SECOND);
        let first = *net.hosts[A].plane.keys().next().unwrap();
        for _ in 0..10 {
            net.run(100 * SECOND);
            assert!(stands(&net));
            assert_eq!(net.hosts[A].plane.keys().next(), Some(&first));
        }
        assert!(net.hosts[A].of(4650).len() > 8);
        // And are replaced and deleted under the new one.
        for host in &net.hosts {
            let live = host.endpoint.children.values().next().unwrap();
            assert!(host.endpoint.sas.contains_key(&live.mmsa_id));
        }
        net.input(A, Input::Expiring(first));
        net.run(20 * SECOND);
        assert!(stands(&net));
        assert_ne!(net.hosts[A].plane.keys().next(), Some(&first));
        net.finish();
    }
}

#[test]
fn children_end_with_a_main_mode_sa_that_has_no_successor() {
    for host in [A, B] {
        let mut net = pair_of(380, |_, _| {});
        up(&mut net, A);
        net.run(SECOND);
        let connection = net.hosts[host].connections[0].name.clone();
        net.command(
            host,
            Command::Terminate {
                connection: connection.clone(),
            },
        );
        net.run(SECOND);
        assert_eq!(net.hosts[host].terminated, [(connection, 2)]);
        assert_eq!(net.hosts[host].causes(5452), [Cause::DeletedByOperator]);
        assert_eq!(net.hosts[1 - host].causes(5452), [Cause::DeletedByPeer]);
        assert!(net.hosts.iter().all(|host| host.plane.is_empty()));
        net.finish();
    }
    // The delete of the SA alone arrives: strongSwan has dropped its children by then.
    let mut net = pair_of(381, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    let sa = *net.hosts[A].endpoint.sas.keys().next().unwrap();
    let now = net.now;
    net.path = filtered(|_| false);
    net.hosts[A]
        .endpoint
        .end_children_under(now, sa, Cause::MainModeEnded);
    net.path = perfect();
    net.hosts[A].endpoint.end_sa(now, sa, Cause::Expired, true);
    net.input(A, Input::Timeout);
    net.run(SECOND);
    assert_eq!(net.hosts[B].causes(5452), [Cause::MainModeEnded]);
    assert!(net.hosts[B].plane.is_empty());
    net.finish();
}

#[test]
fn a_delete_ends_nothing_of_another_peers_who_gives_the_same_identity() {
    let mut net = pair_of(398, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    // What stands is another's: proven with another key.
    let first = *net.hosts[B].endpoint.sas.keys().next().unwrap();
    let own = 1 << 40;
    another(&mut net, own, |_| {});
    let endpoint = &mut net.hosts[B].endpoint;
    endpoint.sas.get_mut(&first).unwrap().proven_by.credential = None;
    let live = endpoint.children.values().next().unwrap();
    let delete = isakmp::Delete {
        doi: isakmp::DOI_IPSEC,
        protocol: isakmp::ProtocolId(3),
        spi_size: 4,
        spis: vec![live.outbound_spi.to_be_bytes().to_vec()],
    };
    endpoint.deleted_by_peer(net.now, own, &delete);
    assert!(stands(&net));
    let endpoint = &mut net.hosts[B].endpoint;
    endpoint.deleted_by_peer(net.now, first, &delete);
    net.input(B, Input::Timeout);
    net.run(SECOND);
    assert_eq!(net.hosts[B].causes(5452), [Cause::DeletedByPeer]);
}

#[test]
fn a_child_is_replaced_under_an_sa_of_its_own_peer_alone() {
    let mut net = pair_of(399, |_, _| {});
    up(&mut net, A);
    net.run(SECOND);
    let others = [1 << 40, (1 << 40) + 1];
    another(&mut net, others[0], |sa| sa.user = Some("another".into()));
    another(&mut net, others[1], |sa| {
        sa.route.remote.set_ip(super::address(77));
    });
    for id in others {
        let sa = net.hosts[B].endpoint.sas.get_mut(&id).unwrap();
        sa.established += SECOND;
    }
    let id = net.hosts[B].endpoint.children.ids().next().unwrap();
    let now = net.now;
    net.hosts[B].endpoint.rekey(now, id);
    let under: Vec<u64> = net.hosts[B]
        .endpoint
        .quick
        .values()
        .map(|q| q.mmsa_id)
        .collect();
    assert_eq!(under.len(), 1);
    assert!(!others.contains(&under[0]));
}

#[test]
fn a_dead_peers_children_go_to_nobody_else_who_gives_the_same_identity() {
    let others: [&dyn Fn(&mut Sa); 3] = [
        &|sa| sa.user = Some("another".to_owned()),
        &|sa| sa.route.remote.set_ip(super::address(77)),
        &|sa| sa.proven_by.credential = None,
    ];
    for (seed, change) in (391..).zip(others) {
        let mut net = super::pair_with(seed, |host, connection| {
            let child = super::quick::child(host, "net", &[super::quick::SUITE]);
            connection.children = vec![std::sync::Arc::new(child)];
            if host == B {
                connection.dpd = Some(crate::config::Dpd {
                    delay: 5 * SECOND,
                    timeout: 20 * SECOND,
                });
            }
        });
        up(&mut net, A);
        net.run(SECOND);
        let first = *net.hosts[B].endpoint.sas.keys().next().unwrap();
        another(&mut net, 1 << 40, |sa| {
            sa.established += SECOND;
            change(sa);
        });
        let now = net.now;
        let host = &mut net.hosts[B].endpoint;
        host.end_sa(now, first, Cause::PeerDead, false);
        net.input(B, Input::Timeout);
        net.run(SECOND);
        assert_eq!(net.hosts[B].causes(5452), [Cause::PeerDead]);
        assert!(net.hosts[B].plane.is_empty());
    }
}

#[test]
fn a_dead_peers_children_end_and_a_restarted_peers_too() {
    let mut net = super::pair_with(390, |host, connection| {
        connection.dpd = Some(crate::config::Dpd {
            delay: 5 * SECOND,
            timeout: 20 * SECOND,
        });
        let child = super::quick::child(host, "net", &[super::quick::SUITE]);
        connection.children = vec![std::sync::Arc::new(child)];
    });
    up(&mut net, A);
    net.run(SECOND);
    net.path = filtered(|_| false);
    net.run(30 * SECOND);
    for host in &net.hosts {
        assert_eq!(host.causes(5452), [Cause::PeerDead]);
        assert!(host.plane.is_empty());
    }
    net.path = perfect();
    up(&mut net, A);
    net.run(SECOND);
    assert!(stands(&net));
    net.crash(A);
    net.run(SECOND);
    up(&mut net, A);
    net.run(SECOND);
    assert!(stands(&net));
    assert_eq!(
        net.hosts[B].causes(5452),
        [Cause::PeerDead, Cause::Replaced]
    );
    net.finish();
}
